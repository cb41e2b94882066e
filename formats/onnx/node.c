/* Nodes: from the spelling of their opset to the one of ax/graph.h. What
 * cannot be told without shapes is left to settle.c. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/onnx/onnx.h"

#define KIND(name) ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__##name

static ax_status no_memory(struct ax_err *err)
{
    return ax_fail(err, AX_ENOMEM, "no memory for a node");
}

/* ---- attributes as they are ---- */

static ax_status copy_array(void *out, const void *from, size_t n,
                            size_t size, struct ax_err *err)
{
    void *p = malloc(n ? n * size : 1);

    if (!p)
        return no_memory(err);
    if (n)
        memcpy(p, from, n * size);
    memcpy(out, &p, sizeof p);
    return AX_OK;
}

static ax_attr_kind kind_of(const Onnx__AttributeProto *p)
{
    switch (p->type) {
    case KIND(INT):
        return AX_ATTR_INT;
    case KIND(FLOAT):
        return AX_ATTR_FLOAT;
    case KIND(STRING):
        return AX_ATTR_STRING;
    case KIND(INTS):
        return AX_ATTR_INTS;
    case KIND(FLOATS):
        return AX_ATTR_FLOATS;
    case KIND(STRINGS):
        return AX_ATTR_STRINGS;
    case KIND(GRAPH):
        return AX_ATTR_GRAPH;
    default:
        return 0; /* no operator that we know has another kind */
    }
}

static ax_status copy_strings(struct ax_attr *a,
                              const Onnx__AttributeProto *p,
                              struct ax_err *err)
{
    a->strings = calloc(p->n_strings + 1, sizeof *a->strings);
    if (!a->strings)
        return no_memory(err);
    a->n = p->n_strings;
    for (size_t i = 0; i < a->n; i++)
        AX_TRY(onnx_text(&a->strings[i], &p->strings[i], err));
    return AX_OK;
}

static ax_status copy_attr(const struct onnx_reader *r, struct ax_attr *a,
                           Onnx__AttributeProto *p, struct ax_err *err)
{
    a->kind = kind_of(p);
    AX_TRY(onnx_text(&a->name, &p->name, err));
    switch (a->kind) {
    case AX_ATTR_INT:
        a->i = p->i;
        return AX_OK;
    case AX_ATTR_FLOAT:
        a->f = p->f;
        return AX_OK;
    case AX_ATTR_STRING:
        return onnx_text(&a->s, &p->s, err);
    case AX_ATTR_FLOATS:
        a->n = p->n_floats;
        return copy_array(&a->floats, p->floats, p->n_floats,
                          sizeof *p->floats, err);
    case AX_ATTR_STRINGS:
        return copy_strings(a, p, err);
    case AX_ATTR_GRAPH:
        return onnx_subgraph(&a->graph, r, p, err);
    default:
        a->n = p->n_ints;
        return copy_array(&a->ints, p->ints, p->n_ints, sizeof *p->ints, err);
    }
}

static bool is_default(const Onnx__AttributeProto *p,
                       const struct onnx_attr_rule *rule)
{
    if (!rule->has_default)
        return false;
    switch (rule->kind) {
    case AX_ATTR_INT:
        return p->i == (int64_t)rule->number;
    case AX_ATTR_FLOAT:
        return p->f == (float)rule->number;
    case AX_ATTR_STRING:
        return onnx_is(&p->s, rule->text);
    default:
        for (size_t i = 0; i < p->n_ints; i++)
            if (p->ints[i] != (int64_t)rule->number)
                return false;
        return true;
    }
}

/* Transposing without perm reverses the dimensions. */
static bool is_reversal(ax_op op, const Onnx__AttributeProto *p)
{
    if (op != AX_OP_Transpose)
        return false;
    for (size_t i = 0; i < p->n_ints; i++)
        if (p->ints[i] != (int64_t)(p->n_ints - 1 - i))
            return false;
    return true;
}

/* ---- attributes that are inputs now ---- */

static ax_status set_input(struct ax_node *n, uint32_t k, uint32_t v,
                           struct ax_err *err)
{
    if (k >= n->n_in) {
        uint32_t *in = realloc(n->in, (k + 1) * sizeof *in);

        if (!in)
            return no_memory(err);
        while (n->n_in <= k)
            in[n->n_in++] = AX_NONE;
        n->in = in;
    }
    if (n->in[k] != AX_NONE)
        return ax_fail(err, AX_EFORMAT,
                       "is given as an attribute and as input %" PRIu32, k);
    n->in[k] = v;
    return AX_OK;
}

static ax_status to_input(struct onnx_reader *r, struct ax_node *n,
                          const Onnx__AttributeProto *p,
                          const struct onnx_attr_rule *rule,
                          struct ax_err *err)
{
    bool list = rule->kind == AX_ATTR_INTS, one = rule->kind == AX_ATTR_INT;
    const int64_t dims[] = {one ? 1 : (int64_t)p->n_ints};
    struct ax_tensor t;
    uint32_t v;

    if (n->n_out == 0 || n->out[0] == AX_NONE)
        return ax_fail(err, AX_EFORMAT, "output 0 is absent");
    AX_TRY(ax_tensor_new(&t, list || one ? AX_I64 : AX_F32, list || one, dims,
                         err));
    if (list && t.nbytes)
        memcpy(t.data, p->ints, t.nbytes);
    else if (one)
        memcpy(t.data, &p->i, sizeof p->i);
    else if (!list)
        memcpy(t.data, &p->f, sizeof p->f);
    AX_TRY(onnx_new_constant(r, &v, n->out[0], rule->name, &t, err));
    return set_input(n, rule->input, v, err);
}

static ax_status attribute(struct onnx_reader *r, struct ax_node *n,
                           Onnx__AttributeProto *p, int opset,
                           struct ax_err *err)
{
    const struct onnx_attr_rule *rule = onnx_attr_rule(n->op, &p->name,
                                                       opset);

    if (!rule)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "is not known in operator set %d", opset);
    if (rule->action == ONNX_REFUSE)
        return ax_fail(err, AX_EUNSUPPORTED, "is not supported");
    if (p->has_ref_attr_name)
        return ax_fail(err, AX_EFORMAT,
                       "refers to a function, which this node is not in");
    if (kind_of(p) != rule->kind)
        return ax_fail(err, AX_EFORMAT, "is of a wrong kind, %d",
                       (int)p->type);
    if (is_default(p, rule) || is_reversal(n->op, p) ||
        rule->action == ONNX_DROP)
        return AX_OK;
    if (rule->action == ONNX_ONLY)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "is %" PRId64 ", only %.0f is supported", p->i,
                       rule->number);
    if (rule->action == ONNX_INPUT)
        return to_input(r, n, p, rule, err);
    return copy_attr(r, &n->attrs[n->n_attrs++], p, err);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct ax_attr *)a)->name,
                  ((const struct ax_attr *)b)->name);
}

static int by_proto_name(const void *a, const void *b)
{
    const ProtobufCBinaryData *x = &(*(Onnx__AttributeProto *const *)a)->name,
                              *y = &(*(Onnx__AttributeProto *const *)b)->name;
    int c = memcmp(x->data ? x->data : (const uint8_t *)"",
                   y->data ? y->data : (const uint8_t *)"",
                   x->len < y->len ? x->len : y->len);

    return c ? c : (x->len > y->len) - (x->len < y->len);
}

static ax_status attributes(struct onnx_reader *r, struct ax_node *n,
                            Onnx__NodeProto *p, int opset, struct ax_err *err)
{
    const char *missing = onnx_attr_missing(p, n->op, opset);

    if (missing)
        return ax_fail(err, AX_EFORMAT, "attribute '%s' is missing", missing);
    if (!p->n_attribute)
        return AX_OK;
    qsort(p->attribute, p->n_attribute, sizeof *p->attribute, by_proto_name);
    n->attrs = calloc(p->n_attribute, sizeof *n->attrs);
    if (!n->attrs)
        return no_memory(err);
    for (size_t i = 0; i < p->n_attribute; i++) {
        Onnx__AttributeProto *a = p->attribute[i];

        if (i && by_proto_name(&p->attribute[i - 1], &p->attribute[i]) == 0)
            return ax_fail(err, AX_EFORMAT, "attribute '%s' is given twice",
                           onnx_show(&a->name).s);
        if (attribute(r, n, a, opset, err) != AX_OK)
            return r->depth > ONNX_DEPTH_NAMED
                       ? err->code
                       : ax_fail_in(err, "attribute '%s'",
                                    onnx_show(&a->name).s);
    }
    return AX_OK;
}

/* ---- operators that need more than the table ---- */

/* A Constant is no node here, but a tensor. */
static ax_status constant_tensor(struct onnx_reader *r, struct ax_tensor *t,
                                 Onnx__AttributeProto *a, struct ax_err *err)
{
    const struct {
        const char *name;
        int type;
        ax_dtype dtype;
        int rank;
        const void *data;
        size_t n;
    } forms[] = {
        {"value_float", KIND(FLOAT), AX_F32, 0, &a->f, 1},
        {"value_floats", KIND(FLOATS), AX_F32, 1, a->floats, a->n_floats},
        {"value_int", KIND(INT), AX_I64, 0, &a->i, 1},
        {"value_ints", KIND(INTS), AX_I64, 1, a->ints, a->n_ints},
    };

    if (onnx_is(&a->name, "value") && a->type == KIND(TENSOR) && a->t)
        return onnx_tensor(t, a->t, r->opt->folder, err);
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        if (onnx_is(&a->name, forms[i].name) &&
            (int)a->type == forms[i].type) {
            const int64_t dims[] = {(int64_t)forms[i].n};

            AX_TRY(
                ax_tensor_new(t, forms[i].dtype, forms[i].rank, dims, err));
            if (t->nbytes)
                memcpy(t->data, forms[i].data, t->nbytes);
            return AX_OK;
        }
    return ax_fail(err, AX_EUNSUPPORTED,
                   "attribute '%s' of kind %d is not supported",
                   onnx_show(&a->name).s, (int)a->type);
}

static ax_status constant(struct onnx_reader *r, Onnx__NodeProto *p,
                          struct ax_err *err)
{
    struct ax_tensor t;
    uint32_t v;

    if (p->n_input || p->n_output != 1 || p->n_attribute != 1)
        return ax_fail(err, AX_EFORMAT,
                       "has %zu inputs, %zu outputs and %zu attributes, "
                       "wants 0, 1 and 1",
                       p->n_input, p->n_output, p->n_attribute);
    v = onnx_value(r, &p->output[0]);
    if (v == AX_NONE)
        return ax_fail(err, AX_EFORMAT, "output 0 is absent");
    AX_TRY(constant_tensor(r, &t, p->attribute[0], err));
    return onnx_set_tensor(r, v, &t, err);
}

/* The value of ConstantOfShape is a tensor, which attributes are not here:
 * a scalar expanded to the shape is the same. Zero in float32, the default,
 * stays as it is. */
static ax_status constant_of_shape(struct onnx_reader *r, struct ax_node *n,
                                   Onnx__NodeProto *p, struct ax_err *err)
{
    static const float zero = 0;
    Onnx__AttributeProto *a = p->n_attribute ? p->attribute[0] : NULL;
    struct ax_tensor t;
    uint32_t shape, v;

    if (!a)
        return AX_OK;
    if (p->n_attribute > 1 || !onnx_is(&a->name, "value") ||
        a->type != KIND(TENSOR) || !a->t)
        return ax_fail(err, AX_EFORMAT, "wants one attribute, 'value'");
    AX_TRY(onnx_tensor(&t, a->t, r->opt->folder, err));
    if (ax_tensor_count(&t) != 1 || n->n_in != 1 || n->n_out != 1 ||
        n->out[0] == AX_NONE) {
        ax_tensor_free(&t);
        return ax_fail(err, AX_EFORMAT,
                       "wants one input, one output and a value of one "
                       "element");
    }
    t.rank = 0;
    t.dims[0] = 0;
    if (t.dtype == AX_F32 && memcmp(t.data, &zero, sizeof zero) == 0) {
        ax_tensor_free(&t);
        return AX_OK;
    }
    shape = n->in[0];
    AX_TRY(onnx_new_constant(r, &v, n->out[0], "value", &t, err));
    n->op = AX_OP_Expand;
    n->in[0] = v;
    return set_input(n, 1, shape, err);
}

/* Below opset 13 Softmax takes the dimensions from axis to the last as one.
 * Whether that is one dimension anyway is known when shapes are. */
static ax_status old_softmax(struct onnx_reader *r, struct ax_node *n,
                             struct ax_err *err)
{
    if (r->opset >= 13)
        return AX_OK;
    if (!n->n_attrs && !n->attrs)
        n->attrs = calloc(1, sizeof *n->attrs);
    if (!n->attrs)
        return no_memory(err);
    if (!n->n_attrs)
        n->attrs[n->n_attrs++] = (struct ax_attr){.kind = AX_ATTR_INT,
                                                  .i = 1};
    free(n->attrs[0].name);
    n->attrs[0].name = strdup(ONNX_AXIS_OLD);
    return n->attrs[0].name ? AX_OK : no_memory(err);
}

/* In inference Dropout passes its input on: neither the ratio nor a mask
 * that nobody reads means anything. */
static ax_status dropout(struct onnx_reader *r, struct ax_node *n,
                         struct ax_err *err)
{
    if (n->n_in > 2 && n->in[2] != AX_NONE) {
        uint32_t i = r->g->values[n->in[2]].tensor;
        const struct ax_tensor *t = i == AX_NONE ? NULL : &r->m->tensors[i];

        if (!t || t->dtype != AX_BOOL || t->nbytes != 1 ||
            *(const unsigned char *)t->data)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "training_mode is not a constant false");
    }
    if (n->n_in > 1)
        n->n_in = 1;
    if (n->n_out == 2 && !r->used[n->out[1]])
        n->n_out = 1;
    return AX_OK;
}

/* Takes what the attribute owns, but for its name, also on failure. */
static ax_status add_attr(struct ax_node *n, const struct ax_attr *a,
                          struct ax_err *err)
{
    struct ax_attr *more = realloc(n->attrs, (n->n_attrs + 1) * sizeof *more);

    if (!more) {
        free(a->ints);
        free(a->s);
        return no_memory(err);
    }
    n->attrs = more;
    more[n->n_attrs] = *a;
    more[n->n_attrs++].name = strdup(a->name);
    return more[n->n_attrs - 1].name ? AX_OK : no_memory(err);
}

static ax_status add_word(struct ax_node *n, char *name, char *word,
                          struct ax_err *err)
{
    const struct ax_attr a = {
        .name = name, .kind = AX_ATTR_STRING, .s = strdup(word)};

    if (!a.s)
        return no_memory(err);
    return add_attr(n, &a, err);
}

/* Momentum has a meaning in training alone, and only that has more than one
 * output. */
static ax_status batch_norm(struct ax_node *n, const Onnx__NodeProto *p,
                            struct ax_err *err)
{
    struct ax_attr a = {.kind = AX_ATTR_FLOAT, .f = 0.9f};
    char momentum[] = "momentum";

    if (!ax_node_int(n, "training_mode", 0))
        return n->n_out > 1
                   ? ax_fail(err, AX_EUNSUPPORTED,
                             "has %" PRIu32 " outputs, of which all but one "
                             "are for training",
                             n->n_out)
                   : AX_OK;
    for (size_t i = 0; i < p->n_attribute; i++)
        if (onnx_is(&p->attribute[i]->name, momentum))
            a.f = p->attribute[i]->f;
    if (a.f == 0.9f)
        return AX_OK;
    a.name = momentum;
    return add_attr(n, &a, err);
}

/* Upsample is Resize with its scales as input 2, no region, and the
 * coordinates of its time. */
static ax_status upsample(struct ax_node *n, struct ax_err *err)
{
    char how[] = "coordinate_transformation_mode",
         asymmetric[] = "asymmetric", nearest[] = "nearest_mode",
         down[] = "floor";
    uint32_t scales;

    if (n->n_in != 2)
        return ax_fail(err, AX_EFORMAT, "has %" PRIu32 " inputs, wants 2",
                       n->n_in);
    scales = n->in[1];
    n->in[1] = AX_NONE;
    AX_TRY(set_input(n, 2, scales, err));
    n->op = AX_OP_Resize;
    AX_TRY(add_word(n, how, asymmetric, err));
    return add_word(n, nearest, down, err);
}

/* Axes are an attribute here, as up to opset 17, where they are constant. */
static ax_status reduction(struct onnx_reader *r, struct ax_node *n,
                           struct ax_err *err)
{
    struct ax_attr a = {.kind = AX_ATTR_INTS};
    char axes[] = "axes";
    const struct ax_tensor *t;

    if (n->n_in < 2 || n->in[1] == AX_NONE)
        return AX_OK;
    if (r->opset < 18)
        return ax_fail(err, AX_EFORMAT, "has %" PRIu32 " inputs, wants 1",
                       n->n_in);
    if (r->g->values[n->in[1]].tensor == AX_NONE)
        return AX_OK;
    t = &r->m->tensors[r->g->values[n->in[1]].tensor];
    if (n->n_in > 2 || t->dtype != AX_I64 || t->rank != 1 || !t->nbytes)
        return AX_OK;
    a.name = axes;
    a.n = (size_t)t->dims[0];
    AX_TRY(copy_array(&a.ints, t->data, a.n, sizeof *a.ints, err));
    AX_TRY(add_attr(n, &a, err));
    n->n_in = 1;
    return AX_OK;
}

/* How many pieces there are is also told by the outputs. */
static ax_status split(struct onnx_reader *r, struct ax_node *n,
                       struct ax_err *err)
{
    int64_t pieces = ax_node_int(n, "num_outputs", n->n_out);

    (void)r;
    if (pieces != n->n_out)
        return ax_fail(err, AX_EFORMAT,
                       "num_outputs is %" PRId64 ", but it has %" PRIu32
                       " outputs",
                       pieces, n->n_out);
    if (ax_node_attr(n, "num_outputs") && n->n_in > 1 && n->in[1] != AX_NONE)
        return ax_fail(err, AX_EFORMAT, "has both num_outputs and sizes");
    return AX_OK;
}

/* The axis of DFT was an attribute with another default. */
static ax_status dft(struct onnx_reader *r, struct ax_node *n,
                     const Onnx__NodeProto *p, struct ax_err *err)
{
    struct ax_tensor t;
    int64_t axis = 1;
    uint32_t v;

    if (r->opset >= 20)
        return AX_OK;
    if (n->n_in > 2 || n->n_out == 0 || n->out[0] == AX_NONE)
        return ax_fail(err, AX_EFORMAT,
                       "wants at most 2 inputs, and an "
                       "output");
    for (size_t i = 0; i < p->n_attribute; i++)
        if (onnx_is(&p->attribute[i]->name, "axis"))
            axis = p->attribute[i]->i;
    AX_TRY(ax_tensor_new(&t, AX_I64, 0, NULL, err));
    memcpy(t.data, &axis, sizeof axis);
    AX_TRY(onnx_new_constant(r, &v, n->out[0], "axis", &t, err));
    return set_input(n, 2, v, err);
}

/* The modes of GridSample were named after images, "bilinear" the default,
 * which is left out. */
static ax_status grid_sample(const struct onnx_reader *r, struct ax_node *n,
                             struct ax_err *err)
{
    for (uint32_t i = 0; r->opset < 20 && i < n->n_attrs; i++) {
        if (strcmp(n->attrs[i].name, "mode") != 0)
            continue;
        if (strcmp(n->attrs[i].s, "bicubic") == 0)
            memcpy(n->attrs[i].s, "cubic", sizeof "cubic");
        else if (strcmp(n->attrs[i].s, "nearest") != 0)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "attribute 'mode': is '%.80s'", n->attrs[i].s);
    }
    return AX_OK;
}

static ax_status roi_align(const struct onnx_reader *r, struct ax_node *n,
                           struct ax_err *err)
{
    char how[] = "coordinate_transformation_mode",
         plain[] = "output_half_pixel";

    return r->opset < 16 ? add_word(n, how, plain, err) : AX_OK;
}

static ax_status special(struct onnx_reader *r, struct ax_node *n,
                         Onnx__NodeProto *p, struct ax_err *err)
{
    switch (n->op) {
    case AX_OP_ConstantOfShape:
        return constant_of_shape(r, n, p, err);
    case AX_OP_Softmax:
    case AX_OP_LogSoftmax:
    case AX_OP_Hardmax:
        return old_softmax(r, n, err);
    case AX_OP_BatchNormalization:
        return batch_norm(n, p, err);
    case AX_OP_DFT:
        return dft(r, n, p, err);
    case AX_OP_Dropout:
        return dropout(r, n, err);
    case AX_OP_GridSample:
        return grid_sample(r, n, err);
    case AX_OP_RoiAlign:
        return roi_align(r, n, err);
    case AX_OP_Upsample:
        return upsample(n, err);
    case AX_OP_Split:
        return split(r, n, err);
    case AX_OP_ReduceL1:
    case AX_OP_ReduceL2:
    case AX_OP_ReduceLogSum:
    case AX_OP_ReduceLogSumExp:
    case AX_OP_ReduceMax:
    case AX_OP_ReduceMean:
    case AX_OP_ReduceMin:
    case AX_OP_ReduceProd:
    case AX_OP_ReduceSumSquare:
        return reduction(r, n, err);
    default:
        return AX_OK;
    }
}

/* ---- a node ---- */

/* Those whose graphs say what inputs and outputs mean by their places. */
static bool has_graphs(ax_op op)
{
    return op == AX_OP_If || op == AX_OP_Loop || op == AX_OP_Scan;
}

/* Absent values at the end are no values, but where places count. */
static ax_status values(struct onnx_reader *r, uint32_t **out, uint32_t *n,
                        const ProtobufCBinaryData *names, size_t n_names,
                        bool all, struct ax_err *err)
{
    while (!all && n_names && names[n_names - 1].len == 0)
        n_names--;
    *out = malloc((n_names ? n_names : 1) * sizeof **out);
    if (!*out)
        return no_memory(err);
    for (*n = 0; *n < n_names; ++*n)
        (*out)[*n] = onnx_value(r, &names[*n]);
    return AX_OK;
}

static bool is_zipmap(const Onnx__NodeProto *p)
{
    return onnx_is(&p->domain, "ai.onnx.ml") &&
           onnx_is(&p->op_type, "ZipMap");
}

/* The operator, and the opset of its domain. */
static ax_status operator_of(ax_op *out, int *opset,
                             const struct onnx_reader *r,
                             const Onnx__NodeProto *p, struct ax_err *err)
{
    const enum onnx_domain d = onnx_domain_of(&p->domain);
    bool onnx = d == ONNX_STANDARD;
    struct onnx_shown domain = onnx_show(&p->domain);
    struct onnx_shown type = onnx_show(&p->op_type);
    char full[sizeof domain.s + sizeof type.s];

    *opset = d == ONNX_DOMAINS ? 0 : r->opsets[d];
    snprintf(full, sizeof full, "%s%s%s", onnx ? "" : domain.s,
             onnx ? "" : ".", type.s);
    *out = is_zipmap(p) ? AX_OP_Identity : ax_op_by_name(full);
    if (onnx && onnx_is(&p->op_type, "Scatter") && *opset >= 9 &&
        *opset <= 10) { /* its name before it was ScatterElements */
        *out = AX_OP_ScatterElements;
        return AX_OK;
    }
    if (*out == AX_OP_NONE || !onnx_is(&p->op_type, type.s) ||
        (!is_zipmap(p) && !onnx_reads(*out, *opset)))
        return ax_fail(err, AX_EUNSUPPORTED,
                       "operator '%s' is not supported in operator set %d",
                       full, *opset);
    return AX_OK;
}

/* ---- ZipMap ---- */

/* The labels in one line, with commas between them. NULL: no memory. */
static char *label_line(const Onnx__AttributeProto *a)
{
    size_t n = a->n_ints + a->n_strings, size = 0;
    char *line = NULL;
    FILE *f = open_memstream(&line, &size);

    for (size_t i = 0; f && i < n; i++) {
        if (i)
            fputc(',', f);
        if (a->n_ints)
            fprintf(f, "%" PRId64, a->ints[i]);
        else
            fwrite(a->strings[i].data, 1, a->strings[i].len, f);
    }
    if (f && fclose(f) != 0) {
        free(line);
        line = NULL;
    }
    return line;
}

/* A ZipMap makes a map from labels to numbers of each row. Here the rows
 * stay a matrix, and the labels of its columns become metadata. */
static ax_status zipmap(struct onnx_reader *r, const struct ax_node *n,
                        const Onnx__NodeProto *p, struct ax_err *err)
{
    const Onnx__AttributeProto *a = p->n_attribute ? p->attribute[0] : NULL;
    char key[256];

    if (p->n_attribute != 1 || n->n_out != 1 || n->out[0] == AX_NONE ||
        !((onnx_is(&a->name, "classlabels_int64s") && a->type == KIND(INTS) &&
           !a->n_strings) ||
          (onnx_is(&a->name, "classlabels_strings") &&
           a->type == KIND(STRINGS) && !a->n_ints)))
        return ax_fail(err, AX_EFORMAT,
                       "wants one output and one attribute, "
                       "classlabels_int64s or classlabels_strings");
    for (size_t i = 0; i < a->n_strings; i++)
        if (a->strings[i].len &&
            memchr(a->strings[i].data, 0, a->strings[i].len))
            return ax_fail(err, AX_EFORMAT, "a label contains a zero byte");
    snprintf(key, sizeof key, "labels.%s", r->g->values[n->out[0]].name);
    return onnx_add_meta(r->m, key, label_line(a), err);
}

static ax_status read_node(struct onnx_reader *r, struct ax_node *n,
                           Onnx__NodeProto *p, struct ax_err *err)
{
    int opset;

    AX_TRY(operator_of(&n->op, &opset, r, p, err));
    AX_TRY(onnx_text(&n->name, &p->name, err));
    AX_TRY(values(r, &n->in, &n->n_in, p->input, p->n_input,
                  has_graphs(n->op), err));
    AX_TRY(values(r, &n->out, &n->n_out, p->output, p->n_output,
                  has_graphs(n->op), err));
    if (is_zipmap(p))
        return zipmap(r, n, p, err);
    if (n->op != AX_OP_ConstantOfShape)
        AX_TRY(attributes(r, n, p, opset, err));
    AX_TRY(special(r, n, p, err));
    if (n->n_attrs > 1)
        qsort(n->attrs, n->n_attrs, sizeof *n->attrs, by_name);
    return AX_OK;
}

ax_status onnx_node(struct onnx_reader *r, Onnx__NodeProto *p,
                    struct ax_err *err)
{
    struct ax_node *n = &r->g->nodes[r->g->n_nodes];

    if (onnx_is(&p->op_type, "Constant") &&
        (p->domain.len == 0 || onnx_is(&p->domain, "ai.onnx")))
        return constant(r, p, err);
    /* An unfinished node is the graph's too, which frees it. */
    if (read_node(r, n, p, err) != AX_OK) {
        r->g->n_nodes++;
        return err->code;
    }
    r->g->n_nodes++;
    return r->opset < 7 ? onnx_align(r, p, err) : AX_OK;
}
