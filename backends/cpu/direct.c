/* Convolutions over one or two dimensions by tiles: rows are output
 * channels, columns places of the output, and k runs over what one place
 * sees. A picture with a stride of one and its padding around it is read
 * where it lies; other places are gathered first. A channel by itself goes
 * row by row. No element depends on the batch. */
#include "cpu.h"

#include <stdlib.h>
#include <string.h>

/* One convolution: sizes of a group, and its picture with padding. */
struct shape {
    int64_t groups, in, out; /* channels of a group */
    int64_t height, width;   /* of a padded channel */
    int64_t k;               /* in, times the kernel */
    int64_t places, columns; /* of the output; with those at the end of each
                                row of the picture that are none */
    bool padded, slides;     /* a copy with padding; read where it lies */
    const struct ax_window *w;
};

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

static void resolve(struct shape *s, const struct ax_call *c,
                    const struct ax_window *w)
{
    const struct ax_tensor *x = c->in[0], *k = c->in[1];

    s->w = w;
    s->groups = ax_node_int(c->node, "group", 1);
    s->in = x->dims[1] / s->groups;
    s->out = k->dims[0] / s->groups;
    s->height = w->in[1] + w->begin[1] + w->end[1];
    s->width = w->in[2] + w->begin[2] + w->end[2];
    s->k = s->in * w->kernel[1] * w->kernel[2];
    s->places = w->out[1] * w->out[2];
    s->padded = s->height != w->in[1] || s->width != w->in[2];
    s->columns = (w->out[1] - 1) * s->width + w->out[2];
    /* Gathering a panel takes about as long as 20 rows of it. */
    s->slides = w->stride[1] == 1 && w->stride[2] == 1 &&
                s->columns * s->out <= s->places * (s->out + 20);
    if (!s->slides)
        s->columns = s->places;
}

/* -- weights --------------------------------------------------------------
 */

static int64_t blocks_of(int64_t rows)
{
    return (rows + TILE_M - 1) / TILE_M;
}

/* Rows of block I of so many. */
static int rows_of(int64_t rows, int64_t blocks, int64_t i)
{
    return (int)((i + 1) * rows / blocks - i * rows / blocks);
}

static void pack_weight(float *to, const float *from, const struct shape *s)
{
    int64_t blocks = blocks_of(s->out);

    for (int64_t g = 0; g < s->groups; g++)
        for (int64_t i = 0; i < blocks; i++) {
            int m = rows_of(s->out, blocks, i);

            tile_pack_rows(to, from, s->k, s->k, m);
            to += m * s->k;
            from += m * s->k;
        }
}

static void fill_offsets(struct direct *d, const struct shape *s)
{
    const struct ax_window *w = s->w;
    int64_t at = 0;

    for (int64_t c = 0; c < s->in; c++)
        for (int64_t i = 0; i < w->kernel[1]; i++)
            for (int64_t j = 0; j < w->kernel[2]; j++) {
                d->off[at] = (int32_t)(c * s->height * s->width +
                                       i * w->dilation[1] * s->width +
                                       j * w->dilation[2]);
                d->line[at] = (int32_t)(at * TILE_N);
                at++;
            }
}

static ax_status prepare(struct direct **out, struct ax_call *c,
                         const struct shape *s, const float *weight,
                         void **state, struct ax_err *err)
{
    struct direct *d = *state;

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
        d->weight = malloc(ax_tensor_count(c->in[1]) * sizeof(float));
    if (!d->off || !d->line || ((c->constant & 2) && !d->weight))
        return ax_fail(err, AX_ENOMEM, "no memory for a convolution");
    d->w = *s->w;
    d->channels = c->in[0]->dims[1];
    if (d->weight)
        pack_weight(d->weight, weight, s);
    fill_offsets(d, s);
    *out = d;
    return AX_OK;
}

/* -- pictures -------------------------------------------------------------
 */

/* The channels of a group with zeros around them. */
static void pad(float *to, const float *x, const struct shape *s)
{
    const struct ax_window *w = s->w;
    size_t row = (size_t)w->in[2] * sizeof *x;

    for (int64_t c = 0; c < s->in; c++) {
        memset(to, 0, (size_t)(w->begin[1] * s->width) * sizeof *to);
        to += w->begin[1] * s->width;
        for (int64_t i = 0; i < w->in[1]; i++, x += w->in[2]) {
            for (int64_t j = 0; j < w->begin[2]; j++)
                *to++ = 0;
            memcpy(to, x, row);
            to += w->in[2];
            for (int64_t j = 0; j < w->end[2]; j++)
                *to++ = 0;
        }
        memset(to, 0, (size_t)(w->end[1] * s->width) * sizeof *to);
        to += w->end[1] * s->width;
    }
}

/* Where column J begins in the picture. */
static int32_t start_of(const struct shape *s, int64_t j)
{
    const struct ax_window *w = s->w;

    if (s->slides)
        return (int32_t)j;
    return (int32_t)(j / w->out[2] * w->stride[1] * s->width +
                     j % w->out[2] * w->stride[2]);
}

/* Columns [at, at + n) of a panel, zeros after them. */
CPU_CLONES
static void gather(float *restrict to, const float *restrict x,
                   const int32_t *restrict off, const int32_t *restrict start,
                   int64_t k, int64_t n)
{
    if (n == TILE_N && start[TILE_N - 1] - start[0] == TILE_N - 1) {
        for (int64_t i = 0; i < k; i++)
            memcpy(to + i * TILE_N, x + off[i] + start[0],
                   TILE_N * sizeof *to);
        return;
    }
    if (n < TILE_N)
        memset(to, 0, (size_t)(k * TILE_N) * sizeof *to);
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < n; j++)
            to[i * TILE_N + j] = x[off[i] + start[j]];
}

/* -- tiles ----------------------------------------------------------------
 */

static inline float above(float x, float floor)
{
    return x < floor ? floor : x;
}

/* The places of a row of a tile, with the bias, at least floor. */
CPU_CLONES
static void put(float *y, const float *t, const struct shape *s, int64_t at,
                int64_t n, float bias, float floor)
{
    const struct ax_window *w = s->w;

    if (!s->slides || s->width == w->out[2]) {
        for (int64_t j = 0; j < n; j++)
            y[at + j] = above(t[j] + bias, floor);
        return;
    }
    for (int64_t j = 0; j < n;) {
        int64_t row = (at + j) / s->width, col = (at + j) % s->width;
        int64_t m = w->out[2] - col; /* places left in this row */
        float *to = y + row * w->out[2] + col;

        m = m < n - j ? m : n - j;
        for (int64_t i = 0; i < m; i++)
            to[i] = above(t[j + i] + bias, floor);
        j += m > 0 ? m : 0;
        /* Over the places that are none. */
        if (j < n && (at + j) % s->width >= w->out[2])
            j += s->width - (at + j) % s->width;
    }
}

/* Columns that are worked on together: what they see stays in a cache while
 * all weights pass. */
#define GROUP_BYTES ((int64_t)256 << 10)

struct work {
    const struct shape *s;
    const struct direct *d;
    const struct tile *tile;
    const float *x;    /* the picture, padded */
    int64_t readable;  /* elements from x on */
    float *panels;     /* scratch for the panels of a group */
    const float *bias; /* of the group's channels, or NULL */
    float floor;       /* of what is written: a Relu */
    float *y;
};

/* Panel I of the group that begins at column FROM: as it lies, or
 * gathered. */
struct panel {
    const float *b;
    const int32_t *off;
};

static struct panel panel_at(const struct work *k, int64_t from, int64_t i)
{
    const struct shape *s = k->s;
    int64_t at = from + i * TILE_N, n = s->columns - at;
    int32_t start[TILE_N];
    float *to = k->panels + i * s->k * TILE_N;

    n = n < TILE_N ? n : TILE_N;
    if (s->slides && at + k->d->off[s->k - 1] + TILE_N <= k->readable)
        return (struct panel){k->x + at, k->d->off};
    for (int64_t j = 0; j < n; j++)
        start[j] = start_of(s, at + j);
    gather(to, k->x, k->d->off, start, s->k, n);
    return (struct panel){to, k->d->line};
}

#define PANELS_MAX 64

static int64_t group_size(const struct shape *s)
{
    int64_t n = GROUP_BYTES / (s->k * TILE_N * (int64_t)sizeof(float));

    return n < 1 ? 1 : n > PANELS_MAX ? PANELS_MAX : n;
}

/* All channels of one group of one picture. */
static void multiply(const struct work *k, const float *weight)
{
    const struct shape *s = k->s;
    int64_t group = group_size(s), blocks = blocks_of(s->out);
    struct panel panels[PANELS_MAX];
    float t[TILE_M * TILE_N];

    for (int64_t at = 0; at < s->columns; at += group * TILE_N) {
        int64_t n = (s->columns - at + TILE_N - 1) / TILE_N, row = 0;
        const float *a = weight;

        n = n < group ? n : group;
        for (int64_t i = 0; i < n; i++)
            panels[i] = panel_at(k, at, i);
        for (int64_t b = 0; b < blocks; b++) {
            int m = rows_of(s->out, blocks, b);

            for (int64_t i = 0; i < n; i++) {
                int64_t from = at + i * TILE_N, left = s->columns - from;

                k->tile->block(t, a, panels[i].b, panels[i].off, s->k, m);
                for (int r = 0; r < m; r++)
                    put(k->y + (row + r) * s->places, t + r * TILE_N, s, from,
                        left < TILE_N ? left : TILE_N,
                        k->bias ? k->bias[row + r] : 0, k->floor);
            }
            row += m;
            a += m * s->k;
        }
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

/* One group of one picture. */
static void one_group(struct work *k, float *padded, const float *x,
                      const float *weight, const float *plain)
{
    const struct shape *s = k->s;

    k->x = x;
    if (s->padded) {
        pad(padded, x, s);
        k->x = padded;
    }
    if (s->in == 1 && s->out < 4)
        for (int64_t o = 0; o < s->out; o++)
            one_channel(k->y + o * s->places, k->x, plain + o * s->k, s,
                        k->bias ? k->bias[o] : 0, k->floor);
    else
        multiply(k, weight);
}

/* What is read, in float32. */
struct inputs {
    const float *x, *weight, *bias; /* no bias: NULL */
    const float *packed;            /* the weight */
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
            one_group(k, padded, x, in->packed + g * s->out * s->k,
                      in->weight + g * s->out * s->k);
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

    k->readable = size;
    if (s->padded) {
        k->readable += TILE_N;
        AX_TRY(
            ax_call_scratch(c, &p, (size_t)k->readable * sizeof(float), err));
        *padded = p;
        memset(*padded + size, 0, TILE_N * sizeof(float));
    }
    AX_TRY(ax_call_scratch(
        c, &p, (size_t)(group_size(s) * s->k) * TILE_N * sizeof(float), err));
    k->panels = p;
    return AX_OK;
}

static ax_status read_inputs(struct inputs *in, struct work *k,
                             struct ax_call *c, void **state,
                             struct ax_err *err)
{
    struct direct *d = NULL;
    void *p;

    AX_TRY(cpu_in(&in->x, c, 0, err));
    AX_TRY(cpu_in(&in->weight, c, 1, err));
    if (ax_call_has(c, 2))
        AX_TRY(cpu_in(&in->bias, c, 2, err));
    AX_TRY(prepare(&d, c, k->s, in->weight, state, err));
    k->d = d;
    in->packed = d->weight;
    if (d->weight)
        return AX_OK;
    AX_TRY(ax_call_scratch(c, &p, ax_tensor_count(c->in[1]) * sizeof(float),
                           err));
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

    if (w->rank > 2)
        return AX_NO;
    resolve(&s, c, w);
    if (s.in * s.height * s.width > INT32_MAX / 2 ||
        s.k > INT32_MAX / TILE_N || s.places < 1)
        return AX_NO;
    dims[0] = c->in[0]->dims[0];
    dims[1] = c->in[1]->dims[0];
    dims[c->in[0]->rank - 2] = w->rank == 1 ? dims[1] : w->out[1];
    dims[c->in[0]->rank - 1] = w->out[2];
    k.floor = cpu_floor(c);
    AX_TRY(cpu_out(&y, c, c->in[0]->rank, dims, err));
    AX_TRY(read_inputs(&in, &k, c, state, err));
    AX_TRY(make_room(&k, &padded, c, err));
    k.y = y;
    all_groups(&in, &k, padded, dims[0]);
    cpu_out_done(c, y);
    return AX_OK;
}
