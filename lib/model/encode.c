/* From a model to the bytes of its header. The message borrows from the
 * model; its own small structs lie in an arena. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ax/arena.h"
#include "lib/model/axm.pb-c.h"
#include "model/internal.h"

static ax_status no_memory(struct ax_err *err)
{
    return ax_fail(err, AX_ENOMEM, "no memory for the header");
}

/* A string field; an absent one is empty. The messages are only read. */
static char *text(char *s)
{
    static char empty[1];

    return s ? s : empty;
}

/* N structs of TYPE, started with INIT, and the array of pointers to them
 * that protobuf-c wants; leaves the function if there is no memory. */
#define NEW_ARRAY(arena, ptrs, structs, n, init, err)                     \
    do {                                                                  \
        (structs) = ax_arena_zalloc(arena, (size_t)(n) + 1,               \
                                    sizeof *(structs));                   \
        (ptrs) = ax_arena_zalloc(arena, (size_t)(n) + 1, sizeof *(ptrs)); \
        if (!(structs) || !(ptrs))                                        \
            return no_memory(err);                                        \
        for (size_t i_ = 0; i_ < (n); i_++) {                             \
            init(&(structs)[i_]);                                         \
            (ptrs)[i_] = &(structs)[i_];                                  \
        }                                                                 \
    } while (0)

static ax_status put_graph(struct ax_arena *a, Ax__V1__Graph **out,
                           const struct ax_graph *g, struct ax_err *err);

static ax_status put_value(struct ax_arena *a, Ax__V1__Value *out,
                           struct ax_value *v, struct ax_err *err)
{
    bool named = false;

    if (strlen(v->name) > AXM_NAME_MAX)
        return ax_fail(err, AX_EFORMAT,
                       "the name of a value has %zu bytes, "
                       "at most %u are allowed",
                       strlen(v->name), AXM_NAME_MAX);
    out->name = v->name;
    out->dtype = (uint32_t)v->dtype;
    out->rank_plus_1 = (uint32_t)(v->rank + 1);
    out->tensor_plus_1 = v->tensor + 1; /* AX_NONE becomes 0 */
    if (v->rank <= 0)
        return AX_OK;
    out->n_dims = (size_t)v->rank;
    out->dims = v->dims;
    for (int i = 0; i < v->rank; i++)
        named = named || (v->dim_names[i] && v->dim_names[i][0]);
    if (!named)
        return AX_OK;
    out->n_dim_names = out->n_dims;
    out->dim_names = ax_arena_zalloc(a, out->n_dims, sizeof *out->dim_names);
    if (!out->dim_names)
        return no_memory(err);
    for (int i = 0; i < v->rank; i++)
        out->dim_names[i] = text(v->dim_names[i]);
    return AX_OK;
}

static void put_bytes(ProtobufCBinaryData *out, char *s)
{
    out->data = (uint8_t *)s;
    out->len = strlen(s);
}

static ax_status put_attr(struct ax_arena *a, Ax__V1__Attr *out,
                          const struct ax_attr *in, struct ax_err *err)
{
    out->name = in->name;
    out->kind = (uint32_t)in->kind;
    switch (in->kind) {
    case AX_ATTR_INT:
        out->i = in->i;
        break;
    case AX_ATTR_FLOAT:
        memcpy(&out->f, &in->f, sizeof out->f);
        break;
    case AX_ATTR_STRING:
        put_bytes(&out->s, in->s);
        break;
    case AX_ATTR_INTS:
        out->n_ints = in->n;
        out->ints = in->ints;
        break;
    case AX_ATTR_FLOATS:
        out->n_floats = in->n;
        out->floats = ax_arena_zalloc(a, in->n + 1, sizeof *out->floats);
        if (!out->floats)
            return no_memory(err);
        if (in->n)
            memcpy(out->floats, in->floats, in->n * sizeof *out->floats);
        break;
    case AX_ATTR_STRINGS:
        out->n_strings = in->n;
        out->strings = ax_arena_zalloc(a, in->n + 1, sizeof *out->strings);
        if (!out->strings)
            return no_memory(err);
        for (size_t i = 0; i < in->n; i++)
            put_bytes(&out->strings[i], in->strings[i]);
        break;
    case AX_ATTR_GRAPH:
        return put_graph(a, &out->graph, in->graph, err);
    }
    return AX_OK;
}

static uint32_t *plus_1(struct ax_arena *a, const uint32_t *index, size_t n)
{
    uint32_t *out = ax_arena_zalloc(a, n + 1, sizeof *out);

    for (size_t i = 0; out && i < n; i++)
        out[i] = index[i] + 1; /* AX_NONE becomes 0, absent */
    return out;
}

static char *op_text(ax_op op)
{
    union {
        const char *in;
        char *out;
    } name = {ax_op_name(op)};

    return name.out;
}

static ax_status put_node(struct ax_arena *a, Ax__V1__Node *out,
                          const struct ax_node *in, struct ax_err *err)
{
    Ax__V1__Attr *attrs;

    out->op = op_text(in->op);
    out->name = text(in->name);
    out->n_inputs_plus_1 = in->n_in;
    out->inputs_plus_1 = plus_1(a, in->in, in->n_in);
    out->n_outputs_plus_1 = in->n_out;
    out->outputs_plus_1 = plus_1(a, in->out, in->n_out);
    if (!out->inputs_plus_1 || !out->outputs_plus_1)
        return no_memory(err);
    NEW_ARRAY(a, out->attrs, attrs, in->n_attrs, ax__v1__attr__init, err);
    out->n_attrs = in->n_attrs;
    for (uint32_t i = 0; i < in->n_attrs; i++)
        AX_TRY(put_attr(a, &attrs[i], &in->attrs[i], err));
    return AX_OK;
}

static ax_status put_graph(struct ax_arena *a, Ax__V1__Graph **out,
                           const struct ax_graph *g, struct ax_err *err)
{
    Ax__V1__Graph *pb = ax_arena_zalloc(a, 1, sizeof *pb);
    Ax__V1__Value *values;
    Ax__V1__Node *nodes;

    if (!pb)
        return no_memory(err);
    ax__v1__graph__init(pb);
    pb->name = text(g->name);
    pb->n_inputs = g->n_inputs;
    pb->inputs = g->inputs;
    pb->n_outputs = g->n_outputs;
    pb->outputs = g->outputs;
    NEW_ARRAY(a, pb->values, values, g->n_values, ax__v1__value__init, err);
    pb->n_values = g->n_values;
    for (uint32_t i = 0; i < g->n_values; i++)
        AX_TRY(put_value(a, &values[i], &g->values[i], err));
    NEW_ARRAY(a, pb->nodes, nodes, g->n_nodes, ax__v1__node__init, err);
    pb->n_nodes = g->n_nodes;
    for (uint32_t i = 0; i < g->n_nodes; i++)
        AX_TRY(put_node(a, &nodes[i], &g->nodes[i], err));
    *out = pb;
    return AX_OK;
}

static ax_status put_tensors(struct ax_arena *a, Ax__V1__Model *pb,
                             const struct ax_model *m, struct ax_err *err)
{
    Ax__V1__Tensor *tensors;
    uint64_t start = 0;

    NEW_ARRAY(a, pb->tensors, tensors, m->n_tensors, ax__v1__tensor__init,
              err);
    pb->n_tensors = m->n_tensors;
    for (uint32_t i = 0; i < m->n_tensors; i++) {
        const struct ax_tensor *t = &m->tensors[i];

        tensors[i].dtype = (uint32_t)t->dtype;
        tensors[i].offset = start;
        tensors[i].length = t->nbytes;
        tensors[i].dims = ax_arena_zalloc(a, AX_RANK_MAX,
                                          sizeof *tensors[i].dims);
        if (!tensors[i].dims)
            return no_memory(err);
        tensors[i].n_dims = (size_t)t->rank;
        for (int d = 0; d < t->rank; d++)
            tensors[i].dims[d] = (uint64_t)t->dims[d];
        if (t->nbytes > AXM_STREAM_MAX - start)
            return ax_fail(err, AX_EFORMAT, "tensors end after 2^48 bytes");
        start = axm_next_tensor(t, start);
    }
    return AX_OK;
}

static ax_status put_meta(struct ax_arena *a, Ax__V1__Model *pb,
                          const struct ax_model *m, struct ax_err *err)
{
    Ax__V1__Meta *meta;

    NEW_ARRAY(a, pb->meta, meta, m->n_meta, ax__v1__meta__init, err);
    pb->n_meta = m->n_meta;
    for (uint32_t i = 0; i < m->n_meta; i++) {
        meta[i].key = m->meta[i].key;
        meta[i].value = m->meta[i].value;
    }
    return AX_OK;
}

/* The prefix, the message, and zeros up to the tensor region. */
static ax_status pack(struct axm_buf *out, const Ax__V1__Model *pb,
                      struct ax_err *err)
{
    size_t n = ax__v1__model__get_packed_size(pb);
    size_t region = (size_t)axm_aligned(16 + n);

    if (n > AXM_HEADER_MAX)
        return ax_fail(err, AX_EFORMAT,
                       "the header has %zu bytes, at most %u are allowed", n,
                       AXM_HEADER_MAX);
    AX_TRY(axm_buf_room(out, region, err));
    memset(out->data, 0, region);
    axm_put32(out->data, AXM_MAGIC);
    axm_put64(out->data + 8, n);
    ax__v1__model__pack(pb, out->data + 16);
    out->n = region;
    return axm_check_header(out->data + 16, n, err);
}

ax_status axm_encode(struct axm_buf *out, const struct ax_model *m,
                     struct ax_err *err)
{
    struct ax_arena *a = ax_arena_new();
    Ax__V1__Model pb;
    ax_status st;

    if (!a)
        return no_memory(err);
    ax__v1__model__init(&pb);
    pb.version = 1;
    st = put_graph(a, &pb.graph, m->graph, err);
    if (st == AX_OK)
        st = put_tensors(a, &pb, m, err);
    if (st == AX_OK)
        st = put_meta(a, &pb, m, err);
    if (st == AX_OK)
        st = pack(out, &pb, err);
    ax_arena_free(a);
    return st;
}
