/* Normalisation: BatchNormalization, InstanceNormalization,
 * LayerNormalization, LRN, MeanVarianceNormalization's parts are operators
 * of their own. Means and variances are summed in double. */
#include "ref.h"

#include <math.h>

/* One number for each channel. */
static ax_status want_channels(const struct ax_call *c, uint32_t i, int64_t n,
                               struct ax_err *err)
{
    AX_TRY(ref_want(c, i, REALS, err));
    if (ax_tensor_count(c->in[i]) != (size_t)n)
        return ax_fail(err, AX_ESHAPE, "input %u wants %lld numbers, has %zu",
                       i, (long long)n, ax_tensor_count(c->in[i]));
    return AX_OK;
}

static double number(const struct ax_tensor *t, size_t i)
{
    double x;

    ax_get_f64(&x, t->dtype, t->data, i, 1);
    return x;
}

/* y = (x - mean) * scale + shift over n elements; x and y may be one. */
static void affine(struct ax_tensor *y, const struct ax_tensor *x, size_t at,
                   size_t n, double mean, double scale, double shift)
{
    for (size_t k = at; k < at + n; k++) {
        double v = (number(x, k) - mean) * scale + shift;

        ax_put_f64(y->dtype, y->data, k, &v, 1);
    }
}

static ax_status batch_norm(struct ax_call *c, struct ax_err *err)
{
    double epsilon = (double)ax_node_float(c->node, "epsilon", 1e-5f);
    const struct ax_tensor *x;
    size_t channels, n;

    AX_TRY(ref_want(c, 0, REALS, err));
    AX_TRY(ref_want_rank(c, 0, 1, AX_RANK_MAX, err));
    if (ax_node_int(c->node, "training_mode", 0))
        return ax_fail(err, AX_EUNSUPPORTED, "training_mode 1");
    x = c->in[0];
    channels = x->rank > 1 ? (size_t)x->dims[1] : 1;
    for (uint32_t i = 1; i < 5; i++)
        AX_TRY(want_channels(c, i, (int64_t)channels, err));
    AX_TRY(ax_call_out_over(c, 0, 0, err));
    n = (size_t)ref_product(x->dims, 2, x->rank);
    for (size_t p = 0; n > 0 && p < ax_tensor_count(x) / n; p++) {
        size_t ch = p % channels;

        affine(c->out[0], x, p * n, n, number(c->in[3], ch),
               number(c->in[1], ch) / sqrt(number(c->in[4], ch) + epsilon),
               number(c->in[2], ch));
    }
    return AX_OK;
}

/* Mean and 1 / sqrt(variance + epsilon) of n elements. */
static void moments(const struct ax_tensor *x, size_t at, size_t n,
                    double epsilon, double *mean, double *scale)
{
    double sum = 0, squares = 0;

    for (size_t k = at; k < at + n; k++)
        sum += number(x, k);
    *mean = sum / (double)n;
    for (size_t k = at; k < at + n; k++) {
        double d = number(x, k) - *mean;

        squares += d * d;
    }
    *scale = 1 / sqrt(squares / (double)n + epsilon);
}

static ax_status instance_norm(struct ax_call *c, struct ax_err *err)
{
    double epsilon = (double)ax_node_float(c->node, "epsilon", 1e-5f);
    const struct ax_tensor *x;
    size_t n;

    AX_TRY(ref_want(c, 0, REALS, err));
    AX_TRY(ref_want_rank(c, 0, 3, AX_RANK_MAX, err));
    x = c->in[0];
    AX_TRY(want_channels(c, 1, x->dims[1], err));
    AX_TRY(want_channels(c, 2, x->dims[1], err));
    AX_TRY(ax_call_out_over(c, 0, 0, err));
    n = (size_t)ref_product(x->dims, 2, x->rank);
    for (size_t p = 0; n > 0 && p < ax_tensor_count(x) / n; p++) {
        size_t ch = p % (size_t)x->dims[1];
        double mean, scale;

        moments(x, p * n, n, epsilon, &mean, &scale);
        affine(c->out[0], x, p * n, n, mean, scale * number(c->in[1], ch),
               number(c->in[2], ch));
    }
    return AX_OK;
}

/* Groups of channels, a scale and bias for each channel. */
static ax_status group_norm(struct ax_call *c, struct ax_err *err)
{
    double epsilon = (double)ax_node_float(c->node, "epsilon", 1e-5f);
    int64_t groups = ax_node_int(c->node, "num_groups", 0);
    const struct ax_tensor *x;
    size_t n, each;

    AX_TRY(ref_want(c, 0, REALS, err));
    AX_TRY(ref_want_rank(c, 0, 2, AX_RANK_MAX, err));
    x = c->in[0];
    if (groups < 1 || x->dims[1] % groups)
        return ax_fail(err, AX_ESHAPE, "%lld channels in %lld groups",
                       (long long)x->dims[1], (long long)groups);
    AX_TRY(want_channels(c, 1, x->dims[1], err));
    AX_TRY(want_channels(c, 2, x->dims[1], err));
    AX_TRY(ax_call_out_over(c, 0, 0, err));
    each = (size_t)ref_product(x->dims, 2, x->rank);
    n = each * (size_t)(x->dims[1] / groups);
    for (size_t p = 0; n > 0 && p < ax_tensor_count(x) / n; p++) {
        double mean, scale;

        moments(x, p * n, n, epsilon, &mean, &scale);
        for (size_t at = p * n; at < (p + 1) * n; at += each) {
            size_t ch = at / each % (size_t)x->dims[1];

            affine(c->out[0], x, at, each, mean, scale * number(c->in[1], ch),
                   number(c->in[2], ch));
        }
    }
    return AX_OK;
}

static ax_status layer_norm(struct ax_call *c, struct ax_err *err)
{
    double epsilon = (double)ax_node_float(c->node, "epsilon", 1e-5f);
    const struct ax_tensor *x;
    int64_t dims[AX_RANK_MAX];
    size_t n, rows;
    int axis;

    AX_TRY(ref_want(c, 0, REALS, err));
    x = c->in[0];
    AX_TRY(ref_axis(&axis, ax_node_int(c->node, "axis", -1), x->rank, err));
    n = (size_t)ref_product(x->dims, axis, x->rank);
    rows = (size_t)ref_product(x->dims, 0, axis);
    AX_TRY(want_channels(c, 1, (int64_t)n, err));
    if (ax_call_has(c, 2))
        AX_TRY(want_channels(c, 2, (int64_t)n, err));
    for (int i = 0; i < x->rank; i++)
        dims[i] = i < axis ? x->dims[i] : 1;
    for (uint32_t o = 1; o < c->node->n_out; o++)
        AX_TRY(ax_call_out(c, o, AX_F32, x->rank, dims, err));
    AX_TRY(ax_call_out_over(c, 0, 0, err));
    for (size_t r = 0; r < rows && n > 0; r++) {
        double stat[2];

        moments(x, r * n, n, epsilon, &stat[0], &stat[1]);
        for (uint32_t o = 1; o < c->node->n_out; o++)
            ax_put_f64(AX_F32, c->out[o]->data, r, &stat[o - 1], 1);
        for (size_t k = 0; k < n; k++)
            affine(c->out[0], x, r * n + k, 1, stat[0],
                   stat[1] * number(c->in[1], k),
                   ax_call_has(c, 2) ? number(c->in[2], k) : 0);
    }
    return AX_OK;
}

/* x / (bias + alpha / size * sum of squares over neighbouring channels)^beta
 */
static ax_status lrn(struct ax_call *c, struct ax_err *err)
{
    double alpha = (double)ax_node_float(c->node, "alpha", 1e-4f);
    double beta = (double)ax_node_float(c->node, "beta", 0.75f);
    double bias = (double)ax_node_float(c->node, "bias", 1.0f);
    int64_t size = ax_node_int(c->node, "size", 0), channels, n;
    const struct ax_tensor *x;

    AX_TRY(ref_want(c, 0, REALS, err));
    AX_TRY(ref_want_rank(c, 0, 3, AX_RANK_MAX, err));
    x = c->in[0];
    if (size < 1)
        return ax_fail(err, AX_EFORMAT, "attribute size has %lld",
                       (long long)size);
    AX_TRY(ax_call_out(c, 0, x->dtype, x->rank, x->dims, err));
    channels = x->dims[1];
    n = ref_product(x->dims, 2, x->rank);
    for (size_t k = 0; k < ax_tensor_count(x); k++) {
        int64_t ch = (int64_t)(k / (size_t)n) % channels;
        int64_t from = ch - (size - 1) / 2, to = ch + size / 2;
        double sum = 0, y;

        from = from < 0 ? 0 : from;
        to = to < channels ? to : channels - 1;
        for (int64_t i = from; i <= to; i++) {
            double v = number(x, (size_t)((int64_t)k + (i - ch) * n));

            sum += v * v;
        }
        y = number(x, k) / pow(bias + alpha / (double)size * sum, beta);
        ax_put_f64(x->dtype, c->out[0]->data, k, &y, 1);
    }
    return AX_OK;
}

const struct ax_kernel ref_norm[] = {
    {"BatchNormalization", batch_norm, NULL, NULL},
    {"GroupNormalization", group_norm, NULL, NULL},
    {"InstanceNormalization", instance_norm, NULL, NULL},
    {"LRN", lrn, NULL, NULL},
    {"LayerNormalization", layer_norm, NULL, NULL},
    {0},
};
