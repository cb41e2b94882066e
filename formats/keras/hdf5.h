/* formats/keras/hdf5.h - as much of HDF5 as Keras writes: superblock version
 * 0 or 1, groups in B-trees of version 1, attributes, and datasets in one
 * piece. Source: HDF5 File Format Specification, version 3.
 *
 * Nothing is copied and nothing is trusted: what lies outside of the bytes
 * reads as 0, and the file is bad from then on. */
#ifndef FORMATS_KERAS_HDF5_H
#define FORMATS_KERAS_HDF5_H

#include "ax/tensor.h"

struct hdf5 {
    const unsigned char *p; /* borrowed */
    size_t n;
    bool bad;
    uint64_t root;  /* address of its object header */
    uint64_t steps; /* messages and entries that may still be looked at */
};

struct hdf5_text {
    const char *s; /* not ended by a NUL */
    size_t n;
};

/* An array of numbers or of texts. */
struct hdf5_array {
    ax_dtype dtype;      /* AX_DTYPE_NONE: neither float nor text */
    bool fixed, varying; /* texts, of `size` bytes, or anywhere */
    size_t size, count;
    int rank;
    int64_t dims[AX_RANK_MAX];
    const unsigned char *data;
};

/* AX_EFORMAT, AX_EUNSUPPORTED. */
ax_status hdf5_open(struct hdf5 *h, const unsigned char *data, size_t n,
                    struct ax_err *err) AX_MUST_CHECK;

/* The object at a path below another; 0: there is none. */
uint64_t hdf5_find(struct hdf5 *h, uint64_t object, struct hdf5_text path);
struct hdf5_text hdf5_name(const char *s);

/* False: there is none, or it is of a kind that is not supported. */
bool hdf5_attribute(struct hdf5 *h, uint64_t object, const char *name,
                    struct hdf5_array *out);
bool hdf5_dataset(struct hdf5 *h, uint64_t object, struct hdf5_array *out);
/* Text i of an array of texts. */
struct hdf5_text hdf5_text_at(struct hdf5 *h, const struct hdf5_array *a,
                              size_t i);

#endif
