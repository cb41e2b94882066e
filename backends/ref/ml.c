/* ai.onnx.ml: linear models, Normalizer, Scaler and the like. Trees are in
 * tree.c. Labels that are strings are not tensors here, and refused. */
#include "ref.h"

#include <math.h>
#include <string.h>

/* Rows of features: [n] is one row. */
static ax_status rows_of(int64_t *rows, int64_t *columns,
                         const struct ax_call *c, struct ax_err *err)
{
    AX_TRY(ref_want(
        c, 0, REALS | BIT(AX_I32) | BIT(AX_I64) | BIT(AX_U8) | BIT(AX_I8),
        err));
    AX_TRY(ref_want_rank(c, 0, 1, 2, err));
    *rows = c->in[0]->rank == 2 ? c->in[0]->dims[0] : 1;
    *columns = c->in[0]->dims[c->in[0]->rank - 1];
    return AX_OK;
}

static ax_status floats_of(const struct ax_attr **out,
                           const struct ax_node *node, const char *name,
                           size_t min, struct ax_err *err)
{
    *out = ax_node_attr(node, name);
    if (!*out && min == 0)
        return AX_OK;
    if (!*out || (*out)->kind != AX_ATTR_FLOATS || (*out)->n < min)
        return ax_fail(err, AX_EFORMAT, "attribute %s wants %zu numbers",
                       name, min);
    return AX_OK;
}

/* -- what comes after the scores ------------------------------------------
 */

static double inverse_erf(double x)
{
    double l = log((1 - x) * (1 + x)), a = 0.147, y;

    y = 2 / (3.14159265358979323846 * a) + l / 2;
    y = copysign(sqrt(sqrt(y * y - l / a) - y), x);
    for (int k = 0; k < 3; k++) /* Newton: the start is good to 2e-3 */
        y -= (erf(y) - x) / (1.12837916709551257390 * exp(-y * y));
    return y;
}

static void softmax(float *z, int64_t n, bool zeros_stay)
{
    double top = -HUGE_VAL, sum = 0;

    for (int64_t k = 0; k < n; k++)
        if (!zeros_stay || z[k] != 0)
            top = fmax(top, (double)z[k]);
    for (int64_t k = 0; k < n; k++)
        if (!zeros_stay || z[k] != 0)
            sum += exp((double)z[k] - top);
    for (int64_t k = 0; k < n; k++)
        if (!zeros_stay || z[k] != 0)
            z[k] = (float)(exp((double)z[k] - top) / sum);
}

ax_status ref_post_transform(float *z, int64_t n, const struct ax_node *node,
                             struct ax_err *err)
{
    const char *how = ax_node_string(node, "post_transform", "NONE");

    if (strcmp(how, "SOFTMAX") == 0)
        softmax(z, n, false);
    else if (strcmp(how, "SOFTMAX_ZERO") == 0)
        softmax(z, n, true);
    else if (strcmp(how, "LOGISTIC") == 0)
        for (int64_t k = 0; k < n; k++)
            z[k] = (float)(1 / (1 + exp(-(double)z[k])));
    else if (strcmp(how, "PROBIT") == 0)
        for (int64_t k = 0; k < n; k++)
            z[k] = (float)(1.41421356237309504880 *
                           inverse_erf(2 * (double)z[k] - 1));
    else if (strcmp(how, "NONE") != 0)
        return ax_fail(err, AX_EUNSUPPORTED, "post_transform '%.40s'", how);
    return AX_OK;
}

ax_status ref_second_class(float z[2], bool opposite_is_rest,
                           const struct ax_node *node, struct ax_err *err)
{
    const char *how = ax_node_string(node, "post_transform", "NONE");
    float s = z[0];

    z[1] = s;
    z[0] = opposite_is_rest && strcmp(how, "LOGISTIC") ? 1 - s : -s;
    return strcmp(how, "LOGISTIC") == 0 || strcmp(how, "PROBIT") == 0
               ? ref_post_transform(z, 2, node, err)
               : AX_OK;
}

ax_status ref_labels(const struct ax_attr **out, const struct ax_node *node,
                     const char *name, struct ax_err *err)
{
    *out = ax_node_attr(node, name);
    if (!*out || (*out)->kind != AX_ATTR_INTS || (*out)->n < 1)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "labels that are not integers (attribute %s)", name);
    return AX_OK;
}

/* -- linear models ---------------------------------------------------------
 */

/* The inputs as float32: themselves, or a copy until the call returns. */
static ax_status features(const float **out, struct ax_call *c,
                          struct ax_err *err)
{
    const struct ax_tensor *x = c->in[0];
    size_t n = ax_tensor_count(x);
    void *to;

    *out = x->data;
    if (x->dtype == AX_F32)
        return AX_OK;
    AX_TRY(ax_call_scratch(c, &to, n * sizeof(float), err));
    ax_cast(AX_F32, to, x->dtype, x->data, n);
    *out = to;
    return AX_OK;
}

/* Targets whose sums go side by side: none waits for another. */
#define ASIDE 8

/* scores [targets] of one row of inputs. */
static void linear_row(float *z, const float *x, int64_t columns,
                       int64_t targets, const float *coef,
                       const struct ax_attr *intercepts)
{
    for (int64_t t = 0; t < targets; t += ASIDE) {
        int64_t n = targets - t < ASIDE ? targets - t : ASIDE;
        const float *from[ASIDE];
        float sum[ASIDE] = {0};

        for (int i = 0; i < ASIDE; i++)
            from[i] = coef + (t + (i < n ? i : 0)) * columns;
        for (int64_t k = 0; k < columns; k++)
            _Pragma("GCC unroll 8") for (int i = 0; i < ASIDE; i++)
                sum[i] += x[k] * from[i][k];
        for (int64_t i = 0; i < n; i++)
            z[t + i] = sum[i] + (intercepts ? intercepts->floats[t + i] : 0);
    }
}

static ax_status linear_classifier(struct ax_call *c, struct ax_err *err)
{
    const struct ax_attr *coef, *intercepts, *labels;
    int64_t rows, columns, targets, *y;
    const float *x;
    bool second;
    float *z;

    AX_TRY(rows_of(&rows, &columns, c, err));
    AX_TRY(features(&x, c, err));
    AX_TRY(ref_labels(&labels, c->node, "classlabels_ints", err));
    AX_TRY(floats_of(&coef, c->node, "coefficients", 1, err));
    targets = columns ? (int64_t)coef->n / columns : 0;
    second = targets == 1 && labels->n == 2;
    if (targets < 1 || (size_t)(targets * columns) != coef->n ||
        (labels->n != (size_t)targets && !second))
        return ax_fail(err, AX_ESHAPE,
                       "%zu coefficients for %lld features and %zu labels",
                       coef->n, (long long)columns, labels->n);
    AX_TRY(floats_of(&intercepts, c->node, "intercepts", 0, err));
    if (intercepts && intercepts->n != (size_t)targets)
        return ax_fail(err, AX_ESHAPE, "%zu intercepts for %lld targets",
                       intercepts->n, (long long)targets);
    AX_TRY(ax_call_out(c, 0, AX_I64, 1, &rows, err));
    AX_TRY(ax_call_out(c, 1, AX_F32, 2, (int64_t[]){rows, (int64_t)labels->n},
                       err));
    y = c->out[0]->data;
    z = c->out[1]->data;
    for (int64_t r = 0; r < rows; r++, z += labels->n) {
        int64_t best = 0;

        linear_row(z, x + r * columns, columns, targets, coef->floats,
                   intercepts);
        for (int64_t k = 1; k < targets; k++)
            best = z[k] > z[best] ? k : best;
        y[r] = labels->ints[second ? z[0] > 0 : best];
        AX_TRY(second
                   ? ref_second_class(z, true, c->node, err)
                   : ref_post_transform(z, (int64_t)labels->n, c->node, err));
    }
    return AX_OK;
}

static ax_status linear_regressor(struct ax_call *c, struct ax_err *err)
{
    const struct ax_attr *coef, *intercepts;
    int64_t rows, columns, targets = ax_node_int(c->node, "targets", 1);
    const float *x;
    float *z;

    AX_TRY(rows_of(&rows, &columns, c, err));
    AX_TRY(features(&x, c, err));
    AX_TRY(floats_of(&coef, c->node, "coefficients", 1, err));
    AX_TRY(floats_of(&intercepts, c->node, "intercepts", 0, err));
    if (targets < 1 || targets > (int64_t)coef->n ||
        (size_t)(targets * columns) != coef->n ||
        (intercepts && intercepts->n != (size_t)targets))
        return ax_fail(err, AX_ESHAPE,
                       "%zu coefficients for %lld features and %lld targets",
                       coef->n, (long long)columns, (long long)targets);
    AX_TRY(ax_call_out(c, 0, AX_F32, 2, (int64_t[]){rows, targets}, err));
    z = c->out[0]->data;
    for (int64_t r = 0; r < rows; r++, z += targets) {
        linear_row(z, x + r * columns, columns, targets, coef->floats,
                   intercepts);
        AX_TRY(ref_post_transform(z, targets, c->node, err));
    }
    return AX_OK;
}

/* -- rows of features ------------------------------------------------------
 */

static ax_status normalizer(struct ax_call *c, struct ax_err *err)
{
    const char *norm = ax_node_string(c->node, "norm", "MAX");
    int64_t rows, columns;
    float *y;

    AX_TRY(rows_of(&rows, &columns, c, err));
    if (strcmp(norm, "MAX") && strcmp(norm, "L1") && strcmp(norm, "L2"))
        return ax_fail(err, AX_EUNSUPPORTED, "norm '%.40s'", norm);
    AX_TRY(ax_call_out(c, 0, AX_F32, c->in[0]->rank, c->in[0]->dims, err));
    y = c->out[0]->data;
    ax_cast(AX_F32, y, c->in[0]->dtype, c->in[0]->data,
            ax_tensor_count(c->in[0]));
    for (int64_t r = 0; r < rows; r++, y += columns) {
        double n = norm[0] == 'M' ? -HUGE_VAL : 0;

        for (int64_t k = 0; k < columns; k++) {
            double v = (double)y[k];

            n = norm[0] == 'M'   ? fmax(n, v)
                : norm[1] == '1' ? n + fabs(v)
                                 : n + v * v;
        }
        n = strcmp(norm, "L2") == 0 ? sqrt(n) : n;
        for (int64_t k = 0; k < columns && n != 0; k++)
            y[k] = (float)((double)y[k] / n);
    }
    return AX_OK;
}

/* (x - offset) * scale, one number for all columns or one a column. */
static ax_status scaler(struct ax_call *c, struct ax_err *err)
{
    const struct ax_attr *offset, *scale;
    int64_t rows, columns;
    float *y;

    AX_TRY(rows_of(&rows, &columns, c, err));
    AX_TRY(floats_of(&offset, c->node, "offset", 1, err));
    AX_TRY(floats_of(&scale, c->node, "scale", 1, err));
    if ((offset->n != 1 && offset->n != (size_t)columns) ||
        (scale->n != 1 && scale->n != (size_t)columns))
        return ax_fail(err, AX_ESHAPE,
                       "%zu offsets and %zu scales for %lld features",
                       offset->n, scale->n, (long long)columns);
    AX_TRY(ax_call_out(c, 0, AX_F32, c->in[0]->rank, c->in[0]->dims, err));
    y = c->out[0]->data;
    ax_cast(AX_F32, y, c->in[0]->dtype, c->in[0]->data,
            ax_tensor_count(c->in[0]));
    for (int64_t i = 0; i < rows * columns; i++) {
        size_t k = (size_t)(i % columns);

        y[i] = (y[i] - offset->floats[offset->n == 1 ? 0 : k]) *
               scale->floats[scale->n == 1 ? 0 : k];
    }
    return AX_OK;
}

static ax_status binarizer(struct ax_call *c, struct ax_err *err)
{
    double limit = (double)ax_node_float(c->node, "threshold", 0);
    const struct ax_tensor *x;

    AX_TRY(ref_want(c, 0, REALS | BIT(AX_I32) | BIT(AX_I64), err));
    AX_TRY(ax_call_out_over(c, 0, 0, err));
    x = c->in[0];
    for (size_t i = 0; i < ax_tensor_count(x); i++) {
        double v;

        ax_get_f64(&v, x->dtype, x->data, i, 1);
        v = v > limit;
        ax_put_f64(x->dtype, c->out[0]->data, i, &v, 1);
    }
    return AX_OK;
}

/* Columns by their indexes, along the last dimension. */
static ax_status feature_extractor(struct ax_call *c, struct ax_err *err)
{
    const struct ax_tensor *x, *ix;
    int64_t dims[AX_RANK_MAX], columns;
    size_t size, n;

    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    AX_TRY(ref_want(c, 1, BIT(AX_I64), err));
    AX_TRY(ref_want_rank(c, 0, 1, AX_RANK_MAX, err));
    x = c->in[0];
    ix = c->in[1];
    columns = x->dims[x->rank - 1];
    n = ax_tensor_count(ix);
    memcpy(dims, x->dims, sizeof dims);
    dims[x->rank - 1] = (int64_t)n;
    AX_TRY(ax_call_out(c, 0, x->dtype, x->rank, dims, err));
    size = ax_dtype_size(x->dtype);
    for (size_t i = 0; i < ax_tensor_count(c->out[0]); i++) {
        int64_t k = ((const int64_t *)ix->data)[i % n];

        if (k < 0 || k >= columns)
            return ax_fail(err, AX_ESHAPE, "index %lld of %lld", (long long)k,
                           (long long)columns);
        memcpy((char *)c->out[0]->data + i * size,
               (const char *)x->data +
                   (i / n * (size_t)columns + (size_t)k) * size,
               size);
    }
    return AX_OK;
}

const struct ax_kernel ref_ml[] = {
    {"ai.onnx.ml.ArrayFeatureExtractor", feature_extractor, NULL, NULL},
    {"ai.onnx.ml.Binarizer", binarizer, NULL, NULL},
    {"ai.onnx.ml.LinearClassifier", linear_classifier, NULL, NULL},
    {"ai.onnx.ml.LinearRegressor", linear_regressor, NULL, NULL},
    {"ai.onnx.ml.Normalizer", normalizer, NULL, NULL},
    {"ai.onnx.ml.Scaler", scaler, NULL, NULL},
    {0},
};
