/* Exact evaluation over the reals, and exact replay of counterexamples.
 *
 * A node's values are integers over one power of two. They are computed with
 * GMP's low level in memory that is given to it; a term m 2^e a is one or two
 * multiplications of a by one limb, added at the right place. The last word
 * on a counterexample is here, so it is plain rather than fast.
 *
 * Only a division by what is no power of two is not exact: then so many more
 * bits are kept that the error hardly ever matters, and a bound of the error
 * goes along; where it matters, a counterexample is none. */
#include <gmp.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ax/arena.h"
#include "ax/net.h"

_Static_assert(GMP_NUMB_BITS == 64, "limbs of 64 bits");

#define MAX_BITS ((size_t)1 << 24) /* of one value */
#define MORE     1024              /* bits that a division adds */
#define EXACT    LONG_MIN

/* Values (-1)^negative * mag 2^e; mag [n, limbs], of which len are used. */
struct exact {
    uint32_t n;
    long e;
    size_t limbs;
    uint64_t *mag;
    uint32_t *len;
    bool *negative;
    long err; /* they are off by less than 2^err; EXACT: by nothing */
};

/* Two sums, of the positive and of the negative terms, over 2^e. */
struct sums {
    long e;
    size_t limbs;
    uint64_t *plus, *minus;
};

static ax_status no_memory(struct ax_err *err)
{
    return ax_fail(err, AX_ENOMEM, "%s", ax_status_text(AX_ENOMEM));
}

static ax_status new_exact(struct exact *v, uint32_t n, size_t limbs,
                           struct ax_arena *arena, struct ax_err *err)
{
    v->n = n;
    v->err = EXACT;
    v->limbs = limbs;
    v->mag = ax_arena_alloc(arena, n * limbs, sizeof *v->mag);
    v->len = ax_arena_alloc(arena, n, sizeof *v->len);
    v->negative = ax_arena_zalloc(arena, n, sizeof *v->negative);
    return v->mag && v->len && v->negative ? AX_OK : no_memory(err);
}

static uint32_t length(const uint64_t *p, size_t n)
{
    while (n && !p[n - 1])
        n--;
    return (uint32_t)n;
}

static size_t bits_of(const uint64_t *p, size_t n)
{
    n = length(p, n);
    return n ? 64 * n - (size_t)__builtin_clzll(p[n - 1]) : 0;
}

/* v = m 2^*e with m odd; v is finite and not 0. */
static int64_t split(double v, int *e)
{
    int64_t m = (int64_t)ldexp(frexp(v, e), 53);
    int zeros = __builtin_ctzll((uint64_t)m);

    *e += zeros - 53;
    return m / ((int64_t)1 << zeros);
}

/* sums += m 2^e a, for the len limbs at a; m 2^e is a multiple of the sums'
 * 2^e over a's. The result is known to fit. */
static void add_product(struct sums *s, bool negative, uint64_t m, long shift,
                        const uint64_t *a, size_t len)
{
    uint64_t *sum = negative ? s->minus : s->plus;
    size_t at = (size_t)shift / 64;
    int bit = (int)(shift % 64);
    uint64_t part[2] = {m << bit, bit ? m >> (64 - bit) : 0};

    for (int i = 0; i < 2; i++) {
        size_t to = at + (size_t)i, end = to + len;
        uint64_t carry;

        if (!part[i] || !len)
            continue;
        carry = mpn_addmul_1(sum + to, a, (mp_size_t)len, part[i]);
        for (; carry; end++) {
            sum[end] += carry;
            carry = sum[end] < carry;
        }
    }
}

/* What the terms of one block span. */
struct span {
    int low, high; /* exponents of odd coefficients */
    bool any;
};

static void widen(struct span *s, double w)
{
    int e;

    if (w == 0)
        return;
    split(w, &e);
    s->low = !s->any || e < s->low ? e : s->low;
    s->high = !s->any || e > s->high ? e : s->high;
    s->any = true;
}

/* The terms of a row of a block. */
struct terms {
    uint64_t from, end;
};

static struct terms row_terms(const struct ax_net *net,
                              const struct ax_block *b, uint32_t row)
{
    uint64_t n = net->nodes[b->source].n;

    if (b->form == AX_BLOCK_SPARSE)
        return (struct terms){b->row_ptr[row], b->row_ptr[row + 1]};
    return b->form == AX_BLOCK_SAME ? (struct terms){row, row + 1u}
                                    : (struct terms){row * n, (row + 1u) * n};
}

static double weight(const struct ax_block *b, uint64_t t)
{
    return b->w ? b->w[t] : b->wq ? (double)b->wq[t] : 1.0;
}

/* The common exponent of node k's sums, and room for them; with `more` bits
 * for what a division shifts out. */
static ax_status size_sums(struct sums *s, const struct ax_net *net,
                           uint32_t k, const struct exact *values, long more,
                           struct ax_arena *arena, struct ax_err *err)
{
    const struct ax_net_node *node = &net->nodes[k];
    long low = 0, top = 0;
    bool any = false;
    size_t bits;

    for (uint32_t i = 0; node->bias && i < node->n; i++) {
        long e = node->bias[i].e;

        if (!node->bias[i].m)
            continue;
        low = !any || e < low ? e : low;
        top = !any || e + 101 > top ? e + 101 : top;
        any = true;
    }
    for (uint32_t i = 0; i < node->n_blocks; i++) {
        const struct ax_block *b = &node->blocks[i];
        const struct exact *a = &values[b->source];
        struct terms last = row_terms(net, b, node->n - 1);
        struct span span = {0};
        long from, to;

        for (uint64_t t = 0; t < (b->w ? last.end : 1); t++)
            widen(&span, weight(b, t));
        from = span.low + a->e;
        to = span.high + 53 + a->e + (long)(64 * a->limbs);
        low = !any || from < low ? from : low;
        top = !any || to > top ? to : top;
        any = true;
    }
    /* At most 2^40 terms are added. */
    bits = (size_t)(top - low + more) + 40;
    if (top - low + more < 0 || bits > MAX_BITS)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "exact values of %zu bits are too long", bits);
    s->e = low;
    s->limbs = bits / 64 + 2;
    s->plus = ax_arena_alloc(arena, 2 * s->limbs, sizeof *s->plus);
    s->minus = s->plus ? s->plus + s->limbs : NULL;
    return s->plus ? AX_OK : no_memory(err);
}

static void clear(struct sums *s)
{
    memset(s->plus, 0, 2 * s->limbs * sizeof *s->plus);
}

/* plus - minus: sign, and magnitude at mag [limbs]; returns its length. */
static uint32_t difference(const struct sums *s, uint64_t *mag,
                           bool *negative)
{
    mp_size_t n = (mp_size_t)s->limbs;
    uint64_t *p = s->plus, *q = s->minus;

    *negative = mpn_cmp(p, q, n) < 0;
    if (*negative)
        mpn_sub_n(mag, q, p, n);
    else
        mpn_sub_n(mag, p, q, n);
    return length(mag, s->limbs);
}

static void add_row(struct sums *s, const struct ax_net *net,
                    const struct ax_block *b, uint32_t row,
                    const struct exact *a)
{
    struct terms r = row_terms(net, b, row);

    for (uint64_t t = r.from; t < r.end; t++) {
        size_t j = b->form == AX_BLOCK_SPARSE ? b->col[t]
                   : b->form == AX_BLOCK_SAME ? row
                                              : t - r.from;
        double w = weight(b, t);
        int64_t m;
        int e;

        if (w == 0 || !a->len[j])
            continue;
        m = split(w, &e);
        add_product(s, (m < 0) != a->negative[j],
                    m < 0 ? -(uint64_t)m : (uint64_t)m, e + a->e - s->e,
                    a->mag + j * a->limbs, a->len[j]);
    }
}

static void add_bias(struct sums *s, const struct ax_net_node *node,
                     uint32_t i)
{
    ax_i128 b = node->bias ? node->bias[i].m : 0;
    unsigned __int128 m = b < 0 ? -(unsigned __int128)b
                                : (unsigned __int128)b;
    uint64_t limbs[2] = {(uint64_t)m, (uint64_t)(m >> 64)};

    if (m)
        add_product(s, b < 0, 1, node->bias[i].e - s->e, limbs,
                    length(limbs, 2));
}

/* ---- division ---- */

/* How the sums of a node are divided: by up to 2^high, at least 2^low. */
struct division {
    bool any, odd;
    int low, high;
};

static struct division divisors(const struct ax_net_node *node)
{
    struct division d = {0};

    for (uint32_t i = 0; node->div && i < node->n; i++) {
        int e;
        int64_t m = split(node->div[i], &e);

        d.low = !d.any || e < d.low ? e : d.low;
        d.high = !d.any || e > d.high ? e : d.high;
        d.odd |= m != 1 && m != -1;
        d.any = true;
    }
    return d;
}

/* The sum in s, over 2^s->e, divided by d, rounded to zero, and over 2^to
 * then, takes the sum's place. */
static void divide(struct sums *s, double d, long to, uint64_t *mag)
{
    int e;
    int64_t m = split(d, &e);
    uint64_t by = m < 0 ? -(uint64_t)m : (uint64_t)m;
    bool negative;
    uint32_t len = difference(s, mag, &negative);
    struct sums shifted = *s;

    clear(s);
    add_product(&shifted, false, 1, s->e - e - to, mag, len);
    len = length(s->plus, s->limbs);
    if (len)
        mpn_divrem_1(s->plus, 0, s->plus, (mp_size_t)len, by);
    if (negative != (m < 0)) {
        memcpy(s->minus, s->plus, s->limbs * sizeof *s->plus);
        memset(s->plus, 0, s->limbs * sizeof *s->plus);
    }
}

/* log2 of what errors of the sources become in one row, rounded up. */
static long carry_error(const struct ax_net *net, uint32_t k,
                        const struct exact *values, struct division d)
{
    const struct ax_net_node *node = &net->nodes[k];
    long most = EXACT;

    for (uint32_t i = 0; i < node->n_blocks; i++) {
        const struct ax_block *b = &node->blocks[i];
        struct terms last = row_terms(net, b, node->n - 1);
        double top = 0;
        int e;

        if (values[b->source].err == EXACT)
            continue;
        for (uint64_t t = 0; t < (b->w ? last.end : 1); t++)
            top = fabs(weight(b, t)) > top ? fabs(weight(b, t)) : top;
        frexp(top, &e);
        /* Less than 2^31 terms a block, 2^31 blocks. */
        if (values[b->source].err + e + 62 > most)
            most = values[b->source].err + e + 62;
    }
    return most == EXACT ? EXACT : most - (d.any ? d.low : 0);
}

/* Drop limbs that no value uses, at the top and at the bottom. */
static void tighten(struct exact *v)
{
    size_t top = 1, zeros = v->limbs;

    for (uint32_t i = 0; i < v->n; i++) {
        const uint64_t *p = v->mag + i * v->limbs;
        size_t z = 0;

        if (!v->len[i])
            continue;
        while (z < zeros && !p[z])
            z++;
        zeros = z < zeros ? z : zeros;
        top = v->len[i] > top ? v->len[i] : top;
    }
    if (zeros >= top)
        zeros = 0;
    for (uint32_t i = 0; i < v->n; i++) {
        memmove(v->mag + i * (top - zeros), v->mag + i * v->limbs + zeros,
                (top - zeros) * sizeof *v->mag);
        v->len[i] -= v->len[i] ? (uint32_t)zeros : 0;
    }
    v->limbs = top - zeros;
    v->e += 64 * (long)zeros;
}

static void set_zero(struct exact *v, uint32_t i)
{
    v->negative[i] = false;
    v->len[i] = 0;
    memset(v->mag + i * v->limbs, 0, v->limbs * sizeof *v->mag);
}

static ax_status evaluate_node(struct exact *values, const struct ax_net *net,
                               uint32_t k, struct ax_arena *arena,
                               struct ax_err *err)
{
    const struct ax_net_node *node = &net->nodes[k];
    struct division d = divisors(node);
    /* From 2^e to 2^to, where quotients and biases are. */
    long more = d.any ? d.high - d.low + (d.odd ? MORE : 0) : 0, to;
    struct exact *v = &values[k];
    struct sums s;

    AX_TRY(size_sums(&s, net, k, values, more + labs(d.low) + labs(d.high),
                     arena, err));
    AX_TRY(new_exact(v, node->n, s.limbs, arena, err));
    to = d.any ? s.e - labs(d.high) - (d.odd ? MORE : 0) : s.e;
    v->e = to;
    v->err = carry_error(net, k, values, d);
    if (d.odd) /* one more unit */
        v->err = v->err == EXACT || v->err < to ? to + 1 : v->err + 1;
    for (uint32_t i = 0; i < node->n; i++) {
        struct sums row = s;

        clear(&s);
        for (uint32_t b = 0; b < node->n_blocks; b++)
            add_row(&s, net, &node->blocks[b], i,
                    &values[node->blocks[b].source]);
        if (d.any) {
            divide(&s, node->div[i], to, v->mag + i * v->limbs);
            row.e = to;
        }
        add_bias(&row, node, i);
        v->len[i] = difference(&row, v->mag + i * v->limbs, &v->negative[i]);
        if (v->negative[i] && node->kind == AX_NET_RELU)
            set_zero(v, i);
    }
    tighten(v);
    return AX_OK;
}

static ax_status check_finite(const float *x, uint32_t n, struct ax_err *err)
{
    for (uint32_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return ax_fail(err, AX_EFORMAT, "input %u is not finite", i);
    return AX_OK;
}

static ax_status read_inputs(struct exact *v, const float *x, uint32_t n,
                             struct ax_arena *arena, struct ax_err *err)
{
    struct span span = {0};
    size_t limbs;

    AX_TRY(check_finite(x, n, err));
    for (uint32_t i = 0; i < n; i++)
        widen(&span, (double)x[i]);
    limbs = (size_t)(span.high - span.low + 24) / 64 + 1;
    AX_TRY(new_exact(v, n, limbs, arena, err));
    v->e = span.low;
    memset(v->mag, 0, n * limbs * sizeof *v->mag);
    for (uint32_t i = 0; i < n; i++) {
        struct sums s = {.plus = v->mag + i * limbs};
        uint64_t one = 1;
        int e = span.low;
        int64_t m = x[i] != 0 ? split((double)x[i], &e) : 0;

        s.minus = s.plus;
        v->negative[i] = m < 0;
        add_product(&s, false, m < 0 ? -(uint64_t)m : (uint64_t)m,
                    e - span.low, &one, 1);
        v->len[i] = length(v->mag + i * limbs, limbs);
    }
    return AX_OK;
}

static ax_status evaluate(struct exact *values, const struct ax_net *net,
                          const float *x, struct ax_arena *arena,
                          struct ax_err *err)
{
    AX_TRY(read_inputs(&values[0], x, net->nodes[0].n, arena, err));
    for (uint32_t k = 1; k < net->n_nodes; k++)
        AX_TRY(evaluate_node(values, net, k, arena, err));
    return AX_OK;
}

/* The nearest double, ties to even. */
static double nearest(const struct exact *v, uint32_t i)
{
    const uint64_t *p = v->mag + i * v->limbs;
    long bits = (long)bits_of(p, v->len[i]), keep = bits + v->e + 1074, drop;
    uint64_t top = 0;
    bool half = false, rest = false;
    double out;

    keep = keep > 53 ? 53 : keep;
    if (!bits || keep < 0)
        return 0;
    drop = bits - keep; /* negative if all bits are kept */
    for (long b = bits - 1; b >= 0 && b >= drop - 1; b--) {
        bool one = p[b / 64] >> (b % 64) & 1;

        if (b >= drop)
            top = top << 1 | one;
        else
            half = one;
    }
    for (long b = drop - 2; b >= 0 && !rest; b--)
        rest = p[b / 64] >> (b % 64) & 1;
    drop = drop > 0 ? drop : 0;
    top += half && (rest || (top & 1));
    out = ldexp((double)top, (int)(drop + v->e));
    return v->negative[i] ? -out : out;
}

/* Is row r true at the inputs x and outputs y, as it was written? */
static ax_status holds(bool *out, const struct ax_row *r,
                       const struct exact *x, const struct exact *y,
                       struct ax_arena *arena, struct ax_err *err)
{
    long low = x->e < y->e ? x->e : y->e;
    long top_x = x->e + 64 * (long)x->limbs;
    long top_y = y->e + 64 * (long)y->limbs;
    struct sums s = {.e = low};
    const uint64_t one = 1;
    bool negative;
    uint64_t *mag;
    int sign;

    if (y->err != EXACT && y->err > top_y)
        top_y = y->err;
    s.limbs = (size_t)((top_x > top_y ? top_x : top_y) - low + 26 + 33 + 64) /
              64;
    s.limbs += 2;
    s.plus = ax_arena_alloc(arena, 3 * s.limbs, sizeof *s.plus);
    if (!s.plus)
        return no_memory(err);
    s.minus = s.plus + s.limbs;
    mag = s.minus + s.limbs;
    clear(&s);
    for (uint32_t t = 0; t < r->n_x + r->n_y; t++) {
        const struct exact *v = t < r->n_x ? x : y;
        uint32_t u = t < r->n_x ? t : t - r->n_x;
        uint32_t i = t < r->n_x ? r->x_index[u] : r->y_index[u];
        int64_t n = t < r->n_x ? r->x_coef[u] : r->y_coef[u];

        add_product(&s, (n < 0) != v->negative[i],
                    n < 0 ? -(uint64_t)n : (uint64_t)n, v->e - low,
                    v->mag + i * v->limbs, v->len[i]);
    }
    /* What it is at most: the sum of less than 2^32 terms of 2^26. */
    if (y->err != EXACT && y->err + 58 > low)
        add_product(&s, false, 1, y->err + 58 - low, &one, 1);
    else if (y->err != EXACT)
        add_product(&s, false, 1, 0, &one, 1);
    s.limbs = difference(&s, mag, &negative);
    AX_TRY(ax_row_compare(&sign, r, mag, s.limbs, negative, low, err));
    *out = r->strict ? sign < 0 : sign <= 0;
    return AX_OK;
}

static bool inside(const struct ax_conj *c, const float *x, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if ((double)x[i] < c->lo_in[i] || (double)x[i] > c->hi_in[i])
            return false;
    return !c->never;
}

/* The first conjunction that is true at x; the network is evaluated when
 * the first box contains x. */
static ax_status refutes(const struct ax_net *net, const struct ax_prop *p,
                         const float *x, uint32_t *group, uint32_t *conj,
                         struct exact *values, struct ax_arena *arena,
                         struct ax_err *err)
{
    struct exact *y = &values[net->n_nodes - 1];

    AX_TRY(check_finite(x, p->n_x, err));
    for (uint32_t g = 0; g < p->n_groups; g++)
        for (uint32_t c = 0; c < p->groups[g].n_conj; c++) {
            const struct ax_conj *cj = &p->groups[g].conj[c];
            bool all = inside(cj, x, p->n_x);

            if (all && !y->mag)
                AX_TRY(evaluate(values, net, x, arena, err));
            for (uint32_t r = 0; all && r < cj->n_rows; r++)
                AX_TRY(holds(&all, cj->rows[r], values, y, arena, err));
            if (all) {
                *group = g;
                *conj = c;
                return AX_OK;
            }
        }
    return AX_NO;
}

ax_status ax_net_refutes(const struct ax_net *net, const struct ax_prop *p,
                         const float *x, uint32_t *group, uint32_t *conj,
                         struct ax_err *err)
{
    struct ax_arena *arena = ax_arena_new();
    struct exact *values = NULL;
    ax_status st;

    if (p->n_x != net->nodes[0].n || p->n_y != net->nodes[net->n_nodes - 1].n)
        st = ax_fail(err, AX_ESHAPE,
                     "a property of %u inputs and %u outputs, a network of "
                     "%u and %u",
                     p->n_x, p->n_y, net->nodes[0].n,
                     net->nodes[net->n_nodes - 1].n);
    else if (!arena ||
             !(values = ax_arena_zalloc(arena, net->n_nodes, sizeof *values)))
        st = no_memory(err);
    else
        st = refutes(net, p, x, group, conj, values, arena, err);
    ax_arena_free(arena);
    return st;
}

ax_status ax_net_exact(const struct ax_net *net, const float *x, double *y,
                       struct ax_err *err)
{
    struct ax_arena *arena = ax_arena_new();
    struct exact *values = NULL, *out;
    ax_status st;

    if (!arena ||
        !(values = ax_arena_zalloc(arena, net->n_nodes, sizeof *values))) {
        ax_arena_free(arena);
        return no_memory(err);
    }
    st = evaluate(values, net, x, arena, err);
    out = &values[net->n_nodes - 1];
    for (uint32_t i = 0; st == AX_OK && i < out->n; i++)
        y[i] = nearest(out, i);
    ax_arena_free(arena);
    return st;
}
