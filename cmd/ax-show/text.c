/* Everything about a container, for people. Names come from the file: they
 * go through cmd_text, so that they cannot steer a terminal. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/run.h"
#include "show.h"

static void text(const char *s)
{
    cmd_text(stdout, s);
}

static void shape(ax_dtype dtype, int rank, const int64_t *dims,
                  char *const *names)
{
    const char *type = ax_dtype_name(dtype);

    printf("%s ", type ? type : "?");
    if (rank < 0) {
        printf("?");
        return;
    }
    putchar('[');
    for (int i = 0; i < rank; i++) {
        if (i)
            putchar(',');
        if (dims[i] >= 0)
            printf("%" PRId64, dims[i]);
        else if (names && names[i])
            text(names[i]);
        else
            putchar('?');
    }
    putchar(']');
}

static void ends(const char *what, const struct ax_graph *g,
                 const uint32_t *index, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct ax_value *v = &g->values[index[i]];

        printf("%-12s", i ? "" : what);
        text(v->name);
        putchar(' ');
        shape(v->dtype, v->rank, v->dims, v->dim_names);
        putchar('\n');
    }
}

static void bytes(uint64_t n)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double x = (double)n;
    int u = 0;

    for (; x >= 1024 && u < 4; u++)
        x /= 1024;
    printf(u ? "%.1f %s" : "%.0f %s", x, units[u]);
}

static void summary(const struct ax_model *m)
{
    uint64_t elements = 0, size = 0;
    char hex[65];

    for (uint32_t i = 0; i < m->n_tensors; i++) {
        elements += ax_tensor_count(&m->tensors[i]);
        size += m->tensors[i].nbytes;
    }
    ax_hex32(hex, m->identity);
    printf("%-12s", "graph");
    text(m->graph->name);
    printf("\n%-12s%s\n", "identity", hex);
    printf("%-12s%" PRIu64 " in %" PRIu32 " tensor%s, ", "parameters",
           elements, m->n_tensors, m->n_tensors == 1 ? "" : "s");
    bytes(size);
    putchar('\n');
    ends("inputs", m->graph, m->graph->inputs, m->graph->n_inputs);
    ends("outputs", m->graph, m->graph->outputs, m->graph->n_outputs);
}

static void value_names(const struct ax_graph *g, const uint32_t *index,
                        uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (i)
            printf(", ");
        text(index[i] == AX_NONE ? "-" : g->values[index[i]].name);
    }
}

static void attr(const struct ax_attr *a)
{
    putchar(' ');
    text(a->name);
    putchar('=');
    switch (a->kind) {
    case AX_ATTR_INT:
        printf("%" PRId64, a->i);
        break;
    case AX_ATTR_FLOAT:
        printf("%.9g", (double)a->f);
        break;
    case AX_ATTR_STRING:
        text(a->s);
        break;
    case AX_ATTR_INTS:
        for (size_t i = 0; i < a->n; i++)
            printf("%s%" PRId64, i ? "," : "", a->ints[i]);
        break;
    case AX_ATTR_FLOATS:
        for (size_t i = 0; i < a->n; i++)
            printf("%s%.9g", i ? "," : "", (double)a->floats[i]);
        break;
    case AX_ATTR_STRINGS:
        for (size_t i = 0; i < a->n; i++) {
            if (i)
                putchar(',');
            text(a->strings[i]);
        }
        break;
    case AX_ATTR_GRAPH:
        printf("graph of %" PRIu32 " nodes", a->graph->n_nodes);
        break;
    }
}

static void nodes(const struct ax_graph *g)
{
    if (g->n_nodes)
        printf("\nnodes\n");
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const struct ax_node *n = &g->nodes[i];

        printf("%5" PRIu32 "  %s", i, ax_op_name(n->op));
        if (n->name[0]) {
            putchar(' ');
            text(n->name);
        }
        printf(": ");
        value_names(g, n->in, n->n_in);
        printf(" -> ");
        value_names(g, n->out, n->n_out);
        for (uint32_t k = 0; k < n->n_attrs; k++)
            attr(&n->attrs[k]);
        for (uint32_t k = 0; k < n->n_out; k++) {
            const struct ax_value *v;

            if (n->out[k] == AX_NONE)
                continue;
            v = &g->values[n->out[k]];
            printf("%s", k ? ", " : "  ");
            shape(v->dtype, v->rank, v->dims, v->dim_names);
        }
        putchar('\n');
    }
}

static void tensors(const struct ax_model *m, const char **names, bool stats)
{
    if (m->n_tensors)
        printf("\ntensors\n");
    for (uint32_t i = 0; i < m->n_tensors; i++) {
        const struct ax_tensor *t = &m->tensors[i];
        struct stats s;

        printf("%5" PRIu32 "  ", i);
        text(names[i] ? names[i] : "-");
        putchar(' ');
        shape(t->dtype, t->rank, t->dims, NULL);
        printf(", ");
        bytes(t->nbytes);
        if (stats) {
            stats_of(&s, t);
            if (s.finite)
                printf(", min %.9g, max %.9g, mean %.9g", s.min, s.max,
                       s.mean);
            if (s.other)
                printf(", %zu not finite", s.other);
        }
        putchar('\n');
    }
}

static void meta(const struct ax_model *m)
{
    if (m->n_meta)
        printf("\nmetadata\n");
    for (uint32_t i = 0; i < m->n_meta; i++) {
        printf("  ");
        text(m->meta[i].key);
        printf(": ");
        text(m->meta[i].value);
        putchar('\n');
    }
}

/* The name of the property with this digest, if it is attached. */
static const char *property_name(const struct ax_model *m,
                                 const struct claim *claims,
                                 const char *digest)
{
    for (uint32_t i = 0; i < m->n_attachments; i++)
        if (strcmp(m->attachments[i].type, "property") == 0 &&
            strcmp(claims[i].subject, digest) == 0)
            return m->attachments[i].name;
    return NULL;
}

static void attachment(const struct ax_model *m, const struct claim *claims,
                       uint32_t i)
{
    const struct ax_attachment *a = &m->attachments[i];
    const struct claim *c = &claims[i];
    char hex[65];

    ax_hex32(hex, a->digest);
    printf("%5" PRIu32 "  %s", i, a->type);
    if (a->name[0]) {
        putchar(' ');
        text(a->name);
    }
    printf(", ");
    bytes(a->n);
    printf("\n       digest %s\n       %s\n", hex, c->what);
    if (c->subject[0] && c->check) {
        const char *name = property_name(m, claims, c->subject);

        printf("       property ");
        text(name ? name : "that is not attached");
        printf(", SHA-256 %s\n", c->subject);
    } else if (c->subject[0]) {
        printf("       SHA-256 of the file %s\n", c->subject);
    }
    if (c->check)
        printf("       not checked here: run %s\n", c->check);
}

static void record(const json_t *o)
{
    const json_t *list = json_object_get(o, "arguments");
    const char *command = json_string_value(json_object_get(o, "command"));
    const char *version = json_string_value(json_object_get(o, "version"));
    const char *time = json_string_value(json_object_get(o, "time"));
    const json_t *files = json_object_get(o, "files");

    text(command ? command : "?");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *s = json_string_value(json_array_get(list, i));

        putchar(' ');
        text(s ? s : "?");
    }
    printf("  (version ");
    text(version ? version : "?");
    if (time) {
        printf(", ");
        text(time);
    }
    printf(")\n");
    for (size_t i = 0; i < json_array_size(files); i++) {
        const json_t *f = json_array_get(files, i);
        const char *name = json_string_value(json_object_get(f, "name"));
        const char *sha = json_string_value(json_object_get(f, "sha256"));

        printf("       read ");
        text(name ? name : "?");
        printf(", SHA-256 ");
        text(sha ? sha : "?");
        putchar('\n');
    }
}

/* Which model a record speaks of, if it is another than this one. */
static void other_model(const json_t *o, const char *key, const char *words,
                        const char *identity)
{
    const char *hex = json_string_value(json_object_get(o, key));

    if (hex && strcmp(hex, identity) != 0) {
        printf("       %s model ", words);
        text(hex);
        putchar('\n');
    }
}

static void provenance(const struct ax_model *m)
{
    char hex[65];
    int n = 0;

    ax_hex32(hex, m->identity);
    for (uint32_t i = 0; i < m->n_attachments; i++) {
        json_t *o = claim_record(&m->attachments[i]);

        if (!o)
            continue;
        if (!n++)
            printf("\nprovenance, as the commands say it\n");
        printf("%5d  ", n);
        record(o);
        other_model(o, "model_in", "from", hex);
        other_model(o, "model_out", "made", hex);
        json_decref(o);
    }
}

ax_status show_text(const struct ax_model *m, bool stats, struct ax_err *err)
{
    const char **names = NULL;
    struct claim *claims = NULL;
    ax_status st = tensor_names(&names, m, err);

    if (st == AX_OK)
        st = claims_of(&claims, m, err);
    if (st == AX_OK) {
        summary(m);
        nodes(m->graph);
        tensors(m, names, stats);
        meta(m);
        if (m->n_attachments)
            printf("\nattachments\n");
        for (uint32_t i = 0; i < m->n_attachments; i++)
            attachment(m, claims, i);
        provenance(m);
    }
    free(names);
    free(claims);
    return st;
}
