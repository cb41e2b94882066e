/* lib/train/net.h - a model as a list of steps that can go forward and
 * backward. Every value between the nodes is a batch of rows of numbers. */
#ifndef TRAIN_NET_H
#define TRAIN_NET_H

#include "ax/backend.h"
#include "train/train.h"

/* A value is there as computed, and with robust training also as the least
 * and the largest that it can be. */
enum plane { PLANE_EXACT, PLANE_LOWER, PLANE_UPPER, PLANES };

/* Parts that rows are cut into, whatever the number of threads: sums over
 * rows are taken in each, then over these, in order. */
#define SLICES 8

struct value {
    float *x[PLANES];   /* [batch, width]; NULL: no value of the batch */
    float *g[PLANES];   /* of the exact plane shared, unless robust */
    bool in_place;      /* x is that of another one */
    bool fresh[PLANES]; /* g holds nothing of this step yet */
    size_t width;
    int rank; /* of a row */
    int64_t dims[AX_RANK_MAX];
};

/* A constant of the model: trained, or frozen. */
struct param {
    struct weight *w;
    const float *fixed;
    size_t n;
};

struct step {
    const struct ax_node *node;
    const struct kind *kind;
    struct value *in, *other, *out; /* other: the second of Add, or NULL */
    struct param matrix, bias;
    size_t row, column;             /* steps through a matrix [in, out] */
    float slope;                    /* LeakyRelu */
    struct ax_window window;        /* convolution, pooling; of rank 2 */
    struct conv *conv;              /* convolution */
    size_t channels;                /* of the output */
    bool whole_window;              /* averages count the padding */
    struct weight *mean, *variance; /* BatchNormalization: running ones */
    double *moments; /* [channels][2]: mean and variance of the batch */
    float epsilon, momentum;
    bool stored; /* normalises by the running ones while training, too */
};

/* What a step reads and writes: of all rows, or of a slice. */
struct io {
    size_t rows, slice;
    const float *x, *other;
    float *y;
    const float *w, *b; /* b: NULL for none */
    const float *gy;
    float *gx, *gother; /* NULL: not wanted */
    float *gw, *gb;
    bool add, add_other, add_w, add_b; /* these hold something */
};

struct ax_trainer {
    struct ax_model *model;
    struct ax_train_options opt;
    struct value *values; /* [graph->n_values] */
    struct step *steps;   /* [graph->n_nodes] */
    struct weight *weights;
    size_t n_weights;
    struct weight *kept; /* change with the data, without a gradient */
    size_t n_kept;
    bool averaged; /* means and weights have changed places */
    bool learning; /* in a step, not in ax_trainer_forward */
    struct value *input, *output;
    struct train_pool *pool;
    size_t room_size, zeros_size, widest;
    float *room, *zeros;
    float **shared; /* buffers of gradients */
    size_t n_shared;
    float *mid[4]; /* robust: centres and radii, of two values */
    float *magnitude, *magnitude_g; /* robust: of the largest matrix */
    double epsilon, share;          /* ax_trainer_robust */
    uint64_t count;                 /* of updates */
};

/* What can be done with an operator. */
typedef ax_status prepare_fn(struct ax_trainer *t, struct step *s,
                             struct ax_err *err);
typedef void step_fn(const struct ax_trainer *t, const struct step *s,
                     const struct io *io);

typedef void pack_fn(const struct ax_trainer *t, const struct step *s,
                     const struct io *io, bool back);

struct kind {
    ax_op op;
    prepare_fn *prepare;
    step_fn *forward, *backward;
    step_fn *gather; /* add up what the slices made of weights; or NULL */
    bool sliced;     /* called with a slice of the rows at a time */
    bool linear;     /* else it does not fall where its input does not */
    pack_fn *pack;   /* once, before the slices; or NULL */
};

/* -- prepare.c ------------------------------------------------------------
 */

ax_status train_prepare(struct ax_trainer *t, struct ax_err *err);

/* N numbers, 0, or NULL. */
float *train_floats(size_t n);

ax_status train_refuse(const struct ax_node *n, const char *what,
                       struct ax_err *err);

/* Make the output of a step: rows of these dimensions. */
ax_status train_value(struct ax_trainer *t, struct step *s, int rank,
                      const int64_t *dims, struct ax_err *err);

/* The same in the memory of the step's input, where train_in_place. */
ax_status train_value_over(struct ax_trainer *t, struct step *s,
                           struct ax_err *err);

/* May the step write over its input, if it can itself go back from what it
 * gave? In plan.c. */
bool train_in_place(const struct ax_trainer *t, const struct step *s);

/* Find memory for the gradients of values that are not robust. */
ax_status train_plan(struct ax_trainer *t, struct ax_err *err);

/* A and B numbers of room in each of PARTS parts. */
ax_status train_room(struct ax_trainer *t, size_t a, size_t b, size_t parts,
                     struct ax_err *err);

/* The constant that input I is; NULL: it is none, or not of float32. */
const struct ax_tensor *train_constant(const struct ax_trainer *t,
                                       const struct ax_node *n, uint32_t i,
                                       uint32_t *tensor);

/* Is input I a constant that is to stay? */
bool train_frozen(const struct ax_trainer *t, const struct ax_node *n,
                  uint32_t i);

/* Make p the constant that is input I, and whose being one was checked. */
ax_status train_param(struct ax_trainer *t, struct step *s, uint32_t i,
                      struct param *p, struct ax_err *err);

/* The same of a constant of WIDTH numbers in its last dimension. */
ax_status train_bias(struct ax_trainer *t, struct step *s, uint32_t i,
                     size_t width, struct ax_err *err);

const float *train_weights_of(const struct param *p);

/* -- the operators --------------------------------------------------------
 */

/* In a backward step gx may lie where x does: it is written when no more of
 * x is read. */
prepare_fn train_prepare_dense, train_prepare_add, train_prepare_plain,
    train_prepare_flatten, train_prepare_conv, train_prepare_norm,
    train_prepare_pool;
step_fn train_dense, train_dense_back, train_add, train_add_back, train_relu,
    train_relu_back, train_sigmoid, train_sigmoid_back, train_tanh,
    train_tanh_back, train_copy, train_copy_back, train_conv, train_conv_back,
    train_conv_gather, train_max_pool, train_max_pool_back, train_mean_pool,
    train_mean_pool_back, train_norm, train_norm_back;

/* Can every channel of a batch of ROWS be normalised? Move the running
 * statistics towards those of the batch, as the last forward step found them.
 */
ax_status train_norm_check(const struct ax_trainer *t, size_t rows,
                           struct ax_err *err);
void train_norm_move(struct ax_trainer *t, size_t rows);

pack_fn train_conv_pack;
void train_conv_free(struct conv *c); /* NULL is harmless */

/* What windows of an image there are, from the node's attributes; kernel as
 * in ax_window_resolve. */
ax_status train_window(struct step *s, const int64_t *kernel,
                       struct ax_err *err);
/* Make the output: images of so many channels. */
ax_status train_image(struct ax_trainer *t, struct step *s, int64_t channels,
                      struct ax_err *err);

/* y = or += x. */
void train_put(float *y, const float *x, size_t n, bool add);

/* -- running: net.c, robust.c ---------------------------------------------
 */

void train_run(struct ax_trainer *t, const struct step *s, struct io *io,
               step_fn *f);
void train_step_forward(struct ax_trainer *t, const struct step *s,
                        size_t rows, enum plane plane);
void train_step_backward(struct ax_trainer *t, const struct step *s,
                         size_t rows, enum plane plane);

/* Bounds of the output for inputs that are off by up to epsilon, and the
 * worst logits; then back from the gradient that they have. */
ax_status train_robust_prepare(struct ax_trainer *t, struct ax_err *err);
void train_robust_forward(struct ax_trainer *t, size_t rows);
double train_robust_loss(struct ax_trainer *t, const struct ax_target *y,
                         size_t rows);
void train_robust_backward(struct ax_trainer *t, size_t rows);

#endif
