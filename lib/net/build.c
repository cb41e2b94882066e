/* A form becomes a node of the network: one block a source, dense or sparse,
 * and the bias over one common exponent. */
#include <math.h>
#include <string.h>

#include "form.h"

static ax_status out_of_range(struct lowering *l, const char *what)
{
    return net_refuse(l, "a %s is out of the range of a certificate", what);
}

/* m 2^e with m odd: -1000 <= e <= 900. */
static bool coefficient_fits(double v)
{
    struct dyadic d;

    return (fabs(v) >= 0x1p-947 && fabs(v) <= 0x1p+900) || dyadic_from(&d, v);
}

static ax_status build_bias(struct lowering *l, struct ax_net_node *node,
                            const struct dyadic *b)
{
    int low = 1000;

    node->b = net_keep(l, node->n, sizeof *node->b);
    if (!node->b)
        return net_no_memory(l);
    for (uint32_t i = 0; b && i < node->n; i++)
        if (b[i].m && b[i].e < low)
            low = b[i].e;
    if (low == 1000)
        return AX_OK;
    node->b_e = low;
    node->b_m = net_keep(l, node->n, sizeof *node->b_m);
    if (!node->b_m)
        return net_no_memory(l);
    for (uint32_t i = 0; i < node->n; i++) {
        int shift = b[i].m ? b[i].e - low : 0;

        if (shift > 125 ||
            __builtin_mul_overflow(b[i].m, (ax_i128)1 << shift,
                                   &node->b_m[i]) ||
            node->b_m[i] >> 125 != node->b_m[i] >> 126)
            return out_of_range(l, "bias");
        node->b[i] = ldexp((double)b[i].m, b[i].e);
    }
    return AX_OK;
}

/* Dense pays off from here on: 12 bytes a weight against 16 a term. */
static bool is_dense(uint64_t n_terms, uint64_t rows, uint64_t columns)
{
    return (double)n_terms > 0.3 * (double)rows * (double)columns;
}

/* From a dense form: keep its array, or drop its zeros. */
static ax_status build_from_dense(struct lowering *l,
                                  struct ax_net_node *node,
                                  const struct form *f)
{
    uint32_t n = l->net->nodes[f->source].n;
    uint64_t size = (uint64_t)node->n * n, n_terms = 0, at = 0;
    struct ax_block *block;

    for (uint64_t i = 0; i < size; i++) {
        n_terms += f->w[i] != 0;
        if (f->w[i] != 0 && !coefficient_fits(f->w[i]))
            return out_of_range(l, "coefficient");
    }
    if (!n_terms)
        return AX_OK;
    block = net_keep(l, 1, sizeof *block);
    if (!block)
        return net_no_memory(l);
    node->blocks = block;
    node->n_blocks = 1;
    block->source = f->source;
    block->w = f->w;
    if (is_dense(n_terms, node->n, n))
        return AX_OK;
    block->w = net_keep(l, n_terms, sizeof *block->w);
    block->col = net_keep(l, n_terms, sizeof *block->col);
    block->row_ptr = net_keep(l, (size_t)node->n + 1, sizeof *block->row_ptr);
    if (!block->w || !block->col || !block->row_ptr)
        return net_no_memory(l);
    for (uint32_t i = 0; i < node->n; i++) {
        block->row_ptr[i] = at;
        for (uint32_t j = 0; j < n; j++)
            if (f->w[(uint64_t)i * n + j] != 0) {
                block->col[at] = j;
                block->w[at++] = f->w[(uint64_t)i * n + j];
            }
    }
    block->row_ptr[node->n] = at;
    return AX_OK;
}

/* Memory of a block for n_terms coefficients. */
static ax_status new_block(struct lowering *l, struct ax_block *block,
                           uint32_t source, uint64_t rows, uint64_t n_terms)
{
    uint64_t columns = l->net->nodes[source].n;
    bool dense = is_dense(n_terms, rows, columns);

    block->source = source;
    block->w = net_keep(l, dense ? rows * columns : n_terms,
                        sizeof *block->w);
    if (!block->w)
        return net_no_memory(l);
    if (dense)
        return AX_OK;
    block->col = net_keep(l, n_terms, sizeof *block->col);
    block->row_ptr = net_keep(l, rows + 1, sizeof *block->row_ptr);
    return block->col && block->row_ptr ? AX_OK : net_no_memory(l);
}

static ax_status build_from_rows(struct lowering *l, struct ax_net_node *node,
                                 const struct form *f)
{
    uint32_t made = l->n_made, n_blocks = 0;
    uint64_t *count = net_alloc(l, made, sizeof *count);
    struct ax_block **block = net_alloc(l, made, sizeof *block);

    if (!count || !block)
        return net_no_memory(l);
    memset(count, 0, made * sizeof *count);
    for (size_t i = 0; i < f->n; i++)
        for (uint64_t t = f->row_ptr[i], s = 0; t < f->row_ptr[i + 1]; t++) {
            while (f->key[t] >= l->first[s + 1])
                s++;
            count[s]++;
            if (!coefficient_fits(f->w[t]))
                return out_of_range(l, "coefficient");
        }
    for (uint32_t s = 0; s < made; s++)
        n_blocks += count[s] != 0;
    node->blocks = net_keep(l, n_blocks, sizeof *node->blocks);
    if (!node->blocks)
        return net_no_memory(l);
    for (uint32_t s = 0; s < made; s++) {
        if (!count[s])
            continue;
        block[s] = &node->blocks[node->n_blocks++];
        AX_TRY(new_block(l, block[s], s, node->n, count[s]));
        count[s] = 0;
    }
    for (size_t i = 0; i < f->n; i++)
        for (uint64_t t = f->row_ptr[i], s = 0; t < f->row_ptr[i + 1]; t++) {
            uint32_t column;

            while (f->key[t] >= l->first[s + 1])
                s++;
            column = f->key[t] - l->first[s];
            if (block[s]->row_ptr) {
                block[s]->row_ptr[i + 1]++;
                block[s]->col[count[s]] = column;
                block[s]->w[count[s]++] = f->w[t];
            } else {
                block[s]->w[i * l->net->nodes[s].n + column] = f->w[t];
            }
        }
    for (uint32_t k = 0; k < node->n_blocks; k++)
        for (size_t i = 0; node->blocks[k].row_ptr && i < f->n; i++)
            node->blocks[k].row_ptr[i + 1] += node->blocks[k].row_ptr[i];
    return AX_OK;
}

/* A form that only picks, as rows. */
static ax_status rows_of_picks(struct lowering *l, struct form *out,
                               const struct form *f)
{
    uint64_t at = 0;

    *out = *f;
    out->kind = FORM_ROWS;
    out->row_ptr = net_alloc(l, f->n + 1, sizeof *out->row_ptr);
    out->key = net_alloc(l, f->n, sizeof *out->key);
    out->w = net_alloc(l, f->n, sizeof *out->w);
    if (!out->row_ptr || !out->key || !out->w)
        return net_no_memory(l);
    for (size_t i = 0; i < f->n; i++) {
        out->row_ptr[i] = at;
        if (f->pick[i] == NO_ELEMENT)
            continue;
        out->key[at] = f->pick[i];
        out->w[at++] = 1;
    }
    out->row_ptr[f->n] = at;
    return AX_OK;
}

ax_status net_build_node(struct lowering *l, const struct form *f)
{
    struct ax_net_node *node = &l->net->nodes[l->n_made];
    struct form rows = *f;

    node->n = (uint32_t)f->n;
    if ((uint64_t)l->first[l->n_made] + f->n >= NO_ELEMENT / 2)
        return net_refuse(l, "more than 2^31 neurons");
    if (rows.kind == FORM_CONST)
        AX_TRY(form_of_constant(l, &rows, f));
    AX_TRY(build_bias(l, node, rows.b));
    if (rows.kind == FORM_DENSE) {
        AX_TRY(build_from_dense(l, node, &rows));
    } else {
        if (rows.kind == FORM_PICK) {
            struct form picks = rows;

            AX_TRY(rows_of_picks(l, &rows, &picks));
        }
        AX_TRY(build_from_rows(l, node, &rows));
    }
    l->first[l->n_made + 1] = l->first[l->n_made] + node->n;
    l->n_made++;
    return AX_OK;
}
