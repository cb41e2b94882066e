/* ax/sign.h - Ed25519 keys and signatures: of a model, as an attachment, and
 * of any file, beside it. Key and signature files are those of minisign(1);
 * signatures in a container are DSSE envelopes around in-toto statements,
 * described in ax-sign(1). */
#ifndef AX_SIGN_H
#define AX_SIGN_H

#include "ax/model.h"

AX_BEGIN_API

#define AX_KEY_FILE_MAX       4096 /* bytes in a key file */
#define AX_SIGNATURE_FILE_MAX 16384
#define AX_COMMENT_MAX        8192 /* bytes in a trusted comment */

struct ax_public_key {
    unsigned char id[8];
    unsigned char key[32];
};

struct ax_secret_key {
    unsigned char id[8];
    unsigned char key[64];
};

/* A new random pair. AX_EUNAVAILABLE there is no randomness. */
ax_status ax_key_new(struct ax_secret_key *out, struct ax_err *err)
    AX_MUST_CHECK;
void ax_key_wipe(struct ax_secret_key *key); /* harmless on {0} and twice */
void ax_key_public(struct ax_public_key *out,
                   const struct ax_secret_key *key);
/* The id as minisign prints it: 16 hex digits and a NUL. */
void ax_key_id(char out[17], const unsigned char id[8]);

/* Key files; the text is hostile. A passphrase has n bytes and is borrowed;
 * NULL is none. Reading a secret key that has one takes the time and memory
 * that the file asks for: at most 4 GiB and about 15 seconds.
 * AX_EFORMAT      malformed; the passphrase is wrong
 * AX_EUSAGE       the key has a passphrase and none was given
 * AX_ENOMEM       the passphrase wants more memory than there is
 * AX_EUNSUPPORTED a kind of key that minisign does not make */
ax_status ax_key_read_public(struct ax_public_key *out, const char *text,
                             size_t n, struct ax_err *err) AX_MUST_CHECK;
ax_status ax_key_read_secret(struct ax_secret_key *out, const char *text,
                             size_t n, const char *passphrase,
                             size_t n_passphrase, struct ax_err *err)
    AX_MUST_CHECK;
/* Errors of writing show in f. */
void ax_key_write_public(FILE *f, const struct ax_public_key *key);
ax_status ax_key_write_secret(FILE *f, const struct ax_secret_key *key,
                              const char *passphrase, size_t n_passphrase,
                              struct ax_err *err) AX_MUST_CHECK;

/* Append a signature of the model's identity and of all attachments that it
 * has. */
ax_status ax_sign_model(struct ax_model *m, const struct ax_secret_key *key,
                        struct ax_err *err) AX_MUST_CHECK;

/* What a signature in a container is worth. */
typedef enum ax_signature_state {
    AX_SIGNATURE_NONE = 0, /* the attachment is no signature */
    AX_SIGNATURE_UNKNOWN,  /* of no key that was given */
    AX_SIGNATURE_BAD,      /* says that it is of a given key, and is not, or
                              speaks of something else */
    AX_SIGNATURE_GOOD,
} ax_signature_state;

/* For each attachment. */
struct ax_signed {
    ax_signature_state state;
    uint32_t key;     /* which of the keys given; if good or bad */
    char reason[160]; /* why it is bad, or malformed */
    bool covered;     /* a good signature covers it */
};

/* Look at all signatures; out[n_attachments] is the caller's.
 * AX_OK   at least one is good, and none is bad
 * AX_NO   none is good, or one is bad; err says which and why
 * AX_ENOMEM */
ax_status ax_sign_verify(struct ax_signed *out, const struct ax_model *m,
                         const struct ax_public_key *keys, uint32_t n_keys,
                         struct ax_err *err) AX_MUST_CHECK;

/* A detached signature of n bytes, in minisign's prehashed format. The
 * comment is one line, and is signed too; errors of writing show in f.
 * AX_EFORMAT the comment has control characters or is too long. */
ax_status ax_sign_detached(FILE *f, const void *data, size_t n,
                           const struct ax_secret_key *key,
                           const char *comment, struct ax_err *err)
    AX_MUST_CHECK;

/* Check one, prehashed or not. *which key it is of; comment is what its
 * signer said. AX_NO with the reason; AX_EFORMAT the signature is malformed.
 */
ax_status
ax_sign_verify_detached(uint32_t *which, char comment[AX_COMMENT_MAX + 1],
                        const void *data, size_t n, const char *signature,
                        size_t n_signature, const struct ax_public_key *keys,
                        uint32_t n_keys, struct ax_err *err) AX_MUST_CHECK;

AX_END_API

#endif
