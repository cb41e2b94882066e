/* Fuzz target: queries of VNN-LIB 2.0, and the properties made of them. */
#include <stdlib.h>
#include <string.h>

#include "ax/prop.h"
#include "ax/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* max(0, x) of two numbers. */
static struct ax_model *network(void)
{
    struct ax_model *m = calloc(1, sizeof *m);
    struct ax_graph *g = calloc(1, sizeof *g);

    m->graph = g;
    g->name = strdup("");
    g->values = calloc(2, sizeof *g->values);
    g->nodes = calloc(1, sizeof *g->nodes);
    g->inputs = calloc(1, sizeof *g->inputs);
    g->outputs = calloc(1, sizeof *g->outputs);
    m->tensors = calloc(1, sizeof *m->tensors);
    for (int v = 0; v < 2; v++) {
        g->values[v] = (struct ax_value){
            .dtype = AX_F32, .rank = 1, .dims = {2}, .tensor = AX_NONE};
        g->values[v].name = strdup(v ? "y" : "x");
    }
    g->n_values = 2;
    g->nodes[0] = (struct ax_node){.op = AX_OP_Relu, .n_in = 1, .n_out = 1};
    g->nodes[0].name = strdup("r");
    g->nodes[0].in = calloc(1, sizeof *g->nodes[0].in);
    g->nodes[0].out = calloc(1, sizeof *g->nodes[0].out);
    g->nodes[0].out[0] = 1;
    g->n_nodes = g->n_inputs = g->n_outputs = 1;
    g->outputs[0] = 1;
    return m;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const struct ax_model *models[64];
    struct ax_model *m, *joint;
    struct ax_query *q;
    struct ax_prop *p;
    struct ax_err err = {0};
    char *text;
    size_t size;

    if (ax_query_read(&q, (const char *)data, n, &err) != AX_OK)
        return 0;
    m = network();
    for (int i = 0; i < 64; i++)
        models[i] = m;
    if (ax_query_bind(&joint, &text, &size, q, models, &err) == AX_OK) {
        uint32_t n_x = joint ? (uint32_t)joint->graph
                                   ->values[joint->graph->inputs[0]]
                                   .dims[0]
                             : 2;
        uint32_t n_y = joint ? 2 * joint->graph->n_outputs : 2;

        if (ax_prop_read(&p, text, size, n_x, n_y, &err) == AX_OK)
            ax_prop_free(p);
        ax_model_free(joint);
        free(text);
    }
    ax_query_free(q);
    ax_model_free(m);
    return 0;
}
