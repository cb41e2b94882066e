/* BatchNormalization, and what a graph knows of shapes. */
#include <math.h>

#include "lowering.h"

/* t = x - mean, then scale t / sqrt(var + epsilon) + b. */
ax_status net_batch_norm(struct lowering *l, struct array *out)
{
    const struct array *x = net_input(l, 0);
    double eps = (double)ax_node_float(l->node, "epsilon", 1e-5F);
    struct array t;
    size_t inner = 1;

    if (ax_node_int(l->node, "training_mode", 0))
        return net_refuse(l, "it is in training mode");
    for (uint32_t i = 1; i < 5; i++)
        if (!array_constant(net_input(l, i)) || x->rank < 2 ||
            net_input(l, i)->n != (size_t)x->dims[1])
            return net_refuse(l, "input %u is no constant of a channel", i);
    for (int i = 2; i < x->rank; i++)
        inner *= (size_t)x->dims[i];
    AX_TRY(net_shape(l, &t, x->rank, x->dims));
    AX_TRY(net_begin(l, AX_NET_UNIT, &t, false));
    for (size_t i = 0; i < t.n; i++) {
        size_t c = i / inner % (size_t)x->dims[1];

        AX_TRY(net_term(l, x, i, 1));
        AX_TRY(net_bias(l, -array_value(net_input(l, 3), c), 1));
        net_row(l);
    }
    AX_TRY(net_end(l, &t));
    AX_TRY(net_shape(l, out, x->rank, x->dims));
    AX_TRY(net_begin(l, AX_NET_WEIGHTED, out, true));
    l->net->nodes[l->n_made].root = true;
    for (size_t i = 0; i < t.n; i++) {
        size_t c = i / inner % (size_t)x->dims[1];
        double var = array_value(net_input(l, 4), c), d = var + eps;

        /* Both have 24 bits: the sum is exact, or refused. */
        if (d - var != eps || d - eps != var || d <= 0)
            return net_refuse(l, "variance and epsilon have no exact sum");
        AX_TRY(net_divide(l, d));
        AX_TRY(net_term(l, &t, i, array_value(net_input(l, 1), c)));
        AX_TRY(net_bias(l, array_value(net_input(l, 2), c), 1));
        net_row(l);
    }
    return net_end(l, out);
}

ax_status net_shape_of(struct lowering *l, struct array *out)
{
    const struct array *x = net_input(l, 0);
    int64_t n = x->rank;

    if (ax_node_int(l->node, "start", 0) ||
        ax_node_int(l->node, "end", n) != n)
        return net_refuse(l, "a part of a shape");
    AX_TRY(net_shape(l, out, 1, &n));
    out->value = net_alloc(l, (size_t)n, sizeof *out->value);
    if (!out->value)
        return net_no_memory(l);
    for (int i = 0; i < x->rank; i++)
        out->value[i] = (double)x->dims[i];
    return AX_OK;
}

ax_status net_constant_of_shape(struct lowering *l, struct array *out)
{
    int64_t dims[AX_RANK_MAX];
    size_t n;

    AX_TRY(net_ints(l, 0, dims, AX_RANK_MAX, &n));
    AX_TRY(net_shape(l, out, (int)n, dims));
    out->value = net_alloc(l, out->n, sizeof *out->value);
    if (!out->value)
        return net_no_memory(l);
    for (size_t i = 0; i < out->n; i++)
        out->value[i] = 0;
    return AX_OK;
}
