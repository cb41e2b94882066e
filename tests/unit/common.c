/* cmd/common: what options accept and refuse, what inputs and outputs do. */
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/file.h"
#include "common/json.h"
#include "common/progress.h"
#include "common/run.h"
#include "tap.h"

static bool quiet;
static const char *format;
static struct opt_list keys;
static int64_t threads;
static double seconds;
static struct ax_err err;
static int n_operands;
static char **operands;

/* Parse words, separated by one space each. */
static ax_status parse(const char *words, bool first_operand_ends)
{
    static char text[4096], *argv[256];
    const struct opt opts[] = {
        {'q', "quiet", NULL, "say less", .flag = &quiet},
        {'f', "format", "NAME", "format", .str = &format,
         .one_of = "list onnx"},
        {'k', "key", "FILE", "a key", .list = &keys},
        {'t', "threads", "N", "threads", .num = &threads, .min = 1,
         .max = 64},
        {0, "timeout", "SECONDS", "limit", .real = &seconds, .max = 100},
        {0},
    };
    const struct cmd cmd = {.name = "ax-test",
                            .summary = "test",
                            .synopsis = "",
                            .opts = opts,
                            .max_operands = 2,
                            .operands_end_options = first_operand_ends};
    char *save = NULL;

    quiet = false;
    format = NULL;
    keys.n = 0;
    threads = 0;
    seconds = 0;
    err = (struct ax_err){0};
    n_operands = 0;
    argv[n_operands++] = (char[]){"ax-test"};
    snprintf(text, sizeof text, "%s", words);
    for (char *w = strtok_r(text, " ", &save); w && n_operands < 255;
         w = strtok_r(NULL, " ", &save))
        argv[n_operands++] = w;
    argv[n_operands] = NULL;
    operands = argv;
    return cmd_options(&cmd, &n_operands, &operands, &err);
}

static bool refuses(const char *words, const char *msg)
{
    ax_status st = parse(words, false);

    if (strcmp(err.msg, msg) != 0)
        printf("# %s\n", err.msg);
    return st == AX_EUSAGE && strcmp(err.msg, msg) == 0;
}

static void options_are_read(void)
{
    OK(parse("-q -f onnx a --threads=7 b --timeout 1.5", false) == AX_OK);
    OK(quiet && strcmp(format, "onnx") == 0 && threads == 7);
    OK(seconds > 1.4 && seconds < 1.6);
    OK(n_operands == 2 && strcmp(operands[0], "a") == 0 &&
       strcmp(operands[1], "b") == 0 && !operands[2]);
    OK(parse("-qt3 -flist", false) == AX_OK && quiet && threads == 3 &&
       strcmp(format, "list") == 0);
    OK(parse("--key=a -k b -kc", false) == AX_OK && keys.n == 3 &&
       strcmp(keys.v[2], "c") == 0);
    OK(parse("-q -- -q -", false) == AX_OK && n_operands == 2 &&
       strcmp(operands[0], "-q") == 0 && strcmp(operands[1], "-") == 0);
    OK(parse("run -q", true) == AX_OK && !quiet && n_operands == 2);
    OK(parse("", false) == AX_OK && n_operands == 0);
}

static void options_are_refused(void)
{
    char many[1024] = "";

    OK(refuses("--bogus", "unknown option '--bogus'"));
    OK(refuses("-z", "unknown option '-z'"));
    OK(refuses("-qz", "unknown option '-z'"));
    OK(refuses("--quiet=1", "--quiet takes no argument"));
    OK(refuses("--threads", "--threads needs N"));
    OK(refuses("-t0", "--threads wants a number from 1 to 64, not '0'"));
    OK(refuses("-t1x", "--threads wants a number from 1 to 64, not '1x'"));
    OK(refuses("-t99999999999999999999",
               "--threads wants a number from 1 to 64, not "
               "'99999999999999999999'"));
    OK(refuses("--timeout nan",
               "--timeout wants a number from 0 to 100, not 'nan'"));
    OK(refuses("-f li", "--format wants one of: list onnx; not 'li'"));
    OK(refuses("-f nnx", "--format wants one of: list onnx; not 'nnx'"));
    OK(refuses("--format=", "--format wants one of: list onnx; not ''"));
    OK(refuses("a b c", "wants at most 2 operands, has 3"));
    for (int i = 0; i <= CMD_LIST_MAX; i++)
        strcat(many, "-k x ");
    OK(refuses(many, "--key is given more than 64 times"));
}

static void inputs_are_read(const char *dir)
{
    char path[256];
    unsigned char *data = NULL;
    size_t n;
    FILE *f;

    snprintf(path, sizeof path, "%s/in", dir);
    f = fopen(path, "wb");
    for (int i = 0; i < 10000; i++)
        putc(i % 251, f);
    fclose(f);
    OK(cmd_in_read(&data, &n, path, 10000, &err) == AX_OK && n == 10000 &&
       data[9999] == 9999 % 251 && data[n] == '\0');
    free(data);
    OK(cmd_in_read(&data, &n, path, 9999, &err) == AX_EFORMAT && !data);
    OK(strstr(err.msg, "/in: is larger than 9999 bytes"));
    unlink(path);
    OK(cmd_in_read(&data, &n, path, 1, &err) == AX_ENOINPUT);
    OK(strstr(err.msg, "/in: No such file or directory"));
    OK(cmd_in_read(&data, &n, dir, 1, &err) == AX_ENOINPUT);
    OK(strstr(err.msg, "is a folder"));
}

static bool holds(const char *path, const char *text)
{
    char got[64] = "";
    FILE *f = fopen(path, "rb");

    if (!f)
        return false;
    if (!fgets(got, sizeof got, f))
        got[0] = '\0';
    fclose(f);
    return strcmp(got, text) == 0;
}

static void outputs_are_atomic(const char *dir)
{
    char path[256];
    struct cmd_out out;
    struct stat info;

    snprintf(path, sizeof path, "%s/out", dir);
    OK(cmd_out_open(&out, path, CMD_OUT_BINARY, &err) == AX_OK);
    fputs("one", out.f);
    OK(access(path, F_OK) != 0);
    OK(cmd_out_commit(&out, &err) == AX_OK && holds(path, "one"));

    OK(chmod(path, 0640) == 0);
    OK(cmd_out_open(&out, path, 0, &err) == AX_OK);
    fputs("two", out.f);
    cmd_out_discard(&out);
    cmd_out_discard(&out);
    OK(holds(path, "one"));
    OK(cmd_out_open(&out, path, CMD_OUT_NEW, &err) == AX_EUSAGE);
    OK(cmd_out_open(&out, path, 0, &err) == AX_OK);
    fputs("three", out.f);
    OK(cmd_out_commit(&out, &err) == AX_OK && holds(path, "three"));
    OK(stat(path, &info) == 0 && (info.st_mode & 0777) == 0640);
    unlink(path);
    OK(cmd_out_open(&out, path, CMD_OUT_SECRET, &err) == AX_OK);
    OK(cmd_out_commit(&out, &err) == AX_OK);
    OK(stat(path, &info) == 0 && (info.st_mode & 0777) == 0600);
    unlink(path);
    OK(rmdir(dir) == 0); /* nothing else was left behind */
}

static void outputs_fail(void)
{
    struct cmd_out out;

    OK(cmd_out_open(&out, "/nonexistent/x", 0, &err) == AX_EIO);
    OK(cmd_out_open(&out, "/dev/full", 0, &err) == AX_OK);
    fputs("x", out.f);
    OK(cmd_out_commit(&out, &err) == AX_EIO);
    OK(strcmp(err.msg, "/dev/full: No space left on device") == 0);
}

/* A child that is killed while it writes leaves the old file or none. */
static void signals_leave_nothing(const char *dir, int sig)
{
    char path[256];
    struct cmd_out out;
    int status;
    pid_t child;

    snprintf(path, sizeof path, "%s/out", dir);
    child = fork();
    if (child == 0) {
        /* In the background of a script SIGINT comes ignored. */
        signal(sig, SIG_DFL);
        if (mkdir(dir, 0700) || cmd_out_open(&out, path, 0, &err) != AX_OK)
            _exit(1);
        fputs("half", out.f);
        raise(sig);
        _exit(2);
    }
    OK(waitpid(child, &status, 0) == child);
    OK(WIFSIGNALED(status) && WTERMSIG(status) == sig);
    OK(access(path, F_OK) != 0);
    OK(rmdir(dir) == 0);
}

/* What a command does that has a terminal; _exit code 0 if it is right. */
static int on_terminal(void)
{
    struct cmd_progress meter;
    struct cmd_out out;
    FILE *f;

    if (cmd_out_open(&out, NULL, CMD_OUT_BINARY, &err) != AX_EUSAGE ||
        cmd_out_open(&out, NULL, CMD_OUT_BINARY | CMD_OUT_FORCE, &err) !=
            AX_OK ||
        cmd_in_open(&f, "-", &err) != AX_EUSAGE)
        return 1;
    cmd_progress_start(&meter);
    cmd_progress(&meter, "too early");
    meter.next_ms = 0;
    cmd_progress(&meter, "%d of %d", 1, 2);
    cmd_progress(&meter, "too soon after it");
    cmd_progress_end(&meter);
    return meter.on ? 0 : 2;
}

/* Run on_terminal with a terminal; what it printed is in text. */
static int with_terminal(char *text, size_t size, const char *term,
                         const char *ci)
{
    int fd, status = -1;
    size_t n = 0;
    ssize_t got;
    pid_t child = forkpty(&fd, NULL, NULL, NULL);

    if (child == 0) {
        setenv("TERM", term, 1);
        setenv("CI", ci, 1);
        _exit(on_terminal());
    }
    while (n + 1 < size && (got = read(fd, text + n, size - 1 - n)) > 0)
        n += (size_t)got;
    text[n] = '\0';
    close(fd);
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void terminals_are_respected(void)
{
    char text[256];

    OK(with_terminal(text, sizeof text, "xterm", "") == 0);
    OK(strcmp(text, "\r1 of 2\033[K\r\033[K") == 0);
    OK(with_terminal(text, sizeof text, "dumb", "") == 2 && !text[0]);
    OK(with_terminal(text, sizeof text, "xterm", "true") == 2 && !text[0]);
}

static void text_is_made_harmless(void)
{
    char *buf = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&buf, &n);
    json_t *j = cmd_json_text("a\xff\xc3\xa9");

    cmd_text(f, "a\033[2J\n\xc3\xa9\xc2\x9b");
    fclose(f);
    OK(strcmp(buf, "a\\x1b[2J\\x0a\xc3\xa9\\xc2\x9b") == 0);
    free(buf);
    OK(strcmp(json_string_value(j), "a\\xff\\xc3\\xa9") == 0);
    json_decref(j);
}

int main(void)
{
    char dir[] = "/tmp/ax-unit-XXXXXX";

    options_are_read();
    options_are_refused();
    OK(mkdtemp(dir) != NULL);
    inputs_are_read(dir);
    outputs_are_atomic(dir);
    outputs_fail();
    signals_leave_nothing(dir, SIGINT);
    signals_leave_nothing(dir, SIGTERM);
    signals_leave_nothing(dir, SIGHUP);
    terminals_are_respected();
    text_is_made_harmless();
    return tap_done();
}
