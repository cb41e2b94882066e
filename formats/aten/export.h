/* formats/aten/export.h - what the readers of torch.export archives share:
 * export.c reads the program, archive.c finds it and its weights. */
#ifndef FORMATS_ATEN_EXPORT_H
#define FORMATS_ATEN_EXPORT_H

#include "formats/aten/aten.h"

/* Weights among which those that are tied are looked for. */
#define EXPORT_TIED_MAX 1024

/* Where tensors are: as bytes that a table describes, or pickled. */
struct export_source {
    json_t *config; /* fqn to {path_name, tensor_meta}, or NULL */
    const char *folder;
    struct ax_checkpoint pickled;
};

struct export
{
    struct aten a;
    const struct torch_zip *zip;
    size_t budget; /* bytes that may still be decompressed */
    json_t *program;
    const json_t *said;     /* "tensor_values" */
    const char *symbol;     /* of the free dimension, or NULL */
    struct torch_text root; /* folder of the archive, with its slash */
    struct export_source weights, constants;
    json_t *names; /* of values, to their index */
    struct aten_value *values;
    size_t n_values, cap_values;
    int depth;
    struct export_tied {
        struct ax_weight w;
        struct aten_value v;
    } * tied;
    size_t n_tied;
};

/* Find and parse program and tables of weights. */
ax_status export_open(struct export *x, struct ax_err *err) AX_MUST_CHECK;
void export_close(struct export *x);
/* The tensor called FQN: fills *w but for its name. CONSTANT: it is first
 * looked for among the constants. AX_EFORMAT. */
ax_status export_weight(struct ax_weight *w, struct export *x,
                        const char *fqn, bool constant, struct ax_err *err)
    AX_MUST_CHECK;

/* Of the numbers that the JSON has for types. */
ax_dtype export_type(const json_t *number);
/* Sizes or strides: *free_at is the first that is no number, or -1. */
ax_status export_dims(int64_t *dims, int *rank, int *free_at,
                      const json_t *list, struct ax_err *err) AX_MUST_CHECK;

#endif
