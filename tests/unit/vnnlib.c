/* The property language: normal form, rounding, limits, refusals. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ax/prop.h"
#include "tap.h"

#define ONE ((ax_i128)1 << 64)
#define XY  "(declare-const X_0 Real)(declare-const Y_0 Real)"
#define BOX "(assert (>= X_0 0))(assert (<= X_0 1))"

static struct ax_prop *read_ok(const char *text, uint32_t n_x, uint32_t n_y)
{
    struct ax_prop *p = NULL;
    struct ax_err err = {0};

    OK(ax_prop_read(&p, text, strlen(text), n_x, n_y, &err) == AX_OK);
    if (err.msg[0])
        printf("# %s\n", err.msg);
    return p;
}

static void refuses(const char *text, ax_status want, const char *part)
{
    struct ax_prop *p = NULL;
    struct ax_err err = {0};

    OK(ax_prop_read(&p, text, strlen(text), 1, 1, &err) == want);
    OK(!p && strstr(err.msg, part));
    if (!strstr(err.msg, part))
        printf("# %.60s: '%s', wanted '%s'\n", text, err.msg, part);
}

static void rounds_outwards(void)
{
    struct ax_prop *p = read_ok(XY "(assert (>= X_0 -0.1))"
                                   "(assert (<= X_0 0.1))"
                                   "(assert (<= (* 0.25 Y_0) 0.3))",
                                1, 1);
    struct ax_group *g = p->groups;
    struct ax_row *r = g->conj[0].rows[0];

    /* floor and ceil of 2^64 / 10 = 1844674407370955161.6 */
    OK(g->hi64[0] == (ax_i128)1844674407370955162LL);
    OK(g->lo64[0] == -(ax_i128)1844674407370955162LL);
    OK(g->p == 44);
    OK(g->hi[0] == 1759218604442LL); /* ceil(2^44 / 10) */
    OK(g->lo[0] == -1759218604442LL);
    /* 0.1 as a double is above 0.1, so the doubles inside end below it. */
    OK(g->hi_in[0] == nextafter(0.1, 0));
    OK(g->lo_in[0] == -nextafter(0.1, 0));
    /* 25 Y_0 <= 30 */
    OK(r->n_x == 0 && r->n_y == 1 && r->y_coef[0] == 25);
    OK(r->d64_up == 30 * ONE && !strcmp(r->d_text, "3e1") && !r->strict);
    ax_prop_free(p);
}

static void orders_products(void)
{
    struct ax_prop *p = read_ok(
        XY BOX "(assert (or (<= Y_0 1) (<= Y_0 2)))"
               "(assert (or (<= Y_0 3) (and (<= Y_0 4) (<= Y_0 5))))",
        1, 1);
    static const int want[4][4] = {
        {2, 1, 3, 0}, {3, 1, 4, 5}, {2, 2, 3, 0}, {3, 2, 4, 5}};
    int good = p->n_groups == 1 && p->groups[0].n_conj == 4;

    for (int i = 0; good && i < 4; i++) {
        struct ax_conj *c = &p->groups[0].conj[i];

        good &= c->n_rows == (uint32_t)want[i][0];
        for (uint32_t j = 0; good && j < c->n_rows; j++)
            good &= c->rows[j]->d64_up == want[i][j + 1] * ONE;
    }
    OK(good);
    ax_prop_free(p);
}

static void groups_boxes(void)
{
    struct ax_prop *p = read_ok(
        XY "(assert (or (and (>= X_0 0) (<= X_0 1) (<= Y_0 0))"
           "            (and (>= X_0 0) (<= X_0 1) (>= Y_0 9))"
           "            (and (>= X_0 3) (<= X_0 2) (>= Y_0 9))"
           "            (and (= (- X_0 X_0) 1) (>= X_0 0))"
           "            (and (= X_0 5) (<= (- X_0 X_0) 0))"
           "            (and (>= X_0 0) (<= X_0 1) (< (- X_0 X_0) 0))))",
        1, 1);

    OK(p->n_groups == 3 && p->n_empty == 2);
    OK(p->groups[0].n_conj == 2 && p->groups[1].n_conj == 1);
    OK(p->groups[1].p == 41 && p->groups[1].lo[0] == 5LL << 41);
    OK(p->groups[1].conj[0].n_rows == 0 && !p->groups[1].conj[0].never);
    OK(p->groups[2].conj[0].never);
    ax_prop_free(p);
}

static void keeps_what_was_written(void)
{
    /* One group, but the second conjunction does not contain 0.5. */
    struct ax_prop *p = read_ok(
        XY "(assert (or (and (>= X_0 0) (<= X_0 0.5))"
           "            (and (>= X_0 0) (< X_0 0.5))"
           "            (and (>= X_0 0) (<= X_0 0.5) (< X_0 0.5))))",
        1, 1);

    OK(p->n_groups == 1 && p->groups[0].n_conj == 3);
    OK(p->groups[0].conj[0].hi_in[0] == 0.5);
    OK(p->groups[0].conj[1].hi_in[0] == nextafter(0.5, 0));
    OK(p->groups[0].conj[2].hi_in[0] == nextafter(0.5, 0));
    ax_prop_free(p);
    p = read_ok(XY "(assert (= X_0 0.1))", 1, 1);
    OK(p->groups[0].conj[0].lo_in[0] > p->groups[0].conj[0].hi_in[0]);
    OK(p->groups[0].lo_in[0] == 0.1 && p->groups[0].hi_in[0] == 0.1);
    ax_prop_free(p);
}

static void takes_long_numbers(void)
{
    /* Arithmetic is in multiples of 1e-12 below 1e12. */
    static const char *const units[] = {
        XY BOX "(assert (<= (* 1e-13 Y_0) 1))",
        XY BOX "(assert (<= (* Y_0 1e12) 1))",
        XY BOX "(assert (<= (* 1e12 (* 0 Y_0)) 1))",
        XY BOX "(assert (<= (* 1e-7 (* 1e-7 Y_0)) 1))",
        XY BOX "(assert (<= (+ (* 999999999999 Y_0) Y_0) 1))",
        XY BOX "(assert (<= (* 0.1234567890123 Y_0) 1))",
    };
    char text[10000], digits[4097];
    struct ax_prop *p;

    memset(digits, '3', 4096);
    digits[4096] = 0;
    snprintf(text, sizeof text, XY BOX "(assert (<= Y_0 0.%s))", digits);
    p = read_ok(text, 1, 1);
    OK(p->groups[0].conj[0].rows[0]->d64_up == ONE / 3 + 1);
    ax_prop_free(p);
    snprintf(text, sizeof text, XY BOX "(assert (<= Y_0 0.%s3))", digits);
    refuses(text, AX_EUNSUPPORTED, "beyond the limits");
    snprintf(text, sizeof text, XY BOX "(assert (<= (* 0.%s Y_0) 1))",
             digits);
    refuses(text, AX_EUNSUPPORTED, "beyond the limits");
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        refuses(units[i], AX_EUNSUPPORTED, "beyond the limits");
    p = read_ok(XY BOX "(assert (<= Y_0 1e-4000))"
                       "(assert (<= Y_0 -1e-4000))"
                       "(assert (<= Y_0 1e4000))"
                       "(assert (<= (* 1e-12 Y_0) 1e-13))",
                1, 1);
    OK(p->groups[0].conj[0].rows[0]->d64_up == 1);
    OK(p->groups[0].conj[0].rows[1]->d64_up == 0);
    OK(p->groups[0].conj[0].rows[2]->d64_up == (ax_i128)1 << 125);
    OK(p->groups[0].conj[0].rows[3]->y_coef[0] == 1);
    OK(p->groups[0].conj[0].rows[3]->d64_up == ONE / 10 + 1);
    ax_prop_free(p);
}

static void refuses_what_is_wrong(void)
{
    char deep[700] = XY "(assert ", *s = deep + strlen(deep);

    refuses(XY BOX "(assert (<= Y_0 Y_1))", AX_EFORMAT,
            "1:103: found 'Y_1', wanted a variable that was declared");
    refuses(XY "\n (assert\n(<= Y_0 1.2.3))", AX_EFORMAT,
            "3:9: found '1.2.3'");
    refuses(XY BOX "(assert (<= Y_0 1)", AX_EFORMAT, "wanted ')'");
    refuses(XY BOX "(assert (or))", AX_EFORMAT, "wanted '('");
    refuses(XY BOX "(assert (not (<= Y_0 1)))", AX_EFORMAT, "found 'not'");
    refuses(XY BOX "(assert (<= Y_0 1)) )", AX_EFORMAT, "wanted '('");
    refuses(XY BOX "(assert (<= Y_0 1 2))", AX_EFORMAT, "two sides");
    refuses(XY BOX "(assert (<= Y_0 (* X_0 Y_0)))", AX_EUNSUPPORTED,
            "product");
    refuses(XY BOX "(assert (<= Y_0 (* 2 3)))", AX_EUNSUPPORTED, "product");
    refuses(XY BOX "(assert (<= (+ Y_0 1) 2))", AX_EUNSUPPORTED,
            "a number in a sum");
    refuses(XY BOX "(assert (<= (- 1 Y_0) 2))", AX_EUNSUPPORTED,
            "a number in a sum");
    refuses(XY BOX "(assert (<= 1 2))", AX_EUNSUPPORTED, "two numbers");
    refuses(XY BOX "(assert (<= (* 67108864 Y_0) 1))", AX_EUNSUPPORTED,
            "2^26");
    refuses(XY BOX "(assert (<= (* 1e9 Y_0) 1))", AX_EUNSUPPORTED, "2^26");
    refuses(XY "(assert (<= X_0 1))", AX_EFORMAT, "X_0 has no lower bound");
    refuses(XY "(assert (<= X_0 1))(assert (>= X_0 -17592186044416))",
            AX_EUNSUPPORTED, "2^44");
    refuses(XY "(declare-const X_0 Real)", AX_EFORMAT, "declared twice");
    refuses("(declare-const X_00 Real)", AX_EFORMAT, "found 'X_00'");
    refuses("(declare-const X_0 Int)", AX_EFORMAT, "found 'Int'");
    refuses(XY "(declare-const X_1 Real)(assert (<= X_1 0))", AX_ESHAPE,
            "2 inputs and 1 outputs, the network 1 and 1");
    refuses("(declare-const X_0 Real)", AX_ESHAPE, "1 inputs and 0 outputs");
    refuses(XY "\xff", AX_EFORMAT, "1:49: wanted '('");
    for (int i = 0; i < 65; i++)
        s += sprintf(s, "(and ");
    refuses(deep, AX_EUNSUPPORTED, "64 deep");
}

/* N - 2 times and, a comparison, and its variable and number. */
static ax_status read_nested(int n)
{
    char text[2000], *s = text + sprintf(text, "%s", XY BOX "(assert ");
    struct ax_prop *p = NULL;
    struct ax_err err = {0};
    ax_status st;

    for (int i = 0; i < n - 2; i++)
        s += sprintf(s, "(and ");
    s += sprintf(s, "(<= Y_0 1)");
    for (int i = 0; i < n - 1; i++)
        s += sprintf(s, ")");
    st = ax_prop_read(&p, text, strlen(text), 1, 1, &err);
    ax_prop_free(p);
    return st;
}

/* Twenty choices of two are 2^20 conjunctions; 21 are refused at once. */
static void caps_products(void)
{
    char text[2000] = XY BOX;
    struct ax_prop *p;

    for (int i = 0; i < 20; i++)
        strcat(text, "(assert (or (<= Y_0 1) (>= Y_0 2)))");
    p = read_ok(text, 1, 1);
    OK(p->n_groups == 1 && p->groups[0].n_conj == 1 << 20);
    ax_prop_free(p);
    strcat(text, "(assert (or (<= Y_0 1) (>= Y_0 2)))");
    refuses(text, AX_EUNSUPPORTED, "more than 1048576");
}

/* Cut anywhere, a property is refused or is another one. */
static void survives_cuts(void)
{
    static const char text[] = XY BOX
        "(assert (or (and (<= (+ Y_0 (* -2.50e-1 X_0)) (- 1))"
        "(< (- Y_0) 3.)) (= .5 Y_0))); end";
    int silent = 0;

    for (size_t n = 0; n < sizeof text; n++) {
        char *copy = malloc(n ? n : 1);
        struct ax_prop *p = NULL;
        struct ax_err err = {0};

        memcpy(copy, text, n);
        if (ax_prop_read(&p, copy, n, 1, 1, &err) != AX_OK)
            silent += !err.msg[0] || p;
        ax_prop_free(p);
        free(copy);
    }
    OK(!silent);
}

int main(void)
{
    rounds_outwards();
    orders_products();
    groups_boxes();
    keeps_what_was_written();
    takes_long_numbers();
    refuses_what_is_wrong();
    OK(read_nested(64) == AX_OK);
    OK(read_nested(65) == AX_EUNSUPPORTED);
    caps_products();
    survives_cuts();
    return tap_done();
}
