/* Is a file complete? Looks at its end alone. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "model/internal.h"

enum { FOOTER = 9, ENTRY = 8, FRAME_HEAD = 8 };

/* N bytes at AT; the file has that many. */
static ax_status read_at(FILE *f, uint64_t at, void *out, size_t n,
                         struct ax_err *err)
{
    errno = 0;
    if (fseeko(f, (off_t)at, SEEK_SET) || fread(out, 1, n, f) != n)
        return ax_fail(err, AX_EIO, "%s",
                       errno ? strerror(errno) : "the file shrinks");
    return AX_OK;
}

static ax_status no_end(struct ax_err *err)
{
    return ax_fail(err, AX_EFORMAT,
                   "cut short, or no container: there is no end");
}

/* Where the seek table starts, and how many entries it has. */
static ax_status find_table(FILE *f, uint64_t size, uint64_t *start,
                            uint32_t *n, struct ax_err *err)
{
    uint8_t footer[FOOTER], head[FRAME_HEAD];
    uint64_t bytes;

    if (size < FOOTER + FRAME_HEAD)
        return no_end(err);
    AX_TRY(read_at(f, size - FOOTER, footer, sizeof footer, err));
    *n = axm_get32(footer);
    bytes = (uint64_t)*n * ENTRY + FOOTER;
    if (axm_get32(footer + 5) != AXM_MAGIC_SEEK || footer[4] != 0 ||
        bytes + FRAME_HEAD > size)
        return no_end(err);
    *start = size - bytes - FRAME_HEAD;
    AX_TRY(read_at(f, *start, head, sizeof head, err));
    if (axm_get32(head) != AXM_MAGIC_END || axm_get32(head + 4) != bytes)
        return no_end(err);
    return AX_OK;
}

/* Sum the entries: those of frames of the stream, then those of skippable
 * ones, of which the first is the identity. */
static ax_status sum(const uint8_t *table, uint32_t n, uint64_t *frames,
                     uint64_t *stream, uint64_t *rest, uint32_t *n_rest,
                     struct ax_err *err)
{
    *frames = *stream = *rest = *n_rest = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t compressed = axm_get32(table + ENTRY * (size_t)i);
        uint32_t logical = axm_get32(table + ENTRY * (size_t)i + 4);

        if (logical && *n_rest)
            return ax_fail(err, AX_EFORMAT,
                           "the seek table has a frame of the stream after "
                           "the identity");
        if (logical)
            *frames += compressed;
        else
            *rest += compressed;
        *stream += logical;
        *n_rest += !logical;
    }
    return AX_OK;
}

static ax_status read_identity(struct ax_model_end *out, FILE *f, uint64_t at,
                               struct ax_err *err)
{
    uint8_t frame[FRAME_HEAD + AXM_IDENT_SIZE];

    AX_TRY(read_at(f, at, frame, sizeof frame, err));
    if (axm_get32(frame) != AXM_MAGIC_IDENT ||
        axm_get32(frame + 4) != AXM_IDENT_SIZE)
        return ax_fail(err, AX_EFORMAT,
                       "the seek table does not lead to the identity");
    memcpy(out->identity, frame + FRAME_HEAD, 32);
    out->stream_bytes = axm_get64(frame + FRAME_HEAD + 32);
    return AX_OK;
}

static ax_status look(struct ax_model_end *out, FILE *f, uint64_t start,
                      const uint8_t *table, uint32_t n, struct ax_err *err)
{
    uint64_t frames, stream, rest;
    uint32_t n_rest;
    uint8_t magic[4];

    AX_TRY(sum(table, n, &frames, &stream, &rest, &n_rest, err));
    if (!n_rest || rest < FRAME_HEAD + AXM_IDENT_SIZE || rest > start)
        return ax_fail(err, AX_EFORMAT,
                       "the seek table does not lead to the identity");
    AX_TRY(read_at(f, 0, magic, sizeof magic, err));
    AX_TRY(read_identity(out, f, start - rest, err));
    out->raw = axm_get32(magic) == AXM_MAGIC;
    out->n_attachments = n_rest - 1;
    if (!out->raw && axm_get32(magic) != AXM_MAGIC_ZSTD)
        return ax_fail(err, AX_EFORMAT, "no container of version 1");
    if (out->raw ? frames || start - rest != out->stream_bytes
                 : start - rest != frames || stream != out->stream_bytes)
        return ax_fail(err, AX_EFORMAT,
                       "the seek table does not agree with the size of the "
                       "file");
    return AX_OK;
}

ax_status ax_model_quick(struct ax_model_end *out, FILE *f,
                         struct ax_err *err)
{
    struct stat st;
    uint64_t start = 0;
    uint32_t n = 0;
    uint8_t *table;
    ax_status status;

    *out = (struct ax_model_end){0};
    if (fstat(fileno(f), &st) != 0 || !S_ISREG(st.st_mode))
        return ax_fail(err, AX_EUSAGE,
                       "a quick look wants a file, not a pipe");
    AX_TRY(find_table(f, (uint64_t)st.st_size, &start, &n, err));
    /* The file is that long, so the size is justified. */
    table = malloc((size_t)n * ENTRY + 1);
    if (!table)
        return ax_fail(err, AX_ENOMEM, "no memory for the seek table");
    status = read_at(f, start + FRAME_HEAD, table, (size_t)n * ENTRY, err);
    if (status == AX_OK)
        status = look(out, f, start, table, n, err);
    free(table);
    return status;
}
