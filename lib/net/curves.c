/* Products of two variables, and quotients: made of nodes whose variables
 * have bounds (hold) and of nodes that are replaced by lines between them. */
#include "lowering.h"

/* The node that all variables of a belong to; 0 if there is none. */
static uint32_t only_node(const struct lowering *l, const struct array *a)
{
    uint32_t k = 0;

    for (size_t i = 0; i < a->n; i++) {
        uint32_t v = array_var(a, i);

        if (v == NO_VARIABLE)
            return 0;
        for (; i == 0 && k + 1 < l->n_made && v >= l->first[k + 1];)
            k++;
        if (v < l->first[k] || v >= l->first[k + 1])
            return 0;
    }
    return k;
}

/* out = a, each variable in it being one of a node with bounds: one that is
 * there, or a new one. */
static ax_status hold(struct lowering *l, struct array *out,
                      const struct array *a)
{
    enum ax_net_kind kind = l->net->nodes[only_node(l, a)].kind;
    uint32_t *place, n = 0, base = l->first[l->n_made];
    struct array all = {0};

    if (kind == AX_NET_HOLD || kind == AX_NET_RECIPROCAL) {
        *out = *a;
        return AX_OK;
    }
    /* Each variable once. */
    place = net_alloc(l, base, sizeof *place);
    AX_TRY(net_shape(l, out, a->rank, a->dims));
    out->var = net_alloc(l, a->n, sizeof *out->var);
    all.var = net_alloc(l, a->n, sizeof *all.var);
    if (!place || !out->var || !all.var)
        return net_no_memory(l);
    for (uint32_t v = 0; v < base; v++)
        place[v] = NO_VARIABLE;
    for (size_t i = 0; i < a->n; i++) {
        uint32_t v = array_var(a, i);

        if (v == NO_VARIABLE)
            return net_refuse(l, "element %zu of a factor is a constant", i);
        if (place[v] == NO_VARIABLE) {
            place[v] = base + n;
            all.var[n++] = v;
        }
        out->var[i] = place[v];
    }
    all.made = true;
    all.rank = 1;
    all.dims[0] = (int64_t)n;
    all.n = n;
    all.run = NO_VARIABLE;
    return net_apply(l, AX_NET_HOLD, &all,
                     &(struct array){.made = true,
                                     .rank = 1,
                                     .dims = {(int64_t)n},
                                     .n = n,
                                     .run = NO_VARIABLE,
                                     .var = all.var});
}

static bool equal(const struct array *a, const struct array *b)
{
    for (size_t i = 0; i < a->n; i++)
        if (array_var(a, i) != array_var(b, i))
            return false;
    return true;
}

ax_status net_times(struct lowering *l, struct array *out,
                    const struct array *a, const struct array *b)
{
    struct array x, y;

    AX_TRY(hold(l, &x, a));
    if (equal(a, b))
        y = x;
    else
        AX_TRY(hold(l, &y, b));
    AX_TRY(net_shape(l, out, a->rank, a->dims));
    AX_TRY(net_begin(l, AX_NET_PRODUCT, out, false));
    for (size_t i = 0; i < out->n; i++) {
        AX_TRY(net_term(l, &x, i, 1));
        AX_TRY(net_term(l, &y, i, 1));
        net_row(l);
    }
    return net_end(l, out);
}

ax_status net_reciprocal(struct lowering *l, struct array *out,
                         const struct array *a)
{
    struct array x;

    AX_TRY(hold(l, &x, a));
    if (l->net->nodes[only_node(l, &x)].kind != AX_NET_HOLD)
        return net_refuse(l, "the reciprocal of a reciprocal");
    return net_apply(l, AX_NET_RECIPROCAL, out, &x);
}

/* x^2 and x^3. */
ax_status net_pow(struct lowering *l, struct array *out)
{
    const struct array *x = net_input(l, 0), *e = net_input(l, 1);
    struct array held, square;

    if (!array_constant(e) || e->n != 1 || e->rank > x->rank ||
        (array_value(e, 0) != 2 && array_value(e, 0) != 3))
        return net_refuse(l, "the exponent is not the constant 2 or 3");
    AX_TRY(hold(l, &held, x));
    if (array_value(e, 0) == 2)
        return net_times(l, out, &held, &held);
    AX_TRY(net_times(l, &square, &held, &held));
    return net_times(l, out, &held, &square);
}

ax_status net_exp(struct lowering *l, struct array *out)
{
    struct array x;

    AX_TRY(hold(l, &x, net_input(l, 0)));
    if (l->net->nodes[only_node(l, &x)].kind != AX_NET_HOLD)
        return net_refuse(l, "the exponential of a reciprocal");
    return net_apply(l, AX_NET_EXP, out, &x);
}

/* The groups along an axis: element i of n, stride apart. */
struct along {
    size_t n, stride;
};

static size_t element(const struct along *a, size_t o, size_t k)
{
    size_t at = o / a->stride % a->n;

    return o - at * a->stride + k * a->stride;
}

/* For each element of x, in order, the others of its group less it. */
static ax_status differences(struct lowering *l, struct array *out,
                             const struct array *x, const struct along *a)
{
    int64_t dims = (int64_t)(x->n * (a->n - 1));

    AX_TRY(net_shape(l, out, 1, &dims));
    AX_TRY(net_begin(l, AX_NET_UNIT, out, false));
    for (size_t o = 0; o < x->n; o++)
        for (size_t k = 0; k < a->n; k++) {
            size_t other = element(a, o, k);

            if (other == o)
                continue;
            AX_TRY(net_term(l, x, other, 1));
            AX_TRY(net_term(l, x, o, -1));
            net_row(l);
        }
    return net_end(l, out);
}

/* 1 / (1 + the sum over the others of e^(x_other - x)) */
ax_status net_softmax(struct lowering *l, struct array *out)
{
    const struct array *x = net_input(l, 0);
    int64_t axis = ax_node_int(l->node, "axis", -1);
    struct along a = {0, 1};
    struct array d, e, s;

    axis += axis < 0 ? x->rank : 0;
    if (axis < 0 || axis >= x->rank)
        return net_refuse(l, "there is no axis %lld", (long long)axis);
    a.n = (size_t)x->dims[axis];
    for (int i = (int)axis + 1; i < x->rank; i++)
        a.stride *= (size_t)x->dims[i];
    if (a.n < 2)
        return net_refuse(l, "a softmax of one element");
    AX_TRY(differences(l, &d, x, &a));
    AX_TRY(hold(l, &e, &d));
    AX_TRY(net_apply(l, AX_NET_EXP, &d, &e));
    AX_TRY(net_shape(l, &s, x->rank, x->dims));
    AX_TRY(net_begin(l, AX_NET_UNIT, &s, false));
    for (size_t o = 0; o < x->n; o++) {
        for (size_t k = 0; k + 1 < a.n; k++)
            AX_TRY(net_term(l, &d, o * (a.n - 1) + k, 1));
        AX_TRY(net_bias(l, 1, 1));
        net_row(l);
    }
    AX_TRY(net_end(l, &s));
    return net_reciprocal(l, out, &s);
}
