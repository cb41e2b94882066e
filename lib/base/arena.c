/* Arenas: a list of chunks, the newest first, filled from the front. A
 * request that is large beside a chunk gets a chunk of its own. */
#include "ax/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CHUNK ((size_t)16 << 10)
#define LAST_CHUNK  ((size_t)4 << 20)

struct chunk {
    struct chunk *next;
    char pad[56]; /* keeps the first object at 64 bytes */
};

struct ax_arena {
    struct chunk *chunks;
    char *at, *end; /* free space of the newest shared chunk */
    size_t chunk_size;
};

struct ax_arena *ax_arena_new(void)
{
    struct ax_arena *a = calloc(1, sizeof *a);

    if (a)
        a->chunk_size = FIRST_CHUNK;
    return a;
}

void ax_arena_free(struct ax_arena *a)
{
    if (!a)
        return;
    while (a->chunks) {
        struct chunk *next = a->chunks->next;

        free(a->chunks);
        a->chunks = next;
    }
    free(a);
}

/* A chunk with room for SIZE bytes, which is a multiple of 64. */
static char *new_chunk(struct ax_arena *a, size_t size)
{
    struct chunk *c = aligned_alloc(64, sizeof *c + size);

    if (!c)
        return NULL;
    c->next = a->chunks;
    a->chunks = c;
    return (char *)(c + 1);
}

void *ax_arena_alloc(struct ax_arena *a, size_t n, size_t size)
{
    size_t want, align, skip;
    char *p;

    if (size && n > (SIZE_MAX / 2) / size)
        return NULL;
    want = n * size;
    align = want >= 64 ? 64 : 16;
    want = (want + align - 1) & ~(align - 1);
    if (!want)
        want = align;
    if (want >= a->chunk_size / 4)
        return new_chunk(a, (want + 63) & ~(size_t)63);
    skip = a->at ? (size_t)(-(uintptr_t)a->at & (align - 1)) : 0;
    if (!a->at || want + skip > (size_t)(a->end - a->at)) {
        p = new_chunk(a, a->chunk_size);
        if (!p)
            return NULL;
        a->at = p;
        a->end = p + a->chunk_size;
        if (a->chunk_size < LAST_CHUNK)
            a->chunk_size *= 2;
        skip = 0;
    }
    p = a->at + skip;
    a->at = p + want;
    return p;
}

void *ax_arena_zalloc(struct ax_arena *a, size_t n, size_t size)
{
    void *p = ax_arena_alloc(a, n, size);

    return p ? memset(p, 0, n * size) : NULL;
}
