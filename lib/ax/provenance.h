/* ax/provenance.h - what was done to a model: one record of one command,
 * attached as type "provenance". The payload is JSON, described in axm(5).
 * It says what a command claims of itself; only a signature makes somebody
 * answer for it. */
#ifndef AX_PROVENANCE_H
#define AX_PROVENANCE_H

#include "ax/model.h"

AX_BEGIN_API

/* A file that was read besides the model. */
struct ax_provenance_file {
    const char *name;         /* or path; only its last part is recorded */
    unsigned char sha256[32]; /* of its bytes */
};

struct ax_provenance {
    const char *command; /* "ax-import" */
    const char *version;
    int n_arguments; /* as they were given, without the command */
    const char *const *arguments;
    size_t n_files;
    const struct ax_provenance_file *files;
    const unsigned char *model_in; /* identity of the model that was read,
                                      or NULL if none was */
    bool has_time; /* seconds since 1970, if a time is wanted at all */
    int64_t time;
};

/* Append a record to m, whose identity becomes the record's "model_out".
 * Arguments lose the folders of their paths, so that no machine shows.
 * The same record gives the same bytes.
 * AX_EFORMAT an argument or a name is not UTF-8; as ax_model_attach. */
ax_status ax_provenance_append(struct ax_model *m,
                               const struct ax_provenance *p,
                               struct ax_err *err) AX_MUST_CHECK;

AX_END_API

#endif
