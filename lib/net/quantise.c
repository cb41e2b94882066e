/* The integer weights of ax-cert(5): K_k from the fan-in and fan-out, one
 * scale a node from its largest weight, rounding to nearest, halves
 * upwards. All in integers: doubles only carry the exact weights. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lowering.h"

#define BITS_MAX     30
#define BITS_SUM     36
#define BITS_MIN     16
#define EXPONENT_MAX 50 /* under ieee32 */

/* Smallest i with 2^i >= n. */
static int clog2(uint64_t n)
{
    int i = 0;

    while ((uint64_t)1 << i < n)
        i++;
    return i;
}

static uint64_t terms_of(const struct ax_net *net, uint32_t k,
                         const struct ax_block *b)
{
    uint64_t rows = net->nodes[k].n;

    return b->row_ptr ? b->row_ptr[rows] : rows * net->nodes[b->source].n;
}

/* The most terms of a block that name one variable; count is zero. */
static uint64_t column_count(const struct ax_net *net, uint32_t k,
                             const struct ax_block *b, uint32_t *count)
{
    uint32_t n = net->nodes[b->source].n, most = 1;
    uint64_t terms = terms_of(net, k, b);

    if (b->form == AX_BLOCK_SAME)
        return 1;
    if (b->form == AX_BLOCK_SPARSE) {
        for (uint64_t t = 0; t < terms; t++)
            if (++count[b->col[t]] > most)
                most = count[b->col[t]];
        for (uint64_t t = 0; t < terms; t++)
            count[b->col[t]] = 0;
        return most;
    }
    for (uint32_t r = 0; r < net->nodes[k].n; r++)
        for (uint32_t c = 0; c < n; c++)
            count[c] += b->w[(uint64_t)r * n + c] != 0;
    for (uint32_t c = 0; c < n; c++) {
        most = count[c] > most ? count[c] : most;
        count[c] = 0;
    }
    return most;
}

/* v = m 2^*e, |m| < 2^53; v is finite. */
static int64_t split(double v, int *e)
{
    uint64_t bits;
    int64_t m;

    memcpy(&bits, &v, sizeof bits);
    *e = (int)(bits >> 52 & 2047);
    m = (int64_t)(bits & (((uint64_t)1 << 52) - 1));
    if (*e)
        m |= (int64_t)1 << 52;
    *e = (*e ? *e : 1) - 1075;
    return bits >> 63 ? -m : m;
}

/* floor(m 2^s + 1/2), for |m| < 2^100, where this is at most 2^30. */
static int32_t rounded(ax_i128 m, int s)
{
    if (s >= 0)
        return (int32_t)(m * ((ax_i128)1 << (m ? s : 0)));
    if (s < -110)
        return 0;
    return (int32_t)((m + ((ax_i128)1 << (-s - 1))) >> -s);
}

/* floor(m 2^s / d + 1/2), d > 0 and all below 2^53 but 2^s; at most 2^30. */
static int32_t rounded_ratio(int64_t m, int64_t d, int s)
{
    ax_i128 up = m, down = d, q;

    if (!m)
        return 0;
    if (s >= 0)
        up *= (ax_i128)1 << s;
    else
        down *= (ax_i128)1 << (s < -60 ? 60 : -s);
    up = 2 * up + down;
    down *= 2;
    q = up / down;
    return (int32_t)(q - (q * down > up));
}

/* floor(sqrt(v)) */
static uint64_t root(unsigned __int128 v)
{
    uint64_t r = 0;

    for (int b = 63; b >= 0; b--) {
        uint64_t to = r | (uint64_t)1 << b;

        if ((unsigned __int128)to * to <= v)
            r = to;
    }
    return r;
}

/* m 2^e / sqrt(d 2^f), rounded to nearest, halves away from 0: at most 2^30
 * in magnitude, |m| < 2^32, d < 2^62. */
static int32_t rounded_root(int64_t m, int e, int64_t d, int f)
{
    unsigned __int128 square = (unsigned __int128)(m * m);
    int by = 2 * e - f + 2; /* of twice the quotient, squared */

    if (by < -120 || !m)
        return 0;
    if (by >= 0) /* the quotient is below 2^62 */
        square = (square << by) / (unsigned __int128)d;
    else
        square = by < -60 ? (square / (unsigned __int128)d) >> -by
                          : square / ((unsigned __int128)d << -by);
    square = (root(square) + 1) / 2;
    return (int32_t)(m < 0 ? -(int64_t)square : (int64_t)square);
}

/* Odd part and exponent of a divisor. */
static int64_t odd_part(double d, int *e)
{
    int64_t m = split(d, e);
    int zeros = __builtin_ctzll((uint64_t)m);

    *e += zeros;
    return m / ((int64_t)1 << zeros);
}

/* What is done with the terms of a row: its divisor. */
struct divisor {
    int64_t m;
    int e;
};

static struct divisor divisor_of(const struct ax_net_node *node, uint32_t i)
{
    struct divisor d = {1, 0};

    if (node->div)
        d.m = odd_part(node->div[i], &d.e);
    return d;
}

/* Terms of row i: [*begin, *end). */
static void row_span(const struct ax_block *b, uint32_t columns, uint32_t i,
                     uint64_t *begin, uint64_t *end)
{
    *begin = b->row_ptr ? b->row_ptr[i] : (uint64_t)i * columns;
    *end = b->row_ptr ? b->row_ptr[i + 1] : *begin + columns;
}

/* The largest E of the terms of a block, or *top if that is larger. */
static void largest(const struct ax_net *net, uint32_t k,
                    const struct ax_block *b, int *top)
{
    const struct ax_net_node *node = &net->nodes[k];
    uint32_t columns = net->nodes[b->source].n;

    for (uint32_t i = 0; i < node->n; i++) {
        struct divisor d = divisor_of(node, i);
        uint64_t t, end;
        double most = 0;
        int e;

        row_span(b, columns, i, &t, &end);
        for (; t < end; t++)
            most = fabs(b->w[t]) > most ? fabs(b->w[t]) : most;
        if (most == 0)
            continue;
        frexp(most, &e); /* bits(|m_w|) + e_w */
        if (node->root) {
            /* sqrt(d) >= 2^floor((bits - 1 + e_d) / 2) */
            e -= (dyadic_bits(d.m) - 1 + d.e) >> 1;
            *top = e > *top ? e : *top;
            continue;
        }
        e -= d.e;
        if (d.m != 1 && d.m != -1)
            e += 1 - dyadic_bits(d.m);
        *top = e > *top ? e : *top;
    }
}

static ax_status quantise_block(struct lowering *l, uint32_t k,
                                struct ax_block *b)
{
    const struct ax_net_node *node = &l->net->nodes[k];
    uint32_t columns = l->net->nodes[b->source].n;

    b->wq = net_keep(l, terms_of(l->net, k, b), sizeof *b->wq);
    if (!b->wq)
        return net_no_memory(l);
    for (uint32_t i = 0; i < node->n; i++) {
        struct divisor d = divisor_of(node, i);
        int64_t sign = d.m < 0 ? -1 : 1;
        uint64_t t, end;

        row_span(b, columns, i, &t, &end);
        for (; t < end; t++) {
            int e;
            int64_t m = sign * split(b->w[t], &e);

            e += node->scale;
            if (node->root) {
                if (llabs(m >> __builtin_ctzll((uint64_t)m | 1ull << 62)) >>
                        32 ||
                    d.m >> 62)
                    return net_refuse(l, "a factor of more than 32 bits");
                for (; m && !(m & 1); e++)
                    m /= 2;
                b->wq[t] = rounded_root(m, e, d.m, d.e);
                continue;
            }
            e -= d.e;
            b->wq[t] = d.m == sign ? rounded(m, e)
                                   : rounded_ratio(m, sign * d.m, e);
        }
    }
    return AX_OK;
}

static ax_status quantise_weights(struct lowering *l, uint32_t k, int bits)
{
    struct ax_net_node *node = &l->net->nodes[k];
    int top = INT32_MIN;

    for (uint32_t i = 0; i < node->n_blocks; i++)
        largest(l->net, k, &node->blocks[i], &top);
    node->scale = bits - (node->n_blocks ? top : 0);
    if (node->n_blocks && top > EXPONENT_MAX)
        net_only_real(l, "node %u of the network: factors of 2^%d", k, top);
    for (uint32_t i = 0; i < node->n_blocks; i++)
        AX_TRY(quantise_block(l, k, &node->blocks[i]));
    return AX_OK;
}

static ax_status quantise_bias(struct lowering *l, struct ax_net_node *node)
{
    int top = INT32_MIN;

    if (!node->bias)
        return AX_OK;
    node->bq = net_keep(l, node->n, sizeof *node->bq);
    if (!node->bq)
        return net_no_memory(l);
    for (uint32_t i = 0; i < node->n; i++) {
        struct ax_dyadic b = node->bias[i];

        if (b.m && dyadic_bits(b.m) + b.e > top)
            top = dyadic_bits(b.m) + b.e;
    }
    node->b_scale = BITS_MAX - top;
    for (uint32_t i = 0; i < node->n; i++)
        node->bq[i] = rounded(node->bias[i].m,
                              node->bias[i].e + node->b_scale);
    return AX_OK;
}

static ax_status quantise_node(struct lowering *l, uint32_t k,
                               const uint32_t *users, uint32_t *count)
{
    struct ax_net_node *node = &l->net->nodes[k];
    uint64_t most = 1;
    uint32_t most_users = 1;
    int room;

    for (uint32_t i = 0; i < node->n_blocks; i++) {
        const struct ax_block *b = &node->blocks[i];
        uint64_t c = column_count(l->net, k, b, count);

        most = c > most ? c : most;
        if (users[b->source] > most_users)
            most_users = users[b->source];
    }
    room = BITS_SUM - clog2(most) - clog2(most_users);
    if (ax_net_curved(node->kind))
        node->scale = room < BITS_MAX ? room : BITS_MAX;
    if (room < (node->kind == AX_NET_WEIGHTED || ax_net_curved(node->kind)
                    ? BITS_MIN
                    : 0))
        return net_refuse(l,
                          "node %u of the network: %llu terms that name one "
                          "variable are too many for a certificate",
                          k, (unsigned long long)most);
    if (node->kind == AX_NET_WEIGHTED)
        AX_TRY(quantise_weights(l, k, room < BITS_MAX ? room : BITS_MAX));
    return quantise_bias(l, node);
}

ax_status net_quantise(struct lowering *l)
{
    struct ax_net *net = l->net;
    uint32_t *users = net_alloc(l, net->n_nodes, sizeof *users), widest = 0;
    uint32_t *count;

    for (uint32_t k = 0; k < net->n_nodes; k++)
        widest = net->nodes[k].n > widest ? net->nodes[k].n : widest;
    count = net_alloc(l, widest, sizeof *count);
    if (!users || !count)
        return net_no_memory(l);
    memset(users, 0, net->n_nodes * sizeof *users);
    memset(count, 0, widest * sizeof *count);
    for (uint32_t k = 1; k < net->n_nodes; k++)
        for (uint32_t i = 0; i < net->nodes[k].n_blocks; i++)
            users[net->nodes[k].blocks[i].source]++;
    for (uint32_t k = 1; k < net->n_nodes; k++)
        AX_TRY(quantise_node(l, k, users, count));
    return AX_OK;
}
