/* What old spellings mean can depend on shapes: done here, after these are
 * known. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "formats/onnx/onnx.h"
#include "formats/window.h"

static struct ax_attr *find(struct ax_node *n, const char *name)
{
    for (uint32_t i = 0; i < n->n_attrs; i++)
        if (strcmp(n->attrs[i].name, name) == 0)
            return &n->attrs[i];
    return NULL;
}

/* None of the attributes that go away here owns more than this. */
static void drop(struct ax_node *n, struct ax_attr *a)
{
    if (!a)
        return;
    free(a->name);
    free(a->s);
    free(a->ints);
    n->n_attrs--;
    memmove(a, a + 1, (size_t)(&n->attrs[n->n_attrs] - a) * sizeof *a);
}

/* Softmax over the dimensions from axis to the last as if they were one: the
 * same as over one dimension if it is the last, or the later ones are 1. */
static ax_status old_softmax(const struct ax_graph *g, struct ax_node *n,
                             struct ax_err *err)
{
    const struct ax_value *x = &g->values[n->in[0]];
    struct ax_attr *a = find(n, ONNX_AXIS_OLD);
    int64_t axis = a->i;
    int last;

    memcpy(a->name, "axis", sizeof "axis"); /* it is shorter */
    if (x->rank < 0)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "its meaning before operator set 13 depends on the "
                       "rank of its input, which is not known");
    if (axis < 0)
        axis += x->rank;
    if (axis < 0 || axis >= x->rank)
        return ax_fail(err, AX_ESHAPE,
                       "axis %" PRId64 " does not fit rank %d", a->i,
                       x->rank);
    for (last = x->rank - 1; last > axis && x->dims[last] == 1; last--)
        ;
    if (last != axis)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "before operator set 13 it takes dimensions %" PRId64
                       " to %d as one, which is not supported",
                       axis, x->rank - 1);
    if (axis == x->rank - 1)
        drop(n, a);
    else
        a->i = axis;
    return AX_OK;
}

/* Which input of a node with windows has the weights; 0: it has none. */
static uint32_t weights_of(const struct ax_node *n)
{
    return n->op == AX_OP_Conv || n->op == AX_OP_ConvInteger ? 1
           : n->op == AX_OP_QLinearConv                      ? 3
                                                             : 0;
}

/* The kernel of a convolution has the shape of its weights, which shape
 * inference has confirmed. */
static void conv_kernel(const struct ax_graph *g, struct ax_node *n)
{
    const struct ax_value *w = &g->values[n->in[weights_of(n)]];
    bool known = w->rank > 0;

    for (int i = 0; i < w->rank; i++)
        known = known && w->dims[i] >= 0;
    if (known)
        drop(n, find(n, "kernel_shape"));
}

static int64_t element(const struct ax_attr *a, int i)
{
    return a && (size_t)i < a->n ? a->ints[i] : 1;
}

/* SAME_UPPER and SAME_LOWER as pads, where the input's shape is known. The
 * attribute that named the mode becomes the pads: "auto_pad" and "pads" are
 * never both there. */
static ax_status same_pads(const struct ax_graph *g, struct ax_node *n,
                           struct ax_attr *mode, struct ax_err *err)
{
    const struct ax_value *x = &g->values[n->in[0]];
    uint32_t weights = weights_of(n);
    const struct ax_value *w = &g->values[n->in[weights]];
    const struct ax_attr *kernel = find(n, "kernel_shape");
    bool lower = strcmp(mode->s, "SAME_LOWER") == 0, zero = true;
    int spatial = x->rank - 2;
    int64_t *pads;
    char *name;

    for (int i = 0; i < spatial; i++)
        if (x->dims[i + 2] < 0 ||
            (weights && (w->rank != x->rank || w->dims[i + 2] < 0)))
            return AX_OK;
    if (spatial < 1)
        return AX_OK;
    pads = calloc(2 * (size_t)spatial, sizeof *pads);
    name = strdup("pads");
    if (!pads || !name) {
        free(pads);
        free(name);
        return ax_fail(err, AX_ENOMEM, "no memory for pads");
    }
    for (int i = 0; i < spatial; i++) {
        int64_t k = weights ? w->dims[i + 2] : element(kernel, i);
        int64_t total = window_same(x->dims[i + 2],
                                    element(find(n, "strides"), i), k,
                                    element(find(n, "dilations"), i));
        int64_t *front = &pads[i], *behind = &pads[i + spatial];

        window_halve(lower ? behind : front, lower ? front : behind, total);
        zero = zero && !total;
    }
    free(mode->name);
    free(mode->s);
    *mode = (struct ax_attr){.name = name,
                             .kind = AX_ATTR_INTS,
                             .n = 2 * (size_t)spatial,
                             .ints = pads};
    if (zero)
        drop(n, mode);
    return AX_OK;
}

static ax_status auto_pad(const struct ax_graph *g, struct ax_node *n,
                          struct ax_err *err)
{
    struct ax_attr *mode = find(n, "auto_pad");

    if (!mode)
        return AX_OK;
    if (find(n, "pads"))
        return ax_fail(err, AX_EFORMAT, "has both auto_pad and pads");
    if (strcmp(mode->s, "VALID") != 0)
        return same_pads(g, n, mode, err);
    drop(n, mode);
    return AX_OK;
}

/* That pieces are as many as there are outputs goes without saying, unless
 * the last one is shorter. */
static void even_split(const struct ax_graph *g, struct ax_node *n)
{
    const struct ax_value *x = &g->values[n->in[0]];
    int64_t axis = ax_node_int(n, "axis", 0);

    axis += axis < 0 ? x->rank : 0;
    if (x->rank > axis && axis >= 0 && x->dims[axis] >= 0 &&
        x->dims[axis] % n->n_out == 0)
        drop(n, find(n, "num_outputs"));
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct ax_attr *)a)->name,
                  ((const struct ax_attr *)b)->name);
}

static ax_status settle(const struct ax_graph *g, struct ax_node *n,
                        struct ax_err *err)
{
    for (uint32_t i = 0; i < n->n_attrs; i++)
        if (n->attrs[i].kind == AX_ATTR_GRAPH)
            AX_TRY(onnx_settle(n->attrs[i].graph, err));
    if (find(n, ONNX_AXIS_OLD))
        return old_softmax(g, n, err);
    if (n->op == AX_OP_Split)
        even_split(g, n);
    if (!weights_of(n) && n->op != AX_OP_AveragePool &&
        n->op != AX_OP_MaxPool)
        return AX_OK;
    AX_TRY(auto_pad(g, n, err));
    if (weights_of(n))
        conv_kernel(g, n);
    if (n->n_attrs > 1)
        qsort(n->attrs, n->n_attrs, sizeof *n->attrs, by_name);
    return AX_OK;
}

ax_status onnx_settle(struct ax_graph *g, struct ax_err *err)
{
    for (uint32_t i = 0; i < g->n_nodes; i++)
        if (settle(g, &g->nodes[i], err) != AX_OK)
            return ax_fail_in(err, "node %" PRIu32 " (%s '%s')", i,
                              ax_op_name(g->nodes[i].op), g->nodes[i].name);
    return AX_OK;
}
