/* ax-prove reconcile: let the assistants say what became of the obligations
 * of a folder, and write it into its manifest. What is read and run is the
 * work of a child in the sandbox; this process makes the laboratory, gives
 * the manifest its name, and cleans up. */
#include "reconcile.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/json.h"
#include "common/sandbox.h"

#define OBLIGATION_MAX ((size_t)1 << 30)
#define MEMORY_MAX     ((size_t)1 << 40)

static const char *const status_names[] = {"proved", "failed", "not run"};

struct reconciling {
    const char *folder;
    const struct args *args;
    struct cmd_out out;
    struct lab lab;
    unsigned count[3]; /* by status */
};

/* ---- one obligation ---- */

static ax_status no_memory(struct ax_err *err)
{
    return ax_fail(err, AX_ENOMEM, "no memory for an obligation");
}

/* Read a file of the folder itself, no link. False, and why, if it is none.
 */
static ax_status read_file(const char *folder, const char *name,
                           unsigned char **text, size_t *n, char why[WORDS],
                           struct ax_err *err)
{
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = dir < 0 ? -1
                     : openat(dir, name,
                              O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat info;
    ax_status st;
    FILE *f;

    *text = NULL;
    if (fd < 0)
        snprintf(why, WORDS, "%s",
                 errno == ELOOP ? "the file is a link" : strerror(errno));
    if (dir >= 0)
        close(dir);
    if (fd < 0)
        return AX_OK;
    if (fstat(fd, &info) || !S_ISREG(info.st_mode)) {
        close(fd);
        snprintf(why, WORDS, "it is no file");
        return AX_OK;
    }
    f = fdopen(fd, "rb");
    if (!f) {
        close(fd);
        return no_memory(err);
    }
    st = cmd_in_rest(text, n, f, name, OBLIGATION_MAX, err);
    fclose(f);
    return st;
}

static bool has_digest(const unsigned char *text, size_t n, const char *want)
{
    unsigned char digest[32];
    char hex[65];

    ax_sha256(digest, text, n);
    ax_hex32(hex, digest);
    return strcmp(hex, want) == 0;
}

/* Is it what was exported, and nothing but that? */
static bool is_sound(const json_t *o, const struct obligation *ob,
                     char why[WORDS])
{
    char library[65];

    if (!has_digest((const unsigned char *)ob->text, ob->n,
                    json_string_value(json_object_get(o, "sha256")))) {
        snprintf(why, WORDS, "the digest of the file is another one");
        return false;
    }
    if (strcmp(ob->assistant, "coq") != 0)
        return lex_smtlib(ob->text, ob->n, why);
    cmd_coq_digest(library);
    if (strcmp(library, json_string_value(json_object_get(o, "library"))) !=
        0) {
        snprintf(why, WORDS, "it is in the words of another library");
        return false;
    }
    return lex_coq(ob->text, ob->n, why);
}

static enum run_status sum_of(const struct assistant_run *runs, size_t n)
{
    enum run_status all = RUN_NOT;

    for (size_t i = 0; i < n; i++) {
        if (runs[i].status == RUN_FAILED)
            return RUN_FAILED;
        if (runs[i].status == RUN_PROVED)
            all = RUN_PROVED;
    }
    return all;
}

static ax_status record(json_t *o, const struct assistant_run *runs, size_t n,
                        enum run_status status, struct ax_err *err)
{
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++)
        cmd_json_add(&list,
                     json_pack("{s:s,s:s,s:s,s:s}", "assistant",
                               runs[i].assistant, "reason", runs[i].reason,
                               "status", status_names[runs[i].status],
                               "version", runs[i].version));
    if (!list || json_object_set_new(o, "runs", list) ||
        json_object_set_new(o, "status", json_string(status_names[status])))
        return no_memory(err);
    return AX_OK;
}

static void say(const char *file, const struct assistant_run *runs, size_t n,
                enum run_status status)
{
    printf("%-8s %s", status_names[status], file);
    for (size_t i = 0; i < n; i++)
        printf("%s %s%s%s", i ? "," : ":",
               runs[i].version[0] ? runs[i].version : runs[i].assistant,
               runs[i].reason[0] ? ": " : "", runs[i].reason);
    putchar('\n');
}

static ax_status one(struct reconciling *r, json_t *o, struct ax_err *err)
{
    struct obligation ob = {
        .file = json_string_value(json_object_get(o, "file")),
        .assistant = json_string_value(json_object_get(o, "assistant")),
        .claim = json_string_value(json_object_get(o, "claim"))};
    struct assistant_run runs[2] = {{.assistant = "ax-prove"}};
    unsigned char *text;
    enum run_status status;
    size_t n = 1;
    ax_status st;

    st = read_file(r->folder, ob.file, &text, &ob.n, runs[0].reason, err);
    ob.text = (const char *)text;
    if (st == AX_OK && text && is_sound(o, &ob, runs[0].reason))
        st = assistants(&r->lab, &ob, runs, &n, err);
    else
        runs[0].status = RUN_FAILED;
    status = sum_of(runs, n);
    if (st == AX_OK)
        st = record(o, runs, n, status, err);
    if (st == AX_OK && !r->args->json)
        say(ob.file, runs, n, status);
    r->count[status]++;
    free(text);
    return st;
}

/* ---- all of them ---- */

static ax_status print_json(const struct reconciling *r, json_t *all,
                            struct ax_err *err)
{
    return cmd_json("ax-prove-reconcile/1",
                    json_pack("{s:i,s:i,s:i,s:O}", "failed",
                              (int)r->count[RUN_FAILED], "not_run",
                              (int)r->count[RUN_NOT], "proved",
                              (int)r->count[RUN_PROVED], "obligations", all),
                    err);
}

static ax_status work(void *arg, struct ax_err *err)
{
    struct reconciling *r = arg;
    json_t *manifest, *all, *o;
    ax_status st;
    size_t i;

    AX_TRY(cmd_manifest_read(&manifest, r->folder, false, err));
    all = cmd_manifest_obligations(manifest);
    st = AX_OK;
    json_array_foreach(all, i, o) if (st == AX_OK) st = one(r, o, err);
    if (st == AX_OK)
        st = cmd_manifest_write(manifest, r->out.f, err);
    if (st == AX_OK)
        st = cmd_out_flush(&r->out, err);
    if (st == AX_OK && r->args->json)
        st = print_json(r, all, err);
    json_decref(manifest);
    /* The child ends without what ends a program. */
    if (st == AX_OK && fflush(stdout))
        st = ax_fail(err, AX_EIO, "standard output: %s", strerror(errno));
    if (st != AX_OK)
        return st;
    if (r->count[RUN_FAILED])
        return ax_fail(err, AX_NO, "%s", "");
    return r->count[RUN_NOT] ? ax_fail(err, AX_UNDECIDED, "%s", "") : AX_OK;
}

/* ---- the laboratory ---- */

static ax_status make_lab(struct lab *lab, const struct args *a,
                          struct ax_err *err)
{
    static const char *const folders[] = {"lib", "theorem", "question"};
    const char *temp = getenv("TMPDIR");
    char path[PATH_MAX + 16];
    int n = snprintf(lab->scratch, sizeof lab->scratch,
                     "%s/ax-reconcile-XXXXXX",
                     temp && *temp == '/' ? temp : "/tmp");

    if (n >= (int)sizeof lab->scratch || !mkdtemp(lab->scratch)) {
        char name[200];

        snprintf(name, sizeof name, "%.199s", lab->scratch);
        lab->scratch[0] = '\0';
        return ax_fail(err, AX_EIO, "%s: %s", name, strerror(errno));
    }
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(path, sizeof path, "%s/%s", lab->scratch, folders[i]);
        if (mkdir(path, 0700))
            return ax_fail(err, AX_EIO, "%.200s: %s", path, strerror(errno));
    }
    lab->seconds = a->seconds > 0 ? a->seconds : 600;
    lab->bytes = (size_t)a->memory_mib << 20;
    return AX_OK;
}

static int remove_one(const char *path, const struct stat *info, int type,
                      struct FTW *at)
{
    (void)info;
    (void)type;
    (void)at;
    (void)remove(path);
    return 0;
}

/* A second time if it did not go: memory may have been short. */
static void remove_lab(const struct lab *lab)
{
    for (int i = 0; i < 2 && lab->scratch[0] && !access(lab->scratch, F_OK);
         i++)
        (void)nftw(lab->scratch, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* ax-export and this wait for each other. */
static ax_status lock(int *fd, const char *folder, struct ax_err *err)
{
    *fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0 || flock(*fd, LOCK_EX))
        return ax_fail(err, AX_ENOINPUT, "%s: %s", folder, strerror(errno));
    return AX_OK;
}

ax_status reconcile(const char *folder, const struct args *a,
                    const struct cmd *cmd, struct ax_err *err)
{
    struct reconciling r = {.folder = folder, .args = a};
    const struct cmd_confined c = {.cmd = cmd,
                                   .scratch = r.lab.scratch,
                                   .bytes = MEMORY_MAX,
                                   .work = work,
                                   .arg = &r};
    char path[PATH_MAX + 32];
    int fd = -1;
    ax_status st;

    snprintf(path, sizeof path, "%s/%s", folder, CMD_MANIFEST_NAME);
    st = lock(&fd, folder, err);
    if (st == AX_OK && access(path, F_OK))
        st = ax_fail(err, AX_ENOINPUT, "%s: %s", path, strerror(errno));
    if (st == AX_OK)
        st = make_lab(&r.lab, a, err);
    if (st == AX_OK)
        st = cmd_out_open(&r.out, path, 0, err);
    if (st == AX_OK)
        st = cmd_sandbox_run(&c, err);
    if (st == AX_OK || st == AX_NO || st == AX_UNDECIDED) {
        ax_status written = cmd_out_commit(&r.out, err);

        st = written == AX_OK ? st : written;
    }
    cmd_out_discard(&r.out);
    remove_lab(&r.lab);
    if (fd >= 0)
        close(fd);
    return st;
}
