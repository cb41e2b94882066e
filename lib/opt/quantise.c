/* Products in int8: QuantizeLinear and DequantizeLinear around what choose.c
 * chose, with the scales that calibrate.c found. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "opt/quantise.h"

/* The nodes after the pass, in order. */
struct list {
    struct opt_quant *q;
    struct ax_node *v;
    uint32_t n, cap;
};

/* A new node that makes a new value, of the shape of value LIKE. */
static ax_status append(struct list *l, struct ax_node **out, uint32_t *made,
                        ax_op op, uint32_t like, const char *suffix,
                        ax_dtype dtype, const uint32_t *in,
                        struct ax_err *err)
{
    struct opt *o = l->q->o;
    const char *name;
    struct ax_value *value;
    struct ax_node *n = &l->v[l->n];

    AX_TRY(opt_value(made, o, like, suffix, err));
    value = &o->g->values[*made];
    value->dtype = o->facts[*made].dtype = dtype;
    value->rank = o->facts[*made].rank = o->facts[like].rank;
    for (int d = 0; d < value->rank; d++)
        value->dims[d] = o->facts[*made].dims[d] = o->facts[like].dims[d];
    name = value->name;
    *n = (struct ax_node){.op = op, .n_in = 3, .n_out = 1};
    l->n++;
    n->name = strdup(name);
    n->in = malloc(3 * sizeof *n->in);
    n->out = malloc(sizeof *n->out);
    if (!n->name || !n->in || !n->out)
        return ax_fail(err, AX_ENOMEM, "no memory for a node");
    memcpy(n->in, in, 3 * sizeof *n->in);
    n->out[0] = *made;
    if (out)
        *out = n;
    return AX_OK;
}

/* A constant of N numbers, or of one without dimensions if N is 0. */
static ax_status new_row(struct ax_tensor *t, ax_dtype dtype, size_t n,
                         struct ax_err *err)
{
    const int64_t dims[1] = {(int64_t)n};

    return ax_tensor_new(t, dtype, n > 0 ? 1 : 0, dims, err);
}

/* -- activations ----------------------------------------------------------
 */

/* Value v is rounded here: its readers get what is made of it. */
static ax_status round_value(struct list *l, uint32_t v, struct ax_err *err)
{
    struct opt_quant *q = l->q;
    const struct opt_act *a = opt_act_of(q, v);
    ax_dtype byte = q->opt->signed_bytes ? AX_I8 : AX_U8;
    struct ax_tensor scale, zero;
    uint32_t in[3] = {v}, bytes;

    AX_TRY(new_row(&scale, AX_F32, 0, err));
    *(float *)scale.data = a->scale;
    AX_TRY(opt_add_constant(&in[1], q->o, v, "scale", &scale, err));
    AX_TRY(new_row(&zero, byte, 0, err));
    *(uint8_t *)zero.data = (uint8_t)a->zero;
    AX_TRY(opt_add_constant(&in[2], q->o, v, "zero", &zero, err));
    AX_TRY(append(l, NULL, &bytes, AX_OP_QuantizeLinear, v, "bytes", byte, in,
                  err));
    in[0] = bytes;
    AX_TRY(append(l, NULL, &q->act[v].back, AX_OP_DequantizeLinear, v,
                  "rounded", AX_F32, in, err));
    q->done->values++;
    return AX_OK;
}

/* -- weights --------------------------------------------------------------
 */

/* Which channel element I is of. */
static size_t channel_of(const struct opt_weights *l, size_t i)
{
    return l->axis == 0 ? i / l->inner : i % l->channels;
}

static double bias_of(const struct opt_weights *l, size_t c)
{
    const float *b = l->bias ? l->bias->data : NULL;

    return !b ? 0 : (double)b[ax_tensor_count(l->bias) == 1 ? 0 : c];
}

/* Scales such that weights are at most 127, and the bias leaves room for the
 * sum in int32. */
static ax_status find_scales(float *scale, const struct opt_weights *l,
                             float x, struct ax_err *err)
{
    double room = (double)INT32_MAX - (double)l->inner * 127 * 255;
    const float *w = l->w->data;

    memset(scale, 0, l->channels * sizeof *scale);
    for (size_t i = 0; i < l->channels * l->inner; i++) {
        size_t c = channel_of(l, i);

        scale[c] = fmaxf(scale[c], fabsf(w[i]));
    }
    for (size_t c = 0; c < l->channels; c++) {
        double s = (double)scale[c] / 127;
        double least = fabs(bias_of(l, c)) / ((double)x * room);

        s = fmax(s, least * 1.000001);
        scale[c] = s > 0 ? fmaxf((float)s, 0x1p-100f) : 1;
        if (!isfinite(scale[c] * x))
            return ax_fail(err, AX_EUNSUPPORTED,
                           "a scale is too large for float32");
    }
    return AX_OK;
}

static ax_status round_weights(struct ax_tensor *q, double *worst,
                               const struct opt_weights *l,
                               const float *scale, struct ax_err *err)
{
    const float *w = l->w->data;
    int8_t *to;

    AX_TRY(ax_tensor_new(q, AX_I8, l->w->rank, l->w->dims, err));
    to = q->data;
    for (size_t i = 0; i < l->channels * l->inner; i++) {
        double s = (double)scale[channel_of(l, i)];
        double x = nearbyint((double)w[i] / s);

        x = x < -127 ? -127 : x > 127 ? 127 : x;
        to[i] = (int8_t)x;
        *worst = fmax(*worst, fabs(x * s - (double)w[i]) / (127 * s));
    }
    return AX_OK;
}

/* Weights of node N become bytes; in[1] is then float32 again. */
static ax_status weights(struct list *l, struct ax_node *n,
                         const struct opt_weights *w, float *scale,
                         struct ax_err *err)
{
    struct opt *o = l->q->o;
    struct ax_tensor bytes = {0}, scales = {0}, zeros = {0};
    uint32_t v = n->in[1], in[3] = {0}, back;
    struct ax_node *made;
    ax_status st;

    st = round_weights(&bytes, &l->q->done->rounding, w, scale, err);
    if (st == AX_OK)
        st = new_row(&scales, AX_F32, w->channels, err);
    if (st == AX_OK)
        st = new_row(&zeros, AX_I8, w->channels, err);
    if (st == AX_OK) {
        memcpy(scales.data, scale, w->channels * sizeof *scale);
        st = opt_add_constant(&in[0], o, v, "int8", &bytes, err);
    }
    if (st == AX_OK)
        st = opt_add_constant(&in[1], o, v, "scale", &scales, err);
    if (st == AX_OK)
        st = opt_add_constant(&in[2], o, v, "zero", &zeros, err);
    ax_tensor_free(&bytes);
    ax_tensor_free(&scales);
    ax_tensor_free(&zeros);
    AX_TRY(st);
    AX_TRY(append(l, &made, &back, AX_OP_DequantizeLinear, v, "rounded",
                  AX_F32, in, err));
    if (w->axis != 1)
        AX_TRY(opt_set_int(made, "axis", w->axis, err));
    n->in[1] = back;
    l->q->done->weights++;
    return AX_OK;
}

/* The bias becomes int32, with the scale that the sum has. */
static ax_status bias(struct list *l, struct ax_node *n,
                      const struct opt_weights *w, const float *scale,
                      float x, struct ax_err *err)
{
    struct opt *o = l->q->o;
    struct ax_tensor sums = {0}, scales = {0};
    uint32_t v = n->in[2], in[3] = {0, 0, AX_NONE}, back;
    struct ax_node *made;
    ax_status st;

    st = new_row(&sums, AX_I32, w->channels, err);
    if (st == AX_OK)
        st = new_row(&scales, AX_F32, w->channels, err);
    for (size_t c = 0; st == AX_OK && c < w->channels; c++) {
        float s = x * scale[c];

        ((float *)scales.data)[c] = s;
        ((int32_t *)sums.data)[c] = (int32_t)nearbyint(bias_of(w, c) /
                                                       (double)s);
    }
    if (st == AX_OK)
        st = opt_add_constant(&in[0], o, v, "int32", &sums, err);
    if (st == AX_OK)
        st = opt_add_constant(&in[1], o, v, "scale", &scales, err);
    ax_tensor_free(&sums);
    ax_tensor_free(&scales);
    AX_TRY(st);
    AX_TRY(append(l, &made, &back, AX_OP_DequantizeLinear, v, "rounded",
                  AX_F32, in, err));
    o->g->values[back].rank = o->facts[back].rank = 1;
    o->g->values[back].dims[0] = (int64_t)w->channels;
    made->n_in = 2;
    AX_TRY(opt_set_int(made, "axis", 0, err));
    n->in[2] = back;
    return AX_OK;
}

static ax_status product(struct list *l, struct ax_node *n, uint32_t x,
                         struct ax_err *err)
{
    /* Adding constants moves the table of tensors, not their data. */
    struct opt_weights w = opt_weights_of(l->q->o, n);
    struct ax_tensor tensor = *w.w, added = {0};
    float xs = opt_act_of(l->q, x)->scale;
    float *scale = calloc(w.channels, sizeof *scale);
    ax_status st;

    if (!scale)
        return ax_fail(err, AX_ENOMEM, "no memory for %zu scales",
                       w.channels);
    if (w.bias) {
        added = *w.bias;
        w.bias = &added;
    }
    w.w = &tensor;
    st = find_scales(scale, &w, xs, err);
    if (st == AX_OK)
        st = weights(l, n, &w, scale, err);
    if (st == AX_OK && w.bias)
        st = bias(l, n, &w, scale, xs, err);
    free(scale);
    return st;
}

/* -- all of it ------------------------------------------------------------
 */

static ax_status one_node(struct list *l, uint32_t i, struct ax_err *err)
{
    struct opt_quant *q = l->q;
    struct ax_node *n = &q->o->g->nodes[i];
    uint32_t *out = n->out, n_out = n->n_out, x = n->n_in ? n->in[0] : 0;

    for (uint32_t k = 0; k < n->n_in; k++)
        if (n->in[k] != AX_NONE && q->act[n->in[k]].marked)
            n->in[k] = q->act[n->in[k]].back;
    if (q->role[i] == OPT_HEAVY)
        AX_TRY(product(l, n, x, err));
    l->v[l->n++] = *n;
    *n = (struct ax_node){.op = AX_OP_NONE};
    for (uint32_t k = 0; k < n_out; k++)
        if (out[k] != AX_NONE && q->act[out[k]].marked)
            AX_TRY(round_value(l, out[k], err));
    return AX_OK;
}

/* Every node makes at most two more before it, and two more for each of its
 * outputs. */
static ax_status make_room(struct list *l, struct ax_err *err)
{
    const struct ax_graph *g = l->q->o->g;
    size_t n = 2 * (size_t)g->n_inputs;

    for (uint32_t i = 0; i < g->n_nodes; i++)
        n += 3 + 2 * (size_t)g->nodes[i].n_out;
    if (n > AX_GRAPH_MAX)
        return ax_fail(err, AX_EFORMAT, "more than %u nodes", AX_GRAPH_MAX);
    l->cap = (uint32_t)n;
    l->v = calloc(n + 1, sizeof *l->v);
    if (!l->v)
        return ax_fail(err, AX_ENOMEM, "no memory for %zu nodes", n);
    return AX_OK;
}

/* On failure the graph keeps all nodes, in no order, to be freed. */
static void replace_nodes(struct list *l)
{
    struct ax_graph *g = l->q->o->g;

    for (uint32_t i = 0; i < g->n_nodes; i++)
        if (g->nodes[i].op != AX_OP_NONE)
            l->v[l->n++] = g->nodes[i];
    free(g->nodes);
    g->nodes = l->v;
    g->n_nodes = l->n;
}

static ax_status write_nodes(struct opt_quant *q, struct ax_err *err)
{
    const struct ax_graph *g = q->o->g;
    struct list l = {.q = q};
    ax_status st = make_room(&l, err);

    if (st != AX_OK)
        return st;
    for (uint32_t k = 0; k < g->n_inputs && st == AX_OK; k++)
        if (q->act[g->inputs[k]].marked)
            st = round_value(&l, g->inputs[k], err);
    for (uint32_t i = 0; i < q->n_nodes && st == AX_OK; i++)
        st = one_node(&l, i, err);
    replace_nodes(&l);
    return st;
}

ax_status opt_quantise(struct opt *o, struct ax_narrow_done *d,
                       const struct ax_narrow_options *opt,
                       struct ax_err *err)
{
    struct opt_quant q = {.o = o,
                          .done = d,
                          .opt = opt,
                          .n_values = o->g->n_values,
                          .n_nodes = o->g->n_nodes};
    ax_status st;

    q.act = calloc(q.n_values + 1u, sizeof *q.act);
    q.role = calloc(q.n_nodes + 1u, 1);
    if (!q.act || !q.role)
        st = ax_fail(err, AX_ENOMEM, "no memory for %u values", q.n_values);
    else
        st = opt_choose(&q, err);
    if (st == AX_OK)
        st = opt_calibrate(&q, err);
    if (st == AX_OK)
        st = write_nodes(&q, err);
    for (uint32_t v = 0; q.act && v < q.n_values; v++)
        free(q.act[v].bins);
    free(q.act);
    free(q.role);
    return st;
}
