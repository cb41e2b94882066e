/* Shape rules, one per operator: the table is at the end. Source:
 * Operators.md of ONNX at opset 17. Arities were checked before. */
#include <inttypes.h>
#include <string.h>

#include "graph/infer.h"

static ax_status too_many(int64_t rank, struct ax_err *err)
{
    return ax_fail(err, AX_EUNSUPPORTED,
                   "its output has %" PRId64
                   " dimensions, at most %d are supported",
                   rank, AX_RANK_MAX);
}

static struct infer_dim product(const struct infer_dim *d, int from, int to)
{
    struct infer_dim n = infer_number(1);

    for (int i = from; i < to; i++)
        n = infer_mul(n, d[i]);
    return n;
}

/* The length of a vector input: -1 if it is not known. */
static int64_t length(const struct infer_fact *x)
{
    return x->rank == 1 && x->d[0].p == 0 ? x->d[0].k : -1;
}

/* ---- the same shape ---- */

static ax_status same(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);
    struct infer_fact *out = infer_out(s, 0);

    (void)err;
    out->dtype = x->dtype;
    out->rank = x->rank;
    memcpy(out->d, x->d, sizeof out->d);
    return AX_OK;
}

static ax_status cast(struct infer *s, struct ax_err *err)
{
    int64_t to = ax_node_int(s->node, "to", 0);

    if (to < 1 || to > INT32_MAX || !ax_dtype_size((ax_dtype)to))
        return ax_fail(err, AX_EUNSUPPORTED,
                       "element type %" PRId64 " is not supported", to);
    AX_TRY(same(s, err));
    infer_out(s, 0)->dtype = (ax_dtype)to;
    return AX_OK;
}

static ax_status clip(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);

    for (uint32_t k = 1; k < 3; k++) {
        const struct infer_fact *limit = infer_in(s, k);

        if (limit && limit->dtype && x->dtype && limit->dtype != x->dtype)
            return ax_fail(err, AX_ESHAPE, "limits are %s, the input is %s",
                           ax_dtype_name(limit->dtype),
                           ax_dtype_name(x->dtype));
    }
    return same(s, err);
}

static ax_status dropout(struct infer *s, struct ax_err *err)
{
    struct infer_fact *mask;

    AX_TRY(same(s, err));
    if (s->node->n_out > 1) {
        mask = infer_out(s, 1);
        *mask = *infer_in(s, 0);
        mask->v = NULL;
        mask->dtype = AX_BOOL;
    }
    return AX_OK;
}

static ax_status softmax(struct infer *s, struct ax_err *err)
{
    int64_t axis = ax_node_int(s->node, "axis", -1);

    if (infer_in(s, 0)->rank >= 0)
        AX_TRY(infer_axis(&axis, axis, infer_in(s, 0)->rank, err));
    return same(s, err);
}

static ax_status batch_norm(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);

    for (uint32_t k = 1; k < 5 && x->rank >= 2; k++) {
        const struct infer_fact *p = infer_in(s, k);

        if (p->rank >= 0 &&
            (p->rank != 1 ||
             (p->d[0].p == 0 && x->d[1].p == 0 && p->d[0].k != x->d[1].k)))
            return ax_fail(err, AX_ESHAPE,
                           "input %" PRIu32 " wants one number a channel", k);
    }
    return same(s, err);
}

/* ---- broadcasting ---- */

static ax_status broadcast(struct infer *s, struct ax_err *err)
{
    struct infer_fact all = *infer_in(s, 0), *out = infer_out(s, 0);

    for (uint32_t k = 1; k < s->node->n_in; k++) {
        const struct infer_fact *x = infer_in(s, k);

        if (!x)
            return ax_fail(err, AX_ESHAPE, "input %" PRIu32 " is absent", k);
        AX_TRY(infer_broadcast(&all, &all, x, err));
    }
    all.n_v = 0;
    all.v = NULL;
    *out = all;
    return AX_OK;
}

/* The exponent may have another type. */
static ax_status power(struct infer *s, struct ax_err *err)
{
    struct infer_fact y = *infer_in(s, 1), *out = infer_out(s, 0);

    y.dtype = infer_in(s, 0)->dtype;
    return infer_broadcast(out, infer_in(s, 0), &y, err);
}

static ax_status compare(struct infer *s, struct ax_err *err)
{
    AX_TRY(broadcast(s, err));
    infer_out(s, 0)->dtype = AX_BOOL;
    return AX_OK;
}

/* The slopes are stretched to the input, not the other way round. */
static ax_status prelu(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);
    struct infer_fact all = {.rank = -1};

    AX_TRY(infer_broadcast(&all, x, infer_in(s, 1), err));
    if (x->rank >= 0 && all.rank > x->rank)
        return ax_fail(err, AX_ESHAPE,
                       "the slopes have %d dimensions, the input %d",
                       all.rank, x->rank);
    return same(s, err);
}

static ax_status where(struct infer *s, struct ax_err *err)
{
    struct infer_fact condition = *infer_in(s, 0), all = {.rank = -1};

    AX_TRY(infer_broadcast(&all, infer_in(s, 1), infer_in(s, 2), err));
    condition.dtype = all.dtype;
    return infer_broadcast(infer_out(s, 0), &all, &condition, err);
}

/* The shape that input k spells out; rank -1 if it is not known. */
static ax_status spelled(struct infer *s, uint32_t k, struct infer_fact *out,
                         struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, k);
    int64_t n = length(x);

    out->rank = -1;
    if (x->rank >= 0 && x->rank != 1)
        return ax_fail(err, AX_ESHAPE, "a shape has %d dimensions, wants 1",
                       x->rank);
    if (n < 0)
        return AX_OK;
    if (n > AX_RANK_MAX)
        return too_many(n, err);
    out->rank = (int)n;
    for (int i = 0; i < out->rank; i++) {
        out->d[i] = x->v ? x->v[i] : infer_unknown();
        if (out->d[i].p == 0 && out->d[i].k < 0)
            return ax_fail(err, AX_ESHAPE, "dimension %d is %" PRId64, i,
                           out->d[i].k);
    }
    return AX_OK;
}

static ax_status expand(struct infer *s, struct ax_err *err)
{
    struct infer_fact shape = {.dtype = infer_in(s, 0)->dtype};

    AX_TRY(spelled(s, 1, &shape, err));
    return infer_broadcast(infer_out(s, 0), infer_in(s, 0), &shape, err);
}

static ax_status constant_of_shape(struct infer *s, struct ax_err *err)
{
    struct infer_fact *out = infer_out(s, 0);

    out->dtype = AX_F32;
    return spelled(s, 0, out, err);
}

static ax_status shape(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);
    struct infer_fact *out = infer_out(s, 0);
    int64_t from, to, r = x->rank;

    (void)err;
    out->dtype = AX_I64;
    out->rank = 1;
    out->d[0] = infer_unknown();
    if (r < 0)
        return AX_OK;
    from = ax_node_int(s->node, "start", 0);
    to = ax_node_int(s->node, "end", r);
    from = from < -r ? 0 : from < 0 ? from + r : from > r ? r : from;
    to = to < -r ? 0 : to < 0 ? to + r : to > r ? r : to;
    out->d[0] = infer_number(to > from ? to - from : 0);
    return AX_OK;
}

/* ---- products ---- */

static ax_status inner(struct infer_dim a, struct infer_dim b,
                       struct ax_err *err)
{
    if (a.p == 0 && b.p == 0 && a.k != b.k)
        return ax_fail(err, AX_ESHAPE,
                       "inner dimensions are %" PRId64 " and %" PRId64, a.k,
                       b.k);
    return AX_OK;
}

static ax_status gemm(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *a = infer_in(s, 0), *b = infer_in(s, 1);
    const struct infer_fact *c = infer_in(s, 2);
    struct infer_fact *out = infer_out(s, 0), all = {.rank = -1};
    bool ta = ax_node_int(s->node, "transA", 0) != 0;
    bool tb = ax_node_int(s->node, "transB", 0) != 0;

    out->dtype = a->dtype ? a->dtype : b->dtype;
    if (a->rank < 0 || b->rank < 0)
        return AX_OK;
    if (a->rank != 2 || b->rank != 2)
        return ax_fail(err, AX_ESHAPE,
                       "wants matrices, has %d and %d dimensions", a->rank,
                       b->rank);
    AX_TRY(inner(a->d[!ta], b->d[tb], err));
    out->rank = 2;
    out->d[0] = a->d[ta];
    out->d[1] = b->d[!tb];
    if (!c || c->rank < 0)
        return AX_OK;
    AX_TRY(infer_broadcast(&all, out, c, err));
    if (all.rank != 2 ||
        (out->d[0].p == 0 && all.d[0].p == 0 && all.d[0].k != out->d[0].k) ||
        (out->d[1].p == 0 && all.d[1].p == 0 && all.d[1].k != out->d[1].k))
        return ax_fail(err, AX_ESHAPE, "input 2 does not fit the product");
    return AX_OK;
}

/* As numpy.matmul: a vector is a matrix of one row or column. */
static ax_status matmul(struct infer *s, struct ax_err *err)
{
    struct infer_fact a = *infer_in(s, 0), b = *infer_in(s, 1);
    struct infer_fact *out = infer_out(s, 0);
    struct infer_dim rows, columns;
    bool row, column;

    if (a.dtype && b.dtype && a.dtype != b.dtype)
        return ax_fail(err, AX_ESHAPE, "inputs are %s and %s",
                       ax_dtype_name(a.dtype), ax_dtype_name(b.dtype));
    out->dtype = a.dtype ? a.dtype : b.dtype;
    if (a.rank < 0 || b.rank < 0)
        return AX_OK;
    if (a.rank == 0 || b.rank == 0)
        return ax_fail(err, AX_ESHAPE, "a scalar is no matrix");
    row = a.rank == 1;
    column = b.rank == 1;
    AX_TRY(inner(a.d[a.rank - 1], b.d[column ? 0 : b.rank - 2], err));
    rows = row ? infer_number(1) : a.d[a.rank - 2];
    columns = column ? infer_number(1) : b.d[b.rank - 1];
    a.rank -= row ? 1 : 2;
    b.rank -= column ? 1 : 2;
    AX_TRY(infer_broadcast(out, &a, &b, err));
    if (!row)
        out->d[out->rank++] = rows;
    if (!column)
        out->d[out->rank++] = columns;
    return AX_OK;
}

/* ---- moving elements ---- */

static ax_status flatten(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);
    struct infer_fact *out = infer_out(s, 0);
    int64_t axis = ax_node_int(s->node, "axis", 1);

    out->dtype = x->dtype;
    if (x->rank < 0)
        return AX_OK;
    if (axis != x->rank)
        AX_TRY(infer_axis(&axis, axis, x->rank, err));
    out->rank = 2;
    out->d[0] = product(x->d, 0, (int)axis);
    out->d[1] = product(x->d, (int)axis, x->rank);
    return AX_OK;
}

static ax_status transpose(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);
    struct infer_fact *out = infer_out(s, 0);
    const struct ax_attr *perm = ax_node_attr(s->node, "perm");
    bool seen[AX_RANK_MAX] = {false};

    out->dtype = x->dtype;
    if (x->rank < 0)
        return AX_OK;
    out->rank = x->rank;
    if (perm && perm->n != (size_t)x->rank)
        return ax_fail(err, AX_ESHAPE, "perm has %zu axes, the input %d",
                       perm->n, x->rank);
    for (int i = 0; i < x->rank; i++) {
        int64_t from = perm ? perm->ints[i] : x->rank - 1 - i;

        if (from < 0 || from >= x->rank || seen[from])
            return ax_fail(err, AX_ESHAPE, "perm is no permutation");
        seen[from] = true;
        out->d[i] = x->d[from];
    }
    return AX_OK;
}

/* What -1 stands for, when everything else is there. */
static ax_status reshape_rest(struct infer_fact *out,
                              const struct infer_fact *x, int rest,
                              struct ax_err *err)
{
    struct infer_dim all = infer_unknown(), others;

    if (x->rank >= 0)
        all = product(x->d, 0, x->rank);
    if (rest >= 0)
        out->d[rest] = infer_number(1);
    others = product(out->d, 0, out->rank);
    if (rest >= 0)
        out->d[rest] = infer_div(all, others);
    if (all.p != 0 || others.p != 0)
        return AX_OK;
    if (rest >= 0 ? out->d[rest].p != 0 : all.k != others.k)
        return ax_fail(err, AX_ESHAPE,
                       "%" PRId64 " elements do not fit the new shape",
                       all.k);
    return AX_OK;
}

static ax_status reshape(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0), *to = infer_in(s, 1);
    struct infer_fact *out = infer_out(s, 0);
    bool keep_zero = ax_node_int(s->node, "allowzero", 0) != 0;
    int64_t n = length(to);
    int rest = -1;

    out->dtype = x->dtype;
    if (n < 0)
        return AX_OK;
    if (n > AX_RANK_MAX)
        return too_many(n, err);
    out->rank = (int)n;
    for (int i = 0; i < out->rank; i++) {
        out->d[i] = to->v ? to->v[i] : infer_unknown();
        if (infer_is(out->d[i], 0) && !keep_zero) {
            if (x->rank >= 0 && i >= x->rank)
                return ax_fail(err, AX_ESHAPE,
                               "dimension %d is to be kept, the input has %d",
                               i, x->rank);
            out->d[i] = x->rank >= 0 ? x->d[i] : infer_unknown();
        } else if (infer_is(out->d[i], -1)) {
            if (rest >= 0)
                return ax_fail(err, AX_ESHAPE,
                               "two dimensions are to be found");
            rest = i;
        } else if (out->d[i].p == 0 && out->d[i].k < 0) {
            return ax_fail(err, AX_ESHAPE, "dimension %d is %" PRId64, i,
                           out->d[i].k);
        }
    }
    return reshape_rest(out, x, rest, err);
}

static ax_status gather(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0), *at = infer_in(s, 1);
    struct infer_fact *out = infer_out(s, 0);
    int64_t axis;
    int n = 0;

    out->dtype = x->dtype;
    if (x->rank < 0 || at->rank < 0)
        return AX_OK;
    AX_TRY(infer_axis(&axis, ax_node_int(s->node, "axis", 0), x->rank, err));
    if (x->rank - 1 + at->rank > AX_RANK_MAX)
        return too_many(x->rank - 1 + at->rank, err);
    for (int i = 0; i < axis; i++)
        out->d[n++] = x->d[i];
    for (int i = 0; i < at->rank; i++)
        out->d[n++] = at->d[i];
    for (int i = (int)axis + 1; i < x->rank; i++)
        out->d[n++] = x->d[i];
    out->rank = n;
    return AX_OK;
}

static ax_status concat(struct infer *s, struct ax_err *err)
{
    struct infer_fact all = *infer_in(s, 0), *out = infer_out(s, 0);
    int64_t axis = ax_node_int(s->node, "axis", 0);

    out->dtype = all.dtype;
    for (uint32_t k = 0; k < s->node->n_in; k++) {
        const struct infer_fact *x = infer_in(s, k);

        if (!x)
            return ax_fail(err, AX_ESHAPE, "input %" PRIu32 " is absent", k);
        if (x->rank < 0 || all.rank < 0)
            return AX_OK;
        if (x->rank != all.rank)
            return ax_fail(err, AX_ESHAPE, "inputs have %d and %d dimensions",
                           all.rank, x->rank);
        if (k == 0)
            AX_TRY(infer_axis(&axis, axis, x->rank, err));
        for (int i = 0; k && i < x->rank; i++)
            if (i == axis)
                all.d[i] = infer_add(all.d[i], x->d[i]);
            else if (all.d[i].p == 0 && x->d[i].p == 0 &&
                     all.d[i].k != x->d[i].k)
                return ax_fail(err, AX_ESHAPE,
                               "dimension %d is %" PRId64 " and %" PRId64, i,
                               all.d[i].k, x->d[i].k);
            else if (all.d[i].p < 0 || x->d[i].p == 0)
                all.d[i] = x->d[i];
    }
    out->rank = all.rank;
    memcpy(out->d, all.d, sizeof out->d);
    return AX_OK;
}

static ax_status split(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);
    uint32_t n_out = s->node->n_out, n;
    int64_t axis, sum = 0;
    const int64_t *sizes;
    bool known;

    AX_TRY(infer_numbers(s, 1, &known, &sizes, &n, err));
    if (known && n != n_out)
        return ax_fail(err, AX_ESHAPE,
                       "has %" PRIu32 " sizes for %" PRIu32 " outputs", n,
                       n_out);
    if (x->rank < 0)
        return AX_OK;
    AX_TRY(infer_axis(&axis, ax_node_int(s->node, "axis", 0), x->rank, err));
    for (uint32_t k = 0; known && k < n; k++)
        if (sizes[k] < 0 || __builtin_add_overflow(sum, sizes[k], &sum))
            return ax_fail(err, AX_ESHAPE, "a size is %" PRId64, sizes[k]);
    if (x->d[axis].p == 0 &&
        (known ? sum != x->d[axis].k
               : !infer_in(s, 1) && x->d[axis].k % n_out != 0))
        return ax_fail(err, AX_ESHAPE,
                       "%" PRId64 " cannot be split in this way",
                       x->d[axis].k);
    for (uint32_t k = 0; k < n_out; k++) {
        struct infer_fact *out = infer_out(s, k);

        out->dtype = x->dtype;
        out->rank = x->rank;
        memcpy(out->d, x->d, sizeof out->d);
        out->d[axis] = known ? infer_number(sizes[k])
                       : infer_in(s, 1)
                           ? infer_unknown()
                           : infer_div(x->d[axis], infer_number(n_out));
    }
    return AX_OK;
}

/* How many elements of SIZE a slice takes; see "Slice" in Operators.md. */
static int64_t sliced(int64_t size, int64_t from, int64_t to, int64_t step)
{
    int64_t top = step > 0 ? size : size - 1, bottom = step > 0 ? 0 : -1;

    from = from < 0 ? from + size : from;
    to = to < 0 ? to + size : to;
    from = from < 0 ? 0 : from > top ? top : from;
    to = to < bottom ? bottom : to > top ? top : to;
    if (step > 0)
        return to > from ? (to - from - 1) / step + 1 : 0;
    step = step < -INT64_MAX ? INT64_MAX : -step;
    return from > to ? (from - to - 1) / step + 1 : 0;
}

static struct infer_dim slice_dim(struct infer_dim d, int64_t from,
                                  int64_t to, int64_t step)
{
    if (d.p == 0)
        return infer_number(sliced(d.k, from, to, step));
    /* The end stands for all there is: no tensor is that long. */
    return from == 0 && step == 1 && to >= INT32_MAX ? d : infer_unknown();
}

static ax_status slice(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);
    struct infer_fact *out = infer_out(s, 0);
    const int64_t *v[5] = {NULL};
    uint32_t n[5];
    bool known[5], seen[AX_RANK_MAX] = {false};

    out->dtype = x->dtype;
    if (x->rank < 0)
        return AX_OK;
    for (uint32_t k = 1; k < 5; k++)
        AX_TRY(infer_numbers(s, k, &known[k], &v[k], &n[k], err));
    out->rank = x->rank;
    for (int i = 0; i < x->rank; i++)
        out->d[i] = infer_unknown();
    if (!known[1] || !known[2] || (infer_in(s, 3) && !known[3]) ||
        (infer_in(s, 4) && !known[4]))
        return AX_OK;
    if (n[2] != n[1] || (known[3] && n[3] != n[1]) ||
        (known[4] && n[4] != n[1]) || n[1] > (uint32_t)x->rank)
        return ax_fail(err, AX_ESHAPE,
                       "starts, ends, axes and steps do not fit");
    memcpy(out->d, x->d, sizeof out->d);
    for (uint32_t i = 0; i < n[1]; i++) {
        int64_t axis = i, step = known[4] ? v[4][i] : 1;

        if (known[3])
            AX_TRY(infer_axis(&axis, v[3][i], x->rank, err));
        if (seen[axis] || step == 0)
            return ax_fail(err, AX_ESHAPE,
                           "axis %" PRId64 " is there twice, or has step 0",
                           axis);
        seen[axis] = true;
        out->d[axis] = slice_dim(x->d[axis], v[1][i], v[2][i], step);
    }
    return AX_OK;
}

static ax_status pad(struct infer *s, struct ax_err *err)
{
    static const char *const modes[] = {"constant", "reflect", "edge"};
    const char *mode = ax_node_string(s->node, "mode", "constant");
    const struct infer_fact *x = infer_in(s, 0), *value = infer_in(s, 2);
    struct infer_fact *out = infer_out(s, 0);
    const int64_t *v;
    uint32_t n;
    bool known;
    int k = 0;

    while (k < 3 && strcmp(mode, modes[k]) != 0)
        k++;
    if (k == 3)
        return ax_fail(err, AX_ESHAPE, "mode may not be '%.40s'", mode);
    if (value && value->dtype && x->dtype && value->dtype != x->dtype)
        return ax_fail(err, AX_ESHAPE, "the value is %s, the input is %s",
                       ax_dtype_name(value->dtype), ax_dtype_name(x->dtype));
    AX_TRY(same(s, err));
    if (x->rank < 0)
        return AX_OK;
    AX_TRY(infer_numbers(s, 1, &known, &v, &n, err));
    if (known && !infer_in(s, 3) && n != 2 * (uint32_t)x->rank)
        return ax_fail(err, AX_ESHAPE,
                       "has %" PRIu32 " pads for %d dimensions", n, x->rank);
    for (int i = 0; i < x->rank; i++) {
        out->d[i] = infer_unknown();
        if (!known || infer_in(s, 3))
            continue;
        out->d[i] = infer_add(
            x->d[i],
            infer_add(infer_number(v[i]), infer_number(v[i + x->rank])));
        if (out->d[i].p == 0 && out->d[i].k < 0)
            return ax_fail(err, AX_ESHAPE, "dimension %d becomes %" PRId64, i,
                           out->d[i].k);
    }
    return AX_OK;
}

/* ---- axes ---- */

/* The axes in an input or an attribute as a set. *known is false if they
 * are not known, *none true if there is no list, or an empty one. */
static ax_status axis_set(struct infer *s, int rank, bool set[AX_RANK_MAX],
                          bool *known, bool *none, struct ax_err *err)
{
    const struct ax_attr *a = ax_node_attr(s->node, "axes");
    const int64_t *v;
    uint32_t n;

    memset(set, 0, AX_RANK_MAX * sizeof *set);
    AX_TRY(infer_numbers(s, 1, known, &v, &n, err));
    if (a) {
        *known = true;
        v = a->ints;
        n = a->n > AX_RANK_MAX ? AX_RANK_MAX + 1 : (uint32_t)a->n;
    }
    *none = !a && !infer_in(s, 1);
    if (*none)
        *known = true;
    *none = *known && n == 0;
    for (uint32_t i = 0; i < n; i++) {
        int64_t axis;

        AX_TRY(infer_axis(&axis, v[i], rank, err));
        if (set[axis])
            return ax_fail(err, AX_ESHAPE, "axis %" PRId64 " is there twice",
                           axis);
        set[axis] = true;
    }
    return AX_OK;
}

static ax_status reduce(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);
    struct infer_fact *out = infer_out(s, 0);
    bool keep = ax_node_int(s->node, "keepdims", 1) != 0;
    bool noop = ax_node_int(s->node, "noop_with_empty_axes", 0) != 0;
    bool set[AX_RANK_MAX], known, none;

    out->dtype = x->dtype;
    if (x->rank < 0)
        return AX_OK;
    AX_TRY(axis_set(s, x->rank, set, &known, &none, err));
    if (!known && !keep)
        return AX_OK;
    out->rank = 0;
    for (int i = 0; i < x->rank; i++)
        if (!known)
            out->d[out->rank++] = infer_unknown();
        else if (!set[i] && !(none && !noop))
            out->d[out->rank++] = x->d[i];
        else if (keep)
            out->d[out->rank++] = infer_number(1);
    return AX_OK;
}

static ax_status squeeze(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);
    struct infer_fact *out = infer_out(s, 0);
    bool set[AX_RANK_MAX], known, none;
    int n = 0;

    out->dtype = x->dtype;
    if (x->rank < 0)
        return AX_OK;
    AX_TRY(axis_set(s, x->rank, set, &known, &none, err));
    if (!known)
        return AX_OK;
    for (int i = 0; i < x->rank; i++) {
        bool gone = set[i] || (!infer_in(s, 1) && infer_is(x->d[i], 1));

        if (!infer_in(s, 1) && x->d[i].p != 0)
            return AX_OK; /* gone or not, nobody knows */
        if (set[i] && x->d[i].p == 0 && x->d[i].k != 1)
            return ax_fail(err, AX_ESHAPE,
                           "dimension %d is %" PRId64 ", not 1", i,
                           x->d[i].k);
        if (!gone)
            out->d[n++] = x->d[i];
    }
    out->rank = n;
    return AX_OK;
}

static ax_status unsqueeze(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);
    struct infer_fact *out = infer_out(s, 0);
    int64_t n = length(infer_in(s, 1));
    bool set[AX_RANK_MAX], known, none;
    int from = 0;

    out->dtype = x->dtype;
    if (x->rank < 0 || n < 0)
        return AX_OK;
    if (n > AX_RANK_MAX - x->rank)
        return too_many(n, err);
    AX_TRY(axis_set(s, x->rank + (int)n, set, &known, &none, err));
    out->rank = x->rank + (int)n;
    for (int i = 0; i < out->rank; i++)
        out->d[i] = !known   ? infer_unknown()
                    : set[i] ? infer_number(1)
                             : x->d[from++];
    return AX_OK;
}

static ax_status global_pool(struct infer *s, struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, 0);
    struct infer_fact *out = infer_out(s, 0);

    AX_TRY(same(s, err));
    if (x->rank >= 0 && x->rank < 3)
        return ax_fail(err, AX_ESHAPE, "wants 3 or more dimensions, has %d",
                       x->rank);
    for (int i = 2; i < x->rank; i++)
        out->d[i] = infer_number(1);
    return AX_OK;
}

/* ---- the table ---- */

typedef ax_status rule(struct infer *s, struct ax_err *err);

/* clang-format off */
/* An operator without a rule has outputs of which nothing is known. */
static rule *const rules[AX_OP_COUNT] = {
    [AX_OP_Abs] = same,
    [AX_OP_Acos] = same,
    [AX_OP_Acosh] = same,
    [AX_OP_Add] = broadcast,
    [AX_OP_And] = broadcast,
    [AX_OP_Asin] = same,
    [AX_OP_Asinh] = same,
    [AX_OP_Atan] = same,
    [AX_OP_Atanh] = same,
    [AX_OP_AveragePool] = infer_pool,
    [AX_OP_BatchNormalization] = batch_norm,
    [AX_OP_Cast] = cast,
    [AX_OP_Ceil] = same,
    [AX_OP_Celu] = same,
    [AX_OP_Clip] = clip,
    [AX_OP_Concat] = concat,
    [AX_OP_ConstantOfShape] = constant_of_shape,
    [AX_OP_Conv] = infer_conv,
    [AX_OP_Cos] = same,
    [AX_OP_Cosh] = same,
    [AX_OP_Div] = broadcast,
    [AX_OP_Dropout] = dropout,
    [AX_OP_Elu] = same,
    [AX_OP_Equal] = compare,
    [AX_OP_Erf] = same,
    [AX_OP_Exp] = same,
    [AX_OP_Expand] = expand,
    [AX_OP_Flatten] = flatten,
    [AX_OP_Floor] = same,
    [AX_OP_Gather] = gather,
    [AX_OP_Gelu] = same,
    [AX_OP_Gemm] = gemm,
    [AX_OP_GlobalAveragePool] = global_pool,
    [AX_OP_GlobalMaxPool] = global_pool,
    [AX_OP_Greater] = compare,
    [AX_OP_GreaterOrEqual] = compare,
    [AX_OP_HardSigmoid] = same,
    [AX_OP_HardSwish] = same,
    [AX_OP_Identity] = same,
    [AX_OP_LeakyRelu] = same,
    [AX_OP_Less] = compare,
    [AX_OP_LessOrEqual] = compare,
    [AX_OP_Log] = same,
    [AX_OP_LogSoftmax] = softmax,
    [AX_OP_MatMul] = matmul,
    [AX_OP_Max] = broadcast,
    [AX_OP_MaxPool] = infer_pool,
    [AX_OP_Mean] = broadcast,
    [AX_OP_Min] = broadcast,
    [AX_OP_Mish] = same,
    [AX_OP_Mul] = broadcast,
    [AX_OP_Neg] = same,
    [AX_OP_Not] = same,
    [AX_OP_Or] = broadcast,
    [AX_OP_PRelu] = prelu,
    [AX_OP_Pad] = pad,
    [AX_OP_Pow] = power,
    [AX_OP_Reciprocal] = same,
    [AX_OP_ReduceL1] = reduce,
    [AX_OP_ReduceL2] = reduce,
    [AX_OP_ReduceLogSum] = reduce,
    [AX_OP_ReduceLogSumExp] = reduce,
    [AX_OP_ReduceMax] = reduce,
    [AX_OP_ReduceMean] = reduce,
    [AX_OP_ReduceMin] = reduce,
    [AX_OP_ReduceProd] = reduce,
    [AX_OP_ReduceSum] = reduce,
    [AX_OP_ReduceSumSquare] = reduce,
    [AX_OP_Relu] = same,
    [AX_OP_Reshape] = reshape,
    [AX_OP_Round] = same,
    [AX_OP_Selu] = same,
    [AX_OP_Shape] = shape,
    [AX_OP_Shrink] = same,
    [AX_OP_Sigmoid] = same,
    [AX_OP_Sign] = same,
    [AX_OP_Sin] = same,
    [AX_OP_Sinh] = same,
    [AX_OP_Slice] = slice,
    [AX_OP_Softmax] = softmax,
    [AX_OP_Softplus] = same,
    [AX_OP_Softsign] = same,
    [AX_OP_Split] = split,
    [AX_OP_Sqrt] = same,
    [AX_OP_Squeeze] = squeeze,
    [AX_OP_Sub] = broadcast,
    [AX_OP_Sum] = broadcast,
    [AX_OP_Tan] = same,
    [AX_OP_Tanh] = same,
    [AX_OP_ThresholdedRelu] = same,
    [AX_OP_Transpose] = transpose,
    [AX_OP_Unsqueeze] = unsqueeze,
    [AX_OP_Where] = where,
    [AX_OP_Xor] = broadcast,
};
/* clang-format on */

ax_status infer_shapes(struct infer *s, struct ax_err *err)
{
    return rules[s->node->op] ? rules[s->node->op](s, err) : AX_OK;
}
