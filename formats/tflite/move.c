/* What gives elements other places, or another shape. */
#include <inttypes.h>
#include <stdlib.h>

#include "formats/tflite/tflite.h"

/* ---- shapes ---- */

ax_status tflite_reshape_op(struct tflite *t, int64_t what,
                            struct ax_err *err)
{
    struct tflite_tensor *shape = tflite_in(t, 1);
    struct flat_vector given = flat_vector(&t->f, t->options, 0, 4);
    int64_t *v = NULL, dims[AX_RANK_MAX];
    uint32_t x, y;
    size_t n = given.n;

    (void)what;
    AX_TRY(tflite_value(t, &x, 0, PLAIN, err));
    if (shape && !shape->data) {
        AX_TRY(tflite_value(t, &y, 1, PLAIN, err));
        AX_TRY(arch_node1(&t->a, &y, AX_OP_Cast, "shape", y, err));
        AX_TRY(arch_attr_int(&t->a, "to", AX_I64, err));
        AX_TRY(arch_node2(&t->a, &x, AX_OP_Reshape, "", x, y, err));
        return tflite_result(t, 0, x, PLAIN, true, err);
    }
    if (shape)
        AX_TRY(tflite_ints(t, &v, &n, 1, err));
    if (n > AX_RANK_MAX) {
        free(v);
        return tflite_refuse(t, err, "%zu dimensions", n);
    }
    for (size_t i = 0; i < n; i++)
        dims[i] = v ? v[i] : flat_number(given, i, 4);
    free(v);
    for (size_t i = 0; i < n; i++)
        if (dims[i] == 0 || dims[i] < -1)
            return tflite_refuse(t, err, "a dimension of %" PRId64, dims[i]);
    AX_TRY(tflite_reshape(t, &x, "", x, dims, n, err));
    return tflite_result(t, 0, x, PLAIN, true, err);
}

ax_status tflite_squeeze(struct tflite *t, int64_t what, struct ax_err *err)
{
    struct flat_vector given = flat_vector(&t->f, t->options, 0, 4);
    int64_t axes[AX_RANK_MAX];
    uint32_t x;

    (void)what;
    if (given.n > AX_RANK_MAX)
        return tflite_refuse(t, err, "%zu axes", given.n);
    for (size_t i = 0; i < given.n; i++)
        axes[i] = flat_number(given, i, 4);
    AX_TRY(tflite_value(t, &x, 0, PLAIN, err));
    if (given.n)
        AX_TRY(tflite_with_axes(t, &x, AX_OP_Squeeze, "", x, axes, given.n,
                                err));
    else
        AX_TRY(arch_node1(&t->a, &x, AX_OP_Squeeze, "", x, err));
    return tflite_result(t, 0, x, PLAIN, true, err);
}

ax_status tflite_expand(struct tflite *t, int64_t what, struct ax_err *err)
{
    int64_t *axes;
    uint32_t x;
    size_t n;
    ax_status st;

    (void)what;
    AX_TRY(tflite_value(t, &x, 0, PLAIN, err));
    AX_TRY(tflite_ints(t, &axes, &n, 1, err));
    st = tflite_with_axes(t, &x, AX_OP_Unsqueeze, "", x, axes, n, err);
    free(axes);
    AX_TRY(st);
    return tflite_result(t, 0, x, PLAIN, true, err);
}

ax_status tflite_shape(struct tflite *t, int64_t what, struct ax_err *err)
{
    uint32_t x;

    (void)what;
    AX_TRY(tflite_value(t, &x, 0, PLAIN, err));
    AX_TRY(arch_node1(&t->a, &x, AX_OP_Shape, "shape", x, err));
    AX_TRY(arch_node1(&t->a, &x, AX_OP_Cast, "", x, err));
    AX_TRY(arch_attr_int(&t->a, "to", tflite_out(t, 0)->type, err));
    return tflite_result(t, 0, x, PLAIN, false, err);
}

ax_status tflite_transpose(struct tflite *t, int64_t what, struct ax_err *err)
{
    int64_t *perm;
    uint32_t x;
    size_t n;
    ax_status st;

    (void)what;
    AX_TRY(tflite_value(t, &x, 0, PLAIN, err));
    AX_TRY(tflite_ints(t, &perm, &n, 1, err));
    st = arch_node1(&t->a, &x, AX_OP_Transpose, "", x, err);
    if (st == AX_OK)
        st = arch_attr_ints(&t->a, "perm", perm, n, err);
    free(perm);
    AX_TRY(st);
    return tflite_result(t, 0, x, PLAIN, true, err);
}

ax_status tflite_tile(struct tflite *t, int64_t what, struct ax_err *err)
{
    int64_t *times;
    uint32_t x, y;
    size_t n;
    ax_status st;

    (void)what;
    AX_TRY(tflite_value(t, &x, 0, PLAIN, err));
    AX_TRY(tflite_ints(t, &times, &n, 1, err));
    st = arch_ints(&t->a, &y, "times", times, n, err);
    free(times);
    AX_TRY(st);
    AX_TRY(arch_node2(&t->a, &x, AX_OP_Tile, "", x, y, err));
    return tflite_result(t, 0, x, PLAIN, true, err);
}

/* ---- padding ---- */

enum { PAD_ZERO, PAD_VALUE, PAD_MIRROR };

/* Pairs of before and after, by dimension. */
ax_status tflite_pad(struct tflite *t, int64_t kind, struct ax_err *err)
{
    struct tflite_tensor *x = tflite_in(t, 0);
    enum tflite_layout layout = tflite_turned(x) ? CHANNELS_FIRST : PLAIN;
    int64_t *v, pads[2 * AX_RANK_MAX] = {0};
    uint32_t in[3] = {0, 0, AX_NONE};
    size_t n;

    AX_TRY(tflite_value(t, &in[0], 0, layout, err));
    AX_TRY(tflite_ints(t, &v, &n, 1, err));
    for (size_t i = 0; i < n / 2 && n / 2 <= AX_RANK_MAX; i++) {
        size_t to = layout == PLAIN || n != 8
                        ? i
                        : (size_t)tflite_turned_axis((int64_t)i);

        pads[to] = v[2 * i];
        pads[n / 2 + to] = v[2 * i + 1];
    }
    free(v);
    if (x->rank < 0 || n != 2 * (size_t)x->rank)
        return ax_fail(err, AX_EFORMAT, "%s of %zu numbers", t->op_name, n);
    AX_TRY(arch_ints(&t->a, &in[1], "pads", pads, n, err));
    if (kind == PAD_VALUE && tflite_in(t, 2))
        AX_TRY(tflite_value(t, &in[2], 2, PLAIN, err));
    AX_TRY(arch_node(&t->a, &in[0], AX_OP_Pad, "", in, 3, err));
    if (kind == PAD_MIRROR) {
        if (flat_int(&t->f, t->options, 0, 1, 0) != 0)
            return tflite_refuse(t, err, "mode SYMMETRIC");
        AX_TRY(arch_attr_text(&t->a, "mode", "reflect", err));
    }
    return tflite_result(t, 0, in[0], layout, kind != PAD_VALUE, err);
}

/* SPACE_TO_DEPTH and DEPTH_TO_SPACE: the channels come last, as in ONNX's
 * mode DCR. */
ax_status tflite_depth(struct tflite *t, int64_t op, struct ax_err *err)
{
    uint32_t x;

    AX_TRY(tflite_value(t, &x, 0, CHANNELS_FIRST, err));
    AX_TRY(arch_node1(&t->a, &x, (ax_op)op, "", x, err));
    AX_TRY(arch_attr_int(&t->a, "blocksize",
                         flat_int(&t->f, t->options, 0, 4, 0), err));
    return tflite_result(t, 0, x, CHANNELS_FIRST, true, err);
}

/* ---- batches and space ---- */

/* Of an image whose size is known, and constants: two block sizes and four
 * numbers, before and after by dimension. */
struct blocks {
    const struct tflite_tensor *x;
    int64_t block[2], ends[4];
};

static ax_status read_blocks(struct tflite *t, struct blocks *b,
                             struct ax_err *err)
{
    AX_TRY(tflite_ranked(t, &b->x, 0, err));
    for (size_t i = 0; i < 2; i++) {
        int64_t *v, *to = i ? b->ends : b->block;
        size_t n, want = i ? 4 : 2;

        AX_TRY(tflite_ints(t, &v, &n, 1 + i, err));
        for (size_t k = 0; k < want && n == want; k++)
            to[k] = v[k];
        free(v);
        if (n != want)
            return tflite_refuse(t, err, "%zu numbers in input %zu", n,
                                 1 + i);
    }
    for (int i = 0; i < 4; i++)
        if (b->ends[i] < 0 || b->ends[i] > INT32_MAX)
            return tflite_refuse(t, err, "%" PRId64 " at an end", b->ends[i]);
    if (b->x->rank != 4 || b->x->dims[1] < 1 || b->x->dims[2] < 1 ||
        b->x->dims[3] < 1)
        return tflite_refuse(t, err, "what is no image of a known size");
    if (b->block[0] < 1 || b->block[1] < 1 || b->block[0] > INT16_MAX ||
        b->block[1] > INT16_MAX)
        return ax_fail(err, AX_EFORMAT, "blocks of %" PRId64 " and %" PRId64,
                       b->block[0], b->block[1]);
    return AX_OK;
}

static ax_status permute(struct tflite *t, uint32_t *v, const int64_t *perm,
                         struct ax_err *err)
{
    AX_TRY(arch_node1(&t->a, v, AX_OP_Transpose, "turned", *v, err));
    return arch_attr_ints(&t->a, "perm", perm, 6, err);
}

ax_status tflite_space_to_batch(struct tflite *t, int64_t what,
                                struct ax_err *err)
{
    static const int64_t perm[] = {2, 4, 0, 1, 3, 5};
    int64_t h, w, c;
    struct blocks b;
    uint32_t in[2];

    (void)what;
    AX_TRY(read_blocks(t, &b, err));
    h = b.x->dims[1] + b.ends[0] + b.ends[1];
    w = b.x->dims[2] + b.ends[2] + b.ends[3];
    c = b.x->dims[3];
    if (h % b.block[0] || w % b.block[1])
        return ax_fail(err, AX_EFORMAT, "the blocks do not fit");
    h /= b.block[0];
    w /= b.block[1];
    AX_TRY(tflite_value(t, &in[0], 0, PLAIN, err));
    AX_TRY(arch_ints(&t->a, &in[1], "pads",
                     (const int64_t[]){0, b.ends[0], b.ends[2], 0, 0,
                                       b.ends[1], b.ends[3], 0},
                     8, err));
    AX_TRY(arch_node(&t->a, &in[0], AX_OP_Pad, "padded", in, 2, err));
    AX_TRY(tflite_reshape(
        t, &in[0], "blocks", in[0],
        (const int64_t[]){-1, h, b.block[0], w, b.block[1], c}, 6, err));
    AX_TRY(permute(t, &in[0], perm, err));
    AX_TRY(tflite_reshape(t, &in[0], "", in[0],
                          (const int64_t[]){-1, h, w, c}, 4, err));
    return tflite_result(t, 0, in[0], PLAIN, true, err);
}

ax_status tflite_batch_to_space(struct tflite *t, int64_t what,
                                struct ax_err *err)
{
    static const int64_t perm[] = {2, 3, 0, 4, 1, 5}, axes[] = {1, 2};
    int64_t h, w, c;
    struct blocks b;
    uint32_t x;

    (void)what;
    AX_TRY(read_blocks(t, &b, err));
    h = b.x->dims[1];
    w = b.x->dims[2];
    c = b.x->dims[3];
    AX_TRY(tflite_value(t, &x, 0, PLAIN, err));
    AX_TRY(tflite_reshape(
        t, &x, "blocks", x,
        (const int64_t[]){b.block[0], b.block[1], -1, h, w, c}, 6, err));
    AX_TRY(permute(t, &x, perm, err));
    h *= b.block[0];
    w *= b.block[1];
    AX_TRY(tflite_reshape(t, &x, "whole", x, (const int64_t[]){-1, h, w, c},
                          4, err));
    AX_TRY(tflite_cut(t, &x, "", x, (const int64_t[]){b.ends[0], b.ends[2]},
                      (const int64_t[]){h - b.ends[1], w - b.ends[3]}, axes,
                      NULL, 2, err));
    return tflite_result(t, 0, x, PLAIN, true, err);
}
