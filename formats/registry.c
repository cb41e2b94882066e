/* The formats that are built in; see ax/format.h. */
#include "ax/format.h"

#include <string.h>

extern const struct ax_format ax_format_onnx;
extern const struct ax_format ax_format_gguf;
extern const struct ax_format ax_format_tflite;
extern const struct ax_format ax_format_keras;
extern const struct ax_format ax_format_checkpoint;
extern const struct ax_format ax_format_layers;
extern const struct ax_format ax_format_huggingface;

const struct ax_format *const ax_formats[] = {
    &ax_format_onnx,        &ax_format_gguf,
    &ax_format_tflite,      &ax_format_keras,
    &ax_format_checkpoint,  &ax_format_layers,
    &ax_format_huggingface, NULL,
};

const struct ax_format *ax_format_find(const char *name)
{
    for (size_t i = 0; ax_formats[i]; i++)
        if (strcmp(ax_formats[i]->name, name) == 0)
            return ax_formats[i];
    return NULL;
}

const struct ax_format *ax_format_sniff(const unsigned char *head, size_t n)
{
    for (size_t i = 0; ax_formats[i]; i++)
        if (ax_formats[i]->sniff(head, n))
            return ax_formats[i];
    return NULL;
}
