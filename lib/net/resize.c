/* Resize, where each dimension becomes a whole number of times as long and
 * elements are repeated: a dimension of 1 behind it, which is broadcast. The
 * repeated elements are variables of their own, so that a window may have
 * several of them. */
#include <string.h>

#include "lowering.h"

/* The attributes are those with which place i is place floor(i / n) of the
 * input. */
static ax_status check_attributes(struct lowering *l)
{
    static const char coordinates[] = "coordinate_transformation_mode",
                      rounding[] = "nearest_mode";
    const char *how = ax_node_string(l->node, coordinates, "half_pixel");
    const char *to = ax_node_string(l->node, rounding, "round_prefer_floor");
    bool old = strcmp(how, "asymmetric") == 0 && strcmp(to, "floor") == 0;

    for (uint32_t i = 0; i < l->node->n_attrs; i++) {
        const char *name = l->node->attrs[i].name;

        if (!old || (strcmp(name, coordinates) && strcmp(name, rounding)))
            return net_refuse(l, "ax-cert(5) has no rule for this %s", name);
    }
    return AX_OK;
}

/* How many times as long dimension d becomes. */
static ax_status times_as_long(struct lowering *l, int64_t *times, int d)
{
    const struct array *in = net_input(l, 0), *scales = net_input(l, 2);
    const struct array *sizes = net_input(l, 3), *by = sizes ? sizes : scales;
    double v = array_value(by, (size_t)d);

    if (sizes)
        v /= (double)in->dims[d];
    *times = v >= 1 && v <= (double)MAX_ELEMENT ? (int64_t)v : 0;
    if (*times == 0 || (double)*times != v)
        return net_refuse(l, "dimension %d becomes %.9g times as long", d, v);
    return AX_OK;
}

ax_status net_resize(struct lowering *l, struct array *out)
{
    const struct array *in = net_input(l, 0), *scales = net_input(l, 2);
    const struct array *sizes = net_input(l, 3), *by = sizes ? sizes : scales;
    int64_t apart[AX_RANK_MAX], spread[AX_RANK_MAX], dims[AX_RANK_MAX];
    struct array parts, all;
    int rank = 0;

    AX_TRY(check_attributes(l));
    if (net_input(l, 1) || !by || (sizes && scales))
        return net_refuse(l, "wants scales or sizes, and no region");
    if (!array_constant(by) || by->rank != 1 || by->n != (size_t)in->rank)
        return net_refuse(l, "scales or sizes are not constant, one for each "
                             "dimension");
    for (int d = 0; d < in->rank; d++) {
        int64_t times;

        AX_TRY(times_as_long(l, &times, d));
        if (rank + 1 + (times > 1) > AX_RANK_MAX)
            return net_refuse(l, "too many dimensions become longer");
        dims[d] = in->dims[d] * times;
        apart[rank] = spread[rank] = in->dims[d];
        rank++;
        if (times > 1) {
            apart[rank] = 1;
            spread[rank++] = times;
        }
    }
    AX_TRY(net_reshaped(l, &parts, in, rank, apart));
    AX_TRY(net_broadcast(l, &all, &parts, rank, spread));
    AX_TRY(net_reshaped(l, out, &all, in->rank, dims));
    AX_TRY(net_begin(l, AX_NET_UNIT, out, false));
    for (size_t i = 0; i < out->n; i++) {
        AX_TRY(net_term(l, &all, i, 1));
        net_row(l);
    }
    AX_TRY(net_end(l, out));
    net_exact_node(l);
    return AX_OK;
}
