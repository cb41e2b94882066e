/* solver/certifier.h - the proof trees of a search, as they grow. */
#ifndef SOLVER_CERTIFIER_H
#define SOLVER_CERTIFIER_H

#include "ax/prove.h"

struct bytes {
    unsigned char *p;
    size_t n, cap;
};

ax_status bytes_put(struct bytes *b, const void *p, size_t n,
                    struct ax_err *err) AX_MUST_CHECK;
ax_status bytes_varint(struct bytes *b, uint64_t v, struct ax_err *err)
    AX_MUST_CHECK;

#define PROOF_NONE UINT64_MAX

struct box {
    uint64_t child;  /* 0: leaf */
    uint64_t record; /* where its record begins; PROOF_NONE: it is open */
    uint32_t dim;    /* what is split */
};

/* The proof tree of one group, by box number. */
struct proof {
    uint64_t n, cap;
    struct box *box;
    struct bytes rec;     /* records, one after the other in order of arrival;
                             each led by its length in four bytes */
    uint64_t n_saved;     /* of an earlier search: */
    unsigned char *saved; /* [n_saved] enum ax_saved */
};

/* Room for n boxes. */
ax_status proof_reserve(struct proof *t, uint64_t n, struct ax_err *err)
    AX_MUST_CHECK;
/* The record of a box that has one. */
const unsigned char *proof_record(const struct proof *t, uint64_t id,
                                  size_t *n);
/* A record of n bytes at p, of a leaf if child is 0. */
ax_status proof_put(struct proof *t, uint64_t id, uint64_t child,
                    uint32_t dim, const void *p, size_t n, struct ax_err *err)
    AX_MUST_CHECK;

struct ax_certifier {
    const struct ax_prop *prop;
    enum ax_semantics semantics;
    struct proof *trees;           /* [n_groups] */
    struct bytes one;              /* the record at hand */
    struct ax_saved_search before; /* of what was restored */
};

#endif
