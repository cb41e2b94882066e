/* tests/unit/build.h - small models by hand: call in_, flts, ints_, op_ in
 * order, then out_; all of it is static, one model at a time. */
#ifndef BUILD_H
#define BUILD_H

#include <stdarg.h>
#include <string.h>

#include "ax/model.h"

static struct ax_value build_values[128];
static struct ax_node build_nodes[64];
static struct ax_tensor build_tensors[64];
static struct ax_attr build_attrs[64][4];
static int64_t build_ints[64][16];
static uint32_t build_ends[2][8], build_in[64][9], build_out[64][4];
static char build_names[128][8];
static struct ax_graph build_graph;
static struct ax_model build_model;

static void build_new(void)
{
    memset(build_values, 0, sizeof build_values);
    memset(build_nodes, 0, sizeof build_nodes);
    memset(build_attrs, 0, sizeof build_attrs);
    build_graph = (struct ax_graph){.values = build_values,
                                    .nodes = build_nodes,
                                    .inputs = build_ends[0],
                                    .outputs = build_ends[1]};
    build_model = (struct ax_model){.graph = &build_graph,
                                    .tensors = build_tensors};
}

static uint32_t build_value(ax_dtype t, int rank, va_list *dims)
{
    uint32_t v = build_graph.n_values++;

    snprintf(build_names[v], sizeof build_names[v], "v%u", v);
    build_values[v] = (struct ax_value){
        .name = build_names[v], .dtype = t, .rank = rank, .tensor = AX_NONE};
    for (int i = 0; i < rank; i++)
        build_values[v].dims[i] = va_arg(*dims, int);
    return v;
}

/* An input: rank and dims. */
static inline uint32_t in_(int rank, ...)
{
    va_list ap;
    uint32_t v;

    va_start(ap, rank);
    v = build_value(AX_F32, rank, &ap);
    va_end(ap);
    build_ends[0][build_graph.n_inputs++] = v;
    return v;
}

static uint32_t build_tensor(uint32_t v, void *data, size_t size)
{
    uint32_t t = build_model.n_tensors++;
    struct ax_value *value = &build_values[v];

    value->tensor = t;
    build_tensors[t] = (struct ax_tensor){
        .dtype = value->dtype, .rank = value->rank, .data = data};
    memcpy(build_tensors[t].dims, value->dims, sizeof value->dims);
    build_tensors[t].nbytes = size;
    for (int i = 0; i < value->rank; i++)
        build_tensors[t].nbytes *= (size_t)value->dims[i];
    return v;
}

/* A float constant: data, rank, dims. */
static inline uint32_t flts(const float *data, int rank, ...)
{
    va_list ap;
    uint32_t v;

    va_start(ap, rank);
    v = build_value(AX_F32, rank, &ap);
    va_end(ap);
    return build_tensor(v, (void *)(uintptr_t)data, 4);
}

/* A vector of integers: count and values. */
static inline uint32_t ints_(int n, ...)
{
    int64_t *data = build_ints[build_model.n_tensors];
    uint32_t v = build_graph.n_values;
    va_list ap;

    va_start(ap, n);
    build_value(AX_I64, 0, NULL);
    build_values[v].rank = 1;
    build_values[v].dims[0] = n;
    for (int i = 0; i < n; i++)
        data[i] = va_arg(ap, int);
    va_end(ap);
    return build_tensor(v, data, 8);
}

/* An operator: its inputs. Returns its first output. */
static inline uint32_t op_(ax_op op, int n, ...)
{
    uint32_t k = build_graph.n_nodes++;
    struct ax_node *node = &build_nodes[k];
    va_list ap;

    va_start(ap, n);
    *node = (struct ax_node){.op = op,
                             .name = (char *)(uintptr_t) "n",
                             .n_in = (uint32_t)n,
                             .n_out = 1,
                             .in = build_in[k],
                             .out = build_out[k],
                             .attrs = build_attrs[k]};
    for (int i = 0; i < n; i++)
        node->in[i] = va_arg(ap, uint32_t);
    va_end(ap);
    return node->out[0] = build_value(AX_F32, 0, NULL);
}

/* One more output of the last operator. */
static inline uint32_t more(void)
{
    struct ax_node *node = &build_nodes[build_graph.n_nodes - 1];

    return node->out[node->n_out++] = build_value(AX_F32, 0, NULL);
}

static struct ax_attr *build_attr(const char *name, ax_attr_kind kind)
{
    struct ax_node *node = &build_nodes[build_graph.n_nodes - 1];
    struct ax_attr *a = &node->attrs[node->n_attrs++];

    *a = (struct ax_attr){.name = (char *)(uintptr_t)name, .kind = kind};
    return a;
}

/* Attributes of the last operator, in the order of their names. */
static inline void int_attr(const char *name, int v)
{
    build_attr(name, AX_ATTR_INT)->i = v;
}

static inline void float_attr(const char *name, float v)
{
    build_attr(name, AX_ATTR_FLOAT)->f = v;
}

static inline void string_attr(const char *name, const char *s)
{
    build_attr(name, AX_ATTR_STRING)->s = (char *)(uintptr_t)s;
}

static inline void ints_attr(const char *name, int n, ...)
{
    static int64_t room[64][8];
    static int used;
    struct ax_attr *a = build_attr(name, AX_ATTR_INTS);
    va_list ap;

    va_start(ap, n);
    a->n = (size_t)n;
    a->ints = room[used++ % 64];
    for (int i = 0; i < n; i++)
        a->ints[i] = va_arg(ap, int);
    va_end(ap);
}

static inline void out_(uint32_t v)
{
    build_ends[1][build_graph.n_outputs++] = v;
}

#endif
