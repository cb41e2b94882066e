/* Dyadic numbers of up to 100 bits: arithmetic that is exact or says that it
 * is not. */
#include <math.h>

#include "lowering.h"

static unsigned __int128 magnitude(ax_i128 v)
{
    return v < 0 ? -(unsigned __int128)v : (unsigned __int128)v;
}

int dyadic_bits(ax_i128 m)
{
    unsigned __int128 u = magnitude(m);
    uint64_t high = (uint64_t)(u >> 64), low = (uint64_t)u;

    return high  ? 128 - __builtin_clzll(high)
           : low ? 64 - __builtin_clzll(low)
                 : 0;
}

/* m 2^e with m odd; false if |m| or e is out of range then. */
static bool normalise(struct ax_dyadic *out, ax_i128 m, int e)
{
    unsigned __int128 u = magnitude(m);
    int shift = 0;

    if (!u) {
        *out = (struct ax_dyadic){0, 0};
        return true;
    }
    if (!(uint64_t)u)
        shift = 64;
    shift += __builtin_ctzll((uint64_t)(u >> shift));
    *out = (struct ax_dyadic){m / ((ax_i128)1 << shift), e + shift};
    return u >> shift >> 100 == 0 && e + shift >= -1000 && e + shift <= 900;
}

bool dyadic_from(struct ax_dyadic *out, double v)
{
    int e = 0;

    if (!isfinite(v))
        return false;
    v = frexp(v, &e);
    return normalise(out, (ax_i128)ldexp(v, 53), e - 53);
}

bool dyadic_add(struct ax_dyadic *out, struct ax_dyadic a, struct ax_dyadic b)
{
    if (!a.m || !b.m) {
        *out = a.m ? a : b;
        return true;
    }
    if (a.e < b.e) {
        struct ax_dyadic t = a;

        a = b;
        b = t;
    }
    /* |b.m| < 2^100, and the sum's lowest bit is b's unless e is equal. */
    if (a.e - b.e > 101 || magnitude(a.m) >> (125 - (a.e - b.e)))
        return false;
    return normalise(out, a.m * ((ax_i128)1 << (a.e - b.e)) + b.m, b.e);
}

bool dyadic_mul(struct ax_dyadic *out, struct ax_dyadic a, struct ax_dyadic b)
{
    ax_i128 m;

    return !__builtin_mul_overflow(a.m, b.m, &m) &&
           normalise(out, m, a.e + b.e);
}

bool dyadic_div(struct ax_dyadic *out, struct ax_dyadic a, struct ax_dyadic b)
{
    return b.m && a.m % b.m == 0 && normalise(out, a.m / b.m, a.e - b.e);
}
