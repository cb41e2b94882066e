/* island.h - what the files of ax-check share. Read README first.
 *
 * This program believes nothing that it is given. It is written from two
 * texts, axm(5) and ax-cert(5), and shares no code with what makes models
 * and certificates. It uses no floating point. Integers either stay in
 * range by a bound that stands beside them, or are checked.
 *
 * There is one way out of a function that meets something wrong: refuse().
 * It does not return, so no result can be used that was not made, and no
 * caller can forget to look. */
#ifndef ISLAND_H
#define ISLAND_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef __int128 i128;
#define I128_MAX ((i128)(((unsigned __int128)1 << 127) - 1))
#define I128_MIN (-I128_MAX - 1)

enum { /* exit codes, and codes of a refusal */
       ACCEPTED = 0,
       REJECTED = 1,  /* a certificate that does not prove its claim */
       UNDECIDED = 2, /* a counterexample that could not be evaluated */
       USAGE = 64,
       MALFORMED = 65, /* malformed, or not understood */
       NO_INPUT = 66,  /* no such file, or nothing in it to check */
       IO_ERROR = 74,
       NO_MEMORY = 75,
};

/* One thread's run: where a refusal goes, its reason, and all memory. */
struct run {
    jmp_buf out;
    int code;
    char msg[400];
    struct piece *pieces;
};

_Noreturn void refuse(struct run *r, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Refuse as malformed unless ok. */
void must(struct run *r, bool ok, const char *what);

/* Memory is zeroed and aligned to 64 bytes. What is not given back goes
 * with give_all. */
void *get(struct run *r, uint64_t n, size_t size);
void give(struct run *r, const void *memory); /* NULL is harmless */
void give_all(struct run *r);
/* Make element n of an array exist; *room is the number that do. */
void *grow(struct run *r, void *old, uint64_t n, uint64_t *room, size_t size);

struct bytes {
    const unsigned char *p;
    size_t n;
};

int bits(i128 m);         /* of |m| */
uint64_t up8(uint64_t n); /* a multiple of 8 */
bool bytes_are(struct bytes a, const char *text);
/* Take n bytes, or a varint in its shortest form, from the front. */
struct bytes take(struct run *r, struct bytes *b, uint64_t n);
uint64_t varint(struct run *r, struct bytes *b);
uint64_t little(const unsigned char *p, int n); /* little-endian, n bytes */

/* sha256.c */
void sha256(unsigned char out[32], struct bytes b);
void merkle_root(unsigned char out[32], struct bytes b);

/* proto.c: the header of a model. Strings and data point into the stream. */
#define RANK_MAX 8

struct tensor {
    uint32_t dtype, rank;
    uint64_t dims[RANK_MAX], n; /* n: elements */
    struct bytes data;
};

struct value {
    uint32_t dtype, rank_plus_1, tensor_plus_1;
    int64_t dims[RANK_MAX]; /* -1: free */
};

struct attr {
    struct bytes name, text; /* text: of kind 3 */
    bool read;               /* by its operator */
    uint32_t kind, bits;     /* bits: of kind 2, a number in binary32 */
    int64_t i, *ints;
    uint32_t n_ints;
};

struct operator
{
    struct bytes op, name;
    uint32_t n_in, n_out, n_attrs;
    uint32_t *in, *out; /* value index + 1; 0: absent */
    struct attr *attrs;
};

struct model { /* all indexes are in range */
    uint32_t n_values, n_nodes, n_tensors, n_inputs, n_outputs;
    struct value *values;
    struct operator* nodes;
    struct tensor *tensors;
    uint32_t *inputs, *outputs;
    uint64_t length; /* of the logical stream */
};

/* Read the logical stream at the front of b, which may hold more. */
void model_read(struct run *r, struct model *m, struct bytes b);

/* container.c */
struct attachment {
    struct bytes type, name, payload;
};

struct container {
    struct model model;
    unsigned char identity[32];
    struct attachment *att;
    uint64_t n_att;
};

/* "-": stdin. At most so many bytes; 0: a container, of any size. */
struct bytes file_read(struct run *r, const char *path, uint64_t most);
void container_read(struct run *r, struct container *c, struct bytes file);

/* vnnlib.c: a property in the normal form of ax-cert(5). */
struct decimal { /* +-digits 10^exp, the point behind so many digits */
    const unsigned char *p;
    int64_t n, before, exp;
    bool minus;
};

struct row { /* sum of coef times variable <= D */
    uint32_t n;
    uint32_t *var; /* increasing; X_i is i, Y_j is n_x + j */
    int32_t *coef; /* not 0, magnitude below 2^26 */
    bool strict, box;
    i128 d64;   /* ceil(D 2^64), or what stands for it, if too large */
    bool exact; /* D 2^64 is that integer */
    struct decimal d;
};

/* Does the D of one row, negated, make that of the other? */
bool opposite(const struct row *a, const struct row *b);

struct conj {
    uint32_t n_rows, n_all; /* rows; with those of the box and constant */
    uint32_t *rows, first;  /* the n_rows first; number of the first */
    uint64_t room;          /* among the group's rows */
};

struct group {
    int scale;                  /* P */
    int64_t *lo, *hi;           /* [n_x] at scale P, magnitude at most 2^44 */
    uint32_t n_conj, n_targets; /* targets: rows of all conjunctions */
    struct conj *conj;
};

struct property {
    uint32_t n_x, n_y, n_rows, n_groups, most_conj; /* of a group */
    struct row *rows;
    struct group *groups;
};

void property_read(struct run *r, struct property *pr, struct bytes text,
                   uint32_t n_x, uint32_t n_y);

/* graph.c: the graph as nodes, each with the terms of its rows. */
struct num { /* m 2^e, m odd, or 0 with e = 0; |m| < 2^100 */
    i128 m;
    int32_t e;
    uint32_t var; /* if not 0, it is that variable instead */
};

extern const struct num one;

struct term { /* m 2^e times a variable; m odd, |m| < 2^53 */
    int64_t m;
    int32_t e;
    uint32_t var;
};

/* Neurons: from HOLD; curved, that is replaced by lines: from PRODUCT. */
enum kind {
    INPUT,
    UNIT,
    WEIGHTED,
    PRODUCT,
    RECIPROCAL,
    EXPONENTIAL,
    HOLD,
    RELU,
    SIGMOID, /* from here on smooth */
    SINE,
    COSINE,
    ERF,
    GELU
};

static inline bool curved(enum kind k)
{
    return k >= PRODUCT && k < HOLD;
}

struct node {
    enum kind kind;
    uint32_t n, base; /* its first variable: a multiple of 8 */
    uint64_t *at;     /* row i is t[at[i]] .. t[at[i + 1] - 1] */
    struct term *t;
    struct num *b, *d; /* [n] what is added; divisors, or NULL */
    bool root;         /* their square roots divide */
    bool exact;        /* it compares; and r_k: ax-cert(5), EXECUTIONS */
    uint64_t roundings;
    /* net.c: integer weights. */
    int64_t scale, b_scale, *bq;  /* bq NULL if b is zero; of a curved
                                   * node scale is K */
    uint32_t n_sources, *sources; /* increasing */
    uint32_t *var;                /* of each term, and W' */
    int32_t *w;
    int64_t *dense; /* W' in rows of stride, or NULL: of the only source */
    uint64_t stride;
    bool same; /* W' is 1 at variable i of the only source in row i */
};

struct net { /* arrays over variables have n_vars elements, some unused */
    uint32_t n_nodes, n_vars, n_neurons;
    struct node *nodes;
    uint32_t *owner;       /* [n_vars] the node of each */
    uint32_t *neuron;      /* [n_neurons] the variable of each */
    const char *only_real; /* why it is not certifiable under ieee32 */
};

enum { REAL = 1, IEEE32 = 2 }; /* semantics */

void graph_read(struct run *r, struct net *net, struct model *m);
void net_quantise(struct run *r, struct net *net);

/* arith.c: bounds in one box. */
enum { UNSTABLE, ACTIVE, INACTIVE };

struct table { /* of slopes, by variable; the next one is older */
    struct table *next;
    uint64_t target; /* 2 neuron, 2 neuron + 1, or 2 n_neurons + row */
    uint8_t slope[];
};

/* smooth.c: slope v + low <= y <= slope v + up for l <= v <= u, |v| <= most,
 * y being that of a smooth node, all at scale 28. */
struct lines {
    int64_t slope, low, up, most;
};

int64_t larger(int64_t a, int64_t b);
/* y, smooth_error off at most, |x| <= 2^34. */
int64_t smooth_value(enum kind kind, int64_t x);
int64_t smooth_error(enum kind kind);
/* e^x, |x| <= 2^33; exponential_error(of it) off at most. */
i128 exponential(int64_t x);
static inline i128 exponential_error(i128 e)
{
    return (e >> 28) + 2;
}
struct lines lines_between(struct run *r, enum kind kind, i128 l, i128 u);

/* The state of a box; its arrays are one piece of memory. A relu neuron
 * passes on mu below >> 28 if mu < 0, mu above >> 7 if not; of the lines
 * about a smooth one, l, u, below and above are low, up, slope and most; of
 * those of a curved node low, up, and W' of its terms. */
struct box {
    int scale;                      /* P */
    bool fresh;                     /* l, u, t and M are its own */
    int64_t *lo, *hi;               /* [n_x] */
    int64_t *m;                     /* [n_vars] M */
    int64_t *l, *u, *below, *above; /* [n_vars], of neurons; l and u are 0 if
                                     * it is not unstable */
    int64_t *d;                     /* [n_vars] D, under ieee32 */
    int64_t *t;                     /* [n_nodes] the scale of l and u */
    int64_t *td;                    /* [n_nodes] that of d */
    int64_t *s;                     /* [n_nodes] of W' if there is one */
    uint8_t *status;                /* [n_vars], of neurons */
    struct table *tables;
};

struct box box_new(struct run *r, const struct net *net);
void box_copy(const struct net *net, struct box *to, const struct box *from);

struct multiplier {
    uint32_t neuron; /* its variable */
    bool active;
    uint32_t code;
};

/* curves.c: floor(sqrt(v)), v < 2^123. */
int64_t square_root(i128 v);
/* Lines of the curved node k, and its M. */
void curve_bounds(struct run *r, const struct net *net, struct box *b,
                  uint32_t k);
/* Bounds l <= v <= u of a variable of a hold or curved node, at scale t; of
 * one that is held or a reciprocal below 2^30 in magnitude, else 2^59. */
struct range {
    int64_t l, u, t;
};
struct range range_of(const struct net *net, const struct box *b,
                      uint32_t var);
/* The scale of W' of the variables of a source of node k. */
int64_t curve_scale(const struct net *net, const struct box *b, uint32_t k,
                    uint32_t source);

struct work *work_new(struct run *r, const struct net *net, int semantics);
/* Make a box fresh, and the one that the rows below are bounded in. */
void box_bounds(struct work *w, struct box *b);

/* The lower bound of a row over a box, linear in the input: at x it is
 * (c - s) 2^-64 + sum e_j x_j 2^-(q + P). */
struct bound {
    i128 c, s;
    const int64_t *e; /* [n_x] or NULL; until the next bound is computed */
    int64_t q;
};

/* A row of the property. */
struct goal {
    const struct row *row;
    uint64_t target;
    const struct multiplier *mults;
    uint32_t n_mults;
};

struct bound row_bound(struct work *w, const struct goal *goal);
/* Clip a part of that box, lo and hi, by the row. False if nothing is
 * left. */
bool row_clip(struct run *r, const struct bound *f, const struct row *row,
              uint32_t n_x, struct box *part);

/* tree.c and replay.c: a certificate, a counterexample. They refuse with
 * REJECTED, or UNDECIDED; to return is to accept. */
struct claim {
    struct bytes payload, name; /* name: of the property, may be empty */
    const unsigned char *identity, *digest; /* [32] of model and property */
    const struct net *net;
    const struct property *pr;
    int semantics;
    bool is_cex, progress;
    bool in_tree;        /* out: it ended in the tree of a group, */
    uint64_t at, leaves; /* which; and so many leaves before that */
};

/* What follows magic (5 bytes), semantics, identity and digest. */
struct bytes claim_body(struct run *r, const struct claim *c,
                        const char *magic);
void certificate_check(struct run *r, struct claim *c);
void counterexample_check(struct run *r, struct claim *c);

#endif
