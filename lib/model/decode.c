/* From the bytes of a header to a model whose tensors have no data yet.
 * The bytes are hostile; whatever is not the one spelling of what it says
 * is refused, because the identity is taken of these bytes. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/model/axm.pb-c.h"
#include "model/internal.h"

static ax_status no_memory(size_t n, const char *what, struct ax_err *err)
{
    return ax_fail(err, AX_ENOMEM, "no memory for %zu %s", n, what);
}

static ax_status copy_string(char **out, const char *s, struct ax_err *err)
{
    *out = strdup(s);
    return *out ? AX_OK : no_memory(strlen(s), "bytes", err);
}

/* The text of a bytes field. */
static ax_status copy_bytes(char **out, const ProtobufCBinaryData *b,
                            struct ax_err *err)
{
    if (b->len && memchr(b->data, 0, b->len))
        return ax_fail(err, AX_EFORMAT, "a string contains a zero byte");
    *out = malloc(b->len + 1);
    if (!*out)
        return no_memory(b->len, "bytes", err);
    if (b->len)
        memcpy(*out, b->data, b->len);
    (*out)[b->len] = '\0';
    return AX_OK;
}

static ax_status copy_array(void *out, const void *from, size_t n,
                            size_t size, struct ax_err *err)
{
    void *p = malloc(n ? n * size : 1);

    if (!p)
        return no_memory(n, "numbers", err);
    if (n)
        memcpy(p, from, n * size);
    memcpy(out, &p, sizeof p);
    return AX_OK;
}

/* Indexes as stored, one more than they are. */
static ax_status copy_indexes(uint32_t **out, const uint32_t *from, size_t n,
                              struct ax_err *err)
{
    AX_TRY(copy_array(out, from, n, sizeof **out, err));
    for (size_t i = 0; i < n; i++)
        (*out)[i]--; /* 0, absent, becomes AX_NONE */
    return AX_OK;
}

static ax_status value_dims(struct ax_value *out, const Ax__V1__Value *in,
                            struct ax_err *err)
{
    bool named = in->n_dim_names == 0;

    if (in->rank_plus_1 > AX_RANK_MAX + 1)
        return ax_fail(err, AX_EFORMAT,
                       "has %" PRIu32 " dimensions, at most "
                       "%d are allowed",
                       in->rank_plus_1 - 1, AX_RANK_MAX);
    out->rank = (int)in->rank_plus_1 - 1;
    if (in->n_dims != (out->rank > 0 ? (size_t)out->rank : 0))
        return ax_fail(err, AX_EFORMAT, "rank %d, but %zu dimensions",
                       out->rank, in->n_dims);
    if (in->n_dim_names && in->n_dim_names != in->n_dims)
        return ax_fail(err, AX_EFORMAT,
                       "%zu dimensions have %zu names, wants as many or none",
                       in->n_dims, in->n_dim_names);
    for (size_t i = 0; i < in->n_dims; i++)
        out->dims[i] = in->dims[i];
    for (size_t i = 0; i < in->n_dim_names; i++)
        if (in->dim_names[i][0]) {
            AX_TRY(copy_string(&out->dim_names[i], in->dim_names[i], err));
            named = true;
        }
    return named ? AX_OK
                 : ax_fail(err, AX_EFORMAT,
                           "all names of dimensions are "
                           "empty");
}

static ax_status get_value(struct ax_value *out, const Ax__V1__Value *in,
                           struct ax_err *err)
{
    if (strlen(in->name) > AXM_NAME_MAX)
        return ax_fail(err, AX_EFORMAT,
                       "name has %zu bytes, at most %u are "
                       "allowed",
                       strlen(in->name), AXM_NAME_MAX);
    AX_TRY(copy_string(&out->name, in->name, err));
    out->tensor = in->tensor_plus_1 - 1;
    out->dtype = (ax_dtype)in->dtype;
    if (in->dtype > INT32_MAX ||
        (in->dtype && !ax_dtype_size((ax_dtype)in->dtype)))
        return ax_fail(err, AX_EFORMAT, "no element type has number %" PRIu32,
                       in->dtype);
    return value_dims(out, in, err);
}

static ax_status get_graph(struct ax_graph **out, const Ax__V1__Graph *in,
                           struct ax_err *err);

/* Fields of other kinds than the attribute's own must be absent. */
static bool only_kind(const Ax__V1__Attr *a)
{
    return (a->kind == AX_ATTR_INT || a->i == 0) &&
           (a->kind == AX_ATTR_FLOAT || a->f == 0) &&
           (a->kind == AX_ATTR_STRING || a->s.len == 0) &&
           (a->kind == AX_ATTR_INTS || a->n_ints == 0) &&
           (a->kind == AX_ATTR_FLOATS || a->n_floats == 0) &&
           (a->kind == AX_ATTR_STRINGS || a->n_strings == 0) &&
           (a->kind == AX_ATTR_GRAPH) == (a->graph != NULL);
}

static ax_status get_strings(struct ax_attr *out, const Ax__V1__Attr *in,
                             struct ax_err *err)
{
    out->strings = calloc(in->n_strings + 1, sizeof *out->strings);
    if (!out->strings)
        return no_memory(in->n_strings, "strings", err);
    out->n = in->n_strings;
    for (size_t i = 0; i < out->n; i++)
        AX_TRY(copy_bytes(&out->strings[i], &in->strings[i], err));
    return AX_OK;
}

static ax_status get_attr(struct ax_attr *out, const Ax__V1__Attr *in,
                          struct ax_err *err)
{
    AX_TRY(copy_string(&out->name, in->name, err));
    if (in->kind < AX_ATTR_INT || in->kind > AX_ATTR_GRAPH)
        return ax_fail(err, AX_EFORMAT, "unknown kind %" PRIu32, in->kind);
    if (!only_kind(in))
        return ax_fail(err, AX_EFORMAT,
                       "a value of another kind than %" PRIu32, in->kind);
    out->kind = (ax_attr_kind)in->kind;
    switch (out->kind) {
    case AX_ATTR_INT:
        out->i = in->i;
        return AX_OK;
    case AX_ATTR_FLOAT:
        memcpy(&out->f, &in->f, sizeof out->f);
        return AX_OK;
    case AX_ATTR_STRING:
        return copy_bytes(&out->s, &in->s, err);
    case AX_ATTR_INTS:
        out->n = in->n_ints;
        return copy_array(&out->ints, in->ints, out->n, sizeof *out->ints,
                          err);
    case AX_ATTR_FLOATS:
        out->n = in->n_floats;
        return copy_array(&out->floats, in->floats, out->n,
                          sizeof *out->floats, err);
    case AX_ATTR_STRINGS:
        return get_strings(out, in, err);
    case AX_ATTR_GRAPH:
        return get_graph(&out->graph, in->graph, err);
    }
    return AX_OK;
}

static ax_status get_node(struct ax_node *out, const Ax__V1__Node *in,
                          struct ax_err *err)
{
    AX_TRY(copy_string(&out->name, in->name, err));
    out->op = ax_op_by_name(in->op);
    if (out->op == AX_OP_NONE)
        return ax_fail(err, AX_EUNSUPPORTED, "unknown operator '%s'", in->op);
    AX_TRY(
        copy_indexes(&out->in, in->inputs_plus_1, in->n_inputs_plus_1, err));
    out->n_in = (uint32_t)in->n_inputs_plus_1;
    AX_TRY(copy_indexes(&out->out, in->outputs_plus_1, in->n_outputs_plus_1,
                        err));
    out->n_out = (uint32_t)in->n_outputs_plus_1;
    out->attrs = calloc(in->n_attrs + 1, sizeof *out->attrs);
    if (!out->attrs)
        return no_memory(in->n_attrs, "attributes", err);
    out->n_attrs = (uint32_t)in->n_attrs;
    for (uint32_t i = 0; i < out->n_attrs; i++)
        if (get_attr(&out->attrs[i], in->attrs[i], err) != AX_OK)
            return ax_fail_in(err, "attribute %" PRIu32, i);
    return AX_OK;
}

/* Values and nodes; g owns what is there when this fails. */
static ax_status fill_graph(struct ax_graph *g, const Ax__V1__Graph *in,
                            struct ax_err *err)
{
    AX_TRY(copy_string(&g->name, in->name, err));
    AX_TRY(copy_array(&g->inputs, in->inputs, in->n_inputs, sizeof *g->inputs,
                      err));
    g->n_inputs = (uint32_t)in->n_inputs;
    AX_TRY(copy_array(&g->outputs, in->outputs, in->n_outputs,
                      sizeof *g->outputs, err));
    g->n_outputs = (uint32_t)in->n_outputs;
    g->values = calloc(in->n_values + 1, sizeof *g->values);
    g->nodes = calloc(in->n_nodes + 1, sizeof *g->nodes);
    if (!g->values || !g->nodes)
        return no_memory(in->n_values + in->n_nodes, "values and nodes", err);
    g->n_values = (uint32_t)in->n_values;
    g->n_nodes = (uint32_t)in->n_nodes;
    for (uint32_t i = 0; i < g->n_values; i++)
        if (get_value(&g->values[i], in->values[i], err) != AX_OK)
            return ax_fail_in(err, "value %" PRIu32, i);
    for (uint32_t i = 0; i < g->n_nodes; i++)
        if (get_node(&g->nodes[i], in->nodes[i], err) != AX_OK)
            return ax_fail_in(err, "node %" PRIu32, i);
    return AX_OK;
}

static ax_status get_graph(struct ax_graph **out, const Ax__V1__Graph *in,
                           struct ax_err *err)
{
    if (in->n_values > AX_GRAPH_MAX || in->n_nodes > AX_GRAPH_MAX)
        return ax_fail(err, AX_EFORMAT,
                       "graph has more than %u values or nodes",
                       AX_GRAPH_MAX);
    *out = calloc(1, sizeof **out);
    return *out ? fill_graph(*out, in, err) : no_memory(1, "graph", err);
}

/* Type, shape, and the place that follows from the tensors before it. */
static ax_status get_tensor(struct ax_tensor *out, const Ax__V1__Tensor *in,
                            uint64_t start, struct ax_err *err)
{
    size_t n, size = in->dtype <= INT32_MAX
                         ? ax_dtype_size((ax_dtype)in->dtype)
                         : 0;

    if (!size)
        return ax_fail(err, AX_EFORMAT, "no element type has number %" PRIu32,
                       in->dtype);
    if ((ax_dtype)in->dtype == AX_STRING)
        return ax_fail(err, AX_EFORMAT,
                       "has strings, which no tensor of a "
                       "container has");
    if (in->n_dims > AX_RANK_MAX)
        return ax_fail(err, AX_EFORMAT,
                       "has %zu dimensions, at most %d are allowed",
                       in->n_dims, AX_RANK_MAX);
    out->dtype = (ax_dtype)in->dtype;
    out->rank = (int)in->n_dims;
    for (size_t i = 0; i < in->n_dims; i++) {
        if (in->dims[i] > INT64_MAX)
            return ax_fail(err, AX_EFORMAT, "dimension %zu is %" PRIu64, i,
                           in->dims[i]);
        out->dims[i] = (int64_t)in->dims[i];
    }
    if (ax_shape_count(&n, out->rank, out->dims, size, err) != AX_OK)
        return ax_fail(err, AX_EFORMAT, "has too many elements");
    out->nbytes = n * size;
    if (in->length != out->nbytes)
        return ax_fail(err, AX_EFORMAT,
                       "has %" PRIu64 " bytes, its shape "
                       "wants %zu",
                       in->length, out->nbytes);
    if (in->offset != start)
        return ax_fail(err, AX_EFORMAT,
                       "starts at %" PRIu64 ", wants %" PRIu64, in->offset,
                       start);
    if (out->nbytes > AXM_STREAM_MAX - start)
        return ax_fail(err, AX_EFORMAT, "ends after 2^48 bytes");
    return AX_OK;
}

static ax_status get_tensors(struct ax_model *m, const Ax__V1__Model *in,
                             struct ax_err *err)
{
    uint64_t start = 0;

    m->tensors = calloc(in->n_tensors + 1, sizeof *m->tensors);
    if (!m->tensors)
        return no_memory(in->n_tensors, "tensors", err);
    m->n_tensors = (uint32_t)in->n_tensors;
    for (uint32_t i = 0; i < m->n_tensors; i++) {
        if (get_tensor(&m->tensors[i], in->tensors[i], start, err) != AX_OK)
            return ax_fail_in(err, "tensor %" PRIu32, i);
        start = axm_next_tensor(&m->tensors[i], start);
    }
    return AX_OK;
}

static ax_status get_meta(struct ax_model *m, const Ax__V1__Model *in,
                          struct ax_err *err)
{
    m->meta = calloc(in->n_meta + 1, sizeof *m->meta);
    if (!m->meta)
        return no_memory(in->n_meta, "metadata", err);
    m->n_meta = (uint32_t)in->n_meta;
    for (uint32_t i = 0; i < m->n_meta; i++) {
        AX_TRY(copy_string(&m->meta[i].key, in->meta[i]->key, err));
        AX_TRY(copy_string(&m->meta[i].value, in->meta[i]->value, err));
    }
    return AX_OK;
}

static ax_status get_model(struct ax_model *m, const Ax__V1__Model *in,
                           struct ax_err *err)
{
    if (in->version != 1)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "version %" PRIu32 ", this reader knows 1",
                       in->version);
    if (!in->graph)
        return ax_fail(err, AX_EFORMAT, "there is no graph");
    AX_TRY(get_tensors(m, in, err));
    AX_TRY(get_meta(m, in, err));
    AX_TRY(get_graph(&m->graph, in->graph, err));
    AX_TRY(ax_graph_check(m->graph, m->n_tensors, err));
    return axm_check_normal(m, err);
}

/* Packing the message again gives the canonical bytes: compare with them
 * instead of storing them. */
struct compare {
    ProtobufCBuffer base;
    const uint8_t *p;
    size_t left;
    bool differs;
};

static void compare_append(ProtobufCBuffer *base, size_t n,
                           const uint8_t *data)
{
    struct compare *c = (struct compare *)base;

    if (c->differs || n > c->left || (n && memcmp(c->p, data, n) != 0)) {
        c->differs = true;
        return;
    }
    c->p += n;
    c->left -= n;
}

static ax_status check_packed(const Ax__V1__Model *pb, const uint8_t *data,
                              size_t n, struct ax_err *err)
{
    struct compare c = {{compare_append}, data, n, false};

    if (ax__v1__model__get_packed_size(pb) == n)
        ax__v1__model__pack_to_buffer(pb, &c.base);
    if (c.left || c.differs)
        return ax_fail(err, AX_EFORMAT,
                       "header, byte %zu: not in canonical form",
                       (size_t)(c.p - data));
    return AX_OK;
}

/* protobuf-c gives NULL for no memory too: this allocator remembers. */
static void *pb_alloc(void *failed, size_t n)
{
    void *p = malloc(n);

    if (!p)
        *(bool *)failed = true;
    return p;
}

static void pb_free(void *failed, void *p)
{
    (void)failed;
    free(p);
}

ax_status axm_decode(struct ax_model **out, const uint8_t *data, size_t n,
                     struct ax_err *err)
{
    bool failed = false;
    ProtobufCAllocator allocator = {pb_alloc, pb_free, &failed};
    Ax__V1__Model *pb;
    ax_status st;

    *out = NULL;
    AX_TRY(axm_check_header(data, n, err));
    pb = ax__v1__model__unpack(&allocator, n, data);
    if (!pb && failed)
        return no_memory(n, "bytes of header", err);
    if (!pb)
        return ax_fail(err, AX_EFORMAT,
                       "header is no message of type ax.v1.Model");
    st = check_packed(pb, data, n, err);
    if (st != AX_OK)
        goto out;
    *out = calloc(1, sizeof **out);
    st = *out ? get_model(*out, pb, err) : no_memory(1, "model", err);
    if (st != AX_OK) {
        ax_fail_in(err, "header");
        ax_model_free(*out);
        *out = NULL;
    }
out:
    ax__v1__model__free_unpacked(pb, &allocator);
    return st;
}
