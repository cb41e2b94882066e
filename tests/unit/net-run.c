/* The network that was lowered against the operators, one by one: at random
 * points the exact outputs and those of the reference backend agree to what
 * float32 can tell. net-run MODEL.axm ...; one line of TAP each. */
#include <math.h>
#include <stdlib.h>

#include "ax/net.h"
#include "ax/run.h"
#include "tap.h"

enum { POINTS = 8 };

/* Inputs of the graph's shapes, and the same numbers one after the other. */
static ax_status random_inputs(struct ax_tensor *in, float *x,
                               const struct ax_graph *g, struct ax_err *err)
{
    for (uint32_t i = 0; i < g->n_inputs; i++) {
        const struct ax_value *v = &g->values[g->inputs[i]];
        int64_t dims[AX_RANK_MAX];

        for (int d = 0; d < v->rank; d++)
            dims[d] = v->dims[d] < 0 ? 1 : v->dims[d];
        AX_TRY(ax_tensor_new(&in[i], AX_F32, v->rank, dims, err));
        for (size_t j = 0; j < ax_tensor_count(&in[i]); j++)
            *x++ = ((float *)in[i].data)[j] =
                (float)rand() / (float)RAND_MAX - 0.5F;
    }
    return AX_OK;
}

/* The largest difference at one point, relative to the largest output. */
static double difference(const struct ax_tensor *out, uint32_t n_out,
                         const double *y)
{
    double worst = 0, top = 1e-3;

    for (uint32_t i = 0; i < n_out; i++)
        for (size_t j = 0; j < ax_tensor_count(&out[i]); j++, y++) {
            double v = (double)((const float *)out[i].data)[j];

            worst = fmax(worst, fabs(v - *y));
            top = fmax(top, fabs(*y));
        }
    return worst / top;
}

static ax_status compare(double *worst, const struct ax_model *m,
                         const struct ax_net *net, struct ax_err *err)
{
    const struct ax_run_options ref = {.backend = "ref"};
    const struct ax_graph *g = m->graph;
    struct ax_tensor *in = calloc(g->n_inputs + 1, sizeof *in);
    struct ax_tensor *out = calloc(g->n_outputs + 1, sizeof *out);
    float *x = calloc(net->nodes[0].n + 1, sizeof *x);
    double *y = calloc(net->nodes[net->n_nodes - 1].n + 1, sizeof *y);
    struct ax_plan *plan = NULL;
    ax_status st = AX_ENOMEM;

    if (in && out && x && y)
        st = ax_plan_new(&plan, m, &ref, err);
    for (int i = 0; st == AX_OK && i < POINTS; i++) {
        st = random_inputs(in, x, g, err);
        if (st == AX_OK)
            st = ax_plan_run(plan, out, in, err);
        if (st == AX_OK)
            st = ax_net_exact(net, x, y, err);
        if (st == AX_OK)
            *worst = fmax(*worst, difference(out, g->n_outputs, y));
        for (uint32_t k = 0; k < g->n_inputs; k++)
            ax_tensor_free(&in[k]);
        for (uint32_t k = 0; k < g->n_outputs; k++)
            ax_tensor_free(&out[k]);
    }
    ax_plan_free(plan);
    free(in);
    free(out);
    free(x);
    free(y);
    return st;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct ax_err err = {0};
        struct ax_model *m = NULL;
        struct ax_net *net = NULL;
        double worst = 0;

        srand(1);
        printf("# %s\n", argv[i]);
        OK(ax_model_open(&m, argv[i], &err) == AX_OK &&
           ax_net_lower(&net, m, &err) == AX_OK &&
           compare(&worst, m, net, &err) == AX_OK && worst < 1e-4);
        printf("# worst difference %g %s\n", worst, err.msg);
        ax_net_free(net);
        ax_model_free(m);
    }
    return tap_done();
}
