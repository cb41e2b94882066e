/* Quantised tensors: QuantizeLinear, DequantizeLinear,
 * DynamicQuantizeLinear, QLinearConv, QLinearMatMul. Scales are applied in
 * float32, as everybody else does, so that ties round alike. */
#include "ref.h"

#include <math.h>

#define BYTES (BIT(AX_U8) | BIT(AX_I8))

static void limits(ax_dtype t, float *lo, float *hi)
{
    *lo = t == AX_I8 ? -128 : t == AX_I16 ? -32768 : 0;
    *hi = t == AX_I8 ? 127 : t == AX_U8 ? 255 : t == AX_I16 ? 32767 : 65535;
}

/* Round x, ties to even, add the zero point, saturate. */
static int64_t quantized(float x, int64_t zero, ax_dtype t)
{
    float lo, hi, v = nearbyintf(x) + (float)zero;

    limits(t, &lo, &hi);
    if (isnan(v))
        return zero;
    return (int64_t)(v < lo ? lo : v > hi ? hi : v);
}

/* How scales run over a tensor: one for all, or one an index of an axis. */
struct scales {
    const struct ax_tensor *scale, *zero;
    size_t n, inner; /* scales; elements that one holds for in a row */
};

static ax_status scales_init(struct scales *s, const struct ax_call *c,
                             uint32_t scale, uint32_t zero, int64_t dflt,
                             struct ax_err *err)
{
    const struct ax_tensor *x = c->in[0];
    int axis = 0;

    AX_TRY(ref_want(c, scale, REALS, err));
    s->scale = c->in[scale];
    s->zero = ax_call_has(c, zero) ? c->in[zero] : NULL;
    s->n = ax_tensor_count(s->scale);
    s->inner = 1;
    if (s->zero && ax_tensor_count(s->zero) != s->n)
        return ax_fail(err, AX_ESHAPE, "%zu scales and %zu zero points", s->n,
                       ax_tensor_count(s->zero));
    if (ax_node_int(c->node, "block_size", 0))
        return ax_fail(err, AX_EUNSUPPORTED, "attribute block_size");
    if (s->n == 1)
        return AX_OK;
    AX_TRY(ref_axis(&axis, ax_node_int(c->node, "axis", dflt), x->rank, err));
    if ((int64_t)s->n != x->dims[axis])
        return ax_fail(err, AX_ESHAPE,
                       "%zu scales for %lld indexes of axis "
                       "%d",
                       s->n, (long long)x->dims[axis], axis);
    s->inner = (size_t)ref_product(x->dims, axis + 1, x->rank);
    return AX_OK;
}

static void scale_at(const struct scales *s, size_t i, float *scale,
                     int64_t *zero)
{
    size_t k = s->n == 1 ? 0 : i / s->inner % s->n;
    double v;

    ax_get_f64(&v, s->scale->dtype, s->scale->data, k, 1);
    *scale = (float)v;
    *zero = 0;
    if (s->zero)
        ax_get_i64(zero, s->zero->dtype, s->zero->data, k, 1);
}

static ax_status quantize(struct ax_call *c, struct ax_err *err)
{
    const struct ax_tensor *x;
    struct scales s;
    ax_dtype to = AX_U8;

    AX_TRY(ref_want(c, 0, REALS | BIT(AX_I32), err));
    AX_TRY(scales_init(&s, c, 1, 2, 1, err));
    x = c->in[0];
    if (s.zero) {
        AX_TRY(ref_want(c, 2, BYTES | BIT(AX_I16) | BIT(AX_U16), err));
        to = s.zero->dtype;
    } else if (ax_node_int(c->node, "output_dtype", AX_U8) != AX_U8) {
        to = (ax_dtype)ax_node_int(c->node, "output_dtype", AX_U8);
        if (to != AX_I8 && to != AX_I16 && to != AX_U16)
            return ax_fail(err, AX_EUNSUPPORTED, "output_dtype %d", (int)to);
    }
    AX_TRY(ax_call_out(c, 0, to, x->rank, x->dims, err));
    for (size_t i = 0; i < ax_tensor_count(x); i++) {
        int64_t zero, q;
        float scale;
        double v;

        scale_at(&s, i, &scale, &zero);
        ax_get_f64(&v, x->dtype, x->data, i, 1);
        q = quantized((float)v / scale, zero, to);
        ax_put_i64(to, c->out[0]->data, i, &q, 1);
    }
    return AX_OK;
}

static ax_status dequantize(struct ax_call *c, struct ax_err *err)
{
    const struct ax_tensor *x;
    struct scales s;

    AX_TRY(
        ref_want(c, 0, BYTES | BIT(AX_I16) | BIT(AX_U16) | BIT(AX_I32), err));
    AX_TRY(scales_init(&s, c, 1, 2, 1, err));
    x = c->in[0];
    AX_TRY(ax_call_out(c, 0, s.scale->dtype, x->rank, x->dims, err));
    for (size_t i = 0; i < ax_tensor_count(x); i++) {
        int64_t zero, q;
        float scale;
        double v;

        scale_at(&s, i, &scale, &zero);
        ax_get_i64(&q, x->dtype, x->data, i, 1);
        v = (double)((float)(q - zero) * scale);
        ax_put_f64(s.scale->dtype, c->out[0]->data, i, &v, 1);
    }
    return AX_OK;
}

static ax_status dynamic_quantize(struct ax_call *c, struct ax_err *err)
{
    float lo = 0, hi = 0, scale, zero;
    const float *x;
    uint8_t *y;
    size_t n;

    AX_TRY(ref_want(c, 0, BIT(AX_F32), err));
    x = c->in[0]->data;
    n = ax_tensor_count(c->in[0]);
    for (size_t i = 0; i < n; i++) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
    }
    scale = (hi - lo) / 255;
    scale = scale > 0 ? scale : 1;
    zero = nearbyintf(-lo / scale);
    zero = zero < 0 ? 0 : zero > 255 ? 255 : zero;
    AX_TRY(ax_call_out(c, 0, AX_U8, c->in[0]->rank, c->in[0]->dims, err));
    AX_TRY(ax_call_out(c, 1, AX_F32, 0, NULL, err));
    AX_TRY(ax_call_out(c, 2, AX_U8, 0, NULL, err));
    y = c->out[0]->data;
    for (size_t i = 0; i < n; i++)
        y[i] = (uint8_t)quantized(x[i] / scale, (int64_t)zero, AX_U8);
    *(float *)c->out[1]->data = scale;
    *(uint8_t *)c->out[2]->data = (uint8_t)zero;
    return AX_OK;
}

/* -- integer sums brought to another scale --------------------------------
 */

static ax_status one_scale(float *out, const struct ax_call *c, uint32_t i,
                           struct ax_err *err)
{
    double v;

    AX_TRY(ref_want(c, i, BIT(AX_F32), err));
    AX_TRY(ref_scalar(&v, c, i, 1, err));
    *out = (float)v;
    return AX_OK;
}

static ax_status one_zero(int64_t *out, const struct ax_call *c, uint32_t i,
                          struct ax_err *err)
{
    double v;

    AX_TRY(ref_want(c, i, BYTES, err));
    AX_TRY(ref_scalar(&v, c, i, 0, err));
    *out = (int64_t)v;
    return AX_OK;
}

/* x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias */
static ax_status qlinear_conv(struct ax_call *c, struct ax_err *err)
{
    const int32_t *bias = NULL;
    float xs, ys;
    int64_t zero;
    uint32_t *sum;
    size_t each, channels, n_scales;

    AX_TRY(one_scale(&xs, c, 1, err));
    AX_TRY(ref_want(c, 4, BIT(AX_F32), err));
    AX_TRY(one_scale(&ys, c, 6, err));
    AX_TRY(one_zero(&zero, c, 7, err));
    AX_TRY(ref_conv_integers(&sum, c, 0, 2, 3, 5, c->in[7]->dtype, err));
    channels = (size_t)c->out[0]->dims[1];
    n_scales = ax_tensor_count(c->in[4]);
    if (n_scales != 1 && n_scales != channels)
        return ax_fail(err, AX_ESHAPE, "%zu scales for %zu channels",
                       n_scales, channels);
    if (ax_call_has(c, 8)) {
        AX_TRY(ref_want(c, 8, BIT(AX_I32), err));
        if (ax_tensor_count(c->in[8]) != channels)
            return ax_fail(err, AX_ESHAPE, "%zu biases for %zu channels",
                           ax_tensor_count(c->in[8]), channels);
        bias = c->in[8]->data;
    }
    each = (size_t)ref_product(c->out[0]->dims, 2, c->out[0]->rank);
    for (size_t i = 0; i < ax_tensor_count(c->out[0]); i++) {
        size_t ch = i / each % channels;
        float ws = ((const float *)c->in[4]->data)[n_scales == 1 ? 0 : ch];
        int32_t acc = (int32_t)(sum[i] + (bias ? (uint32_t)bias[ch] : 0));
        int64_t q = quantized((float)acc * (xs * ws / ys), zero,
                              c->out[0]->dtype);

        ax_put_i64(c->out[0]->dtype, c->out[0]->data, i, &q, 1);
    }
    return AX_OK;
}

/* a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero; scales are one
 * number each. */
static ax_status qlinear_matmul(struct ax_call *c, struct ax_err *err)
{
    float as, bs, ys;
    int64_t zero, *sum;

    AX_TRY(one_scale(&as, c, 1, err));
    AX_TRY(one_scale(&bs, c, 4, err));
    AX_TRY(one_scale(&ys, c, 6, err));
    AX_TRY(one_zero(&zero, c, 7, err));
    AX_TRY(ref_matmul_integers(&sum, c, 0, 2, 3, 5, c->in[7]->dtype, err));
    for (size_t i = 0; i < ax_tensor_count(c->out[0]); i++) {
        int64_t q = quantized((float)(int32_t)sum[i] * (as * bs / ys), zero,
                              c->out[0]->dtype);

        ax_put_i64(c->out[0]->dtype, c->out[0]->data, i, &q, 1);
    }
    return AX_OK;
}

const struct ax_kernel ref_quant[] = {
    {"DequantizeLinear", dequantize, NULL, NULL},
    {"DynamicQuantizeLinear", dynamic_quantize, NULL, NULL},
    {"QLinearConv", qlinear_conv, NULL, NULL},
    {"QLinearMatMul", qlinear_matmul, NULL, NULL},
    {"QuantizeLinear", quantize, NULL, NULL},
    {0},
};
