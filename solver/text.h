/* Text that grows. Unlike a stream of open_memstream it knows that a part of
 * it was lost when memory was out. */
#ifndef SOLVER_TEXT_H
#define SOLVER_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "ax/err.h"

/* Start it as = {0}. */
struct text {
    char *data; /* free() it; ended by a NUL once something was added */
    size_t n, room;
    bool lost; /* memory was out: nothing more is added */
};

void text_add(struct text *t, const char *fmt, ...) AX_PRINTF(2, 3);

#endif
