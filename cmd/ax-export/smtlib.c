/* ax-export --to smtlib: a property of a network as a question to an SMT
 * solver: is there an input, and are there outputs, that the property calls
 * unsafe? Everything is exact: weights are written as fractions, the
 * property as it stands in its file. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ax/net.h"
#include "ax/prove.h"
#include "export.h"

/* What the search that finds the status may do. */
#define STATUS_BOXES 5000

/* Seconds as tests/smt/pace.py measures them: those of no neuron that may be
 * on or off, and the number of neurons that doubles them. */
#define PACE_START 0.01
#define PACE_TWICE 1.8

struct job {
    FILE *f;
    const struct ax_net *net;
    const struct ax_prop *prop;
    const char *at, *end; /* the property's text, which was read before */
    bool nonlinear;
};

/* One term of a row: coefficient and variable. */
struct term {
    double w;
    uint32_t node, i;
};

/* The terms of one row, block after block. */
struct terms {
    const struct ax_net *net;
    uint32_t k, i;  /* the row */
    uint32_t block; /* the next term */
    uint64_t at;
};

/* ---- rows ---- */

static double weight_of(const struct ax_block *b, uint64_t t)
{
    return b->w ? b->w[t] : b->wq ? b->wq[t] : 1;
}

static bool next_of_block(struct terms *it, const struct ax_block *b,
                          struct term *out)
{
    uint32_t width = it->net->nodes[b->source].n;
    uint64_t at = it->at++;

    out->node = b->source;
    if (b->form == AX_BLOCK_SAME) {
        out->i = it->i;
        out->w = weight_of(b, it->i);
        return at == 0;
    }
    if (b->form == AX_BLOCK_DENSE) {
        while (at < width && b->w[(uint64_t)it->i * width + at] == 0)
            at++;
        it->at = at + 1;
        out->i = (uint32_t)at;
        out->w = at < width ? b->w[(uint64_t)it->i * width + at] : 0;
        return at < width;
    }
    at += b->row_ptr[it->i];
    if (at >= b->row_ptr[it->i + 1])
        return false;
    out->i = b->col[at];
    out->w = weight_of(b, at);
    return true;
}

static bool next_term(struct terms *it, struct term *out)
{
    const struct ax_net_node *v = &it->net->nodes[it->k];

    for (; it->block < v->n_blocks; it->block++, it->at = 0)
        if (next_of_block(it, &v->blocks[it->block], out))
            return true;
    return false;
}

static bool no_bias(const struct ax_net_node *v, uint32_t i)
{
    return !v->bias || v->bias[i].m == 0;
}

/* The variable that this one is but another name of, perhaps itself. */
static struct term resolve(const struct ax_net *net, struct term v)
{
    for (;;) {
        const struct ax_net_node *n = &net->nodes[v.node];
        struct terms it = {.net = net, .k = v.node, .i = v.i};
        struct term first, second;

        if ((n->kind != AX_NET_UNIT && n->kind != AX_NET_HOLD) ||
            !no_bias(n, v.i) || !next_term(&it, &first) || first.w != 1 ||
            next_term(&it, &second))
            return v;
        v = first;
    }
}

/* ---- numbers ---- */

/* v = m 2^e, m an odd integer or 0; v is finite. */
static double odd_part(double v, int *e)
{
    double m = frexp(v, e);

    if (m == 0)
        *e = 0;
    while (m != rint(m)) {
        m *= 2;
        --*e;
    }
    return m;
}

/* a / b, b not 0, as a fraction of integers. Doubles that are integers are
 * printed with all their digits. */
static ax_status put_quotient(struct job *j, double a, double b,
                              struct ax_err *err)
{
    int ea, eb;
    double over = odd_part(a, &ea), under = odd_part(b, &eb);

    over = ldexp(over, ea > eb ? ea - eb : 0);
    under = ldexp(under, eb > ea ? eb - ea : 0);
    if (under < 0) {
        over = -over;
        under = -under;
    }
    if (!isfinite(over) || !isfinite(under))
        return ax_fail(err, AX_EUNSUPPORTED,
                       "the number %a / %a is too long to be written", a, b);
    if (under != 1)
        fputs("(/ ", j->f);
    fprintf(j->f, over < 0 ? "(- %.0f.0)" : "%.0f.0", fabs(over));
    if (under != 1)
        fprintf(j->f, " %.0f.0)", under);
    return AX_OK;
}

static void put_dyadic(struct job *j, struct ax_dyadic d)
{
    fputs(d.e == 0 ? "" : d.e < 0 ? "(/ " : "(* ", j->f);
    fputs(d.m < 0 ? "(- " : "", j->f);
    put_magnitude(j->f, d.m);
    fputs(d.m < 0 ? ".0)" : ".0", j->f);
    if (d.e)
        fprintf(j->f, " %.0f.0)", ldexp(1, abs(d.e)));
}

/* ---- the network ---- */

static void put_variable(struct job *j, struct term v)
{
    v = resolve(j->net, v);
    if (v.node)
        fprintf(j->f, "v_%" PRIu32 "_%" PRIu32, v.node, v.i);
    else
        fprintf(j->f, "X_%" PRIu32, v.i);
}

static ax_status put_term(struct job *j, struct term v, struct ax_err *err)
{
    if (v.w == 1) {
        put_variable(j, v);
        return AX_OK;
    }
    fputs("(* ", j->f);
    AX_TRY(put_quotient(j, v.w, 1, err));
    fputc(' ', j->f);
    put_variable(j, v);
    fputc(')', j->f);
    return AX_OK;
}

/* The sum of a row's terms. */
static ax_status put_sum(struct job *j, uint32_t k, uint32_t i,
                         struct ax_err *err)
{
    struct terms it = {.net = j->net, .k = k, .i = i};
    struct term v, next;
    bool more;

    if (!next_term(&it, &v)) {
        fputs("0.0", j->f);
        return AX_OK;
    }
    more = next_term(&it, &next);
    if (!more)
        return put_term(j, v, err);
    fputs("(+ ", j->f);
    AX_TRY(put_term(j, v, err));
    while (more) {
        fputc(' ', j->f);
        AX_TRY(put_term(j, next, err));
        more = next_term(&it, &next);
    }
    fputc(')', j->f);
    return AX_OK;
}

/* The root of d, if it is a double. */
static bool exact_root(double d, double *root)
{
    *root = sqrt(d);
    return fma(*root, *root, -d) == 0;
}

/* 1 over the root of d, as a constant of its own, unless the row before has
 * made it. */
static ax_status put_root(struct job *j, uint32_t k, uint32_t i,
                          uint32_t *made, struct ax_err *err)
{
    const double *d = j->net->nodes[k].div;

    if (i && d[i] == d[i - 1])
        return AX_OK;
    *made = i;
    fprintf(j->f,
            "(declare-const r_%" PRIu32 "_%" PRIu32 " Real)\n"
            "(assert (> r_%" PRIu32 "_%" PRIu32 " 0.0))\n"
            "(assert (= (* r_%" PRIu32 "_%" PRIu32 " r_%" PRIu32 "_%" PRIu32
            " ",
            k, i, k, i, k, i, k, i);
    AX_TRY(put_quotient(j, d[i], 1, err));
    fputs(") 1.0))\n", j->f);
    return AX_OK;
}

/* What a weighted row is multiplied with: 1 over its divisor. */
static ax_status put_factor(struct job *j, uint32_t k, uint32_t i,
                            uint32_t root, struct ax_err *err)
{
    const struct ax_net_node *v = &j->net->nodes[k];
    double d = v->div[i];

    if (v->root && !exact_root(v->div[i], &d)) {
        fprintf(j->f, "r_%" PRIu32 "_%" PRIu32, k, root);
        return AX_OK;
    }
    return put_quotient(j, 1, d, err);
}

static void open_definition(struct job *j, uint32_t k, uint32_t i)
{
    if (k == j->net->n_nodes - 1)
        fprintf(j->f, "(define-fun Y_%" PRIu32 " () Real ", i);
    else
        fprintf(j->f, "(define-fun v_%" PRIu32 "_%" PRIu32 " () Real ", k, i);
}

static ax_status put_affine(struct job *j, uint32_t k, uint32_t i,
                            uint32_t *root, struct ax_err *err)
{
    const struct ax_net_node *v = &j->net->nodes[k];
    bool bias = !no_bias(v, i), div = v->div && v->div[i] != 1;
    double exact;

    if (div && v->root && !exact_root(v->div[i], &exact))
        AX_TRY(put_root(j, k, i, root, err));
    open_definition(j, k, i);
    fputs(bias ? "(+ " : "", j->f);
    if (div) {
        fputs("(* ", j->f);
        AX_TRY(put_factor(j, k, i, *root, err));
        fputc(' ', j->f);
    }
    AX_TRY(put_sum(j, k, i, err));
    fputs(div ? ")" : "", j->f);
    if (bias) {
        fputc(' ', j->f);
        put_dyadic(j, v->bias[i]);
        fputc(')', j->f);
    }
    fputs(")\n", j->f);
    return AX_OK;
}

/* 1 / v is any number where v is 0, so that what holds does not depend on
 * it. */
static void put_reciprocal(struct job *j, uint32_t k, uint32_t i,
                           struct term v)
{
    fprintf(j->f,
            "(declare-const v_%" PRIu32 "_%" PRIu32 " Real)\n"
            "(assert (or (= ",
            k, i);
    put_variable(j, v);
    fprintf(j->f, " 0.0) (= (* v_%" PRIu32 "_%" PRIu32 " ", k, i);
    put_variable(j, v);
    fputs(") 1.0)))\n", j->f);
}

/* A row that is no sum: of one variable, or of two. */
static void put_curve(struct job *j, uint32_t k, uint32_t i)
{
    enum ax_net_kind kind = j->net->nodes[k].kind;
    struct terms it = {.net = j->net, .k = k, .i = i};
    struct term v = {0}, w = {0};

    next_term(&it, &v);
    next_term(&it, &w);
    if (kind == AX_NET_RECIPROCAL) {
        put_reciprocal(j, k, i, v);
        return;
    }
    open_definition(j, k, i);
    if (kind == AX_NET_RELU) {
        fputs("(ite (>= ", j->f);
        put_variable(j, v);
        fputs(" 0.0) ", j->f);
        put_variable(j, v);
        fputs(" 0.0))\n", j->f);
        return;
    }
    fputs("(* ", j->f);
    put_variable(j, v);
    fputc(' ', j->f);
    put_variable(j, w);
    fputs("))\n", j->f);
}

static ax_status put_node(struct job *j, uint32_t k, struct ax_err *err)
{
    const struct ax_net_node *v = &j->net->nodes[k];
    bool last = k == j->net->n_nodes - 1;
    uint32_t root = 0;

    for (uint32_t i = 0; i < v->n; i++) {
        struct term name = resolve(j->net, (struct term){1, k, i});

        if (name.node != k && last) {
            open_definition(j, k, i);
            put_variable(j, name);
            fputs(")\n", j->f);
        } else if (name.node == k &&
                   (v->kind == AX_NET_UNIT || v->kind == AX_NET_WEIGHTED)) {
            AX_TRY(put_affine(j, k, i, &root, err));
        } else if (name.node == k) {
            put_curve(j, k, i);
        }
    }
    return AX_OK;
}

/* ---- the property, as it stands but for how numbers are written ---- */

static void skip_space(struct job *j)
{
    while (j->at < j->end) {
        if (*j->at == ';') {
            const char *nl = memchr(j->at, '\n', (size_t)(j->end - j->at));

            j->at = nl ? nl : j->end;
        } else if (!strchr(" \n\t\r", *j->at)) {
            return;
        } else {
            j->at++;
        }
    }
}

/* The next token: a parenthesis, or a word; empty at the end. */
static size_t next_token(struct job *j, const char **token)
{
    skip_space(j);
    *token = j->at;
    if (j->at < j->end && (*j->at == '(' || *j->at == ')'))
        return (size_t)(++j->at - *token);
    while (j->at < j->end && !strchr(" \n\t\r();", *j->at))
        j->at++;
    return (size_t)(j->at - *token);
}

static void put_zeros(FILE *f, long n)
{
    for (; n > 0; n--)
        fputc('0', f);
}

/* Digits with at most one point among them, without zeros in front. */
static void put_digits(FILE *f, const char *s, size_t n)
{
    size_t i = 0;

    while (i + 1 < n && s[i] == '0' && s[i + 1] != '.')
        i++;
    if (i < n && s[i] == '.')
        fputc('0', f);
    fwrite(s + i, 1, n - i, f);
    if (!memchr(s, '.', n))
        fputs(".0", f);
    else if (n && s[n - 1] == '.')
        fputc('0', f);
}

/* A decimal of VNN-LIB: SMT-LIB knows no sign and no exponent. */
static void put_decimal(struct job *j, const char *s, size_t n)
{
    const char *stop = s + n, *e = s;
    bool minus = *s == '-';
    long exp = 0;

    s += minus || *s == '+';
    while (e < stop && *e != 'e' && *e != 'E')
        e++;
    if (e < stop)
        exp = strtol(e + 1, NULL, 10); /* of the text, which a NUL ends */
    fputs(minus ? "(- " : "", j->f);
    fputs(exp < 0 ? "(/ " : exp > 0 ? "(* " : "", j->f);
    put_digits(j->f, s, (size_t)(e - s));
    if (exp) {
        fputs(" 1", j->f);
        put_zeros(j->f, labs(exp));
        fputs(".0)", j->f);
    }
    fputs(minus ? ")" : "", j->f);
}

/* Is what follows an operand and a closing parenthesis? */
static bool one_operand(struct job *j)
{
    const char *begin = j->at, *token;
    size_t depth = 0, n;
    bool one;

    do {
        n = next_token(j, &token);
        depth += n && *token == '(';
        depth -= n && *token == ')' && depth;
    } while (n && depth);
    n = next_token(j, &token);
    one = n && *token == ')';
    j->at = begin;
    return one;
}

/* What stands for itself before the only operand of a sum, and, or: these
 * have two at least. */
static const char *neutral(const char *op, size_t n)
{
    return n == 3 && memcmp(op, "and", n) == 0  ? " true"
           : n == 2 && memcmp(op, "or", n) == 0 ? " false"
           : n == 1 && *op == '+'               ? " 0.0"
                                                : "";
}

/* Everything up to the parenthesis that closes the one that was read. It
 * was read before, so it nests no deeper than ax-cert(5) allows. */
static void put_formula(struct job *j)
{
    const char *token;
    size_t n = next_token(j, &token), depth = 1;

    for (; n && depth; n = depth ? next_token(j, &token) : 0) {
        if (*token == ')') {
            fputc(')', j->f);
            depth--;
        } else if (*token == '(') {
            depth++;
            n = next_token(j, &token);
            fprintf(j->f, " (%.*s", (int)n, token);
            if (one_operand(j))
                fputs(neutral(token, n), j->f);
        } else if (*token == 'X' || *token == 'Y') {
            fprintf(j->f, " %.*s", (int)n, token);
        } else {
            fputc(' ', j->f);
            put_decimal(j, token, n);
        }
    }
}

/* The assertions; the variables were declared with the network. */
static void put_property(struct job *j)
{
    const char *token;
    size_t n;

    while (next_token(j, &token)) {
        n = next_token(j, &token);
        if (n == 6 && memcmp(token, "assert", n) == 0) {
            fputs("(assert", j->f);
            put_formula(j);
            fputc('\n', j->f);
        } else {
            for (int i = 0; i < 3; i++) /* name, sort, parenthesis */
                (void)next_token(j, &token);
        }
    }
}

/* ---- what it will cost ---- */

struct range {
    double lo, hi;
};

/* The range of a row over those of the variables before it: for an estimate
 * alone, so nothing is rounded outwards. */
static struct range range_of(const struct ax_net *net, uint32_t k, uint32_t i,
                             struct range *const *r)
{
    const struct ax_net_node *v = &net->nodes[k];
    struct terms it = {.net = net, .k = k, .i = i};
    struct range sum = {0, 0};
    struct term t;
    double d = v->div ? v->root ? sqrt(v->div[i]) : v->div[i] : 1, b = 0;

    while (next_term(&it, &t)) {
        struct range x = r[t.node][t.i];

        sum.lo += t.w * (t.w < 0 ? x.hi : x.lo);
        sum.hi += t.w * (t.w < 0 ? x.lo : x.hi);
    }
    if (v->bias)
        b = ldexp((double)v->bias[i].m, v->bias[i].e);
    return d < 0 ? (struct range){sum.hi / d + b, sum.lo / d + b}
                 : (struct range){sum.lo / d + b, sum.hi / d + b};
}

/* Curves are counted as if they were two neurons; nothing follows from where
 * they lie. */
static double choices_of(const struct ax_net *net, uint32_t k,
                         struct range **r)
{
    const struct ax_net_node *v = &net->nodes[k];
    double choices = 0;

    for (uint32_t i = 0; i < v->n; i++) {
        struct range *to = &r[k][i];

        if (ax_net_curved(v->kind)) {
            *to = (struct range){-INFINITY, INFINITY};
            choices += 2;
            continue;
        }
        *to = range_of(net, k, i, r);
        if (v->kind == AX_NET_RELU) {
            choices += !(to->lo >= 0 || to->hi <= 0);
            to->lo = to->lo > 0 ? to->lo : 0;
            to->hi = to->hi > 0 ? to->hi : 0;
        }
    }
    return choices;
}

/* The smallest box around those of all groups. */
static void input_range(const struct ax_prop *p, struct range *r)
{
    for (uint32_t i = 0; i < p->n_x; i++) {
        r[i] = (struct range){INFINITY, -INFINITY};
        for (uint32_t g = 0; g < p->n_groups; g++) {
            r[i].lo = fmin(r[i].lo, p->groups[g].lo_in[i]);
            r[i].hi = fmax(r[i].hi, p->groups[g].hi_in[i]);
        }
    }
}

static ax_status count_choices(const struct job *j, double *out,
                               struct ax_err *err)
{
    const struct ax_net *net = j->net;
    struct range **r = calloc(net->n_nodes, sizeof *r);
    ax_status st = AX_OK;

    *out = 0;
    for (uint32_t k = 0; r && k < net->n_nodes && st == AX_OK; k++) {
        r[k] = calloc(net->nodes[k].n + (size_t)1, sizeof **r);
        if (!r[k])
            st = ax_fail(err, AX_ENOMEM, "no memory for the estimate");
        else if (k == 0)
            input_range(j->prop, r[0]);
        else
            *out += choices_of(net, k, r);
    }
    for (uint32_t k = 0; r && k < net->n_nodes; k++)
        free(r[k]);
    free(r);
    return r ? st : ax_fail(err, AX_ENOMEM, "no memory for the estimate");
}

static ax_status estimate(const struct job *j, double budget,
                          struct ax_err *err)
{
    double choices, seconds;

    if (budget <= 0 || j->prop->n_groups == 0)
        return AX_OK;
    AX_TRY(count_choices(j, &choices, err));
    seconds = PACE_START * exp2(choices / PACE_TWICE);
    if (seconds > budget)
        return ax_fail(err, AX_UNDECIDED,
                       "%.0f neurons may be on or off, for which a solver "
                       "would take about %.2g s: over the budget of %.0f s",
                       choices, seconds, budget);
    return AX_OK;
}

/* ---- the whole ---- */

/* Is every node one that SMT-LIB has a theory for, and which one? */
static ax_status theory(struct job *j, struct ax_err *err)
{
    for (uint32_t k = 0; k < j->net->n_nodes; k++) {
        const struct ax_net_node *v = &j->net->nodes[k];
        double root;

        if (ax_net_smooth(v->kind) || v->kind == AX_NET_EXP)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "node %" PRIu32 " of ax-cert(5) is %s: SMT-LIB "
                           "has no theory of exponentials",
                           k,
                           v->kind == AX_NET_EXP       ? "an exponential"
                           : v->kind == AX_NET_SIGMOID ? "a sigmoid"
                                                       : "another function");
        j->nonlinear = j->nonlinear || ax_net_curved(v->kind);
        for (uint32_t i = 0; v->root && i < v->n && !j->nonlinear; i++)
            j->nonlinear = !exact_root(v->div[i], &root);
    }
    return AX_OK;
}

/* What our own prover finds quickly. */
static ax_status find_status(const struct job *j, double budget,
                             const char **out, struct ax_err *err)
{
    const struct ax_prove_options opt = {
        .threads = 1,
        .seconds = budget,
        .max_boxes = STATUS_BOXES,
        .seed = 1,
    };
    struct ax_prove_result r = {0};

    *out = "unknown";
    AX_TRY(ax_prove(&r, j->net, j->prop, &opt, err));
    free(r.x);
    if (r.verdict != AX_UNKNOWN)
        *out = r.verdict == AX_HOLDS ? "unsat" : "sat";
    return AX_OK;
}

static ax_status put_head(struct job *j, struct export_claim *claim,
                          double budget, struct ax_err *err)
{
    const char *status;
    char hex[65], digest[65];

    AX_TRY(find_status(j, budget, &status, err));
    claim->violated = strcmp(status, "sat") == 0;
    ax_hex32(hex, claim->identity);
    ax_hex32(digest, claim->digest);
    fprintf(j->f,
            "(set-info :smt-lib-version 2.6)\n"
            "(set-logic %s)\n"
            "(set-info :source |Made by ax-export --to smtlib.\n"
            "model     %s\n"
            "property  %s (SHA-256)\n"
            "unsat: no input over the reals is unsafe, the property holds.\n"
            "X_i and Y_j are the inputs and outputs of the property, v_K_I\n"
            "is variable I of node K of ax-cert(5).|)\n"
            "(set-info :status %s)\n",
            j->nonlinear ? "QF_NRA" : "QF_LRA", hex, digest, status);
    return AX_OK;
}

static ax_status put_all(struct job *j, struct export_claim *claim,
                         double budget, struct ax_err *err)
{
    AX_TRY(theory(j, err));
    AX_TRY(estimate(j, budget, err));
    AX_TRY(put_head(j, claim, budget, err));
    for (uint32_t i = 0; i < j->prop->n_x; i++)
        fprintf(j->f, "(declare-const X_%" PRIu32 " Real)\n", i);
    for (uint32_t k = 1; k < j->net->n_nodes; k++)
        AX_TRY(put_node(j, k, err));
    put_property(j);
    fputs("(check-sat)\n(exit)\n", j->f);
    return AX_OK;
}

ax_status export_smtlib(FILE *f, struct export_claim *claim,
                        const struct export_question *q, struct ax_err *err)
{
    struct job j = {
        .f = f, .net = q->net, .prop = q->prop, .at = q->text, .end = q->end};

    return put_all(&j, claim, q->budget, err);
}
