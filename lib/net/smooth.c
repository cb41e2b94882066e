/* The smooth functions in integers, as ax-cert(5), Smooth functions, has
 * them: each is (1 + f(v)) / 2 at scale 28 for v at scale 28. */
#include "lowering.h"

#define SCALE  60
#define ONE    ((ax_i128)1 << SCALE)
#define HALVES 8 /* times that an angle is halved */
#define TERMS  7
/* At scale 60, rounded down. */
#define HALF_PI_256TH 7074237752028440    /* pi / 512 */
#define TWO_OVER_ROOT 1300932607094779153 /* 2 / sqrt(pi) */
#define ROOT_OF_HALF  815238614083298888  /* 1 / sqrt(2) */
/* From here on erf is 1 - 2^-32 or more. */
#define ERF_FAR (((int64_t)9 << 28) / 2)

bool ax_net_smooth(enum ax_net_kind k)
{
    return k >= AX_NET_SIGMOID && k <= AX_NET_GELU;
}

/* (1 + cos(256 a)) / 2, |a| < 0.26 at scale 60: by the series of cos a, and
 * cos 2 a = 2 cos^2 a - 1. */
static int64_t half_cosine(ax_i128 a)
{
    ax_i128 square = (a * a) >> SCALE, p = ONE;

    for (int k = TERMS; k > 0; k--)
        p = ONE - ((square * p) >> SCALE) / ((2 * k - 1) * (2 * k));
    for (int n = 0; n < HALVES; n++)
        p = ((p * p) >> (SCALE - 1)) - ONE;
    return (int64_t)((ONE + p) >> (SCALE + 1 - 28));
}

/* erf at scale 28: its series of positive terms, x e^(-x^2) sum (2 x^2)^n /
 * (1 3 5 ... (2 n + 1)) (Abramowitz and Stegun, 7.1.6). */
static int64_t erf_28(int64_t x)
{
    ax_i128 y, p;
    int64_t t, sum;

    if (x < 0)
        return -erf_28(-x);
    if (x >= ERF_FAR)
        return AX_SIGMOID_ONE;
    y = ((ax_i128)x * x) >> 27;
    sum = t = 4 * x;
    for (int n = 1; t > 0; n++) {
        t = (int64_t)((t * y) >> 28) / (2 * n + 1);
        sum += t;
    }
    p = ((ax_i128)sum * net_decay((int64_t)(y >> 1))) >> SCALE;
    p = (p * TWO_OVER_ROOT) >> (SCALE + 2);
    return p < AX_SIGMOID_ONE ? (int64_t)p : AX_SIGMOID_ONE;
}

int64_t ax_smooth(enum ax_net_kind k, int64_t x)
{
    const ax_i128 angle = (ax_i128)x * (1 << (SCALE - 28 - HALVES));

    switch (k) {
    case AX_NET_SINE:
        return half_cosine(angle - HALF_PI_256TH);
    case AX_NET_COSINE:
        return half_cosine(angle);
    case AX_NET_ERF:
        return (AX_SIGMOID_ONE + erf_28(x)) >> 1;
    case AX_NET_GELU:
        x = x * (ax_i128)(AX_SIGMOID_ONE +
                          erf_28((int64_t)((x * (ax_i128)ROOT_OF_HALF) >>
                                           SCALE))) >>
            30;
        return AX_SIGMOID_ONE / 2 + x;
    default:
        return ax_sigmoid(x);
    }
}

int64_t ax_smooth_error(enum ax_net_kind k)
{
    return k == AX_NET_GELU ? 32 : k == AX_NET_ERF ? 16 : 2;
}
