/* Random numbers: Bernoulli, Dropout in training, RandomNormal,
 * RandomNormalLike, RandomUniform, RandomUniformLike. A node has a sequence
 * of its own, which goes on from evaluation to evaluation and starts again
 * with the plan: what a model computes is the same each time that it is
 * loaded. Sequences follow from the seed, or, where there is none, from the
 * node's name and place. */
#include "ref.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct sequence {
    uint64_t state;
};

/* SplitMix64 of Steele, Lea and Flood, 2014. */
static uint64_t next(struct sequence *s)
{
    uint64_t z = s->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* In [0, 1). */
static double uniform(struct sequence *s)
{
    return (double)(next(s) >> 11) * 0x1p-53;
}

/* By Box and Muller; of the two numbers one. */
static double normal(struct sequence *s)
{
    double r = sqrt(-2 * log(1 - uniform(s)));

    return r * cos(6.283185307179586 * uniform(s));
}

static uint64_t start(const struct ax_node *n)
{
    const struct ax_attr *seed = ax_node_attr(n, "seed");
    struct sequence s = {n->out[0]};
    uint32_t bits;

    if (seed) {
        memcpy(&bits, &seed->f, sizeof bits);
        s.state = bits;
        return next(&s);
    }
    for (const char *p = n->name; *p; p++)
        s.state = next(&s) ^ (unsigned char)*p;
    return next(&s);
}

static ax_status sequence(struct sequence **out, struct ax_call *c,
                          struct ax_err *err)
{
    if (!*c->state) {
        struct sequence *s = malloc(sizeof *s);

        if (!s)
            return ax_fail(err, AX_ENOMEM, "no memory for random numbers");
        s->state = start(c->node);
        *c->state = s;
    }
    *out = *c->state;
    return AX_OK;
}

/* The type that attribute dtype names. */
static ax_status type_of(ax_dtype *out, const struct ax_call *c,
                         ax_dtype dflt, uint32_t mask, struct ax_err *err)
{
    int64_t t = ax_node_int(c->node, "dtype", (int64_t)dflt);

    if (t < 1 || t > 31 || !ax_dtype_size((ax_dtype)t) || !(mask & BIT(t)))
        return ax_fail(err, AX_EUNSUPPORTED, "dtype %lld", (long long)t);
    *out = (ax_dtype)t;
    return AX_OK;
}

static ax_status bernoulli(struct ax_call *c, struct ax_err *err)
{
    const struct ax_tensor *x;
    ax_dtype type = AX_F32;
    struct sequence *s;

    AX_TRY(ref_want(c, 0, REALS, err));
    x = c->in[0];
    AX_TRY(type_of(&type, c, x->dtype, ALL_DTYPES, err));
    AX_TRY(sequence(&s, c, err));
    for (size_t i = 0; i < ax_tensor_count(x); i++)
        if (!(ref_number(x, i) >= 0 && ref_number(x, i) <= 1))
            return ax_fail(err, AX_EFORMAT, "probability %zu is %g", i,
                           ref_number(x, i));
    AX_TRY(ax_call_out(c, 0, type, x->rank, x->dims, err));
    for (size_t i = 0; i < ax_tensor_count(x); i++)
        ref_put(c->out[0], i, uniform(s) < ref_number(x, i) ? 1 : 0);
    return AX_OK;
}

/* kernel->arg is "normal" or "uniform"; the shape is that of an attribute, or
 * of the input. */
static ax_status numbers(struct ax_call *c, struct ax_err *err)
{
    const struct ax_attr *shape = ref_attr(c->node, "shape", AX_ATTR_INTS);
    bool is_normal = strcmp(c->kernel->arg, "normal") == 0;
    double a = (double)ax_node_float(c->node, is_normal ? "mean" : "low", 0);
    double b = (double)ax_node_float(c->node, is_normal ? "scale" : "high",
                                     1);
    int64_t dims[AX_RANK_MAX] = {0};
    ax_dtype type = AX_F32;
    struct sequence *s;
    int rank;

    if (c->node->n_in) {
        AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
        rank = c->in[0]->rank;
        memcpy(dims, c->in[0]->dims, sizeof dims);
        type = c->in[0]->dtype;
    } else {
        if (!shape || shape->n > AX_RANK_MAX)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "a shape of %zu dimensions, at most %d are "
                           "supported",
                           shape ? shape->n : 0, AX_RANK_MAX);
        rank = (int)shape->n;
        if (rank)
            memcpy(dims, shape->ints, shape->n * sizeof *dims);
    }
    AX_TRY(type_of(&type, c, type, REALS, err));
    AX_TRY(sequence(&s, c, err));
    AX_TRY(ax_call_out(c, 0, type, rank, dims, err));
    for (size_t i = 0; i < ax_tensor_count(c->out[0]); i++)
        ref_put(c->out[0], i,
                is_normal ? a + b * normal(s) : a + (b - a) * uniform(s));
    return AX_OK;
}

/* -- Dropout --------------------------------------------------------------
 */

/* MT19937 of Matsumoto and Nishimura, 1998, as numpy seeds it with a whole
 * number: ONNX leaves the numbers open, and its tests have numpy's. */
enum { MT_N = 624, MT_M = 397 };

struct mt {
    uint32_t v[MT_N];
    int at;
};

static void mt_seed(struct mt *g, uint32_t seed)
{
    g->v[0] = seed;
    for (uint32_t i = 1; i < MT_N; i++)
        g->v[i] = UINT32_C(1812433253) * (g->v[i - 1] ^ g->v[i - 1] >> 30) +
                  i;
    g->at = MT_N;
}

static uint32_t mt_next(struct mt *g)
{
    uint32_t y;

    for (int i = 0; g->at == MT_N && i < MT_N; i++) {
        y = (g->v[i] & UINT32_C(0x80000000)) |
            (g->v[(i + 1) % MT_N] & UINT32_C(0x7fffffff));
        g->v[i] = g->v[(i + MT_M) % MT_N] ^ y >> 1 ^
                  (y & 1 ? UINT32_C(0x9908b0df) : 0);
    }
    g->at = g->at == MT_N ? 0 : g->at;
    y = g->v[g->at++];
    y ^= y >> 11;
    y ^= y << 7 & UINT32_C(0x9d2c5680);
    y ^= y << 15 & UINT32_C(0xefc60000);
    return y ^ y >> 18;
}

/* In [0, 1), of 53 bits. */
static double mt_uniform(struct mt *g)
{
    double high = mt_next(g) >> 5;

    return (high * 0x1p26 + (mt_next(g) >> 6)) * 0x1p-53;
}

/* Elements are kept with probability 1 - ratio, and made larger by as much.
 * The same mask each time: a seed that is not given follows from the node. */
static ax_status drop(struct ax_call *c, double ratio, struct ax_err *err)
{
    const struct ax_attr *seed = ref_attr(c->node, "seed", AX_ATTR_INT);
    const struct ax_tensor *x;
    struct mt *g;
    void *p;

    AX_TRY(ref_want(c, 0, REALS, err));
    if (!(ratio >= 0 && ratio < 1))
        return ax_fail(err, AX_ESHAPE, "ratio %g, wants 0 to less than 1",
                       ratio);
    x = c->in[0];
    AX_TRY(ax_call_scratch(c, &p, sizeof *g, err));
    g = p;
    mt_seed(g, (uint32_t)(seed ? (uint64_t)seed->i : start(c->node)));
    AX_TRY(ax_call_out(c, 0, x->dtype, x->rank, x->dims, err));
    if (ax_call_wants(c, 1))
        AX_TRY(ax_call_out(c, 1, AX_BOOL, x->rank, x->dims, err));
    for (size_t i = 0; i < ax_tensor_count(x); i++) {
        bool keep = mt_uniform(g) >= ratio;

        ref_put(c->out[0], i, keep ? ref_number(x, i) / (1 - ratio) : 0);
        if (ax_call_wants(c, 1))
            ((uint8_t *)c->out[1]->data)[i] = keep;
    }
    return AX_OK;
}

/* In inference the input, and a mask that is all true. */
static ax_status dropout(struct ax_call *c, struct ax_err *err)
{
    double training, ratio;

    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    AX_TRY(ref_scalar(&training, c, 2, 0, err));
    AX_TRY(ref_scalar(&ratio, c, 1, 0.5, err));
    if (training != 0 && ratio != 0)
        return drop(c, ratio, err);
    if (ax_call_wants(c, 1)) {
        AX_TRY(
            ax_call_out(c, 1, AX_BOOL, c->in[0]->rank, c->in[0]->dims, err));
        memset(c->out[1]->data, 1, ax_tensor_count(c->out[1]));
    }
    return ax_call_view(c, 0, 0, c->in[0]->rank, c->in[0]->dims, err);
}

const struct ax_kernel ref_random[] = {
    {"Bernoulli", bernoulli, free, NULL},
    {"Dropout", dropout, NULL, NULL},
    {"RandomNormal", numbers, free, "normal"},
    {"RandomNormalLike", numbers, free, "normal"},
    {"RandomUniform", numbers, free, "uniform"},
    {"RandomUniformLike", numbers, free, "uniform"},
    {0},
};
