/* A query, with the networks that it is of, as a property in VNN-LIB 1.0. */
#include <stdlib.h>
#include <string.h>

#include "query.h"
#include "text.h"

/* The smallest and the largest value that a query gives an input; NULL:
 * none, or one that cannot be computed with. */
struct ends {
    struct decimal lo, hi;
    bool has_lo, has_hi;
};

struct binding {
    const struct ax_query *q;
    uint64_t n;     /* elements, of all tensors */
    bool *input;    /* [n] is it an input? */
    uint32_t *same; /* [n] an element that it is equal to, or itself */
    uint32_t *base; /* [n] what it is not less than, and its difference to
                     * that is an input of its own; AX_NONE */
    bool *taken;    /* [n] is it such a base? */
    struct ends *ends;
    uint32_t *of, *plus; /* [n] places among the X, or for outputs the Y */
    uint32_t n_x, n_y;
    struct text text;
    struct ax_err *err;
};

static const struct decimal one = {.m = 1};

static ax_status no_memory(struct ax_err *err)
{
    return ax_fail(err, AX_ENOMEM, "no memory for the query");
}

static uint32_t root(const struct binding *b, uint64_t e)
{
    while (b->same[e] != e)
        e = b->same[e];
    return (uint32_t)e;
}

static bool is_unit(struct decimal c, int m)
{
    return !c.digits && c.e == 0 && c.m == m;
}

/* What is asserted on its own, not in an or. */
static void each_fact(struct binding *b, const struct query_formula *f,
                      void (*say)(struct binding *,
                                  const struct query_formula *))
{
    if (f->form == QUERY_COMPARE)
        say(b, f);
    for (uint32_t i = 0; f->form == QUERY_AND && i < f->n; i++)
        each_fact(b, f->kid[i], say);
}

/* Is it u - v, compared with 0, both inputs? */
static bool is_pair(const struct binding *b, const struct query_formula *f,
                    uint32_t *u, uint32_t *v)
{
    const struct query_term *t = f->sum.t;
    bool swapped;

    if (f->sum.n != 2 || !decimal_is_zero(f->sum.c) || !b->input[t[0].var] ||
        !b->input[t[1].var])
        return false;
    swapped = is_unit(t[0].c, -1) && is_unit(t[1].c, 1);
    if (!swapped && !(is_unit(t[0].c, 1) && is_unit(t[1].c, -1)))
        return false;
    *u = root(b, t[swapped].var);
    *v = root(b, t[!swapped].var);
    return true;
}

static void unite(struct binding *b, const struct query_formula *f)
{
    uint32_t u, v;

    if (f->op == Q_SAME && is_pair(b, f, &u, &v))
        b->same[u > v ? u : v] = u > v ? v : u;
}

/* Is a < b? False also where one is too long to say. */
static bool less(struct decimal a, struct decimal b)
{
    struct decimal d;

    return decimal_add(&d, b, decimal_neg(a)) && d.m > 0;
}

static void limit(struct binding *b, const struct query_formula *f)
{
    struct ends *e;
    struct decimal v;
    bool up;

    if (f->sum.n != 1 || !b->input[f->sum.t->var] || f->op == Q_OTHER)
        return;
    up = is_unit(f->sum.t->c, 1);
    if ((!up && !is_unit(f->sum.t->c, -1)) || f->sum.c.digits)
        return;
    e = &b->ends[root(b, f->sum.t->var)];
    v = up ? decimal_neg(f->sum.c) : f->sum.c;
    if (up ? f->op != Q_MORE && f->op != Q_AT_LEAST
           : f->op != Q_LESS && f->op != Q_AT_MOST) {
        if (!e->has_hi || less(v, e->hi))
            e->hi = v;
        e->has_hi = true;
    }
    if (f->op == Q_SAME || (up ? f->op == Q_MORE || f->op == Q_AT_LEAST
                               : f->op == Q_LESS || f->op == Q_AT_MOST)) {
        if (!e->has_lo || less(e->lo, v))
            e->lo = v;
        e->has_lo = true;
    }
}

static uint32_t network_of(const struct ax_query *q, uint64_t e)
{
    uint32_t t = 0;

    while (e - q->tensor[t].first >= q->tensor[t].n)
        t++;
    return q->tensor[t].network;
}

/* u <= v, of two networks: v is u and something from 0 on. */
static void order(struct binding *b, const struct query_formula *f)
{
    struct decimal width;
    uint32_t u, v;

    if (f->op == Q_SAME || f->op == Q_OTHER || !is_pair(b, f, &u, &v))
        return;
    if (f->op == Q_MORE || f->op == Q_AT_LEAST) {
        uint32_t w = u;

        u = v;
        v = w;
    }
    if (u == v || b->base[u] != AX_NONE || b->base[v] != AX_NONE ||
        b->taken[v] || network_of(b->q, u) == network_of(b->q, v))
        return;
    if (!b->ends[u].has_lo || !b->ends[v].has_hi || !b->ends[u].has_hi ||
        !b->ends[v].has_lo ||
        !decimal_add(&width, b->ends[v].hi, decimal_neg(b->ends[u].lo)))
        return;
    b->base[v] = u;
    b->taken[u] = true;
}

static ax_status rooms(struct binding *b)
{
    const struct query_tensor *last = &b->q->tensor[b->q->n_tensors - 1];
    size_t n = (size_t)(b->n = last->first + last->n);

    b->input = calloc(n, sizeof *b->input);
    b->taken = calloc(n, sizeof *b->taken);
    b->same = calloc(n, sizeof *b->same);
    b->base = calloc(n, sizeof *b->base);
    b->of = calloc(n, sizeof *b->of);
    b->plus = calloc(n, sizeof *b->plus);
    b->ends = calloc(n, sizeof *b->ends);
    if (!b->input || !b->taken || !b->same || !b->base || !b->of ||
        !b->plus || !b->ends)
        return no_memory(b->err);
    for (uint32_t t = 0; t < b->q->n_tensors; t++)
        for (uint64_t e = 0; e < b->q->tensor[t].n; e++)
            b->input[b->q->tensor[t].first + e] = b->q->tensor[t].kind ==
                                                  QUERY_INPUT;
    for (size_t e = 0; e < n; e++) {
        b->same[e] = (uint32_t)e;
        b->base[e] = b->plus[e] = AX_NONE;
    }
    return AX_OK;
}

/* Places of all elements in a network that is made for the query: those of
 * inputs that are independent, then differences; outputs in their order. */
static void place(struct binding *b)
{
    each_fact(b, &b->q->whole, unite);
    each_fact(b, &b->q->whole, limit);
    each_fact(b, &b->q->whole, order);
    for (uint64_t e = 0; e < b->n; e++) {
        if (!b->input[e])
            b->of[e] = b->n_y++;
        else if (b->same[e] == e && b->base[e] == AX_NONE)
            b->of[e] = b->n_x++;
    }
    for (uint64_t e = 0; e < b->n; e++)
        if (b->same[e] == e && b->base[e] != AX_NONE) {
            b->of[e] = b->of[b->base[e]];
            b->plus[e] = b->n_x++;
        }
    for (uint64_t e = 0; e < b->n; e++)
        if (b->same[e] != e) {
            b->of[e] = b->of[root(b, e)];
            b->plus[e] = b->plus[root(b, e)];
        }
}

/* The same for one network as it is, whose inputs and outputs come in the
 * order of the query; *made is true if one must be made after all. */
static ax_status place_alone(struct binding *b, const struct ax_model *m,
                             bool *made)
{
    const struct ax_graph *g = m->graph;
    uint32_t nth[3] = {0};

    for (uint32_t i = 0; i < b->q->n_tensors; i++) {
        const struct query_tensor *t = &b->q->tensor[i];
        uint32_t k = nth[t->kind]++, v;
        uint32_t *n = t->kind == QUERY_INPUT ? &b->n_x : &b->n_y;

        AX_TRY(query_value(&v, t, k, m, b->err));
        *made |= t->kind == QUERY_HIDDEN ||
                 v != (t->kind == QUERY_INPUT ? g->inputs : g->outputs)[k];
        for (uint64_t e = 0; e < t->n; e++)
            b->of[t->first + e] = (*n)++;
    }
    *made |= nth[QUERY_INPUT] != g->n_inputs ||
             nth[QUERY_OUTPUT] != g->n_outputs;
    return AX_OK;
}

/* ---- the text ---- */

static void add_number(struct binding *b, const struct query_sum *s)
{
    struct decimal c = decimal_neg(s->c);
    char digits[48];
    int at = sizeof digits;
    ax_i128 m = c.m < 0 ? -c.m : c.m;

    if (s->literal) { /* as it was written, the other way round */
        bool signs = *s->literal == '-' || *s->literal == '+';
        bool minus = (*s->literal == '-') == s->minus;

        text_add(&b->text, "%s%.*s", minus ? "-" : "",
                 (int)(s->n_literal - signs), s->literal + signs);
        return;
    }
    digits[--at] = '\0';
    do
        digits[--at] = (char)('0' + (int)(m % 10));
    while ((m /= 10) > 0);
    text_add(&b->text, "%s%s", c.m < 0 ? "-" : "", digits + at);
    if (c.e)
        text_add(&b->text, "e%d", c.e);
}

static void add_coefficient(struct binding *b, struct decimal c)
{
    const struct query_sum s = {.c = decimal_neg(c)};

    add_number(b, &s);
}

static void add_compare(struct binding *b, const char *op,
                        const struct query_sum *s)
{
    text_add(&b->text, "(%s ", op);
    if (s->n > 1)
        text_add(&b->text, "(+");
    for (size_t i = 0; i < s->n; i++) {
        bool y = s->t[i].var >> 32 & 1;
        unsigned at = (unsigned)(s->t[i].var & UINT32_MAX);

        text_add(&b->text, "%s", s->n > 1 ? " " : "");
        if (is_unit(s->t[i].c, 1)) {
            text_add(&b->text, "%c_%u", y ? 'Y' : 'X', at);
            continue;
        }
        text_add(&b->text, "(* ");
        add_coefficient(b, s->t[i].c);
        text_add(&b->text, " %c_%u)", y ? 'Y' : 'X', at);
    }
    text_add(&b->text, "%s ", s->n > 1 ? ")" : "");
    add_number(b, s);
    text_add(&b->text, ")");
}

/* Does a number with that sign compare so with 0? */
static bool is_true(enum query_op op, int sign)
{
    switch (op) {
    case Q_LESS:
        return sign < 0;
    case Q_AT_MOST:
        return sign <= 0;
    case Q_MORE:
        return sign > 0;
    case Q_AT_LEAST:
        return sign >= 0;
    case Q_SAME:
        return sign == 0;
    default:
        return sign != 0;
    }
}

/* A comparison over the X and the Y. VNN-LIB 1.0 as it is proved knows no
 * strict ones, so one without variables is decided here. */
static ax_status add_fact(struct binding *b, const struct query_formula *f)
{
    static const char *const names[] = {"<", "<=", ">", ">=", "="};
    struct query_sum s = {0}, empty = f->sum;
    bool lost = false;

    empty.n = 0;
    for (size_t i = 0; i < f->sum.n; i++) {
        const struct query_term *t = &f->sum.t[i];
        struct query_term x[2] = {{b->of[t->var], t->c},
                                  {b->plus[t->var], t->c}};
        const struct query_sum more = {
            .t = x, .n = b->plus[t->var] == AX_NONE ? 1 : 2};

        if (!b->input[t->var])
            x[0].var |= (uint64_t)1 << 32;
        if (!query_add(b->q->arena, &s, &more, one, &lost))
            return no_memory(b->err);
    }
    if (!query_add(b->q->arena, &s, &empty, one, &lost) || !query_collect(&s))
        return ax_fail(b->err, AX_EFORMAT, "a coefficient is too large");
    if (s.n == 0) {
        text_add(&b->text, "(<= (* 0 X_0) %d)",
                 is_true(f->op, s.c.digits ? 1 - 2 * s.c.negative
                                           : (s.c.m > 0) - (s.c.m < 0))
                     ? 0
                     : -1);
        return AX_OK;
    }
    if (f->op != Q_OTHER) {
        add_compare(b, names[f->op], &s);
        return AX_OK;
    }
    text_add(&b->text, "(or ");
    add_compare(b, "<", &s);
    text_add(&b->text, " ");
    add_compare(b, ">", &s);
    text_add(&b->text, ")");
    return AX_OK;
}

static ax_status add_formula(struct binding *b, const struct query_formula *f)
{
    if (f->form == QUERY_COMPARE)
        return add_fact(b, f);
    text_add(&b->text, "(%s", f->form == QUERY_AND ? "and" : "or");
    for (uint32_t i = 0; i < f->n; i++) {
        text_add(&b->text, " ");
        AX_TRY(add_formula(b, f->kid[i]));
    }
    text_add(&b->text, ")");
    return AX_OK;
}

/* Element e as the query writes it. */
static void add_element(struct binding *b, const struct query_tensor *t,
                        uint64_t e)
{
    uint64_t part = t->n;

    text_add(&b->text, "%s", t->name);
    for (int i = 0; i < t->rank; i++) {
        part /= (uint64_t)t->dims[i];
        text_add(&b->text, "%c%llu", i ? ',' : '[',
                 (unsigned long long)(e / part % (uint64_t)t->dims[i]));
    }
    text_add(&b->text, "%s", t->rank ? "]" : "");
}

/* Which variable is which, as comments. */
static void add_names(struct binding *b)
{
    for (uint32_t i = 0; i < b->q->n_tensors; i++) {
        const struct query_tensor *t = &b->q->tensor[i];

        for (uint64_t e = 0; e < t->n; e++) {
            uint64_t at = t->first + e;

            text_add(&b->text, "; ");
            add_element(b, t, e);
            text_add(&b->text, " is %c_%u", b->input[at] ? 'X' : 'Y',
                     b->of[at]);
            if (b->plus[at] != AX_NONE)
                text_add(&b->text, " + X_%u", b->plus[at]);
            text_add(&b->text, "\n");
        }
    }
}

/* A difference is from 0 on, and up to what its ends allow. */
static ax_status add_differences(struct binding *b)
{
    for (uint64_t e = 0; e < b->n; e++) {
        const struct ends *v = &b->ends[e], *u;
        struct query_sum s = {0};

        if (b->base[e] == AX_NONE || b->same[e] != e)
            continue;
        u = &b->ends[b->base[e]];
        if (!decimal_add(&s.c, u->lo, decimal_neg(v->hi)))
            return ax_fail(b->err, AX_EFORMAT, "a bound is too long");
        text_add(&b->text, "(assert (>= X_%u 0))\n(assert (<= X_%u ",
                 b->plus[e], b->plus[e]);
        add_number(b, &s);
        text_add(&b->text, "))\n");
    }
    return AX_OK;
}

static ax_status write_text(struct binding *b)
{
    text_add(&b->text, "; of a query in VNN-LIB 2.0\n");
    add_names(b);
    for (uint32_t i = 0; i < b->n_x; i++)
        text_add(&b->text, "(declare-const X_%u Real)\n", i);
    for (uint32_t i = 0; i < b->n_y; i++)
        text_add(&b->text, "(declare-const Y_%u Real)\n", i);
    AX_TRY(add_differences(b));
    for (uint32_t i = 0; i < b->q->whole.n; i++) {
        text_add(&b->text, "(assert ");
        AX_TRY(add_formula(b, b->q->whole.kid[i]));
        text_add(&b->text, ")\n");
    }
    return b->text.lost ? no_memory(b->err) : AX_OK;
}

static ax_status bind(struct ax_model **out, struct binding *b,
                      const struct ax_model *const *models)
{
    bool made = b->q->n_networks > 1;

    /* First: a few bytes can declare more elements than networks have. */
    AX_TRY(joint_check(b->q, models, b->err));
    AX_TRY(rooms(b));
    if (!made)
        AX_TRY(place_alone(b, models[0], &made));
    if (made) {
        b->n_x = b->n_y = 0;
        place(b);
    }
    AX_TRY(write_text(b));
    return made ? joint_model(
                      out,
                      &(struct joint){b->q, models, b->n_x, b->of, b->plus},
                      b->err)
                : AX_OK;
}

ax_status ax_query_bind(struct ax_model **out, char **text, size_t *n,
                        const struct ax_query *q,
                        const struct ax_model *const *models,
                        struct ax_err *err)
{
    struct binding b = {.q = q, .err = err};
    ax_status st;

    *out = NULL;
    *text = NULL;
    st = bind(out, &b, models);
    free(b.input);
    free(b.taken);
    free(b.same);
    free(b.base);
    free(b.of);
    free(b.plus);
    free(b.ends);
    if (st != AX_OK) {
        free(b.text.data);
        return st;
    }
    *text = b.text.data;
    *n = b.text.n;
    return AX_OK;
}
