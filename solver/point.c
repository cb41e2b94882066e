/* Evaluation of a network at POINTS points side by side. The points lie in
 * the lanes of the vectors, so that dense and sparse layers are the same
 * loop: a coefficient times a vector of points. */
#include "point.h"

#include <stdlib.h>
#include <string.h>

#include "clones.h"

#pragma GCC optimize("O3")

typedef float vec __attribute__((vector_size(64), may_alias));
#define VECS (POINTS / 16)

/* The coefficients of a block, by rows and by columns. */
struct layer {
    uint32_t source;
    uint32_t rows, cols;
    const uint64_t *ptr; /* NULL: dense */
    const uint32_t *col;
    float *w;  /* rows first */
    float *wt; /* dense: columns first */
};

struct node {
    uint32_t n, n_layers;
    struct layer *layers;
    float *b;
    vec *a;  /* [n][VECS] activations */
    vec *da; /* [n][VECS] their gradient */
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

/* back: to the columns from the rows. */
CLONES static void sparse(vec *out, const struct layer *l, const vec *in,
                          bool back)
{
    for (uint32_t i = 0; i < l->rows; i++)
        for (uint64_t k = l->ptr[i]; k < l->ptr[i + 1]; k++) {
            size_t to = back ? l->col[k] : i, from = back ? i : l->col[k];

            for (int v = 0; v < VECS; v++)
                out[to * VECS + (size_t)v] += l->w[k] *
                                              in[from * VECS + (size_t)v];
        }
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

static float *floats(const double *w, size_t n)
{
    float *f = calloc(n ? n : 1, sizeof *f);

    for (size_t i = 0; f && i < n; i++)
        f[i] = (float)w[i];
    return f;
}

static bool layer_new(struct layer *l, const struct ax_block *b,
                      uint32_t rows, uint32_t cols)
{
    size_t n = b->row_ptr ? b->row_ptr[rows] : (size_t)rows * cols;

    *l = (struct layer){.source = b->source,
                        .rows = rows,
                        .cols = cols,
                        .ptr = b->row_ptr,
                        .col = b->col};
    l->w = floats(b->w, n);
    if (!l->w || b->row_ptr)
        return l->w != NULL;
    l->wt = calloc(n ? n : 1, sizeof *l->wt);
    for (uint32_t i = 0; l->wt && i < rows; i++)
        for (uint32_t j = 0; j < cols; j++)
            l->wt[(size_t)j * rows + i] = l->w[(size_t)i * cols + j];
    return l->wt != NULL;
}

static bool node_new(struct node *o, const struct ax_net *net, uint32_t k)
{
    const struct ax_net_node *in = &net->nodes[k];
    size_t bytes = ((size_t)in->n + 1) * VECS * sizeof(vec);

    o->n = in->n;
    o->a = aligned_alloc(64, bytes);
    o->da = aligned_alloc(64, bytes);
    o->layers = calloc(in->n_blocks + 1u, sizeof *o->layers);
    if (!o->a || !o->da || !o->layers)
        return false;
    memset(o->a, 0, bytes);
    for (uint32_t i = 0; i < in->n_blocks; i++) {
        const struct ax_block *b = &in->blocks[i];

        if (!layer_new(&o->layers[o->n_layers++], b, in->n,
                       net->nodes[b->source].n))
            return false;
    }
    if (in->b)
        o->b = floats(in->b, in->n);
    return !in->b || o->b;
}

ax_status points_new(struct points **out, const struct ax_net *net,
                     struct ax_err *err)
{
    struct points *p = calloc(1, sizeof *p);
    bool ok = p && (p->nodes = calloc(net->n_nodes, sizeof *p->nodes));

    for (uint32_t k = 0; ok && k < net->n_nodes; k++) {
        p->n_nodes++;
        ok = node_new(&p->nodes[k], net, k);
    }
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

            sum += b->row_ptr ? b->row_ptr[n->n] * sizeof(float)
                              : (size_t)n->n * net->nodes[b->source].n * 2 *
                                    sizeof(float);
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

const float *points_forward(struct points *p)
{
    for (uint32_t k = 1; k < p->n_nodes; k++) {
        struct node *o = &p->nodes[k];

        for (uint32_t i = 0; i < o->n; i++)
            for (int v = 0; v < VECS; v++)
                o->a[i * VECS + (uint32_t)v] = (vec){0} +
                                               (o->b ? o->b[i] : 0.0f);
        for (uint32_t i = 0; i < o->n_layers; i++) {
            const struct layer *l = &o->layers[i];

            if (l->ptr)
                sparse(o->a, l, p->nodes[l->source].a, false);
            else
                dense(o->a, l->w, p->nodes[l->source].a, l->rows, l->cols);
        }
        if (k + 1 < p->n_nodes)
            rectify((float *)o->a, (size_t)o->n * POINTS);
    }
    return (const float *)p->nodes[p->n_nodes - 1].a;
}

float *points_backward(struct points *p)
{
    for (uint32_t k = 0; k + 1 < p->n_nodes; k++)
        memset(p->nodes[k].da, 0, (size_t)p->nodes[k].n * VECS * sizeof(vec));
    for (uint32_t k = p->n_nodes; k-- > 1;) {
        struct node *o = &p->nodes[k];

        if (k + 1 < p->n_nodes)
            mask((float *)o->da, (const float *)o->a, (size_t)o->n * POINTS);
        for (uint32_t i = 0; i < o->n_layers; i++) {
            const struct layer *l = &o->layers[i];
            vec *to = p->nodes[l->source].da;

            if (l->ptr)
                sparse(to, l, o->da, true);
            else
                dense(to, l->wt, o->da, l->cols, l->rows);
        }
    }
    return (float *)p->nodes[0].da;
}
