/* config.json: every key is asked for by the family that it belongs to, or
 * is in the table of those that do not change what a network computes. */
#include <math.h>
#include <string.h>

#include "formats/hf/hf.h"

/* What has no meaning for the function of a network: names, training,
 * generation of text, how a library is to run it. */
static const char *const harmless[] = {
    "architectures",
    "attention_dropout",
    "attention_probs_dropout_prob",
    "attn_implementation",
    "attn_pdrop",
    "auto_map",
    "bad_words_ids",
    "begin_suppress_tokens",
    "bos_token_id",
    "chunk_size_feed_forward",
    "classifier_dropout",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "dropout",
    "dtype",
    "early_stopping",
    "embd_pdrop",
    "encoder_no_repeat_ngram_size",
    "encoder_stride",
    "eos_token_id",
    "exponential_decay_length_penalty",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "gradient_checkpointing",
    "hidden_dropout_prob",
    "initializer_factor",
    "initializer_range",
    "label2id",
    "length_penalty",
    "max_length",
    "min_length",
    "model_type",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_past",
    "output_scores",
    "pad_token_id",
    "prefix",
    "pretraining_tp",
    "problem_type",
    "qa_dropout",
    "remove_invalid_values",
    "repetition_penalty",
    "resid_pdrop",
    "return_dict",
    "return_dict_in_generate",
    "sep_token_id",
    "seq_classif_dropout",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tie_weights_",
    "max_sequence_length",
    "tf_legacy_loss",
    "tie_encoder_decoder",
    "tokenizer_class",
    "top_k",
    "top_p",
    "torch_dtype",
    "torchscript",
    "transformers_version",
    "typical_p",
    "use_bfloat16",
    "use_cache",
    "cls_token_id",
    "unk_token_id",
    "mask_token_id",
};

ax_status hf_config_init(struct hf_config *c, json_t *root,
                         struct ax_err *err)
{
    c->root = root;
    if (!json_is_object(root))
        return ax_fail(err, AX_EFORMAT, "is no object");
    c->left = json_copy(root);
    if (!c->left)
        return ax_fail(err, AX_ENOMEM, "no memory for a configuration");
    return AX_OK;
}

void hf_config_free(struct hf_config *c)
{
    json_decref(c->left);
    *c = (struct hf_config){0};
}

const json_t *hf_get(struct hf_config *c, const char *key)
{
    const json_t *x = json_object_get(c->root, key);

    (void)json_object_del(c->left, key);
    return json_is_null(x) ? NULL : x;
}

static ax_status missing(const char *key, struct ax_err *err)
{
    return ax_fail(err, AX_EFORMAT, "'%s' is missing", key);
}

ax_status hf_count(struct hf_config *c, int64_t *out, const char *key,
                   int64_t otherwise, struct ax_err *err)
{
    const json_t *x = hf_get(c, key);

    *out = x ? json_integer_value(x) : otherwise;
    if (!x && !otherwise)
        return missing(key, err);
    if (x && (!json_is_integer(x) || *out < 1 || *out > INT32_MAX))
        return ax_fail(err, AX_EFORMAT,
                       "'%s' is no whole number from 1 to %d", key,
                       INT32_MAX);
    return AX_OK;
}

ax_status hf_pair(struct hf_config *c, int64_t out[2], const char *key,
                  int64_t otherwise, struct ax_err *err)
{
    const json_t *x = hf_get(c, key);

    if (x && json_is_array(x) && json_array_size(x) != 2)
        return ax_fail(err, AX_EFORMAT, "'%s' has %zu numbers, wants 2", key,
                       json_array_size(x));
    for (size_t i = 0; i < 2; i++) {
        const json_t *k = json_is_array(x) ? json_array_get(x, i) : x;

        out[i] = k ? json_integer_value(k) : otherwise;
        if ((k && !json_is_integer(k)) || out[i] < 1 || out[i] > 1 << 20)
            return ax_fail(err, AX_EFORMAT,
                           "'%s' is no whole number from 1 to %d", key,
                           1 << 20);
    }
    return AX_OK;
}

ax_status hf_bool(struct hf_config *c, bool *out, const char *key,
                  bool otherwise, struct ax_err *err)
{
    const json_t *x = hf_get(c, key);

    *out = x ? json_is_true(x) : otherwise;
    if (x && !json_is_boolean(x))
        return ax_fail(err, AX_EFORMAT, "'%s' is neither true nor false",
                       key);
    return AX_OK;
}

ax_status hf_real(struct hf_config *c, double *out, const char *key,
                  double otherwise, struct ax_err *err)
{
    const json_t *x = hf_get(c, key);

    *out = x ? json_number_value(x) : otherwise;
    if (x && (!json_is_number(x) || !(*out > 0) || isinf(*out)))
        return ax_fail(err, AX_EFORMAT, "'%s' is no number above 0", key);
    return AX_OK;
}

ax_status hf_text(struct hf_config *c, const char **out, const char *key,
                  const char *otherwise, struct ax_err *err)
{
    const json_t *x = hf_get(c, key);

    *out = x ? json_string_value(x) : otherwise;
    return *out ? AX_OK : ax_fail(err, AX_EFORMAT, "'%s' is no text", key);
}

ax_status hf_none(struct hf_config *c, const char *key, struct ax_err *err)
{
    const json_t *x = hf_get(c, key);

    if (!x || json_is_false(x) ||
        (json_is_number(x) && json_number_value(x) == 0) ||
        (json_is_array(x) && !json_array_size(x)) ||
        (json_is_object(x) && !json_object_size(x)))
        return AX_OK;
    return ax_fail(err, AX_EUNSUPPORTED,
                   "'%s' is set, which is not supported", key);
}

static bool is_harmless(const char *key)
{
    for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++)
        if (strcmp(harmless[i], key) == 0)
            return true;
    return key[0] == '_';
}

ax_status hf_config_done(const struct hf_config *c, struct ax_err *err)
{
    const char *key;
    json_t *value;

    json_object_foreach(c->left, key, value)
    {
        if (!json_is_null(value) && !is_harmless(key))
            return ax_fail(err, AX_EUNSUPPORTED,
                           "'%.60s' is no key that we know, and might change "
                           "what the network computes",
                           key);
    }
    return AX_OK;
}
