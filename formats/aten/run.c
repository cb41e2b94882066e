/* Following the code of a TorchScript archive: operators on tensors become
 * nodes, everything else is computed. A condition has to be known by then:
 * what depends on data, or on a dimension that is free, is an error. Nothing
 * is executed but what stands here. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/aten/script.h"

enum { FRAMES_MAX = 64, ARGS_MAX = 256 };

/* ---- variables ---- */

struct variable {
    const char *name; /* NULL: a free place */
    struct aten_value v;
};

struct script_frame {
    const struct script_function *f;
    struct variable *v; /* a hash table, never full */
    size_t n, cap;
    bool returned;
    struct aten_value result;
    struct script_frame *outer;
};

static ax_status no_memory(struct ax_err *err)
{
    return ax_fail(err, AX_ENOMEM, "no memory for variables");
}

static struct variable *slot(const struct script_frame *f, const char *name)
{
    size_t h = 14695981039346656037u;

    for (const char *p = name; *p; p++)
        h = (h ^ (unsigned char)*p) * 1099511628211u;
    h &= f->cap - 1;
    while (f->v[h].name && strcmp(f->v[h].name, name) != 0)
        h = (h + 1) & (f->cap - 1);
    return &f->v[h];
}

static ax_status assign(struct script_frame *f, const char *name,
                        struct aten_value v, struct ax_err *err)
{
    struct variable *at;

    if (2 * (f->n + 1) > f->cap) {
        struct script_frame more = *f;

        more.cap = f->cap ? 2 * f->cap : 64;
        more.v = calloc(more.cap, sizeof *more.v);
        if (!more.v)
            return no_memory(err);
        for (size_t i = 0; i < f->cap; i++)
            if (f->v[i].name)
                *slot(&more, f->v[i].name) = f->v[i];
        free(f->v);
        *f = more;
    }
    at = slot(f, name);
    f->n += !at->name;
    *at = (struct variable){name, v};
    return AX_OK;
}

void script_replace(struct script *s, struct aten_value old,
                    struct aten_value new)
{
    for (struct script_frame *f = s->frame; f; f = f->outer)
        for (size_t i = 0; i < f->cap; i++)
            if (f->v[i].name && f->v[i].v.kind == ATEN_LIST &&
                f->v[i].v.v == old.v)
                f->v[i].v = new;
}

/* ---- names ---- */

/* "torch.nn.relu" out of a chain of attributes; false if it is none, or too
 * long. */
static bool dotted(char *to, size_t size, const struct script_expr *e)
{
    size_t n;

    if (e->kind == SCRIPT_NAME)
        return (size_t)snprintf(to, size, "%s", e->text) < size;
    if (e->kind != SCRIPT_ATTRIBUTE || !dotted(to, size, e->v[0]))
        return false;
    n = strlen(to);
    return (size_t)snprintf(to + n, size - n, ".%s", e->text) < size - n;
}

static bool begins(const char *s, const char *with)
{
    return strncmp(s, with, strlen(with)) == 0;
}

/* __torch__.a.b.f is function f of __torch__.a.b. */
static ax_status global_function(const struct script_function **out,
                                 struct script *s, const char *name,
                                 struct ax_err *err)
{
    char module[512];
    const char *dot = strrchr(name, '.');

    *out = NULL;
    if (dot) {
        snprintf(module, sizeof module, "%.*s", (int)(dot - name), name);
        AX_TRY(script_find(out, s, module, dot + 1, err));
    }
    return *out ? AX_OK
                : ax_fail(err, AX_EUNSUPPORTED,
                          "'%.200s' is not in the archive", name);
}

/* ---- expressions ---- */

static ax_status eval(struct aten_value *out, struct script *s,
                      const struct script_expr *e, struct ax_err *err);

static ax_status eval_list(struct aten_value *out, struct script *s,
                           const struct script_expr *e, uint8_t kind,
                           struct ax_err *err)
{
    AX_TRY(aten_list(&s->a, out, kind, e->n, err));
    for (uint32_t i = 0; i < e->n; i++)
        AX_TRY(eval(&out->v[i], s, e->v[i], err));
    return AX_OK;
}

static ax_status eval_attribute(struct aten_value *out, struct script *s,
                                const struct script_expr *e,
                                struct ax_err *err)
{
    struct aten_value of = {0};
    char name[512];

    if (dotted(name, sizeof name, e)) {
        if (begins(name, "CONSTANTS."))
            return script_constant(out, s, e->text, err);
        if (begins(name, "__torch__.")) {
            const struct script_function *f;

            AX_TRY(global_function(&f, s, name, err));
            out->kind = ATEN_FUNCTION;
            out->function = f;
            return AX_OK;
        }
    }
    AX_TRY(eval(&of, s, e->v[0], err));
    if (of.kind != ATEN_OBJECT)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "attribute '%.80s' of what is no module is not "
                       "supported",
                       e->text);
    return script_attribute(out, s, of.object, e->text, err);
}

static ax_status eval_index(struct aten_value *out, struct script *s,
                            const struct script_expr *e, struct ax_err *err)
{
    struct aten_value of = {0}, at = {0};
    int64_t i;

    if (e->n != 2)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "an index of several numbers is not supported");
    AX_TRY(eval(&of, s, e->v[0], err));
    AX_TRY(eval(&at, s, e->v[1], err));
    if ((of.kind != ATEN_LIST && of.kind != ATEN_TUPLE) ||
        at.kind != ATEN_INT || at.power)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "an index into what is no list is not supported");
    i = at.i < 0 ? at.i + of.n : at.i;
    if (i < 0 || i >= of.n)
        return ax_fail(err, AX_EFORMAT, "an index is out of range");
    *out = of.v[i];
    return AX_OK;
}

/* The arguments of a call, behind N that are there already. */
static ax_status arguments(struct script *s, struct aten_arg **out,
                           uint32_t *n, const struct script_expr *e,
                           struct ax_err *err)
{
    uint32_t first = *n;

    if (e->n > ARGS_MAX)
        return ax_fail(err, AX_EUNSUPPORTED, "too many arguments");
    *out = ax_arena_zalloc(s->a.arena, e->n + first, sizeof **out);
    if (!*out)
        return no_memory(err);
    for (uint32_t i = 1; i < e->n; i++) {
        (*out)[first + i - 1].name = e->names[i];
        AX_TRY(eval(&(*out)[first + i - 1].v, s, e->v[i], err));
    }
    *n += e->n - 1;
    return AX_OK;
}

/* (x).method(...) */
static ax_status call_method(struct aten_value *out, struct script *s,
                             const struct script_expr *e, struct ax_err *err)
{
    const struct script_expr *method = e->v[0];
    const struct script_function *f;
    struct aten_value of = {0};
    struct aten_arg *arg;
    const char *class;
    uint32_t n = 1;

    AX_TRY(eval(&of, s, method->v[0], err));
    if (of.kind != ATEN_OBJECT)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "method '%.80s' of what is no module is not supported",
                       method->text);
    AX_TRY(script_class(&class, s, of.object, err));
    AX_TRY(script_find(&f, s, class, method->text, err));
    if (!f)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "class '%.200s' has no method '%.80s' in the archive",
                       class, method->text);
    AX_TRY(arguments(s, &arg, &n, e, err));
    arg[0].v = of;
    return script_call(out, s, f, arg, n, err);
}

static ax_status call_function(struct aten_value *out, struct script *s,
                               const struct script_function *f,
                               const struct script_expr *e,
                               struct ax_err *err)
{
    struct aten_arg *arg;
    uint32_t n = 0;

    AX_TRY(arguments(s, &arg, &n, e, err));
    return script_call(out, s, f, arg, n, err);
}

/* torch.f(...), ops.prim.f(...), int(...) */
static ax_status call_named(struct aten_value *out, struct script *s,
                            const char *name, const struct script_expr *e,
                            struct ax_err *err)
{
    struct aten_arg *arg;
    uint32_t n = 0;
    bool done;

    /* The first argument of these is a type. */
    if (strcmp(name, "uninitialized") == 0)
        return AX_OK;
    if ((strcmp(name, "annotate") == 0 ||
         strcmp(name, "unchecked_cast") == 0) &&
        e->n == 3)
        return eval(out, s, e->v[2], err);
    AX_TRY(arguments(s, &arg, &n, e, err));
    AX_TRY(script_builtin(out, &done, s, name, arg, n, err));
    if (done)
        return AX_OK;
    if (!begins(name, "torch.") || strchr(name + 6, '.'))
        return ax_fail(err, AX_EUNSUPPORTED, "'%.80s' is not supported",
                       name);
    if (aten_call(&s->a, out, name + 6, NULL, arg, n, err) != AX_OK)
        return ax_fail_in(err, "%.80s", name);
    return AX_OK;
}

static ax_status eval_call(struct aten_value *out, struct script *s,
                           const struct script_expr *e, struct ax_err *err)
{
    const struct script_function *f;
    struct aten_value of = {0};
    char name[512] = "";
    bool global;

    global = dotted(name, sizeof name, e->v[0]);
    if (global && begins(name, "__torch__.")) {
        AX_TRY(global_function(&f, s, name, err));
        return call_function(out, s, f, e, err);
    }
    if (global && (begins(name, "torch.") || begins(name, "ops.")))
        return call_named(out, s, name, e, err);
    if (e->v[0]->kind == SCRIPT_ATTRIBUTE)
        return call_method(out, s, e, err);
    if (e->v[0]->kind == SCRIPT_NAME && !slot(s->frame, name)->name)
        return call_named(out, s, name, e, err);
    AX_TRY(eval(&of, s, e->v[0], err));
    if (of.kind != ATEN_FUNCTION)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "a call of what is no function is not supported");
    return call_function(out, s, of.function, e, err);
}

static ax_status eval_name(struct aten_value *out, const struct script *s,
                           const char *name, struct ax_err *err)
{
    const struct variable *v = slot(s->frame, name);

    *out = (struct aten_value){0};
    if (v->name) {
        *out = v->v;
        return AX_OK;
    }
    if (strcmp(name, "None") == 0)
        return AX_OK;
    if (strcmp(name, "True") == 0 || strcmp(name, "False") == 0) {
        *out = (struct aten_value){.kind = ATEN_BOOL, .i = name[0] == 'T'};
        return AX_OK;
    }
    if (strcmp(name, "inf") == 0 || strcmp(name, "nan") == 0) {
        *out = (struct aten_value){.kind = ATEN_FLOAT,
                                   .f = name[0] == 'i' ? (double)INFINITY
                                                       : (double)NAN};
        return AX_OK;
    }
    return ax_fail(err, AX_EFORMAT, "'%.80s' has no value", name);
}

static ax_status eval(struct aten_value *out, struct script *s,
                      const struct script_expr *e, struct ax_err *err)
{
    *out = (struct aten_value){0};
    if (!s->steps)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "takes more than %d steps, which is not supported",
                       SCRIPT_STEPS);
    s->steps--;
    switch (e->kind) {
    case SCRIPT_NAME:
        return eval_name(out, s, e->text, err);
    case SCRIPT_TEXT:
        *out = (struct aten_value){.kind = ATEN_TEXT, .text = e->text};
        return AX_OK;
    case SCRIPT_INT:
        *out = aten_int(e->i);
        return AX_OK;
    case SCRIPT_FLOAT:
        *out = (struct aten_value){.kind = ATEN_FLOAT, .f = e->f};
        return AX_OK;
    case SCRIPT_ATTRIBUTE:
        return eval_attribute(out, s, e, err);
    case SCRIPT_CALL:
        return eval_call(out, s, e, err);
    case SCRIPT_INDEX:
        return eval_index(out, s, e, err);
    case SCRIPT_TUPLE:
        return eval_list(out, s, e, ATEN_TUPLE, err);
    case SCRIPT_LIST:
        return eval_list(out, s, e, ATEN_LIST, err);
    case SCRIPT_DICT:
        return ax_fail(err, AX_EUNSUPPORTED, "a dictionary is not supported");
    case SCRIPT_NEGATIVE:
        AX_TRY(eval(out, s, e->v[0], err));
        if (out->kind == ATEN_FLOAT)
            out->f = -out->f;
        else if (out->kind == ATEN_INT && out->i != INT64_MIN)
            out->i = -out->i;
        else
            return ax_fail(err, AX_EUNSUPPORTED,
                           "minus what is no number is not supported");
        return AX_OK;
    }
    return AX_OK;
}

/* ---- statements ---- */

static ax_status run(struct script *s, const struct script_statement *st,
                     struct ax_err *err);

static ax_status bind(struct script *s, const struct script_expr *target,
                      struct aten_value v, struct ax_err *err)
{
    if (target->kind == SCRIPT_NAME)
        return assign(s->frame, target->text, v, err);
    if (target->kind != SCRIPT_TUPLE && target->kind != SCRIPT_LIST)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "the module changes its own state, which is not "
                       "supported");
    if ((v.kind != ATEN_TUPLE && v.kind != ATEN_LIST) || v.n != target->n)
        return ax_fail(err, AX_EFORMAT, "wants %u values", target->n);
    for (uint32_t i = 0; i < v.n; i++)
        AX_TRY(bind(s, target->v[i], v.v[i], err));
    return AX_OK;
}

static ax_status condition(bool *out, struct script *s,
                           const struct script_expr *e, struct ax_err *err)
{
    struct aten_value v = {0};

    AX_TRY(eval(&v, s, e, err));
    *out = v.i != 0;
    return v.kind == ATEN_BOOL
               ? AX_OK
               : ax_fail(err, AX_EUNSUPPORTED,
                         "a condition that depends on data is not supported");
}

static ax_status run_for(struct script *s, const struct script_statement *st,
                         struct ax_err *err)
{
    struct aten_value over = {0};

    /* range(n) alone, which the builtin makes a number */
    AX_TRY(eval(&over, s, st->value, err));
    if (over.kind != ATEN_INT || over.power)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "a loop whose length is not fixed is not supported");
    for (int64_t i = 0; i < over.i && !s->frame->returned; i++) {
        if (!s->steps)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "takes more than %d steps, which is not "
                           "supported",
                           SCRIPT_STEPS);
        s->steps--;
        AX_TRY(bind(s, st->target, aten_int(i), err));
        AX_TRY(run(s, st->body, err));
    }
    return AX_OK;
}

static ax_status run_one(struct script *s, const struct script_statement *st,
                         struct ax_err *err)
{
    struct aten_value v = {0};
    bool yes = false;

    switch (st->does) {
    case SCRIPT_PASS:
        return AX_OK;
    case SCRIPT_DO:
        return eval(&v, s, st->value, err);
    case SCRIPT_ASSIGN:
        AX_TRY(eval(&v, s, st->value, err));
        return bind(s, st->target, v, err);
    case SCRIPT_RETURN:
        s->frame->returned = true;
        return st->value ? eval(&s->frame->result, s, st->value, err) : AX_OK;
    case SCRIPT_IF:
        AX_TRY(condition(&yes, s, st->value, err));
        return run(s, yes ? st->body : st->other, err);
    case SCRIPT_FOR:
        return run_for(s, st, err);
    case SCRIPT_WHILE:
        AX_TRY(condition(&yes, s, st->value, err));
        while (yes && !s->frame->returned) {
            AX_TRY(run(s, st->body, err));
            AX_TRY(condition(&yes, s, st->value, err));
        }
        return AX_OK;
    case SCRIPT_WITH:
        return ax_fail(err, AX_EUNSUPPORTED, "'with' is not supported");
    }
    return AX_OK;
}

static ax_status run(struct script *s, const struct script_statement *st,
                     struct ax_err *err)
{
    if (++s->depth > 2 * FRAMES_MAX)
        return ax_fail(err, AX_EUNSUPPORTED, "is nested too deep");
    for (; st && !s->frame->returned; st = st->next)
        if (run_one(s, st, err) != AX_OK) {
            /* Where it happened, once: not every caller. */
            if (!s->told && err->code != AX_ENOMEM) {
                s->told = true;
                return ax_fail_in(err, "%.160s, line %d",
                                  s->frame->f->file->path, st->line);
            }
            return err->code;
        }
    s->depth--;
    return AX_OK;
}

/* ---- functions ---- */

ax_status script_default(struct aten_value *out, struct script *s,
                         const struct script_param *p, struct ax_err *err)
{
    if (!p->otherwise)
        return ax_fail(err, AX_EFORMAT, "argument '%.80s' is missing",
                       p->name);
    return eval(out, s, p->otherwise, err);
}

static ax_status bind_params(struct script *s,
                             const struct script_function *f,
                             const struct aten_arg *arg, uint32_t n,
                             struct ax_err *err)
{
    uint32_t used = 0;

    for (uint32_t k = 0; k < f->n_params; k++) {
        const struct script_param *p = &f->params[k];
        struct aten_value v = {0};
        bool given = false;

        for (uint32_t i = 0; i < n && !given; i++) {
            given = arg[i].name ? strcmp(arg[i].name, p->name) == 0 : i == k;
            if (given)
                v = arg[i].v;
        }
        used += given;
        if (!given)
            AX_TRY(script_default(&v, s, p, err));
        AX_TRY(assign(s->frame, p->name, v, err));
    }
    return used == n ? AX_OK
                     : ax_fail(err, AX_EFORMAT,
                               "function '%.80s' is given %u arguments, of "
                               "which it has %u",
                               f->name, n, used);
}

ax_status script_call(struct aten_value *out, struct script *s,
                      const struct script_function *f,
                      const struct aten_arg *arg, uint32_t n,
                      struct ax_err *err)
{
    struct script_frame frame = {.f = f, .outer = s->frame};
    int depth = 0;
    ax_status st;

    for (struct script_frame *o = s->frame; o; o = o->outer)
        depth++;
    if (depth >= FRAMES_MAX)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "calls are nested more than %d deep", FRAMES_MAX);
    frame.v = calloc(64, sizeof *frame.v);
    frame.cap = 64;
    if (!frame.v)
        return no_memory(err);
    s->frame = &frame;
    st = bind_params(s, f, arg, n, err);
    if (st == AX_OK)
        st = run(s, f->body, err);
    s->frame = frame.outer;
    free(frame.v);
    *out = frame.result;
    return st;
}
