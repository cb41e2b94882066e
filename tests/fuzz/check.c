/* The readers of ax-check, on arbitrary bytes: it refuses or accepts, and
 * frees what it took. The first byte says what the rest is; digests are left
 * out of it, or nothing behind them would ever be reached. Where a
 * certificate is accepted, points of its boxes are tried as counterexamples:
 * if one of them is accepted too, one of the two is wrong, and this aborts.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ax-check/island.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Four bytes of length, then so many bytes. */
static struct bytes part(struct run *r, struct bytes *b)
{
    return take(r, b, little(take(r, b, 4).p, 4));
}

/* Is the point number k of a group's box a counterexample: its ends, its
 * middle, others between them? */
static bool is_violated(const struct claim *proved, const struct group *g,
                        unsigned k)
{
    static struct run inner;
    struct run *r = &inner;
    struct claim c = *proved;
    uint32_t n = c.pr->n_x, seed = 2654435761u * k;
    unsigned char *payload;
    bool volatile violated = false;

    memset(r, 0, sizeof *r);
    if (setjmp(r->out) == 0) {
        payload = get(r, 76 + 4 * (uint64_t)n, 1);
        memcpy(payload, c.payload.p, 72);
        memcpy(payload, "AXCX\1", 5);
        memcpy(payload + 72, &n, 4);
        for (uint32_t i = 0; i < n; i++) {
            double lo = ldexp((double)g->lo[i], -g->scale);
            double hi = ldexp((double)g->hi[i], -g->scale);
            double part = k < 2 ? k : k == 2 ? .5 : seed % 65 / 64.;
            float x = (float)(lo + part * (hi - lo));

            memcpy(payload + 76 + 4 * i, &x, 4);
            seed = seed * 1664525u + 1013904223u;
            seed ^= seed >> 15;
        }
        c.payload = (struct bytes){payload, 76 + 4 * (size_t)n};
        c.is_cex = true;
        counterexample_check(r, &c);
        violated = true;
    }
    give_all(r);
    return violated;
}

/* A logical stream, a property, and the body of a claim. */
static void claim(struct run *r, struct bytes b, struct claim *c)
{
    struct bytes stream = part(r, &b), text = part(r, &b);
    unsigned char *payload = get(r, 72 + b.n, 1);
    struct model *m = get(r, 1, sizeof *m);
    struct net *net = get(r, 1, sizeof *net);
    struct property *pr = get(r, 1, sizeof *pr);

    model_read(r, m, stream);
    graph_read(r, net, m);
    net_quantise(r, net);
    property_read(r, pr, text, net->nodes[0].n,
                  net->nodes[net->n_nodes - 1].n);
    memcpy(payload, c->is_cex ? "AXCX\1\1\0" : "AXCT\2\1\0", 8);
    payload[5] = (unsigned char)c->semantics;
    if (b.n)
        memcpy(payload + 72, b.p, b.n);
    c->payload = (struct bytes){payload, 72 + b.n};
    c->identity = payload + 8;
    c->digest = payload + 40;
    c->net = net;
    c->pr = pr;
    if (c->is_cex) {
        counterexample_check(r, c);
        return;
    }
    certificate_check(r, c);
    for (uint32_t i = 0; i < pr->n_groups && i < 4; i++)
        for (unsigned k = 0; k < 12; k++)
            if (is_violated(c, &pr->groups[i], k))
                abort();
}

static void run(struct run *r, struct bytes b, struct claim *c)
{
    unsigned char what = *take(r, &b, 1).p;
    struct container *container = get(r, 1, sizeof *container);
    struct property *pr = get(r, 1, sizeof *pr);

    c->is_cex = what == 'x';
    c->semantics = what == 'i' ? IEEE32 : REAL;
    if (what == 'c')
        container_read(r, container, b);
    else if (what == 'p')
        property_read(r, pr, b, 2, 2);
    else
        claim(r, b, c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct run r;
    struct claim c;

    memset(&r, 0, sizeof r);
    memset(&c, 0, sizeof c);
    if (setjmp(r.out) == 0)
        run(&r, (struct bytes){data, n}, &c);
    give_all(&r);
    return 0;
}
