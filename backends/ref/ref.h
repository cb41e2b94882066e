/* backends/ref/ref.h - what the files of the reference backend share.
 *
 * A reference kernel is plain, deterministic and never tuned. Numbers:
 * element-wise functions are evaluated in double and rounded once to the
 * type of the result; sums of products over float32 are float32, from the
 * first term to the last, unfused; float16 and bfloat16 are computed in
 * float32 and rounded at the end; integers wrap. */
#ifndef REF_H
#define REF_H

#include "ax/backend.h"
#include "ax/element.h"

#define BIT(t)     (1u << (t))
#define ALL_DTYPES (~BIT(AX_STRING)) /* all that are numbers */
#define REALS      (BIT(AX_F16) | BIT(AX_BF16) | BIT(AX_F32) | BIT(AX_F64))

/* Input I is there and its type is in MASK, or a sentence that says so. */
ax_status ref_want(const struct ax_call *c, uint32_t i, uint32_t mask,
                   struct ax_err *err) AX_MUST_CHECK;
ax_status ref_want_rank(const struct ax_call *c, uint32_t i, int min, int max,
                        struct ax_err *err) AX_MUST_CHECK;
/* Inputs I and J are of one type. */
ax_status ref_same_dtype(const struct ax_call *c, uint32_t i, uint32_t j,
                         struct ax_err *err) AX_MUST_CHECK;

/* An axis from -rank to rank - 1 as 0 to rank - 1. */
ax_status ref_axis(int *out, int64_t axis, int rank, struct ax_err *err)
    AX_MUST_CHECK;

/* A small integer tensor (shape, axes, starts) as numbers; at most MAX.
 * *n is 0 when the input is absent. */
ax_status ref_ints(int64_t *out, int *n, int max, const struct ax_call *c,
                   uint32_t i, struct ax_err *err) AX_MUST_CHECK;

/* Axes from input I or attribute "axes": a set, as a bit mask over RANK.
 * *given says if there were any. */
ax_status ref_axes(uint32_t *mask, bool *given, const struct ax_call *c,
                   uint32_t i, int rank, struct ax_err *err) AX_MUST_CHECK;

/* The one number in input I, or DFLT when it is absent. */
ax_status ref_scalar(double *out, const struct ax_call *c, uint32_t i,
                     double dflt, struct ax_err *err) AX_MUST_CHECK;

/* Input I as float32: its own data, or a converted copy in scratch memory;
 * NULL when it is absent. */
ax_status ref_f32(const float **out, struct ax_call *c, uint32_t i,
                  struct ax_err *err) AX_MUST_CHECK;

/* Float32 memory for output O of a real type other than float64: the output
 * itself, or scratch that ref_f32_done rounds into it. */
ax_status ref_f32_out(float **out, struct ax_call *c, uint32_t o,
                      struct ax_err *err) AX_MUST_CHECK;
void ref_f32_done(struct ax_call *c, uint32_t o, const float *from);

/* An attribute of this kind; NULL if there is none of it. A container can
 * have any kind under any name. */
static inline const struct ax_attr *
ref_attr(const struct ax_node *n, const char *name, ax_attr_kind kind)
{
    const struct ax_attr *a = ax_node_attr(n, name);

    return a && a->kind == kind ? a : NULL;
}

/* Element I as a number, and the other way. */
static inline double ref_number(const struct ax_tensor *t, size_t i)
{
    double x;

    ax_get_f64(&x, t->dtype, t->data, i, 1);
    return x;
}

static inline int64_t ref_integer(const struct ax_tensor *t, size_t i)
{
    int64_t x;

    ax_get_i64(&x, t->dtype, t->data, i, 1);
    return x;
}

static inline void ref_put(struct ax_tensor *t, size_t i, double x)
{
    ax_put_f64(t->dtype, t->data, i, &x, 1);
}

/* Row-major strides in elements. */
void ref_strides(int64_t *strides, int rank, const int64_t *dims);

/* dst [dims] dense = src by strides (0 and negative ones too), in elements
 * of SIZE bytes. */
void ref_copy(void *dst, const void *src, size_t size, int rank,
              const int64_t *dims, const int64_t *strides);

/* The product of dims[from..to). */
int64_t ref_product(const int64_t *dims, int from, int to);

/* Input I as 32-bit integers less zero point ZERO (an input too, absent for
 * 0; one number, or one for each index of the first dimension). */
ax_status ref_shifted(uint32_t **out, struct ax_call *c, uint32_t i,
                      uint32_t zero, struct ax_err *err) AX_MUST_CHECK;

/* Make output 0 of a convolution of 8-bit inputs, of type DTYPE, and sum
 * into 32 bits: *y is the output itself for int32, scratch otherwise. */
ax_status ref_conv_integers(uint32_t **y, struct ax_call *c, uint32_t ix,
                            uint32_t zx, uint32_t iw, uint32_t zw,
                            ax_dtype dtype, struct ax_err *err) AX_MUST_CHECK;

/* The same for products of matrices; *y is scratch. */
ax_status ref_matmul_integers(int64_t **y, struct ax_call *c, uint32_t ia,
                              uint32_t za, uint32_t ib, uint32_t zb,
                              ax_dtype dtype, struct ax_err *err)
    AX_MUST_CHECK;

/* Round x, ties to even, add the zero point, saturate; the type is one of the
 * integers of at most 16 bits. */
int64_t ref_quantized(float x, int64_t zero, ax_dtype t);

/* Two scores from the one of class 0, as other runtimes do: it becomes that
 * of class 1, and class 0 has its opposite, -s or 1 - s. */
ax_status ref_second_class(float z[2], bool opposite_is_rest,
                           const struct ax_node *node, struct ax_err *err)
    AX_MUST_CHECK;
/* The attribute of integer labels; what post_transform does to n scores. */
ax_status ref_labels(const struct ax_attr **out, const struct ax_node *node,
                     const char *name, struct ax_err *err) AX_MUST_CHECK;
ax_status ref_post_transform(float *z, int64_t n, const struct ax_node *node,
                             struct ax_err *err) AX_MUST_CHECK;

extern const struct ax_kernel ref_unary[], ref_binary[], ref_matmul[],
    ref_conv[], ref_pool[], ref_norm[], ref_reduce[], ref_shape[], ref_move[],
    ref_index[], ref_quant[], ref_rnn[], ref_control[], ref_ml[],
    ref_resize[], ref_tree[], ref_loss[], ref_attention[], ref_sample[],
    ref_signal[], ref_patch[], ref_select[], ref_einsum[], ref_random[],
    ref_train[], ref_flex[], ref_strings[], ref_int8[];

/* Equal of two tensors of strings. */
ax_status ref_equal_strings(struct ax_call *c, struct ax_err *err)
    AX_MUST_CHECK;

#endif
