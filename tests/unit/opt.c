/* The passes of ax/opt.h over random small graphs: outputs before and after
 * are the same, to the bit where a pass is exact, and to rounding where not;
 * and a few graphs that must stay as they are. */
#include <stdlib.h>
#include <string.h>

#include "ax/element.h"
#include "ax/opt.h"
#include "ax/run.h"
#include "ax/train.h"
#include "tap.h"

enum { GRAPHS = 300, STEPS = 9 };

/* -- random numbers -------------------------------------------------------
 */

static uint64_t seed, drawn;

static unsigned below(unsigned n)
{
    return (unsigned)(ax_train_random(seed, 1, drawn++) >> 32) % n;
}

static float real(void)
{
    return (float)below(2001) / 1000 - 1;
}

/* -- a model on the heap --------------------------------------------------
 */

static struct ax_model *m;
static struct ax_graph *g;

static void fatal(void)
{
    printf("Bail out! no memory\n");
    exit(1);
}

static void *grown(void *p, size_t n, size_t size)
{
    p = realloc(p, n * size);
    if (!p)
        fatal();
    return p;
}

static char *name_of(const char *kind, uint32_t i)
{
    char buf[32];
    char *s;

    snprintf(buf, sizeof buf, "%s%u", kind, i);
    s = strdup(buf);
    if (!s)
        fatal();
    return s;
}

static void begin(void)
{
    m = calloc(1, sizeof *m);
    g = calloc(1, sizeof *g);
    if (!m || !g)
        fatal();
    m->graph = g;
    g->name = name_of("g", 0);
}

static uint32_t value(int rank, const int64_t *dims)
{
    uint32_t v = g->n_values++;

    g->values = grown(g->values, g->n_values, sizeof *g->values);
    g->values[v] = (struct ax_value){.name = name_of("v", v),
                                     .dtype = AX_F32,
                                     .rank = rank,
                                     .tensor = AX_NONE};
    for (int d = 0; d < rank; d++)
        g->values[v].dims[d] = dims[d];
    return v;
}

static uint32_t input(int rank, const int64_t *dims)
{
    g->inputs = grown(g->inputs, g->n_inputs + 1u, sizeof *g->inputs);
    return g->inputs[g->n_inputs++] = value(rank, dims);
}

static void output(uint32_t v)
{
    for (uint32_t i = 0; i < g->n_outputs; i++)
        if (g->outputs[i] == v)
            return;
    g->outputs = grown(g->outputs, g->n_outputs + 1u, sizeof *g->outputs);
    g->outputs[g->n_outputs++] = v;
}

/* A constant: numbers in [-1, 1] plus LEAST, or, with times 0, LEAST. */
static uint32_t constant(int rank, const int64_t *dims, float least,
                         float times)
{
    struct ax_err err = {0};
    uint32_t v = value(rank, dims);
    struct ax_tensor t;

    if (ax_tensor_new(&t, AX_F32, rank, dims, &err) != AX_OK)
        fatal();
    for (size_t i = 0; i < ax_tensor_count(&t); i++)
        ((float *)t.data)[i] = least + times * real();
    m->tensors = grown(m->tensors, m->n_tensors + 1u, sizeof *m->tensors);
    g->values[v].tensor = m->n_tensors;
    m->tensors[m->n_tensors++] = t;
    return v;
}

static uint32_t row(int64_t n, float least, float times)
{
    return constant(1, &n, least, times);
}

static uint32_t node(ax_op op, int n, const uint32_t *in, int rank,
                     const int64_t *dims)
{
    uint32_t y = value(rank, dims), k = g->n_nodes++;
    struct ax_node *at;

    g->nodes = grown(g->nodes, g->n_nodes, sizeof *g->nodes);
    at = &g->nodes[k];
    *at = (struct ax_node){.op = op,
                           .name = name_of("n", k),
                           .n_in = (uint32_t)n,
                           .n_out = 1,
                           .in = grown(NULL, 8, sizeof *at->in),
                           .out = grown(NULL, 1, sizeof *at->out)};
    memcpy(at->in, in, (size_t)n * sizeof *in);
    at->out[0] = y;
    return y;
}

static struct ax_attr *attr(const char *name, ax_attr_kind kind)
{
    struct ax_node *n = &g->nodes[g->n_nodes - 1];

    n->attrs = grown(n->attrs, n->n_attrs + 1u, sizeof *n->attrs);
    n->attrs[n->n_attrs] = (struct ax_attr){.kind = kind};
    n->attrs[n->n_attrs].name = strdup(name);
    return &n->attrs[n->n_attrs++];
}

static void ints(const char *name, int64_t a, int64_t b)
{
    struct ax_attr *at = attr(name, AX_ATTR_INTS);

    at->n = 2;
    at->ints = grown(NULL, 2, sizeof *at->ints);
    at->ints[0] = a;
    at->ints[1] = b;
}

/* -- random steps: from x to a new value, and its shape -------------------
 */

struct shape {
    int rank;
    int64_t dims[4];
};

static uint32_t unary(ax_op op, uint32_t x, const struct shape *s)
{
    return node(op, 1, &x, s->rank, s->dims);
}

static uint32_t with(ax_op op, uint32_t x, uint32_t c, const struct shape *s)
{
    return node(op, 2, (uint32_t[]){x, c}, s->rank, s->dims);
}

static uint32_t norm(uint32_t x, const struct shape *s)
{
    int64_t n = s->dims[1];
    uint32_t in[5] = {x, row(n, 1, 0.5f), row(n, 0, 1), row(n, 0, 1),
                      row(n, 1.5f, 1)};

    return node(AX_OP_BatchNormalization, 5, in, s->rank, s->dims);
}

static uint32_t gemm(uint32_t x, struct shape *s)
{
    bool turned = below(2), biased = below(2);
    int64_t k = s->dims[1], n = 1 + below(5);
    uint32_t in[3] = {
        x, constant(2, (int64_t[]){turned ? n : k, turned ? k : n}, 0, 1)};
    uint32_t y;

    if (biased)
        in[2] = below(2)
                    ? row(n, 0, 1)
                    : constant(2, (int64_t[]){1, below(2) ? n : 1}, 0, 1);
    s->dims[1] = n;
    y = node(AX_OP_Gemm, biased ? 3 : 2, in, 2, s->dims);
    if (below(2))
        attr("alpha", AX_ATTR_FLOAT)->f = 0.5f;
    if (below(2))
        attr("beta", AX_ATTR_FLOAT)->f = -1.5f;
    if (turned)
        attr("transB", AX_ATTR_INT)->i = 1;
    return y;
}

static uint32_t matmul(uint32_t x, struct shape *s)
{
    int64_t k = s->dims[1], n = 1 + below(5);
    uint32_t w = constant(2, (int64_t[]){k, n}, 0, 1);

    s->dims[1] = n;
    return with(AX_OP_MatMul, x, w, s);
}

static uint32_t conv(uint32_t x, struct shape *s)
{
    bool transposed = below(2), biased = below(2);
    int64_t c = s->dims[1], groups = c % 2 ? 1 : 1 + below(2);
    int64_t n = groups * (1 + below(2));
    int64_t dims[4] = {transposed ? c : n,
                       transposed ? n / groups : c / groups, 3, 3};
    uint32_t in[3] = {x, constant(4, dims, 0, 0.5f)};
    uint32_t y;

    if (biased)
        in[2] = row(n, 0, 1);
    s->dims[1] = n;
    y = node(transposed ? AX_OP_ConvTranspose : AX_OP_Conv, biased ? 3 : 2,
             in, 4, s->dims);
    if (groups > 1)
        attr("group", AX_ATTR_INT)->i = groups;
    ints("pads", 1, 1);
    {
        struct ax_attr *a = &g->nodes[g->n_nodes - 1]
                                 .attrs[g->nodes[g->n_nodes - 1].n_attrs - 1];

        a->n = 4;
        a->ints = grown(a->ints, 4, sizeof *a->ints);
        a->ints[2] = a->ints[3] = 1;
    }
    return y;
}

/* A sum with a constant of any shape that fits, on either side. */
static uint32_t plus(uint32_t x, const struct shape *s)
{
    int64_t dims[4] = {1, below(4) ? s->dims[1] : 1, 1, 1};
    int skipped = (int)below(2);
    uint32_t c = constant(s->rank - skipped, dims + skipped, 0, 1);

    if (below(2))
        return with(AX_OP_Add, c, x, s);
    return with(AX_OP_Add, x, c, s);
}

/* A product with a constant that is computed. */
static uint32_t computed(uint32_t x, const struct shape *s)
{
    struct shape one = {1, {1}};
    uint32_t c = with(AX_OP_Add, row(1, 0, 1), row(1, 0, 1), &one);

    if (below(2))
        c = unary(AX_OP_Exp, c, &one);
    return with(AX_OP_Mul, x, c, s);
}

static uint32_t identity(uint32_t x, const struct shape *s)
{
    uint32_t y;

    switch (below(7)) {
    case 0:
        return unary(AX_OP_Identity, x, s);
    case 1:
        return unary(AX_OP_Dropout, x, s);
    case 2:
        return with(AX_OP_Mul, x, row(1, 1, 0), s);
    case 3:
        return with(AX_OP_Div, x, row(1, 1, 0), s);
    case 4:
        return with(AX_OP_Sub, x, row(1, 0, 0), s);
    case 5:
        return unary(AX_OP_Max, x, s);
    default:
        y = unary(AX_OP_Cast, x, s);
        attr("to", AX_ATTR_INT)->i = AX_F32;
        return y;
    }
}

static uint32_t step(uint32_t x, struct shape *s)
{
    struct shape lost = *s;

    switch (below(9)) {
    case 0:
    case 1:
        return s->rank == 4 ? conv(x, s)
               : below(2)   ? gemm(x, s)
                            : matmul(x, s);
    case 2:
    case 3:
        return norm(x, s);
    case 4:
        return plus(x, s);
    case 5:
        return unary(AX_OP_Relu, x, s);
    case 6:
        return computed(x, s);
    case 7: /* nobody needs it */
        unary(AX_OP_Exp, s->rank == 4 ? conv(x, &lost) : gemm(x, &lost),
              &lost);
        return x;
    default:
        return identity(x, s);
    }
}

static void random_graph(void)
{
    struct shape s = {below(2) ? 2 : 4, {2, 1 + below(4), 5, 4}};
    uint32_t x, steps = 1 + below(STEPS);

    begin();
    x = input(s.rank, s.dims);
    for (uint32_t i = 0; i < steps; i++) {
        uint32_t y = step(x, &s);

        if (y != x && below(8) == 0)
            output(y);
        x = y;
    }
    if (g->n_nodes == 0 || x == g->inputs[0])
        x = unary(AX_OP_Relu, x, &s);
    output(x);
}

/* -- before and after -----------------------------------------------------
 */

static ax_status compute(struct ax_tensor *out, struct ax_err *err)
{
    const struct ax_value *x = &g->values[g->inputs[0]];
    struct ax_tensor in;
    struct ax_plan *p = NULL;
    ax_status st;

    AX_TRY(ax_tensor_new(&in, AX_F32, x->rank, x->dims, err));
    for (size_t i = 0; i < ax_tensor_count(&in); i++)
        ((float *)in.data)[i] = (float)(int)(i * 37 % 41) / 20 - 1;
    st = ax_plan_new(&p, m, NULL, err);
    if (st == AX_OK)
        st = ax_plan_run(p, out, &in, err);
    ax_plan_free(p);
    ax_tensor_free(&in);
    return st;
}

static unsigned changed; /* passes that changed a graph, as bits */

/* 0 or the largest relative difference; -1 if something failed. */
static double difference(unsigned passes)
{
    const struct ax_opt_options opt = {.passes = passes,
                                       .samples = 2,
                                       .seed = 7,
                                       .scale = 1,
                                       .free_size = 1};
    struct ax_tensor before[16] = {0}, after[16] = {0};
    struct ax_opt_done done[AX_OPT_PASSES];
    struct ax_err err = {0};
    double worst = 0;
    ax_status st = ax_graph_check(g, m->n_tensors, &err);

    if (st == AX_OK)
        st = compute(before, &err);
    if (st == AX_OK)
        st = ax_model_optimise(m, done, &opt, &err);
    if (st == AX_OK)
        st = ax_model_normalise(m, &err);
    g = m->graph;
    if (st == AX_OK)
        st = compute(after, &err);
    if (st != AX_OK)
        printf("# %s\n", err.msg);
    for (uint32_t i = 0; i < g->n_outputs; i++) {
        struct ax_difference d;

        if (st == AX_OK) {
            d = ax_tensor_compare(&after[i], &before[i]);
            worst = d.relative > worst ? d.relative : worst;
        }
        ax_tensor_free(&before[i]);
        ax_tensor_free(&after[i]);
    }
    for (int i = 0; st == AX_OK && i < AX_OPT_PASSES; i++)
        changed |= (unsigned)(done[i].changes > 0) << i;
    return st == AX_OK ? worst : -1;
}

static void random_graphs(unsigned passes, double tolerance)
{
    bool good = true;

    changed = 0;
    for (seed = 0; seed < GRAPHS; seed++) {
        double d;

        drawn = 0;
        random_graph();
        d = difference(passes);
        if (d < 0 || d > tolerance)
            printf("# seed %u: %g\n", (unsigned)seed, d);
        good = good && d >= 0 && d <= tolerance;
        ax_model_free(m);
    }
    OK(good);
    OK(changed == passes); /* each was tried */
}

/* -- what must stay -------------------------------------------------------
 */

enum { EXACT = 7, ALL = 63 };

/* Is there a node of this kind after all passes? */
static bool stays(ax_op op)
{
    bool found = false;

    OK(difference(ALL & ~32u) >= 0);
    for (uint32_t i = 0; i < g->n_nodes; i++)
        found |= g->nodes[i].op == op;
    ax_model_free(m);
    return found;
}

static void must_stay(void)
{
    struct shape s = {2, {2, 3}}, t;
    uint32_t x, y;

    begin(); /* behind an activation */
    t = s;
    x = input(2, s.dims);
    output(norm(unary(AX_OP_Relu, matmul(x, &t), &t), &t));
    OK(stays(AX_OP_BatchNormalization));

    begin(); /* somebody else reads what is normalised */
    t = s;
    x = input(2, s.dims);
    y = matmul(x, &t);
    output(norm(y, &t));
    output(unary(AX_OP_Exp, y, &t));
    OK(stays(AX_OP_BatchNormalization));

    begin(); /* it is an output itself */
    t = s;
    x = input(2, s.dims);
    y = matmul(x, &t);
    output(y);
    output(norm(y, &t));
    OK(stays(AX_OP_BatchNormalization));

    begin(); /* adding zero is not nothing */
    x = input(2, s.dims);
    output(with(AX_OP_Add, x, row(1, 0, 0), &s));
    OK(stays(AX_OP_Add));

    begin(); /* the constant makes it larger */
    x = input(2, (int64_t[]){1, 3});
    output(unary(AX_OP_Relu,
                 with(AX_OP_Mul, x, constant(2, (int64_t[]){2, 3}, 1, 0), &s),
                 &s));
    OK(stays(AX_OP_Mul));

    begin(); /* an input that is an output by another name */
    x = input(2, s.dims);
    output(unary(AX_OP_Identity, x, &s));
    OK(stays(AX_OP_Identity));
}

/* A claim of the file about an inner value is not believed. */
static void false_claims(void)
{
    struct shape s = {2, {2, 3}}, wrong = {2, {3, 2}};
    uint32_t x, y, to;

    begin();
    x = input(2, s.dims);
    y = unary(AX_OP_Relu, x, &s);
    to = row(2, 0, 0);
    g->values[to].dtype = AX_I64;
    m->tensors[0].dtype = AX_I64;
    free(m->tensors[0].data);
    m->tensors[0].data = grown(NULL, 2, sizeof(int64_t));
    m->tensors[0].nbytes = 2 * sizeof(int64_t);
    memcpy(m->tensors[0].data, (int64_t[]){3, 2}, 2 * sizeof(int64_t));
    g->values[y].dims[0] = 3;
    g->values[y].dims[1] = 2;
    output(with(AX_OP_Reshape, y, to, &wrong));
    OK(stays(AX_OP_Reshape));
}

/* -- numbers of fewer bits -------------------------------------------------
 */

/* The random graph in fewer bits: 0 or the largest relative difference on two
 * runs of data; -1 if something failed. */
static double narrowed(ax_narrow to, struct ax_narrow_done *done)
{
    const struct ax_value *x = &g->values[g->inputs[0]];
    int64_t dims[AX_RANK_MAX];
    struct ax_tensor data;
    struct ax_narrow_options opt = {.to = to,
                                    .data = &data,
                                    .free_size = 1,
                                    .percentile = below(2) ? 100 : 99.9,
                                    .signed_bytes = below(2)};
    struct ax_err err = {0};
    ax_status st;

    memcpy(dims, x->dims, sizeof dims);
    dims[0] *= 2;
    if (ax_tensor_new(&data, AX_F32, x->rank, dims, &err) != AX_OK)
        fatal();
    for (size_t i = 0; i < ax_tensor_count(&data); i++)
        ((float *)data.data)[i] = real();
    st = ax_model_narrow(m, done, &opt, &err);
    if (st == AX_OK)
        st = ax_model_normalise(m, &err);
    g = m->graph;
    if (st == AX_OK)
        st = ax_graph_check(g, m->n_tensors, &err);
    if (st != AX_OK)
        printf("# %s\n", err.msg);
    ax_tensor_free(&data);
    return st != AX_OK ? -1 : done->weights > 0 ? done->relative : 0;
}

/* Is every Conv, Gemm and MatMul fed by DequantizeLinear? */
static bool all_rounded(void)
{
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const struct ax_node *n = &g->nodes[i];

        if (n->op != AX_OP_Conv && n->op != AX_OP_Gemm &&
            n->op != AX_OP_MatMul)
            continue;
        for (uint32_t k = 0; k < n->n_in; k++) {
            bool found = false;

            for (uint32_t j = 0; j < i; j++)
                found |= g->nodes[j].op == AX_OP_DequantizeLinear &&
                         g->nodes[j].out[0] == n->in[k];
            if (!found)
                return false;
        }
    }
    return true;
}

static void narrow_graphs(ax_narrow to, double tolerance)
{
    unsigned weights = 0;
    bool good = true, rounded = true;

    for (seed = 0; seed < GRAPHS; seed++) {
        struct ax_narrow_done done;
        double d;

        drawn = 0;
        random_graph();
        d = narrowed(to, &done);
        if (d < 0 || d > tolerance)
            printf("# seed %u: %g\n", (unsigned)seed, d);
        good = good && d >= 0 && d <= tolerance;
        weights += done.weights;
        if (to == AX_NARROW_INT8 && done.n_left == 0)
            rounded = rounded && all_rounded();
        ax_narrow_done_free(&done);
        ax_model_free(m);
    }
    OK(good);
    OK(rounded);
    printf("# %u constants\n", weights);
    OK(weights > 50);
}

/* Two layers, the first of K inputs. */
static void perceptron(int64_t k)
{
    struct shape s = {2, {1, k}};
    uint32_t in[3];

    begin();
    in[0] = input(2, s.dims);
    in[1] = constant(2, (int64_t[]){k, 4}, 0, 1);
    in[2] = row(4, 0, 1);
    s.dims[1] = 4;
    in[0] = unary(AX_OP_Relu, node(AX_OP_Gemm, 3, in, 2, s.dims), &s);
    output(
        with(AX_OP_MatMul, in[0], constant(2, (int64_t[]){4, 4}, 0, 1), &s));
}

static void edges(void)
{
    struct ax_narrow_done done;
    double d;

    perceptron(66311); /* times 127 times 255 is just below 2^31 */
    OK(narrowed(AX_NARROW_INT8, &done) >= 0);
    OK(done.weights == 2 && done.n_left == 0);
    ax_narrow_done_free(&done);
    ax_model_free(m);

    perceptron(66312);
    OK(narrowed(AX_NARROW_INT8, &done) >= 0);
    OK(done.weights == 1 && done.n_left == 1 &&
       strcmp(done.left[0].why, "its sums could leave int32") == 0);
    ax_narrow_done_free(&done);
    ax_model_free(m);

    perceptron(100); /* blocks of 32, 32, 32 and 4 */
    d = narrowed(AX_NARROW_INT4, &done);
    OK(d > 0 && d < 0.2);
    OK(done.weights == 1 && done.rounding <= 0.5001 / 7);
    OK(done.bytes_after < done.bytes_before);
    ax_narrow_done_free(&done);
    ax_model_free(m);

    perceptron(100); /* a second time there is nothing to do */
    ((float *)m->tensors[0].data)[7] = 1e30f;
    OK(narrowed(AX_NARROW_F16, &done) == 0);
    OK(done.weights == 0 && done.n_left == 1);
    ax_narrow_done_free(&done);
    OK(narrowed(AX_NARROW_BF16, &done) >= 0);
    OK(done.weights == 1 && done.rounding > 0 && done.rounding <= 0x1p-8);
    ax_narrow_done_free(&done);
    ax_model_free(m);
}

int main(void)
{
    random_graphs(EXACT, 0);
    random_graphs(ALL, 1e-4);
    random_graphs(32, 1e-4);
    must_stay();
    false_claims();
    narrow_graphs(AX_NARROW_INT8, 0.1);
    narrow_graphs(AX_NARROW_F16, 2e-3);
    narrow_graphs(AX_NARROW_BF16, 2e-2);
    edges();
    return tap_done();
}
