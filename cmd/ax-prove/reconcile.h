/* What the files of ax-prove reconcile share. */
#ifndef AX_PROVE_RECONCILE_H
#define AX_PROVE_RECONCILE_H

#include <limits.h>

#include "common/manifest.h"
#include "common/program.h"
#include "prove.h"

#define WORDS 256 /* of a reason, with its end */

enum run_status { RUN_PROVED, RUN_FAILED, RUN_NOT };

/* What came of one assistant's run on one obligation. */
struct assistant_run {
    const char *assistant;
    char version[WORDS]; /* what it says of itself, or "" */
    enum run_status status;
    char reason[WORDS]; /* "" if it proved it */
};

/* One obligation: its file as it was read, once, for all that follows. */
struct obligation {
    const char *file, *assistant, *claim;
    const char *text; /* ended by a NUL that does not count */
    size_t n;
};

/* Where assistants work: a folder with lib, theorem and question in it. */
struct lab {
    char scratch[PATH_MAX];
    double seconds; /* for a run */
    size_t bytes;
    bool compiled; /* the library was tried */
    struct assistant_run library;
};

/* lex.c: does a file say nothing but what ax-export writes? If not, why. */
bool lex_coq(const char *text, size_t n, char why[WORDS]);
bool lex_smtlib(const char *text, size_t n, char why[WORDS]);

/* assistant.c */
/* The runs of the obligation's assistants, *n of them, at most 2. */
ax_status assistants(struct lab *lab, const struct obligation *o,
                     struct assistant_run runs[2], size_t *n,
                     struct ax_err *err) AX_MUST_CHECK;

/* reconcile.c: all obligations of a folder. AX_NO: one failed; AX_UNDECIDED:
 * one was not run. */
ax_status reconcile(const char *folder, const struct args *a,
                    const struct cmd *cmd, struct ax_err *err) AX_MUST_CHECK;

#endif
