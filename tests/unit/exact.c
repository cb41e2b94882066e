/* Exact evaluation and replay: values that no floating point gives, ties,
 * bounds as they were written. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ax/net.h"
#include "build.h"
#include "tap.h"

#define VARS "(declare-const X_0 Real)(declare-const Y_0 Real)"

static struct ax_net *lowered(void)
{
    struct ax_net *net = NULL;
    struct ax_err err = {0};

    OK(ax_net_lower(&net, &build_model, &err) == AX_OK);
    return net;
}

static double output(const struct ax_net *net, float x)
{
    struct ax_err err = {0};
    double y = NAN;

    OK(ax_net_exact(net, &x, &y, &err) == AX_OK);
    return y;
}

/* y = w^n x through n Relus, plus b. */
static struct ax_net *chain(const float *w, int n, const float *b)
{
    uint32_t v;

    build_new();
    v = in_(2, 1, 1);
    for (int i = 0; i < n; i++)
        v = op_(AX_OP_Relu, 1, op_(AX_OP_MatMul, 2, v, flts(w, 2, 1, 1)));
    out_(op_(AX_OP_Add, 2, v, flts(b, 0)));
    return lowered();
}

static void rounds_once(void)
{
    static const float w[] = {0x1.000002p0F, 0x1p-120F, 0x1p120F},
                       b[] = {0, -1};
    struct ax_net *net = chain(w, 5, b);

    OK(output(net, 0.1F) == 0x1.9999aa0000440p-4);
    OK(output(net, -0.1F) == 0);
    OK(output(net, 0) == 0);
    ax_net_free(net);
    net = chain(w, 5, b + 1);
    OK(output(net, 0.1F) == -0x1.cccccabffff78p-1);
    OK(output(net, 0x1p-149F) == -1); /* a tie to even: nearest is -1 */
    ax_net_free(net);
    net = chain(w + 1, 8, b);
    OK(output(net, 0x1p-114F) == 0x1p-1074);
    OK(output(net, 0x1.8p-115F) == 0x1p-1074);
    OK(output(net, 0x1p-115F) == 0); /* half of the least: to even */
    OK(output(net, 0x1p-116F) == 0);
    ax_net_free(net);
    net = chain(w + 2, 7, b);
    OK(output(net, 0x1.fffffep127F) == 0x1.fffffep967);
    ax_net_free(net);
}

/* 2^100 x + 1 - 2^100 x, through a Relu: 1, whatever the order of sums. */
static void absorbs_nothing(void)
{
    static const float w[] = {0x1p100F, 0x1p100F}, b[] = {1, 0};
    static const float out[] = {1, -1};
    struct ax_net *net;
    uint32_t v;

    build_new();
    v = op_(AX_OP_Gemm, 3, in_(2, 1, 1), flts(w, 2, 1, 2), flts(b, 1, 2));
    v = op_(AX_OP_Relu, 1, v);
    out_(op_(AX_OP_MatMul, 2, v, flts(out, 2, 2, 1)));
    net = lowered();
    OK(output(net, 0.7F) == 1);
    OK(output(net, 1e30F) == 1);
    OK(output(net, -1) == 0);
    ax_net_free(net);
}

static ax_status replay(const struct ax_net *net, const char *asserts,
                        float x, uint32_t *conj)
{
    char text[1000];
    struct ax_prop *p = NULL;
    struct ax_err err = {0};
    uint32_t group = 99;
    ax_status st;

    snprintf(text, sizeof text, VARS "%s", asserts);
    if (ax_prop_read(&p, text, strlen(text), 1, 1, &err) != AX_OK)
        printf("# %s\n", err.msg);
    if (!p)
        return AX_EBUG;
    st = ax_net_refutes(net, p, &x, &group, conj, &err);
    ax_prop_free(p);
    return st;
}

static void replays(void)
{
    static const float one = 1, zero = 0;
    struct ax_net *net = chain(&one, 0, &zero); /* y = x */
    uint32_t c = 99;

#define UNIT "(assert (>= X_0 0))(assert (<= X_0 1))"
    OK(replay(net, UNIT "(assert (>= Y_0 0.5))", 0.5F, &c) == AX_OK);
    OK(c == 0);
    OK(replay(net, UNIT "(assert (> Y_0 0.5))", 0.5F, &c) == AX_NO);
    OK(replay(net, UNIT "(assert (> Y_0 0.5))", 0.75F, &c) == AX_OK);
    OK(replay(net, UNIT "(assert (> Y_0 0.5))", 1.5F, &c) == AX_NO);
    /* 0.1F is above 0.1. */
    OK(replay(net, UNIT "(assert (<= Y_0 0.1))", 0.1F, &c) == AX_NO);
    OK(replay(net, UNIT "(assert (>= Y_0 0.1))", 0.1F, &c) == AX_OK);
    OK(replay(net, UNIT "(assert (= Y_0 0.100000001490116119384765625))",
              0.1F, &c) == AX_OK);
    OK(replay(net, UNIT "(assert (= Y_0 0.1000000014901161193847656250001))",
              0.1F, &c) == AX_NO);
    OK(replay(net, "(assert (>= X_0 0))(assert (<= X_0 0.1))", 0.1F, &c) ==
       AX_NO);
    OK(replay(net, "(assert (>= X_0 0))(assert (<= X_0 0.1))",
              nextafterf(0.1F, 0), &c) == AX_OK);
    OK(replay(net, "(assert (>= X_0 0))(assert (< X_0 0.5))", 0.5F, &c) ==
       AX_NO);
    /* An input that is fixed is what it is fixed to, if that is sure. */
#define TENTH "(assert (>= X_0 0.1))(assert (<= X_0 0.1))"
    OK(replay(net, TENTH "(assert (<= Y_0 0.1000000001))", 0.1F, &c) ==
       AX_OK);
    OK(replay(net, TENTH "(assert (>= Y_0 0.1000000001))", 0.1F, &c) ==
       AX_NO);
    OK(replay(net, TENTH "(assert (<= Y_0 0.2))", 7, &c) == AX_OK);
    OK(replay(net, "(assert (= X_0 -1e-1))(assert (<= Y_0 0.2))", 7, &c) ==
       AX_OK);
    OK(replay(net,
              "(assert (>= X_0 0.10))(assert (<= 1e-1 X_0 ))"
              "(assert (<= X_0 00.1))(assert (<= Y_0 0.2))",
              7, &c) == AX_OK);
    OK(replay(
           net,
           "(assert (>= X_0 0.1))(assert (<= X_0 0.1000000000000000000001))"
           "(assert (<= Y_0 0.2))",
           0.1F, &c) == AX_NO);
    OK(replay(net, TENTH "(assert (< X_0 0.1))(assert (<= Y_0 0.2))", 7,
              &c) == AX_NO);
    OK(replay(net, "(assert (> X_0 0.1))" TENTH "(assert (<= Y_0 0.2))", 7,
              &c) == AX_NO);
    OK(replay(net,
              TENTH "(assert (<= X_0 0.09999999999999999999999999999))"
                    "(assert (<= Y_0 0.2))",
              7, &c) == AX_NO);
    OK(replay(net,
              TENTH "(assert (>= X_0 0.10000000000000000000000000001))"
                    "(assert (<= Y_0 0.2))",
              7, &c) == AX_NO);
    OK(replay(net,
              "(assert (or (and (= X_0 0.1) (>= Y_0 0.15)) "
              "(and (= X_0 0.2) (>= Y_0 0.15))))",
              7, &c) == AX_OK);
    OK(c == 0);
    /* Rows over inputs and outputs, and which one it is. */
    OK(replay(net,
              UNIT "(assert (or (< Y_0 X_0) (and (<= (- (* 3 Y_0) X_0 X_0) "
                   "0.25) (>= Y_0 X_0))))",
              0.25F, &c) == AX_OK);
    OK(c == 1);
    OK(replay(net, UNIT "(assert (< (- X_0 X_0) 0))", 0.25F, &c) == AX_NO);
    OK(replay(net, UNIT "(assert (>= Y_0 -1e-4000))", 0, &c) == AX_OK);
    OK(replay(net, UNIT "(assert (<= Y_0 -1e-4000))", 0, &c) == AX_NO);
    OK(replay(net, UNIT "(assert (<= Y_0 1e-4000))", 0x1p-149F, &c) == AX_NO);
    OK(replay(net, UNIT "(assert (<= (* 1e-12 Y_0) 1e90))", 0.5F, &c) ==
       AX_OK);
    OK(replay(net, UNIT, NAN, &c) == AX_EFORMAT);
    OK(replay(net, UNIT, INFINITY, &c) == AX_EFORMAT);
    ax_net_free(net);
}

/* x / 0.1F, / 3, / 9 of it and of x side by side, and their sum. */
static void divides(void)
{
    static const float tenth = 0.1F, three = 3, nine[] = {9, -18};
    struct ax_net *net;
    uint32_t x, v, c = 99;

    build_new();
    out_(op_(AX_OP_Div, 2, in_(2, 1, 1), flts(&tenth, 0)));
    net = lowered();
    OK(output(net, 1) == 1 / (double)tenth);
    OK(output(net, tenth) == 1 && output(net, -0x1p-149F) < 0);
    OK(replay(net,
              "(assert (>= X_0 0))(assert (<= X_0 1))"
              "(assert (= Y_0 1))",
              tenth, &c) == AX_OK);
    OK(replay(net,
              "(assert (>= X_0 0))(assert (<= X_0 1))"
              "(assert (> Y_0 1))",
              tenth, &c) == AX_NO);
    OK(replay(net,
              "(assert (>= X_0 0))(assert (<= X_0 1))"
              "(assert (>= (- Y_0 (* 9.5 X_0)) 0.05))",
              tenth, &c) == AX_NO);
    ax_net_free(net);

    /* A third is no decimal and no float: 0.333... < y < 0.333...4. */
    build_new();
    out_(
        op_(AX_OP_Relu, 1, op_(AX_OP_Div, 2, in_(2, 1, 1), flts(&three, 0))));
    net = lowered();
    OK(output(net, 1) == 1. / 3 && output(net, -1) == 0);
    OK(replay(net,
              "(assert (>= X_0 0))(assert (<= X_0 1))"
              "(assert (<= Y_0 0.333333333333333333333333333333))",
              1, &c) == AX_NO);
    OK(replay(net,
              "(assert (>= X_0 0))(assert (<= X_0 1))"
              "(assert (<= Y_0 0.333333333333333333333333333334))",
              1, &c) == AX_OK);
    OK(replay(net,
              "(assert (>= X_0 0))(assert (<= X_0 1))"
              "(assert (<= (* 3 Y_0) 1))(assert (>= (* 3 Y_0) X_0))",
              1, &c) == AX_OK);
    ax_net_free(net);

    /* x / 9 + x / -18 + x / 3 = 7 x / 18, over three denominators. */
    build_new();
    x = in_(2, 1, 1);
    v = op_(AX_OP_Add, 2, op_(AX_OP_Div, 2, x, flts(nine, 0)),
            op_(AX_OP_Div, 2, x, flts(nine + 1, 0)));
    v = op_(AX_OP_Add, 2, v, op_(AX_OP_Div, 2, x, flts(&three, 0)));
    out_(op_(AX_OP_Add, 2, v, flts(&three, 0)));
    net = lowered();
    OK(output(net, 1) == 61. / 18 && output(net, 18) == 10);
    OK(output(net, -7.5F) == 1.5 / 18);
    ax_net_free(net);
}

/* A random network, against long double. */
static void agrees_with_floats(void)
{
    enum { N = 7 };
    static float w[3][64], b[3][8];
    double y[N], worst = 0;
    struct ax_err err = {0};
    struct ax_net *net;
    uint32_t v;

    srand(7);
    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < 64; i++)
            w[k][i] = (float)rand() / (float)RAND_MAX - 0.5F;
        for (int i = 0; i < 8; i++)
            b[k][i] = (float)rand() / (float)RAND_MAX - 0.5F;
    }
    build_new();
    v = in_(2, 1, N);
    for (int k = 0; k < 3; k++) {
        v = op_(AX_OP_Gemm, 3, v, flts(w[k], 2, N, N), flts(b[k], 1, N));
        if (k < 2)
            v = op_(AX_OP_Relu, 1, v);
    }
    out_(v);
    net = lowered();
    for (int t = 0; t < 100; t++) {
        long double a[N], z[N];
        float x[N];

        for (int i = 0; i < N; i++)
            a[i] = x[i] = (float)rand() / (float)RAND_MAX * 8 - 4;
        for (int k = 0; k < 3; k++) {
            for (int j = 0; j < N; j++) {
                z[j] = b[k][j];
                for (int i = 0; i < N; i++)
                    z[j] += a[i] * w[k][i * N + j];
            }
            for (int j = 0; j < N; j++)
                a[j] = z[j] > 0 || k == 2 ? z[j] : 0;
        }
        if (ax_net_exact(net, x, y, &err) != AX_OK)
            worst = 1;
        for (int j = 0; j < N; j++)
            worst = fmax(worst, fabs(y[j] - (double)a[j]));
    }
    OK(worst < 1e-15);
    ax_net_free(net);
}

int main(void)
{
    rounds_once();
    absorbs_nothing();
    replays();
    divides();
    agrees_with_floats();
    return tap_done();
}
