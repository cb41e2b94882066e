/* ax-opt - make a network simpler without changing what it computes. See
 * man/ax-opt.1. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ax/opt.h"
#include "common/file.h"
#include "common/json.h"
#include "common/model.h"
#include "common/run.h"
#include "common/sandbox.h"

struct args {
    const struct cmd *cmd;
    const char *in, *out, *passes, *backend;
    int64_t samples, seed, free_size, threads;
    double scale, tolerance;
    bool exact, json, list, raw, force, no_record;
};

struct job {
    const struct args *args;
    struct ax_model *model;
    struct ax_model *old; /* what was attached before; nothing else */
    unsigned char from[32], to[32];
    uint32_t nodes;
    struct ax_opt_options opt;
    struct ax_opt_done done[AX_OPT_PASSES];
    bool changed, agree;
};

static const char *const kinds[] = {
    [AX_OPT_EXACT] = "exact",
    [AX_OPT_ORDER] = "other rounding",
    [AX_OPT_ROUNDED] = "approximate",
};

static void list_passes(void)
{
    for (int i = 0; i < AX_OPT_PASSES; i++)
        printf("%-11s %-15s %s\n", ax_opt_passes[i].name,
               kinds[ax_opt_passes[i].kind], ax_opt_passes[i].summary);
}

static ax_status add_pass(unsigned *set, const char *name, size_t n,
                          struct ax_err *err)
{
    for (int i = 0; i < AX_OPT_PASSES; i++)
        if (strlen(ax_opt_passes[i].name) == n &&
            memcmp(ax_opt_passes[i].name, name, n) == 0) {
            *set |= 1u << i;
            return AX_OK;
        }
    return ax_fail(err, AX_EUSAGE,
                   "no pass is called '%.*s'; see ax-opt --list", (int)n,
                   name);
}

static ax_status choose_passes(unsigned *set, const struct args *a,
                               struct ax_err *err)
{
    const char *at = a->passes;

    *set = at ? 0 : (1u << AX_OPT_PASSES) - 1;
    while (at) {
        size_t n = strcspn(at, ",");

        AX_TRY(add_pass(set, at, n, err));
        at = at[n] ? at + n + 1 : NULL;
    }
    for (int i = 0; a->exact && i < AX_OPT_PASSES; i++)
        if (ax_opt_passes[i].kind != AX_OPT_EXACT)
            *set &= ~(1u << i);
    return AX_OK;
}

/* -- what was attached ----------------------------------------------------
 */

/* A property speaks of inputs and outputs, which are the same; a record says
 * itself which model it speaks of. All else was about the old model. */
static bool is_kept(const struct ax_attachment *a)
{
    return strcmp(a->type, "property") == 0 ||
           strcmp(a->type, "provenance") == 0;
}

static ax_status move_attachments(struct job *j, struct ax_err *err)
{
    struct ax_model *m = j->model;

    j->old = calloc(1, sizeof *j->old);
    if (!j->old)
        return ax_fail(err, AX_ENOMEM, "no memory for attachments");
    j->old->attachments = m->attachments;
    j->old->n_attachments = m->n_attachments;
    m->attachments = NULL;
    m->n_attachments = 0;
    for (uint32_t i = 0; i < j->old->n_attachments; i++) {
        const struct ax_attachment *a = &j->old->attachments[i];

        if (is_kept(a))
            AX_TRY(ax_model_attach(m, a->type, a->name, a->data, a->n, err));
    }
    return AX_OK;
}

/* -- saying what was done -------------------------------------------------
 */

static void say_pass(FILE *f, const struct job *j, int i)
{
    const struct ax_opt_done *d = &j->done[i];

    fprintf(f, "%-11s %6" PRIu32 " changes, %" PRIu32 " nodes; %s",
            ax_opt_passes[i].name, d->changes, d->nodes,
            kinds[ax_opt_passes[i].kind]);
    if (d->measured)
        fprintf(f, ": differs by %.3g, relative %.3g", d->absolute,
                d->relative);
    else if (d->changes)
        fprintf(f, ": not measured");
    fputc('\n', f);
}

static void say(FILE *f, const struct job *j)
{
    char hex[65];

    for (int i = 0; i < AX_OPT_PASSES; i++)
        if (j->opt.passes >> i & 1)
            say_pass(f, j, i);
    fprintf(f, "%" PRIu32 " nodes before, %" PRIu32 " after", j->nodes,
            j->model->graph->n_nodes);
    if (j->opt.samples)
        fprintf(f, "; %u samples of seed %" PRIu64 " in [-%g, %g]",
                j->opt.samples, j->opt.seed, j->opt.scale, j->opt.scale);
    fputc('\n', f);
    if (!j->agree) {
        fprintf(f, "a difference is over the tolerance of %g: not written\n",
                j->args->tolerance);
        return;
    }
    ax_hex32(hex, j->to);
    fprintf(f, "%s %s\n", j->changed ? "identity" : "unchanged,", hex);
    for (uint32_t i = 0; j->old && i < j->old->n_attachments; i++) {
        const struct ax_attachment *a = &j->old->attachments[i];

        if (is_kept(a))
            continue;
        fprintf(f, "dropped %s ", a->type);
        cmd_text(f, a->name);
        fputs(": it speaks of the model as it was\n", f);
    }
}

/* JSON has no infinity. */
static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_string("inf");
}

static json_t *json_passes(const struct job *j)
{
    json_t *list = json_array();

    for (int i = 0; i < AX_OPT_PASSES; i++) {
        const struct ax_opt_done *d = &j->done[i];
        json_t *o;

        if (!(j->opt.passes >> i & 1))
            continue;
        o = json_pack("{s:s,s:s,s:I,s:I}", "name", ax_opt_passes[i].name,
                      "kind", kinds[ax_opt_passes[i].kind], "changes",
                      (json_int_t)d->changes, "nodes", (json_int_t)d->nodes);
        if (d->measured) {
            cmd_json_put(&o, "max_absolute", number(d->absolute));
            cmd_json_put(&o, "max_relative", number(d->relative));
        }
        cmd_json_add(&list, o);
    }
    return list;
}

static json_t *json_attachments(const struct job *j, bool kept)
{
    json_t *list = json_array();

    for (uint32_t i = 0; j->old && i < j->old->n_attachments; i++) {
        const struct ax_attachment *a = &j->old->attachments[i];

        if (is_kept(a) == kept)
            cmd_json_add(&list, json_pack("{s:s,s:o}", "type", a->type,
                                          "name", cmd_json_text(a->name)));
    }
    return list;
}

static ax_status say_json(const struct job *j, struct ax_err *err)
{
    char from[65], to[65];
    json_t *o;

    ax_hex32(from, j->from);
    ax_hex32(to, j->to);
    o = json_pack("{s:s,s:b,s:b,s:I,s:I,s:I,s:I,s:o}", "model_in", from,
                  "changed", j->changed, "written", j->agree, "nodes_before",
                  (json_int_t)j->nodes, "nodes_after",
                  (json_int_t)j->model->graph->n_nodes, "samples",
                  (json_int_t)j->opt.samples, "seed", (json_int_t)j->opt.seed,
                  "passes", json_passes(j));
    if (j->agree)
        cmd_json_put(&o, "model_out", json_string(to));
    cmd_json_put(&o, "kept", json_attachments(j, true));
    cmd_json_put(&o, "dropped", json_attachments(j, false));
    return cmd_json("ax.opt/1", o, err);
}

/* -- all of it ------------------------------------------------------------
 */

static ax_status optimise(struct job *j, struct ax_err *err)
{
    AX_TRY(ax_model_identity(j->from, j->model, err));
    j->nodes = j->model->graph->n_nodes;
    if (ax_model_optimise(j->model, j->done, &j->opt, err) != AX_OK)
        return ax_fail_in(err, "%s", cmd_in_name(j->args->in));
    j->agree = true;
    for (int i = 0; i < AX_OPT_PASSES; i++) {
        j->changed |= j->done[i].changes > 0;
        j->agree &= !(j->done[i].relative > j->args->tolerance);
    }
    return AX_OK;
}

static ax_status run(struct job *j, struct ax_err *err)
{
    const struct args *a = j->args;
    const struct cmd_sandbox box = {.cmd = a->cmd, .writes = {a->out}};
    bool to_file = strcmp(a->out, "-") != 0;

    AX_TRY(cmd_sandbox_enter(&box, err));
    AX_TRY(cmd_model_read(&j->model, a->in, err));
    AX_TRY(optimise(j, err));
    if (j->agree && j->changed)
        AX_TRY(move_attachments(j, err));
    if (j->agree && !a->no_record)
        AX_TRY(cmd_model_record(j->model, a->cmd, j->from, NULL, 0, err));
    if (j->agree) {
        AX_TRY(ax_model_identity(j->to, j->model, err));
        AX_TRY(cmd_model_write(j->model, a->out,
                               a->raw ? AX_PROFILE_RAW : AX_PROFILE_ZSTD,
                               a->force ? CMD_OUT_FORCE : 0, err));
    }
    if (a->json)
        AX_TRY(say_json(j, err));
    else
        say(to_file ? stdout : stderr, j);
    return j->agree ? AX_OK : AX_NO;
}

static ax_status settle(struct job *j, const struct args *a,
                        struct ax_err *err)
{
    if (a->json && strcmp(a->out, "-") == 0)
        return ax_fail(err, AX_EUSAGE,
                       "--json wants -o FILE: standard output has the model");
    j->opt = (struct ax_opt_options){.samples = (unsigned)a->samples,
                                     .seed = (uint64_t)a->seed,
                                     .scale = a->scale,
                                     .free_size = a->free_size,
                                     .backend = a->backend,
                                     .threads = (int)a->threads};
    return choose_passes(&j->opt.passes, a, err);
}

int main(int argc, char **argv)
{
    struct args a = {.out = "-",
                     .backend = "ref",
                     .samples = 4,
                     .free_size = 1,
                     .threads = 1,
                     .scale = 1,
                     .tolerance = 1e-3};
    const struct opt opts[] = {
        {'o', "output", "FILE", "write here, not to standard output",
         .str = &a.out},
        {0, "passes", "LIST", "these passes alone, with commas between",
         .str = &a.passes},
        {0, "exact", NULL, "of the passes, those that are exact",
         .flag = &a.exact},
        {0, "samples", "N", "random inputs to measure with; default 4",
         .num = &a.samples, .min = 0, .max = 1 << 20},
        {0, "seed", "N", "of these inputs; default 0", .num = &a.seed,
         .min = 0, .max = INT64_MAX},
        {0, "scale", "X", "they are in [-X, X]; default 1", .real = &a.scale,
         .min = 0, .max = 1000000},
        {0, "free", "N", "size of their free dimensions; default 1",
         .num = &a.free_size, .min = 1, .max = 1 << 20},
        {0, "tolerance", "X", "largest relative difference; default 0.001",
         .real = &a.tolerance, .min = 0, .max = 1000000},
        {0, "backend", "NAME", "what measures: ref (default) or cpu",
         .str = &a.backend, .one_of = "ref cpu"},
        {'j', "threads", "N", "threads to measure with; default 1",
         .num = &a.threads, .min = 1, .max = 1024},
        {0, "json", NULL, "say in JSON what was done", .flag = &a.json},
        {0, "list", NULL, "list the passes", .flag = &a.list},
        {0, "raw", NULL, "write the raw profile, which can be mapped",
         .flag = &a.raw},
        {0, "no-provenance", NULL, "attach no record of this run",
         .flag = &a.no_record},
        {'f', "force", NULL, "write binary even to a terminal",
         .flag = &a.force},
        {0},
    };
    const struct cmd cmd = {
        .name = "ax-opt",
        .summary = "simplify a network",
        .synopsis = "[options] [FILE]",
        .opts = opts,
        .max_operands = 1,
    };
    struct ax_err err = {0};
    struct job j = {.args = &a};
    ax_status st = cmd_options(&cmd, &argc, &argv, &err);

    a.cmd = &cmd;
    a.in = argc ? argv[0] : NULL;
    if (st == AX_OK && a.list)
        list_passes();
    else if (st == AX_OK)
        st = settle(&j, &a, &err);
    if (st == AX_OK && !a.list)
        st = run(&j, &err);
    ax_model_free(j.model);
    ax_model_free(j.old);
    return cmd_finish(&cmd, st, &err);
}
