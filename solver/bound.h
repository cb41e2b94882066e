/* solver/bound.h - bounds of all neurons over one box, and of the rows of a
 * property, in the integer arithmetic of ax-cert(5). This is the only place
 * where the prover decides anything: what it says here is what ax-check
 * will compute again. */
#ifndef SOLVER_BOUND_H
#define SOLVER_BOUND_H

#include "ax/net.h"
#include "ax/prop.h"
#include "kernel.h"
#include "smooth.h"

enum status { UNSTABLE, ACTIVE, INACTIVE };

/* What a box inherits and hands on. Neurons are the variables of relu,
 * smooth and hold nodes, one node after the other, bnet.first[k] on; those
 * that are no relu are always unstable. */
struct bstate {
    int64_t *m;      /* [neurons] M */
    uint8_t *status; /* [neurons] */
    uint64_t *sum_m; /* [n_nodes] SM of nodes without neurons; UINT64_MAX
                        where it is infinite */
};

struct bblock {
    uint32_t source;
    enum ax_block_form form;
    struct packed packed;
    struct csr csr;
    int32_t *size; /* |W'| + 1 of each term, under ieee32; else NULL */
};

struct bnode {
    enum ax_net_kind kind;
    uint32_t n;
    size_t n8;
    uint32_t n_blocks;
    struct bblock *blocks;
    int scale;
    int64_t *bq; /* [n8] or NULL */
    int b_scale;
    bool errs;                /* it has D */
    int64_t gamma;            /* G, or 0 of the last node */
    uint32_t *arg_node, *arg; /* [n] of a node of neurons: v_i */
    /* Of a curved node: each row's variables of these nodes. */
    uint32_t factor_node[2], *factor[2];
};

/* The network as the bounds want it. Borrows the ax_net. */
struct bnet {
    const struct ax_net *net;
    bool ieee32; /* under these semantics; or over the reals */
    size_t errs; /* variables of nodes that have D, padded */
    uint32_t n_nodes;
    struct bnode *nodes;
    size_t *first; /* [n_nodes]: index of a node's first neuron */
    size_t neurons;
    size_t widest8;
    int32_t *ones; /* W' of nodes of neurons */
    bool smooth;   /* some are of smooth nodes */
    bool curved;   /* there are products or reciprocals */
};

/* Under ieee32 the network must have no only_real. */
ax_status bnet_new(struct bnet **out, const struct ax_net *net,
                   enum ax_semantics semantics, struct ax_err *err)
    AX_MUST_CHECK;
void bnet_free(struct bnet *b);

/* Room for the state of a box, all in one piece of bstate_bytes; the state
 * of a root. */
size_t bstate_bytes(const struct bnet *net);
void bstate_place(struct bstate *st, const struct bnet *net, void *room);
void bstate_root(struct bstate *st, const struct bnet *net);
void bstate_copy(struct bstate *to, const struct bstate *from,
                 const struct bnet *net);

/* Bounds l, u of all neurons that a box has of its own, for boxes that are
 * split at neurons and inherit them. */
struct bbounds {
    uint64_t sum_m0;
    int *t;                /* [n_nodes] */
    uint64_t *sum;         /* [n_nodes] SM of relu nodes */
    int32_t *l, *u;        /* [neurons]; 0 if stable, and of smooth ones */
    int64_t *d;            /* [errs] D */
    int *d_scale;          /* [n_nodes] */
    struct smooth *smooth; /* [neurons] of smooth ones, if any */
};

/* AX_ENOMEM. One piece of memory: free() it. */
ax_status bbounds_new(struct bbounds **out, const struct bnet *net,
                      struct ax_err *err) AX_MUST_CHECK;

/* Everything a thread needs to bound boxes; made once. */
struct bwork;
/* deadline: CLOCK_MONOTONIC seconds, or 0. AX_UNDECIDED: needs more than
 * max_bytes. */
ax_status bwork_new(struct bwork **out, const struct bnet *net,
                    size_t max_bytes, double deadline, struct ax_err *err)
    AX_MUST_CHECK;
/* Was the last box given up because the deadline had passed? */
bool bwork_late(const struct bwork *w);
void bwork_free(struct bwork *w);
size_t bwork_bytes(const struct bnet *net);

struct bbox {
    int p; /* scale */
    const int64_t *lo, *hi;
    /* [2 neurons] Tables of slopes [neurons] for the lower and the upper
     * bound of each; a NULL entry is none. NULL: there are none at all. */
    const uint8_t *const *slopes;
};

/* Bounds of all neurons over a box. st is the inherited state, changed in
 * place to the box's own. False: a value left the range of ax-cert(5), and
 * nothing about this box is known. */
bool bound_box(struct bwork *w, const struct bbox *box, struct bstate *st);

/* After bound_box: keep what it found. Before bound_rows: use what was found
 * for the box that st comes from, neurons of which were split since. */
void bound_keep(const struct bwork *w, struct bbounds *b);
void bound_use(struct bwork *w, const struct bbounds *b,
               const struct bstate *st);

/* The multiplier of a neuron that was split, of one row. */
struct bmult {
    uint32_t neuron;
    bool active;
    uint16_t code; /* as in the certificate */
};

/* The lower bound of a row of a property over a box: c at scale 64, and as
 * a linear function of the input, e [n_x] at scale q. */
struct brow {
    const struct ax_row *row;
    const uint8_t *slopes; /* [neurons] its table, or NULL */
    const struct bmult *mults;
    uint32_t n_mults;
    ax_i128 c;
    int q;
    int64_t *e; /* the caller's, [n_x] */
    ax_i128 t;  /* T of ax-cert(5), section Clipping */
    bool clips;
};

/* Bound n rows (what stands before c, and e, are set) over the box that
 * bound_box or bound_use was last called with. */
bool bound_rows(struct bwork *w, const struct bbox *box, struct brow *rows,
                size_t n);

/* T of a row over the box, from its c, q and e; bound_rows does it. */
void bound_threshold(struct brow *row, const struct bbox *box, uint32_t n_x);

/* Clip the box lo, hi [n_x] by n rows, in order. False: nothing is left (and
 * lo, hi are spoilt). */
bool bound_clip(const struct brow *rows, size_t n, uint32_t n_x, int64_t *lo,
                int64_t *hi);

#endif
