/* How far a model is from the one before a pass, on random inputs. */
#include <math.h>
#include <stdlib.h>

#include "ax/element.h"
#include "ax/run.h"
#include "ax/train.h"
#include "opt/opt.h"

static void free_all(struct ax_tensor *t, size_t n)
{
    for (size_t i = 0; t && i < n; i++)
        ax_tensor_free(&t[i]);
    free(t);
}

void opt_measure_free(struct opt_measure *r)
{
    size_t samples = r->options ? r->options->samples : 0;

    free_all(r->in, samples * r->n_inputs);
    free_all(r->out, samples * r->n_outputs);
    *r = (struct opt_measure){0};
}

/* Element I of stream STREAM: a real in [-scale, scale], or 0 or 1. */
static void draw(struct ax_tensor *t, const struct ax_opt_options *o,
                 uint64_t stream)
{
    bool real = ax_dtype_class(t->dtype) == AX_CLASS_REAL;

    for (size_t i = 0; i < ax_tensor_count(t); i++) {
        uint64_t bits = ax_train_random(o->seed, stream, i);
        double unit = ldexp((double)(bits >> 11), -53);
        double x = real ? o->scale * (2 * unit - 1) : (double)(bits >> 63);

        ax_put_f64(t->dtype, t->data, i, &x, 1);
    }
}

static ax_status draw_input(struct ax_tensor *t, const struct ax_value *v,
                            const struct ax_opt_options *o, uint64_t stream,
                            struct ax_err *err)
{
    int64_t dims[AX_RANK_MAX];

    if (v->dtype == AX_DTYPE_NONE || v->dtype == AX_STRING || v->rank < 0)
        return ax_fail(
            err, AX_EUNSUPPORTED,
            "input '%s' has no shape, or strings, so there is nothing "
            "to measure with",
            v->name);
    for (int d = 0; d < v->rank; d++)
        dims[d] = v->dims[d] < 0 ? o->free_size : v->dims[d];
    AX_TRY(ax_tensor_new(t, v->dtype, v->rank, dims, err));
    draw(t, o, stream);
    return AX_OK;
}

/* The outputs for every sample. OUT has room for them and is empty. */
static ax_status run_all(struct ax_tensor *out, const struct opt_measure *r,
                         const struct ax_model *m, struct ax_err *err)
{
    struct ax_run_options o = {.backend = r->options->backend,
                               .threads = r->options->threads,
                               .deterministic = true};
    struct ax_plan *p;
    ax_status st;

    AX_TRY(ax_plan_new(&p, m, &o, err));
    st = AX_OK;
    for (size_t s = 0; s < r->options->samples && st == AX_OK; s++)
        st = ax_plan_run(p, out + s * r->n_outputs, r->in + s * r->n_inputs,
                         err);
    ax_plan_free(p);
    return st;
}

ax_status opt_measure_begin(struct opt_measure *r, const struct ax_model *m,
                            const struct ax_opt_options *options,
                            struct ax_err *err)
{
    const struct ax_graph *g = m->graph;
    size_t samples = options->samples;

    *r = (struct opt_measure){.options = options,
                              .n_inputs = g->n_inputs,
                              .n_outputs = g->n_outputs};
    r->in = calloc(samples * g->n_inputs + 1, sizeof *r->in);
    r->out = calloc(samples * g->n_outputs + 1, sizeof *r->out);
    if (!r->in || !r->out)
        return ax_fail(err, AX_ENOMEM, "no memory for %zu samples", samples);
    for (size_t s = 0; s < samples; s++)
        for (uint32_t i = 0; i < g->n_inputs; i++)
            AX_TRY(draw_input(&r->in[s * g->n_inputs + i],
                              &g->values[g->inputs[i]], options,
                              s * g->n_inputs + i, err));
    return run_all(r->out, r, m, err);
}

ax_status opt_measure_again(struct opt_measure *r, const struct ax_model *m,
                            struct ax_opt_done *done, struct ax_err *err)
{
    size_t n = (size_t)r->options->samples * r->n_outputs;
    struct ax_tensor *out = calloc(n + 1, sizeof *out);
    ax_status st;

    if (!out)
        return ax_fail(err, AX_ENOMEM, "no memory for %zu outputs", n);
    st = run_all(out, r, m, err);
    for (size_t i = 0; st == AX_OK && i < n; i++) {
        struct ax_difference d = ax_tensor_compare(&out[i], &r->out[i]);

        done->absolute = fmax(done->absolute, d.absolute);
        done->relative = fmax(done->relative, d.relative);
    }
    done->measured = st == AX_OK;
    free_all(r->out, n);
    r->out = out;
    return st;
}
