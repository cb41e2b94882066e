/* ax/run.h - compute a model's outputs.
 *
 * A plan is made once for a model and a backend and run many times. Shapes
 * follow the inputs given: a free dimension takes what comes. A plan is used
 * by one thread at a time. */
#ifndef AX_RUN_H
#define AX_RUN_H

#include "ax/model.h"

AX_BEGIN_API

struct ax_plan;

struct ax_run_options {
    const char *backend; /* "ref" (default) or "cpu" */
    int threads;         /* 0: one */
    bool deterministic;  /* the same bytes for a row in any batch, with any
                            number of threads */
    size_t max_bytes;    /* most memory for tensors at one time; 0: 4 GiB */
};

/* *out is new; it borrows m, which outlives it.
 * AX_EUNSUPPORTED an operator, by node and name, has no kernel. */
ax_status ax_plan_new(struct ax_plan **out, const struct ax_model *m,
                      const struct ax_run_options *opt, struct ax_err *err)
    AX_MUST_CHECK;
void ax_plan_free(struct ax_plan *p);

/* in[n_inputs] are borrowed, in the graph's order; out[n_outputs] are
 * overwritten with new tensors of the caller's.
 * AX_ESHAPE an input's type or shape is not the model's, or an operator
 * cannot take the shapes it gets (the node is named). */
ax_status ax_plan_run(struct ax_plan *p, struct ax_tensor *out,
                      const struct ax_tensor *in, struct ax_err *err)
    AX_MUST_CHECK;

/* As ax_plan_run, for data as they come in files. An input may have another
 * element type (rounded to the model's; integers are not made of reals), the
 * model's number of elements in another shape, or more rows than a model of
 * fixed batch takes: it then runs as often as there are rows, and the
 * outputs are joined along their first dimension, or stacked if they have no
 * rows. With AT_ONCE > 0 a free batch runs that many rows at a time.
 * progress, which may be NULL, is told between runs how many of how many rows
 * are done. */
ax_status ax_plan_run_rows(struct ax_plan *p, struct ax_tensor *out,
                           const struct ax_tensor *in, int64_t at_once,
                           void (*progress)(void *data, int64_t done,
                                            int64_t total),
                           void *data, struct ax_err *err) AX_MUST_CHECK;

AX_END_API

#endif
