/* The logical stream of a container on its way into a model: see read.h.
 * The bytes are hostile. Memory grows with what has come, not with what a
 * header promises. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "model/read.h"

/* A tensor may be allocated at once if it is not larger than this, or than
 * so many times of what has come before it, or of the file. */
enum { TRUST_BYTES = 4 << 20, TRUST_FACTOR = 8 };

static ax_status take_prefix(struct axm_intake *in, struct ax_err *err)
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

static ax_status take_header(struct axm_intake *in, struct ax_err *err)
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
static ax_status tensor_room(struct axm_intake *in, size_t n,
                             struct ax_err *err)
{
    struct ax_tensor *t = &in->m->tensors[in->tensor];
    uint64_t seen = in->pos > in->file_bytes ? in->pos : in->file_bytes;
    uint64_t trusted = TRUST_BYTES + TRUST_FACTOR * seen;
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
static ax_status next_tensors(struct axm_intake *in, struct ax_err *err)
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
ax_status axm_direct_place(struct axm_intake *in, uint8_t **out, size_t n,
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

static ax_status take_zeros(struct axm_intake *in, const uint8_t *p, size_t n,
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

static ax_status take_tensor(struct axm_intake *in, const uint8_t *p,
                             size_t n, struct ax_err *err)
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
static ax_status take_some(struct axm_intake *in, const uint8_t *p, size_t n,
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

ax_status axm_take(struct axm_intake *in, const uint8_t *p, size_t n,
                   struct ax_err *err)
{
    axm_tree_add(&in->tree, p, n);
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

bool axm_complete(const struct axm_intake *in)
{
    return in->m && in->pos == in->end;
}
