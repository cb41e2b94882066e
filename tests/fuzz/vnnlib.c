/* The reader of properties, on arbitrary bytes: it returns, frees what it
 * took, and says why when it refuses. */
#include <stdint.h>
#include <stdlib.h>

#include "ax/prop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ax_prop *p = NULL;
    struct ax_err err = {0};

    if (ax_prop_read(&p, (const char *)data, n, 2, 2, &err) != AX_OK &&
        (p || !err.msg[0]))
        abort();
    ax_prop_free(p);
    return 0;
}
