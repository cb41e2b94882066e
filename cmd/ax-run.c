/* ax-run - compute a model's outputs. See man/ax-run.1. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ax/backend.h"
#include "ax/element.h"
#include "ax/run.h"
#include "ax/tensorfile.h"
#include "common/file.h"
#include "common/json.h"
#include "common/model.h"
#include "common/progress.h"
#include "common/run.h"
#include "common/sandbox.h"

#define FILE_MAX ((size_t)1 << 36)
#define TEXT_MAX 1000 /* numbers of an output that a terminal gets */

static const char *backend = "cpu", *check, *format, *output;
static struct opt_list inputs;
static int64_t threads = 1, batch, times, max_mib = 4096;
static double tolerance = 1e-4;
static bool json, kernels, deterministic;

static const struct opt opts[] = {
    {'i', "input", "NAME=FILE", "give an input by its name", .list = &inputs},
    {'o', "output", "FILE", "write FILE, by its ending .npy, .npz or .csv",
     .str = &output},
    {0, "format", "KIND", "write npy, npz, csv or text", .str = &format,
     .one_of = "npy npz csv text"},
    {0, "json", NULL, "print outputs and measurements as JSON",
     .flag = &json},
    {0, "backend", "NAME", "compute with ref or cpu (the default)",
     .str = &backend, .one_of = "ref cpu"},
    {'j', "threads", "N", "threads of the cpu backend; default 1",
     .num = &threads, .min = 1, .max = 1024},
    {0, "deterministic", NULL, "the same bytes for any threads and any batch",
     .flag = &deterministic},
    {0, "batch", "N", "run N rows at a time", .num = &batch, .min = 1,
     .max = 1 << 30},
    {0, "max-mib", "N", "memory for tensors; default 4096", .num = &max_mib,
     .min = 1, .max = 1 << 24},
    {0, "check", "NAME", "compare with the outputs of another backend",
     .str = &check, .one_of = "ref cpu"},
    {0, "tolerance", "X", "largest relative difference; default 1e-4",
     .real = &tolerance, .min = 0, .max = 1000},
    {0, "time", "N", "run N more times and print how long it takes",
     .num = &times, .min = 1, .max = 1000000},
    {0, "operators", NULL, "list the operators and their kernels",
     .flag = &kernels},
    {0},
};

static const struct cmd cmd = {
    .name = "ax-run",
    .summary = "compute a model's outputs",
    .synopsis = "[options] MODEL [FILE ...]\n--operators",
    .opts = opts,
    .min_operands = 0,
    .max_operands = CMD_MANY,
};

/* What was measured, in seconds. */
struct timing {
    double load, plan, first, median;
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* -- operators ----------------------------------------------------------- */

static ax_status list_operators(struct ax_err *err)
{
    json_t *list = json ? json_array() : NULL;

    for (int op = AX_OP_NONE + 1; op < AX_OP_COUNT; op++) {
        const char *name = ax_op_name((ax_op)op);

        if (!json)
            printf("%s", name);
        for (int b = 0; ax_backends[b]; b++) {
            bool has = ax_backend_kernel(ax_backends[b], name) != NULL;

            if (json)
                cmd_json_add(&list,
                             json_pack("{s:s,s:s,s:b}", "operator", name,
                                       "backend", ax_backends[b]->name,
                                       "kernel", has));
            else
                printf("\t%s", has ? ax_backends[b]->name : "-");
        }
        if (!json)
            putchar('\n');
    }
    if (json)
        return cmd_json("ax.run.operators/1",
                        json_pack("{s:o}", "operators", list), err);
    return AX_OK;
}

/* -- input files --------------------------------------------------------- */

/* Which input of the graph is called NAME (n bytes); -1: none. */
static int64_t input_by_name(const struct ax_graph *g, const char *name,
                             size_t n)
{
    for (uint32_t i = 0; i < g->n_inputs; i++) {
        const char *has = g->values[g->inputs[i]].name;

        if (strlen(has) == n && memcmp(has, name, n) == 0)
            return i;
    }
    return -1;
}

static ax_dtype wanted_dtype(const struct ax_graph *g, int64_t i)
{
    ax_dtype t = i >= 0 && i < g->n_inputs ? g->values[g->inputs[i]].dtype
                                           : AX_DTYPE_NONE;

    return t == AX_DTYPE_NONE ? AX_F32 : t;
}

static ax_status give(struct ax_tensor *in, const struct ax_graph *g,
                      int64_t i, struct ax_tensor *t, struct ax_err *err)
{
    if (in[i].data)
        return ax_fail(err, AX_EUSAGE, "input '%s' is given twice",
                       g->values[g->inputs[i]].name);
    in[i] = *t;
    memset(t, 0, sizeof *t);
    return AX_OK;
}

/* Read a file for input I, or, if it holds several, for those it names. */
static ax_status read_input(struct ax_tensor *in, const struct ax_graph *g,
                            int64_t i, const char *path, struct ax_err *err)
{
    struct ax_tensor_list list = {0};
    unsigned char *data;
    ax_status st;
    size_t n;

    AX_TRY(cmd_in_read(&data, &n, path, FILE_MAX, err));
    st = ax_tensorfile_read(&list, data, n, wanted_dtype(g, i), err);
    free(data);
    if (st == AX_OK && list.n == 1 && i >= 0 && i < g->n_inputs)
        st = give(in, g, i, &list.v[0].t, err);
    else if (st == AX_OK && list.n == 1 && !list.v[0].name[0])
        st = ax_fail(err, AX_EUSAGE, "the model has %u inputs", g->n_inputs);
    else
        for (size_t k = 0; k < list.n && st == AX_OK; k++) {
            int64_t to = input_by_name(g, list.v[k].name,
                                       strlen(list.v[k].name));

            st = to < 0 ? ax_fail(err, AX_EUSAGE,
                                  "the model has no input '%.200s'",
                                  list.v[k].name)
                        : give(in, g, to, &list.v[k].t, err);
        }
    ax_tensor_list_free(&list);
    return st == AX_OK ? st : ax_fail_in(err, "%s", cmd_in_name(path));
}

static ax_status read_named(struct ax_tensor *in, const struct ax_graph *g,
                            struct ax_err *err)
{
    for (int k = 0; k < inputs.n; k++) {
        const char *eq = strrchr(inputs.v[k], '=');
        int64_t i = eq ? input_by_name(g, inputs.v[k],
                                       (size_t)(eq - inputs.v[k]))
                       : -1;

        if (!eq)
            return ax_fail(err, AX_EUSAGE,
                           "--input wants NAME=FILE, not "
                           "'%s'",
                           inputs.v[k]);
        if (i < 0)
            return ax_fail(err, AX_EUSAGE, "the model has no input '%.*s'",
                           (int)(eq - inputs.v[k]), inputs.v[k]);
        AX_TRY(read_input(in, g, i, eq + 1, err));
    }
    return AX_OK;
}

/* Inputs by name, then files by position, then standard input. */
static ax_status read_inputs(struct ax_tensor *in, const struct ax_graph *g,
                             const char *model, char **files,
                             struct ax_err *err)
{
    bool any = inputs.n > 0 || *files;
    uint32_t next = 0;

    AX_TRY(read_named(in, g, err));
    for (; *files; files++) {
        while (next < g->n_inputs && in[next].data)
            next++;
        AX_TRY(read_input(in, g, next, *files, err));
    }
    if (!any && g->n_inputs > 0) {
        if (strcmp(model, "-") == 0)
            return ax_fail(err, AX_EUSAGE,
                           "the model comes from standard input: name a file "
                           "with the input");
        AX_TRY(read_input(in, g, 0, "-", err));
    }
    for (uint32_t i = 0; i < g->n_inputs; i++)
        if (!in[i].data)
            return ax_fail(err, AX_EUSAGE, "input '%s' is not given",
                           g->values[g->inputs[i]].name);
    return AX_OK;
}

/* -- output -------------------------------------------------------------- */

static const char *output_name(const struct ax_graph *g, uint32_t o)
{
    return g->values[g->outputs[o]].name;
}

/* Strings have quotes around them. */
static void print_element(const struct ax_tensor *t, size_t i)
{
    char buf[AX_STRING_SIZE + 1] = "";

    if (t->dtype == AX_STRING) {
        memcpy(buf, (const char *)t->data + i * AX_STRING_SIZE,
               AX_STRING_SIZE);
        putchar('"');
        cmd_text(stdout, buf);
        putchar('"');
        return;
    }
    fputs(ax_number_text(buf, sizeof buf, t, i), stdout);
}

/* Rows of the last dimension, a line each. */
static void print_tensor(const struct ax_graph *g, uint32_t o,
                         const struct ax_tensor *t)
{
    size_t n = ax_tensor_count(t);
    size_t row = t->rank > 0 && t->dims[t->rank - 1] > 0
                     ? (size_t)t->dims[t->rank - 1]
                     : 1;
    char buf[160];

    cmd_text(stdout, output_name(g, o));
    printf(": %s\n",
           ax_shape_text(buf, sizeof buf, t->dtype, t->rank, t->dims));
    for (size_t i = 0; i < n && i < TEXT_MAX; i++) {
        fputs(i % row ? " " : "  ", stdout);
        print_element(t, i);
        fputs((i + 1) % row && i + 1 < n ? "" : "\n", stdout);
    }
    if (n > TEXT_MAX)
        printf("%s  and %zu more: write a file with -o\n",
               TEXT_MAX % row ? "\n" : "", n - TEXT_MAX);
}

static ax_status write_files(FILE *f, ax_tensorfile kind,
                             const struct ax_graph *g, struct ax_tensor *out,
                             struct ax_err *err)
{
    struct ax_tensor_list list = {0};
    ax_status st;

    if (kind != AX_FILE_NPZ && g->n_outputs != 1)
        return ax_fail(err, AX_EUSAGE,
                       "the model has %u outputs: only npz holds more than "
                       "one",
                       g->n_outputs);
    if (kind == AX_FILE_NPY)
        return ax_npy_write(f, &out[0], err);
    if (kind == AX_FILE_CSV)
        return ax_csv_write(f, &out[0], err);
    list.v = calloc(g->n_outputs + 1u, sizeof *list.v);
    if (!list.v)
        return ax_fail(err, AX_ENOMEM, "no memory for the outputs");
    for (; list.n < g->n_outputs; list.n++) {
        list.v[list.n].name = g->values[g->outputs[list.n]].name;
        list.v[list.n].t = out[list.n];
    }
    st = ax_npz_write(f, &list, err);
    free(list.v); /* names and data are borrowed */
    return st;
}

static ax_status output_kind(ax_tensorfile *kind, const struct ax_graph *g,
                             struct ax_err *err)
{
    char name[8];

    *kind = (ax_tensorfile)0; /* text */
    if (format && strcmp(format, "text") == 0)
        return AX_OK;
    if (format) {
        snprintf(name, sizeof name, "x.%s", format);
        *kind = ax_tensorfile_by_name(name);
    } else if (output && strcmp(output, "-") != 0) {
        *kind = ax_tensorfile_by_name(output);
        if (!*kind)
            return ax_fail(
                err, AX_EUSAGE,
                "%s: ends neither in .npy nor in .npz nor in .csv: "
                "give --format",
                output);
    } else if (!isatty(STDOUT_FILENO)) {
        *kind = g->n_outputs == 1 ? AX_FILE_NPY : AX_FILE_NPZ;
    }
    return AX_OK;
}

static ax_status write_outputs(const struct ax_graph *g,
                               struct ax_tensor *out, struct ax_err *err)
{
    struct cmd_out to = {0};
    ax_tensorfile kind;
    ax_status st;

    AX_TRY(output_kind(&kind, g, err));
    if (!kind && (!output || strcmp(output, "-") == 0)) {
        for (uint32_t o = 0; o < g->n_outputs; o++)
            print_tensor(g, o, &out[o]);
        return AX_OK;
    }
    if (!kind)
        return ax_fail(err, AX_EUSAGE,
                       "--format text is for standard output");
    AX_TRY(cmd_out_open(&to, output, kind == AX_FILE_CSV ? 0 : CMD_OUT_BINARY,
                        err));
    st = write_files(to.f, kind, g, out, err);
    if (st == AX_OK)
        return cmd_out_commit(&to, err);
    if (st == AX_EIO)
        ax_fail_in(err, "%s", to.name);
    cmd_out_discard(&to);
    return st;
}

/* -- JSON ---------------------------------------------------------------- */

/* JSON has no infinities and no NaN: they are strings. */
static json_t *json_number(const struct ax_tensor *t, size_t i)
{
    char buf[AX_STRING_SIZE + 1] = "";
    double x;

    if (t->dtype == AX_STRING) {
        memcpy(buf, (const char *)t->data + i * AX_STRING_SIZE,
               AX_STRING_SIZE);
        return cmd_json_text(buf);
    }
    if (ax_dtype_class(t->dtype) != AX_CLASS_REAL) {
        int64_t v;

        ax_get_i64(&v, t->dtype, t->data, i, 1);
        return t->dtype == AX_BOOL ? json_boolean(v != 0) : json_integer(v);
    }
    ax_get_f64(&x, t->dtype, t->data, i, 1);
    if (!isfinite(x))
        return json_string(ax_number_text(buf, sizeof buf, t, i));
    /* The shortest digits that are read back as this float. */
    return json_real(strtod(ax_number_text(buf, sizeof buf, t, i), NULL));
}

static json_t *json_tensor(const struct ax_graph *g, uint32_t o,
                           const struct ax_tensor *t)
{
    json_t *shape = json_array(), *data = json_array();

    for (int i = 0; i < t->rank; i++)
        cmd_json_add(&shape, json_integer(t->dims[i]));
    for (size_t i = 0; i < ax_tensor_count(t); i++)
        cmd_json_add(&data, json_number(t, i));
    return json_pack("{s:o,s:s,s:o,s:o}", "name",
                     cmd_json_text(output_name(g, o)), "type",
                     ax_dtype_name(t->dtype), "shape", shape, "data", data);
}

static json_t *json_outputs(const struct ax_graph *g, struct ax_tensor *out)
{
    json_t *list = json_array();

    for (uint32_t o = 0; o < g->n_outputs; o++)
        cmd_json_add(&list, json_tensor(g, o, &out[o]));
    return list;
}

/* -- the command --------------------------------------------------------- */

static void say_rows(void *data, int64_t done, int64_t total)
{
    cmd_progress(data, "%lld of %lld rows", (long long)done,
                 (long long)total);
}

/* *out is new: the outputs of the model, as many as the graph has. */
static ax_status compute(struct ax_tensor **out, struct ax_plan *p,
                         const struct ax_graph *g, struct ax_tensor *in,
                         struct ax_err *err)
{
    struct cmd_progress progress;
    ax_status st;

    *out = calloc(g->n_outputs + 1u, sizeof **out);
    if (!*out)
        return ax_fail(err, AX_ENOMEM, "no memory for the outputs");
    cmd_progress_start(&progress);
    st = ax_plan_run_rows(p, *out, in, batch, say_rows, &progress, err);
    cmd_progress_end(&progress);
    return st;
}

static void free_tensors(struct ax_tensor *t, uint32_t n)
{
    for (uint32_t i = 0; t && i < n; i++)
        ax_tensor_free(&t[i]);
    free(t);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static ax_status measure(struct timing *t, struct ax_plan *p,
                         const struct ax_graph *g, struct ax_tensor *in,
                         struct ax_err *err)
{
    double *took = calloc((size_t)times, sizeof *took);
    ax_status st = AX_OK;

    if (!took)
        return ax_fail(err, AX_ENOMEM, "no memory for %lld times",
                       (long long)times);
    for (int64_t k = 0; k < times && st == AX_OK; k++) {
        struct ax_tensor *out;
        double start = now();

        st = compute(&out, p, g, in, err);
        took[k] = now() - start;
        free_tensors(out, g->n_outputs);
    }
    qsort(took, (size_t)times, sizeof *took, by_size);
    t->median = took[times / 2];
    free(took);
    return st;
}

static ax_status make_plan(struct ax_plan **p, const struct ax_model *m,
                           const char *name, struct ax_err *err)
{
    struct ax_run_options o = {.backend = name,
                               .threads = (int)threads,
                               .deterministic = deterministic,
                               .max_bytes = (size_t)max_mib << 20};

    return ax_plan_new(p, m, &o, err);
}

/* Compute with the other backend and say how far off it is. */
static ax_status run_check(const struct ax_model *m, struct ax_tensor *in,
                           struct ax_tensor *out, struct ax_err *err)
{
    const struct ax_graph *g = m->graph;
    json_t *list = json ? json_array() : NULL;
    struct ax_tensor *other = NULL;
    struct ax_plan *p = NULL;
    double worst = 0;
    ax_status st = make_plan(&p, m, check, err);

    if (st == AX_OK)
        st = compute(&other, p, g, in, err);
    for (uint32_t o = 0; st == AX_OK && o < g->n_outputs; o++) {
        struct ax_difference d = ax_tensor_compare(&out[o], &other[o]);

        worst = fmax(worst, d.relative);
        if (json) {
            cmd_json_add(&list, json_pack("{s:o,s:f,s:f}", "name",
                                          cmd_json_text(output_name(g, o)),
                                          "max_absolute", d.absolute,
                                          "max_relative", d.relative));
            continue;
        }
        cmd_text(stdout, output_name(g, o));
        printf(": largest difference %.3g, relative %.3g\n", d.absolute,
               d.relative);
    }
    if (st == AX_OK && json)
        st = cmd_json("ax.run.check/1",
                      json_pack("{s:s,s:s,s:f,s:b,s:o}", "backend", backend,
                                "reference", check, "tolerance", tolerance,
                                "agree", worst <= tolerance, "outputs", list),
                      err);
    if (st == AX_OK && !(worst <= tolerance))
        st = AX_NO;
    free_tensors(other, g->n_outputs);
    ax_plan_free(p);
    return st;
}

static ax_status report(const struct ax_graph *g, struct ax_tensor *out,
                        const struct timing *t, struct ax_err *err)
{
    if (json) {
        json_t *time = json_pack("{s:f,s:f,s:f}", "load", t->load, "plan",
                                 t->plan, "first", t->first);

        if (times)
            cmd_json_put(&time, "median", json_real(t->median));
        return cmd_json("ax.run/1",
                        json_pack("{s:s,s:i,s:o,s:o}", "backend", backend,
                                  "threads", (int)threads, "seconds", time,
                                  "outputs", json_outputs(g, out)),
                        err);
    }
    if (times) {
        printf("load   %10.6f s\nplan   %10.6f s\nfirst  %10.6f s\n"
               "median %10.6f s of %lld\n",
               t->load, t->plan, t->first, t->median, (long long)times);
        return output || format ? write_outputs(g, out, err) : AX_OK;
    }
    return write_outputs(g, out, err);
}

static ax_status run(struct ax_model **m, struct ax_plan **p,
                     struct ax_tensor **in, struct ax_tensor **out,
                     char **files, struct ax_err *err)
{
    struct timing t = {0};
    double start = now();
    const struct ax_graph *g;

    AX_TRY(cmd_model_read(m, files[0], err));
    g = (*m)->graph;
    t.load = now() - start;
    start = now();
    AX_TRY(make_plan(p, *m, backend, err));
    t.plan = now() - start;
    *in = calloc(g->n_inputs + 1u, sizeof **in);
    if (!*in)
        return ax_fail(err, AX_ENOMEM, "no memory for %u inputs",
                       g->n_inputs);
    AX_TRY(read_inputs(*in, g, files[0], files + 1, err));
    start = now();
    AX_TRY(compute(out, *p, g, *in, err));
    t.first = now() - start;
    if (times)
        AX_TRY(measure(&t, *p, g, *in, err));
    if (check)
        return run_check(*m, *in, *out, err);
    return report(g, *out, &t, err);
}

int main(int argc, char **argv)
{
    struct ax_tensor *in = NULL, *out = NULL;
    struct ax_model *m = NULL;
    struct ax_plan *p = NULL;
    struct ax_err err = {0};
    ax_status st = cmd_options(&cmd, &argc, &argv, &err);
    const struct cmd_sandbox box = {.cmd = &cmd, .writes = {output}};

    if (st == AX_OK && kernels)
        st = list_operators(&err);
    else if (st == AX_OK && argc < 1)
        st = ax_fail(&err, AX_EUSAGE, "no model is given");
    else if (st == AX_OK)
        st = cmd_sandbox_enter(&box, &err);
    if (st == AX_OK && !kernels)
        st = run(&m, &p, &in, &out, argv, &err);
    if (m) {
        free_tensors(in, m->graph->n_inputs);
        free_tensors(out, m->graph->n_outputs);
    }
    ax_plan_free(p);
    ax_model_free(m);
    return cmd_finish(&cmd, st, &err);
}
