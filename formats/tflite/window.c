/* Convolutions, pooling and what else goes over an image by windows. */
#include <inttypes.h>
#include <stdlib.h>

#include "formats/tflite/tflite.h"
#include "formats/window.h"

/* Fields of the options. */
enum { PADDING, STRIDE_W, STRIDE_H };
enum { CONV_ACTIVATION = 3, CONV_DILATION_W, CONV_DILATION_H };
enum { DEPTHWISE_ACTIVATION = 4, DEPTHWISE_DILATION_W, DEPTHWISE_DILATION_H };
enum { POOL_WIDTH = 3, POOL_HEIGHT, POOL_ACTIVATION };
enum { TRANSPOSE_ACTIVATION = 3 };

/* Height first. */
struct window {
    int64_t kernel[2], stride[2], dilation[2], pads[4];
    bool same;
};

static ax_status read_window(struct tflite *t, struct window *w, int dilation,
                             struct ax_err *err)
{
    int64_t padding = flat_int(&t->f, t->options, PADDING, 1, 0);

    w->stride[0] = flat_int(&t->f, t->options, STRIDE_H, 4, 0);
    w->stride[1] = flat_int(&t->f, t->options, STRIDE_W, 4, 0);
    for (int i = 0; i < 2; i++) {
        w->dilation[i] = 1;
        if (dilation)
            w->dilation[i] = flat_int(&t->f, t->options, dilation + 1 - i, 4,
                                      1);
        if (w->stride[i] < 1 || w->dilation[i] < 1 || w->kernel[i] < 1)
            return ax_fail(err, AX_EFORMAT,
                           "%s with a stride of %" PRId64
                           ", a dilation of %" PRId64 ", windows of %" PRId64,
                           t->op_name, w->stride[i], w->dilation[i],
                           w->kernel[i]);
    }
    if (padding != 0 && padding != 1)
        return ax_fail(err, AX_EFORMAT, "%s with a padding of kind %" PRId64,
                       t->op_name, padding);
    w->same = padding == 0;
    return AX_OK;
}

static ax_status pad_same(struct tflite *t, struct window *w,
                          const int64_t *size, struct ax_err *err)
{
    for (int i = 0; i < 2 && w->same; i++) {
        if (w->stride[i] > 1 && size[i] < 0)
            return tflite_refuse(t, err, "padding SAME of a free dimension");
        window_halve(
            &w->pads[i], &w->pads[2 + i],
            window_same(size[i], w->stride[i], w->kernel[i], w->dilation[i]));
    }
    return AX_OK;
}

static ax_status window_attrs(struct tflite *t, const struct window *w,
                              struct ax_err *err)
{
    AX_TRY(arch_attr_ints(&t->a, "kernel_shape", w->kernel, 2, err));
    AX_TRY(arch_attr_ints(&t->a, "strides", w->stride, 2, err));
    return arch_attr_ints(&t->a, "pads", w->pads, 4, err);
}

/* Input i with its channels first, and [batch, height, width, channels] of
 * it: as the file says, or as follows from the graph so far. */
static ax_status image(struct tflite *t, size_t i, uint32_t *v,
                       int64_t size[4], struct ax_err *err)
{
    static const int order[] = {0, 2, 3, 1};
    const struct tflite_tensor *x = tflite_in(t, i);
    bool known = false;

    AX_TRY(tflite_value(t, v, i, CHANNELS_FIRST, err));
    for (int k = 0; k < 4; k++) {
        int power = 0;

        size[k] = x->dims[k];
        if (k == 0 || size[k] >= 0)
            continue;
        if (!known)
            AX_TRY(ax_growth_infer(t->growth, err));
        known = true;
        ax_growth_dim(t->growth, *v, order[k], &size[k], &power);
        if (power != 0 || size[k] > INT32_MAX)
            size[k] = -1;
    }
    return AX_OK;
}

/* Input 1, the weights: DIMS are theirs in the order of PERM, the last two
 * those of the window. */
static ax_status read_kernel(struct tflite *t, int64_t dims[4],
                             struct window *w, const int *perm, int dilation,
                             struct ax_err *err)
{
    const struct tflite_tensor *x = tflite_in(t, 1);

    if (!x || !x->data || x->rank != 4)
        return tflite_refuse(t, err, "weights that are not constant");
    for (int i = 0; i < 4; i++)
        dims[i] = x->dims[perm[i]];
    *w = (struct window){.kernel = {dims[2], dims[3]}};
    return read_window(t, w, dilation, err);
}

static ax_status convolve(struct tflite *t, uint32_t *in, struct window *w,
                          const int64_t *size, int64_t groups, int activation,
                          struct ax_err *err)
{
    AX_TRY(pad_same(t, w, &size[1], err));
    in[2] = AX_NONE;
    if (tflite_in(t, 2))
        AX_TRY(tflite_value(t, &in[2], 2, PLAIN, err));
    AX_TRY(arch_node(&t->a, &in[0], AX_OP_Conv, "", in, 3, err));
    AX_TRY(window_attrs(t, w, err));
    AX_TRY(arch_attr_ints(&t->a, "dilations", w->dilation, 2, err));
    AX_TRY(arch_attr_int(&t->a, "group", groups, err));
    AX_TRY(tflite_activation(
        t, &in[0], flat_int(&t->f, t->options, activation, 1, 0), err));
    return tflite_result(t, 0, in[0], CHANNELS_FIRST, false, err);
}

/* Weights [out, height, width, in / groups]. */
ax_status tflite_conv(struct tflite *t, int64_t what, struct ax_err *err)
{
    static const int perm[] = {0, 3, 1, 2};
    int64_t size[4], dims[4];
    struct window w;
    uint32_t in[3];

    (void)what;
    AX_TRY(read_kernel(t, dims, &w, perm, CONV_DILATION_W, err));
    AX_TRY(image(t, 0, &in[0], size, err));
    if (size[3] < 1 || dims[1] < 1 || size[3] % dims[1])
        return ax_fail(err, AX_EFORMAT,
                       "CONV_2D of %" PRId64 " channels by weights for "
                       "%" PRId64,
                       size[3], dims[1]);
    AX_TRY(tflite_weight(t, &in[1], 1, perm, dims, err));
    return convolve(t, in, &w, size, size[3] / dims[1], CONV_ACTIVATION, err);
}

/* Weights [1, height, width, out]. */
ax_status tflite_depthwise(struct tflite *t, int64_t what, struct ax_err *err)
{
    static const int perm[] = {3, 0, 1, 2};
    int64_t size[4], dims[4];
    struct window w;
    uint32_t in[3];

    (void)what;
    AX_TRY(read_kernel(t, dims, &w, perm, DEPTHWISE_DILATION_W, err));
    AX_TRY(image(t, 0, &in[0], size, err));
    if (dims[1] != 1 || size[3] < 1 || dims[0] % size[3])
        return ax_fail(err, AX_EFORMAT,
                       "DEPTHWISE_CONV_2D of %" PRId64
                       " channels to %" PRId64,
                       size[3], dims[0]);
    AX_TRY(tflite_weight(t, &in[1], 1, perm, dims, err));
    return convolve(t, in, &w, size, size[3], DEPTHWISE_ACTIVATION, err);
}

/* Inputs: the shape of the result, weights [out, height, width, in], the
 * image. */
ax_status tflite_transpose_conv(struct tflite *t, int64_t what,
                                struct ax_err *err)
{
    static const int perm[] = {3, 0, 1, 2};
    const struct tflite_tensor *y = tflite_out(t, 0);
    struct window w;
    uint32_t in[3] = {0, 0, AX_NONE};
    int64_t size[4], dims[4], out[2], more[2];

    (void)what;
    AX_TRY(read_kernel(t, dims, &w, perm, 0, err));
    if (y->rank != 4)
        return ax_fail(err, AX_EFORMAT, "TRANSPOSE_CONV to no image");
    for (int i = 0; i < 2; i++) /* the shape at input 0, perhaps computed */
        out[i] = y->dims[1 + i];
    AX_TRY(image(t, 2, &in[0], size, err));
    /* What a convolution of the result would be padded by is cut off; what
     * no window reaches is more. */
    for (int i = 0; i < 2; i++) {
        int64_t full, total;

        if (size[1 + i] < 0 || out[i] < 1 || out[i] > INT32_MAX)
            return tflite_refuse(t, err, "free dimensions");
        full = (size[1 + i] - 1) * w.stride[i] + w.kernel[i];
        total = full - out[i];
        more[i] = total < 0 ? -total : 0;
        total = total > 0 ? total : 0;
        window_halve(&w.pads[i], &w.pads[2 + i], total);
        if (more[i] >= w.stride[i] || (total > 0 && !w.same))
            return ax_fail(err, AX_EFORMAT,
                           "TRANSPOSE_CONV to a size of %" PRId64, out[i]);
    }
    AX_TRY(tflite_weight(t, &in[1], 1, perm, dims, err));
    if (tflite_in(t, 3))
        AX_TRY(tflite_value(t, &in[2], 3, PLAIN, err));
    AX_TRY(arch_node(&t->a, &in[0], AX_OP_ConvTranspose, "", in, 3, err));
    AX_TRY(window_attrs(t, &w, err));
    AX_TRY(arch_attr_ints(&t->a, "output_padding", more, 2, err));
    AX_TRY(tflite_activation(
        t, &in[0], flat_int(&t->f, t->options, TRANSPOSE_ACTIVATION, 1, 0),
        err));
    return tflite_result(t, 0, in[0], CHANNELS_FIRST, false, err);
}

/* Means are of what lies inside of the image. */
ax_status tflite_pool(struct tflite *t, int64_t op, struct ax_err *err)
{
    int64_t size[4];
    struct window w = {.same = false};
    uint32_t v;

    w.kernel[0] = flat_int(&t->f, t->options, POOL_HEIGHT, 4, 0);
    w.kernel[1] = flat_int(&t->f, t->options, POOL_WIDTH, 4, 0);
    AX_TRY(read_window(t, &w, 0, err));
    AX_TRY(image(t, 0, &v, size, err));
    AX_TRY(pad_same(t, &w, &size[1], err));
    AX_TRY(arch_node1(&t->a, &v, (ax_op)op, "", v, err));
    AX_TRY(window_attrs(t, &w, err));
    AX_TRY(tflite_activation(
        t, &v, flat_int(&t->f, t->options, POOL_ACTIVATION, 1, 0), err));
    return tflite_result(t, 0, v, CHANNELS_FIRST, op == AX_OP_MaxPool, err);
}

enum { RESIZE_BILINEAR_CORNERS = 2, RESIZE_BILINEAR_CENTERS };
enum { RESIZE_NEAREST_CORNERS, RESIZE_NEAREST_CENTERS };

/* To a constant size. */
ax_status tflite_resize(struct tflite *t, int64_t nearest, struct ax_err *err)
{
    bool corners = flat_int(
        &t->f, t->options,
        nearest ? RESIZE_NEAREST_CORNERS : RESIZE_BILINEAR_CORNERS, 1, 0);
    bool centers = flat_int(
        &t->f, t->options,
        nearest ? RESIZE_NEAREST_CENTERS : RESIZE_BILINEAR_CENTERS, 1, 0);
    int64_t image_size[4];
    static const int64_t axes[] = {2, 3};
    uint32_t in[4] = {0, AX_NONE, AX_NONE, 0};
    int64_t *size, to[2];
    size_t n;

    AX_TRY(image(t, 0, &in[0], image_size, err));
    AX_TRY(tflite_ints(t, &size, &n, 1, err));
    for (int i = 0; i < 2; i++)
        to[i] = n == 2 ? size[i] : 0;
    free(size);
    if (to[0] < 1 || to[1] < 1)
        return ax_fail(err, AX_EFORMAT, "%s to no size", t->op_name);
    AX_TRY(arch_ints(&t->a, &in[3], "size", to, 2, err));
    AX_TRY(arch_node(&t->a, &in[0], AX_OP_Resize, "", in, 4, err));
    AX_TRY(arch_attr_ints(&t->a, "axes", axes, 2, err));
    AX_TRY(
        arch_attr_text(&t->a, "mode", nearest ? "nearest" : "linear", err));
    AX_TRY(arch_attr_text(&t->a, "coordinate_transformation_mode",
                          corners   ? "align_corners"
                          : centers ? "half_pixel"
                                    : "asymmetric",
                          err));
    if (nearest)
        AX_TRY(arch_attr_text(
            &t->a, "nearest_mode",
            corners || centers ? "round_prefer_ceil" : "floor", err));
    return tflite_result(t, 0, in[0], CHANNELS_FIRST, nearest, err);
}
