/* ax-bench - measure, compare, gate. See man/ax-bench.1. */
#include <signal.h>
#include <string.h>

#include "bench.h"
#include "common/progress.h"
#include "common/run.h"
#include "common/sandbox.h"

struct args {
    struct opt_list files;
    const char *list, *folder, *vs, *baseline;
    int64_t runs, threads;
    double seconds, max_ratio;
    bool json, problems, check;
    const char *semantics;
};

struct work {
    char **lines;
    size_t n;
    struct context context;
    struct versus versus;
    struct peaks peaks;
    struct report report;
    char *folder;
    struct cmd_progress progress;
};

/* Problems from everywhere: operands, files, a list; if there are none of
 * these, standard input. */
static ax_status gather(struct work *w, const struct args *a, int argc,
                        char **argv, struct ax_err *err)
{
    for (int i = 0; i < argc; i++)
        AX_TRY(lines_add(&w->lines, &w->n, argv[i], err));
    for (int i = 0; i < a->files.n; i++)
        AX_TRY(lines_read(&w->lines, &w->n, a->files.v[i], err));
    if (a->list)
        AX_TRY(list_read(&w->lines, &w->n, a->list, err));
    else if (argc == 0 && a->files.n == 0)
        AX_TRY(lines_read(&w->lines, &w->n, "-", err));
    if (w->n == 0)
        return ax_fail(err, AX_EFORMAT, "no problems were given");
    return AX_OK;
}

/* Paths in a list are relative to it, others to where we are. */
static ax_status set_folder(struct work *w, const struct args *a,
                            struct ax_err *err)
{
    const char *slash = a->list ? strrchr(a->list, '/') : NULL;

    w->folder = a->folder ? strdup(a->folder)
                : slash   ? strndup(a->list, (size_t)(slash - a->list) + 1)
                          : strdup("");
    if (!w->folder)
        return ax_fail(err, AX_ENOMEM, "no memory for a path");
    w->context.folder = w->folder;
    return AX_OK;
}

static ax_status one(struct work *w, const struct limits *lim,
                     const char *line, struct ax_err *err)
{
    struct measured m;
    struct task t;
    ax_status st;

    AX_TRY(task_new(&t, &w->context, line, err));
    st = measure(&m, &t, &w->versus, lim, &w->peaks, err);
    cmd_progress_end(&w->progress);
    if (st == AX_OK)
        st = report_problem(&w->report, &t, &m, &w->versus, err);
    task_free(&t);
    return st;
}

/* Models are read in the sandbox, unless programs of others have to be
 * started too: what these need we do not know. Our own have a sandbox of
 * their own. */
static ax_status enter(const struct work *w, const struct cmd *cmd,
                       struct ax_err *err)
{
    const struct cmd_sandbox box = {.cmd = cmd};

    if (w->versus.command)
        return AX_OK;
    for (size_t i = 0; i < w->n; i++)
        if (task_starts_program(&w->context, w->lines[i]))
            return AX_OK;
    return cmd_sandbox_enter(&box, err);
}

static ax_status bench(struct work *w, const struct args *a, int argc,
                       char **argv, const struct cmd *cmd, struct ax_err *err)
{
    struct limits lim = {a->runs, a->seconds, !a->list};

    if (lim.runs == 0)
        lim.runs = a->list ? 1 : 5;
    if (lim.seconds < 0)
        lim.seconds = a->list ? 0 : 0.5;
    AX_TRY(gather(w, a, argc, argv, err));
    AX_TRY(set_folder(w, a, err));
    AX_TRY(enter(w, cmd, err));
    if (a->baseline)
        AX_TRY(report_baseline(&w->report, a->baseline, err));
    cmd_progress_start(&w->progress);
    for (size_t i = 0; i < w->n; i++) {
        cmd_progress(&w->progress, "%zu of %zu: %s", i + 1, w->n,
                     w->lines[i]);
        AX_TRY(one(w, &lim, w->lines[i], err));
    }
    return report_end(&w->report, &w->peaks, err);
}

int main(int argc, char **argv)
{
    struct args a = {.seconds = -1, .max_ratio = 1.5, .threads = 2};
    const struct opt opts[] = {
        {'f', "file", "FILE",
         "read problems, one a line; - is standard input", .list = &a.files},
        {'l', "list", "FILE.csv",
         "prove instances: model,property,timeout[,expected]",
         .str = &a.list},
        {'C', "folder", "DIR", "paths in problems are relative to it",
         .str = &a.folder},
        {'n', "runs", "N", "run at least so often", .num = &a.runs, .min = 1,
         .max = 1000000},
        {'t', "time", "SECONDS", "run at least so long", .real = &a.seconds,
         .min = 0, .max = 1000000},
        {'j', "threads", "N", "threads of prove and check; 2 by default",
         .num = &a.threads, .min = 1, .max = PEAK_THREADS},
        {0, "check", NULL, "let prove make certificates, and check them",
         .flag = &a.check},
        {0, "semantics", "NAME", "of prove and check: real or ieee32",
         .str = &a.semantics, .one_of = "real ieee32"},
        {0, "vs", "COMMAND", "run a shell command in turns with each problem",
         .str = &a.vs},
        {0, "baseline", "FILE", "compare with what --json printed",
         .str = &a.baseline},
        {0, "max-ratio", "R", "how much slower than the baseline it may be",
         .real = &a.max_ratio, .min = 0, .max = 1000000},
        {0, "problems", NULL, "tell which problems there are",
         .flag = &a.problems},
        {0, "json", NULL, "print the results as JSON", .flag = &a.json},
        {0},
    };
    const struct cmd cmd = {
        .name = "ax-bench",
        .summary = "measure, compare, gate",
        .synopsis = "[options] [PROBLEM ...]\n--problems",
        .opts = opts,
        .max_operands = CMD_MANY,
    };
    struct work w = {0};
    struct ax_err err = {0};
    ax_status st = cmd_options(&cmd, &argc, &argv, &err);
    int sig;

    if (st != AX_OK)
        return cmd_finish(&cmd, st, &err);
    if (a.problems) {
        task_list();
        return cmd_finish(&cmd, st, &err);
    }
    w.context.certificates = a.check;
    w.context.threads = a.threads;
    w.context.semantics = a.semantics;
    w.versus.command = a.vs;
    w.report.json = a.json;
    w.report.max_ratio = a.max_ratio;
    process_signals();
    st = bench(&w, &a, argc, argv, &cmd, &err);
    cmd_progress_end(&w.progress);
    scratch_free(&w.context.scratch);
    samples_free(&w.versus.times);
    samples_free(&w.versus.ratios);
    peaks_free(&w.peaks);
    report_free(&w.report);
    lines_free(w.lines, w.n);
    free(w.folder);
    sig = process_stopped();
    if (sig) { /* all is tidy: end as the signal wants it */
        signal(sig, SIG_DFL);
        raise(sig);
    }
    return cmd_finish(&cmd, st, &err);
}
