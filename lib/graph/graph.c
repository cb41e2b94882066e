/* Graphs: what they own, and their attributes. See ax/graph.h. */
#include "graph/graph.h"

#include <stdlib.h>
#include <string.h>

void ax_attr_clear(struct ax_attr *a)
{
    free(a->name);
    free(a->s);
    free(a->ints);
    free(a->floats);
    for (size_t i = 0; a->strings && i < a->n; i++)
        free(a->strings[i]);
    free(a->strings);
    ax_graph_free(a->graph);
}

void ax_node_clear(struct ax_node *n)
{
    free(n->name);
    free(n->in);
    free(n->out);
    for (uint32_t i = 0; n->attrs && i < n->n_attrs; i++)
        ax_attr_clear(&n->attrs[i]);
    free(n->attrs);
}

void ax_graph_free(struct ax_graph *g)
{
    if (!g)
        return;
    free(g->name);
    for (uint32_t i = 0; g->values && i < g->n_values; i++) {
        free(g->values[i].name);
        for (int d = 0; d < AX_RANK_MAX; d++)
            free(g->values[i].dim_names[d]);
    }
    free(g->values);
    for (uint32_t i = 0; g->nodes && i < g->n_nodes; i++)
        ax_node_clear(&g->nodes[i]);
    free(g->nodes);
    free(g->inputs);
    free(g->outputs);
    free(g);
}

const struct ax_attr *ax_node_attr(const struct ax_node *n, const char *name)
{
    for (uint32_t i = 0; i < n->n_attrs; i++)
        if (strcmp(n->attrs[i].name, name) == 0)
            return &n->attrs[i];
    return NULL;
}

int64_t ax_node_int(const struct ax_node *n, const char *name, int64_t dflt)
{
    const struct ax_attr *a = ax_node_attr(n, name);

    return a && a->kind == AX_ATTR_INT ? a->i : dflt;
}

float ax_node_float(const struct ax_node *n, const char *name, float dflt)
{
    const struct ax_attr *a = ax_node_attr(n, name);

    return a && a->kind == AX_ATTR_FLOAT ? a->f : dflt;
}

const char *ax_node_string(const struct ax_node *n, const char *name,
                           const char *dflt)
{
    const struct ax_attr *a = ax_node_attr(n, name);

    return a && a->kind == AX_ATTR_STRING ? a->s : dflt;
}
