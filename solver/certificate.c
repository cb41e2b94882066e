/* The certificate writer: a sink that keeps the record of every box, and
 * writes them in the order and form of man/ax-cert.5, section CERTIFICATE. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "certifier.h"

static ax_status grow(struct bytes *b, size_t more, struct ax_err *err)
{
    size_t cap = b->cap ? b->cap : 256;
    unsigned char *p;

    if (b->cap - b->n >= more)
        return AX_OK;
    while (cap - b->n < more)
        cap *= 2;
    p = realloc(b->p, cap);
    if (!p)
        return ax_fail(err, AX_ENOMEM, "no memory for the certificate");
    b->p = p;
    b->cap = cap;
    return AX_OK;
}

ax_status bytes_put(struct bytes *b, const void *p, size_t n,
                    struct ax_err *err)
{
    AX_TRY(grow(b, n, err));
    memcpy(b->p + b->n, p, n);
    b->n += n;
    return AX_OK;
}

ax_status bytes_varint(struct bytes *b, uint64_t v, struct ax_err *err)
{
    AX_TRY(grow(b, 10, err));
    for (; v >= 0x80; v >>= 7)
        b->p[b->n++] = (unsigned char)(v | 0x80);
    b->p[b->n++] = (unsigned char)v;
    return AX_OK;
}

ax_status ax_certifier_new(struct ax_certifier **out,
                           const struct ax_prop *prop,
                           enum ax_semantics semantics, struct ax_err *err)
{
    struct ax_certifier *c = calloc(1, sizeof *c);

    if (c)
        c->trees = calloc(prop->n_groups + 1u, sizeof *c->trees);
    if (!c || !c->trees) {
        free(c);
        return ax_fail(err, AX_ENOMEM, "no memory for the certificate");
    }
    c->prop = prop;
    c->semantics = semantics;
    *out = c;
    return AX_OK;
}

void ax_certifier_free(struct ax_certifier *c)
{
    if (!c)
        return;
    for (uint32_t g = 0; g < c->prop->n_groups; g++) {
        free(c->trees[g].box);
        free(c->trees[g].rec.p);
        free(c->trees[g].saved);
    }
    free(c->one.p);
    free(c->trees);
    free(c);
}

ax_status proof_reserve(struct proof *t, uint64_t n, struct ax_err *err)
{
    uint64_t cap = t->cap ? t->cap : 64;
    struct box *p;

    if (n <= t->cap)
        return AX_OK;
    while (cap < n)
        cap *= 2;
    p = realloc(t->box, cap * sizeof *p);
    if (!p)
        return ax_fail(err, AX_ENOMEM, "no memory for the certificate");
    for (uint64_t i = t->cap; i < cap; i++)
        p[i].record = PROOF_NONE;
    t->box = p;
    t->cap = cap;
    return AX_OK;
}

const unsigned char *proof_record(const struct proof *t, uint64_t id,
                                  size_t *n)
{
    const unsigned char *r = t->rec.p + t->box[id].record;

    *n = r[0] | (size_t)r[1] << 8 | (size_t)r[2] << 16 | (size_t)r[3] << 24;
    return r + 4;
}

ax_status proof_put(struct proof *t, uint64_t id, uint64_t child,
                    uint32_t dim, const void *p, size_t n, struct ax_err *err)
{
    const unsigned char length[4] = {
        (unsigned char)n, (unsigned char)(n >> 8), (unsigned char)(n >> 16),
        (unsigned char)(n >> 24)};
    uint64_t end = (child ? child + 1 : id) + 1;
    size_t at = t->rec.n;

    AX_TRY(proof_reserve(t, end, err));
    AX_TRY(bytes_put(&t->rec, length, sizeof length, err));
    AX_TRY(bytes_put(&t->rec, p, n, err));
    t->box[id] = (struct box){child, at, dim};
    t->n = t->n > end ? t->n : end;
    return AX_OK;
}

/* A split of an input: its kind and, if it is not the middle, where. */
static ax_status put_split(struct bytes *b, const struct ax_step *s,
                           struct ax_err *err)
{
    int64_t d = s->value - ((s->lo[s->dim] + s->hi[s->dim]) >> 1);

    AX_TRY(bytes_varint(b, (uint64_t)s->dim << 3 | (d ? 2 : 1), err));
    if (d)
        AX_TRY(bytes_varint(b, d < 0 ? (uint64_t)-d * 2 - 1 : (uint64_t)d * 2,
                            err));
    if (s->n_left > 1)
        AX_TRY(bytes_varint(b, s->n_refuted, err));
    return AX_OK;
}

/* The record of one box. */
static ax_status record(struct bytes *b, const struct ax_group *group,
                        const struct ax_step *s, struct ax_err *err)
{
    bool leaf = s->kind == AX_STEP_LEAF;

    for (uint32_t i = 0; i < s->n_slopes; i++) {
        const struct ax_slopes *t = &s->slopes[i];

        AX_TRY(bytes_varint(b, (uint64_t)t->target << 3 | 6, err));
        AX_TRY(bytes_put(b, t->slope, t->n, err));
    }
    switch (s->kind) {
    case AX_STEP_LEAF:
        AX_TRY(bytes_varint(b, s->n_mults ? 5 : 0, err));
        break;
    case AX_STEP_SPLIT:
        AX_TRY(put_split(b, s, err));
        break;
    case AX_STEP_NEURON:
        return bytes_varint(b, (uint64_t)s->dim << 3 | 3, err);
    case AX_STEP_FORK:
        return bytes_varint(b, (uint64_t)s->dim << 3 | 7, err);
    }
    for (uint32_t i = 0; i < s->n_refuted; i++) {
        uint32_t at = s->refuted[2 * i], row = s->refuted[2 * i + 1];
        uint32_t n_rows = group->conj[s->left[at]].n_rows;

        if (!leaf)
            AX_TRY(bytes_varint(b, at, err));
        if (n_rows > 1)
            AX_TRY(bytes_varint(b, row, err));
        if (s->n_mults && row < n_rows)
            AX_TRY(bytes_put(b, s->mults + (size_t)i * 2 * s->n_mults,
                             2 * (size_t)s->n_mults, err));
    }
    return AX_OK;
}

/* A box that an earlier search has split is met again, on the way to what it
 * left open: it comes out as it did, or is closed now. */
static ax_status step(void *self, const struct ax_step *s, struct ax_err *err)
{
    struct ax_certifier *c = self;
    struct proof *t = &c->trees[s->group];
    bool leaf = s->kind == AX_STEP_LEAF;

    c->one.n = 0;
    AX_TRY(record(&c->one, &c->prop->groups[s->group], s, err));
    if (!leaf && s->id < t->n_saved && t->saved[s->id] == AX_SAVED_SPLIT) {
        size_t n;
        const unsigned char *old = proof_record(t, s->id, &n);

        if (n == c->one.n && memcmp(old, c->one.p, n) == 0)
            return AX_OK;
        return ax_fail(
            err, AX_EFORMAT,
            "the search to go on with was another one: box %" PRIu64
            " is split otherwise",
            s->id);
    }
    return proof_put(t, s->id, leaf ? 0 : s->child, s->dim, c->one.p,
                     c->one.n, err);
}

struct ax_sink ax_certifier_sink(struct ax_certifier *c)
{
    return (struct ax_sink){step, c};
}

/* ---- writing ---- */

struct stack {
    uint64_t *p;
    size_t n, cap;
};

static ax_status push(struct stack *s, uint64_t v, struct ax_err *err)
{
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 64;
        uint64_t *p = realloc(s->p, cap * sizeof *p);

        if (!p)
            return ax_fail(err, AX_ENOMEM, "no memory for the certificate");
        s->p = p;
        s->cap = cap;
    }
    s->p[s->n++] = v;
    return AX_OK;
}

/* The tree in preorder. */
static ax_status put_tree(struct bytes *b, const struct proof *t,
                          struct ax_err *err)
{
    struct stack todo = {0};
    ax_status st = push(&todo, 0, err);

    while (st == AX_OK && todo.n) {
        uint64_t id = todo.p[--todo.n];

        const unsigned char *r;
        size_t n;

        if (t->box[id].record == PROOF_NONE) {
            st = ax_fail(err, AX_EBUG, "box %" PRIu64 " is open", id);
            break;
        }
        r = proof_record(t, id, &n);
        st = bytes_put(b, r, n, err);
        if (st == AX_OK && t->box[id].child) {
            st = push(&todo, t->box[id].child + 1, err);
            if (st == AX_OK)
                st = push(&todo, t->box[id].child, err);
        }
    }
    free(todo.p);
    return st;
}

static ax_status put_head(struct bytes *b, const char *magic,
                          unsigned char version, enum ax_semantics semantics,
                          const unsigned char identity[32],
                          const unsigned char digest[32], struct ax_err *err)
{
    const unsigned char rest[4] = {version, (unsigned char)semantics, 0, 0};

    AX_TRY(bytes_put(b, magic, 4, err));
    AX_TRY(bytes_put(b, rest, 4, err));
    AX_TRY(bytes_put(b, identity, 32, err));
    return bytes_put(b, digest, 32, err);
}

ax_status ax_certifier_write(unsigned char **out, size_t *n,
                             struct ax_certifier *c,
                             const unsigned char identity[32],
                             struct ax_err *err)
{
    struct bytes b = {0};
    ax_status st = put_head(&b, "AXCT", 2, c->semantics, identity,
                            c->prop->digest, err);

    if (st == AX_OK)
        st = bytes_varint(&b, c->prop->n_groups, err);
    for (uint32_t g = 0; g < c->prop->n_groups && st == AX_OK; g++) {
        if (c->trees[g].n == 0)
            st = ax_fail(err, AX_EBUG, "group %u has no proof tree", g);
        else
            st = put_tree(&b, &c->trees[g], err);
    }
    if (st != AX_OK) {
        free(b.p);
        return st;
    }
    *out = b.p;
    *n = b.n;
    return AX_OK;
}

ax_status ax_counterexample_write(unsigned char **out, size_t *n,
                                  const float *x, uint32_t n_x,
                                  enum ax_semantics semantics,
                                  const unsigned char identity[32],
                                  const unsigned char digest[32],
                                  struct ax_err *err)
{
    struct bytes b = {0};
    ax_status st = put_head(&b, "AXCX", 1, semantics, identity, digest, err);

    for (uint32_t i = 0; i <= n_x && st == AX_OK; i++) {
        unsigned char le[4];
        uint32_t bits = n_x;

        if (i > 0)
            memcpy(&bits, &x[i - 1], 4);
        for (int k = 0; k < 4; k++)
            le[k] = (unsigned char)(bits >> (8 * k));
        st = bytes_put(&b, le, 4, err);
    }
    if (st != AX_OK) {
        free(b.p);
        return st;
    }
    *out = b.p;
    *n = b.n;
    return AX_OK;
}
