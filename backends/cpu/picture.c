/* The ways through a picture: see picture.h. */
#include "picture.h"
#include "cpu.h"

#include <string.h>

static int64_t whole_tiles(int64_t n)
{
    return (n + TILE_N - 1) / TILE_N * TILE_N;
}

/* Gathering a panel takes about as long as so many rows of it. */
#define GATHER 8

/* Which way takes less, in columns times rows: those of whole tiles, the rows
 * that gathering takes, and a step and a half of one lane to put a number
 * across. */
static bool is_turned(const struct shape *s)
{
    int64_t straight = whole_tiles(s->columns) *
                       (s->out + (s->slides ? 0 : GATHER));
    int64_t turned = s->places * (whole_tiles(s->out) + GATHER) +
                     s->places * s->out * 24 / s->k;

    return turned < straight;
}

ax_status picture_resolve(struct shape *s, const struct ax_call *c,
                          const struct ax_tensor *x,
                          const struct ax_tensor *weight,
                          const struct ax_window *w, int64_t per_word)
{
    if (w->rank > 2)
        return AX_NO;
    s->w = w;
    s->groups = ax_node_int(c->node, "group", 1);
    s->in = x->dims[1] / s->groups;
    s->out = weight->dims[0] / s->groups;
    s->planes = (s->in + per_word - 1) / per_word;
    s->height = w->in[1] + w->begin[1] + w->end[1];
    s->width = w->in[2] + w->begin[2] + w->end[2];
    s->parts = 1;
    s->k = s->planes * w->kernel[1] * w->kernel[2];
    s->places = w->out[1] * w->out[2];
    s->padded = s->height != w->in[1] || s->width != w->in[2];
    s->columns = (w->out[1] - 1) * s->width + w->out[2];
    s->slides = w->stride[1] == 1 && w->stride[2] == 1 &&
                whole_tiles(s->columns) * s->out <=
                    whole_tiles(s->places) * (s->out + GATHER);
    if (!s->slides)
        s->columns = s->places;
    s->turned = is_turned(s);
    return s->planes * s->height * s->width > INT32_MAX / 2 ||
                   s->k > INT32_MAX / TILE_N / 2 || s->places < 1
               ? AX_NO
               : AX_OK;
}

void picture_dims(int64_t dims[4], const struct shape *s, int rank,
                  int64_t batch)
{
    dims[0] = batch;
    dims[1] = s->groups * s->out;
    dims[rank - 2] = rank == 3 ? dims[1] : s->w->out[1];
    dims[rank - 1] = s->w->out[2];
}

void picture_offsets(int32_t *off, int32_t *line, const struct shape *s)
{
    const struct ax_window *w = s->w;
    int64_t at = 0;

    for (int64_t c = 0; c < s->planes * s->parts; c++)
        for (int64_t i = 0; i < w->kernel[1]; i++)
            for (int64_t j = 0; j < w->kernel[2]; j++) {
                off[at] = (int32_t)(c % s->planes * s->height * s->width +
                                    i * w->dilation[1] * s->width +
                                    j * w->dilation[2]);
                line[at] = (int32_t)(at * TILE_N);
                at++;
            }
}

/* Rows go in blocks of nearly one size: how many, and rows of block I. */
static int64_t blocks_of(int64_t rows)
{
    return (rows + TILE_M - 1) / TILE_M;
}

static int rows_of(int64_t rows, int64_t blocks, int64_t i)
{
    return (int)((i + 1) * rows / blocks - i * rows / blocks);
}

int64_t picture_weight(const struct shape *s)
{
    return (s->turned ? whole_tiles(s->out) : s->out) * s->k;
}

void picture_pack(cpu_word *to, const cpu_word *from, const struct shape *s)
{
    int64_t blocks = blocks_of(s->out);

    if (s->turned) {
        memset(to, 0, (size_t)picture_weight(s) * sizeof *to);
        for (int64_t o = 0; o < s->out; o++)
            for (int64_t i = 0; i < s->k; i++)
                to[(o / TILE_N * s->k + i) * TILE_N + o % TILE_N] =
                    from[o * s->k + i];
        return;
    }
    for (int64_t b = 0; b < blocks; b++) {
        int m = rows_of(s->out, blocks, b);

        for (int64_t i = 0; i < s->k; i++)
            for (int r = 0; r < m; r++)
                *to++ = from[r * s->k + i];
        from += m * s->k;
    }
}

/* Where column J begins in the picture. */
static int32_t start_of(const struct shape *s, int64_t j)
{
    const struct ax_window *w = s->w;

    if (s->slides && !s->turned)
        return (int32_t)j;
    return (int32_t)(j / w->out[2] * w->stride[1] * s->width +
                     j % w->out[2] * w->stride[2]);
}

/* clang-format off */
#define RUN(n, stride)                                                   \
    for (int64_t i = 0; i < k; i++)                                      \
        for (int64_t j = 0; j < (n); j++)                                \
            to[i * width + j] = x[off[i] + j * (stride)]
/* clang-format on */

/* n columns of a panel that lie STRIDE apart; the usual numbers of them as
 * constants. */
CPU_CLONES
static void gather_run(cpu_word *restrict to, const cpu_word *restrict x,
                       const int32_t *restrict off, int64_t k, int64_t n,
                       int64_t width, int64_t stride)
{
    if (stride == 1 && n == 32)
        RUN(32, 1);
    else if (stride == 1 && n == 16)
        RUN(16, 1);
    else if (stride == 1 && n == 8)
        RUN(8, 1);
    else if (stride == 1 && n == 4)
        RUN(4, 1);
    else if (stride == 1)
        RUN(n, 1);
    else if (stride == 2 && n == 32)
        RUN(32, 2);
    else if (stride == 2 && n == 16)
        RUN(16, 2);
    else if (stride == 2 && n == 8)
        RUN(8, 2);
    else if (stride == 2 && n == 4)
        RUN(4, 2);
    else
        RUN(n, stride);
}

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define T512 __attribute__((target("avx512f")))

/* As gather_run, up to 16 columns at a time under a mask; false: another
 * stride. */
T512 static bool gather_512(cpu_word *to, const cpu_word *x,
                            const int32_t *off, int64_t k, int64_t n,
                            int64_t width, int64_t stride)
{
    const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14,
                                          12, 10, 8, 6, 4, 2, 0);

    if (stride > 2)
        return false;
    for (; n > 0; n -= 16, to += 16, x += 16 * stride) {
        uint32_t m = n < 16 ? ((uint32_t)1 << n) - 1 : 0xffff;
        uint32_t in = n < 16 ? ((uint32_t)1 << (2 * n - 1)) - 1 : 0x7fffffff;
        __mmask16 low = (__mmask16)in, high = (__mmask16)(in >> 16);

        if (stride == 1)
            for (int64_t i = 0; i < k; i++)
                _mm512_mask_storeu_epi32(
                    to + i * width, (__mmask16)m,
                    _mm512_maskz_loadu_epi32((__mmask16)m, x + off[i]));
        else
            for (int64_t i = 0; i < k; i++)
                _mm512_mask_storeu_epi32(
                    to + i * width, (__mmask16)m,
                    _mm512_permutex2var_epi32(
                        _mm512_maskz_loadu_epi32(low, x + off[i]), even,
                        _mm512_maskz_loadu_epi32(high, x + off[i] + 16)));
    }
    return true;
}

static bool by_512(void)
{
    return __builtin_cpu_supports("avx512f");
}
#else
static bool gather_512(cpu_word *to, const cpu_word *x, const int32_t *off,
                       int64_t k, int64_t n, int64_t width, int64_t stride)
{
    (void)to, (void)x, (void)off, (void)k, (void)n, (void)width, (void)stride;
    return false;
}

static bool by_512(void)
{
    return false;
}
#endif

/* n columns of a panel of WIDTH, zeros after them: run by run, each of which
 * lies in one row of the output. */
static void gather(cpu_word *to, const cpu_word *x, const int32_t *off,
                   const int32_t *start, int64_t k, int64_t n, int64_t width,
                   int64_t stride)
{
    bool wide = by_512();

    for (int64_t i = 0; i < k && n < width; i++)
        memset(to + i * width + n, 0, (size_t)(width - n) * sizeof *to);
    for (int64_t at = 0, end; at < n; at = end) {
        for (end = at + 1; end < n && start[end] - start[end - 1] == stride;)
            end++;
        if (!wide || !gather_512(to + at, x + start[at], off, k, end - at,
                                 width, stride))
            gather_run(to + at, x + start[at], off, k, end - at, width,
                       stride);
    }
}

/* Panel I of the group that begins at column FROM: as it lies, or
 * gathered. */
struct panel {
    const cpu_word *b;
    const int32_t *off;
};

static struct panel panel_at(const struct picture *p, int64_t from, int64_t i)
{
    const struct shape *s = p->s;
    int64_t at = from + i * TILE_N, n = s->columns - at;
    int32_t start[TILE_N];
    cpu_word *to = p->panels + i * s->k * TILE_N;

    n = n < TILE_N ? n : TILE_N;
    if (s->slides && at + p->off[s->k - 1] + TILE_N <= p->readable)
        return (struct panel){p->x + at, p->off};
    for (int64_t j = 0; j < n; j++)
        start[j] = start_of(s, at + j);
    gather(to, p->x, p->off, start, s->k, n, TILE_N, s->w->stride[2]);
    return (struct panel){to, p->line};
}

/* Columns that are worked on together: what they see stays in a cache while
 * all weights pass. */
#define GROUP_BYTES ((int64_t)256 << 10)
#define PANELS_MAX  64

static int64_t group_size(const struct shape *s)
{
    int64_t n = GROUP_BYTES / (s->k * TILE_N * (int64_t)sizeof(cpu_word));

    return n < 1 ? 1 : n > PANELS_MAX ? PANELS_MAX : n;
}

int64_t picture_room(const struct shape *s)
{
    return group_size(s) * s->k * TILE_N;
}

static void straight(const struct picture *p, const cpu_word *weight,
                     picture_tile *tile, void *x)
{
    const struct shape *s = p->s;
    int64_t group = group_size(s), blocks = blocks_of(s->out);
    struct panel panels[PANELS_MAX];

    for (int64_t at = 0; at < s->columns; at += group * TILE_N) {
        int64_t n = (s->columns - at + TILE_N - 1) / TILE_N, row = 0;
        const cpu_word *a = weight;

        n = n < group ? n : group;
        for (int64_t i = 0; i < n; i++)
            panels[i] = panel_at(p, at, i);
        for (int64_t b = 0; b < blocks; b++) {
            int m = rows_of(s->out, blocks, b);

            for (int64_t i = 0; i < n; i++) {
                int64_t from = at + i * TILE_N, left = s->columns - from;

                tile(x, a, panels[i].b, panels[i].off, row, m, from,
                     left < TILE_N ? left : TILE_N);
            }
            row += m;
            a += m * s->k;
        }
    }
}

/* Places [at, at + m) as rows. */
static void gather_rows(cpu_word *to, const struct picture *p, int64_t at,
                        int m)
{
    int32_t start[TILE_M];

    for (int r = 0; r < m; r++)
        start[r] = start_of(p->s, at + r);
    gather(to, p->x, p->off, start, p->s->k, m, m, p->s->w->stride[2]);
}

static void turned(const struct picture *p, const cpu_word *weight,
                   picture_tile *tile, void *x)
{
    const struct shape *s = p->s;
    int64_t group = group_size(s), blocks = blocks_of(s->places), at = 0;

    for (int64_t b = 0; b < blocks; b += group) {
        int64_t n = blocks - b < group ? blocks - b : group, row = at;
        const cpu_word *panel = weight;

        for (int64_t i = 0; i < n; i++) {
            int m = rows_of(s->places, blocks, b + i);

            gather_rows(p->panels + i * s->k * TILE_M, p, at, m);
            at += m;
        }
        for (int64_t c = 0; c < s->out; c += TILE_N, panel += s->k * TILE_N) {
            int64_t left = s->out - c, to = row;

            for (int64_t i = 0; i < n; i++) {
                int m = rows_of(s->places, blocks, b + i);

                tile(x, p->panels + i * s->k * TILE_M, panel, NULL, to, m, c,
                     left < TILE_N ? left : TILE_N);
                to += m;
            }
        }
    }
}

void picture_multiply(const struct picture *p, const cpu_word *weight,
                      picture_tile *tile, void *x)
{
    (p->s->turned ? turned : straight)(p, weight, tile, x);
}
