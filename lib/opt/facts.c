/* What can be relied on of the values of a graph. A container may claim any
 * type and shape of an inner value, and nobody has checked it; so the claims
 * are put aside, what follows from inputs and operators is written down, and
 * the claims come back, for they are part of the model. */
#include <stdlib.h>
#include <string.h>

#include "ax/infer.h"
#include "opt/opt.h"

/* -- claims ---------------------------------------------------------------
 */

/* Every value of a graph and those inside it, in one order. */
struct claims {
    struct ax_value *v; /* names of values are not in it */
    size_t n, cap;
};

/* Calls f with each value that a node makes. */
static void each_made(struct ax_graph *g, struct claims *c,
                      void (*f)(struct claims *, struct ax_value *))
{
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        struct ax_node *n = &g->nodes[i];

        for (uint32_t k = 0; k < n->n_attrs; k++)
            if (n->attrs[k].kind == AX_ATTR_GRAPH)
                each_made(n->attrs[k].graph, c, f);
        for (uint32_t k = 0; k < n->n_out; k++)
            if (n->out[k] != AX_NONE)
                f(c, &g->values[n->out[k]]);
    }
}

static void count_one(struct claims *c, struct ax_value *v)
{
    (void)v;
    c->cap++;
}

static void put_aside(struct claims *c, struct ax_value *v)
{
    c->v[c->n++] = *v;
    v->dtype = AX_DTYPE_NONE;
    v->rank = -1;
    memset(v->dim_names, 0, sizeof v->dim_names);
}

static void put_back(struct claims *c, struct ax_value *v)
{
    const struct ax_value *old = &c->v[c->n++];

    for (int d = 0; d < AX_RANK_MAX; d++) {
        free(v->dim_names[d]);
        v->dim_names[d] = old->dim_names[d];
    }
    v->dtype = old->dtype;
    v->rank = old->rank;
    memcpy(v->dims, old->dims, sizeof v->dims);
}

/* -- learning -------------------------------------------------------------
 */

static void write_down(struct opt *o)
{
    for (uint32_t v = 0; v < o->g->n_values; v++) {
        const struct ax_value *at = &o->g->values[v];

        o->facts[v].dtype = at->dtype;
        o->facts[v].rank = at->rank;
        memcpy(o->facts[v].dims, at->dims, sizeof at->dims);
        if (at->tensor != AX_NONE) {
            const struct ax_tensor *t = &o->m->tensors[at->tensor];

            o->facts[v].dtype = t->dtype;
            o->facts[v].rank = t->rank;
            memcpy(o->facts[v].dims, t->dims, sizeof t->dims);
        }
    }
}

ax_status opt_learn(struct opt *o, struct ax_err *err)
{
    struct claims c = {0};
    ax_status st;

    each_made(o->g, &c, count_one);
    c.v = calloc(c.cap + 1, sizeof *c.v);
    free(o->facts);
    o->facts = calloc(o->g->n_values + 1u, sizeof *o->facts);
    if (!c.v || !o->facts) {
        free(c.v);
        return ax_fail(err, AX_ENOMEM, "no memory for %u values",
                       o->g->n_values);
    }
    each_made(o->g, &c, put_aside);
    st = ax_model_infer(o->m, err);
    if (st == AX_OK)
        write_down(o);
    c.n = 0;
    each_made(o->g, &c, put_back);
    free(c.v);
    return st;
}

/* -- counting -------------------------------------------------------------
 */

struct name {
    const char *text;
    uint32_t value;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct name *)a)->text,
                  ((const struct name *)b)->text);
}

/* A value whose name a graph inside knows stays as it is. */
static void pin_inside(struct opt *o, const struct name *names,
                       const struct ax_graph *inside)
{
    for (uint32_t i = 0; i < inside->n_values; i++) {
        const struct name key = {inside->values[i].name, 0}, *at;

        at = bsearch(&key, names, o->g->n_values, sizeof key, by_text);
        if (at)
            o->facts[at->value].pinned = true;
    }
    for (uint32_t i = 0; i < inside->n_nodes; i++)
        for (uint32_t k = 0; k < inside->nodes[i].n_attrs; k++)
            if (inside->nodes[i].attrs[k].kind == AX_ATTR_GRAPH)
                pin_inside(o, names, inside->nodes[i].attrs[k].graph);
}

static ax_status pin_captured(struct opt *o, struct ax_err *err)
{
    struct name *names = NULL;

    for (uint32_t i = 0; i < o->g->n_nodes; i++)
        for (uint32_t k = 0; k < o->g->nodes[i].n_attrs; k++) {
            const struct ax_attr *a = &o->g->nodes[i].attrs[k];

            if (a->kind != AX_ATTR_GRAPH)
                continue;
            if (!names) {
                names = calloc(o->g->n_values + 1u, sizeof *names);
                if (!names)
                    return ax_fail(err, AX_ENOMEM, "no memory for %u names",
                                   o->g->n_values);
                for (uint32_t v = 0; v < o->g->n_values; v++)
                    names[v] = (struct name){o->g->values[v].name, v};
                qsort(names, o->g->n_values, sizeof *names, by_text);
            }
            pin_inside(o, names, a->graph);
        }
    free(names);
    return AX_OK;
}

ax_status opt_count(struct opt *o, struct ax_err *err)
{
    const struct ax_graph *g = o->g;

    for (uint32_t v = 0; v < g->n_values; v++) {
        o->facts[v].pinned = o->facts[v].given = false;
        o->facts[v].uses = 0;
        o->facts[v].maker = o->facts[v].alias = AX_NONE;
    }
    for (uint32_t i = 0; i < g->n_inputs; i++)
        o->facts[g->inputs[i]].given = true;
    for (uint32_t i = 0; i < g->n_outputs; i++)
        o->facts[g->outputs[i]].pinned = true;
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const struct ax_node *n = &g->nodes[i];

        for (uint32_t k = 0; k < n->n_in; k++)
            if (n->in[k] != AX_NONE)
                o->facts[n->in[k]].uses++;
        for (uint32_t k = 0; k < n->n_out; k++)
            if (n->out[k] != AX_NONE)
                o->facts[n->out[k]].maker = i;
    }
    return pin_captured(o, err);
}
