/* Elements of tensors as numbers: the one place that knows how each type
 * lies in memory. Not tuned: backends have their own loops over float. */
#include "ax/element.h"

#include <math.h>
#include <string.h>

/* Blocks of this many elements go through a wide buffer. */
#define BLOCK 256

ax_class ax_dtype_class(ax_dtype t)
{
    switch (t) {
    case AX_F16:
    case AX_BF16:
    case AX_F32:
    case AX_F64:
    case AX_F8_E4M3FN:
    case AX_F8_E4M3FNUZ:
    case AX_F8_E5M2:
    case AX_F8_E5M2FNUZ:
    case AX_F8_E8M0:
    case AX_F4_E2M1:
        return AX_CLASS_REAL;
    case AX_I2:
    case AX_I4:
    case AX_I8:
    case AX_I16:
    case AX_I32:
    case AX_I64:
        return AX_CLASS_SIGNED;
    default:
        return AX_CLASS_UNSIGNED;
    }
}

static float float_of_bits(uint32_t bits)
{
    float f;

    memcpy(&f, &bits, sizeof f);
    return f;
}

float ax_bf16_value(uint16_t bits)
{
    return float_of_bits((uint32_t)bits << 16);
}

float ax_f16_value(uint16_t bits)
{
    int e = bits >> 10 & 31, m = bits & 1023;
    float f;

    if (e == 31)
        f = m ? float_of_bits(0x7fc00000u | (uint32_t)m << 13) : INFINITY;
    else
        f = e ? ldexpf((float)(m | 1024), e - 25) : ldexpf((float)m, -24);
    return bits & 0x8000 ? -f : f;
}

/* Round x to P bits with exponents from EMIN (of the last subnormal bit) to
 * values below 2^EMAX; return the bits without the sign, where a number has
 * P-1 explicit bits. One rounding, ties to even. */
static unsigned narrow(double x, int p, int emin, int emax)
{
    unsigned top = (unsigned)(emax - 1 - (emin + p - 2)) + 1;
    int e, unit;
    double n;

    if (isnan(x))
        return (2 * top + 1) << (p - 2);
    if (x == 0)
        return 0;
    if (isinf(x))
        return top << (p - 1);
    frexp(x, &e); /* x < 2^e */
    unit = e - p > emin ? e - p : emin;
    n = nearbyint(ldexp(x, -unit));
    if (ldexp(n, unit) >= ldexp(1, emax))
        return top << (p - 1);
    /* The exponent field counts from the subnormals on, and a carry out of
     * the significand is a carry into it. */
    return ((unsigned)(unit - emin) << (p - 1)) + (unsigned)n;
}

uint16_t ax_f16_round(double x)
{
    return (uint16_t)(narrow(fabs(x), 11, -24, 16) |
                      (signbit(x) ? 0x8000u : 0));
}

uint16_t ax_bf16_round(double x)
{
    return (uint16_t)(narrow(fabs(x), 8, -133, 128) |
                      (signbit(x) ? 0x8000u : 0));
}

/* The number in the low bits of a byte. */
static int low_bits(unsigned x, int bits, bool has_sign)
{
    int n = (int)(x & ((1u << bits) - 1));

    return has_sign && n >> (bits - 1) ? n - (1 << bits) : n;
}

/* The same loop for every type in memory. */
#define EACH(type, expr)                             \
    do {                                             \
        const type *p_ = (const type *)data + first; \
        for (size_t i = 0; i < n; i++) {             \
            type x = p_[i];                          \
            out[i] = expr;                           \
        }                                            \
    } while (0)

void ax_get_f64(double *out, ax_dtype t, const void *data, size_t first,
                size_t n)
{
    /* clang-format off */
    switch (t) {
    case AX_F32:  EACH(float, (double)x); break;
    case AX_F64:  EACH(double, x); break;
    case AX_F16:  EACH(uint16_t, (double)ax_f16_value(x)); break;
    case AX_BF16: EACH(uint16_t, (double)ax_bf16_value(x)); break;
    case AX_I8:   EACH(int8_t, x); break;
    case AX_I16:  EACH(int16_t, x); break;
    case AX_I32:  EACH(int32_t, x); break;
    case AX_I64:  EACH(int64_t, (double)x); break;
    case AX_BOOL: EACH(uint8_t, x != 0); break;
    case AX_U8:   EACH(uint8_t, x); break;
    case AX_U16:  EACH(uint16_t, x); break;
    case AX_U32:  EACH(uint32_t, x); break;
    case AX_U64:  EACH(uint64_t, (double)x); break;
    case AX_I4:   EACH(uint8_t, low_bits(x, 4, true)); break;
    case AX_U4:   EACH(uint8_t, low_bits(x, 4, false)); break;
    case AX_I2:   EACH(uint8_t, low_bits(x, 2, true)); break;
    case AX_U2:   EACH(uint8_t, low_bits(x, 2, false)); break;
    case AX_F8_E4M3FN: case AX_F8_E4M3FNUZ: case AX_F8_E5M2:
    case AX_F8_E5M2FNUZ: case AX_F8_E8M0: case AX_F4_E2M1:
        EACH(uint8_t, ax_narrow_value(t, x)); break;
    default: memset(out, 0, n * sizeof *out); break;
    }
    /* clang-format on */
}

static int64_t cut(double x)
{
    if (isnan(x))
        return 0;
    if (x >= 0x1p63)
        return INT64_MAX;
    return x < -0x1p63 ? INT64_MIN : (int64_t)x;
}

void ax_get_i64(int64_t *out, ax_dtype t, const void *data, size_t first,
                size_t n)
{
    /* clang-format off */
    switch (t) {
    case AX_F32:  EACH(float, cut((double)x)); break;
    case AX_F64:  EACH(double, cut(x)); break;
    case AX_F16:  EACH(uint16_t, cut((double)ax_f16_value(x))); break;
    case AX_BF16: EACH(uint16_t, cut((double)ax_bf16_value(x))); break;
    case AX_I8:   EACH(int8_t, x); break;
    case AX_I16:  EACH(int16_t, x); break;
    case AX_I32:  EACH(int32_t, x); break;
    case AX_I64:  EACH(int64_t, x); break;
    case AX_BOOL: EACH(uint8_t, x != 0); break;
    case AX_U8:   EACH(uint8_t, x); break;
    case AX_U16:  EACH(uint16_t, x); break;
    case AX_U32:  EACH(uint32_t, x); break;
    case AX_U64:  EACH(uint64_t, (int64_t)x); break;
    case AX_I4:   EACH(uint8_t, low_bits(x, 4, true)); break;
    case AX_U4:   EACH(uint8_t, low_bits(x, 4, false)); break;
    case AX_I2:   EACH(uint8_t, low_bits(x, 2, true)); break;
    case AX_U2:   EACH(uint8_t, low_bits(x, 2, false)); break;
    case AX_F8_E4M3FN: case AX_F8_E4M3FNUZ: case AX_F8_E5M2:
    case AX_F8_E5M2FNUZ: case AX_F8_E8M0: case AX_F4_E2M1:
        EACH(uint8_t, cut(ax_narrow_value(t, x))); break;
    default: memset(out, 0, n * sizeof *out); break;
    }
    /* clang-format on */
}
#undef EACH

static double clamp(double x, double lo, double hi)
{
    if (isnan(x))
        return 0;
    return x < lo ? lo : x > hi ? hi : x;
}

static uint64_t cut_unsigned(double x)
{
    if (!(x > 0))
        return 0;
    return x >= 0x1p64 ? UINT64_MAX : (uint64_t)x;
}

#define EACH(type, expr)                 \
    do {                                 \
        type *p_ = (type *)data + first; \
        for (size_t i = 0; i < n; i++)   \
            p_[i] = (type)(expr);        \
    } while (0)

void ax_put_f64(ax_dtype t, void *data, size_t first, const double *in,
                size_t n)
{
    /* clang-format off */
    switch (t) {
    case AX_F32:  EACH(float, in[i]); break;
    case AX_F64:  EACH(double, in[i]); break;
    case AX_F16:  EACH(uint16_t, ax_f16_round(in[i])); break;
    case AX_BF16: EACH(uint16_t, ax_bf16_round(in[i])); break;
    case AX_I8:   EACH(int8_t, clamp(in[i], INT8_MIN, INT8_MAX)); break;
    case AX_I16:  EACH(int16_t, clamp(in[i], INT16_MIN, INT16_MAX)); break;
    case AX_I32:  EACH(int32_t, clamp(in[i], INT32_MIN, INT32_MAX)); break;
    case AX_I64:  EACH(int64_t, cut(in[i])); break;
    case AX_BOOL: EACH(uint8_t, in[i] != 0); break;
    case AX_U8:   EACH(uint8_t, clamp(in[i], 0, UINT8_MAX)); break;
    case AX_U16:  EACH(uint16_t, clamp(in[i], 0, UINT16_MAX)); break;
    case AX_U32:  EACH(uint32_t, clamp(in[i], 0, UINT32_MAX)); break;
    case AX_U64:  EACH(uint64_t, cut_unsigned(in[i])); break;
    case AX_I4: EACH(uint8_t, low_bits((unsigned)cut(in[i]), 4, true)); break;
    case AX_U4: EACH(uint8_t, cut(in[i]) & 15); break;
    case AX_I2: EACH(uint8_t, low_bits((unsigned)cut(in[i]), 2, true)); break;
    case AX_U2: EACH(uint8_t, cut(in[i]) & 3); break;
    case AX_F8_E4M3FN: case AX_F8_E4M3FNUZ: case AX_F8_E5M2:
    case AX_F8_E5M2FNUZ: case AX_F8_E8M0: case AX_F4_E2M1:
        EACH(uint8_t, ax_narrow_round(t, in[i], true, 'u')); break;
    default: break;
    }
    /* clang-format on */
}

void ax_put_i64(ax_dtype t, void *data, size_t first, const int64_t *in,
                size_t n)
{
    /* clang-format off */
    switch (t) {
    case AX_F32:  EACH(float, in[i]); break;
    case AX_F64:  EACH(double, in[i]); break;
    case AX_F16:  EACH(uint16_t, ax_f16_round((double)in[i])); break;
    case AX_BF16: EACH(uint16_t, ax_bf16_round((double)in[i])); break;
    case AX_BOOL: EACH(uint8_t, in[i] != 0); break;
    case AX_I8: case AX_U8:   EACH(uint8_t, in[i]); break;
    case AX_I16: case AX_U16: EACH(uint16_t, in[i]); break;
    case AX_I32: case AX_U32: EACH(uint32_t, in[i]); break;
    case AX_I64: case AX_U64: EACH(uint64_t, in[i]); break;
    case AX_I4: EACH(uint8_t, low_bits((unsigned)in[i], 4, true)); break;
    case AX_U4: EACH(uint8_t, in[i] & 15); break;
    case AX_I2: EACH(uint8_t, low_bits((unsigned)in[i], 2, true)); break;
    case AX_U2: EACH(uint8_t, in[i] & 3); break;
    case AX_F8_E4M3FN: case AX_F8_E4M3FNUZ: case AX_F8_E5M2:
    case AX_F8_E5M2FNUZ: case AX_F8_E8M0: case AX_F4_E2M1:
        EACH(uint8_t, ax_narrow_round(t, (double)in[i], true, 'u')); break;
    default: break;
    }
    /* clang-format on */
}
#undef EACH

void ax_cast(ax_dtype to, void *dst, ax_dtype from, const void *src, size_t n)
{
    union {
        double f[BLOCK];
        int64_t i[BLOCK];
    } wide;
    bool ints = ax_dtype_class(from) != AX_CLASS_REAL &&
                ax_dtype_class(to) != AX_CLASS_REAL;

    if (to == from) {
        memcpy(dst, src, n * ax_dtype_size(to));
        return;
    }
    for (size_t at = 0; at < n; at += BLOCK) {
        size_t m = n - at < BLOCK ? n - at : BLOCK;

        if (ints) {
            ax_get_i64(wide.i, from, src, at, m);
            ax_put_i64(to, dst, at, wide.i, m);
        } else {
            ax_get_f64(wide.f, from, src, at, m);
            ax_put_f64(to, dst, at, wide.f, m);
        }
    }
}

ax_status ax_tensor_cast(struct ax_tensor *out, const struct ax_tensor *src,
                         ax_dtype dtype, struct ax_err *err)
{
    if (dtype == AX_STRING || src->dtype == AX_STRING)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "strings are not made of numbers, nor numbers of "
                       "strings");
    AX_TRY(ax_tensor_new(out, dtype, src->rank, src->dims, err));
    ax_cast(dtype, out->data, src->dtype, src->data, ax_tensor_count(src));
    return AX_OK;
}

struct ax_difference ax_tensor_compare(const struct ax_tensor *a,
                                       const struct ax_tensor *b)
{
    struct ax_difference d = {0};
    double top = 0, x, y;

    if (ax_tensor_count(a) != ax_tensor_count(b) || a->dtype != b->dtype ||
        (a->dtype == AX_STRING && a->nbytes &&
         memcmp(a->data, b->data, a->nbytes) != 0))
        return (struct ax_difference){HUGE_VAL, HUGE_VAL};
    if (a->dtype == AX_STRING)
        return d;
    for (size_t i = 0; i < ax_tensor_count(a); i++) {
        ax_get_f64(&x, a->dtype, a->data, i, 1);
        ax_get_f64(&y, b->dtype, b->data, i, 1);
        if (isfinite(y))
            top = fmax(top, fabs(y));
        if (x == y || (isnan(x) && isnan(y)))
            continue;
        d.absolute = isfinite(x - y) ? fmax(d.absolute, fabs(x - y))
                                     : HUGE_VAL;
    }
    d.relative = d.absolute == 0 ? 0 : top > 0 ? d.absolute / top : HUGE_VAL;
    return d;
}
