/* Exact decimals of a fixed size, m 10^-places: what the ends of input sets
 * are computed in. They hold any double, any decimal with as many digits on
 * both sides of the point, and a sum of two of them, so that no memory is
 * taken and none can run out. */
#ifndef SOLVER_FIXED_H
#define SOLVER_FIXED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ax/arena.h"

#define FIXED_WHOLE  436  /* digits above the point */
#define FIXED_PLACES 1074 /* and below it: those of a double */
#define FIXED_LIMBS  80
#define FIXED_CHARS  1600 /* of one as text, with sign, point and NUL */

struct fixed {
    uint64_t limb[FIXED_LIMBS]; /* magnitude of m, the lowest first */
    unsigned n;                 /* limbs that count; 0 is 0 */
    unsigned places;
    bool negative;
};

/* The whole string; false if it is no such decimal. */
bool fixed_read(struct fixed *out, const char *s);
/* x is finite. */
void fixed_double(struct fixed *out, double x);
/* a + b, or a - b; the result may be neither. */
void fixed_sum(struct fixed *out, const struct fixed *a,
               const struct fixed *b, bool minus);
/* The sign of a - b. */
int fixed_compare(const struct fixed *a, const struct fixed *b);
int fixed_sign(const struct fixed *a);
/* Digits with at most one point, new in the arena; NULL: no memory. */
char *fixed_text(const struct fixed *a, struct ax_arena *arena);

#endif
