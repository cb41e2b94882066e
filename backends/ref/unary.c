/* Functions of one element: activations, rounding, elementary functions,
 * tests for NaN and infinity, Clip. */
#include "ref.h"

#include <math.h>

#define BLOCK 256

/* One function: over reals with up to two parameters from attributes, and
 * over integers where it is defined for them. */
struct unary {
    double (*real)(double x, const double *p);
    int64_t (*integer)(int64_t x); /* signed; NULL: not for integers */
    struct {
        const char *name;
        float dflt;
    } param[2];
    bool to_bool, from_bool;
};

/* clang-format off */
#define FN(name, expr) \
    static double name(double x, const double *p) { (void)p; return expr; }

FN(f_abs, fabs(x))
FN(f_neg, -x)
FN(f_relu, x > 0 || isnan(x) ? x : 0)
FN(f_sign, isnan(x) ? x : (double)((x > 0) - (x < 0)))
FN(f_floor, floor(x))
FN(f_ceil, ceil(x))
FN(f_round, nearbyint(x)) /* ties to even: no rounding mode is ever set */
FN(f_sqrt, sqrt(x))
FN(f_exp, exp(x))
FN(f_log, log(x))
FN(f_sin, sin(x))
FN(f_cos, cos(x))
FN(f_tan, tan(x))
FN(f_asin, asin(x))
FN(f_acos, acos(x))
FN(f_atan, atan(x))
FN(f_sinh, sinh(x))
FN(f_cosh, cosh(x))
FN(f_tanh, tanh(x))
FN(f_asinh, asinh(x))
FN(f_acosh, acosh(x))
FN(f_atanh, atanh(x))
FN(f_erf, erf(x))
FN(f_reciprocal, 1 / x)
FN(f_sigmoid, 1 / (1 + exp(-x)))
FN(f_softplus, x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)))
FN(f_softsign, x / (1 + fabs(x)))
FN(f_mish, x * tanh(x > 0 ? x + log1p(exp(-x)) : log1p(exp(x))))
FN(f_hard_swish, x * fmax(0, fmin(1, x / 6 + 0.5)))
FN(f_swish, x / (1 + exp(-p[0] * x)))
FN(f_leaky, x < 0 ? p[0] * x : x)
FN(f_elu, x < 0 ? p[0] * expm1(x) : x)
FN(f_selu, p[1] * (x <= 0 ? p[0] * expm1(x) : x))
FN(f_celu, fmax(0, x) + fmin(0, p[0] * expm1(x / p[0])))
FN(f_thresholded, x > p[0] ? x : 0)
FN(f_hard_sigmoid, fmax(0, fmin(1, p[0] * x + p[1])))
FN(f_isnan, isnan(x))
FN(f_isinf, isinf(x) && (x > 0 ? p[0] != 0 : p[1] != 0))
FN(f_not, x == 0)
FN(f_shrink, x < -p[1] ? x + p[0] : x > p[1] ? x - p[0] : 0)

static int64_t i_abs(int64_t x) { return x < 0 ? (int64_t)-(uint64_t)x : x; }
static int64_t i_neg(int64_t x) { return (int64_t)-(uint64_t)x; }
static int64_t i_relu(int64_t x) { return x > 0 ? x : 0; }
static int64_t i_sign(int64_t x) { return (x > 0) - (x < 0); }
static int64_t i_bitnot(int64_t x) { return ~x; }
/* clang-format on */

/* Unsigned integers: Abs, Relu and Sign need no more than their bits. */
static int64_t unsigned_of(int64_t (*f)(int64_t), int64_t x)
{
    if (f == i_abs || f == i_relu)
        return x;
    return f == i_sign ? x != 0 : f(x);
}

static void block(const struct unary *u, const double *p,
                  struct ax_tensor *out, const struct ax_tensor *in,
                  size_t at, size_t n)
{
    union {
        double f[BLOCK];
        int64_t i[BLOCK];
    } x;
    ax_class class = ax_dtype_class(in->dtype);

    if (class == AX_CLASS_REAL || u->from_bool) {
        ax_get_f64(x.f, in->dtype, in->data, at, n);
        for (size_t k = 0; k < n; k++)
            x.f[k] = u->real(x.f[k], p);
        ax_put_f64(out->dtype, out->data, at, x.f, n);
    } else {
        ax_get_i64(x.i, in->dtype, in->data, at, n);
        for (size_t k = 0; k < n; k++)
            x.i[k] = class == AX_CLASS_SIGNED
                         ? u->integer(x.i[k])
                         : unsigned_of(u->integer, x.i[k]);
        ax_put_i64(out->dtype, out->data, at, x.i, n);
    }
}

static ax_status unary(struct ax_call *c, struct ax_err *err)
{
    const struct unary *u = c->kernel->arg;
    const struct ax_tensor *in;
    double p[2];
    size_t n;

    AX_TRY(ref_want(c, 0,
                    u->from_bool ? BIT(AX_BOOL)
                    : u->integer ? ALL_DTYPES & ~BIT(AX_BOOL)
                                 : REALS,
                    err));
    if (u->integer == i_bitnot &&
        ax_dtype_class(c->in[0]->dtype) == AX_CLASS_REAL)
        return ref_want(c, 0, 0, err);
    for (int i = 0; i < 2; i++)
        p[i] = u->param[i].name
                   ? (double)ax_node_float(c->node, u->param[i].name,
                                           u->param[i].dflt)
                   : 0;
    if (u->real == f_isinf) /* its attributes are integers */
        for (int i = 0; i < 2; i++)
            p[i] = (double)ax_node_int(c->node, u->param[i].name, 1);
    if (u->to_bool)
        AX_TRY(
            ax_call_out(c, 0, AX_BOOL, c->in[0]->rank, c->in[0]->dims, err));
    else
        AX_TRY(ax_call_out_over(c, 0, 0, err));
    in = c->in[0];
    n = ax_tensor_count(in);
    for (size_t at = 0; at < n; at += BLOCK)
        block(u, p, c->out[0], in, at, n - at < BLOCK ? n - at : BLOCK);
    return AX_OK;
}

/* -- Clip and PRelu's simpler kin ---------------------------------------- */

static void clip_reals(struct ax_tensor *out, const struct ax_tensor *in,
                       double lo, double hi)
{
    size_t n = ax_tensor_count(in);
    double x[BLOCK];

    for (size_t at = 0; at < n; at += BLOCK) {
        size_t m = n - at < BLOCK ? n - at : BLOCK;

        ax_get_f64(x, in->dtype, in->data, at, m);
        for (size_t k = 0; k < m; k++) {
            x[k] = x[k] < lo ? lo : x[k];
            x[k] = x[k] > hi ? hi : x[k];
        }
        ax_put_f64(out->dtype, out->data, at, x, m);
    }
}

static bool less(bool is_signed, int64_t a, int64_t b)
{
    return is_signed ? a < b : (uint64_t)a < (uint64_t)b;
}

static void clip_integers(struct ax_tensor *out, const struct ax_call *c)
{
    const struct ax_tensor *in = c->in[0];
    bool is_signed = ax_dtype_class(in->dtype) == AX_CLASS_SIGNED;
    bool has_lo = ax_call_has(c, 1), has_hi = ax_call_has(c, 2);
    size_t n = ax_tensor_count(in);
    int64_t x, lo = 0, hi = 0;

    if (has_lo)
        ax_get_i64(&lo, in->dtype, c->in[1]->data, 0, 1);
    if (has_hi)
        ax_get_i64(&hi, in->dtype, c->in[2]->data, 0, 1);
    for (size_t k = 0; k < n; k++) {
        ax_get_i64(&x, in->dtype, in->data, k, 1);
        if (has_lo && less(is_signed, x, lo))
            x = lo;
        if (has_hi && less(is_signed, hi, x))
            x = hi;
        ax_put_i64(in->dtype, out->data, k, &x, 1);
    }
}

static ax_status clip(struct ax_call *c, struct ax_err *err)
{
    double lo, hi;

    AX_TRY(ref_want(c, 0, ALL_DTYPES & ~BIT(AX_BOOL), err));
    AX_TRY(ref_scalar(&lo, c, 1, -INFINITY, err));
    AX_TRY(ref_scalar(&hi, c, 2, INFINITY, err));
    for (uint32_t i = 1; i < 3; i++)
        if (ax_call_has(c, i))
            AX_TRY(ref_same_dtype(c, 0, i, err));
    AX_TRY(ax_call_out_over(c, 0, 0, err));
    if (ax_dtype_class(c->in[0]->dtype) == AX_CLASS_REAL)
        clip_reals(c->out[0], c->in[0], lo, hi);
    else
        clip_integers(c->out[0], c);
    return AX_OK;
}

/* Gelu has an attribute that is a word. */
static ax_status gelu(struct ax_call *c, struct ax_err *err)
{
    const char *how = ax_node_string(c->node, "approximate", "none");
    bool by_tanh = how[0] == 't';
    const struct ax_tensor *in;
    size_t n;

    AX_TRY(ref_want(c, 0, REALS, err));
    AX_TRY(ax_call_out_over(c, 0, 0, err));
    in = c->in[0];
    n = ax_tensor_count(in);
    for (size_t k = 0; k < n; k++) {
        double x, y;

        ax_get_f64(&x, in->dtype, in->data, k, 1);
        y = by_tanh
                ? tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x))
                : erf(x * 0.70710678118654752440);
        y = 0.5 * x * (1 + y);
        ax_put_f64(in->dtype, c->out[0]->data, k, &y, 1);
    }
    return AX_OK;
}

/* clang-format off */
#define ROW(name, ...) {name, unary, NULL, &(const struct unary){__VA_ARGS__}}

const struct ax_kernel ref_unary[] = {
    ROW("Abs", .real = f_abs, .integer = i_abs),
    ROW("Acos", .real = f_acos),
    ROW("Acosh", .real = f_acosh),
    ROW("Asin", .real = f_asin),
    ROW("Asinh", .real = f_asinh),
    ROW("Atan", .real = f_atan),
    ROW("Atanh", .real = f_atanh),
    ROW("BitwiseNot", .real = f_neg, .integer = i_bitnot),
    ROW("Ceil", .real = f_ceil),
    ROW("Celu", .real = f_celu, .param = {{"alpha", 1.0f}}),
    {"Clip", clip, NULL, NULL},
    ROW("Cos", .real = f_cos),
    ROW("Cosh", .real = f_cosh),
    ROW("Elu", .real = f_elu, .param = {{"alpha", 1.0f}}),
    ROW("Erf", .real = f_erf),
    ROW("Exp", .real = f_exp),
    ROW("Floor", .real = f_floor),
    {"Gelu", gelu, NULL, NULL},
    ROW("HardSigmoid", .real = f_hard_sigmoid,
        .param = {{"alpha", 0.2f}, {"beta", 0.5f}}),
    ROW("HardSwish", .real = f_hard_swish),
    ROW("IsInf", .real = f_isinf, .to_bool = true,
        .param = {{"detect_positive", 1}, {"detect_negative", 1}}),
    ROW("IsNaN", .real = f_isnan, .to_bool = true),
    ROW("LeakyRelu", .real = f_leaky, .param = {{"alpha", 0.01f}}),
    ROW("Log", .real = f_log),
    ROW("Mish", .real = f_mish),
    ROW("Neg", .real = f_neg, .integer = i_neg),
    ROW("Not", .real = f_not, .from_bool = true),
    ROW("Reciprocal", .real = f_reciprocal),
    ROW("Relu", .real = f_relu, .integer = i_relu),
    ROW("Round", .real = f_round),
    ROW("Selu", .real = f_selu,
        .param = {{"alpha", 1.67326319217681884765625f},
                  {"gamma", 1.05070102214813232421875f}}),
    ROW("Shrink", .real = f_shrink,
        .param = {{"bias", 0.0f}, {"lambd", 0.5f}}),
    ROW("Sigmoid", .real = f_sigmoid),
    ROW("Sign", .real = f_sign, .integer = i_sign),
    ROW("Sin", .real = f_sin),
    ROW("Sinh", .real = f_sinh),
    ROW("Softplus", .real = f_softplus),
    ROW("Softsign", .real = f_softsign),
    ROW("Sqrt", .real = f_sqrt),
    ROW("Swish", .real = f_swish, .param = {{"alpha", 1.0f}}),
    ROW("Tan", .real = f_tan),
    ROW("Tanh", .real = f_tanh),
    ROW("ThresholdedRelu", .real = f_thresholded,
        .param = {{"alpha", 1.0f}}),
    {0},
};
