/* Exact evaluation over the reals, and exact replay of counterexamples.
 *
 * A node's values are integers times one power of two over one odd
 * denominator. They are computed with GMP's low level in memory that is given
 * to it; a term m 2^e a is one or two multiplications of a by one limb, added
 * at the right place. Each node that divides makes a new denominator, a
 * multiple of all that there were. The last word on a counterexample is here,
 * so it is plain rather than fast. */
#include <gmp.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ax/net.h"
#include "lowering.h"

_Static_assert(GMP_NUMB_BITS == 64, "limbs of 64 bits");

#define MAX_BITS  ((size_t)1 << 24) /* of one value */
#define MAX_LIMBS ((size_t)1 << 29) /* of a node */

/* A denominator: odd, the top limb not 0, a multiple of that before it. */
struct denominator {
    uint64_t *p;
    size_t len;
};

/* Values (-1)^negative * mag 2^e / denominator number LEVEL; mag [n, limbs],
 * of which len are used. */
struct exact {
    uint32_t n, level;
    long e;
    size_t limbs;
    uint64_t *mag;
    uint32_t *len;
    bool *negative;
};

/* An evaluation. Denominator 0 is 1. */
struct replay {
    const struct ax_net *net;
    struct exact *values; /* [nodes] */
    struct denominator *den;
    uint32_t n_den;
    struct ax_arena *arena;
    struct ax_err *err;
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

static ax_status new_exact(struct replay *r, struct exact *v, uint32_t n,
                           size_t limbs)
{
    if (limbs > MAX_BITS / 64 || limbs > MAX_LIMBS / (n + (size_t)1))
        return ax_fail(r->err, AX_EUNSUPPORTED,
                       "exact values, %u of %zu bits, are too long", n,
                       64 * limbs);
    v->n = n;
    v->limbs = limbs;
    v->mag = ax_arena_alloc(r->arena, n * limbs, sizeof *v->mag);
    v->len = ax_arena_alloc(r->arena, n, sizeof *v->len);
    v->negative = ax_arena_zalloc(r->arena, n, sizeof *v->negative);
    return v->mag && v->len && v->negative ? AX_OK : no_memory(r->err);
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

static uint64_t terms_of(const struct ax_net *net, uint32_t k,
                         const struct ax_block *b)
{
    uint64_t rows = net->nodes[k].n;

    return b->form == AX_BLOCK_SAME ? rows
           : b->row_ptr             ? b->row_ptr[rows]
                                    : rows * net->nodes[b->source].n;
}

/* How a node divides: row i by m 2^e, m odd. */
static int64_t odd_divisor(const struct ax_net_node *node, uint32_t i, int *e)
{
    return split(node->div[i], e);
}

static uint64_t magnitude(int64_t m)
{
    return m < 0 ? -(uint64_t)m : (uint64_t)m;
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t t = a % b;

        a = b;
        b = t;
    }
    return a;
}

/* out = a / b, which is exact. */
static ax_status quotient(struct replay *r, struct denominator *out,
                          const struct denominator *a,
                          const struct denominator *b)
{
    uint64_t *rest = ax_arena_alloc(r->arena, b->len, sizeof *rest);

    out->len = a->len - b->len + 1;
    out->p = ax_arena_alloc(r->arena, out->len, sizeof *out->p);
    if (!rest || !out->p)
        return no_memory(r->err);
    mpn_tdiv_qr(out->p, rest, 0, a->p, (mp_size_t)a->len, b->p,
                (mp_size_t)b->len);
    out->len = length(out->p, out->len);
    return AX_OK;
}

/* The next denominator: the last one times the least common multiple of the
 * node's divisors. */
static ax_status new_denominator(struct replay *r,
                                 const struct ax_net_node *node)
{
    const struct denominator *last = &r->den[r->n_den - 1];
    uint64_t *multiple, one = 1, *product;
    size_t n = 1, room = 64, all;
    int e;

    multiple = ax_arena_alloc(r->arena, room, sizeof *multiple);
    if (!multiple)
        return no_memory(r->err);
    multiple[0] = one;
    for (uint32_t i = 0; i < node->n; i++) {
        uint64_t m = magnitude(odd_divisor(node, i, &e)), carry;

        m /= gcd(m, mpn_mod_1(multiple, (mp_size_t)n, m));
        if (m == 1)
            continue;
        if (n == room) {
            uint64_t *wide = ax_arena_alloc(r->arena, 2 * room, sizeof *wide);

            if (!wide)
                return no_memory(r->err);
            memcpy(wide, multiple, n * sizeof *wide);
            multiple = wide;
            room *= 2;
        }
        carry = mpn_mul_1(multiple, multiple, (mp_size_t)n, m);
        if (carry)
            multiple[n++] = carry;
        if (64 * (n + last->len) > MAX_BITS)
            return ax_fail(r->err, AX_EUNSUPPORTED,
                           "the divisors have a common multiple of more than "
                           "%zu bits",
                           MAX_BITS);
    }
    all = n + last->len;
    product = ax_arena_alloc(r->arena, all, sizeof *product);
    if (!product)
        return no_memory(r->err);
    if (n >= last->len)
        mpn_mul(product, multiple, (mp_size_t)n, last->p,
                (mp_size_t)last->len);
    else
        mpn_mul(product, last->p, (mp_size_t)last->len, multiple,
                (mp_size_t)n);
    r->den[r->n_den++] = (struct denominator){product, length(product, all)};
    return AX_OK;
}

/* out = a b, a of n limbs with room for b's in out; returns its length. */
static size_t times(uint64_t *out, const uint64_t *a, size_t n,
                    const struct denominator *b)
{
    if (!n)
        return 0;
    if (n >= b->len)
        mpn_mul(out, a, (mp_size_t)n, b->p, (mp_size_t)b->len);
    else
        mpn_mul(out, b->p, (mp_size_t)b->len, a, (mp_size_t)n);
    return length(out, n + b->len);
}

/* *v over denominator LEVEL, a later one. */
static ax_status raise_to(struct replay *r, struct exact *v, uint32_t level)
{
    struct denominator f;
    struct exact old = *v;

    if (v->level == level)
        return AX_OK;
    AX_TRY(quotient(r, &f, &r->den[level], &r->den[v->level]));
    AX_TRY(new_exact(r, v, old.n, old.limbs + f.len));
    memcpy(v->negative, old.negative, old.n * sizeof *v->negative);
    memset(v->mag, 0, v->n * v->limbs * sizeof *v->mag);
    for (uint32_t i = 0; i < v->n; i++)
        v->len[i] = (uint32_t)times(v->mag + i * v->limbs,
                                    old.mag + i * old.limbs, old.len[i], &f);
    v->level = level;
    return AX_OK;
}

/* What a node's sums are made from. */
struct sources {
    struct exact *v; /* [blocks], over one denominator */
    uint32_t level;
    struct denominator share; /* to the node's own denominator */
    int low, high;            /* exponents of divisors */
};

static ax_status bring_sources(struct replay *r, struct sources *in,
                               uint32_t k)
{
    const struct ax_net_node *node = &r->net->nodes[k];

    *in = (struct sources){0};
    in->v = ax_arena_alloc(r->arena, node->n_blocks, sizeof *in->v);
    if (!in->v)
        return no_memory(r->err);
    for (uint32_t i = 0; i < node->n_blocks; i++) {
        in->v[i] = r->values[node->blocks[i].source];
        if (in->v[i].level > in->level)
            in->level = in->v[i].level;
    }
    for (uint32_t i = 0; i < node->n_blocks; i++)
        AX_TRY(raise_to(r, &in->v[i], in->level));
    if (!node->div)
        return AX_OK;
    AX_TRY(new_denominator(r, node));
    for (uint32_t i = 0; i < node->n; i++) {
        int e;

        odd_divisor(node, i, &e);
        in->low = !i || e < in->low ? e : in->low;
        in->high = !i || e > in->high ? e : in->high;
    }
    return quotient(r, &in->share, &r->den[r->n_den - 1], &r->den[in->level]);
}

/* The common exponent of node k's sums, and room for them. */
static ax_status size_sums(struct replay *r, struct sums *s,
                           const struct sources *in, uint32_t k,
                           uint32_t level)
{
    const struct ax_net_node *node = &r->net->nodes[k];
    long low = 0, top = 0;
    bool any = false;
    size_t bits;

    for (uint32_t i = 0; i < node->n_blocks; i++) {
        const struct ax_block *b = &node->blocks[i];
        const struct exact *a = &in->v[i];
        uint64_t n = b->w ? terms_of(r->net, k, b) : 0;
        struct span span = {0};
        long from, to;

        for (uint64_t t = 0; t < n; t++)
            widen(&span, b->w[t]);
        from = span.low + a->e - in->high;
        to = span.high + 53 + a->e + (long)(64 * a->limbs) - in->low +
             (long)(64 * in->share.len);
        low = !any || from < low ? from : low;
        top = !any || to > top ? to : top;
        any = true;
    }
    for (uint32_t i = 0; node->bias && i < node->n; i++) {
        long from = node->bias[i].e;
        long to = from + 128 + (long)(64 * r->den[level].len);

        if (!node->bias[i].m)
            continue;
        low = !any || from < low ? from : low;
        top = !any || to > top ? to : top;
        any = true;
    }
    /* At most 2^40 terms are added. */
    bits = (size_t)(top - low) + 40;
    if (bits > MAX_BITS)
        return ax_fail(r->err, AX_EUNSUPPORTED,
                       "exact values of %zu bits are too long", bits);
    s->e = low;
    s->limbs = bits / 64 + 2;
    s->plus = ax_arena_alloc(r->arena, 2 * s->limbs, sizeof *s->plus);
    s->minus = s->plus ? s->plus + s->limbs : NULL;
    return s->plus ? AX_OK : no_memory(r->err);
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

/* The terms of row ROW; the sums are over 2^e then. */
static void add_row(struct sums *s, long e_sum, const struct ax_net *net,
                    const struct ax_block *b, uint32_t row,
                    const struct exact *a)
{
    uint64_t n = net->nodes[b->source].n, t = row * n, end = t + n, first = t;

    if (b->form == AX_BLOCK_SAME) {
        t = row;
        end = t + 1;
        first = 0;
    } else if (b->row_ptr) {
        t = b->row_ptr[row];
        end = b->row_ptr[row + 1];
    }
    for (; t < end; t++) {
        size_t j = b->col ? b->col[t] : t - first;
        int64_t m = b->wq && !b->w ? b->wq[t] : 1;
        int e = 0;

        if (!a->len[j] || (b->w && b->w[t] == 0))
            continue;
        if (b->w)
            m = split(b->w[t], &e);
        add_product(s, (m < 0) != a->negative[j], magnitude(m),
                    e + a->e - e_sum, a->mag + j * a->limbs, a->len[j]);
    }
}

/* The bias, times the denominator that it is brought to. */
static void add_bias(struct sums *s, const struct ax_net_node *node,
                     uint32_t i, const struct denominator *den)
{
    ax_i128 b = node->bias ? node->bias[i].m : 0;
    unsigned __int128 m = b < 0 ? -(unsigned __int128)b
                                : (unsigned __int128)b;
    long shift = b ? node->bias[i].e - s->e : 0;

    add_product(s, b < 0, (uint64_t)m, shift, den->p, den->len);
    add_product(s, b < 0, (uint64_t)(m >> 64), shift + 64, den->p, den->len);
}

/* The sums of row i, which were over 2^(e + in->high), divided. room has
 * twice the limbs of the sums and of the share. */
static void divide_row(struct sums *s, const struct sources *in,
                       const struct ax_net_node *node, uint32_t i,
                       uint64_t *room)
{
    int e;
    int64_t m = odd_divisor(node, i, &e);
    uint64_t *mag = room, *share = mag + s->limbs;
    uint64_t *product = share + in->share.len;
    struct denominator f = {share, in->share.len};
    bool negative;
    size_t n = difference(s, mag, &negative);

    mpn_divrem_1(share, 0, in->share.p, (mp_size_t)f.len, magnitude(m));
    f.len = length(share, f.len);
    n = times(product, mag, n, &f);
    clear(s);
    add_product(s, negative != (m < 0), 1, in->high - e, product, n);
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

static ax_status evaluate_node(struct replay *r, uint32_t k)
{
    const struct ax_net_node *node = &r->net->nodes[k];
    struct exact *v = &r->values[k];
    struct sources in;
    struct sums s;
    uint64_t *room;

    AX_TRY(bring_sources(r, &in, k));
    v->level = node->div ? r->n_den - 1 : in.level;
    AX_TRY(size_sums(r, &s, &in, k, v->level));
    AX_TRY(new_exact(r, v, node->n, s.limbs));
    room = ax_arena_alloc(r->arena, 2 * (s.limbs + in.share.len),
                          sizeof *room);
    if (!room)
        return no_memory(r->err);
    v->e = s.e;
    for (uint32_t i = 0; i < node->n; i++) {
        clear(&s);
        for (uint32_t b = 0; b < node->n_blocks; b++)
            add_row(&s, s.e + in.high, r->net, &node->blocks[b], i, &in.v[b]);
        if (node->div)
            divide_row(&s, &in, node, i, room);
        add_bias(&s, node, i, &r->den[v->level]);
        v->len[i] = difference(&s, v->mag + i * v->limbs, &v->negative[i]);
        if (v->negative[i] && node->kind == AX_NET_RELU) {
            v->negative[i] = false;
            v->len[i] = 0;
            memset(v->mag + i * v->limbs, 0, v->limbs * sizeof *v->mag);
        }
    }
    tighten(v);
    return AX_OK;
}

ax_status net_check_finite(const float *x, uint32_t n, struct ax_err *err)
{
    for (uint32_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return ax_fail(err, AX_EFORMAT, "input %u is not finite", i);
    return AX_OK;
}

/* The variables of node k are x. */
static ax_status read_floats(struct replay *r, uint32_t k, const float *x)
{
    struct exact *v = &r->values[k];
    uint32_t n = r->net->nodes[k].n;
    struct span span = {0};
    size_t limbs;

    for (uint32_t i = 0; i < n; i++)
        widen(&span, (double)x[i]);
    limbs = (size_t)(span.high - span.low + 24) / 64 + 1;
    AX_TRY(new_exact(r, v, n, limbs));
    v->e = span.low;
    memset(v->mag, 0, n * limbs * sizeof *v->mag);
    for (uint32_t i = 0; i < n; i++) {
        struct sums s = {.plus = v->mag + i * limbs};
        uint64_t one = 1;
        int e = span.low;
        int64_t m = x[i] != 0 ? split((double)x[i], &e) : 0;

        s.minus = s.plus;
        v->negative[i] = m < 0;
        add_product(&s, false, magnitude(m), e - span.low, &one, 1);
        v->len[i] = length(v->mag + i * limbs, limbs);
    }
    return AX_OK;
}

static ax_status evaluate(struct replay *r, const float *x)
{
    AX_TRY(net_check_finite(x, r->net->nodes[0].n, r->err));
    AX_TRY(read_floats(r, 0, x));
    for (uint32_t k = 1; k < r->net->n_nodes; k++)
        AX_TRY(evaluate_node(r, k));
    return AX_OK;
}

/* The double nearest to the n limbs at p times 2^e, and a little more if
 * REST; ties to even. With REST there are more than 53 bits. */
static double rounded(const uint64_t *p, size_t n, long e, bool rest)
{
    long bits = (long)bits_of(p, n), keep = bits + e + 1074, drop;
    uint64_t top = 0;
    bool half = false;

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
    return ldexp((double)top, (int)(drop + e));
}

static ax_status nearest(struct replay *r, double *out, const struct exact *v,
                         uint32_t i)
{
    const struct denominator *den = &r->den[v->level];
    const uint64_t *p = v->mag + i * v->limbs;
    size_t zeros = den->len + 2, n = v->len[i] + zeros;
    uint64_t *room;

    if (!v->level || !v->len[i]) {
        *out = rounded(p, v->len[i], v->e, false);
    } else {
        /* The quotient has more than 64 bits. */
        room = ax_arena_zalloc(r->arena, 2 * n + den->len, sizeof *room);
        if (!room)
            return no_memory(r->err);
        memcpy(room + zeros, p, v->len[i] * sizeof *room);
        mpn_tdiv_qr(room + n, room + 2 * n, 0, room, (mp_size_t)n, den->p,
                    (mp_size_t)den->len);
        *out = rounded(room + n, n - den->len + 1, v->e - 64 * (long)zeros,
                       length(room + 2 * n, den->len) != 0);
    }
    *out = v->negative[i] ? -*out : *out;
    return AX_OK;
}

/* Is row c true at the inputs x and outputs y, as it was written? Both are
 * over one denominator. */
static ax_status holds(struct replay *r, bool *out, const struct ax_row *c,
                       const struct exact *x, const struct exact *y)
{
    const struct denominator *den = &r->den[y->level];
    long low = x->e < y->e ? x->e : y->e;
    long top_x = x->e + 64 * (long)x->limbs;
    long top_y = y->e + 64 * (long)y->limbs;
    struct sums s = {.e = low};
    bool negative;
    uint64_t *mag;
    int sign;

    s.limbs = (size_t)((top_x > top_y ? top_x : top_y) - low + 26 + 33) / 64;
    s.limbs += 2;
    s.plus = ax_arena_alloc(r->arena, 3 * s.limbs, sizeof *s.plus);
    if (!s.plus)
        return no_memory(r->err);
    s.minus = s.plus + s.limbs;
    mag = s.minus + s.limbs;
    clear(&s);
    for (uint32_t t = 0; t < c->n_x + c->n_y; t++) {
        const struct exact *v = t < c->n_x ? x : y;
        uint32_t u = t < c->n_x ? t : t - c->n_x;
        uint32_t i = t < c->n_x ? c->x_index[u] : c->y_index[u];
        int64_t n = t < c->n_x ? c->x_coef[u] : c->y_coef[u];

        add_product(&s, (n < 0) != v->negative[i], magnitude(n), v->e - low,
                    v->mag + i * v->limbs, v->len[i]);
    }
    s.limbs = difference(&s, mag, &negative);
    AX_TRY(ax_row_compare(&sign, c, mag, s.limbs, negative, low, den->p,
                          den->len, r->err));
    *out = c->strict ? sign < 0 : sign <= 0;
    return AX_OK;
}

bool net_inside(const struct ax_conj *c, const float *x, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (!(c->fixed && c->fixed[i]) &&
            ((double)x[i] < c->lo_in[i] || (double)x[i] > c->hi_in[i]))
            return false;
    return !c->never;
}

/* The first conjunction that is true at x, of those that fix no input to what
 * is no float32; the network is evaluated when the first box contains x, or,
 * if they are given, its outputs are FLOATS. */
static ax_status refutes(struct replay *r, const struct ax_prop *p,
                         const float *x, const float *floats, uint32_t *group,
                         uint32_t *conj)
{
    uint32_t last = r->net->n_nodes - 1;

    struct exact *y = &r->values[r->net->n_nodes - 1], at = {0};

    AX_TRY(net_check_finite(x, p->n_x, r->err));
    for (uint32_t g = 0; g < p->n_groups; g++)
        for (uint32_t c = 0; c < p->groups[g].n_conj; c++) {
            const struct ax_conj *cj = &p->groups[g].conj[c];
            bool all = !cj->fixed && net_inside(cj, x, p->n_x);

            if (all && !at.mag) {
                if (floats) {
                    AX_TRY(read_floats(r, 0, x));
                    AX_TRY(read_floats(r, last, floats));
                } else {
                    AX_TRY(evaluate(r, x));
                }
                at = r->values[0];
                AX_TRY(raise_to(r, &at, y->level));
            }
            for (uint32_t i = 0; all && i < cj->n_rows; i++)
                AX_TRY(holds(r, &all, cj->rows[i], &at, y));
            if (all) {
                *group = g;
                *conj = c;
                return AX_OK;
            }
        }
    return AX_NO;
}

static ax_status open_replay(struct replay *r, const struct ax_net *net,
                             struct ax_err *err)
{
    uint32_t n = net->n_nodes;

    *r = (struct replay){.net = net, .n_den = 1, .err = err};
    r->arena = ax_arena_new();
    if (!r->arena)
        return no_memory(err);
    r->values = ax_arena_zalloc(r->arena, n, sizeof *r->values);
    r->den = ax_arena_zalloc(r->arena, n, sizeof *r->den);
    if (!r->values || !r->den ||
        !(r->den[0].p = ax_arena_alloc(r->arena, 1, sizeof *r->den[0].p)))
        return no_memory(err);
    r->den[0].p[0] = 1;
    r->den[0].len = 1;
    return AX_OK;
}

ax_status ax_net_refutes(const struct ax_net *net, const struct ax_prop *p,
                         const float *x, uint32_t *group, uint32_t *conj,
                         struct ax_err *err)
{
    struct replay r;
    ax_status st;

    if (p->n_x != net->nodes[0].n || p->n_y != net->nodes[net->n_nodes - 1].n)
        return ax_fail(err, AX_ESHAPE,
                       "a property of %u inputs and %u outputs, a network of "
                       "%u and %u",
                       p->n_x, p->n_y, net->nodes[0].n,
                       net->nodes[net->n_nodes - 1].n);
    if (net_irrational(net))
        return net_enclosed_refutes(net, p, false, x, group, conj, err);
    st = open_replay(&r, net, err);
    if (st == AX_OK)
        st = refutes(&r, p, x, NULL, group, conj);
    ax_arena_free(r.arena);
    if (st == AX_NO)
        st = net_enclosed_refutes(net, p, true, x, group, conj, err);
    return st;
}

ax_status ax_net_unsafe(const struct ax_net *net, const struct ax_prop *p,
                        const float *x, const float *y, uint32_t *group,
                        uint32_t *conj, struct ax_err *err)
{
    struct replay r;
    ax_status st;

    AX_TRY(net_check_finite(y, p->n_y, err));
    st = open_replay(&r, net, err);
    if (st == AX_OK)
        st = refutes(&r, p, x, y, group, conj);
    ax_arena_free(r.arena);
    return st;
}

ax_status ax_net_exact(const struct ax_net *net, const float *x, double *y,
                       struct ax_err *err)
{
    struct replay r;
    ax_status st;
    const struct exact *out;

    if (net_irrational(net))
        return net_enclosed(net, x, y, err);
    st = open_replay(&r, net, err);
    if (st == AX_OK)
        st = evaluate(&r, x);
    out = st == AX_OK ? &r.values[net->n_nodes - 1] : NULL;
    for (uint32_t i = 0; out && st == AX_OK && i < out->n; i++)
        st = nearest(&r, &y[i], out, i);
    ax_arena_free(r.arena);
    return st;
}
