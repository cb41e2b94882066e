/* big.c - natural numbers of any size, least significant word first, for
 * decimals and for replaying counterexamples. */
#include "island.h"

typedef unsigned __int128 u128;

static void trim(struct big *b)
{
    while (b->n > 0 && b->w[b->n - 1] == 0)
        b->n--;
}

/* b += a m 2^(64 at) */
static void add_word(struct run *r, struct big *b, const struct big *a,
                     uint64_t m, uint64_t at)
{
    u128 carry = 0;

    if (m == 0)
        return;
    for (uint64_t i = at; i < at + a->n || carry > 0; i++) {
        b->w = grow(r, b->w, i, &b->room, sizeof *b->w);
        for (; b->n <= i; b->n++)
            b->w[b->n] = 0;
        /* At most (2^64 - 1)^2 + 2 (2^64 - 1) < 2^128. */
        carry += b->w[i];
        if (i < at + a->n)
            carry += (u128)a->w[i - at] * m;
        b->w[i] = (uint64_t)carry;
        carry >>= 64;
    }
    trim(b);
}

void big_addmul(struct run *r, struct big *b, const struct big *a, u128 m,
                uint64_t shift)
{
    unsigned s = (unsigned)(shift % 64);
    u128 low = (u128)(uint64_t)m << s, high = (m >> 64) << s;

    add_word(r, b, a, (uint64_t)low, shift / 64);
    /* The halves have no bit in common. */
    add_word(r, b, a, (uint64_t)(low >> 64) | (uint64_t)high, shift / 64 + 1);
    add_word(r, b, a, (uint64_t)(high >> 64), shift / 64 + 2);
}

void big_mul(struct run *r, struct big *b, uint64_t m, uint64_t plus)
{
    u128 carry = plus;

    for (size_t i = 0; i < b->n || carry > 0; i++) {
        b->w = grow(r, b->w, i, &b->room, sizeof *b->w);
        /* At most (2^64 - 1)^2 + 2^64 - 1 < 2^128. */
        carry += i < b->n ? (u128)b->w[i] * m : 0;
        b->w[i] = (uint64_t)carry;
        carry >>= 64;
        b->n = i < b->n ? b->n : i + 1;
    }
    trim(b);
}

void big_ten(struct run *r, struct big *b, int64_t n)
{
    for (; n > 0; n -= n < 19 ? 1 : 19) /* 10^19 < 2^64 */
        big_mul(r, b, n < 19 ? 10 : 10000000000000000000u, 0);
}

bool big_tenth(struct big *b, int64_t n)
{
    bool inexact = false;

    for (; n > 0 && b->n > 0; n -= n < 19 ? 1 : 19) {
        uint64_t d = n < 19 ? 10 : 10000000000000000000u;
        u128 rest = 0;

        for (size_t i = b->n; i-- > 0; rest %= d) {
            rest = rest << 64 | b->w[i];
            b->w[i] = (uint64_t)(rest / d); /* rest < 2^64 d */
        }
        inexact |= rest != 0;
        trim(b);
    }
    return inexact;
}

int big_cmp(const struct big *a, const struct big *b)
{
    if (a->n != b->n)
        return a->n < b->n ? -1 : 1;
    for (size_t i = a->n; i-- > 0;)
        if (a->w[i] != b->w[i])
            return a->w[i] < b->w[i] ? -1 : 1;
    return 0;
}

void big_sub(struct big *a, const struct big *b)
{
    u128 need = 0;

    for (size_t i = 0; i < a->n; i++) {
        bool borrow;

        need += i < b->n ? b->w[i] : 0;
        borrow = a->w[i] < need;
        a->w[i] -= (uint64_t)need;
        need = borrow;
    }
    trim(a);
}

uint64_t big_bits(const struct big *b)
{
    return b->n == 0 ? 0
                     : 64 * b->n - (size_t)__builtin_clzll(b->w[b->n - 1]);
}
