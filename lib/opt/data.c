/* Running a model on data that somebody gave: to see what its values are, and
 * what became of its outputs. */
#include <stdlib.h>

#include "ax/run.h"
#include "opt/opt.h"

/* The shape of input I for one run. A free first dimension is a batch of
 * one. */
static ax_status shape_of(struct ax_tensor *t, const struct ax_model *m,
                          uint32_t i, const struct ax_narrow_options *opt,
                          struct ax_err *err)
{
    const struct ax_value *v = &m->graph->values[m->graph->inputs[i]];
    size_t n;

    if (v->dtype == AX_DTYPE_NONE || v->dtype == AX_STRING || v->rank < 0)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "input '%s' has no shape, or strings, so there is "
                       "nothing to run",
                       v->name);
    *t = (struct ax_tensor){.dtype = v->dtype, .rank = v->rank};
    for (int d = 0; d < v->rank; d++)
        t->dims[d] = v->dims[d] >= 0 ? v->dims[d]
                     : d == 0        ? 1
                                     : opt->free_size;
    AX_TRY(
        ax_shape_count(&n, t->rank, t->dims, ax_dtype_size(v->dtype), err));
    t->nbytes = n * ax_dtype_size(v->dtype);
    return AX_OK;
}

static ax_status runs_of(int64_t *out, const struct ax_model *m, uint32_t i,
                         const struct ax_narrow_options *opt,
                         struct ax_err *err)
{
    const struct ax_value *v = &m->graph->values[m->graph->inputs[i]];
    const struct ax_tensor *data = &opt->data[i];
    struct ax_tensor one;
    char want[160], have[160];

    AX_TRY(shape_of(&one, m, i, opt, err));
    if (data->dtype != one.dtype || one.nbytes == 0 || data->nbytes == 0 ||
        data->nbytes % one.nbytes != 0)
        return ax_fail(
            err, AX_ESHAPE,
            "data for input '%s' are %s, which is not a number of times %s",
            v->name,
            ax_shape_text(have, sizeof have, data->dtype, data->rank,
                          data->dims),
            ax_shape_text(want, sizeof want, one.dtype, one.rank, one.dims));
    *out = (int64_t)(data->nbytes / one.nbytes);
    return AX_OK;
}

ax_status opt_data_runs(int64_t *out, const struct ax_model *m,
                        const struct ax_narrow_options *opt,
                        struct ax_err *err)
{
    const struct ax_graph *g = m->graph;
    int64_t n;

    if (g->n_inputs == 0)
        return ax_fail(err, AX_EUNSUPPORTED, "the model has no inputs");
    AX_TRY(runs_of(out, m, 0, opt, err));
    for (uint32_t i = 1; i < g->n_inputs; i++) {
        AX_TRY(runs_of(&n, m, i, opt, err));
        if (n != *out)
            return ax_fail(err, AX_ESHAPE,
                           "data for input '%s' are %lld runs, those for "
                           "'%s' %lld",
                           g->values[g->inputs[0]].name, (long long)*out,
                           g->values[g->inputs[i]].name, (long long)n);
    }
    return AX_OK;
}

static ax_status one_run(struct ax_plan *p, struct ax_model *m, int64_t run,
                         struct ax_tensor *in, struct ax_tensor *out,
                         const struct ax_narrow_options *opt,
                         struct ax_err *err)
{
    for (uint32_t i = 0; i < m->graph->n_inputs; i++) {
        AX_TRY(shape_of(&in[i], m, i, opt, err));
        in[i].data = (char *)opt->data[i].data + (size_t)run * in[i].nbytes;
    }
    return ax_plan_run(p, out, in, err);
}

static ax_status all_runs(struct ax_model *m,
                          const struct ax_narrow_options *opt, opt_see *see,
                          void *x, struct ax_err *err)
{
    const struct ax_run_options o = {.backend = opt->backend,
                                     .threads = opt->threads,
                                     .deterministic = true};
    struct ax_graph *g = m->graph;
    struct ax_tensor *in = calloc(g->n_inputs + 1u, sizeof *in);
    struct ax_tensor *out = calloc(g->n_outputs + 1u, sizeof *out);
    struct ax_plan *p = NULL;
    int64_t runs = 0;
    ax_status st;

    if (!in || !out)
        st = ax_fail(err, AX_ENOMEM, "no memory for a run");
    else
        st = opt_data_runs(&runs, m, opt, err);
    if (st == AX_OK)
        st = ax_plan_new(&p, m, &o, err);
    for (int64_t r = 0; r < runs && st == AX_OK; r++) {
        st = one_run(p, m, r, in, out, opt, err);
        if (st == AX_OK)
            st = see(x, r, out, err);
        for (uint32_t k = 0; k < g->n_outputs; k++)
            ax_tensor_free(&out[k]);
    }
    ax_plan_free(p);
    free(in);
    free(out);
    return st;
}

ax_status opt_data_each(struct ax_model *m, uint32_t *values, uint32_t n,
                        const struct ax_narrow_options *opt, opt_see *see,
                        void *x, struct ax_err *err)
{
    struct ax_graph *g = m->graph;
    uint32_t *outputs = g->outputs, n_outputs = g->n_outputs;
    ax_status st;

    if (n > 0) {
        g->outputs = values;
        g->n_outputs = n;
    }
    st = all_runs(m, opt, see, x, err);
    g->outputs = outputs;
    g->n_outputs = n_outputs;
    return st;
}
