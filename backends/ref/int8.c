/* What Conv, Gemm, MatMul and Add of bytes are: see AX_INT8_CONV in
 * ax/backend.h. */
#include "ref.h"

#include <string.h>

enum { X, X_SCALE, X_ZERO, W, W_SCALE, W_ZERO, Y_SCALE, Y_ZERO, BIAS };

static float scale_at(const struct ax_call *c, uint32_t i, size_t k)
{
    const float *s = c->in[i]->data;

    return s[ax_tensor_count(c->in[i]) == 1 ? 0 : k];
}

static int64_t zero_at(const struct ax_call *c, uint32_t i, size_t k)
{
    if (!ax_call_has(c, i))
        return 0;
    return ref_integer(c->in[i], ax_tensor_count(c->in[i]) == 1 ? 0 : k);
}

/* The type of the output. */
static ax_dtype type_of(const struct ax_call *c)
{
    return !ax_call_has(c, Y_SCALE) ? AX_F32
           : ax_call_has(c, Y_ZERO) ? c->in[Y_ZERO]->dtype
                                    : AX_U8;
}

/* Scales and the bias have as many numbers as there are channels. */
static ax_status check(const struct ax_call *c, size_t channels,
                       struct ax_err *err)
{
    size_t n;

    AX_TRY(ref_want(c, X, BIT(AX_U8) | BIT(AX_I8), err));
    AX_TRY(ref_want(c, W, BIT(AX_U8) | BIT(AX_I8), err));
    AX_TRY(ref_want(c, X_SCALE, BIT(AX_F32), err));
    AX_TRY(ref_want(c, W_SCALE, BIT(AX_F32), err));
    n = ax_tensor_count(c->in[W_SCALE]);
    if (n != 1 && n != channels)
        return ax_fail(err, AX_ESHAPE, "%zu scales for %zu channels", n,
                       channels);
    if (ax_call_has(c, BIAS) && ax_tensor_count(c->in[BIAS]) != channels)
        return ax_fail(err, AX_ESHAPE, "%zu biases for %zu channels",
                       ax_tensor_count(c->in[BIAS]), channels);
    return AX_OK;
}

/* Element I of the output, of channel CH, from the sum of products. */
static void put(struct ax_call *c, size_t i, size_t ch, uint32_t sum)
{
    float scale = scale_at(c, X_SCALE, 0) * scale_at(c, W_SCALE, ch);
    struct ax_tensor *y = c->out[0];
    int64_t q;

    if (ax_call_has(c, BIAS))
        sum += (uint32_t)((const int32_t *)c->in[BIAS]->data)[ch];
    if (y->dtype == AX_F32) {
        ((float *)y->data)[i] = (float)(int32_t)sum * scale;
        return;
    }
    scale /= scale_at(c, Y_SCALE, 0);
    q = ref_quantized((float)(int32_t)sum * scale, zero_at(c, Y_ZERO, 0),
                      y->dtype);
    ax_put_i64(y->dtype, y->data, i, &q, 1);
}

static ax_status conv(struct ax_call *c, struct ax_err *err)
{
    uint32_t *sum;
    size_t each, channels;

    AX_TRY(ref_conv_integers(&sum, c, X, X_ZERO, W, W_ZERO, type_of(c), err));
    channels = (size_t)c->out[0]->dims[1];
    AX_TRY(check(c, channels, err));
    each = (size_t)ref_product(c->out[0]->dims, 2, c->out[0]->rank);
    for (size_t i = 0; i < ax_tensor_count(c->out[0]); i++)
        put(c, i, i / each % channels, sum[i]);
    return AX_OK;
}

/* Rows of x with a matrix [k, n], or [n, k] if it is transposed. */
static ax_status product(struct ax_call *c, struct ax_err *err)
{
    bool turned = c->node->op == AX_OP_Gemm &&
                  ax_node_int(c->node, "transB", 0) != 0;
    const struct ax_tensor *x = c->in[X], *w = c->in[W];
    int64_t dims[AX_RANK_MAX];
    size_t rows, n, k;

    AX_TRY(ref_want_rank(c, W, 2, 2, err));
    AX_TRY(ref_want_rank(c, X, c->node->op == AX_OP_Gemm ? 2 : 1,
                         c->node->op == AX_OP_Gemm ? 2 : AX_RANK_MAX, err));
    k = (size_t)w->dims[turned];
    n = (size_t)w->dims[!turned];
    AX_TRY(check(c, n, err));
    if (x->dims[x->rank - 1] != (int64_t)k)
        return ax_fail(err, AX_ESHAPE, "%lld columns times %zu rows",
                       (long long)x->dims[x->rank - 1], k);
    rows = (size_t)ref_product(x->dims, 0, x->rank - 1);
    memcpy(dims, x->dims, sizeof dims);
    dims[x->rank - 1] = (int64_t)n;
    if (x->rank == 1) /* a row by itself */
        dims[0] = (int64_t)n;
    AX_TRY(ax_call_out(c, 0, type_of(c), x->rank, dims, err));
    for (size_t i = 0; i < rows * n; i++) {
        size_t row = i / n, j = i % n;
        uint32_t sum = 0;

        for (size_t l = 0; l < k; l++)
            sum +=
                (uint32_t)((ref_integer(x, row * k + l) -
                            zero_at(c, X_ZERO, 0)) *
                           (ref_integer(w, turned ? j * k + l : l * n + j) -
                            zero_at(c, W_ZERO, j)));
        put(c, i, j, sum);
    }
    return AX_OK;
}

struct sum {
    struct ax_call *c;
    struct ax_walk walk;
};

static void add_run(void *data, size_t out, const size_t *at, size_t len)
{
    static const uint32_t from[2][3] = {{X, X_SCALE, X_ZERO},
                                        {W, W_SCALE, W_ZERO}};
    const struct sum *s = data;
    const struct ax_call *c = s->c;

    for (size_t i = 0; i < len; i++) {
        float v[2];
        int64_t q;

        for (int o = 0; o < 2; o++) {
            size_t step = (size_t)s->walk.stride[o][s->walk.rank - 1];
            int64_t x = ref_integer(c->in[from[o][0]], at[o] + i * step);

            v[o] = (float)(x - zero_at(c, from[o][2], 0)) *
                   scale_at(c, from[o][1], 0);
        }
        q = ref_quantized((v[0] + v[1]) / scale_at(c, Y_SCALE, 0),
                          zero_at(c, Y_ZERO, 0), c->out[0]->dtype);
        ax_put_i64(c->out[0]->dtype, c->out[0]->data, out + i, &q, 1);
    }
}

static ax_status add(struct ax_call *c, struct ax_err *err)
{
    const struct ax_tensor *const both[2] = {c->in[X], c->in[W]};
    struct sum s = {.c = c};
    int64_t dims[AX_RANK_MAX];
    int rank;

    AX_TRY(check(c, 1, err));
    AX_TRY(ref_want(c, Y_SCALE, BIT(AX_F32), err));
    AX_TRY(ax_shape_broadcast(&rank, dims, both, 2, err));
    AX_TRY(ax_call_out(c, 0, type_of(c), rank, dims, err));
    ax_walk_init(&s.walk, rank, dims, both, 2);
    ax_walk_runs(&s.walk, 2, add_run, &s);
    return AX_OK;
}

const struct ax_kernel ref_int8[] = {
    {AX_INT8_ADD, add, NULL, NULL},
    {AX_INT8_CONV, conv, NULL, NULL},
    {AX_INT8_GEMM, product, NULL, NULL},
    {AX_INT8_MATMUL, product, NULL, NULL},
    {0},
};
