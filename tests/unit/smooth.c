/* The sigmoid in integers and the lines about it, against long double. */
#include <math.h>
#include <stdlib.h>

#include "ax/net.h"
#include "solver/smooth.h"
#include "tap.h"

static uint64_t seed = 7;

/* In [0, 1). */
static double noise(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(seed >> 11) * 0x1p-53;
}

static long double exact(long double v)
{
    return 1 / (1 + expl(-v));
}

/* Off by no more than it says, and symmetric. */
static void values(void)
{
    long double worst = 0;
    bool symmetric = true;

    for (int i = 0; i < 200000; i++) {
        int64_t x = (int64_t)ldexp(noise() - 0.5, (int)(noise() * 37));
        long double off = fabsl(exact(ldexpl((long double)x, -28)) *
                                    (1 << 28) -
                                (long double)ax_sigmoid(x));

        worst = off > worst ? off : worst;
        symmetric &= ax_sigmoid(x) + ax_sigmoid(-x) == AX_SIGMOID_ONE;
    }
    OK(worst <= AX_SIGMOID_ERROR);
    OK(symmetric);
    OK(ax_sigmoid(0) == AX_SIGMOID_ONE / 2);
    OK(ax_sigmoid(INT64_MIN) == 0 && ax_sigmoid(INT64_MAX) == 1 << 28);
}

/* Both lines are on their side of the sigmoid between l and u; how far apart
 * they are. */
static double between(double l, double u, bool *sound)
{
    struct smooth s;

    smooth_between(&s, (int64_t)floor(ldexp(l, 28)),
                   (int64_t)ceil(ldexp(u, 28)));
    for (int i = 0; i <= 64; i++) {
        long double v = l + (u - l) * i / 64;
        long double y = exact(v) * (1 << 28);
        long double line = ldexpl((long double)s.slope, -28) * ldexpl(v, 28);

        *sound &= line + (long double)s.low <= y &&
                  y <= line + (long double)s.up;
        *sound &= fabsl(ldexpl(v, 28)) <= (long double)s.most || !s.slope;
    }
    return ldexp((double)(s.up - s.low), -28);
}

static void lines(void)
{
    bool sound = true, tight = true;

    for (int i = 0; i < 20000; i++) {
        double l = ldexp(noise() - 0.5, (int)(noise() * 10));
        double w = ldexp(noise(), (int)(noise() * 16) - 10);

        between(l, l + w, &sound);
    }
    OK(sound);
    /* The gap goes with the square of the width. */
    for (int i = 0; i < 2000; i++) {
        double l = 8 * (noise() - 0.5);

        tight &= between(l, l + 0.5, &sound) < 0.006;
        tight &= between(l, l + 0.125, &sound) < 0.0004;
    }
    OK(sound && tight);
    OK(between(-1e3, 1e3, &sound) == 1 && sound);
    OK(between(2, 2, &sound) < 1e-6 && sound);
    OK(between(20, 30, &sound) < 1e-5 && sound);
}

int main(void)
{
    values();
    lines();
    return tap_done();
}
