/* Small models by hand, owned as those that were read: see bench.h. */
#include <string.h>

#include "ax/model.h"
#include "bench.h"

static ax_status out_of_memory(struct ax_err *err)
{
    return ax_fail(err, AX_ENOMEM, "no memory for the model of a problem");
}

struct ax_model *build_new(uint32_t values, uint32_t nodes)
{
    struct ax_model *m = calloc(1, sizeof *m);
    struct ax_graph *g = calloc(1, sizeof *g);

    if (m && g) {
        m->graph = g;
        m->tensors = calloc(values, sizeof *m->tensors);
        g->name = strdup("bench");
        g->values = calloc(values, sizeof *g->values);
        g->nodes = calloc(nodes, sizeof *g->nodes);
        g->inputs = calloc(1, sizeof *g->inputs);
        g->outputs = calloc(1, sizeof *g->outputs);
        if (m->tensors && g->name && g->values && g->nodes && g->inputs &&
            g->outputs)
            return m;
        ax_model_free(m);
        return NULL;
    }
    free(m);
    free(g);
    return NULL;
}

ax_status build_value(uint32_t *v, struct ax_model *m, int rank,
                      const int64_t *dims, struct ax_err *err)
{
    struct ax_value *value;
    char name[16];

    *v = m->graph->n_values;
    value = &m->graph->values[*v];
    snprintf(name, sizeof name, "v%u", *v);
    value->name = strdup(name);
    if (!value->name)
        return out_of_memory(err);
    value->dtype = AX_F32;
    value->rank = dims ? rank : -1;
    value->tensor = AX_NONE;
    for (int i = 0; i < rank; i++)
        value->dims[i] = dims[i];
    m->graph->n_values++;
    return AX_OK;
}

float random_unit(uint64_t *seed)
{
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (float)(int32_t)((z ^ z >> 31) >> 40) / 8388608.0f - 1.0f;
}

ax_status build_constant(uint32_t *v, struct ax_model *m, int rank,
                         const int64_t *dims, double scale, uint64_t *seed,
                         struct ax_err *err)
{
    struct ax_tensor *t = &m->tensors[m->n_tensors];
    float *data;

    AX_TRY(build_value(v, m, rank, dims, err));
    AX_TRY(ax_tensor_new(t, AX_F32, rank, dims, err));
    data = t->data;
    for (size_t i = 0; i < t->nbytes / sizeof *data; i++)
        data[i] = (float)scale * random_unit(seed);
    m->graph->values[*v].tensor = m->n_tensors++;
    return AX_OK;
}

ax_status build_node(uint32_t *v, struct ax_model *m, int op, int n,
                     const uint32_t *in, struct ax_err *err)
{
    struct ax_node *node = &m->graph->nodes[m->graph->n_nodes];

    AX_TRY(build_value(v, m, 0, NULL, err));
    m->graph->n_nodes++;
    node->op = (ax_op)op;
    node->name = strdup(m->graph->values[*v].name);
    node->in = calloc((size_t)n, sizeof *node->in);
    node->out = calloc(1, sizeof *node->out);
    if (!node->name || !node->in || !node->out)
        return out_of_memory(err);
    memcpy(node->in, in, (size_t)n * sizeof *in);
    node->n_in = (uint32_t)n;
    node->n_out = 1;
    node->out[0] = *v;
    return AX_OK;
}

static ax_status attribute(struct ax_attr **a, struct ax_model *m,
                           const char *name, ax_attr_kind kind,
                           struct ax_err *err)
{
    struct ax_node *node = &m->graph->nodes[m->graph->n_nodes - 1];
    struct ax_attr *all = realloc(node->attrs,
                                  (node->n_attrs + 1u) * sizeof *node->attrs);

    if (!all)
        return out_of_memory(err);
    node->attrs = all;
    *a = &all[node->n_attrs];
    **a = (struct ax_attr){.name = strdup(name), .kind = kind};
    if (!(*a)->name)
        return out_of_memory(err);
    node->n_attrs++;
    return AX_OK;
}

ax_status build_int(struct ax_model *m, const char *name, int64_t value,
                    struct ax_err *err)
{
    struct ax_attr *a;

    AX_TRY(attribute(&a, m, name, AX_ATTR_INT, err));
    a->i = value;
    return AX_OK;
}

ax_status build_ints(struct ax_model *m, const char *name, int n,
                     int64_t value, struct ax_err *err)
{
    struct ax_attr *a;

    AX_TRY(attribute(&a, m, name, AX_ATTR_INTS, err));
    a->ints = calloc((size_t)n, sizeof *a->ints);
    if (!a->ints)
        return out_of_memory(err);
    a->n = (size_t)n;
    for (int i = 0; i < n; i++)
        a->ints[i] = value;
    return AX_OK;
}

void build_ends(struct ax_model *m, uint32_t in, uint32_t out)
{
    m->graph->n_inputs = m->graph->n_outputs = 1;
    m->graph->inputs[0] = in;
    m->graph->outputs[0] = out;
}
