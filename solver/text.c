/* Text that grows: see text.h. */
#include "text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Room for more bytes, and a NUL. */
static bool make_room(struct text *t, size_t more)
{
    size_t room = t->room ? t->room : 4096;
    char *data;

    while (room - t->n <= more) {
        if (room > SIZE_MAX / 2)
            return false;
        room *= 2;
    }
    if (room == t->room)
        return true;
    data = realloc(t->data, room);
    if (!data)
        return false;
    t->data = data;
    t->room = room;
    return true;
}

void text_add(struct text *t, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (t->lost || n < 0 || !make_room(t, (size_t)n)) {
        t->lost = true;
        return;
    }
    va_start(ap, fmt);
    vsnprintf(t->data + t->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    t->n += (size_t)n;
}
