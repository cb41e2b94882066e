/* formats/aten/aten.h - graphs from programs in PyTorch's operators, aten.
 *
 * export.c reads the program of a torch.export archive, script*.c that of a
 * TorchScript archive; both call operators by name, and table.c says which
 * function makes the nodes of each. What is no tensor is computed right
 * away: nothing of it gets into the graph. */
#ifndef FORMATS_ATEN_H
#define FORMATS_ATEN_H

#include "ax/checkpoint.h"
#include "ax/format.h"
#include "ax/infer.h"
#include "formats/arch/arch.h"
#include "formats/torch/torch.h"

/* ---- values of a program ---- */

enum aten_kind {
    ATEN_NONE,
    ATEN_BOOL,
    ATEN_INT, /* i N^power, with N the free dimension of the inputs; not
                 known if power is below 0 */
    ATEN_FLOAT,
    ATEN_TEXT,
    ATEN_LIST,
    ATEN_TUPLE,
    ATEN_TENSOR,   /* value of the graph */
    ATEN_OBJECT,   /* a node of the pickle: a module, or what it holds */
    ATEN_FUNCTION, /* of the code */
    ATEN_OTHER,    /* a device, a layout: nothing depends on it */
};

struct aten_value {
    uint8_t kind;
    int8_t power;
    uint32_t n; /* elements of a list or tuple */
    union {
        int64_t i; /* of a BOOL too */
        double f;
        const char *text; /* with a NUL behind it */
        struct aten_value *v;
        uint32_t value;
        struct aten_object *object;
        const void *function;
    };
};

/* Elements of a type number of PyTorch; AX_DTYPE_NONE if a container has
 * none such. */
ax_dtype aten_dtype(int64_t number);
/* The other way; -1 if PyTorch has none such. */
int64_t aten_dtype_number(ax_dtype t);

/* ---- the graph ---- */

struct aten {
    struct arch b; /* graph and model that grow */
    struct ax_growth *growth;
    struct ax_arena *arena;
    const unsigned char *data; /* the file, which the model may borrow from */
    size_t n_data;
    uint32_t calls; /* so far */
    /* The call at hand: its operator, and the names of its parameters. */
    char name[80];
    bool named; /* a node has it */
    /* What was written to in place is another value since, and the same for
     * all that name it: [n_state] by value, AX_NONE if it is as it was. What
     * shares its elements with another value may not be written to, and
     * neither may weights. */
    struct aten_state {
        uint32_t now;
        bool shared, weight;
    } * state;
    uint32_t n_state;
    bool guesses; /* shapes of inputs may follow from what uses them */
};

/* An empty graph: add its inputs, then say aten_begin. Free it with aten_end,
 * which gives the model if that is asked for. */
ax_status aten_new(struct aten *a, const unsigned char *data, size_t n,
                   struct ax_err *err) AX_MUST_CHECK;
ax_status aten_input(struct aten *a, struct aten_value *out, const char *name,
                     ax_dtype dtype, int rank, const int64_t *dims,
                     const char *const *dim_names, struct ax_err *err)
    AX_MUST_CHECK;
ax_status aten_begin(struct aten *a, struct ax_err *err) AX_MUST_CHECK;
/* An output called NAME. */
ax_status aten_output(struct aten *a, struct aten_value v, const char *name,
                      struct ax_err *err) AX_MUST_CHECK;
/* Check, infer, fold and normalise; *out is the model. */
ax_status aten_finish(struct ax_model **out, struct aten *a,
                      struct ax_err *err) AX_MUST_CHECK;
void aten_free(struct aten *a); /* harmless on {0} and after the model */

/* A constant out of the file; borrows where it can. */
ax_status aten_weight(struct aten *a, struct aten_value *out,
                      const char *name, const struct ax_weight *w,
                      struct ax_err *err) AX_MUST_CHECK;

/* It is a weight: nothing may write to it. */
ax_status aten_mark_weight(struct aten *a, struct aten_value x,
                           struct ax_err *err) AX_MUST_CHECK;

/* Memory of the arena. AX_ENOMEM. */
ax_status aten_list(struct aten *a, struct aten_value *out, uint8_t kind,
                    uint32_t n, struct ax_err *err) AX_MUST_CHECK;

/* ---- calls ---- */

/* An argument that has a name, or whose name is NULL: then its place counts.
 */
struct aten_arg {
    const char *name;
    struct aten_value v;
};

/* Call OP, as "add"; OVERLOAD, as "Tensor", is NULL if the arguments decide.
 * AX_EUNSUPPORTED there is no such operator, or one of its arguments is not
 * supported; AX_EFORMAT it does not take these arguments; AX_ESHAPE,
 * AX_ENOMEM. */
ax_status aten_call(struct aten *a, struct aten_value *out, const char *op,
                    const char *overload, const struct aten_arg *arg,
                    uint32_t n, struct ax_err *err) AX_MUST_CHECK;

/* ---- what the operators are made with: build.c ---- */

#define ATEN_ARGS 16 /* parameters of an operator, at most */

typedef ax_status aten_maker(struct aten *a, struct aten_value *out,
                             const struct aten_value *arg, int number,
                             struct ax_err *err);

/* An operator: its parameters in order, "name:type" or "name:type=default"
 * with spaces between them; those behind a '|' are given by name alone.
 * Types:
 *   T tensor          O tensor or None       L list of tensors
 *   x tensor, number  s number, no tensor    S the same or None
 *   i integer         I integers, or one     Y integers, or None
 *   n integer that may depend on a free dimension, or None; Z a list of such
 *   D integers or None, or one   N tensors or None   F numbers, or None
 *   b bool   t text   d dtype or None        * anything: without effect
 */
struct aten_op {
    const char *name, *overloads, *params;
    aten_maker *make;
    int number;
};

/* The value of a tensor or number; a number becomes one of DTYPE. */
ax_status aten_value_of(struct aten *a, uint32_t *v, struct aten_value x,
                        ax_dtype dtype, struct ax_err *err) AX_MUST_CHECK;
struct aten_value aten_tensor(uint32_t value);
struct aten_value aten_int(int64_t i);
/* A tensor as it is after what was written to it. */
struct aten_value aten_now(const struct aten *a, struct aten_value x);

/* Rank, which must be known, and dimensions of a value. */
ax_status aten_rank(struct aten *a, int *rank, uint32_t v, struct ax_err *err)
    AX_MUST_CHECK;
ax_status aten_dim(struct aten *a, struct aten_value *out, uint32_t v, int i,
                   struct ax_err *err) AX_MUST_CHECK;
/* A dimension that must be a number. */
ax_status aten_fixed(struct aten *a, int64_t *out, uint32_t v, int i,
                     struct ax_err *err) AX_MUST_CHECK;
ax_status aten_type(struct aten *a, ax_dtype *out, uint32_t v,
                    struct ax_err *err) AX_MUST_CHECK;
/* An axis counted from either end; of a scalar, as if it had one. */
ax_status aten_axis(int64_t *out, int64_t axis, int rank, struct ax_err *err)
    AX_MUST_CHECK;

/* A node of up to three inputs, AX_NONE where there is none; of N. */
ax_status aten_emit(struct aten *a, uint32_t *out, ax_op op, uint32_t x,
                    uint32_t y, uint32_t z, struct ax_err *err) AX_MUST_CHECK;
ax_status aten_emit_n(struct aten *a, uint32_t *out, ax_op op,
                      const uint32_t *in, uint32_t n, struct ax_err *err)
    AX_MUST_CHECK;
/* One more output of the last node. */
ax_status aten_second(struct aten *a, uint32_t *out, struct ax_err *err)
    AX_MUST_CHECK;
/* Attributes of the last node, unless they have their default value. */
ax_status aten_attr(struct aten *a, const char *name, int64_t v,
                    int64_t otherwise, struct ax_err *err) AX_MUST_CHECK;
ax_status aten_attr_real(struct aten *a, const char *name, double v,
                         double otherwise, struct ax_err *err) AX_MUST_CHECK;
/* Unless all of them are OTHERWISE. */
ax_status aten_attr_ints(struct aten *a, const char *name, const int64_t *v,
                         size_t n, int64_t otherwise, struct ax_err *err)
    AX_MUST_CHECK;

/* Constants: integers (rank 1), one number (rank 0). */
ax_status aten_ints(struct aten *a, uint32_t *out, const int64_t *v, size_t n,
                    struct ax_err *err) AX_MUST_CHECK;
ax_status aten_number(struct aten *a, uint32_t *out, ax_dtype dtype, double x,
                      struct ax_err *err) AX_MUST_CHECK;
/* A tensor of SHAPE (rank, dims) filled with X. */
ax_status aten_filled(struct aten *a, uint32_t *out, ax_dtype dtype, int rank,
                      const int64_t *dims, double x, struct ax_err *err)
    AX_MUST_CHECK;
ax_status aten_constant(struct aten *a, uint32_t *out, struct ax_tensor *t,
                        struct ax_err *err) AX_MUST_CHECK;
/* A vector of integers that may depend on the free dimension. */
ax_status aten_sizes(struct aten *a, uint32_t *out,
                     const struct aten_value *v, uint32_t n,
                     struct ax_err *err) AX_MUST_CHECK;

ax_status aten_cast(struct aten *a, uint32_t *v, ax_dtype dtype,
                    struct ax_err *err) AX_MUST_CHECK;
ax_status aten_transpose(struct aten *a, uint32_t *out, uint32_t x, int64_t i,
                         int64_t k, struct ax_err *err) AX_MUST_CHECK;
ax_status aten_reshape(struct aten *a, uint32_t *out, uint32_t x,
                       const struct aten_value *dims, uint32_t n,
                       struct ax_err *err) AX_MUST_CHECK;

/* Numbers of a list: N of them, or one that stands for all; an empty list
 * gives OTHERWISE. */
ax_status aten_get_ints(int64_t *out, size_t n, struct aten_value list,
                        const char *what, int64_t otherwise, int64_t min,
                        struct ax_err *err) AX_MUST_CHECK;
/* All numbers of a list, of at most MAX. */
ax_status aten_get_list(int64_t *out, size_t *n, size_t max,
                        struct aten_value list, const char *what,
                        struct ax_err *err) AX_MUST_CHECK;
double aten_real(struct aten_value x); /* of BOOL, INT, FLOAT */

/* The type that both have after PyTorch's promotion, as values of it. */
ax_status aten_promote(struct aten *a, uint32_t out[2], struct aten_value x,
                       struct aten_value y, bool real, struct ax_err *err)
    AX_MUST_CHECK;

/* ---- tables of operators, ended by a row without a name ---- */

extern const struct aten_op aten_math[], aten_layers[], aten_windows[],
    aten_shapes[], aten_makers[];

/* ---- programs ---- */

/* Arithmetic of what is no tensor, by the names of Python's module operator:
 * "add", "floordiv", "lt". AX_EUNSUPPORTED. */
ax_status aten_arithmetic(struct aten_value *out, const char *name,
                          struct aten_value x, struct aten_value y,
                          struct ax_err *err) AX_MUST_CHECK;

bool aten_is_arithmetic(const char *name);

bool aten_is_export(const struct torch_zip *zip);
/* The model in a torch.export archive. */
ax_status aten_read_export(struct ax_model **out, const struct torch_zip *zip,
                           const unsigned char *data, size_t n,
                           struct ax_err *err) AX_MUST_CHECK;
bool aten_is_script(const struct torch_zip *zip);
/* The model in a TorchScript archive. INPUTS are shapes of its inputs, as
 * "x=N,3,32,32;mask=bool:N,32", or NULL. */
ax_status aten_read_script(struct ax_model **out, const struct torch_zip *zip,
                           const unsigned char *data, size_t n,
                           const char *inputs, struct ax_err *err)
    AX_MUST_CHECK;

#endif
