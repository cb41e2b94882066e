/* Operators that cut, place and turn parts of a tensor: BitCast,
 * CenterCropPad, Col2Im, MaxUnpool, ReverseSequence, TensorScatter; and
 * CumProd, Det, SwiGLU, which go along one dimension, or none. */
#include "ref.h"

#include <math.h>
#include <string.h>

/* -- BitCast --------------------------------------------------------------
 */

static unsigned width(ax_dtype t)
{
    if (t == AX_U4 || t == AX_I4 || t == AX_F4_E2M1)
        return 4;
    return t == AX_U2 || t == AX_I2 ? 2 : 8 * (unsigned)ax_dtype_size(t);
}

static ax_status bit_cast(struct ax_call *c, struct ax_err *err)
{
    int64_t to = ax_node_int(c->node, "to", 0);
    const struct ax_tensor *x;

    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    x = c->in[0];
    if (to < 1 || to > 31 || to == AX_STRING || !ax_dtype_size((ax_dtype)to))
        return ax_fail(err, AX_EUNSUPPORTED, "type number %lld",
                       (long long)to);
    if (width((ax_dtype)to) != width(x->dtype))
        return ax_fail(err, AX_EFORMAT, "from %u bits to %u", width(x->dtype),
                       width((ax_dtype)to));
    for (size_t i = 0; to == AX_BOOL && i < x->nbytes; i++)
        if (((const uint8_t *)x->data)[i] > 1)
            return ax_fail(err, AX_EFORMAT, "element %zu is no bool", i);
    AX_TRY(ax_call_out(c, 0, (ax_dtype)to, x->rank, x->dims, err));
    if (x->nbytes)
        memcpy(c->out[0]->data, x->data, x->nbytes);
    return AX_OK;
}

/* -- CenterCropPad --------------------------------------------------------
 */

/* Copy a box of COUNT elements a dimension, from FROM of x to TO of y. */
static void copy_box(struct ax_tensor *y, const int64_t *to,
                     const struct ax_tensor *x, const int64_t *from,
                     const int64_t *count)
{
    size_t size = ax_dtype_size(x->dtype);
    int64_t at[AX_RANK_MAX] = {0};
    int d;

    if (ref_product(count, 0, x->rank) == 0)
        return;
    do {
        size_t i = 0, o = 0;

        for (d = 0; d < x->rank; d++) {
            i = i * (size_t)x->dims[d] + (size_t)(from[d] + at[d]);
            o = o * (size_t)y->dims[d] + (size_t)(to[d] + at[d]);
        }
        memcpy((char *)y->data + o * size, (const char *)x->data + i * size,
               size);
        for (d = x->rank - 1; d >= 0 && ++at[d] == count[d]; d--)
            at[d] = 0;
    } while (d >= 0);
}

static ax_status crop_pad(struct ax_call *c, struct ax_err *err)
{
    const struct ax_attr *axes = ref_attr(c->node, "axes", AX_ATTR_INTS);
    int64_t shape[AX_RANK_MAX], dims[AX_RANK_MAX], from[AX_RANK_MAX] = {0},
                                                   to[AX_RANK_MAX] = {0};
    int64_t count[AX_RANK_MAX];
    const struct ax_tensor *x;
    int n;

    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    AX_TRY(ref_ints(shape, &n, AX_RANK_MAX, c, 1, err));
    x = c->in[0];
    if ((size_t)n != (axes ? axes->n : (size_t)x->rank))
        return ax_fail(err, AX_ESHAPE, "%d lengths do not fit the axes", n);
    memcpy(dims, x->dims, sizeof dims);
    memcpy(count, x->dims, sizeof count);
    for (int i = 0; i < n; i++) {
        int d = i;

        if (axes)
            AX_TRY(ref_axis(&d, axes->ints[i], x->rank, err));
        if (shape[i] < 0)
            return ax_fail(err, AX_ESHAPE, "dimension %d becomes %lld", d,
                           (long long)shape[i]);
        dims[d] = shape[i];
        count[d] = shape[i] < x->dims[d] ? shape[i] : x->dims[d];
        from[d] = (x->dims[d] - count[d]) / 2;
        to[d] = (dims[d] - count[d]) / 2;
    }
    AX_TRY(ax_call_out(c, 0, x->dtype, x->rank, dims, err));
    memset(c->out[0]->data, 0, c->out[0]->nbytes);
    copy_box(c->out[0], to, x, from, count);
    return AX_OK;
}

/* -- Col2Im ---------------------------------------------------------------
 */

struct blocks {
    int rank;
    int64_t image[AX_RANK_MAX], block[AX_RANK_MAX], n[AX_RANK_MAX];
    int64_t stride[AX_RANK_MAX], dilation[AX_RANK_MAX], begin[AX_RANK_MAX];
};

/* Element I of an attribute of N integers, which may be absent. */
static ax_status element(int64_t *out, const struct ax_node *node,
                         const char *name, int i, int n, int64_t dflt,
                         struct ax_err *err)
{
    const struct ax_attr *a = ref_attr(node, name, AX_ATTR_INTS);

    if (a && a->n != (size_t)n)
        return ax_fail(err, AX_ESHAPE,
                       "attribute %s has %zu numbers, wants "
                       "%d",
                       name, a->n, n);
    *out = a ? a->ints[i] : dflt;
    if (*out < dflt || *out > 1 << 20)
        return ax_fail(err, AX_EFORMAT, "attribute %s has %lld", name,
                       (long long)*out);
    return AX_OK;
}

static ax_status blocks_init(struct blocks *b, const struct ax_call *c,
                             struct ax_err *err)
{
    const struct ax_node *n = c->node;
    int64_t columns = 1, end = 0;
    int other;

    AX_TRY(ref_ints(b->image, &b->rank, AX_RANK_MAX - 2, c, 1, err));
    AX_TRY(ref_ints(b->block, &other, AX_RANK_MAX - 2, c, 2, err));
    if (other != b->rank || b->rank < 1)
        return ax_fail(err, AX_ESHAPE,
                       "an image of %d dimensions, blocks of "
                       "%d",
                       b->rank, other);
    for (int d = 0; d < b->rank; d++) {
        AX_TRY(element(&b->stride[d], n, "strides", d, b->rank, 1, err));
        AX_TRY(element(&b->dilation[d], n, "dilations", d, b->rank, 1, err));
        AX_TRY(element(&b->begin[d], n, "pads", d, 2 * b->rank, 0, err));
        AX_TRY(element(&end, n, "pads", d + b->rank, 2 * b->rank, 0, err));
        if (b->image[d] < 1 || b->block[d] < 1 || b->image[d] > 1 << 30 ||
            b->block[d] > 1 << 10)
            return ax_fail(err, AX_ESHAPE, "an image of %lld, blocks of %lld",
                           (long long)b->image[d], (long long)b->block[d]);
        b->n[d] = b->image[d] + b->begin[d] + end -
                  b->dilation[d] * (b->block[d] - 1) - 1;
        b->n[d] = b->n[d] < 0 ? 0 : b->n[d] / b->stride[d] + 1;
        if (__builtin_mul_overflow(columns, b->n[d], &columns))
            return ax_fail(err, AX_ESHAPE, "too many blocks");
    }
    if (columns != c->in[0]->dims[2] ||
        ref_product(b->block, 0, b->rank) < 1 ||
        c->in[0]->dims[1] % ref_product(b->block, 0, b->rank))
        return ax_fail(
            err, AX_ESHAPE,
            "%lld rows and %lld columns do not fit the %lld blocks",
            (long long)c->in[0]->dims[1], (long long)c->in[0]->dims[2],
            (long long)columns);
    return AX_OK;
}

/* Where element E of block COLUMN lies in the image; false: in its padding.
 */
static bool block_place(size_t *out, const struct blocks *b, int64_t e,
                        int64_t column)
{
    size_t unit = 1;

    *out = 0;
    for (int d = b->rank - 1; d >= 0; d--) {
        int64_t i = column % b->n[d] * b->stride[d] +
                    e % b->block[d] * b->dilation[d] - b->begin[d];

        if (i < 0 || i >= b->image[d])
            return false;
        *out += (size_t)i * unit;
        unit *= (size_t)b->image[d];
        column /= b->n[d];
        e /= b->block[d];
    }
    return true;
}

static ax_status col2im(struct ax_call *c, struct ax_err *err)
{
    int64_t dims[AX_RANK_MAX], each;
    const struct ax_tensor *x;
    struct blocks b = {.rank = 0};
    double *sum;
    size_t size, at;
    void *p;

    AX_TRY(ref_want(c, 0, ALL_DTYPES & ~BIT(AX_BOOL), err));
    AX_TRY(ref_want_rank(c, 0, 3, 3, err));
    AX_TRY(blocks_init(&b, c, err));
    x = c->in[0];
    each = ref_product(b.block, 0, b.rank);
    dims[0] = x->dims[0];
    dims[1] = x->dims[1] / each;
    memcpy(dims + 2, b.image, (size_t)b.rank * sizeof *dims);
    AX_TRY(ax_call_out(c, 0, x->dtype, b.rank + 2, dims, err));
    size = (size_t)ref_product(b.image, 0, b.rank);
    AX_TRY(ax_call_scratch(c, &p, size * sizeof(double), err));
    sum = p;
    for (int64_t ch = 0; ch < dims[0] * dims[1]; ch++) {
        memset(sum, 0, size * sizeof *sum);
        for (int64_t e = 0; e < each; e++)
            for (int64_t k = 0; k < x->dims[2]; k++)
                if (block_place(&at, &b, e, k))
                    sum[at] += ref_number(
                        x, (size_t)((ch * each + e) * x->dims[2] + k));
        ax_put_f64(x->dtype, c->out[0]->data, (size_t)ch * size, sum, size);
    }
    return AX_OK;
}

/* -- MaxUnpool ------------------------------------------------------------
 */

static ax_status max_unpool(struct ax_call *c, struct ax_err *err)
{
    int64_t dims[AX_RANK_MAX], want[AX_RANK_MAX], zero[AX_RANK_MAX] = {0};
    const struct ax_tensor *x;
    struct ax_tensor pooled;
    int given, n;
    void *data;

    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    AX_TRY(ref_want(c, 1, BIT(AX_I64), err));
    AX_TRY(ref_want_rank(c, 0, 3, AX_RANK_MAX, err));
    AX_TRY(ref_ints(want, &given, AX_RANK_MAX, c, 2, err));
    x = c->in[0];
    n = x->rank - 2;
    if (ax_tensor_count(c->in[1]) != ax_tensor_count(x) ||
        (given && given != x->rank))
        return ax_fail(err, AX_ESHAPE, "%zu indexes for %zu elements",
                       ax_tensor_count(c->in[1]), ax_tensor_count(x));
    memcpy(dims, x->dims, sizeof dims);
    for (int d = 0; d < n; d++) {
        int64_t kernel = 0, stride = 0, begin = 0, end = 0;

        AX_TRY(element(&kernel, c->node, "kernel_shape", d, n, 1, err));
        AX_TRY(element(&stride, c->node, "strides", d, n, 1, err));
        AX_TRY(element(&begin, c->node, "pads", d, 2 * n, 0, err));
        AX_TRY(element(&end, c->node, "pads", d + n, 2 * n, 0, err));
        if (x->dims[d + 2] > INT64_C(1) << 40)
            return ax_fail(err, AX_ESHAPE, "dimension %d is too large", d);
        dims[d + 2] = (x->dims[d + 2] - 1) * stride - begin - end + kernel;
    }
    for (int d = 0; d < x->rank; d++) {
        want[d] = given ? want[d] : dims[d];
        if (dims[d] < 0 || want[d] < dims[d])
            return ax_fail(err, AX_ESHAPE,
                           "dimension %d becomes %lld, at least %lld is "
                           "wanted",
                           d, (long long)want[d], (long long)dims[d]);
    }
    pooled = (struct ax_tensor){.dtype = x->dtype, .rank = x->rank};
    memcpy(pooled.dims, dims, sizeof dims);
    AX_TRY(ax_shape_count(&pooled.nbytes, x->rank, dims,
                          ax_dtype_size(x->dtype), err));
    pooled.nbytes *= ax_dtype_size(x->dtype);
    AX_TRY(ax_call_scratch(c, &data, pooled.nbytes, err));
    pooled.data = data;
    memset(pooled.data, 0, pooled.nbytes);
    for (size_t i = 0; i < ax_tensor_count(x); i++) {
        int64_t at = ref_integer(c->in[1], i);
        size_t size = ax_dtype_size(x->dtype);

        if (at < 0 || (size_t)at >= ax_tensor_count(&pooled))
            return ax_fail(err, AX_ESHAPE, "index %lld of %zu", (long long)at,
                           ax_tensor_count(&pooled));
        memcpy((char *)pooled.data + (size_t)at * size,
               (const char *)x->data + i * size, size);
    }
    AX_TRY(ax_call_out(c, 0, x->dtype, x->rank, want, err));
    memset(c->out[0]->data, 0, c->out[0]->nbytes);
    copy_box(c->out[0], zero, &pooled, zero, dims);
    return AX_OK;
}

/* -- ReverseSequence ------------------------------------------------------
 */

static ax_status reverse_sequence(struct ax_call *c, struct ax_err *err)
{
    int64_t time = ax_node_int(c->node, "time_axis", 0);
    int64_t batch = ax_node_int(c->node, "batch_axis", 1), n, steps;
    const struct ax_tensor *x;
    size_t row;

    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    AX_TRY(ref_want(c, 1, BIT(AX_I64), err));
    AX_TRY(ref_want_rank(c, 0, 2, AX_RANK_MAX, err));
    x = c->in[0];
    if (time < 0 || time > 1 || batch != 1 - time)
        return ax_fail(err, AX_EFORMAT, "axes %lld and %lld, not 0 and 1",
                       (long long)time, (long long)batch);
    if ((int64_t)ax_tensor_count(c->in[1]) != x->dims[batch])
        return ax_fail(err, AX_ESHAPE, "%zu lengths for %lld sequences",
                       ax_tensor_count(c->in[1]), (long long)x->dims[batch]);
    AX_TRY(ax_call_out(c, 0, x->dtype, x->rank, x->dims, err));
    row = (size_t)ref_product(x->dims, 2, x->rank) * ax_dtype_size(x->dtype);
    steps = x->dims[time];
    for (int64_t b = 0; b < x->dims[batch]; b++) {
        n = ref_integer(c->in[1], (size_t)b);
        if (n < 0 || n > steps)
            return ax_fail(err, AX_ESHAPE, "length %lld of %lld",
                           (long long)n, (long long)steps);
        for (int64_t t = 0; t < steps; t++) {
            int64_t from = t < n ? n - 1 - t : t;

            memcpy(
                (char *)c->out[0]->data +
                    row * (size_t)(time ? b * steps + t : t * x->dims[1] + b),
                (const char *)x->data +
                    row * (size_t)(time ? b * steps + from
                                        : from * x->dims[1] + b),
                row);
        }
    }
    return AX_OK;
}

/* -- CumProd --------------------------------------------------------------
 */

/* x times element I of t, kept in *whole for integers. */
static void times(double *real, int64_t *whole, const struct ax_tensor *t,
                  size_t i)
{
    if (ax_dtype_class(t->dtype) == AX_CLASS_REAL)
        *real *= ref_number(t, i);
    else
        *whole = (int64_t)((uint64_t)*whole * (uint64_t)ref_integer(t, i));
}

static ax_status cum_prod(struct ax_call *c, struct ax_err *err)
{
    bool exclusive = ax_node_int(c->node, "exclusive", 0) != 0;
    bool reverse = ax_node_int(c->node, "reverse", 0) != 0, is_real;
    const struct ax_tensor *x;
    int64_t along[1];
    size_t n, inner;
    int axis, given;

    AX_TRY(ref_want(c, 0, ALL_DTYPES & ~BIT(AX_BOOL), err));
    AX_TRY(ref_ints(along, &given, 1, c, 1, err));
    x = c->in[0];
    AX_TRY(ref_axis(&axis, given ? along[0] : 0, x->rank, err));
    AX_TRY(ax_call_out(c, 0, x->dtype, x->rank, x->dims, err));
    n = (size_t)x->dims[axis];
    inner = (size_t)ref_product(x->dims, axis + 1, x->rank);
    is_real = ax_dtype_class(x->dtype) == AX_CLASS_REAL;
    for (size_t r = 0; n > 0 && r < ax_tensor_count(x) / n; r++) {
        size_t base = r / inner * n * inner + r % inner;
        int64_t whole = 1;
        double real = 1;

        for (size_t k = 0; k < n; k++) {
            size_t at = base + (reverse ? n - 1 - k : k) * inner;

            if (!exclusive)
                times(&real, &whole, x, at);
            if (is_real)
                ref_put(c->out[0], at, real);
            else
                ax_put_i64(x->dtype, c->out[0]->data, at, &whole, 1);
            if (exclusive)
                times(&real, &whole, x, at);
        }
    }
    return AX_OK;
}

/* -- Det ------------------------------------------------------------------
 */

/* By elimination, with the largest pivot of each column; a is used up. */
static double determinant(double *a, size_t n)
{
    double det = 1;

    for (size_t k = 0; k < n; k++) {
        size_t best = k;

        for (size_t i = k + 1; i < n; i++)
            if (fabs(a[i * n + k]) > fabs(a[best * n + k]))
                best = i;
        if (a[best * n + k] == 0)
            return 0;
        det *= best == k ? a[best * n + k] : -a[best * n + k];
        for (size_t j = k; j < n; j++) {
            double swap = a[k * n + j];

            a[k * n + j] = a[best * n + j];
            a[best * n + j] = swap;
        }
        for (size_t i = k + 1; i < n; i++) {
            double f = a[i * n + k] / a[k * n + k];

            for (size_t j = k; j < n; j++)
                a[i * n + j] -= f * a[k * n + j];
        }
    }
    return det;
}

static ax_status det(struct ax_call *c, struct ax_err *err)
{
    const struct ax_tensor *x;
    size_t n;
    void *a;

    AX_TRY(ref_want(c, 0, REALS, err));
    AX_TRY(ref_want_rank(c, 0, 2, AX_RANK_MAX, err));
    x = c->in[0];
    if (x->dims[x->rank - 1] != x->dims[x->rank - 2])
        return ax_fail(err, AX_ESHAPE, "wants square matrices");
    n = (size_t)x->dims[x->rank - 1];
    AX_TRY(ax_call_out(c, 0, x->dtype, x->rank - 2, x->dims, err));
    AX_TRY(ax_call_scratch(c, &a, n * n * sizeof(double), err));
    for (size_t k = 0; k < ax_tensor_count(c->out[0]); k++) {
        ax_get_f64(a, x->dtype, x->data, k * n * n, n * n);
        ref_put(c->out[0], k, determinant(a, n));
    }
    return AX_OK;
}

/* -- SwiGLU ---------------------------------------------------------------
 */

/* a / (1 + exp(-alpha a)) * b */
static ax_status swiglu(struct ax_call *c, struct ax_err *err)
{
    double alpha = (double)ax_node_float(c->node, "alpha", 1);
    const struct ax_tensor *a, *b;

    AX_TRY(ref_want(c, 0, REALS, err));
    AX_TRY(ref_want(c, 1, REALS, err));
    AX_TRY(ref_same_dtype(c, 0, 1, err));
    a = c->in[0];
    b = c->in[1];
    if (a->rank != b->rank ||
        memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims) != 0)
        return ax_fail(err, AX_ESHAPE, "the inputs have different shapes");
    AX_TRY(ax_call_out(c, 0, a->dtype, a->rank, a->dims, err));
    for (size_t i = 0; i < ax_tensor_count(a); i++) {
        double x = ref_number(a, i);

        ref_put(c->out[0], i, x / (1 + exp(-alpha * x)) * ref_number(b, i));
    }
    return AX_OK;
}

/* -- TensorScatter --------------------------------------------------------
 */

static ax_status tensor_scatter(struct ax_call *c, struct ax_err *err)
{
    bool circular = strcmp(ax_node_string(c->node, "mode", "linear"),
                           "circular") == 0;
    const struct ax_tensor *x, *u;
    size_t outer, inner, size;
    int axis;

    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    AX_TRY(ref_want(c, 1, ALL_DTYPES, err));
    AX_TRY(ref_same_dtype(c, 0, 1, err));
    x = c->in[0];
    u = c->in[1];
    AX_TRY(ref_axis(&axis, ax_node_int(c->node, "axis", -2), x->rank, err));
    if (axis == 0 || u->rank != x->rank)
        return ax_fail(err, AX_ESHAPE, "axis %d of %d dimensions", axis,
                       u->rank);
    for (int d = 0; d < x->rank; d++)
        if (d == axis ? u->dims[d] > x->dims[d] : u->dims[d] != x->dims[d])
            return ax_fail(err, AX_ESHAPE, "input 1 does not fit the cache");
    if (ax_call_has(c, 2)) {
        AX_TRY(ref_want(c, 2, BIT(AX_I64) | BIT(AX_I32), err));
        if (ax_tensor_count(c->in[2]) != (size_t)x->dims[0])
            return ax_fail(err, AX_ESHAPE, "input 2 does not fit the batch");
    }
    AX_TRY(ax_call_out(c, 0, x->dtype, x->rank, x->dims, err));
    memcpy(c->out[0]->data, x->data, x->nbytes);
    size = ax_dtype_size(x->dtype);
    outer = (size_t)ref_product(x->dims, 0, axis);
    inner = (size_t)ref_product(x->dims, axis + 1, x->rank) * size;
    for (size_t o = 0; o < outer; o++) {
        size_t b = o / (outer / (size_t)x->dims[0]);
        int64_t at = ax_call_has(c, 2) ? ref_integer(c->in[2], b) : 0;

        if (at < 0 || at >= x->dims[axis] + (u->dims[axis] == 0) ||
            (!circular && at > x->dims[axis] - u->dims[axis]))
            return ax_fail(err, AX_ESHAPE, "place %lld of %lld",
                           (long long)at, (long long)x->dims[axis]);
        for (int64_t k = 0; k < u->dims[axis]; k++)
            memcpy((char *)c->out[0]->data +
                       (o * (size_t)x->dims[axis] +
                        (size_t)((at + k) % x->dims[axis])) *
                           inner,
                   (const char *)u->data +
                       (o * (size_t)u->dims[axis] + (size_t)k) * inner,
                   inner);
    }
    return AX_OK;
}

const struct ax_kernel ref_patch[] = {
    {"BitCast", bit_cast, NULL, NULL},
    {"CenterCropPad", crop_pad, NULL, NULL},
    {"Col2Im", col2im, NULL, NULL},
    {"CumProd", cum_prod, NULL, NULL},
    {"Det", det, NULL, NULL},
    {"MaxUnpool", max_unpool, NULL, NULL},
    {"ReverseSequence", reverse_sequence, NULL, NULL},
    {"SwiGLU", swiglu, NULL, NULL},
    {"TensorScatter", tensor_scatter, NULL, NULL},
    {0},
};
