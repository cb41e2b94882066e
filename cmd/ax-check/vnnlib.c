/* vnnlib.c - a VNN-LIB 1.0 property in the normal form of ax-cert(5):
 * groups of one box and a list of conjunctions of integer rows. */
#include "island.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 64, DIGITS_MAX = 4096 };
enum { CONJ_MAX = 1048576, ROWS_IN_ALL_MAX = 67108864 };
#define CONSTANT UINT32_MAX    /* stands for a variable that is 1 */
#define ONE      1000000000000 /* numbers are in units of 10^-12 */
#define MOST     ((i128)ONE * ONE)

struct summand { /* k 10^-12 times a variable */
    i128 k;
    uint32_t var;
};

struct formula {
    enum { ROW, AND, OR } kind;
    uint32_t row;
    struct formula *child, *next; /* the first operand; the one after this */
    const struct formula *then;   /* what must be true besides */
    uint64_t n, rows;             /* conjunctions; rows in all of them */
};

struct parser {
    struct run *r;
    struct property *pr;
    struct bytes rest, token; /* token.n == 0: the end */
    unsigned line;
    bool *declared;         /* [n_x + n_y] */
    struct summand *s;      /* of the comparison at hand */
    struct decimal literal; /* and a number beyond the units; p: or NULL */
    uint64_t n, room, rows_room;
    uint32_t *conj; /* rows of the conjunction at hand */
    uint64_t n_conj, conj_room;
    i128 *box, *last;               /* bounds, and those of the last group */
    uint64_t group_room, list_room; /* of groups, of its conjunctions */
};

/* Refuse, at this line and token, unless ok. */
static void want(struct parser *ps, bool ok, const char *what)
{
    if (!ok)
        refuse(ps->r, MALFORMED, "line %u, at '%.*s': %s", ps->line,
               (int)(ps->token.n < 40 ? ps->token.n : 40),
               (const char *)ps->token.p, what);
}

static bool is_one_of(unsigned char c, const char *set)
{
    return c != 0 && strchr(set, c) != NULL;
}

static void next(struct parser *ps)
{
    const unsigned char *p = ps->rest.p, *end = p + ps->rest.n;
    bool comment = false;
    for (; p < end && (comment || is_one_of(*p, " \t\r\n;")); p++) {
        comment = *p == ';' || (comment && *p != '\n');
        ps->line += *p == '\n';
    }
    ps->token.p = p;
    p += p < end && (*p == '(' || *p == ')');
    while (p < end && (p == ps->token.p || *ps->token.p > ')') &&
           !is_one_of(*p, " \t\r\n;()"))
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

/* ---- numbers ---- */

static i128 within(struct parser *ps, bool ok, i128 v)
{
    want(ps, ok && v < MOST && v > -MOST,
         "arithmetic beyond multiples of 10^-12 below 10^12");
    return v;
}

static struct decimal decimal(struct parser *ps, struct bytes t)
{
    const unsigned char *s = t.p, *end = s + t.n;
    struct decimal d = {.before = -1, .minus = *s == '-'};
    bool down, ok = true;
    int64_t e = 0;
    s += *s == '-' || *s == '+';
    for (d.p = s; s < end && is_one_of(*s, ".0123456789"); s++) {
        ok &= *s != '.' || d.before < 0;
        if (*s == '.')
            d.before = d.n;
        else
            d.n++;
    }
    d.before = d.before < 0 ? d.n : d.before;
    if (s < end && (*s == 'e' || *s == 'E')) {
        down = ++s < end && *s == '-';
        s += s < end && (*s == '-' || *s == '+');
        ok &= s < end;
        for (; s < end && is_one_of(*s, "0123456789"); s++)
            e = e < 1000000 ? 10 * e + (*s - '0') : e;
        d.exp = down ? -e : e;
    }
    want(ps, ok && s == end && d.n > 0, "no number");
    want(ps, d.n <= DIGITS_MAX && e <= DIGITS_MAX,
         "beyond 4096 digits or exponent 4096");
    return d;
}

/* The digit of a power of ten. */
static unsigned digit(const struct decimal *d, int64_t power)
{
    int64_t i = d->before + d->exp - 1 - power;
    return i < 0 || i >= d->n ? 0 : d->p[i + (i >= d->before)] - '0';
}

/* The digits of powers from down to to, as one number; false if there are
 * digits before them. */
static bool digits(const struct decimal *d, int64_t from, int64_t to, i128 *v)
{
    *v = 0;
    for (int64_t p = d->before + d->exp - 1; p > from; p--)
        if (digit(d, p) > 0)
            return false;
    for (; from >= to; from--)
        *v = 10 * *v + digit(d, from);
    return true;
}

/* ceil(D 2^64), and whether that is exact. Too large a D, 2^62 or more,
 * becomes I128_MAX, which no bound is above, or -2^126, which is not below D
 * 2^64: a bound above it is above D, too. */
static void set_d(struct row *row, struct decimal d)
{
    i128 v, f = 0;
    row->d = d;
    row->exact = true;
    row->d64 = d.minus ? -((i128)1 << 126) : I128_MAX;
    if (!digits(&d, 19, 0, &v) || v >> 62 > 0)
        return;
    /* floor((a + f) / 10) = floor((a + floor(f)) / 10) */
    for (int64_t p = d.before + d.exp - d.n; p < 0; p++) {
        f += (i128)digit(&d, p) << 64;
        row->exact &= f % 10 == 0;
        f /= 10;
    }
    v = (v << 64) + f;
    row->d64 = d.minus ? -v : v + !row->exact;
}

bool opposite(const struct row *a, const struct row *b)
{
    int64_t pa = a->d.before + a->d.exp, pb = b->d.before + b->d.exp;
    int64_t la = pa - a->d.n, lb = pb - b->d.n;
    bool same = a->d.minus != b->d.minus;
    for (int64_t p = la < lb ? la : lb; same && (p < pa || p < pb); p++)
        same = digit(&a->d, p) == digit(&b->d, p);
    return same;
}

/* ---- terms ---- */

static uint32_t variable(struct parser *ps)
{
    const struct bytes t = ps->token;
    bool y = *t.p == 'Y', ok = t.n > 2 && t.p[1] == '_';
    uint32_t n = y ? ps->pr->n_y : ps->pr->n_x;
    uint64_t v = 0;
    ok = ok && (y || *t.p == 'X') && (t.n == 3 || t.p[2] != '0');
    for (size_t i = 2; ok && i < t.n; i++) {
        v = 10 * v + (uint64_t)(t.p[i] - '0'); /* v < 2^32 before */
        ok = is_one_of(t.p[i], "0123456789") && v < n;
    }
    want(ps, ok, "no variable of this network");
    return (uint32_t)v + (y ? ps->pr->n_x : 0);
}

static int by_variable(const void *a, const void *b)
{
    uint32_t x = ((const struct summand *)a)->var,
             y = ((const struct summand *)b)->var;
    return (x > y) - (x < y);
}

/* Sort the summands from number first on, and add what speaks of the same
 * variable; the constant comes last. */
static void merge(struct parser *ps, uint64_t first)
{
    uint64_t n = first;
    if (ps->n > first)
        qsort(ps->s + first, ps->n - first, sizeof *ps->s, by_variable);
    for (uint64_t i = first; i < ps->n; i++) {
        struct summand s = ps->s[i];
        for (; i + 1 < ps->n && ps->s[i + 1].var == s.var; i++)
            s.k = within(ps, true, s.k + ps->s[i + 1].k);
        if (s.k != 0)
            ps->s[n++] = s;
    }
    ps->n = n;
}

/* A number in units; one beyond them is the literal, if it is a whole side.
 */
static i128 number(struct parser *ps, bool whole)
{
    struct decimal d = decimal(ps, ps->token);
    i128 v;
    bool fits = digits(&d, 11, -12, &v);
    for (int64_t p = d.before + d.exp - d.n; p < -12; p++)
        fits &= digit(&d, p) == 0;
    if (!fits && whole && !ps->literal.p) {
        ps->literal = d;
        return 0;
    }
    return within(ps, fits, d.minus ? -v : v);
}

/* Are all summands from first to end - 1 constants; and their sum. */
static bool constant(struct parser *ps, uint64_t first, uint64_t end, i128 *k)
{
    bool all = true;
    for (*k = 0; first < end; first++) {
        all &= ps->s[first].var == CONSTANT;
        *k += all ? ps->s[first].k : 0;
    }
    return all;
}

/* The factor of all summands is in those from first to second - 1, or in
 * those behind. */
static void multiply(struct parser *ps, uint64_t first, uint64_t second)
{
    i128 k, v;
    bool is_left = constant(ps, first, second, &k);
    want(ps, is_left || constant(ps, second, ps->n, &k),
         "no factor of * is a constant of the units");
    ps->n = is_left ? ps->n : second;
    for (uint64_t i = first; i < ps->n; i++) {
        bool ok = !__builtin_mul_overflow(ps->s[i].k, k, &v) && v % ONE == 0;
        ps->s[i].k = i < second && is_left ? 0 : within(ps, ok, v / ONE);
    }
}

/* The summands of a term, a whole side or not, negated or not, go behind the
 * others; the depth ends the recursion. */
static void term(struct parser *ps, int depth, bool minus, bool whole)
{
    uint64_t first = ps->n, second;
    bool add, sub, had = ps->literal.p;
    want(ps, depth <= DEPTH_MAX && ps->token.n > 0, "too deep, or the end");
    if (!is(ps, "(")) {
        struct summand s = {ONE, CONSTANT};
        if (is_one_of(*ps->token.p, "XY"))
            s.var = variable(ps);
        else
            s.k = number(ps, whole);
        want(ps, s.var == CONSTANT || ps->declared[s.var], "not declared");
        s.k = minus ? -s.k : s.k;
        ps->s = grow(ps->r, ps->s, ps->n, &ps->room, sizeof *ps->s);
        ps->s[ps->n++] = s;
        next(ps);
        return;
    }
    add = is(ps, "+");
    sub = !add && is(ps, "-");
    want(ps, add || sub || is(ps, "*"), "+, - or * wanted");
    term(ps, depth + 1, minus, whole && (add || sub));
    second = ps->n;
    if (!add && !sub) {
        term(ps, depth + 1, false, false);
        multiply(ps, first, second);
    } else if (sub && bytes_are(ps->token, ")")) {
        for (uint64_t i = first; i < ps->n; i++)
            ps->s[i].k = -ps->s[i].k;
        ps->literal.minus ^= !had;
    } else {
        want(ps, had || !ps->literal.p, "arithmetic with a long number");
        while (!bytes_are(ps->token, ")"))
            term(ps, depth + 1, sub != minus, false);
    }
    merge(ps, first);
    want(ps, is(ps, ")"), "')' wanted");
}

/* ---- formulas ---- */

/* The row that the summands make, and the literal, <= 0; or >= 0. */
static struct formula *make_row(struct parser *ps, bool less, bool strict)
{
    struct formula *out = get(ps->r, 1, sizeof *out);
    struct decimal d = ps->literal;
    uint64_t n = ps->n;
    i128 unit = ONE, c = 0;
    struct row *row;
    if (n > 0 && ps->s[n - 1].var == CONSTANT)
        c = ps->s[--n].k;
    if (!d.p) {
        i128 size = c < 0 ? -c : c;
        char *text = get(ps->r, 48, 1);
        int used = snprintf(text, 48, "%lld.%012lld", (long long)(size / ONE),
                            (long long)(size % ONE));
        d = decimal(ps, (struct bytes){(unsigned char *)text, (size_t)used});
        d.minus = c < 0;
    }
    ps->pr->rows = grow(ps->r, ps->pr->rows, ps->pr->n_rows, &ps->rows_room,
                        sizeof *row);
    *out = (struct formula){.n = 1, .rows = 1, .row = ps->pr->n_rows};
    row = &ps->pr->rows[ps->pr->n_rows++];
    *row = (struct row){.n = (uint32_t)n, .strict = strict};
    row->var = get(ps->r, n, sizeof *row->var);
    row->coef = get(ps->r, n, sizeof *row->coef);
    for (uint64_t i = 0; i < n; i++)
        for (; ps->s[i].k % unit != 0; d.exp++)
            unit /= 10; /* ends at 1 */
    for (uint64_t i = 0; i < n; i++) {
        i128 m = (less ? ps->s[i].k : -ps->s[i].k) / unit;
        want(ps, m < 1 << 26 && m > -(1 << 26),
             "a coefficient of 2^26 or more");
        row->var[i] = ps->s[i].var;
        row->coef[i] = (int32_t)m;
    }
    row->box = row->n == 1 && row->var[0] < ps->pr->n_x &&
               (row->coef[0] == 1 || row->coef[0] == -1);
    d.minus = d.minus != less; /* to the other side */
    set_d(row, d);
    return out;
}

static struct formula *comparison(struct parser *ps, int depth)
{
    bool lt = is(ps, "<"), le = !lt && is(ps, "<="), gt = is(ps, ">");
    bool ge = !gt && is(ps, ">="), eq = !lt && !le && !gt && !ge, left;
    struct formula *out;
    want(ps, !eq || is(ps, "="), "and, or or a comparison wanted");
    ps->n = 0;
    ps->literal.p = NULL;
    term(ps, depth + 1, false, true);
    left = ps->literal.p;
    term(ps, depth + 1, true, true);
    ps->literal.minus ^= !left;
    merge(ps, 0);
    want(ps, !ps->literal.p || ps->n == 0 || ps->s[ps->n - 1].var != CONSTANT,
         "arithmetic with a long number");
    if (!eq)
        return make_row(ps, lt || le, lt || gt);
    out = get(ps->r, 1, sizeof *out);
    *out = (struct formula){.kind = AND, .n = 1, .rows = 2};
    out->child = make_row(ps, true, false);
    out->child->next = make_row(ps, false, false);
    return out;
}

/* Add an operand at the end. There are at most 2^20 conjunctions and 2^26
 * rows in each, so the products do not overflow. */
static void add_operand(struct parser *ps, struct formula *f,
                        struct formula ***end, struct formula *operand)
{
    if (f->kind == AND) {
        f->rows = f->rows * operand->n + operand->rows * f->n;
        f->n *= operand->n;
    } else {
        f->rows += operand->rows;
        f->n += operand->n;
    }
    want(ps, f->n <= CONJ_MAX && f->rows <= ROWS_IN_ALL_MAX,
         "more than 1048576 conjunctions or 67108864 rows");
    **end = operand;
    *end = &operand->next;
}

static struct formula *formula(struct parser *ps, int depth)
{
    struct formula *out, **end;
    bool is_and;
    want(ps, depth <= DEPTH_MAX, "nested more than 64 deep");
    want(ps, is(ps, "("), "'(' wanted");
    is_and = is(ps, "and");
    if (is_and || is(ps, "or")) {
        out = get(ps->r, 1, sizeof *out);
        out->kind = is_and ? AND : OR;
        out->n = is_and;
        end = &out->child;
        do
            add_operand(ps, out, &end, formula(ps, depth + 1));
        while (!bytes_are(ps->token, ")"));
    } else {
        out = comparison(ps, depth);
    }
    want(ps, is(ps, ")"), "')' wanted");
    return out;
}

/* ---- groups ---- */

/* Bounds at scale 64 of n rows, b[2 i] and b[2 i + 1] of X_i. Returns false
 * if no input makes all rows true. */
static bool find_box(struct parser *ps, const uint32_t *rows, uint64_t n,
                     i128 *b)
{
    const i128 limit = (i128)1 << 108;
    uint32_t n_b = 2 * ps->pr->n_x;
    bool filled = true;
    for (uint32_t i = 0; i < n_b; i++)
        b[i] = i % 2 ? I128_MAX : I128_MIN;
    for (uint64_t i = 0; i < n; i++) {
        const struct row *row = &ps->pr->rows[rows[i]];
        i128 *x = row->box ? &b[2 * row->var[0]] : NULL;
        if (row->n == 0 && row->d64 + row->exact <= 0) /* D < 0 */
            return false;
        /* floor(-D 2^64) = -ceil(D 2^64) */
        if (x && row->coef[0] < 0 && -row->d64 > x[0])
            x[0] = -row->d64;
        if (x && row->coef[0] > 0 && row->d64 < x[1])
            x[1] = row->d64;
    }
    for (uint32_t i = 0; i < n_b; i++)
        must(ps->r, b[i] < limit && b[i] > -limit,
             "an input has not two bounds below 2^44 in magnitude");
    for (uint32_t i = 0; i < n_b; i += 2)
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

/* Rows that are neither box nor constant come first. */
static struct conj make_conj(struct parser *ps, const uint32_t *rows,
                             uint64_t n)
{
    struct conj c = {.rows = get(ps->r, n, sizeof *c.rows)};
    for (int rest = 0; rest < 2; rest++) {
        for (uint64_t i = 0; i < n; i++) {
            const struct row *row = &ps->pr->rows[rows[i]];
            if ((row->box || row->n == 0) == rest)
                c.rows[c.n_all++] = rows[i];
        }
        c.n_rows = rest ? c.n_rows : c.n_all;
    }
    return c;
}

/* The rows in ps->conj become a conjunction of the last group, or of a new
 * one. */
static void add_conj(struct parser *ps, uint64_t n)
{
    struct property *pr = ps->pr;
    size_t size = 2 * pr->n_x * sizeof(i128);
    struct group *g;
    struct conj *c;
    if (!find_box(ps, ps->conj, n, ps->box))
        return;
    if (pr->n_groups == 0 || memcmp(ps->box, ps->last, size) != 0) {
        pr->groups = grow(ps->r, pr->groups, pr->n_groups, &ps->group_room,
                          sizeof *pr->groups);
        pr->groups[pr->n_groups++] = make_group(ps, ps->box);
        ps->list_room = 0;
        memcpy(ps->last, ps->box, size);
    }
    g = &pr->groups[pr->n_groups - 1];
    g->conj = grow(ps->r, g->conj, g->n_conj, &ps->list_room,
                   sizeof *g->conj);
    c = &g->conj[g->n_conj++];
    *c = make_conj(ps, ps->conj, n);
    c->first = g->n_targets;
    g->n_targets += c->n_rows; /* of 2^26 */
    if (g->n_conj > pr->most_conj)
        pr->most_conj = g->n_conj;
}

/* What must be true besides each formula in f. */
static void link(struct formula *f, const struct formula *then)
{
    f->then = then;
    for (struct formula *c = f->child; c; c = c->next)
        link(c, f->kind == AND && c->next ? c->next : then);
}

/* All conjunctions of f, what comes after it, and n rows so far. An or of two
 * operands doubles their number, so there are few of these below each other;
 * of one, it is an and. */
static void enumerate(struct parser *ps, const struct formula *f, uint64_t n)
{
    while (f && (f->kind != OR || !f->child->next)) {
        if (f->kind == ROW) {
            ps->conj = grow(ps->r, ps->conj, n, &ps->conj_room,
                            sizeof *ps->conj);
            ps->conj[n++] = f->row;
        }
        f = f->kind == ROW ? f->then : f->child;
    }
    if (!f)
        add_conj(ps, n);
    for (const struct formula *c = f ? f->child : NULL; c; c = c->next)
        enumerate(ps, c, n);
}

void property_read(struct run *r, struct property *pr, struct bytes text,
                   uint32_t n_x, uint32_t n_y)
{
    struct parser ps = {.r = r, .pr = pr, .rest = text, .line = 1};
    uint64_t n = (uint64_t)n_x + n_y, missing = n;
    struct formula all = {.kind = AND, .n = 1}, **end = &all.child;
    *pr = (struct property){.n_x = n_x, .n_y = n_y};
    ps.declared = get(r, n, sizeof *ps.declared);
    ps.box = get(r, 2ull * n_x, sizeof *ps.box);
    ps.last = get(r, 2ull * n_x, sizeof *ps.last);
    for (next(&ps); ps.token.n > 0;) {
        want(&ps, is(&ps, "("), "'(' wanted");
        if (is(&ps, "declare-const")) {
            uint32_t var = ps.token.n ? variable(&ps) : 0;
            want(&ps, !ps.declared[var], "declared twice");
            ps.declared[var] = true;
            missing--;
            next(&ps);
            want(&ps, is(&ps, "Real"), "'Real' wanted");
        } else {
            want(&ps, is(&ps, "assert"), "declare-const or assert wanted");
            add_operand(&ps, &all, &end, formula(&ps, 1));
        }
        want(&ps, is(&ps, ")"), "')' wanted");
    }
    if (missing > 0)
        refuse(r, MALFORMED,
               "the network has %u inputs and %u outputs, not "
               "all are declared",
               n_x, n_y);
    must(r, all.child, "there is no assertion");
    link(&all, NULL);
    enumerate(&ps, &all, 0);
}
