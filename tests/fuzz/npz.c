/* Fuzz target: npz archives, and all that sniffing chooses. */
#include "ax/tensorfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ax_err err = {0};
    struct ax_tensor_list list;

    if (ax_tensorfile_read(&list, data, n, AX_F32, &err) == AX_OK)
        ax_tensor_list_free(&list);
    return 0;
}
