/* Fuzz target: Keras files. */
#include "tests/fuzz/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    return read_format("keras", data, n);
}
