/* ax/backend.h - what a set of kernels must provide, and what the executor
 * gives to a kernel.
 *
 * To add a kernel: write it in a file of the backend, add a row to that
 * file's table. To add a backend: a folder under backends with a struct
 * ax_backend, and a line in backends/registry.c. Nothing else changes.
 *
 * A kernel sizes its own outputs: shapes follow the inputs that came, and a
 * wrong shape rule elsewhere cannot make a kernel write past its end. */
#ifndef AX_BACKEND_H
#define AX_BACKEND_H

#include "ax/graph.h"
#include "ax/tensor.h"

AX_BEGIN_API

#define AX_BACKEND_ABI 1

struct ax_kernel;

/* One evaluation of one node. The executor fills it. */
struct ax_call {
    const struct ax_node *node;
    const struct ax_kernel *kernel;
    const struct ax_tensor *const *in; /* [node->n_in]; NULL: absent */
    struct ax_tensor *const *out;      /* [node->n_out]; there after
                                          ax_call_out */
    uint64_t constant; /* bit i: in[i] is the same tensor in every run */
    void **state;      /* this node's and kernel's, NULL at first, kept from
                          run to run; kernel->drop frees it */
    void *backend;     /* what open() gave */
    const struct ax_node *then; /* the one reader of output 0, if that is
                                   the next that could be done at once;
                                   NULL: none. See ax_call_fuse. */
};

struct ax_kernel {
    const char *op; /* name as in op.def */

    /* Compute the node. AX_NO: not a case for this kernel, nothing was done
     * (the executor goes on to the reference). AX_EUNSUPPORTED, AX_ESHAPE
     * and so on: a sentence; the executor puts node and operator in front. */
    ax_status (*run)(struct ax_call *c, struct ax_err *err);
    void (*drop)(void *state); /* may be NULL */
    const void *arg;           /* for several rows of one function */
};

struct ax_backend {
    int abi; /* AX_BACKEND_ABI */
    const char *name;
    const char *summary;                   /* one line */
    const struct ax_kernel *const *groups; /* tables, each ended by a row
                                              without a name; then NULL */
    /* May be NULL. *state is new, and is given to close. Deterministic: what
     * a kernel makes of a row depends neither on the others nor on threads.
     */
    ax_status (*open)(void **state, int threads, bool deterministic,
                      struct ax_err *err);
    void (*close)(void *state);
    bool integers; /* nodes that lie between DequantizeLinear and
                      QuantizeLinear are for its kernels AX_INT8_* */
};

/* What Conv, Gemm, MatMul and Add of bytes are called, whose inputs go
 * through DequantizeLinear and whose output, perhaps after Relu or Clip, goes
 * through QuantizeLinear. The node has the attributes of the operator and, as
 * inputs,
 *
 *     x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias
 *
 * where zeros may be absent, for Add w is the other operand, and w_scale has
 * one number or one for each output channel. The product is
 *
 *     round(float(bias + sum of (x - x_zero) (w - w_zero))
 *           * (x_scale * w_scale / y_scale)) + y_zero
 *
 * in float32 but for the sum, which is in int32, ties to even, saturated: the
 * same as QLinearConv and QLinearMatMul. Without y_scale it is float32 and
 * nothing is rounded: float(sum) * (x_scale * w_scale). Add computes
 *
 *     round((float(x - x_zero) * x_scale + float(w - w_zero) * w_scale)
 *           / y_scale) + y_zero */
#define AX_INT8_CONV   "int8 Conv"
#define AX_INT8_GEMM   "int8 Gemm"
#define AX_INT8_MATMUL "int8 MatMul"
#define AX_INT8_ADD    "int8 Add"

/* Every backend built in, the reference first, ended by NULL. Defined in
 * backends/registry.c. */
extern const struct ax_backend *const ax_backends[];

const struct ax_backend *ax_backend_find(const char *name);
/* NULL when the backend has none. */
const struct ax_kernel *ax_backend_kernel(const struct ax_backend *b,
                                          const char *op);

/* -- what a kernel may ask of the executor ------------------------------ */

/* Is this input, or output, there? */
bool ax_call_has(const struct ax_call *c, uint32_t in);
bool ax_call_wants(const struct ax_call *c, uint32_t out);

/* Make output O, not zeroed; c->out[o]->data is then the kernel's to write.
 * An output that nobody wants may be made too, if o < node->n_out.
 * AX_ESHAPE, AX_ENOMEM (over the plan's limit). */
ax_status ax_call_out(struct ax_call *c, uint32_t o, ax_dtype dtype, int rank,
                      const int64_t *dims, struct ax_err *err) AX_MUST_CHECK;

/* The same shape and type as input I, and in its place where nothing else
 * needs it any more. For kernels that read element k before they write
 * element k, and never later. */
ax_status ax_call_out_over(struct ax_call *c, uint32_t o, uint32_t i,
                           struct ax_err *err) AX_MUST_CHECK;

/* From now on output 0 is that of c->then, which the kernel computes too, and
 * which does not run by itself any more. Before any output is made. */
void ax_call_fuse(struct ax_call *c);

/* Output O is input I's data under another shape of as many elements. */
ax_status ax_call_view(struct ax_call *c, uint32_t o, uint32_t i, int rank,
                       const int64_t *dims, struct ax_err *err) AX_MUST_CHECK;

/* Output O becomes t, which is owned and is zeroed here. */
ax_status ax_call_take(struct ax_call *c, uint32_t o, struct ax_tensor *t,
                       struct ax_err *err) AX_MUST_CHECK;

/* Memory until the call returns, 64-byte aligned, not zeroed. */
ax_status ax_call_scratch(struct ax_call *c, void **out, size_t n,
                          struct ax_err *err) AX_MUST_CHECK;

/* Run a sub-graph of this node: in [n_in] are borrowed, out [n_out] are
 * overwritten with new tensors of the kernel's. */
ax_status ax_call_graph(struct ax_call *c, const struct ax_graph *g,
                        struct ax_tensor *out, uint32_t n_out,
                        const struct ax_tensor *in, uint32_t n_in,
                        struct ax_err *err) AX_MUST_CHECK;

/* -- shapes that several kernels need ------------------------------------ */

/* The window of a convolution or pooling, its attributes resolved (auto_pad,
 * ceil_mode). Always three spatial dimensions: a network with fewer has
 * leading ones of extent 1. */
struct ax_window {
    int rank; /* spatial dimensions that the tensor has, 1 to 3 */
    int64_t in[3], out[3];
    int64_t kernel[3], stride[3], dilation[3];
    int64_t begin[3], end[3]; /* padding */
};

/* dims [rank] of the input, N C then spatial; kernel [rank - 2] or NULL to
 * take attribute kernel_shape. AX_ESHAPE, AX_EFORMAT for attributes that
 * make no sense. */
ax_status ax_window_resolve(struct ax_window *w, const struct ax_node *node,
                            int rank, const int64_t *dims,
                            const int64_t *kernel, struct ax_err *err)
    AX_MUST_CHECK;

/* The same of ConvTranspose: tap t of input i adds to output
 * i stride + t dilation - begin. */
ax_status ax_window_transposed(struct ax_window *w,
                               const struct ax_node *node, int rank,
                               const int64_t *dims, const int64_t *kernel,
                               struct ax_err *err) AX_MUST_CHECK;

/* The shape that n shapes broadcast to. AX_ESHAPE. */
ax_status ax_shape_broadcast(int *rank, int64_t *dims,
                             const struct ax_tensor *const *in, uint32_t n,
                             struct ax_err *err) AX_MUST_CHECK;

/* A walk over the elements of a result, dimensions that all operands run
 * through alike joined into one; the rank is at least 1. */
struct ax_walk {
    int rank;
    int64_t dims[AX_RANK_MAX];
    int64_t stride[3][AX_RANK_MAX]; /* of each operand, in elements; 0 where
                                       it is broadcast */
};

/* dims is what in[n] broadcast to; n is at most 3. */
void ax_walk_init(struct ax_walk *w, int rank, const int64_t *dims,
                  const struct ax_tensor *const *in, int n);

/* Call f for each run along the last dimension: LEN elements, the index of
 * the first one in the result, and in each of the n operands. */
void ax_walk_runs(const struct ax_walk *w, int n,
                  void (*f)(void *x, size_t out, const size_t *at,
                            size_t len),
                  void *x);

AX_END_API

#endif
