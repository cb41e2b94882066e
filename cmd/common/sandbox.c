/* The sandbox: see sandbox.h. */
#include "common/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/filter.h"
#include "common/json.h"

/* ---- what the user wants ---- */

typedef enum mode { MODE_SAY, MODE_QUIET, MODE_REQUIRE, MODE_OFF } mode;

/* The sanitizers map more memory than any limit allows, read what lies
 * beside them, and trace the process for leaks. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MODE_DEFAULT MODE_OFF
#else
#define MODE_DEFAULT MODE_SAY
#endif

static ax_status get_mode(mode *out, struct ax_err *err)
{
    static const char *const words[] = {"say", "quiet", "require", "off"};
    const char *s = getenv("AX_SANDBOX");

    *out = MODE_DEFAULT;
    if (!s || !*s)
        return AX_OK;
    for (int i = 0; i < (int)(sizeof words / sizeof *words); i++)
        if (strcmp(s, words[i]) == 0) {
            *out = (mode)i;
            return AX_OK;
        }
    return ax_fail(err, AX_EUSAGE,
                   "AX_SANDBOX wants one of: say quiet require off; not '%s'",
                   s);
}

/* ---- Landlock ---- */

/* The interface of the kernel, of which Debian 12 has an old header. */
struct ruleset {
    uint64_t files, net, scoped;
};

struct __attribute__((packed)) beneath {
    uint64_t files;
    int32_t fd;
};

enum {
    FILES_EXECUTE = 1 << 0,
    FILES_WRITE = 1 << 1,
    FILES_READ = 1 << 2,
    FILES_LIST = 1 << 3,
    FILES_REMOVE = 1 << 5,
    FILES_MAKE = 1 << 8,
    FILES_TRUNCATE = 1 << 14,
    FILES_ALL = (1 << 16) - 1, /* those of version 5 */
    NET_ALL = 3,               /* version 4: bind and connect with TCP */
    SCOPED_ALL = 3,            /* version 6: abstract sockets, signals */
};

static long landlock_create(const struct ruleset *r, size_t n, unsigned flags)
{
    return syscall(444, r, n, flags);
}

static long landlock_allow(int set, int fd, uint64_t files)
{
    struct beneath rule = {.files = files, .fd = fd};

    return syscall(445, set, 1, &rule, 0);
}

static long landlock_restrict(int set)
{
    return syscall(446, set, 0);
}

/* A set of rules, which handles what this kernel knows of. -1 and errno if
 * it does not know Landlock. */
static int ruleset_new(struct ruleset *r, uint64_t free)
{
    static const uint64_t known[] = {0, 0x1fff, 0x3fff, 0x7fff, 0x7fff};
    long version = landlock_create(NULL, 0, 1);

    if (version < 1)
        return -1;
    *r = (struct ruleset){
        .files = (version < 5 ? known[version] : FILES_ALL) & ~free,
        .net = version < 4 ? 0 : NET_ALL,
        .scoped = version < 6 ? 0 : SCOPED_ALL,
    };
    return (int)landlock_create(r,
                                version < 4   ? 8
                                : version < 6 ? 16
                                              : sizeof *r,
                                0);
}

/* What is not there, or not for us, needs no rule. */
static bool allow(int set, const struct ruleset *r, const char *path,
                  uint64_t files)
{
    int fd = open(path, O_PATH | O_CLOEXEC);
    bool good;

    if (fd < 0)
        return errno != EMFILE && errno != ENFILE && errno != ENOMEM;
    good = landlock_allow(set, fd, files & r->files) == 0;
    close(fd);
    return good;
}

/* The folder that an output is made in, or the output itself if it is no
 * regular file, such as /dev/null. */
static bool allow_output(int set, const struct ruleset *r, const char *path)
{
    char real[PATH_MAX];
    struct stat info;
    char *slash;

    if (!path || strcmp(path, "-") == 0)
        return true;
    if (realpath(path, real)) {
        if (stat(real, &info) == 0 && !S_ISREG(info.st_mode))
            return allow(set, r, real, FILES_WRITE | FILES_TRUNCATE);
        path = real;
    }
    if (path != real)
        snprintf(real, sizeof real, "%s", path);
    slash = strrchr(real, '/');
    if (slash)
        slash[slash == real] = '\0';
    return allow(set, r, slash ? real : ".",
                 FILES_WRITE | FILES_TRUNCATE | FILES_MAKE | FILES_REMOVE |
                     FILES_READ | FILES_LIST);
}

static bool landlock_lax(const struct cmd_sandbox *box)
{
    uint64_t free = FILES_READ | FILES_LIST;
    struct ruleset r;
    bool good = true;
    int set;

    if (box->programs)
        free |= FILES_EXECUTE;
    set = ruleset_new(&r, free);
    if (set < 0)
        return false;
    for (int i = 0; i < CMD_SANDBOX_WRITES; i++)
        good = good && allow_output(set, &r, box->writes[i]);
    good = good && landlock_restrict(set) == 0;
    close(set);
    return good;
}

/* For programs of others: all can be read and run, one folder is theirs, and
 * what everybody writes to can be written. */
static bool landlock_scratch(const char *scratch)
{
    struct ruleset r;
    bool good;
    int set = ruleset_new(&r, FILES_READ | FILES_LIST | FILES_EXECUTE);

    if (set < 0)
        return false;
    good = allow(set, &r, scratch, FILES_ALL) &&
           allow(set, &r, "/dev/null", FILES_WRITE | FILES_TRUNCATE) &&
           landlock_restrict(set) == 0;
    close(set);
    return good;
}

static bool landlock_strict(const struct cmd_confined *c)
{
    struct ruleset r;
    bool good;
    int set;

    if (c->scratch)
        return landlock_scratch(c->scratch);
    set = ruleset_new(&r, 0);
    if (set < 0)
        return false;
    good = (!c->folder ||
            allow(set, &r, c->folder, FILES_READ | FILES_LIST)) &&
           /* How many threads there can be; seeds of hash tables. */
           allow(set, &r, "/dev/urandom", FILES_READ) &&
           allow(set, &r, "/sys/devices/system/cpu", FILES_READ) &&
           landlock_restrict(set) == 0;
    close(set);
    return good;
}

/* ---- all layers ---- */

/* The names of the layers that are missing, for one message. */
struct missing {
    char text[256];
};

static void miss(struct missing *m, const char *what)
{
    size_t n = strlen(m->text);

    snprintf(m->text + n, sizeof m->text - n, "%s%s (%s)", n ? ", " : "",
             what, strerror(errno));
}

static ax_status judge(const struct missing *m, mode want,
                       const struct cmd *cmd, struct ax_err *err)
{
    if (!m->text[0] || want == MODE_QUIET)
        return AX_OK;
    if (want == MODE_REQUIRE)
        return ax_fail(err, AX_EUNAVAILABLE,
                       "the sandbox lacks %s, and AX_SANDBOX=require",
                       m->text);
    fprintf(stderr,
            "%s: warning: foreign bytes are read without the whole sandbox: "
            "no %s; see AX_SANDBOX in ax(7)\n",
            cmd->name, m->text);
    return AX_OK;
}

static void lower_limit(int which, rlim_t to)
{
    struct rlimit limit;

    if (getrlimit(which, &limit) || limit.rlim_cur <= to)
        return;
    limit.rlim_cur = to;
    if (limit.rlim_max > to)
        limit.rlim_max = to;
    (void)setrlimit(which, &limit);
}

ax_status cmd_sandbox_enter(const struct cmd_sandbox *box, struct ax_err *err)
{
    unsigned grants = FILTER_FILES | (box->programs ? FILTER_PROGRAMS : 0u);
    struct missing m = {0};
    mode want;

    AX_TRY(get_mode(&want, err));
    if (want == MODE_OFF)
        return AX_OK;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        miss(&m, "no_new_privs");
    if (!landlock_lax(box))
        miss(&m, "Landlock");
    if (!filter_install(grants))
        miss(&m, "seccomp");
    return judge(&m, want, box->cmd, err);
}

static ax_status confine(const struct cmd_confined *c, mode want,
                         struct ax_err *err)
{
    struct missing m = {0};

    lower_limit(RLIMIT_CORE, 0);
    lower_limit(RLIMIT_DATA, c->bytes);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        miss(&m, "no_new_privs");
    if (!landlock_strict(c))
        miss(&m, "Landlock");
    if (!filter_install(c->scratch ? FILTER_FOREIGN : 0u))
        miss(&m, "seccomp");
    return judge(&m, want, c->cmd, err);
}

/* ---- the child ---- */

/* What the child says; the memory is shared, and the child not trusted. */
struct answer {
    ax_status st;
    struct ax_err err;
};

/* Does not return. */
static void be_child(const struct cmd_confined *c, mode want, pid_t parent,
                     struct answer *a)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
        _exit(ax_status_exit(AX_EUNAVAILABLE));
    cmd_json_watch(NULL);
    a->st = confine(c, want, &a->err);
    if (a->st == AX_OK)
        a->st = c->work(c->arg, &a->err);
    _exit(0);
}

static ax_status take_answer(const volatile struct answer *shared, int status,
                             struct ax_err *err)
{
    struct answer a;

    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return ax_fail(err, AX_ENOMEM,
                       "the process that reads the input was killed");
    if (WIFEXITED(status) && WEXITSTATUS(status) == ax_status_exit(AX_ENOMEM))
        return ax_fail(err, AX_ENOMEM, "no memory for JSON");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return ax_fail(err, AX_EBUG,
                       "the process that reads the input was ended by "
                       "signal %d: this is a fault of ours; nothing was "
                       "written",
                       WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    /* Copied once, before it is looked at. */
    for (size_t i = 0; i < sizeof a; i++)
        ((unsigned char *)&a)[i] =
            ((const volatile unsigned char *)shared)[i];
    a.err.msg[sizeof a.err.msg - 1] = '\0';
    if (a.st == AX_OK)
        return AX_OK;
    if ((unsigned)a.st > AX_ENOMEM)
        return ax_fail(err, AX_EBUG, "the reader gave no status");
    return ax_fail(err, a.st, "%s", a.err.msg);
}

ax_status cmd_sandbox_run(const struct cmd_confined *c, struct ax_err *err)
{
    struct answer *shared;
    pid_t parent = getpid(), pid;
    ax_status st;
    mode want;
    int status;

    AX_TRY(get_mode(&want, err));
    if (want == MODE_OFF)
        return c->work(c->arg, err);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return ax_fail(err, AX_ENOMEM, "no memory for the sandbox");
    /* What is buffered would be written twice. */
    fflush(stdout);
    pid = fork();
    if (pid == 0)
        be_child(c, want, parent, shared);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    st = pid < 0 ? ax_fail(err, AX_EUNAVAILABLE,
                           "no process for the sandbox: %s", strerror(errno))
                 : take_answer(shared, status, err);
    munmap(shared, sizeof *shared);
    return st;
}
