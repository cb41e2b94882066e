/* Operators that move elements where other elements say: Gather*, Scatter*,
 * OneHot, NonZero, Compress, TopK. Indexes are hostile: each is checked. */
#include "ref.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Index number I of tensor T, from -n to n - 1, as 0 to n - 1. */
static ax_status index_at(int64_t *out, const struct ax_tensor *t, size_t i,
                          int64_t n, struct ax_err *err)
{
    int64_t v;

    ax_get_i64(&v, t->dtype, t->data, i, 1);
    if (v < -n || v >= n)
        return ax_fail(err, AX_ESHAPE, "index %lld of %lld", (long long)v,
                       (long long)n);
    *out = v < 0 ? v + n : v;
    return AX_OK;
}

static char *element(const struct ax_tensor *t, size_t i)
{
    return (char *)t->data + i * ax_dtype_size(t->dtype);
}

static ax_status want_indexes(const struct ax_call *c, uint32_t i,
                              struct ax_err *err)
{
    return ref_want(c, i, BIT(AX_I32) | BIT(AX_I64), err);
}

/* -- Gather -------------------------------------------------------------- */

static ax_status gather(struct ax_call *c, struct ax_err *err)
{
    const struct ax_tensor *x, *ix;
    int64_t dims[2 * AX_RANK_MAX], at;
    size_t outer, row, n;
    int axis, rank = 0;

    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    AX_TRY(want_indexes(c, 1, err));
    x = c->in[0];
    ix = c->in[1];
    AX_TRY(ref_axis(&axis, ax_node_int(c->node, "axis", 0), x->rank, err));
    for (int i = 0; i < axis; i++)
        dims[rank++] = x->dims[i];
    for (int i = 0; i < ix->rank; i++)
        dims[rank++] = ix->dims[i];
    for (int i = axis + 1; i < x->rank; i++)
        dims[rank++] = x->dims[i];
    AX_TRY(ax_call_out(c, 0, x->dtype, rank, dims, err));
    outer = (size_t)ref_product(x->dims, 0, axis);
    row = (size_t)ref_product(x->dims, axis + 1, x->rank);
    n = ax_tensor_count(ix);
    for (size_t o = 0; o < outer; o++)
        for (size_t k = 0; k < n; k++) {
            AX_TRY(index_at(&at, ix, k, x->dims[axis], err));
            memcpy(element(c->out[0], (o * n + k) * row),
                   element(x, (o * (size_t)x->dims[axis] + (size_t)at) * row),
                   row * ax_dtype_size(x->dtype));
        }
    return AX_OK;
}

/* Offset in a tensor of shape DIMS of what element K of the index tensor
 * points at: its own position, the axis replaced. */
static ax_status along(size_t *out, const struct ax_tensor *x,
                       const struct ax_tensor *ix, size_t k, int axis,
                       struct ax_err *err)
{
    int64_t strides[AX_RANK_MAX], at;
    size_t rest = k;

    AX_TRY(index_at(&at, ix, k, x->dims[axis], err));
    ref_strides(strides, x->rank, x->dims);
    *out = 0;
    for (int d = ix->rank - 1; d >= 0; d--) {
        size_t i = rest % (size_t)ix->dims[d];

        rest /= (size_t)ix->dims[d];
        *out += (d == axis ? (size_t)at : i) * (size_t)strides[d];
    }
    return AX_OK;
}

/* Indexes have x's rank and lie within it, but for the axis. */
static ax_status want_within(const struct ax_tensor *x,
                             const struct ax_tensor *ix, int axis,
                             struct ax_err *err)
{
    if (ix->rank != x->rank)
        return ax_fail(err, AX_ESHAPE,
                       "the indexes want %d dimensions, "
                       "have %d",
                       x->rank, ix->rank);
    for (int i = 0; i < x->rank; i++)
        if (i != axis && ix->dims[i] > x->dims[i])
            return ax_fail(err, AX_ESHAPE,
                           "the indexes have %lld in dimension %d, at most "
                           "%lld",
                           (long long)ix->dims[i], i, (long long)x->dims[i]);
    return AX_OK;
}

static ax_status gather_elements(struct ax_call *c, struct ax_err *err)
{
    const struct ax_tensor *x, *ix;
    size_t n, from;
    int axis;

    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    AX_TRY(want_indexes(c, 1, err));
    x = c->in[0];
    ix = c->in[1];
    AX_TRY(ref_axis(&axis, ax_node_int(c->node, "axis", 0), x->rank, err));
    AX_TRY(want_within(x, ix, axis, err));
    AX_TRY(ax_call_out(c, 0, x->dtype, ix->rank, ix->dims, err));
    n = ax_tensor_count(ix);
    for (size_t k = 0; k < n; k++) {
        AX_TRY(along(&from, x, ix, k, axis, err));
        memcpy(element(c->out[0], k), element(x, from),
               ax_dtype_size(x->dtype));
    }
    return AX_OK;
}

/* -- Scatter ------------------------------------------------------------- */

/* Put one element over, or into, another. */
static ax_status combine(const char *how, struct ax_tensor *y, size_t to,
                         const struct ax_tensor *u, size_t from,
                         struct ax_err *err)
{
    double a, b;

    if (strcmp(how, "none") == 0) {
        memcpy(element(y, to), element(u, from), ax_dtype_size(y->dtype));
        return AX_OK;
    }
    if (ax_dtype_class(y->dtype) != AX_CLASS_REAL) {
        int64_t i, j;

        ax_get_i64(&i, y->dtype, y->data, to, 1);
        ax_get_i64(&j, u->dtype, u->data, from, 1);
        if (strcmp(how, "add") == 0)
            i = (int64_t)((uint64_t)i + (uint64_t)j);
        else if (strcmp(how, "mul") == 0)
            i = (int64_t)((uint64_t)i * (uint64_t)j);
        else if (strcmp(how, "max") == 0)
            i = i > j ? i : j;
        else if (strcmp(how, "min") == 0)
            i = i < j ? i : j;
        else
            return ax_fail(err, AX_EUNSUPPORTED, "reduction '%s'", how);
        ax_put_i64(y->dtype, y->data, to, &i, 1);
        return AX_OK;
    }
    ax_get_f64(&a, y->dtype, y->data, to, 1);
    ax_get_f64(&b, u->dtype, u->data, from, 1);
    if (strcmp(how, "add") == 0)
        a += b;
    else if (strcmp(how, "mul") == 0)
        a *= b;
    else if (strcmp(how, "max") == 0)
        a = a > b ? a : b;
    else if (strcmp(how, "min") == 0)
        a = a < b ? a : b;
    else
        return ax_fail(err, AX_EUNSUPPORTED, "reduction '%s'", how);
    ax_put_f64(y->dtype, y->data, to, &a, 1);
    return AX_OK;
}

/* The output, a copy of input 0. */
static ax_status copy_out(struct ax_call *c, struct ax_err *err)
{
    AX_TRY(ax_call_out(c, 0, c->in[0]->dtype, c->in[0]->rank, c->in[0]->dims,
                       err));
    memcpy(c->out[0]->data, c->in[0]->data, c->in[0]->nbytes);
    return AX_OK;
}

static ax_status scatter_elements(struct ax_call *c, struct ax_err *err)
{
    const char *how = ax_node_string(c->node, "reduction", "none");
    const struct ax_tensor *ix;
    size_t n, to;
    int axis;

    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    AX_TRY(want_indexes(c, 1, err));
    AX_TRY(ref_want(c, 2, ALL_DTYPES, err));
    AX_TRY(ref_same_dtype(c, 0, 2, err));
    ix = c->in[1];
    n = ax_tensor_count(ix);
    AX_TRY(ref_axis(&axis, ax_node_int(c->node, "axis", 0), c->in[0]->rank,
                    err));
    AX_TRY(want_within(c->in[0], ix, axis, err));
    if (ax_tensor_count(c->in[2]) != n)
        return ax_fail(err, AX_ESHAPE, "%zu updates for %zu indexes",
                       ax_tensor_count(c->in[2]), n);
    AX_TRY(copy_out(c, err));
    for (size_t k = 0; k < n; k++) {
        AX_TRY(along(&to, c->in[0], ix, k, axis, err));
        AX_TRY(combine(how, c->out[0], to, c->in[2], k, err));
    }
    return AX_OK;
}

/* -- the ND forms -------------------------------------------------------- */

/* Indexes [..., depth] into x, after BATCH dimensions in common. */
struct nd {
    int batch, depth;
    size_t n;     /* tuples */
    size_t slice; /* elements that one points at */
};

static ax_status nd_init(struct nd *s, const struct ax_call *c, int64_t batch,
                         struct ax_err *err)
{
    const struct ax_tensor *x = c->in[0], *ix = c->in[1];

    if (batch < 0 || batch >= ix->rank || batch >= x->rank)
        return ax_fail(err, AX_ESHAPE, "batch_dims %lld", (long long)batch);
    s->batch = (int)batch;
    s->depth = (int)ix->dims[ix->rank - 1];
    if (ix->dims[ix->rank - 1] < 1 ||
        ix->dims[ix->rank - 1] > x->rank - batch)
        return ax_fail(err, AX_ESHAPE,
                       "indexes of %lld numbers into %d dimensions",
                       (long long)ix->dims[ix->rank - 1], x->rank);
    for (int i = 0; i < s->batch; i++)
        if (x->dims[i] != ix->dims[i])
            return ax_fail(err, AX_ESHAPE,
                           "batch dimension %d is %lld and %lld", i,
                           (long long)x->dims[i], (long long)ix->dims[i]);
    s->n = (size_t)ref_product(ix->dims, 0, ix->rank - 1);
    s->slice = (size_t)ref_product(x->dims, s->batch + s->depth, x->rank);
    return AX_OK;
}

/* Where tuple K points, in elements of x. */
static ax_status nd_at(size_t *out, const struct nd *s,
                       const struct ax_call *c, size_t k, struct ax_err *err)
{
    const struct ax_tensor *x = c->in[0], *ix = c->in[1];
    size_t each = (size_t)ref_product(ix->dims, s->batch, ix->rank - 1);
    size_t at = k / (each ? each : 1);

    for (int d = 0; d < s->depth; d++) {
        int64_t v, n = x->dims[s->batch + d];

        AX_TRY(index_at(&v, ix, k * (size_t)s->depth + (size_t)d, n, err));
        at = at * (size_t)n + (size_t)v;
    }
    *out = at * s->slice;
    return AX_OK;
}

static ax_status gather_nd(struct ax_call *c, struct ax_err *err)
{
    int64_t dims[2 * AX_RANK_MAX];
    const struct ax_tensor *x, *ix;
    size_t from;
    int rank = 0;
    struct nd s;

    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    AX_TRY(want_indexes(c, 1, err));
    x = c->in[0];
    ix = c->in[1];
    AX_TRY(nd_init(&s, c, ax_node_int(c->node, "batch_dims", 0), err));
    for (int i = 0; i < ix->rank - 1; i++)
        dims[rank++] = ix->dims[i];
    for (int i = s.batch + s.depth; i < x->rank; i++)
        dims[rank++] = x->dims[i];
    AX_TRY(ax_call_out(c, 0, x->dtype, rank, dims, err));
    for (size_t k = 0; k < s.n; k++) {
        AX_TRY(nd_at(&from, &s, c, k, err));
        memcpy(element(c->out[0], k * s.slice), element(x, from),
               s.slice * ax_dtype_size(x->dtype));
    }
    return AX_OK;
}

static ax_status scatter_nd(struct ax_call *c, struct ax_err *err)
{
    const char *how = ax_node_string(c->node, "reduction", "none");
    struct nd s;
    size_t to;

    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    AX_TRY(want_indexes(c, 1, err));
    AX_TRY(ref_want(c, 2, ALL_DTYPES, err));
    AX_TRY(ref_same_dtype(c, 0, 2, err));
    AX_TRY(ref_want_rank(c, 1, 1, AX_RANK_MAX, err));
    AX_TRY(nd_init(&s, c, 0, err));
    if (ax_tensor_count(c->in[2]) != s.n * s.slice)
        return ax_fail(err, AX_ESHAPE, "%zu updates for %zu places",
                       ax_tensor_count(c->in[2]), s.n * s.slice);
    AX_TRY(copy_out(c, err));
    for (size_t k = 0; k < s.n; k++) {
        AX_TRY(nd_at(&to, &s, c, k, err));
        for (size_t i = 0; i < s.slice; i++)
            AX_TRY(combine(how, c->out[0], to + i, c->in[2], k * s.slice + i,
                           err));
    }
    return AX_OK;
}

/* -- the others ---------------------------------------------------------- */

static ax_status one_hot(struct ax_call *c, struct ax_err *err)
{
    int64_t dims[AX_RANK_MAX + 1], axis = ax_node_int(c->node, "axis", -1);
    const struct ax_tensor *ix, *values;
    size_t inner, n;
    double depth;
    int at;

    for (uint32_t i = 0; i < 3; i++)
        AX_TRY(ref_want(c, i, ALL_DTYPES, err));
    AX_TRY(ref_scalar(&depth, c, 1, 0, err));
    ix = c->in[0];
    values = c->in[2];
    AX_TRY(ref_axis(&at, axis, ix->rank + 1, err));
    if (!(depth >= 1 && depth < 0x1p40) || ax_tensor_count(values) != 2)
        return ax_fail(err, AX_ESHAPE, "depth %g, %zu values", depth,
                       ax_tensor_count(values));
    for (int i = 0; i <= ix->rank; i++)
        dims[i] = i < at ? ix->dims[i] : i > at ? ix->dims[i - 1] : 0;
    dims[at] = (int64_t)depth;
    AX_TRY(ax_call_out(c, 0, values->dtype, ix->rank + 1, dims, err));
    inner = (size_t)ref_product(dims, at + 1, ix->rank + 1);
    n = ax_tensor_count(c->out[0]);
    for (size_t k = 0; k < n; k++) {
        size_t of = k / inner % (size_t)dims[at];
        size_t which = k / inner / (size_t)dims[at] * inner + k % inner;
        int64_t v;

        ax_get_i64(&v, ix->dtype, ix->data, which, 1);
        v = v < 0 ? v + dims[at] : v;
        memcpy(element(c->out[0], k), element(values, v == (int64_t)of),
               ax_dtype_size(values->dtype));
    }
    return AX_OK;
}

static bool is_zero(const struct ax_tensor *t, size_t i)
{
    double x;

    ax_get_f64(&x, t->dtype, t->data, i, 1);
    return x == 0;
}

static ax_status non_zero(struct ax_call *c, struct ax_err *err)
{
    const struct ax_tensor *x;
    int64_t dims[2] = {0, 0}, *y;
    size_t n, found = 0;

    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    x = c->in[0];
    n = ax_tensor_count(x);
    for (size_t k = 0; k < n; k++)
        dims[1] += !is_zero(x, k);
    dims[0] = x->rank;
    AX_TRY(ax_call_out(c, 0, AX_I64, 2, dims, err));
    y = c->out[0]->data;
    for (size_t k = 0; k < n; k++) {
        size_t rest = k;

        if (is_zero(x, k))
            continue;
        for (int d = x->rank - 1; d >= 0; d--) {
            y[(size_t)d * (size_t)dims[1] + found] =
                (int64_t)(rest % (size_t)x->dims[d]);
            rest /= (size_t)x->dims[d];
        }
        found++;
    }
    return AX_OK;
}

static ax_status compress(struct ax_call *c, struct ax_err *err)
{
    const struct ax_attr *has_axis = ax_node_attr(c->node, "axis");
    const struct ax_tensor *x, *keep;
    int64_t dims[AX_RANK_MAX], kept = 0, n;
    size_t outer = 1, row = 1, at = 0;
    int axis = 0, rank = 1;

    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    AX_TRY(ref_want(c, 1, BIT(AX_BOOL), err));
    x = c->in[0];
    keep = c->in[1];
    n = (int64_t)ax_tensor_count(x);
    if (has_axis) {
        AX_TRY(ref_axis(&axis, has_axis->i, x->rank, err));
        rank = x->rank;
        memcpy(dims, x->dims, sizeof dims);
        n = x->dims[axis];
        outer = (size_t)ref_product(dims, 0, axis);
        row = (size_t)ref_product(dims, axis + 1, rank);
    }
    if ((int64_t)ax_tensor_count(keep) < n)
        n = (int64_t)ax_tensor_count(keep);
    for (int64_t k = 0; k < n; k++)
        kept += ((const uint8_t *)keep->data)[k] != 0;
    dims[axis] = kept;
    AX_TRY(ax_call_out(c, 0, x->dtype, rank, dims, err));
    for (size_t o = 0; o < outer; o++)
        for (int64_t k = 0; k < n; k++)
            if (((const uint8_t *)keep->data)[k]) {
                size_t d = has_axis ? (size_t)x->dims[axis] : 0;

                memcpy(element(c->out[0], at),
                       element(x, (o * d + (size_t)k) * row),
                       row * ax_dtype_size(x->dtype));
                at += row;
            }
    return AX_OK;
}

/* -- TopK ---------------------------------------------------------------- */

struct ranked {
    double x; /* the larger is first */
    int64_t i;
};

static int by_rank(const void *a, const void *b)
{
    const struct ranked *p = a, *q = b;

    if (p->x != q->x)
        return p->x > q->x ? -1 : 1;
    return p->i < q->i ? -1 : p->i > q->i;
}

static void top_lane(struct ax_call *c, struct ranked *lane, size_t n,
                     size_t k, size_t inner, size_t i, bool largest)
{
    const struct ax_tensor *x = c->in[0];
    size_t base = i / inner * n * inner + i % inner;
    size_t to = i / inner * k * inner + i % inner;

    for (size_t j = 0; j < n; j++) {
        ax_get_f64(&lane[j].x, x->dtype, x->data, base + j * inner, 1);
        lane[j].x = largest ? lane[j].x : -lane[j].x;
        /* Any order will do as long as it is one. */
        lane[j].x = isnan(lane[j].x) ? -HUGE_VAL : lane[j].x;
        lane[j].i = (int64_t)j;
    }
    qsort(lane, n, sizeof *lane, by_rank);
    for (size_t j = 0; j < k; j++) {
        memcpy(element(c->out[0], to + j * inner),
               element(x, base + (size_t)lane[j].i * inner),
               ax_dtype_size(x->dtype));
        ((int64_t *)c->out[1]->data)[to + j * inner] = lane[j].i;
    }
}

static ax_status top_k(struct ax_call *c, struct ax_err *err)
{
    bool largest = ax_node_int(c->node, "largest", 1) != 0;
    const struct ax_tensor *x;
    int64_t dims[AX_RANK_MAX], k;
    size_t n, inner, outer;
    void *lane;
    int axis, given;

    AX_TRY(ref_want(c, 0, ALL_DTYPES & ~BIT(AX_BOOL), err));
    AX_TRY(ref_ints(&k, &given, 1, c, 1, err));
    x = c->in[0];
    AX_TRY(ref_axis(&axis, ax_node_int(c->node, "axis", -1), x->rank, err));
    if (!given || k < 0 || k > x->dims[axis])
        return ax_fail(err, AX_ESHAPE, "the top %lld of %lld", (long long)k,
                       (long long)x->dims[axis]);
    memcpy(dims, x->dims, sizeof dims);
    dims[axis] = k;
    n = (size_t)x->dims[axis];
    AX_TRY(ax_call_out(c, 0, x->dtype, x->rank, dims, err));
    AX_TRY(ax_call_out(c, 1, AX_I64, x->rank, dims, err));
    AX_TRY(ax_call_scratch(c, &lane, n * sizeof(struct ranked), err));
    inner = (size_t)ref_product(dims, axis + 1, x->rank);
    outer = (size_t)ref_product(dims, 0, axis);
    for (size_t i = 0; i < outer * inner; i++)
        top_lane(c, lane, n, (size_t)k, inner, i, largest);
    return AX_OK;
}

const struct ax_kernel ref_index[] = {
    {"Compress", compress, NULL, NULL},
    {"Gather", gather, NULL, NULL},
    {"GatherElements", gather_elements, NULL, NULL},
    {"GatherND", gather_nd, NULL, NULL},
    {"NonZero", non_zero, NULL, NULL},
    {"OneHot", one_hot, NULL, NULL},
    {"ScatterElements", scatter_elements, NULL, NULL},
    {"ScatterND", scatter_nd, NULL, NULL},
    {"TopK", top_k, NULL, NULL},
    {0},
};
