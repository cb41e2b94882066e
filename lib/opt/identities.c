/* Nodes that hand their input on as it is. Adding zero is not among them: it
 * turns -0 into 0. */
#include <string.h>

#include "ax/element.h"
#include "opt/opt.h"

static bool same_shape(const struct opt_fact *a, const struct opt_fact *b)
{
    if (a->rank < 0 || a->rank != b->rank)
        return false;
    for (int d = 0; d < a->rank; d++)
        if (a->dims[d] < 0 || a->dims[d] != b->dims[d])
            return false;
    return true;
}

/* Both known, and equal. */
static bool keeps_shape(const struct opt *o, const struct ax_node *n)
{
    return same_shape(opt_in(o, n, 0), &o->facts[n->out[0]]);
}

static bool always(const struct opt *o, const struct ax_node *n)
{
    (void)o;
    (void)n;
    return true;
}

/* In inference, which a constant says, or nothing does. */
static bool dropout(const struct opt *o, const struct ax_node *n)
{
    const struct ax_tensor *t = opt_constant(o, n, 2);
    int64_t training = 0;

    if (!opt_in(o, n, 2))
        return true;
    if (!t || t->dtype != AX_BOOL || ax_tensor_count(t) != 1)
        return false;
    ax_get_i64(&training, t->dtype, t->data, 0, 1);
    return training == 0;
}

static bool cast(const struct opt *o, const struct ax_node *n)
{
    ax_dtype from = opt_in(o, n, 0)->dtype;

    return from != AX_DTYPE_NONE && from == (ax_dtype)ax_node_int(n, "to", 0);
}

static bool transpose(const struct opt *o, const struct ax_node *n)
{
    const struct ax_attr *perm = ax_node_attr(n, "perm");

    if (!perm || perm->kind != AX_ATTR_INTS)
        return opt_in(o, n, 0)->rank == 0 || opt_in(o, n, 0)->rank == 1;
    for (size_t d = 0; d < perm->n; d++)
        if (perm->ints[d] != (int64_t)d)
            return false;
    return true;
}

static bool one_input(const struct opt *o, const struct ax_node *n)
{
    (void)o;
    return n->n_in == 1;
}

/* Concat of one needs an axis that fits; then it is the identity. */
static bool concat(const struct opt *o, const struct ax_node *n)
{
    return n->n_in == 1 && keeps_shape(o, n);
}

/* Is input 1 a constant of WANT that leaves shape and type alone? */
static bool neutral(const struct opt *o, const struct ax_node *n, double want)
{
    const struct ax_tensor *t = opt_constant(o, n, 1);
    const struct opt_fact *x = opt_in(o, n, 0);

    if (!t || x->rank < t->rank || x->dtype != t->dtype ||
        ax_dtype_class(t->dtype) != AX_CLASS_REAL)
        return false;
    for (int d = 0; d < t->rank; d++) {
        int64_t have = x->dims[x->rank - t->rank + d];

        if (t->dims[d] != 1 && t->dims[d] != have)
            return false;
    }
    for (size_t i = 0; i < ax_tensor_count(t); i++) {
        double v;

        ax_get_f64(&v, t->dtype, t->data, i, 1);
        if (v != want || (want == 0 && 1 / v < 0))
            return false;
    }
    return ax_tensor_count(t) > 0;
}

static bool by_one(const struct opt *o, const struct ax_node *n)
{
    return neutral(o, n, 1);
}

static bool less_zero(const struct opt *o, const struct ax_node *n)
{
    return neutral(o, n, 0);
}

static bool no_pads(const struct opt *o, const struct ax_node *n)
{
    const struct ax_tensor *t = opt_constant(o, n, 1);

    if (!t || t->dtype != AX_I64)
        return false;
    for (size_t i = 0; i < ax_tensor_count(t); i++)
        if (((const int64_t *)t->data)[i] != 0)
            return false;
    return keeps_shape(o, n);
}

/* The row applies if it says so of a node with one output. */
static const struct row {
    ax_op op;
    bool (*applies)(const struct opt *o, const struct ax_node *n);
} rows[] = {
    {AX_OP_Identity, always},     {AX_OP_Dropout, dropout},
    {AX_OP_Cast, cast},           {AX_OP_Transpose, transpose},
    {AX_OP_Reshape, keeps_shape}, {AX_OP_Flatten, keeps_shape},
    {AX_OP_Squeeze, keeps_shape}, {AX_OP_Unsqueeze, keeps_shape},
    {AX_OP_Expand, keeps_shape},  {AX_OP_Concat, concat},
    {AX_OP_Sum, one_input},       {AX_OP_Max, one_input},
    {AX_OP_Min, one_input},       {AX_OP_Mul, by_one},
    {AX_OP_Div, by_one},          {AX_OP_Sub, less_zero},
    {AX_OP_Pad, no_pads},
};

static bool is_identity(const struct opt *o, const struct ax_node *n)
{
    if (!opt_one_output(n) || !opt_in(o, n, 0))
        return false;
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
        if (rows[k].op == n->op)
            return rows[k].applies(o, n);
    return false;
}

/* Nodes between two read TO where they read FROM. */
static ax_status redirect(struct opt *o, uint32_t from, uint32_t to,
                          uint32_t first, uint32_t end, struct ax_err *err)
{
    for (uint32_t i = first; o->facts[from].uses && i < end; i++) {
        struct ax_node *n = &o->g->nodes[i];

        for (uint32_t k = 0; k < n->n_in; k++)
            if (n->in[k] == from)
                AX_TRY(opt_set_in(o, n, k, to, err));
    }
    return AX_OK;
}

/* Those that come later follow when their turn comes. */
static ax_status follow(struct opt *o, struct ax_node *n, struct ax_err *err)
{
    for (uint32_t k = 0; k < n->n_in; k++)
        if (n->in[k] != AX_NONE && o->facts[n->in[k]].alias != AX_NONE)
            AX_TRY(opt_set_in(o, n, k, o->facts[n->in[k]].alias, err));
    return AX_OK;
}

/* The output of the identity is pinned: let what makes its input make it, if
 * nobody else wants that under its own name. */
static ax_status take_over(struct opt *o, uint32_t here, struct ax_err *err)
{
    struct ax_node *n = &o->g->nodes[here];
    uint32_t in = n->in[0], out = n->out[0], at, name = 0;
    struct ax_node *maker;

    if (o->facts[in].pinned || o->facts[in].maker == AX_NONE)
        return AX_OK;
    at = o->facts[in].maker;
    maker = &o->g->nodes[at];
    while (name < maker->n_out && maker->out[name] != in)
        name++;
    opt_drop(o, n);
    AX_TRY(redirect(o, in, out, at + 1, here, err));
    o->facts[in].alias = out;
    maker->out[name] = out;
    o->facts[out].maker = at;
    o->facts[in].maker = AX_NONE;
    o->changes++;
    return AX_OK;
}

ax_status opt_identities(struct opt *o, struct ax_err *err)
{
    for (uint32_t i = 0; i < o->g->n_nodes; i++) {
        struct ax_node *n = &o->g->nodes[i];
        uint32_t in, out;

        AX_TRY(follow(o, n, err));
        if (!is_identity(o, n))
            continue;
        in = n->in[0];
        out = n->out[0];
        if (o->facts[out].pinned) {
            AX_TRY(take_over(o, i, err));
            continue;
        }
        opt_drop(o, n);
        o->facts[out].alias = in;
        o->changes++;
    }
    return AX_OK;
}
