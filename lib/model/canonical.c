/* A first look at the bytes of a header, before protobuf-c unpacks them.
 * protobuf-c recurses as deep as a message is nested, keeps fields that it
 * does not know, and allocates for each of millions of empty messages: what
 * would make it do so is refused here. Everything else that makes a header
 * canonical shows when it is packed again: see decode.c. */
#include <inttypes.h>

#include "lib/model/axm.pb-c.h"
#include "model/internal.h"

/* What a header may take in memory: so much a byte, and so much in all. */
enum { COST_PER_BYTE = 128, COST_FREE = 16 << 20, COST_MAX = 512 << 20 };
/* Besides its own struct, a message takes a pointer to it, and a struct of
 * ours. */
enum { COST_MESSAGE = 200, COST_FIELD = 64 };

struct look {
    const uint8_t *start, *p, *end;
    uint64_t cost;
};

static ax_status bad(const struct look *l, const char *what,
                     struct ax_err *err)
{
    return ax_fail(err, AX_EFORMAT, "header, byte %zu: %s",
                   (size_t)(l->p - l->start), what);
}

static ax_status varint(struct look *l, uint64_t *out, struct ax_err *err)
{
    uint64_t v = 0;

    for (int shift = 0; shift < 64 && l->p < l->end; shift += 7) {
        uint8_t b = *l->p++;

        if (shift == 63 && b > 1)
            break;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80) {
            if (b == 0 && shift > 0)
                return bad(l, "a number is not in its shortest form", err);
            *out = v;
            return AX_OK;
        }
    }
    return bad(l, "a number does not end", err);
}

static ax_status skip(struct look *l, uint64_t n, struct ax_err *err)
{
    if (n > (size_t)(l->end - l->p))
        return bad(l, "a field is longer than what holds it", err);
    l->p += n;
    return AX_OK;
}

static ax_status message(struct look *l,
                         const ProtobufCMessageDescriptor *type, int depth,
                         struct ax_err *err);

/* A field with a length: a string, bytes, packed numbers or a message. */
static ax_status counted(struct look *l,
                         const ProtobufCFieldDescriptor *field, int depth,
                         struct ax_err *err)
{
    const uint8_t *outer = l->end, *body;
    uint64_t n;
    ax_status st = AX_OK;

    AX_TRY(varint(l, &n, err));
    body = l->p;
    AX_TRY(skip(l, n, err));
    if (field->type == PROTOBUF_C_TYPE_STRING &&
        !ax_is_utf8((const char *)body, (size_t)n))
        return bad(l, "a string is not UTF-8", err);
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        l->p = body;
        l->end = body + n;
        st = message(l, field->descriptor, depth + 1, err);
        l->end = outer;
    }
    /* Packed numbers of one byte take up to eight in memory. */
    l->cost += 8 * n;
    return st;
}

static ax_status value(struct look *l, const ProtobufCFieldDescriptor *field,
                       unsigned wire, int depth, struct ax_err *err)
{
    uint64_t ignored;

    switch (wire) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        return varint(l, &ignored, err);
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        return skip(l, 8, err);
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        return counted(l, field, depth, err);
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        return skip(l, 4, err);
    default:
        return bad(l, "an unknown wire type", err);
    }
}

static ax_status message(struct look *l,
                         const ProtobufCMessageDescriptor *type, int depth,
                         struct ax_err *err)
{
    uint64_t tag, last = 0;

    if (depth > AX_DEPTH_MAX)
        return bad(l, "messages are nested more than 64 deep", err);
    l->cost += type->sizeof_message + COST_MESSAGE;
    while (l->p < l->end) {
        const ProtobufCFieldDescriptor *field;

        AX_TRY(varint(l, &tag, err));
        if (tag >> 3 < last)
            return bad(l, "fields are not in ascending order", err);
        last = tag >> 3;
        field = tag >> 3 > UINT32_MAX
                    ? NULL
                    : protobuf_c_message_descriptor_get_field(
                          type, (unsigned)(tag >> 3));
        if (!field)
            return bad(l, "a field that axm(5) does not know", err);
        l->cost += COST_FIELD;
        AX_TRY(value(l, field, tag & 7, depth, err));
        if (l->cost > COST_MAX ||
            l->cost >
                COST_FREE + COST_PER_BYTE * (uint64_t)(l->end - l->start))
            return bad(l, "so many small messages are not justified", err);
    }
    return AX_OK;
}

ax_status axm_check_header(const uint8_t *data, size_t n, struct ax_err *err)
{
    struct look l = {data, data, data + n, 0};

    return message(&l, &ax__v1__model__descriptor, 1, err);
}
