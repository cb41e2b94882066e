/* solver/search.h - branch and bound over input boxes. */
#ifndef SOLVER_SEARCH_H
#define SOLVER_SEARCH_H

#include <stdatomic.h>

#include "ax/prove.h"
#include "bound.h"

#define SEARCH_BATCH 256

/* What the two halves of a box inherit; shared between them. */
struct frame {
    atomic_uint refs;
    uint32_t n_left; /* conjunctions that are not refuted */
    uint32_t *left;
    struct bstate state;
};

struct frame *frame_new(const struct bnet *net, uint32_t n_conj);
size_t frame_bytes(const struct bnet *net, uint32_t n_conj);

enum outcome { CLOSED, SPLIT, STUCK, LATE, OUT_OF_RANGE, OUT_OF_MEMORY };

/* One open box, and then what came of it. */
struct item {
    uint32_t group, depth;
    uint64_t id, child;
    struct frame *from, *to;
    enum outcome outcome;
    uint32_t dim;
    int64_t value;
    double bound; /* least margin of the conjunctions */
    uint32_t n_refuted;
    uint32_t *refuted; /* [2 n_conj] */
    int64_t *box;      /* [n_x] lower, [n_x] upper; clipped when split */
};

struct search;

/* One thread's tools. */
struct searcher {
    struct search *search;
    struct bwork *work;
    struct brow *rows; /* those of the conjunctions that are left */
    int64_t *e;        /* [rows, n_x] */
    int64_t *clip;     /* [2 n_x] a clipped box, [2 n_x] their hull */
};

enum search_stop {
    SEARCH_ON, /* every box is closed, or max_boxes not reached */
    SEARCH_FOUND,
    SEARCH_TIME,
    SEARCH_MEMORY,
    SEARCH_BOXES,
    SEARCH_STUCK, /* only boxes that cannot be split are open */
    SEARCH_RANGE, /* ... or that left the range of ax-cert(5) */
};

struct search {
    const struct bnet *net;
    const struct ax_prop *prop;
    int threads;
    double began, deadline; /* CLOCK_MONOTONIC seconds; deadline 0: none */
    size_t bytes;
    size_t frame_bytes;
    uint64_t max_boxes, boxes_before; /* in all, those of an earlier search */
    const struct ax_certifier *resume; /* or NULL */
    size_t root_bytes; /* as bytes, but what roots depend on */
    bool no_clip;      /* boxes are not clipped, and clipping closes none */
    const struct ax_sink *sinks;
    /* Shown a point [n_x] of every subproblem that is split, in order, where
     * a conjunction may be true; may be NULL. */
    void (*suspect)(struct search *se, uint32_t group, uint32_t conj,
                    const float *x);
    /* Called between rounds; true ends the search as found. May be NULL. */
    bool (*pause)(struct search *se);
    void *self; /* for suspect and pause */
    void (*progress)(void *self, const struct ax_prove_stats *s);
    void *progress_self;

    float *middle; /* of a box */
    uint32_t next_group;
    uint64_t *next_id; /* [n_groups] */
    uint64_t stuck, out_of_range;
    double next_report;
    struct ax_prove_stats stats;
    enum search_stop stop;
};

ax_status search_run(struct search *se, struct ax_err *err) AX_MUST_CHECK;

/* For searches of other kinds: call the progress function if it is time, and
 * say how the search ended, `open` subproblems being left. */
void search_report(struct search *se, size_t open);
void search_end(struct search *se, size_t open);

#endif
