/* lib/ax/sign.h: what is signed verifies, and nothing else does. */
#include "ax/sign.h"

#include <stdio.h>

#include "sample.h"
#include "tap.h"

static struct ax_err err;

struct text {
    char *p;
    size_t n;
};

static struct text public_file(const struct ax_public_key *key)
{
    struct text t = {0};
    FILE *f = open_memstream(&t.p, &t.n);

    if (!f)
        abort();
    ax_key_write_public(f, key);
    fclose(f);
    return t;
}

static struct text secret_file(const struct ax_secret_key *key,
                               const char *passphrase)
{
    struct text t = {0};
    FILE *f = open_memstream(&t.p, &t.n);

    if (!f || ax_key_write_secret(f, key, passphrase,
                                  passphrase ? strlen(passphrase) : 0,
                                  &err) != AX_OK)
        abort();
    fclose(f);
    return t;
}

static ax_status read_secret(struct ax_secret_key *out, struct text t,
                             const char *passphrase)
{
    return ax_key_read_secret(out, t.p, t.n, passphrase,
                              passphrase ? strlen(passphrase) : 0, &err);
}

static void keys_are_kept(const struct ax_secret_key *key)
{
    struct ax_secret_key got;
    struct ax_public_key pk, pk_got;
    struct text open = secret_file(key, NULL);
    struct text closed = secret_file(key, "a passphrase"), public;
    char id[17];
    int accepted = 0;

    OK(read_secret(&got, open, NULL) == AX_OK);
    OK(memcmp(&got, key, sizeof got) == 0);
    OK(read_secret(&got, open, "ignored") == AX_OK);
    OK(read_secret(&got, closed, NULL) == AX_EUSAGE);
    OK(read_secret(&got, closed, "another") == AX_EFORMAT);
    OK(strstr(err.msg, "wrong passphrase") != NULL);
    OK(read_secret(&got, closed, "a passphrase") == AX_OK);
    OK(memcmp(&got, key, sizeof got) == 0);

    ax_key_public(&pk, key);
    public = public_file(&pk);
    OK(ax_key_read_public(&pk_got, public.p, public.n, &err) == AX_OK);
    OK(memcmp(&pk, &pk_got, sizeof pk) == 0);
    ax_key_id(id, pk.id);
    OK(strstr(public.p, id) != NULL);

    /* Every flipped bit of the second line is noticed, but for those of salt
     * and limits, which a key without a passphrase does not use: bytes 6 to
     * 53, characters 8 to 71. */
    {
        size_t line = strcspn(open.p, "\n") + 1;

        for (size_t i = line; i < open.n - 1; i++)
            for (int bit = 0; bit < 8; bit++) {
                open.p[i] = (char)(open.p[i] ^ (1 << bit));
                if (i < line + 8 || i >= line + 72)
                    accepted += read_secret(&got, open, NULL) == AX_OK;
                open.p[i] = (char)(open.p[i] ^ (1 << bit));
            }
    }
    OK(accepted == 0);
    /* A file that asks for more than anybody should give. */
    memset(closed.p + strcspn(closed.p, "\n") + 1 + 54, 'f', 8);
    OK(read_secret(&got, closed, "a passphrase") == AX_EFORMAT);
    OK(strstr(err.msg, "asks for more") != NULL);
    for (size_t n = 0; n < public.n - 1; n++)
        accepted += ax_key_read_public(&pk_got, public.p, n, &err) == AX_OK;
    OK(accepted == 0);
    free(open.p);
    free(closed.p);
    free(public.p);
}

/* Does one flipped bit, anywhere in attachment I, leave a good signature? */
static bool survives_flips(struct ax_model *m, uint32_t i,
                           const struct ax_public_key *key)
{
    struct ax_attachment *a = &m->attachments[i];
    struct ax_signed found[8];

    for (size_t bit = 0; bit < a->n * 8; bit += 3) {
        ax_status st;

        a->data[bit / 8] ^= (unsigned char)(1u << bit % 8);
        st = ax_sign_verify(found, m, key, 1, &err);
        a->data[bit / 8] ^= (unsigned char)(1u << bit % 8);
        if (st != AX_NO)
            return true;
    }
    return false;
}

static void models_are_signed(const struct ax_secret_key *key,
                              const struct ax_secret_key *other)
{
    struct ax_model *m = sample_model(3, 2);
    struct ax_public_key keys[2], impostor;
    struct ax_signed found[8];

    ax_key_public(&keys[0], key);
    ax_key_public(&keys[1], other);
    OK(ax_model_attach(m, "property", "p", "(assert)", 8, &err) == AX_OK);
    OK(ax_sign_verify(found, m, keys, 2, &err) == AX_NO);
    OK(strcmp(err.msg, "there is no signature") == 0);
    OK(ax_sign_model(m, key, &err) == AX_OK);
    OK(ax_model_attach(m, "report", "r", "late", 4, &err) == AX_OK);
    OK(ax_sign_verify(found, m, keys, 2, &err) == AX_OK);
    OK(found[1].state == AX_SIGNATURE_GOOD && found[1].key == 0);
    OK(found[0].covered && !found[1].covered && !found[2].covered);
    OK(found[0].state == AX_SIGNATURE_NONE);

    OK(ax_sign_verify(found, m, &keys[1], 1, &err) == AX_NO);
    OK(found[1].state == AX_SIGNATURE_UNKNOWN);
    OK(strcmp(err.msg, "no signature is of a trusted key") == 0);
    OK(!survives_flips(m, 1, keys));

    /* Another key with the same id: bad; with both it is good. */
    impostor = keys[1];
    memcpy(impostor.id, keys[0].id, 8);
    OK(ax_sign_verify(found, m, &impostor, 1, &err) == AX_NO);
    OK(found[1].state == AX_SIGNATURE_BAD);
    {
        struct ax_public_key both[2] = {impostor, keys[0]};

        OK(ax_sign_verify(found, m, both, 2, &err) == AX_OK);
        OK(found[1].key == 1);
    }

    /* Two signers; the second covers the first and what came between. */
    OK(ax_sign_model(m, other, &err) == AX_OK);
    OK(ax_sign_verify(found, m, keys, 2, &err) == AX_OK);
    OK(found[1].covered && found[2].covered && !found[3].covered);

    /* What was covered is altered, or gone. */
    m->attachments[0].digest[5] ^= 1;
    OK(ax_sign_verify(found, m, keys, 2, &err) == AX_NO);
    OK(strstr(err.msg, "is gone or was altered") != NULL);
    m->attachments[0].digest[5] ^= 1;
    /* The same attachments on another model. */
    m->identity[7] ^= 1;
    OK(ax_sign_verify(found, m, keys, 2, &err) == AX_NO);
    OK(strstr(err.msg, "made for another model") != NULL);
    ax_model_free(m);
}

static struct text detached(const struct ax_secret_key *key, const char *data,
                            const char *comment)
{
    struct text t = {0};
    FILE *f = open_memstream(&t.p, &t.n);

    if (!f ||
        ax_sign_detached(f, data, strlen(data), key, comment, &err) != AX_OK)
        abort();
    fclose(f);
    return t;
}

static void files_are_signed(const struct ax_secret_key *key)
{
    struct text t = detached(key, "hello", "a comment");
    struct ax_public_key pk;
    char comment[AX_COMMENT_MAX + 1];
    uint32_t which = 9;
    int accepted = 0;

    ax_key_public(&pk, key);
    OK(ax_sign_verify_detached(&which, comment, "hello", 5, t.p, t.n, &pk, 1,
                               &err) == AX_OK);
    OK(which == 0 && strcmp(comment, "a comment") == 0);
    OK(ax_sign_verify_detached(&which, comment, "hellO", 5, t.p, t.n, &pk, 1,
                               &err) == AX_NO);
    for (size_t i = strcspn(t.p, "\n") + 1; i < t.n; i++)
        for (int bit = 0; bit < 8; bit++) {
            t.p[i] = (char)(t.p[i] ^ (1 << bit));
            if (ax_sign_verify_detached(&which, comment, "hello", 5, t.p, t.n,
                                        &pk, 1, &err) == AX_OK) {
                printf("# bit %d of byte %zu of %zu\n", bit, i, t.n);
                accepted++;
            }
            t.p[i] = (char)(t.p[i] ^ (1 << bit));
        }
    OK(accepted == 0);
    for (size_t n = 0; n < t.n - 1; n++)
        accepted += ax_sign_verify_detached(&which, comment, "hello", 5, t.p,
                                            n, &pk, 1, &err) == AX_OK;
    OK(accepted == 0);
    OK(ax_sign_detached(stdout, "", 0, key, "two\nlines", &err) ==
       AX_EFORMAT);
    free(t.p);
}

int main(void)
{
    struct ax_secret_key key, other;

    OK(ax_key_new(&key, &err) == AX_OK && ax_key_new(&other, &err) == AX_OK);
    OK(memcmp(key.key, other.key, sizeof key.key) != 0);
    keys_are_kept(&key);
    models_are_signed(&key, &other);
    files_are_signed(&key);
    ax_key_wipe(&key);
    OK(!key.key[0] && !key.key[63]);
    return tap_done();
}
