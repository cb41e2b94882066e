/* The arithmetic of windows that formats have in common. */
#include "formats/window.h"

#include <string.h>

int64_t window_same(int64_t size, int64_t stride, int64_t kernel,
                    int64_t dilation)
{
    int64_t reach = (kernel - 1) * dilation + 1, total = reach - 1;

    if (stride > 1)
        total = (size / stride + (size % stride != 0) - 1) * stride + reach -
                size;
    return total > 0 ? total : 0;
}

void window_halve(int64_t *front, int64_t *behind, int64_t total)
{
    *front = total / 2;
    *behind = total - *front;
}

void window_reorder(unsigned char *out, const unsigned char *in, size_t size,
                    const int64_t *dims, int rank, const int *perm)
{
    int64_t n[4] = {1, 1, 1, 1}, step[4] = {0}, stride[4];
    int64_t next = (int64_t)size;

    for (int i = rank - 1; i >= 0; i--) {
        stride[i] = next;
        next *= dims[i];
    }
    for (int i = 0; i < rank; i++) {
        n[i] = dims[perm[i]];
        step[i] = stride[perm[i]];
    }
    for (int64_t a = 0; a < n[0]; a++)
        for (int64_t b = 0; b < n[1]; b++)
            for (int64_t c = 0; c < n[2]; c++)
                for (int64_t d = 0; d < n[3]; d++) {
                    memcpy(out,
                           in + a * step[0] + b * step[1] + c * step[2] +
                               d * step[3],
                           size);
                    out += size;
                }
}
