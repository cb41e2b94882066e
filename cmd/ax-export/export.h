/* What the files of ax-export share. */
#ifndef AX_EXPORT_EXPORT_H
#define AX_EXPORT_EXPORT_H

#include <stdio.h>

#include "ax/model.h"
#include "ax/prop.h"

/* What was written, for the manifest. */
struct export_claim {
    bool violated;                          /* the claim is that it is */
    unsigned char identity[32], digest[32]; /* of model and property */
};

/* Write the property (n bytes of VNN-LIB, hostile) of the model as a theorem
 * of Coq, with the tree of a search made for it. budget: the seconds that the
 * search may take, and that coqc is estimated to take; 0: no limit.
 * AX_NO: it is violated, and the theorem is that there is a counterexample.
 * AX_UNDECIDED: over the budget, or no proof was found. AX_EUNSUPPORTED: not
 * of the class that solver/coq covers. */
ax_status export_coq(FILE *f, struct export_claim *claim, struct ax_model *m,
                     const char *text, size_t n, double budget,
                     struct ax_err *err) AX_MUST_CHECK;

/* Write it as a question to an SMT solver, in SMT-LIB 2.6: unsat means that
 * it holds. budget: the seconds that a solver is estimated to take; 0: no
 * limit. AX_UNDECIDED: over the budget. AX_EUNSUPPORTED: there is no theory
 * for a node. */
ax_status export_smtlib(FILE *f, struct export_claim *claim,
                        struct ax_model *m, const char *text, size_t n,
                        double budget, struct ax_err *err) AX_MUST_CHECK;

/* record.c: an obligation in the manifest that lies beside its file; there
 * is none for what is no file. */
/* AX_EUSAGE: it cannot be called that. */
ax_status record_possible(const char *assistant, const char *path,
                          struct ax_err *err) AX_MUST_CHECK;
ax_status record(const char *assistant, const char *path,
                 const struct export_claim *claim, struct ax_err *err)
    AX_MUST_CHECK;

/* number.c: the digits of |v|. */
void put_magnitude(FILE *f, ax_i128 v);

#endif
