/* Training: every gradient against finite differences of the reference
 * backend's outputs in double, products in a fixed order, the functions that
 * replace libm, the optimisers against their formulas. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ax/element.h"
#include "ax/run.h"
#include "ax/train.h"
#include "tap.h"
#include "train/net.h"

#define ROWS       3
#define INPUTS_MAX 128

static struct ax_err err;

static double number(uint64_t i)
{
    return (double)(ax_train_random(7, 7, i) >> 11) / (double)(1ULL << 52) -
           1;
}

static struct ax_model *arch(const char *text)
{
    struct ax_model *m = NULL;

    err = (struct ax_err){0};
    if (ax_arch_read(&m, text, strlen(text), 3, &err) != AX_OK)
        printf("# %s\n", err.msg);
    return m;
}

/* The reference computes a model of float64 in double. */
static void to_double(struct ax_model *m)
{
    for (uint32_t i = 0; i < m->graph->n_values; i++)
        if (m->graph->values[i].dtype == AX_F32)
            m->graph->values[i].dtype = AX_F64;
    for (uint32_t i = 0; i < m->n_tensors; i++) {
        struct ax_tensor t;

        if (ax_tensor_cast(&t, &m->tensors[i], AX_F64, &err) != AX_OK)
            abort();
        ax_tensor_free(&m->tensors[i]);
        m->tensors[i] = t;
    }
}

/* Batch normalisation by the batch. */
static void to_learning(struct ax_model *m)
{
    for (uint32_t i = 0; i < m->graph->n_nodes; i++) {
        struct ax_node *n = &m->graph->nodes[i];

        if (n->op != AX_OP_BatchNormalization)
            continue;
        n->attrs = calloc(1, sizeof *n->attrs);
        n->n_attrs = 1;
        n->attrs[0] = (struct ax_attr){.kind = AX_ATTR_INT, .i = 1};
        n->attrs[0].name = strdup("training_mode");
    }
}

/* The loss in double, written anew. */
static double reference_loss(const double *z, size_t n,
                             const struct ax_target *y,
                             const struct ax_train_options *opt)
{
    double sum = 0;

    for (size_t r = 0; r < ROWS; r++, z += n) {
        double all = 0, row = 0;

        for (size_t j = 0; j < n; j++)
            all += exp(z[j]);
        for (size_t j = 0; j < n; j++) {
            double want = opt->smoothing / (double)n, d;

            if (opt->loss == AX_LOSS_CROSS_ENTROPY) {
                if ((int64_t)j == y->classes[r])
                    want += 1 - opt->smoothing;
                row += want * (log(all) - z[j]);
                continue;
            }
            want = (double)y->values[r * n + j];
            d = fabs(z[j] - want);
            row += (opt->loss == AX_LOSS_MSE   ? d * d
                    : opt->loss == AX_LOSS_MAE ? d
                    : opt->loss == AX_LOSS_HUBER
                        ? (d <= 1 ? d * d / 2 : d - 0.5)
                        : log(1 + exp(z[j])) - want * z[j]) /
                   (double)n;
        }
        sum += row;
    }
    return sum / ROWS;
}

/* Loss of the model, which is in double, on x. */
static double loss_in_double(const struct ax_model *m, struct ax_tensor *x,
                             const struct ax_target *y,
                             const struct ax_train_options *opt)
{
    struct ax_plan *plan = NULL;
    struct ax_tensor out = {0};
    double loss = NAN;

    if (ax_plan_new(&plan, m, &(struct ax_run_options){.backend = "ref"},
                    &err) == AX_OK &&
        ax_plan_run(plan, &out, x, &err) == AX_OK && out.dtype == AX_F64)
        loss = reference_loss(out.data, ax_tensor_count(&out) / ROWS, y, opt);
    else
        printf("# %s\n", err.msg);
    ax_tensor_free(&out);
    ax_plan_free(plan);
    return loss;
}

/* The largest difference between the gradients of a network's weights and
 * central differences, of those that are larger than 1 relative. */
static double worst(const char *text, const struct ax_train_options *o)
{
    const int64_t classes[ROWS] = {0, 2, 1};
    struct ax_train_options opt = *o;
    struct ax_model *m = arch(text), *wide = arch(text);
    struct ax_trainer *t = NULL;
    struct ax_tensor in = {0};
    float x[ROWS * INPUTS_MAX], values[ROWS * 3];
    const struct ax_target y = {classes, values};
    int64_t dims[4] = {ROWS};
    double loss, most = 0, exact;
    size_t inputs = 1;
    int rank;

    opt.batch = ROWS;
    for (size_t i = 0; i < ROWS * INPUTS_MAX; i++)
        x[i] = (float)number(i);
    for (size_t i = 0; i < ROWS * 3; i++)
        values[i] = (float)(number(100 + i) / 2 + 0.5);
    if (!m || !wide || ax_trainer_new(&t, m, &opt, &err) != AX_OK ||
        ax_trainer_step(t, &loss, x, &y, ROWS, 0, &err) != AX_OK) {
        printf("# %s\n", err.msg);
        return HUGE_VAL;
    }
    to_double(wide);
    to_learning(wide);
    rank = wide->graph->values[0].rank;
    for (int d = 1; d < rank; d++)
        inputs *= (size_t)(dims[d] = wide->graph->values[0].dims[d]);
    if (ax_tensor_new(&in, AX_F64, rank, dims, &err) != AX_OK)
        return HUGE_VAL;
    ax_cast(AX_F64, in.data, AX_F32, x, ROWS * inputs);
    exact = loss_in_double(wide, &in, &y, &opt);
    most = fabs(loss - exact);
    for (size_t k = 0; k < ax_trainer_weights(t); k++) {
        const float *g;
        size_t n;

        (void)ax_trainer_weight(t, k, &n, &g);
        for (size_t i = 0; i < n; i++) {
            double *w = (double *)wide->tensors[t->weights[k].tensor].data;
            double old = *(w += i), d;

            *w = old + 1e-5;
            d = loss_in_double(wide, &in, &y, &opt);
            *w = old - 1e-5;
            d = (d - loss_in_double(wide, &in, &y, &opt)) / 2e-5;
            *w = old;
            d = fabs(d - (double)g[i]);
            most = d > most || isnan(d) ? d : most;
        }
    }
    ax_tensor_free(&in);
    ax_trainer_free(t);
    ax_model_free(m);
    ax_model_free(wide);
    return most;
}

#define HEAD "input 2x3\nflatten\ndense 4 name=a\n"
#define TAIL "dense 3\n"

#define IMAGE "input 2x7x6\n"
#define ENDS  "flatten\ndense 3\n"

static void test_windows(void)
{
    const struct ax_train_options plain = {0}, threads = {.threads = 3};

    OK(worst(IMAGE "conv 3x3\n" ENDS, &plain) < 1e-6);
    OK(worst(IMAGE "conv 3x3 pad=1\ntanh\nconv 2x2 stride=2 pad=1\n" ENDS,
             &plain) < 1e-6);
    OK(worst(IMAGE "conv 4x2\nmaxpool 2\nrelu\nconv 35x2\n" ENDS, &threads) <
       1e-6);
    OK(worst(IMAGE
             "conv 2x3 pad=1\nmaxpool 3 stride=2 pad=1\nconv 2x3\n" ENDS,
             &plain) < 1e-6);
    OK(worst(IMAGE "conv 2x3\navgpool 2\ntanh\n" ENDS, &threads) < 1e-6);
    OK(worst(IMAGE "conv 2x3 pad=1\navgpool 3 stride=2 pad=1\n" ENDS,
             &plain) < 1e-6);
    OK(worst(IMAGE "conv 3x3 pad=1 name=c\ntanh\nconv 3x3 pad=1\nadd c\n"
                   "relu\n" ENDS,
             &plain) < 1e-6);
    OK(worst(IMAGE "conv 4x3 pad=1 groups=2\ntanh\n"
                   "conv 4x3 stride=2 pad=1 groups=4\n" ENDS,
             &plain) < 1e-6);
    OK(worst(IMAGE "tanh\nconv 4x3 stride=3 pad=2\ntanh\nconv 3x1 stride=2\n"
                   "conv 2x1 bias=no\n" ENDS,
             &threads) < 1e-6);
    OK(worst(IMAGE "tanh name=c\nconv 2x3 pad=1\nadd c\nconv 36x2 from=c\n"
                   "tanh\nconv 2x1 groups=2\n" ENDS,
             &plain) < 1e-6);
}

/* Means of -1 and 3, and the deviation of each, of what a network of a
 * normalisation alone sees. */
static void test_norm(void)
{
    const struct ax_train_options plain = {0}, threads = {.threads = 3};
    const float x[ROWS * 2] = {-1, 1, -2, 3, 0, 5};
    const float values[ROWS * 2] = {0};
    struct ax_train_options opt = {.batch = ROWS, .loss = AX_LOSS_MSE};
    struct ax_model *m = arch("input 2\nbatchnorm name=n\n");
    struct ax_trainer *t = NULL;
    const float *y;
    double loss;

    OK(worst(HEAD "batchnorm\n" TAIL, &plain) < 1e-5);
    OK(worst(IMAGE "conv 18x3 bias=no\nbatchnorm\ntanh\n" ENDS, &threads) <
       1e-5);
    OK(worst(IMAGE "batchnorm name=c\ntanh\nconv 2x3 pad=1\nbatchnorm\n"
                   "add c\ntanh\n" ENDS,
             &plain) < 1e-5);
    OK(m && ax_trainer_new(&t, m, &opt, &err) == AX_OK);
    y = ax_trainer_forward(t, x, ROWS);
    OK(fabsf(y[3] - 3) < 1e-4f); /* of mean 0, variance 1 */
    OK(ax_trainer_step(t, &loss, x, &(struct ax_target){NULL, values}, ROWS,
                       0, &err) == AX_OK);
    OK(fabs(loss - 1) < 1e-4); /* the variance of what is normal */
    OK(fabsf(t->kept[0].w[0] + 0.1f) < 1e-6f);
    OK(fabsf(t->kept[0].w[1] - 0.3f) < 1e-6f);
    OK(fabsf(t->kept[1].w[0] - 1.0f) < 1e-6f); /* 0.9 + 0.1 * 1 */
    OK(fabsf(t->kept[1].w[1] - 1.3f) < 1e-6f); /* 0.9 + 0.1 * 4 */
    OK(ax_trainer_step(t, &loss, x, &(struct ax_target){NULL, values}, 1, 0,
                       &err) == AX_ESHAPE);
    ax_trainer_free(t);
    opt.freeze = "n.running";
    OK(ax_trainer_new(&t, m, &opt, &err) == AX_OK);
    OK(ax_trainer_step(t, &loss, x, &(struct ax_target){NULL, values}, ROWS,
                       0, &err) == AX_OK);
    OK(fabs(loss - 40.0 / 6) < 1e-3 && t->kept[0].w[0] == 0);
    ax_trainer_free(t);
    ax_model_free(m);
}

static void test_gradients(void)
{
    const struct ax_train_options plain = {0};
    const struct ax_train_options smooth = {.smoothing = 0.1};

    OK(worst(HEAD TAIL, &plain) < 1e-6);
    OK(worst(HEAD TAIL, &smooth) < 1e-6);
    OK(worst(HEAD "relu\n" TAIL, &plain) < 1e-6);
    OK(worst(HEAD "leakyrelu 0.25\n" TAIL, &plain) < 1e-6);
    OK(worst(HEAD "sigmoid\n" TAIL, &plain) < 1e-6);
    OK(worst(HEAD "tanh\n" TAIL, &plain) < 1e-6);
    OK(worst(HEAD "tanh\ndense 4\nadd a\nadd a\n" TAIL, &plain) < 1e-6);
    for (int loss = AX_LOSS_MSE; loss <= AX_LOSS_BCE; loss++)
        OK(worst(HEAD "tanh\n" TAIL,
                 &(struct ax_train_options){.loss = (ax_loss)loss}) < 1e-6);
}

enum { M = 29, N = 71, K = 531 };

static void fill(float *x, size_t n, uint64_t from)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)number(from + i);
}

/* Each element is a chain of fused multiply-adds in the order of k, whatever
 * the layout, the place of the tile and the thread. */
static void test_product(void)
{
    static float a[M * K], b[K * N], c[M * N], room[TRAIN_ROOM(N, K)];
    struct train_pool *pool = NULL;
    float start[N];
    int wrong = 0;

    fill(a, M * K, 0);
    fill(b, K * N, 99999);
    fill(start, N, 500000);
    OK(train_pool_new(&pool, 3, &err) == AX_OK);
    for (int way = 0; way < 8; way++) {
        struct train_product p = {
            .c = c,
            .m = M,
            .n = N,
            .k = K,
            .a = {a, way & 1 ? 1 : K, way & 1 ? M : 1},
            .b = {b, way & 2 ? 1 : N, way & 2 ? K : 1},
            .start = start,
            .room = room,
        };

        memset(c, 0, sizeof c);
        train_gemm(&p, way & 4 ? pool : NULL);
        for (size_t i = 0; i < M; i++)
            for (size_t j = 0; j < N; j++) {
                float sum = start[j];

                for (size_t k = 0; k < K; k++)
                    sum = fmaf(a[i * p.a.rows + k * p.a.columns],
                               b[k * p.b.rows + j * p.b.columns], sum);
                wrong += sum != c[i * N + j];
            }
    }
    OK(wrong == 0);
    train_pool_free(pool);
}

/* The kinds of processors agree in every size of a tile. */
static void test_tiles(void)
{
    static const char *const kinds[] = {"512", "256", "plain"};
    float a[TILE_M * 40], b[40 * TILE_N], start[TILE_M * TILE_N];
    float c[TILE_M * TILE_N], first[TILE_M * TILE_N];
    size_t at[40], b_at[40];
    int wrong = 0, compared = 0;

    for (size_t i = 0; i < 40; i++) {
        at[i] = i * 7 % 40; /* in an order of its own */
        b_at[i] = i * TILE_N;
    }
    fill(a, TILE_M * 40, 1);
    fill(b, 40 * TILE_N, 2);
    fill(start, TILE_M * TILE_N, 3);
    for (size_t rows = 1; rows <= TILE_M; rows++)
        for (size_t width = 1; width <= TILE_N; width++) {
            bool known = false;

            for (int k = 0; k < 3; k++) {
                train_tile_fn *f = train_tile(kinds[k]);

                if (!f)
                    continue;
                memset(c, 0, sizeof c);
                f(&(struct train_tile){.c = c,
                                       .start = start,
                                       .a = {a, a + 40, a + 80, a + 120,
                                             a + 160, a + 200, a + 240,
                                             a + 280, a + 320, a + 360,
                                             a + 400, a + 440},
                                       .b = b,
                                       .a_at = at,
                                       .b_at = b_at,
                                       .c_row = TILE_N,
                                       .start_row = TILE_N,
                                       .k = 40},
                  rows, width);
                if (known)
                    wrong += memcmp(c, first, sizeof c) != 0;
                else
                    memcpy(first, c, sizeof c);
                compared += known;
                known = true;
            }
        }
    printf("# %d tiles compared\n", compared);
    OK(wrong == 0);
}

static void test_numbers(void)
{
    double e = 0, l = 0;

    for (int i = 0; i < 20000; i++) {
        double x = number((uint64_t)i) * 700, y = exp(x / 2);

        e = fmax(e, fabs(ax_train_exp(x) / exp(x) - 1));
        l = fmax(l, fabs(ax_train_log(y) - log(y)) / fmax(1, fabs(log(y))));
    }
    OK(e < 1e-15 * 8);
    OK(l < 1e-15 * 8);
    OK(ax_train_exp(0) == 1 && ax_train_log(1) == 0);
    OK(ax_train_exp(-HUGE_VAL) == 0 && isinf(ax_train_exp(HUGE_VAL)));
    OK(isnan(ax_train_exp(NAN)));
    OK(ax_train_random(1, 2, 3) != ax_train_random(1, 3, 2));
}

/* The robust loss in double, by networks of constants: bounds of a value by
 * intervals, so that the whole is compared by its finite differences with
 * the network's own loss, which is continuous in the weights. */
static double robust_loss(struct ax_trainer *t, const float *x,
                          const struct ax_target *y)
{
    double loss;

    if (ax_trainer_step(t, &loss, x, y, ROWS, 0, &err) != AX_OK)
        return NAN;
    return loss;
}

/* Gradients against central differences in float32 of a smooth enough loss,
 * relative to the largest; and bounds that hold what points inside give. */
static double worst_robust(const char *text, double share)
{
    const int64_t classes[ROWS] = {0, 2, 1};
    const struct ax_target y = {classes, NULL};
    struct ax_train_options opt = {.batch = ROWS, .robust = true};
    struct ax_model *m = arch(text);
    struct ax_trainer *t = NULL;
    float x[ROWS * INPUTS_MAX];
    double most = 0, largest = 0;

    fill(x, ROWS * INPUTS_MAX, 0);
    if (!m || ax_trainer_new(&t, m, &opt, &err) != AX_OK) {
        printf("# %s\n", err.msg);
        return HUGE_VAL;
    }
    ax_trainer_robust(t, 0.05, share);
    for (size_t k = 0; k < ax_trainer_weights(t); k++) {
        const float *g;
        size_t n;
        float *w = ax_trainer_weight(t, k, &n, &g);

        for (size_t i = 0; i < n; i++) {
            float old = w[i], up = old + 0.004f, down = old - 0.004f;
            double d;

            if (fabsf(old) < 0.005f)
                continue; /* the magnitude has a corner at 0 */
            w[i] = up;
            d = robust_loss(t, x, &y);
            w[i] = down;
            d = (d - robust_loss(t, x, &y)) / ((double)up - (double)down);
            w[i] = old;
            (void)robust_loss(t, x, &y);
            largest = fmax(largest, fabs(d));
            d = fabs(d - (double)g[i]);
            most = d > most || isnan(d) ? d : most;
        }
    }
    ax_trainer_free(t);
    ax_model_free(m);
    return most / largest;
}

static void test_robust(void)
{
    OK(worst_robust(HEAD "tanh\n" TAIL, 1) < 2e-3);
    OK(worst_robust(HEAD "sigmoid\ndense 4\nadd a\n" TAIL, 0.5) < 2e-3);
    OK(worst_robust(IMAGE "conv 3x3 pad=1\ntanh\navgpool 2\n" ENDS, 0.7) <
       2e-3);
    OK(worst_robust(IMAGE "conv 2x3\ntanh\nconv 2x2\n" ENDS, 1) < 2e-3);
}

/* Two steps by hand. */
static void test_updates(void)
{
    float x = 1, g = 0.5f, m = 0, v = 0, mean = 1;
    struct weight w = {.n = 1, .w = &x, .g = &g, .first = &m, .second = &v};
    struct ax_train_options opt = {.momentum = 0.5, .decay = 0.1};

    train_update(&w, 1, 0.1, 1, &opt, NULL); /* d = 0.6, v = 0.6 */
    OK(fabs((double)x - 0.94) < 1e-6);
    train_update(&w, 1, 0.1, 2, &opt, NULL); /* d = 0.594, v = 0.894 */
    OK(fabs((double)x - 0.8506) < 1e-6);
    x = 1;
    m = v = 0;
    opt.nesterov = true;
    train_update(&w, 1, 0.1, 1, &opt, NULL); /* 0.6 + 0.5 * 0.6 */
    OK(fabs((double)x - 0.91) < 1e-6);
    opt = (struct ax_train_options){.optimiser = AX_OPTIMISER_ADAM,
                                    .beta1 = 0.9,
                                    .beta2 = 0.999,
                                    .epsilon = 1e-8};
    x = 1;
    m = v = 0;
    train_update(&w, 1, 0.1, 1, &opt, NULL); /* the first step is the rate */
    OK(fabs((double)x - 0.9) < 1e-6);
    x = 1;
    m = v = 0;
    opt.optimiser = AX_OPTIMISER_ADAMW;
    opt.decay = 0.5;
    train_update(&w, 1, 0.1, 1, &opt, NULL); /* 0.95 - 0.1 */
    OK(fabs((double)x - 0.85) < 1e-6);
    x = 1;
    m = v = 0;
    x = 1;
    m = v = 0;
    opt = (struct ax_train_options){.optimiser = AX_OPTIMISER_RMSPROP,
                                    .beta2 = 0.75};
    train_update(&w, 1, 0.1, 1, &opt, NULL); /* sqrt(0.25 * 0.25) = 0.25 */
    OK(fabs((double)x - 0.8) < 1e-6);
    x = 1;
    m = -1;
    opt = (struct ax_train_options){.optimiser = AX_OPTIMISER_LION,
                                    .beta1 = 0.9,
                                    .beta2 = 0.5,
                                    .decay = 0.5};
    train_update(&w, 1, 0.1, 1, &opt, NULL); /* -0.9 + 0.05 < 0 */
    OK(fabs((double)x - 1.05) < 1e-6 && fabs((double)m + 0.25) < 1e-6);
    x = 1;
    m = v = 0;
    w.mean = &mean;
    opt = (struct ax_train_options){.average = 0.5};
    train_update(&w, 1, 2, 8, &opt, NULL); /* 0 now; half of 1 */
    OK(x == 0 && fabs((double)mean - 0.5) < 1e-6);
    train_update(&w, 1, 0, 0, &opt, NULL); /* a tenth stays */
    OK(fabs((double)mean - 0.05) < 1e-6);
    w.mean = NULL;
    x = 1;
    m = v = 0;
    opt = (struct ax_train_options){.clip = 0.25};
    train_update(&w, 1, 1, 1, &opt, NULL);
    OK(fabs((double)x - 0.75) < 1e-6);
}

static void test_freeze(void)
{
    const int64_t classes[ROWS] = {0, 2, 1};
    struct ax_model *m = arch(HEAD "relu\n" TAIL);
    struct ax_train_options opt = {.batch = ROWS, .freeze = "a."};
    struct ax_trainer *t = NULL;
    float x[ROWS * 6] = {1, 2, 3}, before;
    double loss;

    before = *(const float *)m->tensors[0].data;
    OK(ax_trainer_new(&t, m, &opt, &err) == AX_OK);
    OK(ax_trainer_weights(t) == 2);
    OK(ax_trainer_step(t, &loss, x, &(struct ax_target){classes, NULL}, ROWS,
                       0.1, &err) == AX_OK);
    x[0] = NAN;
    OK(ax_trainer_step(t, &loss, x, &(struct ax_target){classes, NULL}, ROWS,
                       0.1, &err) == AX_EFORMAT);
    ax_trainer_store(t);
    OK(*(const float *)m->tensors[0].data == before);
    ax_trainer_free(t);
    ax_model_free(m);
}

int main(void)
{
    test_product();
    test_tiles();
    test_windows();
    test_norm();
    test_robust();
    test_numbers();
    test_updates();
    test_gradients();
    test_freeze();
    return tap_done();
}
