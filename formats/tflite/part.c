/* What puts tensors together, and takes parts of them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "formats/tflite/tflite.h"

#define TO_THE_END INT64_MAX

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
    AX_TRY(tflite_ranked(t, &x, 0, err));
    AX_TRY(tflite_axis(t, &axis, x->rank, err));
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
                           layout == PLAIN ? axis : tflite_turned_axis(axis),
                           err);
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
    AX_TRY(tflite_axis(t, &axis, x && x->rank > 0 ? x->rank + 1 : 1, err));
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
    const struct tflite_tensor *x = tflite_out(t, i);

    if (!x)
        return ax_fail(err, AX_EFORMAT, "%s has no output %zu", t->op_name,
                       i);
    t->a.name = x->name;
    return AX_OK;
}

ax_status tflite_unpack(struct tflite *t, int64_t what, struct ax_err *err)
{
    int64_t axis = flat_int(&t->f, t->options, PACK_AXIS, 4, 0);
    const struct tflite_tensor *x;
    uint32_t v, y;

    (void)what;
    AX_TRY(tflite_ranked(t, &x, 0, err));
    AX_TRY(tflite_axis(t, &axis, x->rank, err));
    AX_TRY(tflite_value(t, &v, 0, PLAIN, err));
    for (size_t i = 0; i < t->out.n; i++) {
        const int64_t from = (int64_t)i, to = from + 1;

        AX_TRY(name_output(t, i, err));
        AX_TRY(tflite_cut(t, &y, "part", v, &from, &to, &axis, NULL, 1, err));
        AX_TRY(tflite_with_axes(t, &y, AX_OP_Squeeze, "", y, &axis, 1, err));
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
        AX_TRY(tflite_cut(t, &y, "", v, &from, &to, &axis, NULL, 1, err));
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
    AX_TRY(tflite_ranked(t, &x, 1, err));
    AX_TRY(tflite_ints(t, &axes, &n, 0, err));
    axis = n == 1 ? axes[0] : INT32_MAX;
    free(axes);
    AX_TRY(tflite_axis(t, &axis, x->rank, err));
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
    AX_TRY(tflite_ranked(t, &x, 0, err));
    AX_TRY(tflite_ints(t, &v, &n, 2, err));
    axis = n == 1 ? v[0] : INT32_MAX;
    free(v);
    AX_TRY(tflite_axis(t, &axis, x->rank, err));
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
        st = tflite_cut(t, &x, "", x, from, size, axes, NULL, n, err);
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
        st = tflite_cut(t, &x, s.n_gone ? "part" : "", x, s.v[0], s.v[1],
                        s.axes, s.v[2], s.n, err);
    for (int i = 0; i < 3; i++)
        free(s.v[i]);
    AX_TRY(st);
    if (s.n_gone)
        AX_TRY(tflite_with_axes(t, &x, AX_OP_Squeeze, "", x, s.gone, s.n_gone,
                                err));
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
