/* Fuzz target: manifests of obligations, ax-manifest(5). What is read can be
 * written, and what is written is read again as the same. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void write_again(const json_t *manifest)
{
    json_t *again = NULL;
    struct ax_err err = {0};
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);

    if (!f || cmd_manifest_write(manifest, f, &err) != AX_OK || fclose(f) ||
        cmd_manifest_parse(&again, text, n, &err) != AX_OK ||
        !json_equal(manifest, again))
        abort();
    json_decref(again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    json_t *manifest;
    struct ax_err err = {0};

    if (cmd_manifest_parse(&manifest, (const char *)data, n, &err) == AX_OK) {
        write_again(manifest);
        json_decref(manifest);
    } else if (!err.msg[0] || manifest) {
        abort();
    }
    return 0;
}
