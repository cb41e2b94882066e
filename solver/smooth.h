/* solver/smooth.h - the relaxation of a sigmoid between two bounds:
 * ax-cert(5), section ARITHMETIC. */
#ifndef SOLVER_SMOOTH_H
#define SOLVER_SMOOTH_H

#include <stdint.h>

/* slope v + low <= sigmoid(v) <= slope v + up between the bounds, all at
 * scale 28; most >= |v|. */
struct smooth {
    int64_t slope, low, up, most;
};

/* l <= u at scale 28. */
void smooth_between(struct smooth *s, int64_t l, int64_t u);

#endif
