/* solver/graft.h - copies of networks in one graph. What is made borrows the
 * tensors of its parts. Private to product.c and joint.c. */
#ifndef SOLVER_GRAFT_H
#define SOLVER_GRAFT_H

#include "ax/model.h"

#define GRAFT_PARTS 16

struct graft {
    struct ax_model *m;
    int n;
    const struct ax_model *part[GRAFT_PARTS];
    uint32_t *map[GRAFT_PARTS]; /* from values of a part to ours; AX_NONE:
                                   not yet */
    struct ax_err *err;
};

ax_status graft_no_memory(struct graft *p);
/* Room for all parts, and extra values, nodes and tensors beside them. */
ax_status graft_begin(struct graft *p, size_t extra, size_t inputs,
                      size_t outputs) AX_MUST_CHECK;
/* Checked, with shapes, in normal form. */
ax_status graft_finish(struct graft *p) AX_MUST_CHECK;
/* *out is the model if st is AX_OK, NULL if not. */
void graft_end(struct graft *p, ax_status st, struct ax_model **out);

ax_status graft_value(struct graft *p, uint32_t *out, const char *prefix,
                      const char *name, ax_dtype dtype, int rank,
                      const int64_t *dims) AX_MUST_CHECK;
/* A constant vector of integers: a shape, or pads. */
ax_status graft_ints(struct graft *p, uint32_t *out, const char *name,
                     const int64_t *v, int n) AX_MUST_CHECK;
/* A node of one output, which is new and called NAME. */
ax_status graft_node(struct graft *p, uint32_t *out, ax_op op,
                     const char *name, const uint32_t *in, uint32_t n)
    AX_MUST_CHECK;
/* The same elements in another shape. */
ax_status graft_reshape(struct graft *p, uint32_t *out, uint32_t v,
                        const char *name, const int64_t *dims, int rank)
    AX_MUST_CHECK;
/* All nodes of a part; values that its map has already are taken as they
 * are, its inputs above all. */
ax_status graft_part(struct graft *p, int part) AX_MUST_CHECK;
/* The shape of an input, free dimensions 1; how many elements. */
ax_status graft_input_dims(struct graft *p, const struct ax_value *v,
                           int64_t *dims, uint64_t *n) AX_MUST_CHECK;

#endif
