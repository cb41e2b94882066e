/* ax/graph.h - the graph of a model: values, and the operators between them.
 *
 * The vocabulary is that of ONNX at opset 17, in one normal form (table
 * lib/graph/op.def): what ONNX spells in several ways (an attribute in one
 * opset, an input in another) has one spelling here, the importer brings it
 * about, and the exporter writes opset 17, or another, from it. What came
 * later keeps its later spelling (Gelu of opset 20). Names of values and
 * nodes are kept, so that export and import again give the same identity.
 *
 * A graph owns its strings and arrays. Constants are values whose `tensor`
 * names an entry of the model's tensor table. Nodes are in topological
 * order. Sub-graphs (If, Loop, Scan) see the values of the graphs around
 * them by name, as in ONNX. */
#ifndef AX_GRAPH_H
#define AX_GRAPH_H

#include <stdint.h>

#include "ax/err.h"
#include "ax/tensor.h"

AX_BEGIN_API

#define AX_NONE      UINT32_MAX /* an absent optional input or output */
#define AX_GRAPH_MAX (1u << 24) /* values, and nodes, in one graph */
#define AX_DEPTH_MAX 64         /* nested sub-graphs, nested messages */

/* The operators, one row each in lib/graph/op.def. */
typedef enum ax_op {
    AX_OP_NONE = 0,
#define AX_OP_ROW(id, name, min_in, max_in, min_out, max_out) AX_OP_##id,
#include "ax/op.def"
#undef AX_OP_ROW
    AX_OP_COUNT
} ax_op;

/* Name as in the container ("Conv", "ai.onnx.ml.LinearClassifier"). */
const char *ax_op_name(ax_op op);
ax_op ax_op_by_name(const char *name); /* AX_OP_NONE if there is none */

typedef enum ax_attr_kind {
    AX_ATTR_INT = 1,
    AX_ATTR_FLOAT,
    AX_ATTR_STRING,
    AX_ATTR_INTS,
    AX_ATTR_FLOATS,
    AX_ATTR_STRINGS,
    AX_ATTR_GRAPH,
} ax_attr_kind;

struct ax_attr {
    char *name;
    ax_attr_kind kind;
    int64_t i;
    float f;
    char *s;  /* STRING: NUL-terminated, no NUL inside */
    size_t n; /* INTS, FLOATS, STRINGS */
    int64_t *ints;
    float *floats;
    char **strings;
    struct ax_graph *graph; /* GRAPH */
};

struct ax_value {
    char *name;                /* unique in its graph, never empty */
    ax_dtype dtype;            /* AX_DTYPE_NONE: not a tensor, or not known */
    int rank;                  /* -1: not known */
    int64_t dims[AX_RANK_MAX]; /* -1: free */
    char *dim_names[AX_RANK_MAX]; /* of free dims, or NULL */
    uint32_t tensor; /* index in the model's tensor table, or AX_NONE */
};

struct ax_node {
    ax_op op;
    char *name; /* may be empty */
    uint32_t n_in, n_out;
    uint32_t *in, *out; /* value indexes, or AX_NONE */
    uint32_t n_attrs;
    struct ax_attr *attrs; /* sorted by name, each name once; an attribute
                              that has its default value is left out */
};

struct ax_graph {
    char *name;
    uint32_t n_values, n_nodes, n_inputs, n_outputs;
    struct ax_value *values;
    struct ax_node *nodes;
    uint32_t *inputs, *outputs; /* value indexes */
};

void ax_graph_free(struct ax_graph *g); /* NULL is harmless */

/* NULL when the node does not have it. */
const struct ax_attr *ax_node_attr(const struct ax_node *n, const char *name);
int64_t ax_node_int(const struct ax_node *n, const char *name, int64_t dflt);
float ax_node_float(const struct ax_node *n, const char *name, float dflt);
const char *ax_node_string(const struct ax_node *n, const char *name,
                           const char *dflt);

/* Check what every reader must check: indexes in range, names unique, nodes
 * in topological order, each value made once, arities as in the table.
 * n_tensors is the size of the model's tensor table. AX_EFORMAT. */
ax_status ax_graph_check(const struct ax_graph *g, uint32_t n_tensors,
                         struct ax_err *err) AX_MUST_CHECK;

AX_END_API

#endif
