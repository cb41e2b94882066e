/* The smooth functions in integers and the lines about them, against long
 * double. */
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

static const enum ax_net_kind kinds[] = {
    AX_NET_SIGMOID, AX_NET_SINE, AX_NET_COSINE, AX_NET_ERF, AX_NET_GELU};

static long double exact(enum ax_net_kind kind, long double v)
{
    switch (kind) {
    case AX_NET_SINE:
        return (1 + sinl(v)) / 2;
    case AX_NET_COSINE:
        return (1 + cosl(v)) / 2;
    case AX_NET_ERF:
        return (1 + erfl(v)) / 2;
    case AX_NET_GELU: /* erfc has digits where erf is near -1 */
        return (1 + v * erfcl(-v / sqrtl(2)) / 2) / 2;
    default:
        return 1 / (1 + expl(-v));
    }
}

/* Off by no more than it says. */
static void values(enum ax_net_kind kind)
{
    long double worst = 0;

    for (int i = 0; i < 200000; i++) {
        int64_t x = (int64_t)ldexp(noise() - 0.5, (int)(noise() * 36));
        long double off = fabsl(exact(kind, ldexpl((long double)x, -28)) *
                                    (1 << 28) -
                                (long double)ax_smooth(kind, x));

        worst = off > worst ? off : worst;
    }
    printf("# kind %d: off by %.2Lf\n", (int)kind, worst);
    OK(worst <= (long double)ax_smooth_error(kind));
    for (int side = -1; side <= 1; side++) {
        int64_t x = side * AX_SMOOTH_FAR;
        long double off = fabsl(exact(kind, ldexpl((long double)x, -28)) *
                                    (1 << 28) -
                                (long double)ax_smooth(kind, x));

        OK(off <= (long double)ax_smooth_error(kind));
    }
}

static void sigmoid(void)
{
    bool symmetric = true;

    for (int i = 0; i < 20000; i++) {
        int64_t x = (int64_t)ldexp(noise() - 0.5, (int)(noise() * 37));

        symmetric &= ax_sigmoid(x) + ax_sigmoid(-x) == AX_SIGMOID_ONE;
    }
    OK(symmetric);
    OK(ax_sigmoid(0) == AX_SIGMOID_ONE / 2);
    OK(ax_sigmoid(INT64_MIN) == 0 && ax_sigmoid(INT64_MAX) == 1 << 28);
}

/* Both lines are on their side of the function between l and u; how far apart
 * they are. */
static double between(enum ax_net_kind kind, double l, double u, bool *sound)
{
    struct smooth s;

    *sound &= smooth_between(&s, kind, (int64_t)floor(ldexp(l, 28)),
                             (int64_t)ceil(ldexp(u, 28)));
    *sound &= llabs(s.slope) <= 1 << 28;
    for (int i = 0; i <= 97; i++) { /* not where the pieces meet */
        long double v = l + (u - l) * i / 97;
        long double y = exact(kind, v) * (1 << 28);
        long double line = ldexpl((long double)s.slope, -28) * ldexpl(v, 28);

        *sound &= line + (long double)s.low <= y &&
                  y <= line + (long double)s.up;
        *sound &= fabsl(ldexpl(v, 28)) <= (long double)s.most || !s.slope;
    }
    return ldexp((double)(s.up - s.low), -28);
}

static void lines(enum ax_net_kind kind)
{
    bool sound = true, tight = true;
    struct smooth s;

    for (int i = 0; i < 20000; i++) {
        double l = ldexp(noise() - 0.5, (int)(noise() * 10));
        double w = ldexp(noise(), (int)(noise() * 16) - 10);

        between(kind, l, l + w, &sound);
    }
    OK(sound);
    /* The gap goes with the square of the width: |y''| w^2 / 8. */
    for (int i = 0; i < 2000; i++) {
        double l = 8 * (noise() - 0.5);

        tight &= between(kind, l, l + 0.5, &sound) < 0.016;
        tight &= between(kind, l, l + 0.125, &sound) < 0.001;
    }
    OK(sound && tight);
    OK(between(kind, 2, 2, &sound) < 1e-6 && sound);
    if (kind == AX_NET_GELU) {
        OK(between(kind, -1e3, 1e3, &sound) < 501 && sound);
        OK(!smooth_between(&s, kind, 0, INT64_MAX));
    } else {
        OK(between(kind, -1e3, 1e3, &sound) == 1 && sound);
        OK(smooth_between(&s, kind, INT64_MIN, INT64_MAX));
    }
}

int main(void)
{
    bool sound = true;

    sigmoid();
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        values(kinds[i]);
        lines(kinds[i]);
    }
    OK(between(AX_NET_SIGMOID, 20, 30, &sound) < 1e-5 && sound);
    OK(between(AX_NET_SINE, -50, 50, &sound) == 1 && sound);
    return tap_done();
}
