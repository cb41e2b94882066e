/* ax-import --scan: what loading a file with Python could run. */
#include <inttypes.h>
#include <stdio.h>

#include "ax/checkpoint.h"
#include "common/json.h"
#include "common/run.h"
#include "import.h"

static void count(size_t to[AX_PERIL_UNREAD + 1], const struct ax_scan *s)
{
    for (size_t i = 0; i < s->n; i++)
        to[s->v[i].verdict]++;
}

static void text(const struct ax_scan *s, const size_t *of)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct ax_finding *f = &s->v[i];

        printf("%-10s  ", ax_peril_name(f->verdict));
        cmd_text(stdout, f->global[0] ? f->global : f->note);
        if (f->where[0]) {
            fputs("  in ", stdout);
            cmd_text(stdout, f->where);
        }
        if (f->global[0] && f->note[0])
            printf("  (%s)", f->note);
        putchar('\n');
    }
    printf("%zu pickle%s, %zu harmless, %zu unknown, %zu dangerous, "
           "%zu unreadable\n",
           s->pickles, s->pickles == 1 ? "" : "s", of[AX_PERIL_NONE],
           of[AX_PERIL_UNKNOWN], of[AX_PERIL_RUNS], of[AX_PERIL_UNREAD]);
}

static json_t *finding(const struct ax_finding *f)
{
    json_t *o = json_object();

    cmd_json_put(&o, "verdict", json_string(ax_peril_name(f->verdict)));
    if (f->global[0])
        cmd_json_put(&o, "global", cmd_json_text(f->global));
    cmd_json_put(&o, "member", cmd_json_text(f->where));
    cmd_json_put(&o, "byte", json_integer((json_int_t)f->at));
    if (f->note[0])
        cmd_json_put(&o, "note", cmd_json_text(f->note));
    return o;
}

static ax_status as_json(const struct ax_scan *s, const size_t *of,
                         struct ax_err *err)
{
    json_t *o = json_object(), *list = json_array();

    for (size_t i = 0; i < s->n; i++)
        cmd_json_add(&list, finding(&s->v[i]));
    cmd_json_put(&o, "harmless", json_boolean(of[AX_PERIL_NONE] == s->n));
    cmd_json_put(&o, "pickles", json_integer((json_int_t)s->pickles));
    cmd_json_put(&o, "findings", list);
    return cmd_json("ax.import.scan/1", o, err);
}

ax_status import_scan(const unsigned char *data, size_t n, bool json,
                      struct ax_err *err)
{
    size_t of[AX_PERIL_UNREAD + 1] = {0};
    struct ax_scan s;
    ax_status st = ax_scan_read(&s, data, n, err);

    if (st == AX_OK) {
        count(of, &s);
        if (json)
            st = as_json(&s, of, err);
        else
            text(&s, of);
        if (st == AX_OK && of[AX_PERIL_NONE] != s.n)
            st = AX_NO;
    }
    ax_scan_free(&s);
    return st;
}
