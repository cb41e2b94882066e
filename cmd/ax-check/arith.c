/* arith.c - bounds of all neurons in one box, lower bounds of rows of the
 * property, and clipping: ax-cert(5), ARITHMETIC, by the letter.
 *
 * Rows go down the network side by side: a vec holds one number of each of
 * 8 rows, and v vecs stand side by side, so that row r is lane r % 8 of vec
 * r / 8. What is the same for all rows (a weight, a slope) is a scalar. */
#include "island.h"

#include <string.h>

typedef int64_t vec __attribute__((vector_size(64)));

enum { LANES = 8, VECS_MAX = 15, ROWS = LANES * VECS_MAX };

/* The same code for several instruction sets, chosen at start. */
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define CLONES      \
    __attribute__(( \
        target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES
#endif

struct state {              /* of one node, in the box at hand */
    uint32_t n_live, *live; /* the neurons that are not inactive */
    uint8_t *on;            /* [n] is it live? */
    int64_t *l, *u, *chord; /* [n] active: 0, 0, 2^28 */
    int64_t *mask;          /* [n] -1 where mu >= 0 passes, else 0 */
    int64_t scale, sum_m;   /* t; SM < 2^62 */
    bool visited;           /* by the rows that go down now */
    int64_t q[ROWS];        /* scale of nu there */
};

struct work {
    const struct net *net;
    struct state *state; /* [n_layers] */
    vec **part;          /* [blocks] contributions, [columns][v] */
    vec *sum, *nu;       /* [most columns or neurons][v] */
    vec *x; /* [n_x] what rows of the property say of the input */
    bool has_x;
    const vec *e; /* coefficients over the input, NULL if there are none, */
    int64_t q[ROWS];       /* and their scale */
    i128 c[ROWS], s[ROWS]; /* C, of which to64(S, Q) is a part */
    i128 *low, *up;        /* [most neurons] L and U */
    uint32_t *open;        /* [most neurons] the unstable ones */
    unsigned vecs;         /* the most side by side */
};

struct work *work_new(struct run *r, const struct net *net)
{
    struct work *w = get(r, 1, sizeof *w);
    uint64_t cells = 1, most = 8;

    w->net = net;
    w->state = get(r, net->n_layers, sizeof *w->state);
    for (uint32_t k = 0; k < net->n_layers; k++) {
        const struct layer *layer = &net->layers[k];
        struct state *s = &w->state[k];

        s->live = get(r, layer->n, sizeof *s->live);
        s->on = get(r, layer->n, sizeof *s->on);
        s->l = get(r, layer->n, sizeof *s->l);
        s->u = get(r, layer->n, sizeof *s->u);
        s->chord = get(r, layer->n, sizeof *s->chord);
        s->mask = get(r, layer->n, sizeof *s->mask);
        most = layer->n > most ? layer->n : most;
        for (uint32_t i = 0; i < layer->n_blocks; i++)
            cells += net->layers[layer->blocks[i].source].n;
    }
    /* About 32 MiB of contributions, but at least one vec of rows. */
    w->vecs = cells < 524288 / VECS_MAX ? VECS_MAX
                                        : (unsigned)(524288 / cells + 1);
    w->part = get(r, net->n_blocks, sizeof *w->part);
    for (uint32_t k = 0; k < net->n_layers; k++)
        for (uint32_t i = 0; i < net->layers[k].n_blocks; i++) {
            const struct block *b = &net->layers[k].blocks[i];

            w->part[b->id] = get(r, (uint64_t)net->layers[b->source].n + 7,
                                 w->vecs * sizeof(vec));
        }
    w->sum = get(r, most, w->vecs * sizeof(vec));
    w->nu = get(r, most, w->vecs * sizeof(vec));
    w->x = get(r, net->layers[0].n, sizeof(vec));
    w->low = get(r, most, sizeof *w->low);
    w->up = get(r, most, sizeof *w->up);
    w->open = get(r, most, sizeof *w->open);
    return w;
}

static i128 plus(struct run *r, i128 a, i128 b)
{
    if (__builtin_add_overflow(a, b, &a))
        refuse(r, REJECTED, "a value overflows");
    return a;
}

/* floor(v 2^(64 - q)) */
static i128 to64(struct run *r, i128 v, int64_t q)
{
    const i128 limit = (i128)1 << 120;
    int64_t left = 64 - q;

    if (left <= 0)
        v >>= left < -127 ? 127 : -left;
    else if (v != 0 &&
             (left >= 120 || v >= limit >> left || v <= -(limit >> left)))
        v = limit;
    else
        v *= (i128)1 << (left < 120 ? left : 0);
    if (v >= limit || v <= -limit)
        refuse(r, REJECTED, "a value overflows");
    return v;
}

static int bits(i128 v)
{
    unsigned __int128 u = (unsigned __int128)(v < 0 ? -v - 1 : v);
    uint64_t high = (uint64_t)(u >> 64), low = (uint64_t)u;

    return high  ? 128 - __builtin_clzll(high)
           : low ? 64 - __builtin_clzll(low)
                 : 0;
}

/* One tile of 8 columns of sum over i of nu_i W'_i, for g vecs of rows. The
 * sums are below 2^62 in magnitude by the choice of K. */
static inline __attribute__((always_inline)) void
tile(const struct block *b, uint64_t t, const uint8_t *on, const vec *nu,
     unsigned v, vec *e, const int g)
{
    vec acc[8][3] = {{{0}}};

    for (uint64_t k = b->tile[t]; k < b->tile[t + 1]; k++) {
        const vec *row = nu + (uint64_t)b->row[k] * v;
        const int64_t *w = b->w + 8 * k;

        if (!on[b->row[k]])
            continue;
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++)
#pragma GCC unroll 3
            for (int i = 0; i < g; i++)
                acc[j][i] += row[i] * w[j];
    }
#pragma GCC unroll 8
    for (int j = 0; j < 8; j++)
#pragma GCC unroll 3
        for (int i = 0; i < g; i++)
            e[(8 * t + (unsigned)j) * v + (unsigned)i] = acc[j][i];
}

CLONES static void multiply(const struct block *b, uint64_t columns,
                            const uint8_t *on, const vec *nu, unsigned v,
                            vec *e)
{
    for (uint64_t t = 0; 8 * t < columns; t++) {
        unsigned i = 0;

        for (; i + 3 <= v; i += 3)
            tile(b, t, on, nu + i, v, e + i, 3);
        if (v - i == 2)
            tile(b, t, on, nu + i, v, e + i, 2);
        if (v - i == 1)
            tile(b, t, on, nu + i, v, e + i, 1);
    }
}

/* Rows 2 p and 2 p + 1 are neuron live[p] and its negative: what they
 * contribute is rows of W'. */
static void unit_rows(const struct block *b, uint64_t columns,
                      const struct state *s, unsigned v, vec *e)
{
    int64_t *lane = (int64_t *)e;

    memset(e, 0, (columns + 7) / 8 * 8 * v * sizeof *e);
    for (uint64_t t = 0; 8 * t < columns; t++)
        for (uint64_t k = b->tile[t], p = 0; k < b->tile[t + 1]; k++) {
            while (p < s->n_live && s->live[p] < b->row[k])
                p++;
            if (p == s->n_live || s->live[p] != b->row[k])
                continue;
            for (uint64_t j = 0; j < 8; j++) {
                lane[(8 * t + j) * v * LANES + 2 * p] = b->w[8 * k + j];
                lane[(8 * t + j) * v * LANES + 2 * p + 1] = -b->w[8 * k + j];
            }
        }
}

/* Sums over live neurons, v vecs of them: |nu|, and nu b'. */
CLONES static void totals(const struct layer *layer, const struct state *s,
                          const vec *nu, unsigned v, vec *a, i128 *bias)
{
    vec sum[VECS_MAX] = {{0}};

    for (uint32_t x = 0; x < s->n_live; x++) {
        const vec *row = nu + (uint64_t)s->live[x] * v;
        int64_t b = layer->b ? layer->b[s->live[x]] : 0;

        for (unsigned i = 0; i < v; i++) {
            vec sign = row[i] >> 63;

            a[i] += (row[i] ^ sign) - sign; /* at most n 2^26 < 2^57 */
            sum[i] += row[i] * b;           /* at most 64 2^56 */
        }
        if (x % 64 < 63 && x + 1 < s->n_live)
            continue;
        for (unsigned i = 0; i < v * LANES; i++)
            bias[i] += sum[i / LANES][i % LANES];
        memset(sum, 0, sizeof sum);
    }
}

/* The affine step at node k, with nu of its live neurons in w->nu; or, with
 * unit, for unit rows. */
static void affine(struct run *r, struct work *w, uint32_t k, unsigned v,
                   bool unit)
{
    const struct layer *layer = &w->net->layers[k];
    struct state *s = &w->state[k];
    i128 bias[ROWS] = {0};
    vec a[VECS_MAX] = {{0}};

    s->visited = true;
    if (!unit)
        totals(layer, s, w->nu, v, a, bias);
    for (uint32_t p = 0; unit && p < 2 * s->n_live; p++) {
        int64_t b = layer->b ? layer->b[s->live[p / 2]] : 0;

        a[p / LANES][p % LANES] = 1;
        bias[p] = p % 2 ? -b : b;
    }
    for (unsigned i = 0; i < v * LANES; i++) {
        i128 size = a[i / LANES][i % LANES], c = w->c[i];

        /* W' is off by at most 1/2, an activation at most M; the product is
         * below 2^57 2^62. */
        for (uint32_t j = 0; j < layer->n_blocks; j++)
            c = plus(
                r, c,
                to64(r,
                     -((size * w->state[layer->blocks[j].source].sum_m + 1) >>
                       1),
                     s->q[i] + layer->blocks[j].scale + 16));
        if (layer->b) {
            int64_t q = s->q[i] + layer->b_scale;

            c = plus(r, c, to64(r, bias[i], q));
            c = plus(r, c, to64(r, -((size + 1) >> 1), q));
        }
        w->c[i] = c;
    }
    for (uint32_t j = 0; j < layer->n_blocks; j++) {
        const struct block *b = &layer->blocks[j];
        uint64_t columns = w->net->layers[b->source].n;

        if (unit)
            unit_rows(b, columns, s, v, w->part[b->id]);
        else
            multiply(b, columns, s->on, w->nu, v, w->part[b->id]);
    }
}

CLONES static void add_shifted(vec *sum, const vec *part, uint64_t n,
                               unsigned v, const vec *down, const vec *by)
{
    /* Below 2^62 in magnitude by the choice of K, and 2^60 of a row's own. */
    for (uint64_t j = 0; j < n; j++)
        for (unsigned i = 0; i < v; i++)
            sum[j * v + i] = (sum[j * v + i] >> down[i]) +
                             (part[j * v + i] >> by[i]);
}

/* Joining: the coefficients over node k, at scale q; NULL if there are
 * none. What is rounded over the input costs low = sum min(0, lo_j). */
static const vec *join(struct run *r, struct work *w, uint32_t k, unsigned v,
                       i128 low, int scale, int64_t q[ROWS])
{
    const struct layer *layer = &w->net->layers[k];
    const vec *e = NULL;
    unsigned shifts[ROWS] = {0};

    if (k == 0 && w->has_x) {
        e = w->x;
        for (unsigned i = 0; i < v * LANES; i++)
            q[i] = 34;
    }
    for (uint32_t j = 0; j < layer->n_readers; j++) {
        const struct block *b = layer->readers[j];
        const struct state *s = &w->state[b->node];
        vec down[VECS_MAX] = {{0}}, by[VECS_MAX] = {{0}};

        if (!s->visited)
            continue;
        for (unsigned i = 0; i < v * LANES; i++) {
            int64_t d = e ? q[i] - s->q[i] - b->scale : 0;

            down[i / LANES][i % LANES] = d < 0 ? 0 : d < 63 ? d : 63;
            by[i / LANES][i % LANES] = d > 0 ? 0 : d > -63 ? -d : 63;
            q[i] = d > 0 || !e ? s->q[i] + b->scale : q[i];
            shifts[i] += d != 0;
        }
        if (e) {
            if (e != w->sum)
                memcpy(w->sum, e, (uint64_t)layer->n * v * sizeof *e);
            add_shifted(w->sum, w->part[b->id], layer->n, v, down, by);
        }
        e = e ? w->sum : w->part[b->id];
    }
    for (unsigned i = 0; k == 0 && i < v * LANES; i++)
        while (shifts[i]-- > 0)
            w->c[i] = plus(r, w->c[i], to64(r, low, q[i] + scale));
    return e;
}

CLONES static void maxima(const vec *e, uint64_t n, unsigned v, vec *high)
{
    for (uint64_t j = 0; j < n; j++)
        for (unsigned i = 0; i < v; i++)
            high[i] |= e[j * v + i] ^ (e[j * v + i] >> 63);
}

/* nu of the live neurons, and the sum of g. A g is at most 2^26 2^29 in
 * magnitude, so 64 of them fit. */
CLONES static void relax(const struct state *s, const vec *e, const vec *sh,
                         unsigned v, vec *nu, i128 *total)
{
    vec sum[VECS_MAX] = {{0}};

    for (uint32_t x = 0; x < s->n_live; x++) {
        uint64_t j = s->live[x];

        for (unsigned i = 0; i < v; i++) {
            vec mu = e[j * v + i] >> sh[i], minus = mu >> 63, out, g, h;

            out = ((mu * s->chord[j]) >> 28 & minus) |
                  (mu & ~minus & s->mask[j]);
            g = -out * s->l[j];
            h = (mu - out) * s->u[j];
            sum[i] += (h + ((g - h) & ((g - h) >> 63))) & minus; /* min */
            nu[j * v + i] = out;
        }
        if (x % 64 < 63 && x + 1 < s->n_live)
            continue;
        for (unsigned i = 0; i < v * LANES; i++)
            total[i] += sum[i / LANES][i % LANES];
        memset(sum, 0, sizeof sum);
    }
}

/* From node k, where state[k].q and nu (or unit rows) are set, down to the
 * input. The bounds are w->c. */
static void descend(struct run *r, struct work *w, const struct box *b,
                    uint32_t k, unsigned v, bool unit)
{
    uint32_t n_x = w->net->layers[0].n;
    i128 low = 0;

    memset(w->c, 0, sizeof w->c);
    for (uint32_t s = 0; s < k; s++)
        w->state[s].visited = false;
    affine(r, w, k, v, unit);
    for (uint32_t s = k; s-- > 1;) {
        struct state *st = &w->state[s];
        const vec *e = join(r, w, s, v, 0, 0, st->q);
        vec high[VECS_MAX] = {{0}}, sh[VECS_MAX] = {{0}};
        i128 g[ROWS] = {0};

        if (!e)
            continue;
        maxima(e, w->net->layers[s].n, v, high);
        for (unsigned i = 0; i < v * LANES; i++) {
            int n = bits(high[i / LANES][i % LANES]) - 26;

            sh[i / LANES][i % LANES] = n > 0 ? n : 0;
            st->q[i] -= n > 0 ? n : 0;
        }
        relax(st, e, sh, v, w->nu, g);
        for (unsigned i = 0; i < v * LANES; i++)
            w->c[i] = plus(r, w->c[i], to64(r, g[i], st->q[i] + st->scale));
        affine(r, w, s, v, false);
    }
    for (uint32_t j = 0; j < n_x; j++)
        low += b->lo[j] < 0 ? b->lo[j] : 0; /* below 2^31 2^44 */
    memset(w->q, 0, sizeof w->q);
    w->e = join(r, w, 0, v, low, b->scale, w->q);
    for (unsigned i = 0; i < v * LANES; i++) {
        i128 sum = 0;

        for (uint64_t j = 0; w->e && j < n_x; j++) {
            i128 x = w->e[j * v + i / LANES][i % LANES];

            sum = plus(r, sum, x * (x < 0 ? b->hi[j] : b->lo[j]));
        }
        w->s[i] = to64(r, sum, w->q[i] + b->scale);
        w->c[i] = plus(r, w->c[i], w->s[i]);
    }
}

/* Status, M and relaxation of the neurons of node k, of which n have new
 * bounds. */
static void conclude(struct run *r, struct work *w, struct box *b, uint32_t k,
                     uint32_t n)
{
    const struct layer *layer = &w->net->layers[k];
    struct state *s = &w->state[k];
    int64_t *m = b->m + layer->base;
    uint8_t *status = b->status + layer->base;
    i128 sum = 0;
    int sh = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t j = w->open[i];
        i128 most = -(-w->up[i] >> 48);
        int high = bits(w->low[i]), up = bits(w->up[i]);

        most = most < 0 ? 0 : most;
        m[j] = most < m[j] ? (int64_t)most : m[j];
        status[j] = w->low[i] >= 0  ? ACTIVE
                    : w->up[i] <= 0 ? INACTIVE
                                    : UNSTABLE;
        high = (up > high ? up : high) - 29;
        if (status[j] == UNSTABLE && high > sh)
            sh = high;
        if (status[j] == INACTIVE)
            m[j] = 0;
    }
    s->scale = 64 - sh;
    for (uint32_t j = 0; j < layer->n; j++) {
        s->l[j] = s->u[j] = 0;
        s->chord[j] = 1 << 28;
        s->mask[j] = -1;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t j = w->open[i];

        if (status[j] != UNSTABLE)
            continue;
        s->l[j] = (int64_t)(w->low[i] >> sh);    /* -2^29 to -1 */
        s->u[j] = (int64_t) - (-w->up[i] >> sh); /* 1 to 2^29 */
        s->chord[j] = (s->u[j] << 28) / (s->u[j] - s->l[j]);
        s->mask[j] = s->u[j] > -s->l[j] ? -1 : 0;
    }
    s->n_live = 0;
    for (uint32_t j = 0; j < layer->n; j++) {
        sum = plus(r, sum, m[j]);
        s->on[j] = status[j] != INACTIVE;
        if (s->on[j])
            s->live[s->n_live++] = j;
    }
    if (sum >= (i128)1 << 62)
        refuse(r, REJECTED, "activations are too large");
    s->sum_m = (int64_t)sum;
}

void box_bounds(struct run *r, struct work *w, struct box *b)
{
    int up = 16 - b->scale;
    i128 sum = 0;

    w->has_x = false;
    for (uint32_t j = 0; j < w->net->layers[0].n; j++) {
        i128 m = -b->lo[j] > b->hi[j] ? -b->lo[j] : b->hi[j];

        sum += up >= 0 ? m << up : -(-m >> -up); /* at most 2^60 */
    }
    if (sum >= (i128)1 << 62)
        refuse(r, REJECTED, "inputs are too large");
    w->state[0].sum_m = (int64_t)sum;
    for (uint32_t k = 1; k + 1 < w->net->n_layers; k++) {
        const struct layer *layer = &w->net->layers[k];
        struct state *s = &w->state[k];
        uint32_t n = 0, most = w->vecs * LANES / 2;

        for (uint32_t j = 0; j < layer->n; j++)
            if (b->status[layer->base + j] == UNSTABLE)
                w->open[n++] = j;
        for (uint32_t at = 0; at < n; at += most) {
            s->n_live = n - at < most ? n - at : most;
            memcpy(s->live, w->open + at, s->n_live * sizeof *s->live);
            memset(s->q, 0, sizeof s->q);
            descend(r, w, b, k, (2 * s->n_live + LANES - 1) / LANES, true);
            for (uint32_t p = 0; p < s->n_live; p++) {
                w->low[at + p] = w->c[2 * p];
                w->up[at + p] = -w->c[2 * p + 1];
            }
        }
        conclude(r, w, b, k, n);
    }
}

void row_bounds(struct run *r, struct work *w, const struct box *b,
                const struct row *const *rows, uint32_t n, i128 *out)
{
    uint32_t last = w->net->n_layers - 1, n_x = w->net->layers[0].n;
    struct state *s = &w->state[last];

    s->n_live = w->net->layers[last].n;
    memset(s->q, 0, sizeof s->q);
    memset(s->on, 1, s->n_live);
    memset(w->x, 0, n_x * sizeof *w->x);
    memset(w->nu, 0, s->n_live * sizeof *w->nu);
    w->has_x = rows[0]->var[0] < n_x;
    for (uint32_t j = 0; j < s->n_live; j++)
        s->live[j] = j;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < rows[i]->n; j++) {
            uint32_t var = rows[i]->var[j];

            if (var < n_x)
                w->x[var][i] = (int64_t)rows[i]->coef[j] * (1ll << 34);
            else
                w->nu[var - n_x][i] = rows[i]->coef[j];
        }
    descend(r, w, b, last, 1, false);
    memcpy(out, w->c, n * sizeof *out);
}

/* floor(n / d) for d > 0 */
static i128 quotient(i128 n, i128 d)
{
    return n / d - (n % d < 0);
}

bool row_clip(struct run *r, const struct work *w, uint32_t i,
              const struct row *row, const struct box *whole, struct box *b)
{
    const i128 limit = (i128)1 << 125;
    i128 t, sum = 0, v;
    int64_t up = w->q[i] + whole->scale - 64;
    uint32_t n_x = w->net->layers[0].n;

    if (row->d64 >= limit || row->d64 <= -limit)
        return true;
    t = plus(r, row->d64, -plus(r, w->c[i], -w->s[i]));
    if (up <= 0)
        t >>= up < -127 ? 127 : -up;
    else if (t != 0 && (up > 125 || bits(t) + up > 126))
        return true;
    else
        t *= (i128)1 << (up > 125 ? 0 : up);
    t = plus(r, t, 1);
    if (t >= 2 * limit || t <= -2 * limit)
        return true;
    for (uint32_t j = 0; w->e && j < n_x; j++) {
        i128 x = w->e[j][i];

        sum = plus(r, sum, x * (x < 0 ? b->hi[j] : b->lo[j]));
    }
    if (sum > t)
        return false;
    v = plus(r, t, -sum);
    for (uint32_t j = 0; w->e && j < n_x; j++) {
        i128 x = w->e[j][i], edge;

        if (x > 0) {
            edge = -quotient(-plus(r, v, x * b->lo[j]), x);
            b->hi[j] = edge < b->hi[j] ? (int64_t)edge : b->hi[j];
        } else if (x < 0) {
            edge = quotient(-plus(r, v, x * b->hi[j]), -x);
            b->lo[j] = edge > b->lo[j] ? (int64_t)edge : b->lo[j];
        }
    }
    return true;
}
