/* Optimisers: what a step makes of weights and gradients. Formulas are those
 * of PyTorch's classes of the same names. */
#include <math.h>

#include "train/train.h"

struct rates {
    float rate, decay, scale; /* scale: of the gradient, for clipping */
    float beta1, beta2, epsilon, first, second; /* Adam's corrections */
    float average;
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

/* Tieleman, Hinton: RMSProp, 2012. */
TRAIN_CLONES
static void rmsprop(float *restrict w, const float *restrict g,
                    float *restrict v, size_t n,
                    const struct rates *restrict r)
{
    for (size_t i = 0; i < n; i++) {
        float d = g[i] * r->scale + r->decay * w[i];

        v[i] = r->beta2 * v[i] + (1 - r->beta2) * d * d;
        w[i] -= r->rate * (d / (sqrtf(v[i]) + r->epsilon));
    }
}

/* Chen et al.: Symbolic Discovery of Optimization Algorithms, 2023. */
TRAIN_CLONES
static void lion(float *restrict w, const float *restrict g,
                 float *restrict m, size_t n, const struct rates *restrict r)
{
    float keep = 1 - r->rate * r->decay;

    for (size_t i = 0; i < n; i++) {
        float d = g[i] * r->scale;
        float to = r->beta1 * m[i] + (1 - r->beta1) * d;

        w[i] = keep * w[i] - r->rate * (to > 0   ? 1.0f
                                        : to < 0 ? -1.0f
                                                 : 0.0f);
        m[i] = r->beta2 * m[i] + (1 - r->beta2) * d;
    }
}

TRAIN_CLONES
static void average(float *restrict mean, const float *restrict w, size_t n,
                    float keep)
{
    for (size_t i = 0; i < n; i++)
        mean[i] = keep * mean[i] + (1 - keep) * w[i];
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
    ax_optimiser optimiser;
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
    switch (job->optimiser) {
    case AX_OPTIMISER_SGD:
        sgd(w->w + at, w->g + at, w->first + at, n, job->rates);
        break;
    case AX_OPTIMISER_RMSPROP:
        rmsprop(w->w + at, w->g + at, w->second + at, n, job->rates);
        break;
    case AX_OPTIMISER_LION:
        lion(w->w + at, w->g + at, w->first + at, n, job->rates);
        break;
    default:
        adam(w->w + at, w->g + at, w->first + at, w->second + at, n,
             job->rates);
    }
    if (w->mean)
        average(w->mean + at, w->w + at, n, job->rates->average);
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
    struct job job = {w, &r, opt->optimiser};
    double length = opt->clip > 0 ? norm(w, n_weights) : 0;
    size_t parts = 0;

    if (length > opt->clip)
        r.scale = (float)(opt->clip / length);
    if (opt->optimiser != AX_OPTIMISER_SGD) {
        r.beta1 = (float)opt->beta1;
        r.beta2 = (float)opt->beta2;
        r.epsilon = (float)opt->epsilon;
        r.first = (float)(1 / (1 - power(opt->beta1, count)));
        r.second = (float)(1 / (1 - power(opt->beta2, count)));
    }
    /* The first steps, from weights that were drawn, count for less. */
    r.average = (float)fmin(opt->average,
                            (1 + (double)count) / (10 + (double)count));
    for (size_t k = 0; k < n_weights; k++)
        parts += (w[k].n + PART - 1) / PART;
    train_parallel(pool, parts, update_part, &job);
}
