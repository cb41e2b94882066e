/* The integer weights of ax-cert(5): K_k from the fan-in and fan-out, one
 * scale a block from its largest coefficient, rounding to nearest, halves
 * upwards. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "form.h"

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

    return b->row_ptr ? b->row_ptr[rows] : rows * net->nodes[b->source].n;
}

/* The most coefficients in one column of one block of node k. */
static ax_status column_count(struct lowering *l, uint32_t k, uint64_t *most)
{
    const struct ax_net_node *node = &l->net->nodes[k];

    *most = 1;
    for (uint32_t i = 0; i < node->n_blocks; i++) {
        const struct ax_block *b = &node->blocks[i];
        uint32_t n = l->net->nodes[b->source].n;
        uint64_t terms = terms_of(l->net, k, b);
        uint32_t *count = calloc((size_t)n + 1, sizeof *count);

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

/* floor(x + 1/2), for |x| <= 2^30. */
static int32_t round_half_up(double x)
{
    double f = floor(x);

    return (int32_t)f + (x - f >= 0.5);
}

static ax_status quantise_block(struct lowering *l, struct ax_block *b,
                                uint64_t n, int bits)
{
    double top = 0, factor;
    int e;

    for (uint64_t i = 0; i < n; i++)
        top = fabs(b->w[i]) > top ? fabs(b->w[i]) : top;
    frexp(top, &e);
    b->scale = bits - e;
    b->wq = net_keep(l, n, sizeof *b->wq);
    if (!b->wq)
        return net_no_memory(l);
    factor = ldexp(1, b->scale);
    for (uint64_t i = 0; i < n; i++)
        b->wq[i] = round_half_up(isinf(factor) || b->scale < -1000
                                     ? ldexp(b->w[i], b->scale)
                                     : b->w[i] * factor);
    return AX_OK;
}

static ax_status quantise_bias(struct lowering *l, struct ax_net_node *node)
{
    unsigned __int128 top = 0;
    int e = node->b_e;

    if (!node->b_m)
        return AX_OK;
    node->bq = net_keep(l, node->n, sizeof *node->bq);
    if (!node->bq)
        return net_no_memory(l);
    for (uint32_t i = 0; i < node->n; i++) {
        ax_i128 m = node->b_m[i];
        unsigned __int128 u = m < 0 ? -(unsigned __int128)m
                                    : (unsigned __int128)m;

        top = u > top ? u : top;
    }
    for (; top; top >>= 1)
        e++;
    node->b_scale = node->bits - e;
    for (uint32_t i = 0; i < node->n; i++) {
        ax_i128 m = node->b_m[i];
        int shift = node->b_e + node->b_scale;

        if (shift >= 0)
            m *= (ax_i128)1 << shift;
        else if (shift < -126)
            m = 0;
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

        AX_TRY(column_count(l, k, &most));
        for (uint32_t i = 0; i < node->n_blocks; i++)
            if (users[node->blocks[i].source] > most_users)
                most_users = users[node->blocks[i].source];
        node->bits = BITS_SUM - clog2(most) - clog2(most_users);
        if (node->bits > BITS_MAX)
            node->bits = BITS_MAX;
        if (node->bits < BITS_MIN)
            return net_refuse(l,
                              "%llu coefficients in one column are too many "
                              "for a certificate",
                              (unsigned long long)most);
        for (uint32_t i = 0; i < node->n_blocks; i++)
            AX_TRY(quantise_block(l, &node->blocks[i],
                                  terms_of(net, k, &node->blocks[i]),
                                  node->bits));
        AX_TRY(quantise_bias(l, node));
    }
    return AX_OK;
}
