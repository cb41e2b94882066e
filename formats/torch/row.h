/* formats/torch/row.h - what the two old containers have in common: pickles
 * and storages that follow each other. */
#ifndef FORMATS_TORCH_ROW_H
#define FORMATS_TORCH_ROW_H

#include "formats/torch/torch.h"

struct torch_row {
    const unsigned char *data; /* the file, or a member of it */
    size_t n, at;
    struct torch_pickle pickle;
    struct ax_checkpoint *c;
    struct torch_storage *v; /* in the order of the file */
    size_t n_v, cap_v;
};

void torch_row_free(struct torch_row *r);

/* The tree of the pickle that comes next. */
ax_status torch_row_pickle(struct torch_row *r, struct torch_node **root,
                           struct ax_err *err) AX_MUST_CHECK;
ax_status torch_row_take(struct torch_row *r, const unsigned char **out,
                         size_t n, struct ax_err *err) AX_MUST_CHECK;
/* Add a storage of which type and key are known, and its bytes come next:
 * a count, and that many elements. */
ax_status torch_row_storage(struct torch_row *r,
                            const struct torch_storage *what,
                            struct ax_err *err) AX_MUST_CHECK;
/* After the last: AX_EFORMAT if two have one key. */
ax_status torch_row_sort(struct torch_row *r, struct ax_err *err)
    AX_MUST_CHECK;
/* NULL if there is none. */
const struct torch_storage *torch_row_find(const struct torch_row *r,
                                           struct torch_text key);

#endif
