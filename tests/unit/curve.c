/* Exponentials in integers, and the lines about exponentials and reciprocals,
 * against long double. */
#include <math.h>
#include <stdlib.h>

#include "ax/net.h"
#include "solver/curve.h"
#include "tap.h"

enum { N = 3, BITS = 24 };

static uint64_t seed = 7;

/* In [0, 1). */
static double noise(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(seed >> 11) * 0x1p-53;
}

static void values(void)
{
    bool close = true;

    for (int i = 0; i < 200000; i++) {
        int64_t x = (int64_t)ldexp(noise() - 0.5, 1 + (int)(noise() * 34));
        long double e = expl(ldexpl((long double)x, -28)) * (1 << 28);
        ax_i128 found = ax_exp(x);

        close &= fabsl((long double)found - e) <=
                 (long double)ax_exp_error(found);
    }
    OK(close);
    OK(ax_exp(0) == 1 << 28);
    OK(ax_exp(-AX_EXP_MOST) <= 2 && ax_exp(AX_EXP_MOST) > 0);
}

/* Lines and ranges of N variables; x has what they are made of. */
struct made {
    int32_t w[N];
    int64_t low[N], up[N], from[N], to[N];
    uint64_t m[N];
    struct curve c;
    struct range out;
};

static void room(struct made *a)
{
    a->c = (struct curve){.w = {a->w}, .low = a->low, .up = a->up};
    a->out = (struct range){.l = a->from, .u = a->to};
}

typedef bool maker(struct curve *, struct range *, const struct range *,
                   const uint32_t *, uint32_t, int, uint64_t *);

static long double inverse(long double v)
{
    return 1 / v;
}

/* Are all lines and ranges on their sides? The widest gap goes to gap. */
static bool sound(maker *make, long double (*f)(long double),
                  const struct range *x, double *gap)
{
    const uint32_t which[N] = {0, 1, 2};
    struct made a;
    bool good = true;

    room(&a);
    if (!make(&a.c, &a.out, x, which, N, BITS, a.m))
        return false;
    *gap = 0;
    for (int i = 0; i < N; i++) {
        for (int k = 0; k <= 64; k++) {
            long double v = ldexpl(
                (long double)x->l[i] +
                    ((long double)x->u[i] - (long double)x->l[i]) * k / 64,
                -x->t);
            long double y = f(v), slack = y * 1e-15L;
            long double line = ldexpl((long double)a.w[i], -a.c.scale[0]) * v;

            good &= line + ldexpl((long double)a.low[i], -a.c.at) <=
                    y + slack;
            good &= line + ldexpl((long double)a.up[i], -a.c.at) >= y - slack;
            good &= ldexpl((long double)a.from[i], -a.out.t) <= y + slack;
            good &= ldexpl((long double)a.to[i], -a.out.t) >= y - slack;
            good &= ldexpl((long double)a.m[i], -16) >= y - slack;
        }
        *gap = fmax(*gap, ldexp((double)(a.up[i] - a.low[i]), -a.c.at));
    }
    return good;
}

/* Variables between from and from + width, in the end at scale t. */
static struct range pick(int64_t *l, int64_t *u, double from, double width,
                         int t)
{
    for (int i = 0; i < N; i++) {
        double a = from + width * noise(), b = a + width * noise();

        l[i] = (int64_t)floor(ldexp(a, t));
        u[i] = (int64_t)ceil(ldexp(b, t));
    }
    return (struct range){l, u, t};
}

static void lines(void)
{
    int64_t l[N], u[N];
    bool good = true, tight = true, told = true;
    double gap;

    for (int i = 0; i < 5000; i++) {
        double width = ldexp(noise(), (int)(noise() * 14) - 8);
        double from = -40 + noise() * (72 - 2 * width);
        struct range x = pick(l, u, from, width, 22);

        if (from + 2 * width < 31.9)
            good &= sound(curve_exp, expl, &x, &gap);
    }
    OK(good);
    for (int i = 0; i < 1000; i++) { /* With the square of the width. */
        struct range x = pick(l, u, -1, 0.125, 26);

        told &= sound(curve_exp, expl, &x, &gap);
        tight &= gap < 0.008;
    }
    OK(told);
    OK(tight);
    for (int i = 0; i < 1000; i++) {
        struct range x = pick(l, u, 32, 0.5, 22);

        told &= !sound(curve_exp, expl, &x, &gap);
    }
    OK(told);
    for (int i = 0; i < 5000; i++) {
        struct range x = pick(l, u, 0.125 + noise(), 8 * noise(), 25);

        good &= sound(curve_reciprocal, inverse, &x, &gap);
    }
    OK(good);
}

int main(void)
{
    values();
    lines();
    return tap_done();
}
