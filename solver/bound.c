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

struct bwork {
    const struct bnet *net;
    struct relax *relax;    /* [n_nodes], 1..H used */
    size_t max_rows;        /* rows that go through together */
    int64_t **e;            /* [n_nodes] contributions, [max_rows, n8] */
    int *q;                 /* [n_nodes, max_rows] their scales */
    int *joined;            /* [max_rows] shifts at node 0 */
    uint8_t *has;           /* [n_nodes] node has a contribution */
    int64_t *add;           /* [max_rows, widest8] a second contribution */
    int64_t *nu;            /* [max_rows, widest8] */
    int *nu_q;              /* [max_rows] */
    struct relaxed *out;    /* [max_rows] */
    int64_t *tmp;           /* kernel_sparse */
    uint32_t *all;          /* 0, 1, 2, ... */
    ax_i128 *c;             /* [max_rows] */
    uint32_t *rows;         /* unstable neurons of one node */
    ax_i128 *lower, *upper; /* their bounds */
    uint64_t sum_m0;
    bool bad; /* a value left its range, or it is late */
    bool late;
    double deadline;
    void **owned;
    size_t n_owned;
};

/* A zeroed, 64-byte aligned array that lives as long as w; n is at least 1
 * element and the sum of all arrays was checked by bwork_bytes. */
static void *take(struct bwork *w, size_t n, size_t size, bool *ok)
{
    size_t bytes = PAD((n ? n : 1) * size + 64) / 64 * 64 + 64;
    void *p = *ok ? aligned_alloc(64, bytes) : NULL;

    if (!p) {
        *ok = false;
        return NULL;
    }
    memset(p, 0, bytes);
    w->owned[w->n_owned++] = p;
    return p;
}

/* ---- the network ---- */

static ax_status pack(struct packed *out, const struct ax_block *b,
                      uint32_t rows, uint32_t cols, struct ax_err *err)
{
    uint32_t vecs = (uint32_t)(PAD(cols) / LANES);
    uint32_t panels = (vecs + NV_MAX - 1) / NV_MAX;
    uint32_t nv = (vecs + panels - 1) / panels;
    size_t n = (size_t)panels * rows * nv * LANES;

    panels = (vecs + nv - 1) / nv;
    *out = (struct packed){.rows = rows,
                           .cols = cols,
                           .n_panels = panels,
                           .nv = nv,
                           .nv_last = vecs - (panels - 1) * nv};
    out->data = aligned_alloc(64, n * sizeof *out->data);
    if (!out->data)
        return ax_fail(err, AX_ENOMEM, "no memory for %zu weights", n);
    memset(out->data, 0, n * sizeof *out->data);
    for (uint32_t i = 0; i < rows; i++)
        for (uint32_t j = 0; j < cols; j++) {
            uint32_t p = j / (nv * LANES);
            size_t ld = (size_t)(p + 1 < panels ? nv : out->nv_last) * LANES;

            out->data[(size_t)p * rows * nv * LANES + i * ld +
                      (j - p * nv * LANES)] = b->wq[(size_t)i * cols + j];
        }
    return AX_OK;
}

static ax_status node_new(struct bnode *out, const struct ax_net *net,
                          uint32_t k, struct ax_err *err)
{
    const struct ax_net_node *in = &net->nodes[k];

    out->n = in->n;
    out->n8 = PAD(in->n);
    out->b_scale = in->b_scale;
    out->blocks = calloc(in->n_blocks + 1u, sizeof *out->blocks);
    if (!out->blocks)
        return ax_fail(err, AX_ENOMEM, "no memory for node %u", k);
    for (uint32_t i = 0; i < in->n_blocks; i++) {
        const struct ax_block *b = &in->blocks[i];
        struct bblock *o = &out->blocks[out->n_blocks++];
        uint32_t cols = net->nodes[b->source].n;

        o->source = b->source;
        o->scale = b->scale;
        o->dense = !b->row_ptr;
        if (o->dense)
            AX_TRY(pack(&o->packed, b, in->n, cols, err));
        else
            o->csr = (struct csr){in->n, cols, b->row_ptr, b->col, b->wq};
    }
    if (in->bq) {
        out->bq = aligned_alloc(64, out->n8 * sizeof *out->bq);
        if (!out->bq)
            return ax_fail(err, AX_ENOMEM, "no memory for node %u", k);
        for (size_t j = 0; j < out->n8; j++)
            out->bq[j] = j < in->n ? in->bq[j] : 0;
    }
    return AX_OK;
}

ax_status bnet_new(struct bnet **out, const struct ax_net *net,
                   struct ax_err *err)
{
    struct bnet *b = calloc(1, sizeof *b);
    ax_status st = AX_OK;

    if (!b)
        return ax_fail(err, AX_ENOMEM, "no memory for the network");
    b->net = net;
    b->n_nodes = net->n_nodes;
    b->nodes = calloc(net->n_nodes, sizeof *b->nodes);
    b->first = calloc(net->n_nodes, sizeof *b->first);
    if (!b->nodes || !b->first)
        st = ax_fail(err, AX_ENOMEM, "no memory for the network");
    for (uint32_t k = 0; k < net->n_nodes && st == AX_OK; k++) {
        st = node_new(&b->nodes[k], net, k, err);
        b->first[k] = b->neurons;
        if (k > 0 && k + 1 < net->n_nodes)
            b->neurons += b->nodes[k].n;
        if (b->nodes[k].n8 > b->widest8)
            b->widest8 = b->nodes[k].n8;
    }
    if (st != AX_OK) {
        bnet_free(b);
        return st;
    }
    *out = b;
    return AX_OK;
}

void bnet_free(struct bnet *b)
{
    if (!b)
        return;
    for (uint32_t k = 0; b->nodes && k < b->n_nodes; k++) {
        for (uint32_t i = 0; i < b->nodes[k].n_blocks; i++)
            free(b->nodes[k].blocks[i].packed.data);
        free(b->nodes[k].blocks);
        free(b->nodes[k].bq);
    }
    free(b->nodes);
    free(b->first);
    free(b);
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
        sum += net->nodes[k].n8 * (rows * 8 + 6 * 8 + 64);
    return sum + 2 * rows * net->widest8 * 8 + 3 * LANES * 8 * net->widest8;
}

ax_status bwork_new(struct bwork **out, const struct bnet *net,
                    size_t max_bytes, double deadline, struct ax_err *err)
{
    struct bwork *w = calloc(1, sizeof *w);
    uint32_t nn = net->n_nodes;
    size_t rows = rows_at_once(net);
    bool ok = w != NULL;

    if (bwork_bytes(net) > max_bytes) {
        free(w);
        return ax_fail(err, AX_UNDECIDED,
                       "the bounds need %zu MiB a thread, more than --memory "
                       "allows",
                       bwork_bytes(net) >> 20);
    }
    if (ok)
        ok = (w->owned = calloc(32 + 8 * (size_t)nn, sizeof *w->owned));
    if (!ok)
        goto out;
    w->net = net;
    w->deadline = deadline;
    w->max_rows = rows;
    w->relax = take(w, nn, sizeof *w->relax, &ok);
    w->e = take(w, nn, sizeof *w->e, &ok);
    w->q = take(w, nn * rows, sizeof *w->q, &ok);
    w->joined = take(w, rows, sizeof *w->joined, &ok);
    w->has = take(w, nn, 1, &ok);
    w->add = take(w, rows * net->widest8, sizeof *w->add, &ok);
    w->nu = take(w, rows * net->widest8, sizeof *w->nu, &ok);
    w->nu_q = take(w, rows, sizeof *w->nu_q, &ok);
    w->out = take(w, rows, sizeof *w->out, &ok);
    w->tmp = take(w, 2 * LANES * net->widest8, sizeof *w->tmp, &ok);
    w->all = take(w, net->widest8, sizeof *w->all, &ok);
    w->c = take(w, rows, sizeof *w->c, &ok);
    w->rows = take(w, net->widest8, sizeof *w->rows, &ok);
    w->lower = take(w, net->widest8, sizeof *w->lower, &ok);
    w->upper = take(w, net->widest8, sizeof *w->upper, &ok);
    for (uint32_t k = 0; k < nn && ok; k++) {
        size_t n8 = net->nodes[k].n8;
        struct relax *rx = &w->relax[k];

        w->e[k] = take(w, rows * n8, sizeof *w->e[k], &ok);
        if (k == 0 || k + 1 == nn)
            continue;
        rx->mask = take(w, n8, sizeof *rx->mask, &ok);
        rx->chord = take(w, n8, sizeof *rx->chord, &ok);
        rx->l = take(w, n8, sizeof *rx->l, &ok);
        rx->u = take(w, n8, sizeof *rx->u, &ok);
        rx->idx = take(w, n8, sizeof *rx->idx, &ok);
        rx->loose = take(w, n8, sizeof *rx->loose, &ok);
    }
    for (size_t j = 0; ok && j < net->widest8; j++)
        w->all[j] = (uint32_t)j;
out:
    if (!ok) {
        bwork_free(w);
        return ax_fail(err, AX_ENOMEM, "no memory for the bounds");
    }
    *out = w;
    return AX_OK;
}

void bwork_free(struct bwork *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->n_owned; i++)
        free(w->owned[i]);
    free(w->owned);
    free(w);
}

/* ---- the constant C ---- */

#define C_LIMIT ((ax_i128)1 << 120)
#define D_LIMIT ((ax_i128)1 << 125)
#define T_LIMIT ((ax_i128)1 << 126)
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

static inline uint64_t sum_m(const struct bwork *w, uint32_t s)
{
    return s == 0 ? w->sum_m0 : w->relax[s].sum_m;
}

/* ---- back-substitution ---- */

/* Bring the contribution in w->add (scale q) to the one that node s has. */
static void join(struct bwork *w, uint32_t s, size_t r, int q)
{
    size_t n8 = w->net->nodes[s].n8;
    int *have = &w->q[s * w->max_rows + r];
    int lo = q < *have ? q : *have;
    int a = *have - lo, b = q - lo;

    kernel_join(w->e[s] + r * n8, a < 63 ? a : 63, w->add + r * n8,
                b < 63 ? b : 63, n8);
    if (s == 0 && (a || b))
        w->joined[r]++;
    *have = lo;
}

/* The affine step at node k for n rows: nu (at scales w->nu_q, A in
 * w->out[r].abs, their dot product with b' in w->out[r].bias) goes to the
 * sources. idx: where nu may be other than 0. */
static void affine(struct bwork *w, uint32_t k, size_t n, const uint32_t *idx,
                   size_t n_idx)
{
    const struct bnode *node = &w->net->nodes[k];

    for (uint32_t i = 0; i < node->n_blocks; i++) {
        const struct bblock *b = &node->blocks[i];
        uint32_t s = b->source;
        size_t n8 = w->net->nodes[s].n8;
        int64_t *to = w->has[s] ? w->add : w->e[s];

        if (b->dense)
            kernel_dense(to, n8, w->nu, node->n8, n, &b->packed, idx, n_idx);
        else
            kernel_sparse(to, n8, w->nu, node->n8, n, &b->csr, idx, n_idx,
                          w->tmp);
        for (size_t r = 0; r < n; r++) {
            int q = w->nu_q[r] + b->scale;
            ax_i128 cost = (ax_i128)w->out[r].abs * sum_m(w, s);

            add64(w, &w->c[r], -((cost + 1) >> 1), q + 16);
            if (w->has[s])
                join(w, s, r, q);
            else
                w->q[s * w->max_rows + r] = q;
        }
        w->has[s] = 1;
    }
    for (size_t r = 0; node->bq && r < n; r++) {
        int q = w->nu_q[r] + node->b_scale;

        add64(w, &w->c[r], w->out[r].bias, q);
        add64(w, &w->c[r], -(((ax_i128)w->out[r].abs + 1) >> 1), q);
    }
}

/* From node k - 1 down to the input. */
static void descend(struct bwork *w, const struct bbox *box, uint32_t k,
                    size_t n)
{
    uint32_t n_x = w->net->nodes[0].n;
    size_t x8 = w->net->nodes[0].n8;
    ax_i128 min_lo = 0;

    for (uint32_t s = k; s-- > 1;) {
        const struct bnode *node = &w->net->nodes[s];
        const struct relax *rx = &w->relax[s];

        if (!w->has[s])
            continue;
        for (size_t r = 0; r < n; r++) {
            struct relaxed *o = &w->out[r];

            kernel_relax(o, w->nu + r * node->n8, w->e[s] + r * node->n8,
                         node->n8, rx, node->bq);
            w->nu_q[r] = w->q[s * w->max_rows + r] - o->sh;
            add64(w, &w->c[r], o->g, w->nu_q[r] + rx->t);
        }
        affine(w, s, n, rx->idx, rx->n_idx);
    }
    if (!w->has[0])
        return;
    for (uint32_t j = 0; j < n_x; j++)
        min_lo += box->lo[j] < 0 ? box->lo[j] : 0;
    for (size_t r = 0; r < n; r++) {
        const int64_t *e = w->e[0] + r * x8;
        int q = w->q[r] + box->p;
        ax_i128 sum = 0;

        for (uint32_t j = 0; j < n_x; j++)
            sum += (ax_i128)e[j] * (e[j] < 0 ? box->hi[j] : box->lo[j]);
        for (int g = 0; g < w->joined[r]; g++)
            add64(w, &w->c[r], min_lo, q);
        add64(w, &w->c[r], sum, q);
    }
}

bool bwork_late(const struct bwork *w)
{
    return w->late;
}

static void start(struct bwork *w, size_t n)
{
    if (w->deadline > 0 && clock_now() > w->deadline)
        w->bad = w->late = true;
    memset(w->has, 0, w->net->n_nodes);
    memset(w->joined, 0, n * sizeof *w->joined);
    memset(w->c, 0, n * sizeof *w->c);
}

/* Lower bounds of z_i and of -z_i for the n neurons i of node k: w->c, the
 * first n and then n more. */
static void bound_neurons(struct bwork *w, const struct bbox *box, uint32_t k,
                          const uint32_t *neurons, size_t n)
{
    const struct bnode *node = &w->net->nodes[k];

    start(w, 2 * n);
    memset(w->nu, 0, 2 * n * node->n8 * sizeof *w->nu);
    for (size_t r = 0; r < 2 * n; r++) {
        uint32_t i = neurons[r < n ? r : r - n];
        int64_t one = r < n ? 1 : -1;

        w->nu[r * node->n8 + i] = one;
        w->nu_q[r] = 0;
        w->out[r] = (struct relaxed){
            .abs = 1, .bias = node->bq ? one * node->bq[i] : 0};
    }
    affine(w, k, 2 * n, neurons, n);
    descend(w, box, k, 2 * n);
}

static inline int bits128(ax_i128 v)
{
    unsigned __int128 x = (unsigned __int128)(v < 0 ? -v - 1 : v);
    uint64_t hi = (uint64_t)(x >> 64), lo = (uint64_t)x;

    return hi ? 128 - __builtin_clzll(hi) : lo ? 64 - __builtin_clzll(lo) : 0;
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
    rx->n_idx = rx->n_loose = 0;
    rx->sum_m = 0;
    for (uint32_t j = 0; j < node->n; j++) {
        int64_t on = status[j] == ACTIVE;

        rx->mask[j] = -on;
        rx->chord[j] = on << 28;
        rx->l[j] = rx->u[j] = 0;
        add_m(w, &rx->sum_m, (uint64_t)m[j]);
        if (status[j] != INACTIVE)
            rx->idx[rx->n_idx++] = j;
    }
    for (size_t r = 0; r < n; r++) {
        uint32_t j = w->rows[r];

        if (status[j] != UNSTABLE)
            continue;
        rx->loose[rx->n_loose++] = j;
        rx->l[j] = (int64_t)(w->lower[r] >> sh);
        rx->u[j] = -(int64_t)((-w->upper[r]) >> sh);
        rx->mask[j] = rx->u[j] > -rx->l[j] ? -1 : 0;
        rx->chord[j] = (rx->u[j] << 28) / (rx->u[j] - rx->l[j]);
    }
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

bool bound_box(struct bwork *w, const struct bbox *box, struct bstate *st)
{
    const struct bnet *net = w->net;

    w->bad = w->late = false;
    w->sum_m0 = 0;
    for (uint32_t j = 0; j < net->nodes[0].n; j++) {
        ax_i128 lo = -box->lo[j], hi = box->hi[j];
        ax_i128 top = lo > hi ? lo : hi;

        top = box->p <= 16 ? top << (16 - box->p)
                           : -((-top) >> (box->p - 16));
        add_m(w, &w->sum_m0, (uint64_t)top);
    }
    for (uint32_t k = 1; k + 1 < net->n_nodes && !w->bad; k++) {
        const uint8_t *status = st->status + net->first[k];
        size_t n = 0, half = w->max_rows / 2;

        for (uint32_t j = 0; j < net->nodes[k].n; j++)
            if (status[j] == UNSTABLE)
                w->rows[n++] = j;
        for (size_t r = 0; r < n && !w->bad; r += half) {
            size_t m = n - r < half ? n - r : half;

            bound_neurons(w, box, k, w->rows + r, m);
            for (size_t i = 0; i < m; i++) {
                w->lower[r + i] = w->c[i];
                w->upper[r + i] = -w->c[m + i];
            }
        }
        if (w->bad)
            break;
        settle(w, k, st, n);
        relax_node(w, k, st, n);
    }
    return !w->bad;
}

#define N_SCALE 34 /* of a row's own coefficients on the input */

/* nu, A and nu b' of a row of a property at the last node. */
static void start_row(struct bwork *w, const struct ax_row *row, size_t r,
                      const struct bnode *node, size_t x8)
{
    struct relaxed *o = &w->out[r];

    *o = (struct relaxed){0};
    w->nu_q[r] = 0;
    w->q[r] = N_SCALE;
    for (uint32_t i = 0; i < row->n_y; i++) {
        int64_t v = row->y_coef[i];

        w->nu[r * node->n8 + row->y_index[i]] = v;
        o->abs += v < 0 ? -v : v;
        if (node->bq)
            o->bias += (ax_i128)v * node->bq[row->y_index[i]];
    }
    for (uint32_t i = 0; i < row->n_x; i++)
        w->e[0][r * x8 + row->x_index[i]] = (int64_t)row->x_coef[i] *
                                            ((int64_t)1 << N_SCALE);
}

/* T of ax-cert(5): an unsafe input has sum e x <= T. */
static void threshold(struct brow *row, const struct bbox *box, uint32_t n_x)
{
    int q = row->q + box->p, sh = q - 64;
    ax_i128 sum = 0, sum64, r;

    for (uint32_t j = 0; j < n_x; j++)
        sum += (ax_i128)row->e[j] * (row->e[j] < 0 ? box->hi[j] : box->lo[j]);
    row->clips = false;
    if (row->row->d64_up >= D_LIMIT || row->row->d64_up <= -D_LIMIT)
        return;
    if (sh < 0 && (sum >= (C_LIMIT >> -sh) || sum <= -(C_LIMIT >> -sh)))
        return;
    sum64 = sh >= 0 ? sum >> (sh < 127 ? sh : 127)
                    : (ax_i128)((unsigned __int128)sum << -sh);
    r = row->row->d64_up - (row->c - sum64);
    if (sh < 0) {
        r = r >> (-sh < 127 ? -sh : 127);
    } else {
        ax_i128 most = sh < 126 ? (T_LIMIT - 1) >> sh : 0;

        if (r > most || r < -most)
            return;
        r = (ax_i128)((unsigned __int128)r << (sh < 126 ? sh : 0));
    }
    row->t = r + 1;
    row->clips = row->t < T_LIMIT && row->t > -T_LIMIT;
}

bool bound_rows(struct bwork *w, const struct bbox *box, struct brow *rows,
                size_t n)
{
    const struct bnet *net = w->net;
    const uint32_t last = net->n_nodes - 1, n_x = net->nodes[0].n;
    const struct bnode *node = &net->nodes[last];
    size_t x8 = net->nodes[0].n8;

    for (size_t r0 = 0, m; r0 < n; r0 += m) {
        bool on_x = rows[r0].row->n_x > 0;

        for (m = 1; m < w->max_rows && r0 + m < n; m++)
            if ((rows[r0 + m].row->n_x > 0) != on_x)
                break;
        start(w, m);
        w->has[0] = on_x;
        memset(w->nu, 0, m * node->n8 * sizeof *w->nu);
        memset(w->e[0], 0, m * x8 * sizeof **w->e);
        for (size_t r = 0; r < m; r++)
            start_row(w, rows[r0 + r].row, r, node, x8);
        affine(w, last, m, w->all, node->n);
        descend(w, box, last, m);
        if (w->bad)
            return false;
        for (size_t r = 0; r < m; r++) {
            struct brow *o = &rows[r0 + r];

            o->c = w->c[r];
            o->q = w->has[0] ? w->q[r] : 0;
            memcpy(o->e, w->e[0] + r * x8, n_x * sizeof *o->e);
            threshold(o, box, n_x);
        }
    }
    return true;
}

/* The quotient of v by d > 0, rounded up. */
static ax_i128 ceil_div(ax_i128 v, int64_t d)
{
    ax_i128 q = v / d;

    return q * d < v ? q + 1 : q;
}

bool bound_clip(const struct brow *rows, size_t n, uint32_t n_x, int64_t *lo,
                int64_t *hi)
{
    for (size_t r = 0; r < n; r++) {
        const int64_t *e = rows[r].e;
        ax_i128 slack = rows[r].t, x;

        if (!rows[r].clips)
            continue;
        for (uint32_t j = 0; j < n_x; j++)
            slack -= (ax_i128)e[j] * (e[j] < 0 ? hi[j] : lo[j]);
        if (slack < 0)
            return false;
        for (uint32_t j = 0; j < n_x; j++) {
            ax_i128 range = (ax_i128)hi[j] - lo[j];

            if (e[j] > 0 && slack < e[j] * range) {
                x = ceil_div(slack + (ax_i128)e[j] * lo[j], e[j]);
                hi[j] = x < hi[j] ? (int64_t)x : hi[j];
            } else if (e[j] < 0 && slack < -(ax_i128)e[j] * range) {
                x = -ceil_div(slack + (ax_i128)e[j] * hi[j], -e[j]);
                lo[j] = x > lo[j] ? (int64_t)x : lo[j];
            }
        }
    }
    return true;
}
