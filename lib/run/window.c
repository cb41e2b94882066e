/* Shapes that kernels of more than one backend work out. */
#include "ax/backend.h"

#include <string.h>

const struct ax_backend *ax_backend_find(const char *name)
{
    for (int i = 0; ax_backends[i]; i++)
        if (strcmp(ax_backends[i]->name, name) == 0)
            return ax_backends[i];
    return NULL;
}

const struct ax_kernel *ax_backend_kernel(const struct ax_backend *b,
                                          const char *op)
{
    for (int g = 0; op && b->groups[g]; g++)
        for (const struct ax_kernel *k = b->groups[g]; k->op; k++)
            if (strcmp(k->op, op) == 0)
                return k;
    return NULL;
}

ax_status ax_shape_broadcast(int *rank, int64_t *dims,
                             const struct ax_tensor *const *in, uint32_t n,
                             struct ax_err *err)
{
    *rank = 0;
    for (uint32_t k = 0; k < n; k++)
        if (in[k]->rank > *rank)
            *rank = in[k]->rank;
    for (int i = 0; i < *rank; i++) {
        dims[i] = 1;
        for (uint32_t k = 0; k < n; k++) {
            int j = i - (*rank - in[k]->rank);
            int64_t d = j < 0 ? 1 : in[k]->dims[j];

            if (d == 1 || d == dims[i])
                continue;
            if (dims[i] != 1)
                return ax_fail(err, AX_ESHAPE,
                               "input %u has %lld in dimension %d where "
                               "another has %lld",
                               k, (long long)d, j, (long long)dims[i]);
            dims[i] = d;
        }
    }
    return AX_OK;
}

/* -- windows ------------------------------------------------------------- */

#define EXTENT_MAX ((int64_t)1 << 40) /* products of two stay in range */

/* An attribute with one number a spatial dimension, aligned to the last. */
static ax_status spatial(int64_t *out, const struct ax_node *node,
                         const char *name, int rank, int64_t dflt,
                         int64_t min, struct ax_err *err)
{
    const struct ax_attr *a = ax_node_attr(node, name);

    for (int i = 0; i < 3; i++)
        out[i] = dflt;
    if (!a)
        return AX_OK;
    if (a->kind != AX_ATTR_INTS || a->n != (size_t)rank)
        return ax_fail(err, AX_EFORMAT, "attribute %s wants %d integers",
                       name, rank);
    for (int i = 0; i < rank; i++) {
        if (a->ints[i] < min || a->ints[i] > EXTENT_MAX)
            return ax_fail(err, AX_EFORMAT, "attribute %s has %lld", name,
                           (long long)a->ints[i]);
        out[3 - rank + i] = a->ints[i];
    }
    return AX_OK;
}

static ax_status pads(struct ax_window *w, const struct ax_node *node,
                      struct ax_err *err)
{
    const struct ax_attr *a = ax_node_attr(node, "pads");

    memset(w->begin, 0, sizeof w->begin);
    memset(w->end, 0, sizeof w->end);
    if (!a)
        return AX_OK;
    if (a->kind != AX_ATTR_INTS || a->n != 2 * (size_t)w->rank)
        return ax_fail(err, AX_EFORMAT, "attribute pads wants %d integers",
                       2 * w->rank);
    for (size_t i = 0; i < a->n; i++)
        if (a->ints[i] < 0 || a->ints[i] > EXTENT_MAX)
            return ax_fail(err, AX_EFORMAT, "attribute pads has %lld",
                           (long long)a->ints[i]);
    for (int i = 0; i < w->rank; i++) {
        w->begin[3 - w->rank + i] = a->ints[i];
        w->end[3 - w->rank + i] = a->ints[w->rank + i];
    }
    return AX_OK;
}

/* Output extent of one dimension, padding resolved. */
static ax_status extent(struct ax_window *w, int i, const char *auto_pad,
                        bool ceil_mode, struct ax_err *err)
{
    int64_t span = w->dilation[i] * (w->kernel[i] - 1) + 1;
    int64_t room, left;

    if (strcmp(auto_pad, "SAME_UPPER") == 0 ||
        strcmp(auto_pad, "SAME_LOWER") == 0) {
        int64_t out = (w->in[i] + w->stride[i] - 1) / w->stride[i];
        int64_t total = (out - 1) * w->stride[i] + span - w->in[i];

        total = total > 0 ? total : 0;
        w->begin[i] = auto_pad[5] == 'U' ? total / 2 : total - total / 2;
        w->end[i] = total - w->begin[i];
    } else if (strcmp(auto_pad, "VALID") == 0) {
        w->begin[i] = w->end[i] = 0;
    } else if (strcmp(auto_pad, "NOTSET") != 0) {
        return ax_fail(err, AX_EUNSUPPORTED, "auto_pad '%s'", auto_pad);
    }
    room = w->in[i] + w->begin[i] + w->end[i] - span;
    if (room < 0)
        return ax_fail(err, AX_ESHAPE,
                       "the window spans %lld and the padded input has %lld",
                       (long long)span,
                       (long long)(w->in[i] + w->begin[i] + w->end[i]));
    left = room % w->stride[i];
    w->out[i] = room / w->stride[i] + 1;
    /* A window more where some of it lies inside the input or its leading
     * padding. */
    if (ceil_mode && left > 0 &&
        w->out[i] * w->stride[i] < w->in[i] + w->begin[i])
        w->out[i]++;
    return AX_OK;
}

ax_status ax_window_resolve(struct ax_window *w, const struct ax_node *node,
                            int rank, const int64_t *dims,
                            const int64_t *kernel, struct ax_err *err)
{
    const char *auto_pad = ax_node_string(node, "auto_pad", "NOTSET");
    bool ceil_mode = ax_node_int(node, "ceil_mode", 0) != 0;

    if (rank < 3 || rank > 5)
        return ax_fail(err, AX_ESHAPE,
                       "wants 1 to 3 spatial dimensions, input has %d",
                       rank - 2);
    w->rank = rank - 2;
    AX_TRY(spatial(w->kernel, node, "kernel_shape", w->rank, 1, 1, err));
    AX_TRY(spatial(w->stride, node, "strides", w->rank, 1, 1, err));
    AX_TRY(spatial(w->dilation, node, "dilations", w->rank, 1, 1, err));
    AX_TRY(pads(w, node, err));
    if (!kernel && !ax_node_attr(node, "kernel_shape"))
        return ax_fail(err, AX_EFORMAT, "attribute kernel_shape is missing");
    for (int i = 0; i < 3; i++) {
        int at = i - (3 - w->rank);

        w->in[i] = at < 0 ? 1 : dims[2 + at];
        if (at >= 0 && kernel) {
            if (ax_node_attr(node, "kernel_shape") &&
                w->kernel[i] != kernel[at])
                return ax_fail(err, AX_ESHAPE,
                               "kernel_shape has %lld where the weight has "
                               "%lld",
                               (long long)w->kernel[i],
                               (long long)kernel[at]);
            w->kernel[i] = kernel[at];
        }
        if (w->kernel[i] < 1 || w->kernel[i] > EXTENT_MAX ||
            w->in[i] > EXTENT_MAX ||
            w->kernel[i] > EXTENT_MAX / w->dilation[i])
            return ax_fail(err, AX_ESHAPE,
                           "the window is too large or empty");
        AX_TRY(extent(w, i, auto_pad, ceil_mode, err));
    }
    return AX_OK;
}

/* ---- transposed ---- */

/* One spatial dimension: output extent and padding. */
static ax_status transposed_extent(struct ax_window *w, int i, int64_t extra,
                                   int64_t wanted, const char *auto_pad,
                                   struct ax_err *err)
{
    int64_t span = w->dilation[i] * (w->kernel[i] - 1) + 1;
    int64_t full;

    if (w->in[i] > EXTENT_MAX / w->stride[i])
        return ax_fail(err, AX_ESHAPE, "the output is too large");
    full = w->stride[i] * (w->in[i] - 1) + span + extra;
    if (wanted < 0 && strncmp(auto_pad, "SAME_", 5) == 0)
        wanted = w->in[i] * w->stride[i];
    if (wanted >= 0) {
        int64_t total = full - wanted > 0 ? full - wanted : 0;

        w->begin[i] = strcmp(auto_pad, "SAME_UPPER") == 0 ? total / 2
                                                          : total - total / 2;
        w->end[i] = total - w->begin[i];
    }
    w->out[i] = wanted >= 0 ? wanted : full - w->begin[i] - w->end[i];
    if (w->out[i] < 1)
        return ax_fail(err, AX_ESHAPE, "the output has extent %lld",
                       (long long)w->out[i]);
    return AX_OK;
}

/* The last of a list of integers, which may begin with other dimensions; -1
 * where there is none. */
static ax_status last_ints(int64_t *out, const struct ax_node *node,
                           const char *name, int rank, struct ax_err *err)
{
    const struct ax_attr *a = ax_node_attr(node, name);

    for (int i = 0; i < 3; i++)
        out[i] = -1;
    if (!a)
        return AX_OK;
    if (a->kind != AX_ATTR_INTS || a->n < (size_t)rank)
        return ax_fail(err, AX_EFORMAT, "attribute %s wants %d integers",
                       name, rank);
    for (int i = 0; i < rank; i++) {
        int64_t v = a->ints[a->n - (size_t)rank + (size_t)i];

        if (v < 0 || v > EXTENT_MAX)
            return ax_fail(err, AX_EFORMAT, "attribute %s has %lld", name,
                           (long long)v);
        out[3 - rank + i] = v;
    }
    return AX_OK;
}

ax_status ax_window_transposed(struct ax_window *w,
                               const struct ax_node *node, int rank,
                               const int64_t *dims, const int64_t *kernel,
                               struct ax_err *err)
{
    const char *auto_pad = ax_node_string(node, "auto_pad", "NOTSET");
    int64_t padded[AX_RANK_MAX] = {0}, extra[3], wanted[3];

    /* Attributes are read by the common code, on an input that is large
     * enough for any window; the extents follow by the inverse rule. */
    for (int i = 2; i < rank; i++)
        padded[i] = EXTENT_MAX;
    AX_TRY(ax_window_resolve(w, node, rank, padded, kernel, err));
    AX_TRY(last_ints(extra, node, "output_padding", w->rank, err));
    AX_TRY(last_ints(wanted, node, "output_shape", w->rank, err));
    for (int i = 0; i < 3; i++) {
        w->in[i] = i < 3 - w->rank ? 1 : dims[i - 1 + w->rank];
        AX_TRY(transposed_extent(w, i, extra[i] > 0 ? extra[i] : 0,
                                 i < 3 - w->rank ? 1 : wanted[i], auto_pad,
                                 err));
    }
    return AX_OK;
}
