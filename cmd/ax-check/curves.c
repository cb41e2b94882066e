/* curves.c - lines about products, reciprocals and exponentials: ax-cert(5),
 * Curves. Bounds that they are made of are below 2^30 in magnitude. */
#include "island.h"

static i128 up_quotient(i128 n, int64_t d) /* n >= 0, d > 0 */
{
    return n / d + (n % d > 0);
}

/* The factor t of row i, at the scale that the lines of the node have. */
static struct range factor(const struct net *net, const struct box *b,
                           const struct node *n, uint64_t i, int t)
{
    struct range v = range_of(net, b, n->var[n->at[i] + (uint64_t)t]);
    int d = 30 - (int)n->scale;
    return (struct range){v.l >> d, -(-v.u >> d), v.t - d};
}

static struct range product_range(const struct net *net, const struct box *b,
                                  const struct node *n, uint64_t i)
{
    struct range x = factor(net, b, n, i, 0), y = factor(net, b, n, i, 1), z;
    int64_t p = x.l * y.l, q = x.l * y.u, r = x.u * y.l, s = x.u * y.u;
    z = (struct range){-larger(larger(-p, -q), larger(-r, -s)),
                       larger(larger(p, q), larger(r, s)), x.t + y.t};
    if (n->var[n->at[i]] == n->var[n->at[i] + 1])
        z.l = x.l > 0 ? p : x.u < 0 ? s : 0;
    return z;
}

static i128 greater(i128 a, i128 b)
{
    return a > b ? a : b;
}

/* What an exponential is made of: p and r, and e^ of them. */
struct ends {
    int64_t p, r;
    i128 first, last;
};

static const int64_t farthest = 1ll << 33;

static struct ends ends(const struct net *net, const struct box *b,
                        const struct node *n, uint64_t i)
{
    struct range v = range_of(net, b, n->var[i]);
    int64_t by = v.t - 28;
    i128 p = v.l, r = v.u;
    if (by >= 0) {
        p >>= by < 127 ? by : 127;
        r = -(-r >> (by < 127 ? by : 127));
    } else {
        p *= (i128)1 << (by > -64 ? -by : 64); /* that is out of range */
        r *= (i128)1 << (by > -64 ? -by : 64);
    }
    p = greater(p < farthest ? p : farthest, INT64_MIN);
    r = greater(r, -farthest);
    r = r > farthest ? farthest + 1 : r;
    return (struct ends){(int64_t)p, (int64_t)r,
                         exponential((int64_t)greater(p, -farthest)),
                         exponential(r > farthest ? farthest : (int64_t)r)};
}

struct range range_of(const struct net *net, const struct box *b,
                      uint32_t var)
{
    uint32_t k = net->owner[var];
    const struct node *n = &net->nodes[k];
    uint64_t i = var - n->base;
    struct range v;
    i128 unit;
    if (n->kind == HOLD)
        return (struct range){b->l[var], b->u[var], b->t[k]};
    if (n->kind == PRODUCT)
        return product_range(net, b, n, i);
    if (n->kind == EXPONENTIAL) {
        struct ends e = ends(net, b, n, i);
        i128 low = e.first - exponential_error(e.first);
        int h = 28 - (int)b->t[k];
        low = e.p < -farthest ? 0 : greater(low, 0) >> h;
        return (struct range){
            (int64_t)low,
            (int64_t) - (-(e.last + exponential_error(e.last)) >> h),
            b->t[k]};
    }
    v = range_of(net, b, n->var[i]); /* positive; t_k = 59 - t + a */
    unit = (i128)1 << (b->t[k] + v.t);
    return (struct range){(int64_t)((unit / v.u) >> 31),
                          (int64_t) - (-up_quotient(unit, v.l) >> 31),
                          b->t[k] - 31};
}

int64_t curve_scale(const struct net *net, const struct box *b, uint32_t k,
                    uint32_t source)
{
    const struct node *n = &net->nodes[k];
    uint32_t other = n->n_sources > 1 && source == n->sources[0];
    if (n->kind != PRODUCT)
        return b->s[k];
    source = n->sources[other];
    return b->t[source] - (net->nodes[source].kind == HOLD ? 0 : 31) - 30 +
           n->scale;
}

static void products(const struct net *net, struct box *b, uint32_t k)
{
    const struct node *n = &net->nodes[k];
    for (uint64_t i = 0; i < n->n; i++) {
        struct range x = factor(net, b, n, i, 0), y = factor(net, b, n, i, 1);
        int64_t cx = (x.l + x.u) >> 1, cy = (y.l + y.u) >> 1;
        int64_t off = (x.u - cx) * (y.u - cy);
        bool square = n->var[n->at[i]] == n->var[n->at[i] + 1];
        b->t[k] = x.t + y.t;
        b->below[n->base + i] = cy;
        b->above[n->base + i] = cx;
        b->l[n->base + i] = (square ? 0 : -off) - cx * cy;
        b->u[n->base + i] = off - cx * cy;
    }
}

int64_t square_root(i128 v)
{
    int64_t r = 0;
    for (int64_t by = 1ll << 61; by > 0; by /= 2)
        r += (i128)(r + by) * (r + by) <= v ? by : 0;
    return r;
}

/* slope p 2^e, or more: below 2^62. */
static i128 scaled(int64_t slope, int64_t p, int e)
{
    i128 v = (i128)slope * p;
    return e < 0 ? -(-v >> -e) : v * ((i128)1 << e);
}

static void reciprocals(struct run *r, const struct net *net, struct box *b,
                        uint32_t k)
{
    const struct node *n = &net->nodes[k];
    int64_t low = INT64_MAX, least = INT64_MAX, t = 0;
    int d = 30 - (int)n->scale, wide, few;
    for (uint64_t i = 0; i < n->n; i++) {
        struct range v = range_of(net, b, n->var[i]);
        if (v.l <= 0)
            refuse(r, REJECTED, "a divisor may be 0");
        low = v.l < low ? v.l : low;
        least = v.l * v.u < least ? v.l * v.u : least;
        t = v.t;
    }
    few = bits(low);
    wide = bits(least);
    b->s[k] = wide + 28 - d - 2 * t;
    b->t[k] = 59 - t + few;
    for (uint64_t i = 0; i < n->n; i++) {
        struct range v = range_of(net, b, n->var[i]);
        int64_t slope = (int64_t)(((i128)1 << (wide + 28 - d)) / (v.l * v.u));
        i128 unit = (i128)1 << (59 + few);
        int e = 31 + few - wide + d;
        int64_t at_l = (int64_t)(up_quotient(unit, v.l) +
                                 scaled(slope, v.l, e));
        int64_t at_u = (int64_t)(up_quotient(unit, v.u) +
                                 scaled(slope, v.u, e));
        b->below[n->base + i] = -slope;
        b->u[n->base + i] = larger(at_l, at_u);
        b->l[n->base + i] = square_root(
            slope * ((i128)1 << (92 + 2 * few - wide + d)));
    }
}

static int over(i128 v, int most) /* bits of v > 0 beyond most */
{
    int n = 0;
    while (v >> n >= (i128)1 << most)
        n++;
    return n;
}

/* Where e^x has the slope of the line from end to end, or less. */
static int64_t touch(const struct ends *v)
{
    i128 slope = v->last;
    int64_t d = -farthest;
    if (v->p < v->r)
        slope = (greater(0, v->last - v->first) << 28) / (v->r - v->p);
    for (int b = 33; b >= 16; b--)
        if (d + (1ll << b) <= farthest &&
            exponential(d + (1ll << b)) <= slope)
            d += 1ll << b;
    return d;
}

/* A line with a slope that passes through y, or above, at v: where at 0. */
static i128 meets(i128 slope, int64_t v, i128 y)
{
    return y + exponential_error(y) - ((slope * v) >> 28);
}

static void exponentials(struct run *r, const struct net *net, struct box *b,
                         uint32_t k)
{
    const struct node *n = &net->nodes[k];
    int64_t *d = get(r, n->n, sizeof *d);
    i128 steepest = 0, most = 0;
    int g, h;
    for (uint64_t i = 0; i < n->n; i++) {
        struct ends v = ends(net, b, n, i);
        if (v.p < -(1ll << 36) || v.r > farthest)
            refuse(r, REJECTED, "an exponential of more than 32");
        d[i] = touch(&v);
        steepest = greater(steepest, exponential(d[i]));
        most = greater(most, v.last);
    }
    g = over(steepest, (int)n->scale);
    h = over(most, 48);
    b->s[k] = 28 - g;
    b->t[k] = 28 - h;
    for (uint64_t i = 0; i < n->n; i++) {
        struct ends v = ends(net, b, n, i);
        i128 steep = exponential(d[i]), err = exponential_error(steep);
        i128 slope = steep >> g << g, far = (1 << 28) - d[i];
        i128 up = greater(meets(slope, v.p, v.first),
                          meets(slope, v.r, v.last));
        i128 low = (steep * far) >> 28;
        low -= (err * greater(far, -far)) >> 28;
        low -= ((((i128)1 << g) + err) *
                greater(larger(-v.p, v.p), larger(-v.r, v.r))) >>
               28;
        b->below[n->base + i] = (int64_t)(steep >> g);
        b->u[n->base + i] = (int64_t) - (-up >> h);
        b->l[n->base + i] = (int64_t)((low - 2) >> h);
    }
    give(r, d);
}

/* M = ceil(v 2^(16 - t)), v >= 0 */
void curve_bounds(struct run *r, const struct net *net, struct box *b,
                  uint32_t k)
{
    const struct node *n = &net->nodes[k];
    if (n->kind == PRODUCT)
        products(net, b, k);
    else if (n->kind == EXPONENTIAL)
        exponentials(r, net, b, k);
    else
        reciprocals(r, net, b, k);
    for (uint32_t i = 0; i < n->n; i++) {
        struct range v = range_of(net, b, n->base + i);
        int64_t most = larger(-v.l, v.u), by = v.t - 16;
        if (by >= 0)
            b->m[n->base + i] = -(-most >> (by < 63 ? by : 63));
        else if (most > 0 && (by <= -62 || most >> (62 + by) > 0))
            refuse(r, REJECTED, "variables are too large");
        else
            b->m[n->base + i] = most > 0 ? most << -by : 0;
    }
}
