/* What was exported, in the manifest of its folder: ax-manifest(5). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/manifest.h"
#include "export.h"

/* Standard output, and what is no regular file, has no manifest. */
static bool is_recorded(const char *path)
{
    struct stat info;

    return strcmp(path, "-") != 0 &&
           (stat(path, &info) != 0 || S_ISREG(info.st_mode));
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

ax_status record_possible(const char *assistant, const char *path,
                          struct ax_err *err)
{
    bool coq = strcmp(assistant, "coq") == 0;

    if (!is_recorded(path) || cmd_manifest_can_name(assistant, name_of(path)))
        return AX_OK;
    return ax_fail(err, AX_EUSAGE,
                   coq ? "a theorem's file wants a name such as Claim.v: "
                         "letters, digits and _; not '%s'"
                       : "a question's file wants a name such as "
                         "claim.smt2; not '%s'",
                   name_of(path));
}

static json_t *obligation(const char *assistant, const char *name,
                          const struct export_claim *claim,
                          const unsigned char file[32])
{
    char model[65], property[65], sha256[65], library[65] = "";

    ax_hex32(model, claim->identity);
    ax_hex32(property, claim->digest);
    ax_hex32(sha256, file);
    if (strcmp(assistant, "coq") == 0)
        cmd_coq_digest(library);
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:[],s:s,s:s}", "assistant",
                     assistant, "claim",
                     claim->violated ? "violated" : "holds", "file", name,
                     "library", library, "model", model, "property", property,
                     "runs", "sha256", sha256, "status", "not run");
}

static ax_status update(const char *folder, const char *path, json_t *o,
                        struct ax_err *err)
{
    json_t *manifest = NULL;
    struct cmd_out out = {0};
    ax_status st = cmd_manifest_read(&manifest, folder, true, err);

    if (st == AX_OK)
        st = cmd_manifest_add(manifest, o, err);
    else
        json_decref(o);
    if (st == AX_OK)
        st = cmd_out_open(&out, path, 0, err);
    if (st == AX_OK)
        st = cmd_manifest_write(manifest, out.f, err);
    if (st == AX_OK)
        st = cmd_out_commit(&out, err);
    cmd_out_discard(&out);
    json_decref(manifest);
    return st;
}

/* Exports into one folder at a time take turns. */
static ax_status locked(const char *folder, const char *path, json_t *o,
                        struct ax_err *err)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ax_status st;

    if (fd < 0 || flock(fd, LOCK_EX)) {
        st = ax_fail(err, AX_EIO, "%s: %s", folder, strerror(errno));
        json_decref(o);
    } else {
        st = update(folder, path, o, err);
    }
    if (fd >= 0)
        close(fd);
    return st;
}

ax_status record(const char *assistant, const char *path,
                 const struct export_claim *claim, struct ax_err *err)
{
    const char *name = name_of(path);
    /* Up to the slash, which may be all of it. */
    size_t n = name - path < 2 ? 1 : (size_t)(name - path) - 1, size;
    unsigned char digest[32], *text = NULL;
    char *folder, *manifest;
    ax_status st;

    if (!is_recorded(path))
        return AX_OK;
    AX_TRY(cmd_in_read(&text, &size, path, SIZE_MAX / 2, err));
    ax_sha256(digest, text, size);
    free(text);
    folder = strndup(name == path ? "." : path, n);
    manifest = malloc(n + sizeof "/" CMD_MANIFEST_NAME);
    if (folder && manifest) {
        memcpy(manifest, folder, n);
        memcpy(manifest + n, "/" CMD_MANIFEST_NAME,
               sizeof "/" CMD_MANIFEST_NAME);
        st = locked(folder, manifest,
                    obligation(assistant, name, claim, digest), err);
    } else {
        st = ax_fail(err, AX_ENOMEM, "no memory for a path");
    }
    free(folder);
    free(manifest);
    return st;
}
