/* Blocks of 32 quantised numbers, as ggml-quants.c defines them. */
#include "ax/element.h"
#include "formats/gguf/gguf.h"

enum { BLOCK = 32 };

/* A scale in float16, and 32 signed bytes. */
void gguf_q8_0(float *out, const unsigned char *in, size_t n)
{
    for (; n; n -= BLOCK, in += 2 + BLOCK, out += BLOCK) {
        float scale = ax_f16_value((uint16_t)torch_le(in, 2));

        for (int i = 0; i < BLOCK; i++)
            out[i] = (float)(in[2 + i] < 128 ? in[2 + i] : in[2 + i] - 256) *
                     scale;
    }
}

/* A scale in float16, and 32 numbers from -8 to 7, eight more than they are:
 * the first half of them in the low bits of 16 bytes, the second in the
 * high. */
void gguf_q4_0(float *out, const unsigned char *in, size_t n)
{
    for (; n; n -= BLOCK, in += 2 + BLOCK / 2, out += BLOCK) {
        float scale = ax_f16_value((uint16_t)torch_le(in, 2));

        for (int i = 0; i < BLOCK / 2; i++) {
            out[i] = (float)((in[2 + i] & 15) - 8) * scale;
            out[i + BLOCK / 2] = (float)((in[2 + i] >> 4) - 8) * scale;
        }
    }
}
