/* lib/opt/quantise.h - between choosing what becomes int8 (choose.c) and
 * writing it (quantise.c). Private to lib/opt. */
#ifndef OPT_QUANTISE_H
#define OPT_QUANTISE_H

#include "opt/opt.h"

/* A value before the pass. */
struct opt_act {
    bool marked;    /* it is to be rounded */
    uint32_t group; /* whose scale it has: of this value, in the end */
    float lo, hi;   /* of a group's value: what its numbers are; 0 between */
    uint32_t *bins; /* of a group's value, with a percentile: its histogram */
    float scale;    /* of a group's value */
    int zero;
    uint32_t back; /* what is rounded and float32 again */
};

/* A node before the pass. */
enum opt_role {
    OPT_STAYS,
    OPT_HEAVY, /* a product with a constant */
    OPT_SUM,   /* Add of two activations */
    OPT_MOVES, /* hands elements on: one scale for what goes in and out */
};

struct opt_quant {
    struct opt *o;
    struct ax_narrow_done *done;
    const struct ax_narrow_options *opt;
    uint32_t n_values, n_nodes; /* before the pass */
    struct opt_act *act;        /* [n_values] */
    unsigned char *role;        /* [n_nodes] */
};

/* What the group of a value knows. */
struct opt_act *opt_act_of(struct opt_quant *q, uint32_t v);
/* Find roles and marks. */
ax_status opt_choose(struct opt_quant *q, struct ax_err *err);
/* Find scales and zero points of what is marked. */
ax_status opt_calibrate(struct opt_quant *q, struct ax_err *err);

/* The weights of an OPT_HEAVY node: output channels, and along which
 * dimension of the tensor they lie. */
struct opt_weights {
    const struct ax_tensor *w, *bias; /* no bias: NULL */
    int axis;
    size_t channels, inner; /* inner: products a sum has */
};
struct opt_weights opt_weights_of(const struct opt *o,
                                  const struct ax_node *n);

#endif
