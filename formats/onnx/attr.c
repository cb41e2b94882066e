/* The operators that we read, and their attributes, as opsets 6 to 28 have
 * them, and what becomes of these. Source: Operators.md and Changelog.md of
 * ONNX. */
#include <string.h>

#include "formats/onnx/onnx.h"

/* clang-format off */
#define OP(op_)           .op = AX_OP_##op_
#define INT_(name_)       .name = name_, .kind = AX_ATTR_INT
#define FLOAT_(name_)     .name = name_, .kind = AX_ATTR_FLOAT
#define INTS_(name_)      .name = name_, .kind = AX_ATTR_INTS
#define STRING_(name_)    .name = name_, .kind = AX_ATTR_STRING
#define FLOATS_(name_)    .name = name_, .kind = AX_ATTR_FLOATS
#define STRINGS_(name_)   .name = name_, .kind = AX_ATTR_STRINGS
#define GRAPH_(name_)     .name = name_, .kind = AX_ATTR_GRAPH
#define IS(number_)       .has_default = true, .number = number_
#define IS_TEXT(text_)    .has_default = true, .text = text_
#define BECOMES(input_)   .action = ONNX_INPUT, .input = input_
#define ONLY(number_)     .action = ONNX_ONLY, IS(number_)
#define DROPPED           .action = ONNX_DROP
#define REFUSED           .action = ONNX_REFUSE
#define SINCE(opset_)     .from = opset_
#define UNTIL(opset_)     .to = opset_
#define REQUIRED          .required = true

#define WINDOW(op_)                                          \
    {OP(op_), STRING_("auto_pad"), IS_TEXT("NOTSET")},       \
    {OP(op_), INTS_("pads"), IS(0)},                         \
    {OP(op_), INTS_("strides"), IS(1)}

#define REDUCE(op_)                                          \
    {OP(op_), INTS_("axes"), UNTIL(17)},                     \
    {OP(op_), INT_("keepdims"), IS(1)},                      \
    {OP(op_), INT_("noop_with_empty_axes"), IS(0), SINCE(18)}

#define ARG(op_)                                             \
    {OP(op_), INT_("axis"), IS(0)},                          \
    {OP(op_), INT_("keepdims"), IS(1)},                      \
    {OP(op_), INT_("select_last_index"), IS(0), SINCE(12)}

#define RECURRENT(op_)                                       \
    {OP(op_), FLOATS_("activation_alpha")},                  \
    {OP(op_), FLOATS_("activation_beta")},                   \
    {OP(op_), STRINGS_("activations")},                      \
    {OP(op_), FLOAT_("clip")},                               \
    {OP(op_), STRING_("direction"), IS_TEXT("forward")},     \
    {OP(op_), INT_("hidden_size")},                          \
    {OP(op_), INT_("layout"), IS(0), SINCE(14)}

#define TREES(op_)                                           \
    {OP(op_), FLOATS_("base_values")},                       \
    {OP(op_), FLOATS_("base_values_as_tensor"), REFUSED},    \
    {OP(op_), INTS_("nodes_falsenodeids"), REQUIRED},        \
    {OP(op_), INTS_("nodes_featureids"), REQUIRED},          \
    {OP(op_), FLOATS_("nodes_hitrates"), DROPPED},           \
    {OP(op_), FLOATS_("nodes_hitrates_as_tensor"), REFUSED}, \
    {OP(op_), INTS_("nodes_missing_value_tracks_true"), IS(0)}, \
    {OP(op_), STRINGS_("nodes_modes"), REQUIRED},            \
    {OP(op_), INTS_("nodes_nodeids"), REQUIRED},             \
    {OP(op_), INTS_("nodes_treeids"), REQUIRED},             \
    {OP(op_), INTS_("nodes_truenodeids"), REQUIRED},         \
    {OP(op_), FLOATS_("nodes_values_as_tensor"), REFUSED},   \
    {OP(op_), FLOATS_("nodes_values")},            \
    {OP(op_), STRING_("post_transform"), IS_TEXT("NONE")}

/* Where the second operand lies before opset 7: onnx_align looks at it. */
#define ALIGNED(op_)                                         \
    {OP(op_), INT_("axis"), DROPPED, UNTIL(6)},              \
    {OP(op_), INT_("broadcast"), DROPPED, UNTIL(6)}

static const struct onnx_attr_rule rules[] = {
    ALIGNED(Add),
    ALIGNED(And),
    ALIGNED(Div),
    ALIGNED(Equal),
    ALIGNED(Greater),
    ALIGNED(Less),
    ALIGNED(Mul),
    ALIGNED(Or),
    ALIGNED(Pow),
    ALIGNED(Sub),
    ALIGNED(Xor),
    ARG(ArgMax),
    ARG(ArgMin),
    WINDOW(AveragePool),
    {OP(AveragePool), INT_("ceil_mode"), IS(0), SINCE(10)},
    {OP(AveragePool), INT_("count_include_pad"), IS(0)},
    {OP(AveragePool), INTS_("dilations"), IS(1), SINCE(19)},
    {OP(AveragePool), INTS_("kernel_shape"), REQUIRED},
    {OP(BatchNormalization), FLOAT_("epsilon"), IS(1e-5)},
    {OP(BatchNormalization), FLOAT_("momentum"), DROPPED},
    {OP(BatchNormalization), INT_("is_test"), ONLY(1), UNTIL(6), REQUIRED},
    {OP(BatchNormalization), INT_("spatial"), ONLY(1), UNTIL(8)},
    {OP(BatchNormalization), INT_("training_mode"), IS(0), SINCE(14)},
    {OP(BitShift), STRING_("direction"), REQUIRED},
    /* round_mode and saturate speak of types of 8 bits. */
    {OP(Cast), STRING_("round_mode"), IS_TEXT("up"), SINCE(24)},
    {OP(Cast), INT_("saturate"), IS(1), SINCE(19)},
    {OP(Cast), INT_("to"), REQUIRED},
    {OP(CastLike), STRING_("round_mode"), IS_TEXT("up"), SINCE(24)},
    {OP(CastLike), INT_("saturate"), IS(1), SINCE(19)},
    {OP(Celu), FLOAT_("alpha"), IS(1)},
    {OP(Clip), FLOAT_("min"), BECOMES(1), UNTIL(10)},
    {OP(Clip), FLOAT_("max"), BECOMES(2), UNTIL(10)},
    {OP(Compress), INT_("axis")},
    {OP(Concat), INT_("axis"), REQUIRED},
    WINDOW(Conv),
    {OP(Conv), INTS_("dilations"), IS(1)},
    {OP(Conv), INT_("group"), IS(1)},
    {OP(Conv), INTS_("kernel_shape")},
    WINDOW(ConvTranspose),
    {OP(ConvTranspose), INTS_("dilations"), IS(1)},
    {OP(ConvTranspose), INT_("group"), IS(1)},
    {OP(ConvTranspose), INTS_("kernel_shape")},
    {OP(ConvTranspose), INTS_("output_padding"), IS(0)},
    {OP(ConvTranspose), INTS_("output_shape")},
    {OP(CumSum), INT_("exclusive"), IS(0)},
    {OP(CumSum), INT_("reverse"), IS(0)},
    {OP(DepthToSpace), INT_("blocksize"), REQUIRED},
    {OP(DepthToSpace), STRING_("mode"), IS_TEXT("DCR"), SINCE(11)},
    {OP(Dropout), INT_("is_test"), ONLY(1), UNTIL(6), REQUIRED},
    {OP(Dropout), FLOAT_("ratio"), DROPPED, UNTIL(11)},
    {OP(Dropout), INT_("seed"), SINCE(12)},
    {OP(Elu), FLOAT_("alpha"), IS(1)},
    {OP(EyeLike), INT_("dtype")},
    {OP(EyeLike), INT_("k"), IS(0)},
    {OP(Flatten), INT_("axis"), IS(1)},
    {OP(Gather), INT_("axis"), IS(0)},
    {OP(GatherElements), INT_("axis"), IS(0)},
    {OP(GatherND), INT_("batch_dims"), IS(0), SINCE(12)},
    {OP(Gelu), STRING_("approximate"), IS_TEXT("none")},
    {OP(Gemm), FLOAT_("alpha"), IS(1)},
    {OP(Gemm), FLOAT_("beta"), IS(1)},
    {OP(Gemm), INT_("broadcast"), DROPPED, UNTIL(6)},
    {OP(Gemm), INT_("transA"), IS(0)},
    {OP(Gemm), INT_("transB"), IS(0)},
    {OP(GlobalLpPool), INT_("p"), IS(2)},
    {OP(GroupNormalization), FLOAT_("epsilon"), IS(1e-5)},
    {OP(GroupNormalization), INT_("num_groups"), REQUIRED},
    {OP(GroupNormalization), INT_("stash_type"), ONLY(1)},
    {OP(HardSigmoid), FLOAT_("alpha"), IS(0.2)},
    {OP(HardSigmoid), FLOAT_("beta"), IS(0.5)},
    {OP(Hardmax), INT_("axis"), IS(-1), SINCE(13)},
    {OP(Hardmax), INT_("axis"), UNTIL(12)},
    {OP(InstanceNormalization), FLOAT_("epsilon"), IS(1e-5)},
    {OP(IsInf), INT_("detect_negative"), IS(1)},
    {OP(IsInf), INT_("detect_positive"), IS(1)},
    {OP(LRN), FLOAT_("alpha"), IS(1e-4)},
    {OP(LRN), FLOAT_("beta"), IS(0.75)},
    {OP(LRN), FLOAT_("bias"), IS(1)},
    {OP(LRN), INT_("size"), REQUIRED},
    {OP(LayerNormalization), INT_("axis"), IS(-1)},
    {OP(LayerNormalization), FLOAT_("epsilon"), IS(1e-5)},
    {OP(LayerNormalization), INT_("stash_type"), ONLY(1)},
    {OP(LeakyRelu), FLOAT_("alpha"), IS(0.01)},
    {OP(LogSoftmax), INT_("axis"), IS(-1), SINCE(13)},
    {OP(LogSoftmax), INT_("axis"), UNTIL(12)},
    WINDOW(LpPool),
    {OP(LpPool), INT_("ceil_mode"), IS(0), SINCE(18)},
    {OP(LpPool), INTS_("dilations"), IS(1), SINCE(18)},
    {OP(LpPool), INTS_("kernel_shape"), REQUIRED},
    {OP(LpPool), INT_("p"), IS(2)},
    WINDOW(MaxPool),
    {OP(MaxPool), INT_("ceil_mode"), IS(0), SINCE(10)},
    {OP(MaxPool), INTS_("dilations"), IS(1), SINCE(10)},
    {OP(MaxPool), INTS_("kernel_shape"), REQUIRED},
    {OP(MaxPool), INT_("storage_order"), IS(0), SINCE(8)},
    {OP(Mod), INT_("fmod"), IS(0)},
    {OP(OneHot), INT_("axis"), IS(-1)},
    {OP(Pad), STRING_("mode"), IS_TEXT("constant")},
    {OP(Pad), INTS_("pads"), BECOMES(1), UNTIL(10), REQUIRED},
    {OP(Pad), FLOAT_("value"), BECOMES(2), IS(0), UNTIL(10)},
    REDUCE(ReduceL1),
    REDUCE(ReduceL2),
    REDUCE(ReduceLogSum),
    REDUCE(ReduceLogSumExp),
    REDUCE(ReduceMax),
    REDUCE(ReduceMean),
    REDUCE(ReduceMin),
    REDUCE(ReduceProd),
    REDUCE(ReduceSumSquare),
    {OP(ReduceSum), INTS_("axes"), BECOMES(1), UNTIL(12)},
    {OP(ReduceSum), INT_("keepdims"), IS(1)},
    {OP(ReduceSum), INT_("noop_with_empty_axes"), IS(0), SINCE(13)},
    {OP(Reshape), INT_("allowzero"), IS(0), SINCE(14)},
    {OP(Resize), INT_("antialias"), IS(0), SINCE(18)},
    {OP(Resize), INTS_("axes"), SINCE(18)},
    {OP(Resize), STRING_("coordinate_transformation_mode"),
     IS_TEXT("half_pixel")},
    {OP(Resize), FLOAT_("cubic_coeff_a"), IS(-0.75)},
    {OP(Resize), INT_("exclude_outside"), IS(0)},
    {OP(Resize), FLOAT_("extrapolation_value"), IS(0)},
    {OP(Resize), STRING_("keep_aspect_ratio_policy"), IS_TEXT("stretch"),
     SINCE(18)},
    {OP(Resize), STRING_("mode"), IS_TEXT("nearest")},
    {OP(Resize), STRING_("nearest_mode"), IS_TEXT("round_prefer_floor")},
    {OP(ScatterElements), INT_("axis"), IS(0)},
    {OP(ScatterElements), STRING_("reduction"), IS_TEXT("none"), SINCE(16)},
    {OP(ScatterND), STRING_("reduction"), IS_TEXT("none"), SINCE(16)},
    {OP(Selu), FLOAT_("alpha"), IS(1.67326319217681884765625)},
    {OP(Selu), FLOAT_("gamma"), IS(1.05070102214813232421875)},
    {OP(Shape), INT_("end"), SINCE(15)},
    {OP(Shape), INT_("start"), IS(0), SINCE(15)},
    {OP(Shrink), FLOAT_("bias"), IS(0)},
    {OP(Shrink), FLOAT_("lambd"), IS(0.5)},
    {OP(Slice), INTS_("starts"), BECOMES(1), UNTIL(9), REQUIRED},
    {OP(Slice), INTS_("ends"), BECOMES(2), UNTIL(9), REQUIRED},
    {OP(Slice), INTS_("axes"), BECOMES(3), UNTIL(9)},
    {OP(Softmax), INT_("axis"), IS(-1), SINCE(13)},
    {OP(Softmax), INT_("axis"), UNTIL(12)},
    {OP(SpaceToDepth), INT_("blocksize"), REQUIRED},
    {OP(SpaceToDepth), STRING_("mode"), IS_TEXT("DCR"), SINCE(28)},
    {OP(Split), INT_("axis"), IS(0)},
    {OP(Split), INT_("num_outputs"), SINCE(18)},
    {OP(Split), INTS_("split"), BECOMES(1), UNTIL(12)},
    {OP(Squeeze), INTS_("axes"), BECOMES(1), UNTIL(12)},
    {OP(ThresholdedRelu), FLOAT_("alpha"), IS(1)},
    {OP(TopK), INT_("axis"), IS(-1)},
    {OP(TopK), INT_("k"), BECOMES(1), UNTIL(9), REQUIRED},
    {OP(TopK), INT_("largest"), IS(1), SINCE(11)},
    {OP(TopK), INT_("sorted"), IS(1), SINCE(11)},
    {OP(Transpose), INTS_("perm")},
    {OP(Trilu), INT_("upper"), IS(1)},
    {OP(Unsqueeze), INTS_("axes"), BECOMES(1), UNTIL(12), REQUIRED},
    {OP(Attention), INT_("is_causal"), IS(0)},
    {OP(Attention), INT_("kv_num_heads")},
    {OP(Attention), INT_("left_window_size"), IS(-1), SINCE(25)},
    {OP(Attention), INT_("q_num_heads")},
    {OP(Attention), INT_("qk_matmul_output_mode"), IS(0)},
    {OP(Attention), INT_("right_window_size"), IS(-1), SINCE(25)},
    {OP(Attention), FLOAT_("scale")},
    {OP(Attention), FLOAT_("softcap"), IS(0)},
    {OP(Attention), INT_("softmax_precision")},
    {OP(CausalConvWithState), STRING_("activation"), IS_TEXT("none")},
    {OP(LinearAttention), INT_("chunk_size"), DROPPED},
    {OP(LinearAttention), INT_("kv_num_heads"), REQUIRED},
    {OP(LinearAttention), INT_("q_num_heads"), REQUIRED},
    {OP(LinearAttention), FLOAT_("scale"), IS(0)},
    {OP(LinearAttention), STRING_("update_rule"), IS_TEXT("gated_delta")},
    {OP(LpNormalization), INT_("axis"), IS(-1)},
    {OP(LpNormalization), INT_("p"), IS(2)},
    {OP(MeanVarianceNormalization), INTS_("axes")},
    {OP(NegativeLogLikelihoodLoss), INT_("ignore_index")},
    {OP(NegativeLogLikelihoodLoss), STRING_("reduction"), IS_TEXT("mean")},
    {OP(RMSNormalization), INT_("axis"), IS(-1)},
    {OP(RMSNormalization), FLOAT_("epsilon"), IS(1e-5)},
    {OP(RMSNormalization), INT_("stash_type"), ONLY(1)},
    {OP(RotaryEmbedding), INT_("interleaved"), IS(0)},
    {OP(RotaryEmbedding), INT_("num_heads")},
    {OP(RotaryEmbedding), INT_("rotary_embedding_dim"), IS(0)},
    {OP(SoftmaxCrossEntropyLoss), INT_("ignore_index")},
    {OP(SoftmaxCrossEntropyLoss), STRING_("reduction"), IS_TEXT("mean")},
    {OP(TensorScatter), INT_("axis"), IS(-2)},
    {OP(StringNormalizer), STRING_("case_change_action"), IS_TEXT("NONE")},
    {OP(StringNormalizer), INT_("is_case_sensitive"), IS(0)},
    {OP(StringNormalizer), STRING_("locale")},
    {OP(StringNormalizer), STRINGS_("stopwords")},
    {OP(StringSplit), STRING_("delimiter"), IS_TEXT("")},
    {OP(StringSplit), INT_("maxsplit")},
    {OP(TensorScatter), STRING_("mode"), IS_TEXT("linear")},
    {OP(AffineGrid), INT_("align_corners"), IS(0)},
    {OP(BitCast), INT_("to"), REQUIRED},
    {OP(BlackmanWindow), INT_("output_datatype"), IS(1)},
    {OP(BlackmanWindow), INT_("periodic"), IS(1)},
    {OP(HammingWindow), INT_("output_datatype"), IS(1)},
    {OP(HammingWindow), INT_("periodic"), IS(1)},
    {OP(HannWindow), INT_("output_datatype"), IS(1)},
    {OP(HannWindow), INT_("periodic"), IS(1)},
    {OP(CenterCropPad), INTS_("axes")},
    {OP(Col2Im), INTS_("dilations"), IS(1)},
    {OP(Col2Im), INTS_("pads"), IS(0)},
    {OP(Col2Im), INTS_("strides"), IS(1)},
    {OP(CumProd), INT_("exclusive"), IS(0)},
    {OP(CumProd), INT_("reverse"), IS(0)},
    {OP(DFT), INT_("axis"), DROPPED, UNTIL(19)},
    {OP(DFT), INT_("inverse"), IS(0)},
    {OP(DFT), INT_("onesided"), IS(0)},
    {OP(DeformConv), INTS_("dilations"), IS(1)},
    {OP(DeformConv), INT_("group"), IS(1)},
    {OP(DeformConv), INTS_("kernel_shape")},
    {OP(DeformConv), INT_("offset_group"), IS(1)},
    {OP(DeformConv), INTS_("pads"), IS(0)},
    {OP(DeformConv), INTS_("strides"), IS(1)},
    {OP(Einsum), STRING_("equation"), REQUIRED},
    {OP(GridSample), INT_("align_corners"), IS(0)},
    {OP(GridSample), STRING_("mode"), IS_TEXT("bilinear"), UNTIL(19)},
    {OP(GridSample), STRING_("mode"), IS_TEXT("linear"), SINCE(20)},
    {OP(GridSample), STRING_("padding_mode"), IS_TEXT("zeros")},
    {OP(MaxUnpool), INTS_("kernel_shape"), REQUIRED},
    {OP(MaxUnpool), INTS_("pads"), IS(0)},
    {OP(MaxUnpool), INTS_("strides"), IS(1)},
    {OP(MelWeightMatrix), INT_("output_datatype"), IS(1)},
    {OP(NonMaxSuppression), INT_("center_point_box"), IS(0)},
    {OP(ReverseSequence), INT_("batch_axis"), IS(1)},
    {OP(ReverseSequence), INT_("time_axis"), IS(0)},
    {OP(RoiAlign), STRING_("coordinate_transformation_mode"),
     IS_TEXT("half_pixel"), SINCE(16)},
    {OP(RoiAlign), STRING_("mode"), IS_TEXT("avg")},
    {OP(RoiAlign), INT_("output_height"), IS(1)},
    {OP(RoiAlign), INT_("output_width"), IS(1)},
    {OP(RoiAlign), INT_("sampling_ratio"), IS(0)},
    {OP(RoiAlign), FLOAT_("spatial_scale"), IS(1)},
    {OP(STFT), INT_("onesided"), IS(1)},
    {OP(SwiGLU), FLOAT_("alpha"), IS(1)},
    {OP(Swish), FLOAT_("alpha"), IS(1)},
    {OP(TfIdfVectorizer), INT_("max_gram_length"), REQUIRED},
    {OP(TfIdfVectorizer), INT_("max_skip_count"), REQUIRED},
    {OP(TfIdfVectorizer), INT_("min_gram_length"), REQUIRED},
    {OP(TfIdfVectorizer), STRING_("mode"), REQUIRED},
    {OP(TfIdfVectorizer), INTS_("ngram_counts"), REQUIRED},
    {OP(TfIdfVectorizer), INTS_("ngram_indexes"), REQUIRED},
    {OP(TfIdfVectorizer), INTS_("pool_int64s")},
    {OP(TfIdfVectorizer), STRINGS_("pool_strings"), REFUSED},
    {OP(TfIdfVectorizer), FLOATS_("weights")},
    {OP(Unique), INT_("axis")},
    {OP(Unique), INT_("sorted"), IS(1)},
    {OP(Bernoulli), INT_("dtype")},
    {OP(Bernoulli), FLOAT_("seed")},
    {OP(RandomNormal), INT_("dtype"), IS(1)},
    {OP(RandomNormal), FLOAT_("mean"), IS(0)},
    {OP(RandomNormal), FLOAT_("scale"), IS(1)},
    {OP(RandomNormal), FLOAT_("seed")},
    {OP(RandomNormal), INTS_("shape"), REQUIRED},
    {OP(RandomNormalLike), INT_("dtype")},
    {OP(RandomNormalLike), FLOAT_("mean"), IS(0)},
    {OP(RandomNormalLike), FLOAT_("scale"), IS(1)},
    {OP(RandomNormalLike), FLOAT_("seed")},
    {OP(RandomUniform), INT_("dtype"), IS(1)},
    {OP(RandomUniform), FLOAT_("high"), IS(1)},
    {OP(RandomUniform), FLOAT_("low"), IS(0)},
    {OP(RandomUniform), FLOAT_("seed")},
    {OP(RandomUniform), INTS_("shape"), REQUIRED},
    {OP(RandomUniformLike), INT_("dtype")},
    {OP(RandomUniformLike), FLOAT_("high"), IS(1)},
    {OP(RandomUniformLike), FLOAT_("low"), IS(0)},
    {OP(RandomUniformLike), FLOAT_("seed")},

    /* recurrent layers */
    RECURRENT(GRU),
    {OP(GRU), INT_("linear_before_reset"), IS(0)},
    RECURRENT(LSTM),
    {OP(LSTM), INT_("input_forget"), IS(0)},
    RECURRENT(RNN),

    /* quantised tensors */
    WINDOW(ConvInteger),
    {OP(ConvInteger), INTS_("dilations"), IS(1)},
    {OP(ConvInteger), INT_("group"), IS(1)},
    {OP(ConvInteger), INTS_("kernel_shape")},
    {OP(DequantizeLinear), INT_("axis"), IS(1), SINCE(13)},
    {OP(DequantizeLinear), INT_("block_size"), IS(0), SINCE(21)},
    {OP(DequantizeLinear), INT_("output_dtype"), IS(0), SINCE(23)},
    WINDOW(QLinearConv),
    {OP(QLinearConv), INTS_("dilations"), IS(1)},
    {OP(QLinearConv), INT_("group"), IS(1)},
    {OP(QLinearConv), INTS_("kernel_shape")},
    {OP(QuantizeLinear), INT_("axis"), IS(1), SINCE(13)},
    {OP(QuantizeLinear), INT_("block_size"), IS(0), SINCE(21)},
    {OP(QuantizeLinear), INT_("output_dtype"), IS(0), SINCE(21)},
    {OP(QuantizeLinear), INT_("precision"), ONLY(0), SINCE(23)},
    {OP(QuantizeLinear), INT_("saturate"), DROPPED, SINCE(19)},

    /* graphs inside */
    {OP(If), GRAPH_("else_branch"), REQUIRED},
    {OP(If), GRAPH_("then_branch"), REQUIRED},
    {OP(Loop), GRAPH_("body"), REQUIRED},
    {OP(Scan), GRAPH_("body"), REQUIRED},
    {OP(Scan), INT_("num_scan_inputs"), REQUIRED},
    {OP(Scan), INTS_("scan_input_axes"), IS(0)},
    {OP(Scan), INTS_("scan_input_directions"), IS(0)},
    {OP(Scan), INTS_("scan_output_axes"), IS(0)},
    {OP(Scan), INTS_("scan_output_directions"), IS(0)},

    /* ai.onnx.ml: opsets are those of that domain */
    {OP(MlBinarizer), FLOAT_("threshold"), IS(0)},
    {OP(MlLinearClassifier), INTS_("classlabels_ints")},
    {OP(MlLinearClassifier), STRINGS_("classlabels_strings"), REFUSED},
    {OP(MlLinearClassifier), FLOATS_("coefficients"), REQUIRED},
    {OP(MlLinearClassifier), FLOATS_("intercepts")},
    {OP(MlLinearClassifier), INT_("multi_class"), IS(0)},
    {OP(MlLinearClassifier), STRING_("post_transform"), IS_TEXT("NONE")},
    {OP(MlLinearRegressor), FLOATS_("coefficients"), REQUIRED},
    {OP(MlLinearRegressor), FLOATS_("intercepts")},
    {OP(MlLinearRegressor), STRING_("post_transform"), IS_TEXT("NONE")},
    {OP(MlLinearRegressor), INT_("targets"), IS(1)},
    {OP(MlLabelEncoder), STRINGS_("classes_strings"), REFUSED},
    {OP(MlLabelEncoder), FLOAT_("default_float")},
    {OP(MlLabelEncoder), INT_("default_int64"), IS(-1)},
    {OP(MlLabelEncoder), STRING_("default_string"), IS_TEXT("_Unused")},
    {OP(MlLabelEncoder), FLOATS_("keys_floats")},
    {OP(MlLabelEncoder), INTS_("keys_int64s")},
    {OP(MlLabelEncoder), STRINGS_("keys_strings")},
    {OP(MlLabelEncoder), FLOATS_("values_floats")},
    {OP(MlLabelEncoder), INTS_("values_int64s")},
    {OP(MlLabelEncoder), STRINGS_("values_strings")},
    {OP(MlNormalizer), STRING_("norm"), IS_TEXT("MAX")},
    {OP(MlScaler), FLOATS_("offset"), REQUIRED},
    {OP(MlScaler), FLOATS_("scale"), REQUIRED},
    TREES(MlTreeEnsembleClassifier),
    {OP(MlTreeEnsembleClassifier), INTS_("class_ids"), REQUIRED},
    {OP(MlTreeEnsembleClassifier), INTS_("class_nodeids"), REQUIRED},
    {OP(MlTreeEnsembleClassifier), INTS_("class_treeids"), REQUIRED},
    {OP(MlTreeEnsembleClassifier), FLOATS_("class_weights")},
    {OP(MlTreeEnsembleClassifier), FLOATS_("class_weights_as_tensor"),
     REFUSED},
    {OP(MlTreeEnsembleClassifier), INTS_("classlabels_int64s")},
    {OP(MlTreeEnsembleClassifier), STRINGS_("classlabels_strings"), REFUSED},
    TREES(MlTreeEnsembleRegressor),
    {OP(MlTreeEnsembleRegressor), STRING_("aggregate_function"),
     IS_TEXT("SUM")},
    {OP(MlTreeEnsembleRegressor), INT_("n_targets"), IS(1)},
    {OP(MlTreeEnsembleRegressor), INTS_("target_ids"), REQUIRED},
    {OP(MlTreeEnsembleRegressor), INTS_("target_nodeids"), REQUIRED},
    {OP(MlTreeEnsembleRegressor), INTS_("target_treeids"), REQUIRED},
    {OP(MlTreeEnsembleRegressor), FLOATS_("target_weights")},
    {OP(MlTreeEnsembleRegressor), FLOATS_("target_weights_as_tensor"),
     REFUSED},

    /* ai.onnx.preview, and ai.onnx.preview.training */
    {OP(PreviewFlexAttention), GRAPH_("prob_mod")},
    {OP(PreviewFlexAttention), FLOAT_("scale")},
    {OP(PreviewFlexAttention), GRAPH_("score_mod")},
    {OP(PreviewFlexAttention), INT_("softmax_precision")},
    {OP(TrainAdagrad), FLOAT_("decay_factor"), IS(0)},
    {OP(TrainAdagrad), FLOAT_("epsilon"), IS(1e-6)},
    {OP(TrainAdagrad), FLOAT_("norm_coefficient"), IS(0)},
    {OP(TrainAdam), FLOAT_("alpha"), IS(0.9)},
    {OP(TrainAdam), FLOAT_("beta"), IS(0.999)},
    {OP(TrainAdam), FLOAT_("epsilon"), IS(1e-6)},
    {OP(TrainAdam), FLOAT_("norm_coefficient"), IS(0)},
    {OP(TrainAdam), FLOAT_("norm_coefficient_post"), IS(0)},
    {OP(TrainMomentum), FLOAT_("alpha"), REQUIRED},
    {OP(TrainMomentum), FLOAT_("beta"), REQUIRED},
    {OP(TrainMomentum), STRING_("mode"), REQUIRED},
    {OP(TrainMomentum), FLOAT_("norm_coefficient"), REQUIRED},

    {OP(Upsample), STRING_("mode"), IS_TEXT("nearest")},
};
/* clang-format on */

/* The opset from which on an operator means what it does at opset 17, but
 * for the attributes above; 6 if it did before. Those that are not here are
 * not read: they would need care of their own. */
/* clang-format off */
static const unsigned char since[AX_OP_COUNT] = {
    [AX_OP_ArgMax] = 6,         [AX_OP_ArgMin] = 6,
    [AX_OP_BitShift] = 11,      [AX_OP_BitwiseAnd] = 18,
    [AX_OP_BitwiseNot] = 18,    [AX_OP_BitwiseOr] = 18,
    [AX_OP_BitwiseXor] = 18,    [AX_OP_CastLike] = 15,
    [AX_OP_Celu] = 12,          [AX_OP_Compress] = 9,
    [AX_OP_ConvTranspose] = 6,  [AX_OP_CumSum] = 11,
    [AX_OP_DepthToSpace] = 6,   [AX_OP_EyeLike] = 9,
    [AX_OP_GatherElements] = 11, [AX_OP_GatherND] = 11,
    [AX_OP_Gelu] = 20,          [AX_OP_GlobalLpPool] = 6,
    [AX_OP_GroupNormalization] = 21, [AX_OP_Hardmax] = 6,
    [AX_OP_InstanceNormalization] = 6, [AX_OP_IsInf] = 10,
    [AX_OP_IsNaN] = 9,          [AX_OP_LRN] = 6,
    [AX_OP_LayerNormalization] = 17, [AX_OP_LpPool] = 6,
    [AX_OP_Mish] = 18,          [AX_OP_Mod] = 10,
    [AX_OP_NonZero] = 9,        [AX_OP_OneHot] = 9,
    [AX_OP_Range] = 11,         [AX_OP_Resize] = 11,
    [AX_OP_ScatterElements] = 11, [AX_OP_ScatterND] = 11,
    [AX_OP_Selu] = 6,           [AX_OP_Shrink] = 9,
    [AX_OP_SpaceToDepth] = 6,
    [AX_OP_Tile] = 6,           [AX_OP_TopK] = 6,
    [AX_OP_Trilu] = 14,         [AX_OP_Upsample] = 9,
    [AX_OP_Abs] = 6,            [AX_OP_Acos] = 7,
    [AX_OP_Acosh] = 9,          [AX_OP_Add] = 6,
    [AX_OP_And] = 6,            [AX_OP_Asin] = 7,
    [AX_OP_Asinh] = 9,          [AX_OP_Atan] = 7,
    [AX_OP_Atanh] = 9,          [AX_OP_AveragePool] = 6,
    [AX_OP_BatchNormalization] = 6, [AX_OP_Cast] = 6,
    [AX_OP_Ceil] = 6,           [AX_OP_Clip] = 6,
    [AX_OP_Concat] = 6,         [AX_OP_ConstantOfShape] = 9,
    [AX_OP_Conv] = 6,           [AX_OP_Cos] = 7,
    [AX_OP_Cosh] = 9,           [AX_OP_Div] = 6,
    [AX_OP_Dropout] = 6,        [AX_OP_Elu] = 6,
    [AX_OP_Equal] = 6,          [AX_OP_Erf] = 9,
    [AX_OP_Exp] = 6,            [AX_OP_Expand] = 8,
    [AX_OP_Flatten] = 6,        [AX_OP_Floor] = 6,
    [AX_OP_Gather] = 6,         [AX_OP_Gemm] = 6,
    [AX_OP_GlobalAveragePool] = 6, [AX_OP_GlobalMaxPool] = 6,
    [AX_OP_Greater] = 6,        [AX_OP_GreaterOrEqual] = 12,
    [AX_OP_HardSigmoid] = 6,    [AX_OP_HardSwish] = 14,
    [AX_OP_Identity] = 6,       [AX_OP_LeakyRelu] = 6,
    [AX_OP_Less] = 6,           [AX_OP_LessOrEqual] = 12,
    [AX_OP_Log] = 6,            [AX_OP_LogSoftmax] = 6,
    [AX_OP_MatMul] = 6,         [AX_OP_Max] = 6,
    [AX_OP_MaxPool] = 6,        [AX_OP_Mean] = 6,
    [AX_OP_Min] = 6,            [AX_OP_Mul] = 6,
    [AX_OP_Neg] = 6,            [AX_OP_Not] = 1,
    [AX_OP_Or] = 6,             [AX_OP_PRelu] = 6,
    [AX_OP_Pad] = 6,            [AX_OP_Pow] = 6,
    [AX_OP_Reciprocal] = 6,     [AX_OP_ReduceL1] = 6,
    [AX_OP_ReduceL2] = 6,       [AX_OP_ReduceLogSum] = 6,
    [AX_OP_ReduceLogSumExp] = 6, [AX_OP_ReduceMax] = 6,
    [AX_OP_ReduceMean] = 6,     [AX_OP_ReduceMin] = 6,
    [AX_OP_ReduceProd] = 6,     [AX_OP_ReduceSum] = 6,
    [AX_OP_ReduceSumSquare] = 6, [AX_OP_Relu] = 6,
    [AX_OP_Reshape] = 6,        [AX_OP_Round] = 11,
    [AX_OP_Shape] = 6,          [AX_OP_Sigmoid] = 6,
    [AX_OP_Sign] = 9,           [AX_OP_Sin] = 7,
    [AX_OP_Sinh] = 9,           [AX_OP_Slice] = 6,
    [AX_OP_Softmax] = 6,        [AX_OP_Softplus] = 6,
    [AX_OP_Softsign] = 6,       [AX_OP_Split] = 6,
    [AX_OP_Sqrt] = 6,           [AX_OP_Squeeze] = 6,
    [AX_OP_Sub] = 6,            [AX_OP_Sum] = 6,
    [AX_OP_Tan] = 7,            [AX_OP_Tanh] = 6,
    [AX_OP_ThresholdedRelu] = 10, [AX_OP_Transpose] = 6,
    [AX_OP_Unsqueeze] = 6,      [AX_OP_Where] = 9,
    [AX_OP_Xor] = 6,

    [AX_OP_GRU] = 7,            [AX_OP_LSTM] = 7,
    [AX_OP_RNN] = 7,            [AX_OP_Size] = 6,
    [AX_OP_ConvInteger] = 10,   [AX_OP_DequantizeLinear] = 10,
    [AX_OP_DynamicQuantizeLinear] = 11, [AX_OP_MatMulInteger] = 10,
    [AX_OP_QLinearConv] = 10,   [AX_OP_QLinearMatMul] = 10,
    [AX_OP_QuantizeLinear] = 10,
    [AX_OP_If] = 7,             [AX_OP_Loop] = 7,
    [AX_OP_Scan] = 9,
    [AX_OP_Attention] = 23,
    [AX_OP_LinearAttention] = 27,
    [AX_OP_CausalConvWithState] = 27,
    [AX_OP_SoftmaxCrossEntropyLoss] = 12,
    [AX_OP_NegativeLogLikelihoodLoss] = 12,
    [AX_OP_RMSNormalization] = 23,
    [AX_OP_RotaryEmbedding] = 23,
    [AX_OP_LpNormalization] = 6,
    [AX_OP_MeanVarianceNormalization] = 9,
    [AX_OP_TensorScatter] = 24,
    [AX_OP_AffineGrid] = 20,
    [AX_OP_BitCast] = 26,
    [AX_OP_BlackmanWindow] = 17,
    [AX_OP_CenterCropPad] = 18,
    [AX_OP_Col2Im] = 18,
    [AX_OP_CumProd] = 26,
    [AX_OP_DFT] = 17,
    [AX_OP_DeformConv] = 19,
    [AX_OP_Det] = 11,
    [AX_OP_Einsum] = 12,
    [AX_OP_GridSample] = 16,
    [AX_OP_HammingWindow] = 17,
    [AX_OP_HannWindow] = 17,
    [AX_OP_MaxUnpool] = 9,
    [AX_OP_MelWeightMatrix] = 17,
    [AX_OP_NonMaxSuppression] = 10,
    [AX_OP_ReverseSequence] = 10,
    [AX_OP_RoiAlign] = 10,
    [AX_OP_STFT] = 17,
    [AX_OP_StringConcat] = 20, [AX_OP_StringNormalizer] = 10,
    [AX_OP_StringSplit] = 20,
    [AX_OP_SwiGLU] = 28,
    [AX_OP_Swish] = 24,
    [AX_OP_TfIdfVectorizer] = 9,
    [AX_OP_Unique] = 11,
    [AX_OP_Bernoulli] = 15,
    [AX_OP_RandomNormal] = 6,
    [AX_OP_RandomNormalLike] = 6,
    [AX_OP_RandomUniform] = 6,
    [AX_OP_RandomUniformLike] = 6,
    [AX_OP_OptionalGetElement] = 15,
    [AX_OP_OptionalHasElement] = 15,

    /* of ai.onnx.ml */
    [AX_OP_MlArrayFeatureExtractor] = 1, [AX_OP_MlBinarizer] = 1,
    [AX_OP_MlLabelEncoder] = 2,
    [AX_OP_MlLinearClassifier] = 1, [AX_OP_MlLinearRegressor] = 1,
    [AX_OP_MlNormalizer] = 1,   [AX_OP_MlScaler] = 1,
    [AX_OP_MlTreeEnsembleClassifier] = 1,
    [AX_OP_MlTreeEnsembleRegressor] = 1,

    /* of ai.onnx.preview, and ai.onnx.preview.training */
    [AX_OP_PreviewFlexAttention] = 1, [AX_OP_TrainAdagrad] = 1,
    [AX_OP_TrainAdam] = 1,      [AX_OP_TrainMomentum] = 1,
};
/* clang-format on */

bool onnx_reads(ax_op op, int opset)
{
    return since[op] && opset >= since[op];
}

static int attr_since(ax_op op, const char *name);

int onnx_node_since(const struct ax_node *n)
{
    int first = strchr(ax_op_name(n->op), '.') ? 0 : since[n->op];

    for (uint32_t i = 0; i < n->n_attrs; i++) {
        int from = attr_since(n->op, n->attrs[i].name);

        first = from > first ? from : first;
    }
    /* Axes as an input. */
    if ((n->op == AX_OP_Pad && n->n_in > 3) ||
        (n->n_in > 1 && n->op != AX_OP_ReduceSum &&
         strncmp(ax_op_name(n->op), "Reduce", 6) == 0))
        first = first < 18 ? 18 : first;
    /* Spelled as of then. */
    if ((n->op == AX_OP_DFT || n->op == AX_OP_GridSample) && first < 20)
        first = 20;
    if (n->op == AX_OP_Pad && first < 19 &&
        strcmp(ax_node_string(n, "mode", ""), "wrap") == 0)
        first = 19;
    if (n->op == AX_OP_OptionalHasElement && n->n_in == 0)
        first = 18;
    /* Lengths of a cache outside. */
    if (n->op == AX_OP_Attention && n->n_in > 6)
        first = first < 24 ? 24 : first;
    return first;
}

enum { N_RULES = sizeof rules / sizeof rules[0] };

static bool in_force(const struct onnx_attr_rule *r, ax_op op, int opset)
{
    return r->op == op && opset >= r->from && (!r->to || opset <= r->to);
}

static int attr_since(ax_op op, const char *name)
{
    int first = 0;

    for (int i = 0; i < N_RULES; i++)
        if (rules[i].op == op && rules[i].action == ONNX_KEEP &&
            strcmp(rules[i].name, name) == 0 &&
            (first == 0 || rules[i].from < first))
            first = rules[i].from ? rules[i].from : 1;
    return first;
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
