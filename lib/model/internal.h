/* lib/model/internal.h - what the files of this folder share: growing
 * buffers, the Merkle tree, and the way between a model and the bytes of its
 * header. The format is axm(5). */
#ifndef MODEL_INTERNAL_H
#define MODEL_INTERNAL_H

#include <openssl/sha.h>
#include <stddef.h>
#include <stdint.h>

#include "ax/model.h"

/* The numbers of axm(5). */
#define AXM_LEAF         1048576u     /* leaf of the tree, frame of zstd */
#define AXM_FRAME_MAX    1114112u     /* a compressed frame in the file */
#define AXM_HEADER_MAX   67108864u    /* bytes in the header */
#define AXM_STREAM_MAX   (1ull << 48) /* bytes in the logical stream */
#define AXM_ATTACH_MAX   0xffffffffu  /* bytes in an attachment */
#define AXM_NAME_MAX     65535u       /* bytes in the name of a value */
#define AXM_ALIGN        64u          /* of tensors in the stream */
#define AXM_MAGIC        0x014d5841u  /* "AXM", version 1 */
#define AXM_MAGIC_ZSTD   0xfd2fb528u  /* a zstd frame */
#define AXM_MAGIC_IDENT  0x184d2a51u  /* skippable: identity */
#define AXM_MAGIC_ATTACH 0x184d2a52u  /* skippable: attachment */
#define AXM_MAGIC_END    0x184d2a5eu  /* skippable: seek table */
#define AXM_MAGIC_SEEK   0x8f92eab1u  /* last bytes of the seek table */
#define AXM_IDENT_SIZE   40u          /* content of the identity frame */

static inline uint64_t axm_aligned(uint64_t n)
{
    return (n + (AXM_ALIGN - 1)) & ~(uint64_t)(AXM_ALIGN - 1);
}

static inline uint32_t axm_get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
           (uint32_t)p[3] << 24;
}

static inline uint64_t axm_get64(const uint8_t *p)
{
    return axm_get32(p) | (uint64_t)axm_get32(p + 4) << 32;
}

static inline void axm_put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

static inline void axm_put64(uint8_t *p, uint64_t v)
{
    axm_put32(p, (uint32_t)v);
    axm_put32(p + 4, (uint32_t)(v >> 32));
}

/* Bytes that grow by doubling, so memory follows what was really put in. */
struct axm_buf {
    uint8_t *data;
    size_t n, cap;
};

/* Make room for MORE bytes behind the n that are there. AX_ENOMEM. */
ax_status axm_buf_room(struct axm_buf *b, size_t more, struct ax_err *err)
    AX_MUST_CHECK;
ax_status axm_buf_add(struct axm_buf *b, const void *data, size_t n,
                      struct ax_err *err) AX_MUST_CHECK;

/* The Merkle tree of RFC 6962, fed either with bytes or with the hashes of
 * whole leaves, not both. Start it as = {0}. */
struct axm_tree {
    SHA256_CTX leaf;       /* the leaf under way */
    size_t fill;           /* bytes in it */
    uint64_t n;            /* leaves before it */
    uint8_t stack[64][32]; /* roots of full subtrees, largest first */
    int depth;
};

void axm_tree_add(struct axm_tree *t, const void *data, size_t n);
void axm_tree_add_leaf(struct axm_tree *t, const uint8_t hash[32]);
/* There must have been a leaf. */
void axm_tree_root(struct axm_tree *t, uint8_t root[32]);
/* The hash of a leaf: at most AXM_LEAF bytes. */
void axm_leaf_hash(uint8_t out[32], const void *data, size_t n);

/* The header message of a model in normal form, after 16 bytes of
 * prefix and before the zeros up to the tensor region: R bytes in all.
 * AX_EFORMAT when the model cannot be said in axm(5). */
ax_status axm_encode(struct axm_buf *out, const struct ax_model *m,
                     struct ax_err *err) AX_MUST_CHECK;

/* A model whose tensors have no data yet, from the n bytes of a header
 * message. Refuses what is not canonical. *out is new. */
ax_status axm_decode(struct ax_model **out, const uint8_t *data, size_t n,
                     struct ax_err *err) AX_MUST_CHECK;

/* Is the message canonical as far as that shows without unpacking it, and
 * does unpacking it take memory in proportion to its size? */
ax_status axm_check_header(const uint8_t *data, size_t n, struct ax_err *err)
    AX_MUST_CHECK;

/* Is the model in the normal form that ax_model_normalise brings about?
 * The graph has passed ax_graph_check. AX_EFORMAT. */
ax_status axm_check_normal(const struct ax_model *m, struct ax_err *err)
    AX_MUST_CHECK;

/* Where tensor i + 1 starts, in the region, if tensor i starts at START. */
static inline uint64_t axm_next_tensor(const struct ax_tensor *t,
                                       uint64_t start)
{
    return axm_aligned(start + t->nbytes);
}

/* Do the limits of axm(5) allow type and name of an attachment? */
ax_status axm_check_attachment(const char *type, size_t t, const char *name,
                               size_t m, size_t payload, struct ax_err *err)
    AX_MUST_CHECK;

/* The logical bytes of an attachment before its payload.
 * Returns how many. */
enum { AXM_ATTACH_HEAD = 32 + 1 + 64 + 1 + 255 };
size_t axm_attachment_head(uint8_t out[AXM_ATTACH_HEAD],
                           const struct ax_attachment *a);

/* Append ATT, whose strings and data are taken over; also on failure. */
ax_status axm_append(struct ax_model *m, struct ax_attachment *att,
                     struct ax_err *err) AX_MUST_CHECK;

#endif
