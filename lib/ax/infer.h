/* ax/infer.h - types and shapes of a graph's values, and what follows from
 * them: constants that a graph computes from shapes alone. */
#ifndef AX_INFER_H
#define AX_INFER_H

#include "ax/model.h"

AX_BEGIN_API

/* Fill in type and shape of every value that a node makes.
 *
 * The graph has passed ax_graph_check. Free dimensions stay free; a graph
 * whose inputs have only one (by its name, or because there is one) knows
 * which dimensions are equal to it, and they get its name. What was said of
 * a value before (by a file) is kept where nothing follows, replaced where
 * it is less exact, and refused where it is wrong.
 *
 * Errors  AX_ESHAPE  shapes, types or attributes of a node do not agree,
 *         naming the node; AX_EUNSUPPORTED more than AX_RANK_MAX dimensions;
 *         AX_ENOMEM.
 * Cost    linear in the size of the graph; tensors of more than 1024
 *         elements are not looked into. */
ax_status ax_model_infer(struct ax_model *m, struct ax_err *err)
    AX_MUST_CHECK;

/* Replace by a constant every integer value that the graph computes from
 * shapes and constants, and that does not depend on a free dimension; drop
 * the nodes that are not needed after that. Outputs of the graph stay.
 * Includes ax_model_infer, and fails as it does. */
ax_status ax_model_fold(struct ax_model *m, struct ax_err *err) AX_MUST_CHECK;

AX_END_API

#endif
