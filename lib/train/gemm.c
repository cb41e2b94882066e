/* Products of float32 matrices: tiles that are shared out among threads.
 * Which thread computes a tile changes nothing in it. */
#include <string.h>

#include "train/train.h"

#define GROUP (4 * TILE_M) /* rows that one thread takes */

struct job {
    const struct train_product *p;
    train_tile_fn *tile;
    float *panel;  /* b packed, where its rows are not rows of memory */
    size_t groups; /* of rows */
    size_t a_at[TILE_K], b_at[TILE_K];
};

/* b as panels of TILE_N columns, those beyond the last left out. */
static void pack(void *arg, size_t at)
{
    const struct job *job = arg;
    const struct train_product *p = job->p;
    size_t j = at * TILE_N, width = p->n - j < TILE_N ? p->n - j : TILE_N;
    const float *b = p->b.p + j * p->b.columns;
    float *to = job->panel + j * p->k;

    for (size_t i = 0; i < p->k; i += 16) /* as many as a cache line has */
        for (size_t x = 0; x < width; x++)
            for (size_t r = i; r < p->k && r < i + 16; r++)
                to[r * TILE_N + x] = b[x * p->b.columns + r * p->b.rows];
}

/* Up to GROUP tiles below each other, so that what is read of b stays in the
 * cache. */
static void strip(void *arg, size_t at)
{
    const struct job *job = arg;
    const struct train_product *p = job->p;
    size_t j = at / job->groups * TILE_N, i = at % job->groups * GROUP;
    size_t end = p->m - i < GROUP ? p->m : i + GROUP;
    size_t width = p->n - j < TILE_N ? p->n - j : TILE_N;

    for (size_t rows; i < end; i += rows) {
        struct train_tile t = {
            .c = p->c + i * p->n + j,
            .c_row = p->n,
            .a_at = job->a_at,
            .b_at = job->b_at,
        };

        rows = end - i < TILE_M ? end - i : TILE_M;
        for (size_t k = 0; k < p->k; k += TILE_K) {
            t.k = p->k - k < TILE_K ? p->k - k : TILE_K;
            for (size_t r = 0; r < rows; r++)
                t.a[r] = p->a.p + (i + r) * p->a.rows + k * p->a.columns;
            t.b = job->panel ? job->panel + j * p->k + k * TILE_N
                             : p->b.p + k * p->b.rows + j;
            t.start = k ? t.c : p->start + i * p->start_row + j;
            t.start_row = k ? p->n : p->start_row;
            job->tile(&t, rows, width);
        }
    }
}

void train_gemm(const struct train_product *p, struct train_pool *pool)
{
    struct job job;
    size_t panels = (p->n + TILE_N - 1) / TILE_N;

    job.p = p;
    job.tile = train_tile(NULL);
    job.panel = NULL;
    job.groups = (p->m + GROUP - 1) / GROUP;
    for (size_t i = 0; i < TILE_K && i < p->k; i++) {
        job.a_at[i] = i * p->a.columns;
        job.b_at[i] = i * (p->b.columns != 1 ? TILE_N : p->b.rows);
    }

    if (p->b.columns != 1) {
        job.panel = p->room;
        train_parallel(pool, panels, pack, &job);
    }
    train_parallel(pool, panels * job.groups, strip, &job);
}
