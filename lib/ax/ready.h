/* ax/ready.h - ready-made properties: sets of inputs, and the VNN-LIB text
 * of what is to hold on them. A certificate is bound to that text, so that
 * whoever has it needs nothing of this. All numbers are exact decimals. */
#ifndef AX_READY_H
#define AX_READY_H

#include "ax/net.h"

AX_BEGIN_API

/* A box of inputs. */
struct ax_set;

/* A ball about an input, in the maximum norm. */
struct ax_ball {
    const char *radius;    /* from 0 on */
    const char *min, *max; /* no element goes beyond these; or NULL */
};

/* What is within the ball about x [n]. *out is new.
 * AX_EUSAGE: a number is none, or x is out of reach of min and max;
 * AX_EFORMAT: x is not finite; AX_ENOMEM. */
ax_status ax_set_ball(struct ax_set **out, const double *x, uint32_t n,
                      const struct ax_ball *ball, struct ax_err *err)
    AX_MUST_CHECK;
/* What is between lo [n] and hi [n]; an end that is infinite is no end.
 * AX_EFORMAT: an end is not a number, or lo > hi; AX_ENOMEM. */
ax_status ax_set_box(struct ax_set **out, const double *lo, const double *hi,
                     uint32_t n, struct ax_err *err) AX_MUST_CHECK;
/* The same from text: n lines "lo,hi", of decimals that are taken exactly,
 * "-inf" and "inf" for no end. A first line without digits is a header. The
 * bytes, n_text of them, are hostile. AX_EFORMAT names the line. */
ax_status ax_set_text(struct ax_set **out, const char *text, size_t n_text,
                      uint32_t n, struct ax_err *err) AX_MUST_CHECK;
void ax_set_free(struct ax_set *s); /* NULL is harmless */

/* Let element i be anything between the decimals lo and hi, whatever it was.
 * AX_EUSAGE: there is no such element, a number is none, or lo > hi. */
ax_status ax_set_range(struct ax_set *s, uint32_t i, const char *lo,
                       const char *hi, struct ax_err *err) AX_MUST_CHECK;

enum ax_ready_kind {
    AX_READY_CLASS,     /* output INDEX is greater than all others */
    AX_READY_INSIDE,    /* each output is within its ends */
    AX_READY_OUTSIDE,   /* never are all outputs within their ends */
    AX_READY_MONOTONE,  /* of ax_model_shifted: output INDEX rises with the
                           shift, or falls, up to TOL */
    AX_READY_LIPSCHITZ, /* of ax_model_shifted: outputs change by at most L
                           times the shift, and TOL */
};

struct ax_ready {
    enum ax_ready_kind kind;
    uint32_t n_y;
    int64_t index; /* an output; -1: all of them, where that has a meaning */
    const struct ax_set *outputs; /* INSIDE, OUTSIDE: [n_y] */
    uint32_t input;               /* that is shifted, < n of the set */
    bool falls;
    const char *l, *tol;
};

/* *text [n + 1] is the caller's. AX_EUSAGE: an index or a number is none, an
 * input has no end, or nothing is said of the outputs; AX_ENOMEM. */
ax_status ax_ready_text(char **text, size_t *n, const struct ax_set *set,
                        const struct ax_ready *ready, struct ax_err *err)
    AX_MUST_CHECK;

/* Lower and upper end of decimals that INSIDE and OUTSIDE take for all
 * outputs or for one: a set of n_y outputs; NULL is no end. */
ax_status ax_set_outputs(struct ax_set **out, uint32_t n_y, int64_t index,
                         const char *lo, const char *hi, struct ax_err *err)
    AX_MUST_CHECK;

/* The output that is greater than all others at x, exactly.
 * AX_EUSAGE: there are several, or the network has less than two outputs. */
ax_status ax_net_winner(uint32_t *out, const struct ax_net *net,
                        const float *x, struct ax_err *err) AX_MUST_CHECK;

/* ---- properties of two copies, or of two networks ----
 *
 * Both are the property of one network, which is a model like any other: it
 * has an identity, and certificates speak of it. Its tensors are borrowed
 * from the models that it is made of, which the caller keeps meanwhile. The
 * same models give the same bytes.
 * AX_EUNSUPPORTED: a sub-graph, or inputs without a shape or not of floating
 * type; AX_ESHAPE: inputs or outputs of the two do not agree. */

/* b(x) - a(x), all outputs in one vector; a and b take the same inputs. */
ax_status ax_model_difference(struct ax_model **out, const struct ax_model *a,
                              const struct ax_model *b, struct ax_err *err)
    AX_MUST_CHECK;
/* m(x + d e) - m(x), all outputs in one vector: e is the unit vector of
 * element INPUT of all inputs in a row; d is one more input, the last one. */
ax_status ax_model_shifted(struct ax_model **out, const struct ax_model *m,
                           uint32_t input, struct ax_err *err) AX_MUST_CHECK;

AX_END_API

#endif
