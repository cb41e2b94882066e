/* Shape rules of operators that name a set of axes: reductions, Squeeze,
 * Unsqueeze. Source: Operators.md of ONNX at opset 17. */
#include <inttypes.h>
#include <string.h>

#include "graph/infer.h"

/* The axes in an input or an attribute as a set. *known is false if they
 * are not known, *none true if there is no list, or an empty one. */
static ax_status axis_set(struct infer *s, int rank, bool set[AX_RANK_MAX],
                          bool *known, bool *none, struct ax_err *err)
{
    const struct ax_attr *a = ax_node_attr(s->node, "axes");
    const int64_t *v;
    uint32_t n;

    memset(set, 0, AX_RANK_MAX * sizeof *set);
    AX_TRY(infer_numbers(s, 1, known, &v, &n, err));
    if (a) {
        *known = true;
        v = a->ints;
        n = a->n > AX_RANK_MAX ? AX_RANK_MAX + 1 : (uint32_t)a->n;
    }
    *none = !a && !infer_in(s, 1);
    if (*none)
        *known = true;
    *none = *known && n == 0;
    for (uint32_t i = 0; i < n; i++) {
        int64_t axis;

        AX_TRY(infer_axis(&axis, v[i], rank, err));
        if (set[axis])
            return ax_fail(err, AX_ESHAPE, "axis %" PRId64 " is there twice",
                           axis);
        set[axis] = true;
    }
    return AX_OK;
}

ax_status infer_reduce(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);
    struct infer_fact *out = infer_out(s, 0);
    bool keep = ax_node_int(s->node, "keepdims", 1) != 0;
    bool noop = ax_node_int(s->node, "noop_with_empty_axes", 0) != 0;
    bool set[AX_RANK_MAX], known, none;

    out->dtype = x->dtype;
    if (x->rank < 0)
        return AX_OK;
    AX_TRY(axis_set(s, x->rank, set, &known, &none, err));
    if (!known && !keep)
        return AX_OK;
    out->rank = 0;
    for (int i = 0; i < x->rank; i++)
        if (!known)
            out->d[out->rank++] = infer_unknown();
        else if (!set[i] && !(none && !noop))
            out->d[out->rank++] = x->d[i];
        else if (keep)
            out->d[out->rank++] = infer_number(1);
    return AX_OK;
}

ax_status infer_squeeze(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);
    struct infer_fact *out = infer_out(s, 0);
    bool set[AX_RANK_MAX], known, none;
    int n = 0;

    out->dtype = x->dtype;
    if (x->rank < 0)
        return AX_OK;
    AX_TRY(axis_set(s, x->rank, set, &known, &none, err));
    if (!known)
        return AX_OK;
    for (int i = 0; i < x->rank; i++) {
        bool gone = set[i] || (!infer_in(s, 1) && infer_is(x->d[i], 1));

        if (!infer_in(s, 1) && x->d[i].p != 0)
            return AX_OK; /* gone or not, nobody knows */
        if (set[i] && x->d[i].p == 0 && x->d[i].k != 1)
            return ax_fail(err, AX_ESHAPE,
                           "dimension %d is %" PRId64 ", not 1", i,
                           x->d[i].k);
        if (!gone)
            out->d[n++] = x->d[i];
    }
    out->rank = n;
    return AX_OK;
}

ax_status infer_unsqueeze(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);
    struct infer_fact *out = infer_out(s, 0);
    int64_t n = infer_length(infer_in(s, 1));
    bool set[AX_RANK_MAX], known, none;
    int from = 0;

    out->dtype = x->dtype;
    if (x->rank < 0 || n < 0)
        return AX_OK;
    if (n > AX_RANK_MAX - x->rank)
        return infer_too_many(n, err);
    AX_TRY(axis_set(s, x->rank + (int)n, set, &known, &none, err));
    out->rank = x->rank + (int)n;
    for (int i = 0; i < out->rank; i++)
        out->d[i] = !known   ? infer_unknown()
                    : set[i] ? infer_number(1)
                             : x->d[from++];
    return AX_OK;
}
