/* Fuzz target: architectures. */
#include "ax/train.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ax_err err = {0};
    struct ax_model *m;

    if (ax_arch_read(&m, (const char *)data, n, 1, &err) == AX_OK)
        ax_model_free(m);
    return 0;
}
