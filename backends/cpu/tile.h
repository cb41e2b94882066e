/* backends/cpu/tile.h - the one inner loop of all products.
 *
 * A tile is TILE_N columns of up to TILE_M rows. Every element of it is a
 * chain of multiply-adds over k in order, from zero, whatever the tile's
 * size and place: so the same row gives the same bytes in any batch. */
#ifndef CPU_TILE_H
#define CPU_TILE_H

#include <stdint.h>

#define TILE_M 12
#define TILE_N 32

/* t[r][j] = sum over i of a[i m + r] b[off[i] + j], t of TILE_N columns.
 * m is at most TILE_M. Without off, i TILE_N takes its place. */
typedef void tile_fn(float *t, const float *a, const float *b,
                     const int32_t *off, int64_t k, int m);

/* One row of four panels, each k TILE_N after the one before it. */
typedef void tile_row_fn(float *t, const float *a, const float *b, int64_t k);

/* Columns of a tile that go next to each other: n of them from FROM on go to
 * element TO of a row. */
struct span {
    int32_t from, n;
    int64_t to;
};

/* y[r ldy + to + j] = t[r][from + j] + bias[r] for m rows and each span, at
 * least floor. Without bias: 0. */
typedef void tile_put_fn(float *y, int64_t ldy, const float *t, int m,
                         const struct span *span, int n_spans,
                         const float *bias, float floor);

struct tile {
    tile_fn *block;
    tile_row_fn *row;
    tile_put_fn *put;
};

/* The widest that this processor has. */
struct tile tile_best(void);

/* b [k, n], or [n, k] if it is transposed, ldb apart, as panels of TILE_N
 * columns: to[panel][i][j], zeros beyond n. */
void tile_pack(float *to, const float *b, int64_t ldb, int64_t n, int64_t k,
               int transposed);

/* m rows of a, lda apart, as a tile wants them: to[i m + r]. */
void tile_pack_rows(float *to, const float *a, int64_t lda, int64_t k, int m);

#endif
