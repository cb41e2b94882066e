/* bench.h - what the parts of ax-bench share: problems, how they are timed,
 * and what came of it. See man/ax-bench.1.
 *
 * A problem is a line of words. Its row in the table of problem.c makes a
 * task of it: something that can be run again and again. Only report.c
 * prints. */
#ifndef AX_BENCH_H
#define AX_BENCH_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "ax/err.h"

/* ---- words.c: a line, taken apart ---- */

#define WORDS_MAX 64
#define DIMS_MAX  4

struct words {
    int n;
    char *v[WORDS_MAX];
    uint64_t used; /* bit i: v[i] was asked for */
    char *text;    /* what v points into */
};

/* Words end at blanks, unless these are between double quotes. */
ax_status words_split(struct words *w, const char *line, struct ax_err *err)
    AX_MUST_CHECK;
void words_free(struct words *w);
/* The next word that is neither used nor KEY=VALUE; NULL if there is none. */
const char *words_next(struct words *w);
/* The value of KEY=, or NULL. */
const char *words_value(struct words *w, const char *key);
/* Is the word there? */
bool words_flag(struct words *w, const char *word);
/* A whole number, KEY=N; *out stays as it is without it. */
ax_status words_int(int64_t *out, struct words *w, const char *key,
                    int64_t min, int64_t max, struct ax_err *err)
    AX_MUST_CHECK;
/* A number of seconds and the like; as words_int. */
ax_status words_real(double *out, struct words *w, const char *key,
                     double max, struct ax_err *err) AX_MUST_CHECK;
/* The next word as sizes, "64x256x784": exactly N of them. */
ax_status words_dims(int64_t *out, int n, struct words *w, const char *what,
                     struct ax_err *err) AX_MUST_CHECK;
/* The next word as bytes, "64MiB". */
ax_status words_bytes(size_t *out, struct words *w, struct ax_err *err)
    AX_MUST_CHECK;
/* Fails if a word is left that nobody asked for. */
ax_status words_end(const struct words *w, struct ax_err *err) AX_MUST_CHECK;

/* ---- stats.c: samples ---- */

/* Fewest samples under which a percentile is not given, as in MLPerf's
 * rules for early stopping. */
#define SAMPLES_P90 64
#define SAMPLES_P99 662

struct samples {
    double *v;
    size_t n, room;
};

struct stats {
    size_t n;
    double min, median, mean, max;
    double mad;      /* median of the distances from the median */
    double p90, p99; /* 0: not enough samples */
};

ax_status samples_add(struct samples *s, double x, struct ax_err *err)
    AX_MUST_CHECK;
void samples_free(struct samples *s);
/* Sorts the samples; all zero if there are none. */
struct stats samples_stats(struct samples *s);
/* The q-th quantile of sorted samples, 0 <= q <= 1; 0 if there are none. */
double samples_quantile(const struct samples *s, double q);

/* CLOCK_MONOTONIC, seconds. */
double now(void);

/* ---- peak.c: what this machine can do ---- */

enum peak {
    PEAK_NONE,
    PEAK_MULTIPLY, /* fused multiply-adds of float32, two operations each */
    PEAK_READ,     /* bytes read from memory */
    PEAK_COUNT
};

#define PEAK_THREADS 64

/* The best rate seen so far, a second; 0: not measured. */
struct peaks {
    double best[PEAK_COUNT][PEAK_THREADS + 1];
    void *buffer; /* what PEAK_READ reads */
    size_t bytes;
};

/* Measure once more, for some 20 ms, and keep the best. THREADS is at most
 * PEAK_THREADS. */
ax_status peak_measure(struct peaks *p, enum peak what, int threads,
                       struct ax_err *err) AX_MUST_CHECK;
void peaks_free(struct peaks *p);

/* ---- process.c, scratch.c: other programs ---- */

struct outcome {
    double seconds; /* from before fork(2) until it was waited for */
    int code;       /* exit code; -1: it was killed */
    long rss_kib;   /* most memory it had */
    bool late;      /* killed by us, because it went on after its limit */
    char *out;      /* standard output, NUL-terminated; new */
    char *said;     /* first line of standard error; new */
};

/* Run ARGV with standard input from /dev/null, and kill it after LIMIT
 * seconds if that is not 0. A command of the suite is looked for beside
 * this program first. Variables in ENV, "NAME=value", ended by NULL, are
 * added to the environment.
 * AX_EUNAVAILABLE it cannot be started; AX_EIO we were interrupted */
ax_status process_run(struct outcome *o, const char *const *argv,
                      const char *const *env, double limit,
                      struct ax_err *err) AX_MUST_CHECK;
void outcome_free(struct outcome *o);
/* Let SIGINT, SIGTERM and SIGHUP end what runs, so that we can tidy up. */
void process_signals(void);
/* The signal that asked us to stop, or 0. */
int process_stopped(void);

/* Models and properties in a form that ax-prove reads: what is compressed
 * by gzip is unpacked, and what is no container is imported, once, into a
 * folder of our own. */
struct scratch {
    char folder[64]; /* empty until something is needed in it */
    struct scratch_file *files;
    size_t n, room;
};

/* Can the file be read as it is, or has another program to make a container
 * of it first? */
bool scratch_is_container(const char *path);
/* All borrowed from S. *plain is PATH without its .gz; *model, which may be
 * asked for with NULL, is its container. */
ax_status scratch_get(struct scratch *s, const char *path, const char **plain,
                      const char **model, struct ax_err *err) AX_MUST_CHECK;
/* A name in the folder. */
ax_status scratch_name(struct scratch *s, char *out, size_t size,
                       const char *base, struct ax_err *err) AX_MUST_CHECK;
void scratch_free(struct scratch *s);

/* ---- problem.c: tasks ---- */

/* What a command of the suite answered in the last run. */
struct answer {
    char text[32]; /* "holds", "accepted", ...; empty: it gives none */
    char why[160]; /* of an answer that is none */
    double boxes, leaves, certificate_bytes;
    double prove_seconds; /* by ax-prove's own clock */
    long rss_kib;
    double check_seconds; /* 0: nothing was checked */
    char checked[32];     /* "accepted" */
};

struct task {
    char *line;
    ax_status (*run)(struct task *t, struct ax_err *err);
    void (*done)(struct task *t);
    void *own;
    double work;      /* of one run, in units */
    const char *unit; /* that is counted, or NULL */
    double scale;     /* the unit as it is printed: 1e9 for GF/s */
    enum peak peak;
    double peak_work; /* the work that the peak limits; 0: work */
    int threads;
    bool process;    /* a run is a whole process, never run many at once */
    double seconds;  /* of the last run if process: it knows better */
    bool decides;    /* the answer is a verdict of ax-prove */
    char expect[16]; /* "": nothing is expected */
    struct answer answer;
    const char *env[4]; /* for the command of --vs, ended by NULL */
};

struct context {
    struct scratch scratch;
    const char *folder; /* paths in problems are relative to it; may be "" */
    bool certificates;  /* prove makes certificates, and checks them */
    const char *semantics; /* of theirs; NULL: as they will */
    int64_t threads;       /* of prove and check, where a line names none */
};

ax_status task_new(struct task *t, struct context *c, const char *line,
                   struct ax_err *err) AX_MUST_CHECK;
void task_free(struct task *t);
/* Does a problem start another program? Also true of what is none. */
bool task_starts_program(const struct context *c, const char *line);
/* Tell which problems there are. */
void task_list(void);

/* The makers: words after the first are still to be read. They fill all of
 * T but its line, and leave T so that task_free is right, also on failure. */
#define TASK_MAKER(name)                                               \
    ax_status name(struct task *t, struct context *c, struct words *w, \
                   struct ax_err *err) AX_MUST_CHECK
TASK_MAKER(make_gemm);
TASK_MAKER(make_gemv);
TASK_MAKER(make_conv);
TASK_MAKER(make_run);
TASK_MAKER(make_bound);
TASK_MAKER(make_sha256);
TASK_MAKER(make_pack);
TASK_MAKER(make_unpack);
TASK_MAKER(make_prove);
TASK_MAKER(make_check);
TASK_MAKER(make_exec);

/* A path of a problem; new. */
char *context_path(const struct context *c, const char *path);

/* ---- models.c: small models by hand, on the heap ---- */

struct ax_model;
struct ax_node;

/* A model with room for so many values and nodes and one input; NULL when
 * memory is out. */
struct ax_model *build_new(uint32_t values, uint32_t nodes);
/* A float32 input or result, of no known shape for rank 0. */
ax_status build_value(uint32_t *v, struct ax_model *m, int rank,
                      const int64_t *dims, struct ax_err *err) AX_MUST_CHECK;
/* A float32 constant of random numbers in [-scale, scale). */
ax_status build_constant(uint32_t *v, struct ax_model *m, int rank,
                         const int64_t *dims, double scale, uint64_t *seed,
                         struct ax_err *err) AX_MUST_CHECK;
/* An operator with one output, whose value is *v. */
ax_status build_node(uint32_t *v, struct ax_model *m, int op, int n,
                     const uint32_t *in, struct ax_err *err) AX_MUST_CHECK;
/* Give the last operator an attribute of N integers, or of one. */
ax_status build_ints(struct ax_model *m, const char *name, int n,
                     int64_t value, struct ax_err *err) AX_MUST_CHECK;
ax_status build_int(struct ax_model *m, const char *name, int64_t value,
                    struct ax_err *err) AX_MUST_CHECK;
void build_ends(struct ax_model *m, uint32_t in, uint32_t out);
/* Random numbers in [-1, 1), the same for a seed on every machine. */
float random_unit(uint64_t *seed);

/* ---- measure.c ---- */

struct limits {
    int64_t runs;   /* at least so many */
    double seconds; /* and at least so long */
    bool warm;      /* run once before, untimed */
};

/* The second command, run between the runs of the first. */
struct versus {
    const char *command; /* NULL: there is none */
    struct samples times, ratios;
    int code; /* exit code of its last run */
};

struct measured {
    struct stats stats;
    double rate;     /* units a second at the median */
    double share;    /* of the measured peak; 0: none */
    size_t repeats;  /* runs in one sample */
    struct stats vs; /* of the other command */
    double ratio[3]; /* ours by theirs: median, quartiles */
    double load;     /* load average */
};

ax_status measure(struct measured *out, struct task *t, struct versus *vs,
                  const struct limits *lim, struct peaks *p,
                  struct ax_err *err) AX_MUST_CHECK;

/* ---- list.c: instances ---- */

/* The lines of a CSV file, model,property,timeout[,expected], as lines of
 * prove problems; new, *n of them. */
ax_status list_read(char ***lines, size_t *n, const char *path,
                    struct ax_err *err) AX_MUST_CHECK;
/* The lines of a file of problems, without comments and empty ones; added
 * to what is there. */
ax_status lines_read(char ***lines, size_t *n, const char *path,
                     struct ax_err *err) AX_MUST_CHECK;
ax_status lines_add(char ***lines, size_t *n, const char *line,
                    struct ax_err *err) AX_MUST_CHECK;
void lines_free(char **lines, size_t n);

/* ---- report.c: what is said ---- */

struct totals {
    struct samples times; /* of every problem with a verdict */
    size_t holds, violated, unknown, wrong, refused;
    double bytes, leaves, boxes, prove_seconds, check_seconds;
    size_t certificates;
};

struct report {
    bool json;
    bool heading; /* was printed */
    json_t *problems;
    struct totals totals;
    json_t *baseline; /* NULL: none */
    double max_ratio;
    size_t compared, slower, missing;
};

ax_status report_baseline(struct report *r, const char *path,
                          struct ax_err *err) AX_MUST_CHECK;
ax_status report_problem(struct report *r, const struct task *t,
                         const struct measured *m, const struct versus *vs,
                         struct ax_err *err) AX_MUST_CHECK;
/* AX_NO: something was wrong, or slower than it may be. AX_UNDECIDED: a
 * problem was. */
ax_status report_end(struct report *r, const struct peaks *p,
                     struct ax_err *err) AX_MUST_CHECK;
void report_free(struct report *r);

#endif
