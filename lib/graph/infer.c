/* Shape inference: the walk over the graph, and what the rules share. The
 * rules are in shapes.c, what follows of elements in values.c. */
#include "graph/infer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- dimensions ---- */

struct infer_dim infer_mul(struct infer_dim a, struct infer_dim b)
{
    struct infer_dim out = {0, a.p + b.p};

    if (infer_is(a, 0) || infer_is(b, 0))
        return infer_number(0);
    if (a.p < 0 || b.p < 0 || __builtin_mul_overflow(a.k, b.k, &out.k) ||
        out.p > AX_RANK_MAX)
        return infer_unknown();
    return out;
}

struct infer_dim infer_add(struct infer_dim a, struct infer_dim b)
{
    struct infer_dim out = a;

    if (infer_is(b, 0))
        return a;
    if (infer_is(a, 0))
        return b;
    if (a.p < 0 || a.p != b.p || __builtin_add_overflow(a.k, b.k, &out.k))
        return infer_unknown();
    return out.k == 0 ? infer_number(0) : out;
}

struct infer_dim infer_div(struct infer_dim a, struct infer_dim b)
{
    if (a.p < 0 || b.p < 0 || a.p < b.p || b.k == 0 || b.k == -1 || a.k % b.k)
        return infer_unknown();
    return (struct infer_dim){a.k / b.k, a.k ? a.p - b.p : 0};
}

ax_status infer_axis(int64_t *out, int64_t axis, int rank, struct ax_err *err)
{
    if (axis < -rank || axis >= rank)
        return ax_fail(err, AX_ESHAPE,
                       "axis %" PRId64 " does not fit rank %d", axis, rank);
    *out = axis < 0 ? axis + rank : axis;
    return AX_OK;
}

static ax_status broadcast_dim(struct infer_dim *out, struct infer_dim a,
                               struct infer_dim b, struct ax_err *err)
{
    if (infer_is(a, 1) || infer_same(a, b))
        *out = b;
    else if (infer_is(b, 1))
        *out = a;
    else if (a.p == 0 && b.p == 0)
        return ax_fail(err, AX_ESHAPE,
                       "dimensions %" PRId64 " and %" PRId64
                       " cannot be broadcast",
                       a.k, b.k);
    else if (a.p == 0)
        *out = a; /* the other one must be 1 or the same */
    else if (b.p == 0)
        *out = b;
    else
        *out = infer_unknown();
    return AX_OK;
}

ax_status infer_broadcast(struct infer_fact *out, const struct infer_fact *a,
                          const struct infer_fact *b, struct ax_err *err)
{
    struct infer_fact x = *a, y = *b;

    if (x.dtype && y.dtype && x.dtype != y.dtype)
        return ax_fail(err, AX_ESHAPE, "inputs are %s and %s",
                       ax_dtype_name(x.dtype), ax_dtype_name(y.dtype));
    out->dtype = x.dtype ? x.dtype : y.dtype;
    out->rank = -1;
    if (x.rank < 0 || y.rank < 0)
        return AX_OK;
    out->rank = x.rank > y.rank ? x.rank : y.rank;
    for (int i = 1; i <= out->rank; i++) {
        const struct infer_dim one = infer_number(1);

        AX_TRY(broadcast_dim(&out->d[out->rank - i],
                             i <= x.rank ? x.d[x.rank - i] : one,
                             i <= y.rank ? y.d[y.rank - i] : one, err));
    }
    return AX_OK;
}

/* ---- the node ---- */

const struct infer_fact *infer_in(const struct infer *s, uint32_t k)
{
    const struct ax_node *n = s->node;

    return k < n->n_in && n->in[k] != AX_NONE ? &s->facts[n->in[k]] : NULL;
}

struct infer_fact *infer_out(struct infer *s, uint32_t k)
{
    const struct ax_node *n = s->node;

    if (k < n->n_out && n->out[k] != AX_NONE)
        return &s->facts[n->out[k]];
    s->nothing = (struct infer_fact){.rank = -1};
    return &s->nothing;
}

ax_status infer_numbers(struct infer *s, uint32_t k, bool *known,
                        const int64_t **v, uint32_t *n, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, k);
    int64_t *out;

    *known = false;
    *v = NULL;
    *n = 0;
    if (!x || !x->v)
        return AX_OK;
    for (uint32_t i = 0; i < x->n_v; i++)
        if (x->v[i].p != 0)
            return AX_OK;
    out = ax_arena_alloc(s->arena, x->n_v + 1u, sizeof *out);
    if (!out)
        return ax_fail(err, AX_ENOMEM, "no memory for shape inference");
    for (uint32_t i = 0; i < x->n_v; i++)
        out[i] = x->v[i].k;
    *known = true;
    *v = out;
    *n = x->n_v;
    return AX_OK;
}

/* ---- what is known before any node ---- */

static int64_t integer_at(const struct ax_tensor *t, size_t i)
{
    int64_t wide;
    int32_t narrow;

    if (t->dtype == AX_I64) {
        memcpy(&wide, (const char *)t->data + i * sizeof wide, sizeof wide);
        return wide;
    }
    memcpy(&narrow, (const char *)t->data + i * sizeof narrow, sizeof narrow);
    return narrow;
}

static ax_status constant_fact(struct infer *s, struct infer_fact *f,
                               const struct ax_tensor *t, struct ax_err *err)
{
    size_t n = ax_tensor_count(t);

    f->dtype = t->dtype;
    f->rank = t->rank;
    for (int i = 0; i < t->rank; i++)
        f->d[i] = infer_number(t->dims[i]);
    if ((t->dtype != AX_I64 && t->dtype != AX_I32) || t->rank > 1 ||
        n > INFER_VALUES_MAX)
        return AX_OK;
    f->n_v = (uint32_t)n;
    f->v = ax_arena_alloc(s->arena, n + 1, sizeof *f->v);
    if (!f->v)
        return ax_fail(err, AX_ENOMEM, "no memory for shape inference");
    for (size_t i = 0; i < n; i++)
        f->v[i] = infer_number(integer_at(t, i));
    return AX_OK;
}

/* Whether all free dimensions of the inputs are one; *name is its name, or
 * NULL if it has none. */
static bool one_free(const struct ax_graph *g, const char **name)
{
    size_t n = 0;

    *name = NULL;
    for (uint32_t i = 0; i < g->n_inputs; i++) {
        const struct ax_value *v = &g->values[g->inputs[i]];

        for (int d = 0; d < v->rank; d++) {
            const char *this = v->dim_names[d];

            if (v->dims[d] >= 0)
                continue;
            if (n++ && (!*name || !this || strcmp(*name, this) != 0))
                return false;
            *name = this;
        }
    }
    return n > 0;
}

static void input_fact(struct infer_fact *f, const struct ax_value *v,
                       bool one)
{
    f->dtype = v->dtype;
    f->rank = v->rank;
    for (int d = 0; d < v->rank; d++)
        f->d[d] = v->dims[d] >= 0 ? infer_number(v->dims[d])
                  : one           ? (struct infer_dim){1, 1}
                                  : infer_unknown();
}

/* ---- what the graph says against what follows ---- */

static ax_status contradiction(const struct ax_value *v,
                               const struct infer_fact *f, struct ax_err *err)
{
    char said[160], is[160];
    int64_t dims[AX_RANK_MAX];

    for (int i = 0; i < f->rank; i++)
        dims[i] = f->d[i].p == 0 ? f->d[i].k : -1;
    return ax_fail(
        err, AX_ESHAPE, "value '%.200s' is said to be %s, but is %s", v->name,
        ax_shape_text(said, sizeof said, v->dtype, v->rank, v->dims),
        ax_shape_text(is, sizeof is, f->dtype, f->rank, dims));
}

static ax_status set_dim(struct ax_value *v, int i, struct infer_dim d,
                         const char *name, struct ax_err *err)
{
    if (d.p < 0)
        return AX_OK;
    v->dims[i] = d.p == 0 ? d.k : -1;
    name = d.p == 1 && d.k == 1 ? name : NULL;
    if (d.p > 0 && name && v->dim_names[i] &&
        strcmp(v->dim_names[i], name) == 0)
        return AX_OK;
    free(v->dim_names[i]);
    v->dim_names[i] = name ? strdup(name) : NULL;
    if (name && !v->dim_names[i])
        return ax_fail(err, AX_ENOMEM, "no memory for a name");
    return AX_OK;
}

static ax_status set_value(struct ax_value *v, const struct infer_fact *f,
                           const char *name, struct ax_err *err)
{
    if (f->dtype && v->dtype && f->dtype != v->dtype)
        return contradiction(v, f, err);
    if (f->dtype)
        v->dtype = f->dtype;
    if (f->rank < 0)
        return AX_OK;
    if (v->rank >= 0 && v->rank != f->rank)
        return contradiction(v, f, err);
    for (int i = 0; i < f->rank; i++) {
        if (v->rank < 0)
            v->dims[i] = -1;
        if (v->rank >= 0 && v->dims[i] >= 0 && f->d[i].p == 0 &&
            f->d[i].k != v->dims[i])
            return contradiction(v, f, err);
    }
    v->rank = f->rank;
    for (int i = 0; i < f->rank; i++)
        AX_TRY(set_dim(v, i, f->d[i], name, err));
    return AX_OK;
}

/* ---- the graph ---- */

/* What is known of constants, and nothing of the others. */
static ax_status start(struct infer *s, struct ax_err *err)
{
    const struct ax_graph *g = s->g;

    if (s->arena)
        s->facts = ax_arena_zalloc(s->arena, g->n_values + 1u,
                                   sizeof *s->facts);
    if (!s->facts)
        return ax_fail(err, AX_ENOMEM, "no memory for shape inference");
    for (uint32_t i = 0; i < g->n_values; i++) {
        s->facts[i].rank = -1;
        if (g->values[i].tensor != AX_NONE)
            AX_TRY(constant_fact(s, &s->facts[i],
                                 &s->m->tensors[g->values[i].tensor], err));
    }
    return AX_OK;
}

static ax_status infer_node(struct infer *s, struct ax_err *err)
{
    struct ax_graph *g = s->g;

    AX_TRY(infer_shapes(s, err));
    AX_TRY(infer_values(s, err));
    for (uint32_t k = 0; k < s->node->n_out; k++) {
        uint32_t v = s->node->out[k];

        if (v != AX_NONE)
            AX_TRY(set_value(&g->values[v], &s->facts[v], s->free_name, err));
    }
    return AX_OK;
}

static ax_status infer_nodes(struct infer *s, struct ax_err *err)
{
    for (uint32_t i = 0; i < s->g->n_nodes; i++) {
        s->node = &s->g->nodes[i];
        if (infer_node(s, err) != AX_OK)
            return ax_fail_in(err, "node %" PRIu32 " (%s '%s')", i,
                              ax_op_name(s->node->op), s->node->name);
    }
    return AX_OK;
}

ax_status infer_graph(struct infer *s, struct ax_model *m, struct ax_err *err)
{
    struct ax_graph *g = m->graph;
    const char *borrowed;
    char *name = NULL;
    bool one = one_free(g, &borrowed);
    ax_status st = AX_OK;

    *s = (struct infer){.m = m, .g = g};
    if (one && borrowed) {
        name = strdup(borrowed);
        if (!name)
            return ax_fail(err, AX_ENOMEM, "no memory for a name");
    }
    s->free_name = name;
    s->arena = ax_arena_new();
    st = start(s, err);
    for (uint32_t i = 0; st == AX_OK && i < g->n_inputs; i++)
        input_fact(&s->facts[g->inputs[i]], &g->values[g->inputs[i]], one);
    if (st == AX_OK)
        st = infer_nodes(s, err);
    s->free_name = NULL;
    free(name);
    return st;
}

/* ---- a graph that grows ---- */

struct ax_growth {
    struct infer s;
    uint32_t values, nodes, cap; /* known so far; room for facts */
    char *name;
};

static ax_status more_facts(struct ax_growth *w, struct ax_err *err)
{
    struct infer *s = &w->s;
    struct infer_fact *more;

    if (s->g->n_values > w->cap) {
        w->cap = 2 * s->g->n_values + 64;
        more = ax_arena_alloc(s->arena, w->cap, sizeof *more);
        if (!more)
            return ax_fail(err, AX_ENOMEM, "no memory for shape inference");
        if (w->values)
            memcpy(more, s->facts, w->values * sizeof *more);
        s->facts = more;
    }
    for (; w->values < s->g->n_values; w->values++) {
        const struct ax_value *v = &s->g->values[w->values];

        s->facts[w->values] = (struct infer_fact){.rank = -1};
        if (v->tensor != AX_NONE)
            AX_TRY(constant_fact(s, &s->facts[w->values],
                                 &s->m->tensors[v->tensor], err));
    }
    return AX_OK;
}

ax_status ax_growth_new(struct ax_growth **out, struct ax_model *m,
                        struct ax_err *err)
{
    struct ax_growth *w = *out = calloc(1, sizeof *w);
    const struct ax_graph *g = m->graph;
    const char *borrowed;
    bool one = one_free(g, &borrowed);

    if (w)
        w->s = (struct infer){.m = m, .g = m->graph, .arena = ax_arena_new()};
    if (w && one && borrowed)
        w->s.free_name = w->name = strdup(borrowed);
    if (!w || !w->s.arena || (one && borrowed && !w->name))
        return ax_fail(err, AX_ENOMEM, "no memory for shape inference");
    AX_TRY(more_facts(w, err));
    for (uint32_t i = 0; i < g->n_inputs; i++)
        input_fact(&w->s.facts[g->inputs[i]], &g->values[g->inputs[i]], one);
    return AX_OK;
}

void ax_growth_free(struct ax_growth *w)
{
    if (!w)
        return;
    ax_arena_free(w->s.arena);
    free(w->name);
    free(w);
}

ax_status ax_growth_infer(struct ax_growth *w, struct ax_err *err)
{
    AX_TRY(more_facts(w, err));
    for (; w->nodes < w->s.g->n_nodes; w->nodes++) {
        w->s.node = &w->s.g->nodes[w->nodes];
        if (infer_node(&w->s, err) != AX_OK)
            return ax_fail_in(err, "%s", ax_op_name(w->s.node->op));
    }
    return AX_OK;
}

void ax_growth_dim(const struct ax_growth *w, uint32_t v, int i, int64_t *k,
                   int *power)
{
    const struct infer_fact *f = &w->s.facts[v];

    *k = i < f->rank ? f->d[i].k : -1;
    *power = i < f->rank ? f->d[i].p : -1;
}

/* ---- graphs inside ---- */

struct infer_name {
    const char *name;
    uint32_t value;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct infer_name *)a)->name,
                  ((const struct infer_name *)b)->name);
}

/* The value of a graph by its name, AX_NONE if it has none. */
static ax_status find(uint32_t *out, struct infer *s, const char *name,
                      struct ax_err *err)
{
    const struct infer_name key = {name, 0}, *at;
    uint32_t n = s->g->n_values;

    if (!s->names) {
        s->names = ax_arena_alloc(s->arena, n + 1u, sizeof *s->names);
        if (!s->names)
            return ax_fail(err, AX_ENOMEM, "no memory for shape inference");
        for (uint32_t i = 0; i < n; i++)
            s->names[i] = (struct infer_name){s->g->values[i].name, i};
        qsort(s->names, n, sizeof *s->names, by_name);
    }
    at = bsearch(&key, s->names, n, sizeof key, by_name);
    *out = at ? at->value : AX_NONE;
    return AX_OK;
}

/* made[v]: the graph itself makes value v, or is given it. */
static ax_status made_here(bool **made, struct infer *s,
                           const struct ax_graph *g, struct ax_err *err)
{
    bool *m = *made = ax_arena_zalloc(s->arena, g->n_values + 1u, sizeof *m);

    if (!m)
        return ax_fail(err, AX_ENOMEM, "no memory for shape inference");
    for (uint32_t i = 0; i < g->n_inputs; i++)
        m[g->inputs[i]] = true;
    for (uint32_t i = 0; i < g->n_values; i++)
        m[i] = m[i] || g->values[i].tensor != AX_NONE;
    for (uint32_t i = 0; i < g->n_nodes; i++)
        for (uint32_t k = 0; k < g->nodes[i].n_out; k++)
            if (g->nodes[i].out[k] != AX_NONE)
                m[g->nodes[i].out[k]] = true;
    return AX_OK;
}

/* Values of the graphs around this one are known as they are there. */
static ax_status captures(struct infer *s, struct ax_err *err)
{
    bool *made;

    AX_TRY(made_here(&made, s, s->g, err));
    for (uint32_t i = 0; i < s->g->n_values; i++) {
        uint32_t v = made[i] ? 0 : AX_NONE;

        for (struct infer *o = s->outer; o && v == AX_NONE; o = o->outer) {
            AX_TRY(find(&v, o, s->g->values[i].name, err));
            if (v != AX_NONE)
                s->facts[i] = o->facts[v];
        }
    }
    return AX_OK;
}

static struct ax_graph *graph_attr(const struct ax_node *n, const char *name)
{
    const struct ax_attr *a = ax_node_attr(n, name);

    return a && a->kind == AX_ATTR_GRAPH ? a->graph : NULL;
}

ax_status infer_body(struct infer *s, const char *attr,
                     const struct infer_fact *in, uint32_t n_in,
                     struct infer_fact **out, uint32_t n_out,
                     struct ax_err *err)
{
    struct infer b = {.m = s->m,
                      .arena = s->arena,
                      .g = graph_attr(s->node, attr),
                      .outer = s,
                      .free_name = s->free_name};

    if (!b.g)
        return ax_fail(err, AX_EFORMAT, "attribute '%s' is no graph", attr);
    if (b.g->n_inputs != n_in || b.g->n_outputs != n_out)
        return ax_fail(err, AX_EFORMAT,
                       "attribute '%s' has %" PRIu32 " inputs and %" PRIu32
                       " outputs, wants %" PRIu32 " and %" PRIu32,
                       attr, b.g->n_inputs, b.g->n_outputs, n_in, n_out);
    AX_TRY(start(&b, err));
    for (uint32_t i = 0; i < n_in; i++)
        b.facts[b.g->inputs[i]] = in[i];
    AX_TRY(captures(&b, err));
    if (infer_nodes(&b, err) != AX_OK)
        return s->outer ? err->code : ax_fail_in(err, "attribute '%s'", attr);
    *out = ax_arena_alloc(s->arena, n_out + 1u, sizeof **out);
    if (!*out)
        return ax_fail(err, AX_ENOMEM, "no memory for shape inference");
    for (uint32_t i = 0; i < n_out; i++)
        (*out)[i] = b.facts[b.g->outputs[i]];
    return AX_OK;
}

static ax_status count_captured(struct infer *s, const struct ax_graph *g,
                                uint32_t *uses, struct ax_err *err)
{
    for (uint32_t i = 0; i < g->n_values; i++) {
        uint32_t v;

        AX_TRY(find(&v, s, g->values[i].name, err));
        if (v != AX_NONE)
            uses[v]++;
    }
    for (uint32_t i = 0; i < g->n_nodes; i++)
        for (uint32_t k = 0; k < g->nodes[i].n_attrs; k++)
            if (g->nodes[i].attrs[k].kind == AX_ATTR_GRAPH)
                AX_TRY(
                    count_captured(s, g->nodes[i].attrs[k].graph, uses, err));
    return AX_OK;
}

ax_status infer_captured(struct infer *s, uint32_t *uses, struct ax_err *err)
{
    for (uint32_t i = 0; i < s->g->n_nodes; i++)
        for (uint32_t k = 0; k < s->g->nodes[i].n_attrs; k++)
            if (s->g->nodes[i].attrs[k].kind == AX_ATTR_GRAPH)
                AX_TRY(count_captured(s, s->g->nodes[i].attrs[k].graph, uses,
                                      err));
    return AX_OK;
}

/* ---- the model ---- */

ax_status ax_model_infer(struct ax_model *m, struct ax_err *err)
{
    struct infer s;
    ax_status st;

    m->has_identity = false;
    st = infer_graph(&s, m, err);
    ax_arena_free(s.arena);
    return st;
}
