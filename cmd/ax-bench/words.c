/* A problem line taken apart: see bench.h. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "bench.h"

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

ax_status words_split(struct words *w, const char *line, struct ax_err *err)
{
    char *to;

    *w = (struct words){.text = strdup(line)};
    to = w->text;
    if (!to)
        return ax_fail(err, AX_ENOMEM, "no memory for a problem");
    while (*line) {
        bool quoted = false;

        for (; blank(*line); line++)
            ;
        if (!*line)
            break;
        if (w->n == WORDS_MAX)
            return ax_fail(err, AX_EFORMAT, "more than %d words", WORDS_MAX);
        /* What is written never overtakes what is read: every word has a
         * blank or the end after it. */
        for (w->v[w->n++] = to; *line && (quoted || !blank(*line)); line++) {
            if (*line == '"')
                quoted = !quoted;
            else
                *to++ = *line;
        }
        if (quoted)
            return ax_fail(err, AX_EFORMAT, "a quote that does not end");
        line += *line != '\0';
        *to++ = '\0';
    }
    return AX_OK;
}

void words_free(struct words *w)
{
    free(w->text);
    *w = (struct words){0};
}

/* "key=value" with a key of letters and dashes; a path is none. */
static bool has_key(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz-");

    return n > 0 && s[n] == '=';
}

const char *words_next(struct words *w)
{
    for (int i = 0; i < w->n; i++) {
        if ((w->used >> i & 1) || has_key(w->v[i]))
            continue;
        w->used |= UINT64_C(1) << i;
        return w->v[i];
    }
    return NULL;
}

const char *words_value(struct words *w, const char *key)
{
    size_t n = strlen(key);
    const char *found = NULL;

    for (int i = 0; i < w->n; i++) {
        if (strncmp(w->v[i], key, n) != 0 || w->v[i][n] != '=')
            continue;
        w->used |= UINT64_C(1) << i;
        found = w->v[i] + n + 1;
    }
    return found;
}

bool words_flag(struct words *w, const char *word)
{
    bool found = false;

    for (int i = 0; i < w->n; i++) {
        if (strcmp(w->v[i], word) != 0)
            continue;
        w->used |= UINT64_C(1) << i;
        found = true;
    }
    return found;
}

ax_status words_int(int64_t *out, struct words *w, const char *key,
                    int64_t min, int64_t max, struct ax_err *err)
{
    const char *s = words_value(w, key);
    long long v;
    char *end;

    if (!s)
        return AX_OK;
    errno = 0;
    v = strtoll(s, &end, 10);
    if (end == s || *end || errno || v < min || v > max)
        return ax_fail(err, AX_EFORMAT,
                       "%s wants a number from %lld to %lld, not '%s'", key,
                       (long long)min, (long long)max, s);
    *out = v;
    return AX_OK;
}

ax_status words_real(double *out, struct words *w, const char *key,
                     double max, struct ax_err *err)
{
    const char *s = words_value(w, key);
    double v;
    char *end;

    if (!s)
        return AX_OK;
    v = strtod(s, &end);
    if (end == s || *end || !(v > 0 && v <= max))
        return ax_fail(err, AX_EFORMAT,
                       "%s wants a number up to %.0f, not '%s'", key, max, s);
    *out = v;
    return AX_OK;
}

ax_status words_dims(int64_t *out, int n, struct words *w, const char *what,
                     struct ax_err *err)
{
    const char *word = words_next(w), *s = word;

    if (!s)
        return ax_fail(err, AX_EFORMAT, "wants %s", what);
    for (int i = 0; i < n; i++) {
        char *end;
        long long v;

        if (!isdigit((unsigned char)*s))
            break;
        errno = 0;
        v = strtoll(s, &end, 10);
        if (errno || v < 1 || v > 1 << 24 || *end != (i + 1 < n ? 'x' : 0))
            break;
        out[i] = v;
        if (i + 1 == n)
            return AX_OK;
        s = end + 1;
    }
    return ax_fail(err, AX_EFORMAT, "wants %s, not '%s'", what, word);
}

ax_status words_bytes(size_t *out, struct words *w, struct ax_err *err)
{
    static const struct {
        const char *name;
        int shift;
    } units[] = {{"", 0}, {"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}};
    const char *s = words_next(w);
    unsigned long long v;
    char *end;

    if (!s)
        return ax_fail(err, AX_EFORMAT, "wants a size, such as 64MiB");
    errno = 0;
    v = isdigit((unsigned char)*s) ? strtoull(s, &end, 10) : 0;
    for (size_t i = 0; v && !errno && i < sizeof units / sizeof *units; i++) {
        if (strcmp(end, units[i].name) != 0)
            continue;
        if (v > (UINT64_C(1) << 36) >> units[i].shift)
            break;
        *out = (size_t)v << units[i].shift;
        return AX_OK;
    }
    return ax_fail(err, AX_EFORMAT,
                   "wants a size of 1 byte to 64 GiB, such as 64MiB, "
                   "not '%s'",
                   s);
}

ax_status words_end(const struct words *w, struct ax_err *err)
{
    for (int i = 0; i < w->n; i++)
        if (!(w->used >> i & 1))
            return ax_fail(err, AX_EFORMAT, "does not understand '%s'",
                           w->v[i]);
    return AX_OK;
}
