/* Shape rules, one per operator: the table is at the end, the rules that are
 * not here are in other files, see infer.h. Source: Operators.md of ONNX
 * at opset 17. Arities were checked before. */
#include <inttypes.h>
#include <string.h>

#include "graph/infer.h"

ax_status infer_too_many(int64_t rank, struct ax_err *err)
{
    return ax_fail(err, AX_EUNSUPPORTED,
                   "its output has %" PRId64
                   " dimensions, at most %d are supported",
                   rank, AX_RANK_MAX);
}

struct infer_dim infer_product(const struct infer_dim *d, int from, int to)
{
    struct infer_dim n = infer_number(1);

    for (int i = from; i < to; i++)
        n = infer_mul(n, d[i]);
    return n;
}

int64_t infer_length(const struct infer_fact *x)
{
    return x->rank == 1 && x->d[0].p == 0 ? x->d[0].k : -1;
}

/* ---- the same shape ---- */

ax_status infer_like(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);
    struct infer_fact *out = infer_out(s, 0);

    (void)err;
    out->dtype = x->dtype;
    out->rank = x->rank;
    memcpy(out->d, x->d, sizeof out->d);
    return AX_OK;
}

static ax_status cast(struct infer *s, struct ax_err *err)
{
    int64_t to = ax_node_int(s->node, "to", 0);

    if (to < 1 || to > INT32_MAX || !ax_dtype_size((ax_dtype)to))
        return ax_fail(err, AX_EUNSUPPORTED,
                       "element type %" PRId64 " is not supported", to);
    AX_TRY(infer_like(s, err));
    infer_out(s, 0)->dtype = (ax_dtype)to;
    return AX_OK;
}

static ax_status clip(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);

    for (uint32_t k = 1; k < 3; k++) {
        const struct infer_fact *limit = infer_in(s, k);

        if (limit && limit->dtype && x->dtype && limit->dtype != x->dtype)
            return ax_fail(err, AX_ESHAPE, "limits are %s, the input is %s",
                           ax_dtype_name(limit->dtype),
                           ax_dtype_name(x->dtype));
    }
    return infer_like(s, err);
}

static ax_status dropout(struct infer *s, struct ax_err *err)
{
    struct infer_fact *mask;

    AX_TRY(infer_like(s, err));
    if (s->node->n_out > 1) {
        mask = infer_out(s, 1);
        *mask = *infer_in(s, 0);
        mask->v = NULL;
        mask->dtype = AX_BOOL;
    }
    return AX_OK;
}

static ax_status softmax(struct infer *s, struct ax_err *err)
{
    int64_t axis = ax_node_int(s->node, "axis", -1);

    if (infer_in(s, 0)->rank >= 0)
        AX_TRY(infer_axis(&axis, axis, infer_in(s, 0)->rank, err));
    return infer_like(s, err);
}

static ax_status batch_norm(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);

    for (uint32_t k = 1; k < 5 && x->rank >= 2; k++) {
        const struct infer_fact *p = infer_in(s, k);

        if (p->rank >= 0 &&
            (p->rank != 1 ||
             (p->d[0].p == 0 && x->d[1].p == 0 && p->d[0].k != x->d[1].k)))
            return ax_fail(err, AX_ESHAPE,
                           "input %" PRIu32 " wants one number a channel", k);
    }
    return infer_like(s, err);
}

/* ---- broadcasting ---- */

static ax_status broadcast(struct infer *s, struct ax_err *err)
{
    struct infer_fact all = *infer_in(s, 0), *out = infer_out(s, 0);

    for (uint32_t k = 1; k < s->node->n_in; k++) {
        const struct infer_fact *x = infer_in(s, k);

        if (!x)
            return ax_fail(err, AX_ESHAPE, "input %" PRIu32 " is absent", k);
        AX_TRY(infer_broadcast(&all, &all, x, err));
    }
    all.n_v = 0;
    all.v = NULL;
    *out = all;
    return AX_OK;
}

/* The exponent may have another type. */
static ax_status power(struct infer *s, struct ax_err *err)
{
    struct infer_fact y = *infer_in(s, 1), *out = infer_out(s, 0);

    y.dtype = infer_in(s, 0)->dtype;
    return infer_broadcast(out, infer_in(s, 0), &y, err);
}

static ax_status compare(struct infer *s, struct ax_err *err)
{
    AX_TRY(broadcast(s, err));
    infer_out(s, 0)->dtype = AX_BOOL;
    return AX_OK;
}

/* The slopes are stretched to the input, not the other way round. */
static ax_status prelu(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);
    struct infer_fact all = {.rank = -1};

    AX_TRY(infer_broadcast(&all, x, infer_in(s, 1), err));
    if (x->rank >= 0 && all.rank > x->rank)
        return ax_fail(err, AX_ESHAPE,
                       "the slopes have %d dimensions, the input %d",
                       all.rank, x->rank);
    return infer_like(s, err);
}

static ax_status where(struct infer *s, struct ax_err *err)
{
    struct infer_fact condition = *infer_in(s, 0), all = {.rank = -1};

    AX_TRY(infer_broadcast(&all, infer_in(s, 1), infer_in(s, 2), err));
    condition.dtype = all.dtype;
    return infer_broadcast(infer_out(s, 0), &all, &condition, err);
}

/* The shape that input k spells out; rank -1 if it is not known. */
static ax_status spelled(struct infer *s, uint32_t k, struct infer_fact *out,
                         struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, k);
    int64_t n = infer_length(x);

    out->rank = -1;
    if (x->rank >= 0 && x->rank != 1)
        return ax_fail(err, AX_ESHAPE, "a shape has %d dimensions, wants 1",
                       x->rank);
    if (n < 0)
        return AX_OK;
    if (n > AX_RANK_MAX)
        return infer_too_many(n, err);
    out->rank = (int)n;
    for (int i = 0; i < out->rank; i++) {
        out->d[i] = x->v ? x->v[i] : infer_unknown();
        if (out->d[i].p == 0 && out->d[i].k < 0)
            return ax_fail(err, AX_ESHAPE, "dimension %d is %" PRId64, i,
                           out->d[i].k);
    }
    return AX_OK;
}

static ax_status expand(struct infer *s, struct ax_err *err)
{
    struct infer_fact shape = {.dtype = infer_in(s, 0)->dtype};

    AX_TRY(spelled(s, 1, &shape, err));
    return infer_broadcast(infer_out(s, 0), infer_in(s, 0), &shape, err);
}

static ax_status constant_of_shape(struct infer *s, struct ax_err *err)
{
    struct infer_fact *out = infer_out(s, 0);

    out->dtype = AX_F32;
    return spelled(s, 0, out, err);
}

static ax_status shape(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);
    struct infer_fact *out = infer_out(s, 0);
    int64_t from, to, r = x->rank;

    (void)err;
    out->dtype = AX_I64;
    out->rank = 1;
    out->d[0] = infer_unknown();
    if (r < 0)
        return AX_OK;
    from = ax_node_int(s->node, "start", 0);
    to = ax_node_int(s->node, "end", r);
    from = from < -r ? 0 : from < 0 ? from + r : from > r ? r : from;
    to = to < -r ? 0 : to < 0 ? to + r : to > r ? r : to;
    out->d[0] = infer_number(to > from ? to - from : 0);
    return AX_OK;
}

static ax_status size(struct infer *s, struct ax_err *err)
{
    (void)err;
    infer_out(s, 0)->dtype = AX_I64;
    infer_out(s, 0)->rank = 0;
    return AX_OK;
}

/* A vector whose length is known if its three numbers are. */
static ax_status range(struct infer *s, struct ax_err *err)
{
    struct infer_fact *out = infer_out(s, 0);
    const int64_t *v[3];
    bool known = true;
    int64_t gap;

    out->dtype = infer_in(s, 0)->dtype;
    out->rank = 1;
    out->d[0] = infer_unknown();
    for (uint32_t i = 0; i < 3 && known; i++) {
        uint32_t n;

        AX_TRY(infer_numbers(s, i, &known, &v[i], &n, err));
        known = known && n == 1;
    }
    if (!known || !v[2][0] ||
        __builtin_sub_overflow(v[1][0], v[0][0], &gap) || gap == INT64_MIN)
        return AX_OK;
    gap = (gap < 0) != (v[2][0] < 0) ? 0
                                     : gap / v[2][0] + (gap % v[2][0] != 0);
    out->d[0] = infer_number(gap);
    return AX_OK;
}

/* ---- products ---- */

static ax_status inner(struct infer_dim a, struct infer_dim b,
                       struct ax_err *err)
{
    if (a.p == 0 && b.p == 0 && a.k != b.k)
        return ax_fail(err, AX_ESHAPE,
                       "inner dimensions are %" PRId64 " and %" PRId64, a.k,
                       b.k);
    return AX_OK;
}

static ax_status gemm(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *a = infer_in(s, 0), *b = infer_in(s, 1);
    const struct infer_fact *c = infer_in(s, 2);
    struct infer_fact *out = infer_out(s, 0), all = {.rank = -1};
    bool ta = ax_node_int(s->node, "transA", 0) != 0;
    bool tb = ax_node_int(s->node, "transB", 0) != 0;

    out->dtype = a->dtype ? a->dtype : b->dtype;
    if (a->rank < 0 || b->rank < 0)
        return AX_OK;
    if (a->rank != 2 || b->rank != 2)
        return ax_fail(err, AX_ESHAPE,
                       "wants matrices, has %d and %d dimensions", a->rank,
                       b->rank);
    AX_TRY(inner(a->d[!ta], b->d[tb], err));
    out->rank = 2;
    out->d[0] = a->d[ta];
    out->d[1] = b->d[!tb];
    if (!c || c->rank < 0)
        return AX_OK;
    AX_TRY(infer_broadcast(&all, out, c, err));
    if (all.rank != 2 ||
        (out->d[0].p == 0 && all.d[0].p == 0 && all.d[0].k != out->d[0].k) ||
        (out->d[1].p == 0 && all.d[1].p == 0 && all.d[1].k != out->d[1].k))
        return ax_fail(err, AX_ESHAPE, "input 2 does not fit the product");
    return AX_OK;
}

static ax_status matmul(struct infer *s, struct ax_err *err)
{
    struct infer_fact a = *infer_in(s, 0), b = *infer_in(s, 1);
    struct infer_fact *out = infer_out(s, 0);

    if (a.dtype && b.dtype && a.dtype != b.dtype)
        return ax_fail(err, AX_ESHAPE, "inputs are %s and %s",
                       ax_dtype_name(a.dtype), ax_dtype_name(b.dtype));
    a.dtype = b.dtype = a.dtype ? a.dtype : b.dtype;
    return infer_product_shape(out, a, b, err);
}

/* A vector is a matrix of one row or column. */
ax_status infer_product_shape(struct infer_fact *out, struct infer_fact a,
                              struct infer_fact b, struct ax_err *err)
{
    struct infer_dim rows, columns;
    bool row, column;

    out->dtype = a.dtype;
    b.dtype = a.dtype;
    if (a.rank < 0 || b.rank < 0)
        return AX_OK;
    if (a.rank == 0 || b.rank == 0)
        return ax_fail(err, AX_ESHAPE, "a scalar is no matrix");
    row = a.rank == 1;
    column = b.rank == 1;
    AX_TRY(inner(a.d[a.rank - 1], b.d[column ? 0 : b.rank - 2], err));
    rows = row ? infer_number(1) : a.d[a.rank - 2];
    columns = column ? infer_number(1) : b.d[b.rank - 1];
    a.rank -= row ? 1 : 2;
    b.rank -= column ? 1 : 2;
    AX_TRY(infer_broadcast(out, &a, &b, err));
    if (!row)
        out->d[out->rank++] = rows;
    if (!column)
        out->d[out->rank++] = columns;
    return AX_OK;
}

/* ---- the table ---- */

/* clang-format off */
/* An operator without a rule has outputs of which nothing is known. */
static infer_rule *const rules[AX_OP_COUNT] = {
    [AX_OP_Abs] = infer_like,
    [AX_OP_Acos] = infer_like,
    [AX_OP_Acosh] = infer_like,
    [AX_OP_Add] = broadcast,
    [AX_OP_And] = broadcast,
    [AX_OP_Asin] = infer_like,
    [AX_OP_Asinh] = infer_like,
    [AX_OP_Atan] = infer_like,
    [AX_OP_Atanh] = infer_like,
    [AX_OP_AveragePool] = infer_pool,
    [AX_OP_BatchNormalization] = batch_norm,
    [AX_OP_Cast] = cast,
    [AX_OP_Ceil] = infer_like,
    [AX_OP_Celu] = infer_like,
    [AX_OP_Clip] = clip,
    [AX_OP_Concat] = infer_concat,
    [AX_OP_ConstantOfShape] = constant_of_shape,
    [AX_OP_Conv] = infer_conv,
    [AX_OP_Cos] = infer_like,
    [AX_OP_Cosh] = infer_like,
    [AX_OP_Div] = broadcast,
    [AX_OP_Dropout] = dropout,
    [AX_OP_Elu] = infer_like,
    [AX_OP_Equal] = compare,
    [AX_OP_Erf] = infer_like,
    [AX_OP_Exp] = infer_like,
    [AX_OP_Expand] = expand,
    [AX_OP_Flatten] = infer_flatten,
    [AX_OP_Floor] = infer_like,
    [AX_OP_Gather] = infer_gather,
    [AX_OP_Gelu] = infer_like,
    [AX_OP_Gemm] = gemm,
    [AX_OP_GlobalAveragePool] = infer_global_pool,
    [AX_OP_GlobalMaxPool] = infer_global_pool,
    [AX_OP_Greater] = compare,
    [AX_OP_GreaterOrEqual] = compare,
    [AX_OP_HardSigmoid] = infer_like,
    [AX_OP_HardSwish] = infer_like,
    [AX_OP_Identity] = infer_like,
    [AX_OP_LeakyRelu] = infer_like,
    [AX_OP_Less] = compare,
    [AX_OP_LessOrEqual] = compare,
    [AX_OP_Log] = infer_like,
    [AX_OP_LogSoftmax] = softmax,
    [AX_OP_MatMul] = matmul,
    [AX_OP_Max] = broadcast,
    [AX_OP_MaxPool] = infer_pool,
    [AX_OP_Mean] = broadcast,
    [AX_OP_Min] = broadcast,
    [AX_OP_Mish] = infer_like,
    [AX_OP_Mul] = broadcast,
    [AX_OP_Neg] = infer_like,
    [AX_OP_Not] = infer_like,
    [AX_OP_Or] = broadcast,
    [AX_OP_PRelu] = prelu,
    [AX_OP_Pad] = infer_pad,
    [AX_OP_Pow] = power,
    [AX_OP_Range] = range,
    [AX_OP_Reciprocal] = infer_like,
    [AX_OP_ReduceL1] = infer_reduce,
    [AX_OP_ReduceL2] = infer_reduce,
    [AX_OP_ReduceLogSum] = infer_reduce,
    [AX_OP_ReduceLogSumExp] = infer_reduce,
    [AX_OP_ReduceMax] = infer_reduce,
    [AX_OP_ReduceMean] = infer_reduce,
    [AX_OP_ReduceMin] = infer_reduce,
    [AX_OP_ReduceProd] = infer_reduce,
    [AX_OP_ReduceSum] = infer_reduce,
    [AX_OP_ReduceSumSquare] = infer_reduce,
    [AX_OP_Relu] = infer_like,
    [AX_OP_Reshape] = infer_reshape,
    [AX_OP_Round] = infer_like,
    [AX_OP_Selu] = infer_like,
    [AX_OP_Shape] = shape,
    [AX_OP_Shrink] = infer_like,
    [AX_OP_Sigmoid] = infer_like,
    [AX_OP_Sign] = infer_like,
    [AX_OP_Sin] = infer_like,
    [AX_OP_Sinh] = infer_like,
    [AX_OP_Slice] = infer_slice,
    [AX_OP_Softmax] = softmax,
    [AX_OP_Softplus] = infer_like,
    [AX_OP_Softsign] = infer_like,
    [AX_OP_Split] = infer_split,
    [AX_OP_Sqrt] = infer_like,
    [AX_OP_Squeeze] = infer_squeeze,
    [AX_OP_Sub] = broadcast,
    [AX_OP_Sum] = broadcast,
    [AX_OP_Tan] = infer_like,
    [AX_OP_Tanh] = infer_like,
    [AX_OP_ThresholdedRelu] = infer_like,
    [AX_OP_Transpose] = infer_transpose,
    [AX_OP_Unsqueeze] = infer_unsqueeze,
    [AX_OP_Where] = where,
    [AX_OP_Xor] = broadcast,
    [AX_OP_LpNormalization] = infer_like,
    [AX_OP_MeanVarianceNormalization] = infer_like,
    [AX_OP_RotaryEmbedding] = infer_like,
    [AX_OP_TensorScatter] = infer_like,
    [AX_OP_CumProd] = infer_like,
    [AX_OP_ReverseSequence] = infer_like,
    [AX_OP_SwiGLU] = infer_like,
    [AX_OP_Swish] = infer_like,
    [AX_OP_OptionalGetElement] = infer_like,

    [AX_OP_ArgMax] = infer_arg,
    [AX_OP_ArgMin] = infer_arg,
    [AX_OP_ConvTranspose] = infer_conv_transpose,
    [AX_OP_CumSum] = infer_like,
    [AX_OP_DepthToSpace] = infer_depth_to_space,
    [AX_OP_GatherElements] = infer_gather_elements,
    [AX_OP_GroupNormalization] = infer_like,
    [AX_OP_InstanceNormalization] = infer_like,
    [AX_OP_LRN] = infer_like,
    [AX_OP_LayerNormalization] = infer_layer_norm,
    [AX_OP_Mod] = broadcast,
    [AX_OP_RMSNormalization] = infer_like,
    [AX_OP_Resize] = infer_resize,
    [AX_OP_SpaceToDepth] = infer_depth_to_space,
    [AX_OP_Tile] = infer_tile,
    [AX_OP_Trilu] = infer_like,

    [AX_OP_ConvInteger] = infer_conv_integer,
    [AX_OP_DequantizeLinear] = infer_dequantize,
    [AX_OP_DynamicQuantizeLinear] = infer_dynamic_quantize,
    [AX_OP_GRU] = infer_gru,
    [AX_OP_If] = infer_if,
    [AX_OP_LSTM] = infer_lstm,
    [AX_OP_Loop] = infer_loop,
    [AX_OP_MatMulInteger] = infer_matmul_integer,
    [AX_OP_QLinearConv] = infer_qlinear_conv,
    [AX_OP_QLinearMatMul] = infer_qlinear_matmul,
    [AX_OP_QuantizeLinear] = infer_quantize,
    [AX_OP_RNN] = infer_rnn,
    [AX_OP_Scan] = infer_scan,
    [AX_OP_Size] = size,
    [AX_OP_MlArrayFeatureExtractor] = infer_features,
    [AX_OP_MlBinarizer] = infer_like,
    [AX_OP_MlLinearClassifier] = infer_classifier,
    [AX_OP_MlLinearRegressor] = infer_linear_regressor,
    [AX_OP_MlNormalizer] = infer_real_like,
    [AX_OP_MlScaler] = infer_real_like,
    [AX_OP_MlTreeEnsembleClassifier] = infer_classifier,
    [AX_OP_MlTreeEnsembleRegressor] = infer_tree_regressor,
};
/* clang-format on */

ax_status infer_shapes(struct infer *s, struct ax_err *err)
{
    return rules[s->node->op] ? rules[s->node->op](s, err) : AX_OK;
}
