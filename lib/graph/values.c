/* Elements of small integer tensors that follow from shapes and constants:
 * what graphs compute to feed Reshape, Slice and Expand. Runs after the
 * shape rules, which have checked the operands. */
#include <string.h>

#include "graph/infer.h"

static ax_status room(struct infer *s, struct infer_fact *out, uint32_t n,
                      struct ax_err *err)
{
    out->v = ax_arena_alloc(s->arena, n + 1u, sizeof *out->v);
    if (!out->v)
        return ax_fail(err, AX_ENOMEM, "no memory for shape inference");
    out->n_v = n;
    return AX_OK;
}

static ax_status copy(struct infer *s, struct infer_fact *out,
                      struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);

    if (!x->v)
        return AX_OK;
    AX_TRY(room(s, out, x->n_v, err));
    memcpy(out->v, x->v, x->n_v * sizeof *x->v);
    return AX_OK;
}

/* A number that the narrower type does not hold is left to whoever runs the
 * graph. */
static ax_status cast(struct infer *s, struct infer_fact *out,
                      struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);

    for (uint32_t i = 0; x->v && i < x->n_v; i++)
        if (out->dtype == AX_I32 &&
            (x->v[i].p != 0 || x->v[i].k < INT32_MIN ||
             x->v[i].k > INT32_MAX))
            return AX_OK;
    return copy(s, out, err);
}

static ax_status shape(struct infer *s, struct infer_fact *out,
                       struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);
    int64_t from = ax_node_int(s->node, "start", 0);

    if (x->rank < 0)
        return AX_OK;
    from = from < -x->rank ? 0 : from < 0 ? from + x->rank : from;
    AX_TRY(room(s, out, (uint32_t)out->d[0].k, err));
    if (out->n_v)
        memcpy(out->v, x->d + from, out->n_v * sizeof *out->v);
    return AX_OK;
}

static ax_status gather(struct infer *s, struct infer_fact *out,
                        struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);
    const int64_t *at;
    uint32_t n;
    bool known;

    AX_TRY(infer_numbers(s, 1, &known, &at, &n, err));
    if (!x->v || x->rank != 1 || !known)
        return AX_OK;
    AX_TRY(room(s, out, n, err));
    for (uint32_t i = 0; i < n; i++) {
        int64_t k;

        if (infer_axis(&k, at[i], (int)x->n_v, err) != AX_OK)
            return ax_fail_in(err, "index %u", (unsigned)i);
        out->v[i] = x->v[k];
    }
    return AX_OK;
}

static ax_status concat(struct infer *s, struct infer_fact *out,
                        struct ax_err *err)
{
    uint32_t n = 0;

    for (uint32_t k = 0; k < s->node->n_in; k++) {
        const struct infer_fact *x = infer_in(s, k);

        if (!x->v || x->n_v > INFER_VALUES_MAX - n)
            return AX_OK;
        n += x->n_v;
    }
    AX_TRY(room(s, out, n, err));
    n = 0;
    for (uint32_t k = 0; k < s->node->n_in; k++) {
        const struct infer_fact *x = infer_in(s, k);

        memcpy(out->v + n, x->v, x->n_v * sizeof *x->v);
        n += x->n_v;
    }
    return AX_OK;
}

/* Of a vector; the shape rule knows the length. */
static ax_status slice(struct infer *s, struct infer_fact *out,
                       struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);
    const int64_t *from, *step;
    bool known, stepped;
    uint32_t n, n_steps;
    int64_t at, by = 1, last;

    AX_TRY(infer_numbers(s, 1, &known, &from, &n, err));
    AX_TRY(infer_numbers(s, 4, &stepped, &step, &n_steps, err));
    if (!x->v || !known || out->d[0].p != 0)
        return AX_OK;
    if (n == 0)
        return copy(s, out, err);
    AX_TRY(room(s, out, (uint32_t)out->d[0].k, err));
    if (stepped)
        by = step[0];
    last = (int64_t)x->n_v - 1;
    at = from[0] < 0 ? from[0] + x->n_v : from[0];
    at = at < 0 ? 0 : at > last && by < 0 ? last : at;
    for (uint32_t i = 0; i < out->n_v; i++)
        out->v[i] = x->v[at + (i ? (int64_t)i * by : 0)];
    return AX_OK;
}

static struct infer_dim calculate(ax_op op, struct infer_dim a,
                                  struct infer_dim b)
{
    switch (op) {
    case AX_OP_Add:
        return infer_add(a, b);
    case AX_OP_Sub:
        return infer_add(a, infer_mul(infer_number(-1), b));
    case AX_OP_Mul:
        return infer_mul(a, b);
    default:
        /* Numbers are cut towards zero, as int64 does. */
        if (a.p == 0 && b.p == 0 && b.k > 0)
            return infer_number(a.k / b.k);
        return infer_div(a, b);
    }
}

static ax_status arithmetic(struct infer *s, struct infer_fact *out,
                            struct ax_err *err)
{
    const struct infer_fact *a = infer_in(s, 0), *b = infer_in(s, 1);

    if (!a->v || !b->v || (a->n_v != b->n_v && a->n_v != 1 && b->n_v != 1))
        return AX_OK;
    AX_TRY(room(s, out, a->n_v == 1 ? b->n_v : a->n_v, err));
    for (uint32_t i = 0; i < out->n_v; i++) {
        out->v[i] = calculate(s->node->op, a->v[a->n_v == 1 ? 0 : i],
                              b->v[b->n_v == 1 ? 0 : i]);
        if (out->dtype == AX_I32 &&
            (out->v[i].p != 0 || out->v[i].k < INT32_MIN ||
             out->v[i].k > INT32_MAX))
            out->v[i] = infer_unknown();
    }
    return AX_OK;
}

static ax_status expand(struct infer *s, struct infer_fact *out,
                        struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);
    int64_t n = out->rank == 1 && out->d[0].p == 0 ? out->d[0].k
                : out->rank == 0                   ? 1
                                                   : -1;

    if (!x->v || n < 0 || n > INFER_VALUES_MAX ||
        (x->n_v != 1 && x->n_v != n))
        return AX_OK;
    AX_TRY(room(s, out, (uint32_t)n, err));
    for (uint32_t i = 0; i < out->n_v; i++)
        out->v[i] = x->v[x->n_v == 1 ? 0 : i];
    return AX_OK;
}

static ax_status elements(struct infer *s, struct infer_fact *out,
                          struct ax_err *err)
{
    switch (s->node->op) {
    case AX_OP_Identity:
    case AX_OP_Reshape:
    case AX_OP_Squeeze:
    case AX_OP_Unsqueeze:
        return copy(s, out, err);
    case AX_OP_Add:
    case AX_OP_Div:
    case AX_OP_Mul:
    case AX_OP_Sub:
        return arithmetic(s, out, err);
    case AX_OP_Cast:
        return cast(s, out, err);
    case AX_OP_Concat:
        return concat(s, out, err);
    case AX_OP_Expand:
        return expand(s, out, err);
    case AX_OP_Gather:
        return gather(s, out, err);
    case AX_OP_Shape:
        return shape(s, out, err);
    case AX_OP_Slice:
        return slice(s, out, err);
    default:
        return AX_OK;
    }
}

ax_status infer_values(struct infer *s, struct ax_err *err)
{
    struct infer_fact *out = infer_out(s, 0);

    if ((out->dtype != AX_I64 && out->dtype != AX_I32) || out->rank < 0 ||
        out->rank > 1)
        return AX_OK;
    return elements(s, out, err);
}
