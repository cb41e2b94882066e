/* lib/ax/tensor.h: element types, shapes that cannot be, alignment. */
#include <stdint.h>
#include <string.h>

#include "ax/tensor.h"
#include "tap.h"

static void types_have_names_and_sizes(void)
{
    OK(ax_dtype_size(AX_F32) == 4);
    OK(ax_dtype_size(AX_BOOL) == 1);
    OK(ax_dtype_size((ax_dtype)14) == 0);
    OK(strcmp(ax_dtype_name(AX_BF16), "bfloat16") == 0);
    OK(ax_dtype_name(AX_DTYPE_NONE) == NULL);
    OK(ax_dtype_by_name("int64") == AX_I64);
    OK(ax_dtype_by_name("complex64") == AX_DTYPE_NONE);
}

static void shapes_are_counted(void)
{
    struct ax_err err = {0};
    size_t n = 7;

    OK(ax_shape_count(&n, 0, NULL, 4, &err) == AX_OK && n == 1);
    OK(ax_shape_count(&n, 3, (int64_t[]){2, 3, 4}, 4, &err) == AX_OK &&
       n == 24);
    OK(ax_shape_count(&n, 2, (int64_t[]){5, 0}, 4, &err) == AX_OK && n == 0);
    OK(ax_shape_count(&n, 2, (int64_t[]){5, -1}, 4, &err) == AX_ESHAPE);
    OK(ax_shape_count(&n, 9, (int64_t[9]){0}, 4, &err) == AX_ESHAPE);
    OK(ax_shape_count(&n, -1, NULL, 4, &err) == AX_ESHAPE);
    OK(ax_shape_count(&n, 2, (int64_t[]){INT64_MAX, 3}, 1, &err) ==
       AX_ESHAPE);
    OK(ax_shape_count(&n, 1, (int64_t[]){INT64_MAX}, 4, &err) == AX_ESHAPE);
    OK(ax_shape_count(&n, 3, (int64_t[]){0, INT64_MAX, INT64_MAX}, 4, &err) ==
       AX_ESHAPE);
}

static void tensors_are_zeroed_and_aligned(void)
{
    struct ax_err err = {0};
    struct ax_tensor t;

    OK(ax_tensor_new(&t, AX_I16, 2, (int64_t[]){3, 5}, &err) == AX_OK);
    OK(t.owned && t.nbytes == 30 && ax_tensor_count(&t) == 15);
    OK((uintptr_t)t.data % 64 == 0 && ((int16_t *)t.data)[14] == 0);
    ax_tensor_free(&t);
    ax_tensor_free(&t);
    OK(!t.data);
    OK(ax_tensor_new(&t, AX_F32, 1, (int64_t[]){0}, &err) == AX_OK);
    OK(t.data && t.nbytes == 0 && ax_tensor_count(&t) == 0);
    ax_tensor_free(&t);
    OK(ax_tensor_new(&t, AX_DTYPE_NONE, 0, NULL, &err) == AX_ESHAPE);
    OK(ax_tensor_new(&t, AX_F32, 1, (int64_t[]){-1}, &err) == AX_ESHAPE);
    OK(!t.data);
}

static void shapes_have_a_text(void)
{
    char buf[40], small[8];

    OK(strcmp(
           ax_shape_text(buf, sizeof buf, AX_F32, 3, (int64_t[]){-1, 3, 224}),
           "float32 [?,3,224]") == 0);
    OK(strcmp(ax_shape_text(buf, sizeof buf, AX_I8, 0, NULL), "int8 []") ==
       0);
    OK(strcmp(ax_shape_text(buf, sizeof buf, AX_DTYPE_NONE, -1, NULL),
              "? ?") == 0);
    OK(strcmp(ax_shape_text(small, sizeof small, AX_F32, 1, (int64_t[]){77}),
              "float32") == 0);
}

int main(void)
{
    types_have_names_and_sizes();
    shapes_are_counted();
    tensors_are_zeroed_and_aligned();
    shapes_have_a_text();
    return tap_done();
}
