/* Metrics of classes: see watch.h. */
#include <stdlib.h>
#include <string.h>

#include "ax-train/watch.h"

static size_t answer_of(const struct scores *s, size_t row)
{
    const float *z = s->out + row * s->n;
    size_t best = 0;

    for (size_t k = 1; k < s->n; k++)
        if (z[k] > z[best])
            best = k;
    return best;
}

void scores_confusion(size_t *counts, const struct scores *s)
{
    memset(counts, 0, s->n * s->n * sizeof *counts);
    for (size_t i = 0; i < s->rows; i++)
        counts[(size_t)s->labels[i] * s->n + answer_of(s, i)]++;
}

double scores_top(const struct scores *s, size_t k)
{
    size_t right = 0;

    for (size_t i = 0; i < s->rows; i++) {
        const float *z = s->out + i * s->n;
        size_t label = (size_t)s->labels[i], above = 0;

        for (size_t c = 0; c < s->n; c++)
            above += z[c] > z[label] || (z[c] == z[label] && c < label);
        right += above < k;
    }
    return (double)right / (double)s->rows;
}

double scores_f1(const struct scores *s)
{
    double sum = 0;
    size_t classes = 0;

    for (size_t c = 0; c < s->n; c++) {
        size_t both = 0, either = 0;

        for (size_t i = 0; i < s->rows; i++) {
            bool is = (size_t)s->labels[i] == c, said = answer_of(s, i) == c;

            both += is && said;
            either += (size_t)is + (size_t)said;
        }
        if (either == 0)
            continue;
        classes++;
        sum += 2 * (double)both / (double)either;
    }
    return classes ? sum / (double)classes : 0;
}

struct scored {
    double score;
    bool is;
};

static int by_score(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;

    return (x->score > y->score) - (x->score < y->score);
}

/* By ranks: the mean rank of the positive ones. -1: one side is empty. */
static double area(struct scored *v, size_t n)
{
    double ranks = 0, positive = 0, negative;

    qsort(v, n, sizeof *v, by_score);
    for (size_t i = 0, end; i < n; i = end) {
        double rank;

        for (end = i; end < n && v[end].score == v[i].score;)
            end++;
        rank = ((double)i + 1 + (double)end) / 2;
        for (size_t k = i; k < end; k++)
            if (v[k].is) {
                ranks += rank;
                positive++;
            }
    }
    negative = (double)n - positive;
    if (positive == 0 || negative == 0)
        return -1;
    return (ranks - positive * (positive + 1) / 2) / (positive * negative);
}

/* How much a row is of a class: its output less what the others come to, as
 * the logarithm of its odds. */
static double odds(const float *z, size_t n, size_t class)
{
    double top = -1e300, sum = 0;

    for (size_t k = 0; k < n; k++)
        if (k != class && (double)z[k] > top)
            top = (double)z[k];
    for (size_t k = 0; k < n; k++)
        if (k != class)
            sum += ax_train_exp((double)z[k] - top);
    return n == 1 ? (double)z[0] : (double)z[class] - top - ax_train_log(sum);
}

ax_status scores_auc(double *out, const struct scores *s, struct ax_err *err)
{
    struct scored *v = calloc(s->rows + 1, sizeof *v);
    double sum = 0;
    size_t classes = 0;

    if (!v)
        return ax_fail(err, AX_ENOMEM, "no memory for metrics");
    for (size_t c = s->n == 2; c < s->n; c++) {
        double a;

        for (size_t i = 0; i < s->rows; i++)
            v[i] = (struct scored){odds(s->out + i * s->n, s->n, c),
                                   (size_t)s->labels[i] == c};
        a = area(v, s->rows);
        if (a >= 0) {
            sum += a;
            classes++;
        }
    }
    free(v);
    *out = classes ? sum / (double)classes : 0;
    return AX_OK;
}
