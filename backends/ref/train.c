/* Steps of training, of ai.onnx.preview.training: Adagrad, Adam, Momentum.
 * Inputs are the rate, the count of steps, and then n tensors each of what is
 * learned, of gradients and of what is remembered of these; outputs are what
 * is learned and what is remembered. */
#include "ref.h"

#include <math.h>
#include <string.h>

/* One element: x, gradient g, remembered m[2]. */
struct step {
    double rate, count, epsilon, norm, norm_after, alpha, beta, decay;
    bool nesterov;
};

struct method {
    uint32_t memories; /* tensors remembered of each that is learned */
    double (*step)(const struct step *s, double x, double g, double *m);
};

static double adagrad(const struct step *s, double x, double g, double *m)
{
    double rate = s->rate / (1 + s->count * s->decay);

    g += s->norm * x;
    m[0] += g * g;
    return x - rate * g / (sqrt(m[0]) + s->epsilon);
}

static double adam(const struct step *s, double x, double g, double *m)
{
    double rate = s->rate;

    g += s->norm * x;
    m[0] = s->alpha * m[0] + (1 - s->alpha) * g;
    m[1] = s->beta * m[1] + (1 - s->beta) * g * g;
    if (s->count > 0)
        rate *= sqrt(1 - pow(s->beta, s->count)) /
                (1 - pow(s->alpha, s->count));
    x -= rate * m[0] / (sqrt(m[1]) + s->epsilon);
    return (1 - s->norm_after) * x;
}

static double momentum(const struct step *s, double x, double g, double *m)
{
    g += s->norm * x;
    m[0] = s->alpha * m[0] + (s->count > 0 ? s->beta : 1) * g;
    return x - s->rate * (s->nesterov ? g + s->alpha * m[0] : m[0]);
}

static ax_status step_init(struct step *s, const struct ax_call *c,
                           struct ax_err *err)
{
    const struct ax_node *n = c->node;
    const char *mode = ax_node_string(n, "mode", "standard");

    AX_TRY(ref_want(c, 0, BIT(AX_F32) | BIT(AX_F64), err));
    AX_TRY(ref_want(c, 1, BIT(AX_I64), err));
    AX_TRY(ref_scalar(&s->rate, c, 0, 0, err));
    AX_TRY(ref_scalar(&s->count, c, 1, 0, err));
    s->epsilon = (double)ax_node_float(n, "epsilon", 1e-6f);
    s->norm = (double)ax_node_float(n, "norm_coefficient", 0);
    s->norm_after = (double)ax_node_float(n, "norm_coefficient_post", 0);
    s->alpha = (double)ax_node_float(n, "alpha", 0.9f);
    s->beta = (double)ax_node_float(n, "beta", 0.999f);
    s->decay = (double)ax_node_float(n, "decay_factor", 0);
    s->nesterov = strcmp(mode, "nesterov") == 0;
    if (!s->nesterov && strcmp(mode, "standard") != 0)
        return ax_fail(err, AX_EUNSUPPORTED, "mode '%.80s'", mode);
    return AX_OK;
}

/* Tensor K of N that are learned. */
static ax_status learn(struct ax_call *c, const struct method *how,
                       const struct step *s, uint32_t k, uint32_t n,
                       struct ax_err *err)
{
    const struct ax_tensor *x;

    AX_TRY(ref_want(c, 2 + k, BIT(AX_F32) | BIT(AX_F64), err));
    x = c->in[2 + k];
    for (uint32_t i = 1; i < 2 + how->memories; i++) {
        const struct ax_tensor *t;

        AX_TRY(ref_want(c, 2 + k + i * n, BIT(x->dtype), err));
        t = c->in[2 + k + i * n];
        if (t->rank != x->rank ||
            memcmp(t->dims, x->dims, (size_t)x->rank * sizeof *x->dims) != 0)
            return ax_fail(err, AX_ESHAPE,
                           "input %u has not the shape of input %u",
                           2 + k + i * n, 2 + k);
    }
    for (uint32_t i = 0; i <= how->memories; i++)
        AX_TRY(ax_call_out(c, k + i * n, x->dtype, x->rank, x->dims, err));
    for (size_t i = 0; i < ax_tensor_count(x); i++) {
        double m[2] = {0, 0};

        for (uint32_t j = 0; j < how->memories; j++)
            m[j] = ref_number(c->in[2 + k + (2 + j) * n], i);
        ref_put(c->out[k], i,
                how->step(s, ref_number(x, i),
                          ref_number(c->in[2 + k + n], i), m));
        for (uint32_t j = 0; j < how->memories; j++)
            ref_put(c->out[k + (1 + j) * n], i, m[j]);
    }
    return AX_OK;
}

static ax_status train(struct ax_call *c, struct ax_err *err)
{
    const struct method *how = c->kernel->arg;
    uint32_t each = 2 + how->memories, n = (c->node->n_in - 2) / each;
    struct step s = {.rate = 0};

    AX_TRY(step_init(&s, c, err));
    if (n == 0 || c->node->n_in != 2 + n * each ||
        c->node->n_out != n * (1 + how->memories))
        return ax_fail(err, AX_EFORMAT,
                       "%u inputs and %u outputs, wants 2 and %u a tensor, "
                       "and %u",
                       c->node->n_in, c->node->n_out, each,
                       1 + how->memories);
    for (uint32_t k = 0; k < n; k++)
        AX_TRY(learn(c, how, &s, k, n, err));
    return AX_OK;
}

static const struct method by_adagrad = {1, adagrad}, by_adam = {2, adam},
                           by_momentum = {1, momentum};

const struct ax_kernel ref_train[] = {
    {"ai.onnx.preview.training.Adagrad", train, NULL, &by_adagrad},
    {"ai.onnx.preview.training.Adam", train, NULL, &by_adam},
    {"ai.onnx.preview.training.Momentum", train, NULL, &by_momentum},
    {0},
};
