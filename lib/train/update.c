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

void train_update(struct weight *w, size_t n_weights, double rate,
                  uint64_t count, const struct ax_train_options *opt)
{
    struct rates r = {.rate = (float)rate,
                      .decay = (float)opt->decay,
                      .scale = 1,
                      .nesterov = opt->nesterov,
                      .coupled = opt->optimiser == AX_OPTIMISER_ADAM};
    double length = opt->clip > 0 ? norm(w, n_weights) : 0;

    if (length > opt->clip)
        r.scale = (float)(opt->clip / length);
    if (opt->optimiser == AX_OPTIMISER_SGD) {
        r.beta1 = (float)opt->momentum;
        for (size_t k = 0; k < n_weights; k++)
            sgd(w[k].w, w[k].g, w[k].first, w[k].n, &r);
        return;
    }
    r.beta1 = (float)opt->beta1;
    r.beta2 = (float)opt->beta2;
    r.epsilon = (float)opt->epsilon;
    r.first = (float)(1 / (1 - power(opt->beta1, count)));
    r.second = (float)(1 / (1 - power(opt->beta2, count)));
    for (size_t k = 0; k < n_weights; k++)
        adam(w[k].w, w[k].g, w[k].first, w[k].second, w[k].n, &r);
}
