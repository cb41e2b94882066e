/* Channels of a picture at a time: pooling, BatchNormalization; and Softmax
 * over a last dimension. */
#include "cpu.h"
#include "vmath.h"

#include <math.h>
#include <string.h>

/* -- pooling ---------------------------------------------------------------
 */

/* Which of N elements of a line lie inside the input, for one element of
 * the window: those [from, to), and the first one at index *at. */
static void inside(const struct ax_window *w, int d, int64_t tap, int64_t n,
                   int64_t *from, int64_t *to, int64_t *at)
{
    int64_t first = tap * w->dilation[d] - w->begin[d];
    int64_t stride = w->stride[d];

    *from = first >= 0 ? 0 : (-first + stride - 1) / stride;
    *to = first >= w->in[d] ? 0 : (w->in[d] - 1 - first) / stride + 1;
    *to = *to < n ? *to : n;
    *from = *from < *to ? *from : *to;
    *at = first + *from * stride;
}

/* clang-format off */
#define LINE(name, expr)                                                 \
    CPU_CLONES                                                           \
    static void name(float *restrict y, const float *restrict x_,        \
                     int64_t n, int64_t stride)                          \
    {                                                                    \
        if (stride == 1)                                                 \
            for (int64_t j = 0; j < n; j++) {                            \
                float x = x_[j];                                         \
                y[j] = expr;                                             \
            }                                                            \
        else if (stride == 2)                                            \
            for (int64_t j = 0; j < n; j++) {                            \
                float x = x_[2 * j];                                     \
                y[j] = expr;                                             \
            }                                                            \
        else                                                             \
            for (int64_t j = 0; j < n; j++) {                            \
                float x = x_[stride * j];                                \
                y[j] = expr;                                             \
            }                                                            \
    }

LINE(line_max, x > y[j] || x != x ? x : y[j])
LINE(line_sum, y[j] + x)
/* clang-format on */

#define MAX(a, b) ((a) > (b) || (a) != (a) ? (a) : (b))

/* The largest of each two by two, of two lines. */
static void two_by_two(float *restrict y, const float *restrict a,
                       const float *restrict b, int64_t n)
{
    for (int64_t j = 0; j < n; j++) {
        float left = MAX(a[2 * j], b[2 * j]);
        float right = MAX(a[2 * j + 1], b[2 * j + 1]);

        y[j] = MAX(left, right);
    }
}

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define T512 __attribute__((target("avx512f")))

T512 static inline __m512 max_512(__m512 a, __m512 b)
{
    __mmask16 none = _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);

    return _mm512_mask_mov_ps(_mm512_max_ps(a, b), none, a);
}

T512 static void two_by_two_512(float *y, const float *a, const float *b,
                                int64_t n)
{
    const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14,
                                          12, 10, 8, 6, 4, 2, 0);
    const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));

    for (int64_t j = 0; j < n; j += 16, a += 32, b += 32) {
        int64_t left = n - j;
        __mmask16 to = (__mmask16)(left < 16 ? (1 << left) - 1 : 0xffff);
        uint32_t in = left < 16 ? ((uint32_t)1 << 2 * left) - 1 : UINT32_MAX;
        __mmask16 low = (__mmask16)in, high = (__mmask16)(in >> 16);
        __m512 x = max_512(_mm512_maskz_loadu_ps(low, a),
                           _mm512_maskz_loadu_ps(low, b));
        __m512 z = max_512(_mm512_maskz_loadu_ps(high, a + 16),
                           _mm512_maskz_loadu_ps(high, b + 16));

        _mm512_mask_storeu_ps(y + j, to,
                              max_512(_mm512_permutex2var_ps(x, even, z),
                                      _mm512_permutex2var_ps(x, odd, z)));
    }
}

/* y [n] from COUNT lines STEP apart: sums, or the largest. */
T512 static void join_512(float *y, const float *x, int64_t step,
                          int64_t count, int64_t n, bool max)
{
    for (int64_t j = 0; j < n; j += 16, x += 16) {
        __mmask16 m = (__mmask16)(n - j < 16 ? (1 << (n - j)) - 1 : 0xffff);
        __m512 v = _mm512_maskz_loadu_ps(m, x);

        for (int64_t l = 1; l < count; l++) {
            __m512 z = _mm512_maskz_loadu_ps(m, x + l * step);

            v = max ? max_512(z, v) : _mm512_add_ps(v, z);
        }
        _mm512_mask_storeu_ps(y + j, m, v);
    }
}

static bool wide(void)
{
    return __builtin_cpu_supports("avx512f");
}
#else
static void join_512(float *y, const float *x, int64_t step, int64_t count,
                     int64_t n, bool max)
{
    (void)y, (void)x, (void)step, (void)count, (void)n, (void)max;
}

static void two_by_two_512(float *y, const float *a, const float *b,
                           int64_t n)
{
    two_by_two(y, a, b, n);
}

static bool wide(void)
{
    return false;
}
#endif

/* How many elements of the window lie inside, along D at place J; inside the
 * padding too if that is counted. */
static int64_t taps_inside(const struct ax_window *w, int d, int64_t j,
                           bool count_pad)
{
    int64_t start = j * w->stride[d] - w->begin[d], n = 0;
    int64_t from = count_pad ? -w->begin[d] : 0;
    int64_t to = w->in[d] + (count_pad ? w->end[d] : 0);

    for (int64_t t = 0; t < w->kernel[d]; t++) {
        int64_t at = start + t * w->dilation[d];

        n += at >= from && at < to;
    }
    return n;
}

/* Where a column of the window reads a line: elements [from, to) of the
 * output see the input from AT on. */
struct tap {
    int64_t from, to, at;
};

/* A pooling of planes of float32. */
struct pooling {
    const struct ax_window *w;
    bool max, count_pad;
    bool squares;     /* the largest of each two by two, no padding */
    bool apart;       /* columns of windows next to each other, no padding */
    bool wide;        /* by vectors of 16 */
    struct tap *taps; /* of the columns of the window */
    float *columns;   /* how many elements of a line of the window count */
    float *lines;     /* how many lines */
    float *room;      /* one line of the input */
};

/* The lines that place I sees as one: their largest elements, or sums. */
static const float *join_lines(const struct pooling *p, const float *x,
                               int64_t i)
{
    const struct ax_window *w = p->w;
    int64_t n = w->in[2], step = w->dilation[1] * n, from, to, at;

    /* Of places along the window, those that lie inside. */
    at = i * w->stride[1] - w->begin[1];
    from = at < 0 ? (-at + w->dilation[1] - 1) / w->dilation[1] : 0;
    to = at < w->in[1] ? (w->in[1] - 1 - at) / w->dilation[1] + 1 : 0;
    to = to < w->kernel[1] ? to : w->kernel[1];
    for (int64_t j = 0; j < n && from >= to; j++)
        p->room[j] = p->max ? -HUGE_VALF : 0;
    if (from >= to)
        return p->room;
    x += at * n + from * step;
    if (to - from == 1)
        return x;
    if (p->wide) {
        join_512(p->room, x, step, to - from, n, p->max);
        return p->room;
    }
    memcpy(p->room, x, (size_t)n * sizeof *x);
    for (int64_t l = 1; l < to - from; l++)
        (p->max ? line_max : line_sum)(p->room, x + l * step, n, 1);
    return p->room;
}

static inline void sum_runs(float *y, const float *x, int64_t n, int64_t k)
{
    for (int64_t j = 0; j < n; j++, x += k) {
        float sum = 0;

        for (int64_t b = 0; b < k; b++)
            sum += x[b];
        y[j] = sum;
    }
}

/* Sums of N elements of each K next to each other, the usual numbers as
 * constants: too few for vectors. */
static void sum_each(float *y, const float *x, int64_t n, int64_t k)
{
    switch (k) {
    case 2:
        sum_runs(y, x, n, 2);
        break;
    case 3:
        sum_runs(y, x, n, 3);
        break;
    case 4:
        sum_runs(y, x, n, 4);
        break;
    default:
        sum_runs(y, x, n, k);
    }
}

/* Of a line that stands for those of the window, along it. */
static void along(const struct pooling *p, const float *x, float *y)
{
    const struct ax_window *w = p->w;

    if (p->apart) {
        sum_each(y, x, w->out[2], w->kernel[2]);
        return;
    }
    for (int64_t j = 0; j < w->out[2]; j++)
        y[j] = p->max ? -HUGE_VALF : 0;
    for (int64_t b = 0; b < w->kernel[2]; b++) {
        const struct tap *t = &p->taps[b];

        (p->max ? line_max : line_sum)(y + t->from, x + t->at,
                                       t->to - t->from, w->stride[2]);
    }
}

/* One line of places: the lines of the window, and then along them. */
static void pool_line(const struct pooling *p, const float *x, int64_t i,
                      float *y)
{
    const struct ax_window *w = p->w;
    int64_t n = w->out[2];

    if (p->squares) {
        x += 2 * i * w->in[2];
        (p->wide ? two_by_two_512 : two_by_two)(y, x, x + w->in[2], n);
        return;
    }
    along(p, join_lines(p, x, i), y);
    for (int64_t j = 0; j < n && !p->max; j++)
        y[j] /= p->lines[i] * p->columns[j];
}

/* Windows of two by two next to each other, all inside. */
static bool are_squares(const struct ax_window *w)
{
    bool all = true;

    for (int d = 1; d < 3; d++)
        all = all && w->kernel[d] == 2 && w->stride[d] == 2 &&
              w->dilation[d] == 1 && w->begin[d] == 0 &&
              w->out[d] * 2 <= w->in[d];
    return all;
}

/* What all planes share. */
static ax_status prepare_pooling(struct pooling *p, struct ax_call *c,
                                 struct ax_err *err)
{
    const struct ax_window *w = p->w;
    void *taps, *floats;

    p->squares = p->max && are_squares(w);
    p->apart = !p->max && w->kernel[2] == w->stride[2] &&
               w->dilation[2] == 1 && w->begin[2] == 0 &&
               w->out[2] * w->kernel[2] <= w->in[2];
    p->wide = wide();
    AX_TRY(ax_call_scratch(c, &taps, (size_t)w->kernel[2] * sizeof *p->taps,
                           err));
    AX_TRY(ax_call_scratch(
        c, &floats,
        (size_t)(w->in[2] + w->out[1] + w->out[2]) * sizeof(float), err));
    p->taps = taps;
    p->room = floats;
    p->lines = p->room + w->in[2];
    p->columns = p->lines + w->out[1];
    for (int64_t b = 0; b < w->kernel[2]; b++)
        inside(w, 2, b, w->out[2], &p->taps[b].from, &p->taps[b].to,
               &p->taps[b].at);
    for (int64_t i = 0; i < w->out[1] && !p->max; i++)
        p->lines[i] = (float)taps_inside(w, 1, i, p->count_pad);
    for (int64_t j = 0; j < w->out[2] && !p->max; j++)
        p->columns[j] = (float)taps_inside(w, 2, j, p->count_pad);
    return AX_OK;
}

/* -- the largest byte -----------------------------------------------------
 */

/* clang-format off */
#define BYTE_LINE(name, type)                                            \
    CPU_CLONES                                                           \
    static void name(void *y_, const void *x_, int64_t n, int64_t stride)\
    {                                                                    \
        type *restrict y = y_;                                           \
        const type *restrict x = x_;                                     \
                                                                         \
        if (stride == 1)                                                 \
            for (int64_t j = 0; j < n; j++)                              \
                y[j] = x[j] > y[j] ? x[j] : y[j];                        \
        else if (stride == 2)                                            \
            for (int64_t j = 0; j < n; j++)                              \
                y[j] = x[2 * j] > y[j] ? x[2 * j] : y[j];                \
        else                                                             \
            for (int64_t j = 0; j < n; j++)                              \
                y[j] = x[stride * j] > y[j] ? x[stride * j] : y[j];      \
    }
/* clang-format on */

BYTE_LINE(line_u8, uint8_t)
BYTE_LINE(line_i8, int8_t)

/* One line of places: the largest of the lines that they see, in room, and
 * of these along the line. */
static void byte_line(const struct ax_window *w, const uint8_t *x, int64_t i,
                      uint8_t *y, uint8_t *room, bool is_signed)
{
    void (*line)(void *, const void *, int64_t,
                 int64_t) = is_signed ? line_i8 : line_u8;
    int64_t from, to, at, first = i * w->stride[1] - w->begin[1];

    memset(room, is_signed ? 128 : 0, (size_t)w->in[2]);
    memset(y, is_signed ? 128 : 0, (size_t)w->out[2]);
    for (int64_t a = 0; a < w->kernel[1]; a++) {
        int64_t k = first + a * w->dilation[1];

        if (k >= 0 && k < w->in[1])
            line(room, x + k * w->in[2], w->in[2], 1);
    }
    for (int64_t b = 0; b < w->kernel[2]; b++) {
        inside(w, 2, b, w->out[2], &from, &to, &at);
        line(y + from, room + at, to - from, w->stride[2]);
    }
}

static ax_status byte_pool(struct ax_call *c, const struct ax_window *w,
                           const int64_t *dims, struct ax_err *err)
{
    const uint8_t *x = c->in[0]->data;
    void *room;
    uint8_t *y;

    AX_TRY(ax_call_out(c, 0, c->in[0]->dtype, 4, dims, err));
    AX_TRY(ax_call_scratch(c, &room, (size_t)w->in[2], err));
    y = c->out[0]->data;
    for (int64_t p = 0; p < dims[0] * dims[1]; p++) {
        for (int64_t i = 0; i < w->out[1]; i++, y += w->out[2])
            byte_line(w, x, i, y, room, c->in[0]->dtype == AX_I8);
        x += w->in[1] * w->in[2];
    }
    return AX_OK;
}

/* -- both -----------------------------------------------------------------
 */

static ax_status real_pool(struct ax_call *c, struct pooling *p,
                           const int64_t *dims, struct ax_err *err)
{
    const struct ax_window *w = p->w;
    const float *x;
    float *y, *out;

    AX_TRY(cpu_out(&out, c, 4, dims, err));
    AX_TRY(cpu_in(&x, c, 0, err));
    AX_TRY(prepare_pooling(p, c, err));
    y = out;
    for (int64_t k = 0; k < dims[0] * dims[1]; k++) {
        for (int64_t i = 0; i < w->out[1]; i++, y += w->out[2])
            pool_line(p, x, i, y);
        x += w->in[1] * w->in[2];
    }
    cpu_out_done(c, out);
    return AX_OK;
}

static ax_status pool(struct ax_call *c, struct ax_err *err)
{
    struct ax_window w;
    struct pooling p = {.w = &w, .max = *(const char *)c->kernel->arg == 'm'};
    bool bytes = p.max && ax_call_has(c, 0) &&
                 (c->in[0]->dtype == AX_U8 || c->in[0]->dtype == AX_I8);
    int64_t dims[4];

    if ((!bytes && !cpu_real(c, 0)) || c->in[0]->rank != 4 ||
        ax_call_wants(c, 1) ||
        ax_window_resolve(&w, c->node, 4, c->in[0]->dims, NULL, err) != AX_OK)
        return AX_NO;
    for (int d = 1; d < 3; d++)
        if (w.begin[d] >= w.kernel[d] || w.end[d] >= w.kernel[d])
            return AX_NO;
    p.count_pad = ax_node_int(c->node, "count_include_pad", 0) != 0;
    dims[0] = c->in[0]->dims[0];
    dims[1] = c->in[0]->dims[1];
    dims[2] = w.out[1];
    dims[3] = w.out[2];
    return bytes ? byte_pool(c, &w, dims, err) : real_pool(c, &p, dims, err);
}

#define LANES 16

CPU_CLONES
static float mean_of(const float *restrict x, size_t n)
{
    double lane[LANES] = {0}, sum = 0;
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++)
            lane[l] += (double)x[i + (size_t)l];
    for (; i < n; i++)
        sum += (double)x[i];
    for (int l = 0; l < LANES; l++)
        sum += lane[l];
    return (float)(sum / (double)n);
}

static ax_status global_mean(struct ax_call *c, struct ax_err *err)
{
    int64_t dims[AX_RANK_MAX];
    const float *x;
    size_t n = 1;
    float *y;

    if (!cpu_real(c, 0) || c->in[0]->rank < 3 ||
        ax_tensor_count(c->in[0]) == 0)
        return AX_NO;
    for (int d = 0; d < c->in[0]->rank; d++) {
        dims[d] = d < 2 ? c->in[0]->dims[d] : 1;
        n *= d < 2 ? 1 : (size_t)c->in[0]->dims[d];
    }
    AX_TRY(cpu_out(&y, c, c->in[0]->rank, dims, err));
    AX_TRY(cpu_in(&x, c, 0, err));
    for (int64_t p = 0; p < dims[0] * dims[1]; p++, x += n)
        y[p] = mean_of(x, n);
    cpu_out_done(c, y);
    return AX_OK;
}

/* -- normalisation ----------------------------------------------------------
 */

CPU_CLONES
static void scale_shift(float *y, const float *x, size_t n, float scale,
                        float shift)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * scale + shift;
}

static ax_status batch_norm(struct ax_call *c, struct ax_err *err)
{
    float epsilon = ax_node_float(c->node, "epsilon", 1e-5f);
    size_t channels, n = 1, planes;

    for (uint32_t i = 0; i < 5; i++)
        if (!cpu_f32(c, i))
            return AX_NO;
    if (c->in[0]->rank < 2 || ax_node_int(c->node, "training_mode", 0))
        return AX_NO;
    channels = (size_t)c->in[0]->dims[1];
    for (uint32_t i = 1; i < 5; i++)
        if (ax_tensor_count(c->in[i]) != channels)
            return AX_NO;
    for (int i = 2; i < c->in[0]->rank; i++)
        n *= (size_t)c->in[0]->dims[i];
    AX_TRY(ax_call_out_over(c, 0, 0, err));
    planes = (size_t)c->in[0]->dims[0] * channels;
    for (size_t p = 0; p < planes; p++) {
        size_t k = p % channels;
        double s = (double)((const float *)c->in[1]->data)[k] /
                   sqrt((double)((const float *)c->in[4]->data)[k] +
                        (double)epsilon);
        double t = (double)((const float *)c->in[2]->data)[k] -
                   (double)((const float *)c->in[3]->data)[k] * s;

        scale_shift((float *)c->out[0]->data + p * n,
                    (const float *)c->in[0]->data + p * n, n, (float)s,
                    (float)t);
    }
    return AX_OK;
}

CPU_CLONES
static void softmax_row(float *restrict y, const float *restrict x, size_t n)
{
    float top = x[0], sum = 0, lane[LANES] = {0};
    size_t i = 0;

    for (size_t k = 1; k < n; k++)
        top = x[k] > top || x[k] != x[k] ? x[k] : top;
    for (size_t k = 0; k < n; k++)
        y[k] = vm_exp(x[k] - top);
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++)
            lane[l] += y[i + (size_t)l];
    for (; i < n; i++)
        sum += y[i];
    for (int l = 0; l < LANES; l++)
        sum += lane[l];
    for (size_t k = 0; k < n; k++)
        y[k] /= sum;
}

static ax_status softmax(struct ax_call *c, struct ax_err *err)
{
    const struct ax_tensor *x;
    int64_t axis = ax_node_int(c->node, "axis", -1);
    size_t n, rows;

    if (!cpu_f32(c, 0) || c->in[0]->rank < 1)
        return AX_NO;
    x = c->in[0];
    n = (size_t)x->dims[x->rank - 1];
    if ((axis != -1 && axis != x->rank - 1) || n == 0)
        return AX_NO;
    AX_TRY(ax_call_out(c, 0, AX_F32, x->rank, x->dims, err));
    rows = ax_tensor_count(x) / n;
    for (size_t r = 0; r < rows; r++)
        softmax_row((float *)c->out[0]->data + r * n,
                    (const float *)x->data + r * n, n);
    return AX_OK;
}

const struct ax_kernel cpu_plane[] = {
    {"AveragePool", pool, NULL, "a"},
    {"BatchNormalization", batch_norm, NULL, NULL},
    {"GlobalAveragePool", global_mean, NULL, NULL},
    {"MaxPool", pool, NULL, "m"},
    {"Softmax", softmax, NULL, NULL},
    {0},
};
