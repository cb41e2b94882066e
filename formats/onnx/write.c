/* A struct ax_model as an ONNX file, at opset 17, whose spelling the graph
 * has anyway, or another one from 13 on, or the first that has all its nodes.
 * The message points into the model, tensors are not copied, and it is packed
 * straight into the file.
 *
 * Everything that the message needs is taken from one pool, freed at once. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "formats/onnx/onnx.h"

#define OPSET     17
#define OPSET_MIN 13
#define OPSET_MAX 22 /* on request */

struct pool {
    void **p;
    size_t n, cap;
    bool full;               /* memory was out */
    int opset;               /* to write */
    Onnx__GraphProto *graph; /* being written; its initializers have room
                                for one a node */
};

/* n zeroed elements; NULL, once and for all, when memory is out. */
static void *take(struct pool *pool, size_t n, size_t size)
{
    void *p = NULL;

    if (pool->n == pool->cap) {
        size_t cap = pool->cap ? 2 * pool->cap : 256;
        void **more = realloc(pool->p, cap * sizeof *more);

        if (!more)
            pool->full = true;
        else
            pool->p = more, pool->cap = cap;
    }
    if (!pool->full)
        p = calloc(n ? n : 1, size);
    if (!p)
        pool->full = true;
    else
        pool->p[pool->n++] = p;
    return p;
}

static void pool_free(struct pool *pool)
{
    for (size_t i = 0; i < pool->n; i++)
        free(pool->p[i]);
    free(pool->p);
}

/* protobuf-c takes no const, and changes nothing when it packs. */
static ProtobufCBinaryData bytes(const void *data, size_t n)
{
    ProtobufCBinaryData b = {.len = n};

    memcpy(&b.data, &data, sizeof b.data);
    return b;
}

static ProtobufCBinaryData text(const char *s)
{
    return bytes(s, strlen(s));
}

/* n new messages of a type: a list of pointers, as protobuf-c has it. */
static void *messages(struct pool *pool, size_t n, size_t size,
                      void (*init)(void *))
{
    void **list = take(pool, n, sizeof *list);
    char *all = take(pool, n, size);

    for (size_t i = 0; list && all && i < n; i++) {
        list[i] = all + i * size;
        init(list[i]);
    }
    return all ? list : NULL;
}

#define INIT(type)                   \
    static void init_##type(void *p) \
    {                                \
        onnx__##type##__init(p);     \
    }
INIT(attribute_proto)
INIT(node_proto)
INIT(value_info_proto)
INIT(type_proto)
INIT(type_proto__tensor)
INIT(tensor_shape_proto)
INIT(tensor_shape_proto__dimension)
INIT(tensor_proto)
INIT(graph_proto)
INIT(string_string_entry_proto)
INIT(operator_set_id_proto)
#undef INIT

#define LIST(pool, n, Type, type) \
    ((Type **)messages(pool, n, sizeof(Type), init_##type))

/* ---- values ---- */

static Onnx__TensorShapeProto *shape_of(struct pool *pool,
                                        const struct ax_value *v)
{
    Onnx__TensorShapeProto **s = LIST(pool, 1, Onnx__TensorShapeProto,
                                      tensor_shape_proto);
    Onnx__TensorShapeProto__Dimension **dim = LIST(
        pool, (size_t)v->rank, Onnx__TensorShapeProto__Dimension,
        tensor_shape_proto__dimension);

    if (!s || !dim)
        return NULL;
    s[0]->n_dim = (size_t)v->rank;
    s[0]->dim = dim;
    for (int i = 0; i < v->rank; i++) {
        if (v->dims[i] >= 0) {
            dim[i]->value_case =
                ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            dim[i]->dim_value = v->dims[i];
        } else if (v->dim_names[i]) {
            dim[i]->value_case =
                ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
            dim[i]->dim_param = text(v->dim_names[i]);
        }
    }
    return s[0];
}

static void value_info(struct pool *pool, Onnx__ValueInfoProto *out,
                       const struct ax_value *v)
{
    Onnx__TypeProto **type = LIST(pool, 1, Onnx__TypeProto, type_proto);
    Onnx__TypeProto__Tensor **t = LIST(pool, 1, Onnx__TypeProto__Tensor,
                                       type_proto__tensor);

    out->has_name = 1;
    out->name = text(v->name);
    if (!type || !t || v->dtype == AX_DTYPE_NONE)
        return;
    out->type = type[0];
    type[0]->tensor_type = t[0];
    t[0]->has_elem_type = 1;
    t[0]->elem_type = (int32_t)v->dtype;
    if (v->rank >= 0)
        t[0]->shape = shape_of(pool, v);
}

static void ends(struct pool *pool, const struct ax_graph *g,
                 const uint32_t *at, uint32_t n, size_t *out_n,
                 Onnx__ValueInfoProto ***out)
{
    *out = LIST(pool, n, Onnx__ValueInfoProto, value_info_proto);
    for (uint32_t i = 0; *out && i < n; i++)
        value_info(pool, (*out)[i], &g->values[at[i]]);
    *out_n = *out ? n : 0;
}

static bool is_end(const struct ax_graph *g, uint32_t v)
{
    for (uint32_t i = 0; i < g->n_inputs; i++)
        if (g->inputs[i] == v)
            return true;
    for (uint32_t i = 0; i < g->n_outputs; i++)
        if (g->outputs[i] == v)
            return true;
    return false;
}

/* What is known of values between the nodes. */
static void between(struct pool *pool, const struct ax_graph *g,
                    Onnx__GraphProto *out)
{
    Onnx__ValueInfoProto **list = LIST(
        pool, g->n_values, Onnx__ValueInfoProto, value_info_proto);

    if (!list)
        return;
    out->value_info = list;
    for (uint32_t v = 0; v < g->n_values; v++)
        if (g->values[v].tensor == AX_NONE &&
            g->values[v].dtype != AX_DTYPE_NONE && !is_end(g, v))
            value_info(pool, list[out->n_value_info++], &g->values[v]);
}

/* ---- tensors ---- */

/* Several elements to a byte, the first in the lowest bits. */
static ProtobufCBinaryData packed(struct pool *pool,
                                  const struct ax_tensor *t)
{
    unsigned bits = onnx_bits(t->dtype), each = 8 / bits;
    size_t n = t->nbytes / each + (t->nbytes % each != 0);
    unsigned char *out = take(pool, n, 1);

    for (size_t i = 0; out && i < t->nbytes; i++) {
        unsigned x = ((const unsigned char *)t->data)[i] & ((1u << bits) - 1);

        out[i / each] |= (unsigned char)(x << bits * (i % each));
    }
    return bytes(out, out ? n : 0);
}

static void tensor(struct pool *pool, Onnx__TensorProto *out,
                   const char *name, const struct ax_tensor *t)
{
    out->n_dims = (size_t)t->rank;
    out->dims = take(pool, (size_t)t->rank, sizeof *out->dims);
    if (!out->dims)
        return;
    memcpy(out->dims, t->dims, (size_t)t->rank * sizeof *out->dims);
    out->has_data_type = 1;
    out->data_type = (int32_t)t->dtype;
    out->has_name = 1;
    out->name = text(name);
    out->has_raw_data = 1;
    out->raw_data = onnx_bits(t->dtype) == 8 ? bytes(t->data, t->nbytes)
                                             : packed(pool, t);
}

static void initializers(struct pool *pool, const struct ax_model *m,
                         const struct ax_graph *g, Onnx__GraphProto *out)
{
    Onnx__TensorProto **list = LIST(pool, (size_t)g->n_values + g->n_nodes,
                                    Onnx__TensorProto, tensor_proto);

    if (!list)
        return;
    out->initializer = list;
    for (uint32_t v = 0; v < g->n_values; v++)
        if (g->values[v].tensor != AX_NONE)
            tensor(pool, list[out->n_initializer++], g->values[v].name,
                   &m->tensors[g->values[v].tensor]);
}

/* ---- nodes ---- */

static void strings(struct pool *pool, const struct ax_attr *a,
                    Onnx__AttributeProto *out)
{
    out->strings = take(pool, a->n, sizeof *out->strings);
    for (size_t i = 0; out->strings && i < a->n; i++)
        out->strings[out->n_strings++] = text(a->strings[i]);
}

/* protobuf-c wants arrays that it could change; it does not. */
static void *array(const void *p)
{
    void *q;

    memcpy(&q, &p, sizeof q);
    return q;
}

static ax_status subgraph(struct pool *pool, const struct ax_model *m,
                          const struct ax_graph *g, ProtobufCBinaryData *out,
                          struct ax_err *err);

static ax_status attribute(struct pool *pool, const struct ax_model *m,
                           const struct ax_attr *a, Onnx__AttributeProto *out,
                           struct ax_err *err)
{
    static const Onnx__AttributeProto__AttributeType types[] = {
        [AX_ATTR_INT] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT,
        [AX_ATTR_FLOAT] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT,
        [AX_ATTR_STRING] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING,
        [AX_ATTR_INTS] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS,
        [AX_ATTR_FLOATS] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS,
        [AX_ATTR_STRINGS] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS,
        [AX_ATTR_GRAPH] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH,
    };

    out->has_name = 1;
    out->name = text(a->name);
    out->has_type = 1;
    out->type = types[a->kind];
    switch (a->kind) {
    case AX_ATTR_INT:
        out->has_i = 1;
        out->i = a->i;
        return AX_OK;
    case AX_ATTR_FLOAT:
        out->has_f = 1;
        out->f = a->f;
        return AX_OK;
    case AX_ATTR_STRING:
        out->has_s = 1;
        out->s = text(a->s);
        return AX_OK;
    case AX_ATTR_INTS:
        out->n_ints = a->n;
        out->ints = array(a->ints);
        return AX_OK;
    case AX_ATTR_FLOATS:
        out->n_floats = a->n;
        out->floats = array(a->floats);
        return AX_OK;
    case AX_ATTR_STRINGS:
        strings(pool, a, out);
        return AX_OK;
    default:
        out->has_g = 1;
        return subgraph(pool, m, a->graph, &out->g, err);
    }
}

static ProtobufCBinaryData *names(struct pool *pool, const struct ax_graph *g,
                                  const uint32_t *at, uint32_t n)
{
    ProtobufCBinaryData *list = take(pool, n, sizeof *list);

    for (uint32_t i = 0; list && i < n; i++)
        list[i] = text(at[i] == AX_NONE ? "" : g->values[at[i]].name);
    return list;
}

static bool is_name(const struct ax_graph *g, const char *s)
{
    for (uint32_t v = 0; v < g->n_values; v++)
        if (strcmp(g->values[v].name, s) == 0)
            return true;
    return false;
}

/* Axes that are an attribute here are input 1 from opset 18 on. */
static void axes_input(struct pool *pool, const struct ax_graph *g,
                       const struct ax_node *n, const struct ax_attr *a,
                       Onnx__NodeProto *out)
{
    const char *base = g->values[n->out[0]].name;
    size_t room = strlen(base) + sizeof ".axes";
    ProtobufCBinaryData *in = take(pool, 2, sizeof *in);
    char *name = take(pool, room + g->n_values, 1);
    struct ax_tensor t = {.dtype = AX_I64, .rank = 1, .data = a->ints};

    if (!in || !name || !pool->graph->initializer)
        return;
    memcpy(name, base, strlen(base));
    memcpy(name + strlen(base), ".axes", sizeof ".axes");
    for (size_t k = room - 1; is_name(g, name); k++)
        name[k] = '_';
    t.dims[0] = (int64_t)a->n;
    t.nbytes = a->n * sizeof *a->ints;
    tensor(pool, pool->graph->initializer[pool->graph->n_initializer++], name,
           &t);
    in[0] = text(g->values[n->in[0]].name);
    in[1] = text(name);
    out->input = in;
    out->n_input = 2;
}

static bool is_input_now(const struct pool *pool, const struct ax_node *n,
                         const struct ax_attr *a)
{
    ProtobufCBinaryData name = text(a->name);

    return strcmp(a->name, "axes") == 0 && n->n_in == 1 &&
           onnx_attr_rule(n->op, &name, OPSET) &&
           !onnx_attr_rule(n->op, &name, pool->opset);
}

static ax_status node(struct pool *pool, const struct ax_model *m,
                      const struct ax_graph *g, const struct ax_node *n,
                      Onnx__NodeProto *out, struct ax_err *err)
{
    const char *op = ax_op_name(n->op), *dot = strrchr(op, '.');

    out->has_op_type = 1;
    out->op_type = text(dot ? dot + 1 : op);
    out->has_domain = dot != NULL;
    if (dot)
        out->domain = bytes(op, (size_t)(dot - op));
    out->has_name = n->name[0] != '\0';
    out->name = text(n->name);
    out->input = names(pool, g, n->in, n->n_in);
    out->n_input = out->input ? n->n_in : 0;
    out->output = names(pool, g, n->out, n->n_out);
    out->n_output = out->output ? n->n_out : 0;
    out->attribute = LIST(pool, n->n_attrs, Onnx__AttributeProto,
                          attribute_proto);
    for (uint32_t i = 0; out->attribute && i < n->n_attrs; i++)
        if (is_input_now(pool, n, &n->attrs[i]))
            axes_input(pool, g, n, &n->attrs[i], out);
        else
            AX_TRY(attribute(pool, m, &n->attrs[i],
                             out->attribute[out->n_attribute++], err));
    return AX_OK;
}

static ax_status graph(struct pool *pool, const struct ax_model *m,
                       const struct ax_graph *g, Onnx__GraphProto *out,
                       struct ax_err *err)
{
    Onnx__GraphProto *outer = pool->graph;

    out->has_name = 1;
    out->name = text(g->name && g->name[0] ? g->name : "ax");
    ends(pool, g, g->inputs, g->n_inputs, &out->n_input, &out->input);
    ends(pool, g, g->outputs, g->n_outputs, &out->n_output, &out->output);
    between(pool, g, out);
    pool->graph = out;
    initializers(pool, m, g, out);
    out->node = LIST(pool, g->n_nodes, Onnx__NodeProto, node_proto);
    for (uint32_t i = 0; out->node && i < g->n_nodes; i++) {
        out->n_node++;
        if (node(pool, m, g, &g->nodes[i], out->node[i], err) != AX_OK)
            return ax_fail_in(err, "node %u (%s '%s')", i,
                              ax_op_name(g->nodes[i].op), g->nodes[i].name);
    }
    pool->graph = outer;
    return AX_OK;
}

/* A graph inside is bytes of its own: see onnx.proto. */
static ax_status subgraph(struct pool *pool, const struct ax_model *m,
                          const struct ax_graph *g, ProtobufCBinaryData *out,
                          struct ax_err *err)
{
    Onnx__GraphProto **p = LIST(pool, 1, Onnx__GraphProto, graph_proto);

    if (!p)
        return AX_OK; /* the pool is full, which is said at the end */
    AX_TRY(graph(pool, m, g, p[0], err));
    if (pool->full)
        return AX_OK;
    out->len = onnx__graph_proto__get_packed_size(p[0]);
    out->data = take(pool, out->len, 1);
    if (out->data)
        onnx__graph_proto__pack(p[0], out->data);
    else
        out->len = 0;
    return AX_OK;
}

/* ---- the model ---- */

/* Which domains, as bits, the operators are of. */
static unsigned domains(const struct ax_graph *g)
{
    unsigned found = 1u << ONNX_STANDARD;

    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const struct ax_node *n = &g->nodes[i];
        const char *op = ax_op_name(n->op), *dot = strrchr(op, '.');
        ProtobufCBinaryData name = bytes(op, dot ? (size_t)(dot - op) : 0);

        found |= 1u << onnx_domain_of(&name);
        for (uint32_t k = 0; k < n->n_attrs; k++)
            if (n->attrs[k].kind == AX_ATTR_GRAPH)
                found |= domains(n->attrs[k].graph);
    }
    return found;
}

/* The version of the file format that came with an opset. */
static int ir_version(int opset)
{
    static const int first[] = {15, 19, 21, 23, 24, 25}; /* of 8 to 13 */
    int v = 7;

    while (v < 13 && opset >= first[v - 7])
        v++;
    return v;
}

/* The first opset that has this element type. */
static int type_since(ax_dtype t)
{
    static const unsigned char first[] = {
        [AX_F8_E4M3FN] = 19,   [AX_F8_E4M3FNUZ] = 19, [AX_F8_E5M2] = 19,
        [AX_F8_E5M2FNUZ] = 19, [AX_U4] = 21,          [AX_I4] = 21,
        [AX_F4_E2M1] = 23,     [AX_F8_E8M0] = 24,     [AX_U2] = 25,
        [AX_I2] = 25,
    };

    return (size_t)t < sizeof first ? first[t] : 0;
}

static ax_status raise_to_types(int *opset, const struct ax_graph *g,
                                int wanted, struct ax_err *err)
{
    for (uint32_t i = 0; i < g->n_values; i++) {
        int first = type_since(g->values[i].dtype);

        if (first > *opset && wanted)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "value '%.200s' of type %s needs operator set %d",
                           g->values[i].name,
                           ax_dtype_name(g->values[i].dtype), first);
        *opset = first > *opset ? first : *opset;
    }
    return AX_OK;
}

/* Raise *opset to the first one that has all nodes, which must be the one
 * that is WANTED if that is not 0. */
static ax_status raise_opset(int *opset, const struct ax_graph *g, int wanted,
                             struct ax_err *err)
{
    AX_TRY(raise_to_types(opset, g, wanted, err));
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const struct ax_node *n = &g->nodes[i];
        int first = onnx_node_since(n);

        if (first > *opset && wanted)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "node %u (%s '%s') needs operator set %d", i,
                           ax_op_name(n->op), n->name, first);
        *opset = first > *opset ? first : *opset;
        for (uint32_t k = 0; k < n->n_attrs; k++)
            if (n->attrs[k].kind == AX_ATTR_GRAPH)
                AX_TRY(raise_opset(opset, n->attrs[k].graph, wanted, err));
    }
    return AX_OK;
}

/* The opset to write; WANTED is 0 for the usual one. */
static ax_status choose(int *out, const struct ax_graph *g, int wanted,
                        struct ax_err *err)
{
    *out = wanted ? wanted : OPSET;
    if (*out < OPSET_MIN || *out > OPSET_MAX)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "operator set %d cannot be written, only %d to %d",
                       wanted, OPSET_MIN, OPSET_MAX);
    return raise_opset(out, g, wanted, err);
}

static void head(struct pool *pool, const struct ax_model *m,
                 Onnx__ModelProto *out)
{
    unsigned found = domains(m->graph);

    out->has_ir_version = 1;
    out->ir_version = ir_version(pool->opset);
    out->has_producer_name = 1;
    out->producer_name = text("ax");
    out->opset_import = LIST(pool, ONNX_DOMAINS, Onnx__OperatorSetIdProto,
                             operator_set_id_proto);
    out->metadata_props = LIST(pool, m->n_meta, Onnx__StringStringEntryProto,
                               string_string_entry_proto);
    if (!out->opset_import || !out->metadata_props)
        return;
    for (int d = 0; d < ONNX_DOMAINS; d++) {
        Onnx__OperatorSetIdProto *set;

        if (!(found & 1u << d))
            continue;
        set = out->opset_import[out->n_opset_import++];
        set->has_domain = set->has_version = 1;
        set->domain = text(onnx_domains[d].name);
        set->version = onnx_domains[d].written ? onnx_domains[d].written
                                               : pool->opset;
    }
    for (uint32_t i = 0; i < m->n_meta; i++) {
        Onnx__StringStringEntryProto *e =
            out->metadata_props[out->n_metadata_props++];

        e->has_key = e->has_value = 1;
        e->key = text(m->meta[i].key);
        e->value = text(m->meta[i].value);
    }
}

/* protobuf-c's way of writing piece by piece. */
struct to_file {
    ProtobufCBuffer base;
    FILE *f;
    bool failed;
};

static void append(ProtobufCBuffer *base, size_t n, const uint8_t *data)
{
    struct to_file *to = (struct to_file *)base;

    if (!to->failed && n && fwrite(data, 1, n, to->f) != n)
        to->failed = true;
}

ax_status onnx_write(FILE *f, struct ax_model *m,
                     const struct ax_format_options *opt, struct ax_err *err)
{
    Onnx__ModelProto model;
    struct pool pool = {0};
    struct to_file to = {{append}, f, false};
    Onnx__GraphProto **g;
    ax_status st = ax_model_normalise(m, err);

    if (st == AX_OK)
        st = choose(&pool.opset, m->graph, opt ? opt->opset : 0, err);
    if (st != AX_OK)
        return st;
    onnx__model_proto__init(&model);
    head(&pool, m, &model);
    g = LIST(&pool, 1, Onnx__GraphProto, graph_proto);
    if (g) {
        model.graph = g[0];
        st = graph(&pool, m, m->graph, g[0], err);
    }
    if (st == AX_OK && pool.full)
        st = ax_fail(err, AX_ENOMEM, "no memory for the message");
    if (st == AX_OK)
        onnx__model_proto__pack_to_buffer(&model, &to.base);
    if (st == AX_OK && to.failed)
        st = ax_fail(err, AX_EIO, "%s", strerror(errno));
    pool_free(&pool);
    return st;
}
