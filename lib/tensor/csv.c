/* Rows of numbers between commas, and numbers as text. The decimal point is
 * a point whatever the locale: programs of this suite never set one. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ax/element.h"
#include "ax/tensorfile.h"

#define FIELD_MAX                                               \
    400 /* the longest exact double has some 770 digits; nobody \
           writes half of it */

/* -- one number ---------------------------------------------------------- */

/* The characters of a decimal number, nan and inf: strtod alone would take
 * hexadecimal ones. */
static bool looks_decimal(const char *s)
{
    if (*s == '+' || *s == '-')
        s++;
    if (strcasecmp(s, "nan") == 0 || strcasecmp(s, "inf") == 0 ||
        strcasecmp(s, "infinity") == 0)
        return true;
    return *s && strspn(s, "0123456789.eE+-") == strlen(s);
}

static bool parse_real(struct ax_tensor *t, size_t i, const char *s)
{
    double x;
    char *end;

    if (!looks_decimal(s))
        return false;
    if (t->dtype == AX_F32)
        x = (double)strtof(s, &end);
    else
        x = strtod(s, &end);
    if (*end)
        return false;
    ax_put_f64(t->dtype, t->data, i, &x, 1);
    return true;
}

/* Integers may be written as 3.0 too, as spreadsheets do. */
static bool parse_integer(struct ax_tensor *t, size_t i, const char *s)
{
    int64_t v, back;
    char *end;

    errno = 0;
    if (t->dtype == AX_U64) {
        v = (int64_t)strtoull(s, &end, 10);
        if (*s == '-')
            return false;
    } else {
        v = strtoll(s, &end, 10);
    }
    if (end == s || errno)
        return false;
    if (*end == '.')
        end += 1 + strspn(end + 1, "0");
    if (*end)
        return false;
    ax_put_i64(t->dtype, t->data, i, &v, 1);
    ax_get_i64(&back, t->dtype, t->data, i, 1);
    return back == v;
}

static bool parse_number(struct ax_tensor *t, size_t i, const char *s)
{
    return ax_dtype_class(t->dtype) == AX_CLASS_REAL ? parse_real(t, i, s)
                                                     : parse_integer(t, i, s);
}

char *ax_number_text(char *buf, size_t n, const struct ax_tensor *t, size_t i)
{
    int digits = t->dtype == AX_F64 ? 15 : 6, most = digits + 3;
    double x;

    if (ax_dtype_class(t->dtype) != AX_CLASS_REAL) {
        int64_t v;

        ax_get_i64(&v, t->dtype, t->data, i, 1);
        if (t->dtype == AX_U64)
            snprintf(buf, n, "%" PRIu64, (uint64_t)v);
        else
            snprintf(buf, n, "%" PRId64, v);
        return buf;
    }
    ax_get_f64(&x, t->dtype, t->data, i, 1);
    do {
        snprintf(buf, n, "%.*g", digits, x);
    } while (!isnan(x) && digits++ < most &&
             (t->dtype == AX_F64 ? strtod(buf, NULL) != x
                                 : (double)strtof(buf, NULL) != x));
    return buf;
}

/* -- reading ------------------------------------------------------------- */

/* A place in the text. */
struct text {
    const char *p, *end;
    size_t line, column; /* of the field, from 1 */
};

/* The next field of this line without the blanks around it. *last: it was
 * the line's last. */
static ax_status field(char *buf, struct text *t, bool *last,
                       struct ax_err *err)
{
    const char *from = t->p, *to;

    while (t->p < t->end && *t->p != ',' && *t->p != '\n')
        t->p++;
    to = t->p;
    *last = t->p == t->end || *t->p == '\n';
    if (t->p < t->end)
        t->p++;
    t->column++;
    while (from < to && (*from == ' ' || *from == '\t'))
        from++;
    while (to > from && strchr(" \t\r", to[-1]) && to[-1])
        to--;
    if (to - from >= FIELD_MAX || memchr(from, 0, (size_t)(to - from)))
        return ax_fail(err, AX_EFORMAT, "line %zu, column %zu: not a number",
                       t->line, t->column);
    memcpy(buf, from, (size_t)(to - from));
    buf[to - from] = '\0';
    return AX_OK;
}

static bool blank_line(const struct text *t)
{
    const char *p = t->p;

    while (p < t->end && (*p == ' ' || *p == '\t' || *p == '\r'))
        p++;
    return p == t->end || *p == '\n';
}

static void skip_line(struct text *t)
{
    while (t->p < t->end && *t->p++ != '\n')
        ;
    t->line++;
}

/* Rows and columns; moves T to the first row of numbers. */
static ax_status measure(struct text *t, int64_t dims[2], ax_dtype dtype,
                         struct ax_err *err)
{
    uint64_t bits;
    struct ax_tensor one = {.dtype = dtype, .data = &bits};
    char buf[FIELD_MAX];
    bool last = false, numbers = false;
    struct text at;

    while (t->p < t->end && blank_line(t))
        skip_line(t);
    at = *t;
    dims[0] = dims[1] = 0;
    while (!last && at.p <= at.end && t->p < t->end) {
        /* A long heading is a heading all the same. */
        if (field(buf, &at, &last, err) == AX_OK)
            numbers |= parse_number(&one, 0, buf);
        dims[1]++;
    }
    if (!numbers)
        skip_line(t);
    for (at = *t; at.p < at.end; skip_line(&at))
        dims[0] += !blank_line(&at);
    if (dims[0] == 0)
        return ax_fail(err, AX_EFORMAT, "csv: no row of numbers");
    return AX_OK;
}

static ax_status read_row(struct ax_tensor *out, size_t row, struct text *t,
                          struct ax_err *err)
{
    size_t columns = (size_t)out->dims[1];
    char buf[FIELD_MAX];
    bool last = false;

    t->column = 0;
    while (!last) {
        AX_TRY(field(buf, t, &last, err));
        if (t->column > columns)
            return ax_fail(err, AX_EFORMAT,
                           "line %zu: more than the %zu columns of the first",
                           t->line, columns);
        if (!parse_number(out, row * columns + t->column - 1, buf)) {
            for (char *p = buf; *p; p++)
                *p = *p < ' ' || *p > '~' ? '?' : *p;
            return ax_fail(err, AX_EFORMAT,
                           "line %zu, column %zu: '%.40s' is not a number of "
                           "type %s",
                           t->line, t->column, buf,
                           ax_dtype_name(out->dtype));
        }
    }
    if (t->column < columns)
        return ax_fail(err, AX_EFORMAT,
                       "line %zu: %zu columns where the first has %zu",
                       t->line, t->column, columns);
    t->line++;
    return AX_OK;
}

ax_status ax_csv_read(struct ax_tensor *out, const unsigned char *data,
                      size_t n, ax_dtype dtype, struct ax_err *err)
{
    struct text t = {(const char *)data, (const char *)data + n, 1, 0};
    ax_status st = AX_OK;
    int64_t dims[2];

    if (dtype == AX_STRING)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "strings are read from npy files alone");
    if (n >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0)
        t.p += 3; /* what some editors put in front of UTF-8 */
    AX_TRY(measure(&t, dims, dtype, err));
    *err = (struct ax_err){0};
    /* A row of k columns has k - 1 commas, so this is at most 16 bytes for
     * each byte of the text if all rows are as long as the first. */
    if (dims[1] > 0 && (size_t)dims[0] > n / (size_t)dims[1] + 1)
        return ax_fail(err, AX_EFORMAT,
                       "csv: %lld rows of %lld columns do not fit in %zu "
                       "bytes: some are too short",
                       (long long)dims[0], (long long)dims[1], n);
    AX_TRY(ax_tensor_new(out, dtype, 2, dims, err));
    for (size_t row = 0; st == AX_OK && row < (size_t)dims[0];) {
        if (blank_line(&t)) {
            skip_line(&t);
            continue;
        }
        st = read_row(out, row++, &t, err);
    }
    if (st != AX_OK)
        ax_tensor_free(out);
    return st;
}

/* -- writing ------------------------------------------------------------- */

ax_status ax_csv_write(FILE *f, const struct ax_tensor *t, struct ax_err *err)
{
    size_t n = ax_tensor_count(t);
    size_t rows = t->rank > 0 ? (size_t)t->dims[0] : 1;
    size_t columns = rows ? n / rows : 0;
    char buf[64];

    if (t->dtype == AX_STRING)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "strings are written to npy and npz files alone");
    for (size_t i = 0; i < n; i++) {
        fputs(ax_number_text(buf, sizeof buf, t, i), f);
        putc((i + 1) % columns ? ',' : '\n', f);
    }
    if (ferror(f))
        return ax_fail(err, AX_EIO, "cannot write");
    return AX_OK;
}
