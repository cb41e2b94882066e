/* lib/model/read.h - the two parts of a reader: a source gives the bytes of
 * the file, from a stream or from a mapping; the intake takes the logical
 * stream piece by piece, hashes it, and puts tensors where they belong. */
#ifndef MODEL_READ_H
#define MODEL_READ_H

#include <stdio.h>

#include "model/internal.h"

struct axm_source {
    FILE *f;            /* NULL: all of it lies in buf, a mapping */
    const uint8_t *map; /* the mapping, or NULL */
    uint8_t *buf;       /* [cap] read ahead, or NULL */
    size_t cap, pos, n; /* buffered: pos..n */
    uint64_t base;      /* of buf[0], in the file */
};

/* Where the source is, in the file. */
uint64_t axm_where(const struct axm_source *s);
/* The bytes that axm_fill made ready; src.n - src.pos of them. */
const uint8_t *axm_ahead(const struct axm_source *s);
/* Have WANT bytes ahead, at most cap, or all that come before the end. */
ax_status axm_fill(struct axm_source *s, size_t want, struct ax_err *err)
    AX_MUST_CHECK;
/* Read N bytes to OUT; IN names the part for messages. */
ax_status axm_get(struct axm_source *s, void *out, size_t n, const char *in,
                  struct ax_err *err) AX_MUST_CHECK;
/* Append N bytes, growing as they come. */
ax_status axm_get_growing(struct axm_source *s, struct axm_buf *out, size_t n,
                          const char *in, struct ax_err *err) AX_MUST_CHECK;
/* The error of a file that ends inside of a part. */
ax_status axm_cut_short(const struct axm_source *s, const char *in,
                        struct ax_err *err);
/* AX_EIO if reading f failed. */
ax_status axm_read_error(FILE *f, struct ax_err *err) AX_MUST_CHECK;

struct axm_intake {
    struct axm_tree tree;
    uint64_t pos;            /* bytes taken */
    uint64_t header_end;     /* 16 + H, once the prefix is known */
    uint64_t region;         /* R */
    uint64_t end;            /* of the stream, once the header is known */
    struct axm_buf head;     /* prefix and header */
    struct ax_model *m;      /* once the header is known */
    uint32_t tensor;         /* the tensor under way */
    uint64_t start;          /* where it starts, in the region */
    size_t room;             /* bytes allocated for it */
    const uint8_t *borrow;   /* mapping of the stream, or NULL */
    const uint8_t *in_place; /* the bytes to come lie where they belong */
    uint64_t file_bytes;     /* of a regular file; 0: not known */
};

/* If the next N bytes all belong to one tensor, where they go: they may be
 * put there before they are taken. NULL if not. */
ax_status axm_direct_place(struct axm_intake *in, uint8_t **out, size_t n,
                           struct ax_err *err) AX_MUST_CHECK;
/* Take the next N bytes. in->m is there as soon as the header is. */
ax_status axm_take(struct axm_intake *in, const uint8_t *p, size_t n,
                   struct ax_err *err) AX_MUST_CHECK;
/* Was the last byte of the stream taken? */
bool axm_complete(const struct axm_intake *in);

#endif
