/* Normalisation: BatchNormalization, InstanceNormalization,
 * LayerNormalization, RMSNormalization, LRN, LpNormalization,
 * MeanVarianceNormalization. Means and variances are summed in double. */
#include "ref.h"

#include <math.h>
#include <string.h>

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

/* y = (x - mean) * scale + shift over n elements; x and y may be one. */
static void affine(struct ax_tensor *y, const struct ax_tensor *x, size_t at,
                   size_t n, double mean, double scale, double shift)
{
    for (size_t k = at; k < at + n; k++) {
        double v = (ref_number(x, k) - mean) * scale + shift;

        ax_put_f64(y->dtype, y->data, k, &v, 1);
    }
}

/* Mean and variance of each channel of this batch, and these and what was
 * known before as outputs 1 and 2. */
static ax_status batch_moments(double *mean, double *variance,
                               struct ax_call *c, size_t channels,
                               struct ax_err *err)
{
    double keep = (double)ax_node_float(c->node, "momentum", 0.9f);
    const int64_t dims[] = {(int64_t)channels};
    const struct ax_tensor *x = c->in[0];
    size_t n = (size_t)ref_product(x->dims, 2, x->rank);
    double each = channels ? (double)(ax_tensor_count(x) / channels) : 0;

    if (each == 0)
        return ax_fail(err, AX_ESHAPE, "training on no elements");
    memset(mean, 0, channels * sizeof *mean);
    memset(variance, 0, channels * sizeof *variance);
    for (size_t k = 0; k < ax_tensor_count(x); k++)
        mean[k / n % channels] += ref_number(x, k) / each;
    for (size_t k = 0; k < ax_tensor_count(x); k++) {
        double d = ref_number(x, k) - mean[k / n % channels];

        variance[k / n % channels] += d * d / each;
    }
    for (uint32_t o = 1; o < 3; o++) {
        if (!ax_call_wants(c, o))
            continue;
        AX_TRY(ax_call_out(c, o, c->in[2 + o]->dtype, 1, dims, err));
        for (size_t ch = 0; ch < channels; ch++)
            ref_put(c->out[o], ch,
                    ref_number(c->in[2 + o], ch) * keep +
                        (o == 1 ? mean : variance)[ch] * (1 - keep));
    }
    return AX_OK;
}

static ax_status batch_norm(struct ax_call *c, struct ax_err *err)
{
    double epsilon = (double)ax_node_float(c->node, "epsilon", 1e-5f);
    const struct ax_tensor *x;
    double *mean, *variance;
    size_t channels, n;
    void *p;

    AX_TRY(ref_want(c, 0, REALS, err));
    AX_TRY(ref_want_rank(c, 0, 1, AX_RANK_MAX, err));
    x = c->in[0];
    channels = x->rank > 1 ? (size_t)x->dims[1] : 1;
    for (uint32_t i = 1; i < 5; i++)
        AX_TRY(want_channels(c, i, (int64_t)channels, err));
    AX_TRY(ax_call_scratch(c, &p, 2 * channels * sizeof *mean, err));
    mean = p;
    variance = mean + channels;
    if (ax_node_int(c->node, "training_mode", 0)) {
        AX_TRY(batch_moments(mean, variance, c, channels, err));
    } else {
        ax_get_f64(mean, c->in[3]->dtype, c->in[3]->data, 0, channels);
        ax_get_f64(variance, c->in[4]->dtype, c->in[4]->data, 0, channels);
    }
    AX_TRY(ax_call_out_over(c, 0, 0, err));
    n = (size_t)ref_product(x->dims, 2, x->rank);
    for (size_t k = 0; n > 0 && k < ax_tensor_count(x) / n; k++) {
        size_t ch = k % channels;

        affine(c->out[0], x, k * n, n, mean[ch],
               ref_number(c->in[1], ch) / sqrt(variance[ch] + epsilon),
               ref_number(c->in[2], ch));
    }
    return AX_OK;
}

/* Mean and 1 / sqrt(variance + epsilon) of n elements. */
static void moments(const struct ax_tensor *x, size_t at, size_t n,
                    double epsilon, double *mean, double *scale)
{
    double sum = 0, squares = 0;

    for (size_t k = at; k < at + n; k++)
        sum += ref_number(x, k);
    *mean = sum / (double)n;
    for (size_t k = at; k < at + n; k++) {
        double d = ref_number(x, k) - *mean;

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
        affine(c->out[0], x, p * n, n, mean, scale * ref_number(c->in[1], ch),
               ref_number(c->in[2], ch));
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

            affine(c->out[0], x, at, each, mean,
                   scale * ref_number(c->in[1], ch),
                   ref_number(c->in[2], ch));
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
                   stat[1] * ref_number(c->in[1], k),
                   ax_call_has(c, 2) ? ref_number(c->in[2], k) : 0);
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
            double v = ref_number(x, (size_t)((int64_t)k + (i - ch) * n));

            sum += v * v;
        }
        y = ref_number(x, k) / pow(bias + alpha / (double)size * sum, beta);
        ax_put_f64(x->dtype, c->out[0]->data, k, &y, 1);
    }
    return AX_OK;
}

struct scale {
    double *out;
    const struct ax_tensor *scale;
    const struct ax_walk *w;
};

static void put_scale(void *p, size_t out, const size_t *at, size_t len)
{
    const struct scale *s = p;
    size_t step = (size_t)s->w->stride[1][s->w->rank - 1];

    for (size_t k = 0; k < len; k++)
        s->out[out + k] = ref_number(s->scale, at[1] + k * step);
}

/* x / sqrt(mean of squares + epsilon) * scale, over dimensions from axis. */
static ax_status rms_norm(struct ax_call *c, struct ax_err *err)
{
    double epsilon = (double)ax_node_float(c->node, "epsilon", 1e-5f);
    const struct ax_tensor *x, *both[2];
    int64_t dims[AX_RANK_MAX];
    struct ax_walk w;
    size_t n, rows;
    void *scaled;
    int axis, rank;

    AX_TRY(ref_want(c, 0, REALS, err));
    AX_TRY(ref_want(c, 1, REALS, err));
    both[0] = x = c->in[0];
    both[1] = c->in[1];
    AX_TRY(ref_axis(&axis, ax_node_int(c->node, "axis", -1), x->rank, err));
    AX_TRY(ax_shape_broadcast(&rank, dims, both, 2, err));
    n = ax_tensor_count(x);
    if (rank != x->rank || memcmp(dims, x->dims, (size_t)rank * sizeof *dims))
        return ax_fail(err, AX_ESHAPE,
                       "the scale does not broadcast to the input");
    AX_TRY(ax_call_scratch(c, &scaled, n * sizeof(double), err));
    ax_walk_init(&w, rank, dims, both, 2);
    ax_walk_runs(&w, 2, put_scale, &(struct scale){scaled, both[1], &w});
    AX_TRY(ax_call_out(c, 0, c->in[1]->dtype, x->rank, x->dims, err));
    n = (size_t)ref_product(x->dims, axis, x->rank);
    rows = (size_t)ref_product(x->dims, 0, axis);
    for (size_t r = 0; r < rows && n > 0; r++) {
        double squares = 0;

        for (size_t k = r * n; k < (r + 1) * n; k++)
            squares += ref_number(x, k) * ref_number(x, k);
        squares = sqrt(squares / (double)n + epsilon);
        for (size_t k = r * n; k < (r + 1) * n; k++)
            ref_put(c->out[0], k,
                    ref_number(x, k) / squares * ((double *)scaled)[k]);
    }
    return AX_OK;
}

/* A norm of 0 leaves zeros as they are. */
static ax_status lp_norm(struct ax_call *c, struct ax_err *err)
{
    int64_t p = ax_node_int(c->node, "p", 2);
    const struct ax_tensor *x;
    size_t n, inner;
    int axis;

    AX_TRY(ref_want(c, 0, REALS, err));
    x = c->in[0];
    if (p != 1 && p != 2)
        return ax_fail(err, AX_EFORMAT, "attribute p has %lld", (long long)p);
    AX_TRY(ref_axis(&axis, ax_node_int(c->node, "axis", -1), x->rank, err));
    AX_TRY(ax_call_out(c, 0, x->dtype, x->rank, x->dims, err));
    n = (size_t)x->dims[axis];
    inner = (size_t)ref_product(x->dims, axis + 1, x->rank);
    for (size_t r = 0; n > 0 && r < ax_tensor_count(x) / n; r++) {
        size_t at = r / inner * n * inner + r % inner;
        double norm = 0;

        for (size_t k = 0; k < n; k++) {
            double v = fabs(ref_number(x, at + k * inner));

            norm += p == 1 ? v : v * v;
        }
        norm = p == 1 ? norm : sqrt(norm);
        for (size_t k = 0; k < n; k++)
            ref_put(c->out[0], at + k * inner,
                    norm == 0 ? 0 : ref_number(x, at + k * inner) / norm);
    }
    return AX_OK;
}

/* Which of the kept indexes element K belongs to. */
static size_t kept_index(const struct ax_tensor *x, uint32_t axes, size_t k)
{
    size_t at = 0, unit = 1;

    for (int d = x->rank - 1; d >= 0; d--) {
        size_t n = (size_t)x->dims[d];

        if (!(axes & 1u << d)) {
            at += k % n * unit;
            unit *= n;
        }
        k /= n;
    }
    return at;
}

/* (x - mean) / sqrt(variance), 1e-9 added to the latter, as the function of
 * ONNX has it. */
static ax_status mean_variance(struct ax_call *c, struct ax_err *err)
{
    const struct ax_tensor *x;
    size_t n, kept = 1;
    uint32_t axes;
    double *mean, *square, each = 1;
    bool given;
    void *p;

    AX_TRY(ref_want(c, 0, REALS, err));
    x = c->in[0];
    AX_TRY(ref_axes(&axes, &given, c, 1, x->rank, err));
    if (!given) {
        AX_TRY(ref_want_rank(c, 0, 4, AX_RANK_MAX, err));
        axes = 1u << 0 | 1u << 2 | 1u << 3;
    }
    for (int d = 0; d < x->rank; d++)
        if (axes & 1u << d)
            each *= (double)x->dims[d];
        else
            kept *= (size_t)x->dims[d];
    AX_TRY(ax_call_out(c, 0, x->dtype, x->rank, x->dims, err));
    AX_TRY(ax_call_scratch(c, &p, 2 * kept * sizeof(double), err));
    mean = p;
    square = mean + kept;
    memset(p, 0, 2 * kept * sizeof(double));
    n = ax_tensor_count(x);
    for (size_t k = 0; k < n; k++)
        mean[kept_index(x, axes, k)] += ref_number(x, k) / each;
    for (size_t k = 0; k < n; k++) {
        size_t i = kept_index(x, axes, k);
        double d = ref_number(x, k) - mean[i];

        square[i] += d * d / each;
    }
    for (size_t k = 0; k < n; k++) {
        size_t i = kept_index(x, axes, k);

        ref_put(c->out[0], k,
                (ref_number(x, k) - mean[i]) / (sqrt(square[i]) + 1e-9));
    }
    return AX_OK;
}

const struct ax_kernel ref_norm[] = {
    {"BatchNormalization", batch_norm, NULL, NULL},
    {"GroupNormalization", group_norm, NULL, NULL},
    {"InstanceNormalization", instance_norm, NULL, NULL},
    {"LRN", lrn, NULL, NULL},
    {"LayerNormalization", layer_norm, NULL, NULL},
    {"LpNormalization", lp_norm, NULL, NULL},
    {"MeanVarianceNormalization", mean_variance, NULL, NULL},
    {"RMSNormalization", rms_norm, NULL, NULL},
    {0},
};
