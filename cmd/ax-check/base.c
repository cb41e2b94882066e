/* base.c - refusing, byte strings, memory. */
#include "island.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void refuse(struct run *r, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->msg, sizeof r->msg, fmt, ap);
    va_end(ap);
    r->code = code;
    longjmp(r->out, 1);
}

void must(struct run *r, bool ok, const char *what)
{
    if (!ok)
        refuse(r, MALFORMED, "%s", what);
}

int bits(i128 m)
{
    unsigned __int128 u = (unsigned __int128)m;
    int n = 0;
    for (u = m < 0 ? -u : u; u >> 32 > 0; n += 32)
        u >>= 32;
    return n + (u > 0 ? 64 - __builtin_clzll((uint64_t)u) : 0);
}

uint64_t up8(uint64_t n)
{
    return (n + 7) / 8 * 8;
}

bool bytes_are(struct bytes a, const char *text)
{
    return a.n == strlen(text) && memcmp(a.p, text, a.n) == 0;
}

struct bytes take(struct run *r, struct bytes *b, uint64_t n)
{
    struct bytes taken = {b->p, (size_t)n};
    must(r, n <= b->n, "cut short");
    b->p += n;
    b->n -= (size_t)n;
    return taken;
}

uint64_t little(const unsigned char *p, int n)
{
    uint64_t v = 0;
    while (n-- > 0)
        v = v << 8 | p[n];
    return v;
}

uint64_t varint(struct run *r, struct bytes *b)
{
    uint64_t v = 0, c = 128;
    for (unsigned i = 0; c & 128; i++) {
        c = *take(r, b, 1).p;
        must(r, i < 9 ? c > 0 || i == 0 : c == 1,
             "a varint is too large or not in its shortest form");
        v |= (c & 127) << (7 * i);
    }
    return v;
}

/* Pieces form a doubly linked list. The user's memory starts 64 bytes after
 * the piece, and both are aligned to 64. */
struct piece {
    struct piece *next, *prev;
    void *start; /* of what calloc gave */
};

void *get(struct run *r, uint64_t n, size_t size)
{
    unsigned char *start = NULL;
    struct piece *piece;
    uint64_t total;
    if (!__builtin_mul_overflow(n, size, &total) && total < 1ull << 48)
        start = calloc(1, total + 128);
    if (!start)
        refuse(r, NO_MEMORY, "out of memory");
    piece = (void *)(start + (64 - (uintptr_t)start % 64) % 64);
    *piece = (struct piece){r->pieces, NULL, start};
    if (r->pieces)
        r->pieces->prev = piece;
    r->pieces = piece;
    return (unsigned char *)piece + 64;
}

void give(struct run *r, const void *memory)
{
    struct piece *piece = (void *)((uintptr_t)memory - 64);
    if (!memory)
        return;
    *(piece->prev ? &piece->prev->next : &r->pieces) = piece->next;
    if (piece->next)
        piece->next->prev = piece->prev;
    free(piece->start);
}

void give_all(struct run *r)
{
    while (r->pieces)
        give(r, (unsigned char *)r->pieces + 64);
}

void *grow(struct run *r, void *old, uint64_t n, uint64_t *room, size_t size)
{
    void *new;
    if (n < *room)
        return old;
    new = get(r, n + n / 2 + 4, size); /* n < 2^48: it counts what we have */
    if (old)
        memcpy(new, old, *room * size);
    give(r, old);
    *room = n + n / 2 + 4;
    return new;
}
