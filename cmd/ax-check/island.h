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
    struct bytes name;
    uint32_t kind, bits; /* bits: of kind 2, a number in binary32 */
    int64_t i, *ints;
    uint32_t n_ints;
};

struct node {
    struct bytes op, name;
    uint32_t n_in, n_out, n_attrs;
    uint32_t *in, *out; /* value index + 1; 0: absent */
    struct attr *attrs;
};

struct model { /* all indexes are in range */
    uint32_t n_values, n_nodes, n_tensors, n_inputs, n_outputs;
    struct value *values;
    struct node *nodes;
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

struct bytes file_read(struct run *r, const char *path); /* "-": stdin */
void container_read(struct run *r, struct container *c, struct bytes file);

/* big.c: integers modulo 2^16384. */
#define BIG 256
struct big {
    uint64_t w[BIG];
};

/* b += a m 2^shift, or -= */
void big_add(struct big *b, const struct big *a, uint64_t m, uint64_t shift,
             bool minus);
/* b = floor(digits 10^exp 2^f), below 2^16383; is it less than that? */
bool big_decimal(struct big *b, struct bytes digits, int64_t exp, uint64_t f);

/* vnnlib.c: a property in the normal form of ax-cert(5). */
struct row { /* sum of coef times variable <= D = +-digits 10^exp */
    uint32_t n;
    uint32_t *var; /* increasing; X_i is i, Y_j is n_x + j */
    int32_t *coef; /* not 0, magnitude below 2^26 */
    struct bytes digits;
    int64_t exp;
    bool neg, strict, box;
    i128 d64; /* ceil(D 2^64), or the extreme i128 on its side */
};

struct conj {
    uint32_t n_rows, n_all; /* rows; with those of the box and constant */
    uint32_t *rows;         /* the n_rows first, in order */
};

struct group {
    int scale;        /* P */
    int64_t *lo, *hi; /* [n_x] at scale P, magnitude at most 2^44 */
    uint32_t n_conj;
    struct conj *conj;
};

struct property {
    uint32_t n_x, n_y, n_rows, n_groups;
    struct row *rows;
    struct group *groups;
};

void property_read(struct run *r, struct property *pr, struct bytes text,
                   uint32_t n_x, uint32_t n_y);

/* lower.c: the graph as affine maps between rectified nodes. */
struct num { /* m 2^e, m odd, or 0 with e = 0 */
    i128 m;
    int64_t e;
};

struct term { /* m 2^e times a variable; m odd, |m| < 2^53 */
    int64_t m;
    int32_t e;
    uint32_t var;
};

/* A tensor of affine forms: element i is the sum of the terms t[at[i]] ..
 * t[at[i + 1] - 1], by increasing variable, plus c[i]. A constant tensor
 * has at = NULL. */
struct form {
    uint32_t rank, uses;
    uint64_t dims[RANK_MAX], n, room; /* room: of t */
    uint64_t *at;
    struct term *t;
    struct num *c;
};

struct block {                 /* W' of a node over a source */
    uint32_t node, source, id; /* id: among all blocks */
    int64_t scale;
    uint64_t stride; /* columns, up to a multiple of 8 */
    int64_t *w;      /* dense, [rows][stride]; or NULL, and row i is */
    uint64_t *at;    /* [at[i], at[i + 1]) of col and cw */
    uint32_t *col;
    int32_t *cw;
};

struct layer { /* one node of ax-cert(5) */
    uint32_t n;
    uint64_t base;  /* its first variable */
    struct form *z; /* exact; NULL for node 0 */
    uint32_t n_blocks, n_readers;
    struct block *blocks;   /* by increasing source */
    struct block **readers; /* blocks over this node, latest node first */
    int64_t *b, b_scale;    /* b'; NULL if all are zero */
};

struct net {
    uint32_t n_layers, n_blocks; /* layers: H + 2 */
    struct layer *layers;
    uint64_t n_vars; /* elements of nodes 0 to H, */
    uint32_t *owner; /* [n_vars] and the node of each */
};

void net_lower(struct run *r, struct net *net, const struct model *m);
/* Make the integer weights; the exact ones stay only if keep is set. */
void net_quantise(struct run *r, struct net *net, bool keep);

/* ops.c: one operator, from the forms in[] to the forms out[]. */
struct lowering {
    struct run *r;
    const struct model *m;
    const struct node *node;
    struct form **forms; /* [values] made so far */
    uint32_t *uses;      /* [values] */
    struct form **in;    /* [node->n_in], NULL where absent or integers */
    uint64_t n_vars, sum_room, touched_room;
    struct slot { /* a coefficient of the element under construction */
        struct num v;
        bool on;
    } * sum;           /* [n_vars] */
    uint32_t *touched; /* the variables that are on */
    uint32_t n_touched;
    struct num c; /* its constant */
};

void op_apply(struct lowering *l, struct form **out);
void need(struct lowering *l, bool ok, const char *what);
/* What does not fit is not certifiable. */
struct num num_make(struct lowering *l, i128 m, int64_t e);
struct num num_mul(struct lowering *l, struct num a, struct num b);
/* From the bits of a number with mant bits of fraction, exp of exponent. */
struct num num_float(struct lowering *l, uint64_t v, int mant, int exp);
struct form *form_new(struct lowering *l, const uint64_t *dims,
                      uint32_t rank);
/* Add k times element i of x to the element under construction. */
void sum_add(struct lowering *l, const struct form *x, uint64_t i,
             struct num k);
/* End it; it becomes element i of out. Elements come in order. */
void sum_end(struct lowering *l, struct form *out, uint64_t i);

/* arith.c: bounds in one box. */
enum { UNSTABLE, ACTIVE, INACTIVE };

struct box {
    int scale;        /* P */
    int64_t *lo, *hi; /* [n_x] */
    uint8_t *status;  /* [n_vars]; those of node 0 are not used */
    int64_t *m;       /* [n_vars]; likewise */
};

struct work *work_new(struct run *r, const struct net *net);
void box_bounds(struct run *r, struct work *w, struct box *b);
/* The lower bound of a row over a box, linear in the input: at x it is
 * (c - s) 2^-64 + sum e_j x_j 2^-(q + P). */
struct bound {
    i128 c, s;
    const int64_t *e; /* [n_x] or NULL; until the next bound is computed */
    int64_t q;
};

/* Of a row of the property, after box_bounds for this box. */
struct bound row_bound(struct run *r, struct work *w, const struct box *b,
                       const struct row *row);
/* Clip a part of that box by the row. False if nothing is left. */
bool row_clip(struct run *r, const struct bound *f, const struct row *row,
              uint32_t n_x, struct box *part);

/* tree.c and replay.c: a certificate, a counterexample. They refuse with
 * REJECTED, or UNDECIDED; to return is to accept. */
#define THREADS_MAX 64
struct claim {
    struct bytes payload, name; /* name: of the property, may be empty */
    const unsigned char *identity, *digest; /* [32] of model and property */
    const struct net *net;
    const struct property *pr;
    unsigned threads;
    bool is_cex, progress;
    uint64_t leaves; /* out */
    char *where;     /* out: the leaf that is not refuted, or NULL */
    struct walker *walkers;
};

/* What follows magic (8 bytes), identity and digest. */
struct bytes claim_body(struct run *r, const struct claim *c,
                        const char *magic);
void certificate_check(struct run *r, struct claim *c);
void certificate_done(struct claim *c); /* after it, refused or not */
void counterexample_check(struct run *r, struct claim *c);

#endif
