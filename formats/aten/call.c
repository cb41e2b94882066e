/* Calls of operators by name: arguments find their parameters, and a row of
 * one of the tables makes the nodes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/aten/aten.h"

enum { WORD_MAX = 48 };

/* ---- parameters ---- */

struct param {
    char name[WORD_MAX], otherwise[WORD_MAX];
    char type;
    bool has_default;
    bool keyword; /* it is given by its name alone */
};

/* The next of a row; false at the end. */
static bool next_param(struct param *p, const char **s)
{
    size_t n;
    bool keyword;

    *s += strspn(*s, " ");
    keyword = **s == '|';
    *s += strspn(*s, "| ");
    n = strcspn(*s, ":");
    if (!(*s)[0] || n >= sizeof p->name)
        return false;
    *p = (struct param){.keyword = keyword};
    memcpy(p->name, *s, n);
    p->type = (*s)[n + 1];
    *s += n + 2;
    p->has_default = **s == '=';
    if (p->has_default) {
        n = strcspn(*s, " ");
        memcpy(p->otherwise, *s + 1, n - 1 < WORD_MAX ? n - 1 : WORD_MAX - 1);
        *s += n;
    }
    return true;
}

static struct aten_value default_of(const struct param *p)
{
    const char *s = p->otherwise;

    if (strcmp(s, "None") == 0)
        return (struct aten_value){.kind = ATEN_NONE};
    if (strcmp(s, "True") == 0 || strcmp(s, "False") == 0)
        return (struct aten_value){.kind = ATEN_BOOL, .i = *s == 'T'};
    if (strcmp(s, "[]") == 0)
        return (struct aten_value){.kind = ATEN_LIST};
    if (strchr(s, '.') || strstr(s, "e-"))
        return (struct aten_value){.kind = ATEN_FLOAT, .f = strtod(s, NULL)};
    return aten_int(strtoll(s, NULL, 10));
}

static bool all_of(struct aten_value x, char type);

/* Can a parameter of this type have this value? */
static bool fits(struct aten_value x, char type)
{
    bool fixed = x.kind == ATEN_INT && x.power == 0;
    bool number = fixed || x.kind == ATEN_FLOAT || x.kind == ATEN_BOOL;

    switch (type) {
    case 'T':
        return x.kind == ATEN_TENSOR;
    case 'O':
        return x.kind == ATEN_TENSOR || x.kind == ATEN_NONE;
    case 'L':
        return all_of(x, 'T');
    case 'x':
        return number || x.kind == ATEN_TENSOR ||
               (x.kind == ATEN_INT && x.power > 0);
    case 's':
        return number;
    case 'S':
        return number || x.kind == ATEN_NONE;
    case 'i':
        return fixed;
    case 'I':
        return fixed || all_of(x, 'i');
    case 'Y':
        return fixed || x.kind == ATEN_NONE || all_of(x, 'i');
    case 'n':
        return x.kind == ATEN_INT || x.kind == ATEN_NONE;
    case 'Z':
        return x.kind == ATEN_INT || all_of(x, 'n');
    case 'b':
        return x.kind == ATEN_BOOL;
    case 't':
        return x.kind == ATEN_TEXT;
    case 'd':
        return fixed || x.kind == ATEN_NONE;
    case 'D': /* integers or None in a list, or one integer */
        return fixed || all_of(x, 'd');
    case 'N': /* tensors, or None, in a list */
        return all_of(x, 'O');
    case 'F': /* numbers in a list, or None */
        return x.kind == ATEN_NONE || all_of(x, 's');
    default:
        return true;
    }
}

static bool all_of(struct aten_value x, char type)
{
    if (x.kind != ATEN_LIST && x.kind != ATEN_TUPLE)
        return false;
    for (uint32_t i = 0; i < x.n; i++)
        if (!fits(x.v[i], type))
            return false;
    return true;
}

static const char *kind_name(struct aten_value x)
{
    static const char *const names[] = {
        "None",      "a truth value", "an integer", "a number",
        "text",      "a list",        "a tuple",    "a tensor",
        "an object", "a function",    "a device"};

    return x.kind == ATEN_INT && x.power ? "a size that is not fixed"
                                         : names[x.kind];
}

/* The argument of a parameter: by its name, or by its place. */
static const struct aten_arg *arg_of(const struct aten_arg *arg, uint32_t n,
                                     const struct param *p, uint32_t place)
{
    for (uint32_t i = 0; i < n; i++)
        if (arg[i].name ? strcmp(arg[i].name, p->name) == 0 : i == place)
            return &arg[i];
    return NULL;
}

static ax_status bind(struct aten_value *to, const struct aten_op *op,
                      const struct aten_arg *arg, uint32_t n,
                      struct ax_err *err)
{
    const char *s = op->params;
    struct param p;
    uint32_t places = 0, used = 0;
    bool keyword = false;

    while (places < ATEN_ARGS && next_param(&p, &s)) {
        const struct aten_arg *x;

        keyword |= p.keyword;
        x = arg_of(arg, n, &p, keyword ? UINT32_MAX : places);
        if (!x && !p.has_default)
            return ax_fail(err, AX_EFORMAT, "argument '%s' is missing",
                           p.name);
        to[places] = x ? x->v : default_of(&p);
        used += x != NULL;
        if (x && !fits(x->v, p.type))
            return ax_fail(err, AX_EUNSUPPORTED,
                           "argument '%s' is %s, which is not supported",
                           p.name, kind_name(x->v));
        places++;
    }
    if (used == n)
        return AX_OK;
    for (uint32_t i = 0; i < n; i++) {
        bool known = !arg[i].name && i < places;

        s = op->params;
        while (arg[i].name && !known && next_param(&p, &s))
            known = strcmp(p.name, arg[i].name) == 0;
        if (!known)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "argument '%.40s' is not supported",
                           arg[i].name ? arg[i].name : "behind the last");
    }
    return ax_fail(err, AX_EFORMAT, "an argument is given twice");
}

/* ---- rows ---- */

static bool has_word(const char *words, const char *word)
{
    size_t n = strlen(word);

    for (const char *p = words; n && (p = strstr(p, word)); p += n)
        if ((p == words || p[-1] == ' ') && (!p[n] || p[n] == ' '))
            return true;
    return false;
}

static const struct aten_op *const tables[] = {
    aten_math, aten_layers, aten_windows, aten_shapes, aten_makers};

/* The row that takes these arguments, which are then in TO. */
static ax_status find(const struct aten_op **out, struct aten_value *to,
                      const char *name, const char *overload,
                      const struct aten_arg *arg, uint32_t n,
                      struct ax_err *err)
{
    bool any = false;

    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++)
        for (const struct aten_op *op = tables[t]; op->name; op++) {
            if (strcmp(op->name, name) != 0)
                continue;
            if (overload && op->overloads &&
                !has_word(op->overloads, overload))
                continue;
            any = true;
            *out = op;
            if (bind(to, op, arg, n, err) == AX_OK) {
                *err = (struct ax_err){0}; /* of rows that did not fit */
                return AX_OK;
            }
        }
    return any ? err->code
               : ax_fail(err, AX_EUNSUPPORTED, "is not supported");
}

/* ---- what is written in place ---- */

static ax_status state_room(struct aten *a, struct ax_err *err)
{
    uint32_t n = a->b.g->n_values;
    struct aten_state *more;

    if (n <= a->n_state)
        return AX_OK;
    n += n / 2 + 64;
    more = ax_arena_alloc(a->arena, n, sizeof *more);
    if (!more)
        return ax_fail(err, AX_ENOMEM, "no memory for a graph");
    for (uint32_t i = 0; i < n; i++)
        more[i] = i < a->n_state ? a->state[i]
                                 : (struct aten_state){.now = AX_NONE};
    a->state = more;
    a->n_state = n;
    return AX_OK;
}

/* A tensor as it is now. */
struct aten_value aten_now(const struct aten *a, struct aten_value x)
{
    while (x.kind == ATEN_TENSOR && x.value < a->n_state &&
           a->state[x.value].now != AX_NONE)
        x.value = a->state[x.value].now;
    return x;
}

static ax_status arguments_now(struct aten *a, struct aten_value *v,
                               uint32_t n, struct ax_err *err)
{
    for (uint32_t i = 0; i < n; i++) {
        struct aten_value x = v[i];

        v[i] = aten_now(a, x);
        if ((x.kind != ATEN_LIST && x.kind != ATEN_TUPLE) || !x.n)
            continue;
        AX_TRY(aten_list(a, &v[i], x.kind, x.n, err));
        for (uint32_t k = 0; k < x.n; k++)
            v[i].v[k] = aten_now(a, x.v[k]);
    }
    return AX_OK;
}

/* Operators that may give a view of their first argument. */
static bool makes_view(const char *name)
{
    return has_word(
        "view reshape _unsafe_view flatten unflatten unsqueeze squeeze "
        "permute transpose t numpy_T expand expand_as slice select split "
        "split_with_sizes chunk unbind narrow view_as reshape_as to clone "
        "type_as _to_copy swapaxes movedim lift_fresh_copy",
        name);
}

static void share(struct aten *a, struct aten_value x)
{
    if (x.kind == ATEN_TENSOR && x.value < a->n_state)
        a->state[x.value].shared = true;
    if (x.kind == ATEN_LIST || x.kind == ATEN_TUPLE)
        for (uint32_t i = 0; i < x.n; i++)
            share(a, x.v[i]);
}

ax_status aten_mark_weight(struct aten *a, struct aten_value x,
                           struct ax_err *err)
{
    AX_TRY(state_room(a, err));
    a->state[x.value].weight = true;
    return AX_OK;
}

/* Everything that names X names what NEW is from here on. */
static ax_status overwrite(struct aten *a, struct aten_value x,
                           struct aten_value new, struct ax_err *err)
{
    if (x.kind != ATEN_TENSOR || new.kind != ATEN_TENSOR)
        return ax_fail(err, AX_EUNSUPPORTED, "writes to what is no tensor");
    AX_TRY(state_room(a, err));
    if (new.value == x.value)
        return AX_OK;
    if (a->state[x.value].weight)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "the program changes its own state, which is not "
                       "supported");
    if (a->state[x.value].shared)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "writes to a tensor of which there are views or "
                       "copies, which is not supported");
    a->state[x.value].now = new.value;
    return AX_OK;
}

/* ---- shapes of inputs ---- */

static bool is_used(const struct ax_graph *g, uint32_t v)
{
    for (uint32_t i = 0; i < g->n_nodes; i++)
        for (uint32_t k = 0; k < g->nodes[i].n_in; k++)
            if (g->nodes[i].in[k] == v)
                return true;
    return false;
}

/* Linear layers and convolutions say what they work on, and an embedding
 * that it wants indices; an input whose shape is not given is then that. */
static ax_status guess(struct aten *a, const char *op,
                       const struct aten_value *v, struct ax_err *err)
{
    bool linear = strcmp(op, "linear") == 0,
         lookup = strcmp(op, "embedding") == 0,
         conv = strncmp(op, "conv", 4) == 0 ||
                strcmp(op, "_convolution") == 0;
    uint32_t x = v[lookup].value, w = v[!lookup].value;
    struct ax_graph *g = a->b.g;
    struct ax_value *in, *weight;
    bool full = strcmp(op, "convolution") == 0 ||
                strcmp(op, "_convolution") == 0;
    int64_t groups = v[full ? 8 : 6].i;
    bool is_input = false;

    if ((full && v[6].i) || (!linear && !lookup && !conv) ||
        strstr(op, "transpose") || v[0].kind != ATEN_TENSOR ||
        v[1].kind != ATEN_TENSOR)
        return AX_OK;
    for (uint32_t i = 0; i < g->n_inputs; i++)
        is_input |= g->inputs[i] == x;
    in = &g->values[x];
    weight = &g->values[w];
    if (!is_input || is_used(g, x) || weight->tensor == AX_NONE)
        return AX_OK;
    if (lookup) {
        in->dtype = AX_I64;
    } else {
        if (in->rank >= 0 || (linear && weight->rank != 2) ||
            (conv && weight->rank < 3))
            return AX_OK;
        in->rank = weight->rank;
        for (int i = 0; i < in->rank; i++)
            in->dims[i] = i == 1 ? weight->dims[1] : -1;
        in->dim_names[0] = strdup("N");
        if (!in->dim_names[0])
            return ax_fail(err, AX_ENOMEM, "no memory for a name");
        if (conv && groups > 0 && groups < 65536 && in->dims[1] < 1 << 20)
            in->dims[1] *= groups;
    }
    ax_growth_free(a->growth);
    a->growth = NULL;
    return aten_begin(a, err);
}

/* ---- calls ---- */

ax_status aten_call(struct aten *a, struct aten_value *out, const char *op,
                    const char *overload, const struct aten_arg *arg,
                    uint32_t n, struct ax_err *err)
{
    struct aten_value v[ATEN_ARGS] = {{0}};
    const struct aten_op *row = NULL;
    size_t len = strlen(op);
    bool writes = len > 1 && op[len - 1] == '_' && op[len - 2] != '_';
    char name[WORD_MAX];

    if (len >= sizeof name)
        return ax_fail(err, AX_EUNSUPPORTED, "is not supported");
    snprintf(name, sizeof name, "%.*s", (int)(len - writes), op);
    AX_TRY(find(&row, v, name, overload, arg, n, err));
    AX_TRY(arguments_now(a, v, ATEN_ARGS, err));
    snprintf(a->name, sizeof a->name, "%s:%u", name, ++a->calls);
    a->named = false;
    *out = (struct aten_value){0};
    if (a->guesses)
        AX_TRY(guess(a, name, v, err));
    AX_TRY(row->make(a, out, v, row->number, err));
    AX_TRY(ax_growth_infer(a->growth, err));
    AX_TRY(state_room(a, err));
    if (makes_view(name)) {
        share(a, v[0]);
        share(a, *out);
    }
    return writes ? overwrite(a, v[0], *out, err) : AX_OK;
}
