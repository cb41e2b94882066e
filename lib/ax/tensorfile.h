/* ax/tensorfile.h - tensors in files: npy, npz, csv and idx.
 *
 * Readers take the whole file in memory; its bytes are hostile, and no more
 * memory is taken than they justify. Every tensor read is owned by the
 * caller, dense, row-major, in the machine's byte order. */
#ifndef AX_TENSORFILE_H
#define AX_TENSORFILE_H

#include <stdio.h>

#include "ax/tensor.h"

AX_BEGIN_API

typedef enum ax_tensorfile {
    AX_FILE_NPY = 1, /* numpy.save: versions 1 to 3 */
    AX_FILE_NPZ,     /* numpy.savez, savez_compressed: a zip of npy */
    AX_FILE_CSV,     /* rows of numbers between commas */
    AX_FILE_IDX,     /* the MNIST files; read only */
} ax_tensorfile;

/* By the file's first bytes; what is nothing else is csv. */
ax_tensorfile ax_tensorfile_sniff(const unsigned char *data, size_t n);
/* By the name's ending; 0 for one that is not known. */
ax_tensorfile ax_tensorfile_by_name(const char *path);

struct ax_named_tensor {
    char *name; /* "" for a file of one tensor without names */
    struct ax_tensor t;
};

struct ax_tensor_list {
    size_t n;
    struct ax_named_tensor *v;
};

void ax_tensor_list_free(struct ax_tensor_list *list); /* {0} is harmless */

/* Read a file of any of the kinds; DTYPE is what csv is read as.
 * AX_EFORMAT      malformed, with the place; objects (pickles)
 * AX_EUNSUPPORTED an element type that ax has not: complex, strings, records
 * AX_ENOMEM. */
ax_status ax_tensorfile_read(struct ax_tensor_list *out,
                             const unsigned char *data, size_t n,
                             ax_dtype dtype, struct ax_err *err)
    AX_MUST_CHECK;

/* One kind each. *out is overwritten with a new tensor. Big-endian numbers
 * and Fortran order are converted. */
ax_status ax_npy_read(struct ax_tensor *out, const unsigned char *data,
                      size_t n, struct ax_err *err) AX_MUST_CHECK;
ax_status ax_idx_read(struct ax_tensor *out, const unsigned char *data,
                      size_t n, struct ax_err *err) AX_MUST_CHECK;
/* The same of strings (descr S and U), which ax_npy_read refuses. What is
 * more than AX_STRING_SIZE bytes of UTF-8 is AX_EUNSUPPORTED. */
ax_status ax_npy_read_strings(struct ax_tensor *out,
                              const unsigned char *data, size_t n,
                              struct ax_err *err) AX_MUST_CHECK;
/* The names are those of the members, without ".npy". */
ax_status ax_npz_read(struct ax_tensor_list *out, const unsigned char *data,
                      size_t n, struct ax_err *err) AX_MUST_CHECK;
/* [rows, columns] of type DTYPE, each number rounded once. A first line in
 * which no field is a number is a header, and is left out. Empty lines and
 * blanks around numbers are skipped; every row has as many numbers as the
 * first. AX_EFORMAT names line and column. */
ax_status ax_csv_read(struct ax_tensor *out, const unsigned char *data,
                      size_t n, ax_dtype dtype, struct ax_err *err)
    AX_MUST_CHECK;

/* Writers. The same tensors give the same bytes. bfloat16 is written as
 * float32, which numpy can read. In an npz a slash of a name becomes '_'; two
 * names that are one after that are AX_EUNSUPPORTED. AX_EIO. */
ax_status ax_npy_write(FILE *f, const struct ax_tensor *t, struct ax_err *err)
    AX_MUST_CHECK;
ax_status ax_npz_write(FILE *f, const struct ax_tensor_list *list,
                       struct ax_err *err) AX_MUST_CHECK;
/* A row for each index of the first dimension; numbers as short as they can
 * be read back exactly. */
ax_status ax_csv_write(FILE *f, const struct ax_tensor *t, struct ax_err *err)
    AX_MUST_CHECK;

/* One number, as short as it can be read back exactly; returns buf. */
char *ax_number_text(char *buf, size_t n, const struct ax_tensor *t,
                     size_t i);

AX_END_API

#endif
