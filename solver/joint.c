/* The network that a query over several is of: all of them in one graph. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graft.h"
#include "query.h"

/* ---- names and shapes ---- */

static bool is_own(const struct query_tensor *t, const struct ax_graph *g,
                   uint32_t v)
{
    const uint32_t *ends = t->kind == QUERY_INPUT ? g->inputs : g->outputs;
    uint32_t n = t->kind == QUERY_INPUT ? g->n_inputs : g->n_outputs;

    if (t->kind == QUERY_HIDDEN)
        return g->values[v].tensor == AX_NONE;
    for (uint32_t i = 0; i < n; i++)
        if (ends[i] == v)
            return true;
    return false;
}

/* By the name of a value or, for a hidden one, of the node that makes it. */
static uint32_t by_name(const struct query_tensor *t,
                        const struct ax_graph *g)
{
    for (uint32_t v = 0; v < g->n_values; v++)
        if (g->values[v].name && strcmp(g->values[v].name, t->onnx) == 0 &&
            is_own(t, g, v))
            return v;
    for (uint32_t i = 0; t->kind == QUERY_HIDDEN && i < g->n_nodes; i++)
        if (g->nodes[i].name && strcmp(g->nodes[i].name, t->onnx) == 0)
            return g->nodes[i].out[0];
    return AX_NONE;
}

static ax_status check_shape(const struct query_tensor *t,
                             const struct ax_value *v, struct ax_err *err)
{
    int k = 0;
    bool same = v->rank >= 0;

    if (v->dtype != AX_F32 && v->dtype != AX_F64)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "'%.80s' is not float32 or float64 in the network",
                       t->name);
    /* Beside dimensions of 1; a free one is 1. */
    for (int i = 0; same && i < v->rank; i++) {
        int64_t d = v->dims[i] < 0 ? 1 : v->dims[i];

        if (d == 1)
            continue;
        while (k < t->rank && t->dims[k] == 1)
            k++;
        same = k < t->rank && t->dims[k++] == d;
    }
    while (same && k < t->rank)
        same = t->dims[k++] == 1;
    if (!same)
        return ax_fail(err, AX_ESHAPE,
                       "'%.80s' has another shape than '%.80s' of the "
                       "network",
                       t->name, v->name ? v->name : "");
    return AX_OK;
}

ax_status query_value(uint32_t *out, const struct query_tensor *t,
                      uint32_t nth, const struct ax_model *m,
                      struct ax_err *err)
{
    const struct ax_graph *g = m->graph;
    uint32_t n = t->kind == QUERY_INPUT ? g->n_inputs : g->n_outputs;

    if (t->onnx)
        *out = by_name(t, g);
    else
        *out = nth >= n                 ? AX_NONE
               : t->kind == QUERY_INPUT ? g->inputs[nth]
                                        : g->outputs[nth];
    if (*out == AX_NONE && t->onnx)
        return ax_fail(err, AX_EFORMAT,
                       "the network has no such value as '%.80s' for '%.80s'",
                       t->onnx, t->name);
    if (*out == AX_NONE)
        return ax_fail(err, AX_ESHAPE, "the network has no %s for '%.80s'",
                       t->kind == QUERY_INPUT ? "input" : "output", t->name);
    return check_shape(t, &g->values[*out], err);
}

/* ---- inputs ---- */

static ax_status add_floats(struct graft *p, uint32_t *out, const char *name,
                            ax_dtype dtype, const uint32_t *plus, int64_t n)
{
    struct ax_tensor *t = &p->m->tensors[p->m->n_tensors];

    AX_TRY(graft_value(p, out, name, "", dtype, 1, &n));
    AX_TRY(ax_tensor_new(t, dtype, 1, &n, p->err));
    for (int64_t i = 0; i < n; i++) {
        bool is = plus[i] != AX_NONE;

        if (dtype == AX_F64)
            ((double *)t->data)[i] = is;
        else
            ((float *)t->data)[i] = is;
    }
    p->m->graph->values[*out].tensor = p->m->n_tensors++;
    return AX_OK;
}

/* A vector of n elements of the input, at from[i]; 0 where that is none. */
static ax_status gather(struct graft *p, uint32_t *out, uint32_t x,
                        const char *name, const uint32_t *from, int64_t n)
{
    int64_t *at = calloc((size_t)n + 1, sizeof *at);
    uint32_t in[2] = {x};
    char shown[80];
    ax_status st;

    if (!at)
        return graft_no_memory(p);
    for (int64_t i = 0; i < n; i++)
        at[i] = from[i] == AX_NONE ? 0 : from[i];
    snprintf(shown, sizeof shown, "%s/at", name);
    st = graft_ints(p, &in[1], shown, at, (int)n);
    free(at);
    AX_TRY(st);
    return graft_node(p, out, AX_OP_Gather, name, in, 2);
}

/* What tensor t of a query takes from the vector. */
static ax_status make_input(struct graft *p, const struct joint *j,
                            const struct query_tensor *t, uint32_t x,
                            uint32_t v)
{
    const struct ax_value *value = &p->part[t->network]->graph->values[v];
    const uint32_t *of = j->of + t->first, *plus = j->plus + t->first;
    int64_t dims[AX_RANK_MAX];
    uint64_t n;
    uint32_t sum[2], part[2], all;
    char name[80];
    bool shifted = false;

    AX_TRY(graft_input_dims(p, value, dims, &n));
    for (uint64_t i = 0; i < n; i++)
        shifted |= plus[i] != AX_NONE;
    snprintf(name, sizeof name, "of/%.64s", t->name);
    AX_TRY(gather(p, &sum[0], x, name, of, (int64_t)n));
    if (shifted) {
        snprintf(name, sizeof name, "more/%.64s", t->name);
        AX_TRY(gather(p, &part[0], x, name, plus, (int64_t)n));
        snprintf(name, sizeof name, "which/%.64s", t->name);
        AX_TRY(add_floats(p, &part[1], name, value->dtype, plus, (int64_t)n));
        snprintf(name, sizeof name, "shift/%.64s", t->name);
        AX_TRY(graft_node(p, &sum[1], AX_OP_Mul, name, part, 2));
        snprintf(name, sizeof name, "shifted/%.64s", t->name);
        AX_TRY(graft_node(p, &all, AX_OP_Add, name, sum, 2));
        sum[0] = all;
    }
    snprintf(name, sizeof name, "as/%.64s", t->name);
    return graft_reshape(p, &p->map[t->network][v], sum[0], name, dims,
                         value->rank);
}

/* ---- the whole ---- */

/* The value of every tensor, in its own network. */
static ax_status find_values(uint32_t *value, const struct joint *j,
                             struct ax_err *err)
{
    uint32_t nth[3], network = AX_NONE;

    for (uint32_t i = 0; i < j->q->n_tensors; i++) {
        const struct query_tensor *t = &j->q->tensor[i];

        if (t->network != network)
            memset(nth, 0, sizeof nth);
        network = t->network;
        AX_TRY(query_value(&value[i], t, nth[t->kind]++, j->models[network],
                           err));
        if (nth[QUERY_INPUT] < j->models[network]->graph->n_inputs &&
            t->kind != QUERY_INPUT)
            return ax_fail(
                err, AX_ESHAPE, "%u inputs are declared, the network has %u",
                nth[QUERY_INPUT], j->models[network]->graph->n_inputs);
    }
    return AX_OK;
}

ax_status joint_check(const struct ax_query *q,
                      const struct ax_model *const *models,
                      struct ax_err *err)
{
    uint32_t *value = calloc(q->n_tensors + (size_t)1, sizeof *value);
    const struct joint j = {.q = q, .models = models};
    ax_status st = value ? find_values(value, &j, err)
                         : ax_fail(err, AX_ENOMEM, "no memory for a query");

    free(value);
    return st;
}

static ax_status build(struct graft *p, const struct joint *j,
                       const uint32_t *value)
{
    const struct ax_query *q = j->q;
    struct ax_graph *g;
    int64_t n = j->n;
    ax_dtype dtype =
        p->part[0]->graph->values[value[0]].dtype; /* of an input */
    uint32_t x;

    AX_TRY(graft_begin(p, 16 * (size_t)q->n_tensors + 16, 1, q->n_tensors));
    g = p->m->graph;
    AX_TRY(graft_value(p, &x, "x", "", dtype, 1, &n));
    g->inputs[g->n_inputs++] = x;
    for (uint32_t i = 0; i < q->n_tensors; i++) {
        const struct query_tensor *t = &q->tensor[i];

        if (t->kind != QUERY_INPUT)
            continue;
        if (p->part[t->network]->graph->values[value[i]].dtype != dtype)
            return ax_fail(p->err, AX_EUNSUPPORTED,
                           "the networks' inputs are of several types");
        AX_TRY(make_input(p, j, t, x, value[i]));
    }
    for (int k = 0; k < p->n; k++)
        AX_TRY(graft_part(p, k));
    for (uint32_t i = 0; i < q->n_tensors; i++)
        if (q->tensor[i].kind != QUERY_INPUT)
            g->outputs[g->n_outputs++] =
                p->map[q->tensor[i].network][value[i]];
    return graft_finish(p);
}

ax_status joint_model(struct ax_model **out, const struct joint *j,
                      struct ax_err *err)
{
    struct graft p = {.n = (int)j->q->n_networks, .err = err};
    uint32_t *value = calloc((size_t)j->q->n_tensors + 1, sizeof *value);
    ax_status st = value ? find_values(value, j, err) : graft_no_memory(&p);

    for (int k = 0; k < p.n; k++)
        p.part[k] = j->models[k];
    if (st == AX_OK)
        st = build(&p, j, value);
    free(value);
    graft_end(&p, st, out);
    return st;
}
