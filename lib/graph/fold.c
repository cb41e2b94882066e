/* Constant folding of what is computed from shapes: see ax_model_fold. */
#include <stdlib.h>

#include "graph/graph.h"
#include "graph/infer.h"

struct fold {
    struct infer facts;
    struct ax_model *m;
    bool *output;   /* [n_values] the graph's */
    uint32_t *uses; /* [n_values] */
    uint32_t n_new;
};

static bool is_number(const struct infer_fact *f)
{
    if (!f->v || (f->dtype != AX_I64 && f->dtype != AX_I32))
        return false;
    for (uint32_t i = 0; i < f->n_v; i++)
        if (f->v[i].p != 0)
            return false;
    return true;
}

/* Does this node make nothing but one integer constant? */
static bool folds(const struct fold *f, const struct ax_node *n)
{
    return n->n_out == 1 && !f->output[n->out[0]] &&
           is_number(&f->facts.facts[n->out[0]]);
}

static ax_status to_tensor(struct fold *f, uint32_t v, struct ax_err *err)
{
    const struct infer_fact *fact = &f->facts.facts[v];
    const int64_t dims[] = {fact->n_v};
    struct ax_tensor *t = &f->m->tensors[f->m->n_tensors];

    AX_TRY(ax_tensor_new(t, fact->dtype, fact->rank, dims, err));
    for (uint32_t i = 0; i < fact->n_v; i++)
        if (t->dtype == AX_I64)
            ((int64_t *)t->data)[i] = fact->v[i].k;
        else
            ((int32_t *)t->data)[i] = (int32_t)fact->v[i].k;
    f->m->graph->values[v].tensor = f->m->n_tensors++;
    return AX_OK;
}

static ax_status make_tensors(struct fold *f, struct ax_err *err)
{
    struct ax_model *m = f->m;
    void *p;

    for (uint32_t i = 0; i < m->graph->n_nodes; i++)
        f->n_new += folds(f, &m->graph->nodes[i]);
    if (!f->n_new)
        return AX_OK;
    p = realloc(m->tensors,
                ((size_t)m->n_tensors + f->n_new) * sizeof *m->tensors);
    if (!p)
        return ax_fail(err, AX_ENOMEM, "no memory for %u tensors", f->n_new);
    m->tensors = p;
    for (uint32_t i = 0; i < m->graph->n_nodes; i++)
        if (folds(f, &m->graph->nodes[i]))
            AX_TRY(to_tensor(f, m->graph->nodes[i].out[0], err));
    return AX_OK;
}

/* A node that is gone: its value is a tensor, or it only served such. */
static bool is_needed(const struct fold *f, const struct ax_node *n)
{
    const struct ax_graph *g = f->m->graph;
    uint32_t v = n->out[0];

    if (n->n_out != 1)
        return true;
    if (g->values[v].tensor != AX_NONE)
        return false;
    return f->uses[v] || f->output[v] ||
           (n->op != AX_OP_Shape && !f->facts.facts[v].v);
}

static void count(struct fold *f, const struct ax_node *n, int by)
{
    for (uint32_t k = 0; k < n->n_in; k++)
        if (n->in[k] != AX_NONE)
            f->uses[n->in[k]] += (uint32_t)by;
}

/* From the last to the first, so that what served a dropped node goes too;
 * then those that stay close the gaps. */
static void drop_nodes(struct fold *f)
{
    struct ax_graph *g = f->m->graph;
    uint32_t n = 0;

    for (uint32_t i = 0; i < g->n_nodes; i++)
        count(f, &g->nodes[i], 1);
    for (uint32_t i = g->n_nodes; i-- > 0;)
        if (!is_needed(f, &g->nodes[i])) {
            count(f, &g->nodes[i], -1);
            ax_node_clear(&g->nodes[i]);
            g->nodes[i].op = AX_OP_NONE;
        }
    for (uint32_t i = 0; i < g->n_nodes; i++)
        if (g->nodes[i].op != AX_OP_NONE)
            g->nodes[n++] = g->nodes[i];
    g->n_nodes = n;
}

static ax_status fold(struct fold *f, struct ax_err *err)
{
    const struct ax_graph *g = f->m->graph;

    AX_TRY(infer_graph(&f->facts, f->m, err));
    f->output = ax_arena_zalloc(f->facts.arena, g->n_values + 1u,
                                sizeof *f->output);
    f->uses = ax_arena_zalloc(f->facts.arena, g->n_values + 1u,
                              sizeof *f->uses);
    if (!f->output || !f->uses)
        return ax_fail(err, AX_ENOMEM, "no memory for constant folding");
    for (uint32_t i = 0; i < g->n_outputs; i++)
        f->output[g->outputs[i]] = true;
    AX_TRY(infer_captured(&f->facts, f->uses, err));
    AX_TRY(make_tensors(f, err));
    if (f->n_new)
        drop_nodes(f);
    return AX_OK;
}

ax_status ax_model_fold(struct ax_model *m, struct ax_err *err)
{
    struct fold f = {.m = m};
    ax_status st;

    m->has_identity = false;
    st = fold(&f, err);
    ax_arena_free(f.facts.arena);
    return st;
}
