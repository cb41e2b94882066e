/* Which nodes compute with int8, and which activations are rounded for them.
 * From the outputs to the inputs: what a product reads is rounded; so is what
 * a sum reads whose result is rounded, and what is moved to become something
 * rounded, with the same scale. */
#include <math.h>
#include <stdlib.h>

#include "ax/element.h"
#include "opt/quantise.h"

/* Sums of an inner size are below 2^31 if it is at most this. */
#define INNER_MAX ((size_t)INT32_MAX / (127 * 255))

struct opt_act *opt_act_of(struct opt_quant *q, uint32_t v)
{
    while (q->act[v].group != v)
        v = q->act[v].group;
    return &q->act[v];
}

static void join(struct opt_quant *q, uint32_t a, uint32_t b)
{
    uint32_t x = (uint32_t)(opt_act_of(q, a) - q->act);
    uint32_t y = (uint32_t)(opt_act_of(q, b) - q->act);

    q->act[y].group = x;
}

/* Is input K an activation of float32? */
static bool is_activation(const struct opt *o, const struct ax_node *n,
                          uint32_t k)
{
    const struct opt_fact *f = opt_in(o, n, k);

    return f && f->dtype == AX_F32 && !opt_constant(o, n, k);
}

struct opt_weights opt_weights_of(const struct opt *o,
                                  const struct ax_node *n)
{
    struct opt_weights l = {.w = opt_constant(o, n, 1)};

    l.bias = n->op == AX_OP_MatMul ? NULL : opt_constant(o, n, 2);
    l.axis = n->op == AX_OP_Conv                                  ? 0
             : n->op == AX_OP_Gemm && ax_node_int(n, "transB", 0) ? 0
                                                                  : 1;
    if (l.w && l.w->rank > l.axis && ax_tensor_count(l.w) > 0) {
        l.channels = (size_t)l.w->dims[l.axis];
        l.inner = ax_tensor_count(l.w) / l.channels;
    }
    return l;
}

static bool all_finite(const struct ax_tensor *t)
{
    const float *w = t->data;

    for (size_t i = 0; i < ax_tensor_count(t); i++)
        if (!isfinite(w[i]))
            return false;
    return true;
}

/* Is it a bias of one number for each channel, or one for all? */
static bool fits(const struct opt_weights *l)
{
    size_t n = l->bias ? ax_tensor_count(l->bias) : 1;

    return !l->bias ||
           (l->bias->dtype == AX_F32 && all_finite(l->bias) &&
            (n == 1 || (n == l->channels && l->bias->rank > 0 &&
                        l->bias->dims[l->bias->rank - 1] == (int64_t)n)));
}

/* Why a product stays as it is; NULL: it need not. *OURS says whether it is
 * of the kind at all. */
static const char *why_not(const struct opt *o, const struct ax_node *n,
                           bool *ours)
{
    const struct opt_fact *x = opt_in(o, n, 0);
    struct opt_weights l;

    /* What is not known of the input follows from the weights. */
    *ours = (n->op == AX_OP_Conv || n->op == AX_OP_Gemm ||
             n->op == AX_OP_MatMul) &&
            x && (x->dtype == AX_F32 || x->dtype == AX_DTYPE_NONE) &&
            !opt_constant(o, n, 0) && opt_one_output(n);
    if (!*ours)
        return NULL;
    l = opt_weights_of(o, n);
    if (!l.w || l.w->dtype != AX_F32 || !l.channels)
        return "its weights are no constant of float32";
    if (n->op == AX_OP_Conv ? l.w->rank < 3 : l.w->rank != 2)
        return "its weights are no matrix";
    if (n->op == AX_OP_Gemm &&
        (ax_node_int(n, "transA", 0) || ax_node_float(n, "alpha", 1) != 1 ||
         ax_node_float(n, "beta", 1) != 1))
        return "it transposes or scales its input";
    if (opt_in(o, n, 2) && !l.bias)
        return "its bias is no constant";
    if (!fits(&l))
        return "its bias is not one number a channel";
    if (!all_finite(l.w))
        return "a weight is not finite";
    if (l.inner > INNER_MAX)
        return "its sums could leave int32";
    return NULL;
}

/* What alone reads the result of n and does not change what rounding to
 * bytes makes of it: its result instead. */
static uint32_t tail(const struct opt *o, const struct ax_node *n,
                     const uint32_t *reader)
{
    uint32_t v = n->out[0];
    const struct ax_node *next;

    if (o->facts[v].uses != 1 || o->facts[v].pinned || reader[v] == AX_NONE)
        return v;
    next = &o->g->nodes[reader[v]];
    if ((next->op == AX_OP_Relu || next->op == AX_OP_Clip) &&
        next->in[0] == v && opt_one_output(next))
        return next->out[0];
    return v;
}

static bool moves(ax_op op)
{
    switch (op) {
    case AX_OP_Concat:
    case AX_OP_Flatten:
    case AX_OP_MaxPool:
    case AX_OP_Reshape:
    case AX_OP_Squeeze:
    case AX_OP_Transpose:
    case AX_OP_Unsqueeze:
        return true;
    default:
        return false;
    }
}

static bool moves_activations(const struct opt *o, const struct ax_node *n)
{
    uint32_t all = n->op == AX_OP_Concat ? n->n_in : 1;

    if (!moves(n->op) || !opt_one_output(n))
        return false;
    for (uint32_t k = 0; k < all; k++)
        if (!is_activation(o, n, k))
            return false;
    return true;
}

static void mark_node(struct opt_quant *q, uint32_t i, const uint32_t *reader)
{
    const struct ax_node *n = &q->o->g->nodes[i];

    if (q->role[i] == OPT_HEAVY) {
        q->act[n->in[0]].marked = true;
    } else if (n->op == AX_OP_Add && is_activation(q->o, n, 0) &&
               is_activation(q->o, n, 1) &&
               q->act[tail(q->o, n, reader)].marked) {
        q->role[i] = OPT_SUM;
        q->act[n->in[0]].marked = q->act[n->in[1]].marked = true;
    } else if (moves_activations(q->o, n) && q->act[n->out[0]].marked) {
        uint32_t all = n->op == AX_OP_Concat ? n->n_in : 1;

        q->role[i] = OPT_MOVES;
        for (uint32_t k = 0; k < all; k++) {
            q->act[n->in[k]].marked = true;
            join(q, n->out[0], n->in[k]);
        }
    }
}

ax_status opt_choose(struct opt_quant *q, struct ax_err *err)
{
    const struct ax_graph *g = q->o->g;
    uint32_t *reader = calloc(q->n_values + 1u, sizeof *reader);

    if (!reader)
        return ax_fail(err, AX_ENOMEM, "no memory for %u values",
                       q->n_values);
    for (uint32_t v = 0; v < q->n_values; v++) {
        q->act[v].group = v;
        reader[v] = AX_NONE;
    }
    for (uint32_t i = 0; i < q->n_nodes; i++) {
        const struct ax_node *n = &g->nodes[i];
        bool ours;
        const char *why = why_not(q->o, n, &ours);

        for (uint32_t k = 0; k < n->n_in; k++)
            if (n->in[k] != AX_NONE)
                reader[n->in[k]] = i;
        if (ours && !why)
            q->role[i] = OPT_HEAVY;
        if (why && opt_left(q->done, q->o, n, why, err) != AX_OK) {
            free(reader);
            return AX_ENOMEM;
        }
    }
    for (uint32_t i = q->n_nodes; i-- > 0;)
        mark_node(q, i, reader);
    free(reader);
    return AX_OK;
}
