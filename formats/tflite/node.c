/* What operators have in common: nodes that several of them make, axes, and
 * the refusal. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "formats/tflite/tflite.h"

ax_status tflite_refuse(const struct tflite *t, struct ax_err *err,
                        const char *fmt, ...)
{
    char what[160];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return ax_fail(err, AX_EUNSUPPORTED, "%s with %s is not supported",
                   t->op_name, what);
}

/* ---- nodes ---- */

ax_status tflite_number(struct tflite *t, uint32_t *out, ax_op op,
                        const char *what, uint32_t x, double y,
                        struct ax_err *err)
{
    char name[64];
    uint32_t v;

    snprintf(name, sizeof name, "%s%snumber", what, *what ? "." : "");
    AX_TRY(arch_number(&t->a, &v, name, 0, NULL, y, err));
    return arch_node2(&t->a, out, op, what, x, v, err);
}

/* A second input that is a list of integers. */
static ax_status with_ints(struct tflite *t, uint32_t *out, ax_op op,
                           const char *what, uint32_t x, const char *called,
                           const int64_t *ints, size_t n, struct ax_err *err)
{
    char name[64];
    uint32_t v;

    snprintf(name, sizeof name, "%s%s%s", what, *what ? "." : "", called);
    AX_TRY(arch_ints(&t->a, &v, name, ints, n, err));
    return arch_node2(&t->a, out, op, what, x, v, err);
}

ax_status tflite_reshape(struct tflite *t, uint32_t *out, const char *what,
                         uint32_t x, const int64_t *dims, size_t n,
                         struct ax_err *err)
{
    return with_ints(t, out, AX_OP_Reshape, what, x, "shape", dims, n, err);
}

ax_status tflite_with_axes(struct tflite *t, uint32_t *out, ax_op op,
                           const char *what, uint32_t x, const int64_t *axes,
                           size_t n, struct ax_err *err)
{
    return with_ints(t, out, op, what, x, "axes", axes, n, err);
}

ax_status tflite_cut(struct tflite *t, uint32_t *out, const char *what,
                     uint32_t x, const int64_t *from, const int64_t *to,
                     const int64_t *axes, const int64_t *steps, size_t n,
                     struct ax_err *err)
{
    const int64_t *const all[] = {from, to, axes, steps};
    static const char *const names[] = {"from", "to", "axes", "steps"};
    uint32_t in[5] = {x, AX_NONE, AX_NONE, AX_NONE, AX_NONE};
    char name[64];

    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s%s%s", what, *what ? "." : "",
                 names[i]);
        if (all[i])
            AX_TRY(arch_ints(&t->a, &in[1 + i], name, all[i], n, err));
    }
    return arch_node(&t->a, out, AX_OP_Slice, what, in, 5, err);
}

/* ---- axes ---- */

ax_status tflite_axis(struct tflite *t, int64_t *axis, int rank,
                      struct ax_err *err)
{
    if (*axis < 0)
        *axis += rank;
    if (*axis < 0 || *axis >= rank)
        return ax_fail(err, AX_EFORMAT, "%s has no axis %" PRId64, t->op_name,
                       *axis);
    return AX_OK;
}

ax_status tflite_ranked(struct tflite *t, const struct tflite_tensor **x,
                        size_t i, struct ax_err *err)
{
    *x = tflite_in(t, i);
    if (!*x || (*x)->rank < 0)
        return tflite_refuse(t, err, "an input of unknown rank");
    return AX_OK;
}

int64_t tflite_turned_axis(int64_t axis)
{
    static const int64_t to[] = {0, 2, 3, 1};

    return to[axis];
}
