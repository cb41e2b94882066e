/* cmd/ax-train/watch.h - what people see of a run: more metrics, curves, a
 * report. */
#ifndef AX_TRAIN_WATCH_H
#define AX_TRAIN_WATCH_H

#include "ax-train/job.h"

/* What came out for each row that was measured. */
struct scores {
    size_t rows, n;        /* n outputs a row */
    const float *out;      /* [rows, n] */
    const int64_t *labels; /* [rows] */
};

/* counts[label * n + answer], n x n. */
void scores_confusion(size_t *counts, const struct scores *s);
/* The part of rows whose class is among the K largest outputs. */
double scores_top(const struct scores *s, size_t k);
/* The mean over classes that occur, in labels or answers, of the harmonic
 * mean of precision and recall. */
double scores_f1(const struct scores *s);
/* The area under the curve of true positives over false ones: of the second
 * class for two, else the mean over classes that occur, each against the
 * rest. Ties count half. AX_ENOMEM. */
ax_status scores_auc(double *out, const struct scores *s, struct ax_err *err)
    AX_MUST_CHECK;

/* Draw each metric over the epochs, in letters or, if BRAILLE, dots. */
void curves_draw(FILE *f, const struct event *history, size_t n,
                 bool braille);

/* Write the report of a run that has ended. Measures once more. */
ax_status report_write(struct job *j, struct ax_err *err) AX_MUST_CHECK;

#endif
