/* Two copies of a network, or two networks, side by side in one graph that
 * takes their inputs once and gives the difference of their outputs. What is
 * made is a model like any other: see ax/ready.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ax/infer.h"
#include "ax/ready.h"

/* What the graph has beside the two parts: for each input a value, two
 * constants and two more values; for each output a vector; and the ends. */
#define EXTRA(inputs, outputs) (5 * (size_t)(inputs) + 2 * (outputs) + 16)

struct product {
    struct ax_model *m;
    const struct ax_model *part[2];
    uint32_t *map[2]; /* from values of a part to ours; AX_NONE: not yet */
    uint32_t shift;   /* the value, or AX_NONE */
    struct ax_err *err;
};

static ax_status no_memory(struct product *p)
{
    return ax_fail(p->err, AX_ENOMEM, "no memory for the product network");
}

/* ---- adding to the graph ---- */

static ax_status add_value(struct product *p, uint32_t *out,
                           const char *prefix, const char *name,
                           ax_dtype dtype, int rank, const int64_t *dims)
{
    struct ax_graph *g = p->m->graph;
    struct ax_value *v = &g->values[g->n_values];
    size_t n = strlen(prefix) + strlen(name) + 1;

    *v = (struct ax_value){.dtype = dtype, .rank = rank, .tensor = AX_NONE};
    for (int i = 0; i < rank; i++)
        v->dims[i] = dims[i];
    v->name = malloc(n);
    if (!v->name)
        return no_memory(p);
    snprintf(v->name, n, "%s%s", prefix, name);
    *out = g->n_values++;
    return AX_OK;
}

/* A constant vector of integers: a shape, or pads. */
static ax_status add_ints(struct product *p, uint32_t *out, const char *name,
                          const int64_t *v, int n)
{
    struct ax_tensor *t = &p->m->tensors[p->m->n_tensors];
    const int64_t dims[] = {n};

    AX_TRY(add_value(p, out, name, "", AX_I64, 1, dims));
    AX_TRY(ax_tensor_new(t, AX_I64, 1, dims, p->err));
    memcpy(t->data, v, (size_t)n * sizeof *v);
    p->m->graph->values[*out].tensor = p->m->n_tensors++;
    return AX_OK;
}

static ax_status room_for_node(struct product *p, struct ax_node *node,
                               const char *name, uint32_t n_in,
                               uint32_t n_out)
{
    *node = (struct ax_node){.n_in = n_in, .n_out = n_out};
    node->name = strdup(name);
    node->in = calloc((size_t)n_in + 1, sizeof *node->in);
    node->out = calloc((size_t)n_out + 1, sizeof *node->out);
    p->m->graph->n_nodes++;
    return node->name && node->in && node->out ? AX_OK : no_memory(p);
}

/* A node of one output, which is new and called NAME. */
static ax_status add_node(struct product *p, uint32_t *out, ax_op op,
                          const char *name, const uint32_t *in, uint32_t n)
{
    struct ax_graph *g = p->m->graph;
    struct ax_node *node = &g->nodes[g->n_nodes];

    AX_TRY(add_value(p, out, name, "", AX_DTYPE_NONE, -1, NULL));
    AX_TRY(room_for_node(p, node, name, n, 1));
    node->op = op;
    memcpy(node->in, in, n * sizeof *in);
    node->out[0] = *out;
    return AX_OK;
}

/* The same elements in another shape. */
static ax_status add_reshape(struct product *p, uint32_t *out, uint32_t v,
                             const char *name, const int64_t *dims, int rank)
{
    char shape[64];
    uint32_t in[2] = {v};

    snprintf(shape, sizeof shape, "%s/dims", name);
    AX_TRY(add_ints(p, &in[1], shape, dims, rank));
    return add_node(p, out, AX_OP_Reshape, name, in, 2);
}

/* ---- copying a part ---- */

static ax_status copy_attr(struct product *p, struct ax_attr *to,
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
        return no_memory(p);
    to->n = n;
    if (to->ints)
        memcpy(to->ints, from->ints, n * sizeof *to->ints);
    if (to->floats)
        memcpy(to->floats, from->floats, n * sizeof *to->floats);
    for (size_t i = 0; to->strings && i < n; i++)
        if (!(to->strings[i] = strdup(from->strings[i])))
            return no_memory(p);
    return AX_OK;
}

static ax_status copy_node(struct product *p, int part,
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
        return no_memory(p);
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
static ax_status copy_constant(struct product *p, int part, uint32_t v)
{
    const struct ax_value *value = &p->part[part]->graph->values[v];
    const struct ax_tensor *from = &p->part[part]->tensors[value->tensor];
    struct ax_tensor *to = &p->m->tensors[p->m->n_tensors];

    if (part == 1 && p->part[0] == p->part[1]) {
        p->map[1][v] = p->map[0][v];
        return AX_OK;
    }
    AX_TRY(add_value(p, &p->map[part][v], part ? "b/" : "a/", value->name,
                     from->dtype, from->rank, from->dims));
    *to = *from;
    to->owned = false;
    p->m->graph->values[p->map[part][v]].tensor = p->m->n_tensors++;
    return AX_OK;
}

static ax_status copy_part(struct product *p, int part)
{
    const struct ax_graph *g = p->part[part]->graph;

    for (uint32_t v = 0; v < g->n_values; v++) {
        const struct ax_value *value = &g->values[v];

        if (p->map[part][v] != AX_NONE)
            continue;
        if (value->tensor != AX_NONE)
            AX_TRY(copy_constant(p, part, v));
        else
            AX_TRY(add_value(p, &p->map[part][v], part ? "b/" : "a/",
                             value->name, value->dtype, -1, NULL));
    }
    for (uint32_t i = 0; i < g->n_nodes; i++)
        AX_TRY(copy_node(p, part, &g->nodes[i]));
    return AX_OK;
}

/* ---- inputs and outputs ---- */

/* The shape of an input, free dimensions 1; how many elements. */
static ax_status input_dims(struct product *p, const struct ax_value *v,
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

static const struct ax_value *input_of(const struct product *p, int part,
                                       uint32_t i)
{
    const struct ax_graph *g = p->part[part]->graph;

    return &g->values[g->inputs[i]];
}

/* One input for both; the second may want it in another shape. */
static ax_status share_input(struct product *p, uint32_t i)
{
    const struct ax_value *a = input_of(p, 0, i), *b = input_of(p, 1, i);
    int64_t da[AX_RANK_MAX], db[AX_RANK_MAX];
    uint64_t na, nb;
    uint32_t v;
    char name[48];

    AX_TRY(input_dims(p, a, da, &na));
    AX_TRY(input_dims(p, b, db, &nb));
    if (na != nb || a->dtype != b->dtype)
        return ax_fail(p->err, AX_ESHAPE,
                       "input '%.80s' has %llu elements of %s, '%.80s' of "
                       "the other network %llu of %s",
                       a->name, (unsigned long long)na,
                       ax_dtype_name(a->dtype), b->name,
                       (unsigned long long)nb, ax_dtype_name(b->dtype));
    AX_TRY(add_value(p, &v, "x/", a->name, a->dtype, a->rank, da));
    p->m->graph->inputs[p->m->graph->n_inputs++] = v;
    p->map[0][p->part[0]->graph->inputs[i]] = v;
    if (a->rank != b->rank ||
        memcmp(da, db, (size_t)a->rank * sizeof *da) != 0) {
        snprintf(name, sizeof name, "again/%u", i);
        AX_TRY(add_reshape(p, &v, v, name, db, b->rank));
    }
    p->map[1][p->part[1]->graph->inputs[i]] = v;
    return AX_OK;
}

/* The last input, and what the second copy takes instead of input i: the
 * shift, padded with zeros to all elements, is added to it. */
static ax_status shift_input(struct product *p, uint32_t i, uint64_t at)
{
    const struct ax_value *a = input_of(p, 0, i);
    uint32_t input = p->part[0]->graph->inputs[i], in[2], padded, v;
    int64_t dims[AX_RANK_MAX], one = 1, pads[2];
    uint64_t n;

    AX_TRY(input_dims(p, a, dims, &n));
    pads[0] = (int64_t)at;
    pads[1] = (int64_t)(n - 1 - at);
    AX_TRY(add_value(p, &p->shift, "shift", "", a->dtype, 1, &one));
    p->m->graph->inputs[p->m->graph->n_inputs++] = p->shift;
    in[0] = p->shift;
    AX_TRY(add_ints(p, &in[1], "shift/pads", pads, 2));
    AX_TRY(add_node(p, &padded, AX_OP_Pad, "shift/padded", in, 2));
    AX_TRY(add_reshape(p, &padded, padded, "shift/shaped", dims, a->rank));
    in[0] = p->map[0][input];
    in[1] = padded;
    AX_TRY(add_node(p, &v, AX_OP_Add, "shifted", in, 2));
    p->map[1][input] = v;
    return AX_OK;
}

static ax_status shift_element(struct product *p, uint32_t element)
{
    uint64_t before = 0, n;
    int64_t dims[AX_RANK_MAX];

    for (uint32_t i = 0; i < p->part[0]->graph->n_inputs; i++) {
        AX_TRY(input_dims(p, input_of(p, 0, i), dims, &n));
        if (element - before < n)
            return shift_input(p, i, element - before);
        before += n;
    }
    return ax_fail(p->err, AX_EUSAGE,
                   "input= wants a number below %llu, the number of inputs",
                   (unsigned long long)before);
}

/* All outputs of a part as one vector. */
static ax_status join_outputs(struct product *p, uint32_t *out, int part)
{
    const struct ax_graph *g = p->part[part]->graph;
    const char *side = part ? "b" : "a";
    const int64_t all = -1;
    char name[48];
    uint32_t *in = calloc((size_t)g->n_outputs + 1, sizeof *in);
    ax_status st = in ? AX_OK : no_memory(p);
    struct ax_node *node;

    for (uint32_t i = 0; st == AX_OK && i < g->n_outputs; i++) {
        snprintf(name, sizeof name, "flat/%s/%u", side, i);
        st = add_reshape(p, &in[i], p->map[part][g->outputs[i]], name, &all,
                         1);
    }
    snprintf(name, sizeof name, "joined/%s", side);
    if (st == AX_OK)
        st = add_node(p, out, AX_OP_Concat, name, in, g->n_outputs);
    free(in);
    AX_TRY(st);
    node = &p->m->graph->nodes[p->m->graph->n_nodes - 1];
    node->attrs = calloc(1, sizeof *node->attrs);
    if (!node->attrs)
        return no_memory(p);
    node->n_attrs = 1;
    node->attrs[0].kind = AX_ATTR_INT;
    node->attrs[0].name = strdup("axis");
    return node->attrs[0].name ? AX_OK : no_memory(p);
}

/* ---- the whole ---- */

static ax_status rooms(struct product *p)
{
    const struct ax_graph *a = p->part[0]->graph, *b = p->part[1]->graph;
    size_t extra = EXTRA(a->n_inputs, a->n_outputs + b->n_outputs);
    struct ax_graph *g;

    if ((size_t)a->n_values + b->n_values + extra > AX_GRAPH_MAX ||
        (size_t)a->n_nodes + b->n_nodes + extra > AX_GRAPH_MAX)
        return ax_fail(p->err, AX_EUNSUPPORTED, "the product is too large");
    p->m = calloc(1, sizeof *p->m);
    if (!p->m || !(g = p->m->graph = calloc(1, sizeof *g)))
        return no_memory(p);
    g->name = strdup("product");
    g->values = calloc(a->n_values + b->n_values + extra, sizeof *g->values);
    g->nodes = calloc(a->n_nodes + b->n_nodes + extra, sizeof *g->nodes);
    g->inputs = calloc((size_t)a->n_inputs + 1, sizeof *g->inputs);
    g->outputs = calloc(1, sizeof *g->outputs);
    p->m->tensors = calloc(p->part[0]->n_tensors + p->part[1]->n_tensors +
                               extra,
                           sizeof *p->m->tensors);
    for (int k = 0; k < 2; k++) {
        uint32_t n = p->part[k]->graph->n_values;

        p->map[k] = malloc(((size_t)n + 1) * sizeof *p->map[k]);
        if (!p->map[k])
            return no_memory(p);
        for (uint32_t v = 0; v < n; v++)
            p->map[k][v] = AX_NONE;
    }
    return g->name && g->values && g->nodes && g->inputs && g->outputs &&
                   p->m->tensors
               ? AX_OK
               : no_memory(p);
}

/* ELEMENT is shifted for the second, or AX_NONE. */
static ax_status build(struct product *p, uint32_t element)
{
    uint32_t ends[2], out;

    AX_TRY(rooms(p));
    for (uint32_t i = 0; i < p->part[0]->graph->n_inputs; i++)
        AX_TRY(share_input(p, i));
    if (element != AX_NONE)
        AX_TRY(shift_element(p, element));
    for (int k = 0; k < 2; k++)
        AX_TRY(copy_part(p, k));
    AX_TRY(join_outputs(p, &ends[1], 0));
    AX_TRY(join_outputs(p, &ends[0], 1));
    AX_TRY(add_node(p, &out, AX_OP_Sub, "difference", ends, 2));
    p->m->graph->outputs[p->m->graph->n_outputs++] = out;
    AX_TRY(ax_graph_check(p->m->graph, p->m->n_tensors, p->err));
    AX_TRY(ax_model_infer(p->m, p->err));
    return ax_model_normalise(p->m, p->err);
}

static ax_status product(struct ax_model **out, const struct ax_model *a,
                         const struct ax_model *b, uint32_t element,
                         struct ax_err *err)
{
    struct product p = {.part = {a, b}, .shift = AX_NONE, .err = err};
    ax_status st = build(&p, element);

    free(p.map[0]);
    free(p.map[1]);
    if (st != AX_OK) {
        ax_model_free(p.m);
        p.m = NULL;
    }
    *out = p.m;
    return st;
}

/* The vectors of outputs must be of one length: one of a single element
 * would be stretched to the other's. */
static ax_status outputs_of(uint32_t *n, const struct ax_model *m,
                            struct ax_err *err)
{
    struct ax_net *net;

    AX_TRY(ax_net_lower(&net, m, err));
    *n = net->nodes[net->n_nodes - 1].n;
    ax_net_free(net);
    return AX_OK;
}

ax_status ax_model_difference(struct ax_model **out, const struct ax_model *a,
                              const struct ax_model *b, struct ax_err *err)
{
    uint32_t n, m;

    *out = NULL;
    AX_TRY(outputs_of(&n, a, err));
    AX_TRY(outputs_of(&m, b, err));
    if (n != m || a->graph->n_inputs != b->graph->n_inputs)
        return ax_fail(err, AX_ESHAPE,
                       "%u inputs and %u outputs, the other network has %u "
                       "and %u",
                       a->graph->n_inputs, n, b->graph->n_inputs, m);
    return product(out, a, b, AX_NONE, err);
}

ax_status ax_model_shifted(struct ax_model **out, const struct ax_model *m,
                           uint32_t input, struct ax_err *err)
{
    return product(out, m, m, input, err);
}
