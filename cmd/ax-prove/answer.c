/* What is said of a finding: lines, JSON, the container. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "prove.h"

static void say(const struct finding *d, const struct args *a, FILE *f)
{
    const struct ax_prove_result *r = &d->result;

    fprintf(f, "%s\n", ax_verdict_name(r->verdict));
    if (r->verdict == AX_UNKNOWN) {
        fputs("reason: ", f);
        cmd_text(f, r->reason);
        fputc('\n', f);
    }
    if (r->verdict == AX_HOLDS && !a->cert && !a->check)
        fputs("no certificate was made: see --cert\n", f);
    for (uint32_t i = 0; r->x && i < d->n_x; i++)
        fprintf(f, "X_%u %.9g\n", i, (double)r->x[i]);
    for (uint32_t i = 0; r->x && i < d->n_y; i++)
        fprintf(f, "Y_%u %.17g\n", i, d->y[i]);
}

static json_t *numbers(const double *y, const float *x, uint32_t n)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < n; i++)
        cmd_json_add(&list, json_real(x ? (double)x[i] : y[i]));
    return list;
}

static ax_status say_json(const struct job *j, struct ax_err *err)
{
    const struct finding *d = &j->found;
    const struct ax_prove_result *r = &d->result;
    const struct ax_prove_stats *s = &r->stats;
    char identity[65], digest[65];
    json_t *o;

    ax_hex32(identity, j->identity);
    ax_hex32(digest, d->digest);
    o = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:f, s:I, s:I, s:I, s:i, s:f, s:I, s:f}",
        "verdict", ax_verdict_name(r->verdict), "semantics", "real",
        "identity", identity, "property", digest, "engine", r->engine,
        "seconds", s->seconds, "boxes", (json_int_t)s->boxes, "leaves",
        (json_int_t)s->leaves, "open", (json_int_t)s->open, "depth",
        (int)s->depth, "proved_volume",
        r->verdict == AX_HOLDS ? 1.0 : s->done, "points_tried",
        (json_int_t)s->attacks, "attack_seconds", s->attack_seconds);
    if (r->verdict == AX_UNKNOWN)
        cmd_json_put(&o, "reason", cmd_json_text(r->reason));
    if (isfinite(s->bound))
        cmd_json_put(&o, "bound", json_real(s->bound));
    if (r->verdict == AX_HOLDS)
        cmd_json_put(&o, "certificate_bytes",
                     json_integer((json_int_t)d->n_payload));
    if (r->x) {
        cmd_json_put(&o, "input", numbers(NULL, r->x, d->n_x));
        cmd_json_put(&o, "output", numbers(d->y, NULL, d->n_y));
    }
    return cmd_json("ax.prove/1", o, err);
}

ax_status answer(struct job *j, const struct args *a, const struct cmd *cmd,
                 struct ax_err *err)
{
    static const ax_status status[] = {[AX_UNKNOWN] = AX_UNDECIDED,
                                       [AX_HOLDS] = AX_OK,
                                       [AX_VIOLATED] = AX_NO};
    bool to_stdout = a->cert && (!a->out || strcmp(a->out, "-") == 0);
    ax_verdict v = j->found.result.verdict;

    if (a->cert || a->check)
        AX_TRY(attach(j, a, cmd, err));
    if (a->check && v != AX_UNKNOWN)
        AX_TRY(ask_check(j, err));
    if (a->cert && (v == AX_HOLDS || !a->require))
        AX_TRY(cmd_model_write(j->model, a->out, AX_PROFILE_ZSTD,
                               a->force ? CMD_OUT_FORCE : 0, err));
    if (to_stdout)
        say(&j->found, a, stderr);
    else if (a->json)
        AX_TRY(say_json(j, err));
    else
        say(&j->found, a, stdout);
    return status[v];
}
