/* Checkpoints that are zip archives: one pickle, and a member for each
 * storage; TorchScript archives, which are the same with code; and archives
 * of checkpoints. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/torch/torch.h"

/* The most that a zip in a zip in a zip may nest; one is usual. */
enum { NEST_MAX = 3 };

static struct torch_own *own_of(struct ax_checkpoint *c)
{
    return c->own;
}

struct zip_source {
    struct ax_checkpoint *c;
    struct torch_zip zip;
    struct torch_text root;     /* the folder of data.pkl, with its slash */
    uint32_t first_id;          /* of this archive's storages */
    const unsigned char **data; /* [members] what was read already */
};

/* The member ROOT + FOLDER + NAME, or NULL. */
static const struct torch_member *
member(const struct zip_source *z, const char *folder, struct torch_text name)
{
    char path[1024];
    size_t n = z->root.n + strlen(folder) + name.n;

    if (n > sizeof path)
        return NULL;
    if (z->root.n)
        memcpy(path, z->root.s, z->root.n);
    memcpy(path + z->root.n, folder, strlen(folder));
    if (name.n)
        memcpy(path + n - name.n, name.s, name.n);
    return torch_zip_find(&z->zip, (struct torch_text){path, n});
}

static ax_status zip_bytes(const unsigned char **out, struct zip_source *z,
                           const struct torch_member *m, struct ax_err *err)
{
    struct torch_own *own = own_of(z->c);
    size_t i = (size_t)(m - z->zip.v);

    if (!z->data[i])
        AX_TRY(
            torch_zip_bytes(&z->data[i], &own->budget, own->arena, m, err));
    *out = z->data[i];
    return AX_OK;
}

static ax_status resolve_zip(struct torch_storage *out, void *self,
                             const struct torch_node *id, struct ax_err *err)
{
    struct zip_source *z = self;
    const struct torch_member *m;
    int64_t count = 0;

    AX_TRY(torch_storage_id(out, &count, id, err));
    m = member(z, "data/", out->key);
    if (!m)
        return ax_fail(err, AX_EFORMAT, "storage '%s' is not in the archive",
                       torch_show(out->key).s);
    AX_TRY(torch_check_size(out, count, m->n, err));
    AX_TRY(zip_bytes(&out->data, z, m, err));
    out->nbytes = m->n;
    out->id = z->first_id + (uint32_t)(m - z->zip.v);
    return AX_OK;
}

static ax_status check_order(struct zip_source *z, struct ax_err *err)
{
    const struct torch_member *m = member(z, "byteorder",
                                          (struct torch_text){"", 0});
    const unsigned char *p = NULL;

    if (!m)
        return AX_OK;
    AX_TRY(zip_bytes(&p, z, m, err));
    if (!torch_is((struct torch_text){(const char *)p, m->n}, "little"))
        return ax_fail(
            err, AX_EUNSUPPORTED, "byte order '%s' is not supported",
            torch_show((struct torch_text){(const char *)p, m->n}).s);
    return AX_OK;
}

static bool ends_with(struct torch_text t, const char *end, size_t *at)
{
    size_t n = strlen(end);

    *at = t.n - n;
    return t.n >= n && memcmp(t.s + t.n - n, end, n) == 0;
}

/* The one data.pkl; *out is NULL if there is none. */
static ax_status find_pickle(const struct torch_member **out,
                             struct zip_source *z, struct ax_err *err)
{
    size_t at = 0;

    *out = NULL;
    for (size_t i = 0; i < z->zip.n; i++) {
        struct torch_text name = z->zip.v[i].name;

        if (!torch_is(name, "data.pkl") &&
            (!ends_with(name, "/data.pkl", &at) || memchr(name.s, '/', at)))
            continue;
        if (*out)
            return ax_fail(err, AX_EFORMAT,
                           "two members could be its pickle, '%s' and '%s'",
                           torch_show((*out)->name).s, torch_show(name).s);
        *out = &z->zip.v[i];
        z->root = (struct torch_text){name.s, name.n - 8};
    }
    return AX_OK;
}

static ax_status zip_objects(struct zip_source *z, size_t *cap,
                             const struct torch_member *m, const char *prefix,
                             struct ax_err *err)
{
    struct torch_finder f = {.resolve = resolve_zip,
                             .self = z,
                             .to = z->c,
                             .cap = *cap,
                             .prefix = prefix};
    struct torch_pickle p = {0};
    struct torch_node *root;
    const unsigned char *data;
    size_t used;
    ax_status st;

    AX_TRY(check_order(z, err));
    f.script = member(z, "constants.pkl", (struct torch_text){"", 0}) != NULL;
    z->c->format = *prefix    ? "archive"
                   : f.script ? "torchscript"
                              : "torch-zip";
    AX_TRY(zip_bytes(&data, z, m, err));
    AX_TRY(torch_pickle_init(&p, err));
    st = torch_unpickle(&root, &used, &p, data, m->n, err);
    if (st == AX_OK && used != m->n)
        st = ax_fail(err, AX_EFORMAT, "pickle: %zu bytes follow its end",
                     m->n - used);
    f.visits = p.nodes;
    if (st == AX_OK)
        st = torch_find(&f, root, err);
    *cap = f.cap;
    torch_pickle_free(&p);
    return st;
}

/* Archives whose members are checkpoints, as Stable-Baselines makes them. */
static ax_status zip_members(struct zip_source *z, size_t *cap,
                             const char *prefix, struct ax_err *err)
{
    bool any = false;
    size_t at, depth = 0;

    for (const char *p = prefix; *p; p++)
        depth += *p == ':';
    for (size_t i = 0; i < z->zip.n; i++) {
        const struct torch_member *m = &z->zip.v[i];
        const unsigned char *data;
        char name[256];

        if (!ends_with(m->name, ".pth", &at) &&
            !ends_with(m->name, ".pt", &at))
            continue;
        if (depth == NEST_MAX || m->name.n + strlen(prefix) + 2 > sizeof name)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "archives are nested too deep");
        AX_TRY(zip_bytes(&data, z, m, err));
        snprintf(name, sizeof name, "%s%.*s:", prefix, (int)m->name.n,
                 m->name.s);
        any = true;
        if ((torch_is_legacy(data, m->n)
                 ? torch_read_legacy(z->c, cap, data, m->n, name, err)
                 : torch_read_zip(z->c, cap, data, m->n, name, err)) != AX_OK)
            return ax_fail_in(err, "%s", torch_show(m->name).s);
    }
    if (!any)
        return ax_fail(err, AX_EFORMAT,
                       "is an archive without data.pkl, and without "
                       "members that are checkpoints");
    z->c->format = "archive";
    return AX_OK;
}

ax_status torch_read_zip(struct ax_checkpoint *c, size_t *cap,
                         const unsigned char *data, size_t n,
                         const char *prefix, struct ax_err *err)
{
    struct torch_own *own = own_of(c);
    struct zip_source z = {.c = c, .first_id = own->storages};
    const struct torch_member *m = NULL;
    ax_status st = torch_zip_open(&z.zip, data, n, err);

    if (st == AX_OK) {
        own->storages += (uint32_t)z.zip.n;
        z.data = calloc(z.zip.n + 1, sizeof *z.data);
        st = z.data ? find_pickle(&m, &z, err)
                    : ax_fail(err, AX_ENOMEM, "no memory for a directory");
    }
    if (st == AX_OK)
        st = m ? zip_objects(&z, cap, m, prefix, err)
               : zip_members(&z, cap, prefix, err);
    free(z.data);
    torch_zip_free(&z.zip);
    return st;
}
