/* Inputs made ready before the clock runs: see bench.h. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"
#include "common/file.h"

struct scratch_file {
    char *path;   /* as the problem names it */
    char *plain;  /* without gzip's compression */
    char *model;  /* as a container, or NULL */
    bool ours[2]; /* plain, model: to be removed */
};

ax_status scratch_name(struct scratch *s, char *out, size_t size,
                       const char *base, struct ax_err *err)
{
    const char *tmp = getenv("TMPDIR");
    int n;

    if (!s->folder[0]) {
        n = snprintf(s->folder, sizeof s->folder, "%s/ax-bench.XXXXXX",
                     tmp && tmp[0] == '/' && strlen(tmp) < 40 ? tmp : "/tmp");
        if (n < 0 || !mkdtemp(s->folder)) {
            s->folder[0] = '\0';
            return ax_fail(err, AX_EIO, "no scratch folder: %s",
                           strerror(errno));
        }
    }
    n = snprintf(out, size, "%s/%s", s->folder, base);
    if (n < 0 || (size_t)n >= size)
        return ax_fail(err, AX_EUSAGE, "a path is too long");
    return AX_OK;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);

    return n >= k && strcmp(s + n - k, end) == 0;
}

/* Run a program that makes a file; its message becomes ours. */
static ax_status make(const char *const *argv, const char *about,
                      struct outcome *o, struct ax_err *err)
{
    if (process_run(o, argv, NULL, 0, err) != AX_OK)
        return ax_fail_in(err, "%s", about);
    if (o->code != 0)
        return ax_fail(err, AX_EFORMAT, "%s: %s", about,
                       o->said && o->said[0] ? o->said : "could not be read");
    return AX_OK;
}

static ax_status unpack(struct scratch *s, struct scratch_file *f,
                        struct ax_err *err)
{
    const char *argv[] = {"sh",    "-c", "exec gzip -dc -- \"$0\" >\"$1\"",
                          f->path, NULL, NULL};
    const char *slash = strrchr(f->path, '/');
    const char *base = slash ? slash + 1 : f->path;
    char name[4200], label[400];
    struct outcome o = {0};
    ax_status st;

    if (!ends_with(f->path, ".gz")) {
        f->plain = strdup(f->path);
        return f->plain ? AX_OK : ax_fail(err, AX_ENOMEM, "no memory");
    }
    snprintf(label, sizeof label, "%zu-%.*s", s->n,
             (int)(strlen(base) > 300 ? 300 : strlen(base) - 3), base);
    AX_TRY(scratch_name(s, name, sizeof name, label, err));
    f->plain = strdup(name);
    if (!f->plain)
        return ax_fail(err, AX_ENOMEM, "no memory for a path");
    f->ours[0] = true;
    argv[4] = f->plain;
    st = make(argv, f->path, &o, err);
    outcome_free(&o);
    return st;
}

/* A container begins with zstd's magic or its own: leave it to ax-import to
 * say what is neither. */
bool scratch_is_container(const char *path)
{
    static const unsigned char zstd[4] = {0x28, 0xb5, 0x2f, 0xfd};
    unsigned char head[8] = {0};
    FILE *f = fopen(path, "rbe");
    bool yes = f && fread(head, 1, sizeof head, f) == sizeof head &&
               (memcmp(head, zstd, 4) == 0 || ends_with(path, ".axm"));

    if (f)
        fclose(f);
    return yes;
}

static ax_status import(struct scratch *s, struct scratch_file *f,
                        struct ax_err *err)
{
    const char *argv[] = {"ax-import", "-o", NULL, f->plain, NULL};
    char name[4200], label[40];
    struct outcome o = {0};
    ax_status st;

    if (scratch_is_container(f->plain)) {
        f->model = strdup(f->plain);
        return f->model ? AX_OK : ax_fail(err, AX_ENOMEM, "no memory");
    }
    snprintf(label, sizeof label, "%zu.axm", s->n);
    AX_TRY(scratch_name(s, name, sizeof name, label, err));
    f->model = strdup(name);
    if (!f->model)
        return ax_fail(err, AX_ENOMEM, "no memory for a path");
    f->ours[1] = true;
    argv[2] = f->model;
    st = make(argv, f->path, &o, err);
    outcome_free(&o);
    return st;
}

static void file_free(struct scratch_file *f)
{
    if (f->ours[0])
        unlink(f->plain);
    if (f->ours[1])
        unlink(f->model);
    free(f->path);
    free(f->plain);
    free(f->model);
}

static struct scratch_file *known(struct scratch *s, const char *path)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->files[i].path, path) == 0)
            return &s->files[i];
    return NULL;
}

static ax_status add(struct scratch *s, const char *path, struct ax_err *err)
{
    struct scratch_file f = {.path = strdup(path)};
    struct scratch_file *all = s->files;
    ax_status st;

    if (s->n == s->room) {
        all = realloc(all, (s->room + 64) * sizeof *all);
        s->files = all ? all : s->files;
        s->room += all ? 64 : 0;
    }
    if (!f.path || !all) {
        free(f.path);
        return ax_fail(err, AX_ENOMEM, "no memory for a path");
    }
    if (access(path, R_OK)) {
        free(f.path);
        return ax_fail(err, AX_ENOINPUT, "%s: %s", path, strerror(errno));
    }
    st = unpack(s, &f, err);
    if (st != AX_OK)
        file_free(&f);
    else
        s->files[s->n++] = f;
    return st;
}

ax_status scratch_get(struct scratch *s, const char *path, const char **plain,
                      const char **model, struct ax_err *err)
{
    struct scratch_file *f = known(s, path);

    if (!f) {
        AX_TRY(add(s, path, err));
        f = known(s, path);
    }
    *plain = f->plain;
    if (!model)
        return AX_OK;
    if (!f->model)
        AX_TRY(import(s, f, err));
    *model = f->model;
    return AX_OK;
}

void scratch_free(struct scratch *s)
{
    char name[4200];

    for (size_t i = 0; i < s->n; i++)
        file_free(&s->files[i]);
    free(s->files);
    if (s->folder[0]) {
        snprintf(name, sizeof name, "%s/proof.axm", s->folder);
        unlink(name);
        rmdir(s->folder);
    }
    *s = (struct scratch){0};
}
