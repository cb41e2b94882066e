/* Functions of several elements, with broadcasting: arithmetic, comparison,
 * logic, Where, PRelu. */
#include "ref.h"

#include <math.h>
#include <string.h>

#define BLOCK 256

/* Any of the three may be NULL: not for that class of types. */
struct binary {
    double (*real)(double a, double b);
    int64_t (*integer)(int64_t a, int64_t b);
    uint64_t (*natural)(uint64_t a, uint64_t b); /* NULL: as integer */
    bool to_bool, bools; /* result is bool; operands are bool */
    bool divides;        /* an integer divisor of 0 is an error */
};

/* clang-format off */
#define REAL(name, expr) \
    static double name(double a, double b) { return expr; }
#define INT(name, expr) \
    static int64_t name(int64_t a, int64_t b) { return (int64_t)(expr); }
#define NAT(name, expr) \
    static uint64_t name(uint64_t a, uint64_t b) { return expr; }

REAL(f_first, ((void)b, a))
REAL(f_add, a + b)
REAL(f_sub, a - b)
REAL(f_mul, a * b)
REAL(f_div, a / b)
REAL(f_pow, pow(a, b))
REAL(f_max, isnan(a) || a > b ? a : b)
REAL(f_min, isnan(a) || a < b ? a : b)
REAL(f_fmod, fmod(a, b))
REAL(f_prelu, a < 0 ? a * b : a)
REAL(f_equal, a == b)
REAL(f_less, a < b)
REAL(f_greater, a > b)
REAL(f_less_equal, a <= b)
REAL(f_greater_equal, a >= b)
INT(i_first, ((void)b, a))
INT(i_add, (uint64_t)a + (uint64_t)b)
INT(i_sub, (uint64_t)a - (uint64_t)b)
INT(i_mul, (uint64_t)a * (uint64_t)b)
INT(i_div, b == -1 ? (int64_t)-(uint64_t)a : a / b)
INT(i_max, a > b ? a : b)
INT(i_min, a < b ? a : b)
INT(i_prelu, a < 0 ? (int64_t)((uint64_t)a * (uint64_t)b) : a)
INT(i_equal, a == b)
INT(i_less, a < b)
INT(i_greater, a > b)
INT(i_less_equal, a <= b)
INT(i_greater_equal, a >= b)
INT(i_and, a & b)
INT(i_or, a | b)
INT(i_xor, a ^ b)
NAT(n_div, a / b)
NAT(n_mod, a % b)
NAT(n_max, a > b ? a : b)
NAT(n_min, a < b ? a : b)
NAT(n_less, a < b)
NAT(n_greater, a > b)
NAT(n_less_equal, a <= b)
NAT(n_greater_equal, a >= b)
NAT(n_shl, b < 64 ? a << b : 0)
NAT(n_shr, b < 64 ? a >> b : 0)
NAT(n_prelu, ((void)b, a))
/* clang-format on */

/* The sign of the divisor. */
static int64_t i_mod(int64_t a, int64_t b)
{
    int64_t r = b == -1 ? 0 : a % b;

    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

/* The sign of the dividend. */
static int64_t i_fmod(int64_t a, int64_t b)
{
    return b == -1 ? 0 : a % b;
}

static int64_t i_pow(int64_t a, int64_t b)
{
    uint64_t r = 1, x = (uint64_t)a;

    if (b < 0)
        return a == 1 ? 1 : a == -1 ? (b % 2 ? -1 : 1) : 0;
    for (; b > 0; b >>= 1, x *= x)
        if (b & 1)
            r *= x;
    return (int64_t)r;
}

/* -- one pair of operands ------------------------------------------------ */

struct pair {
    const struct binary *b;
    const struct ax_tensor *in[2];
    struct ax_tensor *out;
    int64_t step[2]; /* along a run: 0 or 1 */
    bool zero_divisor;
};

static void get_reals(double *x, const struct ax_tensor *t, size_t at,
                      int64_t step, size_t n)
{
    ax_get_f64(x, t->dtype, t->data, at, step ? n : 1);
    for (size_t k = 1; k < n && !step; k++)
        x[k] = x[0];
}

static void get_integers(int64_t *x, const struct ax_tensor *t, size_t at,
                         int64_t step, size_t n)
{
    ax_get_i64(x, t->dtype, t->data, at, step ? n : 1);
    for (size_t k = 1; k < n && !step; k++)
        x[k] = x[0];
}

static void real_block(struct pair *p, size_t out, size_t a, size_t b,
                       size_t n)
{
    double x[BLOCK], y[BLOCK];

    get_reals(x, p->in[0], a, p->step[0], n);
    get_reals(y, p->in[1], b, p->step[1], n);
    for (size_t k = 0; k < n; k++)
        x[k] = p->b->real(x[k], y[k]);
    ax_put_f64(p->out->dtype, p->out->data, out, x, n);
}

static void integer_block(struct pair *p, size_t out, size_t a, size_t b,
                          size_t n)
{
    bool natural = p->b->natural &&
                   ax_dtype_class(p->in[0]->dtype) == AX_CLASS_UNSIGNED;
    int64_t x[BLOCK], y[BLOCK];

    get_integers(x, p->in[0], a, p->step[0], n);
    get_integers(y, p->in[1], b, p->step[1], n);
    for (size_t k = 0; k < n; k++) {
        if (p->b->divides && y[k] == 0) {
            p->zero_divisor = true;
            return;
        }
        x[k] = natural
                   ? (int64_t)p->b->natural((uint64_t)x[k], (uint64_t)y[k])
                   : p->b->integer(x[k], y[k]);
    }
    ax_put_i64(p->out->dtype, p->out->data, out, x, n);
}

static void pair_run(void *data, size_t out, const size_t *at, size_t len)
{
    struct pair *p = data;
    bool real = ax_dtype_class(p->in[0]->dtype) == AX_CLASS_REAL ||
                ax_dtype_class(p->in[1]->dtype) == AX_CLASS_REAL;

    for (size_t k = 0; k < len; k += BLOCK) {
        size_t n = len - k < BLOCK ? len - k : BLOCK;
        size_t a = at[0] + (p->step[0] ? k : 0);
        size_t b = at[1] + (p->step[1] ? k : 0);

        if (real)
            real_block(p, out + k, a, b, n);
        else
            integer_block(p, out + k, a, b, n);
    }
}

static ax_status pair_apply(struct pair *p, struct ax_err *err)
{
    struct ax_walk w;

    ax_walk_init(&w, p->out->rank, p->out->dims, p->in, 2);
    for (int k = 0; k < 2; k++)
        p->step[k] = w.stride[k][w.rank - 1];
    ax_walk_runs(&w, 2, pair_run, p);
    if (p->zero_divisor)
        return ax_fail(err, AX_EFORMAT, "integer division by zero");
    return AX_OK;
}

static bool same_shape(const struct ax_tensor *t, int rank,
                       const int64_t *dims)
{
    if (t->rank != rank)
        return false;
    for (int i = 0; i < rank; i++)
        if (t->dims[i] != dims[i])
            return false;
    return true;
}

/* The output, over an operand of its shape if one can be given up. */
static ax_status make_output(struct ax_call *c, const struct binary *b,
                             uint32_t n, bool over, struct ax_err *err)
{
    int64_t dims[AX_RANK_MAX];
    int rank;

    AX_TRY(ax_shape_broadcast(&rank, dims, c->in, n, err));
    if (!b->to_bool && over)
        for (uint32_t i = 0; i < n; i++)
            if (same_shape(c->in[i], rank, dims) &&
                c->in[i]->dtype == c->in[0]->dtype && !(c->constant >> i & 1))
                return ax_call_out_over(c, 0, i, err);
    return ax_call_out(c, 0, b->to_bool ? AX_BOOL : c->in[0]->dtype, rank,
                       dims, err);
}

static ax_status want_types(const struct ax_call *c, const struct binary *b,
                            uint32_t i, struct ax_err *err)
{
    uint32_t mask = 0;

    if (b->real)
        mask |= REALS;
    if (b->integer || b->natural)
        mask |= ALL_DTYPES & ~REALS & ~BIT(AX_BOOL);
    if (b->bools)
        mask |= BIT(AX_BOOL);
    if (!b->integer)
        mask &= ~(BIT(AX_I8) | BIT(AX_I16) | BIT(AX_I32) | BIT(AX_I64));
    return ref_want(c, i, mask, err);
}

static ax_status apply(struct ax_call *c, const struct binary *b,
                       struct ax_err *err)
{
    struct pair p = {.b = b, .in = {c->in[0], c->in[1]}};

    AX_TRY(make_output(c, b, 2, true, err));
    p.out = c->out[0];
    return pair_apply(&p, err);
}

static ax_status binary(struct ax_call *c, struct ax_err *err)
{
    const struct binary *b = c->kernel->arg;

    if (b->integer == i_equal && c->in[0] && c->in[0]->dtype == AX_STRING)
        return ref_equal_strings(c, err);
    AX_TRY(want_types(c, b, 0, err));
    AX_TRY(want_types(c, b, 1, err));
    AX_TRY(ref_same_dtype(c, 0, 1, err));
    return apply(c, b, err);
}

/* -- operators with something of their own ------------------------------- */

/* Exponents may be of another type than bases. */
static ax_status power(struct ax_call *c, struct ax_err *err)
{
    static const struct binary reals = {.real = f_pow};
    static const struct binary integers = {.integer = i_pow};
    uint32_t numbers = ALL_DTYPES & ~BIT(AX_BOOL);
    bool base_real, exp_real;

    AX_TRY(ref_want(c, 0, numbers, err));
    AX_TRY(ref_want(c, 1, numbers, err));
    base_real = ax_dtype_class(c->in[0]->dtype) == AX_CLASS_REAL;
    exp_real = ax_dtype_class(c->in[1]->dtype) == AX_CLASS_REAL;
    if (!base_real && exp_real) /* cut towards zero, as Cast does */
        return apply(c, &reals, err);
    return apply(c, base_real ? &reals : &integers, err);
}

static ax_status modulo(struct ax_call *c, struct ax_err *err)
{
    static const struct binary mod = {
        .integer = i_mod, .natural = n_mod, .divides = true};
    static const struct binary fmods = {
        .real = f_fmod, .integer = i_fmod, .natural = n_mod, .divides = true};
    const struct binary *b = ax_node_int(c->node, "fmod", 0) ? &fmods : &mod;

    AX_TRY(want_types(c, b, 0, err));
    AX_TRY(want_types(c, b, 1, err));
    AX_TRY(ref_same_dtype(c, 0, 1, err));
    return apply(c, b, err);
}

static ax_status bit_shift(struct ax_call *c, struct ax_err *err)
{
    static const struct binary left = {.natural = n_shl};
    static const struct binary right = {.natural = n_shr};
    const char *way = ax_node_string(c->node, "direction", "");
    const struct binary *b = way[0] == 'L' ? &left : &right;

    AX_TRY(want_types(c, b, 0, err));
    AX_TRY(want_types(c, b, 1, err));
    AX_TRY(ref_same_dtype(c, 0, 1, err));
    return apply(c, b, err);
}

/* Max, Min, Sum, Mean: the first operand, then one after the other. Sums
 * are of the operands' own type, left to right. */
static ax_status fold(struct ax_call *c, struct ax_err *err)
{
    static const struct binary first = {.real = f_first, .integer = i_first};
    static const struct binary divide = {.real = f_div};
    const struct binary *b = c->kernel->arg;
    uint32_t n = c->node->n_in;
    uint64_t bits = 0;
    struct ax_tensor number = {.dtype = c->in[0]->dtype, .data = &bits};
    struct pair p = {.b = &first};

    for (uint32_t i = 0; i < n; i++) {
        AX_TRY(want_types(c, b, i, err));
        AX_TRY(ref_same_dtype(c, 0, i, err));
    }
    AX_TRY(make_output(c, b, n, false, err));
    p.out = c->out[0];
    p.in[0] = c->in[0];
    p.in[1] = &number;
    AX_TRY(pair_apply(&p, err));
    p.b = b;
    p.in[0] = c->out[0];
    for (uint32_t i = 1; i < n; i++) {
        p.in[1] = c->in[i];
        AX_TRY(pair_apply(&p, err));
    }
    if (strcmp(c->kernel->op, "Mean") == 0) {
        double count = n;

        ax_put_f64(number.dtype, &bits, 0, &count, 1);
        p.b = &divide;
        p.in[1] = &number;
        AX_TRY(pair_apply(&p, err));
    }
    return AX_OK;
}

/* -- Where --------------------------------------------------------------- */

struct choice {
    const unsigned char *cond;
    const char *yes, *no;
    char *out;
    size_t size;
    int64_t step[3];
};

static void choose_run(void *data, size_t out, const size_t *at, size_t len)
{
    struct choice *w = data;

    for (size_t k = 0; k < len; k++) {
        size_t yes = at[1] + (w->step[1] ? k : 0);
        size_t no = at[2] + (w->step[2] ? k : 0);

        memcpy(w->out + (out + k) * w->size,
               w->cond[at[0] + (w->step[0] ? k : 0)] ? w->yes + yes * w->size
                                                     : w->no + no * w->size,
               w->size);
    }
}

static ax_status where(struct ax_call *c, struct ax_err *err)
{
    int64_t dims[AX_RANK_MAX];
    struct choice choice;
    struct ax_walk w;
    int rank;

    AX_TRY(ref_want(c, 0, BIT(AX_BOOL), err));
    AX_TRY(ref_want(c, 1, ALL_DTYPES, err));
    AX_TRY(ref_want(c, 2, ALL_DTYPES, err));
    AX_TRY(ref_same_dtype(c, 1, 2, err));
    AX_TRY(ax_shape_broadcast(&rank, dims, c->in, 3, err));
    AX_TRY(ax_call_out(c, 0, c->in[1]->dtype, rank, dims, err));
    ax_walk_init(&w, rank, dims, c->in, 3);
    choice = (struct choice){c->in[0]->data,
                             c->in[1]->data,
                             c->in[2]->data,
                             c->out[0]->data,
                             ax_dtype_size(c->in[1]->dtype),
                             {0}};
    for (int k = 0; k < 3; k++)
        choice.step[k] = w.stride[k][w.rank - 1];
    ax_walk_runs(&w, 3, choose_run, &choice);
    return AX_OK;
}

/* clang-format off */
#define PAIR(name, ...) \
    {name, binary, NULL, &(const struct binary){__VA_ARGS__}}
#define FOLD(name, ...) \
    {name, fold, NULL, &(const struct binary){__VA_ARGS__}}

const struct ax_kernel ref_binary[] = {
    PAIR("Add", .real = f_add, .integer = i_add),
    PAIR("And", .integer = i_and, .bools = true),
    {"BitShift", bit_shift, NULL, NULL},
    PAIR("BitwiseAnd", .integer = i_and),
    PAIR("BitwiseOr", .integer = i_or),
    PAIR("BitwiseXor", .integer = i_xor),
    PAIR("Div", .real = f_div, .integer = i_div, .natural = n_div,
         .divides = true),
    PAIR("Equal", .real = f_equal, .integer = i_equal, .to_bool = true,
         .bools = true),
    PAIR("Greater", .real = f_greater, .integer = i_greater,
         .natural = n_greater, .to_bool = true),
    PAIR("GreaterOrEqual", .real = f_greater_equal,
         .integer = i_greater_equal, .natural = n_greater_equal,
         .to_bool = true),
    PAIR("Less", .real = f_less, .integer = i_less, .natural = n_less,
         .to_bool = true),
    PAIR("LessOrEqual", .real = f_less_equal, .integer = i_less_equal,
         .natural = n_less_equal, .to_bool = true),
    FOLD("Max", .real = f_max, .integer = i_max, .natural = n_max),
    FOLD("Mean", .real = f_add),
    FOLD("Min", .real = f_min, .integer = i_min, .natural = n_min),
    {"Mod", modulo, NULL, NULL},
    PAIR("Mul", .real = f_mul, .integer = i_mul),
    PAIR("Or", .integer = i_or, .bools = true),
    {"Pow", power, NULL, NULL},
    PAIR("PRelu", .real = f_prelu, .integer = i_prelu, .natural = n_prelu),
    PAIR("Sub", .real = f_sub, .integer = i_sub),
    FOLD("Sum", .real = f_add, .integer = i_add),
    {"Where", where, NULL, NULL},
    PAIR("Xor", .integer = i_xor, .bools = true),
    {0},
};
