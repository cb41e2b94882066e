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

/* Two elements of the window, next to each other. */
#define TWO(name, expr)                                                  \
    CPU_CLONES                                                           \
    static void name(float *restrict y, const float *restrict x,         \
                     int64_t n)                                          \
    {                                                                    \
        for (int64_t j = 0; j < n; j++) {                                \
            float a = x[2 * j], b = x[2 * j + 1];                        \
            y[j] = expr;                                                 \
        }                                                                \
    }

LINE(line_max, x > y[j] || x != x ? x : y[j])
LINE(line_sum, y[j] + x)
#define MAX(a, b) ((a) > (b) || (a) != (a) ? (a) : (b))
TWO(two_max, MAX(b, MAX(a, y[j])))
/* clang-format on */

/* How many elements of the window lie inside, along D at place J. */
static int64_t taps_inside(const struct ax_window *w, int d, int64_t j)
{
    int64_t start = j * w->stride[d] - w->begin[d], n = 0;

    for (int64_t t = 0; t < w->kernel[d]; t++) {
        int64_t at = start + t * w->dilation[d];

        n += at >= 0 && at < w->in[d];
    }
    return n;
}

/* One line of places: all elements of a window in turn. */
static void pool_line(const struct ax_window *w, const float *x, int64_t i,
                      float *y, const float *columns)
{
    bool max = !columns;
    int64_t n = w->out[2], from, to, at;

    for (int64_t j = 0; j < n; j++)
        y[j] = max ? -HUGE_VALF : 0;
    for (int64_t a = 0; a < w->kernel[1]; a++) {
        int64_t line = i * w->stride[1] - w->begin[1] + a * w->dilation[1];

        if (line < 0 || line >= w->in[1])
            continue;
        if (max && w->kernel[2] == 2 && w->stride[2] == 2 &&
            w->dilation[2] == 1 && w->begin[2] == 0 && n * 2 <= w->in[2]) {
            two_max(y, x + line * w->in[2], n);
            continue;
        }
        for (int64_t b = 0; b < w->kernel[2]; b++) {
            inside(w, 2, b, n, &from, &to, &at);
            (max ? line_max : line_sum)(y + from, x + line * w->in[2] + at,
                                        to - from, w->stride[2]);
        }
    }
    if (!max) {
        float lines = (float)taps_inside(w, 1, i);

        for (int64_t j = 0; j < n; j++)
            y[j] /= lines * columns[j];
    }
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

static ax_status real_pool(struct ax_call *c, const struct ax_window *w,
                           const int64_t *dims, bool max, struct ax_err *err)
{
    void *columns = NULL;
    const float *x;
    float *y, *out;

    AX_TRY(cpu_out(&out, c, 4, dims, err));
    AX_TRY(cpu_in(&x, c, 0, err));
    y = out;
    if (!max) {
        AX_TRY(ax_call_scratch(c, &columns, (size_t)dims[3] * sizeof(float),
                               err));
        for (int64_t j = 0; j < dims[3]; j++)
            ((float *)columns)[j] = (float)taps_inside(w, 2, j);
    }
    for (int64_t p = 0; p < dims[0] * dims[1]; p++) {
        for (int64_t i = 0; i < w->out[1]; i++, y += w->out[2])
            pool_line(w, x, i, y, columns);
        x += w->in[1] * w->in[2];
    }
    cpu_out_done(c, out);
    return AX_OK;
}

static ax_status pool(struct ax_call *c, struct ax_err *err)
{
    bool max = *(const char *)c->kernel->arg == 'm';
    bool bytes = max && ax_call_has(c, 0) &&
                 (c->in[0]->dtype == AX_U8 || c->in[0]->dtype == AX_I8);
    int64_t dims[4];
    struct ax_window w;

    if ((!bytes && !cpu_real(c, 0)) || c->in[0]->rank != 4 ||
        ax_call_wants(c, 1) || ax_node_int(c->node, "count_include_pad", 0) ||
        ax_window_resolve(&w, c->node, 4, c->in[0]->dims, NULL, err) != AX_OK)
        return AX_NO;
    for (int d = 1; d < 3; d++)
        if (w.begin[d] >= w.kernel[d] || w.end[d] >= w.kernel[d])
            return AX_NO;
    dims[0] = c->in[0]->dims[0];
    dims[1] = c->in[0]->dims[1];
    dims[2] = w.out[1];
    dims[3] = w.out[2];
    return bytes ? byte_pool(c, &w, dims, err)
                 : real_pool(c, &w, dims, max, err);
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
