/* A run: reading its start, then epoch after epoch. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ax-train/watch.h"
#include "common/file.h"
#include "common/json.h"
#include "common/model.h"

#define TEXT_MAX_BYTES ((size_t)1 << 20)
#define SHUFFLE        (UINT64_MAX / 2) /* streams of random numbers */

void job_free(struct job *j)
{
    ax_trainer_free(j->trainer);
    ax_model_free(j->model);
    data_free(&j->train);
    data_free(&j->test);
    free(j->order);
    free(j->values);
    free(j->classes);
    free(j->state);
    free(j->history);
    table_free(&j->columns);
    free(j->room);
    free(j->scores);
    free(j->labels);
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

ax_status job_measure(struct job *j, const struct data *d, struct result *r,
                      struct ax_err *err)
{
    const struct ax_target y = {j->classes, j->values};
    bool classes = j->args->opt.loss == AX_LOSS_CROSS_ENTROPY;

    *r = (struct result){0};
    for (size_t i = 0; i < d->rows; i++)
        j->order[i] = i;
    for (size_t i = 0, n; i < d->rows; i += n) {
        const float *out;

        n = at_most(d->rows - i, (size_t)j->args->batch);
        data_rows(d, j->order + i, n, j->x, j->classes, j->values);
        out = ax_trainer_forward(j->trainer, j->x, n);
        r->loss += ax_trainer_loss(j->trainer, &y, n) * (double)n;
        if (classes)
            r->right += count_right(j, out, n);
        if (classes && j->scores) {
            memcpy(j->scores + i * d->outputs, out,
                   n * d->outputs * sizeof *out);
            memcpy(j->labels + i, j->classes, n * sizeof *j->labels);
        }
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

/* From FROM to TO as half a cosine, at a part T of the way. */
static double ease(double from, double to, double t)
{
    return to + (from - to) * 0.5 * (1 + half_turn(t));
}

/* Smith, Topin: Super-Convergence, 2018; numbers as PyTorch's. */
static double one_cycle(double rate, double done)
{
    const double up = 0.3, start = rate / 25;

    return done < up ? ease(start, rate, done / up)
                     : ease(rate, start / 1e4, (done - up) / (1 - up));
}

static double steps_down(const struct args *a, double done)
{
    int64_t every = a->step_epochs ? a->step_epochs : (a->epochs + 2) / 3;
    int64_t epoch = (int64_t)(done * (double)a->epochs + 1e-9);
    double rate = a->rate;

    for (int64_t k = epoch / every; k > 0 && rate > 0; k--)
        rate *= a->step_factor;
    return rate;
}

/* The rate at a part DONE of the whole, 0 to 1. */
static double rate_at(const struct args *a, double done)
{
    if (done < a->warm_up)
        return a->rate * done / a->warm_up;
    if (strcmp(a->schedule, "cosine") == 0)
        return a->rate * 0.5 * (1 + half_turn(done));
    if (strcmp(a->schedule, "linear") == 0)
        return a->rate * (1 - done);
    if (strcmp(a->schedule, "one-cycle") == 0)
        return one_cycle(a->rate, done);
    if (strcmp(a->schedule, "step") == 0)
        return steps_down(a, done);
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

/* Change the N rows of a batch that begins at FIRST of the order. */
static void augment(struct job *j, uint64_t epoch, size_t first, size_t n)
{
    const struct ax_graph *g = j->model->graph;
    const struct ax_value *in = &g->values[g->inputs[0]];

    for (size_t i = 0; j->room && i < n; i++)
        augment_row(&j->args->augment, j->x + i * j->train.inputs, j->room,
                    in->rank - 1, in->dims + 1, (uint64_t)j->args->seed,
                    epoch, j->order[first + i]);
}

static ax_status one_epoch(struct job *j, struct result *r, int64_t epoch,
                           struct ax_err *err)
{
    const struct args *a = j->args;
    const struct ax_target y = {j->classes, j->values};
    size_t rows = j->train.rows;
    int64_t steps = 0;

    *r = (struct result){.loss = j->at.loss};
    shuffle(j, (uint64_t)epoch);
    for (size_t i = j->at.row, n; i < rows; i += n) {
        double done = ((double)epoch + (double)i / (double)rows) /
                      (double)a->epochs;
        double loss;

        n = at_most(rows - i, (size_t)a->batch);
        ramp(j, done);
        data_rows(&j->train, j->order + i, n, j->x, j->classes, j->values);
        augment(j, (uint64_t)epoch, i, n);
        if (ax_trainer_step(j->trainer, &loss, j->x, &y, n, rate_at(a, done),
                            err) != AX_OK)
            return ax_fail_in(err, "epoch %" PRId64, epoch + 1);
        r->loss += loss * (double)n / (double)rows;
        cmd_progress(&j->progress,
                     "epoch %" PRId64 "/%" PRId64
                     ", %zu of %zu rows, loss %.4f",
                     epoch + 1, a->epochs, i + n, rows, loss);
        j->at.epoch = epoch;
        j->at.row = i + n;
        j->at.loss = r->loss;
        if (a->every && ++steps % a->every == 0 && i + n < rows)
            AX_TRY(checkpoint_write(j, err));
    }
    j->at.epoch = epoch + 1;
    j->at.row = 0;
    j->at.loss = 0;
    return AX_OK;
}

/* -- saying how it went ---------------------------------------------------
 */

static void add(struct event *e, const char *name, double value)
{
    e->v[e->n].name = name;
    e->v[e->n++].value = value;
}

/* What an epoch gave, as all who follow the run get it. */
static ax_status make_event(const struct job *j, struct event *e,
                            int64_t epoch, const struct result *train,
                            const struct result *test, struct ax_err *err)
{
    struct scores s = {j->test.rows, j->test.outputs, j->scores, j->labels};
    double auc;

    *e = (struct event){.epoch = epoch};
    add(e, "loss", train->loss);
    if (j->args->test)
        add(e, "test_loss", test->loss);
    if (!j->args->test || j->args->opt.loss != AX_LOSS_CROSS_ENTROPY)
        return AX_OK;
    add(e, "test_accuracy", (double)test->right / (double)s.rows);
    if (!j->args->metrics)
        return AX_OK;
    if (s.n > 5)
        add(e, "test_top5", scores_top(&s, 5));
    add(e, "test_f1", scores_f1(&s));
    AX_TRY(scores_auc(&auc, &s, err));
    add(e, "test_auc", auc);
    return AX_OK;
}

static ax_status keep_event(struct job *j, const struct event *e,
                            struct ax_err *err)
{
    struct event *more = realloc(j->history,
                                 (j->n_history + 1) * sizeof *more);

    if (!more)
        return ax_fail(err, AX_ENOMEM, "no memory for curves");
    j->history = more;
    j->history[j->n_history++] = *e;
    return AX_OK;
}

static ax_status say_json(const struct event *e, struct ax_err *err)
{
    json_t *o = json_pack("{s:I}", "epoch", (json_int_t)e->epoch);

    for (size_t i = 0; i < e->n; i++)
        cmd_json_put(&o, e->v[i].name, json_real(e->v[i].value));
    AX_TRY(cmd_json("ax.train.epoch/1", o, err));
    fflush(stdout); /* whoever watches wants it now; errors show at the end */
    return AX_OK;
}

static void say_text(const struct event *e)
{
    printf("epoch %" PRId64, e->epoch);
    for (size_t i = 0; i < e->n; i++) {
        const char *name = e->v[i].name;

        if (strcmp(name, "test_accuracy") == 0)
            printf("  accuracy %.2f %%", 100 * e->v[i].value);
        else if (strncmp(name, "test_", 5) == 0)
            printf("  test %s %.6f", name + 5, e->v[i].value);
        else
            printf("  %s %.6f", name, e->v[i].value);
    }
    putchar('\n');
    fflush(stdout);
}

static ax_status say(struct job *j, int64_t epoch, const struct result *train,
                     const struct result *test, struct ax_err *err)
{
    struct event e;

    if (j->args->quiet)
        return AX_OK;
    AX_TRY(make_event(j, &e, epoch, train, test, err));
    AX_TRY(keep_event(j, &e, err));
    AX_TRY(track_event(j->track, &e, err));
    if (j->args->json)
        return say_json(&e, err);
    if (strcmp(j->args->out, "-") != 0)
        say_text(&e);
    return AX_OK;
}

/* Has the loss over the test rows not fallen for too long? */
static bool is_over(const struct job *j)
{
    return j->at.epoch >= j->args->epochs ||
           (j->args->patience && j->at.waited >= j->args->patience);
}

static void wait_for(struct job *j, const struct result *test)
{
    bool better = j->at.epoch == 1 || test->loss < j->at.best;

    j->at.waited = better ? 0 : j->at.waited + 1;
    if (better)
        j->at.best = test->loss;
}

static ax_status epochs(struct job *j, struct ax_err *err)
{
    struct result r, test = {0};

    cmd_progress_start(&j->progress);
    while (!is_over(j)) {
        int64_t e = j->at.epoch;
        ax_status st = one_epoch(j, &r, e, err);

        cmd_progress_end(&j->progress);
        AX_TRY(st);
        if (j->args->test) {
            ax_trainer_averaged(j->trainer, j->args->opt.average > 0);
            AX_TRY(job_measure(j, &j->test, &test, err));
            ax_trainer_averaged(j->trainer, false);
            wait_for(j, &test);
        }
        AX_TRY(say(j, e + 1, &r, &test, err));
        AX_TRY(checkpoint_write(j, err));
    }
    return AX_OK;
}

/* -- all of it ------------------------------------------------------------
 */

static ax_status prepare_augment(struct job *j, struct ax_err *err)
{
    const struct ax_graph *g = j->model->graph;
    const struct ax_value *in = &g->values[g->inputs[0]];

    if (!j->args->augment_text)
        return AX_OK;
    AX_TRY(augment_check(&j->args->augment, in->rank - 1, in->dims + 1, err));
    j->room = calloc(j->train.inputs, sizeof *j->room);
    return j->room ? AX_OK : ax_fail(err, AX_ENOMEM, "no memory to augment");
}

static ax_status read_data(struct job *j, struct ax_err *err)
{
    const struct args *a = j->args;
    const struct ax_graph *g = j->model->graph;
    const struct ax_value *in = &g->values[g->inputs[0]];
    const struct data_wanted want = {
        .inputs = ax_trainer_inputs(j->trainer),
        .outputs = ax_trainer_outputs(j->trainer),
        .rank = in->rank - 1,
        .dims = in->dims + 1,
        .classes = a->opt.loss == AX_LOSS_CROSS_ENTROPY,
        .scale = a->scale,
        .columns = &j->columns,
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
    AX_TRY(prepare_augment(j, err));
    if (!want.classes || !(a->metrics || a->report))
        return AX_OK;
    j->scores = calloc(rows, want.outputs * sizeof *j->scores);
    j->labels = calloc(rows, sizeof *j->labels);
    return j->scores && j->labels
               ? AX_OK
               : ax_fail(err, AX_ENOMEM, "no memory for metrics");
}

ax_status job_open(struct job *j, struct ax_err *err)
{
    AX_TRY(read_start(j, err));
    if (j->args->resume)
        AX_TRY(checkpoint_read(j, err));
    if (ax_trainer_new(&j->trainer, j->model, &j->args->opt, err) != AX_OK)
        return ax_fail_in(err, "%s", j->args->start);
    AX_TRY(read_data(j, err));
    return j->args->resume ? checkpoint_resume(j, err) : AX_OK;
}

ax_status job_train(struct job *j, struct ax_err *err)
{
    AX_TRY(epochs(j, err));
    ax_trainer_averaged(j->trainer, j->args->opt.average > 0);
    if (j->args->report && !j->args->quiet)
        AX_TRY(report_write(j, err));
    ax_trainer_store(j->trainer);
    return AX_OK;
}
