/* big.c - integers modulo 2^16384, for decimals and for replaying
 * counterexamples. Words are little-endian; negative numbers are two's
 * complements. Callers keep values below 2^16383 in magnitude. */
#include "island.h"

typedef unsigned __int128 u128;

void big_add(struct big *b, const struct big *a, uint64_t m, uint64_t shift,
             bool minus)
{
    uint64_t s = shift % 64, part[2] = {m << s, s ? m >> (64 - s) : 0};
    for (int i = 0; minus && i < BIG; i++) /* b - x = ~(~b + x) */
        b->w[i] = ~b->w[i];
    for (unsigned p = 0; p < 2; p++) {
        u128 sum = 0; /* at most (2^64 - 1)^2 + 2 (2^64 - 1) < 2^128 */
        for (uint64_t i = shift / 64 + p, j = 0; i < BIG; i++, j++) {
            sum += (u128)a->w[j] * part[p] + b->w[i];
            b->w[i] = (uint64_t)sum;
            sum >>= 64;
        }
    }
    for (int i = 0; minus && i < BIG; i++)
        b->w[i] = ~b->w[i];
}

/* b = b m + plus */
static void scale(struct big *b, uint64_t m, uint64_t plus)
{
    u128 sum = plus;
    for (int i = 0; i < BIG; i++) {
        sum += (u128)b->w[i] * m;
        b->w[i] = (uint64_t)sum;
        sum >>= 64;
    }
}

bool big_decimal(struct big *b, struct bytes digits, int64_t exp, uint64_t f)
{
    bool inexact = false;
    *b = (struct big){{0}};
    for (size_t i = 0; i < digits.n; i++)
        scale(b, 10, (uint64_t)(digits.p[i] - '0'));
    for (int64_t i = 0; i < exp; i++)
        scale(b, 10, 0);
    for (; f > 0; f -= f < 63 ? f : 63)
        scale(b, 1ull << (f < 63 ? f : 63), 0);
    for (int top = BIG; exp < 0 && top > 0; exp += exp > -19 ? 1 : 19) {
        uint64_t d = exp > -19 ? 10 : 10000000000000000000u;
        u128 rest = 0;
        while (top > 0 && b->w[top - 1] == 0)
            top--;
        for (int i = top; i-- > 0; rest %= d) {
            rest = rest << 64 | b->w[i];
            b->w[i] = (uint64_t)(rest / d); /* rest < 2^64 d */
        }
        inexact |= rest != 0;
    }
    return inexact;
}
