/* ax/prop.h - a property in the normal form of ax-cert(5): the unsafe set as
 * groups of one integer box and a list of conjunctions of linear rows.
 * Everything here is exact; see man/ax-cert.5, section PROPERTY, which is
 * the contract that ax-check reads too. */
#ifndef AX_PROP_H
#define AX_PROP_H

#include "ax/err.h"
#include "ax/tensor.h"

AX_BEGIN_API

typedef __int128 ax_i128;

/* One row: sum of coefficients N times variables <= D. */
struct ax_row {
    uint32_t n_x, n_y;           /* terms over inputs and over outputs */
    uint32_t *x_index, *y_index; /* increasing */
    int32_t *x_coef, *y_coef;    /* |N| < 2^26, not 0 */
    ax_i128 d64_up;              /* ceil(D 2^64), clamped to +-2^125 */
    double d;                    /* nearest double to D, for search alone */
    char *d_text; /* D as an exact decimal, "m" or "m" "e" "k" */
    bool strict;  /* it was written < or > */
};

struct ax_conj {
    uint32_t n_rows;
    struct ax_row **rows; /* shared between conjunctions, owned by the prop */
    const double *lo_in, *hi_in; /* [n_x] a double is in the box, as it was
                             written for this conjunction, if and only if
                             lo_in <= x <= hi_in; exact, shared */
    const bool *fixed; /* [n_x] inputs that have one value, and no float32
                          is that; shared. NULL: none */
    bool never;        /* a comparison without variables is false as it
                          was written, though not with <= for <: there is
                          no counterexample here, nor a proof of that */
};

/* One group: consecutive conjunctions over one box. */
struct ax_group {
    int p;                       /* scale P of the box */
    int64_t *lo, *hi;            /* [n_x] at scale P, rounded outwards */
    ax_i128 *lo64, *hi64;        /* [n_x] floor and ceil at scale 64 */
    const double *lo_in, *hi_in; /* [n_x] for search alone: those of the first
                              conjunction, or, where that box has no double
                              in it, the doubles nearest to the bounds;
                              lo_in <= hi_in */
    uint32_t n_conj;
    struct ax_conj *conj;
};

struct ax_prop {
    uint32_t n_x, n_y;
    uint32_t n_groups;
    struct ax_group *groups;
    uint32_t n_empty;         /* conjunctions that were dropped as empty */
    unsigned char digest[32]; /* SHA-256 of the file's bytes */
    void *arena;              /* private */
};

/* Read VNN-LIB 1.0 text. The bytes are hostile. n_x and n_y are what the
 * network has; AX_ESHAPE, naming both numbers, if the file declares others.
 * *out is new.
 * AX_EFORMAT      with line and column, what was found and what was wanted
 * AX_EUNSUPPORTED beyond the limits of ax-cert(5), with line and column. */
ax_status ax_prop_read(struct ax_prop **out, const char *text, size_t n,
                       uint32_t n_x, uint32_t n_y, struct ax_err *err)
    AX_MUST_CHECK;
void ax_prop_free(struct ax_prop *p);

/* The sign of v - D, exactly: v is the integer of n 64-bit limbs, the lowest
 * first, times 2^e, negated if so, over that of the n_den limbs at den, the
 * last of which is not 0. AX_ENOMEM. */
ax_status ax_row_compare(int *sign, const struct ax_row *r,
                         const uint64_t *limbs, size_t n, bool negative,
                         long e, const uint64_t *den, size_t n_den,
                         struct ax_err *err) AX_MUST_CHECK;

AX_END_API

#endif
