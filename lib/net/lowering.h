/* What lowering keeps of a value of the graph: an array of elements, each a
 * constant or a variable of a node. Internal to lib/net.
 *
 * Variables of all nodes are numbered through: variable j of node k is
 * number first[k] + j. */
#ifndef NET_LOWERING_H
#define NET_LOWERING_H

#include "ax/arena.h"
#include "ax/net.h"

#define NO_VARIABLE UINT32_MAX
#define MAX_ELEMENT ((uint64_t)1 << 26) /* of one value */
#define MAX_BYTES   ((uint64_t)4 << 30) /* for all of it */
#define MAX_TERMS   ((uint64_t)1 << 27) /* of one node */

/* Element i is a variable, var[i] or run + i, if there is one; if not, it is
 * the constant value[i] or single[i]. */
struct array {
    bool made; /* there is something here */
    int rank;
    int64_t dims[AX_RANK_MAX];
    size_t n;
    uint32_t run;        /* NO_VARIABLE: none */
    uint32_t *var;       /* or NULL */
    const float *single; /* borrowed from the model */
    double *value;
};

struct term {
    uint32_t var;
    double w;
};

struct lowering {
    const struct ax_model *model;
    const struct ax_node *node; /* at hand, for messages; or NULL */
    struct ax_net *net;
    struct ax_arena *tmp;
    uint64_t bytes;  /* handed out so far, by net_alloc and net_keep */
    uint32_t *first; /* [nodes made + 1] */
    uint32_t n_made; /* nodes of the network so far */
    uint32_t node_room;
    struct array *arrays; /* [values] */
    /* The node in the making, nodes[n_made]: its terms, row by row. */
    struct term *terms;
    size_t n_terms, room;
    uint64_t *row_end; /* [n] */
    uint32_t row;
    uint64_t *count; /* [nodes] of its terms; zero between nodes */
    struct ax_err *err;
};

static inline uint32_t array_var(const struct array *a, size_t i)
{
    if (a->var)
        return a->var[i];
    return a->run == NO_VARIABLE ? NO_VARIABLE : a->run + (uint32_t)i;
}

/* All of it? */
static inline bool array_constant(const struct array *a)
{
    return !a->var && a->run == NO_VARIABLE;
}

static inline double array_value(const struct array *a, size_t i)
{
    return a->value ? a->value[i] : (double)a->single[i];
}

/* lower.c. "node 'NAME' (OPERATOR): ..." */
ax_status net_refuse(struct lowering *l, const char *fmt, ...)
    AX_PRINTF(2, 3);
ax_status net_no_memory(struct lowering *l);
/* Memory that lives as long as the lowering; NULL when out. */
void *net_alloc(struct lowering *l, size_t n, size_t size);
/* Zeroed memory that lives as long as the network. */
void *net_keep(struct lowering *l, size_t n, size_t size);
/* Input i of the node at hand; NULL if it is left out. */
const struct array *net_input(struct lowering *l, uint32_t i);
/* Its integers, if it is a constant: at most max, refused if not so. */
ax_status net_ints(struct lowering *l, uint32_t i, int64_t *out, size_t max,
                   size_t *n) AX_MUST_CHECK;
/* Set shape and count of out, the rest to none; refused beyond
 * MAX_ELEMENT. */
ax_status net_shape(struct lowering *l, struct array *out, int rank,
                    const int64_t *dims) AX_MUST_CHECK;

/* One operator each; *out is what its first output is (Split: all). */
typedef ax_status net_operator(struct lowering *l, struct array *out);
/* moves.c */
net_operator net_concat, net_flatten, net_gather, net_pad, net_reshape,
    net_same, net_slice, net_split, net_squeeze, net_transpose, net_unsqueeze;
net_operator net_resize; /* resize.c */
/* Strides of a row-major shape. */
void net_strides(int64_t *out, const struct array *a);
/* Marks axes given as integers; false if one is out of range or twice. */
bool net_mark_axes(bool *marked, const int64_t *axes, size_t n, int rank);
/* out = in with another shape of as many elements. */
ax_status net_reshaped(struct lowering *l, struct array *out,
                       const struct array *in, int rank, const int64_t *dims)
    AX_MUST_CHECK;
/* out = in, repeated along dimensions of 1 and in front. */
ax_status net_broadcast(struct lowering *l, struct array *out,
                        const struct array *in, int rank, const int64_t *dims)
    AX_MUST_CHECK;
/* All arrays, one after the other. */
ax_status net_joined(struct lowering *l, struct array *out,
                     const struct array *in, uint32_t n) AX_MUST_CHECK;
/* elementwise.c, products.c and windows.c: these make a node; piecewise.c and
 * net_max_pool: several. */
net_operator net_add, net_sub, net_neg, net_relu, net_mul, net_div;
net_operator net_sigmoid, net_tanh, net_sin, net_cos, net_erf, net_gelu;
net_operator net_pow, net_exp, net_softmax;
net_operator net_batch_norm, net_shape_of, net_constant_of_shape;
net_operator net_abs, net_clip, net_leaky_relu, net_max, net_min, net_prelu;
net_operator net_max_pool, net_global_max_pool;
net_operator net_matmul, net_gemm;
net_operator net_conv, net_conv_transpose, net_average_pool;
net_operator net_global_average_pool, net_reduce;

/* out = a wa + b wb, of one shape, as a node of that kind. */
ax_status net_combine(struct lowering *l, enum ax_net_kind kind,
                      struct array *out, const struct array *a, double wa,
                      const struct array *b, double wb) AX_MUST_CHECK;
/* out = a function of each element of in, a node of neurons. */
/* e^-x at scale 60, for 0 <= x < 2^33 at scale 28: off by 2^-45 of it at
 * most, and by 40 units. */
ax_i128 net_decay(int64_t x);

ax_status net_apply(struct lowering *l, enum ax_net_kind kind,
                    struct array *out, const struct array *in) AX_MUST_CHECK;
/* curves.c. out = a b, of one shape, no element a constant; out = 1 / a. */
ax_status net_times(struct lowering *l, struct array *out,
                    const struct array *a, const struct array *b)
    AX_MUST_CHECK;
ax_status net_reciprocal(struct lowering *l, struct array *out,
                         const struct array *a) AX_MUST_CHECK;
static inline ax_status net_rectify(struct lowering *l, struct array *out,
                                    const struct array *in)
{
    return net_apply(l, AX_NET_RELU, out, in);
}
/* Both in the shape to which they broadcast. */
ax_status net_alike(struct lowering *l, struct array *a, struct array *b,
                    const struct array *x, const struct array *y)
    AX_MUST_CHECK;
/* out, whose shape is set: elements at[out->n] of in. */
ax_status net_picked(struct lowering *l, struct array *out,
                     const struct array *in, const uint64_t *at)
    AX_MUST_CHECK;

/* build.c. Begin the network's next node, of the shape that out has; then
 * for each row its divisor, if DIVIDES, its terms, what is added, and its
 * end; at last out becomes its variables. */
/* Room for so many nodes in all. */
ax_status net_room(struct lowering *l, uint32_t n) AX_MUST_CHECK;
ax_status net_begin(struct lowering *l, enum ax_net_kind kind,
                    const struct array *out, bool divides) AX_MUST_CHECK;
ax_status net_divide(struct lowering *l, double d) AX_MUST_CHECK;
/* w times element i of a; a constant element goes to the bias. */
ax_status net_term(struct lowering *l, const struct array *a, size_t i,
                   double w) AX_MUST_CHECK;
/* What the operator adds: v times w. */
ax_status net_bias(struct lowering *l, double v, double w) AX_MUST_CHECK;
static inline void net_row(struct lowering *l)
{
    l->row_end[l->row++] = l->n_terms;
}
ax_status net_end(struct lowering *l, struct array *out) AX_MUST_CHECK;

/* exact.c. Is x in the box of a conjunction, as written? */
bool net_inside(const struct ax_conj *c, const float *x, uint32_t n);
ax_status net_check_finite(const float *x, uint32_t n, struct ax_err *err)
    AX_MUST_CHECK;

/* enclose.c. As ax_net_refutes and ax_net_exact, for networks with functions
 * that have no exact values, and for inputs that are decimals: only for
 * conjunctions that fix some, if ONLY_FIXED. */
bool net_irrational(const struct ax_net *net);
ax_status net_enclosed_refutes(const struct ax_net *net,
                               const struct ax_prop *p, bool only_fixed,
                               const float *x, uint32_t *group,
                               uint32_t *conj, struct ax_err *err)
    AX_MUST_CHECK;
ax_status net_enclosed(const struct ax_net *net, const float *x, double *y,
                       struct ax_err *err) AX_MUST_CHECK;

/* quantise.c */
ax_status net_quantise(struct lowering *l) AX_MUST_CHECK;

/* roundings.c. The network has no certificate under ieee32: why, with the
 * node at hand; the first reason stays. */
void net_only_real(struct lowering *l, const char *fmt, ...) AX_PRINTF(2, 3);
/* Fill in the roundings of all nodes. */
ax_status net_roundings(struct lowering *l) AX_MUST_CHECK;
/* What was made last does no more than compare. */
static inline void net_exact_node(struct lowering *l)
{
    l->net->nodes[l->n_made - 1].exact = true;
}

/* dyadic.c. Exact or false. */
bool dyadic_from(struct ax_dyadic *out, double v);
bool dyadic_add(struct ax_dyadic *out, struct ax_dyadic a,
                struct ax_dyadic b);
bool dyadic_mul(struct ax_dyadic *out, struct ax_dyadic a,
                struct ax_dyadic b);
bool dyadic_div(struct ax_dyadic *out, struct ax_dyadic a,
                struct ax_dyadic b);
/* The number of bits of |m|. */
int dyadic_bits(ax_i128 m);

#endif
