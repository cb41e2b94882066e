/* What lowering keeps of a value of the graph: an affine form over the
 * elements of the network's nodes, exactly. Internal to lib/net.
 *
 * Elements of all nodes are numbered through: element j of node k is number
 * first[k] + j. */
#ifndef NET_FORM_H
#define NET_FORM_H

#include "ax/arena.h"
#include "ax/net.h"

#define NO_ELEMENT  UINT32_MAX
#define MAX_ELEMENT ((uint64_t)1 << 26) /* of one value */
#define MAX_BYTES   ((uint64_t)4 << 30) /* for all of it */
#define MAX_COEF    ((uint64_t)1 << 27) /* of one value */

/* m 2^e, m odd or m = 0, e = 0; |m| < 2^100. */
struct dyadic {
    ax_i128 m;
    int e;
};

enum form_kind {
    FORM_NONE,
    FORM_CONST, /* value[i], or single[i] if value is NULL */
    FORM_PICK,  /* element pick[i], or nothing, + b[i] */
    FORM_ROWS,  /* sparse rows of element numbers, increasing, + b[i] */
    FORM_DENSE, /* w [n, elements of source] + b[i] */
};

struct form {
    enum form_kind kind;
    int rank;
    int64_t dims[AX_RANK_MAX];
    size_t n;
    double *value;
    const float *single; /* borrowed from the model */
    uint32_t *pick;
    uint64_t *row_ptr;
    uint32_t *key;
    double *w;
    uint32_t source;
    struct dyadic *b; /* NULL: all zero */
};

struct lowering {
    const struct ax_model *model;
    const struct ax_node *node; /* at hand, for messages; or NULL */
    struct ax_net *net;
    struct ax_arena *tmp;
    uint64_t bytes;     /* handed out so far, by net_alloc and net_keep */
    uint32_t *first;    /* [nodes made + 1] */
    uint32_t n_made;    /* nodes of the network so far */
    struct form *forms; /* [values] */
    /* Rows in the making. */
    uint32_t *key;
    double *w;
    size_t n_terms, room;
    struct ax_err *err;
};

/* A linear map between two values, row by row: fills index[] (of input
 * elements) and coef[] for output o, and returns how many, <= max_terms. */
struct linear_map {
    size_t max_terms;
    size_t (*row)(const struct linear_map *self, size_t o, uint32_t *index,
                  double *coef);
    void *data;
};

/* "node 'NAME' (OPERATOR): ..." */
ax_status net_refuse(struct lowering *l, const char *fmt, ...)
    AX_PRINTF(2, 3);
ax_status net_no_memory(struct lowering *l);
/* Memory that lives as long as the lowering; NULL when out. */
void *net_alloc(struct lowering *l, size_t n, size_t size);
/* Zeroed memory that lives as long as the network. */
void *net_keep(struct lowering *l, size_t n, size_t size);

/* Where output element i of a rearrangement comes from: element ORIGIN_AT
 * of form ORIGIN_FORM, or the constant fill. */
#define ORIGIN(form, at) ((uint64_t)(form) << 40 | (uint64_t)(at))
#define ORIGIN_FILL      UINT64_MAX

/* Set shape and count of out; refused beyond MAX_ELEMENT. */
ax_status form_shape(struct lowering *l, struct form *out, int rank,
                     const int64_t *dims) AX_MUST_CHECK;
/* out's shape is set. in[n_in]; origin[out->n]. */
ax_status form_gather(struct lowering *l, struct form *out,
                      const struct form *in, const uint64_t *origin,
                      double fill) AX_MUST_CHECK;
/* A constant as a PICK of nothing. */
ax_status form_of_constant(struct lowering *l, struct form *out,
                           const struct form *f) AX_MUST_CHECK;
/* a + SIGN b, of equal shape. */
ax_status form_add(struct lowering *l, struct form *out, const struct form *a,
                   const struct form *b, int sign) AX_MUST_CHECK;
/* Element i times that of a constant of the same shape, or divided by it. */
ax_status form_scale(struct lowering *l, struct form *out,
                     const struct form *a, const struct form *factor,
                     bool divide) AX_MUST_CHECK;
/* out's shape is set; in is no constant. */
ax_status form_map(struct lowering *l, struct form *out,
                   const struct form *in, const struct linear_map *map)
    AX_MUST_CHECK;

/* Element i of a constant. */
static inline double form_at(const struct form *f, size_t i)
{
    return f->value ? f->value[i] : (double)f->single[i];
}

/* Exact or false. */
bool exact_add(double *out, double a, double b);
bool exact_mul(double *out, double a, double b);
bool exact_div(double *out, double a, double b);
bool dyadic_add(struct dyadic *out, struct dyadic a, struct dyadic b);
bool dyadic_mul(struct dyadic *out, struct dyadic a, double b);
bool dyadic_from(struct dyadic *out, double v);

/* structure.c and linear.c: one operator each; *out is what its first
 * output is (Split: all). */
typedef ax_status net_operator(struct lowering *l, struct form *out);
net_operator net_concat, net_flatten, net_gather, net_pad, net_reshape,
    net_same, net_slice, net_split, net_squeeze, net_transpose, net_unsqueeze;
net_operator net_add, net_average_pool, net_conv, net_div, net_gemm,
    net_matmul, net_mul, net_neg, net_reduce, net_sub;

/* Input i of the node at hand; NULL if it is left out. */
const struct form *net_input(struct lowering *l, uint32_t i);
/* Its integers, if it is a constant: at most max, refused if not so. */
ax_status net_ints(struct lowering *l, uint32_t i, int64_t *out, size_t max,
                   size_t *n) AX_MUST_CHECK;
/* out = in with another shape of as many elements. */
ax_status net_reshaped(struct lowering *l, struct form *out,
                       const struct form *in, int rank, const int64_t *dims)
    AX_MUST_CHECK;

/* out = in, repeated along dimensions of 1 and in front. */
ax_status net_broadcast(struct lowering *l, struct form *out,
                        const struct form *in, int rank, const int64_t *dims)
    AX_MUST_CHECK;

/* build.c: make the network's next node from a form; quantise.c. */
ax_status net_build_node(struct lowering *l, const struct form *f)
    AX_MUST_CHECK;
ax_status net_quantise(struct lowering *l) AX_MUST_CHECK;

#endif
