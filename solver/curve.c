/* What is curved between bounds lies between two parallel lines: a product
 * about the plane that touches it in the middle of its box, a reciprocal
 * about its chord. */
#include <stdbool.h>

#include "curve.h"

#include "ax/net.h"

typedef __int128 i128;
typedef unsigned __int128 u128;

static int64_t max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int bits(uint64_t v)
{
    return v ? 64 - __builtin_clzll(v) : 0;
}

/* ceil(v 2^-by), or 2^62 if that is more; v >= 0. */
static uint64_t ceil_down(i128 v, int by)
{
    const i128 most = (i128)1 << 62;

    if (by > 0)
        v = by > 126 ? v > 0 : -((-v) >> by);
    else if (v > 0)
        v = -by > 62 || v > most >> -by ? most : v << -by;
    return (uint64_t)(v < most ? v : most);
}

/* Bounds of the product of what lies in two ranges, or of a square. */
static void corners(int64_t *l, int64_t *u, int64_t xl, int64_t xu,
                    int64_t yl, int64_t yu, bool square)
{
    int64_t a = xl * yl, b = xl * yu, c = xu * yl, d = xu * yu;

    *u = max(max(a, b), max(c, d));
    *l = -max(max(-a, -b), max(-c, -d));
    if (square)
        *l = xl > 0 ? a : xu < 0 ? d : 0;
}

void curve_product(struct curve *c, struct range *out, const struct range *x,
                   const struct range *y, const uint32_t *a,
                   const uint32_t *b, uint32_t n, int k, bool same,
                   uint64_t *m)
{
    int d = RANGE_BITS + 1 - k, tx = x->t - d, ty = y->t - d;

    c->scale[0] = ty;
    c->scale[1] = tx;
    c->at = out->t = tx + ty;
    for (uint32_t i = 0; i < n; i++) {
        /* Outwards. */
        int64_t xl = x->l[a[i]] >> d, xu = -(-x->u[a[i]] >> d);
        int64_t yl = y->l[b[i]] >> d, yu = -(-y->u[b[i]] >> d);
        int64_t cx = (xl + xu) >> 1, cy = (yl + yu) >> 1;
        int64_t off = (xu - cx) * (yu - cy);
        bool square = same && a[i] == b[i];

        c->w[0][same ? 2 * i : i] = (int32_t)cy;
        *(same ? &c->w[0][2 * i + 1] : &c->w[1][i]) = (int32_t)cx;
        c->up[i] = off - cx * cy;
        c->low[i] = (square ? 0 : -off) - cx * cy;
        corners(&out->l[i], &out->u[i], xl, xu, yl, yu, square);
        m[i] = ceil_down(max(-out->l[i], out->u[i]), c->at - 16);
    }
}

/* floor(sqrt(v)) */
static uint64_t root(u128 v)
{
    uint64_t r = 0;

    for (int b = 63; b >= 0; b--) {
        uint64_t to = r | (uint64_t)1 << b;

        if ((u128)to * to <= v)
            r = to;
    }
    return r;
}

static i128 shifted(i128 v, int by)
{
    return by >= 0 ? v * ((i128)1 << by) : -((-v) >> -by);
}

bool curve_reciprocal(struct curve *c, struct range *out,
                      const struct range *x, const uint32_t *a, uint32_t n,
                      int k, uint64_t *m)
{
    int64_t least = INT64_MAX, low = INT64_MAX;
    int d = RANGE_BITS + 1 - k, wide, narrow;
    i128 one;

    for (uint32_t i = 0; i < n; i++) {
        int64_t l = x->l[a[i]], u = x->u[a[i]];

        if (l <= 0)
            return false;
        low = l < low ? l : low;
        least = l * u < least ? l * u : least;
    }
    wide = bits((uint64_t)least);
    narrow = bits((uint64_t)low);
    one = (i128)1 << (59 + narrow);
    c->scale[0] = wide + 28 - d - 2 * x->t;
    c->at = 59 - x->t + narrow;
    out->t = c->at - 31;
    for (uint32_t i = 0; i < n; i++) {
        int64_t l = x->l[a[i]], u = x->u[a[i]];
        int64_t slope = (int64_t)(((i128)1 << (wide + 28 - d)) / (l * u));
        i128 at_l = (one + l - 1) / l +
                    shifted((i128)slope * l, 31 + narrow - wide + d);
        i128 at_u = (one + u - 1) / u +
                    shifted((i128)slope * u, 31 + narrow - wide + d);

        c->w[0][i] = (int32_t)-slope;
        c->up[i] = (int64_t)(at_l > at_u ? at_l : at_u);
        c->low[i] = (int64_t)root((u128)slope
                                  << (92 + 2 * narrow - wide + d));
        out->l[i] = (int64_t)((one / u) >> 31);
        out->u[i] = (int64_t) - ((-((one + l - 1) / l)) >> 31);
        m[i] = ceil_down(out->u[i], out->t - 16);
    }
    return true;
}

#define EXP_SCALE 28
#define EXP_BITS  48
#define EXP_LEAST ((i128)1 << 36)

/* The greatest p with E(p) <= slope, or the least there is. */
static int64_t where_steep(i128 slope)
{
    int64_t p = -AX_EXP_MOST;

    for (int b = 33; b >= 16; b--) { /* 2^-12 is near enough */
        int64_t to = p + ((int64_t)1 << b);

        if (to <= AX_EXP_MOST && ax_exp(to) <= slope)
            p = to;
    }
    return p;
}

static i128 magnitude(i128 v)
{
    return v < 0 ? -v : v;
}

static int bits128(i128 v) /* v >= 0 */
{
    return v >> 63 ? 63 + bits((uint64_t)(v >> 63)) : bits((uint64_t)v);
}

/* floor(v 2^-t 2^28) */
static i128 to_28(int64_t v, int t)
{
    int by = t - EXP_SCALE;

    return by >= 0 ? (i128)v >> (by < 127 ? by : 127)
                   : (i128)v * ((i128)1 << (by > -64 ? -by : 64));
}

/* The bounds of the arguments at scale 28, in l and u, and where the tangent
 * below touches, in p. False: they are too far out. */
static bool exp_bounds(const struct range *x, const uint32_t *a, uint32_t n,
                       int64_t *l, int64_t *u, int64_t *p)
{
    for (uint32_t i = 0; i < n; i++) {
        i128 from = to_28(x->l[a[i]], x->t), to = -to_28(-x->u[a[i]], x->t);
        i128 slope;

        if (to > AX_EXP_MOST || from < -EXP_LEAST)
            return false;
        l[i] = (int64_t)from;
        u[i] = max((int64_t)to, -AX_EXP_MOST);
        slope = ax_exp(u[i]);
        if (u[i] > l[i]) {
            i128 rise = slope - ax_exp(max(l[i], -AX_EXP_MOST));

            slope = ((rise > 0 ? rise : 0) << EXP_SCALE) / (u[i] - l[i]);
        }
        p[i] = where_steep(slope);
    }
    return true;
}

bool curve_exp(struct curve *c, struct range *out, const struct range *x,
               const uint32_t *a, uint32_t n, int k, uint64_t *m)
{
    i128 steepest = 0, most = 0;
    int h, g;

    /* They wait where the bounds of e^x go in the end. */
    if (!exp_bounds(x, a, n, out->l, out->u, c->low))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        i128 steep = ax_exp(c->low[i]), last = ax_exp(out->u[i]);

        steepest = steep > steepest ? steep : steepest;
        most = last > most ? last : most;
    }
    h = bits128(steepest) > k ? bits128(steepest) - k : 0;
    g = bits128(most) > EXP_BITS ? bits128(most) - EXP_BITS : 0;
    c->scale[0] = EXP_SCALE - h;
    c->at = out->t = EXP_SCALE - g;
    for (uint32_t i = 0; i < n; i++) {
        int64_t l = out->l[i], u = out->u[i],
                far = AX_SIGMOID_ONE - c->low[i];
        i128 first = ax_exp(max(l, -AX_EXP_MOST)), last = ax_exp(u);
        i128 steep = ax_exp(c->low[i]), off = ax_exp_error(steep);
        i128 slope = steep >> h << h, low, up, end;

        /* The tangent, less what its slope is off by. */
        low = ((steep * far) >> EXP_SCALE) -
              ((off * magnitude(far)) >> EXP_SCALE) -
              (((((i128)1 << h) + off) * max(max(-l, l), max(-u, u))) >>
               EXP_SCALE) -
              2;
        up = first + ax_exp_error(first) - ((slope * l) >> EXP_SCALE);
        end = last + ax_exp_error(last) - ((slope * u) >> EXP_SCALE);
        up = end > up ? end : up;
        c->w[0][i] = (int32_t)(steep >> h);
        c->low[i] = (int64_t)(low >> g);
        c->up[i] = (int64_t) - (-up >> g);
        first = l < -AX_EXP_MOST ? 0 : first - ax_exp_error(first);
        out->l[i] = (int64_t)((first > 0 ? first : 0) >> g);
        out->u[i] = (int64_t) - (-(last + ax_exp_error(last)) >> g);
        m[i] = ceil_down(out->u[i], out->t - 16);
    }
    return true;
}
