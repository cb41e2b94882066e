/* Fuzz target: boxes as text, and the properties made of them. */
#include <stdlib.h>

#include "ax/prop.h"
#include "ax/ready.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What is made is read again. */
static void make(const struct ax_set *set, enum ax_ready_kind kind)
{
    const struct ax_ready r = {.kind = kind,
                               .n_y = 2,
                               .index = 1,
                               .outputs = set,
                               .input = 1,
                               .l = "0.5",
                               .tol = "0.25"};
    struct ax_prop *p;
    struct ax_err err = {0};
    char *text;
    size_t n;

    if (ax_ready_text(&text, &n, set, &r, &err) != AX_OK)
        return;
    if (ax_prop_read(&p, text, n, 2 + (kind >= AX_READY_MONOTONE), 2, &err) ==
        AX_OK)
        ax_prop_free(p);
    else if (err.code == AX_EFORMAT)
        abort();
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ax_err err = {0};
    struct ax_set *set;

    if (ax_set_text(&set, (const char *)data, n, 2, &err) != AX_OK)
        return 0;
    for (int k = AX_READY_CLASS; k <= AX_READY_LIPSCHITZ; k++)
        make(set, (enum ax_ready_kind)k);
    ax_set_free(set);
    return 0;
}
