/* Layers that go over an image or a sequence by windows. */
#include <inttypes.h>
#include <string.h>

#include "formats/keras/keras.h"
#include "formats/window.h"

/* By dimension; of a sequence the first alone. */
struct window {
    int n;
    int64_t kernel[2], stride[2], dilation[2], pads[4];
    bool same;
};

/* The input with its channels first, and its size: [-1: not known]. */
static ax_status image(struct keras *k, uint32_t *v, int n, int64_t *size,
                       struct ax_err *err)
{
    if (k->n_in != 1 || k->in[0]->rank != n + 2)
        return keras_refuse(k, err, "an input of %d dimensions",
                            k->n_in ? k->in[0]->rank : 0);
    AX_TRY(keras_value(k, v, 0, CHANNELS_FIRST, err));
    AX_TRY(ax_growth_infer(k->growth, err));
    for (int i = 0; i < n + 1; i++) { /* channels, then space */
        int power = 0;

        ax_growth_dim(k->growth, *v, 1 + i, &size[i], &power);
        if (power != 0 || size[i] < 1 || size[i] > INT32_MAX)
            size[i] = -1;
    }
    return AX_OK;
}

static ax_status read_window(struct keras *k, struct window *w, int n,
                             const char *kernel, bool pool,
                             struct ax_err *err)
{
    const char *padding = keras_text(k, "padding", "valid");
    int64_t one[2] = {1, 1};

    w->n = n;
    AX_TRY(keras_ints(k, w->kernel, n, kernel, 1, 0, err));
    AX_TRY(keras_ints(k, w->stride, n, "strides", 1, 1, err));
    if (pool && json_is_null(json_object_get(k->config, "strides")))
        memcpy(w->stride, w->kernel, sizeof w->stride);
    memcpy(w->dilation, one, sizeof one);
    if (!pool)
        AX_TRY(keras_ints(k, w->dilation, n, "dilation_rate", 1, 1, err));
    w->same = strcmp(padding, "same") == 0;
    if (!w->same && strcmp(padding, "valid") != 0)
        return keras_refuse(k, err, "padding '%.20s'", padding);
    return AX_OK;
}

static ax_status pad_same(struct keras *k, struct window *w,
                          const int64_t *size, struct ax_err *err)
{
    for (int i = 0; i < w->n && w->same; i++) {
        if (w->stride[i] > 1 && size[i] < 0)
            return keras_refuse(k, err, "padding 'same' of a free dimension");
        window_halve(
            &w->pads[i], &w->pads[w->n + i],
            window_same(size[i], w->stride[i], w->kernel[i], w->dilation[i]));
    }
    return AX_OK;
}

static ax_status window_attrs(struct keras *k, const struct window *w,
                              struct ax_err *err)
{
    size_t n = (size_t)w->n;

    AX_TRY(arch_attr_ints(&k->a, "kernel_shape", w->kernel, n, err));
    AX_TRY(arch_attr_ints(&k->a, "strides", w->stride, n, err));
    return arch_attr_ints(&k->a, "pads", w->pads, 2 * n, err);
}

static ax_status convolve(struct keras *k, uint32_t *in,
                          const struct window *w, int64_t group,
                          const char *what, struct ax_err *err)
{
    AX_TRY(arch_node(&k->a, &in[0], AX_OP_Conv, what, in, 3, err));
    AX_TRY(window_attrs(k, w, err));
    AX_TRY(
        arch_attr_ints(&k->a, "dilations", w->dilation, (size_t)w->n, err));
    return arch_attr_int(&k->a, "group", group, err);
}

static ax_status end(struct keras *k, uint32_t v, struct ax_err *err)
{
    AX_TRY(keras_activation(k, &v, CHANNELS_FIRST, err));
    keras_gives(k, v, CHANNELS_FIRST, k->in[0]->rank);
    return AX_OK;
}

static ax_status bias(struct keras *k, uint32_t *v, int64_t n,
                      struct ax_err *err)
{
    *v = AX_NONE;
    return keras_bool(k, "use_bias", true)
               ? keras_vector(k, v, "bias", true, n, 0, err)
               : AX_OK;
}

/* Does the kernel have the size that the configuration says? */
static ax_status check_kernel(const struct keras *k, const struct window *w,
                              const struct keras_weight *kernel,
                              struct ax_err *err)
{
    for (int i = 0; i < w->n; i++)
        if (kernel->a.dims[i] != w->kernel[i])
            return ax_fail(err, AX_EFORMAT,
                           "layer '%.60s': the kernel is %" PRId64
                           " wide, the configuration says %" PRId64,
                           k->name, kernel->a.dims[i], w->kernel[i]);
    return AX_OK;
}

/* Kernels [space, in / groups, out]. */
ax_status keras_conv(struct keras *k, int n, struct ax_err *err)
{
    const int perm[] = {n + 1, n, 0, 1};
    struct window w = {.n = n};
    struct keras_weight kernel;
    int64_t size[3], dims[4], groups;
    uint32_t in[3];

    AX_TRY(read_window(k, &w, n, "kernel_size", false, err));
    AX_TRY(keras_ints(k, &groups, 1, "groups", 1, 1, err));
    AX_TRY(image(k, &in[0], n, size, err));
    AX_TRY(pad_same(k, &w, &size[1], err));
    AX_TRY(keras_weight(k, &kernel, "kernel", n + 2, err));
    AX_TRY(check_kernel(k, &w, &kernel, err));
    for (int i = 0; i < n + 2; i++)
        dims[i] = kernel.a.dims[perm[i]];
    AX_TRY(keras_constant(k, &in[1], &kernel, perm, n + 2, dims, err));
    AX_TRY(bias(k, &in[2], dims[0], err));
    AX_TRY(convolve(k, in, &w, groups, "", err));
    return end(k, in[0], err);
}

/* The part of a layer that goes by depth: kernels [height, width, in,
 * multiplier]. */
static ax_status by_depth(struct keras *k, uint32_t *in, struct window *w,
                          const char *what, const char *called, bool has_bias,
                          struct ax_err *err)
{
    static const int perm[] = {2, 3, 0, 1};
    struct keras_weight kernel;
    int64_t size[3], dims[4];

    AX_TRY(image(k, &in[0], 2, size, err));
    AX_TRY(pad_same(k, w, &size[1], err));
    AX_TRY(keras_weight(k, &kernel, what, 4, err));
    AX_TRY(check_kernel(k, w, &kernel, err));
    dims[0] = kernel.a.dims[2] * kernel.a.dims[3];
    dims[1] = 1;
    dims[2] = kernel.a.dims[0];
    dims[3] = kernel.a.dims[1];
    AX_TRY(keras_constant(k, &in[1], &kernel, perm, 4, dims, err));
    in[2] = AX_NONE;
    if (has_bias)
        AX_TRY(bias(k, &in[2], dims[0], err));
    return convolve(k, in, w, kernel.a.dims[2], called, err);
}

/* In Keras 3 the weight is called kernel. */
ax_status keras_depthwise(struct keras *k, int n, struct ax_err *err)
{
    struct window w = {.n = n};
    uint32_t in[3];

    AX_TRY(read_window(k, &w, n, "kernel_size", false, err));
    AX_TRY(by_depth(k, in, &w, k->version < 3 ? "depthwise_kernel" : "kernel",
                    "", true, err));
    return end(k, in[0], err);
}

ax_status keras_separable(struct keras *k, int n, struct ax_err *err)
{
    static const int perm[] = {3, 2, 0, 1};
    struct window w = {.n = n}, point = {.n = n};
    struct keras_weight kernel;
    uint32_t in[3];
    int64_t dims[4];

    AX_TRY(read_window(k, &w, n, "kernel_size", false, err));
    AX_TRY(by_depth(k, in, &w, "depthwise_kernel", "depthwise", false, err));
    AX_TRY(keras_weight(k, &kernel, "pointwise_kernel", 4, err));
    for (int i = 0; i < 4; i++)
        dims[i] = kernel.a.dims[perm[i]];
    for (int i = 0; i < 2; i++)
        point.kernel[i] = point.stride[i] = point.dilation[i] = 1;
    AX_TRY(check_kernel(k, &point, &kernel, err));
    AX_TRY(keras_constant(k, &in[1], &kernel, perm, 4, dims, err));
    AX_TRY(bias(k, &in[2], dims[0], err));
    AX_TRY(convolve(k, in, &point, 1, "", err));
    return end(k, in[0], err);
}

/* Kernels [height, width, out, in]. What a convolution of the result would be
 * padded by is cut off. */
ax_status keras_transposed(struct keras *k, int n, struct ax_err *err)
{
    static const int perm[] = {3, 2, 0, 1};
    const json_t *more = json_object_get(k->config, "output_padding");
    struct window w = {.n = n};
    struct keras_weight kernel;
    int64_t size[3], dims[4], rest[2] = {0, 0};
    uint32_t in[3];

    AX_TRY(read_window(k, &w, n, "kernel_size", false, err));
    if ((more && !json_is_null(more)) || w.dilation[0] > 1 ||
        w.dilation[1] > 1)
        return keras_refuse(k, err, "output_padding, or a dilation,");
    AX_TRY(image(k, &in[0], n, size, err));
    for (int i = 0; i < 2; i++) {
        int64_t total = w.kernel[i] - w.stride[i];

        /* 'same' gives size x stride, 'valid' at least that. */
        rest[i] = total < 0 ? -total : 0;
        total = total > 0 && w.same ? total : 0;
        window_halve(&w.pads[i], &w.pads[2 + i], total);
    }
    AX_TRY(keras_weight(k, &kernel, "kernel", 4, err));
    AX_TRY(check_kernel(k, &w, &kernel, err));
    for (int i = 0; i < 4; i++)
        dims[i] = kernel.a.dims[perm[i]];
    AX_TRY(keras_constant(k, &in[1], &kernel, perm, 4, dims, err));
    AX_TRY(bias(k, &in[2], dims[1], err));
    AX_TRY(arch_node(&k->a, &in[0], AX_OP_ConvTranspose, "", in, 3, err));
    AX_TRY(window_attrs(k, &w, err));
    AX_TRY(arch_attr_ints(&k->a, "output_padding", rest, 2, err));
    return end(k, in[0], err);
}

/* Means are of what lies inside. */
ax_status keras_pool(struct keras *k, int op, struct ax_err *err)
{
    bool line = strstr(k->class, "1D") != NULL;
    struct window w = {.n = 0};
    int64_t size[3];
    uint32_t v;

    AX_TRY(read_window(k, &w, line ? 1 : 2, "pool_size", true, err));
    AX_TRY(image(k, &v, w.n, size, err));
    AX_TRY(pad_same(k, &w, &size[1], err));
    AX_TRY(arch_node1(&k->a, &v, (ax_op)op, "", v, err));
    AX_TRY(window_attrs(k, &w, err));
    keras_gives(k, v, CHANNELS_FIRST, k->in[0]->rank);
    return AX_OK;
}

ax_status keras_global(struct keras *k, int op, struct ax_err *err)
{
    bool keep = keras_bool(k, "keepdims", false);
    int64_t size[3];
    uint32_t v;

    AX_TRY(image(k, &v, strstr(k->class, "1D") ? 1 : 2, size, err));
    AX_TRY(arch_node1(&k->a, &v, (ax_op)op, keep ? "" : "pool", v, err));
    if (!keep)
        AX_TRY(arch_node1(&k->a, &v, AX_OP_Flatten, "", v, err));
    keras_gives(k, v, keep ? CHANNELS_FIRST : PLAIN,
                keep ? k->in[0]->rank : 2);
    return AX_OK;
}

/* Pairs of before and after by dimension; one number or one pair stands for
 * all. */
static ax_status read_ends(struct keras *k, const char *key, int n,
                           int64_t out[4], struct ax_err *err)
{
    const json_t *v = json_object_get(k->config, key);

    for (int i = 0; i < 2 * n; i++) {
        const json_t *one = json_is_array(v) && n == 2
                                ? json_array_get(v, (size_t)i / 2)
                                : v;

        if (json_is_array(one))
            one = json_array_get(one, (size_t)i % 2);
        if (!json_is_integer(one) || json_integer_value(one) < 0 ||
            json_integer_value(one) > INT32_MAX)
            return keras_refuse(k, err, "this '%s'", key);
        out[i] = json_integer_value(one);
    }
    return AX_OK;
}

ax_status keras_pad(struct keras *k, int n, struct ax_err *err)
{
    int64_t ends[4], pads[8] = {0}, size[3];
    uint32_t in[2];

    AX_TRY(read_ends(k, "padding", n, ends, err));
    AX_TRY(image(k, &in[0], n, size, err));
    for (int i = 0; i < n; i++) {
        pads[2 + i] = ends[2 * i];
        pads[n + 4 + i] = ends[2 * i + 1];
    }
    AX_TRY(arch_ints(&k->a, &in[1], "pads", pads, 2 * (size_t)n + 4, err));
    AX_TRY(arch_node(&k->a, &in[0], AX_OP_Pad, "", in, 2, err));
    keras_gives(k, in[0], CHANNELS_FIRST, n + 2);
    return AX_OK;
}

ax_status keras_crop(struct keras *k, int n, struct ax_err *err)
{
    static const int64_t axes[] = {2, 3};
    int64_t ends[4], from[2], to[2], size[3];
    uint32_t in[4];

    AX_TRY(read_ends(k, "cropping", n, ends, err));
    AX_TRY(image(k, &in[0], n, size, err));
    for (int i = 0; i < n; i++) {
        from[i] = ends[2 * i];
        to[i] = ends[2 * i + 1] ? -ends[2 * i + 1] : INT64_MAX;
    }
    AX_TRY(arch_ints(&k->a, &in[1], "from", from, (size_t)n, err));
    AX_TRY(arch_ints(&k->a, &in[2], "to", to, (size_t)n, err));
    AX_TRY(arch_ints(&k->a, &in[3], "axes", axes, (size_t)n, err));
    AX_TRY(arch_node(&k->a, &in[0], AX_OP_Slice, "", in, 4, err));
    keras_gives(k, in[0], CHANNELS_FIRST, n + 2);
    return AX_OK;
}

ax_status keras_upsample(struct keras *k, int n, struct ax_err *err)
{
    const char *how = keras_text(k, "interpolation", "nearest");
    bool nearest = strcmp(how, "nearest") == 0;
    static const int64_t axes[] = {2, 3};
    uint32_t in[4] = {0, AX_NONE, AX_NONE, AX_NONE};
    int64_t size[3], by[2];

    if (!nearest && strcmp(how, "bilinear") != 0)
        return keras_refuse(k, err, "interpolation '%.20s'", how);
    AX_TRY(keras_ints(k, by, n, "size", 1, 2, err));
    AX_TRY(image(k, &in[0], n, size, err));
    if (size[1] < 0 || size[2] < 0)
        return keras_refuse(k, err, "an image of a free size");
    for (int i = 0; i < 2; i++)
        by[i] *= size[1 + i];
    AX_TRY(arch_ints(&k->a, &in[3], "size", by, 2, err));
    AX_TRY(arch_node(&k->a, &in[0], AX_OP_Resize, "", in, 4, err));
    AX_TRY(arch_attr_ints(&k->a, "axes", axes, 2, err));
    AX_TRY(
        arch_attr_text(&k->a, "mode", nearest ? "nearest" : "linear", err));
    AX_TRY(arch_attr_text(&k->a, "coordinate_transformation_mode",
                          nearest ? "asymmetric" : "half_pixel", err));
    if (nearest)
        AX_TRY(arch_attr_text(&k->a, "nearest_mode", "floor", err));
    keras_gives(k, in[0], CHANNELS_FIRST, n + 2);
    return AX_OK;
}
