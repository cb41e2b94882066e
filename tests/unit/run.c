/* Plans: lifetimes, memory limits, inputs that do not fit, sub-graphs, rows;
 * and the cpu backend against the reference on shapes that are large enough
 * for oneDNN. Operators by themselves are in ops.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ax/backend.h"
#include "ax/run.h"
#include "tests/unit/build.h"
#include "tests/unit/tap.h"

static struct ax_err err;

static struct ax_tensor tensor(float *data, int rank, const int64_t *dims)
{
    struct ax_tensor t = {.dtype = AX_F32, .rank = rank, .data = data};

    t.nbytes = sizeof(float);
    for (int i = 0; i < rank; i++) {
        t.dims[i] = dims[i];
        t.nbytes *= (size_t)dims[i];
    }
    return t;
}

static struct ax_plan *plan(const char *backend, size_t max_bytes)
{
    struct ax_run_options o = {.backend = backend, .max_bytes = max_bytes};
    struct ax_plan *p = NULL;

    memset(&err, 0, sizeof err);
    if (ax_plan_new(&p, &build_model, &o, &err) != AX_OK)
        printf("# %s\n", err.msg);
    return p;
}

static float first(struct ax_tensor *t)
{
    float x = t->data ? *(float *)t->data : NAN;

    ax_tensor_free(t);
    return x;
}

/* -- lifetimes -------------------------------------------------------------
 */

/* A chain of n additions of x to itself and so on: 2^n x. */
static void chain(int n)
{
    uint32_t v;

    build_new();
    v = in_(1, 1024);
    for (int i = 0; i < n; i++)
        v = op_(AX_OP_Add, 2, v, v);
    out_(v);
}

static void test_memory(void)
{
    static float data[1024];
    struct ax_tensor in = tensor(data, 1, (int64_t[]){1024}), out = {0};
    struct ax_plan *p;

    for (int i = 0; i < 1024; i++)
        data[i] = 1;
    /* Ten tensors of 4 KiB, of which no more than two are ever needed. */
    chain(10);
    p = plan("ref", 8192);
    OK(ax_plan_run(p, &out, &in, &err) == AX_OK);
    OK(first(&out) == 1024);
    OK(ax_plan_run(p, &out, &in, &err) == AX_OK);
    OK(first(&out) == 1024);
    OK(data[0] == 1);
    ax_plan_free(p);
    p = plan("ref", 4095);
    OK(ax_plan_run(p, &out, &in, &err) == AX_ENOMEM);
    OK(strstr(err.msg, "node 'n' (Add)") && strstr(err.msg, "4095"));
    ax_plan_free(p);
}

/* What is needed later is not written over: y = relu(x) - x, where relu
 * could be in place if x were not read again. */
static void test_sharing(void)
{
    float data[2] = {-1, 2};
    struct ax_tensor in = tensor(data, 1, (int64_t[]){2}), out[3] = {{0}};
    uint32_t x, a, r, v;
    struct ax_plan *p;

    build_new();
    x = in_(1, 2);
    a = op_(AX_OP_Neg, 1, x);
    r = op_(AX_OP_Relu, 1, a);
    v = op_(AX_OP_Reshape, 2, r, ints_(2, 2, 1));
    out_(op_(AX_OP_Sub, 2, r, a));
    out_(v);
    out_(v);
    for (int b = 0; ax_backends[b]; b++) {
        p = plan(ax_backends[b]->name, 0);
        OK(ax_plan_run(p, out, &in, &err) == AX_OK);
        OK(((float *)out[0].data)[0] == 0 && ((float *)out[0].data)[1] == 2);
        OK(((float *)out[1].data)[0] == 1 && ((float *)out[1].data)[1] == 0);
        OK(out[1].data != out[2].data && out[2].rank == 2);
        for (int o = 0; o < 3; o++)
            ax_tensor_free(&out[o]);
        ax_plan_free(p);
    }
    OK(data[0] == -1 && data[1] == 2);
}

/* -- what does not fit ------------------------------------------------------
 */

static void test_refusals(void)
{
    float data[6] = {0};
    struct ax_tensor in = tensor(data, 2, (int64_t[]){2, 3}), out = {0};
    struct ax_plan *p;

    build_new();
    in_(2, 2, 2);
    out_(op_(AX_OP_Relu, 1, 0u));
    p = plan("ref", 0);
    OK(ax_plan_run(p, &out, &in, &err) == AX_ESHAPE);
    OK(strstr(err.msg, "'v0' wants float32 [2,2], has float32 [2,3]"));
    in.dtype = AX_F64;
    OK(ax_plan_run(p, &out, &in, &err) == AX_ESHAPE);
    ax_plan_free(p);
    OK(!plan("gpu", 0) && strstr(err.msg, "no backend 'gpu'"));

    build_new();
    in_(2, 2, 2);
    out_(op_(AX_OP_NONE, 1, 0u));
    OK(!plan("ref", 0) && err.code == AX_EUNSUPPORTED);

    /* A value that nobody makes. */
    build_new();
    in_(1, 2);
    build_value(AX_F32, 0, NULL);
    out_(op_(AX_OP_Relu, 1, 1u));
    OK(!plan("ref", 0) && strstr(err.msg, "'v1' is used and never made"));
}

/* -- sub-graphs -------------------------------------------------------------
 */

/* A body of one node: from inputs and captured values, by name. */
struct body {
    struct ax_graph g;
    struct ax_value values[8];
    struct ax_node nodes[2];
    uint32_t in[4], out[4], nin[2][4], nout[2][1];
};

static uint32_t body_value(struct body *b, const char *name, ax_dtype t)
{
    b->values[b->g.n_values] = (struct ax_value){
        .name = (char *)(uintptr_t)name,
        .dtype = t,
        .rank = -1,
        .tensor = AX_NONE};
    return b->g.n_values++;
}

static void body_new(struct body *b)
{
    memset(b, 0, sizeof *b);
    b->g.values = b->values;
    b->g.nodes = b->nodes;
    b->g.inputs = b->in;
    b->g.outputs = b->out;
}

static uint32_t body_op(struct body *b, ax_op op, uint32_t x, uint32_t y,
                        const char *name)
{
    uint32_t k = b->g.n_nodes++;

    b->nin[k][0] = x;
    b->nin[k][1] = y;
    b->nout[k][0] = body_value(b, name, AX_F32);
    b->nodes[k] = (struct ax_node){.op = op,
                                   .name = (char *)(uintptr_t) "inner",
                                   .n_in = y == AX_NONE ? 1 : 2,
                                   .n_out = 1,
                                   .in = b->nin[k],
                                   .out = b->nout[k]};
    return b->nout[k][0];
}

static void graph_attr(const char *name, struct body *b)
{
    build_attr(name, AX_ATTR_GRAPH)->graph = &b->g;
}

/* If: both branches use a value of the graph around them. */
static void test_if(void)
{
    static struct body yes, no;
    float data[1] = {3};
    uint8_t flag = 1;
    struct ax_tensor in[2] = {{.dtype = AX_BOOL, .data = &flag, .nbytes = 1},
                              tensor(data, 1, (int64_t[]){1})};
    struct ax_tensor out = {0};
    struct ax_plan *p;
    uint32_t x, cond;

    build_new();
    cond = in_(0);
    build_values[cond].dtype = AX_BOOL;
    x = in_(1, 1);
    op_(AX_OP_Neg, 1, x); /* v2 = -x */
    body_new(&yes);
    yes.out[yes.g.n_outputs++] = body_op(
        &yes, AX_OP_Exp, body_value(&yes, "v2", AX_F32), AX_NONE, "e");
    body_new(&no);
    no.out[no.g.n_outputs++] = body_op(
        &no, AX_OP_Abs, body_value(&no, "v2", AX_F32), AX_NONE, "e");
    out_(op_(AX_OP_If, 1, cond));
    graph_attr("else_branch", &no);
    graph_attr("then_branch", &yes);
    p = plan("cpu", 0);
    OK(p && ax_plan_run(p, &out, in, &err) == AX_OK);
    OK(fabsf(first(&out) - expf(-3)) < 1e-7f);
    flag = 0;
    OK(p && ax_plan_run(p, &out, in, &err) == AX_OK);
    OK(first(&out) == 3);
    ax_plan_free(p);
}

/* Scan: running sums of x, read from the last row to the first. */
static void test_scan(void)
{
    static struct body b;
    float data[6] = {1, 2, 3, 4, 5, 6}, zero[2] = {0, 10};
    struct ax_tensor in[2] = {tensor(zero, 1, (int64_t[]){2}),
                              tensor(data, 2, (int64_t[]){3, 2})};
    struct ax_tensor out[2] = {{0}};
    struct ax_plan *p;
    uint32_t s, x, sum;

    build_new();
    in_(1, 2);
    in_(2, 3, 2);
    body_new(&b);
    b.in[b.g.n_inputs++] = s = body_value(&b, "s", AX_F32);
    b.in[b.g.n_inputs++] = x = body_value(&b, "x", AX_F32);
    sum = body_op(&b, AX_OP_Add, s, x, "sum");
    b.out[b.g.n_outputs++] = sum;
    b.out[b.g.n_outputs++] = sum;
    out_(op_(AX_OP_Scan, 2, 0u, 1u));
    out_(more());
    graph_attr("body", &b);
    int_attr("num_scan_inputs", 1);
    ints_attr("scan_input_directions", 1, 1);
    p = plan("ref", 0);
    OK(p && ax_plan_run(p, out, in, &err) == AX_OK);
    if (err.msg[0])
        printf("# %s\n", err.msg);
    OK(out[0].data && ((float *)out[0].data)[0] == 9 &&
       ((float *)out[0].data)[1] == 22);
    OK(out[1].rank == 2 && out[1].dims[0] == 3 &&
       ((float *)out[1].data)[0] == 5 && ((float *)out[1].data)[3] == 20 &&
       ((float *)out[1].data)[4] == 9);
    ax_tensor_free(&out[0]);
    ax_tensor_free(&out[1]);
    ax_plan_free(p);
}

/* Loop: double x while the counter is under the number of trips. */
static void test_loop(void)
{
    static struct body b;
    float data[1] = {1};
    int64_t trips = 5;
    struct ax_tensor in[2] = {
        {.dtype = AX_I64, .data = &trips, .nbytes = sizeof trips},
        tensor(data, 1, (int64_t[]){1})};
    struct ax_tensor out[2] = {{0}};
    struct ax_plan *p;
    uint32_t x, cond;

    build_new();
    build_values[in_(0)].dtype = AX_I64;
    in_(1, 1);
    body_new(&b);
    b.in[b.g.n_inputs++] = body_value(&b, "i", AX_I64);
    b.in[b.g.n_inputs++] = cond = body_value(&b, "go", AX_BOOL);
    b.in[b.g.n_inputs++] = x = body_value(&b, "x", AX_F32);
    b.out[b.g.n_outputs++] = cond;
    b.out[b.g.n_outputs++] = body_op(&b, AX_OP_Add, x, x, "y");
    b.out[b.g.n_outputs++] = x;
    out_(op_(AX_OP_Loop, 3, 0u, AX_NONE, 1u));
    out_(more());
    graph_attr("body", &b);
    p = plan("ref", 0);
    OK(p && ax_plan_run(p, out, in, &err) == AX_OK);
    OK(out[1].dims[0] == 5 && ((float *)out[1].data)[4] == 16);
    ax_tensor_free(&out[1]);
    OK(first(&out[0]) == 32);
    trips = 0;
    OK(p && ax_plan_run(p, out, in, &err) == AX_OK);
    OK(first(&out[0]) == 1);
    OK(out[1].dims[0] == 0);
    ax_tensor_free(&out[1]);
    ax_plan_free(p);
}

/* -- rows -------------------------------------------------------------------
 */

static void test_rows(void)
{
    float data[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    double wide[4] = {1, 2, 3, 4};
    struct ax_tensor in = tensor(data, 2, (int64_t[]){4, 2}), out = {0};
    struct ax_plan *p;

    build_new();
    in_(2, 1, 2);
    out_(op_(AX_OP_ReduceSum, 2, 0u, ints_(1, 1)));
    p = plan("ref", 0);
    OK(ax_plan_run_rows(p, &out, &in, 0, NULL, NULL, &err) == AX_OK);
    OK(out.rank == 2 && out.dims[0] == 4 && ((float *)out.data)[3] == 15);
    ax_tensor_free(&out);
    /* One row without its batch dimension, in double. */
    in = tensor(data, 1, (int64_t[]){2});
    in.dtype = AX_F64;
    in.data = wide;
    in.nbytes = 16;
    OK(ax_plan_run_rows(p, &out, &in, 0, NULL, NULL, &err) == AX_OK);
    OK(first(&out) == 3);
    in = tensor(data, 1, (int64_t[]){3});
    OK(ax_plan_run_rows(p, &out, &in, 0, NULL, NULL, &err) == AX_ESHAPE);
    OK(strstr(err.msg, "or rows of it"));
    ax_plan_free(p);

    /* A free batch, three rows at a time. */
    build_new();
    in_(2, -1, 2);
    out_(op_(AX_OP_ReduceSum, 2, 0u, ints_(1, 1)));
    p = plan("ref", 0);
    in = tensor(data, 2, (int64_t[]){4, 2});
    OK(ax_plan_run_rows(p, &out, &in, 3, NULL, NULL, &err) == AX_OK);
    OK(out.dims[0] == 4 && ((float *)out.data)[3] == 15);
    ax_tensor_free(&out);
    ax_plan_free(p);

    /* Integers are not made of reals. */
    build_new();
    build_values[in_(1, 2)].dtype = AX_I64;
    out_(op_(AX_OP_Neg, 1, 0u));
    p = plan("ref", 0);
    in = tensor(data, 1, (int64_t[]){2});
    OK(ax_plan_run_rows(p, &out, &in, 0, NULL, NULL, &err) == AX_ESHAPE);
    ax_plan_free(p);
}

/* -- cpu against ref
 * --------------------------------------------------------- */

static uint32_t seed = 1;

static float noise(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(seed >> 8) * 0x1p-23f - 1;
}

/* Largest difference of the backends over the model that was built, whose
 * one input is x [rank]; run twice, as weights may be packed in the first. */
static double differ(int rank, const int64_t *dims)
{
    struct ax_tensor in, out[2] = {{0}};
    double worst = 0;
    size_t n;

    if (ax_tensor_new(&in, AX_F32, rank, dims, &err) != AX_OK)
        return HUGE_VAL;
    for (size_t i = 0; i < ax_tensor_count(&in); i++)
        ((float *)in.data)[i] = noise();
    for (int k = 0; k < 2; k++) {
        struct ax_plan *p = plan(k ? "cpu" : "ref", 0);

        for (int again = 0; again <= k; again++) {
            ax_tensor_free(&out[k]);
            if (ax_plan_run(p, &out[k], &in, &err) != AX_OK) {
                printf("# %s\n", err.msg);
                worst = HUGE_VAL;
            }
        }
        ax_plan_free(p);
    }
    n = worst == 0 ? ax_tensor_count(&out[0]) : 0;
    if (ax_tensor_count(&out[0]) != ax_tensor_count(&out[1]))
        worst = HUGE_VAL;
    for (size_t i = 0; i < n; i++)
        worst = fmax(worst, fabs((double)((float *)out[0].data)[i] -
                                 (double)((float *)out[1].data)[i]));
    ax_tensor_free(&in);
    ax_tensor_free(&out[0]);
    ax_tensor_free(&out[1]);
    return worst;
}

static void test_large(void)
{
    static float w[64 * 64 * 9], b[64];

    for (size_t i = 0; i < sizeof w / sizeof *w; i++)
        w[i] = noise();
    for (int i = 0; i < 64; i++)
        b[i] = noise();

    build_new();
    in_(2, 70, 96);
    out_(op_(AX_OP_Gemm, 3, 0u, flts(w, 2, 64, 96), flts(b, 1, 64)));
    int_attr("transB", 1);
    OK(differ(2, (int64_t[]){70, 96}) < 1e-4);

    build_new();
    in_(3, 3, 40, 96);
    out_(op_(AX_OP_MatMul, 2, 0u, flts(w, 2, 96, 64)));
    OK(differ(3, (int64_t[]){3, 40, 96}) < 1e-4);

    build_new();
    in_(2, 1, 300);
    out_(op_(AX_OP_MatMul, 2, 0u, flts(w, 2, 300, 120)));
    OK(differ(2, (int64_t[]){1, 300}) < 1e-4);

    /* Strides, padding, bias; then groups; then dilation. */
    build_new();
    in_(4, 2, 16, 19, 17);
    out_(op_(AX_OP_Conv, 3, 0u, flts(w, 4, 32, 16, 3, 3), flts(b, 1, 32)));
    ints_attr("pads", 4, 1, 0, 1, 2);
    ints_attr("strides", 2, 2, 1);
    OK(differ(4, (int64_t[]){2, 16, 19, 17}) < 1e-4);

    build_new();
    in_(4, 1, 64, 32, 32);
    out_(op_(AX_OP_Conv, 2, 0u, flts(w, 4, 64, 1, 3, 3)));
    int_attr("group", 64);
    OK(differ(4, (int64_t[]){1, 64, 32, 32}) < 1e-4);

    build_new();
    in_(3, 1, 16, 400);
    out_(op_(AX_OP_Conv, 2, 0u, flts(w, 3, 32, 16, 3)));
    ints_attr("dilations", 1, 2);
    OK(differ(3, (int64_t[]){1, 16, 400}) < 1e-4);

    /* A free batch: the primitive is made anew for each size. */
    build_new();
    in_(4, -1, 16, 16, 16);
    out_(op_(AX_OP_Conv, 2, 0u, flts(w, 4, 32, 16, 3, 3)));
    OK(differ(4, (int64_t[]){1, 16, 16, 16}) < 1e-4);
    OK(differ(4, (int64_t[]){3, 16, 16, 16}) < 1e-4);

    build_new();
    in_(4, 1, 3, 9, 7);
    out_(op_(AX_OP_MaxPool, 1, 0u));
    ints_attr("kernel_shape", 2, 3, 3);
    ints_attr("pads", 4, 1, 1, 1, 1);
    ints_attr("strides", 2, 2, 2);
    OK(differ(4, (int64_t[]){1, 3, 9, 7}) == 0);
}

static int below(int n)
{
    return (int)((noise() + 1) / 2 * (float)n) % n;
}

/* Windows of all kinds: maxima are the same, means nearly. */
static void test_pools(void)
{
    int same = 0, near = 0, all = 200;

    for (int i = 0; i < all; i++) {
        int k = 1 + below(4), l = 1 + below(4), dil = 1 + below(2);
        int64_t dims[] = {1 + below(2), 3, 9 + below(30), 9 + below(60)};

        for (int mean = 0; mean < 2; mean++) {
            build_new();
            in_(4, (int)dims[0], 3, (int)dims[2], (int)dims[3]);
            out_(op_(mean ? AX_OP_AveragePool : AX_OP_MaxPool, 1, 0u));
            ints_attr("kernel_shape", 2, k, l);
            ints_attr("strides", 2, i % 3 ? k : 1 + below(3),
                      i % 3 ? l : 1 + below(3));
            if (i % 2)
                ints_attr("pads", 4, below(k), below(l), below(k), below(l));
            if (i % 7 == 0)
                ints_attr("dilations", 2, dil, 1);
            if (mean)
                int_attr("count_include_pad", i % 5 < 2);
            if (mean)
                near += differ(4, dims) < 1e-6;
            else
                same += differ(4, dims) == 0;
        }
    }
    OK(same == all);
    OK(near == all);
}

/* Pictures of all widths, whose rows end within tiles. */
static void test_pictures(void)
{
    static float w[40 * 3 * 9], b[40];
    int near = 0, all = 120;

    for (size_t i = 0; i < sizeof w / sizeof *w; i++)
        w[i] = noise();
    for (int i = 0; i < 40; i++)
        b[i] = noise();
    for (int i = 0; i < all; i++) {
        int k = 1 + below(3), out = 1 + below(40), step = 1 + i % 4 / 3;
        int64_t dims[] = {1 + below(2), 3, 3 + below(20), 3 + below(70)};

        build_new();
        in_(4, (int)dims[0], 3, (int)dims[2], (int)dims[3]);
        out_(op_(AX_OP_Conv, 3, 0u, flts(w, 4, out, 3, k, k),
                 flts(b, 1, out)));
        ints_attr("pads", 4, below(3), below(3), below(3), below(3));
        ints_attr("strides", 2, step, step);
        near += differ(4, dims) < 1e-5;
    }
    OK(near == all);
}

int main(void)
{
    test_memory();
    test_sharing();
    test_refusals();
    test_if();
    test_scan();
    test_loop();
    test_rows();
    test_large();
    test_pools();
    test_pictures();
    return tap_done();
}
