/* Random numbers: Bernoulli, RandomNormal, RandomNormalLike, RandomUniform,
 * RandomUniformLike. A node has a sequence of its own, which goes on from
 * evaluation to evaluation and starts again with the plan: what a model
 * computes is the same each time that it is loaded. Sequences follow from
 * the seed, or, where there is none, from the node's name and place. */
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

const struct ax_kernel ref_random[] = {
    {"Bernoulli", bernoulli, free, NULL},
    {"RandomNormal", numbers, free, "normal"},
    {"RandomNormalLike", numbers, free, "normal"},
    {"RandomUniform", numbers, free, "uniform"},
    {"RandomUniformLike", numbers, free, "uniform"},
    {0},
};
