/* sigmoid.c - e^x and 1 / (1 + e^-x) in integers, and lines about the latter:
 * ax-cert(5), Sigmoids. All at scale 28. */
#include "island.h"

static const int64_t unit = 1 << 28, wide = 1ll << 34;

/* e^-x at scale 60, x >= 0 */
static i128 decay(int64_t x)
{
    i128 p = (i128)1 << 60, f = (i128)(x % unit) << 32;
    for (int k = 16; k > 0; k--)
        p = ((i128)1 << 60) - (int64_t)((f * p) >> 60) / k;
    for (int64_t n = x / unit; n > 0; n--)
        p = (p * 424136118829305329) >> 60; /* 2^60 / e */
    return p;
}

int64_t sigmoid(int64_t x)
{
    if (x < 0)
        return unit - sigmoid(-x);
    if (x >= 32 * unit)
        return unit;
    return (int64_t)(((i128)1 << 88) / (((i128)1 << 60) + decay(x)));
}

i128 exponential(int64_t x)
{
    if (x < 0)
        return decay(-x) >> 32;
    if (x <= 16 * unit)
        return ((i128)1 << 88) / decay(x);
    return (exponential(x >> 1) * exponential(x - (x >> 1))) >> 28;
}

/* The derivative, at scale 56. */
static int64_t slope(int64_t d)
{
    return sigmoid(d) * (unit - sigmoid(d));
}

/* Where the line through the sigmoid at p meets 0, or above. */
static int64_t above(const struct lines *y, int64_t p)
{
    return sigmoid(p) + 2 - ((y->slope * p) >> 28);
}

int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

struct lines lines_between(i128 l, i128 u)
{
    struct lines y = {.up = unit};
    int64_t a = (int64_t)l, b = (int64_t)u, chord = unit / 4, d = 0, off;
    if (l < -wide || u > wide)
        return y;
    if (a < b)
        chord = larger(0, sigmoid(b) - sigmoid(a)) * unit / (b - a);
    for (int64_t step = 1ll << 32; step > 0; step /= 2)
        d += slope(d + step) >= chord * unit ? step : 0;
    y.slope = slope(d) >> 28;
    y.most = larger(larger(a, -a), larger(b, -b));
    off = (y.most >> 25) + 1;
    y.up = larger(above(&y, a), above(&y, b));
    if (a < d && d < b)
        y.up = larger(y.up, above(&y, d));
    y.low = larger(above(&y, -a), above(&y, -b));
    if (a < -d && -d < b)
        y.low = larger(y.low, above(&y, d));
    y.up += off;
    y.low = unit - y.low - off;
    return y;
}
