/* The inner loop of products of bytes: with the instructions made for it
 * (AVX-512 VNNI), with those for 16 bits (AVX2; those for 8 saturate), and in
 * plain C. */
#include "bytes.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define WIDE 1
#define T512 __attribute__((target("avx512f,avx512bw,avx512vnni")))
#define T256 __attribute__((target("avx2")))
#else
#define WIDE 0
#endif

/* -- in plain C ---------------------------------------------------------- */

/* The sum of four products of an unsigned and a signed byte. */
static int32_t four(cpu_word u, cpu_word s)
{
    int32_t sum = 0;

    for (int i = 0; i < 32; i += 8)
        sum += (int32_t)(u >> i & 255) * (int8_t)(s >> i & 255);
    return sum;
}

static void plain(int32_t *t, const cpu_word *a, const cpu_word *b,
                  const int32_t *off, int64_t k, int m, int rows)
{
    memset(t, 0, (size_t)m * TILE_N * sizeof *t);
    for (int64_t i = 0; i < k; i++) {
        const cpu_word *row = b + (off ? off[i] : i * TILE_N);

        for (int r = 0; r < m; r++)
            for (int j = 0; j < TILE_N; j++) {
                cpu_word w = a[i * m + r], x = row[j];
                int32_t *to = &t[r * TILE_N + j];

                *to = (int32_t)((uint32_t)*to +
                                (uint32_t)(rows ? four(w, x) : four(x, w)));
            }
    }
}

static void plain_columns(int32_t *t, const cpu_word *a, const cpu_word *b,
                          const int32_t *off, int64_t k, int m)
{
    plain(t, a, b, off, k, m, 0);
}

static void plain_rows(int32_t *t, const cpu_word *a, const cpu_word *b,
                       const int32_t *off, int64_t k, int m)
{
    plain(t, a, b, off, k, m, 1);
}

static void plain_row(int32_t *t, const cpu_word *a, const cpu_word *b,
                      int64_t k)
{
    for (int p = 0; p < 4; p++)
        plain_rows(t + p * TILE_N, a, b + p * k * TILE_N, NULL, k, 1);
}

/* -- in vectors ---------------------------------------------------------- */

#if WIDE
#include <immintrin.h>

#define COLUMNS_512(s, x, w) _mm512_dpbusd_epi32(s, x, w)
#define ROWS_512(s, x, w)    _mm512_dpbusd_epi32(s, w, x)

/* M rows of TILE_N columns in 2 M registers of 16 sums. */
#define BLOCK_512(NAME, DOT, M)                                            \
    T512 static void NAME##_512_##M(int32_t *t, const cpu_word *a,         \
                                    const cpu_word *b, const int32_t *off, \
                                    int64_t k)                             \
    {                                                                      \
        __m512i s[M][2];                                                   \
                                                                           \
        _Pragma("GCC unroll 16") for (int r = 0; r < M; r++)               \
            s[r][0] = s[r][1] = _mm512_setzero_si512();                    \
        for (int64_t i = 0; i < k; i++, a += M) {                          \
            const cpu_word *row = b + (off ? off[i] : i * TILE_N);         \
            __m512i x = _mm512_loadu_si512(row);                           \
            __m512i y = _mm512_loadu_si512(row + 16);                      \
                                                                           \
            _Pragma("GCC unroll 16") for (int r = 0; r < M; r++)           \
            {                                                              \
                __m512i w = _mm512_set1_epi32((int)a[r]);                  \
                                                                           \
                s[r][0] = DOT(s[r][0], x, w);                              \
                s[r][1] = DOT(s[r][1], y, w);                              \
            }                                                              \
        }                                                                  \
        _Pragma("GCC unroll 16") for (int r = 0; r < M; r++)               \
        {                                                                  \
            _mm512_storeu_si512(t + r * TILE_N, s[r][0]);                  \
            _mm512_storeu_si512(t + r * TILE_N + 16, s[r][1]);             \
        }                                                                  \
    }

/* The bytes at even and odd places as 16 bits. */
#define EVEN_U(x) _mm256_and_si256(x, _mm256_set1_epi16(255))
#define ODD_U(x)  _mm256_srli_epi16(x, 8)
#define EVEN_S(x) _mm256_srai_epi16(_mm256_slli_epi16(x, 8), 8)
#define ODD_S(x)  _mm256_srai_epi16(x, 8)

#define DOT_256(s, xe, xo, we, wo)                                  \
    _mm256_add_epi32(s, _mm256_add_epi32(_mm256_madd_epi16(xe, we), \
                                         _mm256_madd_epi16(xo, wo)))

/* M rows of half the columns, of a block of STEP rows; X and W are how bytes
 * of b and a become 16 bits. */
#define BLOCK_256(NAME, X, W, M)                                           \
    T256 static void NAME##_256_##M(int32_t *t, const cpu_word *a,         \
                                    const cpu_word *b, const int32_t *off, \
                                    int64_t k, int step)                   \
    {                                                                      \
        __m256i s[M][2];                                                   \
                                                                           \
        _Pragma("GCC unroll 16") for (int r = 0; r < M; r++)               \
            s[r][0] = s[r][1] = _mm256_setzero_si256();                    \
        for (int64_t i = 0; i < k; i++, a += step) {                       \
            const cpu_word *row = b + (off ? off[i] : i * TILE_N);         \
            __m256i x = _mm256_loadu_si256((const __m256i *)row);          \
            __m256i y = _mm256_loadu_si256((const __m256i *)(row + 8));    \
            __m256i xe = EVEN_##X(x), xo = ODD_##X(x);                     \
            __m256i ye = EVEN_##X(y), yo = ODD_##X(y);                     \
                                                                           \
            _Pragma("GCC unroll 16") for (int r = 0; r < M; r++)           \
            {                                                              \
                __m256i w = _mm256_set1_epi32((int)a[r]);                  \
                __m256i we = EVEN_##W(w), wo = ODD_##W(w);                 \
                                                                           \
                s[r][0] = DOT_256(s[r][0], xe, xo, we, wo);                \
                s[r][1] = DOT_256(s[r][1], ye, yo, we, wo);                \
            }                                                              \
        }                                                                  \
        _Pragma("GCC unroll 16") for (int r = 0; r < M; r++)               \
        {                                                                  \
            _mm256_storeu_si256((__m256i *)(t + r * TILE_N), s[r][0]);     \
            _mm256_storeu_si256((__m256i *)(t + r * TILE_N + 8), s[r][1]); \
        }                                                                  \
    }

/* clang-format off */
#define BLOCKS_512(NAME, DOT) \
    BLOCK_512(NAME, DOT, 1) BLOCK_512(NAME, DOT, 2) BLOCK_512(NAME, DOT, 3) \
    BLOCK_512(NAME, DOT, 4) BLOCK_512(NAME, DOT, 5) BLOCK_512(NAME, DOT, 6) \
    BLOCK_512(NAME, DOT, 7) BLOCK_512(NAME, DOT, 8) BLOCK_512(NAME, DOT, 9) \
    BLOCK_512(NAME, DOT, 10) BLOCK_512(NAME, DOT, 11) \
    BLOCK_512(NAME, DOT, 12) \
    static void NAME##_512(int32_t *t, const cpu_word *a, const cpu_word *b, \
                           const int32_t *off, int64_t k, int m) \
    { \
        static void (*const by_rows[])(int32_t *, const cpu_word *, \
                                       const cpu_word *, const int32_t *, \
                                       int64_t) = { \
            NULL, NAME##_512_1, NAME##_512_2, NAME##_512_3, NAME##_512_4, \
            NAME##_512_5, NAME##_512_6, NAME##_512_7, NAME##_512_8, \
            NAME##_512_9, NAME##_512_10, NAME##_512_11, NAME##_512_12, \
        }; \
\
        by_rows[m](t, a, b, off, k); \
    }

#define BLOCKS_256(NAME, X, W) \
    BLOCK_256(NAME, X, W, 1) BLOCK_256(NAME, X, W, 2) \
    BLOCK_256(NAME, X, W, 3) BLOCK_256(NAME, X, W, 4) \
    static void NAME##_256(int32_t *t, const cpu_word *a, const cpu_word *b, \
                           const int32_t *off, int64_t k, int m) \
    { \
        static void (*const by_rows[])(int32_t *, const cpu_word *, \
                                       const cpu_word *, const int32_t *, \
                                       int64_t, int) = { \
            NULL, NAME##_256_1, NAME##_256_2, NAME##_256_3, NAME##_256_4, \
        }; \
\
        for (int r = 0; r < m; r += 4) \
            for (int j = 0; j < TILE_N; j += 16) \
                by_rows[m - r < 4 ? m - r : 4](t + r * TILE_N + j, a + r, \
                                               b + j, off, k, m); \
    }

BLOCKS_512(columns, COLUMNS_512)
BLOCKS_512(rows, ROWS_512)
BLOCKS_256(columns, U, S)
BLOCKS_256(rows, S, U)
/* clang-format on */

T512 static void row_512(int32_t *t, const cpu_word *a, const cpu_word *b,
                         int64_t k)
{
    __m512i s[8];

    _Pragma("GCC unroll 8") for (int p = 0; p < 8; p++)
        s[p] = _mm512_setzero_si512();
    for (int64_t i = 0; i < k; i++, b += TILE_N) {
        __m512i w = _mm512_set1_epi32((int)a[i]);

        _Pragma("GCC unroll 8") for (int p = 0; p < 8; p++)
            s[p] = _mm512_dpbusd_epi32(
                s[p], w,
                _mm512_loadu_si512(b + p / 2 * k * TILE_N + p % 2 * 16));
    }
    _Pragma("GCC unroll 8") for (int p = 0; p < 8; p++)
        _mm512_storeu_si512(t + p * 16, s[p]);
}

static void row_256(int32_t *t, const cpu_word *a, const cpu_word *b,
                    int64_t k)
{
    for (int p = 0; p < 4; p++)
        rows_256(t + p * TILE_N, a, b + p * k * TILE_N, NULL, k, 1);
}
#endif

struct bytes bytes_best(void)
{
#if WIDE
    if (__builtin_cpu_supports("avx512vnni") &&
        __builtin_cpu_supports("avx512bw"))
        return (struct bytes){columns_512, rows_512, row_512};
    if (__builtin_cpu_supports("avx2"))
        return (struct bytes){columns_256, rows_256, row_256};
#endif
    return (struct bytes){plain_columns, plain_rows, plain_row};
}
