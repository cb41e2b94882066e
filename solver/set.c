/* Sets of inputs, or of outputs, that properties are made of: boxes whose
 * ends are exact decimals. See ax/ready.h. */
#include "set.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_CHARS 512 /* of one number in a text */

static ax_status no_memory(struct ax_err *err)
{
    return ax_fail(err, AX_ENOMEM, "no memory for a set");
}

void ax_set_free(struct ax_set *s)
{
    if (!s)
        return;
    ax_arena_free(s->arena);
    free(s->end[0]);
    free(s->end[1]);
    free(s);
}

static struct ax_set *set_new(uint32_t n)
{
    struct ax_set *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->n = n;
    s->arena = ax_arena_new();
    s->end[0] = calloc((size_t)n + 1, sizeof *s->end[0]);
    s->end[1] = calloc((size_t)n + 1, sizeof *s->end[1]);
    if (s->arena && s->end[0] && s->end[1])
        return s;
    ax_set_free(s);
    return NULL;
}

/* Give the set to the caller, or free it. */
static ax_status finish(struct ax_set **out, struct ax_set *s, ax_status st)
{
    *out = st == AX_OK ? s : NULL;
    if (st != AX_OK)
        ax_set_free(s);
    return st;
}

/* ---- balls ---- */

static ax_status read_ball(const struct ax_ball *ball, struct fixed *numbers,
                           const struct fixed **ends, struct ax_err *err)
{
    const char *const texts[] = {ball->radius, ball->min, ball->max};
    static const char *const names[] = {"linf", "min", "max"};

    for (int i = 0; i < 3; i++) {
        ends[i] = texts[i] ? &numbers[i] : NULL;
        if (texts[i] && !fixed_read(&numbers[i], texts[i]))
            return ax_fail(err, AX_EUSAGE, "%s= wants a number, not '%.40s'",
                           names[i], texts[i]);
    }
    if (!ball->radius || fixed_sign(&numbers[0]) < 0)
        return ax_fail(err, AX_EUSAGE, "linf= wants a number from 0 on");
    if (ends[1] && ends[2] && fixed_compare(ends[1], ends[2]) > 0)
        return ax_fail(err, AX_EUSAGE, "min= is above max=");
    return AX_OK;
}

/* One side of the ball: x less (side 0) or more the radius, or the nearer
 * end, if there is one. False: it is beyond the farther end. */
static bool ball_end(struct fixed *at, double x,
                     const struct fixed *const *ends, int side)
{
    const struct fixed *nearer = ends[side ? 2 : 1];
    const struct fixed *farther = ends[side ? 1 : 2];
    int sign = side ? 1 : -1;
    struct fixed centre;

    fixed_double(&centre, x);
    fixed_sum(at, &centre, ends[0], side == 0);
    if (nearer && sign * fixed_compare(at, nearer) > 0)
        *at = *nearer;
    return !farther || sign * fixed_compare(at, farther) >= 0;
}

static ax_status fill_ball(struct ax_set *s, const double *x,
                           const struct ax_ball *ball, struct ax_err *err)
{
    struct fixed numbers[3], at;
    const struct fixed *ends[3];

    AX_TRY(read_ball(ball, numbers, ends, err));
    for (uint32_t i = 0; i < s->n; i++) {
        if (!isfinite(x[i]))
            return ax_fail(err, AX_EFORMAT, "element %u is not finite", i);
        for (int side = 0; side < 2; side++) {
            if (!ball_end(&at, x[i], ends, side))
                return ax_fail(err, AX_EUSAGE,
                               "element %u of the input, %g, is out of reach "
                               "of min= and max=",
                               i, x[i]);
            s->end[side][i] = fixed_text(&at, s->arena);
            if (!s->end[side][i])
                return no_memory(err);
        }
    }
    return AX_OK;
}

ax_status ax_set_ball(struct ax_set **out, const double *x, uint32_t n,
                      const struct ax_ball *ball, struct ax_err *err)
{
    struct ax_set *s = set_new(n);

    *out = NULL;
    return s ? finish(out, s, fill_ball(s, x, ball, err)) : no_memory(err);
}

/* ---- boxes ---- */

static ax_status fill_box(struct ax_set *s, const double *lo,
                          const double *hi, struct ax_err *err)
{
    for (uint32_t i = 0; i < s->n; i++) {
        if (isnan(lo[i]) || isnan(hi[i]) || lo[i] > hi[i])
            return ax_fail(err, AX_EFORMAT,
                           "element %u: no interval from %g to %g", i, lo[i],
                           hi[i]);
        for (int side = 0; side < 2; side++) {
            double v = side ? hi[i] : lo[i];
            struct fixed at;

            if (isinf(v))
                continue;
            fixed_double(&at, v);
            s->end[side][i] = fixed_text(&at, s->arena);
            if (!s->end[side][i])
                return no_memory(err);
        }
    }
    return AX_OK;
}

ax_status ax_set_box(struct ax_set **out, const double *lo, const double *hi,
                     uint32_t n, struct ax_err *err)
{
    struct ax_set *s = set_new(n);

    *out = NULL;
    return s ? finish(out, s, fill_box(s, lo, hi, err)) : no_memory(err);
}

/* An end as it is written; infinite: none. False if it is no number. */
static bool read_end(struct fixed *out, bool *none, const char *text,
                     int side)
{
    *none = strcmp(text, side ? "inf" : "-inf") == 0;
    return *none || fixed_read(out, text);
}

/* Element i lies between two texts; NULL: as infinite. */
static ax_status put_range(struct ax_set *s, uint32_t i, const char *lo,
                           const char *hi, struct ax_err *err)
{
    const char *const texts[] = {lo ? lo : "-inf", hi ? hi : "inf"};
    struct fixed at[2];
    bool none[2];

    for (int side = 0; side < 2; side++) {
        s->end[side][i] = NULL;
        if (!read_end(&at[side], &none[side], texts[side], side))
            return ax_fail(err, AX_EUSAGE, "a number is wanted, not '%.40s'",
                           texts[side]);
        if (none[side])
            continue;
        s->end[side][i] = fixed_text(&at[side], s->arena);
        if (!s->end[side][i])
            return no_memory(err);
    }
    if (!none[0] && !none[1] && fixed_compare(&at[0], &at[1]) > 0)
        return ax_fail(err, AX_EUSAGE, "%.40s is above %.40s", texts[0],
                       texts[1]);
    return AX_OK;
}

ax_status ax_set_range(struct ax_set *s, uint32_t i, const char *lo,
                       const char *hi, struct ax_err *err)
{
    if (i >= s->n)
        return ax_fail(err, AX_EUSAGE, "there is no element %u among %u", i,
                       s->n);
    return put_range(s, i, lo, hi, err);
}

ax_status ax_set_outputs(struct ax_set **out, uint32_t n_y, int64_t index,
                         const char *lo, const char *hi, struct ax_err *err)
{
    struct ax_set *s = set_new(n_y);
    ax_status st = AX_OK;

    *out = NULL;
    if (!s)
        return no_memory(err);
    if (index >= n_y)
        st = ax_fail(err, AX_EUSAGE,
                     "output= wants a number below %u, the number of outputs",
                     n_y);
    for (uint32_t j = 0; st == AX_OK && j < n_y; j++)
        if (index < 0 || j == index)
            st = put_range(s, j, lo, hi, err);
    return finish(out, s, st);
}

/* ---- boxes as text ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Copy the field [s, end) without the blanks around it. */
static bool field(char *buf, const char *s, const char *end)
{
    while (s < end && is_blank(*s))
        s++;
    while (end > s && is_blank(end[-1]))
        end--;
    if ((size_t)(end - s) >= NUMBER_CHARS)
        return false;
    memcpy(buf, s, (size_t)(end - s));
    buf[end - s] = '\0';
    return !memchr(buf, '\0', (size_t)(end - s));
}

/* A digit, or "inf"? */
static bool has_number(const char *s, const char *end)
{
    for (; s < end; s++)
        if ((*s >= '0' && *s <= '9') ||
            (end - s >= 3 && strncmp(s, "inf", 3) == 0))
            return true;
    return false;
}

static bool all_blank(const char *s, const char *end)
{
    while (s < end && is_blank(*s))
        s++;
    return s == end;
}

static ax_status text_line(struct ax_set *s, uint32_t i, const char *line,
                           const char *end, struct ax_err *err)
{
    const char *comma = memchr(line, ',', (size_t)(end - line));
    char lo[NUMBER_CHARS], hi[NUMBER_CHARS];

    if (!comma || memchr(comma + 1, ',', (size_t)(end - comma - 1)) ||
        !field(lo, line, comma) || !field(hi, comma + 1, end))
        return ax_fail(err, AX_EFORMAT,
                       "two numbers with a comma between them are wanted");
    return put_range(s, i, lo, hi, err);
}

static ax_status fill_text(struct ax_set *s, const char *text, size_t n,
                           struct ax_err *err)
{
    const char *at = text, *end = text + n;
    unsigned line = 1;
    uint32_t i = 0;

    for (; at < end; line++) {
        const char *eol = memchr(at, '\n', (size_t)(end - at));
        const char *stop = eol ? eol : end;
        bool header = line == 1 && !has_number(at, stop);

        if (!header && !all_blank(at, stop)) {
            if (i == s->n)
                return ax_fail(err, AX_ESHAPE,
                               "line %u: more than %u intervals", line, s->n);
            if (text_line(s, i++, at, stop, err) != AX_OK) {
                err->code = err->code == AX_ENOMEM ? AX_ENOMEM : AX_EFORMAT;
                return ax_fail_in(err, "line %u", line);
            }
        }
        at = eol ? eol + 1 : end;
    }
    if (i != s->n)
        return ax_fail(err, AX_ESHAPE, "%u intervals where %u are wanted", i,
                       s->n);
    return AX_OK;
}

ax_status ax_set_text(struct ax_set **out, const char *text, size_t n_text,
                      uint32_t n, struct ax_err *err)
{
    struct ax_set *s = set_new(n);

    *out = NULL;
    return s ? finish(out, s, fill_text(s, text, n_text, err))
             : no_memory(err);
}
