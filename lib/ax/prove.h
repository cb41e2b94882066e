/* ax/prove.h - decide a property of a network.
 *
 * The property is ax-cert(5)'s: the unsafe set; it holds if the network
 * cannot reach it from any point of the real input boxes. A search emits its
 * steps to sinks (certificate, trace, progress) and knows no file format.
 * Verdict and steps do not depend on the number of threads. */
#ifndef AX_PROVE_H
#define AX_PROVE_H

#include <stdio.h>

#include "ax/net.h"
#include "ax/prop.h"

AX_BEGIN_API

typedef enum ax_verdict { AX_UNKNOWN, AX_HOLDS, AX_VIOLATED } ax_verdict;

/* "holds", "violated", "unknown" */
const char *ax_verdict_name(ax_verdict v);

/* A table of slopes that holds from a box on: a byte for each neuron that is
 * unstable before the target, ax-cert(5), section CERTIFICATE. */
struct ax_slopes {
    uint32_t target;
    uint32_t n;
    const unsigned char *slope; /* [n] */
    const unsigned char *all;   /* [neurons before the target] the same, 255
                                   for those that are stable */
};

enum ax_step_kind {
    AX_STEP_LEAF,   /* all conjunctions that were left are refuted */
    AX_STEP_SPLIT,  /* at input dim */
    AX_STEP_NEURON, /* at neuron dim */
    AX_STEP_FORK,   /* after the first dim conjunctions that are left */
};

/* One subproblem that was bounded: a box, and what came of it. Boxes are
 * numbered in the order of their making; children after their parent. */
struct ax_step {
    enum ax_step_kind kind;
    uint32_t group;
    uint64_t id;    /* of this box, unique in its group; 0 is the root */
    uint64_t child; /* if not a leaf: the lower half, the active neuron, the
                       first part; child + 1: the other one */
    uint32_t depth;
    uint32_t dim;
    int64_t value; /* of a split: where, at scale p */
    int p;
    const int64_t *lo, *hi; /* [n_x]; of a split: after clipping */
    double bound;           /* least lower bound of row - D, best row */
    uint32_t n_left;        /* conjunctions that were left in this box */
    const uint32_t *left;   /* [n_left] their numbers */
    uint32_t n_refuted;
    const uint32_t *refuted; /* [2 n_refuted]: position in left, and row */
    uint32_t n_slopes;
    const struct ax_slopes *slopes;
    uint32_t n_mults;           /* neurons that were split above; or 0 */
    const unsigned char *mults; /* [n_refuted, 2 n_mults] of a leaf */
};

struct ax_sink {
    /* Called by one thread at a time; steps come after their parents. */
    ax_status (*step)(void *self, const struct ax_step *s,
                      struct ax_err *err);
    void *self;
};

struct ax_prove_stats {
    double seconds; /* since the beginning */
    uint64_t boxes; /* bounded so far */
    uint64_t leaves;
    uint64_t open;
    uint32_t depth;   /* deepest so far */
    double done;      /* share of the volume that is proved, 0..1 */
    double bound;     /* least lower bound of the last boxes, of
                         row - D; the box is refuted above 0 */
    uint64_t attacks; /* points tried */
    double attack_seconds;
};

/* What a search splits; AUTO: as the network's shape suggests. */
enum ax_strategy { AX_STRATEGY_AUTO, AX_STRATEGY_INPUT, AX_STRATEGY_NEURON };

/* The network as it is computed in binary32: y [n_y] at x [n_x]. AX_NO: there
 * is a value that is not finite. */
struct ax_execution {
    ax_status (*run)(void *self, const float *x, float *y,
                     struct ax_err *err);
    void *self;
};

struct ax_certifier;

struct ax_prove_options {
    enum ax_semantics semantics; /* 0: the reals */
    enum ax_strategy strategy;
    int threads;        /* 0: 1 */
    double seconds;     /* 0: no limit */
    size_t bytes;       /* 0: 4 GiB */
    uint64_t max_boxes; /* 0: no limit */
    uint64_t seed;      /* of the attack */
    /* Under ieee32 a counterexample is one of this execution; over the reals
     * it tells whether it is one here, too. NULL: there is none, and under
     * ieee32 no attack. */
    const struct ax_execution *execution;
    bool no_attack;
    bool no_clip; /* never clip a box; not with a certifier: who reads a
                     certificate clips where a box is split */
    const struct ax_sink *sinks; /* ended by one without step; may be NULL */
    /* Go on with what ax_certifier_restore has put into it, which is one of
     * the sinks; NULL: from the beginning. */
    const struct ax_certifier *resume;
    void (*progress)(void *self, const struct ax_prove_stats *s); /* or NULL,
                           about ten times a second */
    void *progress_self;
};

struct ax_prove_result {
    ax_verdict verdict;
    char reason[256]; /* AX_UNKNOWN: why, one line */
    const char
        *engine;   /* what decided it: "attack", "input", "neuron", "empty" */
    char why[512]; /* what was chosen, and why: lines without an end */
    struct ax_prove_stats stats;
    float *x; /* AX_VIOLATED: the input, exact; the caller frees */
    uint32_t group, conj;
    bool in_reals, in_floats; /* is x one there */
};

/* Cost: of the search, exponential in the worst case; memory and time are
 * kept below the limits, within the time of bounding one layer of one box.
 * AX_ENOMEM, AX_EBUG, or what a sink said. Limits are not errors: they give
 * AX_UNKNOWN. */
ax_status ax_prove(struct ax_prove_result *out, const struct ax_net *net,
                   const struct ax_prop *prop,
                   const struct ax_prove_options *opt, struct ax_err *err)
    AX_MUST_CHECK;

/* The sink that makes the certificate of ax-cert(5), under the semantics
 * that the search has. */
ax_status ax_certifier_new(struct ax_certifier **out,
                           const struct ax_prop *prop,
                           enum ax_semantics semantics, struct ax_err *err)
    AX_MUST_CHECK;
void ax_certifier_free(struct ax_certifier *c);
struct ax_sink ax_certifier_sink(struct ax_certifier *c);
/* The payload, once the search has said AX_HOLDS; *out is the caller's. */
ax_status ax_certifier_write(unsigned char **out, size_t *n,
                             struct ax_certifier *c,
                             const unsigned char identity[32],
                             struct ax_err *err) AX_MUST_CHECK;

/* A search that reached a limit can go on in another process: its certifier
 * is written to a file, and read into one that is new, of the same property.
 * Nothing that was read is believed by the search or counts as proved: who
 * says `holds` afterwards has had the certificate checked by ax-check. */
struct ax_saved_search {
    enum ax_strategy strategy; /* not AUTO */
    size_t bytes;              /* the options' */
    struct ax_prove_stats stats;
};
/* AX_EIO. */
ax_status ax_certifier_save(const struct ax_certifier *c, FILE *f,
                            const struct ax_saved_search *s,
                            const unsigned char identity[32],
                            struct ax_err *err) AX_MUST_CHECK;
/* AX_EFORMAT: damaged, or of another model, property or semantics. */
ax_status ax_certifier_restore(struct ax_certifier *c,
                               struct ax_saved_search *s,
                               const unsigned char *data, size_t n,
                               const unsigned char identity[32],
                               struct ax_err *err) AX_MUST_CHECK;

/* What was read of a box: nothing, so that it is open; it is split, and
 * something below it is open; or nothing is left to do. */
enum ax_saved { AX_SAVED_OPEN, AX_SAVED_SPLIT, AX_SAVED_CLOSED };
/* *child and *dim, both or none NULL, as in struct ax_step, if it is split. c
 * may be NULL. */
enum ax_saved ax_certifier_saved(const struct ax_certifier *c, uint32_t group,
                                 uint64_t id, uint64_t *child, uint32_t *dim);
/* How many numbers of boxes are taken, at least 1. */
uint64_t ax_certifier_boxes(const struct ax_certifier *c, uint32_t group);
/* How many are open. */
uint64_t ax_certifier_open(const struct ax_certifier *c);
const struct ax_saved_search *
ax_certifier_search(const struct ax_certifier *c);

/* The payload of a counterexample, ax-cert(5). *out is the caller's. */
ax_status ax_counterexample_write(unsigned char **out, size_t *n,
                                  const float *x, uint32_t n_x,
                                  enum ax_semantics semantics,
                                  const unsigned char identity[32],
                                  const unsigned char digest[32],
                                  struct ax_err *err) AX_MUST_CHECK;

AX_END_API

#endif
