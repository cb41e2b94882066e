/* Arithmetic that is exact or says that it is not: doubles by their error
 * terms, and dyadic numbers of up to 100 bits. */
#include <math.h>

#include "form.h"

/* Where error terms cannot underflow and nothing overflows. */
static bool in_range(double v)
{
    return fabs(v) >= 0x1p-900 && fabs(v) <= 0x1p+900;
}

bool exact_add(double *out, double a, double b)
{
    double s = a + b, t = s - a;

    *out = s;
    return isfinite(s) && (a - (s - t)) + (b - t) == 0;
}

bool exact_mul(double *out, double a, double b)
{
    double p = a * b;

    *out = p;
    if (a == 0 || b == 0)
        return isfinite(p);
    return in_range(p) && fma(a, b, -p) == 0;
}

bool exact_div(double *out, double a, double b)
{
    double q = a / b;

    *out = q;
    if (a == 0)
        return b != 0 && isfinite(q);
    return in_range(q) && in_range(a) && fma(q, b, -a) == 0;
}

static unsigned __int128 magnitude(ax_i128 v)
{
    return v < 0 ? -(unsigned __int128)v : (unsigned __int128)v;
}

/* m 2^e with m odd; false if |m| or e is out of range then. */
static bool normalise(struct dyadic *out, ax_i128 m, int e)
{
    unsigned __int128 u = magnitude(m);
    int shift = 0;

    if (!u) {
        *out = (struct dyadic){0, 0};
        return true;
    }
    if (!(uint64_t)u)
        shift = 64;
    shift += __builtin_ctzll((uint64_t)(u >> shift));
    *out = (struct dyadic){m / ((ax_i128)1 << shift), e + shift};
    return u >> shift >> 100 == 0 && e + shift >= -1000 && e + shift <= 900;
}

bool dyadic_from(struct dyadic *out, double v)
{
    int e = 0;

    if (!isfinite(v))
        return false;
    v = frexp(v, &e);
    return normalise(out, (ax_i128)ldexp(v, 53), e - 53);
}

bool dyadic_add(struct dyadic *out, struct dyadic a, struct dyadic b)
{
    ax_i128 m;

    if (!a.m || !b.m) {
        *out = a.m ? a : b;
        return true;
    }
    if (a.e < b.e) {
        struct dyadic t = a;

        a = b;
        b = t;
    }
    /* |b.m| < 2^100, and the sum's lowest bit is b's unless e is equal. */
    if (a.e - b.e > 101 || magnitude(a.m) >> (125 - (a.e - b.e)))
        return false;
    m = a.m * ((ax_i128)1 << (a.e - b.e)) + b.m;
    return normalise(out, m, b.e);
}

bool dyadic_mul(struct dyadic *out, struct dyadic a, double b)
{
    struct dyadic d;
    ax_i128 m;

    if (!dyadic_from(&d, b))
        return false;
    if (__builtin_mul_overflow(a.m, d.m, &m))
        return false;
    return normalise(out, m, a.e + d.e);
}
