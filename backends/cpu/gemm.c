/* Products of float32 matrices, by tiles over the second operand in panels,
 * which are made once if it is constant; by oneDNN where there are threads.
 */
#include "cpu.h"

#include <stdlib.h>
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

#define LANES       16
#define CHUNK_BYTES ((int64_t)393216)

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

/* What a node keeps: its second operand in panels, if that is constant. */
struct packed {
    float *b;
};

static void drop(void *state)
{
    struct packed *s = state;

    free(s->b);
    free(s);
}

static int64_t panels(int64_t n)
{
    return (n + TILE_N - 1) / TILE_N;
}

/* Threads are oneDNN's: with one there are the own loops, which are not
 * slower, and need no library. */
static bool by_dnnl(const struct product *p, struct cpu *cpu)
{
    return cpu->threads > 1 && !cpu->deterministic && p->m > 1 &&
           (double)p->m * (double)p->n * (double)p->k >= (double)CPU_LARGE &&
           dnnl_load(&cpu->dnnl, cpu->threads);
}

/* Is the second operand worth packing for this product alone? */
static bool worth_packing(const struct product *p, const struct cpu *cpu)
{
    return cpu->deterministic || p->m >= 4;
}

/* One node's products, which share their memory. */
struct job {
    struct ax_call *c;
    struct product p;
    bool keep;            /* b is the same tensor in every run */
    void *rows, *scratch; /* of a and b, packed; NULL: not yet */
};

/* The panels of b: kept, or scratch; NULL: as it is. */
static ax_status panels_of(float **out, struct job *job, const float *b,
                           struct ax_err *err)
{
    struct ax_call *c = job->c;
    const struct product *p = &job->p;
    size_t size = (size_t)panels(p->n) * (size_t)p->k * TILE_N * sizeof *b;
    struct packed *s = *c->state;

    *out = NULL;
    if (!job->keep) {
        if (!worth_packing(p, c->backend))
            return AX_OK;
        if (!job->scratch)
            AX_TRY(ax_call_scratch(c, &job->scratch, size, err));
        *out = job->scratch;
        tile_pack(*out, b, p->tb ? p->k : p->n, p->n, p->k, p->tb);
        return AX_OK;
    }
    if (!s)
        *c->state = s = calloc(1, sizeof *s);
    if (!s)
        return ax_fail(err, AX_ENOMEM, "no memory for a weight");
    if (!s->b) {
        s->b = aligned_alloc(64, size);
        if (!s->b)
            return ax_fail(err, AX_ENOMEM, "no memory for a weight");
        tile_pack(s->b, b, p->tb ? p->k : p->n, p->n, p->k, p->tb);
    }
    *out = s->b;
    return AX_OK;
}

static void copy_tile(float *y, int64_t ldy, const float *t, int m, int64_t n)
{
    for (int r = 0; r < m; r++)
        memcpy(y + r * ldy, t + r * TILE_N, (size_t)n * sizeof *y);
}

static int64_t width(const struct product *p, int64_t at)
{
    return p->n - at < TILE_N ? p->n - at : TILE_N;
}

/* One row, four panels at a time. */
static void one_row(float *y, const float *a, const float *b,
                    const struct product *p, const struct tile *f)
{
    float t[4 * TILE_N];
    int64_t at = 0, step = p->k * TILE_N;

    for (; at + 4 * TILE_N <= p->n; at += 4 * TILE_N, b += 4 * step) {
        f->row(t, a, b, p->k);
        memcpy(y + at, t, sizeof t);
    }
    for (; at < p->n; at += TILE_N, b += step) {
        f->block(t, a, b, NULL, p->k, 1);
        copy_tile(y + at, p->n, t, 1, width(p, at));
    }
}

/* Rows that are packed at once: they stay in a cache while all panels
 * pass. */
static int64_t chunk_of(int64_t m, int64_t k)
{
    int64_t n = CHUNK_BYTES / (k * TILE_M * (int64_t)sizeof(float));

    n = TILE_M * (n < 1 ? 1 : n);
    return m < n ? (m + TILE_M - 1) / TILE_M * TILE_M : n;
}

static int rows_of(int64_t m, int64_t blocks, int64_t i)
{
    return (int)((i + 1) * m / blocks - i * m / blocks);
}

/* m rows of a with all panels. */
static void chunk(float *y, const float *a, const float *b,
                  const struct product *p, const struct tile *f, int64_t m,
                  float *room)
{
    int64_t blocks = (m + TILE_M - 1) / TILE_M, k = p->k;
    float t[TILE_M * TILE_N], *to = room;

    for (int64_t i = 0; i < blocks; i++) {
        int some = rows_of(m, blocks, i);

        tile_pack_rows(to, a, k, k, some);
        a += some * k;
        to += some * k;
    }
    for (int64_t at = 0; at < p->n; at += TILE_N, b += k * TILE_N) {
        const float *from = room;
        float *out = y + at;

        for (int64_t i = 0; i < blocks; i++) {
            int some = rows_of(m, blocks, i);

            f->block(t, from, b, NULL, k, some);
            copy_tile(out, p->n, t, some, width(p, at));
            from += some * k;
            out += some * p->n;
        }
    }
}

int64_t cpu_product_room(int64_t m, int64_t k)
{
    return m == 1 ? 1 : chunk_of(m, k) * k;
}

void cpu_product(float *y, const float *a, const float *panels, int64_t m,
                 int64_t n, int64_t k, const struct tile *f, float *room)
{
    const struct product p = {.m = m, .n = n, .k = k};
    int64_t step = chunk_of(m, k);

    if (m == 1) {
        one_row(y, a, panels, &p, f);
        return;
    }
    for (int64_t at = 0; at < m; at += step)
        chunk(y + at * n, a + at * k, panels, &p, f,
              m - at < step ? m - at : step, room);
}

/* With b in panels. */
static ax_status own_product(float *y, const float *a, const float *b,
                             struct job *job, struct ax_err *err)
{
    const struct cpu *cpu = job->c->backend;
    const struct product *p = &job->p;

    if (!job->rows)
        AX_TRY(ax_call_scratch(
            job->c, &job->rows,
            (size_t)cpu_product_room(p->m, p->k) * sizeof(float), err));
    cpu_product(y, a, b, p->m, p->n, p->k, &cpu->tile, job->rows);
    return AX_OK;
}

static ax_status product(float *y, const float *a, const float *b,
                         struct job *job, struct ax_err *err)
{
    struct cpu *cpu = job->c->backend;
    const struct product *p = &job->p;
    float *packed;

    if (by_dnnl(p, cpu)) {
        if (cpu->dnnl.dnnl_sgemm('N', p->tb ? 'T' : 'N', p->m, p->n, p->k, 1,
                                 a, p->k, b, p->tb ? p->k : p->n, 0, y,
                                 p->n) != dnnl_success)
            return ax_fail(err, AX_EUNAVAILABLE,
                           "oneDNN does not multiply these matrices");
        return AX_OK;
    }
    AX_TRY(panels_of(&packed, job, b, err));
    if (packed)
        return own_product(y, a, packed, job, err);
    memset(y, 0, (size_t)(p->m * p->n) * sizeof *y);
    for (int64_t i = 0; i < p->m; i++)
        if (p->tb)
            dot_gemv(y + i * p->n, a + i * p->k, b, p->n, p->k);
        else
            rows_gemv(y + i * p->n, a + i * p->k, b, p->n, p->k);
    return AX_OK;
}

/* -- Gemm ---------------------------------------------------------------- */

/* How a row ends: y = alpha y + beta c, c by strides, at least floor. */
struct finish {
    float alpha, beta, floor;
    int64_t row, step; /* of c, from row to row and number to number */
};

CPU_CLONES
static void finish_row(float *restrict y, const float *restrict c, int64_t n,
                       const struct finish *f)
{
    float alpha = f->alpha, beta = f->beta, floor = f->floor;

    if (!c)
        for (int64_t j = 0; j < n; j++) {
            float v = alpha * y[j];

            y[j] = v < floor ? floor : v;
        }
    else if (f->step == 1)
        for (int64_t j = 0; j < n; j++) {
            float v = alpha * y[j] + beta * c[j];

            y[j] = v < floor ? floor : v;
        }
    else
        for (int64_t j = 0; j < n; j++) {
            float v = alpha * y[j] + beta * c[0];

            y[j] = v < floor ? floor : v;
        }
}

/* Strides of the addend; false if it does not broadcast to [m, n]. */
static bool addend(struct finish *f, const struct ax_tensor *c,
                   const struct product *p)
{
    int64_t rows = c->rank > 1 ? c->dims[0] : 1;
    int64_t columns = c->rank > 0 ? c->dims[c->rank - 1] : 1;

    f->row = rows == 1 ? 0 : columns;
    f->step = columns == 1 ? 0 : 1;
    return c->rank <= 2 && (rows == 1 || rows == p->m) &&
           (columns == 1 || columns == p->n);
}

static ax_status gemm(struct ax_call *c, struct ax_err *err)
{
    struct finish f = {.alpha = ax_node_float(c->node, "alpha", 1.0f),
                       .beta = ax_node_float(c->node, "beta", 1.0f)};
    const float *add = NULL;
    struct product p;
    struct job job;
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
        (ax_call_has(c, 2) && !addend(&f, c->in[2], &p)) || p.ta || p.n < 1 ||
        p.k < 1)
        return AX_NO;
    if (ax_call_has(c, 2))
        add = c->in[2]->data;
    f.floor = cpu_floor(c);
    AX_TRY(ax_call_out(c, 0, AX_F32, 2, (int64_t[]){p.m, p.n}, err));
    y = c->out[0]->data;
    job = (struct job){.c = c, .p = p, .keep = c->constant & 2};
    AX_TRY(product(y, c->in[0]->data, c->in[1]->data, &job, err));
    for (int64_t i = 0; i < p.m && (add || f.alpha != 1 || f.floor == 0); i++)
        finish_row(y + i * p.n, add ? add + i * f.row : NULL, p.n, &f);
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
    struct job job;

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
    if (p.n < 1 || p.k < 1)
        return AX_NO;
    AX_TRY(ax_call_out(c, 0, AX_F32, a->rank, dims, err));
    job = (struct job){
        .c = c, .p = p, .keep = (c->constant & 2) && batch == 1};
    for (int64_t i = 0; i < batch; i++)
        AX_TRY(product((float *)c->out[0]->data + i * p.m * p.n,
                       (const float *)a->data + i * p.m * p.k,
                       (const float *)b->data + i * p.k * p.n, &job, err));
    return AX_OK;
}

const struct ax_kernel cpu_gemm[] = {
    {"Gemm", gemm, drop, NULL},
    {"MatMul", matmul, drop, NULL},
    {0},
};
