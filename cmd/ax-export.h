/* What the parts of ax-export share. */
#ifndef AX_EXPORT_H
#define AX_EXPORT_H

#include <stdio.h>

#include "ax/model.h"

/* Write the property (n bytes of VNN-LIB, hostile) of the model as a theorem
 * of Coq, with the tree of a search made for it. budget: the seconds that the
 * search may take, and that coqc is estimated to take; 0: no limit.
 * AX_NO: it is violated. AX_UNDECIDED: over the budget, or no proof was
 * found. AX_EUNSUPPORTED: not of the class that solver/coq covers. */
ax_status export_coq(FILE *f, struct ax_model *m, const char *text, size_t n,
                     double budget, struct ax_err *err) AX_MUST_CHECK;

#endif
