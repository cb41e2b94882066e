/* ax/model.h - a model: a graph, its constant tensors, and what is claimed
 * of it. The file format is axm(5); its identity is the RFC 6962 Merkle root
 * (SHA-256, leaves of 1 MiB) of its logical stream. */
#ifndef AX_MODEL_H
#define AX_MODEL_H

#include <stdbool.h>
#include <stdio.h>

#include "ax/graph.h"

AX_BEGIN_API

struct ax_meta {
    char *key, *value;
};

/* What was attached; the payload is kept as it was read, so that a command
 * copies through what it does not know. */
struct ax_attachment {
    char *type; /* "property", "certificate", "provenance", ... */
    char *name; /* file name without folders, may be empty */
    unsigned char identity[32]; /* of the model it speaks of */
    unsigned char digest[32];   /* SHA-256 of its logical bytes, axm(5) */
    unsigned char *data;
    size_t n;
};

struct ax_model {
    struct ax_graph *graph;
    uint32_t n_tensors;
    struct ax_tensor *tensors; /* in stream order */
    uint32_t n_meta;
    struct ax_meta *meta; /* sorted by key */
    uint32_t n_attachments;
    struct ax_attachment *attachments; /* in the order of appending */
    void *map; /* raw profile: the mapping that tensors borrow from */
    size_t map_size;
    /* Known once the model was read, or asked for its identity. Whoever
     * changes graph, tensors or metadata after that sets has_identity to
     * false, and drops the attachments: they speak of another model. */
    bool has_identity;
    unsigned char identity[32];
    bool raw; /* it was read from the raw profile */
};

void ax_model_free(struct ax_model *m); /* NULL is harmless */

/* Bring the model into the normal form of axm(5): check the graph; order
 * values and tensors by first use and drop those that nothing makes or uses;
 * give constants the type and shape of their tensors; sort attributes and
 * metadata. After this the same model gives the same bytes. Writers call it;
 * it changes no meaning, and nothing at all in a model that was read.
 * AX_EFORMAT, AX_ENOMEM. */
ax_status ax_model_normalise(struct ax_model *m, struct ax_err *err)
    AX_MUST_CHECK;

/* The identity of the model as ax_model_write would write it. Calls
 * ax_model_normalise.
 * Cost  one pass of SHA-256 over header and tensors; none if it is known. */
ax_status ax_model_identity(unsigned char out[32], struct ax_model *m,
                            struct ax_err *err) AX_MUST_CHECK;

/* Append an attachment; data are copied. Its identity is the model's.
 * AX_EFORMAT if the limits of axm(5) do not allow type or name. */
ax_status ax_model_attach(struct ax_model *m, const char *type,
                          const char *name, const void *data, size_t n,
                          struct ax_err *err) AX_MUST_CHECK;

/* Read a container of either profile from an open stream (a pipe will do),
 * or from a file. The raw profile in a regular file is mapped, and tensors
 * borrow from the mapping: nobody may cut the file short meanwhile.
 * The bytes are hostile; all digests are recomputed; memory grows with what
 * was really read. *out is new.
 * AX_EFORMAT  malformed, cut short, or a digest differs
 * AX_EIO, AX_ENOMEM, AX_ENOINPUT. */
ax_status ax_model_read(struct ax_model **out, FILE *f, struct ax_err *err)
    AX_MUST_CHECK;
ax_status ax_model_open(struct ax_model **out, const char *path,
                        struct ax_err *err) AX_MUST_CHECK;

/* What the end of a file says, without reading the rest. */
struct ax_model_end {
    bool raw;                   /* profile */
    unsigned char identity[32]; /* claimed, not recomputed */
    uint64_t stream_bytes;
    uint32_t n_attachments;
};

/* Is a container of either profile complete? Reads the first and last bytes
 * of a regular file alone, so it notices a file that was cut short or added
 * to, and no other damage. F is left anywhere.
 * AX_EUSAGE f is a pipe; AX_EFORMAT, AX_EIO, AX_ENOMEM. */
ax_status ax_model_quick(struct ax_model_end *out, FILE *f,
                         struct ax_err *err) AX_MUST_CHECK;

typedef enum ax_profile { AX_PROFILE_ZSTD, AX_PROFILE_RAW } ax_profile;

/* Write the container to an open stream, without seeking. Calls
 * ax_model_normalise. The bytes do not depend on the number of processors.
 * AX_EFORMAT, AX_EIO, AX_ENOMEM; AX_EBUG if an attachment speaks of another
 * model, because the model was changed after it was attached. */
ax_status ax_model_write(struct ax_model *m, FILE *f, ax_profile profile,
                         struct ax_err *err) AX_MUST_CHECK;

/* SHA-256 of n bytes. */
void ax_sha256(unsigned char out[32], const void *data, size_t n);
/* 64 hex digits and a NUL. */
void ax_hex32(char out[65], const unsigned char digest[32]);

/* Are these bytes UTF-8, as all text in a container is? */
bool ax_is_utf8(const char *s, size_t n);

AX_END_API

#endif
