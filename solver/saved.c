/* Proof trees that are not finished, in a file.
 *
 *     "AXOS", version 1, semantics, strategy, 0
 *     identity of the model [32], digest of the property [32]
 *     memory limit, boxes, leaves [8 each], depth [4], volume [8, a double]
 *     varint   groups; of each:
 *     varint   boxes; of each, in order:
 *         varint   0, open; or 1 + the length of its record
 *         varint   if it has a record: child, 0 for a leaf
 *         varint   what is split
 *         record
 *     CRC-32 of all that [4]
 *
 * Numbers are little-endian. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "certifier.h"

#define HEAD  (8 + 32 + 32)
#define STATS (3 * 8 + 4 + 8)

/* ---- writing ---- */

struct writer {
    FILE *f;
    uLong crc;
};

static void write_bytes(struct writer *w, const void *p, size_t n)
{
    w->crc = crc32_z(w->crc, p, n);
    fwrite(p, 1, n, w->f);
}

static void write_number(struct writer *w, uint64_t v, int bytes)
{
    unsigned char le[8];

    for (int i = 0; i < bytes; i++)
        le[i] = (unsigned char)(v >> (8 * i));
    write_bytes(w, le, (size_t)bytes);
}

static void write_varint(struct writer *w, uint64_t v)
{
    unsigned char p[10];
    size_t n = 0;

    for (; v >= 0x80; v >>= 7)
        p[n++] = (unsigned char)(v | 0x80);
    p[n++] = (unsigned char)v;
    write_bytes(w, p, n);
}

static void write_tree(struct writer *w, const struct proof *t)
{
    write_varint(w, t->n);
    for (uint64_t id = 0; id < t->n; id++) {
        const unsigned char *r;
        size_t n;

        if (t->box[id].record == PROOF_NONE) {
            write_varint(w, 0);
            continue;
        }
        r = proof_record(t, id, &n);
        write_varint(w, n + 1);
        write_varint(w, t->box[id].child);
        write_varint(w, t->box[id].dim);
        write_bytes(w, r, n);
    }
}

static void write_stats(struct writer *w, const struct ax_saved_search *s)
{
    uint64_t volume;

    memcpy(&volume, &s->stats.done, sizeof volume);
    write_number(w, s->bytes, 8);
    write_number(w, s->stats.boxes, 8);
    write_number(w, s->stats.leaves, 8);
    write_number(w, s->stats.depth, 4);
    write_number(w, volume, 8);
}

ax_status ax_certifier_save(const struct ax_certifier *c, FILE *f,
                            const struct ax_saved_search *s,
                            const unsigned char identity[32],
                            struct ax_err *err)
{
    const unsigned char head[8] = {'A',
                                   'X',
                                   'O',
                                   'S',
                                   1,
                                   (unsigned char)c->semantics,
                                   (unsigned char)s->strategy};
    struct writer w = {f, crc32_z(0, NULL, 0)};

    write_bytes(&w, head, sizeof head);
    write_bytes(&w, identity, 32);
    write_bytes(&w, c->prop->digest, 32);
    write_stats(&w, s);
    write_varint(&w, c->prop->n_groups);
    for (uint32_t g = 0; g < c->prop->n_groups; g++)
        write_tree(&w, &c->trees[g]);
    write_number(&w, w.crc, 4);
    return ferror(f) ? ax_fail(err, AX_EIO, "the search cannot be written")
                     : AX_OK;
}

/* ---- reading ---- */

/* What is left of a file; beyond its end there are zeros, and bad is set. */
struct reader {
    const unsigned char *p;
    size_t n;
    bool bad;
};

static const unsigned char *read_bytes(struct reader *r, size_t n)
{
    const unsigned char *p = r->p;

    if (n > r->n) {
        r->bad = true;
        return NULL;
    }
    r->p += n;
    r->n -= n;
    return p;
}

static uint64_t read_number(struct reader *r, int bytes)
{
    const unsigned char *p = read_bytes(r, (size_t)bytes);
    uint64_t v = 0;

    for (int i = 0; p && i < bytes; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static uint64_t read_varint(struct reader *r)
{
    uint64_t v = 0;

    for (int shift = 0; shift < 64; shift += 7) {
        const unsigned char *p = read_bytes(r, 1);

        if (!p)
            return 0;
        v |= (uint64_t)(*p & 0x7f) << shift;
        if (*p < 0x80)
            return v;
    }
    r->bad = true;
    return 0;
}

static ax_status damaged(struct ax_err *err)
{
    return ax_fail(err, AX_EFORMAT, "the search to go on with is damaged");
}

/* Each box comes after the one box that it is a part of. From the last to the
 * first, which are closed? */
static ax_status find_closed(struct proof *t, struct ax_err *err)
{
    t->saved = calloc(t->n + 1, 1);
    if (!t->saved)
        return ax_fail(err, AX_ENOMEM, "no memory for the certificate");
    t->n_saved = t->n;
    for (uint64_t id = 0; id < t->n; id++) {
        uint64_t child = t->box[id].child;

        if (t->box[id].record == PROOF_NONE || !child)
            continue;
        if (child <= id || child >= t->n - 1 || t->saved[child]++ ||
            t->saved[child + 1]++)
            return damaged(err);
    }
    for (uint64_t id = t->n; id-- > 0;) {
        const struct box *b = &t->box[id];
        enum ax_saved is = AX_SAVED_OPEN;

        if (b->record != PROOF_NONE)
            is = !b->child || (t->saved[b->child] == AX_SAVED_CLOSED &&
                               t->saved[b->child + 1] == AX_SAVED_CLOSED)
                     ? AX_SAVED_CLOSED
                     : AX_SAVED_SPLIT;
        t->saved[id] = (unsigned char)is;
    }
    return AX_OK;
}

static ax_status read_tree(struct reader *r, struct proof *t,
                           struct ax_err *err)
{
    uint64_t n = read_varint(r);

    if (n > r->n)
        return damaged(err);
    AX_TRY(proof_reserve(t, n, err));
    for (uint64_t id = 0; id < n; id++) {
        uint64_t length = read_varint(r), child, dim;
        const unsigned char *p;

        if (length-- == 0)
            continue;
        child = read_varint(r);
        dim = read_varint(r);
        p = read_bytes(r, length);
        if (!p || child >= n || (child && child + 1 >= n) ||
            dim > UINT32_MAX || length > UINT32_MAX)
            return damaged(err);
        AX_TRY(proof_put(t, id, child, (uint32_t)dim, p, length, err));
    }
    t->n = n;
    return r->bad ? damaged(err) : find_closed(t, err);
}

static void read_stats(struct reader *r, struct ax_saved_search *s)
{
    uint64_t volume;

    s->bytes = read_number(r, 8);
    s->stats.boxes = read_number(r, 8);
    s->stats.leaves = read_number(r, 8);
    s->stats.depth = (uint32_t)read_number(r, 4);
    volume = read_number(r, 8);
    memcpy(&s->stats.done, &volume, sizeof volume);
    if (!(s->stats.done >= 0 && s->stats.done <= 1))
        r->bad = true;
}

ax_status ax_certifier_restore(struct ax_certifier *c,
                               struct ax_saved_search *s,
                               const unsigned char *data, size_t n,
                               const unsigned char identity[32],
                               struct ax_err *err)
{
    struct reader r = {data, n, false}, end;

    *s = (struct ax_saved_search){0};
    if (n < HEAD || memcmp(data, "AXOS\1", 5) != 0)
        return ax_fail(err, AX_EFORMAT, "this is no search to go on with");
    if (n < HEAD + STATS + 4)
        return damaged(err);
    r.n -= 4;
    end = (struct reader){data + r.n, 4, false};
    if (read_number(&end, 4) != crc32_z(crc32_z(0, NULL, 0), data, r.n))
        return damaged(err);
    if (memcmp(data + 8, identity, 32) != 0)
        return ax_fail(err, AX_EFORMAT,
                       "the search to go on with is of another model");
    if (memcmp(data + 40, c->prop->digest, 32) != 0)
        return ax_fail(err, AX_EFORMAT,
                       "the search to go on with is of another property");
    if (data[5] != c->semantics)
        return ax_fail(err, AX_EFORMAT,
                       "the search to go on with has other semantics");
    s->strategy = (enum ax_strategy)data[6];
    if (s->strategy != AX_STRATEGY_INPUT && s->strategy != AX_STRATEGY_NEURON)
        return damaged(err);
    (void)read_bytes(&r, HEAD);
    read_stats(&r, s);
    if (read_varint(&r) != c->prop->n_groups || r.bad)
        return damaged(err);
    for (uint32_t g = 0; g < c->prop->n_groups; g++)
        AX_TRY(read_tree(&r, &c->trees[g], err));
    c->before = *s;
    return r.n ? damaged(err) : AX_OK;
}

enum ax_saved ax_certifier_saved(const struct ax_certifier *c, uint32_t group,
                                 uint64_t id, uint64_t *child, uint32_t *dim)
{
    const struct proof *t = c ? &c->trees[group] : NULL;

    if (!t || id >= t->n_saved)
        return AX_SAVED_OPEN;
    if (t->saved[id] == AX_SAVED_SPLIT && child && dim) {
        *child = t->box[id].child;
        *dim = t->box[id].dim;
    }
    return (enum ax_saved)t->saved[id];
}

uint64_t ax_certifier_open(const struct ax_certifier *c)
{
    uint64_t open = 0;

    for (uint32_t g = 0; g < c->prop->n_groups; g++) {
        const struct proof *t = &c->trees[g];

        open += t->n == 0;
        for (uint64_t id = 0; id < t->n; id++)
            open += t->box[id].record == PROOF_NONE;
    }
    return open;
}

uint64_t ax_certifier_boxes(const struct ax_certifier *c, uint32_t group)
{
    return c && c->trees[group].n_saved ? c->trees[group].n_saved : 1;
}

const struct ax_saved_search *
ax_certifier_search(const struct ax_certifier *c)
{
    return &c->before;
}
