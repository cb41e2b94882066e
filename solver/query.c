/* Reads a query of VNN-LIB 2.0. Comparisons become sums, exactly. */
#include "query.h"

#include <stdlib.h>
#include <string.h>

#define DEEP         64
#define TENSORS_MAX  256
#define NETWORKS_MAX 16
#define ELEMENTS_MAX ((uint64_t)1 << 24)

struct parser {
    const char *at, *end;
    unsigned line;
    struct ax_query *q;
    bool lost; /* memory was out */
    struct ax_err *err;
};

struct word {
    const char *s;
    size_t n;
};

static ax_status no_memory(struct ax_err *err)
{
    return ax_fail(err, AX_ENOMEM, "no memory for the query");
}

#define FAIL(p, ...) fail_at(p, __VA_ARGS__)

static AX_PRINTF(2, 3) ax_status
    fail_at(struct parser *p, const char *fmt, ...)
{
    char what[200];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return ax_fail(p->err, AX_EFORMAT, "line %u: %s", p->line, what);
}

/* ---- words ---- */

static void skip(struct parser *p)
{
    for (; p->at < p->end; p->at++) {
        if (*p->at == ';')
            while (p->at + 1 < p->end && p->at[1] != '\n')
                p->at++;
        else if (*p->at == '\n')
            p->line++;
        else if (!memchr(" \t\r\f", *p->at, 4))
            return;
    }
}

static bool is_end(char c)
{
    return memchr(" \t\r\f\n;()[],\"", c, 11) != NULL;
}

/* A parenthesis, a bracket, a comma, a string with its quotes, or what goes
 * up to the next of them; no characters at the end. */
static struct word peek(struct parser *p)
{
    struct word w;

    skip(p);
    w = (struct word){p->at, 0};
    if (p->at == p->end)
        return w;
    if (*p->at == '"') {
        const char *close = memchr(p->at + 1, '"',
                                   (size_t)(p->end - p->at) - 1);

        w.n = close ? (size_t)(close - p->at) + 1 : 1;
        return w;
    }
    w.n = 1;
    while (!is_end(*p->at) && p->at + w.n < p->end && !is_end(p->at[w.n]))
        w.n++;
    return w;
}

static struct word next(struct parser *p)
{
    struct word w = peek(p);

    p->at += w.n;
    return w;
}

static bool is(struct word w, const char *s)
{
    return strlen(s) == w.n && memcmp(w.s, s, w.n) == 0;
}

static int shown(struct word w)
{
    return w.n < 40 ? (int)w.n : 40;
}

static ax_status expect(struct parser *p, const char *what)
{
    struct word w = next(p);

    if (!is(w, what))
        return FAIL(p, "wanted '%s', found '%.*s'", what, shown(w), w.s);
    return AX_OK;
}

static bool is_name(struct word w)
{
    for (size_t i = 0; i < w.n; i++) {
        char c = w.s[i], low = (char)(c | 0x20);

        if (!(low >= 'a' && low <= 'z') &&
            (i == 0 || (c != '_' && !(c >= '0' && c <= '9'))))
            return false;
    }
    return w.n > 0;
}

static const char *keep(struct parser *p, struct word w)
{
    char *s = ax_arena_alloc(p->q->arena, w.n + 1, 1);

    if (!s) {
        p->lost = true;
        return NULL;
    }
    memcpy(s, w.s, w.n);
    s[w.n] = '\0';
    return s;
}

static ax_status read_name(struct parser *p, const char **out)
{
    struct word w = next(p);

    if (!is_name(w))
        return FAIL(p, "'%.*s' is no name", shown(w), w.s);
    *out = keep(p, w);
    return *out ? AX_OK : no_memory(p->err);
}

/* Numbers in brackets, with commas or space between them. */
static ax_status read_indexes(struct parser *p, int64_t *out, int *n)
{
    AX_TRY(expect(p, "["));
    for (*n = 0; !is(peek(p), "]"); (*n)++) {
        struct word w;
        int64_t v = 0;

        if (*n > 0 && is(peek(p), ","))
            next(p);
        w = next(p);
        if (*n == AX_RANK_MAX)
            return FAIL(p, "more than %d dimensions", AX_RANK_MAX);
        for (size_t i = 0; i < w.n; i++) {
            if (w.s[i] < '0' || w.s[i] > '9' || v > INT32_MAX)
                return FAIL(p, "'%.*s' is no number from 0 on", shown(w),
                            w.s);
            v = 10 * v + (w.s[i] - '0');
        }
        if (w.n == 0)
            return FAIL(p, "a bracket is not closed");
        out[*n] = v;
    }
    return expect(p, "]");
}

/* ---- declarations ---- */

static struct query_tensor *tensor_of(const struct ax_query *q, struct word w)
{
    for (uint32_t i = 0; i < q->n_tensors; i++)
        if (is(w, q->tensor[i].name))
            return &q->tensor[i];
    return NULL;
}

static int network_of(const struct ax_query *q, struct word w)
{
    for (uint32_t i = 0; i < q->n_networks; i++)
        if (is(w, q->network[i].name))
            return (int)i;
    return -1;
}

static bool is_type(const char *s)
{
    static const char *const names[] = {"Real",    "real",    "float16",
                                        "float32", "float64", "Float16",
                                        "Float32", "Float64"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(s, names[i]) == 0)
            return true;
    return false;
}

/* What follows (declare-input, -hidden or -output. */
static ax_status read_tensor(struct parser *p, enum query_kind kind)
{
    struct ax_query *q = p->q;
    struct query_tensor *t = &q->tensor[q->n_tensors];
    const struct query_tensor *last = q->n_tensors ? t - 1 : NULL;
    const char *type;
    struct word w;

    if (q->n_tensors == TENSORS_MAX)
        return FAIL(p, "more than %d tensors", TENSORS_MAX);
    *t = (struct query_tensor){.kind = kind, .network = q->n_networks};
    if (last && last->network == t->network && last->kind > kind)
        return FAIL(p, "inputs come before hidden values, and these before "
                       "outputs");
    AX_TRY(read_name(p, &t->name));
    w = (struct word){t->name, strlen(t->name)};
    if (tensor_of(q, w) || network_of(q, w) >= 0)
        return FAIL(p, "'%.40s' is declared twice", t->name);
    AX_TRY(read_name(p, &type));
    if (!is_type(type))
        return FAIL(p,
                    "elements of '%.40s' are %.20s; known are Real and "
                    "float16, float32, float64",
                    t->name, type);
    AX_TRY(read_indexes(p, t->dims, &t->rank));
    t->n = 1;
    t->first = last ? last->first + last->n : 0;
    for (int i = 0; i < t->rank; i++) {
        if (t->dims[i] < 1 || (uint64_t)t->dims[i] > ELEMENTS_MAX ||
            (t->n *= (uint64_t)t->dims[i]) > ELEMENTS_MAX - t->first)
            return FAIL(p, "'%.40s' is empty or too large", t->name);
    }
    w = peek(p);
    if (w.n > 1 && *w.s == '"') {
        next(p);
        t->onnx = keep(p, (struct word){w.s + 1, w.n - 2});
        if (!t->onnx)
            return no_memory(p->err);
    } else if (kind == QUERY_HIDDEN) {
        return FAIL(p, "'%.40s' wants the name of a value in the network",
                    t->name);
    }
    q->n_tensors++;
    return expect(p, ")");
}

static ax_status read_same(struct parser *p, struct query_network *net,
                           bool equal)
{
    struct word w = next(p);
    int other = network_of(p->q, w);

    if (other < 0)
        return FAIL(p, "there is no network '%.*s'", shown(w), w.s);
    if (equal)
        net->same = p->q->network[other].same >= 0 ? p->q->network[other].same
                                                   : other;
    return expect(p, ")");
}

static ax_status read_network(struct parser *p)
{
    struct ax_query *q = p->q;
    struct query_network *net = &q->network[q->n_networks];
    bool ends[3] = {false};

    if (q->n_networks == NETWORKS_MAX)
        return FAIL(p, "more than %d networks", NETWORKS_MAX);
    *net = (struct query_network){.same = -1, .first = q->n_tensors};
    AX_TRY(read_name(p, &net->name));
    if (network_of(q, (struct word){net->name, strlen(net->name)}) >= 0)
        return FAIL(p, "'%.40s' is declared twice", net->name);
    while (is(peek(p), "(")) {
        struct word w = (next(p), next(p));
        int kind = is(w, "declare-input")    ? QUERY_INPUT
                   : is(w, "declare-hidden") ? QUERY_HIDDEN
                   : is(w, "declare-output") ? QUERY_OUTPUT
                                             : -1;

        if (is(w, "equal-to") || is(w, "isomorphic-to")) {
            AX_TRY(read_same(p, net, *w.s == 'e'));
            continue;
        }
        if (kind < 0)
            return FAIL(p, "'%.*s' is not known in a network", shown(w), w.s);
        AX_TRY(read_tensor(p, (enum query_kind)kind));
        ends[kind] = true;
    }
    if (!ends[QUERY_INPUT] || !ends[QUERY_OUTPUT])
        return FAIL(p, "network '%.40s' has no input or no output",
                    net->name);
    net->n = q->n_tensors - net->first;
    q->n_networks++;
    return expect(p, ")");
}

/* ---- sums ---- */

static bool push(struct ax_arena *arena, struct query_sum *s,
                 struct query_term t)
{
    if (s->n == s->room) {
        size_t room = s->room ? 2 * s->room : 4;
        struct query_term *more = ax_arena_alloc(arena, room, sizeof *more);

        if (!more)
            return false;
        if (s->n)
            memcpy(more, s->t, s->n * sizeof *more);
        s->t = more;
        s->room = room;
    }
    s->t[s->n++] = t;
    return true;
}

static bool is_one(struct decimal k)
{
    return !k.digits && (k.m == 1 || k.m == -1) && k.e == 0;
}

bool query_add(struct ax_arena *arena, struct query_sum *s,
               const struct query_sum *t, struct decimal k, bool *lost)
{
    struct decimal c = t->c;

    for (size_t i = 0; i < t->n; i++) {
        struct query_term more = {.var = t->t[i].var};

        if (!decimal_mul(&more.c, t->t[i].c, k))
            return false;
        if (!push(arena, s, more)) {
            *lost = true;
            return false;
        }
    }
    if (decimal_is_zero(c))
        return true;
    if (decimal_is_zero(s->c) && is_one(k)) { /* of any length */
        s->c = k.m < 0 ? decimal_neg(c) : c;
        s->literal = t->literal;
        s->n_literal = t->n_literal;
        s->minus = t->minus != (k.m < 0);
        return true;
    }
    s->literal = NULL;
    return decimal_mul(&c, c, k) && decimal_add(&s->c, s->c, c);
}

static int by_variable(const void *a, const void *b)
{
    uint64_t u = ((const struct query_term *)a)->var;
    uint64_t v = ((const struct query_term *)b)->var;

    return (u > v) - (u < v);
}

bool query_collect(struct query_sum *s)
{
    size_t n = 0;

    if (s->n > 1)
        qsort(s->t, s->n, sizeof *s->t, by_variable);
    for (size_t i = 0; i < s->n; i++) {
        if (n > 0 && s->t[n - 1].var == s->t[i].var) {
            if (!decimal_add(&s->t[n - 1].c, s->t[n - 1].c, s->t[i].c))
                return false;
        } else {
            s->t[n++] = s->t[i];
        }
        if (decimal_is_zero(s->t[n - 1].c))
            n--;
    }
    s->n = n;
    return true;
}

static const struct decimal plus_one = {.m = 1}, minus_one = {.m = -1};

static ax_status add_to(struct parser *p, struct query_sum *s,
                        const struct query_sum *t, struct decimal k)
{
    if (query_add(p->q->arena, s, t, k, &p->lost))
        return AX_OK;
    return p->lost ? no_memory(p->err)
                   : FAIL(p, "a number is beyond 10^12, or no multiple of "
                             "10^-12");
}

static ax_status read_element(struct parser *p, struct query_sum *out,
                              const struct query_tensor *t)
{
    int64_t at[AX_RANK_MAX];
    uint64_t i = 0;
    int n = 0;

    if (is(peek(p), "["))
        AX_TRY(read_indexes(p, at, &n));
    if (n != t->rank)
        return FAIL(p, "'%.40s' has %d dimensions, not %d", t->name, t->rank,
                    n);
    for (int k = 0; k < n; k++) {
        if (at[k] >= t->dims[k])
            return FAIL(p, "index %lld of '%.40s' is out of range",
                        (long long)at[k], t->name);
        i = i * (uint64_t)t->dims[k] + (uint64_t)at[k];
    }
    if (!push(p->q->arena, out, (struct query_term){t->first + i, plus_one}))
        return no_memory(p->err);
    return AX_OK;
}

static ax_status read_atom(struct parser *p, struct query_sum *out)
{
    struct word w = next(p);
    const struct query_tensor *t;

    if (is_name(w)) {
        t = tensor_of(p->q, w);
        if (!t)
            return FAIL(p, "'%.*s' is not declared", shown(w), w.s);
        return read_element(p, out, t);
    }
    if (decimal_read(&out->c, w.s, w.n) != NUMBER_OK)
        return FAIL(p, "'%.*s' is no number, or one of too many digits",
                    shown(w), w.s);
    out->literal = w.s;
    out->n_literal = w.n;
    return AX_OK;
}

/* out = the product of out and t; one of them is a number. */
static ax_status times(struct parser *p, struct query_sum *out,
                       const struct query_sum *t)
{
    const struct query_sum *number = out->n ? t : out;
    struct query_sum product = {0};

    if (out->n && t->n)
        return FAIL(p, "a product of two variables");
    AX_TRY(add_to(p, &product, out->n ? out : t, number->c));
    *out = product;
    return AX_OK;
}

static ax_status read_sum(struct parser *p, struct query_sum *out, int deep)
{
    struct word op;
    size_t n = 0;

    *out = (struct query_sum){0};
    if (deep == DEEP)
        return FAIL(p, "more than %d parentheses in each other", DEEP);
    if (!is(peek(p), "("))
        return read_atom(p, out);
    next(p);
    op = next(p);
    if (op.n != 1 || !memchr("+-*", *op.s, 3))
        return FAIL(p, "'%.*s' is not one of + - *", shown(op), op.s);
    for (; !is(peek(p), ")"); n++) {
        struct query_sum t;

        AX_TRY(read_sum(p, &t, deep + 1));
        if (n > 0 && *op.s == '*')
            AX_TRY(times(p, out, &t));
        else
            AX_TRY(add_to(p, out, &t,
                          n > 0 && *op.s == '-' ? minus_one : plus_one));
        if (!query_collect(out))
            return FAIL(p, "a coefficient is too large");
    }
    next(p);
    if (n == 0)
        return FAIL(p, "'%c' of nothing", *op.s);
    if (n == 1 && *op.s == '-') {
        struct query_sum t = *out;

        *out = (struct query_sum){0};
        AX_TRY(add_to(p, out, &t, minus_one));
    }
    return AX_OK;
}

/* ---- formulas ---- */

static const struct {
    const char *name;
    enum query_op op;
} comparisons[] = {{"<", Q_LESS},   {"<=", Q_AT_MOST}, {">", Q_MORE},
                   {"==", Q_SAME},  {"=", Q_SAME},     {">=", Q_AT_LEAST},
                   {"!=", Q_OTHER}, {NULL, Q_SAME}};

static ax_status read_formula(struct parser *p, struct query_formula *out,
                              int deep);

static ax_status read_kids(struct parser *p, struct query_formula *out,
                           int deep)
{
    struct query_formula *first = NULL, **last = &first;

    for (; !is(peek(p), ")"); out->n++) {
        struct query_formula *f = ax_arena_zalloc(p->q->arena, 1, sizeof *f);

        if (!f)
            return no_memory(p->err);
        AX_TRY(read_formula(p, f, deep + 1));
        *last = f;
        last = &f->next;
    }
    if (out->n == 0)
        return FAIL(p, "and, or of nothing");
    out->kid = ax_arena_alloc(p->q->arena, out->n, sizeof *out->kid);
    if (!out->kid)
        return no_memory(p->err);
    for (uint32_t i = 0; i < out->n; i++, first = first->next)
        out->kid[i] = first;
    return AX_OK;
}

static ax_status read_formula(struct parser *p, struct query_formula *out,
                              int deep)
{
    struct query_sum right;
    struct word op;
    int k = 0;

    if (deep == DEEP)
        return FAIL(p, "more than %d parentheses in each other", DEEP);
    AX_TRY(expect(p, "("));
    op = next(p);
    *out = (struct query_formula){0};
    if (is(op, "and") || is(op, "or")) {
        out->form = *op.s == 'a' ? QUERY_AND : QUERY_OR;
        AX_TRY(read_kids(p, out, deep));
        return expect(p, ")");
    }
    while (comparisons[k].name && !is(op, comparisons[k].name))
        k++;
    if (!comparisons[k].name)
        return FAIL(p, "'%.*s' is no comparison, and or or", shown(op), op.s);
    out->form = QUERY_COMPARE;
    out->op = comparisons[k].op;
    AX_TRY(read_sum(p, &out->sum, 0));
    AX_TRY(read_sum(p, &right, 0));
    AX_TRY(add_to(p, &out->sum, &right, minus_one));
    if (!query_collect(&out->sum))
        return FAIL(p, "a coefficient is too large");
    return expect(p, ")");
}

/* ---- the whole ---- */

static ax_status read_version(struct parser *p)
{
    struct word w;

    AX_TRY(expect(p, "("));
    AX_TRY(expect(p, "vnnlib-version"));
    w = next(p);
    if (w.n < 3 || memcmp(w.s + (*w.s == '<'), "2.", 2) != 0)
        return FAIL(p, "version %.*s; known is 2.0", shown(w), w.s);
    return expect(p, ")");
}

static ax_status read_all(struct parser *p)
{
    struct query_formula *first = NULL, **last = &first;
    struct query_formula *whole = &p->q->whole;

    AX_TRY(read_version(p));
    for (; skip(p), p->at < p->end;) {
        struct word w;

        AX_TRY(expect(p, "("));
        w = next(p);
        if (is(w, "declare-network") && whole->n == 0) {
            AX_TRY(read_network(p));
            continue;
        }
        if (!is(w, "assert"))
            return FAIL(p, "'%.*s' is not known here", shown(w), w.s);
        *last = ax_arena_zalloc(p->q->arena, 1, sizeof **last);
        if (!*last)
            return no_memory(p->err);
        AX_TRY(read_formula(p, *last, 0));
        last = &(*last)->next;
        whole->n++;
        AX_TRY(expect(p, ")"));
    }
    if (p->q->n_networks == 0 || whole->n == 0)
        return FAIL(p, "no network is declared, or nothing is asserted");
    whole->form = QUERY_AND;
    whole->kid = ax_arena_alloc(p->q->arena, whole->n, sizeof *whole->kid);
    if (!whole->kid)
        return no_memory(p->err);
    for (uint32_t i = 0; i < whole->n; i++, first = first->next)
        whole->kid[i] = first;
    return AX_OK;
}

bool ax_query_is(const char *text, size_t n)
{
    struct parser p = {.at = text, .end = text + n};

    return is(next(&p), "(") && is(next(&p), "vnnlib-version");
}

ax_status ax_query_read(struct ax_query **out, const char *text, size_t n,
                        struct ax_err *err)
{
    struct ax_query *q = calloc(1, sizeof *q);
    struct parser p = {
        .at = text, .end = text + n, .line = 1, .q = q, .err = err};
    ax_status st;

    *out = NULL;
    if (!q)
        return no_memory(err);
    q->arena = ax_arena_new();
    q->tensor = calloc(TENSORS_MAX, sizeof *q->tensor);
    q->network = calloc(NETWORKS_MAX, sizeof *q->network);
    st = q->arena && q->tensor && q->network ? read_all(&p) : no_memory(err);
    if (st != AX_OK) {
        ax_query_free(q);
        return st;
    }
    *out = q;
    return AX_OK;
}

void ax_query_free(struct ax_query *q)
{
    if (!q)
        return;
    ax_arena_free(q->arena);
    free(q->tensor);
    free(q->network);
    free(q);
}

const char *ax_query_network(const struct ax_query *q, uint32_t i, int *same)
{
    if (i >= q->n_networks)
        return NULL;
    *same = q->network[i].same;
    return q->network[i].name;
}
