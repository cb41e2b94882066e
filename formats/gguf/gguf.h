/* formats/gguf/gguf.h - GGUF, the files of llama.cpp: keys with values, and
 * tensors. parse.c reads the bytes, block.c turns quantised numbers into
 * float32, llama.c makes a graph. Source: docs/gguf.md of ggml, version 3. */
#ifndef FORMATS_GGUF_H
#define FORMATS_GGUF_H

#include "formats/torch/torch.h"

enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_TEXT,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPES
};

struct gguf_key {
    struct torch_text key;
    enum gguf_type type;
    struct torch_text text;     /* of GGUF_TEXT */
    const unsigned char *value; /* of what is a number */
    uint64_t count;             /* of GGUF_ARRAY */
    bool known;                 /* somebody asked for it */
};

struct gguf {
    struct gguf_key *v; /* in the order of the file */
    size_t n;
    struct gguf_key **by_name;    /* sorted */
    const unsigned char *tensors; /* descriptions of them, count of them */
    uint64_t n_tensors;
    size_t alignment;
    const unsigned char *data; /* the file */
    size_t size;
};

/* Read keys and values. The bytes are borrowed. *out is overwritten; free it
 * with gguf_free, also after failure. AX_EFORMAT, AX_EUNSUPPORTED,
 * AX_ENOMEM. */
ax_status gguf_open(struct gguf *out, const unsigned char *data, size_t n,
                    struct ax_err *err) AX_MUST_CHECK;
void gguf_free(struct gguf *g); /* harmless on {0} */
/* NULL if there is none. */
struct gguf_key *gguf_find(const struct gguf *g, const char *key);

/* Every tensor, with its dimensions in the usual order. Each has to lie where
 * those before it end, on the next multiple of the alignment. */
ax_status gguf_tensors(struct ax_checkpoint *c, size_t *cap,
                       const struct gguf *g, struct ax_err *err)
    AX_MUST_CHECK;

/* All of it: a reader of checkpoints. */
ax_status gguf_read(struct ax_checkpoint *c, size_t *cap,
                    const unsigned char *data, size_t n, struct ax_err *err)
    AX_MUST_CHECK;

ax_unpack gguf_q4_0, gguf_q4_1, gguf_q5_0, gguf_q5_1, gguf_q8_0, gguf_q4_k,
    gguf_q5_k, gguf_q6_k;

#endif
