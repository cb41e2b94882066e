/* Fuzz target: descriptions of layers with their weights in them. */
#include "tests/fuzz/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    return read_format("layers", data, n);
}
