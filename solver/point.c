/* Evaluation of a network at POINTS points side by side, and back. */
#include "point.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clones.h"

#pragma GCC optimize("O3")

struct points {
    const struct lane_net *net;
    struct lanes **a;  /* [n_nodes] values */
    struct lanes **da; /* [n_nodes] their gradient */
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

static void sigmoid(struct lanes *a, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (int p = 0; p < POINTS; p++)
            a[i].x[p] = 1 / (1 + expf(-a[i].x[p]));
}

CLONES static void sigmoid_back(struct lanes *da, const struct lanes *a,
                                size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (int p = 0; p < POINTS; p++)
            da[i].x[p] *= a[i].x[p] * (1 - a[i].x[p]);
}

CLONES static void spread(struct lanes *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (int p = 0; p < POINTS; p++)
            a[i].x[p] = b ? b[i] : 0.0f;
}

static size_t variables(const struct lane_net *net)
{
    size_t n = 0;

    for (uint32_t k = 0; k < net->n_nodes; k++)
        n += net->nodes[k].n;
    return n;
}

ax_status points_new(struct points **out, const struct lane_net *net,
                     struct ax_err *err)
{
    struct points *p = calloc(1, sizeof *p);
    size_t at = 0;

    if (p) {
        p->net = net;
        p->a = calloc(2 * (size_t)net->n_nodes, sizeof *p->a);
        p->room = lanes_alloc(2 * variables(net));
    }
    if (!p || !p->a || !p->room || live_new(&p->live, net, err) != AX_OK) {
        points_free(p);
        return ax_fail(err, AX_ENOMEM, "no memory for the attack");
    }
    p->da = p->a + net->n_nodes;
    for (uint32_t k = 0; k < net->n_nodes; k++) {
        p->a[k] = p->room + at;
        p->da[k] = p->a[k] + net->nodes[k].n;
        at += 2 * (size_t)net->nodes[k].n;
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
        sum += (size_t)net->nodes[k].n * 2 * sizeof(struct lanes);
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

        spread(p->a[k], node->b, node->n);
        for (uint32_t i = 0; i < node->n_layers; i++)
            lanes_forward(p->a[k], &node->layers[i],
                          p->a[node->layers[i].source], &p->live[k]);
        if (node->kind == AX_NET_RELU)
            rectify(p->a[k], node->n);
        else if (node->kind == AX_NET_SIGMOID)
            sigmoid(p->a[k], node->n);
    }
    return p->a[p->net->n_nodes - 1]->x;
}

float *points_backward(struct points *p)
{
    for (uint32_t k = 0; k + 1 < p->net->n_nodes; k++)
        lanes_zero(p->da[k], p->net->nodes[k].n);
    for (uint32_t k = p->net->n_nodes; k-- > 1;) {
        const struct lane_node *node = &p->net->nodes[k];

        if (node->kind == AX_NET_RELU)
            mask(p->da[k], p->a[k], node->n);
        else if (node->kind == AX_NET_SIGMOID)
            sigmoid_back(p->da[k], p->a[k], node->n);
        for (uint32_t i = 0; i < node->n_layers; i++)
            lanes_backward(p->da[node->layers[i].source], &node->layers[i],
                           p->da[k], &p->live[k]);
    }
    return p->da[0]->x;
}
