/* Keras models in HDF5: the layers, in an order in which they can be
 * computed. Nothing in the file is run: what has code in it (Lambda) is
 * refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ax/format.h"
#include "formats/keras/keras.h"

#define LAYERS_MAX 10000

/* One use of a layer: what it gives is known once it is done. */
struct use {
    json_t *layer;
    json_t *node; /* of its inbound_nodes; NULL: an input */
    const char *name;
    size_t number; /* among the uses of the layer */
    bool done;
    struct keras_value out;
};

struct uses {
    struct use *v;
    size_t n, cap;
};

static ax_status no_memory(struct ax_err *err)
{
    return ax_fail(err, AX_ENOMEM, "no memory for the layers");
}

static struct use *find_use(const struct uses *u, const char *name,
                            json_int_t number)
{
    for (size_t i = 0; name && i < u->n; i++)
        if ((json_int_t)u->v[i].number == number &&
            strcmp(u->v[i].name, name) == 0)
            return &u->v[i];
    return NULL;
}

/* ---- inputs of the graph ---- */

/* An input [batch, ...] as the layer's configuration has it; of another type
 * it is converted by nobody. */
static ax_status graph_input(struct keras *k, struct keras_value *out,
                             struct ax_err *err)
{
    const json_t *shape = json_object_get(k->config, "batch_input_shape");
    struct ax_value *value;
    uint32_t v;

    if (!shape)
        shape = json_object_get(k->config, "batch_shape");
    if (!json_is_array(shape) || json_array_size(shape) < 1 ||
        json_array_size(shape) > AX_RANK_MAX)
        return ax_fail(err, AX_EFORMAT, "layer '%.60s' has no shape",
                       k->name);
    AX_TRY(arch_value(&k->a, &v, k->name, "", err));
    value = &k->a.g->values[v];
    value->dtype = AX_F32;
    value->rank = (int)json_array_size(shape);
    for (int i = 0; i < value->rank; i++) {
        const json_t *d = json_array_get(shape, (size_t)i);

        value->dims[i] = json_is_null(d) ? -1 : json_integer_value(d);
        if (!json_is_null(d) &&
            (value->dims[i] < 1 || value->dims[i] > INT32_MAX))
            return ax_fail(err, AX_EFORMAT,
                           "layer '%.60s': its shape is malformed", k->name);
    }
    *out = (struct keras_value){{v, AX_NONE}, value->rank};
    return arch_push(&k->a.g->inputs, &k->a.g->n_inputs, v, err);
}

static bool is_input(const json_t *layer)
{
    const char *class = json_string_value(
        json_object_get(layer, "class_name"));

    return class && strcmp(class, "InputLayer") == 0;
}

/* ---- one layer ---- */

static ax_status run_layer(struct keras *k, struct keras_value *out,
                           struct ax_err *err)
{
    AX_TRY(keras_layer(k, err));
    AX_TRY(keras_end(k, err));
    *out = k->out;
    return AX_OK;
}

/* ---- sequential ---- */

static ax_status sequential(struct keras *k, json_t *layers,
                            struct keras_value *last, struct ax_err *err)
{
    size_t n = json_array_size(layers), i = 0;
    json_t *first = json_array_get(layers, 0);

    if (n == 0 || n > LAYERS_MAX)
        return ax_fail(err, AX_EFORMAT, "a model of %zu layers", n);
    AX_TRY(keras_begin(k, first, err));
    if (is_input(first)) {
        i = 1;
    } else {
        snprintf(k->name, sizeof k->name, "input");
    }
    AX_TRY(graph_input(k, last, err));
    AX_TRY(ax_growth_new(&k->growth, k->a.m, err));
    for (; i < n; i++) {
        struct keras_value in = *last;

        AX_TRY(keras_begin(k, json_array_get(layers, i), err));
        k->in[0] = &in;
        k->n_in = 1;
        AX_TRY(run_layer(k, last, err));
    }
    return AX_OK;
}

/* ---- graphs of layers ---- */

/* What a history names: ["layer", node, tensor]. */
static ax_status add_history(struct keras *k, const struct uses *u,
                             const json_t *h, bool *ready, struct ax_err *err)
{
    struct use *from = find_use(u, json_string_value(json_array_get(h, 0)),
                                json_integer_value(json_array_get(h, 1)));

    if (!from || json_integer_value(json_array_get(h, 2)) != 0 ||
        k->n_in == KERAS_INPUTS)
        return ax_fail(err, AX_EFORMAT,
                       "layer '%.60s' has an input that is none", k->name);
    *ready &= from->done;
    k->in[k->n_in++] = &from->out;
    return AX_OK;
}

/* Keras 3: tensors among the arguments, in lists of lists. */
static ax_status add_arguments(struct keras *k, const struct uses *u,
                               const json_t *v, bool *ready, int depth,
                               struct ax_err *err)
{
    const json_t *h = json_object_get(json_object_get(v, "config"),
                                      "keras_history");

    if (h)
        return add_history(k, u, h, ready, err);
    if (!json_is_array(v) || depth > 8)
        return keras_refuse(k, err, "an argument that is no tensor");
    for (size_t i = 0; i < json_array_size(v); i++)
        AX_TRY(
            add_arguments(k, u, json_array_get(v, i), ready, depth + 1, err));
    return AX_OK;
}

/* Of what the arguments by name may be without a meaning here. */
static bool harmless(const json_t *v)
{
    const char *name;
    json_t *one;

    json_object_foreach((json_t *)(uintptr_t)v, name,
                        one) if (!json_is_null(one) &&
                                 !(strcmp(name, "training") == 0 &&
                                   !json_is_true(one))) return false;
    return true;
}

static ax_status find_inputs(struct keras *k, const struct uses *u,
                             const json_t *node, bool *ready,
                             struct ax_err *err)
{
    const json_t *kwargs = json_object_get(node, "kwargs");

    k->n_in = 0;
    *ready = true;
    if (json_is_object(node)) {
        if (!harmless(kwargs))
            return keras_refuse(k, err, "an argument by name");
        return add_arguments(k, u, json_object_get(node, "args"), ready, 0,
                             err);
    }
    for (size_t i = 0; i < json_array_size(node); i++) {
        const json_t *h = json_array_get(node, i);

        if (!harmless(json_array_get(h, 3)))
            return keras_refuse(k, err, "an argument by name");
        AX_TRY(add_history(k, u, h, ready, err));
    }
    return AX_OK;
}

static ax_status list_uses(struct uses *u, json_t *layers, struct ax_err *err)
{
    for (size_t i = 0; i < json_array_size(layers); i++) {
        json_t *layer = json_array_get(layers, i);
        json_t *nodes = json_object_get(layer, "inbound_nodes");
        const char *name = json_string_value(json_object_get(layer, "name"));
        size_t n = is_input(layer) ? 1 : json_array_size(nodes);

        if (!name)
            return ax_fail(err, AX_EFORMAT, "layer %zu has no name", i);
        if (u->n + n > LAYERS_MAX)
            return ax_fail(err, AX_EFORMAT, "more than %d layers",
                           LAYERS_MAX);
        while (u->n + n > u->cap) {
            size_t cap = u->cap ? 2 * u->cap : 64;
            struct use *more = reallocarray(u->v, cap, sizeof *more);

            if (!more)
                return no_memory(err);
            u->v = more;
            u->cap = cap;
        }
        for (size_t j = 0; j < n; j++)
            u->v[u->n++] = (struct use){
                .layer = layer,
                .node = is_input(layer) ? NULL : json_array_get(nodes, j),
                .name = name,
                .number = j};
    }
    return AX_OK;
}

/* Weights of a layer that is used twice would be there twice, under one name:
 * its values are called after the use. */
static ax_status run_use(struct keras *k, const struct uses *u, struct use *x,
                         struct ax_err *err)
{
    bool ready;

    AX_TRY(keras_begin(k, x->layer, err));
    AX_TRY(find_inputs(k, u, x->node, &ready, err));
    if (!ready)
        return AX_OK;
    if (x->number > 0) {
        size_t n = strlen(k->name);

        snprintf(k->name + n, sizeof k->name - n, "#%zu", x->number);
    }
    AX_TRY(run_layer(k, &x->out, err));
    x->done = true;
    return AX_OK;
}

static ax_status run_all(struct keras *k, struct uses *u, struct ax_err *err)
{
    size_t left = 0, before;

    for (size_t i = 0; i < u->n; i++) {
        if (u->v[i].node) {
            left++;
            continue;
        }
        AX_TRY(keras_begin(k, u->v[i].layer, err));
        AX_TRY(graph_input(k, &u->v[i].out, err));
        u->v[i].done = true;
    }
    AX_TRY(ax_growth_new(&k->growth, k->a.m, err));
    do {
        before = left;
        for (size_t i = 0; i < u->n; i++) {
            if (u->v[i].done)
                continue;
            AX_TRY(run_use(k, u, &u->v[i], err));
            left -= u->v[i].done;
        }
    } while (left && left < before);
    return left ? ax_fail(err, AX_EFORMAT, "layers wait for each other")
                : AX_OK;
}

/* ---- the model ---- */

static ax_status output(struct keras *k, struct keras_value *x,
                        const char *name, struct ax_err *err)
{
    snprintf(k->name, sizeof k->name, "%s", name);
    AX_TRY(keras_turn(k, x, PLAIN, err));
    for (uint32_t i = 0; i < k->a.g->n_inputs; i++)
        if (k->a.g->inputs[i] == x->v[PLAIN])
            return arch_push(&k->a.g->outputs, &k->a.g->n_outputs,
                             x->v[PLAIN], err);
    arch_take_name(&k->a, x->v[PLAIN], name);
    return arch_push(&k->a.g->outputs, &k->a.g->n_outputs, x->v[PLAIN], err);
}

static ax_status functional(struct keras *k, const json_t *config,
                            struct uses *u, struct ax_err *err)
{
    const json_t *out = json_object_get(config, "output_layers");
    bool one = json_is_string(json_array_get(out, 0));

    AX_TRY(list_uses(u, json_object_get(config, "layers"), err));
    AX_TRY(run_all(k, u, err));
    for (size_t i = 0; i < (one ? 1 : json_array_size(out)); i++) {
        const json_t *h = one ? out : json_array_get(out, i);
        struct use *x = find_use(u, json_string_value(json_array_get(h, 0)),
                                 json_integer_value(json_array_get(h, 1)));

        if (!x)
            return ax_fail(err, AX_EFORMAT, "output %zu is none", i);
        AX_TRY(output(k, &x->out, x->name, err));
    }
    if (k->a.g->n_outputs == 0)
        return ax_fail(err, AX_EFORMAT, "the model has no output");
    return AX_OK;
}

static ax_status build(struct keras *k, json_t *root, struct uses *u,
                       struct ax_err *err)
{
    const char *class = json_string_value(
        json_object_get(root, "class_name"));
    json_t *config = json_object_get(root, "config");
    struct keras_value last;

    k->class = class ? class : "?";
    snprintf(k->name, sizeof k->name, "model");
    if (class && strcmp(class, "Sequential") == 0) {
        AX_TRY(sequential(k,
                          json_is_array(config)
                              ? config
                              : json_object_get(config, "layers"),
                          &last, err));
        return output(k, &last, k->name, err);
    }
    if (class &&
        (strcmp(class, "Model") == 0 || strcmp(class, "Functional") == 0))
        return functional(k, config, u, err);
    return ax_fail(err, AX_EUNSUPPORTED,
                   "models of class %.40s are not supported", k->class);
}

/* Attribute `model_config`, and the version. */
static ax_status read_config(struct keras *k, json_t **root,
                             struct ax_err *err)
{
    struct hdf5_array a;
    struct hdf5_text t = {NULL, 0};
    json_error_t error;

    k->version = 2;
    if (hdf5_attribute(&k->h, k->h.root, "keras_version", &a)) {
        t = hdf5_text_at(&k->h, &a, 0);
        k->version = t.n && t.s[0] >= '1' && t.s[0] <= '9' ? t.s[0] - '0' : 2;
    }
    t.n = 0;
    if (hdf5_attribute(&k->h, k->h.root, "model_config", &a))
        t = hdf5_text_at(&k->h, &a, 0);
    k->weights = hdf5_find(&k->h, k->h.root, hdf5_name("model_weights"));
    if (k->h.bad)
        return ax_fail(err, AX_EFORMAT, "the file is malformed");
    if (t.n == 0)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "HDF5 without a network of Keras (attribute "
                       "model_config)");
    *root = json_loadb(t.s, t.n, 0, &error);
    if (!*root)
        return ax_fail(err, AX_EFORMAT, "model_config: %.80s", error.text);
    return AX_OK;
}

static ax_status read_keras(struct ax_model **out, const unsigned char *data,
                            size_t n, const struct ax_format_options *opt,
                            struct ax_err *err)
{
    struct keras *k = calloc(1, sizeof *k);
    struct uses u = {NULL, 0, 0};
    json_t *root = NULL;
    ax_status st;

    (void)opt;
    *out = NULL;
    if (!k)
        return no_memory(err);
    k->a.dtype = AX_F32;
    st = hdf5_open(&k->h, data, n, err);
    if (st == AX_OK)
        st = arch_begin(&k->a, "keras", err);
    if (st == AX_OK)
        st = read_config(k, &root, err);
    if (st == AX_OK)
        st = build(k, root, &u, err);
    if (k->h.bad && st != AX_ENOMEM) /* whatever came of that */
        st = ax_fail(err, AX_EFORMAT, "the file is malformed");
    ax_growth_free(k->growth);
    if (st == AX_OK)
        st = arch_finish(&k->a, err);
    if (st == AX_OK)
        *out = k->a.m;
    else
        ax_model_free(k->a.m);
    json_decref(root);
    free(u.v);
    free(k);
    return st;
}

static bool sniff(const unsigned char *head, size_t n)
{
    return n >= 8 && memcmp(head, "\x89HDF\r\n\x1a\n", 8) == 0;
}

const struct ax_format ax_format_keras = {
    .name = "keras",
    .summary = "Keras models in HDF5 files (.h5, .hdf5)",
    .sniff = sniff,
    .read = read_keras,
};
