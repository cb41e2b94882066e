/* TensorFlow Lite files, the format of LiteRT: one graph. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ax/format.h"
#include "formats/tflite/tflite.h"

enum { MODEL_VERSION, MODEL_CODES, MODEL_GRAPHS };
enum { CODE_SMALL, CODE_CUSTOM, CODE_VERSION, CODE_LARGE };
enum { GRAPH_INPUTS = 1, GRAPH_OUTPUTS, GRAPH_OPERATORS };
enum { OP_CODE, OP_IN, OP_OUT, OP_UNION, OP_OPTIONS };

#define OPERANDS_MAX 4096 /* of one operator */

/* What the operator at hand is. */
static ax_status read_code(struct tflite *t, struct flat_vector codes,
                           size_t op, struct ax_err *err)
{
    int64_t k = flat_int(&t->f, op, OP_CODE, 4, 0), small, large;
    size_t code;

    if (k < 0 || (size_t)k >= codes.n)
        return ax_fail(err, AX_EFORMAT, "there is no operator code %" PRId64,
                       k);
    code = flat_element(&t->f, codes, (size_t)k);
    small = flat_int(&t->f, code, CODE_SMALL, 1, 0);
    large = flat_int(&t->f, code, CODE_LARGE, 4, 0);
    t->code = (int)(large > small ? large : small);
    t->op_name = tflite_op_name(t->code);
    if (!t->op_name)
        t->op_name = "?";
    return AX_OK;
}

/* Options of the kind that the operator has, or none. */
static ax_status read_options(struct tflite *t, size_t op, struct ax_err *err)
{
    int64_t kind = (uint8_t)flat_int(&t->f, op, OP_UNION, 1, 0);

    t->options = 0;
    if (kind == 0 || tflite_op_options(t->code) == 0)
        return AX_OK;
    if (kind != tflite_op_options(t->code))
        return ax_fail(err, AX_EFORMAT, "options of kind %" PRId64, kind);
    t->options = flat_table(&t->f, op, OP_OPTIONS);
    return AX_OK;
}

static ax_status read_op(struct tflite *t, struct flat_vector codes,
                         size_t op, struct ax_err *err)
{
    AX_TRY(read_code(t, codes, op, err));
    AX_TRY(read_options(t, op, err));
    t->in = flat_vector(&t->f, op, OP_IN, 4);
    t->out = flat_vector(&t->f, op, OP_OUT, 4);
    if (t->f.bad || t->in.n > OPERANDS_MAX || t->out.n > OPERANDS_MAX)
        return ax_fail(err, AX_EFORMAT, "%s is malformed", t->op_name);
    if (!tflite_out(t, 0))
        return ax_fail(err, AX_EFORMAT, "%s has no output", t->op_name);
    t->a.name = tflite_out(t, 0)->name;
    return tflite_op(t, err);
}

static ax_status read_graph(struct tflite *t, size_t model, size_t graph,
                            struct ax_err *err)
{
    struct flat_vector codes = flat_vector(&t->f, model, MODEL_CODES, 4);
    struct flat_vector in = flat_vector(&t->f, graph, GRAPH_INPUTS, 4);
    struct flat_vector out = flat_vector(&t->f, graph, GRAPH_OUTPUTS, 4);
    struct flat_vector ops = flat_vector(&t->f, graph, GRAPH_OPERATORS, 4);

    AX_TRY(tflite_tensors(t, model, graph, err));
    t->op_name = "the input";
    for (size_t i = 0; i < in.n; i++)
        AX_TRY(tflite_input(t, flat_number(in, i, 4), err));
    AX_TRY(ax_growth_new(&t->growth, t->a.m, err));
    for (size_t i = 0; i < ops.n; i++) {
        size_t op = flat_element(&t->f, ops, i);
        ax_status st = read_op(t, codes, op, err);

        if (st != AX_OK)
            return ax_fail_in(err, "operator %zu", i);
    }
    for (size_t i = 0; i < out.n; i++)
        AX_TRY(tflite_output(t, flat_number(out, i, 4), err));
    if (t->f.bad || out.n == 0)
        return ax_fail(err, AX_EFORMAT, "the tables are malformed");
    return AX_OK;
}

static ax_status read_model(struct tflite *t, struct ax_err *err)
{
    size_t model = flat_root(&t->f), graph;
    struct flat_vector graphs = flat_vector(&t->f, model, MODEL_GRAPHS, 4);
    int64_t version = flat_int(&t->f, model, MODEL_VERSION, 4, 0);

    if (t->f.bad)
        return ax_fail(err, AX_EFORMAT, "the tables are malformed");
    if (version != 3)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "version %" PRId64 " of the format, not 3", version);
    if (graphs.n != 1)
        return ax_fail(err, AX_EUNSUPPORTED, "%zu graphs, not one", graphs.n);
    graph = flat_element(&t->f, graphs, 0);
    return read_graph(t, model, graph, err);
}

static ax_status read_tflite(struct ax_model **out, const unsigned char *data,
                             size_t n, const struct ax_format_options *opt,
                             struct ax_err *err)
{
    struct tflite t = {.f = {data, n, false}};
    ax_status st;

    (void)opt;
    *out = NULL;
    t.a.dtype = AX_F32;
    t.a.last = AX_NONE;
    st = arch_begin(&t.a, "tflite", err);
    if (st == AX_OK)
        st = read_model(&t, err);
    if (t.f.bad && st != AX_ENOMEM) /* whatever came of what was read as 0 */
        st = ax_fail(err, AX_EFORMAT, "the tables are malformed");
    ax_growth_free(t.growth);
    if (st == AX_OK)
        st = arch_finish(&t.a, err);
    if (st == AX_OK)
        *out = t.a.m;
    else
        ax_model_free(t.a.m);
    tflite_tensors_free(&t);
    return st;
}

static bool sniff(const unsigned char *head, size_t n)
{
    return n >= 8 && memcmp(head + 4, "TFL3", 4) == 0;
}

const struct ax_format ax_format_tflite = {
    .name = "tflite",
    .summary = "TensorFlow Lite (LiteRT) files, float32 and quantised",
    .sniff = sniff,
    .read = read_tflite,
};
