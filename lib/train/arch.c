/* Architectures, ax-arch(5): a layer a line, made into a model whose weights
 * are drawn from a seed. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ax/infer.h"
#include "ax/train.h"

#define LINE_BYTES  1024
#define LAYERS_MAX  4096
#define NUMBERS_MAX ((int64_t)1 << 28) /* of a row, of all matrices */

struct arch {
    struct ax_model *m;
    uint64_t seed;
    int64_t weights; /* in all matrices so far */
    unsigned line;
    uint32_t last;       /* value that the next layer takes */
    struct shape *shape; /* [values] */
};

/* Of a row. */
struct shape {
    int rank;
    int64_t dims[AX_RANK_MAX];
};

/* What a line says beside its first word. */
struct layer {
    const char *kind, *arg, *name, *init, *stride, *pad, *groups, *bias,
        *from;
};

static ax_status no_memory(struct ax_err *err)
{
    return ax_fail(err, AX_ENOMEM, "no memory for an architecture");
}

static int64_t width_of(const struct shape *s)
{
    int64_t n = 1;

    for (int d = 0; d < s->rank; d++)
        n *= s->dims[d];
    return n;
}

static bool named(const struct ax_graph *g, const char *name)
{
    for (uint32_t i = 0; i < g->n_values; i++)
        if (strcmp(g->values[i].name, name) == 0)
            return true;
    return false;
}

/* A new value; its number is n_values - 1. */
static ax_status add_value(struct arch *a, const char *name,
                           const char *ending, const struct shape *shape,
                           struct ax_err *err)
{
    struct ax_graph *g = a->m->graph;
    struct ax_value *v = &g->values[g->n_values];
    size_t n = strlen(name) + strlen(ending) + 1;

    *v = (struct ax_value){.rank = -1, .tensor = AX_NONE};
    v->name = malloc(n);
    if (!v->name)
        return no_memory(err);
    snprintf(v->name, n, "%s%s", name, ending);
    if (named(g, v->name)) {
        (void)ax_fail(err, AX_EFORMAT, "two values are called '%s'", v->name);
        free(v->name);
        return AX_EFORMAT;
    }
    a->shape[g->n_values++] = *shape;
    return AX_OK;
}

/* Uniform between -bound and bound. */
static void draw(struct arch *a, struct ax_tensor *t, double bound)
{
    uint64_t stream = a->m->n_tensors;
    float *x = t->data;

    for (size_t i = 0; i < ax_tensor_count(t); i++) {
        uint64_t bits = ax_train_random(a->seed, stream, i) >> 40;

        x[i] = (float)(bound * ((double)bits / (1 << 23) - 1));
    }
}

static ax_status add_weight(struct arch *a, const struct layer *l,
                            const char *ending, int rank, const int64_t *dims,
                            double bound, struct ax_err *err)
{
    struct ax_tensor *t = &a->m->tensors[a->m->n_tensors];

    AX_TRY(add_value(a, l->name, ending, &(struct shape){0}, err));
    a->m->graph->values[a->m->graph->n_values - 1].tensor = a->m->n_tensors;
    AX_TRY(ax_tensor_new(t, AX_F32, rank, dims, err));
    draw(a, t, bound);
    a->m->n_tensors++;
    return AX_OK;
}

/* A node of inputs in [n]; its output is the next layer's input. */
static ax_status add_node(struct arch *a, const struct layer *l, ax_op op,
                          const uint32_t *in, uint32_t n,
                          const struct shape *shape, struct ax_err *err)
{
    struct ax_graph *g = a->m->graph;
    struct ax_node *node = &g->nodes[g->n_nodes];

    AX_TRY(add_value(a, l->name, "", shape, err));
    g->n_nodes++;
    *node = (struct ax_node){.op = op, .n_in = n, .n_out = 1};
    node->name = strdup(l->name);
    node->in = calloc(n, sizeof *in);
    node->out = calloc(1, sizeof *in);
    if (!node->name || !node->in || !node->out) {
        node->n_in = node->n_out = 0;
        return no_memory(err);
    }
    memcpy(node->in, in, n * sizeof *in);
    a->last = node->out[0] = g->n_values - 1;
    return AX_OK;
}

static ax_status whole(int64_t *out, const char *s, char **end,
                       struct ax_err *err)
{
    char *stop = NULL;

    *out = s && *s >= '0' && *s <= '9' ? strtoll(s, &stop, 10) : 0;
    if (*out < 1 || *out > NUMBERS_MAX || (*stop && !end))
        return ax_fail(err, AX_EFORMAT,
                       "'%.40s' where a number from 1 to %" PRId64 " belongs",
                       s ? s : "", NUMBERS_MAX);
    if (end)
        *end = stop;
    return AX_OK;
}

/* "28", "1x28x28": the dimensions of a row. */
static ax_status read_input(struct arch *a, const struct layer *l,
                            struct ax_err *err)
{
    struct ax_graph *g = a->m->graph;
    char *s = (char *)(uintptr_t)l->arg;
    struct shape shape = {0};
    int64_t *dims = shape.dims, all = 1;
    int rank = 0;

    do {
        if (rank == AX_RANK_MAX - 1)
            return ax_fail(err, AX_EFORMAT, "more than %d dimensions",
                           AX_RANK_MAX - 1);
        AX_TRY(whole(&dims[rank], rank && s ? s + 1 : s, &s, err));
        all *= dims[rank++];
        if (all > NUMBERS_MAX)
            return ax_fail(err, AX_EFORMAT, "a row of %" PRId64 " numbers",
                           all);
    } while (*s == 'x');
    if (*s)
        return ax_fail(err, AX_EFORMAT, "'%.40s' after the dimensions", s);
    shape.rank = rank;
    AX_TRY(add_value(a, l->name, "", &shape, err));
    g->values[0].dtype = AX_F32;
    g->values[0].rank = rank + 1;
    g->values[0].dims[0] = -1;
    memcpy(g->values[0].dims + 1, dims, (size_t)rank * sizeof *dims);
    g->values[0].dim_names[0] = strdup("batch");
    return g->values[0].dim_names[0] ? AX_OK : no_memory(err);
}

/* How large weights may be that are drawn for IN inputs and OUT outputs,
 * and the biases that go with them. */
static ax_status bounds(double *bound, double *of_bias, const struct layer *l,
                        double in, double out, struct ax_err *err)
{
    *of_bias = 0;
    if (!l->init || strcmp(l->init, "default") == 0)
        *of_bias = *bound = 1 / sqrt(in);
    else if (strcmp(l->init, "kaiming-uniform") == 0)
        *bound = sqrt(6.0 / in);
    else if (strcmp(l->init, "xavier-uniform") == 0)
        *bound = sqrt(6.0 / (in + out));
    else if (strcmp(l->init, "zeros") == 0)
        *bound = 0;
    else
        return ax_fail(err, AX_EFORMAT,
                       "init=%.40s: wants default, kaiming-uniform, "
                       "xavier-uniform or zeros",
                       l->init);
    return AX_OK;
}

/* A node with weights [dims] and a bias of N, which follow the last value.
 * IN and OUT are for the bounds. */
static ax_status add_trained(struct arch *a, const struct layer *l, ax_op op,
                             int rank, const int64_t *dims, int64_t n,
                             double in, double out, const struct shape *shape,
                             struct ax_err *err)
{
    uint32_t values[3] = {a->last};
    double bound = 0, of_bias = 0;

    AX_TRY(bounds(&bound, &of_bias, l, in, out, err));
    values[1] = a->m->graph->n_values;
    AX_TRY(add_weight(a, l, ".weight", rank, dims, bound, err));
    values[2] = a->m->graph->n_values;
    if (l->bias && strcmp(l->bias, "no") == 0)
        return add_node(a, l, op, values, 2, shape, err);
    if (l->bias)
        return ax_fail(err, AX_EFORMAT, "bias=%.40s: wants no", l->bias);
    AX_TRY(add_weight(a, l, ".bias", 1, &n, of_bias, err));
    return add_node(a, l, op, values, 3, shape, err);
}

static ax_status read_dense(struct arch *a, const struct layer *l,
                            struct ax_err *err)
{
    int64_t in = width_of(&a->shape[a->last]), n;

    AX_TRY(whole(&n, l->arg, NULL, err));
    if (a->shape[a->last].rank != 1)
        return ax_fail(err, AX_ESHAPE, "dense wants a vector: flatten first");
    if (n > (NUMBERS_MAX - a->weights) / in)
        return ax_fail(err, AX_EFORMAT,
                       "a matrix of %" PRId64 " x %" PRId64
                       " makes more than %" PRId64 " weights",
                       in, n, NUMBERS_MAX);
    a->weights += in * n;
    return add_trained(a, l, AX_OP_Gemm, 2, (int64_t[]){in, n}, n, (double)in,
                       (double)n, &(struct shape){1, {n}}, err);
}

/* -- windows: convolution and pooling -------------------------------------
 */

struct window {
    int64_t channels, size, stride, pad, groups;
};

/* stride= and pad=, and what they make of an image. */
static ax_status windows(struct shape *out, struct window *w,
                         const struct arch *a, const struct layer *l,
                         struct ax_err *err)
{
    const struct shape *in = &a->shape[a->last];

    if (in->rank != 3)
        return ax_fail(err, AX_ESHAPE,
                       "%s wants channels x height x width, a row has %d "
                       "dimensions",
                       l->kind, in->rank);
    if (l->stride)
        AX_TRY(whole(&w->stride, l->stride, NULL, err));
    if (l->pad && strcmp(l->pad, "0") != 0)
        AX_TRY(whole(&w->pad, l->pad, NULL, err));
    if (w->pad >= w->size)
        return ax_fail(err, AX_EFORMAT,
                       "padding of %" PRId64 " around windows of %" PRId64,
                       w->pad, w->size);
    *out = (struct shape){3, {w->channels}};
    for (int d = 1; d < 3; d++) {
        int64_t room = in->dims[d] + 2 * w->pad - w->size;

        if (room < 0)
            return ax_fail(err, AX_ESHAPE,
                           "windows of %" PRId64 " in an image of %" PRId64,
                           w->size, in->dims[d]);
        out->dims[d] = room / w->stride + 1;
    }
    if (w->channels > NUMBERS_MAX / (out->dims[1] * out->dims[2]))
        return ax_fail(err, AX_EFORMAT,
                       "a row of more than %" PRId64 " numbers", NUMBERS_MAX);
    return AX_OK;
}

static ax_status add_ints(struct ax_node *n, const char *name, size_t count,
                          int64_t value, struct ax_err *err)
{
    struct ax_attr *at = &n->attrs[n->n_attrs];

    *at = (struct ax_attr){.kind = AX_ATTR_INTS, .n = count};
    at->name = strdup(name);
    at->ints = calloc(count, sizeof *at->ints);
    n->n_attrs++;
    if (!at->name || !at->ints)
        return no_memory(err);
    for (size_t i = 0; i < count; i++)
        at->ints[i] = value;
    return AX_OK;
}

static ax_status add_int(struct ax_node *n, const char *name, int64_t value,
                         struct ax_err *err)
{
    struct ax_attr *at = &n->attrs[n->n_attrs++];

    *at = (struct ax_attr){.kind = AX_ATTR_INT, .i = value};
    at->name = strdup(name);
    return at->name ? AX_OK : no_memory(err);
}

static ax_status add_window(struct arch *a, const struct window *w,
                            struct ax_err *err)
{
    struct ax_node *n = &a->m->graph->nodes[a->m->graph->n_nodes - 1];

    n->attrs = calloc(4, sizeof *n->attrs);
    if (!n->attrs)
        return no_memory(err);
    if (w->groups > 1)
        AX_TRY(add_int(n, "group", w->groups, err));
    AX_TRY(add_ints(n, "kernel_shape", 2, w->size, err));
    if (w->pad)
        AX_TRY(add_ints(n, "pads", 4, w->pad, err));
    return w->stride > 1 ? add_ints(n, "strides", 2, w->stride, err) : AX_OK;
}

/* groups=: parts of the channels that see nothing of each other. */
static ax_status groups(struct window *w, const struct layer *l, int64_t in,
                        struct ax_err *err)
{
    w->groups = 1;
    if (l->groups)
        AX_TRY(whole(&w->groups, l->groups, NULL, err));
    return in % w->groups || w->channels % w->groups
               ? ax_fail(err, AX_ESHAPE,
                         "%" PRId64 " channels to %" PRId64
                         " in groups of %" PRId64,
                         in, w->channels, w->groups)
               : AX_OK;
}

/* "conv 16x3": channels and the side of a window. */
static ax_status read_conv(struct arch *a, const struct layer *l,
                           struct ax_err *err)
{
    struct window w = {.stride = 1};
    struct shape out;
    int64_t in = a->shape[a->last].dims[0], all;
    char *s = NULL;

    AX_TRY(whole(&w.channels, l->arg, &s, err));
    if (*s != 'x')
        return ax_fail(err, AX_EFORMAT,
                       "'%.40s' where channels x side belong", l->arg);
    AX_TRY(whole(&w.size, s + 1, NULL, err));
    AX_TRY(windows(&out, &w, a, l, err));
    AX_TRY(groups(&w, l, in, err));
    in /= w.groups;
    if (__builtin_mul_overflow(w.size * w.size, in, &all) ||
        __builtin_mul_overflow(all, w.channels, &all) ||
        all > NUMBERS_MAX - a->weights)
        return ax_fail(err, AX_EFORMAT, "more than %" PRId64 " weights",
                       NUMBERS_MAX);
    a->weights += all;
    AX_TRY(add_trained(
        a, l, AX_OP_Conv, 4, (int64_t[]){w.channels, in, w.size, w.size},
        w.channels, (double)(in * w.size * w.size),
        (double)(w.channels / w.groups * w.size * w.size), &out, err));
    return add_window(a, &w, err);
}

/* Channels of their own mean and deviation. */
static ax_status read_norm(struct arch *a, const struct layer *l,
                           struct ax_err *err)
{
    static const struct {
        const char *ending;
        float value;
    } of[] = {{".weight", 1},
              {".bias", 0},
              {".running_mean", 0},
              {".running_var", 1}};
    const struct shape shape = a->shape[a->last];
    uint32_t values[5] = {a->last};

    if (l->arg)
        return ax_fail(err, AX_EFORMAT, "'%.40s' after batchnorm", l->arg);
    for (int k = 0; k < 4; k++) {
        values[k + 1] = a->m->graph->n_values;
        AX_TRY(add_weight(a, l, of[k].ending, 1, shape.dims, 0, err));
        for (int64_t i = 0; i < shape.dims[0]; i++)
            ((float *)a->m->tensors[a->m->n_tensors - 1].data)[i] =
                of[k].value;
    }
    return add_node(a, l, AX_OP_BatchNormalization, values, 5, &shape, err);
}

static ax_status read_pool(struct arch *a, const struct layer *l,
                           struct ax_err *err)
{
    bool most = strcmp(l->kind, "maxpool") == 0;
    struct window w = {.channels = a->shape[a->last].dims[0]};
    struct shape out;

    AX_TRY(whole(&w.size, l->arg, NULL, err));
    w.stride = w.size;
    AX_TRY(windows(&out, &w, a, l, err));
    AX_TRY(add_node(a, l, most ? AX_OP_MaxPool : AX_OP_AveragePool, &a->last,
                    1, &out, err));
    return add_window(a, &w, err);
}

static ax_status find_layer(uint32_t *out, const struct arch *a,
                            const char *name, struct ax_err *err)
{
    const struct ax_graph *g = a->m->graph;

    for (*out = 0; *out < g->n_values; ++*out)
        if (name && strcmp(g->values[*out].name, name) == 0 &&
            g->values[*out].tensor == AX_NONE)
            return AX_OK;
    return ax_fail(err, AX_EFORMAT, "no layer above is called '%.40s'",
                   name ? name : "");
}

static ax_status read_add(struct arch *a, const struct layer *l,
                          struct ax_err *err)
{
    uint32_t in[2] = {a->last, 0};

    AX_TRY(find_layer(&in[1], a, l->arg, err));
    if (width_of(&a->shape[in[0]]) != width_of(&a->shape[in[1]]))
        return ax_fail(err, AX_ESHAPE, "adds %" PRId64 " numbers to %" PRId64,
                       width_of(&a->shape[in[1]]),
                       width_of(&a->shape[in[0]]));
    if (a->shape[in[0]].rank != a->shape[in[1]].rank ||
        memcmp(a->shape[in[0]].dims, a->shape[in[1]].dims,
               sizeof a->shape->dims) != 0)
        return ax_fail(err, AX_ESHAPE, "adds rows of different shapes");
    return add_node(a, l, AX_OP_Add, in, 2, &a->shape[a->last], err);
}

/* LeakyRelu's slope, if it is not the usual one. */
static ax_status add_slope(struct arch *a, const char *arg,
                           struct ax_err *err)
{
    struct ax_node *n = &a->m->graph->nodes[a->m->graph->n_nodes - 1];
    char *end;
    double slope = strtod(arg, &end);

    if (*end || !(slope >= 0 && slope <= 1))
        return ax_fail(err, AX_EFORMAT, "'%.40s' is no slope from 0 to 1",
                       arg);
    if ((float)slope == 0.01f)
        return AX_OK;
    n->attrs = calloc(1, sizeof *n->attrs);
    if (!n->attrs)
        return no_memory(err);
    n->n_attrs = 1;
    n->attrs[0] = (struct ax_attr){.kind = AX_ATTR_FLOAT, .f = (float)slope};
    n->attrs[0].name = strdup("alpha");
    return n->attrs[0].name ? AX_OK : no_memory(err);
}

static const struct {
    const char *kind;
    ax_op op;
    bool argument;
} plain[] = {
    {"flatten", AX_OP_Flatten, false}, {"leakyrelu", AX_OP_LeakyRelu, true},
    {"relu", AX_OP_Relu, false},       {"sigmoid", AX_OP_Sigmoid, false},
    {"tanh", AX_OP_Tanh, false},
};

static ax_status read_plain(struct arch *a, const struct layer *l,
                            struct ax_err *err)
{
    size_t k = 0, n = sizeof plain / sizeof plain[0];
    struct shape shape = a->shape[a->last];

    while (k < n && strcmp(plain[k].kind, l->kind) != 0)
        k++;
    if (k == n)
        return ax_fail(err, AX_EFORMAT, "no layer is called '%.40s'",
                       l->kind);
    if (l->arg && !plain[k].argument)
        return ax_fail(err, AX_EFORMAT, "'%.40s' after %s", l->arg, l->kind);
    if (plain[k].op == AX_OP_Flatten)
        shape = (struct shape){1, {width_of(&shape)}};
    AX_TRY(add_node(a, l, plain[k].op, &a->last, 1, &shape, err));
    return l->arg ? add_slope(a, l->arg, err) : AX_OK;
}

/* Are the words with an equals sign those of this kind of layer? */
static ax_status fits(const struct layer *l, struct ax_err *err)
{
    bool conv = strcmp(l->kind, "conv") == 0;
    bool dense = strcmp(l->kind, "dense") == 0;
    bool window = conv || strcmp(l->kind, "maxpool") == 0 ||
                  strcmp(l->kind, "avgpool") == 0;

    if ((l->init || l->bias) && !dense && !conv)
        return ax_fail(err, AX_EFORMAT,
                       "init= and bias= are for dense and conv");
    if ((l->stride || l->pad) && !window)
        return ax_fail(err, AX_EFORMAT,
                       "stride= and pad= are for conv, maxpool and avgpool");
    return l->groups && !conv
               ? ax_fail(err, AX_EFORMAT, "groups= is for conv")
               : AX_OK;
}

/* Take a line apart, in place. */
static ax_status split(struct layer *l, char *line, struct ax_err *err)
{
    static const struct {
        const char *word;
        size_t place;
    } keys[] = {
        {"name=", offsetof(struct layer, name)},
        {"init=", offsetof(struct layer, init)},
        {"stride=", offsetof(struct layer, stride)},
        {"pad=", offsetof(struct layer, pad)},
        {"groups=", offsetof(struct layer, groups)},
        {"bias=", offsetof(struct layer, bias)},
        {"from=", offsetof(struct layer, from)},
    };
    char *rest = NULL;

    line[strcspn(line, "#")] = '\0';
    for (char *w = strtok_r(line, " \t\r", &rest); w;
         w = strtok_r(NULL, " \t\r", &rest)) {
        const char **place = NULL;
        size_t cut = 0;

        if (!l->kind)
            place = &l->kind;
        for (size_t k = 0; !place && k < sizeof keys / sizeof keys[0]; k++)
            if (strncmp(w, keys[k].word, strlen(keys[k].word)) == 0) {
                place = (const char **)((char *)l + keys[k].place);
                cut = strlen(keys[k].word);
            }
        place = place ? place : &l->arg;
        if (*place)
            return ax_fail(err, AX_EFORMAT, "'%.40s' is one word too many",
                           w);
        *place = w + cut;
    }
    if (l->name && (!*l->name || !ax_is_utf8(l->name, strlen(l->name))))
        return ax_fail(err, AX_EFORMAT, "a name is empty, or not UTF-8");
    if (!l->kind)
        return AX_OK;
    return fits(l, err);
}

static const struct {
    const char *kind;
    ax_status (*read)(struct arch *a, const struct layer *l,
                      struct ax_err *err);
} readers[] = {
    {"add", read_add},   {"avgpool", read_pool}, {"batchnorm", read_norm},
    {"conv", read_conv}, {"dense", read_dense},  {"maxpool", read_pool},
};

static ax_status read_line(struct arch *a, char *line, struct ax_err *err)
{
    struct layer l = {0};
    char name[64];

    AX_TRY(split(&l, line, err));
    if (!l.kind)
        return AX_OK;
    snprintf(name, sizeof name, "%.40s%u", l.kind, a->line);
    if (!l.name)
        l.name = name;
    if ((a->m->graph->n_values == 0) != (strcmp(l.kind, "input") == 0))
        return ax_fail(err, AX_EFORMAT,
                       "the first layer, and no other, is input");
    if (strcmp(l.kind, "input") == 0)
        return read_input(a, &l, err);
    if (l.from)
        AX_TRY(find_layer(&a->last, a, l.from, err));
    if (a->m->graph->n_nodes == LAYERS_MAX)
        return ax_fail(err, AX_EFORMAT, "more than %d layers", LAYERS_MAX);
    for (size_t k = 0; k < sizeof readers / sizeof readers[0]; k++)
        if (strcmp(l.kind, readers[k].kind) == 0)
            return readers[k].read(a, &l, err);
    return read_plain(a, &l, err);
}

static ax_status read_lines(struct arch *a, const char *text, size_t n,
                            struct ax_err *err)
{
    char line[LINE_BYTES];

    while (n) {
        const char *end = memchr(text, '\n', n);
        size_t len = end ? (size_t)(end - text) : n;

        a->line++;
        if (len >= sizeof line || memchr(text, '\0', len))
            return ax_fail(err, AX_EFORMAT,
                           "line %u: too long, or a zero byte", a->line);
        memcpy(line, text, len);
        line[len] = '\0';
        if (read_line(a, line, err) != AX_OK)
            return ax_fail_in(err, "line %u", a->line);
        len += end != NULL;
        text += len;
        n -= len;
    }
    if (a->m->graph->n_nodes == 0)
        return ax_fail(err, AX_EFORMAT, "an architecture without layers");
    return AX_OK;
}

/* Room for all that LAYERS_MAX layers can make. */
static ax_status room(struct arch *a, struct ax_err *err)
{
    struct ax_graph *g;
    size_t values = 5 * LAYERS_MAX + 1;

    a->shape = calloc(values, sizeof *a->shape);
    a->m = calloc(1, sizeof *a->m);
    g = calloc(1, sizeof *g);
    if (a->m)
        a->m->graph = g;
    else
        free(g);
    if (!a->shape || !a->m || !g)
        return no_memory(err);
    a->m->tensors = calloc(4 * LAYERS_MAX, sizeof *a->m->tensors);
    g->name = strdup("arch");
    g->values = calloc(values, sizeof *g->values);
    g->nodes = calloc(LAYERS_MAX, sizeof *g->nodes);
    g->inputs = calloc(1, sizeof *g->inputs);
    g->outputs = calloc(1, sizeof *g->outputs);
    return a->m->tensors && g->name && g->values && g->nodes && g->inputs &&
                   g->outputs
               ? AX_OK
               : no_memory(err);
}

ax_status ax_arch_read(struct ax_model **out, const char *text, size_t n,
                       uint64_t seed, struct ax_err *err)
{
    struct arch a = {.seed = seed};
    ax_status st = room(&a, err);

    *out = NULL;
    if (st == AX_OK)
        st = read_lines(&a, text, n, err);
    if (st == AX_OK) {
        a.m->graph->n_inputs = a.m->graph->n_outputs = 1;
        a.m->graph->outputs[0] = a.last;
        st = ax_model_normalise(a.m, err);
    }
    if (st == AX_OK)
        st = ax_model_infer(a.m, err);
    if (st == AX_OK) {
        *out = a.m;
        a.m = NULL;
    }
    ax_model_free(a.m);
    free(a.shape);
    return st;
}
