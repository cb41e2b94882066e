/* Read a container of either profile: axm(5). The bytes are hostile.
 *
 * Two parts: a source gives the bytes of the file, from a stream or from a
 * mapping; the intake takes the logical stream piece by piece, hashes it,
 * and puts tensors where they belong. Memory grows with what has come, not
 * with what a header promises. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <zstd.h>

#include "model/internal.h"

/* A tensor may be allocated at once if it is not larger than this, or than
 * so many times of what has come before it. */
enum { TRUST_BYTES = 4 << 20, TRUST_FACTOR = 8 };

/* The largest window of a zstd frame, 8 MiB: it is allocated as soon as the
 * frame asks for it. */
enum { WINDOW_LOG = 23 };

/* ---- The source. ---- */

struct source {
    FILE *f;            /* NULL: all of it lies in buf, a mapping */
    const uint8_t *map; /* the mapping, or NULL */
    uint8_t *buf;       /* [cap] read ahead, or NULL */
    size_t cap, pos, n; /* buffered: pos..n */
    uint64_t base;      /* of buf[0], in the file */
};

static uint64_t where(const struct source *s)
{
    return s->base + s->pos;
}

static const uint8_t *ahead(const struct source *s)
{
    return (s->map ? s->map : s->buf) + s->pos;
}

static ax_status cut_short(const struct source *s, const char *in,
                           struct ax_err *err)
{
    return ax_fail(err, AX_EFORMAT, "cut short at byte %" PRIu64 ", in %s",
                   s->base + s->n, in);
}

static ax_status read_error(FILE *f, struct ax_err *err)
{
    return ferror(f) ? ax_fail(err, AX_EIO, "%s",
                               errno ? strerror(errno) : "read failed")
                     : AX_OK;
}

/* Have WANT bytes ahead, at most cap, or all that come before the end. */
static ax_status fill(struct source *s, size_t want, struct ax_err *err)
{
    if (s->map || s->n - s->pos >= want)
        return AX_OK;
    memmove(s->buf, s->buf + s->pos, s->n - s->pos);
    s->base += s->pos;
    s->n -= s->pos;
    s->pos = 0;
    errno = 0;
    s->n += fread(s->buf + s->n, 1, s->cap - s->n, s->f);
    return read_error(s->f, err);
}

/* Read N bytes to OUT; IN names the part for messages. */
static ax_status get(struct source *s, void *out, size_t n, const char *in,
                     struct ax_err *err)
{
    size_t k = s->n - s->pos < n ? s->n - s->pos : n;

    if (k)
        memcpy(out, ahead(s), k);
    s->pos += k;
    if (k < n && s->f) {
        size_t more;

        errno = 0;
        more = fread((uint8_t *)out + k, 1, n - k, s->f);
        s->base += s->n + more;
        s->pos = s->n = 0;
        k += more;
        AX_TRY(read_error(s->f, err));
    }
    return k == n ? AX_OK : cut_short(s, in, err);
}

/* Append N bytes, growing as they come. */
static ax_status get_growing(struct source *s, struct axm_buf *out, size_t n,
                             const char *in, struct ax_err *err)
{
    while (n) {
        size_t k = out->n < 65536 ? 65536 : out->n;

        k = k < n ? k : n;
        AX_TRY(axm_buf_room(out, k, err));
        AX_TRY(get(s, out->data + out->n, k, in, err));
        out->n += k;
        n -= k;
    }
    return AX_OK;
}

/* ---- The intake of the logical stream. ---- */

struct intake {
    struct axm_tree tree;
    uint64_t pos;          /* bytes taken */
    uint64_t header_end;   /* 16 + H, once the prefix is known */
    uint64_t region;       /* R */
    uint64_t end;          /* of the stream, once the header is known */
    struct axm_buf head;   /* prefix and header */
    struct ax_model *m;    /* once the header is known */
    uint32_t tensor;       /* the tensor under way */
    uint64_t start;        /* where it starts, in the region */
    size_t room;           /* bytes allocated for it */
    const uint8_t *borrow; /* mapping of the stream, or NULL */
    const uint8_t
        *in_place; /* the next bytes to come lie where they belong */
};

static ax_status take_prefix(struct intake *in, struct ax_err *err)
{
    uint64_t n = axm_get64(in->head.data + 8);

    if (axm_get32(in->head.data) != AXM_MAGIC)
        return ax_fail(err, AX_EFORMAT,
                       "no container of version 1: the "
                       "stream starts with %02x %02x %02x %02x",
                       in->head.data[0], in->head.data[1], in->head.data[2],
                       in->head.data[3]);
    if (axm_get32(in->head.data + 4) != 0)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "flags %08" PRIx32 ", this reader knows none",
                       axm_get32(in->head.data + 4));
    if (n > AXM_HEADER_MAX)
        return ax_fail(err, AX_EFORMAT,
                       "the header has %" PRIu64
                       " bytes, at most %u are allowed",
                       n, AXM_HEADER_MAX);
    in->header_end = 16 + n;
    in->region = axm_aligned(in->header_end);
    return AX_OK;
}

static ax_status take_header(struct intake *in, struct ax_err *err)
{
    uint64_t start = 0;

    AX_TRY(axm_decode(&in->m, in->head.data + 16, in->head.n - 16, err));
    free(in->head.data);
    in->head = (struct axm_buf){0};
    in->end = in->region;
    for (uint32_t i = 0; i < in->m->n_tensors; i++) {
        in->end = in->region + start + in->m->tensors[i].nbytes;
        start = axm_next_tensor(&in->m->tensors[i], start);
    }
    if (in->end > AXM_STREAM_MAX)
        return ax_fail(err, AX_EFORMAT, "the stream ends after 2^48 bytes");
    return AX_OK;
}

/* Room for the first N bytes of the tensor under way. */
static ax_status tensor_room(struct intake *in, size_t n, struct ax_err *err)
{
    struct ax_tensor *t = &in->m->tensors[in->tensor];
    uint64_t trusted = TRUST_BYTES + TRUST_FACTOR * in->pos;
    size_t room = in->room ? in->room : 4096;
    void *data;

    if (t->data && n <= in->room)
        return AX_OK;
    while (room < n)
        room *= 2;
    if (room < trusted)
        room = trusted < t->nbytes ? (size_t)trusted : t->nbytes;
    if (room > t->nbytes)
        room = t->nbytes;
    if (posix_memalign(&data, AXM_ALIGN, room ? room : 1))
        return ax_fail(err, AX_ENOMEM, "no memory for a tensor of %zu bytes",
                       t->nbytes);
    if (t->data)
        memcpy(data, t->data, in->room);
    free(t->data);
    t->data = data;
    t->owned = true;
    in->room = room;
    return AX_OK;
}

/* The tensors that are complete are left behind; empty ones with them. */
static ax_status next_tensors(struct intake *in, struct ax_err *err)
{
    while (in->tensor < in->m->n_tensors) {
        struct ax_tensor *t = &in->m->tensors[in->tensor];

        if (in->pos < in->region + in->start + t->nbytes)
            return AX_OK;
        if (!t->nbytes)
            AX_TRY(tensor_room(in, 0, err));
        in->start = axm_next_tensor(t, in->start);
        in->tensor++;
        in->room = 0;
    }
    return AX_OK;
}

/* If the next N bytes all belong to one tensor, where they go. */
static ax_status direct_place(struct intake *in, uint8_t **out, size_t n,
                              struct ax_err *err)
{
    uint64_t first = in->region + in->start;
    struct ax_tensor *t;

    *out = NULL;
    if (!in->m || in->borrow || in->tensor >= in->m->n_tensors ||
        in->pos < first)
        return AX_OK;
    t = &in->m->tensors[in->tensor];
    if (n > first + t->nbytes - in->pos)
        return AX_OK;
    AX_TRY(tensor_room(in, (size_t)(in->pos - first) + n, err));
    *out = (uint8_t *)t->data + (in->pos - first);
    in->in_place = *out;
    return AX_OK;
}

static ax_status take_zeros(struct intake *in, const uint8_t *p, size_t n,
                            struct ax_err *err)
{
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return ax_fail(err, AX_EFORMAT,
                           "byte %" PRIu64
                           " of the stream is %02x, wants 00: it lies "
                           "between tensors",
                           in->pos + i, p[i]);
    return AX_OK;
}

static ax_status take_tensor(struct intake *in, const uint8_t *p, size_t n,
                             struct ax_err *err)
{
    struct ax_tensor *t = &in->m->tensors[in->tensor];
    uint64_t off = in->pos - (in->region + in->start);

    if (in->borrow) {
        union {
            const uint8_t *in;
            void *out;
        } data = {in->borrow + in->region + in->start};

        t->data = data.out;
        return AX_OK;
    }
    if (p == in->in_place)
        return AX_OK;
    AX_TRY(tensor_room(in, (size_t)off + n, err));
    memcpy((uint8_t *)t->data + off, p, n);
    return AX_OK;
}

/* How many of the next N bytes belong together, and what to do with them. */
static ax_status take_some(struct intake *in, const uint8_t *p, size_t n,
                           size_t *took, struct ax_err *err)
{
    uint64_t stop = in->pos < 16                     ? 16
                    : in->pos < in->header_end       ? in->header_end
                    : in->pos < in->region           ? in->region
                    : in->tensor >= in->m->n_tensors ? in->pos
                    : in->pos < in->region + in->start
                        ? in->region + in->start
                        : in->region + in->start +
                              in->m->tensors[in->tensor].nbytes;

    *took = stop - in->pos < n ? (size_t)(stop - in->pos) : n;
    if (!*took)
        return ax_fail(err, AX_EFORMAT,
                       "the stream goes on after its end, "
                       "at %" PRIu64,
                       in->pos);
    if (in->pos < 16 || in->pos < in->header_end)
        return axm_buf_add(&in->head, p, *took, err);
    if (in->pos < in->region + in->start)
        return take_zeros(in, p, *took, err);
    return take_tensor(in, p, *took, err);
}

static ax_status take(struct intake *in, const uint8_t *p, size_t n,
                      struct ax_err *err)
{
    AX_TRY(axm_tree_add(&in->tree, p, n, err));
    while (n) {
        size_t k;

        AX_TRY(take_some(in, p, n, &k, err));
        in->pos += k;
        p += k;
        n -= k;
        if (in->pos == 16)
            AX_TRY(take_prefix(in, err));
        if (in->pos >= 16 && in->pos == in->header_end)
            AX_TRY(take_header(in, err));
        if (in->pos >= 16 && in->pos >= in->region && in->m)
            AX_TRY(next_tensors(in, err));
        in->in_place = NULL;
    }
    return AX_OK;
}

static bool complete(const struct intake *in)
{
    return in->m && in->pos == in->end;
}

/* ---- The file. ---- */

struct reader {
    struct source src;
    struct intake in;
    struct axm_buf index; /* the seek table that the file should have */
    ZSTD_DCtx *zstd;
    uint8_t *scratch; /* [AXM_LEAF] */
};

static ax_status note(struct reader *r, uint64_t compressed,
                      uint64_t decompressed, struct ax_err *err)
{
    uint8_t entry[8];

    axm_put32(entry, (uint32_t)compressed);
    axm_put32(entry + 4, (uint32_t)decompressed);
    return axm_buf_add(&r->index, entry, sizeof entry, err);
}

static ax_status read_raw_stream(struct reader *r, struct ax_err *err)
{
    struct intake *in = &r->in;

    while (!complete(in)) {
        uint64_t stop = in->pos < 16 ? 16 : !in->m ? in->header_end : in->end;
        size_t n = stop - in->pos < AXM_LEAF ? (size_t)(stop - in->pos)
                                             : AXM_LEAF;
        uint8_t *to;

        if (r->src.map) {
            if (r->src.n - r->src.pos < n)
                return cut_short(&r->src, "the logical stream", err);
            r->src.pos += n;
            AX_TRY(take(in, ahead(&r->src) - n, n, err));
            continue;
        }
        if (in->m && in->tensor < in->m->n_tensors &&
            in->pos >= in->region + in->start) {
            uint64_t left = in->region + in->start +
                            in->m->tensors[in->tensor].nbytes - in->pos;

            n = left < n ? (size_t)left : n;
        }
        AX_TRY(direct_place(in, &to, n, err));
        if (!to)
            to = r->scratch;
        AX_TRY(get(&r->src, to, n, "the logical stream", err));
        AX_TRY(take(in, to, n, err));
    }
    return AX_OK;
}

static ax_status bad_frame(const struct source *s, const char *what,
                           struct ax_err *err)
{
    return ax_fail(err, AX_EFORMAT, "frame at byte %" PRIu64 ": %s", where(s),
                   what);
}

/* One frame of the stream: checked by itself, then decompressed. */
static ax_status read_frame(struct reader *r, struct ax_err *err)
{
    struct source *s = &r->src;
    struct intake *in = &r->in;
    unsigned long long n;
    size_t size, k;
    uint8_t *to;

    AX_TRY(fill(s, AXM_FRAME_MAX, err));
    if (s->n - s->pos < 5)
        return cut_short(s, "a zstd frame", err);
    size = ZSTD_findFrameCompressedSize(ahead(s), s->n - s->pos);
    if (ZSTD_isError(size))
        return s->n - s->pos < AXM_FRAME_MAX
                   ? cut_short(s, "a zstd frame", err)
                   : bad_frame(s, "is no zstd frame, or is too long", err);
    if (size > AXM_FRAME_MAX)
        return bad_frame(s, "is too long", err);
    n = ZSTD_getFrameContentSize(ahead(s), size);
    if (n == 0 || n > AXM_LEAF)
        return bad_frame(s, "has no content size from 1 to 1048576", err);
    if (!(ahead(s)[4] & 4))
        return bad_frame(s, "has no checksum", err);
    AX_TRY(direct_place(in, &to, (size_t)n, err));
    if (!to)
        to = r->scratch;
    k = ZSTD_decompressDCtx(r->zstd, to, (size_t)n, ahead(s), size);
    if (ZSTD_isError(k))
        return bad_frame(s, ZSTD_getErrorName(k), err);
    if (k != n)
        return bad_frame(s, "has another size than it says", err);
    if (take(in, to, (size_t)n, err) != AX_OK)
        return ax_fail_in(err, "frame at byte %" PRIu64, where(s));
    if (n < AXM_LEAF && !complete(in))
        return bad_frame(s, "is shorter than 1 MiB but not the last", err);
    AX_TRY(note(r, size, n, err));
    s->pos += size;
    return AX_OK;
}

static ax_status read_zstd_stream(struct reader *r, struct ax_err *err)
{
    while (!complete(&r->in)) {
        AX_TRY(fill(&r->src, 4, err));
        if (r->src.n - r->src.pos < 4)
            return cut_short(&r->src, "the logical stream", err);
        if (axm_get32(ahead(&r->src)) != AXM_MAGIC_ZSTD)
            return bad_frame(&r->src,
                             "is no zstd frame, but the stream has "
                             "not ended",
                             err);
        AX_TRY(read_frame(r, err));
    }
    return AX_OK;
}

static ax_status read_identity(struct reader *r, struct ax_err *err)
{
    struct ax_model *m = r->in.m;
    uint8_t frame[8 + AXM_IDENT_SIZE];

    AX_TRY(axm_tree_root(&r->in.tree, m->identity, err));
    AX_TRY(get(&r->src, frame, sizeof frame, "the identity", err));
    if (axm_get32(frame) != AXM_MAGIC_IDENT ||
        axm_get32(frame + 4) != AXM_IDENT_SIZE)
        return ax_fail(err, AX_EFORMAT, "no identity frame after the stream");
    if (axm_get64(frame + 40) != r->in.end)
        return ax_fail(err, AX_EFORMAT,
                       "the stream has %" PRIu64
                       " bytes, the identity frame says %" PRIu64,
                       r->in.end, axm_get64(frame + 40));
    if (memcmp(frame + 8, m->identity, 32) != 0) {
        char is[65], says[65];

        ax_hex32(is, m->identity);
        ax_hex32(says, frame + 8);
        return ax_fail(err, AX_EFORMAT,
                       "the model's identity is %s, the "
                       "file says %s: it was damaged or altered",
                       is, says);
    }
    m->has_identity = true;
    return note(r, sizeof frame, 0, err);
}

/* Decompress the attachment's one frame; OUT grows as it does. */
static ax_status inflate(ZSTD_DCtx *d, struct axm_buf *out,
                         const uint8_t *data, size_t n, struct ax_err *err)
{
    unsigned long long size = ZSTD_getFrameContentSize(data, n);
    ZSTD_inBuffer in = {data, n, 0};
    size_t left = 1;

    if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN ||
        size > AXM_ATTACH_MAX)
        return ax_fail(err, AX_EFORMAT, "no zstd frame with a content size");
    ZSTD_DCtx_reset(d, ZSTD_reset_session_only);
    while (left && out->n < size) {
        size_t want = out->n ? out->n : 4096;
        ZSTD_outBuffer to;

        want = want < size - out->n ? want : (size_t)size - out->n;
        AX_TRY(axm_buf_room(out, want, err));
        to = (ZSTD_outBuffer){out->data + out->n, out->cap - out->n, 0};
        left = ZSTD_decompressStream(d, &to, &in);
        if (ZSTD_isError(left))
            return ax_fail(err, AX_EFORMAT, "%s", ZSTD_getErrorName(left));
        if (!to.pos && in.pos == n)
            break;
        out->n += to.pos;
    }
    /* The checksum may be left to read. */
    if (left) {
        ZSTD_outBuffer to = {NULL, 0, 0};

        left = ZSTD_decompressStream(d, &to, &in);
        if (ZSTD_isError(left))
            return ax_fail(err, AX_EFORMAT, "%s", ZSTD_getErrorName(left));
    }
    if (left || out->n != size || in.pos != n)
        return ax_fail(err, AX_EFORMAT,
                       "the zstd frame does not end with "
                       "the attachment");
    return AX_OK;
}

static char *copy(const uint8_t *p, size_t n)
{
    char *s = malloc(n + 1);

    if (!s)
        return NULL;
    memcpy(s, p, n);
    s[n] = '\0';
    return s;
}

/* Take the logical bytes apart; B's memory becomes the attachment's. */
static ax_status add_attachment(struct ax_model *m, struct axm_buf *b,
                                struct ax_err *err)
{
    struct ax_attachment a = {0};
    size_t t, k;

    t = b->n > 33 ? b->data[32] : 0;
    if (b->n < 34 + t || b->n < 34 + t + b->data[33 + t])
        return ax_fail(err, AX_EFORMAT, "%zu bytes hold no type and name",
                       b->n);
    k = b->data[33 + t];
    AX_TRY(axm_check_attachment((const char *)b->data + 33, t,
                                (const char *)b->data + 34 + t, k, 0, err));
    memcpy(a.identity, b->data, 32);
    if (memcmp(a.identity, m->identity, 32) != 0)
        return ax_fail(err, AX_EFORMAT, "speaks of another model");
    ax_sha256(a.digest, b->data, b->n);
    a.type = copy(b->data + 33, t);
    a.name = copy(b->data + 34 + t, k);
    if (!a.type || !a.name) {
        free(a.type);
        free(a.name);
        return ax_fail(err, AX_ENOMEM, "no memory for a name");
    }
    a.n = b->n - (34 + t + k);
    memmove(b->data, b->data + 34 + t + k, a.n);
    a.data = b->data;
    *b = (struct axm_buf){0};
    return axm_append(m, &a, err);
}

static ax_status read_attachment(struct reader *r, size_t n,
                                 struct ax_err *err)
{
    struct axm_buf content = {0}, logical = {0};
    uint8_t how;
    ax_status st;

    if (n < 1)
        return ax_fail(err, AX_EFORMAT, "is empty");
    AX_TRY(get(&r->src, &how, 1, "an attachment", err));
    if (how > 1)
        return ax_fail(err, AX_EFORMAT, "starts with %02x, wants 00 or 01",
                       how);
    st = get_growing(&r->src, how ? &content : &logical, n - 1,
                     "an attachment", err);
    if (st == AX_OK && how)
        st = inflate(r->zstd, &logical, content.data, content.n, err);
    free(content.data);
    if (st == AX_OK)
        st = add_attachment(r->in.m, &logical, err);
    free(logical.data);
    return st;
}

static ax_status read_end(struct reader *r, size_t n, struct ax_err *err)
{
    struct axm_buf table = {0};
    uint8_t footer[9];
    ax_status st;

    if (n != r->index.n + sizeof footer)
        return ax_fail(err, AX_EFORMAT,
                       "the seek table has %zu bytes, wants "
                       "%zu",
                       n, r->index.n + sizeof footer);
    st = get_growing(&r->src, &table, r->index.n, "the seek table", err);
    if (st == AX_OK)
        st = get(&r->src, footer, sizeof footer, "the seek table", err);
    if (st == AX_OK &&
        (memcmp(table.data, r->index.data, r->index.n) != 0 ||
         axm_get32(footer) != r->index.n / 8 || footer[4] != 0 ||
         axm_get32(footer + 5) != AXM_MAGIC_SEEK))
        st = ax_fail(err, AX_EFORMAT,
                     "the seek table does not agree with the frames");
    free(table.data);
    AX_TRY(st);
    AX_TRY(fill(&r->src, 1, err));
    if (r->src.n > r->src.pos)
        return ax_fail(err, AX_EFORMAT,
                       "something follows the end, at byte "
                       "%" PRIu64,
                       where(&r->src));
    return AX_OK;
}

/* What follows the stream: identity, attachments, the end. */
static ax_status read_rest(struct reader *r, struct ax_err *err)
{
    AX_TRY(read_identity(r, err));
    for (;;) {
        uint64_t at = where(&r->src);
        uint8_t head[8];
        uint32_t magic, n;

        AX_TRY(
            get(&r->src, head, sizeof head, "the rest: it has no end", err));
        magic = axm_get32(head);
        n = axm_get32(head + 4);
        if (magic == AXM_MAGIC_END)
            return read_end(r, n, err);
        if (magic != AXM_MAGIC_ATTACH)
            return ax_fail(err, AX_EFORMAT,
                           "frame at byte %" PRIu64
                           ": neither attachment nor end, magic %08" PRIx32,
                           at, magic);
        if (read_attachment(r, n, err) != AX_OK)
            return ax_fail_in(err, "attachment at byte %" PRIu64, at);
        AX_TRY(note(r, 8 + (uint64_t)n, 0, err));
    }
}

/* Map the regular file that f reads, from its start. */
static void try_map(struct source *s, FILE *f)
{
    struct stat st;
    off_t at = ftello(f);
    void *p;

    if (at != 4 || fileno(f) < 0 || fstat(fileno(f), &st) != 0 ||
        !S_ISREG(st.st_mode) || st.st_size < 4)
        return;
    p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fileno(f), 0);
    if (p == MAP_FAILED)
        return;
    fseeko(f, 0, SEEK_END);
    s->map = p;
    s->f = NULL;
    s->pos = 0;
    s->n = (size_t)st.st_size;
}

static ax_status reader_start(struct reader *r, FILE *f, struct ax_err *err)
{
    struct source *s = &r->src;

    s->f = f;
    s->cap = AXM_FRAME_MAX;
    s->buf = malloc(s->cap);
    r->scratch = malloc(AXM_LEAF);
    r->zstd = ZSTD_createDCtx();
    if (!s->buf || !r->scratch || !r->zstd)
        return ax_fail(err, AX_ENOMEM, "no memory for 1 MiB of stream");
    if (ZSTD_isError(
            ZSTD_DCtx_setParameter(r->zstd, ZSTD_d_windowLogMax, WINDOW_LOG)))
        return ax_fail(err, AX_EBUG, "zstd refuses its parameters");
    errno = 0;
    s->n = fread(s->buf, 1, 4, f);
    AX_TRY(read_error(f, err));
    if (s->n < 4)
        return cut_short(s, "the first four bytes", err);
    return AX_OK;
}

static ax_status read_all(struct reader *r, FILE *f, struct ax_err *err)
{
    AX_TRY(reader_start(r, f, err));
    if (axm_get32(r->src.buf) == AXM_MAGIC_ZSTD) {
        AX_TRY(read_zstd_stream(r, err));
    } else {
        try_map(&r->src, f);
        r->in.borrow = r->src.map;
        AX_TRY(read_raw_stream(r, err));
    }
    return read_rest(r, err);
}

ax_status ax_model_read(struct ax_model **out, FILE *f, struct ax_err *err)
{
    struct reader r = {0};
    union {
        const uint8_t *in;
        void *out;
    } map;
    ax_status st = read_all(&r, f, err);

    map.in = r.src.map;
    if (st == AX_OK) {
        r.in.m->map = map.out;
        r.in.m->map_size = map.out ? r.src.n : 0;
    } else {
        ax_model_free(r.in.m);
        if (map.out)
            munmap(map.out, r.src.n);
    }
    *out = st == AX_OK ? r.in.m : NULL;
    free(r.src.buf);
    free(r.in.head.data);
    axm_tree_free(&r.in.tree);
    free(r.index.data);
    ZSTD_freeDCtx(r.zstd);
    free(r.scratch);
    return st;
}

ax_status ax_model_open(struct ax_model **out, const char *path,
                        struct ax_err *err)
{
    FILE *f = fopen(path, "rb");
    ax_status st;

    *out = NULL;
    if (!f)
        return ax_fail(err, AX_ENOINPUT, "%s: %s", path, strerror(errno));
    st = ax_model_read(out, f, err);
    if (st != AX_OK)
        ax_fail_in(err, "%s", path);
    fclose(f);
    return st;
}
