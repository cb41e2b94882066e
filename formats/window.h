/* formats/window.h - what readers of several formats need to know about
 * windows: how wide a padding is that is only named, and the order in which
 * kernels lie. It knows no format and makes no nodes. */
#ifndef FORMATS_WINDOW_H
#define FORMATS_WINDOW_H

#include <stddef.h>
#include <stdint.h>

/* What padding SAME adds to a dimension, in front and behind together: there
 * are to be as many windows as SIZE has strides, the last one perhaps cut
 * short. With a stride of 1 it does not depend on SIZE. */
int64_t window_same(int64_t size, int64_t stride, int64_t kernel,
                    int64_t dilation);
/* A padding of TOTAL elements as two halves; the odd one is behind. */
void window_halve(int64_t *front, int64_t *behind, int64_t total);
/* A tensor of DIMS, at most 4, and elements of SIZE bytes, in another order:
 * dimension i of OUT is dimension perm[i] of IN. OUT may not overlap IN. */
void window_reorder(unsigned char *out, const unsigned char *in, size_t size,
                    const int64_t *dims, int rank, const int *perm);

#endif
