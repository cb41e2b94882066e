/* The steps of a network, forward and backward, and what a caller of the
 * trainer sees. */
#include "train/net.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX ((size_t)1 << 20)

ax_status ax_trainer_new(struct ax_trainer **out, struct ax_model *m,
                         const struct ax_train_options *opt,
                         struct ax_err *err)
{
    struct ax_trainer *t = calloc(1, sizeof *t);
    ax_status st;

    *out = NULL;
    if (!t)
        return ax_fail(err, AX_ENOMEM, "no memory to train");
    t->model = m;
    t->opt = *opt;
    if (opt->batch < 1 || opt->batch > ROWS_MAX)
        st = ax_fail(err, AX_EUSAGE, "a batch of %zu rows", opt->batch);
    else if (opt->robust && opt->loss != AX_LOSS_CROSS_ENTROPY)
        st = ax_fail(err, AX_EUSAGE,
                     "robust training is for cross entropy alone");
    else
        st = train_prepare(t, err);
    if (st == AX_OK)
        *out = t;
    else
        ax_trainer_free(t);
    return st;
}

void ax_trainer_free(struct ax_trainer *t)
{
    if (!t)
        return;
    train_pool_free(t->pool);
    for (uint32_t i = 0; t->values && i < t->model->graph->n_values; i++)
        for (int k = 0; k < PLANES; k++) {
            if (!t->values[i].in_place)
                free(t->values[i].x[k]);
            if (t->opt.robust)
                free(t->values[i].g[k]);
        }
    for (size_t k = 0; k < t->n_weights; k++) {
        free(t->weights[k].w);
        free(t->weights[k].g);
        free(t->weights[k].first);
        free(t->weights[k].second);
        free(t->weights[k].mean);
    }
    for (size_t k = 0; k < t->n_shared; k++)
        free(t->shared[k]);
    free(t->shared);
    for (size_t k = 0; k < t->n_kept; k++)
        free(t->kept[k].w);
    for (uint32_t i = 0; t->steps && i < t->model->graph->n_nodes; i++) {
        free(t->steps[i].moments);
        train_conv_free(t->steps[i].conv);
    }
    for (int k = 0; k < 4; k++)
        free(t->mid[k]);
    free(t->magnitude);
    free(t->magnitude_g);
    free(t->values);
    free(t->steps);
    free(t->weights);
    free(t->kept);
    free(t->room);
    free(t->zeros);
    free(t);
}

/* -- a step, in slices ----------------------------------------------------
 */

struct slices {
    struct ax_trainer *t;
    const struct step *s;
    const struct io *io;
    step_fn *f;
};

static float *at(float *p, size_t row, size_t width)
{
    return p ? p + row * width : NULL;
}

static void run_slice(void *arg, size_t slice)
{
    const struct slices *all = arg;
    const struct step *s = all->s;
    size_t in = s->in->width, out = s->out->width;
    size_t row = all->io->rows * slice / SLICES;
    struct io io = *all->io;

    io.slice = slice;
    io.rows = io.rows * (slice + 1) / SLICES - row;
    io.x += row * in;
    io.y = at(io.y, row, out);
    io.gy = io.gy ? io.gy + row * out : NULL;
    io.gx = at(io.gx, row, in);
    all->f(all->t, s, &io);
}

void train_run(struct ax_trainer *t, const struct step *s, struct io *io,
               step_fn *f)
{
    struct slices all = {t, s, io, f};

    if (!s->kind->sliced) {
        f(t, s, io);
        return;
    }
    if (s->kind->pack)
        s->kind->pack(t, s, io, f == s->kind->backward);
    train_parallel(t->pool, SLICES, run_slice, &all);
    if (f == s->kind->backward && s->kind->gather)
        s->kind->gather(t, s, io);
}

void train_step_forward(struct ax_trainer *t, const struct step *s,
                        size_t rows, enum plane plane)
{
    struct io io = {
        .rows = rows,
        .x = s->in->x[plane],
        .other = s->other ? s->other->x[plane] : NULL,
        .y = s->out->x[plane],
        .w = train_weights_of(&s->matrix),
        .b = train_weights_of(&s->bias),
    };

    train_run(t, s, &io, s->kind->forward);
}

/* Does G, if it is wanted, hold something? After this it will. */
static bool holds(float *g, bool *fresh)
{
    bool was = *fresh;

    if (g)
        *fresh = false;
    return !was;
}

void train_step_backward(struct ax_trainer *t, const struct step *s,
                         size_t rows, enum plane plane)
{
    struct value *in = s->in, *other = s->other;
    struct weight *w = s->matrix.w, *b = s->bias.w;
    struct io io = {
        .rows = rows,
        .x = in->x[plane],
        .y = s->out->x[plane],
        .w = train_weights_of(&s->matrix),
        .gy = s->out->g[plane],
        .gx = in != t->input ? in->g[plane] : NULL,
        .gother = other && other != t->input ? other->g[plane] : NULL,
        .gw = w ? w->g : NULL,
        .gb = b ? b->g : NULL,
    };

    if (s->out->fresh[plane])
        return; /* nothing comes of it */
    io.add = holds(io.gx, &in->fresh[plane]);
    io.add_other = other && holds(io.gother, &other->fresh[plane]);
    io.add_w = w && holds(io.gw, &w->fresh);
    io.add_b = b && holds(io.gb, &b->fresh);
    train_run(t, s, &io, s->kind->backward);
}

/* -- a batch --------------------------------------------------------------
 */

const float *ax_trainer_forward(struct ax_trainer *t, const float *x,
                                size_t rows)
{
    if (x != t->input->x[PLANE_EXACT])
        memcpy(t->input->x[PLANE_EXACT], x,
               rows * t->input->width * sizeof *x);
    for (uint32_t i = 0; i < t->model->graph->n_nodes; i++)
        train_step_forward(t, &t->steps[i], rows, PLANE_EXACT);
    return t->output->x[PLANE_EXACT];
}

float *ax_trainer_room(struct ax_trainer *t)
{
    return t->input->x[PLANE_EXACT];
}

double ax_trainer_loss(struct ax_trainer *t, const struct ax_target *y,
                       size_t rows)
{
    return train_loss(NULL, t->output->x[PLANE_EXACT], y, rows,
                      t->output->width, 1, &t->opt);
}

void ax_trainer_averaged(struct ax_trainer *t, bool on)
{
    if (on == t->averaged)
        return;
    t->averaged = on;
    for (size_t k = 0; k < t->n_weights; k++) {
        struct weight *w = &t->weights[k];
        float *swap = w->w;

        w->w = w->mean;
        w->mean = swap;
    }
}

void ax_trainer_robust(struct ax_trainer *t, double epsilon, double share)
{
    t->epsilon = epsilon;
    t->share = share;
}

static void start_gradients(struct ax_trainer *t)
{
    for (uint32_t i = 0; i < t->model->graph->n_values; i++)
        for (int k = 0; k < PLANES; k++)
            t->values[i].fresh[k] = true;
    for (size_t k = 0; k < t->n_weights; k++)
        t->weights[k].fresh = true;
}

/* The loss, and its gradient by the output. */
static double start_loss(struct ax_trainer *t, const struct ax_target *y,
                         size_t rows)
{
    double exact = t->epsilon > 0 ? 1 - t->share : 1, loss;

    loss = exact * train_loss(t->output->g[PLANE_EXACT],
                              t->output->x[PLANE_EXACT], y, rows,
                              t->output->width, exact, &t->opt);
    t->output->fresh[PLANE_EXACT] = false;
    return t->epsilon > 0 ? loss + train_robust_loss(t, y, rows) : loss;
}

static void go_back(struct ax_trainer *t, size_t rows)
{
    for (uint32_t i = t->model->graph->n_nodes; i-- > 0;)
        train_step_backward(t, &t->steps[i], rows, PLANE_EXACT);
    if (t->epsilon > 0)
        train_robust_backward(t, rows);
    for (size_t k = 0; k < t->n_weights; k++)
        if (t->weights[k].fresh) /* the output does not depend on it */
            memset(t->weights[k].g, 0,
                   t->weights[k].n * sizeof *t->weights[k].g);
}

ax_status ax_trainer_step(struct ax_trainer *t, double *loss, const float *x,
                          const struct ax_target *y, size_t rows, double rate,
                          struct ax_err *err)
{
    AX_TRY(train_norm_check(t, rows, err));
    t->learning = true;
    (void)ax_trainer_forward(t, x, rows);
    if (t->epsilon > 0)
        train_robust_forward(t, rows);
    start_gradients(t);
    *loss = start_loss(t, y, rows);
    if (!isfinite(*loss)) {
        t->learning = false;
        return ax_fail(err, AX_EFORMAT,
                       "the loss of step %" PRIu64
                       " is no finite number; a smaller rate may help",
                       t->count + 1);
    }
    go_back(t, rows);
    t->learning = false;
    train_norm_move(t, rows);
    train_update(t->weights, t->n_weights, rate, ++t->count, &t->opt,
                 t->pool);
    return AX_OK;
}

/* -- weights --------------------------------------------------------------
 */

size_t ax_trainer_inputs(const struct ax_trainer *t)
{
    return t->input->width;
}

size_t ax_trainer_outputs(const struct ax_trainer *t)
{
    return t->output->width;
}

size_t ax_trainer_weights(const struct ax_trainer *t)
{
    return t->n_weights;
}

float *ax_trainer_weight(struct ax_trainer *t, size_t i, size_t *n,
                         const float **gradient)
{
    *n = t->weights[i].n;
    *gradient = t->weights[i].g;
    return t->weights[i].w;
}
