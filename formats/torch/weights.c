/* Tensors in a tree: what rebuilds one is known by its name and arguments,
 * and everything else is walked through for more. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/torch/torch.h"

enum { DEPTH_MAX = 200, NAME_MAX_BYTES = 4096, VISITS_A_NODE = 8 };

/* The name on the way down. */
struct path {
    char s[NAME_MAX_BYTES];
    size_t n;
};

/* ---- reading arguments ---- */

static ax_status integer(int64_t *out, const struct torch_node *n,
                         const char *what, struct ax_err *err)
{
    if (n->kind != TORCH_INT)
        return ax_fail(err, AX_EFORMAT, "its %s is no integer", what);
    *out = n->i;
    return AX_OK;
}

static ax_status integers(int64_t *out, int *count,
                          const struct torch_node *n, const char *what,
                          struct ax_err *err)
{
    if (n->kind == TORCH_CALL &&
        torch_is_global(n->call->callable, "torch", "Size") &&
        n->call->args->kind == TORCH_TUPLE && n->call->args->n == 1)
        n = n->call->args->v[0];
    if (n->kind != TORCH_TUPLE && n->kind != TORCH_LIST)
        return ax_fail(err, AX_EFORMAT, "its %s is no tuple", what);
    if (n->n > AX_RANK_MAX)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "has %" PRIu32 " dimensions, at most %d are supported",
                       n->n, AX_RANK_MAX);
    *count = (int)n->n;
    for (uint32_t i = 0; i < n->n; i++)
        AX_TRY(integer(&out[i], n->v[i], what, err));
    return AX_OK;
}

/* ---- one tensor ---- */

ax_status torch_add_weight(struct ax_checkpoint *to, size_t *cap,
                           const struct ax_weight *w, const char *prefix,
                           const char *name, struct ax_err *err)
{
    size_t n = strlen(prefix) + strlen(name) + 1;

    if (to->n == *cap) {
        size_t more = *cap ? 2 * *cap : 64;
        struct ax_weight *p = reallocarray(to->v, more, sizeof *p);

        if (!p)
            return ax_fail(err, AX_ENOMEM, "no memory for %zu tensors", more);
        to->v = p;
        *cap = more;
    }
    to->v[to->n] = *w;
    to->v[to->n].name = malloc(n);
    if (!to->v[to->n].name)
        return ax_fail(err, AX_ENOMEM, "no memory for a name");
    snprintf(to->v[to->n].name, n, "%s%s", prefix, name);
    to->n++;
    return AX_OK;
}

/* rebuild(storage, offset, size, stride, ...), with the type of the storage
 * or, where there is one, of argument TYPE. */
static ax_status dense(struct torch_finder *f, const struct torch_node *args,
                       int type, const struct path *path, struct ax_err *err)
{
    const struct torch_dtype *dtype;
    struct torch_storage storage = {0};
    struct ax_weight w = {0};
    int64_t offset = 0;
    int strides = 0;

    if (args->kind != TORCH_TUPLE || args->n < 4 || (uint32_t)type >= args->n)
        return ax_fail(err, AX_EFORMAT, "is made of too few arguments");
    /* In a tar some writers put the id itself here. */
    if (args->v[0]->kind != TORCH_PERSISTENT &&
        !(f->tensor && args->v[0]->kind == TORCH_TUPLE))
        return ax_fail(err, AX_EUNSUPPORTED,
                       "has no storage in the file, or of a kind that is "
                       "not supported");
    AX_TRY(f->resolve(&storage, f->self,
                      args->v[0]->kind == TORCH_TUPLE ? args->v[0]
                                                      : args->v[0]->v[0],
                      err));
    dtype = storage.type;
    if (type && args->v[type]->kind == TORCH_GLOBAL &&
        torch_is(args->v[type]->global->module, "torch"))
        dtype = torch_dtype_by_name(args->v[type]->global->name);
    if (!dtype)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "has an element type that is not supported");
    w.dtype = dtype->name;
    w.type = dtype->type;
    w.size = dtype->size;
    w.storage = storage.id;
    AX_TRY(integer(&offset, args->v[1], "offset", err));
    AX_TRY(integers(w.dims, &w.rank, args->v[2], "shape", err));
    AX_TRY(integers(w.strides, &strides, args->v[3], "stride", err));
    if (strides != w.rank)
        return ax_fail(err, AX_EFORMAT, "has %d dimensions and %d strides",
                       w.rank, strides);
    AX_TRY(torch_place(&w, storage.data, storage.nbytes, offset, err));
    return torch_add_weight(f->to, &f->cap, &w, f->prefix, path->s, err);
}

/* ---- the walk ---- */

static ax_status walk(struct torch_finder *f, struct torch_node *n,
                      struct path *path, int depth, struct ax_err *err);

/* What makes tensors: which argument is one, or holds the type. */
static const struct rebuild {
    const char *module, *name;
    int type;  /* argument that names the type; 0: the storage does */
    int inner; /* argument that is a tensor itself, plus one; 0: none */
    bool refuse;
} rebuilds[] = {
    {"torch._utils", "_rebuild_tensor", 0, 0, false},
    {"torch._utils", "_rebuild_tensor_v2", 0, 0, false},
    {"torch._utils", "_rebuild_tensor_v3", 6, 0, false},
    {"torch._utils", "_rebuild_qtensor", 0, 0, false},
    {"torch._utils", "_rebuild_parameter", 0, 1, false},
    {"torch._utils", "_rebuild_parameter_with_state", 0, 1, false},
    {"torch._utils", "_rebuild_sparse_tensor", 0, 0, true},
    {"torch._utils", "_rebuild_sparse_csr_tensor", 0, 0, true},
    {"torch._utils", "_rebuild_nested_tensor", 0, 0, true},
    {"torch._utils", "_rebuild_meta_tensor_no_storage", 0, 0, true},
    {"torch._utils", "_rebuild_wrapper_subclass", 0, 0, true},
    {"torch._utils", "_rebuild_device_tensor_from_numpy", 0, 0, true},
    {"torch._utils", "_rebuild_device_tensor_from_cpu_tensor", 0, 1, false},
};

static const struct rebuild *rebuild_of(const struct torch_node *callable)
{
    for (size_t i = 0; i < sizeof rebuilds / sizeof rebuilds[0]; i++)
        if (torch_is_global(callable, rebuilds[i].module, rebuilds[i].name))
            return &rebuilds[i];
    return NULL;
}

/* _rebuild_from_type_v2(function, type, arguments, state) calls another. */
static void see_through(const struct torch_node **callable,
                        const struct torch_node **args)
{
    if (torch_is_global(*callable, "torch._tensor",
                        "_rebuild_from_type_v2") &&
        (*args)->kind == TORCH_TUPLE && (*args)->n >= 3) {
        *callable = (*args)->v[0];
        *args = (*args)->v[2];
    }
}

static ax_status tensor(struct torch_finder *f, const struct rebuild *r,
                        const struct torch_node *args, struct path *path,
                        int depth, struct ax_err *err)
{
    ax_status st;

    if (r->refuse)
        st = ax_fail(err, AX_EUNSUPPORTED, "%s is not supported", r->name);
    else if (r->inner && (args->kind != TORCH_TUPLE || !args->n))
        st = ax_fail(err, AX_EFORMAT, "is made of too few arguments");
    else if (r->inner)
        return walk(f, args->v[r->inner - 1], path, depth + 1, err);
    else
        st = dense(f, args, r->type, path, err);
    if (st == AX_OK || st == AX_ENOMEM)
        return st;
    return ax_fail_in(err, "tensor '%s'",
                      torch_show((struct torch_text){path->s, path->n}).s);
}

/* Add a part to the name and walk; the name is as before afterwards. */
static ax_status below(struct torch_finder *f, struct torch_node *n,
                       struct torch_text part, char sign, struct path *path,
                       int depth, struct ax_err *err)
{
    size_t before = path->n;
    ax_status st;

    if (part.n >= sizeof path->s - path->n - 2)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "names of more than %d bytes are not supported",
                       NAME_MAX_BYTES);
    if (before && part.n)
        path->s[path->n++] = sign;
    if (part.n)
        memcpy(path->s + path->n, part.s, part.n);
    path->n += part.n;
    path->s[path->n] = '\0';
    if (memchr(path->s, 0, path->n))
        return ax_fail(err, AX_EFORMAT, "a name contains a zero byte");
    st = walk(f, n, path, depth + 1, err);
    path->n = before;
    path->s[before] = '\0';
    return st;
}

static ax_status elements(struct torch_finder *f, const struct torch_node *n,
                          struct path *path, int depth, struct ax_err *err)
{
    for (uint32_t i = 0; i < n->n; i++) {
        char index[16];
        int len = snprintf(index, sizeof index, "%" PRIu32, i);

        AX_TRY(below(f, n->v[i], (struct torch_text){index, (size_t)len}, '/',
                     path, depth, err));
    }
    return AX_OK;
}

/* What a key is called in a name. */
static struct torch_text key_text(const struct torch_node *key, char *buf,
                                  size_t n_buf)
{
    int n = 0;

    if (key->kind == TORCH_TEXT || key->kind == TORCH_BYTES ||
        key->kind == TORCH_LONG)
        return key->text;
    if (key->kind == TORCH_INT)
        n = snprintf(buf, n_buf, "%" PRId64, key->i);
    else if (key->kind == TORCH_BOOL)
        n = snprintf(buf, n_buf, "%s", key->i ? "True" : "False");
    else if (key->kind == TORCH_NONE)
        n = snprintf(buf, n_buf, "None");
    else
        n = snprintf(buf, n_buf, "?");
    return (struct torch_text){buf, (size_t)n};
}

static ax_status items(struct torch_finder *f, const struct torch_node *n,
                       char sign, struct path *path, int depth,
                       struct ax_err *err)
{
    for (uint32_t i = 0; i + 1 < n->n; i += 2) {
        char buf[24];

        AX_TRY(below(f, n->v[i + 1], key_text(n->v[i], buf, sizeof buf), sign,
                     path, depth, err));
    }
    return AX_OK;
}

static struct torch_node *dict_get(const struct torch_node *n,
                                   const char *key)
{
    if (n->kind == TORCH_CALL)
        n = n->call->dict;
    if (!n || n->kind != TORCH_DICT)
        return NULL;
    for (uint32_t i = n->n; i >= 2; i -= 2)
        if (n->v[i - 2]->kind == TORCH_TEXT &&
            torch_is(n->v[i - 2]->text, key))
            return n->v[i - 1];
    return NULL;
}

/* The entries of a dictionary, or of what a call makes one. */
static const struct torch_node *as_dict(const struct torch_node *n)
{
    if (n && n->kind == TORCH_CALL)
        n = n->call->dict;
    return n && n->kind == TORCH_DICT ? n : NULL;
}

/* A module's state: its parameters, its buffers, the modules in it, and
 * then whatever else it has. */
static ax_status module(struct torch_finder *f,
                        const struct torch_node *state, struct path *path,
                        int depth, struct ax_err *err)
{
    static const char *const parts[] = {"_parameters", "_buffers",
                                        "_modules"};

    for (size_t k = 0; k < sizeof parts / sizeof parts[0]; k++) {
        const struct torch_node *d = as_dict(dict_get(state, parts[k]));

        if (d)
            AX_TRY(items(f, d, '.', path, depth, err));
    }
    for (uint32_t i = 0; i + 1 < state->n; i += 2) {
        char buf[24];
        struct torch_text key = key_text(state->v[i], buf, sizeof buf);

        if (!torch_is(key, "_parameters") && !torch_is(key, "_buffers") &&
            !torch_is(key, "_modules"))
            AX_TRY(below(f, state->v[i + 1], key, '/', path, depth, err));
    }
    return AX_OK;
}

/* OrderedDict([(key, value), ...]), as Python 2 wrote it: a list of pairs, or
 * NULL. */
static const struct torch_node *pairs_of(const struct torch_call *c)
{
    const struct torch_node *list = c->args;

    if (!torch_is_global(c->callable, "collections", "OrderedDict") ||
        list->kind != TORCH_TUPLE || list->n != 1 ||
        list->v[0]->kind != TORCH_LIST)
        return NULL;
    list = list->v[0];
    for (uint32_t i = 0; i < list->n; i++)
        if ((list->v[i]->kind != TORCH_TUPLE &&
             list->v[i]->kind != TORCH_LIST) ||
            list->v[i]->n != 2)
            return NULL;
    return list;
}

static ax_status pairs(struct torch_finder *f, const struct torch_node *list,
                       struct path *path, int depth, struct ax_err *err)
{
    for (uint32_t i = 0; i < list->n; i++) {
        struct torch_node *const *pair = list->v[i]->v;
        char buf[24];

        AX_TRY(below(f, pair[1], key_text(pair[0], buf, sizeof buf), '/',
                     path, depth, err));
    }
    return AX_OK;
}

static ax_status object(struct torch_finder *f, const struct torch_node *n,
                        struct path *path, int depth, struct ax_err *err)
{
    static const struct torch_text none = {"", 0};
    const struct torch_call *c = n->call;
    const struct torch_node *callable = c->callable, *args = c->args;
    const struct rebuild *r;

    see_through(&callable, &args);
    r = rebuild_of(callable);
    if (r)
        return tensor(f, r, args, path, depth, err);
    if (pairs_of(c))
        AX_TRY(pairs(f, pairs_of(c), path, depth, err));
    else /* without names: they have that of the object, and a number */
        AX_TRY(below(f, c->args, none, '/', path, depth, err));
    if (c->list)
        AX_TRY(elements(f, c->list, path, depth, err));
    if (c->dict)
        AX_TRY(items(f, c->dict, '/', path, depth, err));
    if (!c->state)
        return AX_OK;
    if (c->state->kind == TORCH_DICT && f->script)
        return items(f, c->state, '.', path, depth, err);
    if (c->state->kind == TORCH_DICT && dict_get(c->state, "_modules") &&
        dict_get(c->state, "_parameters"))
        return module(f, c->state, path, depth, err);
    return below(f, c->state, none, '/', path, depth, err);
}

static ax_status persistent(struct torch_finder *f,
                            const struct torch_node *n,
                            const struct path *path, struct ax_err *err)
{
    struct ax_weight w = {0};

    AX_TRY(f->tensor(&w, f->self, n->v[0], err));
    if (!w.dtype) /* a storage by itself */
        return AX_OK;
    return torch_add_weight(f->to, &f->cap, &w, f->prefix, path->s, err);
}

static ax_status inside(struct torch_finder *f, struct torch_node *n,
                        struct path *path, int depth, struct ax_err *err)
{
    switch ((enum torch_kind)n->kind) {
    case TORCH_TUPLE:
    case TORCH_LIST:
    case TORCH_SET:
        return elements(f, n, path, depth, err);
    case TORCH_DICT:
        return items(f, n, '/', path, depth, err);
    case TORCH_CALL:
        return object(f, n, path, depth, err);
    case TORCH_PERSISTENT:
        return f->tensor ? persistent(f, n, path, err) : AX_OK;
    default:
        return AX_OK;
    }
}

static ax_status walk(struct torch_finder *f, struct torch_node *n,
                      struct path *path, int depth, struct ax_err *err)
{
    ax_status st;

    if (n->busy) /* it holds itself: there is nothing more in it */
        return AX_OK;
    if (depth > DEPTH_MAX)
        return ax_fail(err, AX_EFORMAT,
                       "objects are nested more than %d deep", DEPTH_MAX);
    if (!f->visits--)
        return ax_fail(err, AX_EFORMAT,
                       "its objects hold each other too often");
    n->busy = true;
    st = inside(f, n, path, depth, err);
    n->busy = false;
    return st;
}

ax_status torch_find(struct torch_finder *f, struct torch_node *root,
                     struct ax_err *err)
{
    struct path *path = calloc(1, sizeof *path);
    ax_status st;

    if (!path)
        return ax_fail(err, AX_ENOMEM, "no memory for names");
    f->visits = VISITS_A_NODE * (f->visits + 1024);
    st = walk(f, root, path, 0, err);
    free(path);
    return st;
}
