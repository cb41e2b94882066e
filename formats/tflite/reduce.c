/* What goes over whole dimensions: sums and the like, and the place of the
 * largest. */
#include <inttypes.h>
#include <stdlib.h>

#include "formats/tflite/tflite.h"

ax_status tflite_reduce(struct tflite *t, int64_t op, struct ax_err *err)
{
    bool keep = flat_int(&t->f, t->options, 0, 1, 0);
    const struct tflite_tensor *x;
    enum tflite_layout layout = PLAIN;
    uint32_t v, y;
    int64_t *axes;
    size_t n;
    ax_status st = AX_OK;

    AX_TRY(tflite_ranked(t, &x, 0, err));
    AX_TRY(tflite_ints(t, &axes, &n, 1, err));
    for (size_t i = 0; i < n && st == AX_OK; i++)
        st = tflite_axis(t, &axes[i], x->rank, err);
    /* With the channels first, if all that is left is [batch, channels], or
     * nothing goes. */
    if (st == AX_OK && tflite_turned(x) &&
        (keep ||
         (n == 2 && axes[0] + axes[1] == 3 && axes[0] * axes[1] == 2)))
        layout = CHANNELS_FIRST;
    for (size_t i = 0; i < n && st == AX_OK && layout != PLAIN; i++)
        axes[i] = tflite_turned_axis(axes[i]);
    if (st == AX_OK)
        st = tflite_value(t, &v, 0, layout, err);
    if (st == AX_OK)
        st = arch_ints(&t->a, &y, "axes", axes, n, err);
    free(axes);
    AX_TRY(st);
    AX_TRY(arch_node2(&t->a, &v, (ax_op)op, "", v, y, err));
    AX_TRY(arch_attr_int(&t->a, "keepdims", keep, err));
    return tflite_result(t, 0, v, keep ? layout : PLAIN,
                         op == AX_OP_ReduceMax || op == AX_OP_ReduceMin, err);
}

ax_status tflite_arg(struct tflite *t, int64_t op, struct ax_err *err)
{
    int64_t *axes, axis;
    uint32_t x;
    size_t n;

    AX_TRY(tflite_ints(t, &axes, &n, 1, err));
    axis = n ? axes[0] : 0;
    free(axes);
    if (n != 1 || t->out.n != 1)
        return ax_fail(err, AX_EFORMAT, "%s of %zu axes", t->op_name, n);
    AX_TRY(tflite_value(t, &x, 0, PLAIN, err));
    AX_TRY(arch_node1(&t->a, &x, (ax_op)op, "index", x, err));
    AX_TRY(arch_attr_int(&t->a, "axis", axis, err));
    AX_TRY(arch_attr_int(&t->a, "keepdims", 0, err));
    AX_TRY(arch_node1(&t->a, &x, AX_OP_Cast, "", x, err));
    AX_TRY(arch_attr_int(&t->a, "to", tflite_out(t, 0)->type, err));
    return tflite_result(t, 0, x, PLAIN, false, err);
}
