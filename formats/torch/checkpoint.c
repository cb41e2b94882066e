/* Files of weights of any kind: see ax/checkpoint.h. */
#include <stdlib.h>
#include <string.h>

#include "formats/gguf/gguf.h"
#include "formats/torch/torch.h"

static bool is_zip(const unsigned char *p, size_t n)
{
    return n >= 4 &&
           (memcmp(p, "PK\3\4", 4) == 0 || memcmp(p, "PK\5\6", 4) == 0);
}

static bool is_gguf(const unsigned char *p, size_t n)
{
    return n >= 4 && memcmp(p, "GGUF", 4) == 0;
}

static bool is_safetensors(const unsigned char *p, size_t n)
{
    return n >= 9 && p[8] == '{' && torch_le(p, 8) >> 32 == 0;
}

bool ax_checkpoint_sniff(const unsigned char *head, size_t n)
{
    /* What tells a tar from other files lies further back. */
    return is_zip(head, n) || is_safetensors(head, n) ||
           torch_is_legacy(head, n) ||
           (n >= 8 && memcmp(head, "sys_info", 8) == 0) ||
           (n >= 8 && memcmp(head, "storages", 8) == 0) ||
           (n >= 6 && memcmp(head, "pickle", 6) == 0);
}

/* No two tensors of one name: who asks for one must get one. */
static int by_name(const void *a, const void *b)
{
    const struct ax_weight *const *x = a, *const *y = b;

    return strcmp((*x)->name, (*y)->name);
}

static ax_status check_names(const struct ax_checkpoint *c,
                             struct ax_err *err)
{
    const struct ax_weight **v = calloc(c->n + 1, sizeof *v);
    ax_status st = AX_OK;

    if (!v)
        return ax_fail(err, AX_ENOMEM, "no memory for names");
    for (size_t i = 0; i < c->n; i++)
        v[i] = &c->v[i];
    qsort(v, c->n, sizeof *v, by_name);
    for (size_t i = 1; i < c->n && st == AX_OK; i++)
        if (strcmp(v[i - 1]->name, v[i]->name) == 0)
            st = ax_fail(err, AX_EFORMAT, "two tensors are called '%s'",
                         torch_show((struct torch_text){v[i]->name,
                                                        strlen(v[i]->name)})
                             .s);
    free(v);
    return st;
}

ax_status ax_checkpoint_read(struct ax_checkpoint *out,
                             const unsigned char *data, size_t n,
                             struct ax_err *err)
{
    struct torch_own *own = calloc(1, sizeof *own);
    size_t cap = 0;

    *out = (struct ax_checkpoint){.format = "", .own = own};
    if (!own || !(own->arena = ax_arena_new()))
        return ax_fail(err, AX_ENOMEM, "no memory for a checkpoint");
    own->budget = torch_zip_budget(n);
    if (is_zip(data, n))
        AX_TRY(torch_read_zip(out, &cap, data, n, "", err));
    else if (torch_is_legacy(data, n))
        AX_TRY(torch_read_legacy(out, &cap, data, n, "", err));
    else if (torch_is_tar(data, n))
        AX_TRY(torch_read_tar(out, &cap, data, n, "", err));
    else if (is_gguf(data, n))
        AX_TRY(gguf_read(out, &cap, data, n, err));
    else if (is_safetensors(data, n))
        AX_TRY(safetensors_read(out, data, n, err));
    else
        return ax_fail(err, AX_EFORMAT,
                       "is neither a PyTorch checkpoint nor safetensors nor "
                       "GGUF");
    return check_names(out, err);
}

void ax_checkpoint_free(struct ax_checkpoint *c)
{
    struct torch_own *own = c->own;

    for (size_t i = 0; i < c->n; i++)
        free(c->v[i].name);
    free(c->v);
    if (own)
        ax_arena_free(own->arena);
    free(own);
    *c = (struct ax_checkpoint){0};
}
