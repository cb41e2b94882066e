/* Weighted nodes whose weights are constants of the model: products. */
#include <stdlib.h>
#include <string.h>

#include "lowering.h"

ax_status net_mul(struct lowering *l, struct array *out)
{
    struct array a, b;

    AX_TRY(net_broadcast_both(l, &a, &b));
    AX_TRY(net_shape(l, out, a.rank, a.dims));
    AX_TRY(net_begin(l, AX_NET_WEIGHTED, out));
    for (size_t i = 0; i < out->n; i++) {
        bool left = array_var(&a, i) == NO_VARIABLE;

        if (!left && array_var(&b, i) != NO_VARIABLE)
            return net_refuse(l, "both factors depend on the input");
        AX_TRY(left ? net_term(l, &b, i, array_value(&a, i))
                    : net_term(l, &a, i, array_value(&b, i)));
        net_row(l);
    }
    return net_end(l, out);
}

ax_status net_div(struct lowering *l, struct array *out)
{
    struct array a, b;

    AX_TRY(net_broadcast_both(l, &a, &b));
    AX_TRY(net_shape(l, out, a.rank, a.dims));
    AX_TRY(net_begin(l, AX_NET_WEIGHTED, out));
    for (size_t i = 0; i < out->n; i++) {
        if (array_var(&b, i) != NO_VARIABLE)
            return net_refuse(l, "the divisor depends on the input");
        AX_TRY(net_divide(l, array_value(&b, i)));
        AX_TRY(net_term(l, &a, i, 1));
        net_row(l);
    }
    return net_end(l, out);
}

/* Matrix products: element (i, k) of the left factor is at left + i left_i
 * + k left_k, and so on. One of the two is the constant. */
struct product {
    size_t m, n, k;
    size_t left_i, left_k, right_k, right_j;
    const size_t *left, *right; /* [batches] */
    const struct array *constant, *free;
    bool constant_left;
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
                    p->constant, from + k * p->right_k + c * p->right_j);
    p->block_at = from;
    return p->block + j % BLOCK * p->k;
}

/* The terms of element o of the product; alpha is what all are times. */
static ax_status product_row(struct lowering *l, struct product *p, size_t o)
{
    size_t batch = o / (p->m * p->n), i = o / p->n % p->m, j = o % p->n;
    size_t left = p->left[batch] + i * p->left_i;
    size_t right = p->right[batch] + j * p->right_j;
    const double *column = NULL;

    if (!p->constant_left)
        column = read_column(p, p->right[batch], j);
    for (size_t k = 0; k < p->k; k++) {
        double c = column ? column[k]
                          : array_value(p->constant, left + k * p->left_k);
        size_t at = column ? left + k * p->left_k : right + k * p->right_k;

        if (c != 0)
            AX_TRY(net_term(l, p->free, at, c * p->alpha));
    }
    return AX_OK;
}

/* c * alpha is exact for every c, or there is no certificate. */
static ax_status check_alpha(struct lowering *l, const struct product *p)
{
    struct ax_dyadic alpha, c;

    if (p->alpha == 1)
        return AX_OK;
    for (size_t i = 0; i < p->constant->n; i++) {
        double v = array_value(p->constant, i);

        if (!dyadic_from(&alpha, p->alpha) || !dyadic_from(&c, v) ||
            !dyadic_mul(&c, c, alpha) || dyadic_bits(c.m) > 53)
            return net_refuse(l, "a weight times alpha is not exact");
    }
    return AX_OK;
}

static ax_status product_start(struct lowering *l, struct product *p,
                               const struct array *a, const struct array *b)
{
    if (!array_constant(a) && !array_constant(b))
        return net_refuse(l, "both factors depend on the input");
    p->constant_left = !array_constant(b);
    p->constant = p->constant_left ? a : b;
    p->free = p->constant_left ? b : a;
    p->block_at = SIZE_MAX;
    p->block = net_alloc(l, BLOCK * p->k, sizeof *p->block);
    if (!p->block)
        return net_no_memory(l);
    return check_alpha(l, p);
}

/* Offsets of the matrices of f, of which there are OUT's leading rank - 2
 * dimensions, broadcast. */
static size_t *batch_offsets(struct lowering *l, const struct array *f,
                             int rank, const int64_t *dims, size_t batches)
{
    size_t *at = net_alloc(l, batches, sizeof *at);

    for (size_t b = 0; at && b < batches; b++) {
        size_t rest = b, offset = 0, stride = 1;

        if (f->rank >= 2)
            stride = (size_t)(f->dims[f->rank - 1] * f->dims[f->rank - 2]);
        for (int i = rank - 3; i >= 0; i--) {
            int own = i - (rank - f->rank);
            size_t pos = rest % (size_t)dims[i];

            rest /= (size_t)dims[i];
            if (own < 0)
                continue;
            if (f->dims[own] != 1)
                offset += pos * stride;
            stride *= (size_t)f->dims[own];
        }
        at[b] = offset;
    }
    return at;
}

ax_status net_matmul(struct lowering *l, struct array *out)
{
    struct array a = *net_input(l, 0), b = *net_input(l, 1);
    bool row = a.rank == 1, column = b.rank == 1;
    int64_t dims[AX_RANK_MAX], matrix[2];
    struct product p = {.alpha = 1};
    size_t batches = 1;
    int rank;

    if (!a.rank || !b.rank)
        return net_refuse(l, "a factor is a scalar");
    if (row) {
        matrix[0] = 1;
        matrix[1] = a.dims[0];
        AX_TRY(net_reshaped(l, &a, net_input(l, 0), 2, matrix));
    }
    if (column) {
        matrix[0] = b.dims[0];
        matrix[1] = 1;
        AX_TRY(net_reshaped(l, &b, net_input(l, 1), 2, matrix));
    }
    rank = a.rank > b.rank ? a.rank : b.rank;
    p.m = (size_t)a.dims[a.rank - 2];
    p.k = (size_t)a.dims[a.rank - 1];
    p.n = (size_t)b.dims[b.rank - 1];
    if (b.dims[b.rank - 2] != (int64_t)p.k)
        return net_refuse(l, "%zu columns meet %lld rows", p.k,
                          (long long)b.dims[b.rank - 2]);
    for (int i = 0; i < rank - 2; i++) {
        int64_t x = i < rank - a.rank ? 1 : a.dims[i - (rank - a.rank)];
        int64_t y = i < rank - b.rank ? 1 : b.dims[i - (rank - b.rank)];

        if (x != y && x != 1 && y != 1)
            return net_refuse(l, "shapes do not broadcast");
        dims[i] = x == 1 ? y : x;
        batches *= (size_t)dims[i];
    }
    dims[rank - 2] = (int64_t)p.m;
    dims[rank - 1] = (int64_t)p.n;
    AX_TRY(net_shape(l, out, rank, dims));
    p.left = batch_offsets(l, &a, rank, dims, batches);
    p.right = batch_offsets(l, &b, rank, dims, batches);
    if (!p.left || !p.right)
        return net_no_memory(l);
    p.left_i = p.k;
    p.left_k = p.right_j = 1;
    p.right_k = p.n;
    AX_TRY(product_start(l, &p, &a, &b));
    AX_TRY(net_begin(l, AX_NET_WEIGHTED, out));
    for (size_t o = 0; o < out->n; o++) {
        AX_TRY(product_row(l, &p, o));
        net_row(l);
    }
    AX_TRY(net_end(l, out));
    if (column)
        dims[rank - 1] = dims[rank - 2];
    if (row)
        dims[rank - 2] = dims[rank - 1];
    if (row || column) {
        struct array shaped;

        AX_TRY(net_reshaped(l, &shaped, out, rank - row - column, dims));
        *out = shaped;
    }
    return AX_OK;
}

ax_status net_gemm(struct lowering *l, struct array *out)
{
    static const size_t zero[1] = {0};
    const struct array *a = net_input(l, 0), *b = net_input(l, 1);
    const struct array *c = net_input(l, 2);
    bool ta = ax_node_int(l->node, "transA", 0) != 0;
    bool tb = ax_node_int(l->node, "transB", 0) != 0;
    double alpha = (double)ax_node_float(l->node, "alpha", 1);
    double beta = (double)ax_node_float(l->node, "beta", 1);
    struct product p = {.left = zero, .right = zero, .alpha = alpha};
    struct array bias;
    int64_t dims[2];

    if (a->rank != 2 || b->rank != 2 || a->dims[!ta] != b->dims[tb])
        return net_refuse(l, "matrices do not fit");
    p.m = (size_t)(dims[0] = a->dims[ta]);
    p.n = (size_t)(dims[1] = b->dims[!tb]);
    p.k = (size_t)a->dims[!ta];
    p.left_i = ta ? 1 : p.k;
    p.left_k = ta ? p.m : 1;
    p.right_k = tb ? 1 : p.n;
    p.right_j = tb ? p.k : 1;
    AX_TRY(net_shape(l, out, 2, dims));
    AX_TRY(product_start(l, &p, a, b));
    if (c) {
        AX_TRY(net_broadcast(l, &bias, c, 2, dims));
        if (!array_constant(&bias))
            return net_refuse(l, "C depends on the input");
    }
    AX_TRY(net_begin(l, AX_NET_WEIGHTED, out));
    for (size_t o = 0; o < out->n; o++) {
        AX_TRY(product_row(l, &p, o));
        if (c)
            AX_TRY(net_bias(l, array_value(&bias, o), beta));
        net_row(l);
    }
    return net_end(l, out);
}
