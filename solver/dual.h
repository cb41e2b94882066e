/* solver/dual.h - the lower bounds of ax-cert(5) in float32, for POINTS rows
 * side by side, each with its own statuses, slopes and multipliers, and
 * their gradient: alpha-CROWN and beta-CROWN (Xu et al., ICLR 2021; Wang et
 * al., NeurIPS 2021). For search alone: what comes out is rounded to codes
 * of the certificate and bounded again in integers. */
#ifndef SOLVER_DUAL_H
#define SOLVER_DUAL_H

#include "bound.h"
#include "lanes.h"

/* The status of a neuron in a lane. */
enum {
    DUAL_LOOSE = UNSTABLE,
    DUAL_ON = ACTIVE,
    DUAL_OFF = INACTIVE,
    DUAL_SPLIT_ON,
    DUAL_SPLIT_OFF
};

/* What replaces a row of a curved node: wa x + wb y + [low, up]; and bounds
 * of it. */
struct bend {
    float wa, wb, low, up, least, most;
};

struct dual {
    const struct bnet *net;
    const struct lane_net *lane;
    struct live *live; /* [n_nodes] all, unless the caller says less */
    size_t neurons;
    float *l, *u; /* [neurons] bounds of unstable neurons; of smooth ones what
                     its lines have at 0 */
    float *slope; /* [neurons] of the lines of smooth ones */
    struct bend **bend; /* [n_nodes] of curved nodes; [0]: all */
    float *lo, *hi;     /* [n_x] the box */
    /* Set by the caller: */
    uint8_t (*status)[POINTS]; /* [neurons] */
    struct lanes *alpha;       /* [neurons] in [0, 1]; of loose ones */
    struct lanes *beta;        /* [neurons] >= 0; of split ones */
    /* Made by dual_backward and dual_forward: */
    struct lanes value; /* lower bound of the row */
    struct lanes *mu;   /* [neurons] coefficients on a neuron's value */
    struct lanes *v;    /* [neurons] what it rectifies, at the minimiser */
    struct lanes **e;   /* [n_nodes] coefficients; [0]: on the input */
    struct lanes **y;   /* [n_nodes] values at the minimiser; [0]: it */
};

/* Borrows both. AX_ENOMEM. */
ax_status dual_new(struct dual **out, const struct bnet *net,
                   const struct lane_net *lane, struct ax_err *err)
    AX_MUST_CHECK;
void dual_free(struct dual *d);
size_t dual_bytes(const struct bnet *net);

/* Use these bounds and this box from now on. */
void dual_box(struct dual *d, const struct bbounds *b,
              const struct ax_group *g);

/* The lines of the curved nodes after node k, from l and u; dual_box does
 * it. */
void dual_bend(struct dual *d, uint32_t k);

/* No rows: what is live in e is zero. Rows over node k are added to e[k],
 * those of a property to e[0], too. */
void dual_clear(struct dual *d);

/* value, from rows in e[k] and e[0], nodes above k being left alone. */
void dual_backward(struct dual *d, uint32_t k);

/* v, at the input that gives value, through the relaxed network; nodes from
 * k on are left alone. dvalue/dalpha = max(mu, 0) v for loose neurons,
 * dvalue/dbeta = -v where split on, v where split off. */
void dual_forward(struct dual *d, uint32_t k);

#endif
