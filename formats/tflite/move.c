/* What moves elements, or makes fewer of them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "formats/tflite/tflite.h"

#define TO_THE_END INT64_MAX

/* ---- parts ---- */

/* x[from:to:step] along one axis. */
static ax_status slice(struct tflite *t, uint32_t *out, const char *what,
                       uint32_t x, const int64_t *from, const int64_t *to,
                       const int64_t *axes, const int64_t *steps, size_t n,
                       struct ax_err *err)
{
    const int64_t *const all[] = {from, to, axes, steps};
    static const char *const names[] = {"from", "to", "axes", "steps"};
    uint32_t in[5] = {x, AX_NONE, AX_NONE, AX_NONE, AX_NONE};
    char name[64];

    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s%s%s", what, *what ? "." : "",
                 names[i]);
        if (all[i])
            AX_TRY(arch_ints(&t->a, &in[1 + i], name, all[i], n, err));
    }
    return arch_node(&t->a, out, AX_OP_Slice, what, in, 5, err);
}

static ax_status squeeze(struct tflite *t, uint32_t *out, ax_op op,
                         const char *what, uint32_t x, const int64_t *axes,
                         size_t n, struct ax_err *err)
{
    char name[64];
    uint32_t v;

    snprintf(name, sizeof name, "%s%saxes", what, *what ? "." : "");
    AX_TRY(arch_ints(&t->a, &v, name, axes, n, err));
    return arch_node2(&t->a, out, op, what, x, v, err);
}

/* An axis that counts from the end if it is negative. */
static ax_status axis_of(struct tflite *t, int64_t *axis, int rank,
                         struct ax_err *err)
{
    if (*axis < 0)
        *axis += rank;
    if (*axis < 0 || *axis >= rank)
        return ax_fail(err, AX_EFORMAT, "%s has no axis %" PRId64, t->op_name,
                       *axis);
    return AX_OK;
}

static ax_status ranked(struct tflite *t, const struct tflite_tensor **x,
                        size_t i, struct ax_err *err)
{
    *x = tflite_in(t, i);
    if (!*x || (*x)->rank < 0)
        return tflite_refuse(t, err, "an input of unknown rank");
    return AX_OK;
}

/* Where an axis of an image is if its channels are first. */
static int64_t turned_axis(int64_t axis)
{
    static const int64_t to[] = {0, 2, 3, 1};

    return to[axis];
}

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
        AX_TRY(squeeze(t, &x, AX_OP_Squeeze, "", x, axes, given.n, err));
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
    st = squeeze(t, &x, AX_OP_Unsqueeze, "", x, axes, n, err);
    free(axes);
    AX_TRY(st);
    return tflite_result(t, 0, x, PLAIN, true, err);
}

ax_status tflite_shape(struct tflite *t, int64_t what, struct ax_err *err)
{
    int64_t k = flat_number(t->out, 0, 4);
    uint32_t x;

    (void)what;
    AX_TRY(tflite_value(t, &x, 0, PLAIN, err));
    AX_TRY(arch_node1(&t->a, &x, AX_OP_Shape, "shape", x, err));
    if (t->out.n && k >= 0 && (size_t)k < t->n_tensors) {
        AX_TRY(arch_node1(&t->a, &x, AX_OP_Cast, "", x, err));
        AX_TRY(arch_attr_int(&t->a, "to", t->tensors[k].type, err));
    }
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

/* ---- together and apart ---- */

enum { CONCAT_AXIS, CONCAT_ACTIVATION };
enum { PACK_COUNT, PACK_AXIS };

ax_status tflite_concat(struct tflite *t, int64_t what, struct ax_err *err)
{
    int64_t axis = flat_int(&t->f, t->options, CONCAT_AXIS, 4, 0);
    enum tflite_layout layout = CHANNELS_FIRST;
    const struct tflite_tensor *x;
    uint32_t *in;
    ax_status st = AX_OK;

    (void)what;
    AX_TRY(ranked(t, &x, 0, err));
    AX_TRY(axis_of(t, &axis, x->rank, err));
    for (size_t i = 0; i < t->in.n; i++) {
        const struct tflite_tensor *y = tflite_in(t, i);

        if (!y || y->rank != 4 || !tflite_turned(y))
            layout = PLAIN;
    }
    in = calloc(t->in.n + 1, sizeof *in);
    if (!in)
        return ax_fail(err, AX_ENOMEM, "no memory for a node");
    for (size_t i = 0; i < t->in.n && st == AX_OK; i++)
        st = tflite_value(t, &in[i], i, layout, err);
    if (st == AX_OK)
        st = arch_node(&t->a, &in[0], AX_OP_Concat, "", in, (uint32_t)t->in.n,
                       err);
    if (st == AX_OK)
        st = arch_attr_int(&t->a, "axis",
                           layout == PLAIN ? axis : turned_axis(axis), err);
    if (st == AX_OK)
        st = tflite_activation(
            t, &in[0], flat_int(&t->f, t->options, CONCAT_ACTIVATION, 1, 0),
            err);
    if (st == AX_OK)
        st = tflite_result(t, 0, in[0], layout, false, err);
    free(in);
    return st;
}

ax_status tflite_pack(struct tflite *t, int64_t what, struct ax_err *err)
{
    int64_t axis = flat_int(&t->f, t->options, PACK_AXIS, 4, 0);
    const struct tflite_tensor *x = tflite_in(t, 0);
    uint32_t *in, axes;
    char name[40];
    ax_status st = AX_OK;

    (void)what; /* a tensor of which the file does not say is a number */
    AX_TRY(axis_of(t, &axis, x && x->rank > 0 ? x->rank + 1 : 1, err));
    in = calloc(t->in.n + 1, sizeof *in);
    if (!in)
        return ax_fail(err, AX_ENOMEM, "no memory for a node");
    st = arch_ints(&t->a, &axes, "axes", &axis, 1, err);
    for (size_t i = 0; i < t->in.n && st == AX_OK; i++) {
        snprintf(name, sizeof name, "part%zu", i);
        st = tflite_value(t, &in[i], i, PLAIN, err);
        if (st == AX_OK)
            st = arch_node2(&t->a, &in[i], AX_OP_Unsqueeze, name, in[i], axes,
                            err);
    }
    if (st == AX_OK)
        st = arch_node(&t->a, &in[0], AX_OP_Concat, "", in, (uint32_t)t->in.n,
                       err);
    if (st == AX_OK)
        st = arch_attr_int(&t->a, "axis", axis, err);
    if (st == AX_OK)
        st = tflite_result(t, 0, in[0], PLAIN, false, err);
    free(in);
    return st;
}

/* Output i gets what the name of it says. */
static ax_status name_output(struct tflite *t, size_t i, struct ax_err *err)
{
    int64_t k = flat_number(t->out, i, 4);

    if (k < 0 || (size_t)k >= t->n_tensors)
        return ax_fail(err, AX_EFORMAT, "%s has no output %zu", t->op_name,
                       i);
    t->a.name = t->tensors[k].name;
    return AX_OK;
}

ax_status tflite_unpack(struct tflite *t, int64_t what, struct ax_err *err)
{
    int64_t axis = flat_int(&t->f, t->options, PACK_AXIS, 4, 0);
    const struct tflite_tensor *x;
    uint32_t v, y;

    (void)what;
    AX_TRY(ranked(t, &x, 0, err));
    AX_TRY(axis_of(t, &axis, x->rank, err));
    AX_TRY(tflite_value(t, &v, 0, PLAIN, err));
    for (size_t i = 0; i < t->out.n; i++) {
        const int64_t from = (int64_t)i, to = from + 1;

        AX_TRY(name_output(t, i, err));
        AX_TRY(slice(t, &y, "part", v, &from, &to, &axis, NULL, 1, err));
        AX_TRY(squeeze(t, &y, AX_OP_Squeeze, "", y, &axis, 1, err));
        AX_TRY(tflite_result(t, i, y, PLAIN, true, err));
    }
    return AX_OK;
}

/* The outputs are parts of these sizes. */
static ax_status parts(struct tflite *t, size_t input, int64_t axis,
                       const int64_t *sizes, struct ax_err *err)
{
    int64_t from = 0;
    uint32_t v, y;

    AX_TRY(tflite_value(t, &v, input, PLAIN, err));
    for (size_t i = 0; i < t->out.n; i++) {
        int64_t to = from + sizes[i];

        AX_TRY(name_output(t, i, err));
        AX_TRY(slice(t, &y, "", v, &from, &to, &axis, NULL, 1, err));
        AX_TRY(tflite_result(t, i, y, PLAIN, input == 0, err));
        from = to;
    }
    return AX_OK;
}

/* Inputs: the axis, and what is split into equal parts. */
ax_status tflite_split(struct tflite *t, int64_t what, struct ax_err *err)
{
    const struct tflite_tensor *x;
    int64_t *axes, axis, *sizes;
    size_t n;
    ax_status st;

    (void)what;
    AX_TRY(ranked(t, &x, 1, err));
    AX_TRY(tflite_ints(t, &axes, &n, 0, err));
    axis = n == 1 ? axes[0] : INT32_MAX;
    free(axes);
    AX_TRY(axis_of(t, &axis, x->rank, err));
    if (t->out.n == 0 || x->dims[axis] < 1 ||
        x->dims[axis] % (int64_t)t->out.n)
        return tflite_refuse(t, err,
                             "a dimension of %" PRId64 " in %zu parts",
                             x->dims[axis], t->out.n);
    sizes = calloc(t->out.n, sizeof *sizes);
    if (!sizes)
        return ax_fail(err, AX_ENOMEM, "no memory for a node");
    for (size_t i = 0; i < t->out.n; i++)
        sizes[i] = x->dims[axis] / (int64_t)t->out.n;
    st = parts(t, 1, axis, sizes, err);
    free(sizes);
    return st;
}

/* Inputs: what is split, the sizes, the axis. */
ax_status tflite_split_v(struct tflite *t, int64_t what, struct ax_err *err)
{
    const struct tflite_tensor *x;
    int64_t *v, axis, left;
    size_t n, free_one = SIZE_MAX;
    ax_status st = AX_OK;

    (void)what;
    AX_TRY(ranked(t, &x, 0, err));
    AX_TRY(tflite_ints(t, &v, &n, 2, err));
    axis = n == 1 ? v[0] : INT32_MAX;
    free(v);
    AX_TRY(axis_of(t, &axis, x->rank, err));
    AX_TRY(tflite_ints(t, &v, &n, 1, err));
    left = x->dims[axis];
    if (n != t->out.n)
        st = ax_fail(err, AX_EFORMAT, "SPLIT_V of %zu sizes has %zu outputs",
                     n, t->out.n);
    for (size_t i = 0; i < n && st == AX_OK; i++) {
        if (v[i] == -1 && free_one == SIZE_MAX)
            free_one = i;
        else if (v[i] < 0 || v[i] > left)
            st = tflite_refuse(t, err, "a part of %" PRId64, v[i]);
        else
            left -= v[i];
    }
    if (st == AX_OK && free_one != SIZE_MAX)
        v[free_one] = left;
    if (st == AX_OK)
        st = parts(t, 0, axis, v, err);
    free(v);
    return st;
}

/* ---- slices ---- */

/* Inputs: where it begins, and the sizes; -1: all that is left. */
ax_status tflite_slice(struct tflite *t, int64_t what, struct ax_err *err)
{
    int64_t *from = NULL, *size = NULL, axes[AX_RANK_MAX];
    size_t n, m;
    uint32_t x;
    ax_status st;

    (void)what;
    AX_TRY(tflite_value(t, &x, 0, PLAIN, err));
    st = tflite_ints(t, &from, &n, 1, err);
    if (st == AX_OK)
        st = tflite_ints(t, &size, &m, 2, err);
    if (st == AX_OK && (n != m || n > AX_RANK_MAX))
        st = ax_fail(err, AX_EFORMAT, "SLICE at %zu places of %zu sizes", n,
                     m);
    for (size_t i = 0; st == AX_OK && i < n; i++) {
        axes[i] = (int64_t)i;
        if (from[i] < 0 || from[i] > INT32_MAX || size[i] < -1 ||
            size[i] > INT32_MAX)
            st = tflite_refuse(t, err, "a part of %" PRId64 " at %" PRId64,
                               size[i], from[i]);
        size[i] = size[i] < 0 ? TO_THE_END : from[i] + size[i];
    }
    if (st == AX_OK)
        st = slice(t, &x, "", x, from, size, axes, NULL, n, err);
    free(from);
    free(size);
    AX_TRY(st);
    return tflite_result(t, 0, x, PLAIN, true, err);
}

enum {
    BEGIN_MASK,
    END_MASK,
    ELLIPSIS_MASK,
    NEW_AXIS_MASK,
    SHRINK_MASK,
    IS_OFFSET
};

struct strided {
    int64_t *v[3]; /* from, to, step */
    size_t n;
    int64_t axes[AX_RANK_MAX], gone[AX_RANK_MAX];
    size_t n_gone;
};

static ax_status read_strided(struct tflite *t, struct strided *s,
                              struct ax_err *err)
{
    for (size_t i = 0; i < 3; i++) {
        size_t n;

        AX_TRY(tflite_ints(t, &s->v[i], &n, 1 + i, err));
        if (n > AX_RANK_MAX || (i && n != s->n))
            return ax_fail(err, AX_EFORMAT,
                           "STRIDED_SLICE of lists of several lengths");
        s->n = n;
    }
    for (int i = ELLIPSIS_MASK; i <= IS_OFFSET; i++)
        if (i != SHRINK_MASK &&
            flat_int(&t->f, t->options, i, i == IS_OFFSET ? 1 : 4, 0) != 0)
            return tflite_refuse(t, err, "an ellipsis, new axes or offsets");
    return AX_OK;
}

static ax_status apply_masks(struct tflite *t, struct strided *s,
                             struct ax_err *err)
{
    int64_t mask[SHRINK_MASK + 1];

    for (int i = 0; i <= SHRINK_MASK; i++)
        mask[i] = flat_int(&t->f, t->options, i, 4, 0);
    for (size_t i = 0; i < s->n; i++) {
        int64_t *from = &s->v[0][i], *to = &s->v[1][i], *step = &s->v[2][i];

        s->axes[i] = (int64_t)i;
        if (mask[SHRINK_MASK] >> i & 1) {
            *to = *from == -1 ? TO_THE_END : *from + 1;
            *step = 1;
            s->gone[s->n_gone++] = (int64_t)i;
            continue;
        }
        if (*step == 0)
            return ax_fail(err, AX_EFORMAT, "STRIDED_SLICE with a step of 0");
        if (mask[BEGIN_MASK] >> i & 1)
            *from = *step > 0 ? 0 : TO_THE_END;
        if (mask[END_MASK] >> i & 1)
            *to = *step > 0 ? TO_THE_END : -TO_THE_END;
    }
    return AX_OK;
}

ax_status tflite_strided_slice(struct tflite *t, int64_t what,
                               struct ax_err *err)
{
    struct strided s = {.n = 0};
    uint32_t x;
    ax_status st = tflite_value(t, &x, 0, PLAIN, err);

    (void)what;
    if (st == AX_OK)
        st = read_strided(t, &s, err);
    if (st == AX_OK)
        st = apply_masks(t, &s, err);
    if (st == AX_OK)
        st = slice(t, &x, s.n_gone ? "part" : "", x, s.v[0], s.v[1], s.axes,
                   s.v[2], s.n, err);
    for (int i = 0; i < 3; i++)
        free(s.v[i]);
    AX_TRY(st);
    if (s.n_gone)
        AX_TRY(squeeze(t, &x, AX_OP_Squeeze, "", x, s.gone, s.n_gone, err));
    return tflite_result(t, 0, x, PLAIN, true, err);
}

ax_status tflite_gather(struct tflite *t, int64_t what, struct ax_err *err)
{
    int64_t axis = flat_int(&t->f, t->options, 0, 4, 0);
    uint32_t x, y;

    (void)what;
    if (flat_int(&t->f, t->options, 1, 4, 0) != 0)
        return tflite_refuse(t, err, "batch dimensions");
    AX_TRY(tflite_value(t, &x, 0, PLAIN, err));
    AX_TRY(tflite_value(t, &y, 1, PLAIN, err));
    AX_TRY(arch_node2(&t->a, &x, AX_OP_Gather, "", x, y, err));
    AX_TRY(arch_attr_int(&t->a, "axis", axis, err));
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
                        : (size_t)turned_axis((int64_t)i);

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

/* ---- reductions ---- */

ax_status tflite_reduce(struct tflite *t, int64_t op, struct ax_err *err)
{
    bool keep = flat_int(&t->f, t->options, 0, 1, 0);
    const struct tflite_tensor *x;
    enum tflite_layout layout = PLAIN;
    uint32_t v, y;
    int64_t *axes;
    size_t n;
    ax_status st = AX_OK;

    AX_TRY(ranked(t, &x, 0, err));
    AX_TRY(tflite_ints(t, &axes, &n, 1, err));
    for (size_t i = 0; i < n && st == AX_OK; i++)
        st = axis_of(t, &axes[i], x->rank, err);
    /* With the channels first, if all that is left is [batch, channels], or
     * nothing goes. */
    if (st == AX_OK && tflite_turned(x) &&
        (keep ||
         (n == 2 && axes[0] + axes[1] == 3 && axes[0] * axes[1] == 2)))
        layout = CHANNELS_FIRST;
    for (size_t i = 0; i < n && st == AX_OK && layout != PLAIN; i++)
        axes[i] = turned_axis(axes[i]);
    if (st == AX_OK)
        st = tflite_value(t, &v, 0, layout, err);
    if (st == AX_OK)
        st = arch_ints(&t->a, &y, "axes", axes, n, err);
    free(axes);
    AX_TRY(st);
    AX_TRY(arch_node2(&t->a, &v, (ax_op)op, "", v, y, err));
    AX_TRY(arch_attr_int(&t->a, "keepdims", keep, err));
    return tflite_result(t, 0, v, keep ? layout : PLAIN,
                         op == AX_OP_ReduceMax || op == AX_OP_ReduceMin, err);
}

ax_status tflite_arg(struct tflite *t, int64_t op, struct ax_err *err)
{
    int64_t *axes, axis, k = flat_number(t->out, 0, 4);
    uint32_t x;
    size_t n;

    AX_TRY(tflite_ints(t, &axes, &n, 1, err));
    axis = n ? axes[0] : 0;
    free(axes);
    if (n != 1 || t->out.n != 1 || k < 0 || (size_t)k >= t->n_tensors)
        return ax_fail(err, AX_EFORMAT, "%s of %zu axes", t->op_name, n);
    AX_TRY(tflite_value(t, &x, 0, PLAIN, err));
    AX_TRY(arch_node1(&t->a, &x, (ax_op)op, "index", x, err));
    AX_TRY(arch_attr_int(&t->a, "axis", axis, err));
    AX_TRY(arch_attr_int(&t->a, "keepdims", 0, err));
    AX_TRY(arch_node1(&t->a, &x, AX_OP_Cast, "", x, err));
    AX_TRY(arch_attr_int(&t->a, "to", t->tensors[k].type, err));
    return tflite_result(t, 0, x, PLAIN, false, err);
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
    AX_TRY(ranked(t, &b->x, 0, err));
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
    AX_TRY(slice(t, &x, "", x, (const int64_t[]){b.ends[0], b.ends[2]},
                 (const int64_t[]){h - b.ends[1], w - b.ends[3]}, axes, NULL,
                 2, err));
    return tflite_result(t, 0, x, PLAIN, true, err);
}
