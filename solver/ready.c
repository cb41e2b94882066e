/* Properties that need no file: their VNN-LIB text, with exact decimals. */
#include <gmp.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ax/prove.h"
#include "decimal.h"

#define EXPONENT_MAX 400

/* m 10^-places */
struct fixed {
    mpz_t m;
    unsigned long places;
};

static void shift_places(struct fixed *f, unsigned long places)
{
    mpz_t ten;

    mpz_init(ten);
    mpz_ui_pow_ui(ten, 10, places - f->places);
    mpz_mul(f->m, f->m, ten);
    mpz_clear(ten);
    f->places = places;
}

/* Give both as many places as the one that has more. */
static void align(struct fixed *a, struct fixed *b)
{
    if (a->places < b->places)
        shift_places(a, b->places);
    else
        shift_places(b, a->places);
}

/* A decimal of up to 36 digits. */
static bool fixed_read(struct fixed *f, const char *s)
{
    struct decimal d;
    uint64_t half[2];
    unsigned __int128 m;

    if (decimal_read(&d, s, strlen(s)) != NUMBER_OK || d.digits ||
        abs(d.e) > EXPONENT_MAX)
        return false;
    m = d.m < 0 ? -(unsigned __int128)d.m : (unsigned __int128)d.m;
    half[0] = (uint64_t)m;
    half[1] = (uint64_t)(m >> 64);
    mpz_import(f->m, 2, -1, sizeof *half, 0, 0, half);
    if (d.m < 0)
        mpz_neg(f->m, f->m);
    f->places = d.e < 0 ? (unsigned long)-d.e : 0;
    if (d.e > 0) {
        shift_places(f, (unsigned long)d.e);
        f->places = 0;
    }
    return true;
}

/* A float32, exactly: m 2^-k is m 5^k 10^-k. */
static void fixed_float(struct fixed *f, float x)
{
    int e;
    double m = ldexp((double)frexpf(x, &e), 24);
    mpz_t scale;

    e -= 24;
    mpz_set_d(f->m, m);
    mpz_init(scale);
    mpz_ui_pow_ui(scale, e < 0 ? 5 : 2, (unsigned long)abs(e));
    mpz_mul(f->m, f->m, scale);
    mpz_clear(scale);
    f->places = e < 0 ? (unsigned long)-e : 0;
}

static void fixed_print(FILE *out, const struct fixed *f)
{
    char *s = mpz_get_str(NULL, 10, f->m), *digits = s + (*s == '-');
    size_t n = strlen(digits), whole, end;

    fputs(*s == '-' ? "-" : "", out);
    whole = n > f->places ? n - f->places : 0;
    for (end = n; end > whole && digits[end - 1] == '0'; end--)
        continue;
    fprintf(out, "%.*s", whole ? (int)whole : 1, whole ? digits : "0");
    if (end > whole) {
        fputc('.', out);
        for (size_t i = n; i < f->places; i++)
            fputc('0', out);
        fwrite(digits + whole, 1, end - whole, out);
    }
    free(s);
}

/* The bound of input i on one side: x less (sign -1) or more the radius, or
 * the nearer end, if there is one. False: it is beyond the farther end. */
static bool print_bound(FILE *out, uint32_t i, float x,
                        const struct fixed *radius,
                        const struct fixed *nearer,
                        const struct fixed *farther, int sign)
{
    const struct fixed *ends[] = {nearer, farther};
    struct fixed at, r, end;
    bool inside = true;

    mpz_inits(at.m, r.m, end.m, NULL);
    fixed_float(&at, x);
    mpz_set(r.m, radius->m);
    r.places = radius->places;
    align(&at, &r);
    if (sign < 0)
        mpz_sub(at.m, at.m, r.m);
    else
        mpz_add(at.m, at.m, r.m);
    for (int k = 0; k < 2; k++) {
        int past;

        if (!ends[k])
            continue;
        mpz_set(end.m, ends[k]->m);
        end.places = ends[k]->places;
        align(&at, &end);
        past = sign * mpz_cmp(at.m, end.m);
        if (k == 0 && past > 0)
            mpz_set(at.m, end.m);
        inside &= k == 0 || past >= 0;
    }
    fprintf(out, "(assert (%s X_%u ", sign < 0 ? ">=" : "<=", i);
    fixed_print(out, &at);
    fputs("))\n", out);
    mpz_clears(at.m, r.m, end.m, NULL);
    return inside;
}

/* The output that is greater than all others at x. */
static ax_status winner(uint32_t *out, const struct ax_net *net,
                        const float *x, struct ax_err *err)
{
    uint32_t n = net->nodes[net->n_nodes - 1].n, best = 0, ties = 0;
    double *y = calloc(n + 1u, sizeof *y);
    ax_status st = AX_ENOMEM;

    if (!y)
        return ax_fail(err, AX_ENOMEM, "no memory for %u outputs", n);
    st = ax_net_exact(net, x, y, err);
    for (uint32_t j = 1; j < n; j++)
        best = y[j] > y[best] ? j : best;
    for (uint32_t j = 0; j < n; j++)
        ties += y[j] == y[best];
    free(y);
    if (st == AX_OK && ties > 1)
        st = ax_fail(err, AX_EUSAGE,
                     "%u outputs are the greatest at the input: name one "
                     "with label=",
                     ties);
    *out = best;
    return st;
}

/* Read ball's numbers into radius, min, max; those that are not there are
 * NULL in ends. */
static ax_status read_ball(const struct ax_ball *ball, struct fixed *numbers,
                           const struct fixed **ends, struct ax_err *err)
{
    const char *const texts[] = {ball->radius, ball->min, ball->max};
    static const char *const names[] = {"linf", "min", "max"};

    for (int i = 0; i < 3; i++) {
        ends[i] = texts[i] ? &numbers[i] : NULL;
        if (texts[i] && !fixed_read(&numbers[i], texts[i]))
            return ax_fail(err, AX_EUSAGE, "%s= wants a number, not '%.40s'",
                           names[i], texts[i]);
    }
    if (!ball->radius || mpz_sgn(numbers[0].m) < 0)
        return ax_fail(err, AX_EUSAGE, "linf= wants a number from 0 on");
    if (ends[1] && ends[2]) {
        align(&numbers[1], &numbers[2]);
        if (mpz_cmp(numbers[1].m, numbers[2].m) > 0)
            return ax_fail(err, AX_EUSAGE, "min= is above max=");
    }
    return AX_OK;
}

static ax_status print_robust(FILE *out, const struct ax_net *net,
                              const float *x, const struct ax_ball *ball,
                              const struct fixed *const *ends,
                              struct ax_err *err)
{
    uint32_t n_x = net->nodes[0].n, n_y = net->nodes[net->n_nodes - 1].n;
    uint32_t label = (uint32_t)ball->label;

    if (n_y < 2)
        return ax_fail(err, AX_EUSAGE,
                       "robust: wants a network of two outputs or more");
    if (ball->label >= n_y)
        return ax_fail(err, AX_EUSAGE,
                       "label= wants a number below %u, the "
                       "number of outputs",
                       n_y);
    if (ball->label < 0)
        AX_TRY(winner(&label, net, x, err));
    fprintf(out,
            "; Robust: within %s of the input, in every element, output %u\n"
            "; is greater than all others.\n",
            ball->radius, label);
    for (uint32_t i = 0; i < n_x; i++)
        fprintf(out, "(declare-const X_%u Real)\n", i);
    for (uint32_t j = 0; j < n_y; j++)
        fprintf(out, "(declare-const Y_%u Real)\n", j);
    for (uint32_t i = 0; i < n_x; i++) {
        if (!print_bound(out, i, x[i], ends[0], ends[1], ends[2], -1) ||
            !print_bound(out, i, x[i], ends[0], ends[2], ends[1], 1))
            return ax_fail(err, AX_EUSAGE,
                           "element %u of the input, %g, is out of reach of "
                           "min= and max=",
                           i, (double)x[i]);
    }
    fputs("(assert (or", out);
    for (uint32_t j = 0; j < n_y; j++)
        if (j != label)
            fprintf(out, " (<= Y_%u Y_%u)", label, j);
    fputs("))\n", out);
    return AX_OK;
}

ax_status ax_prop_robust(char **text, size_t *n, const struct ax_net *net,
                         const float *x, const struct ax_ball *ball,
                         struct ax_err *err)
{
    struct fixed numbers[3];
    const struct fixed *ends[3];
    FILE *out = open_memstream(text, n);
    ax_status st;

    *text = out ? *text : NULL;
    if (!out)
        return ax_fail(err, AX_ENOMEM, "no memory for the property");
    mpz_inits(numbers[0].m, numbers[1].m, numbers[2].m, NULL);
    st = read_ball(ball, numbers, ends, err);
    for (uint32_t i = 0; st == AX_OK && i < net->nodes[0].n; i++)
        if (!isfinite(x[i]))
            st = ax_fail(err, AX_EFORMAT, "element %u is not finite", i);
    if (st == AX_OK)
        st = print_robust(out, net, x, ball, ends, err);
    mpz_clears(numbers[0].m, numbers[1].m, numbers[2].m, NULL);
    if (fclose(out) != 0 && st == AX_OK)
        st = ax_fail(err, AX_ENOMEM, "no memory for the property");
    if (st != AX_OK) {
        free(*text);
        *text = NULL;
    }
    return st;
}
