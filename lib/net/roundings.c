/* How often each node of a network rounds in binary32, and whether the
 * executions of ax-cert(5) cover it: section EXECUTIONS there. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lowering.h"

#define ROUNDINGS_MAX ((uint64_t)1 << 20)
#define MAGNITUDE_MAX 0x1p+50 /* of weights, divisors and their inverses */

void net_only_real(struct lowering *l, const char *fmt, ...)
{
    char *out = l->net->only_real;
    size_t room = sizeof l->net->only_real, n = 0;
    va_list ap;

    if (*out)
        return; /* one reason is enough */
    if (l->node)
        n = (size_t)snprintf(out, room, "node '%.60s' (%s): ", l->node->name,
                             ax_op_name(l->node->op));
    va_start(ap, fmt);
    vsnprintf(out + n, room - n, fmt, ap);
    va_end(ap);
}

const char *ax_semantics_name(enum ax_semantics s)
{
    return s == AX_SEMANTICS_IEEE32 ? "ieee32" : "real";
}

static bool linear(const struct ax_net_node *n)
{
    return n->kind == AX_NET_UNIT || n->kind == AX_NET_WEIGHTED;
}

/* Add to sum[] what the terms of the rows of node k are long, length[] of
 * their nodes, or 1 each without it; returns the largest |w|. */
static double add_lengths(const struct ax_net *net, uint32_t k, uint64_t *sum,
                          const uint64_t *length)
{
    const struct ax_net_node *node = &net->nodes[k];
    double most = 0;

    for (uint32_t b = 0; b < node->n_blocks; b++) {
        const struct ax_block *at = &node->blocks[b];
        uint64_t columns = net->nodes[at->source].n;
        uint64_t each = length ? length[at->source] : 1;

        if (at->form == AX_BLOCK_SAME)
            columns = 1;
        for (uint32_t i = 0; i < node->n; i++) {
            uint64_t t = at->row_ptr ? at->row_ptr[i] : i * columns;
            uint64_t end = at->row_ptr ? at->row_ptr[i + 1] : t + columns;

            if (!at->w)
                sum[i] += (end - t) * each;
            for (; at->w && t < end; t++) {
                sum[i] += at->w[t] != 0 ? each : 0;
                most = fmax(most, fabs(at->w[t]));
            }
        }
    }
    return most;
}

/* The largest sum of lengths of a row's terms; sum is room for them. */
static uint64_t widest(struct lowering *l, uint32_t k, uint64_t *sum,
                       const uint64_t *length)
{
    uint32_t n = l->net->nodes[k].n;
    uint64_t most = 0;
    double w;

    memset(sum, 0, n * sizeof *sum);
    w = add_lengths(l->net, k, sum, length);
    for (uint32_t i = 0; i < n; i++)
        most = sum[i] > most ? sum[i] : most;
    if (w >= MAGNITUDE_MAX)
        net_only_real(l, "node %u of the network: a weight of %g", k, w);
    return most;
}

static void check_divisors(struct lowering *l, uint32_t k)
{
    const struct ax_net_node *node = &l->net->nodes[k];

    for (uint32_t i = 0; node->div && i < node->n; i++) {
        double d = fabs(node->div[i]);

        if (d >= MAGNITUDE_MAX || d < 1 / MAGNITUDE_MAX)
            net_only_real(l, "node %u of the network: a divisor of %g", k, d);
    }
}

/* What is known of the nodes. */
struct lengths {
    uint64_t *length;  /* L */
    uint64_t *terms;   /* n */
    uint32_t *readers; /* nodes that have it as a source */
    uint64_t *sum;     /* [the most variables of a node] */
};

/* L_k, and r_k as far as what comes before node k decides it. */
static void measure(struct lowering *l, uint32_t k, struct lengths *all)
{
    struct ax_net_node *node = &l->net->nodes[k];
    uint64_t most = 1, *length = &all->length[k], r;

    *length = 1;
    for (uint32_t b = 0; b < node->n_blocks; b++) {
        uint32_t s = node->blocks[b].source;

        all->readers[s]++;
        most = all->length[s] > most ? all->length[s] : most;
    }
    if (!linear(node))
        return;
    all->terms[k] = widest(l, k, all->sum, NULL);
    check_divisors(l, k);
    if (node->exact)
        return;
    if (node->kind == AX_NET_WEIGHTED)
        *length = all->terms[k] > 1 ? all->terms[k] + 3
                                    : most + (node->root ? 7 : 4);
    else if (all->terms[k] <= 1)
        *length = most + 1;
    r = node->kind == AX_NET_UNIT && all->terms[k] > 1
            ? 1 + widest(l, k, all->sum, all->length)
            : *length;
    if (r >= ROUNDINGS_MAX)
        net_only_real(l, "node %u of the network: %llu roundings", k,
                      (unsigned long long)r);
    node->roundings = r < ROUNDINGS_MAX ? (uint32_t)r : 0;
}

/* Does node k count the roundings of its sources that it alone reads? */
static bool counts(const struct ax_net *net, uint32_t k,
                   const struct lengths *all)
{
    return net->nodes[k].kind == AX_NET_UNIT && all->terms[k] <= 1 &&
           !net->nodes[k].exact && k + 1 < net->n_nodes;
}

static void hand_on(const struct ax_net *net, uint32_t k,
                    const struct lengths *all)
{
    for (uint32_t b = 0; b < net->nodes[k].n_blocks; b++) {
        uint32_t s = net->nodes[k].blocks[b].source;

        if (all->readers[s] == 1 && net->nodes[s].roundings == all->length[s])
            net->nodes[s].roundings = 0;
    }
}

ax_status net_roundings(struct lowering *l)
{
    const struct ax_net *net = l->net;
    struct lengths all;
    uint32_t widest_node = 1;

    for (uint32_t k = 0; k < net->n_nodes; k++)
        if (net->nodes[k].n > widest_node)
            widest_node = net->nodes[k].n;
    all.length = net_alloc(l, net->n_nodes, sizeof *all.length);
    all.terms = net_alloc(l, net->n_nodes, sizeof *all.terms);
    all.readers = net_alloc(l, net->n_nodes, sizeof *all.readers);
    all.sum = net_alloc(l, widest_node, sizeof *all.sum);
    if (!all.length || !all.terms || !all.readers || !all.sum)
        return net_no_memory(l);
    memset(all.terms, 0, net->n_nodes * sizeof *all.terms);
    memset(all.readers, 0, net->n_nodes * sizeof *all.readers);
    for (uint32_t k = 0; k < net->n_nodes; k++) {
        enum ax_net_kind kind = net->nodes[k].kind;

        if (kind != AX_NET_INPUT && kind != AX_NET_RELU &&
            kind != AX_NET_SIGMOID && !linear(&net->nodes[k]))
            net_only_real(l, "products, quotients and other functions of "
                             "what depends on the input");
        measure(l, k, &all);
    }
    for (uint32_t k = 1; k < net->n_nodes; k++)
        if (counts(net, k, &all))
            hand_on(net, k, &all);
    return AX_OK;
}
