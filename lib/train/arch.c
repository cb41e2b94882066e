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
    uint32_t last;  /* value that the next layer takes */
    int64_t *width; /* [values] numbers of a row */
    int *rank;      /* [values] dimensions of a row */
};

/* What a line says beside its first word. */
struct layer {
    const char *kind, *arg, *name, *init;
};

static ax_status no_memory(struct ax_err *err)
{
    return ax_fail(err, AX_ENOMEM, "no memory for an architecture");
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
                           const char *ending, int64_t width, int rank,
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
    a->width[g->n_values] = width;
    a->rank[g->n_values++] = rank;
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

    AX_TRY(add_value(a, l->name, ending, 0, 0, err));
    a->m->graph->values[a->m->graph->n_values - 1].tensor = a->m->n_tensors;
    AX_TRY(ax_tensor_new(t, AX_F32, rank, dims, err));
    draw(a, t, bound);
    a->m->n_tensors++;
    return AX_OK;
}

/* A node of inputs in [n]; its output is the next layer's input. */
static ax_status add_node(struct arch *a, const struct layer *l, ax_op op,
                          const uint32_t *in, uint32_t n, int64_t width,
                          int rank, struct ax_err *err)
{
    struct ax_graph *g = a->m->graph;
    struct ax_node *node = &g->nodes[g->n_nodes];

    AX_TRY(add_value(a, l->name, "", width, rank, err));
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
    int64_t dims[AX_RANK_MAX], all = 1;
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
    AX_TRY(add_value(a, l->name, "", all, rank, err));
    g->values[0].dtype = AX_F32;
    g->values[0].rank = rank + 1;
    g->values[0].dims[0] = -1;
    memcpy(g->values[0].dims + 1, dims, (size_t)rank * sizeof *dims);
    g->values[0].dim_names[0] = strdup("batch");
    return g->values[0].dim_names[0] ? AX_OK : no_memory(err);
}

static ax_status read_dense(struct arch *a, const struct layer *l,
                            struct ax_err *err)
{
    int64_t in = a->width[a->last], n;
    uint32_t values[3] = {a->last};
    double bound = 1 / sqrt((double)in);

    AX_TRY(whole(&n, l->arg, NULL, err));
    if (a->rank[a->last] != 1)
        return ax_fail(err, AX_ESHAPE, "dense wants a vector: flatten first");
    if (n > (NUMBERS_MAX - a->weights) / in)
        return ax_fail(err, AX_EFORMAT,
                       "a matrix of %" PRId64 " x %" PRId64
                       " makes more than %" PRId64 " weights",
                       in, n, NUMBERS_MAX);
    a->weights += in * n;
    if (l->init && strcmp(l->init, "kaiming-uniform") == 0)
        bound = sqrt(6.0 / (double)in);
    else if (l->init && strcmp(l->init, "xavier-uniform") == 0)
        bound = sqrt(6.0 / (double)(in + n));
    else if (l->init && strcmp(l->init, "zeros") == 0)
        bound = 0;
    else if (l->init && strcmp(l->init, "default") != 0)
        return ax_fail(err, AX_EFORMAT,
                       "init=%.40s: wants default, kaiming-uniform, "
                       "xavier-uniform or zeros",
                       l->init);
    values[1] = a->m->graph->n_values;
    AX_TRY(add_weight(a, l, ".weight", 2, (int64_t[]){in, n}, bound, err));
    values[2] = a->m->graph->n_values;
    AX_TRY(add_weight(a, l, ".bias", 1, &n,
                      !l->init || strcmp(l->init, "default") == 0 ? bound : 0,
                      err));
    return add_node(a, l, AX_OP_Gemm, values, 3, n, 1, err);
}

static ax_status read_add(struct arch *a, const struct layer *l,
                          struct ax_err *err)
{
    const struct ax_graph *g = a->m->graph;
    uint32_t in[2] = {a->last, 0};

    while (in[1] < g->n_values &&
           (!l->arg || strcmp(g->values[in[1]].name, l->arg) != 0 ||
            g->values[in[1]].tensor != AX_NONE))
        in[1]++;
    if (in[1] == g->n_values)
        return ax_fail(err, AX_EFORMAT, "no layer above is called '%.40s'",
                       l->arg ? l->arg : "");
    if (a->width[in[0]] != a->width[in[1]] ||
        a->rank[in[0]] != a->rank[in[1]])
        return ax_fail(err, AX_ESHAPE, "adds %" PRId64 " numbers to %" PRId64,
                       a->width[in[1]], a->width[in[0]]);
    return add_node(a, l, AX_OP_Add, in, 2, a->width[a->last],
                    a->rank[a->last], err);
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

    while (k < n && strcmp(plain[k].kind, l->kind) != 0)
        k++;
    if (k == n)
        return ax_fail(err, AX_EFORMAT, "no layer is called '%.40s'",
                       l->kind);
    if (l->arg && !plain[k].argument)
        return ax_fail(err, AX_EFORMAT, "'%.40s' after %s", l->arg, l->kind);
    AX_TRY(add_node(a, l, plain[k].op, &a->last, 1, a->width[a->last],
                    plain[k].op == AX_OP_Flatten ? 1 : a->rank[a->last],
                    err));
    return l->arg ? add_slope(a, l->arg, err) : AX_OK;
}

/* Take a line apart, in place. */
static ax_status split(struct layer *l, char *line, struct ax_err *err)
{
    char *rest = NULL;

    line[strcspn(line, "#")] = '\0';
    for (char *w = strtok_r(line, " \t\r", &rest); w;
         w = strtok_r(NULL, " \t\r", &rest)) {
        const char **place = !l->kind                      ? &l->kind
                             : strncmp(w, "name=", 5) == 0 ? &l->name
                             : strncmp(w, "init=", 5) == 0 ? &l->init
                                                           : &l->arg;

        if (*place)
            return ax_fail(err, AX_EFORMAT, "'%.40s' is one word too many",
                           w);
        *place = place == &l->name || place == &l->init ? w + 5 : w;
    }
    if (l->name && (!*l->name || !ax_is_utf8(l->name, strlen(l->name))))
        return ax_fail(err, AX_EFORMAT, "a name is empty, or not UTF-8");
    if (l->init && strcmp(l->kind, "dense") != 0)
        return ax_fail(err, AX_EFORMAT, "init= is for dense");
    return AX_OK;
}

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
    if (a->m->graph->n_nodes == LAYERS_MAX)
        return ax_fail(err, AX_EFORMAT, "more than %d layers", LAYERS_MAX);
    if (strcmp(l.kind, "dense") == 0)
        return read_dense(a, &l, err);
    if (strcmp(l.kind, "add") == 0)
        return read_add(a, &l, err);
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
    size_t values = 3 * LAYERS_MAX + 1;

    a->width = calloc(values, sizeof *a->width);
    a->rank = calloc(values, sizeof *a->rank);
    a->m = calloc(1, sizeof *a->m);
    g = calloc(1, sizeof *g);
    if (a->m)
        a->m->graph = g;
    else
        free(g);
    if (!a->width || !a->rank || !a->m || !g)
        return no_memory(err);
    a->m->tensors = calloc(2 * LAYERS_MAX, sizeof *a->m->tensors);
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
    free(a.width);
    free(a.rank);
    return st;
}
