/* Digests: SHA-256, and the Merkle tree of RFC 6962 that gives a model its
 * identity.
 *
 * OpenSSL's SHA256_Update and its like are called deprecated since 3.0. What
 * should replace them, EVP, makes about 4900 allocations when it starts, and
 * OpenSSL 3.0 crashes when one of the first of them fails; these make none,
 * and cannot fail. The code behind both is the same. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <string.h>

#include "model/internal.h"

void ax_sha256(unsigned char out[32], const void *data, size_t n)
{
    SHA256_CTX c;

    SHA256_Init(&c);
    SHA256_Update(&c, data, n);
    SHA256_Final(out, &c);
}

void ax_hex32(char out[65], const unsigned char digest[32])
{
    for (int i = 0; i < 32; i++) {
        out[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    out[64] = '\0';
}

/* SHA-256 that starts with one byte. */
static void begin(SHA256_CTX *c, uint8_t tag)
{
    SHA256_Init(c);
    SHA256_Update(c, &tag, 1);
}

void axm_leaf_hash(uint8_t out[32], const void *data, size_t n)
{
    SHA256_CTX c;

    begin(&c, 0);
    SHA256_Update(&c, data, n);
    SHA256_Final(out, &c);
}

/* Replace the two smallest subtrees by their parent. */
static void join(struct axm_tree *t)
{
    SHA256_CTX c;

    t->depth--;
    begin(&c, 1);
    SHA256_Update(&c, t->stack[t->depth - 1], 64);
    SHA256_Final(t->stack[t->depth - 1], &c);
}

/* Full subtrees are joined as soon as there are two of a size, as in a
 * binary counter: that splits every tree at the largest power of two. */
void axm_tree_add_leaf(struct axm_tree *t, const uint8_t hash[32])
{
    memcpy(t->stack[t->depth++], hash, 32);
    for (uint64_t n = t->n++; n & 1; n >>= 1)
        join(t);
}

static void end_leaf(struct axm_tree *t)
{
    uint8_t hash[32];

    SHA256_Final(hash, &t->leaf);
    t->fill = 0;
    axm_tree_add_leaf(t, hash);
}

void axm_tree_add(struct axm_tree *t, const void *data, size_t n)
{
    const uint8_t *p = data;

    while (n) {
        size_t k = AXM_LEAF - t->fill < n ? AXM_LEAF - t->fill : n;

        if (!t->fill)
            begin(&t->leaf, 0);
        SHA256_Update(&t->leaf, p, k);
        t->fill += k;
        p += k;
        n -= k;
        if (t->fill == AXM_LEAF)
            end_leaf(t);
    }
}

void axm_tree_root(struct axm_tree *t, uint8_t root[32])
{
    if (t->fill)
        end_leaf(t);
    while (t->depth > 1)
        join(t);
    memcpy(root, t->stack[0], 32);
}
