/* A run out of its provenance record, done again. The record may be hostile:
 * it is only ever read as the arguments of this command. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "ax-train/job.h"
#include "common/json.h"
#include "common/model.h"

#define WORDS_MAX 256
#define PATHS     5

struct record {
    json_t *json;
    const char *identity;       /* of the container, in hex */
    char *words[WORDS_MAX + 2]; /* borrowed; ended by NULL */
    int n;
    char *paths[PATHS]; /* new, of files in the folder */
};

/* The last record of a run of ax-train that made this model. */
static ax_status find(struct record *r, const struct ax_model *m,
                      const char *hex, struct ax_err *err)
{
    for (uint32_t i = m->n_attachments; i-- > 0;) {
        const struct ax_attachment *a = &m->attachments[i];
        const char *made;

        if (strcmp(a->type, "provenance") != 0)
            continue;
        r->json = json_loadb((const char *)a->data, a->n, 0, NULL);
        made = json_string_value(json_object_get(r->json, "command"));
        if (made && strcmp(made, "ax-train") == 0) {
            made = json_string_value(json_object_get(r->json, "model_out"));
            if (made && strcmp(made, hex) == 0)
                return AX_OK;
        }
        json_decref(r->json);
        r->json = NULL;
    }
    return ax_fail(err, AX_EFORMAT, "has no record of ax-train that made it");
}

/* Is WORD one that ends the process, or of files that are no part of the run?
 * *pair: the next word goes with it. */
static bool left_out(const char *word, bool *pair, bool *bad)
{
    static const char *const apart[] = {"--checkpoint", "--checkpoint-every",
                                        "--resume", "--track", "--report"};

    *bad = strcmp(word, "--help") == 0 || strcmp(word, "--version") == 0 ||
           strcmp(word, "--list-options") == 0;
    *pair = false;
    if (strcmp(word, "--json") == 0 || strcmp(word, "--plot") == 0)
        return true; /* how it was watched */
    for (size_t i = 0; i < sizeof apart / sizeof apart[0]; i++) {
        size_t n = strlen(apart[i]);

        if (strncmp(word, apart[i], n) == 0 && (!word[n] || word[n] == '=')) {
            *pair = !word[n];
            return true;
        }
    }
    return false;
}

static ax_status take_words(struct record *r, struct ax_err *err)
{
    json_t *list = json_object_get(r->json, "arguments");
    size_t n = json_array_size(list);

    r->words[r->n++] = (char *)(uintptr_t) "ax-train";
    for (size_t i = 0; i < n; i++) {
        const char *word = json_string_value(json_array_get(list, i));
        bool pair, bad;

        if (!word || r->n > WORDS_MAX)
            return ax_fail(
                err, AX_EFORMAT,
                "the record's arguments are no words, or too many");
        if (left_out(word, &pair, &bad))
            i += pair;
        else if (bad)
            return ax_fail(err, AX_EFORMAT, "the record has '%s'", word);
        else
            r->words[r->n++] = (char *)(uintptr_t)word;
    }
    return AX_OK;
}

/* The file names of the record, in the folder. */
static ax_status place(struct record *r, struct args *b, const char *folder,
                       struct ax_err *err)
{
    const char **names[PATHS] = {&b->start, &b->data, &b->labels, &b->test,
                                 &b->test_labels};

    for (int i = 0; folder && i < PATHS; i++) {
        size_t n;

        if (!*names[i])
            continue;
        n = strlen(folder) + strlen(*names[i]) + 2;
        r->paths[i] = malloc(n);
        if (!r->paths[i])
            return ax_fail(err, AX_ENOMEM, "no memory for a path");
        snprintf(r->paths[i], n, "%s/%s", folder, *names[i]);
        *names[i] = r->paths[i];
    }
    return AX_OK;
}

/* Are the files those of the record? */
static ax_status same_files(const struct record *r, const struct job *j,
                            struct ax_err *err)
{
    json_t *list = json_object_get(r->json, "files");
    const char *in = json_string_value(json_object_get(r->json, "model_in"));
    char hex[65];

    ax_hex32(hex, j->identity);
    if ((in != NULL) != j->had_identity || (in && strcmp(in, hex) != 0))
        return ax_fail(err, AX_EFORMAT,
                       "%s: is not the model that the run began with",
                       j->args->start);
    for (size_t i = 0; i < j->files.n; i++) {
        const char *want = json_string_value(
            json_object_get(json_array_get(list, i), "sha256"));

        ax_hex32(hex, j->files.v[i].sha256);
        if (!want || strcmp(want, hex) != 0)
            return ax_fail(err, AX_EFORMAT,
                           "%s: is not the file that the run had",
                           j->files.v[i].name);
    }
    return AX_OK;
}

static ax_status compare(const struct record *r, struct job *j,
                         struct ax_err *err)
{
    unsigned char identity[32];
    char hex[65];

    AX_TRY(ax_model_identity(identity, j->model, err));
    ax_hex32(hex, identity);
    if (strcmp(hex, r->identity) == 0) {
        printf("the same identity: %s\n", hex);
        return AX_OK;
    }
    printf("another identity: %s, not %s\n", hex, r->identity);
    return AX_NO;
}

/* What is wrong usage here is a wrong file to whoever gave it. */
static ax_status refuse_words(struct ax_err *err)
{
    const struct ax_err why = *err;

    return ax_fail(err, AX_EFORMAT, "the record's arguments: %s", why.msg);
}

static ax_status again(const struct args *a, struct record *r,
                       ax_status (*read)(struct args *out, int argc,
                                         char **argv, struct ax_err *err),
                       struct ax_err *err)
{
    struct args b;
    struct job j = {.args = &b};
    ax_status st = take_words(r, err);

    if (st == AX_OK)
        st = read(&b, r->n, r->words, err);
    if (st == AX_EUSAGE)
        st = refuse_words(err);
    if (st != AX_OK)
        return st;
    b.quiet = true;
    b.opt.threads = (int)a->threads;
    st = place(r, &b, a->folder, err);
    if (st == AX_OK)
        st = job_open(&j, err);
    if (st == AX_OK)
        st = same_files(r, &j, err);
    if (st == AX_OK)
        st = job_train(&j, err);
    if (st == AX_OK)
        st = compare(r, &j, err);
    job_free(&j);
    return st;
}

ax_status replay(const struct args *a,
                 ax_status (*read)(struct args *out, int argc, char **argv,
                                   struct ax_err *err),
                 struct ax_err *err)
{
    struct record r = {0};
    struct ax_model *m = NULL;
    unsigned char identity[32];
    char hex[65];
    ax_status st;

    AX_TRY(cmd_model_read(&m, a->replay, err));
    st = ax_model_identity(identity, m, err);
    ax_hex32(hex, identity);
    r.identity = hex;
    if (st == AX_OK)
        st = find(&r, m, hex, err);
    if (st == AX_OK)
        st = again(a, &r, read, err);
    json_decref(r.json);
    for (int i = 0; i < PATHS; i++)
        free(r.paths[i]);
    ax_model_free(m);
    return st == AX_OK || st == AX_NO ? st : ax_fail_in(err, "%s", a->replay);
}
