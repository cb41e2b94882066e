/* Run a problem until enough is known of its time.
 *
 * The machine is noisy: what is to be compared is run in turns, the peak is
 * measured before and after every problem and its best counts, and the
 * median is what is said, with the spread beside it. */
#include <string.h>

#include "bench.h"

#define SAMPLE_SECONDS 1e-4 /* a sample takes at least so long */
#define REPEATS_MAX    100000

static ax_status run_once(double *seconds, struct task *t, size_t repeats,
                          struct ax_err *err)
{
    double start = now();

    for (size_t i = 0; i < repeats; i++)
        AX_TRY(t->run(t, err));
    *seconds = t->process ? t->seconds : (now() - start) / (double)repeats;
    return AX_OK;
}

static ax_status run_other(double *seconds, struct versus *vs,
                           const struct task *t, struct ax_err *err)
{
    const char *argv[] = {"sh", "-c", vs->command, NULL};
    struct outcome o;

    AX_TRY(process_run(&o, argv, t->env, 0, err));
    *seconds = o.seconds;
    vs->code = o.code;
    if (o.code == 126 || o.code == 127) {
        (void)ax_fail(err, AX_EUNAVAILABLE, "--vs: %s", o.said);
        outcome_free(&o);
        return AX_EUNAVAILABLE;
    }
    outcome_free(&o);
    return AX_OK;
}

/* One run to warm up, which also says how many make one sample. */
static ax_status warm_up(size_t *repeats, struct task *t,
                         const struct limits *lim, struct ax_err *err)
{
    double seconds;

    *repeats = 1;
    if (t->process && !lim->warm)
        return AX_OK;
    AX_TRY(run_once(&seconds, t, 1, err));
    if (t->process)
        return AX_OK;
    /* The first run is slow; the second tells. */
    if (seconds < 100 * SAMPLE_SECONDS)
        AX_TRY(run_once(&seconds, t, 1, err));
    if (seconds < SAMPLE_SECONDS)
        *repeats = seconds > SAMPLE_SECONDS / REPEATS_MAX
                       ? (size_t)(SAMPLE_SECONDS / seconds) + 1
                       : REPEATS_MAX;
    return AX_OK;
}

/* In turns, until there are enough runs and they took long enough. */
static ax_status series(struct samples *s, struct task *t, struct versus *vs,
                        size_t repeats, const struct limits *lim,
                        struct ax_err *err)
{
    double start = now(), ours, theirs;

    while (s->n < (size_t)lim->runs || now() - start < lim->seconds) {
        AX_TRY(run_once(&ours, t, repeats, err));
        AX_TRY(samples_add(s, ours, err));
        if (process_stopped())
            return ax_fail(err, AX_EIO, "interrupted");
        if (!vs->command)
            continue;
        AX_TRY(run_other(&theirs, vs, t, err));
        AX_TRY(samples_add(&vs->times, theirs, err));
        AX_TRY(samples_add(&vs->ratios, ours / theirs, err));
    }
    return AX_OK;
}

static void summarise(struct measured *out, struct samples *s,
                      const struct task *t, struct versus *vs,
                      const struct peaks *p)
{
    double limited = t->peak_work > 0 ? t->peak_work : t->work;
    double best = p->best[t->peak][t->threads];

    out->stats = samples_stats(s);
    if (out->stats.median > 0) {
        out->rate = t->work / out->stats.median;
        if (best > 0)
            out->share = limited / out->stats.median / best;
    }
    if (!vs->command)
        return;
    out->vs = samples_stats(&vs->times);
    (void)samples_stats(&vs->ratios); /* sorts */
    for (int i = 0; i < 3; i++)
        out->ratio[i] = samples_quantile(&vs->ratios,
                                         i ? 0.5 * i - 0.25 : .5);
}

ax_status measure(struct measured *out, struct task *t, struct versus *vs,
                  const struct limits *lim, struct peaks *p,
                  struct ax_err *err)
{
    struct samples s = {0};
    ax_status st = AX_OK;

    *out = (struct measured){0};
    vs->times.n = vs->ratios.n = 0;
    if (st == AX_OK)
        st = peak_measure(p, t->peak, t->threads, err);
    if (st == AX_OK)
        st = warm_up(&out->repeats, t, lim, err);
    if (st == AX_OK)
        st = series(&s, t, vs, out->repeats, lim, err);
    if (st == AX_OK)
        st = peak_measure(p, t->peak, t->threads, err);
    if (st == AX_OK)
        summarise(out, &s, t, vs, p);
    if (getloadavg(&out->load, 1) != 1)
        out->load = 0;
    samples_free(&s);
    return st == AX_OK ? st : ax_fail_in(err, "problem '%.200s'", t->line);
}
