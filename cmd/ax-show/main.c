/* ax-show - what is in a container, and what is claimed of it. See
 * man/ax-show.1. It checks that the bytes are what was written, and no claim:
 * that is what ax-check and ax-sign are for. */
#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/model.h"
#include "common/sandbox.h"
#include "diff.h"
#include "show.h"

struct args {
    const char *path, *other, *extract, *out, *copy;
    struct opt_list drop;
    bool identity, quick, stats, json, force, diff;
};

/* ---- --quick ---- */

static ax_status quick(const struct args *a, struct ax_err *err)
{
    struct ax_model_end end;
    char hex[65];
    FILE *f;
    ax_status st;

    AX_TRY(cmd_in_open(&f, a->path, err));
    st = ax_model_quick(&end, f, err);
    cmd_in_close(f);
    if (st != AX_OK)
        return ax_fail_in(err, "%s", cmd_in_name(a->path));
    ax_hex32(hex, end.identity);
    if (a->json)
        return cmd_json("ax.show/1",
                        json_pack("{s:b, s:s, s:s, s:I, s:I}", "complete", 1,
                                  "identity", hex, "profile",
                                  end.raw ? "raw" : "zstd", "stream_bytes",
                                  (json_int_t)end.stream_bytes, "attached",
                                  (json_int_t)end.n_attachments),
                        err);
    if (a->identity)
        printf("%s\n", hex);
    else
        printf("complete, %" PRIu64 " bytes of model, %" PRIu32
               " attachment%s; the rest was not read\n",
               end.stream_bytes, end.n_attachments,
               end.n_attachments == 1 ? "" : "s");
    return AX_OK;
}

/* ---- --extract ---- */

static bool is_digest(const char *which)
{
    size_t n = strspn(which, "0123456789abcdef");

    return !which[n] && n >= 8 && n <= 64;
}

static bool matches(const struct ax_attachment *a, const char *which)
{
    char hex[65];

    ax_hex32(hex, a->digest);
    return strcmp(a->type, which) == 0 || strcmp(a->name, which) == 0 ||
           (is_digest(which) && strncmp(hex, which, strlen(which)) == 0);
}

/* May it be shown to a terminal? */
static bool is_text(const struct ax_attachment *a)
{
    for (size_t i = 0; i < a->n; i++) {
        unsigned char c = a->data[i];

        if (c >= 0x7f || (c < 0x20 && c != '\n' && c != '\t' && c != '\r'))
            return false;
    }
    return true;
}

static ax_status extract(const struct ax_model *m, const struct args *a,
                         struct ax_err *err)
{
    const struct ax_attachment *found = NULL;
    struct cmd_out out = {0};
    uint32_t n = 0;

    for (uint32_t i = 0; i < m->n_attachments; i++)
        if (matches(&m->attachments[i], a->extract)) {
            found = &m->attachments[i];
            n++;
        }
    if (!found)
        return ax_fail(err, AX_ENOINPUT,
                       "%s: no attachment has '%s' as digest, type or name",
                       cmd_in_name(a->path), a->extract);
    if (n > 1)
        return ax_fail(err, AX_EUSAGE,
                       "%s: %" PRIu32
                       " attachments have '%s' as digest, type "
                       "or name; give the digest of one",
                       cmd_in_name(a->path), n, a->extract);
    AX_TRY(cmd_out_open(&out, a->out,
                        (is_text(found) ? 0 : CMD_OUT_BINARY) |
                            (a->force ? CMD_OUT_FORCE : 0),
                        err));
    /* A short write shows when the output is committed. */
    fwrite(found->data, 1, found->n, out.f);
    return cmd_out_commit(&out, err);
}

/* ---- --copy ---- */

/* Write the container in another profile, without some attachments. */
static ax_status copy(struct ax_model *m, const struct args *a,
                      struct ax_err *err)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < m->n_attachments; i++) {
        struct ax_attachment *t = &m->attachments[i];
        bool drop = false;

        for (int k = 0; k < a->drop.n; k++)
            drop |= matches(t, a->drop.v[k]);
        if (drop) {
            free(t->type);
            free(t->name);
            free(t->data);
        } else {
            m->attachments[n++] = *t;
        }
    }
    m->n_attachments = n;
    return cmd_model_write(m, a->out,
                           strcmp(a->copy, "raw") == 0 ? AX_PROFILE_RAW
                                                       : AX_PROFILE_ZSTD,
                           a->force ? CMD_OUT_FORCE : 0, err);
}

/* ---- --diff ---- */

static ax_status differ(const struct ax_model *m, const struct args *a,
                        struct ax_err *err)
{
    struct ax_model *other = NULL;
    struct diff d = {0};
    ax_status st = cmd_model_read(&other, a->other, err);

    if (st == AX_OK)
        st = diff_models(&d, m, other, err);
    if (st == AX_OK)
        st = diff_report(&d, m, other, a->json, err);
    diff_free(&d);
    ax_model_free(other);
    return st;
}

/* ---- the command ---- */

static ax_status show(struct ax_model *m, const struct args *a,
                      struct ax_err *err)
{
    char hex[65];

    if (a->diff)
        return differ(m, a, err);
    if (a->extract)
        return extract(m, a, err);
    if (a->copy)
        return copy(m, a, err);
    if (a->json)
        return show_json(m, a->stats, err);
    if (!a->identity)
        return show_text(m, a->stats, err);
    ax_hex32(hex, m->identity);
    printf("%s\n", hex);
    return AX_OK;
}

static ax_status check(const struct args *a, struct ax_err *err)
{
    int jobs = (a->extract != NULL) + (a->copy != NULL) + a->json;

    if (jobs > 1 || (a->quick && (a->extract || a->copy)) ||
        (a->identity && jobs))
        return ax_fail(err, AX_EUSAGE,
                       "one of --identity, --json, --extract and --copy");
    if (a->out && !a->extract && !a->copy)
        return ax_fail(err, AX_EUSAGE,
                       "-o is for what --extract or --copy gives");
    if (a->diff && (jobs > a->json || a->quick || a->identity || a->stats))
        return ax_fail(err, AX_EUSAGE, "--diff goes with --json alone");
    if (a->diff != (a->other != NULL))
        return ax_fail(err, AX_EUSAGE,
                       a->diff ? "--diff wants two containers"
                               : "two containers are for --diff");
    if (a->drop.n && !a->copy)
        return ax_fail(err, AX_EUSAGE, "--drop is for --copy");
    return AX_OK;
}

int main(int argc, char **argv)
{
    struct args a = {0};
    const struct opt opts[] = {
        {'i', "identity", NULL, "print the identity alone",
         .flag = &a.identity},
        {'s', "stats", NULL, "print least, greatest and mean of each tensor",
         .flag = &a.stats},
        {0, "json", NULL, "print everything as JSON", .flag = &a.json},
        {'q', "quick", NULL, "look at the end of the file alone",
         .flag = &a.quick},
        {'d', "diff", NULL, "say how two containers differ", .flag = &a.diff},
        {'x', "extract", "WHICH",
         "take out the attachment with this digest, type or name",
         .str = &a.extract},
        {0, "copy", "PROFILE", "write the container in this profile",
         .str = &a.copy, .one_of = "raw zstd"},
        {0, "drop", "WHICH", "with --copy: leave out such attachments",
         .list = &a.drop},
        {'o', "output", "FILE", "where --extract and --copy write to",
         .str = &a.out},
        {'f', "force", NULL, "write even to a terminal", .flag = &a.force},
        {0},
    };
    const struct cmd cmd = {
        .name = "ax-show",
        .summary = "show a container and what is claimed of it",
        .synopsis = "[options] [MODEL.axm]\n--diff [--json] A.axm B.axm",
        .opts = opts,
        .max_operands = 2,
    };
    struct cmd_sandbox box = {.cmd = &cmd};
    struct ax_model *m = NULL;
    struct ax_err err = {0};
    ax_status st = cmd_options(&cmd, &argc, &argv, &err);

    a.path = argc > 0 ? argv[0] : "-";
    a.other = argc > 1 ? argv[1] : NULL;
    box.writes[0] = a.out;
    if (st == AX_OK)
        st = check(&a, &err);
    if (st == AX_OK)
        st = cmd_sandbox_enter(&box, &err);
    if (st == AX_OK && a.quick) {
        st = quick(&a, &err);
    } else if (st == AX_OK) {
        st = cmd_model_read(&m, a.path, &err);
        if (st == AX_OK)
            st = show(m, &a, &err);
    }
    ax_model_free(m);
    return cmd_finish(&cmd, st, &err);
}
