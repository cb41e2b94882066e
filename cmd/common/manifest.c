/* The manifest: see manifest.h. */
#include "common/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ax/model.h"
#include "common/file.h"

#define FORMAT          "ax.manifest.v1"
#define BYTES_MAX       ((size_t)1 << 24)
#define OBLIGATIONS_MAX 10000
#define RUNS_MAX        4
#define TEXT_MAX        500

/* ---- members ---- */

static bool is_digest(const char *s)
{
    return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
}

/* Of what is in no words but those of its language: "". */
static bool is_library(const char *s)
{
    return !*s || is_digest(s);
}

static bool is_text(const char *s)
{
    if (strlen(s) > TEXT_MAX)
        return false;
    for (; *s; s++)
        if ((unsigned char)*s < ' ' || *s == 0x7f)
            return false;
    return true;
}

static bool is_assistant(const char *s)
{
    return strcmp(s, "coq") == 0 || strcmp(s, "smtlib") == 0;
}

static bool is_claim(const char *s)
{
    return strcmp(s, "holds") == 0 || strcmp(s, "violated") == 0;
}

static bool is_status(const char *s)
{
    return strcmp(s, "proved") == 0 || strcmp(s, "failed") == 0 ||
           strcmp(s, "not run") == 0;
}

static bool is_file(const char *s)
{
    return cmd_manifest_can_name("coq", s) ||
           cmd_manifest_can_name("smtlib", s);
}

struct member {
    const char *key;
    bool (*good)(const char *value); /* NULL: no string, looked at apart */
};

static const struct member of_manifest[] = {
    {"format", is_text}, {"obligations", NULL}, {"tool", is_text}, {0}};
static const struct member of_obligation[] = {{"assistant", is_assistant},
                                              {"claim", is_claim},
                                              {"file", is_file},
                                              {"library", is_library},
                                              {"model", is_digest},
                                              {"property", is_digest},
                                              {"runs", NULL},
                                              {"sha256", is_digest},
                                              {"status", is_status},
                                              {0}};
static const struct member of_run[] = {{"assistant", is_text},
                                       {"reason", is_text},
                                       {"status", is_status},
                                       {"version", is_text},
                                       {0}};

static const char *member(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

/* Does an object have the members of the table, and no others? */
static ax_status check(const json_t *o, const struct member *m,
                       const char *what, struct ax_err *err)
{
    size_t n = 0;

    if (!json_is_object(o))
        return ax_fail(err, AX_EFORMAT, "%s is no object", what);
    for (; m->key; m++, n++) {
        const json_t *value = json_object_get(o, m->key);
        const char *s = json_string_value(value);

        if (!value)
            return ax_fail(err, AX_EFORMAT, "%s has no '%s'", what, m->key);
        /* A string with a NUL in it is shorter than it says. */
        if (m->good
                ? !s || strlen(s) != json_string_length(value) || !m->good(s)
                : !json_is_array(value))
            return ax_fail(err, AX_EFORMAT,
                           "'%s' of %s is not as ax-manifest(5) wants it",
                           m->key, what);
    }
    if (json_object_size(o) != n)
        return ax_fail(err, AX_EFORMAT, "%s has a member too many", what);
    return AX_OK;
}

static ax_status check_obligation(const json_t *o, size_t number,
                                  struct ax_err *err)
{
    char what[64];
    const json_t *runs = json_object_get(o, "runs");

    snprintf(what, sizeof what, "obligation %zu", number);
    AX_TRY(check(o, of_obligation, what, err));
    if (!cmd_manifest_can_name(member(o, "assistant"), member(o, "file")))
        return ax_fail(err, AX_EFORMAT,
                       "%s: the file is not one of its assistant", what);
    if (json_array_size(runs) > RUNS_MAX)
        return ax_fail(err, AX_EFORMAT, "%s has too many runs", what);
    for (size_t i = 0; i < json_array_size(runs); i++)
        AX_TRY(check(json_array_get(runs, i), of_run, "a run", err));
    return AX_OK;
}

static ax_status check_manifest(const json_t *m, struct ax_err *err)
{
    const json_t *all;
    size_t n;

    AX_TRY(check(m, of_manifest, "the manifest", err));
    if (strcmp(member(m, "format"), FORMAT) != 0)
        return ax_fail(err, AX_EFORMAT, "format is '%s', wanted '%s'",
                       member(m, "format"), FORMAT);
    all = json_object_get(m, "obligations");
    n = json_array_size(all);
    if (n > OBLIGATIONS_MAX)
        return ax_fail(err, AX_EFORMAT, "more than %d obligations",
                       OBLIGATIONS_MAX);
    for (size_t i = 0; i < n; i++) {
        const json_t *o = json_array_get(all, i);

        AX_TRY(check_obligation(o, i + 1, err));
        if (i && strcmp(member(json_array_get(all, i - 1), "file"),
                        member(o, "file")) >= 0)
            return ax_fail(err, AX_EFORMAT,
                           "obligation %zu is not in the order of files",
                           i + 1);
    }
    return AX_OK;
}

bool cmd_manifest_can_name(const char *assistant, const char *file)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    static const char others[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
    bool coq = strcmp(assistant, "coq") == 0;
    size_t n = strspn(file, others);

    if (strlen(file) > CMD_MANIFEST_FILE || n == 0)
        return false;
    if (coq)
        return strchr(letters, *file) && strcmp(file + n, ".v") == 0;
    while (file[n] == '-' || (file[n] == '.' && strcmp(file + n, ".smt2")))
        n += 1 + strspn(file + n + 1, others);
    return strcmp(file + n, ".smt2") == 0;
}

/* ---- files ---- */

static json_t *new_manifest(void)
{
    return json_pack("{s:s,s:[],s:s}", "format", FORMAT, "obligations",
                     "tool", "ax " PACKAGE_VERSION);
}

ax_status cmd_manifest_parse(json_t **out, const char *text, size_t n,
                             struct ax_err *err)
{
    json_error_t e;
    ax_status st;

    *out = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
    if (!*out)
        return ax_fail(err, AX_EFORMAT, "line %d: %s", e.line, e.text);
    st = check_manifest(*out, err);
    if (st != AX_OK) {
        json_decref(*out);
        *out = NULL;
    }
    return st;
}

/* The manifest is a file of the folder itself, no link to another one. */
static ax_status open_in(FILE **f, const char *folder, struct ax_err *err)
{
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd;
    struct stat info;

    if (dir < 0)
        return ax_fail(err, AX_ENOINPUT, "%s: %s", folder, strerror(errno));
    fd = openat(dir, CMD_MANIFEST_NAME,
                O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    close(dir);
    if (fd < 0)
        return ax_fail(err, AX_ENOINPUT, "%s/%s: %s", folder,
                       CMD_MANIFEST_NAME, strerror(errno));
    if (fstat(fd, &info) || !S_ISREG(info.st_mode)) {
        close(fd);
        return ax_fail(err, AX_ENOINPUT, "%s/%s: is no file", folder,
                       CMD_MANIFEST_NAME);
    }
    *f = fdopen(fd, "rb");
    if (*f)
        return AX_OK;
    close(fd);
    return ax_fail(err, AX_ENOMEM, "no memory for a file");
}

ax_status cmd_manifest_read(json_t **out, const char *folder, bool empty,
                            struct ax_err *err)
{
    unsigned char *text = NULL;
    char path[4096];
    struct stat info;
    FILE *f = NULL;
    ax_status st;
    size_t n;

    *out = NULL;
    snprintf(path, sizeof path, "%s/%s", folder, CMD_MANIFEST_NAME);
    if (empty && lstat(path, &info) && errno == ENOENT) {
        *out = new_manifest();
        return *out ? AX_OK : ax_fail(err, AX_ENOMEM, "no memory for JSON");
    }
    AX_TRY(open_in(&f, folder, err));
    st = cmd_in_rest(&text, &n, f, path, BYTES_MAX, err);
    if (st == AX_OK) {
        st = cmd_manifest_parse(out, (char *)text, n, err);
        if (st != AX_OK)
            ax_fail_in(err, "%s", path);
    }
    fclose(f);
    free(text);
    return st;
}

json_t *cmd_manifest_obligations(json_t *manifest)
{
    return json_object_get(manifest, "obligations");
}

ax_status cmd_manifest_add(json_t *manifest, json_t *obligation,
                           struct ax_err *err)
{
    json_t *all = cmd_manifest_obligations(manifest);
    size_t i = 0, n = json_array_size(all);
    int order = 1;

    if (!obligation ||
        json_object_set_new(manifest, "tool",
                            json_string("ax " PACKAGE_VERSION)))
        goto lost;
    while (i < n && (order = strcmp(member(json_array_get(all, i), "file"),
                                    member(obligation, "file"))) < 0)
        i++;
    if (i < n && order == 0 && json_array_remove(all, i))
        goto lost;
    if (json_array_insert(all, i, obligation) == 0) {
        json_decref(obligation);
        return AX_OK;
    }
lost:
    json_decref(obligation);
    return ax_fail(err, AX_ENOMEM, "no memory for JSON");
}

ax_status cmd_manifest_write(const json_t *manifest, FILE *f,
                             struct ax_err *err)
{
    if (json_dumpf(manifest, f,
                   JSON_INDENT(1) | JSON_SORT_KEYS | JSON_ENSURE_ASCII) ||
        fputc('\n', f) == EOF)
        return ferror(f) ? ax_fail(err, AX_EIO, "%s: %s", CMD_MANIFEST_NAME,
                                   strerror(errno))
                         : ax_fail(err, AX_ENOMEM, "no memory for JSON");
    return AX_OK;
}

void cmd_coq_digest(char hex[65])
{
    unsigned char all[sizeof(unsigned char[32]) * 16], digest[32];
    size_t n = 0;

    for (const struct cmd_coq_file *f = cmd_coq_library; f->name; f++) {
        ax_sha256(all + n, f->data, f->n);
        n += 32;
    }
    ax_sha256(digest, all, n);
    ax_hex32(hex, digest);
}
