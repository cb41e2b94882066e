/* replay.c - evaluates the network at a counterexample, exactly, and looks
 * for a conjunction that it makes true, as written. */
#include "island.h"

#include <string.h>

struct values { /* of one node: x[i] 2^e, |x[i]| < 2^bits */
    struct big *x;
    int64_t e, bits;
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

static bool negative(const struct big *x)
{
    return x->w[BIG - 1] >> 63;
}

static int64_t log2_up(uint64_t n)
{
    return n ? 64 - __builtin_clzll(n) : 0;
}

/* Activations of node k, or its z if it is the last, from those before. */
static struct values evaluate(struct run *r, const struct net *net,
                              const struct values *v, uint32_t k)
{
    const struct form *z = net->layers[k].z;
    struct values out = {get(r, z->n, sizeof *out.x), 0, 0};
    uint64_t n = z->at ? z->at[z->n] : 0;
    const struct big one = {{1}};
    for (uint64_t j = 0; j < n; j++)
        if (z->t[j].e + v[net->owner[z->t[j].var]].e < out.e)
            out.e = z->t[j].e + v[net->owner[z->t[j].var]].e;
    for (uint64_t i = 0; i < z->n; i++)
        out.e = z->c[i].e < out.e ? z->c[i].e : out.e;
    for (uint64_t i = 0; i < z->n; i++) {
        i128 c = z->c[i].m < 0 ? -z->c[i].m : z->c[i].m;
        uint64_t s = (uint64_t)(z->c[i].e - out.e);
        int64_t bits = (int64_t)s + 100, most;
        for (uint64_t j = z->at ? z->at[i] : 0; n && j < z->at[i + 1]; j++) {
            const struct values *src = &v[net->owner[z->t[j].var]];
            most = 53 + z->t[j].e + src->e - out.e + src->bits;
            bits = most > bits ? most : bits;
        }
        bits += log2_up(n) + 1; /* no more terms than that, and a constant */
        out.bits = bits > out.bits ? bits : out.bits;
        if (bits >= 64 * BIG - 64)
            refuse(r, UNDECIDED, "a value needs more than %d bits", 64 * BIG);
        for (uint64_t j = z->at ? z->at[i] : 0; n && j < z->at[i + 1]; j++) {
            uint32_t from = net->owner[z->t[j].var];
            int64_t m = z->t[j].m;
            big_add(&out.x[i],
                    &v[from].x[z->t[j].var - net->layers[from].base],
                    (uint64_t)(m < 0 ? -m : m),
                    (uint64_t)(z->t[j].e + v[from].e - out.e), m < 0);
        }
        big_add(&out.x[i], &one, (uint64_t)c, s, z->c[i].m < 0);
        big_add(&out.x[i], &one, (uint64_t)(c >> 64), s + 64, z->c[i].m < 0);
        if (k + 1 < net->n_layers && negative(&out.x[i])) /* relu */
            out.x[i] = (struct big){{0}};
    }
    return out;
}

/* Is the row true as written? With everything times 2^f, the sum and D's
 * floor are integers; the sum is at most D if it is at most that. */
static bool row_holds(struct run *r, const struct row *row, uint32_t n_x,
                      const struct values *x, const struct values *y)
{
    uint64_t f = (uint64_t) - (x->e < y->e ? x->e : y->e);
    const struct values *most = x->bits + x->e > y->bits + y->e ? x : y;
    struct big sum, one = {{1}};
    bool inexact;
    if ((int64_t)f + most->bits + most->e + 80 > 64 * BIG - 64 ||
        4 * row->digits.n + f + 4 * (row->exp > 0 ? (uint64_t)row->exp : 0) >
            64 * BIG - 64)
        refuse(r, UNDECIDED, "a value needs more than %d bits", 64 * BIG);
    inexact = big_decimal(&sum, row->digits, row->exp, f);
    /* D - sum of N v >= 0, or > 0; a negative D is rounded up. */
    if (row->neg) {
        struct big d = sum;
        sum = (struct big){{0}};
        big_add(&sum, &d, 1, 0, true);
        if (inexact)
            big_add(&sum, &one, 1, 0, true);
    }
    for (uint32_t i = 0; i < row->n; i++) {
        const struct values *v = row->var[i] < n_x ? x : y;
        int32_t k = row->coef[i];
        big_add(&sum, &v->x[row->var[i] - (v == x ? 0 : n_x)],
                (uint64_t)(k < 0 ? -k : k), (uint64_t)v->e + f, k > 0);
    }
    if (row->strict && !inexact)
        big_add(&sum, &one, 1, 0, true);
    return !negative(&sum);
}

void counterexample_check(struct run *r, struct claim *c)
{
    struct bytes b = claim_body(r, c, "AXCX\1\1\0");
    const struct property *pr = c->pr;
    uint32_t last = c->net->n_layers - 1, n_x = pr->n_x;
    struct values *v = get(r, last + 1, sizeof *v);
    const struct big one = {{1}};
    must(r, little(take(r, &b, 4).p, 4) == n_x && b.n == 4 * (size_t)n_x,
         "the number of inputs is wrong");
    v[0] = (struct values){get(r, n_x, sizeof *v[0].x), -149, 277};
    for (uint32_t i = 0; i < n_x; i++) {
        uint32_t bits = (uint32_t)little(b.p + 4 * i, 4),
                 e = bits >> 23 & 255;
        must(r, e < 255, "an input is not finite");
        big_add(&v[0].x[i], &one, (bits & 0x7fffff) + (e ? 1u << 23 : 0),
                e ? e - 1 : 0, bits >> 31);
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
