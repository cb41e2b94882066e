/* backends/cpu/bytes.h - the inner loop of products of bytes.
 *
 * Four bytes that follow each other along the sum are one word of 32 bits, so
 * that a tile is that of tile.h with words for numbers: TILE_N columns of up
 * to TILE_M rows, each element the sum of k products of four bytes, in int32
 * that wraps. One operand is unsigned, the other signed. No sum in between
 * saturates, whatever the processor has: all give the same. */
#ifndef CPU_BYTES_H
#define CPU_BYTES_H

#include <stdint.h>

#include "tile.h"

/* Any memory, four bytes at a time. */
typedef uint32_t __attribute__((may_alias)) cpu_word;

/* t[r][j] = sum over i of a[i m + r] b[off[i] + j], as tile_fn. */
typedef void bytes_fn(int32_t *t, const cpu_word *a, const cpu_word *b,
                      const int32_t *off, int64_t k, int m);

/* One row of four panels, each k TILE_N after the one before it; a is
 * unsigned. */
typedef void bytes_row_fn(int32_t *t, const cpu_word *a, const cpu_word *b,
                          int64_t k);

struct bytes {
    bytes_fn *columns; /* b is unsigned, a is signed */
    bytes_fn *rows;    /* a is unsigned, b is signed */
    bytes_row_fn *row;
};

/* The widest that this processor has. */
struct bytes bytes_best(void);

#endif
