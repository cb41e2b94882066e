/* The readers of keys, of detached signatures and of signatures in
 * containers, on arbitrary bytes: the first byte says which. They return,
 * and say why when they refuse; nobody can make a good signature. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ax/sign.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void expect(bool good, const struct ax_err *err)
{
    if (!good || !err->msg[0])
        abort();
}

static void envelope(const char *text, size_t n)
{
    const struct ax_public_key key = {{1}, {2}};
    struct ax_graph g = {.name = NULL};
    char type[] = "signature", name[] = "0000000000000001";
    struct ax_attachment a = {.type = type, .name = name, .n = n};
    struct ax_model m = {.graph = &g,
                         .n_attachments = 1,
                         .attachments = &a,
                         .has_identity = true};
    struct ax_signed out;
    struct ax_err err = {0};

    a.data = malloc(n ? n : 1);
    if (!a.data)
        return;
    memcpy(a.data, text, n);
    expect(ax_sign_verify(&out, &m, &key, 1, &err) != AX_OK, &err);
    free(a.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static char comment[AX_COMMENT_MAX + 1];
    const struct ax_public_key key = {{0}, {3}};
    struct ax_secret_key secret;
    struct ax_public_key public;
    struct ax_err err = {0};
    const char *text = (const char *)data + 1;
    uint32_t which;

    if (n == 0)
        return 0;
    n--;
    switch (data[0] % 4) {
    case 0:
        if (ax_key_read_public(&public, text, n, &err) != AX_OK)
            expect(true, &err);
        break;
    case 1:
        /* Without a passphrase, which would take time. */
        if (ax_key_read_secret(&secret, text, n, NULL, 0, &err) != AX_OK)
            expect(true, &err);
        break;
    case 2:
        expect(ax_sign_verify_detached(&which, comment, "", 0, text, n, &key,
                                       1, &err) != AX_OK,
               &err);
        break;
    default:
        envelope(text, n);
    }
    return 0;
}
