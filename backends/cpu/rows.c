/* Rows: sums and means over last dimensions, LayerNormalization,
 * transposition, and padding by nothing. */
#include "cpu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LANES 16

/* In lanes, so that the order depends on n alone. */
CPU_CLONES
static float sum_of(const float *restrict x, size_t n)
{
    float lane[LANES] = {0}, sum = 0;
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            lane[l] += x[i + l];
    for (; i < n; i++)
        sum += x[i];
    for (size_t l = 0; l < LANES; l++)
        sum += lane[l];
    return sum;
}

/* Of squared distances from a point. */
CPU_CLONES
static float squares_of(const float *restrict x, size_t n, float from)
{
    float lane[LANES] = {0}, sum = 0;
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            lane[l] += (x[i + l] - from) * (x[i + l] - from);
    for (; i < n; i++)
        sum += (x[i] - from) * (x[i] - from);
    for (size_t l = 0; l < LANES; l++)
        sum += lane[l];
    return sum;
}

/* -- ReduceMean, ReduceSum ------------------------------------------------
 */

/* Which axes go, one bit each; 0: none, or unknown. */
static uint32_t axes_of(const struct ax_call *c, int rank)
{
    const struct ax_attr *a = ax_node_attr(c->node, "axes");
    const int64_t *axes = NULL;
    uint32_t seen = 0;
    size_t n = 0;

    if (ax_call_has(c, 1)) {
        if (c->in[1]->dtype != AX_I64)
            return 0;
        axes = c->in[1]->data;
        n = ax_tensor_count(c->in[1]);
    } else if (a && a->kind == AX_ATTR_INTS) {
        axes = a->ints;
        n = a->n;
    }
    for (size_t i = 0; i < n; i++) {
        int64_t at = axes[i] < 0 ? axes[i] + rank : axes[i];

        if (at < 0 || at >= rank || (seen >> at & 1))
            return 0;
        seen |= 1u << at;
    }
    return seen;
}

/* The axes are the last ones: how many; 0: they are not, or unknown. */
static int last_axes(const struct ax_call *c, int rank)
{
    uint32_t seen = axes_of(c, rank);
    int n = 0;

    while (n < rank && (seen >> (rank - 1 - n) & 1))
        n++;
    return n && seen >> (rank - n) << (rank - n) == seen ? n : 0;
}

static ax_status reduce(struct ax_call *c, struct ax_err *err)
{
    bool mean = *(const char *)c->kernel->arg == 'm';
    bool keep = ax_node_int(c->node, "keepdims", 1) != 0;
    int64_t dims[AX_RANK_MAX];
    const struct ax_tensor *x;
    size_t n = 1, rows;
    int axes, rank;

    if (!cpu_f32(c, 0) || ax_tensor_count(c->in[0]) == 0)
        return AX_NO;
    x = c->in[0];
    axes = last_axes(c, x->rank);
    if (axes == 0)
        return AX_NO;
    memcpy(dims, x->dims, sizeof dims);
    for (int i = x->rank - axes; i < x->rank; i++) {
        n *= (size_t)dims[i];
        dims[i] = 1;
    }
    rank = keep ? x->rank : x->rank - axes;
    AX_TRY(ax_call_out(c, 0, AX_F32, rank, dims, err));
    rows = ax_tensor_count(x) / n;
    for (size_t r = 0; r < rows; r++) {
        float sum = sum_of((const float *)x->data + r * n, n);

        ((float *)c->out[0]->data)[r] = mean ? sum / (float)n : sum;
    }
    return AX_OK;
}

CPU_CLONES
static void larger_of(float *restrict y, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] > y[i] || x[i] != x[i] ? x[i] : y[i];
}

/* Axes that follow each other, and something after them: whole lines. */
static ax_status reduce_max(struct ax_call *c, struct ax_err *err)
{
    bool keep = ax_node_int(c->node, "keepdims", 1) != 0;
    int64_t dims[AX_RANK_MAX], outer = 1, gone = 1, inner = 1;
    int rank = 0, first, end;
    const float *x;
    uint32_t axes;
    float *y;

    if (!cpu_f32(c, 0) || ax_tensor_count(c->in[0]) == 0)
        return AX_NO;
    axes = axes_of(c, c->in[0]->rank);
    if (axes == 0)
        return AX_NO;
    first = __builtin_ctz(axes);
    end = 32 - __builtin_clz(axes);
    if (axes >> first != UINT32_MAX >> (32 - (end - first)))
        return AX_NO;
    for (int i = 0; i < c->in[0]->rank; i++) {
        int64_t n = c->in[0]->dims[i];
        bool goes = axes >> i & 1;

        *(goes ? &gone : i < first ? &outer : &inner) *= n;
        if (!goes || keep)
            dims[rank++] = goes ? 1 : n;
    }
    if (inner < 16)
        return AX_NO;
    AX_TRY(ax_call_out(c, 0, AX_F32, rank, dims, err));
    x = c->in[0]->data;
    y = c->out[0]->data;
    for (int64_t o = 0; o < outer; o++, y += inner) {
        memcpy(y, x, (size_t)inner * sizeof *y);
        x += inner;
        for (int64_t k = 1; k < gone; k++, x += inner)
            larger_of(y, x, (size_t)inner);
    }
    return AX_OK;
}

/* -- LayerNormalization ----------------------------------------------------
 */

CPU_CLONES
static void normalise(float *restrict y, const float *restrict x,
                      const float *restrict scale,
                      const float *restrict shift, size_t n, float mean,
                      float by)
{
    if (shift)
        for (size_t i = 0; i < n; i++)
            y[i] = (x[i] - mean) * by * scale[i] + shift[i];
    else
        for (size_t i = 0; i < n; i++)
            y[i] = (x[i] - mean) * by * scale[i];
}

static ax_status layer_norm(struct ax_call *c, struct ax_err *err)
{
    float epsilon = ax_node_float(c->node, "epsilon", 1e-5f);
    int64_t axis = ax_node_int(c->node, "axis", -1);
    const struct ax_tensor *x;
    size_t n = 1, rows;

    if (!cpu_f32(c, 0) || !cpu_f32(c, 1) ||
        (ax_call_has(c, 2) && !cpu_f32(c, 2)) || ax_call_wants(c, 1) ||
        ax_call_wants(c, 2))
        return AX_NO;
    x = c->in[0];
    axis = axis < 0 ? axis + x->rank : axis;
    if (axis < 0 || axis >= x->rank || ax_tensor_count(x) == 0)
        return AX_NO;
    for (int i = (int)axis; i < x->rank; i++)
        n *= (size_t)x->dims[i];
    if (ax_tensor_count(c->in[1]) != n ||
        (ax_call_has(c, 2) && ax_tensor_count(c->in[2]) != n))
        return AX_NO;
    AX_TRY(ax_call_out(c, 0, AX_F32, x->rank, x->dims, err));
    rows = ax_tensor_count(x) / n;
    for (size_t r = 0; r < rows; r++) {
        const float *from = (const float *)x->data + r * n;
        float mean = sum_of(from, n) / (float)n;
        float by = 1 / sqrtf(squares_of(from, n, mean) / (float)n + epsilon);

        normalise((float *)c->out[0]->data + r * n, from, c->in[1]->data,
                  ax_call_has(c, 2) ? c->in[2]->data : NULL, n, mean, by);
    }
    return AX_OK;
}

/* -- Transpose -------------------------------------------------------------
 */

/* Elements of four bytes, the last two dimensions of the result by their
 * distances in the input. */
CPU_CLONES
static void turn(uint32_t *restrict y, const uint32_t *restrict x,
                 int64_t rows, int64_t columns, int64_t down, int64_t across)
{
    if (across == 1)
        for (int64_t i = 0; i < rows; i++)
            memcpy(y + i * columns, x + i * down,
                   (size_t)columns * sizeof *y);
    else
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < columns; j++)
                y[i * columns + j] = x[i * down + j * across];
}

static ax_status transpose(struct ax_call *c, struct ax_err *err)
{
    const struct ax_attr *perm = ax_node_attr(c->node, "perm");
    int64_t dims[AX_RANK_MAX], step[AX_RANK_MAX], own[AX_RANK_MAX];
    int64_t at[AX_RANK_MAX] = {0}, from = 0, planes = 1, last = -1;
    const struct ax_tensor *x = c->in[0];
    uint32_t seen = 0, *y;
    bool moves = false;
    int rank = x->rank;

    if (rank < 2 || ax_dtype_size(x->dtype) != 4 || ax_tensor_count(x) == 0 ||
        (perm && (perm->kind != AX_ATTR_INTS || perm->n != (size_t)rank)))
        return AX_NO;
    own[rank - 1] = 1;
    for (int i = rank - 1; i > 0; i--)
        own[i - 1] = own[i] * x->dims[i];
    for (int i = 0; i < rank; i++) {
        int64_t of = perm ? perm->ints[i] : rank - 1 - i;

        of = of < 0 ? of + rank : of;
        if (of < 0 || of >= rank || (seen >> of & 1))
            return AX_NO;
        seen |= 1u << of;
        dims[i] = x->dims[of];
        step[i] = own[of];
        planes *= i < rank - 2 ? dims[i] : 1;
        moves = moves || (dims[i] != 1 && of < last);
        last = dims[i] != 1 ? of : last;
    }
    if (!moves) /* only dimensions of one element do */
        return ax_call_view(c, 0, 0, rank, dims, err);
    AX_TRY(ax_call_out(c, 0, x->dtype, rank, dims, err));
    y = c->out[0]->data;
    for (int64_t p = 0; p < planes; p++) {
        turn(y, (const uint32_t *)x->data + from, dims[rank - 2],
             dims[rank - 1], step[rank - 2], step[rank - 1]);
        y += dims[rank - 2] * dims[rank - 1];
        for (int i = rank - 3; i >= 0; i--) {
            from += step[i];
            if (++at[i] < dims[i])
                break;
            from -= step[i] * dims[i];
            at[i] = 0;
        }
    }
    return AX_OK;
}

/* -- Pad --------------------------------------------------------------------
 */

/* Nothing at all is padded, as some exporters write it. */
static ax_status pad(struct ax_call *c, struct ax_err *err)
{
    const struct ax_attr *a = ax_node_attr(c->node, "pads");
    const int64_t *pads;
    size_t n;

    if (ax_call_has(c, 1) && c->in[1]->dtype == AX_I64) {
        pads = c->in[1]->data;
        n = ax_tensor_count(c->in[1]);
    } else if (a && a->kind == AX_ATTR_INTS) {
        pads = a->ints;
        n = a->n;
    } else {
        return AX_NO;
    }
    if (ax_call_has(c, 3) || n != 2 * (size_t)c->in[0]->rank)
        return AX_NO;
    for (size_t i = 0; i < n; i++)
        if (pads[i] != 0)
            return AX_NO;
    return ax_call_view(c, 0, 0, c->in[0]->rank, c->in[0]->dims, err);
}

const struct ax_kernel cpu_rows[] = {
    {"LayerNormalization", layer_norm, NULL, NULL},
    {"Pad", pad, NULL, NULL},
    {"ReduceMax", reduce_max, NULL, NULL},
    {"ReduceMean", reduce, NULL, "m"},
    {"ReduceSum", reduce, NULL, "s"},
    {"Transpose", transpose, NULL, NULL},
    {0},
};
