/* The network as the bounds want it, packed for the kernels, and what boxes
 * inherit. */
#include <stdlib.h>
#include <string.h>

#include "bound.h"

static ax_status pack(struct packed *out, const struct ax_block *b,
                      uint32_t rows, uint32_t cols, struct ax_err *err)
{
    uint32_t vecs = (uint32_t)(PAD(cols) / LANES);
    uint32_t panels = (vecs + NV_MAX - 1) / NV_MAX;
    uint32_t nv = (vecs + panels - 1) / panels;
    size_t n = (size_t)panels * rows * nv * LANES;

    panels = (vecs + nv - 1) / nv;
    *out = (struct packed){.rows = rows,
                           .cols = cols,
                           .n_panels = panels,
                           .nv = nv,
                           .nv_last = vecs - (panels - 1) * nv};
    out->data = aligned_alloc(64, n * sizeof *out->data);
    if (!out->data)
        return ax_fail(err, AX_ENOMEM, "no memory for %zu weights", n);
    memset(out->data, 0, n * sizeof *out->data);
    for (uint32_t i = 0; i < rows; i++)
        for (uint32_t j = 0; j < cols; j++) {
            uint32_t p = j / (nv * LANES);
            size_t ld = (size_t)(p + 1 < panels ? nv : out->nv_last) * LANES;

            out->data[(size_t)p * rows * nv * LANES + i * ld +
                      (j - p * nv * LANES)] = b->wq[(size_t)i * cols + j];
        }
    return AX_OK;
}

/* A sparse block has W' in wq; in a node of neurons every one is 1. */
static ax_status block_new(struct bblock *out, const struct ax_block *b,
                           const struct ax_net *net, uint32_t k,
                           const int32_t *ones, struct ax_err *err)
{
    uint32_t rows = net->nodes[k].n, cols = net->nodes[b->source].n;

    out->source = b->source;
    out->form = b->form;
    if (b->form == AX_BLOCK_DENSE)
        return pack(&out->packed, b, rows, cols, err);
    if (b->form == AX_BLOCK_SPARSE)
        out->csr = (struct csr){rows, cols, b->row_ptr, b->col,
                                b->wq ? b->wq : ones};
    return AX_OK;
}

/* |W'| + 1 of all terms of a weighted block, what is no term being 0. */
static ax_status block_sizes(struct bblock *out, const struct ax_block *b,
                             uint32_t rows, uint32_t cols, struct ax_err *err)
{
    uint64_t n = b->row_ptr ? b->row_ptr[rows] : (uint64_t)rows * cols;

    out->size = malloc((n + 1) * sizeof *out->size);
    if (!out->size)
        return ax_fail(err, AX_ENOMEM, "no memory for %llu weights",
                       (unsigned long long)n);
    for (uint64_t t = 0; t < n; t++)
        out->size[t] = b->w[t] == 0 ? 0 : abs(b->wq[t]) + 1;
    return AX_OK;
}

/* What a node has under ieee32. */
static ax_status node_errors(struct bnet *net, uint32_t k, struct ax_err *err)
{
    const struct ax_net_node *in = &net->net->nodes[k];
    struct bnode *out = &net->nodes[k];
    ax_i128 r = in->roundings;

    out->errs = r > 0 || k + 1 == net->n_nodes;
    net->errs += out->errs ? out->n8 : 0;
    if (k + 1 < net->n_nodes) /* ceil */
        out->gamma = (int64_t)(((r << 48) + (1 << 24) - r - 1) /
                               ((1 << 24) - r));
    for (uint32_t i = 0; i < in->n_blocks && in->kind == AX_NET_WEIGHTED; i++)
        AX_TRY(block_sizes(&out->blocks[i], &in->blocks[i], in->n,
                           net->net->nodes[in->blocks[i].source].n, err));
    return AX_OK;
}

/* Where each neuron's v is. */
static void find_arguments(struct bnode *out, const struct ax_net_node *in)
{
    for (uint32_t i = 0; i < in->n_blocks; i++) {
        const struct ax_block *b = &in->blocks[i];

        for (uint32_t j = 0; j < in->n; j++) {
            bool same = b->form == AX_BLOCK_SAME;

            if (!same && b->row_ptr[j] == b->row_ptr[j + 1])
                continue;
            out->arg_node[j] = b->source;
            out->arg[j] = same ? j : b->col[b->row_ptr[j]];
        }
    }
}

/* The variables that each row of a curved node is made of. */
static ax_status find_factors(struct bnode *out, const struct ax_net_node *in,
                              struct ax_err *err)
{
    bool product = in->kind == AX_NET_PRODUCT;

    out->factor[0] = calloc(2 * (size_t)in->n + 1, sizeof *out->factor[0]);
    if (!out->factor[0])
        return ax_fail(err, AX_ENOMEM, "no memory for a node of products");
    out->factor[1] = out->factor[0] + in->n;
    for (int i = 0; in->n_blocks && i < 1 + product; i++) {
        const struct ax_block *b = &in->blocks[i < (int)in->n_blocks ? i : 0];
        bool second = i > 0 && in->n_blocks == 1;

        out->factor_node[i] = b->source;
        for (uint32_t j = 0; j < in->n; j++)
            out->factor[i][j] = b->col[b->row_ptr[j] + second];
    }
    return AX_OK;
}

static ax_status node_new(struct bnet *net, uint32_t k, struct ax_err *err)
{
    const struct ax_net_node *in = &net->net->nodes[k];
    struct bnode *out = &net->nodes[k];
    bool neurons = ax_net_neurons(in->kind);

    *out = (struct bnode){.kind = in->kind,
                          .n = in->n,
                          .n8 = PAD(in->n),
                          .scale = in->scale,
                          .b_scale = in->b_scale};
    out->blocks = calloc(in->n_blocks + 1u, sizeof *out->blocks);
    if (neurons)
        out->arg_node = calloc(2 * (size_t)in->n + 1, sizeof *out->arg_node);
    if (!out->blocks || (neurons && !out->arg_node))
        return ax_fail(err, AX_ENOMEM, "no memory for node %u", k);
    out->arg = neurons ? out->arg_node + in->n : NULL;
    for (uint32_t i = 0; i < in->n_blocks; i++)
        AX_TRY(block_new(&out->blocks[out->n_blocks++], &in->blocks[i],
                         net->net, k, net->ones, err));
    if (neurons)
        find_arguments(out, in);
    if (ax_net_curved(in->kind))
        AX_TRY(find_factors(out, in, err));
    if (in->bq) {
        out->bq = aligned_alloc(64, (out->n8 + LANES) * sizeof *out->bq);
        if (!out->bq)
            return ax_fail(err, AX_ENOMEM, "no memory for node %u", k);
        for (size_t j = 0; j < out->n8; j++)
            out->bq[j] = j < in->n ? in->bq[j] : 0;
    }
    return net->ieee32 ? node_errors(net, k, err) : AX_OK;
}

/* As many ones as a node has neurons. */
static ax_status make_ones(struct bnet *b, struct ax_err *err)
{
    uint32_t most = 1;

    for (uint32_t k = 0; k < b->n_nodes; k++)
        if (ax_net_neurons(b->net->nodes[k].kind) &&
            b->net->nodes[k].n > most)
            most = b->net->nodes[k].n;
    b->ones = calloc(most, sizeof *b->ones);
    if (!b->ones)
        return ax_fail(err, AX_ENOMEM, "no memory for the network");
    for (uint32_t j = 0; j < most; j++)
        b->ones[j] = 1;
    return AX_OK;
}

ax_status bnet_new(struct bnet **out, const struct ax_net *net,
                   enum ax_semantics semantics, struct ax_err *err)
{
    struct bnet *b = calloc(1, sizeof *b);
    ax_status st = AX_OK;

    if (!b)
        return ax_fail(err, AX_ENOMEM, "no memory for the network");
    b->net = net;
    b->ieee32 = semantics == AX_SEMANTICS_IEEE32;
    b->n_nodes = net->n_nodes;
    b->nodes = calloc(net->n_nodes, sizeof *b->nodes);
    b->first = calloc(net->n_nodes, sizeof *b->first);
    if (!b->nodes || !b->first)
        st = ax_fail(err, AX_ENOMEM, "no memory for the network");
    if (st == AX_OK)
        st = make_ones(b, err);
    for (uint32_t k = 0; k < net->n_nodes && st == AX_OK; k++) {
        st = node_new(b, k, err);
        b->first[k] = b->neurons;
        if (ax_net_neurons(b->nodes[k].kind))
            b->neurons += b->nodes[k].n;
        b->curved |= ax_net_curved(b->nodes[k].kind);
        b->smooth |= ax_net_smooth(b->nodes[k].kind);
        if (b->nodes[k].n8 > b->widest8)
            b->widest8 = b->nodes[k].n8;
    }
    if (st != AX_OK) {
        bnet_free(b);
        return st;
    }
    *out = b;
    return AX_OK;
}

void bnet_free(struct bnet *b)
{
    if (!b)
        return;
    for (uint32_t k = 0; b->nodes && k < b->n_nodes; k++) {
        for (uint32_t i = 0; i < b->nodes[k].n_blocks; i++) {
            free(b->nodes[k].blocks[i].packed.data);
            free(b->nodes[k].blocks[i].size);
        }
        free(b->nodes[k].blocks);
        free(b->nodes[k].arg_node);
        free(b->nodes[k].factor[0]);
        free(b->nodes[k].bq);
    }
    free(b->nodes);
    free(b->first);
    free(b->ones);
    free(b);
}

/* ---- the state of a box ---- */

size_t bstate_bytes(const struct bnet *net)
{
    return (net->neurons + net->n_nodes) * 8 + PAD(net->neurons);
}

void bstate_place(struct bstate *st, const struct bnet *net, void *room)
{
    st->m = room;
    st->sum_m = (uint64_t *)(st->m + net->neurons);
    st->status = (uint8_t *)(st->sum_m + net->n_nodes);
}

void bstate_root(struct bstate *st, const struct bnet *net)
{
    for (size_t j = 0; j < net->neurons; j++)
        st->m[j] = INT64_MAX;
    for (uint32_t k = 0; k < net->n_nodes; k++)
        st->sum_m[k] = UINT64_MAX;
    memset(st->status, UNSTABLE, net->neurons);
}

void bstate_copy(struct bstate *to, const struct bstate *from,
                 const struct bnet *net)
{
    memcpy(to->m, from->m, bstate_bytes(net));
}

ax_status bbounds_new(struct bbounds **out, const struct bnet *net,
                      struct ax_err *err)
{
    size_t n = net->n_nodes, m = net->neurons;
    size_t smooth = net->smooth ? m * sizeof(struct smooth) : 0;
    const size_t head = (sizeof(struct bbounds) + 63) / 64 * 64;
    size_t size = head + 8 * net->errs + smooth + 16 * n + 8 * m;
    char *room = aligned_alloc(64, (size + 63) / 64 * 64);
    struct bbounds *b = (struct bbounds *)(void *)room;

    if (!room)
        return ax_fail(err, AX_ENOMEM, "no memory for bounds");
    memset(room, 0, size);
    b->d = (int64_t *)(void *)(room + head);
    b->smooth = (struct smooth *)(b->d + net->errs);
    b->sum = (uint64_t *)(void *)((char *)b->smooth + smooth);
    b->l = (int32_t *)(b->sum + n);
    b->u = b->l + m;
    b->t = b->u + m;
    b->d_scale = b->t + n;
    *out = b;
    return AX_OK;
}
