/* What --json prints: see json.h. */
#include "common/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"

static const char *speaker;

/* The lexer of jansson 2.14 does not look whether its buffer grew, and then
 * reads beyond it; other parts of it lose keys. So it never gets NULL: where
 * memory is out, the command ends here, as cmd_finish would end it. An output
 * that is under way loses its name; standard output was not flushed. */
static void *allocate(size_t n)
{
    void *p = malloc(n);

    if (p)
        return p;
    if (speaker) {
        cmd_out_abandon();
        fprintf(stderr, "%s: no memory for JSON\n", speaker);
    }
    _exit(ax_status_exit(AX_ENOMEM));
}

void cmd_json_watch(const char *name)
{
    speaker = name;
    json_set_alloc_funcs(allocate, free);
}

ax_status cmd_json(const char *schema, json_t *obj, struct ax_err *err)
{
    json_t *all = json_pack("{s:s}", "schema", schema);
    ax_status st = AX_OK;

    /* Straight to the stream, whose error flag lasts until cmd_finish:
     * json_dumps of jansson 2.14 loses keys when its buffer cannot grow. */
    if (!obj || !all || json_object_update(all, obj) ||
        json_dumpf(all, stdout, JSON_COMPACT) || putchar('\n') == EOF)
        st = ferror(stdout)
                 ? ax_fail(err, AX_EIO, "standard output: %s",
                           strerror(errno))
                 : ax_fail(err, AX_ENOMEM, "no memory for the JSON output");
    json_decref(all);
    json_decref(obj);
    return st;
}

void cmd_json_put(json_t **to, const char *key, json_t *value)
{
    if (json_object_set_new(*to, key, value)) {
        json_decref(*to);
        *to = NULL;
    }
}

void cmd_json_add(json_t **to, json_t *value)
{
    if (json_array_append_new(*to, value)) {
        json_decref(*to);
        *to = NULL;
    }
}

json_t *cmd_json_text(const char *s)
{
    size_t n = strlen(s), used = 0;
    json_t *text = json_stringn(s, n);
    char *plain;

    if (text)
        return text;
    plain = malloc(4 * n + 1);
    if (!plain)
        return NULL;
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;

        if (c < 0x80)
            plain[used++] = *s;
        else
            used += (size_t)snprintf(plain + used, 5, "\\x%02x", c);
    }
    text = json_stringn(plain, used);
    free(plain);
    return text;
}
