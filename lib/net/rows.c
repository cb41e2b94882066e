/* The making of one node: its terms come row by row, and at the end they are
 * sorted by source and stored in the form that suits them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lowering.h"

static const struct ax_dyadic one = {1, 0};

static struct ax_net_node *making(struct lowering *l)
{
    return &l->net->nodes[l->n_made];
}

ax_status net_begin(struct lowering *l, enum ax_net_kind kind,
                    const struct array *out)
{
    struct ax_net_node *node = making(l);

    if (out->n == 0)
        return net_refuse(l, "a value without elements");
    if ((uint64_t)l->first[l->n_made] + out->n >= NO_VARIABLE)
        return net_refuse(l, "more than %u variables", NO_VARIABLE);
    node->kind = kind;
    node->n = (uint32_t)out->n;
    l->row_end = net_alloc(l, out->n, sizeof *l->row_end);
    if (!l->row_end)
        return net_no_memory(l);
    l->row = 0;
    l->n_terms = 0;
    l->divisor = one;
    return AX_OK;
}

ax_status net_divide(struct lowering *l, double d)
{
    struct ax_net_node *node = making(l);

    if (!node->div) {
        node->div = net_keep(l, node->n, sizeof *node->div);
        if (!node->div)
            return net_no_memory(l);
        for (uint32_t i = 0; i < node->n; i++)
            node->div[i] = 1;
    }
    if (d == 0)
        return net_refuse(l, "a divisor is 0");
    node->div[l->row] = d;
    if (!dyadic_from(&l->divisor, d))
        return net_refuse(l, "a divisor is out of range");
    return AX_OK;
}

/* Add v to the bias of the row. */
static ax_status add_bias(struct lowering *l, struct ax_dyadic v)
{
    struct ax_net_node *node = making(l);

    if (!v.m)
        return AX_OK;
    if (node->kind == AX_NET_RELU)
        return net_refuse(l, "Relu of a constant");
    if (!node->bias) {
        node->bias = net_keep(l, node->n, sizeof *node->bias);
        if (!node->bias)
            return net_no_memory(l);
    }
    if (!dyadic_add(&node->bias[l->row], node->bias[l->row], v))
        return net_refuse(l, "a constant does not fit in 100 bits");
    return AX_OK;
}

ax_status net_bias(struct lowering *l, double v, double w)
{
    struct ax_dyadic a, b;

    if (!dyadic_from(&a, v) || !dyadic_from(&b, w) || !dyadic_mul(&a, a, b))
        return net_refuse(l, "a constant does not fit in 100 bits");
    return add_bias(l, a);
}

static ax_status constant_term(struct lowering *l, double v, double w)
{
    struct ax_dyadic a, b;

    if (making(l)->kind == AX_NET_RELU)
        return net_refuse(l, "Relu of a constant");
    if (!dyadic_from(&a, v) || !dyadic_from(&b, w) || !dyadic_mul(&a, a, b) ||
        !dyadic_div(&a, a, l->divisor))
        return net_refuse(l, "a constant does not fit in 100 bits");
    return add_bias(l, a);
}

ax_status net_term(struct lowering *l, const struct array *a, size_t i,
                   double w)
{
    uint32_t var = array_var(a, i);

    if (w == 0)
        return AX_OK;
    if (var == NO_VARIABLE)
        return constant_term(l, array_value(a, i), w);
    if (l->n_terms == l->room) {
        size_t room = l->room ? 2 * l->room : 4096;
        struct term *terms = NULL;

        if (l->n_terms >= MAX_TERMS)
            return net_refuse(l, "more than %llu terms",
                              (unsigned long long)MAX_TERMS);
        terms = realloc(l->terms, room * sizeof *terms);
        if (!terms)
            return net_no_memory(l);
        l->terms = terms;
        l->room = room;
    }
    l->terms[l->n_terms++] = (struct term){var, w};
    return AX_OK;
}

void net_row(struct lowering *l)
{
    l->row_end[l->row++] = l->n_terms;
    l->divisor = one;
}

/* The node of a variable, near the one that was asked for last. */
static uint32_t owner(const struct lowering *l, uint32_t var, uint32_t *last)
{
    if (var < l->first[*last] || var >= l->first[*last + 1]) {
        uint32_t lo = 0, hi = l->n_made;

        while (lo + 1 < hi) {
            uint32_t mid = lo + (hi - lo) / 2;

            *(l->first[mid] <= var ? &lo : &hi) = mid;
        }
        *last = lo;
    }
    return *last;
}

/* Does row i name variable i alone, for every i, times 1? */
static bool is_same(const struct lowering *l, uint32_t source, uint64_t n)
{
    const struct ax_net_node *node = &l->net->nodes[l->n_made];

    if (n != node->n || l->n_terms != n || node->div ||
        node->kind == AX_NET_WEIGHTED || l->net->nodes[source].n != n)
        return false;
    for (uint32_t i = 0; i < node->n; i++)
        if (l->row_end[i] != i + 1u || l->terms[i].w != 1 ||
            l->terms[i].var != l->first[source] + i)
            return false;
    return true;
}

static int by_variable(const void *a, const void *b)
{
    uint32_t x = ((const struct term *)a)->var,
             y = ((const struct term *)b)->var;

    return (x > y) - (x < y);
}

/* Rows of a weighted node name variables in order, each once. */
static ax_status sort_rows(struct lowering *l)
{
    for (uint32_t i = 0; i < l->row; i++) {
        uint64_t from = i ? l->row_end[i - 1] : 0, end = l->row_end[i];
        bool ordered = true;

        for (uint64_t t = from + 1; t < end && ordered; t++)
            ordered = l->terms[t - 1].var < l->terms[t].var;
        if (ordered)
            continue;
        qsort(l->terms + from, end - from, sizeof *l->terms, by_variable);
        for (uint64_t t = from + 1; t < end; t++)
            if (l->terms[t - 1].var == l->terms[t].var)
                return net_refuse(l, "an element is weighted twice in one "
                                     "sum");
    }
    return AX_OK;
}

static ax_status fill_dense(struct lowering *l, struct ax_block *b)
{
    uint32_t n = making(l)->n, cols = l->net->nodes[b->source].n;
    uint32_t from = l->first[b->source];

    b->w = net_keep(l, (size_t)n * cols, sizeof *b->w);
    if (!b->w)
        return net_no_memory(l);
    for (uint32_t i = 0; i < n; i++)
        for (uint64_t t = i ? l->row_end[i - 1] : 0; t < l->row_end[i]; t++)
            if (l->terms[t].var - from < cols)
                b->w[(size_t)i * cols + (l->terms[t].var - from)] =
                    l->terms[t].w;
    return AX_OK;
}

static ax_status fill_sparse(struct lowering *l, struct ax_block *b,
                             uint64_t count)
{
    const struct ax_net_node *node = making(l);
    uint32_t from = l->first[b->source], cols = l->net->nodes[b->source].n;
    uint64_t to = 0;

    b->row_ptr = net_keep(l, node->n + 1u, sizeof *b->row_ptr);
    b->col = net_keep(l, count, sizeof *b->col);
    if (node->kind == AX_NET_WEIGHTED)
        b->w = net_keep(l, count, sizeof *b->w);
    if (node->kind == AX_NET_UNIT)
        b->wq = net_keep(l, count, sizeof *b->wq);
    if (!b->row_ptr || !b->col || (node->kind == AX_NET_WEIGHTED && !b->w) ||
        (node->kind == AX_NET_UNIT && !b->wq))
        return net_no_memory(l);
    for (uint32_t i = 0; i < node->n; i++) {
        for (uint64_t t = i ? l->row_end[i - 1] : 0; t < l->row_end[i]; t++) {
            if (l->terms[t].var - from >= cols)
                continue;
            b->col[to] = l->terms[t].var - from;
            if (b->w)
                b->w[to] = l->terms[t].w;
            if (b->wq)
                b->wq[to] = l->terms[t].w > 0 ? 1 : -1;
            to++;
        }
        b->row_ptr[i + 1] = to;
    }
    return AX_OK;
}

/* The block of one source that has so many terms. */
static ax_status make_block(struct lowering *l, struct ax_block *b,
                            uint32_t source, uint64_t count)
{
    const struct ax_net_node *node = making(l);
    uint64_t all = (uint64_t)node->n * l->net->nodes[source].n;

    b->source = source;
    b->form = is_same(l, source, count) ? AX_BLOCK_SAME
              : node->kind == AX_NET_WEIGHTED && 4 * count >= all
                  ? AX_BLOCK_DENSE
                  : AX_BLOCK_SPARSE;
    if (b->form == AX_BLOCK_DENSE)
        return fill_dense(l, b);
    return b->form == AX_BLOCK_SPARSE ? fill_sparse(l, b, count) : AX_OK;
}

/* |m| < 2^53 for all weights: they are doubles. Their exponents are another
 * matter. */
static ax_status check_weights(struct lowering *l)
{
    struct ax_dyadic v;

    for (size_t t = 0; t < l->n_terms; t++) {
        double w = fabs(l->terms[t].w);

        if ((w < 0x1p-900 || w > 0x1p+900) && !dyadic_from(&v, l->terms[t].w))
            return net_refuse(l, "a weight is out of range");
    }
    return AX_OK;
}

ax_status net_end(struct lowering *l, struct array *out)
{
    struct ax_net_node *node = making(l);
    uint64_t *count = net_alloc(l, l->n_made, sizeof *count);
    uint32_t last = 0;

    if (!count)
        return net_no_memory(l);
    memset(count, 0, l->n_made * sizeof *count);
    if (node->kind == AX_NET_WEIGHTED) {
        AX_TRY(check_weights(l));
        AX_TRY(sort_rows(l));
    }
    for (size_t t = 0; t < l->n_terms; t++)
        count[owner(l, l->terms[t].var, &last)]++;
    for (uint32_t s = 0; s < l->n_made; s++)
        node->n_blocks += count[s] > 0;
    node->blocks = net_keep(l, node->n_blocks + 1u, sizeof *node->blocks);
    if (!node->blocks)
        return net_no_memory(l);
    for (uint32_t s = 0, i = 0; s < l->n_made; s++)
        if (count[s])
            AX_TRY(make_block(l, &node->blocks[i++], s, count[s]));
    out->run = l->first[l->n_made];
    out->made = true;
    l->first[l->n_made + 1] = l->first[l->n_made] + node->n;
    l->n_made++;
    return AX_OK;
}
