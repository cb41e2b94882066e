/* solver/ascend.h - lower bounds made better by gradient steps on slopes and
 * multipliers, POINTS rows side by side. */
#ifndef SOLVER_ASCEND_H
#define SOLVER_ASCEND_H

#include "dual.h"

/* Rows over one node, each in a lane of the dual, whose statuses, slopes and
 * multipliers are set. */
struct climb {
    uint32_t node;
    uint32_t n; /* neurons with slopes or multipliers to change, in nodes */
    const uint32_t *loose; /* [n] before that one */
    /* Add the rows to d->e, which is zero, of the node and of the input. */
    void (*rows)(const void *self, struct dual *d);
    const void *self;
    float d[POINTS]; /* what the bounds are to exceed */
    int steps;       /* at most */
    bool thorough;   /* all of them, whatever is exceeded */
};

struct ascent {
    struct dual *dual;
    double deadline;     /* CLOCK_MONOTONIC seconds, or 0 */
    float *best;         /* [2 n, POINTS] alpha, then beta, of the best */
    struct lanes *m, *v; /* [2 n] of Adam */
};

/* For up to most neurons. AX_ENOMEM. */
ax_status ascent_new(struct ascent *a, struct dual *dual, size_t most,
                     double deadline, struct ax_err *err) AX_MUST_CHECK;
void ascent_free(struct ascent *a);

/* Improve the bounds of all lanes until they exceed d, in at most so many
 * steps. margin [POINTS]: the best bounds, less d, whose slopes and
 * multipliers are in a->best. False: the time is up. */
bool ascend(struct ascent *a, const struct climb *c, float *margin);

/* The bounds, less d, of the slopes and multipliers at hand. */
void ascent_evaluate(struct dual *d, const struct climb *c, float *margin);

/* The best slope and multiplier of the i-th of n neurons in lane p. */
static inline float ascent_alpha(const struct ascent *a, size_t i, int p)
{
    return a->best[i * POINTS + (size_t)p];
}

static inline float ascent_beta(const struct ascent *a, size_t n, size_t i,
                                int p)
{
    return a->best[(n + i) * POINTS + (size_t)p];
}

#endif
