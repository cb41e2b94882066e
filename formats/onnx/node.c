/* Nodes: from the spelling of their opset to the one of ax/graph.h. What
 * cannot be told without shapes is left to settle.c. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/onnx/onnx.h"

static ax_status no_memory(struct ax_err *err)
{
    return ax_fail(err, AX_ENOMEM, "no memory for a node");
}

/* ---- attributes as they are ---- */

ax_status onnx_copy_array(void *out, const void *from, size_t n, size_t size,
                          struct ax_err *err)
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
        return onnx_copy_array(&a->floats, p->floats, p->n_floats,
                               sizeof *p->floats, err);
    case AX_ATTR_STRINGS:
        return copy_strings(a, p, err);
    case AX_ATTR_GRAPH:
        return onnx_subgraph(&a->graph, r, p, err);
    default:
        a->n = p->n_ints;
        return onnx_copy_array(&a->ints, p->ints, p->n_ints, sizeof *p->ints,
                               err);
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

ax_status onnx_set_input(struct ax_node *n, uint32_t k, uint32_t v,
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
    return onnx_set_input(n, rule->input, v, err);
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
    size_t n = a->n_ints + a->n_strings, size = 1, used = 0;
    char *line;

    /* A number has up to 20 characters; each label has a comma or the NUL. */
    size += 21 * a->n_ints;
    for (size_t i = 0; i < a->n_strings; i++)
        size += a->strings[i].len + 1;
    line = malloc(size);
    if (!line)
        return NULL;
    line[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        if (i)
            line[used++] = ',';
        if (a->n_ints) {
            used += (size_t)snprintf(line + used, size - used, "%" PRId64,
                                     a->ints[i]);
            continue;
        }
        if (a->strings[i].len)
            memcpy(line + used, a->strings[i].data, a->strings[i].len);
        used += a->strings[i].len;
        line[used] = '\0';
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
    AX_TRY(onnx_special(r, n, p, err));
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
        return onnx_constant(r, p, err);
    /* An unfinished node is the graph's too, which frees it. */
    if (read_node(r, n, p, err) != AX_OK) {
        r->g->n_nodes++;
        return err->code;
    }
    r->g->n_nodes++;
    return r->opset < 7 ? onnx_align(r, p, err) : AX_OK;
}
