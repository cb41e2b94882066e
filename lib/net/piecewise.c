/* Operators that are linear in pieces, made of relu nodes: ax-cert(5),
 * section NETWORK. */
#include "lowering.h"

/* out = max(a, b) = b + max(0, a - b), or min(a, b) = a - max(0, a - b). */
static ax_status extreme(struct lowering *l, struct array *out,
                         const struct array *x, const struct array *y,
                         bool max)
{
    struct array a, b, d, r;

    AX_TRY(net_alike(l, &a, &b, x, y));
    AX_TRY(net_combine(l, AX_NET_UNIT, &d, &a, 1, &b, -1));
    net_exact_node(l);
    AX_TRY(net_rectify(l, &r, &d));
    AX_TRY(
        net_combine(l, AX_NET_UNIT, out, max ? &b : &a, 1, &r, max ? 1 : -1));
    net_exact_node(l);
    return AX_OK;
}

static ax_status extreme_of_all(struct lowering *l, struct array *out,
                                bool max)
{
    struct array sum = *net_input(l, 0);

    for (uint32_t i = 1; i < l->node->n_in; i++) {
        AX_TRY(extreme(l, out, &sum, net_input(l, i), max));
        sum = *out;
    }
    *out = sum;
    return AX_OK;
}

ax_status net_max(struct lowering *l, struct array *out)
{
    return extreme_of_all(l, out, true);
}

ax_status net_min(struct lowering *l, struct array *out)
{
    return extreme_of_all(l, out, false);
}

ax_status net_clip(struct lowering *l, struct array *out)
{
    struct array x = *net_input(l, 0);

    for (uint32_t i = 1; i <= 2; i++) {
        const struct array *bound = net_input(l, i);

        if (!bound)
            continue;
        if (bound->n != 1 || bound->rank > x.rank || !array_constant(bound))
            return net_refuse(l, "input %u is no constant number", i);
        AX_TRY(extreme(l, out, &x, bound, i == 1));
        x = *out;
    }
    *out = x;
    return AX_OK;
}

/* 2 max(0, x) - x */
ax_status net_abs(struct lowering *l, struct array *out)
{
    const struct array *x = net_input(l, 0);
    struct array r;

    AX_TRY(net_rectify(l, &r, x));
    AX_TRY(net_shape(l, out, x->rank, x->dims));
    AX_TRY(net_begin(l, AX_NET_UNIT, out, false));
    for (size_t i = 0; i < out->n; i++) {
        AX_TRY(net_term(l, &r, i, 1));
        AX_TRY(net_term(l, &r, i, 1));
        AX_TRY(net_term(l, x, i, -1));
        net_row(l);
    }
    AX_TRY(net_end(l, out));
    net_exact_node(l);
    return AX_OK;
}

/* 1 - a; false if a double does not hold it (Knuth's sum with its error). */
static bool one_less(double *out, double a)
{
    double s = 1 - a, b = s - 1;

    *out = s;
    return (1 - (s - b)) + (-a - b) == 0;
}

/* a x + (1 - a) max(0, x), a of one element or of every element. */
static ax_status leaky(struct lowering *l, struct array *out,
                       const struct array *slope)
{
    const struct array *x = net_input(l, 0);
    struct array r;

    AX_TRY(net_rectify(l, &r, x));
    AX_TRY(net_shape(l, out, x->rank, x->dims));
    AX_TRY(net_begin(l, AX_NET_WEIGHTED, out, false));
    for (size_t i = 0; i < out->n; i++) {
        double a = array_value(slope, slope->n == 1 ? 0 : i), rest;

        if (!one_less(&rest, a))
            return net_refuse(l, "1 - %g does not fit in 53 bits", a);
        AX_TRY(net_term(l, x, i, a));
        AX_TRY(net_term(l, &r, i, rest));
        net_row(l);
    }
    return net_end(l, out);
}

ax_status net_leaky_relu(struct lowering *l, struct array *out)
{
    float a = ax_node_float(l->node, "alpha", 0.01f);
    struct array slope = {.n = 1, .run = NO_VARIABLE, .single = &a};

    return leaky(l, out, &slope);
}

ax_status net_prelu(struct lowering *l, struct array *out)
{
    const struct array *x = net_input(l, 0);
    struct array slope;

    if (!array_constant(net_input(l, 1)))
        return net_refuse(l, "the slope depends on the input");
    AX_TRY(net_broadcast(l, &slope, net_input(l, 1), x->rank, x->dims));
    return leaky(l, out, &slope);
}
