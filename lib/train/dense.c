/* Steps over rows of numbers: products with a matrix, sums, and functions of
 * each number. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "train/net.h"

TRAIN_CLONES
static void add_to(float *restrict y, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += x[i];
}

void train_put(float *y, const float *x, size_t n, bool add)
{
    if (add)
        add_to(y, x, n);
    else
        memcpy(y, x, n * sizeof *y);
}

/* -- products -------------------------------------------------------------
 */

ax_status train_prepare_dense(struct ax_trainer *t, struct step *s,
                              struct ax_err *err)
{
    const struct ax_node *n = s->node;
    bool across = n->op == AX_OP_Gemm && ax_node_int(n, "transB", 0) != 0;
    uint32_t tensor = AX_NONE;
    const struct ax_tensor *c = train_constant(t, n, 1, &tensor);
    size_t width;

    if (!c || c->rank != 2 || s->in->rank != 1)
        return train_refuse(n, "wants rows times a constant matrix", err);
    if (n->op == AX_OP_Gemm && (ax_node_int(n, "transA", 0) ||
                                ax_node_float(n, "alpha", 1) != 1.0f ||
                                ax_node_float(n, "beta", 1) != 1.0f))
        return train_refuse(n, "only alpha 1, beta 1, transA 0 are known",
                            err);
    if (c->dims[across] != (int64_t)s->in->width)
        return ax_fail(err, AX_ESHAPE,
                       "node '%s': a matrix for %" PRId64
                       " numbers, a row has %zu",
                       n->name, c->dims[across], s->in->width);
    width = (size_t)c->dims[!across];
    s->row = across ? 1 : width;
    s->column = across ? s->in->width : 1;
    AX_TRY(train_param(t, s, 1, &s->matrix, err));
    if (n->n_in > 2 && n->in[2] != AX_NONE)
        AX_TRY(train_bias(t, s, 2, width, err));
    AX_TRY(train_room(t, TRAIN_ROOM(width, 1), s->in->width, 1, err));
    AX_TRY(train_room(t, TRAIN_ROOM(s->in->width, 1), width, 1, err));
    return train_value(t, s, 1, &c->dims[!across], err);
}

void train_dense(const struct ax_trainer *t, const struct step *s,
                 const struct io *io)
{
    train_gemm(&(struct train_product){.c = io->y,
                                       .m = io->rows,
                                       .n = s->out->width,
                                       .k = s->in->width,
                                       .a = {io->x, s->in->width, 1},
                                       .b = {io->w, s->row, s->column},
                                       .start = io->b ? io->b : t->zeros,
                                       .room = t->room},
               t->pool);
}

/* Sums of columns, rows in order. */
static void sum_rows(float *to, const float *g, size_t rows, size_t width,
                     bool add)
{
    for (size_t i = 0; i < rows; i++)
        train_put(to, g + i * width, width, add || i);
}

void train_dense_back(const struct ax_trainer *t, const struct step *s,
                      const struct io *io)
{
    size_t in = s->in->width, out = s->out->width;
    bool across = s->column != 1 || out == 1;
    struct train_product w = {
        .c = io->gw,
        .m = across ? out : in,
        .n = across ? in : out,
        .k = io->rows,
        .a = {across ? io->gy : io->x, 1, across ? out : in},
        .b = {across ? io->x : io->gy, across ? in : out, 1},
        .start = io->add_w ? io->gw : t->zeros,
    };
    const struct train_product x = {
        .c = io->gx,
        .m = io->rows,
        .n = in,
        .k = out,
        .a = {io->gy, out, 1},
        .b = {io->w, s->column, s->row},
        .start = io->add ? io->gx : t->zeros,
        .start_row = io->add ? in : 0,
        .room = t->room,
    };

    w.start_row = io->add_w ? w.n : 0;
    if (io->gw)
        train_gemm(&w, t->pool);
    if (io->gb)
        sum_rows(io->gb, io->gy, io->rows, out, io->add_b);
    if (io->gx)
        train_gemm(&x, t->pool);
}

/* -- sums -----------------------------------------------------------------
 */

ax_status train_prepare_add(struct ax_trainer *t, struct step *s,
                            struct ax_err *err)
{
    struct value *a = s->in, *b = s->other;

    if (a && b) {
        if (a->rank != b->rank ||
            memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims) != 0)
            return train_refuse(s->node, "adds rows of different shapes",
                                err);
    } else {
        s->in = a ? a : b;
        s->other = NULL;
        if (s->in->rank != 1)
            return train_refuse(s->node,
                                "adds a constant to more than a vector", err);
        AX_TRY(train_bias(t, s, a ? 1 : 0, s->in->width, err));
    }
    return train_value(t, s, s->in->rank, s->in->dims, err);
}

TRAIN_CLONES
static void sum_of(float *restrict y, const float *a, const float *b,
                   size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}

void train_add(const struct ax_trainer *t, const struct step *s,
               const struct io *io)
{
    size_t n = s->out->width;

    (void)t;
    for (size_t i = 0; i < io->rows; i++)
        sum_of(io->y + i * n, io->x + i * n,
               io->other ? io->other + i * n : io->b, n);
}

void train_add_back(const struct ax_trainer *t, const struct step *s,
                    const struct io *io)
{
    size_t n = io->rows * s->out->width;

    (void)t;
    if (io->gx)
        train_put(io->gx, io->gy, n, io->add);
    if (io->gother)
        train_put(io->gother, io->gy, n, io->add_other);
    if (io->gb)
        sum_rows(io->gb, io->gy, io->rows, s->out->width, io->add_b);
}

/* -- functions of each number ---------------------------------------------
 */

ax_status train_prepare_plain(struct ax_trainer *t, struct step *s,
                              struct ax_err *err)
{
    s->slope = s->node->op == AX_OP_LeakyRelu
                   ? ax_node_float(s->node, "alpha", 0.01f)
                   : 0;
    if (!(s->slope >= 0))
        return train_refuse(s->node, "a slope below 0", err);
    return s->node->op == AX_OP_Relu || s->node->op == AX_OP_LeakyRelu
               ? train_value_over(t, s, err)
               : train_value(t, s, s->in->rank, s->in->dims, err);
}

ax_status train_prepare_flatten(struct ax_trainer *t, struct step *s,
                                struct ax_err *err)
{
    if (ax_node_int(s->node, "axis", 1) != 1)
        return train_refuse(s->node, "only axis 1 of rows is known", err);
    return train_value(t, s, 1, (int64_t[]){(int64_t)s->in->width}, err);
}

void train_copy(const struct ax_trainer *t, const struct step *s,
                const struct io *io)
{
    (void)t;
    memcpy(io->y, io->x, io->rows * s->out->width * sizeof *io->x);
}

void train_copy_back(const struct ax_trainer *t, const struct step *s,
                     const struct io *io)
{
    (void)t;
    if (io->gx)
        train_put(io->gx, io->gy, io->rows * s->out->width, io->add);
}

TRAIN_CLONES
static void relu(float *restrict y, const float *restrict x, size_t n,
                 float slope)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] > 0 ? x[i] : slope * x[i];
}

TRAIN_CLONES
static void relu_over(float *y, size_t n, float slope)
{
    for (size_t i = 0; i < n; i++)
        y[i] = y[i] > 0 ? y[i] : slope * y[i];
}

void train_relu(const struct ax_trainer *t, const struct step *s,
                const struct io *io)
{
    (void)t;
    if (s->out->in_place)
        relu_over(io->y, io->rows * s->out->width, s->slope);
    else
        relu(io->y, io->x, io->rows * s->out->width, s->slope);
}

/* gx = or += gy d; x may be what the function gave: it has the same sign. */
TRAIN_CLONES
static void relu_back(float *restrict gx, const float *restrict gy,
                      const float *restrict x, size_t n, float slope,
                      bool add)
{
    if (add)
        for (size_t i = 0; i < n; i++)
            gx[i] += x[i] > 0 ? gy[i] : slope * gy[i];
    else
        for (size_t i = 0; i < n; i++)
            gx[i] = x[i] > 0 ? gy[i] : slope * gy[i];
}

void train_relu_back(const struct ax_trainer *t, const struct step *s,
                     const struct io *io)
{
    (void)t;
    if (io->gx)
        relu_back(io->gx, io->gy, io->x, io->rows * s->out->width, s->slope,
                  io->add);
}

static float sigmoid(float x)
{
    double e = ax_train_exp(-fabs((double)x));

    return (float)((x >= 0 ? 1 : e) / (1 + e));
}

void train_sigmoid(const struct ax_trainer *t, const struct step *s,
                   const struct io *io)
{
    (void)t;
    for (size_t i = 0; i < io->rows * s->out->width; i++)
        io->y[i] = sigmoid(io->x[i]);
}

void train_sigmoid_back(const struct ax_trainer *t, const struct step *s,
                        const struct io *io)
{
    (void)t;
    for (size_t i = 0; io->gx && i < io->rows * s->out->width; i++) {
        float d = io->gy[i] * io->y[i] * (1 - io->y[i]);

        io->gx[i] = io->add ? io->gx[i] + d : d;
    }
}

static float tangent(float x)
{
    double e = ax_train_exp(-2 * fabs((double)x));
    double y = (1 - e) / (1 + e);

    return (float)(x >= 0 ? y : -y);
}

void train_tanh(const struct ax_trainer *t, const struct step *s,
                const struct io *io)
{
    (void)t;
    for (size_t i = 0; i < io->rows * s->out->width; i++)
        io->y[i] = tangent(io->x[i]);
}

void train_tanh_back(const struct ax_trainer *t, const struct step *s,
                     const struct io *io)
{
    (void)t;
    for (size_t i = 0; io->gx && i < io->rows * s->out->width; i++) {
        float d = io->gy[i] * (1 - io->y[i] * io->y[i]);

        io->gx[i] = io->add ? io->gx[i] + d : d;
    }
}
