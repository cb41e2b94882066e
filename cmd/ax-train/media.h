/* cmd/ax-train/media.h - images and sounds, out of the bytes of a file. The
 * bytes are hostile; what they say of their size is checked before memory is
 * taken for it. */
#ifndef AX_TRAIN_MEDIA_H
#define AX_TRAIN_MEDIA_H

#include <stddef.h>
#include <stdint.h>

#include "ax/err.h"

/* A row of a network: channels (1 or 3) x height x width of bytes for images,
 * or samples of a sound, for which the rank is 1 or the dimensions before the
 * last are 1. */
struct media_wanted {
    int rank;
    const int64_t *dims;
};

/* Fill out, bytes for images and float32 for sounds, by what the file begins
 * with: PNG, JPEG, or WAV (PCM of 8 or 16 bits, one channel; samples from -1
 * to 1, zeros behind a sound that is shorter).
 * AX_EFORMAT malformed; AX_EUNSUPPORTED another kind, or one that was not
 * built in; AX_ESHAPE not of the size that is wanted. */
ax_status media_image(unsigned char *out, const struct media_wanted *want,
                      const unsigned char *p, size_t n, struct ax_err *err)
    AX_MUST_CHECK;
ax_status media_sound(float *out, const struct media_wanted *want,
                      const unsigned char *p, size_t n, struct ax_err *err)
    AX_MUST_CHECK;

#endif
