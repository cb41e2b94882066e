/* Convolution: sums over a window, without making a matrix of windows. A tile
 * of a product reads both of its sides through tables of offsets, so images
 * are read where they lie, or from a copy with zeros around it. Whether the
 * lanes of a tile are places of an image or channels is decided by what
 * fills them better; each number that comes out is the same chain of fused
 * multiply-adds either way.
 *
 * Three kinds of sums: of the output over a window, of the input's gradient
 * over what it went into, of the weights' gradient over places. The second
 * is like the first, for each of the phases that a stride makes. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "train/net.h"

#define BLOCK \
    256 /* places that are worked on together, if images are small */

/* Images, and how many zeros are put around them. */
struct source {
    size_t channels, height, width;  /* as they lie in memory */
    size_t top, left, rows, columns; /* rows, columns: with the zeros */
    size_t image;                    /* numbers from one to the next */
};

/* outs channels, at each of the places of an image, each a sum of k
 * products; all offsets are of numbers. */
struct sums {
    size_t outs, places, k;
    size_t run;     /* places that lie side by side */
    size_t plane;   /* numbers of a channel that comes out */
    size_t row;     /* from the weights of a channel to those of the next */
    size_t *place;  /* [images * places] in the images that are read */
    size_t *dest;   /* [places] in the channel that comes out */
    size_t *tap;    /* [k] from a place to what is multiplied */
    size_t *weight; /* [k] with what */
    bool across;    /* lanes are places */
    size_t panel, *line; /* lanes are channels: how many, and rows of them */
    size_t packed;       /* where their weights are in the room */
};

struct conv {
    size_t groups, images; /* images: of a block */
    struct source in, out; /* out: its gradient */
    struct sums forward, *phases;
    size_t n_phases, holes; /* holes: phases that nothing comes to */
    size_t packed;          /* numbers of the room before the slices */
    size_t copy, scratch, sum, slice; /* of the room of a slice */
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t up_to(size_t n, size_t by)
{
    return (n + by - 1) / by * by;
}

/* -- tables ---------------------------------------------------------------
 */

static ax_status no_memory(const struct step *s, struct ax_err *err)
{
    return ax_fail(err, AX_ENOMEM, "node '%s': no memory for tables",
                   s->node->name);
}

static void free_sums(struct sums *s)
{
    free(s->place);
    free(s->dest);
    free(s->tap);
    free(s->weight);
    free(s->line);
}

void train_conv_free(struct conv *c)
{
    if (!c)
        return;
    free_sums(&c->forward);
    for (size_t i = 0; c->phases && i < c->n_phases; i++)
        free_sums(&c->phases[i]);
    free(c->phases);
    free(c);
}

static bool find_room(struct sums *s, size_t images)
{
    s->place = calloc(images * s->places + 1, sizeof *s->place);
    s->dest = calloc(s->places + 1, sizeof *s->dest);
    s->tap = calloc(s->k + 1, sizeof *s->tap);
    s->weight = calloc(s->k + 1, sizeof *s->weight);
    s->line = calloc(TILE_K, sizeof *s->line);
    return s->place && s->dest && s->tap && s->weight && s->line;
}

/* Which lanes are filled better? Those of places must lie side by side. */
static void choose(struct sums *s, bool side_by_side)
{
    size_t across = s->run ? s->places / s->run * ((s->run + 15) / 16) : 0;

    s->across = side_by_side &&
                across * s->outs <= s->places * ((s->outs + 15) / 16);
    s->panel = least(TILE_N, up_to(s->outs, 16));
    for (size_t i = 0; i < TILE_K; i++)
        s->line[i] = i * s->panel;
}

/* The places of all images of a block, from those of the first. */
static void repeat(struct sums *s, size_t images, size_t image)
{
    for (size_t i = 1; i < images; i++)
        for (size_t p = 0; p < s->places; p++)
            s->place[i * s->places + p] = i * image + s->place[p];
}

static ax_status make_forward(struct conv *c, const struct step *st,
                              struct ax_err *err)
{
    const struct ax_window *w = &st->window;
    struct sums *s = &c->forward;
    size_t high = (size_t)w->kernel[1], wide = (size_t)w->kernel[2];
    size_t out_wide = (size_t)w->out[2];

    s->outs = st->channels / c->groups;
    s->places = s->plane = (size_t)w->out[1] * out_wide;
    s->run = out_wide;
    s->row = s->k = c->in.channels / c->groups * high * wide;
    if (!find_room(s, c->images))
        return no_memory(st, err);
    choose(s, w->stride[2] == 1);
    for (size_t p = 0; p < s->places; p++) {
        s->dest[p] = p;
        s->place[p] = p / out_wide * (size_t)w->stride[1] * c->in.columns +
                      p % out_wide * (size_t)w->stride[2];
    }
    repeat(s, c->images, c->in.image);
    for (size_t k = 0; k < s->k; k++) {
        size_t y = k / wide % high, x = k % wide;

        s->weight[k] = k;
        s->tap[k] = (k / (high * wide) * c->in.rows +
                     y * (size_t)w->dilation[1]) *
                        c->in.columns +
                    x * (size_t)w->dilation[2];
    }
    return AX_OK;
}

/* A dimension of a phase: positions FIRST, FIRST + STRIDE ... of the image,
 * and the offsets of a window that come to them, which are those that leave
 * REST when divided by the stride. */
struct along {
    size_t n, first, stride; /* positions */
    size_t taps, far;        /* far: places that the last one reaches back */
    size_t begin;            /* where the first position's own place is */
    size_t offset[64];       /* in the window, of each tap */
    size_t back[64];
};

static ax_status along_of(struct along *a, const struct ax_window *w, int dim,
                          size_t rest, size_t before)
{
    size_t stride = (size_t)w->stride[dim], begin = (size_t)w->begin[dim];
    size_t size = (size_t)w->in[dim], dilation = (size_t)w->dilation[dim];

    *a = (struct along){.stride = stride};
    a->first = (rest + stride - begin % stride) % stride;
    if (a->first < size)
        a->n = (size - a->first + stride - 1) / stride;
    for (size_t k = 0; k < (size_t)w->kernel[dim]; k++)
        if (k * dilation % stride == rest) {
            if (a->taps == 64)
                return AX_EUNSUPPORTED;
            a->offset[a->taps] = k;
            a->far = k * dilation / stride;
            a->back[a->taps++] = a->far;
        }
    a->begin = (a->first + begin) / stride + before;
    return AX_OK;
}

static ax_status make_phase(struct conv *c, struct sums *s,
                            const struct step *st, const struct along *y,
                            const struct along *x, struct ax_err *err)
{
    const struct ax_window *w = &st->window;
    size_t area = (size_t)(w->kernel[1] * w->kernel[2]);
    size_t of_place = y->taps * x->taps;

    s->outs = c->in.channels / c->groups;
    s->places = y->n * x->n;
    s->run = x->n;
    s->plane = c->in.height * c->in.width;
    s->row = area;
    s->k = st->channels / c->groups * of_place;
    if (!find_room(s, c->images))
        return no_memory(st, err);
    choose(s, w->stride[2] == 1);
    c->holes += s->k == 0;
    for (size_t p = 0; s->k && p < s->places; p++) {
        size_t i = p / x->n, j = p % x->n;

        s->dest[p] = (y->first + i * y->stride) * c->in.width + x->first +
                     j * x->stride;
        s->place[p] = (y->begin + i - y->far) * c->out.columns + x->begin +
                      j - x->far;
    }
    repeat(s, c->images, c->out.image);
    for (size_t k = 0; k < s->k; k++) {
        size_t i = k % of_place / x->taps, j = k % x->taps;
        size_t channel = k / of_place;

        s->weight[k] = channel * c->forward.k +
                       y->offset[i] * (size_t)w->kernel[2] + x->offset[j];
        s->tap[k] = (channel * c->out.rows + y->far - y->back[i]) *
                        c->out.columns +
                    x->far - x->back[j];
    }
    return AX_OK;
}

static ax_status make_phases(struct conv *c, const struct step *st,
                             struct ax_err *err)
{
    const struct ax_window *w = &st->window;
    size_t high = (size_t)w->stride[1], wide = (size_t)w->stride[2];
    struct along y, x;

    c->phases = calloc(high * wide, sizeof *c->phases);
    if (!c->phases)
        return no_memory(st, err);
    c->n_phases = high * wide;
    for (size_t i = 0; i < c->n_phases; i++) {
        if (along_of(&y, w, 1, i / wide, c->out.top) != AX_OK ||
            along_of(&x, w, 2, i % wide, c->out.left) != AX_OK)
            return train_refuse(st->node, "a window of more than 64", err);
        AX_TRY(make_phase(c, &c->phases[i], st, &y, &x, err));
    }
    return AX_OK;
}

/* How many zeros the output's gradient wants before it and behind it. */
static void margins(const struct ax_window *w, int dim, size_t *before,
                    size_t *size)
{
    int64_t reach = (w->kernel[dim] - 1) * w->dilation[dim];
    int64_t stride = w->stride[dim], less = reach - w->begin[dim];
    int64_t last = (w->in[dim] - 1 + w->begin[dim]) / stride;

    *before = less > 0 ? (size_t)((less + stride - 1) / stride) : 0;
    *size = *before +
            (size_t)(last + 1 > w->out[dim] ? last + 1 : w->out[dim]);
}

static void make_sources(struct conv *c, const struct step *st)
{
    const struct ax_window *w = &st->window;

    c->in = (struct source){
        .channels = (size_t)st->in->dims[0],
        .height = (size_t)w->in[1],
        .width = (size_t)w->in[2],
        .top = (size_t)w->begin[1],
        .left = (size_t)w->begin[2],
        .rows = (size_t)(w->in[1] + w->begin[1] + w->end[1]),
        .columns = (size_t)(w->in[2] + w->begin[2] + w->end[2])};
    c->out = (struct source){.channels = st->channels,
                             .height = (size_t)w->out[1],
                             .width = (size_t)w->out[2]};
    margins(w, 1, &c->out.top, &c->out.rows);
    margins(w, 2, &c->out.left, &c->out.columns);
    c->in.image = c->in.channels * c->in.rows * c->in.columns;
    c->out.image = c->out.channels * c->out.rows * c->out.columns;
}

/* -- preparing ------------------------------------------------------------
 */

static size_t packed_size(const struct sums *s)
{
    return s->across ? 0 : up_to(s->outs, s->panel) * s->k;
}

static ax_status make_room(struct ax_trainer *t, struct conv *c,
                           struct ax_err *err)
{
    struct sums *f = &c->forward;
    size_t back = 0, lanes = up_to(f->outs, f->panel) * c->groups;

    t->zeros_size = most(t->zeros_size, TILE_N);
    c->packed = packed_size(f) * c->groups;
    c->packed = most(c->packed, f->outs * c->groups * TILE_N); /* biases */
    c->scratch = f->places * f->panel;
    for (size_t i = 0; i < c->n_phases; i++) {
        struct sums *s = &c->phases[i];

        s->packed = back;
        back += packed_size(s) * c->groups;
        c->scratch = most(c->scratch, s->places * s->panel);
    }
    c->packed = up_to(most(c->packed, back), 16);
    c->copy = up_to(most(c->in.image, c->out.image) * c->images, 16);
    c->scratch = up_to(c->scratch * c->images, 16);
    c->sum = lanes * f->k;
    c->slice = c->copy + c->scratch + up_to(c->sum + f->outs * c->groups, 16);
    AX_TRY(train_room(t, c->slice, 1, SLICES, err));
    return train_room(t, c->packed + SLICES * c->slice, 1, 1, err);
}

static ax_status make_tables(struct ax_trainer *t, struct step *s,
                             size_t groups, struct ax_err *err)
{
    size_t places = (size_t)(s->window.out[1] * s->window.out[2]);
    struct conv *c = calloc(1, sizeof *c);

    s->conv = c;
    if (!c)
        return no_memory(s, err);
    c->groups = groups;
    c->images = most(1, least(BLOCK / places, t->opt.batch));
    make_sources(c, s);
    AX_TRY(make_forward(c, s, err));
    AX_TRY(make_phases(c, s, err));
    return make_room(t, c, err);
}

ax_status train_prepare_conv(struct ax_trainer *t, struct step *s,
                             struct ax_err *err)
{
    int64_t groups = ax_node_int(s->node, "group", 1);
    uint32_t tensor = AX_NONE;
    const struct ax_tensor *c = train_constant(t, s->node, 1, &tensor);

    if (!c || c->rank != 4 || groups < 1)
        return train_refuse(s->node, "wants constant weights of rank 4", err);
    AX_TRY(train_window(s, c->dims + 2, err));
    if (s->in->dims[0] % groups || c->dims[0] < 1 || c->dims[0] % groups ||
        c->dims[1] != s->in->dims[0] / groups)
        return ax_fail(err, AX_ESHAPE,
                       "node '%s': weights for %" PRId64 " groups of %" PRId64
                       " channels, a row has %" PRId64,
                       s->node->name, groups, c->dims[1], s->in->dims[0]);
    AX_TRY(train_param(t, s, 1, &s->matrix, err));
    if (s->node->n_in > 2 && s->node->in[2] != AX_NONE)
        AX_TRY(train_bias(t, s, 2, (size_t)c->dims[0], err));
    AX_TRY(train_image(t, s, c->dims[0], err));
    return make_tables(t, s, (size_t)groups, err);
}

/* -- copies ---------------------------------------------------------------
 */

/* N images with zeros around them; where none are wanted, as they lie. */
static const float *surround(float *to, const struct source *s,
                             const float *x, size_t n)
{
    size_t plane = s->rows * s->columns;

    if (s->rows == s->height && s->columns == s->width)
        return x;
    memset(to, 0, n * s->image * sizeof *to);
    for (size_t c = 0; c < n * s->channels; c++)
        for (size_t i = 0; i < s->height; i++, x += s->width) {
            float *row = to + c * plane + (s->top + i) * s->columns + s->left;

            for (size_t j = 0; j < s->width; j++)
                row[j] = x[j];
        }
    return to;
}

/* to [columns][rows, ROW apart] = from [rows][columns, COLUMN apart]. */
static void turn(float *to, size_t row, const float *from, size_t column,
                 size_t rows, size_t columns)
{
    for (size_t j = 0; j < columns; j += 16)
        for (size_t i = 0; i < rows; i++)
            for (size_t r = j; r < columns && r < j + 16; r++)
                to[r * row + i] = from[i * column + r];
}

/* Weights of a group, for lanes that are channels. */
static void pack(float *to, const struct sums *s, const float *w)
{
    for (size_t o = 0; o < s->outs; o += s->panel)
        for (size_t k = 0; k < s->k; k++, to += s->panel) {
            const float *from = w + o * s->row + s->weight[k];

            for (size_t i = 0; i < s->panel && o + i < s->outs; i++)
                to[i] = from[i * s->row];
        }
}

/* Once for all slices: weights, or each bias for all lanes. */
void train_conv_pack(const struct ax_trainer *t, const struct step *s,
                     const struct io *io, bool back)
{
    const struct conv *c = s->conv;
    const struct sums *all = back ? c->phases : &c->forward;
    size_t weights = s->matrix.n / c->groups;

    for (size_t g = 0; g < c->groups; g++)
        for (size_t i = 0; i < (back ? c->n_phases : 1); i++)
            if (!all[i].across)
                pack(t->room + all[i].packed + g * packed_size(&all[i]),
                     &all[i], io->w + g * weights);
    if (!back && c->forward.across && io->b)
        for (size_t i = 0; i < s->channels * TILE_N; i++)
            t->room[i] = io->b[i / TILE_N];
}

/* -- sums over windows ----------------------------------------------------
 */

/* Sums for a block of images, of one group. */
struct block {
    const struct ax_trainer *t;
    const struct sums *s;
    train_tile_fn *tile;
    size_t images;
    const float *from;   /* images with zeros around them */
    const float *w;      /* of the group; or packed */
    const float *bias;   /* of lanes that are channels, or of TILE_N places */
    float *to, *scratch; /* to: the group's channels of the first image */
    size_t image;        /* from one of to to the next */
    bool add;            /* to what is there */
};

/* Rows of a tile are channels, its lanes are places side by side. */
static void tile_across(const struct block *b, float *to, size_t place,
                        size_t out, size_t width)
{
    const struct sums *s = b->s;
    size_t rows = least(s->outs - out, TILE_M);
    struct train_tile t = {.c = to, .c_row = s->plane};

    for (size_t k = 0; k < s->k; k += TILE_K) {
        t.k = least(s->k - k, TILE_K);
        t.a_at = s->weight + k;
        t.b_at = s->tap + k;
        t.b = b->from + place;
        for (size_t r = 0; r < rows; r++)
            t.a[r] = b->w + (out + r) * s->row;
        t.start = k || b->add ? to
                  : b->bias   ? b->bias + out * TILE_N
                              : b->t->zeros;
        t.start_row = k || b->add ? s->plane : b->bias ? TILE_N : 0;
        b->tile(&t, rows, width);
    }
}

static void block_across(const struct block *b)
{
    const struct sums *s = b->s;

    for (size_t p = 0; p < b->images * s->places; p += s->run)
        for (size_t j = 0; j < s->run; j += TILE_N)
            for (size_t out = 0; out < s->outs; out += TILE_M)
                tile_across(b,
                            b->to + p / s->places * b->image +
                                out * s->plane + s->dest[p % s->places] + j,
                            s->place[p] + j, out, least(s->run - j, TILE_N));
}

/* Rows of a tile are places, its lanes are channels of a panel. */
static void panel_of(const struct block *b, size_t out, size_t width)
{
    const struct sums *s = b->s;
    size_t n = b->images * s->places;
    struct train_tile t = {.c_row = s->panel, .b_at = s->line};

    for (size_t k = 0; k < s->k; k += TILE_K) {
        t.k = least(s->k - k, TILE_K);
        t.a_at = s->tap + k;
        t.b = b->w + (out / s->panel * s->k + k) * s->panel;
        for (size_t p = 0; p < n; p += TILE_M) {
            size_t rows = least(n - p, TILE_M);

            for (size_t r = 0; r < rows; r++)
                t.a[r] = b->from + s->place[p + r];
            t.c = b->scratch + p * s->panel;
            t.start = k ? t.c : b->bias ? b->bias + out : b->t->zeros;
            t.start_row = k ? s->panel : 0;
            b->tile(&t, rows, width);
        }
    }
}

static void spread_panel(const struct block *b, size_t out, size_t width)
{
    const struct sums *s = b->s;

    for (size_t i = 0; i < b->images; i++)
        for (size_t o = 0; o < width; o++) {
            float *to = b->to + i * b->image + (out + o) * s->plane;
            const float *from = b->scratch + i * s->places * s->panel + o;

            if (b->add)
                for (size_t p = 0; p < s->places; p++)
                    to[s->dest[p]] += from[p * s->panel];
            else
                for (size_t p = 0; p < s->places; p++)
                    to[s->dest[p]] = from[p * s->panel];
        }
}

static void sum_block(const struct block *b)
{
    if (b->s->k && b->s->across)
        block_across(b);
    for (size_t o = 0; b->s->k && !b->s->across && o < b->s->outs;
         o += b->s->panel) {
        size_t width = least(b->s->outs - o, b->s->panel);

        panel_of(b, o, width);
        spread_panel(b, o, width);
    }
}

/* -- the steps ------------------------------------------------------------
 */

static float *room_of(const struct ax_trainer *t, const struct conv *c,
                      size_t slice)
{
    return t->room + c->packed + slice * c->slice;
}

void train_conv(const struct ax_trainer *t, const struct step *st,
                const struct io *io)
{
    const struct conv *c = st->conv;
    const struct sums *s = &c->forward;
    float *room = room_of(t, c, io->slice);
    struct block b = {.t = t, .s = s, .tile = train_tile(NULL)};

    b.scratch = room + c->copy;
    b.image = st->out->width;
    for (size_t i = 0; i < io->rows; i += c->images) {
        const float *x;

        b.images = least(io->rows - i, c->images);
        x = surround(room, &c->in, io->x + i * st->in->width, b.images);
        for (size_t g = 0; g < c->groups; g++) {
            b.from = x + g * (c->in.image / c->groups);
            b.w = s->across ? io->w + g * (st->matrix.n / c->groups)
                            : t->room + g * packed_size(s);
            b.bias = !io->b      ? NULL
                     : s->across ? t->room + g * s->outs * TILE_N
                                 : io->b + g * s->outs;
            b.to = io->y + i * b.image + g * s->outs * s->plane;
            sum_block(&b);
        }
    }
}

/* What N images add to the gradient of a panel of weights: SUM is
 * [k][panel], rows of a tile are weights, its lanes the channels. */
static void sum_weights(float *sum, const struct sums *s, const float *x,
                        const float *gy, size_t n, size_t width)
{
    train_tile_fn *tile = train_tile(NULL);
    struct train_tile t = {
        .b_at = s->line, .c_row = s->panel, .start_row = s->panel};

    for (size_t p = 0; p < n; p += TILE_K) {
        t.k = least(n - p, TILE_K);
        t.a_at = s->place + p;
        t.b = gy + p * s->panel;
        for (size_t k = 0; k < s->k; k += TILE_M) {
            size_t rows = least(s->k - k, TILE_M);

            for (size_t r = 0; r < rows; r++)
                t.a[r] = x + s->tap[k + r];
            t.start = t.c = sum + k * s->panel;
            tile(&t, rows, width);
        }
    }
}

static void back_weights(const struct step *st, float *room, const float *x,
                         const float *gy, size_t images)
{
    const struct conv *c = st->conv;
    const struct sums *s = &c->forward;
    float *scratch = room + c->copy, *sum = scratch + c->scratch;

    for (size_t o = 0; o < st->channels; sum += s->k * s->panel) {
        size_t in = o % s->outs, width = least(s->outs - in, s->panel);

        for (size_t i = 0; i < images; i++)
            turn(scratch + i * s->places * s->panel, s->panel,
                 gy + i * st->out->width + o * s->places, s->places, width,
                 s->places);
        sum_weights(sum, s, x + o / s->outs * (c->in.image / c->groups),
                    scratch, images * s->places, width);
        o += width;
    }
}

/* The images' own gradient. */
static void back_input(const struct ax_trainer *t, const struct step *st,
                       const struct io *io, float *room, size_t from,
                       size_t images)
{
    const struct conv *c = st->conv;
    struct block b = {.t = t,
                      .tile = train_tile(NULL),
                      .images = images,
                      .scratch = room + c->copy,
                      .image = st->in->width,
                      .add = io->add};
    const float *gy = surround(room, &c->out, io->gy + from * st->out->width,
                               images);
    float *gx = io->gx + from * st->in->width;

    if (c->holes && !io->add)
        memset(gx, 0, images * st->in->width * sizeof *gx);
    for (size_t g = 0; g < c->groups; g++)
        for (size_t i = 0; i < c->n_phases; i++) {
            const struct sums *s = b.s = &c->phases[i];

            b.from = gy + g * (c->out.image / c->groups);
            b.w = s->across ? io->w + g * (st->matrix.n / c->groups)
                            : t->room + s->packed + g * packed_size(s);
            b.to = gx + g * s->outs * s->plane;
            sum_block(&b);
        }
}

/* Sum of N numbers, in eight chains that are added in order. */
static float sum_of(const float *x, size_t n)
{
    float sum[8] = {0};
    size_t i = 0;

    for (; i + 8 <= n; i += 8)
        for (size_t k = 0; k < 8; k++)
            sum[k] += x[i + k];
    for (size_t k = 0; i + k < n; k++)
        sum[k] += x[i + k];
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) +
           ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

/* The images' own gradient is made last: x may lie where gx does. */
void train_conv_back(const struct ax_trainer *t, const struct step *st,
                     const struct io *io)
{
    const struct conv *c = st->conv;
    float *room = room_of(t, c, io->slice);
    float *gw = room + c->copy + c->scratch, *gb = gw + c->sum;
    size_t places = c->forward.places;

    memset(gw, 0, (c->sum + st->channels) * sizeof *gw);
    for (size_t i = 0; i < io->rows; i += c->images) {
        size_t n = least(io->rows - i, c->images);
        const float *gy = io->gy + i * st->out->width;

        if (io->gw)
            back_weights(st, room,
                         surround(room, &c->in, io->x + i * st->in->width, n),
                         gy, n);
        for (size_t k = 0; io->gb && k < n * st->channels; k++)
            gb[k % st->channels] += sum_of(gy + k * places, places);
        if (io->gx)
            back_input(t, st, io, room, i, n);
    }
}

/* gw [channels][k] = or += the sums of all slices, [k][panel] each. */
static void gather_weights(const struct ax_trainer *t, const struct step *st,
                           const struct io *io)
{
    const struct conv *c = st->conv;
    const struct sums *s = &c->forward;
    size_t at = c->copy + c->scratch;

    for (size_t o = 0; o < st->channels; at += s->k * s->panel) {
        size_t width = least(s->outs - o % s->outs, s->panel);

        for (size_t slice = 0; slice < SLICES; slice++) {
            const float *sum = room_of(t, c, slice) + at;

            for (size_t i = 0; i < width; i++) {
                float *gw = io->gw + (o + i) * s->k;

                for (size_t k = 0; k < s->k; k++)
                    gw[k] = (io->add_w || slice ? gw[k] : 0) +
                            sum[k * s->panel + i];
            }
        }
        o += width;
    }
}

void train_conv_gather(const struct ax_trainer *t, const struct step *s,
                       const struct io *io)
{
    const struct conv *c = s->conv;

    if (io->gw)
        gather_weights(t, s, io);
    for (size_t slice = 0; io->gb && slice < SLICES; slice++)
        train_put(io->gb,
                  room_of(t, c, slice) + c->copy + c->scratch + c->sum,
                  s->channels, io->add_b || slice);
}
