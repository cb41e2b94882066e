/* The parts that networks are made of, as nodes. Activations are rows: a
 * matrix of one line for each token, so that a linear layer is one Gemm with
 * the weight as it lies in the file. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ax/element.h"
#include "formats/hf/hf.h"

/* ---- names and tensors ---- */

ax_status hf_at(struct hf *h, const char *prefix, struct ax_err *err,
                const char *fmt, ...)
{
    size_t n = strlen(prefix);
    va_list ap;
    int k;

    if (n >= sizeof h->path)
        return ax_fail(err, AX_EBUG, "a name that is too long");
    memcpy(h->path, prefix, n);
    va_start(ap, fmt);
    k = vsnprintf(h->path + n, sizeof h->path - n, fmt, ap);
    va_end(ap);
    if (k < 0 || (size_t)k >= sizeof h->path - n)
        return ax_fail(err, AX_EBUG, "a name that is too long");
    h->a.name = h->path;
    return AX_OK;
}

struct hf_name hf_part(const char *what, const char *part)
{
    struct hf_name out;

    snprintf(out.s, sizeof out.s, "%.300s%s%.80s", what,
             *what && *part ? "." : "", part);
    return out;
}

bool hf_has(const struct hf *h, const char *what)
{
    return arch_find(&h->a, hf_part(h->path, what).s) != NULL;
}

bool hf_any(const struct hf *h, const char *prefix)
{
    for (size_t i = 0; i < h->a.n_entries; i++)
        if (strncmp(h->a.entry[i].name, prefix, strlen(prefix)) == 0)
            return true;
    return false;
}

static ax_status find_entry(const struct hf *h, struct arch_entry **out,
                            const char *what, int rank, const int64_t *dims,
                            struct ax_err *err)
{
    struct hf_name name = hf_part(h->path, what);
    char is[160], want[160];
    const struct ax_weight *w;

    *out = arch_find(&h->a, name.s);
    if (!*out)
        return ax_fail(err, AX_EFORMAT, "the weights have no tensor '%s'",
                       name.s);
    w = (*out)->w;
    if (w->rank == rank &&
        memcmp(w->dims, dims, (size_t)rank * sizeof *dims) == 0)
        return AX_OK;
    return ax_fail(err, AX_ESHAPE,
                   "tensor '%s' is %s, the configuration wants %s", name.s,
                   ax_shape_text(is, sizeof is, w->type, w->rank, w->dims),
                   ax_shape_text(want, sizeof want, w->type, rank, dims));
}

/* Only types that are exact in float32. */
static ax_status check_type(const struct arch_entry *e, struct ax_err *err)
{
    if (e->w->type == AX_F32 || e->w->type == AX_F16 || e->w->type == AX_BF16)
        return AX_OK;
    return ax_fail(err, AX_EUNSUPPORTED,
                   "tensor '%s' is of type %s: only float32, float16 and "
                   "bfloat16 are supported",
                   e->name, e->w->dtype);
}

ax_status hf_raw(struct hf *h, uint32_t *v, const char *what, int rank,
                 const int64_t *dims, struct ax_err *err)
{
    struct arch_entry *e;

    AX_TRY(find_entry(h, &e, what, rank, dims, err));
    AX_TRY(check_type(e, err));
    return arch_take(&h->a, v, e, err);
}

static ax_status to_float(struct hf *h, uint32_t *out, const char *what,
                          uint32_t x, struct ax_err *err)
{
    AX_TRY(arch_node1(&h->a, out, AX_OP_Cast, what, x, err));
    return arch_attr_int(&h->a, "to", AX_F32, err);
}

ax_status hf_weight(struct hf *h, uint32_t *v, const char *what, int rank,
                    const int64_t *dims, struct ax_err *err)
{
    struct arch_entry *e;

    AX_TRY(find_entry(h, &e, what, rank, dims, err));
    AX_TRY(check_type(e, err));
    AX_TRY(arch_take(&h->a, v, e, err));
    if (e->w->type == AX_F32)
        return AX_OK;
    if (e->cast == AX_NONE) {
        AX_TRY(to_float(h, &e->cast, hf_part(what, "float").s, *v, err));
    }
    *v = e->cast;
    return AX_OK;
}

ax_status hf_vector(struct hf *h, uint32_t *v, const char *what, int64_t n,
                    struct ax_err *err)
{
    return hf_weight(h, v, what, 1, &n, err);
}

/* ---- nodes ---- */

ax_status hf_integer(struct hf *h, uint32_t *v, const char *what, int64_t i,
                     struct ax_err *err)
{
    struct ax_tensor t;

    AX_TRY(ax_tensor_new(&t, AX_I64, 0, NULL, err));
    ax_put_i64(AX_I64, t.data, 0, &i, 1);
    return arch_constant(&h->a, v, h->a.name, what, &t, err);
}

ax_status hf_scalar(struct hf *h, uint32_t *out, ax_op op, const char *what,
                    uint32_t x, double y, struct ax_err *err)
{
    uint32_t v;

    AX_TRY(
        arch_number(&h->a, &v, hf_part(what, "number").s, 0, NULL, y, err));
    return arch_node2(&h->a, out, op, what, x, v, err);
}

ax_status hf_reshape(struct hf *h, uint32_t *out, const char *what,
                     uint32_t x, const int64_t *dims, size_t n,
                     struct ax_err *err)
{
    uint32_t v;

    AX_TRY(arch_ints(&h->a, &v, hf_part(what, "shape").s, dims, n, err));
    return arch_node2(&h->a, out, AX_OP_Reshape, what, x, v, err);
}

ax_status hf_transpose(struct hf *h, uint32_t *out, const char *what,
                       uint32_t x, const int64_t *perm, size_t n,
                       struct ax_err *err)
{
    AX_TRY(arch_node1(&h->a, out, AX_OP_Transpose, what, x, err));
    return arch_attr_ints(&h->a, "perm", perm, n, err);
}

ax_status hf_slice(struct hf *h, uint32_t *out, const char *what, uint32_t x,
                   int64_t axis, int64_t from, int64_t to, struct ax_err *err)
{
    static const char *const names[] = {"from", "to", "axis"};
    const int64_t values[] = {from, to, axis};
    uint32_t in[4] = {x};

    for (size_t i = 0; i < 3; i++)
        AX_TRY(arch_ints(&h->a, &in[1 + i], hf_part(what, names[i]).s,
                         &values[i], 1, err));
    return arch_node(&h->a, out, AX_OP_Slice, what, in, 4, err);
}

/* ---- layers ---- */

static ax_status product(struct hf *h, uint32_t *out, uint32_t x,
                         const char *what, const int64_t *dims, int64_t bias,
                         bool turned, struct ax_err *err)
{
    uint32_t in[3] = {x, AX_NONE, AX_NONE};

    AX_TRY(hf_weight(h, &in[1], hf_part(what, "weight").s, 2, dims, err));
    if (bias) {
        AX_TRY(hf_vector(h, &in[2], hf_part(what, "bias").s, bias, err));
    }
    AX_TRY(arch_node(&h->a, out, AX_OP_Gemm, what, in, 3, err));
    return turned ? arch_attr_int(&h->a, "transB", 1, err) : AX_OK;
}

ax_status hf_linear(struct hf *h, uint32_t *out, uint32_t x, const char *what,
                    int64_t n_in, int64_t n_out, bool bias,
                    struct ax_err *err)
{
    const int64_t dims[] = {n_out, n_in};

    return product(h, out, x, what, dims, bias ? n_out : 0, true, err);
}

ax_status hf_conv1d(struct hf *h, uint32_t *out, uint32_t x, const char *what,
                    int64_t n_in, int64_t n_out, struct ax_err *err)
{
    const int64_t dims[] = {n_in, n_out};

    return product(h, out, x, what, dims, n_out, false, err);
}

ax_status hf_convolution(struct hf *h, uint32_t *out, uint32_t x,
                         const char *what, int64_t n_in, int64_t n_out,
                         const int64_t *kernel, const int64_t *stride,
                         bool padded, bool bias, struct ax_err *err)
{
    const int64_t dims[] = {n_out, n_in, kernel[0], kernel[1]},
                  pads[] = {kernel[0] / 2, kernel[1] / 2, kernel[0] / 2,
                            kernel[1] / 2};
    uint32_t in[3] = {x, AX_NONE, AX_NONE};

    AX_TRY(hf_weight(h, &in[1], hf_part(what, "weight").s, 4, dims, err));
    if (bias)
        AX_TRY(hf_vector(h, &in[2], hf_part(what, "bias").s, n_out, err));
    AX_TRY(arch_node(&h->a, out, AX_OP_Conv, what, in, 3, err));
    AX_TRY(arch_attr_ints(&h->a, "kernel_shape", kernel, 2, err));
    if (stride[0] != 1 || stride[1] != 1)
        AX_TRY(arch_attr_ints(&h->a, "strides", stride, 2, err));
    return padded && (pads[0] || pads[1])
               ? arch_attr_ints(&h->a, "pads", pads, 4, err)
               : AX_OK;
}

ax_status hf_batch_norm(struct hf *h, uint32_t *out, uint32_t x,
                        const char *what, int64_t n, struct ax_err *err)
{
    static const char *const names[] = {"weight", "bias", "running_mean",
                                        "running_var"};
    uint32_t in[5] = {x};

    for (int i = 0; i < 4; i++)
        AX_TRY(hf_vector(h, &in[1 + i], hf_part(what, names[i]).s, n, err));
    return arch_node(&h->a, out, AX_OP_BatchNormalization, what, in, 5, err);
}

/* Old files call scale and shift gamma and beta. */
ax_status hf_layer_norm(struct hf *h, uint32_t *out, uint32_t x,
                        const char *what, int64_t n, double eps,
                        struct ax_err *err)
{
    bool old = hf_has(h, hf_part(what, "gamma").s);
    uint32_t in[3] = {x};

    AX_TRY(hf_vector(h, &in[1], hf_part(what, old ? "gamma" : "weight").s, n,
                     err));
    AX_TRY(
        hf_vector(h, &in[2], hf_part(what, old ? "beta" : "bias").s, n, err));
    AX_TRY(arch_node(&h->a, out, AX_OP_LayerNormalization, what, in, 3, err));
    return (float)eps == 1e-5f ? AX_OK
                               : arch_attr_float(&h->a, "epsilon", eps, err);
}

/* w x / sqrt(mean(x x) + eps). Source: Zhang and Sennrich, Root mean square
 * layer normalization, 2019. */
ax_status hf_rms_norm(struct hf *h, uint32_t *out, uint32_t x,
                      const char *what, int64_t n, double eps,
                      struct ax_err *err)
{
    static const int64_t last = -1;
    uint32_t v, w;

    AX_TRY(hf_vector(h, &w, hf_part(what, "weight").s, n, err));
    AX_TRY(arch_node2(&h->a, &v, AX_OP_Mul, hf_part(what, "square").s, x, x,
                      err));
    AX_TRY(arch_node1(&h->a, &v, AX_OP_ReduceMean, hf_part(what, "mean").s, v,
                      err));
    AX_TRY(arch_attr_ints(&h->a, "axes", &last, 1, err));
    AX_TRY(
        hf_scalar(h, &v, AX_OP_Add, hf_part(what, "shift").s, v, eps, err));
    AX_TRY(
        arch_node1(&h->a, &v, AX_OP_Sqrt, hf_part(what, "root").s, v, err));
    AX_TRY(arch_node2(&h->a, &v, AX_OP_Div, hf_part(what, "ratio").s, x, v,
                      err));
    return arch_node2(&h->a, out, AX_OP_Mul, what, v, w, err);
}

/* x / 2 (1 + erf(x / sqrt 2)), in operators that old runtimes have. */
static ax_status gelu(struct hf *h, uint32_t *out, uint32_t x,
                      const char *what, struct ax_err *err)
{
    uint32_t v, half;

    AX_TRY(hf_scalar(h, &v, AX_OP_Mul, hf_part(what, "scaled").s, x,
                     sqrt(0.5), err));
    AX_TRY(arch_node1(&h->a, &v, AX_OP_Erf, hf_part(what, "erf").s, v, err));
    AX_TRY(hf_scalar(h, &v, AX_OP_Add, hf_part(what, "one").s, v, 1, err));
    AX_TRY(
        hf_scalar(h, &half, AX_OP_Mul, hf_part(what, "half").s, x, 0.5, err));
    return arch_node2(&h->a, out, AX_OP_Mul, what, half, v, err);
}

/* x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))). */
static ax_status gelu_tanh(struct hf *h, uint32_t *out, uint32_t x,
                           const char *what, struct ax_err *err)
{
    static const double root = 0.79788456080286535588;
    uint32_t v, half;

    AX_TRY(arch_node2(&h->a, &v, AX_OP_Mul, hf_part(what, "square").s, x, x,
                      err));
    AX_TRY(
        arch_node2(&h->a, &v, AX_OP_Mul, hf_part(what, "cube").s, v, x, err));
    AX_TRY(hf_scalar(h, &v, AX_OP_Mul, hf_part(what, "small").s, v, 0.044715,
                     err));
    AX_TRY(
        arch_node2(&h->a, &v, AX_OP_Add, hf_part(what, "sum").s, x, v, err));
    AX_TRY(
        hf_scalar(h, &v, AX_OP_Mul, hf_part(what, "scaled").s, v, root, err));
    AX_TRY(
        arch_node1(&h->a, &v, AX_OP_Tanh, hf_part(what, "tanh").s, v, err));
    AX_TRY(hf_scalar(h, &v, AX_OP_Add, hf_part(what, "one").s, v, 1, err));
    AX_TRY(
        hf_scalar(h, &half, AX_OP_Mul, hf_part(what, "half").s, x, 0.5, err));
    return arch_node2(&h->a, out, AX_OP_Mul, what, half, v, err);
}

/* x sigmoid(k x). */
static ax_status silu(struct hf *h, uint32_t *out, uint32_t x,
                      const char *what, double k, struct ax_err *err)
{
    uint32_t v = x;

    if (k != 1)
        AX_TRY(hf_scalar(h, &v, AX_OP_Mul, hf_part(what, "scaled").s, x, k,
                         err));
    AX_TRY(arch_node1(&h->a, &v, AX_OP_Sigmoid, hf_part(what, "sigmoid").s, v,
                      err));
    return arch_node2(&h->a, out, AX_OP_Mul, what, x, v, err);
}

ax_status hf_activation(struct hf *h, uint32_t *out, uint32_t x,
                        const char *what, const char *name,
                        struct ax_err *err)
{
    static const struct {
        const char *name;
        ax_op op; /* or none: see below */
        int kind;
    } all[] = {
        {"relu", AX_OP_Relu, 0},        {"tanh", AX_OP_Tanh, 0},
        {"sigmoid", AX_OP_Sigmoid, 0},  {"silu", AX_OP_NONE, 1},
        {"swish", AX_OP_NONE, 1},       {"gelu", AX_OP_NONE, 2},
        {"gelu_python", AX_OP_NONE, 2}, {"gelu_new", AX_OP_NONE, 3},
        {"gelu_fast", AX_OP_NONE, 3},   {"gelu_pytorch_tanh", AX_OP_NONE, 3},
        {"quick_gelu", AX_OP_NONE, 4},
    };

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(all[i].name, name) == 0)
            switch (all[i].kind) {
            case 1:
                return silu(h, out, x, what, 1, err);
            case 2:
                return gelu(h, out, x, what, err);
            case 3:
                return gelu_tanh(h, out, x, what, err);
            case 4:
                return silu(h, out, x, what, 1.702, err);
            default:
                return arch_node1(&h->a, out, all[i].op, what, x, err);
            }
    return ax_fail(err, AX_EUNSUPPORTED,
                   "the activation '%.40s' is not supported", name);
}

ax_status hf_embed_again(struct hf *h, uint32_t *out, uint32_t ids,
                         const char *what, const char *as, int64_t n,
                         int64_t width, struct ax_err *err)
{
    const int64_t dims[] = {n, width};
    uint32_t w;

    AX_TRY(hf_raw(h, &w, hf_part(what, "weight").s, 2, dims, err));
    if (h->a.g->values[w].dtype == AX_F32)
        return arch_node2(&h->a, out, AX_OP_Gather, as, w, ids, err);
    AX_TRY(arch_node2(&h->a, out, AX_OP_Gather, hf_part(as, "picked").s, w,
                      ids, err));
    return to_float(h, out, as, *out, err);
}

ax_status hf_embed(struct hf *h, uint32_t *out, uint32_t ids,
                   const char *what, int64_t n, int64_t width,
                   struct ax_err *err)
{
    return hf_embed_again(h, out, ids, what, what, n, width, err);
}

/* ---- inputs and outputs ---- */

ax_status hf_input(struct hf *h, uint32_t *v, const char *name,
                   ax_dtype dtype, int rank, const int64_t *dims,
                   const char *const *names, struct ax_err *err)
{
    struct ax_value *value;

    AX_TRY(arch_value(&h->a, v, name, "", err));
    value = &h->a.g->values[*v];
    value->dtype = dtype;
    value->rank = rank;
    for (int i = 0; i < rank; i++) {
        value->dims[i] = dims[i];
        if (dims[i] < 0 && !(value->dim_names[i] = strdup(names[i])))
            return ax_fail(err, AX_ENOMEM, "no memory for a name");
    }
    return arch_push(&h->a.g->inputs, &h->a.g->n_inputs, *v, err);
}

ax_status hf_output(struct hf *h, const char *name, uint32_t x,
                    struct ax_err *err)
{
    AX_TRY(hf_at(h, "", err, "%s", name));
    AX_TRY(arch_node1(&h->a, &x, AX_OP_Identity, "", x, err));
    return arch_push(&h->a.g->outputs, &h->a.g->n_outputs, x, err);
}
