/* Where the parts of a torch.export archive are. Since PyTorch 2.6:
 * ROOT/models/NAME.json, and ROOT/data/weights/NAME_weights_config.json
 * beside the bytes of the weights, or NAME.pt; before that
 * serialized_exported_program.json and serialized_state_dict.pt. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/aten/export.h"

enum { PATH_MAX_BYTES = 1024 };

static const struct torch_member *find(const struct export *x,
                                       const char *folder, const char *name,
                                       const char *end)
{
    char path[PATH_MAX_BYTES];
    int n = snprintf(path, sizeof path, "%.*s%s%s%s", (int)x->root.n,
                     x->root.s, folder, name, end);

    if (n < 0 || (size_t)n >= sizeof path)
        return NULL;
    return torch_zip_find(x->zip, (struct torch_text){path, (size_t)n});
}

/* Where NAME.json stands: ROOT/models/; 0 if it is none of these. */
static size_t model_at(struct torch_text t)
{
    static const char folder[] = "models/";
    size_t n = sizeof folder - 1;

    if (t.n < n + 6 || memcmp(t.s + t.n - 5, ".json", 5) != 0)
        return 0;
    for (size_t i = 0; i + n < t.n; i++)
        if (memcmp(t.s + i, folder, n) == 0 && (!i || t.s[i - 1] == '/'))
            return memchr(t.s + i + n, '/', t.n - i - n) ? 0 : i + n;
    return 0;
}

static ax_status read_json(json_t **out, struct export *x,
                           const struct torch_member *m, struct ax_err *err)
{
    const unsigned char *bytes;
    json_error_t why;

    AX_TRY(torch_zip_bytes(&bytes, &x->budget, x->a.arena, m, err));
    *out = json_loadb((const char *)bytes, m->n, JSON_REJECT_DUPLICATES,
                      &why);
    if (*out)
        return AX_OK;
    return json_error_code(&why) == json_error_out_of_memory
               ? ax_fail(err, AX_ENOMEM, "no memory for JSON")
               : ax_fail(err, AX_EFORMAT, "%s: line %d: %s",
                         torch_show(m->name).s, why.line, why.text);
}

static ax_status read_pickled(struct export_source *s, struct export *x,
                              const struct torch_member *m,
                              struct ax_err *err)
{
    const unsigned char *bytes;

    AX_TRY(torch_zip_bytes(&bytes, &x->budget, x->a.arena, m, err));
    if (ax_checkpoint_read(&s->pickled, bytes, m->n, err) != AX_OK)
        return ax_fail_in(err, "%s", torch_show(m->name).s);
    return AX_OK;
}

/* A table, or a pickle, or neither. */
static ax_status open_source(struct export_source *s, struct export *x,
                             const char *folder, const char *model,
                             const char *config, struct ax_err *err)
{
    const struct torch_member *table = find(x, folder, model, config),
                              *pickled = find(x, folder, model, ".pt");

    s->folder = folder;
    if (!table)
        return pickled ? read_pickled(s, x, pickled, err) : AX_OK;
    AX_TRY(read_json(&s->config, x, table, err));
    if (!json_is_object(json_object_get(s->config, "config")))
        return ax_fail(err, AX_EFORMAT, "%s: has no 'config'",
                       torch_show(table->name).s);
    return AX_OK;
}

static ax_status check_order(struct export *x, struct ax_err *err)
{
    const struct torch_member *m = find(x, "", "byteorder", "");
    const unsigned char *bytes;

    if (!m)
        return AX_OK;
    AX_TRY(torch_zip_bytes(&bytes, &x->budget, x->a.arena, m, err));
    return torch_is((struct torch_text){(const char *)bytes, m->n}, "little")
               ? AX_OK
               : ax_fail(err, AX_EUNSUPPORTED,
                         "a byte order other than little is not supported");
}

static ax_status open_new(struct export *x, const struct torch_member *m,
                          size_t at, struct ax_err *err)
{
    char model[256];
    size_t n = m->name.n - at - 5;

    if (n >= sizeof model)
        return ax_fail(err, AX_EFORMAT, "the name of its model is too long");
    memcpy(model, m->name.s + at, n);
    model[n] = '\0';
    x->root = (struct torch_text){m->name.s, at - strlen("models/")};
    AX_TRY(check_order(x, err));
    AX_TRY(read_json(&x->program, x, m, err));
    AX_TRY(open_source(&x->weights, x, "data/weights/", model,
                       "_weights_config.json", err));
    return open_source(&x->constants, x, "data/constants/", model,
                       "_constants_config.json", err);
}

static ax_status open_old(struct export *x, const struct torch_member *m,
                          struct ax_err *err)
{
    const struct torch_member *state = find(x, "", "serialized_state_dict",
                                            ".pt"),
                              *constants = find(x, "", "serialized_constants",
                                                ".pt");

    AX_TRY(read_json(&x->program, x, m, err));
    if (state)
        AX_TRY(read_pickled(&x->weights, x, state, err));
    return constants && constants->n
               ? read_pickled(&x->constants, x, constants, err)
               : AX_OK;
}

ax_status export_open(struct export *x, struct ax_err *err)
{
    const struct torch_member *m = NULL;
    size_t at = 0;

    for (size_t i = 0; i < x->zip->n; i++) {
        size_t this = model_at(x->zip->v[i].name);

        if (!this)
            continue;
        if (m)
            return ax_fail(
                err, AX_EUNSUPPORTED, "has several models, '%s' and '%s'",
                torch_show(m->name).s, torch_show(x->zip->v[i].name).s);
        m = &x->zip->v[i];
        at = this;
    }
    if (m)
        return open_new(x, m, at, err);
    m = find(x, "", "serialized_exported_program", ".json");
    return m ? open_old(x, m, err)
             : ax_fail(err, AX_EFORMAT, "has no exported program");
}

bool aten_is_export(const struct torch_zip *zip)
{
    static const struct torch_text old = {"serialized_exported_program.json",
                                          32};

    for (size_t i = 0; i < zip->n; i++)
        if (model_at(zip->v[i].name))
            return true;
    return torch_zip_find(zip, old) != NULL;
}

static void close_source(struct export_source *s)
{
    json_decref(s->config);
    ax_checkpoint_free(&s->pickled);
}

void export_close(struct export *x)
{
    close_source(&x->weights);
    close_source(&x->constants);
}

/* ---- weights ---- */

static ax_status from_table(struct ax_weight *w, struct export *x,
                            const struct export_source *s,
                            const json_t *entry, struct ax_err *err)
{
    const json_t *meta = json_object_get(entry, "tensor_meta");
    const char *path = json_string_value(json_object_get(entry, "path_name"));
    const json_t *offset = json_object_get(
        json_object_get(meta, "storage_offset"), "as_int");
    int strides = 0, free_at = -1, free_stride = -1;
    const struct torch_member *m;
    const unsigned char *bytes;

    if (json_is_true(json_object_get(entry, "use_pickle")))
        return ax_fail(err, AX_EUNSUPPORTED,
                       "is pickled, which is not supported");
    w->type = export_type(json_object_get(meta, "dtype"));
    if (!path || !w->type)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "has no path, or a type that is not supported");
    w->dtype = ax_dtype_name(w->type);
    w->size = ax_dtype_size(w->type);
    AX_TRY(export_dims(w->dims, &w->rank, &free_at,
                       json_object_get(meta, "sizes"), err));
    AX_TRY(export_dims(w->strides, &strides, &free_stride,
                       json_object_get(meta, "strides"), err));
    if (strides != w->rank || free_at >= 0 || free_stride >= 0 ||
        !json_is_integer(offset))
        return ax_fail(err, AX_EFORMAT, "has no fixed shape and strides");
    m = find(x, s->folder, path, "");
    if (!m)
        return ax_fail(err, AX_EFORMAT, "its bytes, '%.80s', are missing",
                       path);
    AX_TRY(torch_zip_bytes(&bytes, &x->budget, x->a.arena, m, err));
    return torch_place(w, bytes, m->n, json_integer_value(offset), err);
}

static bool from_pickle(struct ax_weight *w, const struct export_source *s,
                        const char *fqn)
{
    for (size_t i = 0; i < s->pickled.n; i++)
        if (strcmp(s->pickled.v[i].name, fqn) == 0) {
            *w = s->pickled.v[i];
            w->name = NULL;
            return true;
        }
    return false;
}

ax_status export_weight(struct ax_weight *w, struct export *x,
                        const char *fqn, bool constant, struct ax_err *err)
{
    const struct export_source *first = constant ? &x->constants
                                                 : &x->weights,
                               *then = constant ? &x->weights : &x->constants;

    for (int i = 0; i < 2; i++) {
        const struct export_source *s = i ? then : first;
        const json_t *entry = json_object_get(
            json_object_get(s->config, "config"), fqn);

        if (entry)
            return from_table(w, x, s, entry, err);
        if (from_pickle(w, s, fqn))
            return AX_OK;
    }
    return ax_fail(err, AX_EFORMAT, "is not in the archive");
}
