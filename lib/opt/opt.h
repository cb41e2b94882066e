/* lib/opt/opt.h - what the passes share: facts about the values of a graph,
 * and the ways to change it. */
#ifndef OPT_OPT_H
#define OPT_OPT_H

#include "ax/opt.h"

/* What is known of a value, whatever a file claims of it. */
struct opt_fact {
    ax_dtype dtype;
    int rank; /* -1: not known */
    int64_t dims[AX_RANK_MAX];
    bool pinned;    /* an output of the graph, or seen by a sub-graph */
    bool given;     /* an input of the graph */
    uint32_t uses;  /* by nodes of this graph */
    uint32_t maker; /* node, or AX_NONE */
    uint32_t alias; /* what stands for it from here on, or AX_NONE */
};

struct opt {
    struct ax_model *m;
    struct ax_graph *g;
    struct opt_fact *facts; /* [g->n_values] */
    uint32_t changes;       /* of this pass */
    /* Nodes that opt_insert made lie behind all others until opt_settle:
     * before[k] is the node that the k-th of them belongs in front of. */
    uint32_t *before, n_inserted, room_inserted;
    /* Names of values, hashed: slots[h] is one more than its index, 0 for
     * none. The first n_named values are in it. */
    uint32_t *slots, n_slots, n_named;
};

/* What o has of its own. */
void opt_free(struct opt *o);

/* One pass over the graph; it adds to o->changes. Nodes that it dropped have
 * the operator AX_OP_NONE. Uses and makers are counted before each pass, and
 * kept by the calls below. */
typedef ax_status opt_pass(struct opt *o, struct ax_err *err);

opt_pass opt_constants, opt_identities, opt_bias, opt_fold_norm,
    opt_split_norm, opt_dead;

/* -- asking -- */

/* The constant that input K of a node is, or NULL. */
const struct ax_tensor *opt_constant(const struct opt *o,
                                     const struct ax_node *n, uint32_t k);
/* What is known of input K; NULL if it is absent. */
const struct opt_fact *opt_in(const struct opt *o, const struct ax_node *n,
                              uint32_t k);
/* Does the node have no output but the first? */
bool opt_one_output(const struct ax_node *n);
/* The node that makes input K of n for n alone, with one output and one of
 * two operators, or NULL. */
struct ax_node *opt_sole_maker(const struct opt *o, const struct ax_node *n,
                               uint32_t k, ax_op a, ax_op b);

/* The constant T, broadcast to RANK dimensions, one number for each of the
 * N places along dimension AXIS and equal along the others? Then write them.
 */
bool opt_along(double *out, const struct ax_tensor *t, int rank, int axis,
               size_t n);

/* -- changing -- */

/* Forget a node and what it uses. */
void opt_drop(struct opt *o, struct ax_node *n);
/* Let input K of n be value v; K may be the next one after the last. */
ax_status opt_set_in(struct opt *o, struct ax_node *n, uint32_t k, uint32_t v,
                     struct ax_err *err);
/* Let NODE make value v instead of what it makes. */
void opt_set_out(struct opt *o, struct ax_node *n, uint32_t v);
/* Remove an attribute, if the node has it. */
void opt_drop_attr(struct ax_node *n, const char *name);
/* A new value, called after v; *out is its index. It moves the arrays. */
ax_status opt_value(uint32_t *out, struct opt *o, uint32_t v,
                    const char *suffix, struct ax_err *err);
/* A new constant of the model, called after v; *t is taken also on failure.
 */
ax_status opt_add_constant(uint32_t *out, struct opt *o, uint32_t v,
                           const char *suffix, struct ax_tensor *t,
                           struct ax_err *err);
/* Make value v a constant; *t is taken also on failure. */
ax_status opt_make_constant(struct opt *o, uint32_t v, struct ax_tensor *t,
                            struct ax_err *err);
/* One more node, which opt_settle puts in front of node I and of what was put
 * there before. It moves the array of nodes, but no index changes. Cost: that
 * of one node. */
ax_status opt_insert(struct ax_node **out, struct opt *o, uint32_t i,
                     ax_op op, const char *name, uint32_t n_in,
                     struct ax_err *err);

/* Put the nodes that were inserted where they belong. Makers have to be
 * counted anew. */
ax_status opt_settle(struct opt *o, struct ax_err *err);

/* Give a node an attribute that it does not have; its names stay sorted. */
ax_status opt_set_int(struct ax_node *n, const char *name, int64_t i,
                      struct ax_err *err);

/* -- facts (facts.c) -- */

/* Type and shape of all values, from inputs and operators alone. */
ax_status opt_learn(struct opt *o, struct ax_err *err);
/* Count uses and makers, find what is pinned. */
ax_status opt_count(struct opt *o, struct ax_err *err);

/* -- measuring (measure.c) -- */

struct opt_measure {
    const struct ax_opt_options *options;
    uint32_t n_inputs, n_outputs;
    struct ax_tensor *in;  /* [samples][n_inputs] */
    struct ax_tensor *out; /* [samples][n_outputs], of the last run */
};

void opt_measure_free(struct opt_measure *r);
/* Draw inputs, and compute the outputs. */
ax_status opt_measure_begin(struct opt_measure *r, const struct ax_model *m,
                            const struct ax_opt_options *options,
                            struct ax_err *err);
/* Compute them again, and compare. */
ax_status opt_measure_again(struct opt_measure *r, const struct ax_model *m,
                            struct ax_opt_done *done, struct ax_err *err);

/* -- data (data.c) -- */

/* The outputs of one run, which are the callee's only until it returns. */
typedef ax_status opt_see(void *x, int64_t run, const struct ax_tensor *out,
                          struct ax_err *err);

/* How many runs the data of OPT are. AX_ESHAPE. */
ax_status opt_data_runs(int64_t *out, const struct ax_model *m,
                        const struct ax_narrow_options *opt,
                        struct ax_err *err);
/* Run the model on all of them. With N > 0 its outputs are VALUES meanwhile.
 */
ax_status opt_data_each(struct ax_model *m, uint32_t *values, uint32_t n,
                        const struct ax_narrow_options *opt, opt_see *see,
                        void *x, struct ax_err *err);

/* -- narrow.c, quantise.c -- */

/* Node N, or what it is called by, stays; why. */
ax_status opt_left(struct ax_narrow_done *d, const struct opt *o,
                   const struct ax_node *n, const char *why,
                   struct ax_err *err);
ax_status opt_quantise(struct opt *o, struct ax_narrow_done *d,
                       const struct ax_narrow_options *opt,
                       struct ax_err *err);

#endif
