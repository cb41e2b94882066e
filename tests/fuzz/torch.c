/* Fuzz target: checkpoints of PyTorch, and the scan of their pickles. */
#include <stdlib.h>

#include "ax/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Every byte that a tensor has can be read. */
static void read_all(const struct ax_checkpoint *c)
{
    for (size_t i = 0; i < c->n; i++) {
        const unsigned char *bytes;
        struct ax_err err = {0};
        volatile unsigned char sum = 0;
        void *own;
        size_t n;

        if (ax_weight_bytes(&bytes, &own, &n, &c->v[i], &err) != AX_OK)
            continue;
        for (size_t k = 0; k < n; k++)
            sum ^= bytes[k];
        free(own);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ax_checkpoint c;
    struct ax_err err = {0};
    struct ax_scan s;

    if (ax_checkpoint_read(&c, data, n, &err) == AX_OK)
        read_all(&c);
    ax_checkpoint_free(&c);
    /* What ends in an error says so. */
    if (ax_scan_read(&s, data, n, &err) != AX_OK && !err.msg[0])
        abort();
    ax_scan_free(&s);
    return 0;
}
