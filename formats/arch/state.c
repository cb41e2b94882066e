/* The tensors of a state dictionary, found by their names and taken into a
 * graph, and what every graph begins and ends with. */
#include <stdlib.h>
#include <string.h>

#include "ax/infer.h"
#include "formats/arch/arch.h"

enum { SMALL = 65536 };

ax_status arch_begin(struct arch *a, const char *name, struct ax_err *err)
{
    a->m = calloc(1, sizeof *a->m);
    a->g = calloc(1, sizeof *a->g);
    if (a->m)
        a->m->graph = a->g;
    else
        free(a->g);
    if (!a->m || !a->g || !(a->g->name = strdup(name)))
        return ax_fail(err, AX_ENOMEM, "no memory for a graph");
    return AX_OK;
}

ax_status arch_finish(struct arch *a, struct ax_err *err)
{
    AX_TRY(ax_graph_check(a->g, a->m->n_tensors, err));
    AX_TRY(ax_model_infer(a->m, err));
    AX_TRY(ax_model_fold(a->m, err));
    return ax_model_normalise(a->m, err);
}

ax_status arch_push(uint32_t **v, uint32_t *n, uint32_t value,
                    struct ax_err *err)
{
    uint32_t *more = reallocarray(*v, *n + 1u, sizeof *more);

    if (!more)
        return ax_fail(err, AX_ENOMEM, "no memory for a graph");
    *v = more;
    more[(*n)++] = value;
    return AX_OK;
}

static int by_name(const void *a, const void *b)
{
    const struct arch_entry *x = a, *y = b;

    return strcmp(x->name, y->name);
}

void arch_sort(struct arch *a)
{
    qsort(a->entry, a->n_entries, sizeof *a->entry, by_name);
}

struct arch_entry *arch_find(const struct arch *a, const char *name)
{
    const struct arch_entry want = {.name = name};

    return bsearch(&want, a->entry, a->n_entries, sizeof *a->entry, by_name);
}

/* A tensor of the graph, which borrows from the file where it can. Small ones
 * are looked into later, and so have to be aligned. */
static ax_status take_tensor(struct ax_tensor *t, const struct ax_weight *w,
                             struct ax_err *err)
{
    const unsigned char *bytes;
    void *own;
    size_t n;

    if (!w->type)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "is of type %s, which a container does not have",
                       w->dtype);
    AX_TRY(ax_weight_bytes(&bytes, &own, &n, w, err));
    if (!own && n <= SMALL && (uintptr_t)bytes % w->size) {
        own = malloc(n ? n : 1);
        if (!own)
            return ax_fail(err, AX_ENOMEM, "no memory for a tensor");
        memcpy(own, bytes, n);
    }
    *t = (struct ax_tensor){.dtype = w->type,
                            .rank = w->rank,
                            .data = own,
                            .nbytes = n,
                            .owned = own != NULL};
    memcpy(t->dims, w->dims, sizeof t->dims);
    if (!own) /* only read: the model does not write to its tensors */
        memcpy(&t->data, &bytes, sizeof t->data);
    return AX_OK;
}

ax_status arch_take(struct arch *a, uint32_t *v, struct arch_entry *e,
                    struct ax_err *err)
{
    struct ax_tensor t;

    e->used = true;
    if (e->value == AX_NONE) {
        if (take_tensor(&t, e->w, err) != AX_OK)
            return ax_fail_in(err, "tensor '%s'", e->name);
        AX_TRY(arch_constant(a, &e->value, e->name, "", &t, err));
    }
    *v = e->value;
    return AX_OK;
}
