/* Positions, masks and attention. Batch and length of the sequence may both
 * be free: what needs them takes them from the shape of the ids. */
#include <float.h>
#include <string.h>

#include "ax/element.h"
#include "formats/hf/hf.h"

/* ---- inputs ---- */

/* What the option --inputs lists; *types is whether there may be types. */
static ax_status read_inputs(const struct hf *h, bool *mask, bool *types,
                             struct ax_err *err)
{
    const char *p = h->opt->inputs;
    bool may = *types;

    *mask = *types = false;
    while (p && *p) {
        size_t n = strcspn(p, ",");

        if (n == 14 && memcmp(p, "attention_mask", n) == 0)
            *mask = true;
        else if (may && n == 14 && memcmp(p, "token_type_ids", n) == 0)
            *types = true;
        else
            return ax_fail(err, AX_EUSAGE, "this network has no input '%.*s'",
                           n > 40 ? 40 : (int)n, p);
        p += n + (p[n] == ',');
    }
    return AX_OK;
}

ax_status hf_no_text(const struct hf *h, struct ax_err *err)
{
    if (h->opt->seq || h->opt->inputs)
        return ax_fail(err, AX_EUSAGE,
                       "--seq and --inputs are for models of language");
    return AX_OK;
}

ax_status hf_check_heads(int64_t hidden, int64_t heads, struct ax_err *err)
{
    if (hidden % heads)
        return ax_fail(err, AX_EFORMAT,
                       "%lld heads do not divide %lld numbers",
                       (long long)heads, (long long)hidden);
    return AX_OK;
}

static ax_status need_shape(struct hf *h, struct ax_err *err)
{
    if (h->shape != AX_NONE)
        return AX_OK;
    AX_TRY(hf_at(h, "", err, "shape"));
    return arch_node1(&h->a, &h->shape, AX_OP_Shape, "", h->ids, err);
}

/* 0, 1, ... to the length of the sequence. */
static ax_status positions(struct hf *h, struct ax_err *err)
{
    uint32_t in[3], axis;

    if (h->seq > 0) {
        const int64_t dims[] = {h->seq};
        struct ax_tensor t;

        AX_TRY(ax_tensor_new(&t, AX_I64, 1, dims, err));
        for (int64_t i = 0; i < h->seq; i++)
            ax_put_i64(AX_I64, t.data, (size_t)i, &i, 1);
        return arch_constant(&h->a, &h->positions, "positions", "", &t, err);
    }
    AX_TRY(need_shape(h, err));
    AX_TRY(hf_at(h, "", err, "positions"));
    AX_TRY(hf_integer(h, &in[0], "first", 0, err));
    AX_TRY(hf_integer(h, &axis, "axis", 1, err));
    AX_TRY(hf_integer(h, &in[2], "step", 1, err));
    AX_TRY(
        arch_node2(&h->a, &in[1], AX_OP_Gather, "end", h->shape, axis, err));
    return arch_node(&h->a, &h->positions, AX_OP_Range, "", in, 3, err);
}

/* 0 where a token may look, the lowest number where not: [seq, seq] if
 * nothing but what comes later is hidden, else [batch, 1, 1 or seq, seq]. */
static ax_status mask(struct hf *h, bool causal, struct ax_err *err)
{
    static const int64_t column[] = {-1, 1}, row[] = {1, -1}, one[] = {1, 2};
    uint32_t later = AX_NONE, there = AX_NONE, in[3], axes, zero;

    AX_TRY(hf_at(h, "", err, "mask"));
    if (causal) {
        AX_TRY(hf_reshape(h, &in[0], "key", h->positions, row, 2, err));
        AX_TRY(hf_reshape(h, &in[1], "query", h->positions, column, 2, err));
        AX_TRY(arch_node(&h->a, &later, AX_OP_LessOrEqual, "causal", in, 2,
                         err));
    }
    if (causal && h->window) {
        AX_TRY(hf_integer(h, &zero, "window", h->window, err));
        AX_TRY(
            arch_node2(&h->a, &in[1], AX_OP_Sub, "first", in[1], zero, err));
        AX_TRY(
            arch_node2(&h->a, &in[1], AX_OP_Less, "near", in[1], in[0], err));
        AX_TRY(arch_node2(&h->a, &later, AX_OP_And, "seen.near", later, in[1],
                          err));
    }
    if (h->padding != AX_NONE) {
        AX_TRY(hf_integer(h, &zero, "zero", 0, err));
        AX_TRY(arch_ints(&h->a, &axes, "axes", one, 2, err));
        AX_TRY(arch_node2(&h->a, &there, AX_OP_Equal, "padded", h->padding,
                          zero, err));
        AX_TRY(arch_node1(&h->a, &there, AX_OP_Not, "there", there, err));
        AX_TRY(arch_node2(&h->a, &there, AX_OP_Unsqueeze, "row", there, axes,
                          err));
    }
    in[0] = later == AX_NONE ? there : later;
    if (later != AX_NONE && there != AX_NONE)
        AX_TRY(
            arch_node2(&h->a, &in[0], AX_OP_And, "both", later, there, err));
    AX_TRY(arch_number(&h->a, &in[1], "seen", 0, NULL, 0, err));
    AX_TRY(arch_number(&h->a, &in[2], "hidden", 0, NULL, -FLT_MAX, err));
    return arch_node(&h->a, &h->mask, AX_OP_Where, "", in, 3, err);
}

ax_status hf_text_inputs(struct hf *h, bool causal, bool types,
                         struct ax_err *err)
{
    static const char *const names[] = {"batch", "sequence"};
    const int64_t dims[] = {h->batch, h->seq};
    bool masked;

    AX_TRY(read_inputs(h, &masked, &types, err));
    AX_TRY(hf_input(h, &h->ids, "input_ids", AX_I64, 2, dims, names, err));
    if (masked)
        AX_TRY(hf_input(h, &h->padding, "attention_mask", AX_I64, 2, dims,
                        names, err));
    if (types)
        AX_TRY(hf_input(h, &h->types, "token_type_ids", AX_I64, 2, dims,
                        names, err));
    AX_TRY(positions(h, err));
    if (causal || h->padding != AX_NONE)
        AX_TRY(mask(h, causal, err));
    return AX_OK;
}

ax_status hf_unfold(struct hf *h, uint32_t *out, const char *what, uint32_t x,
                    int64_t heads, int64_t n, struct ax_err *err)
{
    const int64_t dims[] = {h->batch, h->seq, heads ? heads : n, n};
    size_t rank = heads ? 4 : 3;
    char path[sizeof h->path];
    uint32_t in[2], v;

    if (h->batch > 0 || h->seq > 0)
        return hf_reshape(h, out, what, x, dims, rank, err);
    memcpy(path, h->path, sizeof path);
    AX_TRY(need_shape(h, err));
    AX_TRY(hf_at(h, path, err, "%s", ""));
    in[0] = h->shape;
    AX_TRY(arch_ints(&h->a, &in[1], hf_part(what, "tail").s, dims + 2,
                     rank - 2, err));
    AX_TRY(arch_node(&h->a, &v, AX_OP_Concat, hf_part(what, "shape").s, in, 2,
                     err));
    AX_TRY(arch_attr_int(&h->a, "axis", 0, err));
    return arch_node2(&h->a, out, AX_OP_Reshape, what, x, v, err);
}

/* ---- attention ---- */

ax_status hf_rotary(struct hf *h, struct hf_attention *a, const float *freq,
                    struct ax_err *err)
{
    static const int64_t column[] = {-1, 1, 1};
    const int64_t dims[] = {a->dim / 2};
    struct ax_tensor t;
    uint32_t v, f;

    AX_TRY(hf_at(h, "", err, "rotary"));
    AX_TRY(ax_tensor_new(&t, AX_F32, 1, dims, err));
    memcpy(t.data, freq, t.nbytes);
    AX_TRY(arch_constant(&h->a, &f, "rotary", "frequencies", &t, err));
    AX_TRY(arch_node1(&h->a, &v, AX_OP_Cast, "position", h->positions, err));
    AX_TRY(arch_attr_int(&h->a, "to", AX_F32, err));
    AX_TRY(hf_reshape(h, &v, "column", v, column, 3, err));
    AX_TRY(arch_node2(&h->a, &v, AX_OP_Mul, "angle", v, f, err));
    AX_TRY(arch_node1(&h->a, &a->cos, AX_OP_Cos, "cos", v, err));
    return arch_node1(&h->a, &a->sin, AX_OP_Sin, "sin", v, err);
}

/* Turn X [batch, seq, heads, dim] by the angles of its positions. Source: Su
 * et al., RoFormer, 2021; halves instead of pairs is how Hugging Face lays
 * out the weights. */
static ax_status turn(struct hf *h, uint32_t *out, const char *what,
                      uint32_t x, const struct hf_attention *a,
                      struct ax_err *err)
{
    const int64_t half = a->dim / 2, pairs[] = {0, 0, 0, half, 2},
                  whole[] = {0, 0, 0, a->dim};
    uint32_t v[2], p, q, in[2];
    static const int64_t last[] = {-1}, flat[] = {0, 0, 0, -1};

    if (a->pairs)
        AX_TRY(hf_reshape(h, &x, hf_part(what, "pairs").s, x, pairs, 5, err));
    for (int i = 0; i < 2; i++) {
        const char *side = i ? "right" : "left";

        AX_TRY(hf_slice(h, &v[i], hf_part(what, side).s, x, -1,
                        a->pairs ? i : i * half,
                        a->pairs ? i + 1 : (i + 1) * half, err));
        if (a->pairs)
            AX_TRY(hf_reshape(h, &v[i], hf_part(what, i ? "odd" : "even").s,
                              v[i], flat, 4, err));
    }
    for (int i = 0; i < 2; i++) {
        struct hf_name n = hf_part(what, i ? "second" : "first");

        AX_TRY(arch_node2(&h->a, &p, AX_OP_Mul, hf_part(n.s, "cos").s, v[i],
                          a->cos, err));
        AX_TRY(arch_node2(&h->a, &q, AX_OP_Mul, hf_part(n.s, "sin").s, v[!i],
                          a->sin, err));
        AX_TRY(arch_node2(&h->a, &in[i], i ? AX_OP_Add : AX_OP_Sub, n.s, p, q,
                          err));
    }
    if (!a->pairs) {
        AX_TRY(arch_node(&h->a, out, AX_OP_Concat, hf_part(what, "turned").s,
                         in, 2, err));
        return arch_attr_int(&h->a, "axis", -1, err);
    }
    for (int i = 0; i < 2; i++) {
        AX_TRY(arch_ints(&h->a, &q, hf_part(what, i ? "axes2" : "axes1").s,
                         last, 1, err));
        AX_TRY(arch_node2(&h->a, &in[i], AX_OP_Unsqueeze,
                          hf_part(what, i ? "column2" : "column1").s, in[i],
                          q, err));
    }
    AX_TRY(arch_node(&h->a, &p, AX_OP_Concat, hf_part(what, "both").s, in, 2,
                     err));
    AX_TRY(arch_attr_int(&h->a, "axis", -1, err));
    return hf_reshape(h, out, hf_part(what, "turned").s, p, whole, 4, err);
}

/* Heads that share keys and values make one more dimension before theirs:
 * [batch, kv_heads, heads / kv_heads, seq, dim] and [..., 1, ...]. */
static ax_status share(struct hf *h, uint32_t *q, uint32_t *k, uint32_t *v,
                       uint32_t *hidden, const struct hf_attention *a,
                       struct ax_err *err)
{
    const int64_t groups[] = {0, a->kv_heads, a->heads / a->kv_heads, -1,
                              a->dim};
    static const int64_t one[] = {1}, two[] = {2};
    uint32_t axes;

    if (h->padding != AX_NONE) {
        AX_TRY(arch_ints(&h->a, &axes, "mask.axes", one, 1, err));
        AX_TRY(arch_node2(&h->a, hidden, AX_OP_Unsqueeze, "mask.shared",
                          *hidden, axes, err));
    }
    AX_TRY(arch_ints(&h->a, &axes, "shared.axes", two, 1, err));
    AX_TRY(hf_reshape(h, q, "query.groups", *q, groups, 5, err));
    AX_TRY(
        arch_node2(&h->a, k, AX_OP_Unsqueeze, "key.shared", *k, axes, err));
    return arch_node2(&h->a, v, AX_OP_Unsqueeze, "value.shared", *v, axes,
                      err);
}

ax_status hf_attend(struct hf *h, uint32_t *out, uint32_t q, uint32_t k,
                    uint32_t v, const struct hf_attention *a,
                    struct ax_err *err)
{
    static const int64_t swap[] = {0, 2, 1, 3}, turned[] = {0, 2, 3, 1};
    const int64_t heads[] = {0, a->heads, -1, a->dim},
                  rows[] = {-1, a->heads * a->dim};
    uint32_t x, hidden = h->mask;

    AX_TRY(hf_unfold(h, &q, "query", q, a->heads, a->dim, err));
    AX_TRY(hf_unfold(h, &k, "key", k, a->kv_heads, a->dim, err));
    AX_TRY(hf_unfold(h, &v, "value", v, a->kv_heads, a->dim, err));
    if (a->cos != AX_NONE) {
        AX_TRY(turn(h, &q, "query", q, a, err));
        AX_TRY(turn(h, &k, "key", k, a, err));
    }
    AX_TRY(hf_transpose(h, &q, "query.heads", q, swap, 4, err));
    AX_TRY(hf_transpose(h, &k, "key.heads", k, turned, 4, err));
    AX_TRY(hf_transpose(h, &v, "value.heads", v, swap, 4, err));
    if (a->heads != a->kv_heads)
        AX_TRY(share(h, &q, &k, &v, &hidden, a, err));
    if (a->scale != 1)
        AX_TRY(hf_scalar(h, &q, AX_OP_Mul, "query.scaled", q, a->scale, err));
    AX_TRY(arch_node2(&h->a, &x, AX_OP_MatMul, "scores", q, k, err));
    if (hidden != AX_NONE)
        AX_TRY(arch_node2(&h->a, &x, AX_OP_Add, "masked", x, hidden, err));
    AX_TRY(arch_node1(&h->a, &x, AX_OP_Softmax, "weights", x, err));
    AX_TRY(arch_node2(&h->a, &x, AX_OP_MatMul, "context", x, v, err));
    if (a->heads != a->kv_heads)
        AX_TRY(hf_reshape(h, &x, "context.heads", x, heads, 4, err));
    AX_TRY(hf_transpose(h, &x, "context.tokens", x, swap, 4, err));
    return hf_reshape(h, out, "context.rows", x, rows, 2, err);
}
