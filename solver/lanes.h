/* solver/lanes.h - the linear maps of a network in float32, at POINTS points
 * side by side: the points lie in the lanes of the vectors, so that dense and
 * sparse layers are the same loop, a coefficient times a vector of points.
 * For search alone: nothing that is decided rests on it. */
#ifndef SOLVER_LANES_H
#define SOLVER_LANES_H

#include "ax/net.h"

#define POINTS 32

/* One element at all points; values are arrays [elements] of these. */
struct lanes {
    float x[POINTS];
} __attribute__((aligned(64), may_alias));

/* A block of a node: w / d. */
struct lane_layer {
    uint32_t source, rows, cols;
    enum ax_block_form form;
    const uint64_t *ptr; /* sparse: borrowed from the network */
    const uint32_t *col;
    float *w;  /* rows first; NULL where every coefficient is 1 */
    float *wt; /* dense: columns first */
    /* Sparse, where most rows share their columns with others, as those of a
     * convolution do at one place: groups of up to GROUP rows that read the
     * same columns. */
    uint32_t n_groups;
    uint32_t *member; /* [n_groups, GROUP] rows; NO_ROW: none */
    uint64_t *start;  /* [n_groups] where its coefficients are, in columns */
    float *wg;        /* [columns of all groups, GROUP] */
};

#define GROUP  8
#define NO_ROW UINT32_MAX

struct lane_node {
    enum ax_net_kind kind;
    uint32_t n, n_layers;
    struct lane_layer
        *layers; /* of a curved node only what depends on what */
    float *b;    /* [n] or NULL */
};

/* Borrows the network. Threads may share it. */
struct lane_net {
    uint32_t n_nodes;
    struct lane_node *nodes;
};

ax_status lane_net_new(struct lane_net **out, const struct ax_net *net,
                       struct ax_err *err) AX_MUST_CHECK;
void lane_net_free(struct lane_net *l);
size_t lane_net_bytes(const struct ax_net *net);

/* The variables of a node that are computed with: all, or the few on which
 * some rows depend. */
struct live {
    uint32_t n, *list; /* [n], increasing */
    uint8_t *mark;     /* [variables] for live_below */
};

/* out [rows] += W in [cols], and out [cols] += W^T in [rows], for the rows
 * that are live. */
void lanes_forward(struct lanes *out, const struct lane_layer *l,
                   const struct lanes *in, const struct live *live);
void lanes_backward(struct lanes *out, const struct lane_layer *l,
                    const struct lanes *in, const struct live *live);

/* One for each node: all are live. AX_ENOMEM; live_free it all the same. */
ax_status live_new(struct live **out, const struct lane_net *net,
                   struct ax_err *err) AX_MUST_CHECK;
void live_free(struct live *v, const struct lane_net *net);
void live_all(struct live *v, const struct lane_net *net);
/* Nothing is marked in the nodes up to k. */
void live_none(struct live *v, const struct lane_net *net, uint32_t k);
/* What is marked in the nodes up to k, and all that it depends on, is live.
 */
void live_below(struct live *v, const struct lane_net *net, uint32_t k);

/* n elements, aligned, zero; NULL: no memory. */
struct lanes *lanes_alloc(size_t n);
void lanes_zero(struct lanes *v, size_t n);

#endif
