/* Folders as Hugging Face's transformers saves them: config.json names an
 * architecture and its sizes, other files hold the weights. */
#include <stdlib.h>
#include <string.h>

#include "formats/hf/hf.h"

static const struct hf_kind kinds[] = {
    {"LlamaForCausalLM", "llama", "model.", hf_llama, HF_LANGUAGE, ""},
    {"LlamaModel", "llama", "model.", hf_llama, HF_NO_HEAD, ""},
    {"MistralForCausalLM", "mistral", "model.", hf_mistral, HF_LANGUAGE, ""},
    {"MistralModel", "mistral", "model.", hf_mistral, HF_NO_HEAD, ""},
    {"Qwen2ForCausalLM", "qwen2", "model.", hf_qwen2, HF_LANGUAGE, ""},
    {"Qwen2Model", "qwen2", "model.", hf_qwen2, HF_NO_HEAD, ""},
    {"GPT2LMHeadModel", "gpt2", "transformer.", hf_gpt2, HF_LANGUAGE, ""},
    {"GPT2Model", "gpt2", "transformer.", hf_gpt2, HF_NO_HEAD, ""},
    {"BertModel", "bert", "bert.", hf_bert, HF_NO_HEAD, "cls."},
    {"BertForMaskedLM", "bert", "bert.", hf_bert, HF_MASKED_LANGUAGE,
     "bert.pooler. cls.seq_relationship. cls.predictions.bias"},
    {"BertForSequenceClassification", "bert", "bert.", hf_bert,
     HF_SEQUENCE_LABEL, ""},
    {"BertForTokenClassification", "bert", "bert.", hf_bert, HF_TOKEN_LABEL,
     "bert.pooler."},
    {"BertForQuestionAnswering", "bert", "bert.", hf_bert, HF_ANSWER,
     "bert.pooler."},
    {"DistilBertModel", "distilbert", "distilbert.", hf_distilbert,
     HF_NO_HEAD, "vocab_"},
    {"DistilBertForMaskedLM", "distilbert", "distilbert.", hf_distilbert,
     HF_MASKED_LANGUAGE, ""},
    {"DistilBertForSequenceClassification", "distilbert", "distilbert.",
     hf_distilbert, HF_SEQUENCE_LABEL, ""},
    {"DistilBertForTokenClassification", "distilbert", "distilbert.",
     hf_distilbert, HF_TOKEN_LABEL, ""},
    {"DistilBertForQuestionAnswering", "distilbert", "distilbert.",
     hf_distilbert, HF_ANSWER, ""},
    {"ViTModel", "vit", "vit.", hf_vit, HF_NO_HEAD,
     "vit.embeddings.mask_token embeddings.mask_token"},
    {"ViTForImageClassification", "vit", "vit.", hf_vit, HF_IMAGE_LABEL,
     "vit.pooler. vit.embeddings.mask_token"},
    {"ResNetModel", "resnet", "resnet.", hf_resnet, HF_NO_HEAD, ""},
    {"ResNetForImageClassification", "resnet", "resnet.", hf_resnet,
     HF_IMAGE_LABEL, ""},
};

struct hf hf_new(const struct ax_format_options *opt)
{
    return (struct hf){.a = {.dtype = AX_F32},
                       .opt = opt,
                       .base = "",
                       .batch = opt->batch ? opt->batch : -1,
                       .seq = opt->seq ? opt->seq : -1,
                       .ids = AX_NONE,
                       .shape = AX_NONE,
                       .positions = AX_NONE,
                       .padding = AX_NONE,
                       .types = AX_NONE,
                       .mask = AX_NONE};
}

/* ---- which network ---- */

static ax_status find_kind(struct hf *h, const struct hf_kind **out,
                           struct ax_err *err)
{
    const json_t *all = hf_get(&h->config, "architectures");
    const char *name = json_string_value(json_array_get(all, 0)), *type;

    AX_TRY(hf_text(&h->config, &type, "model_type", "", err));
    (void)hf_get(&h->config, "id2label"); /* many have it for no reason */
    (void)hf_get(&h->config, "num_labels");
    if (!name || json_array_size(all) != 1)
        return ax_fail(err, AX_EFORMAT,
                       "wants one name in 'architectures', which says what "
                       "the network is");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].name, name) != 0)
            continue;
        if (*type && strcmp(type, kinds[i].type) != 0)
            return ax_fail(err, AX_EFORMAT,
                           "'model_type' is '%.40s', but a %s is of type "
                           "'%s'",
                           type, name, kinds[i].type);
        *out = &kinds[i];
        return AX_OK;
    }
    return ax_fail(err, AX_EUNSUPPORTED,
                   "the architecture '%.60s' is not supported; see "
                   "ax-import(1)",
                   name);
}

/* What changes every network in ways that we do not have. */
static ax_status check_common(struct hf *h, struct ax_err *err)
{
    static const char *const keys[] = {
        "add_cross_attention",         "compression_config",
        "cross_attention_hidden_size", "is_decoder",
        "is_encoder_decoder",          "pruned_heads",
        "quantization_config",
    };

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        AX_TRY(hf_none(&h->config, keys[i], err));
    return AX_OK;
}

/* ---- tensors ---- */

ax_status hf_add_entries(struct hf *h, const struct ax_checkpoint *c,
                         struct ax_err *err)
{
    struct arch_entry *more = reallocarray(
        h->a.entry, h->a.n_entries + c->n + 1, sizeof *more);

    if (!more)
        return ax_fail(err, AX_ENOMEM, "no memory for tensors");
    h->a.entry = more;
    for (size_t k = 0; k < c->n; k++)
        more[h->a.n_entries++] = (struct arch_entry){.name = c->v[k].name,
                                                     .w = &c->v[k],
                                                     .value = AX_NONE,
                                                     .cast = AX_NONE};
    return AX_OK;
}

/* Tensors that do not lie in the mapping get bytes of their own, for what
 * they borrow from goes. */
static ax_status own_tensors(struct ax_model *m, const struct hf_files *f,
                             struct ax_err *err)
{
    const char *from = f->map, *to = from + f->size;

    for (uint32_t i = 0; i < m->n_tensors; i++) {
        struct ax_tensor *t = &m->tensors[i];
        const char *p = t->data;
        void *copy;

        if (t->owned || (p >= from && p < to))
            continue;
        copy = malloc(t->nbytes ? t->nbytes : 1);
        if (!copy)
            return ax_fail(err, AX_ENOMEM, "no memory for a tensor");
        memcpy(copy, t->data, t->nbytes);
        t->data = copy;
        t->owned = true;
    }
    return AX_OK;
}

/* ---- the whole ---- */

static ax_status say_files(const struct ax_format_options *opt,
                           const struct hf_files *f, struct ax_err *err)
{
    for (size_t i = 0; i < f->n && opt->used; i++)
        AX_TRY(opt->used(opt->used_self, f->v[i].name, f->v[i].data,
                         f->v[i].n, err));
    return AX_OK;
}

static ax_status build(struct hf *h, const struct hf_files *f,
                       const struct hf_kind *kind, struct ax_err *err)
{
    ax_status st;

    AX_TRY(arch_begin(&h->a, kind->name, err));
    for (size_t i = 0; i < f->n; i++)
        AX_TRY(hf_add_entries(h, &f->v[i].checkpoint, err));
    arch_sort(&h->a);
    h->base = hf_any(h, kind->base) ? kind->base : "";
    st = check_common(h, err);
    if (st == AX_OK)
        st = kind->make(h, kind->head, err);
    if (st == AX_OK)
        st = hf_config_done(&h->config, err);
    AX_TRY(st);
    AX_TRY(hf_check_unused(h, kind, err));
    AX_TRY(arch_finish(&h->a, err));
    return own_tensors(h->a.m, f, err);
}

static ax_status read_folder(struct ax_model **out, json_t *root,
                             const struct ax_format_options *opt,
                             struct ax_err *err)
{
    struct hf h = hf_new(opt);
    const struct hf_kind *kind = NULL;
    struct hf_files f = {0};
    ax_status st = hf_config_init(&h.config, root, err);

    if (st == AX_OK)
        st = find_kind(&h, &kind, err);
    if (st == AX_OK)
        st = hf_files_open(&f, opt, err);
    if (st == AX_OK)
        st = say_files(opt, &f, err);
    if (st == AX_OK)
        st = build(&h, &f, kind, err);
    if (st == AX_OK) {
        *out = h.a.m;
        h.a.m->map = f.map;
        h.a.m->map_size = f.size;
        f.map = NULL;
    } else {
        ax_model_free(h.a.m);
    }
    free(h.a.entry);
    free(h.freq);
    hf_config_free(&h.config);
    hf_files_free(&f);
    return st;
}

static ax_status read_config(struct ax_model **out, const unsigned char *data,
                             size_t n, const struct ax_format_options *opt,
                             struct ax_err *err)
{
    json_error_t why;
    json_t *root = json_loadb((const char *)data, n, JSON_REJECT_DUPLICATES,
                              &why);
    ax_status st;

    *out = NULL;
    if (!root)
        return ax_fail(err, AX_EFORMAT, "line %d: %s", why.line, why.text);
    st = read_folder(out, root, opt, err);
    json_decref(root);
    return st;
}

/* An object, with a key. */
static bool sniff(const unsigned char *head, size_t n)
{
    size_t i = 0;

    while (i < n && strchr(" \t\r\n", head[i]) && head[i])
        i++;
    if (i == n || head[i++] != '{')
        return false;
    while (i < n && strchr(" \t\r\n", head[i]) && head[i])
        i++;
    return i < n && head[i] == '"';
}

const struct ax_format ax_format_huggingface = {
    .name = "huggingface",
    .summary = "folders with config.json and weights, of transformers",
    .sequences = true,
    .sniff = sniff,
    .read = read_config,
};
