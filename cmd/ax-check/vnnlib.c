/* vnnlib.c - a VNN-LIB 1.0 property in the normal form of ax-cert(5):
 * groups of one box and a list of conjunctions of integer rows. */
#include "island.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 64, DIGITS_MAX = 4096 };
enum { CONJ_MAX = 1048576, ROWS_IN_ALL_MAX = 67108864 };
#define ONE  1000000000000 /* numbers are in units of 10^-12 */
#define MOST ((i128)ONE * ONE)

struct summand { /* k 10^-12 times a variable */
    i128 k;
    uint32_t var;
};

struct list { /* conjunctions, and so many rows in all of them */
    struct conj *conj;
    uint64_t n, room, rows;
};

struct parser {
    struct run *r;
    struct property *pr;
    struct bytes rest, token; /* token.n == 0: the end */
    unsigned line;
    bool *declared;        /* [n_x + n_y] */
    struct summand *s;     /* of the comparison at hand */
    struct decimal number; /* the last one that was read */
    uint64_t n, room, rows_room;
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

static struct decimal decimal(struct parser *ps)
{
    const unsigned char *s = ps->token.p, *end = s + ps->token.n;
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

/* Sort the summands, and add what speaks of the same variable. */
static void merge(struct parser *ps)
{
    uint64_t n = 0;
    if (ps->n > 0)
        qsort(ps->s, ps->n, sizeof *ps->s, by_variable);
    for (uint64_t i = 0; i < ps->n; i++) {
        struct summand s = ps->s[i];
        for (; i + 1 < ps->n && ps->s[i + 1].var == s.var; i++)
            s.k = within(ps, true, s.k + ps->s[i + 1].k);
        if (s.k != 0)
            ps->s[n++] = s;
    }
    ps->n = n;
}

/* The number that was read times the summands from number first on. */
static void multiply(struct parser *ps, uint64_t first)
{
    const struct decimal *d = &ps->number;
    bool ok;
    i128 k, v;
    ok = digits(d, 11, -12, &k);
    for (int64_t p = d->before + d->exp - d->n; p < -12; p++)
        ok &= digit(d, p) == 0;
    k = within(ps, ok, d->minus ? -k : k);
    for (uint64_t i = first; i < ps->n; i++) {
        ok = !__builtin_mul_overflow(ps->s[i].k, k, &v) && v % ONE == 0;
        ps->s[i].k = within(ps, ok, v / ONE);
    }
}

/* A term, negated or not. Is it a number? If it is none, its summands go
 * behind the others. The depth ends the recursion. */
static bool term(struct parser *ps, int depth, bool minus)
{
    uint64_t first = ps->n;
    bool times, sub, number = false;
    want(ps, depth <= DEPTH_MAX && ps->token.n > 0, "too deep, or the end");
    if (!is(ps, "(")) {
        if (is_one_of(*ps->token.p, "XY")) {
            uint32_t var = variable(ps);
            want(ps, ps->declared[var], "not declared");
            ps->s = grow(ps->r, ps->s, ps->n, &ps->room, sizeof *ps->s);
            ps->s[ps->n++] = (struct summand){minus ? -ONE : ONE, var};
        } else {
            number = true;
            ps->number = decimal(ps);
            ps->number.minus ^= minus;
        }
        next(ps);
        return number;
    }
    times = is(ps, "*");
    sub = !times && is(ps, "-");
    want(ps, times || sub || is(ps, "+"), "+, - or * wanted");
    number = term(ps, depth + 1, minus);
    if (times) {
        struct decimal d = ps->number;
        want(ps, number != term(ps, depth + 1, false),
             "* wants a number and a term that is none");
        ps->number = number ? d : ps->number;
        number = false;
        multiply(ps, first);
    } else if (sub && bytes_are(ps->token, ")")) {
        ps->number.minus ^= number;
        for (uint64_t i = first; i < ps->n; i++)
            ps->s[i].k = -ps->s[i].k;
    }
    while (!times && !bytes_are(ps->token, ")"))
        want(ps, !number && !term(ps, depth + 1, sub != minus),
             "a number in a sum: it belongs to the other side");
    want(ps, is(ps, ")"), "')' wanted");
    return number;
}

/* ---- formulas ---- */

static void add_row(struct run *r, struct conj *c, uint32_t row)
{
    c->rows = grow(r, c->rows, c->n_all, &c->room, sizeof *c->rows);
    c->rows[c->n_all++] = row;
}

/* The row: the summands are <= d, or >= d. */
static void make_row(struct parser *ps, bool less, bool strict,
                     struct decimal d, struct conj *c)
{
    uint64_t n = ps->n;
    i128 unit = ONE;
    struct row *row;
    ps->pr->rows = grow(ps->r, ps->pr->rows, ps->pr->n_rows, &ps->rows_room,
                        sizeof *row);
    add_row(ps->r, c, ps->pr->n_rows);
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
    d.minus ^= !less;
    set_d(row, d);
}

static struct list comparison(struct parser *ps, int depth)
{
    bool lt = is(ps, "<"), le = !lt && is(ps, "<="), gt = is(ps, ">");
    bool ge = !gt && is(ps, ">="), eq = !lt && !le && !gt && !ge, left;
    struct list out = {get(ps->r, 1, sizeof *out.conj), 1, 1, 1 + eq};
    struct decimal d = {0};
    want(ps, !eq || is(ps, "="), "and, or or a comparison wanted");
    ps->n = 0;
    left = term(ps, depth + 1, false);
    if (left) {
        d = ps->number;
        d.minus ^= true; /* to the other side */
    }
    if (term(ps, depth + 1, true)) {
        want(ps, !left, "a comparison of two numbers");
        d = ps->number;
        d.minus ^= true;
    }
    merge(ps);
    if (!gt && !ge)
        make_row(ps, true, lt, d, out.conj);
    if (!lt && !le)
        make_row(ps, false, gt, d, out.conj);
    want(ps, is(ps, ")"), "')' wanted");
    return out;
}

/* One more conjunction, or the last one if it is not new, has the rows of c,
 * too. */
static void append(struct run *r, struct list *l, bool new,
                   const struct conj *c)
{
    l->conj = grow(r, l->conj, l->n, &l->room, sizeof *l->conj);
    l->n += new;
    for (uint32_t i = 0; i < c->n_all; i++)
        add_row(r, &l->conj[l->n - 1], c->rows[i]);
}

/* There are at most 2^20 conjunctions and 2^26 rows in each, so the products
 * do not overflow. */
static struct list combine(struct parser *ps, bool and, struct list a,
                           struct list b)
{
    struct list out = {.rows = and? a.rows * b.n + b.rows * a.n
                                  : a.rows + b.rows};
    want(ps,
         (and? a.n * b.n : a.n + b.n) <= CONJ_MAX &&
             out.rows <= ROWS_IN_ALL_MAX,
         "more than 1048576 conjunctions or 67108864 rows");
    if (and&&b.n > 1) {
        for (uint64_t i = 0; i < a.n * b.n; i++) {
            append(ps->r, &out, true, &a.conj[i / b.n]);
            append(ps->r, &out, false, &b.conj[i % b.n]);
        }
        return out;
    }
    a.rows = out.rows;
    for (uint64_t i = 0; and&&i < a.n; i++)
        for (uint32_t k = 0; k < b.conj->n_all; k++)
            add_row(ps->r, &a.conj[i], b.conj->rows[k]);
    for (uint64_t i = 0; !and&&i < b.n; i++)
        append(ps->r, &a, true, &b.conj[i]);
    return a;
}

/* The disjunctive normal form of the formula that comes. */
static struct list formula(struct parser *ps, int depth)
{
    struct list out;
    bool and;
    want(ps, depth <= DEPTH_MAX, "nested more than 64 deep");
    want(ps, is(ps, "("), "'(' wanted");
    and = is(ps, "and");
    if (!and&&!is(ps, "or"))
        return comparison(ps, depth);
    out = formula(ps, depth + 1);
    while (!is(ps, ")"))
        out = combine(ps, and, out, formula(ps, depth + 1));
    return out;
}

/* ---- groups ---- */

/* Bounds at scale 64 of the rows, b[2 i] and b[2 i + 1] of X_i. Returns false
 * if no input makes all rows true. Rows that are neither of the box nor
 * constant come first then. */
static bool find_box(struct parser *ps, struct conj *c, i128 *b)
{
    const i128 limit = (i128)1 << 108;
    uint32_t n_b = 2 * ps->pr->n_x, *rows = get(ps->r, c->n_all, 4), at = 0;
    bool filled = true;
    for (uint32_t i = 0; i < n_b; i++)
        b[i] = i % 2 ? I128_MAX : I128_MIN;
    for (uint32_t i = 0; i < c->n_all; i++) {
        const struct row *row = &ps->pr->rows[c->rows[i]];
        i128 *x = row->box ? &b[2 * row->var[0]] : NULL;
        if (row->n == 0 && row->d64 + row->exact <= 0) /* D < 0 */
            return false;
        /* floor(-D 2^64) = -ceil(D 2^64) */
        if (x && row->coef[0] < 0 && -row->d64 > x[0])
            x[0] = -row->d64;
        if (x && row->coef[0] > 0 && row->d64 < x[1])
            x[1] = row->d64;
        if (!x && row->n > 0)
            c->rows[c->n_rows++] = c->rows[i];
        else
            rows[at++] = c->rows[i];
    }
    memcpy(c->rows + c->n_rows, rows, at * sizeof *rows);
    give(ps->r, rows);
    for (uint32_t i = 0; i < n_b; i++) {
        must(ps->r, b[i] < limit && b[i] > -limit,
             "an input has not two bounds below 2^44 in magnitude");
        filled &= i % 2 == 0 || b[i - 1] <= b[i];
    }
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

/* The conjunction goes to the last group, or to a new one. */
static void add_conj(struct parser *ps, struct conj *c)
{
    struct property *pr = ps->pr;
    size_t size = 2 * pr->n_x * sizeof(i128);
    struct group *g;
    if (!find_box(ps, c, ps->box))
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
    c->first = g->n_targets;
    g->conj[g->n_conj++] = *c;
    g->n_targets += c->n_rows; /* of 2^26 */
    if (g->n_conj > pr->most_conj)
        pr->most_conj = g->n_conj;
}

void property_read(struct run *r, struct property *pr, struct bytes text,
                   uint32_t n_x, uint32_t n_y)
{
    struct parser ps = {.r = r, .pr = pr, .rest = text, .line = 1};
    uint64_t n = (uint64_t)n_x + n_y, missing = n;
    struct list all = {0};
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
            struct list f;
            want(&ps, is(&ps, "assert"), "declare-const or assert wanted");
            f = formula(&ps, 1);
            all = all.n ? combine(&ps, true, all, f) : f;
        }
        want(&ps, is(&ps, ")"), "')' wanted");
    }
    if (missing > 0)
        refuse(r, MALFORMED,
               "the network has %u inputs and %u outputs, not "
               "all are declared",
               n_x, n_y);
    must(r, all.n, "there is no assertion");
    for (uint64_t i = 0; i < all.n; i++)
        add_conj(&ps, &all.conj[i]);
}
