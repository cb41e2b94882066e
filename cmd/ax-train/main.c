/* ax-train - fit a network to data. See man/ax-train.1. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ax-train/data.h"
#include "common/file.h"
#include "common/json.h"
#include "common/model.h"
#include "common/progress.h"
#include "common/run.h"
#include "common/sandbox.h"

#define TEXT_MAX_BYTES ((size_t)1 << 20)
#define SHUFFLE        (UINT64_MAX / 2) /* streams of random numbers */

struct args {
    const struct cmd *cmd;
    const char *start, *data, *labels, *test, *test_labels, *out;
    const char *loss, *optimiser, *schedule;
    int64_t epochs, seed, batch, threads;
    double rate, scale;
    double robust, robust_share, robust_ramp;
    struct ax_train_options opt;
    bool json, force;
};

/* Everything but args is owned. */
struct job {
    const struct args *args;
    struct ax_model *model;
    unsigned char identity[32]; /* of a container that was the start */
    bool had_identity;
    struct ax_trainer *trainer;
    struct data train, test;
    struct data_files files;
    size_t *order;     /* [the larger number of rows] */
    float *x, *values; /* x is borrowed */
    int64_t *classes;
    struct cmd_progress progress;
};

/* What one pass over rows gives. */
struct result {
    double loss;
    size_t right;
};

static void job_free(struct job *j)
{
    ax_trainer_free(j->trainer);
    ax_model_free(j->model);
    data_free(&j->train);
    data_free(&j->test);
    free(j->order);
    free(j->values);
    free(j->classes);
}

/* -- the start: an architecture or a container ----------------------------
 */

static ax_status read_container(struct job *j, const char *path,
                                struct ax_err *err)
{
    AX_TRY(cmd_model_read(&j->model, path, err));
    j->had_identity = true;
    return ax_model_identity(j->identity, j->model, err);
}

static ax_status read_arch(struct job *j, FILE *f, struct ax_err *err)
{
    const char *path = j->args->start;
    unsigned char *text = NULL;
    size_t n;
    ax_status st;

    AX_TRY(cmd_in_rest(&text, &n, f, path, TEXT_MAX_BYTES, err));
    st = ax_arch_read(&j->model, (const char *)text, n,
                      (uint64_t)j->args->seed, err);
    j->files.v[j->files.n].name = path;
    ax_sha256(j->files.v[j->files.n++].sha256, text, n);
    free(text);
    return st == AX_OK ? st : ax_fail_in(err, "%s", path);
}

/* No container begins with a byte that an architecture begins with. */
static ax_status read_start(struct job *j, struct ax_err *err)
{
    ax_status st;
    FILE *f;
    int first;

    AX_TRY(cmd_in_open(&f, j->args->start, err));
    first = getc(f);
    if (first != EOF && strchr("i# \t\r\n", first) &&
        ungetc(first, f) != EOF) {
        st = read_arch(j, f, err);
        cmd_in_close(f);
        return st;
    }
    cmd_in_close(f);
    return read_container(j, j->args->start, err);
}

/* -- passes ---------------------------------------------------------------
 */

static size_t at_most(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t count_right(const struct job *j, const float *out, size_t n)
{
    size_t outputs = j->train.outputs, right = 0;

    for (size_t i = 0; i < n; i++, out += outputs) {
        size_t best = 0;

        for (size_t k = 1; k < outputs; k++)
            if (out[k] > out[best])
                best = k;
        right += (int64_t)best == j->classes[i];
    }
    return right;
}

static ax_status evaluate(struct job *j, struct result *r, struct ax_err *err)
{
    const struct ax_target y = {j->classes, j->values};
    const struct data *d = &j->test;

    *r = (struct result){0};
    for (size_t i = 0; i < d->rows; i++)
        j->order[i] = i;
    for (size_t i = 0, n; i < d->rows; i += n) {
        const float *out;

        n = at_most(d->rows - i, (size_t)j->args->batch);
        data_rows(d, j->order + i, n, j->x, j->classes, j->values);
        out = ax_trainer_forward(j->trainer, j->x, n);
        r->loss += ax_trainer_loss(j->trainer, &y, n) * (double)n;
        if (j->args->opt.loss == AX_LOSS_CROSS_ENTROPY)
            r->right += count_right(j, out, n);
    }
    r->loss /= (double)d->rows;
    return isfinite(r->loss) ? AX_OK
                             : ax_fail(err, AX_EFORMAT,
                                       "the loss over the test rows is no "
                                       "finite number");
}

/* A permutation of the rows that seed and epoch alone say. */
static void shuffle(struct job *j, uint64_t epoch)
{
    for (size_t i = 0; i < j->train.rows; i++)
        j->order[i] = i;
    for (size_t i = j->train.rows; i > 1; i--) {
        uint64_t bits = ax_train_random((uint64_t)j->args->seed,
                                        SHUFFLE + epoch, i);
        size_t k = (size_t)(((unsigned __int128)bits * i) >> 64);
        size_t swap = j->order[i - 1];

        j->order[i - 1] = j->order[k];
        j->order[k] = swap;
    }
}

/* cos(pi t) for t in [0, 1], by its series around 1/2. */
static double half_turn(double t)
{
    double x = 3.14159265358979312 * (t - 0.5), term = x, sum = 0;

    for (int k = 1; k < 24; k += 2) {
        sum += term;
        term *= -x * x / ((k + 1) * (k + 2));
    }
    return -sum;
}

/* The rate at a part DONE of the whole, 0 to 1. */
static double rate_at(const struct args *a, double done)
{
    if (strcmp(a->schedule, "cosine") == 0)
        return a->rate * 0.5 * (1 + half_turn(done));
    if (strcmp(a->schedule, "linear") == 0)
        return a->rate * (1 - done);
    return a->rate;
}

/* Robust training sets in little by little. */
static void ramp(struct job *j, double done)
{
    const struct args *a = j->args;
    double part = done < a->robust_ramp ? done / a->robust_ramp : 1;

    if (a->opt.robust)
        ax_trainer_robust(j->trainer, a->robust * part,
                          a->robust_share * part);
}

static ax_status one_epoch(struct job *j, struct result *r, int64_t epoch,
                           struct ax_err *err)
{
    const struct args *a = j->args;
    const struct ax_target y = {j->classes, j->values};
    size_t rows = j->train.rows;

    *r = (struct result){0};
    shuffle(j, (uint64_t)epoch);
    for (size_t i = 0, n; i < rows; i += n) {
        double done = ((double)epoch + (double)i / (double)rows) /
                      (double)a->epochs;
        double loss;

        n = at_most(rows - i, (size_t)a->batch);
        ramp(j, done);
        data_rows(&j->train, j->order + i, n, j->x, j->classes, j->values);
        if (ax_trainer_step(j->trainer, &loss, j->x, &y, n, rate_at(a, done),
                            err) != AX_OK)
            return ax_fail_in(err, "epoch %" PRId64, epoch + 1);
        r->loss += loss * (double)n / (double)rows;
        cmd_progress(&j->progress,
                     "epoch %" PRId64 "/%" PRId64
                     ", %zu of %zu rows, loss %.4f",
                     epoch + 1, a->epochs, i + n, rows, loss);
    }
    return AX_OK;
}

/* -- saying how it went ---------------------------------------------------
 */

static ax_status say_json(const struct job *j, int64_t epoch,
                          const struct result *train,
                          const struct result *test, struct ax_err *err)
{
    json_t *o = json_pack("{s:I,s:f}", "epoch", (json_int_t)epoch, "loss",
                          train->loss);

    if (j->args->test) {
        cmd_json_put(&o, "test_loss", json_real(test->loss));
        if (j->args->opt.loss == AX_LOSS_CROSS_ENTROPY)
            cmd_json_put(
                &o, "test_accuracy",
                json_real((double)test->right / (double)j->test.rows));
    }
    return cmd_json("ax.train.epoch/1", o, err);
}

static ax_status say(const struct job *j, int64_t epoch,
                     const struct result *train, const struct result *test,
                     struct ax_err *err)
{
    if (j->args->json)
        return say_json(j, epoch, train, test, err);
    if (strcmp(j->args->out, "-") == 0)
        return AX_OK;
    printf("epoch %" PRId64 "  loss %.6f", epoch, train->loss);
    if (j->args->test)
        printf("  test loss %.6f", test->loss);
    if (j->args->test && j->args->opt.loss == AX_LOSS_CROSS_ENTROPY)
        printf("  accuracy %.2f %%",
               100 * (double)test->right / (double)j->test.rows);
    putchar('\n');
    fflush(stdout);
    return AX_OK;
}

static ax_status train(struct job *j, struct ax_err *err)
{
    struct result r, test = {0};

    cmd_progress_start(&j->progress);
    for (int64_t e = 0; e < j->args->epochs; e++) {
        ax_status st = one_epoch(j, &r, e, err);

        cmd_progress_end(&j->progress);
        AX_TRY(st);
        if (j->args->test)
            AX_TRY(evaluate(j, &test, err));
        AX_TRY(say(j, e + 1, &r, &test, err));
    }
    return AX_OK;
}

/* -- all of it ------------------------------------------------------------
 */

static ax_status read_data(struct job *j, struct ax_err *err)
{
    const struct args *a = j->args;
    const struct data_wanted want = {
        .inputs = ax_trainer_inputs(j->trainer),
        .outputs = ax_trainer_outputs(j->trainer),
        .classes = a->opt.loss == AX_LOSS_CROSS_ENTROPY,
        .scale = a->scale,
    };
    size_t rows, batch = (size_t)a->batch;

    AX_TRY(data_read(&j->train, a->data, a->labels, &want, &j->files, err));
    if (a->test)
        AX_TRY(data_read(&j->test, a->test, a->test_labels, &want, &j->files,
                         err));
    rows = j->train.rows > j->test.rows ? j->train.rows : j->test.rows;
    j->order = calloc(rows, sizeof *j->order);
    j->x = ax_trainer_room(j->trainer);
    j->values = calloc(batch * want.outputs, sizeof *j->values);
    j->classes = calloc(batch, sizeof *j->classes);
    if (!j->order || !j->values || !j->classes)
        return ax_fail(err, AX_ENOMEM, "no memory for a batch");
    return AX_OK;
}

static ax_status run(const struct args *a, struct job *j, struct ax_err *err)
{
    struct cmd_sandbox box = {.cmd = a->cmd, .writes = {a->out}};

    AX_TRY(cmd_sandbox_enter(&box, err));
    AX_TRY(read_start(j, err));
    if (ax_trainer_new(&j->trainer, j->model, &a->opt, err) != AX_OK)
        return ax_fail_in(err, "%s", a->start);
    AX_TRY(read_data(j, err));
    AX_TRY(train(j, err));
    ax_trainer_store(j->trainer);
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
    static const char *const optimisers[] = {"sgd", "adam", "adamw"};

    a->start = operands[0];
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
    if (a->rate <= 0)
        a->rate = a->opt.optimiser == AX_OPTIMISER_SGD ? 0.05 : 0.001;
    return AX_OK;
}

int main(int argc, char **argv)
{
    struct args a = {
        .out = "-",
        .loss = "cross-entropy",
        .optimiser = "sgd",
        .schedule = "constant",
        .epochs = 10,
        .batch = 64,
        .threads = 1,
        .robust_share = 0.5,
        .robust_ramp = 0.5,
        .opt = {
            .momentum = 0.9, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8}};
    const struct opt opts[] = {
        {'d', "data", "FILE", "rows to train with", .str = &a.data},
        {0, "labels", "FILE", "their targets, if not in the same file",
         .str = &a.labels},
        {0, "test", "FILE", "rows to measure with after each epoch",
         .str = &a.test},
        {0, "test-labels", "FILE", "their targets", .str = &a.test_labels},
        {'o', "output", "FILE", "write here, not to standard output",
         .str = &a.out},
        {0, "epochs", "N", "passes over the data; default 10",
         .num = &a.epochs, .min = 1, .max = 1000000},
        {0, "batch", "N", "rows a step; default 64", .num = &a.batch,
         .min = 1, .max = 1 << 20},
        {0, "seed", "N", "of weights and order; default 0", .num = &a.seed,
         .min = 0, .max = INT64_MAX},
        {0, "lr", "X", "rate; default 0.05 for sgd, else 0.001",
         .real = &a.rate, .min = 0, .max = 1000},
        {0, "schedule", "KIND", "constant (default), linear or cosine",
         .str = &a.schedule, .one_of = "constant linear cosine"},
        {0, "loss", "KIND", "cross-entropy (default), mse, mae, huber or bce",
         .str = &a.loss, .one_of = "cross-entropy mse mae huber bce"},
        {0, "label-smoothing", "X", "of cross-entropy; default 0",
         .real = &a.opt.smoothing, .min = 0, .max = 1},
        {0, "optimiser", "KIND", "sgd (default), adam or adamw",
         .str = &a.optimiser, .one_of = "sgd adam adamw"},
        {0, "momentum", "X", "of sgd; default 0.9", .real = &a.opt.momentum,
         .min = 0, .max = 1},
        {0, "nesterov", NULL, "Nesterov's momentum", .flag = &a.opt.nesterov},
        {0, "weight-decay", "X", "default 0", .real = &a.opt.decay, .min = 0,
         .max = 1000},
        {0, "clip-norm", "X", "largest norm of a gradient; 0: any",
         .real = &a.opt.clip, .min = 0, .max = 1000000},
        {0, "robust", "EPS", "train for proofs: inputs off by up to EPS",
         .real = &a.robust, .min = 0, .max = 1000000},
        {0, "robust-share", "X", "the part of the worst loss; default 0.5",
         .real = &a.robust_share, .min = 0, .max = 1},
        {0, "robust-ramp", "X", "when all of it counts; default 0.5",
         .real = &a.robust_ramp, .min = 0, .max = 1},
        {0, "threads", "N", "that compute; default 1", .num = &a.threads,
         .min = 1, .max = 256},
        {0, "freeze", "PREFIX", "weights whose names begin so stay",
         .str = &a.opt.freeze},
        {0, "scale", "X", "multiply the input; default 1/255 for uint8",
         .real = &a.scale, .min = 0, .max = 1000000},
        {0, "json", NULL, "print a line of JSON an epoch", .flag = &a.json},
        {'f', "force", NULL, "write binary even to a terminal",
         .flag = &a.force},
        {0},
    };
    const struct cmd cmd = {
        .name = "ax-train",
        .summary = "fit a network to data",
        .synopsis = "[options] -d FILE START",
        .opts = opts,
        .min_operands = 1,
        .max_operands = 1,
    };
    struct job j = {.args = &a};
    struct ax_err err = {0};
    ax_status st = cmd_options(&cmd, &argc, &argv, &err);

    a.cmd = &cmd;
    if (st == AX_OK)
        st = settle(&a, argv, &err);
    if (st == AX_OK)
        st = run(&a, &j, &err);
    job_free(&j);
    return cmd_finish(&cmd, st, &err);
}
