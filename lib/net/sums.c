/* Unit and relu nodes: sums of elements and of their negatives; and means. */
#include <string.h>

#include "lowering.h"

/* Both inputs of an elementwise operator in their common shape. */
ax_status net_broadcast_both(struct lowering *l, struct array *a,
                             struct array *b)
{
    const struct array *x = net_input(l, 0), *y = net_input(l, 1);
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

/* a + SIGN b. */
static ax_status add(struct lowering *l, struct array *out, double sign)
{
    struct array a, b;

    AX_TRY(net_broadcast_both(l, &a, &b));
    AX_TRY(net_shape(l, out, a.rank, a.dims));
    AX_TRY(net_begin(l, AX_NET_UNIT, out));
    for (size_t i = 0; i < out->n; i++) {
        AX_TRY(net_term(l, &a, i, 1));
        AX_TRY(net_term(l, &b, i, sign));
        net_row(l);
    }
    return net_end(l, out);
}

ax_status net_add(struct lowering *l, struct array *out)
{
    return add(l, out, 1);
}

ax_status net_sub(struct lowering *l, struct array *out)
{
    return add(l, out, -1);
}

/* A node of one term a row: w times each element of a. */
static ax_status each(struct lowering *l, struct array *out,
                      enum ax_net_kind kind, const struct array *a, double w)
{
    AX_TRY(net_shape(l, out, a->rank, a->dims));
    AX_TRY(net_begin(l, kind, out));
    for (size_t i = 0; i < out->n; i++) {
        AX_TRY(net_term(l, a, i, w));
        net_row(l);
    }
    return net_end(l, out);
}

ax_status net_neg(struct lowering *l, struct array *out)
{
    return each(l, out, AX_NET_UNIT, net_input(l, 0), -1);
}

ax_status net_relu(struct lowering *l, struct array *out)
{
    return each(l, out, AX_NET_RELU, net_input(l, 0), 1);
}

ax_status net_outputs(struct lowering *l, const struct array *a)
{
    struct array out;

    return each(l, &out, AX_NET_UNIT, a, 1);
}

/* Sums over some dimensions: where in the input each output begins, and
 * what to add to that. */
struct reduction {
    uint32_t *begin, *step;
    size_t n;
};

/* The dimensions to sum over: an input, or, in old models, an attribute. */
static ax_status reduce_axes(struct lowering *l, const struct array *in,
                             bool *gone)
{
    const struct ax_attr *a = ax_node_attr(l->node, "axes");
    int64_t axes[AX_RANK_MAX];
    size_t n = 0;

    memset(gone, 0, AX_RANK_MAX * sizeof *gone);
    if (l->node->n_in > 1 && net_input(l, 1)) {
        AX_TRY(net_ints(l, 1, axes, AX_RANK_MAX, &n));
    } else if (a && a->kind == AX_ATTR_INTS && a->n <= AX_RANK_MAX) {
        memcpy(axes, a->ints, a->n * sizeof *axes);
        n = a->n;
    }
    for (size_t i = 0; i < n; i++) {
        int64_t axis = axes[i] < 0 ? axes[i] + in->rank : axes[i];

        if (axis < 0 || axis >= in->rank || gone[axis])
            return net_refuse(l, "bad axes");
        gone[axis] = true;
    }
    if (!n && !ax_node_int(l->node, "noop_with_empty_axes", 0))
        memset(gone, 1, AX_RANK_MAX * sizeof *gone);
    return AX_OK;
}

/* Fill begin and step for the dimensions that stay and go. */
static void reduce_offsets(struct reduction *r, const struct array *in,
                           const bool *gone)
{
    size_t n_begin = 1, n_step = 1;

    r->begin[0] = r->step[0] = 0;
    for (int i = 0; i < in->rank; i++) {
        uint32_t *at = gone[i] ? r->step : r->begin;
        size_t *n = gone[i] ? &n_step : &n_begin, dim = (size_t)in->dims[i];
        uint32_t stride = 1;

        for (int j = i + 1; j < in->rank; j++)
            stride *= (uint32_t)in->dims[j];
        /* Each of the n so far becomes dim; from the back, in place. */
        for (size_t t = *n * dim; t-- > 0;)
            at[t] = at[t / dim] + (uint32_t)(t % dim) * stride;
        *n *= dim;
    }
}

/* ReduceSum and ReduceMean. */
ax_status net_reduce(struct lowering *l, struct array *out)
{
    const struct array *in = net_input(l, 0);
    bool keep = ax_node_int(l->node, "keepdims", 1) != 0;
    bool mean = l->node->op == AX_OP_ReduceMean;
    struct reduction r = {.n = 1};
    int64_t dims[AX_RANK_MAX];
    bool gone[AX_RANK_MAX];
    int rank = 0;

    AX_TRY(reduce_axes(l, in, gone));
    for (int i = 0; i < in->rank; i++) {
        r.n *= gone[i] ? (size_t)in->dims[i] : 1;
        if (!gone[i] || keep)
            dims[rank++] = gone[i] ? 1 : in->dims[i];
    }
    AX_TRY(net_shape(l, out, rank, dims));
    r.begin = net_alloc(l, out->n, sizeof *r.begin);
    r.step = net_alloc(l, r.n, sizeof *r.step);
    if (!r.begin || !r.step)
        return net_no_memory(l);
    reduce_offsets(&r, in, gone);
    AX_TRY(net_begin(l, mean ? AX_NET_WEIGHTED : AX_NET_UNIT, out));
    for (size_t o = 0; o < out->n; o++) {
        if (mean)
            AX_TRY(net_divide(l, (double)r.n));
        for (size_t i = 0; i < r.n; i++)
            AX_TRY(net_term(l, in, r.begin[o] + r.step[i], 1));
        net_row(l);
    }
    return net_end(l, out);
}
