/* Files that may be packed with gzip, and models in any format: what comes in
 * lists of instances. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "ax/format.h"
#include "prove.h"

#define MODEL_MAX ((size_t)1 << 36)
#define HEAD_SIZE 64 /* bytes that a format knows its files by */

/* Several members may follow one another. */
static ax_status inflate_all(unsigned char **out, size_t *n_out,
                             unsigned char *in, size_t n, size_t max,
                             struct ax_err *err)
{
    z_stream z = {.next_in = in};
    size_t room = 1 << 16, used = 0, left = n;
    unsigned char *data = malloc(room + 1);
    ax_status st = AX_OK;
    int r = inflateInit2(&z, 16 + MAX_WBITS);

    if (!data || r != Z_OK)
        st = ax_fail(err, AX_ENOMEM, "no memory to unpack");
    while (st == AX_OK && (r != Z_STREAM_END || left)) {
        size_t give = left > 1 << 30 ? 1 << 30 : left;

        if (r == Z_STREAM_END)
            inflateReset(&z);
        if (used == room) {
            unsigned char *more = used < max ? realloc(data, 2 * room + 1)
                                             : NULL;

            if (!more) {
                st = used < max
                         ? ax_fail(err, AX_ENOMEM, "no memory to unpack")
                         : ax_fail(err, AX_EFORMAT,
                                   "unpacks to more than %zu bytes", max);
                break;
            }
            data = more;
            room *= 2;
        }
        z.avail_in = (unsigned)give;
        z.next_out = data + used;
        z.avail_out = room - used > 1 << 30 ? 1 << 30
                                            : (unsigned)(room - used);
        r = inflate(&z, Z_NO_FLUSH);
        left -= give - z.avail_in;
        used = (size_t)(z.next_out - data);
        if (r == Z_MEM_ERROR)
            st = ax_fail(err, AX_ENOMEM, "no memory to unpack");
        else if ((r != Z_OK && r != Z_STREAM_END) ||
                 (r == Z_OK && !left && used < room))
            st = ax_fail(err, AX_EFORMAT, "the gzip file is %s",
                         left ? "damaged" : "cut short");
    }
    inflateEnd(&z);
    if (st == AX_OK) {
        data[used] = '\0';
        *out = data;
        *n_out = used;
    } else {
        free(data);
    }
    return st;
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
