/* cmd/ax-train/table.h - tables with words in them, as numbers. */
#ifndef AX_TRAIN_TABLE_H
#define AX_TRAIN_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "ax/tensor.h"

/* A column: numbers, or categories, sorted as bytes. */
struct table_column {
    bool words;
    size_t n;
    char **names;
};

/* What the table to train with has; others must have the same. */
struct table_columns {
    size_t n; /* 0: nothing was read yet */
    struct table_column *v;
};

void table_free(struct table_columns *columns); /* {0} is harmless */

/* Has the table words, other than in a header? What is no table has, too, if
 * there is one in front of the fault. AX_ENOMEM. */
ax_status table_has_words(bool *out, const unsigned char *p, size_t n,
                          struct ax_err *err) AX_MUST_CHECK;

/* Read N bytes of comma-separated fields, in double quotes or not. A first
 * line without a number is left out if one of its columns has numbers. A
 * column of words becomes a column for each category, 1 where it is and 0
 * elsewhere; the last one, if CLASSES, becomes the number of its category.
 * *out is a new float32 tensor [rows, columns].
 * AX_EFORMAT a field is missing (empty, ?, NA, N/A, nan, null), or a word
 * among numbers, or of no category: with row and column, from 0. */
ax_status table_read(struct ax_tensor *out, struct table_columns *columns,
                     const unsigned char *p, size_t n, bool classes,
                     struct ax_err *err) AX_MUST_CHECK;

#endif
