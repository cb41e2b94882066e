/* Samples and what is said of them: see bench.h. */
#include <math.h>
#include <time.h>

#include "bench.h"

ax_status samples_add(struct samples *s, double x, struct ax_err *err)
{
    if (s->n == s->room) {
        size_t room = s->room ? 2 * s->room : 64;
        double *v = realloc(s->v, room * sizeof *v);

        if (!v)
            return ax_fail(err, AX_ENOMEM, "no memory for the samples");
        s->v = v;
        s->room = room;
    }
    s->v[s->n++] = x;
    return AX_OK;
}

void samples_free(struct samples *s)
{
    free(s->v);
    *s = (struct samples){0};
}

static int ascending(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

double samples_quantile(const struct samples *s, double q)
{
    double at = q * (double)(s->n - (s->n > 0)), rest;
    size_t i = (size_t)at;

    if (s->n == 0)
        return 0;
    rest = at - (double)i;
    return i + 1 < s->n ? s->v[i] + rest * (s->v[i + 1] - s->v[i]) : s->v[i];
}

/* The median of |v - m| for sorted v, by walking outwards from m. */
static double mad(const struct samples *s, double m)
{
    size_t low = 0, high, steps = s->n / 2;
    double d = 0, before = 0;

    while (low < s->n && s->v[low] < m)
        low++;
    high = low;
    for (size_t k = 0; k <= steps && k < s->n; k++) {
        bool down = low > 0 &&
                    (high == s->n || m - s->v[low - 1] < s->v[high] - m);

        before = d;
        d = down ? m - s->v[--low] : s->v[high++] - m;
    }
    return s->n % 2 ? d : (before + d) / 2;
}

struct stats samples_stats(struct samples *s)
{
    struct stats r = {.n = s->n};
    double sum = 0;

    if (s->n == 0)
        return r;
    qsort(s->v, s->n, sizeof *s->v, ascending);
    for (size_t i = 0; i < s->n; i++)
        sum += s->v[i];
    r.min = s->v[0];
    r.max = s->v[s->n - 1];
    r.mean = sum / (double)s->n;
    r.median = samples_quantile(s, 0.5);
    r.mad = mad(s, r.median);
    if (s->n >= SAMPLES_P90)
        r.p90 = samples_quantile(s, 0.90);
    if (s->n >= SAMPLES_P99)
        r.p99 = samples_quantile(s, 0.99);
    return r;
}

double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}
