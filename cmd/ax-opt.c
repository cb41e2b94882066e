/* ax-opt - make a network simpler without changing what it computes. See
 * man/ax-opt.1. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ax/element.h"
#include "ax/opt.h"
#include "ax/tensorfile.h"
#include "common/file.h"
#include "common/json.h"
#include "common/model.h"
#include "common/run.h"
#include "common/sandbox.h"

#define DATA_MAX ((size_t)1 << 34) /* bytes of a file to calibrate with */

struct args {
    const struct cmd *cmd;
    const char *in, *out, *passes, *backend;
    const char *quantise, *to, *calibrate, *activations;
    int64_t samples, seed, free_size, threads;
    double scale, tolerance, percentile;
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
    bool narrow; /* asked for numbers of fewer bits */
    struct ax_narrow_options to_fewer;
    struct ax_tensor *data; /* [n_inputs] to calibrate with, or NULL */
    struct ax_narrow_done fewer;
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

/* -- numbers of fewer bits -------------------------------------------------
 */

static const char *const narrow_names[] = {
    [AX_NARROW_F16] = "float16",
    [AX_NARROW_BF16] = "bfloat16",
    [AX_NARROW_INT4] = "int4",
    [AX_NARROW_INT8] = "int8",
};

static ax_status settle_narrow(struct job *j, struct ax_err *err)
{
    const struct args *a = j->args;
    const char *to = a->quantise ? a->quantise : a->to;

    if (a->quantise && a->to)
        return ax_fail(err, AX_EUSAGE, "--quantise and --to are one choice");
    j->narrow = to != NULL;
    j->to_fewer = (struct ax_narrow_options){
        .free_size = a->free_size,
        .percentile = a->percentile,
        .signed_bytes = strcmp(a->activations, "int8") == 0,
        .backend = a->backend,
        .threads = (int)a->threads};
    for (int k = 0; to && k <= AX_NARROW_INT8; k++)
        if (strcmp(to, narrow_names[k]) == 0)
            j->to_fewer.to = (ax_narrow)k;
    if (a->calibrate && !to)
        return ax_fail(err, AX_EUSAGE,
                       "--calibrate goes with --quantise or --to");
    if (j->narrow && j->to_fewer.to == AX_NARROW_INT8 && !a->calibrate)
        return ax_fail(err, AX_EUSAGE,
                       "--quantise int8 wants --calibrate FILE");
    return AX_OK;
}

/* Which of the tensors in a file is for input I. */
static struct ax_tensor *tensor_for(struct ax_tensor_list *list,
                                    const struct ax_graph *g, uint32_t i)
{
    if (g->n_inputs == 1 && list->n == 1)
        return &list->v[0].t;
    for (size_t k = 0; k < list->n; k++)
        if (strcmp(list->v[k].name, g->values[g->inputs[i]].name) == 0)
            return &list->v[k].t;
    return NULL;
}

/* Reals of one width become those of another, nothing else. */
static ax_status take_data(struct job *j, struct ax_tensor_list *list,
                           struct ax_err *err)
{
    const struct ax_graph *g = j->model->graph;

    for (uint32_t i = 0; i < g->n_inputs; i++) {
        const struct ax_value *v = &g->values[g->inputs[i]];
        struct ax_tensor *t = tensor_for(list, g, i);

        if (!t)
            return ax_fail(err, AX_EFORMAT, "it has nothing for input '%s'",
                           v->name);
        if (t->dtype != v->dtype && v->dtype != AX_DTYPE_NONE &&
            ax_dtype_class(t->dtype) == AX_CLASS_REAL &&
            ax_dtype_class(v->dtype) == AX_CLASS_REAL) {
            AX_TRY(ax_tensor_cast(&j->data[i], t, v->dtype, err));
            continue;
        }
        j->data[i] = *t;
        *t = (struct ax_tensor){0};
    }
    return AX_OK;
}

static ax_status read_data(struct job *j, struct ax_err *err)
{
    const char *path = j->args->calibrate;
    struct ax_tensor_list list = {0};
    unsigned char *bytes;
    ax_status st;
    size_t n;

    AX_TRY(cmd_in_read(&bytes, &n, path, DATA_MAX, err));
    st = ax_tensorfile_read(&list, bytes, n, AX_F32, err);
    free(bytes);
    if (st == AX_OK) {
        j->data = calloc(j->model->graph->n_inputs + 1u, sizeof *j->data);
        st = j->data ? take_data(j, &list, err)
                     : ax_fail(err, AX_ENOMEM, "no memory for data");
    }
    ax_tensor_list_free(&list);
    j->to_fewer.data = j->data;
    return st == AX_OK ? st : ax_fail_in(err, "%s", path);
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

static void say_narrow(FILE *f, const struct job *j)
{
    const struct ax_narrow_done *d = &j->fewer;
    bool half = j->to_fewer.to <= AX_NARROW_BF16;

    fprintf(f, "%-11s %6" PRIu32 " weights, %" PRIu32 " activations; ",
            narrow_names[j->to_fewer.to], d->weights, d->values);
    fprintf(f, "%" PRIu64 " bytes of constants, %" PRIu64 " before\n",
            d->bytes_after, d->bytes_before);
    fprintf(f, "a weight is off by at most %.3g of %s\n", d->rounding,
            half ? "itself" : "the largest that shares its scale");
    if (d->measured)
        fprintf(f,
                "measured in %" PRIu64 " runs of the data: differs by at "
                "most %.3g, relative %.3g, %.3g in the mean; same largest "
                "number in %" PRIu64 " of %" PRIu64 " rows\n",
                d->runs, d->absolute, d->relative, d->mean, d->rows_same,
                d->rows);
    else if (d->weights)
        fputs("outputs not measured: no --calibrate\n", f);
    for (uint32_t i = 0; i < d->n_left; i++) {
        fputs("left as it was: ", f);
        cmd_text(f, d->left[i].node);
        fprintf(f, ": %s\n", d->left[i].why);
    }
}

static void say(FILE *f, const struct job *j)
{
    char hex[65];

    for (int i = 0; i < AX_OPT_PASSES; i++)
        if (j->opt.passes >> i & 1)
            say_pass(f, j, i);
    if (j->narrow)
        say_narrow(f, j);
    fprintf(f, "%" PRIu32 " nodes before, %" PRIu32 " after", j->nodes,
            j->model->graph->n_nodes);
    if (j->opt.samples)
        fprintf(f, "; %u samples of seed %" PRIu64 " in [-%g, %g]",
                j->opt.samples, j->opt.seed, j->opt.scale, j->opt.scale);
    fputc('\n', f);
    if (!j->agree && !isfinite(j->fewer.absolute)) {
        fputs("an output is not finite any more: not written\n", f);
        return;
    }
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

static json_t *json_narrow(const struct job *j)
{
    const struct ax_narrow_done *d = &j->fewer;
    json_t *left = json_array(), *o;

    for (uint32_t i = 0; i < d->n_left; i++)
        cmd_json_add(&left, json_pack("{s:o,s:s}", "node",
                                      cmd_json_text(d->left[i].node), "why",
                                      d->left[i].why));
    o = json_pack(
        "{s:s,s:I,s:I,s:I,s:I,s:o,s:b}", "to", narrow_names[j->to_fewer.to],
        "weights", (json_int_t)d->weights, "activations",
        (json_int_t)d->values, "bytes_before", (json_int_t)d->bytes_before,
        "bytes_after", (json_int_t)d->bytes_after, "max_rounding",
        number(d->rounding), "measured", d->measured);
    if (d->measured) {
        cmd_json_put(&o, "runs", json_integer((json_int_t)d->runs));
        cmd_json_put(&o, "max_absolute", number(d->absolute));
        cmd_json_put(&o, "max_relative", number(d->relative));
        cmd_json_put(&o, "mean_absolute", number(d->mean));
        cmd_json_put(&o, "rows", json_integer((json_int_t)d->rows));
        cmd_json_put(&o, "rows_same", json_integer((json_int_t)d->rows_same));
    }
    cmd_json_put(&o, "left", left);
    return o;
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
    if (j->narrow)
        cmd_json_put(&o, "narrow", json_narrow(j));
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
    if (!j->narrow || !j->agree)
        return AX_OK;
    if (ax_model_narrow(j->model, &j->fewer, &j->to_fewer, err) != AX_OK)
        return ax_fail_in(err, "%s", cmd_in_name(j->args->in));
    j->changed |= j->fewer.weights > 0;
    j->agree = isfinite(j->fewer.absolute);
    return AX_OK;
}

static ax_status run(struct job *j, struct ax_err *err)
{
    const struct args *a = j->args;
    const struct cmd_sandbox box = {.cmd = a->cmd, .writes = {a->out}};
    bool to_file = strcmp(a->out, "-") != 0;

    AX_TRY(cmd_sandbox_enter(&box, err));
    AX_TRY(cmd_model_read(&j->model, a->in, err));
    if (a->calibrate)
        AX_TRY(read_data(j, err));
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
    AX_TRY(settle_narrow(j, err));
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
                     .tolerance = 1e-3,
                     .percentile = 100,
                     .activations = "uint8"};
    const struct opt opts[] = {
        {'o', "output", "FILE", "write here, not to standard output",
         .str = &a.out},
        {0, "passes", "LIST", "these passes alone, with commas between",
         .str = &a.passes},
        {0, "exact", NULL, "of the passes, those that are exact",
         .flag = &a.exact},
        {0, "quantise", "TYPE", "weights become TYPE, with scales",
         .str = &a.quantise, .one_of = "int8 int4"},
        {0, "calibrate", "FILE",
         "data that scales are made and measured with", .str = &a.calibrate},
        {0, "percentile", "X",
         "of the data, what a scale covers; default 100",
         .real = &a.percentile, .min = 50, .max = 100},
        {0, "activations", "TYPE", "with int8: what they become",
         .str = &a.activations, .one_of = "uint8 int8"},
        {0, "to", "TYPE", "weights become TYPE, float32 when used",
         .str = &a.to, .one_of = "float16 bfloat16"},
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
    for (uint32_t i = 0; j.data && i < j.model->graph->n_inputs; i++)
        ax_tensor_free(&j.data[i]);
    free(j.data);
    ax_narrow_done_free(&j.fewer);
    ax_model_free(j.model);
    ax_model_free(j.old);
    return cmd_finish(&cmd, st, &err);
}
