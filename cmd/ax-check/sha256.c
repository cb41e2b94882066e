/* sha256.c - SHA-256 (FIPS 180-4) and the Merkle tree hash of RFC 6962,
 * section 2.1, over leaves of 1 MiB. All sums are modulo 2^32. */
#include "island.h"

#include <string.h>

static const uint32_t round_constant[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
    0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
    0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
    0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
    0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t turn(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static void compress(uint32_t h[8], const unsigned char *p)
{
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 |
               (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (turn(a, 7) ^ turn(a, 18) ^ a >> 3) +
               (turn(b, 17) ^ turn(b, 19) ^ b >> 10);
    }
    memcpy(v, h, sizeof v);
    for (int i = 0; i < 64; i++) {
        uint32_t a = v[0], e = v[4];
        uint32_t t1 = v[7] + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) +
                      ((e & v[5]) ^ (~e & v[6])) + round_constant[i] + w[i];
        uint32_t t2 = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) +
                      ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
        v[7] = v[6], v[6] = v[5], v[5] = e, v[4] = v[3] + t1;
        v[3] = v[2], v[2] = v[1], v[1] = a, v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++)
        h[i] += v[i];
}

struct hash {
    uint32_t h[8];
    uint64_t n; /* bytes so far */
    unsigned char block[64];
};

static void add(struct hash *s, const unsigned char *p, size_t n)
{
    while (n > 0) {
        size_t at = s->n % 64, part = 64 - at < n ? 64 - at : n;
        memcpy(s->block + at, p, part);
        s->n += part;
        p += part;
        n -= part;
        if (s->n % 64 == 0)
            compress(s->h, s->block);
    }
}

/* The hash of one byte of kind (none if negative), then a, then b. */
static void hash(unsigned char out[32], int kind, struct bytes a,
                 struct bytes b)
{
    struct hash s = {{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19},
                     0,
                     {0}};
    unsigned char first = (unsigned char)kind, tail[72] = {0x80};
    size_t pad;
    add(&s, &first, kind >= 0);
    add(&s, a.p, a.n);
    add(&s, b.p, b.n);
    pad = 64 - (size_t)(s.n + 8) % 64; /* 1 to 64: the 80 and zeros */
    for (size_t i = 0; i < 8; i++)
        tail[pad + i] = (unsigned char)(8 * s.n >> (56 - 8 * i));
    add(&s, tail, pad + 8);
    for (int i = 0; i < 32; i++)
        out[i] = (unsigned char)(s.h[i / 4] >> (24 - 8 * (i % 4)));
}

void sha256(unsigned char out[32], struct bytes b)
{
    hash(out, -1, b, (struct bytes){0});
}

/* The tree is built from the left: full[i] is a full subtree of 2^i leaves,
 * there if bit i of the count of leaves so far is set. */
void merkle_root(unsigned char out[32], struct bytes b)
{
    unsigned char full[64][32];
    uint64_t count = 0;
    int i;
    do {
        size_t n = b.n < 1048576 ? b.n : 1048576;
        hash(out, 0, (struct bytes){b.p, n}, (struct bytes){0});
        for (i = 0; count >> i & 1; i++)
            hash(out, 1, (struct bytes){full[i], 32},
                 (struct bytes){out, 32});
        memcpy(full[i], out, 32);
        count++;
        b.p += n;
        b.n -= n;
    } while (b.n > 0);
    for (i++; i < 64; i++)
        if (count >> i & 1)
            hash(out, 1, (struct bytes){full[i], 32},
                 (struct bytes){out, 32});
}
