/* Fuzz target: csv text. */
#include "ax/tensorfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ax_err err = {0};
    struct ax_tensor t;

    /* The first byte chooses the element type. */
    if (n > 0 && ax_csv_read(&t, data + 1, n - 1,
                             data[0] & 1 ? AX_I32 : AX_F32, &err) == AX_OK)
        ax_tensor_free(&t);
    return 0;
}
