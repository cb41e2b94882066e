/* Shape rules of operators that importers of other formats than ONNX make
 * beside the most common ones. Source: Operators.md of ONNX at opset 17. */
#include <string.h>

#include "graph/infer.h"

/* Outputs but the first are the mean and its inverse deviation, which have 1
 * for what was normalised. */
ax_status infer_layer_norm(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);
    int64_t axis = 0;

    AX_TRY(infer_like(s, err));
    if (x->rank < 0)
        return AX_OK;
    AX_TRY(infer_axis(&axis, ax_node_int(s->node, "axis", -1), x->rank, err));
    for (uint32_t k = 1; k < s->node->n_out; k++) {
        struct infer_fact *out = infer_out(s, k);

        out->dtype = AX_F32;
        out->rank = x->rank;
        for (int i = 0; i < x->rank; i++)
            out->d[i] = i < axis ? x->d[i] : infer_number(1);
    }
    return AX_OK;
}

ax_status infer_arg(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);
    struct infer_fact *out = infer_out(s, 0);
    int64_t axis;

    out->dtype = AX_I64;
    if (x->rank < 0)
        return AX_OK;
    AX_TRY(infer_axis(&axis, ax_node_int(s->node, "axis", 0), x->rank, err));
    out->rank = 0;
    for (int i = 0; i < x->rank; i++)
        if (i != axis)
            out->d[out->rank++] = x->d[i];
        else if (ax_node_int(s->node, "keepdims", 1))
            out->d[out->rank++] = infer_number(1);
    return AX_OK;
}

/* The type of the first input, the shape of the second. */
ax_status infer_gather_elements(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *at = infer_in(s, 1);
    struct infer_fact *out = infer_out(s, 0);

    (void)err;
    out->dtype = infer_in(s, 0)->dtype;
    out->rank = at->rank;
    memcpy(out->d, at->d, sizeof out->d);
    return AX_OK;
}

ax_status infer_tile(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0), *times = infer_in(s, 1);
    struct infer_fact *out = infer_out(s, 0);

    out->dtype = x->dtype;
    out->rank = x->rank;
    if (x->rank >= 0 && times->v && times->n_v != (uint32_t)x->rank)
        return ax_fail(err, AX_ESHAPE, "repeats has %u numbers, wants %d",
                       times->n_v, x->rank);
    for (int i = 0; i < x->rank; i++) {
        if (times->v && times->v[i].p == 0 && times->v[i].k < 0)
            return ax_fail(err, AX_ESHAPE, "repeats may not be negative");
        out->d[i] = times->v ? infer_mul(x->d[i], times->v[i])
                             : infer_unknown();
    }
    return AX_OK;
}

/* Dimensions are known where "sizes" are. */
ax_status infer_resize(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0), *sizes = infer_in(s, 3);
    const struct ax_attr *axes = ax_node_attr(s->node, "axes");
    size_t n = axes ? axes->n : (size_t)(x->rank > 0 ? x->rank : 0);
    struct infer_fact *out = infer_out(s, 0);
    bool known = sizes && sizes->v && sizes->n_v == n &&
                 (!axes || axes->kind == AX_ATTR_INTS) &&
                 !ax_node_attr(s->node, "keep_aspect_ratio_policy");

    (void)err;
    out->dtype = x->dtype;
    out->rank = x->rank;
    for (int i = 0; i < x->rank; i++) /* what axes leave out, stays */
        out->d[i] = known && axes ? x->d[i] : infer_unknown();
    for (size_t i = 0; known && i < n; i++) {
        int64_t to = axes ? axes->ints[i] : (int64_t)i;

        to += to < 0 ? x->rank : 0;
        if (to >= 0 && to < x->rank)
            out->d[to] = sizes->v[i];
    }
    return AX_OK;
}

/* The number at place I of an attribute, or OTHERWISE. */
static int64_t at(const struct infer *s, const char *name, size_t i,
                  int64_t otherwise)
{
    const struct ax_attr *a = ax_node_attr(s->node, name);

    return a && a->kind == AX_ATTR_INTS && i < a->n ? a->ints[i] : otherwise;
}

/* (size - 1) stride + dilation (kernel - 1) + 1 + more - pads, where the
 * numbers are not absurd. */
static struct infer_dim transposed(const struct infer *s, struct infer_dim x,
                                   struct infer_dim k, size_t i, size_t n)
{
    enum { SANE = 1 << 24 };
    const int64_t v[] = {x.k,
                         k.k,
                         at(s, "strides", i, 1),
                         at(s, "dilations", i, 1),
                         at(s, "output_padding", i, 0),
                         at(s, "pads", i, 0),
                         at(s, "pads", n + i, 0)};

    if (x.p != 0 || k.p != 0)
        return infer_unknown();
    for (size_t j = 0; j < sizeof v / sizeof v[0]; j++)
        if (v[j] < 0 || v[j] > SANE)
            return infer_unknown();
    return infer_number((v[0] - 1) * v[2] + v[3] * (v[1] - 1) + 1 + v[4] -
                        v[5] - v[6]);
}

ax_status infer_conv_transpose(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0), *w = infer_in(s, 1);
    struct infer_fact *out = infer_out(s, 0);
    bool plain = !ax_node_attr(s->node, "auto_pad") &&
                 !ax_node_attr(s->node, "output_shape");

    out->dtype = x->dtype;
    if (x->rank < 3 || w->rank != x->rank)
        return x->rank < 0 || w->rank < 0
                   ? AX_OK
                   : ax_fail(err, AX_ESHAPE,
                             "the input has %d dimensions, the weights have "
                             "%d",
                             x->rank, w->rank);
    out->rank = x->rank;
    out->d[0] = x->d[0];
    out->d[1] = infer_mul(w->d[1],
                          infer_number(ax_node_int(s->node, "group", 1)));
    for (int i = 2; i < x->rank; i++) {
        out->d[i] = plain ? transposed(s, x->d[i], w->d[i], (size_t)i - 2,
                                       (size_t)x->rank - 2)
                          : infer_unknown();
        if (out->d[i].p == 0 && out->d[i].k < 0)
            return ax_fail(err, AX_ESHAPE, "its output would be empty");
    }
    return AX_OK;
}

ax_status infer_depth_to_space(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);
    struct infer_fact *out = infer_out(s, 0);
    int64_t b = ax_node_int(s->node, "blocksize", 1);
    struct infer_dim side = infer_number(b);

    out->dtype = x->dtype;
    if (x->rank != 4 || b < 1 || b > 1 << 15)
        return x->rank < 0 ? AX_OK
                           : ax_fail(err, AX_ESHAPE,
                                     "wants 4 dimensions and a block");
    out->rank = 4;
    out->d[0] = x->d[0];
    for (int i = 1; i < 4; i++)
        out->d[i] =
            (i == 1) == (s->node->op == AX_OP_DepthToSpace)
                ? infer_div(x->d[i], i == 1 ? infer_number(b * b) : side)
                : infer_mul(x->d[i], i == 1 ? infer_number(b * b) : side);
    return AX_OK;
}
