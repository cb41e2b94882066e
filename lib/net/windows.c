/* Sums over windows and dimensions: Conv, pools, ReduceSum, ReduceMean. */
#include <string.h>

#include "ax/backend.h"
#include "lowering.h"

/* A window, and the part of it at one position that lies inside the input,
 * in window elements. */
struct window {
    struct ax_window w;
    size_t in_size, out_size, kernel_size;
    int64_t start[3], from[3], to[3];
    size_t inside;
};

static ax_status resolve(struct lowering *l, struct window *v,
                         const struct array *in, const int64_t *kernel)
{
    struct ax_err err = {0};

    if (ax_window_resolve(&v->w, l->node, in->rank, in->dims, kernel, &err) !=
        AX_OK)
        return net_refuse(l, "%s", err.msg);
    v->in_size = v->out_size = v->kernel_size = 1;
    for (int d = 0; d < 3; d++) {
        if ((uint64_t)v->w.out[d] > MAX_ELEMENT / v->out_size)
            return net_refuse(l, "a value of more than %llu elements",
                              (unsigned long long)MAX_ELEMENT);
        v->in_size *= (size_t)v->w.in[d];
        v->out_size *= (size_t)v->w.out[d];
        if (__builtin_mul_overflow(v->kernel_size, (size_t)v->w.kernel[d],
                                   &v->kernel_size))
            return net_refuse(l, "a window that is too large");
    }
    return AX_OK;
}

/* Bring the window to output position o. */
static void place(struct window *v, size_t o)
{
    const struct ax_window *w = &v->w;

    v->inside = 1;
    for (int d = 2; d >= 0; d--) {
        int64_t step = w->dilation[d], start, room;

        start = (int64_t)(o % (size_t)w->out[d]) * w->stride[d] - w->begin[d];
        room = w->in[d] - start;
        o /= (size_t)w->out[d];
        v->start[d] = start;
        v->from[d] = start >= 0 ? 0 : (-start + step - 1) / step;
        v->to[d] = room <= 0 ? 0 : (room + step - 1) / step;
        if (v->to[d] > w->kernel[d])
            v->to[d] = w->kernel[d];
        if (v->to[d] < v->from[d])
            v->to[d] = v->from[d];
        v->inside *= (size_t)(v->to[d] - v->from[d]);
    }
}

/* The terms of one channel at the window's place: the channel begins at IN,
 * its weights at WEIGHT of k; all are 1 if there is no k. */
static ax_status window_terms(struct lowering *l, const struct window *v,
                              const struct array *x, size_t in,
                              const struct array *k, size_t weight)
{
    const struct ax_window *w = &v->w;
    int64_t t[3];

    for (t[0] = v->from[0]; t[0] < v->to[0]; t[0]++)
        for (t[1] = v->from[1]; t[1] < v->to[1]; t[1]++)
            for (t[2] = v->from[2]; t[2] < v->to[2]; t[2]++) {
                int64_t at = 0, tap = 0;

                for (int d = 0; d < 3; d++) {
                    at = at * w->in[d] + v->start[d] + t[d] * w->dilation[d];
                    tap = tap * w->kernel[d] + t[d];
                }
                AX_TRY(
                    net_term(l, x, in + (size_t)at,
                             k ? array_value(k, weight + (size_t)tap) : 1));
            }
    return AX_OK;
}

/* Batch and output channels in front, the window's positions behind. */
static ax_status window_shape(struct lowering *l, const struct window *v,
                              struct array *out, int64_t batch,
                              int64_t channels)
{
    int64_t dims[5] = {batch, channels};

    memcpy(dims + 2, v->w.out + 3 - v->w.rank,
           (size_t)v->w.rank * sizeof *dims);
    return net_shape(l, out, v->w.rank + 2, dims);
}

static ax_status check_conv(struct lowering *l, const struct array *x,
                            const struct array *k, const struct array *b,
                            int64_t groups)
{
    if (k->rank != x->rank || x->rank < 3)
        return net_refuse(l, "%d and %d dimensions", x->rank, k->rank);
    if (!array_constant(k) || (b && !array_constant(b)))
        return net_refuse(l, "the weights depend on the input");
    if (groups < 1 || k->dims[1] < 1 || k->dims[0] < 1 ||
        x->dims[1] % groups || x->dims[1] / groups != k->dims[1] ||
        k->dims[0] % groups)
        return net_refuse(l, "channels and groups do not fit");
    if (b && b->n != (size_t)k->dims[0])
        return net_refuse(l, "%zu biases for %lld channels", b->n,
                          (long long)k->dims[0]);
    return AX_OK;
}

ax_status net_conv(struct lowering *l, struct array *out)
{
    const struct array *x = net_input(l, 0), *k = net_input(l, 1);
    const struct array *b = net_input(l, 2);
    int64_t groups = ax_node_int(l->node, "group", 1);
    size_t channels, made, share;
    struct window v;

    AX_TRY(check_conv(l, x, k, b, groups));
    AX_TRY(resolve(l, &v, x, k->dims + 2));
    AX_TRY(window_shape(l, &v, out, x->dims[0], k->dims[0]));
    AX_TRY(net_begin(l, AX_NET_WEIGHTED, out, false));
    channels = (size_t)k->dims[1]; /* of a group */
    made = (size_t)k->dims[0];
    share = made / (size_t)groups;
    for (size_t o = 0; o < out->n; o++) {
        size_t m = o / v.out_size % made;
        size_t plane = o / v.out_size / made * (size_t)x->dims[1] +
                       m / share * channels;

        place(&v, o % v.out_size);
        for (size_t c = 0; c < channels; c++)
            AX_TRY(window_terms(l, &v, x, (plane + c) * v.in_size, k,
                                (m * channels + c) * v.kernel_size));
        if (b)
            AX_TRY(net_bias(l, array_value(b, m), 1));
        net_row(l);
    }
    return net_end(l, out);
}

/* How many elements an average divides by: those inside the input, or those
 * inside its padding too. */
static size_t divisor(const struct window *v, bool count_pads)
{
    const struct ax_window *w = &v->w;
    size_t n = 1;

    if (!count_pads)
        return v->inside;
    for (int d = 0; d < 3; d++) {
        int64_t room = w->in[d] + w->end[d] - v->start[d];
        int64_t whole = (room + w->dilation[d] - 1) / w->dilation[d];

        n *= (size_t)(whole < w->kernel[d] ? whole : w->kernel[d]);
    }
    return n;
}

ax_status net_average_pool(struct lowering *l, struct array *out)
{
    const struct array *x = net_input(l, 0);
    bool count_pads = ax_node_int(l->node, "count_include_pad", 0) != 0;
    struct window v;

    AX_TRY(resolve(l, &v, x, NULL));
    AX_TRY(window_shape(l, &v, out, x->dims[0], x->dims[1]));
    AX_TRY(net_begin(l, AX_NET_WEIGHTED, out, true));
    for (size_t o = 0; o < out->n; o++) {
        place(&v, o % v.out_size);
        AX_TRY(net_divide(l, (double)divisor(&v, count_pads)));
        AX_TRY(window_terms(l, &v, x, o / v.out_size * v.in_size, NULL, 0));
        net_row(l);
    }
    return net_end(l, out);
}

/* A node of the sums over the dimensions that are gone, or the means. */
static ax_status reduce(struct lowering *l, struct array *out,
                        const struct array *in, const bool *gone, bool keep,
                        bool mean)
{
    int64_t stride[AX_RANK_MAX], dims[AX_RANK_MAX], at[AX_RANK_MAX] = {0};
    size_t n = 1, *step;
    int rank = 0;

    for (int i = 0; i < in->rank; i++) {
        n *= gone[i] ? (size_t)in->dims[i] : 1;
        if (!gone[i] || keep)
            dims[rank++] = gone[i] ? 1 : in->dims[i];
    }
    AX_TRY(net_shape(l, out, rank, dims));
    AX_TRY(net_begin(l, mean ? AX_NET_WEIGHTED : AX_NET_UNIT, out, mean));
    net_strides(stride, in);
    step = net_alloc(l, n, sizeof *step);
    if (!step)
        return net_no_memory(l);
    for (size_t t = 0; t < n; t++) {
        step[t] = 0;
        for (int i = 0; i < in->rank; i++)
            step[t] += (size_t)(at[i] * stride[i]);
        for (int i = in->rank - 1; i >= 0; i--) {
            if (gone[i] && ++at[i] < in->dims[i])
                break;
            at[i] = 0;
        }
    }
    for (size_t o = 0; o < out->n; o++) {
        size_t from = 0;

        for (int i = 0; i < in->rank; i++)
            from += (size_t)(at[i] * stride[i]);
        if (mean)
            AX_TRY(net_divide(l, (double)n));
        for (size_t t = 0; t < n; t++)
            AX_TRY(net_term(l, in, from + step[t], 1));
        net_row(l);
        for (int i = in->rank - 1; i >= 0; i--) {
            if (!gone[i] && ++at[i] < in->dims[i])
                break;
            at[i] = 0;
        }
    }
    return net_end(l, out);
}

ax_status net_global_average_pool(struct lowering *l, struct array *out)
{
    const struct array *in = net_input(l, 0);
    bool gone[AX_RANK_MAX] = {false};

    if (in->rank < 2)
        return net_refuse(l, "%d dimensions", in->rank);
    for (int i = 2; i < in->rank; i++)
        gone[i] = true;
    return reduce(l, out, in, gone, true, true);
}

/* ReduceSum and ReduceMean; the axes are an input or an attribute. */
ax_status net_reduce(struct lowering *l, struct array *out)
{
    const struct array *in = net_input(l, 0);
    const struct ax_attr *a = ax_node_attr(l->node, "axes");
    bool keep = ax_node_int(l->node, "keepdims", 1) != 0;
    int64_t axes[AX_RANK_MAX];
    bool gone[AX_RANK_MAX];
    size_t n = 0;

    if (net_input(l, 1)) {
        AX_TRY(net_ints(l, 1, axes, AX_RANK_MAX, &n));
    } else if (a && a->kind == AX_ATTR_INTS && a->n <= AX_RANK_MAX) {
        memcpy(axes, a->ints, a->n * sizeof *axes);
        n = a->n;
    }
    if (!net_mark_axes(gone, axes, n, in->rank))
        return net_refuse(l, "bad axes");
    if (!n && !ax_node_int(l->node, "noop_with_empty_axes", 0))
        memset(gone, 1, sizeof gone);
    return reduce(l, out, in, gone, keep, l->node->op == AX_OP_ReduceMean);
}
