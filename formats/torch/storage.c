/* How pickles name storages: by a tuple with class, key and count. */
#include <inttypes.h>

#include "formats/torch/torch.h"

ax_status torch_storage_type(const struct torch_dtype **out,
                             const struct torch_node *class,
                             struct ax_err *err)
{
    const struct torch_global *g;

    *out = NULL;
    if (class->kind != TORCH_GLOBAL)
        return ax_fail(err, AX_EFORMAT, "the class of a storage has no name");
    g = class->global;
    if (torch_is(g->module, "torch.storage") &&
        (torch_is(g->name, "UntypedStorage") ||
         torch_is(g->name, "_UntypedStorage")))
        return AX_OK;
    if (torch_is(g->module, "torch") || torch_is(g->module, "torch.cuda"))
        *out = torch_dtype_of_storage(g->name);
    if (!*out)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "storages of class %s.%s are not supported",
                       torch_show(g->module).s, torch_show(g->name).s);
    return AX_OK;
}

ax_status torch_storage_id(struct torch_storage *out, int64_t *count,
                           const struct torch_node *id, struct ax_err *err)
{
    if (id->kind != TORCH_TUPLE || id->n < 5 ||
        id->v[0]->kind != TORCH_TEXT ||
        !torch_is(id->v[0]->text, "storage") ||
        id->v[2]->kind != TORCH_TEXT || id->v[4]->kind != TORCH_INT ||
        id->v[4]->i < 0)
        return ax_fail(err, AX_EFORMAT, "its storage is badly named");
    out->key = id->v[2]->text;
    *count = id->v[4]->i;
    return torch_storage_type(&out->type, id->v[1], err);
}

ax_status torch_check_size(const struct torch_storage *s, int64_t count,
                           size_t nbytes, struct ax_err *err)
{
    size_t size = s->type ? s->type->size : 1;

    if ((uint64_t)count > SIZE_MAX / size || (size_t)count * size != nbytes)
        return ax_fail(err, AX_EFORMAT,
                       "storage '%s' has %zu bytes, wants %" PRId64
                       " elements of %zu",
                       torch_show(s->key).s, nbytes, count, size);
    return AX_OK;
}
