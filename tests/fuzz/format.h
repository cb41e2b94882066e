/* What fuzz targets of formats have in common: files are read, or there is a
 * message why not. */
#ifndef TESTS_FUZZ_FORMAT_H
#define TESTS_FUZZ_FORMAT_H

#include <stdlib.h>

#include "ax/format.h"
#include "ax/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static inline int read_format(const char *name, const uint8_t *data, size_t n)
{
    const struct ax_format_options opt = {.folder = NULL};
    const struct ax_format *format = ax_format_find(name);
    struct ax_model *m = NULL;
    struct ax_err err = {0};

    if (format->read(&m, data, n, &opt, &err) == AX_OK)
        ax_model_free(m);
    else if (!err.msg[0])
        abort();
    return 0;
}

#endif
