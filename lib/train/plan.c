/* Memory: gradients of values share buffers, since one is needed only from
 * the last step that reads the value to the one that makes it, backwards; and
 * a function that can work in place does. */
#include <stdlib.h>

#include "train/net.h"

struct buffer {
    size_t n; /* numbers of a row */
    bool busy;
};

struct plan {
    struct buffer *buffers; /* [values], of which n are there */
    size_t n;
    size_t *of; /* [values]: a buffer, from 1; 0: none */
};

/* The smallest that is free and large enough, or else the largest that is
 * free, which grows. */
static size_t find_buffer(struct plan *p, size_t n)
{
    size_t best = 0;

    for (size_t i = 1; i <= p->n; i++) {
        const struct buffer *b = &p->buffers[i - 1];
        const struct buffer *c = best ? &p->buffers[best - 1] : NULL;

        if (!b->busy &&
            (!c || (c->n < n ? b->n > c->n : b->n >= n && b->n < c->n)))
            best = i;
    }
    if (!best)
        best = ++p->n;
    if (p->buffers[best - 1].n < n)
        p->buffers[best - 1].n = n;
    p->buffers[best - 1].busy = true;
    return best;
}

static void want(struct plan *p, const struct ax_trainer *t,
                 const struct value *v)
{
    if (v && v != t->input && v->x[0] && !p->of[v - t->values])
        p->of[v - t->values] = find_buffer(p, v->width);
}

static void make_plan(struct plan *p, const struct ax_trainer *t)
{
    want(p, t, t->output);
    for (uint32_t i = t->model->graph->n_nodes; i-- > 0;) {
        const struct step *s = &t->steps[i];
        size_t out = p->of[s->out - t->values];

        want(p, t, s->in);
        want(p, t, s->other);
        if (out)
            p->buffers[out - 1].busy = false;
    }
}

static ax_status take_buffers(struct ax_trainer *t, const struct plan *p,
                              struct ax_err *err)
{
    t->shared = calloc(p->n + 1, sizeof *t->shared);
    if (!t->shared)
        return ax_fail(err, AX_ENOMEM, "no memory for gradients");
    for (; t->n_shared < p->n; t->n_shared++) {
        size_t n = p->buffers[t->n_shared].n * t->opt.batch;

        t->shared[t->n_shared] = train_floats(n);
        if (!t->shared[t->n_shared])
            return ax_fail(err, AX_ENOMEM, "no memory for %zu gradients", n);
    }
    for (uint32_t i = 0; i < t->model->graph->n_values; i++)
        if (p->of[i])
            t->values[i].g[PLANE_EXACT] = t->shared[p->of[i] - 1];
    return AX_OK;
}

ax_status train_plan(struct ax_trainer *t, struct ax_err *err)
{
    size_t n = (size_t)t->model->graph->n_values + 1;
    struct plan p = {.buffers = calloc(n, sizeof *p.buffers),
                     .of = calloc(n, sizeof *p.of)};
    ax_status st;

    if (p.buffers && p.of) {
        make_plan(&p, t);
        st = take_buffers(t, &p, err);
    } else {
        st = ax_fail(err, AX_ENOMEM, "no memory for a plan");
    }
    free(p.buffers);
    free(p.of);
    return st;
}

/* Does going back through this operator need what it gave? */
static bool wants_output(ax_op op)
{
    return op == AX_OP_Sigmoid || op == AX_OP_Tanh || op == AX_OP_MaxPool;
}

bool train_in_place(const struct ax_trainer *t, const struct step *s)
{
    const struct ax_graph *g = t->model->graph;
    const struct step *maker = NULL;
    size_t uses = 0;

    for (uint32_t i = 0; i < g->n_outputs; i++)
        uses += &t->values[g->outputs[i]] == s->in;
    for (uint32_t i = 0; i < g->n_nodes; i++)
        for (uint32_t k = 0; k < g->nodes[i].n_in; k++)
            uses += g->nodes[i].in[k] != AX_NONE &&
                    &t->values[g->nodes[i].in[k]] == s->in;
    for (const struct step *m = t->steps; m < s; m++)
        if (m->out == s->in)
            maker = m;
    return !t->opt.robust && uses == 1 && maker &&
           !wants_output(maker->kind->op);
}
