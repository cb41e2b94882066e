/* ax/element.h - the elements of a tensor as numbers, whatever their type.
 *
 * Every real type is exact in double and every integer type in 64 bits, so
 * code that is not in a hurry handles three classes and no more. */
#ifndef AX_ELEMENT_H
#define AX_ELEMENT_H

#include "ax/tensor.h"

AX_BEGIN_API

typedef enum ax_class {
    AX_CLASS_REAL,     /* every floating-point type */
    AX_CLASS_SIGNED,   /* int2 to int64 */
    AX_CLASS_UNSIGNED, /* uint2 to uint64, bool */
} ax_class;

ax_class ax_dtype_class(ax_dtype t);

/* Read n elements from index FIRST on. As double: integers are rounded to
 * nearest. As int64: unsigned ones by their bits; real types are cut towards
 * zero and saturate, and a NaN gives 0. */
void ax_get_f64(double *out, ax_dtype t, const void *data, size_t first,
                size_t n);
void ax_get_i64(int64_t *out, ax_dtype t, const void *data, size_t first,
                size_t n);

/* Write n elements from index FIRST on. From double: real types round to
 * nearest, ties to even, once; integers are cut towards zero and saturate
 * (those of fewer bits than 8 wrap, as the tests of ONNX have it), a NaN
 * gives 0; bool is "not zero". From int64: integers wrap, bool is "not
 * zero", real types round to nearest. */
void ax_put_f64(ax_dtype t, void *data, size_t first, const double *in,
                size_t n);
void ax_put_i64(ax_dtype t, void *data, size_t first, const int64_t *in,
                size_t n);

/* One number of half the width, by its bits. */
float ax_f16_value(uint16_t bits);
uint16_t ax_f16_round(double x);
float ax_bf16_value(uint16_t bits);
uint16_t ax_bf16_round(double x);

/* One number of the floating-point types of 8 and 4 bits (AX_F8_*, AX_F4_*).
 * Rounding is to nearest, ties to even; what is too large becomes the largest
 * number, or, if not to be saturated, infinity or NaN, whichever there is.
 * Of AX_F8_E8M0, which has powers of two alone, MODE is 'u' for up, 'd' for
 * down, 'n' for nearest, and what is negative becomes NaN. ax_put_f64
 * saturates and rounds up. */
double ax_narrow_value(ax_dtype t, uint8_t bits);
uint8_t ax_narrow_round(ax_dtype t, double x, bool saturate, char mode);

/* Every element of SRC as type DTYPE, in a new tensor of the same shape.
 * uint64 to a real type and back keep their value. AX_ENOMEM. */
ax_status ax_tensor_cast(struct ax_tensor *out, const struct ax_tensor *src,
                         ax_dtype dtype, struct ax_err *err) AX_MUST_CHECK;

/* n elements of SRC, from type FROM to type TO; no overlap. */
void ax_cast(ax_dtype to, void *dst, ax_dtype from, const void *src,
             size_t n);

/* How far tensor A is from B: the largest difference of two elements, and its
 * ratio to the largest finite number of B. Infinite where one is NaN and the
 * other is not, or where shape or type differ; the ratio is infinite too
 * where B has nothing but zeros. */
struct ax_difference {
    double absolute, relative;
};
struct ax_difference ax_tensor_compare(const struct ax_tensor *a,
                                       const struct ax_tensor *b);

AX_END_API

#endif
