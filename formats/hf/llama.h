/* formats/hf/llama.h - what folders and GGUF files have in common: a layer
 * of Llama, whatever its tensors are called. */
#ifndef FORMATS_HF_LLAMA_H
#define FORMATS_HF_LLAMA_H

#include "formats/hf/hf.h"

struct hf_llama_shape {
    struct hf_attention attention;
    int64_t vocabulary, hidden, inner, layers;
    double eps;
    bool attention_bias, out_bias, mlp_bias; /* of q, k and v; of o */
    const char *activation;
};

struct hf_llama_names {
    const char *norm1, *norm2, *q, *k, *v, *o, *gate, *up, *down;
};

/* Do the numbers fit together? Sets the scale of the scores. AX_EFORMAT. */
ax_status hf_llama_check(struct hf_llama_shape *s, struct ax_err *err)
    AX_MUST_CHECK;

/* The layer that hf_at names: *x are rows that go in, and what comes out. */
ax_status hf_llama_layer(struct hf *h, uint32_t *x,
                         const struct hf_llama_shape *s,
                         const struct hf_llama_names *names,
                         struct ax_err *err) AX_MUST_CHECK;

#endif
