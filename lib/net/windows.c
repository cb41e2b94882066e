/* Sums and maxima over windows and dimensions: Conv, ConvTranspose, pools,
 * ReduceSum, ReduceMean. */
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
    bool back = l->node->op == AX_OP_ConvTranspose;
    struct ax_err err = {0};

    if ((back ? ax_window_transposed : ax_window_resolve)(
            &v->w, l->node, in->rank, in->dims, kernel, &err) != AX_OK)
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

/* The first two dimensions of the weights are output channels and those of
 * the input in a group; or BACK, those of the input and output channels in a
 * group. */
static ax_status check_conv(struct lowering *l, const struct array *x,
                            const struct array *k, const struct array *b,
                            int64_t groups, bool back)
{
    int64_t made;

    if (k->rank != x->rank || x->rank < 3)
        return net_refuse(l, "%d and %d dimensions", x->rank, k->rank);
    if (!array_constant(k) || (b && !array_constant(b)))
        return net_refuse(l, "the weights depend on the input");
    if (groups < 1 || k->dims[1] < 1 || k->dims[0] < 1 ||
        x->dims[1] % groups || k->dims[0] % groups ||
        x->dims[1] != (back ? k->dims[0] : k->dims[1] * groups))
        return net_refuse(l, "channels and groups do not fit");
    made = back ? k->dims[1] * groups : k->dims[0];
    if (b && b->n != (size_t)made)
        return net_refuse(l, "%zu biases for %lld channels", b->n,
                          (long long)made);
    return AX_OK;
}

ax_status net_conv(struct lowering *l, struct array *out)
{
    const struct array *x = net_input(l, 0), *k = net_input(l, 1);
    const struct array *b = net_input(l, 2);
    int64_t groups = ax_node_int(l->node, "group", 1);
    size_t channels, made, share;
    struct window v;

    AX_TRY(check_conv(l, x, k, b, groups, false));
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

/* Where in dimension d the element lies whose tap t adds to output o; -1:
 * nowhere. */
static int64_t adding(const struct ax_window *w, int d, int64_t o, int64_t t)
{
    int64_t at = o + w->begin[d] - t * w->dilation[d];

    if (at < 0 || at % w->stride[d] || at / w->stride[d] >= w->in[d])
        return -1;
    return at / w->stride[d];
}

/* What one channel adds to output position o: the channel begins at IN, its
 * weights at WEIGHT of k. */
static ax_status adding_terms(struct lowering *l, const struct window *v,
                              const struct array *x, size_t in,
                              const struct array *k, size_t weight, size_t o)
{
    const struct ax_window *w = &v->w;
    int64_t at[3], place[3], t[3], n = (int64_t)o;

    for (int d = 2; d >= 0; n /= w->out[d--])
        at[d] = n % w->out[d];
    for (t[0] = 0; t[0] < w->kernel[0]; t[0]++) {
        if ((place[0] = adding(w, 0, at[0], t[0])) < 0)
            continue;
        for (t[1] = 0; t[1] < w->kernel[1]; t[1]++) {
            if ((place[1] = adding(w, 1, at[1], t[1])) < 0)
                continue;
            for (t[2] = 0; t[2] < w->kernel[2]; t[2]++) {
                size_t from = in, tap = 0;

                if ((place[2] = adding(w, 2, at[2], t[2])) < 0)
                    continue;
                from += (size_t)((place[0] * w->in[1] + place[1]) * w->in[2] +
                                 place[2]);
                tap = (size_t)((t[0] * w->kernel[1] + t[1]) * w->kernel[2] +
                               t[2]);
                AX_TRY(net_term(l, x, from, array_value(k, weight + tap)));
            }
        }
    }
    return AX_OK;
}

/* The transpose of what Conv computes: each element of the input adds its
 * channel's kernel to the output. */
ax_status net_conv_transpose(struct lowering *l, struct array *out)
{
    const struct array *x = net_input(l, 0), *k = net_input(l, 1);
    const struct array *b = net_input(l, 2);
    int64_t groups = ax_node_int(l->node, "group", 1);
    size_t channels, made, share;
    struct window v;

    if (ax_node_attr(l->node, "output_shape"))
        return net_refuse(l, "ax-cert(5) has no rule for output_shape");
    AX_TRY(check_conv(l, x, k, b, groups, true));
    AX_TRY(resolve(l, &v, x, k->dims + 2));
    AX_TRY(window_shape(l, &v, out, x->dims[0], k->dims[1] * groups));
    AX_TRY(net_begin(l, AX_NET_WEIGHTED, out, false));
    channels = (size_t)(x->dims[1] / groups); /* of a group */
    share = (size_t)k->dims[1];
    made = share * (size_t)groups;
    for (size_t o = 0; o < out->n; o++) {
        size_t m = o / v.out_size % made, first = m / share * channels;
        size_t plane = o / v.out_size / made * (size_t)x->dims[1];

        for (size_t c = first; c < first + channels; c++)
            AX_TRY(adding_terms(l, &v, x, (plane + c) * v.in_size, k,
                                (c * share + m % share) * v.kernel_size,
                                o % v.out_size));
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

/* ---- maxima ---- */

/* Elements of which the largest is wanted, for each of n windows: those of
 * window o are first[o] to first[o + 1] of all. */
struct bouts {
    size_t n;
    uint64_t *first;
    struct array all;
};

/* One round: pairs, in order, become their maximum, b + max(0, a - b); what
 * is left over goes on as it is. */
static ax_status play(struct lowering *l, struct bouts *t)
{
    int64_t pairs = 0, left = 0;
    struct array d, r;
    size_t pair = 0;

    for (size_t o = 0; o < t->n; o++) {
        int64_t n = (int64_t)(t->first[o + 1] - t->first[o]);

        pairs += n / 2;
        left += (n + 1) / 2;
    }
    AX_TRY(net_shape(l, &d, 1, &pairs));
    AX_TRY(net_begin(l, AX_NET_UNIT, &d, false));
    for (size_t o = 0; o < t->n; o++)
        for (uint64_t i = t->first[o]; i + 1 < t->first[o + 1]; i += 2) {
            AX_TRY(net_term(l, &t->all, i, 1));
            AX_TRY(net_term(l, &t->all, i + 1, -1));
            net_row(l);
        }
    AX_TRY(net_end(l, &d));
    net_exact_node(l);
    AX_TRY(net_rectify(l, &r, &d));
    AX_TRY(net_shape(l, &d, 1, &left));
    AX_TRY(net_begin(l, AX_NET_UNIT, &d, false));
    for (size_t o = 0, to = 0; o < t->n; o++) {
        uint64_t i = t->first[o], end = t->first[o + 1];

        t->first[o] = to;
        for (; i < end; i += 2, to++) {
            bool alone = i + 1 == end;

            AX_TRY(net_term(l, &t->all, alone ? i : i + 1, 1));
            if (!alone)
                AX_TRY(net_term(l, &r, pair++, 1));
            net_row(l);
        }
    }
    t->first[t->n] = (uint64_t)left;
    AX_TRY(net_end(l, &d));
    net_exact_node(l);
    t->all = d;
    return AX_OK;
}

/* out, whose shape is set, gets the largest element of each window. */
static ax_status maxima(struct lowering *l, struct array *out,
                        struct bouts *t)
{
    for (;;) {
        uint64_t most = 0, least = UINT64_MAX;

        for (size_t o = 0; o < t->n; o++) {
            uint64_t n = t->first[o + 1] - t->first[o];

            most = n > most ? n : most;
            least = n < least ? n : least;
        }
        if (least == 0)
            return net_refuse(l, "a window lies in the padding");
        if (most <= 1)
            return net_reshaped(l, out, &t->all, out->rank, out->dims);
        AX_TRY(play(l, t));
    }
}

/* The places in the channel that begins at `in` where the window has
 * elements, row-major; returns how many. */
static size_t window_places(const struct window *v, uint64_t in, uint64_t *at)
{
    const struct ax_window *w = &v->w;
    int64_t t[3];
    size_t n = 0;

    for (t[0] = v->from[0]; t[0] < v->to[0]; t[0]++)
        for (t[1] = v->from[1]; t[1] < v->to[1]; t[1]++)
            for (t[2] = v->from[2]; t[2] < v->to[2]; t[2]++) {
                int64_t place = 0;

                for (int d = 0; d < 3; d++)
                    place = place * w->in[d] + v->start[d] +
                            t[d] * w->dilation[d];
                at[n++] = in + (uint64_t)place;
            }
    return n;
}

ax_status net_max_pool(struct lowering *l, struct array *out)
{
    const struct array *x = net_input(l, 0);
    struct window v;
    struct bouts t = {0};
    uint64_t *at;
    int64_t n = 0;

    if (l->node->n_out > 1 && l->node->out[1] != AX_NONE)
        return net_refuse(l, "its second output");
    AX_TRY(resolve(l, &v, x, NULL));
    AX_TRY(window_shape(l, &v, out, x->dims[0], x->dims[1]));
    if (v.kernel_size > MAX_ELEMENT || out->n > MAX_TERMS / v.kernel_size)
        return net_refuse(l, "more than %llu terms",
                          (unsigned long long)MAX_TERMS);
    t.n = out->n;
    t.first = net_alloc(l, t.n + 1, sizeof *t.first);
    at = net_alloc(l, t.n * v.kernel_size + 1, sizeof *at);
    if (!t.first || !at)
        return net_no_memory(l);
    for (size_t o = 0; o < t.n; o++) {
        t.first[o] = (uint64_t)n;
        place(&v, o % v.out_size);
        n += (int64_t)window_places(&v, o / v.out_size * v.in_size, at + n);
    }
    t.first[t.n] = (uint64_t)n;
    AX_TRY(net_shape(l, &t.all, 1, &n));
    AX_TRY(net_picked(l, &t.all, x, at));
    return maxima(l, out, &t);
}

ax_status net_global_max_pool(struct lowering *l, struct array *out)
{
    const struct array *x = net_input(l, 0);
    struct bouts t = {.all = *x};
    int64_t dims[AX_RANK_MAX];
    size_t size = 1;

    if (x->rank < 2)
        return net_refuse(l, "%d dimensions", x->rank);
    for (int i = 0; i < x->rank; i++) {
        dims[i] = i < 2 ? x->dims[i] : 1;
        size *= i < 2 ? 1 : (size_t)x->dims[i];
    }
    AX_TRY(net_shape(l, out, x->rank, dims));
    t.n = out->n;
    t.first = net_alloc(l, t.n + 1, sizeof *t.first);
    if (!t.first)
        return net_no_memory(l);
    for (size_t o = 0; o <= t.n; o++)
        t.first[o] = o * size;
    return maxima(l, out, &t);
}

/* ---- sums ---- */

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

    if (net_input(l, 1) && a)
        return net_refuse(l, "axes as an attribute and as an input");
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
