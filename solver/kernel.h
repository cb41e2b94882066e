/* solver/kernel.h - the integer loops under the bounds of ax-cert(5).
 *
 * Rows are int64 vectors of a multiple of 8 elements, 64-byte aligned; the
 * padding is zero. Everything is exact: the ranges of ax-cert(5), section
 * ARITHMETIC, keep every sum below 2^63. */
#ifndef SOLVER_KERNEL_H
#define SOLVER_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#define LANES  8
#define NV_MAX 7 /* vectors in one panel of a packed matrix */
#define PAD(n) (((size_t)(n) + LANES - 1) / LANES * LANES)

/* A dense matrix [rows, cols], packed: panels of at most NV_MAX vectors of
 * columns, in each panel the rows one after the other. */
struct packed {
    uint32_t rows, cols;
    uint32_t n_panels;
    uint32_t nv; /* vectors in a panel; the last may have fewer */
    uint32_t nv_last;
    int64_t *data; /* [n_panels][rows][nv * LANES] */
};

/* A sparse matrix by rows. */
struct csr {
    uint32_t rows, cols;
    const uint64_t *ptr;
    const uint32_t *col;
    const int32_t *val;
};

/* e[r, 0..PAD(cols)) = sum over the n_idx rows i = idx[.] of nu[r, i] w[i].
 * The rows that idx leaves out must have nu = 0. n rows of nu (stride ldn)
 * and of e (stride lde). |nu| <= 2^26. */
void kernel_dense(int64_t *e, size_t lde, const int64_t *nu, size_t ldn,
                  size_t n, const struct packed *w, const uint32_t *idx,
                  size_t n_idx);

/* The same with a sparse matrix. tmp holds LANES * (rows + cols) numbers. */
void kernel_sparse(int64_t *e, size_t lde, const int64_t *nu, size_t ldn,
                   size_t n, const struct csr *w, const uint32_t *idx,
                   size_t n_idx, int64_t *tmp);

/* The relaxation of one relu node, as arrays over its neurons (padded). */
struct relax {
    int64_t *mask; /* slope for mu >= 0: -1 one, 0 zero */
    int64_t
        *chord; /* slope for mu < 0, at scale 28; 2^28 active, 0 inactive */
    int64_t *l, *u; /* bounds of unstable neurons at scale t; else 0 */
    int t;
    uint32_t *idx; /* neurons that are not inactive */
    uint32_t n_idx;
    uint32_t *loose; /* unstable neurons */
    uint32_t n_loose;
    uint64_t sum_m; /* SM */
};

/* The relaxation of ax-cert(5) for one row: nu from e, both [n8], n8 a
 * multiple of LANES, shifted so that WIDE bits, or more if there are more,
 * become WIDTH. *g becomes the sum of g_j; returns by how many bits they were
 * shifted down. slopes [n8]: a table, or NULL. */
int kernel_relax(__int128 *g, int64_t *nu, const int64_t *e, size_t n8,
                 const struct relax *rx, const uint8_t *slopes, int width,
                 int wide);

/* The same at a smooth node: rx->chord are slopes, l and u what the lines
 * have at 0, mask the most that v is, all at scale 28. */
int kernel_smooth(__int128 *g, int64_t *nu, const int64_t *e, size_t n8,
                  const struct relax *rx);

/* Shift e [n8] down to 26 bits; returns by how many bits. */
int kernel_narrow(int64_t *e, size_t n8);

/* The sum of |nu_j|, at most 2^26 each; *bias becomes the sum of nu_j b'_j;
 * bq may be NULL. */
int64_t kernel_sums(__int128 *bias, const int64_t *nu, size_t n8,
                    const int64_t *bq);

/* The sum of |nu_j| d_j, d as b' there but not below 0. */
__int128 kernel_weigh(const int64_t *nu, const int64_t *d, size_t n8);

/* The sum of w_j m_j over n: 0 <= w_j <= 2^30 + 1, 0 <= m_j < 2^26. */
__int128 kernel_magnitude(const int32_t *w, const int64_t *m, size_t n);

/* sum = sum shifted right by a, plus add shifted right by b, over n8. */
void kernel_join(int64_t *sum, int a, const int64_t *add, int b, size_t n8);

#endif
