/* The reference backend: its tables, and what its kernels share. */
#include "ref.h"

#include <string.h>

static const struct ax_kernel *const groups[] = {
    ref_unary,  ref_binary,  ref_matmul,    ref_conv,    ref_pool,
    ref_norm,   ref_reduce,  ref_shape,     ref_move,    ref_index,
    ref_quant,  ref_rnn,     ref_ml,        ref_control, ref_tree,
    ref_resize, ref_loss,    ref_attention, ref_sample,  ref_signal,
    ref_patch,  ref_select,  ref_einsum,    ref_random,  ref_train,
    ref_flex,   ref_strings, ref_int8,      NULL,
};

extern const struct ax_backend ax_backend_ref;
const struct ax_backend ax_backend_ref = {
    .abi = AX_BACKEND_ABI,
    .name = "ref",
    .summary = "plain, deterministic, one thread: what the others are "
               "compared with",
    .groups = groups,
};

ax_status ref_want(const struct ax_call *c, uint32_t i, uint32_t mask,
                   struct ax_err *err)
{
    if (!ax_call_has(c, i))
        return ax_fail(err, AX_EFORMAT, "input %u is missing", i);
    if (!(mask & BIT(c->in[i]->dtype)))
        return ax_fail(err, AX_EUNSUPPORTED, "input %u of type %s", i,
                       ax_dtype_name(c->in[i]->dtype));
    return AX_OK;
}

ax_status ref_want_rank(const struct ax_call *c, uint32_t i, int min, int max,
                        struct ax_err *err)
{
    if (!ax_call_has(c, i))
        return ax_fail(err, AX_EFORMAT, "input %u is missing", i);
    if (c->in[i]->rank < min || c->in[i]->rank > max)
        return ax_fail(err, AX_ESHAPE,
                       "input %u wants %d to %d dimensions, has %d", i, min,
                       max, c->in[i]->rank);
    return AX_OK;
}

ax_status ref_same_dtype(const struct ax_call *c, uint32_t i, uint32_t j,
                         struct ax_err *err)
{
    if (c->in[i]->dtype != c->in[j]->dtype)
        return ax_fail(
            err, AX_EFORMAT, "inputs %u and %u are of types %s and %s", i, j,
            ax_dtype_name(c->in[i]->dtype), ax_dtype_name(c->in[j]->dtype));
    return AX_OK;
}

ax_status ref_axis(int *out, int64_t axis, int rank, struct ax_err *err)
{
    if (axis < -rank || axis >= rank)
        return ax_fail(err, AX_ESHAPE, "axis %lld of %d dimensions",
                       (long long)axis, rank);
    *out = (int)(axis < 0 ? axis + rank : axis);
    return AX_OK;
}

ax_status ref_ints(int64_t *out, int *n, int max, const struct ax_call *c,
                   uint32_t i, struct ax_err *err)
{
    size_t count;

    *n = 0;
    if (!ax_call_has(c, i))
        return AX_OK;
    AX_TRY(ref_want(c, i, BIT(AX_I64) | BIT(AX_I32), err));
    count = ax_tensor_count(c->in[i]);
    if (count > (size_t)max)
        return ax_fail(err, AX_ESHAPE,
                       "input %u wants at most %d numbers, has %zu", i, max,
                       count);
    ax_get_i64(out, c->in[i]->dtype, c->in[i]->data, 0, count);
    *n = (int)count;
    return AX_OK;
}

ax_status ref_axes(uint32_t *mask, bool *given, const struct ax_call *c,
                   uint32_t i, int rank, struct ax_err *err)
{
    const struct ax_attr *a = ax_node_attr(c->node, "axes");
    int64_t axes[AX_RANK_MAX];
    int n;

    AX_TRY(ref_ints(axes, &n, AX_RANK_MAX, c, i, err));
    if (n == 0 && a && a->kind == AX_ATTR_INTS) {
        if (a->n > AX_RANK_MAX)
            return ax_fail(err, AX_ESHAPE, "%zu axes of %d dimensions", a->n,
                           rank);
        for (n = 0; n < (int)a->n; n++)
            axes[n] = a->ints[n];
    }
    *mask = 0;
    for (int k = 0; k < n; k++) {
        int axis = 0;

        AX_TRY(ref_axis(&axis, axes[k], rank, err));
        if (*mask & 1u << axis)
            return ax_fail(err, AX_EFORMAT, "axis %d is given twice", axis);
        *mask |= 1u << axis;
    }
    *given = n > 0;
    return AX_OK;
}

ax_status ref_scalar(double *out, const struct ax_call *c, uint32_t i,
                     double dflt, struct ax_err *err)
{
    *out = dflt;
    if (!ax_call_has(c, i))
        return AX_OK;
    if (ax_tensor_count(c->in[i]) != 1)
        return ax_fail(err, AX_ESHAPE, "input %u wants one number, has %zu",
                       i, ax_tensor_count(c->in[i]));
    ax_get_f64(out, c->in[i]->dtype, c->in[i]->data, 0, 1);
    return AX_OK;
}

ax_status ref_f32(const float **out, struct ax_call *c, uint32_t i,
                  struct ax_err *err)
{
    const struct ax_tensor *t;
    void *copy;
    size_t n;

    *out = NULL;
    if (!ax_call_has(c, i))
        return AX_OK;
    t = c->in[i];
    *out = t->data;
    if (t->dtype == AX_F32)
        return AX_OK;
    n = ax_tensor_count(t);
    AX_TRY(ax_call_scratch(c, &copy, n * sizeof(float), err));
    ax_cast(AX_F32, copy, t->dtype, t->data, n);
    *out = copy;
    return AX_OK;
}

ax_status ref_f32_out(float **out, struct ax_call *c, uint32_t o,
                      struct ax_err *err)
{
    void *scratch;

    *out = c->out[o]->data;
    if (c->out[o]->dtype == AX_F32)
        return AX_OK;
    AX_TRY(ax_call_scratch(c, &scratch,
                           ax_tensor_count(c->out[o]) * sizeof(float), err));
    *out = scratch;
    return AX_OK;
}

void ref_f32_done(struct ax_call *c, uint32_t o, const float *from)
{
    struct ax_tensor *t = c->out[o];

    if (t->dtype != AX_F32)
        ax_cast(t->dtype, t->data, AX_F32, from, ax_tensor_count(t));
}

void ref_strides(int64_t *strides, int rank, const int64_t *dims)
{
    int64_t n = 1;

    for (int i = rank - 1; i >= 0; i--) {
        strides[i] = n;
        n *= dims[i];
    }
}

int64_t ref_product(const int64_t *dims, int from, int to)
{
    int64_t n = 1;

    for (int i = from; i < to; i++)
        n *= dims[i];
    return n;
}

void ref_copy(void *dst, const void *src, size_t size, int rank,
              const int64_t *dims, const int64_t *strides)
{
    int64_t at[AX_RANK_MAX] = {0}, inner = rank ? dims[rank - 1] : 1;
    int64_t step = (rank ? strides[rank - 1] : 1) * (int64_t)size;
    const char *from = src;
    char *to = dst;

    for (int i = 0; i < rank; i++)
        if (dims[i] == 0)
            return;
    for (;;) {
        int i = rank - 2;

        if (step == (int64_t)size) {
            memcpy(to, from, (size_t)inner * size);
            to += (size_t)inner * size;
        } else {
            for (int64_t k = 0; k < inner; k++, to += size)
                memcpy(to, from + k * step, size);
        }
        for (; i >= 0 && ++at[i] == dims[i]; i--) {
            at[i] = 0;
            from -= (dims[i] - 1) * strides[i] * (int64_t)size;
        }
        if (i < 0)
            return;
        from += strides[i] * (int64_t)size;
    }
}
