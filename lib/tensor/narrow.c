/* Floating-point types of 8 and 4 bits: what their bits mean, and rounding to
 * them. Sources: the pages on float8, float4 and Cast of ONNX. */
#include <math.h>

#include "ax/element.h"

/* A number is (-1)^s * m * 2^(least + e), as in IEEE 754. */
struct narrow {
    ax_dtype dtype;
    int precision;     /* bits of m, the leading one counted */
    int least;         /* the exponent of the least subnormal bit */
    unsigned sign;     /* the bit */
    unsigned top;      /* the largest finite number */
    unsigned infinity; /* 0: there is none */
    unsigned nan;      /* 0: there is none */
    bool one_nan;      /* whose place is that of -0, which there is not */
};

static const struct narrow types[] = {
    {AX_F8_E4M3FN, 4, -9, 0x80, 0x7e, 0, 0x7f, false},
    {AX_F8_E4M3FNUZ, 4, -10, 0x80, 0x7f, 0, 0x80, true},
    {AX_F8_E5M2, 3, -16, 0x80, 0x7b, 0x7c, 0x7f, false},
    {AX_F8_E5M2FNUZ, 3, -17, 0x80, 0x7f, 0, 0x80, true},
    {AX_F4_E2M1, 2, -1, 0x08, 0x07, 0, 0, false},
};

static const struct narrow *find(ax_dtype t)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].dtype == t)
            return &types[i];
    return NULL;
}

/* Powers of two from 2^-127 on, and no sign. */
static double power_value(unsigned bits)
{
    return bits == 0xff ? (double)NAN : ldexp(1, (int)bits - 127);
}

static unsigned power_round(double x, char mode, bool saturate)
{
    double f;
    int e;

    if (isnan(x) || x < 0)
        return 0xff;
    if (x == 0)
        return saturate ? 0 : 0xff;
    if (isinf(x))
        return saturate ? 0xfe : 0xff;
    f = frexp(x, &e); /* x = f * 2^e, f in [1/2, 1) */
    if (mode == 'd' ? true : mode == 'u' ? f == 0.5 : f < 0.75)
        e--;
    if (e < -127)
        return saturate ? 0 : 0xff;
    return e > 127 ? (saturate ? 0xfe : 0xff) : (unsigned)(e + 127);
}

double ax_narrow_value(ax_dtype t, uint8_t byte)
{
    const struct narrow *f = find(t);
    unsigned bits, m, e;
    double x;

    if (!f)
        return power_value(byte);
    bits = byte & (f->sign - 1);
    if (f->one_nan ? byte == f->nan
                   : f->nan && bits > (f->infinity ? f->infinity : f->top))
        return (double)NAN;
    m = bits & ((1u << (f->precision - 1)) - 1);
    e = bits >> (f->precision - 1);
    if (f->infinity && bits == f->infinity)
        x = (double)INFINITY;
    else
        x = e ? ldexp(m | 1u << (f->precision - 1), f->least + (int)e - 1)
              : ldexp(m, f->least);
    return byte & f->sign ? -x : x;
}

/* The bits of |x|, rounded once, ties to even; they may be over those of the
 * largest number. */
static unsigned magnitude(const struct narrow *f, double x)
{
    int e, unit;

    if (x == 0)
        return 0;
    if (isinf(x) || x >= 0x1p20)
        return f->top + 1;
    frexp(x, &e); /* x < 2^e */
    unit = e - f->precision > f->least ? e - f->precision : f->least;
    return ((unsigned)(unit - f->least) << (f->precision - 1)) +
           (unsigned)nearbyint(ldexp(x, -unit));
}

uint8_t ax_narrow_round(ax_dtype t, double x, bool saturate, char mode)
{
    const struct narrow *f = find(t);
    unsigned bits, sign;

    if (!f)
        return (uint8_t)power_round(x, mode, saturate);
    sign = signbit(x) ? f->sign : 0;
    if (isnan(x)) /* where there is none, -0, as the tests of ONNX have it */
        return (uint8_t)(f->one_nan ? f->nan
                         : f->nan   ? sign | f->nan
                                    : f->sign);
    bits = magnitude(f, fabs(x));
    if (bits > f->top && !saturate && f->one_nan)
        return (uint8_t)f->nan;
    if (bits > f->top)
        bits = saturate || !f->nan ? f->top
               : f->infinity       ? f->infinity
                                   : f->nan;
    return (uint8_t)(bits == 0 && f->one_nan ? 0 : sign | bits);
}
