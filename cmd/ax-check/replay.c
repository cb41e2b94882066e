/* replay.c - evaluates the network at a counterexample, in exact numbers of
 * any size, and looks for a conjunction that it makes true, as written. */
#include "island.h"

#include <string.h>

enum { BITS_MAX = 65536 }; /* of a number; beyond that it is undecided */

struct values { /* of one node: x[i] = mag 2^e, or its negative */
    struct number {
        struct big mag;
        bool neg;
    } * x;
    int64_t e;
};

struct bytes claim_body(struct run *r, const struct claim *c,
                        const char *magic)
{
    struct bytes b = c->payload;

    must(r, memcmp(take(r, &b, 8).p, magic, 8) == 0,
         "not of version 1 with semantics 'real'");
    if (memcmp(take(r, &b, 32).p, c->identity, 32) != 0)
        refuse(r, REJECTED, "it speaks of another model");
    if (memcmp(take(r, &b, 32).p, c->digest, 32) != 0)
        refuse(r, REJECTED, "it speaks of another property");
    return b;
}

/* sum += k 2^s x; one sum is of what is added, one of what is taken away */
static void add(struct run *r, struct big sum[2], const struct number *x,
                i128 k, int64_t s)
{
    unsigned __int128 m = (unsigned __int128)(k < 0 ? -k : k);

    if (s + (int64_t)big_bits(&x->mag) > BITS_MAX)
        refuse(r, UNDECIDED, "a value needs more than %d bits", BITS_MAX);
    big_addmul(r, &sum[(k < 0) != x->neg], &x->mag, m, (uint64_t)s);
}

static struct number settle(struct run *r, struct big sum[2])
{
    bool neg = big_cmp(&sum[0], &sum[1]) < 0;

    big_sub(&sum[neg], &sum[!neg]);
    give(r, sum[!neg].w);
    return (struct number){sum[neg], neg};
}

/* z of node k, or its activations, from the nodes before it. */
static struct values evaluate(struct run *r, const struct net *net,
                              const struct values *v, uint32_t k)
{
    const struct number unit = {{(uint64_t[]){1}, 1, 1}, false};
    const struct form *z = net->layers[k].z;
    struct values out = {get(r, z->n, sizeof *out.x), 0};

    for (uint64_t i = 0; i < z->n; i++) {
        out.e = z->c[i].e < out.e ? z->c[i].e : out.e;
        for (uint64_t j = z->at ? z->at[i] : 0; z->at && j < z->at[i + 1];
             j++)
            if (z->t[j].e + v[net->owner[z->t[j].var]].e < out.e)
                out.e = z->t[j].e + v[net->owner[z->t[j].var]].e;
    }
    for (uint64_t i = 0; i < z->n; i++) {
        struct big sum[2] = {{0}, {0}};

        for (uint64_t j = z->at ? z->at[i] : 0; z->at && j < z->at[i + 1];
             j++) {
            uint32_t s = net->owner[z->t[j].var];

            add(r, sum, &v[s].x[z->t[j].var - net->layers[s].base], z->t[j].m,
                z->t[j].e + v[s].e - out.e);
        }
        add(r, sum, &unit, z->c[i].m, z->c[i].e - out.e);
        out.x[i] = settle(r, sum);
        if (k + 1 < net->n_layers && out.x[i].neg) /* relu */
            out.x[i].mag.n = 0;
    }
    return out;
}

/* Is the row true as written? Both sides are multiplied by 2^-e, e <= 0,
 * and by 10^max(0, -exp). */
static bool row_holds(struct run *r, const struct row *row, uint32_t n_x,
                      const struct values *x, const struct values *y)
{
    int64_t e = x->e < y->e ? x->e : y->e;
    struct number d = {row_value(r, row), !row->neg}, all;
    struct big sum[2] = {{0}, {0}};

    for (uint32_t i = 0; i < row->n; i++) {
        const struct values *v = row->var[i] < n_x ? x : y;

        add(r, sum, &v->x[row->var[i] - (v == x ? 0 : n_x)], row->coef[i],
            v->e - e);
    }
    big_ten(r, &sum[0], -row->exp);
    big_ten(r, &sum[1], -row->exp);
    add(r, sum, &d, 1, -e);
    all = settle(r, sum);
    give(r, d.mag.w);
    give(r, all.mag.w);
    return all.mag.n == 0 ? !row->strict : all.neg;
}

void counterexample_check(struct run *r, struct claim *c)
{
    struct bytes b = claim_body(r, c, "AXCX\1\1\0");
    const struct property *pr = c->pr;
    uint32_t last = c->net->n_layers - 1, n_x = pr->n_x;
    struct values *v = get(r, last + 1, sizeof *v);

    must(r, little(take(r, &b, 4).p, 4) == n_x && b.n == 4 * (size_t)n_x,
         "the number of inputs is wrong");
    v[0] = (struct values){get(r, n_x, sizeof *v[0].x), -149};
    for (uint32_t i = 0; i < n_x; i++) {
        uint32_t f = (uint32_t)little(b.p + 4 * i, 4), e = f >> 23 & 255;

        must(r, e < 255, "an input is not finite");
        v[0].x[i].neg = f >> 31;
        big_mul(r, &v[0].x[i].mag, 0, (f & 0x7fffff) + (e ? 1u << 23 : 0));
        for (; e > 1; e--)
            big_mul(r, &v[0].x[i].mag, 2, 0);
    }
    for (uint32_t k = 1; k <= last; k++)
        v[k] = evaluate(r, c->net, v, k);
    for (uint32_t g = 0; g < pr->n_groups; g++)
        for (uint32_t i = 0; i < pr->groups[g].n_conj; i++) {
            const struct conj *conj = &pr->groups[g].conj[i];
            uint32_t j = 0;

            while (j < conj->n_all && row_holds(r, &pr->rows[conj->rows[j]],
                                                n_x, &v[0], &v[last]))
                j++;
            if (j == conj->n_all)
                return;
        }
    refuse(r, REJECTED, "the input makes no conjunction true");
}
