/* arith.c - bounds of all neurons in one box, lower bounds of rows of the
 * property, and clipping: ax-cert(5), ARITHMETIC, by the letter. */
#include "island.h"

#include <string.h>

typedef int64_t vec __attribute__((vector_size(64)));

/* The same loops for several instruction sets, chosen at start. */
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define CLONES      \
    __attribute__(( \
        target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES
#endif

/* Of one node, in the box at hand; arrays of neurons are padded to 8. With
 * mu < 0 a neuron passes on mu below >> 28, else mu & above. */
struct state {
    int64_t *l, *u;         /* 0 if the neuron is not unstable */
    int64_t *below, *above; /* active 2^28, -1; inactive 0, 0. Of sigmoids the
                               four are low, up, slope, most of its lines */
    int64_t t, sum_m;       /* SM < 2^62 */
    int64_t *own;           /* room for nu */
    const int64_t *nu;      /* of the row that goes down now, at scale q, */
    int64_t q;
    bool visited; /* if it came here */
};

struct work {
    const struct net *net;
    struct state *state; /* [n_nodes] */
    int64_t *sum;        /* [most variables of a node, padded] */
    i128 *low, *up;      /* [most variables] L and U of the unstable ones */
    int64_t *input;      /* [n_x] what a row of the property says of it */
    uint32_t *some;      /* where nu is not 0 */
    uint32_t n_some;
};

/* A row on its way: what it is over node k, of which there may be more at
 * node 0, and its target's tables and multipliers. */
struct path {
    uint32_t k;
    int64_t scale;              /* of the row over node k */
    const int64_t *row, *input; /* input: NULL if there is nothing */
    const uint8_t *slope;       /* by variable, or NULL */
    const struct goal *goal;    /* NULL if it is not of the property */
};

static uint64_t up8(uint64_t n)
{
    return (n + 7) / 8 * 8;
}

struct work *work_new(struct run *r, const struct net *net)
{
    struct work *w = get(r, 1, sizeof *w);
    uint64_t most = 0;
    w->net = net;
    w->state = get(r, net->n_nodes, sizeof *w->state);
    for (uint32_t k = 0; k < net->n_nodes; k++) {
        struct state *s = &w->state[k];
        uint64_t n = up8(net->nodes[k].n);
        most = n > most ? n : most;
        s->own = get(r, n, sizeof *s->own);
        if (net->nodes[k].kind < RELU)
            continue;
        s->l = get(r, 4 * n, sizeof *s->l);
        s->u = s->l + n;
        s->below = s->u + n;
        s->above = s->below + n;
    }
    w->sum = get(r, most, sizeof *w->sum);
    w->some = get(r, most + 1, sizeof *w->some);
    w->low = get(r, most, sizeof *w->low);
    w->up = get(r, most, sizeof *w->up);
    w->input = get(r, up8(net->nodes[0].n), sizeof *w->input);
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

/* floor(v 2^(64 - q)) */
static i128 to64(struct run *r, i128 v, int64_t q)
{
    const i128 limit = (i128)1 << 120;
    v = shifted(v, 64 - q, limit);
    if (v == limit)
        refuse(r, REJECTED, "a value overflows");
    return v;
}

static int bits(i128 v)
{
    unsigned __int128 u = (unsigned __int128)(v < 0 ? -v - 1 : v);
    int n = 0;
    for (; u >> 32 > 0; n += 32)
        u >>= 32;
    return n + (u > 0 ? 64 - __builtin_clzll((uint64_t)u) : 0);
}

/* g tiles of 8 columns of sum over i of nu_i W'_i. It is below 2^62 in
 * magnitude by the choice of K. */
static inline __attribute__((always_inline)) void
columns(const struct block *b, const struct work *w, const int64_t *nu,
        uint64_t tile, int64_t *e, const int g)
{
    vec acc[8] = {{0}};
    for (uint32_t x = 0; x < w->n_some; x++) {
        uint64_t i = w->some[x];
        const vec *row = (const vec *)(b->w + i * b->stride) + tile;
#pragma GCC unroll 8
        for (int t = 0; t < g; t++)
            acc[t] += row[t] * nu[i];
    }
#pragma GCC unroll 8
    for (int t = 0; t < g; t++)
        ((vec *)e)[tile + (unsigned)t] = acc[t];
}

CLONES static void multiply(const struct block *b, const struct work *w,
                            const int64_t *nu, int64_t *e)
{
    uint64_t n = b->stride / 8, t = 0;
    for (; b->w && t + 8 <= n; t += 8)
        columns(b, w, nu, t, e, 8);
    for (; b->w && t + 7 <= n; t += 7)
        columns(b, w, nu, t, e, 7);
    for (; b->w && t < n; t++)
        columns(b, w, nu, t, e, 1);
    if (b->w)
        return;
    memset(e, 0, b->stride * sizeof *e);
    for (uint32_t x = 0; x < w->n_some; x++)
        for (uint64_t i = w->some[x], k = b->at[i]; k < b->at[i + 1]; k++)
            e[b->col[k]] += nu[i] * b->cw[k];
}

/* Sums of |nu| and nu b' over n neurons; b may be NULL. Where nu is not 0
 * goes to w->some. A lane of a vec adds 64 numbers of at most 2^56. */
CLONES static void totals(struct work *w, const int64_t *row,
                          const int64_t *b, uint64_t n, i128 *a, i128 *bias)
{
    const vec *nu = (const vec *)row;
    uint32_t some = 0;
    *a = *bias = 0;
    for (uint64_t from = 0; from < n; from += 512) {
        vec size = {0}, sum = {0};
        for (uint64_t j = from / 8; 8 * j < n && 8 * j < from + 512; j++) {
            size += (nu[j] ^ (nu[j] >> 63)) - (nu[j] >> 63);
            if (b)
                sum += nu[j] * ((const vec *)b)[j];
        }
        for (int i = 0; i < 8; i++) {
            *a += size[i];
            *bias += sum[i];
        }
    }
    for (uint32_t j = 0; j < n; j++) {
        w->some[some] = j;
        some += row[j] != 0;
    }
    w->n_some = some;
}

/* C of cost units of M at node k, at scale q. */
static i128 cost(struct run *r, const struct work *w, uint32_t k, int64_t q)
{
    return to64(r, -(i128)w->state[k].sum_m, q + 16);
}

/* The contributions of node k, of its nu, to its sources. */
static void contribute(struct work *w, uint32_t k)
{
    const struct node *n = &w->net->nodes[k];
    for (uint32_t j = 0; j < n->n_blocks; j++)
        if (!n->blocks[j].same)
            multiply(&n->blocks[j], w, w->state[k].nu, n->blocks[j].part);
}

/* The affine step at node k; returns what C grows by. */
static i128 affine(struct run *r, struct work *w, uint32_t k)
{
    const struct node *n = &w->net->nodes[k];
    struct state *s = &w->state[k];
    i128 c = 0, a, bias, sum_m = 0;
    totals(w, s->nu, n->bq, n->n, &a, &bias);
    for (uint32_t j = 0; j < n->n_blocks; j++)
        sum_m += w->state[n->blocks[j].source].sum_m; /* 2^13 of 2^62 */
    /* W' is off by at most 1/2, variables are at most M; a is below 2^52. */
    if (n->kind == WEIGHTED)
        c = to64(r, -((a * sum_m + 1) >> 1), s->q + n->scale + 16);
    if (n->bq) {
        c = plus(r, c, to64(r, bias, s->q + n->b_scale));
        c = plus(r, c, to64(r, -((a + 1) >> 1), s->q + n->b_scale));
    }
    contribute(w, k);
    return c;
}

CLONES static void add_shifted(int64_t *sum, const int64_t *part, uint64_t n,
                               int64_t down, int64_t by)
{
    /* Below 2^62 in magnitude by the choice of K, and 2^60 of a row's own. */
    for (uint64_t j = 0; j < (n + 7) / 8; j++)
        ((vec *)sum)[j] = (((vec *)sum)[j] >> down) +
                          (((const vec *)part)[j] >> by);
}

/* Joining: the coefficients over node k, at scale *q; NULL if there are
 * none. first is what the row itself says, at scale *q, or NULL. */
static const int64_t *join(struct work *w, uint32_t k, const int64_t *first,
                           int64_t *q, uint64_t *shifts)
{
    const struct node *n = &w->net->nodes[k];
    const int64_t *e = first;
    *shifts = 0;
    for (uint32_t j = 0; j < n->n_readers; j++) {
        const struct block *b = n->readers[j];
        const struct state *from = &w->state[b->node];
        const int64_t *part = b->same ? from->nu : b->part;
        int64_t scale = from->q + w->net->nodes[b->node].scale, d;
        if (!from->visited)
            continue;
        if (!e) {
            e = part;
            *q = scale;
            continue;
        }
        if (e != w->sum)
            memcpy(w->sum, e, up8(n->n) * sizeof *e);
        e = w->sum;
        d = *q - scale;
        add_shifted(w->sum, part, n->n,
                    d < 0    ? 0
                    : d < 63 ? d
                             : 63,
                    d > 0     ? 0
                    : d > -63 ? -d
                              : 63);
        *q = d > 0 ? scale : *q;
        *shifts += d != 0;
    }
    return e;
}

/* The or of all |e|, or of -e - 1 where e < 0. */
CLONES static int64_t highest(const int64_t *e, uint64_t n)
{
    vec all = {0};
    int64_t any = 0;
    for (const vec *v = (const vec *)e; (const int64_t *)v < e + n; v++)
        all |= *v ^ (*v >> 63);
    for (int i = 0; i < 8; i++)
        any |= all[i];
    return any;
}

/* nu of a node from mu = e 2^-sh, sh = down - up; returns the sum of g, each
 * of which is at most 2^26 2^29 in magnitude. */
CLONES static i128 relax(const struct state *s, const int64_t *e, uint64_t n,
                         int down, int up, int64_t *nu)
{
    i128 total = 0;
    for (uint64_t from = 0; from < n; from += 512) {
        vec sum = {0};
        for (uint64_t j = from; j < n && j < from + 512; j += 8) {
            vec mu = (*(const vec *)(e + j) >> down) << up, neg = mu >> 63, g,
                h, out;
            out = (((mu * *(vec *)(s->below + j)) >> 28) & neg) |
                  (mu & ~neg & *(vec *)(s->above + j));
            g = -out * *(vec *)(s->l + j);
            h = (mu - out) * *(vec *)(s->u + j);
            sum += (h + ((g - h) & ((g - h) >> 63))) & neg; /* the lesser */
            *(vec *)(nu + j) = out;
        }
        for (int i = 0; i < 8; i++)
            total += sum[i];
    }
    return total;
}

/* The same along the lines about sigmoids. */
static i128 follow(const struct state *s, const int64_t *e, uint64_t n,
                   int down, int up, int64_t *nu)
{
    i128 total = 0;
    for (uint64_t j = 0; j < n; j++) {
        int64_t mu = (e[j] >> down) * (1 << up);
        nu[j] = (mu * s->below[j]) >> 28;
        if (mu != 0)
            total += (i128)mu * (mu > 0 ? s->l[j] : s->u[j]) - s->above[j];
    }
    return total;
}

/* beta of a multiplier at scale q, of a row whose integers have n bits: (2048
 * + m) 2^x; its number of bits, or itself if that is at most 25. */
static int64_t beta_exponent(uint32_t code, int n, int64_t q)
{
    return (int64_t)(code / 2048) - 32 + n + q;
}

static int beta_bits(uint32_t code, int n, int64_t q)
{
    int64_t x = beta_exponent(code, n, q);
    return code == 0 || x < -12 ? 0 : x > 1000 ? 1012 : (int)x + 12;
}

static int64_t beta(uint32_t code, int n, int64_t q)
{
    int64_t x = beta_exponent(code, n, q), v = 2048 + code % 2048;
    return code == 0 || x < -12 ? 0 : x < 0 ? v >> -x : v << x;
}

/* The bits of the largest magnitude in a row, over variables from first on.
 */
static int row_bits(const struct row *row, uint32_t first)
{
    int64_t all = 0;
    for (uint32_t i = 0; i < row->n; i++)
        if (row->var[i] >= first)
            all |= row->coef[i] < 0 ? -row->coef[i] : row->coef[i];
    return num_bits(all);
}

/* The relaxation at node k, from e at scale q; returns what C grows by. */
static i128 relaxation(struct run *r, struct work *w, uint32_t k,
                       const int64_t *e, int64_t q, const struct path *p)
{
    const struct node *n = &w->net->nodes[k];
    const struct goal *goal = p->goal;
    struct state *s = &w->state[k];
    uint32_t some = 0;
    int most = -1, width, sh, down, up;
    i128 g;
    width = goal ? row_bits(goal->row, 0) : 0;
    for (uint32_t i = 0; goal && i < goal->n_mults; i++)
        if (goal->mults[i].neuron - n->base < n->n &&
            beta_bits(goal->mults[i].code, width, q) > most)
            most = beta_bits(goal->mults[i].code, width, q);
    sh = bits(highest(e, n->n)) - (most < 0 ? 26 : 25);
    sh = most - 25 > sh ? most - 25 : sh;
    s->q = q - sh;
    s->nu = s->own;
    down = sh < 0 ? 0 : sh < 63 ? sh : 63;
    up = sh < 0 ? -sh : 0; /* at most 26 */
    g = n->kind == RELU ? relax(s, e, n->n, down, up, s->own)
                        : follow(s, e, n->n, down, up, s->own);
    for (uint32_t i = 0; n->kind == RELU && p->slope && i < n->n; i++) {
        uint8_t a = p->slope[n->base + i];
        if (s->u[i] > 0 && a != 255 && e[i] >= 0) /* unstable */
            s->own[i] = ((e[i] >> down) * (1 << up) * a) >> 7;
    }
    for (uint32_t i = 0; goal && i < goal->n_mults; i++) {
        uint32_t j = goal->mults[i].neuron - n->base;
        int64_t by = beta(goal->mults[i].code, width, s->q);
        if (j < n->n)
            s->own[j] = goal->mults[i].active
                            ? (e[j] >> down) * (1 << up) - by
                            : by;
    }
    for (uint32_t j = 0; j < n->n; j++) {
        w->some[some] = j;
        some += s->own[j] != 0;
    }
    w->n_some = some;
    contribute(w, k);
    return to64(r, g, s->q + s->t);
}

/* A row goes down to the input. */
static struct bound descend(struct run *r, struct work *w,
                            const struct box *b, const struct path *p)
{
    uint64_t shifts, n_x = w->net->nodes[0].n;
    struct bound out = {0};
    for (uint32_t k = 0; k < w->net->n_nodes; k++)
        w->state[k].visited = false;
    for (uint32_t k = p->k + 1; k-- > 0;) {
        struct state *s = &w->state[k];
        const struct node *n = &w->net->nodes[k];
        const int64_t *first = k == p->k ? p->row : NULL, *e;
        int64_t q = p->scale;
        int sh;
        if (k == 0 && p->input) {
            first = p->input;
            q = 34;
        }
        e = join(w, k, first, &q, &shifts);
        if (!e)
            continue;
        for (; n->kind < RELU && shifts > 0; shifts--)
            out.c = plus(r, out.c, cost(r, w, k, q));
        if (k == 0) {
            out.e = e;
            out.q = q;
            break;
        }
        s->visited = true;
        if (n->kind >= RELU) {
            out.c = plus(r, out.c, relaxation(r, w, k, e, q, p));
            continue;
        }
        sh = bits(highest(e, n->n)) - 26;
        s->q = sh > 0 ? q - sh : q;
        s->nu = e;
        if (sh > 0 || e == w->sum) {
            for (uint64_t j = 0; j < up8(n->n); j++)
                s->own[j] = e[j] >> (sh > 0 ? sh : 0);
            s->nu = s->own;
        }
        if (sh > 0)
            out.c = plus(r, out.c, cost(r, w, k, s->q));
        out.c = plus(r, out.c, affine(r, w, k));
    }
    for (uint64_t j = 0; j < n_x && out.e; j++) {
        i128 x = out.e[j];
        out.s = plus(r, out.s, x * (x < 0 ? b->hi[j] : b->lo[j]));
    }
    out.s = to64(r, out.s, out.q + b->scale);
    out.c = plus(r, out.c, out.s);
    return out;
}

/* The table of a target, or NULL. */
static const uint8_t *slopes(const struct table *t, uint64_t target)
{
    while (t && t->target != target)
        t = t->next;
    return t ? t->slope : NULL;
}

/* ---- the neurons of a box ---- */

static void fill(struct state *s, uint64_t i, uint8_t status, int64_t l,
                 int64_t u)
{
    bool open = status == UNSTABLE;
    s->l[i] = open ? l : 0; /* >= -2^29 */
    s->u[i] = open ? u : 0; /* <= 2^29 */
    s->below[i] = open ? (u << 28) / (u - l) : 1 << 28;
    s->above[i] = open && u <= -l ? 0 : -1;
    if (status == INACTIVE)
        s->below[i] = s->above[i] = 0;
}

/* Neuron i of a sigmoid node, its variable between low and up. */
static void fill_lines(struct state *s, uint64_t i, i128 low, i128 up)
{
    i128 l = low >> 36, u = -(-up >> 36);
    struct lines y = lines_between(l, u > l ? u : l);
    s->l[i] = y.low;
    s->u[i] = y.up;
    s->below[i] = y.slope;
    s->above[i] = y.most;
}

/* The lower bound of v, or of -v, for one variable of node k. */
static i128 unit_row(struct run *r, struct work *w, const struct box *b,
                     uint32_t var, int64_t sign, const uint8_t *slope)
{
    struct path p = {.k = w->net->owner[var], .scale = 25, .slope = slope};
    const struct node *n = &w->net->nodes[p.k];
    int64_t *row = w->sum; /* which is free until something is joined */
    memset(row, 0, up8(n->n) * sizeof *row);
    row[var - n->base] = sign * (1 << 25);
    p.row = row;
    return descend(r, w, b, &p).c;
}

/* The neurons of node k, number first and on: bounds of those that are
 * unstable so far, and what follows from them. */
static void bound_neurons(struct run *r, struct work *w, struct box *b,
                          uint32_t k, uint64_t first,
                          const struct table *tables)
{
    const struct node *n = &w->net->nodes[k];
    struct state *s = &w->state[k];
    uint8_t *status = b->status + n->base;
    int64_t *m = b->m + n->base;
    int sh = 0;
    for (uint64_t i = 0; i < n->n; i++) {
        i128 low, up, most;
        if (status[i] != UNSTABLE)
            continue;
        low = w->low[i] = unit_row(r, w, b, n->t[i].var, 1,
                                   slopes(tables, 2 * (first + i)));
        up = w->up[i] = -unit_row(r, w, b, n->t[i].var, -1,
                                  slopes(tables, 2 * (first + i) + 1));
        if (n->kind == SIGMOID) {
            m[i] = 1 << 16;
            fill_lines(s, i, low, up);
            continue;
        }
        most = up > 0 ? -(-up >> 48) : 0;
        m[i] = most < m[i] ? (int64_t)most : m[i];
        if (low >= 0)
            status[i] = ACTIVE;
        else if (up <= 0)
            status[i] = INACTIVE;
        else if (bits(~low | up) - 29 > sh)
            sh = bits(~low | up) - 29;
        if (status[i] == INACTIVE)
            m[i] = 0;
    }
    s->t = n->kind == RELU ? 64 - sh : 28;
    for (uint64_t i = 0; n->kind == RELU && i < n->n; i++)
        fill(s, i, status[i], (int64_t)(w->low[i] >> sh),
             (int64_t) - (-w->up[i] >> sh));
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

/* M of the variables of a unit or weighted node, once. */
static void bound_linear(struct run *r, struct box *b, const struct node *n)
{
    bool known = n->n > 0 && b->m[n->base] != INT64_MAX;
    for (uint64_t i = 0; i < n->n && !known; i++) {
        i128 sum = 0, m;
        for (uint64_t k = n->at[i]; k < n->at[i + 1]; k++) {
            const struct term *t = &n->t[k];
            i128 weight = 1;
            if (n->kind == WEIGHTED)
                weight = net_weight(n, i, t) + 1;
            sum = plus(r, sum, weight * b->m[t->var]); /* 2^31 2^62 */
        }
        m = shifted_up(r, sum, n->scale);
        if (n->bq)
            m += shifted_up(r,
                            (i128)(n->bq[i] < 0 ? -n->bq[i] : n->bq[i]) + 1,
                            n->b_scale - 16);
        b->m[n->base + i] = (int64_t)m; /* below 2^63 - 1 */
    }
}

static void sum_up(struct run *r, struct state *s, const int64_t *m,
                   uint64_t n)
{
    i128 sum = 0;
    for (uint64_t i = 0; i < n; i++)
        sum += m[i];
    if (sum >= (i128)1 << 62)
        refuse(r, REJECTED, "variables are too large");
    s->sum_m = (int64_t)sum;
}

void box_bounds(struct run *r, struct work *w, struct box *b,
                const struct table *tables)
{
    int up = 16 - b->scale;
    uint64_t first = 0; /* neuron of a relu node */
    for (uint32_t j = 0; j < w->net->nodes[0].n; j++) {
        i128 m = -b->lo[j] > b->hi[j] ? -b->lo[j] : b->hi[j];
        b->m[j] = (int64_t)(up >= 0 ? m * (1 << up)
                                    : -(-m >> -up)); /* 2^60 */
    }
    for (uint32_t k = 0; k + 1 < w->net->n_nodes; k++) {
        const struct node *n = &w->net->nodes[k];
        if (n->kind >= RELU)
            bound_neurons(r, w, b, k, first, tables);
        else if (k > 0)
            bound_linear(r, b, n);
        first += n->kind >= RELU ? n->n : 0;
        sum_up(r, &w->state[k], b->m + n->base, n->n);
    }
}

void bounds_keep(struct run *r, const struct work *w, struct bounds *to)
{
    const struct net *net = w->net;
    if (!to->l) {
        to->l = get(r, 4ull * net->n_vars + 2ull * net->n_nodes, 8);
        to->u = to->l + net->n_vars;
        to->below = to->u + net->n_vars;
        to->above = to->below + net->n_vars;
        to->t = to->above + net->n_vars;
        to->sum_m = to->t + net->n_nodes;
    }
    for (uint32_t k = 0; k < net->n_nodes; k++) {
        const struct node *n = &net->nodes[k];
        to->t[k] = w->state[k].t;
        to->sum_m[k] = w->state[k].sum_m;
        for (uint32_t i = 0; n->kind >= RELU && i < n->n; i++) {
            to->l[n->base + i] = w->state[k].l[i];
            to->u[n->base + i] = w->state[k].u[i];
            to->below[n->base + i] = w->state[k].below[i];
            to->above[n->base + i] = w->state[k].above[i];
        }
    }
}

void bounds_use(struct work *w, const struct box *b,
                const struct bounds *from)
{
    for (uint32_t k = 0; k < w->net->n_nodes; k++) {
        const struct node *n = &w->net->nodes[k];
        w->state[k].t = from->t[k];
        w->state[k].sum_m = from->sum_m[k];
        for (uint32_t i = 0; n->kind >= RELU && i < n->n; i++) {
            struct state *s = &w->state[k];
            fill(s, i, b->status[n->base + i], from->l[n->base + i],
                 from->u[n->base + i]);
            if (n->kind == SIGMOID) {
                s->below[i] = from->below[n->base + i];
                s->above[i] = from->above[n->base + i];
            }
        }
    }
}

/* ---- rows of the property ---- */

struct bound row_bound(struct run *r, struct work *w, const struct box *b,
                       const struct goal *goal)
{
    uint32_t n_x = w->net->nodes[0].n, last = w->net->n_nodes - 1;
    const struct row *row = goal->row;
    int64_t *y = w->state[last].own;
    struct path p = {.k = last,
                     .scale = 26 - row_bits(row, n_x),
                     .row = y,
                     .slope = slopes(goal->tables, goal->target),
                     .goal = goal};
    memset(w->input, 0, n_x * sizeof *w->input);
    memset(y, 0, up8(w->net->nodes[last].n) * sizeof *y);
    for (uint32_t j = 0; j < row->n; j++)
        if (row->var[j] < n_x)
            w->input[row->var[j]] = row->coef[j] * (1ll << 34);
        else
            y[row->var[j] - n_x] = row->coef[j] * (1ll << p.scale);
    p.input = row->var[0] < n_x ? w->input : NULL;
    return descend(r, w, b, &p);
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
    i128 t = minus(r, row->d64, minus(r, f->c, f->s)), sum = 0, edge;
    t = shifted(t, f->q + b->scale - 64, limit);
    if (row->d64 >= limit / 2 || row->d64 <= -limit / 2 || t >= limit - 1)
        return true;
    for (uint32_t j = 0; j < n_x && f->e; j++)
        sum = plus(r, sum,
                   (i128)f->e[j] * (f->e[j] < 0 ? b->hi[j] : b->lo[j]));
    t = minus(r, t + 1, sum); /* V; what is left of T */
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
