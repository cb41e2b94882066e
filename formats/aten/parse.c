/* The code of TorchScript archives: the part of Python that PyTorch writes.
 * Classes with annotations, which are passed over, and functions; what is not
 * known is an error with its line. Source: torch/csrc/jit/serialization/
 * python_print.cpp. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "formats/aten/script.h"

enum { DEPTH_MAX = 200, ITEMS_MAX = 1 << 16 };

enum token { END, NEWLINE, NAME, INT, FLOAT, TEXT, SIGN };

struct parser {
    struct ax_arena *arena;
    const char *p, *end;
    int line, indent; /* of the token's line */
    int brackets;     /* that are open: lines do not count in them */
    int depth;
    bool fresh; /* at the start of a line */
    enum token token;
    char sign[3];
    const char *text;
    int64_t i;
    double f;
};

static ax_status bad(const struct parser *s, struct ax_err *err,
                     const char *what)
{
    return ax_fail(err, AX_EFORMAT, "line %d: %s", s->line, what);
}

static void *get(struct parser *s, size_t n, size_t size)
{
    return ax_arena_zalloc(s->arena, n ? n : 1, size);
}

static ax_status no_memory(struct ax_err *err)
{
    return ax_fail(err, AX_ENOMEM, "no memory for code");
}

/* ---- words ---- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static ax_status copy(struct parser *s, const char *from, size_t n,
                      struct ax_err *err)
{
    char *to = get(s, n + 1, 1);

    if (!to)
        return no_memory(err);
    memcpy(to, from, n);
    s->text = to;
    return AX_OK;
}

static ax_status read_number(struct parser *s, struct ax_err *err)
{
    char buf[64], *stop;
    size_t n = 0;

    s->token = INT;
    while (s->p < s->end &&
           (is_digit(*s->p) || strchr(".eE", *s->p) ||
            (strchr("+-", *s->p) && n && strchr("eE", buf[n - 1])))) {
        if (!*s->p || n == sizeof buf - 1)
            return bad(s, err, "a number is too long");
        if (!is_digit(*s->p))
            s->token = FLOAT;
        buf[n++] = *s->p++;
    }
    buf[n] = '\0';
    errno = 0;
    if (s->token == FLOAT)
        s->f = strtod(buf, &stop);
    else
        s->i = strtoll(buf, &stop, 10);
    if (*stop || (s->token == INT && errno))
        return bad(s, err, "a number is malformed or too large");
    return AX_OK;
}

/* Text between double or single quotes. Escapes but the simplest are kept as
 * they are: nothing depends on them. */
static ax_status read_text(struct parser *s, struct ax_err *err)
{
    const char quote = *s->p++, *from = s->p;
    char *to;
    size_t n = 0;

    while (s->p < s->end && *s->p != quote && *s->p != '\n')
        s->p += *s->p == '\\' && s->end - s->p > 1 ? 2 : 1;
    if (s->p >= s->end || *s->p != quote ||
        memchr(from, 0, (size_t)(s->p - from)))
        return bad(s, err, "text does not end");
    to = get(s, (size_t)(s->p - from) + 1, 1);
    if (!to)
        return no_memory(err);
    for (const char *q = from; q < s->p; q++) {
        if (*q == '\\' && (q[1] == '\\' || q[1] == quote))
            q++;
        to[n++] = *q;
    }
    s->p++;
    s->text = to;
    s->token = TEXT;
    return AX_OK;
}

/* Empty lines and comments are passed over. */
static void skip_space(struct parser *s)
{
    while (s->p < s->end) {
        if (*s->p == '#')
            while (s->p < s->end && *s->p != '\n')
                s->p++;
        else if (*s->p == ' ' || *s->p == '\t' || *s->p == '\r')
            s->p++;
        else if (*s->p == '\n' && (s->brackets || s->fresh)) {
            s->p++;
            s->line++;
        } else {
            break;
        }
    }
}

static ax_status next(struct parser *s, struct ax_err *err)
{
    const char *from;

    skip_space(s);
    if (s->fresh && s->p < s->end) {
        from = s->p;
        while (from[-1] != '\n' && from[-1] != '\0')
            from--;
        s->indent = (int)(s->p - from);
        s->fresh = false;
    }
    from = s->p;
    if (s->p >= s->end) {
        s->token = END;
        s->indent = 0;
    } else if (*s->p == '\n') {
        s->p++;
        s->line++;
        s->fresh = true;
        s->token = NEWLINE;
    } else if (is_letter(*s->p)) {
        while (s->p < s->end && (is_letter(*s->p) || is_digit(*s->p)))
            s->p++;
        s->token = NAME;
        return copy(s, from, (size_t)(s->p - from), err);
    } else if (is_digit(*s->p) ||
               (*s->p == '.' && s->end - s->p > 1 && is_digit(s->p[1]))) {
        return read_number(s, err);
    } else if (*s->p == '"' || *s->p == '\'') {
        return read_text(s, err);
    } else if (strchr("()[]{},:.=-", *s->p) && *s->p) {
        s->token = SIGN;
        s->sign[0] = *s->p++;
        s->sign[1] = '\0';
        if (s->sign[0] == '-' && s->p < s->end && *s->p == '>') {
            s->sign[1] = *s->p++;
            s->sign[2] = '\0';
        }
        s->brackets += strchr("([{", s->sign[0]) != NULL;
        s->brackets -= s->brackets && strchr(")]}", s->sign[0]);
    } else {
        return bad(s, err, "a character that is not known");
    }
    return AX_OK;
}

static bool at(const struct parser *s, const char *sign)
{
    return s->token == SIGN && strcmp(s->sign, sign) == 0;
}

static bool word(const struct parser *s, const char *name)
{
    return s->token == NAME && strcmp(s->text, name) == 0;
}

static ax_status want(struct parser *s, const char *sign, struct ax_err *err)
{
    if (!at(s, sign))
        return ax_fail(err, AX_EFORMAT, "line %d: wants '%s'", s->line, sign);
    return next(s, err);
}

static ax_status want_name(struct parser *s, const char **out,
                           struct ax_err *err)
{
    if (s->token != NAME)
        return bad(s, err, "wants a name");
    *out = s->text;
    return next(s, err);
}

/* ---- expressions ---- */

static ax_status expression(struct parser *s, struct script_expr **out,
                            struct ax_err *err);

static ax_status new_expr(struct parser *s, struct script_expr **out,
                          enum script_kind kind, struct ax_err *err)
{
    *out = get(s, 1, sizeof **out);
    if (!*out)
        return no_memory(err);
    (*out)->kind = kind;
    (*out)->line = s->line;
    (*out)->text = s->text;
    return AX_OK;
}

static ax_status add(struct parser *s, struct script_expr *e, uint32_t *cap,
                     struct script_expr *x, const char *name,
                     struct ax_err *err)
{
    if (e->n == ITEMS_MAX)
        return bad(s, err, "a list is too long");
    if (e->n == *cap) {
        uint32_t more = *cap ? 2 * *cap : 8;
        struct script_expr **v = get(s, more, sizeof(struct script_expr *));
        const char **names = get(s, more, sizeof *names);

        if (!v || !names)
            return no_memory(err);
        for (uint32_t i = 0; i < e->n; i++) {
            v[i] = e->v[i];
            names[i] = e->names[i];
        }
        e->v = v;
        e->names = names;
        *cap = more;
    }
    e->names[e->n] = name;
    e->v[e->n++] = x;
    return AX_OK;
}

/* Items up to a closing sign, which is taken; *comma says if there was one.
 * In calls an item may have a name. */
static ax_status items(struct parser *s, struct script_expr *e, uint32_t *cap,
                       const char *close, bool *comma, struct ax_err *err)
{
    *comma = false;
    while (!at(s, close)) {
        struct script_expr *x;
        const char *name = NULL;

        AX_TRY(expression(s, &x, err));
        if (e->kind == SCRIPT_CALL && at(s, "=")) {
            if (x->kind != SCRIPT_NAME)
                return bad(s, err, "wants the name of an argument");
            name = x->text;
            AX_TRY(next(s, err));
            AX_TRY(expression(s, &x, err));
        } else if (e->kind == SCRIPT_DICT) {
            AX_TRY(add(s, e, cap, x, NULL, err));
            AX_TRY(want(s, ":", err));
            AX_TRY(expression(s, &x, err));
        }
        AX_TRY(add(s, e, cap, x, name, err));
        if (at(s, close))
            break;
        *comma = true;
        AX_TRY(want(s, ",", err));
    }
    return next(s, err);
}

static ax_status bracketed(struct parser *s, struct script_expr **out,
                           struct ax_err *err)
{
    bool tuple = at(s, "("), list = at(s, "["), comma;
    uint32_t cap = 0;

    AX_TRY(new_expr(s, out,
                    tuple  ? SCRIPT_TUPLE
                    : list ? SCRIPT_LIST
                           : SCRIPT_DICT,
                    err));
    AX_TRY(next(s, err));
    AX_TRY(items(s, *out, &cap, tuple ? ")" : list ? "]" : "}", &comma, err));
    if (tuple && !comma && (*out)->n == 1) /* brackets alone */
        *out = (*out)->v[0];
    return AX_OK;
}

static ax_status atom(struct parser *s, struct script_expr **out,
                      struct ax_err *err)
{
    static const enum script_kind kinds[] = {[NAME] = SCRIPT_NAME,
                                             [INT] = SCRIPT_INT,
                                             [FLOAT] = SCRIPT_FLOAT,
                                             [TEXT] = SCRIPT_TEXT};

    if (at(s, "(") || at(s, "[") || at(s, "{"))
        return bracketed(s, out, err);
    if (at(s, "-")) {
        AX_TRY(new_expr(s, out, SCRIPT_NEGATIVE, err));
        (*out)->n = 1;
        (*out)->v = get(s, 1, sizeof(struct script_expr *));
        if (!(*out)->v)
            return no_memory(err);
        AX_TRY(next(s, err));
        return expression(s, &(*out)->v[0], err);
    }
    if (s->token < NAME || s->token > TEXT)
        return bad(s, err, "wants a value");
    AX_TRY(new_expr(s, out, kinds[s->token], err));
    if (s->token == INT)
        (*out)->i = s->i;
    if (s->token == FLOAT)
        (*out)->f = s->f;
    return next(s, err);
}

static ax_status suffixes(struct parser *s, struct script_expr **out,
                          struct ax_err *err)
{
    int n = 0;

    while (at(s, ".") || at(s, "(") || at(s, "[")) {
        struct script_expr *e;
        uint32_t cap = 0;
        bool call = at(s, "("), comma;

        if (++n > DEPTH_MAX)
            return bad(s, err, "is nested too deep");
        AX_TRY(new_expr(s, &e,
                        call         ? SCRIPT_CALL
                        : at(s, "[") ? SCRIPT_INDEX
                                     : SCRIPT_ATTRIBUTE,
                        err));
        AX_TRY(add(s, e, &cap, *out, NULL, err));
        AX_TRY(next(s, err));
        if (e->kind == SCRIPT_ATTRIBUTE)
            AX_TRY(want_name(s, &e->text, err));
        else
            AX_TRY(items(s, e, &cap, call ? ")" : "]", &comma, err));
        *out = e;
    }
    return AX_OK;
}

static ax_status expression(struct parser *s, struct script_expr **out,
                            struct ax_err *err)
{
    if (++s->depth > DEPTH_MAX)
        return bad(s, err, "is nested too deep");
    AX_TRY(atom(s, out, err));
    AX_TRY(suffixes(s, out, err));
    s->depth--;
    return AX_OK;
}

/* "a, b, = " and "a" alike; a lone one with a comma is a tuple. */
static ax_status targets(struct parser *s, struct script_expr **out,
                         struct ax_err *err)
{
    struct script_expr *first, *all;
    uint32_t cap = 0;

    AX_TRY(expression(s, &first, err));
    *out = first;
    if (!at(s, ","))
        return AX_OK;
    AX_TRY(new_expr(s, &all, SCRIPT_TUPLE, err));
    AX_TRY(add(s, all, &cap, first, NULL, err));
    while (at(s, ",")) {
        AX_TRY(next(s, err));
        if (s->token == NEWLINE || s->token == END || at(s, "="))
            break;
        AX_TRY(expression(s, &first, err));
        AX_TRY(add(s, all, &cap, first, NULL, err));
    }
    *out = all;
    return AX_OK;
}

/* ---- types, which end at a sign outside of brackets ---- */

static ax_status type(struct parser *s, const char **out, struct ax_err *err)
{
    int before = s->brackets;

    *out = s->token == NAME ? s->text : "";
    while (s->token != END && s->token != NEWLINE &&
           (s->brackets > before ||
            !(at(s, ",") || at(s, "=") || at(s, ")") || at(s, ":"))))
        AX_TRY(next(s, err));
    return AX_OK;
}

/* ---- statements ---- */

static ax_status block(struct parser *s, struct script_statement **out,
                       int outside, struct ax_err *err);

static ax_status line_end(struct parser *s, struct ax_err *err)
{
    if (s->token == END)
        return AX_OK;
    return s->token == NEWLINE ? next(s, err)
                               : bad(s, err, "wants the end of the line");
}

static ax_status compound(struct parser *s, struct script_statement *st,
                          int indent, struct ax_err *err)
{
    AX_TRY(next(s, err));
    if (st->does == SCRIPT_FOR) {
        AX_TRY(targets(s, &st->target, err));
        if (!word(s, "in"))
            return bad(s, err, "wants 'in'");
        AX_TRY(next(s, err));
    }
    AX_TRY(expression(s, &st->value, err));
    AX_TRY(want(s, ":", err));
    AX_TRY(line_end(s, err));
    AX_TRY(block(s, &st->body, indent, err));
    if (st->does != SCRIPT_IF || s->indent != indent || !word(s, "else"))
        return AX_OK;
    AX_TRY(next(s, err));
    AX_TRY(want(s, ":", err));
    AX_TRY(line_end(s, err));
    return block(s, &st->other, indent, err);
}

static ax_status simple(struct parser *s, struct script_statement *st,
                        struct ax_err *err)
{
    const char *unused;

    if (word(s, "pass")) {
        st->does = SCRIPT_PASS;
        AX_TRY(next(s, err));
        return line_end(s, err);
    }
    if (word(s, "return")) {
        st->does = SCRIPT_RETURN;
        AX_TRY(next(s, err));
        if (s->token != NEWLINE && s->token != END)
            AX_TRY(targets(s, &st->value, err));
        return line_end(s, err);
    }
    st->does = SCRIPT_DO;
    AX_TRY(targets(s, &st->value, err));
    if (at(s, ":")) {
        AX_TRY(next(s, err));
        AX_TRY(type(s, &unused, err));
    }
    if (at(s, "=")) {
        st->does = SCRIPT_ASSIGN;
        st->target = st->value;
        AX_TRY(next(s, err));
        AX_TRY(targets(s, &st->value, err));
    }
    return line_end(s, err);
}

static ax_status statement(struct parser *s, struct script_statement **out,
                           struct ax_err *err)
{
    static const struct {
        const char *word;
        enum script_does does;
    } words[] = {{"if", SCRIPT_IF},
                 {"for", SCRIPT_FOR},
                 {"while", SCRIPT_WHILE},
                 {"with", SCRIPT_WITH}};
    struct script_statement *st = *out = get(s, 1, sizeof *st);

    if (!st)
        return no_memory(err);
    st->line = s->line;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (word(s, words[i].word)) {
            st->does = words[i].does;
            return compound(s, st, s->indent, err);
        }
    return simple(s, st, err);
}

/* The statements that stand further to the right than OUTSIDE. */
static ax_status block(struct parser *s, struct script_statement **out,
                       int outside, struct ax_err *err)
{
    int indent = s->indent;

    if (indent <= outside || s->token == END)
        return bad(s, err, "wants a block");
    if (++s->depth > DEPTH_MAX)
        return bad(s, err, "is nested too deep");
    while (s->token != END && s->indent == indent) {
        AX_TRY(statement(s, out, err));
        out = &(*out)->next;
    }
    if (s->token != END && s->indent > outside)
        return bad(s, err, "the indentation is uneven");
    s->depth--;
    return AX_OK;
}

/* ---- functions ---- */

static ax_status parameters(struct parser *s, struct script_function *f,
                            struct ax_err *err)
{
    uint32_t cap = 0;

    AX_TRY(want(s, "(", err));
    while (!at(s, ")")) {
        struct script_param *p;

        if (f->n_params == cap) {
            uint32_t more = cap ? 2 * cap : 8;

            p = get(s, more, sizeof *p);
            if (!p)
                return no_memory(err);
            if (cap)
                memcpy(p, f->params, cap * sizeof *p);
            f->params = p;
            cap = more;
        }
        if (f->n_params == ITEMS_MAX)
            return bad(s, err, "too many parameters");
        p = &f->params[f->n_params++];
        *p = (struct script_param){.type = ""};
        AX_TRY(want_name(s, &p->name, err));
        if (at(s, ":")) {
            AX_TRY(next(s, err));
            AX_TRY(type(s, &p->type, err));
        }
        if (at(s, "=")) {
            AX_TRY(next(s, err));
            AX_TRY(expression(s, &p->otherwise, err));
        }
        if (!at(s, ")"))
            AX_TRY(want(s, ",", err));
    }
    return next(s, err);
}

static ax_status function(struct parser *s, struct script_function **out,
                          const char *of, struct ax_err *err)
{
    struct script_function *f = *out = get(s, 1, sizeof *f);
    int indent = s->indent;
    const char *unused;

    if (!f)
        return no_memory(err);
    f->of = of;
    AX_TRY(next(s, err));
    AX_TRY(want_name(s, &f->name, err));
    AX_TRY(parameters(s, f, err));
    if (at(s, "->")) {
        AX_TRY(next(s, err));
        AX_TRY(type(s, &unused, err));
    }
    AX_TRY(want(s, ":", err));
    AX_TRY(line_end(s, err));
    return block(s, &f->body, indent, err);
}

/* What a class says of its attributes: it is in the pickle as well. */
static ax_status skip_line(struct parser *s, struct ax_err *err)
{
    while (s->token != NEWLINE && s->token != END)
        AX_TRY(next(s, err));
    return next(s, err);
}

static ax_status class_body(struct parser *s, struct script_function ***out,
                            int outside, const char *name, struct ax_err *err)
{
    while (s->token != END && s->indent > outside) {
        if (!word(s, "def")) {
            AX_TRY(skip_line(s, err));
            continue;
        }
        AX_TRY(function(s, *out, name, err));
        *out = &(**out)->next;
    }
    return AX_OK;
}

ax_status script_parse(struct script_file *out, struct ax_arena *arena,
                       const char *text, size_t n, struct ax_err *err)
{
    struct script_function **last = &out->functions;
    char *copy_of = ax_arena_alloc(arena, n + 2, 1);
    struct parser s = {.arena = arena, .line = 1, .fresh = true, .text = ""};

    if (!copy_of)
        return no_memory(err);
    copy_of[0] = '\0'; /* what stands before the first line */
    memcpy(copy_of + 1, text, n);
    copy_of[n + 1] = '\0';
    s.p = copy_of + 1;
    s.end = s.p + n;
    AX_TRY(next(&s, err));
    while (s.token != END) {
        int indent = s.indent;
        const char *name = "";

        if (word(&s, "def")) {
            AX_TRY(function(&s, last, "", err));
            last = &(*last)->next;
        } else if (word(&s, "class")) {
            AX_TRY(next(&s, err));
            AX_TRY(want_name(&s, &name, err));
            AX_TRY(skip_line(&s, err));
            AX_TRY(class_body(&s, &last, indent, name, err));
        } else { /* old archives: "op_version_set = 1", "import" */
            AX_TRY(skip_line(&s, err));
        }
    }
    for (struct script_function *f = out->functions; f; f = f->next)
        f->file = out;
    return AX_OK;
}
