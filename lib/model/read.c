/* Read a container of either profile: axm(5). The bytes are hostile. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "model/read.h"

/* The largest window of a zstd frame, 8 MiB: it is allocated as soon as the
 * frame asks for it. */
enum { WINDOW_LOG = 23 };

struct reader {
    struct axm_source src;
    struct axm_intake in;
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
    struct axm_intake *in = &r->in;

    while (!axm_complete(in)) {
        uint64_t stop = in->pos < 16 ? 16 : !in->m ? in->header_end : in->end;
        size_t n = stop - in->pos < AXM_LEAF ? (size_t)(stop - in->pos)
                                             : AXM_LEAF;
        uint8_t *to;

        if (r->src.map) {
            if (r->src.n - r->src.pos < n)
                return axm_cut_short(&r->src, "the logical stream", err);
            r->src.pos += n;
            AX_TRY(axm_take(in, axm_ahead(&r->src) - n, n, err));
            continue;
        }
        if (in->m && in->tensor < in->m->n_tensors &&
            in->pos >= in->region + in->start) {
            uint64_t left = in->region + in->start +
                            in->m->tensors[in->tensor].nbytes - in->pos;

            n = left < n ? (size_t)left : n;
        }
        AX_TRY(axm_direct_place(in, &to, n, err));
        if (!to)
            to = r->scratch;
        AX_TRY(axm_get(&r->src, to, n, "the logical stream", err));
        AX_TRY(axm_take(in, to, n, err));
    }
    return AX_OK;
}

static ax_status bad_frame(const struct axm_source *s, const char *what,
                           struct ax_err *err)
{
    return ax_fail(err, AX_EFORMAT, "frame at byte %" PRIu64 ": %s",
                   axm_where(s), what);
}

/* One frame of the stream: checked by itself, then decompressed. */
static ax_status read_frame(struct reader *r, struct ax_err *err)
{
    struct axm_source *s = &r->src;
    struct axm_intake *in = &r->in;
    unsigned long long n;
    size_t size, k;
    uint8_t *to;

    AX_TRY(axm_fill(s, AXM_FRAME_MAX, err));
    if (s->n - s->pos < 5)
        return axm_cut_short(s, "a zstd frame", err);
    size = ZSTD_findFrameCompressedSize(axm_ahead(s), s->n - s->pos);
    if (ZSTD_isError(size))
        return s->n - s->pos < AXM_FRAME_MAX
                   ? axm_cut_short(s, "a zstd frame", err)
                   : bad_frame(s, "is no zstd frame, or is too long", err);
    if (size > AXM_FRAME_MAX)
        return bad_frame(s, "is too long", err);
    n = ZSTD_getFrameContentSize(axm_ahead(s), size);
    if (n == 0 || n > AXM_LEAF)
        return bad_frame(s, "has no content size from 1 to 1048576", err);
    if (!(axm_ahead(s)[4] & 4))
        return bad_frame(s, "has no checksum", err);
    AX_TRY(axm_direct_place(in, &to, (size_t)n, err));
    if (!to)
        to = r->scratch;
    k = ZSTD_decompressDCtx(r->zstd, to, (size_t)n, axm_ahead(s), size);
    if (ZSTD_isError(k))
        return bad_frame(s, ZSTD_getErrorName(k), err);
    if (k != n)
        return bad_frame(s, "has another size than it says", err);
    if (axm_take(in, to, (size_t)n, err) != AX_OK)
        return ax_fail_in(err, "frame at byte %" PRIu64, axm_where(s));
    if (n < AXM_LEAF && !axm_complete(in))
        return bad_frame(s, "is shorter than 1 MiB but not the last", err);
    AX_TRY(note(r, size, n, err));
    s->pos += size;
    return AX_OK;
}

static ax_status read_zstd_stream(struct reader *r, struct ax_err *err)
{
    while (!axm_complete(&r->in)) {
        AX_TRY(axm_fill(&r->src, 4, err));
        if (r->src.n - r->src.pos < 4)
            return axm_cut_short(&r->src, "the logical stream", err);
        if (axm_get32(axm_ahead(&r->src)) != AXM_MAGIC_ZSTD)
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

    axm_tree_root(&r->in.tree, m->identity);
    AX_TRY(axm_get(&r->src, frame, sizeof frame, "the identity", err));
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

static ax_status bad_zstd(size_t code, struct ax_err *err)
{
    return ax_fail(err,
                   ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation
                       ? AX_ENOMEM
                       : AX_EFORMAT,
                   "zstd: %s", ZSTD_getErrorName(code));
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
            return bad_zstd(left, err);
        if (!to.pos && in.pos == n)
            break;
        out->n += to.pos;
    }
    /* The checksum may be left to read. */
    if (left) {
        ZSTD_outBuffer to = {NULL, 0, 0};

        left = ZSTD_decompressStream(d, &to, &in);
        if (ZSTD_isError(left))
            return bad_zstd(left, err);
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
    AX_TRY(axm_get(&r->src, &how, 1, "an attachment", err));
    if (how > 1)
        return ax_fail(err, AX_EFORMAT, "starts with %02x, wants 00 or 01",
                       how);
    st = axm_get_growing(&r->src, how ? &content : &logical, n - 1,
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
    st = axm_get_growing(&r->src, &table, r->index.n, "the seek table", err);
    if (st == AX_OK)
        st = axm_get(&r->src, footer, sizeof footer, "the seek table", err);
    if (st == AX_OK &&
        (memcmp(table.data, r->index.data, r->index.n) != 0 ||
         axm_get32(footer) != r->index.n / 8 || footer[4] != 0 ||
         axm_get32(footer + 5) != AXM_MAGIC_SEEK))
        st = ax_fail(err, AX_EFORMAT,
                     "the seek table does not agree with the frames");
    free(table.data);
    AX_TRY(st);
    AX_TRY(axm_fill(&r->src, 1, err));
    if (r->src.n > r->src.pos)
        return ax_fail(err, AX_EFORMAT,
                       "something follows the end, at byte "
                       "%" PRIu64,
                       axm_where(&r->src));
    return AX_OK;
}

/* What follows the stream: identity, attachments, the end. */
static ax_status read_rest(struct reader *r, struct ax_err *err)
{
    AX_TRY(read_identity(r, err));
    for (;;) {
        uint64_t at = axm_where(&r->src);
        uint8_t head[8];
        uint32_t magic, n;

        AX_TRY(axm_get(&r->src, head, sizeof head, "the rest: it has no end",
                       err));
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

/* Bytes in the regular file that f reads from its start; 0: it is none. */
static uint64_t file_size(FILE *f)
{
    struct stat st;

    if (ftello(f) != 4 || fileno(f) < 0 || fstat(fileno(f), &st) != 0 ||
        !S_ISREG(st.st_mode) || st.st_size < 4)
        return 0;
    return (uint64_t)st.st_size;
}

/* Map the N bytes of the regular file that f reads. Without a mapping, as
 * in a file system that has none, it is read like a pipe. */
static void try_map(struct axm_source *s, FILE *f, uint64_t n)
{
    void *p = mmap(NULL, (size_t)n, PROT_READ, MAP_PRIVATE, fileno(f), 0);

    if (p == MAP_FAILED)
        return;
    fseeko(f, 0, SEEK_END);
    s->map = p;
    s->f = NULL;
    s->pos = 0;
    s->n = (size_t)n;
}

static ax_status reader_start(struct reader *r, FILE *f, struct ax_err *err)
{
    struct axm_source *s = &r->src;

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
    AX_TRY(axm_read_error(f, err));
    if (s->n < 4)
        return axm_cut_short(s, "the first four bytes", err);
    return AX_OK;
}

static ax_status read_all(struct reader *r, FILE *f, struct ax_err *err)
{
    AX_TRY(reader_start(r, f, err));
    r->in.file_bytes = file_size(f);
    if (axm_get32(r->src.buf) == AXM_MAGIC_ZSTD) {
        AX_TRY(read_zstd_stream(r, err));
    } else {
        if (r->in.file_bytes)
            try_map(&r->src, f, r->in.file_bytes);
        r->in.borrow = r->src.map;
        AX_TRY(read_raw_stream(r, err));
        r->in.m->raw = true;
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
