/* Asking a graph, and changing it: see opt.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ax/element.h"
#include "graph/graph.h"
#include "opt/opt.h"

/* -- asking ---------------------------------------------------------------
 */

const struct opt_fact *opt_in(const struct opt *o, const struct ax_node *n,
                              uint32_t k)
{
    return k < n->n_in && n->in[k] != AX_NONE ? &o->facts[n->in[k]] : NULL;
}

const struct ax_tensor *opt_constant(const struct opt *o,
                                     const struct ax_node *n, uint32_t k)
{
    uint32_t t;

    if (!opt_in(o, n, k))
        return NULL;
    t = o->g->values[n->in[k]].tensor;
    return t == AX_NONE ? NULL : &o->m->tensors[t];
}

bool opt_one_output(const struct ax_node *n)
{
    for (uint32_t k = 1; k < n->n_out; k++)
        if (n->out[k] != AX_NONE)
            return false;
    return n->n_out > 0 && n->out[0] != AX_NONE;
}

struct ax_node *opt_sole_maker(const struct opt *o, const struct ax_node *n,
                               uint32_t k, ax_op a, ax_op b)
{
    const struct opt_fact *f = opt_in(o, n, k);
    struct ax_node *maker;

    if (!f || f->maker == AX_NONE || f->uses != 1 || f->pinned)
        return NULL;
    maker = &o->g->nodes[f->maker];
    return (maker->op == a || maker->op == b) && opt_one_output(maker) ? maker
                                                                       : NULL;
}

bool opt_along(double *out, const struct ax_tensor *t, int rank, int axis,
               size_t n)
{
    int skipped = rank - t->rank;

    if (skipped < 0 || ax_dtype_class(t->dtype) != AX_CLASS_REAL)
        return false;
    for (int d = 0; d < t->rank; d++)
        if (t->dims[d] != 1 &&
            (d + skipped != axis || t->dims[d] != (int64_t)n))
            return false;
    if (ax_tensor_count(t) == n) {
        ax_get_f64(out, t->dtype, t->data, 0, n);
        return true;
    }
    for (size_t i = 0; i < n; i++)
        ax_get_f64(out + i, t->dtype, t->data, 0, 1);
    return true;
}

/* -- changing -------------------------------------------------------------
 */

void opt_drop(struct opt *o, struct ax_node *n)
{
    for (uint32_t k = 0; k < n->n_in; k++)
        if (n->in[k] != AX_NONE)
            o->facts[n->in[k]].uses--;
    for (uint32_t k = 0; k < n->n_out; k++)
        if (n->out[k] != AX_NONE &&
            o->facts[n->out[k]].maker == (uint32_t)(n - o->g->nodes))
            o->facts[n->out[k]].maker = AX_NONE;
    ax_node_clear(n);
    *n = (struct ax_node){.op = AX_OP_NONE};
}

ax_status opt_set_in(struct opt *o, struct ax_node *n, uint32_t k, uint32_t v,
                     struct ax_err *err)
{
    if (k == n->n_in) {
        uint32_t *in = realloc(n->in, (k + 1u) * sizeof *in);

        if (!in)
            return ax_fail(err, AX_ENOMEM, "no memory for %u inputs", k + 1);
        n->in = in;
        n->in[n->n_in++] = AX_NONE;
    }
    if (n->in[k] != AX_NONE)
        o->facts[n->in[k]].uses--;
    n->in[k] = v;
    o->facts[v].uses++;
    return AX_OK;
}

void opt_set_out(struct opt *o, struct ax_node *n, uint32_t v)
{
    uint32_t at = (uint32_t)(n - o->g->nodes);

    if (o->facts[n->out[0]].maker == at)
        o->facts[n->out[0]].maker = AX_NONE;
    n->out[0] = v;
    o->facts[v].maker = at;
}

void opt_drop_attr(struct ax_node *n, const char *name)
{
    for (uint32_t k = 0; k < n->n_attrs; k++) {
        if (strcmp(n->attrs[k].name, name) != 0)
            continue;
        ax_attr_clear(&n->attrs[k]);
        memmove(n->attrs + k, n->attrs + k + 1,
                (n->n_attrs - k - 1) * sizeof *n->attrs);
        n->n_attrs--;
        return;
    }
}

ax_status opt_set_int(struct ax_node *n, const char *name, int64_t i,
                      struct ax_err *err)
{
    struct ax_attr *attrs = realloc(n->attrs,
                                    (n->n_attrs + 1u) * sizeof *attrs);
    char *copy = strdup(name);
    uint32_t at = 0;

    if (attrs)
        n->attrs = attrs;
    if (!attrs || !copy) {
        free(copy);
        return ax_fail(err, AX_ENOMEM, "no memory for an attribute");
    }
    while (at < n->n_attrs && strcmp(attrs[at].name, name) < 0)
        at++;
    memmove(attrs + at + 1, attrs + at, (n->n_attrs - at) * sizeof *attrs);
    attrs[at] = (struct ax_attr){.name = copy, .kind = AX_ATTR_INT, .i = i};
    n->n_attrs++;
    return AX_OK;
}

/* -- names: a hash table with open addresses, at most half full -- */

static uint32_t *slot_of(const struct opt *o, const char *name)
{
    uint32_t h = 2166136261u; /* FNV-1a */

    for (const char *c = name; *c; c++)
        h = (h ^ (unsigned char)*c) * 16777619u;
    for (;; h++) {
        uint32_t *s = &o->slots[h & (o->n_slots - 1)];

        if (!*s || strcmp(o->g->values[*s - 1].name, name) == 0)
            return s;
    }
}

/* Take in the values that were added since the last time. */
static ax_status learn_names(struct opt *o, struct ax_err *err)
{
    if (2 * ((size_t)o->g->n_values + 1) > o->n_slots) {
        uint32_t n = 1024;

        while (n < 4 * ((size_t)o->g->n_values + 1))
            n *= 2;
        free(o->slots);
        o->slots = calloc(n, sizeof *o->slots);
        o->n_slots = o->slots ? n : 0;
        o->n_named = 0;
        if (!o->slots)
            return ax_fail(err, AX_ENOMEM, "no memory for %u names", n);
    }
    for (; o->n_named < o->g->n_values; o->n_named++)
        *slot_of(o, o->g->values[o->n_named].name) = o->n_named + 1;
    return AX_OK;
}

/* "v.suffix", or with a number behind it if there is such a name. */
static ax_status new_name(char **out, struct opt *o, uint32_t v,
                          const char *suffix, struct ax_err *err)
{
    const char *base = o->g->values[v].name;
    size_t n = strlen(base) + strlen(suffix) + 16;
    char *name;

    AX_TRY(learn_names(o, err));
    name = malloc(n);
    if (!name)
        return ax_fail(err, AX_ENOMEM, "no memory for a name");
    snprintf(name, n, "%s.%s", base, suffix);
    for (unsigned k = 2; *slot_of(o, name); k++)
        snprintf(name, n, "%s.%s%u", base, suffix, k);
    *out = name;
    return AX_OK;
}

ax_status opt_value(uint32_t *out, struct opt *o, uint32_t v,
                    const char *suffix, struct ax_err *err)
{
    struct ax_graph *g = o->g;
    size_t n = g->n_values;
    struct ax_value *values;
    struct opt_fact *facts;
    char *name = NULL;

    if (n >= AX_GRAPH_MAX)
        return ax_fail(err, AX_EFORMAT, "more than %u values", AX_GRAPH_MAX);
    values = realloc(g->values, (n + 1) * sizeof *values);
    if (!values)
        return ax_fail(err, AX_ENOMEM, "no memory for %zu values", n + 1);
    g->values = values;
    facts = realloc(o->facts, (n + 2) * sizeof *facts);
    if (!facts)
        return ax_fail(err, AX_ENOMEM, "no memory for %zu values", n + 1);
    o->facts = facts;
    AX_TRY(new_name(&name, o, v, suffix, err));
    values[n] = (struct ax_value){
        .name = name, .rank = -1, .tensor = AX_NONE};
    facts[n] = (struct opt_fact){
        .rank = -1, .maker = AX_NONE, .alias = AX_NONE};
    *out = g->n_values++;
    return AX_OK;
}

ax_status opt_make_constant(struct opt *o, uint32_t v, struct ax_tensor *t,
                            struct ax_err *err)
{
    struct ax_model *m = o->m;
    struct ax_tensor *tensors = realloc(
        m->tensors, (m->n_tensors + (size_t)1) * sizeof *tensors);
    struct opt_fact *f = &o->facts[v];

    if (!tensors) {
        ax_tensor_free(t);
        return ax_fail(err, AX_ENOMEM, "no memory for %u tensors",
                       m->n_tensors + 1);
    }
    m->tensors = tensors;
    f->dtype = t->dtype;
    f->rank = t->rank;
    memcpy(f->dims, t->dims, sizeof f->dims);
    o->g->values[v].tensor = m->n_tensors;
    m->tensors[m->n_tensors++] = *t;
    *t = (struct ax_tensor){0};
    return AX_OK;
}

ax_status opt_add_constant(uint32_t *out, struct opt *o, uint32_t v,
                           const char *suffix, struct ax_tensor *t,
                           struct ax_err *err)
{
    ax_status st = opt_value(out, o, v, suffix, err);

    if (st == AX_OK)
        return opt_make_constant(o, *out, t, err);
    ax_tensor_free(t);
    return st;
}

ax_status opt_insert(struct ax_node **out, struct opt *o, uint32_t i,
                     ax_op op, const char *name, uint32_t n_in,
                     struct ax_err *err)
{
    struct ax_graph *g = o->g;
    struct ax_node made = {.op = op, .n_in = n_in, .n_out = 1};
    struct ax_node *nodes = realloc(g->nodes,
                                    (g->n_nodes + (size_t)1) * sizeof *nodes);

    if (nodes)
        g->nodes = nodes;
    if (o->n_inserted == o->room_inserted) {
        uint32_t room = 2 * o->room_inserted + 64;
        uint32_t *before = realloc(o->before, room * sizeof *before);

        if (!before)
            return ax_fail(err, AX_ENOMEM, "no memory for a node");
        o->before = before;
        o->room_inserted = room;
    }
    made.name = strdup(name ? name : "");
    made.in = malloc((n_in + 1u) * sizeof *made.in);
    made.out = malloc(sizeof *made.out);
    if (!nodes || !made.name || !made.in || !made.out) {
        ax_node_clear(&made);
        return ax_fail(err, AX_ENOMEM, "no memory for a node");
    }
    for (uint32_t k = 0; k < n_in; k++)
        made.in[k] = AX_NONE;
    made.out[0] = AX_NONE;
    o->before[o->n_inserted++] = i;
    nodes[g->n_nodes] = made;
    *out = &nodes[g->n_nodes++];
    return AX_OK;
}

ax_status opt_settle(struct opt *o, struct ax_err *err)
{
    struct ax_graph *g = o->g;
    uint32_t old = g->n_nodes - o->n_inserted, n = 0;
    struct ax_node *nodes;
    uint32_t *first, *next;

    if (!o->n_inserted)
        return AX_OK;
    nodes = malloc(g->n_nodes * sizeof *nodes);
    /* Lists of what goes in front of each, the last that came first. */
    first = calloc(old + (size_t)g->n_nodes, sizeof *first);
    if (!nodes || !first) {
        free(nodes);
        free(first);
        return ax_fail(err, AX_ENOMEM, "no memory for %u nodes", g->n_nodes);
    }
    next = first + old;
    for (uint32_t k = 0; k < o->n_inserted; k++) {
        next[k] = first[o->before[k]];
        first[o->before[k]] = k + 1;
    }
    for (uint32_t i = 0; i < old; i++) {
        for (uint32_t k = first[i]; k; k = next[k - 1])
            nodes[n++] = g->nodes[old + k - 1];
        nodes[n++] = g->nodes[i];
    }
    free(first);
    free(g->nodes);
    g->nodes = nodes;
    o->n_inserted = 0;
    return AX_OK;
}

void opt_free(struct opt *o)
{
    free(o->facts);
    free(o->before);
    free(o->slots);
    o->facts = NULL;
    o->before = o->slots = NULL;
}
