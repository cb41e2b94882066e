/* Operators that read an image between its pixels: GridSample, AffineGrid,
 * DeformConv, RoiAlign. */
#include "ref.h"

#include <math.h>
#include <string.h>

enum { SPATIAL = 3 };

/* -- an image -------------------------------------------------------------
 */

enum padding { ZEROS, BORDER, REFLECTION };

/* One channel of one image, and how to read it. */
struct image {
    const struct ax_tensor *x;
    size_t first; /* element */
    int rank;     /* spatial dimensions */
    int64_t dims[SPATIAL];
    enum padding padding;
    bool align; /* -1 and 1 are the centres of the outermost pixels */
};

/* Back into lo to hi, by reflection at these. */
static double reflect(double x, double lo, double hi)
{
    double range = hi - lo, d;

    if (range <= 0 || !isfinite(x))
        return lo;
    d = fmod(fabs(x - lo), 2 * range);
    return lo + (d > range ? 2 * range - d : d);
}

static double edge_low(const struct image *im)
{
    return im->align ? 0 : -0.5;
}

static double edge_high(const struct image *im, int d)
{
    return (double)im->dims[d] - (im->align ? 1 : 0.5);
}

static double pixel(const struct image *im, const double *at)
{
    size_t k = 0;

    for (int d = 0; d < im->rank; d++) {
        double i = at[d], last = (double)(im->dims[d] - 1);

        if (im->padding == REFLECTION)
            i = nearbyint(reflect(i, edge_low(im), edge_high(im, d)));
        if (im->padding != ZEROS)
            i = i < 0 ? 0 : i > last ? last : i;
        if (!(i >= 0 && i <= last))
            return 0;
        k = k * (size_t)im->dims[d] + (size_t)i;
    }
    return ref_number(im->x, im->first + k);
}

/* Weights of the pixels from floor(x) on, or from one before that. */
static int weights(double *w, double x, bool cubic)
{
    const double a = -0.75, t = x - floor(x);

    if (!cubic) {
        w[0] = 1 - t;
        w[1] = t;
        return 2;
    }
    w[0] = ((a * (t + 1) - 5 * a) * (t + 1) + 8 * a) * (t + 1) - 4 * a;
    w[1] = ((a + 2) * t - (a + 3)) * t * t + 1;
    w[2] = ((a + 2) * (1 - t) - (a + 3)) * (1 - t) * (1 - t) + 1;
    w[3] = ((a * (2 - t) - 5 * a) * (2 - t) + 8 * a) * (2 - t) - 4 * a;
    return 4;
}

/* A weighted sum of the pixels around X. */
static double between(const struct image *im, const double *x, bool cubic)
{
    double w[SPATIAL][4], at[SPATIAL], sum = 0;
    int i[SPATIAL] = {0}, n = 0, d;

    for (d = 0; d < im->rank; d++)
        n = weights(w[d], x[d], cubic);
    do {
        double f = 1;

        for (d = 0; d < im->rank; d++) {
            f *= w[d][i[d]];
            at[d] = floor(x[d]) + i[d] - (cubic ? 1 : 0);
        }
        if (f != 0)
            sum += f * pixel(im, at);
        for (d = im->rank - 1; d >= 0 && ++i[d] == n; d--)
            i[d] = 0;
    } while (d >= 0);
    return sum;
}

/* -- GridSample -----------------------------------------------------------
 */

struct grid {
    struct image im;
    int64_t n, channels;
    size_t points; /* of an output image */
    bool nearest, cubic;
};

static ax_status grid_words(struct grid *g, const struct ax_node *n,
                            struct ax_err *err)
{
    const char *mode = ax_node_string(n, "mode", "linear");
    const char *pad = ax_node_string(n, "padding_mode", "zeros");

    g->nearest = strcmp(mode, "nearest") == 0;
    g->cubic = strcmp(mode, "cubic") == 0;
    g->im.align = ax_node_int(n, "align_corners", 0) != 0;
    g->im.padding = strcmp(pad, "zeros") == 0    ? ZEROS
                    : strcmp(pad, "border") == 0 ? BORDER
                                                 : REFLECTION;
    if (!g->nearest && !g->cubic && strcmp(mode, "linear") != 0)
        return ax_fail(err, AX_EUNSUPPORTED, "mode '%.80s'", mode);
    if (g->im.padding == REFLECTION && strcmp(pad, "reflection") != 0)
        return ax_fail(err, AX_EUNSUPPORTED, "padding_mode '%.80s'", pad);
    return AX_OK;
}

static ax_status grid_init(struct grid *g, struct ax_call *c,
                           struct ax_err *err)
{
    const struct ax_tensor *x, *grid;
    int64_t dims[AX_RANK_MAX];

    AX_TRY(ref_want(c, 0, REALS, err));
    AX_TRY(ref_want(c, 1, REALS, err));
    AX_TRY(ref_want_rank(c, 0, 3, 2 + SPATIAL, err));
    AX_TRY(grid_words(g, c->node, err));
    x = c->in[0];
    grid = c->in[1];
    g->im.x = x;
    g->im.rank = x->rank - 2;
    g->n = x->dims[0];
    g->channels = x->dims[1];
    if (grid->rank != x->rank || grid->dims[0] != g->n ||
        grid->dims[x->rank - 1] != g->im.rank)
        return ax_fail(err, AX_ESHAPE, "the grid does not fit the images");
    memcpy(dims, x->dims, sizeof dims);
    for (int d = 0; d < g->im.rank; d++) {
        g->im.dims[d] = x->dims[d + 2];
        dims[d + 2] = grid->dims[d + 1];
        if (x->dims[d + 2] < 1)
            return ax_fail(err, AX_ESHAPE, "dimension %d is empty", d + 2);
    }
    g->points = (size_t)ref_product(dims, 2, x->rank);
    return ax_call_out(c, 0, x->dtype, x->rank, dims, err);
}

/* Where point K of image N lies, in pixels; the grid names the last
 * dimension first. */
static void grid_point(double *at, const struct grid *g,
                       const struct ax_tensor *grid, int64_t n, size_t k)
{
    size_t from = ((size_t)n * g->points + k) * (size_t)g->im.rank;

    for (int d = 0; d < g->im.rank; d++) {
        double v = ref_number(grid, from + (size_t)(g->im.rank - 1 - d));
        double size = (double)g->im.dims[d];
        double x = g->im.align ? (v + 1) / 2 * (size - 1)
                               : ((v + 1) * size - 1) / 2;

        if (g->nearest)
            x = nearbyint(x);
        if (x < edge_low(&g->im) || x > edge_high(&g->im, d))
            x = g->im.padding == BORDER ? fmin(fmax(x, 0), size - 1)
                : g->im.padding == REFLECTION
                    ? reflect(x, edge_low(&g->im), edge_high(&g->im, d))
                    : x;
        at[d] = x;
    }
}

static ax_status grid_sample(struct ax_call *c, struct ax_err *err)
{
    struct grid g = {.nearest = false};
    size_t size, to = 0;

    AX_TRY(grid_init(&g, c, err));
    size = (size_t)ref_product(g.im.dims, 0, g.im.rank);
    for (int64_t n = 0; n < g.n; n++)
        for (int64_t ch = 0; ch < g.channels; ch++) {
            g.im.first = (size_t)(n * g.channels + ch) * size;
            for (size_t k = 0; k < g.points; k++) {
                double at[SPATIAL];

                grid_point(at, &g, c->in[1], n, k);
                for (int d = 0; g.nearest && d < g.im.rank; d++)
                    at[d] = trunc(at[d]);
                ref_put(c->out[0], to++,
                        g.nearest ? pixel(&g.im, at)
                                  : between(&g.im, at, g.cubic));
            }
        }
    return AX_OK;
}

/* -- AffineGrid -----------------------------------------------------------
 */

static double grid_axis(int64_t i, int64_t n, bool align)
{
    if (align)
        return n > 1 ? -1 + 2 * (double)i / (double)(n - 1) : -1;
    return -1 + (2 * (double)i + 1) / (double)n;
}

static ax_status affine_grid(struct ax_call *c, struct ax_err *err)
{
    bool align = ax_node_int(c->node, "align_corners", 0) != 0;
    int64_t size[AX_RANK_MAX], dims[AX_RANK_MAX], at[SPATIAL] = {0};
    const struct ax_tensor *theta;
    size_t points;
    int n, rank;

    AX_TRY(ref_want(c, 0, REALS, err));
    AX_TRY(ref_want_rank(c, 0, 3, 3, err));
    AX_TRY(ref_ints(size, &n, AX_RANK_MAX, c, 1, err));
    theta = c->in[0];
    rank = n - 2;
    if (rank < 2 || rank > SPATIAL || theta->dims[0] != size[0] ||
        theta->dims[1] != rank || theta->dims[2] != rank + 1)
        return ax_fail(err, AX_ESHAPE,
                       "the matrices do not fit a size of %d dimensions", n);
    for (int d = 0; d < n; d++)
        if (size[d] < 0)
            return ax_fail(err, AX_ESHAPE, "dimension %d is %lld", d,
                           (long long)size[d]);
    dims[0] = size[0];
    memcpy(dims + 1, size + 2, (size_t)rank * sizeof *dims);
    dims[rank + 1] = rank;
    AX_TRY(ax_call_out(c, 0, theta->dtype, rank + 2, dims, err));
    points = ax_tensor_count(c->out[0]) / (size_t)rank;
    for (size_t k = 0; k < points; k++) {
        size_t image = k / (size_t)ref_product(size, 2, n);

        for (int r = 0; r < rank; r++) {
            size_t row = (image * (size_t)rank + (size_t)r) *
                         (size_t)(rank + 1);
            double sum = ref_number(theta, row + (size_t)rank);

            for (int d = 0; d < rank; d++)
                sum += ref_number(theta, row + (size_t)d) *
                       grid_axis(at[rank - 1 - d], size[n - 1 - d], align);
            ref_put(c->out[0], k * (size_t)rank + (size_t)r, sum);
        }
        for (int d = rank - 1; d >= 0 && ++at[d] == size[d + 2]; d--)
            at[d] = 0;
    }
    return AX_OK;
}

/* -- DeformConv -----------------------------------------------------------
 */

struct deform {
    struct ax_window w;                           /* dimensions 1 and 2 */
    int64_t groups, offset_groups, in, out, each; /* channels; each: of in,
                                                     for one of out */
    int64_t points, taps; /* of an output image, of a kernel */
};

static ax_status deform_init(struct deform *s, const struct ax_call *c,
                             struct ax_err *err)
{
    const int64_t *x, *w, *o;

    for (uint32_t i = 0; i < 3; i++) {
        AX_TRY(ref_want(c, i, REALS, err));
        AX_TRY(ref_want_rank(c, i, 4, 4, err));
    }
    x = c->in[0]->dims;
    w = c->in[1]->dims;
    o = c->in[2]->dims;
    AX_TRY(ax_window_resolve(&s->w, c->node, 4, x, w + 2, err));
    s->groups = ax_node_int(c->node, "group", 1);
    s->offset_groups = ax_node_int(c->node, "offset_group", 1);
    s->in = x[1];
    s->out = w[0];
    s->each = w[1];
    s->taps = s->w.kernel[1] * s->w.kernel[2];
    s->points = s->w.out[1] * s->w.out[2];
    if (s->groups < 1 || s->offset_groups < 1 || s->in % s->offset_groups ||
        s->out % s->groups || s->in != s->each * s->groups)
        return ax_fail(err, AX_ESHAPE,
                       "%lld channels and weights for %lld do not fit %lld "
                       "groups and %lld of offsets",
                       (long long)s->in, (long long)s->each,
                       (long long)s->groups, (long long)s->offset_groups);
    if (o[0] != x[0] || o[1] != 2 * s->offset_groups * s->taps ||
        o[2] != s->w.out[1] || o[3] != s->w.out[2])
        return ax_fail(err, AX_ESHAPE, "the offsets do not fit the output");
    if (ax_call_has(c, 3)) {
        AX_TRY(ref_want(c, 3, REALS, err));
        if (ax_tensor_count(c->in[3]) != (size_t)s->out)
            return ax_fail(err, AX_ESHAPE, "input 3 wants %lld numbers",
                           (long long)s->out);
    }
    if (ax_call_has(c, 4)) {
        AX_TRY(ref_want(c, 4, REALS, err));
        if (2 * ax_tensor_count(c->in[4]) != ax_tensor_count(c->in[2]))
            return ax_fail(err, AX_ESHAPE,
                           "the mask does not fit the "
                           "offsets");
    }
    return AX_OK;
}

/* What input channel CH gives to point P of an image of output channel O. */
static double deform_channel(const struct deform *s, const struct ax_call *c,
                             int64_t n, int64_t o, int64_t ch, int64_t p)
{
    int64_t group = ch / (s->in / s->offset_groups);
    size_t base = (size_t)((n * s->offset_groups + group) * s->taps);
    struct image im = {.x = c->in[0], .rank = 2, .align = true};
    double sum = 0;

    im.dims[0] = s->w.in[1];
    im.dims[1] = s->w.in[2];
    im.first = (size_t)((n * s->in + ch) * im.dims[0] * im.dims[1]);
    for (int64_t k = 0; k < s->taps; k++) {
        const int64_t out[] = {p / s->w.out[2], p % s->w.out[2]};
        const int64_t tap[] = {k / s->w.kernel[2], k % s->w.kernel[2]};
        double at[2], v;

        for (int d = 0; d < 2; d++)
            at[d] = (double)(out[d] * s->w.stride[d + 1] - s->w.begin[d + 1] +
                             tap[d] * s->w.dilation[d + 1]) +
                    ref_number(c->in[2],
                               ((base + (size_t)k) * 2 + (size_t)d) *
                                       (size_t)s->points +
                                   (size_t)p);
        v = between(&im, at, false);
        if (ax_call_has(c, 4))
            v *= ref_number(c->in[4], (base + (size_t)k) * (size_t)s->points +
                                          (size_t)p);
        sum += v * ref_number(
                       c->in[1],
                       (size_t)((o * s->each + ch % s->each) * s->taps + k));
    }
    return sum;
}

static ax_status deform_conv(struct ax_call *c, struct ax_err *err)
{
    int64_t dims[4];
    struct deform s = {.groups = 0};

    AX_TRY(deform_init(&s, c, err));
    dims[0] = c->in[0]->dims[0];
    dims[1] = s.out;
    dims[2] = s.w.out[1];
    dims[3] = s.w.out[2];
    AX_TRY(ax_call_out(c, 0, c->in[0]->dtype, 4, dims, err));
    for (int64_t i = 0; i < dims[0] * s.out * s.points; i++) {
        int64_t o = i / s.points % s.out, n = i / s.points / s.out;
        int64_t first = o / (s.out / s.groups) * s.each;
        double sum = ax_call_has(c, 3) ? ref_number(c->in[3], (size_t)o) : 0;

        for (int64_t ch = first; ch < first + s.each; ch++)
            sum += deform_channel(&s, c, n, o, ch, i % s.points);
        ref_put(c->out[0], (size_t)i, sum);
    }
    return AX_OK;
}

/* -- RoiAlign -------------------------------------------------------------
 */

struct roi {
    const struct ax_tensor *x;
    double from[2], bin[2]; /* in pixels, y then x */
    int64_t samples[2];     /* of a bin */
    bool max;
};

/* Four pixels around a place, or 0 outside; for a maximum, the largest of
 * them with their weights. */
static double roi_sample(const struct roi *r, size_t first, double y,
                         double x)
{
    const int64_t h = r->x->dims[2], w = r->x->dims[3];
    double at[] = {y, x}, f[2];
    int64_t lo[2], hi[2];
    double v[4];

    if (!(y >= -1 && y <= (double)h && x >= -1 && x <= (double)w))
        return 0;
    for (int d = 0; d < 2; d++) {
        int64_t last = d ? w - 1 : h - 1;

        at[d] = at[d] > 0 ? at[d] : 0;
        lo[d] = at[d] < (double)last ? (int64_t)at[d] : last;
        hi[d] = lo[d] < last ? lo[d] + 1 : last;
        f[d] = lo[d] < last ? at[d] - (double)lo[d] : 0;
    }
    for (int k = 0; k < 4; k++) {
        int64_t i = k & 2 ? hi[0] : lo[0], j = k & 1 ? hi[1] : lo[1];

        v[k] = ref_number(r->x, first + (size_t)(i * w + j)) *
               (k & 2 ? f[0] : 1 - f[0]) * (k & 1 ? f[1] : 1 - f[1]);
    }
    return r->max ? fmax(fmax(v[0], v[1]), fmax(v[2], v[3]))
                  : v[0] + v[1] + v[2] + v[3];
}

static double roi_bin(const struct roi *r, size_t first, int64_t i, int64_t j)
{
    double y0 = r->from[0] + (double)i * r->bin[0];
    double x0 = r->from[1] + (double)j * r->bin[1], sum = 0;
    int64_t n = r->samples[0] * r->samples[1];

    for (int64_t k = 0; k < n; k++) {
        double y = y0 + ((double)(k / r->samples[1]) + 0.5) * r->bin[0] /
                            (double)r->samples[0];
        double x = x0 + ((double)(k % r->samples[1]) + 0.5) * r->bin[1] /
                            (double)r->samples[1];
        double v = roi_sample(r, first, y, x);

        sum = r->max ? (k ? fmax(sum, v) : v) : sum + v;
    }
    return r->max || n == 0 ? sum : sum / (double)n;
}

static ax_status roi_init(struct roi *r, const struct ax_call *c, size_t k,
                          const int64_t *out, struct ax_err *err)
{
    double scale = (double)ax_node_float(c->node, "spatial_scale", 1), box[4];
    int64_t samples = ax_node_int(c->node, "sampling_ratio", 0);
    bool half = strcmp(ax_node_string(c->node,
                                      "coordinate_transformation_mode",
                                      "half_pixel"),
                       "half_pixel") == 0;

    r->x = c->in[0];
    ax_get_f64(box, c->in[1]->dtype, c->in[1]->data, 4 * k, 4);
    for (int d = 0; d < 2; d++) {
        double from = box[1 - d] * scale - (half ? 0.5 : 0);
        double size = box[3 - d] * scale - (half ? 0.5 : 0) - from;

        if (!half && size < 1)
            size = 1;
        r->from[d] = from;
        r->bin[d] = size / (double)out[d];
        r->samples[d] = samples > 0 ? samples : (int64_t)ceil(r->bin[d]);
        if (!(fabs(size) < 0x1p20) || r->samples[d] > 1 << 12)
            return ax_fail(err, AX_ESHAPE, "region %zu is too large", k);
        r->samples[d] = r->samples[d] > 0 ? r->samples[d] : 0;
    }
    return AX_OK;
}

static ax_status roi_shapes(const struct ax_call *c, const int64_t *dims,
                            struct ax_err *err)
{
    for (uint32_t i = 0; i < 2; i++)
        AX_TRY(ref_want(c, i, REALS, err));
    AX_TRY(ref_want(c, 2, BIT(AX_I64), err));
    AX_TRY(ref_want_rank(c, 0, 4, 4, err));
    AX_TRY(ref_want_rank(c, 1, 2, 2, err));
    AX_TRY(ref_want_rank(c, 2, 1, 1, err));
    if (c->in[1]->dims[1] != 4 || c->in[2]->dims[0] != c->in[1]->dims[0])
        return ax_fail(err, AX_ESHAPE,
                       "the regions want 4 numbers and an "
                       "image each");
    if (dims[2] < 1 || dims[3] < 1 || c->in[0]->dims[2] < 1 ||
        c->in[0]->dims[3] < 1)
        return ax_fail(err, AX_ESHAPE, "an image of no pixels");
    return AX_OK;
}

static ax_status roi_align(struct ax_call *c, struct ax_err *err)
{
    const char *mode = ax_node_string(c->node, "mode", "avg");
    int64_t dims[4] = {0, 0, ax_node_int(c->node, "output_height", 1),
                       ax_node_int(c->node, "output_width", 1)};
    struct roi r = {.max = strcmp(mode, "max") == 0};
    size_t to = 0, size;

    if (!r.max && strcmp(mode, "avg") != 0)
        return ax_fail(err, AX_EUNSUPPORTED, "mode '%.80s'", mode);
    AX_TRY(roi_shapes(c, dims, err));
    dims[0] = c->in[1]->dims[0];
    dims[1] = c->in[0]->dims[1];
    AX_TRY(ax_call_out(c, 0, c->in[0]->dtype, 4, dims, err));
    size = (size_t)ref_product(c->in[0]->dims, 2, 4);
    for (int64_t k = 0; k < dims[0]; k++) {
        int64_t image = ref_integer(c->in[2], (size_t)k);

        if (image < 0 || image >= c->in[0]->dims[0])
            return ax_fail(err, AX_ESHAPE, "image %lld of %lld",
                           (long long)image, (long long)c->in[0]->dims[0]);
        AX_TRY(roi_init(&r, c, (size_t)k, dims + 2, err));
        for (int64_t ch = 0; ch < dims[1]; ch++)
            for (int64_t p = 0; p < dims[2] * dims[3]; p++)
                ref_put(c->out[0], to++,
                        roi_bin(&r, (size_t)(image * dims[1] + ch) * size,
                                p / dims[3], p % dims[3]));
    }
    return AX_OK;
}

const struct ax_kernel ref_sample[] = {
    {"AffineGrid", affine_grid, NULL, NULL},
    {"DeformConv", deform_conv, NULL, NULL},
    {"GridSample", grid_sample, NULL, NULL},
    {"RoiAlign", roi_align, NULL, NULL},
    {0},
};
