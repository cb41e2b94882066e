/* solver/curve.h - the lines that replace products and reciprocals over a
 * box: ax-cert(5), section ARITHMETIC, Curves. */
#ifndef SOLVER_CURVE_H
#define SOLVER_CURVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RANGE_BITS 29 /* of the bounds that lines are made of */

/* Bounds l <= v <= u of the variables of a node, at scale t. */
struct range {
    int64_t *l, *u;
    int t;
};

/* Lines of n rows: y_i = sum of its terms W' v, plus something between low
 * and up. */
struct curve {
    int32_t *w[2];     /* [terms] W' of each block */
    int scale[2];      /* of them */
    int64_t *low, *up; /* [n] */
    int at;            /* their scale */
};

/* out->l and ->u [n] are room for the bounds of what a row is.
 *
 * Row i is x y, x variable a[i] of one node, y variable b[i] of another, or
 * of the same one; W' of x in w[0], of y in w[1], or, if it is the same one,
 * of both in w[0], in turns. k bits. M at scale 16 goes to m [n]. */
void curve_product(struct curve *c, struct range *out, const struct range *x,
                   const struct range *y, const uint32_t *a,
                   const uint32_t *b, uint32_t n, int k, bool same,
                   uint64_t *m);

/* Row i is 1 / x, x variable a[i]. False: some x may be 0 or less. */
bool curve_reciprocal(struct curve *c, struct range *out,
                      const struct range *x, const uint32_t *a, uint32_t n,
                      int k, uint64_t *m);

/* Row i is e^x, x variable a[i]. False: some x may be 32 or more, or -256 or
 * less. */
bool curve_exp(struct curve *c, struct range *out, const struct range *x,
               const uint32_t *a, uint32_t n, int k, uint64_t *m);

#endif
