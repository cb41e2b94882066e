/* The npy format of numpy, versions 1 to 3: a header that is a Python
 * dictionary, then the elements. Read strictly: what numpy.save would not
 * have written is refused. Pickled objects are never looked at. */
#include <stdlib.h>
#include <string.h>

#include "ax/element.h"
#include "ax/tensorfile.h"

#define HEADER_MAX ((size_t)1 << 16)

/* What the letters and sizes of a descr mean. */
static const struct {
    char kind;
    char size;
    ax_dtype dtype;
} types[] = {
    {'f', '2', AX_F16}, {'f', '4', AX_F32}, {'f', '8', AX_F64},
    {'i', '1', AX_I8},  {'i', '2', AX_I16}, {'i', '4', AX_I32},
    {'i', '8', AX_I64}, {'u', '1', AX_U8},  {'u', '2', AX_U16},
    {'u', '4', AX_U32}, {'u', '8', AX_U64}, {'b', '1', AX_BOOL},
};

/* -- the dictionary ------------------------------------------------------ */

struct header {
    ax_dtype dtype;
    size_t width; /* of a string, in letters of LETTER bytes */
    size_t letter;
    bool big_endian, fortran;
    int rank;
    int64_t dims[AX_RANK_MAX];
    unsigned seen; /* a bit a key */
};

/* A place in the header's text. */
struct cursor {
    const char *p, *end;
};

static void blanks(struct cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\n'))
        c->p++;
}

static bool take(struct cursor *c, const char *word)
{
    size_t n = strlen(word);

    blanks(c);
    if ((size_t)(c->end - c->p) < n || memcmp(c->p, word, n) != 0)
        return false;
    c->p += n;
    return true;
}

/* A quoted string without escapes. */
static bool quoted(struct cursor *c, char *buf, size_t n)
{
    const char *start;
    char quote;

    blanks(c);
    if (c->p == c->end || (*c->p != '\'' && *c->p != '"'))
        return false;
    quote = *c->p++;
    start = c->p;
    while (c->p < c->end && *c->p != quote && *c->p != '\\')
        c->p++;
    if (c->p == c->end || *c->p != quote || (size_t)(c->p - start) >= n)
        return false;
    memcpy(buf, start, (size_t)(c->p - start));
    buf[c->p - start] = '\0';
    c->p++;
    return true;
}

/* "S12" and "<U12": bytes, or code points of 32 bits, with zeros behind. */
static bool string_type(struct header *h, const char *s)
{
    char *end;
    unsigned long n;

    if (!(s[0] == '<' && s[1] == 'U') && !(s[0] == '|' && s[1] == 'S'))
        return false;
    if (s[2] < '0' || s[2] > '9')
        return false;
    n = strtoul(s + 2, &end, 10);
    if (*end || n > AX_STRING_SIZE)
        return false;
    h->width = n;
    h->letter = s[1] == 'U' ? 4 : 1;
    h->dtype = AX_STRING;
    return true;
}

static ax_status parse_descr(struct header *h, struct cursor *c,
                             struct ax_err *err)
{
    char s[32];

    if (!quoted(c, s, sizeof s))
        return ax_fail(err, AX_EUNSUPPORTED,
                       "npy header: descr is not a plain type (records are "
                       "not supported)");
    if (strcmp(s, "|O") == 0 || strcmp(s, "O") == 0)
        return ax_fail(err, AX_EFORMAT,
                       "npy header: pickled objects (descr '%s') are refused",
                       s);
    h->big_endian = s[0] == '>';
    if (strchr("<>|=", s[0]) && strlen(s) == 3)
        for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
            if (s[1] == types[i].kind && s[2] == types[i].size) {
                h->dtype = types[i].dtype;
                return AX_OK;
            }
    if (string_type(h, s))
        return AX_OK;
    for (char *p = s; *p; p++)
        *p = *p < ' ' || *p > '~' ? '?' : *p;
    return ax_fail(err, AX_EUNSUPPORTED, "npy header: element type '%s'", s);
}

static ax_status parse_shape(struct header *h, struct cursor *c,
                             struct ax_err *err)
{
    bool comma = false;

    h->rank = 0;
    if (!take(c, "("))
        return ax_fail(err, AX_EFORMAT, "npy header: shape is not a tuple");
    while (!take(c, ")")) {
        const char *start;
        int64_t v = 0;

        blanks(c);
        if (h->rank > 0 && !comma)
            return ax_fail(err, AX_EFORMAT,
                           "npy header: shape wants a "
                           "comma");
        if (h->rank == AX_RANK_MAX)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "npy header: more than %d dimensions",
                           AX_RANK_MAX);
        for (start = c->p; c->p < c->end && *c->p >= '0' && *c->p <= '9';
             c->p++) {
            if (v > (INT64_MAX - 9) / 10)
                return ax_fail(err, AX_EFORMAT,
                               "npy header: dimension %d is too large",
                               h->rank);
            v = v * 10 + (*c->p - '0');
        }
        if (c->p == start)
            return ax_fail(err, AX_EFORMAT,
                           "npy header: dimension %d is not a number",
                           h->rank);
        h->dims[h->rank++] = v;
        comma = take(c, ",");
    }
    if (h->rank == 1 && !comma)
        return ax_fail(err, AX_EFORMAT, "npy header: shape is not a tuple");
    return AX_OK;
}

static ax_status parse_order(struct header *h, struct cursor *c,
                             struct ax_err *err)
{
    h->fortran = take(c, "True");
    if (!h->fortran && !take(c, "False"))
        return ax_fail(err, AX_EFORMAT,
                       "npy header: fortran_order is neither True nor False");
    return AX_OK;
}

static ax_status parse_header(struct header *h, struct cursor *c,
                              struct ax_err *err)
{
    static const struct {
        const char *name;
        ax_status (*parse)(struct header *h, struct cursor *c,
                           struct ax_err *err);
    } keys[] = {{"descr", parse_descr},
                {"fortran_order", parse_order},
                {"shape", parse_shape}};
    bool comma = true;

    memset(h, 0, sizeof *h);
    if (!take(c, "{"))
        return ax_fail(err, AX_EFORMAT, "npy header: not a dictionary");
    while (!take(c, "}")) {
        char key[16];
        unsigned k = 0;

        if (!comma || !quoted(c, key, sizeof key) || !take(c, ":"))
            return ax_fail(err, AX_EFORMAT,
                           "npy header: no key where one "
                           "is wanted");
        while (k < 3 && strcmp(keys[k].name, key) != 0)
            k++;
        if (k == 3 || h->seen >> k & 1)
            return ax_fail(err, AX_EFORMAT,
                           "npy header: a key that is unknown or there "
                           "twice");
        h->seen |= 1u << k;
        AX_TRY(keys[k].parse(h, c, err));
        comma = take(c, ",");
    }
    blanks(c);
    if (h->seen != 7 || c->p != c->end)
        return ax_fail(err, AX_EFORMAT,
                       "npy header: wants descr, fortran_order and shape, "
                       "and nothing else");
    return AX_OK;
}

/* -- the elements -------------------------------------------------------- */

static void swap_bytes(struct ax_tensor *t)
{
    size_t size = ax_dtype_size(t->dtype);
    unsigned char *p = t->data;

    for (size_t at = 0; at + size <= t->nbytes; at += size)
        for (size_t i = 0; i < size / 2; i++) {
            unsigned char b = p[at + i];

            p[at + i] = p[at + size - 1 - i];
            p[at + size - 1 - i] = b;
        }
}

/* Elements in Fortran order: the first index runs fastest. */
static void copy_fortran(struct ax_tensor *t, const unsigned char *from)
{
    size_t size = ax_dtype_size(t->dtype), n = ax_tensor_count(t);

    for (size_t k = 0; k < n; k++, from += size) {
        size_t rest = k, at = 0, stride = 1;
        size_t index[AX_RANK_MAX];

        for (int d = 0; d < t->rank; d++) {
            index[d] = rest % (size_t)t->dims[d];
            rest /= (size_t)t->dims[d];
        }
        for (int d = t->rank - 1; d >= 0; d--) {
            at += index[d] * stride;
            stride *= (size_t)t->dims[d];
        }
        memcpy((unsigned char *)t->data + at * size, from, size);
    }
}

/* Where the header's text lies. */
static ax_status find_header(struct cursor *c, const unsigned char *data,
                             size_t n, struct ax_err *err)
{
    size_t at, len;

    if (n < 10 || memcmp(data, "\x93NUMPY", 6) != 0)
        return ax_fail(err, AX_EFORMAT, "not an npy file");
    if (data[6] < 1 || data[6] > 3 || data[7] != 0)
        return ax_fail(err, AX_EUNSUPPORTED, "npy version %d.%d", data[6],
                       data[7]);
    at = data[6] == 1 ? 10 : 12;
    if (n < at)
        return ax_fail(err, AX_EFORMAT, "npy header: cut short");
    len = data[8] | (size_t)data[9] << 8;
    if (at == 12)
        len |= (size_t)data[10] << 16 | (size_t)data[11] << 24;
    if (len > n - at || len > HEADER_MAX)
        return ax_fail(err, AX_EFORMAT,
                       "npy header: has %zu bytes, the file %zu", len, n);
    c->p = (const char *)data + at;
    c->end = c->p + len;
    return AX_OK;
}

/* One code point as UTF-8, at most 4 bytes; 0 if it is none. */
static size_t put_utf8(char to[4], uint32_t c)
{
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};

    if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 0;
    for (size_t k = n; k-- > 1; c >>= 6)
        to[k] = (char)(0x80 | (c & 0x3f));
    to[0] = (char)(lead[n] | c);
    return n;
}

/* One string of the file, of h->width letters up to the zeros. */
static ax_status read_string(char to[AX_STRING_SIZE], const struct header *h,
                             const unsigned char *from, struct ax_err *err)
{
    size_t n = 0;
    bool ended = false;

    for (size_t i = 0; i < h->width; i++, from += h->letter) {
        uint32_t c = from[0];
        size_t k = 1;
        char u[4] = {(char)c};

        if (h->letter == 4) {
            c |= (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 |
                 (uint32_t)from[3] << 24;
            k = put_utf8(u, c);
        }
        ended = ended || c == 0;
        if (ended && c == 0)
            continue;
        if (ended || k == 0 || n + k > AX_STRING_SIZE)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "npy data: a string of more than %d bytes, with a "
                           "zero inside, or that is no text",
                           AX_STRING_SIZE);
        memcpy(to + n, u, k);
        n += k;
    }
    return AX_OK;
}

ax_status ax_npy_read_strings(struct ax_tensor *out,
                              const unsigned char *data, size_t n,
                              struct ax_err *err)
{
    struct header h;
    struct cursor c;
    size_t at, count, each;
    ax_status st = AX_OK;

    AX_TRY(find_header(&c, data, n, err));
    at = (size_t)(c.end - (const char *)data);
    AX_TRY(parse_header(&h, &c, err));
    if (h.dtype != AX_STRING || (h.fortran && h.rank > 1))
        return ax_fail(err, AX_EFORMAT,
                       "npy header: wants strings in C order");
    each = h.width * h.letter;
    AX_TRY(ax_shape_count(&count, h.rank, h.dims, AX_STRING_SIZE, err));
    if (n - at != count * each || (each == 0 && count > n))
        return ax_fail(err, AX_EFORMAT, "npy data: wants %zu bytes, has %zu",
                       count * each, n - at);
    AX_TRY(ax_tensor_new(out, AX_STRING, h.rank, h.dims, err));
    for (size_t i = 0; i < count && st == AX_OK; i++)
        st = read_string((char *)out->data + i * AX_STRING_SIZE, &h,
                         data + at + i * each, err);
    if (st != AX_OK)
        ax_tensor_free(out);
    return st;
}

ax_status ax_npy_read(struct ax_tensor *out, const unsigned char *data,
                      size_t n, struct ax_err *err)
{
    struct header h;
    struct cursor c;
    size_t at, count, want;

    AX_TRY(find_header(&c, data, n, err));
    at = (size_t)(c.end - (const char *)data);
    AX_TRY(parse_header(&h, &c, err));
    if (h.dtype == AX_STRING)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "npy header: strings where numbers are wanted");
    if (ax_shape_count(&count, h.rank, h.dims, ax_dtype_size(h.dtype), err) !=
        AX_OK) {
        err->code = AX_EFORMAT;
        return ax_fail_in(err, "npy header");
    }
    want = count * ax_dtype_size(h.dtype);
    if (n - at != want)
        return ax_fail(err, AX_EFORMAT, "npy data: wants %zu bytes, has %zu",
                       want, n - at);
    AX_TRY(ax_tensor_new(out, h.dtype, h.rank, h.dims, err));
    if (h.fortran && h.rank > 1)
        copy_fortran(out, data + at);
    else if (want > 0)
        memcpy(out->data, data + at, want);
    if (h.big_endian)
        swap_bytes(out);
    if (h.dtype == AX_BOOL)
        for (size_t i = 0; i < count; i++)
            ((uint8_t *)out->data)[i] = ((uint8_t *)out->data)[i] != 0;
    return AX_OK;
}

/* -- writing ------------------------------------------------------------- */

static ax_status write_header(FILE *f, const struct ax_tensor *t,
                              struct ax_err *err)
{
    unsigned char head[10] = "\x93NUMPY\x01";
    char text[320], descr[16] = "";
    size_t n, pad;

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].dtype == t->dtype)
            snprintf(descr, sizeof descr, "%c%c%c",
                     types[i].size == '1' ? '|' : '<', types[i].kind,
                     types[i].size);
    if (t->dtype == AX_STRING)
        snprintf(descr, sizeof descr, "|S%d", AX_STRING_SIZE);
    n = (size_t)snprintf(text, sizeof text,
                         "{'descr': '%s', 'fortran_order': False, "
                         "'shape': (",
                         descr);
    for (int i = 0; i < t->rank; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%lld",
                              i ? ", " : "", (long long)t->dims[i]);
    n += (size_t)snprintf(text + n, sizeof text - n, "%s), }",
                          t->rank == 1 ? "," : "");
    pad = 64 - (sizeof head + n + 1) % 64;
    pad = pad == 64 ? 0 : pad;
    head[8] = (unsigned char)((n + pad + 1) & 255);
    head[9] = (unsigned char)((n + pad + 1) >> 8);
    fwrite(head, 1, sizeof head, f);
    if (fprintf(f, "%s%*s\n", text, (int)pad, "") < 0)
        return ax_fail(err, AX_EIO, "cannot write");
    return AX_OK;
}

/* The type that takes one that numpy does not know: what is not exact in
 * eight bits of a whole number is a float32. */
static ax_dtype nearest(ax_dtype t)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].dtype == t)
            return t;
    if (t == AX_STRING)
        return t;
    return ax_dtype_class(t) == AX_CLASS_REAL     ? AX_F32
           : ax_dtype_class(t) == AX_CLASS_SIGNED ? AX_I8
                                                  : AX_U8;
}

ax_status ax_npy_write(FILE *f, const struct ax_tensor *t, struct ax_err *err)
{
    ax_dtype known = nearest(t->dtype);

    if (known != t->dtype) {
        struct ax_tensor wide;
        ax_status st;

        AX_TRY(ax_tensor_cast(&wide, t, known, err));
        st = ax_npy_write(f, &wide, err);
        ax_tensor_free(&wide);
        return st;
    }
    AX_TRY(write_header(f, t, err));
    if (t->nbytes && fwrite(t->data, 1, t->nbytes, f) != t->nbytes)
        return ax_fail(err, AX_EIO, "cannot write");
    return AX_OK;
}
