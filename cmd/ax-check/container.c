/* container.c - the file around a model, axm(5): zstd frames or the raw
 * stream, then the identity, attachments and the seek table. The identity
 * is computed from the logical stream, never believed. */
#include "island.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zstd.h>

static bool zstd_next(struct bytes b)
{
    return b.n >= 4 && little(b.p, 4) == ZSTD_MAGICNUMBER;
}

/* The file is read, not mapped: what was hashed is what is used, whatever
 * happens to the file meanwhile. */
struct bytes file_read(struct run *r, const char *path, uint64_t most)
{
    uint64_t room = 65536, n = 0;
    unsigned char *data = get(r, room, 1);
    FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    size_t got = 1;
    int wrong = errno;
    if (!in)
        refuse(r,
               wrong == ENOENT || wrong == ENOTDIR ? NO_INPUT
               : wrong == ENOMEM                   ? NO_MEMORY
                                                   : IO_ERROR,
               "%s", strerror(wrong));
    for (; got > 0; n += got) {
        must(r,
             most || n < 4 || zstd_next((struct bytes){data, 4}) ||
                 memcmp(data, "AXM\1", 4) == 0,
             "not an axm container of version 1");
        must(r, !most || n <= most, "it is too large");
        data = grow(r, data, n, &room, 1);
        got = fread(data + n, 1, (size_t)(room - n), in);
    }
    wrong = ferror(in) ? errno : 0;
    if (in != stdin)
        fclose(in);
    if (wrong)
        refuse(r, IO_ERROR, "%s", strerror(wrong));
    return (struct bytes){data, (size_t)n};
}

/* Decode the one zstd frame that b is. A block of a frame takes 4 bytes and
 * gives 128 KiB at most; memory that is not written costs nothing. */
static struct bytes unzip(struct run *r, struct bytes b, uint64_t most)
{
    unsigned long long size = ZSTD_getFrameContentSize(b.p, b.n);
    unsigned char *data;
    ZSTD_DCtx *how;
    bool good;
    must(r, size <= most && size <= 32768 * b.n,
         "a compressed frame does not state its size, or one too large");
    data = get(r, size, 1);
    how = ZSTD_createDCtx(); /* all the memory that it takes */
    if (!how)
        refuse(r, NO_MEMORY, "out of memory");
    good = ZSTD_findFrameCompressedSize(b.p, b.n) == b.n &&
           ZSTD_decompressDCtx(how, data, size, b.p, b.n) == size;
    ZSTD_freeDCtx(how);
    must(r, good, "a compressed frame is damaged");
    return (struct bytes){data, (size_t)size};
}

/* The frames of the zstd profile, up to the first skippable one. */
static struct bytes read_frames(struct run *r, struct bytes *rest)
{
    unsigned char *data = NULL;
    uint64_t n = 0, room = 0;
    while (zstd_next(*rest)) {
        size_t size = ZSTD_findFrameCompressedSize(rest->p, rest->n);
        struct bytes part;
        must(r, !ZSTD_isError(size), "a frame is damaged or cut short");
        part = unzip(r, take(r, rest, size), 1048576);
        must(r, n % 1048576 == 0 && part.n > 0, "a frame is short");
        data = grow(r, data, n + part.n, &room, 1);
        memcpy(data + n, part.p, part.n);
        give(r, part.p);
        n += part.n;
    }
    return (struct bytes){data, (size_t)n};
}

static struct bytes skippable(struct run *r, struct bytes *rest,
                              uint64_t *magic)
{
    *magic = little(take(r, rest, 4).p, 4);
    return take(r, rest, little(take(r, rest, 4).p, 4));
}

/* The type is compared, the name is printed. */
static struct attachment read_attachment(struct run *r, struct bytes b,
                                         const unsigned char identity[32])
{
    unsigned char kind = *take(r, &b, 1).p;
    struct attachment a;
    must(r, kind <= 1, "an attachment of unknown kind");
    if (kind == 1)
        b = unzip(r, b, UINT32_MAX);
    must(r, memcmp(take(r, &b, 32).p, identity, 32) == 0,
         "an attachment speaks of another model");
    a.type = take(r, &b, *take(r, &b, 1).p);
    a.name = take(r, &b, *take(r, &b, 1).p);
    a.payload = b;
    for (size_t i = 0; i < a.name.n; i++)
        must(r, a.name.p[i] >= 0x20, "a name is malformed");
    return a;
}

/* The seek table at the end serves those who read a part; here it only says
 * that nothing was cut off. */
void container_read(struct run *r, struct container *c, struct bytes file)
{
    bool zipped = zstd_next(file);
    struct bytes rest = file, b,
                 stream = zipped ? read_frames(r, &rest) : file;
    uint64_t room = 0, magic;
    model_read(r, &c->model, stream);
    must(r, !zipped || c->model.length == stream.n,
         "something follows the last tensor");
    if (!zipped)
        stream = take(r, &rest, c->model.length);
    merkle_root(c->identity, stream);
    b = skippable(r, &rest, &magic);
    must(r, magic == 0x184D2A51 && b.n == 40, "no identity after the model");
    must(r,
         little(b.p + 32, 8) == stream.n && memcmp(b.p, c->identity, 32) == 0,
         "the model is not the one that its identity names");
    for (b = skippable(r, &rest, &magic); magic == 0x184D2A52;
         b = skippable(r, &rest, &magic)) {
        c->att = grow(r, c->att, c->n_att, &room, sizeof *c->att);
        c->att[c->n_att++] = read_attachment(r, b, c->identity);
    }
    must(r, magic == 0x184D2A5E, "an unknown frame");
    must(r, rest.n == 0, "something follows the seek table");
}
