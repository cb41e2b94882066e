/* replay.c - encloses the outputs of the network at a counterexample, and
 * looks for a conjunction that it makes true, as written. Values are
 * intervals of integers at scale 64, rounded outwards. What a float32 input
 * and float32 weights make is most often exact, so that ties are decided. */
#include "island.h"

#include <string.h>

struct interval {
    i128 lo, hi;
};

struct bytes claim_body(struct run *r, const struct claim *c,
                        const char *magic)
{
    struct bytes b = c->payload;
    must(r, memcmp(take(r, &b, 8).p, magic, 8) == 0,
         "of another version, or without semantics 'real'");
    if (memcmp(take(r, &b, 32).p, c->identity, 32) != 0)
        refuse(r, REJECTED, "it speaks of another model");
    if (memcmp(take(r, &b, 32).p, c->digest, 32) != 0)
        refuse(r, REJECTED, "it speaks of another property");
    return b;
}

static _Noreturn void too_large(struct run *r)
{
    refuse(r, UNDECIDED, "a value does not fit in 126 bits");
}

static i128 add(struct run *r, i128 a, i128 b)
{
    if (__builtin_add_overflow(a, b, &a) || num_bits(a) > 126)
        too_large(r);
    return a;
}

/* floor(m v 2^e / d), d > 0; or less than that, if m v is too long: then
 * bits of v go, the result rounded down. Most often they are zeros. */
static i128 times(struct run *r, i128 v, i128 m, int64_t e, i128 d)
{
    int over = num_bits(v) + num_bits(m) - 126;
    i128 q;
    if (v == 0 || m == 0)
        return 0;
    if (over > 0) {
        v = m > 0 ? v >> over : -(-v >> over);
        e += over;
    }
    if (num_bits(v) + num_bits(m) + (e > 0 ? e : 0) > 126)
        too_large(r);
    v *= m;
    v *= e > 0 ? (i128)1 << e : 1;
    q = v / d;
    q -= q * d > v;
    /* floor(floor(x) 2^e) = floor(x 2^e) for e <= 0. */
    return e < -126 ? -(q < 0) : e < 0 ? q >> -e : q;
}

/* m 2^e / d times an interval. */
static struct interval scale(struct run *r, struct interval v, i128 m,
                             int64_t e, i128 d)
{
    struct interval out;
    if (d < 0) {
        d = -d;
        m = -m;
    }
    out.lo = times(r, m < 0 ? v.hi : v.lo, m, e, d);
    out.hi = -times(r, m < 0 ? v.lo : v.hi, -m, e, d);
    return out;
}

/* 1 / (1 + e^-v), which increases; beyond 64 it is flat. */
static struct interval rising(struct interval v)
{
    i128 far = (i128)64 << 64, a = v.lo < -far  ? -far
                                   : v.lo > far ? far
                                                : v.lo;
    i128 b = v.hi < -far ? -far : v.hi > far ? far : v.hi;
    a = sigmoid((int64_t)(a >> 36)) - 2;
    b = sigmoid((int64_t) - (-b >> 36)) + 2;
    return (struct interval){a < 0 ? 0 : a * ((i128)1 << 36),
                             b * ((i128)1 << 36)};
}

static void evaluate(struct run *r, const struct node *n, struct interval *v)
{
    for (uint64_t i = 0; i < n->n; i++) {
        struct num d = n->d ? n->d[i] : (struct num){1, 0};
        struct interval sum = {0, 0}, one = {1, 1}, part;
        for (uint64_t k = n->at[i]; k < n->at[i + 1]; k++) {
            const struct term *t = &n->t[k];
            part = scale(r, v[t->var], t->m, t->e - d.e, d.m);
            sum.lo = add(r, sum.lo, part.lo);
            sum.hi = add(r, sum.hi, part.hi);
        }
        part = scale(r, one, n->b[i].m, n->b[i].e + 64, 1);
        sum.lo = add(r, sum.lo, part.lo);
        sum.hi = add(r, sum.hi, part.hi);
        if (n->kind == RELU && sum.lo < 0)
            sum.lo = 0;
        if (n->kind == RELU && sum.hi < 0)
            sum.hi = 0;
        v[n->base + i] = n->kind == SIGMOID ? rising(sum) : sum;
    }
}

/* Is the row true as written: 1 yes, 0 no, -1 that is not known. D is in
 * [d64 - 1, d64] or, if exact, d64. */
static int row_holds(struct run *r, const struct row *row,
                     const struct interval *v, uint32_t n_x, uint32_t y)
{
    struct interval sum = {0, 0};
    i128 floor = row->d64 - !row->exact;
    for (uint32_t i = 0; i < row->n; i++) {
        uint32_t var = row->var[i];
        struct interval part = scale(r, v[var < n_x ? var : y + (var - n_x)],
                                     row->coef[i], 0, 1);
        sum.lo = add(r, sum.lo, part.lo);
        sum.hi = add(r, sum.hi, part.hi);
    }
    if (row->strict ? sum.hi < row->d64 : sum.hi <= floor)
        return 1;
    return (row->strict ? sum.lo >= row->d64 : sum.lo > floor) ? 0 : -1;
}

void counterexample_check(struct run *r, struct claim *c)
{
    struct bytes b = claim_body(r, c, "AXCX\1\1\0");
    const struct property *pr = c->pr;
    const struct net *net = c->net;
    struct interval *v = get(r, net->n_vars, sizeof *v), one = {1, 1};
    uint32_t n_x = pr->n_x, y = net->nodes[net->n_nodes - 1].base;
    bool unknown = false;
    must(r, little(take(r, &b, 4).p, 4) == n_x && b.n == 4 * (size_t)n_x,
         "the number of inputs is wrong");
    for (uint32_t i = 0; i < n_x; i++) {
        uint32_t bits = (uint32_t)little(b.p + 4 * i, 4),
                 e = bits >> 23 & 255;
        int64_t m = (bits & 0x7fffff) + (e ? 1 << 23 : 0);
        must(r, e < 255, "an input is not finite");
        v[i] = scale(r, one, bits >> 31 ? -m : m, (e ? e : 1) - 150 + 64, 1);
    }
    for (uint32_t k = 1; k < net->n_nodes; k++)
        evaluate(r, &net->nodes[k], v);
    for (uint32_t g = 0; g < pr->n_groups; g++)
        for (uint32_t i = 0; i < pr->groups[g].n_conj; i++) {
            const struct conj *conj = &pr->groups[g].conj[i];
            int all = 1;
            for (uint32_t j = 0; j < conj->n_all && all != 0; j++) {
                int is = row_holds(r, &pr->rows[conj->rows[j]], v, n_x, y);
                all = is == 1 ? all : is;
            }
            if (all == 1)
                return;
            unknown |= all < 0;
        }
    refuse(r, unknown ? UNDECIDED : REJECTED,
           unknown ? "the enclosure is too wide to tell"
                   : "the input makes no conjunction true");
}
