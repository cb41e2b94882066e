/* Resize and Upsample: each dimension by itself, every output coordinate a
 * weighted sum of at most four input coordinates. */
#include "ref.h"

#include <math.h>
#include <string.h>

#define TAPS 4

/* One output coordinate of one dimension. */
struct taps {
    int n; /* 0: outside, use the extrapolation value */
    int64_t at[TAPS];
    double weight[TAPS];
};

struct resize {
    int rank;
    int64_t in[AX_RANK_MAX], out[AX_RANK_MAX];
    double scale[AX_RANK_MAX], roi[2][AX_RANK_MAX];
    const char *mode, *coordinates, *nearest;
    double cubic_a, extrapolation;
    bool exclude_outside;
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

static void cubic_taps(struct taps *t, const struct resize *r, int d,
                       double x)
{
    double first = floor(x) - 1, sum = 0;

    t->n = 4;
    for (int k = 0; k < 4; k++) {
        double at = first + k;

        t->weight[k] = cubic(r->cubic_a, x - at);
        if (r->exclude_outside && (at < 0 || at > (double)(r->in[d] - 1)))
            t->weight[k] = 0;
        t->at[k] = clamp(at, r->in[d]);
        sum += t->weight[k];
    }
    for (int k = 0; k < 4 && r->exclude_outside; k++)
        t->weight[k] /= sum;
}

static ax_status make_taps(struct taps *t, const struct resize *r, int d,
                           int64_t i, struct ax_err *err)
{
    double x = 0, low;

    if (r->in[d] == r->out[d] && r->scale[d] == 1 &&
        strcmp(r->coordinates, "tf_crop_and_resize")) {
        *t = (struct taps){.n = 1, .at = {i}, .weight = {1}};
        return AX_OK;
    }
    AX_TRY(source(&x, r, d, i, err));
    memset(t, 0, sizeof *t);
    if (strcmp(r->coordinates, "tf_crop_and_resize") == 0 &&
        (x < 0 || x > (double)(r->in[d] - 1)))
        return AX_OK;
    if (strcmp(r->mode, "nearest") == 0) {
        t->n = 1;
        t->at[0] = clamp(nearest(r->nearest, x), r->in[d]);
        t->weight[0] = 1;
    } else if (strcmp(r->mode, "linear") == 0) {
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
        cubic_taps(t, r, d, x);
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

static ax_status read_roi(struct resize *r, const struct ax_call *c,
                          struct ax_err *err)
{
    size_t n = ax_call_has(c, 1) ? ax_tensor_count(c->in[1]) : 0;

    for (int d = 0; d < r->rank; d++) {
        r->roi[0][d] = 0;
        r->roi[1][d] = 1;
    }
    if (n == 0)
        return AX_OK;
    if (n != 2 * (size_t)r->rank)
        return ax_fail(err, AX_ESHAPE,
                       "a region of %zu numbers for %d "
                       "dimensions",
                       n, r->rank);
    for (int k = 0; k < 2; k++)
        ax_get_f64(r->roi[k], c->in[1]->dtype, c->in[1]->data,
                   (size_t)(k * r->rank), (size_t)r->rank);
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
    if (ax_tensor_count(t) != (size_t)r->rank)
        return ax_fail(err, AX_ESHAPE,
                       "%zu scales or sizes for %d "
                       "dimensions",
                       ax_tensor_count(t), r->rank);
    for (int d = 0; d < r->rank; d++) {
        double v;

        ax_get_f64(&v, t->dtype, t->data, (size_t)d, 1);
        r->in[d] = c->in[0]->dims[d];
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
    return AX_OK;
}

static ax_status run(struct resize *r, struct ax_call *c, struct ax_err *err)
{
    if (strcmp(r->mode, "nearest") && strcmp(r->mode, "linear") &&
        strcmp(r->mode, "cubic"))
        return ax_fail(err, AX_EUNSUPPORTED, "mode '%.40s'", r->mode);
    AX_TRY(ax_call_out(c, 0, c->in[0]->dtype, r->rank, r->out, err));
    for (int d = 0; d < r->rank; d++) {
        void *p;

        AX_TRY(ax_call_scratch(c, &p, (size_t)r->out[d] * sizeof(struct taps),
                               err));
        r->taps[d] = p;
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
    };

    AX_TRY(ref_want(c, 0, ALL_DTYPES & ~BIT(AX_BOOL), err));
    if (ax_node_int(c->node, "antialias", 0) || ax_node_attr(c->node, "axes"))
        return ax_fail(err, AX_EUNSUPPORTED, "attribute antialias or axes");
    if (strcmp(ax_node_string(c->node, "keep_aspect_ratio_policy", "stretch"),
               "stretch"))
        return ax_fail(err, AX_EUNSUPPORTED,
                       "attribute keep_aspect_ratio_policy");
    r.rank = c->in[0]->rank;
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
    r.rank = c->in[0]->rank;
    AX_TRY(read_extents(&r, c, 1, AX_NONE, err));
    return run(&r, c, err);
}

const struct ax_kernel ref_resize[] = {
    {"Resize", resize, NULL, NULL},
    {"Upsample", upsample, NULL, NULL},
    {0},
};
