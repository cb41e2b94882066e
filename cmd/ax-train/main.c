/* ax-train - fit a network to data. See man/ax-train.1. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ax-train/watch.h"
#include "common/file.h"
#include "common/model.h"
#include "common/sandbox.h"

/* Does the terminal show more than letters? */
static bool has_braille(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

    for (int i = 0; i < 3; i++) {
        const char *s = getenv(names[i]);

        if (s && *s)
            return strstr(s, "UTF-8") || strstr(s, "utf8");
    }
    return false;
}

static ax_status train(struct job *j, struct ax_err *err)
{
    struct ax_err ignored = {0};
    ax_status st = job_open(j, err);

    if (st == AX_OK)
        st = job_train(j, err);
    if (st == AX_OK)
        return track_finish(j->track, true, err);
    if (track_finish(j->track, false, &ignored) != AX_OK)
        return st; /* what it died of matters more */
    return st;
}

static ax_status run(const struct args *a, struct job *j, struct ax_err *err)
{
    AX_TRY(train(j, err));
    if (a->plot)
        curves_draw(a->json || strcmp(a->out, "-") == 0 ? stderr : stdout,
                    j->history, j->n_history, has_braille());
    AX_TRY(cmd_model_record(j->model, a->cmd,
                            j->had_identity ? j->identity : NULL, j->files.v,
                            j->files.n, err));
    return cmd_model_write(j->model, a->out, AX_PROFILE_ZSTD,
                           a->force ? CMD_OUT_FORCE : 0, err);
}

/* Words of options as numbers; the tables are in the order of the enums. */
static int word(const char *s, const char *const *words)
{
    int i = 0;

    while (strcmp(words[i], s) != 0)
        i++;
    return i;
}

static ax_status settle(struct args *a, char **operands, struct ax_err *err)
{
    static const char *const losses[] = {"cross-entropy", "mse", "mae",
                                         "huber", "bce"};
    static const char *const optimisers[] = {"sgd", "adam", "adamw",
                                             "rmsprop", "lion"};

    a->start = operands[0];
    if (!a->start)
        return ax_fail(err, AX_EUSAGE,
                       "wants an architecture or a container to start from");
    if (!a->data)
        return ax_fail(err, AX_EUSAGE, "wants rows to train with: --data");
    if (a->test_labels && !a->test)
        return ax_fail(err, AX_EUSAGE, "--test-labels without --test");
    if (a->json && strcmp(a->out, "-") == 0)
        return ax_fail(err, AX_EUSAGE,
                       "--json wants -o FILE: standard output has the model");
    if (strcmp(a->start, "-") == 0)
        return ax_fail(err, AX_EUSAGE, "the start must be a file");
    a->opt.loss = (ax_loss)word(a->loss, losses);
    a->opt.optimiser = (ax_optimiser)word(a->optimiser, optimisers);
    a->opt.batch = (size_t)a->batch;
    a->opt.threads = (int)a->threads;
    a->opt.robust = a->robust > 0;
    if (a->opt.robust && a->opt.loss != AX_LOSS_CROSS_ENTROPY)
        return ax_fail(err, AX_EUSAGE,
                       "--robust is for --loss cross-entropy alone");
    if (a->every && !a->checkpoint)
        return ax_fail(err, AX_EUSAGE,
                       "--checkpoint-every without --checkpoint");
    if (a->checkpoint && strcmp(a->checkpoint, "-") == 0)
        return ax_fail(err, AX_EUSAGE, "a checkpoint must be a file");
    AX_TRY(augment_read(&a->augment, a->augment_text, err));
    if (a->patience && !a->test)
        return ax_fail(err, AX_EUSAGE, "--patience wants --test");
    if (a->metrics && (!a->test || a->opt.loss != AX_LOSS_CROSS_ENTROPY))
        return ax_fail(err, AX_EUSAGE, "--metrics wants --test and classes");
    if (a->report && strcmp(a->report, "-") == 0)
        return ax_fail(err, AX_EUSAGE, "a report must be a file");
    if (a->rate <= 0)
        a->rate = a->opt.optimiser == AX_OPTIMISER_SGD    ? 0.05
                  : a->opt.optimiser == AX_OPTIMISER_LION ? 0.0001
                                                          : 0.001;
    /* Defaults as those of PyTorch, and of Lion's authors. */
    if (a->opt.optimiser == AX_OPTIMISER_RMSPROP ||
        a->opt.optimiser == AX_OPTIMISER_LION)
        a->opt.beta2 = 0.99;
    return AX_OK;
}

/* What is written of a run where it is followed. */
static json_t *config_of(const struct args *a)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:f,s:f,s:f,s:f}", "start",
                     cmd_in_name(a->start), "loss", a->loss, "optimiser",
                     a->optimiser, "schedule", a->schedule, "epochs",
                     (json_int_t)a->epochs, "batch", (json_int_t)a->batch,
                     "seed", (json_int_t)a->seed, "lr", a->rate,
                     "weight_decay", a->opt.decay, "clip_norm", a->opt.clip,
                     "robust", a->robust);
}

/* Before the sandbox: it has no network, and its folders must be there. */
static ax_status follow(const struct args *a, struct job *j,
                        struct track **track, struct ax_err *err)
{
    const char *fixed = getenv("SOURCE_DATE_EPOCH");
    const char *name = strrchr(a->start, '/');
    struct track_run run = {.name = name ? name + 1 : a->start};
    ax_status st;

    if (a->track.n == 0)
        return AX_OK;
    run.time = fixed ? strtod(fixed, NULL) : (double)time(NULL);
    run.config = config_of(a);
    st = run.config
             ? track_open(track, a->track.v, a->track.n, &run, err)
             : ax_fail(err, AX_ENOMEM, "no memory, or a name is no UTF-8");
    json_decref(run.config);
    j->track = *track;
    return st;
}

static const struct args defaults = {
    .out = "-",
    .loss = "cross-entropy",
    .optimiser = "sgd",
    .schedule = "constant",
    .epochs = 10,
    .batch = 64,
    .threads = 1,
    .step_factor = 0.1,
    .robust_share = 0.5,
    .robust_ramp = 0.5,
    .opt = {.momentum = 0.9, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8}};

#define OPTIONS_MAX 48

/* Options that fill A. */
static void list_options(struct opt out[OPTIONS_MAX], struct args *a)
{
    const struct opt opts[] = {
        {'d', "data", "FILE", "rows to train with", .str = &a->data},
        {0, "labels", "FILE", "their targets, if not in the same file",
         .str = &a->labels},
        {0, "test", "FILE", "rows to measure with after each epoch",
         .str = &a->test},
        {0, "test-labels", "FILE", "their targets", .str = &a->test_labels},
        {'o', "output", "FILE", "write here, not to standard output",
         .str = &a->out},
        {0, "epochs", "N", "passes over the data; default 10",
         .num = &a->epochs, .min = 1, .max = 1000000},
        {0, "batch", "N", "rows a step; default 64", .num = &a->batch,
         .min = 1, .max = 1 << 20},
        {0, "seed", "N", "of weights and order; default 0", .num = &a->seed,
         .min = 0, .max = INT64_MAX},
        {0, "lr", "X",
         "rate; default 0.05 for sgd, 0.0001 for lion, or 0.001",
         .real = &a->rate, .min = 0, .max = 1000},
        {0, "schedule", "KIND",
         "constant (default), linear, cosine, one-cycle, step",
         .str = &a->schedule,
         .one_of = "constant linear cosine one-cycle step"},
        {0, "step-epochs", "N", "between steps; default a third of all",
         .num = &a->step_epochs, .min = 0, .max = 1000000},
        {0, "step-factor", "X", "what a step leaves; default 0.1",
         .real = &a->step_factor, .min = 0, .max = 1},
        {0, "patience", "N", "stop when the test loss has not fallen so long",
         .num = &a->patience, .min = 0, .max = 1000000},
        {0, "warm-up", "X", "part of the run in which the rate rises",
         .real = &a->warm_up, .min = 0, .max = 1},
        {0, "loss", "KIND", "cross-entropy (default), mse, mae, huber or bce",
         .str = &a->loss, .one_of = "cross-entropy mse mae huber bce"},
        {0, "label-smoothing", "X", "of cross-entropy; default 0",
         .real = &a->opt.smoothing, .min = 0, .max = 1},
        {0, "optimiser", "KIND", "sgd (default), adam, adamw, rmsprop, lion",
         .str = &a->optimiser, .one_of = "sgd adam adamw rmsprop lion"},
        {0, "ema", "X", "keep a mean of the weights; 0: none",
         .real = &a->opt.average, .min = 0, .max = 1},
        {0, "momentum", "X", "of sgd; default 0.9", .real = &a->opt.momentum,
         .min = 0, .max = 1},
        {0, "nesterov", NULL, "Nesterov's momentum",
         .flag = &a->opt.nesterov},
        {0, "weight-decay", "X", "default 0", .real = &a->opt.decay, .min = 0,
         .max = 1000},
        {0, "clip-norm", "X", "largest norm of a gradient; 0: any",
         .real = &a->opt.clip, .min = 0, .max = 1000000},
        {0, "robust", "EPS", "train for proofs: inputs off by up to EPS",
         .real = &a->robust, .min = 0, .max = 1000000},
        {0, "robust-share", "X", "the part of the worst loss; default 0.5",
         .real = &a->robust_share, .min = 0, .max = 1},
        {0, "robust-ramp", "X", "when all of it counts; default 0.5",
         .real = &a->robust_ramp, .min = 0, .max = 1},
        {0, "augment", "LIST", "crop=N, flip, noise=X: change rows anew",
         .str = &a->augment_text},
        {0, "threads", "N", "that compute; default 1", .num = &a->threads,
         .min = 1, .max = 256},
        {0, "checkpoint", "FILE", "write the state here after each epoch",
         .str = &a->checkpoint},
        {0, "checkpoint-every", "N", "and after so many steps of it",
         .num = &a->every, .min = 0, .max = INT64_MAX},
        {0, "resume", "FILE", "go on from a checkpoint", .str = &a->resume},
        {0, "replay", "CONTAINER", "repeat its run and compare identities",
         .str = &a->replay},
        {0, "folder", "DIR", "with --replay: where the files of the run are",
         .str = &a->folder},
        {0, "freeze", "PREFIX", "weights whose names begin so stay",
         .str = &a->opt.freeze},
        {0, "scale", "X", "multiply the input; default 1/255 for uint8",
         .real = &a->scale, .min = 0, .max = 1000000},
        {0, "metrics", NULL, "measure top-5 accuracy, F1 and AUC, too",
         .flag = &a->metrics},
        {0, "track", "KIND:PLACE", "jsonl, mlflow, tensorboard or wandb",
         .list = &a->track},
        {0, "plot", NULL, "draw curves at the end", .flag = &a->plot},
        {0, "report", "FILE", "write a report as HTML", .str = &a->report},
        {0, "json", NULL, "print a line of JSON an epoch", .flag = &a->json},
        {'f', "force", NULL, "write binary even to a terminal",
         .flag = &a->force},
        {0},
    };

    _Static_assert(sizeof opts / sizeof opts[0] <= OPTIONS_MAX, "options");
    memcpy(out, opts, sizeof opts);
}

static const struct cmd command = {
    .name = "ax-train",
    .summary = "fit a network to data",
    .synopsis = "[options] -d FILE START\n[options] --replay CONTAINER",
    .max_operands = 1,
};

static ax_status read_record(struct args *a, int argc, char **argv,
                             struct ax_err *err)
{
    struct opt opts[OPTIONS_MAX];
    struct cmd cmd = command;

    *a = defaults;
    a->cmd = &command;
    list_options(opts, a);
    cmd.opts = opts;
    AX_TRY(cmd_options(&cmd, &argc, &argv, err));
    if (a->replay || a->track.n || a->report)
        return ax_fail(err, AX_EFORMAT,
                       "the record has --replay, --track or --report");
    return settle(a, argv, err);
}

static ax_status start(struct args *a, char **argv, struct job *j,
                       struct track **track, struct ax_err *err)
{
    struct cmd_sandbox box = {.cmd = a->cmd,
                              .writes = {a->out, a->checkpoint, a->report}};

    if (!a->replay && a->folder)
        return ax_fail(err, AX_EUSAGE, "--folder without --replay");
    if (a->replay && (argv[0] || a->data || strcmp(a->out, "-") != 0))
        return ax_fail(err, AX_EUSAGE,
                       "--replay takes all but --folder and --threads from "
                       "the record");
    if (!a->replay) {
        AX_TRY(settle(a, argv, err));
        AX_TRY(follow(a, j, track, err));
    }
    AX_TRY(cmd_sandbox_enter(&box, err));
    return a->replay ? replay(a, read_record, err) : run(a, j, err);
}

int main(int argc, char **argv)
{
    struct args a = defaults;
    struct opt opts[OPTIONS_MAX];
    struct cmd cmd = command;
    struct job j = {.args = &a};
    struct track *track = NULL;
    struct ax_err err = {0};
    ax_status st;

    list_options(opts, &a);
    cmd.opts = opts;
    a.cmd = &cmd;
    st = cmd_options(&cmd, &argc, &argv, &err);
    if (st == AX_OK)
        st = start(&a, argv, &j, &track, &err);
    job_free(&j);
    track_free(track);
    return cmd_finish(&cmd, st, &err);
}
