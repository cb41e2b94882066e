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

double ax_train_exp(double x)
{
    double n, r, sum = 1;

    if (isnan(x))
        return x;
    if (x > 709)
        return HUGE_VAL;
    if (x < -708)
        return 0;
    n = floor(x * 1.4426950408889634 + 0.5);
    r = x - n * 0.69314718036912382 - n * 1.9082149292705877e-10;
    for (int k = 14; k > 0; k--)
        sum = 1 + sum * r / k;
    return ldexp(sum, (int)n);
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
