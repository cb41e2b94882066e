/* smooth.c - e^x and smooth functions in integers, and lines about the
 * latter: ax-cert(5), Smooth functions. All at scale 28, where nothing else
 * is said.
 */
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

static int64_t sigmoid(int64_t x)
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

/* (1 + cos(256 a)) / 2, a at scale 60 */
static int64_t wave(i128 a)
{
    i128 square = (a * a) >> 60, p = (i128)1 << 60;
    for (int k = 7; k > 0; k--)
        p = ((i128)1 << 60) - ((square * p) >> 60) / (2 * k * (2 * k - 1));
    for (int n = 0; n < 8; n++)
        p = ((p * p) >> 59) - ((i128)1 << 60);
    return (int64_t)((((i128)1 << 60) + p) >> 33);
}

static int64_t erf_of(int64_t x)
{
    i128 y = ((i128)x * x) >> 27, p;
    int64_t t = 4 * x, sum = t;
    if (x < 0)
        return -erf_of(-x);
    if (x >= 9ll << 27)
        return unit;
    for (int n = 1; t > 0; n++) {
        t = (int64_t)((t * y) >> 28) / (2 * n + 1);
        sum += t;
    }
    p = (sum * decay((int64_t)(y >> 1))) >> 60; /* below 2^30 */
    p = (p * 1300932607094779153) >> 62;        /* 2^61 / sqrt(pi) */
    return p < unit ? (int64_t)p : unit;
}

int64_t smooth_value(enum kind kind, int64_t x)
{
    i128 turn = (i128)x * (1 << 24);
    if (kind == SIGMOID)
        return sigmoid(x);
    if (kind == SINE)
        return wave(turn - 7074237752028440); /* 2^60 pi / 512 */
    if (kind == COSINE)
        return wave(turn);
    if (kind == ERF)
        return (unit + erf_of(x)) >> 1;
    x = (int64_t)(((i128)x * 815238614083298888) >> 60); /* x / sqrt(2) */
    return unit / 2 + (int64_t)(((turn >> 24) * (unit + erf_of(x))) >> 30);
}

int64_t smooth_error(enum kind kind)
{
    return kind == GELU ? 32 : kind == ERF ? 16 : 2;
}

/* The derivative of a sigmoid, at scale 56. */
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

static struct lines about_sigmoid(int64_t a, int64_t b)
{
    struct lines y = {0, 0, 0, 0};
    int64_t chord = unit / 4, d = 0, off;
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

/* By 64 pieces, each near its chord. */
static struct lines about_pieces(enum kind kind, int64_t a, int64_t b)
{
    struct lines y = {.low = INT64_MAX, .up = INT64_MIN};
    int64_t w = b - a, h = (w >> 6) + 1;
    int64_t off = smooth_error(kind) + ((h * h) >> 32) + 1;
    bool level = a == b || ((kind == SINE || kind == COSINE) && w >= 1 << 30);
    i128 rise = (i128)(smooth_value(kind, b) - smooth_value(kind, a)) * unit;
    if (!level) {
        rise = rise / w - (rise % w < 0);
        y.slope = (int64_t)(rise > unit ? unit : rise < -unit ? -unit : rise);
    }
    for (int64_t i = 0; i <= 64; i++) {
        int64_t p = a + ((w * i) >> 6);
        int64_t z = smooth_value(kind, p) - ((y.slope * p) >> 28);
        y.up = larger(y.up, z);
        y.low = -larger(-y.low, -z);
    }
    y.up += off;
    y.low -= off + 1;
    if (y.slope == 0 && kind != GELU) {
        y.up = -larger(-y.up, -unit);
        y.low = larger(y.low, 0);
    }
    y.most = larger(larger(a, -a), larger(b, -b));
    return y;
}

struct lines lines_between(struct run *r, enum kind kind, i128 l, i128 u)
{
    struct lines y = {.up = unit};
    if (l >= -wide && u <= wide)
        return kind == SIGMOID ? about_sigmoid((int64_t)l, (int64_t)u)
                               : about_pieces(kind, (int64_t)l, (int64_t)u);
    if (kind == GELU) {
        if (u >= (i128)1 << 44)
            refuse(r, REJECTED, "variables are too large");
        y.low = unit / 4;
        y.up = unit / 2 + (u > 0 ? (int64_t)u >> 1 : 0) + 1;
    }
    return y;
}
