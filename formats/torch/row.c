/* Pickles and storages that follow each other. */
#include "formats/torch/row.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

ax_status torch_row_pickle(struct torch_row *r, struct torch_node **root,
                           struct ax_err *err)
{
    size_t used = 0;
    ax_status st = torch_unpickle(root, &used, &r->pickle, r->data + r->at,
                                  r->n - r->at, err);

    r->at += used;
    return st;
}

ax_status torch_row_take(struct torch_row *r, const unsigned char **out,
                         size_t n, struct ax_err *err)
{
    if (n > r->n - r->at)
        return ax_fail(err, AX_EFORMAT, "cut short");
    *out = r->data + r->at;
    r->at += n;
    return AX_OK;
}

ax_status torch_row_storage(struct torch_row *r,
                            const struct torch_storage *what,
                            struct ax_err *err)
{
    size_t size = what->type ? what->type->size : 1;
    struct torch_own *own = r->c->own;
    struct torch_storage *s;
    const unsigned char *p = NULL;
    uint64_t count;

    if (r->n_v == r->cap_v) {
        size_t more = r->cap_v ? 2 * r->cap_v : 64;

        s = reallocarray(r->v, more, sizeof *s);
        if (!s)
            return ax_fail(err, AX_ENOMEM, "no memory for %zu storages",
                           more);
        r->v = s;
        r->cap_v = more;
    }
    AX_TRY(torch_row_take(r, &p, 8, err));
    count = torch_le(p, 8);
    if (count > (r->n - r->at) / size)
        return ax_fail(err, AX_EFORMAT,
                       "storage '%s': %" PRIu64
                       " elements of %zu bytes are more than the file has",
                       torch_show(what->key).s, count, size);
    s = &r->v[r->n_v];
    *s = *what;
    s->nbytes = (size_t)count * size;
    AX_TRY(torch_row_take(r, &s->data, s->nbytes, err));
    s->id = own->storages++;
    r->n_v++;
    return AX_OK;
}

static int by_key(const void *a, const void *b)
{
    const struct torch_storage *x = a, *y = b;
    size_t n = x->key.n < y->key.n ? x->key.n : y->key.n;
    int c = n ? memcmp(x->key.s, y->key.s, n) : 0;

    return c ? c : (x->key.n > y->key.n) - (x->key.n < y->key.n);
}

ax_status torch_row_sort(struct torch_row *r, struct ax_err *err)
{
    if (r->n_v)
        qsort(r->v, r->n_v, sizeof *r->v, by_key);
    for (size_t i = 1; i < r->n_v; i++)
        if (by_key(&r->v[i - 1], &r->v[i]) == 0)
            return ax_fail(err, AX_EFORMAT, "two storages are called '%s'",
                           torch_show(r->v[i].key).s);
    return AX_OK;
}

const struct torch_storage *torch_row_find(const struct torch_row *r,
                                           struct torch_text key)
{
    const struct torch_storage want = {.key = key};

    return r->n_v ? bsearch(&want, r->v, r->n_v, sizeof *r->v, by_key) : NULL;
}

void torch_row_free(struct torch_row *r)
{
    torch_pickle_free(&r->pickle);
    free(r->v);
}
