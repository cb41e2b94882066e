/* Fuzz target: GGUF, its tensors and its graphs. */
#include "ax/checkpoint.h"
#include "tests/fuzz/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ax_checkpoint c;
    struct ax_err err = {0};

    if (n < 4 || !ax_format_find("gguf")->sniff(data, n))
        return 0;
    if (ax_checkpoint_read(&c, data, n, &err) == AX_OK)
        for (size_t i = 0; i < c.n; i++) {
            const unsigned char *bytes;
            volatile unsigned char sum = 0;
            void *own;
            size_t size;

            if (ax_weight_bytes(&bytes, &own, &size, &c.v[i], &err) != AX_OK)
                continue;
            for (size_t k = 0; k < size; k++)
                sum ^= bytes[k];
            free(own);
        }
    else if (!err.msg[0])
        abort();
    ax_checkpoint_free(&c);
    return read_format("gguf", data, n);
}
