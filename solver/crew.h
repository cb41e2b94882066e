/* solver/crew.h - threads that work through a list side by side. Which of
 * them takes which part is left to chance, so a part must not depend on it.
 */
#ifndef SOLVER_CREW_H
#define SOLVER_CREW_H

#include <stddef.h>

#include "ax/err.h"

struct crew;

/* n workers, 0 being the caller; fewer where threads cannot be had.
 * AX_ENOMEM. */
ax_status crew_new(struct crew **out, int n, struct ax_err *err)
    AX_MUST_CHECK;
void crew_free(struct crew *c);

/* Call work with the number of a worker and of a part, for parts 0 to n - 1,
 * all done when it returns. Fewer than `alone` parts are the caller's. */
typedef void crew_work(void *self, int worker, size_t part);
void crew_run(struct crew *c, crew_work *work, void *self, size_t n,
              size_t alone);

#endif
