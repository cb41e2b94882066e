/* cmd/common/model.h - containers as commands read and write them. */
#ifndef CMD_MODEL_H
#define CMD_MODEL_H

#include "ax/model.h"
#include "ax/provenance.h"
#include "common/file.h"
#include "common/run.h"

/* Read a container; "-" or NULL is standard input. The raw profile in a
 * file is mapped, from standard input too. Messages name the file. As
 * cmd_in_open and ax_model_read. */
ax_status cmd_model_read(struct ax_model **out, const char *path,
                         struct ax_err *err) AX_MUST_CHECK;

/* Write a container; "-" or NULL is standard output. FLAGS are those of
 * cmd_out_open, CMD_OUT_BINARY is implied. */
ax_status cmd_model_write(struct ax_model *m, const char *path,
                          ax_profile profile, unsigned flags,
                          struct ax_err *err) AX_MUST_CHECK;

/* Append the provenance record of this run of the command: its arguments,
 * its version, the time that SOURCE_DATE_EPOCH says if it is set. IDENTITY
 * is that of the model that was read, or NULL; FILES is what else was.
 * AX_EUSAGE SOURCE_DATE_EPOCH is no number; as ax_provenance_append. */
ax_status cmd_model_record(struct ax_model *m, const struct cmd *cmd,
                           const unsigned char *identity,
                           const struct ax_provenance_file *files, size_t n,
                           struct ax_err *err) AX_MUST_CHECK;

#endif
