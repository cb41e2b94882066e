/* Write a container: axm(5). The logical stream is cut into leaves of 1 MiB;
 * each is hashed and compressed by itself, some at a time by threads, and
 * they are written in order, so that the bytes do not depend on how many
 * threads there are. Nothing is ever sought. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "model/internal.h"

enum { LEVEL = 1, LEVEL_ATTACH = 3, THREADS_MAX = 4 };

/* The logical stream, read from the front. */
struct stream {
    const struct ax_model *m;
    struct axm_buf header; /* with prefix and padding: R bytes */
    uint32_t next;         /* tensor */
    const uint8_t *seg;    /* what is left of the segment */
    size_t seg_n;
    uint64_t pos, end;
};

static const uint8_t zeros[AXM_ALIGN];

static ax_status stream_start(struct stream *s, const struct ax_model *m,
                              struct ax_err *err)
{
    uint64_t end = 0, start = 0;

    *s = (struct stream){.m = m};
    AX_TRY(axm_encode(&s->header, m, err));
    s->seg = s->header.data;
    s->seg_n = s->header.n;
    for (uint32_t i = 0; i < m->n_tensors; i++) {
        end = start + m->tensors[i].nbytes;
        start = axm_aligned(end);
    }
    s->end = s->header.n + end;
    return AX_OK;
}

/* Go to the next segment that is not empty: padding or a tensor. */
static void stream_advance(struct stream *s)
{
    while (!s->seg_n && s->pos < s->end) {
        uint64_t gap = axm_aligned(s->pos) - s->pos;

        if (gap) {
            s->seg = zeros;
            s->seg_n = (size_t)gap;
        } else {
            s->seg = s->m->tensors[s->next].data;
            s->seg_n = s->m->tensors[s->next].nbytes;
            s->next++;
        }
    }
}

/* The next N bytes, in place if they lie in one piece, or in SCRATCH. */
static const uint8_t *stream_take(struct stream *s, size_t n,
                                  uint8_t *scratch)
{
    for (size_t have = 0; have < n;) {
        size_t k;

        stream_advance(s);
        k = s->seg_n < n - have ? s->seg_n : n - have;
        s->pos += k;
        s->seg_n -= k;
        s->seg += k;
        if (k == n)
            return s->seg - k;
        memcpy(scratch + have, s->seg - k, k);
        have += k;
    }
    return scratch;
}

/* One leaf: what a thread works on. */
struct leaf {
    const uint8_t *data;
    size_t n;
    uint8_t hash[32];
    uint8_t *scratch; /* [AXM_LEAF] */
    ZSTD_CCtx *zstd;  /* NULL: not to be compressed */
    bool known;       /* no hash is wanted: the identity is known */
    uint8_t *out;     /* [room] the frame */
    size_t room, out_n;
    ax_status st;
    struct ax_err err;
};

static ax_status zstd_fail(size_t code, struct ax_err *err)
{
    return ax_fail(err,
                   ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation
                       ? AX_ENOMEM
                       : AX_EBUG,
                   "zstd: %s", ZSTD_getErrorName(code));
}

static void *work(void *arg)
{
    struct leaf *l = arg;

    l->st = AX_OK;
    if (!l->known)
        axm_leaf_hash(l->hash, l->data, l->n);
    if (l->zstd) {
        l->out_n = ZSTD_compress2(l->zstd, l->out, l->room, l->data, l->n);
        if (ZSTD_isError(l->out_n))
            l->st = zstd_fail(l->out_n, &l->err);
    }
    return NULL;
}

static ax_status zstd_new(ZSTD_CCtx **out, int level, struct ax_err *err)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();

    *out = c;
    if (!c)
        return ax_fail(err, AX_ENOMEM, "no memory for zstd");
    if (ZSTD_isError(
            ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, level)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1)))
        return ax_fail(err, AX_EBUG, "zstd refuses its parameters");
    return AX_OK;
}

/* What is written, and what the seek table will say of it. */
struct writer {
    FILE *f; /* NULL: only the identity is wanted */
    ax_profile profile;
    struct axm_buf index; /* entries of the seek table */
    struct axm_tree tree;
    int n_leaves;
    struct leaf leaves[THREADS_MAX];
};

static ax_status writer_start(struct writer *w, uint64_t stream_bytes,
                              bool known, struct ax_err *err)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t n = (stream_bytes + AXM_LEAF - 1) / AXM_LEAF;
    bool compress = w->f && w->profile == AX_PROFILE_ZSTD;

    if (n > THREADS_MAX)
        n = THREADS_MAX;
    if (cpus < (long)n)
        n = cpus < 1 ? 1 : (uint64_t)cpus;
    for (w->n_leaves = 0; w->n_leaves < (int)n; w->n_leaves++) {
        struct leaf *l = &w->leaves[w->n_leaves];

        l->known = known;
        l->scratch = malloc(AXM_LEAF);
        l->room = compress ? ZSTD_compressBound(AXM_LEAF) : 0;
        l->out = malloc(l->room ? l->room : 1);
        if (!l->scratch || !l->out) {
            free(l->scratch);
            free(l->out);
            return ax_fail(err, AX_ENOMEM, "no memory for 1 MiB of stream");
        }
        if (compress && zstd_new(&l->zstd, LEVEL, err) != AX_OK) {
            w->n_leaves++;
            return err->code;
        }
    }
    return AX_OK;
}

static void writer_free(struct writer *w)
{
    for (int i = 0; i < w->n_leaves; i++) {
        free(w->leaves[i].scratch);
        free(w->leaves[i].out);
        ZSTD_freeCCtx(w->leaves[i].zstd);
    }
    free(w->index.data);
}

static ax_status put(struct writer *w, const void *data, size_t n,
                     struct ax_err *err)
{
    errno = 0;
    if (n && fwrite(data, 1, n, w->f) != n)
        return ax_fail(err, AX_EIO, "%s",
                       errno ? strerror(errno) : "write failed");
    return AX_OK;
}

/* Note a frame for the seek table. */
static ax_status note(struct writer *w, uint64_t compressed,
                      uint64_t decompressed, struct ax_err *err)
{
    uint8_t entry[8];

    axm_put32(entry, (uint32_t)compressed);
    axm_put32(entry + 4, (uint32_t)decompressed);
    return axm_buf_add(&w->index, entry, sizeof entry, err);
}

/* Work on the first N leaves, one a thread, the first in this one. */
static void work_all(struct writer *w, int n)
{
    pthread_t id[THREADS_MAX];
    bool started[THREADS_MAX] = {false};

    for (int i = 1; i < n; i++)
        started[i] = pthread_create(&id[i], NULL, work, &w->leaves[i]) == 0;
    work(&w->leaves[0]);
    for (int i = 1; i < n; i++)
        if (started[i])
            pthread_join(id[i], NULL);
        else
            work(&w->leaves[i]);
}

static ax_status put_leaf(struct writer *w, const struct leaf *l,
                          struct ax_err *err)
{
    if (l->st != AX_OK) {
        *err = l->err;
        return l->st;
    }
    if (!l->known)
        axm_tree_add_leaf(&w->tree, l->hash);
    if (!w->f)
        return AX_OK;
    if (!l->zstd)
        return put(w, l->data, l->n, err);
    AX_TRY(note(w, l->out_n, l->n, err));
    return put(w, l->out, l->out_n, err);
}

static ax_status put_stream(struct writer *w, struct stream *s,
                            struct ax_err *err)
{
    while (s->pos < s->end) {
        int n = 0;

        while (n < w->n_leaves && s->pos < s->end) {
            struct leaf *l = &w->leaves[n++];

            l->n = s->end - s->pos < AXM_LEAF ? (size_t)(s->end - s->pos)
                                              : AXM_LEAF;
            l->data = stream_take(s, l->n, l->scratch);
        }
        work_all(w, n);
        for (int i = 0; i < n; i++)
            AX_TRY(put_leaf(w, &w->leaves[i], err));
    }
    return AX_OK;
}

/* The front of a skippable frame, noted for the seek table. */
static ax_status put_skippable(struct writer *w, uint32_t magic, uint64_t n,
                               struct ax_err *err)
{
    uint8_t head[8];

    if (n > UINT32_MAX - sizeof head)
        return ax_fail(err, AX_EFORMAT,
                       "a frame of %llu bytes is longer than 4 GiB",
                       (unsigned long long)n);
    axm_put32(head, magic);
    axm_put32(head + 4, (uint32_t)n);
    if (magic != AXM_MAGIC_END)
        AX_TRY(note(w, n + sizeof head, 0, err));
    return put(w, head, sizeof head, err);
}

static ax_status put_identity(struct writer *w, const uint8_t identity[32],
                              uint64_t stream_bytes, struct ax_err *err)
{
    uint8_t frame[AXM_IDENT_SIZE];

    memcpy(frame, identity, 32);
    axm_put64(frame + 32, stream_bytes);
    AX_TRY(put_skippable(w, AXM_MAGIC_IDENT, sizeof frame, err));
    return put(w, frame, sizeof frame, err);
}

/* Compress head and payload as one frame into OUT. */
static ax_status compress(ZSTD_CCtx *c, struct axm_buf *out,
                          const uint8_t *head, size_t head_n,
                          const struct ax_attachment *a, struct ax_err *err)
{
    ZSTD_inBuffer in[] = {{head, head_n, 0}, {a->data, a->n, 0}};
    ZSTD_outBuffer to;
    size_t left;

    AX_TRY(axm_buf_room(out, ZSTD_compressBound(head_n + a->n), err));
    to = (ZSTD_outBuffer){out->data, out->cap, 0};
    left = ZSTD_CCtx_setPledgedSrcSize(c, head_n + a->n);
    for (int i = 0; i < 2 && !ZSTD_isError(left); i++)
        left = ZSTD_compressStream2(c, &to, &in[i],
                                    i ? ZSTD_e_end : ZSTD_e_continue);
    if (ZSTD_isError(left))
        return zstd_fail(left, err);
    if (left || in[0].pos < in[0].size || in[1].pos < in[1].size)
        return ax_fail(err, AX_EBUG, "zstd left a part of an attachment");
    out->n = to.pos;
    return AX_OK;
}

/* Always as a zstd frame: its checksum finds damage, which nothing else
 * does in an attachment that nobody signed. */
static ax_status put_attachment(struct writer *w, ZSTD_CCtx *c,
                                const struct ax_attachment *a,
                                struct ax_err *err)
{
    uint8_t head[AXM_ATTACH_HEAD];
    size_t head_n = axm_attachment_head(head, a);
    struct axm_buf out = {0};
    ax_status st = compress(c, &out, head, head_n, a, err);

    if (st == AX_OK)
        st = put_skippable(w, AXM_MAGIC_ATTACH, 1 + out.n, err);
    if (st == AX_OK)
        st = put(w, "\1", 1, err);
    if (st == AX_OK)
        st = put(w, out.data, out.n, err);
    free(out.data);
    return st;
}

static ax_status put_attachments(struct writer *w, const struct ax_model *m,
                                 const uint8_t identity[32],
                                 struct ax_err *err)
{
    ZSTD_CCtx *c = NULL;
    ax_status st = AX_OK;

    if (m->n_attachments)
        st = zstd_new(&c, LEVEL_ATTACH, err);
    for (uint32_t i = 0; i < m->n_attachments && st == AX_OK; i++) {
        const struct ax_attachment *a = &m->attachments[i];

        if (memcmp(a->identity, identity, 32) != 0)
            st = ax_fail(err, AX_EBUG,
                         "attachment %u (%s '%s') speaks of another model",
                         (unsigned)i, a->type, a->name);
        else
            st = put_attachment(w, c, a, err);
    }
    ZSTD_freeCCtx(c);
    return st;
}

static ax_status put_end(struct writer *w, struct ax_err *err)
{
    uint8_t footer[9] = {0};

    axm_put32(footer, (uint32_t)(w->index.n / 8));
    axm_put32(footer + 5, AXM_MAGIC_SEEK);
    AX_TRY(put_skippable(w, AXM_MAGIC_END, w->index.n + sizeof footer, err));
    AX_TRY(put(w, w->index.data, w->index.n, err));
    return put(w, footer, sizeof footer, err);
}

static ax_status write_all(struct writer *w, struct ax_model *m,
                           struct ax_err *err)
{
    struct stream s;
    uint8_t identity[32];
    uint64_t n;
    ax_status st;

    AX_TRY(ax_model_normalise(m, err));
    st = stream_start(&s, m, err);
    n = s.end;
    if (st == AX_OK)
        st = writer_start(w, n, m->has_identity, err);
    if (st == AX_OK)
        st = put_stream(w, &s, err);
    free(s.header.data);
    if (m->has_identity)
        memcpy(identity, m->identity, sizeof identity);
    else if (st == AX_OK)
        axm_tree_root(&w->tree, identity);
    if (st == AX_OK && w->f)
        st = put_identity(w, identity, n, err);
    if (st == AX_OK && w->f)
        st = put_attachments(w, m, identity, err);
    if (st == AX_OK && w->f)
        st = put_end(w, err);
    if (st == AX_OK) {
        memcpy(m->identity, identity, 32);
        m->has_identity = true;
    }
    return st;
}

ax_status ax_model_write(struct ax_model *m, FILE *f, ax_profile profile,
                         struct ax_err *err)
{
    struct writer w = {.f = f, .profile = profile};
    ax_status st = write_all(&w, m, err);

    writer_free(&w);
    return st;
}

ax_status ax_model_identity(unsigned char out[32], struct ax_model *m,
                            struct ax_err *err)
{
    if (!m->has_identity) {
        struct writer w = {0};
        ax_status st = write_all(&w, m, err);

        writer_free(&w);
        AX_TRY(st);
    }
    memcpy(out, m->identity, 32);
    return AX_OK;
}
