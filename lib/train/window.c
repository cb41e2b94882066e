/* Steps over windows of images: pooling, and what convolution shares with it.
 * What is an image here is a row of the batch. */
#include <inttypes.h>
#include <math.h>
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

ax_status train_window(struct step *s, const int64_t *kernel,
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

ax_status train_image(struct ax_trainer *t, struct step *s, int64_t channels,
                      struct ax_err *err)
{
    const struct ax_window *w = &s->window;

    s->channels = (size_t)channels;
    return train_value(t, s, 3, (int64_t[]){channels, w->out[1], w->out[2]},
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
        AX_TRY(train_window(s, NULL, err));
    }
    if (ax_node_int(n, "ceil_mode", 0) != 0)
        return train_refuse(n, "ceil_mode is not known", err);
    s->whole_window = ax_node_int(n, "count_include_pad", 0) != 0;
    return train_image(t, s, s->in->dims[0], err);
}

/* Where place OUT along a dimension meets offset OFF of its window. */
static int64_t source(const struct ax_window *w, int dim, int64_t out,
                      int64_t off)
{
    return out * w->stride[dim] - w->begin[dim] + off * w->dilation[dim];
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

/* One row of outputs, of the channel X, and its part of a window: the row in
 * the image, and which outputs see an image at the column of the window. */
struct line {
    size_t stride, column, from, end;
};

static struct line line_at(const struct plan *p, int64_t column)
{
    const struct ax_window *w = p->w;
    int64_t from = 0, end = w->out[2];

    while (from < end && source(w, 2, from, column) < 0)
        from++;
    while (end > from && source(w, 2, end - 1, column) >= w->in[2])
        end--;
    /* The source of an output that sees nothing is not looked at. */
    return (struct line){(size_t)w->stride[2],
                         (size_t)source(w, 2, from, column), (size_t)from,
                         (size_t)end};
}

static inline void raise_line(float *restrict y, const float *restrict x,
                              size_t n, size_t stride)
{
    for (size_t j = 0; j < n; j++) {
        float v = x[j * stride];

        y[j] = v > y[j] || v != v ? v : y[j];
    }
}

/* y = the larger of y and what lies STRIDE apart; NaN stays. */
TRAIN_CLONES
static void raise(float *restrict y, const float *restrict x, size_t n,
                  size_t stride)
{
    if (stride == 1)
        raise_line(y, x, n, 1);
    else if (stride == 2)
        raise_line(y, x, n, 2);
    else
        raise_line(y, x, n, stride);
}

/* The windows of most networks: two by two, side by side. */
TRAIN_CLONES
static void most_of_four(float *restrict y, const float *restrict x,
                         size_t width, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        float a = x[2 * j], b = x[2 * j + 1];
        float c = x[width + 2 * j], d = x[width + 2 * j + 1];

        a = b > a || b != b ? b : a;
        c = d > c || d != d ? d : c;
        y[j] = c > a || c != c ? c : a;
    }
}

/* The gradient goes to the first of the largest. */
TRAIN_CLONES
static void back_of_four(float *restrict gx, const float *restrict x,
                         const float *restrict y, const float *restrict g,
                         size_t width, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        float a = x[2 * j] == y[j] ? g[j] : 0;
        float b = x[2 * j] != y[j] && x[2 * j + 1] == y[j] ? g[j] : 0;
        int none = x[2 * j] != y[j] && x[2 * j + 1] != y[j];
        float c = none && x[width + 2 * j] == y[j] ? g[j] : 0;
        float d = none && x[width + 2 * j] != y[j] &&
                          x[width + 2 * j + 1] == y[j]
                      ? g[j]
                      : 0;

        gx[2 * j] += a;
        gx[2 * j + 1] += b;
        gx[width + 2 * j] += c;
        gx[width + 2 * j + 1] += d;
    }
}

static bool of_four(const struct ax_window *w)
{
    bool is = true;

    for (int d = 1; d < 3; d++)
        is = is && w->kernel[d] == 2 && w->stride[d] == 2 &&
             w->dilation[d] == 1 && w->begin[d] == 0 &&
             2 * w->out[d] <= w->in[d];
    return is;
}

static void most_of_row(const struct plan *p, float *y, const float *x,
                        int64_t row)
{
    const struct ax_window *w = p->w;

    for (int64_t j = 0; j < w->out[2]; j++)
        y[j] = -HUGE_VALF;
    for (int64_t i = 0; i < w->kernel[1]; i++) {
        int64_t at = source(w, 1, row, i);

        if (at < 0 || at >= w->in[1])
            continue;
        for (int64_t k = 0; k < w->kernel[2]; k++) {
            struct line l = line_at(p, k);

            if (l.from < l.end)
                raise(y + l.from, x + (size_t)at * p->width + l.column,
                      l.end - l.from, l.stride);
        }
    }
}

void train_max_pool(const struct ax_trainer *t, const struct step *s,
                    const struct io *io)
{
    struct plan p = plan_of(s);
    bool four = of_four(p.w);
    size_t n = (size_t)p.w->out[2];
    const float *x = io->x;
    float *y = io->y;

    (void)t;
    for (size_t c = 0; c < io->rows * s->channels; c++) {
        for (int64_t i = 0; i < p.w->out[1]; i++, y += n)
            if (four)
                most_of_four(y, x + (size_t)(2 * i) * p.width, p.width, n);
            else
                most_of_row(&p, y, x, i);
        x += p.height * p.width;
    }
}

#define TAKEN 64 /* outputs at a time */

/* What of a row of outputs goes back: those from FROM to END. */
static void back_of_part(const struct plan *p, float *gx, const float *x,
                         const float *y, const float *g, int64_t row,
                         size_t from)
{
    const struct ax_window *w = p->w;
    bool taken[TAKEN] = {false};

    for (int64_t i = 0; i < w->kernel[1]; i++) {
        size_t at = (size_t)source(w, 1, row, i) * p->width;

        if (source(w, 1, row, i) < 0 || source(w, 1, row, i) >= w->in[1])
            continue;
        for (int64_t k = 0; k < w->kernel[2]; k++) {
            struct line l = line_at(p, k);

            for (size_t j = from > l.from ? from : l.from;
                 j < l.end && j < from + TAKEN; j++) {
                size_t of = at + l.column + (j - l.from) * l.stride;
                bool hit = !taken[j - from] && x[of] == y[j];

                gx[of] += hit ? g[j] : 0;
                taken[j - from] |= hit;
            }
        }
    }
}

void train_max_pool_back(const struct ax_trainer *t, const struct step *s,
                         const struct io *io)
{
    struct plan p = plan_of(s);
    bool four = of_four(p.w);
    size_t n = (size_t)p.w->out[2], at = 0;
    const float *x = io->x;
    float *gx = io->gx;

    (void)t;
    if (gx && !io->add)
        memset(gx, 0, io->rows * s->in->width * sizeof *gx);
    for (size_t c = 0; gx && c < io->rows * s->channels; c++) {
        for (int64_t i = 0; i < p.w->out[1]; i++, at += n) {
            size_t up = (size_t)(2 * i) * p.width;

            if (four)
                back_of_four(gx + up, x + up, io->y + at, io->gy + at,
                             p.width, n);
            for (size_t j = 0; !four && j < n; j += TAKEN)
                back_of_part(&p, gx, x, io->y + at, io->gy + at, i, j);
        }
        x += p.height * p.width;
        gx += p.height * p.width;
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
