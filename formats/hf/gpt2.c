/* GPT-2: learned positions, norms before each part, weights that lie the
 * other way round. Source: Radford et al., Language models are unsupervised
 * multitask learners, 2019; modeling_gpt2.py of transformers for names. */
#include <math.h>

#include "formats/hf/hf.h"

struct shape {
    int64_t vocabulary, hidden, inner, layers, heads, positions;
    double eps;
    bool scaled, by_layer, tied;
    const char *activation;
};

static ax_status read_shape(struct hf *h, struct shape *s, struct ax_err *err)
{
    static const char *const unused[] = {
        /* How a classifier of another head would be made. */
        "summary_activation",      "summary_first_dropout",
        "summary_proj_to_labels",  "summary_type",
        "summary_use_proj",        "n_ctx", /* positions, again */
        "reorder_and_upcast_attn", /* an order that is better in float16 */
    };
    struct hf_config *c = &h->config;

    AX_TRY(hf_count(c, &s->vocabulary, "vocab_size", 50257, err));
    AX_TRY(hf_count(c, &s->positions, "n_positions", 1024, err));
    AX_TRY(hf_count(c, &s->hidden, "n_embd", 768, err));
    AX_TRY(hf_count(c, &s->layers, "n_layer", 12, err));
    AX_TRY(hf_count(c, &s->heads, "n_head", 12, err));
    AX_TRY(hf_count(c, &s->inner, "n_inner", 4 * s->hidden, err));
    AX_TRY(
        hf_text(c, &s->activation, "activation_function", "gelu_new", err));
    AX_TRY(hf_real(c, &s->eps, "layer_norm_epsilon", 1e-5, err));
    AX_TRY(hf_bool(c, &s->scaled, "scale_attn_weights", true, err));
    AX_TRY(hf_bool(c, &s->by_layer, "scale_attn_by_inverse_layer_idx", false,
                   err));
    AX_TRY(hf_bool(c, &s->tied, "tie_word_embeddings", true, err));
    for (size_t i = 0; i < sizeof unused / sizeof unused[0]; i++)
        (void)hf_get(c, unused[i]);
    return hf_check_heads(s->hidden, s->heads, err);
}

static ax_status attention(struct hf *h, uint32_t *out, uint32_t x,
                           const struct shape *s, int64_t layer,
                           struct ax_err *err)
{
    static const char *const parts[] = {"query.part", "key.part",
                                        "value.part"};
    struct hf_attention a = {.heads = s->heads,
                             .kv_heads = s->heads,
                             .dim = s->hidden / s->heads,
                             .scale = 1,
                             .cos = AX_NONE,
                             .sin = AX_NONE};
    uint32_t all, v[3];

    if (s->scaled)
        a.scale = 1 / sqrt((double)a.dim);
    if (s->by_layer)
        a.scale /= (double)(layer + 1);
    AX_TRY(
        hf_conv1d(h, &all, x, "attn.c_attn", s->hidden, 3 * s->hidden, err));
    for (int i = 0; i < 3; i++)
        AX_TRY(hf_slice(h, &v[i], parts[i], all, 1, i * s->hidden,
                        (i + 1) * s->hidden, err));
    AX_TRY(hf_attend(h, out, v[0], v[1], v[2], &a, err));
    return hf_conv1d(h, out, *out, "attn.c_proj", s->hidden, s->hidden, err);
}

static ax_status layer(struct hf *h, uint32_t *x, const struct shape *s,
                       int64_t i, struct ax_err *err)
{
    uint32_t y;

    AX_TRY(hf_layer_norm(h, &y, *x, "ln_1", s->hidden, s->eps, err));
    AX_TRY(attention(h, &y, y, s, i, err));
    AX_TRY(arch_node2(&h->a, x, AX_OP_Add, "attended", *x, y, err));
    AX_TRY(hf_layer_norm(h, &y, *x, "ln_2", s->hidden, s->eps, err));
    AX_TRY(hf_conv1d(h, &y, y, "mlp.c_fc", s->hidden, s->inner, err));
    AX_TRY(hf_activation(h, &y, y, "mlp.act", s->activation, err));
    AX_TRY(hf_conv1d(h, &y, y, "mlp.c_proj", s->inner, s->hidden, err));
    return arch_node2(&h->a, x, AX_OP_Add, "sum", *x, y, err);
}

static ax_status embed(struct hf *h, uint32_t *x, const struct shape *s,
                       struct ax_err *err)
{
    uint32_t y;

    AX_TRY(hf_at(h, h->base, err, "wte"));
    AX_TRY(hf_embed(h, x, h->ids, "", s->vocabulary, s->hidden, err));
    AX_TRY(hf_at(h, h->base, err, "wpe"));
    AX_TRY(hf_embed(h, &y, h->positions, "", s->positions, s->hidden, err));
    AX_TRY(arch_node2(&h->a, x, AX_OP_Add, "sum", *x, y, err));
    if (h->types != AX_NONE) { /* words, as it happens */
        AX_TRY(hf_at(h, h->base, err, "wte"));
        AX_TRY(hf_embed_again(h, &y, h->types, "", "types", s->vocabulary,
                              s->hidden, err));
        AX_TRY(arch_node2(&h->a, x, AX_OP_Add, "sum", *x, y, err));
    }
    return hf_rows(h, x, s->hidden, err);
}

ax_status hf_gpt2(struct hf *h, enum hf_head head, struct ax_err *err)
{
    struct shape s = {0};
    uint32_t x;

    AX_TRY(read_shape(h, &s, err));
    AX_TRY(hf_text_inputs(h, true, true, err));
    AX_TRY(embed(h, &x, &s, err));
    for (int64_t i = 0; i < s.layers; i++) {
        AX_TRY(hf_at(h, h->base, err, "h.%lld", (long long)i));
        AX_TRY(layer(h, &x, &s, i, err));
    }
    AX_TRY(hf_at(h, h->base, err, "ln_f"));
    AX_TRY(hf_layer_norm(h, &x, x, "", s.hidden, s.eps, err));
    return head == HF_LANGUAGE
               ? hf_language_head(h, x, s.tied, "lm_head", "wte", NULL,
                                  s.vocabulary, s.hidden, err)
               : hf_hidden(h, x, s.hidden, err);
}
