/* Fuzz target: GGUF, its tensors and its graphs. */
#include <stdlib.h>

#include "ax/checkpoint.h"
#include "ax/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const struct ax_format_options opt = {.folder = NULL};
    const struct ax_format *format = ax_format_find("gguf");
    struct ax_model *m = NULL;
    struct ax_checkpoint c;
    struct ax_err err = {0};

    if (n < 4 || !format->sniff(data, n))
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
    if (format->read(&m, data, n, &opt, &err) == AX_OK)
        ax_model_free(m);
    return 0;
}
