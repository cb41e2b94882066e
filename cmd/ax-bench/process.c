/* Other programs as problems: started, timed as a whole, and never left
 * behind. See bench.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define OUTPUT_MAX ((size_t)64 << 20)

/* A handler sees nothing but this. */
static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
    stopped = sig;
}

void process_signals(void)
{
    static const int sigs[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction act, old;

    memset(&act, 0, sizeof act);
    act.sa_handler = on_signal; /* without SA_RESTART: poll must end */
    for (int i = 0; i < 3; i++)
        if (sigaction(sigs[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            sigaction(sigs[i], &act, NULL);
}

int process_stopped(void)
{
    return stopped;
}

/* The command beside this program, if it lies there. */
static const char *beside(char *path, size_t size, const char *name)
{
    ssize_t n = strchr(name, '/')
                    ? 0
                    : readlink("/proc/self/exe", path, size - 1);
    char *slash;

    if (n <= 0)
        return name;
    path[n] = '\0';
    slash = strrchr(path, '/');
    if (!slash || (size_t)(slash + 1 - path) + strlen(name) >= size)
        return name;
    memcpy(slash + 1, name, strlen(name) + 1);
    return access(path, X_OK) == 0 ? path : name;
}

/* In the child. It tells through STATUS why it could not become ARGV. */
static _Noreturn void become(const char *path, const char *const *argv,
                             const char *const *env, int out, int said,
                             int status)
{
    int in = open("/dev/null", O_RDONLY), why;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_DFL);
    for (; env && *env; env++)
        putenv((char *)(uintptr_t)*env);
    if (in >= 0 && dup2(in, 0) >= 0 && dup2(out, 1) >= 0 &&
        dup2(said, 2) >= 0)
        execvp(path, (char *const *)(uintptr_t)argv);
    why = errno;
    if (write(status, &why, sizeof why) < 0)
        _exit(126);
    _exit(127);
}

/* Wait for PID; kill it when the limit is over or we are to stop. */
static ax_status wait_for(struct outcome *o, pid_t pid, double start,
                          double limit, struct ax_err *err)
{
    struct rusage use;
    int status, fd = pidfd_open(pid, 0);

    while (fd >= 0) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        double left = limit > 0 ? start + limit - now() : 1e6;
        int ready = left > 0 ? poll(&p, 1, (int)(left * 1000) + 1) : 0;

        if (ready > 0)
            break;
        o->late = ready == 0 && limit > 0 && now() - start >= limit;
        if (o->late || stopped) {
            kill(pid, SIGKILL);
            break;
        }
    }
    if (fd >= 0)
        close(fd);
    while (wait4(pid, &status, 0, &use) != pid)
        if (errno != EINTR)
            return ax_fail(err, AX_EIO, "wait: %s", strerror(errno));
    o->seconds = now() - start;
    o->code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    o->rss_kib = use.ru_maxrss;
    return stopped ? ax_fail(err, AX_EIO, "interrupted") : AX_OK;
}

/* What was written to FD, as text; new. */
static ax_status text_of(char **out, int fd, struct ax_err *err)
{
    off_t n = lseek(fd, 0, SEEK_END);
    size_t size, got = 0;

    size = n > 0 ? (size_t)n : 0;
    if (size > OUTPUT_MAX)
        return ax_fail(err, AX_EFORMAT, "printed %zu bytes, over %zu", size,
                       OUTPUT_MAX);
    *out = calloc(size + 1, 1);
    if (!*out)
        return ax_fail(err, AX_ENOMEM, "no memory for what was printed");
    while (got < size) {
        ssize_t k = pread(fd, *out + got, size - got, (off_t)got);

        if (k <= 0)
            break;
        got += (size_t)k;
    }
    return AX_OK;
}

void outcome_free(struct outcome *o)
{
    free(o->out);
    free(o->said);
    *o = (struct outcome){0};
}

/* With standard output and error in memory files, which cannot fill up as a
 * pipe does. */
static ax_status run_into(struct outcome *o, const char *const *argv,
                          const char *const *env, double limit, int out,
                          int said, struct ax_err *err)
{
    char path[PATH_MAX];
    const char *program = beside(path, sizeof path, argv[0]);
    int status[2], why;
    double start;
    ax_status st;
    pid_t pid;

    if (pipe2(status, O_CLOEXEC))
        return ax_fail(err, AX_EIO, "pipe: %s", strerror(errno));
    start = now();
    pid = fork();
    if (pid == 0)
        become(program, argv, env, out, said, status[1]);
    close(status[1]);
    if (pid < 0) {
        close(status[0]);
        return ax_fail(err, AX_ENOMEM, "fork: %s", strerror(errno));
    }
    st = wait_for(o, pid, start, limit, err);
    if (st == AX_OK && read(status[0], &why, sizeof why) == sizeof why)
        st = ax_fail(err, AX_EUNAVAILABLE, "%s: %s", argv[0], strerror(why));
    close(status[0]);
    if (st == AX_OK)
        st = text_of(&o->out, out, err);
    if (st == AX_OK)
        st = text_of(&o->said, said, err);
    if (o->said)
        o->said[strcspn(o->said, "\n")] = '\0';
    return st;
}

ax_status process_run(struct outcome *o, const char *const *argv,
                      const char *const *env, double limit,
                      struct ax_err *err)
{
    int out = memfd_create("out", MFD_CLOEXEC);
    int said = memfd_create("said", MFD_CLOEXEC);
    ax_status st;

    *o = (struct outcome){0};
    if (out < 0 || said < 0)
        st = ax_fail(err, AX_EIO, "memory file: %s", strerror(errno));
    else
        st = run_into(o, argv, env, limit, out, said, err);
    if (out >= 0)
        close(out);
    if (said >= 0)
        close(said);
    if (st != AX_OK)
        outcome_free(o);
    return st;
}
