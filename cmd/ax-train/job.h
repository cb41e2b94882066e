/* cmd/ax-train/job.h - a run of training, as its files share it. */
#ifndef AX_TRAIN_JOB_H
#define AX_TRAIN_JOB_H

#include "ax-train/augment.h"
#include "ax-train/data.h"
#include "ax-train/track.h"
#include "common/progress.h"
#include "common/run.h"

struct args {
    const struct cmd *cmd;
    const char *start, *data, *labels, *test, *test_labels, *out;
    const char *loss, *optimiser, *schedule;
    int64_t epochs, seed, batch, threads;
    double rate, scale, warm_up, step_factor;
    int64_t step_epochs, patience;
    double robust, robust_share, robust_ramp;
    struct ax_train_options opt;
    const char *checkpoint, *resume, *replay, *folder;
    int64_t every; /* steps between checkpoints; 0: an epoch */
    const char *augment_text;
    struct augment augment;
    struct opt_list track;
    const char *report;
    bool json, force, quiet, plot, metrics;
};

/* What one pass over rows gives. */
struct result {
    double loss;
    size_t right;
};

/* Where in its run a job is. */
struct position {
    int64_t epoch;
    size_t row;  /* in the order of the epoch */
    double loss; /* summed over the rows before it */
    double best; /* loss over the test rows; and epochs since then */
    int64_t waited;
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
    struct table_columns columns;
    size_t *order;     /* [the larger number of rows] */
    float *x, *values; /* x is borrowed */
    float *room;       /* [inputs] to augment in, or NULL */
    int64_t *classes;
    struct cmd_progress progress;
    struct position at;
    unsigned char *state; /* of a checkpoint that was read, n_state bytes */
    size_t n_state;
    struct track *track;   /* borrowed, or NULL */
    struct event *history; /* of the epochs of this process */
    size_t n_history;
    float *scores;   /* [rows, outputs] of the last measurement of classes, */
    int64_t *labels; /* [rows]; kept if somebody looks at them */
};

/* Read what the arguments name. In fit.c. */
ax_status job_open(struct job *j, struct ax_err *err) AX_MUST_CHECK;
/* Train to the end; the weights are then in j->model. */
ax_status job_train(struct job *j, struct ax_err *err) AX_MUST_CHECK;
void job_free(struct job *j);

/* Loss, and for classes how many are right, over all rows of D, which is
 * j->train or j->test. */
ax_status job_measure(struct job *j, const struct data *d, struct result *r,
                      struct ax_err *err) AX_MUST_CHECK;

/* Checkpoints, checkpoint.c: a container of the weights so far, with what
 * else the run has to know attached. */

/* Replace the model by that of --resume, and keep its state. */
ax_status checkpoint_read(struct job *j, struct ax_err *err) AX_MUST_CHECK;
/* Take the state up. AX_EFORMAT it is of another run. */
ax_status checkpoint_resume(struct job *j, struct ax_err *err) AX_MUST_CHECK;
/* Write one, if one is asked for. */
ax_status checkpoint_write(struct job *j, struct ax_err *err) AX_MUST_CHECK;

/* Repeat the run that made a container, and say whether it gives the same
 * identity: AX_NO, another one. READ fills args from the words of a record.
 * In replay.c. */
ax_status replay(const struct args *a,
                 ax_status (*read)(struct args *out, int argc, char **argv,
                                   struct ax_err *err),
                 struct ax_err *err) AX_MUST_CHECK;

#endif
