/* Operators that look at shapes, or give a tensor another shape or type:
 * Reshape, Flatten, Squeeze, Unsqueeze, Identity, Shape, Size, Cast,
 * ConstantOfShape, Range, EyeLike, Optional's kin are not tensors. */
#include "ref.h"

#include <math.h>
#include <string.h>

static ax_status identity(struct ax_call *c, struct ax_err *err)
{
    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    return ax_call_view(c, 0, 0, c->in[0]->rank, c->in[0]->dims, err);
}

/* Every value that we have is a tensor, so what is there is an element. */
static ax_status has_element(struct ax_call *c, struct ax_err *err)
{
    AX_TRY(ax_call_out(c, 0, AX_BOOL, 0, NULL, err));
    *(uint8_t *)c->out[0]->data = c->node->n_in > 0 && ax_call_has(c, 0);
    return AX_OK;
}

static ax_status reshape(struct ax_call *c, struct ax_err *err)
{
    bool allow_zero = ax_node_int(c->node, "allowzero", 0) != 0;
    int64_t dims[AX_RANK_MAX], known = 1, count;
    int rank, open = -1;

    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    AX_TRY(ref_want(c, 1, BIT(AX_I64), err));
    AX_TRY(ref_ints(dims, &rank, AX_RANK_MAX, c, 1, err));
    count = (int64_t)ax_tensor_count(c->in[0]);
    for (int i = 0; i < rank; i++) {
        if (dims[i] == 0 && !allow_zero) {
            if (i >= c->in[0]->rank)
                return ax_fail(err, AX_ESHAPE,
                               "dimension %d is to be copied, the input has "
                               "%d",
                               i, c->in[0]->rank);
            dims[i] = c->in[0]->dims[i];
        }
        if (dims[i] < -1 || (dims[i] == -1 && open >= 0))
            return ax_fail(err, AX_ESHAPE,
                           "the new shape has %lld in "
                           "dimension %d",
                           (long long)dims[i], i);
        if (dims[i] == -1)
            open = i;
        else if (dims[i] > 0 && known > INT64_MAX / dims[i])
            return ax_fail(err, AX_ESHAPE, "the new shape is too large");
        else
            known *= dims[i];
    }
    if (open >= 0) {
        if (known == 0 || count % known)
            return ax_fail(err, AX_ESHAPE,
                           "%lld elements do not divide by %lld",
                           (long long)count, (long long)known);
        dims[open] = count / known;
    }
    return ax_call_view(c, 0, 0, rank, dims, err);
}

static ax_status flatten(struct ax_call *c, struct ax_err *err)
{
    int64_t axis = ax_node_int(c->node, "axis", 1), dims[2];
    const struct ax_tensor *x;

    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    x = c->in[0];
    if (axis < -x->rank || axis > x->rank)
        return ax_fail(err, AX_ESHAPE, "axis %lld of %d dimensions",
                       (long long)axis, x->rank);
    axis = axis < 0 ? axis + x->rank : axis;
    dims[0] = ref_product(x->dims, 0, (int)axis);
    dims[1] = ref_product(x->dims, (int)axis, x->rank);
    return ax_call_view(c, 0, 0, 2, dims, err);
}

static ax_status squeeze(struct ax_call *c, struct ax_err *err)
{
    const struct ax_tensor *x;
    int64_t dims[AX_RANK_MAX];
    uint32_t axes;
    int rank = 0;
    bool given;

    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    x = c->in[0];
    AX_TRY(ref_axes(&axes, &given, c, 1, x->rank, err));
    for (int i = 0; i < x->rank; i++) {
        bool gone = given ? axes >> i & 1 : x->dims[i] == 1;

        if (gone && x->dims[i] != 1)
            return ax_fail(err, AX_ESHAPE,
                           "dimension %d is to be dropped and is %lld", i,
                           (long long)x->dims[i]);
        if (!gone)
            dims[rank++] = x->dims[i];
    }
    return ax_call_view(c, 0, 0, rank, dims, err);
}

static ax_status unsqueeze(struct ax_call *c, struct ax_err *err)
{
    int64_t dims[AX_RANK_MAX], list[AX_RANK_MAX];
    const struct ax_tensor *x;
    uint32_t axes;
    int n, rank;
    bool given;

    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    x = c->in[0];
    AX_TRY(ref_ints(list, &n, AX_RANK_MAX, c, 1, err));
    rank = x->rank + n;
    if (rank > AX_RANK_MAX)
        return ax_fail(err, AX_ESHAPE, "%d dimensions, at most %d", rank,
                       AX_RANK_MAX);
    AX_TRY(ref_axes(&axes, &given, c, 1, rank, err));
    for (int i = 0, from = 0; i < rank; i++)
        dims[i] = axes >> i & 1 ? 1 : x->dims[from++];
    return ax_call_view(c, 0, 0, rank, dims, err);
}

static int64_t bound_of(const struct ax_node *node, const char *name,
                        int64_t dflt, int rank)
{
    int64_t v = ax_node_int(node, name, dflt);

    v = v < 0 ? v + rank : v;
    return v < 0 ? 0 : v > rank ? rank : v;
}

static ax_status shape(struct ax_call *c, struct ax_err *err)
{
    const struct ax_tensor *x;
    int64_t from, to, n;

    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    x = c->in[0];
    from = bound_of(c->node, "start", 0, x->rank);
    to = bound_of(c->node, "end", x->rank, x->rank);
    n = to > from ? to - from : 0;
    AX_TRY(ax_call_out(c, 0, AX_I64, 1, &n, err));
    memcpy(c->out[0]->data, x->dims + from, (size_t)n * sizeof(int64_t));
    return AX_OK;
}

static ax_status size(struct ax_call *c, struct ax_err *err)
{
    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    AX_TRY(ax_call_out(c, 0, AX_I64, 0, NULL, err));
    *(int64_t *)c->out[0]->data = (int64_t)ax_tensor_count(c->in[0]);
    return AX_OK;
}

/* The floating-point types that attributes speak of. */
static bool is_narrow(ax_dtype t)
{
    return ax_dtype_class(t) == AX_CLASS_REAL && ax_dtype_size(t) == 1;
}

static ax_status cast_to(struct ax_call *c, ax_dtype to, struct ax_err *err)
{
    const char *mode = ax_node_string(c->node, "round_mode", "up");

    if (to == c->in[0]->dtype)
        return identity(c, err);
    if (strcmp(mode, "up") != 0 && strcmp(mode, "down") != 0 &&
        strcmp(mode, "nearest") != 0)
        return ax_fail(err, AX_EUNSUPPORTED, "round_mode '%.80s'", mode);
    AX_TRY(ax_call_out(c, 0, to, c->in[0]->rank, c->in[0]->dims, err));
    if (is_narrow(to)) {
        bool saturate = ax_node_int(c->node, "saturate", 1) != 0;

        for (size_t i = 0; i < ax_tensor_count(c->in[0]); i++)
            ((uint8_t *)c->out[0]->data)[i] = ax_narrow_round(
                to, ref_number(c->in[0], i), saturate, mode[0]);
        return AX_OK;
    }
    ax_cast(to, c->out[0]->data, c->in[0]->dtype, c->in[0]->data,
            ax_tensor_count(c->in[0]));
    return AX_OK;
}

static ax_status cast(struct ax_call *c, struct ax_err *err)
{
    int64_t to = ax_node_int(c->node, "to", 0);

    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    if (to < 1 || to > 31 || to == AX_STRING || !ax_dtype_size((ax_dtype)to))
        return ax_fail(err, AX_EUNSUPPORTED, "a cast to type number %lld",
                       (long long)to);
    return cast_to(c, (ax_dtype)to, err);
}

static ax_status cast_like(struct ax_call *c, struct ax_err *err)
{
    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    AX_TRY(ref_want(c, 1, ALL_DTYPES, err));
    return cast_to(c, c->in[1]->dtype, err);
}

/* Zeros in float32: another value is an Expand here. */
static ax_status constant_of_shape(struct ax_call *c, struct ax_err *err)
{
    int64_t dims[AX_RANK_MAX];
    int rank;

    AX_TRY(ref_want(c, 0, BIT(AX_I64), err));
    AX_TRY(ref_ints(dims, &rank, AX_RANK_MAX, c, 0, err));
    AX_TRY(ax_call_out(c, 0, AX_F32, rank, dims, err));
    memset(c->out[0]->data, 0, c->out[0]->nbytes);
    return AX_OK;
}

static ax_status range(struct ax_call *c, struct ax_err *err)
{
    double start, limit, step, count;
    bool real;
    int64_t n;

    for (uint32_t i = 0; i < 3; i++) {
        AX_TRY(ref_want(c, i, REALS | BIT(AX_I16) | BIT(AX_I32) | BIT(AX_I64),
                        err));
        AX_TRY(ref_same_dtype(c, 0, i, err));
    }
    AX_TRY(ref_scalar(&start, c, 0, 0, err));
    AX_TRY(ref_scalar(&limit, c, 1, 0, err));
    AX_TRY(ref_scalar(&step, c, 2, 1, err));
    count = ceil((limit - start) / step);
    if (!(fabs(count) < 0x1p40))
        return ax_fail(err, AX_ESHAPE, "a range of %g elements", count);
    n = count > 0 ? (int64_t)count : 0;
    AX_TRY(ax_call_out(c, 0, c->in[0]->dtype, 1, &n, err));
    real = ax_dtype_class(c->in[0]->dtype) == AX_CLASS_REAL;
    for (int64_t k = 0; k < n; k++) {
        double x = start + (double)k * step;
        int64_t i[2];

        if (real) {
            ax_put_f64(c->in[0]->dtype, c->out[0]->data, (size_t)k, &x, 1);
            continue;
        }
        ax_get_i64(&i[0], c->in[0]->dtype, c->in[0]->data, 0, 1);
        ax_get_i64(&i[1], c->in[0]->dtype, c->in[2]->data, 0, 1);
        i[0] += k * i[1];
        ax_put_i64(c->in[0]->dtype, c->out[0]->data, (size_t)k, i, 1);
    }
    return AX_OK;
}

static ax_status eye_like(struct ax_call *c, struct ax_err *err)
{
    int64_t k = ax_node_int(c->node, "k", 0), to;
    const double one = 1;

    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    AX_TRY(ref_want_rank(c, 0, 2, 2, err));
    to = ax_node_int(c->node, "dtype", c->in[0]->dtype);
    if (to < 1 || to > 31 || to == AX_STRING || !ax_dtype_size((ax_dtype)to))
        return ax_fail(err, AX_EUNSUPPORTED, "type number %lld",
                       (long long)to);
    AX_TRY(ax_call_out(c, 0, (ax_dtype)to, 2, c->in[0]->dims, err));
    memset(c->out[0]->data, 0, c->out[0]->nbytes);
    for (int64_t i = 0; i < c->in[0]->dims[0]; i++)
        if (k > -i - 1 && k < c->in[0]->dims[1] - i)
            ax_put_f64((ax_dtype)to, c->out[0]->data,
                       (size_t)(i * c->in[0]->dims[1] + i + k), &one, 1);
    return AX_OK;
}

const struct ax_kernel ref_shape[] = {
    {"Cast", cast, NULL, NULL},
    {"CastLike", cast_like, NULL, NULL},
    {"ConstantOfShape", constant_of_shape, NULL, NULL},
    {"EyeLike", eye_like, NULL, NULL},
    {"Flatten", flatten, NULL, NULL},
    {"Identity", identity, NULL, NULL},
    {"OptionalGetElement", identity, NULL, NULL},
    {"OptionalHasElement", has_element, NULL, NULL},
    {"Range", range, NULL, NULL},
    {"Reshape", reshape, NULL, NULL},
    {"Shape", shape, NULL, NULL},
    {"Size", size, NULL, NULL},
    {"Squeeze", squeeze, NULL, NULL},
    {"Unsqueeze", unsqueeze, NULL, NULL},
    {0},
};
