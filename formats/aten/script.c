/* TorchScript archives: the code of classes, modules as objects, and what
 * goes in and comes out of the method forward. Shapes of inputs are not in
 * the archive: they are given, or follow from the first layer. */
#include "formats/aten/script.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- code ---- */

/* The file of a module "__torch__.a.b" is code/__torch__/a/b.py; *out is NULL
 * if there is none. */
static ax_status load_file(const struct script_file **out, struct script *s,
                           const char *module, size_t n, struct ax_err *err)
{
    const struct torch_member *m;
    const unsigned char *text;
    struct script_file *f;
    char path[512];

    *out = NULL;
    if (n >= sizeof path)
        return AX_OK;
    for (size_t i = 0; i < n; i++)
        path[i] = module[i] == '.' ? '/' : module[i];
    path[n] = '\0';
    for (f = s->files; f; f = f->next)
        if (strcmp(f->path, path) == 0) {
            *out = f;
            return AX_OK;
        }
    m = script_member(s, "code/", (struct torch_text){path, n}, ".py");
    if (!m)
        return AX_OK;
    AX_TRY(torch_zip_bytes(&text, &s->budget, s->a.arena, m, err));
    f = ax_arena_zalloc(s->a.arena, 1, sizeof *f + n + 1);
    if (!f)
        return ax_fail(err, AX_ENOMEM, "no memory for code");
    memcpy(f + 1, path, n + 1);
    f->path = (const char *)(f + 1);
    if (script_parse(f, s->a.arena, (const char *)text, m->n, err) != AX_OK)
        return ax_fail_in(err, "%.160s", f->path);
    f->next = s->files;
    s->files = f;
    *out = f;
    return AX_OK;
}

ax_status script_find(const struct script_function **out, struct script *s,
                      const char *name, const char *function,
                      struct ax_err *err)
{
    const struct script_file *file;
    const char *dot = strrchr(name, '.');

    *out = NULL;
    /* a method: the last part is the class */
    if (dot) {
        AX_TRY(load_file(&file, s, name, (size_t)(dot - name), err));
        for (struct script_function *f = file ? file->functions : NULL; f;
             f = f->next)
            if (strcmp(f->of, dot + 1) == 0 &&
                strcmp(f->name, function) == 0) {
                *out = f;
                return AX_OK;
            }
    }
    AX_TRY(load_file(&file, s, name, strlen(name), err));
    for (struct script_function *f = file ? file->functions : NULL; f;
         f = f->next)
        if (!*f->of && strcmp(f->name, function) == 0)
            *out = f;
    return AX_OK;
}

/* ---- inputs ---- */

struct shape {
    ax_dtype type; /* AX_DTYPE_NONE: not given */
    int rank;
    int64_t dims[AX_RANK_MAX];
    char names[AX_RANK_MAX][32];
};

static ax_status read_dim(struct shape *to, const char *s, size_t n,
                          struct ax_err *err)
{
    char text[32], *end;
    long long v;

    if (to->rank == AX_RANK_MAX || !n || n >= sizeof text)
        return ax_fail(err, AX_EUSAGE,
                       "--shape: wants up to %d sizes with commas between "
                       "them, as in N,3,32,32",
                       AX_RANK_MAX);
    memcpy(text, s, n);
    text[n] = '\0';
    errno = 0;
    v = strtoll(text, &end, 10);
    if (!*end && !errno && v >= 1 && v <= INT32_MAX) {
        to->dims[to->rank++] = v;
        return AX_OK;
    }
    if (!*end || strspn(text, "+-.") || (text[0] >= '0' && text[0] <= '9'))
        return ax_fail(err, AX_EUSAGE,
                       "--shape: a size is '%s', wants a number from 1 or a "
                       "name",
                       text);
    memcpy(to->names[to->rank], text, n + 1);
    to->dims[to->rank++] = -1;
    return AX_OK;
}

/* "[NAME=][DTYPE:]SIZE,SIZE", up to a semicolon. True if it is for NAME. */
static ax_status read_shape(struct shape *to, bool *mine, const char *s,
                            size_t n, const char *name, bool first,
                            struct ax_err *err)
{
    const char *end = s + n, *equals = memchr(s, '=', n), *colon;
    char type[32];

    *to = (struct shape){0};
    *mine = equals ? (size_t)(equals - s) == strlen(name) &&
                         strncmp(s, name, strlen(name)) == 0
                   : first;
    if (equals)
        s = equals + 1;
    colon = memchr(s, ':', (size_t)(end - s));
    if (colon) {
        snprintf(type, sizeof type, "%.*s", (int)(colon - s), s);
        to->type = ax_dtype_by_name(type);
        if (!to->type)
            return ax_fail(err, AX_EUSAGE, "--shape: there is no type '%s'",
                           type);
        s = colon + 1;
    }
    while (s < end) {
        const char *comma = memchr(s, ',', (size_t)(end - s));
        size_t len = (size_t)((comma ? comma : end) - s);

        AX_TRY(read_dim(to, s, len, err));
        s += len + (comma != NULL);
        if (comma && s == end)
            return ax_fail(err, AX_EUSAGE, "--shape: ends with a comma");
    }
    return AX_OK;
}

/* The shape that is given for input number K; by name first. */
static ax_status given_shape(struct shape *to, bool *given,
                             const char *inputs, const char *name, size_t k,
                             struct ax_err *err)
{
    size_t place = 0;

    *given = false;
    for (const char *s = inputs; s && *s;) {
        size_t n = strcspn(s, ";");
        struct shape this;
        bool mine;

        AX_TRY(read_shape(&this, &mine, s, n, name, place++ == k, err));
        if (mine) {
            *to = this;
            *given = true;
        }
        s += n + (s[n] == ';');
    }
    return AX_OK;
}

static ax_status add_input(struct aten_value *out, struct script *s,
                           const char *name, const char *inputs, size_t k,
                           struct ax_err *err)
{
    const char *names[AX_RANK_MAX];
    struct shape shape = {0};
    bool given;

    AX_TRY(given_shape(&shape, &given, inputs, name, k, err));
    for (int i = 0; i < AX_RANK_MAX; i++)
        names[i] = shape.names[i];
    return aten_input(&s->a, out, name, shape.type ? shape.type : AX_F32,
                      given ? shape.rank : -1, shape.dims, names, err);
}

/* Tensors are inputs; what else has a default has that. */
static ax_status read_inputs(struct aten_arg *arg, struct script *s,
                             const struct script_function *f,
                             const char *inputs, struct ax_err *err)
{
    size_t k = 0;

    for (uint32_t i = 1; i < f->n_params; i++) {
        const struct script_param *p = &f->params[i];

        if (strcmp(p->type, "Tensor") == 0 && !p->otherwise)
            AX_TRY(add_input(&arg[i].v, s, p->name, inputs, k++, err));
        else if (!p->otherwise)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "input '%.80s' is a %.40s, only tensors are "
                           "supported",
                           p->name, p->type);
        arg[i].name = p->name;
    }
    return AX_OK;
}

/* ---- outputs ---- */

static ax_status add_outputs(struct script *s, struct aten_value v,
                             unsigned *n, int depth, struct ax_err *err)
{
    char name[32];

    if (depth > 8)
        return ax_fail(err, AX_EUNSUPPORTED, "its outputs are nested");
    if (v.kind == ATEN_LIST || v.kind == ATEN_TUPLE) {
        for (uint32_t i = 0; i < v.n; i++)
            AX_TRY(add_outputs(s, v.v[i], n, depth + 1, err));
        return AX_OK;
    }
    if (v.kind == ATEN_NONE)
        return AX_OK;
    snprintf(name, sizeof name, *n ? "output:%u" : "output", *n);
    ++*n;
    return aten_output(&s->a, aten_now(&s->a, v), name, err);
}

/* ---- the archive ---- */

static ax_status find_root(struct script *s, struct ax_err *err)
{
    static const char name[] = "constants.pkl";
    size_t n = sizeof name - 1;

    for (size_t i = 0; i < s->zip->n; i++) {
        struct torch_text t = s->zip->v[i].name;

        if (t.n >= n && memcmp(t.s + t.n - n, name, n) == 0 &&
            (t.n == n || t.s[t.n - n - 1] == '/')) {
            s->root = (struct torch_text){t.s, t.n - n};
            return AX_OK;
        }
    }
    return ax_fail(err, AX_EFORMAT, "has no constants.pkl");
}

bool aten_is_script(const struct torch_zip *zip)
{
    struct script s = {.zip = zip};
    struct ax_err err = {0};

    return find_root(&s, &err) == AX_OK &&
           script_member(&s, "data.pkl", (struct torch_text){"", 0}, "");
}

static ax_status read_module(struct ax_model **out, struct script *s,
                             const char *inputs, struct ax_err *err)
{
    const struct script_function *f = NULL;
    struct aten_value module = {0}, result = {0};
    struct aten_arg *arg, *given;
    const char *class;
    unsigned n_outputs = 0;
    uint32_t n = 0;

    AX_TRY(find_root(s, err));
    AX_TRY(script_open(s, err));
    AX_TRY(script_root(&module, s, err));
    AX_TRY(script_class(&class, s, module.object, err));
    AX_TRY(script_find(&f, s, class, "forward", err));
    if (!f || !f->n_params)
        return ax_fail(err, AX_EFORMAT, "class '%.200s' has no forward",
                       class);
    arg = ax_arena_zalloc(s->a.arena, f->n_params, sizeof *arg);
    given = ax_arena_zalloc(s->a.arena, f->n_params, sizeof *given);
    if (!arg || !given)
        return ax_fail(err, AX_ENOMEM, "no memory for arguments");
    AX_TRY(read_inputs(arg, s, f, inputs, err));
    AX_TRY(aten_begin(&s->a, err));
    arg[0] = (struct aten_arg){f->params[0].name, module};
    for (uint32_t i = 0; i < f->n_params; i++)
        if (!i || arg[i].v.kind != ATEN_NONE)
            given[n++] = arg[i];
    AX_TRY(script_call(&result, s, f, given, n, err));
    AX_TRY(add_outputs(s, result, &n_outputs, 0, err));
    return aten_finish(out, &s->a, err);
}

ax_status aten_read_script(struct ax_model **out, const struct torch_zip *zip,
                           const unsigned char *data, size_t n,
                           const char *inputs, struct ax_err *err)
{
    struct script *s = calloc(1, sizeof *s);
    ax_status st;

    *out = NULL;
    if (!s)
        return ax_fail(err, AX_ENOMEM, "no memory for a program");
    s->zip = zip;
    s->budget = torch_zip_budget(n);
    s->steps = SCRIPT_STEPS;
    st = aten_new(&s->a, data, n, err);
    s->a.guesses = true;
    if (st == AX_OK)
        st = read_module(out, s, inputs, err);
    script_close(s);
    aten_free(&s->a);
    free(s);
    return st;
}
