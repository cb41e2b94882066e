/* What is curved between bounds lies between two parallel lines: a product
 * about the plane that touches it in the middle of its box, a reciprocal
 * about its chord. */
#include <stdbool.h>

#include "curve.h"

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
