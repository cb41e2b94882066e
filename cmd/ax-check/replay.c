/* replay.c - encloses the outputs of the network at a counterexample, and
 * looks for a conjunction that it makes true, as written. Values are
 * intervals whose ends have 125 bits, and are rounded outwards. What a
 * float32 input and float32 weights make is most often exact, so that ties
 * are decided. */
#include "island.h"

#include <string.h>

enum { BITS = 125 };

struct dyadic { /* m 2^e, |m| <= 2^125, but in a bound D */
    i128 m;
    int64_t e;
};

struct interval {
    struct dyadic lo, hi;
};

struct replay {
    const struct net *net;
    const struct property *pr;
    const unsigned char *x; /* the inputs, 4 bytes each */
    bool ieee32;
    struct interval *v;            /* [n_vars] */
    const struct row **low, **top; /* [n_x] bounds that fix an input */
    bool fixed, evaluated;         /* for what v is: some are; all are made */
};

struct bytes claim_body(struct run *r, const struct claim *c,
                        const char *magic)
{
    struct bytes b = c->payload;
    const unsigned char *head = take(r, &b, 8).p;
    must(r,
         memcmp(head, magic, 5) == 0 && head[5] >= REAL &&
             head[5] <= IEEE32 && !head[6] && !head[7],
         "of another version, or of other semantics");
    if (memcmp(take(r, &b, 32).p, c->identity, 32) != 0)
        refuse(r, REJECTED, "it speaks of another model");
    if (memcmp(take(r, &b, 32).p, c->digest, 32) != 0)
        refuse(r, REJECTED, "it speaks of another property");
    return b;
}

/* a + b, or less than that. */
static struct dyadic add(struct dyadic a, struct dyadic b)
{
    int64_t by = a.e - b.e, up = BITS - bits(a.m);
    if (a.m == 0 || b.m == 0)
        return a.m == 0 ? b : a;
    if (by < 0)
        return add(b, a);
    up = up < 0 ? 0 : up < by ? up : by;
    a.m *= (i128)1 << up;
    a.e -= up;
    a.m += b.m >> (by - up < 127 ? by - up : 127); /* below 2^127 */
    up = bits(a.m) > BITS;
    return (struct dyadic){a.m >> up, a.e + up};
}

/* m v 2^e / d, d > 0, or less than that. If m v is too long, bits of v go:
 * most often they are zeros. */
static struct dyadic times(struct dyadic v, i128 m, int64_t e, i128 d)
{
    int over = bits(v.m) + bits(m) - BITS;
    i128 q;
    if (v.m == 0 || m == 0)
        return (struct dyadic){0, 0};
    if (over > 0)
        v.m = m > 0 ? v.m >> over : -(-v.m >> over);
    else if (d != 1)
        v.m *= (i128)1 << -over;
    over = d != 1 || over > 0 ? over : 0;
    v.m *= m;
    q = v.m / d;
    return (struct dyadic){q - (q * d > v.m), v.e + e + over};
}

static struct dyadic negative(struct dyadic v)
{
    return (struct dyadic){-v.m, v.e};
}

/* sum += m 2^e / d times an interval. */
static void add_scaled(struct interval *sum, struct interval v, i128 m,
                       int64_t e, i128 d)
{
    if (d < 0) {
        d = -d;
        m = -m;
    }
    sum->lo = add(sum->lo, times(m < 0 ? v.hi : v.lo, m, e, d));
    sum->hi = negative(
        add(negative(sum->hi), times(m < 0 ? v.lo : v.hi, -m, e, d)));
}

/* floor(v 2^28), or what is beyond 2^34, where a sigmoid is flat. */
static int64_t at_28(struct dyadic v)
{
    const i128 far = (i128)1 << 34;
    int64_t by = v.e + 28;
    if (v.m == 0)
        return 0;
    if (by > 0)
        v.m = bits(v.m) + by <= 34 ? v.m * ((i128)1 << by)
              : v.m < 0            ? -far
                                   : far;
    else
        v.m >>= by < -127 ? 127 : -by;
    return (int64_t)(v.m < -far ? -far : v.m > far ? far : v.m);
}

static const struct interval zero, unit = {{1, 0}, {1, 0}};

/* Of a Gelu, beyond 64 on a side: gelu(v) is max(0, v) less at most 1/4, and
 * less than 2^-27 where all of v is beyond. */
static struct interval far_gelu(struct interval v, bool all)
{
    struct interval y = zero;
    v.lo = v.lo.m < 0 ? zero.lo : v.lo;
    v.hi = v.hi.m < 0 ? zero.hi : v.hi;
    add_scaled(&y, unit, 1, -1, 1);
    add_scaled(&y, v, 1, -1, 1);
    y.lo = all ? add(y.lo, (struct dyadic){-1, -28}) : (struct dyadic){3, -3};
    return y;
}

/* That of a smooth node: sigmoid and erf increase, none is steeper than 1. */
static struct interval smooth(enum kind kind, struct interval v)
{
    const int64_t far = 1ll << 34, err = smooth_error(kind);
    int64_t a = at_28(v.lo), b = -at_28(negative(v.hi)), y, z;
    bool rises = kind == SIGMOID || kind == ERF;
    if (!rises && (a == -far || b == far)) {
        if (kind == GELU)
            return far_gelu(v, a == far || b == -far);
        return (struct interval){zero.lo, unit.hi};
    }
    y = smooth_value(kind, a) - err - (rises ? 0 : b - a);
    z = smooth_value(kind, rises ? b : a) + err + (rises ? 0 : b - a);
    return (struct interval){{y < 0 ? 0 : y, -28}, {z, -28}};
}

/* e^v, which increases. */
static struct interval growing(struct run *r, struct interval v)
{
    const int64_t far = 1ll << 33;
    int64_t l = at_28(v.lo), u = -at_28(negative(v.hi));
    i128 a = exponential(l > -far ? l < far ? l : far : -far), b;
    if (u > far)
        refuse(r, UNDECIDED, "an exponential of more than 32");
    b = exponential(u > -far ? u : -far);
    a -= exponential_error(a);
    return (struct interval){{l < -far || a < 0 ? 0 : a, -28},
                             {b + exponential_error(b), -28}};
}

/* v outwards with 62 bits, both ends at one exponent, which is returned. */
static int64_t brought(struct interval v, i128 ends[2])
{
    int64_t lo = v.lo.m ? bits(v.lo.m) + v.lo.e : INT32_MIN;
    int64_t hi = v.hi.m ? bits(v.hi.m) + v.hi.e : INT32_MIN;
    int64_t e = (lo > hi ? lo : hi) - 62;
    struct dyadic *end[2] = {&v.lo, &v.hi};
    for (int k = 0; k < 2; k++) {
        i128 m = k ? -end[k]->m : end[k]->m;
        int64_t by = m ? end[k]->e - e : 0;
        m = by < 0 ? m >> (by < -127 ? 127 : -by) : m * ((i128)1 << by);
        ends[k] = k ? -m : m;
    }
    return e;
}

static struct interval product(struct interval x, struct interval y)
{
    i128 a[2], b[2];
    int64_t e = brought(x, a) + brought(y, b);
    struct interval z = {{a[0] * b[0], e}, {a[0] * b[0], e}};
    for (int k = 1; k < 4; k++) {
        i128 m = a[k / 2] * b[k % 2];
        z.lo.m = m < z.lo.m ? m : z.lo.m;
        z.hi.m = m > z.hi.m ? m : z.hi.m;
    }
    return z;
}

static struct interval reciprocal(struct run *r, struct interval v)
{
    i128 ends[2];
    int64_t e = brought(v, ends);
    if (ends[0] <= 0)
        refuse(r, UNDECIDED, "a divisor may be 0");
    return (struct interval){times(unit.lo, 1, -e, ends[1]),
                             negative(times(unit.lo, -1, -e, ends[0]))};
}

/* The square root of d > 0, which has at most 53 bits. */
static struct interval root(struct num d)
{
    int odd = d.e & 1;
    int64_t v = square_root(d.m * ((i128)1 << (68 + odd)));
    int64_t e = (d.e - odd) / 2 - 34;
    return (struct interval){{v, e}, {v + 1, e}};
}

/* v to the nearest float32, halves to even; not finite: undecided. */
static struct dyadic nearest(struct run *r, struct dyadic v)
{
    int64_t top = bits(v.m) + v.e, e = top - 24 < -149 ? -149 : top - 24;
    int64_t by = e - v.e;
    i128 m, rest;
    if (v.m == 0 || by > 126) /* less than half of 2^-149 */
        return (struct dyadic){0, 0};
    if (by > 0) {
        m = v.m >> by;
        rest = v.m - m * ((i128)1 << by) - ((i128)1 << (by - 1));
        v.m = m + (rest > 0 || (rest == 0 && (m & 1)));
        v.e = e;
    }
    if (bits(v.m) + v.e > 128)
        refuse(r, UNDECIDED, "a value is not finite in float32");
    return v;
}

static bool point(struct interval v)
{
    return add(v.lo, negative(v.hi)).m == 0;
}

/* A value of an execution: what an operator computes exactly, rounded once. A
 * comparison rounds nothing. */
static struct interval rounded(struct run *r, const struct node *n,
                               struct interval v)
{
    if (!n->exact)
        v = (struct interval){nearest(r, v.lo), nearest(r, v.hi)};
    if (!point(v))
        refuse(r, UNDECIDED, "a value between two floats");
    return v;
}

static void evaluate(struct run *r, struct replay *p, const struct node *n)
{
    for (uint64_t i = 0; i < n->n; i++) {
        struct num d = n->d ? n->d[i] : one;
        struct interval sum = zero;
        if (n->kind == PRODUCT) {
            p->v[n->base + i] = product(p->v[n->var[n->at[i]]],
                                        p->v[n->var[n->at[i] + 1]]);
            continue;
        }
        for (uint64_t k = n->at[i]; k < n->at[i + 1]; k++) {
            const struct term *t = &n->t[k];
            if (n->root)
                add_scaled(&sum, p->v[t->var], t->m, t->e, 1);
            else
                add_scaled(&sum, p->v[t->var], t->m, (int64_t)t->e - d.e,
                           d.m);
        }
        if (n->root)
            sum = product(sum, reciprocal(r, root(d)));
        add_scaled(&sum, unit, n->b[i].m, n->b[i].e, 1);
        if (p->ieee32 && n->kind < PRODUCT)
            sum = rounded(r, n, sum);
        if (n->kind == RELU && sum.lo.m < 0)
            sum.lo = zero.lo;
        if (n->kind == RELU && sum.hi.m < 0)
            sum.hi = zero.hi;
        if (n->kind >= SIGMOID)
            sum = smooth(n->kind, sum);
        if (n->kind == SIGMOID && p->ieee32) /* as a library may */
            sum.lo = sum.hi = nearest(r, sum.lo);
        else if (n->kind == EXPONENTIAL)
            sum = growing(r, sum);
        else if (n->kind == RECIPROCAL)
            sum = reciprocal(r, sum);
        p->v[n->base + i] = sum;
    }
}

/* An input as a float32, or, if a conjunction fixes it, as the D of that
 * bound: D 2^64 is d64 or between d64 - 1 and d64. */
static void set_input(struct run *r, struct replay *p, uint32_t i)
{
    uint32_t word = (uint32_t)little(p->x + 4 * i, 4), e = word >> 23 & 255;
    int64_t m = (word & 0x7fffff) + (e ? 1 << 23 : 0);
    struct interval *v = &p->v[p->net->nodes[0].base + i];
    const struct row *top = p->top[i];
    must(r, e < 255, "an input is not finite");
    *v = zero;
    if (top)
        *v = (struct interval){{top->d64 - !top->exact, -64},
                               {top->d64, -64}};
    else
        add_scaled(v, unit, word >> 31 ? -m : m, (int64_t)(e ? e : 1) - 150,
                   1);
}

/* The inputs as the conjunction has them: one whose bounds, not strict, are
 * the same number has this value. */
static void set_inputs(struct run *r, struct replay *p,
                       const struct conj *conj)
{
    bool fixed = false;
    memset(p->low, 0, p->pr->n_x * sizeof *p->low);
    memset(p->top, 0, p->pr->n_x * sizeof *p->top);
    for (uint32_t j = 0; j < conj->n_all; j++) {
        const struct row *row = &p->pr->rows[conj->rows[j]], **side;
        side = row->coef && row->coef[0] < 0 ? p->low : p->top;
        if (row->box && !row->strict &&
            (!side[row->var[0]] || row->d64 < side[row->var[0]]->d64))
            side[row->var[0]] = row;
    }
    for (uint32_t i = 0; i < p->pr->n_x; i++) {
        if (!p->low[i] || !p->top[i] || p->ieee32 ||
            !opposite(p->low[i], p->top[i]))
            p->low[i] = p->top[i] = NULL;
        fixed |= p->top[i] != NULL;
    }
    if (p->evaluated && !fixed && !p->fixed)
        return;
    p->fixed = fixed;
    p->evaluated = false;
    for (uint32_t i = 0; i < p->pr->n_x; i++)
        set_input(r, p, i);
}

/* Is the row true as written: 1 yes, 0 no, -1 that is not known. D 2^64 is
 * d64 if that is exact, else between d64 - 1 and d64; but I128_MAX and -2^126
 * stand for all that are larger, see set_d. */
static int row_holds(const struct replay *p, const struct row *row,
                     uint32_t n_x)
{
    const struct node *x = p->net->nodes, *y = x + p->net->n_nodes - 1;
    bool large = row->d64 == I128_MAX, small = -row->d64 >> 126 > 0;
    i128 low = row->d64 - !row->exact;
    struct interval sum = zero;
    for (uint32_t i = 0; i < row->n; i++) {
        uint32_t v = row->var[i];
        v = v < n_x ? x->base + v : y->base + v - n_x;
        add_scaled(&sum, p->v[v], row->coef[i], 0, 1);
    }
    if (large || small) {
        add_scaled(&sum, unit, large ? -1 : 1, 62, 1);
        return large && sum.hi.m < 0 ? 1 : small && sum.lo.m > 0 ? 0 : -1;
    }
    sum.lo = add(sum.lo, (struct dyadic){-low, -64});
    sum.lo = add(sum.lo, (struct dyadic){-!row->exact, -64});
    sum.hi = add(negative(sum.hi), (struct dyadic){low, -64});
    if (sum.hi.m > 0 || (sum.hi.m == 0 && !(row->strict && row->exact)))
        return 1;
    return sum.lo.m > 0 || (sum.lo.m == 0 && (row->strict || !row->exact))
               ? 0
               : -1;
}

/* Is it a bound at the value that its input is fixed to? */
static bool fixes(const struct replay *p, const struct row *row)
{
    const struct row *other;
    if (!row->box || row->strict)
        return false;
    other = row->coef[0] < 0 ? p->top[row->var[0]] : p->low[row->var[0]];
    return other && opposite(row, other);
}

/* Are all rows of the conjunction true, those that speak of inputs alone, or
 * the others: likewise. What fixes an input is. */
static int all_hold(const struct replay *p, const struct conj *conj,
                    bool inputs)
{
    int all = 1;
    for (uint32_t j = 0; j < conj->n_all && all != 0; j++) {
        const struct row *row = &p->pr->rows[conj->rows[j]];
        bool of_inputs = row->n == 0 || row->var[row->n - 1] < p->pr->n_x;
        if (of_inputs == inputs && !fixes(p, row)) {
            int is = row_holds(p, row, p->pr->n_x);
            all = is == 1 ? all : is;
        }
    }
    return all;
}

static int conj_holds(struct run *r, struct replay *p,
                      const struct conj *conj)
{
    int in, out;
    set_inputs(r, p, conj);
    in = all_hold(p, conj, true);
    if (in == 0)
        return 0;
    for (uint32_t k = 1; k < p->net->n_nodes && !p->evaluated; k++)
        evaluate(r, p, &p->net->nodes[k]);
    p->evaluated = true;
    out = all_hold(p, conj, false);
    if (out == 0 && p->ieee32) /* another execution may */
        return -1;
    return out == 1 ? in : out;
}

/* Is there a conjunction that is true: likewise. */
static int some_holds(struct run *r, struct replay *p)
{
    const struct property *pr = p->pr;
    int some = 0;
    for (uint32_t g = 0; g < pr->n_groups; g++)
        for (uint32_t i = 0; i < pr->groups[g].n_conj && some != 1; i++) {
            int is = conj_holds(r, p, &pr->groups[g].conj[i]);
            some = is == 0 ? some : is;
        }
    return some;
}

void counterexample_check(struct run *r, struct claim *c)
{
    struct bytes b = claim_body(r, c, "AXCX\1");
    struct replay p = {
        .net = c->net, .pr = c->pr, .ieee32 = c->semantics == IEEE32};
    int is;
    must(r,
         little(take(r, &b, 4).p, 4) == c->pr->n_x &&
             b.n == 4 * (size_t)c->pr->n_x,
         "the number of inputs is wrong");
    if (p.ieee32 && c->net->only_real)
        refuse(r, UNDECIDED, "not covered by ieee32: %s", c->net->only_real);
    p.v = get(r, c->net->n_vars, sizeof *p.v);
    p.low = get(r, c->pr->n_x, sizeof *p.low);
    p.top = get(r, c->pr->n_x, sizeof *p.top);
    p.x = b.p;
    is = some_holds(r, &p);
    if (is == 1)
        return;
    refuse(r, is < 0 ? UNDECIDED : REJECTED,
           is < 0 ? p.ieee32 ? "the execution that is looked at does not tell"
                             : "the enclosure is too wide to tell"
                  : "the input makes no conjunction true");
}
