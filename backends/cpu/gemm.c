/* Products of float32 matrices: a row times a matrix by own loops, which
 * memory limits anyway; all else that is large by oneDNN. */
#include "cpu.h"

#include <string.h>

/* y [m, n] = a [m, k] b, where b is [k, n], or [n, k] if it is transposed.
 */
struct product {
    int64_t m, n, k;
    bool ta, tb;
};

/* y [n] += x [k] b, b [k, n]. Four rows at a time, so that y is read and
 * written a quarter as often. */
CPU_CLONES
static void rows_gemv(float *restrict y, const float *restrict x,
                      const float *restrict b, int64_t n, int64_t k)
{
    int64_t i = 0;

    for (; i + 4 <= k; i += 4) {
        const float *restrict r0 = b + i * n, *restrict r1 = r0 + n,
                              *restrict r2 = r1 + n, *restrict r3 = r2 + n;
        float x0 = x[i], x1 = x[i + 1], x2 = x[i + 2], x3 = x[i + 3];

        for (int64_t j = 0; j < n; j++)
            y[j] += x0 * r0[j] + x1 * r1[j] + x2 * r2[j] + x3 * r3[j];
    }
    for (; i < k; i++)
        for (int64_t j = 0; j < n; j++)
            y[j] += x[i] * b[i * n + j];
}

#define LANES 16

/* y [n] += b x, b [n, k]: dot products in lanes. */
CPU_CLONES
static void dot_gemv(float *restrict y, const float *restrict x,
                     const float *restrict b, int64_t n, int64_t k)
{
    for (int64_t j = 0; j < n; j++, b += k) {
        float lane[LANES] = {0}, sum = 0;
        int64_t i = 0;

        for (; i + LANES <= k; i += LANES)
            for (int l = 0; l < LANES; l++)
                lane[l] += b[i + l] * x[i + l];
        for (; i < k; i++)
            sum += b[i] * x[i];
        for (int l = 0; l < LANES; l++)
            sum += lane[l];
        y[j] += sum;
    }
}

/* Is it worth loading oneDNN? */
static bool large(const struct product *p)
{
    return p->m > 1 &&
           (double)p->m * (double)p->n * (double)p->k >= (double)CPU_SMALL;
}

/* The cases that are taken here. */
static bool takes(const struct product *p, struct cpu *cpu)
{
    if (p->ta || p->n < 1 || p->k < 1)
        return false;
    return !large(p) || dnnl_load(&cpu->dnnl, cpu->threads);
}

static ax_status product(float *y, const float *a, const float *b,
                         const struct product *p, const struct cpu *cpu,
                         struct ax_err *err)
{
    if (large(p)) {
        if (cpu->dnnl.dnnl_sgemm('N', p->tb ? 'T' : 'N', p->m, p->n, p->k, 1,
                                 a, p->k, b, p->tb ? p->k : p->n, 0, y,
                                 p->n) != dnnl_success)
            return ax_fail(err, AX_EUNAVAILABLE,
                           "oneDNN does not multiply these matrices");
        return AX_OK;
    }
    memset(y, 0, (size_t)(p->m * p->n) * sizeof *y);
    for (int64_t i = 0; i < p->m; i++)
        if (p->tb)
            dot_gemv(y + i * p->n, a + i * p->k, b, p->n, p->k);
        else
            rows_gemv(y + i * p->n, a + i * p->k, b, p->n, p->k);
    return AX_OK;
}

/* -- Gemm ---------------------------------------------------------------- */

/* y = alpha y + beta c, c by strides. */
CPU_CLONES
static void finish_row(float *restrict y, const float *restrict c, int64_t n,
                       int64_t step, float alpha, float beta)
{
    if (!c)
        for (int64_t j = 0; j < n; j++)
            y[j] *= alpha;
    else if (step == 1)
        for (int64_t j = 0; j < n; j++)
            y[j] = alpha * y[j] + beta * c[j];
    else
        for (int64_t j = 0; j < n; j++)
            y[j] = alpha * y[j] + beta * c[0];
}

/* Strides of the addend; false if it does not broadcast to [m, n]. */
static bool addend(int64_t *row, int64_t *step, const struct ax_tensor *c,
                   const struct product *p)
{
    int64_t rows = c->rank > 1 ? c->dims[0] : 1;
    int64_t columns = c->rank > 0 ? c->dims[c->rank - 1] : 1;

    *row = rows == 1 ? 0 : columns;
    *step = columns == 1 ? 0 : 1;
    return c->rank <= 2 && (rows == 1 || rows == p->m) &&
           (columns == 1 || columns == p->n);
}

static ax_status gemm(struct ax_call *c, struct ax_err *err)
{
    float alpha = ax_node_float(c->node, "alpha", 1.0f);
    float beta = ax_node_float(c->node, "beta", 1.0f);
    const float *add = NULL;
    int64_t row = 0, step = 0;
    struct product p;
    float *y;

    if (!cpu_f32(c, 0) || !cpu_f32(c, 1) || c->in[0]->rank != 2 ||
        c->in[1]->rank != 2 || (ax_call_has(c, 2) && !cpu_f32(c, 2)))
        return AX_NO;
    p.ta = ax_node_int(c->node, "transA", 0) != 0;
    p.tb = ax_node_int(c->node, "transB", 0) != 0;
    p.m = c->in[0]->dims[p.ta];
    p.k = c->in[0]->dims[!p.ta];
    p.n = c->in[1]->dims[!p.tb];
    if (c->in[1]->dims[p.tb] != p.k ||
        (ax_call_has(c, 2) && !addend(&row, &step, c->in[2], &p)) ||
        !takes(&p, c->backend))
        return AX_NO;
    if (ax_call_has(c, 2))
        add = c->in[2]->data;
    AX_TRY(ax_call_out(c, 0, AX_F32, 2, (int64_t[]){p.m, p.n}, err));
    y = c->out[0]->data;
    AX_TRY(product(y, c->in[0]->data, c->in[1]->data, &p, c->backend, err));
    for (int64_t i = 0; i < p.m && (add || alpha != 1); i++)
        finish_row(y + i * p.n, add ? add + i * row : NULL, p.n, step, alpha,
                   beta);
    return AX_OK;
}

/* -- MatMul -------------------------------------------------------------- */

static int64_t count(const int64_t *dims, int n)
{
    int64_t all = 1;

    for (int i = 0; i < n; i++)
        all *= dims[i];
    return all;
}

/* Leading dimensions are equal, or b has none: then the rows of all of a are
 * the rows of one product. */
static ax_status matmul(struct ax_call *c, struct ax_err *err)
{
    const struct ax_tensor *a, *b;
    int64_t dims[AX_RANK_MAX], batch = 1;
    struct product p = {0};

    if (!cpu_f32(c, 0) || !cpu_f32(c, 1) || c->in[0]->rank < 2 ||
        c->in[1]->rank < 2)
        return AX_NO;
    a = c->in[0];
    b = c->in[1];
    p.k = a->dims[a->rank - 1];
    p.n = b->dims[b->rank - 1];
    memcpy(dims, a->dims, sizeof dims);
    dims[a->rank - 1] = p.n;
    if (b->dims[b->rank - 2] != p.k)
        return AX_NO;
    if (b->rank == 2) {
        p.m = count(a->dims, a->rank - 1);
    } else {
        if (a->rank != b->rank ||
            memcmp(a->dims, b->dims, (size_t)(a->rank - 2) * sizeof *dims))
            return AX_NO;
        batch = count(a->dims, a->rank - 2);
        p.m = a->dims[a->rank - 2];
    }
    if (!takes(&p, c->backend))
        return AX_NO;
    AX_TRY(ax_call_out(c, 0, AX_F32, a->rank, dims, err));
    for (int64_t i = 0; i < batch; i++)
        AX_TRY(product((float *)c->out[0]->data + i * p.m * p.n,
                       (const float *)a->data + i * p.m * p.k,
                       (const float *)b->data + i * p.k * p.n, &p, c->backend,
                       err));
    return AX_OK;
}

const struct ax_kernel cpu_gemm[] = {
    {"Gemm", gemm, NULL, NULL},
    {"MatMul", matmul, NULL, NULL},
    {0},
};
