/* What is in a file, before an assistant sees it: nothing but the commands
 * that ax-export writes. A list of what is good, since nobody can list all
 * that is bad; words that are known to be bad are named. */
#include <stdio.h>
#include <string.h>

#include "reconcile.h"

struct reader {
    const char *at, *end;
    unsigned line;
    char *why; /* [WORDS]; empty while all is well */
};

struct token {
    const char *s;
    size_t n;
};

static bool is(struct token t, const char *word)
{
    return t.n == strlen(word) && memcmp(t.s, word, t.n) == 0;
}

/* Is it one of the words, which are separated by one space? */
static bool is_of(struct token t, const char *words)
{
    while (*words) {
        size_t n = strcspn(words, " ");

        if (n == t.n && memcmp(words, t.s, n) == 0)
            return true;
        words += n + (words[n] == ' ');
    }
    return false;
}

/* Record what is wrong, once; what is shown of the file is plain. */
static bool wrong(struct reader *r, const char *what, struct token t)
{
    size_t n = 0;

    if (r->why[0])
        return false;
    n = (size_t)snprintf(r->why, WORDS, "line %u: ", r->line);
    for (size_t i = 0; i < t.n && i < 40; i++)
        r->why[n++] = t.s[i] > ' ' && t.s[i] < 0x7f && t.s[i] != '"' ? t.s[i]
                                                                     : '?';
    snprintf(r->why + n, WORDS - n, "%s%s", t.n ? " " : "", what);
    return false;
}

static bool ends(const struct reader *r)
{
    return r->at >= r->end;
}

static char next_char(struct reader *r)
{
    r->line += *r->at == '\n';
    return *r->at++;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '_' || c == '\'';
}

static bool pair_at(const struct reader *r, char a, char b)
{
    return r->end - r->at > 1 && r->at[0] == a && r->at[1] == b;
}

/* ---- Coq ---- */

/* Comments nest, and strings in them are strings. */
static bool skip_comment(struct reader *r)
{
    unsigned depth = 0;
    bool string = false;

    do {
        if (ends(r))
            return wrong(r, "a comment has no end", (struct token){0});
        if (*r->at == '"') {
            string = !string;
        } else if (!string &&
                   (pair_at(r, '(', '*') || pair_at(r, '*', ')'))) {
            if (next_char(r) == '(')
                depth++;
            else
                depth--;
        }
        next_char(r);
    } while (depth);
    return true;
}

/* The next token: a word, with the points in a qualified name; a point that
 * ends a sentence; another character. Empty at the end. */
static bool coq_token(struct reader *r, struct token *t)
{
    while (!ends(r) && (is_space(*r->at) || pair_at(r, '(', '*'))) {
        if (is_space(*r->at))
            next_char(r);
        else if (!skip_comment(r))
            return false;
    }
    *t = (struct token){r->at, 0};
    if (ends(r))
        return true;
    if (*r->at < ' ' || *r->at > '~')
        return wrong(r, "a character that is not plain", (struct token){0});
    if (*r->at == '"')
        return wrong(r, "a string", (struct token){0});
    if (!is_word(next_char(r))) {
        t->n = 1;
        return true;
    }
    while (!ends(r) &&
           (is_word(*r->at) ||
            (*r->at == '.' && r->end - r->at > 1 && is_word(r->at[1]))))
        r->at++;
    t->n = (size_t)(r->at - t->s);
    return true;
}

/* What makes a theorem worthless, wherever it stands. */
static const char bad_words[] =
    "Admitted admit give_up Axiom Axioms Parameter Parameters Conjecture "
    "Conjectures Hypothesis Hypotheses Variable Variables Context Primitive "
    "Unset Set bypass_check Declare Redirect Load Extraction Extract "
    "Recursive "
    "Separate Drop Cd Add Notation Infix Coercion Canonical Ltac ltac "
    "native_cast_no_check exact_no_check change_no_check Abort Program "
    "Obligation Obligations Include Module Section Instance Hint Register";

/* What the sentences are that an exported theorem has, and the words that
 * they may be made of; NULL: any. */
static const struct sentence {
    const char *first, *rest;
} sentences[] = {
    {"Require", "Import ZArith Reals List Uint63"},
    {"From", "Bignums Ax Require Import BigZ Network Big Certified Witness"},
    {"Import", "ListNotations"},
    {"Definition", NULL},
    {"Theorem", NULL},
    {"Proof", ""},
    {"apply", NULL},
    {"vm_cast_no_check", NULL},
    {"Qed", ""},
    {0},
};

static bool coq_sentence(struct reader *r, struct token t)
{
    const struct sentence *s = sentences;
    const char *rest;

    while (s->first && !is(t, s->first))
        s++;
    rest = s->rest;
    if (is_of(t, bad_words))
        return wrong(r, "is not to be in a theorem", t);
    if (!s->first)
        return wrong(r, "begins no sentence of an exported theorem", t);
    for (;;) {
        if (!coq_token(r, &t))
            return false;
        if (t.n == 0)
            return wrong(r, "a sentence has no end", t);
        if (is(t, "."))
            return true;
        if (is_of(t, bad_words))
            return wrong(r, "is not to be in a theorem", t);
        if (rest && !is_of(t, rest))
            return wrong(r, "does not belong here", t);
    }
}

bool lex_coq(const char *text, size_t n, char why[WORDS])
{
    struct reader r = {text, text + n, 1, why};
    struct token t;

    why[0] = '\0';
    while (coq_token(&r, &t) && t.n)
        if (!coq_sentence(&r, t))
            return false;
    return !why[0];
}

/* ---- SMT-LIB ---- */

static bool skip_quoted(struct reader *r, char end)
{
    next_char(r);
    while (!ends(r) && *r->at != end)
        next_char(r);
    if (ends(r))
        return wrong(r, "a quotation has no end", (struct token){0});
    next_char(r);
    return true;
}

static void skip_line(struct reader *r)
{
    while (!ends(r) && *r->at != '\n')
        r->at++;
}

static bool smt_token(struct reader *r, struct token *t)
{
    while (!ends(r) && (is_space(*r->at) || *r->at == ';')) {
        if (*r->at == ';')
            skip_line(r);
        else
            next_char(r);
    }
    *t = (struct token){r->at, 0};
    if (ends(r))
        return true;
    if (*r->at == '|' || *r->at == '"') {
        if (!skip_quoted(r, *r->at))
            return false;
    } else if (*r->at < ' ' || *r->at > '~') {
        return wrong(r, "a character that is not plain", (struct token){0});
    } else if (*r->at == '(' || *r->at == ')') {
        r->at++;
    } else {
        while (!ends(r) && *r->at > ' ' && *r->at <= '~' &&
               !strchr("();|\"", *r->at))
            r->at++;
    }
    t->n = (size_t)(r->at - t->s);
    return true;
}

static bool smt_rest(struct reader *r)
{
    size_t depth = 1;
    struct token t;

    while (depth) {
        if (!smt_token(r, &t))
            return false;
        if (t.n == 0)
            return wrong(r, "a command has no end", t);
        depth += is(t, "(");
        depth -= is(t, ")");
    }
    return true;
}

static bool smt_command(struct reader *r, struct token t, unsigned *asked)
{
    if (!is(t, "("))
        return wrong(r, "is no command", t);
    if (!smt_token(r, &t))
        return false;
    if (is(t, "check-sat"))
        ++*asked;
    else if (*asked && !is(t, "exit"))
        return wrong(r, "stands behind the question", t);
    else if (!is_of(t, "set-info set-logic declare-const define-fun assert "
                       "exit"))
        return wrong(r, "is no command of an exported question", t);
    return smt_rest(r);
}

bool lex_smtlib(const char *text, size_t n, char why[WORDS])
{
    struct reader r = {text, text + n, 1, why};
    unsigned asked = 0;
    struct token t;

    why[0] = '\0';
    while (smt_token(&r, &t) && t.n)
        if (!smt_command(&r, t, &asked))
            return false;
    if (!why[0] && asked != 1)
        (void)wrong(&r, "wants one question", (struct token){0});
    return !why[0];
}
