/* The files of weights in a folder. They are mapped one behind the other in
 * one piece of address space, which the model takes over, so that tensors
 * are never copied. Names come from an index that is as hostile as the rest:
 * none may lead out of the folder. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formats/hf/hf.h"

enum { SHARDS_MAX = 4096, INDEX_MAX = 64 << 20 };

/* ---- one file ---- */

/* *fd is -1 if there is no such file and it is not needed. */
static ax_status open_file(int *fd, size_t *size, int folder,
                           const char *name, bool needed, struct ax_err *err)
{
    struct stat info;

    *fd = openat(folder, name,
                 O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0 && errno == ENOENT && !needed)
        return AX_OK;
    if (*fd < 0)
        return ax_fail(err, AX_EFORMAT, "'%.200s': %s", name,
                       errno == ELOOP
                           ? "is a symbolic link, which could lead out of "
                             "the folder; cp -L makes a copy that has none"
                           : strerror(errno));
    if (fstat(*fd, &info) || !S_ISREG(info.st_mode) || info.st_size <= 0) {
        close(*fd);
        *fd = -1;
        return ax_fail(err, AX_EFORMAT,
                       "'%.200s': is empty or no regular file", name);
    }
    *size = (size_t)info.st_size;
    return AX_OK;
}

static size_t whole_pages(size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    return (n + page - 1) / page * page;
}

/* Map files of these names, in this order. */
static ax_status map_files(struct hf_files *f, int folder,
                           const struct ax_format_options *opt, int *fds,
                           struct ax_err *err)
{
    size_t at = 0;

    for (size_t i = 0; i < f->n; i++) {
        AX_TRY(
            open_file(&fds[i], &f->v[i].n, folder, f->v[i].name, true, err));
        if (__builtin_add_overflow(f->size, whole_pages(f->v[i].n), &f->size))
            return ax_fail(err, AX_EFORMAT, "too many bytes to count");
        if (opt->max_bytes && f->size > whole_pages(opt->max_bytes))
            return ax_fail(err, AX_EFORMAT,
                           "the weights are larger than %zu bytes",
                           opt->max_bytes);
    }
    f->map = mmap(NULL, f->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                  0);
    if (f->map == MAP_FAILED) {
        f->map = NULL;
        return ax_fail(err, AX_ENOMEM, "no room to map the weights");
    }
    for (size_t i = 0; i < f->n; i++) {
        void *p = mmap((char *)f->map + at, f->v[i].n, PROT_READ,
                       MAP_PRIVATE | MAP_FIXED, fds[i], 0);

        if (p == MAP_FAILED)
            return ax_fail(err, errno == ENOMEM ? AX_ENOMEM : AX_EIO,
                           "'%.200s': cannot be mapped: %s", f->v[i].name,
                           strerror(errno));
        f->v[i].data = p;
        at += whole_pages(f->v[i].n);
    }
    return AX_OK;
}

static ax_status read_files(struct hf_files *f, int folder,
                            const struct ax_format_options *opt,
                            struct ax_err *err)
{
    int *fds = malloc((f->n + 1) * sizeof *fds);
    ax_status st;

    if (!fds)
        return ax_fail(err, AX_ENOMEM, "no memory for files");
    for (size_t i = 0; i < f->n; i++)
        fds[i] = -1;
    st = map_files(f, folder, opt, fds, err);
    for (size_t i = 0; i < f->n; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(fds);
    for (size_t i = 0; i < f->n && st == AX_OK; i++) {
        st = ax_checkpoint_read(&f->v[i].checkpoint, f->v[i].data, f->v[i].n,
                                err);
        if (st != AX_OK)
            (void)ax_fail_in(err, "%.200s", f->v[i].name);
    }
    return st;
}

static ax_status add_file(struct hf_files *f, const char *name,
                          struct ax_err *err)
{
    struct hf_file *more;

    if (f->n == SHARDS_MAX)
        return ax_fail(err, AX_EFORMAT, "has more than %d files", SHARDS_MAX);
    more = reallocarray(f->v, f->n + 1, sizeof *more);
    if (!more)
        return ax_fail(err, AX_ENOMEM, "no memory for files");
    f->v = more;
    more[f->n] = (struct hf_file){.name = strdup(name)};
    return more[f->n++].name ? AX_OK
                             : ax_fail(err, AX_ENOMEM, "no memory for files");
}

/* ---- the index ---- */

static ax_status load_index(json_t **out, int fd, size_t size,
                            struct ax_err *err)
{
    json_error_t why;
    void *map;

    if (size > INDEX_MAX)
        return ax_fail(err, AX_EFORMAT, "has more than %d bytes", INDEX_MAX);
    map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return ax_fail(err, AX_EIO, "cannot be mapped: %s", strerror(errno));
    *out = json_loadb(map, size, JSON_REJECT_DUPLICATES, &why);
    munmap(map, size);
    if (!*out)
        return ax_fail(err, AX_EFORMAT, "line %d: %s", why.line, why.text);
    return AX_OK;
}

static struct hf_file *file_of(const struct hf_files *f, const char *name)
{
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->v[i].name, name) == 0)
            return &f->v[i];
    return NULL;
}

static ax_status index_files(struct hf_files *f, json_t *map,
                             struct ax_err *err)
{
    const char *key;
    json_t *value;

    if (!json_object_size(map))
        return ax_fail(err, AX_EFORMAT, "has no 'weight_map'");
    json_object_foreach(map, key, value)
    {
        const char *name = json_string_value(value);

        if (!name)
            return ax_fail(err, AX_EFORMAT, "the file of '%.80s' is no text",
                           key);
        if (!name[0] || name[0] == '.' || strchr(name, '/') ||
            strchr(name, '\\'))
            return ax_fail(err, AX_EFORMAT,
                           "the file of '%.80s' is '%.80s': it has to be in "
                           "the folder, and to begin with no dot",
                           key, name);
        if (!file_of(f, name))
            AX_TRY(add_file(f, name, err));
    }
    return AX_OK;
}

/* Every tensor is in the file that the index says, and the index has all. */
static ax_status check_index(const struct hf_files *f, const json_t *map,
                             struct ax_err *err)
{
    size_t n = 0;

    for (size_t i = 0; i < f->n; i++) {
        const struct ax_checkpoint *c = &f->v[i].checkpoint;

        n += c->n;
        for (size_t k = 0; k < c->n; k++) {
            const char *said = json_string_value(
                json_object_get(map, c->v[k].name));

            if (!said || strcmp(said, f->v[i].name) != 0)
                return ax_fail(err, AX_EFORMAT,
                               "tensor '%.80s' is in %.80s, but the index "
                               "%s%.80s",
                               c->v[k].name, f->v[i].name,
                               said ? "says " : "does not have it",
                               said ? said : "");
        }
    }
    if (n != json_object_size(map))
        return ax_fail(err, AX_EFORMAT,
                       "the index has %zu tensors, its files have %zu",
                       json_object_size(map), n);
    return AX_OK;
}

static ax_status read_index(struct hf_files *f, int folder,
                            const struct ax_format_options *opt, int fd,
                            size_t size, struct ax_err *err)
{
    json_t *root = NULL, *map = NULL;
    ax_status st = load_index(&root, fd, size, err);

    if (st == AX_OK) {
        map = json_object_get(root, "weight_map");
        st = index_files(f, map, err);
    }
    if (st == AX_OK)
        st = read_files(f, folder, opt, err);
    if (st == AX_OK)
        st = check_index(f, map, err);
    json_decref(root);
    return st;
}

/* ---- the folder ---- */

static ax_status open_folder(struct hf_files *f, int folder,
                             const struct ax_format_options *opt,
                             struct ax_err *err)
{
    static const char *const names[] = {
        "model.safetensors", "model.safetensors.index.json",
        "pytorch_model.bin", "pytorch_model.bin.index.json"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t size;
        ax_status st;
        int fd;

        AX_TRY(open_file(&fd, &size, folder, names[i], false, err));
        if (fd < 0)
            continue;
        if (i % 2) {
            st = read_index(f, folder, opt, fd, size, err);
            if (st != AX_OK)
                (void)ax_fail_in(err, "%s", names[i]);
        } else {
            st = add_file(f, names[i], err);
            if (st == AX_OK)
                st = read_files(f, folder, opt, err);
        }
        close(fd);
        return st;
    }
    return ax_fail(err, AX_ENOINPUT,
                   "the folder has no weights: neither model.safetensors nor "
                   "pytorch_model.bin, nor an index of either");
}

ax_status hf_files_open(struct hf_files *out,
                        const struct ax_format_options *opt,
                        struct ax_err *err)
{
    ax_status st;
    int folder;

    *out = (struct hf_files){0};
    if (!opt->folder)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "the weights are in other files, which standard input "
                       "cannot name");
    folder = open(opt->folder[0] ? opt->folder : ".",
                  O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return ax_fail(err, AX_ENOINPUT, "%.200s: %s", opt->folder,
                       strerror(errno));
    st = open_folder(out, folder, opt, err);
    close(folder);
    return st;
}

void hf_files_free(struct hf_files *f)
{
    for (size_t i = 0; i < f->n; i++) {
        ax_checkpoint_free(&f->v[i].checkpoint);
        free(f->v[i].name);
    }
    free(f->v);
    if (f->map)
        munmap(f->map, f->size);
    *f = (struct hf_files){0};
}
