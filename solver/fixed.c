/* Exact decimals of a fixed size: see fixed.h. GMP's low level works in
 * memory that it is given. */
#include "fixed.h"

#include <gmp.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "decimal.h"

#define CHUNK 19 /* digits in a limb */

_Static_assert(GMP_NUMB_BITS == 64, "limbs of 64 bits");
_Static_assert(sizeof(mp_limb_t) == sizeof(uint64_t), "limbs of 64 bits");

static uint64_t power(unsigned base, unsigned k)
{
    uint64_t p = 1;

    while (k--)
        p *= base;
    return p;
}

static void times(struct fixed *f, uint64_t v)
{
    mp_limb_t carry = f->n ? mpn_mul_1(f->limb, f->limb, (mp_size_t)f->n, v)
                           : 0;

    if (carry)
        f->limb[f->n++] = carry;
}

/* Times base^k, base 2, 5 or 10. */
static void times_power(struct fixed *f, unsigned base, unsigned k)
{
    for (; k > CHUNK; k -= CHUNK)
        times(f, power(base, CHUNK));
    times(f, power(base, k));
}

/* Append a digit. */
static void push(struct fixed *f, unsigned digit)
{
    mp_limb_t carry = digit;

    times(f, 10);
    if (f->n)
        carry = mpn_add_1(f->limb, f->limb, (mp_size_t)f->n, digit);
    if (carry)
        f->limb[f->n++] = carry;
}

bool fixed_read(struct fixed *out, const char *s)
{
    struct decimal d;
    unsigned __int128 m;
    size_t digits = 36;

    if (decimal_read(&d, s, strlen(s)) != NUMBER_OK)
        return false;
    if (d.digits)
        digits = d.n - (memchr(d.digits, '.', d.n) != NULL);
    if (-d.e > FIXED_PLACES || (long)digits + d.e > FIXED_WHOLE)
        return false;
    m = d.m < 0 ? -(unsigned __int128)d.m : (unsigned __int128)d.m;
    *out = (struct fixed){.negative = d.m < 0 || (d.digits && d.negative),
                          .places = d.e < 0 ? (unsigned)-d.e : 0,
                          .limb = {(uint64_t)m, (uint64_t)(m >> 64)},
                          .n = m >> 64 ? 2
                               : m     ? 1
                                       : 0};
    for (size_t i = 0; d.digits && i < d.n; i++)
        if (d.digits[i] != '.')
            push(out, (unsigned)(d.digits[i] - '0'));
    if (d.e > 0)
        times_power(out, 10, (unsigned)d.e);
    return true;
}

/* m 2^-k is m 5^k 10^-k. */
void fixed_double(struct fixed *out, double x)
{
    int e;
    double m = ldexp(frexp(fabs(x), &e), 53);
    uint64_t u = (uint64_t)m;

    *out = (struct fixed){.negative = x < 0, .limb = {u}, .n = u != 0};
    if (!u)
        return;
    e -= 53;
    for (; !(out->limb[0] & 1); e++)
        out->limb[0] >>= 1;
    times_power(out, e < 0 ? 5 : 2, (unsigned)abs(e));
    out->places = e < 0 ? (unsigned)-e : 0;
}

static int compare_magnitudes(const struct fixed *a, const struct fixed *b)
{
    if (a->n != b->n)
        return a->n < b->n ? -1 : 1;
    return a->n ? mpn_cmp(a->limb, b->limb, (mp_size_t)a->n) : 0;
}

void fixed_sum(struct fixed *out, const struct fixed *a,
               const struct fixed *b, bool minus)
{
    struct fixed x = *a, y = *b, *large = &x, *small = &y;

    y.negative ^= minus;
    if (x.places < y.places)
        times_power(&x, 10, y.places - x.places);
    else
        times_power(&y, 10, x.places - y.places);
    x.places = y.places = x.places > y.places ? x.places : y.places;
    if (compare_magnitudes(&x, &y) < 0) {
        large = &y;
        small = &x;
    }
    *out = *large;
    if (!small->n)
        return;
    if (x.negative == y.negative) {
        mp_limb_t carry = mpn_add(out->limb, large->limb, (mp_size_t)large->n,
                                  small->limb, (mp_size_t)small->n);

        if (carry)
            out->limb[out->n++] = carry;
    } else {
        mpn_sub(out->limb, large->limb, (mp_size_t)large->n, small->limb,
                (mp_size_t)small->n);
    }
    while (out->n && !out->limb[out->n - 1])
        out->n--;
}

int fixed_sign(const struct fixed *a)
{
    return !a->n ? 0 : a->negative ? -1 : 1;
}

int fixed_compare(const struct fixed *a, const struct fixed *b)
{
    struct fixed d;

    fixed_sum(&d, a, b, true);
    return fixed_sign(&d);
}

char *fixed_text(const struct fixed *a, struct ax_arena *arena)
{
    char buf[FIXED_CHARS];
    size_t at = sizeof buf, digits = 0, n;
    struct fixed f = *a;
    bool shown = false; /* a digit that is not a zero at the end */
    char *text;

    while (f.n || digits <= f.places) {
        uint64_t low = f.n ? mpn_divrem_1(f.limb, 0, f.limb, (mp_size_t)f.n,
                                          power(10, CHUNK))
                           : 0;

        while (f.n && !f.limb[f.n - 1])
            f.n--;
        for (int i = 0; i < CHUNK && (f.n || low || digits <= f.places);
             i++) {
            char c = (char)('0' + low % 10);

            low /= 10;
            if (digits == f.places && shown)
                buf[--at] = '.';
            shown |= digits >= f.places || c != '0';
            if (shown)
                buf[--at] = c;
            digits++;
        }
    }
    if (f.negative && a->n)
        buf[--at] = '-';
    n = sizeof buf - at;
    text = ax_arena_alloc(arena, n + 1, 1);
    if (!text)
        return NULL;
    memcpy(text, buf + at, n);
    text[n] = '\0';
    return text;
}
