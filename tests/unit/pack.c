/* Write a sample container to standard output, for tests of commands.
 * Usage: pack raw|zstd [N_IN N_OUT [TYPE NAME PAYLOAD]...] */
#include <stdio.h>

#include "sample.h"

int main(int argc, char **argv)
{
    struct ax_err err = {0};
    bool sized = argc > 3;
    struct ax_model *m = sample_model(sized ? atol(argv[2]) : 3,
                                      sized ? atol(argv[3]) : 2);
    ax_profile profile = argc > 1 && strcmp(argv[1], "raw") == 0
                             ? AX_PROFILE_RAW
                             : AX_PROFILE_ZSTD;
    ax_status st = AX_OK;

    for (int i = 4; i + 2 < argc && st == AX_OK; i += 3)
        st = ax_model_attach(m, argv[i], argv[i + 1], argv[i + 2],
                             strlen(argv[i + 2]), &err);
    if (st == AX_OK)
        st = ax_model_write(m, stdout, profile, &err);
    if (st != AX_OK)
        fprintf(stderr, "pack: %s\n", err.msg);
    ax_model_free(m);
    return fclose(stdout) || st != AX_OK;
}
