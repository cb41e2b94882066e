/* Operators with graphs inside: If, Loop, Scan. */
#include "ref.h"

#include <stdlib.h>
#include <string.h>

static ax_status body_of(const struct ax_graph **g, const struct ax_call *c,
                         const char *name, struct ax_err *err)
{
    const struct ax_attr *a = ax_node_attr(c->node, name);

    if (!a || a->kind != AX_ATTR_GRAPH)
        return ax_fail(err, AX_EFORMAT, "attribute %s is missing", name);
    *g = a->graph;
    return AX_OK;
}

/* The one truth value in input I. */
static ax_status truth(bool *out, const struct ax_call *c, uint32_t i,
                       struct ax_err *err)
{
    AX_TRY(ref_want(c, i, BIT(AX_BOOL), err));
    if (ax_tensor_count(c->in[i]) != 1)
        return ax_fail(err, AX_ESHAPE, "input %u wants one truth value", i);
    *out = *(const uint8_t *)c->in[i]->data != 0;
    return AX_OK;
}

static void free_all(struct ax_tensor *t, uint32_t n)
{
    for (uint32_t i = 0; t && i < n; i++)
        ax_tensor_free(&t[i]);
}

/* -- If ------------------------------------------------------------------ */

static ax_status if_branch(struct ax_call *c, struct ax_err *err)
{
    uint32_t n = c->node->n_out;
    const struct ax_graph *g = NULL;
    struct ax_tensor *out;
    ax_status st;
    bool yes = false;

    AX_TRY(truth(&yes, c, 0, err));
    AX_TRY(body_of(&g, c, yes ? "then_branch" : "else_branch", err));
    out = calloc(n + 1u, sizeof *out);
    if (!out)
        return ax_fail(err, AX_ENOMEM, "no memory for outputs");
    st = ax_call_graph(c, g, out, n, NULL, 0, err);
    for (uint32_t o = 0; st == AX_OK && o < n; o++)
        st = ax_call_take(c, o, &out[o], err);
    free_all(out, n);
    free(out);
    return st;
}

/* -- what Loop and Scan share -------------------------------------------- */

/* A body that runs many times: state goes from run to run, and each run adds
 * an element to each stack. */
struct loop {
    const struct ax_graph *g;
    uint32_t n_in, n_out; /* of the body */
    uint32_t n_lead;      /* inputs before the state (Loop: 2) */
    uint32_t n_cond;      /* outputs before the state (Loop: 1) */
    uint32_t n_state, n_stacks;
    struct ax_tensor *in;  /* [n_in]: state is owned from run 2 on */
    struct ax_tensor *out; /* [n_out] */
    struct stack *stacks;  /* [n_stacks] */
};

/* What one output was in each run, dense. */
struct stack {
    struct ax_tensor first; /* shape and type; no data */
    char *data;             /* scratch */
    size_t n, room, each;   /* runs, bytes there is room for, bytes a run */
};

static void loop_free(struct loop *l)
{
    free_all(l->in, l->in ? l->n_in : 0);
    free_all(l->out, l->out ? l->n_out : 0);
    free(l->in);
    free(l->out);
    free(l->stacks);
}

static ax_status loop_init(struct loop *l, const struct ax_call *c,
                           struct ax_err *err)
{
    l->n_in = l->g->n_inputs;
    l->n_out = l->g->n_outputs;
    if (l->n_out != l->n_cond + c->node->n_out || c->node->n_out < l->n_state)
        return ax_fail(err, AX_EFORMAT,
                       "the body has %u outputs for %u states and %u outputs "
                       "of the node",
                       l->n_out, l->n_state, c->node->n_out);
    l->n_stacks = c->node->n_out - l->n_state;
    l->in = calloc(l->n_in + 1u, sizeof *l->in);
    l->out = calloc(l->n_out + 1u, sizeof *l->out);
    l->stacks = calloc(l->n_stacks + 1u, sizeof *l->stacks);
    if (!l->in || !l->out || !l->stacks)
        return ax_fail(err, AX_ENOMEM, "no memory for a loop");
    return AX_OK;
}

static ax_status push(struct stack *s, struct ax_call *c,
                      const struct ax_tensor *t, struct ax_err *err)
{
    if (s->n == 0) {
        s->first = *t;
        s->first.data = NULL;
        s->each = t->nbytes;
    }
    if (t->dtype != s->first.dtype || t->rank != s->first.rank ||
        memcmp(t->dims, s->first.dims, (size_t)t->rank * sizeof *t->dims))
        return ax_fail(err, AX_ESHAPE,
                       "an output has another shape in run %zu", s->n);
    if ((s->n + 1) * s->each > s->room) {
        size_t room = 2 * (s->n + 1) * s->each;
        void *more;

        /* The old one goes with the call; it is counted until then. */
        AX_TRY(ax_call_scratch(c, &more, room, err));
        if (s->n)
            memcpy(more, s->data, s->n * s->each);
        s->data = more;
        s->room = room;
    }
    if (s->each)
        memcpy(s->data + s->n * s->each, t->data, s->each);
    s->n++;
    return AX_OK;
}

/* Run the body; its states become the next run's inputs. */
static ax_status loop_step(struct loop *l, struct ax_call *c,
                           struct ax_err *err)
{
    AX_TRY(ax_call_graph(c, l->g, l->out, l->n_out, l->in, l->n_in, err));
    for (uint32_t i = 0; i < l->n_state; i++) {
        ax_tensor_free(&l->in[l->n_lead + i]);
        l->in[l->n_lead + i] = l->out[l->n_cond + i];
        memset(&l->out[l->n_cond + i], 0, sizeof *l->out);
    }
    for (uint32_t i = 0; i < l->n_stacks; i++)
        AX_TRY(
            push(&l->stacks[i], c, &l->out[l->n_cond + l->n_state + i], err));
    free_all(l->out + l->n_cond, l->n_out - l->n_cond);
    return AX_OK;
}

/* State I as an output of the node. */
static ax_status give_state(struct loop *l, struct ax_call *c, uint32_t i,
                            struct ax_err *err)
{
    struct ax_tensor *t = &l->in[l->n_lead + i];

    if (t->owned)
        return ax_call_take(c, i, t, err);
    AX_TRY(ax_call_out(c, i, t->dtype, t->rank, t->dims, err));
    memcpy(c->out[i]->data, t->data, t->nbytes);
    return AX_OK;
}

/* Stack I as an output, runs along AXIS, the last run first if REVERSED. */
static ax_status give_stack(struct loop *l, struct ax_call *c, uint32_t i,
                            int64_t axis, bool reversed, struct ax_err *err)
{
    struct stack *s = &l->stacks[i];
    const struct ax_value *v =
        &l->g->values[l->g->outputs[l->n_cond + l->n_state + i]];
    int64_t dims[AX_RANK_MAX + 1], strides[AX_RANK_MAX + 1], inner;
    int at, rank;

    if (s->n == 0) { /* no run: the body's declaration is all there is */
        s->first.dtype = v->dtype ? v->dtype : AX_F32;
        s->first.rank = v->rank > 0 ? v->rank : 0;
        for (int d = 0; d < s->first.rank; d++)
            s->first.dims[d] = v->dims[d] > 0 ? v->dims[d] : 0;
    }
    rank = s->first.rank + 1;
    AX_TRY(ref_axis(&at, axis, rank, err));
    inner = ref_product(s->first.dims, 0, s->first.rank);
    ref_strides(strides + 1, s->first.rank, s->first.dims);
    for (int d = 0; d < at; d++)
        strides[d] = strides[d + 1];
    strides[at] = reversed ? -inner : inner;
    for (int d = 0; d < rank; d++)
        dims[d] = d < at    ? s->first.dims[d]
                  : d == at ? (int64_t)s->n
                            : s->first.dims[d - 1];
    AX_TRY(ax_call_out(c, l->n_state + i, s->first.dtype, rank, dims, err));
    if (c->out[l->n_state + i]->nbytes)
        ref_copy(c->out[l->n_state + i]->data,
                 s->data + (reversed ? (s->n - 1) * s->each : 0),
                 ax_dtype_size(s->first.dtype), rank, dims, strides);
    return AX_OK;
}

static void borrow(struct ax_tensor *to, const struct ax_tensor *t)
{
    *to = *t;
    to->owned = false;
}

/* -- Loop ---------------------------------------------------------------- */

/* One number for input I of the body, which may say that it wants a vector
 * of one element. */
static void give_number(struct loop *l, uint32_t i, ax_dtype dtype,
                        void *data)
{
    struct ax_tensor *t = &l->in[i];

    *t = (struct ax_tensor){
        .dtype = dtype, .data = data, .nbytes = ax_dtype_size(dtype)};
    t->rank = l->g->values[l->g->inputs[i]].rank == 1;
    t->dims[0] = t->rank;
}

static ax_status loop_run(struct loop *l, struct ax_call *c, int64_t trips,
                          bool go, struct ax_err *err)
{
    for (int64_t k = 0; k < trips && go; k++) {
        uint8_t flag = 1;

        give_number(l, 0, AX_I64, &k);
        give_number(l, 1, AX_BOOL, &flag);
        AX_TRY(loop_step(l, c, err));
        if (l->out[0].dtype != AX_BOOL || ax_tensor_count(&l->out[0]) != 1)
            return ax_fail(err, AX_EFORMAT,
                           "the body's first output is no truth value");
        go = *(const uint8_t *)l->out[0].data != 0;
        ax_tensor_free(&l->out[0]);
        l->in[0].data = l->in[1].data = NULL;
    }
    for (uint32_t i = 0; i < l->n_state; i++)
        AX_TRY(give_state(l, c, i, err));
    for (uint32_t i = 0; i < l->n_stacks; i++)
        AX_TRY(give_stack(l, c, i, 0, false, err));
    return AX_OK;
}

static ax_status loop(struct ax_call *c, struct ax_err *err)
{
    struct loop l = {.n_lead = 2, .n_cond = 1};
    int64_t trips = INT64_MAX;
    bool go = true;
    ax_status st;
    int n;

    AX_TRY(body_of(&l.g, c, "body", err));
    AX_TRY(ref_ints(&trips, &n, 1, c, 0, err));
    trips = n ? trips : INT64_MAX;
    if (ax_call_has(c, 1))
        AX_TRY(truth(&go, c, 1, err));
    l.n_state = c->node->n_in > 2 ? c->node->n_in - 2 : 0;
    if (l.g->n_inputs != 2 + l.n_state)
        return ax_fail(err, AX_EFORMAT,
                       "the body has %u inputs for %u states", l.g->n_inputs,
                       l.n_state);
    st = loop_init(&l, c, err);
    for (uint32_t i = 0; st == AX_OK && i < l.n_state; i++) {
        st = ref_want(c, 2 + i, ALL_DTYPES, err);
        if (st == AX_OK)
            borrow(&l.in[2 + i], c->in[2 + i]);
    }
    if (st == AX_OK)
        st = loop_run(&l, c, trips, go, err);
    loop_free(&l);
    return st;
}

/* -- Scan ---------------------------------------------------------------- */

static int64_t nth(const struct ax_node *node, const char *name, uint32_t i)
{
    const struct ax_attr *a = ax_node_attr(node, name);

    return a && a->kind == AX_ATTR_INTS && i < a->n ? a->ints[i] : 0;
}

/* Slice K of scanned input I, in the body's input, which holds memory for
 * it. */
static void take_slice(struct ax_tensor *to, const struct ax_tensor *x,
                       int axis, int64_t k)
{
    int64_t strides[AX_RANK_MAX], part[AX_RANK_MAX];
    int rank = 0;

    ref_strides(strides, x->rank, x->dims);
    for (int d = 0; d < x->rank; d++)
        if (d != axis)
            part[rank++] = strides[d];
    if (to->nbytes)
        ref_copy(to->data,
                 (const char *)x->data +
                     k * strides[axis] * (int64_t)ax_dtype_size(x->dtype),
                 ax_dtype_size(x->dtype), rank, to->dims, part);
}

struct scanned {
    const struct ax_tensor *x;
    int axis;
    bool reversed;
};

static ax_status scan_inputs(struct scanned *s, struct loop *l,
                             const struct ax_call *c, uint32_t n,
                             int64_t *length, struct ax_err *err)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct ax_tensor *x = c->in[l->n_state + i];
        int64_t dims[AX_RANK_MAX];
        int rank = 0;

        AX_TRY(ref_want(c, l->n_state + i, ALL_DTYPES, err));
        AX_TRY(ref_axis(&s[i].axis, nth(c->node, "scan_input_axes", i),
                        x->rank, err));
        s[i].x = x;
        s[i].reversed = nth(c->node, "scan_input_directions", i) != 0;
        if (i > 0 && x->dims[s[i].axis] != *length)
            return ax_fail(err, AX_ESHAPE,
                           "scanned inputs have lengths %lld and %lld",
                           (long long)*length, (long long)x->dims[s[i].axis]);
        *length = x->dims[s[i].axis];
        for (int d = 0; d < x->rank; d++)
            if (d != s[i].axis)
                dims[rank++] = x->dims[d];
        AX_TRY(
            ax_tensor_new(&l->in[l->n_state + i], x->dtype, rank, dims, err));
    }
    return AX_OK;
}

static ax_status scan_run(struct loop *l, struct ax_call *c,
                          const struct scanned *s, uint32_t n, int64_t length,
                          struct ax_err *err)
{
    for (int64_t k = 0; k < length; k++) {
        for (uint32_t i = 0; i < n; i++)
            take_slice(&l->in[l->n_state + i], s[i].x, s[i].axis,
                       s[i].reversed ? length - 1 - k : k);
        AX_TRY(loop_step(l, c, err));
    }
    for (uint32_t i = 0; i < l->n_state; i++)
        AX_TRY(give_state(l, c, i, err));
    for (uint32_t i = 0; i < l->n_stacks; i++)
        AX_TRY(give_stack(l, c, i, nth(c->node, "scan_output_axes", i),
                          nth(c->node, "scan_output_directions", i) != 0,
                          err));
    return AX_OK;
}

static ax_status scan(struct ax_call *c, struct ax_err *err)
{
    int64_t n = ax_node_int(c->node, "num_scan_inputs", 0), length = 0;
    struct loop l = {0};
    struct scanned *s;
    ax_status st;

    AX_TRY(body_of(&l.g, c, "body", err));
    if (n < 1 || n > c->node->n_in || l.g->n_inputs != c->node->n_in)
        return ax_fail(err, AX_EFORMAT,
                       "%lld scanned inputs of %u, the body has %u",
                       (long long)n, c->node->n_in, l.g->n_inputs);
    l.n_state = c->node->n_in - (uint32_t)n;
    s = calloc((size_t)n, sizeof *s);
    if (!s)
        return ax_fail(err, AX_ENOMEM, "no memory for a loop");
    st = loop_init(&l, c, err);
    for (uint32_t i = 0; st == AX_OK && i < l.n_state; i++) {
        st = ref_want(c, i, ALL_DTYPES, err);
        if (st == AX_OK)
            borrow(&l.in[i], c->in[i]);
    }
    if (st == AX_OK)
        st = scan_inputs(s, &l, c, (uint32_t)n, &length, err);
    if (st == AX_OK)
        st = scan_run(&l, c, s, (uint32_t)n, length, err);
    loop_free(&l);
    free(s);
    return st;
}

const struct ax_kernel ref_control[] = {
    {"If", if_branch, NULL, NULL},
    {"Loop", loop, NULL, NULL},
    {"Scan", scan, NULL, NULL},
    {0},
};
