/* Files of problems, and of instances: see bench.h. */
#include <string.h>

#include "bench.h"
#include "common/file.h"

#define FILE_MAX ((size_t)64 << 20)

void lines_free(char **lines, size_t n)
{
    for (size_t i = 0; lines && i < n; i++)
        free(lines[i]);
    free(lines);
}

ax_status lines_add(char ***lines, size_t *n, const char *line,
                    struct ax_err *err)
{
    char *copy = strdup(line);
    char **all = copy ? realloc(*lines, (*n + 1) * sizeof *all) : NULL;

    if (!all) {
        free(copy);
        return ax_fail(err, AX_ENOMEM, "no memory for %zu problems", *n);
    }
    *lines = all;
    all[(*n)++] = copy;
    return AX_OK;
}

/* The next line of *text without its end and the blanks before it; NULL
 * after the last. */
static char *next_line(char **text)
{
    char *line = *text + strspn(*text, " \t");
    size_t n = strcspn(line, "\n");

    if (!**text)
        return NULL;
    *text = line + n + (line[n] == '\n');
    line[n] = '\0';
    while (n > 0 && strchr(" \t\r", line[n - 1]))
        line[--n] = '\0';
    return line;
}

/* A whole file of text; a NUL in it is refused. */
static ax_status text_read(char **text, const char *path, struct ax_err *err)
{
    unsigned char *data;
    size_t n;

    AX_TRY(cmd_in_read(&data, &n, path, FILE_MAX, err));
    *text = (char *)data;
    if (strlen(*text) == n)
        return AX_OK;
    free(data);
    return ax_fail(err, AX_EFORMAT, "%s: is no text", cmd_in_name(path));
}

ax_status lines_read(char ***lines, size_t *n, const char *path,
                     struct ax_err *err)
{
    char *text, *at, *line;
    ax_status st = AX_OK;

    AX_TRY(text_read(&text, path, err));
    at = text;
    while (st == AX_OK && (line = next_line(&at)))
        if (line[0] && line[0] != '#')
            st = lines_add(lines, n, line, err);
    free(text);
    return st;
}

/* What an expected verdict is called here; NULL where nobody knows. */
static const char *verdict(const char *s)
{
    static const struct {
        const char *theirs, *ours;
    } names[] = {{"holds", "holds"},
                 {"unsat", "holds"},
                 {"violated", "violated"},
                 {"sat", "violated"}};

    for (size_t i = 0; s && i < sizeof names / sizeof *names; i++)
        if (strcmp(s, names[i].theirs) == 0)
            return names[i].ours;
    return NULL;
}

/* One instance as a problem line; NULL if it is none. New. */
static char *instance(char *row, struct ax_err *err)
{
    char *field[4] = {NULL}, *line = NULL, *end;
    const char *expect, *quote[2];
    int n = 0;

    for (char *s = row; s && n < 4; n++) {
        field[n] = s;
        s = strchr(s, ',');
        if (s)
            *s++ = '\0';
    }
    if (n < 3 || !field[0][0] || !field[1][0] || strchr(field[0], '"') ||
        strchr(field[1], '"') || !(strtod(field[2], &end) > 0) || *end) {
        (void)ax_fail(err, AX_EFORMAT,
                      "wants model,property,timeout[,expected]");
        return NULL;
    }
    expect = verdict(field[3]);
    for (int i = 0; i < 2; i++)
        quote[i] = strpbrk(field[i], " \t=") ? "\"" : "";
    if (asprintf(&line, "prove %s%s%s %s%s%s time=%s%s%s", quote[0], field[0],
                 quote[0], quote[1], field[1], quote[1], field[2],
                 expect ? " expect=" : "", expect ? expect : "") < 0) {
        (void)ax_fail(err, AX_ENOMEM, "no memory for an instance");
        return NULL;
    }
    return line;
}

ax_status list_read(char ***lines, size_t *n, const char *path,
                    struct ax_err *err)
{
    char *text, *at, *row;
    ax_status st = AX_OK;

    AX_TRY(text_read(&text, path, err));
    at = text;
    for (int number = 1; st == AX_OK && (row = next_line(&at)); number++) {
        char *line;

        if (!row[0] || row[0] == '#')
            continue;
        line = instance(row, err);
        st = line ? lines_add(lines, n, line, err)
                  : ax_fail_in(err, "%s: line %d", cmd_in_name(path), number);
        free(line);
    }
    free(text);
    return st;
}
