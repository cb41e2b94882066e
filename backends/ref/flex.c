/* FlexAttention, of ai.onnx.preview: attention whose scores and weights go
 * through graphs of the model. */
#include "ref.h"

#include <math.h>
#include <string.h>

struct flex {
    const struct ax_tensor *q, *k, *v;
    int64_t batch, heads, group, queries, keys, size, v_size;
    double scale;
    ax_dtype type; /* of scores and weights */
};

static ax_status flex_init(struct flex *f, const struct ax_call *c,
                           struct ax_err *err)
{
    const struct ax_attr *scale = ax_node_attr(c->node, "scale");
    int64_t type;

    for (uint32_t i = 0; i < 3; i++) {
        AX_TRY(ref_want(c, i, REALS, err));
        AX_TRY(ref_want_rank(c, i, 4, 4, err));
    }
    f->q = c->in[0];
    f->k = c->in[1];
    f->v = c->in[2];
    f->batch = f->q->dims[0];
    f->heads = f->q->dims[1];
    f->queries = f->q->dims[2];
    f->size = f->q->dims[3];
    f->keys = f->k->dims[2];
    f->v_size = f->v->dims[3];
    if (f->k->dims[0] != f->batch || f->k->dims[3] != f->size ||
        f->k->dims[1] < 1 || f->heads % f->k->dims[1])
        return ax_fail(err, AX_ESHAPE, "the keys do not fit the queries");
    if (memcmp(f->v->dims, f->k->dims, 3 * sizeof *f->k->dims) != 0)
        return ax_fail(err, AX_ESHAPE, "the values do not fit the keys");
    f->group = f->heads / f->k->dims[1];
    f->scale = scale ? (double)scale->f : 1 / sqrt((double)f->size);
    type = ax_node_int(c->node, "softmax_precision",
                       f->q->dtype == AX_F64 ? AX_F64 : AX_F32);
    if (type < 1 || type > 31 || !(REALS & BIT(type)))
        return ax_fail(err, AX_EUNSUPPORTED, "softmax_precision %lld",
                       (long long)type);
    f->type = (ax_dtype)type;
    return AX_OK;
}

/* Row ROW of queries, of all batches and heads: where its keys begin. */
static size_t first_key(const struct flex *f, int64_t row)
{
    int64_t head = row / f->queries % f->heads;
    int64_t batch = row / f->queries / f->heads;

    return (size_t)((batch * (f->heads / f->group) + head / f->group) *
                    f->keys);
}

static void score(struct ax_tensor *t, const struct flex *f, int64_t row)
{
    size_t k = first_key(f, row), q = (size_t)(row * f->size);

    for (int64_t j = 0; j < f->keys; j++) {
        size_t at = (k + (size_t)j) * (size_t)f->size;
        double sum = 0;

        for (int64_t d = 0; d < f->size; d++)
            sum += ref_number(f->q, q + (size_t)d) *
                   ref_number(f->k, at + (size_t)d);
        ref_put(t, (size_t)(row * f->keys + j), sum * f->scale);
    }
}

static void soften(struct ax_tensor *t, const struct flex *f, int64_t row)
{
    size_t at = (size_t)(row * f->keys), n = (size_t)f->keys;
    double top = -HUGE_VAL, sum = 0;

    for (size_t j = at; j < at + n; j++)
        top = fmax(top, ref_number(t, j));
    for (size_t j = at; j < at + n; j++)
        sum += exp(ref_number(t, j) - top);
    for (size_t j = at; j < at + n; j++)
        ref_put(t, j, exp(ref_number(t, j) - top) / sum);
}

static void gather(struct ax_tensor *y, const struct ax_tensor *t,
                   const struct flex *f, int64_t row)
{
    size_t k = first_key(f, row);

    for (int64_t d = 0; d < f->v_size; d++) {
        double sum = 0;

        for (int64_t j = 0; j < f->keys; j++)
            sum += ref_number(t, (size_t)(row * f->keys + j)) *
                   ref_number(f->v, (k + (size_t)j) * (size_t)f->v_size +
                                        (size_t)d);
        ref_put(y, (size_t)(row * f->v_size + d), sum);
    }
}

/* t through the graph of an attribute, if it is there. */
static ax_status modify(struct ax_call *c, const char *name,
                        struct ax_tensor *t, struct ax_err *err)
{
    const struct ax_attr *a = ax_node_attr(c->node, name);
    struct ax_tensor out = {.data = NULL};
    ax_status st;

    if (!a || a->kind != AX_ATTR_GRAPH)
        return AX_OK;
    if (a->graph->n_inputs != 1 || a->graph->n_outputs != 1)
        return ax_fail(err, AX_EFORMAT, "%s wants one input and one output",
                       name);
    st = ax_call_graph(c, a->graph, &out, 1, t, 1, err);
    if (st == AX_OK &&
        (out.dtype != t->dtype || out.rank != t->rank ||
         memcmp(out.dims, t->dims, (size_t)t->rank * sizeof *t->dims) != 0))
        st = ax_fail(err, AX_ESHAPE, "%s changes shape or type", name);
    if (st != AX_OK) {
        ax_tensor_free(&out);
        return st;
    }
    ax_tensor_free(t);
    *t = out;
    return AX_OK;
}

static ax_status weights(struct ax_call *c, const struct flex *f,
                         struct ax_tensor *t, struct ax_err *err)
{
    int64_t rows = f->batch * f->heads * f->queries;

    for (int64_t r = 0; r < rows; r++)
        score(t, f, r);
    AX_TRY(modify(c, "score_mod", t, err));
    for (int64_t r = 0; r < rows; r++)
        soften(t, f, r);
    AX_TRY(modify(c, "prob_mod", t, err));
    for (int64_t r = 0; r < rows; r++)
        gather(c->out[0], t, f, r);
    return AX_OK;
}

static ax_status flex_attention(struct ax_call *c, struct ax_err *err)
{
    struct flex f = {.batch = 0};
    struct ax_tensor t;
    int64_t dims[4];
    ax_status st;

    AX_TRY(flex_init(&f, c, err));
    memcpy(dims, f.q->dims, sizeof dims);
    dims[3] = f.v_size;
    AX_TRY(ax_call_out(c, 0, f.q->dtype, 4, dims, err));
    dims[3] = f.keys;
    AX_TRY(ax_tensor_new(&t, f.type, 4, dims, err));
    st = weights(c, &f, &t, err);
    ax_tensor_free(&t);
    return st;
}

const struct ax_kernel ref_flex[] = {
    {"ai.onnx.preview.FlexAttention", flex_attention, NULL, NULL},
    {0},
};
