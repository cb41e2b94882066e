/* lib/train/train.h - what the files of the trainer share. */
#ifndef TRAIN_TRAIN_H
#define TRAIN_TRAIN_H

#include "ax/train.h"

/* From here on loops become vectors whatever their length. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3,no-math-errno,no-trapping-math")
#endif

/* Loops in the widest instructions there are. The compiler fuses no product
 * with a sum, so the bytes are the same in all of them. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define TRAIN_CLONES \
    __attribute__((  \
        target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define TRAIN_CLONES
#endif

/* -- threads: pool.c ------------------------------------------------------
 */

struct train_pool; /* NULL: the caller alone */

/* N threads, the caller one of them. AX_ENOMEM. */
ax_status train_pool_new(struct train_pool **out, int n, struct ax_err *err)
    AX_MUST_CHECK;
void train_pool_free(struct train_pool *pool); /* NULL is harmless */

/* Call work(arg, i) for each i below n, in any order, and return when all
 * are done. No call may depend on another one. */
typedef void train_work(void *arg, size_t i);
void train_parallel(struct train_pool *pool, size_t n, train_work *work,
                    void *arg);

/* A matrix anywhere: element (i, j) is p[i * rows + j * columns]. */
struct matrix {
    const float *p;
    size_t rows, columns;
};

/* -- products: tile.c, gemm.c --------------------------------------------
 */

#define TILE_M 12
#define TILE_N 32

#define TILE_K 512 /* the most of an inner dimension at a time */

/* c[r][j] = start[r][j] + sum over i below k of a[r][a_at[i]] b[b_at[i] + j],
 * for up to TILE_M rows and TILE_N columns: for each element fused
 * multiply-adds in the order of i. c and start may be the same. */
struct train_tile {
    float *c;
    const float *start, *a[TILE_M], *b;
    const size_t *a_at, *b_at;
    size_t c_row, start_row, k;
};

typedef void train_tile_fn(const struct train_tile *t, size_t rows,
                           size_t width);

/* The widest that this processor has, or that of a KIND: "512", "256" or
 * "plain"; NULL if it has none. They give the same bytes. */
train_tile_fn *train_tile(const char *kind);

/* c [m, n] = start + a [m, k] b [k, n]. start_row is 0 if all rows start
 * alike, or n. */
struct train_product {
    float *c;
    size_t m, n, k;
    struct matrix a, b;
    const float *start;
    size_t start_row;
    float *room; /* where b's columns are not 1: TRAIN_ROOM(n, k) numbers */
};

#define TRAIN_ROOM(N, K) (((N) + TILE_N - 1) / TILE_N * TILE_N * (K))

void train_gemm(const struct train_product *p, struct train_pool *pool);

/* y[0..8) = exp(x[i] - less) for the first n, n at most 8. */
void train_exps(double *y, const float *x, size_t n, double less);

/* Mean loss of logits [rows, n], and, unless g is NULL, its gradient times
 * SHARE. */
double train_loss(float *g, const float *out, const struct ax_target *y,
                  size_t rows, size_t n, double share,
                  const struct ax_train_options *opt);

struct weight {
    uint32_t tensor; /* of the model */
    size_t n;
    float *w, *g, *first, *second; /* weights, gradient, moments */
    float *mean;                   /* of weights, or NULL */
    bool fresh;                    /* g holds nothing of this step yet */
};

/* One step of the optimiser, the COUNTth from 1. */
void train_update(struct weight *w, size_t n_weights, double rate,
                  uint64_t count, const struct ax_train_options *opt,
                  struct train_pool *pool);

#endif
