/* Two graphs walked at once, from their outputs to their inputs: what stands
 * in the same place has to be the same, whatever it is called. */
#include "diff.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHANGES_MAX = 100 };

struct side {
    const struct ax_model *m;
    const struct ax_graph *g;
    uint32_t *maker; /* node of each value, or AX_NONE */
    uint32_t *slot;  /* which of its outputs */
    uint32_t *mate;  /* the value that stands in its place, or AX_NONE */
};

/* Two graphs at the same depth. */
struct level {
    struct diff *d;
    struct side s[2];
    struct level *outer;
    uint32_t (*todo)[2]; /* pairs that were not looked into */
    size_t n_todo, cap_todo;
    int depth;
};

static ax_status no_memory(struct ax_err *err)
{
    return ax_fail(err, AX_ENOMEM, "no memory to compare models");
}

static ax_status AX_PRINTF(3, 4)
    change(struct diff *d, struct ax_err *err, const char *fmt, ...)
{
    char **more;
    va_list ap;
    int n;

    if (d->n_changes == CHANGES_MAX) {
        d->more++;
        return AX_OK;
    }
    more = reallocarray(d->change, d->n_changes + 1, sizeof *more);
    if (!more)
        return no_memory(err);
    d->change = more;
    va_start(ap, fmt);
    n = vasprintf(&more[d->n_changes], fmt, ap);
    va_end(ap);
    if (n < 0)
        return no_memory(err);
    d->n_changes++;
    return AX_OK;
}

/* ---- tensors ---- */

/* The twin of the narrower type has the other's numbers, rounded. */
static ax_status compare_types(struct twin *t, struct ax_err *err)
{
    int narrow = t->t[1]->dtype != t->t[0]->dtype &&
                 ax_dtype_size(t->t[1]->dtype) <=
                     ax_dtype_size(t->t[0]->dtype);
    struct ax_tensor cast;

    if (t->t[0]->dtype == AX_STRING || t->t[1]->dtype == AX_STRING) {
        t->state = TWIN_TYPE;
        return AX_OK;
    }
    AX_TRY(ax_tensor_cast(&cast, t->t[!narrow], t->t[narrow]->dtype, err));
    t->by = ax_tensor_compare(&cast, t->t[narrow]);
    t->state = t->by.absolute == 0 ? TWIN_ROUNDED : TWIN_TYPE;
    ax_tensor_free(&cast);
    return AX_OK;
}

static ax_status add_twin(struct level *l, uint32_t a, uint32_t b,
                          struct ax_err *err)
{
    struct diff *d = l->d;
    struct twin t = {0};

    for (int i = 0; i < 2; i++) {
        const struct ax_value *v = &l->s[i].g->values[i ? b : a];

        t.name[i] = v->name;
        t.t[i] = &l->s[i].m->tensors[v->tensor];
    }
    if (t.t[0]->rank != t.t[1]->rank ||
        memcmp(t.t[0]->dims, t.t[1]->dims,
               (size_t)t.t[0]->rank * sizeof t.t[0]->dims[0]) != 0) {
        t.state = TWIN_SHAPE;
    } else if (t.t[0]->dtype != t.t[1]->dtype) {
        AX_TRY(compare_types(&t, err));
    } else if (t.t[0]->nbytes != t.t[1]->nbytes ||
               memcmp(t.t[0]->data, t.t[1]->data, t.t[0]->nbytes) != 0) {
        t.state = TWIN_VALUES;
        t.by = ax_tensor_compare(t.t[0], t.t[1]);
    }
    if (d->n_twins == d->cap_twins) {
        size_t cap = d->cap_twins ? 2 * d->cap_twins : 64;
        struct twin *more = reallocarray(d->twin, cap, sizeof *more);

        if (!more)
            return no_memory(err);
        d->twin = more;
        d->cap_twins = cap;
    }
    d->of[t.state]++;
    d->twin[d->n_twins++] = t;
    return AX_OK;
}

/* ---- values ---- */

/* A cast that keeps every number. */
static bool widens(const struct ax_graph *g, const struct ax_node *n)
{
    ax_dtype from;

    if (n->op != AX_OP_Cast || n->n_in != 1 || n->in[0] == AX_NONE)
        return false;
    from = g->values[n->in[0]].dtype;
    return (from == AX_F16 || from == AX_BF16) &&
           ax_node_int(n, "to", 0) == AX_F32;
}

static uint32_t see_through(const struct side *s, uint32_t v)
{
    while (s->maker[v] != AX_NONE && widens(s->g, &s->g->nodes[s->maker[v]]))
        v = s->g->nodes[s->maker[v]].in[0];
    return v;
}

/* Both are to stand in the same place; look into them later. */
static ax_status pair(struct level *l, uint32_t a, uint32_t b,
                      struct ax_err *err)
{
    const struct ax_value *x, *y;

    if (a == AX_NONE && b == AX_NONE)
        return AX_OK;
    if (a == AX_NONE || b == AX_NONE)
        return change(l->d, err, "'%s' is absent in the %s",
                      l->s[a == AX_NONE].g->values[a == AX_NONE ? b : a].name,
                      a == AX_NONE ? "first" : "second");
    x = &l->s[0].g->values[a];
    y = &l->s[1].g->values[b];
    if (x->dtype && y->dtype && x->dtype != y->dtype &&
        (x->tensor == AX_NONE || y->tensor == AX_NONE))
        return change(l->d, err, "'%s' is %s, '%s' is %s", x->name,
                      ax_dtype_name(x->dtype), y->name,
                      ax_dtype_name(y->dtype));
    a = see_through(&l->s[0], a);
    b = see_through(&l->s[1], b);
    if (l->s[0].mate[a] == b)
        return AX_OK;
    x = &l->s[0].g->values[a];
    y = &l->s[1].g->values[b];
    /* A tensor may be there once, or as often as it is used. */
    if ((l->s[0].mate[a] != AX_NONE || l->s[1].mate[b] != AX_NONE) &&
        (x->tensor == AX_NONE || y->tensor == AX_NONE))
        return change(l->d, err,
                      "'%s' and '%s' stand in one place, but stood in "
                      "others before",
                      x->name, y->name);
    l->s[0].mate[a] = b;
    l->s[1].mate[b] = a;
    l->d->renamed += strcmp(x->name, y->name) != 0;
    if (l->n_todo == l->cap_todo) {
        size_t cap = l->cap_todo ? 2 * l->cap_todo : 256;
        uint32_t(*more)[2] = reallocarray(l->todo, cap, sizeof *more);

        if (!more)
            return no_memory(err);
        l->todo = more;
        l->cap_todo = cap;
    }
    l->todo[l->n_todo][0] = a;
    l->todo[l->n_todo++][1] = b;
    return AX_OK;
}

static int position(const uint32_t *list, uint32_t n, uint32_t v)
{
    for (uint32_t i = 0; i < n; i++)
        if (list[i] == v)
            return (int)i;
    return -1;
}

static ax_status compare_level(struct level *l, struct ax_err *err);
static ax_status level_begin(struct level *l, struct ax_err *err);
static void level_end(struct level *l);

/* ---- nodes ---- */

static bool same_list(const struct ax_attr *a, const struct ax_attr *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (a->kind == AX_ATTR_INTS ? a->ints[i] != b->ints[i]
            : a->kind == AX_ATTR_FLOATS
                ? memcmp(&a->floats[i], &b->floats[i], sizeof(float)) != 0
                : strcmp(a->strings[i], b->strings[i]) != 0)
            return false;
    return true;
}

/* *same is not touched where graphs inside differ: that is said there. */
static ax_status compare_attr(struct level *l, const struct ax_attr *a,
                              const struct ax_attr *b, bool *same,
                              struct ax_err *err)
{
    struct level inner = {.d = l->d, .outer = l, .depth = l->depth + 1};
    ax_status st;

    if (strcmp(a->name, b->name) != 0 || a->kind != b->kind) {
        *same = false;
        return AX_OK;
    }
    switch (a->kind) {
    case AX_ATTR_INT:
        *same &= a->i == b->i;
        return AX_OK;
    case AX_ATTR_FLOAT:
        *same &= memcmp(&a->f, &b->f, sizeof a->f) == 0;
        return AX_OK;
    case AX_ATTR_STRING:
        *same &= strcmp(a->s, b->s) == 0;
        return AX_OK;
    case AX_ATTR_GRAPH:
        break;
    default:
        *same &= same_list(a, b);
        return AX_OK;
    }
    for (int i = 0; i < 2; i++) {
        inner.s[i].m = l->s[i].m;
        inner.s[i].g = i ? b->graph : a->graph;
    }
    st = level_begin(&inner, err);
    if (st == AX_OK)
        st = compare_level(&inner, err);
    level_end(&inner);
    return st;
}

static ax_status compare_nodes(struct level *l, const struct ax_node *a,
                               const struct ax_node *b, struct ax_err *err)
{
    bool same = a->op == b->op && a->n_in == b->n_in && a->n_out == b->n_out;

    if (!same)
        return change(l->d, err,
                      "node '%s' is %s of %" PRIu32 " inputs, '%s' is %s of "
                      "%" PRIu32,
                      a->name, ax_op_name(a->op), a->n_in, b->name,
                      ax_op_name(b->op), b->n_in);
    same = a->n_attrs == b->n_attrs;
    for (uint32_t i = 0; i < a->n_attrs && same; i++)
        AX_TRY(compare_attr(l, &a->attrs[i], &b->attrs[i], &same, err));
    if (!same)
        AX_TRY(change(l->d, err,
                      "nodes '%s' and '%s' (%s) have other attributes",
                      a->name, b->name, ax_op_name(a->op)));
    for (uint32_t i = 0; i < a->n_in; i++)
        AX_TRY(pair(l, a->in[i], b->in[i], err));
    return AX_OK;
}

static ax_status compare_inputs(struct level *l, uint32_t a, uint32_t b,
                                struct ax_err *err)
{
    const struct ax_value *x = &l->s[0].g->values[a],
                          *y = &l->s[1].g->values[b];
    int i = position(l->s[0].g->inputs, l->s[0].g->n_inputs, a),
        k = position(l->s[1].g->inputs, l->s[1].g->n_inputs, b);
    uint32_t outer[2] = {AX_NONE, AX_NONE};

    if (i >= 0 && i == k)
        return AX_OK;
    if (i >= 0 || k >= 0 || !l->outer)
        return change(l->d, err, "'%s' and '%s' are not the same input",
                      x->name, y->name);
    /* What a graph inside sees of the one around it. */
    for (int s = 0; s < 2; s++) {
        const struct ax_graph *g = l->outer->s[s].g;
        const char *name = s ? y->name : x->name;

        for (uint32_t v = 0; v < g->n_values && outer[s] == AX_NONE; v++)
            if (strcmp(g->values[v].name, name) == 0)
                outer[s] = v;
    }
    return pair(l->outer, outer[0], outer[1], err);
}

static ax_status compare_values(struct level *l, uint32_t a, uint32_t b,
                                struct ax_err *err)
{
    const struct ax_value *x = &l->s[0].g->values[a],
                          *y = &l->s[1].g->values[b];
    uint32_t m, n;

    m = l->s[0].maker[a];
    n = l->s[1].maker[b];
    if (x->tensor != AX_NONE && y->tensor != AX_NONE)
        return add_twin(l, a, b, err);
    if (m == AX_NONE && n == AX_NONE && x->tensor == AX_NONE &&
        y->tensor == AX_NONE)
        return compare_inputs(l, a, b, err);
    if (m == AX_NONE || n == AX_NONE)
        return change(l->d, err, "'%s' is %s, '%s' is %s", x->name,
                      m != AX_NONE           ? "computed"
                      : x->tensor != AX_NONE ? "a tensor"
                                             : "an input",
                      y->name,
                      n != AX_NONE           ? "computed"
                      : y->tensor != AX_NONE ? "a tensor"
                                             : "an input");
    if (l->s[0].slot[a] != l->s[1].slot[b])
        return change(l->d, err,
                      "'%s' and '%s' are not the same output of their nodes",
                      x->name, y->name);
    return compare_nodes(l, &l->s[0].g->nodes[m], &l->s[1].g->nodes[n], err);
}

/* ---- graphs ---- */

static ax_status side_begin(struct side *s, struct ax_err *err)
{
    const struct ax_graph *g = s->g;
    size_t n = g->n_values + 1u;

    s->maker = malloc(n * sizeof *s->maker);
    s->slot = calloc(n, sizeof *s->slot);
    s->mate = malloc(n * sizeof *s->mate);
    if (!s->maker || !s->slot || !s->mate)
        return no_memory(err);
    for (size_t i = 0; i < n; i++)
        s->maker[i] = s->mate[i] = AX_NONE;
    for (uint32_t k = 0; k < g->n_nodes; k++)
        for (uint32_t o = 0; o < g->nodes[k].n_out; o++)
            if (g->nodes[k].out[o] != AX_NONE) {
                s->maker[g->nodes[k].out[o]] = k;
                s->slot[g->nodes[k].out[o]] = o;
            }
    return AX_OK;
}

static ax_status level_begin(struct level *l, struct ax_err *err)
{
    for (int i = 0; i < 2; i++) {
        const struct ax_graph *g = l->s[i].g;

        AX_TRY(side_begin(&l->s[i], err));
        l->d->nodes[i] += g->n_nodes;
        for (uint32_t k = 0; k < g->n_nodes; k++)
            l->d->casts[i] += widens(g, &g->nodes[k]);
    }
    if (l->depth > AX_DEPTH_MAX)
        return ax_fail(err, AX_EFORMAT, "graphs nest deeper than %d",
                       AX_DEPTH_MAX);
    return AX_OK;
}

static void level_end(struct level *l)
{
    for (int i = 0; i < 2; i++) {
        free(l->s[i].maker);
        free(l->s[i].slot);
        free(l->s[i].mate);
    }
    free(l->todo);
}

static ax_status same_ends(struct level *l, const char *what,
                           const uint32_t *a, uint32_t n_a, const uint32_t *b,
                           uint32_t n_b, struct ax_err *err)
{
    if (n_a != n_b)
        AX_TRY(change(l->d, err, "%" PRIu32 " %s, %" PRIu32 " there", n_a,
                      what, n_b));
    for (uint32_t i = 0; i < n_a && i < n_b; i++) {
        const struct ax_value *x = &l->s[0].g->values[a[i]],
                              *y = &l->s[1].g->values[b[i]];
        char one[160], two[160];

        ax_shape_text(one, sizeof one, x->dtype, x->rank, x->dims);
        ax_shape_text(two, sizeof two, y->dtype, y->rank, y->dims);
        if (strcmp(one, two) != 0)
            AX_TRY(change(l->d, err, "%s: '%s' is %s, '%s' is %s", what,
                          x->name, one, y->name, two));
        l->d->renamed += strcmp(x->name, y->name) != 0;
    }
    return AX_OK;
}

static ax_status compare_level(struct level *l, struct ax_err *err)
{
    const struct ax_graph *a = l->s[0].g, *b = l->s[1].g;

    AX_TRY(same_ends(l, "inputs", a->inputs, a->n_inputs, b->inputs,
                     b->n_inputs, err));
    AX_TRY(same_ends(l, "outputs", a->outputs, a->n_outputs, b->outputs,
                     b->n_outputs, err));
    for (uint32_t i = 0; i < a->n_outputs && i < b->n_outputs; i++)
        AX_TRY(pair(l, a->outputs[i], b->outputs[i], err));
    while (l->n_todo) {
        const uint32_t *next = l->todo[--l->n_todo];

        AX_TRY(compare_values(l, next[0], next[1], err));
    }
    return AX_OK;
}

ax_status diff_models(struct diff *out, const struct ax_model *a,
                      const struct ax_model *b, struct ax_err *err)
{
    struct level top = {
        .d = out, .s = {{.m = a, .g = a->graph}, {.m = b, .g = b->graph}}};
    ax_status st;

    *out = (struct diff){0};
    st = level_begin(&top, err);
    if (st == AX_OK)
        st = compare_level(&top, err);
    level_end(&top);
    return st;
}

void diff_free(struct diff *d)
{
    for (size_t i = 0; i < d->n_changes; i++)
        free(d->change[i]);
    free(d->change);
    free(d->twin);
    *d = (struct diff){0};
}
