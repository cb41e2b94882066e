/* Blocks of quantised numbers, as ggml-quants.c defines them: 32 with one
 * scale, or 256 with scales that are quantised themselves. Products and sums
 * are those of the definition, in its order, so that the float32 numbers are
 * the same to the last bit. */
#include "ax/element.h"
#include "formats/gguf/gguf.h"

enum { BLOCK = 32, SUPER = 256 };

static float half(const unsigned char *p)
{
    return ax_f16_value((uint16_t)torch_le(p, 2));
}

static float signed_byte(unsigned char b)
{
    return (float)(b < 128 ? b : b - 256);
}

/* A scale in float16, and 32 signed bytes. */
void gguf_q8_0(float *out, const unsigned char *in, size_t n)
{
    for (; n; n -= BLOCK, in += 2 + BLOCK, out += BLOCK) {
        float scale = half(in);

        for (int i = 0; i < BLOCK; i++)
            out[i] = signed_byte(in[2 + i]) * scale;
    }
}

/* A scale in float16, and 32 numbers from -8 to 7, eight more than they are:
 * the first half of them in the low bits of 16 bytes, the second in the
 * high. */
void gguf_q4_0(float *out, const unsigned char *in, size_t n)
{
    for (; n; n -= BLOCK, in += 2 + BLOCK / 2, out += BLOCK) {
        float scale = half(in);

        for (int i = 0; i < BLOCK / 2; i++) {
            out[i] = (float)((in[2 + i] & 15) - 8) * scale;
            out[i + BLOCK / 2] = (float)((in[2 + i] >> 4) - 8) * scale;
        }
    }
}

/* A scale, a least number, and 32 numbers from 0 to 15. */
void gguf_q4_1(float *out, const unsigned char *in, size_t n)
{
    for (; n; n -= BLOCK, in += 4 + BLOCK / 2, out += BLOCK) {
        float scale = half(in), least = half(in + 2);

        for (int i = 0; i < BLOCK / 2; i++) {
            out[i] = (float)(in[4 + i] & 15) * scale + least;
            out[i + BLOCK / 2] = (float)(in[4 + i] >> 4) * scale + least;
        }
    }
}

/* Number I of 32 with five bits each: the fifth ones come first. */
static int five_bits(const unsigned char *in, int i)
{
    int low = in[4 + i % (BLOCK / 2)] >> (i < BLOCK / 2 ? 0 : 4) & 15;

    return low | (in[i / 8] >> i % 8 & 1) << 4;
}

void gguf_q5_0(float *out, const unsigned char *in, size_t n)
{
    for (; n; n -= BLOCK, in += 6 + BLOCK / 2, out += BLOCK) {
        float scale = half(in);

        for (int i = 0; i < BLOCK; i++)
            out[i] = (float)(five_bits(in + 2, i) - 16) * scale;
    }
}

void gguf_q5_1(float *out, const unsigned char *in, size_t n)
{
    for (; n; n -= BLOCK, in += 8 + BLOCK / 2, out += BLOCK) {
        float scale = half(in), least = half(in + 2);

        for (int i = 0; i < BLOCK; i++)
            out[i] = (float)five_bits(in + 4, i) * scale + least;
    }
}

/* Scale and least number of part J of eight, with six bits each, in twelve
 * bytes: the first four in bytes of their own, whose free bits are the high
 * ones of the others. */
static void scale_of(const unsigned char *p, int j, float *scale,
                     float *least)
{
    if (j < 4) {
        *scale = (float)(p[j] & 63);
        *least = (float)(p[j + 4] & 63);
    } else {
        *scale = (float)((p[j + 4] & 15) | p[j - 4] >> 6 << 4);
        *least = (float)(p[j + 4] >> 4 | p[j] >> 6 << 4);
    }
}

/* Eight parts of 32, in pairs that share bytes; HIGH has the fifth bits, or
 * is NULL. */
static void unpack_parts(float *out, const unsigned char *in,
                         const unsigned char *high, const unsigned char *low)
{
    for (int j = 0; j < 8; j++) {
        float scale, least;

        scale_of(in + 4, j, &scale, &least);
        scale *= half(in);
        least *= half(in + 2);
        for (int i = 0; i < BLOCK; i++) {
            int x = low[j / 2 * BLOCK + i] >> (j % 2 * 4) & 15;

            if (high)
                x |= (high[i] >> j & 1) << 4;
            out[j * BLOCK + i] = scale * (float)x - least;
        }
    }
}

void gguf_q4_k(float *out, const unsigned char *in, size_t n)
{
    for (; n; n -= SUPER, in += 144, out += SUPER)
        unpack_parts(out, in, NULL, in + 16);
}

void gguf_q5_k(float *out, const unsigned char *in, size_t n)
{
    for (; n; n -= SUPER, in += 176, out += SUPER)
        unpack_parts(out, in, in + 16, in + 48);
}

/* 256 numbers from -32 to 31: four low bits each, then two high ones, then 16
 * scales, then their scale. */
void gguf_q6_k(float *out, const unsigned char *in, size_t n)
{
    for (; n; n -= SUPER, in += 210, out += SUPER) {
        float all = half(in + 208);

        for (int i = 0; i < SUPER; i++) {
            int at = i % 128, part = at / BLOCK;
            int low = in[i / 128 * 64 + at % 64] >> (at < 64 ? 0 : 4) & 15;
            int high = in[128 + i / 128 * 32 + i % BLOCK] >> 2 * part & 3;
            float scale = all * signed_byte(in[192 + i / 16]);

            out[i] = scale * (float)((low | high << 4) - 32);
        }
    }
}
