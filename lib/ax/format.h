/* ax/format.h - what a foreign model file format must provide.
 *
 * To add one: write formats/NAME.c with a struct ax_format, add a line to
 * formats/registry.c and to Makefile.am, and put accepted and rejected
 * samples under tests/formats/NAME. Nothing else changes. */
#ifndef AX_FORMAT_H
#define AX_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "ax/err.h"
#include "ax/model.h"

AX_BEGIN_API

/* What a reader calls for each other file that it reads: its name and its
 * bytes. */
typedef ax_status ax_format_used(void *self, const char *name,
                                 const void *data, size_t n,
                                 struct ax_err *err);

struct ax_format_options {
    const char *folder; /* where the input lies, for external data; NULL:
                           none is allowed (standard input) */
    int opset;          /* writers: 0 is the default, 17 */
    const char *shapes; /* of inputs, for programs that do not have them, as
                           "x=N,3,32,32;mask=bool:N,32"; NULL: none given */
    /* Readers of language models, whose files do not say: inputs are of this
     * batch and length (0: free), and beside input_ids there are these
     * ("attention_mask,token_type_ids"; NULL: none). */
    int64_t batch, seq;
    const char *inputs;
    size_t max_bytes;     /* of all other files together; 0: no limit */
    ax_format_used *used; /* or NULL */
    void *used_self;
};

struct ax_format {
    const char *name;    /* as given to --format, lower case */
    const char *summary; /* one line for ax-import --formats */

    bool sequences; /* it may hold models of sequences: options */

    /* Does the file begin like ours? Called with its first 64 bytes, or
     * all of it when shorter. Cheap, never fails. */
    bool (*sniff)(const unsigned char *head, size_t n);

    /* Read a whole model. The bytes are borrowed and hostile: check every
     * length before use, and recurse at most AX_DEPTH_MAX deep. *out is new
     * and the caller's; it owns copies of all that it keeps, unless it
     * borrows from data (tensor.owned false), which the caller keeps alive
     * until the model is freed. NULL when the format is write-only. */
    ax_status (*read)(struct ax_model **out, const unsigned char *data,
                      size_t n, const struct ax_format_options *opt,
                      struct ax_err *err);

    /* Write the model. NULL when the format is read-only. */
    ax_status (*write)(FILE *f, struct ax_model *m,
                       const struct ax_format_options *opt,
                       struct ax_err *err);
};

/* Every format built in, in sniffing order, ended by NULL.
 * Defined in formats/registry.c. */
extern const struct ax_format *const ax_formats[];

/* By name, or NULL. */
const struct ax_format *ax_format_find(const char *name);
/* By content, or NULL. */
const struct ax_format *ax_format_sniff(const unsigned char *head, size_t n);

AX_END_API

#endif
