/* ax-prove - decide a property of a network. See man/ax-prove.1. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/sandbox.h"
#include "prove.h"
#include "reconcile.h"

static ax_status check_options(const struct args *a, struct ax_err *err)
{
    if (a->list &&
        (a->property || a->model || a->out || a->cert || a->trace ||
         a->print_model || a->print_property || a->minimise ||
         a->counterexample || a->explain || a->region || a->resume))
        return ax_fail(err, AX_EUSAGE,
                       "--list goes without a model, and the options that "
                       "say what of one property is wanted");
    if (a->counterexample && strcmp(a->counterexample, "-") == 0)
        return ax_fail(err, AX_EUSAGE, "--counterexample wants a file");
    if (a->precision && !a->minimise)
        return ax_fail(err, AX_EUSAGE, "--precision goes with --minimise");
    if (a->minimise &&
        (a->print_model || a->print_property || a->trace || a->region))
        return ax_fail(err, AX_EUSAGE,
                       "--minimise goes without --print-..., --region and "
                       "--trace");
    if (a->resume &&
        (a->minimise || a->region || a->print_model || a->print_property))
        return ax_fail(err, AX_EUSAGE,
                       "--resume goes without --print-..., --region and "
                       "--minimise");
    if (a->resume && strcmp(a->resume, "-") == 0)
        return ax_fail(err, AX_EUSAGE, "--resume wants a file");
    if (a->region && strcmp(a->region, "-") == 0)
        return ax_fail(err, AX_EUSAGE, "--region wants a file");
    if (!a->list && (a->shard || a->cert_dir))
        return ax_fail(err, AX_EUSAGE,
                       "--shard and --cert-dir go with --list");
    if (a->out && !a->cert && !a->print_model)
        return ax_fail(err, AX_EUSAGE,
                       "-o is for the container: give --cert");
    if (a->json && a->cert && !a->out)
        return ax_fail(err, AX_EUSAGE,
                       "--json and the container cannot both go to standard "
                       "output: give -o");
    return AX_OK;
}

static ax_status enter(const struct args *a, const struct cmd *cmd,
                       struct ax_err *err)
{
    struct cmd_sandbox box = {
        .cmd = cmd,
        .writes = {a->out, a->trace, a->counterexample, a->region, a->resume},
        .programs = a->check};

    limit_memory(a->memory_mib);
    return cmd_sandbox_enter(&box, err);
}

static ax_status print_text(const struct finding *f, struct ax_err *err)
{
    if (fwrite(f->text, 1, f->n_text, stdout) != f->n_text)
        return ax_fail(err, AX_EIO, "standard output: %s", strerror(errno));
    return AX_OK;
}

static ax_status decide(struct job *j, const struct args *a,
                        struct ax_err *err)
{
    if (a->minimise)
        return minimise(j, a, err);
    AX_TRY(job_decide(j, a, err));
    return a->region && j->found.result.verdict != AX_HOLDS
               ? region(j, a, err)
               : AX_OK;
}

/* One property of one model. */
static ax_status one(const struct args *a, const struct cmd *cmd,
                     struct ax_err *err)
{
    struct job j = {0};
    ax_status st;

    cmd_progress_start(&j.progress);
    st = job_read(&j, a, err);
    if (st == AX_OK && !a->print_model && !a->print_property)
        st = decide(&j, a, err);
    else if (st == AX_UNDECIDED)
        st = AX_OK;
    cmd_progress_end(&j.progress);
    if (st == AX_OK && a->print_model)
        st = cmd_model_write(j.model, a->out, AX_PROFILE_ZSTD,
                             a->force ? CMD_OUT_FORCE : 0, err);
    else if (st == AX_OK && a->print_property)
        st = print_text(&j.found, err);
    else if (st == AX_OK)
        st = answer(&j, a, cmd, err);
    job_free(&j);
    return st;
}

/* reconcile takes no option that is about a property. */
static ax_status check_reconcile(const struct args *a, int argc,
                                 struct ax_err *err)
{
    const bool other = a->property || a->out || a->trace || a->strategy ||
                       a->semantics || a->list || a->shard || a->cert_dir ||
                       a->minimise || a->precision || a->counterexample ||
                       a->region || a->resume || a->cert || a->no_attack ||
                       a->check || a->require || a->force || a->explain ||
                       a->print_property || a->print_model || a->max_boxes ||
                       a->networks.n || a->halvings || a->seed >= 0 ||
                       a->threads;

    if (argc != 2)
        return ax_fail(err, AX_EUSAGE, "reconcile wants one folder");
    if (other)
        return ax_fail(err, AX_EUSAGE,
                       "reconcile takes --json, --time and --memory alone");
    return AX_OK;
}

/* What was not given: until here it can be told from what was. */
static void set_defaults(struct args *a)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    if (!a->threads)
        a->threads = processors > 1 ? processors : 1;
    if (a->seed < 0)
        a->seed = 1;
    if (!a->halvings)
        a->halvings = 10;
}

int main(int argc, char **argv)
{
    struct args a = {.memory_mib = 4096, .seed = -1};
    const struct opt opts[] = {
        {'p', "property", "WHAT", "the property: VNN-LIB, or KIND:FILE,...",
         .str = &a.property},
        {'c', "cert", NULL, "attach the evidence and write the container",
         .flag = &a.cert},
        {'o', "output", "FILE",
         "write the container here, not to standard "
         "output",
         .str = &a.out},
        {0, "require", NULL, "write no container unless the property holds",
         .flag = &a.require},
        {0, "check", NULL, "let ax-check confirm the evidence first",
         .flag = &a.check},
        {'t', "time", "SECONDS", "give up after so long", .real = &a.seconds,
         .min = 0, .max = 1 << 30},
        {'m', "memory", "MIB", "give up before more memory is used",
         .num = &a.memory_mib, .min = 64, .max = 1 << 24},
        {'j', "threads", "N", "use so many threads", .num = &a.threads,
         .min = 1, .max = 1024},
        {0, "max-boxes", "N", "give up after so many boxes",
         .num = &a.max_boxes, .min = 1, .max = INT64_MAX},
        {0, "seed", "N", "of the attack", .num = &a.seed, .min = 0,
         .max = INT64_MAX},
        {0, "strategy", "WHAT", "split what: auto, input or neuron",
         .str = &a.strategy},
        {0, "semantics", "NAME",
         "of the network: real, or ieee32, all that floats do",
         .str = &a.semantics, .one_of = "real ieee32"},
        {0, "network", "NAME=FILE",
         "the model of a network that a query declares", .list = &a.networks},
        {0, "minimise", "NAME",
         "the hardest value of eps, linf, l or tol that holds",
         .str = &a.minimise, .one_of = "eps linf l tol"},
        {0, "precision", "STEP", "of --minimise; default a hundredth",
         .str = &a.precision},
        {0, "counterexample", "FILE",
         "write it here, .npy or VNN-COMP's text", .str = &a.counterexample},
        {0, "region", "FILE", "write the part that is proved, if not all is",
         .str = &a.region},
        {0, "resume", "FILE",
         "go on with the search in this file, and write it if a limit is "
         "reached",
         .str = &a.resume},
        {0, "halvings", "N", "of --region: parts down to 2^-N; default 10",
         .num = &a.halvings, .min = 1, .max = 20},
        {0, "explain", NULL, "say what was chosen, and why",
         .flag = &a.explain},
        {0, "list", "FILE", "decide all instances of a list", .str = &a.list},
        {0, "shard", "I/N", "of the list decide the I-th of N parts",
         .str = &a.shard},
        {0, "cert-dir", "DIR", "write containers of the list's evidence here",
         .str = &a.cert_dir},
        {0, "print-property", NULL, "print the property's VNN-LIB, no more",
         .flag = &a.print_property},
        {0, "print-model", NULL, "write the network that it is of, no more",
         .flag = &a.print_model},
        {0, "no-attack", NULL, "go straight to the search",
         .flag = &a.no_attack},
        {0, "trace", "FILE", "write one line of JSON for every box",
         .str = &a.trace},
        {0, "json", NULL, "print the result as JSON", .flag = &a.json},
        {'f', "force", NULL, "write the container even to a terminal",
         .flag = &a.force},
        {0},
    };
    const struct cmd cmd = {
        .name = "ax-prove",
        .summary = "decide a property of a network",
        .synopsis = "[options] -p WHAT [MODEL.axm]\n"
                    "[options] --list FILE.csv\n"
                    "reconcile [--json] [-t SECONDS] [-m MIB] FOLDER",
        .opts = opts,
        .max_operands = 2,
    };
    struct ax_err err = {0};
    ax_status st = cmd_options(&cmd, &argc, &argv, &err);

    if (st == AX_OK && argc > 0 && strcmp(argv[0], "reconcile") == 0) {
        st = check_reconcile(&a, argc, &err);
        if (st == AX_OK)
            st = reconcile(argv[1], &a, &cmd, &err);
        return cmd_finish(&cmd, st, &err);
    }
    set_defaults(&a);
    if (st == AX_OK && argc > 1)
        st = ax_fail(&err, AX_EUSAGE, "at most one operand, not '%s'",
                     argv[1]);
    a.model = argc > 0 ? argv[0] : NULL;
    if (st == AX_OK)
        st = check_options(&a, &err);
    if (st == AX_OK && a.list) {
        st = list_decide(&a, &cmd, &err);
        return cmd_finish(&cmd, st, &err);
    }
    a.first_is_model = !a.model && a.networks.n > 0 &&
                       strchr(a.networks.v[0], '=') != NULL;
    if (a.first_is_model)
        a.model = strchr(a.networks.v[0], '=') + 1;
    a.model = a.model ? a.model : "-";
    a.resumed = resume_there(a.resume);
    a.check |= a.resumed;
    if (st == AX_OK)
        st = enter(&a, &cmd, &err);
    if (st == AX_OK)
        st = one(&a, &cmd, &err);
    return cmd_finish(&cmd, st, &err);
}
