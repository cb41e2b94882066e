/* Exact decimals m 10^e, as ax-cert(5) limits them. */
#ifndef SOLVER_DECIMAL_H
#define SOLVER_DECIMAL_H

#include "ax/prop.h"

#define DECIMAL_DIGITS 4096 /* of a number that stands alone */
#define DECIMAL_EXP    4096

/* In normal form: no trailing zero in m, and 0 is m = 0, e = 0. If DIGITS
 * is set, m had more than 36 digits and stands there instead, without sign,
 * point or trailing zeros, n of them, with an optional point inside. */
struct decimal {
    ax_i128 m;
    int e;
    bool negative;      /* of a long one */
    const char *digits; /* borrowed from the text */
    size_t n;           /* characters at digits */
};

/* May it be in arithmetic: a multiple of 10^-12 below 10^12? */
bool decimal_in_units(struct decimal a);
/* These return false if the result, or an operand, may not be; a zero may be
 * added to anything that is not long. */
bool decimal_add(struct decimal *out, struct decimal a, struct decimal b);
bool decimal_mul(struct decimal *out, struct decimal a, struct decimal b);
static inline struct decimal decimal_neg(struct decimal a)
{
    a.m = -a.m;
    a.negative = !a.negative;
    return a;
}

static inline bool decimal_is_zero(struct decimal a)
{
    return !a.digits && a.m == 0;
}

/* d = a 10^k: fill d64_up, d and d_text of a row; d_text comes from the
 * arena. False when memory is out. */
struct ax_arena;
bool decimal_to_row(struct ax_row *r, struct decimal a, int k,
                    struct ax_arena *arena);

/* The largest double that the row of one term allows for its term N X. */
double decimal_inside(const struct ax_row *r);

/* Is D of the one row that of the other, negated? Not of 0. */
bool decimal_opposite(const struct ax_row *r, const struct ax_row *s);

enum { NUMBER_OK, NUMBER_MALFORMED, NUMBER_LIMIT };
/* Read the n characters at s, all of them. */
int decimal_read(struct decimal *out, const char *s, size_t n);

/* Are the D of two rows a and -a? */
bool decimal_opposite(const struct ax_row *r, const struct ax_row *s);

#endif
