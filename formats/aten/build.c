/* Values, nodes and constants that the operators make, and the graph around
 * them. */
#include "formats/aten/aten.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ax/element.h"

/* Elements of a constant that a program makes out of nothing, and below which
 * a borrowed one has to be aligned. */
enum { FILL_MAX = 65536 };

static const struct {
    int64_t number;
    ax_dtype type;
} dtypes[] = {{0, AX_U8},    {1, AX_I8},    {2, AX_I16},  {3, AX_I32},
              {4, AX_I64},   {5, AX_F16},   {6, AX_F32},  {7, AX_F64},
              {11, AX_BOOL}, {15, AX_BF16}, {27, AX_U16}, {28, AX_U32},
              {29, AX_U64}};

ax_dtype aten_dtype(int64_t number)
{
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++)
        if (dtypes[i].number == number)
            return dtypes[i].type;
    return AX_DTYPE_NONE;
}

int64_t aten_dtype_number(ax_dtype t)
{
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++)
        if (dtypes[i].type == t)
            return dtypes[i].number;
    return -1;
}

/* ---- the graph ---- */

static ax_status no_memory(struct ax_err *err)
{
    return ax_fail(err, AX_ENOMEM, "no memory for a graph");
}

ax_status aten_new(struct aten *a, const unsigned char *data, size_t n,
                   struct ax_err *err)
{
    struct arch *b = &a->b;

    *a = (struct aten){.data = data, .n_data = n};
    a->arena = ax_arena_new();
    b->m = calloc(1, sizeof *b->m);
    b->g = calloc(1, sizeof *b->g);
    if (b->m)
        b->m->graph = b->g;
    else
        free(b->g);
    if (!a->arena || !b->m || !b->g || !(b->g->name = strdup("model")))
        return no_memory(err);
    b->dtype = AX_F32;
    b->name = a->name;
    return AX_OK;
}

void aten_free(struct aten *a)
{
    ax_growth_free(a->growth);
    ax_model_free(a->b.m);
    ax_arena_free(a->arena);
    *a = (struct aten){0};
}

static ax_status push(uint32_t **v, uint32_t *n, uint32_t value,
                      struct ax_err *err)
{
    uint32_t *more = reallocarray(*v, *n + 1u, sizeof *more);

    if (!more)
        return no_memory(err);
    *v = more;
    more[(*n)++] = value;
    return AX_OK;
}

ax_status aten_input(struct aten *a, struct aten_value *out, const char *name,
                     ax_dtype dtype, int rank, const int64_t *dims,
                     const char *const *dim_names, struct ax_err *err)
{
    struct ax_value *v;
    uint32_t value = 0;

    AX_TRY(arch_value(&a->b, &value, name, "", err));
    v = &a->b.g->values[value];
    v->dtype = dtype;
    v->rank = rank;
    for (int i = 0; i < rank; i++) {
        v->dims[i] = dims[i];
        if (dims[i] < 0 && dim_names[i] &&
            !(v->dim_names[i] = strdup(dim_names[i])))
            return no_memory(err);
    }
    *out = aten_tensor(value);
    return push(&a->b.g->inputs, &a->b.g->n_inputs, value, err);
}

ax_status aten_begin(struct aten *a, struct ax_err *err)
{
    return ax_growth_new(&a->growth, a->b.m, err);
}

ax_status aten_output(struct aten *a, struct aten_value v, const char *name,
                      struct ax_err *err)
{
    struct ax_graph *g = a->b.g;
    uint32_t value = 0;
    bool made = false, twice = false;
    char *copy;

    if (v.kind != ATEN_TENSOR)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "output '%s' is no tensor, which is not supported",
                       name);
    value = v.value;
    for (uint32_t i = 0; i < g->n_nodes && !made; i++)
        for (uint32_t k = 0; k < g->nodes[i].n_out; k++)
            made |= g->nodes[i].out[k] == value;
    for (uint32_t i = 0; i < g->n_outputs; i++)
        twice |= g->outputs[i] == value;
    if (!made || twice) {
        snprintf(a->name, sizeof a->name, "output:%u", g->n_outputs);
        a->named = false;
        AX_TRY(aten_emit(a, &value, AX_OP_Identity, value, AX_NONE, AX_NONE,
                         err));
        AX_TRY(ax_growth_infer(a->growth, err));
    }
    twice = false;
    for (uint32_t i = 0; i < g->n_outputs; i++)
        twice |= strcmp(g->values[g->outputs[i]].name, name) == 0;
    copy = malloc(strlen(name) + 16);
    if (!copy)
        return no_memory(err);
    if (twice)
        snprintf(copy, strlen(name) + 16, "%s:%" PRIu32, name, g->n_outputs);
    else
        memcpy(copy, name, strlen(name) + 1);
    free(g->values[value].name);
    g->values[value].name = copy;
    return push(&g->outputs, &g->n_outputs, value, err);
}

/* Nodes whose outputs nothing uses, as those of a check of shapes. */
static ax_status drop_unused(struct ax_graph *g, struct ax_err *err)
{
    bool *used = calloc(g->n_values + 1u, sizeof *used);
    uint32_t n = 0;

    if (!used)
        return no_memory(err);
    for (uint32_t i = 0; i < g->n_outputs; i++)
        used[g->outputs[i]] = true;
    for (uint32_t i = g->n_nodes; i-- > 0;) {
        struct ax_node *node = &g->nodes[i];
        bool needed = false;

        for (uint32_t k = 0; k < node->n_out; k++)
            needed |= used[node->out[k]];
        for (uint32_t k = 0; k < node->n_in && needed; k++)
            if (node->in[k] != AX_NONE)
                used[node->in[k]] = true;
        if (needed)
            continue;
        free(node->name);
        free(node->in);
        free(node->out);
        for (uint32_t k = 0; k < node->n_attrs; k++) {
            free(node->attrs[k].name);
            free(node->attrs[k].s);
            free(node->attrs[k].ints);
        }
        free(node->attrs);
        *node = (struct ax_node){0};
    }
    for (uint32_t i = 0; i < g->n_nodes; i++)
        if (g->nodes[i].op != AX_OP_NONE)
            g->nodes[n++] = g->nodes[i];
    g->n_nodes = n;
    free(used);
    return AX_OK;
}

ax_status aten_finish(struct ax_model **out, struct aten *a,
                      struct ax_err *err)
{
    struct ax_model *m = a->b.m;

    if (!m->graph->n_outputs)
        return ax_fail(err, AX_EFORMAT, "the program gives nothing");
    ax_growth_free(a->growth);
    a->growth = NULL;
    AX_TRY(drop_unused(m->graph, err));
    AX_TRY(ax_graph_check(m->graph, m->n_tensors, err));
    AX_TRY(ax_model_infer(m, err));
    AX_TRY(ax_model_fold(m, err));
    AX_TRY(ax_model_normalise(m, err));
    *out = m;
    a->b.m = NULL;
    return AX_OK;
}

/* ---- values ---- */

struct aten_value aten_tensor(uint32_t value)
{
    return (struct aten_value){.kind = ATEN_TENSOR, .value = value};
}

struct aten_value aten_int(int64_t i)
{
    return (struct aten_value){.kind = ATEN_INT, .i = i};
}

double aten_real(struct aten_value x)
{
    return x.kind == ATEN_FLOAT ? x.f : (double)x.i;
}

ax_status aten_list(struct aten *a, struct aten_value *out, uint8_t kind,
                    uint32_t n, struct ax_err *err)
{
    *out = (struct aten_value){.kind = kind, .n = n};
    out->v = ax_arena_zalloc(a->arena, n + 1u, sizeof *out->v);
    return out->v ? AX_OK : no_memory(err);
}

ax_status aten_weight(struct aten *a, struct aten_value *out,
                      const char *name, const struct ax_weight *w,
                      struct ax_err *err)
{
    const unsigned char *bytes;
    struct ax_tensor t;
    uint32_t v = 0;
    void *own;
    size_t n;

    if (!w->type)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "is of type %s, which a container does not have",
                       w->dtype);
    AX_TRY(ax_weight_bytes(&bytes, &own, &n, w, err));
    /* What was decompressed lives shorter than the model. */
    if (!own && (bytes < a->data || bytes > a->data + a->n_data ||
                 (n <= FILL_MAX && (uintptr_t)bytes % w->size))) {
        own = malloc(n ? n : 1);
        if (!own)
            return no_memory(err);
        if (n)
            memcpy(own, bytes, n);
    }
    t = (struct ax_tensor){.dtype = w->type,
                           .rank = w->rank,
                           .data = own,
                           .nbytes = n,
                           .owned = own != NULL};
    memcpy(t.dims, w->dims, sizeof t.dims);
    if (!own) /* only read: the model does not write to its tensors */
        memcpy(&t.data, &bytes, sizeof t.data);
    AX_TRY(arch_constant(&a->b, &v, name, "", &t, err));
    *out = aten_tensor(v);
    return aten_mark_weight(a, *out, err);
}

ax_status aten_value_of(struct aten *a, uint32_t *v, struct aten_value x,
                        ax_dtype dtype, struct ax_err *err)
{
    *v = AX_NONE;
    if (x.kind == ATEN_TENSOR) {
        *v = x.value;
        return AX_OK;
    }
    if (x.kind == ATEN_NONE)
        return AX_OK;
    if (x.kind != ATEN_INT || x.power == 0)
        return aten_number(a, v, dtype, aten_real(x), err);
    AX_TRY(aten_sizes(a, v, &x, 1, err));
    AX_TRY(aten_cast(a, v, dtype, err));
    return aten_reshape(a, v, *v, NULL, 0, err);
}

ax_status aten_rank(struct aten *a, int *rank, uint32_t v, struct ax_err *err)
{
    AX_TRY(ax_growth_infer(a->growth, err));
    *rank = a->b.g->values[v].rank;
    if (*rank < 0)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "the shape of its operand is not known: give that of "
                       "the input, with --shape");
    return AX_OK;
}

ax_status aten_dim(struct aten *a, struct aten_value *out, uint32_t v, int i,
                   struct ax_err *err)
{
    int power;

    AX_TRY(ax_growth_infer(a->growth, err));
    *out = (struct aten_value){.kind = ATEN_INT};
    ax_growth_dim(a->growth, v, i, &out->i, &power);
    out->power = (int8_t)power;
    return AX_OK;
}

ax_status aten_fixed(struct aten *a, int64_t *out, uint32_t v, int i,
                     struct ax_err *err)
{
    struct aten_value d;

    AX_TRY(aten_dim(a, &d, v, i, err));
    *out = d.i;
    if (d.power != 0)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "dimension %d of its operand is not fixed: give the "
                       "shape of the input, with --shape",
                       i);
    return AX_OK;
}

ax_status aten_type(struct aten *a, ax_dtype *out, uint32_t v,
                    struct ax_err *err)
{
    AX_TRY(ax_growth_infer(a->growth, err));
    *out = a->b.g->values[v].dtype;
    if (!*out)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "the type of its operand is not known");
    return AX_OK;
}

ax_status aten_axis(int64_t *out, int64_t axis, int rank, struct ax_err *err)
{
    int64_t n = rank ? rank : 1;

    if (axis < -n || axis >= n)
        return ax_fail(err, AX_ESHAPE,
                       "dimension %" PRId64 " does not fit rank %d", axis,
                       rank);
    *out = axis < 0 ? axis + n : axis;
    return AX_OK;
}

/* ---- nodes ---- */

ax_status aten_emit_n(struct aten *a, uint32_t *out, ax_op op,
                      const uint32_t *in, uint32_t n, struct ax_err *err)
{
    char what[16] = "";

    /* The nodes of one call are numbered, but for the first. */
    if (a->named)
        snprintf(what, sizeof what, "%u", a->b.g->n_values);
    a->named = true;
    return arch_node(&a->b, out, op, what, in, n, err);
}

ax_status aten_emit(struct aten *a, uint32_t *out, ax_op op, uint32_t x,
                    uint32_t y, uint32_t z, struct ax_err *err)
{
    const uint32_t in[] = {x, y, z};

    return aten_emit_n(a, out, op, in, 3, err);
}

ax_status aten_second(struct aten *a, uint32_t *out, struct ax_err *err)
{
    struct ax_node *node = &a->b.g->nodes[a->b.g->n_nodes - 1];
    char what[16];

    snprintf(what, sizeof what, "%u", a->b.g->n_values);
    AX_TRY(arch_value(&a->b, out, a->name, what, err));
    return push(&node->out, &node->n_out, *out, err);
}

ax_status aten_attr(struct aten *a, const char *name, int64_t v,
                    int64_t otherwise, struct ax_err *err)
{
    return v == otherwise ? AX_OK : arch_attr_int(&a->b, name, v, err);
}

ax_status aten_attr_real(struct aten *a, const char *name, double v,
                         double otherwise, struct ax_err *err)
{
    return (float)v == (float)otherwise
               ? AX_OK
               : arch_attr_float(&a->b, name, v, err);
}

ax_status aten_attr_ints(struct aten *a, const char *name, const int64_t *v,
                         size_t n, int64_t otherwise, struct ax_err *err)
{
    bool usual = true;

    for (size_t i = 0; i < n; i++)
        usual &= v[i] == otherwise;
    return usual ? AX_OK : arch_attr_ints(&a->b, name, v, n, err);
}

/* ---- constants ---- */

ax_status aten_constant(struct aten *a, uint32_t *out, struct ax_tensor *t,
                        struct ax_err *err)
{
    char what[24];

    snprintf(what, sizeof what, "c%u", a->b.g->n_values);
    return arch_constant(&a->b, out, a->name, what, t, err);
}

ax_status aten_ints(struct aten *a, uint32_t *out, const int64_t *v, size_t n,
                    struct ax_err *err)
{
    const int64_t dims[] = {(int64_t)n};
    struct ax_tensor t;

    AX_TRY(ax_tensor_new(&t, AX_I64, 1, dims, err));
    ax_put_i64(AX_I64, t.data, 0, v, n);
    return aten_constant(a, out, &t, err);
}

ax_status aten_filled(struct aten *a, uint32_t *out, ax_dtype dtype, int rank,
                      const int64_t *dims, double x, struct ax_err *err)
{
    struct ax_tensor t;
    size_t count;

    AX_TRY(ax_shape_count(&count, rank, dims, 8, err));
    if (count > FILL_MAX) {
        uint32_t one, shape;

        AX_TRY(aten_number(a, &one, dtype, x, err));
        AX_TRY(aten_ints(a, &shape, dims, (size_t)rank, err));
        return aten_emit(a, out, AX_OP_Expand, one, shape, AX_NONE, err);
    }
    AX_TRY(ax_tensor_new(&t, dtype, rank, dims, err));
    for (size_t i = 0; i < count; i++)
        ax_put_f64(dtype, t.data, i, &x, 1);
    return aten_constant(a, out, &t, err);
}

ax_status aten_number(struct aten *a, uint32_t *out, ax_dtype dtype, double x,
                      struct ax_err *err)
{
    return aten_filled(a, out, dtype, 0, NULL, x, err);
}

/* The free dimension itself, as a vector of one. */
static ax_status free_size(struct aten *a, uint32_t *out, struct ax_err *err)
{
    const struct ax_graph *g = a->b.g;

    for (uint32_t i = 0; i < g->n_inputs; i++)
        for (int d = 0; d < g->values[g->inputs[i]].rank; d++) {
            struct aten_value x;

            AX_TRY(aten_dim(a, &x, g->inputs[i], d, err));
            if (x.power != 1 || x.i != 1)
                continue;
            AX_TRY(aten_emit(a, out, AX_OP_Shape, g->inputs[i], AX_NONE,
                             AX_NONE, err));
            AX_TRY(aten_attr(a, "end", d + 1, INT64_MAX, err));
            return aten_attr(a, "start", d, 0, err);
        }
    return ax_fail(err, AX_EBUG, "no free dimension");
}

static ax_status one_size(struct aten *a, uint32_t *out, struct aten_value v,
                          struct ax_err *err)
{
    uint32_t k, n = 0;

    if (v.kind != ATEN_INT || v.power < 0)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "a size is not known: give the shape of the input");
    AX_TRY(aten_ints(a, out, &v.i, 1, err));
    if (v.power)
        AX_TRY(free_size(a, &n, err));
    for (int i = 0; i < v.power; i++) {
        k = *out;
        AX_TRY(aten_emit(a, out, AX_OP_Mul, k, n, AX_NONE, err));
    }
    return AX_OK;
}

ax_status aten_sizes(struct aten *a, uint32_t *out,
                     const struct aten_value *v, uint32_t n,
                     struct ax_err *err)
{
    uint32_t part[AX_RANK_MAX];
    int64_t fixed[AX_RANK_MAX];
    bool all = true;

    if (n > AX_RANK_MAX)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "more than %d dimensions are not supported",
                       AX_RANK_MAX);
    for (uint32_t i = 0; i < n; i++) {
        all &= v[i].kind == ATEN_INT && v[i].power == 0;
        fixed[i] = v[i].i;
    }
    if (all)
        return aten_ints(a, out, fixed, n, err);
    for (uint32_t i = 0; i < n; i++)
        AX_TRY(one_size(a, &part[i], v[i], err));
    *out = part[0];
    if (n == 1)
        return AX_OK;
    AX_TRY(aten_emit_n(a, out, AX_OP_Concat, part, n, err));
    return arch_attr_int(&a->b, "axis", 0, err);
}

/* ---- what many of them need ---- */

ax_status aten_cast(struct aten *a, uint32_t *v, ax_dtype dtype,
                    struct ax_err *err)
{
    ax_dtype is;

    AX_TRY(aten_type(a, &is, *v, err));
    if (is == dtype)
        return AX_OK;
    AX_TRY(aten_emit(a, v, AX_OP_Cast, *v, AX_NONE, AX_NONE, err));
    return arch_attr_int(&a->b, "to", dtype, err);
}

ax_status aten_transpose(struct aten *a, uint32_t *out, uint32_t x, int64_t i,
                         int64_t k, struct ax_err *err)
{
    int64_t perm[AX_RANK_MAX];
    int rank;

    AX_TRY(aten_rank(a, &rank, x, err));
    AX_TRY(aten_axis(&i, i, rank, err));
    AX_TRY(aten_axis(&k, k, rank, err));
    *out = x;
    if (i == k)
        return AX_OK;
    for (int d = 0; d < rank; d++)
        perm[d] = d == i ? k : d == k ? i : d;
    AX_TRY(aten_emit(a, out, AX_OP_Transpose, x, AX_NONE, AX_NONE, err));
    return arch_attr_ints(&a->b, "perm", perm, (size_t)rank, err);
}

/* A new shape by constants: a dimension that is not known beforehand is kept
 * (0) or found (-1). */
ax_status aten_reshape(struct aten *a, uint32_t *out, uint32_t x,
                       const struct aten_value *dims, uint32_t n,
                       struct ax_err *err)
{
    int64_t to[AX_RANK_MAX];
    int rank, open = 0;
    uint32_t shape;

    AX_TRY(aten_rank(a, &rank, x, err));
    if (n > AX_RANK_MAX)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "more than %d dimensions are not supported",
                       AX_RANK_MAX);
    for (uint32_t i = 0; i < n; i++) {
        struct aten_value is = {0};
        bool keeps = false;

        if (dims[i].power == 0) {
            to[i] = dims[i].i;
            if (to[i] < -1 || to[i] == 0)
                return ax_fail(err, AX_EUNSUPPORTED,
                               "a size of %" PRId64 " is not supported",
                               to[i]);
            open += to[i] == -1;
            continue;
        }
        if ((int)i < rank) {
            AX_TRY(aten_dim(a, &is, x, (int)i, err));
            keeps = dims[i].power > 0 && is.power == dims[i].power &&
                    is.i == dims[i].i;
        }
        to[i] = keeps ? 0 : -1;
        open += !keeps;
    }
    if (open > 1)
        AX_TRY(aten_sizes(a, &shape, dims, n, err));
    else
        AX_TRY(aten_ints(a, &shape, to, n, err));
    return aten_emit(a, out, AX_OP_Reshape, x, shape, AX_NONE, err);
}

ax_status aten_get_ints(int64_t *out, size_t n, struct aten_value list,
                        const char *what, int64_t otherwise, int64_t min,
                        struct ax_err *err)
{
    size_t have = list.kind == ATEN_INT ? 1 : list.n;

    if (list.kind == ATEN_NONE)
        have = 0;
    if (have > 1 && have != n)
        return ax_fail(err, AX_ESHAPE, "'%s' has %zu numbers, wants %zu",
                       what, have, n);
    for (size_t i = 0; i < n; i++) {
        out[i] = !have                   ? otherwise
                 : list.kind == ATEN_INT ? list.i
                                         : list.v[have > 1 ? i : 0].i;
        if (out[i] < min || out[i] > INT32_MAX)
            return ax_fail(err, AX_EFORMAT, "'%s' may not be %" PRId64, what,
                           out[i]);
    }
    return AX_OK;
}

ax_status aten_get_list(int64_t *out, size_t *n, size_t max,
                        struct aten_value list, const char *what,
                        struct ax_err *err)
{
    *n = list.kind == ATEN_INT ? 1 : list.kind == ATEN_NONE ? 0 : list.n;
    if (*n > max)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "'%s' has %zu numbers, at most %zu are supported",
                       what, *n, max);
    for (size_t i = 0; i < *n; i++)
        out[i] = list.kind == ATEN_INT ? list.i : list.v[i].i;
    return AX_OK;
}

/* ---- promotion ---- */

/* bool, integers, reals */
static int category(ax_dtype t)
{
    return t == AX_BOOL ? 0 : ax_dtype_class(t) != AX_CLASS_REAL ? 1 : 2;
}

/* How much an operand has to say: a tensor with dimensions more than one
 * without, that more than a number. */
static int weight_of(const struct aten *a, struct aten_value x)
{
    return x.kind != ATEN_TENSOR               ? 0
           : a->b.g->values[x.value].rank == 0 ? 1
                                               : 2;
}

static ax_status type_of(struct aten *a, ax_dtype *out, struct aten_value x,
                         struct ax_err *err)
{
    *out = x.kind == ATEN_BOOL    ? AX_BOOL
           : x.kind == ATEN_FLOAT ? AX_F32
                                  : AX_I64;
    return x.kind == ATEN_TENSOR ? aten_type(a, out, x.value, err) : AX_OK;
}

/* The wider of two of one category. */
static ax_status wider(ax_dtype *out, ax_dtype x, ax_dtype y,
                       struct ax_err *err)
{
    size_t n = ax_dtype_size(x), m = ax_dtype_size(y);

    *out = n >= m ? x : y;
    if (x != y && n == m) {
        if (category(x) == 2)
            *out = AX_F32; /* float16 and bfloat16 */
        else
            return ax_fail(err, AX_EUNSUPPORTED,
                           "types %s and %s together are not supported",
                           ax_dtype_name(x), ax_dtype_name(y));
    }
    return AX_OK;
}

ax_status aten_promote(struct aten *a, uint32_t out[2], struct aten_value x,
                       struct aten_value y, bool real, struct ax_err *err)
{
    ax_dtype s = AX_F32, t = AX_F32, both = AX_F32;
    int ws = weight_of(a, x), wt = weight_of(a, y);

    AX_TRY(type_of(a, &s, x, err));
    AX_TRY(type_of(a, &t, y, err));
    if (s == t || ws == wt || category(s) == category(t)) {
        if (ws == wt && category(s) != category(t))
            both = category(s) > category(t) ? s : t;
        else if (ws != wt && category(s) == category(t))
            both = ws > wt ? s : t;
        else
            AX_TRY(wider(&both, s, t, err));
    } else {
        both = category(s) > category(t) ? s : t;
    }
    if (real && category(both) != 2)
        both = AX_F32;
    AX_TRY(aten_value_of(a, &out[0], x, both, err));
    AX_TRY(aten_value_of(a, &out[1], y, both, err));
    AX_TRY(aten_cast(a, &out[0], both, err));
    return aten_cast(a, &out[1], both, err);
}
