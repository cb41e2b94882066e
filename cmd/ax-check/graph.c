/* graph.c - the graph of a model as the nodes of ax-cert(5), NETWORK: what
 * every operator of ONNX, opset 17, computes.
 *
 * A value is an array of constants and variables. Nearly all operators are
 * one loop nest: for every index of the output, and then for every index that
 * is summed over, an element of a, times an element of b if there is a b;
 * what is outside of a counts as zero. Where the element is, is affine in
 * the indexes. Those that only move elements about make no node. */
#include "island.h"

#include <string.h>

enum { LOOPS_MAX = 2 * RANK_MAX, E_MIN = -1000, E_MAX = 900 };
enum { NODES_MAX = 8192 };
#define ELEMENTS_MAX (1ull << 26) /* of a value, and of all variables */
#define STEPS_MAX    (1ull << 33) /* minutes */
#define TERMS_MAX    (1ull << 28) /* of a node: 4 GiB */
#define CONSTANT     UINT32_MAX   /* no variable */
#define ONE          0x3f800000   /* a float32 */

struct array {
    uint32_t rank;
    uint64_t dims[RANK_MAX], n;
    uint32_t *var; /* NULL: all are constants */
    struct num *c; /* of constants; NULL: none is one */
};

/* Index d of x is first[d] + sum over loops i of by[d][i] i; for d = table_at
 * it is then looked up in the table, if there is one. */
struct operand {
    const struct array *x;
    int64_t first[RANK_MAX], by[RANK_MAX][LOOPS_MAX], *table;
    uint32_t table_at;
};

struct nest {
    struct operand a, b; /* b.x may be NULL */
    struct num k;        /* times that */
    struct num outside;  /* of a view; elsewhere it counts as zero */
    uint32_t loops;      /* the first of them are over the output */
    uint64_t size[LOOPS_MAX];
};

struct ints {
    uint64_t n;
    int64_t *v;
    const struct tensor *t;
};

struct graph {
    struct run *r;
    struct net *net;
    const struct model *m;
    const struct operator* op; /* at hand, or NULL */
    struct array **values;     /* [values] made so far */
    struct array **in;         /* [op->n_in], NULL where absent or integers */
    struct node *node;         /* in the making */
    uint64_t n_terms, room, row, steps; /* steps: of loops, in all */
};

static const struct num zero = {0, 0}, one = {1, 0}, minus_one = {-1, 0};

static void need(struct graph *g, bool ok, const char *what)
{
    const struct operator* n = g->op;
    if (!ok)
        refuse(g->r, MALFORMED, "not certifiable: %.*s node '%.*s': %s",
               n ? (int)(n->op.n % 64) : 6,
               n ? (const char *)n->op.p : "output",
               n ? (int)(n->name.n < 99 ? n->name.n : 99) : 0,
               n ? (const char *)n->name.p : "", what);
}

/* ---- numbers ---- */

int num_bits(i128 m)
{
    unsigned __int128 u = m < 0 ? -(unsigned __int128)m
                                : (unsigned __int128)m;
    uint64_t high = (uint64_t)(u >> 64), low = (uint64_t)u;
    return high  ? 128 - __builtin_clzll(high)
           : low ? 64 - __builtin_clzll(low)
                 : 0;
}

static struct num num_make(struct graph *g, i128 m, int64_t e)
{
    for (; m != 0 && !(m & 1); e++)
        m >>= 1;
    need(g, num_bits(m) <= 100 && (m == 0 || (e >= E_MIN && e <= E_MAX)),
         "a value does not fit in 100 bits or the range of exponents");
    return (struct num){m, m ? e : 0};
}

static struct num num_add(struct graph *g, struct num a, struct num b)
{
    if (a.m == 0 || b.m == 0)
        return a.m == 0 ? b : a;
    if (a.e < b.e)
        return num_add(g, b, a);
    /* A result of up to 100 bits needs no more than this. */
    need(g, num_bits(a.m) + a.e - b.e <= 126, "a sum does not fit");
    return num_make(g, a.m * ((i128)1 << (a.e - b.e)) + b.m, b.e);
}

static struct num num_mul(struct graph *g, struct num a, struct num b)
{
    need(g, num_bits(a.m) + num_bits(b.m) <= 126, "a product does not fit");
    return num_make(g, a.m * b.m, a.e + b.e);
}

/* From the bits of a number with mant bits of fraction, exp of exponent. */
static struct num num_float(struct graph *g, uint64_t v, int mant, int exp)
{
    int64_t e = (int64_t)(v >> mant & ((1ull << exp) - 1));
    i128 m = (i128)(v & ((1ull << mant) - 1));
    need(g, e + 1 < 1ll << exp, "a constant is not finite");
    m += e ? (i128)1 << mant : 0;
    e = (e ? e : 1) - ((1ll << (exp - 1)) - 1 + mant);
    return num_make(g, v >> (mant + exp) & 1 ? -m : m, e);
}

/* ---- values ---- */

static struct array *array_new(struct graph *g, const uint64_t *dims,
                               uint32_t rank)
{
    struct array *x = get(g->r, 1, sizeof *x);
    x->rank = rank;
    x->n = 1;
    for (uint32_t i = 0; i < rank; i++) {
        need(g, dims[i] > 0 && dims[i] <= ELEMENTS_MAX / x->n,
             "a tensor is empty or too large");
        x->n *= x->dims[i] = dims[i];
    }
    return x;
}

static bool floats(uint32_t dtype)
{
    return dtype == 1 || dtype == 10 || dtype == 11;
}

static struct array *constant(struct graph *g, const struct tensor *t)
{
    struct array *x = array_new(g, t->dims, t->rank);
    int size = t->dtype == 1 ? 4 : t->dtype == 10 ? 2 : 8;
    int mant = size == 4 ? 23 : size == 2 ? 10 : 52;
    x->c = get(g->r, x->n, sizeof *x->c);
    for (uint64_t i = 0; i < t->n; i++)
        x->c[i] = num_float(g, little(t->data.p + (size_t)size * i, size),
                            mant, 8 * size - 1 - mant);
    return x;
}

/* The variable that element i is, or CONSTANT. */
static uint32_t var_of(const struct array *x, uint64_t i)
{
    return x->var ? x->var[i] : CONSTANT;
}

static bool all_constant(const struct array *x)
{
    bool all = true;
    for (uint64_t i = 0; i < x->n; i++)
        all &= var_of(x, i) == CONSTANT;
    return all;
}

/* ---- nodes in the making ---- */

static void node_begin(struct graph *g, enum kind kind, uint64_t n)
{
    struct net *net = g->net;
    need(g, net->n_nodes < NODES_MAX && n <= ELEMENTS_MAX - net->n_vars,
         "too many nodes or variables");
    g->node = &net->nodes[net->n_nodes++];
    *g->node = (struct node){.kind = kind,
                             .n = (uint32_t)n,
                             .base = net->n_vars,
                             .at = get(g->r, n + 1, 8),
                             .t = get(g->r, 1, sizeof(struct term)),
                             .b = get(g->r, n, sizeof(struct num))};
    net->n_vars += (uint32_t)n;
    g->n_terms = g->row = 0;
    g->room = 1;
}

static void add_bias(struct graph *g, struct num v)
{
    g->node->b[g->row] = num_add(g, g->node->b[g->row], v);
}

/* w times element i of x; what is constant goes to the bias, divided. */
static void add_term(struct graph *g, const struct array *x, uint64_t i,
                     struct num w)
{
    struct node *n = g->node;
    uint32_t var = var_of(x, i);
    if (w.m != 0 && var == CONSTANT) {
        struct num d = n->d ? n->d[g->row] : one, v = num_mul(g, w, x->c[i]);
        need(g, v.m % d.m == 0, "a constant is not divided exactly");
        add_bias(g, num_make(g, v.m / d.m, v.e - d.e));
    } else if (w.m != 0) {
        need(g, g->n_terms < TERMS_MAX && num_bits(w.m) <= 53,
             "too many terms, or a weight of more than 53 bits");
        n->t = grow(g->r, n->t, g->n_terms, &g->room, sizeof *n->t);
        n->t[g->n_terms++] = (struct term){(int64_t)w.m, (int32_t)w.e, var};
    }
}

static void end_row(struct graph *g)
{
    g->node->at[++g->row] = g->n_terms;
}

/* The variables of the node that was made. */
static struct array *made(struct graph *g, const uint64_t *dims,
                          uint32_t rank)
{
    struct array *x = array_new(g, dims, rank);
    x->var = get(g->r, x->n, sizeof *x->var);
    for (uint64_t i = 0; i < x->n; i++)
        x->var[i] = g->node->base + (uint32_t)i;
    return x;
}

/* ---- loop nests ---- */

/* Where the element is; false if outside. Indexes are below 2^26 and steps
 * below 2^32, so nothing overflows. */
static bool find(const struct operand *o, const uint64_t *at, uint32_t loops,
                 uint64_t *where)
{
    *where = 0;
    for (uint32_t d = 0; d < o->x->rank; d++) {
        int64_t i = o->first[d];
        for (uint32_t n = 0; n < loops; n++)
            i += o->by[d][n] * (int64_t)at[n];
        if (o->table && d == o->table_at)
            i = o->table[i];
        if (i < 0 || (uint64_t)i >= o->x->dims[d])
            return false;
        *where = *where * o->x->dims[d] + (uint64_t)i;
    }
    return true;
}

static bool step(uint64_t *at, const uint64_t *size, uint32_t from,
                 uint32_t to)
{
    for (; to-- > from; at[to] = 0)
        if (++at[to] < size[to])
            return true;
    return false;
}

/* The terms of one row: all of the nest below the indexes of the output. */
static void nest_row(struct graph *g, const struct nest *n, uint64_t *at,
                     uint32_t outer)
{
    uint64_t i, j;
    do {
        bool swap;
        need(g, g->steps++ < STEPS_MAX, "more than 2^33 steps");
        if (!find(&n->a, at, n->loops, &i))
            continue;
        if (!n->b.x) {
            add_term(g, n->a.x, i, n->k);
        } else if (find(&n->b, at, n->loops, &j)) {
            swap = var_of(n->b.x, j) != CONSTANT; /* the weight is in a */
            need(g, !swap || var_of(n->a.x, i) == CONSTANT,
                 "no factor is constant");
            add_term(g, swap ? n->b.x : n->a.x, swap ? j : i,
                     num_mul(g, n->k, swap ? n->a.x->c[i] : n->b.x->c[j]));
        }
    } while (step(at, n->size, outer, n->loops));
}

/* Make a node of the shape dims, whose elements are the first outer loops of
 * the nests, which are added; the second may be NULL. */
static struct array *run_nests(struct graph *g, enum kind kind,
                               const uint64_t *dims, uint32_t rank,
                               uint32_t outer, const struct nest *first,
                               const struct nest *second)
{
    struct array *shape = array_new(g, dims, rank);
    uint64_t at[LOOPS_MAX] = {0};
    node_begin(g, kind, shape->n);
    for (uint64_t e = 0; e < shape->n; e++) {
        nest_row(g, first, at, outer);
        if (second)
            nest_row(g, second, at, outer);
        end_row(g);
        step(at, first->size, 0, outer);
    }
    return made(g, dims, rank);
}

/* The elements that the nest finds, and n->outside; that makes no node. */
static struct array *view(struct graph *g, const struct nest *n)
{
    struct array *y = array_new(g, n->size, n->loops);
    const struct array *x = n->a.x;
    uint64_t at[LOOPS_MAX] = {0}, i;
    y->var = get(g->r, y->n, sizeof *y->var);
    y->c = get(g->r, y->n, sizeof *y->c);
    for (uint64_t e = 0; e < y->n; e++, step(at, n->size, 0, n->loops)) {
        bool inside = find(&n->a, at, n->loops, &i);
        y->var[e] = inside ? var_of(x, i) : CONSTANT;
        if (y->var[e] == CONSTANT)
            y->c[e] = inside ? x->c[i] : n->outside;
    }
    return y;
}

/* ---- attributes and inputs ---- */

static const struct attr *attr(struct graph *g, const char *name,
                               uint32_t kind)
{
    for (uint32_t i = 0; i < g->op->n_attrs; i++)
        if (bytes_are(g->op->attrs[i].name, name)) {
            need(g, g->op->attrs[i].kind == kind, "attribute: wrong kind");
            return &g->op->attrs[i];
        }
    return NULL;
}

static int64_t attr_int(struct graph *g, const char *name, int64_t other)
{
    const struct attr *a = attr(g, name, 1);
    return a ? a->i : other;
}

/* Number i of a list of n, from 0 to INT32_MAX; other without the list. */
static int64_t attr_item(struct graph *g, const char *name, uint32_t i,
                         uint32_t n, int64_t other)
{
    const struct attr *a = attr(g, name, 4);
    need(g,
         !a || (a->n_ints == n && a->ints[i] >= 0 && a->ints[i] <= INT32_MAX),
         "attribute: wrong list");
    return a ? a->ints[i] : other;
}

static struct num attr_num(struct graph *g, const char *name, uint32_t other)
{
    const struct attr *a = attr(g, name, 2);
    return num_float(g, a ? a->bits : other, 23, 8);
}

static struct array *in(struct graph *g, uint32_t i)
{
    need(g, i < g->op->n_in && g->in[i],
         "an input is not there or of "
         "another type");
    return g->in[i];
}

/* Constant input i, integers; t is NULL if it is absent. Numbers beyond 32
 * bits, "to the end", come nearer with no change of meaning. */
static struct ints ints_in(struct graph *g, uint32_t i)
{
    uint32_t v = i < g->op->n_in ? g->op->in[i] : 0, t;
    struct ints out = {0, NULL, NULL};
    if (v == 0)
        return out;
    t = g->m->values[v - 1].tensor_plus_1;
    need(g, t > 0, "an input of integers is not constant");
    out.t = &g->m->tensors[t - 1];
    need(g, out.t->dtype == 6 || out.t->dtype == 7, "int64 or int32 wanted");
    out.n = out.t->n;
    out.v = get(g->r, out.n, sizeof *out.v);
    for (uint64_t k = 0; k < out.n; k++) {
        const unsigned char *p = out.t->data.p;
        int64_t x = out.t->dtype == 7 ? (int64_t)little(p + 8 * k, 8)
                                      : (int32_t)little(p + 4 * k, 4);
        x = x > INT32_MAX ? INT32_MAX : x;
        out.v[k] = x < -INT32_MAX ? -INT32_MAX : x;
    }
    return out;
}

static uint32_t axis(struct graph *g, int64_t a, uint32_t rank)
{
    need(g, a >= -(int64_t)rank && a < (int64_t)rank, "no such axis");
    return (uint32_t)(a < 0 ? a + rank : a);
}

/* Which axes a list names, as bits. */
static uint32_t axes(struct graph *g, const int64_t *v, uint64_t n,
                     uint32_t rank)
{
    uint32_t set = 0;
    for (uint64_t i = 0; i < n; i++) {
        need(g, !(set >> axis(g, v[i], rank) & 1), "an axis named twice");
        set |= 1u << axis(g, v[i], rank);
    }
    return set;
}

/* A nest over all of input 0: loop d is dimension d. */
static struct nest whole(struct graph *g)
{
    struct nest n = {.a.x = in(g, 0), .k = {1, 0}, .loops = in(g, 0)->rank};
    for (uint32_t d = 0; d < n.loops; d++) {
        n.a.by[d][d] = 1;
        n.size[d] = n.a.x->dims[d];
    }
    return n;
}

/* Input 0 in another shape. */
static struct array *reshaped(struct graph *g, const uint64_t *dims,
                              uint32_t rank)
{
    struct array *y = array_new(g, dims, rank);
    need(g, in(g, 0)->n == y->n, "the numbers of elements differ");
    y->var = in(g, 0)->var;
    y->c = in(g, 0)->c;
    return y;
}

/* ---- operators that move elements ---- */

static void op_identity(struct graph *g, struct array **out)
{
    uint32_t v = g->op->n_in > 2 ? g->op->in[2] : 0, t = 0;
    if (v > 0) { /* Dropout: training_mode, a boolean */
        t = g->m->values[v - 1].tensor_plus_1;
        need(g,
             t > 0 && g->m->tensors[t - 1].data.n == 1 &&
                 *g->m->tensors[t - 1].data.p == 0,
             "training mode");
    }
    out[0] = in(g, 0);
}

static void op_flatten(struct graph *g, struct array **out)
{
    const struct array *x = in(g, 0);
    int64_t at = attr_int(g, "axis", 1);
    uint64_t dims[2] = {1, 1};
    need(g, at >= -(int64_t)x->rank && at <= (int64_t)x->rank,
         "no such axis");
    for (uint32_t d = 0; d < x->rank; d++)
        dims[d >= (at < 0 ? at + x->rank : at)] *= x->dims[d];
    out[0] = reshaped(g, dims, 2);
}

static void op_reshape(struct graph *g, struct array **out)
{
    const struct array *x = in(g, 0);
    struct ints shape = ints_in(g, 1);
    uint64_t dims[RANK_MAX], known = 1, open = RANK_MAX;
    need(g, shape.t && shape.n <= RANK_MAX, "wrong shape");
    for (uint32_t i = 0; i < shape.n; i++) {
        dims[i] = shape.v[i] == 0 && i < x->rank ? x->dims[i]
                                                 : (uint64_t)shape.v[i];
        if (shape.v[i] == -1 && open == RANK_MAX)
            open = i;
        else /* not 0, not negative, nothing overflows */
            need(g, dims[i] - 1 < x->n / known, "wrong shape");
        known *= shape.v[i] == -1 ? 1 : dims[i];
    }
    if (open < RANK_MAX)
        dims[open] = x->n / known;
    out[0] = reshaped(g, dims, (uint32_t)shape.n);
}

static void op_squeeze(struct graph *g, struct array **out)
{
    const struct array *x = in(g, 0);
    bool un = bytes_are(g->op->op, "Unsqueeze");
    struct ints a = ints_in(g, 1);
    uint32_t rank = x->rank + (un ? (uint32_t)a.n : 0), n = 0, from = 0, set;
    uint64_t dims[RANK_MAX];
    need(g, a.n <= RANK_MAX && rank <= RANK_MAX, "the rank is too large");
    set = axes(g, a.v, a.n, rank);
    for (uint32_t d = 0; d < rank; d++)
        if (un)
            dims[n++] = set >> d & 1 ? 1 : x->dims[from++];
        else if (a.t ? !(set >> d & 1) : x->dims[d] != 1)
            dims[n++] = x->dims[d];
    out[0] = reshaped(g, dims, n);
}

static void op_transpose(struct graph *g, struct array **out)
{
    struct nest n = whole(g);
    const struct attr *a = attr(g, "perm", 4);
    need(g, !a || a->n_ints == n.loops, "perm is of the wrong length");
    if (a)
        axes(g, a->ints, a->n_ints, n.loops);
    memset(n.a.by, 0, sizeof n.a.by);
    for (uint32_t d = 0; d < n.loops; d++) {
        uint32_t from = a ? axis(g, a->ints[d], n.loops) : n.loops - 1 - d;
        n.a.by[from][d] = 1;
        n.size[d] = n.a.x->dims[from];
    }
    out[0] = view(g, &n);
}

static int64_t clamp(int64_t v, int64_t n, int64_t lo, int64_t hi)
{
    v += v < 0 ? n : 0; /* from the end */
    return v < lo ? lo : v > hi ? hi : v;
}

static void op_slice(struct graph *g, struct array **out)
{
    struct nest n = whole(g);
    struct ints from = ints_in(g, 1), to = ints_in(g, 2), at = ints_in(g, 3);
    struct ints by = ints_in(g, 4);
    need(g,
         from.n == to.n && from.n <= n.loops && (!at.t || at.n == from.n) &&
             (!by.t || by.n == from.n),
         "lists of different lengths");
    axes(g, at.v, at.n, n.loops);
    for (uint32_t i = 0; i < from.n; i++) {
        uint32_t d = at.t ? axis(g, at.v[i], n.loops) : i;
        int64_t size = (int64_t)n.size[d], s = by.t ? by.v[i] : 1, a, b;
        need(g, s != 0, "a step is 0");
        a = clamp(from.v[i], size, 0, size - (s < 0));
        b = clamp(to.v[i], size, -(s < 0), size - (s < 0));
        n.a.first[d] = a;
        n.a.by[d][d] = s;
        n.size[d] = (b > a) == (s > 0) && a != b
                        ? (uint64_t)((b - a + s - (s > 0 ? 1 : -1)) / s)
                        : 0;
    }
    out[0] = view(g, &n);
}

static void op_pad(struct graph *g, struct array **out)
{
    struct nest n = whole(g);
    struct ints p = ints_in(g, 1), at = ints_in(g, 3);
    uint64_t n_axes = at.t ? at.n : n.loops;
    axes(g, at.v, at.n, n.loops);
    need(g, p.n == 2 * n_axes, "pads and axes do not agree");
    if (g->op->n_in > 2 && g->op->in[2] > 0) {
        const struct array *value = in(g, 2);
        need(g, value->n == 1 && all_constant(value), "no constant value");
        n.outside = value->c[0];
    }
    for (uint32_t i = 0; i < n_axes; i++) {
        uint32_t d = at.t ? axis(g, at.v[i], n.loops) : i;
        int64_t size = (int64_t)n.size[d] + p.v[i] + p.v[i + n_axes];
        n.a.first[d] = -p.v[i];
        n.size[d] = size < 0 ? 0 : (uint64_t)size;
    }
    out[0] = view(g, &n);
}

static void op_gather(struct graph *g, struct array **out)
{
    const struct array *x = in(g, 0);
    uint32_t a = axis(g, attr_int(g, "axis", 0), x->rank);
    struct ints idx = ints_in(g, 1);
    struct nest n = {
        .a.x = x, .k = {1, 0}, .a.table_at = a, .a.table = idx.v};
    int64_t stride = 1;
    need(g, idx.t && x->rank - 1 + idx.t->rank <= RANK_MAX, "wrong indices");
    for (uint64_t i = 0; i < idx.n; i++) {
        idx.v[i] += idx.v[i] < 0 ? (int64_t)x->dims[a] : 0;
        need(g, idx.v[i] >= 0 && idx.v[i] < (int64_t)x->dims[a],
             "an index is out of range");
    }
    for (uint32_t d = 0; d < x->rank; d++) {
        n.a.by[d][n.loops] = d != a;
        for (uint32_t i = 0; i < (d == a ? idx.t->rank : 1); i++)
            n.size[n.loops++] = d == a ? idx.t->dims[i] : x->dims[d];
    }
    for (uint32_t i = a + idx.t->rank; i-- > a; stride *= (int64_t)n.size[i])
        n.a.by[a][i] = stride;
    out[0] = view(g, &n);
}

static void op_split(struct graph *g, struct array **out)
{
    struct nest n = whole(g);
    uint32_t a = axis(g, attr_int(g, "axis", 0), n.loops);
    uint64_t all = n.size[a], parts = g->op->n_out, at = 0;
    struct ints sizes = ints_in(g, 1);
    need(g, sizes.t ? sizes.n == parts : all % parts == 0, "wrong sizes");
    for (uint64_t i = 0; i < parts; i++) {
        n.a.first[a] = (int64_t)at;
        n.size[a] = sizes.t ? (uint64_t)sizes.v[i] : all / parts;
        need(g, n.size[a] <= all - at, "wrong sizes");
        at += n.size[a];
        out[i] = view(g, &n);
    }
    need(g, at == all, "wrong sizes");
}

static void op_concat(struct graph *g, struct array **out)
{
    struct nest n = whole(g);
    uint32_t a = axis(g, attr_int(g, "axis", RANK_MAX), n.loops);
    uint64_t before = 1, o = 0;
    for (uint32_t i = 1; i < g->op->n_in; i++) {
        need(g, in(g, i)->rank == n.loops, "shapes do not agree");
        for (uint32_t d = 0; d < n.loops; d++)
            need(g, d == a || in(g, i)->dims[d] == n.size[d],
                 "shapes do not agree");
        n.size[a] += in(g, i)->dims[a]; /* at most 2^26 each */
    }
    out[0] = array_new(g, n.size, n.loops);
    out[0]->var = get(g->r, out[0]->n, sizeof *out[0]->var);
    out[0]->c = get(g->r, out[0]->n, sizeof *out[0]->c);
    for (uint32_t d = 0; d < a; d++)
        before *= n.size[d];
    for (uint64_t k = 0; k < before; k++)
        for (uint32_t i = 0; i < g->op->n_in; i++) {
            const struct array *x = in(g, i);
            for (uint64_t m = x->n / before, j = 0; j < m; j++, o++) {
                out[0]->var[o] = var_of(x, k * m + j);
                if (out[0]->var[o] == CONSTANT)
                    out[0]->c[o] = x->c[k * m + j];
            }
        }
}

/* ---- operators that make nodes ---- */

/* Let the first rank dimensions of o be the loops up to loops, and repeat
 * those of size 1; loops of size 0, or 1, so far get the size of o. */
static void broadcast(struct graph *g, struct operand *o, uint64_t *size,
                      uint32_t rank, uint32_t loops)
{
    need(g, rank <= loops, "shapes do not broadcast");
    for (uint32_t d = 0; d < rank; d++) {
        uint64_t *s = &size[loops - rank + d], dim = o->x->dims[d];
        *s = *s <= 1 ? dim : *s;
        need(g, dim == 1 || dim == *s, "shapes do not broadcast");
        o->by[d][loops - rank + d] = dim != 1;
    }
}

/* One term w v for each element of x, and b. */
static struct array *each(struct graph *g, const struct array *x,
                          enum kind kind, struct num w, struct num b)
{
    node_begin(g, kind, x->n);
    for (uint64_t i = 0; i < x->n; i++) {
        need(g, kind < RELU || var_of(x, i) != CONSTANT, "of a constant");
        add_term(g, x, i, w);
        if (b.m != 0)
            add_bias(g, b);
        end_row(g);
    }
    return made(g, x->dims, x->rank);
}

static struct array *rectified(struct graph *g, const struct array *x)
{
    return each(g, x, RELU, one, zero);
}

static void op_each(struct graph *g, struct array **out)
{
    bool neg = bytes_are(g->op->op, "Neg");
    enum kind kind = neg                            ? UNIT
                     : bytes_are(g->op->op, "Relu") ? RELU
                                                    : SIGMOID;
    out[0] = each(g, in(g, 0), kind, neg ? minus_one : one, zero);
}

/* 2 sigmoid(2 x) - 1 */
static void op_tanh(struct graph *g, struct array **out)
{
    const struct num two = {1, 1};
    struct array *x = each(g, in(g, 0), WEIGHTED, two, zero);
    x = each(g, x, SIGMOID, one, zero);
    out[0] = each(g, x, WEIGHTED, two, minus_one);
}

/* Two arrays that broadcast, as loops over what they become. */
static void both(struct graph *g, const struct array *x,
                 const struct array *y, struct operand *a, struct operand *b,
                 struct nest *n)
{
    a->x = x;
    b->x = y;
    n->loops = x->rank > y->rank ? x->rank : y->rank;
    n->k = one;
    broadcast(g, b, n->size, y->rank, n->loops);
    broadcast(g, a, n->size, x->rank, n->loops);
}

/* x + k y */
static struct array *sum(struct graph *g, const struct array *x,
                         const struct array *y, struct num k)
{
    struct nest n = {.loops = 0}, m = {.loops = 0};
    both(g, x, y, &n.a, &m.a, &n);
    m.loops = n.loops;
    m.k = k;
    memcpy(m.size, n.size, sizeof m.size);
    return run_nests(g, UNIT, n.size, n.loops, n.loops, &n, &m);
}

static void op_sum(struct graph *g, struct array **out)
{
    bool sub = bytes_are(g->op->op, "Sub");
    out[0] = sum(g, in(g, 0), in(g, 1), sub ? minus_one : one);
}

static void op_mul(struct graph *g, struct array **out)
{
    struct nest n = {.loops = 0};
    both(g, in(g, 0), in(g, 1), &n.a, &n.b, &n);
    out[0] = run_nests(g, WEIGHTED, n.size, n.loops, n.loops, &n, NULL);
}

/* ---- operators that are linear in pieces ---- */

/* max(a, b) = b + max(0, a - b), min(a, b) = a - max(0, a - b) */
static struct array *extreme(struct graph *g, const struct array *a,
                             const struct array *b, bool max)
{
    struct array *r = rectified(g, sum(g, a, b, minus_one));
    return max ? sum(g, b, r, one) : sum(g, a, r, minus_one);
}

static void op_extreme(struct graph *g, struct array **out)
{
    out[0] = in(g, 0);
    for (uint32_t i = 1; i < g->op->n_in; i++)
        out[0] = extreme(g, out[0], in(g, i), bytes_are(g->op->op, "Max"));
}

static void op_clip(struct graph *g, struct array **out)
{
    out[0] = in(g, 0);
    for (uint32_t i = 1; i < g->op->n_in; i++) {
        if (!g->op->in[i])
            continue;
        need(g, in(g, i)->n == 1 && all_constant(in(g, i)),
             "a bound is no constant number");
        out[0] = extreme(g, out[0], in(g, i), i == 1);
    }
}

/* r + r - x, r = max(0, x) */
static void op_abs(struct graph *g, struct array **out)
{
    const struct array *x = in(g, 0), *r = rectified(g, x);
    struct nest n = {.loops = 0}, m = {.loops = 0};
    both(g, r, x, &n.a, &m.a, &n);
    m.loops = n.loops++;
    m.k = minus_one;
    memcpy(m.size, n.size, sizeof m.size);
    n.size[m.loops] = 2; /* times */
    out[0] = run_nests(g, UNIT, x->dims, x->rank, x->rank, &n, &m);
}

/* a x + (1 - a) max(0, x) */
static void op_leaky(struct graph *g, struct array **out)
{
    const struct array *x = in(g, 0), *r;
    struct array a = {.n = 1}, rest;
    struct num alpha;
    struct nest n = {.loops = 0}, m = {.loops = 0};
    if (bytes_are(g->op->op, "PRelu")) {
        need(g, all_constant(in(g, 1)), "the slope is not constant");
        a = *in(g, 1);
    } else {
        alpha = attr_num(g, "alpha", 0x3c23d70a); /* 0.01 */
        a.c = &alpha;
    }
    rest = a;
    rest.c = get(g->r, a.n, sizeof *rest.c);
    for (uint64_t i = 0; i < a.n; i++)
        rest.c[i] = num_add(g, one, num_mul(g, a.c[i], minus_one));
    r = rectified(g, x);
    both(g, x, &a, &n.a, &n.b, &n);
    both(g, r, &rest, &m.a, &m.b, &m);
    need(g,
         n.loops == x->rank &&
             memcmp(n.size, x->dims, n.loops * sizeof *n.size) == 0,
         "the slope is too large");
    out[0] = run_nests(g, WEIGHTED, x->dims, x->rank, x->rank, &n, &m);
}

/* One round: the elements of all, where those of list i end at end[i], are
 * compared in pairs; the new lists, of the greater ones and what is left. */
static struct array *play(struct graph *g, const struct array *all,
                          uint64_t *end, uint64_t n)
{
    uint64_t pairs = 0, left = 0, at = 0, to = 0;
    struct array *r;
    for (uint64_t i = 0; i < n; at = end[i++]) {
        pairs += (end[i] - at) / 2;
        left += (end[i] - at + 1) / 2;
    }
    node_begin(g, UNIT, pairs);
    for (uint64_t i = 0, k = 0; i < n; k = end[i++])
        for (; k + 1 < end[i]; k += 2) {
            add_term(g, all, k, one);
            add_term(g, all, k + 1, minus_one);
            end_row(g);
        }
    r = rectified(g, made(g, &pairs, 1));
    node_begin(g, UNIT, left);
    for (uint64_t i = 0, k = 0, pair = 0; i < n; end[i++] = to)
        for (; k < end[i]; to++) {
            bool alone = k + 1 == end[i];
            add_term(g, all, alone ? k : k + 1, one);
            if (!alone)
                add_term(g, r, pair++, one);
            k += alone ? 1 : 2;
            end_row(g);
        }
    return made(g, &left, 1);
}

/* The greatest of the elements that the nest finds below the indexes of the
 * output. */
static struct array *maxima(struct graph *g, const uint64_t *dims,
                            uint32_t rank, uint32_t outer,
                            const struct nest *n)
{
    struct array *y = array_new(g, dims, rank), all = {.rank = 1}, *won;
    uint64_t *end = get(g->r, y->n, sizeof *end), most = 0, room = 1, where;
    uint64_t at[LOOPS_MAX] = {0};
    uint64_t *found = get(g->r, 1, sizeof *found);
    for (uint64_t i = 0; i < y->n; i++) {
        uint64_t from = all.n;
        do {
            need(g, g->steps++ < STEPS_MAX, "more than 2^33 steps");
            if (!find(&n->a, at, n->loops, &where))
                continue;
            need(g, all.n < ELEMENTS_MAX, "a tensor is too large");
            found = grow(g->r, found, all.n, &room, sizeof *found);
            found[all.n++] = where;
        } while (step(at, n->size, outer, n->loops));
        step(at, n->size, 0, outer);
        end[i] = all.n;
        need(g, all.n > from, "a window lies in the padding");
        most = all.n - from > most ? all.n - from : most;
    }
    all.dims[0] = all.n;
    all.var = get(g->r, all.n, sizeof *all.var);
    all.c = get(g->r, all.n, sizeof *all.c);
    for (uint64_t i = 0; i < all.n; i++) {
        all.var[i] = var_of(n->a.x, found[i]);
        if (all.var[i] == CONSTANT)
            all.c[i] = n->a.x->c[found[i]];
    }
    won = &all;
    for (; most > 1; most = (most + 1) / 2)
        won = play(g, won, end, y->n);
    y->var = won->var;
    y->c = won->c;
    return y;
}

/* The divisor of the row at hand. */
static void divide(struct graph *g, struct num d)
{
    struct node *n = g->node;
    need(g, d.m != 0 && num_bits(d.m) <= 53, "a divisor is 0 or too long");
    if (!n->d) {
        n->d = get(g->r, n->n, sizeof *n->d);
        for (uint32_t i = 0; i < n->n; i++)
            n->d[i] = one;
    }
    n->d[g->row] = d;
}

static void op_div(struct graph *g, struct array **out)
{
    struct nest n = {.loops = 0}, m = {.loops = 0};
    const struct array *a, *b;
    both(g, in(g, 0), in(g, 1), &n.a, &m.a, &n);
    a = view(g, &n);
    m.loops = n.loops;
    memcpy(m.size, n.size, sizeof m.size);
    b = view(g, &m);
    node_begin(g, WEIGHTED, a->n);
    for (uint64_t i = 0; i < a->n; i++) {
        need(g, var_of(b, i) == CONSTANT, "a divisor is not constant");
        divide(g, b->c[i]);
        add_term(g, a, i, one);
        end_row(g);
    }
    out[0] = made(g, n.size, n.loops);
}

/* As run_nests, but each element is the mean of its terms; all: of those
 * outside, which are zero, too. */
static struct array *means(struct graph *g, const uint64_t *dims,
                           uint32_t rank, uint32_t outer,
                           const struct nest *n, bool all)
{
    struct array *shape = array_new(g, dims, rank);
    uint64_t at[LOOPS_MAX] = {0}, where;
    node_begin(g, WEIGHTED, shape->n);
    for (uint64_t e = 0; e < shape->n; e++) {
        int64_t count = 0;
        do {
            need(g, g->steps++ < STEPS_MAX, "more than 2^33 steps");
            count += all || find(&n->a, at, n->loops, &where);
        } while (step(at, n->size, outer, n->loops));
        divide(g, num_make(g, count, 0));
        nest_row(g, n, at, outer);
        end_row(g);
        step(at, n->size, 0, outer);
    }
    return made(g, dims, rank);
}

static void op_gemm(struct graph *g, struct array **out)
{
    const struct array *a = in(g, 0), *b = in(g, 1);
    bool ta = attr_int(g, "transA", 0) != 0,
         tb = attr_int(g, "transB", 0) != 0;
    bool bias = g->op->n_in > 2 && g->op->in[2] > 0;
    struct nest n = {
        .a.x = a, .b.x = b, .k = attr_num(g, "alpha", ONE), .loops = 3};
    struct nest c = {.k = attr_num(g, "beta", ONE), .loops = 2};
    need(g, a->rank == 2 && b->rank == 2 && a->dims[!ta] == b->dims[tb],
         "shapes do not agree");
    n.a.by[ta][0] = n.a.by[!ta][2] = n.b.by[tb][2] = n.b.by[!tb][1] = 1;
    n.size[0] = c.size[0] = a->dims[ta];
    n.size[1] = c.size[1] = b->dims[!tb];
    n.size[2] = a->dims[!ta];
    if (bias) {
        c.a.x = in(g, 2);
        broadcast(g, &c.a, c.size, c.a.x->rank, 2);
        need(g, memcmp(c.size, n.size, 16) == 0, "C is too large");
    }
    need(g, !bias || !c.a.x->var || all_constant(c.a.x), "C not constant");
    out[0] = run_nests(g, WEIGHTED, n.size, 2, 2, &n, bias ? &c : NULL);
}

static void op_matmul(struct graph *g, struct array **out)
{
    const struct array *a = in(g, 0), *b = in(g, 1);
    uint32_t ra = a->rank, rb = b->rank, rows = ra > 1, cols = rb > 1, batch;
    struct nest n = {.a.x = a, .b.x = b, .k = {1, 0}};
    need(g, ra > 0 && rb > 0 && a->dims[ra - 1] == b->dims[rb - 1 - cols],
         "shapes do not agree");
    batch = (ra > rb ? ra : rb) > 2 ? (ra > rb ? ra : rb) - 2 : 0;
    broadcast(g, &n.b, n.size, cols ? rb - 2 : 0, batch);
    broadcast(g, &n.a, n.size, rows ? ra - 2 : 0, batch);
    n.loops = batch + rows + cols + 1;
    if (rows) {
        n.a.by[ra - 2][batch] = 1;
        n.size[batch] = a->dims[ra - 2];
    }
    if (cols) {
        n.b.by[rb - 1][batch + rows] = 1;
        n.size[batch + rows] = b->dims[rb - 1];
    }
    n.a.by[ra - 1][n.loops - 1] = n.b.by[rb - 1 - cols][n.loops - 1] = 1;
    n.size[n.loops - 1] = a->dims[ra - 1];
    out[0] = run_nests(g, WEIGHTED, n.size, n.loops - 1, n.loops - 1, &n,
                       NULL);
}

/* Conv and pools. Loops: batch, group, channel in the group, spatial;
 * then input channel in the group, spatial in the kernel. */
static void op_conv(struct graph *g, struct array **out)
{
    bool pool = !bytes_are(g->op->op, "Conv");
    bool max = bytes_are(g->op->op, "MaxPool") ||
               bytes_are(g->op->op, "GlobalMaxPool");
    bool global = bytes_are(g->op->op, "GlobalAveragePool") ||
                  bytes_are(g->op->op, "GlobalMaxPool");
    bool bias = g->op->n_in > 2 && g->op->in[2] > 0;
    const struct array *x = in(g, 0), *w = pool ? x : in(g, 1);
    uint32_t s = x->rank - 2, inner = x->rank + 1;
    uint64_t dims[RANK_MAX], taps = 1, groups;
    struct nest n = {.a.x = x, .b.x = pool ? NULL : w, .k = {1, 0}}, c = n;
    need(g, x->rank > 2 && x->rank < RANK_MAX && w->rank == x->rank,
         "shapes do not agree");
    groups = pool ? x->dims[1] : (uint64_t)attr_int(g, "group", 1);
    need(g,
         groups > 0 && x->dims[1] % groups == 0 &&
             (pool || (w->dims[0] % groups == 0 &&
                       w->dims[1] == x->dims[1] / groups)),
         "group, channels and kernel do not agree");
    n.loops = inner + 1 + s;
    n.size[0] = dims[0] = x->dims[0];
    n.size[1] = groups;
    n.size[2] = pool ? 1 : w->dims[0] / groups;
    dims[1] = groups * n.size[2];
    n.size[inner] = x->dims[1] / groups;
    n.a.by[0][0] = n.a.by[1][inner] = n.b.by[0][2] = n.b.by[1][inner] = 1;
    n.a.by[1][1] = (int64_t)n.size[inner];
    n.b.by[0][1] = (int64_t)n.size[2];
    for (uint32_t d = 0; d < s; d++) {
        int64_t size = pool ? 0 : (int64_t)w->dims[d + 2], room;
        int64_t kernel = global ? (int64_t)x->dims[d + 2]
                                : attr_item(g, "kernel_shape", d, s, size);
        int64_t stride = attr_item(g, "strides", d, s, 1);
        int64_t dilation = attr_item(g, "dilations", d, s, 1);
        int64_t pad = attr_item(g, "pads", d, 2 * s, 0);
        room = pad + attr_item(g, "pads", d + s, 2 * s, 0);
        need(g,
             kernel > 0 && kernel <= 65536 && (pool || kernel == size) &&
                 stride > 0 && dilation > 0 && taps <= 1 << 26,
             "kernel_shape, strides or dilations are wrong");
        taps *= (uint64_t)kernel;
        room += (int64_t)x->dims[d + 2] - (kernel - 1) * dilation - 1;
        n.size[d + 3] = room < 0 ? 0 : (uint64_t)(room / stride + 1);
        dims[d + 2] = n.size[d + 3];
        n.size[inner + 1 + d] = (uint64_t)kernel;
        n.a.first[d + 2] = -pad;
        n.a.by[d + 2][d + 3] = stride;
        n.a.by[d + 2][inner + 1 + d] = dilation;
        n.b.by[d + 2][inner + 1 + d] = 1;
    }
    if (bias) {
        c.a.x = in(g, 2);
        c.b.x = NULL;
        need(g,
             all_constant(c.a.x) && c.a.x->rank == 1 && c.a.x->n == dims[1],
             "wrong bias");
        c.loops = inner;
        c.a.by[0][1] = n.b.by[0][1];
        c.a.by[0][2] = 1;
    }
    if (max)
        out[0] = maxima(g, dims, x->rank, inner, &n);
    else if (pool)
        out[0] = means(g, dims, x->rank, inner, &n,
                       global || attr_int(g, "count_include_pad", 0) != 0);
    else
        out[0] = run_nests(g, WEIGHTED, dims, x->rank, inner, &n,
                           bias ? &c : NULL);
}

static void op_reduce(struct graph *g, struct array **out)
{
    const struct attr *a = attr(g, "axes", 4);
    const struct array *x = in(g, 0);
    struct ints list = ints_in(g, 1);
    struct nest n = {.a.x = x, .k = {1, 0}};
    uint64_t dims[RANK_MAX];
    uint32_t set, rank = 0, outer = 0;
    if (a)
        list = (struct ints){a->n_ints, a->ints, NULL};
    set = axes(g, list.v, list.n, x->rank);
    if (list.n == 0 && attr_int(g, "noop_with_empty_axes", 0) == 0)
        set = UINT32_MAX;
    for (uint32_t gone = 0; gone < 2; gone++) /* what stays, what goes */
        for (uint32_t d = 0; d < x->rank; d++) {
            if ((set >> d & 1) != gone)
                continue;
            n.a.by[d][n.loops] = 1;
            n.size[n.loops++] = x->dims[d];
            outer += !gone;
        }
    for (uint32_t d = 0; d < x->rank; d++)
        if (!(set >> d & 1))
            dims[rank++] = x->dims[d];
        else if (attr_int(g, "keepdims", 1) != 0)
            dims[rank++] = 1;
    out[0] = bytes_are(g->op->op, "ReduceMean")
                 ? means(g, dims, rank, outer, &n, true)
                 : run_nests(g, UNIT, dims, rank, outer, &n, NULL);
}

/* Most inputs and outputs, and the attributes, each between spaces. */
static const struct op {
    const char *name;
    uint32_t in, out;
    const char *attrs;
    void (*apply)(struct graph *g, struct array **out);
} ops[] = {
    {"Abs", 1, 1, "", op_abs},
    {"Add", 2, 1, "", op_sum},
    {"AveragePool", 1, 1,
     " count_include_pad dilations kernel_shape pads strides ", op_conv},
    {"Clip", 3, 1, "", op_clip},
    {"Concat", UINT32_MAX, 1, " axis ", op_concat},
    {"Conv", 3, 1, " dilations group kernel_shape pads strides ", op_conv},
    {"Div", 2, 1, "", op_div},
    {"Dropout", 3, 2, " seed ", op_identity},
    {"Flatten", 1, 1, " axis ", op_flatten},
    {"Gather", 2, 1, " axis ", op_gather},
    {"Gemm", 3, 1, " alpha beta transA transB ", op_gemm},
    {"GlobalAveragePool", 1, 1, "", op_conv},
    {"GlobalMaxPool", 1, 1, "", op_conv},
    {"Identity", 1, 1, "", op_identity},
    {"LeakyRelu", 1, 1, " alpha ", op_leaky},
    {"MatMul", 2, 1, "", op_matmul},
    {"Max", UINT32_MAX, 1, "", op_extreme},
    {"MaxPool", 1, 2, " dilations kernel_shape pads storage_order strides ",
     op_conv},
    {"Min", UINT32_MAX, 1, "", op_extreme},
    {"Mul", 2, 1, "", op_mul},
    {"Neg", 1, 1, "", op_each},
    {"PRelu", 2, 1, "", op_leaky},
    {"Pad", 4, 1, "", op_pad},
    {"ReduceMean", 2, 1, " axes keepdims noop_with_empty_axes ", op_reduce},
    {"ReduceSum", 2, 1, " axes keepdims noop_with_empty_axes ", op_reduce},
    {"Relu", 1, 1, "", op_each},
    {"Reshape", 2, 1, "", op_reshape},
    {"Sigmoid", 1, 1, "", op_each},
    {"Slice", 5, 1, "", op_slice},
    {"Split", 2, UINT32_MAX, " axis ", op_split},
    {"Squeeze", 2, 1, "", op_squeeze},
    {"Sub", 2, 1, "", op_sum},
    {"Tanh", 1, 1, "", op_tanh},
    {"Transpose", 1, 1, " perm ", op_transpose},
    {"Unsqueeze", 2, 1, "", op_squeeze},
};

static const struct op *find_op(struct graph *g)
{
    const struct operator* n = g->op;
    const struct op *op = ops, *end = ops + sizeof ops / sizeof *ops;
    while (op < end && !bytes_are(n->op, op->name))
        op++;
    need(g, op < end, "the operator is not understood");
    need(g,
         n->n_in > 0 && n->n_in <= op->in && n->n_out > 0 &&
             n->n_out <= op->out,
         "wrong number of inputs or outputs");
    for (uint32_t i = 0; i < n->n_attrs; i++) {
        const char *p = op->attrs;
        size_t size = n->attrs[i].name.n;
        for (; *p && (memcmp(p, " ", 1) || strcspn(p + 1, " ") != size ||
                      memcmp(p + 1, n->attrs[i].name.p, size));
             p++)
            continue;
        need(g, *p && p[1], "an attribute is not understood");
    }
    return op;
}

/* ---- the graph ---- */

static void apply(struct graph *g)
{
    const struct operator* n = g->op;
    struct array **out = get(g->r, n->n_out, sizeof *out);
    g->in = get(g->r, n->n_in, sizeof *g->in);
    for (uint32_t i = 0; i < n->n_in; i++) {
        uint32_t v = n->in[i] - 1, t = 0;
        if (n->in[i] == 0)
            continue;
        t = g->m->values[v].tensor_plus_1;
        if (t && !g->values[v] && floats(g->m->tensors[t - 1].dtype))
            g->values[v] = constant(g, &g->m->tensors[t - 1]);
        need(g, t || g->values[v], "an input is used before it is made");
        g->in[i] = g->values[v];
    }
    find_op(g)->apply(g, out);
    for (uint32_t i = 0; i < n->n_out; i++)
        if (n->out[i] && out[i]) {
            uint32_t v = n->out[i] - 1;
            need(g, !g->values[v] && !g->m->values[v].tensor_plus_1,
                 "an output is made twice, or a constant");
            g->values[v] = out[i];
        }
}

static void graph_input(struct graph *g, uint32_t at)
{
    const struct value *v = &g->m->values[at];
    struct node *node = g->node;
    uint64_t dims[RANK_MAX + 1];
    struct array *x;
    need(g,
         v->rank_plus_1 > 0 && !v->tensor_plus_1 && floats(v->dtype) &&
             !g->values[at],
         "a graph input has no rank, is constant or of another type");
    for (uint32_t i = 0; i + 1 < v->rank_plus_1; i++)
        dims[i] = v->dims[i] == -1 ? 1 : (uint64_t)v->dims[i];
    x = g->values[at] = array_new(g, dims, v->rank_plus_1 - 1);
    need(g, x->n <= ELEMENTS_MAX - g->net->n_vars, "too many inputs");
    x->var = get(g->r, x->n, sizeof *x->var);
    for (uint64_t i = 0; i < x->n; i++)
        x->var[i] = g->net->n_vars++;
    node->n = g->net->n_vars;
}

/* The last node: all outputs. */
static void graph_outputs(struct graph *g)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < g->m->n_outputs; i++) {
        const struct array *x = g->values[g->m->outputs[i]];
        need(g, x != NULL, "no node makes it");
        n += x->n; /* at most 2^26 each */
    }
    node_begin(g, UNIT, n);
    for (uint32_t i = 0; i < g->m->n_outputs; i++) {
        const struct array *x = g->values[g->m->outputs[i]];
        for (uint64_t j = 0; j < x->n; j++) {
            add_term(g, x, j, one);
            end_row(g);
        }
    }
}

void graph_read(struct run *r, struct net *net, const struct model *m)
{
    struct graph g = {.r = r, .net = net, .m = m};
    g.values = get(r, m->n_values, sizeof *g.values);
    net->nodes = get(r, NODES_MAX, sizeof *net->nodes);
    node_begin(&g, INPUT, 0);
    for (uint32_t i = 0; i < m->n_inputs; i++)
        graph_input(&g, m->inputs[i]);
    for (uint32_t i = 0; i < m->n_nodes; i++) {
        g.op = &m->nodes[i];
        apply(&g);
    }
    g.op = NULL;
    graph_outputs(&g);
}
