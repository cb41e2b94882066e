/* net.c - the integer weights of the nodes: ax-cert(5), Integer weights. */
#include "island.h"

static int clog2(uint64_t n)
{
    return n < 2 ? 0 : bits((i128)n - 1);
}

/* floor(m 2^s / d + 1/2); at most 2^30 in magnitude, by the choice of s. m
 * has at most 100 bits if d is 1 or -1, else 53, as d has. */
static int64_t scaled(i128 m, int64_t s, i128 d)
{
    i128 q;
    if (d < 0) {
        m = -m;
        d = -d;
    }
    if (m == 0 || s < -110) /* then it is between 0 and 1 */
        return 0;
    if (d == 1)
        return (int64_t)(s >= 0 ? m * ((i128)1 << s)
                                : (m + ((i128)1 << (-s - 1))) >> -s);
    if (s < -70) /* likewise: |m| 2^s < 1/2 */
        return 0;
    m *= s > 0 ? (i128)1 << s : 1;        /* below 2^30 d */
    d *= (s < 0 ? (i128)1 << -s : 1) * 2; /* below 2^124 */
    m = 2 * m + d / 2;
    q = m / d;
    return (int64_t)(q - (q * d > m));
}

/* m 2^s / sqrt(d), rounded to nearest, halves away from 0: likewise. |m| <
 * 2^32, d < 2^53. */
static int64_t scaled_root(int64_t m, int64_t s, struct num d)
{
    int64_t by = 2 * s - d.e + 2; /* of twice the quotient, squared */
    i128 v = (i128)m * m;
    if (by < -120)
        return 0;
    v = by >= 0 ? v * ((i128)1 << by) / d.m : (v / d.m) >> -by;
    v = (square_root(v) + 1) / 2;
    return (int64_t)(m < 0 ? -v : v);
}

/* The sources of node k, and c_k, the largest number of its terms that name
 * the same variable. No row of a weighted node may name one twice: last[v] is
 * the last row that named v, plus 1. */
static uint64_t find_sources(struct run *r, const struct net *net,
                             struct node *n, uint32_t *named, uint32_t *last)
{
    uint64_t most = 1;
    bool *is = get(r, net->n_nodes, sizeof *is);
    for (uint64_t i = 0; i < n->at[n->n]; i++) {
        uint32_t v = n->t[i].var, s = net->owner[v];
        named[v] = last[v] = 0;
        n->n_sources += !is[s];
        is[s] = true;
    }
    for (uint32_t row = 0; row < n->n; row++)
        for (uint64_t i = n->at[row]; i < n->at[row + 1]; i++) {
            uint32_t v = n->t[i].var;
            must(r, n->kind != WEIGHTED || last[v] != row + 1,
                 "not certifiable: an element is weighted twice in one sum");
            last[v] = row + 1;
            most = ++named[v] > most ? named[v] : most;
        }
    n->sources = get(r, n->n_sources, sizeof *n->sources);
    for (uint32_t s = 0, at = 0; s < net->n_nodes; s++)
        if (is[s])
            n->sources[at++] = s;
    give(r, is);
    return most;
}

static void quantise_bias(struct run *r, struct node *n)
{
    int64_t e = INT64_MIN;
    for (uint64_t i = 0; i < n->n; i++)
        if (n->b[i].m != 0 && bits(n->b[i].m) + n->b[i].e > e)
            e = bits(n->b[i].m) + n->b[i].e;
    if (e == INT64_MIN)
        return;
    n->b_scale = 30 - e;
    n->bq = get(r, n->n + 7ull, sizeof *n->bq); /* whole vectors */
    for (uint64_t i = 0; i < n->n; i++)
        n->bq[i] = scaled(n->b[i].m, n->b[i].e + n->b_scale, 1);
}

/* The largest E of a term, so that |w / d| < 2^E. */
static int64_t exponent(const struct node *n)
{
    int64_t most = INT64_MIN;
    for (uint32_t row = 0; row < n->n; row++)
        for (uint64_t i = n->at[row]; i < n->at[row + 1]; i++) {
            struct num d = n->d ? n->d[row] : one;
            int64_t e = bits(n->t[i].m) + n->t[i].e - d.e;
            if (n->root) /* sqrt(d) is that or more */
                e += d.e - ((bits(d.m) - 1 + d.e) >> 1);
            else
                e -= d.m == 1 || d.m == -1 ? 0 : bits(d.m) - 1;
            most = e > most ? e : most;
        }
    return most == INT64_MIN ? 0 : most;
}

static void quantise(struct run *r, struct net *net, struct node *n,
                     int64_t room)
{
    uint64_t terms = n->at[n->n], cells = 0;
    const struct node *src = &net->nodes[n->n_sources > 0 ? *n->sources : 0];
    bool weighted = n->kind == WEIGHTED;
    must(r, room >= (weighted || curved(n->kind) ? 16 : 0),
         "not certifiable: an element is read too often");
    if (curved(n->kind))
        n->scale = room < 30 ? room : 30;
    if (weighted)
        n->scale = (room < 30 ? room : 30) - exponent(n);
    if (weighted && exponent(n) > 50 && !net->only_real)
        net->only_real = "factors of more than 2^50";
    n->var = get(r, terms, sizeof *n->var);
    n->w = get(r, terms, sizeof *n->w);
    n->stride = up8(src->n);
    cells = n->n * n->stride;
    if (weighted && n->n_sources == 1 && 4 * terms >= cells)
        n->dense = get(r, cells, sizeof *n->dense);
    n->same = n->n_sources == 1 && src->n == n->n && terms == n->n;
    for (uint64_t row = 0; row < n->n; row++)
        for (uint64_t i = n->at[row]; i < n->at[row + 1]; i++) {
            const struct term *t = &n->t[i];
            struct num d = n->d ? n->d[row] : one;
            n->var[i] = t->var;
            n->w[i] = (int32_t)t->m;
            if (n->root)
                n->w[i] = (int32_t)scaled_root(t->m, t->e + n->scale, d);
            else if (weighted)
                n->w[i] = (int32_t)scaled(t->m, t->e - d.e + n->scale, d.m);
            n->same &= i == row && n->w[i] == 1 && t->var == src->base + row;
            if (n->dense)
                n->dense[row * n->stride + t->var - src->base] = n->w[i];
        }
    quantise_bias(r, n);
}

/* The largest number of terms in a row, each counted as long[its node]; as 1
 * without that. */
static uint64_t longest(const struct net *net, const struct node *n,
                        const uint64_t *length)
{
    uint64_t most = 0;
    for (uint32_t row = 0; row < n->n; row++) {
        uint64_t sum = 0; /* 2^28 terms of at most 2^29 */
        for (uint64_t i = n->at[row]; i < n->at[row + 1]; i++)
            sum += length ? length[net->owner[n->t[i].var]] : 1;
        most = sum > most ? sum : most;
    }
    return most;
}

/* L and r of all nodes: ax-cert(5), Roundings. */
static void count_roundings(struct run *r, struct net *net,
                            const uint32_t *readers)
{
    uint64_t *length = get(r, net->n_nodes, sizeof *length);
    for (uint32_t k = 0; k < net->n_nodes; k++) {
        struct node *n = &net->nodes[k];
        uint64_t most = 1, terms;
        length[k] = 1;
        if (n->kind != INPUT && n->kind != UNIT && n->kind != WEIGHTED &&
            n->kind != RELU && n->kind != SIGMOID && !net->only_real)
            net->only_real = "products, quotients or exponentials";
        if ((n->kind != UNIT && n->kind != WEIGHTED) || n->exact)
            continue;
        for (uint32_t i = 0; i < n->n_sources; i++)
            if (length[n->sources[i]] > most)
                most = length[n->sources[i]];
        terms = longest(net, n, NULL);
        if (n->kind == UNIT)
            length[k] = terms > 1 ? 1 : most + 1;
        else
            length[k] = terms > 1 ? terms + 3 : most + (n->root ? 7 : 4);
        n->roundings = length[k];
        if (n->kind == UNIT && terms > 1)
            n->roundings = 1 + longest(net, n, length);
        if (n->roundings >= 1 << 20 && !net->only_real)
            net->only_real = "2^20 roundings";
    }
    for (uint32_t k = 1; k + 1 < net->n_nodes; k++) {
        const struct node *n = &net->nodes[k];
        if (n->kind != UNIT || n->exact || longest(net, n, NULL) > 1)
            continue;
        for (uint32_t i = 0; i < n->n_sources; i++) {
            struct node *src = &net->nodes[n->sources[i]];
            if (readers[n->sources[i]] == 1 &&
                src->roundings == length[n->sources[i]])
                src->roundings = 0; /* k counts them */
        }
    }
    give(r, length);
}

void net_quantise(struct run *r, struct net *net)
{
    uint64_t *most = get(r, net->n_nodes, sizeof *most);
    uint32_t *readers = get(r, net->n_nodes, sizeof *readers);
    uint32_t *named = get(r, 2ull * net->n_vars, sizeof *named);
    net->owner = get(r, net->n_vars, sizeof *net->owner);
    net->neuron = get(r, net->n_vars, sizeof *net->neuron);
    for (uint32_t k = 0; k < net->n_nodes; k++)
        for (uint32_t i = 0; i < net->nodes[k].n; i++) {
            net->owner[net->nodes[k].base + i] = k;
            if (net->nodes[k].kind >= HOLD)
                net->neuron[net->n_neurons++] = net->nodes[k].base + i;
        }
    for (uint32_t k = 1; k < net->n_nodes; k++) {
        struct node *n = &net->nodes[k];
        most[k] = find_sources(r, net, n, named, named + net->n_vars);
        for (uint32_t i = 0; i < n->n_sources; i++)
            readers[n->sources[i]]++;
    }
    for (uint32_t k = 1; k < net->n_nodes; k++) {
        struct node *n = &net->nodes[k];
        uint32_t f = 1;
        for (uint32_t i = 0; i < n->n_sources; i++)
            f = readers[n->sources[i]] > f ? readers[n->sources[i]] : f;
        quantise(r, net, n, 36 - clog2(most[k]) - clog2(f));
    }
    count_roundings(r, net, readers);
    give(r, most);
    give(r, readers);
    give(r, named);
}
