/* Objects, attributes and datasets of an HDF5 file. */
#include "formats/keras/hdf5.h"

#include <string.h>

enum {
    MESSAGE_SPACE = 1,
    MESSAGE_TYPE = 3,
    MESSAGE_LAYOUT = 8,
    MESSAGE_FILTERS = 11,
    MESSAGE_ATTRIBUTE = 12,
    MESSAGE_MORE = 16,
    MESSAGE_TABLE = 17
};

enum { CLASS_FLOAT = 1, CLASS_TEXT = 3, CLASS_VARYING = 9 };

#define DEPTH   16 /* of a B-tree */
#define PIECES  64 /* of an object header */
#define NOWHERE UINT64_MAX

/* ---- bytes ---- */

static const unsigned char *bytes(struct hdf5 *h, uint64_t at, uint64_t n)
{
    if (at > h->n || h->n - at < n) {
        h->bad = true;
        return NULL;
    }
    return h->p + at;
}

static uint64_t number(struct hdf5 *h, uint64_t at, int n)
{
    const unsigned char *p = bytes(h, at, (uint64_t)n);
    uint64_t v = 0;

    for (int i = 0; p && i < n; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static bool begins(struct hdf5 *h, uint64_t at, const char *mark)
{
    const unsigned char *p = bytes(h, at, 4);

    if (p && memcmp(p, mark, 4) != 0)
        h->bad = true;
    return p && !h->bad;
}

/* One more step; there are as many as a file of this size can ask for. */
static bool step(struct hdf5 *h)
{
    if (h->steps == 0)
        h->bad = true;
    else
        h->steps--;
    return !h->bad;
}

struct hdf5_text hdf5_name(const char *s)
{
    return (struct hdf5_text){s, strlen(s)};
}

static bool equal(struct hdf5_text a, struct hdf5_text b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.s, b.s, a.n) == 0);
}

ax_status hdf5_open(struct hdf5 *h, const unsigned char *data, size_t n,
                    struct ax_err *err)
{
    uint64_t version, entry;

    *h = (struct hdf5){data, n, false, 0, 1000000 + (uint64_t)n};
    version = number(h, 8, 1);
    if (h->bad || version > 1)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "HDF5 superblock of version %d, not 0 or 1",
                       (int)version);
    if (number(h, 13, 1) != 8 || number(h, 14, 1) != 8)
        return ax_fail(err, AX_EUNSUPPORTED, "offsets that are not 8 bytes");
    entry = version == 0 ? 56 : 60;
    if (number(h, entry - 32, 8) != 0)
        return ax_fail(err, AX_EUNSUPPORTED, "a base address");
    h->root = number(h, entry + 8, 8);
    return h->bad ? ax_fail(err, AX_EFORMAT, "the file is cut short") : AX_OK;
}

/* ---- messages ---- */

/* A walk through the messages of an object header of version 1, and of the
 * pieces that it goes on in. */
struct walk {
    uint64_t at, end;                    /* in this piece */
    uint64_t more[PIECES], left[PIECES]; /* pieces to come */
    int n;
};

struct message {
    uint64_t type, at, size;
};

static struct walk walk_new(struct hdf5 *h, uint64_t object)
{
    struct walk w = {.n = 0};

    if (object == 0 || number(h, object, 1) != 1) {
        h->bad = true;
        return w;
    }
    w.at = object + 16;
    w.end = w.at + number(h, object + 8, 4);
    return w;
}

/* The next message; false at the end. */
static bool next(struct hdf5 *h, struct walk *w, struct message *m)
{
    while (!h->bad && step(h)) {
        if (w->at + 8 > w->end) {
            if (w->n == 0)
                return false;
            w->n--;
            w->at = w->more[w->n];
            w->end = w->at + w->left[w->n];
            continue;
        }
        m->type = number(h, w->at, 2);
        m->size = number(h, w->at + 2, 2);
        m->at = w->at + 8;
        if (number(h, w->at + 4, 1) & 2) /* it is somewhere else */
            h->bad = true;
        w->at = m->at + m->size;
        if (w->at > w->end || !bytes(h, m->at, m->size))
            h->bad = true;
        if (h->bad || m->type != MESSAGE_MORE)
            return !h->bad;
        if (w->n == PIECES) {
            h->bad = true;
            return false;
        }
        w->more[w->n] = number(h, m->at, 8);
        w->left[w->n] = number(h, m->at + 8, 8);
        if (w->more[w->n] > h->n || w->left[w->n] > h->n)
            h->bad = true;
        w->n++;
    }
    return false;
}

static bool message(struct hdf5 *h, uint64_t object, uint64_t type,
                    struct message *m)
{
    struct walk w = walk_new(h, object);

    while (next(h, &w, m))
        if (m->type == type)
            return true;
    return false;
}

/* ---- groups ---- */

/* A name in a local heap. */
static struct hdf5_text heap_text(struct hdf5 *h, uint64_t heap, uint64_t at)
{
    uint64_t size, data;
    const unsigned char *p, *end;

    if (!begins(h, heap, "HEAP"))
        return (struct hdf5_text){NULL, 0};
    size = number(h, heap + 8, 8);
    data = number(h, heap + 24, 8);
    p = bytes(h, data, size);
    if (!p || at >= size) {
        h->bad = true;
        return (struct hdf5_text){NULL, 0};
    }
    end = memchr(p + at, 0, size - at);
    if (!end) {
        h->bad = true;
        return (struct hdf5_text){NULL, 0};
    }
    return (struct hdf5_text){(const char *)p + at, (size_t)(end - (p + at))};
}

/* In a node of symbols, of 40 bytes each. */
static uint64_t find_symbol(struct hdf5 *h, uint64_t node, uint64_t heap,
                            struct hdf5_text name)
{
    uint64_t n;

    if (!begins(h, node, "SNOD"))
        return 0;
    n = number(h, node + 6, 2);
    for (uint64_t i = 0; i < n && step(h); i++) {
        uint64_t at = node + 8 + 40 * i;

        if (!bytes(h, at, 40) ||
            !equal(heap_text(h, heap, number(h, at, 8)), name))
            continue;
        /* A link to elsewhere is no object. */
        return number(h, at + 16, 4) == 2 ? 0 : number(h, at + 8, 8);
    }
    return 0;
}

static uint64_t find_in_tree(struct hdf5 *h, uint64_t node, uint64_t heap,
                             struct hdf5_text name, int depth)
{
    uint64_t level, n, found = 0;

    if (depth == DEPTH || !begins(h, node, "TREE") ||
        number(h, node + 4, 1) != 0) {
        h->bad = true;
        return 0;
    }
    level = number(h, node + 5, 1);
    n = number(h, node + 6, 2);
    for (uint64_t i = 0; i < n && found == 0 && step(h); i++) {
        uint64_t child = number(h, node + 24 + 8 + 16 * i, 8);

        found = level ? find_in_tree(h, child, heap, name, depth + 1)
                      : find_symbol(h, child, heap, name);
    }
    return h->bad ? 0 : found;
}

static uint64_t find_child(struct hdf5 *h, uint64_t object,
                           struct hdf5_text name)
{
    struct message m;

    if (!message(h, object, MESSAGE_TABLE, &m) || m.size < 16)
        return 0;
    return find_in_tree(h, number(h, m.at, 8), number(h, m.at + 8, 8), name,
                        0);
}

uint64_t hdf5_find(struct hdf5 *h, uint64_t object, struct hdf5_text path)
{
    while (object && path.n && !h->bad) {
        const char *slash = memchr(path.s, '/', path.n);
        size_t n = slash ? (size_t)(slash - path.s) : path.n;

        if (n)
            object = find_child(h, object, (struct hdf5_text){path.s, n});
        path.s += n + (slash != NULL);
        path.n -= n + (slash != NULL);
    }
    return h->bad ? 0 : object;
}

/* ---- types and shapes ---- */

static bool read_type(struct hdf5 *h, uint64_t at, uint64_t size,
                      struct hdf5_array *out)
{
    /* Offset and bits in all, where exponent and fraction are and how many
     * bits they have, and the bias: those of IEEE 754. */
    static const struct {
        ax_dtype dtype;
        unsigned char size, properties[12];
    } floats[] = {
        {AX_F16, 2, {0, 0, 16, 0, 10, 5, 0, 10, 15, 0, 0, 0}},
        {AX_F32, 4, {0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0}},
        {AX_F64, 8, {0, 0, 64, 0, 52, 11, 0, 52, 255, 3, 0, 0}},
    };
    uint64_t kind = number(h, at, 1) & 15, bits = number(h, at + 1, 1);

    if (size < 8)
        return false;
    out->size = (size_t)number(h, at + 4, 4);
    out->fixed = kind == CLASS_TEXT;
    out->varying = kind == CLASS_VARYING && (bits & 15) == 1 &&
                   out->size == 16;
    for (size_t i = 0; kind == CLASS_FLOAT && size >= 20 && i < 3; i++) {
        const unsigned char *p = bytes(h, at + 8, 12);

        if (p && (bits & 1) == 0 && floats[i].size == out->size &&
            memcmp(p, floats[i].properties, 12) == 0)
            out->dtype = floats[i].dtype;
    }
    return out->size > 0 && (out->dtype || out->fixed || out->varying);
}

static bool read_space(struct hdf5 *h, uint64_t at, uint64_t size,
                       struct hdf5_array *out)
{
    uint64_t version = number(h, at, 1), rank = number(h, at + 1, 1);
    uint64_t first = version == 1 ? 8 : 4;

    out->count = 1;
    if ((version != 1 && version != 2) || rank > AX_RANK_MAX ||
        first + 8 * rank > size)
        return false;
    if (version == 2 && number(h, at + 3, 1) == 2) /* no elements */
        out->count = 0;
    out->rank = (int)rank;
    for (uint64_t i = 0; i < rank; i++) {
        uint64_t d = number(h, at + first + 8 * i, 8);

        if (d > INT32_MAX || (d && out->count > SIZE_MAX / 16 / d))
            return false;
        out->dims[i] = (int64_t)d;
        out->count *= d;
    }
    return true;
}

static bool whole(struct hdf5 *h, struct hdf5_array *out, uint64_t at)
{
    if (out->count > SIZE_MAX / out->size)
        return false;
    out->data = bytes(h, at, (uint64_t)out->count * out->size);
    return out->data != NULL;
}

static uint64_t padded(uint64_t n, uint64_t version)
{
    return version == 1 ? (n + 7) / 8 * 8 : n;
}

bool hdf5_attribute(struct hdf5 *h, uint64_t object, const char *name,
                    struct hdf5_array *out)
{
    struct walk w = walk_new(h, object);
    struct message m;

    while (next(h, &w, &m)) {
        uint64_t version, n_name, n_type, n_space, at;
        const unsigned char *p;

        if (m.type != MESSAGE_ATTRIBUTE || m.size < 9)
            continue;
        version = number(h, m.at, 1);
        n_name = number(h, m.at + 2, 2);
        n_type = number(h, m.at + 4, 2);
        n_space = number(h, m.at + 6, 2);
        at = m.at + (version == 3 ? 9 : 8);
        p = bytes(h, at, n_name);
        if (!p || version < 1 || version > 3 || n_name != strlen(name) + 1 ||
            memcmp(p, name, n_name) != 0)
            continue;
        *out = (struct hdf5_array){.count = 0};
        at += padded(n_name, version);
        if (!read_type(h, at, n_type, out))
            return false;
        at += padded(n_type, version);
        if (!read_space(h, at, n_space, out))
            return false;
        at += padded(n_space, version);
        if (at > m.at + m.size ||
            out->count > (m.at + m.size - at) / out->size)
            return false;
        return whole(h, out, at);
    }
    return false;
}

bool hdf5_dataset(struct hdf5 *h, uint64_t object, struct hdf5_array *out)
{
    struct message type, space, layout, filters;
    uint64_t kind;

    *out = (struct hdf5_array){.count = 0};
    if (!message(h, object, MESSAGE_TYPE, &type) ||
        !message(h, object, MESSAGE_SPACE, &space) ||
        !message(h, object, MESSAGE_LAYOUT, &layout) ||
        message(h, object, MESSAGE_FILTERS, &filters) ||
        !read_type(h, type.at, type.size, out) ||
        !read_space(h, space.at, space.size, out) || layout.size < 4 ||
        number(h, layout.at, 1) != 3)
        return false;
    kind = number(h, layout.at + 1, 1);
    if (kind == 0) /* with the message */
        return number(h, layout.at + 2, 2) ==
                   (uint64_t)out->count * out->size &&
               whole(h, out, layout.at + 4);
    if (kind != 1 || layout.size < 18 ||
        number(h, layout.at + 2, 8) == NOWHERE)
        return false;
    return number(h, layout.at + 10, 8) == (uint64_t)out->count * out->size &&
           whole(h, out, number(h, layout.at + 2, 8));
}

/* Object i of a global heap. */
static struct hdf5_text heap_object(struct hdf5 *h, uint64_t heap,
                                    uint64_t index, uint64_t n)
{
    uint64_t at = heap + 16, end;

    if (n == 0 || !begins(h, heap, "GCOL"))
        return (struct hdf5_text){"", 0};
    end = heap + number(h, heap + 8, 8);
    while (!h->bad && end <= h->n && at + 16 <= end && step(h)) {
        uint64_t id = number(h, at, 2), size = number(h, at + 8, 8);
        const unsigned char *p = bytes(h, at + 16, size);

        if (!p || id == 0)
            break;
        if (id == index && n <= size)
            return (struct hdf5_text){(const char *)p, (size_t)n};
        at += 16 + (size + 7) / 8 * 8;
    }
    h->bad = true;
    return (struct hdf5_text){NULL, 0};
}

struct hdf5_text hdf5_text_at(struct hdf5 *h, const struct hdf5_array *a,
                              size_t i)
{
    struct hdf5_text t = {NULL, 0};

    if (i >= a->count || (!a->fixed && !a->varying))
        return t;
    if (a->varying) {
        uint64_t at = (uint64_t)(a->data - h->p) + 16 * (uint64_t)i;

        t = heap_object(h, number(h, at + 4, 8), number(h, at + 12, 4),
                        number(h, at, 4));
    } else {
        t.s = (const char *)a->data + i * a->size;
        t.n = a->size;
    }
    while (t.n && t.s[t.n - 1] == '\0') /* what fills it up */
        t.n--;
    return t;
}
