/* arith.c - bounds of all neurons in one box, lower bounds of rows of the
 * property, and clipping: ax-cert(5), ARITHMETIC, by the letter. */
#include "island.h"

#include <string.h>

typedef int64_t vec __attribute__((vector_size(64)));

/* The same loops for several instruction sets, chosen at start. */
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define CLONES          \
    __attribute__((     \
        optimize("O3"), \
        target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES
#endif

/* Of one node, as a row goes down: e, in work, at scale q, after so many
 * shifts, if there is any. */
struct state {
    bool there;
    int64_t q, shifts, sum_m; /* SM < 2^62 */
};

/* Arrays over variables or the largest node, padded to 8. */
struct work {
    struct run *r;
    const struct net *net;
    bool ieee32;
    struct box *b;       /* the box at hand */
    i128 c;              /* C of the row that goes down */
    struct state *state; /* [n_nodes] */
    int64_t *e, *part;   /* the sums so far; what is to be added */
    int64_t *slope;      /* above, for one target */
    int64_t *nu;         /* of the node at hand */
    uint32_t *some;      /* where nu is not 0 */
    uint32_t n_some;
    i128 *low, *up; /* L and U of unstable neurons */
};

struct box box_new(struct run *r, const struct net *net)
{
    uint64_t n_x = net->nodes[0].n, n = net->n_vars;
    struct box b = {
        .lo = get(r, up8(2 * n_x) + 6 * n + up8(n) / 8 + 3 * net->n_nodes,
                  8)};
    b.hi = b.lo + n_x;
    b.m = b.lo + up8(2 * n_x); /* vectors are aligned */
    b.l = b.m + n;
    b.u = b.l + n;
    b.below = b.u + n;
    b.above = b.below + n;
    b.d = b.above + n;
    b.t = b.d + n;
    b.td = b.t + net->n_nodes;
    b.s = b.td + net->n_nodes;
    b.status = (uint8_t *)(b.s + net->n_nodes);
    return b;
}

void box_copy(const struct net *net, struct box *to, const struct box *from)
{
    memcpy(to->lo, from->lo,
           (size_t)(from->status + net->n_vars - (uint8_t *)from->lo));
    to->scale = from->scale;
    to->fresh = from->fresh;
    to->tables = from->tables;
}

struct work *work_new(struct run *r, const struct net *net, int semantics)
{
    struct work *w = get(r, 1, sizeof *w);
    uint64_t most = 8;
    for (uint32_t k = 0; k < net->n_nodes; k++)
        most = net->nodes[k].n > most ? up8(net->nodes[k].n) : most;
    *w = (struct work){
        .r = r,
        .net = net,
        .ieee32 = semantics == IEEE32,
        .state = get(r, net->n_nodes, sizeof *w->state),
        .e = get(r, net->n_vars, sizeof *w->e),
        .part = get(r, net->n_vars, sizeof *w->part),
        .slope = get(r, most, sizeof *w->slope),
        .nu = get(r, most, sizeof *w->nu),
        .some = get(r, most + 1, sizeof *w->some),
        .low = get(r, most, sizeof *w->low),
        .up = get(r, most, sizeof *w->up),
    };
    return w;
}

static i128 plus(struct run *r, i128 a, i128 b)
{
    if (__builtin_add_overflow(a, b, &a))
        refuse(r, REJECTED, "a value overflows");
    return a;
}

static i128 minus(struct run *r, i128 a, i128 b)
{
    if (__builtin_sub_overflow(a, b, &a))
        refuse(r, REJECTED, "a value overflows");
    return a;
}

/* floor(v 2^n) below limit in magnitude; limit itself if it is not. */
static i128 shifted(i128 v, int64_t n, i128 limit)
{
    if (n <= 0)
        v >>= n < -127 ? 127 : -n;
    else if (v != 0 && (n > 125 || v >= limit >> n || v <= -(limit >> n)))
        v = limit;
    else
        v *= (i128)1 << (n > 125 ? 0 : n);
    return v >= limit || v <= -limit ? limit : v;
}

/* C grows by floor(v 2^(64 - q)), which is returned. */
static i128 gain(struct work *w, i128 v, int64_t q)
{
    const i128 limit = (i128)1 << 120;
    v = shifted(v, 64 - q, limit);
    if (v == limit)
        refuse(w->r, REJECTED, "a value overflows");
    w->c = plus(w->r, w->c, v);
    return v;
}

/* The least of sum e_j x_j over the n inputs of a box; e may be NULL. */
static i128 least(struct run *r, const int64_t *e, const struct box *b,
                  uint32_t n)
{
    i128 sum = 0;
    for (uint32_t j = 0; j < n && e; j++)
        sum = plus(r, sum, (i128)e[j] * (e[j] < 0 ? b->hi[j] : b->lo[j]));
    return sum;
}

/* ---- a row goes down ---- */

/* g tiles of 8 columns of sum over i of nu_i W'_i. It is below 2^62 in
 * magnitude by the choice of K. */
static inline __attribute__((always_inline)) void
columns(const struct work *w, const struct node *n, const int64_t *nu,
        uint64_t tile, int64_t *e, const int g)
{
    vec acc[8] = {{0}};
    for (uint32_t x = 0; x < w->n_some; x++) {
        uint64_t i = w->some[x];
        const vec *row = (const vec *)(n->dense + i * n->stride) + tile;
#pragma GCC unroll 8
        for (int t = 0; t < g; t++)
            acc[t] += row[t] * nu[i];
    }
#pragma GCC unroll 8
    for (int t = 0; t < g; t++)
        ((vec *)e)[tile + (unsigned)t] = acc[t];
}

CLONES static void multiply_dense(const struct work *w, const struct node *n,
                                  const int64_t *nu, int64_t *e)
{
    uint64_t end = n->stride / 8, t = 0;
    for (; t + 8 <= end; t += 8)
        columns(w, n, nu, t, e, 8);
    for (; t + 7 <= end; t += 7)
        columns(w, n, nu, t, e, 7);
    for (; t < end; t++)
        columns(w, n, nu, t, e, 1);
}

/* Below 2^62 in magnitude by the choice of K, and 2^60 of a row's own. */
CLONES static void add_shifted(int64_t *sum, const int64_t *part, uint64_t n,
                               int64_t down, int64_t by)
{
    down = down < 0 ? 0 : down < 63 ? down : 63;
    by = by < 0 ? 0 : by < 63 ? by : 63;
    for (uint64_t j = 0; j < n; j++)
        sum[j] = (sum[j] >> down) + (part[j] >> by);
}

/* Joining: a contribution to node k, at scale q. */
static void join(struct work *w, uint32_t k, const int64_t *part, int64_t q)
{
    const struct node *n = &w->net->nodes[k];
    struct state *s = &w->state[k];
    int64_t *e = w->e + n->base;
    if (!s->there) {
        memcpy(e, part, up8(n->n) * sizeof *e);
        s->there = true;
        s->q = q;
        return;
    }
    add_shifted(e, part, n->n, s->q - q, q - s->q);
    s->shifts += s->q != q;
    s->q = q < s->q ? q : s->q;
}

/* The contributions of node k, of nu at scale q, to its sources. */
static void contribute(struct work *w, uint32_t k, const int64_t *nu,
                       int64_t q)
{
    const struct node *n = &w->net->nodes[k];
    uint32_t some = 0;
    if (n->same) {
        join(w, *n->sources, nu, q);
        return;
    }
    for (uint32_t j = 0; j < n->n; j++) {
        w->some[some] = j;
        some += nu[j] != 0;
    }
    w->n_some = some;
    for (uint32_t j = 0; j < n->n_sources; j++) {
        const struct node *src = &w->net->nodes[n->sources[j]];
        memset(w->part + src->base, 0, up8(src->n) * sizeof *w->part);
        if (n->dense)
            multiply_dense(w, n, nu, w->part + src->base);
    }
    for (uint32_t x = 0; x < w->n_some && !n->dense; x++)
        for (uint64_t i = w->some[x], t = n->at[i]; t < n->at[i + 1]; t++)
            w->part[n->var[t]] += nu[i] * n->w[t];
    for (uint32_t j = 0; j < n->n_sources; j++)
        join(w, n->sources[j], w->part + w->net->nodes[n->sources[j]].base,
             q);
}

/* The or of all |e|, or of -e - 1 where e < 0. */
CLONES static int64_t highest(const int64_t *e, uint64_t n)
{
    int64_t any = 0;
    for (uint64_t j = 0; j < n; j++)
        any |= e[j] ^ (e[j] >> 63);
    return any;
}

/* Sums of |nu| and nu b' over n neurons; b may be NULL. 64 numbers of at most
 * 2^56 are below 2^62. */
CLONES static void totals(const int64_t *nu, const int64_t *b, uint64_t n,
                          i128 *a, i128 *bias)
{
    *a = *bias = 0;
    for (uint64_t from = 0; from < n; from += 64) {
        uint64_t end = n - from < 64 ? n : from + 64;
        int64_t size = 0, sum = 0;
        for (uint64_t j = from; j < end; j++)
            size += nu[j] < 0 ? -nu[j] : nu[j];
        for (uint64_t j = from; b && j < end; j++)
            sum += nu[j] * b[j];
        *a += size;
        *bias += sum;
    }
}

/* The sum of |nu| d over n neurons, d at most 2^30. */
CLONES static i128 weighed(const int64_t *nu, const int64_t *d, uint64_t n)
{
    i128 all = 0;
    for (uint64_t from = 0; from < n; from += 64) {
        uint64_t end = n - from < 64 ? n : from + 64;
        int64_t sum = 0;
        for (uint64_t j = from; j < end; j++)
            sum += (nu[j] < 0 ? -nu[j] : nu[j]) * d[j];
        all += sum;
    }
    return all;
}

/* What lies between the lines of node k, and its contributions, of nu at
 * scale q: each W' has at most K bits. */
static void bend(struct work *w, uint32_t k, const int64_t *nu, int64_t q)
{
    const struct node *n = &w->net->nodes[k];
    const struct box *b = w->b;
    i128 g = 0;
    for (uint64_t i = 0; i < n->n; i++)
        g += (i128)nu[i] * (nu[i] < 0 ? b->u : b->l)[n->base + i];
    gain(w, g, q + b->t[k]); /* below 2^26 2^26 2^61 */
    for (uint32_t j = 0; j < n->n_sources; j++) {
        const struct node *src = &w->net->nodes[n->sources[j]];
        memset(w->part + src->base, 0, up8(src->n) * sizeof *w->part);
        for (uint64_t i = 0; i < n->n; i++)
            for (uint64_t t = n->at[i]; t < n->at[i + 1]; t++)
                if (n->var[t] - src->base < src->n)
                    w->part[n->var[t]] +=
                        nu[i] *
                        (t == n->at[i] ? b->below : b->above)[n->base + i];
        join(w, n->sources[j], w->part + src->base,
             q + curve_scale(w->net, b, k, n->sources[j]));
    }
}

/* The visit of a node k that is no relu or smooth node. */
static void affine(struct work *w, uint32_t k)
{
    const struct node *n = &w->net->nodes[k];
    struct state *s = &w->state[k];
    int64_t *e = w->e + n->base;
    int sh = bits(highest(e, n->n)) - 26;
    i128 a, bias, sum_m = 0;
    if (sh > 0) {
        for (uint64_t j = 0; j < up8(n->n); j++)
            e[j] >>= sh;
        s->q -= sh;
        gain(w, -(i128)s->sum_m, s->q + 16);
    }
    if (curved(n->kind)) {
        bend(w, k, e, s->q);
        return;
    }
    totals(e, n->bq, n->n, &a, &bias);
    for (uint32_t j = 0; j < n->n_sources; j++)
        sum_m += w->state[n->sources[j]].sum_m; /* 2^13 of 2^62 */
    /* W' is off by at most 1/2, variables are at most M; a is below 2^52. */
    if (n->kind == WEIGHTED)
        gain(w, -((a * sum_m + 1) >> 1), s->q + n->scale + 16);
    if (n->bq) {
        gain(w, bias, s->q + n->b_scale);
        gain(w, -((a + 1) >> 1), s->q + n->b_scale);
    }
    if (w->ieee32 && w->b->td[k] > 0)
        gain(w, -weighed(e, w->b->d + n->base, n->n), s->q + w->b->td[k]);
    contribute(w, k, e, s->q + n->scale);
}

/* nu of a relu node from mu = e 2^-sh, sh = down - up; returns the sum of g,
 * each of which is at most 2^26 2^29 in magnitude. */
CLONES static i128 relax(const struct work *w, const struct node *n, int down,
                         int up)
{
    const struct box *b = w->b;
    const int64_t *e = w->e + n->base, *below = b->below + n->base;
    const int64_t *l = b->l + n->base, *u = b->u + n->base;
    i128 total = 0;
    for (uint64_t from = 0; from < n->n; from += 64) {
        uint64_t end = n->n - from < 64 ? n->n : from + 64;
        int64_t sum = 0;
        for (uint64_t j = from; j < end; j++) {
            int64_t mu = (e[j] >> down) * (1 << up), g, h, out;
            out = mu < 0 ? (mu * below[j]) >> 28 : (mu * w->slope[j]) >> 7;
            g = -out * l[j];
            h = (mu - out) * u[j];
            sum += mu >= 0 ? 0 : g < h ? g : h;
            w->nu[j] = out;
        }
        total += sum;
    }
    return total;
}

/* The same along the lines about smooth functions. */
static i128 follow(const struct work *w, const struct node *n, int down,
                   int up)
{
    const struct box *b = w->b;
    i128 total = 0;
    for (uint64_t i = 0; i < n->n; i++) {
        uint64_t j = n->base + i;
        int64_t mu = (w->e[j] >> down) * (1 << up);
        w->nu[i] = (mu * b->below[j]) >> 28;
        if (mu != 0)
            total += (i128)mu * (mu > 0 ? b->l[j] : b->u[j]) - b->above[j];
    }
    return total;
}

/* The bits of the largest magnitude in a row, over variables from first on.
 */
static int row_bits(const struct row *row, uint32_t first)
{
    int most = 0;
    for (uint32_t i = 0; i < row->n; i++)
        if (row->var[i] >= first && bits(row->coef[i]) > most)
            most = bits(row->coef[i]);
    return most;
}

/* beta of a multiplier at scale q, of a row whose integers have n bits, is
 * (2048 + code mod 2048) 2^x, rounded down: x + 12 bits. */
static int64_t beta_exponent(uint32_t code, int n, int64_t q)
{
    int64_t x = (int64_t)(code / 2048) - 32 + n + q;
    return code == 0 || x < -12 ? -12 : x;
}

/* The visit of node k, of neurons, with a table of slopes and a goal, if
 * there are any. */
static void relaxation(struct work *w, uint32_t k, const uint8_t *table,
                       const struct goal *goal)
{
    const struct node *n = &w->net->nodes[k];
    struct state *s = &w->state[k];
    const int64_t *e = w->e + n->base, *above = w->b->above + n->base;
    int64_t sh = bits(highest(e, n->n)) - 26, x;
    uint32_t n_mults = goal ? goal->n_mults : 0;
    int width = goal ? row_bits(goal->row, 0) : 0, down, up;
    bool any = false;
    i128 g;
    for (uint32_t i = 0; i < n_mults; i++)
        if (goal->mults[i].neuron - n->base < n->n) {
            x = beta_exponent(goal->mults[i].code, width, s->q) + 12 - 25;
            sh += !any;
            sh = x > sh ? x : sh;
            any = true;
        }
    s->q -= sh;
    down = sh < 0 ? 0 : sh < 63 ? (int)sh : 63;
    up = sh < 0 ? -(int)sh : 0; /* at most 26 */
    memcpy(w->slope, above, n->n * sizeof *above);
    for (uint32_t j = 0; table && j < n->n; j++)
        if (w->b->u[n->base + j] > 0 && table[n->base + j] != 255)
            w->slope[j] = table[n->base + j]; /* it is unstable */
    g = n->kind == RELU ? relax(w, n, down, up) : follow(w, n, down, up);
    for (uint32_t i = 0; i < n_mults; i++) {
        uint32_t j = goal->mults[i].neuron - n->base;
        int64_t v = 2048 + goal->mults[i].code % 2048;
        if (j >= n->n)
            continue;
        x = beta_exponent(goal->mults[i].code, width, s->q); /* <= 13 */
        v = x < 0 ? v >> -x : v << x;
        w->nu[j] = goal->mults[i].active ? (e[j] >> down) * (1 << up) - v : v;
    }
    contribute(w, k, w->nu, s->q);
    gain(w, g, s->q + w->b->t[k]);
}

/* Begin a row over node k, at scale q: returns its coefficients, zeros. */
static int64_t *begin(struct work *w, uint32_t k, int64_t q)
{
    const struct node *n = &w->net->nodes[k];
    for (uint32_t i = 0; i < w->net->n_nodes; i++) {
        w->state[i].there = i == k;
        w->state[i].shifts = 0;
    }
    w->state[k].q = q;
    w->c = 0;
    return memset(w->e + n->base, 0, up8(n->n) * sizeof *w->e);
}

/* The row that begins at node k goes down to the input. */
static struct bound descend(struct work *w, uint32_t k, uint64_t target,
                            const struct goal *goal)
{
    const struct node *input = w->net->nodes;
    const struct table *t = w->b->tables;
    struct bound out = {0};
    while (t && t->target != target)
        t = t->next;
    for (k++; k-- > 0;) {
        const struct state *s = &w->state[k];
        enum kind kind = w->net->nodes[k].kind;
        if (!s->there)
            continue;
        for (int64_t i = 0; i < s->shifts && kind < RELU; i++)
            gain(w, -(i128)s->sum_m, s->q + 16);
        if (kind >= RELU)
            relaxation(w, k, t ? t->slope : NULL, goal);
        else if (k > 0)
            affine(w, k);
    }
    out.e = w->state[0].there ? w->e + input->base : NULL;
    out.q = out.e ? w->state[0].q : 0;
    out.s = least(w->r, out.e, w->b, input->n);
    out.s = gain(w, out.s, out.q + w->b->scale);
    out.c = w->c;
    return out;
}

/* ---- the neurons of a box ---- */

/* The lower bound of v, or of -v, for one variable. */
static i128 unit_row(struct work *w, uint32_t var, int64_t sign,
                     uint64_t target)
{
    uint32_t k = w->net->owner[var];
    begin(w, k, 25)[var - w->net->nodes[k].base] = sign * (1 << 25);
    return descend(w, k, target, NULL).c;
}

/* The neuron of a smooth node, between l and u. */
static void set_lines(const struct work *w, enum kind kind, uint64_t j,
                      i128 l, i128 u)
{
    struct lines y = lines_between(w->r, kind, l, u > l ? u : l);
    struct box *b = w->b;
    int64_t off = w->ieee32 ? 1 << 8 : 0; /* of a library's sigmoid */
    u = u > l ? u : l;
    b->l[j] = y.low - off;
    b->u[j] = y.up + off;
    b->below[j] = y.slope;
    b->above[j] = y.most;
    b->m[j] = kind != GELU ? 1 << 16
                           : (1 << 15) + (u > 0 ? -(int64_t)(-u >> 13) : 0);
}

/* How many bits v must lose to have 29, or sh if that is more. */
static int wider(i128 v, int sh)
{
    int over = bits(v < 0 ? ~v : v) - 29;
    return over > sh ? over : sh;
}

/* The lower bound of +v or -v from the range of a curved variable, or those
 * of which it is the sum; false if it is no such thing. */
static bool ranges(struct work *w, uint32_t var, bool negative, i128 *low)
{
    const struct node *n = &w->net->nodes[w->net->owner[var]];
    uint64_t i = var - n->base;
    struct range x;
    w->c = 0; /* it is not needed any more */
    if (curved(n->kind)) {
        x = range_of(w->net, w->b, var);
        *low = gain(w, negative ? -x.u : x.l, x.t);
        return true;
    }
    if (n->kind != UNIT)
        return false;
    for (uint64_t t = n->at[i]; t < n->at[i + 1]; t++) {
        if (n->w[t] < 0 ||
            !curved(w->net->nodes[w->net->owner[n->var[t]]].kind))
            return false;
        x = range_of(w->net, w->b, n->var[t]);
        gain(w, negative ? -x.u : x.l, x.t);
    }
    gain(w, negative ? -n->b[i].m : n->b[i].m, -n->b[i].e);
    *low = w->c;
    return true;
}

/* Bounds of a variable that is held are no worse than its ranges. */
static void narrow(struct work *w, uint32_t var, i128 *low, i128 *up)
{
    i128 l, u;
    if (!ranges(w, var, false, &l) || !ranges(w, var, true, &u))
        return;
    *low = l > *low ? l : *low;
    *up = -u < *up ? -u : *up;
}

/* The neurons of node k, number first and on: bounds of those that are
 * unstable so far, and what follows from them. */
static void bound_neurons(struct work *w, struct box *b, uint32_t k,
                          uint64_t first)
{
    const struct node *n = &w->net->nodes[k];
    uint8_t *status = b->status + n->base;
    int64_t *m = b->m + n->base;
    int sh = 0;
    for (uint64_t i = 0; i < n->n; i++) {
        uint64_t target = 2 * (first + i);
        i128 low, up, most;
        if (status[i] != UNSTABLE)
            continue;
        low = w->low[i] = unit_row(w, n->t[i].var, 1, target);
        up = unit_row(w, n->t[i].var, -1, target + 1);
        up = w->up[i] = minus(w->r, 0, up);
        if (n->kind >= SIGMOID) {
            set_lines(w, n->kind, n->base + i, low >> 36, -(-up >> 36));
            continue;
        }
        if (n->kind == HOLD) {
            narrow(w, n->t[i].var, &w->low[i], &w->up[i]);
            low = w->low[i];
            up = w->up[i];
        }
        most = n->kind == HOLD && -low > up ? -low : up;
        most = most > 0 ? -(-most >> 48) : 0;
        m[i] = most < m[i] ? (int64_t)most : m[i];
        if (n->kind == HOLD)
            sh = wider(low, wider(up, sh));
        else if (low >= 0)
            status[i] = ACTIVE;
        else if (up <= 0)
            status[i] = INACTIVE;
        else
            sh = wider(low, wider(up, sh));
        if (status[i] == INACTIVE)
            m[i] = 0;
    }
    b->t[k] = n->kind >= SIGMOID ? 28 : 64 - sh;
    for (uint64_t i = 0; i < n->n && n->kind < SIGMOID; i++) {
        int64_t *l = &b->l[n->base + i], *u = &b->u[n->base + i];
        if (status[i] != UNSTABLE)
            continue;
        *l = (int64_t)(w->low[i] >> sh); /* at most 2^29 in magnitude */
        *u = (int64_t) - (-w->up[i] >> sh);
        *u = *u > *l ? *u : *l;
        if (n->kind == HOLD)
            continue;
        b->below[n->base + i] = (*u << 28) / (*u - *l);
        b->above[n->base + i] = *u > -*l ? 1 << 7 : 0;
    }
}

/* ceil(v 2^-by), v >= 0 */
static i128 shifted_up(struct run *r, i128 v, int64_t by)
{
    const i128 limit = (i128)1 << 62;
    v = -shifted(-v, -by, limit);
    if (v >= limit || v <= -limit)
        refuse(r, REJECTED, "variables are too large");
    return v;
}

/* The sum of (|W'| + more) M over some terms of a node; few: every M is below
 * 2^26, and 32 terms of at most 2^57 are below 2^62. */
CLONES static i128 magnitude(const struct node *n, uint64_t from,
                             uint64_t end, const int64_t *m, bool few)
{
    int64_t more = n->kind == WEIGHTED;
    i128 all = 0;
    for (uint64_t t; from < end; from = t) {
        uint64_t to = few && end - from > 32 ? from + 32 : end;
        int64_t sum = 0;
        for (t = from; few && t < to; t++)
            sum += (more + (n->w[t] < 0 ? -n->w[t] : n->w[t])) * m[n->var[t]];
        for (; t < to; t++) /* 2^31 2^62 each, of at most 2^28 */
            all += (i128)(more +
                          (n->w[t] < 0 ? -(int64_t)n->w[t] : n->w[t])) *
                   m[n->var[t]];
        all += sum;
    }
    return all;
}

/* D of a node, and M, which is X so far, at most 2^63. */
static void bound_errors(struct work *w, uint32_t k)
{
    const struct node *n = &w->net->nodes[k];
    int64_t *m = w->b->m + n->base, *d = w->b->d + n->base, any = 0;
    i128 r = (i128)n->roundings, left = (1 << 24) - r;
    i128 g = (r * ((i128)1 << 48) + left - 1) / left; /* below 2^45 */
    int sh;
    for (uint32_t i = 0; i < n->n; i++) {
        i128 e = -(-g * ((i128)m[i] + 1) >> 24);
        if (e >= (i128)1 << 62)
            refuse(w->r, REJECTED, "variables are too large");
        d[i] = (int64_t)e;
        any |= d[i];
        e = m[i] - (-e >> 24);
        if (e >= (i128)1 << 62)
            refuse(w->r, REJECTED, "variables are too large");
        m[i] = (int64_t)e;
    }
    sh = bits(any) > 30 ? bits(any) - 30 : 0;
    for (uint32_t i = 0; i < n->n; i++)
        d[i] = -(-d[i] >> sh);
    w->b->td[k] = 40 - sh;
}

/* M of the variables of a unit or weighted node, once, or, under ieee32, in
 * each box. */
static void bound_linear(struct work *w, uint32_t k)
{
    const struct node *n = &w->net->nodes[k];
    struct box *b = w->b;
    bool known = n->n > 0 && b->m[n->base] != INT64_MAX, few = true;
    if (known && !w->ieee32)
        return;
    for (uint32_t i = 0; i < n->n_sources; i++) {
        const struct node *src = &w->net->nodes[n->sources[i]];
        for (uint32_t j = 0; j < src->n; j++)
            few &= b->m[src->base + j] < 1 << 26;
    }
    for (uint32_t i = 0; i < n->n; i++) {
        i128 m = magnitude(n, n->at[i], n->at[i + 1], b->m, few);
        m = shifted_up(w->r, m, n->scale);
        if (n->bq)
            m += shifted_up(w->r,
                            (i128)(n->bq[i] < 0 ? -n->bq[i] : n->bq[i]) + 1,
                            n->b_scale - 16);
        b->m[n->base + i] = (int64_t)m; /* below 2^63 - 1 */
    }
    if (w->ieee32 && n->roundings > 0)
        bound_errors(w, k);
}

void box_bounds(struct work *w, struct box *b)
{
    const struct node *input = &w->net->nodes[0];
    const struct node *last = input + w->net->n_nodes - 1;
    uint64_t first = 0; /* neuron of a node */
    w->b = b;
    for (uint32_t j = 0; j < input->n && !b->fresh; j++) {
        i128 m = -b->lo[j] > b->hi[j] ? -b->lo[j] : b->hi[j];
        b->m[input->base + j] = (int64_t)shifted_up(w->r, m, b->scale - 16);
    }
    for (uint32_t k = 0; k + 1 < w->net->n_nodes; k++) {
        const struct node *n = &w->net->nodes[k];
        i128 sum = 0;
        if (n->kind >= HOLD && !b->fresh)
            bound_neurons(w, b, k, first);
        else if (n->kind >= PRODUCT && !b->fresh)
            curve_bounds(w->r, w->net, b, k);
        else if (k > 0 && !b->fresh)
            bound_linear(w, k);
        for (uint64_t j = n->base; j < n->base + n->n; j++) {
            if (b->status[j] != UNSTABLE) {
                b->l[j] = b->u[j] = 0;
                b->below[j] = b->status[j] == ACTIVE ? 1 << 28 : 0;
                b->above[j] = b->status[j] == ACTIVE ? 1 << 7 : 0;
            }
            sum += b->m[j];
        }
        first += n->kind >= HOLD ? n->n : 0;
        if (sum >= (i128)1 << 62)
            refuse(w->r, REJECTED, "variables are too large");
        w->state[k].sum_m = (int64_t)sum;
    }
    for (uint32_t j = 0; j < last->n; j++)
        b->d[last->base + j] = 1;
    b->td[w->net->n_nodes - 1] = 40;
    b->fresh = true;
}

/* ---- rows of the property ---- */

struct bound row_bound(struct work *w, const struct goal *goal)
{
    uint32_t n_x = w->net->nodes[0].n, last = w->net->n_nodes - 1;
    const struct row *row = goal->row;
    int up = 26 - row_bits(row, n_x);
    int64_t *y = begin(w, last, up), *x = w->e + w->net->nodes[0].base;
    w->state[0].there = row->var[0] < n_x;
    w->state[0].q = 34;
    memset(x, 0, up8(n_x) * sizeof *x);
    for (uint32_t j = 0; j < row->n; j++)
        if (row->var[j] < n_x)
            x[row->var[j]] = row->coef[j] * (1ll << 34);
        else
            y[row->var[j] - n_x] = row->coef[j] * (1ll << up);
    return descend(w, last, goal->target, goal);
}

/* floor(n / d) for d > 0 */
static i128 quotient(i128 n, i128 d)
{
    return n / d - (n % d < 0);
}

bool row_clip(struct run *r, const struct bound *f, const struct row *row,
              uint32_t n_x, struct box *b)
{
    const i128 limit = (i128)1 << 126;
    i128 t, edge;
    if (row->d64 >= limit / 2 || row->d64 <= -limit / 2)
        return true;
    t = minus(r, row->d64, minus(r, f->c, f->s));
    t = shifted(t, f->q + b->scale - 64, limit);
    if (t >= limit - 1)
        return true;
    /* V; what is left of T */
    t = minus(r, t + 1, least(r, f->e, b, n_x));
    for (uint32_t j = 0; j < n_x && f->e && t >= 0; j++) {
        i128 e = f->e[j];
        if (e > 0) {
            edge = -quotient(-plus(r, t, e * b->lo[j]), e);
            b->hi[j] = edge < b->hi[j] ? (int64_t)edge : b->hi[j];
        } else if (e < 0) {
            edge = quotient(-plus(r, t, e * b->hi[j]), -e);
            b->lo[j] = edge > b->lo[j] ? (int64_t)edge : b->lo[j];
        }
    }
    return t >= 0;
}
