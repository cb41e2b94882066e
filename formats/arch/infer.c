/* A draft of a description: the layers that the names and shapes of tensors
 * tell, in the order of the file. What they do not tell says "TODO", which
 * no reader accepts. */
#include "formats/arch/arch.h"

#include <stdlib.h>
#include <string.h>

/* What is known of the tensors of one module. */
struct group {
    const char *name; /* of the module, N bytes */
    size_t n;
    const struct ax_weight *weight, *bias;
    bool running, other;
};

/* Tensors of one module follow each other. */
static void take(struct group *g, const struct ax_weight *w, const char *what)
{
    if (strcmp(what, "weight") == 0)
        g->weight = w;
    else if (strcmp(what, "bias") == 0)
        g->bias = w;
    else if (strcmp(what, "running_mean") == 0 ||
             strcmp(what, "running_var") == 0 ||
             strcmp(what, "num_batches_tracked") == 0)
        g->running = true;
    else
        g->other = true;
}

static json_t *todo(void)
{
    return json_string("TODO");
}

static json_t *ints(const int64_t *v, int n)
{
    json_t *list = json_array();

    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_integer(v[i]));
    return list;
}

static void describe_conv(json_t *o, const struct ax_weight *w)
{
    static const char *const types[] = {"Conv1d", "Conv2d", "Conv3d"};

    json_object_set_new(o, "type", json_string(types[w->rank - 3]));
    json_object_set_new(o, "kernel_size", ints(w->dims + 2, w->rank - 2));
    json_object_set_new(o, "stride", todo());
    json_object_set_new(o, "padding", todo());
    json_object_set_new(o, "dilation", todo());
    json_object_set_new(o, "groups", todo());
}

static json_t *describe(const struct group *g)
{
    const struct ax_weight *w = g->weight;
    json_t *o = json_object();

    json_object_set_new(o, "name", json_stringn(g->name, g->n));
    if (!w || g->other || w->rank < 1 || w->rank > 5) {
        json_object_set_new(o, "type", todo());
    } else if (g->running) {
        json_object_set_new(o, "type", json_string("BatchNorm"));
        json_object_set_new(o, "num_features", json_integer(w->dims[0]));
        json_object_set_new(o, "eps", todo());
    } else if (w->rank == 1) {
        json_object_set_new(o, "type", json_string("LayerNorm"));
        json_object_set_new(o, "normalized_shape", ints(w->dims, 1));
        json_object_set_new(o, "eps", todo());
    } else if (w->rank == 2) {
        json_object_set_new(o, "type", json_string("Linear"));
        json_object_set_new(o, "in_features", json_integer(w->dims[1]));
        json_object_set_new(o, "out_features", json_integer(w->dims[0]));
    } else {
        describe_conv(o, w);
    }
    if (w && w->rank > 1 && !g->other)
        json_object_set_new(o, "bias", json_boolean(g->bias != NULL));
    return o;
}

static void add_group(json_t *layers, const struct group *g)
{
    json_t *between = json_object();

    json_array_append_new(layers, describe(g));
    json_object_set_new(between, "type", todo());
    json_object_set_new(between, "comment",
                        json_string("an activation, pooling, nothing?"));
    json_array_append_new(layers, between);
}

/* The dictionary that the first tensor is in, with its slash. */
static size_t state_of(const struct ax_checkpoint *c)
{
    const char *name = c->n ? c->v[0].name : "", *slash = strrchr(name, '/'),
               *colon = strrchr(name, ':');
    const char *end = slash > colon || !colon ? slash : colon;

    return end ? (size_t)(end - name) + 1 : 0;
}

/* What goes into the first layer. */
static json_t *input_of(const json_t *layers)
{
    const json_t *in = json_object_get(json_array_get(layers, 0),
                                       "in_features");

    return in ? json_pack("{s:[s, I]}", "shape", "N", json_integer_value(in))
              : json_pack("{s:[s, s, s, s]}", "shape", "N", "TODO", "TODO",
                          "TODO");
}

ax_status ax_checkpoint_infer(FILE *f, const struct ax_checkpoint *c,
                              struct ax_err *err)
{
    size_t skip = state_of(c);
    json_t *root = json_object(), *layers = json_array();
    struct group g = {0};
    ax_status st = AX_OK;

    json_object_set_new(root, "format", json_string("ax.layers.v1"));
    if (skip) /* the slash is implied, a colon is not */
        json_object_set_new(
            root, "state",
            json_stringn(c->v[0].name,
                         c->v[0].name[skip - 1] == '/' ? skip - 1 : skip));
    for (size_t i = 0; i < c->n; i++) {
        const char *name = c->v[i].name, *dot = strrchr(name, '.');
        size_t n;

        if (strncmp(name, c->v[0].name, skip) != 0)
            continue;
        name += skip;
        n = dot && dot > name ? (size_t)(dot - name) : 0;
        if (g.name && (n != g.n || memcmp(name, g.name, n) != 0)) {
            add_group(layers, &g);
            g = (struct group){0};
        }
        g.name = name;
        g.n = n;
        take(&g, &c->v[i], n ? dot + 1 : name);
    }
    if (g.name)
        add_group(layers, &g);
    /* After the last module nothing has to follow. */
    if (json_array_size(layers))
        json_array_remove(layers, json_array_size(layers) - 1);
    json_object_set_new(root, "input", input_of(layers));
    json_object_set_new(root, "layers", layers);
    if (!root || json_dumpf(root, f, JSON_INDENT(2)) || putc('\n', f) == EOF)
        st = ferror(f) ? ax_fail(err, AX_EIO, "cannot write a description")
                       : ax_fail(err, AX_ENOMEM, "no memory for JSON");
    json_decref(root);
    return st;
}
