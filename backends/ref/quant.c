/* Quantised tensors: QuantizeLinear, DequantizeLinear,
 * DynamicQuantizeLinear, QLinearConv, QLinearMatMul. Scales are applied in
 * float32, as everybody else does, so that ties round alike. */
#include "ref.h"

#include <math.h>

#define BYTES (BIT(AX_U8) | BIT(AX_I8))

#define SHORTS   (BIT(AX_I16) | BIT(AX_U16))
#define FEW_BITS (BIT(AX_U2) | BIT(AX_I2) | BIT(AX_U4) | BIT(AX_I4))
#define NARROW                                                   \
    (BIT(AX_F8_E4M3FN) | BIT(AX_F8_E4M3FNUZ) | BIT(AX_F8_E5M2) | \
     BIT(AX_F8_E5M2FNUZ) | BIT(AX_F4_E2M1))

static void limits(ax_dtype t, float *lo, float *hi)
{
    static const struct {
        ax_dtype dtype;
        float lo, hi;
    } all[] = {
        {AX_U8, 0, 255}, {AX_I8, -128, 127}, {AX_U16, 0, 65535},
        {AX_U4, 0, 15},  {AX_I4, -8, 7},     {AX_I16, -32768, 32767},
        {AX_U2, 0, 3},   {AX_I2, -2, 1},
    };
    size_t k = 0;

    while (all[k].dtype != t)
        k++;
    *lo = all[k].lo;
    *hi = all[k].hi;
}

int64_t ref_quantized(float x, int64_t zero, ax_dtype t)
{
    float lo, hi, v = nearbyintf(x) + (float)zero;

    limits(t, &lo, &hi);
    if (isnan(v))
        return zero;
    return (int64_t)(v < lo ? lo : v > hi ? hi : v);
}

/* How scales run over a tensor: one for all, one an index of an axis, or one
 * for a block of these. */
struct scales {
    const struct ax_tensor *scale, *zero;
    size_t n, inner; /* scales; elements that one holds for in a row */
    size_t block, blocks, along; /* block is not 0: indexes of one, how many
                                    there are, indexes of the axis */
};

static ax_status blocks_init(struct scales *s, const struct ax_call *c,
                             int64_t block, int axis, struct ax_err *err)
{
    const struct ax_tensor *x = c->in[0];

    s->block = (size_t)block;
    s->along = (size_t)x->dims[axis];
    s->blocks = s->along / s->block + (s->along % s->block != 0);
    if (s->scale->rank != x->rank)
        return ax_fail(err, AX_ESHAPE,
                       "scales of %d dimensions for %d in blocks",
                       s->scale->rank, x->rank);
    for (int d = 0; d < x->rank; d++)
        if (s->scale->dims[d] !=
            (d == axis ? (int64_t)s->blocks : x->dims[d]))
            return ax_fail(err, AX_ESHAPE,
                           "%lld scales in dimension %d do not fit blocks of "
                           "%lld",
                           (long long)s->scale->dims[d], d, (long long)block);
    return AX_OK;
}

static ax_status scales_init(struct scales *s, const struct ax_call *c,
                             uint32_t scale, uint32_t zero, int64_t dflt,
                             struct ax_err *err)
{
    int64_t block = ax_node_int(c->node, "block_size", 0);
    const struct ax_tensor *x = c->in[0];
    int axis = 0;

    AX_TRY(ref_want(c, scale, REALS, err));
    *s = (struct scales){.scale = c->in[scale], .inner = 1};
    s->zero = ax_call_has(c, zero) ? c->in[zero] : NULL;
    s->n = ax_tensor_count(s->scale);
    if (s->zero && ax_tensor_count(s->zero) != s->n)
        return ax_fail(err, AX_ESHAPE, "%zu scales and %zu zero points", s->n,
                       ax_tensor_count(s->zero));
    if (block < 0)
        return ax_fail(err, AX_EFORMAT, "attribute block_size has %lld",
                       (long long)block);
    if (s->n == 1 && !block)
        return AX_OK;
    AX_TRY(ref_axis(&axis, ax_node_int(c->node, "axis", dflt), x->rank, err));
    s->inner = (size_t)ref_product(x->dims, axis + 1, x->rank);
    if (block)
        return blocks_init(s, c, block, axis, err);
    if ((int64_t)s->n != x->dims[axis])
        return ax_fail(err, AX_ESHAPE,
                       "%zu scales for %lld indexes of axis "
                       "%d",
                       s->n, (long long)x->dims[axis], axis);
    return AX_OK;
}

static size_t scale_index(const struct scales *s, size_t i)
{
    size_t row = i / s->inner;

    if (s->block)
        return (row / s->along * s->blocks + row % s->along / s->block) *
                   s->inner +
               i % s->inner;
    return s->n == 1 ? 0 : row % s->n;
}

static void scale_at(const struct scales *s, size_t i, float *scale,
                     double *zero)
{
    size_t k = scale_index(s, i);

    *scale = (float)ref_number(s->scale, k);
    *zero = s->zero ? ref_number(s->zero, k) : 0;
}

static ax_status quantize(struct ax_call *c, struct ax_err *err)
{
    const uint32_t known = BYTES | SHORTS | FEW_BITS | NARROW;
    int64_t asked = ax_node_int(c->node, "output_dtype", AX_U8);
    const struct ax_tensor *x;
    struct scales s;

    AX_TRY(ref_want(c, 0, REALS | BIT(AX_I32), err));
    AX_TRY(scales_init(&s, c, 1, 2, 1, err));
    x = c->in[0];
    if (s.zero) {
        AX_TRY(ref_want(c, 2, known, err));
        asked = (int64_t)s.zero->dtype;
    } else if (asked < 1 || asked > 31 || !(known & BIT(asked))) {
        return ax_fail(err, AX_EUNSUPPORTED, "output_dtype %lld",
                       (long long)asked);
    }
    AX_TRY(ax_call_out(c, 0, (ax_dtype)asked, x->rank, x->dims, err));
    for (size_t i = 0; i < ax_tensor_count(x); i++) {
        double zero;
        float scale, v;
        int64_t q;

        scale_at(&s, i, &scale, &zero);
        v = (float)ref_number(x, i) / scale;
        if (NARROW & BIT(asked)) {
            ref_put(c->out[0], i, (double)v + zero);
            continue;
        }
        q = ref_quantized(v, (int64_t)zero, (ax_dtype)asked);
        ax_put_i64((ax_dtype)asked, c->out[0]->data, i, &q, 1);
    }
    return AX_OK;
}

static ax_status dequantize(struct ax_call *c, struct ax_err *err)
{
    const struct ax_tensor *x;
    struct scales s;
    int64_t to;

    AX_TRY(ref_want(c, 0, BYTES | SHORTS | FEW_BITS | NARROW | BIT(AX_I32),
                    err));
    AX_TRY(scales_init(&s, c, 1, 2, 1, err));
    x = c->in[0];
    to = ax_node_int(c->node, "output_dtype", (int64_t)s.scale->dtype);
    if (to < 1 || to > 31 || !(REALS & BIT(to)))
        return ax_fail(err, AX_EUNSUPPORTED, "output_dtype %lld",
                       (long long)to);
    AX_TRY(ax_call_out(c, 0, (ax_dtype)to, x->rank, x->dims, err));
    for (size_t i = 0; i < ax_tensor_count(x); i++) {
        double zero;
        float scale;

        scale_at(&s, i, &scale, &zero);
        ref_put(c->out[0], i,
                (double)((float)(ref_number(x, i) - zero) * scale));
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
        y[i] = (uint8_t)ref_quantized(x[i] / scale, (int64_t)zero, AX_U8);
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

    AX_TRY(ref_want(c, i, BIT(AX_F32) | BIT(AX_F16), err));
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
        int64_t q = ref_quantized((float)acc * (xs * ws / ys), zero,
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
        int64_t q = ref_quantized((float)(int32_t)sum[i] * (as * bs / ys),
                                  zero, c->out[0]->dtype);

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
