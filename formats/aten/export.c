/* Archives of torch.export: a zip with the program as JSON and its weights,
 * as bytes of their own (since PyTorch 2.6) or in pickled dictionaries.
 * Source: torch/_export/serde/schema.py, torch/csrc/export. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/aten/export.h"

enum { NODES_MAX = 1 << 20 };

/* ---- types ---- */

/* Numbers of ScalarType in the JSON, which are not those of PyTorch. */
ax_dtype export_type(const json_t *number)
{
    static const ax_dtype types[] = {
        [1] = AX_U8,    [2] = AX_I8,    [3] = AX_I16, [4] = AX_I32,
        [5] = AX_I64,   [6] = AX_F16,   [7] = AX_F32, [8] = AX_F64,
        [12] = AX_BOOL, [13] = AX_BF16, [28] = AX_U16};
    json_int_t n = json_integer_value(number);

    return n > 0 && n < (json_int_t)(sizeof types / sizeof types[0])
               ? types[n]
               : AX_DTYPE_NONE;
}

/* Sizes or strides: *free_at is the first that is no number, or -1. */
ax_status export_dims(int64_t *dims, int *rank, int *free_at,
                      const json_t *list, struct ax_err *err)
{
    size_t n = json_array_size(list);

    *free_at = -1;
    if (!json_is_array(list) || n > AX_RANK_MAX)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "its shape is no list of at most %d sizes",
                       AX_RANK_MAX);
    *rank = (int)n;
    for (int i = 0; i < *rank; i++) {
        const json_t *size = json_object_get(json_array_get(list, (size_t)i),
                                             "as_int");

        dims[i] = size ? json_integer_value(size) : -1;
        if (size && (!json_is_integer(size) || dims[i] < 0))
            return ax_fail(err, AX_EFORMAT, "a size is no number");
        if (!size && *free_at < 0)
            *free_at = i;
    }
    return AX_OK;
}

/* ---- values by name ---- */

static ax_status name_value(struct export *x, const char *name,
                            struct aten_value v, struct ax_err *err)
{
    struct aten_value *more;

    if (!name)
        return ax_fail(err, AX_EFORMAT, "a value has no name");
    if (json_object_get(x->names, name))
        return ax_fail(err, AX_EFORMAT, "two values are called '%.80s'",
                       name);
    if (x->n_values == x->cap_values) {
        x->cap_values = x->cap_values ? 2 * x->cap_values : 256;
        more = reallocarray(x->values, x->cap_values, sizeof *more);
        if (!more)
            return ax_fail(err, AX_ENOMEM, "no memory for values");
        x->values = more;
    }
    x->values[x->n_values] = v;
    if (json_object_set_new(x->names, name,
                            json_integer((json_int_t)x->n_values)))
        return ax_fail(err, AX_ENOMEM, "no memory for values");
    x->n_values++;
    return AX_OK;
}

static ax_status find_value(struct aten_value *out, const struct export *x,
                            const json_t *name, struct ax_err *err)
{
    const char *s = json_string_value(name);
    const json_t *at = s ? json_object_get(x->names, s) : NULL;

    if (!at)
        return ax_fail(err, AX_EFORMAT,
                       "no value before it is called '%.80s'", s ? s : "");
    *out = x->values[json_integer_value(at)];
    return AX_OK;
}

/* ---- arguments ---- */

static ax_status argument(struct aten_value *out, struct export *x,
                          const json_t *arg, struct ax_err *err);

/* A number with a fraction, which JSON does not have all of. */
static ax_status read_float(struct aten_value *out, const json_t *v,
                            struct ax_err *err)
{
    const char *s = json_string_value(v);

    out->kind = ATEN_FLOAT;
    if (!s) {
        out->f = json_number_value(v);
        return json_is_number(v) ? AX_OK
                                 : ax_fail(err, AX_EFORMAT, "is no number");
    }
    out->f = strcmp(s, "Infinity") == 0    ? INFINITY
             : strcmp(s, "-Infinity") == 0 ? -INFINITY
                                           : NAN;
    return isnan(out->f) && strcmp(s, "NaN") != 0
               ? ax_fail(err, AX_EFORMAT, "is no number")
               : AX_OK;
}

static ax_status read_text(struct aten_value *out, struct export *x,
                           const json_t *v, struct ax_err *err)
{
    size_t n = json_string_length(v);
    char *s;

    if (!json_is_string(v))
        return ax_fail(err, AX_EFORMAT, "is no text");
    s = ax_arena_alloc(x->a.arena, n + 1, 1);
    if (!s)
        return ax_fail(err, AX_ENOMEM, "no memory for text");
    memcpy(s, json_string_value(v), n + 1);
    *out = (struct aten_value){.kind = ATEN_TEXT, .text = s};
    return AX_OK;
}

enum form {
    FORM_NONE,
    FORM_BOOL,
    FORM_INT,
    FORM_FLOAT,
    FORM_TEXT,
    FORM_NAMED,  /* {"name": ...} */
    FORM_SYMBOL, /* {"as_name": ...} or {"as_int": ...} */
    FORM_TYPE,
    FORM_OTHER,
    FORM_ANY, /* an argument itself */
};

static const struct {
    const char *key;
    enum form form;
    bool list;
} forms[] = {
    {"as_none", FORM_NONE, false},
    {"as_tensor", FORM_NAMED, false},
    {"as_tensors", FORM_NAMED, true},
    {"as_optional_tensor", FORM_ANY, false},
    {"as_optional_tensors", FORM_ANY, true},
    {"as_int", FORM_INT, false},
    {"as_ints", FORM_INT, true},
    {"as_float", FORM_FLOAT, false},
    {"as_floats", FORM_FLOAT, true},
    {"as_bool", FORM_BOOL, false},
    {"as_bools", FORM_BOOL, true},
    {"as_string", FORM_TEXT, false},
    {"as_sym_int", FORM_SYMBOL, false},
    {"as_sym_ints", FORM_SYMBOL, true},
    {"as_sym_float", FORM_SYMBOL, false},
    {"as_sym_bool", FORM_SYMBOL, false},
    {"as_name", FORM_ANY, false},
    {"as_scalar_type", FORM_TYPE, false},
    {"as_memory_format", FORM_OTHER, false},
    {"as_layout", FORM_OTHER, false},
    {"as_device", FORM_OTHER, false},
};

static ax_status one(struct aten_value *out, struct export *x, enum form form,
                     const json_t *v, struct ax_err *err)
{
    ax_dtype type;

    *out = (struct aten_value){0};
    switch (form) {
    case FORM_NONE:
        return AX_OK;
    case FORM_BOOL:
        *out = (struct aten_value){.kind = ATEN_BOOL, .i = json_is_true(v)};
        return json_is_boolean(v)
                   ? AX_OK
                   : ax_fail(err, AX_EFORMAT, "is no truth value");
    case FORM_INT:
        *out = aten_int(json_integer_value(v));
        return json_is_integer(v) ? AX_OK
                                  : ax_fail(err, AX_EFORMAT, "is no integer");
    case FORM_FLOAT:
        return read_float(out, v, err);
    case FORM_TEXT:
        return read_text(out, x, v, err);
    case FORM_NAMED:
        return find_value(out, x, json_object_get(v, "name"), err);
    case FORM_SYMBOL:
        if (json_object_get(v, "as_name"))
            return find_value(out, x, json_object_get(v, "as_name"), err);
        return argument(out, x, v, err);
    case FORM_TYPE:
        type = export_type(v);
        *out = aten_int(aten_dtype_number(type));
        return type ? AX_OK
                    : ax_fail(err, AX_EUNSUPPORTED,
                              "is an element type that is not supported");
    case FORM_OTHER:
        out->kind = ATEN_OTHER;
        return AX_OK;
    case FORM_ANY:
        return argument(out, x, v, err);
    }
    return AX_OK;
}

/* An object of one key, which says what it is. It nests as deep as the table
 * of forms does: as an element of a list. */
static ax_status argument(struct aten_value *out, struct export *x,
                          const json_t *arg, struct ax_err *err)
{
    void *it;
    json_t *all = NULL;
    const char *key;
    const json_t *v;
    ax_status st = AX_OK;

    memcpy(&all, &arg, sizeof all); /* iterators are not const */
    it = json_object_iter(all);
    if (json_object_size(arg) != 1 || !it)
        return ax_fail(err, AX_EFORMAT, "is no argument");
    if (x->depth++ > 8)
        return ax_fail(err, AX_EFORMAT, "is nested too deep");
    key = json_object_iter_key(it);
    v = json_object_iter_value(it);
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (strcmp(forms[i].key, key) != 0)
            continue;
        if (!forms[i].list) {
            st = one(out, x, forms[i].form, v, err);
            x->depth--;
            return st;
        }
        if (!json_is_array(v) || json_array_size(v) > NODES_MAX)
            return ax_fail(err, AX_EFORMAT, "is no list");
        AX_TRY(aten_list(&x->a, out, ATEN_LIST, (uint32_t)json_array_size(v),
                         err));
        for (uint32_t k = 0; k < out->n; k++)
            AX_TRY(
                one(&out->v[k], x, forms[i].form, json_array_get(v, k), err));
        x->depth--;
        return AX_OK;
    }
    return ax_fail(err, AX_EUNSUPPORTED, "'%.40s' is not supported", key);
}

/* ---- nodes ---- */

/* What the file says of a value against what follows. */
static ax_status agree(struct export *x, const char *name,
                       struct aten_value v, struct ax_err *err)
{
    const json_t *said = json_object_get(x->said, name);
    int64_t dims[AX_RANK_MAX];
    int rank = 0, free_at = -1;
    ax_dtype type = export_type(json_object_get(said, "dtype"));
    const struct ax_value *is;
    char a[160], b[160];
    bool same;

    if (!said || v.kind != ATEN_TENSOR)
        return AX_OK;
    AX_TRY(export_dims(dims, &rank, &free_at, json_object_get(said, "sizes"),
                       err));
    is = &x->a.b.g->values[v.value];
    same = (!type || !is->dtype || type == is->dtype) &&
           (is->rank < 0 || is->rank == rank);
    for (int i = 0; i < rank && same && is->rank >= 0; i++)
        same = dims[i] < 0 || is->dims[i] < 0 || dims[i] == is->dims[i];
    return same ? AX_OK
                : ax_fail(err, AX_ESHAPE,
                          "'%.80s' is said to be %s, but is %s", name,
                          ax_shape_text(a, sizeof a, type, rank, dims),
                          ax_shape_text(b, sizeof b, is->dtype, is->rank,
                                        is->dims));
}

static ax_status bind_output(struct export *x, const json_t *out,
                             struct aten_value v, struct ax_err *err)
{
    const json_t *list = json_object_get(out, "as_tensors"), *one;
    const char *name;

    if (json_is_array(list)) {
        if ((v.kind != ATEN_LIST && v.kind != ATEN_TUPLE) ||
            v.n != json_array_size(list))
            return ax_fail(err, AX_ESHAPE,
                           "does not give %zu tensors, as is said",
                           json_array_size(list));
        for (uint32_t i = 0; i < v.n; i++) {
            name = json_string_value(
                json_object_get(json_array_get(list, i), "name"));
            AX_TRY(name_value(x, name, v.v[i], err));
            AX_TRY(agree(x, name, v.v[i], err));
        }
        return AX_OK;
    }
    one = json_object_get(out, "as_tensor");
    name = json_string_value(json_object_get(one, "name"));
    if (!one) {
        one = json_object_get(out, "as_sym_int");
        if (!one)
            one = json_object_get(out, "as_sym_bool");
        name = json_string_value(json_object_get(one, "as_name"));
    }
    if (json_object_get(out, "as_none"))
        return AX_OK;
    AX_TRY(name_value(x, name, v, err));
    return agree(x, name, v, err);
}

static ax_status bind_outputs(struct export *x, const json_t *node,
                              struct aten_value v, struct ax_err *err)
{
    const json_t *outs = json_object_get(node, "outputs");
    size_t n = json_array_size(outs);

    if (n == 1)
        return bind_output(x, json_array_get(outs, 0), v, err);
    if (n && (v.kind != ATEN_TUPLE || v.n < n))
        return ax_fail(err, AX_EFORMAT, "does not give %zu outputs", n);
    for (size_t i = 0; i < n; i++)
        AX_TRY(bind_output(x, json_array_get(outs, i), v.v[i], err));
    return AX_OK;
}

/* "torch.ops.aten.add.Tensor" is "add" and "Tensor". */
static ax_status split_target(char *op, char **overload, size_t size,
                              const char *target, struct ax_err *err)
{
    static const char *const starts[] = {"torch.ops.aten.",
                                         "torch.ops.prims."};
    const char *s = NULL;

    for (size_t i = 0; i < 2; i++)
        if (strncmp(target, starts[i], strlen(starts[i])) == 0)
            s = target + strlen(starts[i]);
    *overload = NULL;
    if (strncmp(target, "_operator.", 10) == 0)
        s = target;
    if (!s || strlen(s) >= size)
        return ax_fail(err, AX_EUNSUPPORTED, "is not supported");
    snprintf(op, size, "%s", s);
    if (s != target && (*overload = strchr(op, '.')))
        *(*overload)++ = '\0';
    return AX_OK;
}

/* What checks something that follows from the shape of the inputs. */
static bool is_check(const char *op)
{
    static const char *const names[] = {
        "_assert_scalar", "_assert_async", "_assert_tensor_metadata",
        "sym_constrain_range_for_size", "sym_constrain_range"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(op, names[i]) == 0)
            return true;
    return false;
}

/* Arithmetic of sizes, and what asks for one. *done says whether it was. */
static ax_status size_node(struct export *x, struct aten_value *out,
                           bool *done, const char *op,
                           const struct aten_arg *arg, uint32_t n,
                           struct ax_err *err)
{
    int64_t axis;
    int rank;

    *done = true;
    if (strcmp(op, "sym_size") == 0 && n == 2 &&
        arg[0].v.kind == ATEN_TENSOR && arg[1].v.kind == ATEN_INT) {
        AX_TRY(aten_rank(&x->a, &rank, arg[0].v.value, err));
        AX_TRY(aten_axis(&axis, arg[1].v.i, rank, err));
        return aten_dim(&x->a, out, arg[0].v.value, (int)axis, err);
    }
    if (strncmp(op, "_operator.", 10) == 0 && n == 2)
        return aten_arithmetic(out, op + 10, arg[0].v, arg[1].v, err);
    *done = false;
    return AX_OK;
}

static ax_status run_node(struct export *x, const json_t *node,
                          const char *target, struct ax_err *err)
{
    const json_t *ins = json_object_get(node, "inputs");
    struct aten_arg arg[ATEN_ARGS];
    struct aten_value out = {0};
    char op[64], *overload;
    uint32_t n = (uint32_t)json_array_size(ins);
    bool done = false;

    AX_TRY(split_target(op, &overload, sizeof op, target, err));
    if (is_check(op))
        return AX_OK;
    if (!json_is_array(ins) || n > ATEN_ARGS)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "has no list of at most %d arguments", ATEN_ARGS);
    for (uint32_t i = 0; i < n; i++) {
        const json_t *in = json_array_get(ins, i);

        arg[i].name = json_string_value(json_object_get(in, "name"));
        if (!arg[i].name)
            arg[i].name = "";
        x->depth = 0;
        if (argument(&arg[i].v, x, json_object_get(in, "arg"), err) != AX_OK)
            return ax_fail_in(err, "argument '%.40s'", arg[i].name);
    }
    AX_TRY(size_node(x, &out, &done, op, arg, n, err));
    if (!done)
        AX_TRY(aten_call(&x->a, &out, op, overload, arg, n, err));
    return bind_outputs(x, node, out, err);
}

static ax_status run_nodes(struct export *x, const json_t *graph,
                           struct ax_err *err)
{
    const json_t *nodes = json_object_get(graph, "nodes");

    if (!json_is_array(nodes) || json_array_size(nodes) > NODES_MAX)
        return ax_fail(err, AX_EFORMAT, "has no list of nodes");
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        const json_t *node = json_array_get(nodes, i);
        const char *target = json_string_value(
                       json_object_get(node, "target")),
                   *name = json_string_value(json_object_get(node, "name"));
        char number[24];

        snprintf(number, sizeof number, "%zu", i);
        if (!target)
            return ax_fail(err, AX_EFORMAT, "node %zu has no target", i);
        if (run_node(x, node, target, err) != AX_OK)
            return ax_fail_in(err, "node '%.60s' (%.60s)",
                              name ? name : number, target);
    }
    return AX_OK;
}

/* ---- what goes in ---- */

/* The constant behind a name of the state dictionary; one for those that are
 * tied. */
static ax_status weight(struct export *x, struct aten_value *out,
                        const char *fqn, bool constant, struct ax_err *err)
{
    struct ax_weight w = {0};
    struct aten_value v;

    AX_TRY(export_weight(&w, x, fqn, constant, err));
    for (size_t i = 0; i < x->n_tied; i++) {
        const struct export_tied *t = &x->tied[i];

        if (t->w.first == w.first && t->w.type == w.type &&
            t->w.rank == w.rank &&
            memcmp(t->w.dims, w.dims, sizeof w.dims) == 0 &&
            memcmp(t->w.strides, w.strides, sizeof w.strides) == 0) {
            *out = t->v;
            return AX_OK;
        }
    }
    AX_TRY(aten_weight(&x->a, out, fqn, &w, err));
    v = *out;
    if (x->n_tied < EXPORT_TIED_MAX)
        x->tied[x->n_tied++] = (struct export_tied){w, v};
    return AX_OK;
}

/* The one free dimension that there may be: the first of all inputs. */
static ax_status free_dim(struct export *x, const char *input, int free_at,
                          const json_t *sizes, struct ax_err *err)
{
    const json_t *expr = json_object_get(
        json_array_get(sizes, (size_t)free_at), "as_expr");
    const char *s = json_string_value(json_object_get(expr, "expr_str"));

    if (!s)
        return ax_fail(err, AX_EFORMAT, "a size is neither number nor name");
    for (size_t i = (size_t)free_at + 1; i < json_array_size(sizes); i++)
        if (!json_object_get(json_array_get(sizes, i), "as_int"))
            free_at = (int)i;
    if (free_at != 0)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "input '%.80s': dimension %d is free, which only the "
                       "first may be: export it with a fixed size",
                       input, free_at);
    if (x->symbol && strcmp(x->symbol, s) != 0)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "input '%.80s': its free dimension is '%.40s', that "
                       "of another is '%.40s'",
                       input, s, x->symbol);
    x->symbol = s;
    return AX_OK;
}

static ax_status tensor_input(struct export *x, const char *name,
                              struct ax_err *err)
{
    const json_t *said = json_object_get(x->said, name),
                 *sizes = json_object_get(said, "sizes");
    static const char *const names[AX_RANK_MAX] = {"N"};
    int64_t dims[AX_RANK_MAX];
    int rank = 0, free_at = -1;
    ax_dtype type = export_type(json_object_get(said, "dtype"));
    struct aten_value v = {0};

    if (!type)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "input '%.80s' is of a type that is not supported",
                       name);
    AX_TRY(export_dims(dims, &rank, &free_at, sizes, err));
    if (free_at >= 0)
        AX_TRY(free_dim(x, name, free_at, sizes, err));
    AX_TRY(aten_input(&x->a, &v, name, type, rank, dims, names, err));
    return name_value(x, name, v, err);
}

/* What is no tensor is a constant of the program. */
static ax_status user_input(struct export *x, const json_t *spec,
                            struct ax_err *err)
{
    const json_t *arg = json_object_get(spec, "arg"),
                 *tensor = json_object_get(arg, "as_tensor");
    const char *name = json_string_value(json_object_get(tensor, "name"));

    if (name)
        return tensor_input(x, name, err);
    if (json_object_get(arg, "as_none"))
        return AX_OK;
    return ax_fail(err, AX_EUNSUPPORTED,
                   "an input that is no tensor is not supported");
}

static ax_status read_input(struct export *x, const json_t *spec,
                            bool tensors, struct ax_err *err)
{
    static const struct {
        const char *key, *name;
        bool constant;
    } kinds[] = {{"parameter", "parameter_name", false},
                 {"buffer", "buffer_name", false},
                 {"tensor_constant", "tensor_constant_name", true}};
    const json_t *body = json_object_get(spec, "user_input");

    if (body)
        return tensors ? AX_OK : user_input(x, body, err);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const char *arg, *fqn;
        struct aten_value v = {0};

        body = json_object_get(spec, kinds[i].key);
        if (!body)
            continue;
        if (!tensors)
            return AX_OK;
        arg = json_string_value(
            json_object_get(json_object_get(body, "arg"), "name"));
        fqn = json_string_value(json_object_get(body, kinds[i].name));
        if (!arg || !fqn)
            return ax_fail(err, AX_EFORMAT, "an input has no name");
        /* Buffers that are not saved with the others are constants. */
        if (weight(x, &v, fqn,
                   kinds[i].constant ||
                       json_is_false(json_object_get(body, "persistent")),
                   err) != AX_OK)
            return ax_fail_in(err, "tensor '%.80s'", fqn);
        return name_value(x, arg, v, err);
    }
    return ax_fail(err, AX_EUNSUPPORTED,
                   "an input that is neither tensor nor parameter is not "
                   "supported");
}

static ax_status read_inputs(struct export *x, const json_t *signature,
                             struct ax_err *err)
{
    const json_t *specs = json_object_get(signature, "input_specs");

    if (!json_is_array(specs))
        return ax_fail(err, AX_EFORMAT, "has no list of inputs");
    for (int tensors = 0; tensors < 2; tensors++) {
        for (size_t i = 0; i < json_array_size(specs); i++)
            AX_TRY(read_input(x, json_array_get(specs, i), tensors, err));
        if (!tensors)
            AX_TRY(aten_begin(&x->a, err));
    }
    return AX_OK;
}

/* ---- what comes out ---- */

static ax_status read_output(struct export *x, const json_t *spec,
                             struct ax_err *err)
{
    const json_t *body = json_object_get(spec, "user_output"),
                 *arg = json_object_get(body, "arg");
    const char *name = json_string_value(
        json_object_get(json_object_get(arg, "as_tensor"), "name"));
    struct aten_value v = {0};

    if (!body) {
        void *it;
        json_t *all = NULL;

        memcpy(&all, &spec, sizeof all); /* iterators are not const */
        it = json_object_iter(all);
        return ax_fail(err, AX_EUNSUPPORTED,
                       "an output of kind '%.40s' is not supported: the "
                       "program changes its own state",
                       it ? json_object_iter_key(it) : "");
    }
    if (json_object_get(arg, "as_none"))
        return AX_OK;
    x->depth = 0;
    AX_TRY(argument(&v, x, arg, err));
    return aten_output(&x->a, aten_now(&x->a, v), name ? name : "output",
                       err);
}

static ax_status read_outputs(struct export *x, const json_t *signature,
                              struct ax_err *err)
{
    const json_t *specs = json_object_get(signature, "output_specs");

    for (size_t i = 0; i < json_array_size(specs); i++)
        AX_TRY(read_output(x, json_array_get(specs, i), err));
    return AX_OK;
}

/* ---- the program ---- */

static ax_status read_program(struct ax_model **out, struct export *x,
                              struct ax_err *err)
{
    const json_t *module = json_object_get(x->program, "graph_module"),
                 *graph = json_object_get(module, "graph"),
                 *signature = json_object_get(module, "signature");

    x->said = json_object_get(graph, "tensor_values");
    if (!json_is_object(graph) || !json_is_object(signature))
        return ax_fail(err, AX_EFORMAT,
                       "its program has no graph with a signature");
    x->names = json_object();
    x->tied = calloc(EXPORT_TIED_MAX, sizeof *x->tied);
    if (!x->names || !x->tied)
        return ax_fail(err, AX_ENOMEM, "no memory for values");
    AX_TRY(read_inputs(x, signature, err));
    AX_TRY(run_nodes(x, graph, err));
    AX_TRY(read_outputs(x, signature, err));
    return aten_finish(out, &x->a, err);
}

ax_status aten_read_export(struct ax_model **out, const struct torch_zip *zip,
                           const unsigned char *data, size_t n,
                           struct ax_err *err)
{
    struct export *x = calloc(1, sizeof *x);
    ax_status st;

    *out = NULL;
    if (!x)
        return ax_fail(err, AX_ENOMEM, "no memory for a program");
    x->zip = zip;
    x->budget = torch_zip_budget(n);
    st = aten_new(&x->a, data, n, err);
    if (st == AX_OK)
        st = export_open(x, err);
    if (st == AX_OK)
        st = read_program(out, x, err);
    export_close(x);
    json_decref(x->names);
    json_decref(x->program);
    free(x->values);
    free(x->tied);
    aten_free(&x->a);
    free(x);
    return st;
}
