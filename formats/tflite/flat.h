/* formats/tflite/flat.h - FlatBuffers: tables whose fields are found by
 * number. Source: flatbuffers.dev, Internals.
 *
 * Nothing is copied and nothing is trusted: what lies outside of the bytes
 * reads as 0, and the buffer is bad from then on. */
#ifndef FORMATS_TFLITE_FLAT_H
#define FORMATS_TFLITE_FLAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct flat {
    const unsigned char *p; /* borrowed */
    size_t n;
    bool bad;
};

/* n elements that begin at p; {NULL, 0} if there is no such vector. */
struct flat_vector {
    const unsigned char *p;
    size_t n;
};

/* A table is where it begins, never 0; 0 stands for one that is missing, all
 * fields of which are. */
size_t flat_root(struct flat *f);
size_t flat_table(struct flat *f, size_t table, int field);
/* Little-endian, of 1, 2, 4 or 8 bytes, with a sign. */
int64_t flat_int(struct flat *f, size_t table, int field, int size,
                 int64_t otherwise);
float flat_float(struct flat *f, size_t table, int field, float otherwise);
struct flat_vector flat_vector(struct flat *f, size_t table, int field,
                               size_t size);
/* Element i of a vector of tables, and of one of integers of that size. */
size_t flat_element(struct flat *f, struct flat_vector v, size_t i);
int64_t flat_number(struct flat_vector v, size_t i, int size);

#endif
