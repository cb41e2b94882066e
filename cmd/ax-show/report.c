/* ax-show --diff: what was found, for people and for programs (schema
 * ax.show.diff/1). */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "common/run.h"
#include "diff.h"

static const char *const states[TWIN_STATES] = {
    [TWIN_SAME] = "same",     [TWIN_ROUNDED] = "rounded",
    [TWIN_VALUES] = "values", [TWIN_TYPE] = "type",
    [TWIN_SHAPE] = "shape",
};

/* How two models differ, in one word and in one sentence. */
struct verdict {
    const char *word, *sentence;
    bool same; /* the same function */
};

static struct verdict verdict_of(const struct diff *d,
                                 const struct ax_model *a,
                                 const struct ax_model *b)
{
    size_t other = d->n_twins - d->of[TWIN_SAME];

    if (d->n_changes)
        return (struct verdict){"graph", "the graphs differ", false};
    if (other && other == d->of[TWIN_ROUNDED])
        return (struct verdict){
            "types", "the models differ in the types of tensors alone",
            false};
    if (other)
        return (struct verdict){
            "tensors", "the models differ in their tensors alone", false};
    if (memcmp(a->identity, b->identity, sizeof a->identity) == 0)
        return (struct verdict){"none", "the models are the same", true};
    return (struct verdict){
        "names", "the models differ in names and metadata alone", true};
}

/* ---- metadata and attachments ---- */

static const char *meta_of(const struct ax_model *m, const char *key)
{
    for (uint32_t i = 0; i < m->n_meta; i++)
        if (strcmp(m->meta[i].key, key) == 0)
            return m->meta[i].value;
    return NULL;
}

static bool has_attachment(const struct ax_model *m,
                           const struct ax_attachment *a)
{
    for (uint32_t i = 0; i < m->n_attachments; i++)
        if (strcmp(m->attachments[i].type, a->type) == 0 &&
            memcmp(m->attachments[i].digest, a->digest, 32) == 0)
            return true;
    return false;
}

/* ---- text ---- */

static void plural(size_t n, const char *what)
{
    printf("%zu %s%s", n, what, n == 1 ? "" : "s");
}

static void graphs(const struct diff *d)
{
    printf("%-12s", "graph");
    if (!d->n_changes)
        printf("the same: ");
    plural(d->nodes[0], "node");
    if (d->nodes[0] != d->nodes[1])
        printf(", %zu there", d->nodes[1]);
    if (d->casts[0] != d->casts[1])
        printf(", among these %zu and %zu casts to a wider type", d->casts[0],
               d->casts[1]);
    putchar('\n');
    for (size_t i = 0; i < d->n_changes; i++) {
        printf("%-12s", "");
        cmd_text(stdout, d->change[i]);
        putchar('\n');
    }
    if (d->more)
        printf("%-12sand %zu more\n", "", d->more);
}

static void twin(const struct twin *t)
{
    char one[160], two[160];
    const struct ax_tensor *a = t->t[0], *b = t->t[1];

    printf("%-12s", "");
    cmd_text(stdout, t->name[0]);
    if (strcmp(t->name[0], t->name[1]) != 0) {
        printf(", there ");
        cmd_text(stdout, t->name[1]);
    }
    printf(": %s",
           ax_shape_text(one, sizeof one, a->dtype, a->rank, a->dims));
    ax_shape_text(two, sizeof two, b->dtype, b->rank, b->dims);
    if (strcmp(one, two) != 0)
        printf(", %s there", two);
    if (t->state == TWIN_ROUNDED)
        printf(", the same numbers but for rounding");
    else if (t->state != TWIN_SHAPE)
        printf(", differ by at most %.3g", t->by.absolute);
    putchar('\n');
}

static void tensors(const struct diff *d)
{
    static const char *const words[TWIN_STATES] = {
        [TWIN_SAME] = "the same",
        [TWIN_ROUNDED] = "of another type",
        [TWIN_VALUES] = "with other numbers",
        [TWIN_TYPE] = "with other numbers of another type",
        [TWIN_SHAPE] = "of another shape",
    };

    printf("%-12s", "tensors");
    plural(d->n_twins, "pair");
    for (int i = 0; i < TWIN_STATES; i++)
        if (d->of[i])
            printf(", %zu %s", d->of[i], words[i]);
    putchar('\n');
    for (size_t i = 0; i < d->n_twins; i++)
        if (d->twin[i].state != TWIN_SAME)
            twin(&d->twin[i]);
}

static void one_meta(const struct ax_model *m, const struct ax_model *other,
                     const char *where, size_t *n)
{
    for (uint32_t i = 0; i < m->n_meta; i++) {
        const char *value = meta_of(other, m->meta[i].key);

        if (value && (strcmp(value, m->meta[i].value) == 0 || *where == 's'))
            continue;
        printf("%-12s", (*n)++ ? "" : "metadata");
        cmd_text(stdout, m->meta[i].key);
        if (value)
            printf(" has another value\n");
        else
            printf(" is in the %s alone\n", where);
    }
}

static void one_attached(const struct ax_model *m,
                         const struct ax_model *other, const char *where,
                         size_t *n)
{
    for (uint32_t i = 0; i < m->n_attachments; i++) {
        const struct ax_attachment *a = &m->attachments[i];

        if (has_attachment(other, a))
            continue;
        printf("%-12s", (*n)++ ? "" : "attached");
        cmd_text(stdout, a->type);
        putchar(' ');
        cmd_text(stdout, a->name);
        printf(" in the %s alone\n", where);
    }
}

static void text(const struct diff *d, const struct ax_model *a,
                 const struct ax_model *b)
{
    size_t metas = 0, attached = 0;

    graphs(d);
    tensors(d);
    if (d->renamed) {
        printf("%-12s", "names");
        plural(d->renamed, "value");
        printf(" called differently\n");
    }
    one_meta(a, b, "first", &metas);
    one_meta(b, a, "second", &metas);
    one_attached(a, b, "first", &attached);
    one_attached(b, a, "second", &attached);
    printf("%s\n", verdict_of(d, a, b).sentence);
}

/* ---- JSON ---- */

static json_t *one_tensor(const struct ax_tensor *t, const char *name)
{
    json_t *o = json_object(), *shape = json_array();
    const char *type = ax_dtype_name(t->dtype);

    for (int i = 0; i < t->rank; i++)
        cmd_json_add(&shape, json_integer(t->dims[i]));
    cmd_json_put(&o, "name", cmd_json_text(name));
    cmd_json_put(&o, "dtype", json_string(type ? type : "?"));
    cmd_json_put(&o, "shape", shape);
    return o;
}

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_string("inf");
}

static json_t *twins(const struct diff *d)
{
    json_t *list = json_array();

    for (size_t i = 0; i < d->n_twins; i++) {
        const struct twin *t = &d->twin[i];
        json_t *o;

        if (t->state == TWIN_SAME)
            continue;
        o = json_object();
        cmd_json_put(&o, "differ", json_string(states[t->state]));
        cmd_json_put(&o, "first", one_tensor(t->t[0], t->name[0]));
        cmd_json_put(&o, "second", one_tensor(t->t[1], t->name[1]));
        if (t->state != TWIN_SHAPE)
            cmd_json_put(&o, "by", number(t->by.absolute));
        cmd_json_add(&list, o);
    }
    return list;
}

static json_t *meta_keys(const struct ax_model *a, const struct ax_model *b)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < a->n_meta; i++) {
        const char *value = meta_of(b, a->meta[i].key);

        if (!value || strcmp(value, a->meta[i].value) != 0)
            cmd_json_add(&list, cmd_json_text(a->meta[i].key));
    }
    for (uint32_t i = 0; i < b->n_meta; i++)
        if (!meta_of(a, b->meta[i].key))
            cmd_json_add(&list, cmd_json_text(b->meta[i].key));
    return list;
}

static void add_attached(json_t **list, const struct ax_model *m,
                         const struct ax_model *other, const char *where)
{
    for (uint32_t i = 0; i < m->n_attachments; i++) {
        const struct ax_attachment *a = &m->attachments[i];
        char hex[65];
        json_t *o;

        if (has_attachment(other, a))
            continue;
        ax_hex32(hex, a->digest);
        o = json_object();
        cmd_json_put(&o, "in", json_string(where));
        cmd_json_put(&o, "type", cmd_json_text(a->type));
        cmd_json_put(&o, "name", cmd_json_text(a->name));
        cmd_json_put(&o, "digest", json_string(hex));
        cmd_json_add(list, o);
    }
}

static ax_status as_json(const struct diff *d, const struct ax_model *a,
                         const struct ax_model *b, struct ax_err *err)
{
    json_t *o = json_object(), *changes = json_array(), *list = json_array(),
           *ids = json_array();
    struct verdict v = verdict_of(d, a, b);
    char hex[65];

    for (size_t i = 0; i < d->n_changes; i++)
        cmd_json_add(&changes, cmd_json_text(d->change[i]));
    add_attached(&list, a, b, "first");
    add_attached(&list, b, a, "second");
    ax_hex32(hex, a->identity);
    cmd_json_add(&ids, json_string(hex));
    ax_hex32(hex, b->identity);
    cmd_json_add(&ids, json_string(hex));
    cmd_json_put(&o, "same", json_boolean(v.same));
    cmd_json_put(&o, "differ", json_string(v.word));
    cmd_json_put(&o, "identity", ids);
    cmd_json_put(&o, "graph", changes);
    cmd_json_put(&o, "graph_more", json_integer((json_int_t)d->more));
    cmd_json_put(&o, "pairs", json_integer((json_int_t)d->n_twins));
    cmd_json_put(&o, "tensors", twins(d));
    cmd_json_put(&o, "renamed", json_integer((json_int_t)d->renamed));
    cmd_json_put(&o, "metadata", meta_keys(a, b));
    cmd_json_put(&o, "attachments", list);
    return cmd_json("ax.show.diff/1", o, err);
}

ax_status diff_report(const struct diff *d, const struct ax_model *a,
                      const struct ax_model *b, bool json, struct ax_err *err)
{
    if (json)
        AX_TRY(as_json(d, a, b, err));
    else
        text(d, a, b);
    return verdict_of(d, a, b).same ? AX_OK : AX_NO;
}
