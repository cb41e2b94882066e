/* Lowering: each operator against values worked out by hand, the shapes of
 * networks, exactness, integer weights. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ax/net.h"
#include "build.h"
#include "tap.h"

static const float count[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12,
                              13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24};

static double coefficient(const struct ax_net *net, uint32_t k,
                          const struct ax_block *b, uint32_t i, uint32_t j)
{
    if (!b->row_ptr)
        return b->w[(size_t)i * net->nodes[b->source].n + j];
    for (uint64_t t = b->row_ptr[i]; t < b->row_ptr[i + 1]; t++)
        if (b->col[t] == j)
            return b->w[t];
    (void)k;
    return 0;
}

/* Outputs at x, all in double; y has room for 64. */
static void evaluate(const struct ax_net *net, const double *x, double *y)
{
    double a[16][64];

    for (uint32_t j = 0; j < net->nodes[0].n; j++)
        a[0][j] = x[j];
    for (uint32_t k = 1; k < net->n_nodes; k++) {
        const struct ax_net_node *node = &net->nodes[k];

        for (uint32_t i = 0; i < node->n; i++) {
            double z = node->b[i];

            for (uint32_t s = 0; s < node->n_blocks; s++)
                for (uint32_t j = 0; j < net->nodes[node->blocks[s].source].n;
                     j++)
                    z += coefficient(net, k, &node->blocks[s], i, j) *
                         a[node->blocks[s].source][j];
            a[k][i] = z > 0 || k == net->n_nodes - 1 ? z : 0;
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
    string_attr("auto_pad", "SAME_LOWER");
    ints_attr("dilations", 1, 3);
    out_(v);
    gives("Conv, dilated, padded", 5, 4., 6., 9., 12., 3.);

    build_new();
    v = op_(AX_OP_AveragePool, 1, in_(4, 1, 1, 2, 4));
    ints_attr("kernel_shape", 2, 2, 2);
    ints_attr("strides", 2, 2, 2);
    out_(v);
    gives("AveragePool", 2, 3.5, 5.5);

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
    OK(net->n_nodes == 5 && net->nodes[0].n == 4);
    OK(net->nodes[3].n_blocks == 2 && net->nodes[3].blocks[0].source == 0 &&
       net->nodes[3].blocks[1].source == 1);
    OK(net->nodes[2].blocks[0].row_ptr &&
       net->nodes[2].blocks[0].col[0] == 2);
    OK(!net->nodes[1].bq && !net->nodes[1].b_m && net->nodes[1].b_scale == 0);
    /* Three nodes read the input, in columns of up to three: 36 - 1 - 2. */
    OK(net->nodes[1].bits == 30);
    /* 2 in [2, 4): E = 2, scale 28; W' = W 2^28. */
    OK(net->nodes[1].blocks[0].scale == 28);
    OK(net->nodes[1].blocks[0].wq[4] == -(1 << 28) &&
       net->nodes[1].blocks[0].wq[5] == 1 << 27);
    ax_net_free(net);
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
    OK(n->bits == 30 && n->blocks[0].scale == 29);
    for (int i = 0; i < 4; i++) {
        good &= n->blocks[0].wq[i] == want[i];
        good &= n->b[i] == (double)b[i];
        good &= ldexp((double)n->b_m[i], n->b_e) == (double)b[i];
        good &= n->bq[i] == floor(ldexp((double)b[i], 31) + 0.5);
    }
    OK(good && n->b_scale == 31);
    ax_net_free(net);
}

/* A chain of N products with the constant W. */
static void chain(const float *w, int n)
{
    uint32_t v;

    build_new();
    v = in_(2, 1, 1);
    for (int i = 0; i < n; i++)
        v = op_(AX_OP_MatMul, 2, v, flts(w, 2, 1, 1));
    out_(v);
}

static void is_exact(void)
{
    static const float w[] = {0x1.000002p0F, 3, 0x1p127F, NAN, 0x1p-127F};
    struct ax_net *net;
    uint32_t v;

    chain(w, 2);
    net = lowered();
    OK(net->nodes[1].blocks[0].w[0] == 0x1.00000400000400p0);
    ax_net_free(net);
    chain(w, 3);
    refused(AX_EUNSUPPORTED, "node 'n' (MatMul): a coefficient is not exact");
    chain(w + 2, 8);
    refused(AX_EUNSUPPORTED, "not exact, or out of range");
    chain(w + 4, 8);
    refused(AX_EUNSUPPORTED, "not exact, or out of range");
    chain(w + 3, 1);
    refused(AX_EUNSUPPORTED, "not a number");

    build_new();
    out_(op_(AX_OP_Div, 2, in_(2, 1, 1), flts(w + 1, 0)));
    refused(AX_EUNSUPPORTED, "(Div): a coefficient is not exact");
    build_new();
    out_(op_(AX_OP_ReduceMean, 1, in_(2, 1, 3)));
    refused(AX_EUNSUPPORTED, "1/3 is not exact");
    /* x / 3 * 3 is not x; (x + 6) * 3 - 18 is 3 x without a bias. */
    build_new();
    v = op_(AX_OP_Add, 2, in_(2, 1, 1), flts(count + 5, 0));
    v = op_(AX_OP_Mul, 2, v, flts(w + 1, 0));
    out_(op_(AX_OP_Sub, 2, v, flts(count + 17, 0)));
    net = lowered();
    OK(!net->nodes[1].b_m && !net->nodes[1].bq);
    ax_net_free(net);
}

static void refuses_operators(void)
{
    uint32_t v;

    build_new();
    out_(op_(AX_OP_Sigmoid, 1, in_(2, 1, 1)));
    refused(AX_EUNSUPPORTED, "node 'n' (Sigmoid): this operator is neither");
    build_new();
    v = in_(2, 1, 2);
    out_(op_(AX_OP_Mul, 2, v, v));
    refused(AX_EUNSUPPORTED, "(Mul): both factors depend on the input");
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
    refused(AX_EUNSUPPORTED, "the window does not fit");
    build_new();
    out_(op_(AX_OP_Gather, 2, in_(2, 1, 2), ints_(1, 5)));
    refused(AX_EUNSUPPORTED, "an index is out of range");
    build_new();
    v = op_(AX_OP_Pad, 2, in_(2, 1, 2), ints_(4, 0, 1, 0, 1));
    string_attr("mode", "reflect");
    out_(v);
    refused(AX_EUNSUPPORTED, "mode reflect");
}

int main(void)
{
    moves_elements();
    computes();
    joins_branches();
    quantises();
    is_exact();
    refuses_operators();
    return tap_done();
}
