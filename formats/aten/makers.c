/* Operators that make tensors out of nothing, or hand on what they get. */
#include <math.h>
#include <string.h>

#include "ax/element.h"
#include "formats/aten/aten.h"

enum { RANGE_MAX = 65536 };

/* The type that an argument names; OTHERWISE where it is None. */
static ax_status named_type(ax_dtype *out, struct aten_value x,
                            ax_dtype otherwise, struct ax_err *err)
{
    *out = x.kind == ATEN_INT ? aten_dtype(x.i) : otherwise;
    return *out ? AX_OK
                : ax_fail(err, AX_EUNSUPPORTED,
                          "argument 'dtype' is not supported");
}

static ax_status same(struct aten *a, struct aten_value *out,
                      const struct aten_value *arg, int number,
                      struct ax_err *err)
{
    (void)a;
    (void)number;
    (void)err;
    *out = arg[0];
    return AX_OK;
}

/* arg: x, dtype. */
static ax_status to_type(struct aten *a, struct aten_value *out,
                         const struct aten_value *arg, int number,
                         struct ax_err *err)
{
    ax_dtype type;

    (void)number;
    AX_TRY(aten_type(a, &type, arg[0].value, err));
    AX_TRY(named_type(&type, arg[1], type, err));
    *out = arg[0];
    return aten_cast(a, &out->value, type, err);
}

static ax_status to_device(struct aten *a, struct aten_value *out,
                           const struct aten_value *arg, int number,
                           struct ax_err *err)
{
    const struct aten_value v[] = {arg[0], arg[2]};

    return to_type(a, out, v, number, err);
}

static ax_status type_as(struct aten *a, struct aten_value *out,
                         const struct aten_value *arg, int number,
                         struct ax_err *err)
{
    ax_dtype type;

    (void)number;
    AX_TRY(aten_type(a, &type, arg[1].value, err));
    *out = arg[0];
    return aten_cast(a, &out->value, type, err);
}

/* number: the type. */
static ax_status to_number(struct aten *a, struct aten_value *out,
                           const struct aten_value *arg, int number,
                           struct ax_err *err)
{
    *out = arg[0];
    return aten_cast(a, &out->value, (ax_dtype)number, err);
}

/* ---- filled ---- */

static ax_status fill(struct aten *a, struct aten_value *out,
                      const struct aten_value *dims, uint32_t n,
                      ax_dtype type, double x, struct ax_err *err)
{
    int64_t fixed[AX_RANK_MAX];
    uint32_t one, shape;
    bool all = true;

    if (n > AX_RANK_MAX)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "more than %d dimensions are not supported",
                       AX_RANK_MAX);
    for (uint32_t i = 0; i < n; i++) {
        all &= dims[i].power == 0;
        fixed[i] = dims[i].i;
    }
    out->kind = ATEN_TENSOR;
    if (all)
        return aten_filled(a, &out->value, type, (int)n, fixed, x, err);
    AX_TRY(aten_number(a, &one, type, x, err));
    AX_TRY(aten_sizes(a, &shape, dims, n, err));
    return aten_emit(a, &out->value, AX_OP_Expand, one, shape, AX_NONE, err);
}

/* The type of a number without a dtype. */
static ax_dtype natural(struct aten_value x)
{
    return x.kind == ATEN_FLOAT ? AX_F32
           : x.kind == ATEN_INT ? AX_I64
                                : AX_BOOL;
}

/* arg: size, dtype. */
static ax_status filled(struct aten *a, struct aten_value *out,
                        const struct aten_value *arg, int number,
                        struct ax_err *err)
{
    ax_dtype type;

    AX_TRY(named_type(&type, arg[1], AX_F32, err));
    return fill(a, out, arg[0].kind == ATEN_INT ? &arg[0] : arg[0].v,
                arg[0].kind == ATEN_INT ? 1 : arg[0].n, type, number, err);
}

/* arg: size, value, dtype. */
static ax_status full(struct aten *a, struct aten_value *out,
                      const struct aten_value *arg, int number,
                      struct ax_err *err)
{
    ax_dtype type;

    (void)number;
    AX_TRY(named_type(&type, arg[2], natural(arg[1]), err));
    return fill(a, out, arg[0].kind == ATEN_INT ? &arg[0] : arg[0].v,
                arg[0].kind == ATEN_INT ? 1 : arg[0].n, type,
                aten_real(arg[1]), err);
}

static ax_status fill_like(struct aten *a, struct aten_value *out,
                           struct aten_value like, struct aten_value dtype,
                           double x, struct ax_err *err)
{
    struct aten_value dims[AX_RANK_MAX];
    ax_dtype type;
    int rank;

    AX_TRY(aten_rank(a, &rank, like.value, err));
    AX_TRY(aten_type(a, &type, like.value, err));
    AX_TRY(named_type(&type, dtype, type, err));
    for (int i = 0; i < rank; i++)
        AX_TRY(aten_dim(a, &dims[i], like.value, i, err));
    return fill(a, out, dims, (uint32_t)rank, type, x, err);
}

/* arg: x, dtype. */
static ax_status filled_like(struct aten *a, struct aten_value *out,
                             const struct aten_value *arg, int number,
                             struct ax_err *err)
{
    return fill_like(a, out, arg[0], arg[1], number, err);
}

/* arg: x, value, dtype. */
static ax_status full_like(struct aten *a, struct aten_value *out,
                           const struct aten_value *arg, int number,
                           struct ax_err *err)
{
    (void)number;
    return fill_like(a, out, arg[0], arg[2], aten_real(arg[1]), err);
}

/* arg: x, size, dtype; the type is that of x. */
static ax_status new_filled(struct aten *a, struct aten_value *out,
                            const struct aten_value *arg, int number,
                            struct ax_err *err)
{
    ax_dtype type;

    AX_TRY(aten_type(a, &type, arg[0].value, err));
    AX_TRY(named_type(&type, arg[2], type, err));
    return fill(a, out, arg[1].kind == ATEN_INT ? &arg[1] : arg[1].v,
                arg[1].kind == ATEN_INT ? 1 : arg[1].n, type, number, err);
}

/* arg: x, size, value, dtype. */
static ax_status new_full(struct aten *a, struct aten_value *out,
                          const struct aten_value *arg, int number,
                          struct ax_err *err)
{
    ax_dtype type;

    (void)number;
    AX_TRY(aten_type(a, &type, arg[0].value, err));
    AX_TRY(named_type(&type, arg[3], type, err));
    return fill(a, out, arg[1].kind == ATEN_INT ? &arg[1] : arg[1].v,
                arg[1].kind == ATEN_INT ? 1 : arg[1].n, type,
                aten_real(arg[2]), err);
}

/* arg: value, dtype. */
static ax_status scalar(struct aten *a, struct aten_value *out,
                        const struct aten_value *arg, int number,
                        struct ax_err *err)
{
    ax_dtype type;

    AX_TRY(named_type(&type, arg[1], number ? natural(arg[0]) : AX_F32, err));
    out->kind = ATEN_TENSOR;
    return aten_number(a, &out->value, type, aten_real(arg[0]), err);
}

/* A list of numbers as a vector. arg: list, dtype. */
static ax_status vector(struct aten *a, struct aten_value *out,
                        const struct aten_value *arg, int number,
                        struct ax_err *err)
{
    const int64_t dims[] = {arg[0].n};
    ax_dtype type = arg[0].n ? AX_BOOL : AX_F32;
    struct ax_tensor t;

    (void)number;
    if (arg[0].kind == ATEN_NONE)
        return ax_fail(err, AX_EFORMAT, "of None");
    for (uint32_t i = 0; i < arg[0].n; i++) {
        ax_dtype this = natural(arg[0].v[i]);

        if (this == AX_F32 || type == AX_BOOL)
            type = this;
    }
    AX_TRY(named_type(&type, arg[1], type, err));
    AX_TRY(ax_tensor_new(&t, type, 1, dims, err));
    for (uint32_t i = 0; i < arg[0].n; i++) {
        double x = aten_real(arg[0].v[i]);

        if (arg[0].v[i].kind == ATEN_FLOAT)
            ax_put_f64(type, t.data, i, &x, 1);
        else
            ax_put_i64(type, t.data, i, &arg[0].v[i].i, 1);
    }
    out->kind = ATEN_TENSOR;
    return aten_constant(a, &out->value, &t, err);
}

/* ---- ranges ---- */

static ax_status range(struct aten *a, struct aten_value *out,
                       struct aten_value from, struct aten_value to,
                       struct aten_value step, struct aten_value dtype,
                       struct ax_err *err)
{
    bool real = from.kind == ATEN_FLOAT || to.kind == ATEN_FLOAT ||
                step.kind == ATEN_FLOAT;
    double first = aten_real(from), by = aten_real(step), n;
    struct ax_tensor t;
    int64_t dims[1];
    ax_dtype type;

    AX_TRY(named_type(&type, dtype, real ? AX_F32 : AX_I64, err));
    n = by != 0 ? ceil((aten_real(to) - first) / by) : -1;
    if (!(n >= 0 && n <= RANGE_MAX))
        return ax_fail(err, AX_EUNSUPPORTED,
                       "of more than %d numbers is not supported", RANGE_MAX);
    dims[0] = (int64_t)n;
    AX_TRY(ax_tensor_new(&t, type, 1, dims, err));
    for (int64_t i = 0; i < dims[0]; i++) {
        double x = first + (double)i * by;

        ax_put_f64(type, t.data, (size_t)i, &x, 1);
    }
    out->kind = ATEN_TENSOR;
    return aten_constant(a, &out->value, &t, err);
}

/* arg: end, dtype; number: start, end, dtype; or with a step. */
static ax_status arange(struct aten *a, struct aten_value *out,
                        const struct aten_value *arg, int number,
                        struct ax_err *err)
{
    const struct aten_value one = aten_int(1);

    if (number == 0)
        return range(a, out, aten_int(0), arg[0], one, arg[1], err);
    if (number == 1)
        return range(a, out, arg[0], arg[1], one, arg[2], err);
    return range(a, out, arg[0], arg[1], arg[2], arg[3], err);
}

#define REST      "layout:*=None device:*=None pin_memory:*=None"
#define REST_LIKE REST " memory_format:*=None"
#define COPY      "non_blocking:*=False copy:*=False memory_format:*=None"

const struct aten_op aten_makers[] = {
    {"alias", NULL, "self:T", same, 0},
    {"detach", NULL, "self:T", same, 0},
    {"requires_grad", NULL, "self:T requires_grad:*=True", same, 0},
    {"clone", NULL, "self:T memory_format:*=None", same, 0},
    {"contiguous", NULL, "self:T memory_format:*=None", same, 0},
    {"lift_fresh", NULL, "self:T", same, 0},
    {"lift_fresh_copy", NULL, "self:T", same, 0},
    {"cpu", NULL, "self:T", same, 0},
    {"float", NULL, "self:T", to_number, AX_F32},
    {"long", NULL, "self:T", to_number, AX_I64},
    {"to", "dtype prim_dtype", "self:T dtype:i " COPY, to_type, 0},
    {"to", "other", "self:T other:T " COPY, type_as, 0},
    {"to", "device prim_Device", "self:T device:* dtype:d=None " COPY,
     to_device, 0},
    {"to", "dtype_layout", "self:T dtype:d=None " REST " " COPY, to_type, 0},
    {"_to_copy", NULL,
     "self:T dtype:d=None " REST " non_blocking:*=False "
     "memory_format:*=None",
     to_type, 0},
    {"type_as", NULL, "self:T other:T", type_as, 0},
    {"zeros", "default", "size:Z | dtype:d=None " REST, filled, 0},
    {"ones", "default", "size:Z | dtype:d=None " REST, filled, 1},
    {"full", "default", "size:Z fill_value:s | dtype:d=None " REST, full, 0},
    {"zeros_like", NULL, "self:T dtype:d=None " REST_LIKE, filled_like, 0},
    {"ones_like", NULL, "self:T dtype:d=None " REST_LIKE, filled_like, 1},
    {"full_like", NULL, "self:T fill_value:s | dtype:d=None " REST_LIKE,
     full_like, 0},
    {"new_zeros", NULL, "self:T size:Z | dtype:d=None " REST, new_filled, 0},
    {"new_ones", NULL, "self:T size:Z | dtype:d=None " REST, new_filled, 1},
    {"new_full", NULL, "self:T size:Z fill_value:s | dtype:d=None " REST,
     new_full, 0},
    {"scalar_tensor", NULL, "s:s | dtype:d=None " REST, scalar, 0},
    {"tensor", NULL,
     "data:s | dtype:d=None device:*=None requires_grad:*=False", scalar, 1},
    {"tensor", NULL,
     "data:F | dtype:d=None device:*=None requires_grad:*=False", vector, 0},
    {"arange", "default", "end:s | dtype:d=None " REST, arange, 0},
    {"arange", "start", "start:s end:s | dtype:d=None " REST, arange, 1},
    {"arange", "start_step", "start:s end:s step:s=1 | dtype:d=None " REST,
     arange, 2},
    {0},
};
