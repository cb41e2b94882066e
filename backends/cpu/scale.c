/* Between bytes and float32: QuantizeLinear, DequantizeLinear, the sum of two
 * tensors of bytes, and the largest of a window. Every operation rounds as
 * the reference's does, so that the bytes are the same. */
#include "cpu.h"
#include "int8.h"

#include <math.h>

/* Here a product and a sum round twice, as they are written. */
#pragma GCC optimize("fp-contract=off")

static bool is_byte(const struct ax_tensor *t)
{
    return t->dtype == AX_U8 || t->dtype == AX_I8;
}

/* One scale and one zero point for all. */
struct scale {
    float scale;
    int zero;
    ax_dtype dtype; /* of the zero point, and so of the bytes */
};

static bool scale_of(struct scale *s, const struct ax_call *c, uint32_t scale,
                     uint32_t zero)
{
    const struct ax_tensor *z = ax_call_has(c, zero) ? c->in[zero] : NULL;

    *s = (struct scale){.dtype = AX_U8};
    if (!ax_call_has(c, scale) || c->in[scale]->dtype != AX_F32 ||
        ax_tensor_count(c->in[scale]) != 1)
        return false;
    s->scale = *(const float *)c->in[scale]->data;
    if (!z)
        return true;
    if (!is_byte(z) || ax_tensor_count(z) != 1)
        return false;
    s->dtype = z->dtype;
    s->zero = z->dtype == AX_U8 ? *(const uint8_t *)z->data
                                : *(const int8_t *)z->data;
    return true;
}

/* Limits of what is rounded, less the zero point. */
static void limits(float *lo, float *hi, const struct scale *s)
{
    *lo = (float)((s->dtype == AX_U8 ? 0 : -128) - s->zero);
    *hi = (float)((s->dtype == AX_U8 ? 255 : 127) - s->zero);
}

/* A NaN becomes the zero point. */
static inline uint8_t rounded(float v, float lo, float hi, int zero)
{
    v = v < lo ? lo : v;
    v = v > hi ? hi : v;
    v = v >= lo ? v : 0;
    return (uint8_t)((int)rintf(v) + zero);
}

CPU_CLONES
static void round_all(uint8_t *restrict y, const float *restrict x, size_t n,
                      float scale, float lo, float hi, int zero)
{
    for (size_t i = 0; i < n; i++)
        y[i] = rounded(x[i] / scale, lo, hi, zero);
}

static ax_status quantize(struct ax_call *c, struct ax_err *err)
{
    struct scale s;
    float lo, hi;

    if (!cpu_f32(c, 0) || !scale_of(&s, c, 1, 2) || !ax_call_has(c, 2) ||
        ax_node_int(c->node, "block_size", 0) != 0)
        return AX_NO;
    limits(&lo, &hi, &s);
    AX_TRY(ax_call_out(c, 0, s.dtype, c->in[0]->rank, c->in[0]->dims, err));
    round_all(c->out[0]->data, c->in[0]->data, ax_tensor_count(c->in[0]),
              s.scale, lo, hi, s.zero);
    return AX_OK;
}

CPU_CLONES
static void real_u8(float *restrict y, const uint8_t *restrict x, size_t n,
                    float scale, int zero)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (float)((int)x[i] - zero) * scale;
}

CPU_CLONES
static void real_i8(float *restrict y, const int8_t *restrict x, size_t n,
                    float scale, int zero)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (float)((int)x[i] - zero) * scale;
}

static ax_status dequantize(struct ax_call *c, struct ax_err *err)
{
    size_t n;
    struct scale s;

    if (!ax_call_has(c, 0) || !is_byte(c->in[0]) || !scale_of(&s, c, 1, 2) ||
        (ax_call_has(c, 2) && s.dtype != c->in[0]->dtype) ||
        ax_node_int(c->node, "block_size", 0) != 0 ||
        ax_node_int(c->node, "output_dtype", AX_F32) != AX_F32)
        return AX_NO;
    AX_TRY(ax_call_out(c, 0, AX_F32, c->in[0]->rank, c->in[0]->dims, err));
    n = ax_tensor_count(c->in[0]);
    if (c->in[0]->dtype == AX_U8)
        real_u8(c->out[0]->data, c->in[0]->data, n, s.scale, s.zero);
    else
        real_i8(c->out[0]->data, c->in[0]->data, n, s.scale, s.zero);
    return AX_OK;
}

/* -- sums -----------------------------------------------------------------
 */

/* Signed bytes are made unsigned by FLIP, and so are their zero points. */
struct operand {
    const uint8_t *x;
    uint8_t flip;
    int zero;
    float scale;
};

CPU_CLONES
static void add_all(uint8_t *restrict y, const struct operand *a,
                    const struct operand *b, size_t n, float scale, float lo,
                    float hi, int zero)
{
    const uint8_t *restrict p = a->x, *restrict q = b->x;
    uint8_t pf = a->flip, qf = b->flip;
    int pz = a->zero, qz = b->zero;
    float ps = a->scale, qs = b->scale;

    for (size_t i = 0; i < n; i++) {
        float v = (float)((p[i] ^ pf) - pz) * ps;
        float w = (float)((q[i] ^ qf) - qz) * qs;

        y[i] = rounded((v + w) / scale, lo, hi, zero);
    }
}

static bool operand_of(struct operand *o, const struct ax_call *c, uint32_t x)
{
    struct scale s;

    if (!ax_call_has(c, x) || !is_byte(c->in[x]) ||
        !scale_of(&s, c, x + 1, x + 2) ||
        (ax_call_has(c, x + 2) && s.dtype != c->in[x]->dtype))
        return false;
    o->x = c->in[x]->data;
    o->flip = c->in[x]->dtype == AX_I8 ? 128 : 0;
    o->zero = s.zero + o->flip;
    o->scale = s.scale;
    return true;
}

static bool same_shape(const struct ax_tensor *a, const struct ax_tensor *b)
{
    for (int d = 0; d < a->rank && a->rank == b->rank; d++)
        if (a->dims[d] != b->dims[d])
            return false;
    return a->rank == b->rank;
}

static ax_status add(struct ax_call *c, struct ax_err *err)
{
    struct operand a, b;
    struct scale s;
    float lo, hi;

    if (!operand_of(&a, c, INT8_X) || !operand_of(&b, c, INT8_W) ||
        !scale_of(&s, c, INT8_Y_SCALE, INT8_Y_ZERO) ||
        !same_shape(c->in[INT8_X], c->in[INT8_W]))
        return AX_NO;
    limits(&lo, &hi, &s);
    AX_TRY(ax_call_out(c, 0, s.dtype, c->in[0]->rank, c->in[0]->dims, err));
    add_all(c->out[0]->data, &a, &b, ax_tensor_count(c->in[0]), s.scale, lo,
            hi, s.zero);
    return AX_OK;
}

const struct ax_kernel cpu_scale[] = {
    {"DequantizeLinear", dequantize, NULL, NULL},
    {"QuantizeLinear", quantize, NULL, NULL},
    {AX_INT8_ADD, add, NULL, NULL},
    {0},
};
