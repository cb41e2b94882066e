/* The names of the operators, out of ax/op.def, whose rows are sorted. */
#include <stdlib.h>
#include <string.h>

#include "graph/graph.h"

const struct ax_op_row ax_op_table[AX_OP_COUNT] = {
    [AX_OP_NONE] = {"", 0, 0, 0, 0},
#define AX_OP_ROW(id, name, min_in, max_in, min_out, max_out) \
    [AX_OP_##id] = {name, min_in, max_in, min_out, max_out},
#include "ax/op.def"
#undef AX_OP_ROW
};

const char *ax_op_name(ax_op op)
{
    return op > AX_OP_NONE && op < AX_OP_COUNT ? ax_op_table[op].name : "?";
}

static int compare(const void *key, const void *row)
{
    return strcmp(key, ((const struct ax_op_row *)row)->name);
}

ax_op ax_op_by_name(const char *name)
{
    const struct ax_op_row *row = bsearch(
        name, ax_op_table + 1, AX_OP_COUNT - 1, sizeof *row, compare);

    return row ? (ax_op)(row - ax_op_table) : AX_OP_NONE;
}
