/* The range of each activation on data, and the scale that follows. A range
 * holds zero, so that zero is a number that rounding keeps. */
#include <math.h>
#include <stdlib.h>

#include "opt/quantise.h"

#define BINS 4096

struct looked {
    struct opt_quant *q;
    const uint32_t *values;
    uint32_t n;
};

static ax_status see_range(void *x, int64_t run, const struct ax_tensor *out,
                           struct ax_err *err)
{
    const struct looked *l = x;

    (void)run;
    for (uint32_t k = 0; k < l->n; k++) {
        struct opt_act *a = opt_act_of(l->q, l->values[k]);
        const float *v = out[k].data;

        for (size_t i = 0; i < ax_tensor_count(&out[k]); i++) {
            if (!isfinite(v[i]))
                return ax_fail(err, AX_EFORMAT,
                               "value '%s' is not finite on the data",
                               l->q->o->g->values[l->values[k]].name);
            a->lo = v[i] < a->lo ? v[i] : a->lo;
            a->hi = v[i] > a->hi ? v[i] : a->hi;
        }
    }
    return AX_OK;
}

static ax_status see_bins(void *x, int64_t run, const struct ax_tensor *out,
                          struct ax_err *err)
{
    const struct looked *l = x;

    (void)run;
    (void)err;
    for (uint32_t k = 0; k < l->n; k++) {
        struct opt_act *a = opt_act_of(l->q, l->values[k]);
        double each = ((double)a->hi - (double)a->lo) / BINS;
        const float *v = out[k].data;

        for (size_t i = 0; each > 0 && i < ax_tensor_count(&out[k]); i++) {
            double at = ((double)v[i] - (double)a->lo) / each;

            a->bins[at < BINS - 1 ? (int)at : BINS - 1]++;
        }
    }
    return AX_OK;
}

/* Cut the range so that it holds that much of the numbers, with as much left
 * out at either end. */
static void cut(struct opt_act *a, double percentile)
{
    double each = ((double)a->hi - (double)a->lo) / BINS, all = 0, out = 0;
    double lo = (double)a->lo, hi = (double)a->hi, most;
    int i = 0, j = BINS - 1;

    for (int b = 0; b < BINS; b++)
        all += a->bins[b];
    most = all * (1 - percentile / 100) / 2;
    for (; i < BINS && out + a->bins[i] <= most; i++)
        out += a->bins[i];
    for (out = 0; j > i && out + a->bins[j] <= most; j--)
        out += a->bins[j];
    a->lo = (float)fmin(lo + i * each, 0);
    a->hi = (float)fmax(hi - (BINS - 1 - j) * each, 0);
}

static ax_status with_bins(struct looked *l, uint32_t *values,
                           struct ax_err *err)
{
    struct opt_quant *q = l->q;

    for (uint32_t k = 0; k < l->n; k++) {
        struct opt_act *a = opt_act_of(q, values[k]);

        if (!a->bins)
            a->bins = calloc(BINS, sizeof *a->bins);
        if (!a->bins)
            return ax_fail(err, AX_ENOMEM, "no memory for a histogram");
    }
    AX_TRY(opt_data_each(q->o->m, values, l->n, q->opt, see_bins, l, err));
    for (uint32_t v = 0; v < q->n_values; v++)
        if (q->act[v].bins)
            cut(&q->act[v], q->opt->percentile);
    return AX_OK;
}

static void settle(struct opt_act *a, bool is_signed)
{
    double wide = (double)a->hi - (double)a->lo, zero;

    a->scale = (float)(wide / 255);
    if (!(a->scale >= 0x1p-100f)) /* products of scales stay normal */
        a->scale = wide > 0 ? 0x1p-100f : 1;
    zero = nearbyint(-(double)a->lo / (double)a->scale);
    a->zero = (int)(zero < 0     ? 0
                    : zero > 255 ? 255
                                 : zero) -
              (is_signed ? 128 : 0);
}

ax_status opt_calibrate(struct opt_quant *q, struct ax_err *err)
{
    uint32_t *values = calloc(q->n_values + 1u, sizeof *values);
    struct looked l = {.q = q, .values = values};
    ax_status st = AX_OK;

    if (!values)
        return ax_fail(err, AX_ENOMEM, "no memory for %u values",
                       q->n_values);
    for (uint32_t v = 0; v < q->n_values; v++)
        if (q->act[v].marked)
            values[l.n++] = v;
    if (l.n > 0)
        st = opt_data_each(q->o->m, values, l.n, q->opt, see_range, &l, err);
    if (st == AX_OK && l.n > 0 && q->opt->percentile < 100)
        st = with_bins(&l, values, err);
    for (uint32_t v = 0; v < q->n_values; v++)
        settle(&q->act[v], q->opt->signed_bytes);
    free(values);
    return st;
}
