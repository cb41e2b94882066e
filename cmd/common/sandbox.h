/* cmd/common/sandbox.h - what a command gives up before it reads bytes that
 * somebody else wrote, so that a fault in a parser is not a way into the
 * system. Three layers of Linux, each of which the process cannot take off
 * again: limits on resources, Landlock for files, a seccomp filter for system
 * calls. What the kernel does not have is said on standard error, once, and
 * the command goes on with what there is; the environment variable AX_SANDBOX
 * of ax(7) chooses otherwise. */
#ifndef CMD_SANDBOX_H
#define CMD_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "ax/err.h"
#include "common/run.h"

#define CMD_SANDBOX_WRITES 5

struct cmd_sandbox {
    const struct cmd *cmd; /* for messages */
    /* Outputs that the command will open with cmd_out_open: their folders
     * can be written. NULL and "-" are none. */
    const char *writes[CMD_SANDBOX_WRITES];
    bool programs; /* it starts other programs */
};

/* Enter the sandbox, for good. From here on the process can read any file,
 * make files in the folders of its outputs alone, start threads, and start
 * programs only if it said so; it cannot open a socket, look into or signal
 * another process, or gain privileges. Call it before there are threads.
 * AX_EUSAGE        AX_SANDBOX is no word that ax(7) knows
 * AX_EUNAVAILABLE  AX_SANDBOX=require, and a layer is missing. */
ax_status cmd_sandbox_enter(const struct cmd_sandbox *box, struct ax_err *err)
    AX_MUST_CHECK;

/* What happens in a stricter sandbox: see cmd_sandbox_run. */
struct cmd_confined {
    const struct cmd *cmd;
    const char *folder; /* can be read, with what is below it; or NULL */
    /* With a scratch folder everything can be read, and programs of others be
     * started, which can write there and nowhere else; or NULL. */
    const char *scratch;
    size_t bytes; /* of memory at most */
    ax_status (*work)(void *arg, struct ax_err *err);
    void *arg;
};

/* Do the work in a child, which, without a scratch folder, can use the
 * descriptors that are open, read below one folder, start threads, and
 * nothing else: no file can be opened to be written, none renamed or removed,
 * no memory made executable. It gives back its status and message alone.
 * Whoever calls this opens the input and the output before it, and gives the
 * output its name after it. As cmd_sandbox_enter and the work; AX_EBUG if a
 * signal ended the work, AX_ENOMEM if that was SIGKILL. */
ax_status cmd_sandbox_run(const struct cmd_confined *c, struct ax_err *err)
    AX_MUST_CHECK;

#endif
