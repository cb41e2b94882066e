/* Signatures in a container: a DSSE envelope around an in-toto statement,
 * whose subject is the model's identity and whose predicate lists the
 * digests of all attachments that were there. ax-sign(1) describes them. */
#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "sign/minisign.h"

#define PAYLOAD_TYPE   "application/vnd.in-toto+json"
#define STATEMENT_TYPE "https://in-toto.io/Statement/v1"
#define PREDICATE_TYPE "urn:x-ax:signature:v1"
#define SUBJECT_DIGEST "axmIdentity"

static ax_status no_memory(struct ax_err *err)
{
    return ax_fail(err, AX_ENOMEM, "no memory for a signature");
}

/* ---- signing ---- */

static json_t *listed(const struct ax_model *m)
{
    json_t *list = json_array();

    for (uint32_t i = 0; list && i < m->n_attachments; i++) {
        const struct ax_attachment *a = &m->attachments[i];
        char hex[65];

        ax_hex32(hex, a->digest);
        if (json_array_append_new(
                list, json_pack("{s:s, s:s, s:{s:s}}", "type", a->type,
                                "name", a->name, "digest", "sha256", hex))) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *statement(const struct ax_model *m)
{
    char hex[65];

    ax_hex32(hex, m->identity);
    return json_pack("{s:s, s:[{s:s, s:{s:s}}], s:s, s:{s:o}}", "_type",
                     STATEMENT_TYPE, "subject", "name", m->graph->name,
                     "digest", SUBJECT_DIGEST, hex, "predicateType",
                     PREDICATE_TYPE, "predicate", "attachments", listed(m));
}

/* Bytes that grow. jansson 2.14 goes on when what it writes keys with has
 * failed, so that is remembered. */
struct bytes {
    char *p;
    size_t n, cap;
    bool failed;
};

static int add(const char *p, size_t n, void *arg)
{
    struct bytes *b = arg;

    if (b->cap - b->n < n) {
        size_t cap = 2 * b->cap + n;
        char *more = realloc(b->p, cap);

        if (!more) {
            b->failed = true;
            return -1;
        }
        b->p = more;
        b->cap = cap;
    }
    memcpy(b->p + b->n, p, n);
    b->n += n;
    return 0;
}

/* Compact, keys sorted; takes O. */
static ax_status dump(struct bytes *out, json_t *o, struct ax_err *err)
{
    bool good = o &&
                !json_dump_callback(o, add, out,
                                    JSON_COMPACT | JSON_SORT_KEYS) &&
                !out->failed;

    json_decref(o);
    return good ? AX_OK : no_memory(err);
}

/* What is signed: DSSE's pre-authentication encoding. */
static ax_status encode(struct bytes *out, const char *payload, size_t n,
                        struct ax_err *err)
{
    char head[80];
    int k = snprintf(head, sizeof head, "DSSEv1 %zu %s %zu ",
                     sizeof PAYLOAD_TYPE - 1, PAYLOAD_TYPE, n);

    if (add(head, (size_t)k, out) || add(payload, n, out))
        return no_memory(err);
    return AX_OK;
}

static ax_status envelope(struct bytes *out, const struct bytes *payload,
                          const unsigned char signature[64],
                          const unsigned char key_id[8], struct ax_err *err)
{
    char sig[sodium_base64_ENCODED_LEN(64, sodium_base64_VARIANT_ORIGINAL)];
    size_t n = sodium_base64_encoded_len(payload->n,
                                         sodium_base64_VARIANT_ORIGINAL);
    char id[17], *text = malloc(n);
    ax_status st;

    if (!text)
        return no_memory(err);
    sodium_bin2base64(text, n, (unsigned char *)payload->p, payload->n,
                      sodium_base64_VARIANT_ORIGINAL);
    sodium_bin2base64(sig, sizeof sig, signature, 64,
                      sodium_base64_VARIANT_ORIGINAL);
    ax_key_id(id, key_id);
    st = dump(out,
              json_pack("{s:s, s:s, s:[{s:s, s:s}]}", "payload", text,
                        "payloadType", PAYLOAD_TYPE, "signatures", "keyid",
                        id, "sig", sig),
              err);
    free(text);
    return st;
}

ax_status ax_sign_model(struct ax_model *m, const struct ax_secret_key *key,
                        struct ax_err *err)
{
    struct bytes payload = {0}, pae = {0}, env = {0};
    unsigned char identity[32], signature[64];
    char id[17];
    ax_status st;

    AX_TRY(ax_sodium(err));
    AX_TRY(ax_model_identity(identity, m, err));
    ax_key_id(id, key->id);
    st = dump(&payload, statement(m), err);
    if (st == AX_OK)
        st = encode(&pae, payload.p, payload.n, err);
    if (st == AX_OK) {
        crypto_sign_detached(signature, NULL, (unsigned char *)pae.p, pae.n,
                             key->key);
        st = envelope(&env, &payload, signature, key->id, err);
    }
    if (st == AX_OK)
        st = ax_model_attach(m, "signature", id, env.p, env.n, err);
    free(payload.p);
    free(pae.p);
    free(env.p);
    return st;
}

/* ---- verifying ---- */

/* Below, AX_NO means that a signature is not good, and err says why. */

/* One envelope, taken apart. */
struct parts {
    json_t *json;
    unsigned char *payload;
    size_t n;
    unsigned char signature[64];
    const char *key_id; /* in json */
};

static ax_status load(json_t **out, const void *text, size_t n,
                      struct ax_err *err)
{
    json_error_t why;

    *out = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why);
    if (*out)
        return AX_OK;
    if (json_error_code(&why) == json_error_out_of_memory)
        return no_memory(err);
    return ax_fail(err, AX_NO, "it is no JSON: %s", why.text);
}

static const char *string_of(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

static ax_status take_apart(struct parts *p, const struct ax_attachment *a,
                            struct ax_err *err)
{
    const char *text, *type, *sig;
    const json_t *list, *one;
    size_t n = 0;

    AX_TRY(load(&p->json, a->data, a->n, err));
    text = string_of(p->json, "payload");
    type = string_of(p->json, "payloadType");
    list = json_object_get(p->json, "signatures");
    one = json_array_get(list, 0);
    p->key_id = string_of(one, "keyid");
    sig = string_of(one, "sig");
    if (!text || !type || json_array_size(list) != 1 || !p->key_id || !sig)
        return ax_fail(err, AX_NO,
                       "it is no DSSE envelope with one signature");
    if (strcmp(type, PAYLOAD_TYPE) != 0)
        return ax_fail(err, AX_NO, "what it signs is no in-toto statement");
    p->payload = malloc(strlen(text) + 1);
    if (!p->payload)
        return no_memory(err);
    if (!ax_base64(p->payload, strlen(text), &p->n, text, strlen(text)) ||
        !ax_base64(p->signature, 64, &n, sig, strlen(sig)) || n != 64)
        return ax_fail(err, AX_NO, "it is not base64 where it should be");
    return AX_OK;
}

static void parts_free(struct parts *p)
{
    json_decref(p->json);
    free(p->payload);
}

static ax_status of_key(const struct parts *p,
                        const struct ax_public_key *key, struct ax_err *err)
{
    struct bytes pae = {0};
    ax_status st = encode(&pae, (char *)p->payload, p->n, err);

    if (st == AX_OK &&
        crypto_sign_verify_detached(p->signature, (unsigned char *)pae.p,
                                    pae.n, key->key) != 0)
        st = ax_fail(err, AX_NO,
                     "it is not of this key, or what it signs was altered");
    free(pae.p);
    return st;
}

/* The attachment with this digest is covered; false if there is none. */
static bool cover(const struct ax_model *m, bool *covered, const char *digest)
{
    bool found = false;

    for (uint32_t i = 0; digest && i < m->n_attachments; i++) {
        char hex[65];

        ax_hex32(hex, m->attachments[i].digest);
        if (strcmp(hex, digest) == 0)
            covered[i] = found = true;
    }
    return found;
}

/* Does the statement speak of this model, and of attachments that are here?
 * Then these are covered. */
static ax_status fits(const json_t *o, const struct ax_model *m,
                      bool *covered, struct ax_err *err)
{
    const char *type = string_of(o, "_type");
    const char *predicate = string_of(o, "predicateType");
    const json_t *subjects = json_object_get(o, "subject");
    const char *identity = string_of(
        json_object_get(json_array_get(subjects, 0), "digest"),
        SUBJECT_DIGEST);
    const json_t *list = json_object_get(json_object_get(o, "predicate"),
                                         "attachments");
    char hex[65];

    ax_hex32(hex, m->identity);
    if (!type || strcmp(type, STATEMENT_TYPE) != 0 || !predicate ||
        strcmp(predicate, PREDICATE_TYPE) != 0 || !json_is_array(list))
        return ax_fail(err, AX_NO, "what it signs is no statement of ours");
    if (json_array_size(subjects) != 1 || !identity ||
        strcmp(identity, hex) != 0)
        return ax_fail(err, AX_NO, "it was made for another model");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *digest = json_object_get(json_array_get(list, i),
                                               "digest");

        if (!cover(m, covered, string_of(digest, "sha256")))
            return ax_fail(err, AX_NO,
                           "an attachment that it covers is gone "
                           "or was altered");
    }
    return AX_OK;
}

static ax_status check(const struct parts *p, const struct ax_model *m,
                       const struct ax_public_key *key, bool *covered,
                       struct ax_err *err)
{
    json_t *o;
    ax_status st;

    AX_TRY(of_key(p, key, err));
    AX_TRY(load(&o, p->payload, p->n, err));
    memset(covered, 0, m->n_attachments * sizeof *covered);
    st = fits(o, m, covered, err);
    json_decref(o);
    return st;
}

/* Check against the keys that have the id. COVERED is set if it is good. */
static ax_status try_keys(struct ax_signed *out, const struct parts *p,
                          const struct ax_model *m,
                          const struct ax_public_key *keys, uint32_t n_keys,
                          bool *covered, struct ax_err *err)
{
    for (uint32_t k = 0; k < n_keys; k++) {
        char id[17];
        ax_status st;

        ax_key_id(id, keys[k].id);
        if (strcmp(id, p->key_id) != 0)
            continue;
        st = check(p, m, &keys[k], covered, err);
        out->key = k;
        out->state = st == AX_OK ? AX_SIGNATURE_GOOD : AX_SIGNATURE_BAD;
        if (st != AX_NO)
            return st;
    }
    return out->state == AX_SIGNATURE_BAD ? AX_NO : AX_OK;
}

/* Look at one attachment of type signature. AX_OK, whatever it is worth, or
 * AX_ENOMEM. */
static ax_status look(struct ax_signed *out, const struct ax_model *m,
                      uint32_t i, const struct ax_public_key *keys,
                      uint32_t n_keys, bool *covered, struct ax_err *err)
{
    struct parts p = {0};
    struct ax_err why = {0};
    ax_status st = take_apart(&p, &m->attachments[i], &why);

    out->state = AX_SIGNATURE_UNKNOWN;
    if (st == AX_OK)
        st = try_keys(out, &p, m, keys, n_keys, covered, &why);
    parts_free(&p);
    if (st != AX_OK && st != AX_NO) {
        *err = why;
        return st;
    }
    if (st == AX_NO)
        snprintf(out->reason, sizeof out->reason, "%.159s", why.msg);
    return AX_OK;
}

static ax_status verdict(const struct ax_signed *out,
                         const struct ax_model *m,
                         const struct ax_public_key *keys, struct ax_err *err)
{
    bool good = false, any = false;
    char id[17];

    for (uint32_t i = 0; i < m->n_attachments; i++) {
        good |= out[i].state == AX_SIGNATURE_GOOD;
        any |= out[i].state != AX_SIGNATURE_NONE;
        if (out[i].state != AX_SIGNATURE_BAD)
            continue;
        ax_key_id(id, keys[out[i].key].id);
        return ax_fail(err, AX_NO, "bad signature of key %s: %s", id,
                       out[i].reason);
    }
    if (!good)
        return ax_fail(err, AX_NO,
                       any ? "no signature is of a trusted key"
                           : "there is no signature");
    return AX_OK;
}

static ax_status look_at_all(struct ax_signed *out, const struct ax_model *m,
                             const struct ax_public_key *keys,
                             uint32_t n_keys, bool *covered,
                             struct ax_err *err)
{
    for (uint32_t i = 0; i < m->n_attachments; i++) {
        if (strcmp(m->attachments[i].type, "signature") != 0)
            continue;
        AX_TRY(look(&out[i], m, i, keys, n_keys, covered, err));
        for (uint32_t k = 0;
             out[i].state == AX_SIGNATURE_GOOD && k < m->n_attachments; k++)
            out[k].covered |= covered[k];
    }
    return verdict(out, m, keys, err);
}

ax_status ax_sign_verify(struct ax_signed *out, const struct ax_model *m,
                         const struct ax_public_key *keys, uint32_t n_keys,
                         struct ax_err *err)
{
    bool *covered;
    ax_status st;

    AX_TRY(ax_sodium(err));
    covered = calloc((size_t)m->n_attachments + 1, sizeof *covered);
    if (!covered)
        return no_memory(err);
    for (uint32_t i = 0; i < m->n_attachments; i++)
        out[i] = (struct ax_signed){0};
    st = look_at_all(out, m, keys, n_keys, covered, err);
    free(covered);
    return st;
}
