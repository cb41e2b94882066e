/* Operators that add and multiply by constants: elementwise ones, and
 * products, windows and sums as linear maps. */
#include <stdlib.h>
#include <string.h>

#include "form.h"

/* Both inputs of an elementwise operator in their common shape. */
static ax_status broadcast_both(struct lowering *l, struct form *a,
                                struct form *b)
{
    const struct form *x = net_input(l, 0), *y = net_input(l, 1);
    int rank = x->rank > y->rank ? x->rank : y->rank;
    int64_t dims[AX_RANK_MAX];

    for (int i = 0; i < rank; i++) {
        int64_t p = i < rank - x->rank ? 1 : x->dims[i - (rank - x->rank)];
        int64_t q = i < rank - y->rank ? 1 : y->dims[i - (rank - y->rank)];

        dims[i] = p == 1 ? q : p;
    }
    AX_TRY(net_broadcast(l, a, x, rank, dims));
    return net_broadcast(l, b, y, rank, dims);
}

ax_status net_add(struct lowering *l, struct form *out)
{
    struct form a, b;

    AX_TRY(broadcast_both(l, &a, &b));
    if (a.kind == FORM_CONST)
        return form_add(l, out, &b, &a, 1);
    return form_add(l, out, &a, &b, 1);
}

ax_status net_sub(struct lowering *l, struct form *out)
{
    struct form a, b;

    AX_TRY(broadcast_both(l, &a, &b));
    return form_add(l, out, &a, &b, -1);
}

ax_status net_mul(struct lowering *l, struct form *out)
{
    struct form a, b;

    AX_TRY(broadcast_both(l, &a, &b));
    if (b.kind == FORM_CONST)
        return form_scale(l, out, &a, &b, false);
    if (a.kind == FORM_CONST)
        return form_scale(l, out, &b, &a, false);
    return net_refuse(l, "both factors depend on the input");
}

ax_status net_div(struct lowering *l, struct form *out)
{
    struct form a, b;

    AX_TRY(broadcast_both(l, &a, &b));
    if (b.kind != FORM_CONST)
        return net_refuse(l, "the divisor depends on the input");
    return form_scale(l, out, &a, &b, true);
}

/* out = in times one number. */
static ax_status times(struct lowering *l, struct form *out,
                       const struct form *in, double v)
{
    struct form factor = *in;

    factor.value = net_alloc(l, in->n, sizeof *factor.value);
    if (!factor.value)
        return net_no_memory(l);
    for (size_t i = 0; i < in->n; i++)
        factor.value[i] = v;
    return form_scale(l, out, in, &factor, false);
}

ax_status net_neg(struct lowering *l, struct form *out)
{
    return times(l, out, net_input(l, 0), -1);
}

/* A map whose input may be a constant. */
static ax_status map_any(struct lowering *l, struct form *out,
                         const struct form *in, const struct linear_map *map)
{
    struct form constant;

    if (in->kind != FORM_CONST)
        return form_map(l, out, in, map);
    AX_TRY(form_of_constant(l, &constant, in));
    return form_map(l, out, &constant, map);
}

/* Matrix products: element (i, k) of the left factor is at left + i left_i
 * + k left_k, and so on. One of the two is the constant. */
struct product {
    size_t m, n, k;
    size_t left_i, left_k, right_k, right_j;
    const size_t *left, *right; /* [batches] */
    const struct form *constant;
    bool constant_left;
    /* Columns of a constant right factor, read BLOCK at a time. */
    double *block; /* [BLOCK, k] */
    size_t block_at;
};

#define BLOCK ((size_t)16)

/* Column j of the right factor, which begins at AT. */
static const double *read_column(struct product *p, size_t at, size_t j)
{
    size_t from = at + (j - j % BLOCK) * p->right_j;
    size_t width = p->n - (j - j % BLOCK);

    width = width < BLOCK ? width : BLOCK;
    if (p->block_at != from)
        for (size_t k = 0; k < p->k; k++)
            for (size_t c = 0; c < width; c++)
                p->block[c * p->k + k] = form_at(
                    p->constant, from + k * p->right_k + c * p->right_j);
    p->block_at = from;
    return p->block + j % BLOCK * p->k;
}

static size_t product_row(const struct linear_map *map, size_t o,
                          uint32_t *index, double *coef)
{
    struct product *p = map->data;
    size_t batch = o / (p->m * p->n), i = o / p->n % p->m, j = o % p->n;
    size_t left = p->left[batch] + i * p->left_i, n = 0;
    size_t right = p->right[batch] + j * p->right_j;
    const double *column = NULL;

    if (!p->constant_left)
        column = read_column(p, p->right[batch], j);
    for (size_t k = 0; k < p->k; k++) {
        double c = column ? column[k]
                          : form_at(p->constant, left + k * p->left_k);

        if (c == 0)
            continue;
        index[n] = (uint32_t)(column ? left + k * p->left_k
                                     : right + k * p->right_k);
        coef[n++] = c;
    }
    return n;
}

static ax_status multiply(struct lowering *l, struct form *out,
                          struct product *p, const struct form *a,
                          const struct form *b)
{
    struct linear_map map = {p->k, product_row, p};

    if (a->kind != FORM_CONST && b->kind != FORM_CONST)
        return net_refuse(l, "both factors depend on the input");
    p->constant_left = b->kind != FORM_CONST;
    p->constant = p->constant_left ? a : b;
    p->block_at = SIZE_MAX;
    p->block = net_alloc(l, BLOCK * p->k, sizeof *p->block);
    if (!p->block)
        return net_no_memory(l);
    return map_any(l, out, p->constant_left ? b : a, &map);
}

/* Offsets of the matrices of f, of which there are OUT's leading rank - 2
 * dimensions, broadcast. */
static size_t *batch_offsets(struct lowering *l, const struct form *f,
                             int rank, const int64_t *dims, size_t batches)
{
    size_t *at = net_alloc(l, batches, sizeof *at);

    for (size_t b = 0; at && b < batches; b++) {
        size_t rest = b, offset = 0, stride = 1;

        if (f->rank >= 2)
            stride = (size_t)(f->dims[f->rank - 1] * f->dims[f->rank - 2]);
        for (int i = rank - 3; i >= 0; i--) {
            int own = i - (rank - f->rank);
            size_t pos = rest % (size_t)dims[i];

            rest /= (size_t)dims[i];
            if (own < 0)
                continue;
            if (f->dims[own] != 1)
                offset += pos * stride;
            stride *= (size_t)f->dims[own];
        }
        at[b] = offset;
    }
    return at;
}

ax_status net_matmul(struct lowering *l, struct form *out)
{
    struct form a = *net_input(l, 0), b = *net_input(l, 1);
    bool row = a.rank == 1, column = b.rank == 1;
    int64_t dims[AX_RANK_MAX], matrix[2];
    struct product p = {0};
    size_t batches = 1;
    int rank;

    if (!a.rank || !b.rank)
        return net_refuse(l, "a factor is a scalar");
    if (row) {
        matrix[0] = 1;
        matrix[1] = a.dims[0];
        AX_TRY(net_reshaped(l, &a, net_input(l, 0), 2, matrix));
    }
    if (column) {
        matrix[0] = b.dims[0];
        matrix[1] = 1;
        AX_TRY(net_reshaped(l, &b, net_input(l, 1), 2, matrix));
    }
    rank = a.rank > b.rank ? a.rank : b.rank;
    p.m = (size_t)a.dims[a.rank - 2];
    p.k = (size_t)a.dims[a.rank - 1];
    p.n = (size_t)b.dims[b.rank - 1];
    if (b.dims[b.rank - 2] != (int64_t)p.k)
        return net_refuse(l, "%zu columns meet %lld rows", p.k,
                          (long long)b.dims[b.rank - 2]);
    for (int i = 0; i < rank - 2; i++) {
        int64_t x = i < rank - a.rank ? 1 : a.dims[i - (rank - a.rank)];
        int64_t y = i < rank - b.rank ? 1 : b.dims[i - (rank - b.rank)];

        if (x != y && x != 1 && y != 1)
            return net_refuse(l, "shapes do not broadcast");
        dims[i] = x == 1 ? y : x;
        batches *= (size_t)dims[i];
    }
    dims[rank - 2] = (int64_t)p.m;
    dims[rank - 1] = (int64_t)p.n;
    AX_TRY(form_shape(l, out, rank, dims));
    p.left = batch_offsets(l, &a, rank, dims, batches);
    p.right = batch_offsets(l, &b, rank, dims, batches);
    if (!p.left || !p.right)
        return net_no_memory(l);
    p.left_i = p.k;
    p.left_k = p.right_j = 1;
    p.right_k = p.n;
    AX_TRY(multiply(l, out, &p, &a, &b));
    if (column)
        dims[rank - 1] = dims[rank - 2];
    if (row)
        dims[rank - 2] = dims[rank - 1];
    if (row || column) {
        struct form shaped;

        AX_TRY(net_reshaped(l, &shaped, out, rank - row - column, dims));
        *out = shaped;
    }
    return AX_OK;
}

ax_status net_gemm(struct lowering *l, struct form *out)
{
    static const size_t zero[1] = {0};
    const struct form *a = net_input(l, 0), *b = net_input(l, 1);
    const struct form *c = net_input(l, 2);
    bool ta = ax_node_int(l->node, "transA", 0) != 0;
    bool tb = ax_node_int(l->node, "transB", 0) != 0;
    double alpha = (double)ax_node_float(l->node, "alpha", 1);
    double beta = (double)ax_node_float(l->node, "beta", 1);
    struct form product, scaled, bias;
    struct product p = {.left = zero, .right = zero};
    int64_t dims[2];

    if (a->rank != 2 || b->rank != 2 || a->dims[!ta] != b->dims[tb])
        return net_refuse(l, "matrices do not fit");
    p.m = (size_t)(dims[0] = a->dims[ta]);
    p.n = (size_t)(dims[1] = b->dims[!tb]);
    p.k = (size_t)a->dims[!ta];
    p.left_i = ta ? 1 : p.k;
    p.left_k = ta ? p.m : 1;
    p.right_k = tb ? 1 : p.n;
    p.right_j = tb ? p.k : 1;
    AX_TRY(form_shape(l, &product, 2, dims));
    AX_TRY(multiply(l, &product, &p, a, b));
    scaled = product;
    if (alpha != 1)
        AX_TRY(times(l, &scaled, &product, alpha));
    *out = scaled;
    if (!c)
        return AX_OK;
    AX_TRY(net_broadcast(l, &bias, c, 2, dims));
    if (beta != 1) {
        struct form unscaled = bias;

        AX_TRY(times(l, &bias, &unscaled, beta));
    }
    return form_add(l, out, &scaled, &bias, 1);
}

/* Windows: Conv and AveragePool. Dimensions are the spatial ones. */
struct window {
    int rank;
    int64_t in[AX_RANK_MAX], out[AX_RANK_MAX], kernel[AX_RANK_MAX];
    int64_t stride[AX_RANK_MAX], dilation[AX_RANK_MAX], before[AX_RANK_MAX];
    size_t in_size, out_size, kernel_size;
    size_t channels, out_channels, groups;
    const struct form *weight; /* [out_channels, channels / groups, kernel] */
    bool count_pads;
    uint32_t *at, *tap; /* [kernel_size] scratch: input offset, tap */
};

/* The taps of output position o that lie inside the input. */
static size_t window_taps(const struct window *w, size_t o)
{
    int64_t pos[AX_RANK_MAX], tap[AX_RANK_MAX] = {0};
    size_t n = 0;

    for (int d = w->rank - 1; d >= 0; d--) {
        pos[d] = (int64_t)(o % (size_t)w->out[d]) * w->stride[d] -
                 w->before[d];
        o /= (size_t)w->out[d];
    }
    for (size_t t = 0; t < w->kernel_size; t++) {
        int64_t at = 0;
        bool inside = true;

        for (int d = 0; d < w->rank; d++) {
            int64_t x = pos[d] + tap[d] * w->dilation[d];

            inside &= x >= 0 && x < w->in[d];
            at = at * w->in[d] + x;
        }
        if (inside) {
            w->at[n] = (uint32_t)at;
            w->tap[n++] = (uint32_t)t;
        }
        for (int d = w->rank - 1; d >= 0 && ++tap[d] == w->kernel[d]; d--)
            tap[d] = 0;
    }
    return n;
}

static size_t conv_row(const struct linear_map *map, size_t o,
                       uint32_t *index, double *coef)
{
    const struct window *w = map->data;
    size_t per_group = w->channels / w->groups, n = 0;
    size_t m = o / w->out_size % w->out_channels;
    size_t batch = o / w->out_size / w->out_channels;
    size_t group = m / (w->out_channels / w->groups);
    size_t taps = window_taps(w, o % w->out_size);

    for (size_t c = 0; c < per_group; c++) {
        size_t in = (batch * w->channels + group * per_group + c) *
                    w->in_size;
        size_t weight = (m * per_group + c) * w->kernel_size;

        for (size_t t = 0; t < taps; t++) {
            index[n] = (uint32_t)(in + w->at[t]);
            coef[n++] = form_at(w->weight, weight + w->tap[t]);
        }
    }
    return n;
}

static size_t pool_row(const struct linear_map *map, size_t o,
                       uint32_t *index, double *coef)
{
    const struct window *w = map->data;
    size_t taps = window_taps(w, o % w->out_size);
    double share = 1.0 / (double)(w->count_pads ? w->kernel_size : taps);

    for (size_t t = 0; t < taps; t++) {
        index[t] = (uint32_t)(o / w->out_size * w->in_size + w->at[t]);
        coef[t] = share;
    }
    return taps;
}

/* An attribute of integers, one a spatial dimension, each in [low, 2^20]. */
static ax_status window_ints(struct lowering *l, const char *name,
                             int64_t *out, size_t n, int64_t dflt,
                             int64_t low)
{
    const struct ax_attr *a = ax_node_attr(l->node, name);

    for (size_t i = 0; i < n; i++)
        out[i] = dflt;
    if (!a)
        return AX_OK;
    if (a->kind != AX_ATTR_INTS || a->n != n)
        return net_refuse(l, "%s wants %zu integers", name, n);
    for (size_t i = 0; i < n; i++) {
        if (a->ints[i] < low || a->ints[i] > 1 << 20)
            return net_refuse(l, "%s of %lld", name, (long long)a->ints[i]);
        out[i] = a->ints[i];
    }
    return AX_OK;
}

/* Everything but channels and weights. w->kernel is set, or is an
 * attribute. dims becomes the output's shape after the first two. */
static ax_status window_shape(struct lowering *l, struct window *w,
                              const struct form *in, int64_t *dims)
{
    const char *auto_pad = ax_node_string(l->node, "auto_pad", "NOTSET");
    bool ceil_mode = ax_node_int(l->node, "ceil_mode", 0) != 0;
    bool same = !strncmp(auto_pad, "SAME_", 5);
    int64_t pads[2 * AX_RANK_MAX];
    size_t n = (size_t)w->rank;

    AX_TRY(window_ints(l, "strides", w->stride, n, 1, 1));
    AX_TRY(window_ints(l, "dilations", w->dilation, n, 1, 1));
    AX_TRY(window_ints(l, "pads", pads, 2 * n, 0, 0));
    w->in_size = w->out_size = w->kernel_size = 1;
    for (int d = 0; d < w->rank; d++) {
        int64_t reach = (w->kernel[d] - 1) * w->dilation[d] + 1, total, room;

        w->in[d] = in->dims[d + 2];
        w->before[d] = pads[d];
        total = pads[d] + pads[d + w->rank];
        if (strcmp(auto_pad, "NOTSET"))
            w->before[d] = total = 0;
        if (same) {
            int64_t want = (w->in[d] + w->stride[d] - 1) / w->stride[d];

            total = (want - 1) * w->stride[d] + reach - w->in[d];
            total = total < 0 ? 0 : total;
            w->before[d] = (total + !strcmp(auto_pad, "SAME_LOWER")) / 2;
        }
        room = w->in[d] + total - reach;
        if (w->kernel[d] < 1 || w->kernel[d] > 1 << 20 || room < 0)
            return net_refuse(l, "the window does not fit the input");
        if (ceil_mode && room % w->stride[d])
            return net_refuse(l, "ceil_mode with a window over the edge");
        dims[d] = w->out[d] = room / w->stride[d] + 1;
        w->in_size *= (size_t)w->in[d];
        w->kernel_size *= (size_t)w->kernel[d];
        if (w->kernel_size > MAX_ELEMENT)
            return net_refuse(l, "a window that is too large");
    }
    return AX_OK;
}

static ax_status window_scratch(struct lowering *l, struct window *w)
{
    for (int d = 0; d < w->rank; d++)
        w->out_size *= (size_t)w->out[d];
    w->at = net_alloc(l, w->kernel_size, sizeof *w->at);
    w->tap = net_alloc(l, w->kernel_size, sizeof *w->tap);
    return w->at && w->tap ? AX_OK : net_no_memory(l);
}

ax_status net_conv(struct lowering *l, struct form *out)
{
    const struct form *x = net_input(l, 0), *k = net_input(l, 1);
    const struct form *b = net_input(l, 2);
    struct window w = {.rank = x->rank - 2};
    struct linear_map map = {0, conv_row, &w};
    struct form product, bias, spread;
    int64_t dims[AX_RANK_MAX], side[AX_RANK_MAX];
    int64_t groups = ax_node_int(l->node, "group", 1);

    if (x->rank < 3 || k->rank != x->rank)
        return net_refuse(l, "%d and %d dimensions", x->rank, k->rank);
    if (k->kind != FORM_CONST)
        return net_refuse(l, "the weights depend on the input");
    if (groups < 1 || k->dims[1] < 1 || k->dims[0] < 1 ||
        x->dims[1] % groups || x->dims[1] / groups != k->dims[1] ||
        k->dims[0] % groups)
        return net_refuse(l, "channels and groups do not fit");
    memcpy(w.kernel, k->dims + 2, (size_t)w.rank * sizeof *w.kernel);
    AX_TRY(window_shape(l, &w, x, dims + 2));
    dims[0] = x->dims[0];
    dims[1] = k->dims[0];
    AX_TRY(form_shape(l, &product, x->rank, dims));
    AX_TRY(window_scratch(l, &w));
    w.channels = (size_t)x->dims[1];
    w.out_channels = (size_t)k->dims[0];
    w.groups = (size_t)groups;
    w.weight = k;
    map.max_terms = (size_t)k->dims[1] * w.kernel_size;
    AX_TRY(map_any(l, &product, x, &map));
    *out = product;
    if (!b)
        return AX_OK;
    side[0] = k->dims[0];
    for (int i = 1; i <= w.rank; i++)
        side[i] = 1;
    AX_TRY(net_reshaped(l, &bias, b, w.rank + 1, side));
    AX_TRY(net_broadcast(l, &spread, &bias, x->rank, dims));
    return form_add(l, out, &product, &spread, 1);
}

/* Is 1 / n exact? */
static bool power_of_two(size_t n)
{
    return n && !(n & (n - 1));
}

ax_status net_average_pool(struct lowering *l, struct form *out)
{
    const struct form *x = net_input(l, 0);
    const struct ax_attr *kernel = ax_node_attr(l->node, "kernel_shape");
    struct window w = {.rank = x->rank - 2, .groups = 1};
    struct linear_map map = {0, pool_row, &w};
    int64_t dims[AX_RANK_MAX];

    if (x->rank < 3 || !kernel || kernel->kind != AX_ATTR_INTS ||
        kernel->n != (size_t)w.rank)
        return net_refuse(l, "kernel_shape does not fit the input");
    memcpy(w.kernel, kernel->ints, kernel->n * sizeof *w.kernel);
    AX_TRY(window_shape(l, &w, x, dims + 2));
    w.count_pads = ax_node_int(l->node, "count_include_pad", 0) != 0;
    memcpy(dims, x->dims, 2 * sizeof *dims);
    AX_TRY(form_shape(l, out, x->rank, dims));
    AX_TRY(window_scratch(l, &w));
    for (size_t o = 0; o < w.out_size; o++) {
        size_t taps = window_taps(&w, o);

        if (!power_of_two(w.count_pads ? w.kernel_size : taps))
            return net_refuse(l, "1/%zu is not exact",
                              w.count_pads ? w.kernel_size : taps);
    }
    map.max_terms = w.kernel_size;
    return map_any(l, out, x, &map);
}

/* Sums over some dimensions: where in the input each output begins, and
 * what to add to that. */
struct reduction {
    uint32_t *begin, *step;
    size_t n;
    double share;
};

static size_t reduce_row(const struct linear_map *map, size_t o,
                         uint32_t *index, double *coef)
{
    const struct reduction *r = map->data;

    for (size_t i = 0; i < r->n; i++) {
        index[i] = r->begin[o] + r->step[i];
        coef[i] = r->share;
    }
    return r->n;
}

/* ReduceSum has its axes as input, ReduceMean as attribute. */
static ax_status reduce_axes(struct lowering *l, const struct form *in,
                             bool *gone)
{
    const struct ax_attr *a = ax_node_attr(l->node, "axes");
    int64_t axes[AX_RANK_MAX];
    size_t n = 0;

    memset(gone, 0, AX_RANK_MAX * sizeof *gone);
    if (l->node->n_in > 1 && net_input(l, 1)) {
        AX_TRY(net_ints(l, 1, axes, AX_RANK_MAX, &n));
    } else if (a && a->kind == AX_ATTR_INTS && a->n <= AX_RANK_MAX) {
        memcpy(axes, a->ints, a->n * sizeof *axes);
        n = a->n;
    }
    for (size_t i = 0; i < n; i++) {
        int64_t axis = axes[i] < 0 ? axes[i] + in->rank : axes[i];

        if (axis < 0 || axis >= in->rank || gone[axis])
            return net_refuse(l, "bad axes");
        gone[axis] = true;
    }
    if (!n && !ax_node_int(l->node, "noop_with_empty_axes", 0))
        memset(gone, 1, AX_RANK_MAX * sizeof *gone);
    return AX_OK;
}

ax_status net_reduce(struct lowering *l, struct form *out)
{
    const struct form *in = net_input(l, 0);
    bool keep = ax_node_int(l->node, "keepdims", 1) != 0;
    struct reduction r = {.n = 1, .share = 1};
    struct linear_map map = {0, reduce_row, &r};
    int64_t dims[AX_RANK_MAX];
    bool gone[AX_RANK_MAX];
    size_t n_begin = 1, n_step = 1;
    int rank = 0;

    AX_TRY(reduce_axes(l, in, gone));
    for (int i = 0; i < in->rank; i++) {
        r.n *= gone[i] ? (size_t)in->dims[i] : 1;
        if (!gone[i] || keep)
            dims[rank++] = gone[i] ? 1 : in->dims[i];
    }
    AX_TRY(form_shape(l, out, rank, dims));
    r.begin = net_alloc(l, out->n, sizeof *r.begin);
    r.step = net_alloc(l, r.n, sizeof *r.step);
    if (!r.begin || !r.step)
        return net_no_memory(l);
    r.begin[0] = r.step[0] = 0;
    for (int i = 0; i < in->rank; i++) {
        uint32_t *at = gone[i] ? r.step : r.begin;
        size_t *n = gone[i] ? &n_step : &n_begin, dim = (size_t)in->dims[i];
        uint32_t stride = 1;

        for (int j = i + 1; j < in->rank; j++)
            stride *= (uint32_t)in->dims[j];
        /* Each of the n so far becomes dim; from the back, in place. */
        for (size_t t = *n * dim; t-- > 0;)
            at[t] = at[t / dim] + (uint32_t)(t % dim) * stride;
        *n *= dim;
    }
    if (l->node->op == AX_OP_ReduceMean) {
        if (!power_of_two(r.n))
            return net_refuse(l, "1/%zu is not exact", r.n);
        r.share = 1.0 / (double)r.n;
    }
    map.max_terms = r.n;
    return map_any(l, out, in, &map);
}
