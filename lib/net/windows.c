/* Weighted nodes over windows: Conv and the average pools. */
#include <string.h>

#include "lowering.h"

/* Windows: Conv and AveragePool. Dimensions are the spatial ones. */
struct window {
    int rank;
    int64_t in[AX_RANK_MAX], out[AX_RANK_MAX], kernel[AX_RANK_MAX];
    int64_t stride[AX_RANK_MAX], dilation[AX_RANK_MAX], before[AX_RANK_MAX];
    size_t in_size, out_size, kernel_size;
    size_t channels, out_channels, groups;
    const struct array
        *weight; /* [out_channels, channels / groups, kernel] */
    bool count_pads;
    uint32_t *at, *tap; /* [kernel_size] scratch: input offset, tap */
};

/* The taps of output position o that lie inside the input. */
static size_t window_taps(const struct window *w, size_t o)
{
    int64_t pos[AX_RANK_MAX], tap[AX_RANK_MAX] = {0};
    size_t n = 0;

    for (int d = w->rank - 1; d >= 0; d--) {
        pos[d] = (int64_t)(o % (size_t)w->out[d]) * w->stride[d] -
                 w->before[d];
        o /= (size_t)w->out[d];
    }
    for (size_t t = 0; t < w->kernel_size; t++) {
        int64_t at = 0;
        bool inside = true;

        for (int d = 0; d < w->rank; d++) {
            int64_t x = pos[d] + tap[d] * w->dilation[d];

            inside &= x >= 0 && x < w->in[d];
            at = at * w->in[d] + x;
        }
        if (inside) {
            w->at[n] = (uint32_t)at;
            w->tap[n++] = (uint32_t)t;
        }
        for (int d = w->rank - 1; d >= 0 && ++tap[d] == w->kernel[d]; d--)
            tap[d] = 0;
    }
    return n;
}

static ax_status conv_row(struct lowering *l, const struct window *w,
                          const struct array *x, size_t o)
{
    size_t per_group = w->channels / w->groups;
    size_t m = o / w->out_size % w->out_channels;
    size_t batch = o / w->out_size / w->out_channels;
    size_t group = m / (w->out_channels / w->groups);
    size_t taps = window_taps(w, o % w->out_size);

    for (size_t c = 0; c < per_group; c++) {
        size_t in = (batch * w->channels + group * per_group + c) *
                    w->in_size;
        size_t weight = (m * per_group + c) * w->kernel_size;

        for (size_t t = 0; t < taps; t++)
            AX_TRY(net_term(l, x, in + w->at[t],
                            array_value(w->weight, weight + w->tap[t])));
    }
    return AX_OK;
}

/* An attribute of integers, one a spatial dimension, each in [low, 2^20]. */
static ax_status window_ints(struct lowering *l, const char *name,
                             int64_t *out, size_t n, int64_t dflt,
                             int64_t low)
{
    const struct ax_attr *a = ax_node_attr(l->node, name);

    for (size_t i = 0; i < n; i++)
        out[i] = dflt;
    if (!a)
        return AX_OK;
    if (a->kind != AX_ATTR_INTS || a->n != n)
        return net_refuse(l, "%s wants %zu integers", name, n);
    for (size_t i = 0; i < n; i++) {
        if (a->ints[i] < low || a->ints[i] > 1 << 20)
            return net_refuse(l, "%s of %lld", name, (long long)a->ints[i]);
        out[i] = a->ints[i];
    }
    return AX_OK;
}

/* Everything but channels and weights. w->kernel is set, or is an
 * attribute. dims becomes the output's shape after the first two. */
static ax_status window_shape(struct lowering *l, struct window *w,
                              const struct array *in, int64_t *dims)
{
    const char *auto_pad = ax_node_string(l->node, "auto_pad", "NOTSET");
    bool ceil_mode = ax_node_int(l->node, "ceil_mode", 0) != 0;
    bool same = !strncmp(auto_pad, "SAME_", 5);
    int64_t pads[2 * AX_RANK_MAX];
    size_t n = (size_t)w->rank;

    AX_TRY(window_ints(l, "strides", w->stride, n, 1, 1));
    AX_TRY(window_ints(l, "dilations", w->dilation, n, 1, 1));
    AX_TRY(window_ints(l, "pads", pads, 2 * n, 0, 0));
    w->in_size = w->out_size = w->kernel_size = 1;
    for (int d = 0; d < w->rank; d++) {
        int64_t reach = (w->kernel[d] - 1) * w->dilation[d] + 1, total, room;

        w->in[d] = in->dims[d + 2];
        w->before[d] = pads[d];
        total = pads[d] + pads[d + w->rank];
        if (strcmp(auto_pad, "NOTSET"))
            w->before[d] = total = 0;
        if (same) {
            int64_t want = (w->in[d] + w->stride[d] - 1) / w->stride[d];

            total = (want - 1) * w->stride[d] + reach - w->in[d];
            total = total < 0 ? 0 : total;
            w->before[d] = (total + !strcmp(auto_pad, "SAME_LOWER")) / 2;
        }
        room = w->in[d] + total - reach;
        if (w->kernel[d] < 1 || w->kernel[d] > 1 << 20 || room < 0)
            return net_refuse(l, "the window does not fit the input");
        if (ceil_mode && room % w->stride[d])
            return net_refuse(l, "ceil_mode with a window over the edge");
        dims[d] = w->out[d] = room / w->stride[d] + 1;
        w->in_size *= (size_t)w->in[d];
        w->kernel_size *= (size_t)w->kernel[d];
        if (w->kernel_size > MAX_ELEMENT)
            return net_refuse(l, "a window that is too large");
    }
    return AX_OK;
}

static ax_status window_scratch(struct lowering *l, struct window *w)
{
    for (int d = 0; d < w->rank; d++)
        w->out_size *= (size_t)w->out[d];
    w->at = net_alloc(l, w->kernel_size, sizeof *w->at);
    w->tap = net_alloc(l, w->kernel_size, sizeof *w->tap);
    return w->at && w->tap ? AX_OK : net_no_memory(l);
}

ax_status net_conv(struct lowering *l, struct array *out)
{
    const struct array *x = net_input(l, 0), *k = net_input(l, 1);
    const struct array *b = net_input(l, 2);
    struct window w = {.rank = x->rank - 2};
    int64_t dims[AX_RANK_MAX], groups = ax_node_int(l->node, "group", 1);

    if (x->rank < 3 || k->rank != x->rank)
        return net_refuse(l, "%d and %d dimensions", x->rank, k->rank);
    if (!array_constant(k) || (b && !array_constant(b)))
        return net_refuse(l, "the weights depend on the input");
    if (groups < 1 || x->dims[1] % groups ||
        x->dims[1] / groups != k->dims[1] || k->dims[0] % groups)
        return net_refuse(l, "channels and groups do not fit");
    if (b && b->n != (size_t)k->dims[0])
        return net_refuse(l, "%zu biases for %lld channels", b->n,
                          (long long)k->dims[0]);
    memcpy(w.kernel, k->dims + 2, (size_t)w.rank * sizeof *w.kernel);
    AX_TRY(window_shape(l, &w, x, dims + 2));
    dims[0] = x->dims[0];
    dims[1] = k->dims[0];
    AX_TRY(net_shape(l, out, x->rank, dims));
    AX_TRY(window_scratch(l, &w));
    w.channels = (size_t)x->dims[1];
    w.out_channels = (size_t)k->dims[0];
    w.groups = (size_t)groups;
    w.weight = k;
    AX_TRY(net_begin(l, AX_NET_WEIGHTED, out));
    for (size_t o = 0; o < out->n; o++) {
        AX_TRY(conv_row(l, &w, x, o));
        if (b)
            AX_TRY(net_bias(
                l, array_value(b, o / w.out_size % w.out_channels), 1));
        net_row(l);
    }
    return net_end(l, out);
}

/* The mean of the taps inside of every window. */
static ax_status pool(struct lowering *l, struct array *out, struct window *w,
                      const struct array *x, const int64_t *dims)
{
    AX_TRY(net_shape(l, out, x->rank, dims));
    AX_TRY(window_scratch(l, w));
    AX_TRY(net_begin(l, AX_NET_WEIGHTED, out));
    for (size_t o = 0; o < out->n; o++) {
        size_t taps = window_taps(w, o % w->out_size);

        if (!taps)
            return net_refuse(l, "a window of padding alone");
        AX_TRY(
            net_divide(l, (double)(w->count_pads ? w->kernel_size : taps)));
        for (size_t t = 0; t < taps; t++)
            AX_TRY(
                net_term(l, x, o / w->out_size * w->in_size + w->at[t], 1));
        net_row(l);
    }
    return net_end(l, out);
}

ax_status net_average_pool(struct lowering *l, struct array *out)
{
    const struct array *x = net_input(l, 0);
    const struct ax_attr *kernel = ax_node_attr(l->node, "kernel_shape");
    struct window w = {.rank = x->rank - 2};
    int64_t dims[AX_RANK_MAX];

    if (x->rank < 3 || !kernel || kernel->kind != AX_ATTR_INTS ||
        kernel->n != (size_t)w.rank)
        return net_refuse(l, "kernel_shape does not fit the input");
    memcpy(w.kernel, kernel->ints, kernel->n * sizeof *w.kernel);
    memcpy(dims, x->dims, 2 * sizeof *dims);
    AX_TRY(window_shape(l, &w, x, dims + 2));
    w.count_pads = ax_node_int(l->node, "count_include_pad", 0) != 0;
    return pool(l, out, &w, x, dims);
}

ax_status net_global_average_pool(struct lowering *l, struct array *out)
{
    const struct array *x = net_input(l, 0);
    struct window w = {.rank = x->rank - 2};
    int64_t dims[AX_RANK_MAX];

    if (x->rank < 3)
        return net_refuse(l, "%d dimensions", x->rank);
    memcpy(w.kernel, x->dims + 2, (size_t)w.rank * sizeof *w.kernel);
    memcpy(dims, x->dims, 2 * sizeof *dims);
    AX_TRY(window_shape(l, &w, x, dims + 2));
    return pool(l, out, &w, x, dims);
}
