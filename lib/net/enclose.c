/* Values of a network in intervals of doubles that enclose them, where there
 * are no exact ones: a sum is computed in plain doubles and widened by a
 * bound of all its rounding (Higham, Accuracy and Stability of Numerical
 * Algorithms, section 4.2). */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "lowering.h"

struct interval {
    double lo, hi;
};

struct enclosure {
    const struct ax_net *net;
    struct interval **v; /* [n_nodes] */
    struct interval *room;
    /* What inputs the values are for: those of a group's conjunctions that
     * fix these. */
    bool evaluated;
    const struct ax_group *group;
    const bool *fixed;
};

bool net_irrational(const struct ax_net *net)
{
    for (uint32_t k = 0; k < net->n_nodes; k++)
        if (ax_net_smooth(net->nodes[k].kind) || net->nodes[k].root ||
            ax_net_curved(net->nodes[k].kind))
            return true;
    return false;
}

/* A sum in the making: both ends, the sum of all magnitudes, the terms. */
struct sum {
    double lo, hi, abs;
    uint64_t n;
};

static void add(struct sum *s, double w, struct interval v)
{
    s->lo += w * (w < 0 ? v.hi : v.lo);
    s->hi += w * (w < 0 ? v.lo : v.hi);
    s->abs += fabs(w) * fmax(fabs(v.lo), fabs(v.hi));
    s->n++;
}

/* Each of n products and n sums is off by 2^-53 of what it is at most, and by
 * what underflows; twice that also covers how abs was rounded. */
static struct interval widened(const struct sum *s)
{
    double off = ((double)s->n + 4) * DBL_EPSILON * 2 * s->abs +
                 ((double)s->n + 4) * DBL_MIN;

    return (struct interval){s->lo - off, s->hi + off};
}

static void add_block(struct sum *s, const struct enclosure *e,
                      const struct ax_block *b, uint32_t i)
{
    const struct interval *v = e->v[b->source];
    uint32_t n = e->net->nodes[b->source].n;

    if (b->form == AX_BLOCK_SAME)
        add(s, 1, v[i]);
    for (uint32_t j = 0; b->form == AX_BLOCK_DENSE && j < n; j++)
        add(s, b->w[(size_t)i * n + j], v[j]);
    for (uint64_t t = b->form == AX_BLOCK_SPARSE ? b->row_ptr[i] : 1;
         b->form == AX_BLOCK_SPARSE && t < b->row_ptr[i + 1]; t++)
        add(s, b->w ? b->w[t] : b->wq ? (double)b->wq[t] : 1, v[b->col[t]]);
}

/* The next double on the side of `side`. */
static double outwards(double v, double side)
{
    return nextafter(v, side);
}

static struct interval product(struct interval x, struct interval y)
{
    double a = x.lo * y.lo, b = x.lo * y.hi, c = x.hi * y.lo, d = x.hi * y.hi;
    double lo = fmin(fmin(a, b), fmin(c, d));
    double hi = fmax(fmax(a, b), fmax(c, d));

    if (isnan(a) || isnan(b) || isnan(c) || isnan(d))
        return (struct interval){-INFINITY, INFINITY};
    return (struct interval){outwards(lo, -INFINITY), outwards(hi, INFINITY)};
}

static struct interval reciprocal(struct interval v)
{
    if (!(v.lo > 0))
        return (struct interval){-INFINITY, INFINITY};
    return (struct interval){outwards(1 / v.hi, -INFINITY),
                             outwards(1 / v.lo, INFINITY)};
}

/* In integers; what is too large has no bound. */
static struct interval exponential(struct interval v)
{
    const double one = AX_SIGMOID_ONE, most = 32;
    struct interval y = {0, INFINITY};

    if (v.lo > -most && v.lo < most) {
        ax_i128 e = ax_exp((int64_t)floor(v.lo * one));

        y.lo = fmax(outwards((double)(e - ax_exp_error(e)) / one, 0), 0);
    }
    if (v.hi < most) {
        ax_i128 e = ax_exp((int64_t)ceil(fmax(v.hi, -most) * one));

        y.hi = outwards((double)(e + ax_exp_error(e)) / one, INFINITY);
    }
    return y;
}

/* Of a Gelu, beyond 64 on a side: gelu(v) is max(0, v) less at most 1/4, and
 * less than 2^-27 where all of v is beyond. */
static struct interval far_gelu(struct interval v, bool all)
{
    const double off = 4 * DBL_EPSILON; /* more than rounding does */
    double lo = (1 + fmax(v.lo, 0)) / 2, hi = (1 + fmax(v.hi, 0)) / 2;

    return (struct interval){all ? lo * (1 - off) - 0x1p-28 : 0.375,
                             hi * (1 + off)};
}

/* The argument goes to scale 28, outwards. Sigmoid and erf increase; no
 * smooth function is steeper than 1, so that the others have the value at one
 * end, and the width. */
static struct interval smooth(enum ax_net_kind kind, struct interval v)
{
    const double one = AX_SIGMOID_ONE, far = (double)AX_SMOOTH_FAR / one;
    bool rises = kind == AX_NET_SIGMOID || kind == AX_NET_ERF;
    int64_t a = (int64_t)floor(fmin(fmax(v.lo, -far), far) * one);
    int64_t b = (int64_t)ceil(fmin(fmax(v.hi, -far), far) * one), off;

    if (!rises && !(v.lo >= -far && v.hi <= far))
        return kind == AX_NET_GELU ? far_gelu(v, v.lo >= far || v.hi <= -far)
                                   : (struct interval){0, 1};
    off = ax_smooth_error(kind) + (rises ? 0 : b - a);
    b = ax_smooth(kind, rises ? b : a) + off;
    a = ax_smooth(kind, a) - off;
    return (struct interval){fmax((double)a / one, 0), (double)b / one};
}

/* The variables of a row of a curved node: one, or the same one twice, if
 * there is only one. */
static struct interval curved(const struct enclosure *e,
                              const struct ax_net_node *node, uint32_t i)
{
    const struct ax_block *b = node->blocks, *c = b + node->n_blocks - 1;
    struct interval x = e->v[b->source][b->col[b->row_ptr[i]]];
    struct interval y = e->v[c->source][c->col[c->row_ptr[i + 1] - 1]];

    return node->kind == AX_NET_PRODUCT ? product(x, y)
           : node->kind == AX_NET_EXP   ? exponential(x)
                                        : reciprocal(x);
}

static struct interval row(const struct enclosure *e, uint32_t k, uint32_t i)
{
    const struct ax_net_node *node = &e->net->nodes[k];
    struct interval y, b = {1, 1};
    struct sum s = {0};

    if (ax_net_curved(node->kind))
        return curved(e, node, i);
    for (uint32_t n = 0; n < node->n_blocks; n++)
        add_block(&s, e, &node->blocks[n], i);
    if (node->div) {
        double d = node->root ? sqrt(node->div[i]) : node->div[i];

        y = widened(&s);
        s = (struct sum){0};
        add(&s, 1,
            d < 0 ? (struct interval){y.hi / d, y.lo / d}
                  : (struct interval){y.lo / d, y.hi / d});
    }
    if (node->bias)
        add(&s, ldexp((double)node->bias[i].m, node->bias[i].e), b);
    y = widened(&s);
    if (!isfinite(y.lo) || !isfinite(y.hi)) /* not a number, perhaps */
        y = (struct interval){-INFINITY, INFINITY};
    if (node->kind == AX_NET_RELU)
        y = (struct interval){fmax(y.lo, 0), fmax(y.hi, 0)};
    return ax_net_smooth(node->kind) ? smooth(node->kind, y) : y;
}

static void enclosure_end(struct enclosure *e)
{
    free(e->room);
    free(e->v);
}

static ax_status enclosure_new(struct enclosure *e, const struct ax_net *net,
                               const float *x, struct ax_err *err)
{
    size_t n = 0;

    *e = (struct enclosure){.net = net};
    AX_TRY(net_check_finite(x, net->nodes[0].n, err));
    for (uint32_t k = 0; k < net->n_nodes; k++)
        n += net->nodes[k].n;
    e->v = calloc(net->n_nodes, sizeof *e->v);
    e->room = calloc(n + 1, sizeof *e->room);
    if (!e->v || !e->room) {
        enclosure_end(e);
        return ax_fail(err, AX_ENOMEM, "%s", ax_status_text(AX_ENOMEM));
    }
    n = 0;
    for (uint32_t k = 0; k < net->n_nodes; k++) {
        e->v[k] = e->room + n;
        n += net->nodes[k].n;
    }
    for (uint32_t i = 0; i < net->nodes[0].n; i++)
        e->v[0][i] = (struct interval){(double)x[i], (double)x[i]};
    return AX_OK;
}

static void evaluate(struct enclosure *e)
{
    for (uint32_t k = 1; k < e->net->n_nodes; k++)
        for (uint32_t i = 0; i < e->net->nodes[k].n; i++)
            e->v[k][i] = row(e, k, i);
}

/* v 2^-64, or a double next to it on the side of `side`. */
static double from_64(ax_i128 v, double side)
{
    return nextafter(ldexp((double)v, -64), side);
}

/* All values for the inputs as a conjunction has them: those that it fixes
 * are decimals between lo64 and hi64. */
static void evaluate_for(struct enclosure *e, const float *x,
                         const struct ax_group *g, const bool *fixed)
{
    if (e->evaluated && e->fixed == fixed && (!fixed || e->group == g))
        return;
    e->evaluated = true;
    e->group = g;
    e->fixed = fixed;
    for (uint32_t i = 0; i < e->net->nodes[0].n; i++)
        e->v[0][i] = fixed && fixed[i]
                         ? (struct interval){from_64(g->lo64[i], -INFINITY),
                                             from_64(g->hi64[i], INFINITY)}
                         : (struct interval){(double)x[i], (double)x[i]};
    evaluate(e);
}

/* Is the row surely true? */
static bool holds(const struct enclosure *e, const struct ax_row *r)
{
    const struct interval *y = e->v[e->net->n_nodes - 1], one = {1, 1};
    struct sum s = {0};

    for (uint32_t i = 0; i < r->n_y; i++)
        add(&s, r->y_coef[i], y[r->y_index[i]]);
    for (uint32_t i = 0; i < r->n_x; i++)
        add(&s, r->x_coef[i], e->v[0][r->x_index[i]]);
    add(&s, -r->d, one); /* off by half a unit, as a product is */
    return widened(&s).hi < 0;
}

/* Is a conjunction of the group true? The first is *conj. */
static bool refutes(struct enclosure *e, const struct ax_group *g,
                    uint32_t n_x, bool only_fixed, const float *x,
                    uint32_t *conj)
{
    for (uint32_t c = 0; c < g->n_conj; c++) {
        const struct ax_conj *cj = &g->conj[c];
        bool all = (cj->fixed || !only_fixed) && net_inside(cj, x, n_x);

        if (all)
            evaluate_for(e, x, g, cj->fixed);
        for (uint32_t i = 0; all && i < cj->n_rows; i++)
            all = holds(e, cj->rows[i]);
        *conj = c;
        if (all)
            return true;
    }
    return false;
}

ax_status net_enclosed_refutes(const struct ax_net *net,
                               const struct ax_prop *p, bool only_fixed,
                               const float *x, uint32_t *group,
                               uint32_t *conj, struct ax_err *err)
{
    struct enclosure e;
    bool is = false;

    AX_TRY(enclosure_new(&e, net, x, err));
    for (uint32_t g = 0; g < p->n_groups && !is; g++) {
        is = refutes(&e, &p->groups[g], p->n_x, only_fixed, x, conj);
        *group = g;
    }
    enclosure_end(&e);
    return is ? AX_OK : AX_NO;
}

ax_status net_enclosed(const struct ax_net *net, const float *x, double *y,
                       struct ax_err *err)
{
    uint32_t last = net->n_nodes - 1;
    struct enclosure e;

    AX_TRY(enclosure_new(&e, net, x, err));
    evaluate(&e);
    for (uint32_t i = 0; i < net->nodes[last].n; i++)
        y[i] = (e.v[last][i].lo + e.v[last][i].hi) / 2;
    enclosure_end(&e);
    return AX_OK;
}
