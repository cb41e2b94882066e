/* A model as a list of steps that can go forward and backward. Every value
 * between the nodes is [rows, width]: a batch of rows of numbers. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/train.h"

#define ROWS_MAX ((size_t)1 << 20)

struct value {
    float *x, *g; /* [batch, width]; NULL: no value of the batch */
    size_t width;
    int rank; /* of a row */
};

struct step {
    const struct ax_node *node;
    struct value *in, *other, *out;        /* other: the second of Add */
    struct weight *matrix, *bias;          /* or NULL */
    const float *constant, *constant_bias; /* where these are frozen */
    size_t row, column; /* steps through the matrix [in, out] */
    float slope;        /* LeakyRelu */
};

struct ax_trainer {
    struct ax_model *model;
    struct ax_train_options opt;
    struct value *values; /* [graph->n_values] */
    struct step *steps;   /* [graph->n_nodes] */
    struct weight *weights;
    size_t n_weights;
    struct value *input, *output;
    float *panel;
    uint64_t count; /* of updates */
};

static void *floats(size_t n)
{
    size_t bytes = (n * sizeof(float) + 63) / 64 * 64;
    void *p = n > SIZE_MAX / 8 ? NULL : aligned_alloc(64, bytes ? bytes : 64);

    if (p)
        memset(p, 0, bytes);
    return p;
}

/* -- preparing ------------------------------------------------------------
 */

static ax_status refuse(const struct ax_node *n, const char *what,
                        struct ax_err *err)
{
    return ax_fail(err, AX_EUNSUPPORTED, "node '%s', %s: %s", n->name,
                   ax_op_name(n->op), what);
}

static ax_status new_value(struct ax_trainer *t, struct value *v,
                           size_t width, int rank, struct ax_err *err)
{
    if (width < 1 || width > SIZE_MAX / 16 / t->opt.batch)
        return ax_fail(err, AX_ESHAPE, "a value has %zu numbers", width);
    v->width = width;
    v->rank = rank;
    v->x = floats(width * t->opt.batch);
    v->g = floats(width * t->opt.batch);
    return v->x && v->g
               ? AX_OK
               : ax_fail(err, AX_ENOMEM, "no memory for %zu x %zu numbers",
                         t->opt.batch, width);
}

static struct value *batched(struct ax_trainer *t, const struct ax_node *n,
                             uint32_t i)
{
    struct value *v = i < n->n_in && n->in[i] != AX_NONE
                          ? &t->values[n->in[i]]
                          : NULL;

    return v && v->x ? v : NULL;
}

/* The constant that input I is; NULL: it is none, or not of float32. */
static const struct ax_tensor *constant(const struct ax_trainer *t,
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

static bool frozen(const struct ax_trainer *t, const struct ax_node *n,
                   uint32_t i)
{
    const char *name = t->model->graph->values[n->in[i]].name;

    return t->opt.freeze &&
           strncmp(name, t->opt.freeze, strlen(t->opt.freeze)) == 0;
}

/* The weight that is input I of a node: *w if it is trained, once however
 * many nodes use it, or *fixed. */
static ax_status weight_of(struct ax_trainer *t, const struct ax_node *n,
                           uint32_t i, struct weight **w, const float **fixed,
                           struct ax_err *err)
{
    uint32_t tensor;
    const struct ax_tensor *c = constant(t, n, i, &tensor);

    if (frozen(t, n, i)) {
        *fixed = c->data;
        return AX_OK;
    }
    for (size_t k = 0; k < t->n_weights; k++)
        if (t->weights[k].tensor == tensor) {
            *w = &t->weights[k];
            return AX_OK;
        }
    *w = &t->weights[t->n_weights++];
    **w = (struct weight){.tensor = tensor, .n = ax_tensor_count(c)};
    (*w)->w = floats((*w)->n);
    (*w)->g = floats((*w)->n);
    (*w)->first = floats((*w)->n);
    (*w)->second = floats((*w)->n);
    if (!(*w)->w || !(*w)->g || !(*w)->first || !(*w)->second)
        return ax_fail(err, AX_ENOMEM, "no memory for %zu weights", (*w)->n);
    memcpy((*w)->w, c->data, c->nbytes);
    return AX_OK;
}

/* A constant of WIDTH numbers that is added to each row. */
static ax_status bias_of(struct ax_trainer *t, struct step *s, uint32_t i,
                         size_t width, struct ax_err *err)
{
    uint32_t tensor;
    const struct ax_tensor *c = constant(t, s->node, i, &tensor);

    if (!c || ax_tensor_count(c) != width ||
        (c->rank > 0 && (size_t)c->dims[c->rank - 1] != width))
        return refuse(s->node, "what is added is no row of constants", err);
    return weight_of(t, s->node, i, &s->bias, &s->constant_bias, err);
}

static ax_status prepare_product(struct ax_trainer *t, struct step *s,
                                 struct value *out, struct ax_err *err)
{
    const struct ax_node *n = s->node;
    bool across = n->op == AX_OP_Gemm && ax_node_int(n, "transB", 0) != 0;
    uint32_t tensor;
    const struct ax_tensor *c = constant(t, n, 1, &tensor);
    size_t width;

    if (!c || c->rank != 2 || !s->in || s->in->rank != 1)
        return refuse(n, "wants rows times a constant matrix", err);
    if (n->op == AX_OP_Gemm && (ax_node_int(n, "transA", 0) ||
                                ax_node_float(n, "alpha", 1) != 1.0f ||
                                ax_node_float(n, "beta", 1) != 1.0f))
        return refuse(n, "only alpha 1, beta 1, transA 0 are known", err);
    if (c->dims[across] != (int64_t)s->in->width)
        return ax_fail(err, AX_ESHAPE,
                       "node '%s': a matrix for %" PRId64
                       " numbers, a row has %zu",
                       n->name, c->dims[across], s->in->width);
    width = (size_t)c->dims[!across];
    s->row = across ? 1 : width;
    s->column = across ? s->in->width : 1;
    AX_TRY(weight_of(t, n, 1, &s->matrix, &s->constant, err));
    if (n->n_in > 2 && n->in[2] != AX_NONE)
        AX_TRY(bias_of(t, s, 2, width, err));
    return new_value(t, out, width, 1, err);
}

static ax_status prepare_add(struct ax_trainer *t, struct step *s,
                             struct value *out, struct ax_err *err)
{
    struct value *a = batched(t, s->node, 0), *b = batched(t, s->node, 1);

    s->in = a ? a : b;
    if (!s->in)
        return refuse(s->node, "adds constants", err);
    if (a && b) {
        s->other = b;
        if (a->width != b->width || a->rank != b->rank)
            return refuse(s->node, "adds rows of different shapes", err);
    } else if (s->in->rank != 1) {
        return refuse(s->node, "adds a constant to more than a vector", err);
    } else {
        AX_TRY(bias_of(t, s, a ? 1 : 0, s->in->width, err));
    }
    return new_value(t, out, s->in->width, s->in->rank, err);
}

static ax_status prepare_step(struct ax_trainer *t, struct step *s,
                              const struct ax_node *n, struct ax_err *err)
{
    struct value *out = &t->values[n->out[0]];

    s->node = n;
    s->in = batched(t, n, 0);
    s->out = out;
    switch (n->op) {
    case AX_OP_Gemm:
    case AX_OP_MatMul:
        return prepare_product(t, s, out, err);
    case AX_OP_Add:
        return prepare_add(t, s, out, err);
    case AX_OP_Flatten:
        if (ax_node_int(n, "axis", 1) != 1 || !s->in)
            return refuse(n, "only axis 1 of rows is known", err);
        return new_value(t, out, s->in->width, 1, err);
    case AX_OP_Identity:
    case AX_OP_LeakyRelu:
    case AX_OP_Relu:
    case AX_OP_Sigmoid:
    case AX_OP_Tanh:
        if (!s->in)
            return refuse(n, "its input does not depend on the data", err);
        s->slope = n->op == AX_OP_LeakyRelu ? ax_node_float(n, "alpha", 0.01f)
                                            : 0;
        return new_value(t, out, s->in->width, s->in->rank, err);
    default:
        return refuse(n, "has no gradient in ax-train", err);
    }
}

static ax_status prepare_input(struct ax_trainer *t, struct ax_err *err)
{
    const struct ax_graph *g = t->model->graph;
    const struct ax_value *v;
    size_t width = 1;

    if (g->n_inputs != 1 || g->n_outputs != 1)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "%" PRIu32 " inputs and %" PRIu32
                       " outputs, wants one of each",
                       g->n_inputs, g->n_outputs);
    v = &g->values[g->inputs[0]];
    if (v->dtype != AX_F32 || v->rank < 2)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "the input is no batch of rows of float32");
    for (int d = 1; d < v->rank; d++)
        if (v->dims[d] < 1 ||
            __builtin_mul_overflow(width, (size_t)v->dims[d], &width))
            return ax_fail(err, AX_EUNSUPPORTED,
                           "dimension %d of the input is %" PRId64, d,
                           v->dims[d]);
    t->input = &t->values[g->inputs[0]];
    return new_value(t, t->input, width, v->rank - 1, err);
}

static ax_status prepare(struct ax_trainer *t, struct ax_err *err)
{
    const struct ax_graph *g = t->model->graph;
    size_t widest = 0;

    t->values = calloc((size_t)g->n_values + 1, sizeof *t->values);
    t->steps = calloc((size_t)g->n_nodes + 1, sizeof *t->steps);
    t->weights = calloc((size_t)t->model->n_tensors + 1, sizeof *t->weights);
    if (!t->values || !t->steps || !t->weights)
        return ax_fail(err, AX_ENOMEM, "no memory to train");
    AX_TRY(prepare_input(t, err));
    for (uint32_t i = 0; i < g->n_nodes; i++)
        AX_TRY(prepare_step(t, &t->steps[i], &g->nodes[i], err));
    t->output = &t->values[g->outputs[0]];
    if (!t->output->x || t->output->rank != 1)
        return ax_fail(err, AX_EUNSUPPORTED, "the output is no row");
    if (t->n_weights == 0)
        return ax_fail(err, AX_EUNSUPPORTED, "nothing is left to train");
    for (uint32_t i = 0; i < g->n_values; i++)
        if (t->values[i].width > widest)
            widest = t->values[i].width;
    if (t->opt.batch > widest)
        widest = t->opt.batch;
    t->panel = floats(widest * PANEL);
    return t->panel ? AX_OK
                    : ax_fail(err, AX_ENOMEM, "no memory for a product");
}

ax_status ax_trainer_new(struct ax_trainer **out, struct ax_model *m,
                         const struct ax_train_options *opt,
                         struct ax_err *err)
{
    struct ax_trainer *t = calloc(1, sizeof *t);
    ax_status st;

    *out = NULL;
    if (!t)
        return ax_fail(err, AX_ENOMEM, "no memory to train");
    t->model = m;
    t->opt = *opt;
    if (opt->batch < 1 || opt->batch > ROWS_MAX)
        st = ax_fail(err, AX_EUSAGE, "a batch of %zu rows", opt->batch);
    else
        st = prepare(t, err);
    if (st == AX_OK)
        *out = t;
    else
        ax_trainer_free(t);
    return st;
}

void ax_trainer_free(struct ax_trainer *t)
{
    if (!t)
        return;
    for (uint32_t i = 0; t->values && i < t->model->graph->n_values; i++) {
        free(t->values[i].x);
        free(t->values[i].g);
    }
    for (size_t k = 0; k < t->n_weights; k++) {
        free(t->weights[k].w);
        free(t->weights[k].g);
        free(t->weights[k].first);
        free(t->weights[k].second);
    }
    free(t->values);
    free(t->steps);
    free(t->weights);
    free(t->panel);
    free(t);
}

/* -- forward --------------------------------------------------------------
 */

static const float *matrix_of(const struct step *s)
{
    return s->matrix ? s->matrix->w : s->constant;
}

static void forward_rows(const struct ax_trainer *t, const struct step *s,
                         size_t rows)
{
    const float *bias = s->bias ? s->bias->w : s->constant_bias;
    size_t n = s->out->width;

    for (size_t i = 0; i < rows; i++)
        if (bias)
            memcpy(s->out->x + i * n, bias, n * sizeof *bias);
        else
            memset(s->out->x + i * n, 0, n * sizeof *bias);
    if (s->node->op == AX_OP_Add) {
        for (size_t i = 0; i < rows * n; i++)
            s->out->x[i] += s->in->x[i];
        for (size_t i = 0; s->other && i < rows * n; i++)
            s->out->x[i] += s->other->x[i];
        return;
    }
    train_gemm(s->out->x, rows, n, s->in->width,
               &(struct matrix){s->in->x, s->in->width, 1},
               &(struct matrix){matrix_of(s), s->row, s->column}, t->panel);
}

static float sigmoid(float x)
{
    double e = ax_train_exp(-fabs((double)x));

    return (float)((x >= 0 ? 1 : e) / (1 + e));
}

static float tangent(float x)
{
    double e = ax_train_exp(-2 * fabs((double)x));
    double y = (1 - e) / (1 + e);

    return (float)(x >= 0 ? y : -y);
}

TRAIN_CLONES
static void relu(float *restrict y, const float *restrict x, size_t n,
                 float slope)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] > 0 ? x[i] : slope * x[i];
}

static void forward_step(const struct ax_trainer *t, const struct step *s,
                         size_t rows)
{
    size_t n = rows * s->out->width;

    switch (s->node->op) {
    case AX_OP_LeakyRelu:
    case AX_OP_Relu:
        relu(s->out->x, s->in->x, n, s->slope);
        break;
    case AX_OP_Sigmoid:
        for (size_t i = 0; i < n; i++)
            s->out->x[i] = sigmoid(s->in->x[i]);
        break;
    case AX_OP_Tanh:
        for (size_t i = 0; i < n; i++)
            s->out->x[i] = tangent(s->in->x[i]);
        break;
    case AX_OP_Flatten:
    case AX_OP_Identity:
        memcpy(s->out->x, s->in->x, n * sizeof *s->in->x);
        break;
    default:
        forward_rows(t, s, rows);
    }
}

const float *ax_trainer_forward(struct ax_trainer *t, const float *x,
                                size_t rows)
{
    memcpy(t->input->x, x, rows * t->input->width * sizeof *x);
    for (uint32_t i = 0; i < t->model->graph->n_nodes; i++)
        forward_step(t, &t->steps[i], rows);
    return t->output->x;
}

/* -- backward -------------------------------------------------------------
 */

TRAIN_CLONES
static void add_to(float *restrict y, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += x[i];
}

TRAIN_CLONES
static void relu_back(float *restrict gx, const float *restrict gy,
                      const float *restrict x, size_t n, float slope)
{
    for (size_t i = 0; i < n; i++)
        gx[i] += x[i] > 0 ? gy[i] : slope * gy[i];
}

static void backward_product(const struct ax_trainer *t, const struct step *s,
                             size_t rows)
{
    const struct matrix gy = {s->out->g, s->out->width, 1};
    const struct matrix gy_across = {s->out->g, 1, s->out->width};
    const struct matrix x = {s->in->x, s->in->width, 1};
    const struct matrix x_across = {s->in->x, 1, s->in->width};
    const struct matrix w_across = {matrix_of(s), s->column, s->row};

    if (s->matrix && s->column == 1)
        train_gemm(s->matrix->g, s->in->width, s->out->width, rows, &x_across,
                   &gy, t->panel);
    else if (s->matrix)
        train_gemm(s->matrix->g, s->out->width, s->in->width, rows,
                   &gy_across, &x, t->panel);
    if (s->in != t->input)
        train_gemm(s->in->g, rows, s->in->width, s->out->width, &gy,
                   &w_across, t->panel);
}

static void backward_step(const struct ax_trainer *t, const struct step *s,
                          size_t rows)
{
    const float *gy = s->out->g, *y = s->out->x;
    size_t n = rows * s->out->width;
    float *gx = s->in->g;

    for (size_t i = 0; s->bias && i < rows; i++)
        add_to(s->bias->g, gy + i * s->out->width, s->out->width);
    switch (s->node->op) {
    case AX_OP_Gemm:
    case AX_OP_MatMul:
        backward_product(t, s, rows);
        break;
    case AX_OP_LeakyRelu:
    case AX_OP_Relu:
        relu_back(gx, gy, s->in->x, n, s->slope);
        break;
    case AX_OP_Sigmoid:
        for (size_t i = 0; i < n; i++)
            gx[i] += gy[i] * y[i] * (1 - y[i]);
        break;
    case AX_OP_Tanh:
        for (size_t i = 0; i < n; i++)
            gx[i] += gy[i] * (1 - y[i] * y[i]);
        break;
    default: /* Add, Flatten, Identity */
        add_to(gx, gy, n);
        if (s->other)
            add_to(s->other->g, gy, n);
    }
}

double ax_trainer_loss(struct ax_trainer *t, const struct ax_target *y,
                       size_t rows)
{
    return train_loss(NULL, t->output->x, y, rows, t->output->width, &t->opt);
}

ax_status ax_trainer_step(struct ax_trainer *t, double *loss, const float *x,
                          const struct ax_target *y, size_t rows, double rate,
                          struct ax_err *err)
{
    const struct ax_graph *g = t->model->graph;

    (void)ax_trainer_forward(t, x, rows);
    for (uint32_t i = 0; i < g->n_values; i++)
        if (t->values[i].g)
            memset(t->values[i].g, 0,
                   rows * t->values[i].width * sizeof(float));
    for (size_t k = 0; k < t->n_weights; k++)
        memset(t->weights[k].g, 0, t->weights[k].n * sizeof(float));
    *loss = train_loss(t->output->g, t->output->x, y, rows, t->output->width,
                       &t->opt);
    if (!isfinite(*loss))
        return ax_fail(err, AX_EFORMAT,
                       "the loss of step %" PRIu64
                       " is no finite number; a smaller rate may help",
                       t->count + 1);
    for (uint32_t i = g->n_nodes; i-- > 0;)
        backward_step(t, &t->steps[i], rows);
    train_update(t->weights, t->n_weights, rate, ++t->count, &t->opt);
    return AX_OK;
}

/* -- weights --------------------------------------------------------------
 */

size_t ax_trainer_inputs(const struct ax_trainer *t)
{
    return t->input->width;
}

size_t ax_trainer_outputs(const struct ax_trainer *t)
{
    return t->output->width;
}

size_t ax_trainer_weights(const struct ax_trainer *t)
{
    return t->n_weights;
}

float *ax_trainer_weight(struct ax_trainer *t, size_t i, size_t *n,
                         const float **gradient)
{
    *n = t->weights[i].n;
    *gradient = t->weights[i].g;
    return t->weights[i].w;
}

static void drop_attachments(struct ax_model *m)
{
    for (uint32_t i = 0; i < m->n_attachments; i++) {
        free(m->attachments[i].type);
        free(m->attachments[i].name);
        free(m->attachments[i].data);
    }
    free(m->attachments);
    m->attachments = NULL;
    m->n_attachments = 0;
}

void ax_trainer_store(struct ax_trainer *t)
{
    struct ax_model *m = t->model;

    for (size_t k = 0; k < t->n_weights; k++) {
        struct ax_tensor *to = &m->tensors[t->weights[k].tensor];

        if (to->owned)
            free(to->data);
        to->data = t->weights[k].w; /* others may be mapped, read only */
        to->owned = true;
        t->weights[k].w = NULL;
    }
    drop_attachments(m);
    m->has_identity = false;
}
