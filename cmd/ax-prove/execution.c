/* The network as it is computed in binary32: one execution, that of the
 * reference, whose sums go from the first term to the last. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ax/run.h"
#include "prove.h"

struct execution {
    struct ax_plan *plan;
    uint32_t n_in, n_out;
    struct ax_tensor *in, *out;
};

static ax_status new_inputs(struct execution *e, const struct ax_model *m,
                            struct ax_err *err)
{
    const struct ax_graph *g = m->graph;

    e->n_in = g->n_inputs;
    e->n_out = g->n_outputs;
    e->in = calloc(e->n_in + 1u, sizeof *e->in);
    e->out = calloc(e->n_out + 1u, sizeof *e->out);
    if (!e->in || !e->out)
        return ax_fail(err, AX_ENOMEM, "no memory for an execution");
    for (uint32_t i = 0; i < e->n_in; i++) {
        const struct ax_value *v = &g->values[g->inputs[i]];
        int64_t dims[AX_RANK_MAX];

        for (int d = 0; d < v->rank; d++)
            dims[d] = v->dims[d] < 0 ? 1 : v->dims[d];
        AX_TRY(ax_tensor_new(&e->in[i], AX_F32, v->rank, dims, err));
    }
    return AX_OK;
}

/* All outputs of the network, one after the other, if they are finite. */
static ax_status run(void *self, const float *x, float *y, struct ax_err *err)
{
    struct execution *e = self;
    bool finite = true;
    ax_status st;

    for (uint32_t i = 0; i < e->n_in; i++) {
        memcpy(e->in[i].data, x, e->in[i].nbytes);
        x += e->in[i].nbytes / sizeof *x;
    }
    st = ax_plan_run(e->plan, e->out, e->in, err);
    for (uint32_t i = 0; i < e->n_out && st == AX_OK; i++) {
        size_t n = ax_tensor_count(&e->out[i]);

        if (e->out[i].dtype != AX_F32)
            st = ax_fail(err, AX_EBUG, "an output is not float32");
        for (size_t j = 0; j < n && st == AX_OK; j++) {
            *y = ((const float *)e->out[i].data)[j];
            finite &= isfinite(*y++) != 0;
        }
    }
    for (uint32_t i = 0; i < e->n_out; i++)
        ax_tensor_free(&e->out[i]);
    return st == AX_OK && !finite ? AX_NO : st;
}

static bool single(const struct ax_graph *g, const uint32_t *v, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (g->values[v[i]].dtype != AX_F32)
            return false;
    return true;
}

ax_status execution_new(struct job *j, struct ax_err *err)
{
    const struct ax_graph *g = j->model->graph;
    const struct ax_run_options opt = {.backend = "ref", .threads = 1};
    struct execution *e;
    ax_status st;

    if (j->execution.self || !single(g, g->inputs, g->n_inputs) ||
        !single(g, g->outputs, g->n_outputs))
        return AX_OK;
    e = calloc(1, sizeof *e);
    if (!e)
        return ax_fail(err, AX_ENOMEM, "no memory for an execution");
    j->execution = (struct ax_execution){run, e};
    st = new_inputs(e, j->model, err);
    if (st == AX_OK)
        st = ax_plan_new(&e->plan, j->model, &opt, err);
    if (st == AX_OK)
        return st;
    execution_free(j);
    if (st == AX_EUNSUPPORTED) { /* then there is none */
        *err = (struct ax_err){0};
        return AX_OK;
    }
    return st;
}

void execution_free(struct job *j)
{
    struct execution *e = j->execution.self;

    if (!e)
        return;
    for (uint32_t i = 0; e->in && i < e->n_in; i++)
        ax_tensor_free(&e->in[i]);
    ax_plan_free(e->plan);
    free(e->in);
    free(e->out);
    free(e);
    j->execution = (struct ax_execution){0};
}
