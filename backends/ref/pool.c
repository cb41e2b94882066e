/* Pooling: MaxPool, AveragePool, LpPool, and the global forms. */
#include "ref.h"

#include <math.h>
#include <string.h>

/* What is done over one window. */
struct pooling {
    const struct ax_window *w;
    char kind; /* 'm' maximum, 'a' average, 'p' norm */
    bool count_pad;
    double p;
    bool column_major; /* of MaxPool's second output */
};

/* The part of a window that lies inside the input: from, to, in window
 * elements. */
static void inside(const struct ax_window *w, const int64_t at[3],
                   int64_t from[3], int64_t to[3])
{
    for (int d = 0; d < 3; d++) {
        int64_t start = at[d] * w->stride[d] - w->begin[d];
        int64_t room = w->in[d] - start;

        from[d] = start >= 0 ? 0
                             : (-start + w->dilation[d] - 1) / w->dilation[d];
        to[d] = room <= 0 ? 0 : (room + w->dilation[d] - 1) / w->dilation[d];
        if (to[d] > w->kernel[d])
            to[d] = w->kernel[d];
    }
}

/* How many elements an average divides by: those inside the input, or those
 * inside its padding too. */
static double divisor(const struct pooling *p, const int64_t at[3],
                      const int64_t from[3], const int64_t to[3])
{
    const struct ax_window *w = p->w;
    double n = 1;

    for (int d = 0; d < 3; d++) {
        int64_t start = at[d] * w->stride[d];
        int64_t room = w->begin[d] + w->in[d] + w->end[d] - start;
        int64_t whole = (room + w->dilation[d] - 1) / w->dilation[d];

        if (!p->count_pad)
            n *= (double)(to[d] - from[d]);
        else
            n *= (double)(whole < w->kernel[d] ? whole : w->kernel[d]);
    }
    return n;
}

static double accumulate(const struct pooling *p, double acc, double x)
{
    if (p->kind == 'm')
        return x > acc || isnan(x) ? x : acc;
    return acc + (p->kind == 'p' ? pow(fabs(x), p->p) : x);
}

/* One output element; *arg is where its maximum lies in the plane. */
static double window(const struct pooling *p, const struct ax_tensor *x,
                     size_t plane, const int64_t at[3], int64_t *arg)
{
    const struct ax_window *w = p->w;
    double acc = p->kind == 'm' ? -INFINITY : 0;
    int64_t from[3], to[3], k[3];
    bool any = false;

    *arg = 0;
    inside(w, at, from, to);
    for (k[0] = from[0]; k[0] < to[0]; k[0]++)
        for (k[1] = from[1]; k[1] < to[1]; k[1]++)
            for (k[2] = from[2]; k[2] < to[2]; k[2]++) {
                int64_t pos = 0, i[3];
                double v, was = acc;

                for (int d = 0; d < 3; d++) {
                    i[d] = at[d] * w->stride[d] - w->begin[d] +
                           k[d] * w->dilation[d];
                    pos = pos * w->in[d] + i[d];
                }
                ax_get_f64(&v, x->dtype, x->data, plane + (size_t)pos, 1);
                acc = accumulate(p, acc, v);
                if (p->kind == 'm' && (acc > was || !any))
                    *arg = p->column_major
                               ? (i[2] * w->in[1] + i[1]) * w->in[0] + i[0]
                               : pos;
                any = true;
            }
    if (p->kind == 'a')
        return acc / divisor(p, at, from, to);
    return p->kind == 'p' ? pow(acc, 1 / p->p) : acc;
}

static void pool_planes(const struct pooling *p, struct ax_call *c)
{
    const struct ax_tensor *x = c->in[0];
    const struct ax_window *w = p->w;
    size_t n_in = (size_t)ref_product(w->in, 0, 3);
    size_t n_out = (size_t)ref_product(w->out, 0, 3);
    size_t planes = (size_t)(x->dims[0] * x->dims[1]);
    int64_t *args = ax_call_wants(c, 1) ? c->out[1]->data : NULL;

    for (size_t n = 0; n < planes; n++)
        for (size_t o = 0; o < n_out; o++) {
            size_t rest = o / (size_t)w->out[2];
            int64_t at[3] = {(int64_t)(rest / (size_t)w->out[1]),
                             (int64_t)(rest % (size_t)w->out[1]),
                             (int64_t)(o % (size_t)w->out[2])},
                    arg;
            double y = window(p, x, n * n_in, at, &arg);

            ax_put_f64(x->dtype, c->out[0]->data, n * n_out + o, &y, 1);
            if (args)
                args[n * n_out + o] = (int64_t)(n * n_in) + arg;
        }
}

static ax_status pool_outputs(struct ax_call *c, const struct ax_window *w,
                              struct ax_err *err)
{
    const struct ax_tensor *x = c->in[0];
    int64_t dims[5] = {x->dims[0], x->dims[1]};

    for (int i = 0; i < w->rank; i++)
        dims[2 + i] = w->out[3 - w->rank + i];
    if (ax_call_wants(c, 1))
        AX_TRY(ax_call_out(c, 1, AX_I64, x->rank, dims, err));
    return ax_call_out(c, 0, x->dtype, x->rank, dims, err);
}

static ax_status pool(struct ax_call *c, struct ax_err *err)
{
    struct ax_window w;
    struct pooling p = {.w = &w, .kind = *(const char *)c->kernel->arg};

    AX_TRY(ref_want(
        c, 0, p.kind == 'm' ? REALS | BIT(AX_I8) | BIT(AX_U8) : REALS, err));
    p.count_pad = ax_node_int(c->node, "count_include_pad", 0) != 0;
    p.column_major = ax_node_int(c->node, "storage_order", 0) != 0;
    p.p = (double)ax_node_int(c->node, "p", 2);
    AX_TRY(ax_window_resolve(&w, c->node, c->in[0]->rank, c->in[0]->dims,
                             NULL, err));
    if (p.column_major && w.rank != 2 && ax_call_wants(c, 1))
        return ax_fail(err, AX_EUNSUPPORTED,
                       "storage_order 1 in %d dimensions", w.rank);
    for (int i = 0; i < 3; i++)
        if (w.begin[i] >= w.kernel[i] * w.dilation[i] ||
            w.end[i] >= w.kernel[i] * w.dilation[i])
            return ax_fail(err, AX_ESHAPE,
                           "padding is as large as the window");
    AX_TRY(pool_outputs(c, &w, err));
    pool_planes(&p, c);
    return AX_OK;
}

/* The whole plane is the window; any number of dimensions. */
static ax_status global_pool(struct ax_call *c, struct ax_err *err)
{
    struct ax_window w = {.rank = 3,
                          .out = {1, 1, 1},
                          .kernel = {1, 1, 1},
                          .stride = {1, 1, 1},
                          .dilation = {1, 1, 1}};
    struct pooling p = {.w = &w, .kind = *(const char *)c->kernel->arg};
    const struct ax_tensor *x;
    int64_t dims[AX_RANK_MAX];

    AX_TRY(ref_want(c, 0, REALS, err));
    AX_TRY(ref_want_rank(c, 0, 2, AX_RANK_MAX, err));
    x = c->in[0];
    p.p = (double)ax_node_int(c->node, "p", 2);
    for (int i = 0; i < x->rank; i++)
        dims[i] = i < 2 ? x->dims[i] : 1;
    w.in[0] = w.in[1] = 1;
    w.in[2] = w.kernel[2] = ref_product(x->dims, 2, x->rank);
    if (w.in[2] < 1)
        return ax_fail(err, AX_ESHAPE, "the input is empty");
    AX_TRY(ax_call_out(c, 0, x->dtype, x->rank, dims, err));
    pool_planes(&p, c);
    return AX_OK;
}

const struct ax_kernel ref_pool[] = {
    {"AveragePool", pool, NULL, "a"},
    {"GlobalAveragePool", global_pool, NULL, "a"},
    {"GlobalLpPool", global_pool, NULL, "p"},
    {"GlobalMaxPool", global_pool, NULL, "m"},
    {"LpPool", pool, NULL, "p"},
    {"MaxPool", pool, NULL, "m"},
    {0},
};
