/* The bytes of a container's file, in order: see read.h. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "model/read.h"

uint64_t axm_where(const struct axm_source *s)
{
    return s->base + s->pos;
}

const uint8_t *axm_ahead(const struct axm_source *s)
{
    return (s->map ? s->map : s->buf) + s->pos;
}

ax_status axm_cut_short(const struct axm_source *s, const char *in,
                        struct ax_err *err)
{
    return ax_fail(err, AX_EFORMAT, "cut short at byte %" PRIu64 ", in %s",
                   s->base + s->n, in);
}

ax_status axm_read_error(FILE *f, struct ax_err *err)
{
    return ferror(f) ? ax_fail(err, AX_EIO, "%s",
                               errno ? strerror(errno) : "read failed")
                     : AX_OK;
}

/* Have WANT bytes ahead, at most cap, or all that come before the end. */
ax_status axm_fill(struct axm_source *s, size_t want, struct ax_err *err)
{
    if (s->map || s->n - s->pos >= want)
        return AX_OK;
    memmove(s->buf, s->buf + s->pos, s->n - s->pos);
    s->base += s->pos;
    s->n -= s->pos;
    s->pos = 0;
    errno = 0;
    s->n += fread(s->buf + s->n, 1, s->cap - s->n, s->f);
    return axm_read_error(s->f, err);
}

/* Read N bytes to OUT; IN names the part for messages. */
ax_status axm_get(struct axm_source *s, void *out, size_t n, const char *in,
                  struct ax_err *err)
{
    size_t k = s->n - s->pos < n ? s->n - s->pos : n;

    if (k)
        memcpy(out, axm_ahead(s), k);
    s->pos += k;
    if (k < n && s->f) {
        size_t more;

        errno = 0;
        more = fread((uint8_t *)out + k, 1, n - k, s->f);
        s->base += s->n + more;
        s->pos = s->n = 0;
        k += more;
        AX_TRY(axm_read_error(s->f, err));
    }
    return k == n ? AX_OK : axm_cut_short(s, in, err);
}

/* Append N bytes, growing as they come. */
ax_status axm_get_growing(struct axm_source *s, struct axm_buf *out, size_t n,
                          const char *in, struct ax_err *err)
{
    while (n) {
        size_t k = out->n < 65536 ? 65536 : out->n;

        k = k < n ? k : n;
        AX_TRY(axm_buf_room(out, k, err));
        AX_TRY(axm_get(s, out->data + out->n, k, in, err));
        out->n += k;
        n -= k;
    }
    return AX_OK;
}
