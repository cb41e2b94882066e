/* Convolutions: Conv, ConvTranspose, ConvInteger. Each output element is
 * summed over input channels, then over the window, in order; the bias is
 * added last. */
#include "ref.h"

#include <string.h>

/* A convolution of one tensor by one weight. */
struct conv {
    struct ax_window w;
    int64_t batch, groups;
    int64_t cin, cout;   /* channels a group */
    int64_t n_in, n_out; /* elements of a plane */
    int64_t n_kernel;    /* elements of a window */
};

/* First and one past the last output position along dimension D whose
 * window element K lies inside the input. */
static void range(const struct ax_window *w, int d, int64_t k, int64_t *from,
                  int64_t *to)
{
    int64_t off = k * w->dilation[d] - w->begin[d];
    int64_t room = w->in[d] - 1 - off;

    *from = off >= 0 ? 0 : (-off + w->stride[d] - 1) / w->stride[d];
    *to = room < 0 ? 0 : room / w->stride[d] + 1;
    if (*to > w->out[d])
        *to = w->out[d];
}

/* y plane += one weight times a shifted x plane. */
#define PLANE(name, type)                                              \
    static void name(type *y, const type *x, type v,                   \
                     const struct ax_window *w, const int64_t k[3])    \
    {                                                                  \
        int64_t from[3], to[3];                                        \
        for (int d = 0; d < 3; d++)                                    \
            range(w, d, k[d], &from[d], &to[d]);                       \
        for (int64_t i = from[0]; i < to[0]; i++)                      \
            for (int64_t j = from[1]; j < to[1]; j++) {                \
                int64_t a = i * w->stride[0] + k[0] * w->dilation[0] - \
                            w->begin[0];                               \
                int64_t b = j * w->stride[1] + k[1] * w->dilation[1] - \
                            w->begin[1];                               \
                const type *row = x + (a * w->in[1] + b) * w->in[2];   \
                type *to_row = y + (i * w->out[1] + j) * w->out[2];    \
                int64_t off = k[2] * w->dilation[2] - w->begin[2];     \
                for (int64_t l = from[2]; l < to[2]; l++)              \
                    to_row[l] += v * row[l * w->stride[2] + off];      \
            }                                                          \
    }

#define CONV(name, type, plane)                                             \
    static void name(type *y, const type *x, const type *weight,            \
                     const struct conv *c)                                  \
    {                                                                       \
        memset(y, 0,                                                        \
               (size_t)(c->batch * c->groups * c->cout * c->n_out) *        \
                   sizeof *y);                                              \
        for (int64_t n = 0; n < c->batch * c->groups; n++)                  \
            for (int64_t o = 0; o < c->cout; o++, y += c->n_out) {          \
                const type *v = weight + (n % c->groups * c->cout + o) *    \
                                             c->cin * c->n_kernel;          \
                for (int64_t i = 0; i < c->cin; i++)                        \
                    for (int64_t k = 0; k < c->n_kernel; k++, v++)          \
                        plane(y, x + (n * c->cin + i) * c->n_in, *v, &c->w, \
                              (int64_t[3]){                                 \
                                  k / c->w.kernel[2] / c->w.kernel[1],      \
                                  k / c->w.kernel[2] % c->w.kernel[1],      \
                                  k % c->w.kernel[2]});                     \
            }                                                               \
    }

PLANE(plane_f32, float)
PLANE(plane_f64, double)
PLANE(plane_u32, uint32_t)
CONV(conv_f32, float, plane_f32)
CONV(conv_f64, double, plane_f64)
CONV(conv_u32, uint32_t, plane_u32)

#define BIAS(name, type)                                    \
    static void name(type *y, const type *b, int64_t batch, \
                     int64_t channels, int64_t n)           \
    {                                                       \
        for (int64_t i = 0; b && i < batch * channels; i++) \
            for (int64_t k = 0; k < n; k++, y++)            \
                *y += b[i % channels];                      \
    }

BIAS(bias_f32, float)
BIAS(bias_f64, double)

static ax_status conv_shape(struct conv *c, const struct ax_call *call,
                            uint32_t ix, uint32_t iw, struct ax_err *err)
{
    const struct ax_tensor *x = call->in[ix], *w = call->in[iw];

    if (x->rank != w->rank)
        return ax_fail(err, AX_ESHAPE,
                       "the weight wants %d dimensions, has %d", x->rank,
                       w->rank);
    AX_TRY(ax_window_resolve(&c->w, call->node, x->rank, x->dims, w->dims + 2,
                             err));
    c->groups = ax_node_int(call->node, "group", 1);
    c->batch = x->dims[0];
    c->cin = w->dims[1];
    if (c->groups < 1 || w->dims[0] % c->groups || x->dims[1] % c->groups ||
        x->dims[1] / c->groups != c->cin)
        return ax_fail(err, AX_ESHAPE,
                       "%lld input channels, %lld output channels and a "
                       "weight for %lld do not agree in %lld groups",
                       (long long)x->dims[1], (long long)w->dims[0],
                       (long long)c->cin, (long long)c->groups);
    c->cout = w->dims[0] / c->groups;
    c->n_in = ref_product(c->w.in, 0, 3);
    c->n_out = ref_product(c->w.out, 0, 3);
    c->n_kernel = ref_product(c->w.kernel, 0, 3);
    return AX_OK;
}

static ax_status conv_out(struct ax_call *call, const struct conv *c,
                          ax_dtype dtype, struct ax_err *err)
{
    int64_t dims[5] = {c->batch, c->groups * c->cout};

    for (int i = 0; i < c->w.rank; i++)
        dims[2 + i] = c->w.out[3 - c->w.rank + i];
    return ax_call_out(call, 0, dtype, 2 + c->w.rank, dims, err);
}

static ax_status want_bias(const struct ax_call *c, int64_t channels,
                           struct ax_err *err)
{
    if (!ax_call_has(c, 2))
        return AX_OK;
    AX_TRY(ref_same_dtype(c, 0, 2, err));
    if (ax_tensor_count(c->in[2]) != (size_t)channels)
        return ax_fail(err, AX_ESHAPE, "the bias wants %lld numbers, has %zu",
                       (long long)channels, ax_tensor_count(c->in[2]));
    return AX_OK;
}

static ax_status conv(struct ax_call *c, struct ax_err *err)
{
    const float *x, *w, *b;
    struct conv s;
    float *y;

    for (uint32_t i = 0; i < 2; i++) {
        AX_TRY(ref_want(c, i, REALS, err));
        AX_TRY(ref_want_rank(c, i, 3, 5, err));
    }
    AX_TRY(ref_same_dtype(c, 0, 1, err));
    AX_TRY(conv_shape(&s, c, 0, 1, err));
    AX_TRY(want_bias(c, s.groups * s.cout, err));
    AX_TRY(conv_out(c, &s, c->in[0]->dtype, err));
    if (c->in[0]->dtype == AX_F64) {
        conv_f64(c->out[0]->data, c->in[0]->data, c->in[1]->data, &s);
        bias_f64(c->out[0]->data, ax_call_has(c, 2) ? c->in[2]->data : NULL,
                 s.batch, s.groups * s.cout, s.n_out);
        return AX_OK;
    }
    AX_TRY(ref_f32(&x, c, 0, err));
    AX_TRY(ref_f32(&w, c, 1, err));
    AX_TRY(ref_f32(&b, c, 2, err));
    AX_TRY(ref_f32_out(&y, c, 0, err));
    conv_f32(y, x, w, &s);
    bias_f32(y, b, s.batch, s.groups * s.cout, s.n_out);
    ref_f32_done(c, 0, y);
    return AX_OK;
}

/* -- integers ------------------------------------------------------------ */

/* Input I in 32-bit integers less its zero point: one number, or one for
 * each index of the first dimension. Products of 8 bits do not overflow 32;
 * their sums wrap, as everywhere. */
ax_status ref_shifted(uint32_t **out, struct ax_call *c, uint32_t i,
                      uint32_t zero, struct ax_err *err)
{
    const struct ax_tensor *t = c->in[i];
    const struct ax_tensor *z = ax_call_has(c, zero) ? c->in[zero] : NULL;
    size_t n = ax_tensor_count(t), nz = z ? ax_tensor_count(z) : 1, each;
    int64_t v, off = 0;
    void *p;

    if (nz != 1 && nz != (size_t)t->dims[0])
        return ax_fail(err, AX_ESHAPE,
                       "zero point %u wants 1 or %lld numbers, has %zu", zero,
                       (long long)t->dims[0], nz);
    AX_TRY(ax_call_scratch(c, &p, n * sizeof(uint32_t), err));
    *out = p;
    each = nz > 0 && n > 0 ? n / nz : 1;
    for (size_t k = 0; k < n; k++) {
        ax_get_i64(&v, t->dtype, t->data, k, 1);
        if (z && k % each == 0)
            ax_get_i64(&off, z->dtype, z->data, k / each, 1);
        (*out)[k] = (uint32_t)(v - off);
    }
    return AX_OK;
}

ax_status ref_conv_integers(uint32_t **y, struct ax_call *c, uint32_t ix,
                            uint32_t zx, uint32_t iw, uint32_t zw,
                            ax_dtype dtype, struct ax_err *err)
{
    uint32_t *x, *w;
    struct conv s;
    void *p;

    for (int k = 0; k < 2; k++) {
        AX_TRY(ref_want(c, k ? iw : ix, BIT(AX_U8) | BIT(AX_I8), err));
        AX_TRY(ref_want_rank(c, k ? iw : ix, 3, 5, err));
    }
    AX_TRY(conv_shape(&s, c, ix, iw, err));
    AX_TRY(conv_out(c, &s, dtype, err));
    AX_TRY(ref_shifted(&x, c, ix, zx, err));
    AX_TRY(ref_shifted(&w, c, iw, zw, err));
    if (dtype == AX_I32) {
        *y = c->out[0]->data;
    } else {
        AX_TRY(ax_call_scratch(
            c, &p, ax_tensor_count(c->out[0]) * sizeof(uint32_t), err));
        *y = p;
    }
    conv_u32(*y, x, w, &s);
    return AX_OK;
}

static ax_status conv_integer(struct ax_call *c, struct ax_err *err)
{
    uint32_t *y;

    return ref_conv_integers(&y, c, 0, 2, 1, 3, AX_I32, err);
}

/* -- ConvTranspose ------------------------------------------------------- */

/* plane() the other way: what it reads is written. */
#define PLANE_BACK(name, type)                                              \
    static void name(type *y, const type *x, type v,                        \
                     const struct ax_window *w, const int64_t k[3])         \
    {                                                                       \
        int64_t from[3], to[3];                                             \
        for (int d = 0; d < 3; d++)                                         \
            range(w, d, k[d], &from[d], &to[d]);                            \
        for (int64_t i = from[0]; i < to[0]; i++)                           \
            for (int64_t j = from[1]; j < to[1]; j++) {                     \
                int64_t a = i * w->stride[0] + k[0] * w->dilation[0] -      \
                            w->begin[0];                                    \
                int64_t b = j * w->stride[1] + k[1] * w->dilation[1] -      \
                            w->begin[1];                                    \
                type *row = y + (a * w->in[1] + b) * w->in[2];              \
                const type *from_row = x + (i * w->out[1] + j) * w->out[2]; \
                int64_t off = k[2] * w->dilation[2] - w->begin[2];          \
                for (int64_t l = from[2]; l < to[2]; l++)                   \
                    row[l * w->stride[2] + off] += v * from_row[l];         \
            }                                                               \
    }

/* c describes the convolution from our output (in) to our input (out). */
#define CONV_BACK(name, type, plane)                                        \
    static void name(type *y, const type *x, const type *weight,            \
                     const struct conv *c)                                  \
    {                                                                       \
        memset(y, 0,                                                        \
               (size_t)(c->batch * c->groups * c->cin * c->n_in) *          \
                   sizeof *y);                                              \
        for (int64_t n = 0; n < c->batch * c->groups; n++)                  \
            for (int64_t o = 0; o < c->cout; o++, x += c->n_out) {          \
                const type *v = weight + (n % c->groups * c->cout + o) *    \
                                             c->cin * c->n_kernel;          \
                for (int64_t i = 0; i < c->cin; i++)                        \
                    for (int64_t k = 0; k < c->n_kernel; k++, v++)          \
                        plane(y + (n * c->cin + i) * c->n_in, x, *v, &c->w, \
                              (int64_t[3]){                                 \
                                  k / c->w.kernel[2] / c->w.kernel[1],      \
                                  k / c->w.kernel[2] % c->w.kernel[1],      \
                                  k % c->w.kernel[2]});                     \
            }                                                               \
    }

PLANE_BACK(back_f32, float)
PLANE_BACK(back_f64, double)
CONV_BACK(conv_back_f32, float, back_f32)
CONV_BACK(conv_back_f64, double, back_f64)

static ax_status transposed_shape(struct conv *s, const struct ax_call *c,
                                  struct ax_err *err)
{
    const struct ax_tensor *x = c->in[0], *w = c->in[1];

    if (x->rank != w->rank)
        return ax_fail(err, AX_ESHAPE,
                       "the weight wants %d dimensions, has %d", x->rank,
                       w->rank);
    AX_TRY(ax_window_transposed(&s->w, c->node, x->rank, x->dims, w->dims + 2,
                                err));
    s->groups = ax_node_int(c->node, "group", 1);
    s->batch = x->dims[0];
    if (s->groups < 1 || x->dims[1] % s->groups || w->dims[0] != x->dims[1])
        return ax_fail(err, AX_ESHAPE,
                       "%lld input channels and a weight for %lld do not "
                       "agree in %lld groups",
                       (long long)x->dims[1], (long long)w->dims[0],
                       (long long)s->groups);
    s->cin = w->dims[1];
    s->cout = x->dims[1] / s->groups;
    s->n_kernel = ref_product(s->w.kernel, 0, 3);
    for (int i = 0; i < 3; i++) {
        int64_t in = s->w.in[i];

        s->w.in[i] = s->w.out[i];
        s->w.out[i] = in;
    }
    s->n_in = ref_product(s->w.in, 0, 3);
    s->n_out = ref_product(s->w.out, 0, 3);
    return AX_OK;
}

static ax_status conv_transpose(struct ax_call *c, struct ax_err *err)
{
    const float *x, *w, *b;
    int64_t dims[5];
    struct conv s;
    float *y;

    for (uint32_t i = 0; i < 2; i++) {
        AX_TRY(ref_want(c, i, REALS, err));
        AX_TRY(ref_want_rank(c, i, 3, 5, err));
    }
    AX_TRY(ref_same_dtype(c, 0, 1, err));
    AX_TRY(transposed_shape(&s, c, err));
    AX_TRY(want_bias(c, s.groups * s.cin, err));
    dims[0] = s.batch;
    dims[1] = s.groups * s.cin;
    for (int i = 0; i < s.w.rank; i++)
        dims[2 + i] = s.w.in[3 - s.w.rank + i];
    AX_TRY(ax_call_out(c, 0, c->in[0]->dtype, 2 + s.w.rank, dims, err));
    if (c->in[0]->dtype == AX_F64) {
        conv_back_f64(c->out[0]->data, c->in[0]->data, c->in[1]->data, &s);
        bias_f64(c->out[0]->data, ax_call_has(c, 2) ? c->in[2]->data : NULL,
                 s.batch, dims[1], s.n_in);
        return AX_OK;
    }
    AX_TRY(ref_f32(&x, c, 0, err));
    AX_TRY(ref_f32(&w, c, 1, err));
    AX_TRY(ref_f32(&b, c, 2, err));
    AX_TRY(ref_f32_out(&y, c, 0, err));
    conv_back_f32(y, x, w, &s);
    bias_f32(y, b, s.batch, dims[1], s.n_in);
    ref_f32_done(c, 0, y);
    return AX_OK;
}

const struct ax_kernel ref_conv[] = {
    {"Conv", conv, NULL, NULL},
    {"ConvInteger", conv_integer, NULL, NULL},
    {"ConvTranspose", conv_transpose, NULL, NULL},
    {0},
};
