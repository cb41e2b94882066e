/* Products of float32 matrices whose sums run in the order of the inner
 * dimension, whatever the instructions. */
#include <string.h>

#include "train/train.h"

#define ROWS 6

typedef float lanes __attribute__((vector_size(64)));

/* Columns j to j + PANEL of b, zeros beyond the last. */
static void pack(float *panel, const struct matrix *b, size_t k, size_t width)
{
    for (size_t i = 0; i < k; i++, panel += PANEL) {
        const float *row = b->p + i * b->rows;

        if (width == PANEL && b->columns == 1) {
            memcpy(panel, row, PANEL * sizeof *panel);
            continue;
        }
        for (size_t j = 0; j < width; j++)
            panel[j] = row[j * b->columns];
        memset(panel + width, 0, (PANEL - width) * sizeof *panel);
    }
}

/* tile [ROWS, PANEL] += the rows of a times the panel. */
TRAIN_CLONES
static void multiply(float *tile, const float *const row[ROWS], size_t step,
                     const float *panel, size_t k)
{
    lanes sum[ROWS][2];
    const lanes *b = (const void *)panel;

    memcpy(sum, tile, sizeof sum);
    for (size_t i = 0; i < k; i++, b += 2)
#pragma GCC unroll 6
        for (int r = 0; r < ROWS; r++) {
            float x = row[r][i * step];

            sum[r][0] += x * b[0];
            sum[r][1] += x * b[1];
        }
    memcpy(tile, sum, sizeof sum);
}

static void copy_tile(float *to, size_t to_row, const float *from,
                      size_t from_row, size_t rows, size_t width)
{
    for (size_t r = 0; r < rows; r++)
        memcpy(to + r * to_row, from + r * from_row, width * sizeof *to);
}

void train_gemm(float *c, size_t m, size_t n, size_t k,
                const struct matrix *a, const struct matrix *b, float *panel)
{
    float tile[ROWS * PANEL] = {0};

    for (size_t j = 0; j < n; j += PANEL) {
        size_t width = n - j < PANEL ? n - j : PANEL;
        struct matrix part = {b->p + j * b->columns, b->rows, b->columns};

        pack(panel, &part, k, width);
        for (size_t i = 0; i < m; i += ROWS) {
            size_t rows = m - i < ROWS ? m - i : ROWS;
            const float *row[ROWS];

            for (size_t r = 0; r < ROWS; r++)
                row[r] = a->p + (i + (r < rows ? r : 0)) * a->rows;
            copy_tile(tile, PANEL, c + i * n + j, n, rows, width);
            multiply(tile, row, a->columns, panel, k);
            copy_tile(c + i * n + j, n, tile, PANEL, rows, width);
        }
    }
}
