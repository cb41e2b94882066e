/* Lowering: each operator against values worked out by hand, the blocks of
 * nodes, exactness, integer weights. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ax/net.h"
#include "build.h"
#include "tap.h"

static const float count[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12,
                              13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24};

/* The sum of a block's terms in row i, all in double. */
static double sum(const struct ax_net *net, const struct ax_block *b,
                  uint32_t i, const double *a)
{
    uint32_t n = net->nodes[b->source].n;
    double z = 0;

    if (b->form == AX_BLOCK_SAME)
        return a[i];
    for (uint32_t j = 0; b->form == AX_BLOCK_DENSE && j < n; j++)
        z += b->w[(size_t)i * n + j] * a[j];
    for (uint64_t t = b->form == AX_BLOCK_SPARSE ? b->row_ptr[i] : 1;
         b->form == AX_BLOCK_SPARSE && t < b->row_ptr[i + 1]; t++)
        z += (b->w ? b->w[t] : b->wq ? b->wq[t] : 1) * a[b->col[t]];
    return z;
}

/* Outputs at x, all in double; y has room for 64. */
static void evaluate(const struct ax_net *net, const double *x, double *y)
{
    double a[32][64];

    for (uint32_t j = 0; j < net->nodes[0].n; j++)
        a[0][j] = x[j];
    for (uint32_t k = 1; k < net->n_nodes; k++) {
        const struct ax_net_node *node = &net->nodes[k];

        for (uint32_t i = 0; i < node->n; i++) {
            double z = 0;

            for (uint32_t s = 0; s < node->n_blocks; s++)
                z += sum(net, &node->blocks[s], i, a[node->blocks[s].source]);
            z /= node->div ? node->div[i] : 1;
            if (node->bias)
                z += ldexp((double)node->bias[i].m, node->bias[i].e);
            a[k][i] = z > 0 || node->kind != AX_NET_RELU ? z : 0;
        }
    }
    for (uint32_t i = 0; i < net->nodes[net->n_nodes - 1].n; i++)
        y[i] = a[net->n_nodes - 1][i];
}

static struct ax_net *lowered(void)
{
    struct ax_net *net = NULL;
    struct ax_err err = {0};

    OK(ax_net_lower(&net, &build_model, &err) == AX_OK);
    if (err.msg[0])
        printf("# %s\n", err.msg);
    return net;
}

/* The network, at inputs 1, 2, 3, ..., gives these n values. */
static void gives(const char *what, int n, ...)
{
    struct ax_net *net = lowered();
    double x[64], y[64];
    bool good = net && net->nodes[net->n_nodes - 1].n == (uint32_t)n;
    va_list ap;

    for (int i = 0; i < 64; i++)
        x[i] = i + 1;
    if (good)
        evaluate(net, x, y);
    va_start(ap, n);
    for (int i = 0; i < n; i++) {
        double want = va_arg(ap, double);

        if (good && y[i] != want) {
            printf("# %s: output %d is %g, not %g\n", what, i, y[i], want);
            good = false;
        }
    }
    va_end(ap);
    OK(good);
    if (!good)
        printf("# %s\n", what);
    ax_net_free(net);
}

static void refused(ax_status want, const char *part)
{
    struct ax_net *net = NULL;
    struct ax_err err = {0};

    OK(ax_net_lower(&net, &build_model, &err) == want);
    OK(!net && strstr(err.msg, part));
    if (!strstr(err.msg, part))
        printf("# '%s', wanted '%s'\n", err.msg, part);
}

static void moves_elements(void)
{
    uint32_t v;

    build_new();
    v = op_(AX_OP_Transpose, 1, in_(3, 1, 2, 3));
    ints_attr("perm", 3, 2, 0, 1);
    out_(op_(AX_OP_Identity, 1, v));
    gives("Transpose", 6, 1., 4., 2., 5., 3., 6.);

    build_new();
    v = op_(AX_OP_Slice, 5, in_(2, 2, 4), ints_(2, -1, 1), ints_(2, -9, 100),
            ints_(2, 0, -1), ints_(2, -1, 2));
    out_(op_(AX_OP_Flatten, 1, v));
    gives("Slice", 4, 6., 8., 2., 4.);

    build_new();
    v = op_(AX_OP_Pad, 3, in_(2, 1, 2), ints_(4, 0, 2, 0, -1),
            flts(count + 6, 0));
    out_(op_(AX_OP_Dropout, 1, v));
    gives("Pad", 3, 7., 7., 1.);

    build_new();
    v = in_(2, 2, 3);
    out_(op_(AX_OP_Gather, 2, v, ints_(2, 2, -3)));
    int_attr("axis", 1);
    out_(op_(AX_OP_Reshape, 2, v, ints_(3, 0, -1, 1)));
    gives("Gather, two outputs", 10, 3., 1., 6., 4., 1., 2., 3., 4., 5., 6.);

    build_new();
    v = op_(AX_OP_Split, 2, in_(2, 2, 3), ints_(2, 1, 2));
    int_attr("axis", 1);
    out_(op_(AX_OP_Concat, 3, more(), flts(count, 2, 2, 1), v));
    int_attr("axis", 1);
    gives("Split, Concat", 8, 2., 3., 1., 1., 5., 6., 2., 4.);

    build_new();
    v = op_(AX_OP_Unsqueeze, 2, in_(2, 1, 2), ints_(2, -1, 0));
    out_(op_(AX_OP_Squeeze, 2, v, ints_(2, 0, 1)));
    gives("Unsqueeze, Squeeze", 2, 1., 2.);
}

static void computes(void)
{
    static const float two = 2, half = 0.5F, minus = -0.25F;
    uint32_t v, w;

    build_new();
    v = op_(AX_OP_MatMul, 2, in_(2, 1, 2), flts(count, 2, 2, 3));
    v = op_(AX_OP_Add, 2, v, flts(count, 1, 3));
    out_(op_(AX_OP_Neg, 1, v));
    gives("MatMul, Add, Neg", 3, -10., -14., -18.);

    build_new();
    v = op_(AX_OP_MatMul, 2, flts(count, 3, 2, 1, 2), in_(2, 2, 2));
    out_(v);
    gives("constant x input, batches", 4, 7., 10., 15., 22.);

    build_new();
    v = op_(AX_OP_MatMul, 2, in_(1, 2), flts(count, 1, 2));
    out_(v);
    gives("dot product", 1, 5.);

    build_new();
    v = op_(AX_OP_Gemm, 3, in_(2, 2, 1), flts(count, 2, 3, 2),
            flts(count, 1, 1));
    float_attr("alpha", 0.5F);
    float_attr("beta", 4);
    int_attr("transA", 1);
    int_attr("transB", 1);
    out_(v);
    gives("Gemm", 3, 6.5, 9.5, 12.5);

    build_new();
    v = op_(AX_OP_Conv, 3, in_(4, 1, 2, 2, 3), flts(count, 4, 2, 1, 2, 2),
            flts(count, 1, 2));
    int_attr("group", 2);
    ints_attr("pads", 4, 1, 0, 0, 0);
    ints_attr("strides", 2, 1, 2);
    out_(v);
    gives("Conv", 4, 12., 38., 115., 243.);

    build_new();
    v = op_(AX_OP_Conv, 2, in_(3, 1, 1, 5), flts(count, 3, 1, 1, 2));
    ints_attr("dilations", 1, 3);
    ints_attr("pads", 2, 2, 1);
    out_(v);
    gives("Conv, dilated, padded", 5, 4., 6., 9., 12., 3.);

    build_new();
    v = op_(AX_OP_Conv, 2, in_(3, 1, 1, 5), flts(count, 3, 1, 1, 2));
    string_attr("auto_pad", "SAME_LOWER");
    out_(v);
    refused(AX_EUNSUPPORTED, "no rule for auto_pad");

    build_new();
    v = op_(AX_OP_AveragePool, 1, in_(4, 1, 1, 2, 4));
    ints_attr("kernel_shape", 2, 2, 2);
    ints_attr("strides", 2, 2, 2);
    out_(v);
    gives("AveragePool", 2, 3.5, 5.5);

    /* At 1, 2, 3, ...; the first of two windows lies in the padding but for
     * one element. */
    build_new();
    v = op_(AX_OP_MaxPool, 1, in_(3, 1, 1, 5));
    ints_attr("kernel_shape", 1, 3);
    ints_attr("strides", 1, 3);
    ints_attr("pads", 2, 2, 0);
    out_(v);
    out_(op_(AX_OP_GlobalMaxPool, 1, 0));
    gives("MaxPool, GlobalMaxPool", 3, 1., 4., 5.);

    build_new(); /* of -1, 0, 1 */
    v = op_(AX_OP_Sub, 2, in_(2, 1, 3), flts(&two, 0));
    out_(op_(AX_OP_Abs, 1, v));
    out_(op_(AX_OP_Max, 2, v, flts(&half, 0)));
    out_(op_(AX_OP_Min, 2, flts(&half, 0), v));
    out_(op_(AX_OP_PRelu, 2, v, flts(count + 1, 1, 3)));
    w = op_(AX_OP_LeakyRelu, 1, v);
    float_attr("alpha", 0.25F);
    out_(w);
    out_(op_(AX_OP_Clip, 3, v, flts(&minus, 0), flts(&half, 0)));
    gives("Abs, Max, Min, PRelu, LeakyRelu, Clip", 18, 1., 0., 1., 0.5, 0.5,
          1., -1., 0., 0.5, -(double)count[1], 0., 1., -0.25, 0., 1., -0.25,
          0., 0.5);

    build_new();
    v = in_(3, 1, 2, 2);
    w = op_(AX_OP_ReduceSum, 2, v, ints_(1, -1));
    int_attr("keepdims", 0);
    out_(w);
    out_(op_(AX_OP_ReduceMean, 1, v));
    ints_attr("axes", 2, 0, 1);
    gives("ReduceSum, ReduceMean", 4, 3., 7., 2., 3.);

    build_new();
    v = op_(AX_OP_Mul, 2, flts(count + 1, 0), in_(2, 1, 2));
    v = op_(AX_OP_Div, 2, v, flts(count + 3, 0));
    out_(op_(AX_OP_Sub, 2, flts(count + 4, 2, 2, 1), v));
    gives("Mul, Div, Sub, broadcast", 4, 4.5, 4., 5.5, 5.);
}

static void joins_branches(void)
{
    static const float w[] = {1, -1, 2, 0.5F};
    uint32_t x, y, h, r, s;
    struct ax_net *net;

    build_new();
    x = in_(2, 1, 2);
    y = in_(2, 1, 2);
    h = op_(AX_OP_MatMul, 2, x, flts(w, 2, 2, 2));
    r = op_(AX_OP_Relu, 1, h); /* 5, max(0, 0) */
    s = op_(AX_OP_Add, 2, r, y);
    s = op_(AX_OP_Add, 2, s, h); /* 13, 4 */
    op_(AX_OP_Relu, 1, y);       /* nobody reads this one */
    out_(op_(AX_OP_Relu, 1, s));
    gives("residual join", 2, 13., 4.);
    net = lowered();
    /* input, MatMul, Relu, Add, Add, Relu, Relu, output */
    OK(net->n_nodes == 8 && net->nodes[0].n == 4);
    OK(net->nodes[1].kind == AX_NET_WEIGHTED &&
       net->nodes[2].kind == AX_NET_RELU &&
       net->nodes[4].kind == AX_NET_UNIT);
    OK(net->nodes[2].blocks[0].form == AX_BLOCK_SAME);
    OK(net->nodes[4].n_blocks == 2 && net->nodes[4].blocks[0].source == 1 &&
       net->nodes[4].blocks[1].source == 3);
    /* y is half of the input: its block is none of the same. */
    OK(net->nodes[3].blocks[0].form == AX_BLOCK_SPARSE &&
       net->nodes[3].blocks[0].col[0] == 2 &&
       net->nodes[3].blocks[0].wq[0] == 1);
    OK(!net->nodes[1].bq && !net->nodes[1].bias && !net->nodes[1].b_scale);
    /* 2 in [2, 4): E = 2; three nodes read the input, in columns of two. */
    OK(net->nodes[1].scale == 28);
    OK(net->nodes[1].blocks[0].wq[4] == -(1 << 28) &&
       net->nodes[1].blocks[0].wq[5] == 1 << 27);
    ax_net_free(net);
}

/* Average pooling of a W x W picture, PADS on all sides, window 3. */
static void pool(int w, int pads, int all, int ceil_mode, int stride)
{
    uint32_t v = op_(AX_OP_AveragePool, 1, in_(4, 1, 1, w, w));

    if (ceil_mode)
        int_attr("ceil_mode", 1);
    if (all)
        int_attr("count_include_pad", 1);
    ints_attr("kernel_shape", 2, 3, 3);
    if (pads)
        ints_attr("pads", 4, pads, pads, pads, pads);
    else if (stride > 1)
        ints_attr("strides", 2, stride, stride);
    out_(v);
}

static void averages(void)
{
    struct ax_net *net;

    build_new();
    pool(3, 0, 0, 0, 1);
    gives("AveragePool of nine", 1, 5.);
    net = lowered();
    OK(net->nodes[1].div[0] == 9 && net->nodes[1].blocks[0].w[8] == 1);
    /* 1 / 9 < 2^-2: E = 1 - 4 + 1, s = 30 + 2; 2^32 / 9 is 477218588.4. */
    OK(net->nodes[1].scale == 32 &&
       net->nodes[1].blocks[0].wq[0] == 477218588);
    ax_net_free(net);

    build_new();
    pool(2, 1, 0, 0, 1);
    gives("AveragePool, padding left out", 4, 2.5, 2.5, 2.5, 2.5);
    build_new();
    pool(2, 1, 1, 0, 1);
    gives("AveragePool, padding counted", 4, 10. / 9, 10. / 9, 10. / 9,
          10. / 9);
    build_new();
    pool(4, 0, 1, 1, 2);
    refused(AX_EUNSUPPORTED, "no rule for ceil_mode");

    build_new();
    out_(op_(AX_OP_GlobalAveragePool, 1, in_(4, 1, 2, 1, 3)));
    gives("GlobalAveragePool", 2, 2., 5.);
    build_new();
    out_(op_(AX_OP_ReduceMean, 1, in_(2, 2, 3)));
    ints_attr("axes", 1, -1);
    gives("ReduceMean of three", 2, 2., 5.);
    build_new();
    out_(op_(AX_OP_ReduceSum, 1, in_(2, 2, 3)));
    gives("ReduceSum of all", 1, 21.);
}

static void keeps_operators_apart(void)
{
    static const float tenth = 0.1F, odd = 0x1.000002p0F, minus = -3;
    struct ax_net *net;
    uint32_t v;

    build_new();
    v = op_(AX_OP_MatMul, 2, in_(2, 1, 1), flts(&odd, 2, 1, 1));
    v = op_(AX_OP_MatMul, 2, v, flts(&odd, 2, 1, 1));
    v = op_(AX_OP_MatMul, 2, v, flts(&odd, 2, 1, 1));
    out_(op_(AX_OP_Div, 2, v, flts(&tenth, 0)));
    net = lowered();
    OK(net->n_nodes == 6);
    for (uint32_t k = 1; k < 4; k++)
        OK(net->nodes[k].blocks[0].source == k - 1 &&
           net->nodes[k].blocks[0].w[0] == (double)odd);
    OK(net->nodes[4].div[0] == (double)tenth);
    /* 0.1F = 13421773 2^-27, 24 bits: E = 1 + 27 - 24 + 1 = 5, s = 25;
     * floor(2^25 2^27 / 13421773 + 1/2). */
    OK(net->nodes[4].scale == 25 &&
       net->nodes[4].blocks[0].wq[0] == 335544315);
    ax_net_free(net);

    build_new();
    out_(op_(AX_OP_Div, 2, in_(2, 1, 1), flts(&minus, 0)));
    net = lowered();
    /* E = 1 - 2 + 1 = 0; floor(-2^30 / 3 + 1/2). */
    OK(net->nodes[1].scale == 30 &&
       net->nodes[1].blocks[0].wq[0] == -357913941);
    ax_net_free(net);
}

/* Values that moves make of constants and variables. */
static void mixes(void)
{
    static const float w[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    uint32_t x, v;
    struct ax_net *net;

    build_new();
    x = in_(2, 1, 2);
    v = op_(AX_OP_Concat, 2, flts(w + 6, 2, 1, 1), x);
    int_attr("axis", 1); /* 7, 1, 2 */
    out_(op_(AX_OP_Gemm, 2, v, flts(w, 2, 3, 3)));
    gives("constants go to the bias", 3, 25., 35., 45.);
    net = lowered();
    OK(net->nodes[1].n_blocks == 1 && net->nodes[1].bias[0].m == 7 &&
       net->nodes[1].bias[1].m == 7 && net->nodes[1].bias[1].e == 1);
    ax_net_free(net);

    build_new();
    x = in_(2, 2, 2);
    v = op_(AX_OP_Relu, 1, op_(AX_OP_Neg, 1, x));
    v = op_(AX_OP_Concat, 3, x, v, x);
    int_attr("axis", 0);
    v = op_(AX_OP_Slice, 3, v, ints_(1, 1), ints_(1, 5));
    v = op_(AX_OP_Relu, 1, v);
    out_(op_(AX_OP_Neg, 1, v));
    gives("Relu of sliced parts", 8, -3., -4., 0., 0., 0., 0., -1., -2.);
    net = lowered();
    OK(net->nodes[3].n_blocks == 2 && net->nodes[3].blocks[1].source == 2 &&
       net->nodes[3].blocks[1].row_ptr[4] == 2 &&
       !net->nodes[3].blocks[0].wq);
    ax_net_free(net);

    build_new();
    out_(op_(AX_OP_Relu, 1, in_(1, 2)));
    gives("Relu of the input", 2, 1., 2.);

    build_new();
    x = in_(2, 1, 3);
    v = op_(AX_OP_Transpose, 1, in_(2, 2, 2)); /* 4, 6, 5, 7 */
    v = op_(AX_OP_Reshape, 2, v, ints_(2, 1, 4));
    out_(op_(AX_OP_MatMul, 2, v, flts(w, 2, 4, 1)));
    out_(x);
    gives("a permuted source", 4, 59., 1., 2., 3.);

    build_new();
    x = in_(2, 1, 2);
    out_(op_(AX_OP_Add, 2, x, x));
    gives("a sum that names a variable twice", 2, 2., 4.);
    net = lowered();
    OK(net->nodes[1].n_blocks == 1 &&
       net->nodes[1].blocks[0].row_ptr[1] == 2);
    ax_net_free(net);

    build_new();
    x = in_(3, 2, 1, 3);
    v = op_(AX_OP_Mul, 2, flts(w, 2, 2, 1), x);
    out_(op_(AX_OP_Add, 2, v, flts(w + 3, 1, 3)));
    gives("broadcast both ways", 12, 5., 7., 9., 6., 9., 12., 8., 10., 12.,
          12., 15., 18.);

    build_new();
    v = op_(AX_OP_Mul, 2, flts(w, 1, 2), flts(w + 1, 1, 2)); /* 2, 6 */
    v = op_(AX_OP_Relu, 1, v);
    out_(op_(AX_OP_Sub, 2, v, in_(1, 2)));
    gives("a node of constants", 2, 1., 4.);
}

static void quantises(void)
{
    /* floor(W 2^29 + 1/2): a half goes upwards, also below zero. */
    static const float w[] = {1, 0x1p-30F, -0x1p-30F, 0x1.fffffep-31F};
    static const int32_t want[] = {1 << 29, 1, 0, 0};
    static const float b[] = {0.1F, 0, -0.3F, 0x1p-40F};
    struct ax_net *net;
    struct ax_net_node *n;
    int good = 1;

    build_new();
    out_(op_(AX_OP_Gemm, 3, in_(2, 1, 1), flts(w, 2, 1, 4), flts(b, 1, 4)));
    net = lowered();
    n = &net->nodes[1];
    OK(n->scale == 29 && n->blocks[0].form == AX_BLOCK_DENSE);
    for (int i = 0; i < 4; i++) {
        good &= n->blocks[0].wq[i] == want[i];
        good &= ldexp((double)n->bias[i].m, n->bias[i].e) == (double)b[i];
        good &= n->bq[i] == floor(ldexp((double)b[i], 31) + 0.5);
    }
    OK(good && n->b_scale == 31);
    ax_net_free(net);
}

static void is_exact(void)
{
    static const float w[] = {3, NAN, 0, 1};
    static const float big[] = {0x1p120F, 0x1p-120F};
    struct ax_net *net;

    build_new();
    out_(op_(AX_OP_MatMul, 2, in_(2, 1, 1), flts(w + 1, 2, 1, 1)));
    refused(AX_EUNSUPPORTED, "not a number");
    build_new();
    out_(op_(AX_OP_Div, 2, in_(2, 1, 2), flts(w + 2, 1, 2)));
    refused(AX_EUNSUPPORTED, "node 'n' (Div): a divisor is 0");
    build_new();
    out_(op_(AX_OP_Div, 2, flts(w + 3, 1, 1), flts(w, 0)));
    in_(1, 1);
    refused(AX_EUNSUPPORTED, "(Div): a constant part is not exact");
    build_new();
    out_(op_(AX_OP_Add, 2, op_(AX_OP_Add, 2, in_(1, 1), flts(big, 1, 1)),
             flts(big + 1, 1, 1)));
    net = lowered(); /* two nodes: nothing is added up */
    OK(net && net->nodes[2].bias[0].e == -120);
    ax_net_free(net);
    build_new();
    out_(op_(AX_OP_Add, 2, flts(big, 1, 1), flts(big + 1, 1, 1)));
    refused(AX_EUNSUPPORTED, "(Add): a constant part is not exact");
    /* x + 6 - 6: the biases are those of two nodes. */
    build_new();
    out_(op_(AX_OP_Sub, 2, flts(count, 1, 1), flts(count, 1, 1)));
    net = lowered();
    OK(!net->nodes[1].bias && !net->nodes[1].bq && !net->nodes[1].n_blocks);
    ax_net_free(net);
}

static void refuses_operators(void)
{
    uint32_t v;

    build_new();
    out_(op_(AX_OP_Softplus, 1, in_(2, 1, 1)));
    refused(AX_EUNSUPPORTED, "node 'n' (Softplus): this operator cannot be");
    build_new();
    out_(op_(AX_OP_Softmax, 1, in_(2, 1, 1)));
    refused(AX_EUNSUPPORTED, "node 'n' (Softmax): a softmax of one element");
    build_new();
    v = in_(2, 1, 2);
    out_(op_(AX_OP_Pow, 2, v, flts(count, 1, 1)));
    refused(AX_EUNSUPPORTED, "(Pow): the exponent is not the constant 2 or");
    build_new();
    v = in_(2, 1, 2);
    out_(op_(AX_OP_MatMul, 2, v, flts(count, 2, 3, 1)));
    refused(AX_EUNSUPPORTED, "2 columns meet 3 rows");
    build_new();
    v = in_(2, 1, 2);
    out_(op_(AX_OP_Reshape, 2, v, v));
    refused(AX_EUNSUPPORTED, "input 1 is no constant");
    build_new();
    out_(op_(AX_OP_Conv, 2, in_(4, 1, 1, 2, 2), flts(count, 4, 1, 1, 3, 3)));
    refused(AX_EUNSUPPORTED, "the window spans 3");
    build_new();
    out_(op_(AX_OP_Gather, 2, in_(2, 1, 2), ints_(1, 5)));
    refused(AX_EUNSUPPORTED, "an index is out of range");
    build_new();
    v = op_(AX_OP_Pad, 2, in_(2, 1, 2), ints_(4, 0, 1, 0, 1));
    string_attr("mode", "reflect");
    out_(v);
    refused(AX_EUNSUPPORTED, "mode reflect");
    build_new();
    v = in_(2, 1, 1);
    v = op_(AX_OP_Concat, 2, v, v);
    int_attr("axis", 1);
    out_(op_(AX_OP_MatMul, 2, v, flts(count, 2, 2, 1)));
    refused(AX_EUNSUPPORTED, "(MatMul): a sum names a variable twice");
    build_new();
    v = op_(AX_OP_Pad, 2, in_(2, 1, 2), ints_(4, 0, 1, 0, 1));
    out_(op_(AX_OP_Relu, 1, v));
    refused(AX_EUNSUPPORTED, "(Relu): element 0 of its input is a constant");
    build_new();
    v = in_(2, 1, 1);
    out_(op_(AX_OP_Gemm, 3, v, flts(count, 2, 1, 1), v));
    refused(AX_EUNSUPPORTED, "(Gemm): what it adds depends on the input");
    build_new();
    v = op_(AX_OP_MaxPool, 1, in_(3, 1, 1, 2));
    ints_attr("kernel_shape", 1, 1);
    ints_attr("pads", 2, 1, 0);
    out_(v);
    refused(AX_EUNSUPPORTED, "a window lies in the padding");
    build_new();
    v = op_(AX_OP_LeakyRelu, 1, in_(2, 1, 2));
    float_attr("alpha", 1e-12F);
    out_(v);
    refused(AX_EUNSUPPORTED, "does not fit in 53 bits");
    build_new();
    v = in_(2, 1, 1);
    out_(op_(AX_OP_Clip, 2, v, v));
    refused(AX_EUNSUPPORTED, "input 1 is no constant number");
    build_new();
    v = in_(2, 1, 1);
    out_(op_(AX_OP_PRelu, 2, v, v));
    refused(AX_EUNSUPPORTED, "the slope depends on the input");
    build_new();
    out_(op_(AX_OP_Add, 2, in_(1, 2), ints_(2, 1, 2)));
    refused(AX_EUNSUPPORTED, "arithmetic on int64");
}

int main(void)
{
    moves_elements();
    computes();
    joins_branches();
    averages();
    keeps_operators_apart();
    mixes();
    quantises();
    is_exact();
    refuses_operators();
    return tap_done();
}
