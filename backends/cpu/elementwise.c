/* Functions of elements over float32, in single precision. */
#include "cpu.h"
#include "vmath.h"

#include <math.h>

/* -- of one ----------------------------------------------------------------
 */

typedef void unary_fn(float *y, const float *x, size_t n, float p);

/* clang-format off */
#define UNARY(name, expr)                                                \
    CPU_CLONES                                                           \
    static void name(float *y, const float *x_, size_t n, float p)       \
    {                                                                    \
        (void)p;                                                         \
        for (size_t i = 0; i < n; i++) {                                 \
            float x = x_[i];                                             \
            y[i] = expr;                                                 \
        }                                                                \
    }

UNARY(v_abs, fabsf(x))
UNARY(v_neg, -x)
UNARY(v_relu, x < 0 ? 0 : x)
UNARY(v_leaky, x < 0 ? p * x : x)
UNARY(v_sqrt, sqrtf(x))
UNARY(v_exp, vm_exp(x))
UNARY(v_sigmoid, vm_sigmoid(x))
UNARY(v_tanh, vm_tanh(x))
UNARY(v_erf, vm_erf(x))
/* clang-format on */

struct unary {
    unary_fn *f;
    const char *param;
    float dflt;
};

static ax_status unary(struct ax_call *c, struct ax_err *err)
{
    const struct unary *u = c->kernel->arg;
    float p = 0;

    if (!cpu_f32(c, 0))
        return AX_NO;
    if (u->param)
        p = ax_node_float(c->node, u->param, u->dflt);
    AX_TRY(ax_call_out_over(c, 0, 0, err));
    u->f(c->out[0]->data, c->in[0]->data, ax_tensor_count(c->in[0]), p);
    return AX_OK;
}

/* -- of two ----------------------------------------------------------------
 */

/* One run: either operand may be one number. */
typedef void binary_fn(float *y, const float *a, const float *b, size_t n,
                       bool one_a, bool one_b);

/* clang-format off */
#define BINARY(name, expr)                                                \
    CPU_CLONES                                                            \
    static void name(float *y, const float *a_, const float *b_, size_t n, \
                     bool one_a, bool one_b)                              \
    {                                                                     \
        float a = a_[0], b = b_[0];                                       \
        if (one_a)                                                        \
            for (size_t i = 0; i < n; i++) {                              \
                b = b_[one_b ? 0 : i];                                    \
                y[i] = expr;                                              \
            }                                                             \
        else if (one_b)                                                   \
            for (size_t i = 0; i < n; i++) {                              \
                a = a_[i];                                                \
                y[i] = expr;                                              \
            }                                                             \
        else                                                              \
            for (size_t i = 0; i < n; i++) {                              \
                a = a_[i];                                                \
                b = b_[i];                                                \
                y[i] = expr;                                              \
            }                                                             \
    }

BINARY(v_add, a + b)
BINARY(v_sub, a - b)
BINARY(v_mul, a * b)
BINARY(v_div, a / b)
/* clang-format on */

static bool one_f32(const struct ax_call *c, uint32_t i)
{
    return cpu_f32(c, i) && ax_tensor_count(c->in[i]) == 1;
}

/* Squares. */
static ax_status power(struct ax_call *c, struct ax_err *err)
{
    size_t n;
    float e;

    if (!cpu_f32(c, 0) || !one_f32(c, 1) || c->in[1]->rank > c->in[0]->rank)
        return AX_NO;
    e = *(const float *)c->in[1]->data;
    if (e != 2)
        return AX_NO;
    AX_TRY(ax_call_out_over(c, 0, 0, err));
    n = ax_tensor_count(c->in[0]);
    v_mul(c->out[0]->data, c->in[0]->data, c->in[0]->data, n, n == 1, n == 1);
    return AX_OK;
}

struct pair {
    binary_fn *f;
};

struct run {
    binary_fn *f;
    float *y;
    const float *a, *b;
    bool one_a, one_b;
};

static void one_run(void *x, size_t out, const size_t *at, size_t len)
{
    const struct run *r = x;

    r->f(r->y + out, r->a + at[0], r->b + at[1], len, r->one_a, r->one_b);
}

static bool same_shape(const struct ax_tensor *t, int rank,
                       const int64_t *dims)
{
    bool same = t->rank == rank;

    for (int i = 0; i < rank && same; i++)
        same = t->dims[i] == dims[i];
    return same;
}

static ax_status make_output(struct ax_call *c, int rank, const int64_t *dims,
                             struct ax_err *err)
{
    for (uint32_t i = 0; i < 2; i++)
        if (same_shape(c->in[i], rank, dims) && !(c->constant >> i & 1))
            return ax_call_out_over(c, 0, i, err);
    return ax_call_out(c, 0, AX_F32, rank, dims, err);
}

static ax_status binary(struct ax_call *c, struct ax_err *err)
{
    const struct pair *p = c->kernel->arg;
    int64_t dims[AX_RANK_MAX];
    struct ax_walk w;
    struct run r;
    int rank;

    if (!cpu_f32(c, 0) || !cpu_f32(c, 1) ||
        ax_shape_broadcast(&rank, dims, c->in, 2, err) != AX_OK)
        return AX_NO;
    AX_TRY(make_output(c, rank, dims, err));
    ax_walk_init(&w, rank, dims, c->in, 2);
    r = (struct run){p->f,
                     c->out[0]->data,
                     c->in[0]->data,
                     c->in[1]->data,
                     w.stride[0][w.rank - 1] == 0,
                     w.stride[1][w.rank - 1] == 0};
    ax_walk_runs(&w, 2, one_run, &r);
    return AX_OK;
}

/* clang-format off */
#define ROW(name, ...) {name, unary, NULL, &(const struct unary){__VA_ARGS__}}
#define PAIR(name, f)  {name, binary, NULL, &(const struct pair){f}}

const struct ax_kernel cpu_elementwise[] = {
    ROW("Abs", v_abs, NULL, 0),
    PAIR("Add", v_add),
    PAIR("Div", v_div),
    ROW("Erf", v_erf, NULL, 0),
    ROW("Exp", v_exp, NULL, 0),
    ROW("LeakyRelu", v_leaky, "alpha", 0.01f),
    PAIR("Mul", v_mul),
    ROW("Neg", v_neg, NULL, 0),
    {"Pow", power, NULL, NULL},
    ROW("Relu", v_relu, NULL, 0),
    ROW("Sigmoid", v_sigmoid, NULL, 0),
    ROW("Sqrt", v_sqrt, NULL, 0),
    PAIR("Sub", v_sub),
    ROW("Tanh", v_tanh, NULL, 0),
    {0},
};
