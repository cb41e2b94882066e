/* Every operator against values worked out by hand: the lines of
 * tests/data/ops, run with every backend. A line is
 *
 *     Op attr=value ... | input ; input | output ; output
 *
 * where a tensor is "f32[2,2] 1 2 3 4" and "-" is an absent one; an
 * attribute is 1, 1.0, [1,2], [1.0], 'word' or ['word','word']. Instead of
 * outputs, "! words" wants an error that has the words in it. Real numbers
 * agree to 2e-6, "~X" before the outputs is another tolerance. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ax/backend.h"
#include "ax/element.h"
#include "ax/run.h"
#include "tap.h"

#define MAX 16

static const struct {
    const char *name;
    ax_dtype dtype;
} types[] = {
    {"f32", AX_F32},
    {"f64", AX_F64},
    {"f16", AX_F16},
    {"bf16", AX_BF16},
    {"i8", AX_I8},
    {"i16", AX_I16},
    {"i32", AX_I32},
    {"i64", AX_I64},
    {"u8", AX_U8},
    {"u16", AX_U16},
    {"u32", AX_U32},
    {"u64", AX_U64},
    {"bool", AX_BOOL},
    {"e4m3fn", AX_F8_E4M3FN},
    {"e4m3fnuz", AX_F8_E4M3FNUZ},
    {"e5m2", AX_F8_E5M2},
    {"e5m2fnuz", AX_F8_E5M2FNUZ},
    {"e8m0", AX_F8_E8M0},
    {"e2m1", AX_F4_E2M1},
    {"u4", AX_U4},
    {"i4", AX_I4},
    {"u2", AX_U2},
    {"i2", AX_I2},
};

/* A model of one node, and what it should give. */
struct problem {
    struct ax_model m;
    struct ax_graph g;
    struct ax_value values[2 * MAX];
    struct ax_node node;
    struct ax_attr attrs[MAX];
    uint32_t in[MAX], out[MAX];
    uint32_t inputs[MAX], outputs[MAX];
    struct ax_tensor data[MAX], want[MAX];
    uint32_t n_want;
    const char *error; /* words, or NULL */
    double tolerance;
};

static _Noreturn void bad(const char *line, const char *at)
{
    printf("Bail out! cannot read '%s' at '%.20s'\n", line, at);
    exit(1);
}

static char *skip(char *p)
{
    while (*p == ' ')
        p++;
    return p;
}

/* -- tensors ------------------------------------------------------------- */

static double number(char **p)
{
    double x = strtod(*p, p);

    *p = skip(*p);
    return x;
}

static void parse_tensor(struct ax_tensor *t, char *p, const char *line)
{
    int64_t dims[AX_RANK_MAX];
    ax_dtype dtype = AX_DTYPE_NONE;
    struct ax_err err = {0};
    size_t len = strcspn(p, "["), n;
    int rank = 0;

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strlen(types[i].name) == len && !memcmp(types[i].name, p, len))
            dtype = types[i].dtype;
    if (!dtype || p[len] != '[')
        bad(line, p);
    for (p += len + 1; *p != ']';) {
        dims[rank++] = strtoll(p, &p, 10);
        p += *p == ',';
    }
    p = skip(p + 1);
    if (ax_tensor_new(t, dtype, rank, dims, &err) != AX_OK)
        bad(line, err.msg);
    n = ax_tensor_count(t);
    for (size_t i = 0; i < n; i++) {
        bool real = ax_dtype_class(dtype) == AX_CLASS_REAL;
        int64_t v;
        double x;

        if (!*p)
            bad(line, "too few numbers");
        if (real) {
            x = number(&p);
            ax_put_f64(dtype, t->data, i, &x, 1);
        } else {
            v = *p == '-' ? strtoll(p, &p, 10) : (int64_t)strtoull(p, &p, 10);
            ax_put_i64(dtype, t->data, i, &v, 1);
            p = skip(p);
        }
    }
    if (*p)
        bad(line, p);
}

/* -- the node ------------------------------------------------------------ */

static void parse_list(struct ax_attr *a, char *p)
{
    size_t room = strlen(p);
    bool reals = strcspn(p, ".") < strcspn(p, "]");

    a->kind = strchr(p, '\'') && strchr(p, '\'') < strchr(p, ']')
                  ? AX_ATTR_STRINGS
              : reals ? AX_ATTR_FLOATS
                      : AX_ATTR_INTS;
    a->ints = calloc(room, sizeof *a->ints);
    a->floats = calloc(room, sizeof *a->floats);
    a->strings = calloc(room, sizeof *a->strings);
    for (p++; *p != ']'; p += *p == ',') {
        if (a->kind == AX_ATTR_STRINGS) {
            a->strings[a->n++] = strndup(p + 1, strcspn(p + 1, "'"));
            p += strcspn(p + 1, "'") + 2;
        } else if (reals) {
            a->floats[a->n++] = strtof(p, &p);
        } else {
            a->ints[a->n++] = strtoll(p, &p, 10);
        }
    }
}

static void parse_attr(struct ax_attr *a, char *p, const char *line)
{
    char *eq = strchr(p, '=');

    if (!eq)
        bad(line, p);
    a->name = strndup(p, (size_t)(eq - p));
    p = eq + 1;
    if (*p == '[') {
        parse_list(a, p);
    } else if (*p == '\'') {
        a->kind = AX_ATTR_STRING;
        a->s = strndup(p + 1, strcspn(p + 1, "'"));
    } else if (strchr(p, '.')) {
        a->kind = AX_ATTR_FLOAT;
        a->f = strtof(p, NULL);
    } else {
        a->kind = AX_ATTR_INT;
        a->i = strtoll(p, NULL, 10);
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct ax_attr *)a)->name,
                  ((const struct ax_attr *)b)->name);
}

static uint32_t add_value(struct problem *p, const struct ax_tensor *t)
{
    static const char *const names[] = {
        "v0",  "v1",  "v2",  "v3",  "v4",  "v5",  "v6",  "v7",
        "v8",  "v9",  "v10", "v11", "v12", "v13", "v14", "v15",
        "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23",
    };
    struct ax_value *v = &p->values[p->g.n_values];

    v->name = strdup(names[p->g.n_values]);
    v->rank = -1;
    v->tensor = AX_NONE;
    v->dtype = t ? t->dtype : AX_DTYPE_NONE;
    return p->g.n_values++;
}

static void parse_node(struct problem *p, char *s, const char *line)
{
    char *op = strtok(s, " "), *word;

    p->node.op = ax_op_by_name(op);
    p->node.name = strdup("n");
    p->node.attrs = p->attrs;
    while ((word = strtok(NULL, " ")))
        parse_attr(&p->attrs[p->node.n_attrs++], word, line);
    qsort(p->attrs, p->node.n_attrs, sizeof p->attrs[0], by_name);
}

static void parse_inputs(struct problem *p, char *s, const char *line)
{
    for (char *next; s; s = next) {
        next = strchr(s, ';');
        if (next)
            *next++ = '\0';
        while (*s && s[strlen(s) - 1] == ' ')
            s[strlen(s) - 1] = '\0';
        s = skip(s);
        p->in[p->node.n_in] = AX_NONE;
        if (*s && *s != '-') {
            parse_tensor(&p->data[p->g.n_inputs], s, line);
            p->in[p->node.n_in] = add_value(p, &p->data[p->g.n_inputs]);
            p->inputs[p->g.n_inputs++] = p->in[p->node.n_in];
        }
        p->node.n_in += *s != '\0';
    }
}

static void parse_outputs(struct problem *p, char *s, const char *line)
{
    s = skip(s);
    p->tolerance = 2e-6;
    if (*s == '~') {
        p->tolerance = strtod(s + 1, &s);
        s = skip(s);
    }
    if (*s == '!') {
        p->error = skip(s + 1);
        p->out[p->node.n_out++] = add_value(p, NULL);
        p->outputs[p->g.n_outputs++] = p->out[0];
        return;
    }
    for (char *next; s; s = next) {
        next = strchr(s, ';');
        if (next)
            *next++ = '\0';
        while (*s && s[strlen(s) - 1] == ' ')
            s[strlen(s) - 1] = '\0';
        s = skip(s);
        p->out[p->node.n_out] = AX_NONE;
        if (*s != '-') {
            parse_tensor(&p->want[p->n_want++], s, line);
            p->out[p->node.n_out] = add_value(p, NULL);
            p->outputs[p->g.n_outputs++] = p->out[p->node.n_out];
        }
        p->node.n_out++;
    }
}

static void parse(struct problem *p, const char *line)
{
    char *copy = strdup(line), *in = strchr(copy, '|'), *out;

    memset(p, 0, sizeof *p);
    out = in ? strchr(in + 1, '|') : NULL;
    if (!out)
        bad(line, "no second |");
    *in = *out = '\0';
    parse_node(p, copy, line);
    parse_inputs(p, in + 1, line);
    parse_outputs(p, out + 1, line);
    if (p->error)
        p->error = strdup(p->error);
    p->node.in = p->in;
    p->node.out = p->out;
    p->g.values = p->values;
    p->g.nodes = &p->node;
    p->g.n_nodes = 1;
    p->g.inputs = p->inputs;
    p->g.outputs = p->outputs;
    p->m.graph = &p->g;
    free(copy);
}

static void forget(struct problem *p)
{
    for (uint32_t i = 0; i < p->g.n_values; i++)
        free(p->values[i].name);
    for (uint32_t i = 0; i < p->node.n_attrs; i++) {
        struct ax_attr *a = &p->attrs[i];

        free(a->name);
        free(a->s);
        free(a->ints);
        free(a->floats);
        for (size_t k = 0; a->kind == AX_ATTR_STRINGS && k < a->n; k++)
            free(a->strings[k]);
        free(a->strings);
    }
    for (int i = 0; i < MAX; i++) {
        ax_tensor_free(&p->data[i]);
        ax_tensor_free(&p->want[i]);
    }
    free(p->node.name);
    if (p->error)
        free((char *)(uintptr_t)p->error);
}

/* -- comparing ------------------------------------------------------------
 */

static bool same(const struct ax_tensor *a, const struct ax_tensor *b,
                 double tolerance)
{
    double x, y;

    if (a->dtype != b->dtype || a->rank != b->rank ||
        memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims))
        return false;
    if (ax_dtype_class(a->dtype) != AX_CLASS_REAL)
        return memcmp(a->data, b->data, a->nbytes) == 0;
    for (size_t i = 0; i < ax_tensor_count(a); i++) {
        ax_get_f64(&x, a->dtype, a->data, i, 1);
        ax_get_f64(&y, b->dtype, b->data, i, 1);
        if (!(x == y || (isnan(x) && isnan(y)) ||
              fabs(x - y) <= tolerance * fmax(1, fabs(y))))
            return false;
    }
    return true;
}

static void show(const struct ax_tensor *t)
{
    char buf[160];

    printf("# got %s",
           ax_shape_text(buf, sizeof buf, t->dtype, t->rank, t->dims));
    for (size_t i = 0; i < ax_tensor_count(t) && i < 40; i++) {
        double x;

        ax_get_f64(&x, t->dtype, t->data, i, 1);
        printf(" %.9g", x);
    }
    putchar('\n');
}

static bool solve(struct problem *p, const char *backend)
{
    struct ax_run_options o = {.backend = backend};
    struct ax_tensor out[MAX] = {{0}};
    struct ax_plan *plan = NULL;
    struct ax_err err = {0};
    bool good = true;
    ax_status st = ax_plan_new(&plan, &p->m, &o, &err);

    /* Twice: state and buffers that a plan keeps must not matter. */
    for (int k = 0; k < 2 && st == AX_OK; k++) {
        st = ax_plan_run(plan, out, p->data, &err);
        for (uint32_t i = 0; st == AX_OK && i < p->g.n_outputs; i++) {
            if (!p->error && !same(&out[i], &p->want[i], p->tolerance)) {
                good = false;
                show(&out[i]);
            }
            ax_tensor_free(&out[i]);
        }
    }
    ax_plan_free(plan);
    if (st != AX_OK)
        printf("# %s\n", err.msg);
    return p->error ? st != AX_OK && strstr(err.msg, p->error) != NULL
                    : st == AX_OK && good;
}

static int run_file(const char *path)
{
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    int n = 0;

    if (!f) {
        printf("Bail out! cannot open %s\n", path);
        exit(1);
    }
    while (getline(&line, &room, f) > 0) {
        struct problem p;

        line[strcspn(line, "\n")] = '\0';
        if (!line[0] || line[0] == '#')
            continue;
        for (int b = 0; ax_backends[b]; b++, n++) {
            bool good;

            parse(&p, line);
            good = solve(&p, ax_backends[b]->name);
            tap_failed += !good;
            printf("%sok %d - %s: %.100s\n", good ? "" : "not ", ++tap_run,
                   ax_backends[b]->name, line);
            forget(&p);
        }
    }
    free(line);
    fclose(f);
    return n;
}

int main(int argc, char **argv)
{
    static const char *const files[] = {
        "elementwise.txt", "matrix.txt", "window.txt",    "shape.txt",
        "reduce.txt",      "quant.txt",  "recurrent.txt", "ml.txt",
        "attention.txt",   "loss.txt",   "norm.txt",      "sample.txt",
        "signal.txt",      "select.txt", "train.txt",
    };
    const char *top = getenv("srcdir");
    char path[4096];

    for (int i = 1; i < argc; i++)
        run_file(argv[i]);
    for (size_t i = 0; argc == 1 && i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/tests/data/ops/%s", top ? top : ".",
                 files[i]);
        OK(run_file(path) > 0);
    }
    return tap_done();
}
