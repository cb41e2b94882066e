/* Batch normalisation, as PyTorch's BatchNorm: a step of training normalises
 * each channel by the mean and the variance of the batch, and moves the
 * running ones, which are weights without a gradient, towards them; the
 * variance that it moves towards is the unbiased one. All else, and a layer
 * whose running mean is frozen, normalises by what is stored. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/net.h"

#define LANES    8  /* chains of a sum */
#define CHANNELS 16 /* that a thread takes at a time */

/* A channel is a column of the batch: of each row the numbers from AT on. */
struct column {
    size_t rows, width, n, at;
};

static size_t places_of(const struct step *s)
{
    return s->in->width / s->channels;
}

static struct column column_of(const struct step *s, size_t rows, size_t c)
{
    return (struct column){rows, s->in->width, places_of(s),
                           c * places_of(s)};
}

static bool by_batch(const struct ax_trainer *t, const struct step *s)
{
    return t->learning && !s->stored;
}

/* -- preparing ------------------------------------------------------------
 */

/* A running statistic: one, however many nodes use it. */
static ax_status keep(struct ax_trainer *t, struct step *s, uint32_t i,
                      struct weight **out, struct ax_err *err)
{
    uint32_t tensor = AX_NONE;
    const struct ax_tensor *c = train_constant(t, s->node, i, &tensor);
    struct weight *w;

    for (size_t k = 0; k < t->n_kept; k++)
        if (t->kept[k].tensor == tensor) {
            *out = &t->kept[k];
            return AX_OK;
        }
    *out = w = &t->kept[t->n_kept++];
    *w = (struct weight){.tensor = tensor, .n = ax_tensor_count(c)};
    w->w = train_floats(w->n);
    if (!w->w)
        return ax_fail(err, AX_ENOMEM, "no memory for %zu weights", w->n);
    memcpy(w->w, c->data, c->nbytes);
    return AX_OK;
}

ax_status train_prepare_norm(struct ax_trainer *t, struct step *s,
                             struct ax_err *err)
{
    const struct ax_node *n = s->node;
    uint32_t tensor = AX_NONE;

    s->channels = (size_t)s->in->dims[0];
    if (t->opt.robust)
        return train_refuse(n, "has no bounds in robust training", err);
    if (n->n_out != 1)
        return train_refuse(n, "gives statistics, too", err);
    for (uint32_t i = 1; i < 5; i++) {
        const struct ax_tensor *c = train_constant(t, n, i, &tensor);

        if (!c || ax_tensor_count(c) != s->channels)
            return train_refuse(n, "wants constants, one a channel", err);
    }
    AX_TRY(train_param(t, s, 1, &s->matrix, err));
    AX_TRY(train_param(t, s, 2, &s->bias, err));
    AX_TRY(keep(t, s, 3, &s->mean, err));
    AX_TRY(keep(t, s, 4, &s->variance, err));
    s->stored = train_frozen(t, n, 3);
    s->epsilon = ax_node_float(n, "epsilon", 1e-5f);
    s->momentum = ax_node_float(n, "momentum", 0.9f);
    s->moments = calloc(2 * s->channels, sizeof *s->moments);
    if (!s->moments)
        return ax_fail(err, AX_ENOMEM, "no memory for statistics");
    return train_value(t, s, s->in->rank, s->in->dims, err);
}

ax_status train_norm_check(const struct ax_trainer *t, size_t rows,
                           struct ax_err *err)
{
    for (uint32_t i = 0; i < t->model->graph->n_nodes; i++) {
        const struct step *s = &t->steps[i];

        if (s->moments && !s->stored && rows * places_of(s) == 1)
            return ax_fail(err, AX_ESHAPE,
                           "node '%s': one number has no variance; take "
                           "batches that leave no single row",
                           s->node->name);
    }
    return AX_OK;
}

/* -- sums in a fixed order ------------------------------------------------
 */

static double total(const double *lane)
{
    return ((lane[0] + lane[1]) + (lane[2] + lane[3])) +
           ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}

/* sum[0] of (x - centre), sum[1] of its square. */
TRAIN_CLONES
static void sums(double *sum, const float *x, const struct column *c,
                 double centre)
{
    double first[LANES] = {0}, second[LANES] = {0};

    for (size_t r = 0; r < c->rows; r++) {
        const float *row = x + r * c->width + c->at;
        size_t i = 0;

        for (; i + LANES <= c->n; i += LANES)
            for (size_t k = 0; k < LANES; k++) {
                double d = (double)row[i + k] - centre;

                first[k] += d;
                second[k] += d * d;
            }
        for (size_t k = 0; i + k < c->n; k++) {
            double d = (double)row[i + k] - centre;

            first[k] += d;
            second[k] += d * d;
        }
    }
    sum[0] = total(first);
    sum[1] = total(second);
}

/* sum[0] of g, sum[1] of g (x - centre). */
TRAIN_CLONES
static void sums_back(double *sum, const float *g, const float *x,
                      const struct column *c, double centre)
{
    double first[LANES] = {0}, second[LANES] = {0};

    for (size_t r = 0; r < c->rows; r++) {
        size_t from = r * c->width + c->at, i = 0;

        for (; i + LANES <= c->n; i += LANES)
            for (size_t k = 0; k < LANES; k++) {
                double d = (double)g[from + i + k];

                first[k] += d;
                second[k] += d * ((double)x[from + i + k] - centre);
            }
        for (size_t k = 0; i + k < c->n; k++) {
            double d = (double)g[from + i + k];

            first[k] += d;
            second[k] += d * ((double)x[from + i + k] - centre);
        }
    }
    sum[0] = total(first);
    sum[1] = total(second);
}

/* -- forward --------------------------------------------------------------
 */

TRAIN_CLONES
static void scale_column(float *y, const float *x, const struct column *c,
                         float centre, float scale, float add)
{
    for (size_t r = 0; r < c->rows; r++) {
        size_t from = r * c->width + c->at;

        for (size_t i = from; i < from + c->n; i++)
            y[i] = (x[i] - centre) * scale + add;
    }
}

struct norm {
    const struct ax_trainer *t;
    const struct step *s;
    const struct io *io;
};

/* Mean and 1 / deviation that a channel is normalised by. */
static void statistics(double *out, const struct norm *n, size_t c)
{
    const struct step *s = n->s;

    out[0] = by_batch(n->t, s) ? s->moments[2 * c] : (double)s->mean->w[c];
    out[1] = by_batch(n->t, s) ? s->moments[2 * c + 1]
                               : (double)s->variance->w[c];
    out[1] = 1 / sqrt(out[1] + (double)s->epsilon);
}

static void forward_channel(const struct norm *n, size_t c)
{
    const struct io *io = n->io;
    struct column column = column_of(n->s, io->rows, c);
    double count = (double)(io->rows * column.n), m[2];

    if (by_batch(n->t, n->s)) {
        double *to = n->s->moments + 2 * c;

        sums(m, io->x, &column, 0);
        to[0] = m[0] / count;
        sums(m, io->x, &column, to[0]);
        to[1] = m[1] / count;
    }
    statistics(m, n, c);
    scale_column(io->y, io->x, &column, (float)m[0],
                 (float)(m[1] * (double)io->w[c]), io->b[c]);
}

static void backward_channel(const struct norm *n, size_t c);

static void forward_part(void *arg, size_t part)
{
    const struct norm *n = arg;

    for (size_t c = part * CHANNELS;
         c < n->s->channels && c < (part + 1) * CHANNELS; c++)
        forward_channel(n, c);
}

static void backward_part(void *arg, size_t part)
{
    const struct norm *n = arg;

    for (size_t c = part * CHANNELS;
         c < n->s->channels && c < (part + 1) * CHANNELS; c++)
        backward_channel(n, c);
}

static void all_channels(const struct ax_trainer *t, const struct step *s,
                         const struct io *io, train_work *work)
{
    struct norm n = {t, s, io};

    train_parallel(t->pool, (s->channels + CHANNELS - 1) / CHANNELS, work,
                   &n);
}

void train_norm(const struct ax_trainer *t, const struct step *s,
                const struct io *io)
{
    all_channels(t, s, io, forward_part);
}

void train_norm_move(struct ax_trainer *t, size_t rows)
{
    for (uint32_t i = 0; i < t->model->graph->n_nodes; i++) {
        const struct step *s = &t->steps[i];
        double count = (double)(rows * s->in->width), old;

        if (!s->moments || s->stored)
            continue;
        count /= (double)s->channels;
        old = (double)s->momentum;
        for (size_t c = 0; c < s->channels; c++) {
            float *mean = &s->mean->w[c], *variance = &s->variance->w[c];
            double unbiased = s->moments[2 * c + 1] * count / (count - 1);

            *mean = (float)(old * (double)*mean +
                            (1 - old) * s->moments[2 * c]);
            *variance = (float)(old * (double)*variance +
                                (1 - old) * unbiased);
        }
    }
}

/* -- backward -------------------------------------------------------------
 */

/* gx = or += scale (g - less - (x - centre) slope). */
TRAIN_CLONES
static void input_column(float *gx, const float *g, const float *x,
                         const struct column *c, const float v[4], bool add)
{
    float scale = v[0], less = v[1], centre = v[2], slope = v[3];

    for (size_t r = 0; r < c->rows; r++) {
        size_t from = r * c->width + c->at;

        if (add)
            for (size_t i = from; i < from + c->n; i++)
                gx[i] += scale * (g[i] - less - (x[i] - centre) * slope);
        else
            for (size_t i = from; i < from + c->n; i++)
                gx[i] = scale * (g[i] - less - (x[i] - centre) * slope);
    }
}

static void backward_channel(const struct norm *n, size_t c)
{
    const struct io *io = n->io;
    struct column column = column_of(n->s, io->rows, c);
    double count = (double)(io->rows * column.n), m[2], sum[2], of_weight;
    float v[4] = {0};

    statistics(m, n, c);
    sums_back(sum, io->gy, io->x, &column, m[0]);
    of_weight = sum[1] * m[1];
    if (io->gw)
        io->gw[c] = (io->add_w ? io->gw[c] : 0) + (float)of_weight;
    if (io->gb)
        io->gb[c] = (io->add_b ? io->gb[c] : 0) + (float)sum[0];
    if (!io->gx)
        return;
    v[0] = (float)(m[1] * (double)io->w[c]);
    if (by_batch(n->t, n->s)) {
        v[1] = (float)(sum[0] / count);
        v[2] = (float)m[0];
        v[3] = (float)(of_weight * m[1] / count);
    }
    input_column(io->gx, io->gy, io->x, &column, v, io->add);
}

void train_norm_back(const struct ax_trainer *t, const struct step *s,
                     const struct io *io)
{
    all_channels(t, s, io, backward_part);
}
