/* Copies of networks in one graph, and what is added about them. */
#include "graft.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ax/infer.h"

ax_status graft_no_memory(struct graft *p)
{
    return ax_fail(p->err, AX_ENOMEM, "no memory for the product network");
}

/* ---- adding to the graph ---- */

ax_status graft_value(struct graft *p, uint32_t *out, const char *prefix,
                      const char *name, ax_dtype dtype, int rank,
                      const int64_t *dims)
{
    struct ax_graph *g = p->m->graph;
    struct ax_value *v = &g->values[g->n_values];
    size_t n = strlen(prefix) + strlen(name) + 1;

    *v = (struct ax_value){.dtype = dtype, .rank = rank, .tensor = AX_NONE};
    for (int i = 0; i < rank; i++)
        v->dims[i] = dims[i];
    v->name = malloc(n);
    if (!v->name)
        return graft_no_memory(p);
    snprintf(v->name, n, "%s%s", prefix, name);
    *out = g->n_values++;
    return AX_OK;
}

ax_status graft_ints(struct graft *p, uint32_t *out, const char *name,
                     const int64_t *v, int n)
{
    struct ax_tensor *t = &p->m->tensors[p->m->n_tensors];
    const int64_t dims[] = {n};

    AX_TRY(graft_value(p, out, name, "", AX_I64, 1, dims));
    AX_TRY(ax_tensor_new(t, AX_I64, 1, dims, p->err));
    memcpy(t->data, v, (size_t)n * sizeof *v);
    p->m->graph->values[*out].tensor = p->m->n_tensors++;
    return AX_OK;
}

static ax_status room_for_node(struct graft *p, struct ax_node *node,
                               const char *name, uint32_t n_in,
                               uint32_t n_out)
{
    *node = (struct ax_node){.n_in = n_in, .n_out = n_out};
    node->name = strdup(name);
    node->in = calloc((size_t)n_in + 1, sizeof *node->in);
    node->out = calloc((size_t)n_out + 1, sizeof *node->out);
    p->m->graph->n_nodes++;
    return node->name && node->in && node->out ? AX_OK : graft_no_memory(p);
}

ax_status graft_node(struct graft *p, uint32_t *out, ax_op op,
                     const char *name, const uint32_t *in, uint32_t n)
{
    struct ax_graph *g = p->m->graph;
    struct ax_node *node = &g->nodes[g->n_nodes];

    AX_TRY(graft_value(p, out, name, "", AX_DTYPE_NONE, -1, NULL));
    AX_TRY(room_for_node(p, node, name, n, 1));
    node->op = op;
    memcpy(node->in, in, n * sizeof *in);
    node->out[0] = *out;
    return AX_OK;
}

ax_status graft_reshape(struct graft *p, uint32_t *out, uint32_t v,
                        const char *name, const int64_t *dims, int rank)
{
    char shape[64];
    uint32_t in[2] = {v};

    snprintf(shape, sizeof shape, "%s/dims", name);
    AX_TRY(graft_ints(p, &in[1], shape, dims, rank));
    return graft_node(p, out, AX_OP_Reshape, name, in, 2);
}

/* ---- copying a part ---- */

static ax_status copy_attr(struct graft *p, struct ax_attr *to,
                           const struct ax_attr *from)
{
    size_t n = from->n;

    *to = (struct ax_attr){.kind = from->kind, .i = from->i, .f = from->f};
    to->name = strdup(from->name);
    if (from->s)
        to->s = strdup(from->s);
    if (from->ints)
        to->ints = calloc(n + 1, sizeof *to->ints);
    if (from->floats)
        to->floats = calloc(n + 1, sizeof *to->floats);
    if (from->strings)
        to->strings = calloc(n + 1, sizeof *to->strings);
    if (!to->name || (from->s && !to->s) || (from->ints && !to->ints) ||
        (from->floats && !to->floats) || (from->strings && !to->strings))
        return graft_no_memory(p);
    to->n = n;
    if (to->ints)
        memcpy(to->ints, from->ints, n * sizeof *to->ints);
    if (to->floats)
        memcpy(to->floats, from->floats, n * sizeof *to->floats);
    for (size_t i = 0; to->strings && i < n; i++)
        if (!(to->strings[i] = strdup(from->strings[i])))
            return graft_no_memory(p);
    return AX_OK;
}

static ax_status copy_node(struct graft *p, int part,
                           const struct ax_node *from)
{
    struct ax_node *to = &p->m->graph->nodes[p->m->graph->n_nodes];
    const uint32_t *map = p->map[part];

    AX_TRY(room_for_node(p, to, from->name, from->n_in, from->n_out));
    to->op = from->op;
    for (uint32_t i = 0; i < from->n_in; i++)
        to->in[i] = from->in[i] == AX_NONE ? AX_NONE : map[from->in[i]];
    for (uint32_t i = 0; i < from->n_out; i++)
        to->out[i] = from->out[i] == AX_NONE ? AX_NONE : map[from->out[i]];
    to->attrs = calloc((size_t)from->n_attrs + 1, sizeof *to->attrs);
    if (!to->attrs)
        return graft_no_memory(p);
    for (uint32_t i = 0; i < from->n_attrs; i++) {
        if (from->attrs[i].kind == AX_ATTR_GRAPH)
            return ax_fail(p->err, AX_EUNSUPPORTED,
                           "node '%.120s' (%s): no product of networks with "
                           "sub-graphs",
                           from->name, ax_op_name(from->op));
        to->n_attrs++;
        AX_TRY(copy_attr(p, &to->attrs[i], &from->attrs[i]));
    }
    return AX_OK;
}

/* Constants of one model are shared by its copies. */
static ax_status copy_constant(struct graft *p, int part, uint32_t v)
{
    const struct ax_value *value = &p->part[part]->graph->values[v];
    const struct ax_tensor *from = &p->part[part]->tensors[value->tensor];
    struct ax_tensor *to = &p->m->tensors[p->m->n_tensors];
    const char prefix[] = {(char)('a' + part), '/', '\0'};

    for (int k = 0; k < part; k++)
        if (p->part[k] == p->part[part]) {
            p->map[part][v] = p->map[k][v];
            return AX_OK;
        }
    AX_TRY(graft_value(p, &p->map[part][v], prefix, value->name, from->dtype,
                       from->rank, from->dims));
    *to = *from;
    to->owned = false;
    p->m->graph->values[p->map[part][v]].tensor = p->m->n_tensors++;
    return AX_OK;
}

ax_status graft_part(struct graft *p, int part)
{
    const struct ax_graph *g = p->part[part]->graph;
    const char prefix[] = {(char)('a' + part), '/', '\0'};

    for (uint32_t v = 0; v < g->n_values; v++) {
        const struct ax_value *value = &g->values[v];

        if (p->map[part][v] != AX_NONE)
            continue;
        if (value->tensor != AX_NONE)
            AX_TRY(copy_constant(p, part, v));
        else
            AX_TRY(graft_value(p, &p->map[part][v], prefix, value->name,
                               value->dtype, -1, NULL));
    }
    for (uint32_t i = 0; i < g->n_nodes; i++)
        AX_TRY(copy_node(p, part, &g->nodes[i]));
    return AX_OK;
}

/* ---- the whole ---- */

ax_status graft_input_dims(struct graft *p, const struct ax_value *v,
                           int64_t *dims, uint64_t *n)
{
    if (v->rank < 0 || (v->dtype != AX_F32 && v->dtype != AX_F64))
        return ax_fail(p->err, AX_EUNSUPPORTED,
                       "input '%.120s' has no shape, or is not float32 or "
                       "float64",
                       v->name);
    *n = 1;
    for (int i = 0; i < v->rank; i++) {
        dims[i] = v->dims[i] < 0 ? 1 : v->dims[i];
        if (dims[i] && *n > ((uint64_t)1 << 31) / (uint64_t)dims[i])
            return ax_fail(p->err, AX_EUNSUPPORTED,
                           "input '%.120s' has more than 2^31 elements",
                           v->name);
        *n *= (uint64_t)dims[i];
    }
    return AX_OK;
}

ax_status graft_begin(struct graft *p, size_t extra, size_t inputs,
                      size_t outputs)
{
    size_t values = extra, nodes = extra, tensors = extra;
    struct ax_graph *g;

    for (int k = 0; k < p->n; k++) {
        values += p->part[k]->graph->n_values;
        nodes += p->part[k]->graph->n_nodes;
        tensors += p->part[k]->n_tensors;
    }
    if (values > AX_GRAPH_MAX || nodes > AX_GRAPH_MAX)
        return ax_fail(p->err, AX_EUNSUPPORTED, "the product is too large");
    p->m = calloc(1, sizeof *p->m);
    if (!p->m || !(g = p->m->graph = calloc(1, sizeof *g)))
        return graft_no_memory(p);
    g->name = strdup("product");
    g->values = calloc(values, sizeof *g->values);
    g->nodes = calloc(nodes, sizeof *g->nodes);
    g->inputs = calloc(inputs + 1, sizeof *g->inputs);
    g->outputs = calloc(outputs + 1, sizeof *g->outputs);
    p->m->tensors = calloc(tensors, sizeof *p->m->tensors);
    for (int k = 0; k < p->n; k++) {
        uint32_t n = p->part[k]->graph->n_values;

        p->map[k] = malloc(((size_t)n + 1) * sizeof *p->map[k]);
        if (!p->map[k])
            return graft_no_memory(p);
        for (uint32_t v = 0; v < n; v++)
            p->map[k][v] = AX_NONE;
    }
    return g->name && g->values && g->nodes && g->inputs && g->outputs &&
                   p->m->tensors
               ? AX_OK
               : graft_no_memory(p);
}

ax_status graft_finish(struct graft *p)
{
    AX_TRY(ax_graph_check(p->m->graph, p->m->n_tensors, p->err));
    AX_TRY(ax_model_infer(p->m, p->err));
    return ax_model_normalise(p->m, p->err);
}

void graft_end(struct graft *p, ax_status st, struct ax_model **out)
{
    for (int k = 0; k < p->n; k++)
        free(p->map[k]);
    if (st != AX_OK) {
        ax_model_free(p->m);
        p->m = NULL;
    }
    *out = p->m;
}
