/* Convolutions of float32 over one or two dimensions by tiles. A channel by
 * itself goes row by row. No element depends on the batch. */
#include "cpu.h"
#include "picture.h"

#include <stdlib.h>
#include <string.h>

/* What a node keeps. */
struct direct {
    struct ax_window w; /* which it was made for */
    int64_t channels;
    float *weight; /* blocks of rows, packed; NULL: not constant */
    int32_t *off;  /* [k] where the elements of a window lie */
    int32_t *line; /* [k] where they lie in a gathered panel */
};

void direct_drop(void *state)
{
    struct direct *s = state;

    free(s->weight);
    free(s->off);
    free(s->line);
    free(s);
}

/* -- weights --------------------------------------------------------------
 */

static void pack_weight(float *to, const float *from, const struct shape *s)
{
    for (int64_t g = 0; g < s->groups; g++)
        picture_pack((void *)(to + g * picture_weight(s)),
                     (const void *)(from + g * s->out * s->k), s);
}

/* Bytes of all groups. */
static size_t packed_size(const struct shape *s)
{
    return (size_t)(s->groups * picture_weight(s)) * sizeof(float);
}

static ax_status prepare(struct direct **out, struct ax_call *c,
                         const struct shape *s, void **state,
                         struct ax_err *err)
{
    struct direct *d = *state;
    const float *weight;

    if (d && d->channels == c->in[0]->dims[1] &&
        memcmp(&d->w, s->w, sizeof d->w) == 0) {
        *out = d;
        return AX_OK;
    }
    if (d)
        direct_drop(d);
    *state = d = calloc(1, sizeof *d);
    if (!d)
        return ax_fail(err, AX_ENOMEM, "no memory for a convolution");
    d->off = calloc((size_t)s->k, sizeof *d->off);
    d->line = calloc((size_t)s->k, sizeof *d->line);
    if (c->constant & 2)
        d->weight = malloc(packed_size(s));
    if (!d->off || !d->line || ((c->constant & 2) && !d->weight))
        return ax_fail(err, AX_ENOMEM, "no memory for a convolution");
    d->w = *s->w;
    d->channels = c->in[0]->dims[1];
    if (d->weight) {
        AX_TRY(cpu_in(&weight, c, 1, err));
        pack_weight(d->weight, weight, s);
    }
    picture_offsets(d->off, d->line, s);
    *out = d;
    return AX_OK;
}

/* -- pictures -------------------------------------------------------------
 */

/* Loops that stay loops: a call would cost more than most of them do. */
#ifdef __clang__
#define AS_LOOPS
#else
#define AS_LOOPS \
    __attribute__((optimize("O3", "no-tree-loop-distribute-patterns")))
#endif

/* The channels of a group with zeros around them. */
AS_LOOPS
static void pad(float *restrict to, const float *restrict x,
                const struct shape *s)
{
    const struct ax_window *w = s->w;
    int64_t before = w->begin[1] * s->width + w->begin[2];
    int64_t between = w->end[2] + w->begin[2];
    int64_t after = w->end[2] + w->end[1] * s->width, row = w->in[2];

    for (int64_t c = 0; c < s->in; c++) {
        for (int64_t j = 0; j < before; j++)
            *to++ = 0;
        for (int64_t i = 0; i < w->in[1]; i++) {
            for (int64_t j = 0; i > 0 && j < between; j++)
                *to++ = 0;
            if (row >= 64)
                memcpy(to, x, (size_t)row * sizeof *x);
            else
                for (int64_t j = 0; j < row; j++)
                    to[j] = x[j];
            to += row;
            x += row;
        }
        for (int64_t j = 0; j < after; j++)
            *to++ = 0;
    }
}

/* -- tiles ----------------------------------------------------------------
 */

static inline float above(float x, float floor)
{
    return x < floor ? floor : x;
}

/* The spans of columns [at, at + n): a row of the picture ends with columns
 * that are no places. */
static int spans_of(struct span *out, const struct shape *s, int64_t at,
                    int64_t n)
{
    const struct ax_window *w = s->w;
    int64_t row, col;
    int k = 0;

    if (!s->slides || s->width == w->out[2]) {
        out[0] = (struct span){0, (int32_t)n, at};
        return 1;
    }
    row = at / s->width;
    col = at % s->width;
    for (int64_t j = 0; j < n; row++, col = 0) {
        int64_t m = w->out[2] - col; /* places left in this row */

        m = m < n - j ? m : n - j;
        if (m > 0)
            out[k++] = (struct span){(int32_t)j, (int32_t)m,
                                     row * w->out[2] + col};
        j += s->width - col;
    }
    return k;
}

struct work {
    const struct shape *s;
    const struct direct *d;
    const struct tile *tile;
    struct picture picture;
    const float *bias; /* of the group's channels, or NULL */
    float floor;       /* of what is written: a Relu */
    float *y;
};

static void one_tile(void *x, const cpu_word *a, const cpu_word *b,
                     const int32_t *off, int64_t row, int m, int64_t at,
                     int64_t n)
{
    const struct work *k = x;
    float t[TILE_M * TILE_N];
    struct span span[TILE_N];

    k->tile->block(t, (const void *)a, (const void *)b, off, k->s->k, m);
    k->tile->put(k->y + row * k->s->places, k->s->places, t, m, span,
                 spans_of(span, k->s, at, n), k->bias ? k->bias + row : NULL,
                 k->floor);
}

/* Rows are places, columns channels. */
static void turned_tile(void *x, const cpu_word *a, const cpu_word *b,
                        const int32_t *off, int64_t row, int m, int64_t at,
                        int64_t n)
{
    const struct work *k = x;
    float t[TILE_M * TILE_N];

    k->tile->block(t, (const void *)a, (const void *)b, off, k->s->k, m);
    for (int64_t j = 0; j < n; j++) {
        float *y = k->y + (at + j) * k->s->places + row;
        float bias = k->bias ? k->bias[at + j] : 0;

        for (int r = 0; r < m; r++)
            y[r] = above(t[r * TILE_N + j] + bias, k->floor);
    }
}

/* -- one channel by itself --------------------------------------------------
 */

/* clang-format off */
#define TAPS(x, at, w)                                               \
    ((w)[0] * (x)[at] + (w)[1] * (x)[(at) + 1] + (w)[2] * (x)[(at) + 2])
#define TAPS_LOOP(sum)                                               \
    for (int64_t j = 0; j < n; j++)                                     \
        y[j] = above(sum, floor)
/* clang-format on */

/* A line of places of a window of three by three, all at once. */
CPU_CLONES
static void nine_taps(float *restrict y, const float *restrict x,
                      int64_t width, int64_t step, const float *restrict w,
                      int64_t n, int64_t stride, float bias, float floor)
{
    const float *restrict x1 = x + step * width;
    const float *restrict x2 = x1 + step * width;

    if (stride == 1)
        TAPS_LOOP(bias + TAPS(x, j, w) + TAPS(x1, j, w + 3) +
                  TAPS(x2, j, w + 6));
    else if (stride == 2)
        TAPS_LOOP(bias + TAPS(x, 2 * j, w) + TAPS(x1, 2 * j, w + 3) +
                  TAPS(x2, 2 * j, w + 6));
    else
        TAPS_LOOP(bias + TAPS(x, stride * j, w) +
                  TAPS(x1, stride * j, w + 3) + TAPS(x2, stride * j, w + 6));
}

/* y [n] += w [5] x, next to each other. */
CPU_CLONES
static void five_taps(float *restrict y, const float *restrict x,
                      const float *restrict w, int64_t n, int64_t stride)
{
    if (stride == 1)
        for (int64_t j = 0; j < n; j++)
            y[j] += TAPS(x, j, w) + w[3] * x[j + 3] + w[4] * x[j + 4];
    else
        for (int64_t j = 0; j < n; j++)
            y[j] += TAPS(x, stride * j, w) + w[3] * x[stride * j + 3] +
                    w[4] * x[stride * j + 4];
}

CPU_CLONES
static void one_tap(float *restrict y, const float *restrict x, float w,
                    int64_t n, int64_t stride)
{
    if (stride == 1)
        for (int64_t j = 0; j < n; j++)
            y[j] += w * x[j];
    else
        for (int64_t j = 0; j < n; j++)
            y[j] += w * x[stride * j];
}

/* A line of places, a line of the window at a time. */
static void line_by_line(float *y, const float *x, const float *weight,
                         const struct shape *s, float bias, float floor)
{
    const struct ax_window *w = s->w;
    int64_t n = w->out[2], taps = w->kernel[2], step = w->dilation[2];

    for (int64_t j = 0; j < n; j++)
        y[j] = bias;
    for (int64_t a = 0; a < w->kernel[1]; a++, weight += taps) {
        const float *line = x + a * w->dilation[1] * s->width;
        int64_t b = 0;

        for (; b + 5 <= taps && step == 1; b += 5)
            five_taps(y, line + b, weight + b, n, w->stride[2]);
        for (; b < taps; b++)
            one_tap(y, line + b * step, weight[b], n, w->stride[2]);
    }
    for (int64_t j = 0; j < n; j++)
        y[j] = above(y[j], floor);
}

static void one_channel(float *y, const float *x, const float *weight,
                        const struct shape *s, float bias, float floor)
{
    const struct ax_window *w = s->w;
    int64_t n = w->out[2];

    for (int64_t i = 0; i < w->out[1]; i++, y += n) {
        const float *at = x + i * w->stride[1] * s->width;

        if (w->kernel[1] == 3 && w->kernel[2] == 3 && w->dilation[2] == 1)
            nine_taps(y, at, s->width, w->dilation[1], weight, n,
                      w->stride[2], bias, floor);
        else
            line_by_line(y, at, weight, s, bias, floor);
    }
}

/* -- the kernel
 * --------------------------------------------------------------
 */

/* Too few rows for tiles? */
static bool by_channels(const struct shape *s)
{
    return s->in == 1 && s->out < 4;
}

/* One group of one picture. */
static void one_group(struct work *k, float *padded, const float *x,
                      const float *weight, const float *plain)
{
    const struct shape *s = k->s;

    if (s->padded) {
        pad(padded, x, s);
        x = padded;
    }
    k->picture.x = (const void *)x;
    if (by_channels(s))
        for (int64_t o = 0; o < s->out; o++)
            one_channel(k->y + o * s->places, x, plain + o * s->k, s,
                        k->bias ? k->bias[o] : 0, k->floor);
    else
        picture_multiply(&k->picture, (const void *)weight,
                         s->turned ? turned_tile : one_tile, k);
}

/* What is read, in float32. */
struct inputs {
    const float *x, *bias; /* no bias: NULL */
    const float *weight;   /* NULL: only packed is read */
    const float *packed;   /* the weight */
};

static void all_groups(const struct inputs *in, struct work *k, float *padded,
                       int64_t pictures)
{
    const struct shape *s = k->s;
    int64_t plane = s->w->in[1] * s->w->in[2];
    const float *x = in->x;

    for (int64_t n = 0; n < pictures; n++)
        for (int64_t g = 0; g < s->groups; g++) {
            k->bias = in->bias ? in->bias + g * s->out : NULL;
            one_group(k, padded, x, in->packed + g * picture_weight(s),
                      in->weight ? in->weight + g * s->out * s->k : NULL);
            x += s->in * plane;
            k->y += s->out * s->places;
        }
}

/* Memory of one call. */
static ax_status make_room(struct work *k, float **padded, struct ax_call *c,
                           struct ax_err *err)
{
    const struct shape *s = k->s;
    int64_t size = s->in * s->height * s->width;
    void *p;

    k->picture.readable = size;
    if (s->padded) {
        size += TILE_N;
        AX_TRY(ax_call_scratch(c, &p, (size_t)size * sizeof(float), err));
        *padded = p;
        memset(*padded + k->picture.readable, 0, TILE_N * sizeof(float));
        k->picture.readable = size;
    }
    AX_TRY(
        ax_call_scratch(c, &p, (size_t)picture_room(s) * sizeof(float), err));
    k->picture.panels = p;
    return AX_OK;
}

static ax_status read_inputs(struct inputs *in, struct work *k,
                             struct ax_call *c, void **state,
                             struct ax_err *err)
{
    struct direct *d = NULL;
    void *p;

    AX_TRY(cpu_in(&in->x, c, 0, err));
    if (ax_call_has(c, 2))
        AX_TRY(cpu_in(&in->bias, c, 2, err));
    AX_TRY(prepare(&d, c, k->s, state, err));
    if (!d->weight || by_channels(k->s))
        AX_TRY(cpu_in(&in->weight, c, 1, err));
    k->d = d;
    k->picture = (struct picture){.s = k->s, .off = d->off, .line = d->line};
    in->packed = d->weight;
    if (d->weight)
        return AX_OK;
    AX_TRY(ax_call_scratch(c, &p, packed_size(k->s), err));
    pack_weight(p, in->weight, k->s);
    in->packed = p;
    return AX_OK;
}

ax_status direct_conv(struct ax_call *c, const struct ax_window *w,
                      void **state, struct ax_err *err)
{
    struct cpu *cpu = c->backend;
    struct shape s;
    struct work k = {.s = &s, .tile = &cpu->tile};
    struct inputs in = {0};
    float *padded = NULL, *y;
    int64_t dims[4];

    if (picture_resolve(&s, c, c->in[0], c->in[1], w, 1) != AX_OK)
        return AX_NO;
    picture_dims(dims, &s, c->in[0]->rank, c->in[0]->dims[0]);
    k.floor = cpu_floor(c);
    AX_TRY(cpu_out(&y, c, c->in[0]->rank, dims, err));
    AX_TRY(read_inputs(&in, &k, c, state, err));
    AX_TRY(make_room(&k, &padded, c, err));
    k.y = y;
    all_groups(&in, &k, padded, dims[0]);
    cpu_out_done(c, y);
    return AX_OK;
}
