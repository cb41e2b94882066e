/* solver/sub.h - subproblems of the search over neurons, and what a thread
 * does with a pack of them. */
#ifndef SOLVER_SUB_H
#define SOLVER_SUB_H

#include "ascend.h"
#include "root.h"

enum sub_outcome {
    SUB_CLOSED,
    SUB_SPLIT,
    SUB_STUCK,
    SUB_LATE,
    SUB_NO_MEMORY
};

/* A subproblem: a conjunction's row, and neurons whose sign is assumed. */
struct sub {
    uint64_t id, child;
    uint32_t conj, row; /* the row of the conjunction that is to refute it */
    uint32_t n_signs;
    uint32_t *signs; /* [n_signs] 2 neuron + active */
    float *alpha;    /* [n_loose] where its parent ended */
    float *beta;     /* [n_signs] */
    /* What came of it: */
    enum sub_outcome outcome;
    double bound;
    uint32_t neuron; /* SUB_SPLIT */
    float start[2];  /* multipliers of its halves to begin with: off, on */
    unsigned char *codes; /* [2 n_signs] SUB_CLOSED */
    unsigned char *table; /* its own slopes, or NULL: the inherited */
    uint32_t n_table;
    float *x; /* [n_x] the minimiser of its bound, if it is not closed */
};

struct worker {
    struct bwork *work;
    struct dual *dual;
    struct ascent ascent;
    struct bstate state;
    struct bmult *mults;
    int64_t *e;   /* [n_x] */
    uint8_t *own; /* [neurons] a table */
};

struct bnb {
    struct search *se;
    const struct lane_net *lane;
    struct root root;
    struct worker *workers;
    int n_workers;
    struct crew *crew;
    struct sub **batch;
    size_t n_batch, pack; /* subproblems in a pack */
    struct sub **open;
    size_t n_open, cap;
    uint64_t next_id;
};

#define TABLE_ONE 128 /* a slope of 1 in a table */

/* NULL: no memory. sub_free(NULL) is harmless. */
struct sub *sub_new(const struct bnb *b, uint32_t n_signs);
void sub_free(struct sub *s);

/* Of its row, among those of all conjunctions of the group. */
uint32_t sub_number(const struct bnb *b, const struct sub *s);

/* The subproblems of one pack; returns how many. */
size_t sub_pack(const struct bnb *b, size_t part, struct sub ***subs);

/* Set all lanes to n subproblems, lanes beyond them to the first, and make
 * their bounds better; lane, best [POINTS]. False: the time is up. */
bool sub_climb(const struct bnb *b, struct worker *w, struct sub *const *subs,
               size_t n, struct sub **lane, float *best);

/* The subproblem keeps where lane p ended, for itself and its halves. */
void sub_take(const struct bnb *b, const struct worker *w, struct sub *s,
              int p);

/* Bound the subproblems of a pack, self a bnb, and close them or find out
 * what to split: each says in its outcome. */
void sub_work(void *self, int worker, size_t part);

ax_status worker_start(const struct bnb *b, struct worker *w,
                       struct ax_err *err) AX_MUST_CHECK;
void worker_end(struct worker *w);

#endif
