/* solver/attack.h - look for a counterexample by gradients. */
#ifndef SOLVER_ATTACK_H
#define SOLVER_ATTACK_H

#include "ax/prove.h"
#include "lanes.h"

struct attack;

/* Borrows networks and property. AX_ENOMEM. */
ax_status attack_new(struct attack **out, const struct ax_net *net,
                     const struct lane_net *lane, const struct ax_prop *prop,
                     const struct ax_prove_options *opt, struct ax_err *err)
    AX_MUST_CHECK;
void attack_free(struct attack *a);

/* Try `rounds` times POINTS starts in each conjunction of each group, in at
 * most so many steps (0: as many as are of use), until the deadline
 * (CLOCK_MONOTONIC seconds, 0: none). Every call goes on where the one before
 * ended. AX_OK: found, and *x [n_x] is a counterexample that ax_net_refutes
 * confirmed, or under ieee32 the execution, and the caller's; AX_NO: none was
 * found. Deterministic for a seed, but for the deadline. */
ax_status attack_run(struct attack *a, unsigned rounds, int steps,
                     double deadline, float **x, uint32_t *group,
                     uint32_t *conj, struct ax_err *err) AX_MUST_CHECK;

/* The same from POINTS starts [POINTS, n_x] in small steps: where the search
 * suspects a counterexample of a conjunction. */
ax_status attack_from(struct attack *a, uint32_t g, uint32_t k,
                      const double *starts, double deadline, float **x,
                      uint32_t *group, uint32_t *conj, struct ax_err *err)
    AX_MUST_CHECK;

/* Is x a counterexample of that execution? y [n_y] becomes its outputs. */
ax_status replay_floats(const struct ax_execution *run,
                        const struct ax_net *net, const struct ax_prop *prop,
                        const float *x, float *y, uint32_t *group,
                        uint32_t *conj, struct ax_err *err) AX_MUST_CHECK;

/* Points evaluated so far. */
uint64_t attack_points(const struct attack *a);

#endif
