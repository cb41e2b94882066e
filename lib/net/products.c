/* Matrix products with a constant: MatMul and Gemm. */
#include <math.h>

#include "lowering.h"

/* Element (i, k) of the left factor is at left + i left_i + k left_k, and so
 * on; a is left, b is right, and one of the two is the constant. */
struct product {
    size_t m, n, k;
    size_t left_i, left_k, right_k, right_j;
    const struct array *a, *b;
    double alpha;
    /* Columns of a constant right factor, read BLOCK at a time. */
    double *block; /* [BLOCK, k] */
    size_t block_at;
};

#define BLOCK ((size_t)16)

/* Column j of the right factor, which begins at AT. */
static const double *read_column(struct product *p, size_t at, size_t j)
{
    size_t from = at + (j - j % BLOCK) * p->right_j;
    size_t width = p->n - (j - j % BLOCK);

    width = width < BLOCK ? width : BLOCK;
    if (p->block_at != from)
        for (size_t k = 0; k < p->k; k++)
            for (size_t c = 0; c < width; c++)
                p->block[c * p->k + k] = array_value(
                    p->b, from + k * p->right_k + c * p->right_j);
    p->block_at = from;
    return p->block + j % BLOCK * p->k;
}

/* Times alpha. */
static ax_status factor(struct lowering *l, const struct product *p,
                        double *w)
{
    struct ax_dyadic a, b;

    if (p->alpha == 1)
        return AX_OK;
    if (!dyadic_from(&a, *w) || !dyadic_from(&b, p->alpha) ||
        !dyadic_mul(&a, a, b) || dyadic_bits(a.m) > 53)
        return net_refuse(l, "a weight times alpha is not exact, or out of "
                             "the range of a certificate");
    *w = ldexp((double)a.m, a.e);
    return AX_OK;
}

/* Element (i, j) of the product of the matrices at LEFT and RIGHT. */
static ax_status product_terms(struct lowering *l, struct product *p,
                               size_t left, size_t right, size_t i, size_t j)
{
    const double *column = NULL;

    if (array_constant(p->b))
        column = read_column(p, right, j);
    left += i * p->left_i;
    right += j * p->right_j;
    for (size_t k = 0; k < p->k; k++) {
        size_t x = left + k * p->left_k, y = right + k * p->right_k;
        double w = column ? column[k] : array_value(p->a, x);

        AX_TRY(factor(l, p, &w));
        AX_TRY(net_term(l, column ? p->a : p->b, column ? x : y, w));
    }
    return AX_OK;
}

static ax_status begin_product(struct lowering *l, struct product *p,
                               const struct array *out)
{
    if (!array_constant(p->a) && !array_constant(p->b))
        return net_refuse(l, "both factors depend on the input");
    p->block_at = SIZE_MAX;
    p->block = net_alloc(l, BLOCK * p->k, sizeof *p->block);
    if (!p->block)
        return net_no_memory(l);
    return net_begin(l, AX_NET_WEIGHTED, out, false);
}

/* Where matrix number BATCH of a lies; the leading rank - 2 dimensions of
 * the output are dims. */
static size_t batch_offset(const struct array *a, int rank,
                           const int64_t *dims, size_t batch)
{
    size_t offset = 0, stride;

    stride = (size_t)(a->dims[a->rank - 1] * a->dims[a->rank - 2]);
    for (int i = rank - 3; i >= 0; i--) {
        int own = i - (rank - a->rank);
        size_t pos = batch % (size_t)dims[i];

        batch /= (size_t)dims[i];
        if (own < 0)
            continue;
        if (a->dims[own] != 1)
            offset += pos * stride;
        stride *= (size_t)a->dims[own];
    }
    return offset;
}

/* Both factors vary: all products of elements, then sums of k of them. */
static ax_status sums_of_products(struct lowering *l, struct array *out,
                                  const struct product *p)
{
    struct array left, right, all;
    int64_t n = (int64_t)(out->n * p->k);
    size_t at = 0;

    AX_TRY(net_shape(l, &left, 1, &n));
    AX_TRY(net_shape(l, &right, 1, &n));
    left.var = net_alloc(l, left.n, sizeof *left.var);
    right.var = net_alloc(l, left.n, sizeof *right.var);
    if (!left.var || !right.var)
        return net_no_memory(l);
    for (size_t o = 0; o < out->n; o++) {
        size_t batch = o / p->n / p->m;
        size_t a = batch_offset(p->a, out->rank, out->dims, batch) +
                   o / p->n % p->m * p->left_i;
        size_t b = batch_offset(p->b, out->rank, out->dims, batch) +
                   o % p->n * p->right_j;

        for (size_t k = 0; k < p->k; k++, at++) {
            left.var[at] = array_var(p->a, a + k * p->left_k);
            right.var[at] = array_var(p->b, b + k * p->right_k);
            if (left.var[at] == NO_VARIABLE || right.var[at] == NO_VARIABLE)
                return net_refuse(l, "a factor is constant in part");
        }
    }
    AX_TRY(net_times(l, &all, &left, &right));
    AX_TRY(net_begin(l, AX_NET_UNIT, out, false));
    for (size_t i = 0; i < all.n; i++) {
        AX_TRY(net_term(l, &all, i, 1));
        if ((i + 1) % p->k == 0)
            net_row(l);
    }
    return net_end(l, out);
}

/* A vector as a matrix of one row or column. */
static ax_status as_matrix(struct lowering *l, struct array *out,
                           const struct array *in, bool column)
{
    int64_t dims[2] = {1, 1};

    *out = *in;
    if (!in->rank)
        return net_refuse(l, "a factor is a scalar");
    dims[!column] = in->dims[0];
    return in->rank > 1 ? AX_OK : net_reshaped(l, out, in, 2, dims);
}

/* The shape of the product of a and b, and sizes. */
static ax_status matmul_shape(struct lowering *l, struct product *p,
                              struct array *out)
{
    const struct array *a = p->a, *b = p->b;
    int rank = a->rank > b->rank ? a->rank : b->rank;
    int64_t dims[AX_RANK_MAX];

    p->m = (size_t)a->dims[a->rank - 2];
    p->k = p->left_i = (size_t)a->dims[a->rank - 1];
    p->n = p->right_k = (size_t)b->dims[b->rank - 1];
    p->left_k = p->right_j = 1;
    if (b->dims[b->rank - 2] != (int64_t)p->k)
        return net_refuse(l, "%zu columns meet %lld rows", p->k,
                          (long long)b->dims[b->rank - 2]);
    for (int i = 0; i < rank - 2; i++) {
        int64_t x = i < rank - a->rank ? 1 : a->dims[i - (rank - a->rank)];
        int64_t y = i < rank - b->rank ? 1 : b->dims[i - (rank - b->rank)];

        if (x != y && x != 1 && y != 1)
            return net_refuse(l, "shapes do not broadcast");
        dims[i] = x == 1 ? y : x;
    }
    dims[rank - 2] = (int64_t)p->m;
    dims[rank - 1] = (int64_t)p->n;
    return net_shape(l, out, rank, dims);
}

/* out is the product of matrices less what was added to vectors. */
static ax_status finish_matmul(struct lowering *l, struct array *out,
                               struct array *whole, bool row, bool column,
                               ax_status st)
{
    int rank = whole->rank;

    AX_TRY(st);
    if (column)
        whole->dims[rank - 1] = whole->dims[rank - 2];
    if (row)
        whole->dims[rank - 2] = whole->dims[rank - 1];
    return net_reshaped(l, out, whole, rank - row - column, whole->dims);
}

ax_status net_matmul(struct lowering *l, struct array *out)
{
    struct array a, b, whole;
    struct product p = {.a = &a, .b = &b, .alpha = 1};
    bool row = net_input(l, 0)->rank == 1,
         column = net_input(l, 1)->rank == 1;

    AX_TRY(as_matrix(l, &a, net_input(l, 0), false));
    AX_TRY(as_matrix(l, &b, net_input(l, 1), true));
    AX_TRY(matmul_shape(l, &p, &whole));
    if (!array_constant(&a) && !array_constant(&b))
        return finish_matmul(l, out, &whole, row, column,
                             sums_of_products(l, &whole, &p));
    AX_TRY(begin_product(l, &p, &whole));
    for (size_t o = 0; o < whole.n; o++) {
        size_t batch = o / p.n / p.m;
        size_t left = batch_offset(&a, whole.rank, whole.dims, batch);
        size_t right = batch_offset(&b, whole.rank, whole.dims, batch);

        AX_TRY(product_terms(l, &p, left, right, o / p.n % p.m, o % p.n));
        net_row(l);
    }
    return finish_matmul(l, out, &whole, row, column, net_end(l, &whole));
}

ax_status net_gemm(struct lowering *l, struct array *out)
{
    const struct array *a = net_input(l, 0), *b = net_input(l, 1);
    const struct array *c = net_input(l, 2);
    struct product p = {
        .a = a, .b = b, .alpha = (double)ax_node_float(l->node, "alpha", 1)};
    double beta = (double)ax_node_float(l->node, "beta", 1);
    bool ta = ax_node_int(l->node, "transA", 0) != 0;
    bool tb = ax_node_int(l->node, "transB", 0) != 0;
    struct array bias;
    int64_t dims[2];

    if (p.alpha != 1 || beta != 1)
        net_only_real(l, "alpha or beta is not 1");
    if (a->rank != 2 || b->rank != 2 || a->dims[!ta] != b->dims[tb])
        return net_refuse(l, "matrices do not fit");
    if (c && !array_constant(c))
        return net_refuse(l, "what it adds depends on the input");
    p.m = (size_t)(dims[0] = a->dims[ta]);
    p.n = (size_t)(dims[1] = b->dims[!tb]);
    p.k = (size_t)a->dims[!ta];
    p.left_i = ta ? 1 : p.k;
    p.left_k = ta ? p.m : 1;
    p.right_k = tb ? 1 : p.n;
    p.right_j = tb ? p.k : 1;
    AX_TRY(net_shape(l, out, 2, dims));
    if (c)
        AX_TRY(net_broadcast(l, &bias, c, 2, dims));
    AX_TRY(begin_product(l, &p, out));
    for (size_t o = 0; o < out->n; o++) {
        AX_TRY(product_terms(l, &p, 0, 0, o / p.n, o % p.n));
        if (c)
            AX_TRY(net_bias(l, array_value(&bias, o), beta));
        net_row(l);
    }
    return net_end(l, out);
}
