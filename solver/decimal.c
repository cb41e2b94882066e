/* Exact decimals: reading, sums and products within the limits of
 * ax-cert(5), and the one rounding that a property knows, D 2^64 upwards.
 * Nearly all numbers in practice have less than 20 digits and take paths in
 * native integers; the rest is left to GMP. */
#include "decimal.h"

#include <float.h>
#include <gmp.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ax/arena.h"

typedef unsigned __int128 u128;

#define DIGITS 36
#define CLAMP  ((ax_i128)1 << 125)

static const uint64_t pow10_u64[20] = {
    1ULL,
    10ULL,
    100ULL,
    1000ULL,
    10000ULL,
    100000ULL,
    1000000ULL,
    10000000ULL,
    100000000ULL,
    1000000000ULL,
    10000000000ULL,
    100000000000ULL,
    1000000000000ULL,
    10000000000000ULL,
    100000000000000ULL,
    1000000000000000ULL,
    10000000000000000ULL,
    100000000000000000ULL,
    1000000000000000000ULL,
    10000000000000000000ULL,
};

/* The powers of ten that are exact in double. */
static const double pow10_double[23] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
};

/* k <= 38 */
static u128 pow10_u128(int k)
{
    return k < 20 ? pow10_u64[k] : (u128)pow10_u64[19] * pow10_u64[k - 19];
}

static u128 magnitude(ax_i128 v)
{
    return v < 0 ? -(u128)v : (u128)v;
}

/* Bring m 10^e, with |m| < 2^126, to the normal form; false if it is beyond
 * the limits. */
static bool normalise(struct decimal *out, ax_i128 m, int e)
{
    while (m && m % 10 == 0) {
        m /= 10;
        e++;
    }
    *out = (struct decimal){.m = m, .e = m ? e : 0};
    return magnitude(m) < pow10_u128(DIGITS) && abs(out->e) <= DECIMAL_EXP;
}

static bool small_enough(struct decimal a)
{
    return !a.digits && abs(a.e) <= DECIMAL_EXP;
}

bool decimal_is_zero(struct decimal a)
{
    return !a.digits && a.m == 0;
}

struct decimal decimal_neg(struct decimal a)
{
    a.m = -a.m;
    a.negative = !a.negative;
    return a;
}

bool decimal_add(struct decimal *out, struct decimal a, struct decimal b)
{
    int shift;

    if (!small_enough(a) || !small_enough(b))
        return false;
    if (!a.m || !b.m) {
        *out = a.m ? a : b;
        return true;
    }
    if (a.e < b.e) {
        struct decimal t = a;

        a = b;
        b = t;
    }
    /* The sum's last digit is b's, so a as a multiple of 10^b.e must fit. */
    shift = a.e - b.e;
    if (shift > DIGITS + 1 ||
        magnitude(a.m) >= ((u128)1 << 125) / pow10_u128(shift))
        return false;
    return normalise(out, a.m * (ax_i128)pow10_u128(shift) + b.m, b.e);
}

static void set_i128(mpz_t z, ax_i128 v)
{
    u128 m = magnitude(v);

    mpz_import(z, 1, -1, sizeof m, 0, 0, &m);
    if (v < 0)
        mpz_neg(z, z);
}

bool decimal_mul(struct decimal *out, struct decimal a, struct decimal b)
{
    bool fits;
    int e = a.e + b.e;
    mpz_t p, q;

    if (!small_enough(a) || !small_enough(b))
        return false;
    if (magnitude(a.m) < (u128)1 << 62 && magnitude(b.m) < (u128)1 << 62)
        return normalise(out, a.m * b.m, e);
    mpz_inits(p, q, NULL);
    set_i128(p, a.m);
    set_i128(q, b.m);
    mpz_mul(p, p, q);
    while (mpz_sgn(p) && mpz_divisible_ui_p(p, 10)) {
        mpz_divexact_ui(p, p, 10);
        e++;
    }
    fits = mpz_sizeinbase(p, 2) <= 125;
    if (fits) {
        u128 m = 0;

        mpz_export(&m, NULL, -1, sizeof m, 0, 0, p);
        fits = normalise(out, mpz_sgn(p) < 0 ? -(ax_i128)m : (ax_i128)m, e);
    }
    mpz_clears(p, q, NULL);
    return fits;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* [+-]digits, all n characters; clamped far beyond any limit. */
static bool read_exponent(long *out, const char *s, size_t n)
{
    bool negative = n && *s == '-';
    long v = 0;

    if (n && (*s == '-' || *s == '+')) {
        s++;
        n--;
    }
    if (!n)
        return false;
    for (; n; n--, s++) {
        if (!is_digit(*s))
            return false;
        if (v < 100000000)
            v = 10 * v + (*s - '0');
    }
    *out = negative ? -v : v;
    return true;
}

int decimal_read(struct decimal *out, const char *s, size_t n)
{
    const char *end = s + n, *first = NULL, *last = NULL;
    long written = 0, fraction = 0, significant = 0, zeros = 0, e = 0;
    bool negative = n && *s == '-', point = false;
    u128 m = 0;

    if (n && (*s == '-' || *s == '+'))
        s++;
    for (; s < end && (is_digit(*s) || (*s == '.' && !point)); s++) {
        if (*s == '.') {
            point = true;
            continue;
        }
        written++;
        fraction += point;
        if (*s == '0') {
            zeros += first != NULL;
            continue;
        }
        significant += first ? zeros + 1 : 1;
        if (significant <= DIGITS)
            m = m * (first ? 10 * pow10_u128((int)zeros) : 1) +
                (u128)(*s - '0');
        first = first ? first : s;
        last = s;
        zeros = 0;
    }
    if (!written)
        return NUMBER_MALFORMED;
    if (s < end && (*s == 'e' || *s == 'E')) {
        if (!read_exponent(&e, s + 1, (size_t)(end - s - 1)))
            return NUMBER_MALFORMED;
        s = end;
    }
    if (s != end)
        return NUMBER_MALFORMED;
    *out = (struct decimal){.m = 0};
    if (!first)
        return NUMBER_OK;
    e += zeros - fraction;
    if (significant > DECIMAL_DIGITS || labs(e) > DECIMAL_EXP)
        return NUMBER_LIMIT;
    out->e = (int)e;
    out->m = negative ? -(ax_i128)m : (ax_i128)m;
    if (significant > DIGITS) {
        out->m = 0;
        out->negative = negative;
        out->digits = first;
        out->n = (size_t)(last - first) + 1;
    }
    return NUMBER_OK;
}

/* The decimal's integer m as text; buf has room for DIGITS + 3 characters,
 * or for the digits of a long one and two more. Returns the length. */
static size_t mantissa_text(char *buf, struct decimal a)
{
    size_t n = 0, at;
    char rev[40];
    u128 m = magnitude(a.m);

    if (a.digits) {
        if (a.negative)
            buf[n++] = '-';
        for (size_t i = 0; i < a.n; i++)
            if (a.digits[i] != '.')
                buf[n++] = a.digits[i];
        buf[n] = 0;
        return n;
    }
    if (a.m < 0)
        buf[n++] = '-';
    at = sizeof rev;
    do {
        uint64_t low = m < pow10_u64[19] ? (uint64_t)m
                                         : (uint64_t)(m % pow10_u64[19]);
        bool more = m >= pow10_u64[19];

        m = more ? m / pow10_u64[19] : 0;
        for (int i = 0; more ? i < 19 : (low || at == sizeof rev); i++) {
            rev[--at] = (char)('0' + low % 10);
            low /= 10;
        }
    } while (m);
    memcpy(buf + n, rev + at, sizeof rev - at);
    n += sizeof rev - at;
    buf[n] = 0;
    return n;
}

/* ceil(m 10^e 2^64), clamped, by GMP. */
static ax_i128 ceil64_slow(const char *mantissa, int e)
{
    size_t digits = strlen(mantissa) - (*mantissa == '-');
    bool negative = *mantissa == '-';
    mpz_t v, p;
    ax_i128 out;

    if ((long)digits - 1 + e >= 19)
        return negative ? -CLAMP : CLAMP;
    if ((long)digits + e < -40)
        return negative ? 0 : 1;
    mpz_inits(v, p, NULL);
    mpz_set_str(v, mantissa, 10);
    mpz_mul_2exp(v, v, 64);
    mpz_ui_pow_ui(p, 10, (unsigned long)abs(e));
    if (e >= 0)
        mpz_mul(v, v, p);
    else
        mpz_cdiv_q(v, v, p);
    if (mpz_sizeinbase(v, 2) > 125) {
        out = negative ? -CLAMP : CLAMP;
    } else {
        u128 m = 0;

        mpz_export(&m, NULL, -1, sizeof m, 0, 0, v);
        out = mpz_sgn(v) < 0 ? -(ax_i128)m : (ax_i128)m;
    }
    mpz_clears(v, p, NULL);
    return out;
}

static ax_i128 ceil64(ax_i128 value, int e, const char *mantissa)
{
    u128 m = magnitude(value), p, q;

    if (m >= (u128)1 << 61 || e > 18 || e < -38)
        return ceil64_slow(mantissa, e);
    if (e >= 0) {
        m *= pow10_u64[e];
        q = m < (u128)1 << 61 ? m << 64 : (u128)CLAMP;
        return value < 0 ? -(ax_i128)q : (ax_i128)q;
    }
    p = pow10_u128(-e);
    q = (m << 64) / p;
    if (value < 0)
        return -(ax_i128)q;
    return (ax_i128)(q + (q * p != m << 64));
}

static double nearest(ax_i128 m, int e, const char *text)
{
    double v;

    if (magnitude(m) <= (u128)1 << 53 && abs(e) <= 22)
        return e < 0 ? (double)m / pow10_double[-e]
                     : (double)m * pow10_double[e];
    v = strtod(text, NULL); /* the text has no point: no locale matters */
    if (isinf(v))
        v = v < 0 ? -DBL_MAX : DBL_MAX;
    return v;
}

bool decimal_to_row(struct ax_row *r, struct decimal a, int k,
                    struct ax_arena *arena)
{
    char small[DIGITS + 24], *text = small;
    int e = a.e + (decimal_is_zero(a) ? 0 : k);
    ax_i128 m = a.digits ? (ax_i128)1 << 100 : a.m; /* not small */
    size_t n;

    if (a.digits && !(text = malloc(a.n + 24)))
        return false;
    n = mantissa_text(text, a);
    r->d64_up = ceil64(m, e, text);
    if (e)
        n += (size_t)snprintf(text + n, 16, "e%d", e);
    r->d = nearest(m, e, text);
    r->d_text = ax_arena_alloc(arena, n + 1, 1);
    if (r->d_text)
        memcpy(r->d_text, text, n + 1);
    if (text != small)
        free(text);
    return r->d_text != NULL;
}

/* The sign of v - m 10^e for a row's text "m" or "mek". */
static int compare_slow(double v, const char *text)
{
    const char *mark = strchr(text, 'e');
    int e = mark ? (int)strtol(mark + 1, NULL, 10) : 0, shift, sign;
    size_t n = mark ? (size_t)(mark - text) : strlen(text);
    char *mantissa = malloc(n + 1);
    mpz_t a, b, p;

    if (!mantissa)
        abort(); /* as GMP does when memory is out */
    memcpy(mantissa, text, n);
    mantissa[n] = 0;
    mpz_inits(a, b, p, NULL);
    mpz_set_str(b, mantissa, 10);
    mpz_set_d(a, ldexp(frexp(v, &shift), 53)); /* v = a 2^(shift - 53) */
    shift -= 53;
    if (shift >= 0)
        mpz_mul_2exp(a, a, (mp_bitcnt_t)shift);
    else
        mpz_mul_2exp(b, b, (mp_bitcnt_t)-shift);
    mpz_ui_pow_ui(p, 10, (unsigned long)abs(e));
    if (e >= 0)
        mpz_mul(b, b, p);
    else
        mpz_mul(a, a, p);
    sign = mpz_cmp(a, b);
    mpz_clears(a, b, p, NULL);
    free(mantissa);
    return (sign > 0) - (sign < 0);
}

/* A short text as m and e with |m| <= 2^53 and |e| <= 22, or false. */
static bool read_short(const char *text, double *m, int *e)
{
    bool negative = *text == '-';
    const char *s = text + negative;
    int64_t v = 0;
    long k = 0;

    for (; is_digit(*s); s++) {
        if (v > ((int64_t)1 << 53) / 10 - 1)
            return false;
        v = 10 * v + (*s - '0');
    }
    if (*s == 'e')
        k = strtol(s + 1, NULL, 10);
    if (labs(k) > 22)
        return false;
    *m = (double)(negative ? -v : v);
    *e = (int)k;
    return true;
}

/* The sign of v - D. */
static int compare(const struct ax_row *r, double v)
{
    double m, diff;
    int e;

    /* Far from D, its integer says it: D 2^64 <= d64_up < D 2^64 + 1. */
    if (fabs(v) < 0x1p+60 && magnitude(r->d64_up) < (u128)1 << 124) {
        ax_i128 v64 = (ax_i128)floor(v * 0x1p+64);

        if (v64 > r->d64_up)
            return 1;
        if (v64 + 1 < r->d64_up)
            return -1;
    }
    if (!read_short(r->d_text, &m, &e) || (v != 0 && fabs(v) < 0x1p-900) ||
        fabs(v) > 0x1p+900)
        return compare_slow(v, r->d_text);
    diff = e < 0 ? fma(v, pow10_double[-e], -m)
                 : -fma(m, pow10_double[e], -v);
    return (diff > 0) - (diff < 0);
}

double decimal_inside(const struct ax_row *r)
{
    int sign = compare(r, r->d);

    if (sign > 0 || (sign == 0 && r->strict))
        return nextafter(r->d, -INFINITY);
    return r->d;
}
