/* Projected gradient descent from many starts (Madry et al., ICLR 2018),
 * POINTS at a time, on the worst row of a conjunction. What looks like a
 * counterexample in float32 is confirmed over the reals before it is one. */
#include "attack.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "point.h"

#define CONJ_ROUND  64 /* conjunctions in one round */
#define STEPS       40
#define EXACT_BYTES ((size_t)1 << 20)

struct attack {
    const struct ax_net *net;
    const struct ax_prop *prop;
    const struct ax_execution *execution; /* that decides, or NULL */
    struct points *points;
    uint64_t random;
    uint64_t n_points;
    unsigned rounds; /* of random starts so far */
    uint64_t next;   /* conjunction of the next round */
    bool insists;    /* an exact evaluation takes little */
    float *lo, *hi;  /* [n_x] least and greatest float32 in the box */
    float *step;     /* [n_x][POINTS] momentum */
    float *x, *y;    /* [n_x] a candidate; [n_y] what came out there */
    float value[POINTS];
    float (*weight)[POINTS]; /* [most rows] */
};

static size_t most_rows(const struct ax_prop *p)
{
    size_t most = 0;

    for (uint32_t g = 0; g < p->n_groups; g++)
        for (uint32_t k = 0; k < p->groups[g].n_conj; k++)
            if (p->groups[g].conj[k].n_rows > most)
                most = p->groups[g].conj[k].n_rows;
    return most;
}

ax_status attack_new(struct attack **out, const struct ax_net *net,
                     const struct lane_net *lane, const struct ax_prop *prop,
                     const struct ax_prove_options *opt, struct ax_err *err)
{
    struct attack *a = calloc(1, sizeof *a);
    size_t n_x = prop->n_x;
    ax_status st = AX_OK;

    if (!a)
        return ax_fail(err, AX_ENOMEM, "no memory for the attack");
    a->net = net;
    a->prop = prop;
    a->insists = points_bytes(net) <= EXACT_BYTES;
    if (opt->semantics == AX_SEMANTICS_IEEE32)
        a->execution = opt->execution;
    a->random = opt->seed * 0x9e3779b97f4a7c15u + 1;
    a->lo = calloc(n_x + 1, sizeof *a->lo);
    a->hi = calloc(n_x + 1, sizeof *a->hi);
    a->x = calloc(n_x + 1, sizeof *a->x);
    a->y = calloc(prop->n_y + 1u, sizeof *a->y);
    a->step = calloc(n_x + 1, POINTS * sizeof *a->step);
    a->weight = calloc(most_rows(prop) + 1, sizeof *a->weight);
    if (!a->lo || !a->hi || !a->x || !a->y || !a->step || !a->weight)
        st = ax_fail(err, AX_ENOMEM, "no memory for the attack");
    if (st == AX_OK)
        st = points_new(&a->points, lane, err);
    if (st != AX_OK) {
        attack_free(a);
        return st;
    }
    *out = a;
    return AX_OK;
}

void attack_free(struct attack *a)
{
    if (!a)
        return;
    points_free(a->points);
    free(a->lo);
    free(a->hi);
    free(a->x);
    free(a->y);
    free(a->step);
    free(a->weight);
    free(a);
}

uint64_t attack_points(const struct attack *a)
{
    return a->n_points;
}

/* splitmix64, in [0, 1). */
static float uniform(struct attack *a)
{
    uint64_t z = a->random += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return (float)(z >> 40) * 0x1p-24f;
}

/* The floats inside a conjunction's box, or nearest to what it fixes; false:
 * a side has none. */
static bool float_box(struct attack *a, const struct ax_conj *c)
{
    for (uint32_t j = 0; j < a->prop->n_x; j++) {
        float lo = (float)c->lo_in[j], hi = (float)c->hi_in[j];

        bool fixed = c->fixed && c->fixed[j];

        if (fixed)
            hi = lo;
        if (!fixed && (double)lo < c->lo_in[j])
            lo = nextafterf(lo, INFINITY);
        if (!fixed && (double)hi > c->hi_in[j])
            hi = nextafterf(hi, -INFINITY);
        if (!(lo <= hi) || !isfinite(lo) || !isfinite(hi))
            return false;
        a->lo[j] = lo;
        a->hi[j] = hi;
    }
    return true;
}

/* The value of the worst row at every point, and the gradient by y, in
 * points_dy, of what is descended: for half of the points the worst row, for
 * the others all rows, the worse the more. weight [n_rows][POINTS] is the
 * part that each row has in it. */
static void objective(struct attack *a, const struct ax_conj *c,
                      const float *y, const float *x)
{
    float *dy = points_dy(a->points), sum[POINTS] = {0};
    float(*w)[POINTS] = a->weight;

    memset(dy, 0, (size_t)a->prop->n_y * POINTS * sizeof *dy);
    for (int p = 0; p < POINTS; p++)
        a->value[p] = -INFINITY;
    for (uint32_t r = 0; r < c->n_rows; r++) {
        const struct ax_row *row = c->rows[r];

        for (int p = 0; p < POINTS; p++)
            w[r][p] = -(float)row->d;
        for (uint32_t i = 0; i < row->n_y; i++)
            for (int p = 0; p < POINTS; p++)
                w[r][p] += (float)row->y_coef[i] *
                           y[(size_t)row->y_index[i] * POINTS + (size_t)p];
        for (uint32_t i = 0; i < row->n_x; i++)
            for (int p = 0; p < POINTS; p++)
                w[r][p] += (float)row->x_coef[i] *
                           x[(size_t)row->x_index[i] * POINTS + (size_t)p];
        for (int p = 0; p < POINTS; p++)
            a->value[p] = w[r][p] > a->value[p] ? w[r][p] : a->value[p];
    }
    for (uint32_t r = 0; r < c->n_rows; r++)
        for (int p = 0; p < POINTS; p++) {
            float gap = a->value[p] - w[r][p], soft = fabsf(a->value[p]);

            w[r][p] = gap <= 0 ? 1
                      : p & 2  ? 1 / (1 + 4 * gap / (soft + 1e-6f))
                               : 0;
            sum[p] += w[r][p];
        }
    for (uint32_t r = 0; r < c->n_rows; r++)
        for (int p = 0; p < POINTS; p++) {
            const struct ax_row *row = c->rows[r];

            w[r][p] /= sum[p];
            for (uint32_t i = 0; i < row->n_y; i++)
                dy[(size_t)row->y_index[i] * POINTS + (size_t)p] +=
                    w[r][p] * (float)row->y_coef[i];
        }
}

ax_status replay_floats(const struct ax_execution *run,
                        const struct ax_net *net, const struct ax_prop *prop,
                        const float *x, float *y, uint32_t *group,
                        uint32_t *conj, struct ax_err *err)
{
    ax_status st = run->run(run->self, x, y, err);

    return st == AX_OK ? ax_net_unsafe(net, prop, x, y, group, conj, err)
                       : st;
}

/* Is point p a counterexample, exactly? */
static ax_status confirm(struct attack *a, int p, float **out,
                         uint32_t *group, uint32_t *conj, struct ax_err *err)
{
    const float *x = points_x(a->points);
    ax_status st;

    for (uint32_t j = 0; j < a->prop->n_x; j++)
        a->x[j] = x[(size_t)j * POINTS + (size_t)p];
    st = a->execution
             ? replay_floats(a->execution, a->net, a->prop, a->x, a->y, group,
                             conj, err)
             : ax_net_refutes(a->net, a->prop, a->x, group, conj, err);
    if (st != AX_OK)
        return st;
    *out = malloc((a->prop->n_x + 1u) * sizeof **out);
    if (!*out)
        return ax_fail(err, AX_ENOMEM, "no memory for a counterexample");
    memcpy(*out, a->x, a->prop->n_x * sizeof **out);
    return AX_OK;
}

/* The number between lo and hi that is next to v; lo if v is a NaN. */
static float inside(float v, float lo, float hi)
{
    return v > lo ? v < hi ? v : hi : lo;
}

/* One step of all points against the gradient: of the size `rate` of the
 * box's sides, by the sign for odd points, in proportion for even ones. */
static void descend(struct attack *a, const struct ax_conj *c, float rate)
{
    float *x = points_x(a->points), norm[POINTS];
    float *dx = points_backward(a->points);
    uint32_t n_x = a->prop->n_x;

    for (uint32_t r = 0; r < c->n_rows; r++)
        for (uint32_t i = 0; i < c->rows[r]->n_x; i++)
            for (int p = 0; p < POINTS; p++)
                dx[(size_t)c->rows[r]->x_index[i] * POINTS + (size_t)p] +=
                    a->weight[r][p] * (float)c->rows[r]->x_coef[i];
    for (int p = 0; p < POINTS; p++)
        norm[p] = 1e-30f;
    for (uint32_t j = 0; j < n_x; j++) {
        float width = a->hi[j] - a->lo[j];

        for (int p = 0; p < POINTS; p++) {
            float g = fabsf(dx[(size_t)j * POINTS + (size_t)p]) * width;

            norm[p] = g > norm[p] ? g : norm[p];
        }
    }
    for (uint32_t j = 0; j < n_x; j++) {
        float width = a->hi[j] - a->lo[j];

        for (int p = 0; p < POINTS; p++) {
            size_t at = (size_t)j * POINTS + (size_t)p;
            float g = dx[at] * width / norm[p], to;

            if (p & 1)
                g = g > 0 ? 1.0f : g < 0 ? -1.0f : 0.0f;
            /* A gradient that overflowed leads nowhere. */
            g = fabsf(g) <= 1 ? g : 0.0f;
            a->step[at] = 0.5f * a->step[at] + g;
            to = x[at] - rate * width * a->step[at];
            x[at] = inside(to, a->lo[j], a->hi[j]);
        }
    }
}

/* From the starts in points_x, with steps of at first `rate` of the sides.
 * AX_NO: none. */
static ax_status follow(struct attack *a, const struct ax_conj *c, float rate,
                        int steps, double deadline, float **out,
                        uint32_t *group, uint32_t *conj, struct ax_err *err)
{
    bool tried[POINTS] = {false};

    memset(a->step, 0, (size_t)a->prop->n_x * POINTS * sizeof *a->step);
    for (int t = 0; t < steps; t++, rate *= 0.88f) {
        const float *y = points_forward(a->points);

        a->n_points += POINTS;
        objective(a, c, y, points_x(a->points));
        for (int p = 0; p < POINTS; p++) {
            ax_status st;

            if (a->value[p] > 0 || tried[p])
                continue;
            /* A candidate that fails exactly may do better further on. */
            tried[p] = a->value[p] < 0;
            st = confirm(a, p, out, group, conj, err);
            if (st != AX_NO)
                return st;
        }
        if (c->n_rows == 0 || (deadline > 0 && clock_now() > deadline))
            break;
        descend(a, c, rate);
    }
    return AX_NO;
}

/* Float32 may see nothing where the reals have a counterexample: ask exactly
 * about the first start, and then about the best point and a few others. */
static ax_status insist(struct attack *a, const struct ax_conj *c, float rate,
                        int steps, double deadline, float **out,
                        uint32_t *group, uint32_t *conj, struct ax_err *err)
{
    ax_status st = AX_NO;
    int best = 0;

    if (!a->insists)
        return follow(a, c, rate, steps, deadline, out, group, conj, err);
    st = confirm(a, 0, out, group, conj, err);

    if (st == AX_NO)
        st = follow(a, c, rate, steps, deadline, out, group, conj, err);
    for (int p = 1; p < POINTS; p++)
        best = a->value[p] < a->value[best] ? p : best;
    for (int p = 0; p < POINTS && st == AX_NO; p++)
        if (p % (POINTS / 4) == 0 || p == best)
            st = confirm(a, p, out, group, conj, err);
    return st;
}

/* Starts inside the float box whatever rounding did. */
static void keep_inside(struct attack *a)
{
    float *x = points_x(a->points);

    for (size_t i = 0; i < (size_t)a->prop->n_x * POINTS; i++)
        x[i] = inside(x[i], a->lo[i / POINTS], a->hi[i / POINTS]);
}

/* The floats about a start differ by what the reals do not know of: every
 * other start goes a few units in the last place off, up to 2^16. */
static void scatter(struct attack *a)
{
    float *x = points_x(a->points);

    for (size_t i = 0; i < (size_t)a->prop->n_x * POINTS; i++)
        if (i % 2)
            x[i] += x[i] * (2 * uniform(a) - 1) *
                    ldexpf(1, (int)(i % POINTS) / 2 - 24);
}

/* One centre, the rest at random. */
static void random_starts(struct attack *a)
{
    float *x = points_x(a->points);

    for (uint32_t j = 0; j < a->prop->n_x; j++)
        for (int p = 0; p < POINTS; p++)
            x[(size_t)j * POINTS + (size_t)p] =
                p == 0 ? a->lo[j] / 2 + a->hi[j] / 2
                       : a->lo[j] + uniform(a) * (a->hi[j] - a->lo[j]);
    keep_inside(a);
}

/* Random starts in the box of one conjunction. */
static ax_status attack_one(struct attack *a, const struct ax_conj *c,
                            int steps, double deadline, float **out,
                            uint32_t *group, uint32_t *conj,
                            struct ax_err *err)
{
    if (c->never || !float_box(a, c))
        return AX_NO;
    random_starts(a);
    return (a->rounds ? follow : insist)(a, c, 0.25f,
                                         steps > 0 ? steps : STEPS, deadline,
                                         out, group, conj, err);
}

ax_status attack_run(struct attack *a, unsigned rounds, int steps,
                     double deadline, float **out, uint32_t *group,
                     uint32_t *conj, struct ax_err *err)
{
    for (unsigned r = 0; r < rounds; r++, a->rounds++) {
        uint64_t at = 0, end = a->next + CONJ_ROUND;

        for (uint32_t g = 0; g < a->prop->n_groups && at < end; g++)
            for (uint32_t k = 0; k < a->prop->groups[g].n_conj && at < end;
                 k++, at++) {
                ax_status st;

                if (at < a->next)
                    continue;
                if (deadline > 0 && clock_now() > deadline)
                    return AX_NO;
                st = attack_one(a, &a->prop->groups[g].conj[k], steps,
                                deadline, out, group, conj, err);
                if (st != AX_NO)
                    return st;
            }
        a->next = at < end ? 0 : end;
    }
    return AX_NO;
}

ax_status attack_from(struct attack *a, uint32_t g, uint32_t k,
                      const double *starts, double deadline, float **out,
                      uint32_t *group, uint32_t *conj, struct ax_err *err)
{
    const struct ax_conj *c = &a->prop->groups[g].conj[k];
    float *x = points_x(a->points);

    if (c->never || !float_box(a, c))
        return AX_NO;
    for (uint32_t j = 0; j < a->prop->n_x; j++)
        for (size_t p = 0; p < POINTS; p++)
            x[j * (size_t)POINTS + p] = (float)starts[p * a->prop->n_x + j];
    if (a->execution)
        scatter(a);
    keep_inside(a);
    return insist(a, c, 0.02f, STEPS, deadline, out, group, conj, err);
}
