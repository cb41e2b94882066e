/* Two parallel lines about a sigmoid: their slope is that of the chord, or
 * nearly, that of the sigmoid at d; the sigmoid less such a line is greatest
 * at d or at a bound, and least at -d or at a bound. */
#include "smooth.h"

#include "ax/net.h"

#define ONE  AX_SIGMOID_ONE
#define WIDE ((int64_t)1 << 34)
#define STEP 32 /* the first of the bisection */

/* sigmoid'(d) = sigmoid(d) (1 - sigmoid(d)), at scale 56. */
static int64_t slope_at(int64_t d)
{
    int64_t s = ax_sigmoid(d);

    return s * (ONE - s);
}

/* Where the slope is no less than that. */
static int64_t find(int64_t slope)
{
    int64_t d = 0;

    for (int b = STEP; b >= 0; b--)
        if (slope_at(d + ((int64_t)1 << b)) >= slope * ONE)
            d += (int64_t)1 << b;
    return d;
}

static int64_t max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* What a line of that slope through the sigmoid at p has at 0, at most. */
static int64_t above(int64_t slope, int64_t p)
{
    return ax_sigmoid(p) + AX_SIGMOID_ERROR - ((slope * p) >> 28);
}

void smooth_between(struct smooth *s, int64_t l, int64_t u)
{
    int64_t chord = ONE / 4, d, off;

    *s = (struct smooth){.up = ONE};
    if (l < -WIDE || u > WIDE)
        return;
    if (u > l)
        chord = max(0, ax_sigmoid(u) - ax_sigmoid(l)) * ONE / (u - l);
    d = find(chord);
    s->slope = slope_at(d) >> 28;
    s->most = max(max(l, -l), max(u, -u));
    off = (s->most >> 25) + 1;
    s->up = max(above(s->slope, l), above(s->slope, u));
    /* By symmetry: sigmoid(-v) = 1 - sigmoid(v), as S is. */
    s->low = max(above(s->slope, -l), above(s->slope, -u));
    if (l < d && d < u)
        s->up = max(s->up, above(s->slope, d));
    if (l < -d && -d < u)
        s->low = max(s->low, above(s->slope, d));
    s->up += off;
    s->low = ONE - (s->low + off);
}
