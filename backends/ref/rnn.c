/* Recurrent layers: LSTM, GRU, RNN. Weights and states are float32 (halves
 * are widened); gates are summed in order, input before state, biases first;
 * activation functions are evaluated in double and rounded. */
#include "ref.h"

#include <math.h>
#include <string.h>
#include <strings.h>

/* -- activation functions ------------------------------------------------ */

struct activation {
    const char *name;
    double (*f)(double x, double alpha, double beta);
    float alpha, beta; /* when none are given */
};

/* clang-format off */
#define FN(name, expr)                                              \
    static double name(double x, double alpha, double beta)         \
    {                                                               \
        (void)alpha, (void)beta;                                    \
        return expr;                                                \
    }
FN(f_affine, alpha * x + beta)
FN(f_elu, x < 0 ? alpha * expm1(x) : x)
FN(f_hard_sigmoid, fmax(0, fmin(1, alpha * x + beta)))
FN(f_leaky, x < 0 ? alpha * x : x)
FN(f_relu, x > 0 || isnan(x) ? x : 0)
FN(f_scaled_tanh, alpha * tanh(beta * x))
FN(f_sigmoid, 1 / (1 + exp(-x)))
FN(f_softplus, x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)))
FN(f_softsign, x / (1 + fabs(x)))
FN(f_tanh, tanh(x))
FN(f_thresholded, x >= alpha ? x : 0)
/* clang-format on */

static const struct activation activations[] = {
    {"Affine", f_affine, 1, 0},
    {"Elu", f_elu, 1, 0},
    {"HardSigmoid", f_hard_sigmoid, 0.2f, 0.5f},
    {"LeakyRelu", f_leaky, 0.01f, 0},
    {"Relu", f_relu, 0, 0},
    {"ScaledTanh", f_scaled_tanh, 1, 1},
    {"Sigmoid", f_sigmoid, 0, 0},
    {"Softplus", f_softplus, 0, 0},
    {"Softsign", f_softsign, 0, 0},
    {"Tanh", f_tanh, 0, 0},
    {"ThresholdedRelu", f_thresholded, 1, 0},
};

/* -- what the three share -------------------------------------------------
 */

struct rnn;

/* One step of one sequence: gate sums in s->gates, state in h and c. */
typedef void cell_fn(const struct rnn *r, int d, float *h, float *c);

struct kind {
    int gates;
    int functions; /* a direction */
    const char *defaults[3];
    cell_fn *cell;
    bool cell_state;             /* has c besides h */
    int64_t h_in, c_in, peep_in; /* inputs; -1: none */
};

struct rnn {
    const struct kind *kind;
    int64_t steps, batch, inputs, hidden;
    int directions;
    bool reverse_first, batch_first, input_forget, linear_before_reset;
    float clip; /* 0: none */
    struct activation f[2][3];
    const float *x, *w, *r, *b, *peep;
    const int32_t *lengths;
    float *gates, *state_gates; /* [gates * hidden] */
    float *h, *c, *tmp;         /* [hidden] */
    float *y;                   /* [steps, directions, batch, hidden] */
};

static float act(const struct activation *f, float x)
{
    return (float)f->f((double)x, (double)f->alpha, (double)f->beta);
}

static float clipped(const struct rnn *r, float x)
{
    if (r->clip <= 0)
        return x;
    return x < -r->clip ? -r->clip : x > r->clip ? r->clip : x;
}

/* out[i] += sum of m(i, k) v(k), i from 0 to n. */
static void multiply(float *out, const float *m, const float *v, int64_t n,
                     int64_t k)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < k; j++)
            out[i] += m[i * k + j] * v[j];
}

/* Bias of gate G: half 0 belongs to the input, half 1 to the state. */
static const float *bias(const struct rnn *r, int d, int half, int gate)
{
    int64_t n = r->kind->gates;

    return r->b ? r->b + ((d * 2 + half) * n + gate) * r->hidden : NULL;
}

/* -- cells ----------------------------------------------------------------
 */

/* Gates i o f c. */
static void lstm_cell(const struct rnn *r, int d, float *h, float *c)
{
    const struct activation *f = r->f[d];
    const float *p = r->peep ? r->peep + d * 3 * r->hidden : NULL;
    const float *g = r->gates;
    int64_t n = r->hidden;

    for (int64_t k = 0; k < n; k++) {
        float in = g[k] + r->state_gates[k] + (p ? p[k] * c[k] : 0);
        float forget = g[2 * n + k] + r->state_gates[2 * n + k] +
                       (p ? p[2 * n + k] * c[k] : 0);
        float cell = g[3 * n + k] + r->state_gates[3 * n + k];
        float out;

        in = act(&f[0], clipped(r, in));
        forget = r->input_forget ? 1 - in : act(&f[0], clipped(r, forget));
        c[k] = forget * c[k] + in * act(&f[1], clipped(r, cell));
        out = g[n + k] + r->state_gates[n + k] + (p ? p[n + k] * c[k] : 0);
        h[k] = act(&f[0], clipped(r, out)) * act(&f[2], c[k]);
    }
}

/* Gates z r h. */
static void gru_cell(const struct rnn *r, int d, float *h, float *c)
{
    const struct activation *f = r->f[d];
    const float *rw = r->r + (d * 3 + 2) * r->hidden * r->hidden;
    const float *rb = bias(r, d, 1, 2);
    int64_t n = r->hidden;
    float *reset = c; /* a GRU has no cell: its memory is scratch */

    for (int64_t k = 0; k < n; k++)
        reset[k] = act(&f[0],
                       clipped(r, r->gates[n + k] + r->state_gates[n + k]));
    if (!r->linear_before_reset) {
        for (int64_t k = 0; k < n; k++) {
            r->tmp[k] = reset[k] * h[k];
            r->state_gates[2 * n + k] = rb ? rb[k] : 0;
        }
        multiply(r->state_gates + 2 * n, rw, r->tmp, n, n);
    }
    for (int64_t k = 0; k < n; k++) {
        float from = r->state_gates[2 * n + k];
        float z = act(&f[0], clipped(r, r->gates[k] + r->state_gates[k]));

        from = r->linear_before_reset ? reset[k] * from : from;
        h[k] = (1 - z) * act(&f[1], clipped(r, r->gates[2 * n + k] + from)) +
               z * h[k];
    }
}

static void rnn_cell(const struct rnn *r, int d, float *h, float *c)
{
    (void)c;
    for (int64_t k = 0; k < r->hidden; k++)
        h[k] = act(&r->f[d][0], clipped(r, r->gates[k] + r->state_gates[k]));
}

/* -- running ------------------------------------------------------------- */

static void gate_sums(const struct rnn *r, int d, const float *x,
                      const float *h)
{
    int64_t n = r->kind->gates * r->hidden;

    for (int half = 0; half < 2; half++) {
        const float *b = bias(r, d, half, 0);
        float *to = half ? r->state_gates : r->gates;

        for (int64_t k = 0; k < n; k++)
            to[k] = b ? b[k] : 0;
    }
    multiply(r->gates, r->w + d * n * r->inputs, x, n, r->inputs);
    multiply(r->state_gates, r->r + d * n * r->hidden, h, n, r->hidden);
}

/* One sequence in one direction; h and c hold the state. */
static void sequence(const struct rnn *r, int d, int64_t b)
{
    bool reverse = d == 1 || r->reverse_first;
    int64_t length = r->lengths ? r->lengths[b] : r->steps;

    for (int64_t k = 0; k < length; k++) {
        int64_t t = reverse ? length - 1 - k : k;
        int64_t at = r->batch_first ? b * r->steps + t : t * r->batch + b;

        gate_sums(r, d, r->x + at * r->inputs, r->h);
        r->kind->cell(r, d, r->h, r->c);
        if (r->y)
            memcpy(r->y +
                       ((t * r->directions + d) * r->batch + b) * r->hidden,
                   r->h, (size_t)r->hidden * sizeof(float));
    }
}

/* -- reading the node ------------------------------------------------------
 */

static ax_status one_activation(struct activation *f, const char *name,
                                struct ax_err *err)
{
    for (size_t i = 0; i < sizeof activations / sizeof activations[0]; i++)
        if (strcasecmp(activations[i].name, name) == 0) {
            *f = activations[i];
            return AX_OK;
        }
    return ax_fail(err, AX_EUNSUPPORTED, "activation '%.40s'", name);
}

/* Functions, and their parameters in the order of those that take any. */
static ax_status read_activations(struct rnn *r, const struct ax_node *node,
                                  struct ax_err *err)
{
    const struct ax_attr *names = ax_node_attr(node, "activations");
    const struct ax_attr *alpha = ax_node_attr(node, "activation_alpha");
    const struct ax_attr *beta = ax_node_attr(node, "activation_beta");
    size_t n = (size_t)r->kind->functions, ia = 0, ib = 0;

    if (names && (names->kind != AX_ATTR_STRINGS ||
                  names->n != n * (size_t)r->directions))
        return ax_fail(err, AX_EFORMAT, "%zu activations for %d directions",
                       names->n, r->directions);
    for (size_t i = 0; i < n * (size_t)r->directions; i++) {
        struct activation *f = &r->f[i / n][i % n];

        AX_TRY(one_activation(
            f, names ? names->strings[i] : r->kind->defaults[i % n], err));
        if (alpha && ia < alpha->n && f->alpha != 0)
            f->alpha = alpha->floats[ia++];
        if (beta && ib < beta->n &&
            (f->f == f_affine || f->f == f_hard_sigmoid ||
             f->f == f_scaled_tanh))
            f->beta = beta->floats[ib++];
    }
    return AX_OK;
}

static ax_status read_direction(struct rnn *r, const struct ax_node *node,
                                struct ax_err *err)
{
    const char *way = ax_node_string(node, "direction", "forward");

    r->directions = strcmp(way, "bidirectional") == 0 ? 2 : 1;
    r->reverse_first = strcmp(way, "reverse") == 0;
    if (r->directions == 1 && !r->reverse_first && strcmp(way, "forward"))
        return ax_fail(err, AX_EUNSUPPORTED, "direction '%.40s'", way);
    r->batch_first = ax_node_int(node, "layout", 0) != 0;
    r->input_forget = ax_node_int(node, "input_forget", 0) != 0;
    r->linear_before_reset = ax_node_int(node, "linear_before_reset", 0) != 0;
    r->clip = ax_node_float(node, "clip", 0);
    return read_activations(r, node, err);
}

/* Input I is absent or has this shape. */
static ax_status want_shape(const struct ax_call *c, int64_t i, int rank,
                            const int64_t *dims, struct ax_err *err)
{
    char want[160], has[160];
    const struct ax_tensor *t;

    if (i < 0 || !ax_call_has(c, (uint32_t)i))
        return AX_OK;
    t = c->in[i];
    if (t->rank == rank &&
        !memcmp(t->dims, dims, (size_t)rank * sizeof *dims))
        return AX_OK;
    return ax_fail(
        err, AX_ESHAPE, "input %lld wants %s, has %s", (long long)i,
        ax_shape_text(want, sizeof want, t->dtype, rank, dims),
        ax_shape_text(has, sizeof has, t->dtype, t->rank, t->dims));
}

static ax_status read_shapes(struct rnn *r, const struct ax_call *c,
                             struct ax_err *err)
{
    const struct ax_tensor *x = c->in[0], *w = c->in[1];
    int64_t g = r->kind->gates, d = r->directions, n;
    int64_t state[3];

    r->steps = x->dims[r->batch_first];
    r->batch = x->dims[!r->batch_first];
    r->inputs = x->dims[2];
    r->hidden = n = w->dims[1] / g;
    if (n < 1 || n * g != w->dims[1] ||
        ax_node_int(c->node, "hidden_size", n) != n)
        return ax_fail(err, AX_ESHAPE,
                       "%lld rows of weights for %lld gates of %lld",
                       (long long)w->dims[1], (long long)g,
                       (long long)ax_node_int(c->node, "hidden_size", n));
    state[r->batch_first] = d;
    state[!r->batch_first] = r->batch;
    state[2] = n;
    AX_TRY(want_shape(c, 1, 3, (int64_t[]){d, g * n, r->inputs}, err));
    AX_TRY(want_shape(c, 2, 3, (int64_t[]){d, g * n, n}, err));
    AX_TRY(want_shape(c, 3, 2, (int64_t[]){d, 2 * g * n}, err));
    AX_TRY(want_shape(c, 4, 1, (int64_t[]){r->batch}, err));
    AX_TRY(want_shape(c, r->kind->h_in, 3, state, err));
    AX_TRY(want_shape(c, r->kind->c_in, 3, state, err));
    return want_shape(c, r->kind->peep_in, 2, (int64_t[]){d, 3 * n}, err);
}

static ax_status read_lengths(struct rnn *r, const struct ax_call *c,
                              struct ax_err *err)
{
    if (!ax_call_has(c, 4))
        return AX_OK;
    AX_TRY(ref_want(c, 4, BIT(AX_I32), err));
    r->lengths = c->in[4]->data;
    for (int64_t b = 0; b < r->batch; b++)
        if (r->lengths[b] < 0 || r->lengths[b] > r->steps)
            return ax_fail(err, AX_ESHAPE,
                           "sequence %lld has length %d of "
                           "%lld",
                           (long long)b, r->lengths[b], (long long)r->steps);
    return AX_OK;
}

static ax_status read_node(struct rnn *r, struct ax_call *c,
                           struct ax_err *err)
{
    uint32_t halves = BIT(AX_F16) | BIT(AX_BF16) | BIT(AX_F32);

    for (uint32_t i = 0; i < 3; i++) {
        AX_TRY(ref_want(c, i, halves, err));
        AX_TRY(ref_want_rank(c, i, 3, 3, err));
    }
    for (uint32_t i = 1; i < c->node->n_in; i++)
        if (i != 4 && ax_call_has(c, i))
            AX_TRY(ref_same_dtype(c, 0, i, err));
    AX_TRY(read_direction(r, c->node, err));
    AX_TRY(read_shapes(r, c, err));
    AX_TRY(read_lengths(r, c, err));
    AX_TRY(ref_f32(&r->x, c, 0, err));
    AX_TRY(ref_f32(&r->w, c, 1, err));
    AX_TRY(ref_f32(&r->r, c, 2, err));
    AX_TRY(ref_f32(&r->b, c, 3, err));
    if (r->kind->peep_in >= 0)
        AX_TRY(ref_f32(&r->peep, c, (uint32_t)r->kind->peep_in, err));
    return AX_OK;
}

static ax_status floats(float **out, struct ax_call *c, int64_t n,
                        struct ax_err *err)
{
    void *p;

    AX_TRY(ax_call_scratch(c, &p, (size_t)n * sizeof(float), err));
    memset(p, 0, (size_t)n * sizeof(float));
    *out = p;
    return AX_OK;
}

/* -- outputs --------------------------------------------------------------
 */

/* Where a state of direction D and sequence B lies. */
static int64_t state_at(const struct rnn *r, int d, int64_t b)
{
    return (r->batch_first ? b * r->directions + d : d * r->batch + b) *
           r->hidden;
}

static ax_status make_outputs(struct rnn *r, struct ax_call *c,
                              float *state[2], struct ax_err *err)
{
    int64_t d = r->directions, n = r->hidden, y[4], s[3];

    y[r->batch_first] = r->steps;
    y[!r->batch_first] = r->batch;
    if (!r->batch_first) {
        y[1] = d;
        y[2] = r->batch;
    } else {
        y[2] = d;
    }
    y[3] = n;
    s[r->batch_first] = d;
    s[!r->batch_first] = r->batch;
    s[2] = n;
    if (ax_call_wants(c, 0)) {
        AX_TRY(ax_call_out(c, 0, c->in[0]->dtype, 4, y, err));
        AX_TRY(floats(&r->y, c, r->steps * d * r->batch * n, err));
    }
    for (uint32_t k = 0; k < 2; k++) {
        state[k] = NULL;
        if (ax_call_wants(c, 1 + k)) {
            AX_TRY(ax_call_out(c, 1 + k, c->in[0]->dtype, 3, s, err));
            AX_TRY(ref_f32_out(&state[k], c, 1 + k, err));
        }
    }
    return AX_OK;
}

/* y is [steps, directions, batch, hidden]; with the batch first it goes out
 * as [batch, steps, directions, hidden]. */
static void give_y(const struct rnn *r, struct ax_call *c)
{
    int64_t d = r->directions, n = r->hidden, rows = r->steps * d * r->batch;
    ax_dtype t = c->out[0]->dtype;

    for (int64_t i = 0; i < rows; i++) {
        int64_t b = i % r->batch, td = i / r->batch;
        int64_t to = r->batch_first ? b * r->steps * d + td : i;

        ax_cast(t,
                (char *)c->out[0]->data + (size_t)(to * n) * ax_dtype_size(t),
                AX_F32, r->y + i * n, (size_t)n);
    }
}

static void load_state(float *to, const float *from, const struct rnn *r,
                       int d, int64_t b)
{
    if (from)
        memcpy(to, from + state_at(r, d, b),
               (size_t)r->hidden * sizeof(float));
    else
        memset(to, 0, (size_t)r->hidden * sizeof(float));
}

static ax_status recurrent(struct ax_call *c, struct ax_err *err)
{
    struct rnn r = {.kind = c->kernel->arg};
    const float *h0, *c0 = NULL;
    float *state[2];

    AX_TRY(read_node(&r, c, err));
    AX_TRY(ref_f32(&h0, c, (uint32_t)r.kind->h_in, err));
    if (r.kind->c_in >= 0)
        AX_TRY(ref_f32(&c0, c, (uint32_t)r.kind->c_in, err));
    AX_TRY(floats(&r.gates, c, r.kind->gates * r.hidden, err));
    AX_TRY(floats(&r.state_gates, c, r.kind->gates * r.hidden, err));
    AX_TRY(floats(&r.h, c, r.hidden, err));
    AX_TRY(floats(&r.c, c, r.hidden, err));
    AX_TRY(floats(&r.tmp, c, r.hidden, err));
    AX_TRY(make_outputs(&r, c, state, err));
    for (int d = 0; d < r.directions; d++)
        for (int64_t b = 0; b < r.batch; b++) {
            load_state(r.h, h0, &r, d, b);
            load_state(r.c, c0, &r, d, b);
            sequence(&r, d, b);
            for (int k = 0; k < 2; k++)
                if (state[k])
                    memcpy(state[k] + state_at(&r, d, b), k ? r.c : r.h,
                           (size_t)r.hidden * sizeof(float));
        }
    for (uint32_t k = 0; k < 2; k++)
        if (state[k])
            ref_f32_done(c, 1 + k, state[k]);
    if (r.y)
        give_y(&r, c);
    return AX_OK;
}

static const struct kind lstm = {
    4, 3, {"Sigmoid", "Tanh", "Tanh"}, lstm_cell, true, 5, 6, 7};
static const struct kind gru = {
    3, 2, {"Sigmoid", "Tanh", NULL}, gru_cell, false, 5, -1, -1};
static const struct kind rnn = {
    1, 1, {"Tanh", NULL, NULL}, rnn_cell, false, 5, -1, -1};

const struct ax_kernel ref_rnn[] = {
    {"GRU", recurrent, NULL, &gru},
    {"LSTM", recurrent, NULL, &lstm},
    {"RNN", recurrent, NULL, &rnn},
    {0},
};
