/* solver/neuron.h - branch and bound over the signs of neurons. */
#ifndef SOLVER_NEURON_H
#define SOLVER_NEURON_H

#include "lanes.h"
#include "search.h"

/* The search of every group's root box, as search_run, with splits of
 * neurons in place of inputs: for networks with many inputs. */
ax_status neuron_run(struct search *se, const struct lane_net *lane,
                     struct ax_err *err) AX_MUST_CHECK;

#endif
