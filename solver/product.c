/* Two copies of a network, or two networks, side by side in one graph that
 * takes their inputs once and gives the difference of their outputs. What is
 * made is a model like any other: see ax/ready.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ax/ready.h"
#include "graft.h"

/* What the graph has beside the two parts: for each input a value, two
 * constants and two more values; for each output a vector; and the ends. */
#define EXTRA(inputs, outputs) (5 * (size_t)(inputs) + 2 * (outputs) + 16)

struct product {
    struct graft g;
    uint32_t shift; /* the value, or AX_NONE */
};

/* ---- inputs and outputs ---- */

static const struct ax_value *input_of(const struct product *p, int part,
                                       uint32_t i)
{
    const struct ax_graph *g = p->g.part[part]->graph;

    return &g->values[g->inputs[i]];
}

/* One input for both; the second may want it in another shape. */
static ax_status share_input(struct product *p, uint32_t i)
{
    const struct ax_value *a = input_of(p, 0, i), *b = input_of(p, 1, i);
    int64_t da[AX_RANK_MAX], db[AX_RANK_MAX];
    uint64_t na, nb;
    uint32_t v;
    char name[48];

    AX_TRY(graft_input_dims(&p->g, a, da, &na));
    AX_TRY(graft_input_dims(&p->g, b, db, &nb));
    if (na != nb || a->dtype != b->dtype)
        return ax_fail(p->g.err, AX_ESHAPE,
                       "input '%.80s' has %llu elements of %s, '%.80s' of "
                       "the other network %llu of %s",
                       a->name, (unsigned long long)na,
                       ax_dtype_name(a->dtype), b->name,
                       (unsigned long long)nb, ax_dtype_name(b->dtype));
    AX_TRY(graft_value(&p->g, &v, "x/", a->name, a->dtype, a->rank, da));
    p->g.m->graph->inputs[p->g.m->graph->n_inputs++] = v;
    p->g.map[0][p->g.part[0]->graph->inputs[i]] = v;
    if (a->rank != b->rank ||
        memcmp(da, db, (size_t)a->rank * sizeof *da) != 0) {
        snprintf(name, sizeof name, "again/%u", i);
        AX_TRY(graft_reshape(&p->g, &v, v, name, db, b->rank));
    }
    p->g.map[1][p->g.part[1]->graph->inputs[i]] = v;
    return AX_OK;
}

/* The last input, and what the second copy takes instead of input i: the
 * shift, padded with zeros to all elements, is added to it. */
static ax_status shift_input(struct product *p, uint32_t i, uint64_t at)
{
    const struct ax_value *a = input_of(p, 0, i);
    uint32_t input = p->g.part[0]->graph->inputs[i], in[2], padded, v;
    int64_t dims[AX_RANK_MAX], one = 1, pads[2];
    uint64_t n;

    AX_TRY(graft_input_dims(&p->g, a, dims, &n));
    pads[0] = (int64_t)at;
    pads[1] = (int64_t)(n - 1 - at);
    AX_TRY(graft_value(&p->g, &p->shift, "shift", "", a->dtype, 1, &one));
    p->g.m->graph->inputs[p->g.m->graph->n_inputs++] = p->shift;
    in[0] = p->shift;
    AX_TRY(graft_ints(&p->g, &in[1], "shift/pads", pads, 2));
    AX_TRY(graft_node(&p->g, &padded, AX_OP_Pad, "shift/padded", in, 2));
    AX_TRY(
        graft_reshape(&p->g, &padded, padded, "shift/shaped", dims, a->rank));
    in[0] = p->g.map[0][input];
    in[1] = padded;
    AX_TRY(graft_node(&p->g, &v, AX_OP_Add, "shifted", in, 2));
    p->g.map[1][input] = v;
    return AX_OK;
}

static ax_status shift_element(struct product *p, uint32_t element)
{
    uint64_t before = 0, n;
    int64_t dims[AX_RANK_MAX];

    for (uint32_t i = 0; i < p->g.part[0]->graph->n_inputs; i++) {
        AX_TRY(graft_input_dims(&p->g, input_of(p, 0, i), dims, &n));
        if (element - before < n)
            return shift_input(p, i, element - before);
        before += n;
    }
    return ax_fail(p->g.err, AX_EUSAGE,
                   "input= wants a number below %llu, the number of inputs",
                   (unsigned long long)before);
}

/* All outputs of a part as one vector. */
static ax_status join_outputs(struct product *p, uint32_t *out, int part)
{
    const struct ax_graph *g = p->g.part[part]->graph;
    const char *side = part ? "b" : "a";
    const int64_t all = -1;
    char name[48];
    uint32_t *in = calloc((size_t)g->n_outputs + 1, sizeof *in);
    ax_status st = in ? AX_OK : graft_no_memory(&p->g);
    struct ax_node *node;

    for (uint32_t i = 0; st == AX_OK && i < g->n_outputs; i++) {
        snprintf(name, sizeof name, "flat/%s/%u", side, i);
        st = graft_reshape(&p->g, &in[i], p->g.map[part][g->outputs[i]], name,
                           &all, 1);
    }
    snprintf(name, sizeof name, "joined/%s", side);
    if (st == AX_OK)
        st = graft_node(&p->g, out, AX_OP_Concat, name, in, g->n_outputs);
    free(in);
    AX_TRY(st);
    node = &p->g.m->graph->nodes[p->g.m->graph->n_nodes - 1];
    node->attrs = calloc(1, sizeof *node->attrs);
    if (!node->attrs)
        return graft_no_memory(&p->g);
    node->n_attrs = 1;
    node->attrs[0].kind = AX_ATTR_INT;
    node->attrs[0].name = strdup("axis");
    return node->attrs[0].name ? AX_OK : graft_no_memory(&p->g);
}

/* ---- the whole ---- */

/* ELEMENT is shifted for the second, or AX_NONE. */
static ax_status build(struct product *p, uint32_t element)
{
    uint32_t ends[2], out;

    const struct ax_graph *a = p->g.part[0]->graph;
    const struct ax_graph *b = p->g.part[1]->graph;

    AX_TRY(graft_begin(&p->g, EXTRA(a->n_inputs, a->n_outputs + b->n_outputs),
                       a->n_inputs + 1u, 1));
    for (uint32_t i = 0; i < p->g.part[0]->graph->n_inputs; i++)
        AX_TRY(share_input(p, i));
    if (element != AX_NONE)
        AX_TRY(shift_element(p, element));
    for (int k = 0; k < 2; k++)
        AX_TRY(graft_part(&p->g, k));
    AX_TRY(join_outputs(p, &ends[1], 0));
    AX_TRY(join_outputs(p, &ends[0], 1));
    AX_TRY(graft_node(&p->g, &out, AX_OP_Sub, "difference", ends, 2));
    p->g.m->graph->outputs[p->g.m->graph->n_outputs++] = out;
    return graft_finish(&p->g);
}

static ax_status product(struct ax_model **out, const struct ax_model *a,
                         const struct ax_model *b, uint32_t element,
                         struct ax_err *err)
{
    struct product p = {.g = {.n = 2, .part = {a, b}, .err = err},
                        .shift = AX_NONE};
    ax_status st = build(&p, element);

    graft_end(&p.g, st, out);
    return st;
}

/* The vectors of outputs must be of one length: one of a single element
 * would be stretched to the other's. */
static ax_status outputs_of(uint32_t *n, const struct ax_model *m,
                            struct ax_err *err)
{
    struct ax_net *net;

    AX_TRY(ax_net_lower(&net, m, err));
    *n = net->nodes[net->n_nodes - 1].n;
    ax_net_free(net);
    return AX_OK;
}

ax_status ax_model_difference(struct ax_model **out, const struct ax_model *a,
                              const struct ax_model *b, struct ax_err *err)
{
    uint32_t n, m;

    *out = NULL;
    AX_TRY(outputs_of(&n, a, err));
    AX_TRY(outputs_of(&m, b, err));
    if (n != m || a->graph->n_inputs != b->graph->n_inputs)
        return ax_fail(err, AX_ESHAPE,
                       "%u inputs and %u outputs, the other network has %u "
                       "and %u",
                       a->graph->n_inputs, n, b->graph->n_inputs, m);
    return product(out, a, b, AX_NONE, err);
}

ax_status ax_model_shifted(struct ax_model **out, const struct ax_model *m,
                           uint32_t input, struct ax_err *err)
{
    return product(out, m, m, input, err);
}
