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

/* -- numbers of fewer bits ------------------------------------------------
 */

typedef enum ax_narrow {
    AX_NARROW_F16,  /* weights: float16, and a Cast to float32 */
    AX_NARROW_BF16, /* the same as bfloat16 */
    AX_NARROW_INT4, /* weights of products: int4 in blocks of 32 along the
                       inner dimension, each with a scale */
    AX_NARROW_INT8, /* weights and activations; see below */
} ax_narrow;

/* AX_NARROW_INT8 writes QuantizeLinear and DequantizeLinear around Conv, Gemm
 * and MatMul with constant weights, around Add between them, and around what
 * only moves elements to them. Weights are int8 with a scale for each output
 * channel, 127 at most in magnitude; biases int32 of scale x_scale w_scale;
 * activations uint8 (or int8) with one scale and a zero point each, which
 * come from the data. A node whose sum could leave int32 (inner size times
 * 127 times 255, and the bias, reach 2^31) stays as it is. Outputs of the
 * model stay float32. */
struct ax_narrow_options {
    ax_narrow to;
    const struct ax_tensor *data; /* [n_inputs] each a whole number of times
                                     what the model takes in one run, and of
                                     its type; NULL: nothing is measured */
    int64_t free_size;            /* of a free dimension that is not first */
    double percentile;   /* of an activation's values that its range holds;
                            100: all of them */
    bool signed_bytes;   /* activations are int8 */
    const char *backend; /* that calibrates and measures; NULL: "ref" */
    int threads;         /* 0: one */
};

/* A node that stays as it is, though it is of the kind. */
struct ax_narrow_left {
    char *node; /* its name, or that of what it makes */
    const char *why;
};

struct ax_narrow_done {
    uint32_t weights;                   /* constants that were rounded */
    uint32_t values;                    /* activations that were */
    uint64_t bytes_before, bytes_after; /* of the constants in use */
    double rounding; /* the worst of a weight: of its own magnitude for
                        float16 and bfloat16, of the largest one that shares
                        its scale for int4 and int8 */
    uint32_t n_left;
    struct ax_narrow_left *left;
    bool measured;            /* outputs for the data, before and after: */
    uint64_t runs;            /* how many runs the data were */
    double absolute, mean;    /* largest difference, and the mean of all */
    double relative;          /* largest over the largest number there is */
    uint64_t rows, rows_same; /* of the first output, along its last
                                 dimension; those whose largest number is at
                                 the same place */
};

void ax_narrow_done_free(struct ax_narrow_done *d); /* {0} is harmless */

/* What ax_model_optimise says of the model and its identity holds here. What
 * *done says of outputs was measured on the data, and bounds nothing.
 *
 * Errors  AX_ESHAPE of data that do not fit; AX_EFORMAT of an activation that
 *         is not finite on them; AX_EUSAGE if INT8 gets none; as
 *         ax_model_infer and ax_plan_run.
 * Cost    2 runs over the data to measure, one more to calibrate, and
 *         another one with a percentile below 100. */
ax_status ax_model_narrow(struct ax_model *m, struct ax_narrow_done *done,
                          const struct ax_narrow_options *opt,
                          struct ax_err *err) AX_MUST_CHECK;

AX_END_API

#endif
