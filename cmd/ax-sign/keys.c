/* Key files and passphrases. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "common/file.h"
#include "sign.h"

enum { PASSPHRASE_MAX = 1024, KEYS_MAX = 4096 };

struct passphrase {
    bool given;
    size_t n;
    char text[PASSPHRASE_MAX];
};

/* ---- passphrases ---- */

/* A line from the terminal, byte by byte, so that an interrupt is one too
 * and cannot leave the terminal without echo. */
static ax_status read_line(struct passphrase *out, int tty,
                           struct ax_err *err)
{
    char c;

    out->n = 0;
    for (;;) {
        ssize_t k = read(tty, &c, 1);

        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0 || c == 3 || c == 4)
            return ax_fail(err, AX_EUSAGE, "no passphrase was given");
        if (c == '\n' || c == '\r')
            return AX_OK;
        if (c == 0x7f || c == '\b')
            out->n -= out->n > 0;
        else if (c == 21)
            out->n = 0;
        else if (out->n == sizeof out->text)
            return ax_fail(err, AX_EUSAGE,
                           "the passphrase has more than %d bytes",
                           PASSPHRASE_MAX);
        else
            out->text[out->n++] = c;
    }
}

static ax_status ask(struct passphrase *out, const char *prompt,
                     struct ax_err *err)
{
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    struct termios old, quiet;
    ax_status st;

    if (tty < 0 || tcgetattr(tty, &old) != 0) {
        if (tty >= 0)
            close(tty);
        return ax_fail(err, AX_EUSAGE,
                       "there is no terminal to ask for the passphrase: give "
                       "--passphrase-file or --passphrase-env");
    }
    quiet = old;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ICANON | ISIG);
    quiet.c_cc[VMIN] = 1;
    quiet.c_cc[VTIME] = 0;
    /* No echo before the prompt: who types ahead is not shown. */
    if (tcsetattr(tty, TCSAFLUSH, &quiet) != 0 ||
        write(tty, prompt, strlen(prompt)) < 0)
        st = ax_fail(err, AX_EIO, "/dev/tty: %s", strerror(errno));
    else
        st = read_line(out, tty, err);
    (void)tcsetattr(tty, TCSAFLUSH, &old);
    if (write(tty, "\n", 1) < 0 && st == AX_OK)
        st = ax_fail(err, AX_EIO, "/dev/tty: %s", strerror(errno));
    close(tty);
    out->given = true;
    return st;
}

/* The first line of the file. */
static ax_status from_file(struct passphrase *out, const char *path,
                           struct ax_err *err)
{
    unsigned char *data;
    size_t n;

    AX_TRY(cmd_in_read(&data, &n, path, 65536, err));
    out->given = true;
    out->n = strcspn((char *)data, "\r\n");
    if (out->n > sizeof out->text)
        out->n = sizeof out->text + 1;
    else
        memcpy(out->text, data, out->n);
    sodium_memzero(data, n);
    free(data);
    if (out->n > sizeof out->text)
        return ax_fail(err, AX_EUSAGE,
                       "%s: the passphrase has more than %d bytes", path,
                       PASSPHRASE_MAX);
    return AX_OK;
}

static ax_status from_env(struct passphrase *out, const char *name,
                          struct ax_err *err)
{
    const char *s = getenv(name);

    if (!s)
        return ax_fail(err, AX_EUSAGE, "the variable %s is not set", name);
    out->given = true;
    out->n = strlen(s);
    if (out->n > sizeof out->text)
        return ax_fail(err, AX_EUSAGE,
                       "%s: the passphrase has more than %d bytes", name,
                       PASSPHRASE_MAX);
    memcpy(out->text, s, out->n);
    return AX_OK;
}

static ax_status from_options(struct passphrase *out, const struct args *a,
                              struct ax_err *err)
{
    if (a->passphrase_file)
        return from_file(out, a->passphrase_file, err);
    if (a->passphrase_env)
        return from_env(out, a->passphrase_env, err);
    return AX_OK;
}

/* ---- keygen ---- */

static ax_status new_passphrase(struct passphrase *out, const struct args *a,
                                struct ax_err *err)
{
    struct passphrase again = {0};
    ax_status st;
    bool same;

    if (a->no_passphrase)
        return AX_OK;
    AX_TRY(from_options(out, a, err));
    if (!out->given) {
        AX_TRY(ask(out, "passphrase for the new key: ", err));
        st = ask(&again, "once more: ", err);
        same = st != AX_OK || (again.n == out->n &&
                               memcmp(again.text, out->text, out->n) == 0);
        sodium_memzero(&again, sizeof again);
        AX_TRY(st);
        if (!same)
            return ax_fail(err, AX_EUSAGE, "the passphrases differ");
    }
    if (!out->n)
        return ax_fail(err, AX_EUSAGE,
                       "the passphrase is empty; for none give "
                       "--no-passphrase");
    return AX_OK;
}

/* Both files are written before either gets its name. */
static ax_status write_pair(const struct args *a, const char *base,
                            const char *public_path,
                            const struct ax_secret_key *key,
                            const struct passphrase *p, struct ax_err *err)
{
    unsigned how = a->force ? 0 : CMD_OUT_NEW;
    struct cmd_out secret = {0}, public = {0};
    struct ax_public_key pk;
    ax_status st = enter(a, base, public_path, err);

    if (st == AX_OK)
        st = cmd_out_open(&secret, base, how | CMD_OUT_SECRET, err);
    if (st == AX_OK)
        st = cmd_out_open(&public, public_path, how, err);
    if (st == AX_OK)
        st = ax_key_write_secret(secret.f, key, p->given ? p->text : NULL,
                                 p->n, err);
    if (st == AX_OK) {
        ax_key_public(&pk, key);
        ax_key_write_public(public.f, &pk);
        st = cmd_out_commit(&secret, err);
    }
    if (st == AX_OK)
        st = cmd_out_commit(&public, err);
    cmd_out_discard(&secret);
    cmd_out_discard(&public);
    return st;
}

static ax_status make_pair(const struct args *a, const char *base,
                           const struct passphrase *p, struct ax_err *err)
{
    size_t n = strlen(base) + sizeof ".pub";
    char *public_path = malloc(n), id[17];
    struct ax_secret_key key = {0};
    ax_status st;

    if (!public_path)
        return ax_fail(err, AX_ENOMEM, "no memory for a path");
    snprintf(public_path, n, "%s.pub", base);
    st = ax_key_new(&key, err);
    if (st == AX_OK)
        st = write_pair(a, base, public_path, &key, p, err);
    if (st == AX_OK) {
        ax_key_id(id, key.id);
        printf("key %s: %s, %s\n", id, base, public_path);
    }
    ax_key_wipe(&key);
    free(public_path);
    return st;
}

ax_status keygen(const struct args *a, struct ax_err *err)
{
    const char *base = a->out ? a->out : "key";
    struct passphrase p = {0};
    ax_status st;

    if (strcmp(base, "-") == 0 || !*base)
        return ax_fail(err, AX_EUSAGE,
                       "keygen writes two files: -o wants "
                       "the name of one");
    st = new_passphrase(&p, a, err);
    if (st == AX_OK)
        st = make_pair(a, base, &p, err);
    sodium_memzero(&p, sizeof p);
    return st;
}

/* ---- reading ---- */

struct key_file {
    size_t n;
    char text[AX_KEY_FILE_MAX + 1];
};

/* A secret key that others can read is no secret. */
static ax_status check_mode(FILE *f, const char *path, struct ax_err *err)
{
    struct stat st;

    if (fstat(fileno(f), &st) != 0)
        return ax_fail(err, AX_EIO, "%s: %s", path, strerror(errno));
    if (S_ISREG(st.st_mode) && (st.st_mode & 077))
        return ax_fail(err, AX_EUSAGE,
                       "%s: others may read this secret key (mode %04o): "
                       "chmod 600 it, or give --force",
                       path, (unsigned)st.st_mode & 07777);
    return AX_OK;
}

static ax_status read_file(struct key_file *out, const char *path,
                           bool secret, struct ax_err *err)
{
    FILE *f;
    ax_status st = AX_OK;

    AX_TRY(cmd_in_open(&f, path, err));
    if (secret)
        st = check_mode(f, path, err);
    if (st == AX_OK) {
        setvbuf(f, NULL, _IONBF, 0);
        out->n = fread(out->text, 1, sizeof out->text, f);
        if (ferror(f))
            st = ax_fail(err, AX_EIO, "%s: %s", path, strerror(errno));
        else if (out->n > AX_KEY_FILE_MAX)
            st = ax_fail(err, AX_EFORMAT,
                         "%s: is no key: it has more than %d bytes", path,
                         AX_KEY_FILE_MAX);
    }
    cmd_in_close(f);
    return st;
}

static ax_status open_secret(struct ax_secret_key *out,
                             const struct key_file *file,
                             const struct args *a, struct passphrase *p,
                             struct ax_err *err)
{
    ax_status st;

    /* Only a key that has a passphrase wants one. */
    st = ax_key_read_secret(out, file->text, file->n, NULL, 0, err);
    if (st != AX_EUSAGE)
        return st;
    *err = (struct ax_err){0};
    AX_TRY(from_options(p, a, err));
    if (!p->given)
        AX_TRY(ask(p, "passphrase: ", err));
    return ax_key_read_secret(out, file->text, file->n, p->text, p->n, err);
}

ax_status secret_key(struct ax_secret_key *out, const struct args *a,
                     struct ax_err *err)
{
    struct passphrase p = {0};
    struct key_file file;
    ax_status st;

    if (a->keys.n != 1)
        return ax_fail(err, AX_EUSAGE, "-k wants one secret key");
    st = read_file(&file, a->keys.v[0], !a->force, err);
    if (st == AX_OK) {
        st = open_secret(out, &file, a, &p, err);
        if (st != AX_OK)
            ax_fail_in(err, "%s", a->keys.v[0]);
    }
    sodium_memzero(&p, sizeof p);
    sodium_memzero(&file, sizeof file);
    return st;
}

static ax_status add_key(struct keyring *k, const char *path,
                         struct ax_err *err)
{
    struct key_file file;

    if (k->n == KEYS_MAX)
        return ax_fail(err, AX_EUSAGE, "more than %d keys", KEYS_MAX);
    AX_TRY(read_file(&file, path, false, err));
    if (ax_key_read_public(&k->keys[k->n], file.text, file.n, err) != AX_OK)
        return ax_fail_in(err, "%s", path);
    k->files[k->n] = strdup(path);
    if (!k->files[k->n])
        return ax_fail(err, AX_ENOMEM, "no memory for a path");
    k->n++;
    return AX_OK;
}

static int is_public(const struct dirent *d)
{
    size_t n = strlen(d->d_name);

    return d->d_name[0] != '.' && n > 4 &&
           strcmp(d->d_name + n - 4, ".pub") == 0;
}

static ax_status add_folder(struct keyring *k, const char *folder,
                            struct ax_err *err)
{
    struct dirent **names = NULL;
    int n = scandir(folder, &names, is_public, alphasort);
    ax_status st = AX_OK;

    if (n < 0)
        return ax_fail(err, errno == ENOMEM ? AX_ENOMEM : AX_ENOINPUT,
                       "%s: %s", folder, strerror(errno));
    for (int i = 0; i < n; i++) {
        size_t size = strlen(folder) + strlen(names[i]->d_name) + 2;
        char *path = st == AX_OK ? malloc(size) : NULL;

        if (path) {
            snprintf(path, size, "%s/%s", folder, names[i]->d_name);
            st = add_key(k, path, err);
        } else if (st == AX_OK) {
            st = ax_fail(err, AX_ENOMEM, "no memory for a path");
        }
        free(path);
        free(names[i]);
    }
    free(names);
    if (st == AX_OK && n == 0)
        st = ax_fail(err, AX_ENOINPUT, "%s: there is no .pub file in it",
                     folder);
    return st;
}

ax_status keyring_read(struct keyring *out, const struct args *a,
                       struct ax_err *err)
{
    *out = (struct keyring){0};
    if (!a->keys.n && !a->trust)
        return ax_fail(err, AX_EUSAGE,
                       "whose signature? give -k KEY.pub or --trust FOLDER");
    out->keys = calloc(KEYS_MAX, sizeof *out->keys);
    out->files = calloc(KEYS_MAX, sizeof *out->files);
    if (!out->keys || !out->files)
        return ax_fail(err, AX_ENOMEM, "no memory for keys");
    for (int i = 0; i < a->keys.n; i++)
        AX_TRY(add_key(out, a->keys.v[i], err));
    return a->trust ? add_folder(out, a->trust, err) : AX_OK;
}

void keyring_free(struct keyring *k)
{
    for (uint32_t i = 0; i < k->n; i++)
        free(k->files[i]);
    free(k->files);
    free(k->keys);
}
