/* Resize and Upsample: each dimension by itself, every output coordinate a
 * weighted sum of at most four input coordinates, or of as many more as a
 * filter against aliasing wants. */
#include "ref.h"

#include <math.h>
#include <string.h>

enum { TAPS = 4, TAPS_MAX = 1 << 20 };

/* One output coordinate of one dimension. */
struct taps {
    int n; /* 0: outside, use the extrapolation value */
    int64_t *at;
    double *weight;
};

struct resize {
    int rank, n_axes, axes[AX_RANK_MAX];
    int64_t in[AX_RANK_MAX], out[AX_RANK_MAX];
    double scale[AX_RANK_MAX], roi[2][AX_RANK_MAX];
    const char *mode, *coordinates, *nearest;
    double cubic_a, extrapolation;
    bool exclude_outside, antialias;
    struct taps *taps[AX_RANK_MAX]; /* [out[d]] */
};

/* -- coordinates -----------------------------------------------------------
 */

static ax_status source(double *x, const struct resize *r, int d, int64_t i,
                        struct ax_err *err)
{
    double o = (double)i, n = (double)r->in[d], m = (double)r->out[d];
    const char *how = r->coordinates;

    if (strcmp(how, "half_pixel") == 0 ||
        (strcmp(how, "pytorch_half_pixel") == 0 && r->out[d] > 1))
        *x = (o + 0.5) / r->scale[d] - 0.5;
    else if (strcmp(how, "pytorch_half_pixel") == 0)
        *x = 0;
    else if (strcmp(how, "asymmetric") == 0)
        *x = o / r->scale[d];
    else if (strcmp(how, "align_corners") == 0)
        /* The new length before it was rounded, as ONNX has it. */
        *x = r->out[d] > 1 ? o * (n - 1) / (r->scale[d] * n - 1) : 0;
    else if (strcmp(how, "half_pixel_symmetric") == 0)
        *x = n / 2 * (1 - m / (r->scale[d] * n)) + (o + 0.5) / r->scale[d] -
             0.5;
    else if (strcmp(how, "tf_crop_and_resize") == 0)
        *x = r->out[d] > 1
                 ? r->roi[0][d] * (n - 1) +
                       o * (r->roi[1][d] - r->roi[0][d]) * (n - 1) / (m - 1)
                 : 0.5 * (r->roi[0][d] + r->roi[1][d]) * (n - 1);
    else
        return ax_fail(err, AX_EUNSUPPORTED,
                       "coordinate_transformation_mode '%.40s'", how);
    return AX_OK;
}

static double nearest(const char *how, double x)
{
    if (strcmp(how, "floor") == 0)
        return floor(x);
    if (strcmp(how, "ceil") == 0)
        return ceil(x);
    if (strcmp(how, "round_prefer_ceil") == 0)
        return floor(x + 0.5);
    return ceil(x - 0.5);
}

static double cubic(double a, double t)
{
    t = fabs(t);
    if (t <= 1)
        return ((a + 2) * t - (a + 3)) * t * t + 1;
    return t < 2 ? ((a * t - 5 * a) * t + 8 * a) * t - 4 * a : 0;
}

static int64_t clamp(double x, int64_t n)
{
    return !(x > 0) ? 0 : x > (double)(n - 1) ? n - 1 : (int64_t)x;
}

/* How many input coordinates on each side of one count. */
static double reach(const struct resize *r, int d)
{
    double n = strcmp(r->mode, "cubic") == 0 ? 2 : 1;

    return r->antialias && r->scale[d] < 1 ? ceil(n / r->scale[d]) : n;
}

/* A filter as wide as what becomes one pixel. */
static void filter_taps(struct taps *t, const struct resize *r, int d,
                        double x)
{
    double n = reach(r, d), first = floor(x) - n + 1, sum = 0;
    double narrow = r->antialias && r->scale[d] < 1 ? r->scale[d] : 1;

    t->n = (int)(2 * n);
    for (int k = 0; k < t->n; k++) {
        double at = first + k, far = fabs(x - at) * narrow;

        t->weight[k] = strcmp(r->mode, "cubic") == 0 ? cubic(r->cubic_a, far)
                       : far < 1                     ? 1 - far
                                                     : 0;
        if (r->exclude_outside && (at < 0 || at > (double)(r->in[d] - 1)))
            t->weight[k] = 0;
        t->at[k] = clamp(at, r->in[d]);
        sum += t->weight[k];
    }
    for (int k = 0; k < t->n && (r->exclude_outside || narrow < 1); k++)
        t->weight[k] /= sum;
}

static ax_status make_taps(struct taps *t, const struct resize *r, int d,
                           int64_t i, struct ax_err *err)
{
    double x = 0, low;

    if (r->in[d] == r->out[d] && r->scale[d] == 1 &&
        strcmp(r->coordinates, "tf_crop_and_resize")) {
        t->n = 1;
        t->at[0] = i;
        t->weight[0] = 1;
        return AX_OK;
    }
    AX_TRY(source(&x, r, d, i, err));
    t->n = 0;
    if (strcmp(r->coordinates, "tf_crop_and_resize") == 0 &&
        (x < 0 || x > (double)(r->in[d] - 1)))
        return AX_OK;
    if (strcmp(r->mode, "nearest") == 0) {
        t->n = 1;
        t->at[0] = clamp(nearest(r->nearest, x), r->in[d]);
        t->weight[0] = 1;
    } else if (strcmp(r->mode, "linear") == 0 && reach(r, d) == 1) {
        x = x < 0                        ? 0
            : x > (double)(r->in[d] - 1) ? (double)(r->in[d] - 1)
                                         : x;
        low = floor(x);
        t->n = 2;
        t->at[0] = clamp(low, r->in[d]);
        t->at[1] = clamp(low + 1, r->in[d]);
        t->weight[0] = 1 - (x - low);
        t->weight[1] = x - low;
    } else {
        filter_taps(t, r, d, x);
    }
    return AX_OK;
}

/* -- elements --------------------------------------------------------------
 */

static double element(const struct resize *r, const struct ax_tensor *x,
                      const int64_t *index)
{
    int64_t at[AX_RANK_MAX] = {0};
    double sum = 0;

    for (int d = 0; d < r->rank; d++)
        if (r->taps[d][index[d]].n == 0)
            return r->extrapolation;
    for (;;) {
        double w = 1, v;
        size_t from = 0;
        int d;

        for (d = 0; d < r->rank; d++) {
            const struct taps *t = &r->taps[d][index[d]];

            w *= t->weight[at[d]];
            from = from * (size_t)r->in[d] + (size_t)t->at[at[d]];
        }
        if (w != 0) {
            ax_get_f64(&v, x->dtype, x->data, from, 1);
            sum += w * v;
        }
        for (d = r->rank - 1; d >= 0 && ++at[d] == r->taps[d][index[d]].n;
             d--)
            at[d] = 0;
        if (d < 0)
            return sum;
    }
}

static void fill(const struct resize *r, struct ax_call *c)
{
    int64_t index[AX_RANK_MAX] = {0};
    struct ax_tensor *y = c->out[0];
    size_t n = ax_tensor_count(y);

    for (size_t k = 0; k < n; k++) {
        double v = element(r, c->in[0], index);

        if (ax_dtype_class(y->dtype) != AX_CLASS_REAL)
            v = nearbyint(v);
        ax_put_f64(y->dtype, y->data, k, &v, 1);
        for (int d = r->rank - 1; d >= 0 && ++index[d] == r->out[d]; d--)
            index[d] = 0;
    }
}

/* -- the node --------------------------------------------------------------
 */

/* Which dimensions the numbers of the other inputs are about. */
static ax_status read_axes(struct resize *r, const struct ax_call *c,
                           struct ax_err *err)
{
    const struct ax_attr *a = ref_attr(c->node, "axes", AX_ATTR_INTS);
    uint32_t seen = 0;

    r->rank = c->in[0]->rank;
    r->n_axes = a ? (int)a->n : r->rank;
    if (a && a->n > (size_t)r->rank)
        return ax_fail(err, AX_ESHAPE, "%zu axes of %d dimensions", a->n,
                       r->rank);
    for (int i = 0; i < r->n_axes; i++) {
        r->axes[i] = i;
        if (a)
            AX_TRY(ref_axis(&r->axes[i], a->ints[i], r->rank, err));
        if (seen & 1u << r->axes[i])
            return ax_fail(err, AX_EFORMAT, "axis %d is given twice",
                           r->axes[i]);
        seen |= 1u << r->axes[i];
    }
    for (int d = 0; d < r->rank; d++) {
        r->in[d] = r->out[d] = c->in[0]->dims[d];
        r->scale[d] = 1;
        r->roi[0][d] = 0;
        r->roi[1][d] = 1;
    }
    return AX_OK;
}

static ax_status read_roi(struct resize *r, const struct ax_call *c,
                          struct ax_err *err)
{
    size_t n = ax_call_has(c, 1) ? ax_tensor_count(c->in[1]) : 0;

    if (n == 0)
        return AX_OK;
    if (n != 2 * (size_t)r->n_axes)
        return ax_fail(err, AX_ESHAPE,
                       "a region of %zu numbers for %d "
                       "dimensions",
                       n, r->n_axes);
    for (size_t k = 0; k < n; k++)
        r->roi[k / (size_t)r->n_axes][r->axes[k % (size_t)r->n_axes]] =
            ref_number(c->in[1], k);
    return AX_OK;
}

/* One scale for all axes, so that no length is over, or under, what is
 * asked. */
static ax_status keep_aspect(struct resize *r, const char *policy,
                             struct ax_err *err)
{
    bool larger = strcmp(policy, "not_smaller") == 0;
    double scale = larger ? 0 : HUGE_VAL;

    if (strcmp(policy, "stretch") == 0)
        return AX_OK;
    if (!larger && strcmp(policy, "not_larger") != 0)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "keep_aspect_ratio_policy '%.80s'", policy);
    for (int i = 0; i < r->n_axes; i++)
        scale = larger ? fmax(scale, r->scale[r->axes[i]])
                       : fmin(scale, r->scale[r->axes[i]]);
    for (int i = 0; i < r->n_axes; i++) {
        double v = floor(scale * (double)r->in[r->axes[i]] + 0.5);

        if (!(v < 0x1p31))
            return ax_fail(err, AX_ESHAPE, "dimension %d becomes %g",
                           r->axes[i], v);
        r->out[r->axes[i]] = (int64_t)v;
        r->scale[r->axes[i]] = scale;
    }
    return AX_OK;
}

/* Output extents from scales (input IS) or sizes (input IZ). */
static ax_status read_extents(struct resize *r, const struct ax_call *c,
                              uint32_t is, uint32_t iz, struct ax_err *err)
{
    bool scales = ax_call_has(c, is) && ax_tensor_count(c->in[is]) > 0;
    bool sizes = ax_call_has(c, iz) && ax_tensor_count(c->in[iz]) > 0;
    const struct ax_tensor *t;

    if (scales == sizes)
        return ax_fail(err, AX_EFORMAT, "wants scales or sizes");
    t = c->in[scales ? is : iz];
    if (ax_tensor_count(t) != (size_t)r->n_axes)
        return ax_fail(err, AX_ESHAPE,
                       "%zu scales or sizes for %d "
                       "dimensions",
                       ax_tensor_count(t), r->n_axes);
    for (int i = 0; i < r->n_axes; i++) {
        double v = ref_number(t, (size_t)i);
        int d = r->axes[i];

        r->scale[d] = scales ? v : r->in[d] ? v / (double)r->in[d] : 1;
        if (scales)
            v = floor((double)r->in[d] * v *
                      (strcmp(r->coordinates, "tf_crop_and_resize")
                           ? 1
                           : r->roi[1][d] - r->roi[0][d]));
        if (!(v >= 0 && v < 0x1p31) || !(r->scale[d] > 0))
            return ax_fail(err, AX_ESHAPE, "dimension %d becomes %g", d, v);
        r->out[d] = (int64_t)v;
        if (r->in[d] == 0 && r->out[d] > 0)
            return ax_fail(err, AX_ESHAPE, "dimension %d is empty", d);
    }
    return scales ? AX_OK
                  : keep_aspect(r,
                                ax_node_string(c->node,
                                               "keep_aspect_ratio_policy",
                                               "stretch"),
                                err);
}

/* Taps of all output coordinates of dimension D, not yet filled. */
static ax_status room_for_taps(struct resize *r, struct ax_call *c, int d,
                               struct ax_err *err)
{
    size_t n = (size_t)r->out[d], width = TAPS;
    void *taps, *at, *weight;

    if (2 * reach(r, d) > TAPS_MAX)
        return ax_fail(err, AX_EUNSUPPORTED, "a scale of %g", r->scale[d]);
    if (2 * reach(r, d) > TAPS)
        width = (size_t)(2 * reach(r, d));
    AX_TRY(ax_call_scratch(c, &taps, n * sizeof(struct taps), err));
    AX_TRY(ax_call_scratch(c, &at, n * width * sizeof(int64_t), err));
    AX_TRY(ax_call_scratch(c, &weight, n * width * sizeof(double), err));
    r->taps[d] = taps;
    for (size_t i = 0; i < n; i++)
        r->taps[d][i] = (struct taps){.at = (int64_t *)at + i * width,
                                      .weight = (double *)weight + i * width};
    return AX_OK;
}

static ax_status run(struct resize *r, struct ax_call *c, struct ax_err *err)
{
    if (strcmp(r->mode, "nearest") && strcmp(r->mode, "linear") &&
        strcmp(r->mode, "cubic"))
        return ax_fail(err, AX_EUNSUPPORTED, "mode '%.40s'", r->mode);
    AX_TRY(ax_call_out(c, 0, c->in[0]->dtype, r->rank, r->out, err));
    for (int d = 0; d < r->rank; d++) {
        AX_TRY(room_for_taps(r, c, d, err));
        for (int64_t i = 0; i < r->out[d]; i++)
            AX_TRY(make_taps(&r->taps[d][i], r, d, i, err));
    }
    fill(r, c);
    return AX_OK;
}

static ax_status resize(struct ax_call *c, struct ax_err *err)
{
    struct resize r = {
        .mode = ax_node_string(c->node, "mode", "nearest"),
        .coordinates = ax_node_string(
            c->node, "coordinate_transformation_mode", "half_pixel"),
        .nearest = ax_node_string(c->node, "nearest_mode",
                                  "round_prefer_floor"),
        .cubic_a = (double)ax_node_float(c->node, "cubic_coeff_a", -0.75f),
        .extrapolation = (double)ax_node_float(c->node, "extrapolation_value",
                                               0),
        .exclude_outside = ax_node_int(c->node, "exclude_outside", 0) != 0,
        .antialias = ax_node_int(c->node, "antialias", 0) != 0,
    };

    AX_TRY(ref_want(c, 0, ALL_DTYPES & ~BIT(AX_BOOL), err));
    AX_TRY(read_axes(&r, c, err));
    AX_TRY(read_roi(&r, c, err));
    AX_TRY(read_extents(&r, c, 2, 3, err));
    return run(&r, c, err);
}

static ax_status upsample(struct ax_call *c, struct ax_err *err)
{
    struct resize r = {
        .mode = ax_node_string(c->node, "mode", "nearest"),
        .coordinates = "asymmetric",
        .nearest = "floor",
    };

    AX_TRY(ref_want(c, 0, ALL_DTYPES & ~BIT(AX_BOOL), err));
    AX_TRY(read_axes(&r, c, err));
    AX_TRY(read_extents(&r, c, 1, AX_NONE, err));
    return run(&r, c, err);
}

const struct ax_kernel ref_resize[] = {
    {"Resize", resize, NULL, NULL},
    {"Upsample", upsample, NULL, NULL},
    {0},
};
