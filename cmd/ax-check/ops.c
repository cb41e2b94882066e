/* ops.c - the operators that are affine when all inputs but one are
 * constant, as ONNX defines them at opset 17.
 *
 * Nearly all of them are one loop nest: for every index of the output, and
 * then for every index that is summed over, k times an element of a, times
 * an element of b if there is a b; what is outside of a counts as zero.
 * Where the element is, is affine in the indexes. */
#include "island.h"

#include <string.h>

enum { LOOPS_MAX = 2 * RANK_MAX };

/* Index d of x is first[d] + sum over loops i of by[d][i] i; for d = table_at
 * it is then looked up in the table, if there is one. */
struct operand {
    const struct form *x;
    int64_t first[RANK_MAX], by[RANK_MAX][LOOPS_MAX], *table;
    uint32_t table_at;
};

struct nest {
    struct operand a, b; /* b.x may be NULL */
    struct num k;
    uint32_t loops; /* the first of them are over the output */
    uint64_t size[LOOPS_MAX];
};

struct ints {
    uint64_t n;
    int64_t *v;
    const struct tensor *t;
};

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

/* Make a tensor of the shape dims, whose elements are the first outer loops
 * of the nests, which are added; the second may be NULL. */
static struct form *run_nests(struct lowering *l, const uint64_t *dims,
                              uint32_t rank, uint32_t outer,
                              const struct nest *first,
                              const struct nest *second)
{
    struct form *y = form_new(l, dims, rank);
    uint64_t at[LOOPS_MAX] = {0}, i, j;
    for (uint64_t e = 0; e < y->n; e++, step(at, first->size, 0, outer)) {
        for (const struct nest *n = first; n; n = n == first ? second : NULL)
            do {
                bool swap = n->b.x && n->b.x->at;
                if (!find(&n->a, at, n->loops, &i))
                    continue;
                if (!n->b.x) {
                    sum_add(l, n->a.x, i, n->k);
                } else if (find(&n->b, at, n->loops, &j)) {
                    need(l, !swap || !n->a.x->at, "no factor is constant");
                    sum_add(
                        l, swap ? n->b.x : n->a.x, swap ? j : i,
                        num_mul(l, n->k, swap ? n->a.x->c[i] : n->b.x->c[j]));
                }
            } while (step(at, n->size, outer, n->loops));
        sum_end(l, y, e);
    }
    return y;
}

static const struct attr *attr(struct lowering *l, const char *name,
                               uint32_t kind)
{
    for (uint32_t i = 0; i < l->node->n_attrs; i++)
        if (bytes_are(l->node->attrs[i].name, name)) {
            need(l, l->node->attrs[i].kind == kind, "attribute: wrong kind");
            return &l->node->attrs[i];
        }
    return NULL;
}

static int64_t attr_int(struct lowering *l, const char *name, int64_t other)
{
    const struct attr *a = attr(l, name, 1);
    return a ? a->i : other;
}

/* Number i of a list of n, from 0 to INT32_MAX; other without the list. */
static int64_t attr_item(struct lowering *l, const char *name, uint32_t i,
                         uint32_t n, int64_t other)
{
    const struct attr *a = attr(l, name, 4);
    need(l,
         !a || (a->n_ints == n && a->ints[i] >= 0 && a->ints[i] <= INT32_MAX),
         "attribute: wrong list");
    return a ? a->ints[i] : other;
}

static struct num attr_num(struct lowering *l, const char *name)
{
    const struct attr *a = attr(l, name, 2);
    return a ? num_float(l, a->bits, 23, 8) : (struct num){1, 0};
}

static struct form *in(struct lowering *l, uint32_t i)
{
    need(l, i < l->node->n_in && l->in[i],
         "an input is not there or of "
         "another type");
    return l->in[i];
}

/* Constant input i, integers; t is NULL if it is absent. Numbers beyond 32
 * bits, "to the end", come nearer with no change of meaning. */
static struct ints ints_in(struct lowering *l, uint32_t i)
{
    uint32_t v = i < l->node->n_in ? l->node->in[i] : 0, t;
    struct ints out = {0, NULL, NULL};
    if (v == 0)
        return out;
    t = l->m->values[v - 1].tensor_plus_1;
    need(l, t > 0, "an input of integers is not constant");
    out.t = &l->m->tensors[t - 1];
    need(l, out.t->dtype == 6 || out.t->dtype == 7, "int64 or int32 wanted");
    out.n = out.t->n;
    out.v = get(l->r, out.n, sizeof *out.v);
    for (uint64_t k = 0; k < out.n; k++) {
        const unsigned char *p = out.t->data.p;
        int64_t x = out.t->dtype == 7 ? (int64_t)little(p + 8 * k, 8)
                                      : (int32_t)little(p + 4 * k, 4);
        x = x > INT32_MAX ? INT32_MAX : x;
        out.v[k] = x < -INT32_MAX ? -INT32_MAX : x;
    }
    return out;
}

static uint32_t axis(struct lowering *l, int64_t a, uint32_t rank)
{
    need(l, a >= -(int64_t)rank && a < (int64_t)rank, "no such axis");
    return (uint32_t)(a < 0 ? a + rank : a);
}

/* Which axes a list names, as bits. */
static uint32_t axes(struct lowering *l, const int64_t *v, uint64_t n,
                     uint32_t rank)
{
    uint32_t set = 0;
    for (uint64_t i = 0; i < n; i++) {
        need(l, !(set >> axis(l, v[i], rank) & 1), "an axis named twice");
        set |= 1u << axis(l, v[i], rank);
    }
    return set;
}

/* A nest over all of input 0: loop d is dimension d. */
static struct nest whole(struct lowering *l)
{
    struct nest n = {.a.x = in(l, 0), .k = {1, 0}, .loops = in(l, 0)->rank};
    for (uint32_t d = 0; d < n.loops; d++) {
        n.a.by[d][d] = 1;
        n.size[d] = n.a.x->dims[d];
    }
    return n;
}

static struct form *view(struct lowering *l, const struct nest *n)
{
    return run_nests(l, n->size, n->loops, n->loops, n, NULL);
}

/* k times input 0, in another shape. */
static struct form *reshaped(struct lowering *l, const uint64_t *dims,
                             uint32_t rank, int k)
{
    struct form *y = form_new(l, dims, rank);
    need(l, in(l, 0)->n == y->n, "the numbers of elements differ");
    for (uint64_t i = 0; i < y->n; i++) {
        sum_add(l, in(l, 0), i, (struct num){k, 0});
        sum_end(l, y, i);
    }
    return y;
}

static void op_identity(struct lowering *l, struct form **out)
{
    uint32_t v = l->node->n_in > 2 ? l->node->in[2] : 0, t = 0;
    if (v > 0) { /* Dropout: training_mode, a boolean */
        t = l->m->values[v - 1].tensor_plus_1;
        need(l,
             t > 0 && l->m->tensors[t - 1].data.n == 1 &&
                 *l->m->tensors[t - 1].data.p == 0,
             "training mode");
    }
    out[0] = reshaped(l, in(l, 0)->dims, in(l, 0)->rank,
                      bytes_are(l->node->op, "Neg") ? -1 : 1);
}

static void op_flatten(struct lowering *l, struct form **out)
{
    const struct form *x = in(l, 0);
    int64_t at = attr_int(l, "axis", 1);
    uint64_t dims[2] = {1, 1};
    need(l, at >= -(int64_t)x->rank && at <= (int64_t)x->rank,
         "no such axis");
    for (uint32_t d = 0; d < x->rank; d++)
        dims[d >= (at < 0 ? at + x->rank : at)] *= x->dims[d];
    out[0] = reshaped(l, dims, 2, 1);
}

static void op_reshape(struct lowering *l, struct form **out)
{
    const struct form *x = in(l, 0);
    struct ints shape = ints_in(l, 1);
    uint64_t dims[RANK_MAX], known = 1, open = RANK_MAX;
    need(l, shape.t && shape.n <= RANK_MAX, "wrong shape");
    for (uint32_t i = 0; i < shape.n; i++) {
        dims[i] = shape.v[i] == 0 && i < x->rank ? x->dims[i]
                                                 : (uint64_t)shape.v[i];
        if (shape.v[i] == -1 && open == RANK_MAX)
            open = i;
        else /* not 0, not negative, nothing overflows */
            need(l, dims[i] - 1 < x->n / known, "wrong shape");
        known *= shape.v[i] == -1 ? 1 : dims[i];
    }
    if (open < RANK_MAX)
        dims[open] = x->n / known;
    out[0] = reshaped(l, dims, (uint32_t)shape.n, 1);
}

static void op_squeeze(struct lowering *l, struct form **out)
{
    const struct form *x = in(l, 0);
    bool un = bytes_are(l->node->op, "Unsqueeze");
    struct ints a = ints_in(l, 1);
    uint32_t rank = x->rank + (un ? (uint32_t)a.n : 0), n = 0, from = 0, set;
    uint64_t dims[RANK_MAX];
    need(l, a.n <= RANK_MAX && rank <= RANK_MAX, "the rank is too large");
    set = axes(l, a.v, a.n, rank);
    for (uint32_t d = 0; d < rank; d++)
        if (un)
            dims[n++] = set >> d & 1 ? 1 : x->dims[from++];
        else if (a.t ? !(set >> d & 1) : x->dims[d] != 1)
            dims[n++] = x->dims[d];
    out[0] = reshaped(l, dims, n, 1);
}

static void op_transpose(struct lowering *l, struct form **out)
{
    struct nest n = whole(l);
    const struct attr *a = attr(l, "perm", 4);
    need(l, !a || a->n_ints == n.loops, "perm is of the wrong length");
    if (a)
        axes(l, a->ints, a->n_ints, n.loops);
    memset(n.a.by, 0, sizeof n.a.by);
    for (uint32_t d = 0; d < n.loops; d++) {
        uint32_t from = a ? axis(l, a->ints[d], n.loops) : n.loops - 1 - d;
        n.a.by[from][d] = 1;
        n.size[d] = n.a.x->dims[from];
    }
    out[0] = view(l, &n);
}

static int64_t clamp(int64_t v, int64_t n, int64_t lo, int64_t hi)
{
    v += v < 0 ? n : 0; /* from the end */
    return v < lo ? lo : v > hi ? hi : v;
}

static void op_slice(struct lowering *l, struct form **out)
{
    struct nest n = whole(l);
    struct ints from = ints_in(l, 1), to = ints_in(l, 2), at = ints_in(l, 3);
    struct ints by = ints_in(l, 4);
    need(l,
         from.n == to.n && from.n <= n.loops && (!at.t || at.n == from.n) &&
             (!by.t || by.n == from.n),
         "lists of different lengths");
    axes(l, at.v, at.n, n.loops);
    for (uint32_t i = 0; i < from.n; i++) {
        uint32_t d = at.t ? axis(l, at.v[i], n.loops) : i;
        int64_t size = (int64_t)n.size[d], s = by.t ? by.v[i] : 1, a, b;
        need(l, s != 0, "a step is 0");
        a = clamp(from.v[i], size, 0, size - (s < 0));
        b = clamp(to.v[i], size, -(s < 0), size - (s < 0));
        n.a.first[d] = a;
        n.a.by[d][d] = s;
        n.size[d] = (b > a) == (s > 0) && a != b
                        ? (uint64_t)((b - a + s - (s > 0 ? 1 : -1)) / s)
                        : 0;
    }
    out[0] = view(l, &n);
}

static void op_pad(struct lowering *l, struct form **out)
{
    struct nest n = whole(l);
    struct ints p = ints_in(l, 1);
    const struct form *pad = l->node->n_in > 2 ? in(l, 2) : NULL;
    need(l,
         p.n == 2 * n.loops && l->node->n_in <= 3 &&
             (!pad || (!pad->at && pad->c[0].m == 0)),
         "not with zeros");
    for (uint32_t d = 0; d < n.loops; d++) {
        int64_t size = (int64_t)n.size[d] + p.v[d] + p.v[d + n.loops];
        n.a.first[d] = -p.v[d];
        n.size[d] = size < 0 ? 0 : (uint64_t)size;
    }
    out[0] = view(l, &n);
}

static void op_gather(struct lowering *l, struct form **out)
{
    const struct form *x = in(l, 0);
    uint32_t a = axis(l, attr_int(l, "axis", 0), x->rank);
    struct ints idx = ints_in(l, 1);
    struct nest n = {
        .a.x = x, .k = {1, 0}, .a.table_at = a, .a.table = idx.v};
    int64_t stride = 1;
    need(l, idx.t && x->rank - 1 + idx.t->rank <= RANK_MAX, "wrong indices");
    for (uint64_t i = 0; i < idx.n; i++) {
        idx.v[i] += idx.v[i] < 0 ? (int64_t)x->dims[a] : 0;
        need(l, idx.v[i] >= 0 && idx.v[i] < (int64_t)x->dims[a],
             "an index is out of range");
    }
    for (uint32_t d = 0; d < x->rank; d++) {
        n.a.by[d][n.loops] = d != a;
        for (uint32_t i = 0; i < (d == a ? idx.t->rank : 1); i++)
            n.size[n.loops++] = d == a ? idx.t->dims[i] : x->dims[d];
    }
    for (uint32_t i = a + idx.t->rank; i-- > a; stride *= (int64_t)n.size[i])
        n.a.by[a][i] = stride;
    out[0] = view(l, &n);
}

static void op_split(struct lowering *l, struct form **out)
{
    struct nest n = whole(l);
    uint32_t a = axis(l, attr_int(l, "axis", 0), n.loops);
    uint64_t all = n.size[a], parts = l->node->n_out, at = 0;
    struct ints sizes = ints_in(l, 1);
    need(l, sizes.t ? sizes.n == parts : all % parts == 0, "wrong sizes");
    for (uint64_t i = 0; i < parts; i++) {
        n.a.first[a] = (int64_t)at;
        n.size[a] = sizes.t ? (uint64_t)sizes.v[i] : all / parts;
        need(l, n.size[a] <= all - at, "wrong sizes");
        at += n.size[a];
        out[i] = view(l, &n);
    }
    need(l, at == all, "wrong sizes");
}

static void op_concat(struct lowering *l, struct form **out)
{
    struct nest n = whole(l);
    uint32_t a = axis(l, attr_int(l, "axis", RANK_MAX), n.loops);
    uint64_t before = 1, o = 0;
    for (uint32_t i = 1; i < l->node->n_in; i++) {
        need(l, in(l, i)->rank == n.loops, "shapes do not agree");
        for (uint32_t d = 0; d < n.loops; d++)
            need(l, d == a || in(l, i)->dims[d] == n.size[d],
                 "shapes do not agree");
        n.size[a] += in(l, i)->dims[a]; /* at most 2^26 each */
    }
    out[0] = form_new(l, n.size, n.loops);
    for (uint32_t d = 0; d < a; d++)
        before *= n.size[d];
    for (uint64_t k = 0; k < before; k++)
        for (uint32_t i = 0; i < l->node->n_in; i++)
            for (uint64_t m = in(l, i)->n / before, j = 0; j < m; j++) {
                sum_add(l, in(l, i), k * m + j, (struct num){1, 0});
                sum_end(l, out[0], o++);
            }
}

/* Let the first rank dimensions of o be the loops up to loops, and repeat
 * those of size 1; loops of size 0, or 1, so far get the size of o. */
static void broadcast(struct lowering *l, struct operand *o, uint64_t *size,
                      uint32_t rank, uint32_t loops)
{
    need(l, rank <= loops, "shapes do not broadcast");
    for (uint32_t d = 0; d < rank; d++) {
        uint64_t *s = &size[loops - rank + d], dim = o->x->dims[d];
        *s = *s <= 1 ? dim : *s;
        need(l, dim == 1 || dim == *s, "shapes do not broadcast");
        o->by[d][loops - rank + d] = dim != 1;
    }
}

static void op_elementwise(struct lowering *l, struct form **out)
{
    const struct form *a = in(l, 0), *b = in(l, 1);
    char op = (char)*l->node->op.p;
    bool sum = op == 'A' || op == 'S';
    struct nest n = {.a.x = a, .k = {1, 0}},
                m = {.k = {op == 'S' ? -1 : 1, 0}};
    struct operand *other = sum ? &m.a : &n.b;
    n.loops = m.loops = a->rank > b->rank ? a->rank : b->rank;
    other->x = b;
    if (op == 'D') { /* a / b = a times 1 / b */
        struct form *by = form_new(l, b->dims, b->rank);
        for (uint64_t i = 0; i < b->n; i++) {
            need(l, !b->at && (b->c[i].m == 1 || b->c[i].m == -1),
                 "a divisor is not a constant power of two");
            by->c[i] = num_make(l, b->c[i].m, -b->c[i].e);
        }
        by->at = NULL;
        other->x = by;
    }
    broadcast(l, other, n.size, b->rank, n.loops);
    broadcast(l, &n.a, n.size, a->rank, n.loops);
    memcpy(m.size, n.size, sizeof m.size);
    out[0] = run_nests(l, n.size, n.loops, n.loops, &n, sum ? &m : NULL);
}

static void op_gemm(struct lowering *l, struct form **out)
{
    const struct form *a = in(l, 0), *b = in(l, 1);
    bool ta = attr_int(l, "transA", 0) != 0,
         tb = attr_int(l, "transB", 0) != 0;
    bool bias = l->node->n_in > 2 && l->node->in[2] > 0;
    struct nest n = {
        .a.x = a, .b.x = b, .k = attr_num(l, "alpha"), .loops = 3};
    struct nest c = {.k = attr_num(l, "beta"), .loops = 2};
    need(l, a->rank == 2 && b->rank == 2 && a->dims[!ta] == b->dims[tb],
         "shapes do not agree");
    n.a.by[ta][0] = n.a.by[!ta][2] = n.b.by[tb][2] = n.b.by[!tb][1] = 1;
    n.size[0] = c.size[0] = a->dims[ta];
    n.size[1] = c.size[1] = b->dims[!tb];
    n.size[2] = a->dims[!ta];
    if (bias) {
        c.a.x = in(l, 2);
        broadcast(l, &c.a, c.size, c.a.x->rank, 2);
        need(l, memcmp(c.size, n.size, 16) == 0, "C is too large");
    }
    out[0] = run_nests(l, n.size, 2, 2, &n, bias ? &c : NULL);
}

static void op_matmul(struct lowering *l, struct form **out)
{
    const struct form *a = in(l, 0), *b = in(l, 1);
    uint32_t ra = a->rank, rb = b->rank, rows = ra > 1, cols = rb > 1, batch;
    struct nest n = {.a.x = a, .b.x = b, .k = {1, 0}};
    need(l, ra > 0 && rb > 0 && a->dims[ra - 1] == b->dims[rb - 1 - cols],
         "shapes do not agree");
    batch = (ra > rb ? ra : rb) > 2 ? (ra > rb ? ra : rb) - 2 : 0;
    broadcast(l, &n.b, n.size, cols ? rb - 2 : 0, batch);
    broadcast(l, &n.a, n.size, rows ? ra - 2 : 0, batch);
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
    out[0] = run_nests(l, n.size, n.loops - 1, n.loops - 1, &n, NULL);
}

/* 1 / n, where that is exact. */
static struct num part(struct lowering *l, uint64_t n)
{
    need(l, n > 0 && (n & (n - 1)) == 0,
         "a mean of a number of elements "
         "that is no power of two");
    return num_make(l, 1, -(int64_t)__builtin_ctzll(n));
}

/* Conv and AveragePool. Loops: batch, group, channel in the group, spatial;
 * then input channel in the group, spatial in the kernel. */
static void op_conv(struct lowering *l, struct form **out)
{
    bool pool = bytes_are(l->node->op, "AveragePool"), padded = false;
    bool bias = l->node->n_in > 2 && l->node->in[2] > 0;
    const struct form *x = in(l, 0), *w = pool ? x : in(l, 1);
    uint32_t s = x->rank - 2, inner = x->rank + 1;
    uint64_t dims[RANK_MAX], taps = 1, groups;
    struct nest n = {.a.x = x, .b.x = pool ? NULL : w, .k = {1, 0}}, c = n;
    need(l, x->rank > 2 && x->rank < RANK_MAX && w->rank == x->rank,
         "shapes do not agree");
    groups = pool ? x->dims[1] : (uint64_t)attr_int(l, "group", 1);
    need(l,
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
        int64_t kernel = attr_item(l, "kernel_shape", d, s, size);
        int64_t stride = attr_item(l, "strides", d, s, 1);
        int64_t dilation = attr_item(l, "dilations", d, s, 1);
        int64_t pad = attr_item(l, "pads", d, 2 * s, 0);
        room = pad + attr_item(l, "pads", d + s, 2 * s, 0);
        padded |= room > 0;
        need(l,
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
    need(l, !padded || !pool || attr_int(l, "count_include_pad", 0) == 1,
         "padding that does not count");
    n.k = pool ? part(l, taps) : n.k;
    if (bias) {
        c.a.x = in(l, 2);
        c.b.x = NULL;
        need(l, c.a.x->rank == 1 && c.a.x->n == dims[1], "wrong bias");
        c.loops = inner;
        c.a.by[0][1] = n.b.by[0][1];
        c.a.by[0][2] = 1;
    }
    out[0] = run_nests(l, dims, x->rank, inner, &n, bias ? &c : NULL);
}

static void op_reduce(struct lowering *l, struct form **out)
{
    const struct attr *a = attr(l, "axes", 4);
    const struct form *x = in(l, 0);
    struct ints list = ints_in(l, 1);
    struct nest n = {.a.x = x, .k = {1, 0}};
    uint64_t dims[RANK_MAX], n_gone = 1;
    uint32_t set, rank = 0, outer = 0;
    if (a)
        list = (struct ints){a->n_ints, a->ints, NULL};
    set = axes(l, list.v, list.n, x->rank);
    if (list.n == 0 && attr_int(l, "noop_with_empty_axes", 0) == 0)
        set = UINT32_MAX;
    for (uint32_t gone = 0; gone < 2; gone++) /* what stays, what goes */
        for (uint32_t d = 0; d < x->rank; d++) {
            if ((set >> d & 1) != gone)
                continue;
            n.a.by[d][n.loops] = 1;
            n.size[n.loops++] = x->dims[d];
            outer += !gone;
            n_gone *= gone ? x->dims[d] : 1;
        }
    for (uint32_t d = 0; d < x->rank; d++)
        if (!(set >> d & 1))
            dims[rank++] = x->dims[d];
        else if (attr_int(l, "keepdims", 1) != 0)
            dims[rank++] = 1;
    if (bytes_are(l->node->op, "ReduceMean"))
        n.k = part(l, n_gone);
    out[0] = run_nests(l, dims, rank, outer, &n, NULL);
}

/* Most inputs and outputs, and the attributes, each between spaces. */
static const struct op {
    const char *name;
    uint32_t in, out;
    const char *attrs;
    void (*apply)(struct lowering *l, struct form **out);
} ops[] = {
    {"Add", 2, 1, "", op_elementwise},
    {"AveragePool", 1, 1, " count_include_pad kernel_shape pads strides ",
     op_conv},
    {"Concat", UINT32_MAX, 1, " axis ", op_concat},
    {"Conv", 3, 1, " dilations group kernel_shape pads strides ", op_conv},
    {"Div", 2, 1, "", op_elementwise},
    {"Dropout", 3, 2, " seed ", op_identity},
    {"Flatten", 1, 1, " axis ", op_flatten},
    {"Gather", 2, 1, " axis ", op_gather},
    {"Gemm", 3, 1, " alpha beta transA transB ", op_gemm},
    {"Identity", 1, 1, "", op_identity},
    {"MatMul", 2, 1, "", op_matmul},
    {"Mul", 2, 1, "", op_elementwise},
    {"Neg", 1, 1, "", op_identity},
    {"Pad", 4, 1, "", op_pad},
    {"ReduceMean", 1, 1, " axes keepdims ", op_reduce},
    {"ReduceSum", 2, 1, " keepdims noop_with_empty_axes ", op_reduce},
    {"Reshape", 2, 1, "", op_reshape},
    {"Slice", 5, 1, "", op_slice},
    {"Split", 2, UINT32_MAX, " axis ", op_split},
    {"Squeeze", 2, 1, "", op_squeeze},
    {"Sub", 2, 1, "", op_elementwise},
    {"Transpose", 1, 1, " perm ", op_transpose},
    {"Unsqueeze", 2, 1, "", op_squeeze},
};

void op_apply(struct lowering *l, struct form **out)
{
    const struct node *n = l->node;
    const struct op *op = ops, *end = ops + sizeof ops / sizeof *ops;
    while (op < end && !bytes_are(n->op, op->name))
        op++;
    need(l, op < end, "the operator is not understood");
    need(l,
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
        need(l, *p && p[1], "an attribute is not understood");
    }
    op->apply(l, out);
}
