/* Operators that work element by element, comparisons, and reductions. */
#include <math.h>
#include <string.h>

#include "formats/aten/aten.h"

/* ---- one tensor ---- */

static ax_status unary(struct aten *a, struct aten_value *out,
                       const struct aten_value *arg, int number,
                       struct ax_err *err)
{
    out->kind = ATEN_TENSOR;
    return aten_emit(a, &out->value, (ax_op)number, arg[0].value, AX_NONE,
                     AX_NONE, err);
}

/* The same, of real numbers alone: integers become float32. */
static ax_status real_unary(struct aten *a, struct aten_value *out,
                            const struct aten_value *arg, int number,
                            struct ax_err *err)
{
    uint32_t x = arg[0].value;
    ax_dtype type;

    AX_TRY(aten_type(a, &type, x, err));
    if (type == AX_BOOL || ax_dtype_size(type) == 0)
        return ax_fail(err, AX_EUNSUPPORTED, "type %s is not supported",
                       ax_dtype_name(type));
    if (type == AX_I64 || type == AX_I32 || type == AX_U8 || type == AX_I8 ||
        type == AX_I16)
        AX_TRY(aten_cast(a, &x, AX_F32, err));
    out->kind = ATEN_TENSOR;
    return aten_emit(a, &out->value, (ax_op)number, x, AX_NONE, AX_NONE, err);
}

static ax_status rsqrt(struct aten *a, struct aten_value *out,
                       const struct aten_value *arg, int number,
                       struct ax_err *err)
{
    AX_TRY(real_unary(a, out, arg, AX_OP_Sqrt, err));
    return unary(a, out, out, number, err);
}

static ax_status gelu(struct aten *a, struct aten_value *out,
                      const struct aten_value *arg, int number,
                      struct ax_err *err)
{
    const char *how = arg[1].kind == ATEN_TEXT ? arg[1].text : "none";

    if (strcmp(how, "none") != 0 && strcmp(how, "tanh") != 0)
        return ax_fail(err, AX_EFORMAT,
                       "argument 'approximate' is neither none nor tanh");
    AX_TRY(unary(a, out, arg, number, err));
    return strcmp(how, "none") == 0
               ? AX_OK
               : arch_attr_text(&a->b, "approximate", how, err);
}

static ax_status silu(struct aten *a, struct aten_value *out,
                      const struct aten_value *arg, int number,
                      struct ax_err *err)
{
    AX_TRY(unary(a, out, arg, number, err));
    return aten_emit(a, &out->value, AX_OP_Mul, arg[0].value, out->value,
                     AX_NONE, err);
}

/* x f(x), as a gate: half of it times the sigmoid of the other half. */
static ax_status glu(struct aten *a, struct aten_value *out,
                     const struct aten_value *arg, int number,
                     struct ax_err *err)
{
    uint32_t half[2];
    int64_t axis, size;
    int rank;

    AX_TRY(aten_rank(a, &rank, arg[0].value, err));
    AX_TRY(aten_axis(&axis, arg[1].i, rank, err));
    AX_TRY(aten_fixed(a, &size, arg[0].value, (int)axis, err));
    for (int i = 0; i < 2; i++) {
        const int64_t from = i * (size / 2), to = from + size / 2;
        uint32_t in[4] = {arg[0].value};

        AX_TRY(aten_ints(a, &in[1], &from, 1, err));
        AX_TRY(aten_ints(a, &in[2], &to, 1, err));
        AX_TRY(aten_ints(a, &in[3], &axis, 1, err));
        AX_TRY(aten_emit_n(a, &half[i], AX_OP_Slice, in, 4, err));
    }
    AX_TRY(aten_emit(a, &half[1], (ax_op)number, half[1], AX_NONE, AX_NONE,
                     err));
    out->kind = ATEN_TENSOR;
    return aten_emit(a, &out->value, AX_OP_Mul, half[0], half[1], AX_NONE,
                     err);
}

/* scale ELU(x), which is SELU for certain numbers. */
static ax_status elu(struct aten *a, struct aten_value *out,
                     const struct aten_value *arg, int number,
                     struct ax_err *err)
{
    ax_dtype type;
    uint32_t scale;

    if (aten_real(arg[3]) != 1)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "argument 'input_scale' other than 1 is not "
                       "supported");
    AX_TRY(unary(a, out, arg, number, err));
    AX_TRY(aten_attr_real(a, "alpha", aten_real(arg[1]), 1, err));
    if (aten_real(arg[2]) == 1)
        return AX_OK;
    AX_TRY(aten_type(a, &type, arg[0].value, err));
    AX_TRY(aten_number(a, &scale, type, aten_real(arg[2]), err));
    return aten_emit(a, &out->value, AX_OP_Mul, out->value, scale, AX_NONE,
                     err);
}

static ax_status celu(struct aten *a, struct aten_value *out,
                      const struct aten_value *arg, int number,
                      struct ax_err *err)
{
    AX_TRY(unary(a, out, arg, number, err));
    return aten_attr_real(a, "alpha", aten_real(arg[1]), 1, err);
}

static ax_status leaky_relu(struct aten *a, struct aten_value *out,
                            const struct aten_value *arg, int number,
                            struct ax_err *err)
{
    AX_TRY(unary(a, out, arg, number, err));
    return aten_attr_real(a, "alpha", aten_real(arg[1]), 0.01, err);
}

static ax_status hardsigmoid(struct aten *a, struct aten_value *out,
                             const struct aten_value *arg, int number,
                             struct ax_err *err)
{
    AX_TRY(unary(a, out, arg, number, err));
    return aten_attr_real(a, "alpha", 1.0 / 6, 0.2, err);
}

static ax_status softplus(struct aten *a, struct aten_value *out,
                          const struct aten_value *arg, int number,
                          struct ax_err *err)
{
    if (aten_real(arg[1]) != 1)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "argument 'beta' other than 1 is not supported");
    /* Beyond the threshold it is linear, as good as it is anyway. */
    if (aten_real(arg[2]) < 20)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "argument 'threshold' below 20 is not supported");
    return unary(a, out, arg, number, err);
}

static ax_status log_sigmoid(struct aten *a, struct aten_value *out,
                             const struct aten_value *arg, int number,
                             struct ax_err *err)
{
    AX_TRY(unary(a, out, arg, AX_OP_Neg, err));
    AX_TRY(unary(a, out, out, number, err));
    return unary(a, out, out, AX_OP_Neg, err);
}

/* A slope for each channel, dimension 1. */
static ax_status prelu(struct aten *a, struct aten_value *out,
                       const struct aten_value *arg, int number,
                       struct ax_err *err)
{
    struct aten_value shape[AX_RANK_MAX];
    uint32_t slope = arg[1].value;
    int64_t n;
    int rank, of;

    AX_TRY(aten_rank(a, &rank, arg[0].value, err));
    AX_TRY(aten_rank(a, &of, slope, err));
    if (of == 1 && rank > 2) {
        AX_TRY(aten_fixed(a, &n, slope, 0, err));
        for (int i = 0; i < rank - 1; i++)
            shape[i] = aten_int(i ? 1 : n);
        AX_TRY(
            aten_reshape(a, &slope, slope, shape, (uint32_t)rank - 1, err));
    }
    out->kind = ATEN_TENSOR;
    return aten_emit(a, &out->value, (ax_op)number, arg[0].value, slope,
                     AX_NONE, err);
}

/* ---- bounds ---- */

static ax_status clip(struct aten *a, struct aten_value *out,
                      struct aten_value x, struct aten_value min,
                      struct aten_value max, struct ax_err *err)
{
    uint32_t in[3] = {x.value, AX_NONE, AX_NONE};
    ax_dtype type;

    AX_TRY(aten_type(a, &type, x.value, err));
    AX_TRY(aten_value_of(a, &in[1], min, type, err));
    AX_TRY(aten_value_of(a, &in[2], max, type, err));
    out->kind = ATEN_TENSOR;
    return aten_emit_n(a, &out->value, AX_OP_Clip, in, 3, err);
}

static ax_status clamp(struct aten *a, struct aten_value *out,
                       const struct aten_value *arg, int number,
                       struct ax_err *err)
{
    const struct aten_value none = {0};

    if (number == AX_OP_Min)
        return clip(a, out, arg[0], none, arg[1], err);
    return clip(a, out, arg[0], arg[1], number == AX_OP_Max ? none : arg[2],
                err);
}

static ax_status relu6(struct aten *a, struct aten_value *out,
                       const struct aten_value *arg, int number,
                       struct ax_err *err)
{
    return clip(a, out, arg[0], aten_int(0), aten_int(number), err);
}

static ax_status threshold(struct aten *a, struct aten_value *out,
                           const struct aten_value *arg, int number,
                           struct ax_err *err)
{
    if (aten_real(arg[1]) != 0 || aten_real(arg[2]) != 0)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "arguments 'threshold' and 'value' other than 0 are "
                       "not supported");
    return unary(a, out, arg, number, err);
}

/* ---- two tensors, or numbers ---- */

static ax_status two(struct aten *a, struct aten_value *out,
                     struct aten_value x, struct aten_value y, bool real,
                     ax_op op, struct ax_err *err)
{
    uint32_t in[2];

    AX_TRY(aten_promote(a, in, x, y, real, err));
    out->kind = ATEN_TENSOR;
    return aten_emit(a, &out->value, op, in[0], in[1], AX_NONE, err);
}

static ax_status binary(struct aten *a, struct aten_value *out,
                        const struct aten_value *arg, int number,
                        struct ax_err *err)
{
    return two(a, out, arg[0], arg[1], false, (ax_op)number, err);
}

/* x + alpha y; number below 0: y - alpha x. */
static ax_status scaled(struct aten *a, struct aten_value *out,
                        const struct aten_value *arg, int number,
                        struct ax_err *err)
{
    struct aten_value x = arg[number < 0], y = arg[number >= 0];

    if (aten_real(arg[2]) != 1)
        AX_TRY(two(a, &y, y, arg[2], false, AX_OP_Mul, err));
    return two(a, out, x, y, false, (ax_op)(number < 0 ? -number : number),
               err);
}

/* The first that is no floor of a quotient. */
static ax_status floor_of(struct aten *a, struct aten_value *out,
                          struct ax_err *err)
{
    return aten_emit(a, &out->value, AX_OP_Floor, out->value, AX_NONE,
                     AX_NONE, err);
}

static ax_status divide(struct aten *a, struct aten_value *out,
                        const struct aten_value *arg, int number,
                        struct ax_err *err)
{
    uint32_t in[2];
    ax_dtype type;

    AX_TRY(aten_promote(a, in, arg[0], arg[1], false, err));
    AX_TRY(aten_type(a, &type, in[0], err));
    if (arg[2].kind == ATEN_NONE && !number)
        return two(a, out, arg[0], arg[1], true, AX_OP_Div, err);
    if ((number || strcmp(arg[2].text, "floor") == 0) &&
        (type == AX_F32 || type == AX_F64 || type == AX_F16)) {
        AX_TRY(two(a, out, arg[0], arg[1], true, AX_OP_Div, err));
        return floor_of(a, out, err);
    }
    return ax_fail(err, AX_EUNSUPPORTED,
                   "division of integers, or cut towards zero, is not "
                   "supported");
}

static ax_status power(struct aten *a, struct aten_value *out,
                       const struct aten_value *arg, int number,
                       struct ax_err *err)
{
    if (arg[1].kind != ATEN_TENSOR && aten_real(arg[1]) == 2)
        return two(a, out, arg[0], arg[0], false, AX_OP_Mul, err);
    if (arg[1].kind != ATEN_TENSOR && aten_real(arg[1]) == 0.5)
        return real_unary(a, out, arg, AX_OP_Sqrt, err);
    return two(a, out, arg[0], arg[1], arg[1].kind == ATEN_FLOAT,
               (ax_op)number, err);
}

static ax_status square(struct aten *a, struct aten_value *out,
                        const struct aten_value *arg, int number,
                        struct ax_err *err)
{
    return two(a, out, arg[0], arg[0], false, (ax_op)number, err);
}

/* After the divisor's sign, as Mod of real numbers is not. */
static ax_status remainder_of(struct aten *a, struct aten_value *out,
                              const struct aten_value *arg, int number,
                              struct ax_err *err)
{
    uint32_t in[2], q;
    ax_dtype type;

    AX_TRY(aten_promote(a, in, arg[0], arg[1], false, err));
    AX_TRY(aten_type(a, &type, in[0], err));
    out->kind = ATEN_TENSOR;
    if (type == AX_I64 || type == AX_I32)
        return aten_emit(a, &out->value, (ax_op)number, in[0], in[1], AX_NONE,
                         err);
    AX_TRY(aten_emit(a, &q, AX_OP_Div, in[0], in[1], AX_NONE, err));
    AX_TRY(aten_emit(a, &q, AX_OP_Floor, q, AX_NONE, AX_NONE, err));
    AX_TRY(aten_emit(a, &q, AX_OP_Mul, q, in[1], AX_NONE, err));
    return aten_emit(a, &out->value, AX_OP_Sub, in[0], q, AX_NONE, err);
}

/* log(1 + x), exp(x) - 1. */
static ax_status by_one(struct aten *a, struct aten_value *out,
                        const struct aten_value *arg, int number,
                        struct ax_err *err)
{
    struct aten_value x = arg[0];

    if (number == AX_OP_Log)
        AX_TRY(two(a, &x, x, aten_int(1), true, AX_OP_Add, err));
    AX_TRY(real_unary(a, out, &x, number, err));
    return number == AX_OP_Log
               ? AX_OK
               : two(a, out, *out, aten_int(1), true, AX_OP_Sub, err);
}

/* With the sign of the dividend. */
static ax_status fmod_of(struct aten *a, struct aten_value *out,
                         const struct aten_value *arg, int number,
                         struct ax_err *err)
{
    AX_TRY(binary(a, out, arg, number, err));
    return arch_attr_int(&a->b, "fmod", 1, err);
}

static ax_status not_equal(struct aten *a, struct aten_value *out,
                           const struct aten_value *arg, int number,
                           struct ax_err *err)
{
    AX_TRY(binary(a, out, arg, AX_OP_Equal, err));
    return unary(a, out, out, number, err);
}

/* Of truth values alone. */
static ax_status logical(struct aten *a, struct aten_value *out,
                         const struct aten_value *arg, int number,
                         struct ax_err *err)
{
    uint32_t in[2] = {arg[0].value, AX_NONE};

    AX_TRY(aten_cast(a, &in[0], AX_BOOL, err));
    if (number != AX_OP_Not) {
        in[1] = arg[1].value;
        AX_TRY(aten_cast(a, &in[1], AX_BOOL, err));
    }
    out->kind = ATEN_TENSOR;
    return aten_emit(a, &out->value, (ax_op)number, in[0], in[1], AX_NONE,
                     err);
}

static ax_status bitwise(struct aten *a, struct aten_value *out,
                         const struct aten_value *arg, int number,
                         struct ax_err *err)
{
    ax_dtype type;

    AX_TRY(aten_type(a, &type, arg[0].value, err));
    if (type != AX_BOOL)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "of bits of integers is not supported");
    return logical(a, out, arg, number, err);
}

static ax_status where(struct aten *a, struct aten_value *out,
                       const struct aten_value *arg, int number,
                       struct ax_err *err)
{
    uint32_t in[2], condition = arg[0].value;

    AX_TRY(aten_promote(a, in, arg[1], arg[2], false, err));
    AX_TRY(aten_cast(a, &condition, AX_BOOL, err));
    out->kind = ATEN_TENSOR;
    return aten_emit(a, &out->value, (ax_op)number, condition, in[0], in[1],
                     err);
}

/* The number where the mask is true. */
static ax_status masked_fill(struct aten *a, struct aten_value *out,
                             const struct aten_value *arg, int number,
                             struct ax_err *err)
{
    uint32_t mask = arg[1].value, x = AX_NONE;
    ax_dtype type;

    AX_TRY(aten_type(a, &type, arg[0].value, err));
    AX_TRY(aten_value_of(a, &x, arg[2], type, err));
    AX_TRY(aten_cast(a, &x, type, err));
    AX_TRY(aten_cast(a, &mask, AX_BOOL, err));
    out->kind = ATEN_TENSOR;
    return aten_emit(a, &out->value, (ax_op)number, mask, x, arg[0].value,
                     err);
}

/* x + value y z, or x + value y / z. */
static ax_status addc(struct aten *a, struct aten_value *out,
                      const struct aten_value *arg, int number,
                      struct ax_err *err)
{
    struct aten_value t = {0};

    AX_TRY(
        two(a, &t, arg[1], arg[2], number == AX_OP_Div, (ax_op)number, err));
    if (aten_real(arg[3]) != 1)
        AX_TRY(two(a, &t, t, arg[3], false, AX_OP_Mul, err));
    return two(a, out, arg[0], t, false, AX_OP_Add, err);
}

/* ---- reductions ---- */

/* Over the axes of a list; over all where there is none. */
static ax_status reduce(struct aten *a, uint32_t *out, ax_op op, uint32_t x,
                        struct aten_value dim, bool keep, struct ax_err *err)
{
    int64_t axes[AX_RANK_MAX];
    uint32_t in = AX_NONE;
    size_t n;
    int rank;

    AX_TRY(aten_rank(a, &rank, x, err));
    AX_TRY(aten_get_list(axes, &n, AX_RANK_MAX, dim, "dim", err));
    if (n && rank) {
        for (size_t i = 0; i < n; i++)
            AX_TRY(aten_axis(&axes[i], axes[i], rank, err));
        AX_TRY(aten_ints(a, &in, axes, n, err));
    }
    AX_TRY(aten_emit(a, out, op, x, in, AX_NONE, err));
    return aten_attr(a, "keepdims", keep, 1, err);
}

/* arg: x, dim, keepdim, dtype. */
static ax_status reduction(struct aten *a, struct aten_value *out,
                           const struct aten_value *arg, int number,
                           struct ax_err *err)
{
    uint32_t x = arg[0].value;
    ax_dtype type;

    AX_TRY(aten_type(a, &type, x, err));
    if (arg[3].kind == ATEN_INT) {
        type = aten_dtype(arg[3].i);
        if (!type)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "argument 'dtype' is not supported");
        AX_TRY(aten_cast(a, &x, type, err));
    } else if ((number == AX_OP_ReduceSum || number == AX_OP_ReduceProd) &&
               (type == AX_BOOL || type == AX_I32 || type == AX_U8)) {
        AX_TRY(aten_cast(a, &x, AX_I64, err));
    }
    out->kind = ATEN_TENSOR;
    return reduce(a, &out->value, (ax_op)number, x, arg[1], arg[2].i, err);
}

/* The same over all dimensions. arg: x, dtype. */
static ax_status reduce_all(struct aten *a, struct aten_value *out,
                            const struct aten_value *arg, int number,
                            struct ax_err *err)
{
    const struct aten_value all[] = {arg[0], {0}, {0}, arg[1]};

    return reduction(a, out, all, number, err);
}

static ax_status arg_most(struct aten *a, struct aten_value *out,
                          struct aten_value x, struct aten_value dim,
                          bool keep, ax_op op, struct ax_err *err)
{
    const struct aten_value flat = aten_int(-1);
    uint32_t v = x.value;
    int64_t axis = 0;
    int rank;

    AX_TRY(aten_rank(a, &rank, v, err));
    if (dim.kind == ATEN_NONE) {
        AX_TRY(aten_reshape(a, &v, v, &flat, 1, err));
        keep = false;
    } else {
        AX_TRY(aten_axis(&axis, dim.i, rank, err));
    }
    out->kind = ATEN_TENSOR;
    AX_TRY(aten_emit(a, &out->value, op, v, AX_NONE, AX_NONE, err));
    AX_TRY(aten_attr(a, "axis", axis, 0, err));
    return aten_attr(a, "keepdims", keep, 1, err);
}

static ax_status arg_max(struct aten *a, struct aten_value *out,
                         const struct aten_value *arg, int number,
                         struct ax_err *err)
{
    return arg_most(a, out, arg[0], arg[1], arg[2].i, (ax_op)number, err);
}

/* Values and indices along one dimension. */
static ax_status max_dim(struct aten *a, struct aten_value *out,
                         const struct aten_value *arg, int number,
                         struct ax_err *err)
{
    AX_TRY(aten_list(a, out, ATEN_TUPLE, 2, err));
    out->v[0].kind = ATEN_TENSOR;
    AX_TRY(reduce(a, &out->v[0].value, (ax_op)number, arg[0].value, arg[1],
                  arg[2].i, err));
    return arg_most(a, &out->v[1], arg[0], arg[1], arg[2].i,
                    number == AX_OP_ReduceMax ? AX_OP_ArgMax : AX_OP_ArgMin,
                    err);
}

/* Elements that a reduction over DIM takes together. */
static ax_status elements(struct aten *a, double *out, uint32_t x,
                          struct aten_value dim, struct ax_err *err)
{
    int64_t axes[AX_RANK_MAX], size;
    size_t n;
    int rank;

    AX_TRY(aten_rank(a, &rank, x, err));
    AX_TRY(aten_get_list(axes, &n, AX_RANK_MAX, dim, "dim", err));
    *out = 1;
    for (size_t i = 0; i < (n ? n : (size_t)rank); i++) {
        AX_TRY(aten_axis(&axes[i], n ? axes[i] : (int64_t)i, rank, err));
        AX_TRY(aten_fixed(a, &size, x, (int)axes[i], err));
        *out *= (double)size;
    }
    return AX_OK;
}

/* The mean square of what is left of the mean, by n - correction. */
static ax_status variance(struct aten *a, struct aten_value *out, uint32_t x,
                          struct aten_value dim, double correction, bool keep,
                          bool root, struct ax_err *err)
{
    struct aten_value mean = {.kind = ATEN_TENSOR}, ratio = {0};
    uint32_t d;
    double n;

    out->kind = ATEN_TENSOR;
    AX_TRY(reduce(a, &mean.value, AX_OP_ReduceMean, x, dim,
                  dim.kind != ATEN_NONE, err));
    AX_TRY(aten_emit(a, &d, AX_OP_Sub, x, mean.value, AX_NONE, err));
    AX_TRY(aten_emit(a, &d, AX_OP_Mul, d, d, AX_NONE, err));
    AX_TRY(reduce(a, &out->value, AX_OP_ReduceMean, d, dim, keep, err));
    if (correction != 0) {
        AX_TRY(elements(a, &n, x, dim, err));
        if (n <= correction)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "a variance of too few elements");
        ratio = (struct aten_value){.kind = ATEN_FLOAT,
                                    .f = n / (n - correction)};
        AX_TRY(two(a, out, *out, ratio, true, AX_OP_Mul, err));
    }
    return root ? unary(a, out, out, AX_OP_Sqrt, err) : AX_OK;
}

/* arg: x, dim, unbiased or correction, keepdim; number: the root of it. */
static ax_status var(struct aten *a, struct aten_value *out,
                     const struct aten_value *arg, int number,
                     struct ax_err *err)
{
    double correction = arg[2].kind == ATEN_NONE ? 1 : aten_real(arg[2]);

    return variance(a, out, arg[0].value, arg[1], correction, arg[3].i,
                    number, err);
}

static ax_status var_all(struct aten *a, struct aten_value *out,
                         const struct aten_value *arg, int number,
                         struct ax_err *err)
{
    const struct aten_value none = {0};

    return variance(a, out, arg[0].value, none, aten_real(arg[1]), false,
                    number, err);
}

/* arg: x, p, dim, keepdim. */
static ax_status norm(struct aten *a, struct aten_value *out,
                      const struct aten_value *arg, int number,
                      struct ax_err *err)
{
    double p = arg[1].kind == ATEN_NONE ? 2 : aten_real(arg[1]);

    (void)number;
    if (p != 1 && p != 2)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "norms other than 1 and 2 are not supported");
    out->kind = ATEN_TENSOR;
    return reduce(a, &out->value, p == 1 ? AX_OP_ReduceL1 : AX_OP_ReduceL2,
                  arg[0].value, arg[2], arg[3].i, err);
}

/* Whether any or all of the elements are true. */
static ax_status any(struct aten *a, struct aten_value *out,
                     const struct aten_value *arg, int number,
                     struct ax_err *err)
{
    uint32_t x = arg[0].value;

    AX_TRY(aten_cast(a, &x, AX_BOOL, err));
    AX_TRY(aten_cast(a, &x, AX_F32, err));
    out->kind = ATEN_TENSOR;
    AX_TRY(reduce(a, &out->value, (ax_op)number, x, arg[1], arg[2].i, err));
    return aten_cast(a, &out->value, AX_BOOL, err);
}

static ax_status cumsum(struct aten *a, struct aten_value *out,
                        const struct aten_value *arg, int number,
                        struct ax_err *err)
{
    uint32_t axis, x = arg[0].value;
    ax_dtype type;

    AX_TRY(aten_type(a, &type, x, err));
    if (type == AX_BOOL || type == AX_I32)
        AX_TRY(aten_cast(a, &x, AX_I64, err));
    AX_TRY(aten_number(a, &axis, AX_I64, (double)arg[1].i, err));
    out->kind = ATEN_TENSOR;
    return aten_emit(a, &out->value, (ax_op)number, x, axis, AX_NONE, err);
}

const struct aten_op aten_math[] = {
    {"relu", NULL, "self:T", unary, AX_OP_Relu},
    {"sigmoid", NULL, "self:T", real_unary, AX_OP_Sigmoid},
    {"tanh", NULL, "self:T", real_unary, AX_OP_Tanh},
    {"neg", NULL, "self:T", unary, AX_OP_Neg},
    {"abs", NULL, "self:T", unary, AX_OP_Abs},
    {"sqrt", NULL, "self:T", real_unary, AX_OP_Sqrt},
    {"exp", NULL, "self:T", real_unary, AX_OP_Exp},
    {"log", NULL, "self:T", real_unary, AX_OP_Log},
    {"erf", NULL, "self:T", real_unary, AX_OP_Erf},
    {"floor", NULL, "self:T", unary, AX_OP_Floor},
    {"ceil", NULL, "self:T", unary, AX_OP_Ceil},
    {"round", "default", "self:T", unary, AX_OP_Round},
    {"sign", NULL, "self:T", unary, AX_OP_Sign},
    {"sin", NULL, "self:T", real_unary, AX_OP_Sin},
    {"cos", NULL, "self:T", real_unary, AX_OP_Cos},
    {"tan", NULL, "self:T", real_unary, AX_OP_Tan},
    {"asin", NULL, "self:T", real_unary, AX_OP_Asin},
    {"acos", NULL, "self:T", real_unary, AX_OP_Acos},
    {"atan", NULL, "self:T", real_unary, AX_OP_Atan},
    {"sinh", NULL, "self:T", real_unary, AX_OP_Sinh},
    {"cosh", NULL, "self:T", real_unary, AX_OP_Cosh},
    {"asinh", NULL, "self:T", real_unary, AX_OP_Asinh},
    {"acosh", NULL, "self:T", real_unary, AX_OP_Acosh},
    {"atanh", NULL, "self:T", real_unary, AX_OP_Atanh},
    {"reciprocal", NULL, "self:T", real_unary, AX_OP_Reciprocal},
    {"rsqrt", NULL, "self:T", rsqrt, AX_OP_Reciprocal},
    {"square", NULL, "self:T", square, AX_OP_Mul},
    {"gelu", NULL, "self:T approximate:t=None", gelu, AX_OP_Gelu},
    {"silu", NULL, "self:T", silu, AX_OP_Sigmoid},
    {"mish", NULL, "self:T", unary, AX_OP_Mish},
    {"selu", NULL, "self:T", unary, AX_OP_Selu},
    {"hardswish", NULL, "self:T", unary, AX_OP_HardSwish},
    {"hardsigmoid", NULL, "self:T", hardsigmoid, AX_OP_HardSigmoid},
    {"softplus", NULL, "self:T beta:s=1 threshold:s=20", softplus,
     AX_OP_Softplus},
    {"log_sigmoid", NULL, "self:T", log_sigmoid, AX_OP_Softplus},
    {"elu", NULL, "self:T alpha:s=1 scale:s=1 input_scale:s=1", elu,
     AX_OP_Elu},
    {"celu", NULL, "self:T alpha:s=1", celu, AX_OP_Celu},
    {"leaky_relu", NULL, "self:T negative_slope:s=0.01", leaky_relu,
     AX_OP_LeakyRelu},
    {"prelu", NULL, "self:T weight:T", prelu, AX_OP_PRelu},
    {"_prelu_kernel", NULL, "self:T weight:T", binary, AX_OP_PRelu},
    {"glu", NULL, "self:T dim:i=-1", glu, AX_OP_Sigmoid},
    {"hardtanh", NULL, "self:T min_val:s=-1 max_val:s=1", clamp, 0},
    {"relu6", NULL, "self:T", relu6, 6},
    {"clamp", "default", "self:T min:S=None max:S=None", clamp, 0},
    {"clip", "default", "self:T min:S=None max:S=None", clamp, 0},
    {"clamp_min", "default", "self:T min:s", clamp, AX_OP_Max},
    {"clamp_max", "default", "self:T max:s", clamp, AX_OP_Min},
    {"threshold", NULL, "self:T threshold:s value:s", threshold, AX_OP_Relu},

    {"add", "Tensor Scalar", "self:x other:x alpha:s=1", scaled, AX_OP_Add},
    {"sub", "Tensor Scalar", "self:x other:x alpha:s=1", scaled, AX_OP_Sub},
    {"rsub", "Tensor Scalar", "self:x other:x alpha:s=1", scaled, -AX_OP_Sub},
    {"mul", "Tensor Scalar", "self:x other:x", binary, AX_OP_Mul},
    {"div", "Tensor Scalar Tensor_mode Scalar_mode",
     "self:x other:x rounding_mode:t=None", divide, 0},
    {"true_divide", NULL, "self:x other:x", divide, 0},
    {"floor_divide", "default Scalar", "self:x other:x", divide, 1},
    {"remainder", "Tensor Scalar Scalar_Tensor", "self:x other:x",
     remainder_of, AX_OP_Mod},
    {"fmod", "Tensor Scalar", "self:x other:x", fmod_of, AX_OP_Mod},
    {"log1p", NULL, "self:T", by_one, AX_OP_Log},
    {"expm1", NULL, "self:T", by_one, AX_OP_Exp},
    {"pow", "Tensor_Tensor Tensor_Scalar Scalar", "self:x exponent:x", power,
     AX_OP_Pow},
    {"maximum", NULL, "self:T other:T", binary, AX_OP_Max},
    {"minimum", NULL, "self:T other:T", binary, AX_OP_Min},
    {"max", "other", "self:T other:T", binary, AX_OP_Max},
    {"min", "other", "self:T other:T", binary, AX_OP_Min},
    {"eq", "Tensor Scalar", "self:x other:x", binary, AX_OP_Equal},
    {"ne", "Tensor Scalar", "self:x other:x", not_equal, AX_OP_Not},
    {"gt", "Tensor Scalar", "self:x other:x", binary, AX_OP_Greater},
    {"ge", "Tensor Scalar", "self:x other:x", binary, AX_OP_GreaterOrEqual},
    {"lt", "Tensor Scalar", "self:x other:x", binary, AX_OP_Less},
    {"le", "Tensor Scalar", "self:x other:x", binary, AX_OP_LessOrEqual},
    {"logical_and", NULL, "self:T other:T", logical, AX_OP_And},
    {"logical_or", NULL, "self:T other:T", logical, AX_OP_Or},
    {"logical_xor", NULL, "self:T other:T", logical, AX_OP_Xor},
    {"logical_not", NULL, "self:T", logical, AX_OP_Not},
    {"bitwise_and", "Tensor", "self:T other:T", bitwise, AX_OP_And},
    {"bitwise_or", "Tensor", "self:T other:T", bitwise, AX_OP_Or},
    {"bitwise_not", NULL, "self:T", bitwise, AX_OP_Not},
    {"__and__", "Tensor", "self:T other:T", bitwise, AX_OP_And},
    {"__or__", "Tensor", "self:T other:T", bitwise, AX_OP_Or},
    {"where", "self ScalarOther ScalarSelf Scalar",
     "condition:T self:x other:x", where, AX_OP_Where},
    {"masked_fill", NULL, "self:T mask:T value:x", masked_fill, AX_OP_Where},
    {"addcmul", NULL, "self:T tensor1:T tensor2:T value:s=1", addc,
     AX_OP_Mul},
    {"addcdiv", NULL, "self:T tensor1:T tensor2:T value:s=1", addc,
     AX_OP_Div},

    {"sum", "dim_IntList", "self:T dim:Y keepdim:b=False | dtype:d=None",
     reduction, AX_OP_ReduceSum},
    {"sum", "default", "self:T | dtype:d=None", reduce_all, AX_OP_ReduceSum},
    {"mean", "dim", "self:T dim:Y keepdim:b=False | dtype:d=None", reduction,
     AX_OP_ReduceMean},
    {"mean", "default", "self:T | dtype:d=None", reduce_all,
     AX_OP_ReduceMean},
    {"prod", "dim_int", "self:T dim:i keepdim:b=False | dtype:d=None",
     reduction, AX_OP_ReduceProd},
    {"prod", "default", "self:T | dtype:d=None", reduce_all,
     AX_OP_ReduceProd},
    {"amax", NULL, "self:T dim:I=[] keepdim:b=False", reduction,
     AX_OP_ReduceMax},
    {"amin", NULL, "self:T dim:I=[] keepdim:b=False", reduction,
     AX_OP_ReduceMin},
    {"max", "default", "self:T", reduce_all, AX_OP_ReduceMax},
    {"min", "default", "self:T", reduce_all, AX_OP_ReduceMin},
    {"max", "dim", "self:T dim:i keepdim:b=False", max_dim, AX_OP_ReduceMax},
    {"min", "dim", "self:T dim:i keepdim:b=False", max_dim, AX_OP_ReduceMin},
    {"argmax", NULL, "self:T dim:d=None keepdim:b=False", arg_max,
     AX_OP_ArgMax},
    {"argmin", NULL, "self:T dim:d=None keepdim:b=False", arg_max,
     AX_OP_ArgMin},
    {"any", "default", "self:T", any, AX_OP_ReduceMax},
    {"all", "default", "self:T", any, AX_OP_ReduceMin},
    {"any", "dim dims", "self:T dim:Y keepdim:b=False", any, AX_OP_ReduceMax},
    {"all", "dim dims", "self:T dim:Y keepdim:b=False", any, AX_OP_ReduceMin},
    {"var", "default", "self:T unbiased:b=True", var_all, 0},
    {"std", "default", "self:T unbiased:b=True", var_all, 1},
    {"var", "dim", "self:T dim:Y unbiased:b=True keepdim:b=False", var, 0},
    {"std", "dim", "self:T dim:Y unbiased:b=True keepdim:b=False", var, 1},
    {"var", "correction",
     "self:T dim:Y=None | correction:S=None keepdim:b=False", var, 0},
    {"std", "correction",
     "self:T dim:Y=None | correction:S=None keepdim:b=False", var, 1},
    {"norm", "ScalarOpt_dim", "self:T p:S dim:I keepdim:b=False", norm, 0},
    {"linalg_vector_norm", NULL,
     "self:T ord:s=2 dim:Y=None keepdim:b=False dtype:*=None", norm, 0},
    {"logsumexp", NULL, "self:T dim:I keepdim:b=False", reduction,
     AX_OP_ReduceLogSumExp},
    {"cumsum", NULL, "self:T dim:i dtype:*=None", cumsum, AX_OP_CumSum},
    {0},
};
