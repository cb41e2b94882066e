/* What the files of ax-prove share. */
#ifndef AX_PROVE_PROVE_H
#define AX_PROVE_PROVE_H

#include "ax/model.h"
#include "ax/net.h"
#include "ax/prove.h"
#include "common/model.h"
#include "common/progress.h"
#include "common/run.h"

#define PROPERTY_MAX ((size_t)1 << 30)

struct args {
    const char *model, *property, *out, *trace, *strategy, *semantics;
    const char *list, *shard, *cert_dir;
    const char *minimise, *precision, *counterexample, *region, *resume;
    bool resumed; /* there is a file at resume */
    bool foreign; /* models of other formats, and packed ones, are read */
    bool cert, json, no_attack, check, require, force, explain;
    bool print_property, print_model;
    int64_t threads, memory_mib, seed, max_boxes, halvings;
    double seconds;
    struct opt_list networks; /* NAME=FILE, of a query */
    bool first_is_model;      /* the first of them is MODEL */
};

/* One property, and what became of it; everything is owned. */
struct finding {
    unsigned char *text;
    size_t n_text;
    unsigned char digest[32];
    unsigned char *payload; /* certificate or counterexample */
    size_t n_payload;
    struct ax_prove_result result;
    uint32_t n_x, n_y;
    double *y;  /* outputs at the counterexample */
    bool saved; /* the search can be resumed */
};

struct ready;
struct query;

/* What a bisection tried. */
#define MINIMISE_CHARS 48
#define MINIMISE_STEPS 40

struct minimise_step {
    char value[MINIMISE_CHARS];
    ax_verdict verdict;
    double seconds;
};

struct minimised {
    const char *key; /* of the number; NULL: there was no bisection */
    bool largest;    /* the largest is wanted */
    char best[MINIMISE_CHARS]; /* that holds, or "" */
    char next[MINIMISE_CHARS]; /* that does not, or "" */
    ax_verdict next_verdict;
    unsigned n_steps;
    struct minimise_step steps[MINIMISE_STEPS];
};

/* The part that --region has proved. */
struct region_found {
    uint32_t boxes;
    double volume; /* its share, 0..1 */
};

/* What is being worked on; everything is owned. */
struct job {
    struct ax_model *model;
    unsigned char *data; /* that the model may borrow from */
    unsigned char identity[32];
    struct ax_model *base, *other; /* what model is the product of */
    struct query *query;           /* of VNN-LIB 2.0, or NULL */
    unsigned char base_identity[32], other_digest[32];
    struct ready *ready; /* the words of a ready-made property, or NULL */
    struct ax_net *net;
    struct ax_prop *prop;
    struct ax_certifier *certifier;
    struct ax_execution execution; /* self NULL: there is none */
    struct finding found;
    struct minimised minimised;
    struct region_found region;
    struct cmd_progress progress;
    const char *task;           /* put in front of progress, or NULL */
    struct cmd_out trace, open; /* open: of --resume */
    double began;
};

/* What --semantics means. */
enum ax_semantics semantics_of(const struct args *a);

/* job.c */
void job_free(struct job *j);
void finding_free(struct finding *f);
/* Read model and property, and lower the network. AX_UNDECIDED: it cannot be
 * lowered, which is the finding. */
ax_status job_read(struct job *j, const struct args *a, struct ax_err *err)
    AX_MUST_CHECK;
/* Decide what job_read has read, or what is in found.text now. */
ax_status job_decide(struct job *j, const struct args *a, struct ax_err *err)
    AX_MUST_CHECK;
/* Seconds since some time. */
double job_clock(void);
/* Memory beyond the limit is not to be had from here on. */
void limit_memory(int64_t mib);

/* execution.c: j->execution, of the model that the job has, if it can be
 * computed at all. */
ax_status execution_new(struct job *j, struct ax_err *err) AX_MUST_CHECK;
void execution_free(struct job *j);

/* ready.c: properties that need no file */
bool is_ready(const char *property);
/* Read the words; afterwards the model may be a product of what it was. */
ax_status ready_model(struct job *j, const char *spec, struct ax_err *err)
    AX_MUST_CHECK;
/* The text, into found.text; the network is lowered. */
ax_status ready_text(struct job *j, struct ax_err *err) AX_MUST_CHECK;
/* query.c: the text becomes that of VNN-LIB 1.0, the model what it is of. */
ax_status query_bind(struct job *j, const struct args *a, struct ax_err *err)
    AX_MUST_CHECK;
void query_free(struct query *q);

void ready_free(struct ready *r);
/* The number that NAME means, "eps" the radius too: its key, what was given,
 * and whether a larger one says more. False: there is none. */
bool ready_number(const struct ready *r, const char *name, const char **key,
                  const char **given, bool *largest);
/* Take another value, which must live as long as it is used. */
void ready_change(struct ready *r, const char *key, const char *value);
const char *ready_name(const struct ready *r);
const char *ready_other(const struct ready *r); /* a path or NULL */

/* input.c */
/* As cmd_in_read, but what is packed with gzip is unpacked. */
ax_status input_read(unsigned char **out, size_t *n, const char *path,
                     size_t max, struct ax_err *err) AX_MUST_CHECK;
/* A container, or a model of any format. It may borrow from *data, which the
 * caller frees after it, also on failure. */
ax_status input_model(struct ax_model **out, unsigned char **data,
                      const char *path, struct ax_err *err) AX_MUST_CHECK;

/* minimise.c: decide what job_read has read for several values of a number;
 * found is that of the best that holds, or one that does not. */
ax_status minimise(struct job *j, const struct args *a, struct ax_err *err)
    AX_MUST_CHECK;

/* region.c: after job_decide, which did not prove it: write the part that is
 * proved. */
ax_status region(struct job *j, const struct args *a, struct ax_err *err)
    AX_MUST_CHECK;

/* resume.c */
bool resume_there(const char *path);
/* Fill j->certifier with what --resume names, and opt with how to go on.
 * ax-check is to be asked afterwards. */
ax_status resume_read(struct job *j, const struct args *a,
                      struct ax_prove_options *opt, struct ax_err *err)
    AX_MUST_CHECK;
/* Write what the search has done, if it has begun, to j->open. */
ax_status resume_write(struct job *j, const struct args *a,
                       const struct ax_prove_options *opt, struct ax_err *err)
    AX_MUST_CHECK;

/* list.c: all instances of a list. AX_NO: one is violated; AX_UNDECIDED: one
 * is unknown; or the first error of an instance. */
ax_status list_decide(const struct args *a, const struct cmd *cmd,
                      struct ax_err *err) AX_MUST_CHECK;

/* evidence.c: what goes into the container */
ax_status attach(struct job *j, const struct args *a, const struct cmd *cmd,
                 struct ax_err *err) AX_MUST_CHECK;
ax_status ask_check(struct job *j, const struct args *a, struct ax_err *err)
    AX_MUST_CHECK;

/* answer.c: what is said of it */
ax_status answer(struct job *j, const struct args *a, const struct cmd *cmd,
                 struct ax_err *err) AX_MUST_CHECK;

#endif
