/* graph.c - the graph of a model as the nodes of ax-cert(5), NETWORK: what
 * every operator of ONNX, opset 17, computes.
 *
 * A value is an array of constants and variables. Operators that move
 * elements about make a new array of them; each of the others makes nodes,
 * row by row, of the terms that its elements have. */
#include "island.h"

#include <string.h>

enum { E_MIN = -1000, E_MAX = 900, NODES_MAX = 8192 };
#define ELEMENTS_MAX (1ull << 26) /* of a value, and of all variables */
#define STEPS_MAX    (1ull << 33) /* minutes */
#define TERMS_MAX    (1ull << 28) /* of a node: 4 GiB */
#define ONE          0x3f800000   /* a float32 */

struct array {
    uint32_t rank;
    uint64_t dims[RANK_MAX], n;
    struct num *x;
};

struct ints { /* an input; t is NULL if it is absent */
    uint64_t n;
    int64_t *v;
    const struct tensor *t;
};

struct graph {
    struct run *r;
    struct net *net;
    struct model *m;
    const struct operator* op; /* at hand, or NULL */
    struct array **values;     /* [values] made so far */
    struct array **in;         /* [op->n_in], NULL where absent or integers */
    struct node *node;         /* in the making */
    uint64_t n_terms, room, row, steps; /* steps: of loops, in all */
};

const struct num one = {1, 0, 0};
static const struct num none = {0, 0, 0}, minus_one = {-1, 0, 0};

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

static bool is_op(const struct graph *g, const char *name)
{
    return bytes_are(g->op->op, name);
}

/* ---- numbers ---- */

static struct num num_make(struct graph *g, i128 m, int64_t e)
{
    for (; m != 0 && !(m & 1); e++)
        m >>= 1;
    need(g, bits(m) <= 100 && (m == 0 || (e >= E_MIN && e <= E_MAX)),
         "a value does not fit in 100 bits or the range of exponents");
    return (struct num){m, m ? (int32_t)e : 0, 0};
}

static struct num num_add(struct graph *g, struct num a, struct num b)
{
    if (a.m == 0 || b.m == 0)
        return a.m == 0 ? b : a;
    if (a.e < b.e)
        return num_add(g, b, a);
    /* A result of up to 100 bits needs no more than this. */
    need(g, bits(a.m) + a.e - b.e <= 126, "a sum does not fit");
    return num_make(g, a.m * ((i128)1 << (a.e - b.e)) + b.m, b.e);
}

static struct num num_mul(struct graph *g, struct num a, struct num b)
{
    need(g, bits(a.m) + bits(b.m) <= 126, "a product does not fit");
    return num_make(g, a.m * b.m, (int64_t)a.e + b.e);
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
    struct array *a = get(g->r, 1, sizeof *a);
    a->rank = rank;
    a->n = 1;
    for (uint32_t i = 0; i < rank; i++) {
        need(g, dims[i] > 0 && dims[i] <= ELEMENTS_MAX / a->n,
             "a tensor is empty or too large");
        a->n *= a->dims[i] = dims[i];
    }
    a->x = get(g->r, a->n, sizeof *a->x);
    return a;
}

static bool floats(uint32_t dtype)
{
    return dtype == 1 || dtype == 10 || dtype == 11;
}

static struct array *constant(struct graph *g, const struct tensor *t)
{
    struct array *a = array_new(g, t->dims, t->rank);
    int size = t->dtype == 1 ? 4 : t->dtype == 10 ? 2 : 8;
    int mant = size == 4 ? 23 : size == 2 ? 10 : 52;
    for (uint64_t i = 0; i < t->n; i++)
        a->x[i] = num_float(g, little(t->data.p + (size_t)size * i, size),
                            mant, 8 * size - 1 - mant);
    return a;
}

/* New variables. Each node's begin at a multiple of 8. */
static struct array *variables(struct graph *g, const uint64_t *dims,
                               uint32_t rank)
{
    struct array *a = array_new(g, dims, rank);
    need(g, a->n <= ELEMENTS_MAX - g->net->n_vars, "too many variables");
    for (uint64_t i = 0; i < a->n; i++)
        a->x[i].var = g->net->n_vars++;
    return a;
}

/* ---- nodes in the making ---- */

/* Begin a node: its variables. */
static struct array *node_begin(struct graph *g, enum kind kind,
                                const uint64_t *dims, uint32_t rank)
{
    struct net *net = g->net;
    struct array *y;
    need(g, net->n_nodes < NODES_MAX, "too many nodes");
    net->n_vars = (uint32_t)up8(net->n_vars);
    g->node = &net->nodes[net->n_nodes++];
    *g->node = (struct node){.kind = kind, .base = net->n_vars};
    y = variables(g, dims, rank);
    g->node->n = (uint32_t)y->n;
    g->node->at = get(g->r, y->n + 1, 8);
    g->node->b = get(g->r, y->n, sizeof *g->node->b);
    g->node->t = get(g->r, 1, sizeof *g->node->t);
    g->n_terms = g->row = 0;
    g->room = 1;
    return y;
}

static void count_step(struct graph *g)
{
    need(g, g->steps++ < STEPS_MAX, "more than 2^33 steps");
}

/* w x; what is constant goes to the bias, divided. */
static void add_term(struct graph *g, struct num x, struct num w)
{
    struct node *n = g->node;
    count_step(g);
    need(g, n->kind < RELU || x.var != 0, "of a constant");
    if (w.m != 0 && x.var == 0) {
        struct num d = n->d ? n->d[g->row] : one, v = num_mul(g, w, x);
        need(g, v.m % d.m == 0, "a constant is not divided exactly");
        v = num_make(g, v.m / d.m, (int64_t)v.e - d.e);
        n->b[g->row] = num_add(g, n->b[g->row], v);
    } else if (w.m != 0) {
        need(g, g->n_terms < TERMS_MAX && bits(w.m) <= 53,
             "too many terms, or a weight of more than 53 bits");
        n->t = grow(g->r, n->t, g->n_terms, &g->room, sizeof *n->t);
        n->t[g->n_terms++] = (struct term){(int64_t)w.m, w.e, x.var};
    }
}

/* k a b, of which one is constant. */
static void add_product(struct graph *g, struct num a, struct num b,
                        struct num k)
{
    need(g, a.var == 0 || b.var == 0, "no factor is constant");
    add_term(g, b.var ? b : a, num_mul(g, k, b.var ? a : b));
}

/* The row at hand is divided by d; that comes before its terms. */
static void divide(struct graph *g, struct num d)
{
    struct node *n = g->node;
    need(g, d.m != 0 && d.var == 0 && bits(d.m) <= 53,
         "a divisor is 0, not constant or too long");
    if (!n->d) {
        n->d = get(g->r, n->n, sizeof *n->d);
        for (uint32_t i = 0; i < n->n; i++)
            n->d[i] = one;
    }
    n->d[g->row] = d;
}

static void end_row(struct graph *g)
{
    g->node->at[++g->row] = g->n_terms;
}

/* ---- attributes and inputs ---- */

/* What is not read is not understood, see apply(). */
static const struct attr *attr(struct graph *g, const char *name,
                               uint32_t kind)
{
    for (uint32_t i = 0; i < g->op->n_attrs; i++) {
        struct attr *a = &g->op->attrs[i];
        if (!bytes_are(a->name, name))
            continue;
        need(g, a->kind == kind, "attribute: wrong kind");
        a->read = true;
        return a;
    }
    return NULL;
}

static int64_t attr_int(struct graph *g, const char *name, int64_t other)
{
    const struct attr *a = attr(g, name, 1);
    return a ? a->i : other;
}

/* A list of n numbers from 0 to INT32_MAX; of others, if it is absent or has
 * no name. */
static const int64_t *attr_list(struct graph *g, const char *name, uint32_t n,
                                int64_t other)
{
    const struct attr *a = name ? attr(g, name, 4) : NULL;
    int64_t *list = get(g->r, n, sizeof *list);
    need(g, !a || a->n_ints == n, "attribute: wrong list");
    for (uint32_t i = 0; i < n; i++) {
        list[i] = a ? a->ints[i] : other;
        need(g, list[i] >= 0 && list[i] <= INT32_MAX,
             "attribute: wrong list");
    }
    return list;
}

static struct num attr_num(struct graph *g, const char *name, uint32_t other)
{
    const struct attr *a = attr(g, name, 2);
    return num_float(g, a ? a->bits : other, 23, 8);
}

static bool has(const struct graph *g, uint32_t i)
{
    return i < g->op->n_in && g->op->in[i] > 0;
}

static struct array *in(struct graph *g, uint32_t i)
{
    need(g, i < g->op->n_in && g->in[i],
         "an input is not there or of another type");
    return g->in[i];
}

static struct array *constant_in(struct graph *g, uint32_t i)
{
    struct array *a = in(g, i);
    for (uint64_t k = 0; k < a->n; k++)
        need(g, a->x[k].var == 0, "an input is not constant");
    return a;
}

/* Constant input i, integers. Numbers beyond 32 bits, "to the end", come
 * nearer with no change of meaning. */
static struct ints ints_in(struct graph *g, uint32_t i)
{
    struct ints out = {0, NULL, NULL};
    uint32_t t;
    if (!has(g, i))
        return out;
    t = g->m->values[g->op->in[i] - 1].tensor_plus_1;
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

/* ---- operators that move elements ---- */

/* The same elements in another shape. */
static struct array *reshaped(struct graph *g, const struct array *a,
                              const uint64_t *dims, uint32_t rank)
{
    struct array *y = array_new(g, dims, rank);
    need(g, a->n == y->n, "the numbers of elements differ");
    memcpy(y->x, a->x, a->n * sizeof *a->x);
    return y;
}

/* Along axis d the elements from, from + by, ... of a, n of them; with a
 * table, those that it has there. Outside of a there is other. */
static struct array *pick(struct graph *g, const struct array *a, uint32_t d,
                          uint64_t n, int64_t from, int64_t by,
                          const int64_t *table, struct num other)
{
    uint64_t dims[RANK_MAX] = {0}, inner = 1;
    struct array *y;
    memcpy(dims, a->dims, sizeof dims);
    dims[d] = n;
    y = array_new(g, dims, a->rank);
    for (uint32_t i = d + 1; i < a->rank; i++)
        inner *= dims[i];
    for (uint64_t k = 0; k < y->n; k++) {
        uint64_t outer = k / inner / n, i = k / inner % n;
        int64_t at = from + by * (int64_t)i;
        at = table ? table[at] : at;
        y->x[k] = at < 0 || at >= (int64_t)a->dims[d]
                      ? other
                      : a->x[(outer * a->dims[d] + (uint64_t)at) * inner +
                             k % inner];
    }
    return y;
}

/* Dimension d of the result is dimension perm[d] of a. */
static struct array *permuted(struct graph *g, const struct array *a,
                              const uint32_t *perm)
{
    uint64_t dims[RANK_MAX], step[RANK_MAX], size = 1;
    struct array *y;
    for (uint32_t d = a->rank; d-- > 0; size *= a->dims[d])
        step[d] = size;
    for (uint32_t d = 0; d < a->rank; d++)
        dims[d] = a->dims[perm[d]];
    y = array_new(g, dims, a->rank);
    for (uint64_t k = 0; k < y->n; k++) {
        uint64_t rest = k, at = 0;
        for (uint32_t d = a->rank; d-- > 0; rest /= dims[d])
            at += rest % dims[d] * step[perm[d]];
        y->x[k] = a->x[at];
    }
    return y;
}

static void op_identity(struct graph *g, struct array **out)
{
    if (is_op(g, "Dropout"))
        attr(g, "seed", 1);
    if (has(g, 2)) { /* Dropout: training_mode, a boolean */
        uint32_t t = g->m->values[g->op->in[2] - 1].tensor_plus_1;
        need(g,
             t > 0 && g->m->tensors[t - 1].data.n == 1 &&
                 *g->m->tensors[t - 1].data.p == 0,
             "training mode");
    }
    out[0] = in(g, 0);
}

static void op_flatten(struct graph *g, struct array **out)
{
    const struct array *a = in(g, 0);
    int64_t at = attr_int(g, "axis", 1);
    uint64_t dims[2] = {1, 1};
    need(g, at >= -(int64_t)a->rank && at <= (int64_t)a->rank,
         "no such axis");
    for (uint32_t d = 0; d < a->rank; d++)
        dims[d >= (at < 0 ? at + a->rank : at)] *= a->dims[d];
    out[0] = reshaped(g, a, dims, 2);
}

static void op_reshape(struct graph *g, struct array **out)
{
    const struct array *a = in(g, 0);
    struct ints shape = ints_in(g, 1);
    uint64_t dims[RANK_MAX], known = 1, open = RANK_MAX;
    need(g, shape.t && shape.n <= RANK_MAX, "wrong shape");
    for (uint32_t i = 0; i < shape.n; i++) {
        dims[i] = shape.v[i] == 0 && i < a->rank ? a->dims[i]
                                                 : (uint64_t)shape.v[i];
        if (shape.v[i] == -1 && open == RANK_MAX)
            open = i;
        else /* not 0, not negative, nothing overflows */
            need(g, dims[i] - 1 < a->n / known, "wrong shape");
        known *= shape.v[i] == -1 ? 1 : dims[i];
    }
    if (open < RANK_MAX)
        dims[open] = a->n / known;
    out[0] = reshaped(g, a, dims, (uint32_t)shape.n);
}

static void op_squeeze(struct graph *g, struct array **out)
{
    const struct array *a = in(g, 0);
    bool un = is_op(g, "Unsqueeze");
    struct ints at = ints_in(g, 1);
    uint32_t rank = a->rank + (un ? (uint32_t)at.n : 0), n = 0, from = 0, set;
    uint64_t dims[RANK_MAX];
    need(g, at.n <= RANK_MAX && rank <= RANK_MAX, "the rank is too large");
    set = axes(g, at.v, at.n, rank);
    for (uint32_t d = 0; d < rank; d++)
        if (un)
            dims[n++] = set >> d & 1 ? 1 : a->dims[from++];
        else if (at.t ? !(set >> d & 1) : a->dims[d] != 1)
            dims[n++] = a->dims[d];
    out[0] = reshaped(g, a, dims, n);
}

static void op_transpose(struct graph *g, struct array **out)
{
    const struct array *a = in(g, 0);
    const struct attr *list = attr(g, "perm", 4);
    uint32_t perm[RANK_MAX];
    need(g, !list || list->n_ints == a->rank, "perm is of the wrong length");
    if (list)
        axes(g, list->ints, list->n_ints, a->rank);
    for (uint32_t d = 0; d < a->rank; d++)
        perm[d] = list ? axis(g, list->ints[d], a->rank) : a->rank - 1 - d;
    out[0] = permuted(g, a, perm);
}

static int64_t clamp(int64_t v, int64_t n, int64_t lo, int64_t hi)
{
    v += v < 0 ? n : 0; /* from the end */
    return v < lo ? lo : v > hi ? hi : v;
}

static void op_slice(struct graph *g, struct array **out)
{
    struct ints from = ints_in(g, 1), to = ints_in(g, 2), at = ints_in(g, 3);
    struct ints by = ints_in(g, 4);
    out[0] = in(g, 0);
    need(g,
         from.n == to.n && from.n <= out[0]->rank &&
             (!at.t || at.n == from.n) && (!by.t || by.n == from.n),
         "lists of different lengths");
    axes(g, at.v, at.n, out[0]->rank);
    for (uint32_t i = 0; i < from.n; i++) {
        uint32_t d = at.t ? axis(g, at.v[i], out[0]->rank) : i;
        int64_t n = (int64_t)out[0]->dims[d], s = by.t ? by.v[i] : 1, a, b;
        need(g, s != 0, "a step is 0");
        a = clamp(from.v[i], n, 0, n - (s < 0));
        b = clamp(to.v[i], n, -(s < 0), n - (s < 0));
        n = (b - a + s - (s > 0 ? 1 : -1)) / s;
        out[0] = pick(g, out[0], d, n > 0 ? (uint64_t)n : 0, a, s, NULL, one);
    }
}

static void op_pad(struct graph *g, struct array **out)
{
    struct ints p = ints_in(g, 1), at = ints_in(g, 3);
    struct num other = {0, 0, 0};
    uint64_t n;
    out[0] = in(g, 0);
    n = at.t ? at.n : out[0]->rank;
    axes(g, at.v, at.n, out[0]->rank);
    need(g, p.n == 2 * n, "pads and axes do not agree");
    if (has(g, 2)) {
        other = *constant_in(g, 2)->x;
        need(g, in(g, 2)->n == 1, "no constant value");
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t d = at.t ? axis(g, at.v[i], out[0]->rank) : i;
        int64_t size = (int64_t)out[0]->dims[d] + p.v[i] + p.v[i + n];
        out[0] = pick(g, out[0], d, size < 0 ? 0 : (uint64_t)size, -p.v[i], 1,
                      NULL, other);
    }
}

static void op_gather(struct graph *g, struct array **out)
{
    const struct array *a = in(g, 0);
    uint32_t d = axis(g, attr_int(g, "axis", 0), a->rank), rank = 0;
    struct ints idx = ints_in(g, 1);
    uint64_t dims[RANK_MAX];
    need(g, idx.t && a->rank - 1 + idx.t->rank <= RANK_MAX, "wrong indices");
    for (uint64_t i = 0; i < idx.n; i++) {
        idx.v[i] += idx.v[i] < 0 ? (int64_t)a->dims[d] : 0;
        need(g, idx.v[i] >= 0 && idx.v[i] < (int64_t)a->dims[d],
             "an index is out of range");
    }
    for (uint32_t i = 0; i < a->rank; i++)
        for (uint32_t k = 0; k < (i == d ? idx.t->rank : 1); k++)
            dims[rank++] = i == d ? idx.t->dims[k] : a->dims[i];
    out[0] = reshaped(g, pick(g, a, d, idx.n, 0, 1, idx.v, one), dims, rank);
}

static void op_split(struct graph *g, struct array **out)
{
    const struct array *a = in(g, 0);
    uint32_t d = axis(g, attr_int(g, "axis", 0), a->rank);
    uint64_t all = a->dims[d], parts = g->op->n_out, at = 0;
    struct ints sizes = ints_in(g, 1);
    need(g, sizes.t ? sizes.n == parts : all % parts == 0, "wrong sizes");
    for (uint64_t i = 0; i < parts; i++) {
        uint64_t n = sizes.t ? (uint64_t)sizes.v[i] : all / parts;
        need(g, n <= all - at, "wrong sizes");
        out[i] = pick(g, a, d, n, (int64_t)at, 1, NULL, one);
        at += n;
    }
    need(g, at == all, "wrong sizes");
}

static void op_concat(struct graph *g, struct array **out)
{
    const struct array *a = in(g, 0);
    uint32_t axis_of = axis(g, attr_int(g, "axis", RANK_MAX), a->rank);
    uint64_t dims[RANK_MAX] = {0}, before = 1, o = 0;
    for (uint32_t i = 0; i < g->op->n_in; i++) {
        need(g, in(g, i)->rank == a->rank, "shapes do not agree");
        for (uint32_t d = 0; d < a->rank; d++) {
            need(g, d == axis_of || in(g, i)->dims[d] == a->dims[d],
                 "shapes do not agree");
            dims[d] = a->dims[d];
        }
    }
    for (uint32_t i = 1; i < g->op->n_in; i++)
        dims[axis_of] += in(g, i)->dims[axis_of]; /* at most 2^26 each */
    for (uint32_t d = 0; d < axis_of; d++)
        before *= dims[d];
    out[0] = array_new(g, dims, a->rank);
    for (uint64_t k = 0; k < before; k++)
        for (uint32_t i = 0; i < g->op->n_in; i++) {
            uint64_t part = in(g, i)->n / before;
            memcpy(out[0]->x + o, in(g, i)->x + k * part,
                   part * sizeof *out[0]->x);
            o += part;
        }
}

/* ---- operators that make nodes ---- */

/* w v + b for each element v. */
static struct array *each(struct graph *g, const struct array *a,
                          enum kind kind, struct num w, struct num b)
{
    struct array *y = node_begin(g, kind, a->dims, a->rank);
    for (uint64_t i = 0; i < a->n; i++) {
        add_term(g, a->x[i], w);
        if (b.m != 0)
            add_term(g, b, one);
        end_row(g);
    }
    return y;
}

static struct array *rectified(struct graph *g, const struct array *a)
{
    return each(g, a, RELU, one, none);
}

static void op_each(struct graph *g, struct array **out)
{
    bool neg = is_op(g, "Neg"), relu = is_op(g, "Relu");
    out[0] = each(g, in(g, 0),
                  neg    ? UNIT
                  : relu ? RELU
                         : SIGMOID,
                  neg ? minus_one : one, none);
}

/* 2 sigmoid(2 x) - 1 */
static void op_tanh(struct graph *g, struct array **out)
{
    const struct num two = {1, 1, 0};
    struct array *a = each(g, in(g, 0), WEIGHTED, two, none);
    a = each(g, a, SIGMOID, one, none);
    out[0] = each(g, a, WEIGHTED, two, minus_one);
}

/* Bring two arrays to one shape, repeating what has size 1. From dimension
 * keep on, counted from the end, they are left as they are. */
static void broadcast(struct graph *g, const struct array **a,
                      const struct array **b, uint32_t keep)
{
    const struct array **both[2] = {a, b};
    uint32_t rank = (*a)->rank > (*b)->rank ? (*a)->rank : (*b)->rank;
    for (int i = 0; i < 2; i++) { /* ones in front */
        uint64_t dims[RANK_MAX];
        uint32_t more = rank - (*both[i])->rank;
        for (uint32_t d = 0; d < rank; d++)
            dims[d] = d < more ? 1 : (*both[i])->dims[d - more];
        if (more > 0)
            *both[i] = reshaped(g, *both[i], dims, rank);
    }
    for (uint32_t d = 0; d + keep < rank; d++) {
        uint64_t n = (*a)->dims[d], m = (*b)->dims[d];
        need(g, n == m || n == 1 || m == 1, "shapes do not broadcast");
        if (n < m)
            *a = pick(g, *a, d, m, 0, 0, NULL, one);
        else if (m < n)
            *b = pick(g, *b, d, n, 0, 0, NULL, one);
    }
}

/* a + b, a - b, a b, or a / b, element by element. */
static struct array *binary(struct graph *g, const struct array *a,
                            const struct array *b, char op)
{
    bool sum = op == '+' || op == '-';
    struct array *y;
    broadcast(g, &a, &b, 0);
    y = node_begin(g, sum ? UNIT : WEIGHTED, a->dims, a->rank);
    for (uint64_t i = 0; i < a->n; i++) {
        if (op == '/')
            divide(g, b->x[i]);
        if (op == '*')
            add_product(g, a->x[i], b->x[i], one);
        else
            add_term(g, a->x[i], one);
        if (sum)
            add_term(g, b->x[i], op == '+' ? one : minus_one);
        end_row(g);
    }
    return y;
}

static void op_binary(struct graph *g, struct array **out)
{
    out[0] = binary(g, in(g, 0), in(g, 1),
                    is_op(g, "Add")   ? '+'
                    : is_op(g, "Sub") ? '-'
                    : is_op(g, "Mul") ? '*'
                                      : '/');
}

static void op_gemm(struct graph *g, struct array **out)
{
    const struct array *a = in(g, 0), *b = in(g, 1), *c = NULL;
    bool ta = attr_int(g, "transA", 0) != 0,
         tb = attr_int(g, "transB", 0) != 0;
    struct num alpha = attr_num(g, "alpha", ONE);
    struct num beta = attr_num(g, "beta", ONE);
    uint64_t m, n, l;
    need(g, a->rank == 2 && b->rank == 2 && a->dims[!ta] == b->dims[tb],
         "shapes do not agree");
    m = a->dims[ta];
    l = a->dims[!ta];
    n = b->dims[!tb];
    out[0] = node_begin(g, WEIGHTED, (uint64_t[]){m, n}, 2);
    if (has(g, 2)) {
        const struct array *same = out[0];
        c = constant_in(g, 2);
        broadcast(g, &c, &same, 0);
        need(g, c->rank == 2 && c->n == m * n, "C is too large");
    }
    for (uint64_t i = 0; i < m; i++)
        for (uint64_t j = 0; j < n; j++) {
            for (uint64_t k = 0; k < l; k++)
                add_product(g, a->x[ta ? k * m + i : i * l + k],
                            b->x[tb ? j * l + k : k * n + j], alpha);
            if (c)
                add_term(g, c->x[i * n + j], beta);
            end_row(g);
        }
}

/* A vector is a matrix of one row (one column), which goes afterwards. */
static void op_matmul(struct graph *g, struct array **out)
{
    const struct array *a = in(g, 0), *b = in(g, 1);
    bool row = a->rank == 1, column = b->rank == 1;
    uint64_t dims[RANK_MAX], m, n, l;
    uint32_t rank;
    need(g, a->rank > 0 && b->rank > 0, "shapes do not agree");
    if (row)
        a = reshaped(g, a, (uint64_t[]){1, a->n}, 2);
    if (column)
        b = reshaped(g, b, (uint64_t[]){b->n, 1}, 2);
    broadcast(g, &a, &b, 2);
    rank = a->rank;
    m = a->dims[rank - 2];
    l = a->dims[rank - 1];
    n = b->dims[rank - 1];
    need(g, l == b->dims[rank - 2], "shapes do not agree");
    memcpy(dims, a->dims, sizeof dims);
    if (!row)
        dims[rank - 2] = m;
    dims[rank - 2 + !row] = n;
    rank -= row + column;
    out[0] = node_begin(g, WEIGHTED, dims, rank);
    for (uint64_t i = 0; i < a->n / l; i++)
        for (uint64_t j = 0; j < n; j++) {
            for (uint64_t k = 0; k < l; k++)
                add_product(g, a->x[i * l + k], b->x[(i / m * l + k) * n + j],
                            one);
            end_row(g);
        }
}

static void op_reduce(struct graph *g, struct array **out)
{
    const struct attr *list = attr(g, "axes", 4);
    const struct array *a = in(g, 0);
    struct ints given = ints_in(g, 1);
    bool keep = attr_int(g, "keepdims", 1) != 0, mean;
    bool noop = attr_int(g, "noop_with_empty_axes", 0) != 0;
    uint32_t set, rank = 0, perm[RANK_MAX] = {0}, n = 0;
    uint64_t dims[RANK_MAX] = {0}, outer = 1;
    if (list)
        given = (struct ints){list->n_ints, list->ints, NULL};
    set = axes(g, given.v, given.n, a->rank);
    if (given.n == 0 && !noop)
        set = UINT32_MAX;
    for (uint32_t gone = 0; gone < 2; gone++) /* what stays comes first */
        for (uint32_t d = 0; d < a->rank; d++)
            if ((set >> d & 1) == gone)
                perm[n++] = d;
    for (uint32_t d = 0; d < a->rank; d++) {
        outer *= set >> d & 1 ? 1 : a->dims[d];
        if (keep || !(set >> d & 1))
            dims[rank++] = set >> d & 1 ? 1 : a->dims[d];
    }
    a = permuted(g, a, perm);
    mean = is_op(g, "ReduceMean");
    out[0] = node_begin(g, mean ? WEIGHTED : UNIT, dims, rank);
    for (uint64_t i = 0, size = a->n / outer; i < outer; i++) {
        if (mean)
            divide(g, num_make(g, (int64_t)size, 0));
        for (uint64_t k = 0; k < size; k++)
            add_term(g, a->x[i * size + k], one);
        end_row(g);
    }
}

/* ---- operators that are linear in pieces ---- */

/* max(a, b) = b + max(0, a - b), min(a, b) = a - max(0, a - b) */
static struct array *extreme(struct graph *g, const struct array *a,
                             const struct array *b, bool max)
{
    struct array *r = rectified(g, binary(g, a, b, '-'));
    return max ? binary(g, b, r, '+') : binary(g, a, r, '-');
}

static void op_extreme(struct graph *g, struct array **out)
{
    out[0] = in(g, 0);
    for (uint32_t i = 1; i < g->op->n_in; i++)
        out[0] = extreme(g, out[0], in(g, i), is_op(g, "Max"));
}

static void op_clip(struct graph *g, struct array **out)
{
    out[0] = in(g, 0);
    for (uint32_t i = 1; i < g->op->n_in; i++)
        if (has(g, i)) {
            need(g, constant_in(g, i)->n == 1, "a bound is no number");
            out[0] = extreme(g, out[0], in(g, i), i == 1);
        }
}

/* r + r - a, r = max(0, a) */
static void op_abs(struct graph *g, struct array **out)
{
    const struct array *a = in(g, 0), *r = rectified(g, a);
    out[0] = node_begin(g, UNIT, a->dims, a->rank);
    for (uint64_t i = 0; i < a->n; i++) {
        add_term(g, r->x[i], one);
        add_term(g, r->x[i], one);
        add_term(g, a->x[i], minus_one);
        end_row(g);
    }
}

/* k a + (1 - k) max(0, a) */
static void op_leaky(struct graph *g, struct array **out)
{
    const struct array *a = in(g, 0), *same = a, *k, *r;
    struct array *slope = array_new(g, NULL, 0);
    if (is_op(g, "PRelu"))
        slope = constant_in(g, 1);
    else
        *slope->x = attr_num(g, "alpha", 0x3c23d70a); /* 0.01 */
    k = slope;
    broadcast(g, &same, &k, 0);
    need(g, k->n == a->n && k->rank == a->rank, "the slope is too large");
    r = rectified(g, a);
    out[0] = node_begin(g, WEIGHTED, a->dims, a->rank);
    for (uint64_t i = 0; i < a->n; i++) {
        struct num minus = num_mul(g, k->x[i], minus_one);
        add_term(g, a->x[i], k->x[i]);
        add_term(g, r->x[i], num_add(g, one, minus));
        end_row(g);
    }
}

/* ---- windows ---- */

/* For each place of a window, row-major, and each tap of the kernel, where
 * it is in the spatial part of the input; -1 if outside. */
struct windows {
    uint64_t dims[RANK_MAX], places, taps; /* dims: spatial, of places */
    int64_t *at;                           /* [places][taps] */
};

static struct windows windows(struct graph *g, const uint64_t *size,
                              uint32_t s, const int64_t *kernel, bool global)
{
    const int64_t *stride = attr_list(g, global ? NULL : "strides", s, 1);
    const int64_t *dilation = attr_list(g, global ? NULL : "dilations", s, 1);
    const int64_t *pad = attr_list(g, global ? NULL : "pads", 2 * s, 0);
    struct windows w = {.places = 1, .taps = 1};
    const struct array *room;
    for (uint32_t d = 0; d < s; d++) {
        int64_t last = (int64_t)size[d] + pad[d] + pad[d + s] -
                       (kernel[d] - 1) * dilation[d] - 1;
        need(g,
             kernel[d] > 0 && kernel[d] <= 65536 && stride[d] > 0 &&
                 dilation[d] > 0 && last >= 0 && w.taps <= 1 << 26,
             "kernel_shape, strides or dilations are wrong");
        w.dims[d] = (uint64_t)(last / stride[d] + 1);
        w.taps *= (uint64_t)kernel[d];
    }
    room = array_new(g, w.dims, s); /* not too large */
    w.places = room->n;
    need(g, w.taps <= ELEMENTS_MAX / w.places, "windows are too large");
    w.at = get(g->r, w.places * w.taps, sizeof *w.at);
    for (uint64_t i = 0; i < w.places * w.taps; i++) {
        uint64_t place = i / w.taps, tap = i % w.taps, step = 1;
        for (uint32_t d = s; d-- > 0; step *= size[d]) {
            int64_t at = (int64_t)(place % w.dims[d]) * stride[d] - pad[d] +
                         (int64_t)tap % kernel[d] * dilation[d];
            bool inside = at >= 0 && at < (int64_t)size[d];
            w.at[i] = inside && w.at[i] >= 0 ? w.at[i] + at * (int64_t)step
                                             : -1;
            place /= w.dims[d];
            tap /= (uint64_t)kernel[d];
        }
    }
    return w;
}

static void op_conv(struct graph *g, struct array **out)
{
    const struct array *a = in(g, 0), *b = in(g, 1), *bias = NULL;
    uint64_t group = (uint64_t)attr_int(g, "group", 1), dims[RANK_MAX];
    uint64_t plane = 1, channels, each_of;
    const int64_t *kernel;
    struct windows w;
    need(g, a->rank > 2 && b->rank == a->rank, "shapes do not agree");
    channels = b->dims[1]; /* of a group */
    need(g,
         group > 0 && a->dims[1] % group == 0 && b->dims[0] % group == 0 &&
             channels == a->dims[1] / group,
         "group, channels and kernel do not agree");
    each_of = b->dims[0] / group;
    kernel = attr_list(g, "kernel_shape", a->rank - 2, 0);
    for (uint32_t d = 2; d < a->rank; d++) {
        need(g, kernel[d - 2] == 0 || (uint64_t)kernel[d - 2] == b->dims[d],
             "kernel_shape is wrong");
        plane *= a->dims[d];
    }
    w = windows(g, a->dims + 2, a->rank - 2, (const int64_t *)b->dims + 2,
                false);
    if (has(g, 2)) {
        bias = constant_in(g, 2);
        need(g, bias->rank == 1 && bias->n == b->dims[0], "wrong bias");
    }
    memcpy(dims + 2, w.dims, (a->rank - 2) * sizeof *dims);
    dims[0] = a->dims[0];
    dims[1] = b->dims[0];
    out[0] = node_begin(g, WEIGHTED, dims, a->rank);
    for (uint64_t i = 0; i < out[0]->n; i++) {
        uint64_t place = i % w.places, o = i / w.places % dims[1];
        uint64_t from = i / w.places / dims[1] * a->dims[1] +
                        o / each_of * channels;
        for (uint64_t k = 0; k < channels * w.taps; k++) {
            int64_t at = w.at[place * w.taps + k % w.taps];
            count_step(g);
            if (at >= 0)
                add_product(g,
                            a->x[(from + k / w.taps) * plane + (uint64_t)at],
                            b->x[o * channels * w.taps + k], one);
        }
        if (bias)
            add_term(g, bias->x[o], one);
        end_row(g);
    }
}

/* One round: the elements of all, where those of list i end at end[i], are
 * compared in pairs; the new lists, of the greater ones and what is left. */
static struct array *play(struct graph *g, const struct array *all,
                          uint64_t *end, uint64_t n)
{
    uint64_t pairs = 0, left = 0, at = 0, to = 0;
    struct array *y;
    const struct array *r;
    for (uint64_t i = 0; i < n; at = end[i++]) {
        pairs += (end[i] - at) / 2;
        left += (end[i] - at + 1) / 2;
    }
    y = node_begin(g, UNIT, &pairs, 1);
    for (uint64_t i = 0, k = 0; i < n; k = end[i++])
        for (; k + 1 < end[i]; k += 2) {
            add_term(g, all->x[k], one);
            add_term(g, all->x[k + 1], minus_one);
            end_row(g);
        }
    r = rectified(g, y);
    y = node_begin(g, UNIT, &left, 1);
    for (uint64_t i = 0, k = 0, pair = 0; i < n; end[i++] = to)
        for (; k < end[i]; to++) {
            bool alone = k + 1 == end[i];
            add_term(g, all->x[alone ? k : k + 1], one);
            if (!alone)
                add_term(g, r->x[pair++], one);
            k += alone ? 1 : 2;
            end_row(g);
        }
    return y;
}

/* The greatest of the elements of each window. */
static void maxima(struct graph *g, struct array *y, const struct array *a,
                   const struct windows *w, uint64_t plane)
{
    uint64_t *end = get(g->r, y->n, sizeof *end), n = 0, most = 0;
    const struct array *all = array_new(g, (uint64_t[]){y->n, w->taps}, 2);
    for (uint64_t i = 0; i < y->n; i++) {
        uint64_t from = n;
        for (uint64_t k = 0; k < w->taps; k++) {
            int64_t at = w->at[i % w->places * w->taps + k];
            if (at >= 0)
                all->x[n++] = a->x[i / w->places * plane + (uint64_t)at];
        }
        end[i] = n;
        need(g, n > from, "a window lies in the padding");
        most = n - from > most ? n - from : most;
    }
    for (; most > 1; most = (most + 1) / 2)
        all = play(g, all, end, y->n);
    memcpy(y->x, all->x, y->n * sizeof *y->x);
}

static void op_pool(struct graph *g, struct array **out)
{
    bool global = is_op(g, "GlobalAveragePool") || is_op(g, "GlobalMaxPool");
    bool max = is_op(g, "GlobalMaxPool") || is_op(g, "MaxPool");
    bool all = max || global || attr_int(g, "count_include_pad", 0) != 0;
    const struct array *a = in(g, 0);
    uint64_t plane = 1, dims[RANK_MAX];
    const int64_t *kernel;
    struct windows w;
    if (max && !global)
        attr_int(g, "storage_order", 0); /* of the second output */
    need(g, a->rank > 2, "shapes do not agree");
    kernel = global ? (const int64_t *)a->dims + 2
                    : attr_list(g, "kernel_shape", a->rank - 2, 0);
    for (uint32_t d = 2; d < a->rank; d++)
        plane *= a->dims[d];
    w = windows(g, a->dims + 2, a->rank - 2, kernel, global);
    memcpy(dims, a->dims, 2 * sizeof *dims);
    memcpy(dims + 2, w.dims, (a->rank - 2) * sizeof *dims);
    if (max) {
        out[0] = array_new(g, dims, a->rank);
        maxima(g, out[0], a, &w, plane);
        return;
    }
    out[0] = node_begin(g, WEIGHTED, dims, a->rank);
    for (uint64_t i = 0; i < out[0]->n; i++) {
        const int64_t *at = w.at + i % w.places * w.taps;
        int64_t count = 0;
        for (uint64_t k = 0; k < w.taps; k++)
            count += all || at[k] >= 0;
        divide(g, num_make(g, count, 0));
        for (uint64_t k = 0; k < w.taps; k++) {
            count_step(g);
            if (at[k] >= 0)
                add_term(g, a->x[i / w.places * plane + (uint64_t)at[k]],
                         one);
        }
        end_row(g);
    }
}

/* ---- the graph ---- */

static const struct op {
    const char *name;
    uint32_t in, out; /* at most so many */
    void (*apply)(struct graph *g, struct array **out);
} ops[] = {
    {"Abs", 1, 1, op_abs},
    {"Add", 2, 1, op_binary},
    {"AveragePool", 1, 1, op_pool},
    {"Clip", 3, 1, op_clip},
    {"Concat", UINT32_MAX, 1, op_concat},
    {"Conv", 3, 1, op_conv},
    {"Div", 2, 1, op_binary},
    {"Dropout", 3, 2, op_identity},
    {"Flatten", 1, 1, op_flatten},
    {"Gather", 2, 1, op_gather},
    {"Gemm", 3, 1, op_gemm},
    {"GlobalAveragePool", 1, 1, op_pool},
    {"GlobalMaxPool", 1, 1, op_pool},
    {"Identity", 1, 1, op_identity},
    {"LeakyRelu", 1, 1, op_leaky},
    {"MatMul", 2, 1, op_matmul},
    {"Max", UINT32_MAX, 1, op_extreme},
    {"MaxPool", 1, 2, op_pool},
    {"Min", UINT32_MAX, 1, op_extreme},
    {"Mul", 2, 1, op_binary},
    {"Neg", 1, 1, op_each},
    {"PRelu", 2, 1, op_leaky},
    {"Pad", 4, 1, op_pad},
    {"ReduceMean", 2, 1, op_reduce},
    {"ReduceSum", 2, 1, op_reduce},
    {"Relu", 1, 1, op_each},
    {"Reshape", 2, 1, op_reshape},
    {"Sigmoid", 1, 1, op_each},
    {"Slice", 5, 1, op_slice},
    {"Split", 2, UINT32_MAX, op_split},
    {"Squeeze", 2, 1, op_squeeze},
    {"Sub", 2, 1, op_binary},
    {"Tanh", 1, 1, op_tanh},
    {"Transpose", 1, 1, op_transpose},
    {"Unsqueeze", 2, 1, op_squeeze},
};

static void apply(struct graph *g)
{
    const struct operator* n = g->op;
    struct array **out = get(g->r, n->n_out, sizeof *out);
    const struct op *op = ops, *end = ops + sizeof ops / sizeof *ops;
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
    while (op < end && !is_op(g, op->name))
        op++;
    need(g, op < end, "the operator is not understood");
    need(g,
         n->n_in > 0 && n->n_in <= op->in && n->n_out > 0 &&
             n->n_out <= op->out,
         "wrong number of inputs or outputs");
    op->apply(g, out);
    for (uint32_t i = 0; i < n->n_attrs; i++)
        need(g, n->attrs[i].read, "an attribute is not understood");
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
    uint64_t dims[RANK_MAX + 1];
    need(g,
         v->rank_plus_1 > 0 && !v->tensor_plus_1 && floats(v->dtype) &&
             !g->values[at],
         "a graph input has no rank, is constant or of another type");
    for (uint32_t i = 0; i + 1 < v->rank_plus_1; i++)
        dims[i] = v->dims[i] == -1 ? 1 : (uint64_t)v->dims[i];
    g->values[at] = variables(g, dims, v->rank_plus_1 - 1);
}

/* The last node: all outputs. */
static void graph_outputs(struct graph *g)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < g->m->n_outputs; i++) {
        need(g, g->values[g->m->outputs[i]], "no node makes it");
        n += g->values[g->m->outputs[i]]->n; /* at most 2^26 each */
    }
    node_begin(g, UNIT, &n, 1);
    for (uint32_t i = 0; i < g->m->n_outputs; i++) {
        const struct array *a = g->values[g->m->outputs[i]];
        for (uint64_t j = 0; j < a->n; j++) {
            add_term(g, a->x[j], one);
            end_row(g);
        }
    }
}

/* Variable 0 is none, the first one of the input is 8. */
void graph_read(struct run *r, struct net *net, struct model *m)
{
    struct graph g = {.r = r, .net = net, .m = m};
    g.values = get(r, m->n_values, sizeof *g.values);
    net->nodes = get(r, NODES_MAX, sizeof *net->nodes);
    net->nodes[net->n_nodes++] = (struct node){.kind = INPUT, .base = 8};
    net->n_vars = 8;
    for (uint32_t i = 0; i < m->n_inputs; i++)
        graph_input(&g, m->inputs[i]);
    net->nodes[0].n = net->n_vars - 8;
    for (uint32_t i = 0; i < m->n_nodes; i++) {
        g.op = &m->nodes[i];
        apply(&g);
    }
    g.op = NULL;
    graph_outputs(&g);
    net->n_vars = (uint32_t)up8(net->n_vars);
}
