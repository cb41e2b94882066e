/* Everything about a container, for programs: schema ax.show/1. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "show.h"

/* jansson takes NULL for "no memory" everywhere and hands it on, and a list
 * or object that lacks something is dropped as a whole. */
static json_t *append(json_t *list, json_t *item)
{
    if (list && json_array_append_new(list, item)) {
        json_decref(list);
        return NULL;
    }
    if (!list)
        json_decref(item);
    return list;
}

static json_t *set(json_t *obj, const char *key, json_t *item)
{
    if (obj && json_object_set_new(obj, key, item)) {
        json_decref(obj);
        return NULL;
    }
    if (!obj)
        json_decref(item);
    return obj;
}

/* A number, or what JSON has none for: "nan", "inf", "-inf". */
static json_t *number(double x)
{
    if (isfinite(x))
        return json_real(x);
    return json_string(isnan(x) ? "nan" : x > 0 ? "inf" : "-inf");
}

/* A free dimension is its name, or null. */
static json_t *shape(int rank, const int64_t *dims, char *const *names)
{
    json_t *list = rank < 0 ? json_null() : json_array();

    for (int i = 0; i < rank; i++)
        list = append(list, dims[i] >= 0        ? json_integer(dims[i])
                            : names && names[i] ? cmd_json_text(names[i])
                                                : json_null());
    return list;
}

static json_t *dtype(ax_dtype t)
{
    const char *name = ax_dtype_name(t);

    return name ? json_string(name) : json_null();
}

static json_t *value(const struct ax_value *v)
{
    return json_pack("{s:o, s:o, s:o}", "name", cmd_json_text(v->name),
                     "dtype", dtype(v->dtype), "shape",
                     shape(v->rank, v->dims, v->dim_names));
}

static json_t *values(const struct ax_graph *g, const uint32_t *index,
                      uint32_t n)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < n; i++)
        list = append(list, value(&g->values[index[i]]));
    return list;
}

static json_t *names(const struct ax_graph *g, const uint32_t *index,
                     uint32_t n)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < n; i++)
        list = append(list, index[i] == AX_NONE
                                ? json_null()
                                : cmd_json_text(g->values[index[i]].name));
    return list;
}

static json_t *graph(const struct ax_graph *g);

static json_t *attr(const struct ax_attr *a)
{
    json_t *list;

    switch (a->kind) {
    case AX_ATTR_INT:
        return json_integer(a->i);
    case AX_ATTR_FLOAT:
        return number((double)a->f);
    case AX_ATTR_STRING:
        return cmd_json_text(a->s);
    case AX_ATTR_GRAPH:
        return graph(a->graph);
    default:
        break;
    }
    list = json_array();
    for (size_t i = 0; i < a->n; i++)
        list = append(list, a->kind == AX_ATTR_INTS ? json_integer(a->ints[i])
                            : a->kind == AX_ATTR_FLOATS
                                ? number((double)a->floats[i])
                                : cmd_json_text(a->strings[i]));
    return list;
}

static json_t *node(const struct ax_graph *g, const struct ax_node *n)
{
    json_t *attrs = json_object();

    for (uint32_t i = 0; i < n->n_attrs; i++)
        attrs = set(attrs, n->attrs[i].name, attr(&n->attrs[i]));
    return json_pack("{s:s, s:o, s:o, s:o, s:o}", "op", ax_op_name(n->op),
                     "name", cmd_json_text(n->name), "inputs",
                     names(g, n->in, n->n_in), "outputs",
                     names(g, n->out, n->n_out), "attributes", attrs);
}

static json_t *graph(const struct ax_graph *g)
{
    json_t *nodes = json_array(), *all = json_array();

    for (uint32_t i = 0; i < g->n_nodes; i++)
        nodes = append(nodes, node(g, &g->nodes[i]));
    for (uint32_t i = 0; i < g->n_values; i++)
        if (g->values[i].tensor == AX_NONE)
            all = append(all, value(&g->values[i]));
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o}", "name", cmd_json_text(g->name), "inputs",
        values(g, g->inputs, g->n_inputs), "outputs",
        values(g, g->outputs, g->n_outputs), "values", all, "nodes", nodes);
}

static json_t *tensor(const struct ax_tensor *t, const char *name, bool stats)
{
    json_t *o = json_pack("{s:o, s:o, s:o, s:I}", "name",
                          name ? cmd_json_text(name) : json_null(), "dtype",
                          dtype(t->dtype), "shape",
                          shape(t->rank, t->dims, NULL), "bytes",
                          (json_int_t)t->nbytes);
    unsigned char sha256[32];
    struct stats s;
    char hex[65];

    if (!stats)
        return o;
    ax_sha256(sha256, t->data, t->nbytes);
    ax_hex32(hex, sha256);
    o = set(o, "sha256", json_string(hex));
    stats_of(&s, t);
    o = set(o, "not_finite", json_integer((json_int_t)s.other));
    o = set(o, "min", s.finite ? number(s.min) : json_null());
    o = set(o, "max", s.finite ? number(s.max) : json_null());
    return set(o, "mean", s.finite ? number(s.mean) : json_null());
}

static json_t *tensors(const struct ax_model *m, const char **tensor_name,
                       bool stats)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < m->n_tensors; i++)
        list = append(list, tensor(&m->tensors[i], tensor_name[i], stats));
    return list;
}

static json_t *meta(const struct ax_model *m)
{
    json_t *o = json_object();

    for (uint32_t i = 0; i < m->n_meta; i++)
        o = set(o, m->meta[i].key, cmd_json_text(m->meta[i].value));
    return o;
}

static json_t *attachments(const struct ax_model *m,
                           const struct claim *claims)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < m->n_attachments; i++) {
        const struct ax_attachment *a = &m->attachments[i];
        const struct claim *c = &claims[i];
        char hex[65];
        json_t *o;

        ax_hex32(hex, a->digest);
        o = json_pack("{s:s, s:o, s:I, s:s, s:s, s:b}", "type", a->type,
                      "name", cmd_json_text(a->name), "bytes",
                      (json_int_t)a->n, "digest", hex, "what", c->what,
                      "checked", 0);
        if (c->subject[0])
            o = set(o, "property", json_string(c->subject));
        if (c->check)
            o = set(o, "check_with", json_string(c->check));
        list = append(list, o);
    }
    return list;
}

static json_t *provenance(const struct ax_model *m)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < m->n_attachments; i++) {
        json_t *o = claim_record(&m->attachments[i]);

        if (o)
            list = append(list, o);
    }
    return list;
}

ax_status show_json(const struct ax_model *m, bool stats, struct ax_err *err)
{
    const char **tensor_name = NULL;
    struct claim *claims = NULL;
    ax_status st = tensor_names(&tensor_name, m, err);
    char hex[65];

    if (st == AX_OK)
        st = claims_of(&claims, m, err);
    ax_hex32(hex, m->identity);
    if (st == AX_OK)
        st = cmd_json("ax.show/1",
                      json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "identity",
                                hex, "graph", graph(m->graph), "tensors",
                                tensors(m, tensor_name, stats), "metadata",
                                meta(m), "attachments",
                                attachments(m, claims), "provenance",
                                provenance(m)),
                      err);
    free(tensor_name);
    free(claims);
    return st;
}
