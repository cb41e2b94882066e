/* solver/smooth.h - the relaxation of a smooth function between two bounds:
 * ax-cert(5), section ARITHMETIC. */
#ifndef SOLVER_SMOOTH_H
#define SOLVER_SMOOTH_H

#include <stdbool.h>
#include <stdint.h>

#include "ax/net.h"

/* slope v + low <= y(v) <= slope v + up between the bounds, y that of a
 * smooth node, all at scale 28; |slope| <= 2^28, most >= |v|. */
struct smooth {
    int64_t slope, low, up, most;
};

/* l <= u at scale 28. False: they are too far out. */
bool smooth_between(struct smooth *s, enum ax_net_kind kind, int64_t l,
                    int64_t u);

#endif
