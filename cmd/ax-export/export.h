/* What the files of ax-export share. */
#ifndef AX_EXPORT_EXPORT_H
#define AX_EXPORT_EXPORT_H

#include <stdio.h>

#include "ax/net.h"
#include "ax/prop.h"
#include "ax/prove.h"

/* What was written, for the manifest. */
struct export_claim {
    enum ax_strategy strategy;              /* asked for; coq alone */
    bool violated;                          /* the claim is that it is */
    unsigned char identity[32], digest[32]; /* of model and property */
};

/* What is written: a property of a network. */
struct export_question {
    const struct ax_net *net;
    const struct ax_prop *prop;
    const char *text, *end; /* the property's VNN-LIB */
    double budget;          /* in seconds; 0: no limit */
};

/* Write it as a theorem of Coq, with the tree of a search made for it. The
 * budget is of the seconds that the search may take, and that coqc is
 * estimated to take.
 * AX_NO: it is violated, and the theorem is that there is a counterexample.
 * AX_UNDECIDED: over the budget, or no proof was found. AX_EUNSUPPORTED: not
 * of the class that solver/coq covers. */
ax_status export_coq(FILE *f, struct export_claim *claim,
                     const struct export_question *q, struct ax_err *err)
    AX_MUST_CHECK;

/* Write it as a question to an SMT solver, in SMT-LIB 2.6: unsat means that
 * it holds. The budget is of the seconds that a solver is estimated to take.
 * AX_UNDECIDED: over the budget. AX_EUNSUPPORTED: there is no theory for a
 * node. */
ax_status export_smtlib(FILE *f, struct export_claim *claim,
                        const struct export_question *q, struct ax_err *err)
    AX_MUST_CHECK;

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
