/* Memory of a run: buffers that are used again, under a limit. */
#include "plan.h"

#include <stdlib.h>

#define ALIGN 64

/* The list of free buffers is searched from end to end. */
#define FREE_MAX 64

static void drop_cached(struct pool *p, size_t until)
{
    while (p->free && p->live + p->cached > until) {
        struct buf *b = p->free;

        p->free = b->next;
        p->cached -= b->size;
        p->n_free--;
        free(b->data);
        free(b);
    }
}

/* The smallest free buffer that holds n bytes and does not waste half. */
static struct buf *find(struct pool *p, size_t n)
{
    struct buf **best = NULL, *b;

    for (struct buf **at = &p->free; *at; at = &(*at)->next)
        if ((*at)->size >= n && (*at)->size / 2 <= n &&
            (!best || (*at)->size < (*best)->size))
            best = at;
    if (!best)
        return NULL;
    b = *best;
    *best = b->next;
    p->cached -= b->size;
    p->n_free--;
    return b;
}

ax_status pool_get(struct buf **out, struct pool *p, size_t n,
                   struct ax_err *err)
{
    struct buf *b;

    if (n > p->limit || p->live > p->limit - n)
        return ax_fail(err, AX_ENOMEM,
                       "%zu bytes for a tensor, with %zu in use, are over "
                       "the limit of %zu",
                       n, p->live, p->limit);
    n = n ? (n + ALIGN - 1) / ALIGN * ALIGN : ALIGN;
    b = find(p, n);
    if (!b) {
        drop_cached(p, p->limit > n ? p->limit - n : 0);
        b = malloc(sizeof *b);
        if (b && !(b->data = aligned_alloc(ALIGN, n))) {
            free(b);
            b = NULL;
        }
        if (!b)
            return ax_fail(err, AX_ENOMEM, "no memory for %zu bytes", n);
        b->size = n;
    }
    b->refs = 1;
    b->next = NULL;
    p->live += b->size;
    *out = b;
    return AX_OK;
}

void pool_put(struct pool *p, struct buf *b)
{
    if (!b || --b->refs > 0)
        return;
    p->live -= b->size;
    if (p->n_free >= FREE_MAX) {
        free(b->data);
        free(b);
        return;
    }
    p->n_free++;
    p->cached += b->size;
    b->next = p->free;
    p->free = b;
}

void *pool_give(struct pool *p, struct buf *b)
{
    void *data = b->data;

    p->live -= b->size;
    free(b);
    return data;
}

void pool_clear(struct pool *p)
{
    drop_cached(p, 0);
}
