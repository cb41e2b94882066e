/* Lowering, on graphs that the bytes spell out: any operator of the table
 * with any constants and attributes. It returns, says why when it refuses,
 * and what it makes keeps the promises of ax/net.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ax/net.h"
#include "tests/unit/build.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct bytes {
    const uint8_t *at, *end;
};

static int take(struct bytes *b, int below)
{
    return b->at < b->end ? *b->at++ % below : 0;
}

/* Values that are exact, large, small, or no numbers. */
static float number(struct bytes *b)
{
    static const float odd[] = {0x1.fffffep127F, 0x1p-149F, NAN,
                                INFINITY,        0.1F,      -0x1.000002p0F};
    int v = take(b, 256);

    return v < 250 ? (float)(v - 125) / 4 : odd[v - 250];
}

static float pool[64];

static uint32_t constant(struct bytes *b)
{
    int rank = take(b, 5), d[4];
    uint32_t v;

    for (int i = 0; i < 4; i++)
        d[i] = i < rank ? 1 + take(b, 3) : 1;
    while (d[0] * d[1] * d[2] * d[3] > 64)
        d[take(b, 4)] = 1, d[0] = 1, d[1] = 1;
    v = flts(pool, rank, d[0], d[1], d[2], d[3]);
    return v;
}

static uint32_t integers(struct bytes *b)
{
    int v[4];

    for (int i = 0; i < 4; i++)
        v[i] = take(b, 6) - 3;
    return ints_(take(b, 5), v[0], v[1], v[2], v[3]);
}

static void attribute(struct bytes *b)
{
    static const char *const ints[] = {"axes", "dilations", "kernel_shape",
                                       "pads", "perm",      "strides"};
    static const char *const one[] = {
        "axis",   "ceil_mode", "count_include_pad", "group", "keepdims",
        "transA", "transB"};
    int k = take(b, 15);

    if (k < 6)
        ints_attr(ints[k], take(b, 5), take(b, 5) - 1, take(b, 5) - 1,
                  take(b, 5) - 1, take(b, 5) - 1);
    else if (k < 13)
        int_attr(one[k - 6], take(b, 5) - 2);
    else if (k == 13)
        float_attr("alpha", number(b));
    else
        string_attr("auto_pad", take(b, 2) ? "SAME_UPPER" : "SAME_LOWER");
}

/* Attributes are sorted, each name once. */
static void sort_attributes(void)
{
    struct ax_node *node = &build_nodes[build_graph.n_nodes - 1];
    uint32_t n = 0;

    for (uint32_t i = 0; i < node->n_attrs; i++) {
        struct ax_attr a = node->attrs[i];
        uint32_t at = n;

        while (at > 0 && strcmp(node->attrs[at - 1].name, a.name) > 0)
            at--;
        if (at > 0 && !strcmp(node->attrs[at - 1].name, a.name))
            continue;
        memmove(&node->attrs[at + 1], &node->attrs[at], (n - at) * sizeof a);
        node->attrs[at] = a;
        n++;
    }
    node->n_attrs = n;
}

static void operator(struct bytes *b)
{
    static const ax_op ops[] = {
        AX_OP_Add,      AX_OP_AveragePool, AX_OP_Concat,
        AX_OP_Conv,     AX_OP_Div,         AX_OP_Dropout,
        AX_OP_Flatten,  AX_OP_Gather,      AX_OP_Gemm,
        AX_OP_Identity, AX_OP_MatMul,      AX_OP_Mul,
        AX_OP_Neg,      AX_OP_Pad,         AX_OP_ReduceMean,
        AX_OP_Relu,     AX_OP_ReduceSum,   AX_OP_Reshape,
        AX_OP_Slice,    AX_OP_Split,       AX_OP_Squeeze,
        AX_OP_Sub,      AX_OP_Transpose,   AX_OP_Unsqueeze,
        AX_OP_Relu,     AX_OP_Sigmoid,     AX_OP_GlobalAveragePool};
    int n = 1 + take(b, 3);
    uint32_t in[3];

    for (int i = 0; i < n; i++) {
        int kind = i ? take(b, 3) : 0;

        in[i] = kind == 1   ? constant(b)
                : kind == 2 ? integers(b)
                            : build_graph.n_values - 1 -
                                  (uint32_t)take(b, 3) % build_graph.n_values;
    }
    op_(ops[take(b, sizeof ops / sizeof ops[0])], n, in[0], in[1 % n],
        in[2 % n]);
    if (take(b, 4) == 0)
        more();
    for (int i = take(b, 4); i > 0; i--)
        attribute(b);
    sort_attributes();
}

static void require(int good)
{
    if (!good)
        abort();
}

static void check_term(const struct ax_net_node *node,
                       const struct ax_block *b, uint32_t i, uint64_t t)
{
    double d = node->div ? node->div[i] : 1;

    if (node->kind == AX_NET_UNIT)
        require(!b->w && (b->wq[t] == 1 || b->wq[t] == -1));
    if (node->kind != AX_NET_WEIGHTED)
        return;
    require(isfinite(b->w[t]) && (!b->row_ptr || b->w[t] != 0));
    require(fabs(ldexp(b->w[t] / d, node->scale) - b->wq[t]) <= 0.5 + 1e-6);
    require(abs(b->wq[t]) <= 1 << 30);
}

static void check_block(const struct ax_net *net, uint32_t k,
                        const struct ax_block *b)
{
    const struct ax_net_node *node = &net->nodes[k];
    uint32_t n = net->nodes[b->source].n;
    bool weighted = node->kind == AX_NET_WEIGHTED;

    require(b->source < k);
    require(!!b->row_ptr == (b->form == AX_BLOCK_SPARSE));
    if (b->form == AX_BLOCK_SAME)
        require(!weighted && node->n == n && !b->w && !b->wq);
    if (b->form == AX_BLOCK_DENSE)
        require(weighted);
    for (uint64_t t = 0; b->form == AX_BLOCK_DENSE && t < node->n * n; t++)
        check_term(node, b, (uint32_t)(t / n), t);
    for (uint32_t i = 0; b->row_ptr && i < node->n; i++) {
        require(b->row_ptr[i] <= b->row_ptr[i + 1]);
        for (uint64_t t = b->row_ptr[i]; t < b->row_ptr[i + 1]; t++) {
            require(b->col[t] < n && (!weighted || t == b->row_ptr[i] ||
                                      b->col[t - 1] < b->col[t]));
            check_term(node, b, i, t);
        }
    }
}

static void check_net(const struct ax_net *net)
{
    struct ax_err err = {0};
    float x[64];
    double *y;

    require(net->nodes[net->n_nodes - 1].kind == AX_NET_UNIT);
    for (uint32_t k = 1; k < net->n_nodes; k++) {
        const struct ax_net_node *node = &net->nodes[k];

        require(!!node->bias == !!node->bq);
        for (uint32_t i = 0; node->bias && i < node->n; i++)
            require(fabs(ldexp((double)node->bias[i].m,
                               node->bias[i].e + node->b_scale) -
                         node->bq[i]) <= 0.5 + 1e-6);
        for (uint32_t i = 0; i < node->n_blocks; i++) {
            require(!i ||
                    node->blocks[i - 1].source < node->blocks[i].source);
            check_block(net, k, &node->blocks[i]);
        }
    }
    require(net->nodes[0].n <= 64);
    for (int i = 0; i < 64; i++)
        x[i] = (float)i - 3.7F;
    y = calloc(net->nodes[net->n_nodes - 1].n + 1, sizeof *y);
    require(y && ax_net_exact(net, x, y, &err) == AX_OK);
    free(y);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct bytes b = {data, data + n};
    struct ax_net *net = NULL;
    struct ax_err err = {0};

    build_new();
    for (int i = 0; i < 64; i++)
        pool[i] = i < 32 ? number(&b) : (float)(i % 5) - 2;
    in_(1 + take(&b, 4), 1 + take(&b, 2), 1 + take(&b, 3), 1 + take(&b, 3),
        1 + take(&b, 3));
    for (int i = 0; i < 8 && b.at < b.end; i++)
        operator(&b);
    for (int i = 0; i < 1 + take(&b, 2); i++)
        out_(build_graph.n_values - 1 -
             (uint32_t)take(&b, 2) % build_graph.n_values);
    if (ax_graph_check(&build_graph, build_model.n_tensors, &err) != AX_OK)
        return 0;
    if (ax_net_lower(&net, &build_model, &err) == AX_OK)
        check_net(net);
    else if (net || !err.msg[0])
        abort();
    ax_net_free(net);
    return 0;
}
