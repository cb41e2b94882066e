/* What depends on constants alone is computed now, by the kernels of the
 * reference backend, and what nobody uses goes. */
#include <string.h>

#include "ax/run.h"
#include "opt/opt.h"

/* A folded tensor may be that much larger than those it is made of. */
#define GROWTH_MAX ((size_t)1 << 20)

/* Operators that do not give the same every time, or that see a graph. */
static bool is_function(const struct ax_node *n)
{
    switch (n->op) {
    case AX_OP_NONE:
    case AX_OP_Bernoulli:
    case AX_OP_Dropout:
    case AX_OP_RandomNormal:
    case AX_OP_RandomNormalLike:
    case AX_OP_RandomUniform:
    case AX_OP_RandomUniformLike:
        return false;
    default:
        break;
    }
    for (uint32_t k = 0; k < n->n_attrs; k++)
        if (n->attrs[k].kind == AX_ATTR_GRAPH)
            return false;
    return true;
}

static bool has_size(const struct opt_fact *f)
{
    for (int d = 0; d < f->rank; d++)
        if (f->dims[d] < 0)
            return false;
    return f->rank >= 0 && f->dtype != AX_DTYPE_NONE && f->dtype != AX_STRING;
}

/* Shapes of all outputs follow, and none is out of proportion. */
static bool is_small(const struct opt *o, const struct ax_node *n,
                     size_t in_bytes)
{
    for (uint32_t k = 0; k < n->n_out; k++) {
        struct ax_err ignored = {0};
        const struct opt_fact *f;
        size_t size, count;

        if (n->out[k] == AX_NONE)
            continue;
        f = &o->facts[n->out[k]];
        size = ax_dtype_size(f->dtype);
        if (f->pinned || !has_size(f) ||
            ax_shape_count(&count, f->rank, f->dims, size, &ignored) !=
                AX_OK ||
            count * size > in_bytes + GROWTH_MAX)
            return false;
    }
    return true;
}

/* Does it make a weight that is kept in fewer bits? */
static bool is_narrow(const struct opt *o, const struct ax_node *n)
{
    const struct ax_tensor *t = opt_constant(o, n, 0);

    return n->op == AX_OP_DequantizeLinear ||
           (n->op == AX_OP_Cast && t && t->rank > 0 &&
            (t->dtype == AX_F16 || t->dtype == AX_BF16));
}

static bool can_fold(const struct opt *o, const struct ax_node *n)
{
    size_t bytes = 0;
    uint32_t given = 0;

    if (!is_function(n) || is_narrow(o, n))
        return false;
    for (uint32_t k = 0; k < n->n_in; k++) {
        const struct ax_tensor *t = opt_constant(o, n, k);

        if (n->in[k] != AX_NONE && !t)
            return false;
        bytes += t ? t->nbytes : 0;
        given += t != NULL;
    }
    return given > 0 && is_small(o, n, bytes);
}

/* -- one node as a model of its own ---------------------------------------
 */

#define ENDS_MAX 64 /* inputs and outputs */

struct alone {
    struct ax_value values[ENDS_MAX];
    struct ax_tensor tensors[ENDS_MAX];
    uint32_t in[ENDS_MAX], out[ENDS_MAX], outputs[ENDS_MAX];
    struct ax_node node;
    struct ax_graph graph;
    struct ax_model model;
};

/* Everything is borrowed. */
static void set_alone(struct alone *a, const struct opt *o,
                      const struct ax_node *n)
{
    uint32_t v = 0;

    *a = (struct alone){.node = *n};
    a->node.in = a->in;
    a->node.out = a->out;
    for (uint32_t k = 0; k < n->n_in; k++) {
        a->in[k] = n->in[k] == AX_NONE ? AX_NONE : v;
        if (n->in[k] == AX_NONE)
            continue;
        a->values[v] = o->g->values[n->in[k]];
        a->values[v].tensor = v;
        a->tensors[v] = *opt_constant(o, n, k);
        v++;
    }
    a->model.n_tensors = v;
    for (uint32_t k = 0; k < n->n_out; k++) {
        a->out[k] = n->out[k] == AX_NONE ? AX_NONE : v;
        if (n->out[k] == AX_NONE)
            continue;
        a->values[v] = o->g->values[n->out[k]];
        a->outputs[a->graph.n_outputs++] = v++;
    }
    a->graph.n_values = v;
    a->graph.values = a->values;
    a->graph.n_nodes = 1;
    a->graph.nodes = &a->node;
    a->graph.outputs = a->outputs;
    a->model.graph = &a->graph;
    a->model.tensors = a->tensors;
}

/* A node that cannot be computed stays: it is for whoever runs the model to
 * hear of it. */
static ax_status compute(bool *done, struct ax_tensor *out,
                         const struct opt *o, const struct ax_node *n,
                         struct ax_err *err)
{
    struct ax_plan *p = NULL;
    struct alone a;
    ax_status st;

    set_alone(&a, o, n);
    st = ax_plan_new(&p, &a.model, NULL, err);
    if (st == AX_OK)
        st = ax_plan_run(p, out, NULL, err);
    ax_plan_free(p);
    *done = st == AX_OK;
    if (st == AX_OK || st == AX_ENOMEM || st == AX_EBUG)
        return st;
    *err = (struct ax_err){0};
    return AX_OK;
}

static ax_status fold(struct opt *o, struct ax_node *n, struct ax_err *err)
{
    struct ax_tensor out[ENDS_MAX] = {0};
    ax_status st = AX_OK;
    uint32_t made = 0;
    bool done;

    AX_TRY(compute(&done, out, o, n, err));
    if (!done)
        return AX_OK;
    for (uint32_t k = 0; k < n->n_out; k++) {
        if (n->out[k] == AX_NONE)
            continue;
        if (st == AX_OK)
            st = opt_make_constant(o, n->out[k], &out[made], err);
        ax_tensor_free(&out[made++]);
    }
    if (st == AX_OK) {
        opt_drop(o, n);
        o->changes++;
    }
    return st;
}

/* The shape of a value that has only one. */
static ax_status fold_shape(struct opt *o, struct ax_node *n,
                            struct ax_err *err)
{
    const struct opt_fact *x = opt_in(o, n, 0);
    int64_t from = ax_node_int(n, "start", 0),
            to = ax_node_int(n, "end", AX_RANK_MAX), length;
    struct ax_tensor t;

    if (!x || !has_size(x) || o->facts[n->out[0]].pinned)
        return AX_OK;
    from += from < 0 ? x->rank : 0;
    to += to < 0 ? x->rank : 0;
    from = from < 0 ? 0 : from > x->rank ? x->rank : from;
    to = to < from ? from : to > x->rank ? x->rank : to;
    length = to - from;
    AX_TRY(ax_tensor_new(&t, AX_I64, 1, &length, err));
    if (length)
        memcpy(t.data, x->dims + from, t.nbytes);
    AX_TRY(opt_make_constant(o, n->out[0], &t, err));
    opt_drop(o, n);
    o->changes++;
    return AX_OK;
}

ax_status opt_constants(struct opt *o, struct ax_err *err)
{
    for (uint32_t i = 0; i < o->g->n_nodes; i++) {
        struct ax_node *n = &o->g->nodes[i];

        if (n->op == AX_OP_Shape && opt_one_output(n))
            AX_TRY(fold_shape(o, n, err));
        else if (n->n_in + n->n_out <= ENDS_MAX && can_fold(o, n))
            AX_TRY(fold(o, n, err));
    }
    return AX_OK;
}

ax_status opt_dead(struct opt *o, struct ax_err *err)
{
    (void)err;
    for (uint32_t i = o->g->n_nodes; i-- > 0;) {
        struct ax_node *n = &o->g->nodes[i];
        bool needed = n->op == AX_OP_NONE;

        for (uint32_t k = 0; k < n->n_out; k++)
            if (n->out[k] != AX_NONE)
                needed |= o->facts[n->out[k]].uses ||
                          o->facts[n->out[k]].pinned;
        if (needed)
            continue;
        opt_drop(o, n);
        o->changes++;
    }
    return AX_OK;
}
