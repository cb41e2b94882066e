/* Tensors in the bytes of a file: whether they lie within, and what their
 * elements are in row-major order. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "formats/torch/torch.h"

/* A tensor may repeat what it has (strides of zero), within reason. */
enum { REPEATS_MAX = 1 << 20 };

static ax_status is_contiguous(struct ax_weight *w, struct ax_err *err)
{
    int64_t want = 1;

    w->contiguous = true;
    for (int i = w->rank; i-- > 0;) {
        if (w->dims[i] != 1 && w->strides[i] != want)
            w->contiguous = false;
        if (__builtin_mul_overflow(want, w->dims[i] ? w->dims[i] : 1, &want))
            return ax_fail(err, AX_ESHAPE, "too many elements to count");
    }
    return AX_OK;
}

ax_status torch_place(struct ax_weight *w, const unsigned char *base,
                      size_t nbytes, int64_t offset, struct ax_err *err)
{
    int64_t last = offset;
    bool empty = false;
    size_t count;

    AX_TRY(ax_shape_count(&count, w->rank, w->dims, w->size, err));
    if (offset < 0)
        return ax_fail(err, AX_EFORMAT, "begins at element %" PRId64, offset);
    for (int i = 0; i < w->rank; i++) {
        int64_t step;

        if (w->strides[i] < 0)
            return ax_fail(err, AX_EFORMAT, "has a stride of %" PRId64,
                           w->strides[i]);
        if (w->dims[i] == 0)
            empty = true;
        else if (__builtin_mul_overflow(w->dims[i] - 1, w->strides[i],
                                        &step) ||
                 __builtin_add_overflow(last, step, &last))
            return ax_fail(err, AX_EFORMAT,
                           "has strides that leave its storage");
    }
    /* Of an empty one nothing is read, wherever it lies. */
    if (!empty && (uint64_t)last >= nbytes / w->size)
        return ax_fail(err, AX_EFORMAT,
                       "reaches to element %" PRId64
                       " of a storage of %zu bytes",
                       last, nbytes);
    w->first = empty ? base : base + (size_t)offset * w->size;
    return is_contiguous(w, err);
}

/* Copy dimension I and those inside it. Elements of one size each have a
 * loop of their own. */
static unsigned char *gather(unsigned char *to, const unsigned char *from,
                             const struct ax_weight *w, int i)
{
    int64_t n = w->dims[i];
    size_t step = (size_t)w->strides[i] * w->size;

    if (i + 1 < w->rank) {
        for (int64_t k = 0; k < n; k++)
            to = gather(to, from + (size_t)k * step, w, i + 1);
        return to;
    }
    for (int64_t k = 0; k < n; k++, to += w->size, from += step)
        switch (w->size) {
        case 1:
            *to = *from;
            break;
        case 2:
            memcpy(to, from, 2);
            break;
        case 4:
            memcpy(to, from, 4);
            break;
        case 8:
            memcpy(to, from, 8);
            break;
        default:
            memcpy(to, from, w->size);
        }
    return to;
}

ax_status ax_weight_bytes(const unsigned char **out, void **own, size_t *n,
                          const struct ax_weight *w, struct ax_err *err)
{
    size_t count, distinct = 1;

    *own = NULL;
    *out = w->first;
    AX_TRY(ax_shape_count(&count, w->rank, w->dims, w->size, err));
    *n = count * w->size;
    if (w->contiguous || !count)
        return AX_OK;
    for (int i = 0; i < w->rank; i++)
        distinct *= w->strides[i] ? (size_t)w->dims[i] : 1;
    if (count / distinct > REPEATS_MAX)
        return ax_fail(err, AX_ESHAPE,
                       "%zu elements that repeat %zu are too many", count,
                       distinct);
    *own = malloc(*n);
    if (!*own)
        return ax_fail(err, AX_ENOMEM, "no memory for a tensor of %zu bytes",
                       *n);
    if (w->unpack)
        w->unpack(*own, w->first, count);
    else
        gather(*own, w->first, w, 0);
    *out = *own;
    return AX_OK;
}
