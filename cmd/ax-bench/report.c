/* What is said of the problems: a table or JSON, the comparison with a
 * baseline, and the totals of verdicts. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "common/file.h"
#include "common/json.h"
#include "common/run.h"

#define BASELINE_MAX ((size_t)256 << 20)
#define SCHEMA       "ax.bench/1"

/* ---- numbers for people ---- */

#define TEXT 32

/* "1.23 ms": three digits and a unit. */
static const char *duration(char out[TEXT], double s)
{
    static const struct {
        double size;
        const char *name;
    } units[] = {{1, "s"}, {1e-3, "ms"}, {1e-6, "us"}, {1e-9, "ns"}};
    int i = 0;

    if (s > 0)
        while (i < 3 && s < 0.9995 * units[i].size)
            i++;
    s /= units[i].size;
    snprintf(out, TEXT, "%.*f %s",
             s < 10    ? 2
             : s < 100 ? 1
                       : 0,
             s, units[i].name);
    return out;
}

static const char *rate(char out[TEXT], const struct task *t,
                        const struct measured *m)
{
    const char *prefix = t->scale >= 1e9 ? "G" : t->scale >= 1e6 ? "M" : "";
    double r = m->rate / t->scale;

    if (t->unit && m->rate > 0)
        snprintf(out, TEXT, "%.*f %s%s",
                 r < 10     ? 2
                 : r < 1000 ? 1
                            : 0,
                 r, prefix, t->unit);
    else
        snprintf(out, TEXT, "-");
    return out;
}

/* Three samples are the fewest that have a spread. */
static const char *spread(char out[TEXT], const struct stats *s)
{
    if (s->n >= 3 && s->median > 0)
        snprintf(out, TEXT, "%.1f %%", 100 * s->mad / s->median);
    else
        snprintf(out, TEXT, "-");
    return out;
}

static const char *percent(char out[TEXT], double share)
{
    if (share > 0)
        snprintf(out, TEXT, "%.0f %%", 100 * share);
    else
        snprintf(out, TEXT, "-");
    return out;
}

/* ---- the baseline ---- */

ax_status report_baseline(struct report *r, const char *path,
                          struct ax_err *err)
{
    unsigned char *data;
    const char *schema;
    json_error_t why;
    size_t n;

    AX_TRY(cmd_in_read(&data, &n, path, BASELINE_MAX, err));
    r->baseline = json_loadb((const char *)data, n, JSON_REJECT_DUPLICATES,
                             &why);
    free(data);
    if (!r->baseline)
        return ax_fail(err, AX_EFORMAT, "%s: line %d: %s", cmd_in_name(path),
                       why.line, why.text);
    schema = json_string_value(json_object_get(r->baseline, "schema"));
    if (!schema || strcmp(schema, SCHEMA) != 0)
        return ax_fail(err, AX_EFORMAT, "%s: has schema '%.40s', not %s",
                       cmd_in_name(path), schema ? schema : "none", SCHEMA);
    return AX_OK;
}

/* The median that the baseline has for a problem; 0 if it has none. */
static double baseline_median(const struct report *r, const char *line)
{
    const json_t *problems = json_object_get(r->baseline, "problems"), *p;
    size_t i;

    json_array_foreach(problems, i, p)
    {
        const char *s = json_string_value(json_object_get(p, "problem"));

        if (s && strcmp(s, line) == 0)
            return json_number_value(json_object_get(p, "median_s"));
    }
    return 0;
}

/* ---- one problem ---- */

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* "" if the answer is as it should be or nobody knows. An answer that is
 * none is not wrong: it is counted by itself. */
static bool wrong(const struct task *t)
{
    return t->expect[0] && !is(t->answer.text, "unknown") &&
           !is(t->answer.text, "undecided") && !is(t->answer.text, t->expect);
}

static ax_status count(struct totals *c, const struct task *t,
                       const struct measured *m, struct ax_err *err)
{
    const struct answer *a = &t->answer;

    c->wrong += wrong(t);
    if (!t->decides)
        return AX_OK;
    c->holds += is(a->text, "holds");
    c->violated += is(a->text, "violated");
    c->unknown += is(a->text, "unknown");
    c->boxes += a->boxes;
    c->prove_seconds += m->stats.median;
    if (a->certificate_bytes > 0) {
        c->certificates++;
        c->bytes += a->certificate_bytes;
        c->leaves += a->leaves;
    }
    if (a->checked[0]) {
        c->check_seconds += a->check_seconds;
        c->refused += !is(a->checked, "accepted");
    }
    return samples_add(&c->times, m->stats.median, err);
}

static void print_answer(const struct task *t)
{
    const struct answer *a = &t->answer;

    if (!a->text[0])
        return;
    printf(" = %s", a->text);
    if (wrong(t))
        printf(", WRONG: %s was expected", t->expect);
    if (a->checked[0])
        printf(", %s",
               is(a->checked, "accepted") ? "checked" : "THE CHECK SAYS NO");
    if (a->why[0]) {
        fputs(": ", stdout);
        cmd_text(stdout, a->why);
    }
}

static void print_problem(struct report *r, const struct task *t,
                          const struct measured *m, const struct versus *vs,
                          double ratio)
{
    char text[5][TEXT];

    if (!r->heading)
        printf("%9s %9s %8s %14s %6s %6s  %s\n", "median", "min", "spread",
               "rate", "peak", "n", "problem");
    r->heading = true;
    printf("%9s %9s %8s %14s %6s %6zu  ", duration(text[0], m->stats.median),
           duration(text[1], m->stats.min), spread(text[4], &m->stats),
           rate(text[2], t, m), percent(text[3], m->share), m->stats.n);
    cmd_text(stdout, t->line);
    print_answer(t);
    putchar('\n');
    if (vs->command) {
        printf("%9s %9s %8s %14s %6s %6zu  ", duration(text[0], m->vs.median),
               duration(text[1], m->vs.min), spread(text[4], &m->vs), "", "",
               m->vs.n);
        cmd_text(stdout, vs->command);
        printf(" = exit %d\n%9.3f [%.3f, %.3f] times its time\n", vs->code,
               m->ratio[0], m->ratio[1], m->ratio[2]);
    }
    if (ratio > 0)
        printf("%9.3f times the baseline%s\n", ratio,
               ratio > r->max_ratio ? ": TOO SLOW" : "");
}

static void set(json_t *o, const char *key, json_t *v)
{
    (void)json_object_set_new(o, key, v); /* built is checked at the end */
}

static void set_real(json_t *o, const char *key, double v)
{
    if (v != 0)
        set(o, key, json_real(v));
}

/* NULL if memory is out; keys that say nothing are left out. */
static json_t *problem_json(const struct task *t, const struct measured *m,
                            const struct versus *vs, double ratio)
{
    const struct answer *a = &t->answer;
    json_t *o = json_pack("{s:o, s:i, s:i, s:f, s:f, s:f, s:f, s:f}",
                          "problem", cmd_json_text(t->line), "n",
                          (int)m->stats.n, "repeats", (int)m->repeats,
                          "median_s", m->stats.median, "min_s", m->stats.min,
                          "max_s", m->stats.max, "mean_s", m->stats.mean,
                          "mad_s", m->stats.mad);

    if (!o)
        return NULL;
    set_real(o, "p90_s", m->stats.p90);
    set_real(o, "p99_s", m->stats.p99);
    set(o, "threads", json_integer(t->threads));
    set_real(o, "load_average", m->load);
    if (t->unit && m->rate > 0) {
        set(o, "unit", json_string(t->unit));
        set_real(o, "rate", m->rate);
    }
    set_real(o, "share_of_peak", m->share);
    if (a->text[0])
        set(o, "answer", json_string(a->text));
    if (a->why[0])
        set(o, "why", cmd_json_text(a->why));
    if (t->expect[0]) {
        set(o, "expected", json_string(t->expect));
        set(o, "wrong", json_boolean(wrong(t)));
    }
    set_real(o, "rss_kib", (double)a->rss_kib);
    set_real(o, "boxes", a->boxes);
    set_real(o, "leaves", a->leaves);
    set_real(o, "certificate_bytes", a->certificate_bytes);
    if (a->checked[0]) {
        set(o, "checked", json_string(a->checked));
        set_real(o, "check_s", a->check_seconds);
    }
    if (vs->command)
        set(o, "vs",
            json_pack("{s:o, s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:f}",
                      "command", cmd_json_text(vs->command), "exit", vs->code,
                      "n", (int)m->vs.n, "median_s", m->vs.median, "min_s",
                      m->vs.min, "mad_s", m->vs.mad, "ratio", m->ratio[0],
                      "ratio_q1", m->ratio[1], "ratio_q3", m->ratio[2]));
    set_real(o, "baseline_ratio", ratio);
    return o;
}

ax_status report_problem(struct report *r, const struct task *t,
                         const struct measured *m, const struct versus *vs,
                         struct ax_err *err)
{
    double ratio = 0;
    json_t *o;

    AX_TRY(count(&r->totals, t, m, err));
    if (r->baseline) {
        double before = baseline_median(r, t->line);

        if (before > 0) {
            ratio = m->stats.median / before;
            r->compared++;
            r->slower += ratio > r->max_ratio;
        } else {
            r->missing++;
        }
    }
    if (!r->json) {
        print_problem(r, t, m, vs, ratio);
        /* Seen at once, and a disk that is full ends it here. */
        if (fflush(stdout) && errno != EPIPE)
            return ax_fail(err, AX_EIO, "standard output: %s",
                           strerror(errno));
        return AX_OK;
    }
    if (!r->problems)
        r->problems = json_array();
    o = problem_json(t, m, vs, ratio);
    if (!o || json_array_append_new(r->problems, o))
        return ax_fail(err, AX_ENOMEM, "no memory for the JSON output");
    return AX_OK;
}

/* ---- the end ---- */

static const char *const peak_names[PEAK_COUNT] = {NULL, "multiply_add",
                                                   "memory_read"};

static void print_totals(struct report *r)
{
    struct totals *c = &r->totals;
    struct stats s = samples_stats(&c->times);
    char text[3][TEXT];

    if (s.n < 2)
        return;
    printf("\n%zu properties: %zu hold, %zu violated, %zu unknown, "
           "%zu wrong\n",
           s.n, c->holds, c->violated, c->unknown, c->wrong);
    printf("%.2f s in all, median %s, slowest %s, %.0f boxes\n",
           c->prove_seconds, duration(text[0], s.median),
           duration(text[1], s.max), c->boxes);
    if (c->certificates)
        printf("%zu certificates, %.0f bytes, %.0f leaves, %.2f bytes a "
               "leaf\n",
               c->certificates, c->bytes, c->leaves,
               c->leaves > 0 ? c->bytes / c->leaves : 0);
    if (c->check_seconds > 0)
        printf("ax-check: %.2f s, %.2f times ax-prove's, %zu not accepted\n",
               c->check_seconds, c->check_seconds / c->prove_seconds,
               c->refused);
}

static void print_end(struct report *r, const struct peaks *p)
{
    static const char *const what[] = {
        NULL, "%.1f GF/s, float32 multiply-adds, %d thread%s\n",
        "%.1f GB/s, memory read, %d thread%s\n"};

    for (int k = 1; k < PEAK_COUNT; k++)
        for (int n = 1; n <= PEAK_THREADS; n++)
            if (p->best[k][n] > 0) {
                printf("peak: ");
                printf(what[k], p->best[k][n] / 1e9, n, n == 1 ? "" : "s");
            }
    print_totals(r);
    if (r->baseline)
        printf("baseline: %zu compared, %zu too slow, %zu not in it\n",
               r->compared, r->slower, r->missing);
}

static json_t *totals_json(struct totals *c)
{
    struct stats s = samples_stats(&c->times);

    return json_pack(
        "{s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:f, s:f, s:i, s:f, s:f, s:f, "
        "s:i}",
        "properties", (int)s.n, "holds", (int)c->holds, "violated",
        (int)c->violated, "unknown", (int)c->unknown, "wrong", (int)c->wrong,
        "seconds", c->prove_seconds, "median_s", s.median, "slowest_s", s.max,
        "boxes", c->boxes, "certificates", (int)c->certificates,
        "certificate_bytes", c->bytes, "leaves", c->leaves, "check_s",
        c->check_seconds, "not_accepted", (int)c->refused);
}

static ax_status json_end(struct report *r, const struct peaks *p,
                          struct ax_err *err)
{
    json_t *peaks = json_array(), *o;

    for (int k = 1; k < PEAK_COUNT; k++)
        for (int n = 1; n <= PEAK_THREADS; n++)
            if (p->best[k][n] > 0 &&
                json_array_append_new(
                    peaks, json_pack("{s:s, s:i, s:f}", "of", peak_names[k],
                                     "threads", n, "rate", p->best[k][n])))
                return ax_fail(err, AX_ENOMEM, "no memory for the output");
    o = json_pack("{s:s, s:i, s:o, s:o}", "clock", "CLOCK_MONOTONIC",
                  "processors", (int)sysconf(_SC_NPROCESSORS_ONLN), "peaks",
                  peaks, "problems",
                  r->problems ? r->problems : json_array());
    r->problems = NULL;
    if (o && r->totals.times.n > 0)
        set(o, "totals", totals_json(&r->totals));
    if (o && r->baseline)
        set(o, "baseline",
            json_pack("{s:i, s:i, s:i, s:f}", "compared", (int)r->compared,
                      "too_slow", (int)r->slower, "missing", (int)r->missing,
                      "max_ratio", r->max_ratio));
    return cmd_json(SCHEMA, o, err);
}

ax_status report_end(struct report *r, const struct peaks *p,
                     struct ax_err *err)
{
    if (r->json)
        AX_TRY(json_end(r, p, err));
    else
        print_end(r, p);
    if (r->baseline && r->compared == 0)
        return ax_fail(err, AX_EFORMAT,
                       "the baseline has none of these problems: nothing "
                       "was compared");
    if (r->slower || r->totals.wrong || r->totals.refused)
        return AX_NO;
    return r->totals.unknown ? AX_UNDECIDED : AX_OK;
}

void report_free(struct report *r)
{
    samples_free(&r->totals.times);
    json_decref(r->problems);
    json_decref(r->baseline);
    *r = (struct report){0};
}
