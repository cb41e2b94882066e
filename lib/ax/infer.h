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

/* The same for a graph that is still built, node by node, so that what makes
 * a node can ask for the shapes that it works on.
 *
 * Made for a model whose graph has all its inputs, and no nodes: *out is new;
 * free it with ax_growth_free, also after failure, before the model. Values
 * and nodes may be added to the graph, and none changed or removed.
 * AX_ENOMEM. */
struct ax_growth;
ax_status ax_growth_new(struct ax_growth **out, struct ax_model *m,
                        struct ax_err *err) AX_MUST_CHECK;
void ax_growth_free(struct ax_growth *w); /* NULL is harmless */
/* Infer what the nodes make that were added since the last call; fails as
 * ax_model_infer.
 * Cost  linear in what was added. */
ax_status ax_growth_infer(struct ax_growth *w, struct ax_err *err)
    AX_MUST_CHECK;
/* Dimension I of a value, from 0, is k N^power with N the one free dimension
 * of the inputs; power is below 0 if it is not known. */
void ax_growth_dim(const struct ax_growth *w, uint32_t v, int i, int64_t *k,
                   int *power);

AX_END_API

#endif
