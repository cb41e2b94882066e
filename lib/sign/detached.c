/* Detached signatures, as minisign writes and reads them. */
#include <sodium.h>
#include <string.h>

#include "sign/minisign.h"

/* Algorithm ("ED": of the BLAKE2b-512 digest; "Ed": of the bytes), id of
 * the key, signature. */
enum { SIGNATURE = 2 + 8 + 64, HASH = 64 };

static ax_status check_comment(const char *s, size_t n, struct ax_err *err)
{
    if (n > AX_COMMENT_MAX)
        return ax_fail(err, AX_EFORMAT,
                       "the trusted comment has %zu bytes, wants at most %d",
                       n, AX_COMMENT_MAX);
    for (size_t i = 0; i < n; i++)
        if (((unsigned char)s[i] < 0x20 && s[i] != '\t') || s[i] == 0x7f)
            return ax_fail(err, AX_EFORMAT,
                           "byte %02x in the trusted "
                           "comment",
                           (unsigned)(unsigned char)s[i]);
    return AX_OK;
}

/* What the second signature is of: the first one and the comment. */
static size_t global(unsigned char out[64 + AX_COMMENT_MAX],
                     const unsigned char signature[64], const char *comment,
                     size_t n)
{
    memcpy(out, signature, 64);
    memcpy(out + 64, comment, n);
    return 64 + n;
}

ax_status ax_sign_detached(FILE *f, const void *data, size_t n,
                           const struct ax_secret_key *key,
                           const char *comment, struct ax_err *err)
{
    unsigned char line[SIGNATURE] = "ED", hash[HASH], second[64];
    unsigned char all[64 + AX_COMMENT_MAX];
    char text[sodium_base64_ENCODED_LEN(SIGNATURE,
                                        sodium_base64_VARIANT_ORIGINAL)];
    char id[17];

    AX_TRY(ax_sodium(err));
    AX_TRY(check_comment(comment, strlen(comment), err));
    crypto_generichash(hash, sizeof hash, data, n, NULL, 0);
    memcpy(line + 2, key->id, 8);
    crypto_sign_detached(line + 10, NULL, hash, sizeof hash, key->key);
    crypto_sign_detached(second, NULL, all,
                         global(all, line + 10, comment, strlen(comment)),
                         key->key);
    ax_key_id(id, key->id);
    fprintf(f, AX_UNTRUSTED "signature of key %s\n", id);
    sodium_bin2base64(text, sizeof text, line, sizeof line,
                      sodium_base64_VARIANT_ORIGINAL);
    fprintf(f, "%s\n" AX_TRUSTED "%s\n", text, comment);
    sodium_bin2base64(text, sizeof text, second, sizeof second,
                      sodium_base64_VARIANT_ORIGINAL);
    fprintf(f, "%s\n", text);
    return AX_OK;
}

static ax_status of_key(const unsigned char line[SIGNATURE], const void *data,
                        size_t n, const struct ax_public_key *key,
                        struct ax_err *err)
{
    unsigned char hash[HASH];
    const unsigned char *message = data;

    if (memcmp(line, "ED", 2) == 0) {
        crypto_generichash(hash, sizeof hash, data, n, NULL, 0);
        message = hash;
        n = sizeof hash;
    }
    if (crypto_sign_verify_detached(line + 10, message, n, key->key) != 0)
        return ax_fail(err, AX_NO, "the signature is not of these bytes");
    return AX_OK;
}

static ax_status find_key(uint32_t *which, const unsigned char id[8],
                          const struct ax_public_key *keys, uint32_t n_keys,
                          struct ax_err *err)
{
    char text[17];

    for (*which = 0; *which < n_keys; ++*which)
        if (memcmp(keys[*which].id, id, 8) == 0)
            return AX_OK;
    ax_key_id(text, id);
    return ax_fail(err, AX_NO,
                   "the signature is of key %s, which is not "
                   "trusted",
                   text);
}

ax_status ax_sign_verify_detached(uint32_t *which,
                                  char comment[AX_COMMENT_MAX + 1],
                                  const void *data, size_t n,
                                  const char *signature, size_t n_signature,
                                  const struct ax_public_key *keys,
                                  uint32_t n_keys, struct ax_err *err)
{
    struct text t = {signature, n_signature}, untrusted, trusted;
    unsigned char line[SIGNATURE], second[64], all[64 + AX_COMMENT_MAX];

    AX_TRY(ax_sodium(err));
    AX_TRY(ax_text_comment(&t, AX_UNTRUSTED, &untrusted, err));
    AX_TRY(ax_text_base64(&t, line, sizeof line, "signature", err));
    AX_TRY(ax_text_comment(&t, AX_TRUSTED, &trusted, err));
    AX_TRY(ax_text_base64(&t, second, sizeof second,
                          "signature of the comment", err));
    AX_TRY(ax_text_end(&t, err));
    AX_TRY(check_comment(trusted.p, trusted.n, err));
    if (memcmp(line, "ED", 2) != 0 && memcmp(line, "Ed", 2) != 0)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "the signature is not of algorithm Ed or ED");
    AX_TRY(find_key(which, line + 2, keys, n_keys, err));
    AX_TRY(of_key(line, data, n, &keys[*which], err));
    if (crypto_sign_verify_detached(
            second, all, global(all, line + 10, trusted.p, trusted.n),
            keys[*which].key) != 0)
        return ax_fail(err, AX_NO,
                       "the trusted comment was not signed with it");
    memcpy(comment, trusted.p, trusted.n);
    comment[trusted.n] = '\0';
    return AX_OK;
}
