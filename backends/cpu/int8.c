/* Constants of nodes that compute with bytes, and the end of their sums. */
#include "int8.h"
#include "cpu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void int8_free(struct int8 *q)
{
    free(q->scale);
    free(q->add);
    free(q->sum);
    free(q->w);
    *q = (struct int8){0};
}

/* -- reading --------------------------------------------------------------
 */

static bool is_byte(const struct ax_tensor *t)
{
    return t->dtype == AX_U8 || t->dtype == AX_I8;
}

static int byte_at(const struct ax_tensor *t, size_t i)
{
    return t->dtype == AX_U8 ? ((const uint8_t *)t->data)[i]
                             : ((const int8_t *)t->data)[i];
}

/* A zero point of the type of its bytes, or none. */
static bool zero_of(int *out, const struct ax_call *c, uint32_t i)
{
    *out = 0;
    if (!ax_call_has(c, i))
        return true;
    if (!is_byte(c->in[i]) || ax_tensor_count(c->in[i]) != 1)
        return false;
    *out = byte_at(c->in[i], 0);
    return true;
}

/* That of x, which has its type. */
static bool x_zero_of(int *out, const struct ax_call *c)
{
    return zero_of(out, c, INT8_X_ZERO) &&
           (!ax_call_has(c, INT8_X_ZERO) ||
            c->in[INT8_X_ZERO]->dtype == c->in[INT8_X]->dtype);
}

/* Is it one of integers alone? */
static bool is_integer(const struct ax_call *c)
{
    return c->node->op == AX_OP_ConvInteger ||
           c->node->op == AX_OP_MatMulInteger;
}

static bool scales_of(const struct ax_call *c, uint32_t i, size_t channels)
{
    size_t n;

    if (!ax_call_has(c, i))
        return is_integer(c);
    if (c->in[i]->dtype != AX_F32)
        return false;
    n = ax_tensor_count(c->in[i]);
    for (size_t k = 0; k < n; k++) {
        float s = ((const float *)c->in[i]->data)[k];

        if (!(s > 0) || !isfinite(s))
            return false;
    }
    return n == 1 || n == channels;
}

/* Everything but x is a constant of the right type and size. */
static bool well_formed(const struct ax_call *c, size_t channels)
{
    const struct ax_tensor *w;
    int ignored;

    if (!ax_call_has(c, INT8_X) || !is_byte(c->in[INT8_X]) ||
        !ax_call_has(c, INT8_W) || !is_byte(c->in[INT8_W]))
        return false;
    for (uint32_t i = INT8_X_SCALE; i <= INT8_BIAS; i++)
        if (ax_call_has(c, i) && !(c->constant >> i & 1) &&
            !(i == INT8_X_ZERO && is_integer(c)))
            return false;
    w = ax_call_has(c, INT8_W_ZERO) ? c->in[INT8_W_ZERO] : NULL;
    return scales_of(c, INT8_X_SCALE, 1) &&
           scales_of(c, INT8_W_SCALE, channels) &&
           (!ax_call_has(c, INT8_Y_SCALE) || scales_of(c, INT8_Y_SCALE, 1)) &&
           x_zero_of(&ignored, c) && zero_of(&ignored, c, INT8_Y_ZERO) &&
           (!w ||
            (w->dtype == c->in[INT8_W]->dtype &&
             (ax_tensor_count(w) == 1 || ax_tensor_count(w) == channels))) &&
           (!ax_call_has(c, INT8_BIAS) ||
            (c->in[INT8_BIAS]->dtype == AX_I32 &&
             ax_tensor_count(c->in[INT8_BIAS]) == channels));
}

static void set_end(struct int8 *q, const struct ax_call *c)
{
    int zero;

    q->end = (struct int8_end){.dtype = AX_F32, .floor = -HUGE_VALF};
    if (is_integer(c))
        q->end.dtype = AX_I32;
    if (!ax_call_has(c, INT8_Y_SCALE) || !zero_of(&zero, c, INT8_Y_ZERO))
        return;
    q->end.dtype = ax_call_has(c, INT8_Y_ZERO) ? c->in[INT8_Y_ZERO]->dtype
                                               : AX_U8;
    q->end.zero = zero;
    q->end.lo = (float)((q->end.dtype == AX_U8 ? 0 : -128) - zero);
    q->end.hi = (float)((q->end.dtype == AX_U8 ? 255 : 127) - zero);
}

/* Scales as the reference multiplies them. */
static float scale_at(const struct ax_call *c, size_t ch)
{
    const struct ax_tensor *w = c->in[INT8_W_SCALE];
    float s;

    if (is_integer(c))
        return 1;
    s = *(const float *)c->in[INT8_X_SCALE]->data *
        ((const float *)w->data)[ax_tensor_count(w) == 1 ? 0 : ch];

    if (ax_call_has(c, INT8_Y_SCALE))
        s /= *(const float *)c->in[INT8_Y_SCALE]->data;
    return s;
}

/* One channel; false if its scale is not finite, or a weight is no sum of
 * two int8: 255 with a zero point of 0. */
static bool read_channel(struct int8 *q, const struct ax_call *c, size_t ch,
                         size_t at, size_t inner, size_t next)
{
    const struct ax_tensor *z = ax_call_has(c, INT8_W_ZERO)
                                    ? c->in[INT8_W_ZERO]
                                    : NULL;
    int zero = z ? byte_at(z, ax_tensor_count(z) == 1 ? 0 : ch) : 0;
    uint32_t sum = 0;

    for (size_t i = 0; i < inner; i++) {
        int w = byte_at(c->in[INT8_W], at + i * next) - zero;

        if (w > 2 * 127)
            return false;
        q->wide = q->wide || w < -128 || w > 127;
        q->w[at + i * next] = (int16_t)w;
        sum += (uint32_t)w;
    }
    q->sum[ch] = (int32_t)sum;
    sum = -sum * (uint32_t)q->x_zero;
    if (ax_call_has(c, INT8_BIAS))
        sum += (uint32_t)((const int32_t *)c->in[INT8_BIAS]->data)[ch];
    q->add[ch] = (int32_t)sum;
    q->scale[ch] = scale_at(c, ch);
    return isfinite(q->scale[ch]);
}

ax_status int8_read(struct int8 *q, const struct ax_call *c, size_t channels,
                    size_t step, size_t inner, size_t next,
                    struct ax_err *err)
{
    bool fits = true;
    int zero;

    if (!well_formed(c, channels) || !x_zero_of(&zero, c))
        return AX_NO;
    q->scale = calloc(channels + 1, sizeof *q->scale);
    q->add = calloc(channels + 1, sizeof *q->add);
    q->w = calloc(ax_tensor_count(c->in[INT8_W]) + 1, sizeof *q->w);
    q->sum = calloc(channels + 1, sizeof *q->sum);
    if (!q->scale || !q->add || !q->sum || !q->w) {
        int8_free(q);
        return ax_fail(err, AX_ENOMEM, "no memory for a weight");
    }
    q->x = c->in[INT8_X]->dtype;
    q->flip = c->in[INT8_X]->dtype == AX_I8 ? 0x80808080u : 0;
    q->x_zero = zero + (q->flip ? 128 : 0);
    for (size_t ch = 0; ch < channels && fits; ch++)
        fits = read_channel(q, c, ch, ch * step, inner, next);
    set_end(q, c);
    if (!fits)
        int8_free(q);
    return fits ? AX_OK : AX_NO;
}

ax_status int8_zero(struct int8 *q, const struct ax_call *c, size_t channels)
{
    int zero;

    if (!x_zero_of(&zero, c))
        return AX_NO;
    zero += q->flip ? 128 : 0;
    for (size_t ch = 0; ch < channels && zero != q->x_zero; ch++)
        q->add[ch] = (int32_t)((uint32_t)q->add[ch] -
                               (uint32_t)q->sum[ch] *
                                   (uint32_t)(zero - q->x_zero));
    q->x_zero = zero;
    return AX_OK;
}

ax_status int8_integer(ax_status (*kernel)(struct ax_call *c,
                                           struct ax_err *err),
                       struct ax_call *c, struct ax_err *err)
{
    static const unsigned char place[4] = {INT8_X, INT8_W, INT8_X_ZERO,
                                           INT8_W_ZERO};
    const struct ax_tensor *in[INT8_BIAS + 1] = {NULL};
    struct ax_node node = *c->node;
    struct ax_call was = *c;
    ax_status st;

    c->constant = 0;
    for (uint32_t i = 0; i < 4 && i < node.n_in; i++) {
        in[place[i]] = was.in[i];
        c->constant |= (was.constant >> i & 1) << place[i];
    }
    node.n_in = INT8_BIAS + 1;
    c->node = &node;
    c->in = in;
    st = kernel(c, err);
    c->node = was.node;
    c->in = was.in;
    c->constant = was.constant;
    return st;
}

ax_status int8_out(struct ax_call *c, struct int8 *q, int rank,
                   const int64_t *dims, struct ax_err *err)
{
    if (q->end.dtype == AX_F32)
        q->end.floor = cpu_floor(c);
    return ax_call_out(c, 0, q->end.dtype, rank, dims, err);
}

/* -- ends -----------------------------------------------------------------
 */

static inline uint8_t rounded(int32_t sum, float scale, float lo, float hi,
                              int32_t zero)
{
    float v = (float)sum * scale;

    v = v < lo ? lo : v;
    v = v > hi ? hi : v;
    return (uint8_t)((int32_t)rintf(v) + zero);
}

CPU_CLONES
static void bytes_of_channel(uint8_t *restrict y, const int32_t *restrict sum,
                             int64_t n, float scale, int32_t add,
                             const struct int8_end *e)
{
    float lo = e->lo, hi = e->hi;
    int32_t zero = e->zero;

    for (int64_t j = 0; j < n; j++)
        y[j] = rounded((int32_t)((uint32_t)sum[j] + (uint32_t)add), scale, lo,
                       hi, zero);
}

CPU_CLONES
static void bytes_of_row(uint8_t *restrict y, const int32_t *restrict sum,
                         int64_t n, const float *restrict scale,
                         const int32_t *restrict add,
                         const struct int8_end *e)
{
    float lo = e->lo, hi = e->hi;
    int32_t zero = e->zero;

    for (int64_t j = 0; j < n; j++)
        y[j] = rounded((int32_t)((uint32_t)sum[j] + (uint32_t)add[j]),
                       scale[j], lo, hi, zero);
}

CPU_CLONES
static void reals_of_row(float *restrict y, const int32_t *restrict sum,
                         int64_t n, const float *restrict scale,
                         const int32_t *restrict add, float floor, int step)
{
    for (int64_t j = 0; j < n; j++) {
        int32_t all = (int32_t)((uint32_t)sum[j] +
                                (uint32_t)add[step ? j : 0]);
        float v = (float)all * scale[step ? j : 0];

        y[j] = v < floor ? floor : v;
    }
}

CPU_CLONES
static void sums_of_row(int32_t *restrict y, const int32_t *restrict sum,
                        int64_t n, const int32_t *restrict add, int step)
{
    for (int64_t j = 0; j < n; j++)
        y[j] = (int32_t)((uint32_t)sum[j] + (uint32_t)add[step ? j : 0]);
}

void int8_end_channel(void *y, const int32_t *sum, int64_t n, float scale,
                      int32_t add, const struct int8_end *e)
{
    if (e->dtype == AX_F32)
        reals_of_row(y, sum, n, &scale, &add, e->floor, 0);
    else if (e->dtype == AX_I32)
        sums_of_row(y, sum, n, &add, 0);
    else
        bytes_of_channel(y, sum, n, scale, add, e);
}

void int8_end_row(void *y, const int32_t *sum, int64_t n, const float *scale,
                  const int32_t *add, const struct int8_end *e)
{
    if (e->dtype == AX_F32)
        reals_of_row(y, sum, n, scale, add, e->floor, 1);
    else if (e->dtype == AX_I32)
        sums_of_row(y, sum, n, add, 1);
    else
        bytes_of_row(y, sum, n, scale, add, e);
}
