/* Running a plan: nodes in order, each through the first of its kernels that
 * takes the case, every tensor dropped after its last use. */
#include "plan.h"

#include <stdlib.h>
#include <string.h>

/* What a kernel's struct ax_call is the first member of. */
struct frame {
    struct ax_call call;
    struct ax_plan *plan;
    struct scope *scope;
    uint32_t step;
    bool fused;          /* output 0 is that of the next step */
    struct buf *scratch; /* list */
};

static struct frame *frame_of(struct ax_call *c)
{
    return (struct frame *)c;
}

/* -- slots --------------------------------------------------------------- */

static void slot_clear(struct ax_plan *p, struct slot *s)
{
    if (s->constant)
        return;
    pool_put(&p->pool, s->buf);
    s->buf = NULL;
    memset(&s->t, 0, sizeof s->t);
}

static void set_shape(struct ax_tensor *t, ax_dtype dtype, int rank,
                      const int64_t *dims)
{
    t->dtype = dtype;
    t->rank = rank;
    for (int i = 0; i < rank; i++)
        t->dims[i] = dims[i];
}

/* Where the tensor and buffer of a call's output lie. */
static void output(struct ax_call *c, uint32_t o, struct ax_tensor **t,
                   struct buf ***buf)
{
    struct frame *f = frame_of(c);
    uint32_t v = f->fused && o == 0 ? c->then->out[0] : c->node->out[o];

    if (v == AX_NONE) {
        *t = &f->scope->steps[f->step].unwanted[o];
        *buf = &f->scope->steps[f->step].unwanted_buf[o];
    } else {
        *t = &f->scope->slots[v].t;
        *buf = &f->scope->slots[v].buf;
    }
}

/* -- what kernels ask for ------------------------------------------------ */

bool ax_call_has(const struct ax_call *c, uint32_t in)
{
    return in < c->node->n_in && c->in[in];
}

bool ax_call_wants(const struct ax_call *c, uint32_t out)
{
    return out < c->node->n_out && c->node->out[out] != AX_NONE;
}

ax_status ax_call_out(struct ax_call *c, uint32_t o, ax_dtype dtype, int rank,
                      const int64_t *dims, struct ax_err *err)
{
    struct ax_tensor *t;
    struct buf **buf;
    size_t n;

    AX_TRY(ax_shape_count(&n, rank, dims, ax_dtype_size(dtype), err));
    output(c, o, &t, &buf);
    if (*buf)
        return ax_fail(err, AX_EBUG, "output %u is made twice", o);
    n *= ax_dtype_size(dtype);
    AX_TRY(pool_get(buf, &frame_of(c)->plan->pool, n, err));
    set_shape(t, dtype, rank, dims);
    t->data = (*buf)->data;
    t->nbytes = n;
    return AX_OK;
}

ax_status ax_call_out_over(struct ax_call *c, uint32_t o, uint32_t i,
                           struct ax_err *err)
{
    struct frame *f = frame_of(c);
    struct slot *s = &f->scope->slots[c->node->in[i]];

    if (s->buf && !s->constant && s->buf->refs == 1 && s->last == f->step)
        return ax_call_view(c, o, i, s->t.rank, s->t.dims, err);
    return ax_call_out(c, o, s->t.dtype, s->t.rank, s->t.dims, err);
}

void ax_call_fuse(struct ax_call *c)
{
    struct frame *f = frame_of(c);
    struct step *st = &f->scope->steps[f->step];

    f->fused = true;
    c->out = f->scope->steps[st->then].out;
}

ax_status ax_call_view(struct ax_call *c, uint32_t o, uint32_t i, int rank,
                       const int64_t *dims, struct ax_err *err)
{
    struct slot *s = &frame_of(c)->scope->slots[c->node->in[i]];
    struct ax_tensor *t;
    struct buf **buf;
    size_t n;

    AX_TRY(ax_shape_count(&n, rank, dims, ax_dtype_size(s->t.dtype), err));
    if (n != ax_tensor_count(&s->t)) {
        char from[160], to[160];

        return ax_fail(err, AX_ESHAPE, "cannot view %s as %s",
                       ax_shape_text(from, sizeof from, s->t.dtype, s->t.rank,
                                     s->t.dims),
                       ax_shape_text(to, sizeof to, s->t.dtype, rank, dims));
    }
    output(c, o, &t, &buf);
    if (*buf)
        return ax_fail(err, AX_EBUG, "output %u is made twice", o);
    set_shape(t, s->t.dtype, rank, dims);
    t->data = s->t.data;
    t->nbytes = s->t.nbytes;
    *buf = s->buf;
    if (s->buf)
        s->buf->refs++;
    return AX_OK;
}

/* What owned memory the executor did not make itself joins the pool. */
static ax_status adopt(struct ax_plan *p, struct buf **out,
                       struct ax_tensor *t, struct ax_err *err)
{
    struct buf *b = malloc(sizeof *b);

    if (!b)
        return ax_fail(err, AX_ENOMEM, "no memory for a tensor");
    *b = (struct buf){t->data, t->nbytes, 1, NULL};
    p->pool.live += b->size;
    *out = b;
    return AX_OK;
}

ax_status ax_call_take(struct ax_call *c, uint32_t o, struct ax_tensor *t,
                       struct ax_err *err)
{
    struct ax_tensor *to;
    struct buf **buf;

    output(c, o, &to, &buf);
    if (*buf)
        return ax_fail(err, AX_EBUG, "output %u is made twice", o);
    AX_TRY(adopt(frame_of(c)->plan, buf, t, err));
    *to = *t;
    to->owned = false;
    memset(t, 0, sizeof *t);
    return AX_OK;
}

ax_status ax_call_scratch(struct ax_call *c, void **out, size_t n,
                          struct ax_err *err)
{
    struct frame *f = frame_of(c);
    struct buf *b;

    AX_TRY(pool_get(&b, &f->plan->pool, n, err));
    b->next = f->scratch;
    f->scratch = b;
    *out = b->data;
    return AX_OK;
}

ax_status ax_call_graph(struct ax_call *c, const struct ax_graph *g,
                        struct ax_tensor *out, uint32_t n_out,
                        const struct ax_tensor *in, uint32_t n_in,
                        struct ax_err *err)
{
    struct frame *f = frame_of(c);
    struct scope *s = f->scope->steps[f->step].body;

    while (s && s->g != g)
        s = s->next;
    if (!s)
        return ax_fail(err, AX_EBUG, "a sub-graph was not planned");
    if (g->n_inputs != n_in || g->n_outputs != n_out)
        return ax_fail(err, AX_EFORMAT,
                       "sub-graph '%s' wants %u inputs and %u outputs, has "
                       "%u and %u",
                       g->name ? g->name : "", n_in, n_out, g->n_inputs,
                       g->n_outputs);
    return scope_run(f->plan, s, out, in, err);
}

/* -- steps --------------------------------------------------------------- */

static void release_outputs(struct frame *f)
{
    for (uint32_t o = 0; o < f->call.node->n_out; o++) {
        struct ax_tensor *t;
        struct buf **buf;

        output(&f->call, o, &t, &buf);
        pool_put(&f->plan->pool, *buf);
        *buf = NULL;
        memset(t, 0, sizeof *t);
    }
}

static void release_unwanted(struct frame *f)
{
    for (uint32_t o = 0; o < f->call.node->n_out; o++) {
        if (f->call.node->out[o] == AX_NONE) {
            struct step *st = &f->scope->steps[f->step];

            pool_put(&f->plan->pool, st->unwanted_buf[o]);
            st->unwanted_buf[o] = NULL;
        }
    }
}

static void release_scratch(struct frame *f)
{
    while (f->scratch) {
        struct buf *b = f->scratch;

        f->scratch = b->next;
        pool_put(&f->plan->pool, b);
    }
}

static ax_status outputs_made(const struct frame *f, struct ax_err *err)
{
    for (uint32_t o = 0; o < f->call.node->n_out; o++)
        if (ax_call_wants(&f->call, o) && !f->call.out[o]->data)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "output %u is asked for, and the kernel does not "
                           "make it",
                           o);
    return AX_OK;
}

static void let_die(struct ax_plan *p, struct scope *s, const struct step *st)
{
    for (uint32_t i = 0; i < st->n_dies; i++)
        slot_clear(p, &s->slots[st->dies[i]]);
}

static ax_status run_step(struct ax_plan *p, struct scope *s, uint32_t k,
                          struct ax_err *err)
{
    struct step *st = &s->steps[k];
    const struct ax_node *node = st->node;
    ax_status rc = AX_NO;

    if (st->absent || st->made)
        return AX_OK;
    if (st->done) {
        st->done = false;
        st->made = st->once;
        let_die(p, s, st);
        return AX_OK;
    }
    for (int e = 0; e < N_ENGINES && rc == AX_NO; e++) {
        struct frame f = {.plan = p, .scope = s, .step = k};

        if (!st->engine[e].kernel)
            continue;
        *err = (struct ax_err){0}; /* of a kernel that did not take it */
        f.call = (struct ax_call){
            .node = node,
            .kernel = st->engine[e].kernel,
            .in = st->in,
            .out = st->out,
            .constant = st->constant,
            .state = &st->engine[e].state,
            .backend = p->backend_state[e],
            .then = st->then != STEP_NONE ? s->steps[st->then].node : NULL,
        };
        rc = f.call.kernel->run(&f.call, err);
        release_scratch(&f);
        if (rc == AX_OK)
            rc = outputs_made(&f, err);
        if (rc != AX_OK)
            release_outputs(&f);
        release_unwanted(&f);
        if (rc == AX_OK && f.fused)
            s->steps[st->then].done = true;
    }
    if (rc == AX_NO)
        return ax_fail(err, AX_EBUG, "node '%s' (%s): no kernel took it",
                       node->name ? node->name : "", ax_op_name(node->op));
    if (rc != AX_OK)
        return ax_fail_in(err, "node '%s' (%s)", node->name ? node->name : "",
                          ax_op_name(node->op));
    st->made = st->once;
    let_die(p, s, st);
    return AX_OK;
}

/* -- graphs -------------------------------------------------------------- */

static void borrow(struct slot *s, const struct ax_tensor *t)
{
    s->t = *t;
    s->t.owned = false;
}

/* Hand an output to the caller: the memory itself where it is nobody
 * else's, a copy where it is. */
static ax_status give_output(struct ax_plan *p, struct scope *s, uint32_t o,
                             struct ax_tensor *out, struct ax_err *err)
{
    uint32_t v = s->g->outputs[o];
    struct slot *slot = &s->slots[v];
    bool again = false;

    for (uint32_t k = o + 1; k < s->g->n_outputs; k++)
        again |= s->g->outputs[k] == v;
    if (!slot->t.data)
        return ax_fail(err, AX_EFORMAT, "output '%s' is never made",
                       s->g->values[v].name);
    if (!again && slot->buf && slot->buf->refs == 1) {
        *out = slot->t;
        out->data = pool_give(&p->pool, slot->buf);
        out->owned = true;
        slot->buf = NULL;
        memset(&slot->t, 0, sizeof slot->t);
        return AX_OK;
    }
    AX_TRY(
        ax_tensor_new(out, slot->t.dtype, slot->t.rank, slot->t.dims, err));
    memcpy(out->data, slot->t.data, out->nbytes);
    return AX_OK;
}

ax_status scope_run(struct ax_plan *p, struct scope *s, struct ax_tensor *out,
                    const struct ax_tensor *in, struct ax_err *err)
{
    const struct ax_graph *g = s->g;
    ax_status rc = AX_OK;
    uint32_t made = 0;

    for (uint32_t i = 0; i < g->n_inputs; i++)
        borrow(&s->slots[g->inputs[i]], &in[i]);
    for (uint32_t i = 0; i < s->n_captures; i++)
        borrow(&s->slots[s->captures[i].inner],
               &s->captures[i].scope->slots[s->captures[i].outer].t);
    for (uint32_t k = 0; k < g->n_nodes && rc == AX_OK; k++)
        rc = run_step(p, s, k, err);
    while (rc == AX_OK && made < g->n_outputs) {
        rc = give_output(p, s, made, &out[made], err);
        made += rc == AX_OK;
    }
    if (rc != AX_OK)
        while (made > 0)
            ax_tensor_free(&out[--made]);
    for (uint32_t v = 0; v < g->n_values; v++)
        slot_clear(p, &s->slots[v]);
    for (uint32_t k = 0; k < g->n_nodes && rc != AX_OK; k++)
        s->steps[k].done = false;
    return rc;
}

/* -- the inputs of the model --------------------------------------------- */

static bool dims_fit(const struct ax_value *v, const struct ax_tensor *t)
{
    if (v->rank < 0)
        return true;
    if (v->rank != t->rank)
        return false;
    for (int i = 0; i < v->rank; i++)
        if (v->dims[i] >= 0 && v->dims[i] != t->dims[i])
            return false;
    return true;
}

static ax_status check_input(const struct ax_value *v,
                             const struct ax_tensor *t, struct ax_err *err)
{
    char want[160], have[160];

    if ((v->dtype == AX_DTYPE_NONE || v->dtype == t->dtype) && dims_fit(v, t))
        return AX_OK;
    return ax_fail(
        err, AX_ESHAPE, "input '%s' wants %s, has %s", v->name,
        ax_shape_text(want, sizeof want, v->dtype, v->rank, v->dims),
        ax_shape_text(have, sizeof have, t->dtype, t->rank, t->dims));
}

/* Free dimensions of one name are of one size. */
static ax_status check_names(const struct ax_graph *g,
                             const struct ax_tensor *in, uint32_t a,
                             uint32_t b, struct ax_err *err)
{
    const struct ax_value *va = &g->values[g->inputs[a]];
    const struct ax_value *vb = &g->values[g->inputs[b]];

    for (int i = 0; i < va->rank; i++)
        for (int j = 0; j < vb->rank; j++)
            if (va->dims[i] < 0 && vb->dims[j] < 0 && va->dim_names[i] &&
                vb->dim_names[j] &&
                strcmp(va->dim_names[i], vb->dim_names[j]) == 0 &&
                in[a].dims[i] != in[b].dims[j])
                return ax_fail(err, AX_ESHAPE,
                               "dimension '%s' is %lld in input '%s' and "
                               "%lld in input '%s'",
                               va->dim_names[i], (long long)in[a].dims[i],
                               va->name, (long long)in[b].dims[j], vb->name);
    return AX_OK;
}

ax_status ax_plan_run(struct ax_plan *p, struct ax_tensor *out,
                      const struct ax_tensor *in, struct ax_err *err)
{
    const struct ax_graph *g = p->top->g;

    for (uint32_t i = 0; i < g->n_inputs; i++) {
        AX_TRY(check_input(&g->values[g->inputs[i]], &in[i], err));
        for (uint32_t k = 0; k < i; k++)
            AX_TRY(check_names(g, in, k, i, err));
    }
    return scope_run(p, p->top, out, in, err);
}
