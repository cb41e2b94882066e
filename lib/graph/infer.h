/* lib/graph/infer.h - what the rules of shape inference work with.
 *
 * A dimension, or an element of a small integer tensor, is k N^p: a number
 * if p is 0; N is the one free dimension of the graph's inputs, if they have
 * one. So Reshape can divide N x 3 x 32 x 32 by N. */
#ifndef GRAPH_INFER_H
#define GRAPH_INFER_H

#include <stdbool.h>

#include "ax/arena.h"
#include "ax/infer.h"

#define INFER_VALUES_MAX 1024 /* elements of a tensor worth following */

struct infer_dim {
    int64_t k;
    int p; /* below 0: not known */
};

/* What is known of a value. */
struct infer_fact {
    ax_dtype dtype; /* AX_DTYPE_NONE: not known */
    int rank;       /* -1: not known */
    struct infer_dim d[AX_RANK_MAX];
    uint32_t n_v;
    struct infer_dim *v; /* its elements, of rank 0 or 1, or NULL; in the
                            arena */
};

struct infer_name;

/* One graph under inference; those of its nodes see it by name. */
struct infer {
    const struct ax_model *m;
    struct ax_arena *arena;
    struct ax_graph *g;
    struct infer *outer;       /* the graph around this one, or NULL */
    struct infer_name *names;  /* [n_values], sorted, or NULL; in the arena */
    const char *free_name;     /* of the one free dimension, or NULL */
    struct infer_fact *facts;  /* [graph->n_values] */
    struct infer_fact nothing; /* stands for outputs that are absent */
    const struct ax_node *node;
};

static inline struct infer_dim infer_number(int64_t k)
{
    return (struct infer_dim){k, 0};
}

static inline struct infer_dim infer_unknown(void)
{
    return (struct infer_dim){-1, -1};
}

static inline bool infer_is(struct infer_dim a, int64_t k)
{
    return a.p == 0 && a.k == k;
}

static inline bool infer_same(struct infer_dim a, struct infer_dim b)
{
    return a.p >= 0 && a.p == b.p && a.k == b.k;
}

struct infer_dim infer_mul(struct infer_dim a, struct infer_dim b);
struct infer_dim infer_add(struct infer_dim a, struct infer_dim b);
/* Not known if b may be zero or does not divide a. */
struct infer_dim infer_div(struct infer_dim a, struct infer_dim b);

/* Input and output k of the node; an input that is absent is NULL. */
const struct infer_fact *infer_in(const struct infer *s, uint32_t k);
struct infer_fact *infer_out(struct infer *s, uint32_t k);

/* The elements of input k, n of them, if all are numbers. False if it is
 * absent or not known. *v is in the arena. */
ax_status infer_numbers(struct infer *s, uint32_t k, bool *known,
                        const int64_t **v, uint32_t *n, struct ax_err *err)
    AX_MUST_CHECK;

/* An axis counted from either end. */
ax_status infer_axis(int64_t *out, int64_t axis, int rank, struct ax_err *err)
    AX_MUST_CHECK;

/* Two shapes as one, after numpy. */
ax_status infer_broadcast(struct infer_fact *out, const struct infer_fact *a,
                          const struct infer_fact *b, struct ax_err *err)
    AX_MUST_CHECK;

/* Type and shape of the node's outputs, which are not known before. */
ax_status infer_shapes(struct infer *s, struct ax_err *err) AX_MUST_CHECK;

/* A rule of one operator; shapes.c has the table. */
typedef ax_status infer_rule(struct infer *s, struct ax_err *err);
/* Output 0 has type and shape of input 0. */
infer_rule infer_like;
infer_rule infer_conv, infer_global_pool, infer_pool;    /* windows.c */
infer_rule infer_reduce, infer_squeeze, infer_unsqueeze; /* axes.c */
infer_rule infer_concat, infer_flatten, infer_gather, infer_pad, /* move.c */
    infer_reshape, infer_slice, infer_split, infer_transpose;

infer_rule infer_arg, infer_conv_transpose,
    infer_depth_to_space, /* further.c */
    infer_gather_elements, infer_layer_norm, infer_resize, infer_tile;

infer_rule infer_if, infer_loop, infer_scan;     /* control.c */
infer_rule infer_gru, infer_lstm, infer_rnn;     /* recurrent.c */
infer_rule infer_conv_integer, infer_dequantize, /* quantised.c */
    infer_dynamic_quantize, infer_matmul_integer, infer_qlinear_conv,
    infer_qlinear_matmul, infer_quantize;
infer_rule infer_classifier, infer_features, infer_real_like, /* learned.c */
    infer_linear_regressor, infer_tree_regressor;

/* All facts of a sub-graph whose inputs are IN; OUT is new, in the arena.
 * AX_EFORMAT if it has other numbers of inputs and outputs. */
ax_status infer_body(struct infer *s, const char *attr,
                     const struct infer_fact *in, uint32_t n_in,
                     struct infer_fact **out, uint32_t n_out,
                     struct ax_err *err) AX_MUST_CHECK;

/* Add 1 to USES of each value of S that a sub-graph of its nodes names. */
ax_status infer_captured(struct infer *s, uint32_t *uses, struct ax_err *err)
    AX_MUST_CHECK;

/* The product of matrices, whatever their types; as numpy.matmul. */
ax_status infer_product_shape(struct infer_fact *out, struct infer_fact a,
                              struct infer_fact b, struct ax_err *err)
    AX_MUST_CHECK;
/* Convolution of input x by the weights of input w, with a bias or
 * AX_NONE. */
ax_status infer_convolution(struct infer *s, uint32_t x, uint32_t w,
                            uint32_t bias, struct ax_err *err) AX_MUST_CHECK;

/* What rules share. An output of so many dimensions is not supported. */
ax_status infer_too_many(int64_t rank, struct ax_err *err) AX_MUST_CHECK;
struct infer_dim infer_product(const struct infer_dim *d, int from, int to);
/* The length of a vector; -1 if it is not known, or x is no vector. */
int64_t infer_length(const struct infer_fact *x);

/* Elements of its first output, where shapes are known. AX_ENOMEM. */
ax_status infer_values(struct infer *s, struct ax_err *err) AX_MUST_CHECK;

/* All facts of a graph, as ax_model_infer. Free the arena afterwards. */
ax_status infer_graph(struct infer *s, struct ax_model *m, struct ax_err *err)
    AX_MUST_CHECK;

#endif
