/* The readers of ax-check, on arbitrary bytes: it refuses or accepts, and
 * frees what it took. The first byte says what the rest is; digests are left
 * out of it, or nothing behind them would ever be reached. */
#include <stdint.h>
#include <string.h>

#include "ax-check/island.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Four bytes of length, then so many bytes. */
static struct bytes part(struct run *r, struct bytes *b)
{
    return take(r, b, little(take(r, b, 4).p, 4));
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
    if (c->is_cex)
        counterexample_check(r, c);
    else
        certificate_check(r, c);
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
