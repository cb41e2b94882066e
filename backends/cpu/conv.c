/* Convolutions: by tiles (direct.c), or by oneDNN where there are threads or
 * three dimensions. A primitive is made when a shape is first seen and kept
 * with the node, as is the weight in the layout that it wants. */
#include "cpu.h"

#include <stdlib.h>
#include <string.h>

/* A tensor of a primitive: ours as it lies, and as the primitive wants it. */
struct arg {
    dnnl_memory_t plain, wanted; /* one and the same where layouts agree */
    dnnl_primitive_t reorder;    /* from one to the other, or NULL */
    void *data;                  /* of wanted, if it is another */
};

struct conv {
    const struct dnnl *d;
    int rank;
    int64_t x_dims[5], w_dims[5];
    dnnl_primitive_t primitive;
    struct arg x, w, y;
    dnnl_memory_t bias;
    bool weight_ready;
};

static void free_arg(const struct dnnl *d, struct arg *a)
{
    if (a->reorder)
        d->dnnl_primitive_destroy(a->reorder);
    if (a->wanted && a->wanted != a->plain)
        d->dnnl_memory_destroy(a->wanted);
    if (a->plain)
        d->dnnl_memory_destroy(a->plain);
    free(a->data);
}

static void drop(struct conv *s)
{
    if (s->primitive)
        s->d->dnnl_primitive_destroy(s->primitive);
    if (s->bias)
        s->d->dnnl_memory_destroy(s->bias);
    free_arg(s->d, &s->x);
    free_arg(s->d, &s->w);
    free_arg(s->d, &s->y);
    free(s);
}

/* -- making ---------------------------------------------------------------
 */

static bool plain_desc(dnnl_memory_desc_t *md, const struct dnnl *d, int rank,
                       const int64_t *dims, bool any)
{
    static const dnnl_format_tag_t tags[] = {[1] = dnnl_a,
                                             [3] = dnnl_abc,
                                             [4] = dnnl_abcd,
                                             [5] = dnnl_abcde,
                                             [6] = dnnl_abcdef};
    dnnl_dims_t dd;

    for (int i = 0; i < rank; i++)
        dd[i] = dims[i];
    return d->dnnl_memory_desc_init_by_tag(md, rank, dd, dnnl_f32,
                                           any ? dnnl_format_tag_any
                                               : tags[rank]) == dnnl_success;
}

static bool make_reorder(struct arg *a, const struct dnnl *d,
                         const dnnl_memory_desc_t *from,
                         const dnnl_memory_desc_t *to)
{
    dnnl_primitive_desc_t pd;
    bool good;

    if (d->dnnl_reorder_primitive_desc_create(
            &pd, from, d->engine, to, d->engine, NULL) != dnnl_success)
        return false;
    good = d->dnnl_primitive_create(&a->reorder, pd) == dnnl_success;
    d->dnnl_primitive_desc_destroy(pd);
    return good;
}

static bool make_arg(struct arg *a, const struct dnnl *d,
                     const dnnl_memory_desc_t *plain,
                     const dnnl_memory_desc_t *wanted, bool is_output)
{
    size_t n;

    if (d->dnnl_memory_create(&a->plain, plain, d->engine,
                              DNNL_MEMORY_NONE) != dnnl_success)
        return false;
    a->wanted = a->plain;
    if (d->dnnl_memory_desc_equal(plain, wanted))
        return true;
    n = (d->dnnl_memory_desc_get_size(wanted) + 63) / 64 * 64;
    a->data = aligned_alloc(64, n);
    if (!a->data || d->dnnl_memory_create(&a->wanted, wanted, d->engine,
                                          a->data) != dnnl_success) {
        a->wanted = a->plain;
        return false;
    }
    return is_output ? make_reorder(a, d, wanted, plain)
                     : make_reorder(a, d, plain, wanted);
}

/* The shapes of one convolution, as oneDNN wants them. */
struct shapes {
    int rank;
    int64_t x[5], w[6], y[5], bias;
    dnnl_dims_t stride, dilation, begin, end;
    int w_rank; /* one more with groups */
};

static void fill_shapes(struct shapes *s, const struct ax_call *c,
                        const struct ax_window *w)
{
    const struct ax_tensor *x = c->in[0], *k = c->in[1];
    int64_t groups = ax_node_int(c->node, "group", 1);
    int at = 0;

    s->rank = x->rank;
    memcpy(s->x, x->dims, sizeof s->x);
    if (groups > 1)
        s->w[at++] = groups;
    s->w[at++] = k->dims[0] / groups;
    for (int i = 1; i < k->rank; i++)
        s->w[at++] = k->dims[i];
    s->w_rank = at;
    s->bias = k->dims[0];
    s->y[0] = x->dims[0];
    s->y[1] = k->dims[0];
    for (int i = 0; i < w->rank; i++) {
        int from = 3 - w->rank + i;

        s->y[2 + i] = w->out[from];
        s->stride[i] = w->stride[from];
        s->dilation[i] = w->dilation[from] - 1;
        s->begin[i] = w->begin[from];
        s->end[i] = w->end[from];
    }
}

static dnnl_primitive_desc_t describe(const struct dnnl *d,
                                      const struct shapes *s, bool bias)
{
    dnnl_memory_desc_t x, w, b, y;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_convolution_desc_t cd;

    if (!plain_desc(&x, d, s->rank, s->x, true) ||
        !plain_desc(&w, d, s->w_rank, s->w, true) ||
        !plain_desc(&y, d, s->rank, s->y, true) ||
        !plain_desc(&b, d, 1, &s->bias, false))
        return NULL;
    if (d->dnnl_dilated_convolution_forward_desc_init(
            &cd, dnnl_forward_inference, dnnl_convolution_direct, &x, &w,
            bias ? &b : NULL, &y, s->stride, s->dilation, s->begin,
            s->end) != dnnl_success ||
        d->dnnl_primitive_desc_create(&pd, &cd, NULL, d->engine, NULL) !=
            dnnl_success)
        return NULL;
    return pd;
}

static bool make(struct conv *s, const struct shapes *sh, bool bias)
{
    const struct dnnl *d = s->d;
    dnnl_primitive_desc_t pd = describe(d, sh, bias);
    dnnl_memory_desc_t x, w, y, b;
    bool good;

    if (!pd)
        return false;
    good = d->dnnl_primitive_create(&s->primitive, pd) == dnnl_success &&
           plain_desc(&x, d, sh->rank, sh->x, false) &&
           plain_desc(&w, d, sh->w_rank, sh->w, false) &&
           plain_desc(&y, d, sh->rank, sh->y, false) &&
           plain_desc(&b, d, 1, &sh->bias, false) &&
           make_arg(&s->x, d, &x,
                    d->dnnl_primitive_desc_query_md(pd, dnnl_query_src_md, 0),
                    false) &&
           make_arg(
               &s->w, d, &w,
               d->dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0),
               false) &&
           make_arg(&s->y, d, &y,
                    d->dnnl_primitive_desc_query_md(pd, dnnl_query_dst_md, 0),
                    true) &&
           (!bias || d->dnnl_memory_create(&s->bias, &b, d->engine,
                                           DNNL_MEMORY_NONE) == dnnl_success);
    d->dnnl_primitive_desc_destroy(pd);
    return good;
}

/* What a node keeps, of either kind. */
struct kept {
    struct conv *dnnl;
    void *direct;
};

static void drop_kept(void *state)
{
    struct kept *kept = state;

    if (kept->dnnl)
        drop(kept->dnnl);
    if (kept->direct)
        direct_drop(kept->direct);
    free(kept);
}

/* The node's primitive, made anew if shapes have changed. */
static struct conv *prepare(struct ax_call *c, struct kept *kept,
                            const struct ax_window *w)
{
    struct cpu *cpu = c->backend;
    struct conv *s = kept->dnnl;
    struct shapes sh;

    if (s && s->rank == c->in[0]->rank &&
        !memcmp(s->x_dims, c->in[0]->dims, sizeof s->x_dims) &&
        !memcmp(s->w_dims, c->in[1]->dims, sizeof s->w_dims))
        return s;
    if (s)
        drop(s);
    kept->dnnl = s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->d = &cpu->dnnl;
    s->rank = c->in[0]->rank;
    memcpy(s->x_dims, c->in[0]->dims, sizeof s->x_dims);
    memcpy(s->w_dims, c->in[1]->dims, sizeof s->w_dims);
    fill_shapes(&sh, c, w);
    if (!make(s, &sh, ax_call_has(c, 2))) {
        drop(s);
        kept->dnnl = NULL;
        return NULL;
    }
    return s;
}

/* -- running ---------------------------------------------------------------
 */

static bool copy(const struct dnnl *d, const struct arg *a, bool back)
{
    dnnl_exec_arg_t args[] = {
        {DNNL_ARG_FROM, back ? a->wanted : a->plain},
        {DNNL_ARG_TO, back ? a->plain : a->wanted},
    };

    return !a->reorder || d->dnnl_primitive_execute(a->reorder, d->stream, 2,
                                                    args) == dnnl_success;
}

static bool set(const struct dnnl *d, dnnl_memory_t m, const void *data)
{
    void *p;

    memcpy(&p, &data, sizeof p); /* oneDNN does not write to inputs */
    return d->dnnl_memory_set_data_handle(m, p) == dnnl_success;
}

static bool execute(struct conv *s, struct ax_call *c)
{
    const struct dnnl *d = s->d;
    dnnl_exec_arg_t args[] = {
        {DNNL_ARG_SRC, s->x.wanted},
        {DNNL_ARG_WEIGHTS, s->w.wanted},
        {DNNL_ARG_DST, s->y.wanted},
        {DNNL_ARG_BIAS, s->bias},
    };

    if (!set(d, s->x.plain, c->in[0]->data) ||
        !set(d, s->w.plain, c->in[1]->data) ||
        !set(d, s->y.plain, c->out[0]->data) ||
        (s->bias && !set(d, s->bias, c->in[2]->data)) ||
        !copy(d, &s->x, false) ||
        (!s->weight_ready && !copy(d, &s->w, false)))
        return false;
    s->weight_ready = s->w.reorder && (c->constant & 2);
    return d->dnnl_primitive_execute(s->primitive, d->stream, s->bias ? 4 : 3,
                                     args) == dnnl_success &&
           copy(d, &s->y, true) &&
           d->dnnl_stream_wait(d->stream) == dnnl_success;
}

/* What the reference would refuse is left to it. */
static bool well_formed(const struct ax_call *c)
{
    int64_t groups = ax_node_int(c->node, "group", 1);
    const struct ax_tensor *x, *w;

    for (uint32_t i = 0; i < 3; i++)
        if ((i < 2 || ax_call_has(c, i)) &&
            (!cpu_real(c, i) || c->in[i]->dtype != c->in[0]->dtype))
            return false;
    x = c->in[0];
    w = c->in[1];
    return x->rank == w->rank && x->rank >= 3 && x->rank <= 5 && groups > 0 &&
           w->dims[0] % groups == 0 && x->dims[1] % groups == 0 &&
           x->dims[1] / groups == w->dims[1] && ax_tensor_count(x) > 0 &&
           ax_tensor_count(w) > 0 &&
           (!ax_call_has(c, 2) ||
            ax_tensor_count(c->in[2]) == (size_t)w->dims[0]);
}

static ax_status by_dnnl(struct ax_call *c, struct kept *kept,
                         const struct ax_window *w, struct ax_err *err)
{
    struct conv *s;
    int64_t dims[5];

    s = prepare(c, kept, w);
    if (!s)
        return AX_NO;
    dims[0] = c->in[0]->dims[0];
    dims[1] = c->in[1]->dims[0];
    for (int i = 0; i < w->rank; i++)
        dims[2 + i] = w->out[3 - w->rank + i];
    AX_TRY(ax_call_out(c, 0, AX_F32, c->in[0]->rank, dims, err));
    if (!execute(s, c))
        return ax_fail(err, AX_EUNAVAILABLE, "oneDNN failed");
    return AX_OK;
}

/* Multiplications, in all. */
static double work_of(const struct ax_call *c, const struct ax_window *w)
{
    return (double)ax_tensor_count(c->in[1]) * (double)c->in[0]->dims[0] *
           (double)w->out[0] * (double)w->out[1] * (double)w->out[2];
}

static ax_status conv(struct ax_call *c, struct ax_err *err)
{
    struct cpu *cpu = c->backend;
    struct kept *kept = *c->state;
    struct ax_window w;

    if (!well_formed(c) ||
        ax_window_resolve(&w, c->node, c->in[0]->rank, c->in[0]->dims,
                          c->in[1]->dims + 2, err) != AX_OK)
        return AX_NO;
    if (!kept)
        *c->state = kept = calloc(1, sizeof *kept);
    if (!kept)
        return ax_fail(err, AX_ENOMEM, "no memory for a convolution");
    if (cpu_f32(c, 0) && !cpu->deterministic &&
        (cpu->threads > 1 || w.rank > 2) &&
        work_of(c, &w) >= (double)CPU_LARGE &&
        dnnl_load(&cpu->dnnl, cpu->threads))
        return by_dnnl(c, kept, &w, err);
    return direct_conv(c, &w, &kept->direct, err);
}

const struct ax_kernel cpu_conv[] = {
    {"Conv", conv, drop_kept, NULL},
    {0},
};
