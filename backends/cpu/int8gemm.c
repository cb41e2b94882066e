/* Products of rows of bytes with a constant matrix of bytes, which is packed
 * once: columns in panels, four steps of the sum in a word. */
#include "cpu.h"
#include "int8.h"

#include <stdlib.h>
#include <string.h>

/* What a node keeps. */
struct kept {
    struct int8 q;
    int64_t n, k, words; /* columns, steps of the sum, and words of these */
    cpu_word *panels;    /* [panel][words][TILE_N] */
};

static void drop(void *state)
{
    struct kept *s = state;

    int8_free(&s->q);
    free(s->panels);
    free(s);
}

/* Is the matrix [n, k], not [k, n]? */
static bool is_turned(const struct ax_call *c)
{
    return c->node->op == AX_OP_Gemm &&
           ax_node_int(c->node, "transB", 0) != 0;
}

static void pack(cpu_word *to, const int16_t *w, const struct kept *s,
                 bool turned)
{
    int64_t down = turned ? 1 : s->n, along = turned ? s->k : 1;

    for (int64_t at = 0; at < s->n; at += TILE_N)
        for (int64_t i = 0; i < s->words; i++)
            for (int64_t j = at; j < at + TILE_N; j++) {
                cpu_word word = 0;

                for (int64_t b = 0; b < 4 && 4 * i + b < s->k && j < s->n;
                     b++)
                    word |=
                        (cpu_word)(uint8_t)w[(4 * i + b) * down + j * along]
                        << 8 * b;
                *to++ = word;
            }
}

static ax_status prepare(struct kept *s, struct ax_call *c,
                         struct ax_err *err)
{
    const struct ax_tensor *w = c->in[INT8_W];
    bool turned = is_turned(c);
    size_t panels;

    s->k = w->dims[turned];
    s->n = w->dims[!turned];
    s->words = (s->k + 3) / 4;
    AX_TRY(int8_read(&s->q, c, (size_t)s->n, turned ? (size_t)s->k : 1,
                     (size_t)s->k, turned ? 1 : (size_t)s->n, err));
    if (s->q.wide) /* which nobody makes for products */
        return AX_NO;
    panels = (size_t)(s->n + TILE_N - 1) / TILE_N;
    s->panels = aligned_alloc(64, panels * (size_t)s->words * TILE_N *
                                      sizeof *s->panels);
    if (!s->panels)
        return ax_fail(err, AX_ENOMEM, "no memory for a weight");
    pack(s->panels, s->q.w, s, turned);
    free(s->q.w);
    s->q.w = NULL;
    return AX_OK;
}

static ax_status kept_of(struct kept **out, struct ax_call *c,
                         struct ax_err *err)
{
    struct kept *s = *c->state;
    ax_status st;

    if (s && s->q.x == c->in[INT8_X]->dtype) {
        *out = s;
        return AX_OK;
    }
    if (s)
        drop(s);
    *c->state = s = calloc(1, sizeof *s);
    if (!s)
        return ax_fail(err, AX_ENOMEM, "no memory for a weight");
    st = prepare(s, c, err);
    if (st != AX_OK) {
        drop(s);
        *c->state = NULL;
        return st;
    }
    *out = s;
    return AX_OK;
}

/* -- rows -----------------------------------------------------------------
 */

/* M rows of x as a tile wants them, zeros beyond k. */
static void pack_rows(cpu_word *to, const uint8_t *x, const struct kept *s,
                      int m)
{
    int64_t whole = s->k / 4;

    for (int r = 0; r < m; r++, x += s->k) {
        cpu_word word = 0;

        for (int64_t i = 0; i < whole; i++) {
            memcpy(&word, x + 4 * i, sizeof word);
            to[i * m + r] = word ^ s->q.flip;
        }
        word = 0;
        memcpy(&word, x + 4 * whole, (size_t)(s->k - 4 * whole));
        if (whole < s->words)
            to[whole * m + r] = word ^ s->q.flip;
    }
}

struct work {
    const struct kept *s;
    const struct bytes *bytes;
    char *y;
    size_t size; /* of a number of it */
};

/* Columns [at, at + n) of row R. */
static void end_row(const struct work *k, int64_t r, const int32_t *sum,
                    int64_t at, int64_t n)
{
    const struct kept *s = k->s;

    int8_end_row(k->y + (size_t)(r * s->n + at) * k->size, sum, n,
                 s->q.scale + at, s->q.add + at, &s->q.end);
}

static void one_row(const struct work *k, const cpu_word *a, int64_t r)
{
    const struct kept *s = k->s;
    const cpu_word *b = s->panels;
    int64_t step = s->words * TILE_N, at = 0;
    int32_t t[4 * TILE_N];

    for (; at + 4 * TILE_N <= s->n; at += 4 * TILE_N, b += 4 * step) {
        k->bytes->row(t, a, b, s->words);
        end_row(k, r, t, at, (int64_t)4 * TILE_N);
    }
    for (; at < s->n; at += TILE_N, b += step) {
        k->bytes->rows(t, a, b, NULL, s->words, 1);
        end_row(k, r, t, at, s->n - at < TILE_N ? s->n - at : TILE_N);
    }
}

/* Rows that are packed at once. */
#define CHUNK_BYTES ((int64_t)393216)

static int64_t chunk_of(const struct kept *s, int64_t rows)
{
    int64_t n = CHUNK_BYTES / (s->words * 4 * TILE_M);

    n = TILE_M * (n < 1 ? 1 : n);
    return rows < n ? rows : n;
}

/* Rows [from, from + m) with all panels; room holds them packed. */
static void chunk(const struct work *k, const uint8_t *x, int64_t from,
                  int64_t m, cpu_word *room)
{
    const struct kept *s = k->s;
    int32_t t[TILE_M * TILE_N];

    for (int64_t i = 0; i < m; i += TILE_M)
        pack_rows(room + i * s->words, x + (from + i) * s->k, s,
                  m - i < TILE_M ? (int)(m - i) : TILE_M);
    for (int64_t at = 0; at < s->n; at += TILE_N)
        for (int64_t i = 0; i < m; i += TILE_M) {
            int some = m - i < TILE_M ? (int)(m - i) : TILE_M;

            k->bytes->rows(t, room + i * s->words, s->panels + at * s->words,
                           NULL, s->words, some);
            for (int r = 0; r < some; r++)
                end_row(k, from + i + r, t + r * TILE_N, at,
                        s->n - at < TILE_N ? s->n - at : TILE_N);
        }
}

static ax_status multiply(const struct work *k, struct ax_call *c,
                          int64_t rows, struct ax_err *err)
{
    int64_t step = chunk_of(k->s, rows);
    const uint8_t *x = c->in[INT8_X]->data;
    void *room;

    AX_TRY(ax_call_scratch(
        c, &room, (size_t)(step * k->s->words) * sizeof(cpu_word), err));
    if (rows == 1) {
        pack_rows(room, x, k->s, 1);
        one_row(k, room, 0);
        return AX_OK;
    }
    for (int64_t at = 0; at < rows; at += step)
        chunk(k, x, at, rows - at < step ? rows - at : step, room);
    return AX_OK;
}

static bool well_formed(const struct ax_call *c)
{
    const struct ax_tensor *x, *w;

    if (!ax_call_has(c, INT8_X) || !ax_call_has(c, INT8_W))
        return false;
    x = c->in[INT8_X];
    w = c->in[INT8_W];
    return x->rank >= 2 && w->rank == 2 && ax_tensor_count(w) > 0 &&
           ax_tensor_count(x) > 0 && (c->constant >> INT8_W & 1) &&
           x->dims[x->rank - 1] == w->dims[is_turned(c)] &&
           (c->node->op != AX_OP_Gemm || x->rank == 2);
}

static ax_status product(struct ax_call *c, struct ax_err *err)
{
    struct cpu *cpu = c->backend;
    struct work k = {.bytes = &cpu->bytes};
    int64_t dims[AX_RANK_MAX], rows;
    const struct ax_tensor *x;
    struct kept *s = NULL;

    if (!well_formed(c))
        return AX_NO;
    x = c->in[INT8_X];
    AX_TRY(kept_of(&s, c, err));
    AX_TRY(int8_zero(&s->q, c, (size_t)s->n));
    memcpy(dims, x->dims, sizeof dims);
    dims[x->rank - 1] = s->n;
    rows = (int64_t)ax_tensor_count(x) / s->k;
    AX_TRY(int8_out(c, &s->q, x->rank, dims, err));
    k.s = s;
    k.y = c->out[0]->data;
    k.size = ax_dtype_size(c->out[0]->dtype);
    return multiply(&k, c, rows, err);
}

static ax_status product_integer(struct ax_call *c, struct ax_err *err)
{
    return int8_integer(product, c, err);
}

const struct ax_kernel cpu_int8gemm[] = {
    {"MatMulInteger", product_integer, drop, NULL},
    {AX_INT8_GEMM, product, drop, NULL},
    {AX_INT8_MATMUL, product, drop, NULL},
    {"QLinearMatMul", product, drop, NULL},
    {0},
};
