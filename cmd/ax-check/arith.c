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

/* Of one node, in the box at hand, arrays padded to 8 neurons. With mu < 0
 * a neuron passes on mu below >> 28, else mu & above. */
struct state {
    int64_t *l, *u;         /* 0 if the neuron is not unstable */
    int64_t *below, *above; /* active 2^28, -1; inactive 0, 0 */
    int64_t scale, sum_m;   /* t; SM < 2^62 */
    int64_t q;              /* scale of nu of the row that goes down now, */
    bool visited;           /* if it came here */
};

struct work {
    const struct net *net;
    struct state *state;    /* [n_layers] */
    int64_t **part;         /* [n_blocks] contributions, padded */
    int64_t *sum, *nu;      /* [most neurons, padded] */
    i128 *low, *up;         /* [most neurons] L and U of the unstable ones */
    int64_t *own;           /* [n_x] what a row of the property says of it */
    uint32_t *some, n_some; /* where nu is not 0 */
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
    w->state = get(r, net->n_layers, sizeof *w->state);
    w->part = get(r, net->n_blocks, sizeof *w->part);
    for (uint32_t k = 0; k < net->n_layers; k++) {
        const struct layer *layer = &net->layers[k];
        struct state *s = &w->state[k];
        s->l = get(r, 4 * up8(layer->n), sizeof *s->l);
        s->u = s->l + up8(layer->n);
        s->below = s->u + up8(layer->n);
        s->above = s->below + up8(layer->n);
        most = up8(layer->n) > most ? up8(layer->n) : most;
        for (uint32_t i = 0; i < layer->n_blocks; i++)
            w->part[layer->blocks[i].id] = get(
                r, up8(net->layers[layer->blocks[i].source].n), 8);
    }
    w->sum = get(r, most, sizeof *w->sum);
    w->nu = get(r, most, sizeof *w->nu);
    w->some = get(r, most + 1, sizeof *w->some);
    w->low = get(r, most, sizeof *w->low);
    w->up = get(r, most, sizeof *w->up);
    w->own = get(r, up8(net->layers[0].n), sizeof *w->own);
    return w;
}

static i128 plus(struct run *r, i128 a, i128 b)
{
    if (__builtin_add_overflow(a, b, &a))
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
columns(const struct block *b, const struct work *w, uint64_t tile,
        int64_t *e, const int g)
{
    vec acc[8] = {{0}};
    for (uint32_t x = 0; x < w->n_some; x++) {
        uint64_t i = w->some[x];
        const vec *row = (const vec *)(b->w + i * b->stride) + tile;
#pragma GCC unroll 8
        for (int t = 0; t < g; t++)
            acc[t] += row[t] * w->nu[i];
    }
#pragma GCC unroll 8
    for (int t = 0; t < g; t++)
        ((vec *)e)[tile + (unsigned)t] = acc[t];
}

CLONES static void multiply(const struct block *b, const struct work *w,
                            int64_t *e)
{
    uint64_t n = b->stride / 8, t = 0;
    for (; b->w && t + 8 <= n; t += 8)
        columns(b, w, t, e, 8);
    for (; b->w && t + 7 <= n; t += 7)
        columns(b, w, t, e, 7);
    for (; b->w && t < n; t++)
        columns(b, w, t, e, 1);
    if (b->w)
        return;
    memset(e, 0, b->stride * sizeof *e);
    for (uint32_t x = 0; x < w->n_some; x++)
        for (uint64_t i = w->some[x], k = b->at[i]; k < b->at[i + 1]; k++)
            e[b->col[k]] += w->nu[i] * b->cw[k];
}

/* Sums of |nu| and nu b' over n neurons; b may be NULL. Where nu is not 0
 * goes to w->some. A lane of a vec adds 64 numbers of at most 2^56. */
CLONES static void totals(struct work *w, const int64_t *b, uint64_t n,
                          i128 *a, i128 *bias)
{
    const vec *nu = (const vec *)w->nu;
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
        some += w->nu[j] != 0;
    }
    w->n_some = some;
}

/* The affine step at node k with w->nu: contributions to its sources;
 * returns what C grows by. */
static i128 affine(struct run *r, struct work *w, uint32_t k)
{
    const struct layer *layer = &w->net->layers[k];
    struct state *s = &w->state[k];
    i128 c = 0, a, bias;
    s->visited = true;
    totals(w, layer->b, layer->n, &a, &bias);
    for (uint32_t j = 0; j < layer->n_blocks; j++) {
        const struct block *b = &layer->blocks[j];
        /* W' is off by at most 1/2, activations are at most M: the product
         * is below 2^57 2^62. */
        c = plus(r, c,
                 to64(r, -((a * w->state[b->source].sum_m + 1) >> 1),
                      s->q + b->scale + 16));
        multiply(b, w, w->part[b->id]);
    }
    if (layer->b) {
        c = plus(r, c, to64(r, bias, s->q + layer->b_scale));
        c = plus(r, c, to64(r, -((a + 1) >> 1), s->q + layer->b_scale));
    }
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
 * none. own is what a row says of the input, or NULL. */
static const int64_t *join(struct work *w, uint32_t k, const int64_t *own,
                           int64_t *q, uint64_t *shifts)
{
    const struct layer *layer = &w->net->layers[k];
    const int64_t *e = own;
    *shifts = 0;
    *q = 34;
    for (uint32_t j = 0; j < layer->n_readers; j++) {
        const struct block *b = layer->readers[j];
        int64_t scale = w->state[b->node].q + b->scale, d = *q - scale;
        if (!w->state[b->node].visited)
            continue;
        if (!e) {
            e = w->part[b->id];
            *q = scale;
            continue;
        }
        if (e != w->sum)
            memcpy(w->sum, e, up8(layer->n) * sizeof *e);
        e = w->sum;
        add_shifted(w->sum, w->part[b->id], layer->n,
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

/* nu of a node from mu = e >> sh; returns the sum of g, each of which is at
 * most 2^26 2^29 in magnitude. */
CLONES static i128 relax(const struct state *s, const int64_t *e, uint64_t n,
                         int sh, int64_t *nu)
{
    i128 total = 0;
    for (uint64_t from = 0; from < n; from += 512) {
        vec sum = {0};
        for (uint64_t j = from; j < n && j < from + 512; j += 8) {
            vec mu = *(const vec *)(e + j) >> sh, neg = mu >> 63, g, h, out;
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

/* A row, nu of node k in w->nu at scale 0, goes down to the input. */
static struct bound descend(struct run *r, struct work *w,
                            const struct box *b, uint32_t k,
                            const int64_t *own)
{
    uint64_t shifts, n_x = w->net->layers[0].n;
    struct bound out = {0};
    i128 low = 0;
    int64_t q;
    for (uint32_t s = 0; s < k; s++)
        w->state[s].visited = false;
    w->state[k].q = 0;
    out.c = affine(r, w, k);
    for (uint32_t s = k; s-- > 1;) {
        struct state *st = &w->state[s];
        uint64_t n = w->net->layers[s].n;
        const int64_t *e = join(w, s, NULL, &q, &shifts);
        int sh;
        if (!e)
            continue;
        sh = bits(highest(e, n)) - 26;
        sh = sh > 0 ? sh : 0;
        st->q = q - sh;
        out.c = plus(r, out.c,
                     to64(r, relax(st, e, n, sh, w->nu), st->q + st->scale));
        out.c = plus(r, out.c, affine(r, w, s));
    }
    out.e = join(w, 0, own, &out.q, &shifts);
    out.q = out.e ? out.q : 0;
    for (uint64_t j = 0; j < n_x && out.e; j++) {
        i128 x = out.e[j];
        low += b->lo[j] < 0 ? b->lo[j] : 0; /* above -2^31 2^44 */
        out.s = plus(r, out.s, x * (x < 0 ? b->hi[j] : b->lo[j]));
    }
    low = to64(r, low, out.q + b->scale);
    for (; shifts > 0; shifts--)
        out.c = plus(r, out.c, low);
    out.s = to64(r, out.s, out.q + b->scale);
    out.c = plus(r, out.c, out.s);
    return out;
}

static i128 unit_row(struct run *r, struct work *w, const struct box *b,
                     uint32_t k, uint64_t i, int64_t one)
{
    memset(w->nu, 0, up8(w->net->layers[k].n) * sizeof *w->nu);
    w->nu[i] = one;
    return descend(r, w, b, k, NULL).c;
}

/* The neurons of node k: bounds of those that are unstable so far, and what
 * follows from them. */
static void bound_node(struct run *r, struct work *w, struct box *b,
                       uint32_t k)
{
    const struct layer *layer = &w->net->layers[k];
    struct state *s = &w->state[k];
    uint8_t *status = b->status + layer->base;
    int64_t *m = b->m + layer->base;
    i128 sum = 0;
    int sh = 0;
    for (uint64_t i = 0; i < layer->n; i++) {
        i128 low, up, most;
        if (status[i] == UNSTABLE) {
            low = w->low[i] = unit_row(r, w, b, k, i, 1);
            up = w->up[i] = -unit_row(r, w, b, k, i, -1);
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
        sum = plus(r, sum, m[i]);
    }
    if (sum >= (i128)1 << 62)
        refuse(r, REJECTED, "activations are too large");
    s->sum_m = (int64_t)sum;
    s->scale = 64 - sh;
    for (uint64_t i = 0; i < layer->n; i++) {
        bool open = status[i] == UNSTABLE;
        int64_t l = open ? (int64_t)(w->low[i] >> sh) : 0;    /* >= -2^29 */
        int64_t u = open ? (int64_t) - (-w->up[i] >> sh) : 0; /* <= 2^29 */
        s->l[i] = l;
        s->u[i] = u;
        s->below[i] = open ? (u << 28) / (u - l) : 1 << 28;
        s->above[i] = open && u <= -l ? 0 : -1;
        if (status[i] == INACTIVE)
            s->below[i] = s->above[i] = 0;
    }
}

void box_bounds(struct run *r, struct work *w, struct box *b)
{
    int up = 16 - b->scale;
    i128 sum = 0;
    for (uint32_t j = 0; j < w->net->layers[0].n; j++) {
        i128 m = -b->lo[j] > b->hi[j] ? -b->lo[j] : b->hi[j];
        sum += up >= 0 ? m * (1 << up) : -(-m >> -up); /* at most 2^60 */
    }
    if (sum >= (i128)1 << 62)
        refuse(r, REJECTED, "inputs are too large");
    w->state[0].sum_m = (int64_t)sum;
    for (uint32_t k = 1; k + 1 < w->net->n_layers; k++)
        bound_node(r, w, b, k);
}

struct bound row_bound(struct run *r, struct work *w, const struct box *b,
                       const struct row *row)
{
    uint32_t n_x = w->net->layers[0].n, last = w->net->n_layers - 1;
    memset(w->own, 0, n_x * sizeof *w->own);
    memset(w->nu, 0, up8(w->net->layers[last].n) * sizeof *w->nu);
    for (uint32_t j = 0; j < row->n; j++)
        if (row->var[j] < n_x)
            w->own[row->var[j]] = row->coef[j] * (1ll << 34);
        else
            w->nu[row->var[j] - n_x] = row->coef[j];
    return descend(r, w, b, last, row->var[0] < n_x ? w->own : NULL);
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
    i128 t = plus(r, row->d64, -plus(r, f->c, -f->s)), sum = 0, edge;
    t = shifted(t, f->q + b->scale - 64, limit);
    if (row->d64 >= limit / 2 || row->d64 <= -limit / 2 || t >= limit - 1)
        return true;
    for (uint32_t j = 0; j < n_x && f->e; j++)
        sum = plus(r, sum,
                   (i128)f->e[j] * (f->e[j] < 0 ? b->hi[j] : b->lo[j]));
    t = plus(r, t + 1, -sum); /* V; what is left of T */
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
