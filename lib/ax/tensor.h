/* ax/tensor.h - element types and dense tensors.
 *
 * A tensor is dense, row-major and little-endian; its shape has at most
 * AX_RANK_MAX dimensions. Data are either owned (freed with the tensor) or
 * borrowed from a mapping or a model that outlives it. */
#ifndef AX_TENSOR_H
#define AX_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ax/err.h"

AX_BEGIN_API

#define AX_RANK_MAX 8

/* One row per element type: name in C, number in ONNX TensorProto and in
 * the container, name for people, bytes an element (0: no fixed size). Types
 * of fewer bits than 8 have a byte for each element, in memory and in the
 * container: the number in its low bits, what is above them without
 * meaning. A string is UTF-8 of at most that many bytes, zeros behind it;
 * it is no number, and what computes with numbers refuses it. */
/* clang-format off */
#define AX_DTYPES(X)                  \
    X(AX_F32,   1, "float32",  4)     \
    X(AX_U8,    2, "uint8",    1)     \
    X(AX_I8,    3, "int8",     1)     \
    X(AX_U16,   4, "uint16",   2)     \
    X(AX_I16,   5, "int16",    2)     \
    X(AX_I32,   6, "int32",    4)     \
    X(AX_I64,   7, "int64",    8)     \
    X(AX_STRING, 8, "string",  256)    \
    X(AX_BOOL,  9, "bool",     1)     \
    X(AX_F16,  10, "float16",  2)     \
    X(AX_F64,  11, "float64",  8)     \
    X(AX_U32,  12, "uint32",   4)     \
    X(AX_U64,  13, "uint64",   8)     \
    X(AX_BF16, 16, "bfloat16", 2)     \
    X(AX_F8_E4M3FN,   17, "float8_e4m3fn",   1) \
    X(AX_F8_E4M3FNUZ, 18, "float8_e4m3fnuz", 1) \
    X(AX_F8_E5M2,     19, "float8_e5m2",     1) \
    X(AX_F8_E5M2FNUZ, 20, "float8_e5m2fnuz", 1) \
    X(AX_U4,   21, "uint4",    1)     \
    X(AX_I4,   22, "int4",     1)     \
    X(AX_F4_E2M1, 23, "float4_e2m1", 1) \
    X(AX_F8_E8M0, 24, "float8_e8m0", 1) \
    X(AX_U2,   25, "uint2",    1)     \
    X(AX_I2,   26, "int2",     1)
/* clang-format on */

#define AX_STRING_SIZE 256 /* bytes of an AX_STRING */

typedef enum ax_dtype {
    AX_DTYPE_NONE = 0,
#define X(name, number, text, size) name = number,
    AX_DTYPES(X)
#undef X
} ax_dtype;

/* 0 for a number that is not in the table. */
size_t ax_dtype_size(ax_dtype t);
/* "float32"; NULL for a number that is not in the table. */
const char *ax_dtype_name(ax_dtype t);
/* AX_DTYPE_NONE for a name that is not in the table. */
ax_dtype ax_dtype_by_name(const char *name);

struct ax_tensor {
    ax_dtype dtype;
    int rank;
    int64_t dims[AX_RANK_MAX];
    void *data;    /* nbytes bytes; 64-byte aligned when owned */
    size_t nbytes; /* elements x size */
    bool owned;    /* free data with the tensor */
};

/* Elements of a shape, all of whose dims must be >= 0. AX_ESHAPE when the
 * rank is over AX_RANK_MAX, a dim is negative, or the product times
 * SIZE overflows size_t. */
ax_status ax_shape_count(size_t *out, int rank, const int64_t *dims,
                         size_t size, struct ax_err *err) AX_MUST_CHECK;

/* A new, zeroed, owned tensor; free it with ax_tensor_free. *t is
 * overwritten. AX_ESHAPE as above, AX_ENOMEM. */
ax_status ax_tensor_new(struct ax_tensor *t, ax_dtype dtype, int rank,
                        const int64_t *dims, struct ax_err *err)
    AX_MUST_CHECK;

/* Free owned data and zero *t; harmless on {0} and twice. */
void ax_tensor_free(struct ax_tensor *t);

/* Elements in t. */
size_t ax_tensor_count(const struct ax_tensor *t);

/* "float32 [1,3,224,224]", with -1 printed as "?"; returns buf. */
char *ax_shape_text(char *buf, size_t n, ax_dtype dtype, int rank,
                    const int64_t *dims);

AX_END_API

#endif
