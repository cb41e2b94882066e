/* Lowering: the graph of a model as a chain of nodes, the normal form of
 * ax-cert(5), section NETWORK. The operators are walked in stored order; each
 * value is kept as an array of constants and variables, and every operator
 * that computes makes the next node, of new variables. */
#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lowering.h"

/* The operators of ax-cert(5), and how many of their first inputs they
 * compute with, at most: those must be of floating types. Those that compute
 * with none move elements, the others make nodes. */
static const struct {
    net_operator *lower;
    uint32_t operands;
} operators[AX_OP_COUNT] = {
    [AX_OP_Abs] = {net_abs, 1},
    [AX_OP_Add] = {net_add, 2},
    [AX_OP_AveragePool] = {net_average_pool, 1},
    [AX_OP_BatchNormalization] = {net_batch_norm, 5},
    [AX_OP_Clip] = {net_clip, 3},
    [AX_OP_Concat] = {net_concat, 0},
    [AX_OP_ConstantOfShape] = {net_constant_of_shape, 0},
    [AX_OP_Conv] = {net_conv, 3},
    [AX_OP_ConvTranspose] = {net_conv_transpose, 3},
    [AX_OP_Cos] = {net_cos, 1},
    [AX_OP_Div] = {net_div, 2},
    [AX_OP_Dropout] = {net_same, 0},
    [AX_OP_Erf] = {net_erf, 1},
    [AX_OP_Exp] = {net_exp, 1},
    [AX_OP_Flatten] = {net_flatten, 0},
    [AX_OP_Gather] = {net_gather, 0},
    [AX_OP_Gelu] = {net_gelu, 1},
    [AX_OP_Gemm] = {net_gemm, 3},
    [AX_OP_GlobalAveragePool] = {net_global_average_pool, 1},
    [AX_OP_GlobalMaxPool] = {net_global_max_pool, 1},
    [AX_OP_Identity] = {net_same, 0},
    [AX_OP_LeakyRelu] = {net_leaky_relu, 1},
    [AX_OP_MatMul] = {net_matmul, 2},
    [AX_OP_Max] = {net_max, UINT32_MAX},
    [AX_OP_MaxPool] = {net_max_pool, 1},
    [AX_OP_Min] = {net_min, UINT32_MAX},
    [AX_OP_Mul] = {net_mul, 2},
    [AX_OP_Neg] = {net_neg, 1},
    [AX_OP_PRelu] = {net_prelu, 2},
    [AX_OP_Pad] = {net_pad, 0},
    [AX_OP_Pow] = {net_pow, 2},
    [AX_OP_ReduceMean] = {net_reduce, 1},
    [AX_OP_ReduceSum] = {net_reduce, 1},
    [AX_OP_Relu] = {net_relu, 1},
    [AX_OP_Reshape] = {net_reshape, 0},
    [AX_OP_Resize] = {net_resize, 1},
    [AX_OP_Shape] = {net_shape_of, 0},
    [AX_OP_Sigmoid] = {net_sigmoid, 1},
    [AX_OP_Sin] = {net_sin, 1},
    [AX_OP_Slice] = {net_slice, 0},
    [AX_OP_Softmax] = {net_softmax, 1},
    [AX_OP_Split] = {net_split, 0},
    [AX_OP_Squeeze] = {net_squeeze, 0},
    [AX_OP_Sub] = {net_sub, 2},
    [AX_OP_Tanh] = {net_tanh, 1},
    [AX_OP_Transpose] = {net_transpose, 0},
    [AX_OP_Unsqueeze] = {net_unsqueeze, 0},
};

ax_status net_refuse(struct lowering *l, const char *fmt, ...)
{
    char what[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    if (!l->node)
        return ax_fail(l->err, AX_EUNSUPPORTED, "%s", what);
    return ax_fail(l->err, AX_EUNSUPPORTED, "node '%.120s' (%s): %s",
                   l->node->name, ax_op_name(l->node->op), what);
}

ax_status net_no_memory(struct lowering *l)
{
    if (l->bytes > MAX_BYTES)
        return net_refuse(l, "lowering it takes more than %d GiB of memory",
                          (int)(MAX_BYTES >> 30));
    return ax_fail(l->err, AX_ENOMEM, "%s", ax_status_text(AX_ENOMEM));
}

/* A small file can spell out a large network; what it may take is bounded. */
static bool within_budget(struct lowering *l, size_t n, size_t size)
{
    if (size && n > MAX_BYTES / size)
        l->bytes = MAX_BYTES + 1;
    else if (l->bytes <= MAX_BYTES)
        l->bytes += n * size;
    return l->bytes <= MAX_BYTES;
}

void *net_alloc(struct lowering *l, size_t n, size_t size)
{
    return within_budget(l, n, size) ? ax_arena_alloc(l->tmp, n, size) : NULL;
}

void *net_keep(struct lowering *l, size_t n, size_t size)
{
    return within_budget(l, n, size) ? ax_arena_zalloc(l->net->arena, n, size)
                                     : NULL;
}

ax_status net_shape(struct lowering *l, struct array *out, int rank,
                    const int64_t *dims)
{
    uint64_t n = 1;

    assert(dims != out->dims);
    *out = (struct array){.made = true, .rank = rank, .run = NO_VARIABLE};
    if (rank > AX_RANK_MAX)
        return net_refuse(l, "more than %d dimensions", AX_RANK_MAX);
    for (int i = 0; i < rank; i++) {
        if (dims[i] < 0 || (uint64_t)dims[i] > MAX_ELEMENT)
            return net_refuse(l, "a dimension of %lld", (long long)dims[i]);
        n *= (uint64_t)dims[i];
        if (n > MAX_ELEMENT)
            return net_refuse(l, "a value of more than %llu elements",
                              (unsigned long long)MAX_ELEMENT);
        out->dims[i] = dims[i];
    }
    out->n = (size_t)n;
    return AX_OK;
}

static bool is_floating(ax_dtype t)
{
    return t == AX_F32 || t == AX_F64 || t == AX_F16 || t == AX_BF16;
}

static double half_value(uint16_t h)
{
    int e = h >> 10 & 31, m = h & 1023;
    double v = e == 31 ? (m ? (double)NAN : (double)INFINITY)
               : e     ? ldexp(m + 1024, e - 25)
                       : ldexp(m, -24);

    return h >> 15 ? -v : v;
}

static double float_value(uint32_t bits)
{
    float f;

    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

/* Integers beyond 2^53, the ends of slices, become 2^53: values of integer
 * types are never computed with. */
static double int_value(int64_t v)
{
    int64_t top = (int64_t)1 << 53;

    return (double)(v > top ? top : v < -top ? -top : v);
}

static bool convert(double *out, const struct ax_tensor *t, size_t n)
{
    for (size_t i = 0; i < n; i++)
        switch (t->dtype) {
        case AX_F64:
            out[i] = ((const double *)t->data)[i];
            break;
        case AX_F16:
            out[i] = half_value(((const uint16_t *)t->data)[i]);
            break;
        case AX_BF16:
            out[i] = float_value((uint32_t)((const uint16_t *)t->data)[i]
                                 << 16);
            break;
        case AX_I64:
            out[i] = int_value(((const int64_t *)t->data)[i]);
            break;
        case AX_I32:
            out[i] = ((const int32_t *)t->data)[i];
            break;
        case AX_BOOL:
            out[i] = ((const uint8_t *)t->data)[i];
            break;
        default:
            return false;
        }
    return true;
}

/* Large weights are read where they are. */
static bool floats_finite(const uint32_t *bits, size_t n)
{
    uint32_t bad = 0;

    for (size_t i = 0; i < n; i++)
        bad |= (bits[i] & 0x7f800000) == 0x7f800000;
    return !bad;
}

static bool in_range(const double *v, size_t n)
{
    struct ax_dyadic d;

    for (size_t i = 0; i < n; i++)
        if (!dyadic_from(&d, v[i]))
            return false;
    return true;
}

/* A constant tensor becomes a form when it is first used. */
static ax_status read_constant(struct lowering *l, struct array *f,
                               const struct ax_tensor *t)
{
    bool finite;

    AX_TRY(net_shape(l, f, t->rank, t->dims));
    if (f->n * ax_dtype_size(t->dtype) > t->nbytes)
        return net_refuse(l, "a constant is shorter than its shape");
    if (t->dtype == AX_F32) {
        f->single = t->data;
        finite = floats_finite(t->data, f->n);
    } else {
        f->value = net_alloc(l, f->n, sizeof *f->value);
        if (!f->value)
            return net_no_memory(l);
        if (!convert(f->value, t, f->n))
            return net_refuse(l, "a constant of type %s",
                              ax_dtype_name(t->dtype));
        finite = in_range(f->value, f->n);
    }
    if (is_floating(t->dtype) && t->dtype != AX_F32)
        net_only_real(l, "a constant of type %s", ax_dtype_name(t->dtype));
    if (!finite)
        return net_refuse(l,
                          "a constant is infinite, not a number, or out of "
                          "the range of a certificate");
    f->made = true;
    return AX_OK;
}

/* Make sure that value v has a form. */
static ax_status need_array(struct lowering *l, uint32_t v)
{
    const struct ax_value *value = &l->model->graph->values[v];

    if (l->arrays[v].made)
        return AX_OK;
    if (value->tensor == AX_NONE)
        return net_refuse(l, "the value '%.100s' was not lowered",
                          value->name);
    return read_constant(l, &l->arrays[v], &l->model->tensors[value->tensor]);
}

const struct array *net_input(struct lowering *l, uint32_t i)
{
    if (i >= l->node->n_in || l->node->in[i] == AX_NONE)
        return NULL;
    return &l->arrays[l->node->in[i]];
}

ax_status net_ints(struct lowering *l, uint32_t i, int64_t *out, size_t max,
                   size_t *n)
{
    const struct array *f = net_input(l, i);

    if (!f || !array_constant(f))
        return net_refuse(l, "input %u is no constant", i);
    if (f->n > max)
        return net_refuse(l, "input %u has %zu elements", i, f->n);
    for (size_t j = 0; j < f->n; j++) {
        double v = array_value(f, j);

        if (fabs(v) > 0x1p+53 || v != floor(v))
            return net_refuse(l, "input %u is not of integers", i);
        out[j] = (int64_t)v;
    }
    *n = f->n;
    return AX_OK;
}

/* Type of the numbers that value v is made of; AX_DTYPE_NONE: not known. */
static ax_dtype type_of(const struct lowering *l, uint32_t v)
{
    const struct ax_value *value = &l->model->graph->values[v];

    return value->tensor == AX_NONE ? value->dtype
                                    : l->model->tensors[value->tensor].dtype;
}

static ax_status check_operands(struct lowering *l)
{
    uint32_t n = operators[l->node->op].operands;

    for (uint32_t i = 0; i < n && i < l->node->n_in; i++) {
        ax_dtype t = AX_DTYPE_NONE;

        if (l->node->in[i] != AX_NONE)
            t = type_of(l, l->node->in[i]);
        if (t != AX_DTYPE_NONE && !is_floating(t))
            return net_refuse(l, "arithmetic on %s", ax_dtype_name(t));
    }
    return AX_OK;
}

/* What ax-cert(5) leaves out: attributes that are not at their default.
 * ax-import replaces auto_pad by pads. */
static ax_status check_attributes(struct lowering *l)
{
    static const char *const numbers[] = {"ceil_mode", "allowzero"};

    for (size_t i = 0; i < 2; i++)
        if (ax_node_int(l->node, numbers[i], 0) != 0)
            return net_refuse(l, "ax-cert(5) has no rule for %s", numbers[i]);
    if (strcmp(ax_node_string(l->node, "auto_pad", "NOTSET"), "NOTSET") != 0)
        return net_refuse(l, "ax-cert(5) has no rule for auto_pad");
    return AX_OK;
}

static ax_status lower_operator(struct lowering *l)
{
    const struct ax_node *node = l->node;
    struct array *out;

    if (!operators[node->op].lower)
        return net_refuse(l, "this operator cannot be certified");
    AX_TRY(check_operands(l));
    AX_TRY(check_attributes(l));
    out = net_alloc(l, node->n_out, sizeof *out);
    if (!out)
        return net_no_memory(l);
    memset(out, 0, node->n_out * sizeof *out);
    AX_TRY(operators[node->op].lower(l, out));
    for (uint32_t k = 0; k < node->n_out; k++)
        if (node->out[k] != AX_NONE)
            l->arrays[node->out[k]] = out[k];
    return AX_OK;
}

static ax_status lower_nodes(struct lowering *l)
{
    const struct ax_graph *g = l->model->graph;

    for (uint32_t i = 0; i < g->n_nodes; i++) {
        l->node = &g->nodes[i];
        for (uint32_t k = 0; k < l->node->n_in; k++)
            if (l->node->in[k] != AX_NONE)
                AX_TRY(need_array(l, l->node->in[k]));
        AX_TRY(lower_operator(l));
    }
    l->node = NULL;
    return AX_OK;
}

/* Inputs and outputs of the graph are numbers. */
static ax_status check_type(struct lowering *l, uint32_t v)
{
    const struct ax_value *value = &l->model->graph->values[v];

    if (value->dtype != AX_F32 && value->dtype != AX_F64)
        return net_refuse(l, "'%.100s' is not float32 or float64",
                          value->name);
    return AX_OK;
}

/* Shape of a graph input; a free dimension is 1. */
static ax_status input_shape(struct lowering *l, struct array *out,
                             uint32_t v)
{
    const struct ax_value *value = &l->model->graph->values[v];
    int64_t dims[AX_RANK_MAX];

    AX_TRY(check_type(l, v));
    if (value->rank < 0)
        return net_refuse(l, "'%.100s' has no shape", value->name);
    for (int i = 0; i < value->rank; i++)
        dims[i] = value->dims[i] < 0 ? 1 : value->dims[i];
    if (value->dtype != AX_F32)
        net_only_real(l, "the input '%.60s' is not float32", value->name);
    return net_shape(l, out, value->rank, dims);
}

/* Node 0: all inputs of the graph. */
static ax_status lower_inputs(struct lowering *l)
{
    const struct ax_graph *g = l->model->graph;
    uint64_t at = 0;

    for (uint32_t i = 0; i < g->n_inputs; i++) {
        struct array *f = &l->arrays[g->inputs[i]];

        AX_TRY(input_shape(l, f, g->inputs[i]));
        f->run = (uint32_t)at;
        at += f->n;
        if (at > MAX_ELEMENT)
            return net_refuse(l, "more than %llu inputs",
                              (unsigned long long)MAX_ELEMENT);
    }
    l->net->nodes[0].n = (uint32_t)at;
    l->first[1] = (uint32_t)at;
    l->n_made = 1;
    return AX_OK;
}

/* The last node: all outputs of the graph, one after the other. */
static ax_status lower_outputs(struct lowering *l)
{
    const struct ax_graph *g = l->model->graph;
    struct array *parts = net_alloc(l, g->n_outputs, sizeof *parts), all;

    if (!parts)
        return net_no_memory(l);
    for (uint32_t i = 0; i < g->n_outputs; i++) {
        AX_TRY(check_type(l, g->outputs[i]));
        AX_TRY(need_array(l, g->outputs[i]));
        parts[i] = l->arrays[g->outputs[i]];
    }
    if (g->n_outputs == 1)
        all = parts[0];
    else
        AX_TRY(net_joined(l, &all, parts, g->n_outputs));
    AX_TRY(net_begin(l, AX_NET_UNIT, &all, false));
    for (size_t i = 0; i < all.n; i++) {
        AX_TRY(net_term(l, &all, i, 1));
        net_row(l);
    }
    return net_end(l, &all);
}

static ax_status lower(struct lowering *l)
{
    const struct ax_graph *g = l->model->graph;

    l->arrays = net_alloc(l, g->n_values, sizeof *l->arrays);
    if (!l->arrays)
        return net_no_memory(l);
    memset(l->arrays, 0, g->n_values * sizeof *l->arrays);
    AX_TRY(net_room(l, g->n_nodes + 2));
    l->first[0] = 0;
    AX_TRY(lower_inputs(l));
    AX_TRY(lower_nodes(l));
    AX_TRY(lower_outputs(l));
    l->net->n_nodes = l->n_made;
    AX_TRY(net_quantise(l));
    return net_roundings(l);
}

ax_status ax_net_lower(struct ax_net **out, const struct ax_model *m,
                       struct ax_err *err)
{
    struct lowering l = {.model = m, .err = err};
    ax_status st = AX_ENOMEM;

    *out = NULL;
    l.tmp = ax_arena_new();
    l.net = calloc(1, sizeof *l.net);
    if (l.net)
        l.net->arena = ax_arena_new();
    if (!l.tmp || !l.net || !l.net->arena)
        st = net_no_memory(&l);
    else
        st = lower(&l);
    ax_arena_free(l.tmp);
    free(l.terms);
    if (st == AX_OK)
        *out = l.net;
    else
        ax_net_free(l.net);
    return st;
}

void ax_net_free(struct ax_net *net)
{
    if (!net)
        return;
    ax_arena_free(net->arena);
    free(net);
}
