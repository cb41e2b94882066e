/* Integers that printf has no format for. */
#include "export.h"

void put_magnitude(FILE *f, ax_i128 v)
{
    unsigned __int128 m = v < 0 ? -(unsigned __int128)v
                                : (unsigned __int128)v;
    char digits[48];
    size_t n = sizeof digits;

    do
        digits[--n] = (char)('0' + (int)(m % 10));
    while (m /= 10);
    fwrite(digits + n, 1, sizeof digits - n, f);
}
