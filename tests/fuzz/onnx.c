/* Fuzz target: ONNX models, read as ax-import reads them, and what was read
 * written again. */
#include <stdio.h>
#include <stdlib.h>

#include "ax/format.h"
#include "ax/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const struct ax_format_options opt = {.folder = NULL};
    const struct ax_format *onnx = ax_format_find("onnx");
    struct ax_model *m = NULL;
    struct ax_err err = {0};
    FILE *f;

    if (!onnx || onnx->read(&m, data, n, &opt, &err) != AX_OK)
        return 0;
    f = fopen("/dev/null", "wb");
    if (f) {
        /* What was read can be written, in the first opset that has it. */
        if (onnx->write(f, m, &opt, &err) != AX_OK && err.code != AX_ENOMEM)
            abort();
        fclose(f);
    }
    ax_model_free(m);
    return 0;
}
