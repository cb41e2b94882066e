/* Neurons: the kinds of node that have them, and the sigmoid in integers, the
 * function S of ax-cert(5), section ARITHMETIC. */
#include "lowering.h"

#define SCALE 60
#define ONE   ((ax_i128)1 << SCALE)
#define TERMS 16
#define INV_E 424136118829305329 /* floor(2^60 / e) */

bool ax_net_neurons(enum ax_net_kind k)
{
    return k == AX_NET_RELU || k == AX_NET_HOLD || ax_net_smooth(k);
}

bool ax_net_curved(enum ax_net_kind k)
{
    return k == AX_NET_PRODUCT || k == AX_NET_RECIPROCAL || k == AX_NET_EXP;
}

ax_i128 net_decay(int64_t x)
{
    ax_i128 f = (ax_i128)(x & (AX_SIGMOID_ONE - 1)) << (SCALE - 28), p = ONE;

    for (int k = TERMS; k > 0; k--) /* the quotient is below 2^60 */
        p = ONE - (int64_t)((f * p) >> SCALE) / k;
    for (int64_t n = x >> 28; n > 0; n--)
        p = (p * INV_E) >> SCALE;
    return p;
}

ax_i128 ax_exp(int64_t x)
{
    if (x < 0)
        return net_decay(-x) >> (SCALE - 28);
    if (x > AX_EXP_MOST / 2) /* where the decay has few bits */
        return (ax_exp(x / 2) * ax_exp(x - x / 2)) >> 28;
    return (ONE << 28) / net_decay(x);
}

ax_i128 ax_exp_error(ax_i128 e)
{
    return (e >> 28) + 2;
}

int64_t ax_sigmoid(int64_t x)
{
    if (x < 0)
        return AX_SIGMOID_ONE - ax_sigmoid(x > INT64_MIN ? -x : INT64_MAX);
    if (x >> 28 >= 32)
        return AX_SIGMOID_ONE;
    return (int64_t)((ONE << 28) / (ONE + net_decay(x)));
}
