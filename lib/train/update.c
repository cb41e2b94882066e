/* Optimisers: what a step makes of weights and gradients. Formulas are those
 * of PyTorch's classes of the same names. */
#include <math.h>

#include "train/train.h"

struct rates {
    float rate, decay, scale; /* scale: of the gradient, for clipping */
    float beta1, beta2, epsilon, first, second; /* Adam's corrections */
    bool nesterov, coupled;
};

TRAIN_CLONES
static void sgd(float *restrict w, const float *restrict g, float *restrict v,
                size_t n, const struct rates *restrict r)
{
    for (size_t i = 0; i < n; i++) {
        float d = g[i] * r->scale + r->decay * w[i];

        v[i] = r->beta1 * v[i] + d;
        w[i] -= r->rate * (r->nesterov ? d + r->beta1 * v[i] : v[i]);
    }
}

/* r->coupled: decay is part of the gradient (Adam), or of the weight. */
TRAIN_CLONES
static void adam(float *restrict w, const float *restrict g,
                 float *restrict m, float *restrict v, size_t n,
                 const struct rates *restrict r)
{
    float in = r->coupled ? r->decay : 0;
    float out = r->coupled ? 1 : 1 - r->rate * r->decay;

    for (size_t i = 0; i < n; i++) {
        float d = g[i] * r->scale + in * w[i];

        m[i] = r->beta1 * m[i] + (1 - r->beta1) * d;
        v[i] = r->beta2 * v[i] + (1 - r->beta2) * d * d;
        w[i] = out * w[i] - r->rate * (m[i] * r->first) /
                                (sqrtf(v[i] * r->second) + r->epsilon);
    }
}

/* x to the power of N, by squaring. */
static double power(double x, uint64_t n)
{
    double y = 1;

    for (; n; n >>= 1, x *= x)
        if (n & 1)
            y *= x;
    return y;
}

static double norm(const struct weight *w, size_t n_weights)
{
    double sum = 0;

    for (size_t k = 0; k < n_weights; k++)
        for (size_t i = 0; i < w[k].n; i++)
            sum += (double)w[k].g[i] * (double)w[k].g[i];
    return sqrt(sum);
}

#define PART ((size_t)1 << 15) /* weights that a thread takes at a time */

struct job {
    const struct weight *w;
    const struct rates *rates;
    bool adam;
};

/* The Ith part of all weights, counted through. */
static void update_part(void *arg, size_t i)
{
    const struct job *job = arg;
    const struct weight *w = job->w;
    size_t at, n;

    while (i >= (w->n + PART - 1) / PART)
        i -= (w++->n + PART - 1) / PART;
    at = i * PART;
    n = w->n - at < PART ? w->n - at : PART;
    if (job->adam)
        adam(w->w + at, w->g + at, w->first + at, w->second + at, n,
             job->rates);
    else
        sgd(w->w + at, w->g + at, w->first + at, n, job->rates);
}

void train_update(struct weight *w, size_t n_weights, double rate,
                  uint64_t count, const struct ax_train_options *opt,
                  struct train_pool *pool)
{
    struct rates r = {.rate = (float)rate,
                      .decay = (float)opt->decay,
                      .scale = 1,
                      .beta1 = (float)opt->momentum,
                      .nesterov = opt->nesterov,
                      .coupled = opt->optimiser == AX_OPTIMISER_ADAM};
    struct job job = {w, &r, opt->optimiser != AX_OPTIMISER_SGD};
    double length = opt->clip > 0 ? norm(w, n_weights) : 0;
    size_t parts = 0;

    if (length > opt->clip)
        r.scale = (float)(opt->clip / length);
    if (job.adam) {
        r.beta1 = (float)opt->beta1;
        r.beta2 = (float)opt->beta2;
        r.epsilon = (float)opt->epsilon;
        r.first = (float)(1 / (1 - power(opt->beta1, count)));
        r.second = (float)(1 / (1 - power(opt->beta2, count)));
    }
    for (size_t k = 0; k < n_weights; k++)
        parts += (w[k].n + PART - 1) / PART;
    train_parallel(pool, parts, update_part, &job);
}
