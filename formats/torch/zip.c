/* Zip archives as PyTorch writes and reads them, in memory. The directory at
 * the end is what counts; local headers must agree with it, so that no other
 * reader can see another archive in the same bytes. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "formats/torch/torch.h"

enum {
    LOCAL = 0x04034b50,
    CENTRAL = 0x02014b50,
    END = 0x06054b50,
    END64 = 0x06064b50,
    LOCATOR64 = 0x07064b50,
    LOCAL_SIZE = 30,
    CENTRAL_SIZE = 46,
    END_SIZE = 22,
    END64_SIZE = 56,
    LOCATOR64_SIZE = 20,
    ENCRYPTED = 1 | 1 << 6 | 1 << 13,
    DESCRIPTOR = 1 << 3, /* sizes are behind the data */
    EXTRA64 = 1,         /* the extra field with 64-bit sizes */
};

/* No zip file was ever made by deflating more than this to one byte. */
enum { DEFLATE_MAX = 1032, BUDGET_FACTOR = 16, BUDGET_FIXED = 64 << 20 };

size_t torch_zip_budget(size_t n)
{
    return n > (SIZE_MAX - BUDGET_FIXED) / BUDGET_FACTOR
               ? SIZE_MAX
               : n * BUDGET_FACTOR + BUDGET_FIXED;
}

/* ---- the directory ---- */

struct directory {
    const unsigned char *data; /* the archive */
    size_t n;
    size_t start, end; /* of the directory */
    uint64_t members;
};

/* What the 64-bit end says; the one of 32 bits must not contradict it. */
static ax_status take_end64(struct directory *d, size_t at, uint64_t *size,
                            uint64_t *start, struct ax_err *err)
{
    const unsigned char *old = d->data + at, *p;
    uint64_t end = torch_le(old - LOCATOR64_SIZE + 8, 8);

    if (at < LOCATOR64_SIZE + END64_SIZE ||
        end > at - LOCATOR64_SIZE - END64_SIZE ||
        torch_le(d->data + end, 4) != END64 ||
        torch_le(d->data + end + 4, 8) != at - LOCATOR64_SIZE - end - 12)
        return ax_fail(err, AX_EFORMAT, "zip: its 64-bit end is damaged");
    p = d->data + end;
    if (torch_le(p + 16, 4) || torch_le(p + 20, 4) ||
        torch_le(p + 24, 8) != torch_le(p + 32, 8))
        return ax_fail(err, AX_EUNSUPPORTED,
                       "zip: of several disks, which is not supported");
    d->members = torch_le(p + 32, 8);
    *size = torch_le(p + 40, 8);
    *start = torch_le(p + 48, 8);
    d->end = (size_t)end;
    if ((torch_le(old + 10, 2) != d->members &&
         torch_le(old + 10, 2) != UINT16_MAX) ||
        (torch_le(old + 12, 4) != *size &&
         torch_le(old + 12, 4) != UINT32_MAX) ||
        (torch_le(old + 16, 4) != *start &&
         torch_le(old + 16, 4) != UINT32_MAX))
        return ax_fail(err, AX_EFORMAT, "zip: its two ends do not agree");
    return AX_OK;
}

/* Where the end record is: a comment, of at most 65535 bytes, may follow,
 * and must end the file. */
static ax_status find_end(size_t *out, const struct directory *d,
                          struct ax_err *err)
{
    size_t at = d->n >= END_SIZE ? d->n - END_SIZE : 0, comment;

    if (d->n < END_SIZE)
        return ax_fail(err, AX_EFORMAT, "zip: cut short");
    for (;; at--) {
        comment = d->n - at - END_SIZE;
        if (torch_le(d->data + at, 4) == END &&
            torch_le(d->data + at + 20, 2) == comment)
            break;
        if (at == 0 || comment == UINT16_MAX)
            return ax_fail(err, AX_EFORMAT,
                           "zip: no end of a directory: cut short?");
    }
    *out = at;
    return AX_OK;
}

static ax_status find_directory(struct directory *d, struct ax_err *err)
{
    const unsigned char *p = NULL;
    uint64_t size = 0, start = 0;
    size_t at = 0;

    AX_TRY(find_end(&at, d, err));
    p = d->data + at;
    d->members = torch_le(p + 10, 2);
    size = torch_le(p + 12, 4);
    start = torch_le(p + 16, 4);
    d->end = at;
    if (at >= LOCATOR64_SIZE && torch_le(p - LOCATOR64_SIZE, 4) == LOCATOR64)
        AX_TRY(take_end64(d, at, &size, &start, err));
    else if (torch_le(p + 4, 2) || torch_le(p + 6, 2) ||
             torch_le(p + 8, 2) != d->members)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "zip: of several disks, which is not supported");
    if (start > d->end || size != d->end - start)
        return ax_fail(err, AX_EFORMAT,
                       "zip: its directory is not where the end says");
    d->start = (size_t)start;
    if (d->members > size / CENTRAL_SIZE)
        return ax_fail(err, AX_EFORMAT,
                       "zip: more members than its directory has room for");
    return AX_OK;
}

/* 64-bit numbers of an extra field, for those that are all ones. */
static ax_status wide(const unsigned char *extra, size_t n,
                      uint64_t *const *number, unsigned count,
                      struct ax_err *err)
{
    while (n >= 4) {
        size_t size = (size_t)torch_le(extra + 2, 2);

        if (size > n - 4)
            break;
        if (torch_le(extra, 2) == EXTRA64) {
            const unsigned char *p = extra + 4;

            for (unsigned i = 0; i < count; i++)
                if (number[i] && *number[i] == UINT32_MAX) {
                    if (size < 8)
                        return ax_fail(err, AX_EFORMAT,
                                       "zip: a 64-bit size is missing");
                    *number[i] = torch_le(p, 8);
                    p += 8;
                    size -= 8;
                }
            return AX_OK;
        }
        extra += 4 + size;
        n -= 4 + size;
    }
    return AX_OK;
}

static ax_status check_name(struct torch_text name, struct ax_err *err)
{
    bool part = true; /* at the start of a part */

    for (size_t i = 0; i < name.n; i++) {
        const char *s = name.s + i;
        size_t left = name.n - i;

        if (*s == '\\' || (unsigned char)*s < 0x20 || (part && *s == '/') ||
            (part && left >= 2 && s[0] == '.' && s[1] == '.' &&
             (left == 2 || s[2] == '/')))
            return ax_fail(err, AX_EFORMAT,
                           "zip: a member is called '%s', which is no "
                           "plain path",
                           torch_show(name).s);
        part = *s == '/';
    }
    if (!name.n)
        return ax_fail(err, AX_EFORMAT, "zip: a member has no name");
    return AX_OK;
}

/* The local header says what the directory said. */
static ax_status check_local(struct torch_member *m,
                             const struct directory *d, uint64_t offset,
                             struct ax_err *err)
{
    const unsigned char *p = d->data + offset;
    uint64_t packed, n, name, extra;

    if (offset > d->start || d->start - offset < LOCAL_SIZE ||
        torch_le(p, 4) != LOCAL)
        return ax_fail(err, AX_EFORMAT, "has no local header");
    packed = torch_le(p + 18, 4);
    n = torch_le(p + 22, 4);
    name = torch_le(p + 26, 2);
    extra = torch_le(p + 28, 2);
    if (d->start - offset - LOCAL_SIZE < name + extra)
        return ax_fail(err, AX_EFORMAT, "its local header is cut short");
    AX_TRY(wide(p + LOCAL_SIZE + name, (size_t)extra,
                (uint64_t *[]){&n, &packed}, 2, err));
    if (!torch_same(m->name, (struct torch_text){(const char *)p + LOCAL_SIZE,
                                                 (size_t)name}) ||
        torch_le(p + 8, 2) != m->method || torch_le(p + 6, 2) != m->flags)
        return ax_fail(err, AX_EFORMAT,
                       "local header and directory do not agree");
    if (!(m->flags & DESCRIPTOR && !packed && !n) &&
        (packed != m->n_packed || n != m->n))
        return ax_fail(err, AX_EFORMAT,
                       "local header and directory do not agree on its size");
    if (torch_le(p + 14, 4) != m->crc &&
        !(m->flags & DESCRIPTOR && torch_le(p + 14, 4) == 0))
        return ax_fail(err, AX_EFORMAT,
                       "local header and directory do not agree on its CRC");
    m->packed = p + LOCAL_SIZE + name + extra;
    if (m->n_packed > (size_t)(d->data + d->start - m->packed))
        return ax_fail(err, AX_EFORMAT, "is cut short");
    m->header = (size_t)offset;
    return AX_OK;
}

static ax_status read_member(struct torch_member *m, size_t *at,
                             const struct directory *d, struct ax_err *err)
{
    const unsigned char *p = d->data + *at;
    size_t left = d->end - *at, name, extra, comment;
    uint64_t packed, n, offset;

    if (left < CENTRAL_SIZE || torch_le(p, 4) != CENTRAL)
        return ax_fail(err, AX_EFORMAT, "zip: its directory is damaged");
    name = (size_t)torch_le(p + 28, 2);
    extra = (size_t)torch_le(p + 30, 2);
    comment = (size_t)torch_le(p + 32, 2);
    if (left - CENTRAL_SIZE < name + extra + comment)
        return ax_fail(err, AX_EFORMAT, "zip: its directory is cut short");
    packed = torch_le(p + 20, 4);
    n = torch_le(p + 24, 4);
    offset = torch_le(p + 42, 4);
    AX_TRY(wide(p + CENTRAL_SIZE + name, extra,
                (uint64_t *[]){&n, &packed, &offset}, 3, err));
    *m = (struct torch_member){
        .name = {(const char *)p + CENTRAL_SIZE, name},
        .flags = (unsigned)torch_le(p + 8, 2),
        .method = (unsigned)torch_le(p + 10, 2),
        .crc = (uint32_t)torch_le(p + 16, 4),
        .n_packed = (size_t)packed,
        .n = (size_t)n,
    };
    *at += CENTRAL_SIZE + name + extra + comment;
    AX_TRY(check_name(m->name, err));
    if (m->flags & ENCRYPTED)
        return ax_fail(err, AX_EUNSUPPORTED, "zip: member '%s' is encrypted",
                       torch_show(m->name).s);
    if (m->method != 0 && m->method != 8)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "zip: member '%s' is packed by method %u, which is "
                       "not supported",
                       torch_show(m->name).s, m->method);
    if (m->method == 0 ? m->n != m->n_packed
                       : m->n / DEFLATE_MAX > m->n_packed)
        return ax_fail(err, AX_EFORMAT,
                       "zip: member '%s' cannot have %zu bytes out of %zu",
                       torch_show(m->name).s, m->n, m->n_packed);
    if (check_local(m, d, offset, err) != AX_OK)
        return ax_fail_in(err, "zip: member '%s'", torch_show(m->name).s);
    return AX_OK;
}

/* ---- what only all members together show ---- */

static int by_place(const void *a, const void *b)
{
    const struct torch_member *const *x = a, *const *y = b;

    return ((*x)->header > (*y)->header) - ((*x)->header < (*y)->header);
}

/* Nothing overlaps, and between two members there is room for a descriptor
 * alone. */
static ax_status check_places(const struct torch_zip *z,
                              const struct directory *d, struct ax_err *err)
{
    const struct torch_member **v = calloc(z->n + 1, sizeof *v);
    size_t end = 0;
    ax_status st = AX_OK;

    if (!v)
        return ax_fail(err, AX_ENOMEM, "no memory for a directory");
    for (size_t i = 0; i < z->n; i++)
        v[i] = &z->v[i];
    qsort(v, z->n, sizeof *v, by_place);
    for (size_t i = 0; i <= z->n && st == AX_OK; i++) {
        size_t start = i < z->n ? v[i]->header : d->start;
        size_t spare = i && v[i - 1]->flags & DESCRIPTOR ? 24 : 0;

        if (start < end)
            st = ax_fail(err, AX_EFORMAT,
                         "zip: members '%s' and '%s' overlap",
                         torch_show(v[i - 1]->name).s,
                         i < z->n ? torch_show(v[i]->name).s : "directory");
        else if (start - end > spare)
            st = ax_fail(err, AX_EFORMAT,
                         "zip: %zu bytes at byte %zu belong to no member",
                         start - end, end);
        if (i < z->n)
            end = (size_t)(v[i]->packed - d->data) + v[i]->n_packed;
    }
    free(v);
    return st;
}

static int compare(struct torch_text a, struct torch_text b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.s, b.s, n) : 0;

    return c ? c : (a.n > b.n) - (a.n < b.n);
}

struct sorted {
    struct torch_text name;
    uint32_t i;
};

static int by_name(const void *a, const void *b)
{
    const struct sorted *x = a, *y = b;

    return compare(x->name, y->name);
}

static ax_status sort_names(struct torch_zip *z, struct ax_err *err)
{
    struct sorted *v = calloc(z->n + 1, sizeof *v);
    ax_status st = AX_OK;

    z->by_name = calloc(z->n + 1, sizeof *z->by_name);
    if (!v || !z->by_name) {
        free(v);
        return ax_fail(err, AX_ENOMEM, "no memory for a directory");
    }
    for (size_t i = 0; i < z->n; i++)
        v[i] = (struct sorted){z->v[i].name, (uint32_t)i};
    qsort(v, z->n, sizeof *v, by_name);
    for (size_t i = 0; i < z->n && st == AX_OK; i++) {
        z->by_name[i] = v[i].i;
        if (i && torch_same(v[i - 1].name, v[i].name))
            st = ax_fail(err, AX_EFORMAT, "zip: two members are called '%s'",
                         torch_show(v[i].name).s);
    }
    free(v);
    return st;
}

ax_status torch_zip_open(struct torch_zip *z, const unsigned char *data,
                         size_t n, struct ax_err *err)
{
    struct directory d = {.data = data, .n = n};
    size_t at = 0;

    *z = (struct torch_zip){0};
    AX_TRY(find_directory(&d, err));
    if (d.members > UINT32_MAX - 1)
        return ax_fail(err, AX_EFORMAT, "zip: too many members");
    z->v = calloc((size_t)d.members + 1, sizeof *z->v);
    if (!z->v)
        return ax_fail(err, AX_ENOMEM, "no memory for a directory");
    at = d.start;
    for (uint64_t i = 0; i < d.members; i++) {
        AX_TRY(read_member(&z->v[i], &at, &d, err));
        z->n++;
    }
    if (at != d.end)
        return ax_fail(err, AX_EFORMAT,
                       "zip: its directory has more than %zu members", z->n);
    AX_TRY(check_places(z, &d, err));
    return sort_names(z, err);
}

void torch_zip_free(struct torch_zip *z)
{
    free(z->v);
    free(z->by_name);
    *z = (struct torch_zip){0};
}

const struct torch_member *torch_zip_find(const struct torch_zip *z,
                                          struct torch_text name)
{
    size_t lo = 0, hi = z->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = compare(name, z->v[z->by_name[mid]].name);

        if (c == 0)
            return &z->v[z->by_name[mid]];
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

/* ---- contents ---- */

/* Inflate into N bytes; *got is how many there were. AX_EFORMAT if the data
 * are damaged, or end before or after that. */
static ax_status inflate_all(unsigned char *out, size_t n, size_t *got,
                             const unsigned char *data, size_t n_data,
                             struct ax_err *err)
{
    z_stream s = {0};
    size_t left_in = n_data, left_out = n;
    int rc = inflateInit2(&s, -MAX_WBITS);

    *got = 0;
    if (rc != Z_OK)
        return ax_fail(err, AX_ENOMEM, "no memory to decompress");
    /* zlib only reads what next_in points to. */
    memcpy(&s.next_in, &data, sizeof s.next_in);
    s.next_out = out;
    while (rc == Z_OK) {
        if (!s.avail_in) {
            s.avail_in = left_in < 1u << 30 ? (uInt)left_in : 1u << 30;
            left_in -= s.avail_in;
        }
        if (!s.avail_out) {
            s.avail_out = left_out < 1u << 30 ? (uInt)left_out : 1u << 30;
            left_out -= s.avail_out;
        }
        rc = inflate(&s, Z_NO_FLUSH);
    }
    *got = (size_t)(s.next_out - out);
    left_in += s.avail_in;
    inflateEnd(&s);
    if (rc == Z_MEM_ERROR)
        return ax_fail(err, AX_ENOMEM, "no memory to decompress");
    if (rc != Z_STREAM_END || *got != n || left_in)
        return ax_fail(err, AX_EFORMAT, "its compressed data are damaged");
    return AX_OK;
}

ax_status torch_inflate(unsigned char **out, size_t *n,
                        const unsigned char *data, size_t n_data, size_t max,
                        struct ax_err *err)
{
    size_t room = n_data > max / DEFLATE_MAX ? max : n_data * DEFLATE_MAX;
    struct ax_err why = {0};

    *n = 0;
    *out = malloc(room + 1);
    if (!*out)
        return ax_fail(err, AX_ENOMEM, "no memory for %zu bytes", room);
    if (inflate_all(*out, room, n, data, n_data, &why) == AX_ENOMEM) {
        free(*out);
        *out = NULL;
        *err = why;
        return AX_ENOMEM;
    }
    return AX_OK;
}

static uint32_t crc_of(const unsigned char *p, size_t n)
{
    return (uint32_t)crc32_z(crc32_z(0, NULL, 0), p, n);
}

ax_status torch_zip_bytes(const unsigned char **out, size_t *budget,
                          struct ax_arena *arena,
                          const struct torch_member *m, struct ax_err *err)
{
    unsigned char *room;
    ax_status st = AX_OK;
    size_t got;

    *out = m->packed;
    if (m->method == 8) {
        if (m->n > *budget)
            return ax_fail(err, AX_EFORMAT,
                           "zip: member '%s' would decompress to %zu bytes, "
                           "far more than the file has",
                           torch_show(m->name).s, m->n);
        *budget -= m->n;
        room = ax_arena_alloc(arena, m->n + 1, 1);
        if (!room)
            return ax_fail(err, AX_ENOMEM, "no memory for %zu bytes", m->n);
        st = inflate_all(room, m->n, &got, m->packed, m->n_packed, err);
        *out = room;
    }
    if (st == AX_OK && crc_of(*out, m->n) != m->crc)
        st = ax_fail(err, AX_EFORMAT, "has another CRC than it should");
    return st == AX_OK
               ? st
               : ax_fail_in(err, "zip: member '%s'", torch_show(m->name).s);
}
