/* The rows of an operator become a node of the network: one block a source,
 * and the bias. */
#include <stdlib.h>
#include <string.h>

#include "lowering.h"

static struct ax_net_node *current(const struct lowering *l)
{
    return &l->net->nodes[l->n_made];
}

ax_status net_room(struct lowering *l, uint32_t n)
{
    uint32_t room = l->node_room ? 2 * l->node_room : 16, old = l->node_room;
    struct ax_net_node *nodes;
    uint32_t *first;
    uint64_t *count;

    if (n <= old)
        return AX_OK;
    if (n > UINT32_MAX / 4)
        return net_refuse(l, "too many nodes");
    room = room < n ? n : room;
    nodes = net_keep(l, room, sizeof *nodes);
    first = net_alloc(l, (size_t)room + 1, sizeof *first);
    count = net_alloc(l, room, sizeof *count);
    if (!nodes || !first || !count)
        return net_no_memory(l);
    memset(count, 0, room * sizeof *count);
    if (old) {
        memcpy(nodes, l->net->nodes, old * sizeof *nodes);
        memcpy(first, l->first, ((size_t)old + 1) * sizeof *first);
    }
    l->net->nodes = nodes;
    l->first = first;
    l->count = count;
    l->node_room = room;
    return AX_OK;
}

ax_status net_begin(struct lowering *l, enum ax_net_kind kind,
                    const struct array *out, bool divides)
{
    struct ax_net_node *node;

    AX_TRY(net_room(l, l->n_made + 1));
    node = current(l);
    if ((uint64_t)l->first[l->n_made] + out->n >= NO_VARIABLE / 2)
        return net_refuse(l, "more than 2^31 neurons");
    node->kind = kind;
    node->n = (uint32_t)out->n;
    l->n_terms = 0;
    l->row = 0;
    l->row_end = net_alloc(l, out->n, sizeof *l->row_end);
    if (divides)
        node->div = net_keep(l, out->n, sizeof *node->div);
    return l->row_end && (!divides || node->div) ? AX_OK : net_no_memory(l);
}

ax_status net_divide(struct lowering *l, double d)
{
    if (d == 0)
        return net_refuse(l, "a divisor is 0");
    current(l)->div[l->row] = d;
    return AX_OK;
}

/* Add v times w, divided if so, to the bias of the row at hand. */
static ax_status add_bias(struct lowering *l, double v, double w, bool divide)
{
    struct ax_net_node *node = current(l);
    struct ax_dyadic a, b, d = {1, 0};

    if (v == 0 || w == 0)
        return AX_OK;
    if (!node->bias) {
        node->bias = net_keep(l, node->n, sizeof *node->bias);
        if (!node->bias)
            return net_no_memory(l);
    }
    if (node->bias[l->row].m)
        net_only_real(l, "constants of several terms in one sum");
    if (!dyadic_from(&a, v) || !dyadic_from(&b, w) || !dyadic_mul(&a, a, b) ||
        (divide && !dyadic_from(&d, node->div[l->row])) ||
        !dyadic_div(&a, a, d) ||
        !dyadic_add(&node->bias[l->row], node->bias[l->row], a))
        return net_refuse(l, "a constant part is not exact, or out of the "
                             "range of a certificate");
    return AX_OK;
}

ax_status net_bias(struct lowering *l, double v, double w)
{
    return add_bias(l, v, w, false);
}

static ax_status more_room(struct lowering *l)
{
    size_t room = l->room ? 2 * l->room : 4096;
    struct term *t;

    if (l->n_terms >= MAX_TERMS)
        return net_refuse(l, "more than %llu terms",
                          (unsigned long long)MAX_TERMS);
    t = realloc(l->terms, room * sizeof *t);
    if (!t)
        return net_no_memory(l);
    l->terms = t;
    l->room = room;
    return AX_OK;
}

ax_status net_term(struct lowering *l, const struct array *a, size_t i,
                   double w)
{
    uint32_t v = array_var(a, i);

    if (w == 0)
        return AX_OK;
    if (v == NO_VARIABLE)
        return add_bias(l, array_value(a, i), w, current(l)->div != NULL);
    if (l->n_terms == l->room)
        AX_TRY(more_room(l));
    l->terms[l->n_terms++] = (struct term){v, w};
    return AX_OK;
}

/* The node that variable v belongs to; GUESS is tried first. */
static uint32_t source_of(const struct lowering *l, uint32_t v,
                          uint32_t guess)
{
    uint32_t low = 0, high = l->n_made;

    if (v >= l->first[guess] && v < l->first[guess + 1])
        return guess;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (v < l->first[middle])
            high = middle;
        else
            low = middle;
    }
    return low;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* A block for each source, in increasing order; l->count says how many terms
 * each has. */
static ax_status find_sources(struct lowering *l, struct ax_net_node *node)
{
    uint32_t *source = NULL, n = 0, room = 0, s = 0;

    for (size_t t = 0; t < l->n_terms; t++) {
        s = source_of(l, l->terms[t].var, s);
        if (l->count[s]++)
            continue;
        if (n == room) {
            uint32_t *wide;

            room = room ? 2 * room : 16;
            wide = net_alloc(l, room, sizeof *wide);
            if (!wide)
                return net_no_memory(l);
            if (n)
                memcpy(wide, source, n * sizeof *wide);
            source = wide;
        }
        source[n++] = s;
    }
    if (!n)
        return AX_OK;
    qsort(source, n, sizeof *source, by_number);
    node->blocks = net_keep(l, n, sizeof *node->blocks);
    if (!node->blocks)
        return net_no_memory(l);
    for (uint32_t i = 0; i < n; i++)
        node->blocks[i].source = source[i];
    node->n_blocks = n;
    return AX_OK;
}

/* Dense pays off from here on: 12 bytes a weight against 16 a term. */
static bool is_dense(uint64_t n_terms, uint64_t rows, uint64_t columns)
{
    return (double)n_terms > 0.3 * (double)rows * (double)columns;
}

/* The only block of a node, row i of which is variable i of its source? */
static bool is_same(const struct lowering *l, const struct ax_net_node *node)
{
    uint32_t s = node->blocks[0].source;

    if (node->n_blocks > 1 || l->n_terms != node->n ||
        node->n != l->net->nodes[s].n)
        return false;
    for (uint32_t i = 0; i < node->n; i++)
        if (l->row_end[i] != i + 1 || l->terms[i].w != 1 ||
            l->terms[i].var != l->first[s] + i)
            return false;
    return true;
}

static ax_status new_block(struct lowering *l, struct ax_block *b,
                           const struct ax_net_node *node)
{
    uint64_t n = l->count[b->source], columns = l->net->nodes[b->source].n;
    bool weighted = node->kind == AX_NET_WEIGHTED;

    if (weighted && is_dense(n, node->n, columns)) {
        b->form = AX_BLOCK_DENSE;
        b->w = net_keep(l, node->n * columns, sizeof *b->w);
        return b->w ? AX_OK : net_no_memory(l);
    }
    b->form = AX_BLOCK_SPARSE;
    b->col = net_keep(l, n, sizeof *b->col);
    b->row_ptr = net_keep(l, (size_t)node->n + 1, sizeof *b->row_ptr);
    if (!b->col || !b->row_ptr)
        return net_no_memory(l);
    if (weighted && !(b->w = net_keep(l, n, sizeof *b->w)))
        return net_no_memory(l);
    if (node->kind == AX_NET_UNIT && !(b->wq = net_keep(l, n, sizeof *b->wq)))
        return net_no_memory(l);
    return AX_OK;
}

/* Put term t into row i. False: a weighted row names a variable twice. */
static bool put(struct ax_block *b, uint32_t i, uint32_t col, double w,
                uint64_t *at, uint32_t columns)
{
    double *slot;

    if (b->form == AX_BLOCK_DENSE) {
        slot = &b->w[(uint64_t)i * columns + col];
        if (*slot != 0)
            return false;
        *slot = w;
        return true;
    }
    b->col[*at] = col;
    if (b->w)
        b->w[*at] = w;
    if (b->wq)
        b->wq[*at] = w > 0 ? 1 : -1;
    ++*at;
    return true;
}

static ax_status twice(struct lowering *l)
{
    return net_refuse(l, "a sum names a variable twice");
}

/* Sort the rows of a sparse block by column: a counting sort of all terms,
 * then back to their rows. */
static ax_status sort_rows(struct lowering *l, struct ax_block *b,
                           uint32_t rows)
{
    struct entry {
        uint32_t row, col;
        double w;
    } * by;
    uint32_t columns = l->net->nodes[b->source].n;
    uint64_t n = b->row_ptr[rows], *next, *at;

    next = net_alloc(l, (size_t)columns + 1, sizeof *next);
    at = net_alloc(l, rows, sizeof *at);
    by = net_alloc(l, n, sizeof *by);
    if (!next || !at || !by)
        return net_no_memory(l);
    memset(next, 0, ((size_t)columns + 1) * sizeof *next);
    memcpy(at, b->row_ptr, rows * sizeof *at);
    for (uint64_t t = 0; t < n; t++)
        next[b->col[t] + 1]++;
    for (uint32_t j = 0; j < columns; j++)
        next[j + 1] += next[j];
    for (uint32_t i = 0; i < rows; i++)
        for (uint64_t t = b->row_ptr[i]; t < b->row_ptr[i + 1]; t++)
            by[next[b->col[t]]++] = (struct entry){i, b->col[t], b->w[t]};
    for (uint64_t t = 0; t < n; t++) {
        uint64_t to = at[by[t].row]++;

        b->col[to] = by[t].col;
        b->w[to] = by[t].w;
    }
    return AX_OK;
}

/* Columns of a weighted node increase. */
static ax_status order_rows(struct lowering *l, struct ax_block *b,
                            uint32_t rows)
{
    for (int pass = 0; pass < 2; pass++) {
        bool increasing = true;

        for (uint32_t i = 0; i < rows; i++)
            for (uint64_t t = b->row_ptr[i] + 1; t < b->row_ptr[i + 1]; t++)
                increasing &= b->col[t - 1] < b->col[t];
        if (increasing)
            return AX_OK;
        if (!pass)
            AX_TRY(sort_rows(l, b, rows));
    }
    return twice(l);
}

/* Deal the terms out to their blocks. */
static ax_status fill_blocks(struct lowering *l, struct ax_net_node *node)
{
    uint64_t t = 0, *at = net_alloc(l, node->n_blocks, sizeof *at);
    uint32_t k = 0;

    if (!at)
        return net_no_memory(l);
    memset(at, 0, node->n_blocks * sizeof *at);
    /* From here on count says which block a source has. */
    for (uint32_t i = 0; i < node->n_blocks; i++)
        l->count[node->blocks[i].source] = i;
    for (uint32_t i = 0, s = 0; i < node->n; i++) {
        for (; t < l->row_end[i]; t++) {
            const struct term *term = &l->terms[t];

            s = source_of(l, term->var, s);
            k = (uint32_t)l->count[s];
            if (!put(&node->blocks[k], i, term->var - l->first[s], term->w,
                     &at[k], l->net->nodes[s].n))
                return twice(l);
        }
        for (k = 0; k < node->n_blocks; k++)
            if (node->blocks[k].row_ptr)
                node->blocks[k].row_ptr[i + 1] = at[k];
    }
    for (k = 0; k < node->n_blocks; k++) {
        struct ax_block *b = &node->blocks[k];

        if (node->kind == AX_NET_WEIGHTED && b->form == AX_BLOCK_SPARSE)
            AX_TRY(order_rows(l, b, node->n));
    }
    return AX_OK;
}

/* A bias that came to nothing, and divisors that are all 1, are none. */
static void drop_trivial(struct ax_net_node *node)
{
    bool any = false, divides = false;

    for (uint32_t i = 0; i < node->n; i++) {
        any |= node->bias && node->bias[i].m != 0;
        divides |= node->div && node->div[i] != 1;
    }
    if (!any)
        node->bias = NULL;
    if (!divides)
        node->div = NULL;
}

ax_status net_end(struct lowering *l, struct array *out)
{
    struct ax_net_node *node = current(l);
    ax_status st = find_sources(l, node);

    drop_trivial(node);
    if (st == AX_OK && node->n_blocks && node->kind != AX_NET_WEIGHTED &&
        !ax_net_curved(node->kind) && is_same(l, node)) {
        node->blocks[0].form = AX_BLOCK_SAME;
    } else {
        for (uint32_t i = 0; st == AX_OK && i < node->n_blocks; i++)
            st = new_block(l, &node->blocks[i], node);
        if (st == AX_OK)
            st = fill_blocks(l, node);
    }
    AX_TRY(st);
    for (uint32_t i = 0; i < node->n_blocks; i++)
        l->count[node->blocks[i].source] = 0;
    out->var = NULL;
    out->run = l->first[l->n_made];
    l->first[l->n_made + 1] = l->first[l->n_made] + node->n;
    l->n_made++;
    return AX_OK;
}
