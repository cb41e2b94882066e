/* GGUF files of the architecture llama as graphs: the network of
 * formats/hf/llama.c with other names, and rotary positions that turn
 * neighbours, for which llama.cpp reorders the weights. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ax/element.h"
#include "formats/gguf/gguf.h"
#include "formats/hf/llama.h"

/* ---- keys ---- */

/* A number of any integer type from 1; OTHERWISE stands for a key that is
 * missing, and 0 for one that must not be. */
static ax_status count(const struct gguf *g, int64_t *out, const char *key,
                       int64_t otherwise, struct ax_err *err)
{
    const struct gguf_key *k = gguf_find(g, key);

    *out = otherwise;
    if (!k)
        return otherwise ? AX_OK
                         : ax_fail(err, AX_EFORMAT, "has no key '%s'", key);
    switch (k->type) {
    case GGUF_U32:
    case GGUF_I32:
        *out = (int64_t)torch_le(k->value, 4);
        break;
    case GGUF_U64:
    case GGUF_I64:
        *out = (int64_t)torch_le(k->value, 8);
        break;
    default:
        return ax_fail(err, AX_EUNSUPPORTED, "'%s' is no integer", key);
    }
    if (*out < 1 || *out > INT32_MAX)
        return ax_fail(err, AX_EFORMAT, "'%s' is no number from 1 to %d", key,
                       INT32_MAX);
    return AX_OK;
}

static ax_status real(const struct gguf *g, double *out, const char *key,
                      double otherwise, struct ax_err *err)
{
    const struct gguf_key *k = gguf_find(g, key);
    uint32_t bits;
    float x;

    *out = otherwise;
    if (!k)
        return otherwise > 0
                   ? AX_OK
                   : ax_fail(err, AX_EFORMAT, "has no key '%s'", key);
    if (k->type != GGUF_F32)
        return ax_fail(err, AX_EUNSUPPORTED, "'%s' is no float32", key);
    bits = (uint32_t)torch_le(k->value, 4);
    memcpy(&x, &bits, sizeof x);
    *out = (double)x;
    if (!(x > 0) || isinf(x))
        return ax_fail(err, AX_EFORMAT, "'%s' is no number above 0", key);
    return AX_OK;
}

static bool begins(struct torch_text t, const char *s)
{
    size_t n = strlen(s);

    return t.n >= n && memcmp(t.s, s, n) == 0;
}

/* What nobody asked for, and may mean something. */
static ax_status check_left(const struct gguf *g, struct ax_err *err)
{
    static const char *const harmless[] = {"general.", "tokenizer.",
                                           "quantize."};

    for (size_t i = 0; i < g->n; i++) {
        bool known = g->v[i].known;

        for (size_t k = 0; k < sizeof harmless / sizeof harmless[0]; k++)
            known |= begins(g->v[i].key, harmless[k]);
        if (!known)
            return ax_fail(err, AX_EUNSUPPORTED,
                           "'%s' is no key that we know, and might change "
                           "what the network computes",
                           torch_show(g->v[i].key).s);
    }
    return AX_OK;
}

static ax_status check_kind(const struct gguf *g, struct ax_err *err)
{
    const struct gguf_key *k = gguf_find(g, "general.architecture");
    int64_t parts;

    if (!k || k->type != GGUF_TEXT)
        return ax_fail(err, AX_EFORMAT, "has no text 'general.architecture'");
    if (!torch_is(k->text, "llama"))
        return ax_fail(err, AX_EUNSUPPORTED,
                       "the architecture '%s' is not supported, llama is",
                       torch_show(k->text).s);
    k = gguf_find(g, "split.count");
    if (k && k->type == GGUF_U16 && torch_le(k->value, 2) > 1)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "is one of several files, which is not supported");
    return count(g, &parts, "llama.context_length", 1, err);
}

/* ---- rotary positions ---- */

static ax_status read_scaling(const struct gguf *g, double *factor,
                              struct ax_err *err)
{
    const struct gguf_key *k = gguf_find(g, "llama.rope.scaling.type");

    *factor = 1;
    if (k && (k->type != GGUF_TEXT ||
              (!torch_is(k->text, "linear") && !torch_is(k->text, "none"))))
        return ax_fail(err, AX_EUNSUPPORTED,
                       "rotary positions of type '%s' are not supported",
                       k->type == GGUF_TEXT ? torch_show(k->text).s : "?");
    if (k && torch_is(k->text, "linear"))
        return real(g, factor, "llama.rope.scaling.factor", 0, err);
    return AX_OK;
}

/* Divisors of the frequencies, if the file has some. */
static ax_status divide(struct hf *h, float *freq, size_t n,
                        struct ax_err *err)
{
    struct arch_entry *e = arch_find(&h->a, "rope_freqs.weight");
    const unsigned char *bytes;
    void *own = NULL;
    size_t size;
    ax_status st = AX_OK;

    if (!e)
        return AX_OK;
    if (e->w->type != AX_F32 || e->w->rank != 1 ||
        e->w->dims[0] != (int64_t)n)
        return ax_fail(err, AX_ESHAPE,
                       "tensor 'rope_freqs.weight' is no float32 [%zu]", n);
    e->used = true;
    AX_TRY(ax_weight_bytes(&bytes, &own, &size, e->w, err));
    for (size_t i = 0; i < n && st == AX_OK; i++) {
        double x;

        ax_get_f64(&x, AX_F32, bytes, i, 1);
        if (!(x > 0) || isinf(x))
            st = ax_fail(err, AX_EFORMAT,
                         "tensor 'rope_freqs.weight' has what is no number "
                         "above 0");
        freq[i] = (float)((double)freq[i] / x);
    }
    free(own);
    return st;
}

static ax_status rotary(struct hf *h, struct hf_attention *a,
                        const struct gguf *g, struct ax_err *err)
{
    size_t n = (size_t)a->dim / 2;
    double base, factor;
    int64_t turned;
    ax_status st;

    AX_TRY(count(g, &turned, "llama.rope.dimension_count", a->dim, err));
    if (turned != a->dim)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "%" PRId64 " of %" PRId64 " numbers are turned: only "
                       "all of them are supported",
                       turned, a->dim);
    AX_TRY(real(g, &base, "llama.rope.freq_base", 10000, err));
    AX_TRY(read_scaling(g, &factor, err));
    h->freq = malloc((n + 1) * sizeof *h->freq);
    if (!h->freq)
        return ax_fail(err, AX_ENOMEM, "no memory for rotary positions");
    h->n_freq = n;
    for (size_t i = 0; i < n; i++)
        h->freq[i] = (float)(1 /
                             (double)powf((float)base,
                                          (float)(2 * i) / (float)a->dim) /
                             factor);
    st = divide(h, h->freq, n, err);
    return st == AX_OK ? hf_rotary(h, a, h->freq, err) : st;
}

/* ---- the network ---- */

static ax_status read_shape(struct hf *h, struct hf_llama_shape *s,
                            const struct gguf *g, struct ax_err *err)
{
    const struct arch_entry *words = arch_find(&h->a, "token_embd.weight");
    struct hf_attention *a = &s->attention;
    int64_t other;

    if (!words || words->w->rank != 2)
        return ax_fail(err, AX_EFORMAT, "has no matrix 'token_embd.weight'");
    AX_TRY(
        count(g, &s->vocabulary, "llama.vocab_size", words->w->dims[0], err));
    AX_TRY(count(g, &s->hidden, "llama.embedding_length", 0, err));
    AX_TRY(count(g, &s->layers, "llama.block_count", 0, err));
    AX_TRY(count(g, &s->inner, "llama.feed_forward_length", 0, err));
    AX_TRY(count(g, &a->heads, "llama.attention.head_count", 0, err));
    AX_TRY(count(g, &a->kv_heads, "llama.attention.head_count_kv", a->heads,
                 err));
    AX_TRY(count(g, &a->dim, "llama.attention.key_length",
                 s->hidden >= a->heads ? s->hidden / a->heads : 1, err));
    AX_TRY(count(g, &other, "llama.attention.value_length", a->dim, err));
    if (other != a->dim)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "keys of %" PRId64 " and values of %" PRId64
                       " numbers are not supported",
                       a->dim, other);
    AX_TRY(
        real(g, &s->eps, "llama.attention.layer_norm_rms_epsilon", 0, err));
    s->activation = "silu";
    s->attention_bias = arch_find(&h->a, "blk.0.attn_q.bias") != NULL;
    s->out_bias = arch_find(&h->a, "blk.0.attn_output.bias") != NULL;
    s->mlp_bias = arch_find(&h->a, "blk.0.ffn_up.bias") != NULL;
    a->cos = a->sin = AX_NONE;
    a->pairs = true;
    return hf_llama_check(s, err);
}

static const struct hf_llama_names names = {
    .norm1 = "attn_norm",
    .norm2 = "ffn_norm",
    .q = "attn_q",
    .k = "attn_k",
    .v = "attn_v",
    .o = "attn_output",
    .gate = "ffn_gate",
    .up = "ffn_up",
    .down = "ffn_down",
};

static ax_status network(struct hf *h, const struct gguf *g,
                         struct ax_err *err)
{
    struct hf_llama_shape s = {0};
    bool tied = arch_find(&h->a, "output.weight") == NULL;
    uint32_t x;

    AX_TRY(check_kind(g, err));
    AX_TRY(read_shape(h, &s, g, err));
    AX_TRY(hf_text_inputs(h, true, false, err));
    AX_TRY(rotary(h, &s.attention, g, err));
    AX_TRY(hf_at(h, "", err, "token_embd"));
    AX_TRY(hf_embed(h, &x, h->ids, "", s.vocabulary, s.hidden, err));
    AX_TRY(hf_rows(h, &x, s.hidden, err));
    for (int64_t i = 0; i < s.layers; i++) {
        AX_TRY(hf_at(h, "", err, "blk.%" PRId64, i));
        AX_TRY(hf_llama_layer(h, &x, &s, &names, err));
    }
    AX_TRY(hf_at(h, "", err, "output_norm"));
    AX_TRY(hf_rms_norm(h, &x, x, "", s.hidden, s.eps, err));
    AX_TRY(hf_language_head(h, x, tied, "output", "token_embd", NULL,
                            s.vocabulary, s.hidden, err));
    return check_left(g, err);
}

/* ---- the format ---- */

static ax_status read_gguf(struct ax_model **out, const unsigned char *data,
                           size_t n, const struct ax_format_options *opt,
                           struct ax_err *err)
{
    static const struct hf_kind kind = {.name = "llama", .unused = ""};
    struct hf h = hf_new(opt);
    struct ax_checkpoint c = {0};
    struct gguf g;
    ax_status st = gguf_open(&g, data, n, err);

    *out = NULL;
    if (st == AX_OK)
        st = ax_checkpoint_read(&c, data, n, err);
    if (st == AX_OK)
        st = arch_begin(&h.a, "llama", err);
    if (st == AX_OK)
        st = hf_add_entries(&h, &c, err);
    if (st == AX_OK) {
        arch_sort(&h.a);
        st = network(&h, &g, err);
    }
    if (st == AX_OK)
        st = hf_check_unused(&h, &kind, err);
    if (st == AX_OK)
        st = arch_finish(&h.a, err);
    if (st == AX_OK)
        *out = h.a.m;
    else
        ax_model_free(h.a.m);
    free(h.a.entry);
    free(h.freq);
    ax_checkpoint_free(&c);
    gguf_free(&g);
    return st;
}

static bool sniff(const unsigned char *head, size_t n)
{
    return n >= 4 && memcmp(head, "GGUF", 4) == 0;
}

const struct ax_format ax_format_gguf = {
    .name = "gguf",
    .summary = "GGUF files of llama.cpp, architecture llama",
    .sequences = true,
    .sniff = sniff,
    .read = read_gguf,
};
