/* Reading VNN-LIB 1.0, as man/ax-cert.5 section PROPERTY defines it: one
 * pass over the bytes, no tokens kept, every comparison turned into rows at
 * once. The disjunctive normal form is made in dnf.c.
 *
 * ax-check reads the same page with other code; what is not on the page does
 * not belong here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ax/model.h"
#include "decimal.h"
#include "formula.h"

#define DEPTH_MAX 64
#define COEF_MAX  ((ax_i128)1 << 26)
#define Y_BIT     ((uint64_t)1 << 32) /* of a variable's key */

struct term {
    uint64_t key; /* i for X_i, Y_BIT + j for Y_j */
    struct decimal coef;
};

/* A term of the language: a number, or the sum of p->terms[first ..]. */
struct linear {
    struct decimal number;
    bool is_number; /* and has no terms */
    size_t first;
};

struct vars {
    char letter;
    uint32_t n;          /* that the network has */
    uint64_t declared;   /* how many so far */
    unsigned char *seen; /* [n] */
};

struct parser {
    const char *begin, *at, *end;
    struct vars x, y;
    struct term *terms; /* a stack */
    size_t n_terms, terms_room;
    struct ax_arena *rows, *tree;
    struct known *known; /* [N_KNOWN], by hash */
    struct ax_err *err;
};

/* A bound that was made: SIGN X <= m 10^e. Large disjunctions of boxes say
 * the same thousands of times. */
struct known {
    struct ax_row *row; /* NULL: nothing here */
    uint64_t key;
    int64_t m;
    int e, sign;
    bool strict;
};

#define N_KNOWN 4096 /* a power of two */

struct word {
    const char *s;
    size_t n;
};

/* "line:column: message" at a place in the text. */
static ax_status fail_at(struct parser *p, const char *place, ax_status code,
                         const char *what)
{
    size_t line = 1;
    const char *start = p->begin, *nl;

    while ((nl = memchr(start, '\n', (size_t)(place - start)))) {
        line++;
        start = nl + 1;
    }
    return ax_fail(p->err, code, "%zu:%zu: %s", line,
                   (size_t)(place - start) + 1, what);
}

static ax_status no_memory(struct parser *p)
{
    return ax_fail(p->err, AX_ENOMEM, "%s", ax_status_text(AX_ENOMEM));
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static void skip_space(struct parser *p)
{
    while (p->at < p->end) {
        if (is_space(*p->at)) {
            p->at++;
        } else if (*p->at == ';') {
            const char *nl = memchr(p->at, '\n', (size_t)(p->end - p->at));

            p->at = nl ? nl + 1 : p->end;
        } else {
            return;
        }
    }
}

static bool next_is(struct parser *p, char c)
{
    skip_space(p);
    return p->at < p->end && *p->at == c;
}

static ax_status expect(struct parser *p, char c, const char *what)
{
    if (!next_is(p, c))
        return fail_at(p, p->at, AX_EFORMAT, what);
    p->at++;
    return AX_OK;
}

/* A symbol; empty at a parenthesis or the end. */
static struct word read_word(struct parser *p)
{
    struct word w;

    skip_space(p);
    w.s = p->at;
    while (p->at < p->end && !is_space(*p->at) && *p->at != '(' &&
           *p->at != ')' && *p->at != ';')
        p->at++;
    w.n = (size_t)(p->at - w.s);
    return w;
}

static bool word_is(struct word w, const char *text)
{
    return w.n == strlen(text) && !memcmp(w.s, text, w.n);
}

/* "found 'WORD', wanted WANT" */
static ax_status unexpected(struct parser *p, struct word w, const char *want)
{
    char text[160];
    int n = w.n > 32 ? 32 : (int)w.n;

    for (size_t i = 0; i < w.n && i < 32; i++)
        if (w.s[i] < 0x20 || w.s[i] > 0x7e)
            n = 0;
    if (n)
        snprintf(text, sizeof text, "found '%.*s', wanted %s", n, w.s, want);
    else
        snprintf(text, sizeof text, "wanted %s", want);
    return fail_at(p, w.s, AX_EFORMAT, text);
}

/* X_12 and Y_3; false if w is no such name. */
static bool read_name(struct parser *p, struct word w, struct vars **vars,
                      uint64_t *index)
{
    uint64_t v = 0;

    if (w.n < 3 || w.n > 12 || w.s[1] != '_' ||
        (w.s[0] != 'X' && w.s[0] != 'Y') || (w.s[2] == '0' && w.n > 3))
        return false;
    for (size_t i = 2; i < w.n; i++) {
        if (w.s[i] < '0' || w.s[i] > '9')
            return false;
        v = 10 * v + (uint64_t)(w.s[i] - '0');
    }
    *vars = w.s[0] == 'X' ? &p->x : &p->y;
    *index = v;
    return true;
}

static ax_status wrong_shape(struct parser *p)
{
    return ax_fail(p->err, AX_ESHAPE,
                   "the property has %llu inputs and %llu outputs, the "
                   "network %u and %u",
                   (unsigned long long)p->x.declared,
                   (unsigned long long)p->y.declared, p->x.n, p->y.n);
}

static ax_status read_declaration(struct parser *p)
{
    struct word name = read_word(p), type;
    struct vars *vars;
    uint64_t i;

    if (!read_name(p, name, &vars, &i))
        return unexpected(p, name, "a variable X_i or Y_j");
    if (i < vars->n && vars->seen[i])
        return fail_at(p, name.s, AX_EFORMAT, "declared twice");
    if (i < vars->n)
        vars->seen[i] = 1;
    vars->declared++;
    type = read_word(p);
    if (!word_is(type, "Real"))
        return unexpected(p, type, "the type Real");
    return expect(p, ')', "wanted ')' at the end of the declaration");
}

static ax_status push_term(struct parser *p, uint64_t key,
                           struct decimal coef)
{
    if (p->n_terms == p->terms_room) {
        size_t room = p->terms_room ? 2 * p->terms_room : 64;
        struct term *t = realloc(p->terms, room * sizeof *t);

        if (!t)
            return no_memory(p);
        p->terms = t;
        p->terms_room = room;
    }
    p->terms[p->n_terms++] = (struct term){key, coef};
    return AX_OK;
}

static ax_status beyond(struct parser *p, const char *place)
{
    return fail_at(p, place, AX_EUNSUPPORTED,
                   "a number beyond the limits: in arithmetic multiples "
                   "of 1e-12 below 1e12, alone 4096 digits and exponents "
                   "to 4096");
}

static ax_status too_deep(struct parser *p, const char *place)
{
    return fail_at(p, place, AX_EUNSUPPORTED, "nested more than 64 deep");
}

/* A number or a variable. */
static ax_status read_atom(struct parser *p, struct linear *out)
{
    struct word w = read_word(p);
    struct vars *vars;
    uint64_t i;

    *out = (struct linear){.first = p->n_terms};
    if (w.n && (w.s[0] == 'X' || w.s[0] == 'Y')) {
        if (!read_name(p, w, &vars, &i))
            return unexpected(p, w, "a variable X_i or Y_j");
        if (i >= vars->n && i < vars->declared)
            return wrong_shape(p);
        if (i >= vars->n || !vars->seen[i])
            return unexpected(p, w, "a variable that was declared");
        return push_term(p, i + (vars == &p->y ? Y_BIT : 0),
                         (struct decimal){.m = 1});
    }
    switch (decimal_read(&out->number, w.s, w.n)) {
    case NUMBER_OK:
        out->is_number = true;
        return AX_OK;
    case NUMBER_LIMIT:
        return beyond(p, w.s);
    default:
        return unexpected(p, w, "a number, a variable or '('");
    }
}

static void negate(struct parser *p, struct linear *t)
{
    t->number = decimal_neg(t->number);
    for (size_t i = t->first; i < p->n_terms; i++)
        p->terms[i].coef = decimal_neg(p->terms[i].coef);
}

/* The terms from FIRST on times C. */
static bool scale(struct parser *p, size_t first, struct decimal c)
{
    size_t n = first;

    for (size_t i = first; i < p->n_terms; i++) {
        if (!decimal_mul(&p->terms[i].coef, p->terms[i].coef, c))
            return false;
        if (!decimal_is_zero(p->terms[i].coef))
            p->terms[n++] = p->terms[i];
    }
    p->n_terms = n;
    return true;
}

static ax_status read_term(struct parser *p, struct linear *out, int depth);

static ax_status read_product(struct parser *p, struct linear *out, int depth,
                              const char *place)
{
    struct decimal factor;
    struct linear a, b;

    AX_TRY(read_term(p, &a, depth));
    AX_TRY(read_term(p, &b, depth));
    if (a.is_number == b.is_number)
        return fail_at(p, place, AX_EUNSUPPORTED,
                       a.is_number ? "a product of two numbers"
                                   : "a product of two variables");
    *out = (struct linear){.first = a.first};
    factor = a.is_number ? a.number : b.number;
    if (!decimal_in_units(factor) || !scale(p, a.first, factor))
        return beyond(p, place);
    return expect(p, ')', "wanted ')': * takes two terms");
}

/* After "(+" or "(-". */
static ax_status read_sum(struct parser *p, struct linear *out, int depth,
                          bool minus, const char *place)
{
    bool many = false;

    AX_TRY(read_term(p, out, depth));
    while (!next_is(p, ')')) {
        struct linear t;

        AX_TRY(read_term(p, &t, depth));
        if (out->is_number || t.is_number)
            return fail_at(p, place, AX_EUNSUPPORTED,
                           "a number in a sum: it belongs to the other side "
                           "of the comparison");
        if (minus)
            negate(p, &t);
        many = true;
    }
    p->at++;
    if (minus && !many)
        negate(p, out);
    return AX_OK;
}

static ax_status read_term(struct parser *p, struct linear *out, int depth)
{
    bool compound = next_is(p, '(');
    const char *place = p->at;
    struct word op;

    if (depth >= DEPTH_MAX)
        return too_deep(p, place);
    if (!compound)
        return read_atom(p, out);
    p->at++;
    op = read_word(p);
    if (word_is(op, "*"))
        return read_product(p, out, depth + 1, place);
    if (word_is(op, "+") || word_is(op, "-"))
        return read_sum(p, out, depth + 1, op.s[0] == '-', place);
    return unexpected(p, op, "one of + - *");
}

static int by_key(const void *a, const void *b)
{
    uint64_t x = ((const struct term *)a)->key;
    uint64_t y = ((const struct term *)b)->key;

    return (x > y) - (x < y);
}

/* Sort the stack from 0 on by variable, add what belongs together and drop
 * zeros. */
static bool collect(struct parser *p)
{
    struct term *t = p->terms;
    size_t n = 0;

    if (p->n_terms == 2 && t[0].key < t[1].key)
        return true;
    if (p->n_terms > 1)
        qsort(t, p->n_terms, sizeof *t, by_key);
    for (size_t i = 0; i < p->n_terms; i++) {
        if (n && t[n - 1].key == t[i].key) {
            if (!decimal_add(&t[n - 1].coef, t[n - 1].coef, t[i].coef))
                return false;
        } else {
            if (n && decimal_is_zero(t[n - 1].coef))
                n--;
            t[n++] = t[i];
        }
    }
    if (n && decimal_is_zero(t[n - 1].coef))
        n--;
    p->n_terms = n;
    return true;
}

/* The place of a bound in the table, or NULL if it has none. */
static struct known *find_known(struct parser *p, const struct known *want)
{
    uint64_t h = want->key * 4 + (want->sign < 0) * 2 + want->strict;

    h = (h ^ (uint64_t)want->m << 20 ^ (uint64_t)(want->e & 255) << 56) *
        0x9e3779b97f4a7c15;
    return &p->known[h >> 52 & (N_KNOWN - 1)];
}

static bool same_bound(const struct known *a, const struct known *b)
{
    return a->row && a->key == b->key && a->m == b->m && a->e == b->e &&
           a->sign == b->sign && a->strict == b->strict;
}

static ax_status make_row(struct parser *p, struct formula *f, int sign,
                          struct decimal d, bool strict, const char *place);

/* As make_row, for what may have been made before: one variable, once. */
static ax_status make_bound(struct parser *p, struct formula *f, int sign,
                            struct decimal d, bool strict, const char *place)
{
    struct known want = {.key = p->terms[0].key,
                         .m = (int64_t)d.m,
                         .e = d.e,
                         .sign = sign * (int)p->terms[0].coef.m,
                         .strict = strict};
    struct known *known = find_known(p, &want);
    int i = f->row[0] ? 1 : 0;

    if (same_bound(known, &want)) {
        f->row[i] = known->row;
        return AX_OK;
    }
    AX_TRY(make_row(p, f, sign, d, strict, place));
    want.row = f->row[i];
    *known = want;
    return AX_OK;
}

static bool is_bound(const struct parser *p, struct decimal d)
{
    const struct term *t = p->terms;

    return p->n_terms == 1 && t->coef.e == 0 &&
           (t->coef.m == 1 || t->coef.m == -1) && !d.digits &&
           d.m == (int64_t)d.m;
}

/* The row SIGN (sum of terms) <= d, or if there are no terms, what it says
 * of the comparison. */
static ax_status make_row(struct parser *p, struct formula *f, int sign,
                          struct decimal d, bool strict, const char *place)
{
    size_t n = p->n_terms, n_x = 0;
    struct ax_row *r;
    uint32_t *index;
    int32_t *coef;
    int k = 0;

    if (!n) {
        f->empty |= d.digits ? d.negative : d.m < 0;
        f->never |= strict && decimal_is_zero(d);
        return AX_OK;
    }
    for (size_t i = 0; i < n; i++) {
        n_x += p->terms[i].key < Y_BIT;
        if (-p->terms[i].coef.e > k)
            k = -p->terms[i].coef.e;
    }
    r = ax_arena_zalloc(p->rows, 1, sizeof *r);
    index = ax_arena_alloc(p->rows, 2 * n, sizeof *index);
    if (!r || !index || !decimal_to_row(r, d, k, p->rows))
        return no_memory(p);
    coef = (int32_t *)(index + n);
    *r = (struct ax_row){.n_x = (uint32_t)n_x,
                         .n_y = (uint32_t)(n - n_x),
                         .x_index = index,
                         .y_index = index + n_x,
                         .x_coef = coef,
                         .y_coef = coef + n_x,
                         .d64_up = r->d64_up,
                         .d = r->d,
                         .d_text = r->d_text,
                         .strict = strict};
    for (size_t i = 0; i < n; i++) {
        ax_i128 v = p->terms[i].coef.m;
        int e = p->terms[i].coef.e + k;

        for (; e > 0 && v < COEF_MAX && v > -COEF_MAX; e--)
            v *= 10;
        if (v >= COEF_MAX || v <= -COEF_MAX)
            return fail_at(p, place, AX_EUNSUPPORTED,
                           "a coefficient of 2^26 or more, once all are "
                           "integers");
        index[i] = (uint32_t)p->terms[i].key;
        coef[i] = (int32_t)(sign < 0 ? -v : v);
    }
    f->row[f->row[0] ? 1 : 0] = r;
    return AX_OK;
}

/* After "(" and the operator. */
static ax_status read_comparison(struct parser *p, struct formula *f,
                                 const char *op, int depth, const char *place)
{
    struct linear a, b;
    struct decimal d = {0};
    bool strict = op[1] == 0 && op[0] != '=';
    ax_status (*make)(struct parser *, struct formula *, int, struct decimal,
                      bool, const char *);

    p->n_terms = 0;
    AX_TRY(read_term(p, &a, depth));
    AX_TRY(read_term(p, &b, depth));
    AX_TRY(expect(p, ')', "wanted ')': a comparison has two sides"));
    if (a.is_number && b.is_number)
        return fail_at(p, place, AX_EUNSUPPORTED,
                       "a comparison of two numbers");
    /* a - b <= d */
    negate(p, &(struct linear){.first = b.first});
    if (a.is_number)
        d = decimal_neg(a.number);
    if (b.is_number)
        d = b.number;
    if (!collect(p))
        return beyond(p, place);
    *f = (struct formula){.kind = FORMULA_CMP, .n_conjs = 1};
    f->n_rows = op[0] == '=' ? 2 : 1;
    make = is_bound(p, d) ? make_bound : make_row;
    if (op[0] != '>')
        AX_TRY(make(p, f, 1, d, strict, place));
    if (op[0] != '<')
        AX_TRY(make(p, f, -1, decimal_neg(d), strict, place));
    return AX_OK;
}

static ax_status too_many(struct parser *p, const char *place)
{
    return fail_at(p, place, AX_EUNSUPPORTED,
                   "more than 1048576 conjunctions or 67108864 rows");
}

static ax_status read_formula(struct parser *p, struct formula **out,
                              int depth)
{
    static const char *const ops[] = {"<=", ">=", "<", ">", "="};
    const char *place;
    struct formula *f, **tail;
    struct word op;

    AX_TRY(expect(p, '(', "wanted '(' and a formula"));
    place = p->at - 1;
    if (depth >= DEPTH_MAX)
        return fail_at(p, place, AX_EUNSUPPORTED, "nested more than 64 deep");
    f = *out = ax_arena_zalloc(p->tree, 1, sizeof *f);
    if (!f)
        return no_memory(p);
    op = read_word(p);
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (word_is(op, ops[i]))
            return read_comparison(p, f, ops[i], depth + 1, place);
    if (!word_is(op, "and") && !word_is(op, "or"))
        return unexpected(p, op, "one of and or <= >= < > =");
    f->kind = op.s[0] == 'a' ? FORMULA_AND : FORMULA_OR;
    tail = &f->kids;
    do {
        AX_TRY(read_formula(p, tail, depth + 1));
        tail = &(*tail)->next;
    } while (!next_is(p, ')'));
    p->at++;
    return formula_count(f) ? AX_OK : too_many(p, place);
}

static ax_status read_file(struct parser *p, struct formula *all)
{
    struct formula **tail = &all->kids;

    while (skip_space(p), p->at < p->end) {
        struct word command;

        AX_TRY(expect(p, '(', "wanted '(' and a command"));
        command = read_word(p);
        if (word_is(command, "declare-const")) {
            AX_TRY(read_declaration(p));
        } else if (word_is(command, "assert")) {
            AX_TRY(read_formula(p, tail, 0));
            tail = &(*tail)->next;
            AX_TRY(expect(p, ')', "wanted ')' at the end of the assertion"));
        } else {
            return unexpected(p, command, "declare-const or assert");
        }
    }
    if (p->x.declared != p->x.n || p->y.declared != p->y.n)
        return wrong_shape(p);
    for (int k = 0; k < 2; k++) {
        struct vars *v = k ? &p->y : &p->x;

        for (uint32_t i = 0; i < v->n; i++)
            if (!v->seen[i])
                return ax_fail(p->err, AX_EFORMAT, "%c_%u is not declared",
                               v->letter, i);
    }
    return formula_count(all) ? AX_OK : too_many(p, p->end);
}

ax_status ax_prop_read(struct ax_prop **out, const char *text, size_t n,
                       uint32_t n_x, uint32_t n_y, struct ax_err *err)
{
    struct formula all = {.kind = FORMULA_AND};
    struct parser p = {.begin = text,
                       .at = text,
                       .end = text + n,
                       .x = {.letter = 'X', .n = n_x},
                       .y = {.letter = 'Y', .n = n_y},
                       .err = err};
    struct ax_prop *prop = calloc(1, sizeof *prop);
    ax_status st;

    *out = NULL;
    p.x.seen = calloc((size_t)n_x + 1, 1);
    p.y.seen = calloc((size_t)n_y + 1, 1);
    p.rows = ax_arena_new();
    p.tree = ax_arena_new();
    p.known = calloc(N_KNOWN, sizeof *p.known);
    if (!prop || !p.x.seen || !p.y.seen || !p.rows || !p.tree || !p.known) {
        st = no_memory(&p);
        goto out;
    }
    prop->n_x = n_x;
    prop->n_y = n_y;
    prop->arena = p.rows;
    p.rows = NULL;
    ax_sha256(prop->digest, text, n);
    p.rows = prop->arena;
    st = read_file(&p, &all);
    if (st == AX_OK)
        st = prop_multiply_out(prop, &all, err);
    p.rows = NULL;
out:
    free(p.x.seen);
    free(p.y.seen);
    free(p.terms);
    free(p.known);
    ax_arena_free(p.rows);
    ax_arena_free(p.tree);
    if (st == AX_OK)
        *out = prop;
    else
        ax_prop_free(prop);
    return st;
}

void ax_prop_free(struct ax_prop *p)
{
    if (!p)
        return;
    ax_arena_free(p->arena);
    free(p);
}
