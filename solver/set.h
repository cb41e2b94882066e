/* A set of ax/ready.h, as the makers of properties see it. */
#ifndef SOLVER_SET_H
#define SOLVER_SET_H

#include "ax/ready.h"
#include "fixed.h"

struct ax_set {
    uint32_t n;
    char **end[2]; /* [n] lower and upper ends; NULL: there is none */
    struct ax_arena *arena;
};

#endif
