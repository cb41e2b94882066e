/* Programs of others: see program.h. */
#include "common/program.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REAP_SECONDS 5
#define FILE_BYTES   ((rlim_t)1 << 32) /* that it may write into one file */

/* ---- where it lies ---- */

static bool find(char path[PATH_MAX], const char *name)
{
    const char *at = getenv("PATH");

    while (at && *at) {
        size_t n = strcspn(at, ":");

        if (*at == '/' &&
            snprintf(path, PATH_MAX, "%.*s/%s", (int)n, at, name) <
                PATH_MAX &&
            access(path, X_OK) == 0)
            return true;
        at += n + (at[n] == ':');
    }
    return false;
}

/* ---- the child ---- */

static void limit(int which, rlim_t to)
{
    const struct rlimit l = {.rlim_cur = to, .rlim_max = to};

    (void)setrlimit(which, &l);
}

static void close_others(void)
{
    if (syscall(SYS_close_range, 3u, ~0u, 0u) == 0)
        return;
    for (int fd = 3; fd < 4096; fd++)
        close(fd);
}

/* Does not return. */
static void become(const struct cmd_program *p, const char *path, int out,
                   int error, pid_t parent)
{
    static char locale[] = "LC_ALL=C", home[] = "HOME=/nonexistent";
    char where[PATH_MAX + 16], temp[PATH_MAX + 16];
    char *const env[] = {where, temp, locale, home, NULL};
    const char *folders = getenv("PATH");
    int null = open("/dev/null", O_RDONLY);

    setpgid(0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent ||
        chdir(p->folder) || null < 0 || dup2(null, STDIN_FILENO) < 0 ||
        dup2(out, STDOUT_FILENO) < 0 || dup2(error, STDERR_FILENO) < 0)
        _exit(127);
    close_others();
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_AS, p->bytes);
    limit(RLIMIT_FSIZE, FILE_BYTES);
    limit(RLIMIT_CPU, (rlim_t)ceil(p->seconds) + 1);
    signal(SIGPIPE, SIG_DFL);
    snprintf(where, sizeof where, "PATH=%s", folders ? folders : "");
    snprintf(temp, sizeof temp, "TMPDIR=%s", p->folder);
    /* execve does not write to its arguments. */
    execve(path, (char *const *)(uintptr_t)p->argv, env);
    _exit(127);
}

/* ---- what it says ---- */

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Take what is there. False at its end. */
static bool take(int fd, char *to, size_t *n)
{
    ssize_t more = read(fd, to + *n, CMD_PROGRAM_SAID - *n);

    if (more > 0)
        *n += (size_t)more;
    return more > 0 || (more < 0 && errno == EINTR);
}

/* Until both ends are closed, time is up, or it is too much. */
static enum cmd_program_end hear(struct cmd_program_said *s, int out,
                                 int error, double end)
{
    struct pollfd fds[2] = {{.fd = out, .events = POLLIN},
                            {.fd = error, .events = POLLIN}};

    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        double left = end - now();
        int wait_ms = left > 1e6 ? 1000000000 : (int)ceil(1000 * left);

        if (left <= 0)
            return CMD_PROGRAM_LATE;
        if (poll(fds, 2, wait_ms) < 0)
            continue;
        if (fds[0].revents && !take(out, s->out, &s->n_out))
            fds[0].fd = -1;
        if (fds[1].revents && !take(error, s->error, &s->n_error))
            fds[1].fd = -1;
        if (s->n_out == CMD_PROGRAM_SAID || s->n_error == CMD_PROGRAM_SAID)
            return CMD_PROGRAM_TALKED;
    }
    return CMD_PROGRAM_EXITED;
}

/* It may have closed its output and go on. It is not waited for for good
 * yet, so that its number stays its own. */
static bool ended(pid_t pid, double end)
{
    const struct timespec pause = {.tv_nsec = 5000000};

    for (;;) {
        siginfo_t info = {0};

        if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) &&
            errno != EINTR)
            return false;
        if (info.si_pid == pid)
            return true;
        if (now() > end)
            return false;
        nanosleep(&pause, NULL);
    }
}

/* ---- its end ---- */

/* The parent of a process, as /proc says it: "PID (NAME) STATE PARENT ...",
 * with a name that may have anything in it, and is cut to 15 bytes. */
static pid_t parent_of(const char *pid)
{
    char path[64], line[256];
    const char *at;
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "/proc/%.16s/stat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return 0;
    line[n] = '\0';
    at = strrchr(line, ')');
    return at && strlen(at) > 4 ? (pid_t)strtol(at + 4, NULL, 10) : 0;
}

static void kill_children(void)
{
    pid_t self = getpid();
    DIR *d = opendir("/proc");

    for (const struct dirent *e; d && (e = readdir(d));)
        if (isdigit((unsigned char)e->d_name[0]) &&
            parent_of(e->d_name) == self)
            (void)kill((pid_t)strtol(e->d_name, NULL, 10), SIGKILL);
    if (d)
        closedir(d);
}

/* End all that a program has started. What is in its group goes first; what
 * has left it, by setsid(2) or setpgid(2), loses its parent in the end, and
 * is then our child, since cmd_program_run made this process the reaper of
 * its descendants: so children are killed and waited for until there are
 * none. A namespace for process numbers would do it at one stroke, but the
 * kernel gives one to root alone, or with namespaces for users, which many
 * systems switch off. A program that forks faster than it is killed is given
 * up after a while: its limits on time and memory still hold each process. */
static void end_all(void)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    double end = now() + REAP_SECONDS;

    while (now() < end) {
        pid_t pid;

        kill_children();
        while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
            ;
        if (pid < 0 && errno != EINTR)
            return;
        nanosleep(&pause, NULL);
    }
}

static void attend(struct cmd_program_said *s, pid_t pid, int out, int error,
                   double seconds)
{
    double end = now() + seconds;
    int status = 0;

    s->end = hear(s, out, error, end);
    if (s->end == CMD_PROGRAM_EXITED && !ended(pid, end))
        s->end = CMD_PROGRAM_LATE;
    kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    end_all();
    if (s->end != CMD_PROGRAM_EXITED)
        return;
    if (WIFEXITED(status)) {
        s->code = WEXITSTATUS(status);
        return;
    }
    s->code = WTERMSIG(status);
    s->end = s->code == SIGXCPU ? CMD_PROGRAM_LATE : CMD_PROGRAM_SIGNALLED;
}

static void close_pair(int fds[2])
{
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

ax_status cmd_program_run(struct cmd_program_said *s,
                          const struct cmd_program *p, struct ax_err *err)
{
    int out[2] = {-1, -1}, error[2] = {-1, -1};
    pid_t parent = getpid(), pid;
    char path[PATH_MAX];

    *s = (struct cmd_program_said){.end = CMD_PROGRAM_MISSING};
    s->out = calloc(1, CMD_PROGRAM_SAID + 1);
    s->error = calloc(1, CMD_PROGRAM_SAID + 1);
    if (!s->out || !s->error) {
        cmd_program_free(s);
        return ax_fail(err, AX_ENOMEM, "no memory for what %s says",
                       p->argv[0]);
    }
    if (!find(path, p->argv[0]))
        return AX_OK;
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid = pipe2(out, O_CLOEXEC) || pipe2(error, O_CLOEXEC) ? -1 : fork();
    if (pid == 0)
        become(p, path, out[1], error[1], parent);
    if (pid < 0) {
        close_pair(out);
        close_pair(error);
        cmd_program_free(s);
        return ax_fail(err, AX_EUNAVAILABLE, "no process for %s: %s",
                       p->argv[0], strerror(errno));
    }
    setpgid(pid, pid);
    close(out[1]);
    close(error[1]);
    attend(s, pid, out[0], error[0], p->seconds);
    close(out[0]);
    close(error[0]);
    return AX_OK;
}

void cmd_program_free(struct cmd_program_said *s)
{
    free(s->out);
    free(s->error);
    s->out = s->error = NULL;
}
