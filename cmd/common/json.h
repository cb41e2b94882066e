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

/* Add a member to an object, an element to an array. VALUE is taken. If it is
 * NULL or memory runs out, *TO is freed and becomes NULL, and stays so: a
 * result is whole or none, and only its end, cmd_json, has to look. */
void cmd_json_put(json_t **to, const char *key, json_t *value);
void cmd_json_add(json_t **to, json_t *value);

/* jansson 2.14 does not always look whether it ran out of memory: a text that
 * it reads can then lose parts, be called malformed, or end the process by a
 * signal. After this, which cmd_options calls with the name of the command,
 * memory that jansson does not get ends the process, with the exit code of
 * AX_ENOMEM and one line of the command; without the line if NAME is NULL,
 * which cmd_sandbox_run says for its child, whose parent has the word. */
void cmd_json_watch(const char *name);

/* A string from a file, which need not be UTF-8: what is not is shown as
 * \xNN. NULL if out of memory. */
json_t *cmd_json_text(const char *s);

#endif
