/* formats/onnx/onnx.h - what the files that read ONNX share.
 *
 * read.c unpacks the bytes and builds values, inputs and outputs; tensor.c
 * decodes tensors; node.c brings each node into the normal form of
 * ax/graph.h by the table in attr.c and special.c; settle.c does what needs
 * shapes. */
#ifndef FORMATS_ONNX_H
#define FORMATS_ONNX_H

#include <stdbool.h>

#include "ax/format.h"
#include "formats/onnx/onnx.pb-c.h"

/* Operator sets whose operators we know how to bring into normal form. */
#define ONNX_OPSET_MIN 1 /* few operators; most are read from 6 on */
#define ONNX_OPSET_MAX 28

/* The domains of operators that we know, the standard one first. */
enum onnx_domain {
    ONNX_STANDARD,
    ONNX_ML,
    ONNX_PREVIEW,
    ONNX_TRAINING,
    ONNX_DOMAINS,
};
struct onnx_domain_info {
    const char *name;
    int min, max; /* operator sets that we read */
    int written;  /* the one that we write; 0: it depends */
};
extern const struct onnx_domain_info onnx_domains[ONNX_DOMAINS];

/* ONNX_DOMAINS if it is none of these. */
enum onnx_domain onnx_domain_of(const ProtobufCBinaryData *name);

/* A message names the nodes on the way only so far down. */
#define ONNX_DEPTH_NAMED 4

/* The attribute of a Softmax as it was before opset 13, until shapes are
 * known; no file can have it, for no rule knows the name. */
#define ONNX_AXIS_OLD "axis before opset 13"

/* A graph under construction. Values 0 to n_names - 1 of the graph are all
 * names that the file mentions, sorted; made-up constants follow. */
struct onnx_reader {
    const struct ax_format_options *opt;
    ProtobufCAllocator *allocator;
    int opset;                       /* of the standard domain; 0: none */
    int opsets[ONNX_DOMAINS];        /* of all; 0: not imported */
    int depth;                       /* 1: the model's graph */
    const struct onnx_reader *outer; /* of the graph around it, or NULL */
    struct ax_model *m;
    uint32_t *cap_tensors; /* allocated, the array zeroed; all graphs' */
    struct ax_graph *g;
    uint32_t n_names;
    uint32_t cap_values; /* allocated, the array zeroed */
    bool *used; /* [n_names] some node or output may read the value */
};

/* A new string: the text of a bytes field. AX_EFORMAT if it has a zero byte,
 * AX_ENOMEM. */
ax_status onnx_text(char **out, const ProtobufCBinaryData *b,
                    struct ax_err *err) AX_MUST_CHECK;

/* The text of a bytes field for a message; cut, and not for comparing. */
struct onnx_shown {
    char s[80];
};
struct onnx_shown onnx_show(const ProtobufCBinaryData *b);

/* Is the field this text? */
bool onnx_is(const ProtobufCBinaryData *b, const char *text);

/* Bits that an element takes in a file: 8 also for all that take more. */
unsigned onnx_bits(ax_dtype t);

/* Decode a tensor; *out is new and owned. Large data of the message are
 * freed as soon as they were copied. FOLDER is where external data lie, or
 * NULL. AX_EFORMAT, AX_EUNSUPPORTED, AX_ENOINPUT, AX_EIO, AX_ENOMEM. */
ax_status onnx_tensor(struct ax_tensor *out, Onnx__TensorProto *p,
                      const char *folder, struct ax_err *err) AX_MUST_CHECK;

/* The value of this name, AX_NONE for the empty name; all names are there.
 * Cost  a binary search. */
uint32_t onnx_value(const struct onnx_reader *r,
                    const ProtobufCBinaryData *name);

/* Give value V, which has none, a tensor. Takes T, also on failure. */
ax_status onnx_set_tensor(struct onnx_reader *r, uint32_t v,
                          struct ax_tensor *t, struct ax_err *err)
    AX_MUST_CHECK;

/* A new constant for a node whose first output is BASE, named "BASE.WHAT",
 * or longer if that is taken. Takes T, also on failure. */
ax_status onnx_new_constant(struct onnx_reader *r, uint32_t *v, uint32_t base,
                            const char *what, struct ax_tensor *t,
                            struct ax_err *err) AX_MUST_CHECK;

/* The same without a tensor: what a made-up node makes. */
ax_status onnx_new_value(struct onnx_reader *r, uint32_t *v, uint32_t base,
                         const char *what, struct ax_err *err) AX_MUST_CHECK;

/* Bring the second operand of the last node, read from P before opset 7, to
 * where it lies now; the array has room for one more node. AX_EUNSUPPORTED
 * when that depends on ranks that are not known. */
ax_status onnx_align(struct onnx_reader *r, const Onnx__NodeProto *p,
                     struct ax_err *err) AX_MUST_CHECK;

#define KIND(name) ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__##name

/* *(void **)out = a new copy of n elements. */
ax_status onnx_copy_array(void *out, const void *from, size_t n, size_t size,
                          struct ax_err *err) AX_MUST_CHECK;
/* Input k becomes v; AX_EFORMAT if it is there already. */
ax_status onnx_set_input(struct ax_node *n, uint32_t k, uint32_t v,
                         struct ax_err *err) AX_MUST_CHECK;

/* special.c. A Constant is no node here, but a tensor. Any other operator
 * gets what the table cannot give it. */
ax_status onnx_constant(struct onnx_reader *r, Onnx__NodeProto *p,
                        struct ax_err *err) AX_MUST_CHECK;
ax_status onnx_special(struct onnx_reader *r, struct ax_node *n,
                       Onnx__NodeProto *p, struct ax_err *err) AX_MUST_CHECK;

/* Read node P to the end of the graph's nodes; a Constant becomes a tensor
 * instead. The array has room. */
ax_status onnx_node(struct onnx_reader *r, Onnx__NodeProto *p,
                    struct ax_err *err) AX_MUST_CHECK;

/* The graph of an attribute, whose bytes are freed; *out is new, also when
 * this fails. */
ax_status onnx_subgraph(struct ax_graph **out, const struct onnx_reader *r,
                        Onnx__AttributeProto *p, struct ax_err *err)
    AX_MUST_CHECK;

/* Add metadata. Takes VALUE, also on failure; NULL is no memory. */
ax_status onnx_add_meta(struct ax_model *m, const char *key, char *value,
                        struct ax_err *err) AX_MUST_CHECK;

/* Put nodes into topological order; nodes that are in it already stay where
 * they are. AX_EFORMAT for a cycle, AX_ENOMEM. */
ax_status onnx_sort(const struct onnx_reader *r, Onnx__NodeProto **node,
                    size_t n, struct ax_err *err) AX_MUST_CHECK;

/* What to do with an attribute that the file gives. */
enum onnx_action {
    ONNX_KEEP,   /* keep it, unless it is the default */
    ONNX_INPUT,  /* it is an input in later opsets */
    ONNX_ONLY,   /* only the default is allowed; leave it out */
    ONNX_DROP,   /* it has no meaning outside training */
    ONNX_REFUSE, /* we know it, and do not support it */
};

/* One row per attribute of an operator: attr.c. */
struct onnx_attr_rule {
    ax_op op;
    const char *name;
    ax_attr_kind kind;
    enum onnx_action action;
    int from, to;     /* opsets that have it; to is 0: still there */
    bool has_default; /* of ints: each element; see also text */
    double number;
    const char *text;
    unsigned input; /* of ONNX_INPUT: which one it becomes */
    bool required;
};

/* Do we know what this operator means in this opset? */
bool onnx_reads(ax_op op, int opset);

/* NULL if there is none. */
const struct onnx_attr_rule *
onnx_attr_rule(ax_op op, const ProtobufCBinaryData *name, int opset);
/* The first attribute that this operator must have and *n does not, or
 * NULL. */
const char *onnx_attr_missing(const Onnx__NodeProto *p, ax_op op, int opset);

/* The first opset that has this node, its sub-graphs not counted. */
int onnx_node_since(const struct ax_node *n);

/* The writer, as in ax/format.h: write.c. */
ax_status onnx_write(FILE *f, struct ax_model *m,
                     const struct ax_format_options *opt, struct ax_err *err)
    AX_MUST_CHECK;

/* After shapes are known: what is left of old spellings. */
ax_status onnx_settle(struct ax_graph *g, struct ax_err *err) AX_MUST_CHECK;

#endif
