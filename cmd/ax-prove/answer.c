/* What is said of a finding: lines, JSON, the container. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ax/tensorfile.h"
#include "common/json.h"
#include "prove.h"

static void say_minimised(const struct minimised *m, FILE *f)
{
    if (*m->best)
        fprintf(f, "%s %s %s\n", m->largest ? "largest" : "smallest", m->key,
                m->best);
    if (*m->next)
        fprintf(f, "%s at %s %s\n", ax_verdict_name(m->next_verdict), m->key,
                m->next);
}

/* Where the counterexample is one. */
static const char *class_of(const struct ax_prove_result *r)
{
    return r->in_reals && r->in_floats ? "real+float"
           : r->in_reals               ? "real-only"
                                       : "float-only";
}

static void say(const struct job *j, const struct args *a, FILE *f)
{
    const struct finding *d = &j->found;
    const struct ax_prove_result *r = &d->result;

    fprintf(f, "%s\n", ax_verdict_name(r->verdict));
    if (semantics_of(a) != AX_SEMANTICS_REAL)
        fprintf(f, "semantics %s\n", ax_semantics_name(semantics_of(a)));
    if (r->verdict == AX_UNKNOWN) {
        fputs("reason: ", f);
        cmd_text(f, r->reason);
        fputc('\n', f);
    }
    if (d->saved)
        fprintf(f, "to go on: --resume %s\n", a->resume);
    if (j->minimised.key)
        say_minimised(&j->minimised, f);
    if (r->verdict == AX_VIOLATED)
        fprintf(f, "class %s\n", class_of(r));
    if (a->region && r->verdict != AX_HOLDS)
        fprintf(f, "proved on %u boxes, %.4g%% of the volume\n",
                j->region.boxes, 100 * j->region.volume);
    if (a->explain && *r->why) {
        fputs(r->why, f);
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

static json_t *json_minimised(const struct minimised *m)
{
    json_t *o = json_pack("{s:s}", "name", m->key), *steps = json_array();

    if (*m->best)
        cmd_json_put(&o, "value", json_string(m->best));
    if (*m->next) {
        cmd_json_put(&o, "next", json_string(m->next));
        cmd_json_put(&o, "next_verdict",
                     json_string(ax_verdict_name(m->next_verdict)));
    }
    for (unsigned i = 0; i < m->n_steps; i++)
        cmd_json_add(&steps, json_pack("{s:s, s:s, s:f}", "value",
                                       m->steps[i].value, "verdict",
                                       ax_verdict_name(m->steps[i].verdict),
                                       "seconds", m->steps[i].seconds));
    cmd_json_put(&o, "steps", steps);
    return o;
}

static ax_status say_json(const struct job *j, const struct args *a,
                          struct ax_err *err)
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
        "verdict", ax_verdict_name(r->verdict), "semantics",
        ax_semantics_name(semantics_of(a)), "identity", identity, "property",
        digest, "engine", r->engine, "seconds", s->seconds, "boxes",
        (json_int_t)s->boxes, "leaves", (json_int_t)s->leaves, "open",
        (json_int_t)s->open, "depth", (int)s->depth, "proved_volume",
        r->verdict == AX_HOLDS ? 1.0 : s->done, "points_tried",
        (json_int_t)s->attacks, "attack_seconds", s->attack_seconds);
    if (r->verdict == AX_UNKNOWN)
        cmd_json_put(&o, "reason", cmd_json_text(r->reason));
    if (d->saved)
        cmd_json_put(&o, "resume", cmd_json_text(a->resume));
    if (isfinite(s->bound))
        cmd_json_put(&o, "bound", json_real(s->bound));
    if (r->verdict == AX_HOLDS)
        cmd_json_put(&o, "certificate_bytes",
                     json_integer((json_int_t)d->n_payload));
    if (r->x) {
        cmd_json_put(&o, "class", json_string(class_of(r)));
        cmd_json_put(&o, "input", numbers(NULL, r->x, d->n_x));
        cmd_json_put(&o, "output", numbers(d->y, NULL, d->n_y));
    }
    if (j->minimised.key)
        cmd_json_put(&o, "minimised", json_minimised(&j->minimised));
    if (a->region && r->verdict != AX_HOLDS)
        cmd_json_put(&o, "region",
                     json_pack("{s:I, s:f}", "boxes",
                               (json_int_t)j->region.boxes, "volume",
                               j->region.volume));
    if (a->explain)
        cmd_json_put(&o, "explanation", cmd_json_text(r->why));
    return cmd_json("ax.prove/1", o, err);
}

/* ---- a counterexample in a file ---- */

/* In the input's shape if there is one input. */
static ax_status write_npy(const struct job *j, FILE *f, struct ax_err *err)
{
    const struct ax_graph *g = j->model->graph;
    const struct ax_value *in = &g->values[g->inputs[0]];
    struct ax_tensor t = {.dtype = AX_F32,
                          .data = j->found.result.x,
                          .nbytes = j->found.n_x * sizeof(float)};

    if (g->n_inputs == 1) {
        t.rank = in->rank;
        for (int i = 0; i < in->rank; i++)
            t.dims[i] = in->dims[i] < 0 ? 1 : in->dims[i];
    } else {
        t.rank = 1;
        t.dims[0] = j->found.n_x;
    }
    return ax_npy_write(f, &t, err);
}

/* As the competition has it. */
static void write_text(const struct finding *d, FILE *f)
{
    for (uint32_t i = 0; i < d->n_x; i++)
        fprintf(f, "%s(X_%u %.9g)\n", i ? " " : "(", i,
                (double)d->result.x[i]);
    for (uint32_t i = 0; i < d->n_y; i++)
        fprintf(f, " (Y_%u %.17g)%s\n", i, d->y[i],
                i + 1 == d->n_y ? ")" : "");
}

static ax_status write_counterexample(const struct job *j, const char *path,
                                      struct ax_err *err)
{
    struct cmd_out out = {0};
    ax_status st = AX_OK;

    AX_TRY(cmd_out_open(&out, path, 0, err));
    if (ax_tensorfile_by_name(path) == AX_FILE_NPY)
        st = write_npy(j, out.f, err);
    else
        write_text(&j->found, out.f);
    if (st == AX_OK)
        return cmd_out_commit(&out, err);
    cmd_out_discard(&out);
    return ax_fail_in(err, "%s", path);
}

/* ---- all of it ---- */

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
        AX_TRY(ask_check(j, a, err));
    if (a->cert && (v == AX_HOLDS || !a->require))
        AX_TRY(cmd_model_write(j->model, a->out, AX_PROFILE_ZSTD,
                               a->force ? CMD_OUT_FORCE : 0, err));
    if (a->counterexample && j->found.result.x)
        AX_TRY(write_counterexample(j, a->counterexample, err));
    if (to_stdout)
        say(j, a, stderr);
    else if (a->json)
        AX_TRY(say_json(j, a, err));
    else
        say(j, a, stdout);
    return status[v];
}
