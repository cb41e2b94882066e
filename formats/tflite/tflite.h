/* formats/tflite/tflite.h - what the readers of TensorFlow Lite files share.
 *
 * tflite.c is the format; flat.c reads FlatBuffers; tensors.c makes values of
 * tensors; op.c is the table of operators, and those that work element by
 * element, node.c what all share; window.c has convolutions and pooling,
 * move.c what gives elements other places, part.c what joins and cuts,
 * reduce.c what sums. Source: tensorflow/lite/schema/schema.fbs, version 3.
 *
 * Images are [batch, height, width, channels] in these files, and are that
 * where they go in and out; in between a value may also be there with the
 * channels first, as convolutions want it: each of the two is made when it is
 * first asked for. Of a tensor that is quantised the value is what its
 * numbers mean, in float32, rounded where the file says so: QuantizeLinear
 * and DequantizeLinear. */
#ifndef FORMATS_TFLITE_H
#define FORMATS_TFLITE_H

#include "ax/infer.h"
#include "formats/arch/arch.h"
#include "formats/tflite/flat.h"

enum tflite_layout { PLAIN, CHANNELS_FIRST };

struct tflite_tensor {
    char *name;                /* unique */
    ax_dtype type;             /* in the file */
    int rank;                  /* -1: not known */
    int64_t dims[AX_RANK_MAX]; /* as the file says; -1: free */
    const unsigned char *data; /* of a constant, or NULL */
    size_t n_data;
    struct flat_vector scale, zero; /* float32, int64; none: not quantised */
    int64_t axis;                   /* that scale goes along */
    bool half;          /* a constant of float16 that stands for float32 */
    uint32_t value[2];  /* by layout, or AX_NONE */
    uint32_t quantised; /* the numbers themselves, or AX_NONE */
};

struct tflite {
    struct arch a;
    struct flat f;
    struct tflite_tensor *tensors;
    size_t n_tensors;
    struct ax_growth *growth; /* the shapes of values so far */
    size_t copied;            /* bytes of constants */
    /* The operator at hand. */
    int code;
    const char *op_name;
    size_t options; /* its table, or 0 */
    struct flat_vector in, out;
};

/* ---- tensors.c ---- */

/* All tensors of a subgraph. AX_EFORMAT, AX_EUNSUPPORTED, AX_ENOMEM. */
ax_status tflite_tensors(struct tflite *t, size_t model, size_t graph,
                         struct ax_err *err) AX_MUST_CHECK;
void tflite_tensors_free(struct tflite *t);

/* The graph's input and output. */
ax_status tflite_input(struct tflite *t, int64_t tensor, struct ax_err *err)
    AX_MUST_CHECK;
ax_status tflite_output(struct tflite *t, int64_t tensor, struct ax_err *err)
    AX_MUST_CHECK;

/* Input and output i of the operator; NULL if there is none, but output 0 is
 * there. */
struct tflite_tensor *tflite_in(struct tflite *t, size_t i);
struct tflite_tensor *tflite_out(struct tflite *t, size_t i);
/* The value of an input; AX_EFORMAT if it is needed and missing. */
ax_status tflite_value(struct tflite *t, uint32_t *v, size_t i,
                       enum tflite_layout layout, struct ax_err *err)
    AX_MUST_CHECK;
/* The same of a constant whose dimensions are put in another order, and of
 * which some are joined: dims[j] is dimension perm[j] of the tensor, a 4-d
 * one. */
ax_status tflite_weight(struct tflite *t, uint32_t *v, size_t i,
                        const int *perm, const int64_t *dims,
                        struct ax_err *err) AX_MUST_CHECK;
/* Integers that must be constant; *v is the caller's. */
ax_status tflite_ints(struct tflite *t, int64_t **v, size_t *n, size_t i,
                      struct ax_err *err) AX_MUST_CHECK;
/* Output 0 of the operator is what constant input 0 means. */
ax_status tflite_alias(struct tflite *t, struct ax_err *err) AX_MUST_CHECK;
/* Does an image have its channels first already, and not yet last? */
bool tflite_turned(const struct tflite_tensor *x);

/* Output i of the operator is v, of that layout; it is rounded to the numbers
 * that the tensor has, if it has such, unless they are those of input 0 and
 * `same`: nothing new was computed. */
ax_status tflite_result(struct tflite *t, size_t i, uint32_t v,
                        enum tflite_layout layout, bool same,
                        struct ax_err *err) AX_MUST_CHECK;

/* ---- node.c ---- */

/* Which is not supported: one line. */
ax_status tflite_refuse(const struct tflite *t, struct ax_err *err,
                        const char *fmt, ...) AX_PRINTF(3, 4);

/* Nodes of X and a number, and of X and a shape. */
ax_status tflite_number(struct tflite *t, uint32_t *out, ax_op op,
                        const char *what, uint32_t x, double y,
                        struct ax_err *err) AX_MUST_CHECK;
ax_status tflite_reshape(struct tflite *t, uint32_t *out, const char *what,
                         uint32_t x, const int64_t *dims, size_t n,
                         struct ax_err *err) AX_MUST_CHECK;
/* x[from:to:step] along n axes; without `steps` each step is 1. */
ax_status tflite_cut(struct tflite *t, uint32_t *out, const char *what,
                     uint32_t x, const int64_t *from, const int64_t *to,
                     const int64_t *axes, const int64_t *steps, size_t n,
                     struct ax_err *err) AX_MUST_CHECK;
/* An operator whose second input is a list of axes. */
ax_status tflite_with_axes(struct tflite *t, uint32_t *out, ax_op op,
                           const char *what, uint32_t x, const int64_t *axes,
                           size_t n, struct ax_err *err) AX_MUST_CHECK;
/* An axis that counts from the end if it is negative: AX_EFORMAT if a tensor
 * of this rank has it not. */
ax_status tflite_axis(struct tflite *t, int64_t *axis, int rank,
                      struct ax_err *err) AX_MUST_CHECK;
/* Input i, whose rank has to be known. */
ax_status tflite_ranked(struct tflite *t, const struct tflite_tensor **x,
                        size_t i, struct ax_err *err) AX_MUST_CHECK;
/* Where an axis of an image is if its channels are first. */
int64_t tflite_turned_axis(int64_t axis);

/* ---- op.c ---- */

/* Nodes for the operator at hand. */
ax_status tflite_op(struct tflite *t, struct ax_err *err) AX_MUST_CHECK;
const char *tflite_op_name(int code); /* NULL: not known */
int tflite_op_options(int code);      /* their number in the union, or 0 */

/* The activation that is fused with it, as the schema numbers them. */
ax_status tflite_activation(struct tflite *t, uint32_t *v, int64_t which,
                            struct ax_err *err) AX_MUST_CHECK;
typedef ax_status tflite_maker(struct tflite *t, int64_t what,
                               struct ax_err *err);

/* ---- window.c ---- */
tflite_maker tflite_conv, tflite_depthwise, tflite_transpose_conv,
    tflite_pool, tflite_resize;

/* ---- move.c ---- */
tflite_maker tflite_reshape_op, tflite_squeeze, tflite_expand, tflite_shape,
    tflite_transpose, tflite_tile, tflite_pad, tflite_depth,
    tflite_space_to_batch, tflite_batch_to_space;

/* ---- part.c ---- */
tflite_maker tflite_concat, tflite_pack, tflite_unpack, tflite_split,
    tflite_split_v, tflite_slice, tflite_strided_slice, tflite_gather;

/* ---- reduce.c ---- */
tflite_maker tflite_reduce, tflite_arg;

#endif
