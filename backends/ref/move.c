/* Operators that move elements by a rule of strides and never compute:
 * Transpose, Slice, Concat, Split, Expand, Tile, Pad, DepthToSpace,
 * SpaceToDepth, Trilu. Any element type. */
#include "ref.h"

#include <stdlib.h>
#include <string.h>

static ax_status transpose(struct ax_call *c, struct ax_err *err)
{
    const struct ax_attr *perm = ax_node_attr(c->node, "perm");
    int64_t dims[AX_RANK_MAX], strides[AX_RANK_MAX], s[AX_RANK_MAX];
    const struct ax_tensor *x;
    uint32_t seen = 0;

    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    x = c->in[0];
    if (perm && (perm->kind != AX_ATTR_INTS || perm->n != (size_t)x->rank))
        return ax_fail(err, AX_ESHAPE, "attribute perm wants %d integers",
                       x->rank);
    ref_strides(s, x->rank, x->dims);
    for (int i = 0; i < x->rank; i++) {
        int from = x->rank - 1 - i;

        if (perm)
            AX_TRY(ref_axis(&from, perm->ints[i], x->rank, err));
        if (seen >> from & 1)
            return ax_fail(err, AX_EFORMAT, "attribute perm has %d twice",
                           from);
        seen |= 1u << from;
        dims[i] = x->dims[from];
        strides[i] = s[from];
    }
    AX_TRY(ax_call_out(c, 0, x->dtype, x->rank, dims, err));
    ref_copy(c->out[0]->data, x->data, ax_dtype_size(x->dtype), x->rank, dims,
             strides);
    return AX_OK;
}

/* -- Slice --------------------------------------------------------------- */

static int64_t clamp(int64_t x, int64_t lo, int64_t hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

/* Elements from start to end by step, along a dimension of D. */
static int64_t slice_count(int64_t *start, int64_t end, int64_t step,
                           int64_t d)
{
    uint64_t room, by;

    if (d == 0)
        return 0;
    if (*start < 0)
        *start += d;
    if (end < 0 && end >= -d)
        end += d;
    else if (end < -d)
        end = -1;
    if (step > 0) {
        *start = clamp(*start, 0, d);
        end = clamp(end, 0, d);
    } else {
        *start = clamp(*start, 0, d - 1);
        end = clamp(end, -1, d - 1);
    }
    if (step > 0 ? *start >= end : *start <= end)
        return 0;
    room = (uint64_t)(step > 0 ? end - *start : *start - end);
    by = step > 0 ? (uint64_t)step : -(uint64_t)step;
    return (int64_t)((room - 1) / by + 1);
}

/* The parameters of a slice, one number a sliced dimension. */
struct slice {
    int n, n_axes, n_steps;
    int64_t start[AX_RANK_MAX], end[AX_RANK_MAX], axis[AX_RANK_MAX],
        step[AX_RANK_MAX];
};

static ax_status slice_read(struct slice *s, const struct ax_call *c,
                            struct ax_err *err)
{
    int n_end;

    AX_TRY(ref_ints(s->start, &s->n, AX_RANK_MAX, c, 1, err));
    AX_TRY(ref_ints(s->end, &n_end, AX_RANK_MAX, c, 2, err));
    AX_TRY(ref_ints(s->axis, &s->n_axes, AX_RANK_MAX, c, 3, err));
    AX_TRY(ref_ints(s->step, &s->n_steps, AX_RANK_MAX, c, 4, err));
    if (n_end != s->n || s->n > c->in[0]->rank ||
        (ax_call_has(c, 3) && s->n_axes != s->n) ||
        (ax_call_has(c, 4) && s->n_steps != s->n))
        return ax_fail(err, AX_ESHAPE,
                       "%d starts, %d ends, %d axes and %d steps for %d "
                       "dimensions",
                       s->n, n_end, s->n_axes, s->n_steps, c->in[0]->rank);
    return AX_OK;
}

static ax_status slice(struct ax_call *c, struct ax_err *err)
{
    int64_t dims[AX_RANK_MAX], strides[AX_RANK_MAX], from = 0;
    const struct ax_tensor *x;
    uint32_t seen = 0;
    struct slice s;

    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    x = c->in[0];
    AX_TRY(slice_read(&s, c, err));
    memcpy(dims, x->dims, sizeof dims);
    ref_strides(strides, x->rank, x->dims);
    for (int i = 0; i < s.n; i++) {
        int64_t step = s.n_steps ? s.step[i] : 1, count;
        int d = i;

        if (s.n_axes)
            AX_TRY(ref_axis(&d, s.axis[i], x->rank, err));
        if (seen >> d & 1 || step == 0 || step == INT64_MIN)
            return ax_fail(err, AX_EFORMAT,
                           "axis %d is given twice, or by a step of 0", d);
        seen |= 1u << d;
        count = slice_count(&s.start[i], s.end[i], step, x->dims[d]);
        dims[d] = count;
        if (count > 0)
            from += s.start[i] * strides[d];
        strides[d] = count > 1 ? strides[d] * step : 0;
    }
    AX_TRY(ax_call_out(c, 0, x->dtype, x->rank, dims, err));
    if (ax_tensor_count(c->out[0]) > 0)
        ref_copy(c->out[0]->data,
                 (const char *)x->data +
                     from * (int64_t)ax_dtype_size(x->dtype),
                 ax_dtype_size(x->dtype), x->rank, dims, strides);
    return AX_OK;
}

/* -- Concat and Split ---------------------------------------------------- */

static ax_status concat_shape(int64_t *dims, int axis,
                              const struct ax_call *c, struct ax_err *err)
{
    memcpy(dims, c->in[0]->dims, AX_RANK_MAX * sizeof *dims);
    for (uint32_t k = 1; k < c->node->n_in; k++) {
        const struct ax_tensor *x = c->in[k];

        AX_TRY(ref_want(c, k, ALL_DTYPES, err));
        AX_TRY(ref_same_dtype(c, 0, k, err));
        AX_TRY(ref_want_rank(c, k, c->in[0]->rank, c->in[0]->rank, err));
        for (int i = 0; i < x->rank; i++)
            if (i != axis && x->dims[i] != dims[i])
                return ax_fail(err, AX_ESHAPE,
                               "input %u has %lld in dimension %d where "
                               "input 0 has %lld",
                               k, (long long)x->dims[i], i,
                               (long long)dims[i]);
        if (x->dims[axis] > INT64_MAX - dims[axis])
            return ax_fail(err, AX_ESHAPE, "the result is too large");
        dims[axis] += x->dims[axis];
    }
    return AX_OK;
}

static ax_status concat(struct ax_call *c, struct ax_err *err)
{
    int64_t dims[AX_RANK_MAX];
    size_t outer, row, at = 0;
    int axis;

    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    AX_TRY(ref_axis(&axis, ax_node_int(c->node, "axis", 0), c->in[0]->rank,
                    err));
    AX_TRY(concat_shape(dims, axis, c, err));
    AX_TRY(ax_call_out(c, 0, c->in[0]->dtype, c->in[0]->rank, dims, err));
    outer = (size_t)ref_product(dims, 0, axis);
    row = outer ? c->out[0]->nbytes / outer : 0;
    for (uint32_t k = 0; k < c->node->n_in; k++) {
        size_t n = outer ? c->in[k]->nbytes / outer : 0;

        for (size_t i = 0; i < outer && n > 0; i++)
            memcpy((char *)c->out[0]->data + i * row + at,
                   (const char *)c->in[k]->data + i * n, n);
        at += n;
    }
    return AX_OK;
}

/* How long part K of a dimension of D is. */
static ax_status split_part(int64_t *out, const struct ax_call *c, uint32_t k,
                            int64_t d, struct ax_err *err)
{
    uint32_t n = c->node->n_out;
    const struct ax_attr *attr = ax_node_attr(c->node, "split");

    if (ax_call_has(c, 1)) {
        AX_TRY(ref_want(c, 1, BIT(AX_I64), err));
        if (ax_tensor_count(c->in[1]) != n)
            return ax_fail(err, AX_ESHAPE, "%zu lengths for %u outputs",
                           ax_tensor_count(c->in[1]), n);
        ax_get_i64(out, AX_I64, c->in[1]->data, k, 1);
    } else if (attr && attr->kind == AX_ATTR_INTS) {
        if (attr->n != n)
            return ax_fail(err, AX_ESHAPE, "%zu lengths for %u outputs",
                           attr->n, n);
        *out = attr->ints[k];
    } else {
        int64_t each = (d + (int64_t)n - 1) / (int64_t)n;

        *out = (int64_t)k * each > d          ? 0
               : d - (int64_t)k * each < each ? d - (int64_t)k * each
                                              : each;
    }
    return AX_OK;
}

static ax_status split(struct ax_call *c, struct ax_err *err)
{
    int64_t dims[AX_RANK_MAX], left;
    const struct ax_tensor *x;
    size_t outer, row, at = 0;
    int axis;

    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    x = c->in[0];
    AX_TRY(ref_axis(&axis, ax_node_int(c->node, "axis", 0), x->rank, err));
    outer = (size_t)ref_product(x->dims, 0, axis);
    row = outer ? x->nbytes / outer : 0;
    memcpy(dims, x->dims, sizeof dims);
    left = x->dims[axis];
    for (uint32_t k = 0; k < c->node->n_out; k++) {
        size_t n;

        AX_TRY(split_part(&dims[axis], c, k, x->dims[axis], err));
        if (dims[axis] < 0 || dims[axis] > left)
            return ax_fail(err, AX_ESHAPE,
                           "part %u has length %lld of the %lld left", k,
                           (long long)dims[axis], (long long)left);
        left -= dims[axis];
        AX_TRY(ax_call_out(c, k, x->dtype, x->rank, dims, err));
        n = outer ? c->out[k]->nbytes / outer : 0;
        for (size_t i = 0; i < outer && n > 0; i++)
            memcpy((char *)c->out[k]->data + i * n,
                   (const char *)x->data + i * row + at, n);
        at += n;
    }
    if (left != 0)
        return ax_fail(err, AX_ESHAPE, "%lld elements are left over",
                       (long long)left);
    return AX_OK;
}

/* -- Expand and Tile ----------------------------------------------------- */

static ax_status expand(struct ax_call *c, struct ax_err *err)
{
    int64_t want[AX_RANK_MAX], dims[AX_RANK_MAX], s[AX_RANK_MAX],
        strides[AX_RANK_MAX] = {0};
    struct ax_tensor other = {0};
    const struct ax_tensor *x, *both[2];
    int rank;

    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    AX_TRY(ref_want(c, 1, BIT(AX_I64), err));
    x = c->in[0];
    AX_TRY(ref_ints(want, &other.rank, AX_RANK_MAX, c, 1, err));
    memcpy(other.dims, want, sizeof want);
    both[0] = x;
    both[1] = &other;
    AX_TRY(ax_shape_broadcast(&rank, dims, both, 2, err));
    AX_TRY(ax_call_out(c, 0, x->dtype, rank, dims, err));
    ref_strides(s, x->rank, x->dims);
    for (int i = 0; i < x->rank; i++)
        strides[rank - x->rank + i] = x->dims[i] == 1 ? 0 : s[i];
    ref_copy(c->out[0]->data, x->data, ax_dtype_size(x->dtype), rank, dims,
             strides);
    return AX_OK;
}

static ax_status tile(struct ax_call *c, struct ax_err *err)
{
    int64_t times[AX_RANK_MAX], dims[AX_RANK_MAX], index[AX_RANK_MAX] = {0};
    const struct ax_tensor *x;
    size_t size, n;
    int rank;

    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    x = c->in[0];
    AX_TRY(ref_ints(times, &rank, AX_RANK_MAX, c, 1, err));
    if (rank != x->rank)
        return ax_fail(err, AX_ESHAPE, "%d repeats for %d dimensions", rank,
                       x->rank);
    for (int i = 0; i < rank; i++) {
        if (times[i] < 0 || (times[i] && x->dims[i] > INT64_MAX / times[i]))
            return ax_fail(err, AX_ESHAPE, "%lld repeats",
                           (long long)times[i]);
        dims[i] = x->dims[i] * times[i];
    }
    AX_TRY(ax_call_out(c, 0, x->dtype, rank, dims, err));
    size = ax_dtype_size(x->dtype);
    n = ax_tensor_count(c->out[0]);
    for (size_t k = 0; k < n; k++) {
        int64_t from = 0;

        for (int i = 0; i < rank; i++)
            from = from * x->dims[i] + index[i] % x->dims[i];
        memcpy((char *)c->out[0]->data + k * size,
               (const char *)x->data + (size_t)from * size, size);
        for (int i = rank - 1; i >= 0 && ++index[i] == dims[i]; i--)
            index[i] = 0;
    }
    return AX_OK;
}

/* -- Pad ----------------------------------------------------------------- */

/* Where along a dimension of D element I of the padded one comes from; -1:
 * from nowhere. */
static int64_t pad_source(char mode, int64_t i, int64_t d)
{
    if (i >= 0 && i < d)
        return i;
    if (d == 0)
        return -1;
    switch (mode) {
    case 'e':
        return i < 0 ? 0 : d - 1;
    case 'w':
        return (i % d + d) % d;
    case 'r': {
        int64_t period = 2 * (d - 1);

        if (period == 0)
            return 0;
        i = (i % period + period) % period;
        return i < d ? i : period - i;
    }
    default:
        return -1;
    }
}

static ax_status pad_amounts(int64_t *begin, int64_t *dims,
                             const struct ax_call *c, struct ax_err *err)
{
    int64_t pads[2 * AX_RANK_MAX], axes[AX_RANK_MAX];
    int n, n_axes, rank = c->in[0]->rank;

    AX_TRY(ref_ints(pads, &n, 2 * AX_RANK_MAX, c, 1, err));
    AX_TRY(ref_ints(axes, &n_axes, AX_RANK_MAX, c, 3, err));
    if (!ax_call_has(c, 3))
        for (n_axes = 0; n_axes < rank; n_axes++)
            axes[n_axes] = n_axes;
    if (n != 2 * n_axes)
        return ax_fail(err, AX_ESHAPE, "%d pads for %d dimensions", n,
                       n_axes);
    for (int i = 0; i < rank; i++) {
        begin[i] = 0;
        dims[i] = c->in[0]->dims[i];
    }
    for (int i = 0; i < n_axes; i++) {
        int64_t limit = (int64_t)1 << 40;
        int d;

        AX_TRY(ref_axis(&d, axes[i], rank, err));
        if (llabs(pads[i]) > limit || llabs(pads[n_axes + i]) > limit)
            return ax_fail(err, AX_ESHAPE, "padding is too large");
        begin[d] = pads[i];
        dims[d] += pads[i] + pads[n_axes + i];
        if (dims[d] < 0)
            return ax_fail(err, AX_ESHAPE, "dimension %d becomes %lld", d,
                           (long long)dims[d]);
    }
    return AX_OK;
}

static ax_status pad_value(const void **value, const struct ax_call *c,
                           struct ax_err *err)
{
    static const uint64_t zero;

    *value = &zero;
    if (!ax_call_has(c, 2))
        return AX_OK;
    AX_TRY(ref_same_dtype(c, 0, 2, err));
    if (ax_tensor_count(c->in[2]) != 1)
        return ax_fail(err, AX_ESHAPE, "the value wants one element");
    *value = c->in[2]->data;
    return AX_OK;
}

static ax_status pad(struct ax_call *c, struct ax_err *err)
{
    const char *mode = ax_node_string(c->node, "mode", "constant");
    int64_t begin[AX_RANK_MAX], dims[AX_RANK_MAX], index[AX_RANK_MAX] = {0};
    const struct ax_tensor *x;
    const void *value;
    size_t size, n;

    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    x = c->in[0];
    if (strcmp(mode, "constant") && strcmp(mode, "edge") &&
        strcmp(mode, "reflect") && strcmp(mode, "wrap"))
        return ax_fail(err, AX_EUNSUPPORTED, "mode '%s'", mode);
    AX_TRY(pad_amounts(begin, dims, c, err));
    AX_TRY(pad_value(&value, c, err));
    AX_TRY(ax_call_out(c, 0, x->dtype, x->rank, dims, err));
    size = ax_dtype_size(x->dtype);
    n = ax_tensor_count(c->out[0]);
    if (mode[0] != 'c' && n > 0 && ax_tensor_count(x) == 0)
        return ax_fail(err, AX_ESHAPE, "nothing to pad from");
    for (size_t k = 0; k < n; k++) {
        int64_t from = 0;

        for (int i = 0; i < x->rank && from >= 0; i++) {
            int64_t s = pad_source(mode[0], index[i] - begin[i], x->dims[i]);

            from = s < 0 ? -1 : from * x->dims[i] + s;
        }
        memcpy((char *)c->out[0]->data + k * size,
               from < 0 ? value : (const char *)x->data + (size_t)from * size,
               size);
        for (int i = x->rank - 1; i >= 0 && ++index[i] == dims[i]; i--)
            index[i] = 0;
    }
    return AX_OK;
}

/* -- blocks of a picture ------------------------------------------------- */

/* x seen as six dimensions, in another order, then four. */
static ax_status reorder(struct ax_call *c, const int64_t *six,
                         const int *perm, const int64_t *four,
                         struct ax_err *err)
{
    int64_t s[6], dims[6], strides[6];

    AX_TRY(ax_call_out(c, 0, c->in[0]->dtype, 4, four, err));
    ref_strides(s, 6, six);
    for (int i = 0; i < 6; i++) {
        dims[i] = six[perm[i]];
        strides[i] = s[perm[i]];
    }
    ref_copy(c->out[0]->data, c->in[0]->data, ax_dtype_size(c->in[0]->dtype),
             6, dims, strides);
    return AX_OK;
}

static ax_status block_size(int64_t *b, const struct ax_call *c,
                            struct ax_err *err)
{
    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    AX_TRY(ref_want_rank(c, 0, 4, 4, err));
    *b = ax_node_int(c->node, "blocksize", 0);
    if (*b < 1 || *b > 1 << 15)
        return ax_fail(err, AX_EFORMAT, "attribute blocksize has %lld",
                       (long long)*b);
    return AX_OK;
}

static ax_status depth_to_space(struct ax_call *c, struct ax_err *err)
{
    static const int dcr[] = {0, 3, 4, 1, 5, 2}, crd[] = {0, 1, 4, 2, 5, 3};
    const char *mode = ax_node_string(c->node, "mode", "DCR");
    const int64_t *d;
    int64_t b;

    AX_TRY(block_size(&b, c, err));
    d = c->in[0]->dims;
    if (d[1] % (b * b))
        return ax_fail(err, AX_ESHAPE, "%lld channels for blocks of %lld",
                       (long long)d[1], (long long)b);
    return reorder(c,
                   mode[0] == 'C'
                       ? (int64_t[]){d[0], d[1] / b / b, b, b, d[2], d[3]}
                       : (int64_t[]){d[0], b, b, d[1] / b / b, d[2], d[3]},
                   mode[0] == 'C' ? crd : dcr,
                   (int64_t[]){d[0], d[1] / b / b, d[2] * b, d[3] * b}, err);
}

static ax_status space_to_depth(struct ax_call *c, struct ax_err *err)
{
    static const int perm[] = {0, 3, 5, 1, 2, 4};
    const int64_t *d;
    int64_t b;

    AX_TRY(block_size(&b, c, err));
    d = c->in[0]->dims;
    if (d[2] % b || d[3] % b)
        return ax_fail(err, AX_ESHAPE, "%lld by %lld in blocks of %lld",
                       (long long)d[2], (long long)d[3], (long long)b);
    return reorder(c, (int64_t[]){d[0], d[1], d[2] / b, b, d[3] / b, b}, perm,
                   (int64_t[]){d[0], d[1] * b * b, d[2] / b, d[3] / b}, err);
}

static ax_status trilu(struct ax_call *c, struct ax_err *err)
{
    bool upper = ax_node_int(c->node, "upper", 1) != 0;
    const struct ax_tensor *x;
    int64_t k = 0, rows, columns;
    size_t size, n;
    int given;

    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    AX_TRY(ref_want_rank(c, 0, 2, AX_RANK_MAX, err));
    AX_TRY(ref_ints(&k, &given, 1, c, 1, err));
    x = c->in[0];
    rows = x->dims[x->rank - 2];
    columns = x->dims[x->rank - 1];
    k = clamp(given ? k : 0, -rows - 1, columns + 1);
    AX_TRY(ax_call_out(c, 0, x->dtype, x->rank, x->dims, err));
    size = ax_dtype_size(x->dtype);
    n = ax_tensor_count(x);
    memset(c->out[0]->data, 0, c->out[0]->nbytes);
    for (size_t i = 0; i < n; i++) {
        int64_t column = (int64_t)(i % (size_t)columns);
        int64_t row = (int64_t)(i / (size_t)columns % (size_t)rows);

        if (upper ? column >= row + k : column <= row + k)
            memcpy((char *)c->out[0]->data + i * size,
                   (const char *)x->data + i * size, size);
    }
    return AX_OK;
}

const struct ax_kernel ref_move[] = {
    {"Concat", concat, NULL, NULL},
    {"DepthToSpace", depth_to_space, NULL, NULL},
    {"Expand", expand, NULL, NULL},
    {"Pad", pad, NULL, NULL},
    {"Slice", slice, NULL, NULL},
    {"SpaceToDepth", space_to_depth, NULL, NULL},
    {"Split", split, NULL, NULL},
    {"Tile", tile, NULL, NULL},
    {"Transpose", transpose, NULL, NULL},
    {"Trilu", trilu, NULL, NULL},
    {0},
};
