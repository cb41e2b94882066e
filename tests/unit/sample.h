/* tests/unit/sample.h - models built by hand, for tests of what works on
 * models. Nothing here can fail but for memory: then it aborts. */
#ifndef SAMPLE_H
#define SAMPLE_H

#include <stdlib.h>
#include <string.h>

#include "ax/model.h"

static void *sample_copy(const void *p, size_t n)
{
    void *out = malloc(n ? n : 1);

    if (!out)
        abort();
    memcpy(out, p, n);
    return out;
}

static char *sample_text(const char *s)
{
    return sample_copy(s, strlen(s) + 1);
}

static void sample_value(struct ax_value *v, const char *name, int rank,
                         const int64_t *dims, uint32_t tensor)
{
    *v = (struct ax_value){.name = sample_text(name),
                           .dtype = AX_F32,
                           .rank = rank,
                           .tensor = tensor};
    for (int i = 0; i < rank; i++)
        v->dims[i] = dims[i];
}

static void sample_node(struct ax_node *n, ax_op op, const char *name,
                        uint32_t n_in, const uint32_t *in, uint32_t out)
{
    *n = (struct ax_node){.op = op,
                          .name = sample_text(name),
                          .n_in = n_in,
                          .n_out = 1,
                          .in = sample_copy(in, n_in * sizeof *in),
                          .out = sample_copy(&out, sizeof out),
                          .attrs = sample_copy("", 0)};
}

/* y = Relu(x w + b), with x [?,n_in] and y [?,n_out]; weights count up. */
static struct ax_model *sample_model(int64_t n_in, int64_t n_out)
{
    static const uint32_t gemm[] = {0, 1, 2}, relu[] = {3};
    const uint32_t first = 0, last = 4;
    struct ax_model *m = calloc(1, sizeof *m);
    struct ax_graph *g = calloc(1, sizeof *g);
    struct ax_err err = {0};
    float *w;

    if (!m || !g)
        abort();
    *g = (struct ax_graph){.name = sample_text("a dense layer"),
                           .n_values = 5,
                           .n_nodes = 2,
                           .n_inputs = 1,
                           .n_outputs = 1,
                           .values = calloc(5, sizeof *g->values),
                           .nodes = calloc(2, sizeof *g->nodes),
                           .inputs = sample_copy(&first, sizeof first),
                           .outputs = sample_copy(&last, sizeof last)};
    m->graph = g;
    m->n_tensors = 2;
    m->tensors = calloc(2, sizeof *m->tensors);
    if (!g->values || !g->nodes || !m->tensors ||
        ax_tensor_new(&m->tensors[0], AX_F32, 2, (int64_t[]){n_in, n_out},
                      &err) ||
        ax_tensor_new(&m->tensors[1], AX_F32, 1, &n_out, &err))
        abort();
    w = m->tensors[0].data;
    for (int64_t i = 0; i < n_in * n_out; i++)
        w[i] = (float)(i % 9973) * 0.5f - 3;
    w = m->tensors[1].data;
    for (int64_t i = 0; i < n_out; i++)
        w[i] = (float)i;
    sample_value(&g->values[0], "x", 2, (int64_t[]){-1, n_in}, AX_NONE);
    sample_value(&g->values[1], "w", 2, (int64_t[]){n_in, n_out}, 0);
    sample_value(&g->values[2], "b", 1, &n_out, 1);
    sample_value(&g->values[3], "z", 2, (int64_t[]){-1, n_out}, AX_NONE);
    sample_value(&g->values[4], "y", 2, (int64_t[]){-1, n_out}, AX_NONE);
    g->values[0].dim_names[0] = sample_text("batch");
    sample_node(&g->nodes[0], AX_OP_Gemm, "dense", 3, gemm, 3);
    sample_node(&g->nodes[1], AX_OP_Relu, "", 1, relu, 4);
    return m;
}

#endif
