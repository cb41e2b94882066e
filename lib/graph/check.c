/* ax_graph_check: is a graph what every consumer takes for granted? After
 * this, indexes are in range, and walking the nodes in order meets no value
 * before it is there. Types and shapes of operators are not checked here. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "graph/graph.h"

/* A message names the nodes on the way only so far down. */
enum { DEPTH_NAMED = 2 };

/* A graph under check; sub-graphs see the values of those around them. */
struct scope {
    const struct ax_graph *g;
    const struct scope *outer;
    struct entry *by_name; /* sorted */
    unsigned char *made;   /* [n_values] */
};

struct entry {
    const char *name;
    uint32_t value;
};

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name,
                  ((const struct entry *)b)->name);
}

/* Does a graph around this one have a value of this name by now? */
static bool seen_outside(const struct scope *s, const char *name)
{
    const struct entry key = {name, 0};

    for (s = s->outer; s; s = s->outer) {
        const struct entry *e = bsearch(&key, s->by_name, s->g->n_values,
                                        sizeof key, compare);

        if (e && s->made[e->value])
            return true;
    }
    return false;
}

static ax_status check_dims(const struct ax_value *v, struct ax_err *err)
{
    if (v->dtype != AX_DTYPE_NONE && !ax_dtype_size(v->dtype))
        return ax_fail(err, AX_EFORMAT,
                       "value '%s': no element type has number %d", v->name,
                       (int)v->dtype);
    if (v->rank < -1 || v->rank > AX_RANK_MAX)
        return ax_fail(err, AX_EFORMAT,
                       "value '%s' has %d dimensions, at most %d are allowed",
                       v->name, v->rank, AX_RANK_MAX);
    for (int i = 0; i < v->rank; i++) {
        if (v->dims[i] < -1)
            return ax_fail(err, AX_EFORMAT,
                           "value '%s': dimension %d is %" PRId64, v->name, i,
                           v->dims[i]);
        if (v->dim_names[i] && v->dims[i] != -1)
            return ax_fail(err, AX_EFORMAT,
                           "value '%s': dimension %d has a name, '%s', but "
                           "is not free",
                           v->name, i, v->dim_names[i]);
    }
    return AX_OK;
}

/* Values by themselves: names, types, constants. */
static ax_status check_values(struct scope *s, uint32_t n_tensors,
                              struct ax_err *err)
{
    const struct ax_graph *g = s->g;

    for (uint32_t i = 0; i < g->n_values; i++) {
        const struct ax_value *v = &g->values[i];

        if (!v->name || !v->name[0])
            return ax_fail(err, AX_EFORMAT, "value %" PRIu32 " has no name",
                           i);
        AX_TRY(check_dims(v, err));
        if (v->tensor != AX_NONE && v->tensor >= n_tensors)
            return ax_fail(err, AX_EFORMAT,
                           "value '%s' is tensor %" PRIu32
                           ", there are %" PRIu32,
                           v->name, v->tensor, n_tensors);
        s->made[i] = v->tensor != AX_NONE;
        s->by_name[i] = (struct entry){v->name, i};
    }
    qsort(s->by_name, g->n_values, sizeof *s->by_name, compare);
    for (uint32_t i = 1; i < g->n_values; i++)
        if (strcmp(s->by_name[i - 1].name, s->by_name[i].name) == 0)
            return ax_fail(err, AX_EFORMAT, "two values are called '%s'",
                           s->by_name[i].name);
    return AX_OK;
}

static ax_status make(struct scope *s, uint32_t value, struct ax_err *err)
{
    if (value >= s->g->n_values)
        return ax_fail(err, AX_EFORMAT,
                       "there is no value %" PRIu32 " of %" PRIu32, value,
                       s->g->n_values);
    if (s->made[value])
        return ax_fail(err, AX_EFORMAT, "value '%s' is made twice",
                       s->g->values[value].name);
    s->made[value] = 1;
    return AX_OK;
}

static ax_status use(const struct scope *s, uint32_t value,
                     struct ax_err *err)
{
    if (value >= s->g->n_values)
        return ax_fail(err, AX_EFORMAT,
                       "there is no value %" PRIu32 " of %" PRIu32, value,
                       s->g->n_values);
    if (!s->made[value] && !seen_outside(s, s->g->values[value].name))
        return ax_fail(err, AX_EFORMAT,
                       "value '%s' is used before it is made",
                       s->g->values[value].name);
    return AX_OK;
}

static ax_status check_arity(const struct ax_node *n, struct ax_err *err)
{
    const struct ax_op_row *row = &ax_op_table[n->op];

    if (n->n_in < row->min_in ||
        (row->max_in != AX_ARITY_ANY && n->n_in > row->max_in))
        return ax_fail(err, AX_EFORMAT,
                       "has %" PRIu32 " inputs, wants %d to %d", n->n_in,
                       row->min_in, row->max_in);
    if (n->n_out < row->min_out ||
        (row->max_out != AX_ARITY_ANY && n->n_out > row->max_out))
        return ax_fail(err, AX_EFORMAT,
                       "has %" PRIu32 " outputs, wants %d to %d", n->n_out,
                       row->min_out, row->max_out);
    for (uint32_t i = 0; i < row->min_in; i++)
        if (n->in[i] == AX_NONE)
            return ax_fail(err, AX_EFORMAT, "input %" PRIu32 " is absent", i);
    for (uint32_t i = 0; i < row->min_out; i++)
        if (n->out[i] == AX_NONE)
            return ax_fail(err, AX_EFORMAT, "output %" PRIu32 " is absent",
                           i);
    return AX_OK;
}

static ax_status check_graph(const struct ax_graph *g,
                             const struct scope *outer, uint32_t n_tensors,
                             int depth, struct ax_err *err);

static ax_status check_attrs(const struct scope *s, const struct ax_node *n,
                             uint32_t n_tensors, int depth,
                             struct ax_err *err)
{
    for (uint32_t i = 0; i < n->n_attrs; i++) {
        const struct ax_attr *a = &n->attrs[i];

        if (!a->name || !a->name[0])
            return ax_fail(err, AX_EFORMAT,
                           "attribute %" PRIu32 " has no name", i);
        if (i && strcmp(n->attrs[i - 1].name, a->name) >= 0)
            return ax_fail(err, AX_EFORMAT,
                           "attribute '%s' stands after '%s'", a->name,
                           n->attrs[i - 1].name);
        if (a->kind < AX_ATTR_INT || a->kind > AX_ATTR_GRAPH)
            return ax_fail(err, AX_EFORMAT,
                           "attribute '%s' is of an unknown kind, %d",
                           a->name, (int)a->kind);
        if ((a->kind == AX_ATTR_STRING && !a->s) ||
            (a->kind == AX_ATTR_GRAPH && !a->graph))
            return ax_fail(err, AX_EFORMAT, "attribute '%s' has no value",
                           a->name);
        if (a->kind == AX_ATTR_GRAPH &&
            check_graph(a->graph, s, n_tensors, depth + 1, err) != AX_OK)
            return depth > DEPTH_NAMED
                       ? err->code
                       : ax_fail_in(err, "attribute '%s'", a->name);
    }
    return AX_OK;
}

static ax_status check_node(struct scope *s, const struct ax_node *n,
                            uint32_t n_tensors, int depth, struct ax_err *err)
{
    if (n->op <= AX_OP_NONE || n->op >= AX_OP_COUNT)
        return ax_fail(err, AX_EFORMAT, "there is no operator %d",
                       (int)n->op);
    AX_TRY(check_arity(n, err));
    for (uint32_t i = 0; i < n->n_in; i++)
        if (n->in[i] != AX_NONE)
            AX_TRY(use(s, n->in[i], err));
    AX_TRY(check_attrs(s, n, n_tensors, depth, err));
    for (uint32_t i = 0; i < n->n_out; i++)
        if (n->out[i] != AX_NONE)
            AX_TRY(make(s, n->out[i], err));
    return AX_OK;
}

/* In the order of execution: inputs, nodes, outputs. */
static ax_status check_flow(struct scope *s, uint32_t n_tensors, int depth,
                            struct ax_err *err)
{
    const struct ax_graph *g = s->g;

    for (uint32_t i = 0; i < g->n_inputs; i++)
        if (make(s, g->inputs[i], err) != AX_OK)
            return ax_fail_in(err, "input %" PRIu32, i);
    for (uint32_t i = 0; i < g->n_nodes; i++)
        if (check_node(s, &g->nodes[i], n_tensors, depth, err) != AX_OK)
            return depth > DEPTH_NAMED
                       ? err->code
                       : ax_fail_in(err, "node %" PRIu32 " (%s '%s')", i,
                                    ax_op_name(g->nodes[i].op),
                                    g->nodes[i].name ? g->nodes[i].name : "");
    for (uint32_t i = 0; i < g->n_outputs; i++)
        if (use(s, g->outputs[i], err) != AX_OK)
            return ax_fail_in(err, "output %" PRIu32, i);
    return AX_OK;
}

static ax_status check_graph(const struct ax_graph *g,
                             const struct scope *outer, uint32_t n_tensors,
                             int depth, struct ax_err *err)
{
    struct scope s = {.g = g, .outer = outer};
    ax_status st;

    if (depth > AX_DEPTH_MAX)
        return ax_fail(err, AX_EFORMAT, "graphs are nested more than %d deep",
                       AX_DEPTH_MAX);
    if (g->n_values > AX_GRAPH_MAX || g->n_nodes > AX_GRAPH_MAX)
        return ax_fail(err, AX_EFORMAT,
                       "graph has more than %u values or nodes",
                       AX_GRAPH_MAX);
    s.by_name = calloc((size_t)g->n_values + 1, sizeof *s.by_name);
    s.made = calloc((size_t)g->n_values + 1, 1);
    if (!s.by_name || !s.made) {
        st = ax_fail(err, AX_ENOMEM, "no memory to check %" PRIu32 " values",
                     g->n_values);
        goto out;
    }
    st = check_values(&s, n_tensors, err);
    if (st == AX_OK)
        st = check_flow(&s, n_tensors, depth, err);
out:
    free(s.by_name);
    free(s.made);
    return st;
}

ax_status ax_graph_check(const struct ax_graph *g, uint32_t n_tensors,
                         struct ax_err *err)
{
    return check_graph(g, NULL, n_tensors, 1, err);
}
