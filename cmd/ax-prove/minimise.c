/* --minimise: the hardest value of a number in a ready-made property at which
 * it is proved: the largest radius, or the smallest tolerance, bound or
 * difference. By bisection on the multiples of a step. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "prove.h"

#define STEPS_MAX  ((int64_t)1 << 31) /* multiples that 31 runs tell apart */
#define DIGITS_MAX ((int64_t)100000000000000000)

/* m 10^e */
struct number {
    int64_t m;
    int e;
};

/* A decimal from 0 on, of up to 17 digits. */
static bool read_number(struct number *out, const char *s)
{
    bool digits = false, point = false;
    char *end;
    long e = 0;

    *out = (struct number){0};
    for (; (*s >= '0' && *s <= '9') || (*s == '.' && !point); s++) {
        if (*s == '.') {
            point = true;
            continue;
        }
        digits = true;
        if (out->m >= DIGITS_MAX)
            return false;
        out->m = 10 * out->m + (*s - '0');
        out->e -= point;
    }
    if (digits && (*s == 'e' || *s == 'E')) {
        e = strtol(s + 1, &end, 10);
        if (end == s + 1 || e < -60 || e > 60)
            return false;
        s = end;
    }
    out->e += (int)e;
    while (out->m && out->m % 10 == 0) {
        out->m /= 10;
        out->e++;
    }
    return digits && !*s;
}

/* m k 10^e without an exponent, unless it is very small or large. */
static bool print_number(char buf[MINIMISE_CHARS], struct number p, int64_t k)
{
    char digits[24];
    int n;

    if (__builtin_mul_overflow(p.m, k, &p.m))
        return false;
    while (p.m && p.m % 10 == 0) {
        p.m /= 10;
        p.e++;
    }
    n = snprintf(digits, sizeof digits, "%" PRId64, p.m);
    if (p.e >= 0 && p.e < 6)
        snprintf(buf, MINIMISE_CHARS, "%s%.*s", digits, p.e, "000000");
    else if (p.e > 0 || p.e < -20)
        snprintf(buf, MINIMISE_CHARS, "%se%d", digits, p.e);
    else if (n > -p.e)
        snprintf(buf, MINIMISE_CHARS, "%.*s.%s", n + p.e, digits,
                 digits + n + p.e);
    else
        snprintf(buf, MINIMISE_CHARS, "0.%.*s%s", -p.e - n,
                 "00000000000000000000", digits);
    return true;
}

/* How many steps are in a value. */
static ax_status count_steps(int64_t *n, struct number value,
                             struct number step, struct ax_err *err)
{
    for (; value.e > step.e; value.e--)
        if (__builtin_mul_overflow(value.m, 10, &value.m))
            break;
    for (; step.e > value.e; step.e--)
        if (__builtin_mul_overflow(step.m, 10, &step.m))
            break;
    *n = value.e == step.e && step.m ? value.m / step.m : 0;
    if (*n < 1 || *n > STEPS_MAX)
        return ax_fail(err, AX_EUSAGE,
                       "--precision wants a part of the value that is given, "
                       "from all of it to a 2^31st");
    return AX_OK;
}

/* ---- the steps ---- */

static ax_status try(struct job *j, const struct args *a, struct minimised *m,
                     const char *value, bool *holds, struct ax_err *err)
{
    struct minimise_step *step = &m->steps[m->n_steps];
    char task[2 * MINIMISE_CHARS];
    ax_status st;

    snprintf(task, sizeof task, "%s %s", m->key, value);
    j->task = task;
    finding_free(&j->found);
    ready_change(j->ready, m->key, value);
    st = ready_text(j, err);
    if (st == AX_OK)
        st = job_decide(j, a, err);
    j->task = NULL;
    AX_TRY(st);
    snprintf(step->value, sizeof step->value, "%s", value);
    step->verdict = j->found.result.verdict;
    step->seconds = j->found.result.stats.seconds;
    m->n_steps++;
    *holds = step->verdict == AX_HOLDS;
    return AX_OK;
}

/* The better of the finding at hand and the one that is kept; the other is
 * freed. */
static void keep(struct finding *best, struct finding *found, bool better)
{
    if (better) {
        finding_free(best);
        *best = *found;
        *found = (struct finding){0};
    }
}

/* Multiples are counted from the easiest, 0, to the hardest. */
static ax_status bisect(struct job *j, const struct args *a,
                        struct minimised *m, struct number step, int64_t n,
                        struct ax_err *err)
{
    struct finding best = {0}, worst = {0};
    int64_t holds = -1, fails = n;
    ax_status st = AX_OK;

    while (st == AX_OK && fails - holds > 1) {
        int64_t at = holds + (fails - holds) / 2;
        char value[MINIMISE_CHARS];
        bool good = false;

        if (!print_number(value, step, m->largest ? at + 1 : n - at))
            st = ax_fail(err, AX_EUSAGE, "a value has too many digits");
        else
            st = try(j, a, m, value, &good, err);
        if (st != AX_OK)
            break;
        snprintf(good ? m->best : m->next, MINIMISE_CHARS, "%s", value);
        if (good) {
            holds = at;
        } else {
            fails = at;
            m->next_verdict = j->found.result.verdict;
        }
        keep(good ? &best : &worst, &j->found, true);
    }
    finding_free(&j->found);
    keep(&j->found, holds >= 0 ? &best : &worst, true);
    finding_free(&best);
    finding_free(&worst);
    return st;
}

ax_status minimise(struct job *j, const struct args *a, struct ax_err *err)
{
    struct minimised *m = &j->minimised;
    struct number value, step;
    const char *given;
    int64_t n;

    if (!j->ready ||
        !ready_number(j->ready, a->minimise, &m->key, &given, &m->largest))
        return ax_fail(err, AX_EUSAGE,
                       "--minimise wants a ready-made property that says "
                       "%.20s%s",
                       a->minimise,
                       strcmp(a->minimise, "eps") == 0 ? "= or linf=" : "=");
    if (!read_number(&value, given) || !value.m)
        return ax_fail(err, AX_EUSAGE,
                       "--minimise wants %s= above 0 and of up to 17 digits, "
                       "not '%.40s'",
                       m->key, given);
    step = (struct number){value.m, value.e - 2};
    if (a->precision && (!read_number(&step, a->precision) || !step.m))
        return ax_fail(err, AX_EUSAGE,
                       "--precision wants a number above 0 of up to 17 "
                       "digits, not '%.40s'",
                       a->precision);
    AX_TRY(count_steps(&n, value, step, err));
    return bisect(j, a, m, step, n, err);
}
