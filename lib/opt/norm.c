/* What is added after a product, and batch normalisation: into the weights of
 * the operator before, or, where there is none, a product and a sum.
 *
 * A normalisation is folded only into the operator that makes its input with
 * nothing in between, and whose result nobody else sees: behind an activation
 * it is another function. */
#include <math.h>
#include <stdlib.h>

#include "ax/element.h"
#include "opt/opt.h"

static bool is_float(ax_dtype t)
{
    return t == AX_F32 || t == AX_F64;
}

/* -- an operator with weights, by the channels of its output --------------
 */

struct linear {
    struct ax_node *node;
    const struct ax_tensor *w;
    const struct ax_tensor *bias; /* or NULL */
    int rank;                     /* of what a bias is added to */
    int bias_rank;
    size_t channels;
    /* Channel of element I of w:
     * (i / outer) % groups * per + (i / inner) % per. */
    size_t outer, groups, inner, per;
    double beta;
};

static size_t product(const int64_t *dims, int from, int to)
{
    size_t n = 1;

    for (int d = from; d < to; d++)
        n *= (size_t)dims[d];
    return n;
}

static bool conv(struct linear *l)
{
    if (l->w->rank < 3)
        return false;
    l->channels = l->per = (size_t)l->w->dims[0];
    l->inner = product(l->w->dims, 1, l->w->rank);
    l->rank = l->w->rank;
    l->bias_rank = 1;
    return true;
}

static bool conv_transpose(struct linear *l)
{
    int64_t groups = ax_node_int(l->node, "group", 1);

    if (l->w->rank < 3 || groups < 1 || l->w->dims[0] % groups ||
        l->w->dims[0] == 0)
        return false;
    l->per = (size_t)l->w->dims[1];
    l->groups = (size_t)groups;
    l->channels = l->per * l->groups;
    l->inner = product(l->w->dims, 2, l->w->rank);
    l->outer = (size_t)(l->w->dims[0] / groups) * l->per * l->inner;
    l->rank = l->w->rank;
    l->bias_rank = 1;
    return true;
}

static bool matrix(struct linear *l)
{
    bool rows = ax_node_int(l->node, "transB", 0) != 0;

    if (l->w->rank != 2)
        return false;
    l->channels = l->per = (size_t)l->w->dims[rows ? 0 : 1];
    l->inner = rows ? (size_t)l->w->dims[1] : 1;
    l->rank = l->bias_rank = 2;
    l->beta = (double)ax_node_float(l->node, "beta", 1);
    return true;
}

static bool matmul(const struct opt *o, struct linear *l)
{
    return opt_in(o, l->node, 0)->rank == 2 && matrix(l);
}

/* Weights and bias are constants of the type of the input, and the layout is
 * one that we know. */
static bool linear_of(struct linear *l, const struct opt *o,
                      struct ax_node *n)
{
    const struct opt_fact *x = opt_in(o, n, 0);
    bool known;

    *l = (struct linear){
        .node = n, .outer = 1, .groups = 1, .inner = 1, .beta = 1};
    l->w = opt_constant(o, n, 1);
    l->bias = opt_constant(o, n, 2);
    if (!x || !l->w || !is_float(l->w->dtype) || x->dtype != l->w->dtype ||
        ax_tensor_count(l->w) == 0 || (opt_in(o, n, 2) && !l->bias))
        return false;
    known = n->op == AX_OP_Conv            ? conv(l)
            : n->op == AX_OP_ConvTranspose ? conv_transpose(l)
            : n->op == AX_OP_Gemm          ? matrix(l)
            : n->op == AX_OP_MatMul        ? matmul(o, l)
                                           : false;
    return known && (!l->bias || l->bias->dtype == l->w->dtype);
}

static size_t channel_of(const struct linear *l, size_t i)
{
    return i / l->outer % l->groups * l->per + i / l->inner % l->per;
}

/* The maker of input K of n, if it is linear and makes it for n alone. */
static bool linear_before(struct linear *l, const struct opt *o,
                          const struct ax_node *n, uint32_t k)
{
    struct ax_node *before = opt_sole_maker(o, n, k, AX_OP_Conv,
                                            AX_OP_ConvTranspose);

    if (!before)
        before = opt_sole_maker(o, n, k, AX_OP_Gemm, AX_OP_MatMul);
    return before && linear_of(l, o, before);
}

/* N numbers as a tensor [n, 1, ...]; false if one is not finite. */
static ax_status vector(struct ax_tensor *out, bool *finite, ax_dtype dtype,
                        const double *v, size_t n, int rank,
                        struct ax_err *err)
{
    int64_t dims[AX_RANK_MAX] = {(int64_t)n, 1, 1, 1, 1, 1, 1, 1};
    double x;

    AX_TRY(ax_tensor_new(out, dtype, rank, dims, err));
    ax_put_f64(dtype, out->data, 0, v, n);
    for (size_t i = 0; i < n; i++) {
        ax_get_f64(&x, dtype, out->data, i, 1);
        *finite = *finite && isfinite(x);
    }
    return AX_OK;
}

/* The bias of a linear operator is now value v. */
static ax_status set_bias(struct opt *o, struct ax_node *n, uint32_t v,
                          struct ax_err *err)
{
    AX_TRY(opt_set_in(o, n, 2, v, err));
    if (n->op == AX_OP_MatMul)
        n->op = AX_OP_Gemm;
    if (n->op == AX_OP_Gemm)
        opt_drop_attr(n, "beta");
    return AX_OK;
}

/* -- a sum becomes the bias -----------------------------------------------
 */

static ax_status absorb(struct opt *o, struct ax_node *add,
                        const struct linear *l, const double *numbers,
                        struct ax_err *err)
{
    bool finite = true;
    struct ax_tensor t;
    uint32_t v;

    AX_TRY(vector(&t, &finite, l->w->dtype, numbers, l->channels, 1, err));
    AX_TRY(opt_add_constant(&v, o, add->out[0], "bias", &t, err));
    AX_TRY(set_bias(o, l->node, v, err));
    opt_set_out(o, l->node, add->out[0]);
    opt_drop(o, add);
    o->changes++;
    return AX_OK;
}

static ax_status bias_of(struct opt *o, struct ax_node *add, uint32_t k,
                         bool *done, struct ax_err *err)
{
    const struct ax_tensor *t = opt_constant(o, add, 1 - k);
    struct linear l;
    double *numbers;
    ax_status st = AX_OK;

    if (!t || !linear_before(&l, o, add, k) || l.bias ||
        t->dtype != l.w->dtype)
        return AX_OK;
    numbers = calloc(l.channels + 1, sizeof *numbers);
    if (!numbers)
        return ax_fail(err, AX_ENOMEM, "no memory for %zu numbers",
                       l.channels);
    *done = opt_along(numbers, t, l.rank, 1, l.channels);
    if (*done)
        st = absorb(o, add, &l, numbers, err);
    free(numbers);
    return st;
}

ax_status opt_bias(struct opt *o, struct ax_err *err)
{
    for (uint32_t i = 0; i < o->g->n_nodes; i++) {
        bool done = false;

        if (o->g->nodes[i].op != AX_OP_Add)
            continue;
        AX_TRY(bias_of(o, &o->g->nodes[i], 0, &done, err));
        if (!done)
            AX_TRY(bias_of(o, &o->g->nodes[i], 1, &done, err));
    }
    return AX_OK;
}

/* -- normalisation --------------------------------------------------------
 */

/* y = scale x + shift, by channel. */
struct norm {
    size_t n;
    double *scale, *shift; /* one block */
};

/* The constants of a normalisation in inference; n stays 0 if they are not
 * what it takes. */
static ax_status norm_of(struct norm *out, const struct opt *o,
                         const struct ax_node *node, struct ax_err *err)
{
    double epsilon = (double)ax_node_float(node, "epsilon", 1e-5f);
    const struct ax_tensor *t[4];
    size_t n;

    *out = (struct norm){0};
    if (node->op != AX_OP_BatchNormalization || !opt_one_output(node) ||
        ax_node_int(node, "training_mode", 0) != 0 || !opt_in(o, node, 0))
        return AX_OK;
    for (uint32_t k = 0; k < 4; k++) {
        t[k] = opt_constant(o, node, k + 1);
        if (!t[k] || t[k]->rank != 1 || !is_float(t[k]->dtype) ||
            t[k]->dims[0] != t[0]->dims[0])
            return AX_OK;
    }
    n = ax_tensor_count(t[0]);
    out->scale = calloc(2 * n + 1, sizeof *out->scale);
    if (!out->scale)
        return ax_fail(err, AX_ENOMEM, "no memory for %zu numbers", n);
    out->shift = out->scale + n;
    for (size_t i = 0; i < n; i++) {
        double v[4];

        for (int k = 0; k < 4; k++)
            ax_get_f64(&v[k], t[k]->dtype, t[k]->data, i, 1);
        if (!(v[3] + epsilon > 0))
            return AX_OK;
        out->scale[i] = v[0] / sqrt(v[3] + epsilon);
        out->shift[i] = v[1] - v[2] * out->scale[i];
    }
    out->n = n;
    return AX_OK;
}

/* Weights times scale, by channel. */
static ax_status scaled(struct ax_tensor *out, bool *finite,
                        const struct linear *l, const double *scale,
                        struct ax_err *err)
{
    AX_TRY(ax_tensor_new(out, l->w->dtype, l->w->rank, l->w->dims, err));
    for (size_t i = 0; i < ax_tensor_count(out); i++) {
        double x;

        ax_get_f64(&x, l->w->dtype, l->w->data, i, 1);
        x *= scale[channel_of(l, i)];
        ax_put_f64(out->dtype, out->data, i, &x, 1);
        ax_get_f64(&x, out->dtype, out->data, i, 1);
        *finite = *finite && isfinite(x);
    }
    return AX_OK;
}

/* What the operator adds, normalised: over shift. */
static bool shifted(struct norm *b, const struct linear *l, double *room)
{
    if (!l->bias)
        return true;
    if (!opt_along(room, l->bias, l->bias_rank, l->bias_rank - 1,
                   l->channels))
        return false;
    for (size_t i = 0; i < b->n; i++)
        b->shift[i] += l->beta * room[i] * b->scale[i];
    return true;
}

static ax_status fold_into(struct opt *o, struct ax_node *node,
                           const struct linear *l, struct norm *b,
                           struct ax_err *err)
{
    struct ax_tensor w = {0}, bias = {0};
    double *room = calloc(b->n + 1, sizeof *room);
    bool finite = true;
    uint32_t v;
    ax_status st;

    if (!room)
        return ax_fail(err, AX_ENOMEM, "no memory for %zu numbers", b->n);
    finite = shifted(b, l, room);
    free(room);
    if (!finite)
        return AX_OK;
    st = scaled(&w, &finite, l, b->scale, err);
    if (st == AX_OK)
        st = vector(&bias, &finite, l->w->dtype, b->shift, b->n, 1, err);
    if (st != AX_OK || !finite) {
        ax_tensor_free(&w);
        ax_tensor_free(&bias);
        return st;
    }
    st = opt_add_constant(&v, o, node->out[0], "weight", &w, err);
    if (st == AX_OK)
        st = opt_set_in(o, l->node, 1, v, err);
    if (st == AX_OK)
        st = opt_add_constant(&v, o, node->out[0], "bias", &bias, err);
    ax_tensor_free(&bias);
    AX_TRY(st);
    AX_TRY(set_bias(o, l->node, v, err));
    opt_set_out(o, l->node, node->out[0]);
    opt_drop(o, node);
    o->changes++;
    return AX_OK;
}

ax_status opt_fold_norm(struct opt *o, struct ax_err *err)
{
    for (uint32_t i = 0; i < o->g->n_nodes; i++) {
        struct linear l;
        struct norm b;
        ax_status st;

        st = norm_of(&b, o, &o->g->nodes[i], err);
        if (st == AX_OK && b.n > 0 &&
            linear_before(&l, o, &o->g->nodes[i], 0) && l.channels == b.n)
            st = fold_into(o, &o->g->nodes[i], &l, &b, err);
        free(b.scale);
        AX_TRY(st);
    }
    return AX_OK;
}

/* Scale and shift as constants [n, 1, ...]; *finite says whether they are. */
static ax_status constants(uint32_t v[2], bool *finite, struct opt *o,
                           const struct norm *b, uint32_t y, ax_dtype dtype,
                           int rank, struct ax_err *err)
{
    struct ax_tensor scale = {0}, shift = {0};
    ax_status st;

    st = vector(&scale, finite, dtype, b->scale, b->n, rank, err);
    if (st == AX_OK)
        st = vector(&shift, finite, dtype, b->shift, b->n, rank, err);
    if (st == AX_OK && *finite)
        st = opt_add_constant(&v[0], o, y, "scale", &scale, err);
    if (st == AX_OK && *finite)
        st = opt_add_constant(&v[1], o, y, "shift", &shift, err);
    ax_tensor_free(&scale);
    ax_tensor_free(&shift);
    return st;
}

/* Node I becomes a product, and a sum behind it. */
static ax_status split(struct opt *o, uint32_t i, const struct norm *b,
                       struct ax_err *err)
{
    uint32_t x = o->g->nodes[i].in[0], y = o->g->nodes[i].out[0], v[2], mid;
    const struct opt_fact f = o->facts[x];
    struct ax_node *mul, *add;
    struct ax_value *between;
    bool finite = true;

    AX_TRY(constants(v, &finite, o, b, y, f.dtype, f.rank - 1, err));
    if (!finite)
        return AX_OK;
    AX_TRY(opt_value(&mid, o, y, "scaled", err));
    /* What is put there last comes first. */
    AX_TRY(opt_insert(&add, o, i, AX_OP_Add, o->g->values[y].name, 2, err));
    AX_TRY(opt_set_in(o, add, 0, mid, err));
    AX_TRY(opt_set_in(o, add, 1, v[1], err));
    opt_drop(o, &o->g->nodes[i]);
    add->out[0] = y;
    o->facts[y].maker = o->g->n_nodes - 1;
    AX_TRY(opt_insert(&mul, o, i, AX_OP_Mul, o->g->values[mid].name, 2, err));
    AX_TRY(opt_set_in(o, mul, 0, x, err));
    AX_TRY(opt_set_in(o, mul, 1, v[0], err));
    mul->out[0] = mid;
    o->facts[mid].maker = o->g->n_nodes - 1;
    between = &o->g->values[mid];
    between->dtype = o->facts[mid].dtype = f.dtype;
    between->rank = o->facts[mid].rank = f.rank;
    for (int d = 0; d < f.rank; d++)
        between->dims[d] = o->facts[mid].dims[d] = f.dims[d];
    o->changes++;
    return AX_OK;
}

ax_status opt_split_norm(struct opt *o, struct ax_err *err)
{
    for (uint32_t i = 0, n = o->g->n_nodes; i < n; i++) {
        const struct opt_fact *x;
        struct norm b;
        ax_status st = norm_of(&b, o, &o->g->nodes[i], err);

        x = st == AX_OK && b.n > 0 ? opt_in(o, &o->g->nodes[i], 0) : NULL;
        if (x && x->rank >= 2 && is_float(x->dtype) &&
            x->dims[1] == (int64_t)b.n)
            st = split(o, i, &b, err);
        free(b.scale);
        AX_TRY(st);
    }
    return AX_OK;
}
