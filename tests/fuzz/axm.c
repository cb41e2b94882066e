/* The reader of containers, on arbitrary bytes: it returns, frees what it
 * took, and says why when it refuses. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "ax/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ax_model *m = NULL;
    struct ax_err err = {0};
    FILE *f;

    if (n == 0)
        return 0;
    f = fmemopen((void *)(uintptr_t)data, n, "rb");
    if (!f)
        return 0;
    if (ax_model_read(&m, f, &err) != AX_OK && (m || !err.msg[0]))
        abort();
    fclose(f);
    ax_model_free(m);
    return 0;
}
