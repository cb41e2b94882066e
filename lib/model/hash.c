/* Digests: SHA-256, and the Merkle tree of RFC 6962 that gives a model its
 * identity. */
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <sodium.h>
#include <string.h>

#include "model/internal.h"

void ax_sha256(unsigned char out[32], const void *data, size_t n)
{
    /* OpenSSL is three times as fast, but may run out of memory. */
    if (!SHA256(data, n, out))
        crypto_hash_sha256(out, data, n);
}

void ax_hex32(char out[65], const unsigned char digest[32])
{
    for (int i = 0; i < 32; i++) {
        out[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    out[64] = '\0';
}

static ax_status no_hash(struct ax_err *err)
{
    return ax_fail(err, AX_ENOMEM, "no memory for SHA-256");
}

/* SHA-256 of one byte and the data. */
static ax_status tagged(uint8_t out[32], uint8_t tag, const void *data,
                        size_t n, struct ax_err *err)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool good = c && EVP_DigestInit_ex(c, EVP_sha256(), NULL) &&
                EVP_DigestUpdate(c, &tag, 1) &&
                EVP_DigestUpdate(c, data, n) &&
                EVP_DigestFinal_ex(c, out, NULL);

    EVP_MD_CTX_free(c);
    return good ? AX_OK : no_hash(err);
}

ax_status axm_leaf_hash(uint8_t out[32], const void *data, size_t n,
                        struct ax_err *err)
{
    return tagged(out, 0, data, n, err);
}

/* Replace the two smallest subtrees by their parent. */
static ax_status join(struct axm_tree *t, struct ax_err *err)
{
    uint8_t pair[64];

    memcpy(pair, t->stack[t->depth - 2], sizeof pair);
    t->depth--;
    return tagged(t->stack[t->depth - 1], 1, pair, sizeof pair, err);
}

/* Full subtrees are joined as soon as there are two of a size, as in a
 * binary counter: that splits every tree at the largest power of two. */
ax_status axm_tree_add_leaf(struct axm_tree *t, const uint8_t hash[32],
                            struct ax_err *err)
{
    memcpy(t->stack[t->depth++], hash, 32);
    for (uint64_t n = t->n++; n & 1; n >>= 1)
        AX_TRY(join(t, err));
    return AX_OK;
}

static ax_status begin_leaf(struct axm_tree *t, struct ax_err *err)
{
    const uint8_t tag = 0;

    if (!t->leaf)
        t->leaf = EVP_MD_CTX_new();
    if (!t->leaf || !EVP_DigestInit_ex(t->leaf, EVP_sha256(), NULL) ||
        !EVP_DigestUpdate(t->leaf, &tag, 1))
        return no_hash(err);
    return AX_OK;
}

static ax_status end_leaf(struct axm_tree *t, struct ax_err *err)
{
    uint8_t hash[32];

    if (!EVP_DigestFinal_ex(t->leaf, hash, NULL))
        return no_hash(err);
    t->fill = 0;
    return axm_tree_add_leaf(t, hash, err);
}

ax_status axm_tree_add(struct axm_tree *t, const void *data, size_t n,
                       struct ax_err *err)
{
    const uint8_t *p = data;

    while (n) {
        size_t k = AXM_LEAF - t->fill < n ? AXM_LEAF - t->fill : n;

        if (!t->fill)
            AX_TRY(begin_leaf(t, err));
        if (!EVP_DigestUpdate(t->leaf, p, k))
            return no_hash(err);
        t->fill += k;
        p += k;
        n -= k;
        if (t->fill == AXM_LEAF)
            AX_TRY(end_leaf(t, err));
    }
    return AX_OK;
}

ax_status axm_tree_root(struct axm_tree *t, uint8_t root[32],
                        struct ax_err *err)
{
    if (t->fill)
        AX_TRY(end_leaf(t, err));
    while (t->depth > 1)
        AX_TRY(join(t, err));
    memcpy(root, t->stack[0], 32);
    return AX_OK;
}

void axm_tree_free(struct axm_tree *t)
{
    EVP_MD_CTX_free(t->leaf);
    t->leaf = NULL;
}
