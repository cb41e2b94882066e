/* solver/inner.h - better bounds of the neurons of one box, by slopes of
 * their own for both rows of each. */
#ifndef SOLVER_INNER_H
#define SOLVER_INNER_H

#include "ascend.h"
#include "crew.h"

struct inner_job {
    const struct bnet *net;
    const struct lane_net *lane;
    const uint8_t
        *status; /* [neurons] in the box that the duals are set to */
    struct crew *crew;
    struct ascent *const *ascents; /* of the crew's workers */
    int n_ascents;
    double work;  /* multiply-adds that it may take, roughly */
    size_t bytes; /* that the tables may take */
};

/* tables [2 neurons], all NULL: those that make a bound better become slopes
 * of all neurons before, 0 to 128 or 255, which the caller frees. The bounds
 * in the duals become better, too. AX_NO: the time is up. */
ax_status inner_improve(const struct inner_job *job, uint8_t **tables,
                        struct ax_err *err) AX_MUST_CHECK;

#endif
