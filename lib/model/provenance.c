/* Provenance records: see ax/provenance.h. */
#include "ax/provenance.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/internal.h"

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash && slash[1] ? slash + 1 : path;
}

/* Where the value starts in "--option=value", "-xvalue" or "value". */
static const char *value_of(const char *arg)
{
    const char *eq;

    if (arg[0] != '-' || !arg[1])
        return arg;
    if (arg[1] != '-')
        return arg + 2;
    eq = strchr(arg, '=');
    return eq ? eq + 1 : arg + strlen(arg);
}

/* An argument without the folders of a path in it; NULL: no memory, or not
 * UTF-8. */
static json_t *argument(const char *arg)
{
    const char *value = value_of(arg);
    size_t front = (size_t)(value - arg), n = strlen(value);
    char *text = malloc(front + n + 1), *slash;
    json_t *out;

    if (!text)
        return NULL;
    memcpy(text, arg, front);
    memcpy(text + front, value, n + 1);
    while (n && text[front + n - 1] == '/')
        text[front + --n] = '\0';
    slash = strrchr(text + front, '/');
    if (slash)
        memmove(text + front, slash + 1, strlen(slash));
    out = json_string(text);
    free(text);
    return out;
}

static json_t *arguments(const struct ax_provenance *p)
{
    json_t *list = json_array();

    for (int i = 0; list && i < p->n_arguments; i++)
        if (json_array_append_new(list, argument(p->arguments[i]))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *files(const struct ax_provenance *p)
{
    json_t *list = json_array();

    for (size_t i = 0; list && i < p->n_files; i++) {
        char hex[65];

        ax_hex32(hex, p->files[i].sha256);
        if (json_array_append_new(list, json_pack("{s:s, s:s}", "name",
                                                  base_name(p->files[i].name),
                                                  "sha256", hex))) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *time_text(int64_t seconds)
{
    time_t t = (time_t)seconds;
    char text[40];
    struct tm tm;

    if (!gmtime_r(&t, &tm) ||
        !strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm))
        return NULL;
    return json_string(text);
}

static json_t *record(const struct ax_provenance *p,
                      const unsigned char identity[32])
{
    char in[65], out[65];
    json_t *o;

    ax_hex32(out, identity);
    o = json_pack("{s:s, s:s, s:s, s:o, s:o, s:s}", "schema",
                  "ax.provenance/1", "command", p->command, "version",
                  p->version, "arguments", arguments(p), "files", files(p),
                  "model_out", out);
    if (o && p->model_in) {
        ax_hex32(in, p->model_in);
        if (json_object_set_new(o, "model_in", json_string(in))) {
            json_decref(o);
            return NULL;
        }
    }
    if (o && p->has_time &&
        json_object_set_new(o, "time", time_text(p->time))) {
        json_decref(o);
        return NULL;
    }
    return o;
}

/* jansson 2.14 goes on when what it writes keys with has failed, so that is
 * remembered. */
struct sink {
    struct axm_buf buf;
    bool failed;
    struct ax_err *err;
};

static int add(const char *text, size_t n, void *arg)
{
    struct sink *s = arg;

    s->failed |= axm_buf_add(&s->buf, text, n, s->err) != AX_OK;
    return s->failed ? -1 : 0;
}

static bool all_utf8(const struct ax_provenance *p)
{
    bool good = true;

    for (int i = 0; i < p->n_arguments; i++)
        good &= ax_is_utf8(p->arguments[i], strlen(p->arguments[i]));
    for (size_t i = 0; i < p->n_files; i++)
        good &= ax_is_utf8(p->files[i].name, strlen(p->files[i].name));
    return good;
}

ax_status ax_provenance_append(struct ax_model *m,
                               const struct ax_provenance *p,
                               struct ax_err *err)
{
    struct sink s = {.err = err};
    unsigned char identity[32];
    json_t *o;
    ax_status st;

    if (!all_utf8(p))
        return ax_fail(err, AX_EFORMAT, "an argument is not UTF-8");
    AX_TRY(ax_model_identity(identity, m, err));
    o = record(p, identity);
    if (!o || json_dump_callback(o, add, &s, JSON_COMPACT | JSON_SORT_KEYS) ||
        s.failed)
        st = ax_fail(err, AX_ENOMEM, "no memory for a provenance record");
    else
        st = ax_model_attach(m, "provenance", p->command, s.buf.data, s.buf.n,
                             err);
    json_decref(o);
    free(s.buf.data);
    return st;
}
