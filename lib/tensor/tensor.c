/* Element types, shapes and dense tensors: see ax/tensor.h. What elements
 * mean as numbers is not known here. */
#include "ax/tensor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64 };

static const struct {
    ax_dtype dtype;
    const char *name;
    size_t size;
} dtypes[] = {
#define X(id, number, text, size) {id, text, size},
    AX_DTYPES(X)
#undef X
};

enum { N_DTYPES = sizeof dtypes / sizeof dtypes[0] };

size_t ax_dtype_size(ax_dtype t)
{
    for (int i = 0; i < N_DTYPES; i++)
        if (dtypes[i].dtype == t)
            return dtypes[i].size;
    return 0;
}

const char *ax_dtype_name(ax_dtype t)
{
    for (int i = 0; i < N_DTYPES; i++)
        if (dtypes[i].dtype == t)
            return dtypes[i].name;
    return NULL;
}

ax_dtype ax_dtype_by_name(const char *name)
{
    for (int i = 0; i < N_DTYPES; i++)
        if (strcmp(dtypes[i].name, name) == 0)
            return dtypes[i].dtype;
    return AX_DTYPE_NONE;
}

ax_status ax_shape_count(size_t *out, int rank, const int64_t *dims,
                         size_t size, struct ax_err *err)
{
    size_t n = 1, bytes;
    bool empty = false;

    if (rank < 0 || rank > AX_RANK_MAX)
        return ax_fail(err, AX_ESHAPE, "wants 0 to %d dimensions, has %d",
                       AX_RANK_MAX, rank);
    for (int i = 0; i < rank; i++) {
        if (dims[i] < 0)
            return ax_fail(err, AX_ESHAPE, "dimension %d is %" PRId64, i,
                           dims[i]);
        if (dims[i] == 0)
            empty = true;
        else if (__builtin_mul_overflow(n, (uint64_t)dims[i], &n))
            return ax_fail(err, AX_ESHAPE, "too many elements to count");
    }
    /* The other dimensions of an empty tensor must be sane too, so that a
     * product of some of them cannot overflow elsewhere. */
    if (__builtin_mul_overflow(n, size, &bytes) || bytes > PTRDIFF_MAX)
        return ax_fail(err, AX_ESHAPE,
                       "%zu elements of %zu bytes are too "
                       "many to address",
                       n, size);
    *out = empty ? 0 : n;
    return AX_OK;
}

ax_status ax_tensor_new(struct ax_tensor *t, ax_dtype dtype, int rank,
                        const int64_t *dims, struct ax_err *err)
{
    size_t n, size = ax_dtype_size(dtype);
    void *data;

    memset(t, 0, sizeof *t);
    if (!size)
        return ax_fail(err, AX_ESHAPE, "no element type has number %d",
                       (int)dtype);
    AX_TRY(ax_shape_count(&n, rank, dims, size, err));
    if (posix_memalign(&data, ALIGN, n ? n * size : 1))
        return ax_fail(err, AX_ENOMEM, "no memory for a tensor of %zu bytes",
                       n * size);
    memset(data, 0, n * size);
    t->dtype = dtype;
    t->rank = rank;
    if (rank > 0)
        memcpy(t->dims, dims, (size_t)rank * sizeof *dims);
    t->data = data;
    t->nbytes = n * size;
    t->owned = true;
    return AX_OK;
}

void ax_tensor_free(struct ax_tensor *t)
{
    if (t->owned)
        free(t->data);
    memset(t, 0, sizeof *t);
}

size_t ax_tensor_count(const struct ax_tensor *t)
{
    size_t size = ax_dtype_size(t->dtype);

    return size ? t->nbytes / size : 0;
}

/* Append to buf, which has n bytes and holds *used of the whole text. */
static void AX_PRINTF(4, 5)
    append(char *buf, size_t n, size_t *used, const char *fmt, ...)
{
    va_list ap;
    int k;

    va_start(ap, fmt);
    k = vsnprintf(*used < n ? buf + *used : NULL, *used < n ? n - *used : 0,
                  fmt, ap);
    va_end(ap);
    *used += k > 0 ? (size_t)k : 0;
}

char *ax_shape_text(char *buf, size_t n, ax_dtype dtype, int rank,
                    const int64_t *dims)
{
    const char *name = ax_dtype_name(dtype);
    size_t used = 0;

    append(buf, n, &used, "%s ", name ? name : "?");
    if (rank < 0) {
        append(buf, n, &used, "?");
        return buf;
    }
    append(buf, n, &used, "[");
    for (int i = 0; i < rank; i++)
        if (dims[i] < 0)
            append(buf, n, &used, "%s?", i ? "," : "");
        else
            append(buf, n, &used, "%s%" PRId64, i ? "," : "", dims[i]);
    append(buf, n, &used, "]");
    return buf;
}
