/* ax/opt.h - passes over a graph that keep the function of a model.
 *
 * A pass looks at the graph alone, matches exactly what it says, and leaves
 * the rest as it was. Inputs and outputs of the model keep their names, types
 * and order. What it assumes of a type or shape follows from the inputs and
 * the operators; what a file claims of an inner value is not believed. */
#ifndef AX_OPT_H
#define AX_OPT_H

#include "ax/model.h"

AX_BEGIN_API

/* How far the model after a pass may be from the one before it. */
typedef enum ax_opt_kind {
    AX_OPT_EXACT,   /* the reference backend gives the same bytes */
    AX_OPT_ORDER,   /* the same function of reals with the same weights;
                       floating point rounds in other places */
    AX_OPT_ROUNDED, /* weights were computed anew, and rounded */
} ax_opt_kind;

struct ax_opt_pass {
    const char *name, *summary;
    ax_opt_kind kind;
};

/* The passes, in the order in which they run. */
#define AX_OPT_PASSES 6
extern const struct ax_opt_pass ax_opt_passes[AX_OPT_PASSES];

struct ax_opt_options {
    unsigned passes;     /* bit I: run pass I */
    unsigned samples;    /* random inputs to measure with; 0: none */
    uint64_t seed;       /* of these */
    double scale;        /* reals in [-scale, scale]; integers 0 and 1 */
    int64_t free_size;   /* of a free dimension of an input */
    const char *backend; /* that measures; NULL: "ref" */
    int threads;         /* 0: one */
};

/* What a pass did. */
struct ax_opt_done {
    uint32_t changes; /* places where it matched */
    uint32_t nodes;   /* of the graph after it */
    bool measured;    /* only of a pass that changed something */
    double absolute;  /* largest difference of an output, before and after */
    double relative;  /* the same over the largest number of that output */
};

/* Run the passes. done[AX_OPT_PASSES] is filled. If no pass changed anything
 * the model is left as it was; if one did, its identity is unknown again, and
 * whoever called drops the attachments.
 *
 * Errors  as ax_model_infer; of measuring as ax_plan_run; AX_EBUG if a pass
 *         that is exact gave other bytes with the backend "ref".
 * Cost    linear in the graph, beside the folded operators themselves and
 *         (1 + passes that changed something) times samples runs. */
ax_status ax_model_optimise(struct ax_model *m,
                            struct ax_opt_done done[AX_OPT_PASSES],
                            const struct ax_opt_options *opt,
                            struct ax_err *err) AX_MUST_CHECK;

AX_END_API

#endif
