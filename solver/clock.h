/* solver/clock.h - the clock that deadlines are given in. */
#ifndef SOLVER_CLOCK_H
#define SOLVER_CLOCK_H

#include <time.h>

/* CLOCK_MONOTONIC, in seconds. */
static inline double clock_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#endif
