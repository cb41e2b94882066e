/* Operators on one element, or on pairs of elements. */
#include "lowering.h"

ax_status net_alike(struct lowering *l, struct array *a, struct array *b,
                    const struct array *x, const struct array *y)
{
    int rank = x->rank > y->rank ? x->rank : y->rank;
    int64_t dims[AX_RANK_MAX];

    for (int i = 0; i < rank; i++) {
        int64_t p = i < rank - x->rank ? 1 : x->dims[i - (rank - x->rank)];
        int64_t q = i < rank - y->rank ? 1 : y->dims[i - (rank - y->rank)];

        dims[i] = p == 1 ? q : p;
    }
    AX_TRY(net_broadcast(l, a, x, rank, dims));
    return net_broadcast(l, b, y, rank, dims);
}

ax_status net_combine(struct lowering *l, enum ax_net_kind kind,
                      struct array *out, const struct array *a, double wa,
                      const struct array *b, double wb)
{
    AX_TRY(net_shape(l, out, a->rank, a->dims));
    AX_TRY(net_begin(l, kind, out, false));
    for (size_t i = 0; i < out->n; i++) {
        AX_TRY(net_term(l, a, i, wa));
        AX_TRY(net_term(l, b, i, wb));
        net_row(l);
    }
    return net_end(l, out);
}

static ax_status add(struct lowering *l, struct array *out, int sign)
{
    struct array a, b;

    AX_TRY(net_alike(l, &a, &b, net_input(l, 0), net_input(l, 1)));
    return net_combine(l, AX_NET_UNIT, out, &a, 1, &b, sign);
}

ax_status net_add(struct lowering *l, struct array *out)
{
    return add(l, out, 1);
}

ax_status net_sub(struct lowering *l, struct array *out)
{
    return add(l, out, -1);
}

ax_status net_neg(struct lowering *l, struct array *out)
{
    const struct array *in = net_input(l, 0);

    AX_TRY(net_shape(l, out, in->rank, in->dims));
    AX_TRY(net_begin(l, AX_NET_UNIT, out, false));
    for (size_t i = 0; i < out->n; i++) {
        AX_TRY(net_term(l, in, i, -1));
        net_row(l);
    }
    return net_end(l, out);
}

ax_status net_apply(struct lowering *l, enum ax_net_kind kind,
                    struct array *out, const struct array *in)
{
    AX_TRY(net_shape(l, out, in->rank, in->dims));
    AX_TRY(net_begin(l, kind, out, false));
    for (size_t i = 0; i < out->n; i++) {
        if (array_var(in, i) == NO_VARIABLE)
            return net_refuse(l, "element %zu of its input is a constant", i);
        AX_TRY(net_term(l, in, i, 1));
        net_row(l);
    }
    return net_end(l, out);
}

ax_status net_relu(struct lowering *l, struct array *out)
{
    return net_rectify(l, out, net_input(l, 0));
}

ax_status net_sigmoid(struct lowering *l, struct array *out)
{
    return net_apply(l, AX_NET_SIGMOID, out, net_input(l, 0));
}

/* out = w in + b, by elements. */
static ax_status stretch(struct lowering *l, struct array *out,
                         const struct array *in, double w, double b)
{
    AX_TRY(net_shape(l, out, in->rank, in->dims));
    AX_TRY(net_begin(l, AX_NET_WEIGHTED, out, false));
    for (size_t i = 0; i < out->n; i++) {
        AX_TRY(net_term(l, in, i, w));
        AX_TRY(net_bias(l, b, 1));
        net_row(l);
    }
    return net_end(l, out);
}

/* f(x) = 2 s - 1, s a smooth node. */
static ax_status doubled(struct lowering *l, struct array *out,
                         enum ax_net_kind kind, const struct array *x)
{
    struct array s;

    AX_TRY(net_apply(l, kind, &s, x));
    return stretch(l, out, &s, 2, -1);
}

ax_status net_sin(struct lowering *l, struct array *out)
{
    return doubled(l, out, AX_NET_SINE, net_input(l, 0));
}

ax_status net_cos(struct lowering *l, struct array *out)
{
    return doubled(l, out, AX_NET_COSINE, net_input(l, 0));
}

ax_status net_erf(struct lowering *l, struct array *out)
{
    return doubled(l, out, AX_NET_ERF, net_input(l, 0));
}

ax_status net_gelu(struct lowering *l, struct array *out)
{
    if (ax_node_attr(l->node, "approximate"))
        return net_refuse(l, "ax-cert(5) has no rule for approximate");
    return doubled(l, out, AX_NET_GELU, net_input(l, 0));
}

/* tanh(x) = 2 sigmoid(2 x) - 1 */
ax_status net_tanh(struct lowering *l, struct array *out)
{
    struct array twice;

    AX_TRY(stretch(l, &twice, net_input(l, 0), 2, 0));
    return doubled(l, out, AX_NET_SIGMOID, &twice);
}

/* Is some element of both a variable? */
static bool both_vary(const struct array *a, const struct array *b)
{
    for (size_t i = 0; i < a->n; i++)
        if (array_var(a, i) != NO_VARIABLE && array_var(b, i) != NO_VARIABLE)
            return true;
    return false;
}

/* out = a b, of one shape. */
static ax_status multiply(struct lowering *l, struct array *out,
                          const struct array *a, const struct array *b)
{
    AX_TRY(net_shape(l, out, a->rank, a->dims));
    if (both_vary(a, b))
        return net_times(l, out, a, b);
    AX_TRY(net_begin(l, AX_NET_WEIGHTED, out, false));
    for (size_t i = 0; i < out->n; i++) {
        if (array_var(b, i) == NO_VARIABLE)
            AX_TRY(net_term(l, a, i, array_value(b, i)));
        else
            AX_TRY(net_term(l, b, i, array_value(a, i)));
        net_row(l);
    }
    return net_end(l, out);
}

ax_status net_mul(struct lowering *l, struct array *out)
{
    struct array a, b;

    AX_TRY(net_alike(l, &a, &b, net_input(l, 0), net_input(l, 1)));
    return multiply(l, out, &a, &b);
}

/* The divisor is not a constant. */
static ax_status quotient(struct lowering *l, struct array *out)
{
    struct array r, a, b;

    AX_TRY(net_reciprocal(l, &r, net_input(l, 1)));
    AX_TRY(net_alike(l, &a, &b, net_input(l, 0), &r));
    return multiply(l, out, &a, &b);
}

ax_status net_div(struct lowering *l, struct array *out)
{
    struct array a, b;

    if (!array_constant(net_input(l, 1)))
        return quotient(l, out);
    AX_TRY(net_alike(l, &a, &b, net_input(l, 0), net_input(l, 1)));
    AX_TRY(net_shape(l, out, a.rank, a.dims));
    AX_TRY(net_begin(l, AX_NET_WEIGHTED, out, true));
    for (size_t i = 0; i < out->n; i++) {
        AX_TRY(net_divide(l, array_value(&b, i)));
        AX_TRY(net_term(l, &a, i, 1));
        net_row(l);
    }
    return net_end(l, out);
}
