/* Tables with words: see table.h. */
#include "ax-train/table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define COLUMNS_MAX    ((size_t)1 << 16)
#define CATEGORIES_MAX 4096

/* Fields of a copy of the file, cut by NULs. */
struct table {
    char *text;
    char **field; /* [rows * columns] */
    size_t rows, columns, n, room;
    size_t first; /* row: 1 behind a header */
};

static bool is_number(const char *s)
{
    return *s && strspn(s, "+-0123456789.eE") == strlen(s) &&
           strcspn(s, "0123456789") < strlen(s);
}

static bool is_missing(const char *s)
{
    static const char *const words[] = {"", "?", "na", "n/a", "nan", "null"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(s, words[i]) == 0)
            return true;
    return false;
}

/* -- fields ---------------------------------------------------------------
 */

static ax_status add_field(struct table *t, char *s, struct ax_err *err)
{
    if (t->n == t->room) {
        size_t room = 2 * t->room + 256;
        char **more = realloc(t->field, room * sizeof *more);

        if (!more)
            return ax_fail(err, AX_ENOMEM, "no memory for a table");
        t->field = more;
        t->room = room;
    }
    t->field[t->n++] = s;
    return AX_OK;
}

/* The field at s, in place; *end is behind it, and *last says that its line
 * ends there. */
static char *cut_field(char *s, char **end, bool *last)
{
    char *from, *to;

    s += strspn(s, " \t");
    from = to = s;
    if (*s == '"') {
        for (s++; *s && (*s != '"' || s[1] == '"'); s++) {
            s += *s == '"';
            *to++ = *s;
        }
        s += *s == '"';
        s += strcspn(s, ",\r\n");
    } else {
        s += strcspn(s, ",\r\n");
        to = s;
        while (to > from && (to[-1] == ' ' || to[-1] == '\t'))
            to--;
    }
    *last = *s != ',';
    *end = *last ? s + strspn(s, "\r\n") : s + 1;
    *to = '\0';
    return from;
}

static ax_status cut_table(struct table *t, struct ax_err *err)
{
    char *s = t->text + strspn(t->text, "\r\n");

    while (*s) {
        size_t before = t->n;
        bool last = false;

        while (!last) {
            char *field = cut_field(s, &s, &last);

            AX_TRY(add_field(t, field, err));
        }
        if (t->rows == 0)
            t->columns = t->n;
        if (t->n - before != t->columns || t->columns > COLUMNS_MAX)
            return ax_fail(err, AX_EFORMAT,
                           "line %zu has %zu fields, the first has %zu",
                           t->rows + 1, t->n - before, t->columns);
        t->rows++;
    }
    return AX_OK;
}

static bool column_has_number(const struct table *t, size_t column)
{
    for (size_t r = 1; r < t->rows; r++)
        if (is_number(t->field[r * t->columns + column]))
            return true;
    return false;
}

/* Is the first line one of names? */
static void find_header(struct table *t)
{
    bool below = false;

    for (size_t c = 0; c < t->columns; c++) {
        if (is_number(t->field[c]))
            return;
        below = below || column_has_number(t, c);
    }
    t->first = below && t->rows > 1;
}

static ax_status open_table(struct table *t, const unsigned char *p, size_t n,
                            struct ax_err *err)
{
    *t = (struct table){0};
    if (memchr(p, '\0', n))
        return ax_fail(err, AX_EFORMAT, "a zero byte is no text");
    t->text = malloc(n + 1);
    if (!t->text)
        return ax_fail(err, AX_ENOMEM, "no memory for a table");
    memcpy(t->text, p, n);
    t->text[n] = '\0';
    AX_TRY(cut_table(t, err));
    find_header(t);
    return t->rows > t->first
               ? AX_OK
               : ax_fail(err, AX_EFORMAT, "a table without rows");
}

static void close_table(struct table *t)
{
    free(t->field);
    free(t->text);
}

ax_status table_has_words(bool *out, const unsigned char *p, size_t n,
                          struct ax_err *err)
{
    struct ax_err ignored = {0};
    struct table t;
    ax_status st = open_table(&t, p, n, &ignored);

    *out = false;
    if (st != AX_OK) /* refused later: its fields so far will do */
        t.first = 0;
    for (size_t i = t.first * t.columns; i < t.n && !*out; i++)
        *out = !is_number(t.field[i]) && !is_missing(t.field[i]);
    close_table(&t);
    return st == AX_ENOMEM ? ax_fail(err, st, "%s", ignored.msg) : AX_OK;
}

/* -- columns --------------------------------------------------------------
 */

void table_free(struct table_columns *columns)
{
    for (size_t c = 0; columns->v && c < columns->n; c++) {
        for (size_t i = 0; i < columns->v[c].n; i++)
            free(columns->v[c].names[i]);
        free(columns->v[c].names);
    }
    free(columns->v);
    *columns = (struct table_columns){0};
}

/* Where the name is, or would be. */
static size_t place_of(const struct table_column *c, const char *name,
                       bool *there)
{
    size_t low = 0, high = c->n;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (strcmp(c->names[mid], name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *there = low < c->n && strcmp(c->names[low], name) == 0;
    return low;
}

static ax_status add_name(struct table_column *c, const char *name,
                          struct ax_err *err)
{
    bool there;
    size_t at = place_of(c, name, &there);
    char **more;

    if (there)
        return AX_OK;
    if (c->n == CATEGORIES_MAX)
        return ax_fail(err, AX_EFORMAT, "more than %d categories",
                       CATEGORIES_MAX);
    more = realloc(c->names, (c->n + 1) * sizeof *more);
    if (!more)
        return ax_fail(err, AX_ENOMEM, "no memory for categories");
    c->names = more;
    memmove(more + at + 1, more + at, (c->n - at) * sizeof *more);
    more[at] = strdup(name);
    c->n++;
    return more[at] ? AX_OK
                    : ax_fail(err, AX_ENOMEM, "no memory for categories");
}

static ax_status learn_column(struct table_column *c, const struct table *t,
                              size_t column, struct ax_err *err)
{
    c->words = !is_number(t->field[t->first * t->columns + column]);
    for (size_t r = t->first; c->words && r < t->rows; r++) {
        const char *s = t->field[r * t->columns + column];

        if (!is_missing(s) && !is_number(s) && add_name(c, s, err) != AX_OK)
            return ax_fail_in(err, "column %zu", column);
    }
    return AX_OK;
}

static ax_status learn(struct table_columns *columns, const struct table *t,
                       struct ax_err *err)
{
    columns->v = calloc(t->columns, sizeof *columns->v);
    if (!columns->v)
        return ax_fail(err, AX_ENOMEM, "no memory for a table");
    columns->n = t->columns;
    for (size_t c = 0; c < t->columns; c++)
        AX_TRY(learn_column(&columns->v[c], t, c, err));
    return AX_OK;
}

/* -- numbers --------------------------------------------------------------
 */

/* Is this column one number, of a class or as it stands? */
static bool is_one(const struct table_columns *columns, size_t c,
                   bool classes)
{
    return !columns->v[c].words || (classes && c == columns->n - 1);
}

static ax_status put_field(float *out, const struct table_column *c, bool one,
                           const char *s, struct ax_err *err)
{
    bool there;
    size_t at;

    if (is_missing(s))
        return ax_fail(err, AX_EFORMAT, "a value is missing");
    if (!c->words) {
        char *end;
        float v = is_number(s) ? strtof(s, &end) : 0;

        if (!is_number(s) || *end)
            return ax_fail(err, AX_EFORMAT, "'%.40s' among numbers", s);
        *out = v;
        return AX_OK;
    }
    if (is_number(s))
        return ax_fail(err, AX_EFORMAT, "'%.40s' among words", s);
    at = place_of(c, s, &there);
    if (!there)
        return ax_fail(err, AX_EFORMAT,
                       "'%.40s' is no category of the rows to train with", s);
    if (one)
        *out = (float)at;
    else
        out[at] = 1; /* the others are 0 */
    return AX_OK;
}

static ax_status put_rows(struct ax_tensor *out, const struct table *t,
                          const struct table_columns *columns, bool classes,
                          struct ax_err *err)
{
    float *to = out->data;

    for (size_t r = t->first; r < t->rows; r++)
        for (size_t c = 0; c < t->columns; c++) {
            bool one = is_one(columns, c, classes);

            if (put_field(to, &columns->v[c], one,
                          t->field[r * t->columns + c], err) != AX_OK)
                return ax_fail_in(err, "row %zu, column %zu", r - t->first,
                                  c);
            to += one ? 1 : columns->v[c].n;
        }
    return AX_OK;
}

static ax_status make_rows(struct ax_tensor *out, const struct table *t,
                           struct table_columns *columns, bool classes,
                           struct ax_err *err)
{
    int64_t dims[2] = {(int64_t)(t->rows - t->first), 0};

    if (columns->n == 0)
        AX_TRY(learn(columns, t, err));
    if (columns->n != t->columns)
        return ax_fail(err, AX_EFORMAT,
                       "%zu columns, the rows to train with have %zu",
                       t->columns, columns->n);
    for (size_t c = 0; c < columns->n; c++)
        dims[1] += is_one(columns, c, classes) ? 1 : (int64_t)columns->v[c].n;
    AX_TRY(ax_tensor_new(out, AX_F32, 2, dims, err));
    memset(out->data, 0, ax_tensor_count(out) * sizeof(float));
    return put_rows(out, t, columns, classes, err);
}

ax_status table_read(struct ax_tensor *out, struct table_columns *columns,
                     const unsigned char *p, size_t n, bool classes,
                     struct ax_err *err)
{
    struct table t;
    ax_status st = open_table(&t, p, n, err);

    *out = (struct ax_tensor){0};
    if (st == AX_OK)
        st = make_rows(out, &t, columns, classes, err);
    if (st != AX_OK)
        ax_tensor_free(out);
    close_table(&t);
    return st;
}
