/* The inner loop of products, for three kinds of processors. The tables of
 * functions, one for each number of rows, let the compiler hold all of a
 * tile in registers. */
#include "tile.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define WIDE 1
#define T512 __attribute__((target("avx512f")))
#define T256 __attribute__((target("avx2,fma")))
#else
#define WIDE 0
#endif

/* -- in plain C ---------------------------------------------------------- */

static void plain_block(float *t, const float *a, const float *b,
                        const int32_t *off, int64_t k, int m)
{
    memset(t, 0, (size_t)m * TILE_N * sizeof *t);
    for (int64_t i = 0; i < k; i++) {
        const float *row = b + (off ? off[i] : i * TILE_N);

        for (int r = 0; r < m; r++)
            for (int j = 0; j < TILE_N; j++)
                t[r * TILE_N + j] += a[i * m + r] * row[j];
    }
}

static void plain_row(float *t, const float *a, const float *b, int64_t k)
{
    for (int p = 0; p < 4; p++)
        plain_block(t + p * TILE_N, a, b + p * k * TILE_N, NULL, k, 1);
}

static void plain_put(float *y, int64_t ldy, const float *t, int m,
                      const struct span *span, int n_spans, const float *bias,
                      float floor)
{
    for (int k = 0; k < n_spans; k++)
        for (int r = 0; r < m; r++) {
            const float *from = t + r * TILE_N + span[k].from;
            float *to = y + r * ldy + span[k].to;

            for (int32_t j = 0; j < span[k].n; j++) {
                float v = from[j] + (bias ? bias[r] : 0);

                to[j] = v < floor ? floor : v;
            }
        }
}

/* -- in vectors ---------------------------------------------------------- */

#if WIDE
#include <immintrin.h>

/* M rows of TILE_N columns in 2 M registers of 16 floats. */
#define BLOCK_512(M)                                                         \
    T512 static void block_512_##M(float *t, const float *a, const float *b, \
                                   const int32_t *off, int64_t k)            \
    {                                                                        \
        __m512 s[M][2];                                                      \
                                                                             \
        _Pragma("GCC unroll 16") for (int r = 0; r < M; r++)                 \
            s[r][0] = s[r][1] = _mm512_setzero_ps();                         \
        for (int64_t i = 0; i < k; i++, a += M) {                            \
            const float *row = b + (off ? off[i] : i * TILE_N);              \
            __m512 x = _mm512_loadu_ps(row);                                 \
            __m512 y = _mm512_loadu_ps(row + 16);                            \
                                                                             \
            _Pragma("GCC unroll 16") for (int r = 0; r < M; r++)             \
            {                                                                \
                __m512 w = _mm512_set1_ps(a[r]);                             \
                                                                             \
                s[r][0] = _mm512_fmadd_ps(w, x, s[r][0]);                    \
                s[r][1] = _mm512_fmadd_ps(w, y, s[r][1]);                    \
            }                                                                \
        }                                                                    \
        _Pragma("GCC unroll 16") for (int r = 0; r < M; r++)                 \
        {                                                                    \
            _mm512_storeu_ps(t + r * TILE_N, s[r][0]);                       \
            _mm512_storeu_ps(t + r * TILE_N + 16, s[r][1]);                  \
        }                                                                    \
    }

/* M rows of half the columns, of a block of STEP rows. */
#define BLOCK_256(M)                                                         \
    T256 static void block_256_##M(float *t, const float *a, const float *b, \
                                   const int32_t *off, int64_t k, int step)  \
    {                                                                        \
        __m256 s[M][2];                                                      \
                                                                             \
        _Pragma("GCC unroll 16") for (int r = 0; r < M; r++)                 \
            s[r][0] = s[r][1] = _mm256_setzero_ps();                         \
        for (int64_t i = 0; i < k; i++, a += step) {                         \
            const float *row = b + (off ? off[i] : i * TILE_N);              \
            __m256 x = _mm256_loadu_ps(row);                                 \
            __m256 y = _mm256_loadu_ps(row + 8);                             \
                                                                             \
            _Pragma("GCC unroll 16") for (int r = 0; r < M; r++)             \
            {                                                                \
                __m256 w = _mm256_set1_ps(a[r]);                             \
                                                                             \
                s[r][0] = _mm256_fmadd_ps(w, x, s[r][0]);                    \
                s[r][1] = _mm256_fmadd_ps(w, y, s[r][1]);                    \
            }                                                                \
        }                                                                    \
        _Pragma("GCC unroll 16") for (int r = 0; r < M; r++)                 \
        {                                                                    \
            _mm256_storeu_ps(t + r * TILE_N, s[r][0]);                       \
            _mm256_storeu_ps(t + r * TILE_N + 8, s[r][1]);                   \
        }                                                                    \
    }

/* clang-format off */
BLOCK_512(1) BLOCK_512(2) BLOCK_512(3) BLOCK_512(4) BLOCK_512(5)
BLOCK_512(6) BLOCK_512(7) BLOCK_512(8) BLOCK_512(9) BLOCK_512(10)
BLOCK_512(11) BLOCK_512(12)
BLOCK_256(1) BLOCK_256(2) BLOCK_256(3) BLOCK_256(4) BLOCK_256(5)
BLOCK_256(6)
    /* clang-format on */

    static void block_512(float *t, const float *a, const float *b,
                          const int32_t *off, int64_t k, int m)
{
    static void (*const rows[])(float *, const float *, const float *,
                                const int32_t *, int64_t) = {
        NULL,         block_512_1,  block_512_2,  block_512_3, block_512_4,
        block_512_5,  block_512_6,  block_512_7,  block_512_8, block_512_9,
        block_512_10, block_512_11, block_512_12,
    };

    rows[m](t, a, b, off, k);
}

static void block_256(float *t, const float *a, const float *b,
                      const int32_t *off, int64_t k, int m)
{
    static void (*const rows[])(float *, const float *, const float *,
                                const int32_t *, int64_t, int) = {
        NULL,        block_256_1, block_256_2, block_256_3,
        block_256_4, block_256_5, block_256_6,
    };

    for (int r = 0; r < m; r += 6)
        for (int j = 0; j < TILE_N; j += 16)
            rows[m - r < 6 ? m - r : 6](t + r * TILE_N + j, a + r, b + j, off,
                                        k, m);
}

T512 static void row_512(float *t, const float *a, const float *b, int64_t k)
{
    __m512 s[8];

    _Pragma("GCC unroll 8") for (int p = 0; p < 8; p++)
        s[p] = _mm512_setzero_ps();
    for (int64_t i = 0; i < k; i++, b += TILE_N) {
        __m512 w = _mm512_set1_ps(a[i]);

        _Pragma("GCC unroll 8") for (int p = 0; p < 8; p++)
            s[p] = _mm512_fmadd_ps(
                w, _mm512_loadu_ps(b + p / 2 * k * TILE_N + p % 2 * 16),
                s[p]);
    }
    _Pragma("GCC unroll 8") for (int p = 0; p < 8; p++)
        _mm512_storeu_ps(t + p * 16, s[p]);
}

/* As many lanes as are left of n after 16 I. */
static inline uint16_t lanes(int32_t n, int32_t i)
{
    int32_t left = n - 16 * i;

    return (uint16_t)(left >= 16 ? 0xffff : left > 0 ? (1 << left) - 1 : 0);
}

T512 static void put_512(float *y, int64_t ldy, const float *t, int m,
                         const struct span *span, int n_spans,
                         const float *bias, float floor)
{
    __m512 low = _mm512_set1_ps(floor);

    for (int k = 0; k < n_spans; k++, span++) {
        __mmask16 first = lanes(span->n, 0), second = lanes(span->n, 1);
        const float *from = t + span->from;
        float *to = y + span->to;

        for (int r = 0; r < m; r++, from += TILE_N, to += ldy) {
            __m512 b = _mm512_set1_ps(bias ? bias[r] : 0);
            __m512 v = _mm512_maskz_loadu_ps(first, from);

            /* Of two numbers that do not compare it takes the second. */
            v = _mm512_max_ps(low, _mm512_add_ps(v, b));
            _mm512_mask_storeu_ps(to, first, v);
            if (!second)
                continue;
            v = _mm512_maskz_loadu_ps(second, from + 16);
            v = _mm512_max_ps(low, _mm512_add_ps(v, b));
            _mm512_mask_storeu_ps(to + 16, second, v);
        }
    }
}

/* Sixteen rows of 16 as columns: by pairs of one number, two, four, eight. */
T512 static inline void turn_16(__m512 v[16])
{
    __m512 w[16];

    _Pragma("GCC unroll 8") for (int i = 0; i < 16; i += 2)
    {
        w[i] = _mm512_unpacklo_ps(v[i], v[i + 1]);
        w[i + 1] = _mm512_unpackhi_ps(v[i], v[i + 1]);
    }
    _Pragma("GCC unroll 4") for (int i = 0; i < 16; i += 4)
    {
        v[i] = _mm512_shuffle_ps(w[i], w[i + 2], 0x44);
        v[i + 1] = _mm512_shuffle_ps(w[i], w[i + 2], 0xee);
        v[i + 2] = _mm512_shuffle_ps(w[i + 1], w[i + 3], 0x44);
        v[i + 3] = _mm512_shuffle_ps(w[i + 1], w[i + 3], 0xee);
    }
    _Pragma("GCC unroll 4") for (int i = 0; i < 4; i++)
    {
        w[i] = _mm512_shuffle_f32x4(v[i], v[i + 4], 0x88);
        w[i + 4] = _mm512_shuffle_f32x4(v[i], v[i + 4], 0xdd);
        w[i + 8] = _mm512_shuffle_f32x4(v[i + 8], v[i + 12], 0x88);
        w[i + 12] = _mm512_shuffle_f32x4(v[i + 8], v[i + 12], 0xdd);
    }
    _Pragma("GCC unroll 8") for (int i = 0; i < 8; i++)
    {
        v[i] = _mm512_shuffle_f32x4(w[i], w[i + 8], 0x88);
        v[i + 8] = _mm512_shuffle_f32x4(w[i], w[i + 8], 0xdd);
    }
}

/* to[i m + r] for i of 16 whole columns at a time. Returns how many i were
 * done. */
T512 static int64_t pack_rows_512(float *to, const float *a, int64_t lda,
                                  int64_t k, int m)
{
    __mmask16 rows = (__mmask16)((1 << m) - 1);
    int64_t i = 0;

    for (; i + 16 <= k; i += 16, a += 16) {
        __m512 v[16];

        _Pragma("GCC unroll 16") for (int r = 0; r < 16; r++)
            v[r] = _mm512_maskz_loadu_ps(r < m ? 0xffff : 0,
                                         a + (r < m ? r : 0) * lda);
        turn_16(v);
        _Pragma("GCC unroll 16") for (int j = 0; j < 16; j++)
            _mm512_mask_storeu_ps(to + (i + j) * m, rows, v[j]);
    }
    return i;
}

static void row_256(float *t, const float *a, const float *b, int64_t k)
{
    for (int p = 0; p < 4; p++)
        block_256(t + p * TILE_N, a, b + p * k * TILE_N, NULL, k, 1);
}
#endif

struct tile tile_best(void)
{
#if WIDE
    if (__builtin_cpu_supports("avx512f"))
        return (struct tile){block_512, row_512, put_512};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return (struct tile){block_256, row_256, plain_put};
#endif
    return (struct tile){plain_block, plain_row, plain_put};
}

/* -- packing ------------------------------------------------------------- */

void tile_pack(float *to, const float *b, int64_t ldb, int64_t n, int64_t k,
               int transposed)
{
    for (int64_t at = 0; at < n; at += TILE_N, to += k * TILE_N) {
        int64_t width = n - at < TILE_N ? n - at : TILE_N;

        if (width < TILE_N)
            memset(to, 0, (size_t)(k * TILE_N) * sizeof *to);
        if (transposed) {
            for (int64_t j = 0; j < width; j++)
                for (int64_t i = 0; i < k; i++)
                    to[i * TILE_N + j] = b[(at + j) * ldb + i];
        } else {
            for (int64_t i = 0; i < k; i++)
                memcpy(to + i * TILE_N, b + i * ldb + at,
                       (size_t)width * sizeof *to);
        }
    }
}

void tile_pack_rows(float *to, const float *a, int64_t lda, int64_t k, int m)
{
    int64_t i = 0;

#if WIDE
    if (__builtin_cpu_supports("avx512f"))
        i = pack_rows_512(to, a, lda, k, m);
#endif
    for (; i < k; i++)
        for (int r = 0; r < m; r++)
            to[i * m + r] = a[r * lda + i];
}
