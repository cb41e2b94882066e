/* Fuzz target: npy files. */
#include "ax/tensorfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ax_err err = {0};
    struct ax_tensor t;

    if (ax_npy_read(&t, data, n, &err) == AX_OK)
        ax_tensor_free(&t);
    return 0;
}
