/* solver/point.h - the network at many points at once, and its gradient, in
 * float32. For search alone: nothing that is decided rests on it. */
#ifndef SOLVER_POINT_H
#define SOLVER_POINT_H

#include "lanes.h"

struct points;

/* AX_ENOMEM. Borrows the network. */
ax_status points_new(struct points **out, const struct lane_net *net,
                     struct ax_err *err) AX_MUST_CHECK;
void points_free(struct points *p);
size_t points_bytes(const struct ax_net *net);

/* Where to put the inputs, [n_x][POINTS]. */
float *points_x(struct points *p);
/* The outputs there, [n_y][POINTS]; valid until the next call. */
const float *points_forward(struct points *p);
/* After points_forward: where to put d/dy, [n_y][POINTS], and then d/dx,
 * [n_x][POINTS], which the caller may change. */
float *points_dy(struct points *p);
float *points_backward(struct points *p);

#endif
