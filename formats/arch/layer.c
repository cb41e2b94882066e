/* Kinds of layers, as torch.nn has them, in evaluation mode. A kind is a row
 * of the table at the end: the keys that it may have, and what makes its
 * nodes. What a layer does not say has the default of PyTorch; a key that is
 * not known is an error. */
#include "formats/arch/arch.h"
#include "formats/window.h"

#include <inttypes.h>
#include <string.h>

/* Dimensions of a window: 1 to 3. */
enum { WINDOW_MAX = 3 };

/* ---- keys ---- */

static ax_status get_int(const struct arch *a, int64_t *out, const char *key,
                         int64_t otherwise, struct ax_err *err)
{
    const json_t *x = json_object_get(a->layer, key);

    *out = x ? json_integer_value(x) : otherwise;
    if (x && !json_is_integer(x))
        return ax_fail(err, AX_EFORMAT, "'%s' is no integer", key);
    return AX_OK;
}

static ax_status get_real(const struct arch *a, double *out, const char *key,
                          double otherwise, struct ax_err *err)
{
    const json_t *x = json_object_get(a->layer, key);

    *out = x ? json_number_value(x) : otherwise;
    if (x && !json_is_number(x))
        return ax_fail(err, AX_EFORMAT, "'%s' is no number", key);
    return AX_OK;
}

static ax_status get_bool(const struct arch *a, bool *out, const char *key,
                          bool otherwise, struct ax_err *err)
{
    const json_t *x = json_object_get(a->layer, key);

    *out = x ? json_is_true(x) : otherwise;
    if (x && !json_is_boolean(x))
        return ax_fail(err, AX_EFORMAT, "'%s' is neither true nor false",
                       key);
    return AX_OK;
}

/* N integers, or one that stands for all of them. */
static ax_status get_ints(const struct arch *a, int64_t *out, size_t n,
                          const char *key, int64_t otherwise, int64_t min,
                          struct ax_err *err)
{
    const json_t *x = json_object_get(a->layer, key);

    if (x && json_is_array(x) && json_array_size(x) != n)
        return ax_fail(err, AX_EFORMAT, "'%s' has %zu numbers, wants %zu",
                       key, json_array_size(x), n);
    for (size_t i = 0; i < n; i++) {
        const json_t *k = json_is_array(x) ? json_array_get(x, i) : x;

        if (x && (!json_is_integer(k) || json_integer_value(k) < min ||
                  json_integer_value(k) > INT32_MAX))
            return ax_fail(err, AX_EFORMAT,
                           "'%s' wants whole numbers from %" PRId64, key,
                           min);
        out[i] = x ? json_integer_value(k) : otherwise;
    }
    return AX_OK;
}

/* A list of integers of any length. */
static ax_status get_list(const struct arch *a, int64_t *out, size_t *n,
                          const char *key, struct ax_err *err)
{
    const json_t *x = json_object_get(a->layer, key);

    *n = json_array_size(x);
    if (!json_is_array(x) || !*n || *n > 2 * AX_RANK_MAX)
        return ax_fail(err, AX_EFORMAT, "wants a list of numbers '%s'", key);
    for (size_t i = 0; i < *n; i++) {
        if (!json_is_integer(json_array_get(x, i)))
            return ax_fail(err, AX_EFORMAT, "'%s' wants whole numbers", key);
        out[i] = json_integer_value(json_array_get(x, i));
    }
    return AX_OK;
}

/* A key that only allows what we do anyway. */
static ax_status only(const struct arch *a, const char *key, bool want,
                      struct ax_err *err)
{
    bool is;

    AX_TRY(get_bool(a, &is, key, want, err));
    if (is != want)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "'%s' is %s, only %s is "
                       "supported",
                       key, is ? "true" : "false", want ? "true" : "false");
    return AX_OK;
}

/* If the layer says a size, it is that of the tensor. */
static ax_status agree(const struct arch *a, const char *key, int64_t is,
                       struct ax_err *err)
{
    int64_t said;

    AX_TRY(get_int(a, &said, key, is, err));
    if (said != is)
        return ax_fail(err, AX_ESHAPE,
                       "'%s' is %" PRId64 ", but its tensor has %" PRId64,
                       key, said, is);
    return AX_OK;
}

static ax_status want_rank(const struct ax_tensor *t, const char *what,
                           int rank, struct ax_err *err)
{
    char text[160];

    if (t->rank == rank)
        return AX_OK;
    return ax_fail(
        err, AX_ESHAPE, "its %s has %d dimensions, not %d: %s", what, t->rank,
        rank, ax_shape_text(text, sizeof text, t->dtype, t->rank, t->dims));
}

/* A vector of N numbers, or none. */
static ax_status want_vector(const struct ax_tensor *t, const char *what,
                             int64_t n, struct ax_err *err)
{
    char text[160];

    if (!t || (t->rank == 1 && t->dims[0] == n))
        return AX_OK;
    return ax_fail(
        err, AX_ESHAPE, "its %s is %s, wants [%" PRId64 "]", what,
        ax_shape_text(text, sizeof text, t->dtype, t->rank, t->dims), n);
}

/* Weight and bias. "bias" may say whether there is one; where it says
 * nothing, the tensors do. */
static ax_status weight_and_bias(struct arch *a, uint32_t in[3],
                                 const struct ax_tensor **w,
                                 const struct ax_tensor **b,
                                 struct ax_err *err)
{
    const json_t *said = json_object_get(a->layer, "bias");

    *b = NULL;
    in[2] = AX_NONE;
    in[0] = a->in[0];
    AX_TRY(arch_param(a, &in[1], w, "weight", true, err));
    if (json_is_false(said))
        return AX_OK;
    return arch_param(a, &in[2], b, "bias", said != NULL, err);
}

/* ---- layers ---- */

typedef ax_status layer_maker(struct arch *a, uint32_t *out, int number,
                              struct ax_err *err);

static ax_status linear(struct arch *a, uint32_t *out, int number,
                        struct ax_err *err)
{
    const struct ax_tensor *w = NULL, *b = NULL;
    uint32_t in[3];

    (void)number;
    AX_TRY(weight_and_bias(a, in, &w, &b, err));
    AX_TRY(want_rank(w, "weight", 2, err));
    AX_TRY(want_vector(b, "bias", w->dims[0], err));
    AX_TRY(agree(a, "out_features", w->dims[0], err));
    AX_TRY(agree(a, "in_features", w->dims[1], err));
    AX_TRY(arch_node(a, out, AX_OP_Gemm, "", in, 3, err));
    return arch_attr_int(a, "transB", 1, err);
}

/* Attributes that all windows share, where they are not the default. PADS
 * has those in front and then those behind. */
static ax_status window(struct arch *a, size_t n, const int64_t *kernel,
                        const int64_t *stride, const int64_t *pads,
                        const int64_t *dilation, struct ax_err *err)
{
    bool moves = false, padded = false, dilated = false;

    for (size_t i = 0; i < n; i++) {
        moves |= stride[i] != 1;
        padded |= pads[i] || pads[n + i];
        dilated |= dilation[i] != 1;
    }
    AX_TRY(arch_attr_ints(a, "kernel_shape", kernel, n, err));
    if (moves)
        AX_TRY(arch_attr_ints(a, "strides", stride, n, err));
    if (padded)
        AX_TRY(arch_attr_ints(a, "pads", pads, 2 * n, err));
    if (dilated)
        AX_TRY(arch_attr_ints(a, "dilations", dilation, n, err));
    return AX_OK;
}

/* "padding" of a convolution: numbers, "valid" or "same". */
static ax_status conv_pads(const struct arch *a, int64_t *pads, size_t n,
                           const int64_t *kernel, const int64_t *stride,
                           const int64_t *dilation, struct ax_err *err)
{
    const char *word = json_string_value(
        json_object_get(a->layer, "padding"));

    if (!word)
        AX_TRY(get_ints(a, pads, n, "padding", 0, 0, err));
    for (size_t i = 0; i < n; i++) {
        int64_t all = dilation[i] * (kernel[i] - 1);

        if (!word) {
            pads[n + i] = pads[i];
        } else if (strcmp(word, "valid") == 0) {
            pads[i] = pads[n + i] = 0;
        } else if (strcmp(word, "same") == 0 && stride[i] == 1) {
            window_halve(&pads[i], &pads[n + i], all);
        } else {
            return ax_fail(err, AX_EFORMAT,
                           "'padding' is '%.20s', wants numbers, valid, or "
                           "same with a stride of 1",
                           word);
        }
    }
    return AX_OK;
}

static ax_status conv(struct arch *a, uint32_t *out, int number,
                      struct ax_err *err)
{
    int64_t kernel[WINDOW_MAX], stride[WINDOW_MAX], dilation[WINDOW_MAX],
        pads[2 * WINDOW_MAX], groups;
    const struct ax_tensor *w = NULL, *b = NULL;
    size_t n = (size_t)number;
    uint32_t in[3];

    AX_TRY(weight_and_bias(a, in, &w, &b, err));
    AX_TRY(want_rank(w, "weight", number + 2, err));
    AX_TRY(want_vector(b, "bias", w->dims[0], err));
    AX_TRY(get_int(a, &groups, "groups", 1, err));
    if (groups < 1 || w->dims[0] % groups || w->dims[1] > INT32_MAX ||
        groups > INT32_MAX)
        return ax_fail(err, AX_ESHAPE,
                       "%" PRId64 " groups of %" PRId64 " channels", groups,
                       w->dims[0]);
    AX_TRY(agree(a, "out_channels", w->dims[0], err));
    AX_TRY(agree(a, "in_channels", w->dims[1] * groups, err));
    AX_TRY(get_ints(a, kernel, n, "kernel_size", 0, 1, err));
    for (size_t i = 0; i < n; i++) {
        if (kernel[i] && kernel[i] != w->dims[2 + i])
            return ax_fail(err, AX_ESHAPE,
                           "'kernel_size' is %" PRId64
                           ", but its weight has %" PRId64,
                           kernel[i], w->dims[2 + i]);
        kernel[i] = w->dims[2 + i];
        if (kernel[i] < 1 || kernel[i] > INT32_MAX)
            return ax_fail(err, AX_ESHAPE, "a kernel of %" PRId64, kernel[i]);
    }
    AX_TRY(get_ints(a, stride, n, "stride", 1, 1, err));
    AX_TRY(get_ints(a, dilation, n, "dilation", 1, 1, err));
    AX_TRY(conv_pads(a, pads, n, kernel, stride, dilation, err));
    AX_TRY(arch_node(a, out, AX_OP_Conv, "", in, 3, err));
    if (groups != 1)
        AX_TRY(arch_attr_int(a, "group", groups, err));
    return window(a, n, kernel, stride, pads, dilation, err);
}

/* A vector of ones or zeros, which the layer says by having no parameter. */
static ax_status plain(struct arch *a, uint32_t *v, const char *what,
                       int64_t n, double x, struct ax_err *err)
{
    const int64_t dims[] = {n};

    return arch_number(a, v, what, 1, dims, x, err);
}

static ax_status batch_norm(struct arch *a, uint32_t *out, int number,
                            struct ax_err *err)
{
    static const char *const what[] = {"weight", "bias", "running_mean",
                                       "running_var"};
    const struct ax_tensor *t[4] = {NULL}, *counter;
    uint32_t in[5], unused;
    bool affine;
    double eps;

    (void)number;
    AX_TRY(only(a, "track_running_stats", true, err));
    AX_TRY(get_bool(a, &affine, "affine", true, err));
    AX_TRY(get_real(a, &eps, "eps", 1e-5, err));
    in[0] = a->in[0];
    for (int i = affine ? 0 : 2; i < 4; i++)
        AX_TRY(arch_param(a, &in[1 + i], &t[i], what[i], true, err));
    for (int i = affine ? 0 : 2; i < 4; i++)
        AX_TRY(want_vector(t[i], what[i], t[2]->dims[0], err));
    AX_TRY(agree(a, "num_features", t[2]->dims[0], err));
    if (!affine) {
        AX_TRY(plain(a, &in[1], "weight", t[2]->dims[0], 1, err));
        AX_TRY(plain(a, &in[2], "bias", t[2]->dims[0], 0, err));
    }
    /* How often it was trained is no part of what it computes. */
    AX_TRY(
        arch_param(a, &unused, &counter, "num_batches_tracked", false, err));
    AX_TRY(arch_node(a, out, AX_OP_BatchNormalization, "", in, 5, err));
    return (float)eps == 1e-5f ? AX_OK
                               : arch_attr_float(a, "epsilon", eps, err);
}

static ax_status layer_norm(struct arch *a, uint32_t *out, int number,
                            struct ax_err *err)
{
    const struct ax_tensor *w = NULL, *b = NULL;
    int64_t shape[2 * AX_RANK_MAX];
    uint32_t in[3] = {a->in[0], AX_NONE, AX_NONE};
    size_t n = 0;
    double eps;

    (void)number;
    AX_TRY(only(a, "elementwise_affine", true, err));
    AX_TRY(get_real(a, &eps, "eps", 1e-5, err));
    AX_TRY(weight_and_bias(a, in, &w, &b, err));
    if (json_is_integer(json_object_get(a->layer, "normalized_shape"))) {
        n = 1;
        AX_TRY(get_int(a, &shape[0], "normalized_shape", 0, err));
    } else {
        AX_TRY(get_list(a, shape, &n, "normalized_shape", err));
    }
    AX_TRY(want_rank(w, "weight", (int)n, err));
    for (size_t i = 0; i < n; i++)
        if (shape[i] != w->dims[i] ||
            (b && (b->rank != w->rank || b->dims[i] != w->dims[i])))
            return ax_fail(err, AX_ESHAPE,
                           "its weight and bias do not have the shape that "
                           "'normalized_shape' says");
    AX_TRY(arch_node(a, out, AX_OP_LayerNormalization, "", in, 3, err));
    if (n != 1)
        AX_TRY(arch_attr_int(a, "axis", -(int64_t)n, err));
    return (float)eps == 1e-5f ? AX_OK
                               : arch_attr_float(a, "epsilon", eps, err);
}

/* number: dimensions; negative for the average. */
static ax_status pool(struct arch *a, uint32_t *out, int number,
                      struct ax_err *err)
{
    size_t n = (size_t)(number < 0 ? -number : number);
    int64_t kernel[WINDOW_MAX], stride[WINDOW_MAX], pads[2 * WINDOW_MAX],
        dilation[WINDOW_MAX];
    bool with_pads;

    AX_TRY(get_ints(a, kernel, n, "kernel_size", 0, 1, err));
    if (!kernel[0])
        return ax_fail(err, AX_EFORMAT, "'kernel_size' is missing");
    AX_TRY(get_ints(a, stride, n, "stride", 0, 1, err));
    AX_TRY(get_ints(a, pads, n, "padding", 0, 0, err));
    AX_TRY(get_ints(a, dilation, n, "dilation", 1, 1, err));
    AX_TRY(only(a, "ceil_mode", false, err));
    AX_TRY(only(a, "return_indices", false, err));
    AX_TRY(get_bool(a, &with_pads, "count_include_pad", true, err));
    for (size_t i = 0; i < n; i++) {
        stride[i] = stride[i] ? stride[i] : kernel[i];
        pads[n + i] = pads[i];
        if (2 * pads[i] > kernel[i])
            return ax_fail(err, AX_EFORMAT,
                           "'padding' is more than half of 'kernel_size'");
    }
    AX_TRY(arch_node(a, out, number < 0 ? AX_OP_AveragePool : AX_OP_MaxPool,
                     "", a->in, 1, err));
    if (number < 0 && with_pads)
        AX_TRY(arch_attr_int(a, "count_include_pad", 1, err));
    return window(a, n, kernel, stride, pads, dilation, err);
}

static ax_status adaptive_pool(struct arch *a, uint32_t *out, int number,
                               struct ax_err *err)
{
    int64_t size[WINDOW_MAX];

    AX_TRY(get_ints(a, size, (size_t)number, "output_size", 0, 1, err));
    for (int i = 0; i < number; i++)
        if (size[i] != 1)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "'output_size' must be said, and only 1 is "
                           "supported");
    return arch_node(a, out, AX_OP_GlobalAveragePool, "", a->in, 1, err);
}

/* The average of each channel, as a matrix. */
static ax_status global_pool(struct arch *a, uint32_t *out, int number,
                             struct ax_err *err)
{
    uint32_t v;

    (void)number;
    AX_TRY(arch_node(a, &v, AX_OP_GlobalAveragePool, "mean", a->in, 1, err));
    return arch_node1(a, out, AX_OP_Flatten, "", v, err);
}

static ax_status flatten(struct arch *a, uint32_t *out, int number,
                         struct ax_err *err)
{
    int64_t start, end;

    (void)number;
    AX_TRY(get_int(a, &start, "start_dim", 1, err));
    AX_TRY(get_int(a, &end, "end_dim", -1, err));
    if (start != 1 || end != -1)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "dimensions %" PRId64 " to %" PRId64
                       ": only 1 to -1 are supported",
                       start, end);
    return arch_node(a, out, AX_OP_Flatten, "", a->in, 1, err);
}

/* What in evaluation hands on its input. */
static ax_status nothing(struct arch *a, uint32_t *out, int number,
                         struct ax_err *err)
{
    (void)number;
    (void)err;
    *out = a->in[0];
    return AX_OK;
}

/* An operator of as many inputs as the layer, and no attribute. */
static ax_status operator(struct arch *a, uint32_t *out, int number,
                          struct ax_err *err)
{
    return arch_node(a, out, (ax_op)number, "", a->in, a->n_in, err);
}

static ax_status leaky_relu(struct arch *a, uint32_t *out, int number,
                            struct ax_err *err)
{
    double slope;

    (void)number;
    AX_TRY(get_real(a, &slope, "negative_slope", 0.01, err));
    AX_TRY(arch_node(a, out, AX_OP_LeakyRelu, "", a->in, 1, err));
    return (float)slope == 0.01f ? AX_OK
                                 : arch_attr_float(a, "alpha", slope, err);
}

static ax_status elu(struct arch *a, uint32_t *out, int number,
                     struct ax_err *err)
{
    double alpha;

    (void)number;
    AX_TRY(get_real(a, &alpha, "alpha", 1, err));
    AX_TRY(arch_node(a, out, AX_OP_Elu, "", a->in, 1, err));
    return alpha == 1 ? AX_OK : arch_attr_float(a, "alpha", alpha, err);
}

static ax_status gelu(struct arch *a, uint32_t *out, int number,
                      struct ax_err *err)
{
    const json_t *x = json_object_get(a->layer, "approximate");
    const char *word = x ? json_string_value(x) : "none";

    (void)number;
    if (!word || (strcmp(word, "none") != 0 && strcmp(word, "tanh") != 0))
        return ax_fail(err, AX_EFORMAT,
                       "'approximate' is neither none nor tanh");
    AX_TRY(arch_node(a, out, AX_OP_Gelu, "", a->in, 1, err));
    return strcmp(word, "none") == 0
               ? AX_OK
               : arch_attr_text(a, "approximate", word, err);
}

static ax_status silu(struct arch *a, uint32_t *out, int number,
                      struct ax_err *err)
{
    uint32_t in[2] = {a->in[0], AX_NONE};

    (void)number;
    AX_TRY(arch_node(a, &in[1], AX_OP_Sigmoid, "sigmoid", a->in, 1, err));
    return arch_node(a, out, AX_OP_Mul, "", in, 2, err);
}

/* number: the greatest value, or 0: "min_val" and "max_val". */
static ax_status clip(struct arch *a, uint32_t *out, int number,
                      struct ax_err *err)
{
    uint32_t in[3] = {a->in[0], AX_NONE, AX_NONE};
    double min = 0, max = number;

    if (!number) {
        AX_TRY(get_real(a, &min, "min_val", -1, err));
        AX_TRY(get_real(a, &max, "max_val", 1, err));
    }
    AX_TRY(arch_number(a, &in[1], "min", 0, NULL, min, err));
    AX_TRY(arch_number(a, &in[2], "max", 0, NULL, max, err));
    return arch_node(a, out, AX_OP_Clip, "", in, 3, err);
}

static ax_status softmax(struct arch *a, uint32_t *out, int number,
                         struct ax_err *err)
{
    int64_t dim;

    if (!json_object_get(a->layer, "dim"))
        return ax_fail(err, AX_EFORMAT, "'dim' is missing");
    AX_TRY(get_int(a, &dim, "dim", -1, err));
    AX_TRY(arch_node(a, out, (ax_op)number, "", a->in, 1, err));
    return dim == -1 ? AX_OK : arch_attr_int(a, "axis", dim, err);
}

static ax_status concat(struct arch *a, uint32_t *out, int number,
                        struct ax_err *err)
{
    int64_t dim;

    (void)number;
    AX_TRY(get_int(a, &dim, "dim", 1, err));
    AX_TRY(arch_node(a, out, AX_OP_Concat, "", a->in, a->n_in, err));
    return arch_attr_int(a, "axis", dim, err);
}

/* x[:, :, ::2] and the like: "axes", "starts", "ends", "steps". */
static ax_status slice(struct arch *a, uint32_t *out, int number,
                       struct ax_err *err)
{
    static const char *const what[] = {"starts", "ends", "axes", "steps"};
    uint32_t in[5] = {a->in[0]};
    size_t count = 0;

    (void)number;
    for (int i = 0; i < 4; i++) {
        int64_t v[2 * AX_RANK_MAX];
        size_t n;

        AX_TRY(get_list(a, v, &n, what[i], err));
        if (i && n != count)
            return ax_fail(err, AX_EFORMAT,
                           "'%s' has %zu numbers, 'starts' has %zu", what[i],
                           n, count);
        count = n;
        AX_TRY(arch_ints(a, &in[1 + i], what[i], v, n, err));
    }
    return arch_node(a, out, AX_OP_Slice, "", in, 5, err);
}

/* Zeros: "pads" has those in front of each dimension, then those behind. */
static ax_status pad(struct arch *a, uint32_t *out, int number,
                     struct ax_err *err)
{
    uint32_t in[2] = {a->in[0], AX_NONE};
    int64_t v[2 * AX_RANK_MAX];
    size_t n;

    (void)number;
    AX_TRY(get_list(a, v, &n, "pads", err));
    AX_TRY(arch_ints(a, &in[1], "pads", v, n, err));
    return arch_node(a, out, AX_OP_Pad, "", in, 2, err);
}

#define WINDOWS "kernel_size stride padding dilation "
#define CONV    WINDOWS "groups in_channels out_channels bias padding_mode"
#define NORM    "num_features eps momentum affine track_running_stats"

static const struct kind {
    const char *type, *keys;
    layer_maker *make;
    int number;
    unsigned max_in; /* of one at least; 2 and more: at least two */
} kinds[] = {
    {"Linear", "in_features out_features bias", linear, 0, 1},
    {"Conv1d", CONV, conv, 1, 1},
    {"Conv2d", CONV, conv, 2, 1},
    {"Conv3d", CONV, conv, 3, 1},
    {"BatchNorm", NORM, batch_norm, 0, 1},
    {"BatchNorm1d", NORM, batch_norm, 0, 1},
    {"BatchNorm2d", NORM, batch_norm, 0, 1},
    {"BatchNorm3d", NORM, batch_norm, 0, 1},
    {"LayerNorm", "normalized_shape eps elementwise_affine bias", layer_norm,
     0, 1},
    {"ReLU", "inplace", operator, AX_OP_Relu, 1},
    {"ReLU6", "inplace", clip, 6, 1},
    {"Hardtanh", "min_val max_val inplace", clip, 0, 1},
    {"LeakyReLU", "negative_slope inplace", leaky_relu, 0, 1},
    {"ELU", "alpha inplace", elu, 0, 1},
    {"SELU", "inplace", operator, AX_OP_Selu, 1},
    {"GELU", "approximate", gelu, 0, 1},
    {"SiLU", "inplace", silu, 0, 1},
    {"Hardswish", "inplace", operator, AX_OP_HardSwish, 1},
    {"Sigmoid", "", operator, AX_OP_Sigmoid, 1},
    {"Tanh", "", operator, AX_OP_Tanh, 1},
    {"Softplus", "", operator, AX_OP_Softplus, 1},
    {"Softsign", "", operator, AX_OP_Softsign, 1},
    {"Softmax", "dim", softmax, AX_OP_Softmax, 1},
    {"LogSoftmax", "dim", softmax, AX_OP_LogSoftmax, 1},
    {"MaxPool1d", WINDOWS "ceil_mode return_indices", pool, 1, 1},
    {"MaxPool2d", WINDOWS "ceil_mode return_indices", pool, 2, 1},
    {"MaxPool3d", WINDOWS "ceil_mode return_indices", pool, 3, 1},
    {"AvgPool1d", "kernel_size stride padding ceil_mode count_include_pad",
     pool, -1, 1},
    {"AvgPool2d", "kernel_size stride padding ceil_mode count_include_pad",
     pool, -2, 1},
    {"AvgPool3d", "kernel_size stride padding ceil_mode count_include_pad",
     pool, -3, 1},
    {"AdaptiveAvgPool1d", "output_size", adaptive_pool, 1, 1},
    {"AdaptiveAvgPool2d", "output_size", adaptive_pool, 2, 1},
    {"AdaptiveAvgPool3d", "output_size", adaptive_pool, 3, 1},
    {"GlobalAvgPool", "", global_pool, 0, 1},
    {"Flatten", "start_dim end_dim", flatten, 0, 1},
    {"Identity", "", nothing, 0, 1},
    {"Dropout", "p inplace", nothing, 0, 1},
    {"Dropout1d", "p inplace", nothing, 0, 1},
    {"Dropout2d", "p inplace", nothing, 0, 1},
    {"Dropout3d", "p inplace", nothing, 0, 1},
    {"Add", "", operator, AX_OP_Add, 2},
    {"Sub", "", operator, AX_OP_Sub, 2},
    {"Mul", "", operator, AX_OP_Mul, 2},
    {"Concat", "dim", concat, 0, 64},
    {"Slice", "axes starts ends steps", slice, 0, 1},
    {"Pad", "pads", pad, 0, 1},
};

static bool has_word(const char *words, const char *word)
{
    size_t n = strlen(word);

    for (const char *p = words; n && (p = strstr(p, word)); p += n)
        if ((p == words || p[-1] == ' ') && (!p[n] || p[n] == ' '))
            return true;
    return false;
}

static ax_status check_keys(const struct arch *a, const struct kind *kind,
                            struct ax_err *err)
{
    json_t *layer = NULL;
    const char *key;
    json_t *value;

    memcpy(&layer, &a->layer, sizeof layer); /* iterators are not const */
    json_object_foreach(layer, key, value)
    {
        if (!has_word("type module name inputs params prefix comment", key) &&
            !has_word(kind->keys, key) &&
            !(json_is_array(value) &&
              has_word("weight bias running_mean running_var", key)))
            return ax_fail(err, AX_EFORMAT, "a %s has no '%.40s'", kind->type,
                           key);
    }
    if (has_word(kind->keys, "padding_mode") &&
        json_object_get(layer, "padding_mode") &&
        strcmp(json_string_value(json_object_get(layer, "padding_mode"))
                   ? json_string_value(json_object_get(layer, "padding_mode"))
                   : "",
               "zeros") != 0)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "'padding_mode' is not zeros, which is not supported");
    if (a->n_in > kind->max_in || (kind->max_in > 1 && a->n_in < 2))
        return ax_fail(err, AX_EFORMAT, "has %" PRIu32 " inputs, wants %s%u",
                       a->n_in, kind->max_in > 2 ? "2 to " : "",
                       kind->max_in);
    return AX_OK;
}

ax_status arch_layer(struct arch *a, uint32_t *out, struct ax_err *err)
{
    const json_t *type = json_object_get(a->layer, "type");
    const char *s;

    if (!type)
        type = json_object_get(a->layer, "module");
    s = json_string_value(type);
    if (!s)
        return ax_fail(err, AX_EFORMAT, "has no type");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].type, s) == 0) {
            if (check_keys(a, &kinds[i], err) != AX_OK ||
                kinds[i].make(a, out, kinds[i].number, err) != AX_OK)
                return ax_fail_in(err, "%s", s);
            return AX_OK;
        }
    return ax_fail(err, AX_EUNSUPPORTED,
                   "layers of type '%.40s' are not supported", s);
}
