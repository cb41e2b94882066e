/* Exact decimals: reading, sums and products within the limits of
 * ax-cert(5), and the one rounding that a property knows, D 2^64 upwards.
 * Nearly all numbers in practice have less than 20 digits and take paths in
 * native integers; the rest is left to GMP's low level, which works in memory
 * that it is given and so has no way to run out of it. */
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
#define CHUNK  19 /* digits in a limb */
/* Limbs of any decimal, times 10^12288 or 2^2200 more than another. */
#define LIMBS 1024

_Static_assert(GMP_NUMB_BITS == 64, "limbs of 64 bits");
#define CLAMP ((ax_i128)1 << 125)

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

bool decimal_in_units(struct decimal a)
{
    if (a.digits || a.e < -12 || a.e > 11)
        return !a.digits && a.m == 0;
    return magnitude(a.m) < pow10_u128(12 - a.e);
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
    if (!decimal_in_units(a) || !decimal_in_units(b))
        return false;
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
    return normalise(out, a.m * (ax_i128)pow10_u128(shift) + b.m, b.e) &&
           decimal_in_units(*out);
}

bool decimal_mul(struct decimal *out, struct decimal a, struct decimal b)
{
    ax_i128 m;

    return decimal_in_units(a) && decimal_in_units(b) &&
           !__builtin_mul_overflow(a.m, b.m, &m) &&
           magnitude(m) < (u128)1 << 126 && normalise(out, m, a.e + b.e) &&
           decimal_in_units(*out);
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

/* Drop zero limbs at the top. */
static size_t trimmed(const mp_limb_t *p, size_t n)
{
    while (n && !p[n - 1])
        n--;
    return n;
}

/* n decimal digits as limbs; returns how many. */
static size_t set_digits(mp_limb_t *p, const char *digits, size_t n)
{
    size_t size = 0;

    while (n) {
        size_t run = n % CHUNK ? n % CHUNK : CHUNK;
        mp_limb_t v = 0, carry;

        for (size_t i = 0; i < run; i++)
            v = 10 * v + (mp_limb_t)(digits[i] - '0');
        carry = size ? mpn_mul_1(p, p, (mp_size_t)size, pow10_u64[run]) : 0;
        if (size)
            carry += mpn_add_1(p, p, (mp_size_t)size, v);
        else
            carry = v;
        if (carry)
            p[size++] = carry;
        digits += run;
        n -= run;
    }
    return size;
}

static size_t times_pow10(mp_limb_t *p, size_t size, int k)
{
    for (; k > 0 && size; k -= CHUNK) {
        mp_limb_t carry = mpn_mul_1(p, p, (mp_size_t)size,
                                    pow10_u64[k < CHUNK ? k : CHUNK]);

        if (carry)
            p[size++] = carry;
    }
    return size;
}

static size_t times_pow2(mp_limb_t *p, size_t size, size_t k)
{
    size_t limbs = k / 64;
    mp_limb_t carry = 0;

    if (!size)
        return 0;
    memmove(p + limbs, p, size * sizeof *p);
    memset(p, 0, limbs * sizeof *p);
    if (k % 64)
        carry = mpn_lshift(p + limbs, p + limbs, (mp_size_t)size, k % 64);
    size += limbs;
    if (carry)
        p[size++] = carry;
    return size;
}

/* ceil(m 10^e 2^64), clamped, whatever the size of m. */
static ax_i128 ceil64_slow(const char *mantissa, int e)
{
    bool negative = *mantissa == '-', rest = false;
    size_t digits = strlen(mantissa) - negative, size;
    mp_limb_t p[LIMBS];
    u128 m;

    if ((long)digits - 1 + e >= 19)
        return negative ? -CLAMP : CLAMP;
    if ((long)digits + e < -40)
        return negative ? 0 : 1;
    size = set_digits(p, mantissa + negative, digits);
    size = times_pow2(p, size, 64);
    size = times_pow10(p, size, e);
    for (; e < 0 && size; e += CHUNK) {
        mp_limb_t d = pow10_u64[-e < CHUNK ? -e : CHUNK];

        rest |= mpn_divrem_1(p, 0, p, (mp_size_t)size, d) != 0;
        size = trimmed(p, size);
    }
    if (size > 2 || (size == 2 && p[1] >> 61))
        return negative ? -CLAMP : CLAMP;
    m = size > 1 ? (u128)p[1] << 64 : 0;
    m |= size ? p[0] : 0;
    return negative ? -(ax_i128)m : (ax_i128)(m + rest);
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

static size_t bits_of(const mp_limb_t *p, size_t n)
{
    n = trimmed(p, n);
    return n ? 64 * n - (size_t)__builtin_clzll(p[n - 1]) : 0;
}

/* log2 of 10^k, to an upper or lower bound. */
static double log2_of_pow10(long k, bool up)
{
    return (double)k * ((k > 0) == up ? 3.3220 : 3.3219);
}

/* v is the n limbs at p times 2^e, over the n_den limbs at den. p and q have
 * room for LIMBS more than p and den have together; both are used up. */
struct ratio {
    mp_limb_t *p, *q;
    size_t n;
    long e;
    const mp_limb_t *den;
    size_t n_den;
};

/* q *= den, by way of a copy above it. */
static size_t times_den(const struct ratio *v, size_t size)
{
    mp_limb_t *copy = v->q + size + v->n_den;

    if (v->n_den == 1 && v->den[0] == 1)
        return size;
    memcpy(copy, v->q, size * sizeof *copy);
    if (size >= v->n_den)
        mpn_mul(v->q, copy, (mp_size_t)size, v->den, (mp_size_t)v->n_den);
    else
        mpn_mul(v->q, v->den, (mp_size_t)v->n_den, copy, (mp_size_t)size);
    return trimmed(v->q, size + v->n_den);
}

/* The sign of v - m 10^k, both positive. */
static int compare_positive(const struct ratio *v, const char *digits,
                            size_t n_digits, int k)
{
    /* 2^(top-2) < v < 2^top */
    double top = (double)bits_of(v->p, v->n) + (double)v->e -
                 (double)bits_of(v->den, v->n_den) + 1;
    mp_limb_t *p = v->p, *q = v->q;
    size_t n = v->n, size;
    long e = v->e;

    if (top - 2 > log2_of_pow10((long)n_digits + k, true))
        return 1;
    if (top < log2_of_pow10((long)n_digits - 1 + k, false))
        return -1;
    n = trimmed(p, n);
    size = times_den(v, set_digits(q, digits, n_digits));
    n = times_pow10(p, n, -k);
    size = times_pow10(q, size, k);
    if (e >= 0)
        n = times_pow2(p, n, (size_t)e);
    else
        size = times_pow2(q, size, (size_t)-e);
    if (n != size)
        return n > size ? 1 : -1;
    return mpn_cmp(p, q, (mp_size_t)n);
}

/* The sign of v - D for a row's D: its text is "m" or "mek". */
static int compare_text(const struct ratio *v, bool negative,
                        const char *text)
{
    bool below = *text == '-';
    const char *digits = text + below, *mark = strchr(digits, 'e');
    size_t n_digits = mark ? (size_t)(mark - digits) : strlen(digits);
    int k = mark ? (int)strtol(mark + 1, NULL, 10) : 0, sign;

    if (!trimmed(v->p, v->n))
        return *digits == '0' ? 0 : below ? 1 : -1;
    if (*digits == '0' || below != negative)
        return negative ? -1 : 1;
    sign = compare_positive(v, digits, n_digits, k);
    return negative ? -sign : sign;
}

ax_status ax_row_compare(int *sign, const struct ax_row *r,
                         const uint64_t *limbs, size_t n, bool negative,
                         long e, const uint64_t *den, size_t n_den,
                         struct ax_err *err)
{
    size_t room = n + 2 * n_den + 2 * LIMBS;
    struct ratio v = {.n = n, .e = e, .den = den, .n_den = n_den};

    if (n > (size_t)1 << 24 || n_den > (size_t)1 << 24)
        return ax_fail(err, AX_EUNSUPPORTED, "a number of %zu limbs",
                       n > n_den ? n : n_den);
    v.p = malloc(2 * room * sizeof *v.p);
    if (!v.p)
        return ax_fail(err, AX_ENOMEM, "%s", ax_status_text(AX_ENOMEM));
    v.q = v.p + room;
    for (size_t i = 0; i < n; i++)
        v.p[i] = limbs[i];
    *sign = compare_text(&v, negative, r->d_text);
    free(v.p);
    return AX_OK;
}

static int compare_slow(double v, const char *text)
{
    static const mp_limb_t one = 1;
    mp_limb_t p[LIMBS + 2], q[LIMBS + 2];
    int e = 0;

    p[0] = (mp_limb_t)ldexp(frexp(fabs(v), &e), 53);
    return compare_text(&(struct ratio){p, q, 1, e - 53, &one, 1}, v < 0,
                        text);
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

bool decimal_opposite(const struct ax_row *r, const struct ax_row *s)
{
    bool minus = *r->d_text == '-';

    return minus != (*s->d_text == '-') &&
           strcmp(r->d_text + minus, s->d_text + !minus) == 0;
}

double decimal_inside(const struct ax_row *r)
{
    int sign = compare(r, r->d);

    if (sign > 0 || (sign == 0 && r->strict))
        return nextafter(r->d, -INFINITY);
    return r->d;
}
