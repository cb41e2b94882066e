/* BERT and DistilBERT: encoders with norms behind each part. Sources: Devlin
 * et al., BERT, 2019; Sanh et al., DistilBERT, 2019; modeling_bert.py and
 * modeling_distilbert.py of transformers for names. */
#include <math.h>
#include <string.h>

#include "formats/hf/hf.h"

struct shape {
    int64_t vocabulary, hidden, inner, layers, heads, positions, types;
    double eps;
    bool tied;
    const char *activation;
};

/* What the parts of a layer are called. */
struct names {
    const char *layer, *q, *k, *v, *o, *norm1, *up, *down, *norm2;
};

static const struct names bert_names = {
    .layer = "encoder.layer.",
    .q = "attention.self.query",
    .k = "attention.self.key",
    .v = "attention.self.value",
    .o = "attention.output.dense",
    .norm1 = "attention.output.LayerNorm",
    .up = "intermediate.dense",
    .down = "output.dense",
    .norm2 = "output.LayerNorm",
};

static const struct names distilbert_names = {
    .layer = "transformer.layer.",
    .q = "attention.q_lin",
    .k = "attention.k_lin",
    .v = "attention.v_lin",
    .o = "attention.out_lin",
    .norm1 = "sa_layer_norm",
    .up = "ffn.lin1",
    .down = "ffn.lin2",
    .norm2 = "output_layer_norm",
};

/* ---- the encoder ---- */

static ax_status layer(struct hf *h, uint32_t *x, const struct shape *s,
                       const struct names *n, struct ax_err *err)
{
    struct hf_attention a = {.heads = s->heads,
                             .kv_heads = s->heads,
                             .dim = s->hidden / s->heads,
                             .cos = AX_NONE,
                             .sin = AX_NONE};
    int64_t wide = s->hidden;
    uint32_t q, k, v, y;

    a.scale = 1 / sqrt((double)a.dim);
    AX_TRY(hf_linear(h, &q, *x, n->q, wide, wide, true, err));
    AX_TRY(hf_linear(h, &k, *x, n->k, wide, wide, true, err));
    AX_TRY(hf_linear(h, &v, *x, n->v, wide, wide, true, err));
    AX_TRY(hf_attend(h, &y, q, k, v, &a, err));
    AX_TRY(hf_linear(h, &y, y, n->o, wide, wide, true, err));
    AX_TRY(arch_node2(&h->a, x, AX_OP_Add, "attended", *x, y, err));
    AX_TRY(hf_layer_norm(h, x, *x, n->norm1, wide, s->eps, err));
    AX_TRY(hf_linear(h, &y, *x, n->up, wide, s->inner, true, err));
    AX_TRY(hf_activation(h, &y, y, "activation", s->activation, err));
    AX_TRY(hf_linear(h, &y, y, n->down, s->inner, wide, true, err));
    AX_TRY(arch_node2(&h->a, x, AX_OP_Add, "sum", *x, y, err));
    return hf_layer_norm(h, x, *x, n->norm2, wide, s->eps, err);
}

/* Types of tokens have no input by default: then all are of type 0. */
static ax_status embed_types(struct hf *h, uint32_t *x, const struct shape *s,
                             struct ax_err *err)
{
    uint32_t ids = h->types, y;

    AX_TRY(hf_at(h, h->base, err, "embeddings.token_type_embeddings"));
    if (ids == AX_NONE)
        AX_TRY(hf_integer(h, &ids, "first", 0, err));
    AX_TRY(hf_embed(h, &y, ids, "", s->types, s->hidden, err));
    return arch_node2(&h->a, x, AX_OP_Add, "sum", *x, y, err);
}

static ax_status encoder(struct hf *h, uint32_t *x, const struct shape *s,
                         const struct names *n, struct ax_err *err)
{
    uint32_t y;

    AX_TRY(hf_text_inputs(h, false, s->types != 0, err));
    AX_TRY(hf_at(h, h->base, err, "embeddings.word_embeddings"));
    AX_TRY(hf_embed(h, x, h->ids, "", s->vocabulary, s->hidden, err));
    if (s->types)
        AX_TRY(embed_types(h, x, s, err));
    AX_TRY(hf_at(h, h->base, err, "embeddings.position_embeddings"));
    AX_TRY(hf_embed(h, &y, h->positions, "", s->positions, s->hidden, err));
    AX_TRY(arch_node2(&h->a, x, AX_OP_Add, "sum", *x, y, err));
    AX_TRY(hf_rows(h, x, s->hidden, err));
    AX_TRY(hf_at(h, h->base, err, "embeddings.LayerNorm"));
    AX_TRY(hf_layer_norm(h, x, *x, "", s->hidden, s->eps, err));
    for (int64_t i = 0; i < s->layers; i++) {
        AX_TRY(hf_at(h, h->base, err, "%s%lld", n->layer, (long long)i));
        AX_TRY(layer(h, x, s, n, err));
    }
    return AX_OK;
}

/* The first token of each sequence. */
static ax_status first(struct hf *h, uint32_t *out, uint32_t x,
                       const struct shape *s, struct ax_err *err)
{
    AX_TRY(hf_at(h, "", err, "first"));
    AX_TRY(hf_unfold(h, out, "tokens", x, 0, s->hidden, err));
    return hf_first(h, out, *out, err);
}

/* ---- heads that both have ---- */

static ax_status token_labels(struct hf *h, uint32_t x, const struct shape *s,
                              struct ax_err *err)
{
    int64_t labels;

    AX_TRY(hf_labels(h, &labels, err));
    AX_TRY(hf_at(h, "", err, "classifier"));
    AX_TRY(hf_linear(h, &x, x, "", s->hidden, labels, true, err));
    AX_TRY(hf_unfold(h, &x, "tokens", x, 0, labels, err));
    return hf_output(h, "logits", x, err);
}

static ax_status answer(struct hf *h, uint32_t x, const struct shape *s,
                        struct ax_err *err)
{
    static const char *const names[] = {"start_logits", "end_logits"};
    static const int64_t last[] = {-1};
    int64_t labels;
    uint32_t axes, y;

    AX_TRY(hf_labels(h, &labels, err));
    if (labels != 2)
        return ax_fail(err, AX_EFORMAT,
                       "an answer has a begin and an end, not %lld labels",
                       (long long)labels);
    AX_TRY(hf_at(h, "", err, "qa_outputs"));
    AX_TRY(hf_linear(h, &x, x, "", s->hidden, 2, true, err));
    AX_TRY(hf_unfold(h, &x, "tokens", x, 0, 2, err));
    for (int i = 0; i < 2; i++) {
        AX_TRY(hf_at(h, "", err, "qa_outputs.%d", i));
        AX_TRY(hf_slice(h, &y, "part", x, -1, i, i + 1, err));
        AX_TRY(arch_ints(&h->a, &axes, "axes", last, 1, err));
        AX_TRY(arch_node2(&h->a, &y, AX_OP_Squeeze, "vector", y, axes, err));
        AX_TRY(hf_output(h, names[i], y, err));
    }
    return AX_OK;
}

/* ---- BERT ---- */

static ax_status pooled(struct hf *h, uint32_t *out, uint32_t x,
                        const struct shape *s, struct ax_err *err)
{
    AX_TRY(first(h, out, x, s, err));
    AX_TRY(hf_at(h, h->base, err, "pooler.dense"));
    AX_TRY(hf_linear(h, out, *out, "", s->hidden, s->hidden, true, err));
    return arch_node1(&h->a, out, AX_OP_Tanh, "tanh", *out, err);
}

static ax_status bert_words(struct hf *h, uint32_t x, const struct shape *s,
                            struct ax_err *err)
{
    static const char *const bias[] = {"decoder.bias", "bias"};
    bool own;

    AX_TRY(hf_at(h, "", err, "cls.predictions.transform"));
    AX_TRY(hf_linear(h, &x, x, "dense", s->hidden, s->hidden, true, err));
    AX_TRY(hf_activation(h, &x, x, "activation", s->activation, err));
    AX_TRY(hf_layer_norm(h, &x, x, "LayerNorm", s->hidden, s->eps, err));
    AX_TRY(hf_at(h, "", err, "cls.predictions"));
    own = hf_has(h, bias[0]);
    if (own && s->tied && hf_has(h, bias[1]))
        AX_TRY(hf_tie(h, "cls.predictions.decoder.bias",
                      "cls.predictions.bias", err));
    return hf_language_head(h, x, s->tied, "cls.predictions.decoder",
                            "embeddings.word_embeddings",
                            own ? "cls.predictions.decoder.bias"
                                : "cls.predictions.bias",
                            s->vocabulary, s->hidden, err);
}

static ax_status read_bert(struct hf *h, struct shape *s, struct ax_err *err)
{
    /* Of networks that were never part of this one. */
    static const char *const unused[] = {
        "directionality",       "pooler_fc_size",
        "pooler_num_fc_layers", "pooler_num_attention_heads",
        "pooler_size_per_head", "pooler_type",
    };
    struct hf_config *c = &h->config;
    const char *kind;

    AX_TRY(hf_count(c, &s->vocabulary, "vocab_size", 30522, err));
    AX_TRY(hf_count(c, &s->hidden, "hidden_size", 768, err));
    AX_TRY(hf_count(c, &s->layers, "num_hidden_layers", 12, err));
    AX_TRY(hf_count(c, &s->heads, "num_attention_heads", 12, err));
    AX_TRY(hf_count(c, &s->inner, "intermediate_size", 3072, err));
    AX_TRY(hf_count(c, &s->positions, "max_position_embeddings", 512, err));
    AX_TRY(hf_count(c, &s->types, "type_vocab_size", 2, err));
    AX_TRY(hf_text(c, &s->activation, "hidden_act", "gelu", err));
    AX_TRY(hf_real(c, &s->eps, "layer_norm_eps", 1e-12, err));
    AX_TRY(hf_bool(c, &s->tied, "tie_word_embeddings", true, err));
    AX_TRY(hf_text(c, &kind, "position_embedding_type", "absolute", err));
    if (strcmp(kind, "absolute") != 0)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "positions of type '%.40s' are not supported", kind);
    for (size_t i = 0; i < sizeof unused / sizeof unused[0]; i++)
        (void)hf_get(c, unused[i]);
    return hf_check_heads(s->hidden, s->heads, err);
}

ax_status hf_bert(struct hf *h, enum hf_head head, struct ax_err *err)
{
    struct shape s = {0};
    int64_t labels;
    uint32_t x, y;

    AX_TRY(read_bert(h, &s, err));
    AX_TRY(encoder(h, &x, &s, &bert_names, err));
    switch (head) {
    case HF_MASKED_LANGUAGE:
        return bert_words(h, x, &s, err);
    case HF_TOKEN_LABEL:
        return token_labels(h, x, &s, err);
    case HF_ANSWER:
        return answer(h, x, &s, err);
    case HF_SEQUENCE_LABEL:
        AX_TRY(hf_labels(h, &labels, err));
        AX_TRY(pooled(h, &y, x, &s, err));
        AX_TRY(hf_at(h, "", err, "classifier"));
        AX_TRY(hf_linear(h, &y, y, "", s.hidden, labels, true, err));
        return hf_output(h, "logits", y, err);
    default:
        AX_TRY(hf_hidden(h, x, s.hidden, err));
        AX_TRY(pooled(h, &y, x, &s, err));
        return hf_output(h, "pooler_output", y, err);
    }
}

/* ---- DistilBERT ---- */

static ax_status read_distilbert(struct hf *h, struct shape *s,
                                 struct ax_err *err)
{
    struct hf_config *c = &h->config;

    AX_TRY(hf_count(c, &s->vocabulary, "vocab_size", 30522, err));
    AX_TRY(hf_count(c, &s->hidden, "dim", 768, err));
    AX_TRY(hf_count(c, &s->layers, "n_layers", 6, err));
    AX_TRY(hf_count(c, &s->heads, "n_heads", 12, err));
    AX_TRY(hf_count(c, &s->inner, "hidden_dim", 3072, err));
    AX_TRY(hf_count(c, &s->positions, "max_position_embeddings", 512, err));
    AX_TRY(hf_text(c, &s->activation, "activation", "gelu", err));
    AX_TRY(hf_bool(c, &s->tied, "tie_word_embeddings", true, err));
    /* How positions began; what became of them lies in the file. */
    (void)hf_get(c, "sinusoidal_pos_embds");
    s->eps = 1e-12;
    return hf_check_heads(s->hidden, s->heads, err);
}

static ax_status distilbert_words(struct hf *h, uint32_t x,
                                  const struct shape *s, struct ax_err *err)
{
    AX_TRY(hf_at(h, "", err, "vocab_transform"));
    AX_TRY(hf_linear(h, &x, x, "", s->hidden, s->hidden, true, err));
    AX_TRY(hf_activation(h, &x, x, "activation", s->activation, err));
    AX_TRY(hf_at(h, "", err, "vocab_layer_norm"));
    AX_TRY(hf_layer_norm(h, &x, x, "", s->hidden, s->eps, err));
    return hf_language_head(
        h, x, s->tied, "vocab_projector", "embeddings.word_embeddings",
        "vocab_projector.bias", s->vocabulary, s->hidden, err);
}

static ax_status distilbert_labels(struct hf *h, uint32_t x,
                                   const struct shape *s, struct ax_err *err)
{
    int64_t labels;

    AX_TRY(hf_labels(h, &labels, err));
    AX_TRY(first(h, &x, x, s, err));
    AX_TRY(hf_at(h, "", err, "pre_classifier"));
    AX_TRY(hf_linear(h, &x, x, "", s->hidden, s->hidden, true, err));
    AX_TRY(arch_node1(&h->a, &x, AX_OP_Relu, "relu", x, err));
    AX_TRY(hf_at(h, "", err, "classifier"));
    AX_TRY(hf_linear(h, &x, x, "", s->hidden, labels, true, err));
    return hf_output(h, "logits", x, err);
}

ax_status hf_distilbert(struct hf *h, enum hf_head head, struct ax_err *err)
{
    struct shape s = {0};
    uint32_t x;

    AX_TRY(read_distilbert(h, &s, err));
    AX_TRY(encoder(h, &x, &s, &distilbert_names, err));
    switch (head) {
    case HF_MASKED_LANGUAGE:
        return distilbert_words(h, x, &s, err);
    case HF_TOKEN_LABEL:
        return token_labels(h, x, &s, err);
    case HF_ANSWER:
        return answer(h, x, &s, err);
    case HF_SEQUENCE_LABEL:
        return distilbert_labels(h, x, &s, err);
    default:
        return hf_hidden(h, x, s.hidden, err);
    }
}
