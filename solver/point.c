/* Evaluation of a network at POINTS points side by side, and back. */
#include "point.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clones.h"

#pragma GCC optimize("O3")

struct points {
    const struct lane_net *net;
    struct lanes **a;     /* [n_nodes] values */
    struct lanes **da;    /* [n_nodes] their gradient */
    struct lanes **steep; /* [n_nodes] derivatives, at smooth nodes */
    struct lanes *room;
    struct live *live; /* all */
};

CLONES static void rectify(struct lanes *a, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (int p = 0; p < POINTS; p++)
            a[i].x[p] = a[i].x[p] > 0 ? a[i].x[p] : 0.0f;
}

CLONES static void mask(struct lanes *da, const struct lanes *a, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (int p = 0; p < POINTS; p++)
            da[i].x[p] = a[i].x[p] > 0 ? da[i].x[p] : 0.0f;
}

/* The variables of a row of a curved node: of layer 0 and of the last, or
 * both of the only one. */
static void factors(const struct lane_node *node, struct lanes *const *a,
                    uint32_t i, struct lanes **x, struct lanes **y)
{
    const struct lane_layer *l = node->layers;
    const struct lane_layer *m = &node->layers[node->n_layers - 1];

    *x = &a[l->source][l->col[l->ptr[i]]];
    *y = &a[m->source][m->col[m->ptr[i + 1] - 1]];
}

CLONES static void multiply(struct lanes *out, const struct lanes *x,
                            const struct lanes *y)
{
    for (int p = 0; p < POINTS; p++)
        out->x[p] = x->x[p] * y->x[p];
}

CLONES static void multiply_back(struct lanes *dx, const struct lanes *y,
                                 const struct lanes *dz)
{
    for (int p = 0; p < POINTS; p++)
        dx->x[p] += y->x[p] * dz->x[p];
}

CLONES static void invert(struct lanes *out, const struct lanes *x)
{
    for (int p = 0; p < POINTS; p++)
        out->x[p] = 1 / x->x[p];
}

CLONES static void invert_back(struct lanes *dx, const struct lanes *out,
                               const struct lanes *dz)
{
    for (int p = 0; p < POINTS; p++)
        dx->x[p] -= out->x[p] * out->x[p] * dz->x[p];
}

static void exponential(struct lanes *out, const struct lanes *x)
{
    for (int p = 0; p < POINTS; p++)
        out->x[p] = expf(x->x[p]);
}

static void bend(struct points *p, uint32_t k)
{
    const struct lane_node *node = &p->net->nodes[k];

    for (uint32_t i = 0; i < node->n; i++) {
        struct lanes *x, *y;

        factors(node, p->a, i, &x, &y);
        if (node->kind == AX_NET_PRODUCT)
            multiply(&p->a[k][i], x, y);
        else if (node->kind == AX_NET_EXP)
            exponential(&p->a[k][i], x);
        else
            invert(&p->a[k][i], x);
    }
}

static void bend_back(struct points *p, uint32_t k)
{
    const struct lane_node *node = &p->net->nodes[k];

    for (uint32_t i = 0; i < node->n; i++) {
        struct lanes *x, *y, *dx, *dy;

        factors(node, p->a, i, &x, &y);
        factors(node, p->da, i, &dx, &dy);
        if (node->kind == AX_NET_RECIPROCAL) {
            invert_back(dx, &p->a[k][i], &p->da[k][i]);
            continue;
        }
        if (node->kind == AX_NET_EXP) {
            multiply_back(dx, &p->a[k][i], &p->da[k][i]);
            continue;
        }
        multiply_back(dx, y, &p->da[k][i]);
        multiply_back(dy, x, &p->da[k][i]);
    }
}

/* A smooth function and its derivative. */
static void smooth_one(enum ax_net_kind kind, float v, float *y, float *dy)
{
    const float steep = 0.5641896f; /* 1 / sqrt(pi) */

    switch (kind) {
    case AX_NET_SINE:
        *y = (1 + sinf(v)) / 2;
        *dy = cosf(v) / 2;
        break;
    case AX_NET_COSINE:
        *y = (1 + cosf(v)) / 2;
        *dy = -sinf(v) / 2;
        break;
    case AX_NET_ERF:
        *y = (1 + erff(v)) / 2;
        *dy = steep * expf(-v * v);
        break;
    case AX_NET_GELU: {
        float phi = (1 + erff(v * 0.70710678f)) / 2;

        *y = (1 + v * phi) / 2;
        *dy = (phi + v * 0.3989423f * expf(-v * v / 2)) / 2;
        break;
    }
    default:
        *y = 1 / (1 + expf(-v));
        *dy = *y * (1 - *y);
    }
}

static void smooth(struct lanes *a, struct lanes *steep, size_t n,
                   enum ax_net_kind kind)
{
    for (size_t i = 0; i < n; i++)
        for (int p = 0; p < POINTS; p++)
            smooth_one(kind, a[i].x[p], &a[i].x[p], &steep[i].x[p]);
}

CLONES static void smooth_back(struct lanes *da, const struct lanes *steep,
                               size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (int p = 0; p < POINTS; p++)
            da[i].x[p] *= steep[i].x[p];
}

CLONES static void spread(struct lanes *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (int p = 0; p < POINTS; p++)
            a[i].x[p] = b ? b[i] : 0.0f;
}

/* Arrays that a node has. */
static size_t arrays(enum ax_net_kind kind)
{
    return ax_net_smooth(kind) ? 3 : 2;
}

static size_t room(const struct lane_net *net)
{
    size_t n = 0;

    for (uint32_t k = 0; k < net->n_nodes; k++)
        n += arrays(net->nodes[k].kind) * net->nodes[k].n;
    return n;
}

ax_status points_new(struct points **out, const struct lane_net *net,
                     struct ax_err *err)
{
    struct points *p = calloc(1, sizeof *p);
    size_t at = 0;

    if (p) {
        p->net = net;
        p->a = calloc(3 * (size_t)net->n_nodes, sizeof *p->a);
        p->room = lanes_alloc(room(net));
    }
    if (!p || !p->a || !p->room || live_new(&p->live, net, err) != AX_OK) {
        points_free(p);
        return ax_fail(err, AX_ENOMEM, "no memory for the attack");
    }
    p->da = p->a + net->n_nodes;
    p->steep = p->da + net->n_nodes;
    for (uint32_t k = 0; k < net->n_nodes; k++) {
        p->a[k] = p->room + at;
        p->da[k] = p->a[k] + net->nodes[k].n;
        p->steep[k] = p->da[k] + net->nodes[k].n; /* if it is smooth */
        at += arrays(net->nodes[k].kind) * net->nodes[k].n;
    }
    *out = p;
    return AX_OK;
}

void points_free(struct points *p)
{
    if (!p)
        return;
    if (p->live)
        live_free(p->live, p->net);
    free(p->room);
    free(p->a);
    free(p);
}

size_t points_bytes(const struct ax_net *net)
{
    size_t sum = lane_net_bytes(net);

    for (uint32_t k = 0; k < net->n_nodes; k++)
        sum += net->nodes[k].n * arrays(net->nodes[k].kind) *
               sizeof(struct lanes);
    return sum;
}

float *points_x(struct points *p)
{
    return p->a[0]->x;
}

float *points_dy(struct points *p)
{
    return p->da[p->net->n_nodes - 1]->x;
}

const float *points_forward(struct points *p)
{
    for (uint32_t k = 1; k < p->net->n_nodes; k++) {
        const struct lane_node *node = &p->net->nodes[k];

        if (ax_net_curved(node->kind)) {
            bend(p, k);
            continue;
        }
        spread(p->a[k], node->b, node->n);
        for (uint32_t i = 0; i < node->n_layers; i++)
            lanes_forward(p->a[k], &node->layers[i],
                          p->a[node->layers[i].source], &p->live[k]);
        if (node->kind == AX_NET_RELU)
            rectify(p->a[k], node->n);
        else if (ax_net_smooth(node->kind))
            smooth(p->a[k], p->steep[k], node->n, node->kind);
    }
    return p->a[p->net->n_nodes - 1]->x;
}

float *points_backward(struct points *p)
{
    for (uint32_t k = 0; k + 1 < p->net->n_nodes; k++)
        lanes_zero(p->da[k], p->net->nodes[k].n);
    for (uint32_t k = p->net->n_nodes; k-- > 1;) {
        const struct lane_node *node = &p->net->nodes[k];

        if (ax_net_curved(node->kind)) {
            bend_back(p, k);
            continue;
        }
        if (node->kind == AX_NET_RELU)
            mask(p->da[k], p->a[k], node->n);
        else if (ax_net_smooth(node->kind))
            smooth_back(p->da[k], p->steep[k], node->n);
        for (uint32_t i = 0; i < node->n_layers; i++)
            lanes_backward(p->da[node->layers[i].source], &node->layers[i],
                           p->da[k], &p->live[k]);
    }
    return p->da[0]->x;
}
