/* Rows out of a folder: each folder in it is a class, in the order of their
 * names as bytes, and each file in one of these is a row: an image or a
 * sound. The record has one digest of all: that of the lines "DIGEST  PATH"
 * of the files, in the same order, as sha256sum writes them. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ax-train/data.h"
#include "ax-train/media.h"
#include "common/file.h"

#define FILES_MAX  ((size_t)1 << 24)
#define FILE_BYTES ((size_t)1 << 28)

struct names {
    char **v;
    size_t n;
};

static void free_names(struct names *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->v[i]);
    free(list->v);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What is in a folder, but for names that begin with a dot, sorted. */
static ax_status list_folder(struct names *list, const char *path,
                             struct ax_err *err)
{
    DIR *dir = opendir(path);
    const struct dirent *e;
    ax_status st = AX_OK;

    *list = (struct names){0};
    if (!dir)
        return ax_fail(err, errno == ENOMEM ? AX_ENOMEM : AX_ENOINPUT,
                       "%s: %s", path, strerror(errno));
    while (st == AX_OK && (e = readdir(dir))) {
        char **more;

        if (e->d_name[0] == '.')
            continue;
        more = list->n < FILES_MAX
                   ? realloc(list->v, (list->n + 1) * sizeof *more)
                   : NULL;
        if (more)
            list->v = more;
        if (!more || !(list->v[list->n] = strdup(e->d_name)))
            st = ax_fail(err, AX_ENOMEM, "no memory for names of files");
        else
            list->n++;
    }
    closedir(dir);
    if (st == AX_OK && list->n > 0)
        qsort(list->v, list->n, sizeof *list->v, by_bytes);
    return st;
}

static char *join(const char *a, const char *b)
{
    size_t n = strlen(a) + strlen(b) + 2;
    char *path = malloc(n);

    if (path)
        snprintf(path, n, "%s/%s", a, b);
    return path;
}

/* Rows as they come in. */
struct rows {
    struct media_wanted want;
    size_t n, room, row; /* row: bytes of one */
    bool image;
    unsigned char *x;
    int64_t *labels;
    char *digests; /* lines */
    size_t n_digests;
};

static ax_status make_room(struct rows *r, struct ax_err *err)
{
    size_t room = r->n < r->room ? r->room : 2 * r->room + 64, bytes;
    unsigned char *x;
    int64_t *labels;

    if (room == r->room)
        return AX_OK;
    if (__builtin_mul_overflow(room, r->row, &bytes))
        return ax_fail(err, AX_ENOMEM, "no memory for %zu rows", room);
    x = realloc(r->x, bytes);
    if (x)
        r->x = x;
    labels = realloc(r->labels, room * sizeof *labels);
    if (labels)
        r->labels = labels;
    if (!x || !labels)
        return ax_fail(err, AX_ENOMEM, "no memory for %zu rows", room);
    r->room = room;
    return AX_OK;
}

static ax_status add_digest(struct rows *r, const unsigned char *bytes,
                            size_t n, const char *class, const char *name,
                            struct ax_err *err)
{
    size_t line = 64 + 2 + strlen(class) + 1 + strlen(name) + 1;
    char *more = realloc(r->digests, r->n_digests + line + 1), hex[65];
    unsigned char digest[32];

    if (!more)
        return ax_fail(err, AX_ENOMEM, "no memory for digests");
    ax_sha256(digest, bytes, n);
    ax_hex32(hex, digest);
    snprintf(more + r->n_digests, line + 1, "%s  %s/%s\n", hex, class, name);
    r->digests = more;
    r->n_digests += line;
    return AX_OK;
}

static ax_status add_file(struct rows *r, const char *path, const char *class,
                          const char *name, int64_t label, struct ax_err *err)
{
    unsigned char *bytes = NULL;
    size_t n;
    ax_status st;

    AX_TRY(make_room(r, err));
    AX_TRY(cmd_in_read(&bytes, &n, path, FILE_BYTES, err));
    st = r->image ? media_image(r->x + r->n * r->row, &r->want, bytes, n, err)
                  : media_sound((float *)(void *)(r->x + r->n * r->row),
                                &r->want, bytes, n, err);
    if (st != AX_OK)
        (void)ax_fail_in(err, "%s", path);
    else
        st = add_digest(r, bytes, n, class, name, err);
    free(bytes);
    r->labels[r->n++] = label;
    return st;
}

static ax_status add_class(struct rows *r, const char *folder,
                           const char *class, int64_t label,
                           struct ax_err *err)
{
    char *path = join(folder, class);
    struct names list = {0};
    ax_status st = path ? list_folder(&list, path, err)
                        : ax_fail(err, AX_ENOMEM, "no memory for a path");

    for (size_t i = 0; st == AX_OK && i < list.n; i++) {
        char *file = join(path, list.v[i]);

        st = file ? add_file(r, file, class, list.v[i], label, err)
                  : ax_fail(err, AX_ENOMEM, "no memory for a path");
        free(file);
    }
    free_names(&list);
    free(path);
    return st;
}

static ax_status take_rows(struct data *d, struct rows *r, struct ax_err *err)
{
    int64_t dims[AX_RANK_MAX] = {(int64_t)r->n};

    memcpy(dims + 1, r->want.dims, (size_t)r->want.rank * sizeof *dims);
    AX_TRY(ax_tensor_new(&d->x, r->image ? AX_U8 : AX_F32, r->want.rank + 1,
                         dims, err));
    memcpy(d->x.data, r->x, r->n * r->row);
    AX_TRY(ax_tensor_new(&d->y, AX_I64, 1, dims, err));
    memcpy(d->y.data, r->labels, r->n * sizeof *r->labels);
    return AX_OK;
}

static ax_status read_classes(struct data *d, struct rows *r,
                              const char *path, const struct names *classes,
                              const struct data_wanted *want,
                              struct data_files *files, struct ax_err *err)
{
    if (classes->n == 0 || classes->n > want->outputs)
        return ax_fail(err, AX_EFORMAT,
                       "%zu folders, the network has %zu classes", classes->n,
                       want->outputs);
    for (size_t i = 0; i < classes->n; i++)
        AX_TRY(add_class(r, path, classes->v[i], (int64_t)i, err));
    if (r->n == 0)
        return ax_fail(err, AX_EFORMAT, "has no files in its folders");
    files->v[files->n].name = path;
    ax_sha256(files->v[files->n++].sha256, r->digests, r->n_digests);
    return take_rows(d, r, err);
}

ax_status data_read_folder(struct data *d, const char *path,
                           const struct data_wanted *want,
                           struct data_files *files, struct ax_err *err)
{
    struct rows r = {.want = {want->rank, want->dims}};
    struct names classes;
    ax_status st;

    r.image = want->rank == 3 && (want->dims[0] == 1 || want->dims[0] == 3) &&
              want->dims[1] > 1;
    r.row = r.image ? want->inputs : want->inputs * sizeof(float);
    if (!want->classes)
        return ax_fail(err, AX_EUSAGE, "a folder has classes, not values");
    if (!r.image && want->inputs != (size_t)want->dims[want->rank - 1])
        return ax_fail(err, AX_ESHAPE,
                       "a folder has images of 1 or 3 channels, or sounds");
    AX_TRY(list_folder(&classes, path, err));
    st = read_classes(d, &r, path, &classes, want, files, err);
    free_names(&classes);
    free(r.x);
    free(r.labels);
    free(r.digests);
    return st;
}
