/* Operators that layers are made of: products of matrices, normalisation,
 * softmax, attention, embedding, dropout. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/aten/aten.h"

/* ---- products ---- */

/* w transposed: right away if it is a constant. */
static ax_status flipped(struct aten *a, uint32_t *out, uint32_t w,
                         struct ax_err *err)
{
    const struct ax_value *v = &a->b.g->values[w];
    const struct ax_tensor *from;
    struct ax_tensor t;
    size_t size, rows, columns;

    if (v->tensor == AX_NONE || v->rank != 2)
        return aten_transpose(a, out, w, -1, -2, err);
    AX_TRY(ax_tensor_new(&t, v->dtype, 2,
                         (const int64_t[]){v->dims[1], v->dims[0]}, err));
    from = &a->b.m->tensors[v->tensor];
    size = ax_dtype_size(v->dtype);
    rows = (size_t)from->dims[0];
    columns = (size_t)from->dims[1];
    for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < columns; k++)
            memcpy((char *)t.data + (k * rows + i) * size,
                   (const char *)from->data + (i * columns + k) * size, size);
    return aten_constant(a, out, &t, err);
}

static ax_status want_rank(struct aten *a, uint32_t v, int rank,
                           const char *what, struct ax_err *err)
{
    int is;

    AX_TRY(aten_rank(a, &is, v, err));
    return is == rank
               ? AX_OK
               : ax_fail(err, AX_ESHAPE, "'%s' has %d dimensions, wants %d",
                         what, is, rank);
}

static ax_status linear(struct aten *a, struct aten_value *out,
                        const struct aten_value *arg, int number,
                        struct ax_err *err)
{
    uint32_t x = arg[0].value, w = arg[1].value, b = AX_NONE;
    int rank;

    (void)number;
    AX_TRY(aten_rank(a, &rank, x, err));
    AX_TRY(want_rank(a, w, 2, "weight", err));
    AX_TRY(aten_value_of(a, &b, arg[2], AX_F32, err));
    out->kind = ATEN_TENSOR;
    if (rank == 2) {
        AX_TRY(aten_emit(a, &out->value, AX_OP_Gemm, x, w, b, err));
        return aten_attr(a, "transB", 1, 0, err);
    }
    AX_TRY(flipped(a, &w, w, err));
    AX_TRY(aten_emit(a, &out->value, AX_OP_MatMul, x, w, AX_NONE, err));
    return b == AX_NONE ? AX_OK
                        : aten_emit(a, &out->value, AX_OP_Add, out->value, b,
                                    AX_NONE, err);
}

/* number: the rank that both have to have, 0 for any. */
static ax_status product(struct aten *a, struct aten_value *out,
                         const struct aten_value *arg, int number,
                         struct ax_err *err)
{
    if (number) {
        AX_TRY(want_rank(a, arg[0].value, number, "self", err));
        AX_TRY(want_rank(a, arg[1].value, number, "mat2", err));
    }
    out->kind = ATEN_TENSOR;
    return aten_emit(a, &out->value, AX_OP_MatMul, arg[0].value, arg[1].value,
                     AX_NONE, err);
}

/* beta c + alpha x y, of matrices. */
static ax_status addmm(struct aten *a, struct aten_value *out,
                       const struct aten_value *arg, int number,
                       struct ax_err *err)
{
    AX_TRY(want_rank(a, arg[1].value, 2, "mat1", err));
    AX_TRY(want_rank(a, arg[2].value, 2, "mat2", err));
    out->kind = ATEN_TENSOR;
    AX_TRY(aten_emit(a, &out->value, (ax_op)number, arg[1].value,
                     arg[2].value, arg[0].value, err));
    AX_TRY(aten_attr_real(a, "alpha", aten_real(arg[4]), 1, err));
    return aten_attr_real(a, "beta", aten_real(arg[3]), 1, err);
}

static ax_status times(struct aten *a, uint32_t *v, double by,
                       struct ax_err *err)
{
    ax_dtype type;
    uint32_t k;

    if (by == 1)
        return AX_OK;
    AX_TRY(aten_type(a, &type, *v, err));
    AX_TRY(aten_number(a, &k, type, by, err));
    return aten_emit(a, v, AX_OP_Mul, *v, k, AX_NONE, err);
}

/* The same of batches. */
static ax_status baddbmm(struct aten *a, struct aten_value *out,
                         const struct aten_value *arg, int number,
                         struct ax_err *err)
{
    uint32_t c = arg[0].value, p;

    AX_TRY(aten_emit(a, &p, (ax_op)number, arg[1].value, arg[2].value,
                     AX_NONE, err));
    AX_TRY(times(a, &p, aten_real(arg[4]), err));
    out->kind = ATEN_TENSOR;
    if (aten_real(arg[3]) == 0) { /* c may then be of anything */
        out->value = p;
        return AX_OK;
    }
    AX_TRY(times(a, &c, aten_real(arg[3]), err));
    return aten_emit(a, &out->value, AX_OP_Add, c, p, AX_NONE, err);
}

/* ---- softmax ---- */

static ax_status softmax(struct aten *a, struct aten_value *out,
                         const struct aten_value *arg, int number,
                         struct ax_err *err)
{
    uint32_t x = arg[0].value;
    int64_t axis;
    int rank;

    if (arg[2].kind == ATEN_BOOL && arg[2].i)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "argument 'half_to_float' is not supported");
    if (arg[2].kind == ATEN_INT) {
        ax_dtype type = aten_dtype(arg[2].i);

        if (!type)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "argument 'dtype' is not supported");
        AX_TRY(aten_cast(a, &x, type, err));
    }
    AX_TRY(aten_rank(a, &rank, x, err));
    AX_TRY(aten_axis(&axis, arg[1].i, rank, err));
    out->kind = ATEN_TENSOR;
    AX_TRY(
        aten_emit(a, &out->value, (ax_op)number, x, AX_NONE, AX_NONE, err));
    return aten_attr(a, "axis", axis == rank - 1 ? -1 : axis, -1, err);
}

/* ---- normalisation ---- */

/* The argument, or a vector of N times X where it is None. */
static ax_status or_plain(struct aten *a, uint32_t *v, struct aten_value x,
                          ax_dtype type, int rank, const int64_t *dims,
                          double fill, struct ax_err *err)
{
    if (x.kind == ATEN_TENSOR) {
        *v = x.value;
        return AX_OK;
    }
    return aten_filled(a, v, type, rank, dims, fill, err);
}

/* arg: x, weight, bias, mean, var, training, eps. */
static ax_status batch_norm(struct aten *a, struct aten_value *out,
                            const struct aten_value *arg, struct ax_err *err)
{
    uint32_t in[5] = {arg[0].value};
    ax_dtype type;
    int64_t n;

    if (arg[5].i)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "argument 'training' is true: export the model in "
                       "evaluation mode");
    if (arg[3].kind != ATEN_TENSOR || arg[4].kind != ATEN_TENSOR)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "without 'running_mean' and 'running_var' is not "
                       "supported");
    AX_TRY(aten_type(a, &type, arg[3].value, err));
    AX_TRY(aten_fixed(a, &n, arg[3].value, 0, err));
    AX_TRY(or_plain(a, &in[1], arg[1], type, 1, &n, 1, err));
    AX_TRY(or_plain(a, &in[2], arg[2], type, 1, &n, 0, err));
    in[3] = arg[3].value;
    in[4] = arg[4].value;
    out->kind = ATEN_TENSOR;
    AX_TRY(aten_emit_n(a, &out->value, AX_OP_BatchNormalization, in, 5, err));
    return aten_attr_real(a, "epsilon", aten_real(arg[6]), 1e-5, err);
}

static ax_status plain_batch_norm(struct aten *a, struct aten_value *out,
                                  const struct aten_value *arg, int number,
                                  struct ax_err *err)
{
    const struct aten_value v[] = {arg[0], arg[1], arg[2], arg[3],
                                   arg[4], arg[5], arg[7]};

    (void)number;
    return batch_norm(a, out, v, err);
}

/* Of the tuple that the native forms give, only the first is of use. */
static ax_status first_of(struct aten *a, struct aten_value *out, uint32_t n,
                          struct ax_err *err)
{
    struct aten_value first = *out;

    AX_TRY(aten_list(a, out, ATEN_TUPLE, n, err));
    out->v[0] = first;
    return AX_OK;
}

static ax_status native_batch_norm(struct aten *a, struct aten_value *out,
                                   const struct aten_value *arg, int number,
                                   struct ax_err *err)
{
    const struct aten_value v[] = {arg[0], arg[1], arg[2], arg[3],
                                   arg[4], {0},    arg[6]};

    AX_TRY(batch_norm(a, out, v, err));
    return first_of(a, out, (uint32_t)number, err);
}

/* arg: x, shape, weight, bias, eps. number: outputs, 0 for no tuple. */
static ax_status layer_norm(struct aten *a, struct aten_value *out,
                            const struct aten_value *arg, int number,
                            struct ax_err *err)
{
    int64_t shape[AX_RANK_MAX];
    uint32_t in[3] = {arg[0].value, AX_NONE, AX_NONE};
    ax_dtype type;
    size_t n;

    AX_TRY(aten_get_list(shape, &n, AX_RANK_MAX, arg[1], "normalized_shape",
                         err));
    if (!n)
        return ax_fail(err, AX_EFORMAT, "'normalized_shape' is empty");
    AX_TRY(aten_type(a, &type, in[0], err));
    AX_TRY(or_plain(a, &in[1], arg[2], type, (int)n, shape, 1, err));
    if (arg[3].kind == ATEN_TENSOR)
        in[2] = arg[3].value;
    out->kind = ATEN_TENSOR;
    AX_TRY(aten_emit_n(a, &out->value, AX_OP_LayerNormalization, in, 3, err));
    AX_TRY(aten_attr(a, "axis", -(int64_t)n, -1, err));
    AX_TRY(aten_attr_real(a, "epsilon", aten_real(arg[4]), 1e-5, err));
    return number ? first_of(a, out, (uint32_t)number, err) : AX_OK;
}

static ax_status rms_norm(struct aten *a, struct aten_value *out,
                          const struct aten_value *arg, int number,
                          struct ax_err *err)
{
    int64_t shape[AX_RANK_MAX];
    uint32_t w;
    ax_dtype type;
    size_t n;
    double eps = 1.1920928955078125e-07;

    AX_TRY(aten_get_list(shape, &n, AX_RANK_MAX, arg[1], "normalized_shape",
                         err));
    AX_TRY(aten_type(a, &type, arg[0].value, err));
    if (arg[3].kind != ATEN_NONE)
        eps = aten_real(arg[3]);
    else if (type != AX_F32)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "without 'eps', of type %s, is not supported",
                       ax_dtype_name(type));
    AX_TRY(or_plain(a, &w, arg[2], type, (int)n, shape, 1, err));
    out->kind = ATEN_TENSOR;
    AX_TRY(aten_emit(a, &out->value, (ax_op)number, arg[0].value, w, AX_NONE,
                     err));
    AX_TRY(aten_attr(a, "axis", -(int64_t)n, -1, err));
    return aten_attr_real(a, "epsilon", eps, 1e-5, err);
}

/* A vector as [n, 1, ...], so that it is one number for each channel. */
static ax_status for_channels(struct aten *a, uint32_t *v, int rank,
                              struct ax_err *err)
{
    struct aten_value shape[AX_RANK_MAX];

    AX_TRY(aten_dim(a, &shape[0], *v, 0, err));
    for (int i = 1; i < rank - 1; i++)
        shape[i] = aten_int(1);
    return aten_reshape(a, v, *v, shape, (uint32_t)rank - 1, err);
}

/* arg: x, groups, weight, bias, eps: each group is one instance. */
static ax_status group_norm(struct aten *a, struct aten_value *out,
                            const struct aten_value *arg, int number,
                            struct ax_err *err)
{
    struct aten_value shape[AX_RANK_MAX], split[3];
    uint32_t in[3] = {arg[0].value}, v;
    ax_dtype type;
    int64_t n = arg[1].i;
    int rank;

    (void)number;
    AX_TRY(aten_rank(a, &rank, in[0], err));
    AX_TRY(aten_type(a, &type, in[0], err));
    if (rank < 2 || n < 1 || n > 1 << 20)
        return ax_fail(err, AX_ESHAPE, "%d dimensions have no channels",
                       rank);
    for (int i = 0; i < rank; i++)
        AX_TRY(aten_dim(a, &shape[i], in[0], i, err));
    split[0] = shape[0];
    split[1] = aten_int(n);
    split[2] = aten_int(-1);
    AX_TRY(aten_reshape(a, &in[0], in[0], split, 3, err));
    AX_TRY(aten_filled(a, &in[1], type, 1, &n, 1, err));
    AX_TRY(aten_filled(a, &in[2], type, 1, &n, 0, err));
    AX_TRY(aten_emit_n(a, &v, AX_OP_InstanceNormalization, in, 3, err));
    AX_TRY(aten_attr_real(a, "epsilon", aten_real(arg[4]), 1e-5, err));
    AX_TRY(aten_reshape(a, &v, v, shape, (uint32_t)rank, err));
    for (int i = 2; i < 4; i++)
        if (arg[i].kind == ATEN_TENSOR) {
            uint32_t w = arg[i].value;

            AX_TRY(for_channels(a, &w, rank, err));
            AX_TRY(aten_emit(a, &v, i == 2 ? AX_OP_Mul : AX_OP_Add, v, w,
                             AX_NONE, err));
        }
    *out = aten_tensor(v);
    return AX_OK;
}

/* arg: x, weight, bias, N, C, HxW, group, eps. */
static ax_status native_group_norm(struct aten *a, struct aten_value *out,
                                   const struct aten_value *arg, int number,
                                   struct ax_err *err)
{
    const struct aten_value v[] = {arg[0], arg[6], arg[1], arg[2], arg[7]};

    AX_TRY(group_norm(a, out, v, 0, err));
    return first_of(a, out, (uint32_t)number, err);
}

/* arg: x, weight, bias, mean, var, use_input_stats, momentum, eps. */
static ax_status instance_norm(struct aten *a, struct aten_value *out,
                               const struct aten_value *arg, int number,
                               struct ax_err *err)
{
    const struct aten_value v[] = {arg[0], arg[1], arg[2], arg[3],
                                   arg[4], {0},    arg[7]};
    uint32_t in[3] = {arg[0].value};
    ax_dtype type;
    int64_t n;
    int rank;

    if (!arg[5].i)
        return batch_norm(a, out, v, err);
    AX_TRY(aten_rank(a, &rank, in[0], err));
    if (rank < 3)
        return ax_fail(err, AX_ESHAPE, "wants 3 or more dimensions, has %d",
                       rank);
    AX_TRY(aten_type(a, &type, in[0], err));
    AX_TRY(aten_fixed(a, &n, in[0], 1, err));
    AX_TRY(or_plain(a, &in[1], arg[1], type, 1, &n, 1, err));
    AX_TRY(or_plain(a, &in[2], arg[2], type, 1, &n, 0, err));
    out->kind = ATEN_TENSOR;
    AX_TRY(aten_emit_n(a, &out->value, (ax_op)number, in, 3, err));
    return aten_attr_real(a, "epsilon", aten_real(arg[7]), 1e-5, err);
}

static ax_status mean_of(struct aten *a, uint32_t *out, uint32_t x,
                         uint32_t axes, struct ax_err *err)
{
    return aten_emit(a, out, AX_OP_ReduceMean, x, axes, AX_NONE, err);
}

/* By the statistics of the input itself, as instance_norm is decomposed.
 * arg: x, weight, bias, training, momentum, eps. */
static ax_status own_batch_norm(struct aten *a, struct aten_value *out,
                                const struct aten_value *arg, int number,
                                struct ax_err *err)
{
    int64_t list[AX_RANK_MAX] = {0};
    uint32_t axes, d, v, eps;
    ax_dtype type;
    int rank;

    AX_TRY(aten_rank(a, &rank, arg[0].value, err));
    AX_TRY(aten_type(a, &type, arg[0].value, err));
    if (rank < 2 || !arg[3].i)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "without statistics is not supported");
    for (int i = 1; i < rank - 1; i++)
        list[i] = i + 1;
    AX_TRY(aten_ints(a, &axes, list, (size_t)rank - 1, err));
    AX_TRY(mean_of(a, &d, arg[0].value, axes, err));
    AX_TRY(aten_emit(a, &d, AX_OP_Sub, arg[0].value, d, AX_NONE, err));
    AX_TRY(aten_emit(a, &v, AX_OP_Mul, d, d, AX_NONE, err));
    AX_TRY(mean_of(a, &v, v, axes, err));
    AX_TRY(aten_number(a, &eps, type, aten_real(arg[5]), err));
    AX_TRY(aten_emit(a, &v, AX_OP_Add, v, eps, AX_NONE, err));
    AX_TRY(aten_emit(a, &v, AX_OP_Sqrt, v, AX_NONE, AX_NONE, err));
    AX_TRY(aten_emit(a, &v, AX_OP_Div, d, v, AX_NONE, err));
    for (int i = 1; i < 3; i++)
        if (arg[i].kind == ATEN_TENSOR) {
            uint32_t w = arg[i].value;

            AX_TRY(for_channels(a, &w, rank, err));
            AX_TRY(aten_emit(a, &v, i == 1 ? AX_OP_Mul : AX_OP_Add, v, w,
                             AX_NONE, err));
        }
    *out = aten_tensor(v);
    return first_of(a, out, (uint32_t)number, err);
}

/* ---- attention ---- */

/* Minus infinity where a query may not look at a key. */
static ax_status causal(struct aten *a, uint32_t *out, uint32_t q, uint32_t k,
                        ax_dtype type, int rank, struct ax_err *err)
{
    struct ax_tensor t;
    int64_t dims[2];

    AX_TRY(aten_fixed(a, &dims[0], q, rank - 2, err));
    AX_TRY(aten_fixed(a, &dims[1], k, rank - 2, err));
    if (dims[0] > 4096 || dims[1] > 4096)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "causal attention over more than 4096 places is not "
                       "supported");
    AX_TRY(ax_tensor_new(&t, AX_F32, 2, dims, err));
    for (int64_t i = 0; i < dims[0]; i++)
        for (int64_t j = i + 1; j < dims[1]; j++)
            ((float *)t.data)[i * dims[1] + j] = -INFINITY;
    AX_TRY(aten_constant(a, out, &t, err));
    return aten_cast(a, out, type, err);
}

/* What is added to the scores: the mask, or what stands for a mask of truth
 * values. */
static ax_status mask_of(struct aten *a, uint32_t *out, uint32_t mask,
                         ax_dtype type, struct ax_err *err)
{
    uint32_t zero, never;
    ax_dtype is;

    AX_TRY(aten_type(a, &is, mask, err));
    *out = mask;
    if (is != AX_BOOL)
        return AX_OK;
    AX_TRY(aten_number(a, &zero, type, 0, err));
    AX_TRY(aten_number(a, &never, type, -INFINITY, err));
    return aten_emit(a, out, AX_OP_Where, mask, zero, never, err);
}

/* arg: q, k, v, mask, dropout, causal, scale. */
static ax_status attention(struct aten *a, struct aten_value *out,
                           const struct aten_value *arg, struct ax_err *err)
{
    uint32_t q = arg[0].value, k = arg[1].value, s, mask = AX_NONE;
    ax_dtype type;
    int64_t size;
    int rank, of;

    if (aten_real(arg[4]) != 0)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "argument 'dropout_p' other than 0 is not supported");
    AX_TRY(aten_rank(a, &rank, q, err));
    AX_TRY(aten_rank(a, &of, k, err));
    if (rank < 2 || of != rank)
        return ax_fail(err, AX_ESHAPE, "query and key differ in rank");
    AX_TRY(aten_type(a, &type, q, err));
    AX_TRY(aten_fixed(a, &size, q, rank - 1, err));
    if (arg[5].i)
        AX_TRY(causal(a, &mask, q, k, type, rank, err));
    else if (arg[3].kind == ATEN_TENSOR)
        AX_TRY(mask_of(a, &mask, arg[3].value, type, err));
    AX_TRY(aten_transpose(a, &k, k, -1, -2, err));
    AX_TRY(aten_emit(a, &s, AX_OP_MatMul, q, k, AX_NONE, err));
    AX_TRY(times(a, &s,
                 arg[6].kind == ATEN_NONE ? 1 / sqrt((double)size)
                                          : aten_real(arg[6]),
                 err));
    if (mask != AX_NONE)
        AX_TRY(aten_emit(a, &s, AX_OP_Add, s, mask, AX_NONE, err));
    AX_TRY(aten_emit(a, &s, AX_OP_Softmax, s, AX_NONE, AX_NONE, err));
    out->kind = ATEN_TENSOR;
    return aten_emit(a, &out->value, AX_OP_MatMul, s, arg[2].value, AX_NONE,
                     err);
}

static ax_status plain_attention(struct aten *a, struct aten_value *out,
                                 const struct aten_value *arg, int number,
                                 struct ax_err *err)
{
    (void)number;
    if (arg[7].i)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "argument 'enable_gqa' is not supported");
    return attention(a, out, arg, err);
}

/* arg: q, k, v, dropout, causal, mask, scale. */
static ax_status flash_attention(struct aten *a, struct aten_value *out,
                                 const struct aten_value *arg, int number,
                                 struct ax_err *err)
{
    const struct aten_value v[] = {arg[0], arg[1], arg[2], arg[5],
                                   arg[3], arg[4], arg[6]};

    AX_TRY(attention(a, out, v, err));
    return first_of(a, out, (uint32_t)number, err);
}

/* ---- the rest ---- */

static ax_status embedding(struct aten *a, struct aten_value *out,
                           const struct aten_value *arg, int number,
                           struct ax_err *err)
{
    out->kind = ATEN_TENSOR;
    return aten_emit(a, &out->value, (ax_op)number, arg[0].value,
                     arg[1].value, AX_NONE, err);
}

/* Nothing in evaluation. number: outputs, 0 for no tuple. */
static ax_status dropout(struct aten *a, struct aten_value *out,
                         const struct aten_value *arg, int number,
                         struct ax_err *err)
{
    if (arg[2].i && aten_real(arg[1]) != 0)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "argument 'train' is true: export the model in "
                       "evaluation mode");
    *out = arg[0];
    return number ? first_of(a, out, (uint32_t)number, err) : AX_OK;
}

#define NORM "input:T weight:O bias:O running_mean:O running_var:O "

const struct aten_op aten_layers[] = {
    {"linear", NULL, "input:T weight:T bias:O=None", linear, 0},
    {"matmul", NULL, "self:T other:T", product, 0},
    {"mm", "default", "self:T mat2:T", product, 2},
    {"bmm", "default", "self:T mat2:T", product, 3},
    {"addmm", "default", "self:T mat1:T mat2:T beta:s=1 alpha:s=1", addmm,
     AX_OP_Gemm},
    {"baddbmm", "default", "self:T batch1:T batch2:T beta:s=1 alpha:s=1",
     baddbmm, AX_OP_MatMul},
    {"softmax", "int", "self:T dim:i dtype:d=None", softmax, AX_OP_Softmax},
    {"_softmax", NULL, "self:T dim:i half_to_float:b", softmax,
     AX_OP_Softmax},
    {"log_softmax", "int", "self:T dim:i dtype:d=None", softmax,
     AX_OP_LogSoftmax},
    {"_log_softmax", NULL, "self:T dim:i half_to_float:b", softmax,
     AX_OP_LogSoftmax},
    {"batch_norm", NULL,
     NORM "training:b momentum:s eps:s cudnn_enabled:*=None",
     plain_batch_norm, 0},
    {"_native_batch_norm_legit_no_training", NULL, NORM "momentum:s eps:s",
     native_batch_norm, 3},
    {"_native_batch_norm_legit", "no_stats",
     "input:T weight:O bias:O training:b momentum:s eps:s", own_batch_norm,
     3},
    {"layer_norm", NULL,
     "input:T normalized_shape:I weight:O=None bias:O=None eps:s=1e-5 "
     "cudnn_enable:*=None",
     layer_norm, 0},
    {"native_layer_norm", NULL,
     "input:T normalized_shape:I weight:O bias:O eps:s", layer_norm, 3},
    {"rms_norm", NULL, "input:T normalized_shape:I weight:O=None eps:S=None",
     rms_norm, AX_OP_RMSNormalization},
    {"group_norm", NULL,
     "input:T num_groups:i weight:O=None bias:O=None eps:s=1e-5 "
     "cudnn_enabled:*=None",
     group_norm, 0},
    {"native_group_norm", NULL,
     "input:T weight:O bias:O N:n C:n HxW:n group:i eps:s", native_group_norm,
     3},
    {"instance_norm", NULL,
     NORM "use_input_stats:b momentum:s eps:s cudnn_enabled:*=None",
     instance_norm, AX_OP_InstanceNormalization},
    {"scaled_dot_product_attention", NULL,
     "query:T key:T value:T attn_mask:O=None dropout_p:s=0.0 "
     "is_causal:b=False scale:S=None enable_gqa:b=False",
     plain_attention, 0},
    {"_scaled_dot_product_flash_attention_for_cpu", NULL,
     "query:T key:T value:T dropout_p:s=0.0 is_causal:b=False "
     "attn_mask:O=None scale:S=None",
     flash_attention, 2},
    {"embedding", NULL,
     "weight:T indices:T padding_idx:*=-1 scale_grad_by_freq:*=False "
     "sparse:*=False",
     embedding, AX_OP_Gather},
    {"dropout", NULL, "input:T p:s train:b", dropout, 0},
    {"feature_dropout", NULL, "input:T p:s train:b", dropout, 0},
    {"alpha_dropout", NULL, "input:T p:s train:b", dropout, 0},
    {"feature_alpha_dropout", NULL, "input:T p:s train:b", dropout, 0},
    {"native_dropout", NULL, "input:T p:s train:b", dropout, 2},
    {0},
};
