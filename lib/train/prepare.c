/* From a model to steps: what an operator needs is checked here, once, and
 * all memory is found. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "train/net.h"

static const struct kind kinds[] = {
    {AX_OP_Add, train_prepare_add, train_add, train_add_back, NULL, false,
     false, NULL},
    {AX_OP_AveragePool, train_prepare_pool, train_mean_pool,
     train_mean_pool_back, NULL, true, false, NULL},
    {AX_OP_BatchNormalization, train_prepare_norm, train_norm,
     train_norm_back, NULL, false, false, NULL},
    {AX_OP_Conv, train_prepare_conv, train_conv, train_conv_back,
     train_conv_gather, true, true, train_conv_pack},
    {AX_OP_Flatten, train_prepare_flatten, train_copy, train_copy_back, NULL,
     true, false, NULL},
    {AX_OP_Gemm, train_prepare_dense, train_dense, train_dense_back, NULL,
     false, true, NULL},
    {AX_OP_GlobalAveragePool, train_prepare_pool, train_mean_pool,
     train_mean_pool_back, NULL, true, false, NULL},
    {AX_OP_Identity, train_prepare_plain, train_copy, train_copy_back, NULL,
     true, false, NULL},
    {AX_OP_LeakyRelu, train_prepare_plain, train_relu, train_relu_back, NULL,
     true, false, NULL},
    {AX_OP_MatMul, train_prepare_dense, train_dense, train_dense_back, NULL,
     false, true, NULL},
    {AX_OP_MaxPool, train_prepare_pool, train_max_pool, train_max_pool_back,
     NULL, true, false, NULL},
    {AX_OP_Relu, train_prepare_plain, train_relu, train_relu_back, NULL, true,
     false, NULL},
    {AX_OP_Sigmoid, train_prepare_plain, train_sigmoid, train_sigmoid_back,
     NULL, true, false, NULL},
    {AX_OP_Tanh, train_prepare_plain, train_tanh, train_tanh_back, NULL, true,
     false, NULL},
};

float *train_floats(size_t n)
{
    size_t bytes;
    void *p;

    if (n > SIZE_MAX / 8)
        return NULL;
    bytes = (n * sizeof(float) + 64) / 64 * 64;
    p = aligned_alloc(64, bytes);
    if (p)
        memset(p, 0, bytes);
    return p;
}

ax_status train_refuse(const struct ax_node *n, const char *what,
                       struct ax_err *err)
{
    return ax_fail(err, AX_EUNSUPPORTED, "node '%s', %s: %s", n->name,
                   ax_op_name(n->op), what);
}

/* -- values ---------------------------------------------------------------
 */

static ax_status new_value(struct ax_trainer *t, struct value *v, int rank,
                           const int64_t *dims, struct ax_err *err)
{
    enum plane planes = t->opt.robust ? PLANES : PLANE_LOWER;

    v->width = 1;
    v->rank = rank;
    for (int d = 0; d < rank; d++) {
        v->dims[d] = dims[d];
        if (dims[d] < 1 ||
            __builtin_mul_overflow(v->width, (size_t)dims[d], &v->width) ||
            v->width > SIZE_MAX / 16 / t->opt.batch)
            return ax_fail(err, AX_ESHAPE,
                           "dimension %d of a value is %" PRId64, d + 1,
                           dims[d]);
    }
    for (int k = 0; k < (int)planes; k++) {
        if (!v->x[k])
            v->x[k] = train_floats(v->width * t->opt.batch);
        if (t->opt.robust)
            v->g[k] = train_floats(v->width * t->opt.batch);
        if (!v->x[k] || (t->opt.robust && !v->g[k]))
            return ax_fail(err, AX_ENOMEM, "no memory for %zu x %zu numbers",
                           t->opt.batch, v->width);
    }
    if (v->width > t->widest)
        t->widest = v->width;
    return AX_OK;
}

ax_status train_value(struct ax_trainer *t, struct step *s, int rank,
                      const int64_t *dims, struct ax_err *err)
{
    ax_status st = new_value(t, s->out, rank, dims, err);

    return st == AX_OK ? st : ax_fail_in(err, "node '%s'", s->node->name);
}

ax_status train_value_over(struct ax_trainer *t, struct step *s,
                           struct ax_err *err)
{
    if (train_in_place(t, s)) {
        s->out->in_place = true;
        s->out->x[PLANE_EXACT] = s->in->x[PLANE_EXACT];
    }
    return train_value(t, s, s->in->rank, s->in->dims, err);
}

static struct value *batched(struct ax_trainer *t, const struct ax_node *n,
                             uint32_t i)
{
    struct value *v = i < n->n_in && n->in[i] != AX_NONE
                          ? &t->values[n->in[i]]
                          : NULL;

    return v && v->x[0] ? v : NULL;
}

ax_status train_room(struct ax_trainer *t, size_t a, size_t b, size_t parts,
                     struct ax_err *err)
{
    size_t n;

    if (__builtin_mul_overflow(a, b, &n) ||
        __builtin_mul_overflow(n, parts, &n))
        return ax_fail(err, AX_ENOMEM, "no memory for products");
    if (n > t->room_size)
        t->room_size = n;
    return AX_OK;
}

/* -- constants ------------------------------------------------------------
 */

const struct ax_tensor *train_constant(const struct ax_trainer *t,
                                       const struct ax_node *n, uint32_t i,
                                       uint32_t *tensor)
{
    const struct ax_graph *g = t->model->graph;

    if (i >= n->n_in || n->in[i] == AX_NONE)
        return NULL;
    *tensor = g->values[n->in[i]].tensor;
    if (*tensor == AX_NONE || t->model->tensors[*tensor].dtype != AX_F32)
        return NULL;
    return &t->model->tensors[*tensor];
}

bool train_frozen(const struct ax_trainer *t, const struct ax_node *n,
                  uint32_t i)
{
    const char *name = t->model->graph->values[n->in[i]].name;

    return t->opt.freeze &&
           strncmp(name, t->opt.freeze, strlen(t->opt.freeze)) == 0;
}

/* A weight is one, however many nodes use it. */
ax_status train_param(struct ax_trainer *t, struct step *s, uint32_t i,
                      struct param *p, struct ax_err *err)
{
    uint32_t tensor = AX_NONE;
    const struct ax_tensor *c = train_constant(t, s->node, i, &tensor);
    struct weight *w;

    p->n = ax_tensor_count(c);
    if (p->n > t->zeros_size)
        t->zeros_size = p->n;
    if (train_frozen(t, s->node, i)) {
        p->fixed = c->data;
        return AX_OK;
    }
    for (size_t k = 0; k < t->n_weights; k++)
        if (t->weights[k].tensor == tensor) {
            p->w = &t->weights[k];
            return AX_OK;
        }
    p->w = w = &t->weights[t->n_weights++];
    *w = (struct weight){.tensor = tensor, .n = p->n};
    w->w = train_floats(w->n);
    w->g = train_floats(w->n);
    w->first = train_floats(w->n);
    w->second = train_floats(w->n);
    w->mean = t->opt.average > 0 ? train_floats(w->n) : NULL;
    if (!w->w || !w->g || !w->first || !w->second ||
        (t->opt.average > 0 && !w->mean))
        return ax_fail(err, AX_ENOMEM, "no memory for %zu weights", w->n);
    memcpy(w->w, c->data, c->nbytes);
    if (w->mean)
        memcpy(w->mean, c->data, c->nbytes);
    return AX_OK;
}

ax_status train_bias(struct ax_trainer *t, struct step *s, uint32_t i,
                     size_t width, struct ax_err *err)
{
    uint32_t tensor = AX_NONE;
    const struct ax_tensor *c = train_constant(t, s->node, i, &tensor);

    if (!c || ax_tensor_count(c) != width ||
        (c->rank > 0 && (size_t)c->dims[c->rank - 1] != width))
        return train_refuse(s->node, "what is added is no row of constants",
                            err);
    return train_param(t, s, i, &s->bias, err);
}

const float *train_weights_of(const struct param *p)
{
    return p->w ? p->w->w : p->fixed;
}

/* -- steps ----------------------------------------------------------------
 */

static ax_status prepare_step(struct ax_trainer *t, struct step *s,
                              const struct ax_node *n, struct ax_err *err)
{
    size_t k = 0, n_kinds = sizeof kinds / sizeof kinds[0];

    s->node = n;
    s->out = &t->values[n->out[0]];
    while (k < n_kinds && kinds[k].op != n->op)
        k++;
    if (k == n_kinds)
        return train_refuse(n, "has no gradient in ax-train", err);
    s->kind = &kinds[k];
    s->in = batched(t, n, 0);
    s->other = batched(t, n, 1);
    if (!s->in && !(s->kind->op == AX_OP_Add && s->other))
        return train_refuse(n, "its input does not depend on the data", err);
    return s->kind->prepare(t, s, err);
}

static ax_status prepare_input(struct ax_trainer *t, struct ax_err *err)
{
    const struct ax_graph *g = t->model->graph;
    const struct ax_value *v;
    ax_status st;

    if (g->n_inputs != 1 || g->n_outputs != 1)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "%" PRIu32 " inputs and %" PRIu32
                       " outputs, wants one of each",
                       g->n_inputs, g->n_outputs);
    v = &g->values[g->inputs[0]];
    if (v->dtype != AX_F32 || v->rank < 2)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "the input is no batch of rows of float32");
    t->input = &t->values[g->inputs[0]];
    st = new_value(t, t->input, v->rank - 1, v->dims + 1, err);
    return st == AX_OK ? st : ax_fail_in(err, "the input");
}

ax_status train_prepare(struct ax_trainer *t, struct ax_err *err)
{
    const struct ax_graph *g = t->model->graph;

    t->values = calloc((size_t)g->n_values + 1, sizeof *t->values);
    t->steps = calloc((size_t)g->n_nodes + 1, sizeof *t->steps);
    t->weights = calloc((size_t)t->model->n_tensors + 1, sizeof *t->weights);
    t->kept = calloc((size_t)t->model->n_tensors + 1, sizeof *t->kept);
    if (!t->values || !t->steps || !t->weights || !t->kept)
        return ax_fail(err, AX_ENOMEM, "no memory to train");
    AX_TRY(prepare_input(t, err));
    for (uint32_t i = 0; i < g->n_nodes; i++)
        AX_TRY(prepare_step(t, &t->steps[i], &g->nodes[i], err));
    t->output = &t->values[g->outputs[0]];
    if (!t->output->x[0] || t->output->rank != 1)
        return ax_fail(err, AX_EUNSUPPORTED, "the output is no row");
    if (t->n_weights == 0)
        return ax_fail(err, AX_EUNSUPPORTED, "nothing is left to train");
    if (t->widest > t->zeros_size)
        t->zeros_size = t->widest;
    t->room = train_floats(t->room_size);
    t->zeros = train_floats(t->zeros_size);
    if (!t->room || !t->zeros)
        return ax_fail(err, AX_ENOMEM, "no memory for a product");
    if (t->opt.threads > 1)
        AX_TRY(train_pool_new(&t->pool, t->opt.threads, err));
    return t->opt.robust ? train_robust_prepare(t, err) : train_plan(t, err);
}
