/* ax/net.h - a network in the normal form of ax-cert(5), section NETWORK: a
 * chain of nodes, each with one variable for each element of what an operator
 * computes, and exact coefficients.
 *
 * Node 0 is the input vector (all graph inputs flattened, free dimensions 1).
 * The last node is the output vector. Weights are those of the model: there
 * is no composition of two operators, so nothing is rounded here. */
#ifndef AX_NET_H
#define AX_NET_H

#include "ax/model.h"
#include "ax/prop.h"

AX_BEGIN_API

enum ax_net_kind {
    AX_NET_INPUT,      /* node 0 */
    AX_NET_UNIT,       /* y_i = sum of +-v + b_i */
    AX_NET_WEIGHTED,   /* y_i = (sum of w v) / d_i + b_i */
    AX_NET_RELU,       /* y_i = max(0, v_i) */
    AX_NET_SIGMOID,    /* y_i = 1 / (1 + e^-v_i) */
    AX_NET_SINE,       /* y_i = (1 + sin v_i) / 2 */
    AX_NET_COSINE,     /* y_i = (1 + cos v_i) / 2 */
    AX_NET_ERF,        /* y_i = (1 + erf v_i) / 2 */
    AX_NET_GELU,       /* y_i = (1 + v_i (1 + erf(v_i / sqrt 2)) / 2) / 2 */
    AX_NET_HOLD,       /* y_i = v_i, with bounds of its own */
    AX_NET_PRODUCT,    /* y_i = v_i w_i, of hold or reciprocal nodes */
    AX_NET_RECIPROCAL, /* y_i = 1 / v_i, v_i of a hold node */
    AX_NET_EXP,        /* y_i = e^v_i, v_i of a hold node */
};

/* Relu, smooth, hold: does a box have bounds of each v_i? Those variables
 * are the neurons. */
bool ax_net_neurons(enum ax_net_kind k);
/* Sigmoid to gelu: functions between lines of one slope; they are nowhere
 * negative. */
bool ax_net_smooth(enum ax_net_kind k);
/* Product, reciprocal, exp: is it replaced by lines that a box's bounds give?
 */
bool ax_net_curved(enum ax_net_kind k);

enum ax_block_form {
    AX_BLOCK_SAME,   /* row i names variable i of the source, w = 1 */
    AX_BLOCK_SPARSE, /* by rows */
    AX_BLOCK_DENSE,  /* [n, n of the source]; weighted nodes only */
};

/* The terms of a node that name variables of one source. */
struct ax_block {
    uint32_t source; /* node, < k */
    enum ax_block_form form;
    /* Sparse: row i is [row_ptr[i], row_ptr[i+1]) of col, w and wq. In a
     * weighted node columns increase and no w is 0; in a unit node a column
     * may occur several times; a row of a node of neurons and of a reciprocal
     * has one term, in one of the blocks; a row of a product has two, the
     * first factors all of one node, the second, too. */
    uint64_t *row_ptr;
    uint32_t *col;
    double *w;   /* weighted: exact, m 2^e with |m| < 2^53; or NULL */
    int32_t *wq; /* W'; of unit nodes 1 or -1; NULL where 1: neurons, SAME */
};

/* m 2^e, m odd, or m = 0 and e = 0; |m| < 2^100. */
struct ax_dyadic {
    ax_i128 m;
    int e;
};

struct ax_net_node {
    enum ax_net_kind kind;
    uint32_t n;        /* variables */
    uint32_t n_blocks; /* sources, in increasing order */
    struct ax_block *blocks;
    double *div;            /* [n] d_i, weighted; NULL: all 1 */
    bool root;              /* it is the square root of d_i that divides */
    int scale;              /* s_k of a weighted node; K_k of a curved one */
    struct ax_dyadic *bias; /* [n] b_i; NULL: all zero */
    int b_scale;            /* sb_k */
    int32_t *bq;            /* [n] b'_i, or NULL as bias is */
    bool exact;             /* a unit node of a comparison */
    uint32_t roundings;     /* r_k of ax-cert(5), EXECUTIONS */
};

struct ax_net {
    uint32_t n_nodes;
    struct ax_net_node *nodes;
    char only_real[200]; /* why it has no certificate under ieee32, or "" */
    void *arena;
};

/* What a certificate speaks of, numbered as there. */
enum ax_semantics {
    AX_SEMANTICS_REAL = 1,   /* the function over the reals */
    AX_SEMANTICS_IEEE32 = 2, /* every execution in binary32 */
};

/* "real", "ieee32" */
const char *ax_semantics_name(enum ax_semantics s);

/* Lower a model's graph. AX_EUNSUPPORTED: an operator that
 * ax-cert(5) does not know, or a number outside of its ranges: one sentence
 * with node and operator.
 * Cost  linear in the terms: 12 bytes a dense one, 16 a sparse one. */
ax_status ax_net_lower(struct ax_net **out, const struct ax_model *m,
                       struct ax_err *err) AX_MUST_CHECK;
void ax_net_free(struct ax_net *net);

/* Is x (n_x floats) a counterexample, over the reals? Exact, in rationals
 * (GMP); in enclosing intervals for a network with other functions, and where
 * an input is fixed to a decimal. On AX_OK *group
 * and *conj name the first conjunction that it makes true, as written (< and
 * > strict). AX_NO: it is none, or it is too close to tell. AX_EFORMAT: a
 * number is not finite. */
ax_status ax_net_refutes(const struct ax_net *net, const struct ax_prop *p,
                         const float *x, uint32_t *group, uint32_t *conj,
                         struct ax_err *err) AX_MUST_CHECK;

/* The same if the network's outputs at x are y (n_y floats), as an execution
 * in binary32 has given them. An input that is fixed to what is no float32
 * has no execution: AX_NO. */
ax_status ax_net_unsafe(const struct ax_net *net, const struct ax_prop *p,
                        const float *x, const float *y, uint32_t *group,
                        uint32_t *conj, struct ax_err *err) AX_MUST_CHECK;

/* Outputs at x, each rounded to the nearest double, from the exact values,
 * or, for a network with other functions, a double in an enclosure of it;
 * y [outputs]. */
ax_status ax_net_exact(const struct ax_net *net, const float *x, double *y,
                       struct ax_err *err) AX_MUST_CHECK;

/* S of ax-cert(5): 1 / (1 + e^-x) at scale 28 for x at scale 28, off by at
 * most 2. */
#define AX_SIGMOID_ONE   ((int64_t)1 << 28)
#define AX_SIGMOID_ERROR 2
int64_t ax_sigmoid(int64_t x);

/* y of a smooth node at v = x 2^-28, |x| <= AX_SMOOTH_FAR (a sigmoid's: any),
 * at scale 28. Off by at most ax_smooth_error(). */
#define AX_SMOOTH_FAR ((int64_t)1 << 34)
int64_t ax_smooth(enum ax_net_kind k, int64_t x);
int64_t ax_smooth_error(enum ax_net_kind k);

/* E of ax-cert(5): e^x at scale 28 for x at scale 28, |x| <= AX_EXP_MOST. Off
 * by at most ax_exp_error(E). */
#define AX_EXP_MOST ((int64_t)1 << 33)
ax_i128 ax_exp(int64_t x);
ax_i128 ax_exp_error(ax_i128 e);

AX_END_API

#endif
