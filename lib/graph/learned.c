/* Shape rules of ai.onnx.ml: classifiers, regressors, and what prepares
 * features. Source: Operators-ml.md of ONNX. */
#include "graph/infer.h"

/* Rows of input 0: one if it is a vector. */
static struct infer_dim rows(const struct infer *s)
{
    const struct infer_fact *x = infer_in(s, 0);

    return x->rank == 2   ? x->d[0]
           : x->rank == 1 ? infer_number(1)
                          : infer_unknown();
}

static void table(struct infer_fact *out, struct infer_dim n, int64_t columns)
{
    out->dtype = AX_F32;
    out->rank = 2;
    out->d[0] = n;
    out->d[1] = columns < 1 ? infer_unknown() : infer_number(columns);
}

ax_status infer_classifier(struct infer *s, struct ax_err *err)
{
    bool linear = s->node->op == AX_OP_MlLinearClassifier;
    const struct ax_attr *labels = ax_node_attr(
        s->node, linear ? "classlabels_ints" : "classlabels_int64s");
    struct infer_fact *label = infer_out(s, 0);

    if (!labels || labels->n == 0)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "has no integer labels; others are not supported");
    label->dtype = AX_I64;
    label->rank = 1;
    label->d[0] = rows(s);
    table(infer_out(s, 1), rows(s), (int64_t)labels->n);
    return AX_OK;
}

ax_status infer_linear_regressor(struct infer *s, struct ax_err *err)
{
    (void)err;
    table(infer_out(s, 0), rows(s), ax_node_int(s->node, "targets", 1));
    return AX_OK;
}

ax_status infer_tree_regressor(struct infer *s, struct ax_err *err)
{
    (void)err;
    table(infer_out(s, 0), rows(s), ax_node_int(s->node, "n_targets", 1));
    return AX_OK;
}

ax_status infer_real_like(struct infer *s, struct ax_err *err)
{
    AX_TRY(infer_like(s, err));
    infer_out(s, 0)->dtype = AX_F32;
    return AX_OK;
}

ax_status infer_features(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *at = infer_in(s, 1);
    struct infer_fact *out = infer_out(s, 0);

    AX_TRY(infer_like(s, err));
    if (out->rank > 0)
        out->d[out->rank - 1] = at->rank < 0
                                    ? infer_unknown()
                                    : infer_product(at->d, 0, at->rank);
    return AX_OK;
}
