/* TensorProto to struct ax_tensor. A tensor keeps its elements in raw_data,
 * in a field of the message for each group of types, or in a file beside the
 * model. In all three nothing is allocated before it is known that as many
 * bytes are there. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ax/element.h"
#include "formats/onnx/onnx.h"

/* ---- fields of the message ---- */

unsigned onnx_bits(ax_dtype t)
{
    switch (t) {
    case AX_U4:
    case AX_I4:
    case AX_F4_E2M1:
        return 4;
    case AX_U2:
    case AX_I2:
        return 2;
    default:
        return 8;
    }
}

/* Bytes that n elements take in a file. */
static size_t file_size(ax_dtype t, size_t n)
{
    size_t each = 8 / onnx_bits(t);

    return each == 1 ? n * ax_dtype_size(t) : n / each + (n % each != 0);
}

/* The bytes of a file at the start of t's data become its elements. */
static void spread(struct ax_tensor *t)
{
    unsigned bits = onnx_bits(t->dtype), each = 8 / bits;
    unsigned char *v = t->data;
    bool has_sign = ax_dtype_class(t->dtype) == AX_CLASS_SIGNED;

    for (size_t i = t->nbytes; each > 1 && i-- > 0;) {
        unsigned x = v[i / each] >> bits * (i % each) & ((1u << bits) - 1);

        if (has_sign && x >> (bits - 1))
            x |= 0xffu << bits;
        v[i] = (unsigned char)x;
    }
}

/* Narrow types travel in int32_data; floats of 16 bits as their bits, types
 * of fewer bits than 8 as the bytes of a file. */
static ax_status from_int32(struct ax_tensor *t, const int32_t *v,
                            struct ax_err *err)
{
    const struct {
        ax_dtype dtype;
        int32_t min, max;
    } ranges[] = {
        {AX_U8, 0, 0xff},    {AX_I8, -0x80, 0x7f},
        {AX_U16, 0, 0xffff}, {AX_I16, -0x8000, 0x7fff},
        {AX_F16, 0, 0xffff}, {AX_BF16, 0, 0xffff},
        {AX_BOOL, 0, 1},     {AX_I32, INT32_MIN, INT32_MAX},
        {t->dtype, 0, 0xff}, /* the others: their bits */
    };
    size_t n = file_size(t->dtype, ax_tensor_count(t)) /
               ax_dtype_size(t->dtype);
    size_t size = ax_dtype_size(t->dtype), k = 0;

    while (ranges[k].dtype != t->dtype)
        k++;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)v[i];

        if (v[i] < ranges[k].min || v[i] > ranges[k].max)
            return ax_fail(err, AX_EFORMAT,
                           "element %zu is %" PRId32 ", which is no %s", i,
                           v[i], ax_dtype_name(t->dtype));
        for (size_t b = 0; b < size; b++)
            ((unsigned char *)t->data)[i * size + b] = (unsigned char)(bits >>
                                                                       8 * b);
    }
    spread(t);
    return AX_OK;
}

static ax_status from_uint64(struct ax_tensor *t, const uint64_t *v,
                             struct ax_err *err)
{
    uint32_t *out = t->data;

    if (t->dtype == AX_U64) {
        memcpy(t->data, v, t->nbytes);
        return AX_OK;
    }
    for (size_t i = 0; i < ax_tensor_count(t); i++) {
        if (v[i] > UINT32_MAX)
            return ax_fail(err, AX_EFORMAT,
                           "element %zu is %" PRIu64 ", which is no uint32",
                           i, v[i]);
        out[i] = (uint32_t)v[i];
    }
    return AX_OK;
}

/* The field that elements of this type travel in. */
struct field {
    const void *data;
    size_t n;
    const char *name;
};

static struct field field_of(const Onnx__TensorProto *p, ax_dtype dtype)
{
    switch (dtype) {
    case AX_F32:
        return (struct field){p->float_data, p->n_float_data, "float_data"};
    case AX_F64:
        return (struct field){p->double_data, p->n_double_data,
                              "double_data"};
    case AX_I64:
        return (struct field){p->int64_data, p->n_int64_data, "int64_data"};
    case AX_U32:
    case AX_U64:
        return (struct field){p->uint64_data, p->n_uint64_data,
                              "uint64_data"};
    default:
        return (struct field){p->int32_data, p->n_int32_data, "int32_data"};
    }
}

static ax_status from_field(struct ax_tensor *out, const Onnx__TensorProto *p,
                            ax_dtype dtype, const int64_t *dims, size_t n,
                            struct ax_err *err)
{
    const struct field f = field_of(p, dtype);

    if (f.n != (onnx_bits(dtype) == 8 ? n : file_size(dtype, n)))
        return ax_fail(err, AX_EFORMAT,
                       "has %zu elements in %s, its shape wants %zu", f.n,
                       f.name, n);
    AX_TRY(ax_tensor_new(out, dtype, (int)p->n_dims, dims, err));
    if (n == 0)
        return AX_OK;
    if (f.data == p->int32_data)
        return from_int32(out, f.data, err);
    if (f.data == p->uint64_data)
        return from_uint64(out, f.data, err);
    memcpy(out->data, f.data, out->nbytes);
    return AX_OK;
}

/* ---- raw data ---- */

static ax_status check_bools(const struct ax_tensor *t, struct ax_err *err)
{
    const unsigned char *v = t->data;

    for (size_t i = 0; t->dtype == AX_BOOL && i < t->nbytes; i++)
        if (v[i] > 1)
            return ax_fail(err, AX_EFORMAT,
                           "element %zu is %u, which is no bool", i, v[i]);
    return AX_OK;
}

static ax_status from_raw(struct ax_tensor *out, const Onnx__TensorProto *p,
                          ax_dtype dtype, const int64_t *dims, size_t n,
                          struct ax_err *err)
{
    size_t want = file_size(dtype, n);

    if (p->raw_data.len != want)
        return ax_fail(err, AX_EFORMAT,
                       "has %zu bytes of data, its shape wants %zu",
                       p->raw_data.len, want);
    AX_TRY(ax_tensor_new(out, dtype, (int)p->n_dims, dims, err));
    if (want)
        memcpy(out->data, p->raw_data.data, want);
    spread(out);
    return check_bools(out, err);
}

/* ---- external data ---- */

struct external {
    char *location;
    uint64_t offset, length;
    bool has_length;
};

static ax_status entry_number(uint64_t *out,
                              const Onnx__StringStringEntryProto *e,
                              struct ax_err *err)
{
    *out = 0;
    for (size_t i = 0; i < e->value.len; i++) {
        unsigned digit = (unsigned)e->value.data[i] - '0';

        if (digit > 9 || __builtin_mul_overflow(*out, 10u, out) ||
            __builtin_add_overflow(*out, digit, out))
            return ax_fail(err, AX_EFORMAT,
                           "'%s' of external data wants a number, not '%s'",
                           onnx_show(&e->key).s, onnx_show(&e->value).s);
    }
    return AX_OK;
}

static ax_status read_entries(struct external *x, const Onnx__TensorProto *p,
                              struct ax_err *err)
{
    for (size_t i = 0; i < p->n_external_data; i++) {
        const Onnx__StringStringEntryProto *e = p->external_data[i];

        if (onnx_is(&e->key, "location") && !x->location) {
            AX_TRY(onnx_text(&x->location, &e->value, err));
        } else if (onnx_is(&e->key, "offset")) {
            AX_TRY(entry_number(&x->offset, e, err));
        } else if (onnx_is(&e->key, "length")) {
            AX_TRY(entry_number(&x->length, e, err));
            x->has_length = true;
        } else if (!onnx_is(&e->key, "checksum") &&
                   !onnx_is(&e->key, "basepath")) {
            return ax_fail(err, AX_EFORMAT,
                           "external data have an unknown or second '%s'",
                           onnx_show(&e->key).s);
        }
    }
    if (!x->location || !x->location[0])
        return ax_fail(err, AX_EFORMAT, "external data have no location");
    return AX_OK;
}

/* Open folder/location, whose parts may not lead out of the folder: no
 * absolute path, no "..", and no symbolic link on the way. */
static ax_status open_below(int *fd, const char *folder, char *location,
                            struct ax_err *err)
{
    int at = open(folder[0] ? folder : ".",
                  O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char *part = location, *slash;

    while (at >= 0) {
        int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, next;

        slash = strchr(part, '/');
        if (slash)
            *slash = '\0';
        if (!part[0] || strcmp(part, "..") == 0) {
            close(at);
            return ax_fail(err, AX_EFORMAT,
                           "external data lie outside the model's folder");
        }
        next = openat(at, part, slash ? flags | O_DIRECTORY : flags);
        close(at);
        at = next;
        if (!slash)
            break;
        *slash = '/';
        part = slash + 1;
    }
    if (at < 0)
        return ax_fail(err, AX_ENOINPUT, "external data '%.200s': %s",
                       location,
                       errno == ELOOP ? "is a symbolic link, which could "
                                        "lead out of the model's folder"
                                      : strerror(errno));
    *fd = at;
    return AX_OK;
}

static ax_status read_at(int fd, struct ax_tensor *t, size_t n,
                         uint64_t offset, struct ax_err *err)
{
    size_t done = 0;

    while (done < n) {
        ssize_t k = pread(fd, (char *)t->data + done, n - done,
                          (off_t)(offset + done));

        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return ax_fail(err, AX_EIO, "external data: %s", strerror(errno));
        if (k == 0)
            return ax_fail(err, AX_EFORMAT, "external data are cut short");
        done += (size_t)k;
    }
    spread(t);
    return check_bools(t, err);
}

static ax_status from_file(struct ax_tensor *out, const Onnx__TensorProto *p,
                           const struct external *x, int fd, ax_dtype dtype,
                           const int64_t *dims, size_t n, struct ax_err *err)
{
    uint64_t want = file_size(dtype, n), size;
    struct stat sb;

    if (fstat(fd, &sb) != 0)
        return ax_fail(err, AX_EIO, "external data: %s", strerror(errno));
    if (!S_ISREG(sb.st_mode))
        return ax_fail(err, AX_EFORMAT,
                       "external data '%.200s' are no regular file",
                       x->location);
    size = (uint64_t)sb.st_size;
    if (x->offset > size || want > size - x->offset)
        return ax_fail(err, AX_EFORMAT,
                       "external data '%.200s' have %" PRIu64
                       " bytes, the tensor wants %" PRIu64 " from %" PRIu64,
                       x->location, size, want, x->offset);
    if (x->has_length && x->length != want)
        return ax_fail(err, AX_EFORMAT,
                       "has %" PRIu64 " bytes of external data, its shape "
                       "wants %" PRIu64,
                       x->length, want);
    AX_TRY(ax_tensor_new(out, dtype, (int)p->n_dims, dims, err));
    return read_at(fd, out, (size_t)want, x->offset, err);
}

static ax_status from_external(struct ax_tensor *out,
                               const Onnx__TensorProto *p, const char *folder,
                               ax_dtype dtype, const int64_t *dims, size_t n,
                               struct ax_err *err)
{
    struct external x = {0};
    int fd = -1;
    ax_status st;

    if (!folder)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "its data are in another file, which standard input "
                       "cannot name");
    st = read_entries(&x, p, err);
    if (st == AX_OK)
        st = open_below(&fd, folder, x.location, err);
    if (st == AX_OK)
        st = from_file(out, p, &x, fd, dtype, dims, n, err);
    if (fd >= 0)
        close(fd);
    free(x.location);
    return st;
}

/* ---- a tensor ---- */

static ax_status from_any(struct ax_tensor *out, Onnx__TensorProto *p,
                          const char *folder, struct ax_err *err)
{
    size_t fields = p->n_float_data + p->n_int32_data + p->n_int64_data +
                    p->n_double_data + p->n_uint64_data;
    ax_dtype dtype = (ax_dtype)p->data_type;
    size_t n;

    if (!ax_dtype_size(dtype))
        return ax_fail(err, AX_EUNSUPPORTED,
                       "element type %" PRId32 " is not supported",
                       p->data_type);
    if (dtype == AX_STRING)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "constants that are strings are not supported");
    if (p->has_segment)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "tensors in segments are not supported");
    if (p->n_dims > AX_RANK_MAX)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "has %zu dimensions, at most %d are supported",
                       p->n_dims, AX_RANK_MAX);
    AX_TRY(ax_shape_count(&n, (int)p->n_dims, p->dims, ax_dtype_size(dtype),
                          err));
    if (p->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL)
        return fields || p->has_raw_data
                   ? ax_fail(err, AX_EFORMAT,
                             "has data both here and in another file")
                   : from_external(out, p, folder, dtype, p->dims, n, err);
    if (p->has_raw_data && fields)
        return ax_fail(err, AX_EFORMAT, "has data in two fields");
    if (p->has_raw_data)
        return from_raw(out, p, dtype, p->dims, n, err);
    if (fields != field_of(p, dtype).n)
        return ax_fail(err, AX_EFORMAT,
                       "has data in a field that is not %s's",
                       ax_dtype_name(dtype));
    return from_field(out, p, dtype, p->dims, n, err);
}

ax_status onnx_tensor(struct ax_tensor *out, Onnx__TensorProto *p,
                      const char *folder, struct ax_err *err)
{
    ax_status st;

    memset(out, 0, sizeof *out);
    st = from_any(out, p, folder, err);
    free(p->raw_data.data); /* see the allocator in read.c */
    p->raw_data = (ProtobufCBinaryData){0, NULL};
    if (st != AX_OK)
        ax_tensor_free(out);
    return st;
}
