/* Two parallel lines about a smooth function.
 *
 * Of a sigmoid the slope is that of the chord, or nearly, that of the sigmoid
 * at d; the sigmoid less such a line is greatest at d or at a bound, and
 * least at -d or at a bound. Of the others it is that of the chord; between
 * two points next to each other the function is near the chord of these. */
#include "smooth.h"

#define ONE        AX_SIGMOID_ONE
#define WIDE       AX_SMOOTH_FAR
#define STEP       32 /* the first of the bisection */
#define LOG_PIECES 6
#define WAVE       ((int64_t)1 << 30) /* a longer one has only its range */
#define MOST_FAR   ((int64_t)1 << 44)

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

static int64_t min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void about_sigmoid(struct smooth *s, int64_t l, int64_t u)
{
    int64_t chord = ONE / 4, d, off;

    if (u > l)
        chord = max(0, ax_sigmoid(u) - ax_sigmoid(l)) * ONE / (u - l);
    d = find(chord);
    s->slope = slope_at(d) >> 28;
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

static int64_t chord_slope(enum ax_net_kind kind, int64_t l, int64_t u)
{
    bool wave = kind == AX_NET_SINE || kind == AX_NET_COSINE;
    ax_i128 rise;

    if (u == l || (wave && u - l >= WAVE))
        return 0;
    rise = (ax_i128)(ax_smooth(kind, u) - ax_smooth(kind, l)) * ONE;
    rise = rise / (u - l) - (rise % (u - l) < 0); /* floor */
    return rise < -ONE ? -ONE : rise > ONE ? ONE : (int64_t)rise;
}

/* |y''| <= 1/2: over a piece of length h it is h^2 / 16 from its chord. */
static void about_pieces(struct smooth *s, enum ax_net_kind kind, int64_t l,
                         int64_t u)
{
    int64_t step = ((u - l) >> LOG_PIECES) + 1;
    int64_t off = ax_smooth_error(kind) + ((step * step) >> 32) + 1;

    s->slope = chord_slope(kind, l, u);
    s->up = INT64_MIN;
    s->low = INT64_MAX;
    for (int i = 0; i <= 1 << LOG_PIECES; i++) {
        int64_t p = l + (((u - l) * i) >> LOG_PIECES);
        int64_t z = ax_smooth(kind, p) - ((s->slope * p) >> 28);

        s->up = max(s->up, z);
        s->low = min(s->low, z);
    }
    s->up += off;
    s->low -= off + 1;
    if (s->slope == 0 && kind != AX_NET_GELU) {
        s->up = min(s->up, ONE);
        s->low = max(s->low, 0);
    }
}

bool smooth_between(struct smooth *s, enum ax_net_kind kind, int64_t l,
                    int64_t u)
{
    *s = (struct smooth){.up = ONE};
    if (l < -WIDE || u > WIDE) {
        if (kind == AX_NET_GELU) {
            s->low = ONE / 4;
            s->up = ONE / 2 + (max(0, u) >> 1) + 1;
        }
        return kind != AX_NET_GELU || u < MOST_FAR;
    }
    s->most = max(max(l, -l), max(u, -u));
    if (kind == AX_NET_SIGMOID)
        about_sigmoid(s, l, u);
    else
        about_pieces(s, kind, l, u);
    return true;
}
