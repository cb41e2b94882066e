/* Operators that move elements: shapes, slices, joins. */
#include <inttypes.h>
#include <string.h>

#include "formats/aten/aten.h"

static ax_status axis_of(struct aten *a, int64_t *out, int *rank, uint32_t x,
                         int64_t axis, struct ax_err *err)
{
    AX_TRY(aten_rank(a, rank, x, err));
    return aten_axis(out, axis, *rank, err);
}

/* Product of sizes; not known where one is not. */
static struct aten_value product(struct aten_value x, struct aten_value y)
{
    struct aten_value out = {.kind = ATEN_INT};

    out.power = (int8_t)(x.power + y.power);
    if (x.power < 0 || y.power < 0 || out.power > AX_RANK_MAX ||
        __builtin_mul_overflow(x.i, y.i, &out.i))
        out.power = -1;
    return out;
}

/* ---- shapes ---- */

static ax_status view(struct aten *a, struct aten_value *out,
                      const struct aten_value *arg, int number,
                      struct ax_err *err)
{
    const struct aten_value *dims = arg[1].kind == ATEN_INT ? &arg[1]
                                                            : arg[1].v;

    (void)number;
    out->kind = ATEN_TENSOR;
    return aten_reshape(a, &out->value, arg[0].value, dims,
                        arg[1].kind == ATEN_INT ? 1 : arg[1].n, err);
}

/* The dimensions of a value, some of them perhaps free. */
static ax_status shape_of(struct aten *a, struct aten_value *dims, int *rank,
                          uint32_t value, struct ax_err *err)
{
    AX_TRY(aten_rank(a, rank, value, err));
    for (int i = 0; i < *rank; i++)
        AX_TRY(aten_dim(a, &dims[i], value, i, err));
    return AX_OK;
}

static ax_status view_as(struct aten *a, struct aten_value *out,
                         const struct aten_value *arg, int number,
                         struct ax_err *err)
{
    struct aten_value dims[AX_RANK_MAX];
    int rank;

    (void)number;
    AX_TRY(shape_of(a, dims, &rank, arg[1].value, err));
    out->kind = ATEN_TENSOR;
    return aten_reshape(a, &out->value, arg[0].value, dims, (uint32_t)rank,
                        err);
}

static ax_status flatten(struct aten *a, struct aten_value *out,
                         const struct aten_value *arg, int number,
                         struct ax_err *err)
{
    struct aten_value dims[AX_RANK_MAX], all = aten_int(1);
    uint32_t x = arg[0].value, n = 0;
    int64_t from, to;
    int rank;

    (void)number;
    AX_TRY(axis_of(a, &from, &rank, x, arg[1].i, err));
    AX_TRY(aten_axis(&to, arg[2].i, rank, err));
    if (from > to)
        return ax_fail(err, AX_ESHAPE, "'start_dim' is behind 'end_dim'");
    *out = arg[0];
    if (from == to && rank)
        return AX_OK;
    if (from == 1 && to == rank - 1)
        return aten_emit(a, &out->value, AX_OP_Flatten, x, AX_NONE, AX_NONE,
                         err);
    for (int i = 0; i < rank; i++) {
        struct aten_value d;

        AX_TRY(aten_dim(a, &d, x, i, err));
        if (i >= from && i <= to)
            all = product(all, d);
        if (i < from || i > to)
            dims[n++] = d;
        else if (i == to)
            dims[n++] = all;
    }
    if (!rank)
        dims[n++] = all;
    return aten_reshape(a, &out->value, x, dims, n, err);
}

static ax_status unflatten(struct aten *a, struct aten_value *out,
                           const struct aten_value *arg, int number,
                           struct ax_err *err)
{
    struct aten_value dims[2 * AX_RANK_MAX];
    uint32_t n = 0;
    int64_t axis;
    int rank;

    (void)number;
    AX_TRY(axis_of(a, &axis, &rank, arg[0].value, arg[1].i, err));
    if (arg[2].kind == ATEN_INT || arg[2].n > AX_RANK_MAX)
        return ax_fail(err, AX_EUNSUPPORTED, "'sizes' is not supported");
    for (int i = 0; i < rank; i++) {
        if (i != axis)
            AX_TRY(aten_dim(a, &dims[n++], arg[0].value, i, err));
        for (uint32_t k = 0; i == axis && k < arg[2].n; k++)
            dims[n++] = arg[2].v[k];
    }
    out->kind = ATEN_TENSOR;
    return aten_reshape(a, &out->value, arg[0].value, dims, n, err);
}

static ax_status unsqueeze_at(struct aten *a, uint32_t *out, uint32_t x,
                              int64_t at, struct ax_err *err)
{
    uint32_t axes;
    int64_t axis;
    int rank;

    AX_TRY(aten_rank(a, &rank, x, err));
    AX_TRY(aten_axis(&axis, at, rank + 1, err));
    AX_TRY(aten_ints(a, &axes, &axis, 1, err));
    return aten_emit(a, out, AX_OP_Unsqueeze, x, axes, AX_NONE, err);
}

static ax_status unsqueeze(struct aten *a, struct aten_value *out,
                           const struct aten_value *arg, int number,
                           struct ax_err *err)
{
    (void)number;
    out->kind = ATEN_TENSOR;
    return unsqueeze_at(a, &out->value, arg[0].value, arg[1].i, err);
}

/* Those of the axes that have one element; of all, if there is no list. */
static ax_status squeeze(struct aten *a, struct aten_value *out,
                         const struct aten_value *arg, int number,
                         struct ax_err *err)
{
    int64_t list[AX_RANK_MAX], drop[AX_RANK_MAX];
    size_t n, n_drop = 0;
    uint32_t axes;
    int rank;

    AX_TRY(aten_rank(a, &rank, arg[0].value, err));
    AX_TRY(aten_get_list(list, &n, AX_RANK_MAX, arg[1], "dim", err));
    for (size_t i = 0; i < (number ? n : (size_t)rank); i++) {
        struct aten_value d;

        AX_TRY(aten_axis(&list[i], number ? list[i] : (int64_t)i, rank, err));
        if (!rank)
            continue;
        AX_TRY(aten_dim(a, &d, arg[0].value, (int)list[i], err));
        if (d.power < 0)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "whether a dimension is 1 is not known: give the "
                           "shape of the input");
        if (d.power == 0 && d.i == 1)
            drop[n_drop++] = list[i];
    }
    *out = arg[0];
    if (!n_drop)
        return AX_OK;
    AX_TRY(aten_ints(a, &axes, drop, n_drop, err));
    return aten_emit(a, &out->value, AX_OP_Squeeze, arg[0].value, axes,
                     AX_NONE, err);
}

static ax_status permute(struct aten *a, struct aten_value *out,
                         const struct aten_value *arg, int number,
                         struct ax_err *err)
{
    int64_t perm[AX_RANK_MAX];
    size_t n;
    int rank;

    (void)number;
    AX_TRY(aten_rank(a, &rank, arg[0].value, err));
    AX_TRY(aten_get_list(perm, &n, AX_RANK_MAX, arg[1], "dims", err));
    if (n != (size_t)rank)
        return ax_fail(err, AX_ESHAPE, "'dims' has %zu numbers for rank %d",
                       n, rank);
    for (size_t i = 0; i < n; i++)
        AX_TRY(aten_axis(&perm[i], perm[i], rank, err));
    out->kind = ATEN_TENSOR;
    AX_TRY(aten_emit(a, &out->value, AX_OP_Transpose, arg[0].value, AX_NONE,
                     AX_NONE, err));
    return arch_attr_ints(&a->b, "perm", perm, n, err);
}

static ax_status transpose(struct aten *a, struct aten_value *out,
                           const struct aten_value *arg, int number,
                           struct ax_err *err)
{
    (void)number;
    out->kind = ATEN_TENSOR;
    return aten_transpose(a, &out->value, arg[0].value, arg[1].i, arg[2].i,
                          err);
}

/* Of a matrix; what has fewer dimensions stays. */
static ax_status matrix_t(struct aten *a, struct aten_value *out,
                          const struct aten_value *arg, int number,
                          struct ax_err *err)
{
    int rank;

    (void)number;
    AX_TRY(aten_rank(a, &rank, arg[0].value, err));
    *out = arg[0];
    if (rank < 2)
        return AX_OK;
    if (rank > 2)
        return ax_fail(err, AX_ESHAPE, "of %d dimensions", rank);
    return aten_transpose(a, &out->value, arg[0].value, 0, 1, err);
}

static bool same_size(struct aten_value x, struct aten_value y)
{
    return x.power >= 0 && x.power == y.power && x.i == y.i;
}

static ax_status expand_to(struct aten *a, uint32_t *out, uint32_t x,
                           const struct aten_value *size, uint32_t n,
                           struct ax_err *err)
{
    struct aten_value to[AX_RANK_MAX], is;
    bool changes = false;
    uint32_t shape;
    int rank;

    AX_TRY(aten_rank(a, &rank, x, err));
    if (n > AX_RANK_MAX || n < (uint32_t)rank)
        return ax_fail(err, AX_ESHAPE, "to %" PRIu32 " dimensions from %d", n,
                       rank);
    for (uint32_t i = 0; i < n; i++) {
        int d = (int)i - ((int)n - rank);

        to[i] = size[i];
        if (d >= 0) {
            AX_TRY(aten_dim(a, &is, x, d, err));
            if ((size[i].power == 0 && size[i].i == -1) ||
                same_size(is, size[i]))
                to[i] = aten_int(1);
        }
        if (to[i].power == 0 && to[i].i < 1)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "a size of %" PRId64 " is not supported", to[i].i);
        changes |= to[i].power != 0 || to[i].i != 1 || d < 0;
    }
    *out = x;
    if (!changes)
        return AX_OK;
    AX_TRY(aten_sizes(a, &shape, to, n, err));
    return aten_emit(a, out, AX_OP_Expand, x, shape, AX_NONE, err);
}

static ax_status expand(struct aten *a, struct aten_value *out,
                        const struct aten_value *arg, int number,
                        struct ax_err *err)
{
    (void)number;
    out->kind = ATEN_TENSOR;
    return expand_to(a, &out->value, arg[0].value,
                     arg[1].kind == ATEN_INT ? &arg[1] : arg[1].v,
                     arg[1].kind == ATEN_INT ? 1 : arg[1].n, err);
}

static ax_status expand_as(struct aten *a, struct aten_value *out,
                           const struct aten_value *arg, int number,
                           struct ax_err *err)
{
    struct aten_value dims[AX_RANK_MAX];
    int rank;

    (void)number;
    AX_TRY(shape_of(a, dims, &rank, arg[1].value, err));
    out->kind = ATEN_TENSOR;
    return expand_to(a, &out->value, arg[0].value, dims, (uint32_t)rank, err);
}

static ax_status repeat(struct aten *a, struct aten_value *out,
                        const struct aten_value *arg, int number,
                        struct ax_err *err)
{
    struct aten_value dims[AX_RANK_MAX];
    uint32_t x = arg[0].value, n = arg[1].n, times;
    int rank;

    AX_TRY(aten_rank(a, &rank, x, err));
    if (arg[1].kind == ATEN_INT || n > AX_RANK_MAX || n < (uint32_t)rank)
        return ax_fail(err, AX_ESHAPE, "'repeats' does not fit rank %d",
                       rank);
    for (uint32_t i = 0; i < n; i++) {
        int d = (int)i - ((int)n - rank);

        dims[i] = aten_int(1);
        if (d >= 0)
            AX_TRY(aten_dim(a, &dims[i], x, d, err));
    }
    if (n > (uint32_t)rank)
        AX_TRY(aten_reshape(a, &x, x, dims, n, err));
    AX_TRY(aten_sizes(a, &times, arg[1].v, n, err));
    out->kind = ATEN_TENSOR;
    return aten_emit(a, &out->value, (ax_op)number, x, times, AX_NONE, err);
}

/* ---- parts ---- */

static ax_status slice_of(struct aten *a, uint32_t *out, uint32_t x,
                          int64_t axis, int64_t from, int64_t to,
                          int64_t step, struct ax_err *err)
{
    uint32_t in[5] = {x, AX_NONE, AX_NONE, AX_NONE, AX_NONE};

    *out = x;
    if (from == 0 && to == INT64_MAX && step == 1)
        return AX_OK;
    AX_TRY(aten_ints(a, &in[1], &from, 1, err));
    AX_TRY(aten_ints(a, &in[2], &to, 1, err));
    AX_TRY(aten_ints(a, &in[3], &axis, 1, err));
    if (step != 1)
        AX_TRY(aten_ints(a, &in[4], &step, 1, err));
    return aten_emit_n(a, out, AX_OP_Slice, in, 5, err);
}

/* An end of a slice, which may be that of the dimension. */
static ax_status slice_end(int64_t *out, struct aten_value end,
                           struct aten_value size, int64_t otherwise,
                           struct ax_err *err)
{
    *out = otherwise;
    if (end.kind == ATEN_NONE || same_size(end, size))
        return AX_OK;
    *out = end.i;
    return end.power == 0 ? AX_OK
                          : ax_fail(err, AX_EUNSUPPORTED,
                                    "an end that is not fixed is not "
                                    "supported");
}

static ax_status slice(struct aten *a, struct aten_value *out,
                       const struct aten_value *arg, int number,
                       struct ax_err *err)
{
    int64_t axis, from, to;
    struct aten_value size;
    int rank;

    (void)number;
    AX_TRY(axis_of(a, &axis, &rank, arg[0].value, arg[1].i, err));
    AX_TRY(aten_dim(a, &size, arg[0].value, (int)axis, err));
    from = 0;
    if (arg[2].kind != ATEN_NONE) {
        from = arg[2].i;
        if (arg[2].power)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "a start that is not fixed is not supported");
    }
    AX_TRY(slice_end(&to, arg[3], size, INT64_MAX, err));
    if (arg[4].i < 1)
        return ax_fail(err, AX_ESHAPE, "argument 'step' is not positive");
    out->kind = ATEN_TENSOR;
    return slice_of(a, &out->value, arg[0].value, axis, from, to, arg[4].i,
                    err);
}

static ax_status select_one(struct aten *a, uint32_t *out, uint32_t x,
                            int64_t axis, int64_t at, struct ax_err *err)
{
    uint32_t index;

    AX_TRY(aten_number(a, &index, AX_I64, 0, err));
    memcpy(a->b.m->tensors[a->b.g->values[index].tensor].data, &at,
           sizeof at);
    AX_TRY(aten_emit(a, out, AX_OP_Gather, x, index, AX_NONE, err));
    return aten_attr(a, "axis", axis, 0, err);
}

static ax_status select_at(struct aten *a, struct aten_value *out,
                           const struct aten_value *arg, int number,
                           struct ax_err *err)
{
    int64_t axis;
    int rank;

    (void)number;
    AX_TRY(axis_of(a, &axis, &rank, arg[0].value, arg[1].i, err));
    out->kind = ATEN_TENSOR;
    return select_one(a, &out->value, arg[0].value, axis, arg[2].i, err);
}

static ax_status narrow(struct aten *a, struct aten_value *out,
                        const struct aten_value *arg, int number,
                        struct ax_err *err)
{
    int64_t axis, size, from = arg[2].i;
    int rank;

    (void)number;
    AX_TRY(axis_of(a, &axis, &rank, arg[0].value, arg[1].i, err));
    if (from < 0) {
        AX_TRY(aten_fixed(a, &size, arg[0].value, (int)axis, err));
        from += size;
    }
    if (from < 0 || arg[3].i < 0 || arg[3].i > INT32_MAX || from > INT32_MAX)
        return ax_fail(err, AX_ESHAPE, "a part that is not there");
    out->kind = ATEN_TENSOR;
    return slice_of(a, &out->value, arg[0].value, axis, from, from + arg[3].i,
                    1, err);
}

enum { PARTS_MAX = 4096 };

/* Parts of sizes SIZE, the last of what is left; NULL: of the sizes V. */
static ax_status parts(struct aten *a, struct aten_value *out, uint32_t x,
                       int64_t axis, int64_t size, const struct aten_value *v,
                       uint32_t n, struct ax_err *err)
{
    int64_t from = 0, all;

    AX_TRY(aten_fixed(a, &all, x, (int)axis, err));
    if (!v) {
        if (size < 1 || all < 1 || (all - 1) / size + 1 > PARTS_MAX)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "more than %d parts are not supported", PARTS_MAX);
        n = (uint32_t)((all - 1) / size + 1);
    }
    AX_TRY(aten_list(a, out, ATEN_LIST, n, err));
    for (uint32_t i = 0; i < n; i++) {
        int64_t this = v ? v[i].i : size < all - from ? size : all - from;

        if (this < 0 || this > all - from)
            return ax_fail(err, AX_ESHAPE, "the parts do not fit");
        out->v[i].kind = ATEN_TENSOR;
        AX_TRY(slice_of(a, &out->v[i].value, x, axis, from, from + this, 1,
                        err));
        from += this;
    }
    return from == all ? AX_OK
                       : ax_fail(err, AX_ESHAPE, "the parts do not fit");
}

/* number: 0 by size, 1 into so many. */
static ax_status split(struct aten *a, struct aten_value *out,
                       const struct aten_value *arg, int number,
                       struct ax_err *err)
{
    int64_t axis, all, size = arg[1].i;
    int rank;

    AX_TRY(axis_of(a, &axis, &rank, arg[0].value, arg[2].i, err));
    if (number) {
        AX_TRY(aten_fixed(a, &all, arg[0].value, (int)axis, err));
        if (size < 1 || all < 1)
            return ax_fail(err, AX_ESHAPE, "argument 'chunks' is no number");
        size = (all - 1) / size + 1;
    }
    return parts(a, out, arg[0].value, axis, size, NULL, 0, err);
}

static ax_status split_sizes(struct aten *a, struct aten_value *out,
                             const struct aten_value *arg, int number,
                             struct ax_err *err)
{
    int64_t axis;
    int rank;

    (void)number;
    AX_TRY(axis_of(a, &axis, &rank, arg[0].value, arg[2].i, err));
    if (arg[1].kind == ATEN_INT || arg[1].n > PARTS_MAX)
        return ax_fail(err, AX_EUNSUPPORTED, "'split_sizes' is no list");
    return parts(a, out, arg[0].value, axis, 0, arg[1].v, arg[1].n, err);
}

static ax_status unbind(struct aten *a, struct aten_value *out,
                        const struct aten_value *arg, int number,
                        struct ax_err *err)
{
    int64_t axis, n;
    int rank;

    (void)number;
    AX_TRY(axis_of(a, &axis, &rank, arg[0].value, arg[1].i, err));
    AX_TRY(aten_fixed(a, &n, arg[0].value, (int)axis, err));
    if (n > PARTS_MAX)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "more than %d parts are not supported", PARTS_MAX);
    AX_TRY(aten_list(a, out, ATEN_LIST, (uint32_t)n, err));
    for (uint32_t i = 0; i < (uint32_t)n; i++) {
        out->v[i].kind = ATEN_TENSOR;
        AX_TRY(select_one(a, &out->v[i].value, arg[0].value, axis, i, err));
    }
    return AX_OK;
}

static ax_status flip(struct aten *a, struct aten_value *out,
                      const struct aten_value *arg, int number,
                      struct ax_err *err)
{
    int64_t dims[AX_RANK_MAX], axis;
    size_t n;
    int rank;

    (void)number;
    AX_TRY(aten_get_list(dims, &n, AX_RANK_MAX, arg[1], "dims", err));
    *out = arg[0];
    for (size_t i = 0; i < n; i++) {
        AX_TRY(axis_of(a, &axis, &rank, out->value, dims[i], err));
        AX_TRY(slice_of(a, &out->value, out->value, axis, -1, INT64_MIN, -1,
                        err));
    }
    return AX_OK;
}

/* ---- joins ---- */

static ax_status join(struct aten *a, uint32_t *out, const uint32_t *in,
                      uint32_t n, int64_t axis, struct ax_err *err)
{
    AX_TRY(aten_emit_n(a, out, AX_OP_Concat, in, n, err));
    return arch_attr_int(&a->b, "axis", axis, err);
}

/* number: along a new dimension. */
static ax_status cat(struct aten *a, struct aten_value *out,
                     const struct aten_value *arg, int number,
                     struct ax_err *err)
{
    uint32_t n = arg[0].n, *in = ax_arena_alloc(a->arena, n + 1u, sizeof *in);
    ax_dtype type, this;
    int64_t axis;
    int rank;

    if (!in)
        return ax_fail(err, AX_ENOMEM, "no memory for a graph");
    if (!n)
        return ax_fail(err, AX_EFORMAT, "joins nothing");
    AX_TRY(aten_rank(a, &rank, arg[0].v[0].value, err));
    AX_TRY(aten_axis(&axis, arg[1].i, rank + number, err));
    AX_TRY(aten_type(a, &type, arg[0].v[0].value, err));
    for (uint32_t i = 0; i < n; i++) {
        in[i] = arg[0].v[i].value;
        AX_TRY(aten_type(a, &this, in[i], err));
        if (this != type)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "of types %s and %s is not supported",
                           ax_dtype_name(type), ax_dtype_name(this));
        if (number)
            AX_TRY(unsqueeze_at(a, &in[i], in[i], axis, err));
    }
    out->kind = ATEN_TENSOR;
    return join(a, &out->value, in, n, axis, err);
}

static ax_status roll(struct aten *a, struct aten_value *out,
                      const struct aten_value *arg, int number,
                      struct ax_err *err)
{
    int64_t by[AX_RANK_MAX], dims[AX_RANK_MAX], axis, size, at;
    size_t n, m;
    int rank;

    (void)number;
    AX_TRY(aten_get_list(by, &n, AX_RANK_MAX, arg[1], "shifts", err));
    AX_TRY(aten_get_list(dims, &m, AX_RANK_MAX, arg[2], "dims", err));
    if (n != m || !n)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "without 'dims' for each of 'shifts' is not "
                       "supported");
    *out = arg[0];
    for (size_t i = 0; i < n; i++) {
        uint32_t in[2];

        AX_TRY(axis_of(a, &axis, &rank, out->value, dims[i], err));
        AX_TRY(aten_fixed(a, &size, out->value, (int)axis, err));
        at = size ? (size - by[i] % size) % size : 0;
        if (!at)
            continue;
        AX_TRY(slice_of(a, &in[0], out->value, axis, at, INT64_MAX, 1, err));
        AX_TRY(slice_of(a, &in[1], out->value, axis, 0, at, 1, err));
        AX_TRY(join(a, &out->value, in, 2, axis, err));
    }
    return AX_OK;
}

/* ---- by index ---- */

static ax_status gather_at(struct aten *a, struct aten_value *out, uint32_t x,
                           uint32_t index, int64_t axis, ax_op op,
                           struct ax_err *err)
{
    out->kind = ATEN_TENSOR;
    AX_TRY(aten_emit(a, &out->value, op, x, index, AX_NONE, err));
    return aten_attr(a, "axis", axis, 0, err);
}

static ax_status index_select(struct aten *a, struct aten_value *out,
                              const struct aten_value *arg, int number,
                              struct ax_err *err)
{
    int64_t axis;
    int rank;

    AX_TRY(axis_of(a, &axis, &rank, arg[0].value, arg[1].i, err));
    return gather_at(a, out, arg[0].value, arg[2].value, axis, (ax_op)number,
                     err);
}

/* x[:, i]: one index of integers, all of the other dimensions. */
static ax_status index_one(struct aten *a, struct aten_value *out,
                           const struct aten_value *arg, int number,
                           struct ax_err *err)
{
    int64_t axis = -1;
    ax_dtype type;

    for (uint32_t i = 0; i < arg[1].n; i++) {
        if (arg[1].v[i].kind == ATEN_NONE)
            continue;
        if (axis >= 0)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "argument 'indices' with more than one tensor is "
                           "not supported");
        axis = i;
    }
    if (axis < 0)
        return ax_fail(err, AX_EFORMAT, "argument 'indices' is empty");
    AX_TRY(aten_type(a, &type, arg[1].v[axis].value, err));
    if (type != AX_I64 && type != AX_I32)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "an index of type %s is not supported",
                       ax_dtype_name(type));
    return gather_at(a, out, arg[0].value, arg[1].v[axis].value, axis,
                     (ax_op)number, err);
}

static ax_status triangle(struct aten *a, struct aten_value *out,
                          const struct aten_value *arg, int number,
                          struct ax_err *err)
{
    uint32_t k;

    AX_TRY(aten_number(a, &k, AX_I64, (double)arg[1].i, err));
    out->kind = ATEN_TENSOR;
    AX_TRY(aten_emit(a, &out->value, AX_OP_Trilu, arg[0].value, k, AX_NONE,
                     err));
    return aten_attr(a, "upper", number, 1, err);
}

/* number: into space (1), or out of it. */
static ax_status shuffle(struct aten *a, struct aten_value *out,
                         const struct aten_value *arg, int number,
                         struct ax_err *err)
{
    struct aten_value d[4], to[6];
    int64_t r = arg[1].i;
    int rank;
    uint32_t x;

    AX_TRY(aten_rank(a, &rank, arg[0].value, err));
    if (rank != 4 || r < 1 || r > 1 << 12)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "of rank %d by %" PRId64 " is not supported", rank, r);
    out->kind = ATEN_TENSOR;
    if (number) {
        AX_TRY(aten_emit(a, &out->value, AX_OP_DepthToSpace, arg[0].value,
                         AX_NONE, AX_NONE, err));
        AX_TRY(arch_attr_int(&a->b, "blocksize", r, err));
        return arch_attr_text(&a->b, "mode", "CRD", err);
    }
    for (int i = 0; i < 4; i++)
        AX_TRY(aten_dim(a, &d[i], arg[0].value, i, err));
    if (d[1].power || d[2].power || d[3].power || d[2].i % r || d[3].i % r)
        return ax_fail(err, AX_ESHAPE, "the factor does not divide");
    to[0] = d[0];
    to[1] = d[1];
    to[2] = aten_int(d[2].i / r);
    to[3] = to[5] = aten_int(r);
    to[4] = aten_int(d[3].i / r);
    AX_TRY(aten_reshape(a, &x, arg[0].value, to, 6, err));
    AX_TRY(aten_emit(a, &x, AX_OP_Transpose, x, AX_NONE, AX_NONE, err));
    AX_TRY(arch_attr_ints(&a->b, "perm", (const int64_t[]){0, 1, 3, 5, 2, 4},
                          6, err));
    to[1] = product(d[1], aten_int(r * r));
    to[3] = to[4];
    return aten_reshape(a, &out->value, x, to, 4, err);
}

/* channels = (groups, rest) to (rest, groups) */
static ax_status channel_shuffle(struct aten *a, struct aten_value *out,
                                 const struct aten_value *arg, int number,
                                 struct ax_err *err)
{
    struct aten_value d[AX_RANK_MAX], to[AX_RANK_MAX];
    int64_t perm[AX_RANK_MAX], g = arg[1].i;
    uint32_t x;
    int rank;

    (void)number;
    AX_TRY(aten_rank(a, &rank, arg[0].value, err));
    if (rank < 3 || rank >= AX_RANK_MAX)
        return ax_fail(err, AX_EUNSUPPORTED, "of rank %d is not supported",
                       rank);
    for (int i = 0; i < rank; i++)
        AX_TRY(aten_dim(a, &d[i], arg[0].value, i, err));
    if (g < 1 || d[1].power || d[1].i % g)
        return ax_fail(err, AX_ESHAPE, "'groups' does not divide");
    for (int i = 0; i <= rank; i++) {
        to[i] = i == 0 ? d[0] : i == 1 ? aten_int(g) : d[i - 1];
        perm[i] = i == 1 ? 2 : i == 2 ? 1 : i;
    }
    to[2] = aten_int(d[1].i / g);
    AX_TRY(aten_reshape(a, &x, arg[0].value, to, (uint32_t)rank + 1, err));
    AX_TRY(aten_emit(a, &x, AX_OP_Transpose, x, AX_NONE, AX_NONE, err));
    AX_TRY(arch_attr_ints(&a->b, "perm", perm, (size_t)rank + 1, err));
    out->kind = ATEN_TENSOR;
    return aten_reshape(a, &out->value, x, d, (uint32_t)rank, err);
}

const struct aten_op aten_shapes[] = {
    {"view", "default", "self:T size:Z", view, 0},
    {"_unsafe_view", NULL, "self:T size:Z", view, 0},
    {"reshape", NULL, "self:T shape:Z", view, 0},
    {"view_as", NULL, "self:T other:T", view_as, 0},
    {"reshape_as", NULL, "self:T other:T", view_as, 0},
    {"flatten", "using_ints", "self:T start_dim:i=0 end_dim:i=-1", flatten,
     0},
    {"unflatten", "int", "self:T dim:i sizes:Z", unflatten, 0},
    {"unsqueeze", NULL, "self:T dim:i", unsqueeze, 0},
    {"squeeze", "default", "self:T", squeeze, 0},
    {"squeeze", "dim dims", "self:T dim:I", squeeze, 1},
    {"permute", NULL, "self:T dims:I", permute, 0},
    {"transpose", "int", "self:T dim0:i dim1:i", transpose, 0},
    {"swapaxes", NULL, "self:T axis0:i axis1:i", transpose, 0},
    {"t", NULL, "self:T", matrix_t, 0},
    {"numpy_T", NULL, "self:T", matrix_t, 0},
    {"expand", NULL, "self:T size:Z implicit:*=False", expand, 0},
    {"expand_as", NULL, "self:T other:T", expand_as, 0},
    {"repeat", NULL, "self:T repeats:Z", repeat, AX_OP_Tile},
    {"slice", "Tensor", "self:T dim:i=0 start:n=None end:n=None step:i=1",
     slice, 0},
    {"select", "int", "self:T dim:i index:i", select_at, 0},
    {"narrow", "default", "self:T dim:i start:i length:i", narrow, 0},
    {"split", "Tensor", "self:T split_size:i dim:i=0", split, 0},
    {"split", "sizes", "self:T split_size:I dim:i=0", split_sizes, 0},
    {"split_with_sizes", NULL, "self:T split_sizes:I dim:i=0", split_sizes,
     0},
    {"chunk", NULL, "self:T chunks:i dim:i=0", split, 1},
    {"unbind", "int", "self:T dim:i=0", unbind, 0},
    {"flip", NULL, "self:T dims:I", flip, 0},
    {"roll", NULL, "self:T shifts:I dims:I=[]", roll, 0},
    {"cat", "default", "tensors:L dim:i=0", cat, 0},
    {"concat", "default", "tensors:L dim:i=0", cat, 0},
    {"stack", NULL, "tensors:L dim:i=0", cat, 1},
    {"index_select", NULL, "self:T dim:i index:T", index_select,
     AX_OP_Gather},
    {"gather", NULL, "self:T dim:i index:T sparse_grad:*=False", index_select,
     AX_OP_GatherElements},
    {"index", "Tensor", "self:T indices:N", index_one, AX_OP_Gather},
    {"tril", NULL, "self:T diagonal:i=0", triangle, 0},
    {"triu", NULL, "self:T diagonal:i=0", triangle, 1},
    {"pixel_shuffle", NULL, "self:T upscale_factor:i", shuffle, 1},
    {"pixel_unshuffle", NULL, "self:T downscale_factor:i", shuffle, 0},
    {"channel_shuffle", NULL, "self:T groups:i", channel_shuffle, 0},
    {0},
};
