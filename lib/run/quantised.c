/* Nodes between bytes. A product whose inputs come from DequantizeLinear and
 * whose output goes to QuantizeLinear is one step that computes with integers
 * (ax/backend.h says what); what moves elements between equal scales moves
 * bytes. The nodes around it do not run, where nobody else reads them. */
#include "plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct fuser {
    struct scope *s;
    uint32_t *uses;  /* [n_values] by nodes that run, and as outputs */
    uint32_t *maker; /* [n_values] node, or STEP_NONE */
};

/* The inputs of a fused node: see AX_INT8_CONV. */
enum { X, X_SCALE, X_ZERO, W, W_SCALE, W_ZERO, Y_SCALE, Y_ZERO, BIAS, ALL };

static uint32_t input(const struct ax_node *n, uint32_t k)
{
    return k < n->n_in ? n->in[k] : AX_NONE;
}

static const struct ax_tensor *constant(const struct fuser *f, uint32_t v)
{
    return v != AX_NONE && f->s->slots[v].constant ? &f->s->slots[v].t : NULL;
}

static bool is_byte(const struct ax_tensor *t)
{
    return t->dtype == AX_U8 || t->dtype == AX_I8;
}

/* -- scales ---------------------------------------------------------------
 */

/* The number of a scale; 0 if it is not one for all that can be used. */
static float scale_of(const struct fuser *f, uint32_t v)
{
    const struct ax_tensor *t = constant(f, v);
    float s;

    if (!t || t->dtype != AX_F32 || ax_tensor_count(t) != 1)
        return 0;
    s = *(const float *)t->data;
    return s > 0 && isfinite(s) ? s : 0;
}

/* A zero point for all, with its type; absent is one of uint8. */
static bool zero_of(const struct fuser *f, uint32_t v, int *zero,
                    ax_dtype *type)
{
    const struct ax_tensor *t = constant(f, v);

    *zero = 0;
    *type = AX_U8;
    if (v == AX_NONE)
        return true;
    if (!t || !is_byte(t) || ax_tensor_count(t) != 1)
        return false;
    *type = t->dtype;
    *zero = t->dtype == AX_U8 ? *(const uint8_t *)t->data
                              : *(const int8_t *)t->data;
    return true;
}

/* The node that makes value v, if it is of this kind. */
static const struct ax_node *made_by(const struct fuser *f, uint32_t v,
                                     ax_op op)
{
    uint32_t k = v == AX_NONE ? STEP_NONE : f->maker[v];

    if (k == STEP_NONE || f->s->g->nodes[k].op != op || f->s->steps[k].fused)
        return NULL;
    return &f->s->g->nodes[k];
}

/* The DequantizeLinear that makes an activation with one scale. */
static const struct ax_node *activation(const struct fuser *f, uint32_t v)
{
    const struct ax_node *n = made_by(f, v, AX_OP_DequantizeLinear);
    ax_dtype type;
    int zero;

    if (!n || constant(f, input(n, 0)) ||
        ax_node_int(n, "block_size", 0) != 0 ||
        scale_of(f, input(n, 1)) == 0 || input(n, 2) == AX_NONE ||
        !zero_of(f, input(n, 2), &zero, &type))
        return NULL;
    return n;
}

static bool all_usable(const struct ax_tensor *scale)
{
    const float *s = scale->data;

    for (size_t i = 0; i < ax_tensor_count(scale); i++)
        if (!(s[i] > 0) || !isfinite(s[i]))
            return false;
    return true;
}

/* The DequantizeLinear of constant weights of RANK (0: any, 3 or more), with
 * a scale for each index of AXIS or one for all. */
static const struct ax_node *weights(const struct fuser *f, uint32_t v,
                                     int rank, int axis)
{
    const struct ax_node *n = made_by(f, v, AX_OP_DequantizeLinear);
    const struct ax_tensor *w, *scale, *zero;
    int64_t along;
    size_t count;

    if (!n || ax_node_int(n, "block_size", 0) != 0)
        return NULL;
    w = constant(f, input(n, 0));
    scale = constant(f, input(n, 1));
    zero = constant(f, input(n, 2));
    if (!w || !is_byte(w) || (rank ? w->rank != rank : w->rank < 3) ||
        !scale || scale->dtype != AX_F32 || !all_usable(scale) ||
        (input(n, 2) != AX_NONE && (!zero || zero->dtype != w->dtype)))
        return NULL;
    count = ax_tensor_count(scale);
    along = ax_node_int(n, "axis", 1);
    along += along < 0 ? w->rank : 0;
    if (count != 1 && (along != axis || (int64_t)count != w->dims[axis]))
        return NULL;
    return zero && ax_tensor_count(zero) != count ? NULL : n;
}

/* The DequantizeLinear of a constant bias in int32, whose scale is that of
 * the sum. */
static const struct ax_node *bias(const struct fuser *f, uint32_t v,
                                  const struct ax_node *x,
                                  const struct ax_node *w, int64_t channels)
{
    const struct ax_node *n = made_by(f, v, AX_OP_DequantizeLinear);
    const struct ax_tensor *b, *scale, *ws;
    float xs = scale_of(f, input(x, 1));

    if (!n || input(n, 2) != AX_NONE)
        return NULL;
    b = constant(f, input(n, 0));
    scale = constant(f, input(n, 1));
    ws = constant(f, input(w, 1));
    if (!b || b->dtype != AX_I32 || b->rank != 1 || b->dims[0] != channels ||
        !scale || scale->dtype != AX_F32 ||
        (ax_tensor_count(scale) != 1 &&
         ax_tensor_count(scale) != (size_t)channels))
        return NULL;
    for (int64_t c = 0; c < channels; c++) {
        float has =
            ((const float *)scale->data)[ax_tensor_count(scale) == 1 ? 0 : c];
        float is =
            xs * ((const float *)ws->data)[ax_tensor_count(ws) == 1 ? 0 : c];

        if (has < is || has > is)
            return NULL;
    }
    return n;
}

/* -- what comes after -----------------------------------------------------
 */

/* Does rounding to bytes anyway do what a limit at x does at that end? */
static bool is_limit(float x, float scale, int zero, ax_dtype type, bool low)
{
    float q = nearbyintf(x / scale) + (float)zero;
    float end = type == AX_U8 ? (low ? 0.0f : 255.0f)
                              : (low ? -128.0f : 127.0f);

    return low ? q <= end : q >= end;
}

/* A limit of Clip: absent is fine. */
static bool clip_fits(const struct fuser *f, uint32_t v, float scale,
                      int zero, ax_dtype type, bool low)
{
    const struct ax_tensor *t = constant(f, v);

    return v == AX_NONE ||
           (t && t->dtype == AX_F32 && ax_tensor_count(t) == 1 &&
            is_limit(*(const float *)t->data, scale, zero, type, low));
}

/* The node whose result the QuantizeLinear q rounds, through a Relu or Clip
 * that rounding makes superfluous; STEP_NONE: none that can be fused. *OVER
 * is the one in between, or STEP_NONE. */
static uint32_t rounded(const struct fuser *f, const struct ax_node *q,
                        uint32_t *over)
{
    float scale = scale_of(f, input(q, 1));
    uint32_t k = f->maker[q->in[0]];
    const struct ax_node *n;
    ax_dtype type;
    int zero;

    *over = STEP_NONE;
    if (scale == 0 || !zero_of(f, input(q, 2), &zero, &type) ||
        (input(q, 2) == AX_NONE &&
         ax_node_int(q, "output_dtype", AX_U8) != AX_U8) ||
        ax_node_int(q, "block_size", 0) != 0 || k == STEP_NONE ||
        f->uses[q->in[0]] != 1)
        return STEP_NONE;
    n = &f->s->g->nodes[k];
    if ((n->op == AX_OP_Relu && is_limit(0, scale, zero, type, true)) ||
        (n->op == AX_OP_Clip &&
         clip_fits(f, input(n, 1), scale, zero, type, true) &&
         clip_fits(f, input(n, 2), scale, zero, type, false))) {
        if (f->uses[n->in[0]] != 1 || f->maker[n->in[0]] == STEP_NONE)
            return STEP_NONE;
        *over = k;
        k = f->maker[n->in[0]];
        n = &f->s->g->nodes[k];
    }
    return n->n_out == 1 && !f->s->steps[k].fused ? k : STEP_NONE;
}

/* -- fusing ---------------------------------------------------------------
 */

/* Step K does not run; what it reads has one reader less, and what made that
 * from bytes for nobody else does not run either. */
static void leave_out(struct fuser *f, uint32_t k)
{
    const struct ax_node *n = &f->s->g->nodes[k];

    f->s->steps[k].absent = true;
    for (uint32_t i = 0; i < n->n_in; i++) {
        uint32_t v = n->in[i];

        if (v == AX_NONE || --f->uses[v] > 0 || f->maker[v] == STEP_NONE ||
            n->op == AX_OP_DequantizeLinear)
            continue;
        if (f->s->g->nodes[f->maker[v]].op == AX_OP_DequantizeLinear &&
            !f->s->steps[f->maker[v]].absent)
            leave_out(f, f->maker[v]);
    }
}

/* Step AT runs a node with these inputs instead of its own, and those of the
 * list do not run. */
static ax_status fuse(struct fuser *f, uint32_t at, uint32_t from,
                      const char *kernel, const uint32_t *in, uint32_t n_in,
                      uint32_t over, struct ax_err *err)
{
    struct step *st = &f->s->steps[at];
    const struct ax_node *n = &f->s->g->nodes[from];
    struct ax_node *made = calloc(1, sizeof *made +
                                         (n_in + 1u) * sizeof *made->in);

    if (!made)
        return ax_fail(err, AX_ENOMEM, "no memory for a plan");
    *made = *n;
    made->in = (uint32_t *)(made + 1);
    memcpy(made->in, in, n_in * sizeof *in);
    made->n_in = n_in;
    made->out = f->s->g->nodes[at].out;
    for (uint32_t i = 0; i < n_in; i++)
        if (in[i] != AX_NONE)
            f->uses[in[i]]++;
    st->node = st->fused = made;
    st->kernel = kernel;
    /* Its own inputs are not read any more, as if it were left out. */
    leave_out(f, at);
    st->absent = false;
    if (over != STEP_NONE)
        leave_out(f, over);
    if (from != at)
        leave_out(f, from);
    return AX_OK;
}

static void fill(uint32_t *in, const struct ax_node *x,
                 const struct ax_node *w, const struct ax_node *q)
{
    in[X] = input(x, 0);
    in[X_SCALE] = input(x, 1);
    in[X_ZERO] = input(x, 2);
    in[W] = input(w, 0);
    in[W_SCALE] = input(w, 1);
    in[W_ZERO] = input(w, 2);
    in[Y_SCALE] = q ? input(q, 1) : AX_NONE;
    in[Y_ZERO] = q ? input(q, 2) : AX_NONE;
    in[BIAS] = AX_NONE;
}

/* Where the channels of a product's weights lie, and how many dimensions
 * these have (0: three or more); NULL: it is none. */
static const char *product_kernel(const struct ax_node *n, int *rank,
                                  int *axis)
{
    *rank = 2;
    *axis = 1;
    switch (n->op) {
    case AX_OP_Conv:
        *rank = *axis = 0;
        return AX_INT8_CONV;
    case AX_OP_Gemm:
        if (ax_node_int(n, "transA", 0) || ax_node_float(n, "alpha", 1) < 1 ||
            ax_node_float(n, "alpha", 1) > 1 ||
            ax_node_float(n, "beta", 1) < 1 ||
            ax_node_float(n, "beta", 1) > 1)
            return NULL;
        *axis = ax_node_int(n, "transB", 0) ? 0 : 1;
        return AX_INT8_GEMM;
    case AX_OP_MatMul:
        return AX_INT8_MATMUL;
    default:
        return NULL;
    }
}

/* Node K with bytes, if it is a product of such; its result is rounded by
 * step AT, q, or, if there is none, float32 and its own. */
static ax_status fuse_product(struct fuser *f, uint32_t k, uint32_t at,
                              const struct ax_node *q, uint32_t over,
                              struct ax_err *err)
{
    const struct ax_node *n = &f->s->g->nodes[k], *x, *w, *b = NULL;
    int rank, axis;
    const char *kernel = product_kernel(n, &rank, &axis);
    uint32_t in[ALL];

    if (!kernel)
        return AX_OK;
    x = activation(f, input(n, 0));
    w = weights(f, input(n, 1), rank, axis);
    if (!x || !w)
        return AX_OK;
    if (input(n, 2) != AX_NONE) {
        b = bias(f, input(n, 2), x, w, constant(f, w->in[0])->dims[axis]);
        if (!b)
            return AX_OK;
    }
    fill(in, x, w, q);
    in[BIAS] = b ? b->in[0] : AX_NONE;
    return fuse(f, at, k, kernel, in, ALL, over, err);
}

static ax_status fuse_sum(struct fuser *f, uint32_t k, uint32_t at,
                          const struct ax_node *q, uint32_t over,
                          struct ax_err *err)
{
    const struct ax_node *n = &f->s->g->nodes[k];
    const struct ax_node *a = activation(f, input(n, 0));
    const struct ax_node *b = activation(f, input(n, 1));
    uint32_t in[ALL];

    if (!a || !b)
        return AX_OK;
    fill(in, a, b, q);
    return fuse(f, at, k, AX_INT8_ADD, in, ALL, over, err);
}

/* -- moving bytes ---------------------------------------------------------
 */

static bool same_scales(const struct fuser *f, const struct ax_node *a,
                        const struct ax_node *b)
{
    float sa = scale_of(f, input(a, 1)), sb = scale_of(f, input(b, 1));
    ax_dtype ta, tb;
    int za, zb;

    return sa > 0 && sa >= sb && sa <= sb &&
           zero_of(f, input(a, 2), &za, &ta) &&
           zero_of(f, input(b, 2), &zb, &tb) && za == zb && ta == tb;
}

/* How many inputs are activations that it hands on; 0: it is no such. */
static uint32_t moved(const struct ax_node *n)
{
    switch (n->op) {
    case AX_OP_Concat:
        return n->n_in;
    case AX_OP_Flatten:
    case AX_OP_MaxPool:
    case AX_OP_Reshape:
    case AX_OP_Squeeze:
    case AX_OP_Transpose:
    case AX_OP_Unsqueeze:
        return 1;
    default:
        return 0;
    }
}

static ax_status fuse_move(struct fuser *f, uint32_t k, uint32_t at,
                           const struct ax_node *q, struct ax_err *err)
{
    const struct ax_node *n = &f->s->g->nodes[k];
    uint32_t all = moved(n), *in;
    ax_status st;

    for (uint32_t i = 0; i < all; i++) {
        const struct ax_node *x = activation(f, n->in[i]);

        if (!x || !same_scales(f, x, q))
            return AX_OK;
    }
    if (all == 0)
        return AX_OK;
    in = malloc((n->n_in + 1u) * sizeof *in);
    if (!in)
        return ax_fail(err, AX_ENOMEM, "no memory for a plan");
    for (uint32_t i = 0; i < n->n_in; i++)
        in[i] = i < all ? activation(f, n->in[i])->in[0] : n->in[i];
    st = fuse(f, at, k, NULL, in, n->n_in, STEP_NONE, err);
    free(in);
    return st;
}

/* -- all of it ------------------------------------------------------------
 */

static ax_status fuse_before(struct fuser *f, uint32_t at, struct ax_err *err)
{
    const struct ax_node *q = &f->s->g->nodes[at];
    uint32_t over, k = rounded(f, q, &over);

    if (k == STEP_NONE)
        return AX_OK;
    if (f->s->g->nodes[k].op == AX_OP_Add)
        return fuse_sum(f, k, at, q, over, err);
    if (over == STEP_NONE && moved(&f->s->g->nodes[k]) > 0)
        return fuse_move(f, k, at, q, err);
    return fuse_product(f, k, at, q, over, err);
}

static bool count(struct fuser *f)
{
    const struct ax_graph *g = f->s->g;
    bool any = false;

    for (uint32_t v = 0; v < g->n_values; v++)
        f->maker[v] = STEP_NONE;
    for (uint32_t o = 0; o < g->n_outputs; o++)
        f->uses[g->outputs[o]]++;
    for (uint32_t k = 0; k < g->n_nodes; k++) {
        const struct ax_node *n = &g->nodes[k];

        any |= n->op == AX_OP_DequantizeLinear;
        for (uint32_t i = 0; i < n->n_in; i++)
            if (n->in[i] != AX_NONE)
                f->uses[n->in[i]]++;
        for (uint32_t o = 0; o < n->n_out; o++)
            if (n->out[o] != AX_NONE)
                f->maker[n->out[o]] = k;
        for (uint32_t a = 0; a < n->n_attrs; a++)
            if (n->attrs[a].kind == AX_ATTR_GRAPH)
                return false; /* which may read any value by its name */
    }
    return any;
}

ax_status plan_quantised(struct scope *s, struct ax_err *err)
{
    struct fuser f = {.s = s};
    ax_status st = AX_OK;

    f.uses = calloc(s->g->n_values + 1u, sizeof *f.uses);
    f.maker = calloc(s->g->n_values + 1u, sizeof *f.maker);
    if (!f.uses || !f.maker)
        st = ax_fail(err, AX_ENOMEM, "no memory for a plan");
    else if (count(&f)) {
        for (uint32_t k = 0; k < s->g->n_nodes && st == AX_OK; k++)
            if (s->g->nodes[k].op == AX_OP_QuantizeLinear)
                st = fuse_before(&f, k, err);
        for (uint32_t k = 0; k < s->g->n_nodes && st == AX_OK; k++)
            if (!s->steps[k].absent && !s->steps[k].fused)
                st = fuse_product(&f, k, k, NULL, STEP_NONE, err);
    }
    free(f.uses);
    free(f.maker);
    return st;
}
