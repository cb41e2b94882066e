/* cmd/ax-show/show.h - the two ways in which ax-show says everything, and
 * what both say. */
#ifndef AX_SHOW_SHOW_H
#define AX_SHOW_SHOW_H

#include <jansson.h>

#include "ax/model.h"

ax_status show_text(const struct ax_model *m, bool stats, struct ax_err *err)
    AX_MUST_CHECK;
ax_status show_json(const struct ax_model *m, bool stats, struct ax_err *err)
    AX_MUST_CHECK;

/* What an attachment is, and what it says of the model. Nothing of that is
 * checked here. */
struct claim {
    char what[200];    /* one line, lower case */
    char subject[65];  /* digest of the property that it speaks of, or "" */
    const char *check; /* what checks it, or NULL */
};
/* One for each attachment; new, free() the array. */
ax_status claims_of(struct claim **out, const struct ax_model *m,
                    struct ax_err *err) AX_MUST_CHECK;

/* The record in a provenance attachment, new; NULL if it is none. */
json_t *claim_record(const struct ax_attachment *a);

/* Least, greatest and mean of the finite elements, and how many others. */
struct stats {
    size_t finite, other;
    double min, max, mean;
};
void stats_of(struct stats *out, const struct ax_tensor *t);

/* The name of the value that is each tensor, or NULL where only a graph
 * inside the graph has it; new, free() the array. */
ax_status tensor_names(const char ***out, const struct ax_model *m,
                       struct ax_err *err) AX_MUST_CHECK;

#endif
