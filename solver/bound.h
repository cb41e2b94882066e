/* solver/bound.h - bounds of all neurons over one box, and of the rows of a
 * property, in the integer arithmetic of ax-cert(5). This is the only place
 * where the prover decides anything: what it says here is what ax-check
 * will compute again. */
#ifndef SOLVER_BOUND_H
#define SOLVER_BOUND_H

#include "ax/net.h"
#include "ax/prop.h"
#include "kernel.h"

enum status { UNSTABLE, ACTIVE, INACTIVE };

/* What a box inherits and hands on: the status of all neurons, and M. Nodes
 * 1..H one after the other, bnet.first[k] on. */
struct bstate {
    uint32_t refs;
    uint32_t n_unstable;
    int64_t *m;      /* [neurons] */
    uint8_t *status; /* [neurons] */
};

struct bblock {
    uint32_t source;
    int scale;
    bool dense;
    struct packed packed;
    struct csr csr;
};

struct bnode {
    uint32_t n;
    size_t n8;
    uint32_t n_blocks;
    struct bblock *blocks;
    int64_t *bq; /* [n8] or NULL */
    int b_scale;
};

/* The network as the bounds want it. Borrows the ax_net. */
struct bnet {
    const struct ax_net *net;
    uint32_t n_nodes;
    struct bnode *nodes;
    size_t *first; /* [n_nodes]: index of a node's first neuron */
    size_t neurons;
    size_t widest8;
};

ax_status bnet_new(struct bnet **out, const struct ax_net *net,
                   struct ax_err *err) AX_MUST_CHECK;
void bnet_free(struct bnet *b);

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
};

/* Bounds of all neurons over a box. st is the inherited state, changed in
 * place to the box's own. False: a value left the range of ax-cert(5), and
 * nothing about this box is known. */
bool bound_box(struct bwork *w, const struct bbox *box, struct bstate *st);

/* The lower bound of a row of a property over a box: c at scale 64, and as
 * a linear function of the input, e [n_x] at scale q. */
struct brow {
    const struct ax_row *row;
    ax_i128 c;
    int q;
    int64_t *e; /* the caller's, [n_x] */
    ax_i128 t;  /* T of ax-cert(5), section Clipping */
    bool clips;
};

/* Bound n rows (their row and e set) over the box that bound_box was last
 * called with. */
bool bound_rows(struct bwork *w, const struct bbox *box, struct brow *rows,
                size_t n);

/* Clip the box lo, hi [n_x] by n rows, in order. False: nothing is left (and
 * lo, hi are spoilt). */
bool bound_clip(const struct brow *rows, size_t n, uint32_t n_x, int64_t *lo,
                int64_t *hi);

#endif
