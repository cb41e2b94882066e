/* The attributes of every operator, as opsets 7 to 17 have them, and what
 * becomes of them. Source: Operators.md and Changelog.md of ONNX. */
#include <string.h>

#include "formats/onnx/onnx.h"

/* clang-format off */
#define OP(op_)           .op = AX_OP_##op_
#define INT_(name_)       .name = name_, .kind = AX_ATTR_INT
#define FLOAT_(name_)     .name = name_, .kind = AX_ATTR_FLOAT
#define INTS_(name_)      .name = name_, .kind = AX_ATTR_INTS
#define STRING_(name_)    .name = name_, .kind = AX_ATTR_STRING
#define IS(number_)       .has_default = true, .number = number_
#define IS_TEXT(text_)    .has_default = true, .text = text_
#define BECOMES(input_)   .action = ONNX_INPUT, .input = input_
#define ONLY(number_)     .action = ONNX_ONLY, IS(number_)
#define DROPPED           .action = ONNX_DROP
#define SINCE(opset_)     .from = opset_
#define UNTIL(opset_)     .to = opset_
#define REQUIRED          .required = true

#define WINDOW(op_)                                          \
    {OP(op_), STRING_("auto_pad"), IS_TEXT("NOTSET")},       \
    {OP(op_), INTS_("pads"), IS(0)},                         \
    {OP(op_), INTS_("strides"), IS(1)}

static const struct onnx_attr_rule rules[] = {
    WINDOW(AveragePool),
    {OP(AveragePool), INT_("ceil_mode"), IS(0), SINCE(10)},
    {OP(AveragePool), INT_("count_include_pad"), IS(0)},
    {OP(AveragePool), INTS_("kernel_shape"), REQUIRED},
    {OP(BatchNormalization), FLOAT_("epsilon"), IS(1e-5)},
    {OP(BatchNormalization), FLOAT_("momentum"), DROPPED},
    {OP(BatchNormalization), INT_("spatial"), ONLY(1), UNTIL(8)},
    {OP(BatchNormalization), INT_("training_mode"), ONLY(0), SINCE(14)},
    {OP(Cast), INT_("to"), REQUIRED},
    {OP(Clip), FLOAT_("min"), BECOMES(1), UNTIL(10)},
    {OP(Clip), FLOAT_("max"), BECOMES(2), UNTIL(10)},
    {OP(Concat), INT_("axis"), REQUIRED},
    WINDOW(Conv),
    {OP(Conv), INTS_("dilations"), IS(1)},
    {OP(Conv), INT_("group"), IS(1)},
    {OP(Conv), INTS_("kernel_shape")},
    {OP(Dropout), FLOAT_("ratio"), DROPPED, UNTIL(11)},
    {OP(Dropout), INT_("seed"), DROPPED, SINCE(12)},
    {OP(Flatten), INT_("axis"), IS(1)},
    {OP(Gather), INT_("axis"), IS(0)},
    {OP(Gemm), FLOAT_("alpha"), IS(1)},
    {OP(Gemm), FLOAT_("beta"), IS(1)},
    {OP(Gemm), INT_("transA"), IS(0)},
    {OP(Gemm), INT_("transB"), IS(0)},
    {OP(LeakyRelu), FLOAT_("alpha"), IS(0.01)},
    {OP(LogSoftmax), INT_("axis"), IS(-1), SINCE(13)},
    {OP(LogSoftmax), INT_("axis"), UNTIL(12)},
    WINDOW(MaxPool),
    {OP(MaxPool), INT_("ceil_mode"), IS(0), SINCE(10)},
    {OP(MaxPool), INTS_("dilations"), IS(1), SINCE(10)},
    {OP(MaxPool), INTS_("kernel_shape"), REQUIRED},
    {OP(MaxPool), INT_("storage_order"), IS(0), SINCE(8)},
    {OP(Pad), STRING_("mode"), IS_TEXT("constant")},
    {OP(Pad), INTS_("pads"), BECOMES(1), UNTIL(10), REQUIRED},
    {OP(Pad), FLOAT_("value"), BECOMES(2), IS(0), UNTIL(10)},
    {OP(ReduceMax), INTS_("axes")},
    {OP(ReduceMax), INT_("keepdims"), IS(1)},
    {OP(ReduceMean), INTS_("axes")},
    {OP(ReduceMean), INT_("keepdims"), IS(1)},
    {OP(ReduceSum), INTS_("axes"), BECOMES(1), UNTIL(12)},
    {OP(ReduceSum), INT_("keepdims"), IS(1)},
    {OP(ReduceSum), INT_("noop_with_empty_axes"), IS(0), SINCE(13)},
    {OP(Reshape), INT_("allowzero"), IS(0), SINCE(14)},
    {OP(Shape), INT_("end"), SINCE(15)},
    {OP(Shape), INT_("start"), IS(0), SINCE(15)},
    {OP(Slice), INTS_("starts"), BECOMES(1), UNTIL(9), REQUIRED},
    {OP(Slice), INTS_("ends"), BECOMES(2), UNTIL(9), REQUIRED},
    {OP(Slice), INTS_("axes"), BECOMES(3), UNTIL(9)},
    {OP(Softmax), INT_("axis"), IS(-1), SINCE(13)},
    {OP(Softmax), INT_("axis"), UNTIL(12)},
    {OP(Split), INT_("axis"), IS(0)},
    {OP(Split), INTS_("split"), BECOMES(1), UNTIL(12)},
    {OP(Squeeze), INTS_("axes"), BECOMES(1), UNTIL(12)},
    {OP(Transpose), INTS_("perm")},
    {OP(Unsqueeze), INTS_("axes"), BECOMES(1), UNTIL(12), REQUIRED},
};
/* clang-format on */

enum { N_RULES = sizeof rules / sizeof rules[0] };

static bool in_force(const struct onnx_attr_rule *r, ax_op op, int opset)
{
    return r->op == op && opset >= r->from && (!r->to || opset <= r->to);
}

const struct onnx_attr_rule *
onnx_attr_rule(ax_op op, const ProtobufCBinaryData *name, int opset)
{
    for (int i = 0; i < N_RULES; i++)
        if (in_force(&rules[i], op, opset) && onnx_is(name, rules[i].name))
            return &rules[i];
    return NULL;
}

const char *onnx_attr_missing(const Onnx__NodeProto *p, ax_op op, int opset)
{
    for (int i = 0; i < N_RULES; i++) {
        size_t k = 0;

        if (!rules[i].required || !in_force(&rules[i], op, opset))
            continue;
        while (k < p->n_attribute &&
               !onnx_is(&p->attribute[k]->name, rules[i].name))
            k++;
        if (k == p->n_attribute)
            return rules[i].name;
    }
    return NULL;
}
