/* Fuzz target: safetensors, whose tensors must cover the file. */
#include <stdlib.h>

#include "ax/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ax_checkpoint c;
    struct ax_err err = {0};
    size_t sum = 0;

    /* Others are those of the target for PyTorch. */
    if (n < 9 || data[8] != '{' || data[0] == 'P' || data[0] == 0x80)
        return 0;
    if (ax_checkpoint_read(&c, data, n, &err) == AX_OK) {
        size_t header = 0;

        for (int i = 7; i >= 0; i--)
            header = header << 8 | data[i];
        for (size_t i = 0; i < c.n; i++) {
            const unsigned char *bytes;
            size_t size;
            void *own;

            if (ax_weight_bytes(&bytes, &own, &size, &c.v[i], &err) !=
                    AX_OK ||
                own || bytes < data || bytes + size > data + n)
                abort();
            sum += size;
        }
        if (8 + header + sum != n)
            abort();
    }
    ax_checkpoint_free(&c);
    return 0;
}
