/* Checkpoints of the first PyTorch (0.1): a tar archive with the members
 * sys_info, storages, tensors and pickle. Some writers leave out tensors,
 * and have storages named as in later containers. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/torch/row.h"

enum { BLOCK = 512 };

/* ---- the archive ---- */

bool torch_is_tar(const unsigned char *data, size_t n)
{
    return n >= BLOCK && memcmp(data + 257, "ustar", 5) == 0;
}

static ax_status octal(uint64_t *out, const unsigned char *p, size_t n,
                       struct ax_err *err)
{
    size_t i = 0;

    *out = 0;
    while (i < n && p[i] == ' ')
        i++;
    for (; i < n && p[i] >= '0' && p[i] <= '7'; i++)
        *out = *out << 3 | (uint64_t)(p[i] - '0');
    if (i == 0 || (i < n && p[i] && p[i] != ' '))
        return ax_fail(err, AX_EFORMAT, "tar: a number is malformed");
    return AX_OK;
}

/* Is the sum of a header's bytes, its own field as spaces, what it says? */
static ax_status check_sum(const unsigned char *p, struct ax_err *err)
{
    uint64_t want, sum = 0;

    AX_TRY(octal(&want, p + 148, 8, err));
    for (int i = 0; i < BLOCK; i++)
        sum += i >= 148 && i < 156 ? ' ' : p[i];
    return sum == want ? AX_OK
                       : ax_fail(err, AX_EFORMAT, "tar: a header is damaged");
}

ax_status torch_tar_next(struct torch_entry *out, size_t *at,
                         const unsigned char *data, size_t n,
                         struct ax_err *err)
{
    const unsigned char *p = data + *at;
    uint64_t size;

    *out = (struct torch_entry){0};
    if (n - *at < BLOCK)
        return ax_fail(err, AX_EFORMAT, "tar: cut short");
    if (!p[0])
        return AX_OK;
    AX_TRY(check_sum(p, err));
    AX_TRY(octal(&size, p + 124, 12, err));
    if (size > n - *at - BLOCK)
        return ax_fail(err, AX_EFORMAT, "tar: a member is cut short");
    out->name = (struct torch_text){(const char *)p,
                                    strnlen((const char *)p, 100)};
    out->data = p + BLOCK;
    out->n = (size_t)size;
    *at += BLOCK + (out->n + BLOCK - 1) / BLOCK * BLOCK;
    if (*at > n)
        return ax_fail(err, AX_EFORMAT, "tar: cut short");
    return AX_OK;
}

enum { SYS_INFO, STORAGES, TENSORS, PICKLE, MEMBERS };

static ax_status find_members(struct torch_entry *v,
                              const unsigned char *data, size_t n,
                              struct ax_err *err)
{
    static const char *const names[MEMBERS] = {"sys_info", "storages",
                                               "tensors", "pickle"};
    struct torch_entry e;
    size_t at = 0;

    for (;;) {
        AX_TRY(torch_tar_next(&e, &at, data, n, err));
        if (!e.data)
            break;
        if (e.name.n > 2 && memcmp(e.name.s, "./", 2) == 0) {
            e.name.s += 2;
            e.name.n -= 2;
        }
        for (int i = 0; i < MEMBERS; i++)
            if (torch_is(e.name, names[i])) {
                if (v[i].data)
                    return ax_fail(err, AX_EFORMAT,
                                   "tar: two members are called '%s'",
                                   names[i]);
                v[i] = e;
            }
    }
    for (int i = 0; i < MEMBERS; i++)
        if (!v[i].data && i != TENSORS)
            return ax_fail(err, AX_EFORMAT, "tar: has no member '%s'",
                           names[i]);
    return AX_OK;
}

/* ---- storages and tensors ---- */

struct tensor {
    struct torch_text key;
    struct ax_weight w;
};

struct tar {
    struct torch_row row; /* its data are those of a member */
    struct tensor *v;
    size_t n;
};

/* The text of a key, which may be a number. */
static ax_status key_of(struct torch_text *out, struct torch_row *r,
                        const struct torch_node *n, struct ax_err *err)
{
    char *s;

    if (n->kind == TORCH_TEXT || n->kind == TORCH_LONG) {
        *out = n->text;
        return AX_OK;
    }
    if (n->kind != TORCH_INT)
        return ax_fail(err, AX_EFORMAT, "a key is no number and no text");
    s = ax_arena_alloc(r->pickle.arena, 24, 1);
    if (!s)
        return ax_fail(err, AX_ENOMEM, "no memory for a key");
    *out = (struct torch_text){s, (size_t)snprintf(s, 24, "%" PRId64, n->i)};
    return AX_OK;
}

static ax_status count_of(int64_t *out, struct torch_row *r,
                          struct ax_err *err)
{
    struct torch_node *n;

    AX_TRY(torch_row_pickle(r, &n, err));
    /* Each thing that is counted has bytes. */
    if (n->kind != TORCH_INT || n->i < 0 || (uint64_t)n->i > r->n)
        return ax_fail(err, AX_EFORMAT, "a count is malformed");
    *out = n->i;
    return AX_OK;
}

static void enter(struct torch_row *r, const struct torch_entry *e)
{
    r->data = e->data;
    r->n = e->n;
    r->at = 0;
}

static ax_status read_storages(struct torch_row *r,
                               const struct torch_entry *e,
                               struct ax_err *err)
{
    struct torch_node *n;
    int64_t count;

    enter(r, e);
    AX_TRY(count_of(&count, r, err));
    for (int64_t i = 0; i < count; i++) {
        struct torch_storage s = {0};

        AX_TRY(torch_row_pickle(r, &n, err));
        if (n->kind != TORCH_TUPLE || n->n != 3)
            return ax_fail(err, AX_EFORMAT, "a storage has no description");
        AX_TRY(key_of(&s.key, r, n->v[0], err));
        AX_TRY(torch_storage_type(&s.type, n->v[2], err));
        AX_TRY(torch_row_storage(r, &s, err));
    }
    if (r->at < r->n) { /* parts of storages as storages of their own */
        AX_TRY(torch_row_pickle(r, &n, err));
        if (n->kind != TORCH_LIST || n->n)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "views of storages are not supported in a tar "
                           "checkpoint");
    }
    if (r->at != r->n)
        return ax_fail(err, AX_EFORMAT, "%zu bytes follow its storages",
                       r->n - r->at);
    return torch_row_sort(r, err);
}

/* (key, storage, class), and then rank, shape, strides and offset. */
static ax_status read_tensor(struct tensor *t, struct torch_row *r,
                             struct ax_err *err)
{
    const struct torch_storage *s;
    const unsigned char *p = NULL;
    struct torch_text key;
    struct torch_node *n;

    AX_TRY(torch_row_pickle(r, &n, err));
    if (n->kind != TORCH_TUPLE || n->n != 3)
        return ax_fail(err, AX_EFORMAT, "a tensor has no description");
    AX_TRY(key_of(&t->key, r, n->v[0], err));
    AX_TRY(key_of(&key, r, n->v[1], err));
    s = torch_row_find(r, key);
    if (!s || !s->type)
        return ax_fail(err, AX_EFORMAT, "a tensor has no storage");
    AX_TRY(torch_row_take(r, &p, 8, err));
    if (torch_le(p, 4) > AX_RANK_MAX)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "a tensor has more than %d dimensions", AX_RANK_MAX);
    t->w = (struct ax_weight){.dtype = s->type->name,
                              .type = s->type->type,
                              .size = s->type->size,
                              .storage = s->id,
                              .rank = (int)torch_le(p, 4)};
    AX_TRY(torch_row_take(r, &p, 16 * (size_t)t->w.rank + 8, err));
    for (int i = 0; i < t->w.rank; i++) {
        t->w.dims[i] = (int64_t)torch_le(p + 8 * i, 8);
        t->w.strides[i] = (int64_t)torch_le(p + 8 * (t->w.rank + i), 8);
    }
    return torch_place(&t->w, s->data, s->nbytes,
                       (int64_t)torch_le(p + 16 * (size_t)t->w.rank, 8), err);
}

static int by_key(const void *a, const void *b)
{
    const struct tensor *x = a, *y = b;
    size_t n = x->key.n < y->key.n ? x->key.n : y->key.n;
    int c = n ? memcmp(x->key.s, y->key.s, n) : 0;

    return c ? c : (x->key.n > y->key.n) - (x->key.n < y->key.n);
}

static ax_status read_tensors(struct tar *t, const struct torch_entry *e,
                              struct ax_err *err)
{
    int64_t count;

    if (!e->data)
        return AX_OK;
    enter(&t->row, e);
    AX_TRY(count_of(&count, &t->row, err));
    t->v = calloc((size_t)count + 1, sizeof *t->v);
    if (!t->v)
        return ax_fail(err, AX_ENOMEM, "no memory for tensors");
    for (; t->n < (size_t)count; t->n++)
        AX_TRY(read_tensor(&t->v[t->n], &t->row, err));
    qsort(t->v, t->n, sizeof *t->v, by_key);
    return AX_OK;
}

/* ---- the objects ---- */

static ax_status resolve_storage(struct torch_storage *out, void *self,
                                 const struct torch_node *id,
                                 struct ax_err *err)
{
    struct tar *t = self;
    const struct torch_storage *s;
    int64_t count = 0;

    AX_TRY(torch_storage_id(out, &count, id, err));
    s = torch_row_find(&t->row, out->key);
    if (!s || s->type != out->type)
        return ax_fail(err, AX_EFORMAT, "storage '%s' is not in the file",
                       torch_show(out->key).s);
    AX_TRY(torch_check_size(out, count, s->nbytes, err));
    *out = *s;
    return AX_OK;
}

static ax_status resolve_tensor(struct ax_weight *out, void *self,
                                const struct torch_node *id,
                                struct ax_err *err)
{
    struct tar *t = self;
    const struct tensor *found;
    struct tensor want = {0};

    if (id->kind == TORCH_TUPLE) /* names a container, or a storage */
        return AX_OK;
    AX_TRY(key_of(&want.key, &t->row, id, err));
    found = t->n ? bsearch(&want, t->v, t->n, sizeof *t->v, by_key) : NULL;
    if (found)
        *out = found->w;
    else if (!torch_row_find(&t->row, want.key))
        return ax_fail(err, AX_EFORMAT, "tensor '%s' is not in the file",
                       torch_show(want.key).s);
    return AX_OK;
}

static ax_status read_tar(struct tar *t, size_t *cap,
                          const struct torch_entry *v, const char *prefix,
                          struct ax_err *err)
{
    struct torch_finder f = {.resolve = resolve_storage,
                             .tensor = resolve_tensor,
                             .self = t,
                             .to = t->row.c,
                             .cap = *cap,
                             .prefix = prefix};
    struct torch_node *root;
    ax_status st;

    AX_TRY(torch_pickle_init(&t->row.pickle, err));
    AX_TRY(read_storages(&t->row, &v[STORAGES], err));
    AX_TRY(read_tensors(t, &v[TENSORS], err));
    enter(&t->row, &v[PICKLE]);
    AX_TRY(torch_row_pickle(&t->row, &root, err));
    if (t->row.at != t->row.n)
        return ax_fail(err, AX_EFORMAT, "pickle: %zu bytes follow its end",
                       t->row.n - t->row.at);
    f.visits = t->row.pickle.nodes;
    st = torch_find(&f, root, err);
    *cap = f.cap;
    return st;
}

ax_status torch_read_tar(struct ax_checkpoint *c, size_t *cap,
                         const unsigned char *data, size_t n,
                         const char *prefix, struct ax_err *err)
{
    struct torch_entry v[MEMBERS] = {0};
    struct tar t = {.row = {.c = c}};
    ax_status st = find_members(v, data, n, err);

    c->format = "torch-tar";
    if (st == AX_OK)
        st = read_tar(&t, cap, v, prefix, err);
    free(t.v);
    torch_row_free(&t.row);
    return st;
}
