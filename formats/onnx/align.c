/* Before opset 7 the second operand of Add, Mul and the like lies at a
 * dimension of the first that an attribute names, and the slopes of PRelu lie
 * at its channels. An Unsqueeze brings it there, for operands lie at the last
 * dimensions now. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/onnx/onnx.h"

static bool is_binary(ax_op op)
{
    switch (op) {
    case AX_OP_Add:
    case AX_OP_And:
    case AX_OP_Div:
    case AX_OP_Equal:
    case AX_OP_Greater:
    case AX_OP_Less:
    case AX_OP_Mul:
    case AX_OP_Or:
    case AX_OP_Pow:
    case AX_OP_Sub:
    case AX_OP_Xor:
        return true;
    default:
        return false;
    }
}

/* Does the second operand lie at *axis of the first? */
static bool has_axis(int64_t *axis, const struct onnx_reader *r,
                     const struct ax_node *n, const Onnx__NodeProto *p)
{
    bool given = n->op == AX_OP_PRelu;

    *axis = 1;
    if (n->n_in != 2 || n->in[0] == AX_NONE || n->in[1] == AX_NONE)
        return false;
    if (given) { /* one slope for all needs no place */
        const struct ax_value *slopes = &r->g->values[n->in[1]];

        return slopes->rank != 1 || slopes->dims[0] != 1;
    }
    for (size_t i = 0; is_binary(n->op) && i < p->n_attribute; i++)
        if (onnx_is(&p->attribute[i]->name, "axis")) {
            *axis = p->attribute[i]->i;
            given = true;
        }
    return given;
}

/* Put an Unsqueeze before the last node, which reads its output. */
static ax_status insert(struct onnx_reader *r, int rank, int missing,
                        struct ax_err *err)
{
    struct ax_node *n = &r->g->nodes[r->g->n_nodes - 1], *made = n + 1;
    const int64_t dims[] = {missing};
    struct ax_tensor t;
    uint32_t axes, v;

    AX_TRY(ax_tensor_new(&t, AX_I64, 1, dims, err));
    for (int i = 0; i < missing; i++)
        ((int64_t *)t.data)[i] = rank + i;
    AX_TRY(onnx_new_constant(r, &axes, n->out[0], "axes", &t, err));
    AX_TRY(onnx_new_value(r, &v, n->out[0], "aligned", err));
    made->op = AX_OP_Unsqueeze;
    made->name = calloc(1, 1);
    made->in = malloc(2 * sizeof *made->in);
    made->out = malloc(sizeof *made->out);
    r->g->n_nodes++;
    if (!made->name || !made->in || !made->out)
        return ax_fail(err, AX_ENOMEM, "no memory for a node");
    made->in[made->n_in++] = n->in[1];
    made->in[made->n_in++] = axes;
    made->out[made->n_out++] = v;
    n->in[1] = v;
    {
        const struct ax_node later = *n;

        *n = *made;
        *made = later;
    }
    return AX_OK;
}

ax_status onnx_align(struct onnx_reader *r, const Onnx__NodeProto *p,
                     struct ax_err *err)
{
    const struct ax_node *n = &r->g->nodes[r->g->n_nodes - 1];
    const struct ax_value *v = r->g->values;
    int64_t axis;
    int a, b;

    if (!has_axis(&axis, r, n, p))
        return AX_OK;
    a = v[n->in[0]].rank;
    b = v[n->in[1]].rank;
    if (a < 0 || b < 0)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "attribute 'axis': where input 1 lies before operator "
                       "set 7 depends on the ranks of the inputs, which the "
                       "file does not tell");
    axis += axis < 0 ? a : 0;
    if (axis < 0 || axis + b > a)
        return ax_fail(err, AX_ESHAPE,
                       "%d dimensions do not lie at axis %" PRId64 " of %d",
                       b, axis, a);
    if (axis + b == a || n->n_out == 0 || n->out[0] == AX_NONE)
        return AX_OK;
    return insert(r, b, (int)(a - axis - b), err);
}
