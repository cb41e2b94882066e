/* ax/net.h - a network in the normal form of ax-cert(5), section NETWORK:
 * affine maps between rectified nodes, with exact dyadic coefficients.
 *
 * Node 0 is the input vector (batch 1, all graph inputs flattened). Nodes 1
 * to H have z = sum of w a + b and a = max(0, z). Node H+1 is the output
 * vector: z alone. n_nodes = H + 2. */
#ifndef AX_NET_H
#define AX_NET_H

#include "ax/model.h"
#include "ax/prop.h"

AX_BEGIN_API

/* A block of node k's affine map: the coefficients on one source, stored by
 * rows. Every coefficient is exact in double: m 2^e with |m| < 2^53. */
struct ax_block {
    uint32_t source; /* node, < k */
    /* Dense: w [n_k, n_source], row_ptr and col NULL.
     * Sparse: row i is w[row_ptr[i] .. row_ptr[i+1]), columns col,
     * increasing, no explicit zeros. */
    double *w;
    uint64_t *row_ptr;
    uint32_t *col;
    int scale;   /* s_ks of ax-cert(5) */
    int32_t *wq; /* W' of ax-cert(5), laid out as w */
};

struct ax_net_node {
    uint32_t n;        /* elements */
    uint32_t n_blocks; /* sources, in increasing order */
    struct ax_block *blocks;
    ax_i128 *b_m; /* [n] bias, exact: b_m 2^b_e, b_e common; or NULL */
    int b_e;
    double *b;   /* [n] nearest doubles, for search alone */
    int b_scale; /* sb_k */
    int32_t *bq; /* [n] b', or NULL if all are zero */
    int bits;    /* K_k */
};

struct ax_net {
    uint32_t n_nodes;
    struct ax_net_node *nodes; /* nodes[0] has only n */
    void *arena;
};

/* Lower a model's graph. Free dimensions are 1.
 * AX_EUNSUPPORTED an operator that is not affine or Relu in the form of
 *                 ax-cert(5), or a coefficient that is not exact: one
 *                 sentence with node and operator
 * Cost  linear in the coefficients; a dense layer that reads a node
 *       directly keeps 12 bytes a weight. */
ax_status ax_net_lower(struct ax_net **out, const struct ax_model *m,
                       struct ax_err *err) AX_MUST_CHECK;
void ax_net_free(struct ax_net *net);

/* Is x (n_x floats) a counterexample, over the reals? Exact, in rationals
 * (GMP). On AX_OK *group and *conj name the first conjunction that it
 * makes true, as written (< and > strict). AX_NO: it is none.
 * AX_EFORMAT: a number is not finite. */
ax_status ax_net_refutes(const struct ax_net *net, const struct ax_prop *p,
                         const float *x, uint32_t *group, uint32_t *conj,
                         struct ax_err *err) AX_MUST_CHECK;

/* Outputs at x, each rounded to the nearest double, from the exact values;
 * y [outputs]. */
ax_status ax_net_exact(const struct ax_net *net, const float *x, double *y,
                       struct ax_err *err) AX_MUST_CHECK;

AX_END_API

#endif
