/* A graph from a description of its layers, ax-layers(5), and the tensors of
 * a checkpoint. Every tensor of the state dictionary has to be used, or named
 * as ignored; every one that a layer needs has to be there. */
#include "formats/arch/arch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ax/element.h"
#include "ax/infer.h"

enum { LAYERS_MAX = 65536, IGNORE_MAX = 1024 };

/* ---- the state dictionary ---- */

static bool begins(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Where the dictionary is if the description does not say: at the top, or
 * under one of the names that training scripts give it. */
static const char *guess_state(const struct ax_checkpoint *c)
{
    static const char *const usual[] = {"state_dict/", "model_state_dict/",
                                        "model/",      "module/",
                                        "net/",        "weights/"};

    for (size_t i = 0; i < c->n; i++)
        if (!strpbrk(c->v[i].name, "/:"))
            return "";
    for (size_t k = 0; k < sizeof usual / sizeof usual[0]; k++)
        for (size_t i = 0; i < c->n; i++)
            if (begins(c->v[i].name, usual[k]))
                return usual[k];
    return "";
}

/* "state" with a slash behind it, unless it is empty or ends with a colon. */
static ax_status state_prefix(char *to, size_t size, const json_t *root,
                              const struct ax_checkpoint *c,
                              struct ax_err *err)
{
    const json_t *state = json_object_get(root, "state");
    const char *s = json_string_value(state);
    size_t n = s ? strlen(s) : 0;

    if (state && !s)
        return ax_fail(err, AX_EFORMAT, "'state' is no text");
    if (n + 2 > size)
        return ax_fail(err, AX_EFORMAT, "'state' is too long");
    if (!s)
        snprintf(to, size, "%s", guess_state(c));
    else
        snprintf(to, size, "%s%s", s, n && s[n - 1] != ':' ? "/" : "");
    return AX_OK;
}

/* What all names begin with and is left out: *out is its length. With a
 * question mark behind it, nothing is where not all of them do. */
static ax_status strip_size(size_t *out, const char *prefix,
                            const json_t *root, const struct ax_checkpoint *c,
                            struct ax_err *err)
{
    const json_t *value = json_object_get(root, "strip");
    const char *s = json_string_value(value);
    size_t n = s ? strlen(s) : 0;
    bool maybe = n && s[n - 1] == '?';

    *out = 0;
    if (value && !s)
        return ax_fail(err, AX_EFORMAT, "'strip' is no text");
    n -= maybe;
    for (size_t i = 0; i < c->n && n; i++) {
        const char *name = c->v[i].name;

        if (!begins(name, prefix) ||
            strncmp(name + strlen(prefix), s, n) == 0)
            continue;
        if (maybe)
            return AX_OK;
        return ax_fail(err, AX_EFORMAT,
                       "tensor '%s' does not begin with '%s', which 'strip' "
                       "says",
                       name + strlen(prefix), s);
    }
    *out = n;
    return AX_OK;
}

static ax_status find_entries(struct arch *a, const json_t *root,
                              const struct ax_checkpoint *c,
                              struct ax_err *err)
{
    char prefix[512];
    size_t strip;

    AX_TRY(state_prefix(prefix, sizeof prefix, root, c, err));
    AX_TRY(strip_size(&strip, prefix, root, c, err));
    a->entry = calloc(c->n + 1, sizeof *a->entry);
    if (!a->entry)
        return ax_fail(err, AX_ENOMEM, "no memory for a state dictionary");
    for (size_t i = 0; i < c->n; i++) {
        const char *name = c->v[i].name;

        if (!begins(name, prefix))
            continue;
        name += strlen(prefix) + strip;
        a->entry[a->n_entries++] = (struct arch_entry){
            .name = name, .w = &c->v[i], .value = AX_NONE, .cast = AX_NONE};
    }
    if (c->n && !a->n_entries)
        return ax_fail(err, AX_EFORMAT,
                       "no tensor is in the state dictionary '%s'", prefix);
    arch_sort(a);
    return AX_OK;
}

/* Does a name match a pattern: the same, or what is before its '*'? */
static bool matches(const char *name, const char *pattern)
{
    size_t n = strlen(pattern);

    return n && pattern[n - 1] == '*' ? strncmp(name, pattern, n - 1) == 0
                                      : strcmp(name, pattern) == 0;
}

static ax_status ignore(struct arch *a, const json_t *root,
                        struct ax_err *err)
{
    const json_t *list = json_object_get(root, "ignore");

    if (list && (!json_is_array(list) || json_array_size(list) > IGNORE_MAX))
        return ax_fail(err, AX_EFORMAT,
                       "'ignore' is no list of at most %d names", IGNORE_MAX);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *s = json_string_value(json_array_get(list, i));
        bool any = false;

        if (!s)
            return ax_fail(err, AX_EFORMAT, "'ignore' has what is no text");
        for (size_t k = 0; k < a->n_entries; k++)
            if (matches(a->entry[k].name, s)) {
                if (a->entry[k].used)
                    return ax_fail(err, AX_EFORMAT,
                                   "'ignore' names tensor '%s', which a "
                                   "layer uses",
                                   a->entry[k].name);
                any = true;
            }
        if (!any)
            return ax_fail(err, AX_EFORMAT,
                           "'ignore' names '%.80s', and there is no such "
                           "tensor",
                           s);
    }
    for (size_t k = 0; k < a->n_entries; k++) {
        bool named = a->entry[k].used;

        for (size_t i = 0; i < json_array_size(list) && !named; i++)
            named = matches(a->entry[k].name,
                            json_string_value(json_array_get(list, i)));
        if (!named)
            return ax_fail(err, AX_EFORMAT,
                           "no layer uses tensor '%s': use it, or name it in "
                           "'ignore'",
                           a->entry[k].name);
    }
    return AX_OK;
}

/* ---- parameters ---- */

/* The shape of nested lists; those of one depth must be of one length. */
static ax_status nested(struct ax_tensor *t, const json_t *x, int depth,
                        bool first, size_t *at, struct ax_err *err)
{
    if (!json_is_array(x)) {
        double d = json_number_value(x);

        if (!json_is_number(x) || depth != t->rank)
            return ax_fail(err, AX_EFORMAT, "is no even table of numbers");
        if (t->data)
            ax_put_f64(AX_F32, t->data, *at, &d, 1);
        ++*at;
        return AX_OK;
    }
    if (first && depth == t->rank) {
        if (t->rank == AX_RANK_MAX)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "has more than %d dimensions", AX_RANK_MAX);
        t->dims[t->rank++] = (int64_t)json_array_size(x);
    }
    if (depth >= t->rank || json_array_size(x) != (size_t)t->dims[depth])
        return ax_fail(err, AX_EFORMAT, "is no even table of numbers");
    for (size_t i = 0; i < json_array_size(x); i++)
        AX_TRY(nested(t, json_array_get(x, i), depth + 1, first && i == 0, at,
                      err));
    return AX_OK;
}

static ax_status from_json(struct arch *a, uint32_t *v, const json_t *x,
                           const char *what, struct ax_err *err)
{
    struct ax_tensor shape = {0}, t;
    size_t n = 0;

    AX_TRY(nested(&shape, x, 0, true, &n, err));
    AX_TRY(ax_tensor_new(&t, AX_F32, shape.rank, shape.dims, err));
    n = 0;
    if (nested(&t, x, 0, false, &n, err) != AX_OK) {
        ax_tensor_free(&t);
        return err->code;
    }
    return arch_constant(a, v, a->name, what, &t, err);
}

/* The name of a parameter in the state dictionary. */
static ax_status key_of(const struct arch *a, char *to, size_t size,
                        const char *what, struct ax_err *err)
{
    const json_t *params = json_object_get(a->layer, "params"),
                 *prefix = json_object_get(a->layer, "prefix"),
                 *key = json_object_get(params, what);
    const char *base = prefix ? json_string_value(prefix) : a->prefix;
    int n;

    if ((params && !json_is_object(params)) || (key && !json_is_string(key)))
        return ax_fail(err, AX_EFORMAT, "'params' is no table of names");
    if (!base)
        return ax_fail(err, AX_EFORMAT, "'prefix' is no text");
    if (key)
        n = snprintf(to, size, "%s", json_string_value(key));
    else
        n = snprintf(to, size, "%s%s%s", base, *base ? "." : "", what);
    return n >= 0 && (size_t)n < size
               ? AX_OK
               : ax_fail(err, AX_EFORMAT, "the name of a tensor is too long");
}

ax_status arch_param(struct arch *a, uint32_t *v, const struct ax_tensor **t,
                     const char *what, bool needed, struct ax_err *err)
{
    const json_t *here = json_object_get(a->layer, what);
    struct arch_entry *e = NULL;
    char key[1024];

    *v = AX_NONE;
    *t = NULL;
    if (json_is_array(here)) {
        if (from_json(a, v, here, what, err) != AX_OK)
            return ax_fail_in(err, "'%s'", what);
    } else {
        AX_TRY(key_of(a, key, sizeof key, what, err));
        e = arch_find(a, key);
        if (!e)
            return needed ? ax_fail(err, AX_EFORMAT,
                                    "the state dictionary has no tensor '%s'",
                                    key)
                          : AX_OK;
        /* A counter is of no use to the graph. */
        if (strcmp(what, "num_batches_tracked") == 0) {
            e->used = true;
            return AX_OK;
        }
        AX_TRY(arch_take(a, v, e, err));
    }
    if (a->n_held == ARCH_HELD)
        return ax_fail(err, AX_EBUG, "a layer with too many parameters");
    a->held[a->n_held] = a->m->tensors[a->g->values[*v].tensor];
    *t = &a->held[a->n_held++];
    return AX_OK;
}

/* ---- names ---- */

/* Where a name is in the table, or the free place where it belongs. */
static struct arch_name *slot(const struct arch *a, const char *name)
{
    size_t h = 14695981039346656037u;

    for (const char *p = name; *p; p++)
        h = (h ^ (unsigned char)*p) * 1099511628211u;
    h %= a->n_names;
    while (a->names[h].name && strcmp(a->names[h].name, name) != 0)
        h = (h + 1) % a->n_names;
    return &a->names[h];
}

static ax_status name_value(struct arch *a, const char *name, uint32_t v,
                            struct ax_err *err)
{
    struct arch_name *at = slot(a, name);

    if (at->name)
        return ax_fail(err, AX_EFORMAT, "two layers are called '%.80s'",
                       name);
    *at = (struct arch_name){name, v};
    return AX_OK;
}

static ax_status value_of(const struct arch *a, uint32_t *v,
                          const json_t *name, struct ax_err *err)
{
    const char *s = json_string_value(name);
    const struct arch_name *at;

    if (!s)
        return ax_fail(err, AX_EFORMAT, "a name is no text");
    at = slot(a, s);
    if (!at->name)
        return ax_fail(err, AX_EFORMAT,
                       "no layer or input before it is called '%.80s'", s);
    *v = at->value;
    return AX_OK;
}

/* ---- inputs and outputs ---- */

static ax_status read_shape(struct ax_value *v, const json_t *shape,
                            struct ax_err *err)
{
    if (!json_is_array(shape) || json_array_size(shape) > AX_RANK_MAX)
        return ax_fail(err, AX_EFORMAT, "an input has no shape");
    v->rank = 0;
    for (size_t i = 0; i < json_array_size(shape); i++) {
        const json_t *dim = json_array_get(shape, i);
        json_int_t n = json_integer_value(dim);

        if (json_is_string(dim) &&
            strcmp(json_string_value(dim), "TODO") == 0)
            return ax_fail(err, AX_EFORMAT,
                           "a dimension of an input is still TODO");
        if (json_is_string(dim)) {
            v->dim_names[i] = strdup(json_string_value(dim));
            if (!v->dim_names[i])
                return ax_fail(err, AX_ENOMEM, "no memory for a name");
        } else if (!json_is_null(dim) &&
                   (!json_is_integer(dim) || n < 1 || n > INT32_MAX)) {
            return ax_fail(err, AX_EFORMAT,
                           "the shape of an input wants numbers, names and "
                           "null");
        }
        v->dims[i] = json_is_integer(dim) ? n : -1;
        v->rank++;
    }
    return AX_OK;
}

static ax_status read_input(struct arch *a, const json_t *in,
                            struct ax_err *err)
{
    const json_t *name = json_object_get(in, "name"),
                 *type = json_object_get(in, "dtype");
    static const char usual[] = "input";
    const char *s = name ? json_string_value(name) : usual;
    struct ax_value *v;
    uint32_t value;

    if (!s || !*s)
        return ax_fail(err, AX_EFORMAT, "the name of an input is no text");
    AX_TRY(arch_value(a, &value, s, "", err));
    v = &a->g->values[value];
    v->dtype = a->dtype;
    if (type) {
        v->dtype = json_is_string(type)
                       ? ax_dtype_by_name(json_string_value(type))
                       : AX_DTYPE_NONE;
        if (!v->dtype)
            return ax_fail(err, AX_EFORMAT, "'dtype' is no type");
    }
    AX_TRY(read_shape(v, json_object_get(in, "shape"), err));
    AX_TRY(arch_push(&a->g->inputs, &a->g->n_inputs, value, err));
    a->last = value;
    return name_value(a, s, value, err);
}

/* Where the description says nothing, the first layer does: a matrix with as
 * many columns as it has weights. */
static ax_status default_input(struct arch *a, const json_t *layers,
                               struct ax_err *err)
{
    const json_t *first = json_array_get(layers, 0);
    const char *type = json_string_value(json_object_get(first, "type"));
    const struct ax_tensor *w = NULL;
    json_t *in;
    uint32_t v;
    ax_status st;

    if (!type)
        type = json_string_value(json_object_get(first, "module"));
    if (!type || strcmp(type, "Linear") != 0)
        return ax_fail(err, AX_EFORMAT,
                       "'input' is missing: only where the first layer is a "
                       "Linear its shape is known");
    if (json_is_integer(json_object_get(first, "in_features"))) {
        in = json_pack("{s:[s, O]}", "shape", "N",
                       json_object_get(first, "in_features"));
    } else {
        a->layer = first;
        a->name = json_string_value(json_object_get(first, "name"));
        a->name = a->prefix = a->name ? a->name : "0";
        AX_TRY(arch_param(a, &v, &w, "weight", true, err));
        in = json_pack("{s:[s, I]}", "shape", "N",
                       (json_int_t)(w->rank == 2 ? w->dims[1] : 0));
    }
    if (!in)
        return ax_fail(err, AX_ENOMEM, "no memory for an input");
    st = read_input(a, in, err);
    json_decref(in);
    return st;
}

static ax_status read_inputs(struct arch *a, const json_t *root,
                             const json_t *layers, struct ax_err *err)
{
    const json_t *one = json_object_get(root, "input"),
                 *all = json_object_get(root, "inputs");

    if (one && all)
        return ax_fail(err, AX_EFORMAT, "has both 'input' and 'inputs'");
    if (one)
        return read_input(a, one, err);
    if (!all)
        return default_input(a, layers, err);
    if (!json_is_array(all) || !json_array_size(all) ||
        json_array_size(all) > 256)
        return ax_fail(err, AX_EFORMAT, "'inputs' is no list");
    for (size_t i = 0; i < json_array_size(all); i++)
        AX_TRY(read_input(a, json_array_get(all, i), err));
    return AX_OK;
}

/* An output has to be made by a node. */
static ax_status add_output(struct arch *a, uint32_t v, struct ax_err *err)
{
    bool made = false;

    for (uint32_t i = 0; i < a->g->n_outputs; i++)
        if (a->g->outputs[i] == v)
            return ax_fail(err, AX_EFORMAT, "an output is named twice");
    for (uint32_t i = 0; i < a->g->n_nodes && !made; i++)
        made = a->g->nodes[i].out[0] == v;
    if (!made) {
        a->name = "output";
        AX_TRY(arch_node1(a, &v, AX_OP_Identity, "", v, err));
    }
    return arch_push(&a->g->outputs, &a->g->n_outputs, v, err);
}

static ax_status read_outputs(struct arch *a, const json_t *root,
                              struct ax_err *err)
{
    const json_t *all = json_object_get(root, "outputs");

    if (!all)
        return add_output(a, a->last, err);
    if (!json_is_array(all) || !json_array_size(all) ||
        json_array_size(all) > 256)
        return ax_fail(err, AX_EFORMAT, "'outputs' is no list");
    for (size_t i = 0; i < json_array_size(all); i++) {
        uint32_t v = AX_NONE;

        if (value_of(a, &v, json_array_get(all, i), err) != AX_OK)
            return ax_fail_in(err, "'outputs'");
        AX_TRY(add_output(a, v, err));
    }
    return AX_OK;
}

/* ---- layers ---- */

static ax_status layer_inputs(struct arch *a, struct ax_err *err)
{
    const json_t *all = json_object_get(a->layer, "inputs");

    a->n_in = 0;
    if (!all)
        return arch_push(&a->in, &a->n_in, a->last, err);
    if (!json_is_array(all) || !json_array_size(all) ||
        json_array_size(all) > 64)
        return ax_fail(err, AX_EFORMAT, "'inputs' is no list");
    for (size_t i = 0; i < json_array_size(all); i++) {
        uint32_t v = AX_NONE;

        AX_TRY(value_of(a, &v, json_array_get(all, i), err));
        AX_TRY(arch_push(&a->in, &a->n_in, v, err));
    }
    return AX_OK;
}

static ax_status read_layer(struct arch *a, const json_t *layer, size_t i,
                            struct ax_err *err)
{
    const json_t *name = json_object_get(layer, "name");
    const char *type = json_string_value(json_object_get(layer, "type"));
    uint32_t out = AX_NONE;

    a->layer = layer;
    a->n_held = 0;
    /* As in a Sequential, its number is its name; values have its type in
     * front, so that they do not meet with layers that are called so. */
    snprintf(a->prefix_buf, sizeof a->prefix_buf, "%zu", i);
    snprintf(a->name_buf, sizeof a->name_buf, "%.40s:%zu",
             type ? type : "layer", i);
    a->prefix = name ? json_string_value(name) : a->prefix_buf;
    a->name = name ? a->prefix : a->name_buf;
    if (!json_is_object(layer) || !a->name || !*a->name)
        return ax_fail(err, AX_EFORMAT,
                       "layer %zu is no object, or its name is no text", i);
    if (layer_inputs(a, err) != AX_OK || arch_layer(a, &out, err) != AX_OK)
        return ax_fail_in(err, "layer %zu ('%.80s')", i, a->name);
    a->last = out;
    return name ? name_value(a, a->name, out, err) : AX_OK;
}

/* The type of inputs and of the numbers that layers bring: that of the first
 * weight with a fraction, float32 where all are in the description. */
static ax_dtype real_type(const struct arch *a)
{
    const struct ax_weight *first = NULL;

    for (size_t i = 0; i < a->n_entries; i++) {
        const struct ax_weight *w = a->entry[i].w;

        if (w->type && ax_dtype_class(w->type) == AX_CLASS_REAL &&
            (!first || w < first)) /* they stand in one array */
            first = w;
    }
    return first ? first->type : AX_F32;
}

static ax_status check_root(const json_t *root, struct ax_err *err)
{
    static const char *const keys[] = {
        "format", "name",   "state",   "strip",   "ignore", "input",
        "inputs", "layers", "modules", "outputs", "comment"};
    const char *format = json_string_value(json_object_get(root, "format"));
    json_t *all = NULL, *value;
    const char *key;

    if (!format || (strcmp(format, "axiom.pytorch.sequential.v1") != 0 &&
                    strcmp(format, "ax.layers.v1") != 0))
        return ax_fail(err, AX_EFORMAT,
                       "its 'format' is neither ax.layers.v1 nor "
                       "axiom.pytorch.sequential.v1");
    memcpy(&all, &root, sizeof all); /* iterators are not const */
    json_object_foreach(all, key, value)
    {
        bool known = false;

        for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
            known |= strcmp(keys[i], key) == 0;
        if (!known)
            return ax_fail(err, AX_EFORMAT, "'%.40s' is no key that we know",
                           key);
    }
    return AX_OK;
}

static ax_status build(struct arch *a, const json_t *root,
                       const struct ax_checkpoint *c, struct ax_err *err)
{
    const json_t *layers = json_object_get(root, "layers");
    const char *name = json_string_value(json_object_get(root, "name"));

    AX_TRY(check_root(root, err));
    if (!layers)
        layers = json_object_get(root, "modules");
    if (!json_is_array(layers) || !json_array_size(layers) ||
        json_array_size(layers) > LAYERS_MAX)
        return ax_fail(err, AX_EFORMAT, "'layers' is no list of layers");
    AX_TRY(arch_begin(a, name ? name : "model", err));
    a->n_names = 2 * (json_array_size(layers) + 257);
    a->names = calloc(a->n_names, sizeof *a->names);
    if (!a->names)
        return ax_fail(err, AX_ENOMEM, "no memory for a graph");
    AX_TRY(find_entries(a, root, c, err));
    a->dtype = real_type(a);
    AX_TRY(read_inputs(a, root, layers, err));
    for (size_t i = 0; i < json_array_size(layers); i++)
        AX_TRY(read_layer(a, json_array_get(layers, i), i, err));
    AX_TRY(read_outputs(a, root, err));
    AX_TRY(ignore(a, root, err));
    return arch_finish(a, err);
}

ax_status ax_checkpoint_build(struct ax_model **out,
                              const struct ax_checkpoint *c,
                              const unsigned char *layers, size_t n,
                              struct ax_err *err)
{
    struct arch a = {0};
    json_error_t why;
    json_t *root = json_loadb((const char *)layers, n, JSON_REJECT_DUPLICATES,
                              &why);
    ax_status st;

    *out = NULL;
    if (!root)
        return ax_fail(err, AX_EFORMAT, "line %d: %s", why.line, why.text);
    st = build(&a, root, c, err);
    if (st == AX_OK)
        *out = a.m;
    else
        ax_model_free(a.m);
    free(a.entry);
    free(a.names);
    free(a.in);
    json_decref(root);
    return st;
}
