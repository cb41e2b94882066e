/* Shape rules of quantised tensors. Source: Operators.md of ONNX at
 * opset 17. */
#include "graph/infer.h"

/* The type that an attribute asks for, or DFLT. */
static ax_dtype asked_for(const struct infer *s, ax_dtype dflt)
{
    int64_t t = ax_node_int(s->node, "output_dtype", 0);

    return t > 0 && t < 32 && ax_dtype_size((ax_dtype)t) ? (ax_dtype)t : dflt;
}

/* The type of input k, or DFLT if the input is absent. */
static ax_dtype type_of(const struct infer *s, uint32_t k, ax_dtype dflt)
{
    return infer_in(s, k) ? infer_in(s, k)->dtype : dflt;
}

ax_status infer_quantize(struct infer *s, struct ax_err *err)
{
    AX_TRY(infer_like(s, err));
    infer_out(s, 0)->dtype = type_of(s, 2, asked_for(s, AX_U8));
    return AX_OK;
}

ax_status infer_dequantize(struct infer *s, struct ax_err *err)
{
    AX_TRY(infer_like(s, err));
    infer_out(s, 0)->dtype = asked_for(s, type_of(s, 1, AX_DTYPE_NONE));
    return AX_OK;
}

ax_status infer_dynamic_quantize(struct infer *s, struct ax_err *err)
{
    AX_TRY(infer_like(s, err));
    infer_out(s, 0)->dtype = AX_U8;
    *infer_out(s, 1) = (struct infer_fact){.dtype = AX_F32};
    *infer_out(s, 2) = (struct infer_fact){.dtype = AX_U8};
    return AX_OK;
}

ax_status infer_conv_integer(struct infer *s, struct ax_err *err)
{
    AX_TRY(infer_convolution(s, 0, 1, AX_NONE, err));
    infer_out(s, 0)->dtype = AX_I32;
    return AX_OK;
}

ax_status infer_qlinear_conv(struct infer *s, struct ax_err *err)
{
    AX_TRY(infer_convolution(s, 0, 3, 8, err));
    infer_out(s, 0)->dtype = type_of(s, 7, AX_DTYPE_NONE);
    return AX_OK;
}

ax_status infer_matmul_integer(struct infer *s, struct ax_err *err)
{
    AX_TRY(infer_product_shape(infer_out(s, 0), *infer_in(s, 0),
                               *infer_in(s, 1), err));
    infer_out(s, 0)->dtype = AX_I32;
    return AX_OK;
}

ax_status infer_qlinear_matmul(struct infer *s, struct ax_err *err)
{
    AX_TRY(infer_product_shape(infer_out(s, 0), *infer_in(s, 0),
                               *infer_in(s, 3), err));
    infer_out(s, 0)->dtype = type_of(s, 7, AX_DTYPE_NONE);
    return AX_OK;
}
