/* The lower bound of rows: back-substitution from a node down to the input,
 * ax-cert(5), section ARITHMETIC, Lower bound of a row. */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "work.h"

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

/* sum of nu times what its sign takes of a curve's lines, at their scale. */
static ax_i128 between(const struct curve *c, const int64_t *nu, uint32_t n)
{
    ax_i128 sum = 0;

    for (uint32_t i = 0; i < n; i++)
        sum += (ax_i128)nu[i] * (nu[i] < 0 ? c->up[i] : c->low[i]);
    return sum;
}

/* The contributions of a curved node, whose W' are those of the box. */
static void contribute_curve(struct bwork *w, uint32_t s, size_t n)
{
    const struct bnode *node = &w->net->nodes[s];
    const struct curve *c = &w->curve[s];
    struct contribution *at = &w->at[s];

    at->counted = false; /* the blocks' sums are not those of nu */
    for (uint32_t i = 0; i < node->n_blocks; i++) {
        struct bblock b = node->blocks[i];

        b.csr.val = c->w[i];
        contribute(w, &b, at, at->e, node->n8, c->scale[i], n);
    }
}

/* The affine step at node s that is no relu or smooth node. */
static void affine(struct bwork *w, uint32_t s, size_t n)
{
    const struct bnode *node = &w->net->nodes[s];
    struct contribution *at = &w->at[s];
    bool weighted = node->kind == AX_NET_WEIGHTED;
    bool curved = ax_net_curved(node->kind);
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
        if (curved)
            add64(w, &w->c[r], between(&w->curve[s], nu, node->n),
                  at->q[r] + w->curve[s].at);
        if (w->d[s])
            add64(w, &w->c[r], -kernel_weigh(nu, w->d[s], node->n8),
                  at->q[r] + w->d_scale[s]);
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
    if (curved) {
        contribute_curve(w, s, n);
        return;
    }
    for (uint32_t i = 0; i < node->n_blocks; i++)
        contribute(w, &node->blocks[i], at, at->e, node->n8, node->scale, n);
}

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
                    : e[m->neuron - first] >> (sh < 63 ? sh : 63);
        nu[m->neuron - first] = m->active ? mu - beta : beta;
    }
}

/* The relaxation at relu or smooth node s. */
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
        int sh = ax_net_smooth(node->kind)
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

void work_descend(struct bwork *w, const struct bbox *box, uint32_t k,
                  const struct batch *b)
{
    const struct contribution *in = &w->at[0];
    uint32_t n_x = w->net->nodes[0].n;
    size_t x8 = w->net->nodes[0].n8;

    for (uint32_t s = k + 1; s-- > 0;) {
        enum ax_net_kind kind = w->net->nodes[s].kind;
        bool neurons = kind == AX_NET_RELU || ax_net_smooth(kind);

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

void work_start(struct bwork *w, uint32_t k, size_t n)
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
