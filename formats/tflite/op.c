/* The operators of TensorFlow Lite: the table, and those that work element by
 * element. */
#include "formats/tflite/tflite.h"

/* ---- activations ---- */

static ax_status clip(struct tflite *t, uint32_t *v, double lo, double hi,
                      struct ax_err *err)
{
    uint32_t in[3] = {*v};

    AX_TRY(arch_number(&t->a, &in[1], "clip.min", 0, NULL, lo, err));
    AX_TRY(arch_number(&t->a, &in[2], "clip.max", 0, NULL, hi, err));
    return arch_node(&t->a, v, AX_OP_Clip, "clip", in, 3, err);
}

ax_status tflite_activation(struct tflite *t, uint32_t *v, int64_t which,
                            struct ax_err *err)
{
    switch (which) {
    case 0:
        return AX_OK;
    case 1:
        return arch_node1(&t->a, v, AX_OP_Relu, "relu", *v, err);
    case 2:
        return clip(t, v, -1, 1, err);
    case 3:
        return clip(t, v, 0, 6, err);
    case 4:
        return arch_node1(&t->a, v, AX_OP_Tanh, "tanh", *v, err);
    default:
        return tflite_refuse(t, err, "fused activation %lld",
                             (long long)which);
    }
}

/* ---- element by element ---- */

/* One input: an image stays as it lies. */
static ax_status single(struct tflite *t, uint32_t *x,
                        enum tflite_layout *layout, struct ax_err *err)
{
    *layout = tflite_turned(tflite_in(t, 0)) ? CHANNELS_FIRST : PLAIN;
    return tflite_value(t, x, 0, *layout, err);
}

static ax_status unary(struct tflite *t, int64_t op, struct ax_err *err)
{
    enum tflite_layout layout;
    uint32_t x;

    AX_TRY(single(t, &x, &layout, err));
    AX_TRY(arch_node1(&t->a, &x, (ax_op)op, "", x, err));
    return tflite_result(t, 0, x, layout, false, err);
}

static ax_status clipped(struct tflite *t, int64_t which, struct ax_err *err)
{
    enum tflite_layout layout;
    uint32_t x;

    AX_TRY(single(t, &x, &layout, err));
    if (which < 0)
        AX_TRY(clip(t, &x, 0, 1, err));
    else
        AX_TRY(tflite_activation(t, &x, which, err));
    return tflite_result(t, 0, x, layout, false, err);
}

static ax_status leaky(struct tflite *t, int64_t what, struct ax_err *err)
{
    float alpha = flat_float(&t->f, t->options, 0, 0);
    enum tflite_layout layout;
    uint32_t x;

    (void)what;
    AX_TRY(single(t, &x, &layout, err));
    AX_TRY(arch_node1(&t->a, &x, AX_OP_LeakyRelu, "", x, err));
    AX_TRY(arch_attr_float(&t->a, "alpha", (double)alpha, err));
    return tflite_result(t, 0, x, layout, false, err);
}

static ax_status gelu(struct tflite *t, int64_t what, struct ax_err *err)
{
    enum tflite_layout layout;
    uint32_t x;

    (void)what;
    AX_TRY(single(t, &x, &layout, err));
    AX_TRY(arch_node1(&t->a, &x, AX_OP_Gelu, "", x, err));
    if (flat_int(&t->f, t->options, 0, 1, 0))
        AX_TRY(arch_attr_text(&t->a, "approximate", "tanh", err));
    return tflite_result(t, 0, x, layout, false, err);
}

static ax_status square(struct tflite *t, int64_t what, struct ax_err *err)
{
    enum tflite_layout layout;
    uint32_t x;

    (void)what;
    AX_TRY(single(t, &x, &layout, err));
    AX_TRY(arch_node2(&t->a, &x, AX_OP_Mul, "", x, x, err));
    return tflite_result(t, 0, x, layout, false, err);
}

static ax_status inverse_root(struct tflite *t, int64_t what,
                              struct ax_err *err)
{
    enum tflite_layout layout;
    uint32_t x;

    (void)what;
    AX_TRY(single(t, &x, &layout, err));
    AX_TRY(arch_node1(&t->a, &x, AX_OP_Sqrt, "root", x, err));
    AX_TRY(arch_node1(&t->a, &x, AX_OP_Reciprocal, "", x, err));
    return tflite_result(t, 0, x, layout, false, err);
}

/* Along the last dimension. */
static ax_status softmax(struct tflite *t, int64_t op, struct ax_err *err)
{
    float beta = flat_float(&t->f, t->options, 0, 0);
    uint32_t x;

    AX_TRY(tflite_value(t, &x, 0, PLAIN, err));
    if (op == AX_OP_Softmax && beta != 1.0f)
        AX_TRY(tflite_number(t, &x, AX_OP_Mul, "beta", x, (double)beta, err));
    AX_TRY(arch_node1(&t->a, &x, (ax_op)op, "", x, err));
    return tflite_result(t, 0, x, PLAIN, false, err);
}

/* Can both be taken with the channels first? Images of one rank, or one and a
 * constant of one number. */
static enum tflite_layout common(struct tflite *t, size_t n)
{
    bool turned = false;

    for (size_t i = 0; i < n; i++) {
        const struct tflite_tensor *x = tflite_in(t, i);

        if (!x || (x->rank != 4 &&
                   !(x->data && x->n_data <= 8 &&
                     (x->rank == 0 || (x->rank == 1 && x->dims[0] == 1)))))
            return PLAIN;
        turned |= tflite_turned(x);
    }
    return turned ? CHANNELS_FIRST : PLAIN;
}

/* Input i in a layout that is common to all. */
static ax_status operand(struct tflite *t, uint32_t *v, size_t i,
                         enum tflite_layout layout, struct ax_err *err)
{
    const struct tflite_tensor *x = tflite_in(t, i);

    return tflite_value(t, v, i, x && x->rank == 4 ? layout : PLAIN, err);
}

static ax_status binary(struct tflite *t, int64_t op, struct ax_err *err)
{
    bool fused = op == AX_OP_Add || op == AX_OP_Sub || op == AX_OP_Mul ||
                 op == AX_OP_Div;
    enum tflite_layout layout = common(t, 2);
    uint32_t x, y;

    AX_TRY(operand(t, &x, 0, layout, err));
    AX_TRY(operand(t, &y, 1, layout, err));
    if (op == AX_OP_NONE) { /* SQUARED_DIFFERENCE */
        AX_TRY(arch_node2(&t->a, &x, AX_OP_Sub, "difference", x, y, err));
        AX_TRY(arch_node2(&t->a, &x, AX_OP_Mul, "", x, x, err));
    } else {
        AX_TRY(arch_node2(&t->a, &x, (ax_op)op, "", x, y, err));
    }
    if (fused && t->options)
        AX_TRY(tflite_activation(t, &x, flat_int(&t->f, t->options, 0, 1, 0),
                                 err));
    return tflite_result(t, 0, x, layout, false, err);
}

#define SELECT 64 /* whose condition may be one for each row */

/* ADD_N, SELECT, PRELU. */
static ax_status several(struct tflite *t, int64_t op, struct ax_err *err)
{
    const struct tflite_tensor *x = tflite_in(t, 0), *y = tflite_in(t, 1);
    uint32_t in[64];

    if (t->in.n == 0 || t->in.n > 64)
        return tflite_refuse(t, err, "%zu inputs", t->in.n);
    if (t->code == SELECT && (!x || !y || x->rank != y->rank))
        return tflite_refuse(t, err, "a condition of another rank");
    for (size_t i = 0; i < t->in.n; i++)
        AX_TRY(tflite_value(t, &in[i], i, PLAIN, err));
    AX_TRY(
        arch_node(&t->a, &in[0], (ax_op)op, "", in, (uint32_t)t->in.n, err));
    return tflite_result(t, 0, in[0], PLAIN, false, err);
}

/* QUANTIZE and DEQUANTIZE: values are what numbers mean. */
static ax_status identity(struct tflite *t, int64_t what, struct ax_err *err)
{
    const struct tflite_tensor *x = tflite_in(t, 0);
    enum tflite_layout layout;
    uint32_t v;

    (void)what;
    if (x && x->data && (x->type == AX_F16 || x->scale.n))
        return tflite_alias(t, err);
    AX_TRY(single(t, &v, &layout, err));
    AX_TRY(arch_node1(&t->a, &v, AX_OP_Identity, "", v, err));
    return tflite_result(t, 0, v, layout, true, err);
}

static ax_status cast(struct tflite *t, int64_t what, struct ax_err *err)
{
    const struct tflite_tensor *in = tflite_in(t, 0), *out = tflite_out(t, 0);
    enum tflite_layout layout;
    uint32_t x;

    (void)what;
    if (!in || in->scale.n || out->scale.n)
        return tflite_refuse(t, err, "quantised numbers");
    AX_TRY(single(t, &x, &layout, err));
    AX_TRY(arch_node1(&t->a, &x, AX_OP_Cast, "", x, err));
    AX_TRY(arch_attr_int(&t->a, "to", out->type, err));
    return tflite_result(t, 0, x, layout, false, err);
}

/* ---- products ---- */

enum { FC_ACTIVATION, FC_FORMAT, FC_KEEP };

/* y = x W' + b, x being rows. */
static ax_status dense(struct tflite *t, int64_t what, struct ax_err *err)
{
    const struct tflite_tensor *x = tflite_in(t, 0), *w = tflite_in(t, 1);
    bool keep = flat_int(&t->f, t->options, FC_KEEP, 1, 0);
    uint32_t in[3] = {0, 0, AX_NONE}, shape = AX_NONE;
    int64_t rows[2] = {-1, 0};

    (void)what;
    if (!x || !w || w->rank != 2 || x->rank < 1)
        return ax_fail(err, AX_EFORMAT, "FULLY_CONNECTED wants a matrix");
    if (flat_int(&t->f, t->options, FC_FORMAT, 1, 0) != 0)
        return tflite_refuse(t, err, "shuffled weights");
    rows[1] = w->dims[1];
    AX_TRY(tflite_value(t, &in[0], 0, PLAIN, err));
    AX_TRY(tflite_value(t, &in[1], 1, PLAIN, err));
    if (tflite_in(t, 2))
        AX_TRY(tflite_value(t, &in[2], 2, PLAIN, err));
    if (keep && x->rank != 2) { /* the dimensions but the last */
        uint32_t part[3] = {0}, all;
        const int64_t from = 0, to = -1;

        AX_TRY(arch_node1(&t->a, &all, AX_OP_Shape, "shape", in[0], err));
        AX_TRY(arch_ints(&t->a, &part[1], "from", &from, 1, err));
        AX_TRY(arch_ints(&t->a, &part[2], "to", &to, 1, err));
        part[0] = all;
        AX_TRY(arch_node(&t->a, &all, AX_OP_Slice, "rows", part, 3, err));
        AX_TRY(arch_ints(&t->a, &part[1], "width", &w->dims[0], 1, err));
        AX_TRY(arch_node2(&t->a, &shape, AX_OP_Concat, "to_shape", all,
                          part[1], err));
        AX_TRY(arch_attr_int(&t->a, "axis", 0, err));
    }
    if (x->rank != 2 || x->dims[1] != w->dims[1])
        AX_TRY(tflite_reshape(t, &in[0], "flat", in[0], rows, 2, err));
    AX_TRY(arch_node(&t->a, &in[0], AX_OP_Gemm, shape == AX_NONE ? "" : "sum",
                     in, 3, err));
    AX_TRY(arch_attr_int(&t->a, "transB", 1, err));
    AX_TRY(tflite_activation(
        t, &in[0], flat_int(&t->f, t->options, FC_ACTIVATION, 1, 0), err));
    if (shape != AX_NONE)
        AX_TRY(
            arch_node2(&t->a, &in[0], AX_OP_Reshape, "", in[0], shape, err));
    return tflite_result(t, 0, in[0], PLAIN, false, err);
}

/* The last two dimensions change places. */
static ax_status adjoint(struct tflite *t, uint32_t *v, size_t i,
                         struct ax_err *err)
{
    const struct tflite_tensor *x = tflite_in(t, i);
    int64_t perm[AX_RANK_MAX];

    if (x->rank < 2)
        return ax_fail(err, AX_EFORMAT, "BATCH_MATMUL wants matrices");
    for (int k = 0; k < x->rank; k++)
        perm[k] = k;
    perm[x->rank - 1] = x->rank - 2;
    perm[x->rank - 2] = x->rank - 1;
    AX_TRY(
        arch_node1(&t->a, v, AX_OP_Transpose, i ? "right" : "left", *v, err));
    return arch_attr_ints(&t->a, "perm", perm, (size_t)x->rank, err);
}

static ax_status batch_matmul(struct tflite *t, int64_t what,
                              struct ax_err *err)
{
    uint32_t v[2];

    (void)what;
    for (int i = 0; i < 2; i++) {
        AX_TRY(tflite_value(t, &v[i], (size_t)i, PLAIN, err));
        if (flat_int(&t->f, t->options, i, 1, 0))
            AX_TRY(adjoint(t, &v[i], (size_t)i, err));
    }
    AX_TRY(arch_node2(&t->a, &v[0], AX_OP_MatMul, "", v[0], v[1], err));
    return tflite_result(t, 0, v[0], PLAIN, false, err);
}

/* ---- the table ---- */

static const struct operator
{
    const char *name;
    tflite_maker *make; /* NULL: not supported */
    int64_t what;
    int options; /* the table in the union that it has, or 0 */
}
operators[] = {
    [0] = {"ADD", binary, AX_OP_Add, 11},
    [1] = {"AVERAGE_POOL_2D", tflite_pool, AX_OP_AveragePool, 5},
    [2] = {"CONCATENATION", tflite_concat, 0, 10},
    [3] = {"CONV_2D", tflite_conv, 0, 1},
    [4] = {"DEPTHWISE_CONV_2D", tflite_depthwise, 0, 2},
    [5] = {"DEPTH_TO_SPACE", tflite_depth, AX_OP_DepthToSpace, 94},
    [6] = {"DEQUANTIZE", identity, 0, 0},
    [8] = {"FLOOR", unary, AX_OP_Floor, 0},
    [9] = {"FULLY_CONNECTED", dense, 0, 8},
    [14] = {"LOGISTIC", unary, AX_OP_Sigmoid, 0},
    [16] = {"LSTM", NULL, 0, 0},
    [17] = {"MAX_POOL_2D", tflite_pool, AX_OP_MaxPool, 5},
    [18] = {"MUL", binary, AX_OP_Mul, 21},
    [19] = {"RELU", clipped, 1, 0},
    [20] = {"RELU_N1_TO_1", clipped, 2, 0},
    [21] = {"RELU6", clipped, 3, 0},
    [22] = {"RESHAPE", tflite_reshape_op, 0, 17},
    [23] = {"RESIZE_BILINEAR", tflite_resize, 0, 15},
    [25] = {"SOFTMAX", softmax, AX_OP_Softmax, 9},
    [26] = {"SPACE_TO_DEPTH", tflite_depth, AX_OP_SpaceToDepth, 19},
    [28] = {"TANH", unary, AX_OP_Tanh, 0},
    [32] = {"CUSTOM", NULL, 0, 0},
    [34] = {"PAD", tflite_pad, 0, 0},
    [36] = {"GATHER", tflite_gather, 0, 23},
    [37] = {"BATCH_TO_SPACE_ND", tflite_batch_to_space, 0, 0},
    [38] = {"SPACE_TO_BATCH_ND", tflite_space_to_batch, 0, 0},
    [39] = {"TRANSPOSE", tflite_transpose, 0, 0},
    [40] = {"MEAN", tflite_reduce, AX_OP_ReduceMean, 27},
    [41] = {"SUB", binary, AX_OP_Sub, 28},
    [42] = {"DIV", binary, AX_OP_Div, 29},
    [43] = {"SQUEEZE", tflite_squeeze, 0, 30},
    [44] = {"UNIDIRECTIONAL_SEQUENCE_LSTM", NULL, 0, 0},
    [45] = {"STRIDED_SLICE", tflite_strided_slice, 0, 32},
    [47] = {"EXP", unary, AX_OP_Exp, 0},
    [49] = {"SPLIT", tflite_split, 0, 35},
    [50] = {"LOG_SOFTMAX", softmax, AX_OP_LogSoftmax, 0},
    [53] = {"CAST", cast, 0, 0},
    [54] = {"PRELU", several, AX_OP_PRelu, 0},
    [55] = {"MAXIMUM", binary, AX_OP_Max, 0},
    [56] = {"ARG_MAX", tflite_arg, AX_OP_ArgMax, 0},
    [57] = {"MINIMUM", binary, AX_OP_Min, 0},
    [58] = {"LESS", binary, AX_OP_Less, 0},
    [59] = {"NEG", unary, AX_OP_Neg, 0},
    [60] = {"PADV2", tflite_pad, 1, 0},
    [61] = {"GREATER", binary, AX_OP_Greater, 0},
    [62] = {"GREATER_EQUAL", binary, AX_OP_GreaterOrEqual, 0},
    [63] = {"LESS_EQUAL", binary, AX_OP_LessOrEqual, 0},
    [64] = {"SELECT", several, AX_OP_Where, 0},
    [65] = {"SLICE", tflite_slice, 0, 0},
    [66] = {"SIN", unary, AX_OP_Sin, 0},
    [67] = {"TRANSPOSE_CONV", tflite_transpose_conv, 0, 49},
    [69] = {"TILE", tflite_tile, 0, 0},
    [70] = {"EXPAND_DIMS", tflite_expand, 0, 0},
    [71] = {"EQUAL", binary, AX_OP_Equal, 0},
    [73] = {"LOG", unary, AX_OP_Log, 0},
    [74] = {"SUM", tflite_reduce, AX_OP_ReduceSum, 27},
    [75] = {"SQRT", unary, AX_OP_Sqrt, 0},
    [76] = {"RSQRT", inverse_root, 0, 0},
    [77] = {"SHAPE", tflite_shape, 0, 55},
    [78] = {"POW", binary, AX_OP_Pow, 0},
    [79] = {"ARG_MIN", tflite_arg, AX_OP_ArgMin, 0},
    [81] = {"REDUCE_PROD", tflite_reduce, AX_OP_ReduceProd, 27},
    [82] = {"REDUCE_MAX", tflite_reduce, AX_OP_ReduceMax, 27},
    [83] = {"PACK", tflite_pack, 0, 59},
    [84] = {"LOGICAL_OR", binary, AX_OP_Or, 0},
    [86] = {"LOGICAL_AND", binary, AX_OP_And, 0},
    [87] = {"LOGICAL_NOT", unary, AX_OP_Not, 0},
    [88] = {"UNPACK", tflite_unpack, 0, 64},
    [89] = {"REDUCE_MIN", tflite_reduce, AX_OP_ReduceMin, 27},
    [92] = {"SQUARE", square, 0, 0},
    [97] = {"RESIZE_NEAREST_NEIGHBOR", tflite_resize, 1, 74},
    [98] = {"LEAKY_RELU", leaky, 0, 75},
    [99] = {"SQUARED_DIFFERENCE", binary, AX_OP_NONE, 0},
    [100] = {"MIRROR_PAD", tflite_pad, 2, 77},
    [101] = {"ABS", unary, AX_OP_Abs, 0},
    [102] = {"SPLIT_V", tflite_split_v, 0, 79},
    [104] = {"CEIL", unary, AX_OP_Ceil, 0},
    [106] = {"ADD_N", several, AX_OP_Sum, 0},
    [108] = {"COS", unary, AX_OP_Cos, 0},
    [111] = {"ELU", unary, AX_OP_Elu, 0},
    [114] = {"QUANTIZE", identity, 0, 0},
    [116] = {"ROUND", unary, AX_OP_Round, 0},
    [117] = {"HARD_SWISH", unary, AX_OP_HardSwish, 0},
    [119] = {"WHILE", NULL, 0, 0},
    [123] = {"SELECT_V2", several, AX_OP_Where, 0},
    [126] = {"BATCH_MATMUL", batch_matmul, 0, 101},
    [150] = {"GELU", gelu, 0, 116},
    [152] = {"RELU_0_TO_1", clipped, -1, 0},
    [158] = {"SIGN", unary, AX_OP_Sign, 0},
};

static const struct operator* find(int code)
{
    return code >= 0 && (size_t)code < sizeof operators / sizeof *operators
               ? &operators[code]
               : NULL;
}

const char *tflite_op_name(int code)
{
    const struct operator* o = find(code);

    return o ? o->name : NULL;
}

int tflite_op_options(int code)
{
    const struct operator* o = find(code);

    return o ? o->options : 0;
}

ax_status tflite_op(struct tflite *t, struct ax_err *err)
{
    const struct operator* o = find(t->code);

    if (!o || !o->make)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "operator %s (%d) is not "
                       "supported",
                       t->op_name, t->code);
    return o->make(t, o->what, err);
}
