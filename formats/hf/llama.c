/* Llama and its kin, Mistral and Qwen2: root mean square norms before each
 * part, rotary positions, heads that share keys and values, a gated
 * feed-forward part. Source: Touvron et al., LLaMA, 2023; modeling_llama.py,
 * modeling_mistral.py and modeling_qwen2.py of transformers for the rest. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/hf/llama.h"

enum { HEAD_MAX = 65536 };

/* ---- rotary frequencies ---- */

/* rope_parameters (transformers 5), or rope_theta and rope_scaling. */
struct rope {
    double theta, factor, low, high, original;
    const char *type;
};

static ax_status real_in(const json_t *in, double *out, const char *key,
                         double otherwise, struct ax_err *err)
{
    const json_t *x = json_object_get(in, key);

    *out = x ? json_number_value(x) : otherwise;
    if (!(*out > 0) || isinf(*out) || (x && !json_is_number(x)))
        return ax_fail(err, AX_EFORMAT,
                       "'%s' of the rotary positions is no number above 0",
                       key);
    return AX_OK;
}

static ax_status check_rope_keys(const json_t *in, const char *type,
                                 struct ax_err *err)
{
    static const char *const common = " type rope_type rope_theta ";
    const char *more = strcmp(type, "linear") == 0 ? " factor "
                       : strcmp(type, "llama3") == 0
                           ? " factor low_freq_factor high_freq_factor "
                             "original_max_position_embeddings "
                           : "";
    json_t *all = NULL, *value;
    const char *key;

    memcpy(&all, &in, sizeof all); /* iterators are not const */
    json_object_foreach(all, key, value)
    {
        char word[80];

        snprintf(word, sizeof word, " %.70s ", key);
        if (!strstr(common, word) && !strstr(more, word))
            return ax_fail(err, AX_EUNSUPPORTED,
                           "'%.60s' of rotary positions of type '%s' is not "
                           "supported",
                           key, type);
    }
    return AX_OK;
}

static ax_status read_rope(struct hf *h, struct rope *r, struct ax_err *err)
{
    const json_t *in = hf_get(&h->config, "rope_parameters"),
                 *old = hf_get(&h->config, "rope_scaling"), *type;

    AX_TRY(hf_real(&h->config, &r->theta, "rope_theta", 10000, err));
    if (in && old)
        return ax_fail(err, AX_EFORMAT,
                       "has both 'rope_parameters' and 'rope_scaling'");
    in = in ? in : old;
    r->type = "default";
    if (!in)
        return AX_OK;
    type = json_object_get(in, "rope_type");
    type = type ? type : json_object_get(in, "type");
    if (type)
        r->type = json_string_value(type);
    if (!json_is_object(in) || !r->type)
        return ax_fail(err, AX_EFORMAT,
                       "the rotary positions are no object, or their type "
                       "is no text");
    if (strcmp(r->type, "default") != 0 && strcmp(r->type, "linear") != 0 &&
        strcmp(r->type, "llama3") != 0)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "rotary positions of type '%.40s' are not supported",
                       r->type);
    AX_TRY(check_rope_keys(in, r->type, err));
    AX_TRY(real_in(in, &r->theta, "rope_theta", r->theta, err));
    if (strcmp(r->type, "default") == 0)
        return AX_OK;
    AX_TRY(real_in(in, &r->factor, "factor", 0, err));
    if (strcmp(r->type, "linear") == 0)
        return AX_OK;
    AX_TRY(real_in(in, &r->low, "low_freq_factor", 0, err));
    AX_TRY(real_in(in, &r->high, "high_freq_factor", 0, err));
    if (r->high <= r->low)
        return ax_fail(err, AX_EFORMAT,
                       "'high_freq_factor' is not above 'low_freq_factor'");
    return real_in(in, &r->original, "original_max_position_embeddings", 0,
                   err);
}

/* Long waves are stretched, short ones left, those between mixed. Source:
 * _compute_llama3_parameters of transformers. */
static float stretch(float freq, const struct rope *r)
{
    double wave = 2 * 3.14159265358979323846 / (double)freq, mix;

    if (strcmp(r->type, "linear") == 0)
        return (float)((double)freq / r->factor);
    if (strcmp(r->type, "llama3") != 0 || wave < r->original / r->high)
        return freq;
    if (wave > r->original / r->low)
        return (float)((double)freq / r->factor);
    mix = (r->original / wave - r->low) / (r->high - r->low);
    return (float)((1 - mix) * (double)freq / r->factor + mix * (double)freq);
}

static ax_status rotary(struct hf *h, struct hf_attention *a,
                        const struct rope *r, struct ax_err *err)
{
    size_t n = (size_t)a->dim / 2;
    float *freq = malloc((n + 1) * sizeof *freq);
    ax_status st;

    if (!freq)
        return ax_fail(err, AX_ENOMEM, "no memory for rotary positions");
    for (size_t i = 0; i < n; i++) {
        float power = (float)(2 * i) / (float)a->dim;

        freq[i] = stretch(1 / powf((float)r->theta, power), r);
    }
    st = hf_rotary(h, a, freq, err);
    h->freq = freq; /* buffers of a file are compared with it */
    h->n_freq = n;
    return st;
}

/* ---- the network ---- */

ax_status hf_llama_layer(struct hf *h, uint32_t *x,
                         const struct hf_llama_shape *s,
                         const struct hf_llama_names *names,
                         struct ax_err *err)
{
    int64_t all = s->attention.heads * s->attention.dim,
            kv = s->attention.kv_heads * s->attention.dim;
    uint32_t y, q, k, v, up;

    AX_TRY(hf_rms_norm(h, &y, *x, names->norm1, s->hidden, s->eps, err));
    AX_TRY(hf_linear(h, &q, y, names->q, s->hidden, all, s->attention_bias,
                     err));
    AX_TRY(
        hf_linear(h, &k, y, names->k, s->hidden, kv, s->attention_bias, err));
    AX_TRY(
        hf_linear(h, &v, y, names->v, s->hidden, kv, s->attention_bias, err));
    AX_TRY(hf_attend(h, &y, q, k, v, &s->attention, err));
    AX_TRY(hf_linear(h, &y, y, names->o, all, s->hidden, s->out_bias, err));
    AX_TRY(arch_node2(&h->a, x, AX_OP_Add, "attended", *x, y, err));
    AX_TRY(hf_rms_norm(h, &y, *x, names->norm2, s->hidden, s->eps, err));
    AX_TRY(hf_linear(h, &up, y, names->up, s->hidden, s->inner, s->mlp_bias,
                     err));
    AX_TRY(hf_linear(h, &y, y, names->gate, s->hidden, s->inner, s->mlp_bias,
                     err));
    AX_TRY(hf_activation(h, &y, y, "activation", s->activation, err));
    AX_TRY(arch_node2(&h->a, &y, AX_OP_Mul, "gated", y, up, err));
    AX_TRY(hf_linear(h, &y, y, names->down, s->inner, s->hidden, s->mlp_bias,
                     err));
    return arch_node2(&h->a, x, AX_OP_Add, "sum", *x, y, err);
}

/* In what the kin differ: values of keys that are missing, and biases that
 * the configuration does not speak of. */
struct kin {
    int64_t vocabulary, inner, kv_heads; /* 0: as many as heads */
    int64_t window;                      /* 0: no such key */
    bool optional_biases, qkv_bias, switches;
};

static const struct kin llama = {32000, 11008, 0, 0, true, false, false};
static const struct kin mistral = {32000, 14336, 8,    4096,
                                   false, false, false};
static const struct kin qwen2 = {151936, 22016, 32, 0, false, true, true};

/* A key with a default that null does not mean. */
static bool is_missing(const struct hf *h, const char *key)
{
    return json_object_get(h->config.root, key) == NULL;
}

static ax_status read_biases(struct hf_config *c, struct hf_llama_shape *s,
                             const struct kin *kin, struct ax_err *err)
{
    s->attention_bias = kin->qkv_bias;
    if (!kin->optional_biases)
        return AX_OK;
    AX_TRY(hf_bool(c, &s->attention_bias, "attention_bias", false, err));
    s->out_bias = s->attention_bias;
    return hf_bool(c, &s->mlp_bias, "mlp_bias", false, err);
}

/* How far back a token sees: in all layers or in none. */
static ax_status read_window(struct hf *h, const struct kin *kin,
                             struct ax_err *err)
{
    static const char *const set[] = {"max_window_layers", "sliding_window"};
    const json_t *types;

    if (kin->window && (is_missing(h, "sliding_window") ||
                        hf_get(&h->config, "sliding_window")))
        return hf_count(&h->config, &h->window, "sliding_window", kin->window,
                        err);
    if (!kin->switches)
        return AX_OK;
    AX_TRY(hf_none(&h->config, "use_sliding_window", err));
    for (int i = 0; i < 2; i++) /* of no meaning without the switch */
        (void)hf_get(&h->config, set[i]);
    types = hf_get(&h->config, "layer_types");
    for (size_t i = 0; i < json_array_size(types); i++) {
        const char *type = json_string_value(json_array_get(types, i));

        if (!type || strcmp(type, "full_attention") != 0)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "layers of type '%.40s' are not supported",
                           type ? type : "?");
    }
    return AX_OK;
}

static ax_status read_shape(struct hf *h, struct hf_llama_shape *s,
                            const struct kin *kin, struct ax_err *err)
{
    struct hf_config *c = &h->config;
    struct hf_attention *a = &s->attention;
    int64_t most, kv;

    AX_TRY(hf_count(c, &s->vocabulary, "vocab_size", kin->vocabulary, err));
    AX_TRY(hf_count(c, &s->hidden, "hidden_size", 4096, err));
    AX_TRY(hf_count(c, &s->inner, "intermediate_size", kin->inner, err));
    AX_TRY(hf_count(c, &s->layers, "num_hidden_layers", 32, err));
    AX_TRY(hf_count(c, &a->heads, "num_attention_heads", 32, err));
    kv = kin->kv_heads && is_missing(h, "num_key_value_heads") ? kin->kv_heads
                                                               : a->heads;
    AX_TRY(hf_count(c, &a->kv_heads, "num_key_value_heads", kv, err));
    AX_TRY(hf_count(c, &most, "max_position_embeddings", 2048, err));
    AX_TRY(hf_count(c, &a->dim, "head_dim",
                    s->hidden >= a->heads ? s->hidden / a->heads : 1, err));
    AX_TRY(hf_text(c, &s->activation, "hidden_act", "silu", err));
    AX_TRY(hf_real(c, &s->eps, "rms_norm_eps", 1e-6, err));
    AX_TRY(read_biases(c, s, kin, err));
    AX_TRY(read_window(h, kin, err));
    a->cos = a->sin = AX_NONE;
    return hf_llama_check(s, err);
}

ax_status hf_llama_check(struct hf_llama_shape *s, struct ax_err *err)
{
    struct hf_attention *a = &s->attention;

    if (a->heads % a->kv_heads)
        return ax_fail(err, AX_EFORMAT,
                       "%lld heads cannot share %lld keys and values",
                       (long long)a->heads, (long long)a->kv_heads);
    /* Before anything of that size is made: files have less than 1024. */
    if (a->dim > HEAD_MAX)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "heads of %lld numbers, at most %d are supported",
                       (long long)a->dim, HEAD_MAX);
    if (a->dim % 2)
        return ax_fail(err, AX_EFORMAT,
                       "rotary positions want heads of an even size, not "
                       "%lld",
                       (long long)a->dim);
    a->scale = 1 / sqrt((double)a->dim);
    return AX_OK;
}

static const struct hf_llama_names names = {
    .norm1 = "input_layernorm",
    .norm2 = "post_attention_layernorm",
    .q = "self_attn.q_proj",
    .k = "self_attn.k_proj",
    .v = "self_attn.v_proj",
    .o = "self_attn.o_proj",
    .gate = "mlp.gate_proj",
    .up = "mlp.up_proj",
    .down = "mlp.down_proj",
};

static ax_status network(struct hf *h, enum hf_head head,
                         const struct kin *kin, struct ax_err *err)
{
    struct hf_llama_shape s = {0};
    struct rope r = {0};
    bool tied;
    uint32_t x;

    AX_TRY(read_shape(h, &s, kin, err));
    AX_TRY(read_rope(h, &r, err));
    AX_TRY(hf_bool(&h->config, &tied, "tie_word_embeddings", false, err));
    AX_TRY(hf_text_inputs(h, true, false, err));
    AX_TRY(rotary(h, &s.attention, &r, err));
    AX_TRY(hf_at(h, h->base, err, "%s", "embed_tokens"));
    AX_TRY(hf_embed(h, &x, h->ids, "", s.vocabulary, s.hidden, err));
    AX_TRY(hf_rows(h, &x, s.hidden, err));
    for (int64_t i = 0; i < s.layers; i++) {
        AX_TRY(hf_at(h, h->base, err, "layers.%lld", (long long)i));
        AX_TRY(hf_llama_layer(h, &x, &s, &names, err));
    }
    AX_TRY(hf_at(h, h->base, err, "norm"));
    AX_TRY(hf_rms_norm(h, &x, x, "", s.hidden, s.eps, err));
    return head == HF_LANGUAGE
               ? hf_language_head(h, x, tied, "lm_head", "embed_tokens", NULL,
                                  s.vocabulary, s.hidden, err)
               : hf_hidden(h, x, s.hidden, err);
}

ax_status hf_llama(struct hf *h, enum hf_head head, struct ax_err *err)
{
    return network(h, head, &llama, err);
}

ax_status hf_mistral(struct hf *h, enum hf_head head, struct ax_err *err)
{
    return network(h, head, &mistral, err);
}

ax_status hf_qwen2(struct hf *h, enum hf_head head, struct ax_err *err)
{
    return network(h, head, &qwen2, err);
}
