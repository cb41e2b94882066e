/* ax/arena.h - many small objects that live and die together.
 *
 * An arena hands out memory from large chunks and frees all of it at once.
 * It is used by one thread at a time. */
#ifndef AX_ARENA_H
#define AX_ARENA_H

#include <stddef.h>

#include "ax/err.h"

AX_BEGIN_API

struct ax_arena;

/* NULL when memory is out. */
struct ax_arena *ax_arena_new(void);
void ax_arena_free(struct ax_arena *a); /* NULL is harmless */

/* n x size bytes, aligned to 64 bytes if there are 64 or more and to 16 if
 * not; NULL when memory is out or the product overflows. What it holds is
 * undefined for _alloc and zero for _zalloc. */
void *ax_arena_alloc(struct ax_arena *a, size_t n, size_t size);
void *ax_arena_zalloc(struct ax_arena *a, size_t n, size_t size);

AX_END_API

#endif
