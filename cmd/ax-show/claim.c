/* What attachments say of a model: axm(5), ax-cert(5). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ax/element.h"
#include "show.h"

/* Certificate and counterexample begin alike: ax-cert(5). */
static void evidence(struct claim *out, const struct ax_attachment *a,
                     const char *magic, unsigned char version,
                     const char *says)
{
    bool known = a->n >= 72 && memcmp(a->data, magic, 4) == 0 &&
                 a->data[4] == version && a->data[5] >= 1 && a->data[5] <= 2;

    if (!known) {
        snprintf(out->what, sizeof out->what, "%s of an unknown version",
                 a->type);
        return;
    }
    ax_hex32(out->subject, a->data + 40);
    snprintf(
        out->what, sizeof out->what, "claims that the property %s, %s", says,
        a->data[5] == 1 ? "over the reals" : "in every execution in float32");
    out->check = "ax-check";
}

static void certificate(struct claim *out, const struct ax_attachment *a)
{
    evidence(out, a, "AXCT", 2, "holds");
}

static void counterexample(struct claim *out, const struct ax_attachment *a)
{
    evidence(out, a, "AXCX", 1, "is violated");
}

static void property(struct claim *out, const struct ax_attachment *a)
{
    unsigned char digest[32];

    snprintf(out->what, sizeof out->what, "describes an unsafe set");
    ax_sha256(digest, a->data, a->n);
    ax_hex32(out->subject, digest);
}

static void provenance(struct claim *out, const struct ax_attachment *a)
{
    (void)a;
    snprintf(out->what, sizeof out->what, "says what a command did");
}

static void signature(struct claim *out, const struct ax_attachment *a)
{
    (void)a;
    snprintf(out->what, sizeof out->what,
             "claims that somebody signed the model and what stands above");
    out->check = "ax-sign verify";
}

static const struct {
    const char *type;
    void (*claim)(struct claim *out, const struct ax_attachment *a);
} types[] = {
    {"property", property},
    {"certificate", certificate},
    {"counterexample", counterexample},
    {"provenance", provenance},
    {"signature", signature},
};

ax_status claims_of(struct claim **out, const struct ax_model *m,
                    struct ax_err *err)
{
    *out = calloc((size_t)m->n_attachments + 1, sizeof **out);
    if (!*out)
        return ax_fail(err, AX_ENOMEM, "no memory for the attachments");
    for (uint32_t i = 0; i < m->n_attachments; i++) {
        struct claim *c = &(*out)[i];

        *c = (struct claim){.what = "of a type that is not known here"};
        for (size_t k = 0; k < sizeof types / sizeof types[0]; k++)
            if (strcmp(types[k].type, m->attachments[i].type) == 0)
                types[k].claim(c, &m->attachments[i]);
    }
    return AX_OK;
}

json_t *claim_record(const struct ax_attachment *a)
{
    json_t *o = json_loadb((const char *)a->data, a->n,
                           JSON_REJECT_DUPLICATES, NULL);
    const char *schema = json_string_value(json_object_get(o, "schema"));

    if (strcmp(a->type, "provenance") == 0 && schema &&
        strcmp(schema, "ax.provenance/1") == 0)
        return o;
    json_decref(o);
    return NULL;
}

void stats_of(struct stats *out, const struct ax_tensor *t)
{
    size_t n = ax_tensor_count(t);
    double block[256], sum = 0;

    *out = (struct stats){0};
    if (t->dtype == AX_STRING)
        return;
    for (size_t i = 0; i < n; i += 256) {
        size_t k = n - i < 256 ? n - i : 256;

        ax_get_f64(block, t->dtype, t->data, i, k);
        for (size_t j = 0; j < k; j++) {
            double x = block[j];

            if (!(x - x == 0)) { /* infinite or NaN */
                out->other++;
                continue;
            }
            if (!out->finite || x < out->min)
                out->min = x;
            if (!out->finite || x > out->max)
                out->max = x;
            sum += x;
            out->finite++;
        }
    }
    out->mean = out->finite ? sum / (double)out->finite : 0;
}

ax_status tensor_names(const char ***out, const struct ax_model *m,
                       struct ax_err *err)
{
    const char **names = calloc((size_t)m->n_tensors + 1, sizeof *names);

    *out = names;
    if (!names)
        return ax_fail(err, AX_ENOMEM, "no memory for the names of tensors");
    for (uint32_t i = 0; i < m->graph->n_values; i++) {
        const struct ax_value *v = &m->graph->values[i];

        if (v->tensor != AX_NONE && !names[v->tensor])
            names[v->tensor] = v->name;
    }
    return AX_OK;
}
