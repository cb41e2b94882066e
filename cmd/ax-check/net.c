/* net.c - the integer weights of the nodes, by source: ax-cert(5), Integer
 * weights. */
#include "island.h"

static int clog2(uint64_t n)
{
    return n < 2 ? 0 : 64 - __builtin_clzll(n - 1);
}

/* floor(m 2^s / d + 1/2), d > 0; at most 2^30 in magnitude, by the choice of
 * s. m has at most 100 bits if d is 1, else 53, as d has. */
static int64_t scaled(i128 m, int64_t s, int64_t d)
{
    i128 q;
    if (m == 0 || s < -110) /* then it is between 0 and 1 */
        return 0;
    if (d == 1)
        return (int64_t)(s >= 0 ? m * ((i128)1 << s)
                                : (m + ((i128)1 << (-s - 1))) >> -s);
    if (s < -70) /* likewise: |m| 2^s < 1/2 */
        return 0;
    m *= s > 0 ? (i128)1 << s : 1;                       /* below 2^30 d */
    i128 by = (i128)d * (s < 0 ? (i128)1 << -s : 1) * 2; /* below 2^124 */
    m = 2 * m + by / 2;
    q = m / by;
    return (int64_t)(q - (q * by > m));
}

static struct num divisor(const struct node *n, uint64_t row)
{
    return n->d ? n->d[row] : (struct num){1, 0};
}

/* W' of a term of a row. */
static int64_t weight(const struct node *n, uint64_t row,
                      const struct term *t)
{
    struct num d = divisor(n, row);
    int64_t by = (int64_t)d.m;
    return scaled(by < 0 ? -t->m : t->m, t->e - d.e + n->scale,
                  by < 0 ? -by : by);
}

int64_t net_weight(const struct node *n, uint64_t i, const struct term *t)
{
    int64_t w = weight(n, i, t);
    return w < 0 ? -w : w;
}

/* Of all rows and terms: f(t, row, d). */
#define EACH_TERM(n, row, t)                         \
    for (uint64_t row = 0; row < (n)->n; row++)      \
        for (struct term *t = (n)->t + (n)->at[row]; \
             t < (n)->t + (n)->at[row + 1]; t++)

/* How many terms node k has over each source, and c_k. */
static uint64_t count(const struct net *net, const struct node *n,
                      uint64_t *terms, uint32_t *column)
{
    uint64_t most = 1;
    for (uint32_t s = 0; s < net->n_nodes; s++)
        terms[s] = 0;
    EACH_TERM(n, row, t)
    column[t->var] = 0;
    EACH_TERM(n, row, t)
    {
        uint64_t c = ++column[t->var];
        terms[net->owner[t->var]]++;
        most = c > most ? c : most;
    }
    return most;
}

/* No row of a weighted node names a variable twice. column[v] is the last
 * row that named v, plus 1. */
static void check_rows(struct run *r, const struct node *n, uint32_t *column)
{
    EACH_TERM(n, row, t)
    column[t->var] = 0;
    EACH_TERM(n, row, t)
    {
        must(r, column[t->var] != row + 1,
             "not certifiable: an element is weighted twice in one sum");
        column[t->var] = (uint32_t)row + 1;
    }
}

static bool is_same(const struct node *n, const struct node *src,
                    uint64_t terms)
{
    if (n->kind == WEIGHTED || terms != n->n || n->n != src->n ||
        n->at[n->n] != terms)
        return false;
    EACH_TERM(n, row, t)
    if (n->at[row] != row || t->m != 1 || t->var != src->base + row)
        return false;
    return true;
}

static void fill_block(struct run *r, const struct net *net, struct block *b,
                       uint64_t terms)
{
    const struct node *n = &net->nodes[b->node];
    const struct node *src = &net->nodes[b->source];
    uint64_t k = 0;
    b->stride = (src->n + 7ull) / 8 * 8;
    b->same = is_same(n, src, terms);
    if (b->same)
        return;
    b->part = get(r, b->stride, 8);
    if (n->kind == WEIGHTED && 4 * terms >= (uint64_t)n->n * src->n) {
        b->w = get(r, n->n * b->stride, sizeof *b->w);
    } else {
        b->at = get(r, n->n + 1ull, sizeof *b->at);
        b->col = get(r, terms, sizeof *b->col);
        b->cw = get(r, terms, sizeof *b->cw);
    }
    for (uint64_t row = 0; row < n->n; row++) {
        for (uint64_t i = n->at[row]; i < n->at[row + 1]; i++) {
            const struct term *t = &n->t[i];
            uint64_t col = t->var - src->base;
            int64_t w = t->m;
            if (net->owner[t->var] != b->source)
                continue;
            if (n->kind == WEIGHTED)
                w = weight(n, row, t);
            if (b->w) {
                b->w[row * b->stride + col] = w;
            } else {
                b->col[k] = (uint32_t)col;
                b->cw[k++] = (int32_t)w;
            }
        }
        if (b->at)
            b->at[row + 1] = k;
    }
}

static void quantise_bias(struct run *r, struct node *n)
{
    int64_t e = INT64_MIN;
    for (uint64_t i = 0; i < n->n; i++)
        if (n->b[i].m != 0 && num_bits(n->b[i].m) + n->b[i].e > e)
            e = num_bits(n->b[i].m) + n->b[i].e;
    if (e == INT64_MIN)
        return;
    n->b_scale = 30 - e;
    n->bq = get(r, n->n + 7ull, sizeof *n->bq); /* whole vectors */
    for (uint64_t i = 0; i < n->n; i++)
        n->bq[i] = scaled(n->b[i].m, n->b[i].e + n->b_scale, 1);
}

/* |w / d| < 2^E */
static int64_t exponent(const struct term *t, struct num d)
{
    int64_t e = num_bits(t->m) + t->e - d.e;
    return d.m == 1 || d.m == -1 ? e : e - num_bits(d.m) + 1;
}

static void quantise(struct run *r, struct net *net, uint32_t k,
                     uint64_t *terms, uint32_t *column)
{
    struct node *n = &net->nodes[k];
    int64_t room = 36 - clog2(count(net, n, terms, column)), e = INT64_MIN;
    uint64_t readers = 1;
    for (uint32_t s = 0; s < k; s++) {
        n->n_blocks += terms[s] > 0;
        if (terms[s] > 0 && net->nodes[s].n_readers > readers)
            readers = net->nodes[s].n_readers;
    }
    room -= clog2(readers);
    must(r, room >= (n->kind == WEIGHTED ? 16 : 0),
         "not certifiable: an element is read too often");
    if (n->kind == WEIGHTED) {
        EACH_TERM(n, row, t)
        e = exponent(t, divisor(n, row)) > e ? exponent(t, divisor(n, row))
                                             : e;
        n->scale = (room < 30 ? room : 30) - (e == INT64_MIN ? 0 : e);
        check_rows(r, n, column);
    }
    n->blocks = get(r, n->n_blocks, sizeof *n->blocks);
    n->n_blocks = 0;
    for (uint32_t s = 0; s < k; s++)
        if (terms[s] > 0) {
            struct block *b = &n->blocks[n->n_blocks++];
            *b = (struct block){.node = k, .source = s};
            fill_block(r, net, b, terms[s]);
        }
    quantise_bias(r, n);
}

void net_quantise(struct run *r, struct net *net)
{
    uint64_t *terms = get(r, net->n_nodes, sizeof *terms);
    uint32_t *column = get(r, net->n_vars, sizeof *column);
    net->owner = get(r, net->n_vars, sizeof *net->owner);
    net->neuron = get(r, net->n_vars, sizeof *net->neuron);
    for (uint32_t k = 0; k < net->n_nodes; k++)
        for (uint32_t i = 0; i < net->nodes[k].n; i++) {
            net->owner[net->nodes[k].base + i] = k;
            if (net->nodes[k].kind >= RELU)
                net->neuron[net->n_neurons++] = net->nodes[k].base + i;
        }
    for (uint32_t k = 1; k < net->n_nodes; k++) {
        count(net, &net->nodes[k], terms, column);
        for (uint32_t s = 0; s < k; s++)
            net->nodes[s].n_readers += terms[s] > 0;
    }
    for (uint32_t k = 1; k < net->n_nodes; k++)
        quantise(r, net, k, terms, column);
    for (uint32_t s = 0; s < net->n_nodes; s++) {
        net->nodes[s].readers = get(r, net->nodes[s].n_readers,
                                    sizeof(struct block *));
        net->nodes[s].n_readers = 0;
    }
    for (uint32_t k = net->n_nodes; k-- > 1;)
        for (uint32_t i = 0; i < net->nodes[k].n_blocks; i++) {
            struct block *b = &net->nodes[k].blocks[i];
            struct node *src = &net->nodes[b->source];
            src->readers[src->n_readers++] = b;
        }
    give(r, terms);
    give(r, column);
}
