/* solver/work.h - a thread's work space for bounds; private to bound.c,
 * descend.c and work.c. Names are those of ax-cert(5), section ARITHMETIC. */
#ifndef SOLVER_WORK_H
#define SOLVER_WORK_H

#include "bound.h"
#include "curve.h"

#define ROWS_MAX 192 /* that go through together, at most */

/* What the rows at hand have contributed to one node so far. */
struct contribution {
    bool is;
    bool narrow;         /* no number has more than 26 bits */
    int64_t *own;        /* [max_rows, n8] */
    int64_t *e;          /* own, or, if narrow, that of a later node */
    int *q;              /* [max_rows] scales */
    int *joined;         /* [max_rows] shifts */
    bool counted;        /* abs is known */
    int64_t *abs;        /* [max_rows] A, sums of |e| */
    const uint32_t *idx; /* where e may be other than 0 */
    size_t n_idx;
};

struct bwork {
    const struct bnet *net;
    struct relax *relax;     /* [n_nodes], of nodes of neurons; l, u and t
                                also of curved ones */
    struct curve *curve;     /* [n_nodes], of curved nodes */
    size_t max_rows;         /* rows that go through together */
    struct contribution *at; /* [n_nodes] */
    int64_t *add;            /* [max_rows, widest8] a second contribution */
    int64_t *nu;             /* [max_rows, widest8] */
    int64_t *tmp;            /* kernel_sparse */
    uint32_t *all;           /* 0, 1, 2, ... */
    ax_i128 *c;              /* [max_rows] */
    uint32_t *rows;          /* unstable neurons of one node */
    uint32_t *starts;        /* the variables that they rectify */
    ax_i128 *lower, *upper;  /* their bounds */
    uint64_t *sum_m;         /* [n_nodes] */
    int64_t **m;             /* [n_nodes] M, of the root alone, but under
                                ieee32 of the box; or NULL */
    int64_t **own_d;         /* [n_nodes] room for D, or NULL */
    const int64_t **d;       /* [n_nodes] D, or NULL */
    int *d_scale;            /* [n_nodes] */
    bool *few;               /* [n_nodes] every M is below 2^26 */
    bool bad;                /* a value left its range, or it is late */
    bool late;
    double deadline;
    void *memory; /* zero, and not touched before it is used */
    char *room;   /* in it: all arrays, one after the other */
    size_t taken;
};

/* What the rows at hand are: tables and multipliers. */
struct batch {
    size_t n;
    const uint8_t *const *tables; /* [n], of the rows; or NULL */
    const struct brow *rows;      /* [n], or NULL */
};

/* descend.c. No contributions yet but zeros for n rows at node k, which are
 * filled in then. */
void work_start(struct bwork *w, uint32_t k, size_t n);
/* From node k, where the rows are, down to the input: w->c. */
void work_descend(struct bwork *w, const struct bbox *box, uint32_t k,
                  const struct batch *b);

#define ERROR_SCALE 40 /* of D, at first */
#define ERROR_BITS  30

#define C_LIMIT ((ax_i128)1 << 120)
#define M_LIMIT ((uint64_t)1 << 62)

/* Add m to a sum SM. */
static inline void add_m(struct bwork *w, uint64_t *sum, uint64_t m)
{
    if (m >= M_LIMIT || (*sum += m) >= M_LIMIT) {
        *sum = 0;
        w->bad = true;
    }
}

/* C += floor(v 2^(64-q)); sets w->bad when that leaves the range. */
static inline void add64(struct bwork *w, ax_i128 *c, ax_i128 v, int q)
{
    int sh = q - 64;

    if (sh >= 0) {
        v = v >> (sh < 127 ? sh : 127);
    } else {
        ax_i128 most = sh > -120 ? C_LIMIT >> -sh : 0;

        if (v > most || v < -most) {
            w->bad = true;
            return;
        }
        v = (ax_i128)((unsigned __int128)v << (sh > -120 ? -sh : 0));
    }
    if (v >= C_LIMIT || v <= -C_LIMIT || __builtin_add_overflow(*c, v, c))
        w->bad = true;
}

#endif
