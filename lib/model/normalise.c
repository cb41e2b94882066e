/* The normal form of a model, in which it has one spelling: axm(5), section
 * "Normal form". One walk gives values and tensors their places in the order
 * of first use; writers then move them there, readers check that they are.
 *
 * The graphs have passed ax_graph_check: indexes are in range and nesting
 * has a budget. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "model/internal.h"

struct walk {
    bool check;       /* do not move anything, only see if all is in place */
    uint32_t *tensor; /* [n_tensors] new places, AX_NONE: not used so far */
    uint32_t n_tensors_used;
};

/* The places of one graph's values. */
struct places {
    const struct ax_graph *g;
    uint32_t *value; /* [n_values], AX_NONE: not used so far */
    uint32_t n;
};

struct names {
    const char **v;
    size_t n, cap;
};

static ax_status no_memory(struct ax_err *err)
{
    return ax_fail(err, AX_ENOMEM, "no memory to put a model in order");
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static ax_status add_name(struct names *names, const char *name,
                          struct ax_err *err)
{
    if (names->n == names->cap) {
        size_t cap = names->cap ? 2 * names->cap : 16;
        const char **v = realloc(names->v, cap * sizeof *v);

        if (!v)
            return no_memory(err);
        names->v = v;
        names->cap = cap;
    }
    names->v[names->n++] = name;
    return AX_OK;
}

/* The names of values that g, or a graph in it, does not make itself. */
static ax_status outer_names(struct names *names, const struct ax_graph *g,
                             struct ax_err *err)
{
    bool *made = calloc((size_t)g->n_values + 1, sizeof *made);
    ax_status st = AX_OK;

    if (!made)
        return no_memory(err);
    for (uint32_t i = 0; i < g->n_inputs; i++)
        made[g->inputs[i]] = true;
    for (uint32_t i = 0; i < g->n_nodes && st == AX_OK; i++) {
        const struct ax_node *n = &g->nodes[i];

        for (uint32_t k = 0; k < n->n_out; k++)
            if (n->out[k] != AX_NONE)
                made[n->out[k]] = true;
        for (uint32_t k = 0; k < n->n_attrs && st == AX_OK; k++)
            if (n->attrs[k].kind == AX_ATTR_GRAPH)
                st = outer_names(names, n->attrs[k].graph, err);
    }
    for (uint32_t i = 0; i < g->n_values && st == AX_OK; i++)
        if (!made[i] && g->values[i].tensor == AX_NONE)
            st = add_name(names, g->values[i].name, err);
    free(made);
    return st;
}

/* A value is made or used: it gets the next place, and so does its tensor
 * when it is used. */
static void meet(struct walk *w, struct places *p, uint32_t v)
{
    uint32_t tensor;

    if (v == AX_NONE)
        return;
    if (p->value[v] == AX_NONE)
        p->value[v] = p->n++;
    tensor = p->g->values[v].tensor;
    if (tensor != AX_NONE && w->tensor[tensor] == AX_NONE)
        w->tensor[tensor] = w->n_tensors_used++;
}

/* Constants that only graphs inside this one use, by name. */
static void meet_by_name(struct walk *w, struct places *p,
                         struct names *names)
{
    if (!names->n)
        return;
    qsort(names->v, names->n, sizeof *names->v, compare_names);
    for (uint32_t i = 0; i < p->g->n_values; i++) {
        const struct ax_value *v = &p->g->values[i];

        if (v->tensor != AX_NONE && p->value[i] == AX_NONE &&
            bsearch(&v->name, names->v, names->n, sizeof *names->v,
                    compare_names))
            meet(w, p, i);
    }
}

static ax_status walk_graph(struct walk *w, struct ax_graph *g,
                            struct ax_err *err);

static ax_status walk_nodes(struct walk *w, struct places *p,
                            struct names *names, struct ax_err *err)
{
    for (uint32_t i = 0; i < p->g->n_nodes; i++) {
        const struct ax_node *n = &p->g->nodes[i];

        for (uint32_t k = 0; k < n->n_in; k++)
            meet(w, p, n->in[k]);
        for (uint32_t k = 0; k < n->n_attrs; k++)
            if (n->attrs[k].kind == AX_ATTR_GRAPH) {
                AX_TRY(walk_graph(w, n->attrs[k].graph, err));
                AX_TRY(outer_names(names, n->attrs[k].graph, err));
            }
        for (uint32_t k = 0; k < n->n_out; k++)
            meet(w, p, n->out[k]);
    }
    return AX_OK;
}

static ax_status check_places(const struct places *p, struct ax_err *err)
{
    for (uint32_t i = 0; i < p->g->n_values; i++)
        if (p->value[i] != i)
            return ax_fail(err, AX_EFORMAT, "value %" PRIu32 ", '%s', %s", i,
                           p->g->values[i].name,
                           p->value[i] == AX_NONE
                               ? "is neither made nor used"
                               : "is not in the order of first use");
    return AX_OK;
}

static void free_value(struct ax_value *v)
{
    free(v->name);
    for (int d = 0; d < AX_RANK_MAX; d++)
        free(v->dim_names[d]);
}

static void renumber(uint32_t *index, uint32_t n, const uint32_t *to)
{
    for (uint32_t i = 0; i < n; i++)
        if (index[i] != AX_NONE)
            index[i] = to[index[i]];
}

/* Move the values to their places, and drop those that have none. */
static ax_status move_values(struct ax_graph *g, const struct places *p,
                             struct ax_err *err)
{
    struct ax_value *values = calloc((size_t)p->n + 1, sizeof *values);

    if (!values)
        return no_memory(err);
    for (uint32_t i = 0; i < g->n_values; i++)
        if (p->value[i] != AX_NONE)
            values[p->value[i]] = g->values[i];
        else
            free_value(&g->values[i]);
    free(g->values);
    g->values = values;
    g->n_values = p->n;
    renumber(g->inputs, g->n_inputs, p->value);
    renumber(g->outputs, g->n_outputs, p->value);
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        renumber(g->nodes[i].in, g->nodes[i].n_in, p->value);
        renumber(g->nodes[i].out, g->nodes[i].n_out, p->value);
    }
    return AX_OK;
}

static ax_status walk_graph(struct walk *w, struct ax_graph *g,
                            struct ax_err *err)
{
    struct places p = {.g = g};
    struct names names = {0};
    struct ax_err ignored = {0};
    ax_status st;

    p.value = malloc(((size_t)g->n_values + 1) * sizeof *p.value);
    if (!p.value)
        return no_memory(err);
    memset(p.value, 0xff, ((size_t)g->n_values + 1) * sizeof *p.value);
    for (uint32_t i = 0; i < g->n_inputs; i++)
        meet(w, &p, g->inputs[i]);
    st = walk_nodes(w, &p, &names, err);
    if (st != AX_OK)
        goto out;
    for (uint32_t i = 0; i < g->n_outputs; i++)
        meet(w, &p, g->outputs[i]);
    meet_by_name(w, &p, &names);
    if (w->check)
        st = check_places(&p, err);
    else if (check_places(&p, &ignored) != AX_OK)
        st = move_values(g, &p, err);
out:
    free(p.value);
    free(names.v);
    return st;
}

/* The type and shape of a constant are its tensor's. */
static ax_status constant_shape(const struct walk *w, struct ax_value *v,
                                const struct ax_tensor *t, struct ax_err *err)
{
    bool same = v->dtype == t->dtype && v->rank == t->rank;

    for (int i = 0; i < t->rank && same; i++)
        same = v->dims[i] == t->dims[i];
    if (same)
        return AX_OK;
    if (w->check)
        return ax_fail(err, AX_EFORMAT,
                       "value '%s' has not the type and shape of its tensor",
                       v->name);
    v->dtype = t->dtype;
    v->rank = t->rank;
    memcpy(v->dims, t->dims, sizeof v->dims);
    for (int i = 0; i < AX_RANK_MAX; i++) {
        free(v->dim_names[i]);
        v->dim_names[i] = NULL;
    }
    return AX_OK;
}

static ax_status constants(const struct walk *w, const struct ax_model *m,
                           struct ax_graph *g, struct ax_err *err)
{
    for (uint32_t i = 0; i < g->n_values; i++) {
        struct ax_value *v = &g->values[i];

        if (v->tensor == AX_NONE)
            continue;
        AX_TRY(constant_shape(w, v, &m->tensors[v->tensor], err));
        v->tensor = w->tensor[v->tensor];
    }
    for (uint32_t i = 0; i < g->n_nodes; i++)
        for (uint32_t k = 0; k < g->nodes[i].n_attrs; k++)
            if (g->nodes[i].attrs[k].kind == AX_ATTR_GRAPH)
                AX_TRY(constants(w, m, g->nodes[i].attrs[k].graph, err));
    return AX_OK;
}

static ax_status check_tensors(const struct walk *w, const struct ax_model *m,
                               struct ax_err *err)
{
    for (uint32_t i = 0; i < m->n_tensors; i++)
        if (w->tensor[i] != i)
            return ax_fail(err, AX_EFORMAT, "tensor %" PRIu32 " is %s", i,
                           w->tensor[i] == AX_NONE
                               ? "not used"
                               : "not in the order of first use");
    return AX_OK;
}

/* ROOM is for the tensors that are used; it becomes the model's. */
static void move_tensors(const struct walk *w, struct ax_model *m,
                         struct ax_tensor *room)
{
    for (uint32_t i = 0; i < m->n_tensors; i++)
        if (w->tensor[i] != AX_NONE)
            room[w->tensor[i]] = m->tensors[i];
        else
            ax_tensor_free(&m->tensors[i]);
    free(m->tensors);
    m->tensors = room;
    m->n_tensors = w->n_tensors_used;
}

static ax_status walk_model(struct ax_model *m, bool check,
                            struct ax_err *err)
{
    struct walk w = {.check = check};
    struct ax_tensor *room = NULL;
    ax_status st;

    w.tensor = malloc(((size_t)m->n_tensors + 1) * sizeof *w.tensor);
    if (!w.tensor)
        return no_memory(err);
    memset(w.tensor, 0xff, ((size_t)m->n_tensors + 1) * sizeof *w.tensor);
    st = walk_graph(&w, m->graph, err);
    if (st != AX_OK)
        goto out;
    if (check) {
        st = check_tensors(&w, m, err);
        if (st == AX_OK)
            st = constants(&w, m, m->graph, err);
        goto out;
    }
    room = calloc((size_t)w.n_tensors_used + 1, sizeof *room);
    st = room ? constants(&w, m, m->graph, err) : no_memory(err);
    if (st == AX_OK)
        move_tensors(&w, m, room);
out:
    free(w.tensor);
    return st;
}

static int compare_meta(const void *a, const void *b)
{
    return strcmp(((const struct ax_meta *)a)->key,
                  ((const struct ax_meta *)b)->key);
}

static ax_status check_meta(const struct ax_model *m, struct ax_err *err)
{
    for (uint32_t i = 1; i < m->n_meta; i++)
        if (compare_meta(&m->meta[i - 1], &m->meta[i]) >= 0)
            return ax_fail(err, AX_EFORMAT, "metadata '%s' stands after '%s'",
                           m->meta[i].key, m->meta[i - 1].key);
    return AX_OK;
}

ax_status axm_check_normal(const struct ax_model *m, struct ax_err *err)
{
    union {
        const struct ax_model *in;
        struct ax_model *out;
    } same = {m};

    AX_TRY(check_meta(m, err));
    return walk_model(same.out, true, err);
}

static int compare_attrs(const void *a, const void *b)
{
    return strcmp(((const struct ax_attr *)a)->name,
                  ((const struct ax_attr *)b)->name);
}

/* Sort the attributes of all nodes that can be sorted; ax_graph_check says
 * what is wrong with the others. */
static void sort_attrs(struct ax_graph *g, int depth)
{
    for (uint32_t i = 0; i < g->n_nodes && depth <= AX_DEPTH_MAX; i++) {
        struct ax_node *n = &g->nodes[i];
        bool named = true;

        for (uint32_t k = 0; k < n->n_attrs; k++) {
            named = named && n->attrs[k].name;
            if (n->attrs[k].kind == AX_ATTR_GRAPH && n->attrs[k].graph)
                sort_attrs(n->attrs[k].graph, depth + 1);
        }
        if (named && n->n_attrs > 1)
            qsort(n->attrs, n->n_attrs, sizeof *n->attrs, compare_attrs);
    }
}

ax_status ax_model_normalise(struct ax_model *m, struct ax_err *err)
{
    sort_attrs(m->graph, 1);
    AX_TRY(ax_graph_check(m->graph, m->n_tensors, err));
    if (m->n_meta > 1)
        qsort(m->meta, m->n_meta, sizeof *m->meta, compare_meta);
    AX_TRY(check_meta(m, err));
    return walk_model(m, false, err);
}
