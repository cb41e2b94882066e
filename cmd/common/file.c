/* Inputs and atomic outputs: see file.h. */
#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMP_MAX 4 /* outputs under way at a time */
#define PROC_FD  "/proc/self/fd/%d"

/* The names of temporary files, for the signal handler, which can see
 * nothing else. A name counts while it is not empty. */
static char temps[TEMP_MAX][PATH_MAX];

static bool is_dash(const char *path)
{
    return !path || strcmp(path, "-") == 0;
}

const char *cmd_in_name(const char *path)
{
    return is_dash(path) ? "standard input" : path;
}

ax_status cmd_in_open(FILE **f, const char *path, struct ax_err *err)
{
    struct stat info;

    if (is_dash(path)) {
        if (isatty(STDIN_FILENO))
            return ax_fail(err, AX_EUSAGE,
                           "wants a file: standard input is a terminal");
        *f = stdin;
        return AX_OK;
    }
    *f = fopen(path, "rbe");
    if (!*f)
        return ax_fail(err, errno == ENOMEM ? AX_ENOMEM : AX_ENOINPUT,
                       "%s: %s", path, strerror(errno));
    if (fstat(fileno(*f), &info) == 0 && S_ISDIR(info.st_mode)) {
        fclose(*f);
        *f = NULL;
        return ax_fail(err, AX_ENOINPUT, "%s: is a folder", path);
    }
    return AX_OK;
}

void cmd_in_close(FILE *f)
{
    if (f && f != stdin)
        fclose(f);
}

/* Bytes that a regular file still has, as a first guess; 0 if not known. */
static size_t size_hint(FILE *f, size_t max)
{
    struct stat info;

    if (fstat(fileno(f), &info) || !S_ISREG(info.st_mode) ||
        info.st_size <= 0)
        return 0;
    return (uintmax_t)info.st_size < max ? (size_t)info.st_size : max;
}

/* Read F to its end into *data, which grows. At most max bytes. */
static ax_status read_all(unsigned char **data, size_t *n, FILE *f,
                          size_t max, struct ax_err *err)
{
    size_t cap = size_hint(f, max) + 2;

    if (cap < 4096)
        cap = 4096;
    for (;;) {
        unsigned char *more = realloc(*data, cap);

        if (!more)
            return ax_fail(err, AX_ENOMEM, "no memory for %zu bytes", cap);
        *data = more;
        /* One byte more than is kept, so that the end is seen. */
        *n += fread(*data + *n, 1, cap - *n, f);
        if (ferror(f))
            return ax_fail(err, AX_EIO, "%s", strerror(errno));
        if (*n > max)
            return ax_fail(err, AX_EFORMAT, "is larger than %zu bytes", max);
        if (*n < cap)
            break;
        cap += cap / 2;
    }
    (*data)[*n] = '\0';
    return AX_OK;
}

ax_status cmd_in_rest(unsigned char **data, size_t *n, FILE *f,
                      const char *path, size_t max, struct ax_err *err)
{
    unsigned char *buf = NULL;
    ax_status st;

    *n = 0;
    st = read_all(&buf, n, f, max, err);
    if (st != AX_OK) {
        free(buf);
        *data = NULL;
        *n = 0;
        return ax_fail_in(err, "%s", cmd_in_name(path));
    }
    *data = buf;
    return AX_OK;
}

ax_status cmd_in_read(unsigned char **data, size_t *n, const char *path,
                      size_t max, struct ax_err *err)
{
    FILE *f = NULL;
    ax_status st;

    *data = NULL;
    *n = 0;
    AX_TRY(cmd_in_open(&f, path, err));
    st = cmd_in_rest(data, n, f, path, max, err);
    cmd_in_close(f);
    return st;
}

void cmd_out_abandon(void)
{
    for (int i = 0; i < TEMP_MAX; i++)
        if (temps[i][0])
            unlink(temps[i]);
}

/* Remove what is half written, then die of the signal as anybody would. */
static void on_signal(int sig)
{
    cmd_out_abandon();
    signal(sig, SIG_DFL);
    raise(sig);
}

static void signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGHUP);
}

/* A signal that is ignored, as by nohup(1), stays ignored. */
static void catch_signals(const sigset_t *set)
{
    for (int sig = 1; sig < NSIG; sig++) {
        struct sigaction act, old;

        if (sigismember(set, sig) != 1 || sigaction(sig, NULL, &old) ||
            old.sa_handler != SIG_DFL)
            continue;
        memset(&act, 0, sizeof act);
        act.sa_handler = on_signal;
        act.sa_flags = SA_NODEFER;
        sigaction(sig, &act, NULL);
    }
}

/* Make out->temp, and let the signal handler know of it. */
static int make_temp(struct cmd_out *out)
{
    size_t n = strlen(out->temp) + 1;
    sigset_t set, old;
    int fd = -1, slot = 0;

    while (slot < TEMP_MAX && temps[slot][0])
        slot++;
    if (slot == TEMP_MAX || n > sizeof temps[slot]) {
        errno = slot == TEMP_MAX ? EMFILE : ENAMETOOLONG;
        return -1;
    }
    signals(&set);
    sigprocmask(SIG_BLOCK, &set, &old);
    fd = mkostemp(out->temp, O_CLOEXEC);
    if (fd >= 0) {
        memcpy(temps[slot], out->temp, n);
        out->slot = slot;
        catch_signals(&set);
    }
    sigprocmask(SIG_SETMASK, &old, NULL);
    return fd;
}

/* A file without a name in the folder of out->path, which is gone when the
 * process is, whatever ends it; -1 where there is no such thing. */
static int make_unnamed(const struct cmd_out *out, size_t folder)
{
    char *dir = folder ? strndup(out->path, folder) : strdup(".");
    char link[32];
    int fd = dir ? open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600) : -1;

    free(dir);
    if (fd < 0)
        return -1;
    snprintf(link, sizeof link, PROC_FD, fd);
    if (access(link, F_OK) == 0) /* it can get a name */
        return fd;
    close(fd);
    return -1;
}

/* The file gets its name: at once, or, where the name is taken, another one
 * beside it first, since only rename(2) replaces. */
static bool give_name(const struct cmd_out *out, int fd)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    char link[32], *end = out->temp + strlen(out->temp) - 6;
    unsigned char dice[6];
    sigset_t set, old;
    bool done;

    snprintf(link, sizeof link, PROC_FD, fd);
    if (linkat(AT_FDCWD, link, AT_FDCWD, out->path, AT_SYMLINK_FOLLOW) == 0)
        return true;
    if (out->is_new) /* it was made meanwhile */
        return false;
    signals(&set);
    sigprocmask(SIG_BLOCK, &set, &old);
    do {
        done = getrandom(dice, sizeof dice, 0) == (ssize_t)sizeof dice;
        for (size_t i = 0; done && i < sizeof dice; i++)
            end[i] = letters[dice[i] % 36];
        done = done && linkat(AT_FDCWD, link, AT_FDCWD, out->temp,
                              AT_SYMLINK_FOLLOW) == 0;
    } while (!done && errno == EEXIST);
    if (done && rename(out->temp, out->path) != 0) {
        int why = errno;

        unlink(out->temp);
        errno = why;
        done = false;
    }
    sigprocmask(SIG_SETMASK, &old, NULL);
    return done;
}

/* The permissions that open(2) would have given. */
static mode_t usual_mode(unsigned flags, const struct stat *old)
{
    mode_t mask;

    if (flags & CMD_OUT_SECRET)
        return 0600;
    if (old)
        return old->st_mode & 0777;
    mask = umask(0);
    umask(mask);
    return 0666 & ~mask;
}

static ax_status open_temp(struct cmd_out *out, const struct stat *old,
                           unsigned flags, struct ax_err *err)
{
    const char *slash;
    size_t folder;
    int fd;

    /* A symbolic link stays; what it points to is replaced. */
    out->path = old ? realpath(out->name, NULL) : strdup(out->name);
    if (!out->path)
        return ax_fail(err, errno == ENOMEM ? AX_ENOMEM : AX_EIO, "%s: %s",
                       out->name, strerror(errno));
    slash = strrchr(out->path, '/');
    folder = slash ? (size_t)(slash - out->path) + 1 : 0;
    if (asprintf(&out->temp, "%.*s.%.200s.XXXXXX", (int)folder, out->path,
                 out->path + folder) < 0) {
        out->temp = NULL;
        return ax_fail(err, AX_ENOMEM, "no memory for a file name");
    }
    fd = make_unnamed(out, folder);
    out->unnamed = fd >= 0;
    if (fd < 0)
        fd = make_temp(out);
    if (fd < 0)
        return ax_fail(err, AX_EIO, "%s: cannot make a file beside it: %s",
                       out->name, strerror(errno));
    if (fchmod(fd, usual_mode(flags, old)) || !(out->f = fdopen(fd, "wb"))) {
        close(fd);
        return ax_fail(err, errno == ENOMEM ? AX_ENOMEM : AX_EIO, "%s: %s",
                       out->name, strerror(errno));
    }
    return AX_OK;
}

ax_status cmd_out_open(struct cmd_out *out, const char *path, unsigned flags,
                       struct ax_err *err)
{
    struct stat old, link;
    bool exists;
    ax_status st;

    *out = (struct cmd_out){
        .name = path, .slot = -1, .is_new = (flags & CMD_OUT_NEW) != 0};
    if (is_dash(path)) {
        out->name = "standard output";
        if ((flags & CMD_OUT_BINARY) && !(flags & CMD_OUT_FORCE) &&
            isatty(STDOUT_FILENO))
            return ax_fail(err, AX_EUSAGE,
                           "will not write binary to a terminal; "
                           "use -o FILE or --force");
        out->f = stdout;
        return AX_OK;
    }
    exists = stat(path, &old) == 0;
    if ((flags & CMD_OUT_NEW) && (exists || lstat(path, &link) == 0))
        return ax_fail(err, AX_EUSAGE, "%s: exists and is not replaced",
                       path);
    if (exists && !S_ISREG(old.st_mode)) {
        out->f = fopen(path, "wbe");
        return out->f ? AX_OK
                      : ax_fail(err, errno == ENOMEM ? AX_ENOMEM : AX_EIO,
                                "%s: %s", path, strerror(errno));
    }
    st = open_temp(out, exists ? &old : NULL, flags, err);
    if (st != AX_OK)
        cmd_out_discard(out);
    return st;
}

ax_status cmd_out_flush(struct cmd_out *out, struct ax_err *err)
{
    errno = 0;
    if (fflush(out->f) == 0 && !ferror(out->f))
        return AX_OK;
    return ax_fail(err, AX_EIO, "%s: %s", out->name,
                   errno ? strerror(errno) : "a write failed");
}

ax_status cmd_out_commit(struct cmd_out *out, struct ax_err *err)
{
    bool bad;

    errno = 0;
    bad = fflush(out->f) != 0 || ferror(out->f);
    if (!bad && out->temp)
        bad = fsync(fileno(out->f)) != 0 ||
              (out->unnamed && !give_name(out, fileno(out->f)));
    if (out->f != stdout)
        bad |= fclose(out->f) != 0;
    out->f = NULL;
    if (!bad && out->temp && !out->unnamed) {
        bad = rename(out->temp, out->path) != 0;
        if (!bad)
            temps[out->slot][0] = '\0';
    }
    if (bad)
        (void)ax_fail(err, AX_EIO, "%s: %s", out->name,
                      errno ? strerror(errno) : "a write failed");
    cmd_out_discard(out);
    return bad ? AX_EIO : AX_OK;
}

void cmd_out_discard(struct cmd_out *out)
{
    if (out->f && out->f != stdout)
        fclose(out->f);
    if (out->temp && out->slot >= 0 && temps[out->slot][0]) {
        unlink(out->temp);
        temps[out->slot][0] = '\0';
    }
    free(out->temp);
    free(out->path);
    *out = (struct cmd_out){.slot = -1};
}
