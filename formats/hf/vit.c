/* Vision transformers: an image in patches, each a token. Source: Dosovitskiy
 * et al., An image is worth 16x16 words, 2021; modeling_vit.py of
 * transformers for names. */
#include <math.h>
#include <string.h>

#include "formats/hf/hf.h"

struct shape {
    int64_t hidden, inner, layers, heads, channels, tokens, pooled;
    int64_t image[2], patch[2];
    double eps;
    bool bias;
    const char *activation, *pooling;
};

/* What the parts of a layer are called: as files have it, and as
 * transformers 5 has it in memory. */
struct names {
    const char *layer, *part[3], *out, *up, *down;
};

static const struct names usual = {
    .layer = "encoder.layer.",
    .part = {"attention.attention.query", "attention.attention.key",
             "attention.attention.value"},
    .out = "attention.output.dense",
    .up = "intermediate.dense",
    .down = "output.dense",
};

static const struct names newer = {
    .layer = "layers.",
    .part = {"attention.q_proj", "attention.k_proj", "attention.v_proj"},
    .out = "attention.o_proj",
    .up = "mlp.fc1",
    .down = "mlp.fc2",
};

static ax_status read_shape(struct hf *h, struct shape *s, struct ax_err *err)
{
    struct hf_config *c = &h->config;

    AX_TRY(hf_count(c, &s->hidden, "hidden_size", 768, err));
    AX_TRY(hf_count(c, &s->layers, "num_hidden_layers", 12, err));
    AX_TRY(hf_count(c, &s->heads, "num_attention_heads", 12, err));
    AX_TRY(hf_count(c, &s->inner, "intermediate_size", 3072, err));
    AX_TRY(hf_count(c, &s->channels, "num_channels", 3, err));
    AX_TRY(hf_pair(c, s->image, "image_size", 224, err));
    AX_TRY(hf_pair(c, s->patch, "patch_size", 16, err));
    AX_TRY(hf_text(c, &s->activation, "hidden_act", "gelu", err));
    AX_TRY(hf_real(c, &s->eps, "layer_norm_eps", 1e-12, err));
    AX_TRY(hf_bool(c, &s->bias, "qkv_bias", true, err));
    AX_TRY(hf_count(c, &s->pooled, "pooler_output_size", s->hidden, err));
    AX_TRY(hf_text(c, &s->pooling, "pooler_act", "tanh", err));
    if (s->image[0] < s->patch[0] || s->image[1] < s->patch[1])
        return ax_fail(err, AX_EFORMAT, "'image_size' is below 'patch_size'");
    s->tokens = (s->image[0] / s->patch[0]) * (s->image[1] / s->patch[1]) + 1;
    return hf_check_heads(s->hidden, s->heads, err);
}

/* Zeros: BEFORE in front of the tokens X [batch, tokens, hidden], AFTER
 * behind them. */
static ax_status pad(struct hf *h, uint32_t *out, const char *what,
                     uint32_t x, int64_t before, int64_t after,
                     struct ax_err *err)
{
    const int64_t pads[] = {0, before, 0, 0, after, 0};
    uint32_t v;

    AX_TRY(arch_ints(&h->a, &v, hf_part(what, "pads").s, pads, 6, err));
    return arch_node2(&h->a, out, AX_OP_Pad, what, x, v, err);
}

/* The class token goes in front by way of the positions, which are added
 * anyway, so that nothing has to be repeated for each image. */
static ax_status embed(struct hf *h, uint32_t *out, const struct shape *s,
                       struct ax_err *err)
{
    static const char *const names[] = {"batch", NULL, NULL, NULL};
    static const int64_t turn[] = {0, 2, 1};
    const int64_t image[] = {h->batch, s->channels, s->image[0], s->image[1]},
                  flat[] = {0, s->hidden, -1}, token[] = {1, 1, s->hidden},
                  all[] = {1, s->tokens, s->hidden};
    uint32_t x, positions, class;

    AX_TRY(hf_input(h, &x, "pixel_values", AX_F32, 4, image, names, err));
    AX_TRY(hf_at(h, h->base, err, "embeddings.patch_embeddings.projection"));
    AX_TRY(hf_convolution(h, &x, x, "", s->channels, s->hidden, s->patch,
                          s->patch, false, true, err));
    AX_TRY(hf_reshape(h, &x, "flat", x, flat, 3, err));
    AX_TRY(hf_transpose(h, &x, "tokens", x, turn, 3, err));
    AX_TRY(hf_at(h, h->base, err, "embeddings"));
    AX_TRY(pad(h, &x, "tokens", x, 1, 0, err));
    AX_TRY(hf_weight(h, &class, "cls_token", 3, token, err));
    AX_TRY(hf_weight(h, &positions, "position_embeddings", 3, all, err));
    AX_TRY(pad(h, &class, "class", class, 0, s->tokens - 1, err));
    AX_TRY(arch_node2(&h->a, &positions, AX_OP_Add, "positions", positions,
                      class, err));
    AX_TRY(arch_node2(&h->a, out, AX_OP_Add, "sum", x, positions, err));
    return hf_rows(h, out, s->hidden, err);
}

static ax_status layer(struct hf *h, uint32_t *x, const struct shape *s,
                       const struct names *n, struct ax_err *err)
{
    struct hf_attention a = {.heads = s->heads,
                             .kv_heads = s->heads,
                             .dim = s->hidden / s->heads,
                             .cos = AX_NONE,
                             .sin = AX_NONE};
    uint32_t v[3], y;

    a.scale = 1 / sqrt((double)a.dim);
    AX_TRY(
        hf_layer_norm(h, &y, *x, "layernorm_before", s->hidden, s->eps, err));
    for (int i = 0; i < 3; i++)
        AX_TRY(hf_linear(h, &v[i], y, n->part[i], s->hidden, s->hidden,
                         s->bias, err));
    AX_TRY(hf_attend(h, &y, v[0], v[1], v[2], &a, err));
    AX_TRY(hf_linear(h, &y, y, n->out, s->hidden, s->hidden, true, err));
    AX_TRY(arch_node2(&h->a, x, AX_OP_Add, "attended", *x, y, err));
    AX_TRY(
        hf_layer_norm(h, &y, *x, "layernorm_after", s->hidden, s->eps, err));
    AX_TRY(hf_linear(h, &y, y, n->up, s->hidden, s->inner, true, err));
    AX_TRY(hf_activation(h, &y, y, "activation", s->activation, err));
    AX_TRY(hf_linear(h, &y, y, n->down, s->inner, s->hidden, true, err));
    return arch_node2(&h->a, x, AX_OP_Add, "sum", *x, y, err);
}

ax_status hf_vit(struct hf *h, enum hf_head head, struct ax_err *err)
{
    const struct names *n = &usual;
    struct shape s = {0};
    int64_t labels = 0;
    uint32_t x, y;

    AX_TRY(read_shape(h, &s, err));
    if (head == HF_IMAGE_LABEL)
        AX_TRY(hf_labels(h, &labels, err));
    AX_TRY(hf_no_text(h, err));
    h->seq = s.tokens;
    AX_TRY(embed(h, &x, &s, err));
    if (hf_any(h, *h->base ? "vit.layers." : "layers."))
        n = &newer;
    for (int64_t i = 0; i < s.layers; i++) {
        AX_TRY(hf_at(h, h->base, err, "%s%lld", n->layer, (long long)i));
        AX_TRY(layer(h, &x, &s, n, err));
    }
    AX_TRY(hf_at(h, h->base, err, "layernorm"));
    AX_TRY(hf_layer_norm(h, &x, x, "", s.hidden, s.eps, err));
    if (head == HF_NO_HEAD)
        AX_TRY(hf_hidden(h, x, s.hidden, err));
    AX_TRY(hf_at(h, "", err, "first"));
    AX_TRY(hf_unfold(h, &y, "tokens", x, 0, s.hidden, err));
    AX_TRY(hf_first(h, &y, y, err));
    if (head == HF_IMAGE_LABEL) {
        AX_TRY(hf_at(h, "", err, "classifier"));
        AX_TRY(hf_linear(h, &y, y, "", s.hidden, labels, true, err));
        return hf_output(h, "logits", y, err);
    }
    AX_TRY(hf_at(h, h->base, err, "pooler.dense"));
    AX_TRY(hf_linear(h, &y, y, "", s.hidden, s.pooled, true, err));
    AX_TRY(hf_activation(h, &y, y, "activation", s.pooling, err));
    return hf_output(h, "pooler_output", y, err);
}
