/* Checkpoints of PyTorch before 1.6: five pickles in a row (a number, a
 * version, the machine, the objects, the keys of storages), and then the
 * storages. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "formats/torch/row.h"

static const unsigned char legacy_magic[] = {0x8a, 0x0a, 0x6c, 0xfc, 0x9c,
                                             0x46, 0xf9, 0x20, 0x6a, 0xa8,
                                             0x50, 0x19, '.'};

bool torch_is_legacy(const unsigned char *data, size_t n)
{
    return n >= 2 + sizeof legacy_magic && data[0] == 0x80 && data[1] <= 5 &&
           memcmp(data + 2, legacy_magic, sizeof legacy_magic) == 0;
}

/* (key, offset, count) of a part of a storage, in elements. */
static ax_status take_view(struct torch_storage *s,
                           const struct torch_node *view, struct ax_err *err)
{
    size_t size = s->type ? s->type->size : 1, all = s->nbytes / size;
    int64_t first, count;

    if (view->kind == TORCH_NONE)
        return AX_OK;
    if (view->kind != TORCH_TUPLE || view->n != 3 ||
        view->v[1]->kind != TORCH_INT || view->v[2]->kind != TORCH_INT)
        return ax_fail(err, AX_EFORMAT, "a view of its storage is malformed");
    first = view->v[1]->i;
    count = view->v[2]->i;
    if (first < 0 || count < 0 || (uint64_t)first > all ||
        (uint64_t)count > all - (uint64_t)first)
        return ax_fail(err, AX_EFORMAT,
                       "a view of its storage lies outside it");
    s->data += (size_t)first * size;
    s->nbytes = (size_t)count * size;
    return AX_OK;
}

static ax_status resolve_legacy(struct torch_storage *out, void *self,
                                const struct torch_node *id,
                                struct ax_err *err)
{
    const struct torch_storage *s;
    int64_t count = 0;

    AX_TRY(torch_storage_id(out, &count, id, err));
    s = torch_row_find(self, out->key);
    if (!s)
        return ax_fail(err, AX_EFORMAT, "storage '%s' is not in the file",
                       torch_show(out->key).s);
    if (s->type != out->type)
        return ax_fail(err, AX_EFORMAT, "storage '%s' has two types",
                       torch_show(out->key).s);
    AX_TRY(torch_check_size(out, count, s->nbytes, err));
    *out = *s;
    return id->n > 5 ? take_view(out, id->v[5], err) : AX_OK;
}

/* The types of storages stand in persistent ids alone. */
struct types {
    struct torch_storage *v; /* sorted by key */
    size_t n;
};

static int by_key(const void *a, const void *b)
{
    const struct torch_storage *x = a, *y = b;
    size_t n = x->key.n < y->key.n ? x->key.n : y->key.n;
    int c = n ? memcmp(x->key.s, y->key.s, n) : 0;

    return c ? c : (x->key.n > y->key.n) - (x->key.n < y->key.n);
}

static ax_status legacy_types(struct types *t, const struct torch_pickle *p,
                              struct ax_err *err)
{
    t->v = calloc(p->n_persistent + 1, sizeof *t->v);
    if (!t->v)
        return ax_fail(err, AX_ENOMEM, "no memory for storages");
    for (size_t i = 0; i < p->n_persistent; i++) {
        const struct torch_node *id = p->persistent[i]->v[0];
        int64_t count;

        /* Other ids are of what older versions kept beside the objects. */
        if (id->kind == TORCH_TUPLE && id->n &&
            id->v[0]->kind == TORCH_TEXT &&
            torch_is(id->v[0]->text, "module"))
            continue;
        AX_TRY(torch_storage_id(&t->v[t->n++], &count, id, err));
    }
    qsort(t->v, t->n, sizeof *t->v, by_key);
    return AX_OK;
}

static ax_status legacy_storages(struct torch_row *r, const struct types *t,
                                 const struct torch_node *keys,
                                 struct ax_err *err)
{
    if (keys->kind != TORCH_LIST && keys->kind != TORCH_TUPLE)
        return ax_fail(err, AX_EFORMAT,
                       "it does not say what storages it has");
    for (uint32_t i = 0; i < keys->n; i++) {
        struct torch_storage want = {0};
        const struct torch_storage *found = NULL;

        if (keys->v[i]->kind == TORCH_TEXT) {
            want.key = keys->v[i]->text;
            found = bsearch(&want, t->v, t->n, sizeof *t->v, by_key);
        }
        if (!found)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "nothing says the type of storage %" PRIu32 "", i);
        AX_TRY(torch_row_storage(
            r,
            &(struct torch_storage){.key = found->key, .type = found->type},
            err));
    }
    if (r->at != r->n)
        return ax_fail(err, AX_EFORMAT, "%zu bytes follow its storages",
                       r->n - r->at);
    return torch_row_sort(r, err);
}

/* The second and third pickle: 1001, and the machine that it was saved on. */
static ax_status legacy_head(struct torch_row *r, struct ax_err *err)
{
    struct torch_node *n;

    AX_TRY(torch_row_pickle(r, &n, err));
    AX_TRY(torch_row_pickle(r, &n, err));
    if (n->kind != TORCH_INT || n->i != 1001)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "a legacy checkpoint of another version than 1001");
    AX_TRY(torch_row_pickle(r, &n, err));
    if (n->kind != TORCH_DICT)
        return ax_fail(err, AX_EFORMAT, "its third pickle is no dictionary");
    for (uint32_t i = 0; i + 1 < n->n; i += 2)
        if (n->v[i]->kind == TORCH_TEXT &&
            torch_is(n->v[i]->text, "little_endian") &&
            (n->v[i + 1]->kind != TORCH_BOOL || !n->v[i + 1]->i))
            return ax_fail(err, AX_EUNSUPPORTED,
                           "was saved on a big-endian machine, which is not "
                           "supported");
    return AX_OK;
}

static ax_status read_legacy(struct torch_row *r, size_t *cap,
                             const char *prefix, struct types *t,
                             struct ax_err *err)
{
    struct torch_finder f = {.resolve = resolve_legacy,
                             .self = r,
                             .to = r->c,
                             .cap = *cap,
                             .prefix = prefix};
    struct torch_node *root, *keys;
    ax_status st;

    AX_TRY(torch_pickle_init(&r->pickle, err));
    AX_TRY(legacy_head(r, err));
    AX_TRY(torch_row_pickle(r, &root, err));
    AX_TRY(torch_row_pickle(r, &keys, err));
    AX_TRY(legacy_types(t, &r->pickle, err));
    AX_TRY(legacy_storages(r, t, keys, err));
    f.visits = r->pickle.nodes;
    st = torch_find(&f, root, err);
    *cap = f.cap;
    return st;
}

ax_status torch_read_legacy(struct ax_checkpoint *c, size_t *cap,
                            const unsigned char *data, size_t n,
                            const char *prefix, struct ax_err *err)
{
    struct torch_row r = {.data = data, .n = n, .c = c};
    struct types t = {0};
    ax_status st = read_legacy(&r, cap, prefix, &t, err);

    c->format = *prefix ? "archive" : "torch-legacy";
    free(t.v);
    torch_row_free(&r);
    return st;
}
