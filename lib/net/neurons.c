/* Neurons: the kinds of node that have them, and the sigmoid in integers, the
 * function S of ax-cert(5), section ARITHMETIC. */
#include "lowering.h"

#define SCALE 60
#define ONE   ((ax_i128)1 << SCALE)
#define TERMS 16
#define INV_E 424136118829305329 /* floor(2^60 / e) */

bool ax_net_neurons(enum ax_net_kind k)
{
    return k == AX_NET_RELU || k == AX_NET_SIGMOID || k == AX_NET_HOLD;
}

bool ax_net_curved(enum ax_net_kind k)
{
    return k == AX_NET_PRODUCT || k == AX_NET_RECIPROCAL;
}

int64_t ax_sigmoid(int64_t x)
{
    ax_i128 p = ONE, f;

    if (x < 0)
        return AX_SIGMOID_ONE - ax_sigmoid(x > INT64_MIN ? -x : INT64_MAX);
    if (x >> 28 >= 32)
        return AX_SIGMOID_ONE;
    f = (ax_i128)(x & (AX_SIGMOID_ONE - 1)) << (SCALE - 28);
    for (int k = TERMS; k > 0; k--)
        p = ONE - ((f * p) >> SCALE) / k;
    for (int64_t n = x >> 28; n > 0; n--)
        p = (p * INV_E) >> SCALE;
    return (int64_t)((ONE << 28) / (ONE + p));
}
