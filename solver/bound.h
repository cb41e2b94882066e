/* solver/bound.h - bounds of all neurons over one box, and of the rows of a
 * property, in the integer arithmetic of ax-cert(5). This is the only place
 * where the prover decides anything: what it says here is what ax-check
 * will compute again. */
#ifndef SOLVER_BOUND_H
#define SOLVER_BOUND_H

#include "ax/net.h"
#include "ax/prop.h"
#include "solver/kernel.h"

enum status { UNSTABLE, ACTIVE, INACTIVE };

/* What a box inherits and hands on: the status of all neurons, and M. Nodes
 * 1..H one after the other, bnet.first[k] on. */
struct bstate {
    uint32_t refs;
    uint32_t n_unstable;
    int64_t *m;       /* [neurons] */
    uint8_t *status;  /* [neurons] */
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
    int64_t *bq;  /* [n8] or NULL */
    int b_scale;
};

/* The network as the bounds want it. Borrows the ax_net. */
struct bnet {
    const struct ax_net *net;
    uint32_t n_nodes;
    struct bnode *nodes;
    size_t *first;    /* [n_nodes]: index of a node's first neuron */
    size_t neurons;
    size_t widest8;
};

ax_status bnet_new(struct bnet **out, const struct ax_net *net,
                   struct ax_err *err) AX_MUST_CHECK;
void bnet_free(struct bnet *b);

/* Everything a thread needs to bound boxes; made once. */
struct bwork;
ax_status bwork_new(struct bwork **out, const struct bnet *net,
                    size_t max_bytes, struct ax_err *err) AX_MUST_CHECK;
void bwork_free(struct bwork *w);
size_t bwork_bytes(const struct bnet *net);

struct bbox {
    int p;          /* scale */
    const int64_t *lo, *hi;
};

/* Bounds of all neurons over a box. st is the inherited state, changed in
 * place to the box's own. False: a value left the range of ax-cert(5), and
 * nothing about this box is known. */
bool bound_box(struct bwork *w, const struct bbox *box, struct bstate *st);

/* Lower bounds, at scale 64, of n rows of a property over the box that
 * bound_box was last called with: c[n]. slope [n, n_x]: the linear lower
 * bound's coefficients on the inputs, for search alone. */
bool bound_rows(struct bwork *w, const struct bbox *box,
                struct ax_row *const *rows, size_t n, ax_i128 *c,
                double *slope);

#endif
