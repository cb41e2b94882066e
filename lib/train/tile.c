/* The inner loop of all products, for three kinds of processors. Each
 * element of a tile is a chain of fused multiply-adds in the order of the
 * inner dimension, and a fused multiply-add is rounded once: registers of 16
 * numbers, of 8, and fmaf() in plain C give the same bytes. */
#include <math.h>
#include <string.h>

#include "train/train.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define WIDE 1
#include <immintrin.h>
#define T512 __attribute__((target("avx512f")))
#define T256 __attribute__((target("avx2,fma")))
#define INTO static inline __attribute__((always_inline))
#else
#define WIDE 0
#endif

/* -- in plain C ---------------------------------------------------------- */

static void plain(const struct train_tile *t, size_t rows, size_t width)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < width; j++) {
            float sum = t->start[r * t->start_row + j];

            for (size_t i = 0; i < t->k; i++)
                sum = fmaf(t->a[r][t->a_at[i]], t->b[t->b_at[i] + j], sum);
            t->c[r * t->c_row + j] = sum;
        }
}

/* -- in vectors ---------------------------------------------------------- */

#if WIDE

T512 INTO __m512 load_512(const float *p, bool cut, __mmask16 mask)
{
    return cut ? _mm512_maskz_loadu_ps(mask, p) : _mm512_loadu_ps(p);
}

/* M rows of V registers, of which the last is cut to WIDTH columns in all if
 * CUT. */
T512 INTO void block_512(const struct train_tile *t, size_t width,
                         const int M, const int V, const bool CUT)
{
    const float *const *a = t->a;
    __mmask16 mask;
    __m512 sum[12][2];

    mask = (__mmask16)((1U << (width - (size_t)(V - 1) * 16)) - 1);
#pragma GCC unroll 12
    for (int r = 0; r < M; r++)
#pragma GCC unroll 2
        for (int v = 0; v < V; v++)
            sum[r][v] = load_512(t->start + (size_t)r * t->start_row + v * 16,
                                 CUT && v == V - 1, mask);
    for (size_t i = 0; i < t->k; i++) {
        const float *b = t->b + t->b_at[i];
        size_t at = t->a_at[i];
        __m512 x[2];

#pragma GCC unroll 2
        for (int v = 0; v < V; v++)
            x[v] = load_512(b + v * 16, CUT && v == V - 1, mask);
#pragma GCC unroll 12
        for (int r = 0; r < M; r++) {
            __m512 w = _mm512_set1_ps(a[r][at]);

#pragma GCC unroll 2
            for (int v = 0; v < V; v++)
                sum[r][v] = _mm512_fmadd_ps(w, x[v], sum[r][v]);
        }
    }
#pragma GCC unroll 12
    for (int r = 0; r < M; r++)
#pragma GCC unroll 2
        for (int v = 0; v < V; v++)
            if (CUT && v == V - 1)
                _mm512_mask_storeu_ps(t->c + (size_t)r * t->c_row + v * 16,
                                      mask, sum[r][v]);
            else
                _mm512_storeu_ps(t->c + (size_t)r * t->c_row + v * 16,
                                 sum[r][v]);
}

T256 INTO void block_256(const struct train_tile *t, size_t width,
                         const int M, const int V)
{
    static const int32_t ones[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    __m256i mask[2];
    __m256 sum[6][2];

    for (int v = 0; v < V; v++) {
        size_t left = width - (size_t)v * 8;

        mask[v] = _mm256_loadu_si256(
            (const void *)(ones + 8 - (left < 8 ? left : 8)));
    }
#pragma GCC unroll 6
    for (int r = 0; r < M; r++)
#pragma GCC unroll 2
        for (int v = 0; v < V; v++)
            sum[r][v] = _mm256_maskload_ps(
                t->start + (size_t)r * t->start_row + v * 8, mask[v]);
    for (size_t i = 0; i < t->k; i++) {
        const float *b = t->b + t->b_at[i];
        size_t at = t->a_at[i];
        __m256 x[2];

#pragma GCC unroll 2
        for (int v = 0; v < V; v++)
            x[v] = _mm256_maskload_ps(b + v * 8, mask[v]);
#pragma GCC unroll 6
        for (int r = 0; r < M; r++) {
            __m256 w = _mm256_broadcast_ss(t->a[r] + at);

#pragma GCC unroll 2
            for (int v = 0; v < V; v++)
                sum[r][v] = _mm256_fmadd_ps(w, x[v], sum[r][v]);
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < M; r++)
#pragma GCC unroll 2
        for (int v = 0; v < V; v++)
            _mm256_maskstore_ps(t->c + (size_t)r * t->c_row + v * 8, mask[v],
                                sum[r][v]);
}

#define CASE(M, V, CUT)                 \
    case M:                             \
        block_512(t, width, M, V, CUT); \
        break;

#define SWITCH_512(NAME, V, CUT)                                   \
    T512 static void NAME(const struct train_tile *t, size_t rows, \
                          size_t width)                            \
    {                                                              \
        switch (rows) {                                            \
            CASE(1, V, CUT)                                        \
            CASE(2, V, CUT)                                        \
            CASE(3, V, CUT)                                        \
            CASE(4, V, CUT)                                        \
            CASE(5, V, CUT)                                        \
            CASE(6, V, CUT)                                        \
            CASE(7, V, CUT)                                        \
            CASE(8, V, CUT)                                        \
            CASE(9, V, CUT)                                        \
            CASE(10, V, CUT)                                       \
            CASE(11, V, CUT)                                       \
            CASE(12, V, CUT)                                       \
        }                                                          \
    }

#define CASE_256(M, V)             \
    case M:                        \
        block_256(t, width, M, V); \
        break;

#define SWITCH_256(V)                                                      \
    T256 static void rows_256_##V(const struct train_tile *t, size_t rows, \
                                  size_t width)                            \
    {                                                                      \
        switch (rows) {                                                    \
            CASE_256(1, V)                                                 \
            CASE_256(2, V)                                                 \
            CASE_256(3, V)                                                 \
            CASE_256(4, V)                                                 \
            CASE_256(5, V)                                                 \
            CASE_256(6, V)                                                 \
        }                                                                  \
    }

SWITCH_512(whole_512, 2, false)
SWITCH_512(cut_512, 2, true)
SWITCH_512(half_512, 1, true)
SWITCH_256(1)
SWITCH_256(2)

static void wide_512(const struct train_tile *t, size_t rows, size_t width)
{
    if (width == TILE_N)
        whole_512(t, rows, width);
    else if (width > 16)
        cut_512(t, rows, width);
    else
        half_512(t, rows, width);
}

/* A tile is too large for half the registers: parts of 6 rows, 16 columns. */
static void wide_256(const struct train_tile *t, size_t rows, size_t width)
{
    for (size_t r = 0; r < rows; r += 6)
        for (size_t j = 0; j < width; j += 16) {
            size_t height = rows - r < 6 ? rows - r : 6;
            size_t left = width - j < 16 ? width - j : 16;
            struct train_tile part = *t;

            memcpy(part.a, t->a + r, height * sizeof *part.a);
            part.b += j;
            part.start += r * t->start_row + j;
            part.c += r * t->c_row + j;
            if (left > 8)
                rows_256_2(&part, height, left);
            else
                rows_256_1(&part, height, left);
        }
}
#endif

train_tile_fn *train_tile(const char *kind)
{
#if WIDE
    if ((!kind || *kind == '5') && __builtin_cpu_supports("avx512f"))
        return wide_512;
    if ((!kind || *kind == '2') && __builtin_cpu_supports("avx2") &&
        __builtin_cpu_supports("fma"))
        return wide_256;
#endif
    return !kind || *kind == 'p' ? plain : NULL;
}
