/* Shape rules of operators that slide a window: Conv and the pools.
 * Source: Operators.md of ONNX at opset 17, and for ceil_mode its later
 * wording: a window must begin in the input or the padding before it. */
#include <inttypes.h>
#include <string.h>

#include "graph/infer.h"

struct window {
    int rank; /* spatial dimensions */
    struct infer_dim kernel[AX_RANK_MAX];
};

/* An attribute of n integers from LOW up to 2^31 - 1, or NULL. */
static ax_status integers(const int64_t **out, const struct infer *s,
                          const char *name, int n, int64_t low,
                          struct ax_err *err)
{
    const struct ax_attr *a = ax_node_attr(s->node, name);

    *out = NULL;
    if (!a)
        return AX_OK;
    if (a->kind != AX_ATTR_INTS || a->n != (size_t)n)
        return ax_fail(err, AX_ESHAPE, "%s wants %d integers", name, n);
    for (int i = 0; i < n; i++)
        if (a->ints[i] < low || a->ints[i] > INT32_MAX)
            return ax_fail(err, AX_ESHAPE, "%s may not be %" PRId64, name,
                           a->ints[i]);
    *out = a->ints;
    return AX_OK;
}

/* One of the four words. */
static ax_status padding_mode(const char **out, const struct infer *s,
                              struct ax_err *err)
{
    static const char *const modes[] = {"NOTSET", "VALID", "SAME_UPPER",
                                        "SAME_LOWER"};
    const char *mode = ax_node_string(s->node, "auto_pad", "NOTSET");

    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (strcmp(mode, modes[i]) == 0) {
            *out = modes[i];
            return AX_OK;
        }
    return ax_fail(err, AX_ESHAPE, "auto_pad may not be '%.40s'", mode);
}

static ax_status slide(struct infer_dim *out, int64_t size, int64_t reach,
                       int64_t stride, int64_t before, int64_t after,
                       bool ceil_mode, struct ax_err *err)
{
    int64_t room = size + before + after - reach, n;

    if (room < 0)
        return ax_fail(err, AX_ESHAPE,
                       "the window reaches over %" PRId64
                       ", the padded input has %" PRId64,
                       reach, size + before + after);
    n = room / stride + 1;
    if (ceil_mode && room % stride && n * stride < size + before)
        n++;
    *out = infer_number(n);
    return AX_OK;
}

static ax_status spatial(struct infer *s, struct infer_fact *out,
                         const struct infer_fact *x, const struct window *w,
                         struct ax_err *err)
{
    bool ceil_mode = ax_node_int(s->node, "ceil_mode", 0) != 0;
    const int64_t *strides, *dilations, *pads;
    const char *mode = NULL;

    AX_TRY(padding_mode(&mode, s, err));
    AX_TRY(integers(&strides, s, "strides", w->rank, 1, err));
    AX_TRY(integers(&dilations, s, "dilations", w->rank, 1, err));
    AX_TRY(integers(&pads, s, "pads", 2 * w->rank, 0, err));
    for (int i = 0; i < w->rank; i++) {
        int64_t stride = strides ? strides[i] : 1;
        int64_t dilation = dilations ? dilations[i] : 1;
        struct infer_dim size = x->d[i + 2], k = w->kernel[i];

        out->d[i + 2] = infer_unknown();
        if (size.p != 0 || k.p != 0)
            continue;
        if (k.k < 1 || k.k > INT32_MAX || size.k > INT64_MAX / 4)
            return ax_fail(err, AX_ESHAPE,
                           "a window of %" PRId64 " does not fit %" PRId64,
                           k.k, size.k);
        if (strncmp(mode, "SAME_", 5) == 0)
            out->d[i + 2] = infer_number(size.k / stride +
                                         (size.k % stride != 0));
        else
            AX_TRY(slide(&out->d[i + 2], size.k, dilation * (k.k - 1) + 1,
                         stride, pads && mode[0] == 'N' ? pads[i] : 0,
                         pads && mode[0] == 'N' ? pads[i + w->rank] : 0,
                         ceil_mode, err));
    }
    return AX_OK;
}

static ax_status window_rank(struct window *w, const struct infer_fact *x,
                             struct ax_err *err)
{
    if (x->rank < 3)
        return ax_fail(err, AX_ESHAPE, "wants 3 or more dimensions, has %d",
                       x->rank);
    w->rank = x->rank - 2;
    return AX_OK;
}

static ax_status conv_channels(const struct infer *s,
                               const struct infer_fact *x,
                               const struct infer_fact *k,
                               const struct infer_fact *b, struct ax_err *err)
{
    int64_t group = ax_node_int(s->node, "group", 1), want;

    if (group < 1 || (k->d[0].p == 0 && k->d[0].k % group))
        return ax_fail(err, AX_ESHAPE, "group may not be %" PRId64, group);
    if (x->d[1].p == 0 && k->d[1].p == 0 &&
        (__builtin_mul_overflow(k->d[1].k, group, &want) ||
         want != x->d[1].k))
        return ax_fail(err, AX_ESHAPE,
                       "the input has %" PRId64 " channels, the weights "
                       "want %" PRId64 " in %" PRId64 " groups",
                       x->d[1].k, k->d[1].k, group);
    if (b && b->rank >= 0 &&
        (b->rank != 1 ||
         (b->d[0].p == 0 && k->d[0].p == 0 && b->d[0].k != k->d[0].k)))
        return ax_fail(err, AX_ESHAPE, "the bias does not fit the weights");
    return AX_OK;
}

ax_status infer_conv(struct infer *s, struct ax_err *err)
{
    return infer_convolution(s, 0, 1, 2, err);
}

ax_status infer_convolution(struct infer *s, uint32_t input, uint32_t weights,
                            uint32_t bias, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, input),
                            *k = infer_in(s, weights);
    struct infer_fact *out = infer_out(s, 0);
    const int64_t *kernel;
    struct window w = {0};

    out->dtype = x->dtype;
    if (x->rank < 0 || k->rank < 0)
        return AX_OK;
    AX_TRY(window_rank(&w, x, err));
    if (k->rank != x->rank)
        return ax_fail(err, AX_ESHAPE,
                       "the input has %d dimensions, the weights have %d",
                       x->rank, k->rank);
    AX_TRY(conv_channels(s, x, k, bias == AX_NONE ? NULL : infer_in(s, bias),
                         err));
    AX_TRY(integers(&kernel, s, "kernel_shape", w.rank, 1, err));
    for (int i = 0; i < w.rank; i++) {
        w.kernel[i] = k->d[i + 2];
        if (kernel && w.kernel[i].p == 0 && kernel[i] != w.kernel[i].k)
            return ax_fail(err, AX_ESHAPE,
                           "kernel_shape is %" PRId64
                           " where the weights have %" PRId64,
                           kernel[i], w.kernel[i].k);
    }
    out->rank = x->rank;
    out->d[0] = x->d[0];
    out->d[1] = k->d[0];
    return spatial(s, out, x, &w, err);
}

ax_status infer_pool(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);
    struct infer_fact *out = infer_out(s, 0), *indexes;
    const int64_t *kernel;
    struct window w = {0};

    out->dtype = x->dtype;
    if (x->rank < 0)
        return AX_OK;
    AX_TRY(window_rank(&w, x, err));
    AX_TRY(integers(&kernel, s, "kernel_shape", w.rank, 1, err));
    if (!kernel)
        return ax_fail(err, AX_ESHAPE, "has no kernel_shape");
    for (int i = 0; i < w.rank; i++)
        w.kernel[i] = infer_number(kernel[i]);
    out->rank = x->rank;
    out->d[0] = x->d[0];
    out->d[1] = x->d[1];
    AX_TRY(spatial(s, out, x, &w, err));
    if (s->node->n_out > 1) {
        indexes = infer_out(s, 1);
        *indexes = *out;
        indexes->dtype = AX_I64;
    }
    return AX_OK;
}

ax_status infer_global_pool(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);
    struct infer_fact *out = infer_out(s, 0);

    AX_TRY(infer_like(s, err));
    if (x->rank >= 0 && x->rank < 3)
        return ax_fail(err, AX_ESHAPE, "wants 3 or more dimensions, has %d",
                       x->rank);
    for (int i = 2; i < x->rank; i++)
        out->d[i] = infer_number(1);
    return AX_OK;
}
