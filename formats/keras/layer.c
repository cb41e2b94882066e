/* The layers of Keras: the table, and those that are no windows. */
#include <string.h>

#include "formats/keras/keras.h"

/* ---- values and nodes ---- */

ax_status keras_turn(struct keras *k, struct keras_value *x,
                     enum keras_layout to, struct ax_err *err)
{
    static const int64_t perm[2][2][4] = {{{0, 2, 1}, {0, 2, 1}},
                                          {{0, 2, 3, 1}, {0, 3, 1, 2}}};

    if (x->v[to] != AX_NONE)
        return AX_OK;
    if (x->rank != 3 && x->rank != 4)
        return keras_refuse(k, err, "an input of %d dimensions", x->rank);
    /* Called after what it turns: several layers may ask for it. */
    k->a.name = k->a.g->values[x->v[!to]].name;
    AX_TRY(arch_node1(&k->a, &x->v[to], AX_OP_Transpose,
                      to == PLAIN ? "channels_last" : "channels_first",
                      x->v[!to], err));
    k->a.name = k->name;
    return arch_attr_ints(&k->a, "perm", perm[x->rank == 4][to],
                          (size_t)x->rank, err);
}

ax_status keras_value(struct keras *k, uint32_t *v, size_t i,
                      enum keras_layout layout, struct ax_err *err)
{
    *v = AX_NONE;
    if (i >= k->n_in)
        return ax_fail(err, AX_EFORMAT, "layer '%.60s' (%.40s) has no input",
                       k->name, k->class);
    AX_TRY(keras_turn(k, k->in[i], layout, err));
    *v = k->in[i]->v[layout];
    return AX_OK;
}

/* How all inputs lie already. */
enum keras_layout keras_layout(const struct keras *k)
{
    bool turned = false;

    for (size_t i = 0; i < k->n_in; i++) {
        if (k->in[i]->rank != k->in[0]->rank)
            return PLAIN;
        turned |= k->in[i]->v[PLAIN] == AX_NONE;
    }
    return turned ? CHANNELS_FIRST : PLAIN;
}

void keras_gives(struct keras *k, uint32_t v, enum keras_layout layout,
                 int rank)
{
    k->out.v[layout] = v;
    k->out.v[!layout] = AX_NONE;
    k->out.rank = rank;
}

static ax_status number(struct keras *k, uint32_t *v, ax_op op,
                        const char *what, double y, struct ax_err *err)
{
    uint32_t in[2] = {*v};

    AX_TRY(arch_number(&k->a, &in[1], what, 0, NULL, y, err));
    return arch_node(&k->a, v, op, what[0] ? "with" : "", in, 2, err);
}

/* ---- activations ---- */

static ax_status clip(struct keras *k, uint32_t *v, double hi,
                      struct ax_err *err)
{
    uint32_t in[3] = {*v};

    AX_TRY(arch_number(&k->a, &in[1], "clip.min", 0, NULL, 0, err));
    AX_TRY(arch_number(&k->a, &in[2], "clip.max", 0, NULL, hi, err));
    return arch_node(&k->a, v, AX_OP_Clip, "clip", in, 3, err);
}

static ax_status swish(struct keras *k, uint32_t *v, struct ax_err *err)
{
    uint32_t in[2] = {*v, *v};

    AX_TRY(arch_node1(&k->a, &in[1], AX_OP_Sigmoid, "sigmoid", *v, err));
    return arch_node(&k->a, v, AX_OP_Mul, "swish", in, 2, err);
}

/* By name; along the channels if it is a softmax. */
static ax_status activation(struct keras *k, uint32_t *v, const char *name,
                            enum keras_layout layout, struct ax_err *err)
{
    static const struct {
        const char *name;
        ax_op op;
        const char *attr;
        double value;
    } table[] = {
        {"relu", AX_OP_Relu, NULL, 0},
        {"sigmoid", AX_OP_Sigmoid, NULL, 0},
        {"tanh", AX_OP_Tanh, NULL, 0},
        {"elu", AX_OP_Elu, NULL, 0},
        {"selu", AX_OP_Selu, NULL, 0},
        {"softplus", AX_OP_Softplus, NULL, 0},
        {"softsign", AX_OP_Softsign, NULL, 0},
        {"exponential", AX_OP_Exp, NULL, 0},
        {"gelu", AX_OP_Gelu, NULL, 0},
        {"leaky_relu", AX_OP_LeakyRelu, "alpha", 0.2},
        {"hard_silu", AX_OP_HardSwish, NULL, 0},
        {"hard_swish", AX_OP_HardSwish, NULL, 0},
        {"mish", AX_OP_Mish, NULL, 0},
    };

    if (strcmp(name, "linear") == 0)
        return AX_OK;
    if (strcmp(name, "relu6") == 0)
        return clip(k, v, 6, err);
    if (strcmp(name, "swish") == 0 || strcmp(name, "silu") == 0)
        return swish(k, v, err);
    if (strcmp(name, "hard_sigmoid") == 0) {
        AX_TRY(
            arch_node1(&k->a, v, AX_OP_HardSigmoid, "hard_sigmoid", *v, err));
        AX_TRY(arch_attr_float(&k->a, "alpha", k->version < 3 ? 0.2 : 1. / 6,
                               err));
        return arch_attr_float(&k->a, "beta", 0.5, err);
    }
    if (strcmp(name, "softmax") == 0) {
        AX_TRY(arch_node1(&k->a, v, AX_OP_Softmax, "softmax", *v, err));
        return arch_attr_int(&k->a, "axis", layout == PLAIN ? -1 : 1, err);
    }
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].name, name) == 0) {
            AX_TRY(arch_node1(&k->a, v, table[i].op, name, *v, err));
            return table[i].attr ? arch_attr_float(&k->a, table[i].attr,
                                                   table[i].value, err)
                                 : AX_OK;
        }
    return keras_refuse(k, err, "activation '%.40s'", name);
}

ax_status keras_activation(struct keras *k, uint32_t *v,
                           enum keras_layout layout, struct ax_err *err)
{
    return activation(k, v, keras_text(k, "activation", "linear"), layout,
                      err);
}

/* One input that stays as it lies. */
static ax_status single(struct keras *k, uint32_t *v,
                        enum keras_layout *layout, struct ax_err *err)
{
    *layout = k->n_in ? keras_layout(k) : PLAIN;
    return keras_value(k, v, 0, *layout, err);
}

static ax_status same(struct keras *k, int what, struct ax_err *err)
{
    (void)what;
    if (k->n_in != 1)
        return keras_refuse(k, err, "%zu inputs", k->n_in);
    k->out = *k->in[0];
    return AX_OK;
}

static ax_status activate(struct keras *k, int what, struct ax_err *err)
{
    enum keras_layout layout;
    uint32_t v;

    (void)what;
    AX_TRY(single(k, &v, &layout, err));
    AX_TRY(keras_activation(k, &v, layout, err));
    keras_gives(k, v, layout, k->in[0]->rank);
    return AX_OK;
}

static ax_status relu(struct keras *k, int what, struct ax_err *err)
{
    double slope = keras_real(k, "negative_slope", 0);
    double most = keras_real(k, "max_value", -1);
    enum keras_layout layout;
    uint32_t v;

    (void)what;
    AX_TRY(single(k, &v, &layout, err));
    if (keras_real(k, "threshold", 0) != 0 || (slope != 0 && most >= 0))
        return keras_refuse(k, err, "a threshold, or a slope and a limit,");
    if (most >= 0)
        AX_TRY(clip(k, &v, most, err));
    else if (slope == 0)
        AX_TRY(arch_node1(&k->a, &v, AX_OP_Relu, "", v, err));
    if (most < 0 && slope != 0) {
        AX_TRY(arch_node1(&k->a, &v, AX_OP_LeakyRelu, "", v, err));
        AX_TRY(arch_attr_float(&k->a, "alpha", slope, err));
    }
    keras_gives(k, v, layout, k->in[0]->rank);
    return AX_OK;
}

/* LeakyReLU and ELU. */
static ax_status sloped(struct keras *k, int op, struct ax_err *err)
{
    double otherwise = op == AX_OP_Elu ? 1 : 0.3;
    enum keras_layout layout;
    uint32_t v;

    AX_TRY(single(k, &v, &layout, err));
    AX_TRY(arch_node1(&k->a, &v, (ax_op)op, "", v, err));
    AX_TRY(arch_attr_float(
        &k->a, "alpha",
        keras_real(k, "alpha", keras_real(k, "negative_slope", otherwise)),
        err));
    keras_gives(k, v, layout, k->in[0]->rank);
    return AX_OK;
}

static ax_status softmax(struct keras *k, int what, struct ax_err *err)
{
    const json_t *axis = json_object_get(k->config, "axis");
    int64_t a = json_is_integer(axis) ? json_integer_value(axis) : -1;
    uint32_t v;

    (void)what;
    if (axis && !json_is_integer(axis) && !json_is_null(axis))
        return keras_refuse(k, err, "several axes");
    AX_TRY(keras_value(k, &v, 0, PLAIN, err));
    AX_TRY(arch_node1(&k->a, &v, AX_OP_Softmax, "", v, err));
    AX_TRY(arch_attr_int(&k->a, "axis", a, err));
    keras_gives(k, v, PLAIN, k->in[0]->rank);
    return AX_OK;
}

static ax_status prelu(struct keras *k, int what, struct ax_err *err)
{
    struct keras_weight w;
    uint32_t in[2];

    (void)what;
    AX_TRY(keras_value(k, &in[0], 0, PLAIN, err));
    AX_TRY(keras_weight(k, &w, "alpha", k->in[0]->rank - 1, err));
    AX_TRY(keras_constant(k, &in[1], &w, NULL, w.a.rank, w.a.dims, err));
    AX_TRY(arch_node(&k->a, &in[0], AX_OP_PRelu, "", in, 2, err));
    keras_gives(k, in[0], PLAIN, k->in[0]->rank);
    return AX_OK;
}

/* ---- dense, normalisation ---- */

static ax_status dense(struct keras *k, int what, struct ax_err *err)
{
    bool bias = keras_bool(k, "use_bias", true);
    struct keras_weight w;
    uint32_t in[3] = {0, 0, AX_NONE};

    (void)what;
    AX_TRY(keras_value(k, &in[0], 0, PLAIN, err));
    AX_TRY(keras_weight(k, &w, "kernel", 2, err));
    AX_TRY(keras_constant(k, &in[1], &w, NULL, 2, w.a.dims, err));
    if (bias)
        AX_TRY(keras_vector(k, &in[2], "bias", true, w.a.dims[1], 0, err));
    if (k->in[0]->rank == 2) {
        AX_TRY(arch_node(&k->a, &in[0], AX_OP_Gemm, "", in, 3, err));
    } else {
        AX_TRY(arch_node(&k->a, &in[0], AX_OP_MatMul, bias ? "product" : "",
                         in, 2, err));
        in[1] = in[2];
        if (bias)
            AX_TRY(arch_node(&k->a, &in[0], AX_OP_Add, "", in, 2, err));
    }
    AX_TRY(keras_activation(k, &in[0], PLAIN, err));
    keras_gives(k, in[0], PLAIN, k->in[0]->rank);
    return AX_OK;
}

/* Is it the last axis that a configuration names? */
static bool last_axis(const struct keras *k, int rank)
{
    const json_t *axis = json_object_get(k->config, "axis");

    if (json_is_array(axis) && json_array_size(axis) == 1)
        axis = json_array_get(axis, 0);
    return !axis ||
           (json_is_integer(axis) && (json_integer_value(axis) == -1 ||
                                      json_integer_value(axis) == rank - 1));
}

static ax_status batch_norm(struct keras *k, int what, struct ax_err *err)
{
    enum keras_layout layout = PLAIN;
    struct keras_weight mean;
    uint32_t in[5];
    int64_t n;

    (void)what;
    if (k->n_in != 1 || !last_axis(k, k->in[0]->rank))
        return keras_refuse(k, err, "an axis that is not the last");
    if (k->in[0]->rank > 2)
        layout = CHANNELS_FIRST;
    AX_TRY(keras_value(k, &in[0], 0, layout, err));
    AX_TRY(keras_weight(k, &mean, "moving_mean", 1, err));
    n = mean.a.dims[0];
    AX_TRY(keras_constant(k, &in[3], &mean, NULL, 1, &n, err));
    AX_TRY(keras_vector(k, &in[4], "moving_variance", true, n, 1, err));
    AX_TRY(keras_vector(k, &in[1], "gamma", keras_bool(k, "scale", true), n,
                        1, err));
    AX_TRY(keras_vector(k, &in[2], "beta", keras_bool(k, "center", true), n,
                        0, err));
    AX_TRY(
        arch_node(&k->a, &in[0], AX_OP_BatchNormalization, "", in, 5, err));
    AX_TRY(arch_attr_float(&k->a, "epsilon", keras_real(k, "epsilon", 1e-3),
                           err));
    keras_gives(k, in[0], layout, k->in[0]->rank);
    return AX_OK;
}

static ax_status layer_norm(struct keras *k, int what, struct ax_err *err)
{
    struct keras_weight gamma;
    uint32_t in[3];

    (void)what;
    if (k->n_in != 1 || !last_axis(k, k->in[0]->rank) ||
        !keras_bool(k, "scale", true) || keras_bool(k, "rms_scaling", false))
        return keras_refuse(k, err,
                            "an axis that is not the last, or no "
                            "scale,");
    AX_TRY(keras_value(k, &in[0], 0, PLAIN, err));
    AX_TRY(keras_weight(k, &gamma, "gamma", 1, err));
    AX_TRY(keras_constant(k, &in[1], &gamma, NULL, 1, gamma.a.dims, err));
    AX_TRY(keras_vector(k, &in[2], "beta", keras_bool(k, "center", true),
                        gamma.a.dims[0], 0, err));
    AX_TRY(
        arch_node(&k->a, &in[0], AX_OP_LayerNormalization, "", in, 3, err));
    AX_TRY(arch_attr_float(&k->a, "epsilon", keras_real(k, "epsilon", 1e-3),
                           err));
    keras_gives(k, in[0], PLAIN, k->in[0]->rank);
    return AX_OK;
}

static ax_status rescale(struct keras *k, int what, struct ax_err *err)
{
    enum keras_layout layout;
    uint32_t v;

    (void)what;
    AX_TRY(single(k, &v, &layout, err));
    if (!json_is_number(json_object_get(k->config, "scale")))
        return keras_refuse(k, err, "several scales");
    AX_TRY(number(k, &v, AX_OP_Mul, "scale", keras_real(k, "scale", 1), err));
    k->a.name = k->name;
    if (keras_real(k, "offset", 0) != 0) {
        uint32_t in[2] = {v};

        AX_TRY(arch_number(&k->a, &in[1], "offset", 0, NULL,
                           keras_real(k, "offset", 0), err));
        AX_TRY(arch_node(&k->a, &v, AX_OP_Add, "", in, 2, err));
    }
    keras_gives(k, v, layout, k->in[0]->rank);
    return AX_OK;
}

/* ---- shapes ---- */

static ax_status flatten(struct keras *k, int what, struct ax_err *err)
{
    uint32_t v;

    (void)what;
    AX_TRY(keras_value(k, &v, 0, PLAIN, err));
    AX_TRY(arch_node1(&k->a, &v, AX_OP_Flatten, "", v, err));
    keras_gives(k, v, PLAIN, 2);
    return AX_OK;
}

static ax_status reshape(struct keras *k, int what, struct ax_err *err)
{
    const json_t *shape = json_object_get(k->config, "target_shape");
    size_t n = json_array_size(shape);
    int64_t dims[AX_RANK_MAX] = {0}; /* the batch stays */
    uint32_t in[2];

    (void)what;
    if (n == 0 || n >= AX_RANK_MAX)
        return keras_refuse(k, err, "a shape of %zu dimensions", n);
    for (size_t i = 0; i < n; i++) {
        dims[1 + i] = json_integer_value(json_array_get(shape, i));
        if (dims[1 + i] < -1 || dims[1 + i] == 0 || dims[1 + i] > INT32_MAX)
            return keras_refuse(k, err, "a dimension of %lld",
                                (long long)dims[1 + i]);
    }
    AX_TRY(keras_value(k, &in[0], 0, PLAIN, err));
    AX_TRY(arch_ints(&k->a, &in[1], "shape", dims, n + 1, err));
    AX_TRY(arch_node(&k->a, &in[0], AX_OP_Reshape, "", in, 2, err));
    keras_gives(k, in[0], PLAIN, (int)n + 1);
    return AX_OK;
}

static ax_status permute(struct keras *k, int what, struct ax_err *err)
{
    int64_t perm[AX_RANK_MAX] = {0};
    int rank = k->n_in == 1 ? k->in[0]->rank : 0;
    uint32_t v;

    (void)what;
    if (rank < 2 || rank > AX_RANK_MAX)
        return keras_refuse(k, err, "%zu inputs", k->n_in);
    AX_TRY(keras_ints(k, &perm[1], rank - 1, "dims", 1, 0, err));
    AX_TRY(keras_value(k, &v, 0, PLAIN, err));
    AX_TRY(arch_node1(&k->a, &v, AX_OP_Transpose, "", v, err));
    AX_TRY(arch_attr_ints(&k->a, "perm", perm, (size_t)rank, err));
    keras_gives(k, v, PLAIN, rank);
    return AX_OK;
}

/* ---- several inputs ---- */

static ax_status merge(struct keras *k, int op, struct ax_err *err)
{
    enum keras_layout layout = keras_layout(k);
    uint32_t in[KERAS_INPUTS];

    if (k->n_in < 2)
        return keras_refuse(k, err, "%zu inputs", k->n_in);
    for (size_t i = 0; i < k->n_in; i++) {
        if (k->in[i]->rank != k->in[0]->rank)
            return keras_refuse(k, err, "inputs of several ranks");
        AX_TRY(keras_value(k, &in[i], i, layout, err));
    }
    for (size_t i = 1; (op == AX_OP_Mul || op == AX_OP_Sub) && i < k->n_in;
         i++) {
        const uint32_t pair[] = {in[0], in[i]};
        bool last = i + 1 == k->n_in;

        if (!last && k->n_in > 2)
            return keras_refuse(k, err, "%zu inputs", k->n_in);
        AX_TRY(arch_node(&k->a, &in[0], (ax_op)op, "", pair, 2, err));
    }
    if (op != AX_OP_Mul && op != AX_OP_Sub)
        AX_TRY(arch_node(&k->a, &in[0], (ax_op)op, "", in, (uint32_t)k->n_in,
                         err));
    keras_gives(k, in[0], layout, k->in[0]->rank);
    return AX_OK;
}

static ax_status concatenate(struct keras *k, int what, struct ax_err *err)
{
    const json_t *given = json_object_get(k->config, "axis");
    int64_t axis = json_is_integer(given) ? json_integer_value(given) : -1;
    int rank = k->n_in ? k->in[0]->rank : 0;
    enum keras_layout layout = PLAIN;
    uint32_t in[KERAS_INPUTS];

    (void)what;
    axis += axis < 0 ? rank : 0;
    if (axis < 1 || axis >= rank)
        return keras_refuse(k, err, "axis %lld", (long long)axis);
    if (axis == rank - 1)
        layout = keras_layout(k);
    for (size_t i = 0; i < k->n_in; i++)
        AX_TRY(keras_value(k, &in[i], i, layout, err));
    AX_TRY(arch_node(&k->a, &in[0], AX_OP_Concat, "", in, (uint32_t)k->n_in,
                     err));
    AX_TRY(arch_attr_int(&k->a, "axis", layout == PLAIN ? axis : 1, err));
    keras_gives(k, in[0], layout, rank);
    return AX_OK;
}

/* ---- the table ---- */

static const struct {
    const char *class;
    keras_maker *make;
    int what;
} layers[] = {
    {"Activation", activate, 0},
    {"ActivityRegularization", same, 0},
    {"Add", merge, AX_OP_Sum},
    {"AlphaDropout", same, 0},
    {"Average", merge, AX_OP_Mean},
    {"AveragePooling1D", keras_pool, AX_OP_AveragePool},
    {"AveragePooling2D", keras_pool, AX_OP_AveragePool},
    {"BatchNormalization", batch_norm, 0},
    {"BatchNormalizationV1", batch_norm, 0},
    {"Concatenate", concatenate, 0},
    {"Conv1D", keras_conv, 1},
    {"Conv2D", keras_conv, 2},
    {"Conv2DTranspose", keras_transposed, 2},
    {"Cropping1D", keras_crop, 1},
    {"Cropping2D", keras_crop, 2},
    {"Dense", dense, 0},
    {"DepthwiseConv2D", keras_depthwise, 2},
    {"Dropout", same, 0},
    {"ELU", sloped, AX_OP_Elu},
    {"Flatten", flatten, 0},
    {"GaussianDropout", same, 0},
    {"GaussianNoise", same, 0},
    {"GlobalAveragePooling1D", keras_global, AX_OP_GlobalAveragePool},
    {"GlobalAveragePooling2D", keras_global, AX_OP_GlobalAveragePool},
    {"GlobalMaxPooling1D", keras_global, AX_OP_GlobalMaxPool},
    {"GlobalMaxPooling2D", keras_global, AX_OP_GlobalMaxPool},
    {"LayerNormalization", layer_norm, 0},
    {"LeakyReLU", sloped, AX_OP_LeakyRelu},
    {"MaxPooling1D", keras_pool, AX_OP_MaxPool},
    {"MaxPooling2D", keras_pool, AX_OP_MaxPool},
    {"Maximum", merge, AX_OP_Max},
    {"Minimum", merge, AX_OP_Min},
    {"Multiply", merge, AX_OP_Mul},
    {"PReLU", prelu, 0},
    {"Permute", permute, 0},
    {"ReLU", relu, 0},
    {"Rescaling", rescale, 0},
    {"Reshape", reshape, 0},
    {"SeparableConv2D", keras_separable, 2},
    {"Softmax", softmax, 0},
    {"SpatialDropout1D", same, 0},
    {"SpatialDropout2D", same, 0},
    {"Subtract", merge, AX_OP_Sub},
    {"UpSampling2D", keras_upsample, 2},
    {"ZeroPadding1D", keras_pad, 1},
    {"ZeroPadding2D", keras_pad, 2},
};

ax_status keras_layer(struct keras *k, struct ax_err *err)
{
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        if (strcmp(layers[i].class, k->class) == 0)
            return layers[i].make(k, layers[i].what, err);
    return ax_fail(err, AX_EUNSUPPORTED,
                   "layer '%.60s' is a %.40s, which is not supported",
                   k->name, k->class);
}
