/* Tables, fields and vectors in a FlatBuffer. */
#include "formats/tflite/flat.h"

#include <string.h>

/* The n bytes at a place, or NULL. */
static const unsigned char *bytes(struct flat *f, size_t at, size_t n)
{
    if (at > f->n || f->n - at < n) {
        f->bad = true;
        return NULL;
    }
    return f->p + at;
}

static uint64_t little(const unsigned char *p, int n)
{
    uint64_t v = 0;

    for (int i = 0; p && i < n; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

/* What an offset at a place leads to; 0 if that is bad. */
static size_t follow(struct flat *f, size_t at)
{
    size_t to = (size_t)little(bytes(f, at, 4), 4);

    if (f->bad || to == 0 || to >= f->n - at) {
        f->bad = true;
        return 0;
    }
    return at + to;
}

size_t flat_root(struct flat *f)
{
    return follow(f, 0);
}

/* Where a field is; 0 if it is missing. */
static size_t place(struct flat *f, size_t table, int field)
{
    size_t back, vtable, slot = 4 + 2 * (size_t)field, off;
    int32_t signed_back;

    if (table == 0)
        return 0;
    signed_back = (int32_t)little(bytes(f, table, 4), 4);
    back = (size_t)(int64_t)signed_back; /* wraps if it is negative */
    vtable = table - back;
    if (f->bad || !bytes(f, vtable, 4))
        return 0;
    if (little(f->p + vtable, 2) < slot + 2)
        return 0;
    off = (size_t)little(bytes(f, vtable + slot, 2), 2);
    return off && !f->bad ? table + off : 0;
}

size_t flat_table(struct flat *f, size_t table, int field)
{
    size_t at = place(f, table, field);

    return at ? follow(f, at) : 0;
}

static int64_t with_sign(uint64_t v, int size)
{
    switch (size) {
    case 1:
        return (int8_t)v;
    case 2:
        return (int16_t)v;
    case 4:
        return (int32_t)v;
    default:
        return (int64_t)v;
    }
}

int64_t flat_int(struct flat *f, size_t table, int field, int size,
                 int64_t otherwise)
{
    size_t at = place(f, table, field);

    return at ? with_sign(little(bytes(f, at, (size_t)size), size), size)
              : otherwise;
}

float flat_float(struct flat *f, size_t table, int field, float otherwise)
{
    size_t at = place(f, table, field);
    uint32_t bits = (uint32_t)(at ? little(bytes(f, at, 4), 4) : 0);
    float v;

    memcpy(&v, &bits, sizeof v);
    return at ? v : otherwise;
}

struct flat_vector flat_vector(struct flat *f, size_t table, int field,
                               size_t size)
{
    size_t at = flat_table(f, table, field), n;

    if (at == 0)
        return (struct flat_vector){NULL, 0};
    n = (size_t)little(bytes(f, at, 4), 4);
    if (f->bad || n > (f->n - at - 4) / size) {
        f->bad = true;
        return (struct flat_vector){NULL, 0};
    }
    return (struct flat_vector){f->p + at + 4, n};
}

size_t flat_element(struct flat *f, struct flat_vector v, size_t i)
{
    return i < v.n ? follow(f, (size_t)(v.p - f->p) + 4 * i) : 0;
}

int64_t flat_number(struct flat_vector v, size_t i, int size)
{
    return i < v.n ? with_sign(little(v.p + i * (size_t)size, size), size)
                   : 0;
}
