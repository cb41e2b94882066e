/* vnnlib.c - a VNN-LIB 1.0 property in the normal form of ax-cert(5):
 * groups of one box and a list of conjunctions of integer rows. */
#include "island.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 64, EXP_MAX = 4096, DIGITS_MAX = 4096 };
enum { CONJ_MAX = 1048576, ROWS_IN_ALL_MAX = 67108864 };
#define CONSTANT UINT32_MAX /* stands for a variable that is 1 */

/* An exact decimal m 10^e, no trailing zero in m, |m| < 10^36; or, where
 * digits.n > 0, digits 10^e with the sign of m. */
struct decimal {
    i128 m;
    int64_t e;
    struct bytes digits;
};

struct sum { /* of k times variables */
    struct summand {
        struct decimal k;
        uint32_t var;
    } * s;
    uint64_t n, room;
    bool open; /* there is a variable */
};

struct dnf {
    struct draft { /* a conjunction under construction */
        uint32_t *rows;
        uint64_t n, room;
    } * d;
    uint64_t n, room, rows; /* rows: in all */
};

struct parser {
    struct run *r;
    struct property *pr;
    struct bytes rest, token; /* token.n == 0: the end */
    unsigned line;
    bool *declared; /* [n_x + n_y] */
    uint64_t room;  /* for rows */
};

/* Refuse, at this line and token, unless ok. */
static void want(struct parser *ps, bool ok, const char *what)
{
    if (!ok)
        refuse(ps->r, MALFORMED, "line %u, at '%.*s': %s", ps->line,
               (int)(ps->token.n < 40 ? ps->token.n : 40),
               (const char *)ps->token.p, what);
}

static bool is_space(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void next(struct parser *ps)
{
    const unsigned char *p = ps->rest.p, *end = p + ps->rest.n;
    bool comment = false;

    for (; p < end && (comment || is_space(*p) || *p == ';'); p++) {
        comment = *p == ';' || (comment && *p != '\n');
        ps->line += *p == '\n';
    }
    ps->token.p = p;
    if (p < end && (*p == '(' || *p == ')'))
        p++;
    else
        while (p < end && !is_space(*p) && !strchr("();", *p))
            p++;
    ps->token.n = (size_t)(p - ps->token.p);
    ps->rest = (struct bytes){p, (size_t)(end - p)};
}

/* Is this the token? Then it is taken. */
static bool is(struct parser *ps, const char *text)
{
    bool same = bytes_are(ps->token, text);

    if (same)
        next(ps);
    return same;
}

/* Bring a decimal into its one form. */
static struct decimal settle(struct parser *ps, bool over, i128 m, int64_t e)
{
    i128 limit = (i128)1000000000000000000 * 1000000000000000000;

    for (; m != 0 && m % 10 == 0; e++)
        m /= 10;
    e = m ? e : 0;
    want(ps,
         !over && m < limit && m > -limit && e <= EXP_MAX && e >= -EXP_MAX,
         "a decimal beyond 36 digits or exponent 4096");
    return (struct decimal){.m = m, .e = e};
}

static struct decimal add(struct parser *ps, struct decimal a,
                          struct decimal b)
{
    bool over = a.digits.n + b.digits.n > 0;

    if (!over && (a.m == 0 || b.m == 0))
        return a.m == 0 ? b : a;
    for (; a.e > b.e && !over; a.e--)
        over |= __builtin_mul_overflow(a.m, (i128)10, &a.m);
    for (; b.e > a.e && !over; b.e--)
        over |= __builtin_mul_overflow(b.m, (i128)10, &b.m);
    over |= __builtin_add_overflow(a.m, b.m, &a.m);
    return settle(ps, over, a.m, a.e);
}

/* Only a product with +-1 may have a factor of more than 36 digits. */
static struct decimal multiply(struct parser *ps, struct decimal a,
                               struct decimal b)
{
    bool over = a.digits.n + b.digits.n > 0, unit = b.e == 0;

    unit &= (b.m == 1 || b.m == -1) && b.digits.n == 0;
    over |= __builtin_mul_overflow(a.m, b.m, &a.m);
    return unit ? a : settle(ps, over, a.m, a.e + b.e);
}

static struct decimal number(struct parser *ps)
{
    const unsigned char *s = ps->token.p, *end = s + ps->token.n;
    bool minus = s < end && *s == '-', point = false, ok = true;
    unsigned char *digits = get(ps->r, ps->token.n, 1);
    struct decimal d = {.m = 0};
    int64_t exp = 0, sign = 1;
    size_t n = 0, seen = 0;

    s += s < end && (*s == '-' || *s == '+');
    for (; s < end && ((*s >= '0' && *s <= '9') || *s == '.'); s++) {
        ok &= *s != '.' || !point;
        point |= *s == '.';
        if (*s != '.') {
            seen++;
            d.e -= point;
            digits[n] = *s;
            n += n > 0 || *s != '0'; /* leading zeros do not count */
        }
    }
    if (s < end && (*s == 'e' || *s == 'E')) {
        sign = ++s < end && *s == '-' ? -1 : 1;
        s += s < end && (*s == '-' || *s == '+');
        for (ok &= s < end; s < end && *s >= '0' && *s <= '9'; s++)
            exp = exp < 1000000000 ? 10 * exp + (*s - '0') : exp;
    }
    want(ps, ok && s == end && seen > 0, "no number and no variable");
    for (; n > 0 && digits[n - 1] == '0'; n--)
        d.e++;
    d.e = n > 0 ? d.e + sign * exp : 0;
    want(ps, n <= DIGITS_MAX && d.e <= EXP_MAX && d.e >= -EXP_MAX,
         "beyond 4096 digits or exponent 4096");
    for (size_t i = 0; i < n && n <= 36; i++)
        d.m = 10 * d.m + (digits[i] - '0'); /* below 10^36 */
    d.digits = (struct bytes){digits, n > 36 ? n : 0};
    if (n > 36)
        d.m = 1;
    else
        give(ps->r, digits);
    d.m = minus ? -d.m : d.m;
    return d;
}

static uint32_t variable(struct parser *ps)
{
    const struct bytes t = ps->token;
    bool y = t.n > 0 && *t.p == 'Y', ok = t.n > 2 && t.p[1] == '_';
    uint32_t n = y ? ps->pr->n_y : ps->pr->n_x;
    uint64_t v = 0;

    ok = ok && (y || *t.p == 'X') && (t.n == 3 || t.p[2] != '0');
    for (size_t i = 2; ok && i < t.n; i++) {
        ok = t.p[i] >= '0' && t.p[i] <= '9';
        v = 10 * v + (uint64_t)(t.p[i] - '0'); /* v < 2^32 before */
        want(ps, !ok || v < n, "the network has not so many");
    }
    want(ps, ok, "no variable");
    return (uint32_t)v + (y ? ps->pr->n_x : 0);
}

static void push(struct parser *ps, struct sum *out, uint32_t var,
                 struct decimal k)
{
    out->s = grow(ps->r, out->s, out->n, &out->room, sizeof *out->s);
    out->s[out->n++] = (struct summand){k, var};
    out->open |= var != CONSTANT;
}

/* out += k a; a is used up */
static void push_all(struct parser *ps, struct sum *out, struct sum a,
                     struct decimal k)
{
    for (uint64_t i = 0; i < a.n; i++)
        push(ps, out, a.s[i].var, multiply(ps, a.s[i].k, k));
    give(ps->r, a.s);
}

/* Read a term; the depth ends the recursion. */
static struct sum term(struct parser *ps, int depth)
{
    const struct decimal one = {.m = 1}, minus_one = {.m = -1};
    struct sum out = {0}, a, b;
    struct decimal k;
    char op;

    want(ps, depth <= DEPTH_MAX && ps->token.n > 0, "too deep, or the end");
    if (!is(ps, "(")) {
        if (*ps->token.p == 'X' || *ps->token.p == 'Y')
            push(ps, &out, variable(ps), one);
        else
            push(ps, &out, CONSTANT, number(ps));
        want(ps, out.s->var == CONSTANT || ps->declared[out.s->var],
             "not declared");
        next(ps);
        return out;
    }
    op = is(ps, "+") ? '+' : is(ps, "-") ? '-' : is(ps, "*") ? '*' : 0;
    want(ps, op != 0, "+, - or * wanted");
    a = term(ps, depth + 1);
    if (op == '*') {
        b = term(ps, depth + 1);
        want(ps, !a.open || !b.open, "no factor of * is constant");
        k = (struct decimal){.m = 0};
        for (uint64_t i = 0; i < (b.open ? a : b).n; i++)
            k = add(ps, k, (b.open ? a : b).s[i].k);
        push_all(ps, &out, b.open ? b : a, k);
        give(ps->r, (b.open ? a : b).s);
    } else {
        bool minus = op == '-' && bytes_are(ps->token, ")");

        push_all(ps, &out, a, minus ? minus_one : one);
        while (!bytes_are(ps->token, ")"))
            push_all(ps, &out, term(ps, depth + 1),
                     op == '-' ? minus_one : one);
    }
    want(ps, is(ps, ")"), "')' wanted");
    return out;
}

static int by_variable(const void *a, const void *b)
{
    uint32_t x = ((const struct summand *)a)->var,
             y = ((const struct summand *)b)->var;

    return (x > y) - (x < y);
}

/* Sort, add what speaks of the same variable, and take out the constant,
 * which sorts last. */
static struct decimal merge(struct parser *ps, struct sum *l)
{
    struct decimal c = {.m = 0};
    uint64_t n = 0;

    qsort(l->s, l->n, sizeof *l->s, by_variable);
    for (uint64_t i = 0; i < l->n; i++) {
        struct summand s = l->s[i];

        for (; i + 1 < l->n && l->s[i + 1].var == s.var; i++)
            s.k = add(ps, s.k, l->s[i + 1].k);
        if (s.var == CONSTANT)
            c = s.k;
        else if (s.k.m != 0)
            l->s[n++] = s;
    }
    l->n = n;
    return c;
}

struct big row_value(struct run *r, const struct row *row)
{
    struct big b = {0};

    for (size_t i = 0; i < row->digits.n; i++)
        big_mul(r, &b, 10, (uint64_t)(row->digits.p[i] - '0'));
    big_ten(r, &b, row->exp);
    return b;
}

/* ceil(D 2^64). A D too large in magnitude becomes the extreme on its side:
 * no bound is above the one, and a bound in 128 bits that is above the
 * other is above D, too. */
static i128 round_up(struct run *r, const struct row *row)
{
    struct big b = row_value(r, row), scaled = {0};
    bool inexact;
    i128 v = 0;

    big_addmul(r, &scaled, &b, 1, 64);
    inexact = big_tenth(&scaled, -row->exp);
    for (size_t i = scaled.n; i-- > 0 && big_bits(&scaled) <= 126;)
        v = v << 64 | scaled.w[i];
    v = row->neg ? -v : v + inexact;
    if (big_bits(&scaled) > 126)
        v = row->neg ? I128_MIN : I128_MAX;
    give(r, b.w);
    give(r, scaled.w);
    return v;
}

/* The row l + c <= 0, or with minus -l - c <= 0. */
static void make_row(struct parser *ps, const struct sum *l, struct decimal c,
                     bool minus, bool strict, struct draft *out)
{
    const i128 limit = 1 << 26;
    unsigned char *text = get(ps->r, 40, 1);
    size_t n = 40;
    struct row *row;
    int64_t k = 0;

    ps->pr->rows = grow(ps->r, ps->pr->rows, ps->pr->n_rows, &ps->room,
                        sizeof *row);
    row = &ps->pr->rows[ps->pr->n_rows];
    out->rows = grow(ps->r, out->rows, out->n, &out->room, 4);
    out->rows[out->n++] = ps->pr->n_rows++; /* fewer than bytes of text */
    *row = (struct row){.n = (uint32_t)l->n, .strict = strict};
    row->var = get(ps->r, l->n, sizeof *row->var);
    row->coef = get(ps->r, l->n, sizeof *row->coef);
    for (uint64_t i = 0; i < l->n; i++)
        k = -l->s[i].k.e > k ? -l->s[i].k.e : k;
    for (uint64_t i = 0; i < l->n; i++) {
        i128 m = minus ? -l->s[i].k.m : l->s[i].k.m;
        int64_t e = l->s[i].k.e + k; /* >= 0 */

        for (; e > 0 && m < limit && m > -limit; e--)
            m *= 10;
        want(ps, m < limit && m > -limit, "a coefficient of 2^26 or more");
        row->var[i] = l->s[i].var;
        row->coef[i] = (int32_t)m;
    }
    row->neg = minus ? c.m < 0 : c.m > 0;
    row->exp = c.m != 0 ? c.e + k : 0;
    for (i128 m = c.m < 0 ? -c.m : c.m; m > 0; m /= 10)
        text[--n] = (unsigned char)('0' + (int)(m % 10));
    row->digits = (struct bytes){text + n, 40 - n};
    if (c.digits.n > 0)
        row->digits = c.digits;
    row->box = row->n == 1 && row->var[0] < ps->pr->n_x &&
               (row->coef[0] == 1 || row->coef[0] == -1);
    row->d64 = round_up(ps->r, row);
}

static struct dnf comparison(struct parser *ps, int depth)
{
    bool lt = is(ps, "<"), le = !lt && is(ps, "<="), gt = is(ps, ">");
    bool ge = !gt && is(ps, ">="), eq = !lt && !le && !gt && !ge;
    struct dnf out = {.n = 1, .room = 1};
    struct sum l;
    struct decimal c;

    want(ps, !eq || is(ps, "="), "and, or or a comparison wanted");
    l = term(ps, depth + 1);
    push_all(ps, &l, term(ps, depth + 1), (struct decimal){.m = -1});
    c = merge(ps, &l);
    out.d = get(ps->r, 1, sizeof *out.d);
    if (lt || le || eq)
        make_row(ps, &l, c, false, lt, out.d);
    if (gt || ge || eq)
        make_row(ps, &l, c, true, gt, out.d);
    give(ps->r, l.s);
    out.rows = out.d->n;
    return out;
}

static void append(struct parser *ps, struct draft *a, const struct draft *b)
{
    a->rows = grow(ps->r, a->rows, a->n + b->n, &a->room, 4);
    for (uint64_t i = 0; i < b->n; i++)
        a->rows[a->n++] = b->rows[i];
}

/* a or b, a and b: both are used up. There are at most 2^20 conjunctions
 * and 2^26 rows in each, so the products do not overflow. */
static struct dnf combine(struct parser *ps, bool is_and, struct dnf a,
                          struct dnf b)
{
    struct dnf c = a;

    c.n = is_and ? a.n * b.n : a.n + b.n;
    c.rows = is_and ? a.rows * b.n + b.rows * a.n : a.rows + b.rows;
    want(ps, c.n <= CONJ_MAX && c.rows <= ROWS_IN_ALL_MAX,
         "more than 1048576 conjunctions or 67108864 rows");
    if (!is_and) {
        c.d = grow(ps->r, a.d, c.n, &c.room, sizeof *a.d);
        memcpy(c.d + a.n, b.d, b.n * sizeof *b.d);
        give(ps->r, b.d);
        return c;
    }
    if (b.n > 1) {
        c.d = get(ps->r, c.n, sizeof *c.d);
        c.room = c.n;
        for (uint64_t i = 0; i < c.n; i++)
            append(ps, &c.d[i], &a.d[i / b.n]);
        for (uint64_t i = 0; i < a.n; i++)
            give(ps->r, a.d[i].rows);
        give(ps->r, a.d);
    } /* else in place: many assertions must not take quadratic time */
    for (uint64_t i = 0; i < c.n; i++)
        append(ps, &c.d[i], &b.d[i % b.n]);
    for (uint64_t i = 0; i < b.n; i++)
        give(ps->r, b.d[i].rows);
    give(ps->r, b.d);
    return c;
}

static struct dnf formula(struct parser *ps, int depth)
{
    struct dnf out;
    bool is_and;

    want(ps, depth <= DEPTH_MAX, "nested more than 64 deep");
    want(ps, is(ps, "("), "'(' wanted");
    is_and = is(ps, "and");
    if (is_and || is(ps, "or")) {
        out = formula(ps, depth + 1);
        while (!bytes_are(ps->token, ")"))
            out = combine(ps, is_and, out, formula(ps, depth + 1));
    } else {
        out = comparison(ps, depth);
    }
    want(ps, is(ps, ")"), "')' wanted");
    return out;
}

/* Bounds at scale 64 of one conjunction, b[2 i] and b[2 i + 1] of X_i.
 * Returns false if no input makes it true. */
static bool find_box(struct parser *ps, const struct draft *d, i128 *b)
{
    const i128 limit = (i128)1 << 108;
    uint32_t n = 2 * ps->pr->n_x;
    bool filled = true;

    for (uint32_t i = 0; i < n; i++)
        b[i] = i % 2 ? I128_MAX : I128_MIN;
    for (uint64_t i = 0; i < d->n; i++) {
        const struct row *row = &ps->pr->rows[d->rows[i]];
        i128 *x = row->box ? &b[2 * row->var[0]] : NULL;

        if (row->n == 0 && row->neg) /* 0 <= D is false */
            return false;
        /* floor(-D 2^64) = -ceil(D 2^64), and I128_MIN is no bound. */
        if (x && row->coef[0] < 0 && row->d64 > I128_MIN && -row->d64 > x[0])
            x[0] = -row->d64;
        if (x && row->coef[0] > 0 && row->d64 < x[1])
            x[1] = row->d64;
    }
    for (uint32_t i = 0; i < n; i++)
        if (b[i] >= limit || b[i] <= -limit)
            refuse(ps->r, MALFORMED,
                   "X_%u has not two bounds below 2^44 in "
                   "magnitude",
                   i / 2);
    for (uint32_t i = 0; i < n; i += 2)
        filled &= b[i] <= b[i + 1];
    return filled;
}

/* The integer box. With |lo64|, |hi64| < 2^(64 + b) the integers at scale
 * P = 44 - b are at most 2^44 in magnitude. */
static struct group make_group(struct parser *ps, const i128 *b)
{
    uint32_t n = ps->pr->n_x;
    struct group g = {.scale = 44,
                      .lo = get(ps->r, n, sizeof *g.lo),
                      .hi = get(ps->r, n, sizeof *g.hi)};

    for (uint32_t i = 0; i < 2 * n; i++)
        while ((b[i] < 0 ? -b[i] : b[i]) >> (64 + 44 - g.scale) > 0)
            g.scale--;
    for (uint32_t i = 0; i < n; i++) {
        g.lo[i] = (int64_t)(b[2 * i] >> (64 - g.scale));
        g.hi[i] = (int64_t) - (-b[2 * i + 1] >> (64 - g.scale));
    }
    return g;
}

/* A conjunction of a group: rows that are neither box nor constant first. */
static struct conj make_conj(struct parser *ps, const struct draft *d)
{
    struct conj c = {.rows = get(ps->r, d->n, sizeof *c.rows)};

    for (int rest = 0; rest < 2; rest++) {
        for (uint64_t i = 0; i < d->n; i++) {
            const struct row *row = &ps->pr->rows[d->rows[i]];

            if ((row->box || row->n == 0) == rest)
                c.rows[c.n_all++] = d->rows[i];
        }
        c.n_rows = rest ? c.n_rows : c.n_all;
    }
    return c;
}

static void make_groups(struct parser *ps, const struct dnf *all)
{
    struct property *pr = ps->pr;
    size_t size = 2 * pr->n_x * sizeof(i128);
    i128 *b = get(ps->r, size, 1), *last = get(ps->r, size, 1);
    uint64_t room = 0, conj_room = 0;

    for (uint64_t i = 0; i < all->n; i++) {
        struct group *g;

        if (!find_box(ps, &all->d[i], b))
            continue;
        if (pr->n_groups == 0 || memcmp(b, last, size) != 0) {
            pr->groups = grow(ps->r, pr->groups, pr->n_groups, &room,
                              sizeof *pr->groups);
            pr->groups[pr->n_groups++] = make_group(ps, b);
            conj_room = 0;
            memcpy(last, b, size);
        }
        g = &pr->groups[pr->n_groups - 1];
        g->conj = grow(ps->r, g->conj, g->n_conj, &conj_room,
                       sizeof *g->conj);
        g->conj[g->n_conj++] = make_conj(ps, &all->d[i]);
    }
}

void property_read(struct run *r, struct property *pr, struct bytes text,
                   uint32_t n_x, uint32_t n_y)
{
    struct parser ps = {.r = r, .pr = pr, .rest = text, .line = 1};
    struct dnf all = {.n = 1, .room = 1}; /* and of nothing: true */
    uint64_t n = (uint64_t)n_x + n_y;

    *pr = (struct property){.n_x = n_x, .n_y = n_y};
    ps.declared = get(r, n, sizeof *ps.declared);
    all.d = get(r, 1, sizeof *all.d);
    for (next(&ps); ps.token.n > 0;) {
        want(&ps, is(&ps, "("), "'(' wanted");
        if (is(&ps, "declare-const")) {
            uint32_t var = variable(&ps);

            want(&ps, !ps.declared[var], "declared twice");
            ps.declared[var] = true;
            next(&ps);
            want(&ps, is(&ps, "Real"), "'Real' wanted");
        } else {
            want(&ps, is(&ps, "assert"), "declare-const or assert wanted");
            all = combine(&ps, true, all, formula(&ps, 1));
        }
        want(&ps, is(&ps, ")"), "')' wanted");
    }
    for (uint64_t i = 0; i < n; i++)
        if (!ps.declared[i])
            refuse(r, MALFORMED,
                   "the network has %u inputs and %u outputs, "
                   "not all are declared",
                   n_x, n_y);
    make_groups(&ps, &all);
}
