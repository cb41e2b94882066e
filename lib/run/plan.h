/* lib/run/plan.h - inside a plan. Private to lib/run. */
#ifndef RUN_PLAN_H
#define RUN_PLAN_H

#include "ax/backend.h"
#include "ax/run.h"

/* -- memory -------------------------------------------------------------- */

/* Shared by the tensors that are views of it. */
struct buf {
    void *data;
    size_t size;
    uint32_t refs;
    struct buf *next; /* in the pool's list of free ones */
};

/* Buffers are kept for the next tensor of about their size, so that a second
 * run of a plan allocates next to nothing. */
struct pool {
    size_t limit;
    size_t live;     /* bytes in use */
    size_t cached;   /* bytes in the free list */
    uint32_t n_free; /* buffers in it */
    struct buf *free;
};

ax_status pool_get(struct buf **out, struct pool *p, size_t n,
                   struct ax_err *err) AX_MUST_CHECK;
void pool_put(struct pool *p, struct buf *b); /* drops one reference */
/* Take the memory out of the pool; b->refs is 1. Free it with free(). */
void *pool_give(struct pool *p, struct buf *b);
void pool_clear(struct pool *p);

/* -- plan ---------------------------------------------------------------- */

#define STEP_NONE UINT32_MAX /* never */
#define N_ENGINES 2          /* the backend asked for, then the reference */

/* The value of a run. */
struct slot {
    struct ax_tensor t;
    struct buf *buf;  /* NULL: borrowed, from the caller or the model */
    uint32_t last;    /* the step after which nobody needs it; STEP_NONE: it
                         is an output, or a constant */
    uint32_t made;    /* by which step; STEP_NONE: by none here */
    uint32_t readers; /* nodes, and graphs inside this one */
    bool constant;
};

struct engine {
    const struct ax_kernel *kernel; /* NULL: none */
    void *state;
};

/* One node, planned. */
struct step {
    const struct ax_node *node; /* of the graph, or fused */
    struct ax_node *fused;      /* one made of several, or NULL */
    const char *kernel;         /* what it is called; NULL: as its operator */
    bool absent;                /* a fused one does its work */
    bool once;                  /* it depends on constants alone: the first
                                   run does it */
    bool made;                  /* and has */
    struct engine engine[N_ENGINES];
    const struct ax_tensor **in; /* into the slots */
    struct ax_tensor **out;      /* into the slots, or into unwanted */
    struct ax_tensor *unwanted;  /* [n_out] */
    struct buf **unwanted_buf;
    uint32_t n_dies;
    uint32_t *dies; /* slots to empty after it */
    uint64_t constant;
    uint32_t then; /* the step that alone reads output 0, and nothing else;
                      STEP_NONE: there is none */
    bool done;     /* by the step before it, in this run */
    struct scope *body; /* list of the node's sub-graphs */
};

/* A value of a sub-graph that is a value of a graph around it. */
struct capture {
    uint32_t inner, outer;
    struct scope *scope; /* of outer */
};

/* One graph, planned. */
struct scope {
    const struct ax_graph *g;
    struct scope *parent; /* NULL: the model's graph */
    uint32_t parent_step;
    struct scope *next; /* among the sub-graphs of one node */
    struct slot *slots; /* [g->n_values] */
    struct step *steps; /* [g->n_nodes] */
    uint32_t n_captures;
    struct capture *captures;
};

struct ax_plan {
    const struct ax_model *m;
    const struct ax_backend *backend[N_ENGINES]; /* [1] NULL if [0] is it */
    void *backend_state[N_ENGINES];
    struct pool pool;
    struct scope *top;
};

/* Before the steps are planned: let nodes be found where bytes are scaled to
 * float32, computed with, and scaled back (quantised.c). */
ax_status plan_quantised(struct scope *s, struct ax_err *err) AX_MUST_CHECK;

/* Run a graph whose inputs are borrowed; out are new tensors. */
ax_status scope_run(struct ax_plan *p, struct scope *s, struct ax_tensor *out,
                    const struct ax_tensor *in, struct ax_err *err)
    AX_MUST_CHECK;

#endif
