/* Nodes between bytes: what the cpu backend makes of chains of
 * DequantizeLinear, an operator and QuantizeLinear is, to the byte, what the
 * reference makes of QLinearConv, and what is computed here for products;
 * and the inner loops for every processor give the same sums. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ax/run.h"
#include "tests/unit/build.h"
#include "tests/unit/tap.h"

/* All of the inner loops, not only the best. */
#include "backends/cpu/bytes.c"

static uint64_t state = 1;

static unsigned below(unsigned n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33) % n;
}

/* -- inner loops -----------------------------------------------------------
 */

enum { K = 67 };

/* Words with all extremes among them. */
static void fill_words(cpu_word *to, size_t n)
{
    static const unsigned char ends[] = {0, 1, 127, 128, 255};

    for (size_t i = 0; i < n; i++) {
        to[i] = 0;
        for (int b = 0; b < 32; b += 8)
            to[i] |= (cpu_word)(below(3) ? below(256) : ends[below(5)]) << b;
    }
}

static void test_loops(void)
{
    static cpu_word a[4 * K * TILE_M], b[4 * K * TILE_N];
    static int32_t want[4 * TILE_N * TILE_M], is[4 * TILE_N * TILE_M];
    struct bytes kinds[3] = {{plain_columns, plain_rows, plain_row}};
    int n = 1;

#if WIDE
    if (__builtin_cpu_supports("avx2"))
        kinds[n++] = (struct bytes){columns_256, rows_256, row_256};
    if (__builtin_cpu_supports("avx512vnni"))
        kinds[n++] = (struct bytes){columns_512, rows_512, row_512};
#endif
    printf("# %d kinds of processors\n", n);
    fill_words(a, sizeof a / sizeof *a);
    fill_words(b, sizeof b / sizeof *b);
    for (int i = 1; i < n; i++) {
        bool same = true;

        for (int m = 1; m <= TILE_M; m++) {
            size_t size = (size_t)m * TILE_N * sizeof *is;

            plain_columns(want, a, b, NULL, K, m);
            kinds[i].columns(is, a, b, NULL, K, m);
            same = same && memcmp(is, want, size) == 0;
            plain_rows(want, a, b, NULL, K, m);
            kinds[i].rows(is, a, b, NULL, K, m);
            same = same && memcmp(is, want, size) == 0;
        }
        plain_row(want, a, b, K);
        kinds[i].row(is, a, b, K);
        OK(same && memcmp(is, want, 4 * TILE_N * sizeof *is) == 0);
    }
}

/* -- models ---------------------------------------------------------------
 */

static float room[1 << 18];
static size_t used;

static void *take(size_t n)
{
    void *p = room + used;

    used += (n + 15) / 16 * 4;
    if (used > sizeof room / sizeof *room) {
        printf("Bail out! no room\n");
        exit(1);
    }
    memset(p, 0, n);
    return p;
}

static uint32_t typed(ax_dtype t, int rank, ...)
{
    va_list ap;
    uint32_t v;

    va_start(ap, rank);
    v = build_value(t, rank, &ap);
    va_end(ap);
    return v;
}

static uint32_t scalar(ax_dtype t, int x)
{
    int8_t *p = take(1);

    *p = (int8_t)x;
    return build_tensor(typed(t, 0), p, 1);
}

/* One scale, or one for each channel; *data is where they lie. */
static uint32_t scales(int n, float **data)
{
    *data = take((size_t)n * sizeof **data);
    for (int i = 0; i < n; i++)
        (*data)[i] = (float)(1 + below(1000)) / 30000;
    return build_tensor(n == 1 ? typed(AX_F32, 0) : typed(AX_F32, 1, n),
                        *data, sizeof **data);
}

/* A tensor of bytes and what scales it. */
struct scaled {
    uint32_t v, scale, zero;
    float *s;
    ax_dtype t;
    int z, n; /* n: scales */
};

static ax_dtype byte_type(void)
{
    return below(2) ? AX_U8 : AX_I8;
}

static struct scaled activation(void)
{
    struct scaled a = {.t = byte_type(), .n = 1};

    a.z = a.t == AX_U8 ? (int)below(256) : (int)below(256) - 128;
    a.scale = scales(1, &a.s);
    a.zero = scalar(a.t, a.z);
    return a;
}

static uint32_t round_to(uint32_t x, const struct scaled *a)
{
    uint32_t v = op_(AX_OP_QuantizeLinear, 3, x, a->scale, a->zero);

    build_values[v].dtype = a->t;
    return v;
}

static uint32_t real_of(uint32_t x, const struct scaled *a)
{
    return op_(AX_OP_DequantizeLinear, 3, x, a->scale, a->zero);
}

/* Weights of this shape, channels of AXIS. */
static struct scaled weights_of(ax_dtype t, int axis, int rank,
                                const int *dims)
{
    struct scaled w = {.t = t, .n = below(3) ? dims[axis] : 1};
    size_t n = 1;
    int8_t *p, *z;

    for (int d = 0; d < rank; d++)
        n *= (size_t)dims[d];
    p = take(n);
    for (size_t i = 0; i < n; i++)
        p[i] = (int8_t)(below(256) - 128);
    w.v = build_tensor(rank == 4
                           ? typed(t, 4, dims[0], dims[1], dims[2], dims[3])
                           : typed(t, 2, dims[0], dims[1]),
                       p, 1);
    w.scale = scales(w.n, &w.s);
    z = take((size_t)w.n);
    for (int i = 0; t == AX_U8 && i < w.n; i++)
        z[i] = (int8_t)(below(256) - 128);
    w.zero = build_tensor(w.n == 1 ? typed(t, 0) : typed(t, 1, w.n), z, 1);
    return w;
}

static struct scaled weights(int axis, int rank, const int *dims)
{
    return weights_of(AX_I8, axis, rank, dims);
}

static uint32_t real_weights(const struct scaled *w, int axis)
{
    uint32_t v = real_of(w->v, w);

    int_attr("axis", axis);
    return v;
}

/* A bias of n numbers: in int32, and, in *out, as float32. */
static uint32_t bias(uint32_t *out, int n, const struct scaled *x,
                     const struct scaled *w)
{
    int32_t *p = take((size_t)n * sizeof *p);
    float *s = take((size_t)n * sizeof *s);
    uint32_t v, scale;

    for (int i = 0; i < n; i++) {
        p[i] = (int32_t)below(40001) - 20000;
        s[i] = x->s[0] * w->s[w->n == 1 ? 0 : i];
    }
    v = build_tensor(typed(AX_I32, 1, n), p, sizeof *p);
    scale = build_tensor(typed(AX_F32, 1, n), s, sizeof *s);
    *out = op_(AX_OP_DequantizeLinear, 2, v, scale);
    int_attr("axis", 0);
    return v;
}

static struct ax_tensor run(const char *backend, const struct ax_tensor *in)
{
    struct ax_run_options o = {.backend = backend};
    struct ax_tensor out = {0};
    struct ax_plan *p = NULL;
    struct ax_err err = {0};

    if (ax_plan_new(&p, &build_model, &o, &err) != AX_OK ||
        ax_plan_run(p, &out, in, &err) != AX_OK)
        printf("# %s: %s\n", backend, err.msg);
    ax_tensor_free(&out);
    if (p && !err.msg[0] && ax_plan_run(p, &out, in, &err) != AX_OK)
        printf("# %s again: %s\n", backend, err.msg);
    ax_plan_free(p);
    return out;
}

static bool same(struct ax_tensor *a, struct ax_tensor *b)
{
    bool good = a->data && b->data && a->nbytes == b->nbytes &&
                a->dtype == b->dtype &&
                memcmp(a->data, b->data, a->nbytes) == 0;

    ax_tensor_free(a);
    ax_tensor_free(b);
    return good;
}

static struct ax_tensor random_input(int rank, const int *dims)
{
    struct ax_tensor t = {.dtype = AX_F32, .rank = rank};
    size_t n = 1;
    float *p;

    for (int d = 0; d < rank; d++) {
        t.dims[d] = dims[d];
        n *= (size_t)dims[d];
    }
    p = take(n * sizeof *p);
    for (size_t i = 0; i < n; i++)
        p[i] = (float)(int)below(4001) / 500 - 4;
    t.data = p;
    t.nbytes = n * sizeof *p;
    return t;
}

static void begin(void)
{
    used = 0;
    build_new();
}

/* -- convolutions ---------------------------------------------------------
 */

static void window(const int *pads, int stride, int dilation, int group)
{
    ints_attr("dilations", 2, dilation, dilation);
    int_attr("group", group);
    ints_attr("pads", 4, pads[0], pads[1], pads[2], pads[3]);
    ints_attr("strides", 2, stride, stride);
}

static bool try_conv(void)
{
    int group = below(3) ? 1 : 1 + (int)below(3);
    int in = group * (1 + (int)below(9)), out = group * (1 + (int)below(30));
    int side = 1 + (int)below(3), stride = 1 + (int)below(2), dilation = 1;
    int wdims[4] = {out, in / group, side, 1 + (int)below(3)};
    int xdims[4] = {2, in, 6 + (int)below(8), 6 + (int)below(30)};
    int pads[4] = {(int)below(3), (int)below(3), (int)below(3),
                   (int)below(3)};
    bool biased = below(2), relu = below(2);
    struct ax_tensor x, is, want;
    struct scaled a, w, y;
    uint32_t q, b = AX_NONE, rb = AX_NONE, v, from;

    dilation += side == 2 && below(2);
    begin();
    x = random_input(4, xdims);
    from = in_(4, 2, in, xdims[2], xdims[3]);
    a = activation();
    w = weights(0, 4, wdims);
    y = activation();
    if (relu) { /* which the lowest zero point makes superfluous */
        y.z = y.t == AX_U8 ? 0 : -128;
        y.zero = scalar(y.t, y.z);
    }
    if (biased)
        b = bias(&rb, out, &a, &w);
    q = round_to(from, &a);
    v = real_of(q, &a);
    v = op_(AX_OP_Conv, biased ? 3 : 2, v, real_weights(&w, 0), rb);
    window(pads, stride, dilation, group);
    if (relu)
        v = op_(AX_OP_Relu, 1, v);
    v = round_to(v, &y);
    out_(v);
    is = run("cpu", &x);

    /* The same as one operator, by the reference. */
    build_graph.n_outputs = 0;
    v = op_(AX_OP_QLinearConv, biased ? 9 : 8, q, a.scale, a.zero, w.v,
            w.scale, w.zero, y.scale, y.zero, b);
    window(pads, stride, dilation, group);
    build_values[v].dtype = y.t;
    out_(v);
    want = run("ref", &x);
    if (below(2)) { /* and by the kernel of that operator */
        ax_tensor_free(&is);
        is = run("cpu", &x);
    }
    return same(&is, &want);
}

/* -- products -------------------------------------------------------------
 */

static uint8_t rounded(float v, const struct scaled *y)
{
    float lo = y->t == AX_U8 ? 0 : -128, hi = y->t == AX_U8 ? 255 : 127;

    v = nearbyintf(v) + (float)y->z;
    return (uint8_t)(int)(v < lo ? lo : v > hi ? hi : v);
}

static int byte_of(const struct scaled *a, float x)
{
    int q = rounded(x / a->s[0], a);

    return a->t == AX_U8 ? q : (int8_t)q;
}

/* One number of the product, from scratch. */
static float sum_of(const float *x, const int8_t *w, int k, int next,
                    int32_t add, const struct scaled *a)
{
    int32_t sum = add;

    for (int i = 0; i < k; i++)
        sum += (byte_of(a, x[i]) - a->z) * w[i * next];
    return (float)sum;
}

static bool try_product(void)
{
    bool gemm = below(2), turned = gemm && below(2),
         biased = gemm && below(2);
    bool real_out = below(3) == 0, good = true;
    int m = 1 + (int)below(30), k = 1 + (int)below(70);
    int n = 1 + (int)below(150), dims[2] = {turned ? n : k, turned ? k : n};
    struct ax_tensor x, is;
    struct scaled a, w, y;
    const int32_t *add = NULL;
    uint32_t v, b = AX_NONE, from;

    begin();
    x = random_input(2, (int[]){m, k});
    from = in_(2, m, k);
    a = activation();
    w = weights(!turned, 2, dims);
    y = activation();
    if (biased)
        add = build_tensors[build_values[bias(&b, n, &a, &w)].tensor].data;
    v = real_of(round_to(from, &a), &a);
    v = op_(gemm ? AX_OP_Gemm : AX_OP_MatMul, biased ? 3 : 2, v,
            real_weights(&w, !turned), b);
    if (turned)
        int_attr("transB", 1);
    out_(real_out ? v : round_to(v, &y));
    is = run("cpu", &x);
    for (int i = 0; is.data && i < m * n; i++) {
        const int8_t *at = build_tensors[build_values[w.v].tensor].data;
        int j = i % n;
        float sum = sum_of((const float *)x.data + i / n * k,
                           at + (turned ? j * k : j), k, turned ? 1 : n,
                           add ? add[j] : 0, &a);
        float scale = a.s[0] * w.s[w.n == 1 ? 0 : j];

        if (real_out)
            good = good && memcmp((float *)is.data + i, &(float){sum * scale},
                                  4) == 0;
        else
            good = good && ((uint8_t *)is.data)[i] ==
                               rounded(sum * (scale / y.s[0]), &y);
    }
    good = good && is.data;
    ax_tensor_free(&is);
    return good;
}

/* -- sums of integers -----------------------------------------------------
 */

/* ConvInteger or MatMulInteger, with a zero point of x that is computed. */
static bool try_integer(void)
{
    bool conv = below(2);
    int xdims[4] = {2, 3, 5 + (int)below(9), 5 + (int)below(9)};
    int wdims[4] = {1 + (int)below(40), 3, 2, 3};
    struct ax_tensor x, is, want;
    struct scaled a, w;
    uint32_t from, v, zero;

    begin();
    if (!conv)
        wdims[0] = xdims[3];
    x = random_input(4, xdims);
    from = in_(4, 2, 3, xdims[2], xdims[3]);
    a = activation();
    w = weights_of(byte_type(), conv ? 0 : 1, conv ? 4 : 2, wdims);
    zero = op_(AX_OP_ReduceMax, 1, from);
    int_attr("keepdims", 0);
    zero = round_to(zero, &a);
    v = op_(conv ? AX_OP_ConvInteger : AX_OP_MatMulInteger, 4,
            round_to(from, &a), w.v, zero, w.zero);
    build_values[v].dtype = AX_I32;
    out_(v);
    is = run("cpu", &x);
    want = run("ref", &x);
    return same(&is, &want);
}

/* -- sums, and what moves -------------------------------------------------
 */

static bool try_sum(void)
{
    int dims[4] = {1 + (int)below(2), 1 + (int)below(5), 7, 9};
    bool moves = below(2), relu = below(2);
    struct ax_tensor x, is, want;
    struct scaled a, b, y;
    uint32_t from, p, q, v;

    begin();
    x = random_input(4, dims);
    from = in_(4, dims[0], dims[1], dims[2], dims[3]);
    a = activation();
    b = activation();
    y = activation();
    if (relu) {
        y.z = y.t == AX_U8 ? 0 : -128;
        y.zero = scalar(y.t, y.z);
    }
    p = real_of(round_to(from, &a), &a);
    if (moves) { /* bytes of one scale, and an operand of one number */
        p = op_(AX_OP_MaxPool, 1, p);
        ints_attr("kernel_shape", 2, 2 + below(2), 2 + below(3));
        ints_attr("pads", 4, below(2), below(2), below(2), below(2));
        ints_attr("strides", 2, 1 + below(2), 1 + below(3));
        p = real_of(round_to(p, &a), &a);
        q = real_of(round_to(flts((const float *)x.data, 1, 1), &b), &b);
    } else {
        q = real_of(round_to(op_(AX_OP_Neg, 1, from), &b), &b);
    }
    v = below(2) ? op_(AX_OP_Add, 2, p, q) : op_(AX_OP_Add, 2, q, p);
    if (relu)
        v = op_(AX_OP_Relu, 1, v);
    out_(round_to(v, &y));
    is = run("cpu", &x);
    want = run("ref", &x);
    return same(&is, &want);
}

/* -- weights that are prepared once ---------------------------------------
 */

static void test_once(void)
{
    static const float w[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct ax_run_options o = {.backend = "cpu"};
    struct ax_tensor x, out[2] = {{0}};
    struct ax_plan *p = NULL;
    struct ax_err err = {0};
    uint32_t v, t;

    begin();
    x = random_input(2, (int[]){1, 2});
    v = in_(2, 1, 2);
    t = op_(AX_OP_Transpose, 1, flts(w, 2, 4, 2));
    v = op_(AX_OP_MatMul, 2, v, t);
    out_(v);
    out_(op_(AX_OP_Transpose, 1, t)); /* an output is no such */
    OK(ax_plan_new(&p, &build_model, &o, &err) == AX_OK);
    for (int i = 0; i < 3; i++) {
        const float *a = x.data;

        OK(p && ax_plan_run(p, out, &x, &err) == AX_OK);
        OK(fabsf(((float *)out[0].data)[3] - (7 * a[0] + 8 * a[1])) < 1e-5f);
        OK(memcmp(out[1].data, w, sizeof w) == 0);
        ax_tensor_free(&out[0]);
        ax_tensor_free(&out[1]);
    }
    ax_plan_free(p);
}

static void many(bool (*f)(void), const char *name, int n)
{
    int good = 0;

    for (int i = 0; i < n; i++) {
        uint64_t before = state;
        bool fine = f();

        if (!fine && good == i)
            printf("# %s %d, state %llu\n", name, i,
                   (unsigned long long)before);
        good += fine;
    }
    printf("# %s: %d of %d\n", name, good, n);
    OK(good == n);
}

int main(void)
{
    test_loops();
    many(try_conv, "convolutions", 400);
    many(try_product, "products", 300);
    many(try_integer, "integers", 100);
    many(try_sum, "sums", 200);
    test_once();
    return tap_done();
}
