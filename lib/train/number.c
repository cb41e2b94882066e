/* Functions of numbers whose results do not depend on the system's libm, and
 * random numbers by their place. */
#include <float.h>
#include <math.h>

#include "train/train.h"

uint64_t ax_train_random(uint64_t seed, uint64_t stream, uint64_t i)
{
    const uint64_t parts[] = {seed, stream, i};
    uint64_t z = 0;

    for (int k = 0; k < 3; k++) {
        z = (z ^ parts[k]) + 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        z ^= z >> 31;
    }
    return z;
}

/* exp of what lies between -708 and 709, by the series of what is left of a
 * power of two; without a branch, so that compilers make vectors of it. */
static inline double exp_inside(double x)
{
    static const double c[] = {1.0,
                               1.0,
                               1.0 / 2,
                               1.0 / 6,
                               1.0 / 24,
                               1.0 / 120,
                               1.0 / 720,
                               1.0 / 5040,
                               1.0 / 40320,
                               1.0 / 362880,
                               1.0 / 3628800,
                               1.0 / 39916800,
                               1.0 / 479001600,
                               1.0 / 6227020800.0};
    double n = x * 1.4426950408889634 + 0x1.8p52, r, sum = c[13];
    union {
        double d;
        uint64_t u;
    } power = {n};

    n -= 0x1.8p52; /* the nearest whole number, which power's end holds */
    r = x - n * 0.69314718036912382 - n * 1.9082149292705877e-10;
    for (int k = 12; k >= 0; k--)
        sum = sum * r + c[k];
    power.u = (power.u + 1023) << 52;
    return sum * power.d;
}

double ax_train_exp(double x)
{
    if (isnan(x))
        return x;
    if (x > 709)
        return HUGE_VAL;
    if (x < -708)
        return 0;
    return exp_inside(x);
}

/* Parts without a branch; the lanes that have one are mended. */
TRAIN_CLONES
void train_exps(double *y, const float *x, size_t n, double less)
{
    double d[8] = {0};

    for (size_t i = 0; i < n && i < 8; i++)
        d[i] = (double)x[i] - less;
    for (int i = 0; i < 8; i++)
        y[i] = exp_inside(d[i]);
    for (size_t i = 0; i < n && i < 8; i++)
        if (!(d[i] >= -708 && d[i] <= 709))
            y[i] = ax_train_exp(d[i]);
}

double ax_train_log(double x)
{
    int e;
    double m = frexp(x, &e), s, sum = 0;

    if (m < 0.70710678118654752) {
        m *= 2;
        e--;
    }
    s = (m - 1) / (m + 1);
    for (int k = 25; k > 0; k -= 2)
        sum = sum * s * s + 1.0 / k;
    return e * 0.69314718055994531 + 2 * s * sum;
}
