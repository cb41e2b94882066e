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
#include "train/train.h"

#define ROWS 3

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
    float x[ROWS * 6], values[ROWS * 3];
    const struct ax_target y = {classes, values};
    int64_t dims[3] = {ROWS, 2, 3};
    double loss, most = 0, exact;

    opt.batch = ROWS;
    for (size_t i = 0; i < ROWS * 6; i++)
        x[i] = (float)number(i);
    for (size_t i = 0; i < ROWS * 3; i++)
        values[i] = (float)(number(100 + i) / 2 + 0.5);
    if (!m || !wide || ax_trainer_new(&t, m, &opt, &err) != AX_OK ||
        ax_trainer_step(t, &loss, x, &y, ROWS, 0, &err) != AX_OK) {
        printf("# %s\n", err.msg);
        return HUGE_VAL;
    }
    to_double(wide);
    if (ax_tensor_new(&in, AX_F64, 3, dims, &err) != AX_OK)
        return HUGE_VAL;
    ax_cast(AX_F64, in.data, AX_F32, x, ROWS * 6);
    exact = loss_in_double(wide, &in, &y, &opt);
    most = fabs(loss - exact);
    for (size_t k = 0; k < ax_trainer_weights(t); k++) {
        const float *g;
        size_t n;

        (void)ax_trainer_weight(t, k, &n, &g);
        for (size_t i = 0; i < n; i++) {
            double *w = (double *)wide->tensors[k].data + i, old = *w, d;

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

/* Each element is a sum in the order of k, in every place of a tile. */
static void test_product(void)
{
    enum { M = 13, N = 71, K = 29 };
    static float a[M * K], b[K * N], c[M * N];
    _Alignas(64) static float panel[PANEL * K];
    int wrong = 0;

    for (size_t i = 0; i < M * K; i++)
        a[i] = (float)number(i);
    for (size_t i = 0; i < K * N; i++)
        b[i] = (float)number(9999 + i);
    for (int across = 0; across < 2; across++) {
        struct matrix left = {a, across ? 1 : K, across ? M : 1};
        struct matrix right = {b, across ? 1 : N, across ? K : 1};

        memset(c, 0, sizeof c);
        train_gemm(c, M, N, K, &left, &right, panel);
        for (size_t i = 0; i < M; i++)
            for (size_t j = 0; j < N; j++) {
                volatile float sum = 0;

                for (size_t k = 0; k < K; k++) {
                    volatile float p = a[i * left.rows + k * left.columns] *
                                       b[k * right.rows + j * right.columns];

                    sum = sum + p;
                }
                wrong += sum != c[i * N + j];
            }
    }
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

/* Two steps by hand. */
static void test_updates(void)
{
    float x = 1, g = 0.5f, m = 0, v = 0;
    struct weight w = {.n = 1, .w = &x, .g = &g, .first = &m, .second = &v};
    struct ax_train_options opt = {.momentum = 0.5, .decay = 0.1};

    train_update(&w, 1, 0.1, 1, &opt); /* d = 0.6, v = 0.6 */
    OK(fabs((double)x - 0.94) < 1e-6);
    train_update(&w, 1, 0.1, 2, &opt); /* d = 0.594, v = 0.894 */
    OK(fabs((double)x - 0.8506) < 1e-6);
    x = 1;
    m = v = 0;
    opt.nesterov = true;
    train_update(&w, 1, 0.1, 1, &opt); /* 0.6 + 0.5 * 0.6 */
    OK(fabs((double)x - 0.91) < 1e-6);
    opt = (struct ax_train_options){.optimiser = AX_OPTIMISER_ADAM,
                                    .beta1 = 0.9,
                                    .beta2 = 0.999,
                                    .epsilon = 1e-8};
    x = 1;
    m = v = 0;
    train_update(&w, 1, 0.1, 1, &opt); /* the first step is the rate */
    OK(fabs((double)x - 0.9) < 1e-6);
    x = 1;
    m = v = 0;
    opt.optimiser = AX_OPTIMISER_ADAMW;
    opt.decay = 0.5;
    train_update(&w, 1, 0.1, 1, &opt); /* 0.95 - 0.1 */
    OK(fabs((double)x - 0.85) < 1e-6);
    x = 1;
    m = v = 0;
    opt = (struct ax_train_options){.clip = 0.25};
    train_update(&w, 1, 1, 1, &opt);
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
    test_numbers();
    test_updates();
    test_gradients();
    test_freeze();
    return tap_done();
}
