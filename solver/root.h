/* solver/root.h - the root box of a group, whose bounds serve all
 * subproblems that are split at neurons. */
#ifndef SOLVER_ROOT_H
#define SOLVER_ROOT_H

#include "search.h"

struct root {
    uint32_t group;
    struct bbox box;
    struct bstate state;
    struct bbounds *bounds;
    uint32_t n_loose, *loose; /* unstable neurons of relu nodes */
    uint32_t *place;          /* [neurons] where they are in loose */
    uint32_t *first_row;      /* [n_conj] number of a conjunction's first */
    uint32_t n_rows;
    uint8_t **slopes; /* [n_rows] tables, or NULL */
    uint8_t **inner;  /* [2 neurons] those of neurons' rows */
    bool improved;    /* there are some in it */
};

/* A conjunction in the root box. */
struct verdict {
    uint32_t row; /* that refutes it, or whose bound is the best */
    bool refuted;
};

ax_status root_start(struct root *r, const struct search *se, uint32_t group,
                     struct ax_err *err) AX_MUST_CHECK;
void root_end(struct root *r, const struct bnet *net);

/* Bound the box and all rows in it: v [n_conj], e [n_x] scratch; also the
 * least margin of the best rows. False: as bound_box. */
bool root_bound(struct root *r, struct search *se, struct bwork *w,
                int64_t *e, struct verdict *v);

#endif
