/* cmd/common/file.h - the files that a command reads and writes. "-" is
 * standard input or output. */
#ifndef CMD_FILE_H
#define CMD_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "ax/err.h"

/* What messages call an input: PATH, or "standard input" for "-" or NULL. */
const char *cmd_in_name(const char *path);

/* Open an input. Close it with cmd_in_close, which leaves standard input
 * alone. Messages name the file.
 * AX_ENOINPUT  there is no such file, it may not be read, it is a folder
 * AX_EUSAGE    nobody would want to type it: standard input is a terminal */
ax_status cmd_in_open(FILE **f, const char *path, struct ax_err *err)
    AX_MUST_CHECK;
void cmd_in_close(FILE *f);

/* Read a whole input; *data is new, free() it, and has a NUL after its *n
 * bytes. Memory grows with what is really read. Messages name the file.
 * As cmd_in_open; AX_EFORMAT if it has more than max bytes; AX_EIO. */
ax_status cmd_in_read(unsigned char **data, size_t *n, const char *path,
                      size_t max, struct ax_err *err) AX_MUST_CHECK;
/* The same of an input that is open. */
ax_status cmd_in_rest(unsigned char **data, size_t *n, FILE *f,
                      const char *path, size_t max, struct ax_err *err)
    AX_MUST_CHECK;

/* An output under way. A file gets its name only when all of it is written:
 * until cmd_out_commit it is a temporary file beside it, which goes away
 * with cmd_out_discard and with SIGINT, SIGTERM and SIGHUP. */
struct cmd_out {
    FILE *f;           /* write here */
    const char *name;  /* for messages: the path or "standard output" */
    char *path, *temp; /* private */
    int slot;
    bool unnamed; /* until it is committed */
    bool is_new;  /* nothing is replaced */
};

enum cmd_out_flags {
    CMD_OUT_BINARY = 1, /* refuse to write to a terminal */
    CMD_OUT_FORCE = 2,  /* do it all the same */
    CMD_OUT_SECRET = 4, /* nobody else may read the file */
    CMD_OUT_NEW = 8,    /* refuse to replace an existing file */
};

/* PATH is "-" or NULL for standard output. What is no regular file, such as
 * /dev/null, is written directly.
 * AX_EUSAGE binary to a terminal, or CMD_OUT_NEW and PATH exists; AX_EIO */
ax_status cmd_out_open(struct cmd_out *out, const char *path, unsigned flags,
                       struct ax_err *err) AX_MUST_CHECK;
/* Give what is buffered to the system, so that another process, or the file
 * by another name, has it. AX_EIO. */
ax_status cmd_out_flush(struct cmd_out *out, struct ax_err *err)
    AX_MUST_CHECK;
/* Write out, sync, give it its name. OUT is done with afterwards, also on
 * failure. */
ax_status cmd_out_commit(struct cmd_out *out, struct ax_err *err)
    AX_MUST_CHECK;
/* In a handler of a signal that ends the process: remove what is half
 * written. */
void cmd_out_abandon(void);
/* Forget it; harmless after a commit and on {0}. */
void cmd_out_discard(struct cmd_out *out);

#endif
