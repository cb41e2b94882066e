/* Augmentations: see augment.h. */
#include "ax-train/augment.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ax/train.h"

#define STREAM   (UINT64_MAX / 4) /* of random numbers, an epoch each */
#define CROP_MAX 64

ax_status augment_read(struct augment *a, const char *text,
                       struct ax_err *err)
{
    *a = (struct augment){0};
    while (text && *text) {
        size_t n = strcspn(text, ",");
        char word[40], *end = word;
        double v = 0;

        snprintf(word, sizeof word, "%.*s", (int)(n < 39 ? n : 39), text);
        text += n + (text[n] == ',');
        if (strcmp(word, "flip") == 0) {
            a->flip = true;
            continue;
        }
        if (strncmp(word, "crop=", 5) == 0) {
            v = strtod(word + 5, &end);
            a->crop = v >= 1 && v <= CROP_MAX && v == floor(v) ? (size_t)v
                                                               : 0;
            v = (double)a->crop;
        } else if (strncmp(word, "noise=", 6) == 0) {
            a->noise = v = strtod(word + 6, &end);
        }
        if (end == word || *end || !(v > 0 && v < 1e6))
            return ax_fail(err, AX_EUSAGE,
                           "--augment '%s': wants crop=PIXELS up to %d, "
                           "flip, noise=DEVIATION",
                           word, CROP_MAX);
    }
    return AX_OK;
}

ax_status augment_check(const struct augment *a, int rank,
                        const int64_t *dims, struct ax_err *err)
{
    (void)dims;
    if ((a->crop || a->flip) && rank != 3)
        return ax_fail(err, AX_ESHAPE,
                       "--augment crop and flip are for channels x height x "
                       "width, a row has %d dimensions",
                       rank);
    return AX_OK;
}

static uint64_t below(uint64_t bits, uint64_t n)
{
    return (uint64_t)(((unsigned __int128)bits * n) >> 64);
}

/* Move by (down, right), zeros come in; mirror. */
static void move(float *x, float *from, const int64_t *dims, int64_t down,
                 int64_t right, bool mirror)
{
    int64_t high = dims[1], wide = dims[2];

    memcpy(from, x, (size_t)(dims[0] * high * wide) * sizeof *x);
    for (int64_t c = 0; c < dims[0]; c++)
        for (int64_t i = 0; i < high; i++)
            for (int64_t k = 0; k < wide; k++) {
                int64_t y = i - down, z = (mirror ? wide - 1 - k : k) - right;

                *x++ = y < 0 || y >= high || z < 0 || z >= wide
                           ? 0
                           : from[(c * high + y) * wide + z];
            }
}

/* By its series around 1/2. */
double half_turn(double t)
{
    double x = 3.14159265358979312 * (t - 0.5), term = x, sum = 0;

    for (int k = 1; k < 24; k += 2) {
        sum += term;
        term *= -x * x / ((k + 1) * (k + 2));
    }
    return -sum;
}

/* A number between 0 and 1, neither of them. */
static double fraction(uint64_t bits)
{
    return ((double)(bits >> 12) + 0.5) / 4503599627370496.0;
}

/* Box, Muller: a normal number from two uniform ones. */
static double normal(uint64_t a, uint64_t b)
{
    return sqrt(-2 * ax_train_log(fraction(a))) * half_turn(fraction(b));
}

void augment_row(const struct augment *a, float *x, float *room, int rank,
                 const int64_t *dims, uint64_t seed, uint64_t epoch,
                 uint64_t row)
{
    uint64_t of_row = ax_train_random(seed, STREAM + epoch, row);
    uint64_t span = 2 * a->crop + 1;
    size_t n = 1;

    if (a->crop || a->flip)
        move(x, room, dims,
             (int64_t)below(ax_train_random(of_row, 0, 0), span) -
                 (int64_t)a->crop,
             (int64_t)below(ax_train_random(of_row, 0, 1), span) -
                 (int64_t)a->crop,
             a->flip && ax_train_random(of_row, 0, 2) >> 63);
    for (int d = 0; d < rank; d++)
        n *= (size_t)dims[d];
    for (size_t i = 0; a->noise > 0 && i < n; i++)
        x[i] += (float)(a->noise * normal(ax_train_random(of_row, 1, i),
                                          ax_train_random(of_row, 2, i)));
}
