/* cmd/ax-train/data.h - rows to train with, out of files. */
#ifndef AX_TRAIN_DATA_H
#define AX_TRAIN_DATA_H

#include "ax-train/table.h"
#include "ax/provenance.h"
#include "ax/tensor.h"
#include "ax/train.h"

#define DATA_FILES 5

/* Rows of numbers, and what is wanted of each. */
struct data {
    size_t rows, inputs, outputs; /* outputs: of values */
    struct ax_tensor x, y;        /* x of any type; y int64 or float32 */
    float scale;                  /* of what x holds */
};

/* What files were read, for the record. */
struct data_files {
    size_t n;
    struct ax_provenance_file v[DATA_FILES];
};

struct data_wanted {
    size_t inputs, outputs; /* of the network */
    int rank;               /* of a row of its input, of these dimensions */
    const int64_t *dims;
    bool classes;                  /* is each row's target a class? */
    double scale;                  /* 0: 1/255 for uint8, 1 for others */
    struct table_columns *columns; /* of tables with words, once one was read
                                      to train with */
};

/* Read PATH: a folder of folders of images or sounds, records of CIFAR-10, an
 * npz with x and y, one tensor with the targets in the file LABELS, or a
 * table whose last columns are the targets (LABELS is NULL).
 * AX_EFORMAT  a number is not finite, a class is out of range: with the row
 * AX_ESHAPE   rows are not what the network takes. */
ax_status data_read(struct data *d, const char *path, const char *labels,
                    const struct data_wanted *want, struct data_files *files,
                    struct ax_err *err) AX_MUST_CHECK;
void data_free(struct data *d);

/* The first of these, in folder.c; targets are classes, shapes are checked.
 */
ax_status data_read_folder(struct data *d, const char *path,
                           const struct data_wanted *want,
                           struct data_files *files, struct ax_err *err)
    AX_MUST_CHECK;

/* Copy the rows index[0..n) to x [n, inputs], and their targets. */
void data_rows(const struct data *d, const size_t *index, size_t n, float *x,
               int64_t *classes, float *values);

#endif
