/* Fuzz target: descriptions of layers with their weights in them. */
#include "ax/format.h"
#include "ax/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const struct ax_format_options opt = {.folder = NULL};
    const struct ax_format *layers = ax_format_find("layers");
    struct ax_model *m = NULL;
    struct ax_err err = {0};

    if (layers && layers->read(&m, data, n, &opt, &err) == AX_OK)
        ax_model_free(m);
    return 0;
}
