/* Losses: NegativeLogLikelihoodLoss, SoftmaxCrossEntropyLoss. Classes are
 * dimension 1 of the scores; what is summed is summed in double. */
#include "ref.h"

#include <math.h>
#include <string.h>

struct loss {
    const struct ax_tensor *x, *target, *weight; /* weight may be NULL */
    size_t n, classes, inner;                    /* n: targets */
    bool has_ignored;
    int64_t ignored;
};

/* Where the score of class CLASS for target K is. */
static size_t score(const struct loss *s, size_t k, size_t class)
{
    return (k / s->inner * s->classes + class) * s->inner + k % s->inner;
}

static ax_status loss_init(struct loss *s, const struct ax_call *c,
                           struct ax_err *err)
{
    const struct ax_attr *ignored = ax_node_attr(c->node, "ignore_index");

    AX_TRY(ref_want(c, 0, REALS, err));
    AX_TRY(ref_want(c, 1, BIT(AX_I32) | BIT(AX_I64), err));
    AX_TRY(ref_want_rank(c, 0, 2, AX_RANK_MAX, err));
    *s = (struct loss){.x = c->in[0], .target = c->in[1]};
    s->classes = (size_t)s->x->dims[1];
    s->inner = (size_t)ref_product(s->x->dims, 2, s->x->rank);
    s->n = ax_tensor_count(s->target);
    s->has_ignored = ignored != NULL;
    s->ignored = ignored ? ignored->i : 0;
    if (s->target->rank != s->x->rank - 1 ||
        s->target->dims[0] != s->x->dims[0] ||
        (s->x->rank > 2 &&
         memcmp(s->target->dims + 1, s->x->dims + 2,
                ((size_t)s->x->rank - 2) * sizeof *s->x->dims) != 0))
        return ax_fail(err, AX_ESHAPE,
                       "the targets have not the shape of the scores without "
                       "their classes");
    if (!ax_call_has(c, 2))
        return AX_OK;
    AX_TRY(ref_want(c, 2, REALS, err));
    s->weight = c->in[2];
    if (ax_tensor_count(s->weight) != s->classes)
        return ax_fail(err, AX_ESHAPE, "%zu weights for %zu classes",
                       ax_tensor_count(s->weight), s->classes);
    return AX_OK;
}

/* Log of the softmax of target K's scores, at class CLASS. */
static double log_softmax(const struct loss *s, size_t k, size_t class)
{
    double top = -HUGE_VAL, sum = 0;

    for (size_t i = 0; i < s->classes; i++)
        top = fmax(top, ref_number(s->x, score(s, k, i)));
    for (size_t i = 0; i < s->classes; i++)
        sum += exp(ref_number(s->x, score(s, k, i)) - top);
    return ref_number(s->x, score(s, k, class)) - top - log(sum);
}

/* Loss and weight of target K; both are 0 if it is ignored. */
static ax_status one_loss(double *out, double *weight, const struct loss *s,
                          size_t k, bool logs, struct ax_err *err)
{
    int64_t class = ref_integer(s->target, k);
    double p;

    *out = *weight = 0;
    if (s->has_ignored && class == s->ignored)
        return AX_OK;
    if (class < 0 || (size_t) class >= s->classes)
        return ax_fail(err, AX_ESHAPE, "target %zu is %lld of %zu classes", k,
                       (long long)class, s->classes);
    *weight = s->weight ? ref_number(s->weight, (size_t) class) : 1;
    p = logs ? ref_number(s->x, score(s, k, (size_t) class))
             : log_softmax(s, k, (size_t) class);
    *out = -p * *weight;
    return AX_OK;
}

static ax_status reduced(struct ax_call *c, const struct loss *s, bool logs,
                         struct ax_err *err)
{
    const char *how = ax_node_string(c->node, "reduction", "mean");
    bool none = strcmp(how, "none") == 0, mean = strcmp(how, "mean") == 0;
    double sum = 0, weights = 0, loss, weight;

    if (!none && !mean && strcmp(how, "sum") != 0)
        return ax_fail(err, AX_EUNSUPPORTED, "reduction '%.80s'", how);
    AX_TRY(ax_call_out(c, 0, s->x->dtype, none ? s->target->rank : 0,
                       s->target->dims, err));
    for (size_t k = 0; k < s->n; k++) {
        AX_TRY(one_loss(&loss, &weight, s, k, logs, err));
        sum += loss;
        weights += weight;
        if (none)
            ref_put(c->out[0], k, loss);
    }
    if (!none)
        ref_put(c->out[0], 0, mean ? sum / weights : sum);
    return AX_OK;
}

static ax_status likelihood(struct ax_call *c, struct ax_err *err)
{
    struct loss s;

    AX_TRY(loss_init(&s, c, err));
    return reduced(c, &s, true, err);
}

static ax_status cross_entropy(struct ax_call *c, struct ax_err *err)
{
    struct loss s;

    AX_TRY(loss_init(&s, c, err));
    AX_TRY(reduced(c, &s, false, err));
    if (!ax_call_wants(c, 1))
        return AX_OK;
    AX_TRY(ax_call_out(c, 1, s.x->dtype, s.x->rank, s.x->dims, err));
    for (size_t k = 0; k < s.n; k++)
        for (size_t i = 0; i < s.classes; i++)
            ref_put(c->out[1], score(&s, k, i), log_softmax(&s, k, i));
    return AX_OK;
}

const struct ax_kernel ref_loss[] = {
    {"NegativeLogLikelihoodLoss", likelihood, NULL, NULL},
    {"SoftmaxCrossEntropyLoss", cross_entropy, NULL, NULL},
    {0},
};
