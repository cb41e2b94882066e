/* Products of matrices: MatMul, Gemm, MatMulInteger, Einsum's common cases
 * are the importer's. Each element of a result is summed from the first term
 * to the last. */
#include "ref.h"

#include <string.h>

/* One loop for each type that is summed in its own type: y [m, n] += a b,
 * a(i, k) and b(k, j) by strides. */
#define PRODUCT(name, type)                                            \
    static void name(type *y, const type *a, const type *b, int64_t m, \
                     int64_t n, int64_t k, int64_t as0, int64_t as1,   \
                     int64_t bs0, int64_t bs1)                         \
    {                                                                  \
        for (int64_t i = 0; i < m; i++, y += n)                        \
            for (int64_t l = 0; l < k; l++) {                          \
                type x = a[i * as0 + l * as1];                         \
                const type *row = b + l * bs0;                         \
                for (int64_t j = 0; j < n; j++)                        \
                    y[j] += x * row[j * bs1];                          \
            }                                                          \
    }

PRODUCT(product_f32, float)
PRODUCT(product_f64, double)
PRODUCT(product_u64, uint64_t)

/* -- MatMul -------------------------------------------------------------- */

/* What numpy.matmul makes of two shapes. */
struct matmul {
    int64_t m, n, k;
    int rank;                  /* of the result */
    int64_t dims[AX_RANK_MAX]; /* of the result */
    int batch_rank;
    int64_t batch[AX_RANK_MAX];     /* leading dimensions, broadcast */
    int64_t stride[2][AX_RANK_MAX]; /* of them, in matrices */
};

static void batch_strides(struct matmul *s, int which,
                          const struct ax_tensor *t)
{
    int64_t n = 1;

    for (int i = 0; i < s->batch_rank; i++) {
        int at = t->rank - 3 - i, to = s->batch_rank - 1 - i;
        int64_t d = at < 0 ? 1 : t->dims[at];

        s->stride[which][to] = d == 1 ? 0 : n;
        n *= d;
    }
}

static ax_status matmul_shape(struct matmul *s, const struct ax_tensor *a,
                              const struct ax_tensor *b, struct ax_err *err)
{
    struct ax_tensor lead[2] = {*a, *b};
    const struct ax_tensor *both[2] = {&lead[0], &lead[1]};
    int64_t kb;

    if (a->rank < 1 || b->rank < 1)
        return ax_fail(err, AX_ESHAPE, "an operand has no dimensions");
    s->m = a->rank > 1 ? a->dims[a->rank - 2] : 1;
    s->k = a->dims[a->rank - 1];
    kb = b->dims[b->rank > 1 ? b->rank - 2 : 0];
    s->n = b->rank > 1 ? b->dims[b->rank - 1] : 1;
    if (s->k != kb)
        return ax_fail(err, AX_ESHAPE,
                       "the first operand has %lld columns, the second %lld "
                       "rows",
                       (long long)s->k, (long long)kb);
    for (int i = 0; i < 2; i++)
        lead[i].rank = lead[i].rank > 2 ? lead[i].rank - 2 : 0;
    AX_TRY(ax_shape_broadcast(&s->batch_rank, s->batch, both, 2, err));
    batch_strides(s, 0, a);
    batch_strides(s, 1, b);
    s->rank = s->batch_rank;
    memcpy(s->dims, s->batch, sizeof s->dims);
    if (a->rank > 1)
        s->dims[s->rank++] = s->m;
    if (b->rank > 1)
        s->dims[s->rank++] = s->n;
    return AX_OK;
}

/* Offsets, in matrices, of operands of batch number I. */
static void batch_at(const struct matmul *s, int64_t i, int64_t at[2])
{
    at[0] = at[1] = 0;
    for (int d = s->batch_rank - 1; d >= 0; d--) {
        int64_t x = i % s->batch[d];

        i /= s->batch[d];
        at[0] += x * s->stride[0][d];
        at[1] += x * s->stride[1][d];
    }
}

#define MATMUL(name, type, product)                                     \
    static void name(type *y, const type *a, const type *b,             \
                     const struct matmul *s)                            \
    {                                                                   \
        int64_t n = ref_product(s->batch, 0, s->batch_rank);            \
        memset(y, 0, (size_t)(n * s->m * s->n) * sizeof *y);            \
        for (int64_t i = 0; i < n; i++) {                               \
            int64_t at[2];                                              \
            batch_at(s, i, at);                                         \
            product(y + i * s->m * s->n, a + at[0] * s->m * s->k,       \
                    b + at[1] * s->k * s->n, s->m, s->n, s->k, s->k, 1, \
                    s->n, 1);                                           \
        }                                                               \
    }

MATMUL(matmul_f32, float, product_f32)
MATMUL(matmul_f64, double, product_f64)
MATMUL(matmul_u64, uint64_t, product_u64)

/* Input I in 64-bit integers, less a zero point. */
static ax_status integers(uint64_t **out, struct ax_call *c, uint32_t i,
                          struct ax_err *err)
{
    const struct ax_tensor *t = c->in[i];
    size_t n = ax_tensor_count(t);
    void *p;

    AX_TRY(ax_call_scratch(c, &p, n * sizeof(uint64_t), err));
    ax_get_i64(p, t->dtype, t->data, 0, n);
    *out = p;
    return AX_OK;
}

static ax_status matmul_integers(struct ax_call *c, const struct matmul *s,
                                 struct ax_err *err)
{
    size_t n = ax_tensor_count(c->out[0]);
    uint64_t *a, *b;
    void *y;

    AX_TRY(integers(&a, c, 0, err));
    AX_TRY(integers(&b, c, 1, err));
    AX_TRY(ax_call_scratch(c, &y, n * sizeof(uint64_t), err));
    matmul_u64(y, a, b, s);
    ax_put_i64(c->out[0]->dtype, c->out[0]->data, 0, y, n);
    return AX_OK;
}

static ax_status matmul(struct ax_call *c, struct ax_err *err)
{
    const float *a, *b;
    struct matmul s;
    float *y;

    AX_TRY(ref_want(c, 0, ALL_DTYPES & ~BIT(AX_BOOL), err));
    AX_TRY(ref_want(c, 1, ALL_DTYPES & ~BIT(AX_BOOL), err));
    AX_TRY(ref_same_dtype(c, 0, 1, err));
    AX_TRY(matmul_shape(&s, c->in[0], c->in[1], err));
    AX_TRY(ax_call_out(c, 0, c->in[0]->dtype, s.rank, s.dims, err));
    if (ax_dtype_class(c->in[0]->dtype) != AX_CLASS_REAL)
        return matmul_integers(c, &s, err);
    if (c->in[0]->dtype == AX_F64) {
        matmul_f64(c->out[0]->data, c->in[0]->data, c->in[1]->data, &s);
        return AX_OK;
    }
    AX_TRY(ref_f32(&a, c, 0, err));
    AX_TRY(ref_f32(&b, c, 1, err));
    AX_TRY(ref_f32_out(&y, c, 0, err));
    matmul_f32(y, a, b, &s);
    ref_f32_done(c, 0, y);
    return AX_OK;
}

/* Subtract a zero point: one number, or one for each row (axis RANK - 2) or
 * column of a matrix. */
static ax_status shift(uint64_t *x, const struct ax_call *c, uint32_t i,
                       uint32_t zero, bool rows, struct ax_err *err)
{
    const struct ax_tensor *t = c->in[i], *z;
    int64_t columns = t->dims[t->rank - 1], wanted;
    size_t n = ax_tensor_count(t);

    if (!ax_call_has(c, zero))
        return AX_OK;
    z = c->in[zero];
    wanted = rows ? (t->rank > 1 ? t->dims[t->rank - 2] : 1) : columns;
    if (ax_tensor_count(z) != 1 && ax_tensor_count(z) != (size_t)wanted)
        return ax_fail(err, AX_ESHAPE,
                       "zero point %u wants 1 or %lld numbers, has %zu", zero,
                       (long long)wanted, ax_tensor_count(z));
    for (size_t k = 0; k < n; k++) {
        size_t of = rows ? k / (size_t)columns % (size_t)wanted
                         : k % (size_t)columns;
        int64_t v;

        ax_get_i64(&v, z->dtype, z->data, ax_tensor_count(z) == 1 ? 0 : of,
                   1);
        x[k] -= (uint64_t)v;
    }
    return AX_OK;
}

ax_status ref_matmul_integers(int64_t **y, struct ax_call *c, uint32_t ia,
                              uint32_t za, uint32_t ib, uint32_t zb,
                              ax_dtype dtype, struct ax_err *err)
{
    uint64_t *a, *b;
    struct matmul s;
    void *p;

    AX_TRY(ref_want(c, ia, BIT(AX_U8) | BIT(AX_I8), err));
    AX_TRY(ref_want(c, ib, BIT(AX_U8) | BIT(AX_I8), err));
    AX_TRY(matmul_shape(&s, c->in[ia], c->in[ib], err));
    AX_TRY(ax_call_out(c, 0, dtype, s.rank, s.dims, err));
    AX_TRY(integers(&a, c, ia, err));
    AX_TRY(integers(&b, c, ib, err));
    AX_TRY(shift(a, c, ia, za, true, err));
    AX_TRY(shift(b, c, ib, zb, false, err));
    AX_TRY(ax_call_scratch(
        c, &p, ax_tensor_count(c->out[0]) * sizeof(uint64_t), err));
    *y = p;
    matmul_u64(p, a, b, &s);
    return AX_OK;
}

static ax_status matmul_integer(struct ax_call *c, struct ax_err *err)
{
    int64_t *y;

    AX_TRY(ref_matmul_integers(&y, c, 0, 2, 1, 3, AX_I32, err));
    ax_put_i64(AX_I32, c->out[0]->data, 0, y, ax_tensor_count(c->out[0]));
    return AX_OK;
}

/* -- Gemm ---------------------------------------------------------------- */

struct gemm {
    int64_t m, n, k;
    int64_t as0, as1, bs0, bs1; /* strides of a(i, k), b(k, j) */
    int64_t cs0, cs1;           /* of the addend; unused without */
};

static ax_status gemm_addend(struct gemm *g, const struct ax_tensor *add,
                             struct ax_err *err)
{
    int64_t rows = add->rank > 1 ? add->dims[0] : 1;
    int64_t columns = add->rank > 0 ? add->dims[add->rank - 1] : 1;

    if (add->rank > 2 || (rows != 1 && rows != g->m) ||
        (columns != 1 && columns != g->n)) {
        char has[160];

        return ax_fail(
            err, AX_ESHAPE, "input 2 must broadcast to [%lld,%lld], is %s",
            (long long)g->m, (long long)g->n,
            ax_shape_text(has, sizeof has, add->dtype, add->rank, add->dims));
    }
    g->cs0 = rows == 1 ? 0 : columns;
    g->cs1 = columns == 1 ? 0 : 1;
    return AX_OK;
}

static ax_status gemm_shape(struct gemm *g, const struct ax_call *c,
                            struct ax_err *err)
{
    const struct ax_tensor *a = c->in[0], *b = c->in[1];
    bool ta = ax_node_int(c->node, "transA", 0) != 0;
    bool tb = ax_node_int(c->node, "transB", 0) != 0;

    g->m = a->dims[ta];
    g->k = a->dims[!ta];
    g->n = b->dims[!tb];
    g->as0 = ta ? 1 : a->dims[1];
    g->as1 = ta ? a->dims[1] : 1;
    g->bs0 = tb ? 1 : b->dims[1];
    g->bs1 = tb ? b->dims[1] : 1;
    if (g->k != b->dims[tb])
        return ax_fail(err, AX_ESHAPE,
                       "the first operand has %lld columns, the second %lld "
                       "rows",
                       (long long)g->k, (long long)b->dims[tb]);
    return ax_call_has(c, 2) ? gemm_addend(g, c->in[2], err) : AX_OK;
}

#define GEMM(name, type, product)                                            \
    static void name(type *y, const type *a, const type *b, const type *add, \
                     type alpha, type beta, const struct gemm *g)            \
    {                                                                        \
        memset(y, 0, (size_t)(g->m * g->n) * sizeof *y);                     \
        product(y, a, b, g->m, g->n, g->k, g->as0, g->as1, g->bs0, g->bs1);  \
        for (int64_t i = 0; i < g->m; i++)                                   \
            for (int64_t j = 0; j < g->n; j++, y++) {                        \
                *y *= alpha;                                                 \
                if (add)                                                     \
                    *y += beta * add[i * g->cs0 + j * g->cs1];               \
            }                                                                \
    }

GEMM(gemm_f32, float, product_f32)
GEMM(gemm_f64, double, product_f64)

static ax_status gemm(struct ax_call *c, struct ax_err *err)
{
    float alpha = ax_node_float(c->node, "alpha", 1.0f);
    float beta = ax_node_float(c->node, "beta", 1.0f);
    const float *a, *b, *add;
    struct gemm g = {0};
    float *y;

    for (uint32_t i = 0; i < 2; i++) {
        AX_TRY(ref_want(c, i, REALS, err));
        AX_TRY(ref_want_rank(c, i, 2, 2, err));
    }
    for (uint32_t i = 1; i < c->node->n_in; i++)
        if (ax_call_has(c, i))
            AX_TRY(ref_same_dtype(c, 0, i, err));
    AX_TRY(gemm_shape(&g, c, err));
    AX_TRY(ax_call_out(c, 0, c->in[0]->dtype, 2, (int64_t[]){g.m, g.n}, err));
    if (c->in[0]->dtype == AX_F64) {
        gemm_f64(c->out[0]->data, c->in[0]->data, c->in[1]->data,
                 ax_call_has(c, 2) ? c->in[2]->data : NULL, (double)alpha,
                 (double)beta, &g);
        return AX_OK;
    }
    AX_TRY(ref_f32(&a, c, 0, err));
    AX_TRY(ref_f32(&b, c, 1, err));
    AX_TRY(ref_f32(&add, c, 2, err));
    AX_TRY(ref_f32_out(&y, c, 0, err));
    gemm_f32(y, a, b, add, alpha, beta, &g);
    ref_f32_done(c, 0, y);
    return AX_OK;
}

const struct ax_kernel ref_matmul[] = {
    {"Gemm", gemm, NULL, NULL},
    {"MatMul", matmul, NULL, NULL},
    {"MatMulInteger", matmul_integer, NULL, NULL},
    {0},
};
