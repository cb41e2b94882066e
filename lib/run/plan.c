/* Making a plan: which kernel runs each node, and when each tensor can be
 * dropped. */
#include "plan.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_MAX_BYTES ((size_t)4 << 30)

/* Which output of which step makes a value of a graph, found by name for
 * the sub-graphs inside it. */
static uint32_t value_by_name(const struct ax_graph *g, const char *name)
{
    for (uint32_t v = 0; v < g->n_values; v++)
        if (strcmp(g->values[v].name, name) == 0)
            return v;
    return AX_NONE;
}

static void use_until(struct scope *s, uint32_t v, uint32_t step)
{
    struct slot *slot = &s->slots[v];

    if (slot->last == STEP_NONE || slot->constant)
        return;
    if (slot->last < step)
        slot->last = step;
}

/* -- values -------------------------------------------------------------- */

/* Mark the values that something in the graph itself gives. */
static void mark_given(const struct ax_graph *g, bool *given)
{
    for (uint32_t i = 0; i < g->n_inputs; i++)
        given[g->inputs[i]] = true;
    for (uint32_t k = 0; k < g->n_nodes; k++)
        for (uint32_t o = 0; o < g->nodes[k].n_out; o++)
            if (g->nodes[k].out[o] != AX_NONE)
                given[g->nodes[k].out[o]] = true;
    for (uint32_t v = 0; v < g->n_values; v++)
        if (g->values[v].tensor != AX_NONE)
            given[v] = true;
}

/* Find a value in the graphs around s, nearest first. */
static ax_status capture_one(struct scope *s, uint32_t inner,
                             struct ax_err *err)
{
    const char *name = s->g->values[inner].name;
    struct capture *more;

    for (struct scope *at = s; at->parent; at = at->parent) {
        uint32_t outer = value_by_name(at->parent->g, name);

        if (outer == AX_NONE)
            continue;
        more = realloc(s->captures, (s->n_captures + 1) * sizeof *more);
        if (!more)
            return ax_fail(err, AX_ENOMEM, "no memory for a plan");
        s->captures = more;
        more[s->n_captures++] = (struct capture){inner, outer, at->parent};
        at->parent->slots[outer].readers++;
        use_until(at->parent, outer, at->parent_step);
        if (at->parent->slots[outer].constant)
            s->slots[inner].constant = true;
        return AX_OK;
    }
    return ax_fail(err, AX_EFORMAT, "value '%s' is used and never made",
                   name);
}

/* Is v read by a node of g or an output? Values that are only listed need
 * no source. */
static void mark_read(const struct ax_graph *g, bool *read)
{
    for (uint32_t k = 0; k < g->n_nodes; k++)
        for (uint32_t i = 0; i < g->nodes[k].n_in; i++)
            if (g->nodes[k].in[i] != AX_NONE)
                read[g->nodes[k].in[i]] = true;
    for (uint32_t o = 0; o < g->n_outputs; o++)
        read[g->outputs[o]] = true;
}

static ax_status plan_captures(struct scope *s, struct ax_err *err)
{
    uint32_t n = s->g->n_values;
    bool *given = calloc(n + 1u, 1), *read = calloc(n + 1u, 1);
    ax_status st = AX_OK;

    if (!given || !read)
        st = ax_fail(err, AX_ENOMEM, "no memory for a plan");
    if (st == AX_OK) {
        mark_given(s->g, given);
        mark_read(s->g, read);
    }
    /* A value of the parent's that only a grandchild names is listed in
     * neither; the grandchild finds it by itself. */
    for (uint32_t v = 0; v < n && st == AX_OK; v++)
        if (read[v] && !given[v])
            st = capture_one(s, v, err);
    free(given);
    free(read);
    return st;
}

static void plan_values(struct ax_plan *p, struct scope *s)
{
    const struct ax_graph *g = s->g;

    for (uint32_t v = 0; v < g->n_values; v++) {
        uint32_t t = g->values[v].tensor;

        s->slots[v].made = STEP_NONE;
        if (t != AX_NONE && t < p->m->n_tensors) {
            s->slots[v].t = p->m->tensors[t];
            s->slots[v].t.owned = false;
            s->slots[v].constant = true;
        }
    }
    for (uint32_t o = 0; o < g->n_outputs; o++)
        s->slots[g->outputs[o]].last = STEP_NONE;
}

/* -- steps --------------------------------------------------------------- */

static ax_status plan_kernels(struct ax_plan *p, struct step *st,
                              const struct ax_node *node, struct ax_err *err)
{
    const char *op = st->kernel ? st->kernel : ax_op_name(node->op);
    bool any = false;

    for (int e = 0; e < N_ENGINES; e++) {
        if (p->backend[e])
            st->engine[e].kernel = ax_backend_kernel(p->backend[e], op);
        any |= st->engine[e].kernel != NULL;
    }
    if (!any)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "node '%s': operator %s has no kernel in backend %s",
                       node->name ? node->name : "", op ? op : "?",
                       p->backend[0]->name);
    return AX_OK;
}

/* Operators that prepare weights. */
static bool prepares(ax_op op)
{
    switch (op) {
    case AX_OP_Cast:
    case AX_OP_Concat:
    case AX_OP_DequantizeLinear:
    case AX_OP_Gather:
    case AX_OP_Reshape:
    case AX_OP_Slice:
    case AX_OP_Squeeze:
    case AX_OP_Transpose:
    case AX_OP_Unsqueeze:
        return true;
    default:
        return false;
    }
}

/* Does the step prepare a weight from constants, once for all runs? */
static bool is_once(const struct scope *s, const struct ax_node *node)
{
    if (!prepares(node->op) || node->n_in < 1 || node->n_out != 1 ||
        node->out[0] == AX_NONE ||
        s->slots[node->out[0]].last == STEP_NONE) /* an output */
        return false;
    for (uint32_t i = 0; i < node->n_in; i++)
        if (node->in[i] != AX_NONE && !s->slots[node->in[i]].constant)
            return false;
    return true;
}

static ax_status plan_step(struct ax_plan *p, struct scope *s, uint32_t k,
                           struct ax_err *err)
{
    struct step *st = &s->steps[k];
    const struct ax_node *node = st->node;

    if (st->absent)
        return AX_OK;
    AX_TRY(plan_kernels(p, st, node, err));
    st->in = calloc(node->n_in + 1u, sizeof *st->in);
    st->out = calloc(node->n_out + 1u, sizeof *st->out);
    st->unwanted = calloc(node->n_out + 1u, sizeof *st->unwanted);
    st->unwanted_buf = calloc(node->n_out + 1u, sizeof *st->unwanted_buf);
    if (!st->in || !st->out || !st->unwanted || !st->unwanted_buf)
        return ax_fail(err, AX_ENOMEM, "no memory for a plan");
    for (uint32_t i = 0; i < node->n_in; i++) {
        if (node->in[i] == AX_NONE)
            continue;
        st->in[i] = &s->slots[node->in[i]].t;
        s->slots[node->in[i]].readers++;
        if (i < 64 && s->slots[node->in[i]].constant)
            st->constant |= (uint64_t)1 << i;
        use_until(s, node->in[i], k);
    }
    for (uint32_t o = 0; o < node->n_out; o++) {
        bool wanted = node->out[o] != AX_NONE;

        st->out[o] = wanted ? &s->slots[node->out[o]].t : &st->unwanted[o];
        if (wanted) {
            s->slots[node->out[o]].made = k;
            use_until(s, node->out[o], k);
        }
    }
    st->once = is_once(s, node);
    if (st->once)
        s->slots[node->out[0]].constant = true;
    return AX_OK;
}

/* Find the steps that a kernel may do with the one before: their only
 * varying input is its first output, which nobody else reads. */
static void plan_fusion(struct scope *s)
{
    const struct ax_graph *g = s->g;

    for (uint32_t k = 0; k < g->n_nodes; k++)
        s->steps[k].then = STEP_NONE;
    for (uint32_t k = 0; k < g->n_nodes; k++) {
        const struct ax_node *node = s->steps[k].node;
        uint32_t v = node->n_in > 0 ? node->in[0] : AX_NONE, from;

        if (s->steps[k].absent || v == AX_NONE || node->n_in != 1 ||
            node->n_out != 1 || node->out[0] == AX_NONE ||
            s->slots[v].readers != 1 || s->slots[v].last != k)
            continue;
        from = s->slots[v].made;
        if (from != STEP_NONE && s->steps[from].node->out[0] == v)
            s->steps[from].then = k;
    }
}

/* Turn each slot's last use into the steps' lists. */
static ax_status plan_deaths(struct scope *s, struct ax_err *err)
{
    uint32_t n_values = s->g->n_values;

    for (uint32_t v = 0; v < n_values; v++)
        if (!s->slots[v].constant && s->slots[v].last != STEP_NONE &&
            s->slots[v].last < s->g->n_nodes)
            s->steps[s->slots[v].last].n_dies++;
    for (uint32_t k = 0; k < s->g->n_nodes; k++) {
        s->steps[k].dies = calloc(s->steps[k].n_dies + 1u, sizeof(uint32_t));
        if (!s->steps[k].dies)
            return ax_fail(err, AX_ENOMEM, "no memory for a plan");
        s->steps[k].n_dies = 0;
    }
    for (uint32_t v = 0; v < n_values; v++) {
        struct step *st;

        if (s->slots[v].constant || s->slots[v].last == STEP_NONE ||
            s->slots[v].last >= s->g->n_nodes)
            continue;
        st = &s->steps[s->slots[v].last];
        st->dies[st->n_dies++] = v;
    }
    return AX_OK;
}

/* -- graphs -------------------------------------------------------------- */

/* What steps made once for all runs. */
static void drop_made(struct ax_plan *p, struct scope *s)
{
    for (uint32_t v = 0; s->slots && v < s->g->n_values; v++) {
        pool_put(&p->pool, s->slots[v].buf);
        s->slots[v].buf = NULL;
    }
}

static void scope_free(struct ax_plan *p, struct scope *s)
{
    while (s) {
        struct scope *next = s->next;

        drop_made(p, s);
        for (uint32_t k = 0; s->steps && k < s->g->n_nodes; k++) {
            struct step *st = &s->steps[k];

            for (int e = 0; e < N_ENGINES; e++)
                if (st->engine[e].state && st->engine[e].kernel->drop)
                    st->engine[e].kernel->drop(st->engine[e].state);
            free(st->in);
            free(st->out);
            free(st->unwanted);
            free(st->unwanted_buf);
            free(st->dies);
            free(st->fused);
            scope_free(p, st->body);
        }
        free(s->captures);
        free(s->slots);
        free(s->steps);
        free(s);
        s = next;
    }
}

static ax_status scope_new(struct scope **out, struct ax_plan *p,
                           const struct ax_graph *g, struct scope *parent,
                           uint32_t parent_step, int depth,
                           struct ax_err *err);

static ax_status plan_bodies(struct ax_plan *p, struct scope *s, uint32_t k,
                             int depth, struct ax_err *err)
{
    const struct ax_node *node = &s->g->nodes[k];

    for (uint32_t a = 0; a < node->n_attrs; a++) {
        struct scope *body;

        if (node->attrs[a].kind != AX_ATTR_GRAPH)
            continue;
        AX_TRY(
            scope_new(&body, p, node->attrs[a].graph, s, k, depth + 1, err));
        body->next = s->steps[k].body;
        s->steps[k].body = body;
    }
    return AX_OK;
}

static ax_status scope_new(struct scope **out, struct ax_plan *p,
                           const struct ax_graph *g, struct scope *parent,
                           uint32_t parent_step, int depth,
                           struct ax_err *err)
{
    struct scope *s = calloc(1, sizeof *s);
    ax_status st;

    if (!s)
        return ax_fail(err, AX_ENOMEM, "no memory for a plan");
    s->g = g;
    s->parent = parent;
    s->parent_step = parent_step;
    s->slots = calloc(g->n_values + 1u, sizeof *s->slots);
    s->steps = calloc(g->n_nodes + 1u, sizeof *s->steps);
    if (!s->slots || !s->steps)
        st = ax_fail(err, AX_ENOMEM, "no memory for a plan");
    else if (depth > AX_DEPTH_MAX)
        st = ax_fail(err, AX_EFORMAT, "sub-graphs nest deeper than %d",
                     AX_DEPTH_MAX);
    else {
        plan_values(p, s);
        for (uint32_t k = 0; k < g->n_nodes; k++)
            s->steps[k].node = &g->nodes[k];
        st = plan_captures(s, err);
        if (st == AX_OK && !parent && p->backend[0]->integers)
            st = plan_quantised(s, err);
    }
    for (uint32_t k = 0; k < g->n_nodes && st == AX_OK; k++) {
        st = plan_step(p, s, k, err);
        if (st == AX_OK)
            st = plan_bodies(p, s, k, depth, err);
    }
    if (st == AX_OK) {
        plan_fusion(s);
        st = plan_deaths(s, err);
    }
    if (st != AX_OK) {
        scope_free(p, s);
        return st;
    }
    *out = s;
    return AX_OK;
}

ax_status ax_plan_new(struct ax_plan **out, const struct ax_model *m,
                      const struct ax_run_options *opt, struct ax_err *err)
{
    const char *name = opt && opt->backend ? opt->backend : "ref";
    int threads = opt && opt->threads > 0 ? opt->threads : 1;
    struct ax_plan *p = calloc(1, sizeof *p);
    ax_status st = AX_OK;

    if (!p)
        return ax_fail(err, AX_ENOMEM, "no memory for a plan");
    p->m = m;
    p->pool.limit = opt && opt->max_bytes ? opt->max_bytes
                                          : DEFAULT_MAX_BYTES;
    p->backend[0] = ax_backend_find(name);
    if (!p->backend[0])
        st = ax_fail(err, AX_EUSAGE, "there is no backend '%s'", name);
    else if (p->backend[0] != ax_backends[0])
        p->backend[1] = ax_backends[0];
    for (int e = 0; e < N_ENGINES && st == AX_OK; e++)
        if (p->backend[e] && p->backend[e]->open)
            st = p->backend[e]->open(&p->backend_state[e], threads,
                                     opt && opt->deterministic, err);
    if (st == AX_OK)
        st = scope_new(&p->top, p, m->graph, NULL, 0, 0, err);
    if (st != AX_OK) {
        ax_plan_free(p);
        return st;
    }
    *out = p;
    return AX_OK;
}

void ax_plan_free(struct ax_plan *p)
{
    if (!p)
        return;
    scope_free(p, p->top);
    for (int e = 0; e < N_ENGINES; e++)
        if (p->backend_state[e] && p->backend[e]->close)
            p->backend[e]->close(p->backend_state[e]);
    pool_clear(&p->pool);
    free(p);
}
