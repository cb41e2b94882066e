/* ax-sign - sign models and verify signatures. See man/ax-sign.1. */
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/model.h"
#include "common/sandbox.h"
#include "sign.h"

ax_status enter(const struct args *a, const char *out, const char *other,
                struct ax_err *err)
{
    const struct cmd_sandbox box = {.cmd = a->cmd, .writes = {out, other}};

    return cmd_sandbox_enter(&box, err);
}

static ax_status sign_model(const struct args *a, struct ax_err *err)
{
    struct ax_secret_key key = {0};
    struct ax_model *m = NULL;
    unsigned char identity[32];
    ax_status st = secret_key(&key, a, err);

    if (st == AX_OK)
        st = enter(a, a->out, NULL, err);
    if (st == AX_OK)
        st = cmd_model_read(&m, a->path, err);
    if (st == AX_OK)
        st = ax_model_identity(identity, m, err);
    /* The record comes first, so that it is signed too. */
    if (st == AX_OK)
        st = cmd_model_record(m, a->cmd, identity, NULL, 0, err);
    if (st == AX_OK)
        st = ax_sign_model(m, &key, err);
    ax_key_wipe(&key);
    if (st == AX_OK)
        st = cmd_model_write(m, a->out,
                             m->raw ? AX_PROFILE_RAW : AX_PROFILE_ZSTD,
                             a->force ? CMD_OUT_FORCE : 0, err);
    ax_model_free(m);
    return st;
}

/* What the signer says of the file, if nothing else is wanted: as minisign,
 * but without the time. */
static ax_status default_comment(char out[AX_COMMENT_MAX + 1],
                                 const char *path, struct ax_err *err)
{
    const char *slash = strrchr(path, '/');
    int n = snprintf(out, AX_COMMENT_MAX + 1, "file:%s\thashed",
                     slash ? slash + 1 : path);

    if (n < 0 || n > AX_COMMENT_MAX)
        return ax_fail(err, AX_EUSAGE, "the path is too long");
    return AX_OK;
}

static ax_status write_detached(const struct args *a, const char *path,
                                const unsigned char *data, size_t n,
                                struct ax_err *err)
{
    char comment[AX_COMMENT_MAX + 1];
    struct ax_secret_key key = {0};
    struct cmd_out out = {0};
    ax_status st;

    AX_TRY(default_comment(comment, a->path, err));
    st = secret_key(&key, a, err);
    if (st == AX_OK)
        st = enter(a, path, NULL, err);
    if (st == AX_OK)
        st = cmd_out_open(&out, path, 0, err);
    if (st == AX_OK)
        st = ax_sign_detached(out.f, data, n, &key,
                              a->comment ? a->comment : comment, err);
    ax_key_wipe(&key);
    if (st == AX_OK)
        return cmd_out_commit(&out, err);
    cmd_out_discard(&out);
    return st;
}

static ax_status sign_detached(const struct args *a, struct ax_err *err)
{
    bool input = strcmp(a->path, "-") == 0;
    char *path = signature_path(a->path);
    unsigned char *data = NULL;
    size_t n;
    ax_status st;

    if (!path)
        return ax_fail(err, AX_ENOMEM, "no memory for a path");
    st = cmd_in_read(&data, &n, a->path, SIGNED_MAX, err);
    if (st == AX_OK)
        st = write_detached(a,
                            a->out  ? a->out
                            : input ? "-"
                                    : path,
                            data, n, err);
    free(data);
    free(path);
    return st;
}

static ax_status sign(const struct args *a, struct ax_err *err)
{
    return a->detached ? sign_detached(a, err) : sign_model(a, err);
}

/* The forms of the command, and which options make sense in each. */
static const struct form {
    const char *name;
    ax_status (*run)(const struct args *a, struct ax_err *err);
    bool makes_key, makes_signature, verifies;
} forms[] = {
    {"sign", sign, false, true, false},
    {"keygen", keygen, true, false, false},
    {"verify", verify, false, false, true},
};

static ax_status check(const struct args *a, const struct form *f,
                       struct ax_err *err)
{
    const struct {
        bool given, allowed;
        const char *name;
    } rules[] = {
        {a->keys.n, !f->makes_key, "-k"},
        {a->trust, f->verifies, "--trust"},
        {a->strict, f->verifies && !a->detached, "--strict"},
        {a->json, f->verifies, "--json"},
        {a->signature, f->verifies, "--signature"},
        {a->out, !f->verifies, "-o"},
        {a->comment, f->makes_signature && a->detached, "--comment"},
        {a->detached, !f->makes_key, "--detached"},
        {a->no_passphrase, f->makes_key, "--no-passphrase"},
        {a->passphrase_file, !f->verifies, "--passphrase-file"},
        {a->passphrase_env, !f->verifies, "--passphrase-env"},
        {a->path && f->makes_key, false, "a file"},
    };

    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (rules[i].given && !rules[i].allowed)
            return ax_fail(err, AX_EUSAGE, "%s is not for %s%s",
                           rules[i].name, f->name,
                           a->detached ? " --detached" : "");
    if (a->no_passphrase + !!a->passphrase_file + !!a->passphrase_env > 1)
        return ax_fail(err, AX_EUSAGE,
                       "one of --no-passphrase, --passphrase-file and "
                       "--passphrase-env");
    return AX_OK;
}

static ax_status run(struct args *a, int argc, char **argv,
                     struct ax_err *err)
{
    const struct form *f = &forms[0];

    for (size_t i = 0; argc && i < sizeof forms / sizeof forms[0]; i++)
        if (strcmp(argv[0], forms[i].name) == 0) {
            f = &forms[i];
            argc--;
            argv++;
            break;
        }
    if (argc > 1)
        return ax_fail(err, AX_EUSAGE, "wants one file, has %d", argc);
    a->path = argc ? argv[0] : NULL;
    a->detached |= f->verifies && a->signature;
    AX_TRY(check(a, f, err));
    if (!a->path)
        a->path = "-";
    return f->run(a, err);
}

int main(int argc, char **argv)
{
    struct args a = {0};
    const struct opt opts[] = {
        {'k', "key", "FILE", "secret key to sign, public key to verify with",
         .list = &a.keys},
        {0, "trust", "FOLDER", "verify: with all .pub files in it",
         .str = &a.trust},
        {0, "strict", NULL, "verify: all attachments must be covered",
         .flag = &a.strict},
        {'o', "output", "FILE", "where to write; keygen: FILE and FILE.pub",
         .str = &a.out},
        {0, "detached", NULL, "the signature is a file of its own",
         .flag = &a.detached},
        {0, "signature", "FILE", "verify: the detached signature",
         .str = &a.signature},
        {0, "comment", "TEXT", "sign: what the detached signature says",
         .str = &a.comment},
        {'W', "no-passphrase", NULL, "keygen: leave the key unprotected",
         .flag = &a.no_passphrase},
        {0, "passphrase-file", "FILE", "its first line is the passphrase",
         .str = &a.passphrase_file},
        {0, "passphrase-env", "NAME", "the variable with the passphrase",
         .str = &a.passphrase_env},
        {0, "json", NULL, "verify: print the result as JSON",
         .flag = &a.json},
        {'f', "force", NULL, "overwrite keys, write to a terminal, and more",
         .flag = &a.force},
        {0},
    };
    const struct cmd cmd = {
        .name = "ax-sign",
        .summary = "sign models and verify signatures",
        .synopsis = "[options] [sign] -k KEY [MODEL.axm]\n"
                    "[options] verify -k KEY.pub [MODEL.axm]\n"
                    "[options] keygen",
        .opts = opts,
        .max_operands = 2,
    };
    struct ax_err err = {0};
    ax_status st = cmd_options(&cmd, &argc, &argv, &err);

    a.cmd = &cmd;
    if (st == AX_OK)
        st = run(&a, argc, argv, &err);
    return cmd_finish(&cmd, st, &err);
}
