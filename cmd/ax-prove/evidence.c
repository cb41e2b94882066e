/* What goes into the container, and the checker's word on it. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "prove.h"

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* What the property is called where it travels. */
static const char *property_name(char *buf, size_t n, const struct job *j,
                                 const char *path)
{
    size_t length;

    if (!j->ready && (!path || strcmp(path, "-") == 0))
        return "property.vnnlib";
    snprintf(buf, n, "%s%s",
             j->ready ? ready_name(j->ready) : base_name(path),
             j->ready ? ".vnnlib" : "");
    length = strlen(buf);
    if (length > 3 && strcmp(buf + length - 3, ".gz") == 0)
        buf[length - 3] = '\0';
    return buf;
}

static bool attached(const struct ax_model *m, const char *type,
                     const void *data, size_t n)
{
    for (uint32_t i = 0; i < m->n_attachments; i++) {
        const struct ax_attachment *a = &m->attachments[i];

        if (strcmp(a->type, type) == 0 && a->n == n &&
            memcmp(a->data, data, n) == 0)
            return true;
    }
    return false;
}

ax_status attach(struct job *j, const struct args *a, const struct cmd *cmd,
                 struct ax_err *err)
{
    struct finding *f = &j->found;
    char buf[NAME_MAX + 1];
    const char *name = property_name(buf, sizeof buf, j, a->property);
    const char *type = f->result.verdict == AX_HOLDS ? "certificate"
                                                     : "counterexample";
    struct ax_provenance_file files[2] = {{.name = name}};
    size_t n = f->text ? 1 : 0;

    memcpy(files[0].sha256, f->digest, sizeof files[0].sha256);
    if (j->ready && ready_other(j->ready)) {
        files[n].name = ready_other(j->ready);
        memcpy(files[n++].sha256, j->other_digest, sizeof j->other_digest);
    }
    if (f->text && !attached(j->model, "property", f->text, f->n_text))
        AX_TRY(ax_model_attach(j->model, "property", name, f->text, f->n_text,
                               err));
    if (f->payload && !attached(j->model, type, f->payload, f->n_payload))
        AX_TRY(ax_model_attach(j->model, type, name, f->payload, f->n_payload,
                               err));
    return cmd_model_record(j->model, cmd,
                            j->base ? j->base_identity : j->identity, files,
                            n, err);
}

/* Let ax-check, which lies beside this program or in PATH, read what was
 * written to f. */
static ax_status ask_checker(FILE *f, const struct args *a,
                             struct ax_err *err)
{
    char self[4096], path[4200] = "ax-check";
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    int status;
    pid_t pid;

    if (n > 0) {
        self[n] = '\0';
        if (strrchr(self, '/')) {
            *strrchr(self, '/') = '\0';
            snprintf(path, sizeof path, "%s/ax-check", self);
        }
    }
    rewind(f);
    pid = fork();
    if (pid < 0)
        return ax_fail(err, AX_EUNAVAILABLE, "ax-check cannot be started");
    if (pid == 0) {
        if (dup2(fileno(f), STDIN_FILENO) >= 0 &&
            dup2(STDERR_FILENO, STDOUT_FILENO) >= 0) {
            execl(path, "ax-check", "--quiet", "-", (char *)NULL);
            execlp("ax-check", "ax-check", "--quiet", "-", (char *)NULL);
        }
        _exit(69);
    }
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
        WEXITSTATUS(status) == 69)
        return ax_fail(err, AX_EUNAVAILABLE, "ax-check did not answer");
    if (WEXITSTATUS(status) == 2)
        return ax_fail(err, AX_UNDECIDED,
                       "ax-check cannot tell whether the counterexample is "
                       "one");
    if (WEXITSTATUS(status) == 75)
        return ax_fail(err, AX_ENOMEM,
                       "ax-check was short of memory: there is no verdict");
    if (WEXITSTATUS(status) != 0 && a->resumed)
        return ax_fail(err, AX_EFORMAT,
                       "%s: ax-check does not accept what was proved before "
                       "(exit %d): there is no verdict; begin anew",
                       a->resume, WEXITSTATUS(status));
    if (WEXITSTATUS(status) != 0)
        return ax_fail(err, AX_EBUG,
                       "ax-check does not accept the certificate (exit %d): "
                       "this is a fault of ours, and no verdict",
                       WEXITSTATUS(status));
    return AX_OK;
}

ax_status ask_check(struct job *j, const struct args *a, struct ax_err *err)
{
    int fd = memfd_create("ax-prove", MFD_CLOEXEC);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w+b");
    ax_status st;

    if (!f) {
        if (fd >= 0)
            close(fd);
        return ax_fail(err, AX_EIO, "no temporary file for ax-check");
    }
    st = ax_model_write(j->model, f, AX_PROFILE_ZSTD, err);
    if (st == AX_OK && fflush(f))
        st = ax_fail(err, AX_EIO, "no temporary file for ax-check");
    if (st == AX_OK)
        st = ask_checker(f, a, err);
    fclose(f);
    return st;
}
