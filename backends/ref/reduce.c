/* From many elements to one along axes: Reduce*, ArgMax, ArgMin; and along
 * one axis to as many: Softmax, LogSoftmax, Hardmax, CumSum. */
#include "ref.h"

#include <math.h>

static double number(const struct ax_tensor *t, size_t i)
{
    double x;

    ax_get_f64(&x, t->dtype, t->data, i, 1);
    return x;
}

/* -- Reduce* --------------------------------------------------------------
 */

/* Over reals: start, a step for each element, an end. Reals are summed in
 * double; integers in 64 bits, wrapping. */
struct reduction {
    double start;
    double (*step)(double acc, double x);
    double (*end)(double acc, double n);
    int64_t (*integer)(int64_t acc, int64_t x); /* NULL: reals only */
    int64_t istart;
    bool shifted; /* by the largest element: log of a sum of exp */
};

/* clang-format off */
#define STEP(name, expr) \
    static double name(double a, double x) { return expr; }
#define END(name, expr) \
    static double name(double a, double n) { (void)n; return expr; }
#define INT(name, expr) \
    static int64_t name(int64_t a, int64_t x) { return (int64_t)(expr); }

STEP(s_sum, a + x)
STEP(s_prod, a * x)
STEP(s_max, x > a || isnan(x) ? x : a)
STEP(s_min, x < a || isnan(x) ? x : a)
STEP(s_l1, a + fabs(x))
STEP(s_squares, a + x * x)
STEP(s_exp, a + exp(x))
END(e_same, a)
END(e_mean, a / n)
END(e_sqrt, sqrt(a))
END(e_log, log(a))
INT(i_sum, (uint64_t)a + (uint64_t)x)
INT(i_prod, (uint64_t)a * (uint64_t)x)
INT(i_max, x > a ? x : a)
INT(i_min, x < a ? x : a)
INT(i_l1, (uint64_t)a + (x < 0 ? -(uint64_t)x : (uint64_t)x))
INT(i_squares, (uint64_t)a + (uint64_t)x * (uint64_t)x)
/* clang-format on */

/* The input as the result's elements by the reduced ones. */
struct view {
    int n_kept, n_gone;
    int64_t kept[AX_RANK_MAX], kept_stride[AX_RANK_MAX];
    int64_t gone[AX_RANK_MAX], gone_stride[AX_RANK_MAX];
};

static void view_init(struct view *v, const struct ax_tensor *x,
                      uint32_t gone)
{
    int64_t strides[AX_RANK_MAX];

    v->n_kept = v->n_gone = 0;
    ref_strides(strides, x->rank, x->dims);
    for (int i = 0; i < x->rank; i++)
        if (gone >> i & 1) {
            v->gone[v->n_gone] = x->dims[i];
            v->gone_stride[v->n_gone++] = strides[i];
        } else {
            v->kept[v->n_kept] = x->dims[i];
            v->kept_stride[v->n_kept++] = strides[i];
        }
}

/* Offset of element I of a shape with strides. */
static size_t offset(int rank, const int64_t *dims, const int64_t *strides,
                     size_t i)
{
    size_t at = 0;

    for (int d = rank - 1; d >= 0; d--) {
        at += i % (size_t)dims[d] * (size_t)strides[d];
        i /= (size_t)dims[d];
    }
    return at;
}

static double reduce_reals(const struct reduction *r, const struct view *v,
                           const struct ax_tensor *x, size_t base)
{
    size_t n = (size_t)ref_product(v->gone, 0, v->n_gone);
    double acc = r->start, top = 0;

    if (r->shifted) {
        top = -INFINITY;
        for (size_t k = 0; k < n; k++)
            top = s_max(top, number(x, base + offset(v->n_gone, v->gone,
                                                     v->gone_stride, k)));
        if (isinf(top))
            return top;
    }
    for (size_t k = 0; k < n; k++)
        acc = r->step(acc, number(x, base + offset(v->n_gone, v->gone,
                                                   v->gone_stride, k)) -
                               top);
    return r->end(acc, (double)n) + top;
}

static int64_t reduce_integers(const struct reduction *r,
                               const struct view *v,
                               const struct ax_tensor *x, size_t base)
{
    size_t n = (size_t)ref_product(v->gone, 0, v->n_gone);
    int64_t acc = r->istart, e;

    for (size_t k = 0; k < n; k++) {
        ax_get_i64(&e, x->dtype, x->data,
                   base + offset(v->n_gone, v->gone, v->gone_stride, k), 1);
        acc = k == 0 && (r->integer == i_max || r->integer == i_min)
                  ? e
                  : r->integer(acc, e);
    }
    if (r->end == e_mean && n > 0)
        acc = acc / (int64_t)n;
    return acc;
}

static void reduce_all(const struct reduction *r, const struct view *v,
                       struct ax_tensor *y, const struct ax_tensor *x)
{
    size_t n = ax_tensor_count(y);
    bool real = ax_dtype_class(x->dtype) == AX_CLASS_REAL;

    for (size_t i = 0; i < n; i++) {
        size_t base = offset(v->n_kept, v->kept, v->kept_stride, i);

        if (real) {
            double a = reduce_reals(r, v, x, base);

            ax_put_f64(y->dtype, y->data, i, &a, 1);
        } else {
            int64_t a = reduce_integers(r, v, x, base);

            ax_put_i64(y->dtype, y->data, i, &a, 1);
        }
    }
}

/* The result's shape once the axes in GONE are 1 or dropped. */
static int reduced_dims(int64_t *dims, const struct ax_tensor *x,
                        uint32_t gone, bool keep)
{
    int rank = 0;

    for (int i = 0; i < x->rank; i++)
        if (!(gone >> i & 1))
            dims[rank++] = x->dims[i];
        else if (keep)
            dims[rank++] = 1;
    return rank;
}

static ax_status reduce(struct ax_call *c, struct ax_err *err)
{
    const struct reduction *r = c->kernel->arg;
    bool keep = ax_node_int(c->node, "keepdims", 1) != 0, given;
    uint32_t mask = REALS, gone;
    int64_t dims[AX_RANK_MAX];
    struct view v;
    int rank;

    if (r->integer)
        mask |= BIT(AX_I8) | BIT(AX_U8) | BIT(AX_I32) | BIT(AX_I64) |
                BIT(AX_U32) | BIT(AX_U64) | BIT(AX_BOOL);
    if (r->integer == i_max || r->integer == i_min)
        mask &= ~BIT(AX_U64); /* compared as signed */
    AX_TRY(ref_want(c, 0, mask, err));
    AX_TRY(ref_axes(&gone, &given, c, 1, c->in[0]->rank, err));
    if (!given && ax_node_int(c->node, "noop_with_empty_axes", 0)) {
        /* Still the function of each element, ONNX says. */
        gone = 0;
    } else if (!given) {
        gone = (1u << c->in[0]->rank) - 1;
    }
    rank = reduced_dims(dims, c->in[0], gone, keep);
    AX_TRY(ax_call_out(c, 0, c->in[0]->dtype, rank, dims, err));
    view_init(&v, c->in[0], gone);
    if ((r->integer == i_max || r->integer == i_min) &&
        ref_product(v.gone, 0, v.n_gone) == 0 &&
        ax_dtype_class(c->in[0]->dtype) != AX_CLASS_REAL &&
        ax_tensor_count(c->out[0]) > 0)
        return ax_fail(err, AX_ESHAPE, "nothing to reduce over");
    reduce_all(r, &v, c->out[0], c->in[0]);
    return AX_OK;
}

/* -- along one axis ------------------------------------------------------ */

/* A tensor as [outer, n, inner] around an axis. */
struct lane {
    size_t outer, n, inner;
};

static ax_status lane_init(struct lane *l, const struct ax_call *c,
                           int64_t dflt, struct ax_err *err)
{
    const struct ax_tensor *x = c->in[0];
    int axis;

    AX_TRY(ref_axis(&axis, ax_node_int(c->node, "axis", dflt), x->rank, err));
    l->outer = (size_t)ref_product(x->dims, 0, axis);
    l->n = (size_t)x->dims[axis];
    l->inner = (size_t)ref_product(x->dims, axis + 1, x->rank);
    return AX_OK;
}

static ax_status arg_extreme(struct ax_call *c, struct ax_err *err)
{
    bool largest = *(const char *)c->kernel->arg == 'x';
    bool last = ax_node_int(c->node, "select_last_index", 0) != 0;
    int64_t dims[AX_RANK_MAX], *y;
    struct lane l;
    int axis, rank;

    AX_TRY(ref_want(c, 0, ALL_DTYPES & ~BIT(AX_BOOL), err));
    AX_TRY(lane_init(&l, c, 0, err));
    AX_TRY(ref_axis(&axis, ax_node_int(c->node, "axis", 0), c->in[0]->rank,
                    err));
    rank = reduced_dims(dims, c->in[0], 1u << axis,
                        ax_node_int(c->node, "keepdims", 1) != 0);
    if (l.n == 0)
        return ax_fail(err, AX_ESHAPE, "nothing to choose from");
    AX_TRY(ax_call_out(c, 0, AX_I64, rank, dims, err));
    y = c->out[0]->data;
    for (size_t i = 0; i < l.outer * l.inner; i++) {
        size_t base = i / l.inner * l.n * l.inner + i % l.inner, best = 0;

        for (size_t k = 1; k < l.n; k++) {
            double a = number(c->in[0], base + k * l.inner);
            double b = number(c->in[0], base + best * l.inner);

            if ((largest ? a > b : a < b) || (last && a == b))
                best = k;
        }
        y[i] = (int64_t)best;
    }
    return AX_OK;
}

/* One lane of Softmax ('s'), LogSoftmax ('l') or Hardmax ('h'). */
static void soft_lane(char kind, struct ax_tensor *y,
                      const struct ax_tensor *x, size_t base,
                      const struct lane *l)
{
    double top = -INFINITY, sum = 0, v;
    size_t arg = 0;

    for (size_t k = 0; k < l->n; k++) {
        v = number(x, base + k * l->inner);
        if (v > top || isnan(v)) {
            top = v;
            arg = k;
        }
    }
    for (size_t k = 0; k < l->n; k++)
        sum += exp(number(x, base + k * l->inner) - top);
    for (size_t k = 0; k < l->n; k++) {
        v = number(x, base + k * l->inner) - top;
        v = kind == 's'   ? exp(v) / sum
            : kind == 'l' ? v - log(sum)
                          : (double)(k == arg);
        ax_put_f64(y->dtype, y->data, base + k * l->inner, &v, 1);
    }
}

static ax_status softmax(struct ax_call *c, struct ax_err *err)
{
    struct lane l;

    AX_TRY(ref_want(c, 0, REALS, err));
    AX_TRY(lane_init(&l, c, -1, err));
    AX_TRY(ax_call_out(c, 0, c->in[0]->dtype, c->in[0]->rank, c->in[0]->dims,
                       err));
    for (size_t i = 0; i < l.outer * l.inner; i++)
        soft_lane(*(const char *)c->kernel->arg, c->out[0], c->in[0],
                  i / l.inner * l.n * l.inner + i % l.inner, &l);
    return AX_OK;
}

static void cumsum_lane(struct ax_call *c, size_t base, const struct lane *l,
                        bool exclusive, bool reverse)
{
    const struct ax_tensor *x = c->in[0];
    bool real = ax_dtype_class(x->dtype) == AX_CLASS_REAL;
    uint64_t isum = 0;
    double sum = 0;

    for (size_t k = 0; k < l->n; k++) {
        size_t at = base + (reverse ? l->n - 1 - k : k) * l->inner;
        double was = sum;
        uint64_t iwas = isum;
        int64_t v;

        if (real) {
            sum += number(x, at);
            ax_put_f64(x->dtype, c->out[0]->data, at, exclusive ? &was : &sum,
                       1);
        } else {
            ax_get_i64(&v, x->dtype, x->data, at, 1);
            isum += (uint64_t)v;
            v = (int64_t)(exclusive ? iwas : isum);
            ax_put_i64(x->dtype, c->out[0]->data, at, &v, 1);
        }
    }
}

static ax_status cumsum(struct ax_call *c, struct ax_err *err)
{
    const struct ax_tensor *x;
    struct lane l;
    int64_t at;
    int axis, n;

    AX_TRY(ref_want(c, 0, ALL_DTYPES & ~BIT(AX_BOOL), err));
    x = c->in[0];
    AX_TRY(ref_ints(&at, &n, 1, c, 1, err));
    if (n != 1)
        return ax_fail(err, AX_ESHAPE, "input 1 wants one axis");
    AX_TRY(ref_axis(&axis, at, x->rank, err));
    l.outer = (size_t)ref_product(x->dims, 0, axis);
    l.n = (size_t)x->dims[axis];
    l.inner = (size_t)ref_product(x->dims, axis + 1, x->rank);
    AX_TRY(ax_call_out(c, 0, x->dtype, x->rank, x->dims, err));
    for (size_t i = 0; i < l.outer * l.inner; i++)
        cumsum_lane(c, i / l.inner * l.n * l.inner + i % l.inner, &l,
                    ax_node_int(c->node, "exclusive", 0) != 0,
                    ax_node_int(c->node, "reverse", 0) != 0);
    return AX_OK;
}

/* clang-format off */
#define ROW(name, ...) \
    {name, reduce, NULL, &(const struct reduction){__VA_ARGS__}}

const struct ax_kernel ref_reduce[] = {
    {"ArgMax", arg_extreme, NULL, "x"},
    {"ArgMin", arg_extreme, NULL, "n"},
    {"CumSum", cumsum, NULL, NULL},
    {"Hardmax", softmax, NULL, "h"},
    {"LogSoftmax", softmax, NULL, "l"},
    ROW("ReduceL1", 0, s_l1, e_same, i_l1, 0, false),
    ROW("ReduceL2", 0, s_squares, e_sqrt, NULL, 0, false),
    ROW("ReduceLogSum", 0, s_sum, e_log, NULL, 0, false),
    ROW("ReduceLogSumExp", 0, s_exp, e_log, NULL, 0, true),
    ROW("ReduceMax", -INFINITY, s_max, e_same, i_max, 0, false),
    ROW("ReduceMean", 0, s_sum, e_mean, i_sum, 0, false),
    ROW("ReduceMin", INFINITY, s_min, e_same, i_min, 0, false),
    ROW("ReduceProd", 1, s_prod, e_same, i_prod, 1, false),
    ROW("ReduceSum", 0, s_sum, e_same, i_sum, 0, false),
    ROW("ReduceSumSquare", 0, s_squares, e_same, i_squares, 0, false),
    {"Softmax", softmax, NULL, "s"},
    {0},
};
