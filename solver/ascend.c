/* Gradient steps on slopes and multipliers: alpha-CROWN (Xu et al., ICLR
 * 2021) and beta-CROWN (Wang et al., NeurIPS 2021), with Adam. */
#include "ascend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "clones.h"

#pragma GCC optimize("O3")

#define RATE  0.1f
#define DECAY 0.97f

ax_status ascent_new(struct ascent *a, struct dual *dual, size_t most,
                     double deadline, struct ax_err *err)
{
    *a = (struct ascent){.dual = dual, .deadline = deadline};
    a->best = calloc(2 * most + 1, POINTS * sizeof *a->best);
    a->m = lanes_alloc(4 * most);
    if (!a->best || !a->m)
        return ax_fail(err, AX_ENOMEM, "no memory for a thread");
    a->v = a->m + 2 * most;
    return AX_OK;
}

void ascent_free(struct ascent *a)
{
    free(a->best);
    free(a->m);
}

void ascent_evaluate(struct dual *d, const struct climb *c, float *margin)
{
    dual_clear(d);
    c->rows(c->self, d);
    dual_backward(d, c->node);
    for (int p = 0; p < POINTS; p++)
        margin[p] = d->value.x[p] - c->d[p];
}

/* One step of Adam (Kingma and Ba, ICLR 2015): its length, and what the
 * averages are divided by. */
struct adam {
    float rate, c1, c2;
};

/* Upwards, on one neuron. */
CLONES static void move(struct lanes *at, struct lanes *m, struct lanes *v,
                        const struct lanes *gradient, const struct adam *k,
                        float most)
{
    float rate = k->rate, c1 = k->c1, c2 = k->c2;

    for (int p = 0; p < POINTS; p++) {
        float g = gradient->x[p], to;

        m->x[p] = 0.9f * m->x[p] + 0.1f * g;
        v->x[p] = 0.999f * v->x[p] + 0.001f * g * g;
        to = at->x[p] + rate * m->x[p] * c1 / (sqrtf(v->x[p] * c2) + 1e-8f);
        at->x[p] = to < 0 ? 0 : to > most ? most : to;
    }
}

static void step(struct ascent *a, const struct climb *c, int t, float rate)
{
    struct adam k = {rate, 1 / (1 - powf(0.9f, (float)t)),
                     1 / (1 - powf(0.999f, (float)t))};
    struct dual *d = a->dual;
    size_t n = c->n;

    dual_forward(d, c->node);
    for (size_t i = 0; i < n; i++) {
        uint32_t j = c->loose[i];
        struct lanes ga, gb;
        bool split = false, loose = false;

        for (int p = 0; p < POINTS; p++) {
            uint8_t status = d->status[j][p];
            float mu = d->mu[j].x[p], v = d->v[j].x[p];

            loose |= status == DUAL_LOOSE;
            split |= status >= DUAL_SPLIT_ON;
            ga.x[p] = status == DUAL_LOOSE && mu > 0 ? mu * v : 0.0f;
            gb.x[p] = status == DUAL_SPLIT_ON    ? -v
                      : status == DUAL_SPLIT_OFF ? v
                                                 : 0.0f;
        }
        if (loose)
            move(&d->alpha[j], &a->m[i], &a->v[i], &ga, &k, 1.0f);
        if (split)
            move(&d->beta[j], &a->m[n + i], &a->v[n + i], &gb, &k, INFINITY);
    }
}

/* Keep slopes and multipliers of lane p as its best. */
static void keep(struct ascent *a, const struct climb *c, int p)
{
    size_t n = c->n;

    for (size_t i = 0; i < n; i++) {
        uint32_t j = c->loose[i];

        a->best[i * POINTS + (size_t)p] = a->dual->alpha[j].x[p];
        a->best[(n + i) * POINTS + (size_t)p] = a->dual->beta[j].x[p];
    }
}

bool ascend(struct ascent *a, const struct climb *c, float *best)
{
    float margin[POINTS], rate = RATE;

    lanes_zero(a->m, 2 * (size_t)c->n);
    lanes_zero(a->v, 2 * (size_t)c->n);
    for (int p = 0; p < POINTS; p++)
        best[p] = -INFINITY;
    for (int t = 1;; t++, rate *= DECAY) {
        bool all = true;

        if (a->deadline > 0 && clock_now() > a->deadline)
            return false;
        ascent_evaluate(a->dual, c, margin);
        for (int p = 0; p < POINTS; p++) {
            if (margin[p] > best[p] && (best[p] <= 0 || c->thorough)) {
                best[p] = margin[p];
                keep(a, c, p);
            }
            all &= best[p] > 0 && !c->thorough;
        }
        if (all || t > c->steps)
            return true;
        step(a, c, t, rate);
    }
}
