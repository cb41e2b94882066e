/* lib/graph/graph.h - the operator table, for the files of this folder. */
#ifndef GRAPH_GRAPH_H
#define GRAPH_GRAPH_H

#include "ax/graph.h"

#define AX_ARITY_ANY 255 /* in max_in and max_out: no limit */

struct ax_op_row {
    const char *name;
    unsigned char min_in, max_in, min_out, max_out;
};

extern const struct ax_op_row ax_op_table[AX_OP_COUNT];

#endif
