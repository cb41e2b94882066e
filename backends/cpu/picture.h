/* backends/cpu/picture.h - what convolutions by tiles share, whatever a word
 * of four bytes is: a float32, or four channels of a byte each.
 *
 * Rows are output channels, columns places of the output, and k runs over
 * what one place sees. A picture with a stride of one and its padding around
 * it is read where it lies; other places are gathered first. Where there are
 * too few places to fill tiles it is turned: rows are places, which are
 * gathered, and columns are channels. Every element is the same chain. */
#ifndef CPU_PICTURE_H
#define CPU_PICTURE_H

#include "ax/backend.h"
#include "bytes.h"
#include "tile.h"

/* One convolution: sizes of a group, and its picture with padding. */
struct shape {
    int64_t groups, in, out; /* channels of a group */
    int64_t planes;          /* words that lie at one place of the picture */
    int64_t height, width;   /* of a padded plane */
    int64_t parts;           /* how often a place is read: once, or twice */
    int64_t k;               /* planes, times the kernel, times parts */
    int64_t places, columns; /* of the output; with those at the end of each
                                row of the picture that are none */
    bool padded, slides;     /* a copy with padding; read where it lies */
    bool turned;
    const struct ax_window *w;
};

/* PER_WORD is how many channels a word has. AX_NO: it is not of one or two
 * dimensions, or too large. */
ax_status picture_resolve(struct shape *s, const struct ax_call *c,
                          const struct ax_tensor *x,
                          const struct ax_tensor *weight,
                          const struct ax_window *w, int64_t per_word);

/* The shape of the output. */
void picture_dims(int64_t dims[4], const struct shape *s, int rank,
                  int64_t batch);

/* Where the words of a window lie, [k] each: in the picture, and in a
 * gathered panel. */
void picture_offsets(int32_t *off, int32_t *line, const struct shape *s);

/* The weights of a group, packed for picture_multiply: how many words, and
 * from [out, k]. */
int64_t picture_weight(const struct shape *s);
void picture_pack(cpu_word *to, const cpu_word *from, const struct shape *s);

/* A tile of m rows from ROW on, columns [at, at + n); x is the caller's. */
typedef void picture_tile(void *x, const cpu_word *a, const cpu_word *b,
                          const int32_t *off, int64_t row, int m, int64_t at,
                          int64_t n);

struct picture {
    const struct shape *s;
    const int32_t *off, *line;
    const cpu_word *x; /* the picture, padded */
    int64_t readable;  /* words from x on */
    cpu_word *panels;  /* room for picture_room words */
};

int64_t picture_room(const struct shape *s);

/* All tiles of a group. */
void picture_multiply(const struct picture *p, const cpu_word *weight,
                      picture_tile *tile, void *x);

#endif
