/* ax - run ax-NAME, which lies beside this program or in PATH. See
 * man/ax.1. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "common/run.h"

static const struct {
    const char *name, *summary;
} commands[] = {
#define X(name, summary) {name, summary},
#include "commands.def"
#undef X
};

enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

static void list(void)
{
    for (int i = 0; i < N_COMMANDS; i++)
        printf("%-12s%s\n", commands[i].name + strlen("ax-"),
               commands[i].summary);
}

/* The path of PROGRAM beside this one; false if that is too long. */
static bool beside(char *path, size_t size, const char *program)
{
    ssize_t n = readlink("/proc/self/exe", path, size - 1);
    char *slash;

    if (n <= 0)
        return false;
    path[n] = '\0';
    slash = strrchr(path, '/');
    if (!slash || (size_t)(slash + 1 - path) + strlen(program) >= size)
        return false;
    memcpy(slash + 1, program, strlen(program) + 1);
    return true;
}

/* Become PROGRAM with ARGV; returns only if that fails. */
static ax_status become(const char *name, char **argv, struct ax_err *err)
{
    char program[64], path[PATH_MAX];
    int n = snprintf(program, sizeof program, "ax-%s", name);

    if (n < 0 || (size_t)n >= sizeof program || strchr(name, '/'))
        return ax_fail(err, AX_EUSAGE, "no command is called '%s'", name);
    argv[0] = program;
    signal(SIGPIPE, SIG_DFL);
    if (beside(path, sizeof path, program))
        execv(path, argv);
    execvp(program, argv);
    if (errno != ENOENT)
        return ax_fail(err, AX_EUNAVAILABLE, "%s: %s", program,
                       strerror(errno));
    return ax_fail(err, AX_EUSAGE, "no command is called '%s'; see ax --list",
                   name);
}

/* Show the page of a command, or of the suite. */
static ax_status manual(const char *name, struct ax_err *err)
{
    char page[64];

    snprintf(page, sizeof page, "ax-%s", name ? name : "");
    signal(SIGPIPE, SIG_DFL);
    execlp("man", "man", name ? page : "ax", (char *)NULL);
    return ax_fail(err, AX_EUNAVAILABLE, "man: %s", strerror(errno));
}

int main(int argc, char **argv)
{
    bool names = false;
    const struct opt opts[] = {
        {.name = "list", .help = "list the commands", .flag = &names},
        {0},
    };
    const struct cmd cmd = {
        .name = "ax",
        .summary = "audit neural networks through pipes",
        .synopsis = "[--list] [NAME [ARG ...]]",
        .opts = opts,
        .max_operands = CMD_MANY,
        .operands_end_options = true,
    };
    struct ax_err err = {0};
    ax_status st = cmd_options(&cmd, &argc, &argv, &err);

    if (st != AX_OK)
        return cmd_finish(&cmd, st, &err);
    if (names || argc == 0)
        list();
    else if (strcmp(argv[0], "help") == 0)
        st = manual(argv[1], &err);
    else
        st = become(argv[0], argv, &err);
    return cmd_finish(&cmd, st, &err);
}
