/* What the code of TorchScript archives calls that makes no tensors: sizes,
 * arithmetic, lists, checks. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ax/element.h"
#include "formats/aten/script.h"

enum { LIST_MAX = 1 << 16 };

static bool is_list(struct aten_value x)
{
    return x.kind == ATEN_LIST || x.kind == ATEN_TUPLE;
}

static bool is_number(struct aten_value x)
{
    return x.kind == ATEN_INT || x.kind == ATEN_FLOAT || x.kind == ATEN_BOOL;
}

static struct aten_value truth(bool yes)
{
    return (struct aten_value){.kind = ATEN_BOOL, .i = yes};
}

static bool same(struct aten_value x, struct aten_value y)
{
    if (x.kind == ATEN_TEXT || y.kind == ATEN_TEXT)
        return x.kind == y.kind && strcmp(x.text, y.text) == 0;
    return is_number(x) && is_number(y) && !x.power && !y.power &&
           aten_real(x) == aten_real(y);
}

/* A constant integer without dimensions is as good as the number. */
static struct aten_value number_of(const struct script *s,
                                   struct aten_value x)
{
    const struct ax_value *v;
    const struct ax_tensor *t;

    if (x.kind != ATEN_TENSOR)
        return x;
    v = &s->a.b.g->values[x.value];
    if (v->tensor == AX_NONE)
        return x;
    t = &s->a.b.m->tensors[v->tensor];
    if (t->rank || (t->dtype != AX_I64 && t->dtype != AX_I32))
        return x;
    x = aten_int(0);
    ax_get_i64(&x.i, t->dtype, t->data, 0, 1);
    return x;
}

/* ---- of tensors ---- */

static ax_status size_of(struct aten_value *out, struct script *s,
                         const struct aten_arg *arg, uint32_t n,
                         struct ax_err *err)
{
    int rank;
    int64_t axis;

    AX_TRY(aten_rank(&s->a, &rank, arg[0].v.value, err));
    if (n == 2) {
        if (arg[1].v.kind != ATEN_INT)
            return ax_fail(err, AX_EUNSUPPORTED, "a size by no number");
        AX_TRY(aten_axis(&axis, arg[1].v.i, rank, err));
        return aten_dim(&s->a, out, arg[0].v.value, (int)axis, err);
    }
    AX_TRY(aten_list(&s->a, out, ATEN_LIST, (uint32_t)rank, err));
    for (int i = 0; i < rank; i++)
        AX_TRY(aten_dim(&s->a, &out->v[i], arg[0].v.value, i, err));
    return AX_OK;
}

/* *done is false if NAME is none of these. */
static ax_status of_tensor(struct aten_value *out, bool *done,
                           struct script *s, const char *name,
                           const struct aten_arg *arg, uint32_t n,
                           struct ax_err *err)
{
    uint32_t v = arg[0].v.value;
    ax_dtype type;
    int rank;

    *done = true;
    if (strcmp(name, "torch.size") == 0)
        return size_of(out, s, arg, n, err);
    if (strcmp(name, "torch.dim") == 0 || strcmp(name, "torch.len") == 0) {
        AX_TRY(aten_rank(&s->a, &rank, v, err));
        *out = aten_int(rank);
        return name[6] == 'd' ? AX_OK : aten_dim(&s->a, out, v, 0, err);
    }
    if (strcmp(name, "torch.numel") == 0) {
        AX_TRY(aten_rank(&s->a, &rank, v, err));
        *out = aten_int(1);
        for (int i = 0; i < rank; i++) {
            struct aten_value d;

            AX_TRY(aten_dim(&s->a, &d, v, i, err));
            AX_TRY(aten_arithmetic(out, "mul", *out, d, err));
        }
        return AX_OK;
    }
    if (strcmp(name, "ops.prim.dtype") == 0 ||
        strcmp(name, "torch.is_floating_point") == 0) {
        AX_TRY(aten_type(&s->a, &type, v, err));
        *out = name[0] == 'o' ? aten_int(aten_dtype_number(type))
                              : truth(ax_dtype_class(type) == AX_CLASS_REAL);
        return AX_OK;
    }
    if (strcmp(name, "ops.prim.device") == 0 ||
        strcmp(name, "ops.prim.layout") == 0) {
        out->kind = ATEN_OTHER;
        return AX_OK;
    }
    if (strcmp(name, "ops.prim.data") == 0) {
        *out = arg[0].v;
        return AX_OK;
    }
    if (strcmp(name, "ops.prim.is_cuda") == 0 ||
        strcmp(name, "ops.prim.is_nested") == 0 ||
        strcmp(name, "ops.prim.is_quantized") == 0 ||
        strcmp(name, "ops.prim.requires_grad") == 0) {
        *out = truth(false);
        return AX_OK;
    }
    *done = false;
    return AX_OK;
}

/* ---- of lists ---- */

static ax_status append(struct aten_value *out, struct script *s,
                        struct aten_value list, struct aten_value x,
                        struct ax_err *err)
{
    if (list.n >= LIST_MAX)
        return ax_fail(err, AX_EUNSUPPORTED, "a list is too long");
    AX_TRY(aten_list(&s->a, out, ATEN_LIST, list.n + 1, err));
    if (list.n)
        memcpy(out->v, list.v, list.n * sizeof *list.v);
    out->v[list.n] = x;
    script_replace(s, list, *out);
    return AX_OK;
}

static ax_status list_slice(struct aten_value *out, struct script *s,
                            const struct aten_arg *arg, uint32_t n,
                            struct ax_err *err)
{
    int64_t size = arg[0].v.n, end[3] = {0, size, 1};

    for (uint32_t i = 1; i < n && i < 4; i++) {
        if (arg[i].v.kind == ATEN_NONE)
            continue;
        if (arg[i].v.kind != ATEN_INT || arg[i].v.power)
            return ax_fail(err, AX_EUNSUPPORTED, "a slice by no number");
        end[i - 1] = arg[i].v.i;
        if (i < 3 && end[i - 1] < 0)
            end[i - 1] = end[i - 1] < -size ? 0 : end[i - 1] + size;
        if (i < 3 && end[i - 1] > size)
            end[i - 1] = size;
    }
    if (end[2] != 1)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "a slice of a list with a step is not supported");
    if (end[1] < end[0])
        end[1] = end[0];
    AX_TRY(
        aten_list(&s->a, out, ATEN_LIST, (uint32_t)(end[1] - end[0]), err));
    if (out->n)
        memcpy(out->v, arg[0].v.v + end[0], out->n * sizeof *out->v);
    return AX_OK;
}

static ax_status joined(struct aten_value *out, struct script *s,
                        struct aten_value x, struct aten_value y,
                        struct ax_err *err)
{
    if (x.n + y.n > LIST_MAX)
        return ax_fail(err, AX_EUNSUPPORTED, "a list is too long");
    AX_TRY(aten_list(&s->a, out, ATEN_LIST, x.n + y.n, err));
    if (x.n)
        memcpy(out->v, x.v, x.n * sizeof *x.v);
    if (y.n)
        memcpy(out->v + x.n, y.v, y.n * sizeof *y.v);
    return AX_OK;
}

static ax_status repeated(struct aten_value *out, struct script *s,
                          struct aten_value x, int64_t times,
                          struct ax_err *err)
{
    if (times < 0)
        times = 0;
    if (times > LIST_MAX || x.n * times > LIST_MAX)
        return ax_fail(err, AX_EUNSUPPORTED, "a list is too long");
    AX_TRY(aten_list(&s->a, out, ATEN_LIST, x.n * (uint32_t)times, err));
    for (uint32_t i = 0; i < out->n; i++)
        out->v[i] = x.v[i % x.n];
    return AX_OK;
}

static ax_status of_list(struct aten_value *out, bool *done, struct script *s,
                         const char *name, const struct aten_arg *arg,
                         uint32_t n, struct ax_err *err)
{
    struct aten_value x = arg[0].v;
    bool two_lists = n == 2 && is_list(x) && is_list(arg[1].v);

    *done = true;
    if (strcmp(name, "torch.len") == 0) {
        *out = aten_int(x.n);
        return AX_OK;
    }
    if (strcmp(name, "torch.list") == 0)
        return joined(out, s, x, (struct aten_value){0}, err);
    if (strcmp(name, "torch.append") == 0 && n == 2)
        return append(out, s, x, arg[1].v, err);
    if (strcmp(name, "torch.slice") == 0)
        return list_slice(out, s, arg, n, err);
    if (strcmp(name, "torch.add") == 0 && two_lists)
        return joined(out, s, x, arg[1].v, err);
    if (strcmp(name, "torch.mul") == 0 && n == 2 &&
        arg[1].v.kind == ATEN_INT && !arg[1].v.power)
        return repeated(out, s, x, arg[1].v.i, err);
    if (strcmp(name, "torch.__contains__") == 0 && n == 2) {
        *out = truth(false);
        for (uint32_t i = 0; i < x.n; i++)
            out->i |= same(x.v[i], arg[1].v);
        return AX_OK;
    }
    if ((strcmp(name, "torch.eq") == 0 || strcmp(name, "torch.ne") == 0) &&
        two_lists) {
        *out = truth(x.n == arg[1].v.n);
        for (uint32_t i = 0; i < x.n && out->i; i++)
            out->i = same(x.v[i], arg[1].v.v[i]);
        out->i = out->i == (name[6] == 'e');
        return AX_OK;
    }
    *done = false;
    return AX_OK;
}

/* ---- of numbers ---- */

/* int(x), float(x), bool(x) and their like. */
static ax_status convert(struct aten_value *out, const struct script *s,
                         const char *name, struct aten_value x,
                         struct ax_err *err)
{
    x = number_of(s, x);
    *out = x;
    if (x.kind == ATEN_TEXT && name[0] == 'f') {
        *out = (struct aten_value){.kind = ATEN_FLOAT,
                                   .f = strtod(x.text, NULL)};
        return AX_OK;
    }
    if (!is_number(x))
        return ax_fail(err, AX_EUNSUPPORTED,
                       "a number that depends on data is not supported");
    if (name[0] == 'i') {
        double d = aten_real(x);

        if (x.kind != ATEN_FLOAT) {
            out->kind = ATEN_INT;
            return AX_OK;
        }
        if (!(fabs(d) < 9e18))
            return ax_fail(err, AX_EFORMAT, "a number is too large");
        *out = aten_int((int64_t)d);
        return AX_OK;
    }
    if (x.power)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "depends on the shape of the input, which is not "
                       "fixed");
    if (name[0] == 'f')
        *out = (struct aten_value){.kind = ATEN_FLOAT, .f = aten_real(x)};
    else
        *out = truth(aten_real(x) != 0);
    return AX_OK;
}

/* range(n): run.c knows that it is a number of turns. torch.__range_length
 * is that of a range with a start and a step. */
static ax_status range_length(struct aten_value *out,
                              const struct aten_arg *arg, struct ax_err *err)
{
    int64_t from = arg[0].v.i, to = arg[1].v.i, step = arg[2].v.i;

    for (int i = 0; i < 3; i++)
        if (arg[i].v.kind != ATEN_INT || arg[i].v.power ||
            llabs(arg[i].v.i) > INT32_MAX)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "a range that is not fixed is not supported");
    if (!step)
        return ax_fail(err, AX_EFORMAT, "a range without a step");
    *out = aten_int(step > 0 ? (to - from + step - 1) / step
                             : (to - from + step + 1) / step);
    if (out->i < 0)
        out->i = 0;
    return AX_OK;
}

static ax_status two_numbers(struct aten_value *out, bool *done,
                             const char *name, struct aten_value x,
                             struct aten_value y, struct ax_err *err)
{
    *done = true;
    if (strcmp(name, "ops.prim.min") == 0 ||
        strcmp(name, "ops.prim.max") == 0) {
        struct aten_value less = {0};

        AX_TRY(aten_arithmetic(&less, "lt", x, y, err));
        *out = (less.i != 0) == (name[10] == 'i') ? x : y;
        return AX_OK;
    }
    if (strcmp(name, "torch.__and__") == 0 && x.kind == ATEN_BOOL &&
        y.kind == ATEN_BOOL) {
        *out = truth(x.i && y.i);
        return AX_OK;
    }
    if (strcmp(name, "torch.__or__") == 0 && x.kind == ATEN_BOOL &&
        y.kind == ATEN_BOOL) {
        *out = truth(x.i || y.i);
        return AX_OK;
    }
    if (strncmp(name, "torch.", 6) == 0 && aten_is_arithmetic(name + 6))
        return aten_arithmetic(out, name + 6, x, y, err);
    *done = false;
    return AX_OK;
}

static ax_status one_number(struct aten_value *out, bool *done,
                            const char *name, struct aten_value x,
                            struct ax_err *err)
{
    double d = aten_real(x);

    *done = true;
    if (strcmp(name, "torch.__not__") == 0 && x.kind == ATEN_BOOL) {
        *out = truth(!x.i);
        return AX_OK;
    }
    if (strcmp(name, "torch.neg") == 0)
        return aten_arithmetic(out, "sub", aten_int(0), x, err);
    if (!x.power && strcmp(name, "torch.sqrt") == 0 && d >= 0) {
        *out = (struct aten_value){.kind = ATEN_FLOAT, .f = sqrt(d)};
        return AX_OK;
    }
    if (!x.power && fabs(d) < 9e18 &&
        (strcmp(name, "torch.floor") == 0 ||
         strcmp(name, "torch.ceil") == 0)) {
        *out = aten_int((int64_t)(name[6] == 'f' ? floor(d) : ceil(d)));
        return AX_OK;
    }
    *done = false;
    return AX_OK;
}

/* ---- anything ---- */

static bool is_one_of(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(*list, name) == 0)
            return true;
    return false;
}

static ax_status of_any(struct aten_value *out, bool *done, struct script *s,
                        const char *name, const struct aten_arg *arg,
                        uint32_t n, struct ax_err *err)
{
    static const char *const silent[] = {"torch.warn",
                                         "torch.format",
                                         "torch.str",
                                         "ops.prim.AutogradZero",
                                         "ops.prim.Print",
                                         "print",
                                         NULL};
    static const char *const convert_names[] = {"int", "float", "bool",
                                                "torch.Int", NULL};

    *done = true;
    if (strcmp(name, "ops.prim.RaiseException") == 0)
        return ax_fail(err, AX_EFORMAT, "the program gives up: %.120s",
                       n && arg[0].v.kind == ATEN_TEXT ? arg[0].v.text : "");
    if (is_one_of(name, silent)) {
        *out = (struct aten_value){.kind = ATEN_TEXT, .text = ""};
        if (n && arg[0].v.kind == ATEN_TEXT)
            out->text = arg[0].v.text;
        return AX_OK;
    }
    if (strcmp(name, "torch.is_autocast_enabled") == 0 ||
        strcmp(name, "torch.is_autocast_cpu_enabled") == 0 ||
        strcmp(name, "torch.is_grad_enabled") == 0 ||
        strcmp(name, "torch.jit.is_tracing") == 0 ||
        strcmp(name, "torch.is_scripting") == 0) {
        *out = truth(strcmp(name, "torch.is_scripting") == 0);
        return AX_OK;
    }
    if (strcmp(name, "torch.device") == 0) {
        out->kind = ATEN_OTHER;
        return AX_OK;
    }
    if (strcmp(name, "getattr") == 0 && n == 2 &&
        arg[0].v.kind == ATEN_OBJECT && arg[1].v.kind == ATEN_TEXT)
        return script_attribute(out, s, arg[0].v.object, arg[1].v.text, err);
    if (n == 1 && is_one_of(name, convert_names))
        return convert(out, s, name[0] == 't' ? "int" : name, arg[0].v, err);
    if (n == 1 && (strcmp(name, "ops.prim.NumToTensor") == 0 ||
                   strcmp(name, "range") == 0)) {
        *out = arg[0].v;
        return AX_OK;
    }
    if (n == 2 && (strcmp(name, "torch.__is__") == 0 ||
                   strcmp(name, "torch.__isnot__") == 0)) {
        bool none = arg[0].v.kind == ATEN_NONE,
             other = arg[1].v.kind == ATEN_NONE;

        *out = truth((none == other) == (strlen(name) == 12));
        return AX_OK;
    }
    if (n == 3 && strcmp(name, "torch.__range_length") == 0)
        return range_length(out, arg, err);
    if (n == 3 && strcmp(name, "torch.__derive_index") == 0) {
        AX_TRY(aten_arithmetic(out, "mul", arg[0].v, arg[2].v, err));
        return aten_arithmetic(out, "add", arg[1].v, *out, err);
    }
    *done = false;
    return AX_OK;
}

/* torch.div(x, y, rounding_mode=...) of integers. *done is false if that is
 * not what it is. */
static ax_status rounded_div(struct aten_value *out, bool *done,
                             struct aten_value x, struct aten_value y,
                             const struct aten_arg *mode, struct ax_err *err)
{
    bool whole = x.kind == ATEN_INT && y.kind == ATEN_INT && x.i >= 0 &&
                 y.i > 0;

    *done = whole && mode->name && mode->v.kind == ATEN_TEXT &&
            strcmp(mode->name, "rounding_mode") == 0;
    return *done ? aten_arithmetic(out, "floordiv", x, y, err) : AX_OK;
}

ax_status script_builtin(struct aten_value *out, bool *done, struct script *s,
                         const char *name, const struct aten_arg *arg,
                         uint32_t n, struct ax_err *err)
{
    AX_TRY(of_any(out, done, s, name, arg, n, err));
    if (*done || !n)
        return AX_OK;
    if (arg[0].v.kind == ATEN_TENSOR) {
        struct aten_arg now[2] = {arg[0], n > 1 ? arg[1] : arg[0]};

        now[0].v = aten_now(&s->a, arg[0].v);
        AX_TRY(of_tensor(out, done, s, name, now, n > 2 ? 2 : n, err));
    }
    if (!*done && is_list(arg[0].v))
        return of_list(out, done, s, name, arg, n, err);
    if (!*done && n == 1 && is_number(arg[0].v))
        return one_number(out, done, name, arg[0].v, err);
    if (!*done && n >= 2) {
        struct aten_value x = number_of(s, arg[0].v),
                          y = number_of(s, arg[1].v);
        bool plain = is_number(arg[0].v) || is_number(arg[1].v);

        if (plain && n == 3 && strcmp(name, "torch.div") == 0)
            return rounded_div(out, done, x, y, &arg[2], err);
        if ((plain && is_number(x) && is_number(y) && n == 2) ||
            (x.kind == ATEN_TEXT && y.kind == ATEN_TEXT))
            return two_numbers(out, done, name, x, y, err);
    }
    return AX_OK;
}
