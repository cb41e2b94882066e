/* The arithmetic of windows that formats have in common. */
#include "formats/window.h"

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
