/* lib/graph/graph.h - what the files of this folder share. */
#ifndef GRAPH_GRAPH_H
#define GRAPH_GRAPH_H

#include "ax/graph.h"

#define AX_ARITY_ANY 255 /* in max_in and max_out: no limit */

struct ax_op_row {
    const char *name;
    unsigned char min_in, max_in, min_out, max_out;
};

extern const struct ax_op_row ax_op_table[AX_OP_COUNT];

/* Free all that an attribute owns, not the attribute itself. */
void ax_attr_clear(struct ax_attr *a);

/* Free all that a node owns, not the node itself. */
void ax_node_clear(struct ax_node *n);

#endif
