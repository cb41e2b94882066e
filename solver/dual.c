/* Bounds and their gradient at POINTS rows side by side.
 *
 * Going down, a bound is a linear function; the input that makes it least,
 * sent up again through the relaxed network, tells how it changes with every
 * slope and multiplier: one pass each way for all of them. */
#include "dual.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clones.h"

#pragma GCC optimize("O3")

static size_t variables(const struct bnet *net)
{
    size_t n = 0;

    for (uint32_t k = 0; k < net->n_nodes; k++)
        n += net->nodes[k].n + 1u;
    return n;
}

static size_t bent(const struct bnet *net)
{
    size_t n = 0;

    for (uint32_t k = 0; k < net->n_nodes; k++)
        n += ax_net_curved(net->nodes[k].kind) ? net->nodes[k].n : 0;
    return n;
}

size_t dual_bytes(const struct bnet *net)
{
    return sizeof(struct lanes) * (4 * net->neurons + 2 * variables(net)) +
           POINTS * net->neurons + bent(net) * sizeof(struct bend);
}

static bool is_relaxed(enum ax_net_kind k)
{
    return k == AX_NET_RELU || ax_net_smooth(k);
}

ax_status dual_new(struct dual **out, const struct bnet *net,
                   const struct lane_net *lane, struct ax_err *err)
{
    struct dual *d = aligned_alloc(64, sizeof *d);
    size_t n = net->neurons, n_x = net->nodes[0].n, at = 0, curved = 0;
    struct lanes *room;

    if (!d)
        return ax_fail(err, AX_ENOMEM, "no memory for the bounds");
    memset(d, 0, sizeof *d);
    d->net = net;
    d->lane = lane;
    d->neurons = n;
    d->l = calloc(3 * n + 1, sizeof *d->l);
    d->lo = calloc(2 * n_x + 1, sizeof *d->lo);
    d->status = calloc(n + 1, sizeof *d->status);
    d->alpha = lanes_alloc(4 * n);
    d->e = calloc(2 * (size_t)net->n_nodes, sizeof *d->e);
    d->bend = calloc(net->n_nodes, sizeof *d->bend);
    if (d->bend)
        d->bend[0] = calloc(bent(net) + 1, sizeof **d->bend);
    room = lanes_alloc(2 * variables(net));
    if (!d->bend || !d->bend[0] || !d->l || !d->lo || !d->status ||
        !d->alpha || !d->e || !room ||
        live_new(&d->live, lane, err) != AX_OK) {
        free(room);
        dual_free(d);
        return ax_fail(err, AX_ENOMEM, "no memory for the bounds");
    }
    d->u = d->l + n;
    d->slope = d->u + n;
    d->hi = d->lo + n_x;
    d->beta = d->alpha + n;
    d->mu = d->beta + n;
    d->v = d->mu + n;
    d->y = d->e + net->n_nodes;
    for (uint32_t k = 0; k < net->n_nodes; k++) {
        d->e[k] = room + at;
        d->y[k] = room + at + net->nodes[k].n;
        at += 2 * (size_t)net->nodes[k].n;
        if (!ax_net_curved(net->nodes[k].kind))
            continue;
        d->bend[k] = d->bend[0] + curved;
        curved += net->nodes[k].n;
    }
    *out = d;
    return AX_OK;
}

void dual_free(struct dual *d)
{
    if (!d)
        return;
    if (d->e)
        free(d->e[0]);
    live_free(d->live, d->lane);
    if (d->bend)
        free(d->bend[0]);
    free(d->bend);
    free(d->e);
    free(d->alpha);
    free(d->status);
    free(d->lo);
    free(d->l);
    free(d);
}

/* Bounds of variable j of node k, which is a hold node or curved. */
static void bounds_of(const struct dual *d, uint32_t k, uint32_t j, float *l,
                      float *u)
{
    bool curved = ax_net_curved(d->net->nodes[k].kind);

    *l = curved ? d->bend[k][j].least : d->l[d->net->first[k] + j];
    *u = curved ? d->bend[k][j].most : d->u[d->net->first[k] + j];
}

static struct bend product(float xl, float xu, float yl, float yu,
                           bool square)
{
    float cx = (xl + xu) / 2, cy = (yl + yu) / 2;
    float off = (xu - xl) * (yu - yl) / 4;

    return (struct bend){
        .wa = cy,
        .wb = cx,
        .low = (square ? 0 : -off) - cx * cy,
        .up = off - cx * cy,
        .least = fminf(fminf(xl * yl, xl * yu), fminf(xu * yl, xu * yu)),
        .most = fmaxf(fmaxf(xl * yl, xl * yu), fmaxf(xu * yl, xu * yu))};
}

static struct bend reciprocal(float l, float u)
{
    float slope;

    l = fmaxf(l, FLT_MIN);
    u = fmaxf(l, u);
    slope = 1 / l / u;
    return (struct bend){.wa = -slope,
                         .low = 2 * sqrtf(slope),
                         .up = 1 / l + 1 / u,
                         .least = 1 / u,
                         .most = 1 / l};
}

static struct bend exponential(float l, float u)
{
    float first, last, slope;

    u = fminf(u, 32);
    l = fminf(l, u);
    first = expf(l);
    last = expf(u);
    slope = u > l + 1e-6f ? (last - first) / (u - l) : last;
    slope = fmaxf(slope, FLT_MIN);
    return (struct bend){.wa = slope,
                         .low = slope * (1 - logf(slope)),
                         .up = fmaxf(first - slope * l, last - slope * u),
                         .least = first,
                         .most = last};
}

void dual_bend(struct dual *d, uint32_t k)
{
    for (k++; k < d->net->n_nodes; k++) {
        const struct bnode *node = &d->net->nodes[k];
        bool is_product = node->kind == AX_NET_PRODUCT;

        for (uint32_t i = 0; ax_net_curved(node->kind) && i < node->n; i++) {
            uint32_t a = node->factor[0][i];
            uint32_t b = node->factor[is_product][i];
            uint32_t to = node->factor_node[is_product];
            float xl, xu, yl, yu;

            bounds_of(d, node->factor_node[0], a, &xl, &xu);
            bounds_of(d, to, b, &yl, &yu);
            d->bend[k][i] = is_product
                                ? product(xl, xu, yl, yu,
                                          a == b &&
                                              to == node->factor_node[0])
                            : node->kind == AX_NET_EXP ? exponential(xl, xu)
                                                       : reciprocal(xl, xu);
        }
    }
}

void dual_box(struct dual *d, const struct bbounds *b,
              const struct ax_group *g)
{
    const struct bnet *net = d->net;

    for (uint32_t k = 0; k < net->n_nodes; k++)
        for (size_t i = 0, j = net->first[k];
             ax_net_neurons(net->nodes[k].kind) && i < net->nodes[k].n;
             i++, j++)
            if (!ax_net_smooth(net->nodes[k].kind)) {
                d->l[j] = (float)ldexp(b->l[j], -b->t[k]);
                d->u[j] = (float)ldexp(b->u[j], -b->t[k]);
            } else {
                d->l[j] = (float)ldexp((double)b->smooth[j].low, -28);
                d->u[j] = (float)ldexp((double)b->smooth[j].up, -28);
                d->slope[j] = (float)ldexp((double)b->smooth[j].slope, -28);
            }
    for (uint32_t i = 0; i < net->nodes[0].n; i++) {
        d->lo[i] = (float)ldexp((double)g->lo[i], -g->p);
        d->hi[i] = (float)ldexp((double)g->hi[i], -g->p);
    }
    dual_bend(d, 0);
}

void dual_clear(struct dual *d)
{
    for (uint32_t k = 0; k < d->net->n_nodes; k++)
        for (uint32_t i = 0; i < d->live[k].n; i++)
            lanes_zero(&d->e[k][d->live[k].list[i]], 1);
}

/* e of one neuron becomes the coefficient on what it rectifies. */
CLONES static void relax_down(struct lanes *e, struct lanes *value,
                              const uint8_t *status,
                              const struct lanes *alpha,
                              const struct lanes *beta, float l, float u)
{
    float chord = u > l ? u / (u - l) : 0.0f;

    for (int p = 0; p < POINTS; p++) {
        float mu = e->x[p], nu = mu;

        if (status[p] == DUAL_LOOSE) {
            nu = mu * (mu >= 0 ? alpha->x[p] : chord);
            value->x[p] -= mu < 0 ? nu * l : 0.0f;
        } else if (status[p] == DUAL_OFF) {
            nu = 0;
        } else if (status[p] == DUAL_SPLIT_ON) {
            nu = mu - beta->x[p];
        } else if (status[p] == DUAL_SPLIT_OFF) {
            nu = beta->x[p];
        }
        e->x[p] = nu;
    }
}

/* The same at a smooth node. */
CLONES static void smooth_down(struct lanes *e, struct lanes *value,
                               float slope, float low, float up)
{
    for (int p = 0; p < POINTS; p++) {
        float mu = e->x[p];

        value->x[p] += mu * (mu >= 0 ? low : up);
        e->x[p] = mu * slope;
    }
}

CLONES static void smooth_up(struct lanes *y, const struct lanes *v,
                             const struct lanes *mu, float slope, float low,
                             float up)
{
    for (int p = 0; p < POINTS; p++)
        y->x[p] = slope * v->x[p] + (mu->x[p] >= 0 ? low : up);
}

/* The value of a relaxed neuron. */
CLONES static void relax_up(struct lanes *y, const struct lanes *v,
                            const struct lanes *mu, const uint8_t *status,
                            const struct lanes *alpha, float l, float u)
{
    float chord = u > l ? u / (u - l) : 0.0f;

    for (int p = 0; p < POINTS; p++) {
        float a = v->x[p];

        if (status[p] == DUAL_LOOSE)
            a = mu->x[p] >= 0 ? a * alpha->x[p] : (a - l) * chord;
        else if (status[p] == DUAL_OFF || status[p] == DUAL_SPLIT_OFF)
            a = 0;
        y->x[p] = a;
    }
}

CLONES static void add_bias(struct lanes *value, const struct lanes *e,
                            const float *b, const struct live *live)
{
    for (uint32_t r = 0; b && r < live->n; r++)
        for (int p = 0; p < POINTS; p++)
            value->x[p] += e[live->list[r]].x[p] * b[live->list[r]];
}

CLONES static void begin(struct lanes *to, const float *b,
                         const struct live *live)
{
    for (uint32_t r = 0; r < live->n; r++) {
        float v = b ? b[live->list[r]] : 0.0f;

        for (int p = 0; p < POINTS; p++)
            to[live->list[r]].x[p] = v;
    }
}

CLONES static void minimise(struct lanes *value, struct lanes *x,
                            const struct lanes *e, const float *lo,
                            const float *hi, const struct live *live)
{
    for (uint32_t r = 0; r < live->n; r++) {
        uint32_t i = live->list[r];

        for (int p = 0; p < POINTS; p++) {
            x[i].x[p] = e[i].x[p] < 0 ? hi[i] : lo[i];
            value->x[p] += e[i].x[p] * x[i].x[p];
        }
    }
}

/* A row of a curved node: what it puts on its variables. */
CLONES static void bend_down(struct lanes *x, struct lanes *y,
                             const struct lanes *e, struct lanes *value,
                             const struct bend *b)
{
    for (int p = 0; p < POINTS; p++) {
        float mu = e->x[p];

        value->x[p] += mu * (mu >= 0 ? b->low : b->up);
        x->x[p] += mu * b->wa;
        y->x[p] += mu * b->wb;
    }
}

CLONES static void bend_up(struct lanes *out, const struct lanes *x,
                           const struct lanes *y, const struct lanes *e,
                           const struct bend *b)
{
    for (int p = 0; p < POINTS; p++)
        out->x[p] = b->wa * x->x[p] + b->wb * y->x[p] +
                    (e->x[p] >= 0 ? b->low : b->up);
}

/* All rows of curved node s that are live, downwards or upwards. */
static void bend_rows(struct dual *d, uint32_t s, bool down)
{
    const struct bnode *node = &d->net->nodes[s];
    int second = node->kind == AX_NET_PRODUCT;
    struct lanes **at = down ? d->e : d->y;

    for (uint32_t r = 0; r < d->live[s].n; r++) {
        uint32_t i = d->live[s].list[r];
        struct lanes *x = &at[node->factor_node[0]][node->factor[0][i]];
        struct lanes *y =
            &at[node->factor_node[second]][node->factor[second][i]];

        if (down)
            bend_down(x, y, &d->e[s][i], &d->value, &d->bend[s][i]);
        else
            bend_up(&d->y[s][i], x, y, &d->e[s][i], &d->bend[s][i]);
    }
}

void dual_backward(struct dual *d, uint32_t k)
{
    const struct bnet *net = d->net;

    lanes_zero(&d->value, 1);
    for (uint32_t s = k + 1; s-- > 1;) {
        const struct lane_node *node = &d->lane->nodes[s];
        size_t first = net->first[s];

        const struct live *live = &d->live[s];

        for (uint32_t r = 0; is_relaxed(node->kind) && r < live->n; r++) {
            uint32_t i = live->list[r];
            size_t n = first + i;

            d->mu[n] = d->e[s][i];
            if (node->kind == AX_NET_RELU)
                relax_down(&d->e[s][i], &d->value, d->status[n], &d->alpha[n],
                           &d->beta[n], d->l[n], d->u[n]);
            else
                smooth_down(&d->e[s][i], &d->value, d->slope[n], d->l[n],
                            d->u[n]);
        }
        if (ax_net_curved(node->kind)) {
            bend_rows(d, s, true);
            continue;
        }
        if (!is_relaxed(node->kind))
            add_bias(&d->value, d->e[s], node->b, live);
        for (uint32_t i = 0; live->n && i < node->n_layers; i++)
            lanes_backward(d->e[node->layers[i].source], &node->layers[i],
                           d->e[s], live);
    }
    minimise(&d->value, d->y[0], d->e[0], d->lo, d->hi, &d->live[0]);
}

void dual_forward(struct dual *d, uint32_t k)
{
    for (uint32_t s = 1; s < k; s++) {
        const struct lane_node *node = &d->lane->nodes[s];
        size_t first = d->net->first[s];
        bool neurons = is_relaxed(node->kind);
        struct lanes *to = neurons ? d->v + first : d->y[s];
        const struct live *live = &d->live[s];

        if (ax_net_curved(node->kind)) {
            bend_rows(d, s, false);
            continue;
        }
        begin(to, node->b, live);
        for (uint32_t i = 0; live->n && i < node->n_layers; i++)
            lanes_forward(to, &node->layers[i], d->y[node->layers[i].source],
                          live);
        for (uint32_t r = 0; neurons && r < live->n; r++) {
            uint32_t i = live->list[r];
            size_t n = first + i;

            if (node->kind == AX_NET_RELU)
                relax_up(&d->y[s][i], &to[i], &d->mu[n], d->status[n],
                         &d->alpha[n], d->l[n], d->u[n]);
            else
                smooth_up(&d->y[s][i], &to[i], &d->mu[n], d->slope[n],
                          d->l[n], d->u[n]);
        }
    }
}
