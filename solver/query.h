/* solver/query.h - what query.c reads and joint.c and bind.c use of it. */
#ifndef SOLVER_QUERY_H
#define SOLVER_QUERY_H

#include "ax/arena.h"
#include "ax/query.h"
#include "decimal.h"

enum query_kind { QUERY_INPUT, QUERY_HIDDEN, QUERY_OUTPUT };

struct query_tensor {
    const char *name, *onnx; /* onnx: NULL if not given */
    enum query_kind kind;
    uint32_t network;
    int rank;
    int64_t dims[AX_RANK_MAX];
    uint64_t n, first; /* its elements, all of the query being numbered */
};

struct query_network {
    const char *name;
    int same;          /* an earlier one, or -1 */
    uint32_t first, n; /* its tensors */
};

/* A sum of terms c v and a number. */
struct query_term {
    uint64_t var;
    struct decimal c;
};

struct query_sum {
    struct query_term *t;
    size_t n, room;
    struct decimal c;
    const char *literal; /* c as it was written, or NULL: it was computed */
    size_t n_literal;
    bool minus; /* the literal's negative is meant */
};

enum query_op { Q_LESS, Q_AT_MOST, Q_MORE, Q_AT_LEAST, Q_SAME, Q_OTHER };

enum query_form { QUERY_AND, QUERY_OR, QUERY_COMPARE };

struct query_formula {
    enum query_form form;
    enum query_op op;
    struct query_sum sum; /* op 0 */
    uint32_t n;
    struct query_formula **kid;
    struct query_formula *next; /* of a list in the making */
};

struct ax_query {
    struct ax_arena *arena;
    struct query_tensor *tensor;
    struct query_network *network;
    uint32_t n_tensors, n_networks;
    struct query_formula whole; /* all assertions: an and */
};

/* Terms by variable, each variable once, none with 0. False: a coefficient
 * leaves the range of decimals. */
bool query_collect(struct query_sum *s);
/* s += k t. False: a number leaves its range, or memory is out (*lost). */
bool query_add(struct ax_arena *arena, struct query_sum *s,
               const struct query_sum *t, struct decimal k, bool *lost);

/* How the inputs of a joint network are made of one vector: element e of the
 * query is vector[of[e]], and, if plus[e] is not AX_NONE, vector[plus[e]]
 * beside. */
struct joint {
    const struct ax_query *q;
    const struct ax_model *const *models;
    uint32_t n; /* the vector */
    const uint32_t *of, *plus;
};

/* The value of a tensor in the graph of its network: AX_EFORMAT if there is
 * none, AX_ESHAPE if it has another shape. nth: the how manieth input, or
 * output, of its network it is. */
ax_status query_value(uint32_t *out, const struct query_tensor *t,
                      uint32_t nth, const struct ax_model *m,
                      struct ax_err *err) AX_MUST_CHECK;
/* Do the networks have all tensors of the query, in the shapes that it says?
 * AX_EFORMAT, AX_ESHAPE: no. */
ax_status joint_check(const struct ax_query *q,
                      const struct ax_model *const *models,
                      struct ax_err *err) AX_MUST_CHECK;
ax_status joint_model(struct ax_model **out, const struct joint *j,
                      struct ax_err *err) AX_MUST_CHECK;

#endif
