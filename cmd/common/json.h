/* cmd/common/json.h - what --json prints. */
#ifndef CMD_JSON_H
#define CMD_JSON_H

#include <jansson.h>

#include "ax/err.h"

/* Print OBJ, an object, as one line of JSON on standard output, with the
 * key "schema" ("ax-show/1": change the number when the meaning of a key
 * changes) in front. Takes OBJ; NULL, which is what jansson gives when it
 * has no memory, is AX_ENOMEM, so that building and checking can be one
 * expression. */
ax_status cmd_json(const char *schema, json_t *obj, struct ax_err *err)
    AX_MUST_CHECK;

/* A string from a file, which need not be UTF-8: what is not is shown as
 * \xNN. NULL if out of memory. */
json_t *cmd_json_text(const char *s);

#endif
