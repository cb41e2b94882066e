/* backends/cpu/int8.h - what the kernels of bytes share: constants of a node
 * read once, and the end of a sum. See AX_INT8_CONV in ax/backend.h. */
#ifndef CPU_INT8_H
#define CPU_INT8_H

#include "ax/backend.h"
#include "bytes.h"

enum int8_input {
    INT8_X,
    INT8_X_SCALE,
    INT8_X_ZERO,
    INT8_W,
    INT8_W_SCALE,
    INT8_W_ZERO,
    INT8_Y_SCALE,
    INT8_Y_ZERO,
    INT8_BIAS
};

/* How a sum of products ends. */
struct int8_end {
    ax_dtype dtype; /* of the output: uint8, int8, int32 or float32 */
    float lo, hi;   /* what rounding starts from, less the zero point */
    int32_t zero;
    float floor; /* of a float32 */
};

/* The constants of a node. */
struct int8 {
    ax_dtype x;     /* the type of x that it was read for */
    cpu_word flip;  /* makes the bytes of a word of x unsigned */
    int32_t x_zero; /* of what is unsigned */
    float *scale;   /* [channels] of the sum */
    int32_t *sum;   /* [channels] of w */
    int32_t *add;   /* [channels] to the sum of unsigned x times w */
    int16_t *w;     /* as they lie, less the zero point */
    bool wide;      /* some are no int8: see int8_part */
    struct int8_end end;
};

/* Read all but x, which are constants, for so many channels; the weights of
 * channel CH are those at ch step + i next, INNER of them. AX_NO: they are no
 * constants. *q is to be zero, and is freed on failure too. */
ax_status int8_read(struct int8 *q, const struct ax_call *c, size_t channels,
                    size_t step, size_t inner, size_t next,
                    struct ax_err *err) AX_MUST_CHECK;
void int8_free(struct int8 *q);

/* A weight less its zero point may have nine bits. It is then the sum of two
 * int8, and x is read twice. PART 0 is the one that there always is. */
static inline int8_t int8_part(int16_t w, int part)
{
    int first = w < -128 ? -128 : w > 127 ? 127 : w;

    return (int8_t)(part ? w - first : first);
}

/* Take the zero point of x as it is in this call. AX_NO: it is none. */
ax_status int8_zero(struct int8 *q, const struct ax_call *c, size_t channels);

/* ConvInteger and MatMulInteger (x, w, x_zero, w_zero): run a kernel of this
 * header for them. It finds no scales, and makes int32. */
ax_status int8_integer(ax_status (*kernel)(struct ax_call *c,
                                           struct ax_err *err),
                       struct ax_call *c, struct ax_err *err);

/* Make output 0. */
ax_status int8_out(struct ax_call *c, struct int8 *q, int rank,
                   const int64_t *dims, struct ax_err *err) AX_MUST_CHECK;

/* n numbers of the output from their sums: of one channel, or of channels
 * that follow each other. Y is what they become first in the output. */
void int8_end_channel(void *y, const int32_t *sum, int64_t n, float scale,
                      int32_t add, const struct int8_end *e);
void int8_end_row(void *y, const int32_t *sum, int64_t n, const float *scale,
                  const int32_t *add, const struct int8_end *e);

#endif
