/* Bounds over one box, by back-substitution in integers (descend.c); the
 * rules and their proof are man/ax-cert.5, section ARITHMETIC. Every name
 * here is one there: nu, mu, C, A, SM, g, chord, t, P.
 *
 * One box at a time: the rows of all its unstable neurons go through a layer
 * together, which is what fills the vector units. Rows of several boxes in
 * one product were not worth it: they do not share the inactive neurons that
 * the product leaves out. */
#include "bound.h"

#include <stdlib.h>
#include <string.h>

#include "work.h"

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

    work_start(w, k, 2 * n);
    w->at[k].idx = vars;
    w->at[k].n_idx = n;
    for (size_t r = 0; r < 2 * n; r++) {
        w->at[k].e[r * n8 + vars[r < n ? r : r - n]] = r < n ? ONE : -ONE;
        w->at[k].q[r] = ONE_SCALE;
        if (box->slopes)
            tables[r] = box->slopes[2 * (first + neurons[r < n ? r : r - n]) +
                                    (r >= n)];
    }
    work_descend(w, box, k, &b);
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

/* The lines about the smooth function of neuron j. */
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
#define SMOOTH_ERROR (1 << 8) /* of a library's sigmoid */

/* M of a smooth neuron whose v is at most u, at scale 28. */
static int64_t smooth_m(enum ax_net_kind kind, int64_t u)
{
    const int64_t one = 1 << 16;

    if (kind != AX_NET_GELU)
        return one;
    return one / 2 + (u > 0 ? -(-u >> 13) : 0); /* (1 + u) / 2 */
}

/* Relaxation of smooth node k, all of whose n neurons have bounds. */
static void relax_smooth(struct bwork *w, uint32_t k, struct bstate *st,
                         size_t n)
{
    const struct bnode *node = &w->net->nodes[k];
    struct relax *rx = &w->relax[k];
    const int by = 64 - SMOOTH_SCALE;

    rx->t = SMOOTH_SCALE;
    rx->n_idx = rx->n_loose = 0;
    for (size_t r = 0; r < n; r++) {
        int64_t l = clamp64(w->lower[r] >> by);
        int64_t u = clamp64(-((-w->upper[r]) >> by));
        struct smooth s;

        u = u > l ? u : l;
        if (!smooth_between(&s, node->kind, l, u)) {
            w->bad = true;
            return;
        }
        if (w->net->ieee32) {
            s.low -= SMOOTH_ERROR;
            s.up += SMOOTH_ERROR;
        }
        enclose(rx, (uint32_t)r, &s);
        st->m[w->net->first[k] + r] = smooth_m(node->kind, u);
    }
    w->sum_m[k] = 0;
    for (size_t r = 0; r < n; r++)
        add_m(w, &w->sum_m[k], (uint64_t)st->m[w->net->first[k] + r]);
}

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

/* Bounds of the variable of a curved node are no worse than its range. */
static void narrow(struct bwork *w, const struct relax *rx, uint32_t j,
                   ax_i128 *lower, ax_i128 *upper)
{
    ax_i128 l = 0, u = 0;

    add64(w, &l, rx->l[j], rx->t);
    add64(w, &u, -(ax_i128)rx->u[j], rx->t);
    *lower = l > *lower ? l : *lower;
    *upper = -u < *upper ? -u : *upper;
}

/* Variable j of unit node k, if it is a sum of variables of curved nodes, is
 * not less than the sum of their least values, and not more than that of
 * their greatest. */
static void narrow_sum(struct bwork *w, uint32_t k, uint32_t j,
                       ax_i128 *lower, ax_i128 *upper)
{
    const struct ax_net_node *node = &w->net->net->nodes[k];
    ax_i128 l = 0, u = 0;

    for (uint32_t i = 0; i < node->n_blocks; i++) {
        const struct ax_block *b = &node->blocks[i];
        const struct relax *rx = &w->relax[b->source];
        bool same = b->form == AX_BLOCK_SAME;
        uint64_t t = same ? j : b->row_ptr[j];
        uint64_t end = same ? j + 1 : b->row_ptr[j + 1];

        for (; t < end; t++) {
            uint32_t v = same ? j : b->col[t];

            if (!ax_net_curved(w->net->nodes[b->source].kind) ||
                (b->wq && b->wq[t] != 1))
                return;
            add64(w, &l, rx->l[v], rx->t);
            add64(w, &u, -(ax_i128)rx->u[v], rx->t);
        }
    }
    if (node->bias) {
        add64(w, &l, node->bias[j].m, -node->bias[j].e);
        add64(w, &u, -node->bias[j].m, -node->bias[j].e);
    }
    *lower = l > *lower ? l : *lower;
    *upper = -u < *upper ? -u : *upper;
}

/* Ranges of hold node k, all of whose n variables have bounds. */
static void relax_hold(struct bwork *w, uint32_t k, struct bstate *st,
                       size_t n)
{
    const struct bnode *node = &w->net->nodes[k];
    struct relax *rx = &w->relax[k];
    int64_t *m = st->m + w->net->first[k];
    int most = 0, sh;

    for (size_t r = 0; r < n; r++) {
        int a, b;

        if (w->net->nodes[node->arg_node[r]].kind == AX_NET_UNIT)
            narrow_sum(w, node->arg_node[r], node->arg[r], &w->lower[r],
                       &w->upper[r]);
        if (ax_net_curved(w->net->nodes[node->arg_node[r]].kind))
            narrow(w, &w->relax[node->arg_node[r]], node->arg[r],
                   &w->lower[r], &w->upper[r]);
        a = bits128(w->lower[r]);
        b = bits128(w->upper[r]);
        most = a > most ? a : most;
        most = b > most ? b : most;
    }
    sh = most > RANGE_BITS ? most - RANGE_BITS : 0;
    rx->t = 64 - sh;
    rx->n_idx = rx->n_loose = 0;
    w->sum_m[k] = 0;
    for (size_t r = 0; r < n; r++) {
        ax_i128 top = -w->lower[r] > w->upper[r] ? -w->lower[r] : w->upper[r];
        uint64_t bound = ceil_shift(top > 0 ? top : 0, 48);

        rx->l[r] = (int64_t)(w->lower[r] >> sh);
        rx->u[r] = -(int64_t)((-w->upper[r]) >> sh);
        rx->u[r] = rx->u[r] > rx->l[r] ? rx->u[r] : rx->l[r];
        m[r] = bound < (uint64_t)m[r] ? (int64_t)bound : m[r];
        add_m(w, &w->sum_m[k], (uint64_t)m[r]);
    }
}

/* Lines of curved node k, from the ranges of what it is made of. */
static void bend(struct bwork *w, uint32_t k)
{
    const struct bnode *node = &w->net->nodes[k];
    const struct relax *x = &w->relax[node->factor_node[0]];
    const struct relax *y = &w->relax[node->factor_node[1]];
    struct relax *own = &w->relax[k];
    struct range a = {x->l, x->u, x->t}, b = {y->l, y->u, y->t};
    struct range out = {own->l, own->u, 0};
    int bits = w->net->net->nodes[k].scale;
    uint64_t *m = (uint64_t *)w->m[k];

    if (node->kind == AX_NET_EXP)
        w->bad |= !curve_exp(&w->curve[k], &out, &a, node->factor[0], node->n,
                             bits, m);
    else if (node->kind == AX_NET_PRODUCT)
        curve_product(&w->curve[k], &out, &a, &b, node->factor[0],
                      node->factor[1], node->n, bits, node->n_blocks == 1, m);
    else if (!curve_reciprocal(&w->curve[k], &out, &a, node->factor[0],
                               node->n, bits, m))
        w->bad = true;
    own->t = out.t;
    w->sum_m[k] = 0;
    for (uint32_t i = 0; i < node->n && !w->bad; i++)
        add_m(w, &w->sum_m[k], m[i]);
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
        }
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
    if (ax_net_smooth(node->kind)) {
        relax_smooth(w, k, st, n);
        return;
    }
    if (node->kind == AX_NET_HOLD) {
        relax_hold(w, k, st, n);
        return;
    }
    settle(w, k, st, n);
    relax_node(w, k, st, n);
}

/* ---- M and D of sums ---- */

static const int64_t *m_of(const struct bwork *w, const struct bstate *st,
                           uint32_t k)
{
    return ax_net_neurons(w->net->nodes[k].kind) ? st->m + w->net->first[k]
                                                 : w->m[k];
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
        const int32_t *size = w->net->nodes[k].blocks[n].size;
        const int64_t *m = m_of(w, st, b->source);
        size_t cols = w->net->nodes[b->source].n, at, end;

        if (b->form == AX_BLOCK_SAME) {
            sum += m[i];
            continue;
        }
        at = b->form == AX_BLOCK_DENSE ? i * cols : b->row_ptr[i];
        end = b->form == AX_BLOCK_DENSE ? at + cols : b->row_ptr[i + 1];
        if (b->form == AX_BLOCK_DENSE && size && w->few[b->source]) {
            sum += kernel_magnitude(size + at, m, cols);
            continue;
        }
        for (size_t t = at; t < end; t++) {
            size_t j = b->form == AX_BLOCK_DENSE ? t - at : b->col[t];

            if (b->form == AX_BLOCK_DENSE && b->w[t] == 0)
                continue; /* no term */
            sum += (ax_i128)(weighted ? labs(b->wq[t]) + 1 : 1) * m[j];
        }
    }
    return sum;
}

/* D of node k, at first as E at scale ERROR_SCALE, and the M in w->m[k],
 * which is X there. */
static void bound_errors(struct bwork *w, uint32_t k)
{
    const struct bnode *node = &w->net->nodes[k];
    int64_t *d = w->own_d[k], *m = w->m[k], any = 0;
    int sh;

    for (uint32_t i = 0; i < node->n; i++) {
        ax_i128 e = -((-(ax_i128)node->gamma * (m[i] + 1)) >> 24);

        if (e >= (ax_i128)M_LIMIT) {
            w->bad = true;
            return;
        }
        d[i] = (int64_t)e;
        m[i] += -(-d[i] >> 24);
        any |= d[i];
    }
    sh = bits128(any) - ERROR_BITS;
    sh = sh > 0 ? sh : 0;
    for (uint32_t i = 0; sh && i < node->n; i++)
        d[i] = -(-d[i] >> sh);
    w->d[k] = d;
    w->d_scale[k] = ERROR_SCALE - sh;
}

/* Which of the sources of node k have small M? */
static void look_at_sources(struct bwork *w, const struct bstate *st,
                            uint32_t k)
{
    const struct bnode *node = &w->net->nodes[k];

    for (uint32_t n = 0; n < node->n_blocks; n++) {
        uint32_t s = node->blocks[n].source;
        const int64_t *m = m_of(w, st, s);
        int64_t any = 0;

        for (uint32_t j = 0; j < w->net->nodes[s].n; j++)
            any |= m[j];
        w->few[s] = any < (int64_t)1 << 26;
    }
}

static void bound_linear(struct bwork *w, uint32_t k, struct bstate *st)
{
    const struct bnode *node = &w->net->nodes[k];

    if (st->sum_m[k] != UINT64_MAX && !w->net->ieee32) {
        w->sum_m[k] = st->sum_m[k];
        return;
    }
    if (w->net->ieee32)
        look_at_sources(w, st, k);
    for (uint32_t i = 0; i < node->n; i++) {
        uint64_t m = ceil_shift(sum_terms(w, st, k, i), node->scale);

        if (node->bq)
            m += ceil_shift((ax_i128)llabs(node->bq[i]) + 1,
                            node->b_scale - 16);
        w->bad |= m >= M_LIMIT;
        w->m[k][i] = (int64_t)m;
    }
    if (node->errs && !w->bad)
        bound_errors(w, k);
    w->sum_m[k] = 0;
    for (uint32_t i = 0; i < node->n && !w->bad; i++)
        add_m(w, &w->sum_m[k], (uint64_t)w->m[k][i]);
    st->sum_m[k] = w->sum_m[k];
}

bool bound_box(struct bwork *w, const struct bbox *box, struct bstate *st)
{
    const struct bnet *net = w->net;

    w->bad = w->late = false;
    if (net->ieee32) { /* bound_use may have put another's there */
        w->d[net->n_nodes - 1] = w->own_d[net->n_nodes - 1];
        w->d_scale[net->n_nodes - 1] = ERROR_SCALE;
    }
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
        else if (ax_net_curved(net->nodes[k].kind))
            bend(w, k);
        else
            bound_linear(w, k, st);
    }
    return !w->bad;
}

/* ---- boxes that are split at neurons ---- */

void bound_keep(const struct bwork *w, struct bbounds *b)
{
    const struct bnet *net = w->net;
    int64_t *d = b->d;

    b->sum_m0 = w->sum_m[0];
    memset(b->l, 0, net->neurons * sizeof *b->l);
    memset(b->u, 0, net->neurons * sizeof *b->u);
    for (uint32_t k = 1; k < net->n_nodes; k++) {
        const struct relax *rx = &w->relax[k];

        b->sum[k] = w->sum_m[k];
        b->t[k] = rx->t;
        if (w->d[k]) {
            memcpy(d, w->d[k], net->nodes[k].n * sizeof *d);
            b->d_scale[k] = w->d_scale[k];
            d += net->nodes[k].n8;
        }
        for (uint32_t i = 0;
             ax_net_smooth(net->nodes[k].kind) && i < rx->n_loose; i++)
            b->smooth[net->first[k] + i] = (struct smooth){
                rx->chord[i], rx->l[i], rx->u[i], rx->mask[i]};
        for (uint32_t j = 0;
             net->nodes[k].kind == AX_NET_HOLD && j < net->nodes[k].n; j++) {
            b->l[net->first[k] + j] = (int32_t)rx->l[j];
            b->u[net->first[k] + j] = (int32_t)rx->u[j];
        }
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
    const int64_t *d = b->d;

    w->bad = w->late = false;
    w->sum_m[0] = b->sum_m0;
    for (uint32_t k = 1; k < net->n_nodes; k++) {
        const uint8_t *status = st->status + net->first[k];
        struct relax *rx = &w->relax[k];

        w->sum_m[k] = b->sum[k];
        rx->t = b->t[k];
        if (net->nodes[k].errs) {
            w->d[k] = d;
            w->d_scale[k] = b->d_scale[k];
            d += net->nodes[k].n8;
        }
        if (ax_net_smooth(net->nodes[k].kind)) {
            rx->n_idx = rx->n_loose = 0;
            for (uint32_t j = 0; j < net->nodes[k].n; j++)
                enclose(rx, j, &b->smooth[net->first[k] + j]);
        }
        for (uint32_t j = 0;
             net->nodes[k].kind == AX_NET_HOLD && j < net->nodes[k].n; j++) {
            rx->l[j] = b->l[net->first[k] + j];
            rx->u[j] = b->u[net->first[k] + j];
        }
        if (ax_net_curved(net->nodes[k].kind))
            bend(w, k);
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
        work_start(w, last, m);
        if (rows[r0].row->n_x > 0) {
            w->at[0].is = true;
            w->at[0].e = w->at[0].own;
            memset(w->at[0].e, 0, m * x8 * sizeof *w->at[0].e);
        }
        for (size_t r = 0; r < m; r++) {
            start_row(w, rows[r0 + r].row, r);
            tables[r] = rows[r0 + r].slopes;
        }
        work_descend(w, box, last, &b);
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
