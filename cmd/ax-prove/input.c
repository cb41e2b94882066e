/* Files that may be packed with gzip, and models in any format: what comes in
 * lists of instances. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "ax/format.h"
#include "prove.h"

#define MODEL_MAX ((size_t)1 << 36)
#define HEAD_SIZE 64 /* bytes that a format knows its files by */

#define PIECE ((size_t)1 << 30) /* zlib counts in unsigned */

/* What was unpacked so far; data has a byte more than room. */
struct unpacked {
    unsigned char *data;
    size_t n, room, max;
};

static ax_status grow(struct unpacked *u, struct ax_err *err)
{
    size_t room = u->room ? 2 * u->room : 1 << 16;
    unsigned char *data;

    if (u->n >= u->max)
        return ax_fail(err, AX_EFORMAT, "unpacks to more than %zu bytes",
                       u->max);
    data = realloc(u->data, room + 1);
    if (!data)
        return ax_fail(err, AX_ENOMEM, "no memory to unpack");
    u->data = data;
    u->room = room;
    return AX_OK;
}

/* One call of zlib: takes from in, of which *left bytes are left. *r is what
 * it said before, and then what it says now. */
static ax_status step(struct unpacked *u, z_stream *z, size_t *left, int *r,
                      struct ax_err *err)
{
    size_t give = *left < PIECE ? *left : PIECE;
    size_t room;

    if (u->n == u->room)
        AX_TRY(grow(u, err));
    room = u->room - u->n;
    if (*r == Z_STREAM_END) /* another member follows */
        inflateReset(z);
    z->avail_in = (unsigned)give;
    z->next_out = u->data + u->n;
    z->avail_out = (unsigned)(room < PIECE ? room : PIECE);
    *r = inflate(z, Z_NO_FLUSH);
    *left -= give - z->avail_in;
    u->n = (size_t)(z->next_out - u->data);
    if (*r == Z_MEM_ERROR)
        return ax_fail(err, AX_ENOMEM, "no memory to unpack");
    if (*r == Z_STREAM_END || (*r == Z_OK && (*left || u->n == u->room)))
        return AX_OK;
    return ax_fail(err, AX_EFORMAT, "the gzip file is %s",
                   *left ? "damaged" : "cut short");
}

static ax_status inflate_all(unsigned char **out, size_t *n_out,
                             unsigned char *in, size_t n, size_t max,
                             struct ax_err *err)
{
    struct unpacked u = {.max = max};
    z_stream z = {.next_in = in};
    ax_status st = AX_OK;
    int r = inflateInit2(&z, 16 + MAX_WBITS);

    if (r != Z_OK)
        return ax_fail(err, AX_ENOMEM, "no memory to unpack");
    while (st == AX_OK && (r != Z_STREAM_END || n))
        st = step(&u, &z, &n, &r, err);
    inflateEnd(&z);
    if (st != AX_OK) {
        free(u.data);
        return st;
    }
    u.data[u.n] = '\0';
    *out = u.data;
    *n_out = u.n;
    return AX_OK;
}

ax_status input_read(unsigned char **out, size_t *n, const char *path,
                     size_t max, struct ax_err *err)
{
    unsigned char *data;
    ax_status st;

    AX_TRY(cmd_in_read(&data, n, path, max, err));
    *out = data;
    if (*n < 2 || data[0] != 0x1f || data[1] != 0x8b)
        return AX_OK;
    *out = NULL;
    st = inflate_all(out, n, data, *n, max, err);
    free(data);
    return st == AX_OK ? st : ax_fail_in(err, "%s", cmd_in_name(path));
}

/* The folder that a path names a file in. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return !slash          ? strdup(".")
           : slash == path ? strdup("/")
                           : strndup(path, (size_t)(slash - path));
}

static ax_status read_foreign(struct ax_model **out,
                              const struct ax_format *format,
                              const char *path, const unsigned char *data,
                              size_t n, struct ax_err *err)
{
    char *folder = folder_of(path);
    const struct ax_format_options opt = {.folder = folder};
    ax_status st = folder ? format->read(out, data, n, &opt, err)
                          : ax_fail(err, AX_ENOMEM, "no memory for a path");

    free(folder);
    return st;
}

static ax_status read_container(struct ax_model **out, unsigned char *data,
                                size_t n, struct ax_err *err)
{
    FILE *f = fmemopen(data, n, "rb");
    ax_status st;

    if (!f)
        return ax_fail(err, AX_ENOMEM, "no memory for a model");
    st = ax_model_read(out, f, err);
    fclose(f);
    return st;
}

ax_status input_model(struct ax_model **out, unsigned char **data,
                      const char *path, struct ax_err *err)
{
    const struct ax_format *format;
    size_t n;
    ax_status st;

    *out = NULL;
    AX_TRY(input_read(data, &n, path, MODEL_MAX, err));
    if (n == 0)
        return ax_fail(err, AX_EFORMAT, "%s: is empty", cmd_in_name(path));
    format = ax_format_sniff(*data, n < HEAD_SIZE ? n : HEAD_SIZE);
    st = format && format->read
             ? read_foreign(out, format, path, *data, n, err)
             : read_container(out, *data, n, err);
    return st == AX_OK ? st : ax_fail_in(err, "%s", cmd_in_name(path));
}
