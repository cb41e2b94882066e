/* Images and sounds: see media.h. libpng and libjpeg are optional. */
#include "ax-train/media.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_PNG
#include <png.h>
#endif
#ifdef HAVE_JPEG
#include <jpeglib.h>
#endif

static ax_status same_size(const struct media_wanted *want, size_t high,
                           size_t wide, struct ax_err *err)
{
    if (high == (size_t)want->dims[1] && wide == (size_t)want->dims[2])
        return AX_OK;
    return ax_fail(err, AX_ESHAPE,
                   "%zu x %zu pixels, the network wants %" PRId64
                   " x %" PRId64,
                   high, wide, want->dims[1], want->dims[2]);
}

#if defined(HAVE_PNG) || defined(HAVE_JPEG)
/* What a library says; it has one way to fail for all reasons. */
static ax_status malformed(const char *message, struct ax_err *err)
{
    return ax_fail(err, strstr(message, "memory") ? AX_ENOMEM : AX_EFORMAT,
                   "%s", message);
}

/* Colours that lie beside each other, to one plane for each. */
static void to_planes(unsigned char *out, const unsigned char *pixels,
                      size_t channels, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < channels; c++)
            out[c * n + i] = pixels[i * channels + c];
}
#endif

/* -- PNG ------------------------------------------------------------------
 */

#ifdef HAVE_PNG
static ax_status read_png(unsigned char *out, const struct media_wanted *want,
                          const unsigned char *p, size_t n,
                          struct ax_err *err)
{
    const png_color black = {0, 0, 0};
    size_t channels = (size_t)want->dims[0];
    png_image image = {.version = PNG_IMAGE_VERSION};
    unsigned char *pixels = NULL;
    ax_status st;

    if (!png_image_begin_read_from_memory(&image, p, n))
        return malformed(image.message, err);
    image.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
    st = same_size(want, image.height, image.width, err);
    if (st == AX_OK && !(pixels = malloc(PNG_IMAGE_SIZE(image))))
        st = ax_fail(err, AX_ENOMEM, "no memory for an image");
    if (st == AX_OK &&
        !png_image_finish_read(&image, &black, pixels, 0, NULL))
        st = malformed(image.message, err);
    if (st == AX_OK)
        to_planes(out, pixels, channels,
                  (size_t)want->dims[1] * (size_t)want->dims[2]);
    png_image_free(&image);
    free(pixels);
    return st;
}
#endif

/* -- JPEG -----------------------------------------------------------------
 */

#ifdef HAVE_JPEG
struct jpeg {
    struct jpeg_decompress_struct of;
    struct jpeg_error_mgr errors;
    jmp_buf out;
    char message[JMSG_LENGTH_MAX];
};

static void jpeg_died(j_common_ptr of)
{
    struct jpeg *j = (struct jpeg *)of;

    of->err->format_message(of, j->message);
    longjmp(j->out, 1);
}

/* A warning is of bytes that are missing or wrong: an error here. */
static void jpeg_said(j_common_ptr of, int level)
{
    if (level < 0)
        jpeg_died(of);
}

/* What may jump back: nothing in it owns anything. */
static ax_status jpeg_rows(struct jpeg *j, unsigned char *pixels,
                           const struct media_wanted *want,
                           struct ax_err *err)
{
    size_t channels = (size_t)want->dims[0];

    jpeg_read_header(&j->of, TRUE);
    AX_TRY(same_size(want, j->of.image_height, j->of.image_width, err));
    j->of.out_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    j->of.dct_method = JDCT_ISLOW; /* the same on every machine */
    jpeg_start_decompress(&j->of);
    while (j->of.output_scanline < j->of.output_height) {
        JSAMPROW row = pixels + (size_t)j->of.output_scanline *
                                    j->of.output_width * channels;

        jpeg_read_scanlines(&j->of, &row, 1);
    }
    jpeg_finish_decompress(&j->of);
    return AX_OK;
}

static ax_status read_jpeg(unsigned char *out,
                           const struct media_wanted *want,
                           const unsigned char *p, size_t n,
                           struct ax_err *err)
{
    size_t pixel = (size_t)want->dims[1] * (size_t)want->dims[2];
    unsigned char *pixels = malloc(pixel * (size_t)want->dims[0]);
    struct jpeg *j = calloc(1, sizeof *j);
    ax_status st;

    if (!pixels || !j) {
        free(pixels);
        free(j);
        return ax_fail(err, AX_ENOMEM, "no memory for an image");
    }
    j->of.err = jpeg_std_error(&j->errors);
    j->errors.error_exit = jpeg_died;
    j->errors.emit_message = jpeg_said;
    if (setjmp(j->out) == 0) {
        jpeg_create_decompress(&j->of);
        jpeg_mem_src(&j->of, p, n);
        st = jpeg_rows(j, pixels, want, err);
    } else {
        st = malformed(j->message, err);
    }
    jpeg_destroy_decompress(&j->of);
    if (st == AX_OK)
        to_planes(out, pixels, (size_t)want->dims[0], pixel);
    free(pixels);
    free(j);
    return st;
}
#endif

ax_status media_image(unsigned char *out, const struct media_wanted *want,
                      const unsigned char *p, size_t n, struct ax_err *err)
{
    static const unsigned char png[] = {0x89, 'P', 'N', 'G'};

    if (n > 4 && memcmp(p, png, 4) == 0) {
#ifdef HAVE_PNG
        return read_png(out, want, p, n, err);
#else
        return ax_fail(err, AX_EUNSUPPORTED,
                       "is PNG; ax was built without libpng-dev");
#endif
    }
    if (n > 3 && p[0] == 0xff && p[1] == 0xd8 && p[2] == 0xff) {
#ifdef HAVE_JPEG
        return read_jpeg(out, want, p, n, err);
#else
        return ax_fail(err, AX_EUNSUPPORTED,
                       "is JPEG; ax was built without libjpeg-dev");
#endif
    }
    (void)out;
    (void)same_size;
    (void)want;
    return ax_fail(err, AX_EUNSUPPORTED, "is no PNG and no JPEG");
}

/* -- WAV ------------------------------------------------------------------
 */

static uint32_t word(const unsigned char *p, int n)
{
    uint32_t v = 0;

    for (int i = n; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

/* The chunk of a name; NULL: none, or it ends behind the file. */
static const unsigned char *find_chunk(const unsigned char *p, size_t n,
                                       const char *name, size_t *size)
{
    size_t at = 12;

    while (at <= n && n - at >= 8) {
        *size = word(p + at + 4, 4);
        if (*size > n - at - 8)
            return NULL;
        if (memcmp(p + at, name, 4) == 0)
            return p + at + 8;
        at += 8 + *size + (*size & 1);
    }
    return NULL;
}

ax_status media_sound(float *out, const struct media_wanted *want,
                      const unsigned char *p, size_t n, struct ax_err *err)
{
    size_t most = (size_t)want->dims[want->rank - 1], size, samples;
    const unsigned char *format, *data;
    uint32_t bits;

    if (n < 12 || memcmp(p, "RIFF", 4) != 0 || memcmp(p + 8, "WAVE", 4) != 0)
        return ax_fail(err, AX_EUNSUPPORTED, "is no WAV");
    format = find_chunk(p, n, "fmt ", &size);
    if (!format || size < 16)
        return ax_fail(err, AX_EFORMAT, "has no format, or is cut short");
    bits = word(format + 14, 2);
    if (word(format, 2) != 1 || word(format + 2, 2) != 1 ||
        (bits != 8 && bits != 16))
        return ax_fail(err, AX_EUNSUPPORTED,
                       "format %" PRIu32 ", %" PRIu32 " channels, %" PRIu32
                       " bits; wants PCM, one channel, 8 or 16 bits",
                       word(format, 2), word(format + 2, 2), bits);
    data = find_chunk(p, n, "data", &size);
    if (!data)
        return ax_fail(err, AX_EFORMAT, "has no data, or is cut short");
    samples = size / (bits / 8);
    if (samples > most)
        return ax_fail(err, AX_ESHAPE, "%zu samples, the network takes %zu",
                       samples, most);
    for (size_t i = 0; i < most; i++)
        out[i] = i >= samples ? 0
                 : bits == 8  ? ((float)data[i] - 128) / 128
                              : (float)(int16_t)word(data + 2 * i, 2) / 32768;
    return AX_OK;
}
