/* Channels of a picture at a time: pooling, BatchNormalization; and Softmax
 * over a last dimension. */
#include "cpu.h"

#include <math.h>

/* -- pooling ---------------------------------------------------------------
 */

/* Where window elements lie inside the input along dimension D. */
static void inside(const struct ax_window *w, int d, int64_t at,
                   int64_t *start, int64_t *from, int64_t *to)
{
    *start = at * w->stride[d] - w->begin[d];
    *from = *start >= 0 ? 0 : (-*start + w->dilation[d] - 1) / w->dilation[d];
    *to = (w->in[d] - *start + w->dilation[d] - 1) / w->dilation[d];
    *to = *to < w->kernel[d] ? *to : w->kernel[d];
}

/* One window of two dimensions. */
static float pool_window(const struct ax_window *w, const float *x, int64_t i,
                         int64_t j, bool max)
{
    int64_t si, sj, fi, fj, ti, tj;
    float acc = max ? -HUGE_VALF : 0;

    inside(w, 1, i, &si, &fi, &ti);
    inside(w, 2, j, &sj, &fj, &tj);
    for (int64_t a = fi; a < ti; a++) {
        const float *row = x + (si + a * w->dilation[1]) * w->in[2] + sj;

        for (int64_t b = fj; b < tj; b++) {
            float v = row[b * w->dilation[2]];

            if (!max)
                acc += v;
            else if (v > acc || isnan(v))
                acc = v;
        }
    }
    return max ? acc : acc / (float)((ti - fi) * (tj - fj));
}

static ax_status pool(struct ax_call *c, struct ax_err *err)
{
    bool max = *(const char *)c->kernel->arg == 'm';
    int64_t dims[4], planes;
    struct ax_window w;
    const float *x;
    float *y;

    if (!cpu_f32(c, 0) || c->in[0]->rank != 4 || ax_call_wants(c, 1) ||
        ax_node_int(c->node, "count_include_pad", 0) ||
        ax_window_resolve(&w, c->node, 4, c->in[0]->dims, NULL, err) != AX_OK)
        return AX_NO;
    for (int d = 1; d < 3; d++)
        if (w.begin[d] >= w.kernel[d] || w.end[d] >= w.kernel[d])
            return AX_NO;
    dims[0] = c->in[0]->dims[0];
    dims[1] = c->in[0]->dims[1];
    dims[2] = w.out[1];
    dims[3] = w.out[2];
    AX_TRY(ax_call_out(c, 0, AX_F32, 4, dims, err));
    x = c->in[0]->data;
    y = c->out[0]->data;
    planes = dims[0] * dims[1];
    for (int64_t p = 0; p < planes; p++, x += w.in[1] * w.in[2])
        for (int64_t i = 0; i < w.out[1]; i++)
            for (int64_t j = 0; j < w.out[2]; j++)
                *y++ = pool_window(&w, x, i, j, max);
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

static void softmax_row(float *y, const float *x, size_t n)
{
    float top = x[0], sum = 0;

    for (size_t i = 1; i < n; i++)
        top = x[i] > top || isnan(x[i]) ? x[i] : top;
    for (size_t i = 0; i < n; i++)
        sum += y[i] = expf(x[i] - top);
    for (size_t i = 0; i < n; i++)
        y[i] /= sum;
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
    {"MaxPool", pool, NULL, "m"},
    {"Softmax", softmax, NULL, NULL},
    {0},
};
