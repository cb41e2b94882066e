/* Operators that slide a window: convolution and pooling; padding, and
 * resizing of images. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "formats/aten/aten.h"
#include "formats/window.h"

enum { WINDOW_MAX = 3 };

/* Spatial dimensions of x, which has a batch and channels before them. */
static ax_status spatial(struct aten *a, size_t *n, uint32_t x, int want,
                         struct ax_err *err)
{
    int rank;

    AX_TRY(aten_rank(a, &rank, x, err));
    if (rank < 3 || rank > 2 + WINDOW_MAX || (want && rank != 2 + want))
        return ax_fail(err, AX_EUNSUPPORTED,
                       "of %d dimensions, which are not a batch, channels "
                       "and %d more, is not supported",
                       rank, want ? want : WINDOW_MAX);
    *n = (size_t)rank - 2;
    return AX_OK;
}

struct window {
    size_t n;
    int64_t kernel[WINDOW_MAX], stride[WINDOW_MAX], pads[2 * WINDOW_MAX],
        dilation[WINDOW_MAX];
};

static ax_status window_attrs(struct aten *a, const struct window *w,
                              bool with_kernel, struct ax_err *err)
{
    if (with_kernel)
        AX_TRY(arch_attr_ints(&a->b, "kernel_shape", w->kernel, w->n, err));
    AX_TRY(aten_attr_ints(a, "strides", w->stride, w->n, 1, err));
    AX_TRY(aten_attr_ints(a, "pads", w->pads, 2 * w->n, 0, err));
    return aten_attr_ints(a, "dilations", w->dilation, w->n, 1, err);
}

/* ---- convolution ---- */

/* Padding by numbers, or "valid", or "same". */
static ax_status conv_pads(struct window *w, struct aten_value padding,
                           struct ax_err *err)
{
    if (padding.kind != ATEN_TEXT) {
        AX_TRY(aten_get_ints(w->pads, w->n, padding, "padding", 0, 0, err));
        memcpy(w->pads + w->n, w->pads, w->n * sizeof *w->pads);
        return AX_OK;
    }
    if (strcmp(padding.text, "same") != 0 &&
        strcmp(padding.text, "valid") != 0)
        return ax_fail(err, AX_EFORMAT,
                       "argument 'padding' is neither same nor valid");
    for (size_t i = 0; i < w->n; i++) {
        int64_t all = strcmp(padding.text, "same") == 0
                          ? w->dilation[i] * (w->kernel[i] - 1)
                          : 0;

        window_halve(&w->pads[i], &w->pads[w->n + i], all);
    }
    return AX_OK;
}

/* arg: x, weight, bias, stride, padding, dilation, transposed,
 * output_padding, groups. */
static ax_status convolve(struct aten *a, struct aten_value *out,
                          const struct aten_value *arg, int number,
                          struct ax_err *err)
{
    bool transposed = arg[6].i;
    int64_t more[WINDOW_MAX];
    struct window w;
    uint32_t b = AX_NONE;

    AX_TRY(spatial(a, &w.n, arg[0].value, number, err));
    for (size_t i = 0; i < w.n; i++)
        AX_TRY(aten_fixed(a, &w.kernel[i], arg[1].value, (int)i + 2, err));
    AX_TRY(aten_get_ints(w.stride, w.n, arg[3], "stride", 1, 1, err));
    AX_TRY(aten_get_ints(w.dilation, w.n, arg[5], "dilation", 1, 1, err));
    AX_TRY(conv_pads(&w, arg[4], err));
    AX_TRY(aten_get_ints(more, w.n, arg[7], "output_padding", 0, 0, err));
    AX_TRY(aten_value_of(a, &b, arg[2], AX_F32, err));
    out->kind = ATEN_TENSOR;
    AX_TRY(aten_emit(a, &out->value,
                     transposed ? AX_OP_ConvTranspose : AX_OP_Conv,
                     arg[0].value, arg[1].value, b, err));
    AX_TRY(window_attrs(a, &w, true, err));
    if (transposed)
        AX_TRY(aten_attr_ints(a, "output_padding", more, w.n, 0, err));
    return aten_attr(a, "group", arg[8].i, 1, err);
}

/* arg: x, weight, bias, stride, padding, dilation, groups. */
static ax_status conv(struct aten *a, struct aten_value *out,
                      const struct aten_value *arg, int number,
                      struct ax_err *err)
{
    const struct aten_value v[] = {arg[0], arg[1], arg[2], arg[3], arg[4],
                                   arg[5], {0},    {0},    arg[6]};

    return convolve(a, out, v, number, err);
}

/* arg: x, weight, bias, stride, padding, output_padding, groups, dilation. */
static ax_status conv_transpose(struct aten *a, struct aten_value *out,
                                const struct aten_value *arg, int number,
                                struct ax_err *err)
{
    const struct aten_value yes = {.kind = ATEN_BOOL, .i = 1};
    const struct aten_value v[] = {arg[0], arg[1], arg[2], arg[3], arg[4],
                                   arg[7], yes,    arg[5], arg[6]};

    return convolve(a, out, v, number, err);
}

/* ---- pooling ---- */

static ax_status pool_window(struct window *w, struct aten_value kernel,
                             struct aten_value stride,
                             struct aten_value padding,
                             struct aten_value dilation, struct ax_err *err)
{
    struct aten_value none = {0};

    AX_TRY(aten_get_ints(w->kernel, w->n, kernel, "kernel_size", 0, 1, err));
    AX_TRY(
        aten_get_ints(w->stride, w->n,
                      stride.kind == ATEN_LIST && !stride.n ? none : stride,
                      "stride", 1, 1, err));
    if (stride.kind == ATEN_NONE || (stride.kind == ATEN_LIST && !stride.n))
        memcpy(w->stride, w->kernel, sizeof w->stride);
    AX_TRY(aten_get_ints(w->pads, w->n, padding, "padding", 0, 0, err));
    AX_TRY(aten_get_ints(w->dilation, w->n, dilation, "dilation", 1, 1, err));
    for (size_t i = 0; i < w->n; i++)
        if (2 * w->pads[i] > w->kernel[i])
            return ax_fail(err, AX_EFORMAT,
                           "'padding' is more than half of 'kernel_size'");
    memcpy(w->pads + w->n, w->pads, w->n * sizeof *w->pads);
    return AX_OK;
}

static ax_status max_pool(struct aten *a, struct aten_value *out,
                          const struct aten_value *arg, int number,
                          struct ax_err *err)
{
    struct window w;

    AX_TRY(spatial(a, &w.n, arg[0].value, number, err));
    AX_TRY(pool_window(&w, arg[1], arg[2], arg[3], arg[4], err));
    out->kind = ATEN_TENSOR;
    AX_TRY(aten_emit(a, &out->value, AX_OP_MaxPool, arg[0].value, AX_NONE,
                     AX_NONE, err));
    AX_TRY(window_attrs(a, &w, true, err));
    return aten_attr(a, "ceil_mode", arg[5].i, 0, err);
}

/* The indices are not to be had: they count differently. */
static ax_status max_pool_pair(struct aten *a, struct aten_value *out,
                               const struct aten_value *arg, int number,
                               struct ax_err *err)
{
    struct aten_value one = {0};

    AX_TRY(max_pool(a, &one, arg, number, err));
    AX_TRY(aten_list(a, out, ATEN_TUPLE, 2, err));
    out->v[0] = one;
    return AX_OK;
}

/* A window that reaches over the end has fewer elements in PyTorch, and there
 * are two opinions about how many in ONNX. */
static ax_status no_overhang(struct aten *a, uint32_t x,
                             const struct window *w, struct ax_err *err)
{
    for (size_t i = 0; i < w->n; i++) {
        int64_t size;

        AX_TRY(aten_fixed(a, &size, x, (int)i + 2, err));
        if ((size + 2 * w->pads[i] - w->kernel[i]) % w->stride[i])
            return ax_fail(err, AX_EUNSUPPORTED,
                           "argument 'ceil_mode' is not supported where "
                           "windows reach over the end");
    }
    return AX_OK;
}

/* arg: x, kernel, stride, padding, ceil_mode, count_include_pad, divisor. */
static ax_status avg_pool(struct aten *a, struct aten_value *out,
                          const struct aten_value *arg, int number,
                          struct ax_err *err)
{
    struct window w;

    if (arg[6].kind != ATEN_NONE)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "argument 'divisor_override' is not supported");
    AX_TRY(spatial(a, &w.n, arg[0].value, number, err));
    AX_TRY(pool_window(&w, arg[1], arg[2], arg[3], aten_int(1), err));
    if (arg[4].i)
        AX_TRY(no_overhang(a, arg[0].value, &w, err));
    out->kind = ATEN_TENSOR;
    AX_TRY(aten_emit(a, &out->value, AX_OP_AveragePool, arg[0].value, AX_NONE,
                     AX_NONE, err));
    AX_TRY(window_attrs(a, &w, true, err));
    return aten_attr(a, "count_include_pad", arg[5].i, 0, err);
}

/* To a size of the output that divides that of the input. number: spatial
 * dimensions, negative for the greatest instead of the mean. */
static ax_status adaptive_pool(struct aten *a, struct aten_value *out,
                               const struct aten_value *arg, int number,
                               struct ax_err *err)
{
    struct aten_value size[WINDOW_MAX];
    struct window w = {0};
    bool one = true, same = true, most = number < 0;

    AX_TRY(spatial(a, &w.n, arg[0].value, most ? -number : number, err));
    if (arg[1].kind != ATEN_INT && arg[1].n != w.n)
        return ax_fail(err, AX_EFORMAT,
                       "'output_size' has %" PRIu32 " numbers", arg[1].n);
    for (size_t i = 0; i < w.n; i++) {
        size[i] = arg[1].kind == ATEN_INT ? arg[1] : arg[1].v[i];
        one &= size[i].kind == ATEN_INT && size[i].i == 1;
    }
    for (size_t i = 0; i < w.n && !one; i++) {
        int64_t in;

        AX_TRY(aten_fixed(a, &in, arg[0].value, (int)i + 2, err));
        if (size[i].kind == ATEN_NONE)
            size[i] = aten_int(in);
        if (size[i].i < 1 || in % size[i].i)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "from %" PRId64 " to %" PRId64
                           ": only sizes that divide are supported",
                           in, size[i].i);
        same &= in == size[i].i;
        w.kernel[i] = w.stride[i] = in / size[i].i;
        w.dilation[i] = 1;
    }
    *out = arg[0];
    if (one)
        return aten_emit(a, &out->value,
                         most ? AX_OP_GlobalMaxPool : AX_OP_GlobalAveragePool,
                         arg[0].value, AX_NONE, AX_NONE, err);
    if (same)
        return AX_OK;
    AX_TRY(aten_emit(a, &out->value, most ? AX_OP_MaxPool : AX_OP_AveragePool,
                     arg[0].value, AX_NONE, AX_NONE, err));
    return window_attrs(a, &w, true, err);
}

static ax_status adaptive_pair(struct aten *a, struct aten_value *out,
                               const struct aten_value *arg, int number,
                               struct ax_err *err)
{
    struct aten_value one = {0};

    AX_TRY(adaptive_pool(a, &one, arg, number, err));
    AX_TRY(aten_list(a, out, ATEN_TUPLE, 2, err));
    out->v[0] = one;
    return AX_OK;
}

/* ---- padding ---- */

static ax_status add_pad(struct aten *a, struct aten_value *out,
                         struct aten_value x, struct aten_value pads,
                         const char *mode, struct aten_value fill,
                         struct ax_err *err)
{
    int64_t v[2 * AX_RANK_MAX], to[2 * AX_RANK_MAX] = {0};
    uint32_t in[3] = {x.value, AX_NONE, AX_NONE};
    ax_dtype type;
    size_t n;
    int rank;

    AX_TRY(aten_rank(a, &rank, in[0], err));
    AX_TRY(aten_type(a, &type, in[0], err));
    AX_TRY(aten_get_list(v, &n, 2 * AX_RANK_MAX, pads, "pad", err));
    if (n % 2 || n > 2 * (size_t)rank)
        return ax_fail(err, AX_ESHAPE, "'pad' has %zu numbers for rank %d", n,
                       rank);
    for (size_t i = 0; i < n / 2; i++) { /* from the last dimension on */
        to[(size_t)rank - 1 - i] = v[2 * i];
        to[2 * (size_t)rank - 1 - i] = v[2 * i + 1];
    }
    AX_TRY(aten_ints(a, &in[1], to, 2 * (size_t)rank, err));
    if (fill.kind != ATEN_NONE && aten_real(fill) != 0)
        AX_TRY(aten_value_of(a, &in[2], fill, type, err));
    out->kind = ATEN_TENSOR;
    AX_TRY(aten_emit_n(a, &out->value, AX_OP_Pad, in, 3, err));
    return mode ? arch_attr_text(&a->b, "mode", mode, err) : AX_OK;
}

static ax_status pad(struct aten *a, struct aten_value *out,
                     const struct aten_value *arg, int number,
                     struct ax_err *err)
{
    static const char *const modes[][2] = {
        {"constant", NULL}, {"reflect", "reflect"}, {"replicate", "edge"}};
    const char *mode = arg[2].kind == ATEN_TEXT ? arg[2].text : "constant";

    (void)number;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (strcmp(mode, modes[i][0]) == 0)
            return add_pad(a, out, arg[0], arg[1], modes[i][1], arg[3], err);
    return ax_fail(err, AX_EUNSUPPORTED,
                   "argument 'mode' is '%.40s', which is not supported",
                   mode);
}

/* number: 0 constant, 1 reflected, 2 replicated. */
static ax_status pad_as(struct aten *a, struct aten_value *out,
                        const struct aten_value *arg, int number,
                        struct ax_err *err)
{
    static const char *const modes[] = {NULL, "reflect", "edge"};

    return add_pad(a, out, arg[0], arg[1], modes[number], arg[2], err);
}

/* ---- resizing ---- */

/* The size of the output from "output_size", or from the factors. */
static ax_status target(struct aten *a, struct aten_value *shape, uint32_t x,
                        size_t n, struct aten_value size,
                        struct aten_value factors, struct ax_err *err)
{
    if ((size.kind == ATEN_NONE || !size.n) &&
        (factors.kind == ATEN_NONE || factors.n != n))
        return ax_fail(err, AX_EFORMAT,
                       "neither 'output_size' nor 'scale_factors' has %zu "
                       "numbers",
                       n);
    for (size_t i = 0; i < n; i++) {
        int64_t in;
        double by;

        if (size.kind != ATEN_NONE && size.n == n) {
            shape[i + 2] = size.v[i];
            continue;
        }
        AX_TRY(aten_fixed(a, &in, x, (int)i + 2, err));
        by = (double)in * aten_real(factors.v[i]);
        if (!(by >= 1 && by < INT32_MAX) || by != floor(by))
            return ax_fail(err, AX_EUNSUPPORTED,
                           "a factor that gives no whole size is not "
                           "supported");
        shape[i + 2] = aten_int((int64_t)by);
    }
    return AX_OK;
}

/* number: -1 nearest; 0 linear; 1 linear, corners aligned. */
static ax_status resize(struct aten *a, struct aten_value *out,
                        struct aten_value x, struct aten_value size,
                        struct aten_value factors, int number,
                        struct ax_err *err)
{
    uint32_t in[4] = {x.value, AX_NONE, AX_NONE, AX_NONE};
    struct aten_value shape[2 + WINDOW_MAX];
    size_t n = 0;

    AX_TRY(spatial(a, &n, x.value, 0, err));
    AX_TRY(aten_dim(a, &shape[0], x.value, 0, err));
    AX_TRY(aten_dim(a, &shape[1], x.value, 1, err));
    AX_TRY(target(a, shape, x.value, n, size, factors, err));
    AX_TRY(aten_sizes(a, &in[3], shape, (uint32_t)n + 2, err));
    out->kind = ATEN_TENSOR;
    AX_TRY(aten_emit_n(a, &out->value, AX_OP_Resize, in, 4, err));
    if (number) /* half_pixel is the default */
        AX_TRY(arch_attr_text(&a->b, "coordinate_transformation_mode",
                              number < 0 ? "asymmetric" : "align_corners",
                              err));
    return number < 0 ? arch_attr_text(&a->b, "nearest_mode", "floor", err)
                      : arch_attr_text(&a->b, "mode", "linear", err);
}

static ax_status nearest(struct aten *a, struct aten_value *out,
                         const struct aten_value *arg, int number,
                         struct ax_err *err)
{
    return resize(a, out, arg[0], arg[1],
                  number ? arg[2] : (struct aten_value){0}, -1, err);
}

static ax_status bilinear(struct aten *a, struct aten_value *out,
                          const struct aten_value *arg, int number,
                          struct ax_err *err)
{
    return resize(a, out, arg[0], arg[1],
                  number ? arg[3] : (struct aten_value){0}, arg[2].i != 0,
                  err);
}

#define CONV   "input:T weight:T bias:O=None stride:I=1 "
#define GROUPS "dilation:I=1 groups:i=1"
#define FULL                                                              \
    "input:T weight:T bias:O stride:I padding:I dilation:I transposed:b " \
    "output_padding:I groups:i"
#define UP    "output_padding:I=0 groups:i=1 dilation:I=1"
#define POOL  "self:T kernel_size:I stride:I=[] padding:I=0 "
#define FLAGS "ceil_mode:b=False count_include_pad:b=True"

const struct aten_op aten_windows[] = {
    {"convolution", NULL, FULL, convolve, 0},
    {"_convolution", NULL,
     FULL " benchmark:* deterministic:* cudnn_enabled:* allow_tf32:*=None",
     convolve, 0},
    {"_convolution_mode", NULL,
     "input:T weight:T bias:O stride:I padding:t dilation:I groups:i", conv,
     0},
    {"conv1d", "default", CONV "padding:I=0 " GROUPS, conv, 1},
    {"conv2d", "default", CONV "padding:I=0 " GROUPS, conv, 2},
    {"conv3d", "default", CONV "padding:I=0 " GROUPS, conv, 3},
    {"conv1d", "padding", CONV "padding:t " GROUPS, conv, 1},
    {"conv2d", "padding", CONV "padding:t " GROUPS, conv, 2},
    {"conv3d", "padding", CONV "padding:t " GROUPS, conv, 3},
    {"conv_transpose1d", NULL, CONV "padding:I=0 " UP, conv_transpose, 1},
    {"conv_transpose2d", NULL, CONV "padding:I=0 " UP, conv_transpose, 2},
    {"conv_transpose3d", NULL, CONV "padding:I=0 " UP, conv_transpose, 3},
    {"max_pool1d", NULL, POOL "dilation:I=1 ceil_mode:b=False", max_pool, 1},
    {"max_pool2d", NULL, POOL "dilation:I=1 ceil_mode:b=False", max_pool, 2},
    {"max_pool3d", NULL, POOL "dilation:I=1 ceil_mode:b=False", max_pool, 3},
    {"max_pool1d_with_indices", NULL, POOL "dilation:I=1 ceil_mode:b=False",
     max_pool_pair, 1},
    {"max_pool2d_with_indices", NULL, POOL "dilation:I=1 ceil_mode:b=False",
     max_pool_pair, 2},
    {"max_pool3d_with_indices", NULL, POOL "dilation:I=1 ceil_mode:b=False",
     max_pool_pair, 3},
    {"avg_pool1d", NULL, POOL FLAGS, avg_pool, 1},
    {"avg_pool2d", NULL, POOL FLAGS " divisor_override:d=None", avg_pool, 2},
    {"avg_pool3d", NULL, POOL FLAGS " divisor_override:d=None", avg_pool, 3},
    {"adaptive_avg_pool1d", NULL, "self:T output_size:I", adaptive_pool, 1},
    {"adaptive_avg_pool2d", NULL, "self:T output_size:D", adaptive_pool, 2},
    {"adaptive_avg_pool3d", NULL, "self:T output_size:D", adaptive_pool, 3},
    {"_adaptive_avg_pool2d", NULL, "self:T output_size:I", adaptive_pool, 2},
    {"_adaptive_avg_pool3d", NULL, "self:T output_size:I", adaptive_pool, 3},
    {"adaptive_max_pool1d", NULL, "self:T output_size:I", adaptive_pair, -1},
    {"adaptive_max_pool2d", NULL, "self:T output_size:I", adaptive_pair, -2},
    {"pad", NULL, "self:T pad:I mode:t=None value:S=None", pad, 0},
    {"constant_pad_nd", NULL, "self:T pad:I value:s=0", pad_as, 0},
    {"reflection_pad1d", NULL, "self:T padding:I", pad_as, 1},
    {"reflection_pad2d", NULL, "self:T padding:I", pad_as, 1},
    {"replication_pad1d", NULL, "self:T padding:I", pad_as, 2},
    {"replication_pad2d", NULL, "self:T padding:I", pad_as, 2},
    {"upsample_nearest1d", "vec", "input:T output_size:Y scale_factors:F",
     nearest, 1},
    {"upsample_nearest2d", "vec", "input:T output_size:Y scale_factors:F",
     nearest, 1},
    {"upsample_nearest1d", "default", "self:T output_size:I scales:*=None",
     nearest, 0},
    {"upsample_nearest2d", "default",
     "self:T output_size:I scales_h:*=None scales_w:*=None", nearest, 0},
    {"upsample_linear1d", "vec",
     "input:T output_size:Y align_corners:b scale_factors:F", bilinear, 1},
    {"upsample_bilinear2d", "vec",
     "input:T output_size:Y align_corners:b scale_factors:F", bilinear, 1},
    {"upsample_bilinear2d", "default",
     "self:T output_size:I align_corners:b scales_h:*=None scales_w:*=None",
     bilinear, 0},
    {0},
};
