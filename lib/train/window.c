/* Steps over windows of images: convolution and pooling. A convolution is a
 * product with the matrix of all windows of an image, one image at a time.
 * What is an image here is a row of the batch. */
#include <inttypes.h>
#include <string.h>

#include "train/net.h"

/* Numbers that a walk over windows needs at every turn. */
struct plan {
    size_t channels, height, width; /* of the input */
    size_t area;                    /* of a window */
    size_t k;                       /* numbers in a window */
    size_t places;                  /* of windows */
    const struct ax_window *w;
};

static struct plan plan_of(const struct step *s)
{
    const struct ax_window *w = &s->window;
    struct plan p = {.channels = (size_t)s->in->dims[0],
                     .height = (size_t)w->in[1],
                     .width = (size_t)w->in[2],
                     .area = (size_t)(w->kernel[1] * w->kernel[2]),
                     .places = (size_t)(w->out[1] * w->out[2]),
                     .w = w};

    p.k = p.channels * p.area;
    return p;
}

/* -- preparing ------------------------------------------------------------
 */

static ax_status resolve(struct step *s, const int64_t *kernel,
                         struct ax_err *err)
{
    int64_t dims[4] = {1};
    ax_status st;

    if (s->in->rank != 3)
        return train_refuse(s->node,
                            "wants rows of channels x height x width", err);
    memcpy(dims + 1, s->in->dims, 3 * sizeof *dims);
    st = ax_window_resolve(&s->window, s->node, 4, dims, kernel, err);
    return st == AX_OK ? st : ax_fail_in(err, "node '%s'", s->node->name);
}

static ax_status make_output(struct ax_trainer *t, struct step *s,
                             int64_t channels, struct ax_err *err)
{
    const struct ax_window *w = &s->window;

    s->channels = (size_t)channels;
    return train_value(t, s, 3, (int64_t[]){channels, w->out[1], w->out[2]},
                       err);
}

ax_status train_prepare_conv(struct ax_trainer *t, struct step *s,
                             struct ax_err *err)
{
    uint32_t tensor = AX_NONE;
    const struct ax_tensor *c = train_constant(t, s->node, 1, &tensor);
    struct plan p;

    if (!c || c->rank != 4 || ax_node_int(s->node, "group", 1) != 1)
        return train_refuse(
            s->node, "wants constant weights of rank 4, and one group", err);
    AX_TRY(resolve(s, c->dims + 2, err));
    if (c->dims[1] != s->in->dims[0] || c->dims[0] < 1)
        return ax_fail(err, AX_ESHAPE,
                       "node '%s': weights for %" PRId64
                       " channels, a row has %" PRId64,
                       s->node->name, c->dims[1], s->in->dims[0]);
    AX_TRY(train_param(t, s, 1, &s->matrix, err));
    if (s->node->n_in > 2 && s->node->in[2] != AX_NONE)
        AX_TRY(train_bias(t, s, 2, (size_t)c->dims[0], err));
    AX_TRY(make_output(t, s, c->dims[0], err));
    p = plan_of(s);
    if (p.k > t->zeros_size)
        t->zeros_size = p.k;
    if (p.places > t->zeros_size)
        t->zeros_size = p.places;
    /* The windows and their gradient, and that of the weights. */
    AX_TRY(train_room(t, p.k, 2 * p.places, SLICES, err));
    return train_room(t, 2 * p.k, p.places + (size_t)c->dims[0] + 1, SLICES,
                      err);
}

ax_status train_prepare_pool(struct ax_trainer *t, struct step *s,
                             struct ax_err *err)
{
    const struct ax_node *n = s->node;
    struct ax_window *w = &s->window;

    if (n->n_out != 1)
        return train_refuse(n, "gives the places of the largest, too", err);
    if (n->op == AX_OP_GlobalAveragePool) {
        if (s->in->rank != 3)
            return train_refuse(n, "wants rows of channels x height x width",
                                err);
        *w = (struct ax_window){.rank = 2,
                                .stride = {1, 1, 1},
                                .dilation = {1, 1, 1},
                                .kernel = {1, s->in->dims[1], s->in->dims[2]},
                                .in = {1, s->in->dims[1], s->in->dims[2]},
                                .out = {1, 1, 1}};
    } else {
        AX_TRY(resolve(s, NULL, err));
    }
    if (ax_node_int(n, "ceil_mode", 0) != 0)
        return train_refuse(n, "ceil_mode is not known", err);
    s->whole_window = ax_node_int(n, "count_include_pad", 0) != 0;
    return make_output(t, s, s->in->dims[0], err);
}

/* -- all windows of an image ----------------------------------------------
 */

/* Where place OUT along a dimension meets offset OFF of its window. */
static int64_t source(const struct ax_window *w, int dim, int64_t out,
                      int64_t off)
{
    return out * w->stride[dim] - w->begin[dim] + off * w->dilation[dim];
}

/* The part FROM to TO of a row of places whose source lies in the image. */
static void inside(const struct ax_window *w, int64_t off, int64_t *from,
                   int64_t *to)
{
    *from = 0;
    *to = w->out[2];
    while (*from < *to && source(w, 2, *from, off) < 0)
        ++*from;
    while (*to > *from && source(w, 2, *to - 1, off) >= w->in[2])
        --*to;
}

/* One number of each window: a row of the matrix [k, places], or what is
 * added to the image of such a row. */
struct line {
    const float *image;  /* of a channel */
    int64_t row, column; /* in the window */
};

static void read_line(float *to, const struct plan *p, const struct line *l)
{
    const struct ax_window *w = p->w;
    int64_t from, end;

    inside(w, l->column, &from, &end);
    for (int64_t i = 0; i < w->out[1]; i++, to += w->out[2]) {
        int64_t y = source(w, 1, i, l->row);
        const float *x = l->image + y * w->in[2] + source(w, 2, 0, l->column);

        if (y < 0 || y >= w->in[1] || from == end) {
            memset(to, 0, (size_t)w->out[2] * sizeof *to);
            continue;
        }
        for (int64_t j = 0; j < from; j++)
            to[j] = 0;
        if (w->stride[2] == 1)
            memcpy(to + from, x + from, (size_t)(end - from) * sizeof *to);
        else
            for (int64_t j = from; j < end; j++)
                to[j] = x[j * w->stride[2]];
        for (int64_t j = end; j < w->out[2]; j++)
            to[j] = 0;
    }
}

static void add_line(float *image, const struct plan *p, const struct line *l,
                     const float *g)
{
    const struct ax_window *w = p->w;
    int64_t from, end;

    inside(w, l->column, &from, &end);
    for (int64_t i = 0; i < w->out[1]; i++, g += w->out[2]) {
        int64_t y = source(w, 1, i, l->row);
        float *x = image + y * w->in[2] + source(w, 2, 0, l->column);

        if (y < 0 || y >= w->in[1])
            continue;
        if (w->stride[2] == 1 && end > from)
            train_put(x + from, g + from, (size_t)(end - from), true);
        else
            for (int64_t j = from; j < end; j++)
                x[j * w->stride[2]] += g[j];
    }
}

/* The matrix [k, places]. */
static void read_windows(float *to, const struct plan *p, const float *x)
{
    for (size_t k = 0; k < p->k; k++, to += p->places) {
        size_t in = k % p->area, across = (size_t)p->w->kernel[2];
        struct line l = {x + k / p->area * p->height * p->width,
                         (int64_t)(in / across), (int64_t)(in % across)};

        read_line(to, p, &l);
    }
}

/* The other way: x is what the windows G come to. */
static void add_windows(float *x, const struct plan *p, const float *g)
{
    for (size_t k = 0; k < p->k; k++, g += p->places) {
        size_t in = k % p->area, across = (size_t)p->w->kernel[2];
        struct line l = {NULL, (int64_t)(in / across),
                         (int64_t)(in % across)};

        add_line(x + k / p->area * p->height * p->width, p, &l, g);
    }
}

/* The matrix [places, k] of the same, from that. */
static void turn(float *to, const float *from, size_t k, size_t places)
{
    for (size_t i = 0; i < places; i += 16)
        for (size_t j = 0; j < k; j++)
            for (size_t r = i; r < places && r < i + 16; r++)
                to[r * k + j] = from[j * places + r];
}

/* -- convolution ----------------------------------------------------------
 */

/* The part of a slice: two matrices of all windows, the gradient of the
 * weights and that of the bias. */
static float *part(const struct ax_trainer *t, const struct step *s,
                   const struct plan *p, size_t slice)
{
    return t->room +
           slice * (2 * p->k * p->places + s->matrix.n + s->channels);
}

void train_conv(const struct ax_trainer *t, const struct step *s,
                const struct io *io)
{
    struct plan p = plan_of(s);
    float *windows = part(t, s, &p, io->slice);

    for (size_t i = 0; i < io->rows; i++) {
        float *y = io->y + i * s->out->width;

        read_windows(windows, &p, io->x + i * s->in->width);
        for (size_t c = 0; io->b && c < s->channels; c++)
            for (size_t j = 0; j < p.places; j++)
                y[c * p.places + j] = io->b[c];
        train_gemm(&(struct train_product){.c = y,
                                           .m = s->channels,
                                           .n = p.places,
                                           .k = p.k,
                                           .a = {io->w, p.k, 1},
                                           .b = {windows, p.places, 1},
                                           .start = io->b ? y : t->zeros,
                                           .start_row = io->b ? p.places : 0},
                   NULL);
    }
}

static void image_of_weights(const struct ax_trainer *t, const struct step *s,
                             const struct plan *p, float *room, float *gw,
                             const float *x, const float *gy, bool add)
{
    float *across = room + p->k * p->places;

    read_windows(room, p, x);
    turn(across, room, p->k, p->places);
    train_gemm(&(struct train_product){.c = gw,
                                       .m = s->channels,
                                       .n = p->k,
                                       .k = p->places,
                                       .a = {gy, p->places, 1},
                                       .b = {across, p->k, 1},
                                       .start = add ? gw : t->zeros,
                                       .start_row = add ? p->k : 0},
               NULL);
}

static void image_of_input(const struct ax_trainer *t, const struct step *s,
                           const struct plan *p, float *room,
                           const struct io *io, size_t i)
{
    float *gx = io->gx + i * s->in->width;

    if (!io->add)
        memset(gx, 0, s->in->width * sizeof *gx);
    train_gemm(&(struct train_product){.c = room,
                                       .m = p->k,
                                       .n = p->places,
                                       .k = s->channels,
                                       .a = {io->w, 1, p->k},
                                       .b = {io->gy + i * s->out->width,
                                             p->places, 1},
                                       .start = t->zeros},
               NULL);
    add_windows(gx, p, room);
}

/* Sum of N numbers, in eight chains that are added in order. */
static float sum_of(const float *x, size_t n)
{
    float sum[8] = {0};

    for (size_t i = 0; i < n; i++)
        sum[i % 8] += x[i];
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) +
           ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

/* The image's own gradient is made last: x may lie where gx does. */
void train_conv_back(const struct ax_trainer *t, const struct step *s,
                     const struct io *io)
{
    struct plan p = plan_of(s);
    float *room = part(t, s, &p, io->slice);
    float *gw = room + 2 * p.k * p.places, *gb = gw + s->matrix.n;

    memset(gw, 0, (s->matrix.n + s->channels) * sizeof *gw);
    for (size_t i = 0; i < io->rows; i++) {
        const float *gy = io->gy + i * s->out->width;

        if (io->gw)
            image_of_weights(t, s, &p, room, gw, io->x + i * s->in->width, gy,
                             i > 0);
        for (size_t c = 0; io->gb && c < s->channels; c++)
            gb[c] += sum_of(gy + c * p.places, p.places);
        if (io->gx)
            image_of_input(t, s, &p, room, io, i);
    }
}

void train_conv_gather(const struct ax_trainer *t, const struct step *s,
                       const struct io *io)
{
    struct plan p = plan_of(s);

    for (size_t slice = 0; slice < SLICES; slice++) {
        const float *gw = part(t, s, &p, slice) + 2 * p.k * p.places;

        if (io->gw)
            train_put(io->gw, gw, s->matrix.n, io->add_w || slice);
        if (io->gb)
            train_put(io->gb, gw + s->matrix.n, s->channels,
                      io->add_b || slice);
    }
}

/* -- pooling --------------------------------------------------------------
 */

/* The window of a place, cut to the image: rows and columns. */
struct frame {
    int64_t row, column; /* of the first, may be outside */
    const struct ax_window *w;
};

static struct frame frame_at(const struct plan *p, size_t place)
{
    int64_t out = (int64_t)place;

    return (struct frame){source(p->w, 1, out / p->w->out[2], 0),
                          source(p->w, 2, out % p->w->out[2], 0), p->w};
}

/* The number in the image that is the Ith of a window; -1: outside. */
static int64_t number_in(const struct frame *f, int64_t i)
{
    const struct ax_window *w = f->w;
    int64_t y = f->row + i / w->kernel[2] * w->dilation[1];
    int64_t x = f->column + i % w->kernel[2] * w->dilation[2];

    return y < 0 || y >= w->in[1] || x < 0 || x >= w->in[2]
               ? -1
               : y * w->in[2] + x;
}

/* The first of the largest; padding alone gives -1. */
static int64_t largest(const struct plan *p, const float *x, size_t place)
{
    const struct ax_window *w = p->w;
    struct frame f = frame_at(p, place);
    int64_t best = -1, y = f.row;

    for (int64_t i = 0; i < w->kernel[1]; i++, y += w->dilation[1]) {
        int64_t column = f.column;

        if (y < 0 || y >= w->in[1])
            continue;
        for (int64_t j = 0; j < w->kernel[2]; j++, column += w->dilation[2])
            if (column >= 0 && column < w->in[2] &&
                (best < 0 || x[y * w->in[2] + column] > x[best]))
                best = y * w->in[2] + column;
    }
    return best;
}

void train_max_pool(const struct ax_trainer *t, const struct step *s,
                    const struct io *io)
{
    struct plan p = plan_of(s);
    const float *x = io->x;
    float *y = io->y;

    (void)t;
    for (size_t c = 0; c < io->rows * s->channels; c++) {
        for (size_t i = 0; i < p.places; i++) {
            int64_t best = largest(&p, x, i);

            y[i] = best < 0 ? 0 : x[best];
        }
        x += p.height * p.width;
        y += p.places;
    }
}

void train_max_pool_back(const struct ax_trainer *t, const struct step *s,
                         const struct io *io)
{
    struct plan p = plan_of(s);
    const float *x = io->x, *gy = io->gy;
    float *gx = io->gx;

    (void)t;
    if (gx && !io->add)
        memset(gx, 0, io->rows * s->in->width * sizeof *gx);
    for (size_t c = 0; gx && c < io->rows * s->channels; c++) {
        for (size_t i = 0; i < p.places; i++) {
            int64_t best = largest(&p, x, i);

            if (best >= 0)
                gx[best] += gy[i];
        }
        x += p.height * p.width;
        gx += p.height * p.width;
        gy += p.places;
    }
}

/* What one number of a window counts. */
static float weight_in(const struct step *s, const struct plan *p,
                       const struct frame *f)
{
    size_t n = 0;

    for (int64_t i = 0; i < (int64_t)p->area; i++)
        n += number_in(f, i) >= 0;
    return 1 / (float)(s->whole_window ? p->area : n > 0 ? n : 1);
}

void train_mean_pool(const struct ax_trainer *t, const struct step *s,
                     const struct io *io)
{
    struct plan p = plan_of(s);

    (void)t;
    for (size_t i = 0; i < p.places; i++) {
        struct frame f = frame_at(&p, i);
        float weight = weight_in(s, &p, &f);

        for (size_t c = 0; c < io->rows * s->channels; c++) {
            const float *x = io->x + c * p.height * p.width;
            float sum = 0;

            for (int64_t k = 0; k < (int64_t)p.area; k++) {
                int64_t at = number_in(&f, k);

                if (at >= 0)
                    sum += x[at];
            }
            io->y[c * p.places + i] = sum * weight;
        }
    }
}

void train_mean_pool_back(const struct ax_trainer *t, const struct step *s,
                          const struct io *io)
{
    struct plan p = plan_of(s);

    (void)t;
    if (io->gx && !io->add)
        memset(io->gx, 0, io->rows * s->in->width * sizeof *io->gx);
    for (size_t i = 0; io->gx && i < p.places; i++) {
        struct frame f = frame_at(&p, i);
        float weight = weight_in(s, &p, &f);

        for (size_t c = 0; c < io->rows * s->channels; c++) {
            float *gx = io->gx + c * p.height * p.width;
            float g = io->gy[c * p.places + i] * weight;

            for (int64_t k = 0; k < (int64_t)p.area; k++) {
                int64_t at = number_in(&f, k);

                if (at >= 0)
                    gx[at] += g;
            }
        }
    }
}
