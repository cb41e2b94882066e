/* Bounds over one box, by back-substitution in integers; the rules and their
 * proof are man/ax-cert.5, section ARITHMETIC. Every name here is one there:
 * nu, mu, C, A, SM, g, chord, t, P.
 *
 * One box at a time: the rows of all its unstable neurons go through a layer
 * together, which is what fills the vector units. Rows of several boxes in
 * one product were not worth it: they do not share the inactive neurons that
 * the product leaves out. */
#include "bound.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

/* What the rows at hand have contributed to one node so far. */
struct contribution {
    bool is;
    bool narrow;         /* no number has more than 26 bits */
    int64_t *own;        /* [max_rows, n8] */
    int64_t *e;          /* own, or, if narrow, that of a later node */
    int *q;              /* [max_rows] scales */
    int *joined;         /* [max_rows] shifts */
    bool counted;        /* abs is known */
    int64_t *abs;        /* [max_rows] A, sums of |e| */
    const uint32_t *idx; /* where e may be other than 0 */
    size_t n_idx;
};

struct bwork {
    const struct bnet *net;
    struct relax *relax;     /* [n_nodes], of nodes of neurons */
    size_t max_rows;         /* rows that go through together */
    struct contribution *at; /* [n_nodes] */
    int64_t *add;            /* [max_rows, widest8] a second contribution */
    int64_t *nu;             /* [max_rows, widest8] */
    int64_t *tmp;            /* kernel_sparse */
    uint32_t *all;           /* 0, 1, 2, ... */
    ax_i128 *c;              /* [max_rows] */
    uint32_t *rows;          /* unstable neurons of one node */
    uint32_t *starts;        /* the variables that they rectify */
    ax_i128 *lower, *upper;  /* their bounds */
    uint64_t *sum_m;         /* [n_nodes] */
    int64_t **m;             /* [n_nodes] M, of the root alone; or NULL */
    bool bad;                /* a value left its range, or it is late */
    bool late;
    double deadline;
    void *memory; /* zero, and not touched before it is used */
    char *room;   /* in it: all arrays, one after the other */
    size_t taken;
};

/* A zeroed, 64-byte aligned array that lives as long as w, or, while there
 * is no room, NULL: then it is only counted. */
static void *take(struct bwork *w, size_t n, size_t size)
{
    size_t at = w->taken;

    w->taken += (n * size + 127) / 64 * 64;
    return w->room ? w->room + at : NULL;
}

/* ---- a thread's work space ---- */

#define ROWS_MAX   192
#define ROWS_BYTES ((size_t)64 << 20)

static size_t rows_at_once(const struct bnet *net)
{
    size_t row = 0, n;

    for (uint32_t k = 0; k < net->n_nodes; k++)
        row += net->nodes[k].n8 * sizeof(int64_t);
    n = ROWS_BYTES / (row + 1);
    return n > ROWS_MAX ? ROWS_MAX : n < 8 ? 8 : n;
}

size_t bwork_bytes(const struct bnet *net)
{
    size_t rows = rows_at_once(net), sum = 0;

    for (uint32_t k = 0; k < net->n_nodes; k++)
        sum += net->nodes[k].n8 * (rows * 8 + 7 * 8 + 64);
    return sum + 2 * rows * net->widest8 * 8 + 3 * LANES * 8 * net->widest8;
}

static void take_relax(struct bwork *w, struct relax *rx, size_t n8)
{
    rx->mask = take(w, n8, sizeof *rx->mask);
    rx->chord = take(w, n8, sizeof *rx->chord);
    rx->l = take(w, n8, sizeof *rx->l);
    rx->u = take(w, n8, sizeof *rx->u);
    rx->idx = take(w, n8, sizeof *rx->idx);
    rx->loose = take(w, n8, sizeof *rx->loose);
}

/* The arrays of node k; at and rx: of all nodes, or one for all while they
 * are counted. */
static void take_node(struct bwork *w, uint32_t k, struct contribution *at,
                      struct relax *rx, int64_t **m)
{
    size_t n8 = w->net->nodes[k].n8, rows = w->max_rows;

    at->own = take(w, rows * n8, sizeof *at->own);
    at->q = take(w, rows, sizeof *at->q);
    at->joined = take(w, rows, sizeof *at->joined);
    at->abs = take(w, rows, sizeof *at->abs);
    if (ax_net_neurons(w->net->nodes[k].kind))
        take_relax(w, rx, n8);
    else
        *m = take(w, n8, sizeof **m);
}

static void take_all(struct bwork *w)
{
    const struct bnet *net = w->net;
    size_t rows = w->max_rows, nn = net->n_nodes, widest8 = net->widest8;
    bool counts = !w->room;
    struct contribution at;
    struct relax rx;
    int64_t *m;

    w->taken = 0;
    w->relax = take(w, nn, sizeof *w->relax);
    w->at = take(w, nn, sizeof *w->at);
    w->add = take(w, rows * widest8, sizeof *w->add);
    w->nu = take(w, rows * widest8, sizeof *w->nu);
    w->tmp = take(w, 2 * LANES * widest8, sizeof *w->tmp);
    w->all = take(w, widest8, sizeof *w->all);
    w->c = take(w, rows, sizeof *w->c);
    w->rows = take(w, widest8, sizeof *w->rows);
    w->starts = take(w, widest8, sizeof *w->starts);
    w->lower = take(w, widest8, sizeof *w->lower);
    w->upper = take(w, widest8, sizeof *w->upper);
    w->sum_m = take(w, nn, sizeof *w->sum_m);
    w->m = take(w, nn, sizeof *w->m);
    for (uint32_t k = 0; k < nn; k++)
        take_node(w, k, counts ? &at : &w->at[k], counts ? &rx : &w->relax[k],
                  counts ? &m : &w->m[k]);
    for (size_t j = 0; !counts && j < widest8; j++)
        w->all[j] = (uint32_t)j;
}

ax_status bwork_new(struct bwork **out, const struct bnet *net,
                    size_t max_bytes, double deadline, struct ax_err *err)
{
    struct bwork *w = calloc(1, sizeof *w);

    if (bwork_bytes(net) > max_bytes) {
        free(w);
        return ax_fail(err, AX_UNDECIDED,
                       "the bounds need %zu MiB a thread, more than --memory "
                       "allows",
                       bwork_bytes(net) >> 20);
    }
    if (w) {
        w->net = net;
        w->deadline = deadline;
        w->max_rows = rows_at_once(net);
        take_all(w);
        w->memory = calloc(1, w->taken + 64);
    }
    if (!w || !w->memory) {
        bwork_free(w);
        return ax_fail(err, AX_ENOMEM, "no memory for the bounds");
    }
    w->room = (char *)(((uintptr_t)w->memory + 63) / 64 * 64);
    take_all(w);
    *out = w;
    return AX_OK;
}

void bwork_free(struct bwork *w)
{
    if (w)
        free(w->memory);
    free(w);
}

/* ---- the constant C ---- */

#define C_LIMIT ((ax_i128)1 << 120)
#define M_LIMIT ((uint64_t)1 << 62)

/* Add m to a sum SM. */
static inline void add_m(struct bwork *w, uint64_t *sum, uint64_t m)
{
    if (m >= M_LIMIT || (*sum += m) >= M_LIMIT) {
        *sum = 0;
        w->bad = true;
    }
}

/* C += floor(v 2^(64-q)); sets w->bad when that leaves the range. */
static inline void add64(struct bwork *w, ax_i128 *c, ax_i128 v, int q)
{
    int sh = q - 64;

    if (sh >= 0) {
        v = v >> (sh < 127 ? sh : 127);
    } else {
        ax_i128 most = sh > -120 ? C_LIMIT >> -sh : 0;

        if (v > most || v < -most) {
            w->bad = true;
            return;
        }
        v = (ax_i128)((unsigned __int128)v << (sh > -120 ? -sh : 0));
    }
    if (v >= C_LIMIT || v <= -C_LIMIT || __builtin_add_overflow(*c, v, c))
        w->bad = true;
}

/* ---- back-substitution ---- */

/* Bring the contribution in w->add (scale q) to the one that node s has. */
static void join(struct bwork *w, uint32_t s, size_t r, int q)
{
    struct contribution *to = &w->at[s];
    size_t n8 = w->net->nodes[s].n8;
    int lo = q < to->q[r] ? q : to->q[r];
    int a = to->q[r] - lo, b = q - lo;

    kernel_join(to->e + r * n8, a < 63 ? a : 63, w->add + r * n8,
                b < 63 ? b : 63, n8);
    if (a || b)
        to->joined[r]++;
    to->q[r] = lo;
}

/* Contributions of n rows to node s, from nu [n, ldn] at scales from.q + by,
 * through a block. nu has at most 26 bits. */
static void contribute(struct bwork *w, const struct bblock *b,
                       const struct contribution *from, const int64_t *nu,
                       size_t ldn, int by, size_t n)
{
    uint32_t s = b->source;
    struct contribution *to = &w->at[s];
    size_t n8 = w->net->nodes[s].n8;
    bool same = b->form == AX_BLOCK_SAME;

    if (to->is && to->e != to->own) { /* it is another's: take a copy */
        memcpy(to->own, to->e, n * n8 * sizeof *to->own);
        to->e = to->own;
    }
    if (same && to->is)
        memcpy(w->add, nu, n * n8 * sizeof *w->add);
    else if (same)
        to->e = (int64_t *)(uintptr_t)nu;
    else if (b->form == AX_BLOCK_DENSE)
        kernel_dense(to->is ? w->add : to->own, n8, nu, ldn, n, &b->packed,
                     from->idx, from->n_idx);
    else
        kernel_sparse(to->is ? w->add : to->own, n8, nu, ldn, n, &b->csr,
                      from->idx, from->n_idx, w->tmp);
    if (!same && !to->is)
        to->e = to->own;
    to->narrow = same && !to->is;
    to->counted = to->narrow && from->counted;
    if (to->counted)
        memcpy(to->abs, from->abs, n * sizeof *to->abs);
    to->idx = to->narrow ? from->idx : w->all;
    to->n_idx = to->narrow ? from->n_idx : w->net->nodes[s].n;
    for (size_t r = 0; r < n; r++) {
        if (to->is)
            join(w, s, r, from->q[r] + by);
        else
            to->q[r] = from->q[r] + by;
    }
    to->is = true;
}

/* The affine step at unit or weighted node s. */
static void affine(struct bwork *w, uint32_t s, size_t n)
{
    const struct bnode *node = &w->net->nodes[s];
    struct contribution *at = &w->at[s];
    bool weighted = node->kind == AX_NET_WEIGHTED;
    uint64_t sum = 0;

    for (uint32_t i = 0; weighted && i < node->n_blocks; i++)
        if (__builtin_add_overflow(sum, w->sum_m[node->blocks[i].source],
                                   &sum))
            w->bad = true;
    for (size_t r = 0; r < n; r++) {
        int64_t *nu = at->e + r * node->n8;
        int sh = at->narrow ? 0 : kernel_narrow(nu, node->n8);
        ax_i128 bias = 0;

        at->q[r] -= sh;
        if (sh > 0)
            add64(w, &w->c[r], -(ax_i128)w->sum_m[s], at->q[r] + 16);
        if (!weighted && !node->bq)
            continue;
        if (node->bq || !at->counted)
            at->abs[r] = kernel_sums(&bias, nu, node->n8, node->bq);
        if (weighted)
            add64(w, &w->c[r], -(((ax_i128)at->abs[r] * sum + 1) >> 1),
                  at->q[r] + node->scale + 16);
        if (node->bq) {
            add64(w, &w->c[r], bias, at->q[r] + node->b_scale);
            add64(w, &w->c[r], -(((ax_i128)at->abs[r] + 1) >> 1),
                  at->q[r] + node->b_scale);
        }
    }
    at->counted = weighted || node->bq;
    for (uint32_t i = 0; i < node->n_blocks; i++)
        contribute(w, &node->blocks[i], at, at->e, node->n8, node->scale, n);
}

/* What the rows at hand are: tables and multipliers. */
struct batch {
    size_t n;
    const uint8_t *const *tables; /* [n], of the rows; or NULL */
    const struct brow *rows;      /* [n], or NULL */
};

/* A multiplier is (2048 + m) 2^x at scale q, m the low 11 bits of its code;
 * the row's largest integer has n bits. */
static int multiplier_exponent(uint16_t code, int n, int q)
{
    return code / 2048 - 32 + n + q;
}

static int multiplier_bits(uint16_t code, int n, int q)
{
    int x = multiplier_exponent(code, n, q);

    return code == 0 || x < -12 ? 0 : 12 + x;
}

/* At a scale at which it has at most 25 bits. */
static int64_t multiplier(uint16_t code, int n, int q)
{
    int x = multiplier_exponent(code, n, q);
    int64_t v = 2048 + code % 2048;

    return code == 0 || x < -12 ? 0 : x < 0 ? v >> -x : v << x;
}

static int row_width(const struct ax_row *row)
{
    uint32_t most = 0;

    for (uint32_t i = 0; i < row->n_x; i++)
        most |= (uint32_t)abs(row->x_coef[i]);
    for (uint32_t i = 0; i < row->n_y; i++)
        most |= (uint32_t)abs(row->y_coef[i]);
    return most ? 32 - __builtin_clz(most) : 0;
}

/* How wide the multipliers of the neurons of relu node s are at scale q; -1:
 * none of them was split. */
static int widest_multiplier(const struct bwork *w, uint32_t s,
                             const struct brow *row, int q)
{
    size_t first = w->net->first[s], end = first + w->net->nodes[s].n;
    int n = row_width(row->row), most = -1;

    for (uint32_t i = 0; i < row->n_mults; i++) {
        const struct bmult *m = &row->mults[i];
        int bits = multiplier_bits(m->code, n, q);

        if (m->neuron >= first && m->neuron < end && bits > most)
            most = bits;
    }
    return most;
}

/* nu, at scale q, of the neurons of relu node s that were split; e as it was
 * before it was shifted by sh. */
static void multiply(const struct bwork *w, uint32_t s,
                     const struct brow *row, const int64_t *e, int sh, int q,
                     int64_t *nu)
{
    size_t first = w->net->first[s], end = first + w->net->nodes[s].n;
    int n = row_width(row->row);

    for (uint32_t i = 0; i < row->n_mults; i++) {
        const struct bmult *m = &row->mults[i];
        int64_t beta, mu;

        if (m->neuron < first || m->neuron >= end)
            continue;
        beta = multiplier(m->code, n, q);
        mu = sh < 0 ? e[m->neuron - first] * ((int64_t)1 << -sh)
                    : e[m->neuron - first] >> sh;
        nu[m->neuron - first] = m->active ? mu - beta : beta;
    }
}

/* The relaxation at node s of neurons. */
static void relax(struct bwork *w, uint32_t s, const struct batch *b)
{
    const struct bnode *node = &w->net->nodes[s];
    const struct relax *rx = &w->relax[s];
    struct contribution *at = &w->at[s], from = *at;
    const struct bblock *only = &node->blocks[0];
    size_t n8 = node->n8, first = w->net->first[s];
    /* What goes to one node as it is, is made there. */
    bool there = node->n_blocks == 1 && only->form == AX_BLOCK_SAME &&
                 !w->at[only->source].is;
    int64_t *nu = there ? w->at[only->source].own : w->nu;
    bool split = false;

    for (size_t r = 0; r < b->n; r++) {
        const int64_t *e = at->e + r * n8;
        const uint8_t *table = b->tables ? b->tables[r] : NULL;
        ax_i128 g;
        int wide = b->rows ? widest_multiplier(w, s, &b->rows[r], at->q[r])
                           : -1;
        int sh = node->kind == AX_NET_SIGMOID
                     ? kernel_smooth(&g, nu + r * n8, e, n8, rx)
                     : kernel_relax(&g, nu + r * n8, e, n8, rx,
                                    table ? table + first : NULL,
                                    wide < 0 ? 26 : 25, wide);

        at->q[r] -= sh;
        if (wide >= 0) {
            multiply(w, s, &b->rows[r], e, sh, at->q[r], nu + r * n8);
            split = true;
        }
        add64(w, &w->c[r], g, at->q[r] + rx->t);
    }
    /* A neuron that was split may be inactive and have a multiplier. */
    from.counted = false; /* nu is something else */
    from.idx = split ? w->all : rx->idx;
    from.n_idx = split ? node->n : rx->n_idx;
    for (uint32_t i = 0; i < node->n_blocks; i++)
        contribute(w, &node->blocks[i], &from, nu, n8, 0, b->n);
}

/* From node k, where the rows are, down to the input. */
static void descend(struct bwork *w, const struct bbox *box, uint32_t k,
                    const struct batch *b)
{
    const struct contribution *in = &w->at[0];
    uint32_t n_x = w->net->nodes[0].n;
    size_t x8 = w->net->nodes[0].n8;

    for (uint32_t s = k + 1; s-- > 0;) {
        bool neurons = ax_net_neurons(w->net->nodes[s].kind);

        if (!w->at[s].is)
            continue;
        for (size_t r = 0; !neurons && r < b->n; r++)
            for (int g = 0; g < w->at[s].joined[r]; g++)
                add64(w, &w->c[r], -(ax_i128)w->sum_m[s], w->at[s].q[r] + 16);
        if (neurons)
            relax(w, s, b);
        else if (s > 0)
            affine(w, s, b->n);
    }
    for (size_t r = 0; in->is && r < b->n; r++) {
        const int64_t *e = in->e + r * x8;
        ax_i128 sum = 0;

        for (uint32_t j = 0; j < n_x; j++)
            sum += (ax_i128)e[j] * (e[j] < 0 ? box->hi[j] : box->lo[j]);
        add64(w, &w->c[r], sum, in->q[r] + box->p);
    }
}

bool bwork_late(const struct bwork *w)
{
    return w->late;
}

/* No contributions yet but zeros for n rows at node k. */
static void start(struct bwork *w, uint32_t k, size_t n)
{
    struct contribution *at = &w->at[k];

    if (w->deadline > 0 && clock_now() > w->deadline)
        w->bad = w->late = true;
    for (uint32_t s = 0; s < w->net->n_nodes; s++) {
        w->at[s].is = false;
        memset(w->at[s].joined, 0, n * sizeof *w->at[s].joined);
    }
    memset(w->c, 0, n * sizeof *w->c);
    at->is = at->narrow = true;
    at->counted = false;
    at->e = at->own;
    memset(at->e, 0, n * w->net->nodes[k].n8 * sizeof *at->e);
    memset(at->q, 0, n * sizeof *at->q);
    at->idx = w->all;
    at->n_idx = w->net->nodes[k].n;
}

/* A row has 26 bits to begin with; one variable's coefficient is 1. */
#define ONE_SCALE 25
#define ONE       ((int64_t)1 << ONE_SCALE)

/* Lower bounds of v and of -v for n variables v of node k, which neurons[n],
 * numbered from first on, rectify: w->c, the first n and then n more. */
static void bound_variables(struct bwork *w, const struct bbox *box,
                            uint32_t k, const uint32_t *vars, size_t first,
                            const uint32_t *neurons, size_t n)
{
    const uint8_t *tables[ROWS_MAX];
    struct batch b = {2 * n, box->slopes ? tables : NULL, NULL};
    size_t n8 = w->net->nodes[k].n8;

    start(w, k, 2 * n);
    w->at[k].idx = vars;
    w->at[k].n_idx = n;
    for (size_t r = 0; r < 2 * n; r++) {
        w->at[k].e[r * n8 + vars[r < n ? r : r - n]] = r < n ? ONE : -ONE;
        w->at[k].q[r] = ONE_SCALE;
        if (box->slopes)
            tables[r] = box->slopes[2 * (first + neurons[r < n ? r : r - n]) +
                                    (r >= n)];
    }
    descend(w, box, k, &b);
}

static inline int64_t clamp64(ax_i128 v)
{
    return v > INT64_MAX / 2    ? INT64_MAX / 2
           : v < -INT64_MAX / 2 ? -INT64_MAX / 2
                                : (int64_t)v;
}

static inline int bits128(ax_i128 v)
{
    unsigned __int128 x = (unsigned __int128)(v < 0 ? -v - 1 : v);
    uint64_t hi = (uint64_t)(x >> 64), lo = (uint64_t)x;

    return hi ? 128 - __builtin_clzll(hi) : lo ? 64 - __builtin_clzll(lo) : 0;
}

/* Slopes of neuron j of rx between l and u, if it is unstable. */
static void loosen(struct relax *rx, uint32_t j, int64_t l, int64_t u)
{
    rx->loose[rx->n_loose++] = j;
    rx->l[j] = l;
    rx->u[j] = u;
    rx->mask[j] = u > -l ? -1 : 0;
    rx->chord[j] = (u << 28) / (u - l);
}

/* The relaxation of n neurons as if none were unstable. */
static void relax_stable(struct relax *rx, const uint8_t *status, uint32_t n)
{
    rx->n_idx = rx->n_loose = 0;
    for (uint32_t j = 0; j < n; j++) {
        int64_t on = status[j] == ACTIVE;

        rx->mask[j] = -on;
        rx->chord[j] = on << 28;
        rx->l[j] = rx->u[j] = 0;
        if (status[j] != INACTIVE)
            rx->idx[rx->n_idx++] = j;
    }
}

/* Relaxation of node k from the state and the bounds of w->rows[n]. */
static void relax_node(struct bwork *w, uint32_t k, struct bstate *st,
                       size_t n)
{
    const struct bnode *node = &w->net->nodes[k];
    struct relax *rx = &w->relax[k];
    const uint8_t *status = st->status + w->net->first[k];
    const int64_t *m = st->m + w->net->first[k];
    int bits = 0, sh;

    for (size_t r = 0; r < n; r++)
        if (status[w->rows[r]] == UNSTABLE) {
            int a = bits128(w->lower[r]), b = bits128(w->upper[r]);

            bits = a > bits ? a : bits;
            bits = b > bits ? b : bits;
        }
    sh = bits > 29 ? bits - 29 : 0;
    rx->t = 64 - sh;
    relax_stable(rx, status, node->n);
    for (size_t r = 0; r < n; r++)
        if (status[w->rows[r]] == UNSTABLE)
            loosen(rx, w->rows[r], (int64_t)(w->lower[r] >> sh),
                   -(int64_t)((-w->upper[r]) >> sh));
    w->sum_m[k] = 0;
    for (uint32_t j = 0; j < node->n; j++)
        add_m(w, &w->sum_m[k], (uint64_t)m[j]);
}

/* The lines about the sigmoid of neuron j. */
static void enclose(struct relax *rx, uint32_t j, const struct smooth *s)
{
    rx->loose[rx->n_loose++] = j;
    rx->idx[rx->n_idx++] = j;
    rx->chord[j] = s->slope;
    rx->l[j] = s->low;
    rx->u[j] = s->up;
    rx->mask[j] = s->most;
}

#define SMOOTH_SCALE 28
#define SMOOTH_M     ((int64_t)1 << 16)

/* Relaxation of sigmoid node k, all of whose n neurons have bounds. */
static void relax_smooth(struct bwork *w, uint32_t k, struct bstate *st,
                         size_t n)
{
    struct relax *rx = &w->relax[k];
    const int by = 64 - SMOOTH_SCALE;

    rx->t = SMOOTH_SCALE;
    rx->n_idx = rx->n_loose = 0;
    for (size_t r = 0; r < n; r++) {
        int64_t l = clamp64(w->lower[r] >> by);
        int64_t u = clamp64(-((-w->upper[r]) >> by));
        struct smooth s;

        smooth_between(&s, l, u > l ? u : l);
        enclose(rx, (uint32_t)r, &s);
        st->m[w->net->first[k] + r] = SMOOTH_M;
    }
    w->sum_m[k] = 0;
    for (size_t r = 0; r < n; r++)
        add_m(w, &w->sum_m[k], (uint64_t)SMOOTH_M);
}

static void settle(struct bwork *w, uint32_t k, struct bstate *st, size_t n)
{
    uint8_t *status = st->status + w->net->first[k];
    int64_t *m = st->m + w->net->first[k];

    for (size_t r = 0; r < n; r++) {
        uint32_t j = w->rows[r];
        ax_i128 up = -((-w->upper[r]) >> 48);

        up = up < 0 ? 0 : up;
        if (up < m[j])
            m[j] = (int64_t)up;
        if (w->lower[r] >= 0) {
            status[j] = ACTIVE;
        } else if (w->upper[r] <= 0) {
            status[j] = INACTIVE;
            m[j] = 0;
        } else {
            continue;
        }
        st->n_unstable--;
    }
}

static void bound_neurons(struct bwork *w, const struct bbox *box, uint32_t k,
                          struct bstate *st)
{
    const struct bnode *node = &w->net->nodes[k];
    const uint8_t *status = st->status + w->net->first[k];
    size_t n = 0, half = w->max_rows / 2, m;

    for (uint32_t j = 0; j < node->n; j++)
        if (status[j] == UNSTABLE) {
            w->starts[n] = node->arg[j];
            w->rows[n++] = j;
        }
    for (size_t r = 0; r < n && !w->bad; r += m) {
        uint32_t from = node->arg_node[w->rows[r]];

        for (m = 1; m < half && r + m < n; m++)
            if (node->arg_node[w->rows[r + m]] != from)
                break;
        bound_variables(w, box, from, w->starts + r, w->net->first[k],
                        w->rows + r, m);
        for (size_t i = 0; i < m; i++) {
            w->lower[r + i] = w->c[i];
            w->upper[r + i] = -w->c[m + i];
        }
    }
    if (w->bad)
        return;
    if (node->kind == AX_NET_SIGMOID) {
        relax_smooth(w, k, st, n);
        return;
    }
    settle(w, k, st, n);
    relax_node(w, k, st, n);
}

/* ---- M of the root ---- */

/* ceil(v 2^-by), or M_LIMIT if it is not below that; v >= 0. */
static uint64_t ceil_shift(ax_i128 v, int by)
{
    if (by > 0)
        v = by > 126 ? v > 0 : -((-v) >> by);
    else if (v > 0 && (by < -62 || v >= (ax_i128)M_LIMIT >> -by))
        v = M_LIMIT;
    else
        v = v > 0 ? v << -by : 0;
    return v < (ax_i128)M_LIMIT ? (uint64_t)v : M_LIMIT;
}

static int64_t m_of(const struct bwork *w, const struct bstate *st,
                    uint32_t k, size_t j)
{
    return ax_net_neurons(w->net->nodes[k].kind) ? st->m[w->net->first[k] + j]
                                                 : w->m[k][j];
}

/* The sum over the terms of row i of (|W'| + 1) M_v, or of M_v. */
static ax_i128 sum_terms(const struct bwork *w, const struct bstate *st,
                         uint32_t k, uint32_t i)
{
    const struct ax_net_node *node = &w->net->net->nodes[k];
    bool weighted = node->kind == AX_NET_WEIGHTED;
    ax_i128 sum = 0;

    for (uint32_t n = 0; n < node->n_blocks; n++) {
        const struct ax_block *b = &node->blocks[n];
        size_t cols = w->net->nodes[b->source].n, at, end;

        if (b->form == AX_BLOCK_SAME) {
            sum += m_of(w, st, b->source, i);
            continue;
        }
        at = b->form == AX_BLOCK_DENSE ? i * cols : b->row_ptr[i];
        end = b->form == AX_BLOCK_DENSE ? at + cols : b->row_ptr[i + 1];
        for (size_t t = at; t < end; t++) {
            size_t j = b->form == AX_BLOCK_DENSE ? t - at : b->col[t];

            if (b->form == AX_BLOCK_DENSE && b->w[t] == 0)
                continue; /* no term */
            sum += (ax_i128)(weighted ? labs(b->wq[t]) + 1 : 1) *
                   m_of(w, st, b->source, j);
        }
    }
    return sum;
}

static void bound_linear(struct bwork *w, uint32_t k, struct bstate *st)
{
    const struct bnode *node = &w->net->nodes[k];

    if (st->sum_m[k] == UINT64_MAX) {
        st->sum_m[k] = 0;
        for (uint32_t i = 0; i < node->n && !w->bad; i++) {
            uint64_t m = ceil_shift(sum_terms(w, st, k, i), node->scale);

            if (node->bq)
                m += ceil_shift((ax_i128)llabs(node->bq[i]) + 1,
                                node->b_scale - 16);
            w->m[k][i] = (int64_t)m;
            add_m(w, &st->sum_m[k], m);
        }
    }
    w->sum_m[k] = st->sum_m[k];
}

bool bound_box(struct bwork *w, const struct bbox *box, struct bstate *st)
{
    const struct bnet *net = w->net;

    w->bad = w->late = false;
    w->sum_m[0] = 0;
    for (uint32_t j = 0; j < net->nodes[0].n; j++) {
        ax_i128 lo = -box->lo[j], hi = box->hi[j];
        ax_i128 top = lo > hi ? lo : hi;

        top = box->p <= 16 ? top << (16 - box->p)
                           : -((-top) >> (box->p - 16));
        w->m[0][j] = (int64_t)top;
        add_m(w, &w->sum_m[0], (uint64_t)top);
    }
    for (uint32_t k = 1; k + 1 < net->n_nodes && !w->bad; k++) {
        if (ax_net_neurons(net->nodes[k].kind))
            bound_neurons(w, box, k, st);
        else
            bound_linear(w, k, st);
    }
    return !w->bad;
}

/* ---- boxes that are split at neurons ---- */

void bound_keep(const struct bwork *w, struct bbounds *b)
{
    const struct bnet *net = w->net;

    b->sum_m0 = w->sum_m[0];
    memset(b->l, 0, net->neurons * sizeof *b->l);
    memset(b->u, 0, net->neurons * sizeof *b->u);
    for (uint32_t k = 1; k < net->n_nodes; k++) {
        const struct relax *rx = &w->relax[k];

        b->sum[k] = w->sum_m[k];
        b->t[k] = rx->t;
        for (uint32_t i = 0;
             net->nodes[k].kind == AX_NET_SIGMOID && i < rx->n_loose; i++)
            b->smooth[net->first[k] + i] = (struct smooth){
                rx->chord[i], rx->l[i], rx->u[i], rx->mask[i]};
        if (net->nodes[k].kind != AX_NET_RELU)
            continue;
        for (uint32_t i = 0; i < rx->n_loose; i++) {
            b->l[net->first[k] + rx->loose[i]] = (int32_t)rx->l[rx->loose[i]];
            b->u[net->first[k] + rx->loose[i]] = (int32_t)rx->u[rx->loose[i]];
        }
    }
}

void bound_use(struct bwork *w, const struct bbounds *b,
               const struct bstate *st)
{
    const struct bnet *net = w->net;

    w->bad = w->late = false;
    w->sum_m[0] = b->sum_m0;
    for (uint32_t k = 1; k < net->n_nodes; k++) {
        const uint8_t *status = st->status + net->first[k];
        struct relax *rx = &w->relax[k];

        w->sum_m[k] = b->sum[k];
        rx->t = b->t[k];
        if (net->nodes[k].kind == AX_NET_SIGMOID) {
            rx->n_idx = rx->n_loose = 0;
            for (uint32_t j = 0; j < net->nodes[k].n; j++)
                enclose(rx, j, &b->smooth[net->first[k] + j]);
        }
        if (net->nodes[k].kind != AX_NET_RELU)
            continue;
        relax_stable(rx, status, net->nodes[k].n);
        for (uint32_t j = 0; j < net->nodes[k].n; j++)
            if (status[j] == UNSTABLE)
                loosen(rx, j, b->l[net->first[k] + j],
                       b->u[net->first[k] + j]);
    }
}

#define N_SCALE 34 /* of a row's own coefficients on the input */

/* Row r of a property: its contributions to the last node and the input. */
static void start_row(struct bwork *w, const struct ax_row *row, size_t r)
{
    struct contribution *in = &w->at[0], *out = &w->at[w->net->n_nodes - 1];
    size_t x8 = w->net->nodes[0].n8;
    size_t y8 = w->net->nodes[w->net->n_nodes - 1].n8;
    uint32_t most = 0;

    for (uint32_t i = 0; i < row->n_y; i++)
        most |= (uint32_t)abs(row->y_coef[i]);
    out->q[r] = most ? __builtin_clz(most) - 6 : 26;
    for (uint32_t i = 0; i < row->n_y; i++)
        out->e[r * y8 + row->y_index[i]] = row->y_coef[i] *
                                           ((int64_t)1 << out->q[r]);
    in->q[r] = N_SCALE;
    for (uint32_t i = 0; i < row->n_x; i++)
        in->e[r * x8 + row->x_index[i]] = (int64_t)row->x_coef[i] *
                                          ((int64_t)1 << N_SCALE);
}

/* How many of n rows, at most max, can go together: all with inputs or all
 * without. */
static size_t alike(const struct brow *rows, size_t n, size_t max)
{
    size_t m = 1;

    while (m < max && m < n && !rows[m].row->n_x == !rows[0].row->n_x)
        m++;
    return m;
}

bool bound_rows(struct bwork *w, const struct bbox *box, struct brow *rows,
                size_t n)
{
    const struct bnet *net = w->net;
    const uint32_t last = net->n_nodes - 1, n_x = net->nodes[0].n;
    const uint8_t *tables[ROWS_MAX];
    size_t x8 = net->nodes[0].n8;

    for (size_t r0 = 0, m; r0 < n; r0 += m) {
        struct batch b = {0, tables, rows + r0};

        b.n = m = alike(rows + r0, n - r0, w->max_rows);
        start(w, last, m);
        if (rows[r0].row->n_x > 0) {
            w->at[0].is = true;
            w->at[0].e = w->at[0].own;
            memset(w->at[0].e, 0, m * x8 * sizeof *w->at[0].e);
        }
        for (size_t r = 0; r < m; r++) {
            start_row(w, rows[r0 + r].row, r);
            tables[r] = rows[r0 + r].slopes;
        }
        descend(w, box, last, &b);
        if (w->bad)
            return false;
        for (size_t r = 0; r < m; r++) {
            struct brow *o = &rows[r0 + r];

            o->c = w->c[r];
            o->q = w->at[0].is ? w->at[0].q[r] : 0;
            if (w->at[0].is)
                memcpy(o->e, w->at[0].e + r * x8, n_x * sizeof *o->e);
            else
                memset(o->e, 0, n_x * sizeof *o->e);
            bound_threshold(o, box, n_x);
        }
    }
    return true;
}
