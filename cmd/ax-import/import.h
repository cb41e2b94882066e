/* cmd/ax-import/import.h - what ax-import does beside making a container. */
#ifndef AX_IMPORT_IMPORT_H
#define AX_IMPORT_IMPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "ax/err.h"

/* --scan: every global of every pickle. AX_NO unless all are harmless. */
ax_status import_scan(const unsigned char *data, size_t n, bool json,
                      struct ax_err *err) AX_MUST_CHECK;
/* --tensors: what is in a checkpoint. */
ax_status import_tensors(const unsigned char *data, size_t n, bool json,
                         struct ax_err *err) AX_MUST_CHECK;
/* --infer: a draft of a description of its layers. */
ax_status import_infer(const unsigned char *data, size_t n,
                       struct ax_err *err) AX_MUST_CHECK;

#endif
