/* Containers as commands read and write them: see model.h. */
#include "common/model.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- a mapped file that somebody cuts short ---- */

/* The last words, for a signal handler, which can see nothing else. */
static char last_words[PATH_MAX + 64];

/* The kernel has no page for what was mapped: that is an input that failed,
 * wherever it is noticed. Any other SIGBUS is a fault of ours. */
static void on_bus_error(int sig, siginfo_t *info, void *context)
{
    ssize_t n;

    (void)context;
    if (info->si_code == BUS_ADRERR) {
        cmd_out_abandon();
        n = write(STDERR_FILENO, last_words, strlen(last_words));
        (void)n;
        _exit(ax_status_exit(AX_EIO));
    }
    signal(sig, SIG_DFL);
    raise(sig);
}

static void expect_cut(const char *path)
{
    struct sigaction act = {.sa_flags = SA_SIGINFO};
    size_t n = sizeof last_words - 1;

    snprintf(last_words, n, "%s: %.*s: was cut short while it was read",
             program_invocation_short_name, PATH_MAX - 1, cmd_in_name(path));
    n = strlen(last_words);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)last_words[i] < ' ')
            last_words[i] = '?';
    last_words[n] = '\n';
    act.sa_sigaction = on_bus_error;
    sigaction(SIGBUS, &act, NULL);
}

ax_status cmd_model_read(struct ax_model **out, const char *path,
                         struct ax_err *err)
{
    FILE *f;
    ax_status st;

    *out = NULL;
    AX_TRY(cmd_in_open(&f, path, err));
    expect_cut(path);
    st = ax_model_read(out, f, err);
    cmd_in_close(f);
    return st == AX_OK ? st : ax_fail_in(err, "%s", cmd_in_name(path));
}

ax_status cmd_model_write(struct ax_model *m, const char *path,
                          ax_profile profile, unsigned flags,
                          struct ax_err *err)
{
    struct cmd_out out = {0};
    ax_status st;

    AX_TRY(cmd_out_open(&out, path, flags | CMD_OUT_BINARY, err));
    st = ax_model_write(m, out.f, profile, err);
    if (st == AX_OK)
        return cmd_out_commit(&out, err);
    ax_fail_in(err, "%s", out.name);
    cmd_out_discard(&out);
    return st;
}

static ax_status epoch(struct ax_provenance *p, struct ax_err *err)
{
    const char *s = getenv("SOURCE_DATE_EPOCH");
    char *end;

    if (!s || !*s)
        return AX_OK;
    errno = 0;
    p->time = strtoll(s, &end, 10);
    /* Up to the year 9999. */
    if (errno || *end || p->time < 0 || p->time > 253402300799)
        return ax_fail(err, AX_EUSAGE,
                       "SOURCE_DATE_EPOCH wants seconds since 1970, not '%s'",
                       s);
    p->has_time = true;
    return AX_OK;
}

ax_status cmd_model_record(struct ax_model *m, const struct cmd *cmd,
                           const unsigned char *identity,
                           const struct ax_provenance_file *files, size_t n,
                           struct ax_err *err)
{
    struct ax_provenance p = {.command = cmd->name,
                              .version = AX_BUILD_VERSION,
                              .model_in = identity,
                              .files = files,
                              .n_files = n};

    p.arguments = cmd_arguments(&p.n_arguments);
    AX_TRY(epoch(&p, err));
    return ax_provenance_append(m, &p, err);
}
