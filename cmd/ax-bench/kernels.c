/* Problems of the executor: one operator, or a whole model, through a plan,
 * as ax-run computes it. */
#include <string.h>

#include "ax/run.h"
#include "bench.h"
#include "common/model.h"

struct kernel {
    struct ax_model *model;
    struct ax_plan *plan;
    uint32_t n_in, n_out;
    struct ax_tensor *in, *out;
};

static void kernel_done(struct task *t)
{
    struct kernel *k = t->own;

    for (uint32_t i = 0; i < k->n_in; i++)
        ax_tensor_free(&k->in[i]);
    free(k->in);
    free(k->out);
    ax_plan_free(k->plan);
    ax_model_free(k->model);
    free(k);
}

static ax_status kernel_run(struct task *t, struct ax_err *err)
{
    struct kernel *k = t->own;

    AX_TRY(ax_plan_run(k->plan, k->out, k->in, err));
    for (uint32_t i = 0; i < k->n_out; i++)
        ax_tensor_free(&k->out[i]);
    return AX_OK;
}

static ax_status kernel_new(struct kernel **out, struct task *t,
                            struct ax_err *err)
{
    struct kernel *k = calloc(1, sizeof *k);

    if (!k)
        return ax_fail(err, AX_ENOMEM, "no memory for a problem");
    *out = t->own = k;
    t->done = kernel_done;
    t->run = kernel_run;
    return AX_OK;
}

/* What all these problems can be told: backend, threads, seed. */
struct knobs {
    const char *backend;
    int64_t threads, seed;
};

static ax_status knobs_read(struct knobs *k, struct task *t, struct words *w,
                            struct ax_err *err)
{
    const char *backend = words_value(w, "backend");

    *k = (struct knobs){backend ? backend : "cpu", 1, 1};
    AX_TRY(words_int(&k->threads, w, "threads", 1, PEAK_THREADS, err));
    AX_TRY(words_int(&k->seed, w, "seed", 0, INT64_MAX, err));
    t->threads = (int)k->threads;
    return AX_OK;
}

/* A random input of a value's type and shape, ROWS for free dimensions. */
static ax_status random_input(struct ax_tensor *t, const struct ax_value *v,
                              int64_t rows, uint64_t *seed,
                              struct ax_err *err)
{
    int64_t dims[AX_RANK_MAX];
    float *data;

    if (v->dtype != AX_F32 || v->rank < 0)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "input '%s' is %s of %s shape: only float32 of known "
                       "shape is run here",
                       v->name,
                       ax_dtype_name(v->dtype) ? ax_dtype_name(v->dtype)
                                               : "not a tensor",
                       v->rank < 0 ? "no known" : "known");
    for (int i = 0; i < v->rank; i++)
        dims[i] = v->dims[i] < 0 ? rows : v->dims[i];
    AX_TRY(ax_tensor_new(t, AX_F32, v->rank, dims, err));
    data = t->data;
    for (size_t i = 0; i < t->nbytes / sizeof *data; i++)
        data[i] = random_unit(seed);
    return AX_OK;
}

static ax_status kernel_plan(struct kernel *k, const struct knobs *knobs,
                             int64_t rows, struct ax_err *err)
{
    const struct ax_graph *g = k->model->graph;
    struct ax_run_options opt = {.backend = knobs->backend,
                                 .threads = (int)knobs->threads};
    uint64_t seed = (uint64_t)knobs->seed + 1;

    k->in = calloc(g->n_inputs + 1u, sizeof *k->in);
    k->out = calloc(g->n_outputs + 1u, sizeof *k->out);
    if (!k->in || !k->out)
        return ax_fail(err, AX_ENOMEM, "no memory for a problem");
    for (; k->n_in < g->n_inputs; k->n_in++)
        AX_TRY(random_input(&k->in[k->n_in], &g->values[g->inputs[k->n_in]],
                            rows, &seed, err));
    k->n_out = g->n_outputs;
    return ax_plan_new(&k->plan, k->model, &opt, err);
}

/* A problem of one operator on an input x and a constant w. */
struct shape {
    ax_op op;
    int rank;
    int64_t x[DIMS_MAX], w[DIMS_MAX];
    int64_t pad, stride;
};

static ax_status one_operator(struct task *t, struct shape *s,
                              struct words *w, struct ax_err *err)
{
    struct knobs knobs;
    struct kernel *k = NULL;
    uint64_t seed;
    uint32_t in[2], y;

    AX_TRY(knobs_read(&knobs, t, w, err));
    AX_TRY(words_end(w, err));
    AX_TRY(kernel_new(&k, t, err));
    k->model = build_new(3, 1);
    if (!k->model)
        return ax_fail(err, AX_ENOMEM, "no memory for a problem");
    seed = (uint64_t)knobs.seed;
    AX_TRY(build_value(&in[0], k->model, s->rank, s->x, err));
    AX_TRY(build_constant(&in[1], k->model, s->rank, s->w, 1, &seed, err));
    AX_TRY(build_node(&y, k->model, (int)s->op, 2, in, err));
    if (s->pad)
        AX_TRY(build_ints(k->model, "pads", 4, s->pad, err));
    if (s->stride > 1)
        AX_TRY(build_ints(k->model, "strides", 2, s->stride, err));
    build_ends(k->model, in[0], y);
    t->unit = "F/s";
    t->scale = 1e9;
    t->peak = PEAK_MULTIPLY;
    return kernel_plan(k, &knobs, 1, err);
}

/* The element type: there is one so far. */
static ax_status element(struct words *w, struct ax_err *err)
{
    const char *s = words_next(w);

    if (s && strcmp(s, "f32") == 0)
        return AX_OK;
    return ax_fail(err, AX_EFORMAT, "wants the type f32, not '%s'",
                   s ? s : "");
}

ax_status make_gemm(struct task *t, struct context *c, struct words *w,
                    struct ax_err *err)
{
    struct shape s = {.op = AX_OP_MatMul, .rank = 2};
    int64_t d[3];

    (void)c;
    AX_TRY(element(w, err));
    AX_TRY(words_dims(d, 3, w, "sizes MxNxK", err));
    s.x[0] = d[0];
    s.x[1] = s.w[0] = d[2];
    s.w[1] = d[1];
    t->work = 2.0 * (double)d[0] * (double)d[1] * (double)d[2];
    return one_operator(t, &s, w, err);
}

ax_status make_gemv(struct task *t, struct context *c, struct words *w,
                    struct ax_err *err)
{
    struct shape s = {.op = AX_OP_MatMul, .rank = 2};
    int64_t d[2];

    (void)c;
    AX_TRY(element(w, err));
    AX_TRY(words_dims(d, 2, w, "sizes NxK", err));
    s.x[0] = 1;
    s.x[1] = s.w[0] = d[1];
    s.w[1] = d[0];
    t->work = 2.0 * (double)d[0] * (double)d[1];
    AX_TRY(one_operator(t, &s, w, err));
    t->peak = PEAK_READ;
    t->peak_work = 2 * t->work; /* four bytes for two operations */
    return AX_OK;
}

ax_status make_conv(struct task *t, struct context *c, struct words *w,
                    struct ax_err *err)
{
    struct shape s = {.op = AX_OP_Conv, .rank = 4, .stride = 1};
    double places;

    (void)c;
    AX_TRY(element(w, err));
    AX_TRY(words_dims(s.x, 4, w, "an input NxCxHxW", err));
    AX_TRY(words_dims(s.w, 4, w, "weights MxCxHxW", err));
    AX_TRY(words_int(&s.pad, w, "pad", 0, 1 << 20, err));
    AX_TRY(words_int(&s.stride, w, "stride", 1, 1 << 20, err));
    if (s.x[1] != s.w[1])
        return ax_fail(err, AX_EFORMAT,
                       "the input has %lld channels, the weights have %lld",
                       (long long)s.x[1], (long long)s.w[1]);
    places = (double)s.x[0];
    for (int i = 2; i < 4; i++) {
        if (s.w[i] > s.x[i] + 2 * s.pad)
            return ax_fail(err, AX_EFORMAT,
                           "the weights are larger than the input");
        places *= (double)((s.x[i] + 2 * s.pad - s.w[i]) / s.stride + 1);
    }
    t->work = 2 * places * (double)(s.w[0] * s.w[1]) *
              (double)(s.w[2] * s.w[3]);
    return one_operator(t, &s, w, err);
}

ax_status make_run(struct task *t, struct context *c, struct words *w,
                   struct ax_err *err)
{
    const char *name = words_next(w), *plain, *container;
    int64_t batch = 1;
    struct knobs knobs;
    struct kernel *k = NULL;
    char *path;
    ax_status st;

    if (!name)
        return ax_fail(err, AX_EFORMAT, "wants a model");
    AX_TRY(words_int(&batch, w, "batch", 1, 1 << 24, err));
    AX_TRY(knobs_read(&knobs, t, w, err));
    AX_TRY(words_end(w, err));
    AX_TRY(kernel_new(&k, t, err));
    path = context_path(c, name);
    if (!path)
        return ax_fail(err, AX_ENOMEM, "no memory for a path");
    st = scratch_get(&c->scratch, path, &plain, &container, err);
    free(path);
    if (st != AX_OK)
        return st;
    AX_TRY(cmd_model_read(&k->model, container, err));
    t->work = (double)batch;
    t->unit = "rows/s";
    t->scale = 1;
    return kernel_plan(k, &knobs, batch, err);
}
