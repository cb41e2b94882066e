/* cmd/common/manifest.h - the manifest of a folder of obligations:
 * ax-manifest(5) is the contract. It is kept as the JSON that it is, checked
 * whole when it is read, so that whoever has one can take every member as
 * the page says. */
#ifndef CMD_MANIFEST_H
#define CMD_MANIFEST_H

#include <stdbool.h>
#include <stdio.h>

#include "common/json.h"

#define CMD_MANIFEST_NAME "ax-manifest.json"
#define CMD_MANIFEST_FILE 64 /* characters of a file's name at most */

/* Can a manifest have a file of this name, for the assistant "coq" or
 * "smtlib"? */
bool cmd_manifest_can_name(const char *assistant, const char *file);

/* Read the manifest of a folder. *out is new: json_decref it. The bytes are
 * hostile. EMPTY: one without obligations if there is none.
 * AX_ENOINPUT; AX_EFORMAT, with the member. */
ax_status cmd_manifest_read(json_t **out, const char *folder, bool empty,
                            struct ax_err *err) AX_MUST_CHECK;

/* The same of N bytes; *out is NULL on failure. AX_EFORMAT. */
ax_status cmd_manifest_parse(json_t **out, const char *text, size_t n,
                             struct ax_err *err) AX_MUST_CHECK;

/* Its obligations, borrowed. */
json_t *cmd_manifest_obligations(json_t *manifest);

/* Put in an obligation, which is taken, in the place of one with the same
 * file. AX_ENOMEM, also for NULL. */
ax_status cmd_manifest_add(json_t *manifest, json_t *obligation,
                           struct ax_err *err) AX_MUST_CHECK;

/* Write it, in its one spelling. AX_EIO, AX_ENOMEM. */
ax_status cmd_manifest_write(const json_t *manifest, FILE *f,
                             struct ax_err *err) AX_MUST_CHECK;

/* The definitions that exported theorems are in the words of, and what
 * proves them: the files of solver/coq in the order of their compilation,
 * then one without name. The last, "axioms", is the list of what a theorem
 * may assume. Made by scripts/embed. */
struct cmd_coq_file {
    const char *name;
    const unsigned char *data;
    size_t n;
};
extern const struct cmd_coq_file cmd_coq_library[];
/* The digest of them all, as a manifest names it. */
void cmd_coq_digest(char hex[65]);

#endif
