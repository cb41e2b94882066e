/* Convolutions of bytes over one or two dimensions: as those of float32, with
 * four channels in a word. The zero point of x is around the picture, and
 * what it adds to every sum is taken off at the end. */
#include "cpu.h"
#include "int8.h"
#include "picture.h"

#include <stdlib.h>
#include <string.h>

/* What a node keeps. */
struct kept {
    struct int8 q;
    struct ax_window w; /* which it was made for */
    int64_t channels;
    cpu_word *weight;    /* blocks of rows, packed */
    int32_t *off, *line; /* see picture_offsets */
};

static void drop(void *state)
{
    struct kept *k = state;

    int8_free(&k->q);
    free(k->weight);
    free(k->off);
    free(k->line);
    free(k);
}

/* -- weights --------------------------------------------------------------
 */

/* Word I of one row: four channels of a tap. */
static cpu_word word_of(const int16_t *row, const struct shape *s, int64_t i)
{
    int64_t taps = s->w->kernel[1] * s->w->kernel[2];
    int64_t plane = i / taps % s->planes, tap = i % taps;
    int part = i >= s->planes * taps;
    cpu_word word = 0;

    for (int64_t b = 0; b < 4 && 4 * plane + b < s->in; b++) {
        int16_t w = row[(4 * plane + b) * taps + tap];

        word |= (cpu_word)(uint8_t)int8_part(w, part) << 8 * b;
    }
    return word;
}

/* ROOM is for the words of a group before they are packed. */
static void pack(cpu_word *to, cpu_word *room, const int16_t *w,
                 const struct shape *s)
{
    int64_t taps = s->w->kernel[1] * s->w->kernel[2];

    for (int64_t g = 0; g < s->groups; g++) {
        for (int64_t o = 0; o < s->out; o++, w += s->in * taps)
            for (int64_t i = 0; i < s->k; i++)
                room[o * s->k + i] = word_of(w, s, i);
        picture_pack(to + g * picture_weight(s), room, s);
    }
}

/* Weights in two parts read every place twice. */
static void set_parts(struct shape *s, const struct kept *k)
{
    if (k->q.wide) {
        s->parts = 2;
        s->k *= 2;
    }
}

static ax_status prepare(struct kept *k, struct ax_call *c, struct shape *s,
                         struct ax_err *err)
{
    size_t rows = (size_t)(s->groups * s->out);
    size_t inner = ax_tensor_count(c->in[INT8_W]) / rows;
    cpu_word *room;

    AX_TRY(int8_read(&k->q, c, rows, inner, inner, 1, err));
    k->w = *s->w;
    k->channels = c->in[INT8_X]->dims[1];
    set_parts(s, k);
    k->off = calloc((size_t)s->k, sizeof *k->off);
    k->line = calloc((size_t)s->k, sizeof *k->line);
    k->weight = calloc((size_t)(s->groups * picture_weight(s)),
                       sizeof *k->weight);
    room = calloc((size_t)(s->out * s->k), sizeof *room);
    if (!k->off || !k->line || !k->weight || !room) {
        free(room);
        return ax_fail(err, AX_ENOMEM, "no memory for a convolution");
    }
    picture_offsets(k->off, k->line, s);
    pack(k->weight, room, k->q.w, s);
    free(room);
    free(k->q.w);
    k->q.w = NULL;
    return AX_OK;
}

/* The state, made anew if shapes have changed. AX_NO: not for this kernel. */
static ax_status kept_of(struct kept **out, struct ax_call *c,
                         struct shape *s, struct ax_err *err)
{
    struct kept *k = *c->state;
    ax_status st;

    if (k && k->q.x == c->in[INT8_X]->dtype &&
        k->channels == c->in[INT8_X]->dims[1] &&
        memcmp(&k->w, s->w, sizeof k->w) == 0) {
        *out = k;
        set_parts(s, k);
        return AX_OK;
    }
    if (k)
        drop(k);
    *c->state = k = calloc(1, sizeof *k);
    if (!k)
        return ax_fail(err, AX_ENOMEM, "no memory for a convolution");
    st = prepare(k, c, s, err);
    if (st != AX_OK) {
        drop(k);
        *c->state = NULL;
        return st;
    }
    *out = k;
    return AX_OK;
}

/* -- pictures -------------------------------------------------------------
 */

/* n places of four channels. */
CPU_CLONES
static void weave(cpu_word *restrict to, const uint8_t *restrict a,
                  const uint8_t *restrict b, const uint8_t *restrict c,
                  const uint8_t *restrict d, int64_t n, cpu_word flip)
{
    for (int64_t j = 0; j < n; j++)
        to[j] = ((uint32_t)a[j] | (uint32_t)b[j] << 8 | (uint32_t)c[j] << 16 |
                 (uint32_t)d[j] << 24) ^
                flip;
}

static cpu_word *fill(cpu_word *to, int64_t n, cpu_word word)
{
    for (int64_t j = 0; j < n; j++)
        to[j] = word;
    return to + n;
}

/* The channels of a group, four in a word, with the zero point around. A
 * channel that is none takes what is in the first one: its weights are 0. */
static void weave_all(cpu_word *to, const uint8_t *x, const struct shape *s,
                      const struct int8 *q)
{
    const struct ax_window *w = s->w;
    int64_t plane = w->in[1] * w->in[2];
    cpu_word zero = (cpu_word)q->x_zero * 0x01010101u;

    for (int64_t p = 0; p < s->planes; p++) {
        const uint8_t *at[4];

        for (int64_t b = 0; b < 4; b++)
            at[b] = x + (4 * p + b < s->in ? 4 * p + b : 4 * p) * plane;
        to = fill(to, w->begin[1] * s->width, zero);
        if (s->width == w->in[2]) {
            weave(to, at[0], at[1], at[2], at[3], plane, q->flip);
            to += plane;
        }
        for (int64_t i = 0; s->width != w->in[2] && i < w->in[1]; i++) {
            int64_t row = i * w->in[2];

            to = fill(to, w->begin[2], zero);
            weave(to, at[0] + row, at[1] + row, at[2] + row, at[3] + row,
                  w->in[2], q->flip);
            to = fill(to + w->in[2], w->end[2], zero);
        }
        to = fill(to, w->end[1] * s->width, zero);
    }
}

/* -- tiles ----------------------------------------------------------------
 */

struct work {
    const struct shape *s;
    const struct bytes *bytes;
    const struct int8 *q;
    struct picture picture;
    int64_t first; /* channel of the group */
    size_t size;   /* of a number of the output */
    char *y;       /* of the group */
};

/* Columns [at, at + n) of one channel to their places. */
static void spread(char *y, const char *from, const struct shape *s,
                   int64_t at, int64_t n, size_t size)
{
    const struct ax_window *w = s->w;
    int64_t row = at / s->width, col = at % s->width;

    while (n > 0) {
        int64_t m = w->out[2] - col; /* places left in this row */

        m = m < n ? m : n;
        if (m > 0)
            memcpy(y + (size_t)(row * w->out[2] + col) * size, from,
                   (size_t)m * size);
        m = s->width - col; /* and those that are none */
        from += (size_t)m * size;
        n -= m;
        col = 0;
        row++;
    }
}

static void one_tile(void *x, const cpu_word *a, const cpu_word *b,
                     const int32_t *off, int64_t row, int m, int64_t at,
                     int64_t n)
{
    const struct work *k = x;
    const struct shape *s = k->s;
    int32_t t[TILE_M * TILE_N];
    char line[TILE_N * sizeof(float)];

    k->bytes->columns(t, a, b, off, s->k, m);
    for (int r = 0; r < m; r++) {
        int64_t ch = k->first + row + r;
        bool lies = !s->slides || s->width == s->w->out[2];
        char *y = k->y + (size_t)((row + r) * s->places) * k->size;

        int8_end_channel(lies ? y + (size_t)at * k->size : line,
                         t + r * TILE_N, n, k->q->scale[ch], k->q->add[ch],
                         &k->q->end);
        if (!lies)
            spread(y, line, s, at, n, k->size);
    }
}

/* Rows are places, columns channels. */
static void turned_tile(void *x, const cpu_word *a, const cpu_word *b,
                        const int32_t *off, int64_t row, int m, int64_t at,
                        int64_t n)
{
    const struct work *k = x;
    const struct shape *s = k->s;
    int64_t ch = k->first + at;
    int32_t t[TILE_M * TILE_N];
    union {
        uint8_t bytes[TILE_M][TILE_N];
        cpu_word words[TILE_M][TILE_N];
    } line;

    k->bytes->rows(t, a, b, off, s->k, m);
    for (int r = 0; r < m; r++)
        int8_end_row(
            k->size == 1 ? (void *)line.bytes[r] : (void *)line.words[r],
            t + r * TILE_N, n, k->q->scale + ch, k->q->add + ch, &k->q->end);
    for (int64_t j = 0; j < n; j++) {
        char *y = k->y + (size_t)((at + j) * s->places + row) * k->size;

        for (int r = 0; r < m && k->size == 1; r++)
            y[r] = (char)line.bytes[r][j];
        for (int r = 0; r < m && k->size != 1; r++)
            ((cpu_word *)(void *)y)[r] = line.words[r][j];
    }
}

/* -- the kernel -----------------------------------------------------------
 */

static ax_status run(struct work *k, const struct kept *kept,
                     struct ax_call *c, struct ax_err *err)
{
    const struct shape *s = k->s;
    const uint8_t *x = c->in[INT8_X]->data;
    int64_t size = s->planes * s->height * s->width;
    int64_t plane = s->w->in[1] * s->w->in[2];
    void *woven, *panels;

    AX_TRY(ax_call_scratch(c, &woven,
                           (size_t)(size + TILE_N) * sizeof(cpu_word), err));
    AX_TRY(ax_call_scratch(c, &panels,
                           (size_t)picture_room(s) * sizeof(cpu_word), err));
    fill((cpu_word *)woven + size, TILE_N, 0);
    k->picture = (struct picture){.s = s,
                                  .off = kept->off,
                                  .line = kept->line,
                                  .x = woven,
                                  .readable = size + TILE_N,
                                  .panels = panels};
    for (int64_t n = 0; n < c->in[INT8_X]->dims[0]; n++)
        for (int64_t g = 0; g < s->groups; g++) {
            k->first = g * s->out;
            weave_all(woven, x, s, k->q);
            picture_multiply(&k->picture,
                             kept->weight + g * picture_weight(s),
                             s->turned ? turned_tile : one_tile, k);
            x += s->in * plane;
            k->y += (size_t)(s->out * s->places) * k->size;
        }
    return AX_OK;
}

static bool well_formed(const struct ax_call *c)
{
    int64_t groups = ax_node_int(c->node, "group", 1);
    const struct ax_tensor *x, *w;

    if (!ax_call_has(c, INT8_X) || !ax_call_has(c, INT8_W))
        return false;
    x = c->in[INT8_X];
    w = c->in[INT8_W];
    return x->rank == w->rank && x->rank >= 3 && x->rank <= 4 && groups > 0 &&
           w->dims[0] % groups == 0 && x->dims[1] % groups == 0 &&
           x->dims[1] / groups == w->dims[1] && ax_tensor_count(x) > 0 &&
           ax_tensor_count(w) > 0;
}

static ax_status conv(struct ax_call *c, struct ax_err *err)
{
    struct cpu *cpu = c->backend;
    struct work k = {.bytes = &cpu->bytes};
    struct kept *kept = NULL;
    struct ax_window w;
    struct shape s;
    int64_t dims[4];

    if (!well_formed(c) ||
        ax_window_resolve(&w, c->node, c->in[INT8_X]->rank,
                          c->in[INT8_X]->dims, c->in[INT8_W]->dims + 2,
                          err) != AX_OK ||
        picture_resolve(&s, c, c->in[INT8_X], c->in[INT8_W], &w, 4) != AX_OK)
        return AX_NO;
    AX_TRY(kept_of(&kept, c, &s, err));
    AX_TRY(int8_zero(&kept->q, c, (size_t)(s.groups * s.out)));
    picture_dims(dims, &s, c->in[INT8_X]->rank, c->in[INT8_X]->dims[0]);
    AX_TRY(int8_out(c, &kept->q, c->in[INT8_X]->rank, dims, err));
    k.s = &s;
    k.q = &kept->q;
    k.y = c->out[0]->data;
    k.size = ax_dtype_size(c->out[0]->dtype);
    return run(&k, kept, c, err);
}

static ax_status conv_integer(struct ax_call *c, struct ax_err *err)
{
    return int8_integer(conv, c, err);
}

const struct ax_kernel cpu_int8conv[] = {
    {"ConvInteger", conv_integer, drop, NULL},
    {AX_INT8_CONV, conv, drop, NULL},
    {"QLinearConv", conv, drop, NULL},
    {0},
};
