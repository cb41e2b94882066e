/* Keys, and the files that minisign keeps them in. */
#include <inttypes.h>
#include <sodium.h>
#include <string.h>

#include "sign/minisign.h"

/* A public key is "Ed", id, key. */
enum { PUBLIC = 2 + 8 + 32 };

/* A secret key, by offsets: "Ed", how the passphrase is used ("Sc": scrypt,
 * zeros: not at all), "B2", salt, two limits of scrypt; and then, xored with
 * what scrypt gives, id, key, and BLAKE2b of "Ed", id and key. */
enum {
    KDF = 2,
    CHECK = 4,
    SALT = 6,
    OPS = SALT + crypto_pwhash_scryptsalsa208sha256_SALTBYTES,
    MEM = OPS + 8,
    HIDDEN = MEM + 8,
    ID = HIDDEN,
    KEY = ID + 8,
    SUM = KEY + 64,
    SECRET = SUM + 32,
};

/* For new keys: a quarter of the second and of the GiB that minisign takes,
 * because a demonstration on a small machine has to work too. For old ones
 * four times what minisign takes. */
#define NEW_OPS (crypto_pwhash_scryptsalsa208sha256_OPSLIMIT_SENSITIVE / 4)
#define NEW_MEM (crypto_pwhash_scryptsalsa208sha256_MEMLIMIT_SENSITIVE / 4)
#define MAX_OPS (crypto_pwhash_scryptsalsa208sha256_OPSLIMIT_SENSITIVE * 4ull)
#define MAX_MEM (crypto_pwhash_scryptsalsa208sha256_MEMLIMIT_SENSITIVE * 4ull)

ax_status ax_sodium(struct ax_err *err)
{
    if (sodium_init() < 0)
        return ax_fail(err, AX_EUNAVAILABLE, "libsodium cannot start");
    return AX_OK;
}

bool ax_text_line(struct text *t, struct text *line)
{
    const char *nl = t->n ? memchr(t->p, '\n', t->n) : NULL;

    line->p = t->p;
    line->n = nl ? (size_t)(nl - t->p) : t->n;
    if (!t->n)
        return false;
    t->p += line->n + (nl != NULL);
    t->n -= line->n + (nl != NULL);
    if (line->n && line->p[line->n - 1] == '\r')
        line->n--;
    return true;
}

ax_status ax_text_comment(struct text *t, const char *prefix,
                          struct text *rest, struct ax_err *err)
{
    size_t n = strlen(prefix);

    if (!ax_text_line(t, rest) || rest->n < n ||
        memcmp(rest->p, prefix, n) != 0)
        return ax_fail(err, AX_EFORMAT,
                       "there is no line that starts with "
                       "'%s'",
                       prefix);
    rest->p += n;
    rest->n -= n;
    return AX_OK;
}

/* libsodium takes some bytes above 127 for characters of base64. */
bool ax_base64(unsigned char *out, size_t max, size_t *n, const char *text,
               size_t n_text)
{
    for (size_t i = 0; i < n_text; i++)
        if ((unsigned char)text[i] > 127)
            return false;
    return sodium_base642bin(out, max, text, n_text, NULL, n, NULL,
                             sodium_base64_VARIANT_ORIGINAL) == 0;
}

ax_status ax_text_base64(struct text *t, unsigned char *out, size_t n,
                         const char *what, struct ax_err *err)
{
    struct text line;
    size_t got = 0;

    if (!ax_text_line(t, &line) || !ax_base64(out, n, &got, line.p, line.n) ||
        got != n)
        return ax_fail(err, AX_EFORMAT,
                       "the line for the %s is not base64 of %zu bytes", what,
                       n);
    return AX_OK;
}

ax_status ax_text_end(const struct text *t, struct ax_err *err)
{
    return t->n ? ax_fail(err, AX_EFORMAT, "something follows the last line")
                : AX_OK;
}

static void write_base64(FILE *f, const unsigned char *data, size_t n)
{
    char line[sodium_base64_ENCODED_LEN(SECRET,
                                        sodium_base64_VARIANT_ORIGINAL)];

    sodium_bin2base64(line, sizeof line, data, n,
                      sodium_base64_VARIANT_ORIGINAL);
    fprintf(f, "%s\n", line);
    sodium_memzero(line, sizeof line);
}

ax_status ax_key_new(struct ax_secret_key *out, struct ax_err *err)
{
    unsigned char pk[32];

    AX_TRY(ax_sodium(err));
    crypto_sign_keypair(pk, out->key);
    randombytes_buf(out->id, sizeof out->id);
    return AX_OK;
}

void ax_key_wipe(struct ax_secret_key *key)
{
    sodium_memzero(key, sizeof *key);
}

void ax_key_public(struct ax_public_key *out, const struct ax_secret_key *key)
{
    memcpy(out->id, key->id, sizeof out->id);
    /* The second half of the secret key is the public key. */
    memcpy(out->key, key->key + 32, sizeof out->key);
}

void ax_key_id(char out[17], const unsigned char id[8])
{
    for (int i = 0; i < 8; i++)
        snprintf(out + 2 * (size_t)i, 3, "%02X", (unsigned)id[7 - i]);
}

ax_status ax_key_read_public(struct ax_public_key *out, const char *text,
                             size_t n, struct ax_err *err)
{
    struct text t = {text, n}, comment;
    unsigned char key[PUBLIC];

    AX_TRY(ax_text_comment(&t, AX_UNTRUSTED, &comment, err));
    AX_TRY(ax_text_base64(&t, key, sizeof key, "public key", err));
    AX_TRY(ax_text_end(&t, err));
    if (memcmp(key, "Ed", 2) != 0)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "the public key is not of algorithm Ed");
    memcpy(out->id, key + 2, 8);
    memcpy(out->key, key + 10, 32);
    return AX_OK;
}

void ax_key_write_public(FILE *f, const struct ax_public_key *key)
{
    unsigned char line[PUBLIC] = "Ed";
    char id[17];

    memcpy(line + 2, key->id, 8);
    memcpy(line + 10, key->key, 32);
    ax_key_id(id, key->id);
    fprintf(f, AX_UNTRUSTED "minisign public key %s\n", id);
    write_base64(f, line, sizeof line);
}

static uint64_t get64(const unsigned char *p)
{
    uint64_t v = 0;

    for (int i = 7; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

static void put64(unsigned char *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (unsigned char)(v >> 8 * i);
}

/* Xor id, key and checksum with what the passphrase gives. */
static ax_status hide(unsigned char file[SECRET], const char *passphrase,
                      size_t n, struct ax_err *err)
{
    unsigned char stream[SECRET - HIDDEN];
    uint64_t ops = get64(file + OPS), mem = get64(file + MEM);

    if (ops > MAX_OPS || mem > MAX_MEM)
        return ax_fail(err, AX_EFORMAT,
                       "the passphrase asks for more than %llu operations or "
                       "%llu MiB",
                       MAX_OPS, MAX_MEM >> 20);
    if (crypto_pwhash_scryptsalsa208sha256(stream, sizeof stream, passphrase,
                                           n, file + SALT, ops,
                                           (size_t)mem) != 0)
        return ax_fail(err, AX_ENOMEM,
                       "the passphrase wants %" PRIu64 " MiB of memory",
                       mem >> 20);
    for (size_t i = 0; i < sizeof stream; i++)
        file[HIDDEN + i] ^= stream[i];
    sodium_memzero(stream, sizeof stream);
    return AX_OK;
}

/* BLAKE2b of "Ed", id and key. */
static void checksum(unsigned char out[32], const unsigned char *file)
{
    crypto_generichash_state s;

    crypto_generichash_init(&s, NULL, 0, 32);
    crypto_generichash_update(&s, file, 2);
    crypto_generichash_update(&s, file + ID, SUM - ID);
    crypto_generichash_final(&s, out, 32);
}

static ax_status open_secret(struct ax_secret_key *out,
                             unsigned char file[SECRET],
                             const char *passphrase, size_t n,
                             struct ax_err *err)
{
    static const unsigned char none[2] = {0, 0};
    bool hidden = memcmp(file + KDF, "Sc", 2) == 0;
    unsigned char sum[32], pk[32], sk[64];

    if (memcmp(file, "Ed", 2) != 0 || memcmp(file + CHECK, "B2", 2) != 0 ||
        (!hidden && memcmp(file + KDF, none, 2) != 0))
        return ax_fail(err, AX_EUNSUPPORTED,
                       "the secret key is not of algorithms Ed, Sc and B2");
    if (hidden && !passphrase)
        return ax_fail(err, AX_EUSAGE,
                       "the key has a passphrase, and none "
                       "was given");
    if (hidden)
        AX_TRY(hide(file, passphrase, n, err));
    checksum(sum, file);
    /* minisign gives a key without a passphrase no checksum. */
    if (sodium_memcmp(sum, file + SUM, sizeof sum) != 0 &&
        (hidden || !sodium_is_zero(file + SUM, sizeof sum)))
        return ax_fail(err, AX_EFORMAT,
                       hidden ? "wrong passphrase, or the key is damaged"
                              : "the key is damaged: its checksum differs");
    /* What is signed with a public half of another key gives the secret
     * half away. */
    crypto_sign_seed_keypair(pk, sk, file + KEY);
    if (sodium_memcmp(sk, file + KEY, sizeof sk) != 0) {
        sodium_memzero(sk, sizeof sk);
        return ax_fail(err, AX_EFORMAT,
                       "the halves of the key do not belong together");
    }
    memcpy(out->id, file + ID, 8);
    memcpy(out->key, sk, sizeof sk);
    sodium_memzero(sk, sizeof sk);
    return AX_OK;
}

ax_status ax_key_read_secret(struct ax_secret_key *out, const char *text,
                             size_t n, const char *passphrase,
                             size_t n_passphrase, struct ax_err *err)
{
    struct text t = {text, n}, comment;
    unsigned char file[SECRET];
    ax_status st;

    AX_TRY(ax_sodium(err));
    AX_TRY(ax_text_comment(&t, AX_UNTRUSTED, &comment, err));
    AX_TRY(ax_text_base64(&t, file, sizeof file, "secret key", err));
    st = ax_text_end(&t, err);
    if (st == AX_OK)
        st = open_secret(out, file, passphrase, n_passphrase, err);
    sodium_memzero(file, sizeof file);
    return st;
}

ax_status ax_key_write_secret(FILE *f, const struct ax_secret_key *key,
                              const char *passphrase, size_t n_passphrase,
                              struct ax_err *err)
{
    unsigned char file[SECRET] = "Ed";
    ax_status st = AX_OK;

    AX_TRY(ax_sodium(err));
    memcpy(file + CHECK, "B2", 2);
    memcpy(file + ID, key->id, 8);
    memcpy(file + KEY, key->key, 64);
    checksum(file + SUM, file);
    if (passphrase) {
        memcpy(file + KDF, "Sc", 2);
        randombytes_buf(file + SALT, OPS - SALT);
        put64(file + OPS, NEW_OPS);
        put64(file + MEM, NEW_MEM);
        st = hide(file, passphrase, n_passphrase, err);
    }
    if (st == AX_OK) {
        fputs(passphrase ? AX_UNTRUSTED "minisign encrypted secret key\n"
                         : AX_UNTRUSTED "minisign secret key\n",
              f);
        write_base64(f, file, sizeof file);
    }
    sodium_memzero(file, sizeof file);
    return st;
}
