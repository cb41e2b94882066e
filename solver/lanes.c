/* Linear maps at POINTS points side by side. */
#include "lanes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clones.h"

#pragma GCC optimize("O3")

typedef float vec __attribute__((vector_size(64), may_alias));
#define VECS  (POINTS / 16)
#define BLOCK GROUP /* rows of a dense layer that are summed in registers */

struct lanes *lanes_alloc(size_t n)
{
    struct lanes *v = aligned_alloc(64, (n + 1) * sizeof *v);

    if (v)
        lanes_zero(v, n + 1);
    return v;
}

void lanes_zero(struct lanes *v, size_t n)
{
    memset(v, 0, n * sizeof *v);
}

/* out += w in, for r rows of w. */
static inline __attribute__((always_inline)) void
rows(const int r, vec *out, const float *w, const vec *in, uint32_t cols)
{
    vec s[BLOCK][VECS];

#pragma GCC unroll 8
    for (int i = 0; i < r; i++)
        for (int v = 0; v < VECS; v++)
            s[i][v] = out[i * VECS + v];
    for (uint32_t j = 0; j < cols; j++)
#pragma GCC unroll 8
        for (int i = 0; i < r; i++) {
            float x = w[(size_t)i * cols + j];

            for (int v = 0; v < VECS; v++)
                s[i][v] += x * in[(size_t)j * VECS + (size_t)v];
        }
#pragma GCC unroll 8
    for (int i = 0; i < r; i++)
        for (int v = 0; v < VECS; v++)
            out[i * VECS + v] = s[i][v];
}

CLONES static void dense(vec *out, const float *w, const vec *in, uint32_t n,
                         uint32_t cols)
{
    uint32_t i = 0;

    for (; i + BLOCK <= n; i += BLOCK)
        rows(BLOCK, out + (size_t)i * VECS, w + (size_t)i * cols, in, cols);
    for (; i < n; i++)
        rows(1, out + (size_t)i * VECS, w + (size_t)i * cols, in, cols);
}

/* w NULL: ones. */
CLONES static void sparse_forward(vec *out, const struct lane_layer *l,
                                  const vec *in, const struct live *live)
{
    for (uint32_t r = 0; r < live->n; r++) {
        uint32_t i = live->list[r];
        vec s[VECS];

        for (int v = 0; v < VECS; v++)
            s[v] = out[(size_t)i * VECS + (size_t)v];
        for (uint64_t k = l->ptr[i]; k < l->ptr[i + 1]; k++) {
            float x = l->w ? l->w[k] : 1.0f;

            for (int v = 0; v < VECS; v++)
                s[v] += x * in[(size_t)l->col[k] * VECS + (size_t)v];
        }
        for (int v = 0; v < VECS; v++)
            out[(size_t)i * VECS + (size_t)v] = s[v];
    }
}

CLONES static void sparse_backward(vec *out, const struct lane_layer *l,
                                   const vec *in, const struct live *live)
{
    for (uint32_t r = 0; r < live->n; r++) {
        uint32_t i = live->list[r];

        for (uint64_t k = l->ptr[i]; k < l->ptr[i + 1]; k++) {
            float x = l->w ? l->w[k] : 1.0f;

            for (int v = 0; v < VECS; v++)
                out[(size_t)l->col[k] * VECS + (size_t)v] +=
                    x * in[(size_t)i * VECS + (size_t)v];
        }
    }
}

CLONES static void group_forward(vec *out, const struct lane_layer *l,
                                 const vec *in, const struct live *live)
{
    for (uint32_t g = 0; g < l->n_groups; g++) {
        const uint32_t *row = l->member + (size_t)g * GROUP;
        const float *w = l->wg + l->start[g] * GROUP;
        vec s[GROUP][VECS] = {0};

        if (!live->mark[row[0]])
            continue;
        for (uint64_t k = l->ptr[row[0]]; k < l->ptr[row[0] + 1]; k++)
            for (size_t v = 0; v < VECS; v++) {
                vec x = in[(size_t)l->col[k] * VECS + v];

#pragma GCC unroll 8
                for (size_t i = 0; i < GROUP; i++)
                    s[i][v] += w[(k - l->ptr[row[0]]) * GROUP + i] * x;
            }
#pragma GCC unroll 8
        for (size_t i = 0; i < GROUP; i++)
            for (size_t v = 0; row[i] != NO_ROW && v < VECS; v++)
                out[(size_t)row[i] * VECS + v] += s[i][v];
    }
}

CLONES static void group_backward(vec *out, const struct lane_layer *l,
                                  const vec *in, const struct live *live)
{
    for (uint32_t g = 0; g < l->n_groups; g++) {
        const uint32_t *row = l->member + (size_t)g * GROUP;
        const float *w = l->wg + l->start[g] * GROUP;
        vec f[GROUP][VECS] = {0};

        if (!live->mark[row[0]])
            continue;
#pragma GCC unroll 8
        for (size_t i = 0; i < GROUP; i++)
            for (size_t v = 0; row[i] != NO_ROW && v < VECS; v++)
                f[i][v] = in[(size_t)row[i] * VECS + v];
        for (uint64_t k = l->ptr[row[0]]; k < l->ptr[row[0] + 1];
             k++, w += GROUP)
            for (size_t v = 0; v < VECS; v++) {
                vec x = out[(size_t)l->col[k] * VECS + v];

#pragma GCC unroll 8
                for (size_t i = 0; i < GROUP; i++)
                    x += w[i] * f[i][v];
                out[(size_t)l->col[k] * VECS + v] = x;
            }
    }
}

/* The rows that are live, one after the other. */
CLONES static void few_forward(vec *out, const struct lane_layer *l,
                               const vec *in, const struct live *live)
{
    for (uint32_t r = 0; r < live->n; r++)
        rows(1, out + (size_t)live->list[r] * VECS,
             l->w + (size_t)live->list[r] * l->cols, in, l->cols);
}

CLONES static void few_backward(vec *out, const struct lane_layer *l,
                                const vec *in, const struct live *live)
{
    for (uint32_t r = 0; r < live->n; r++) {
        const vec *from = in + (size_t)live->list[r] * VECS;
        const float *w = l->w + (size_t)live->list[r] * l->cols;

        for (size_t j = 0; j < l->cols; j++)
            for (size_t v = 0; v < VECS; v++)
                out[j * VECS + v] += w[j] * from[v];
    }
}

CLONES static void add(vec *out, const vec *in, const struct live *live)
{
    for (uint32_t r = 0; r < live->n; r++)
        for (size_t v = 0; v < VECS; v++)
            out[(size_t)live->list[r] * VECS + v] +=
                in[(size_t)live->list[r] * VECS + v];
}

/* Is the product with a whole dense matrix worse? If not, all are live. */
static bool few(const struct lane_layer *l, const struct live *live)
{
    return live->n < l->rows / 2;
}

void lanes_forward(struct lanes *out, const struct lane_layer *l,
                   const struct lanes *in, const struct live *live)
{
    if (l->n_groups)
        group_forward((vec *)out, l, (const vec *)in, live);
    else if (l->form == AX_BLOCK_SPARSE)
        sparse_forward((vec *)out, l, (const vec *)in, live);
    else if (l->form == AX_BLOCK_SAME)
        add((vec *)out, (const vec *)in, live);
    else if (few(l, live))
        few_forward((vec *)out, l, (const vec *)in, live);
    else
        dense((vec *)out, l->w, (const vec *)in, l->rows, l->cols);
}

void lanes_backward(struct lanes *out, const struct lane_layer *l,
                    const struct lanes *in, const struct live *live)
{
    if (l->n_groups)
        group_backward((vec *)out, l, (const vec *)in, live);
    else if (l->form == AX_BLOCK_SPARSE)
        sparse_backward((vec *)out, l, (const vec *)in, live);
    else if (l->form == AX_BLOCK_SAME)
        add((vec *)out, (const vec *)in, live);
    else if (few(l, live))
        few_backward((vec *)out, l, (const vec *)in, live);
    else
        dense((vec *)out, l->wt, (const vec *)in, l->cols, l->rows);
}

/* ---- what is live ---- */

ax_status live_new(struct live **out, const struct lane_net *net,
                   struct ax_err *err)
{
    struct live *v = calloc(net->n_nodes + 1u, sizeof *v);

    *out = v;
    for (uint32_t k = 0; v && k < net->n_nodes; k++) {
        v[k].list = malloc((net->nodes[k].n + 1u) * sizeof *v[k].list);
        v[k].mark = malloc(net->nodes[k].n + 1u);
        if (!v[k].list || !v[k].mark)
            break;
        if (k + 1 == net->n_nodes) {
            live_all(v, net);
            return AX_OK;
        }
    }
    return ax_fail(err, AX_ENOMEM, "no memory for the bounds");
}

void live_free(struct live *v, const struct lane_net *net)
{
    for (uint32_t k = 0; v && k < net->n_nodes; k++) {
        free(v[k].list);
        free(v[k].mark);
    }
    free(v);
}

void live_all(struct live *v, const struct lane_net *net)
{
    for (uint32_t k = 0; k < net->n_nodes; k++) {
        v[k].n = net->nodes[k].n;
        memset(v[k].mark, 1, v[k].n);
        for (uint32_t i = 0; i < v[k].n; i++)
            v[k].list[i] = i;
    }
}

void live_none(struct live *v, const struct lane_net *net, uint32_t k)
{
    for (uint32_t s = 0; s <= k; s++)
        memset(v[s].mark, 0, net->nodes[s].n);
}

static void mark(struct live *to, const struct lane_layer *l,
                 const struct live *from)
{
    if (l->form == AX_BLOCK_DENSE) {
        memset(to->mark, 1, l->cols);
        return;
    }
    for (uint32_t r = 0; r < from->n; r++) {
        uint32_t i = from->list[r];

        if (l->form == AX_BLOCK_SAME)
            to->mark[i] = 1;
        for (uint64_t k = l->form == AX_BLOCK_SPARSE ? l->ptr[i] : 1;
             l->form == AX_BLOCK_SPARSE && k < l->ptr[i + 1]; k++)
            to->mark[l->col[k]] = 1;
    }
}

static void list_marked(struct live *v, uint32_t n)
{
    v->n = 0;
    for (uint32_t i = 0; i < n; i++)
        if (v->mark[i])
            v->list[v->n++] = i;
}

/* With a row go those that are computed with it. False: there are none. */
static bool mark_company(struct live *v, const struct lane_layer *l)
{
    if (l->form == AX_BLOCK_DENSE && !few(l, v)) {
        memset(v->mark, 1, l->rows);
        return true;
    }
    for (uint32_t g = 0; g < l->n_groups; g++) {
        const uint32_t *row = l->member + (size_t)g * GROUP;
        bool any = false;

        for (int i = 0; i < GROUP && row[i] != NO_ROW; i++)
            any |= v->mark[row[i]];
        for (int i = 0; i < GROUP && row[i] != NO_ROW && any; i++)
            v->mark[row[i]] = 1;
    }
    return l->n_groups > 0;
}

void live_below(struct live *v, const struct lane_net *net, uint32_t k)
{
    for (uint32_t s = k + 1; s-- > 0;) {
        const struct lane_node *node = &net->nodes[s];

        list_marked(&v[s], node->n);
        for (uint32_t i = 0; v[s].n && i < node->n_layers; i++)
            if (mark_company(&v[s], &node->layers[i]))
                list_marked(&v[s], node->n);
        for (uint32_t i = 0; v[s].n && i < node->n_layers; i++)
            mark(&v[node->layers[i].source], &node->layers[i], &v[s]);
    }
}

/* ---- the network ---- */

/* What multiplies term t of row i. */
static float coefficient(const struct ax_net_node *node,
                         const struct ax_block *b, size_t t, uint32_t i)
{
    double w = b->w ? b->w[t] : b->wq ? (double)b->wq[t] : 1.0;

    if (!node->div)
        return (float)w;
    return (float)(w / (node->root ? sqrt(node->div[i]) : node->div[i]));
}

static bool layer_new(struct lane_layer *l, const struct ax_net_node *node,
                      const struct ax_block *b, uint32_t cols)
{
    uint32_t n = node->n;
    size_t count;

    *l = (struct lane_layer){.source = b->source,
                             .rows = n,
                             .cols = cols,
                             .form = b->form,
                             .ptr = b->row_ptr,
                             .col = b->col};
    if (b->form == AX_BLOCK_SAME || (!b->w && !b->wq && !node->div))
        return true;
    count = b->form == AX_BLOCK_DENSE ? (size_t)n * cols : b->row_ptr[n];
    l->w = calloc(count + 1, sizeof *l->w);
    if (l->w && b->form == AX_BLOCK_DENSE)
        l->wt = calloc(count + 1, sizeof *l->wt);
    if (!l->w || (b->form == AX_BLOCK_DENSE && !l->wt))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        size_t t = l->wt ? (size_t)i * cols : b->row_ptr[i];
        size_t end = l->wt ? t + cols : b->row_ptr[i + 1], j = 0;

        for (; t < end; t++, j++) {
            l->w[t] = coefficient(node, b, t, i);
            if (l->wt)
                l->wt[j * n + i] = l->w[t];
        }
    }
    return true;
}

/* ---- rows that share their columns ---- */

static uint64_t hash_columns(const struct lane_layer *l, uint32_t i)
{
    uint64_t h = 14695981039346656037u;

    for (uint64_t k = l->ptr[i]; k < l->ptr[i + 1]; k++)
        h = (h ^ l->col[k]) * 1099511628211u;
    return h;
}

static bool same_columns(const struct lane_layer *l, uint32_t i, uint32_t j)
{
    uint64_t n = l->ptr[i + 1] - l->ptr[i];

    return n == l->ptr[j + 1] - l->ptr[j] &&
           !memcmp(l->col + l->ptr[i], l->col + l->ptr[j],
                   n * sizeof *l->col);
}

struct keyed {
    uint64_t key;
    uint32_t row;
};

static int by_key(const void *a, const void *b)
{
    const struct keyed *x = a, *y = b;

    return x->key != y->key ? (x->key > y->key) - (x->key < y->key)
                            : (x->row > y->row) - (x->row < y->row);
}

static int by_member(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* Fill l->member from rows sorted by what they read. */
static void find_groups(struct lane_layer *l, const struct keyed *rows)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < l->rows; i++) {
        uint32_t *last = n ? l->member + (size_t)(l->n_groups - 1) * GROUP
                           : NULL;

        if (!last || n == GROUP || !same_columns(l, last[0], rows[i].row)) {
            last = l->member + (size_t)l->n_groups++ * GROUP;
            memset(last, 255, GROUP * sizeof *last);
            n = 0;
        }
        last[n++] = rows[i].row;
    }
    qsort(l->member, l->n_groups, GROUP * sizeof *l->member, by_member);
}

/* Coefficients of all groups, side by side. */
static bool fill_groups(struct lane_layer *l)
{
    uint64_t n = 0;

    l->start = calloc(l->n_groups + 1u, sizeof *l->start);
    for (uint32_t g = 0; l->start && g < l->n_groups; g++) {
        uint32_t row = l->member[(size_t)g * GROUP];

        l->start[g] = n;
        n += l->ptr[row + 1] - l->ptr[row];
    }
    l->wg = l->start ? calloc(n + 1, GROUP * sizeof *l->wg) : NULL;
    for (uint32_t g = 0; l->wg && g < l->n_groups; g++)
        for (uint32_t i = 0; i < GROUP; i++) {
            uint32_t row = l->member[(size_t)g * GROUP + i];

            if (row == NO_ROW)
                break;
            for (uint64_t k = l->ptr[row]; k < l->ptr[row + 1]; k++)
                l->wg[(l->start[g] + k - l->ptr[row]) * GROUP + i] = l->w[k];
        }
    return l->wg != NULL;
}

/* Group the rows, if that pays. False: no memory. */
static bool group_rows(struct lane_layer *l)
{
    struct keyed *rows;
    bool ok;

    if (l->form != AX_BLOCK_SPARSE || !l->w || !l->rows)
        return true;
    rows = calloc(l->rows, sizeof *rows);
    l->member = calloc((size_t)l->rows * GROUP, sizeof *l->member);
    ok = rows && l->member;
    for (uint32_t i = 0; ok && i < l->rows; i++)
        rows[i] = (struct keyed){hash_columns(l, i), i};
    if (ok) {
        qsort(rows, l->rows, sizeof *rows, by_key);
        find_groups(l, rows);
        if (l->n_groups > l->rows / 3)
            l->n_groups = 0;
        ok = !l->n_groups || fill_groups(l);
    }
    free(rows);
    return ok;
}

static bool node_new(struct lane_node *o, const struct ax_net *net,
                     uint32_t k)
{
    const struct ax_net_node *in = &net->nodes[k];

    o->kind = in->kind;
    o->n = in->n;
    o->layers = calloc(in->n_blocks + 1u, sizeof *o->layers);
    if (!o->layers)
        return false;
    for (uint32_t i = 0; i < in->n_blocks; i++)
        if (!layer_new(&o->layers[o->n_layers++], in, &in->blocks[i],
                       net->nodes[in->blocks[i].source].n) ||
            !group_rows(&o->layers[i]))
            return false;
    if (!in->bias)
        return true;
    o->b = calloc(in->n + 1u, sizeof *o->b);
    for (uint32_t i = 0; o->b && i < in->n; i++)
        o->b[i] = (float)ldexp((double)in->bias[i].m, in->bias[i].e);
    return o->b != NULL;
}

ax_status lane_net_new(struct lane_net **out, const struct ax_net *net,
                       struct ax_err *err)
{
    struct lane_net *l = calloc(1, sizeof *l);
    bool ok = l && (l->nodes = calloc(net->n_nodes, sizeof *l->nodes));

    for (uint32_t k = 0; ok && k < net->n_nodes; k++)
        ok = node_new(&l->nodes[l->n_nodes++], net, k);
    if (!ok) {
        lane_net_free(l);
        return ax_fail(err, AX_ENOMEM, "no memory for the weights");
    }
    *out = l;
    return AX_OK;
}

void lane_net_free(struct lane_net *l)
{
    if (!l)
        return;
    for (uint32_t k = 0; k < l->n_nodes; k++) {
        struct lane_node *o = &l->nodes[k];

        for (uint32_t i = 0; o->layers && i < o->n_layers; i++) {
            free(o->layers[i].w);
            free(o->layers[i].wt);
            free(o->layers[i].member);
            free(o->layers[i].start);
            free(o->layers[i].wg);
        }
        free(o->layers);
        free(o->b);
    }
    free(l->nodes);
    free(l);
}

size_t lane_net_bytes(const struct ax_net *net)
{
    size_t sum = 0;

    for (uint32_t k = 0; k < net->n_nodes; k++)
        for (uint32_t i = 0; i < net->nodes[k].n_blocks; i++) {
            const struct ax_block *b = &net->nodes[k].blocks[i];

            if (b->form == AX_BLOCK_DENSE)
                sum += (size_t)net->nodes[k].n * net->nodes[b->source].n * 8;
            else if (b->form == AX_BLOCK_SPARSE)
                sum += b->row_ptr[net->nodes[k].n] * 8;
        }
    return sum;
}
