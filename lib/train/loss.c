/* Losses and their gradients, in double; a row at a time, in order. */
#include <math.h>

#include "train/train.h"

#define LANES 8 /* exponentials at a time */

/* -log of the probability of a class, with smoothed labels. */
static double cross_entropy(float *g, const float *z, int64_t label, size_t n,
                            double smoothing, double scale)
{
    double top = (double)z[0], sum = 0, log_sum, loss = 0, e[LANES];

    for (size_t j = 1; j < n; j++)
        top = (double)z[j] > top ? (double)z[j] : top;
    for (size_t j = 0; j < n; j += LANES) {
        train_exps(e, z + j, n - j < LANES ? n - j : LANES, top);
        for (size_t k = 0; k < LANES && j + k < n; k++)
            sum += e[k];
    }
    log_sum = top + ax_train_log(sum);
    for (size_t j = 0; j < n; j++) {
        double want = smoothing / (double)n +
                      ((int64_t)j == label ? 1 - smoothing : 0);

        loss += want * (log_sum - (double)z[j]);
        if (g && j % LANES == 0)
            train_exps(e, z + j, n - j < LANES ? n - j : LANES, log_sum);
        if (g)
            g[j] = (float)(scale * (e[j % LANES] - want));
    }
    return loss;
}

/* The loss of one output against one value; *slope is its derivative. */
static double of_value(double *slope, double z, double y, ax_loss loss)
{
    double d = z - y, e;

    switch (loss) {
    case AX_LOSS_MAE:
        *slope = (d > 0) - (d < 0);
        return fabs(d);
    case AX_LOSS_HUBER:
        *slope = fabs(d) <= 1 ? d : d > 0 ? 1 : -1;
        return fabs(d) <= 1 ? 0.5 * d * d : fabs(d) - 0.5;
    case AX_LOSS_BCE:
        e = ax_train_exp(-fabs(z));
        *slope = (z >= 0 ? 1 : e) / (1 + e) - y;
        return (z > 0 ? z : 0) - z * y + ax_train_log(1 + e);
    default:
        *slope = 2 * d;
        return d * d;
    }
}

double train_loss(float *g, const float *out, const struct ax_target *y,
                  size_t rows, size_t n, double share,
                  const struct ax_train_options *opt)
{
    double sum = 0, scale = 1 / (double)rows, slope;

    if (opt->loss == AX_LOSS_CROSS_ENTROPY) {
        for (size_t i = 0; i < rows; i++)
            sum += cross_entropy(g ? g + i * n : NULL, out + i * n,
                                 y->classes[i], n, opt->smoothing,
                                 scale * share);
        return sum * scale;
    }
    scale /= (double)n;
    for (size_t i = 0; i < rows * n; i++) {
        sum += of_value(&slope, (double)out[i], (double)y->values[i],
                        opt->loss);
        if (g)
            g[i] = (float)(scale * share * slope);
    }
    return sum * scale;
}
