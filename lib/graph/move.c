/* Shape rules of operators that move elements: Reshape, Transpose, Gather,
 * Concat, Split, Slice and such. Source: Operators.md of ONNX at opset 17. */
#include <inttypes.h>
#include <string.h>

#include "graph/infer.h"

ax_status infer_flatten(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);
    struct infer_fact *out = infer_out(s, 0);
    int64_t axis = ax_node_int(s->node, "axis", 1);

    out->dtype = x->dtype;
    if (x->rank < 0)
        return AX_OK;
    if (axis != x->rank)
        AX_TRY(infer_axis(&axis, axis, x->rank, err));
    out->rank = 2;
    out->d[0] = infer_product(x->d, 0, (int)axis);
    out->d[1] = infer_product(x->d, (int)axis, x->rank);
    return AX_OK;
}

ax_status infer_transpose(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);
    struct infer_fact *out = infer_out(s, 0);
    const struct ax_attr *perm = ax_node_attr(s->node, "perm");
    bool seen[AX_RANK_MAX] = {false};

    out->dtype = x->dtype;
    if (x->rank < 0)
        return AX_OK;
    out->rank = x->rank;
    if (perm && perm->n != (size_t)x->rank)
        return ax_fail(err, AX_ESHAPE, "perm has %zu axes, the input %d",
                       perm->n, x->rank);
    for (int i = 0; i < x->rank; i++) {
        int64_t from = perm ? perm->ints[i] : x->rank - 1 - i;

        if (from < 0 || from >= x->rank || seen[from])
            return ax_fail(err, AX_ESHAPE, "perm is no permutation");
        seen[from] = true;
        out->d[i] = x->d[from];
    }
    return AX_OK;
}

/* What -1 stands for, when everything else is there. */
static ax_status reshape_rest(struct infer_fact *out,
                              const struct infer_fact *x, int rest,
                              struct ax_err *err)
{
    struct infer_dim all = infer_unknown(), others;

    if (x->rank >= 0)
        all = infer_product(x->d, 0, x->rank);
    if (rest >= 0)
        out->d[rest] = infer_number(1);
    others = infer_product(out->d, 0, out->rank);
    if (rest >= 0)
        out->d[rest] = infer_div(all, others);
    if (all.p != 0 || others.p != 0)
        return AX_OK;
    if (rest >= 0 ? out->d[rest].p != 0 : all.k != others.k)
        return ax_fail(err, AX_ESHAPE,
                       "%" PRId64 " elements do not fit the new shape",
                       all.k);
    return AX_OK;
}

ax_status infer_reshape(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0), *to = infer_in(s, 1);
    struct infer_fact *out = infer_out(s, 0);
    bool keep_zero = ax_node_int(s->node, "allowzero", 0) != 0;
    int64_t n = infer_length(to);
    int rest = -1;

    out->dtype = x->dtype;
    if (n < 0)
        return AX_OK;
    if (n > AX_RANK_MAX)
        return infer_too_many(n, err);
    out->rank = (int)n;
    for (int i = 0; i < out->rank; i++) {
        out->d[i] = to->v ? to->v[i] : infer_unknown();
        if (infer_is(out->d[i], 0) && !keep_zero) {
            if (x->rank >= 0 && i >= x->rank)
                return ax_fail(err, AX_ESHAPE,
                               "dimension %d is to be kept, the input has %d",
                               i, x->rank);
            out->d[i] = x->rank >= 0 ? x->d[i] : infer_unknown();
        } else if (infer_is(out->d[i], -1)) {
            if (rest >= 0)
                return ax_fail(err, AX_ESHAPE,
                               "two dimensions are to be found");
            rest = i;
        } else if (out->d[i].p == 0 && out->d[i].k < 0) {
            return ax_fail(err, AX_ESHAPE, "dimension %d is %" PRId64, i,
                           out->d[i].k);
        }
    }
    return reshape_rest(out, x, rest, err);
}

ax_status infer_gather(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0), *at = infer_in(s, 1);
    struct infer_fact *out = infer_out(s, 0);
    int64_t axis;
    int n = 0;

    out->dtype = x->dtype;
    if (x->rank < 0 || at->rank < 0)
        return AX_OK;
    AX_TRY(infer_axis(&axis, ax_node_int(s->node, "axis", 0), x->rank, err));
    if (x->rank - 1 + at->rank > AX_RANK_MAX)
        return infer_too_many(x->rank - 1 + at->rank, err);
    for (int i = 0; i < axis; i++)
        out->d[n++] = x->d[i];
    for (int i = 0; i < at->rank; i++)
        out->d[n++] = at->d[i];
    for (int i = (int)axis + 1; i < x->rank; i++)
        out->d[n++] = x->d[i];
    out->rank = n;
    return AX_OK;
}

ax_status infer_concat(struct infer *s, struct ax_err *err)
{
    struct infer_fact all = *infer_in(s, 0), *out = infer_out(s, 0);
    int64_t axis = ax_node_int(s->node, "axis", 0);

    out->dtype = all.dtype;
    for (uint32_t k = 0; k < s->node->n_in; k++) {
        const struct infer_fact *x = infer_in(s, k);

        if (!x)
            return ax_fail(err, AX_ESHAPE, "input %" PRIu32 " is absent", k);
        if (x->rank < 0 || all.rank < 0)
            return AX_OK;
        if (x->rank != all.rank)
            return ax_fail(err, AX_ESHAPE, "inputs have %d and %d dimensions",
                           all.rank, x->rank);
        if (k == 0)
            AX_TRY(infer_axis(&axis, axis, x->rank, err));
        for (int i = 0; k && i < x->rank; i++)
            if (i == axis)
                all.d[i] = infer_add(all.d[i], x->d[i]);
            else if (all.d[i].p == 0 && x->d[i].p == 0 &&
                     all.d[i].k != x->d[i].k)
                return ax_fail(err, AX_ESHAPE,
                               "dimension %d is %" PRId64 " and %" PRId64, i,
                               all.d[i].k, x->d[i].k);
            else if (all.d[i].p < 0 || x->d[i].p == 0)
                all.d[i] = x->d[i];
    }
    out->rank = all.rank;
    memcpy(out->d, all.d, sizeof out->d);
    return AX_OK;
}

/* Piece K of SIZE in N pieces of which the last may be shorter. */
static struct infer_dim piece(int64_t size, int64_t n, int64_t k)
{
    int64_t each = size / n + (size % n != 0), left = size - k * each;

    return infer_number(left < 0 ? 0 : left < each ? left : each);
}

ax_status infer_split(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);
    uint32_t n_out = s->node->n_out, n;
    bool known, uneven = ax_node_attr(s->node, "num_outputs") != NULL;
    int64_t axis, sum = 0;
    const int64_t *sizes;

    AX_TRY(infer_numbers(s, 1, &known, &sizes, &n, err));
    if (known && n != n_out)
        return ax_fail(err, AX_ESHAPE,
                       "has %" PRIu32 " sizes for %" PRIu32 " outputs", n,
                       n_out);
    if (x->rank < 0)
        return AX_OK;
    AX_TRY(infer_axis(&axis, ax_node_int(s->node, "axis", 0), x->rank, err));
    for (uint32_t k = 0; known && k < n; k++)
        if (sizes[k] < 0 || __builtin_add_overflow(sum, sizes[k], &sum))
            return ax_fail(err, AX_ESHAPE, "a size is %" PRId64, sizes[k]);
    if (x->d[axis].p == 0 &&
        (known ? sum != x->d[axis].k
               : !infer_in(s, 1) && !uneven && x->d[axis].k % n_out != 0))
        return ax_fail(err, AX_ESHAPE,
                       "%" PRId64 " cannot be split in this way",
                       x->d[axis].k);
    for (uint32_t k = 0; k < n_out; k++) {
        struct infer_fact *out = infer_out(s, k);

        out->dtype = x->dtype;
        out->rank = x->rank;
        memcpy(out->d, x->d, sizeof out->d);
        out->d[axis] = known            ? infer_number(sizes[k])
                       : infer_in(s, 1) ? infer_unknown()
                       : uneven && x->d[axis].p == 0
                           ? piece(x->d[axis].k, n_out, k)
                           : infer_div(x->d[axis], infer_number(n_out));
    }
    return AX_OK;
}

/* How many elements of SIZE a slice takes; see "Slice" in Operators.md. */
static int64_t sliced(int64_t size, int64_t from, int64_t to, int64_t step)
{
    int64_t top = step > 0 ? size : size - 1, bottom = step > 0 ? 0 : -1;

    from = from < 0 ? from + size : from;
    to = to < 0 ? to + size : to;
    from = from < 0 ? 0 : from > top ? top : from;
    to = to < bottom ? bottom : to > top ? top : to;
    if (step > 0)
        return to > from ? (to - from - 1) / step + 1 : 0;
    step = step < -INT64_MAX ? INT64_MAX : -step;
    return from > to ? (from - to - 1) / step + 1 : 0;
}

static struct infer_dim slice_dim(struct infer_dim d, int64_t from,
                                  int64_t to, int64_t step)
{
    if (d.p == 0)
        return infer_number(sliced(d.k, from, to, step));
    /* The end stands for all there is: no tensor is that long. */
    return from == 0 && step == 1 && to >= INT32_MAX ? d : infer_unknown();
}

ax_status infer_slice(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);
    struct infer_fact *out = infer_out(s, 0);
    const int64_t *v[5] = {NULL};
    uint32_t n[5];
    bool known[5], seen[AX_RANK_MAX] = {false};

    out->dtype = x->dtype;
    if (x->rank < 0)
        return AX_OK;
    for (uint32_t k = 1; k < 5; k++)
        AX_TRY(infer_numbers(s, k, &known[k], &v[k], &n[k], err));
    out->rank = x->rank;
    for (int i = 0; i < x->rank; i++)
        out->d[i] = infer_unknown();
    if (!known[1] || !known[2] || (infer_in(s, 3) && !known[3]) ||
        (infer_in(s, 4) && !known[4]))
        return AX_OK;
    if (n[2] != n[1] || (known[3] && n[3] != n[1]) ||
        (known[4] && n[4] != n[1]) || n[1] > (uint32_t)x->rank)
        return ax_fail(err, AX_ESHAPE,
                       "starts, ends, axes and steps do not fit");
    memcpy(out->d, x->d, sizeof out->d);
    for (uint32_t i = 0; i < n[1]; i++) {
        int64_t axis = i, step = known[4] ? v[4][i] : 1;

        if (known[3])
            AX_TRY(infer_axis(&axis, v[3][i], x->rank, err));
        if (seen[axis] || step == 0)
            return ax_fail(err, AX_ESHAPE,
                           "axis %" PRId64 " is there twice, or has step 0",
                           axis);
        seen[axis] = true;
        out->d[axis] = slice_dim(x->d[axis], v[1][i], v[2][i], step);
    }
    return AX_OK;
}

ax_status infer_pad(struct infer *s, struct ax_err *err)
{
    static const char *const modes[] = {"constant", "reflect", "edge",
                                        "wrap"};
    const char *mode = ax_node_string(s->node, "mode", "constant");
    const struct infer_fact *x = infer_in(s, 0), *value = infer_in(s, 2);
    struct infer_fact *out = infer_out(s, 0);
    const int64_t *v;
    uint32_t n;
    bool known;
    int k = 0;

    while (k < 4 && strcmp(mode, modes[k]) != 0)
        k++;
    if (k == 4)
        return ax_fail(err, AX_ESHAPE, "mode may not be '%.40s'", mode);
    if (value && value->dtype && x->dtype && value->dtype != x->dtype)
        return ax_fail(err, AX_ESHAPE, "the value is %s, the input is %s",
                       ax_dtype_name(value->dtype), ax_dtype_name(x->dtype));
    AX_TRY(infer_like(s, err));
    if (x->rank < 0)
        return AX_OK;
    AX_TRY(infer_numbers(s, 1, &known, &v, &n, err));
    if (known && !infer_in(s, 3) && n != 2 * (uint32_t)x->rank)
        return ax_fail(err, AX_ESHAPE,
                       "has %" PRIu32 " pads for %d dimensions", n, x->rank);
    for (int i = 0; i < x->rank; i++) {
        out->d[i] = infer_unknown();
        if (!known || infer_in(s, 3))
            continue;
        out->d[i] = infer_add(
            x->d[i],
            infer_add(infer_number(v[i]), infer_number(v[i + x->rank])));
        if (out->d[i].p == 0 && out->d[i].k < 0)
            return ax_fail(err, AX_ESHAPE, "dimension %d becomes %" PRId64, i,
                           out->d[i].k);
    }
    return AX_OK;
}
