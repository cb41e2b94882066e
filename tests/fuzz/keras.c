/* Fuzz target: Keras files. */
#include "ax/format.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const struct ax_format_options opt = {.folder = NULL};
    const struct ax_format *format = ax_format_find("keras");
    struct ax_model *m = NULL;
    struct ax_err err = {0};

    if (format->read(&m, data, n, &opt, &err) == AX_OK)
        ax_model_free(m);
    else if (!err.msg[0])
        abort();
    return 0;
}
