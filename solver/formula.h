/* A property between its text and its normal form: the assertions as a tree
 * whose leaves are rows. vnnlib.c makes it, dnf.c multiplies it out. */
#ifndef SOLVER_FORMULA_H
#define SOLVER_FORMULA_H

#include "ax/arena.h"
#include "ax/prop.h"

#define PROP_MAX_CONJS ((uint64_t)1 << 20)
#define PROP_MAX_ROWS  ((uint64_t)1 << 26)

enum formula_kind { FORMULA_AND, FORMULA_OR, FORMULA_CMP };

/* There may be as many as the file has comparisons, so they are small. */
struct formula {
    struct formula *next;       /* the parent's next operand */
    const struct formula *then; /* dnf.c: what to take after this one */
    union {
        struct formula *kids;  /* of AND and OR */
        struct ax_row *row[2]; /* of CMP, those with variables */
    };
    uint32_t n_conjs, n_rows; /* of its disjunctive normal form */
    uint8_t kind;             /* enum formula_kind */
    bool empty;               /* a comparison that is never true */
    bool never; /* one that is not true as written, but true with <= */
};

/* The operand list of an AND or OR is complete: count. False if there are
 * more conjunctions or rows than a property may have. */
bool formula_count(struct formula *f);

/* Fill p->groups from f, which has been counted. */
ax_status prop_multiply_out(struct ax_prop *p, struct formula *f,
                            struct ax_err *err) AX_MUST_CHECK;

#endif
