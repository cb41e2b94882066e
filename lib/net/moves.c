/* Operators that only move elements: each says where every element of its
 * output comes from. */
#include <stdlib.h>
#include <string.h>

#include "lowering.h"

/* Where an element comes from: element ORIGIN_AT of input ORIGIN_OF, or the
 * constant fill. */
#define ORIGIN(input, at) ((uint64_t)(input) << 40 | (uint64_t)(at))
#define ORIGIN_OF(origin) ((origin) >> 40)
#define ORIGIN_AT(origin) ((origin)&0xffffffffff)
#define ORIGIN_FILL       UINT64_MAX

/* Variables that follow each other need no list. */
static void find_run(struct array *a)
{
    for (size_t i = 0; i < a->n; i++)
        if (a->var[i] == NO_VARIABLE || a->var[i] != a->var[0] + i)
            return;
    if (!a->n)
        return;
    a->run = a->var[0];
    a->var = NULL;
}

/* out's shape is set. origin[out->n]. */
static ax_status gather(struct lowering *l, struct array *out,
                        const struct array *in, const uint64_t *origin,
                        double fill)
{
    bool variables = false, constants = false;

    for (size_t i = 0; i < out->n; i++) {
        bool v = origin[i] != ORIGIN_FILL &&
                 array_var(&in[ORIGIN_OF(origin[i])], ORIGIN_AT(origin[i])) !=
                     NO_VARIABLE;

        variables |= v;
        constants |= !v;
    }
    if (variables && !(out->var = net_alloc(l, out->n, sizeof *out->var)))
        return net_no_memory(l);
    if ((constants || !out->n) &&
        !(out->value = net_alloc(l, out->n, sizeof *out->value)))
        return net_no_memory(l);
    for (size_t i = 0; i < out->n; i++) {
        bool none = origin[i] == ORIGIN_FILL;
        const struct array *from = none ? in : &in[ORIGIN_OF(origin[i])];
        size_t at = none ? 0 : ORIGIN_AT(origin[i]);
        uint32_t v = none ? NO_VARIABLE : array_var(from, at);

        if (variables)
            out->var[i] = v;
        if (v == NO_VARIABLE)
            out->value[i] = none ? fill : array_value(from, at);
    }
    if (variables && !constants)
        find_run(out);
    return AX_OK;
}

ax_status net_picked(struct lowering *l, struct array *out,
                     const struct array *in, const uint64_t *at)
{
    return gather(l, out, in, at, 0);
}

/* Strides of a row-major shape. */
void net_strides(int64_t *out, const struct array *f)
{
    int64_t s = 1;

    for (int i = f->rank - 1; i >= 0; i--) {
        out[i] = s;
        s *= f->dims[i];
    }
}

/* A negative axis counts from the end. False if it is out of range. */
static bool set_axis(int *out, int64_t axis, int rank)
{
    if (axis < 0)
        axis += rank;
    *out = (int)axis;
    return axis >= 0 && axis < rank;
}

static ax_status axis_attr(struct lowering *l, int *out, int64_t dflt,
                           int rank)
{
    int64_t axis = ax_node_int(l->node, "axis", dflt);

    if (!set_axis(out, axis, rank))
        return net_refuse(l, "axis %lld of %d", (long long)axis, rank);
    return AX_OK;
}

/* out, whose shape is set, is in with element (i0, i1, ...) taken from
 * sum of start + i step; where low[] .. high[] does not hold i, it is
 * FILL. low and high may be NULL. */
struct walk {
    int64_t start, step[AX_RANK_MAX];
    const int64_t *low, *high;
};

static ax_status gather_walk(struct lowering *l, struct array *out,
                             const struct array *in, const struct walk *w,
                             double fill)
{
    uint64_t *origin = net_alloc(l, out->n, sizeof *origin);
    int64_t at[AX_RANK_MAX] = {0};

    if (!origin)
        return net_no_memory(l);
    for (size_t i = 0; i < out->n; i++) {
        int64_t from = w->start;
        bool inside = true;

        for (int d = 0; d < out->rank; d++) {
            from += at[d] * w->step[d];
            if (w->low)
                inside &= at[d] >= w->low[d] && at[d] < w->high[d];
        }
        origin[i] = inside ? ORIGIN(0, from) : ORIGIN_FILL;
        for (int d = out->rank - 1; d >= 0 && ++at[d] == out->dims[d]; d--)
            at[d] = 0;
    }
    return gather(l, out, in, origin, fill);
}

ax_status net_broadcast(struct lowering *l, struct array *out,
                        const struct array *in, int rank, const int64_t *dims)
{
    int64_t strides[AX_RANK_MAX];
    int skip = rank - in->rank;
    struct walk w = {0};

    if (rank == in->rank &&
        !memcmp(dims, in->dims, (size_t)rank * sizeof *dims)) {
        *out = *in;
        return AX_OK;
    }
    if (skip < 0)
        return net_refuse(l, "shapes do not broadcast");
    net_strides(strides, in);
    for (int i = 0; i < in->rank; i++)
        if (in->dims[i] == dims[i + skip])
            w.step[i + skip] = strides[i];
        else if (in->dims[i] != 1)
            return net_refuse(l, "shapes do not broadcast");
    AX_TRY(net_shape(l, out, rank, dims));
    return gather_walk(l, out, in, &w, 0);
}

ax_status net_reshaped(struct lowering *l, struct array *out,
                       const struct array *in, int rank, const int64_t *dims)
{
    struct array shape;

    AX_TRY(net_shape(l, &shape, rank, dims));
    if (shape.n != in->n)
        return net_refuse(l, "%zu elements do not become %zu", in->n,
                          shape.n);
    *out = *in;
    out->rank = rank;
    memcpy(out->dims, shape.dims, sizeof out->dims);
    return AX_OK;
}

/* Identity; Dropout, which does nothing when it is not training. */
ax_status net_same(struct lowering *l, struct array *out)
{
    const struct array *training = net_input(l, 2);

    if (l->node->op == AX_OP_Dropout && training &&
        !(array_constant(training) && training->n == 1 &&
          array_value(training, 0) == 0))
        return net_refuse(l, "in training mode");
    *out = *net_input(l, 0);
    return AX_OK;
}

ax_status net_flatten(struct lowering *l, struct array *out)
{
    const struct array *in = net_input(l, 0);
    int64_t dims[2] = {1, 1}, axis = ax_node_int(l->node, "axis", 1);

    if (axis < 0)
        axis += in->rank;
    if (axis < 0 || axis > in->rank)
        return net_refuse(l, "axis %lld of %d", (long long)axis, in->rank);
    for (int i = 0; i < in->rank; i++)
        dims[i >= axis] *= in->dims[i];
    return net_reshaped(l, out, in, 2, dims);
}

ax_status net_reshape(struct lowering *l, struct array *out)
{
    const struct array *in = net_input(l, 0);
    bool keep_zero = ax_node_int(l->node, "allowzero", 0) != 0;
    int64_t dims[AX_RANK_MAX];
    size_t rank, known = 1;
    int open = -1;

    AX_TRY(net_ints(l, 1, dims, AX_RANK_MAX, &rank));
    for (size_t i = 0; i < rank; i++) {
        if (dims[i] == 0 && !keep_zero) {
            if ((int)i >= in->rank)
                return net_refuse(l, "dimension %zu is 0, of no input", i);
            dims[i] = in->dims[i];
        }
        if (dims[i] == -1) {
            if (open >= 0)
                return net_refuse(l, "two dimensions are -1");
            open = (int)i;
        } else if (dims[i] < 0 || (dims[i] && known > MAX_ELEMENT)) {
            return net_refuse(l, "a dimension of %lld", (long long)dims[i]);
        } else {
            known *= (size_t)dims[i];
        }
    }
    if (open >= 0)
        dims[open] = known ? (int64_t)(in->n / known) : 0;
    return net_reshaped(l, out, in, (int)rank, dims);
}

/* Marks axes given as integers; false if one is out of range or twice. */
bool net_mark_axes(bool *marked, const int64_t *axes, size_t n, int rank)
{
    memset(marked, 0, AX_RANK_MAX * sizeof *marked);
    for (size_t i = 0; i < n; i++) {
        int a;

        if (!set_axis(&a, axes[i], rank) || marked[a])
            return false;
        marked[a] = true;
    }
    return true;
}

ax_status net_squeeze(struct lowering *l, struct array *out)
{
    const struct array *in = net_input(l, 0);
    int64_t axes[AX_RANK_MAX], dims[AX_RANK_MAX];
    bool gone[AX_RANK_MAX];
    size_t n = 0;
    int rank = 0;

    if (net_input(l, 1)) {
        AX_TRY(net_ints(l, 1, axes, AX_RANK_MAX, &n));
    } else {
        for (int i = 0; i < in->rank; i++)
            if (in->dims[i] == 1)
                axes[n++] = i;
    }
    if (!net_mark_axes(gone, axes, n, in->rank))
        return net_refuse(l, "bad axes");
    for (int i = 0; i < in->rank; i++) {
        if (gone[i] && in->dims[i] != 1)
            return net_refuse(l, "dimension %d is not 1", i);
        if (!gone[i])
            dims[rank++] = in->dims[i];
    }
    return net_reshaped(l, out, in, rank, dims);
}

ax_status net_unsqueeze(struct lowering *l, struct array *out)
{
    const struct array *in = net_input(l, 0);
    int64_t axes[AX_RANK_MAX], dims[AX_RANK_MAX];
    bool added[AX_RANK_MAX];
    int rank, from = 0;
    size_t n;

    AX_TRY(net_ints(l, 1, axes, AX_RANK_MAX, &n));
    rank = in->rank + (int)n;
    if (rank > AX_RANK_MAX || !net_mark_axes(added, axes, n, rank))
        return net_refuse(l, "bad axes");
    for (int i = 0; i < rank; i++)
        dims[i] = added[i] ? 1 : in->dims[from++];
    return net_reshaped(l, out, in, rank, dims);
}

ax_status net_transpose(struct lowering *l, struct array *out)
{
    const struct array *in = net_input(l, 0);
    const struct ax_attr *perm = ax_node_attr(l->node, "perm");
    int64_t dims[AX_RANK_MAX], strides[AX_RANK_MAX], p[AX_RANK_MAX];
    struct walk w = {0};
    bool seen[AX_RANK_MAX];

    for (int i = 0; i < in->rank; i++)
        p[i] = in->rank - 1 - i;
    if (perm) {
        if (perm->kind != AX_ATTR_INTS || perm->n != (size_t)in->rank ||
            !net_mark_axes(seen, perm->ints, perm->n, in->rank))
            return net_refuse(l, "perm is no permutation");
        memcpy(p, perm->ints, perm->n * sizeof *p);
    }
    net_strides(strides, in);
    for (int i = 0; i < in->rank; i++) {
        if (p[i] < 0)
            p[i] += in->rank;
        dims[i] = in->dims[p[i]];
        w.step[i] = strides[p[i]];
    }
    AX_TRY(net_shape(l, out, in->rank, dims));
    return gather_walk(l, out, in, &w, 0);
}

ax_status net_joined(struct lowering *l, struct array *out,
                     const struct array *in, uint32_t n)
{
    uint64_t *origin;
    int64_t all = 0;
    size_t at = 0;

    for (uint32_t k = 0; k < n; k++) {
        all += (int64_t)in[k].n;
        if (all > (int64_t)MAX_ELEMENT)
            break;
    }
    AX_TRY(net_shape(l, out, 1, &all));
    origin = net_alloc(l, out->n, sizeof *origin);
    if (!origin)
        return net_no_memory(l);
    for (uint32_t k = 0; k < n; k++)
        for (size_t i = 0; i < in[k].n; i++)
            origin[at++] = ORIGIN(k, i);
    return gather(l, out, in, origin, 0);
}

ax_status net_concat(struct lowering *l, struct array *out)
{
    uint32_t n = l->node->n_in;
    const struct array *one = net_input(l, 0);
    struct array *in = net_alloc(l, n, sizeof *in);
    int64_t dims[AX_RANK_MAX];
    size_t inner = 1, at = 0;
    uint64_t *origin;
    int axis;

    if (!in)
        return net_no_memory(l);
    AX_TRY(axis_attr(l, &axis, 0, one->rank));
    memcpy(dims, one->dims, sizeof dims);
    dims[axis] = 0;
    for (uint32_t k = 0; k < n; k++) {
        in[k] = *net_input(l, k);
        for (int i = 0; i < one->rank; i++)
            if (in[k].rank != one->rank ||
                (i != axis && in[k].dims[i] != one->dims[i]))
                return net_refuse(l, "shapes of inputs 0 and %u differ", k);
        dims[axis] += in[k].dims[axis];
    }
    for (int i = axis + 1; i < one->rank; i++)
        inner *= (size_t)one->dims[i];
    AX_TRY(net_shape(l, out, one->rank, dims));
    origin = net_alloc(l, out->n, sizeof *origin);
    if (!origin)
        return net_no_memory(l);
    for (size_t o = 0; at < out->n; o++)
        for (uint32_t k = 0; k < n; k++) {
            size_t run = (size_t)in[k].dims[axis] * inner;

            for (size_t i = 0; i < run; i++)
                origin[at++] = ORIGIN(k, o * run + i);
        }
    return gather(l, out, in, origin, 0);
}

/* starts, ends, axes and steps as ONNX clamps them. */
static bool slice_axis(int64_t *start, int64_t *count, int64_t end,
                       int64_t step, int64_t dim)
{
    int64_t s = *start < 0 ? *start + dim : *start;
    int64_t e = end < 0 ? end + dim : end;
    int64_t low = step > 0 ? 0 : -1, high = step > 0 ? dim : dim - 1;

    if (!step)
        return false;
    s = s < 0 ? 0 : s > high ? high : s;
    e = e < low ? low : e > high ? high : e;
    *start = s;
    if (step > 0)
        *count = e > s ? (e - s - 1) / step + 1 : 0;
    else
        *count = s > e ? (s - e - 1) / -step + 1 : 0;
    return true;
}

ax_status net_slice(struct lowering *l, struct array *out)
{
    const struct array *in = net_input(l, 0);
    int64_t starts[AX_RANK_MAX], ends[AX_RANK_MAX], axes[AX_RANK_MAX];
    int64_t steps[AX_RANK_MAX], strides[AX_RANK_MAX], dims[AX_RANK_MAX];
    size_t n, n_ends, n_axes, n_steps;
    struct walk w = {0};

    AX_TRY(net_ints(l, 1, starts, AX_RANK_MAX, &n));
    AX_TRY(net_ints(l, 2, ends, AX_RANK_MAX, &n_ends));
    n_axes = n_steps = n;
    for (size_t i = 0; i < n; i++) {
        axes[i] = (int64_t)i;
        steps[i] = 1;
    }
    if (net_input(l, 3))
        AX_TRY(net_ints(l, 3, axes, AX_RANK_MAX, &n_axes));
    if (net_input(l, 4))
        AX_TRY(net_ints(l, 4, steps, AX_RANK_MAX, &n_steps));
    if (n_ends != n || n_axes != n || n_steps != n)
        return net_refuse(l, "starts, ends, axes, steps differ in length");
    net_strides(strides, in);
    memcpy(dims, in->dims, sizeof dims);
    memcpy(w.step, strides, sizeof w.step);
    for (size_t i = 0; i < n; i++) {
        int a;

        if (!set_axis(&a, axes[i], in->rank) ||
            !slice_axis(&starts[i], &dims[a], ends[i], steps[i], in->dims[a]))
            return net_refuse(l, "bad axes or steps");
        w.start += dims[a] ? starts[i] * strides[a] : 0;
        w.step[a] = strides[a] * steps[i];
    }
    AX_TRY(net_shape(l, out, in->rank, dims));
    return gather_walk(l, out, in, &w, 0);
}

ax_status net_split(struct lowering *l, struct array *out)
{
    const struct array *in = net_input(l, 0);
    uint32_t n = l->node->n_out;
    int64_t *sizes = net_alloc(l, n, sizeof *sizes), dims[AX_RANK_MAX];
    int64_t strides[AX_RANK_MAX], at = 0;
    size_t n_sizes = n;
    int axis;

    if (!sizes)
        return net_no_memory(l);
    AX_TRY(axis_attr(l, &axis, 0, in->rank));
    if (!net_input(l, 1) && in->dims[axis] % n)
        return net_refuse(l, "the parts are not alike");
    for (uint32_t k = 0; k < n; k++)
        sizes[k] = in->dims[axis] / n;
    if (net_input(l, 1))
        AX_TRY(net_ints(l, 1, sizes, n, &n_sizes));
    net_strides(strides, in);
    memcpy(dims, in->dims, sizeof dims);
    for (uint32_t k = 0; k < n; k++) {
        struct walk w = {.start = at * strides[axis]};

        if (n_sizes != n || sizes[k] < 0 || sizes[k] > in->dims[axis] - at)
            return net_refuse(l, "the parts do not make up the input");
        memcpy(w.step, strides, sizeof w.step);
        dims[axis] = sizes[k];
        at += sizes[k];
        AX_TRY(net_shape(l, &out[k], in->rank, dims));
        AX_TRY(gather_walk(l, &out[k], in, &w, 0));
    }
    if (at != in->dims[axis])
        return net_refuse(l, "the parts do not make up the input");
    return AX_OK;
}

ax_status net_gather(struct lowering *l, struct array *out)
{
    const struct array *in = net_input(l, 0), *at = net_input(l, 1);
    int64_t dims[AX_RANK_MAX], *index;
    size_t inner = 1, n, to = 0;
    uint64_t *origin;
    int axis, rank = 0;

    AX_TRY(axis_attr(l, &axis, 0, in->rank));
    index = net_alloc(l, at->n, sizeof *index);
    if (!index)
        return net_no_memory(l);
    AX_TRY(net_ints(l, 1, index, at->n, &n));
    if (in->rank + at->rank - 1 > AX_RANK_MAX)
        return net_refuse(l, "more than %d dimensions", AX_RANK_MAX);
    for (int i = 0; i < in->rank; i++) {
        if (i == axis)
            for (int j = 0; j < at->rank; j++)
                dims[rank++] = at->dims[j];
        else
            dims[rank++] = in->dims[i];
        if (i > axis)
            inner *= (size_t)in->dims[i];
    }
    for (size_t i = 0; i < n; i++) {
        if (index[i] < 0)
            index[i] += in->dims[axis];
        if (index[i] < 0 || index[i] >= in->dims[axis])
            return net_refuse(l, "an index is out of range");
    }
    AX_TRY(net_shape(l, out, rank, dims));
    origin = net_alloc(l, out->n, sizeof *origin);
    if (!origin)
        return net_no_memory(l);
    for (size_t o = 0; to < out->n; o++)
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < inner; j++)
                origin[to++] = ORIGIN(
                    0,
                    (o * (size_t)in->dims[axis] + (size_t)index[i]) * inner +
                        j);
    return gather(l, out, in, origin, 0);
}

ax_status net_pad(struct lowering *l, struct array *out)
{
    const struct array *in = net_input(l, 0), *value = net_input(l, 2);
    const char *mode = ax_node_string(l->node, "mode", "constant");
    int64_t pads[2 * AX_RANK_MAX], axes[AX_RANK_MAX], dims[AX_RANK_MAX];
    int64_t low[AX_RANK_MAX], high[AX_RANK_MAX];
    size_t n, n_axes = (size_t)in->rank;
    struct walk w = {.low = low, .high = high};

    if (strcmp(mode, "constant"))
        return net_refuse(l, "mode %s", mode);
    if (value && (!array_constant(value) || value->n != 1))
        return net_refuse(l, "the value is no constant");
    AX_TRY(net_ints(l, 1, pads, 2 * AX_RANK_MAX, &n));
    for (int i = 0; i < in->rank; i++)
        axes[i] = i;
    if (net_input(l, 3))
        AX_TRY(net_ints(l, 3, axes, AX_RANK_MAX, &n_axes));
    if (n != 2 * n_axes)
        return net_refuse(l, "%zu pads for %zu axes", n, n_axes);
    net_strides(w.step, in);
    for (int i = 0; i < in->rank; i++) {
        dims[i] = high[i] = in->dims[i];
        low[i] = 0;
    }
    for (size_t i = 0; i < n_axes; i++) {
        int64_t before = pads[i], after = pads[n_axes + i];
        int a;

        if (!set_axis(&a, axes[i], in->rank) || llabs(before) > INT32_MAX ||
            llabs(after) > INT32_MAX)
            return net_refuse(l, "bad axes or pads");
        dims[a] = in->dims[a] + before + after;
        low[a] = before;
        high[a] = before + in->dims[a];
        w.start -= before * w.step[a];
    }
    AX_TRY(net_shape(l, out, in->rank, dims));
    return gather_walk(l, out, in, &w, value ? array_value(value, 0) : 0);
}
