/* The integer weights of ax-cert(5), section NETWORK: K from the number of
 * terms that name one variable, one scale a node from its largest weight,
 * rounding to nearest, halves upwards. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lowering.h"

#define BITS_MAX 30
#define BITS_SUM 36
#define BITS_MIN 16

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

    return b->form == AX_BLOCK_DENSE    ? rows * net->nodes[b->source].n
           : b->form == AX_BLOCK_SPARSE ? b->row_ptr[rows]
                                        : rows;
}

/* The most terms of node k that name one variable; at least 1. */
static ax_status column_count(struct lowering *l, uint32_t k, uint64_t *most)
{
    const struct ax_net_node *node = &l->net->nodes[k];

    *most = 1;
    for (uint32_t i = 0; i < node->n_blocks; i++) {
        const struct ax_block *b = &node->blocks[i];
        uint32_t n = l->net->nodes[b->source].n;
        uint64_t terms = terms_of(l->net, k, b);
        uint32_t *count;

        if (b->form == AX_BLOCK_SAME)
            continue;
        count = calloc((size_t)n + 1, sizeof *count);
        if (!count)
            return net_no_memory(l);
        if (b->col)
            for (uint64_t t = 0; t < terms; t++)
                count[b->col[t]]++;
        else
            for (uint32_t r = 0; r < node->n; r++)
                for (uint32_t c = 0; c < n; c++)
                    count[c] += b->w[(uint64_t)r * n + c] != 0;
        for (uint32_t c = 0; c < n; c++)
            *most = count[c] > *most ? count[c] : *most;
        free(count);
    }
    return AX_OK;
}

/* ---- weights ---- */

/* m 2^e with m odd, 53 bits at most; w is finite. */
static int64_t split(double w, int *e)
{
    int64_t m = (int64_t)ldexp(frexp(w, e), 53);

    *e -= 53;
    if (m == 0)
        return *e = 0;
    *e += __builtin_ctzll((uint64_t)m);
    return m / ((int64_t)1 << __builtin_ctzll((uint64_t)m));
}

/* The row of each term of a block, and its divisor. */
struct divisor {
    int64_t m;
    int e;
};

static struct divisor divisor_of(const struct ax_net_node *node, uint32_t i)
{
    struct divisor d = {1, 0};

    if (node->div)
        d.m = split(node->div[i], &d.e);
    return d;
}

/* E of a term: |w / d| < 2^E. */
static int exponent(double w, struct divisor d)
{
    int e, bits = 64 - __builtin_clzll((uint64_t)llabs(d.m));

    frexp(w, &e); /* 2^(e - 1) <= |w| < 2^e */
    return e - d.e - (llabs(d.m) == 1 ? 0 : bits - 1);
}

/* floor(w / d 2^s + 1/2), at most 2^30 in magnitude. */
static int32_t divide(double w, struct divisor d, int s)
{
    int e;
    ax_i128 m = split(w, &e), by = d.m, q;
    int x = e - d.e + s;

    if (by < 0) {
        m = -m;
        by = -by;
    }
    if (m == 0 || x < -70)
        return 0; /* less than 1/2 in magnitude: m < 2^53, 1/2 counts up */
    m *= x > 0 ? (ax_i128)1 << x : 1; /* below 2^30 by */
    by *= x < 0 ? (ax_i128)1 << -x : 1;
    m = 2 * m + by;
    by *= 2;
    q = m / by;
    return (int32_t)(q * by > m ? q - 1 : q);
}

/* floor(x + 1/2), for |x| <= 2^30. */
static int32_t round_half_up(double x)
{
    double f = floor(x);

    return (int32_t)f + (x - f >= 0.5);
}

/* Row r of a block: its terms' place. */
static uint64_t row_begin(const struct ax_net *net, const struct ax_block *b,
                          uint32_t r)
{
    return b->form == AX_BLOCK_DENSE ? (uint64_t)r * net->nodes[b->source].n
                                     : b->row_ptr[r];
}

/* E of the node. Terms that are 0 are none. */
static int node_exponent(const struct ax_net *net,
                         const struct ax_net_node *node)
{
    int most = INT32_MIN;

    for (uint32_t i = 0; i < node->n_blocks; i++)
        for (uint32_t r = 0; r < node->n; r++) {
            const struct ax_block *b = &node->blocks[i];
            uint64_t end = row_begin(net, b, r + 1);
            struct divisor d = divisor_of(node, r);
            double top = 0;

            for (uint64_t t = row_begin(net, b, r); t < end; t++)
                top = fabs(b->w[t]) > top ? fabs(b->w[t]) : top;
            if (top > 0 && exponent(top, d) > most)
                most = exponent(top, d);
        }
    return most == INT32_MIN ? 0 : most;
}

static ax_status quantise_weights(struct lowering *l,
                                  struct ax_net_node *node, int bits)
{
    const struct ax_net *net = l->net;
    double factor;
    bool plain;

    node->scale = bits - node_exponent(net, node);
    factor = ldexp(1, node->scale);
    plain = !node->div && isfinite(factor) && node->scale > -1000;
    for (uint32_t i = 0; i < node->n_blocks; i++) {
        struct ax_block *b = &node->blocks[i];

        b->wq = net_keep(l, row_begin(net, b, node->n), sizeof *b->wq);
        if (!b->wq)
            return net_no_memory(l);
        for (uint32_t r = 0; r < node->n; r++) {
            uint64_t end = row_begin(net, b, r + 1);
            struct divisor d = divisor_of(node, r);

            for (uint64_t t = row_begin(net, b, r); t < end; t++)
                b->wq[t] = plain ? round_half_up(b->w[t] * factor)
                                 : divide(b->w[t], d, node->scale);
        }
    }
    return AX_OK;
}

/* ---- biases ---- */

static ax_status quantise_bias(struct lowering *l, struct ax_net_node *node)
{
    int most = INT32_MIN;

    for (uint32_t i = 0; node->bias && i < node->n; i++) {
        struct ax_dyadic b = node->bias[i];

        if (b.m && dyadic_bits(b.m) + b.e > most)
            most = dyadic_bits(b.m) + b.e;
    }
    if (most == INT32_MIN) {
        node->bias = NULL;
        return AX_OK;
    }
    node->bq = net_keep(l, node->n, sizeof *node->bq);
    if (!node->bq)
        return net_no_memory(l);
    node->b_scale = BITS_MAX - most;
    for (uint32_t i = 0; i < node->n; i++) {
        ax_i128 m = node->bias[i].m;
        int shift = node->bias[i].e + node->b_scale;

        if (m == 0 || shift < -110)
            m = 0;
        else if (shift >= 0)
            m *= (ax_i128)1 << shift;
        else
            m = (m + ((ax_i128)1 << (-shift - 1))) >> -shift;
        node->bq[i] = (int32_t)m;
    }
    return AX_OK;
}

ax_status net_quantise(struct lowering *l)
{
    struct ax_net *net = l->net;
    uint32_t *users = net_alloc(l, net->n_nodes, sizeof *users);

    if (!users)
        return net_no_memory(l);
    memset(users, 0, net->n_nodes * sizeof *users);
    for (uint32_t k = 1; k < net->n_nodes; k++)
        for (uint32_t i = 0; i < net->nodes[k].n_blocks; i++)
            users[net->nodes[k].blocks[i].source]++;
    for (uint32_t k = 1; k < net->n_nodes; k++) {
        struct ax_net_node *node = &net->nodes[k];
        uint32_t most_users = 1;
        uint64_t most;
        int bits;

        AX_TRY(column_count(l, k, &most));
        for (uint32_t i = 0; i < node->n_blocks; i++)
            if (users[node->blocks[i].source] > most_users)
                most_users = users[node->blocks[i].source];
        bits = BITS_SUM - clog2(most) - clog2(most_users);
        if (bits < (node->kind == AX_NET_WEIGHTED ? BITS_MIN : 0))
            return net_refuse(l,
                              "%llu terms that name one variable are too "
                              "many for a certificate",
                              (unsigned long long)most);
        if (node->kind == AX_NET_WEIGHTED)
            AX_TRY(
                quantise_weights(l, node, bits < BITS_MAX ? bits : BITS_MAX));
        AX_TRY(quantise_bias(l, node));
    }
    return AX_OK;
}
