/* cmd/ax-train/augment.h - rows that are changed a little each time they are
 * seen. */
#ifndef AX_TRAIN_AUGMENT_H
#define AX_TRAIN_AUGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ax/err.h"

struct augment {
    size_t crop;  /* most pixels that an image is moved by */
    bool flip;    /* left and right, every other time */
    double noise; /* deviation of what is added to each number */
};

/* cos(pi t) for t in [0, 1], the same on every machine. */
double half_turn(double t);

/* Read "crop=4,flip,noise=0.1"; NULL: nothing. AX_EUSAGE. */
ax_status augment_read(struct augment *a, const char *text,
                       struct ax_err *err) AX_MUST_CHECK;

/* Do crop and flip make sense for rows of these dimensions? AX_ESHAPE. */
ax_status augment_check(const struct augment *a, int rank,
                        const int64_t *dims, struct ax_err *err)
    AX_MUST_CHECK;

/* Change a row of dims [rank]; what happens depends on seed, epoch and the
 * row's number alone. room is as large as the row. */
void augment_row(const struct augment *a, float *x, float *room, int rank,
                 const int64_t *dims, uint64_t seed, uint64_t epoch,
                 uint64_t row);

#endif
