/* graph.c - the graph of a model as the nodes of ax-cert(5), NETWORK: what
 * every operator of ONNX, opset 17, computes.
 *
 * A value is an array of constants and variables. An operator is a walk:
 * nested loops, in which the place in each of its arrays moves along. Either
 * what the walk meets makes another array (moved), or a node has sums of
 * products of what it meets (rows). A walk that leaves an array where there
 * is no padding is refused, so most wrong shapes need no look of their own.
 */
#include "island.h"

#include <string.h>

enum { E_MIN = -1000, E_MAX = 900, NODES_MAX = 8192, LISTS = 5 };
#define ELEMENTS_MAX (1ull << 26) /* of a value, and of all variables */
#define STEPS_MAX    (1ull << 33) /* minutes */
#define TERMS_MAX    (1ull << 28) /* of a node: 4 GiB */
#define ONE          0x3f800000   /* a float32 */

struct array {
    uint32_t rank;
    uint64_t dims[RANK_MAX], n;
    struct num *x;
    bool whole; /* of constants of an integer type */
};

struct list { /* of integers: v is NULL if it is absent */
    uint64_t n;
    int64_t *v;
    const uint64_t *dims;
    uint32_t rank;
};

struct graph {
    struct run *r;
    struct net *net;
    struct model *m;
    struct array **values; /* [values] made so far */
    struct node *node;     /* in the making */
    uint64_t n_terms, room, row, steps;
    const struct operator* op; /* at hand */
    int what;                  /* it does, of those with one function */
    uint32_t part;             /* which output, of a Split; */
    uint64_t from;             /* where it begins */
    struct array **in;         /* its inputs; NULL if absent */
    struct list list[LISTS];   /* those that are integers */
};

const struct num one = {1, 0, 0};
static const struct num none = {0, 0, 0}, minus_one = {-1, 0, 0};
static const char shapes[] = "shapes do not agree";

static void need(struct graph *g, bool ok, const char *what)
{
    struct bytes op = g->op->op, name = g->op->name;
    if (!ok)
        refuse(g->r, MALFORMED, "not certifiable: %.*s node '%.*s': %s",
               (int)(op.n % 64), (const char *)op.p,
               (int)(name.n < 99 ? name.n : 99), (const char *)name.p, what);
}

/* Under ieee32 too, this must be. */
static void cover(struct graph *g, bool ok, const char *what)
{
    if (!ok && !g->net->only_real)
        g->net->only_real = what;
}

/* Does |x| lie from 2^-50 on, below 2^50; or just below? */
static bool moderate(struct num x, bool from)
{
    int64_t e = bits(x.m) + x.e;
    return e <= 50 && (e > -50 || !from);
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
    if (b.m == 0 || (a.m != 0 && a.e < b.e))
        return b.m == 0 ? a : num_add(g, b, a);
    if (a.m == 0)
        return b;
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

/* An array of a shape, and of elements x, new ones if that is NULL. */
static struct array *array_new(struct graph *g, const uint64_t *dims,
                               uint32_t rank, struct num *x)
{
    struct array *a = get(g->r, 1, sizeof *a);
    need(g, rank <= RANK_MAX, "the rank is too large");
    a->rank = rank;
    a->n = 1;
    for (uint32_t i = 0; i < rank; i++) {
        need(g, dims[i] > 0 && dims[i] <= ELEMENTS_MAX / a->n,
             "a tensor is empty or too large");
        a->n *= a->dims[i] = dims[i];
    }
    a->x = x ? x : get(g->r, a->n, sizeof *a->x);
    return a;
}

/* The same elements in another shape. */
static struct array *reshaped(struct graph *g, const struct array *a,
                              const uint64_t *dims, uint32_t rank)
{
    struct array *y = array_new(g, dims, rank, a->x);
    need(g, a->n == y->n, "the numbers of elements differ: wrong shape");
    return y;
}

static struct array *list_of(struct graph *g, struct num *x, uint64_t n)
{
    return array_new(g, &n, 1, x);
}

static struct array *scalar(struct graph *g, struct num x)
{
    struct array *a = array_new(g, NULL, 0, NULL);
    *a->x = x;
    return a;
}

static bool floats(uint32_t dtype)
{
    return dtype == 1 || dtype == 10 || dtype == 11;
}

/* Numbers beyond 32 bits, "to the end", come nearer, with no change of
 * meaning. */
static struct list integers(struct graph *g, const struct tensor *t)
{
    struct list l = {t->n, get(g->r, t->n, sizeof *l.v), t->dims, t->rank};
    need(g, t->dtype == 6 || t->dtype == 7, "int64 or int32 wanted");
    for (uint64_t i = 0; i < t->n; i++) {
        const unsigned char *p = t->data.p;
        int64_t v = t->dtype == 7 ? (int64_t)little(p + 8 * i, 8)
                                  : (int32_t)little(p + 4 * i, 4);
        v = v > INT32_MAX ? INT32_MAX : v;
        l.v[i] = v < -INT32_MAX ? -INT32_MAX : v;
    }
    return l;
}

/* The same of an array of them, which are below 2^31. */
static struct list integers_of(struct graph *g, const struct array *a)
{
    struct list l = {a->n, get(g->r, a->n, sizeof *l.v), a->dims, a->rank};
    for (uint64_t i = 0; i < a->n; i++)
        l.v[i] = (int64_t)a->x[i].m * (1ll << a->x[i].e);
    return l;
}

static struct array *array_whole(struct graph *g, const uint64_t *dims,
                                 uint32_t rank, const int64_t *v)
{
    struct array *a = array_new(g, dims, rank, NULL);
    a->whole = true;
    for (uint64_t i = 0; i < a->n; i++)
        a->x[i] = num_make(g, v[i], 0);
    return a;
}

static struct array *constant(struct graph *g, const struct tensor *t)
{
    struct array *a;
    int size = t->dtype == 1 ? 4 : t->dtype == 10 ? 2 : 8;
    int mant = size == 4 ? 23 : size == 2 ? 10 : 52;
    if (!floats(t->dtype))
        return array_whole(g, t->dims, t->rank, integers(g, t).v);
    cover(g, t->dtype == 1, "a constant that is not float32");
    a = array_new(g, t->dims, t->rank, NULL);
    for (uint64_t i = 0; i < t->n; i++)
        a->x[i] = num_float(g, little(t->data.p + (size_t)size * i, size),
                            mant, 8 * size - 1 - mant);
    return a;
}

static bool is_constant(const struct array *a)
{
    uint64_t n = 0;
    while (n < a->n && a->x[n].var == 0)
        n++;
    return n == a->n;
}

/* New variables. Each node's begin at a multiple of 8. */
static struct array *variables(struct graph *g, const uint64_t *dims,
                               uint32_t rank)
{
    struct array *a = array_new(g, dims, rank, NULL);
    need(g, a->n <= ELEMENTS_MAX - g->net->n_vars, "too many variables");
    for (uint64_t i = 0; i < a->n; i++)
        a->x[i].var = g->net->n_vars++;
    return a;
}

/* ---- attributes ---- */

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

static struct list attr_ints(struct graph *g, const char *name)
{
    const struct attr *a = attr(g, name, 4);
    return a ? (struct list){a->n_ints, a->ints, NULL, 1} : (struct list){0};
}

static struct num attr_num(struct graph *g, const char *name, uint32_t other)
{
    const struct attr *a = attr(g, name, 2);
    return num_float(g, a ? a->bits : other, 23, 8);
}

/* Is it there? If so it has this text. */
static bool attr_is(struct graph *g, const char *name, const char *text)
{
    const struct attr *a = attr(g, name, 3);
    need(g, !a || bytes_are(a->text, text), "attribute: another text");
    return a != NULL;
}

/* n numbers from least to INT32_MAX; others, if they are absent. */
static const int64_t *attr_list(struct graph *g, const char *name, uint32_t n,
                                int64_t other, int64_t least)
{
    struct list l = attr_ints(g, name);
    int64_t *list = get(g->r, n, sizeof *list);
    need(g, !l.v || l.n == n, "attribute: wrong list");
    for (uint32_t i = 0; i < n; i++) {
        list[i] = l.v ? l.v[i] : other;
        need(g, list[i] >= least && list[i] <= INT32_MAX,
             "attribute: wrong list, strides for one");
    }
    return list;
}

static uint32_t axis(struct graph *g, int64_t a, uint32_t rank)
{
    need(g, a >= -(int64_t)rank && a < (int64_t)rank, "no such axis");
    return (uint32_t)(a < 0 ? a + rank : a);
}

/* n different axes, as bits; without a list the first n. */
static uint32_t axes(struct graph *g, struct list *l, uint64_t n,
                     uint32_t rank)
{
    uint32_t set = 0;
    int64_t *v = get(g->r, n, sizeof *v);
    need(g, !l->v || l->n == n, "lists of different lengths");
    for (uint64_t i = 0; i < n; i++) {
        v[i] = axis(g, l->v ? l->v[i] : (int64_t)i, rank);
        need(g, !(set >> v[i] & 1), "an axis named twice");
        set |= 1u << v[i];
    }
    l->v = v;
    return set;
}

/* ---- walks ---- */

enum { LOOPS_MAX = 2 * RANK_MAX, ARRAYS = 4 };

/* Nested loops, the last one the fastest, each of which moves along one
 * dimension of each array, by 0 if it has nothing to do with it. Sizes and
 * steps are below 2^32. */
struct walk {
    struct array *a[ARRAYS];
    int64_t at[ARRAYS][RANK_MAX]; /* the place in each */
    uint32_t n, outer;            /* the others are loops of a sum */
    struct loop {
        uint64_t size, i;
        uint32_t dim[ARRAYS];
        int64_t by[ARRAYS];
    } loop[LOOPS_MAX];
};

/* One more, which moves array 0 along d and array 1 along e. */
static void loop(struct graph *g, struct walk *w, uint64_t size, uint32_t d,
                 int64_t by_d, uint32_t e, int64_t by_e)
{
    need(g, w->n < LOOPS_MAX, "the rank is too large");
    w->loop[w->n++] = (struct loop){size, 0, {d, e}, {by_d, by_e}};
}

/* Loops first to end - 1 move on; false if they are at their beginning. */
static bool step(struct graph *g, struct walk *w, uint32_t first,
                 uint32_t end)
{
    need(g, g->steps++ < STEPS_MAX, "more than 2^33 steps");
    while (end-- > first) {
        struct loop *l = &w->loop[end];
        bool more = ++l->i < l->size;
        int64_t by = more ? 1 : 1 - (int64_t)l->size;
        for (int k = 0; k < ARRAYS; k++)
            w->at[k][l->dim[k]] += by * l->by[k];
        if (more)
            return true;
        l->i = 0;
    }
    return false;
}

/* The element of array k; NULL outside. */
static const struct num *element(const struct walk *w, int k)
{
    const struct array *a = w->a[k];
    uint64_t at = 0;
    for (uint32_t d = 0; d < a->rank; d++) {
        if ((uint64_t)w->at[k][d] >= a->dims[d])
            return NULL;
        at = at * a->dims[d] + (uint64_t)w->at[k][d];
    }
    return &a->x[at];
}

/* The same, 1 if there is no array. */
static struct num inside(struct graph *g, const struct walk *w, int k)
{
    const struct num *x = w->a[k] ? element(w, k) : &one;
    need(g, x != NULL, "out of range, or shapes do not agree");
    return *x;
}

/* Array k goes along with the outer loops, but for its last dimensions, keep
 * of them; what has size 1 is repeated. */
static void spread(struct graph *g, struct walk *w, int k, struct array *a,
                   uint32_t keep)
{
    w->a[k] = a;
    need(g, a->rank <= w->n + keep, shapes);
    for (uint32_t d = 0; d + keep < a->rank; d++) {
        struct loop *l = &w->loop[w->n + keep - a->rank + d];
        need(g, a->dims[d] == 1 || a->dims[d] == l->size,
             "shapes do not broadcast");
        l->dim[k] = d;
        l->by[k] = a->dims[d] > 1;
    }
}

/* Through array 0, a, and array k, b, in one shape. */
static struct walk both(struct graph *g, struct array *a, int k,
                        struct array *b, uint32_t keep)
{
    uint32_t rank = a->rank > b->rank ? a->rank : b->rank;
    struct walk w = {.n = 0};
    for (uint32_t d = rank; d > keep; d--) { /* counted from the end */
        uint64_t n = d > a->rank ? 1 : a->dims[a->rank - d];
        uint64_t m = d > b->rank ? 1 : b->dims[b->rank - d];
        loop(g, &w, n > m ? n : m, 0, 0, 0, 0);
    }
    spread(g, &w, k, b, keep);
    spread(g, &w, 0, a, keep);
    w.outer = w.n;
    return w;
}

/* The array of what a walk meets in array 0; where that is outside, in array
 * 1. */
static struct array *moved(struct graph *g, struct walk *w)
{
    uint64_t dims[LOOPS_MAX];
    struct array *y;
    for (uint32_t i = 0; i < w->n; i++)
        dims[i] = w->loop[i].size;
    y = array_new(g, dims, w->n, NULL);
    for (uint64_t i = 0; i < y->n; i++) {
        y->x[i] = inside(g, w, w->a[1] && !element(w, 0));
        step(g, w, 0, w->n);
    }
    return y;
}

/* ---- operators that move elements ---- */

static struct array *op_identity(struct graph *g, struct array *a)
{
    attr(g, "seed", 1); /* of Dropout */
    return a;
}

static struct array *op_flatten(struct graph *g, struct array *a)
{
    int64_t at = attr_int(g, "axis", 1);
    uint64_t dims[2] = {1, 1};
    at += at < 0 ? a->rank : 0;
    need(g, at >= 0 && at <= a->rank, "no such axis");
    for (uint32_t d = 0; d < a->rank; d++)
        dims[d >= at] *= a->dims[d];
    return reshaped(g, a, dims, 2);
}

/* A product that wraps around has no meaning, but reshaped() sees it. */
static struct array *op_reshape(struct graph *g, struct array *a)
{
    struct list shape = g->list[1];
    uint64_t dims[RANK_MAX], known = 1, *open = NULL;
    need(g, shape.n <= RANK_MAX, "wrong shape");
    for (uint32_t i = 0; i < shape.n; i++) {
        dims[i] = (uint64_t)shape.v[i];
        if (shape.v[i] == -1 && !open)
            *(open = &dims[i]) = 1;
        else if (shape.v[i] == 0 && i < a->rank)
            dims[i] = a->dims[i];
        known *= dims[i];
    }
    if (open && known > 0)
        *open = a->n / known;
    return reshaped(g, a, dims, (uint32_t)shape.n);
}

/* Squeeze, and Unsqueeze. */
static struct array *op_squeeze(struct graph *g, struct array *a)
{
    struct list at = g->list[1];
    uint32_t rank = a->rank, n = 0, from = 0, set;
    uint64_t dims[2 * RANK_MAX];
    need(g, at.n <= RANK_MAX, "the rank is too large");
    rank += g->what == 'u' ? (uint32_t)at.n : 0;
    set = axes(g, &at, at.n, rank);
    for (uint32_t d = 0; d < rank; d++)
        if (g->what == 'u')
            dims[n++] = set >> d & 1 ? 1 : a->dims[from++];
        else if (g->list[1].v ? !(set >> d & 1) : a->dims[d] != 1)
            dims[n++] = a->dims[d];
    return reshaped(g, a, dims, n);
}

static struct array *op_transpose(struct graph *g, struct array *a)
{
    struct list perm = attr_ints(g, "perm"), l = perm;
    struct walk w = both(g, a, 0, a, 0);
    axes(g, &l, a->rank, a->rank);
    for (uint32_t d = 0; d < a->rank; d++) {
        w.loop[d].dim[0] = perm.v ? (uint32_t)l.v[d] : a->rank - 1 - d;
        w.loop[d].size = a->dims[w.loop[d].dim[0]];
        w.loop[d].by[0] = 1;
    }
    return moved(g, &w);
}

static int64_t clamp(int64_t v, int64_t n, int64_t lo, int64_t hi)
{
    v += v < 0 ? n : 0; /* from the end */
    return v < lo ? lo : v > hi ? hi : v;
}

static struct array *op_slice(struct graph *g, struct array *a)
{
    struct list from = g->list[1], to = g->list[2], by = g->list[4];
    struct walk w = both(g, a, 0, a, 0);
    axes(g, &g->list[3], from.n, w.n);
    need(g, from.n == to.n && (!by.v || by.n == from.n),
         "lists of different lengths");
    for (uint32_t i = 0; i < from.n; i++) {
        uint32_t d = (uint32_t)g->list[3].v[i];
        int64_t n = (int64_t)a->dims[d], s = by.v ? by.v[i] : 1, end;
        need(g, s != 0, "a step is 0");
        w.at[0][d] = clamp(from.v[i], n, 0, n - (s < 0));
        end = clamp(to.v[i], n, -(s < 0), n - (s < 0));
        n = end - w.at[0][d] + s - (s > 0 ? 1 : -1);
        w.loop[d].size = (uint64_t)(n / s);
        w.loop[d].by[0] = s;
    }
    return moved(g, &w);
}

static struct array *op_pad(struct graph *g, struct array *a)
{
    struct list p = g->list[1], at = g->list[3];
    struct walk w = both(g, a, 0, a, 0);
    uint64_t n = p.n / 2;
    need(g, p.n % 2 == 0 && (at.v || n == w.n), "pads and axes");
    axes(g, &at, n, w.n);
    w.a[1] = g->in[2] ? g->in[2] : scalar(g, none);
    need(g, w.a[1]->n == 1, "not one constant value");
    for (uint64_t i = 0; i < n; i++) {
        w.at[0][at.v[i]] = -p.v[i];
        w.loop[at.v[i]].size += (uint64_t)(p.v[i] + p.v[i + n]);
        w.loop[at.v[i]].by[0] = 1;
    }
    return moved(g, &w);
}

/* Dimension d, from the first-th on, n[d - first] times as long: each element
 * is repeated, or stands before zeros. At most 3 become longer. */
static struct array *longer(struct graph *g, struct array *a, uint32_t first,
                            const int64_t *n, bool zeros)
{
    struct walk w = {.a = {NULL, scalar(g, none)}};
    uint64_t apart[2 * RANK_MAX], dims[RANK_MAX];
    uint32_t rank = 0;
    for (uint32_t d = 0; d < a->rank; d++) {
        uint64_t by = d < first ? 1 : (uint64_t)n[d - first];
        dims[d] = a->dims[d] * by;
        loop(g, &w, apart[rank] = a->dims[d], rank, 1, 0, 0);
        rank++;
        if (by == 1)
            continue;
        apart[rank] = 1;
        loop(g, &w, by, rank++, zeros, 0, 0);
    }
    w.a[0] = reshaped(g, a, apart, rank);
    return reshaped(g, moved(g, &w), dims, a->rank);
}

/* Places along an axis, each a matrix of what is before and behind it. */
static struct array *op_gather(struct graph *g, struct array *a)
{
    struct list at = g->list[1];
    uint32_t d = axis(g, attr_int(g, "axis", 0), a->rank), rank = 0;
    uint64_t dims[2 * RANK_MAX], part = 1;
    struct array *y;
    for (uint32_t i = 0; i < a->rank; i++) {
        part *= i > d ? a->dims[i] : 1;
        for (uint32_t k = 0; k < (i == d ? at.rank : 1); k++)
            dims[rank++] = i == d ? at.dims[k] : a->dims[i];
    }
    y = array_new(g, dims, rank, NULL);
    for (uint64_t k = 0; k < y->n / part; k++) {
        uint64_t i = axis(g, at.v[k % at.n], (uint32_t)a->dims[d]);
        memcpy(y->x + k * part, a->x + (k / at.n * a->dims[d] + i) * part,
               part * sizeof *y->x);
    }
    return y;
}

static struct array *op_split(struct graph *g, struct array *a)
{
    uint32_t d = axis(g, attr_int(g, "axis", 0), a->rank);
    struct walk w = both(g, a, 0, a, 0);
    struct list sizes = g->list[1];
    uint32_t parts = g->op->n_out;
    uint64_t n = a->dims[d] / parts;
    need(g, !sizes.v || sizes.n == parts, "wrong sizes");
    n = sizes.v ? (uint64_t)sizes.v[g->part] : n;
    g->from = g->part > 0 ? g->from : 0;
    w.at[0][d] = (int64_t)g->from;
    w.loop[d].size = n;
    g->from += n;
    need(g, g->from == a->dims[d] || g->part + 1 < parts, "wrong sizes");
    return moved(g, &w);
}

static struct array *op_concat(struct graph *g, struct array *a)
{
    uint32_t along = axis(g, attr_int(g, "axis", RANK_MAX), a->rank);
    uint64_t dims[RANK_MAX], n = 0;
    struct num *before;
    struct walk w;
    for (uint32_t i = 0; i < g->op->n_in; n += g->in[i++]->dims[along])
        for (uint32_t d = 0; d < a->rank; d++) {
            dims[d] = g->in[i]->dims[d];
            need(g,
                 g->in[i]->rank == a->rank &&
                     (d == along || dims[d] == a->dims[d]),
                 shapes);
        }
    dims[along] = n;
    a = array_new(g, dims, a->rank, NULL);
    n = 0;
    for (uint32_t i = 0; i < g->op->n_in; n += g->in[i++]->dims[along]) {
        w = both(g, a, 1, a, 0); /* what is there so far */
        w.a[0] = g->in[i];
        w.at[0][along] = -(int64_t)n;
        before = a->x;
        a = moved(g, &w);
        give(g->r, before);
    }
    return a;
}

static struct array *op_shape(struct graph *g, struct array *a)
{
    uint64_t rank = a->rank;
    int64_t dims[RANK_MAX];
    need(g,
         attr_int(g, "start", 0) == 0 &&
             attr_int(g, "end", a->rank) == (int64_t)rank,
         "a part of a shape");
    for (uint32_t i = 0; i < a->rank; i++)
        dims[i] = (int64_t)a->dims[i];
    return array_whole(g, &rank, 1, dims);
}

static struct array *op_zeros(struct graph *g, struct array *a)
{
    struct list shape = g->list[0];
    uint64_t dims[RANK_MAX];
    (void)a;
    need(g, shape.n <= RANK_MAX, "wrong shape");
    for (uint32_t i = 0; i < shape.n; i++)
        dims[i] = (uint64_t)shape.v[i];
    return array_new(g, dims, (uint32_t)shape.n, NULL);
}

/* ---- nodes ---- */

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

/* To the row at hand k a b, of which one is constant. What is constant
 * altogether goes to the bias, divided. */
static void add(struct graph *g, struct num k, struct num a, struct num b)
{
    struct node *n = g->node;
    struct num x = b.var ? b : a, w = num_mul(g, k, b.var ? a : b);
    need(g, a.var == 0 || b.var == 0, "no factor is constant");
    need(g, n->kind <= WEIGHTED || x.var != 0, "of a constant");
    if (w.m != 0 && x.var == 0) {
        struct num d = n->d ? n->d[g->row] : one, v = num_mul(g, w, x);
        need(g, v.m % d.m == 0, "a constant is not divided exactly");
        v = num_make(g, v.m / d.m, (int64_t)v.e - d.e);
        cover(g, v.m == 0 || n->b[g->row].m == 0,
              "constants of several terms in one sum");
        n->b[g->row] = num_add(g, n->b[g->row], v);
    } else if (w.m != 0) {
        need(g, g->n_terms < TERMS_MAX && bits(w.m) <= 53,
             "too many terms, or a weight of more than 53 bits");
        cover(g, moderate(w, false), "a weight of 2^50 or more");
        n->t = grow(g->r, n->t, g->n_terms, &g->room, sizeof *n->t);
        n->t[g->n_terms++] = (struct term){(int64_t)w.m, w.e, x.var};
    }
}

/* The row at hand is divided by d; that comes before its terms. */
static void divide(struct graph *g, struct num d)
{
    struct node *n = g->node;
    need(g, d.m != 0 && d.var == 0 && bits(d.m) <= 53,
         "a divisor is 0, not constant or too long");
    cover(g, moderate(d, true), "a divisor far from 1");
    if (!n->d)
        n->d = get(g->r, n->n, sizeof *n->d);
    n->d[g->row] = d;
}

enum how { SUM, MEAN, MEAN_OF_ALL, QUOTIENT }; /* MEAN: of what is inside */

/* A node with a row for each place of the outer loops: the sum of k a0 a1
 * over the inner ones, and c a2 a3. A mean is divided by how many places
 * there are, a quotient by a1 instead of multiplied. */
static struct array *rows(struct graph *g, enum kind kind, struct walk *w,
                          struct num k, struct num c, enum how how)
{
    uint64_t dims[LOOPS_MAX];
    struct array *y;
    for (uint32_t i = 0; i < w->outer; i++)
        dims[i] = w->loop[i].size;
    y = node_begin(g, kind, dims, w->outer);
    for (; g->row < y->n; g->node->at[++g->row] = g->n_terms) {
        int64_t count = 0;
        if (how == MEAN || how == MEAN_OF_ALL) {
            do
                count += how == MEAN_OF_ALL || element(w, 0);
            while (step(g, w, w->outer, w->n));
            divide(g, num_make(g, count, 0));
        } else if (how == QUOTIENT) {
            divide(g, inside(g, w, 1));
        }
        do {
            const struct num *x = element(w, 0);
            if (x)
                add(g, k, *x, how == QUOTIENT ? one : inside(g, w, 1));
        } while (step(g, w, w->outer, w->n));
        if (w->a[2])
            add(g, c, inside(g, w, 2), inside(g, w, 3));
        step(g, w, 0, w->outer);
    }
    return y;
}

/* ---- operators that compute element by element ---- */

static struct array *each(struct graph *g, enum kind kind, struct num k,
                          struct array *a)
{
    struct walk w = both(g, a, 0, a, 0);
    return rows(g, kind, &w, k, none, SUM);
}

/* Neg, Relu, Sigmoid. */
static struct array *op_each(struct graph *g, struct array *a)
{
    return each(g, (enum kind)g->what, g->what == UNIT ? minus_one : one, a);
}

/* Of a whole number of times the size, so that no rounding can matter. */
static struct array *op_resize(struct graph *g, struct array *a)
{
    const bool old = attr_is(g, "coordinate_transformation_mode",
                             "asymmetric");
    const struct array *scales = g->in[2];
    struct list sizes = g->list[3];
    int64_t n[RANK_MAX];
    need(g, attr_is(g, "nearest_mode", "floor") == old, "another rounding");
    need(g, !g->in[1] && !scales != !sizes.v, "not sizes or scales");
    need(g, (scales ? scales->n : sizes.n) == a->rank, "sizes or scales");
    for (uint32_t d = 0; d < a->rank; d++) {
        int64_t size = (int64_t)a->dims[d];
        if (scales) {
            struct num s = scales->x[d];
            need(g, s.var == 0 && s.m > 0 && s.e >= 0 && bits(s.m) + s.e < 32,
                 "a scale is no whole number");
            n[d] = (int64_t)s.m << s.e;
        } else {
            n[d] = sizes.v[d] / size;
            need(g, n[d] > 0 && sizes.v[d] % size == 0,
                 "not a whole number of times the size");
        }
    }
    a = each(g, UNIT, one, longer(g, a, 0, n, false));
    g->node->exact = true;
    return a;
}

/* a + k b */
static struct array *sum(struct graph *g, struct array *a, struct num k,
                         struct array *b)
{
    struct walk w = both(g, a, 2, b, 0);
    return rows(g, UNIT, &w, one, k, SUM);
}

/* The same, of a comparison. */
static struct array *compare(struct graph *g, struct array *a, struct num k,
                             struct array *b)
{
    a = sum(g, a, k, b);
    g->node->exact = true;
    return a;
}

/* The array if its elements are variables of one hold node or, if so allowed,
 * one reciprocal node; or those of a new hold node, for each variable in it
 * one. */
static struct array *hold(struct graph *g, struct array *a, bool reciprocal)
{
    const struct node *n = g->net->nodes;
    struct num *each_once = get(g->r, a->n, sizeof *each_once);
    uint32_t *place = get(g->r, g->net->n_vars, sizeof *place);
    struct array *y = array_new(g, a->dims, a->rank, NULL), *held;
    uint64_t count = 0;
    bool is;
    for (uint64_t i = 0; i < a->n; i++)
        need(g, a->x[i].var != 0, "a factor or divisor is constant in part");
    while (a->x->var - n->base >= n->n)
        n++;
    is = n->kind == HOLD || (reciprocal && n->kind == RECIPROCAL);
    for (uint64_t i = 0; i < a->n; i++) {
        is &= a->x[i].var - n->base < n->n;
        if (place[a->x[i].var] == 0) {
            each_once[count++] = a->x[i];
            place[a->x[i].var] = (uint32_t)count;
        }
    }
    if (is)
        return a;
    held = each(g, HOLD, one, list_of(g, each_once, count));
    for (uint64_t i = 0; i < a->n; i++)
        y->x[i] = held->x[place[a->x[i].var] - 1];
    give(g->r, place);
    return y;
}

/* The products of what a walk meets in arrays 0 and 1. */
static struct array *times(struct graph *g, struct walk *w)
{
    uint64_t dims[LOOPS_MAX];
    struct array *x, *y, *out;
    bool same = true;
    for (uint32_t i = 0; i < w->n; i++)
        dims[i] = w->loop[i].size;
    x = array_new(g, dims, w->n, NULL);
    y = array_new(g, dims, w->n, NULL);
    for (uint64_t i = 0; i < x->n; i++) {
        x->x[i] = inside(g, w, 0);
        y->x[i] = inside(g, w, 1);
        same &= x->x[i].var == y->x[i].var;
        step(g, w, 0, w->n);
    }
    x = hold(g, x, true);
    y = same ? x : hold(g, y, true);
    out = node_begin(g, PRODUCT, dims, w->n);
    for (; g->row < out->n; g->node->at[++g->row] = g->n_terms) {
        add(g, one, x->x[g->row], one);
        add(g, one, y->x[g->row], one);
    }
    return out;
}

/* Is there a place where both vary? The walk is at its beginning again. */
static bool both_vary(struct graph *g, struct walk *w)
{
    bool vary = false;
    do
        vary |= inside(g, w, 0).var != 0 && inside(g, w, 1).var != 0;
    while (step(g, w, 0, w->n));
    return vary;
}

/* a b, a / b, a + b, a - b, max(a, b) = b + max(0, a - b), or min(a, b) = a -
 * max(0, a - b) */
static struct array *binary(struct graph *g, struct array *a, int what,
                            struct array *b)
{
    struct walk w = both(g, a, 1, b, 0);
    struct array *r;
    if (what == '/' && !is_constant(b)) {
        b = each(g, RECIPROCAL, one, hold(g, b, false));
        return binary(g, a, '*', b);
    }
    if (what == '*' && both_vary(g, &w))
        return times(g, &w);
    if (what == '*' || what == '/')
        return rows(g, WEIGHTED, &w, one, none, what == '*' ? SUM : QUOTIENT);
    if (what == '+' || what == '-')
        return sum(g, a, what == '+' ? one : minus_one, b);
    r = each(g, RELU, one, compare(g, a, minus_one, b));
    return what == '>' ? compare(g, b, one, r) : compare(g, a, minus_one, r);
}

/* Of all inputs, one after the other. */
static struct array *op_binary(struct graph *g, struct array *a)
{
    for (uint32_t i = 1; i < g->op->n_in; i++)
        a = binary(g, a, g->what, g->in[i]);
    return a;
}

/* a^2, a^3 */
static struct array *op_pow(struct graph *g, struct array *a)
{
    const struct num *e = g->in[1]->x;
    bool cube = e->m == 3 && e->e == 0;
    struct array *y;
    struct walk w;
    need(g,
         g->in[1]->n == 1 && g->in[1]->rank <= a->rank && e->var == 0 &&
             (cube || (e->m == 1 && e->e == 1)),
         "the exponent is not 2 or 3, or makes more dimensions");
    a = hold(g, a, true);
    w = both(g, a, 1, a, 0);
    y = times(g, &w);
    if (!cube)
        return y;
    w = both(g, a, 1, y, 0);
    return times(g, &w);
}

static struct array *op_exp(struct graph *g, struct array *a)
{
    return each(g, EXPONENTIAL, one, hold(g, a, false));
}

/* 1 / (1 + the sum over the others of e^(other - x)) */
static struct array *op_softmax(struct graph *g, struct array *a)
{
    uint32_t d = axis(g, attr_int(g, "axis", -1), a->rank);
    uint64_t size = a->dims[d], part = 1, n = 0;
    struct array *x, *y;
    for (uint32_t i = d + 1; i < a->rank; i++)
        part *= a->dims[i];
    need(g, size > 1 && size - 1 <= ELEMENTS_MAX / a->n,
         "a softmax of one element or too many");
    x = list_of(g, NULL, a->n * (size - 1));
    y = list_of(g, NULL, x->n);
    for (uint64_t i = 0; i < a->n; i++)
        for (uint64_t k = 0; k < size; k++)
            if (k != i / part % size) {
                x->x[n] = a->x[i - i / part % size * part + k * part];
                y->x[n++] = a->x[i];
            }
    x = op_exp(g, sum(g, x, minus_one, y));
    y = node_begin(g, UNIT, a->dims, a->rank);
    for (n = 0; g->row < y->n; g->node->at[++g->row] = g->n_terms) {
        for (uint64_t k = 1; k < size; k++)
            add(g, one, x->x[n++], one);
        add(g, one, one, one);
    }
    return each(g, RECIPROCAL, one, hold(g, y, false));
}

static struct array *op_clip(struct graph *g, struct array *a)
{
    for (uint32_t i = 1; i < g->op->n_in; i++) {
        struct array *b = g->in[i];
        need(g, !b || (b->n == 1 && b->rank <= a->rank && b->x->var == 0),
             "a bound is no constant number");
        a = b ? binary(g, a, i == 1 ? '>' : '<', b) : a;
    }
    return a;
}

/* r + r - a, r = max(0, a) */
static struct array *op_abs(struct graph *g, struct array *a)
{
    struct array *r = each(g, RELU, one, a);
    struct walk w = both(g, r, 2, a, 0);
    loop(g, &w, 2, 0, 0, 0, 0);
    a = rows(g, UNIT, &w, one, minus_one, SUM);
    g->node->exact = true;
    return a;
}

/* 2 y - 1, y that of a smooth node; of 2 a if that is a sigmoid: Tanh */
static struct array *op_smooth(struct graph *g, struct array *a)
{
    const struct num two = {1, 1, 0};
    enum kind kind = (enum kind)g->what;
    struct walk w;
    a = kind == SIGMOID ? each(g, WEIGHTED, two, a) : a;
    a = each(g, kind, one, a);
    w = both(g, a, 2, scalar(g, one), 0);
    return rows(g, WEIGHTED, &w, two, minus_one, SUM);
}

/* LeakyRelu, PRelu: k a + (1 - k) r, r = max(0, a) */
static struct array *op_leaky(struct graph *g, struct array *a)
{
    struct array *k, *rest;
    struct walk w;
    k = g->what ? g->in[1] /* and 0.01 */
                : scalar(g, attr_num(g, "alpha", 0x3c23d70a));
    rest = array_new(g, k->dims, k->rank, NULL);
    need(g, is_constant(k), "the slope is not constant");
    for (uint64_t i = 0; i < k->n; i++)
        rest->x[i] = num_add(g, one, num_mul(g, k->x[i], minus_one));
    w = both(g, a, 0, a, 0);
    spread(g, &w, 1, k, 0);
    spread(g, &w, 2, each(g, RELU, one, a), 0);
    spread(g, &w, 3, rest, 0);
    return rows(g, WEIGHTED, &w, one, one, SUM);
}

/* ---- operators with sums over a window ---- */

/* What Gemm and Conv add. */
static struct array *added(struct graph *g)
{
    need(g, !g->in[2] || is_constant(g->in[2]),
         "what is added is no constant");
    return g->in[2];
}

static struct array *op_gemm(struct graph *g, struct array *a)
{
    struct array *b = g->in[1];
    uint32_t ta = attr_int(g, "transA", 0) != 0;
    uint32_t tb = attr_int(g, "transB", 0) != 0;
    struct num alpha = attr_num(g, "alpha", ONE);
    struct num beta = attr_num(g, "beta", ONE);
    struct walk w = {.a = {a, b}, .outer = 2};
    cover(g, alpha.m == 1 && alpha.e == 0 && beta.m == 1 && beta.e == 0,
          "a Gemm with an alpha or beta");
    need(g, a->rank == 2 && b->rank == 2 && a->dims[!ta] == b->dims[tb],
         shapes);
    loop(g, &w, a->dims[ta], ta, 1, 0, 0);
    loop(g, &w, b->dims[!tb], 0, 0, !tb, 1);
    if (added(g))
        spread(g, &w, 2, g->in[2], 0);
    loop(g, &w, a->dims[!ta], !ta, 1, tb, 1);
    return rows(g, WEIGHTED, &w, alpha, beta, SUM);
}

/* A vector is a matrix of one row (one column), which goes afterwards. */
static struct array *op_matmul(struct graph *g, struct array *a)
{
    struct array *b = g->in[1];
    bool row = a->rank == 1, column = b->rank == 1;
    uint64_t dims[LOOPS_MAX];
    uint32_t rank = 0;
    struct walk w, sums;
    need(g, a->rank > 0 && b->rank > 0, shapes);
    if (row)
        a = reshaped(g, a, (uint64_t[]){1, a->n}, 2);
    if (column)
        b = reshaped(g, b, (uint64_t[]){b->n, 1}, 2);
    need(g, a->dims[a->rank - 1] == b->dims[b->rank - 2], shapes);
    w = both(g, a, 1, b, 2);
    loop(g, &w, a->dims[a->rank - 2], a->rank - 2, 1, 0, 0);
    loop(g, &w, b->dims[b->rank - 1], 0, 0, b->rank - 1, 1);
    w.outer = w.n;
    loop(g, &w, a->dims[a->rank - 1], a->rank - 1, 1, b->rank - 2, 1);
    for (uint32_t i = 0; i < w.outer; i++)
        if (!(row && i + 2 == w.outer) && !(column && i + 1 == w.outer))
            dims[rank++] = w.loop[i].size;
    if (is_constant(a) || is_constant(b))
        return reshaped(g, rows(g, WEIGHTED, &w, one, none, SUM), dims, rank);
    a = times(g, &w);
    sums = (struct walk){.a = {a}, .outer = w.outer};
    for (uint32_t i = 0; i < w.n; i++)
        loop(g, &sums, w.loop[i].size, i, 1, 0, 0);
    return reshaped(g, rows(g, UNIT, &sums, one, none, SUM), dims, rank);
}

/* (a - mean) scale / sqrt(var + epsilon) + b, by channels */
static struct array *op_batch_norm(struct graph *g, struct array *a)
{
    struct num epsilon = attr_num(g, "epsilon", 0x3727c5ac);
    uint64_t dims[RANK_MAX], inner = 1;
    struct array *y;
    need(g, a->rank > 1 && attr_int(g, "training_mode", 0) == 0,
         "in training, or without channels");
    attr(g, "momentum", 2);
    for (uint32_t d = 1; d < a->rank; d++) {
        dims[d - 1] = d == 1 ? a->dims[1] : 1;
        inner *= d == 1 ? 1 : a->dims[d];
    }
    for (uint32_t i = 1; i < 5; i++)
        need(g, is_constant(g->in[i]) && g->in[i]->n == a->dims[1],
             "not one constant a channel");
    a = sum(g, a, minus_one, reshaped(g, g->in[3], dims, a->rank - 1));
    y = node_begin(g, WEIGHTED, a->dims, a->rank);
    g->node->root = true;
    for (; g->row < y->n; g->node->at[++g->row] = g->n_terms) {
        uint64_t c = g->row / inner % a->dims[1];
        struct num d = num_add(g, g->in[4]->x[c], epsilon);
        need(g, d.m > 0 && bits(g->in[1]->x[c].m) <= 32,
             "a variance that is not positive, or a scale of 33 bits");
        divide(g, d);
        add(g, one, g->in[1]->x[c], a->x[g->row]);
        g->node->b[g->row] = g->in[2]->x[c];
    }
    return y;
}

/* ReduceSum, ReduceMean. */
static struct array *op_reduce(struct graph *g, struct array *a)
{
    struct list given = attr_ints(g, "axes");
    struct list at = given.v ? given : g->list[1];
    bool keep = attr_int(g, "keepdims", 1) != 0;
    bool all = attr_int(g, "noop_with_empty_axes", 0) == 0;
    uint32_t set, rank = 0;
    uint64_t dims[RANK_MAX];
    struct walk w = {.a = {a}};
    need(g, !given.v || !g->list[1].v, "axes given twice");
    set = axes(g, &at, at.n, a->rank);
    set = at.n == 0 && all ? UINT32_MAX : set;
    for (uint32_t gone = 0; gone < 2; gone++) /* what stays comes first */
        for (uint32_t d = 0; d < a->rank; d++)
            if ((set >> d & 1) == gone) {
                loop(g, &w, a->dims[d], d, 1, 0, 0);
                w.outer += !gone;
            }
    for (uint32_t d = 0; d < a->rank; d++)
        if (keep || !(set >> d & 1))
            dims[rank++] = set >> d & 1 ? 1 : a->dims[d];
    a = rows(g, g->what == MEAN ? WEIGHTED : UNIT, &w, one, none,
             (enum how)g->what);
    return reshaped(g, a, dims, rank);
}

/* The loops over the places of a window; then, of a sum, those over so many
 * channels, and its taps. */
static void window(struct graph *g, struct walk *w, const int64_t *kernel,
                   uint64_t channels)
{
    const uint64_t *size = w->a[0]->dims + 2;
    uint32_t s = w->a[0]->rank - 2;
    const int64_t *stride = attr_list(g, "strides", s, 1, 1);
    const int64_t *dilation = attr_list(g, "dilations", s, 1, 1);
    const int64_t *pad = attr_list(g, "pads", 2 * s, 0, 0);
    for (uint32_t d = 0; d < s; d++) {
        int64_t last = (int64_t)size[d] + pad[d] + pad[d + s] -
                       (kernel[d] - 1) * dilation[d] - 1;
        need(g, last >= 0, "a window is larger than the input");
        w->at[0][d + 2] = -pad[d];
        loop(g, w, (uint64_t)(last / stride[d] + 1), d + 2, stride[d], 0, 0);
    }
    w->outer = w->n;
    loop(g, w, channels, 1, 1, 1, 1);
    for (uint32_t d = 0; d < s; d++)
        loop(g, w, (uint64_t)kernel[d], d + 2, dilation[d], d + 2, 1);
}

/* The same of what is transposed: with zeros between its elements, array 0 is
 * the input of a convolution of steps of 1, whose kernel is walked through
 * from its end. */
static void transposed(struct graph *g, struct walk *w, const int64_t *kernel,
                       uint64_t channels)
{
    uint32_t s = w->a[0]->rank - 2;
    const int64_t *stride = attr_list(g, "strides", s, 1, 1);
    const int64_t *dilation = attr_list(g, "dilations", s, 1, 1);
    const int64_t *pad = attr_list(g, "pads", 2 * s, 0, 0);
    const int64_t *more = attr_list(g, "output_padding", s, 0, 0);
    w->a[0] = longer(g, w->a[0], 2, stride, true);
    for (uint32_t d = 0; d < s; d++) {
        int64_t span = (kernel[d] - 1) * dilation[d];
        int64_t n = (int64_t)w->a[0]->dims[d + 2] - stride[d] + span + 1 +
                    more[d] - pad[d] - pad[d + s];
        need(g, n > 0, "the output is empty");
        w->at[0][d + 2] = pad[d] - span;
        w->at[1][d + 2] = kernel[d] - 1;
        loop(g, w, (uint64_t)n, d + 2, 1, 0, 0);
    }
    w->outer = w->n;
    loop(g, w, channels, 1, 1, 0, 1);
    for (uint32_t d = 0; d < s; d++)
        loop(g, w, (uint64_t)kernel[d], d + 2, dilation[d], d + 2, -1);
}

/* Conv, and ConvTranspose, in whose weights the channels of the input come
 * first, of all groups. */
static struct array *op_conv(struct graph *g, struct array *a)
{
    struct array *b = g->in[1], *c = added(g), *y;
    uint64_t group = (uint64_t)attr_int(g, "group", 1), dims[RANK_MAX], each;
    bool back = g->what;
    struct walk w = {.a = {a, b, c}};
    const int64_t *kernel; /* the weights have it, too */
    uint64_t made, taken;
    need(g, a->rank > 2 && b->rank == a->rank, shapes);
    kernel = attr_list(g, "kernel_shape", a->rank - 2, 0, 0);
    for (uint32_t d = 2; d < a->rank; d++)
        need(g, !kernel[d - 2] || (uint64_t)kernel[d - 2] == b->dims[d],
             "kernel_shape is not that of the weights");
    need(g,
         group > 0 && group <= a->dims[1] && b->dims[0] % group == 0 &&
             (back ? b->dims[0] : group * b->dims[1]) == a->dims[1],
         "group, channels and kernel do not agree");
    each = back ? b->dims[1] : b->dims[0] / group; /* made by a group */
    taken = a->dims[1] / group;
    made = each * group;
    need(g, !c || (c->rank == 1 && c->n == made), "wrong bias");
    loop(g, &w, a->dims[0], 0, 1, 0, 0);
    loop(g, &w, group, 1, (int64_t)taken, 0, (int64_t)(back ? taken : each));
    loop(g, &w, each, 0, 0, back, 1);
    w.loop[1].by[2] = (int64_t)each;
    w.loop[2].by[2] = 1;
    (back ? transposed : window)(g, &w, (const int64_t *)b->dims + 2, taken);
    y = rows(g, WEIGHTED, &w, one, one, SUM);
    memcpy(dims + 1, y->dims + 2, (a->rank - 1) * sizeof *dims);
    dims[0] = a->dims[0];
    dims[1] = made;
    return reshaped(g, y, dims, a->rank);
}

/* One round: the elements of all, where those of list i end at end[i], are
 * compared in pairs; the new lists, of the greater ones and what is left. */
static struct array *play(struct graph *g, const struct array *all,
                          uint64_t *end, uint64_t n)
{
    struct num *p = get(g->r, all->n, sizeof *p);
    struct num *q = get(g->r, all->n, sizeof *q);
    struct num *left = get(g->r, all->n, sizeof *left);
    uint64_t *won = get(g->r, all->n, 8), n_pairs = 0, n_left = 0, k = 0;
    struct array *r;
    for (uint64_t i = 0; i < n; end[i++] = n_left)
        for (; k < end[i]; left[n_left++] = all->x[k++])
            if (k + 1 < end[i]) {
                p[n_pairs] = all->x[k++];
                q[n_pairs++] = all->x[k];
                won[n_left] = n_pairs;
            }
    r = compare(g, list_of(g, p, n_pairs), minus_one, list_of(g, q, n_pairs));
    r = each(g, RELU, one, r);
    for (uint64_t i = 0; i < n_left; i++) /* 0 without a pair */
        p[i] = won[i] ? r->x[won[i] - 1] : none;
    return compare(g, list_of(g, left, n_left), one, list_of(g, p, n_left));
}

/* The greatest element that the inner loops meet, for each place of the
 * outer ones. */
static struct array *maxima(struct graph *g, struct walk *w)
{
    uint64_t dims[LOOPS_MAX], n = 1, most = 0, at = 0, *end;
    struct array *all;
    for (uint32_t i = 0; i < w->n; n *= dims[i++]) {
        dims[i] = w->loop[i].size;
        need(g, dims[i] <= ELEMENTS_MAX / n, "windows are too large");
    }
    all = list_of(g, NULL, n);
    end = get(g->r, n, sizeof *end);
    n = 0;
    do {
        uint64_t first = at;
        do
            if (element(w, 0))
                all->x[at++] = inside(g, w, 0);
        while (step(g, w, w->outer, w->n));
        need(g, at > first, "a window lies in the padding");
        most = at - first > most ? at - first : most;
        end[n++] = at;
    } while (step(g, w, 0, w->outer));
    all = list_of(g, all->x, at);
    for (; most > 1; most = (most + 1) / 2)
        all = play(g, all, end, n);
    return reshaped(g, all, dims, w->outer);
}

enum { GLOBAL = 1, MAXIMUM = 2 };

static struct array *op_pool(struct graph *g, struct array *a)
{
    bool padding = attr_int(g, "count_include_pad", 0) != 0;
    struct walk w = {.a = {a}};
    need(g, a->rank > 2, shapes);
    need(g, !(g->what & GLOBAL) || g->op->n_attrs == 0, "attributes");
    attr(g, "storage_order", 1); /* of MaxPool's second output */
    loop(g, &w, a->dims[0], 0, 1, 0, 0);
    loop(g, &w, a->dims[1], 1, 1, 0, 0);
    window(g, &w,
           g->what & GLOBAL ? (const int64_t *)a->dims + 2
                            : attr_list(g, "kernel_shape", a->rank - 2, 0, 1),
           1);
    return g->what & MAXIMUM ? maxima(g, &w)
                             : rows(g, WEIGHTED, &w, one, none,
                                    padding ? MEAN_OF_ALL : MEAN);
}

/* ---- the graph ---- */

/* Inputs; which are integers, and ANY if the others may be, too; outputs. */
#define ANY (1u << 31)

static const struct op {
    const char *name;
    uint32_t least, in, ints, out;
    struct array *(*apply)(struct graph *g, struct array *a);
    int what;
} ops[] = {
    {"Abs", 1, 1, 0, 1, op_abs, 0},
    {"Add", 2, 2, 0, 1, op_binary, '+'},
    {"AveragePool", 1, 1, 0, 1, op_pool, 0},
    {"BatchNormalization", 5, 5, 0, 1, op_batch_norm, 0},
    {"Clip", 1, 3, 0, 1, op_clip, 0},
    {"Concat", 1, UINT32_MAX, ANY, 1, op_concat, 0},
    {"ConstantOfShape", 1, 1, 1, 1, op_zeros, 0},
    {"Conv", 2, 3, 0, 1, op_conv, 0},
    {"ConvTranspose", 2, 3, 0, 1, op_conv, 1},
    {"Cos", 1, 1, 0, 1, op_smooth, COSINE},
    {"Div", 2, 2, 0, 1, op_binary, '/'},
    {"Dropout", 1, 1, 0, 2, op_identity, 0},
    {"Erf", 1, 1, 0, 1, op_smooth, ERF},
    {"Exp", 1, 1, 0, 1, op_exp, 0},
    {"Flatten", 1, 1, 0, 1, op_flatten, 0},
    {"Gather", 2, 2, 2 | ANY, 1, op_gather, 0},
    {"Gelu", 1, 1, 0, 1, op_smooth, GELU},
    {"Gemm", 2, 3, 0, 1, op_gemm, 0},
    {"GlobalAveragePool", 1, 1, 0, 1, op_pool, GLOBAL},
    {"GlobalMaxPool", 1, 1, 0, 1, op_pool, GLOBAL | MAXIMUM},
    {"Identity", 1, 1, 0, 1, op_identity, 0},
    {"LeakyRelu", 1, 1, 0, 1, op_leaky, 0},
    {"MatMul", 2, 2, 0, 1, op_matmul, 0},
    {"Max", 1, UINT32_MAX, 0, 1, op_binary, '>'},
    {"MaxPool", 1, 1, 0, 2, op_pool, MAXIMUM},
    {"Min", 1, UINT32_MAX, 0, 1, op_binary, '<'},
    {"Mul", 2, 2, 0, 1, op_binary, '*'},
    {"Neg", 1, 1, 0, 1, op_each, UNIT},
    {"PRelu", 2, 2, 0, 1, op_leaky, 1},
    {"Pad", 2, 4, 2 | 8, 1, op_pad, 0},
    {"Pow", 2, 2, 0, 1, op_pow, 0},
    {"ReduceMean", 1, 2, 2, 1, op_reduce, MEAN},
    {"ReduceSum", 1, 2, 2, 1, op_reduce, SUM},
    {"Relu", 1, 1, 0, 1, op_each, RELU},
    {"Reshape", 2, 2, 2, 1, op_reshape, 0},
    {"Resize", 1, 4, 8, 1, op_resize, 0},
    {"Shape", 1, 1, 0, 1, op_shape, 0},
    {"Sigmoid", 1, 1, 0, 1, op_each, SIGMOID},
    {"Sin", 1, 1, 0, 1, op_smooth, SINE},
    {"Slice", 3, 5, 2 | 4 | 8 | 16 | ANY, 1, op_slice, 0},
    {"Softmax", 1, 1, 0, 1, op_softmax, 0},
    {"Split", 1, 2, 2, UINT32_MAX, op_split, 0},
    {"Squeeze", 1, 2, 2 | ANY, 1, op_squeeze, 0},
    {"Sub", 2, 2, 0, 1, op_binary, '-'},
    {"Tanh", 1, 1, 0, 1, op_smooth, SIGMOID},
    {"Transpose", 1, 1, 0, 1, op_transpose, 0},
    {"Unsqueeze", 2, 2, 2 | ANY, 1, op_squeeze, 'u'},
};

/* The inputs of the operator at hand. */
static void read_inputs(struct graph *g, const struct op *op)
{
    const struct operator* n = g->op;
    need(g, n->n_in >= op->least && n->n_in <= op->in,
         "wrong number of inputs");
    memset(g->list, 0, sizeof g->list);
    g->in = get(g->r, n->n_in + LISTS, sizeof *g->in);
    for (uint32_t i = 0; i < n->n_in; i++) {
        uint32_t v = n->in[i] - 1, t;
        bool ints = i < LISTS && op->ints >> i & 1;
        need(g, n->in[i] > 0 || (i >= op->least && op->in <= LISTS),
             "an input is not there");
        if (n->in[i] == 0)
            continue;
        t = g->m->values[v].tensor_plus_1;
        if (t && !g->values[v])
            g->values[v] = constant(g, &g->m->tensors[t - 1]);
        need(g, g->values[v], "an input is used before it is made");
        need(g, g->values[v]->whole ? ints || op->ints & ANY : !ints,
             "an input is of another type, or not constant");
        if (ints)
            g->list[i] = integers_of(g, g->values[v]);
        else
            g->in[i] = g->values[v];
    }
}

static void apply(struct graph *g)
{
    const struct operator* n = g->op;
    const struct op *op = ops, *end = ops + sizeof ops / sizeof *ops;
    while (op < end && !bytes_are(n->op, op->name))
        op++;
    need(g, op < end, "the operator is not understood");
    need(g, n->n_out > 0 && n->n_out <= op->out, "wrong number of outputs");
    read_inputs(g, op);
    g->what = op->what;
    /* The second output of Dropout and MaxPool is not made. */
    for (g->part = 0; g->part < (op->out == 2 ? 1 : n->n_out); g->part++) {
        uint32_t v = n->out[g->part] - 1;
        struct array *y = op->apply(g, g->in[0]);
        if (n->out[g->part] == 0)
            continue;
        need(g, !g->values[v] && !g->m->values[v].tensor_plus_1,
             "an output is made twice, or a constant");
        for (uint32_t i = 0; op->ints & ANY && i < n->n_in; i++)
            if (g->in[i]) /* all of one type */
                need(g, g->in[i]->whole == g->in[0]->whole, "types differ");
        y->whole |= op->ints & ANY && g->in[0]->whole;
        g->values[v] = y;
    }
    for (uint32_t i = 0; i < n->n_attrs; i++)
        need(g, n->attrs[i].read, "an attribute is not understood");
}

static void graph_input(struct graph *g, uint32_t at)
{
    const struct value *v = &g->m->values[at];
    uint64_t dims[RANK_MAX + 1];
    need(g,
         v->rank_plus_1 > 0 && !v->tensor_plus_1 && floats(v->dtype) &&
             !g->values[at],
         "a graph input has no rank, is constant or of another type");
    cover(g, v->dtype == 1, "an input that is not float32");
    for (uint32_t i = 0; i + 1 < v->rank_plus_1; i++)
        dims[i] = v->dims[i] == -1 ? 1 : (uint64_t)v->dims[i];
    g->values[at] = variables(g, dims, v->rank_plus_1 - 1);
}

/* The last node: all outputs. */
static void graph_outputs(struct graph *g)
{
    struct array *all, *a;
    uint64_t n = 0;
    for (uint32_t i = 0; i < g->m->n_outputs; i++, n += a->n) {
        a = g->values[g->m->outputs[i]]; /* at most 2^26 each */
        need(g, a != NULL && !a->whole,
             "no node makes it, or it is of integers");
    }
    all = list_of(g, NULL, n);
    n = 0;
    for (uint32_t i = 0; i < g->m->n_outputs; i++, n += a->n) {
        a = g->values[g->m->outputs[i]];
        memcpy(all->x + n, a->x, a->n * sizeof *a->x);
    }
    each(g, UNIT, one, all);
}

/* Variable 0 is none, the first one of the input is 8. */
void graph_read(struct run *r, struct net *net, struct model *m)
{
    const struct operator whole = {.op = {(const unsigned char *)"graph", 5}};
    struct graph g = {.r = r, .net = net, .m = m, .op = &whole};
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
    g.op = &whole;
    graph_outputs(&g);
    net->n_vars = (uint32_t)up8(net->n_vars);
}
