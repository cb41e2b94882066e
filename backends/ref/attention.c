/* Attention and what goes with it: Attention, LinearAttention,
 * RotaryEmbedding, CausalConvWithState. Numbers are double
 * between the inputs and the one rounding of a result, whatever
 * softmax_precision asks for. */
#include "ref.h"

#include <math.h>
#include <string.h>

/* -- heads ----------------------------------------------------------------
 */

/* A tensor [batch, heads, length, size], or packed [batch, length, heads *
 * size]. */
struct heads {
    const struct ax_tensor *t;
    int64_t batch, n, length, size;
    int64_t step[3]; /* of batch, head and place, in elements */
};

static ax_status heads_init(struct heads *h, const struct ax_call *c,
                            uint32_t i, int64_t n, struct ax_err *err)
{
    const struct ax_tensor *t;

    AX_TRY(ref_want(c, i, REALS, err));
    AX_TRY(ref_want_rank(c, i, 3, 4, err));
    t = c->in[i];
    if (t->rank == 4) {
        *h = (struct heads){.t = t,
                            .batch = t->dims[0],
                            .n = t->dims[1],
                            .length = t->dims[2],
                            .size = t->dims[3]};
        h->step[2] = h->size;
        h->step[1] = h->size * h->length;
        h->step[0] = h->step[1] * h->n;
        return AX_OK;
    }
    if (n < 1 || t->dims[2] % n)
        return ax_fail(err, AX_ESHAPE,
                       "input %u: %lld numbers are not those of %lld heads",
                       i, (long long)t->dims[2], (long long)n);
    *h = (struct heads){.t = t,
                        .batch = t->dims[0],
                        .n = n,
                        .length = t->dims[1],
                        .size = t->dims[2] / n};
    h->step[1] = h->size;
    h->step[2] = h->size * n;
    h->step[0] = h->step[2] * h->length;
    return AX_OK;
}

/* Where head H's vector at place AT begins. */
static size_t place(const struct heads *h, int64_t b, int64_t head,
                    int64_t at)
{
    return (size_t)(b * h->step[0] + head * h->step[1] + at * h->step[2]);
}

/* -- Attention ------------------------------------------------------------
 */

struct attention {
    struct heads q, k, v;
    struct heads past_k, past_v; /* t is NULL: there are none */
    const struct ax_tensor *mask, *valid;
    int64_t total; /* keys, those of the past first */
    int64_t left, right;
    double scale, cap;
    bool causal;
};

static ax_status no_fit(uint32_t i, const char *what, struct ax_err *err)
{
    return ax_fail(err, AX_ESHAPE, "input %u does not fit the %s", i, what);
}

static ax_status attention_past(struct attention *a, const struct ax_call *c,
                                struct ax_err *err)
{
    bool has = ax_call_has(c, 4);

    if (has != ax_call_has(c, 5))
        return ax_fail(err, AX_EFORMAT,
                       "past keys and past values go together");
    if (!has)
        return AX_OK;
    AX_TRY(ref_want_rank(c, 4, 4, 4, err));
    AX_TRY(ref_want_rank(c, 5, 4, 4, err));
    AX_TRY(heads_init(&a->past_k, c, 4, 0, err));
    AX_TRY(heads_init(&a->past_v, c, 5, 0, err));
    if (a->past_k.batch != a->k.batch || a->past_k.n != a->k.n ||
        a->past_k.size != a->k.size)
        return no_fit(4, "keys", err);
    if (a->past_v.batch != a->v.batch || a->past_v.n != a->v.n ||
        a->past_v.size != a->v.size || a->past_v.length != a->past_k.length)
        return no_fit(5, "values", err);
    a->total += a->past_k.length;
    return AX_OK;
}

/* A mask is broadcast to [batch, heads, queries, keys]; its last dimension
 * may be shorter than that, which forbids the keys it does not reach. */
static ax_status attention_mask(struct attention *a, const struct ax_call *c,
                                struct ax_err *err)
{
    const int64_t want[] = {a->q.batch, a->q.n, a->q.length};

    if (ax_call_has(c, 3)) {
        AX_TRY(ref_want(c, 3, REALS | BIT(AX_BOOL), err));
        AX_TRY(ref_want_rank(c, 3, 1, 4, err));
        a->mask = c->in[3];
        for (int d = 0; d < a->mask->rank - 1; d++) {
            int64_t n = a->mask->dims[d];

            if (n != 1 && n != want[d + 4 - a->mask->rank])
                return no_fit(3, "queries", err);
        }
        if (a->mask->dims[a->mask->rank - 1] > a->total)
            return no_fit(3, "keys", err);
    }
    if (!ax_call_has(c, 6))
        return AX_OK;
    AX_TRY(ref_want(c, 6, BIT(AX_I64) | BIT(AX_I32), err));
    a->valid = c->in[6];
    if (a->past_k.t)
        return ax_fail(err, AX_EFORMAT,
                       "lengths of a cache outside go with no past keys");
    if (ax_tensor_count(a->valid) != (size_t)a->q.batch)
        return no_fit(6, "batch", err);
    return AX_OK;
}

static ax_status attention_init(struct attention *a, const struct ax_call *c,
                                struct ax_err *err)
{
    const struct ax_node *n = c->node;
    const struct ax_attr *scale = ax_node_attr(n, "scale");
    int64_t q_heads = ax_node_int(n, "q_num_heads", 0);
    int64_t kv_heads = ax_node_int(n, "kv_num_heads", 0);

    *a = (struct attention){.causal = ax_node_int(n, "is_causal", 0) != 0};
    AX_TRY(heads_init(&a->q, c, 0, q_heads, err));
    AX_TRY(heads_init(&a->k, c, 1, kv_heads, err));
    AX_TRY(heads_init(&a->v, c, 2, kv_heads, err));
    if (a->k.batch != a->q.batch || a->k.size != a->q.size || a->k.n < 1 ||
        a->q.n % a->k.n)
        return no_fit(1, "queries", err);
    if (a->v.batch != a->k.batch || a->v.n != a->k.n ||
        a->v.length != a->k.length)
        return no_fit(2, "keys", err);
    a->total = a->k.length;
    AX_TRY(attention_past(a, c, err));
    AX_TRY(attention_mask(a, c, err));
    a->scale = scale ? (double)scale->f : 1 / sqrt((double)a->q.size);
    a->cap = (double)ax_node_float(n, "softcap", 0);
    a->left = ax_node_int(n, "left_window_size", -1);
    a->right = ax_node_int(n, "right_window_size", -1);
    return AX_OK;
}

/* Element D of key or value number AT, that of the past first. */
static double cached(const struct heads *past, const struct heads *now,
                     int64_t b, int64_t head, int64_t at, int64_t d)
{
    int64_t n = past->t ? past->length : 0;
    const struct heads *h = at < n ? past : now;

    return ref_number(h->t,
                      place(h, b, head, at < n ? at : at - n) + (size_t)d);
}

/* What is added to the score of key J for query I: 0, -infinity, or what the
 * mask says. */
static double bias(const struct attention *a, int64_t b, int64_t head,
                   int64_t i, int64_t j)
{
    const struct ax_tensor *m = a->mask;
    const int64_t at[] = {b, head, i, j};
    int64_t valid = a->valid ? ref_integer(a->valid, (size_t)b) : a->total;
    int64_t p = i + (a->past_k.t ? a->past_k.length
                     : a->valid  ? valid - a->q.length
                                 : 0);
    size_t k = 0;

    if (j >= valid || (a->causal && j > p) ||
        (a->left >= 0 && p - j > a->left) ||
        (a->right >= 0 && j - p > a->right))
        return -HUGE_VAL;
    if (!m)
        return 0;
    if (j >= m->dims[m->rank - 1])
        return -HUGE_VAL;
    for (int d = 0; d < m->rank; d++)
        k = k * (size_t)m->dims[d] +
            (m->dims[d] == 1 ? 0 : (size_t)at[d + 4 - m->rank]);
    if (m->dtype == AX_BOOL)
        return ref_number(m, k) != 0 ? 0 : -HUGE_VAL;
    return ref_number(m, k);
}

static double key_product(const struct attention *a, int64_t b, int64_t head,
                          int64_t i, int64_t j)
{
    size_t q = place(&a->q, b, head, i);
    int64_t kv = head / (a->q.n / a->k.n);
    double sum = 0;

    for (int64_t d = 0; d < a->q.size; d++)
        sum += ref_number(a->q.t, q + (size_t)d) *
               cached(&a->past_k, &a->k, b, kv, j, d);
    return sum * a->scale;
}

/* Softmax of n scores; without any that is over -infinity, zeros. */
static void soften(double *x, int64_t n)
{
    double top = -HUGE_VAL, sum = 0;

    for (int64_t j = 0; j < n; j++)
        top = fmax(top, x[j]);
    for (int64_t j = 0; j < n; j++) {
        x[j] = top == -HUGE_VAL ? 0 : exp(x[j] - top);
        sum += x[j];
    }
    for (int64_t j = 0; j < n && sum != 0; j++)
        x[j] /= sum;
}

/* Weights of all keys for one query; SHOWN (or NULL) gets what output 3
 * wants to see of them. */
static void weigh(double *x, double *shown, const struct attention *a,
                  int64_t mode, int64_t b, int64_t head, int64_t i)
{
    bool any = false;

    for (int64_t j = 0; j < a->total; j++) {
        double add = bias(a, b, head, i, j);
        double s = key_product(a, b, head, i, j);
        double capped = a->cap > 0 ? a->cap * tanh(s / a->cap) : s;

        x[j] = add == -HUGE_VAL ? add : capped + add;
        any = any || add != -HUGE_VAL;
        if (shown)
            shown[j] = mode == 0 ? s : mode == 1 ? capped : x[j];
    }
    if (any)
        soften(x, a->total);
    else
        memset(x, 0, (size_t)a->total * sizeof *x);
    if (shown && mode == 3)
        memcpy(shown, x, (size_t)a->total * sizeof *x);
}

/* Keys or values with those of the past in front. */
static ax_status present(struct ax_call *c, uint32_t o,
                         const struct heads *past, const struct heads *now,
                         int64_t total, struct ax_err *err)
{
    const int64_t dims[] = {now->batch, now->n, total, now->size};
    size_t k = 0;

    if (!ax_call_wants(c, o))
        return AX_OK;
    AX_TRY(ax_call_out(c, o, now->t->dtype, 4, dims, err));
    for (int64_t b = 0; b < now->batch; b++)
        for (int64_t h = 0; h < now->n; h++)
            for (int64_t t = 0; t < total; t++)
                for (int64_t d = 0; d < now->size; d++)
                    ref_put(c->out[o], k++, cached(past, now, b, h, t, d));
    return AX_OK;
}

static ax_status attention_outputs(struct ax_call *c,
                                   const struct attention *a,
                                   struct ax_err *err)
{
    const int64_t packed[] = {a->q.batch, a->q.length, a->q.n * a->v.size};
    const int64_t apart[] = {a->q.batch, a->q.n, a->q.length, a->v.size};
    const int64_t shown[] = {a->q.batch, a->q.n, a->q.length, a->total};
    int rank = a->q.t->rank;

    AX_TRY(ax_call_out(c, 0, a->q.t->dtype, rank, rank == 3 ? packed : apart,
                       err));
    AX_TRY(present(c, 1, &a->past_k, &a->k, a->total, err));
    AX_TRY(present(c, 2, &a->past_v, &a->v, a->total, err));
    return ax_call_wants(c, 3)
               ? ax_call_out(c, 3, a->q.t->dtype, 4, shown, err)
               : AX_OK;
}

static void attend(struct ax_call *c, const struct attention *a, double *x,
                   int64_t mode, int64_t b, int64_t h, int64_t i)
{
    double *shown = ax_call_wants(c, 3) ? x + a->total : NULL;
    size_t row = (size_t)((b * a->q.n + h) * a->q.length + i);
    size_t to = a->q.t->rank == 4
                    ? row
                    : (size_t)((b * a->q.length + i) * a->q.n + h);

    weigh(x, shown, a, mode, b, h, i);
    for (int64_t j = 0; shown && j < a->total; j++)
        ref_put(c->out[3], row * (size_t)a->total + (size_t)j, shown[j]);
    for (int64_t d = 0; d < a->v.size; d++) {
        double sum = 0;

        for (int64_t j = 0; j < a->total; j++)
            if (x[j] != 0)
                sum += x[j] * cached(&a->past_v, &a->v, b,
                                     h / (a->q.n / a->k.n), j, d);
        ref_put(c->out[0], to * (size_t)a->v.size + (size_t)d, sum);
    }
}

static ax_status attention(struct ax_call *c, struct ax_err *err)
{
    int64_t mode = ax_node_int(c->node, "qk_matmul_output_mode", 0);
    struct attention a;
    void *x;

    if (mode < 0 || mode > 3)
        return ax_fail(err, AX_EFORMAT, "qk_matmul_output_mode is %lld",
                       (long long)mode);
    AX_TRY(attention_init(&a, c, err));
    AX_TRY(attention_outputs(c, &a, err));
    AX_TRY(ax_call_scratch(c, &x, 2 * (size_t)a.total * sizeof(double), err));
    for (int64_t b = 0; b < a.q.batch; b++)
        for (int64_t h = 0; h < a.q.n; h++)
            for (int64_t i = 0; i < a.q.length; i++)
                attend(c, &a, x, mode, b, h, i);
    return AX_OK;
}

/* -- LinearAttention ------------------------------------------------------
 */

struct linear {
    struct heads q, k, v;
    const struct ax_tensor *decay, *beta; /* or NULL */
    bool delta;
    double scale;
};

static ax_status linear_init(struct linear *a, const struct ax_call *c,
                             struct ax_err *err)
{
    const char *rule = ax_node_string(c->node, "update_rule", "gated_delta");
    bool gated = strncmp(rule, "gated", 5) == 0;
    int64_t heads = ax_node_int(c->node, "kv_num_heads", 0);

    *a = (struct linear){.delta = strstr(rule, "delta") != NULL};
    for (uint32_t i = 0; i < 3; i++)
        AX_TRY(ref_want_rank(c, i, 3, 3, err));
    AX_TRY(
        heads_init(&a->q, c, 0, ax_node_int(c->node, "q_num_heads", 0), err));
    AX_TRY(heads_init(&a->k, c, 1, heads, err));
    AX_TRY(heads_init(&a->v, c, 2, heads, err));
    if (strcmp(rule, "linear") != 0 && strcmp(rule, "gated") != 0 &&
        strcmp(rule, "delta") != 0 && strcmp(rule, "gated_delta") != 0)
        return ax_fail(err, AX_EUNSUPPORTED, "update_rule '%.80s'", rule);
    if (gated != ax_call_has(c, 4) || a->delta != ax_call_has(c, 5))
        return ax_fail(
            err, AX_EFORMAT,
            "decay goes with rules that are gated, beta with delta "
            "rules");
    if (a->k.batch != a->q.batch || a->k.length != a->q.length ||
        a->k.size != a->q.size || a->q.n % a->k.n)
        return no_fit(1, "queries", err);
    if (a->v.batch != a->k.batch || a->v.length != a->k.length)
        return no_fit(2, "keys", err);
    for (uint32_t i = 4; i < 6; i++)
        if (ax_call_has(c, i)) {
            int64_t n;

            AX_TRY(ref_want(c, i, REALS, err));
            AX_TRY(ref_want_rank(c, i, 3, 3, err));
            n = c->in[i]->dims[2];
            if (c->in[i]->dims[0] != a->k.batch ||
                c->in[i]->dims[1] != a->k.length ||
                (n != heads && n != (i == 4 ? heads * a->k.size : 1)))
                return no_fit(i, "keys", err);
        }
    a->decay = gated ? c->in[4] : NULL;
    a->beta = a->delta ? c->in[5] : NULL;
    a->scale = (double)ax_node_float(c->node, "scale", 0);
    if (a->scale == 0)
        a->scale = 1 / sqrt((double)a->k.size);
    return AX_OK;
}

/* The element of decay or beta at place T for head H; D of a vector of SIZE,
 * where it has one for each. */
static double gate(const struct ax_tensor *x, const struct linear *a,
                   int64_t b, int64_t t, int64_t h, int64_t d)
{
    int64_t n = x->dims[2], i = n == 1        ? 0
                                : n == a->k.n ? h
                                              : h * a->k.size + d;

    return ref_number(x, (size_t)((b * a->k.length + t) * n + i));
}

/* One step of the state [size of k, size of v] of a head. */
static void step(double *s, const struct linear *a, int64_t b, int64_t h,
                 int64_t t)
{
    size_t k = place(&a->k, b, h, t), v = place(&a->v, b, h, t);
    double rate = a->beta ? gate(a->beta, a, b, t, h, 0) : 1;

    for (int64_t d = 0; a->decay && d < a->k.size; d++) {
        double f = exp(gate(a->decay, a, b, t, h, d));

        for (int64_t e = 0; e < a->v.size; e++)
            s[d * a->v.size + e] *= f;
    }
    for (int64_t e = 0; e < a->v.size; e++) {
        double x = ref_number(a->v.t, v + (size_t)e);

        for (int64_t d = 0; a->delta && d < a->k.size; d++)
            x -= s[d * a->v.size + e] * ref_number(a->k.t, k + (size_t)d);
        for (int64_t d = 0; d < a->k.size; d++)
            s[d * a->v.size + e] += rate * x *
                                    ref_number(a->k.t, k + (size_t)d);
    }
}

/* What the queries of the group of head H read from its state. */
static void read_state(struct ax_tensor *y, const double *s,
                       const struct linear *a, int64_t b, int64_t h,
                       int64_t t)
{
    int64_t group = a->q.n / a->k.n;

    for (int64_t g = h * group; g < (h + 1) * group; g++) {
        size_t q = place(&a->q, b, g, t);

        for (int64_t e = 0; e < a->v.size; e++) {
            double sum = 0;

            for (int64_t d = 0; d < a->k.size; d++)
                sum += s[d * a->v.size + e] *
                       ref_number(a->q.t, q + (size_t)d);
            ref_put(
                y,
                (size_t)(((b * a->q.length + t) * a->q.n + g) * a->v.size +
                         e),
                sum * a->scale);
        }
    }
}

static ax_status linear_attention(struct ax_call *c, struct ax_err *err)
{
    struct linear a;
    int64_t state[4], dims[3];
    size_t each;
    void *p;

    AX_TRY(linear_init(&a, c, err));
    memcpy(dims, (int64_t[]){a.q.batch, a.q.length, a.q.n * a.v.size},
           sizeof dims);
    memcpy(state, (int64_t[]){a.k.batch, a.k.n, a.k.size, a.v.size},
           sizeof state);
    if (ax_call_has(c, 3)) {
        AX_TRY(ref_want(c, 3, REALS, err));
        if (c->in[3]->rank != 4 ||
            memcmp(c->in[3]->dims, state, sizeof state) != 0)
            return no_fit(3, "heads", err);
    }
    AX_TRY(ax_call_out(c, 0, a.q.t->dtype, 3, dims, err));
    AX_TRY(ax_call_out(c, 1,
                       ax_call_has(c, 3) ? c->in[3]->dtype : a.q.t->dtype, 4,
                       state, err));
    each = (size_t)(a.k.size * a.v.size);
    AX_TRY(ax_call_scratch(c, &p, each * sizeof(double), err));
    for (int64_t h = 0; h < a.k.batch * a.k.n; h++) {
        double *s = p;

        memset(s, 0, each * sizeof *s);
        if (ax_call_has(c, 3))
            ax_get_f64(s, c->in[3]->dtype, c->in[3]->data, (size_t)h * each,
                       each);
        for (int64_t t = 0; t < a.k.length; t++) {
            step(s, &a, h / a.k.n, h % a.k.n, t);
            read_state(c->out[0], s, &a, h / a.k.n, h % a.k.n, t);
        }
        ax_put_f64(c->out[1]->dtype, c->out[1]->data, (size_t)h * each, s,
                   each);
    }
    return AX_OK;
}

/* -- RotaryEmbedding ------------------------------------------------------
 */

/* Row of the tables for place T of batch B. */
static ax_status table_row(size_t *out, const struct ax_call *c,
                           const struct heads *x, int64_t b, int64_t t,
                           struct ax_err *err)
{
    int64_t row = b * x->length + t;

    if (ax_call_has(c, 3)) {
        row = ref_integer(c->in[3], (size_t)row);
        if (row < 0 || row >= c->in[1]->dims[0])
            return ax_fail(err, AX_ESHAPE, "position %lld of %lld",
                           (long long)row, (long long)c->in[1]->dims[0]);
    }
    *out = (size_t)row;
    return AX_OK;
}

static ax_status rotary_tables(const struct ax_call *c, const struct heads *x,
                               int64_t half, struct ax_err *err)
{
    int rank = ax_call_has(c, 3) ? 2 : 3;

    for (uint32_t i = 1; i < 3; i++) {
        AX_TRY(ref_want(c, i, REALS, err));
        AX_TRY(ref_want_rank(c, i, rank, rank, err));
        if (c->in[i]->dims[rank - 1] != half ||
            c->in[i]->dims[0] != c->in[1]->dims[0] ||
            (rank == 3 && (c->in[i]->dims[0] != x->batch ||
                           c->in[i]->dims[1] != x->length)))
            return no_fit(i, "vectors that are turned", err);
    }
    if (rank == 3)
        return AX_OK;
    AX_TRY(ref_want(c, 3, BIT(AX_I64) | BIT(AX_I32), err));
    return ax_tensor_count(c->in[3]) == (size_t)(x->batch * x->length)
               ? AX_OK
               : no_fit(3, "input", err);
}

static void turn(struct ax_call *c, size_t at, size_t row, int64_t half,
                 bool interleaved)
{
    for (int64_t d = 0; d < half; d++) {
        size_t r = at + (size_t)(interleaved ? 2 * d : d);
        size_t i = at + (size_t)(interleaved ? 2 * d + 1 : d + half);
        size_t k = row * (size_t)half + (size_t)d;
        double cosine = ref_number(c->in[1], k);
        double sine = ref_number(c->in[2], k);
        double x = ref_number(c->in[0], r), y = ref_number(c->in[0], i);

        ref_put(c->out[0], r, cosine * x - sine * y);
        ref_put(c->out[0], i, sine * x + cosine * y);
    }
}

static ax_status rotary(struct ax_call *c, struct ax_err *err)
{
    bool interleaved = ax_node_int(c->node, "interleaved", 0) != 0;
    int64_t n = ax_node_int(c->node, "rotary_embedding_dim", 0);
    struct heads x;
    size_t row = 0;

    AX_TRY(heads_init(&x, c, 0, ax_node_int(c->node, "num_heads", 0), err));
    n = n ? n : x.size;
    if (n < 0 || n > x.size || n % 2)
        return ax_fail(err, AX_ESHAPE, "cannot turn %lld of %lld dimensions",
                       (long long)n, (long long)x.size);
    AX_TRY(rotary_tables(c, &x, n / 2, err));
    AX_TRY(ax_call_out(c, 0, x.t->dtype, x.t->rank, x.t->dims, err));
    memcpy(c->out[0]->data, x.t->data, x.t->nbytes);
    for (int64_t b = 0; b < x.batch; b++)
        for (int64_t t = 0; t < x.length; t++) {
            AX_TRY(table_row(&row, c, &x, b, t, err));
            for (int64_t h = 0; h < x.n; h++)
                turn(c, place(&x, b, h, t), row, n / 2, interleaved);
        }
    return AX_OK;
}

/* -- CausalConvWithState --------------------------------------------------
 */

static ax_status causal_init(const struct ax_call *c, struct ax_err *err)
{
    const int64_t *x, *w;

    for (uint32_t i = 0; i < 2; i++) {
        AX_TRY(ref_want(c, i, REALS, err));
        AX_TRY(ref_want_rank(c, i, 3, 3, err));
    }
    x = c->in[0]->dims;
    w = c->in[1]->dims;
    if (w[0] != x[1] || w[1] != 1 || w[2] < 1)
        return no_fit(1, "channels", err);
    if (ax_call_has(c, 2)) {
        AX_TRY(ref_want(c, 2, REALS, err));
        if (ax_tensor_count(c->in[2]) != (size_t)x[1])
            return no_fit(2, "channels", err);
    }
    if (!ax_call_has(c, 3))
        return AX_OK;
    AX_TRY(ref_want(c, 3, REALS, err));
    AX_TRY(ref_want_rank(c, 3, 3, 3, err));
    if (c->in[3]->dims[0] != x[0] || c->in[3]->dims[1] != x[1] ||
        c->in[3]->dims[2] != w[2] - 1)
        return no_fit(3, "weights", err);
    return AX_OK;
}

/* Element AT of a channel (of all batches), what came before it in front. */
static double padded(const struct ax_call *c, size_t row, int64_t at,
                     int64_t before)
{
    if (at >= before)
        return ref_number(c->in[0], row * (size_t)c->in[0]->dims[2] +
                                        (size_t)(at - before));
    return ax_call_has(c, 3)
               ? ref_number(c->in[3], row * (size_t)before + (size_t)at)
               : 0;
}

static ax_status causal_conv(struct ax_call *c, struct ax_err *err)
{
    const char *how = ax_node_string(c->node, "activation", "none");
    bool silu = strcmp(how, "silu") == 0 || strcmp(how, "swish") == 0;
    int64_t state[3], k, n;

    if (!silu && strcmp(how, "none") != 0)
        return ax_fail(err, AX_EUNSUPPORTED, "activation '%.80s'", how);
    AX_TRY(causal_init(c, err));
    k = c->in[1]->dims[2];
    n = c->in[0]->dims[2];
    memcpy(state, c->in[0]->dims, sizeof state);
    state[2] = k - 1;
    AX_TRY(ax_call_out(c, 0, c->in[0]->dtype, 3, c->in[0]->dims, err));
    AX_TRY(ax_call_out(c, 1, c->in[0]->dtype, 3, state, err));
    for (size_t row = 0; row < (size_t)(state[0] * state[1]); row++) {
        size_t ch = row % (size_t)state[1];

        for (int64_t t = 0; t < n; t++) {
            double sum = ax_call_has(c, 2) ? ref_number(c->in[2], ch) : 0;

            for (int64_t i = 0; i < k; i++)
                sum += padded(c, row, t + i, k - 1) *
                       ref_number(c->in[1], ch * (size_t)k + (size_t)i);
            sum = silu ? sum / (1 + exp(-sum)) : sum;
            ref_put(c->out[0], row * (size_t)n + (size_t)t, sum);
        }
        for (int64_t i = 0; i < k - 1; i++)
            ref_put(c->out[1], row * (size_t)(k - 1) + (size_t)i,
                    padded(c, row, n + i, k - 1));
    }
    return AX_OK;
}

const struct ax_kernel ref_attention[] = {
    {"Attention", attention, NULL, NULL},
    {"CausalConvWithState", causal_conv, NULL, NULL},
    {"LinearAttention", linear_attention, NULL, NULL},
    {"RotaryEmbedding", rotary, NULL, NULL},
    {0},
};
