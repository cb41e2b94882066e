/* cmd/common/version.h - what --version prints. */
#ifndef CMD_VERSION_H
#define CMD_VERSION_H

#include <stdbool.h>

#include "ax/err.h"

/* Print "NAME VERSION", or with JSON one object of schema ax-version/1: how
 * this program was built, with which libraries, and which instructions the
 * processor has. */
ax_status cmd_version(const char *name, bool json, struct ax_err *err)
    AX_MUST_CHECK;

#endif
