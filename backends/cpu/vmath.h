/* backends/cpu/vmath.h - functions of one float without branches or calls,
 * so that loops over them become vectors. Off by at most 3 units in the last
 * place from the true value (erf: 4); infinities and NaN as in libm. */
#ifndef CPU_VMATH_H
#define CPU_VMATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* 2^n, n a whole number within [-126, 127], by its bits. */
static inline float vm_power(int32_t n)
{
    uint32_t bits = (uint32_t)(n + 127) << 23;
    float f;

    memcpy(&f, &bits, sizeof f);
    return f;
}

/* e^x = 2^n e^r, |r| at most ln(2)/2: n in *power, e^r is returned. For x
 * within [-104, 89]. */
static inline float vm_exp_parts(int32_t *power, float x)
{
    const float shift = 12582912.0f; /* 1.5 2^23: adding it rounds */
    float n, r, p, m;
    int32_t i;

    m = x * 1.44269504f + shift;
    memcpy(&i, &m, sizeof i);
    *power = i - 0x4b400000;
    n = m - shift;
    r = x - n * 0.693145752f;
    r = r - n * 1.42860677e-6f;
    p = 1.98756915e-4f;
    p = p * r + 1.39819995e-3f;
    p = p * r + 8.33345191e-3f;
    p = p * r + 4.16657959e-2f;
    p = p * r + 1.66666655e-1f;
    p = p * r + 5.00000012e-1f;
    return p * (r * r) + r + 1.0f;
}

/* The power goes on in two steps, for results that are denormal or
 * infinite. */
static inline float vm_exp(float x)
{
    int32_t i, half;
    float p;

    x = x > 89.0f ? 89.0f : x;
    x = x < -104.0f ? -104.0f : x;
    p = vm_exp_parts(&i, x);
    /* Of NaN, i is anything, and the product is NaN. */
    i = i > 200 ? 200 : i < -200 ? -200 : i;
    half = i / 2;
    return p * vm_power(half) * vm_power(i - half);
}

/* For x within [0, 80]. */
static inline float vm_exp_near(float x)
{
    int32_t i;
    float p = vm_exp_parts(&i, x);

    return p * vm_power(i);
}

/* 0 where the true value is denormal. */
static inline float vm_sigmoid(float x)
{
    return 1 / (1 + vm_exp(-x));
}

static inline float vm_tanh(float x)
{
    float a = fabsf(x), z = x * x, p, far;

    p = -5.70498873e-3f;
    p = p * z + 2.06390888e-2f;
    p = p * z - 5.37397156e-2f;
    p = p * z + 1.33314422e-1f;
    p = p * z - 3.33332819e-1f;
    p = p * z * x + x;
    /* From 10 on it rounds to 1; so it does for NaN, which is put back. */
    far = copysignf(1 - 2 / (vm_exp_near(2 * (a < 10.0f ? a : 10.0f)) + 1),
                    x);
    return a < 0.625f ? p : a == a ? far : x;
}

static inline float vm_erf(float x)
{
    float a = fabsf(x), z = x * x, p, q;

    p = -5.96761703e-4f;
    p = p * z + 4.99119423e-3f;
    p = p * z - 2.67681349e-2f;
    p = p * z + 1.12819925e-1f;
    p = p * z - 3.76125336e-1f;
    p = p * z + 1.28379166e-1f;
    p = p * x + x;
    a = a > 4.0f ? 4.0f : a;
    q = -1.72853470e-5f * a + 3.83197126e-4f;
    q = q * (a * a) + (-3.88396438e-3f * a + 2.42546219e-2f);
    q = q * a - 1.06777877e-1f;
    q = q * a - 6.34846687e-1f;
    q = q * a - 1.28717512e-1f;
    q = q * a - a;
    q = copysignf(1 - vm_exp(q), x);
    return fabsf(x) > 0.927734375f ? q : p;
}

#endif
