/* Preloaded by tests/cli/sandbox.bats: a parser that was taken over. In the
 * midst of reading a foreign file, when the library for its bytes is called,
 * it tries what an intruder would, and says on standard error what came of
 * each attempt: "socket: refused" or "socket: DONE". AX_BREACH is a folder
 * with a file "secret", which is not the folder of the input. With
 * AX_BREACH_DIE it sends itself that signal instead. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* These stand for the libraries' own. */
#define EXPORT __attribute__((visibility("default")))

static void say(const char *what, int done)
{
    char line[80];
    int n = snprintf(line, sizeof line, "%s: %s\n", what,
                     done ? "DONE" : "refused");

    if (write(STDERR_FILENO, line, (size_t)n) != n)
        _exit(125);
}

static const char *in_folder(char out[4096], const char *name)
{
    const char *folder = getenv("AX_BREACH");

    snprintf(out, 4096, "%s/%s", folder ? folder : "/nowhere", name);
    return out;
}

static int opens(const char *name, int flags)
{
    char path[4096];
    int fd = open(in_folder(path, name), flags, 0600);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static int starts_program(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(0);
    }
    if (pid > 0)
        waitpid(pid, NULL, 0);
    return pid > 0;
}

static int runs_program(void)
{
    char *const none[] = {NULL};
    char path[4096];

    /* An empty file: if it may be run, it is no program. */
    execve(in_folder(path, "program"), none, none);
    return errno == ENOEXEC;
}

static int makes_code(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return p != MAP_FAILED;
}

static void breach(void)
{
    static int done;
    char secret[4096], other[4096];
    const char *die = getenv("AX_BREACH_DIE");

    if (done++)
        return;
    if (die)
        raise((int)strtol(die, NULL, 10));
    say("socket", socket(AF_INET, SOCK_STREAM, 0) >= 0);
    say("unix socket", socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
    say("fork", starts_program());
    say("exec", runs_program());
    /* A process that cannot be: to be told so is to be heard. */
    say("ptrace",
        ptrace(PTRACE_ATTACH, 1 << 30, NULL, NULL) == 0 || errno == ESRCH);
    say("signal", kill(getppid(), 0) == 0);
    say("write", opens("secret", O_WRONLY));
    say("make", opens("new", O_WRONLY | O_CREAT));
    in_folder(secret, "secret");
    in_folder(other, "other");
    say("rename", rename(secret, other) == 0);
    say("remove", unlink(secret) == 0);
    say("link", symlink(secret, other) == 0);
    say("terminal",
        ioctl(STDERR_FILENO, TIOCSTI, "x") == 0 || errno != EPERM);
    say("read", opens("secret", O_RDONLY));
    say("code", makes_code());
}

static void *real(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

typedef void *unpack_fn(const void *, void *, size_t, const void *);
typedef void *json_fn(const char *, size_t, size_t, void *);
typedef size_t zstd_fn(void *, void *, size_t, const void *, size_t);

EXPORT void *protobuf_c_message_unpack(const void *type, void *allocator,
                                       size_t n, const void *data);
EXPORT size_t ZSTD_decompressDCtx(void *context, void *to, size_t room,
                                  const void *from, size_t n);
EXPORT void *json_loadb(const char *text, size_t n, size_t flags, void *why);

EXPORT void *protobuf_c_message_unpack(const void *type, void *allocator,
                                       size_t n, const void *data)
{
    void *found = real("protobuf_c_message_unpack");
    unpack_fn *f;

    memcpy(&f, &found, sizeof f);
    breach();
    return f(type, allocator, n, data);
}

EXPORT size_t ZSTD_decompressDCtx(void *context, void *to, size_t room,
                                  const void *from, size_t n)
{
    void *found = real("ZSTD_decompressDCtx");
    zstd_fn *f;

    memcpy(&f, &found, sizeof f);
    breach();
    return f(context, to, room, from, n);
}

EXPORT void *json_loadb(const char *text, size_t n, size_t flags, void *why)
{
    void *found = real("json_loadb");
    json_fn *f;

    memcpy(&f, &found, sizeof f);
    breach();
    return f(text, n, flags, why);
}
