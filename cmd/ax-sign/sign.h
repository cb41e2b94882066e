/* cmd/ax-sign/sign.h - what the parts of ax-sign share. */
#ifndef AX_SIGN_SIGN_H
#define AX_SIGN_SIGN_H

#include "ax/sign.h"
#include "common/run.h"

struct args {
    const struct cmd *cmd;
    struct opt_list keys;
    const char *trust, *out, *signature, *comment;
    const char *passphrase_file, *passphrase_env;
    bool no_passphrase, detached, strict, json, force;
    const char *path;
};

/* main.c: enter the sandbox, which lets one or two files be written, or NULL.
 * After the terminal was asked for a passphrase, which the sandbox forbids,
 * and before a model, a signature or a key of others is looked at. */
ax_status enter(const struct args *a, const char *out, const char *other,
                struct ax_err *err) AX_MUST_CHECK;

/* keys.c: make a pair of files. */
ax_status keygen(const struct args *a, struct ax_err *err) AX_MUST_CHECK;

/* keys.c: the secret key of -k. Wipe it. */
ax_status secret_key(struct ax_secret_key *out, const struct args *a,
                     struct ax_err *err) AX_MUST_CHECK;

/* The public keys of -k and --trust, with the files they come from. */
struct keyring {
    uint32_t n;
    struct ax_public_key *keys;
    char **files;
};

/* keys.c. Free it, also after a failure. */
ax_status keyring_read(struct keyring *out, const struct args *a,
                       struct ax_err *err) AX_MUST_CHECK;
void keyring_free(struct keyring *k);

/* verify.c: AX_OK or AX_NO, with everything said. */
ax_status verify(const struct args *a, struct ax_err *err) AX_MUST_CHECK;

/* verify.c: where the detached signature of a file is; new. */
char *signature_path(const char *path);

/* More than any file that is signed. */
#define SIGNED_MAX ((size_t)1 << 46)

#endif
