/* Is it signed, by whom, and what does the signature cover? */
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/model.h"
#include "sign.h"

/* ---- signatures in a container ---- */

/* One question and its answer. */
struct inquiry {
    const struct args *a;
    struct keyring ring;
    struct ax_model *m;
    struct ax_signed *found; /* [n_attachments] */
    ax_status verdict;
};

/* Does the attachment stand outside of what was signed? */
static bool uncovered(const struct inquiry *q, uint32_t i)
{
    return !q->found[i].covered && q->found[i].state != AX_SIGNATURE_GOOD;
}

static uint32_t count_uncovered(const struct inquiry *q)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < q->m->n_attachments; i++)
        n += uncovered(q, i);
    return n;
}

static void say_attachment(const char *lead, const struct ax_attachment *t)
{
    char hex[65];

    ax_hex32(hex, t->digest);
    printf("%s %s", lead, t->type);
    if (t->name[0]) {
        putchar(' ');
        cmd_text(stdout, t->name);
    }
    printf(" (%.16s)\n", hex);
}

static void say(const struct inquiry *q)
{
    char id[17], hex[65];

    for (uint32_t i = 0; i < q->m->n_attachments; i++) {
        const struct ax_signed *s = &q->found[i];

        if (s->state != AX_SIGNATURE_GOOD)
            continue;
        ax_key_id(id, q->ring.keys[s->key].id);
        printf("good signature of key %s, ", id);
        cmd_text(stdout, q->ring.files[s->key]);
        putchar('\n');
    }
    ax_hex32(hex, q->m->identity);
    printf("covered: model %s\n", hex);
    for (uint32_t i = 0; i < q->m->n_attachments; i++)
        if (q->found[i].covered)
            say_attachment("covered:", &q->m->attachments[i]);
    for (uint32_t i = 0; i < q->m->n_attachments; i++)
        if (uncovered(q, i))
            say_attachment("not covered:", &q->m->attachments[i]);
}

static json_t *attachment(const struct ax_attachment *t)
{
    char hex[65];

    ax_hex32(hex, t->digest);
    return json_pack("{s:s, s:o, s:s}", "type", t->type, "name",
                     cmd_json_text(t->name), "digest", hex);
}

static json_t *signature(const struct inquiry *q, uint32_t i)
{
    static const char *const states[] = {"none", "unknown", "bad", "good"};
    const struct ax_signed *s = &q->found[i];
    bool of_ours = s->state == AX_SIGNATURE_GOOD ||
                   s->state == AX_SIGNATURE_BAD;
    json_t *o = json_pack("{s:s, s:o}", "state", states[s->state], "name",
                          cmd_json_text(q->m->attachments[i].name));
    char id[17];

    if (o && of_ours) {
        ax_key_id(id, q->ring.keys[s->key].id);
        if (json_object_set_new(o, "key", json_string(id)) ||
            json_object_set_new(o, "file",
                                cmd_json_text(q->ring.files[s->key])))
            goto no_memory;
    }
    if (o && s->reason[0] &&
        json_object_set_new(o, "reason", cmd_json_text(s->reason)))
        goto no_memory;
    return o;
no_memory:
    json_decref(o);
    return NULL;
}

static ax_status say_json(const struct inquiry *q, const char *reason,
                          struct ax_err *err)
{
    json_t *signatures = json_array(), *in = json_array();
    json_t *outside = json_array();
    bool bad = !signatures || !in || !outside;
    char hex[65];

    for (uint32_t i = 0; i < q->m->n_attachments && !bad; i++) {
        const struct ax_attachment *t = &q->m->attachments[i];

        if (q->found[i].state != AX_SIGNATURE_NONE)
            bad |= json_array_append_new(signatures, signature(q, i)) != 0;
        if (q->found[i].covered)
            bad |= json_array_append_new(in, attachment(t)) != 0;
        else if (uncovered(q, i))
            bad |= json_array_append_new(outside, attachment(t)) != 0;
    }
    if (bad) {
        json_decref(signatures);
        json_decref(in);
        json_decref(outside);
        return ax_fail(err, AX_ENOMEM, "no memory for the JSON output");
    }
    ax_hex32(hex, q->m->identity);
    return cmd_json("ax.sign/1",
                    json_pack("{s:b, s:s*, s:s, s:o, s:o, s:o}", "good",
                              q->verdict == AX_OK, "reason", reason,
                              "identity", hex, "signatures", signatures,
                              "covered", in, "not_covered", outside),
                    err);
}

static ax_status ask(struct inquiry *q, struct ax_err *err)
{
    uint32_t n;

    AX_TRY(keyring_read(&q->ring, q->a, err));
    AX_TRY(cmd_model_read(&q->m, q->a->path, err));
    q->found = calloc((size_t)q->m->n_attachments + 1, sizeof *q->found);
    if (!q->found)
        return ax_fail(err, AX_ENOMEM, "no memory for the attachments");
    q->verdict = ax_sign_verify(q->found, q->m, q->ring.keys, q->ring.n, err);
    n = count_uncovered(q);
    if (q->verdict == AX_OK && q->a->strict && n)
        q->verdict = ax_fail(err, AX_NO,
                             "%u attachment%s not covered by a signature",
                             (unsigned)n, n == 1 ? " is" : "s are");
    if (q->verdict == AX_OK || q->verdict == AX_NO)
        return AX_OK;
    return q->verdict;
}

static ax_status verify_model(const struct args *a, struct ax_err *err)
{
    struct inquiry q = {.a = a};
    ax_status st = ask(&q, err);

    if (st == AX_OK && a->json) {
        struct ax_err late = {0};

        st = say_json(&q, err->msg[0] ? err->msg : NULL, &late);
        if (st != AX_OK)
            *err = late;
    } else if (st == AX_OK && q.verdict == AX_OK) {
        say(&q);
    }
    if (st == AX_OK)
        st = q.verdict;
    if (st == AX_NO)
        ax_fail_in(err, "%s", cmd_in_name(a->path));
    free(q.found);
    ax_model_free(q.m);
    keyring_free(&q.ring);
    return st;
}

/* ---- detached signatures ---- */

char *signature_path(const char *path)
{
    size_t n = strlen(path) + sizeof ".minisig";
    char *out = malloc(n);

    if (out)
        snprintf(out, n, "%s.minisig", path);
    return out;
}

static ax_status detached(const struct keyring *ring, const struct args *a,
                          const unsigned char *data, size_t n,
                          struct ax_err *err)
{
    char *path = signature_path(a->path), comment[AX_COMMENT_MAX + 1], id[17];
    const char *from = a->signature ? a->signature : path;
    unsigned char *text = NULL;
    size_t n_text;
    uint32_t which = 0;
    ax_status st;

    if (!path)
        return ax_fail(err, AX_ENOMEM, "no memory for a path");
    st = cmd_in_read(&text, &n_text, from, AX_SIGNATURE_FILE_MAX, err);
    if (st == AX_OK) {
        st = ax_sign_verify_detached(&which, comment, data, n, (char *)text,
                                     n_text, ring->keys, ring->n, err);
        if (st != AX_OK)
            ax_fail_in(err, "%s", cmd_in_name(from));
    }
    if (st == AX_OK || st == AX_NO)
        ax_key_id(id,
                  st == AX_OK ? ring->keys[which].id : (unsigned char[8]){0});
    if (st == AX_OK && !a->json) {
        printf("good signature of key %s, ", id);
        cmd_text(stdout, ring->files[which]);
        printf("\ntrusted comment: ");
        for (char *c = comment; *c; c++)
            *c = *c == '\t' ? ' ' : *c;
        cmd_text(stdout, comment);
        putchar('\n');
    } else if ((st == AX_OK || st == AX_NO) && a->json) {
        struct ax_err late = {0};
        ax_status said = cmd_json(
            "ax.sign/1",
            st == AX_OK
                ? json_pack("{s:b, s:s, s:o, s:o}", "good", 1, "key", id,
                            "file", cmd_json_text(ring->files[which]),
                            "comment", cmd_json_text(comment))
                : json_pack("{s:b, s:o}", "good", 0, "reason",
                            cmd_json_text(err->msg)),
            &late);

        if (said != AX_OK) {
            *err = late;
            st = said;
        }
    }
    free(text);
    free(path);
    return st;
}

static ax_status verify_detached(const struct args *a, struct ax_err *err)
{
    struct keyring ring;
    unsigned char *data = NULL;
    size_t n = 0;
    ax_status st = keyring_read(&ring, a, err);

    if (st == AX_OK && strcmp(a->path, "-") == 0 && !a->signature)
        st = ax_fail(err, AX_EUSAGE,
                     "where is the signature of standard input? give "
                     "--signature");
    if (st == AX_OK)
        st = cmd_in_read(&data, &n, a->path, SIGNED_MAX, err);
    if (st == AX_OK)
        st = detached(&ring, a, data, n, err);
    free(data);
    keyring_free(&ring);
    return st;
}

ax_status verify(const struct args *a, struct ax_err *err)
{
    AX_TRY(enter(a, NULL, NULL, err));
    return a->detached ? verify_detached(a, err) : verify_model(a, err);
}
