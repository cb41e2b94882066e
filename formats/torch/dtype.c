/* Element types by the names that PyTorch gives them. */
#include "formats/torch/torch.h"

/* clang-format off */
static const struct {
    const char *storage; /* the class of its storages, or NULL */
    struct torch_dtype type;
} types[] = {
    {"FloatStorage",         {"float32",         AX_F32,        4}},
    {"DoubleStorage",        {"float64",         AX_F64,        8}},
    {"HalfStorage",          {"float16",         AX_F16,        2}},
    {"BFloat16Storage",      {"bfloat16",        AX_BF16,       2}},
    {"LongStorage",          {"int64",           AX_I64,        8}},
    {"IntStorage",           {"int32",           AX_I32,        4}},
    {"ShortStorage",         {"int16",           AX_I16,        2}},
    {"CharStorage",          {"int8",            AX_I8,         1}},
    {"ByteStorage",          {"uint8",           AX_U8,         1}},
    {"BoolStorage",          {"bool",            AX_BOOL,       1}},
    {"ComplexFloatStorage",  {"complex64",       AX_DTYPE_NONE, 8}},
    {"ComplexDoubleStorage", {"complex128",      AX_DTYPE_NONE, 16}},
    {"QInt8Storage",         {"qint8",           AX_DTYPE_NONE, 1}},
    {"QUInt8Storage",        {"quint8",          AX_DTYPE_NONE, 1}},
    {"QInt32Storage",        {"qint32",          AX_DTYPE_NONE, 4}},
    {NULL,                   {"uint16",          AX_U16,        2}},
    {NULL,                   {"uint32",          AX_U32,        4}},
    {NULL,                   {"uint64",          AX_U64,        8}},
    {NULL,                   {"complex32",       AX_DTYPE_NONE, 4}},
    {NULL,                   {"float8_e4m3fn",   AX_F8_E4M3FN,  1}},
    {NULL,                   {"float8_e4m3fnuz", AX_F8_E4M3FNUZ,1}},
    {NULL,                   {"float8_e5m2",     AX_F8_E5M2,    1}},
    {NULL,                   {"float8_e5m2fnuz", AX_F8_E5M2FNUZ,1}},
    {NULL,                   {"float8_e8m0fnu",  AX_F8_E8M0,    1}},
};
/* clang-format on */

enum { TYPES = sizeof types / sizeof types[0] };

const struct torch_dtype *torch_dtype_of_storage(struct torch_text name)
{
    for (int i = 0; i < TYPES; i++)
        if (types[i].storage && torch_is(name, types[i].storage))
            return &types[i].type;
    return NULL;
}

const struct torch_dtype *torch_dtype_by_name(struct torch_text name)
{
    for (int i = 0; i < TYPES; i++)
        if (torch_is(name, types[i].type.name))
            return &types[i].type;
    return NULL;
}
