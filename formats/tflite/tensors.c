/* Tensors of a TensorFlow Lite file as values of a graph. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ax/element.h"
#include "formats/tflite/tflite.h"
#include "formats/window.h"

/* Fields, in the order of the schema. */
enum { MODEL_BUFFERS = 4 };
enum { GRAPH_TENSORS };
enum { BUFFER_DATA, BUFFER_OFFSET };
enum {
    TENSOR_SHAPE,
    TENSOR_TYPE,
    TENSOR_BUFFER,
    TENSOR_NAME,
    TENSOR_QUANTIZATION,
    TENSOR_VARIABLE,
    TENSOR_SPARSITY,
    TENSOR_SIGNATURE,
    TENSOR_HAS_RANK
};
enum { QUANT_SCALE = 2, QUANT_ZERO, QUANT_DETAILS, QUANT_AXIS = 6 };

/* By number of TensorType; 0: not supported. */
static const ax_dtype types[] = {
    [0] = AX_F32,  [1] = AX_F16,  [2] = AX_I32,  [3] = AX_U8,
    [4] = AX_I64,  [6] = AX_BOOL, [7] = AX_I16,  [9] = AX_I8,
    [10] = AX_F64, [12] = AX_U64, [15] = AX_U32, [16] = AX_U16};

#define TRUNCATED 40 /* of a name, in messages */

static ax_status no_memory(struct ax_err *err)
{
    return ax_fail(err, AX_ENOMEM, "no memory for the tensors");
}

/* ---- reading ---- */

static ax_status read_shape(struct tflite_tensor *x, struct flat *f,
                            size_t table, struct ax_err *err)
{
    struct flat_vector shape = flat_vector(f, table, TENSOR_SHAPE, 4);
    struct flat_vector sign = flat_vector(f, table, TENSOR_SIGNATURE, 4);

    if (sign.n)
        shape = sign;
    if (shape.n > AX_RANK_MAX)
        return ax_fail(err, AX_EUNSUPPORTED, "%zu dimensions", shape.n);
    x->rank = (int)shape.n;
    if (shape.n == 0 && !flat_int(f, table, TENSOR_HAS_RANK, 1, 0) &&
        !x->data)
        x->rank = -1;
    for (size_t i = 0; i < shape.n; i++) {
        x->dims[i] = flat_number(shape, i, 4);
        if (x->dims[i] < -1)
            return ax_fail(err, AX_EFORMAT, "a dimension of %" PRId64,
                           x->dims[i]);
    }
    return AX_OK;
}

static ax_status read_scale(struct tflite_tensor *x, struct flat *f,
                            size_t table, struct ax_err *err)
{
    size_t q = flat_table(f, table, TENSOR_QUANTIZATION);

    x->scale = flat_vector(f, q, QUANT_SCALE, 4);
    x->zero = flat_vector(f, q, QUANT_ZERO, 8);
    x->axis = flat_int(f, q, QUANT_AXIS, 4, 0);
    if (flat_int(f, q, QUANT_DETAILS, 1, 0) != 0)
        return ax_fail(err, AX_EUNSUPPORTED, "its kind of quantisation");
    if (x->scale.n == 0 || x->type == AX_F32) {
        x->scale.n = 0;
        return AX_OK;
    }
    if (x->type != AX_I8 && x->type != AX_U8 &&
        !(x->type == AX_I32 && x->data))
        return ax_fail(err, AX_EUNSUPPORTED, "quantised numbers of type %s",
                       ax_dtype_name(x->type));
    if (x->zero.n != x->scale.n && x->zero.n > 0)
        return ax_fail(err, AX_EFORMAT, "%zu scales and %zu zero points",
                       x->scale.n, x->zero.n);
    if (x->scale.n > 1 && (x->axis < 0 || x->axis >= x->rank ||
                           (int64_t)x->scale.n != x->dims[x->axis]))
        return ax_fail(err, AX_EFORMAT, "%zu scales along dimension %" PRId64,
                       x->scale.n, x->axis);
    return AX_OK;
}

static ax_status read_data(struct tflite_tensor *x, struct flat *f,
                           struct flat_vector buffers, size_t table,
                           struct ax_err *err)
{
    int64_t k = flat_int(f, table, TENSOR_BUFFER, 4, 0);
    size_t buffer;
    struct flat_vector data;

    if (k < 0 || (size_t)k >= buffers.n)
        return ax_fail(err, AX_EFORMAT, "there is no buffer %" PRId64, k);
    buffer = flat_element(f, buffers, (size_t)k);
    if (flat_int(f, buffer, BUFFER_OFFSET, 8, 0) > 1)
        return ax_fail(err, AX_EUNSUPPORTED, "data outside of the tables");
    data = flat_vector(f, buffer, BUFFER_DATA, 1);
    x->data = data.n ? data.p : NULL;
    x->n_data = data.n;
    return AX_OK;
}

static ax_status check_data(const struct tflite_tensor *x, struct ax_err *err)
{
    size_t count;

    if (!x->data)
        return AX_OK;
    AX_TRY(ax_shape_count(&count, x->rank, x->dims, ax_dtype_size(x->type),
                          err));
    if (count * ax_dtype_size(x->type) != x->n_data)
        return ax_fail(err, AX_EFORMAT, "%zu bytes for %zu elements",
                       x->n_data, count);
    return AX_OK;
}

static ax_status read_name(struct tflite_tensor *x, struct flat *f,
                           size_t table, size_t number, struct ax_err *err)
{
    struct flat_vector s = flat_vector(f, table, TENSOR_NAME, 1);

    if (s.n > INT32_MAX || !ax_is_utf8((const char *)s.p, s.n))
        s.n = 0;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 0x20)
            s.n = 0;
    x->name = malloc(s.n + 24);
    if (!x->name)
        return no_memory(err);
    if (s.n)
        snprintf(x->name, s.n + 24, "%.*s", (int)s.n, (const char *)s.p);
    else
        snprintf(x->name, 24, "tensor_%zu", number);
    return AX_OK;
}

static ax_status read_tensor(struct tflite *t, struct tflite_tensor *x,
                             struct flat_vector buffers, size_t table,
                             struct ax_err *err)
{
    int64_t type = flat_int(&t->f, table, TENSOR_TYPE, 1, 0);
    ax_status st;

    AX_TRY(read_name(x, &t->f, table, (size_t)(x - t->tensors), err));
    if (type >= 0 && (size_t)type < sizeof types / sizeof *types)
        x->type = types[type];
    st = x->type ? AX_OK
                 : ax_fail(err, AX_EUNSUPPORTED, "elements of type %" PRId64,
                           type);
    if (st == AX_OK)
        st = read_data(x, &t->f, buffers, table, err);
    if (st == AX_OK)
        st = read_shape(x, &t->f, table, err);
    if (st == AX_OK)
        st = read_scale(x, &t->f, table, err);
    if (st == AX_OK && flat_table(&t->f, table, TENSOR_SPARSITY))
        st = ax_fail(err, AX_EUNSUPPORTED, "it is sparse");
    if (st == AX_OK && flat_int(&t->f, table, TENSOR_VARIABLE, 1, 0))
        st = ax_fail(err, AX_EUNSUPPORTED, "it is a variable");
    if (st == AX_OK)
        st = check_data(x, err);
    if (st != AX_OK)
        return ax_fail_in(err, "tensor '%.*s'", TRUNCATED, x->name);
    return AX_OK;
}

static int by_name(const void *a, const void *b)
{
    const struct tflite_tensor *const *x = a, *const *y = b;
    int order = strcmp((*x)->name, (*y)->name);

    return order ? order : *x < *y ? -1 : 1;
}

/* Names that occur twice get their numbers. */
static ax_status make_unique(struct tflite *t, struct ax_err *err)
{
    struct tflite_tensor **all = calloc(t->n_tensors + 1, sizeof *all);

    if (!all)
        return no_memory(err);
    for (size_t i = 0; i < t->n_tensors; i++)
        all[i] = &t->tensors[i];
    qsort(all, t->n_tensors, sizeof *all, by_name);
    for (size_t i = t->n_tensors; i-- > 1;)
        if (strcmp(all[i]->name, all[i - 1]->name) == 0)
            snprintf(all[i]->name + strlen(all[i]->name), 23, "#%zu",
                     (size_t)(all[i] - t->tensors));
    free(all);
    return AX_OK;
}

ax_status tflite_tensors(struct tflite *t, size_t model, size_t graph,
                         struct ax_err *err)
{
    struct flat_vector v = flat_vector(&t->f, graph, GRAPH_TENSORS, 4);
    struct flat_vector buffers = flat_vector(&t->f, model, MODEL_BUFFERS, 4);

    t->tensors = calloc(v.n + 1, sizeof *t->tensors);
    if (!t->tensors)
        return no_memory(err);
    t->n_tensors = v.n;
    for (size_t i = 0; i < v.n; i++) {
        struct tflite_tensor *x = &t->tensors[i];

        x->value[PLAIN] = x->value[CHANNELS_FIRST] = AX_NONE;
        x->quantised = AX_NONE;
        AX_TRY(read_tensor(t, x, buffers, flat_element(&t->f, v, i), err));
    }
    return make_unique(t, err);
}

void tflite_tensors_free(struct tflite *t)
{
    for (size_t i = 0; i < t->n_tensors; i++)
        free(t->tensors[i].name);
    free(t->tensors);
}

/* ---- constants ---- */

/* The same tensor may be there in several orders, and several may share their
 * bytes. */
static ax_status count_bytes(struct tflite *t, size_t n, struct ax_err *err)
{
    t->copied += n;
    if (t->copied / 8 > t->f.n)
        return ax_fail(err, AX_EFORMAT,
                       "constants that share bytes take more than 8 times "
                       "what the file has");
    return AX_OK;
}

static ax_status raw_constant(struct tflite *t, uint32_t *v,
                              const struct tflite_tensor *x, const char *what,
                              const int *perm, int rank, const int64_t *dims,
                              struct ax_err *err)
{
    struct ax_tensor c;

    AX_TRY(count_bytes(t, x->n_data, err));
    AX_TRY(ax_tensor_new(&c, x->type, rank, dims, err));
    if (c.nbytes != x->n_data) {
        ax_tensor_free(&c);
        return ax_fail(err, AX_EFORMAT, "tensor '%.*s' has another size",
                       TRUNCATED, x->name);
    }
    if (perm)
        window_reorder(c.data, x->data, ax_dtype_size(x->type), x->dims, 4,
                       perm);
    else if (x->n_data)
        memcpy(c.data, x->data, x->n_data);
    return arch_constant(&t->a, v, x->name, what, &c, err);
}

/* Scale and zero point as constants; in[1] and in[2]. */
static ax_status scales(struct tflite *t, uint32_t *in,
                        const struct tflite_tensor *x, const char *scale,
                        const char *zero, struct ax_err *err)
{
    const int64_t n = (int64_t)x->scale.n;
    struct ax_tensor s, z;

    AX_TRY(ax_tensor_new(&s, AX_F32, n > 1, &n, err));
    memcpy(s.data, x->scale.p, 4 * x->scale.n);
    AX_TRY(arch_constant(&t->a, &in[1], x->name, scale, &s, err));
    AX_TRY(ax_tensor_new(&z, x->type, n > 1, &n, err));
    for (size_t i = 0; i < x->zero.n; i++) {
        int64_t number = flat_number(x->zero, i, 8);

        ax_put_i64(x->type, z.data, i, &number, 1);
    }
    return arch_constant(&t->a, &in[2], x->name, zero, &z, err);
}

/* What the numbers at `v` mean. */
static ax_status dequantise(struct tflite *t, uint32_t *out,
                            const struct tflite_tensor *x, uint32_t v,
                            const char *what, int64_t axis,
                            struct ax_err *err)
{
    uint32_t in[3] = {v};
    char scale[40], zero[40];

    snprintf(scale, sizeof scale, "%s.scale", what);
    snprintf(zero, sizeof zero, "%s.zero", what);
    AX_TRY(scales(t, in, x, scale, zero, err));
    t->a.name = x->name;
    AX_TRY(arch_node(&t->a, out, AX_OP_DequantizeLinear, what, in, 3, err));
    return x->scale.n > 1 ? arch_attr_int(&t->a, "axis", axis, err) : AX_OK;
}

/* The float32 that float16 numbers are. */
static ax_status widen(struct tflite *t, uint32_t *v,
                       const struct tflite_tensor *x, const char *what,
                       struct ax_err *err)
{
    const char *name = t->a.name;

    t->a.name = x->name;
    AX_TRY(arch_node1(&t->a, v, AX_OP_Cast, what, *v, err));
    AX_TRY(arch_attr_int(&t->a, "to", AX_F32, err));
    t->a.name = name;
    return AX_OK;
}

static ax_status make_constant(struct tflite *t, uint32_t *v,
                               struct tflite_tensor *x, struct ax_err *err)
{
    const char *name = t->a.name;

    if (x->half) {
        AX_TRY(raw_constant(t, v, x, "half", NULL, x->rank, x->dims, err));
        return widen(t, v, x, "", err);
    }
    if (x->scale.n == 0)
        return raw_constant(t, v, x, "", NULL, x->rank, x->dims, err);
    AX_TRY(raw_constant(t, &x->quantised, x, "numbers", NULL, x->rank,
                        x->dims, err));
    AX_TRY(dequantise(t, v, x, x->quantised, "", x->axis, err));
    t->a.name = name;
    return AX_OK;
}

ax_status tflite_weight(struct tflite *t, uint32_t *v, size_t i,
                        const int *perm, const int64_t *dims,
                        struct ax_err *err)
{
    struct tflite_tensor *x = tflite_in(t, i);
    const char *name = t->a.name;
    int64_t axis = 0;

    if (!x || !x->data || x->rank != 4)
        return tflite_refuse(t, err, "weights that are not constant");
    /* A layer for itself may have them, in another order. */
    if (x->value[CHANNELS_FIRST] != AX_NONE) {
        *v = x->value[CHANNELS_FIRST];
        return AX_OK;
    }
    if (x->half) {
        AX_TRY(raw_constant(t, v, x, "turned.half", perm, 4, dims, err));
        AX_TRY(widen(t, v, x, "turned", err));
    } else if (x->scale.n == 0) {
        AX_TRY(raw_constant(t, v, x, "turned", perm, 4, dims, err));
    } else {
        while (axis < 3 && perm[axis] != x->axis)
            axis++;
        AX_TRY(raw_constant(t, v, x, "turned.numbers", perm, 4, dims, err));
        AX_TRY(dequantise(t, v, x, *v, "turned", axis, err));
        t->a.name = name;
    }
    x->value[CHANNELS_FIRST] = *v;
    return AX_OK;
}

ax_status tflite_ints(struct tflite *t, int64_t **v, size_t *n, size_t i,
                      struct ax_err *err)
{
    struct tflite_tensor *x = tflite_in(t, i);

    *v = NULL;
    if (!x || !x->data || (x->type != AX_I32 && x->type != AX_I64) ||
        x->scale.n)
        return tflite_refuse(t, err,
                             "an input %zu that is no constant of "
                             "integers",
                             i);
    *n = x->n_data / ax_dtype_size(x->type);
    *v = calloc(*n + 1, sizeof **v);
    if (!*v)
        return no_memory(err);
    for (size_t k = 0; k < *n; k++) {
        struct flat_vector all = {x->data, *n};

        (*v)[k] = flat_number(all, k, (int)ax_dtype_size(x->type));
    }
    return AX_OK;
}

/* ---- values ---- */

static struct tflite_tensor *tensor(struct tflite *t, int64_t k)
{
    return k >= 0 && (size_t)k < t->n_tensors ? &t->tensors[k] : NULL;
}

struct tflite_tensor *tflite_in(struct tflite *t, size_t i)
{
    return i < t->in.n ? tensor(t, flat_number(t->in, i, 4)) : NULL;
}

struct tflite_tensor *tflite_out(struct tflite *t, size_t i)
{
    return i < t->out.n ? tensor(t, flat_number(t->out, i, 4)) : NULL;
}

bool tflite_turned(const struct tflite_tensor *x)
{
    return x && x->value[CHANNELS_FIRST] != AX_NONE &&
           x->value[PLAIN] == AX_NONE;
}

static ax_status turn(struct tflite *t, struct tflite_tensor *x,
                      enum tflite_layout to, struct ax_err *err)
{
    static const int64_t perm[2][4] = {{0, 2, 3, 1}, {0, 3, 1, 2}};
    const char *name = t->a.name;

    t->a.name = x->name;
    AX_TRY(arch_node1(&t->a, &x->value[to], AX_OP_Transpose,
                      to == PLAIN ? "channels_last" : "channels_first",
                      x->value[!to], err));
    t->a.name = name;
    return arch_attr_ints(&t->a, "perm", perm[to], 4, err);
}

/* The value of a tensor. */
static ax_status value_of(struct tflite *t, uint32_t *v,
                          struct tflite_tensor *x, enum tflite_layout layout,
                          struct ax_err *err)
{
    if (x->value[layout] == AX_NONE && x->value[!layout] == AX_NONE &&
        x->quantised != AX_NONE) { /* an input */
        const char *name = t->a.name;

        AX_TRY(dequantise(t, &x->value[PLAIN], x, x->quantised, "value",
                          x->axis, err));
        t->a.name = name;
    }
    if (x->value[layout] == AX_NONE && x->value[!layout] == AX_NONE) {
        if (!x->data)
            return ax_fail(err, AX_EFORMAT,
                           "tensor '%.*s' is used before it is made",
                           TRUNCATED, x->name);
        AX_TRY(make_constant(t, &x->value[PLAIN], x, err));
    }
    if (x->value[layout] == AX_NONE) {
        if (x->rank != 4)
            return ax_fail(err, AX_EFORMAT,
                           "tensor '%.*s' has %d dimensions, not 4",
                           TRUNCATED, x->name, x->rank);
        AX_TRY(turn(t, x, layout, err));
    }
    *v = x->value[layout];
    return AX_OK;
}

ax_status tflite_value(struct tflite *t, uint32_t *v, size_t i,
                       enum tflite_layout layout, struct ax_err *err)
{
    struct tflite_tensor *x = tflite_in(t, i);

    if (!x)
        return ax_fail(err, AX_EFORMAT, "%s has no input %zu", t->op_name, i);
    return value_of(t, v, x, layout, err);
}

static bool same_numbers(const struct tflite_tensor *x,
                         const struct tflite_tensor *y)
{
    return x && x->type == y->type && x->scale.n == 1 && y->scale.n == 1 &&
           memcmp(x->scale.p, y->scale.p, 4) == 0 &&
           flat_number(x->zero, 0, 8) == flat_number(y->zero, 0, 8);
}

/* The numbers that x has for the values in[0]; in[1] and in[2] become scale
 * and zero point. */
static ax_status quantise(struct tflite *t, struct tflite_tensor *x,
                          uint32_t in[3], const char *what,
                          struct ax_err *err)
{
    char scale[40], zero[40];

    if (x->scale.n > 1)
        return tflite_refuse(t, err, "an activation of several scales");
    snprintf(scale, sizeof scale, "%s.scale", what);
    snprintf(zero, sizeof zero, "%s.zero", what);
    AX_TRY(scales(t, in, x, scale, zero, err));
    return arch_node(&t->a, &x->quantised, AX_OP_QuantizeLinear, what, in, 3,
                     err);
}

/* What the file says of a value; it is compared with what follows from the
 * graph. */
static void declare(struct tflite *t, const struct tflite_tensor *x,
                    uint32_t v, enum tflite_layout layout)
{
    static const int order[2][4] = {{0, 1, 2, 3}, {0, 3, 1, 2}};
    struct ax_value *value = &t->a.g->values[v];

    value->dtype = x->scale.n ? AX_F32 : x->type;
    value->rank = x->rank;
    for (int i = 0; i < x->rank; i++)
        value->dims[i] = x->dims[x->rank == 4 ? order[layout][i] : i];
}

ax_status tflite_result(struct tflite *t, size_t i, uint32_t v,
                        enum tflite_layout layout, bool same,
                        struct ax_err *err)
{
    struct tflite_tensor *x = tflite_out(t, i);

    if (!x)
        return ax_fail(err, AX_EFORMAT, "%s has no output %zu", t->op_name,
                       i);
    if (x->data || x->value[PLAIN] != AX_NONE || x->quantised != AX_NONE ||
        x->value[CHANNELS_FIRST] != AX_NONE)
        return ax_fail(err, AX_EFORMAT, "tensor '%.*s' is made twice",
                       TRUNCATED, x->name);
    declare(t, x, v, layout);
    if (x->scale.n && !(same && same_numbers(tflite_in(t, 0), x))) {
        uint32_t in[3] = {v};

        t->a.name = x->name;
        AX_TRY(quantise(t, x, in, "numbers", err));
        in[0] = x->quantised;
        AX_TRY(arch_node(&t->a, &v, AX_OP_DequantizeLinear, "rounded", in, 3,
                         err));
    }
    x->value[layout] = v;
    return AX_OK;
}

ax_status tflite_alias(struct tflite *t, struct ax_err *err)
{
    const struct tflite_tensor *x = tflite_in(t, 0);
    struct tflite_tensor *y = tflite_out(t, 0);

    if (!x || !x->data)
        return ax_fail(err, AX_EFORMAT, "%s of no constant", t->op_name);
    if (y->data || y->value[PLAIN] != AX_NONE || y->type != AX_F32)
        return ax_fail(err, AX_EFORMAT,
                       "tensor '%.*s' is made twice, or no float32",
                       TRUNCATED, y->name);
    y->type = x->type;
    y->half = x->type == AX_F16;
    y->rank = x->rank;
    memcpy(y->dims, x->dims, sizeof y->dims);
    y->data = x->data;
    y->n_data = x->n_data;
    y->scale = x->scale;
    y->zero = x->zero;
    y->axis = x->axis;
    return AX_OK;
}

/* ---- what goes in and out ---- */

ax_status tflite_input(struct tflite *t, int64_t k, struct ax_err *err)
{
    struct tflite_tensor *x = tensor(t, k);
    struct ax_value *value;
    uint32_t v;

    if (!x || x->data || x->value[PLAIN] != AX_NONE ||
        x->quantised != AX_NONE || x->rank < 0)
        return ax_fail(err, AX_EFORMAT,
                       "input tensor %" PRId64 " is none that can be given",
                       k);
    AX_TRY(arch_value(&t->a, &v, x->name, "", err));
    value = &t->a.g->values[v];
    value->dtype = x->type;
    value->rank = x->rank;
    memcpy(value->dims, x->dims, sizeof value->dims);
    AX_TRY(arch_push(&t->a.g->inputs, &t->a.g->n_inputs, v, err));
    if (x->scale.n)
        x->quantised = v;
    else
        x->value[PLAIN] = v;
    return AX_OK;
}

ax_status tflite_output(struct tflite *t, int64_t k, struct ax_err *err)
{
    struct tflite_tensor *x = tensor(t, k);
    uint32_t v;

    if (!x)
        return ax_fail(err, AX_EFORMAT, "there is no output tensor %" PRId64,
                       k);
    t->a.name = x->name;
    t->op_name = "the output";
    AX_TRY(value_of(t, &v, x, PLAIN, err));
    if (x->scale.n &&
        (x->quantised == AX_NONE || x->value[CHANNELS_FIRST] != AX_NONE)) {
        uint32_t in[3] = {v}; /* numbers may lie the other way */

        AX_TRY(quantise(t, x, in, "out", err));
    }
    if (x->scale.n)
        v = x->quantised;
    arch_take_name(&t->a, v, x->name);
    return arch_push(&t->a.g->outputs, &t->a.g->n_outputs, v, err);
}
