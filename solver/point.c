/* Evaluation of a network at POINTS points side by side. The points lie in
 * the lanes of the vectors, so that dense and sparse layers are the same
 * loop: a coefficient times a vector of points. */
#include "point.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clones.h"

#pragma GCC optimize("O3")

typedef float vec __attribute__((vector_size(64), may_alias));
#define VECS (POINTS / 16)

/* The weights of a block, by rows and by columns. */
struct layer {
    enum ax_block_form form;
    uint32_t source;
    uint32_t rows, cols;
    const uint64_t *ptr;
    const uint32_t *col;
    float *w;  /* rows first; NULL: all 1 */
    float *wt; /* dense: columns first */
};

/* A node that only adds to, or rectifies, a whole node that nobody else reads
 * works in that node's place: a and da are borrowed, and layers are none. */
struct node {
    uint32_t n, n_layers;
    bool relu, in_place;
    struct layer *layers;
    float *b;
    float *share; /* 1 / d, or NULL */
    vec *a;       /* [n][VECS] values */
    vec *da;      /* [n][VECS] their gradient */
};

struct points {
    uint32_t n_nodes;
    struct node *nodes;
};

/* out += w in, for four rows of w at a time. */
CLONES static void dense(vec *out, const float *w, const vec *in,
                         uint32_t rows, uint32_t cols)
{
    uint32_t i = 0;

    for (; i + 4 <= rows; i += 4) {
        vec s[4][VECS];

        for (int r = 0; r < 4; r++)
            for (int v = 0; v < VECS; v++)
                s[r][v] = out[(i + (uint32_t)r) * VECS + (uint32_t)v];
        for (uint32_t j = 0; j < cols; j++)
            for (int r = 0; r < 4; r++) {
                float x = w[(size_t)(i + (uint32_t)r) * cols + j];

                for (int v = 0; v < VECS; v++)
                    s[r][v] += x * in[(size_t)j * VECS + (uint32_t)v];
            }
        for (int r = 0; r < 4; r++)
            for (int v = 0; v < VECS; v++)
                out[(i + (uint32_t)r) * VECS + (uint32_t)v] = s[r][v];
    }
    for (; i < rows; i++)
        for (uint32_t j = 0; j < cols; j++)
            for (int v = 0; v < VECS; v++)
                out[(size_t)i * VECS + (uint32_t)v] +=
                    w[(size_t)i * cols + j] *
                    in[(size_t)j * VECS + (uint32_t)v];
}

CLONES static void same(float *out, const float *in, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] += in[i];
}

/* back: to the columns from the rows. */
CLONES static void sparse(vec *out, const struct layer *l, const vec *in,
                          bool back)
{
    for (uint32_t i = 0; i < l->rows; i++)
        for (uint64_t k = l->ptr[i]; k < l->ptr[i + 1]; k++) {
            size_t to = back ? l->col[k] : i, from = back ? i : l->col[k];
            float w = l->w ? l->w[k] : 1.0f;

            for (int v = 0; v < VECS; v++)
                out[to * VECS + (size_t)v] += w * in[from * VECS + (size_t)v];
        }
}

/* Row i times share[i]. */
CLONES static void scale(vec *a, const float *share, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        for (int v = 0; v < VECS; v++)
            a[(size_t)i * VECS + (size_t)v] *= share[i];
}

CLONES static void add_bias(vec *a, const float *b, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        for (int v = 0; v < VECS; v++)
            a[(size_t)i * VECS + (size_t)v] += b[i];
}

CLONES static void rectify(float *a, size_t n)
{
    for (size_t i = 0; i < n; i++)
        a[i] = a[i] > 0 ? a[i] : 0.0f;
}

CLONES static void mask(float *da, const float *a, size_t n)
{
    for (size_t i = 0; i < n; i++)
        da[i] = a[i] > 0 ? da[i] : 0.0f;
}

static uint64_t weights_of(const struct ax_block *b, uint32_t rows,
                           uint32_t cols)
{
    return b->form == AX_BLOCK_DENSE ? (uint64_t)rows * cols
           : b->w || b->wq           ? b->row_ptr[rows]
                                     : 0;
}

static bool layer_new(struct layer *l, const struct ax_block *b,
                      uint32_t rows, uint32_t cols)
{
    uint64_t n = weights_of(b, rows, cols);

    *l = (struct layer){.form = b->form,
                        .source = b->source,
                        .rows = rows,
                        .cols = cols,
                        .ptr = b->row_ptr,
                        .col = b->col};
    if (!n)
        return true;
    l->w = malloc(n * sizeof *l->w);
    for (uint64_t i = 0; l->w && i < n; i++)
        l->w[i] = b->w ? (float)b->w[i] : (float)b->wq[i];
    if (!l->w || b->form != AX_BLOCK_DENSE)
        return l->w != NULL;
    l->wt = malloc(n * sizeof *l->wt);
    for (uint32_t i = 0; l->wt && i < rows; i++)
        for (uint32_t j = 0; j < cols; j++)
            l->wt[(size_t)j * rows + i] = l->w[(size_t)i * cols + j];
    return l->wt != NULL;
}

/* Reads a whole node, not the input, that nobody else reads? readers [nodes]
 * counts nodes. */
static bool works_in_place(const struct ax_net_node *in,
                           const uint32_t *readers)
{
    return in->n_blocks == 1 && in->blocks[0].form == AX_BLOCK_SAME &&
           in->blocks[0].source > 0 && readers[in->blocks[0].source] == 1;
}

static bool new_values(struct node *o, const struct ax_net_node *in)
{
    size_t bytes = ((size_t)in->n + 1) * VECS * sizeof(vec);

    o->a = aligned_alloc(64, bytes);
    o->da = aligned_alloc(64, bytes);
    o->layers = calloc(in->n_blocks + 1u, sizeof *o->layers);
    if (!o->a || !o->da || !o->layers)
        return false;
    memset(o->a, 0, bytes);
    memset(o->da, 0, bytes);
    return true;
}

static bool new_constants(struct node *o, const struct ax_net_node *in)
{
    if (in->bias) {
        o->b = malloc(((size_t)in->n + 1) * sizeof *o->b);
        for (uint32_t i = 0; o->b && i < in->n; i++)
            o->b[i] = (float)ldexp((double)in->bias[i].m, in->bias[i].e);
    }
    if (in->div) {
        o->share = malloc(((size_t)in->n + 1) * sizeof *o->share);
        for (uint32_t i = 0; o->share && i < in->n; i++)
            o->share[i] = (float)(1 / in->div[i]);
    }
    return (!in->bias || o->b) && (!in->div || o->share);
}

static bool node_new(struct points *p, const struct ax_net *net, uint32_t k,
                     const uint32_t *readers)
{
    const struct ax_net_node *in = &net->nodes[k];
    struct node *o = &p->nodes[k];

    o->n = in->n;
    o->relu = in->kind == AX_NET_RELU;
    o->in_place = works_in_place(in, readers);
    if (!new_constants(o, in))
        return false;
    if (o->in_place) {
        struct node *from = &p->nodes[in->blocks[0].source];

        o->a = from->a;
        o->da = from->da;
        return true;
    }
    if (!new_values(o, in))
        return false;
    for (uint32_t i = 0; i < in->n_blocks; i++) {
        const struct ax_block *b = &in->blocks[i];

        if (!layer_new(&o->layers[o->n_layers++], b, in->n,
                       net->nodes[b->source].n))
            return false;
    }
    return true;
}

ax_status points_new(struct points **out, const struct ax_net *net,
                     struct ax_err *err)
{
    struct points *p = calloc(1, sizeof *p);
    uint32_t *readers = calloc(net->n_nodes, sizeof *readers);
    bool ok = p && readers &&
              (p->nodes = calloc(net->n_nodes, sizeof *p->nodes));

    for (uint32_t k = 1; ok && k < net->n_nodes; k++)
        for (uint32_t i = 0; i < net->nodes[k].n_blocks; i++)
            readers[net->nodes[k].blocks[i].source]++;
    for (uint32_t k = 0; ok && k < net->n_nodes; k++) {
        p->n_nodes++;
        ok = node_new(p, net, k, readers);
    }
    free(readers);
    if (!ok) {
        points_free(p);
        return ax_fail(err, AX_ENOMEM, "no memory for the attack");
    }
    *out = p;
    return AX_OK;
}

void points_free(struct points *p)
{
    if (!p)
        return;
    for (uint32_t k = 0; k < p->n_nodes; k++) {
        struct node *o = &p->nodes[k];

        for (uint32_t i = 0; o->layers && i < o->n_layers; i++) {
            free(o->layers[i].w);
            free(o->layers[i].wt);
        }
        free(o->layers);
        free(o->b);
        free(o->share);
        if (o->in_place)
            continue;
        free(o->a);
        free(o->da);
    }
    free(p->nodes);
    free(p);
}

size_t points_bytes(const struct ax_net *net)
{
    size_t sum = 0;

    for (uint32_t k = 0; k < net->n_nodes; k++) {
        const struct ax_net_node *n = &net->nodes[k];

        sum += (size_t)n->n * POINTS * 2 * sizeof(float);
        for (uint32_t i = 0; i < n->n_blocks; i++) {
            const struct ax_block *b = &n->blocks[i];

            sum += weights_of(b, n->n, net->nodes[b->source].n) *
                   (b->form == AX_BLOCK_DENSE ? 2 : 1) * sizeof(float);
        }
    }
    return sum;
}

float *points_x(struct points *p)
{
    return (float *)p->nodes[0].a;
}

float *points_dy(struct points *p)
{
    return (float *)p->nodes[p->n_nodes - 1].da;
}

/* out += the layer of in; back: to the source, of the node's gradient. */
static void apply(vec *out, const struct layer *l, const vec *in, bool back)
{
    switch (l->form) {
    case AX_BLOCK_SAME:
        same((float *)out, (const float *)in, (size_t)l->rows * POINTS);
        break;
    case AX_BLOCK_SPARSE:
        sparse(out, l, in, back);
        break;
    case AX_BLOCK_DENSE:
        if (back)
            dense(out, l->wt, in, l->cols, l->rows);
        else
            dense(out, l->w, in, l->rows, l->cols);
        break;
    }
}

const float *points_forward(struct points *p)
{
    for (uint32_t k = 1; k < p->n_nodes; k++) {
        struct node *o = &p->nodes[k];

        if (!o->in_place)
            memset(o->a, 0, (size_t)o->n * VECS * sizeof(vec));
        for (uint32_t i = 0; i < o->n_layers; i++)
            apply(o->a, &o->layers[i], p->nodes[o->layers[i].source].a,
                  false);
        if (o->share)
            scale(o->a, o->share, o->n);
        if (o->b)
            add_bias(o->a, o->b, o->n);
        if (o->relu)
            rectify((float *)o->a, (size_t)o->n * POINTS);
    }
    return (const float *)p->nodes[p->n_nodes - 1].a;
}

float *points_backward(struct points *p)
{
    const vec *dy = p->nodes[p->n_nodes - 1].da;

    for (uint32_t k = 0; k + 1 < p->n_nodes; k++)
        if (p->nodes[k].da != dy && !p->nodes[k].in_place)
            memset(p->nodes[k].da, 0,
                   (size_t)p->nodes[k].n * VECS * sizeof(vec));
    for (uint32_t k = p->n_nodes; k-- > 1;) {
        struct node *o = &p->nodes[k];

        if (o->relu)
            mask((float *)o->da, (const float *)o->a, (size_t)o->n * POINTS);
        if (o->share)
            scale(o->da, o->share, o->n);
        for (uint32_t i = 0; i < o->n_layers; i++)
            apply(p->nodes[o->layers[i].source].da, &o->layers[i], o->da,
                  true);
    }
    return (float *)p->nodes[0].da;
}
