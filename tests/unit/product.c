/* Products of networks: what they compute is the difference that they stand
 * for, exactly, for inputs and outputs of several values. */
#include <stdlib.h>
#include <string.h>

#include "ax/net.h"
#include "ax/ready.h"
#include "build.h"
#include "tap.h"

enum { N_A = 4, N_B = 3, N_X = N_A + N_B, N_Y = 5 };

static uint64_t seed = 5;

/* A quarter of a small integer: sums and products of some are exact. */
static float quarter(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (float)((int)(seed >> 40) % 33 - 16) / 4;
}

static float weights[64];

/* Inputs a [1, 1, 2, 2] and b [free, 3]; outputs of 2 and 3 elements. */
static void two_by_two(void)
{
    uint32_t a, b, c, y;

    for (size_t i = 0; i < 64; i++)
        weights[i] = quarter();
    build_new();
    a = in_(4, 1, 1, 2, 2);
    b = in_(2, -1, 3);
    c = op_(AX_OP_Conv, 2, a, flts(weights, 4, 2, 1, 1, 2));
    c = op_(AX_OP_Relu, 1, c);
    c = op_(AX_OP_Reshape, 2, c, ints_(2, 1, 4));
    y = op_(AX_OP_MatMul, 2, b, flts(weights + 4, 2, 3, 4));
    y = op_(AX_OP_Add, 2, c, y);
    y = op_(AX_OP_LeakyRelu, 1, y);
    float_attr("alpha", 0.25F);
    out_(op_(AX_OP_MatMul, 2, y, flts(weights + 16, 2, 4, 2)));
    out_(op_(AX_OP_Add, 2, b, flts(weights + 24, 1, 3)));
}

static struct ax_net *lowered(const struct ax_model *m)
{
    struct ax_net *net = NULL;
    struct ax_err err = {0};

    OK(ax_net_lower(&net, m, &err) == AX_OK);
    if (err.code)
        printf("# %s\n", err.msg);
    return net;
}

static void exact(const struct ax_net *net, const float *x, double *y)
{
    struct ax_err err = {0};

    if (ax_net_exact(net, x, y, &err) != AX_OK)
        memset(y, 0xff, N_Y * sizeof *y); /* NaN equals nothing */
}

static void shifted(uint32_t input)
{
    struct ax_model *m = NULL;
    struct ax_err err = {0};
    struct ax_net *base = lowered(&build_model), *net;
    unsigned wrong = 0, moved = 0;

    OK(ax_model_shifted(&m, &build_model, input, &err) == AX_OK);
    if (!m)
        return;
    net = lowered(m);
    OK(net->nodes[0].n == N_X + 1 && net->nodes[net->n_nodes - 1].n == N_Y);
    for (int k = 0; k < 200; k++) {
        float x[N_X + 1], at[N_X];
        double y[N_Y], y0[N_Y], y1[N_Y];

        for (int i = 0; i <= N_X; i++)
            x[i] = quarter();
        memcpy(at, x, sizeof at);
        at[input] += x[N_X];
        exact(net, x, y);
        exact(base, x, y0);
        exact(base, at, y1);
        for (int i = 0; i < N_Y; i++) {
            wrong += y[i] != y1[i] - y0[i];
            moved += y[i] != 0;
        }
    }
    OK(wrong == 0);
    OK(moved > 0);
    ax_net_free(net);
    ax_net_free(base);
    ax_model_free(m);
}

static void same(void)
{
    struct ax_model *m[2] = {NULL, NULL};
    unsigned char id[2][32];
    struct ax_err err = {0};
    struct ax_net *net;
    unsigned wrong = 0;

    for (int i = 0; i < 2; i++) {
        OK(ax_model_difference(&m[i], &build_model, &build_model, &err) ==
           AX_OK);
        OK(m[i] && ax_model_identity(id[i], m[i], &err) == AX_OK);
    }
    OK(memcmp(id[0], id[1], 32) == 0);
    net = lowered(m[0]);
    OK(net->nodes[0].n == N_X && net->nodes[net->n_nodes - 1].n == N_Y);
    for (int k = 0; k < 100; k++) {
        float x[N_X];
        double y[N_Y];

        for (int i = 0; i < N_X; i++)
            x[i] = quarter();
        exact(net, x, y);
        for (int i = 0; i < N_Y; i++)
            wrong += y[i] != 0;
    }
    OK(wrong == 0);
    ax_net_free(net);
    ax_model_free(m[0]);
    ax_model_free(m[1]);
}

static void refused(void)
{
    struct ax_attr graph = {.name = (char *)(uintptr_t) "body",
                            .kind = AX_ATTR_GRAPH};
    struct ax_node *last = &build_nodes[build_graph.n_nodes - 1];
    struct ax_attr *attrs = last->attrs;
    struct ax_model *m = &build_model;
    struct ax_err err = {0};

    OK(ax_model_shifted(&m, &build_model, N_X, &err) == AX_EUSAGE && !m);
    last->attrs = &graph;
    last->n_attrs = 1;
    OK(ax_model_shifted(&m, &build_model, 0, &err) == AX_EUNSUPPORTED && !m);
    last->attrs = attrs;
    last->n_attrs = 0;
    build_values[build_graph.inputs[1]].rank = -1;
    OK(ax_model_shifted(&m, &build_model, 0, &err) == AX_EUNSUPPORTED && !m);
    build_values[build_graph.inputs[1]].rank = 2;
}

int main(void)
{
    two_by_two();
    for (uint32_t i = 0; i < N_X; i++)
        shifted(i);
    same();
    refused();
    return tap_done();
}
