/* Operators that need more than the table of attr.c to come into the normal
 * form of ax/graph.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/onnx/onnx.h"

static ax_status no_memory(struct ax_err *err)
{
    return ax_fail(err, AX_ENOMEM, "no memory for a node");
}

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

ax_status onnx_constant(struct onnx_reader *r, Onnx__NodeProto *p,
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
    return onnx_set_input(n, 1, shape, err);
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

/* In inference Dropout passes its input on: neither the ratio, a seed nor a
 * mask that nobody reads means anything. In training, or where an input says
 * which it is, they do. */
static void dropout(struct onnx_reader *r, struct ax_node *n)
{
    if (n->n_in > 2 && n->in[2] != AX_NONE) {
        uint32_t i = r->g->values[n->in[2]].tensor;
        const struct ax_tensor *t = i == AX_NONE ? NULL : &r->m->tensors[i];

        if (!t || t->dtype != AX_BOOL || t->nbytes != 1 ||
            *(const unsigned char *)t->data)
            return;
    }
    for (uint32_t k = 0; k < n->n_attrs; k++)
        free(n->attrs[k].name); /* of the seed, an integer */
    n->n_attrs = 0;
    if (n->n_in > 1)
        n->n_in = 1;
    if (n->n_out == 2 && (n->out[1] == AX_NONE || !r->used[n->out[1]]))
        n->n_out = 1;
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
    AX_TRY(onnx_set_input(n, 2, scales, err));
    n->op = AX_OP_Resize;
    AX_TRY(add_word(n, how, asymmetric, err));
    return add_word(n, nearest, down, err);
}

/* The region is looked at in one mode alone; opset 11 could leave out
 * nothing, so that scales without elements stand where sizes count. */
static void resize(const struct onnx_reader *r, struct ax_node *n)
{
    static const char crop[] = "tf_crop_and_resize";
    const char *how = ax_node_string(n, "coordinate_transformation_mode", "");

    if (n->n_in > 1 && strcmp(how, crop) != 0)
        n->in[1] = AX_NONE;
    if (n->n_in > 3 && n->in[3] != AX_NONE && n->in[2] != AX_NONE) {
        uint32_t t = r->g->values[n->in[2]].tensor;

        if (t != AX_NONE && r->m->tensors[t].nbytes == 0)
            n->in[2] = AX_NONE;
    }
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
    AX_TRY(onnx_copy_array(&a.ints, t->data, a.n, sizeof *a.ints, err));
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
    return onnx_set_input(n, 2, v, err);
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

ax_status onnx_special(struct onnx_reader *r, struct ax_node *n,
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
        dropout(r, n);
        return AX_OK;
    case AX_OP_GridSample:
        return grid_sample(r, n, err);
    case AX_OP_Resize:
        resize(r, n);
        return AX_OK;
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
