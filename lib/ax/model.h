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
};

void ax_model_free(struct ax_model *m); /* NULL is harmless */

/* Put the tensor table into the order of first use, drop tensors that
 * nothing uses and values that are neither made nor used, sort the
 * metadata: after this the same model gives the same bytes. Writers call
 * it; it changes no meaning. */
ax_status ax_model_normalise(struct ax_model *m, struct ax_err *err)
    AX_MUST_CHECK;

/* The identity of the model as ax_model_write would write it.
 * Cost: one pass of SHA-256 over header and tensors. */
ax_status ax_model_identity(unsigned char out[32], struct ax_model *m,
                            struct ax_err *err) AX_MUST_CHECK;

/* Append an attachment; data are copied. Its identity is the model's. */
ax_status ax_model_attach(struct ax_model *m, const char *type,
                          const char *name, const void *data, size_t n,
                          struct ax_err *err) AX_MUST_CHECK;

/* Read a container of either profile from an open stream (a pipe will do),
 * or from a file (raw profile: mapped, tensors borrow from the mapping).
 * The bytes are hostile; all digests are recomputed. *out is new.
 * AX_EFORMAT  malformed, cut short, or a digest differs
 * AX_EIO, AX_ENOMEM, AX_ENOINPUT. */
ax_status ax_model_read(struct ax_model **out, FILE *f, struct ax_err *err)
    AX_MUST_CHECK;
ax_status ax_model_open(struct ax_model **out, const char *path,
                        struct ax_err *err) AX_MUST_CHECK;

typedef enum ax_profile { AX_PROFILE_ZSTD, AX_PROFILE_RAW } ax_profile;

/* Write the container to an open stream, without seeking. Calls
 * ax_model_normalise. */
ax_status ax_model_write(struct ax_model *m, FILE *f, ax_profile profile,
                         struct ax_err *err) AX_MUST_CHECK;

/* SHA-256 of n bytes. */
void ax_sha256(unsigned char out[32], const void *data, size_t n);
/* 64 hex digits and a NUL. */
void ax_hex32(char out[65], const unsigned char digest[32]);

AX_END_API

#endif
