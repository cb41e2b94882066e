/* Arithmetic of what is no tensor: integers that may depend on the free
 * dimension of the inputs, and numbers with a fraction. */
#include <math.h>
#include <string.h>

#include "formats/aten/aten.h"

enum op { ADD, SUB, MUL, DIV, FLOORDIV, MOD, POW, EQ, NE, LT, LE, GT, GE };

static const struct {
    const char *name;
    enum op op;
} names[] = {{"add", ADD},
             {"sub", SUB},
             {"mul", MUL},
             {"div", DIV},
             {"truediv", DIV},
             {"floordiv", FLOORDIV},
             {"floor_divide", FLOORDIV},
             {"mod", MOD},
             {"remainder", MOD},
             {"pow", POW},
             {"eq", EQ},
             {"ne", NE},
             {"lt", LT},
             {"le", LE},
             {"gt", GT},
             {"ge", GE}};

static size_t find(const char *name)
{
    size_t k = 0;

    while (k < sizeof names / sizeof names[0] &&
           strcmp(names[k].name, name) != 0)
        k++;
    return k;
}

bool aten_is_arithmetic(const char *name)
{
    return find(name) < sizeof names / sizeof names[0];
}

static int64_t floor_of(int64_t x, int64_t y)
{
    return x / y - (x % y != 0 && (x < 0) != (y < 0));
}

static bool is_number(struct aten_value x)
{
    return x.kind == ATEN_INT || x.kind == ATEN_FLOAT || x.kind == ATEN_BOOL;
}

/* A comparison of numbers, once they are. */
static bool compare(enum op op, double x, double y)
{
    switch (op) {
    case EQ:
        return x == y;
    case NE:
        return x != y;
    case LT:
        return x < y;
    case LE:
        return x <= y;
    case GT:
        return x > y;
    default:
        return x >= y;
    }
}

static ax_status of_reals(struct aten_value *out, enum op op, double x,
                          double y, struct ax_err *err)
{
    out->kind = ATEN_FLOAT;
    if ((op == DIV || op == FLOORDIV || op == MOD) && y == 0)
        return ax_fail(err, AX_EFORMAT, "divides by zero");
    out->f = op == ADD        ? x + y
             : op == SUB      ? x - y
             : op == MUL      ? x * y
             : op == DIV      ? x / y
             : op == FLOORDIV ? floor(x / y)
             : op == MOD      ? x - floor(x / y) * y
                              : pow(x, y);
    return AX_OK;
}

/* Sums want equal powers, products add them. */
static ax_status of_sizes(struct aten_value *out, enum op op,
                          struct aten_value x, struct aten_value y,
                          struct ax_err *err)
{
    bool bad = x.power < 0 || y.power < 0, same = x.power == y.power;

    *out = (struct aten_value){.kind = ATEN_INT, .power = x.power};
    if (!bad && (op == ADD || op == SUB) && y.i == 0 && y.power == 0)
        out->i = x.i;
    else if (!bad && op == ADD && x.i == 0 && x.power == 0)
        *out = y;
    else if (!bad && op == ADD && same)
        bad = __builtin_add_overflow(x.i, y.i, &out->i);
    else if (!bad && op == SUB && same)
        bad = __builtin_sub_overflow(x.i, y.i, &out->i);
    else if (!bad && op == MUL && x.power + y.power <= AX_RANK_MAX) {
        out->power = (int8_t)(x.power + y.power);
        bad = __builtin_mul_overflow(x.i, y.i, &out->i);
    } else if (!bad && (op == FLOORDIV || op == MOD) && y.i == 0 &&
               y.power == 0)
        return ax_fail(err, AX_EFORMAT, "divides by zero");
    else if (!bad && op == FLOORDIV && y.i > 0 && x.power >= y.power &&
             (x.i % y.i == 0 || !x.power)) {
        out->power = (int8_t)(x.power - y.power);
        out->i = floor_of(x.i, y.i);
    } else if (!bad && op == MOD && y.i > 0 && y.power == 0 &&
               (x.power == 0 || x.i % y.i == 0)) {
        out->power = 0;
        out->i = x.i - floor_of(x.i, y.i) * y.i;
    } else if (!bad && op == FLOORDIV && same && !x.power && y.i != -1)
        out->i = floor_of(x.i, y.i);
    else
        bad = true;
    if (bad) { /* whoever needs it says so */
        out->i = -1;
        out->power = -1;
    } else if (out->i == 0) {
        out->power = 0;
    }
    return AX_OK;
}

static ax_status texts(struct aten_value *out, enum op op, const char *x,
                       const char *y, struct ax_err *err)
{
    if (op != EQ && op != NE)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "arithmetic of text is not supported");
    *out = (struct aten_value){.kind = ATEN_BOOL,
                               .i = (strcmp(x, y) == 0) == (op == EQ)};
    return AX_OK;
}

ax_status aten_arithmetic(struct aten_value *out, const char *name,
                          struct aten_value x, struct aten_value y,
                          struct ax_err *err)
{
    size_t k = find(name);
    enum op op;

    if (!aten_is_arithmetic(name))
        return ax_fail(err, AX_EUNSUPPORTED, "is not supported");
    op = names[k].op;
    if (x.kind == ATEN_TEXT && y.kind == ATEN_TEXT)
        return texts(out, op, x.text, y.text, err);
    if (!is_number(x) || !is_number(y))
        return ax_fail(err, AX_EUNSUPPORTED,
                       "arithmetic of what is no number is not supported");
    if ((x.power || y.power) && op >= EQ) {
        /* N is no certain number, but it is the same one everywhere. */
        if (x.power < 0 || x.power != y.power || x.i != y.i)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "depends on the shape of the input, which is not "
                           "fixed");
        *out = (struct aten_value){.kind = ATEN_BOOL, .i = compare(op, 0, 0)};
        return AX_OK;
    }
    if (op >= EQ) {
        bool whole = x.kind != ATEN_FLOAT && y.kind != ATEN_FLOAT;

        *out = (struct aten_value){
            .kind = ATEN_BOOL,
            .i = whole ? compare(op,
                                 x.i > y.i   ? 1
                                 : x.i < y.i ? -1
                                             : 0,
                                 0)
                       : compare(op, aten_real(x), aten_real(y))};
        return AX_OK;
    }
    if (x.kind == ATEN_FLOAT || y.kind == ATEN_FLOAT || op == DIV ||
        op == POW) {
        if (x.power || y.power)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "depends on the shape of the input, which is not "
                           "fixed");
        return of_reals(out, op, aten_real(x), aten_real(y), err);
    }
    return of_sizes(out, op, x, y, err);
}
