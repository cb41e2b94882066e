/* vnnlib.c - a VNN-LIB 1.0 property in the normal form of ax-cert(5):
 * groups of one box and a list of conjunctions of integer rows. */
#include "island.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 64, EXP_MAX = 4096, DIGITS_MAX = 4096 };
enum { CONJ_MAX = 1048576, ROWS_IN_ALL_MAX = 67108864 };
#define CONSTANT UINT32_MAX    /* stands for a variable that is 1 */
#define ONE      1000000000000 /* numbers are in units of 10^-12 */
#define MOST     ((i128)ONE * ONE)

struct sum { /* of k 10^-12 times variables, and of a literal or its negative
              */
    struct summand {
        i128 k;
        uint32_t var;
    } * s;
    uint64_t n, room;
    struct bytes literal; /* beyond such units; then n = 0 */
    bool open, minus;     /* open: there is a variable */
};

/* A conjunction is a row, or two conjunctions; a dnf is a list of them. */
struct rope {
    const struct rope *left, *right; /* NULL in a row */
    uint64_t n;                      /* rows */
    uint32_t row;
};

struct dnf {
    const struct rope **c;
    uint64_t n, rows, room; /* rows: in all */
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

static i128 within(struct parser *ps, bool ok, i128 v)
{
    want(ps, ok && v < MOST && v > -MOST,
         "arithmetic beyond multiples of 10^-12 below 10^12");
    return v;
}

/* The digits of a literal without sign, point and zeros in front, at most
 * 4096, into out; it is their number times 10^*exp. Refuses what is none. */
static size_t digits_of(struct parser *ps, struct bytes t, unsigned char *out,
                        int64_t *exp)
{
    const unsigned char *s = t.p, *end = s + t.n;
    int64_t e = 0, points = 0, seen = 0;
    size_t n = 0;
    bool down, ok = true;
    *exp = 0;
    for (s += *s == '-' || *s == '+'; s < end && is_one_of(*s, ".0123456789");
         s++) {
        points += *s == '.';
        seen += *s != '.';
        *exp -= points > 0 && *s != '.';
        if (*s != '.' && (n > 0 || *s != '0') && ok) {
            ok = n < DIGITS_MAX;
            out[ok ? n++ : 0] = (unsigned char)(*s - '0');
        }
    }
    if (s < end && (*s == 'e' || *s == 'E')) {
        down = ++s < end && *s == '-';
        s += s < end && (*s == '-' || *s == '+');
        ok &= s < end;
        for (; s < end && is_one_of(*s, "0123456789"); s++)
            e = e < 1000000 ? 10 * e + (*s - '0') : e;
        *exp += down ? -e : e;
    }
    want(ps, s == end && seen > 0 && points <= 1, "no number");
    for (; n > 0 && out[n - 1] == 0; n--)
        ++*exp;
    *exp = n > 0 ? *exp : 0;
    want(ps, ok && *exp <= EXP_MAX && *exp >= -EXP_MAX,
         "beyond 4096 digits or exponent 4096");
    return n;
}

static void push(struct parser *ps, struct sum *out, uint32_t var, i128 k)
{
    out->s = grow(ps->r, out->s, out->n, &out->room, sizeof *out->s);
    out->s[out->n++] = (struct summand){k, var};
    out->open |= var != CONSTANT;
}

/* A number: a constant if it is in the units, a literal if not. */
static void number(struct parser *ps, struct sum *out)
{
    unsigned char digits[DIGITS_MAX];
    int64_t exp;
    size_t n = digits_of(ps, ps->token, digits, &exp);
    i128 v = 0;
    if (exp < -12 || (int64_t)n + exp > 12) {
        out->literal = ps->token;
        return;
    }
    for (size_t i = 0; i < n; i++)
        v = 10 * v + digits[i]; /* at most 24 digits */
    for (; exp > -12; exp--)
        v *= 10;
    push(ps, out, CONSTANT, *ps->token.p == '-' ? -v : v);
}

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

/* out += k 10^-12 a; a is used up. Only one literal may be in a sum, alone,
 * and be negated. */
static void push_all(struct parser *ps, struct sum *out, struct sum a, i128 k)
{
    if (a.literal.p) {
        want(ps, out->n == 0 && !out->literal.p && (k == ONE || k == -ONE),
             "arithmetic beyond multiples of 10^-12 below 10^12");
        out->literal = a.literal;
        out->minus = a.minus != (k < 0);
    }
    want(ps, !out->literal.p || a.n == 0, "arithmetic with a long number");
    for (uint64_t i = 0; i < a.n; i++) {
        i128 v;
        bool ok = !__builtin_mul_overflow(a.s[i].k, k, &v) && v % ONE == 0;
        push(ps, out, a.s[i].var, within(ps, ok, ok ? v / ONE : 0));
    }
    give(ps->r, a.s);
}

static int by_variable(const void *a, const void *b)
{
    uint32_t x = ((const struct summand *)a)->var,
             y = ((const struct summand *)b)->var;
    return (x > y) - (x < y);
}

/* Sort, and add what speaks of the same variable; the constant sorts last. */
static void merge(struct parser *ps, struct sum *l)
{
    uint64_t n = 0;
    if (l->n > 0)
        qsort(l->s, l->n, sizeof *l->s, by_variable);
    for (uint64_t i = 0; i < l->n; i++) {
        struct summand s = l->s[i];
        for (; i + 1 < l->n && l->s[i + 1].var == s.var; i++)
            s.k = within(ps, true, s.k + l->s[i + 1].k);
        if (s.k != 0)
            l->s[n++] = s;
    }
    l->n = n;
}

/* Read a term; the depth ends the recursion. */
static struct sum term(struct parser *ps, int depth)
{
    struct sum out = {0}, a, b;
    i128 sign = ONE, k = 0;
    bool plus, minus;
    want(ps, depth <= DEPTH_MAX && ps->token.n > 0, "too deep, or the end");
    if (!is(ps, "(")) {
        if (is_one_of(*ps->token.p, "XY"))
            push(ps, &out, variable(ps), ONE);
        else
            number(ps, &out);
        want(ps, !out.open || ps->declared[out.s->var], "not declared");
        next(ps);
        return out;
    }
    plus = is(ps, "+");
    minus = !plus && is(ps, "-");
    want(ps, plus || minus || is(ps, "*"), "+, - or * wanted");
    a = term(ps, depth + 1);
    if (plus || minus) {
        sign = minus ? -ONE : ONE;
        push_all(ps, &out, a, bytes_are(ps->token, ")") ? sign : ONE);
        while (!bytes_are(ps->token, ")"))
            push_all(ps, &out, term(ps, depth + 1), sign);
    } else {
        b = term(ps, depth + 1);
        want(ps, (!a.open || !b.open) && !a.literal.p && !b.literal.p,
             "no factor of * is a constant of the units");
        for (uint64_t i = 0; i < (b.open ? a : b).n; i++)
            k = within(ps, true, k + (b.open ? a : b).s[i].k);
        push_all(ps, &out, b.open ? b : a, k);
    }
    merge(ps, &out);
    want(ps, is(ps, ")"), "')' wanted");
    return out;
}

/* ceil(D 2^64), for D = +-digits 10^exp, and whether that is exact. Too large
 * a D, 2^62 or more, becomes I128_MAX, which no bound is above, or -2^126,
 * which is not below D 2^64: a bound above it is above D, too. */
static void set_d(struct row *row, const unsigned char *digits, size_t n,
                  int64_t exp, bool neg)
{
    unsigned char part[EXP_MAX] = {0}; /* behind the point */
    size_t behind = exp < 0 ? (size_t)-exp : 0;
    size_t before = n > behind ? n - behind : 0;
    i128 v = 0;
    row->exact = true;
    row->d64 = neg ? -((i128)1 << 126) : I128_MAX;
    if (n > 0 && before + (size_t)(exp > 0 ? exp : 0) > 20)
        return;
    for (size_t i = 0; i < before; i++)
        v = 10 * v + digits[i];
    for (; exp > 0 && v > 0; exp--)
        v *= 10;
    if (v >> 62 > 0)
        return;
    for (size_t i = 0; i < behind && i < n; i++)
        part[behind - 1 - i] = digits[n - 1 - i];
    for (int bit = 0; bit < 64; bit++) { /* twice that part, 64 times */
        unsigned carry = 0;
        for (size_t i = behind; i-- > 0; carry /= 10) {
            carry += 2u * part[i];
            part[i] = (unsigned char)(carry % 10);
        }
        v = 2 * v + carry;
    }
    for (size_t i = 0; i < behind; i++)
        row->exact &= part[i] == 0;
    row->d64 = neg ? -v : v + !row->exact;
}

/* D = sign times v 10^(k - 12), or times the literal 10^k. */
static void set_constant(struct parser *ps, struct row *row, i128 v,
                         struct bytes literal, bool neg, int64_t k)
{
    unsigned char digits[DIGITS_MAX];
    int64_t exp = -12;
    size_t n = 0;
    if (literal.p) {
        n = digits_of(ps, literal, digits, &exp);
        neg ^= *literal.p == '-';
    } else {
        neg ^= v < 0;
        for (i128 u = v < 0 ? -v : v, unit = MOST; unit > 0; unit /= 10) {
            digits[n] = (unsigned char)(u / unit % 10);
            n += n > 0 || digits[n] > 0; /* no zeros in front */
        }
    }
    set_d(row, digits, n, exp + k, neg && n > 0);
}

/* The row l + literal <= 0, or with minus -l - literal <= 0. */
static struct rope *make_row(struct parser *ps, const struct sum *l,
                             bool minus, bool strict)
{
    struct rope *out = get(ps->r, 1, sizeof *out);
    uint64_t n = l->n;
    i128 c = 0, unit = ONE;
    struct row *row;
    int64_t k = 0;
    if (n > 0 && l->s[n - 1].var == CONSTANT)
        c = l->s[--n].k;
    ps->pr->rows = grow(ps->r, ps->pr->rows, ps->pr->n_rows, &ps->room,
                        sizeof *row);
    row = &ps->pr->rows[ps->pr->n_rows];
    *out = (struct rope){.n = 1, .row = ps->pr->n_rows++};
    *row = (struct row){.n = (uint32_t)n, .strict = strict};
    row->var = get(ps->r, n, sizeof *row->var);
    row->coef = get(ps->r, n, sizeof *row->coef);
    for (uint64_t i = 0; i < n; i++)
        for (; l->s[i].k % unit != 0; k++)
            unit /= 10; /* ends at 1 */
    for (uint64_t i = 0; i < n; i++) {
        i128 m = (minus ? -l->s[i].k : l->s[i].k) / unit;
        want(ps, m < 1 << 26 && m > -(1 << 26),
             "a coefficient of 2^26 or more");
        row->var[i] = l->s[i].var;
        row->coef[i] = (int32_t)m;
    }
    row->box = row->n == 1 && row->var[0] < ps->pr->n_x &&
               (row->coef[0] == 1 || row->coef[0] == -1);
    set_constant(ps, row, c, l->literal, minus == l->minus, k);
    return out;
}

/* *a becomes the list of "*a and b", or of "*a or b". There are at most 2^20
 * conjunctions and 2^26 rows in each, so the products do not overflow. */
static void combine(struct parser *ps, bool is_and, struct dnf *a,
                    struct dnf b)
{
    struct dnf c = {.n = a->n * b.n, .rows = a->rows * b.n + b.rows * a->n};
    struct rope *made;
    if (!is_and)
        c = (struct dnf){a->c, a->n + b.n, a->rows + b.rows, a->room};
    want(ps, c.n <= CONJ_MAX && c.rows <= ROWS_IN_ALL_MAX,
         "more than 1048576 conjunctions or 67108864 rows");
    c.c = grow(ps->r, c.c, c.n, &c.room, sizeof *c.c);
    if (is_and) {
        made = get(ps->r, c.n, sizeof *made);
        for (uint64_t i = 0; i < c.n; i++) {
            const struct rope *x = a->c[i / b.n], *y = b.c[i % b.n];
            made[i] = (struct rope){x, y, x->n + y->n, 0};
            c.c[i] = &made[i];
        }
        give(ps->r, a->c);
    } else {
        memcpy(c.c + a->n, b.c, b.n * sizeof *b.c);
    }
    give(ps->r, b.c);
    *a = c;
}

/* The left side less the right side. A literal is a whole side, and the other
 * has no constant. */
static struct sum sides(struct parser *ps, int depth)
{
    struct sum a = term(ps, depth), b = term(ps, depth), out = {0};
    struct bytes literal = a.literal.p ? a.literal : b.literal;
    bool minus = a.literal.p ? a.minus : b.literal.p && !b.minus;
    bool two = a.literal.p && b.literal.p;
    a.literal.p = b.literal.p = NULL;
    push_all(ps, &out, a, ONE);
    push_all(ps, &out, b, -ONE);
    for (uint64_t i = 0; literal.p && i < out.n; i++)
        two |= out.s[i].var == CONSTANT && out.s[i].k != 0;
    want(ps, !two, "arithmetic with a long number");
    merge(ps, &out);
    out.literal = literal;
    out.minus = minus;
    return out;
}

static struct dnf comparison(struct parser *ps, int depth)
{
    bool lt = is(ps, "<"), le = !lt && is(ps, "<="), gt = is(ps, ">");
    bool ge = !gt && is(ps, ">="), eq = !lt && !le && !gt && !ge;
    const struct rope **c = get(ps->r, 1, sizeof *c);
    struct rope *two;
    struct sum l;
    want(ps, !eq || is(ps, "="), "and, or or a comparison wanted");
    l = sides(ps, depth + 1);
    if (eq) {
        two = get(ps->r, 1, sizeof *two);
        two->left = make_row(ps, &l, false, false);
        two->right = make_row(ps, &l, true, false);
        two->n = 2;
        *c = two;
    } else {
        *c = make_row(ps, &l, gt || ge, lt || gt);
    }
    give(ps->r, l.s);
    return (struct dnf){c, 1, (*c)->n, 1};
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
            combine(ps, is_and, &out, formula(ps, depth + 1));
    } else {
        out = comparison(ps, depth);
    }
    want(ps, is(ps, ")"), "')' wanted");
    return out;
}

/* The rows of a conjunction, in order: filled from the end, what is to the
 * left waits. Only nesting makes more than one wait. */
static uint32_t *flatten(struct parser *ps, const struct rope *c)
{
    const struct rope *wait[DEPTH_MAX + 2];
    uint32_t *rows = get(ps->r, c->n, sizeof *rows);
    uint64_t at = c->n;
    for (int n = 0; at > 0;) {
        while (c->left) {
            wait[n++] = c->left;
            c = c->right;
        }
        rows[--at] = c->row;
        c = n > 0 ? wait[--n] : NULL;
    }
    return rows;
}

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

static void make_groups(struct parser *ps, const struct dnf *all)
{
    struct property *pr = ps->pr;
    size_t size = 2 * pr->n_x * sizeof(i128);
    i128 *b = get(ps->r, size, 1), *last = get(ps->r, size, 1);
    uint64_t room = 0, conj_room = 0;
    for (uint64_t i = 0; i < all->n; i++) {
        uint32_t *rows = flatten(ps, all->c[i]);
        struct group *g;
        if (find_box(ps, rows, all->c[i]->n, b)) {
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
            g->conj[g->n_conj] = make_conj(ps, rows, all->c[i]->n);
            g->conj[g->n_conj].first = g->n_targets;
            g->n_targets += g->conj[g->n_conj++].n_rows; /* of 2^26 */
            if (g->n_conj > pr->most_conj)
                pr->most_conj = g->n_conj;
        }
        give(ps->r, rows);
    }
}

void property_read(struct run *r, struct property *pr, struct bytes text,
                   uint32_t n_x, uint32_t n_y)
{
    struct parser ps = {.r = r, .pr = pr, .rest = text, .line = 1};
    uint64_t n = (uint64_t)n_x + n_y, missing = n;
    struct dnf all = {.n = 0};
    *pr = (struct property){.n_x = n_x, .n_y = n_y};
    ps.declared = get(r, n, sizeof *ps.declared);
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
            if (all.n > 0)
                combine(&ps, true, &all, formula(&ps, 1));
            else
                all = formula(&ps, 1);
        }
        want(&ps, is(&ps, ")"), "')' wanted");
    }
    if (missing > 0)
        refuse(r, MALFORMED,
               "the network has %u inputs and %u outputs, not "
               "all are declared",
               n_x, n_y);
    must(r, all.n > 0, "there is no assertion");
    make_groups(&ps, &all);
}
