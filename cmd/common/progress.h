/* cmd/common/progress.h - one line on standard error that says how far we
 * are. Only on a terminal, and not if CI is set or TERM is "dumb". */
#ifndef CMD_PROGRESS_H
#define CMD_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "ax/err.h"

struct cmd_progress {
    bool on;         /* worth computing what to say? */
    bool drawn;      /* there is a line to erase */
    int64_t next_ms; /* when the line may change */
};

/* Nothing is drawn in the first 300 ms, and then ten times a second. */
void cmd_progress_start(struct cmd_progress *p);
/* Replace the line; cut to the width of the terminal. */
void cmd_progress(struct cmd_progress *p, const char *fmt, ...)
    AX_PRINTF(2, 3);
/* Erase the line: call it before anything else is printed. */
void cmd_progress_end(struct cmd_progress *p);

#endif
