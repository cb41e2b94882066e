/* lib/train/train.h - what the files of the trainer share. */
#ifndef TRAIN_TRAIN_H
#define TRAIN_TRAIN_H

#include "ax/train.h"

/* Loops in the widest instructions there are. No product is fused with a
 * sum, so the bytes are the same in all of them. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define TRAIN_CLONES \
    __attribute__((  \
        target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define TRAIN_CLONES
#endif

/* A matrix anywhere: element (i, j) is p[i * rows + j * columns]. */
struct matrix {
    const float *p;
    size_t rows, columns;
};

#define PANEL 32 /* columns at a time */

/* c [m, n] += a [m, k] b [k, n]. Each element is its old value, to which
 * products are added in the order of k. panel has room for PANEL k floats,
 * aligned to 64 bytes. */
void train_gemm(float *c, size_t m, size_t n, size_t k,
                const struct matrix *a, const struct matrix *b, float *panel);

/* Mean loss of logits [rows, n], and, unless g is NULL, its gradient. */
double train_loss(float *g, const float *out, const struct ax_target *y,
                  size_t rows, size_t n, const struct ax_train_options *opt);

struct weight {
    uint32_t tensor; /* of the model */
    size_t n;
    float *w, *g, *first, *second; /* weights, gradient, moments */
};

/* One step of the optimiser, the COUNTth from 1. */
void train_update(struct weight *w, size_t n_weights, double rate,
                  uint64_t count, const struct ax_train_options *opt);

#endif
