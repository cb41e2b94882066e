/* safetensors: a length, a header in JSON, and the bytes of all tensors, one
 * behind the other without gaps. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "formats/torch/torch.h"

#define HEADER_MAX 100000000 /* as the format has it */

/* clang-format off */
static const struct {
    const char *name;
    struct torch_dtype type;
} types[] = {
    {"BOOL",        {"bool",            AX_BOOL,       1}},
    {"U8",          {"uint8",           AX_U8,         1}},
    {"I8",          {"int8",            AX_I8,         1}},
    {"U16",         {"uint16",          AX_U16,        2}},
    {"I16",         {"int16",           AX_I16,        2}},
    {"U32",         {"uint32",          AX_U32,        4}},
    {"I32",         {"int32",           AX_I32,        4}},
    {"U64",         {"uint64",          AX_U64,        8}},
    {"I64",         {"int64",           AX_I64,        8}},
    {"F16",         {"float16",         AX_F16,        2}},
    {"BF16",        {"bfloat16",        AX_BF16,       2}},
    {"F32",         {"float32",         AX_F32,        4}},
    {"F64",         {"float64",         AX_F64,        8}},
    {"C64",         {"complex64",       AX_DTYPE_NONE, 8}},
    {"F8_E4M3",     {"float8_e4m3fn",   AX_F8_E4M3FN,  1}},
    {"F8_E5M2",     {"float8_e5m2",     AX_F8_E5M2,    1}},
    {"F8_E4M3FNUZ", {"float8_e4m3fnuz", AX_F8_E4M3FNUZ,1}},
    {"F8_E5M2FNUZ", {"float8_e5m2fnuz", AX_F8_E5M2FNUZ,1}},
    {"F8_E8M0",     {"float8_e8m0fnu",  AX_F8_E8M0,    1}},
};
/* clang-format on */

static const struct torch_dtype *type_of(const json_t *name)
{
    const char *s = json_string_value(name);

    for (size_t i = 0; s && i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i].name, s) == 0)
            return &types[i].type;
    return NULL;
}

static ax_status shape_of(struct ax_weight *w, const json_t *shape,
                          struct ax_err *err)
{
    int64_t stride = 1;

    if (!json_is_array(shape))
        return ax_fail(err, AX_EFORMAT, "has no shape");
    if (json_array_size(shape) > AX_RANK_MAX)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "has %zu dimensions, at most %d are supported",
                       json_array_size(shape), AX_RANK_MAX);
    w->rank = (int)json_array_size(shape);
    for (int i = w->rank; i-- > 0;) {
        const json_t *dim = json_array_get(shape, (size_t)i);

        w->dims[i] = json_integer_value(dim);
        w->strides[i] = stride;
        if (!json_is_integer(dim) || w->dims[i] < 0)
            return ax_fail(err, AX_EFORMAT, "has a malformed shape");
        if (__builtin_mul_overflow(stride, w->dims[i] ? w->dims[i] : 1,
                                   &stride))
            return ax_fail(err, AX_ESHAPE, "too many elements to count");
    }
    return AX_OK;
}

/* [begin, end) in N bytes. */
static ax_status place_of(size_t *begin, size_t *end, const json_t *offsets,
                          size_t n, struct ax_err *err)
{
    const json_t *b = json_array_get(offsets, 0),
                 *e = json_array_get(offsets, 1);
    json_int_t x = json_integer_value(b), y = json_integer_value(e);

    if (json_array_size(offsets) != 2 || !json_is_integer(b) ||
        !json_is_integer(e) || x < 0 || y < x)
        return ax_fail(err, AX_EFORMAT, "has malformed offsets");
    if ((uint64_t)y > n)
        return ax_fail(
            err, AX_EFORMAT,
            "ends at byte %" JSON_INTEGER_FORMAT " of %zu: cut short?", y, n);
    *begin = (size_t)x;
    *end = (size_t)y;
    return AX_OK;
}

struct piece {
    size_t begin, end;
    struct ax_weight w;
    const char *name;
};

static ax_status read_piece(struct piece *p, const json_t *entry,
                            const unsigned char *data, size_t n,
                            struct ax_err *err)
{
    const struct torch_dtype *type = type_of(json_object_get(entry, "dtype"));
    size_t count;

    if (json_object_size(entry) != 3)
        return ax_fail(err, AX_EFORMAT,
                       "wants dtype, shape and data_offsets, and no more");
    if (!type)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "has a dtype that is not supported");
    p->w.dtype = type->name;
    p->w.type = type->type;
    p->w.size = type->size;
    AX_TRY(shape_of(&p->w, json_object_get(entry, "shape"), err));
    AX_TRY(place_of(&p->begin, &p->end,
                    json_object_get(entry, "data_offsets"), n, err));
    AX_TRY(ax_shape_count(&count, p->w.rank, p->w.dims, type->size, err));
    if (count * type->size != p->end - p->begin)
        return ax_fail(err, AX_EFORMAT, "has %zu bytes, its shape wants %zu",
                       p->end - p->begin, count * type->size);
    return torch_place(&p->w, data + p->begin, p->end - p->begin, 0, err);
}

static ax_status check_metadata(const json_t *m, struct ax_err *err)
{
    const char *key;
    json_t *value, *all = NULL;

    memcpy(&all, &m, sizeof m); /* jansson's iterators are not const */
    if (!json_is_object(m))
        return ax_fail(err, AX_EFORMAT, "__metadata__ is no object");
    json_object_foreach(all, key, value)
    {
        if (!json_is_string(value))
            return ax_fail(err, AX_EFORMAT,
                           "__metadata__ has a value that is no text");
    }
    return AX_OK;
}

static int by_place(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;

    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* One behind the other, from the first byte to the last. */
static ax_status check_places(const struct piece *v, size_t n, size_t all,
                              struct ax_err *err)
{
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        if (v[i].begin != at)
            return ax_fail(
                err, AX_EFORMAT,
                "tensor '%.80s': begins at byte %zu, %s at %zu", v[i].name,
                v[i].begin,
                v[i].begin < at ? "where another ends" : "with a gap", at);
        at = v[i].end;
    }
    if (at != all)
        return ax_fail(err, AX_EFORMAT, "%zu bytes belong to no tensor",
                       all - at);
    return AX_OK;
}

static ax_status read_pieces(struct piece *v, size_t *count, json_t *header,
                             const unsigned char *data, size_t n,
                             struct ax_err *err)
{
    const char *key;
    json_t *value;

    json_object_foreach(header, key, value)
    {
        if (strcmp(key, "__metadata__") == 0) {
            AX_TRY(check_metadata(value, err));
            continue;
        }
        v[*count].name = key;
        if (read_piece(&v[*count], value, data, n, err) != AX_OK)
            return ax_fail_in(err, "tensor '%.80s'", key);
        ++*count;
    }
    qsort(v, *count, sizeof *v, by_place);
    return check_places(v, *count, n, err);
}

static ax_status all_pieces(struct ax_checkpoint *c, json_t *header,
                            const unsigned char *data, size_t n,
                            struct ax_err *err)
{
    struct piece *v = calloc(json_object_size(header) + 1, sizeof *v);
    size_t count = 0, cap = 0;
    ax_status st;

    if (!v)
        return ax_fail(err, AX_ENOMEM, "no memory for a header");
    st = read_pieces(v, &count, header, data, n, err);
    for (size_t i = 0; i < count && st == AX_OK; i++) {
        v[i].w.storage = (uint32_t)i;
        st = torch_add_weight(c, &cap, &v[i].w, "", v[i].name, err);
    }
    free(v);
    return st;
}

ax_status safetensors_read(struct ax_checkpoint *c, const unsigned char *data,
                           size_t n, struct ax_err *err)
{
    json_error_t why;
    uint64_t length;
    json_t *header;
    ax_status st;

    c->format = "safetensors";
    if (n < 8)
        return ax_fail(err, AX_EFORMAT, "safetensors: cut short");
    length = torch_le(data, 8);
    if (length > HEADER_MAX || length > n - 8)
        return ax_fail(err, AX_EFORMAT,
                       "safetensors: a header of %" PRIu64
                       " bytes in a file of %zu",
                       length, n);
    if (!length || data[8] != '{')
        return ax_fail(err, AX_EFORMAT,
                       "safetensors: the header does not begin with {");
    header = json_loadb((const char *)data + 8, (size_t)length,
                        JSON_REJECT_DUPLICATES, &why);
    if (!header)
        return ax_fail(err, AX_EFORMAT, "safetensors: header: %s", why.text);
    st = all_pieces(c, header, data + 8 + length, n - 8 - (size_t)length,
                    err);
    json_decref(header);
    return st == AX_OK ? st : ax_fail_in(err, "safetensors");
}
