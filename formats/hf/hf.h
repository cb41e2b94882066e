/* formats/hf/hf.h - what the readers of Hugging Face folders share.
 *
 * hf.c is the format and the table of architectures; config.c reads
 * config.json and knows which of its keys mean nothing; files.c finds, maps
 * and checks the files of weights; build.c has the parts that networks are
 * made of, head.c what goes out; unused.c looks at the rest; attention.c
 * attention and positions; the other files make one family of networks each.
 * It makes nothing up: a key that is not known, a tensor that is missing or
 * too much is an error. */
#ifndef FORMATS_HF_H
#define FORMATS_HF_H

#include "ax/format.h"
#include "formats/arch/arch.h"

/* ---- config.c ---- */

struct hf_config {
    json_t *root; /* borrowed */
    json_t *left; /* the keys that nobody has asked for; owned */
};

ax_status hf_config_init(struct hf_config *c, json_t *root,
                         struct ax_err *err) AX_MUST_CHECK;
void hf_config_free(struct hf_config *c); /* harmless on {0} */

/* The value of a key, which is known from now on; NULL if it is missing or
 * null. */
const json_t *hf_get(struct hf_config *c, const char *key);
/* A count: an integer from 1 to INT32_MAX. OTHERWISE stands for a key that
 * is missing; with 0 it must not be missing. */
ax_status hf_count(struct hf_config *c, int64_t *out, const char *key,
                   int64_t otherwise, struct ax_err *err) AX_MUST_CHECK;
/* Two counts, or one for both. */
ax_status hf_pair(struct hf_config *c, int64_t out[2], const char *key,
                  int64_t otherwise, struct ax_err *err) AX_MUST_CHECK;
ax_status hf_bool(struct hf_config *c, bool *out, const char *key,
                  bool otherwise, struct ax_err *err) AX_MUST_CHECK;
/* A positive, finite number. */
ax_status hf_real(struct hf_config *c, double *out, const char *key,
                  double otherwise, struct ax_err *err) AX_MUST_CHECK;
/* *out is borrowed. */
ax_status hf_text(struct hf_config *c, const char **out, const char *key,
                  const char *otherwise, struct ax_err *err) AX_MUST_CHECK;
/* A key that is missing, null, false, 0 or empty, or else not supported. */
ax_status hf_none(struct hf_config *c, const char *key, struct ax_err *err)
    AX_MUST_CHECK;
/* AX_EUNSUPPORTED if there is a key left that may mean something. */
ax_status hf_config_done(const struct hf_config *c, struct ax_err *err)
    AX_MUST_CHECK;

/* ---- files.c ---- */

/* The files of weights of a folder, mapped one behind the other. */
struct hf_files {
    void *map;
    size_t size;
    struct hf_file *v;
    size_t n;
};

struct hf_file {
    char *name;                /* without folders */
    const unsigned char *data; /* in the mapping */
    size_t n;
    struct ax_checkpoint checkpoint;
};

/* Open the weights of a folder: model.safetensors, the shards that
 * model.safetensors.index.json names, or the same of pytorch_model.bin. Each
 * shard has the tensors that the index says and no others. *out is
 * overwritten; free it with hf_files_free, also after failure.
 * AX_ENOINPUT, AX_EFORMAT, AX_EUNSUPPORTED, AX_EIO, AX_ENOMEM. */
ax_status hf_files_open(struct hf_files *out,
                        const struct ax_format_options *opt,
                        struct ax_err *err) AX_MUST_CHECK;
void hf_files_free(struct hf_files *f); /* harmless on {0} */

/* ---- build.c ---- */

/* What is on top of the inner model. */
enum hf_head {
    HF_NO_HEAD, /* its hidden states */
    HF_LANGUAGE,
    HF_MASKED_LANGUAGE,
    HF_SEQUENCE_LABEL,
    HF_TOKEN_LABEL,
    HF_ANSWER, /* where an answer begins and ends */
    HF_IMAGE_LABEL,
};

struct hf {
    struct arch a;
    struct hf_config config;
    const struct ax_format_options *opt;
    const char *base;   /* of the names of the inner model: "model.", or "" */
    int64_t batch, seq; /* -1: free */
    char path[256];     /* of the part at hand, without a dot behind it */
    uint32_t ids;       /* [batch, seq], or AX_NONE */
    uint32_t shape;     /* of the ids, or AX_NONE until it is needed */
    uint32_t positions; /* [seq] 0, 1, ..., or AX_NONE */
    uint32_t padding;   /* input attention_mask [batch, seq], or AX_NONE */
    uint32_t types;     /* input token_type_ids [batch, seq], or AX_NONE */
    uint32_t mask;      /* added to scores, or AX_NONE */
    int64_t window;     /* tokens that one sees; 0: all before it */
    float *freq;        /* rotary frequencies, or NULL; owned */
    size_t n_freq;
};

/* ---- hf.c ---- */

/* Nothing yet. */
struct hf hf_new(const struct ax_format_options *opt);
/* The tensors of one more checkpoint, which are borrowed, in no order.
 * AX_ENOMEM. */
ax_status hf_add_entries(struct hf *h, const struct ax_checkpoint *c,
                         struct ax_err *err) AX_MUST_CHECK;

/* What a description of an architecture is: a row of hf.c's table. */
struct hf_kind {
    const char *name; /* as "LlamaForCausalLM" */
    const char *type; /* model_type */
    const char *base; /* prefix of the inner model where there is a head */
    ax_status (*make)(struct hf *h, enum hf_head head, struct ax_err *err);
    enum hf_head head;
    const char *unused; /* beginnings of names of tensors that files of this
                           architecture have, and it does not use */
};

/* "WHAT.PART", or the one of them that is not empty. */
struct hf_name {
    char s[384];
};
struct hf_name hf_part(const char *what, const char *part);

/* The part at hand is called PREFIX and the text; names of tensors and
 * values begin with it. */
ax_status hf_at(struct hf *h, const char *prefix, struct ax_err *err,
                const char *fmt, ...) AX_PRINTF(4, 5) AX_MUST_CHECK;

/* Tensor WHAT of the part at hand, of this shape, as it lies in the file.
 * hf_weight makes it float32, once. AX_EFORMAT, AX_ESHAPE. */
ax_status hf_raw(struct hf *h, uint32_t *v, const char *what, int rank,
                 const int64_t *dims, struct ax_err *err) AX_MUST_CHECK;
ax_status hf_weight(struct hf *h, uint32_t *v, const char *what, int rank,
                    const int64_t *dims, struct ax_err *err) AX_MUST_CHECK;
ax_status hf_vector(struct hf *h, uint32_t *v, const char *what, int64_t n,
                    struct ax_err *err) AX_MUST_CHECK;
/* Is there a tensor of this name, the part at hand before it? */
bool hf_has(const struct hf *h, const char *what);
/* Any tensor whose name begins so? */
bool hf_any(const struct hf *h, const char *prefix);

/* A node of X and a number. */
ax_status hf_scalar(struct hf *h, uint32_t *out, ax_op op, const char *what,
                    uint32_t x, double y, struct ax_err *err) AX_MUST_CHECK;
ax_status hf_reshape(struct hf *h, uint32_t *out, const char *what,
                     uint32_t x, const int64_t *dims, size_t n,
                     struct ax_err *err) AX_MUST_CHECK;
ax_status hf_transpose(struct hf *h, uint32_t *out, const char *what,
                       uint32_t x, const int64_t *perm, size_t n,
                       struct ax_err *err) AX_MUST_CHECK;
/* From FROM up to TO of AXIS. */
ax_status hf_slice(struct hf *h, uint32_t *out, const char *what, uint32_t x,
                   int64_t axis, int64_t from, int64_t to, struct ax_err *err)
    AX_MUST_CHECK;

/* A matrix of rows times the tensor WHAT.weight [n_out, n_in], and
 * WHAT.bias if there is to be one. */
ax_status hf_linear(struct hf *h, uint32_t *out, uint32_t x, const char *what,
                    int64_t n_in, int64_t n_out, bool bias,
                    struct ax_err *err) AX_MUST_CHECK;
/* The same by GPT-2's Conv1D: the weight lies [n_in, n_out]. */
ax_status hf_conv1d(struct hf *h, uint32_t *out, uint32_t x, const char *what,
                    int64_t n_in, int64_t n_out, struct ax_err *err)
    AX_MUST_CHECK;
/* A window over an image: WHAT.weight [n_out, n_in, kernel], padded on all
 * sides by half of the kernel or not at all. */
ax_status hf_convolution(struct hf *h, uint32_t *out, uint32_t x,
                         const char *what, int64_t n_in, int64_t n_out,
                         const int64_t *kernel, const int64_t *stride,
                         bool padded, bool bias, struct ax_err *err)
    AX_MUST_CHECK;
ax_status hf_batch_norm(struct hf *h, uint32_t *out, uint32_t x,
                        const char *what, int64_t n, struct ax_err *err)
    AX_MUST_CHECK;
ax_status hf_layer_norm(struct hf *h, uint32_t *out, uint32_t x,
                        const char *what, int64_t n, double eps,
                        struct ax_err *err) AX_MUST_CHECK;
ax_status hf_rms_norm(struct hf *h, uint32_t *out, uint32_t x,
                      const char *what, int64_t n, double eps,
                      struct ax_err *err) AX_MUST_CHECK;
/* An activation by the name that config.json gives it. */
ax_status hf_activation(struct hf *h, uint32_t *out, uint32_t x,
                        const char *what, const char *name,
                        struct ax_err *err) AX_MUST_CHECK;
/* Rows of the tensor WHAT.weight [n, width], float32. */
ax_status hf_embed(struct hf *h, uint32_t *out, uint32_t ids,
                   const char *what, int64_t n, int64_t width,
                   struct ax_err *err) AX_MUST_CHECK;
/* The same once more, for other ids; values are called AS. */
ax_status hf_embed_again(struct hf *h, uint32_t *out, uint32_t ids,
                         const char *what, const char *as, int64_t n,
                         int64_t width, struct ax_err *err) AX_MUST_CHECK;
/* A constant: one int64. */
ax_status hf_integer(struct hf *h, uint32_t *v, const char *what, int64_t i,
                     struct ax_err *err) AX_MUST_CHECK;
/* The first of the tokens X [batch, tokens, n]. */
ax_status hf_first(struct hf *h, uint32_t *out, uint32_t x,
                   struct ax_err *err) AX_MUST_CHECK;

/* Rows of what was [batch, seq, n]. */
ax_status hf_rows(struct hf *h, uint32_t *x, int64_t n, struct ax_err *err)
    AX_MUST_CHECK;
/* How many labels a classifier has: id2label or num_labels, 2 if neither. */
ax_status hf_labels(struct hf *h, int64_t *n, struct ax_err *err)
    AX_MUST_CHECK;
/* Scores of a vocabulary for each row, as output "logits": by HEAD.weight,
 * or by that of the embedding EMBED if they are tied, and BIAS, a tensor, or
 * NULL. */
ax_status hf_language_head(struct hf *h, uint32_t x, bool tied,
                           const char *head, const char *embed,
                           const char *bias, int64_t vocabulary,
                           int64_t hidden, struct ax_err *err) AX_MUST_CHECK;
/* Two tensors that are said to be one have to have the same bytes; the second
 * is used from now on. AX_EFORMAT. */
ax_status hf_tie(struct hf *h, const char *shared, const char *own,
                 struct ax_err *err) AX_MUST_CHECK;
/* Rows as output "last_hidden_state". */
ax_status hf_hidden(struct hf *h, uint32_t x, int64_t n, struct ax_err *err)
    AX_MUST_CHECK;

/* An input; dims of -1 are free and called NAMES. */
ax_status hf_input(struct hf *h, uint32_t *v, const char *name,
                   ax_dtype dtype, int rank, const int64_t *dims,
                   const char *const *names, struct ax_err *err)
    AX_MUST_CHECK;
/* Output NAME of the graph: what is in X. */
ax_status hf_output(struct hf *h, const char *name, uint32_t x,
                    struct ax_err *err) AX_MUST_CHECK;

/* ---- unused.c ---- */

/* Every tensor was used, or is a buffer that is what it has to be, or is one
 * that the architecture does not use, which the metadata then name. */
ax_status hf_check_unused(struct hf *h, const struct hf_kind *kind,
                          struct ax_err *err) AX_MUST_CHECK;

/* ---- attention.c ---- */

/* Inputs of a language model: the ids, positions, and a mask if there is one
 * to be: of what comes later (CAUSAL), of the input attention_mask. TYPES:
 * token_type_ids would mean something. AX_EUSAGE for inputs that it does not
 * have. */
ax_status hf_text_inputs(struct hf *h, bool causal, bool types,
                         struct ax_err *err) AX_MUST_CHECK;
/* AX_EUSAGE if inputs or a length were asked for. */
ax_status hf_no_text(const struct hf *h, struct ax_err *err) AX_MUST_CHECK;
/* HEADS divide HIDDEN; AX_EFORMAT. */
ax_status hf_check_heads(int64_t hidden, int64_t heads, struct ax_err *err)
    AX_MUST_CHECK;
/* Rows [batch * seq, n] as [batch, seq, n], or as [batch, seq, HEADS, n]. */
ax_status hf_unfold(struct hf *h, uint32_t *out, const char *what, uint32_t x,
                    int64_t heads, int64_t n, struct ax_err *err)
    AX_MUST_CHECK;

struct hf_attention {
    int64_t heads, kv_heads; /* kv_heads divides heads */
    int64_t dim;             /* of a head */
    double scale;
    uint32_t cos, sin; /* [seq, 1, dim / 2], or AX_NONE */
    bool pairs;        /* neighbours are turned, not halves */
};

/* Q, K and V are rows of all heads; so is *out. */
ax_status hf_attend(struct hf *h, uint32_t *out, uint32_t q, uint32_t k,
                    uint32_t v, const struct hf_attention *a,
                    struct ax_err *err) AX_MUST_CHECK;
/* The angles of rotary positions, from the frequencies [dim / 2]. */
ax_status hf_rotary(struct hf *h, struct hf_attention *a, const float *freq,
                    struct ax_err *err) AX_MUST_CHECK;

/* ---- families ---- */

ax_status hf_llama(struct hf *h, enum hf_head head, struct ax_err *err)
    AX_MUST_CHECK;
ax_status hf_mistral(struct hf *h, enum hf_head head, struct ax_err *err)
    AX_MUST_CHECK;
ax_status hf_qwen2(struct hf *h, enum hf_head head, struct ax_err *err)
    AX_MUST_CHECK;
ax_status hf_gpt2(struct hf *h, enum hf_head head, struct ax_err *err)
    AX_MUST_CHECK;
ax_status hf_bert(struct hf *h, enum hf_head head, struct ax_err *err)
    AX_MUST_CHECK;
ax_status hf_distilbert(struct hf *h, enum hf_head head, struct ax_err *err)
    AX_MUST_CHECK;
ax_status hf_vit(struct hf *h, enum hf_head head, struct ax_err *err)
    AX_MUST_CHECK;
ax_status hf_resnet(struct hf *h, enum hf_head head, struct ax_err *err)
    AX_MUST_CHECK;

#endif
