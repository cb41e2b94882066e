/* Training for the proof: bounds of all values for inputs that are off by
 * epsilon, and their gradient. Interval bound propagation, Gowal et al.: On
 * the Effectiveness of Interval Bound Propagation for Training Verifiably
 * Robust Models, 2018. The bounds steer training, nothing is proved by them:
 * they are rounded as they come. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/net.h"

ax_status train_robust_prepare(struct ax_trainer *t, struct ax_err *err)
{
    size_t most = 0;

    for (uint32_t i = 0; i < t->model->graph->n_nodes; i++)
        if (t->steps[i].matrix.n > most)
            most = t->steps[i].matrix.n;
    for (int k = 0; k < 4; k++) {
        t->mid[k] = train_floats(t->widest * t->opt.batch);
        if (!t->mid[k])
            return ax_fail(err, AX_ENOMEM, "no memory for bounds");
    }
    t->magnitude = train_floats(most);
    t->magnitude_g = train_floats(most);
    return t->magnitude && t->magnitude_g
               ? AX_OK
               : ax_fail(err, AX_ENOMEM, "no memory for bounds");
}

/* The sum of a and b, and b less a, scaled. */
TRAIN_CLONES
static void halve(float *restrict sum, float *restrict difference,
                  const float *restrict a, const float *restrict b, size_t n,
                  float scale)
{
    for (size_t i = 0; i < n; i++) {
        sum[i] = scale * (a[i] + b[i]);
        difference[i] = scale * (b[i] - a[i]);
    }
}

TRAIN_CLONES
static void spread(float *restrict lower, float *restrict upper,
                   const float *restrict centre, const float *restrict radius,
                   size_t n)
{
    for (size_t i = 0; i < n; i++) {
        lower[i] = centre[i] - radius[i];
        upper[i] = centre[i] + radius[i];
    }
}

TRAIN_CLONES
static void magnitude(float *restrict to, const float *restrict w, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = w[i] < 0 ? -w[i] : w[i];
}

/* g += the gradient of |w|, times that of w. */
TRAIN_CLONES
static void add_signed(float *restrict g, const float *restrict of_magnitude,
                       const float *restrict w, size_t n)
{
    for (size_t i = 0; i < n; i++)
        g[i] += w[i] < 0 ? -of_magnitude[i] : of_magnitude[i];
}

/* A linear step takes a centre to a centre, and a radius by the magnitudes
 * of its weights to a radius. */
static void linear_forward(struct ax_trainer *t, const struct step *s,
                           size_t rows)
{
    const float *w = train_weights_of(&s->matrix);
    struct io io = {.rows = rows,
                    .x = t->mid[0],
                    .y = t->mid[2],
                    .w = w,
                    .b = train_weights_of(&s->bias)};

    halve(t->mid[0], t->mid[1], s->in->x[PLANE_LOWER], s->in->x[PLANE_UPPER],
          rows * s->in->width, 0.5f);
    train_run(t, s, &io, s->kind->forward);
    magnitude(t->magnitude, w, s->matrix.n);
    io.x = t->mid[1];
    io.y = t->mid[3];
    io.w = t->magnitude;
    io.b = NULL;
    train_run(t, s, &io, s->kind->forward);
    spread(s->out->x[PLANE_LOWER], s->out->x[PLANE_UPPER], t->mid[2],
           t->mid[3], rows * s->out->width);
}

/* The same backwards; a gradient takes the place of what it is of. */
static void linear_backward(struct ax_trainer *t, const struct step *s,
                            size_t rows)
{
    const float *w = train_weights_of(&s->matrix);
    struct value *in = s->in, *out = s->out;
    struct weight *mw = s->matrix.w, *mb = s->bias.w;
    size_t n = rows * in->width;
    bool wanted = in != t->input;
    struct io io = {.rows = rows,
                    .x = t->mid[0],
                    .w = w,
                    .gy = t->mid[2],
                    .gx = wanted ? t->mid[0] : NULL,
                    .gw = mw ? mw->g : NULL,
                    .gb = mb ? mb->g : NULL,
                    .add_w = mw && !mw->fresh,
                    .add_b = mb && !mb->fresh};

    if (out->fresh[PLANE_LOWER])
        return;
    halve(t->mid[0], t->mid[1], in->x[PLANE_LOWER], in->x[PLANE_UPPER], n,
          0.5f);
    halve(t->mid[2], t->mid[3], out->g[PLANE_LOWER], out->g[PLANE_UPPER],
          rows * out->width, 1);
    train_run(t, s, &io, s->kind->backward);
    magnitude(t->magnitude, w, s->matrix.n);
    io.x = t->mid[1];
    io.w = t->magnitude;
    io.gy = t->mid[3];
    io.gx = wanted ? t->mid[1] : NULL;
    io.gw = mw ? t->magnitude_g : NULL;
    io.gb = NULL;
    io.add_w = false;
    train_run(t, s, &io, s->kind->backward);
    if (mw) {
        add_signed(mw->g, t->magnitude_g, w, s->matrix.n);
        mw->fresh = false;
    }
    if (mb)
        mb->fresh = false;
    if (!wanted)
        return;
    halve(t->mid[2], t->mid[3], t->mid[1], t->mid[0], n, 0.5f);
    train_put(in->g[PLANE_UPPER], t->mid[2], n, !in->fresh[PLANE_UPPER]);
    train_put(in->g[PLANE_LOWER], t->mid[3], n, !in->fresh[PLANE_LOWER]);
    in->fresh[PLANE_LOWER] = in->fresh[PLANE_UPPER] = false;
}

void train_robust_forward(struct ax_trainer *t, size_t rows)
{
    size_t n = rows * t->input->width;
    const float *x = t->input->x[PLANE_EXACT];
    float e = (float)t->epsilon;

    for (size_t i = 0; i < n; i++) {
        t->input->x[PLANE_LOWER][i] = x[i] - e;
        t->input->x[PLANE_UPPER][i] = x[i] + e;
    }
    for (uint32_t i = 0; i < t->model->graph->n_nodes; i++) {
        const struct step *s = &t->steps[i];

        if (s->kind->linear) {
            linear_forward(t, s, rows);
            continue;
        }
        train_step_forward(t, s, rows, PLANE_LOWER);
        train_step_forward(t, s, rows, PLANE_UPPER);
    }
}

/* The worst logits: the least of the right class, the largest of others. */
static void worst_logits(struct ax_trainer *t, float *z,
                         const struct ax_target *y, size_t rows)
{
    size_t n = t->output->width;

    memcpy(z, t->output->x[PLANE_UPPER], rows * n * sizeof *z);
    for (size_t i = 0; i < rows; i++) {
        size_t right = i * n + (size_t)y->classes[i];

        z[right] = t->output->x[PLANE_LOWER][right];
    }
}

double train_robust_loss(struct ax_trainer *t, const struct ax_target *y,
                         size_t rows)
{
    size_t n = t->output->width;
    float *lower = t->output->g[PLANE_LOWER];
    float *upper = t->output->g[PLANE_UPPER];
    double loss;

    worst_logits(t, t->mid[0], y, rows);
    loss = train_loss(upper, t->mid[0], y, rows, n, t->share, &t->opt);
    memset(lower, 0, rows * n * sizeof *lower);
    for (size_t i = 0; i < rows; i++) {
        size_t right = i * n + (size_t)y->classes[i];

        lower[right] = upper[right];
        upper[right] = 0;
    }
    t->output->fresh[PLANE_LOWER] = t->output->fresh[PLANE_UPPER] = false;
    return t->share * loss;
}

void train_robust_backward(struct ax_trainer *t, size_t rows)
{
    for (uint32_t i = t->model->graph->n_nodes; i-- > 0;) {
        const struct step *s = &t->steps[i];

        if (s->kind->linear) {
            linear_backward(t, s, rows);
            continue;
        }
        train_step_backward(t, s, rows, PLANE_LOWER);
        train_step_backward(t, s, rows, PLANE_UPPER);
    }
}
