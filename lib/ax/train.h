/* ax/train.h - fit the weights of a network to data.
 *
 * Everything here gives the same bytes on every machine and with any number
 * of threads: sums are taken in a fixed order, multiply-adds are fused where
 * it is said, by hardware or in software, and exp, log and the random
 * numbers are ours. */
#ifndef AX_TRAIN_H
#define AX_TRAIN_H

#include "ax/model.h"

AX_BEGIN_API

/* A number that depends on nothing but its arguments: the I-th of stream
 * STREAM (splitmix64's finaliser over a counter). */
uint64_t ax_train_random(uint64_t seed, uint64_t stream, uint64_t i);

/* Exponential and natural logarithm, x > 0, to about 2^-50, from additions,
 * products and divisions alone. */
double ax_train_exp(double x);
double ax_train_log(double x);

/* Read an architecture, ax-arch(5), of N bytes, and draw its weights. *out
 * is new. AX_EFORMAT and AX_ESHAPE name the line. */
ax_status ax_arch_read(struct ax_model **out, const char *text, size_t n,
                       uint64_t seed, struct ax_err *err) AX_MUST_CHECK;

typedef enum ax_loss {
    AX_LOSS_CROSS_ENTROPY, /* of logits, against classes */
    AX_LOSS_MSE,           /* mean over the outputs of a row */
    AX_LOSS_MAE,
    AX_LOSS_HUBER, /* threshold 1 */
    AX_LOSS_BCE,   /* of logits, against 0 to 1 */
} ax_loss;

typedef enum ax_optimiser {
    AX_OPTIMISER_SGD,
    AX_OPTIMISER_ADAM,
    AX_OPTIMISER_ADAMW,
    AX_OPTIMISER_RMSPROP, /* beta2 is of the squares; no momentum */
    AX_OPTIMISER_LION,
} ax_optimiser;

struct ax_train_options {
    size_t batch;       /* most rows at a time */
    const char *freeze; /* weights whose names begin so stay; or NULL */
    ax_loss loss;
    double smoothing; /* of labels, cross entropy: 0 to 1 */
    ax_optimiser optimiser;
    double momentum; /* SGD */
    bool nesterov;
    double beta1, beta2, epsilon; /* Adam, AdamW, Lion, RMSProp */
    double decay;                 /* of weights */
    double clip;                  /* largest norm of the gradient; 0: any */
    double average; /* keep a mean of the weights, of which a step leaves this
                       much, and less in the beginning; 0: none */
    int threads;    /* below 2: the caller alone */
    bool robust;    /* ax_trainer_robust will be called */
};

struct ax_trainer;

/* Prepare to train M, which is borrowed and keeps its weights until
 * ax_trainer_store.
 * AX_EUNSUPPORTED  an operator has no gradient here, by node
 * AX_ESHAPE        shapes of a node do not agree
 * AX_ENOMEM. */
ax_status ax_trainer_new(struct ax_trainer **out, struct ax_model *m,
                         const struct ax_train_options *opt,
                         struct ax_err *err) AX_MUST_CHECK;
void ax_trainer_free(struct ax_trainer *t); /* NULL is harmless */

/* Numbers in a row of the input, and of the output. */
size_t ax_trainer_inputs(const struct ax_trainer *t);
size_t ax_trainer_outputs(const struct ax_trainer *t);

/* Outputs [rows, outputs] of x [rows, inputs], rows at most the batch;
 * borrowed, until the next call. */
const float *ax_trainer_forward(struct ax_trainer *t, const float *x,
                                size_t rows);

/* The input [batch, inputs] of the trainer: x that was written here is not
 * copied. */
float *ax_trainer_room(struct ax_trainer *t);

/* What the loss is against: classes [rows], or values [rows, outputs]. */
struct ax_target {
    const int64_t *classes;
    const float *values;
};

/* Mean loss of the outputs that ax_trainer_forward gave, without a step. */
double ax_trainer_loss(struct ax_trainer *t, const struct ax_target *y,
                       size_t rows);

/* One step on ROWS rows; *loss is the mean before it. AX_EFORMAT the loss is
 * no finite number, and nothing was changed. */
ax_status ax_trainer_step(struct ax_trainer *t, double *loss, const float *x,
                          const struct ax_target *y, size_t rows, double rate,
                          struct ax_err *err) AX_MUST_CHECK;

/* From the next step on: the loss is SHARE, 0 to 1, times that of the worst
 * logits that interval bounds allow for inputs off by up to EPSILON, and the
 * rest the usual one. For options with robust set. */
void ax_trainer_robust(struct ax_trainer *t, double epsilon, double share);

/* From here on compute with the mean of the weights, or with the weights
 * again. No step, and nothing that reads or stores weights but
 * ax_trainer_store, while it is on. For options with average set. */
void ax_trainer_averaged(struct ax_trainer *t, bool on);

/* Weights, in the order of the model's tensors: how many are trained, and
 * each with its gradient of the last step, before decay and clipping. */
size_t ax_trainer_weights(const struct ax_trainer *t);
float *ax_trainer_weight(struct ax_trainer *t, size_t i, size_t *n,
                         const float **gradient);

/* Copy the weights to the model, so that it can be written; the trainer goes
 * on. Attachments that the model had are dropped. AX_ENOMEM. */
ax_status ax_trainer_publish(struct ax_trainer *t, struct ax_err *err)
    AX_MUST_CHECK;

/* What the next steps depend on beside weights and options, as N bytes. A
 * trainer with the same weights that was given it goes on as this one would.
 * AX_EFORMAT it is of another network. */
size_t ax_trainer_state_size(const struct ax_trainer *t);
void ax_trainer_state_get(const struct ax_trainer *t, unsigned char *out);
ax_status ax_trainer_state_set(struct ax_trainer *t, const unsigned char *in,
                               size_t n, struct ax_err *err) AX_MUST_CHECK;

/* Give the weights to the model: after that the trainer can only be freed.
 * Attachments that the model had are dropped: they speak of another one. */
void ax_trainer_store(struct ax_trainer *t);

AX_END_API

#endif
