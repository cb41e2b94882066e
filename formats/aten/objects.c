/* Modules of TorchScript archives: the objects of data.pkl, whose attributes
 * are numbers, tensors and other objects, and the constants of the code. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/aten/script.h"

enum { DEPTH_MAX = 16, PATH_BYTES = 1024 };

static const struct torch_text nothing = {"", 0};

const struct torch_member *script_member(const struct script *s,
                                         const char *folder,
                                         struct torch_text name,
                                         const char *end)
{
    char path[PATH_BYTES];
    int n = snprintf(path, sizeof path, "%.*s%s%.*s%s", (int)s->root.n,
                     s->root.s, folder, (int)name.n, name.s, end);

    if (n < 0 || (size_t)n >= sizeof path)
        return NULL;
    return torch_zip_find(s->zip, (struct torch_text){path, (size_t)n});
}

/* ---- pickles ---- */

struct source {
    struct script *s;
    const char *folder; /* of storages: "data/" */
};

static ax_status resolve(struct torch_storage *out, void *self,
                         const struct torch_node *id, struct ax_err *err)
{
    const struct source *from = self;
    struct script *s = from->s;
    const struct torch_member *m;
    int64_t count = 0;

    AX_TRY(torch_storage_id(out, &count, id, err));
    m = script_member(s, from->folder, out->key, "");
    if (!m)
        return ax_fail(err, AX_EFORMAT, "storage '%s' is not in the archive",
                       torch_show(out->key).s);
    AX_TRY(torch_check_size(out, count, m->n, err));
    AX_TRY(torch_zip_bytes(&out->data, &s->budget, s->a.arena, m, err));
    out->nbytes = m->n;
    return AX_OK;
}

static ax_status open_pickle(struct script_pickle *p, struct script *s,
                             const char *name, const char *folder,
                             struct ax_err *err)
{
    const struct torch_member *m = script_member(s, name, nothing, "");
    struct source from = {s, folder};
    struct torch_finder f = {.resolve = resolve,
                             .self = &from,
                             .to = &p->tensors,
                             .prefix = "",
                             .script = true};
    const unsigned char *data;
    size_t used;

    if (!m)
        return AX_OK;
    AX_TRY(torch_zip_bytes(&data, &s->budget, s->a.arena, m, err));
    AX_TRY(torch_pickle_init(&p->pickle, err));
    AX_TRY(torch_unpickle(&p->root, &used, &p->pickle, data, m->n, err));
    f.visits = p->pickle.nodes;
    AX_TRY(torch_find(&f, p->root, err));
    p->values = ax_arena_alloc(s->a.arena, p->tensors.n + 1,
                               sizeof *p->values);
    if (!p->values)
        return ax_fail(err, AX_ENOMEM, "no memory for tensors");
    for (size_t i = 0; i < p->tensors.n; i++)
        p->values[i] = AX_NONE;
    return AX_OK;
}

ax_status script_open(struct script *s, struct ax_err *err)
{
    if (open_pickle(&s->data, s, "data.pkl", "data/", err) != AX_OK)
        return ax_fail_in(err, "data.pkl");
    if (open_pickle(&s->constants, s, "constants.pkl", "constants/", err) !=
        AX_OK)
        return ax_fail_in(err, "constants.pkl");
    return AX_OK;
}

static void close_pickle(struct script_pickle *p)
{
    ax_checkpoint_free(&p->tensors);
    torch_pickle_free(&p->pickle);
}

void script_close(struct script *s)
{
    close_pickle(&s->data);
    close_pickle(&s->constants);
}

/* ---- values ---- */

/* The tensor at PATH. Those that share all elements are one. */
static ax_status tensor_at(struct aten_value *out, bool *is, struct script *s,
                           struct script_pickle *p, const char *path,
                           const char *prefix, struct ax_err *err)
{
    const struct ax_weight *v = p->tensors.v;
    char name[PATH_BYTES];
    size_t i = 0, k = 0;

    while (i < p->tensors.n && strcmp(v[i].name, path) != 0)
        i++;
    *is = i < p->tensors.n;
    if (!*is)
        return AX_OK;
    while (k < i &&
           (v[k].first != v[i].first || v[k].type != v[i].type ||
            v[k].rank != v[i].rank ||
            memcmp(v[k].dims, v[i].dims, sizeof v[k].dims) != 0 ||
            memcmp(v[k].strides, v[i].strides, sizeof v[k].strides) != 0))
        k++;
    if (p->values[k] == AX_NONE) {
        snprintf(name, sizeof name, "%s%s", prefix, v[i].name);
        if (aten_weight(&s->a, out, name, &v[i], err) != AX_OK)
            return ax_fail_in(err, "tensor '%.80s'", v[i].name);
        p->values[k] = out->value;
    }
    *out = aten_tensor(p->values[k]);
    return AX_OK;
}

static ax_status copy_text(const char **out, struct script *s,
                           struct torch_text t, struct ax_err *err)
{
    char *to = ax_arena_alloc(s->a.arena, t.n + 1, 1);

    if (!to)
        return ax_fail(err, AX_ENOMEM, "no memory for text");
    if (t.n)
        memcpy(to, t.s, t.n);
    to[t.n] = '\0';
    *out = to;
    return AX_OK;
}

static ax_status value_of(struct aten_value *out, struct script *s,
                          const struct torch_node *n, const char *path,
                          int depth, struct ax_err *err);

static ax_status list_of(struct aten_value *out, struct script *s,
                         const struct torch_node *n, const char *path,
                         int depth, struct ax_err *err)
{
    AX_TRY(aten_list(&s->a, out,
                     n->kind == TORCH_LIST ? ATEN_LIST : ATEN_TUPLE, n->n,
                     err));
    for (uint32_t i = 0; i < n->n; i++) {
        char inner[PATH_BYTES];

        snprintf(inner, sizeof inner, "%s/%" PRIu32, path, i);
        AX_TRY(value_of(&out->v[i], s, n->v[i], inner, depth + 1, err));
    }
    return AX_OK;
}

/* A module, or a list that was built by a function. */
static ax_status object_of(struct aten_value *out, struct script *s,
                           const struct torch_node *n, const char *path,
                           int depth, struct ax_err *err)
{
    const struct torch_call *c = n->call;
    struct aten_object *o;

    if (c->callable->kind == TORCH_GLOBAL &&
        torch_is(c->callable->global->module, "torch.jit._pickle") &&
        c->args->kind == TORCH_TUPLE && c->args->n == 1)
        return value_of(out, s, c->args->v[0], path, depth + 1, err);
    o = ax_arena_zalloc(s->a.arena, 1, sizeof *o);
    if (!o)
        return ax_fail(err, AX_ENOMEM, "no memory for an object");
    o->node = n;
    AX_TRY(
        copy_text(&o->path, s, (struct torch_text){path, strlen(path)}, err));
    out->kind = ATEN_OBJECT;
    out->object = o;
    return AX_OK;
}

static ax_status value_of(struct aten_value *out, struct script *s,
                          const struct torch_node *n, const char *path,
                          int depth, struct ax_err *err)
{
    bool is = false;

    if (depth > DEPTH_MAX)
        return ax_fail(err, AX_EFORMAT, "an attribute is nested too deep");
    *out = (struct aten_value){0};
    switch ((enum torch_kind)n->kind) {
    case TORCH_NONE:
        return AX_OK;
    case TORCH_BOOL:
        *out = (struct aten_value){.kind = ATEN_BOOL, .i = n->i};
        return AX_OK;
    case TORCH_INT:
        *out = aten_int(n->i);
        return AX_OK;
    case TORCH_FLOAT:
        *out = (struct aten_value){.kind = ATEN_FLOAT, .f = n->f};
        return AX_OK;
    case TORCH_TEXT:
        out->kind = ATEN_TEXT;
        return copy_text(&out->text, s, n->text, err);
    case TORCH_TUPLE:
    case TORCH_LIST:
        return list_of(out, s, n, path, depth, err);
    case TORCH_CALL:
        AX_TRY(tensor_at(out, &is, s, &s->data, path, "", err));
        return is ? AX_OK : object_of(out, s, n, path, depth, err);
    default:
        return ax_fail(err, AX_EUNSUPPORTED,
                       "attribute '%.80s' is of a kind that is not supported",
                       path);
    }
}

ax_status script_attribute(struct aten_value *out, struct script *s,
                           const struct aten_object *o, const char *name,
                           struct ax_err *err)
{
    const struct torch_node *state = o->node->call->state;
    char path[PATH_BYTES];

    for (uint32_t i = 0;
         state && state->kind == TORCH_DICT && i + 1 < state->n; i += 2)
        if (state->v[i]->kind == TORCH_TEXT &&
            torch_is(state->v[i]->text, name)) {
            if ((size_t)snprintf(path, sizeof path, "%s%s%s", o->path,
                                 *o->path ? "." : "", name) >= sizeof path)
                break;
            return value_of(out, s, state->v[i + 1], path, 0, err);
        }
    return ax_fail(err, AX_EFORMAT, "module '%.80s' has no attribute '%.80s'",
                   o->path, name);
}

ax_status script_root(struct aten_value *out, struct script *s,
                      struct ax_err *err)
{
    if (!s->data.root || s->data.root->kind != TORCH_CALL)
        return ax_fail(err, AX_EFORMAT, "data.pkl holds no module");
    AX_TRY(value_of(out, s, s->data.root, "", 0, err));
    /* A tensor is made by a call, too. */
    return out->kind == ATEN_OBJECT
               ? AX_OK
               : ax_fail(err, AX_EFORMAT, "data.pkl holds no module");
}

ax_status script_class(const char **out, struct script *s,
                       const struct aten_object *o, struct ax_err *err)
{
    const struct torch_node *c = o->node->call->callable;
    char name[PATH_BYTES];

    if (c->kind != TORCH_GLOBAL ||
        (size_t)snprintf(name, sizeof name, "%.*s.%.*s",
                         (int)c->global->module.n, c->global->module.s,
                         (int)c->global->name.n,
                         c->global->name.s) >= sizeof name)
        return ax_fail(err, AX_EFORMAT, "'%.80s' is of no class", o->path);
    return copy_text(out, s, (struct torch_text){name, strlen(name)}, err);
}

/* The tuple of constants.pkl, which the code names c0, c1 and so on. */
ax_status script_constant(struct aten_value *out, struct script *s,
                          const char *name, struct ax_err *err)
{
    const struct torch_node *root = s->constants.root;
    char path[32], *end;
    unsigned long i = strtoul(name + 1, &end, 10);
    bool is = false;

    if (name[0] != 'c' || *end || !root ||
        (root->kind != TORCH_TUPLE && root->kind != TORCH_LIST) ||
        i >= root->n)
        return ax_fail(err, AX_EFORMAT, "there is no constant '%.40s'", name);
    snprintf(path, sizeof path, "%lu", i);
    AX_TRY(tensor_at(out, &is, s, &s->constants, path, "CONSTANTS.", err));
    return is ? AX_OK
              : ax_fail(err, AX_EUNSUPPORTED,
                        "constant '%.40s' is no tensor, which is not "
                        "supported",
                        name);
}
