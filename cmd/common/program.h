/* cmd/common/program.h - a program of others, run for what it says. It gets
 * no more of this process than a folder to work in: no descriptor, no
 * variable of the environment but where programs lie, nothing to read. Who
 * calls it is in a sandbox, which the program is then in too. */
#ifndef CMD_PROGRAM_H
#define CMD_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

#include "ax/err.h"

struct cmd_program {
    const char *const *argv; /* ended by NULL; argv[0] is looked for in PATH,
                                but not in folders that are not absolute */
    const char *folder;      /* it starts here */
    size_t bytes;            /* of address space at most */
    double seconds;          /* on the clock, and of processor time */
};

enum cmd_program_end {
    CMD_PROGRAM_EXITED,
    CMD_PROGRAM_SIGNALLED,
    CMD_PROGRAM_LATE,    /* time was up: it was killed */
    CMD_PROGRAM_TALKED,  /* it said too much: it was killed */
    CMD_PROGRAM_MISSING, /* there is none of that name */
};

#define CMD_PROGRAM_SAID ((size_t)1 << 20)

struct cmd_program_said {
    enum cmd_program_end end;
    int code;    /* exit code or signal */
    char *out;   /* what it said on standard output, ended by a NUL */
    char *error; /* and on the other one */
    size_t n_out, n_error;
};

/* Run it to its end, and all that it started with it, also what has made a
 * session of its own: this process must have no other children.
 * AX_ENOMEM, AX_EUNAVAILABLE: no process is to be had. Free what it said. */
ax_status cmd_program_run(struct cmd_program_said *said,
                          const struct cmd_program *p, struct ax_err *err)
    AX_MUST_CHECK;
void cmd_program_free(struct cmd_program_said *said);

#endif
