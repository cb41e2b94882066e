/* tree.c: the boxes of a search, kept, and written as trees of
 * solver/coq/Big.v. */
#ifndef AX_EXPORT_TREE_H
#define AX_EXPORT_TREE_H

#include <stdio.h>

#include "ax/net.h"
#include "ax/prove.h"

struct tree_box; /* one box of the search */

struct tree_boxes {
    struct tree_box *box;
    uint64_t n;
};

/* The trees of a property's groups. net and prop are set by who has it;
 * tree_free frees the rest. */
struct trees {
    const struct ax_net *net;
    const struct ax_prop *prop;
    struct tree_boxes *groups; /* [n_groups] */
    unsigned char **tables;    /* [n_tables] slopes of neurons */
    uint32_t n_tables;
    uint64_t bounded; /* boxes of which all neurons are bounded */
    uint64_t leaves;
};

ax_status tree_init(struct trees *t, const struct ax_net *net,
                    const struct ax_prop *prop, struct ax_err *err)
    AX_MUST_CHECK;

/* The step of an ax_sink, self being the trees. */
ax_status tree_keep(void *self, const struct ax_step *s, struct ax_err *err)
    AX_MUST_CHECK;

/* Write the definition of tree_G for each group, and those that it uses. */
ax_status tree_put(FILE *f, const struct trees *t, struct ax_err *err)
    AX_MUST_CHECK;

void tree_free(struct trees *t);

#endif
