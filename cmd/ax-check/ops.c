/* ops.c - the operators that are affine when all inputs but one are
 * constant, as ONNX defines them at opset 17.
 *
 * Nearly all of them are one loop nest: for every index of the output, and
 * then for every index that is summed over, k times an element of a, times
 * an element of b if there is a b; what is outside of a counts as zero.
 * Where the element is, is affine in the indexes. So an operator only fills
 * in a struct nest. */
#include "island.h"

#include <string.h>

enum { LOOPS_MAX = 2 * RANK_MAX };

static const struct num one = {1, 0}, minus_one = {-1, 0};

/* Index d of an operand is first[d] + sum over loops i of by[d][i] i; along
 * table_at it is then looked up in table, if there is one. */
struct operand {
    const struct form *x;
    int64_t first[RANK_MAX], by[RANK_MAX][LOOPS_MAX];
    const int64_t *table;
    uint32_t table_at;
};

struct nest {
    struct operand a, b; /* b.x may be NULL */
    struct num k;
    uint32_t loops; /* of these the first are over the output */
    uint64_t size[LOOPS_MAX];
};

/* Where the element is; false if outside. Indexes are below 2^26, steps
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

/* Make y, whose elements are the first outer loops of both nests: their
 * sum. The second may be NULL. */
static void run_nests(struct lowering *l, struct form *y, uint32_t outer,
                      const struct nest *first, const struct nest *second)
{
    uint64_t at[LOOPS_MAX] = {0}, i, j;

    for (uint64_t e = 0; e < y->n; e++, step(at, first->size, 0, outer)) {
        for (const struct nest *n = first; n; n = n == first ? second : NULL)
            do {
                if (!find(&n->a, at, n->loops, &i))
                    continue;
                if (!n->b.x) {
                    sum_add(l, n->a.x, i, n->k);
                } else if (find(&n->b, at, n->loops, &j)) {
                    bool swap = n->b.x->at != NULL;

                    need(l, !swap || !n->a.x->at, "neither is constant");
                    sum_add(
                        l, swap ? n->b.x : n->a.x, swap ? j : i,
                        num_mul(l, n->k, swap ? n->a.x->c[i] : n->b.x->c[j]));
                }
            } while (step(at, n->size, outer, n->loops));
        sum_end(l, y, e);
    }
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
static int64_t item(struct lowering *l, const char *name, uint32_t i,
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

    return a ? num_float(l, a->bits, 23, 8) : one;
}

static bool has(const struct lowering *l, uint32_t i)
{
    return i < l->node->n_in && l->node->in[i] != 0;
}

static struct form *in(struct lowering *l, uint32_t i)
{
    need(l, has(l, i) && l->in[i], "an input is absent or of another type");
    return l->in[i];
}

/* A list of integers: constant input i, no numbers if it is absent. Numbers
 * beyond 32 bits, "to the end", come nearer with no change of meaning. */
struct ints {
    uint64_t n;
    int64_t *v;
    const struct tensor *t;
};

static struct ints ints_in(struct lowering *l, uint32_t i)
{
    struct ints out = {0, NULL, NULL};
    uint32_t t = has(l, i) ? l->m->values[l->node->in[i] - 1].tensor_plus_1
                           : 0;

    if (!has(l, i))
        return out;
    need(l, t > 0, "an input of integers is not constant");
    out.t = &l->m->tensors[t - 1];
    need(l, out.t->dtype == 6 || out.t->dtype == 7, "wants int64 or int32");
    out.n = out.t->n;
    out.v = get(l->r, out.n, sizeof *out.v);
    for (uint64_t k = 0; k < out.n; k++) {
        const unsigned char *p = out.t->data.p;
        int64_t v = out.t->dtype == 7 ? (int64_t)little(p + 8 * k, 8)
                                      : (int32_t)little(p + 4 * k, 4);

        out.v[k] = v > INT32_MAX    ? INT32_MAX
                   : v < -INT32_MAX ? -INT32_MAX
                                    : v;
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
        uint32_t bit = 1u << axis(l, v[i], rank);

        need(l, !(set & bit), "an axis is named twice");
        set |= bit;
    }
    return set;
}

/* A nest over all of x: loop d is dimension d. */
static struct nest whole(const struct form *x)
{
    struct nest n = {.a.x = x, .k = one, .loops = x->rank};

    for (uint32_t d = 0; d < x->rank; d++) {
        n.a.by[d][d] = 1;
        n.size[d] = x->dims[d];
    }
    return n;
}

/* The nest's output, which has the shape of all its loops. */
static struct form *view(struct lowering *l, const struct nest *n)
{
    struct form *y = form_new(l, n->size, n->loops);

    run_nests(l, y, n->loops, n, NULL);
    return y;
}

static struct form *reshaped(struct lowering *l, const uint64_t *dims,
                             uint32_t rank, struct num k)
{
    struct form *x = in(l, 0), *y = form_new(l, dims, rank);

    need(l, x->n == y->n, "the numbers of elements differ");
    for (uint64_t i = 0; i < x->n; i++) {
        sum_add(l, x, i, k);
        sum_end(l, y, i);
    }
    return y;
}

static void op_identity(struct lowering *l, struct form **out)
{
    const struct form *x = in(l, 0);

    if (has(l, 2)) { /* Dropout: training_mode, a boolean */
        uint32_t t = l->m->values[l->node->in[2] - 1].tensor_plus_1;

        need(l,
             t > 0 && l->m->tensors[t - 1].data.n == 1 &&
                 *l->m->tensors[t - 1].data.p == 0,
             "training mode");
    }
    out[0] = reshaped(l, x->dims, x->rank,
                      bytes_are(l->node->op, "Neg") ? minus_one : one);
}

static void op_flatten(struct lowering *l, struct form **out)
{
    const struct form *x = in(l, 0);
    uint64_t dims[2] = {1, 1};
    int64_t at = attr_int(l, "axis", 1);

    at += at < 0 ? x->rank : 0;
    need(l, at >= 0 && at <= (int64_t)x->rank, "no such axis");
    for (uint32_t d = 0; d < x->rank; d++)
        dims[d >= at] *= x->dims[d];
    out[0] = reshaped(l, dims, 2, one);
}

static void op_reshape(struct lowering *l, struct form **out)
{
    const struct form *x = in(l, 0);
    struct ints shape = ints_in(l, 1);
    uint64_t dims[RANK_MAX], known = 1, open = RANK_MAX;

    need(l, has(l, 1) && shape.n <= RANK_MAX, "wrong shape");
    for (uint32_t i = 0; i < shape.n; i++) {
        dims[i] = (uint64_t)shape.v[i];
        if (shape.v[i] == 0 && i < x->rank)
            dims[i] = x->dims[i];
        if (shape.v[i] == -1 && open == RANK_MAX) {
            open = i;
            continue;
        }
        need(l, dims[i] - 1 < x->n / known, "wrong shape"); /* and not 0 */
        known *= dims[i];
    }
    if (open < RANK_MAX)
        dims[open] = x->n / known;
    out[0] = reshaped(l, dims, (uint32_t)shape.n, one);
}

static void op_squeeze(struct lowering *l, struct form **out)
{
    const struct form *x = in(l, 0);
    bool un = bytes_are(l->node->op, "Unsqueeze");
    struct ints a = ints_in(l, 1);
    uint32_t rank = x->rank + (un ? (uint32_t)a.n : 0), n = 0, from = 0, set;
    uint64_t dims[RANK_MAX + 1];

    need(l, a.n <= RANK_MAX && rank <= RANK_MAX, "the rank is too large");
    set = axes(l, a.v, a.n, rank);
    for (uint32_t d = 0; d < rank; d++) {
        bool named = set >> d & 1;

        if (un)
            dims[n++] = named ? 1 : x->dims[from++];
        else if (!named && (has(l, 1) || x->dims[d] != 1))
            dims[n++] = x->dims[d];
        else
            need(l, x->dims[d] == 1, "a dimension to drop is not 1");
    }
    out[0] = reshaped(l, dims, n, one);
}

static void op_transpose(struct lowering *l, struct form **out)
{
    struct nest n = whole(in(l, 0));
    const struct form *x = n.a.x;
    const struct attr *a = attr(l, "perm", 4);

    need(l, !a || a->n_ints == x->rank, "perm is of the wrong length");
    if (a)
        axes(l, a->ints, a->n_ints, x->rank);
    memset(n.a.by, 0, sizeof n.a.by);
    for (uint32_t d = 0; d < x->rank; d++) {
        uint32_t from = a ? axis(l, a->ints[d], x->rank) : x->rank - 1 - d;

        n.a.by[from][d] = 1;
        n.size[d] = x->dims[from];
    }
    out[0] = view(l, &n);
}

static int64_t clamp(int64_t v, int64_t lo, int64_t hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

static void op_slice(struct lowering *l, struct form **out)
{
    struct nest n = whole(in(l, 0));
    uint32_t rank = n.a.x->rank;
    struct ints from = ints_in(l, 1), to = ints_in(l, 2), at = ints_in(l, 3),
                by = ints_in(l, 4);

    need(l,
         from.n == to.n && from.n <= rank && (!at.t || at.n == from.n) &&
             (!by.t || by.n == from.n),
         "lists of different lengths");
    axes(l, at.v, at.n, rank);
    for (uint32_t i = 0; i < from.n; i++) {
        uint32_t d = at.t ? axis(l, at.v[i], rank) : i;
        int64_t size = (int64_t)n.size[d], s = by.t ? by.v[i] : 1, a, b;

        need(l, s != 0, "a step is 0");
        a = clamp(from.v[i] + (from.v[i] < 0 ? size : 0), 0, size - (s < 0));
        b = clamp(to.v[i] + (to.v[i] < 0 ? size : 0), -(s < 0),
                  size - (s < 0));
        n.a.first[d] = a;
        n.a.by[d][d] = s;
        n.size[d] = (b - a) / s < 0 || (b > a) != (s > 0)
                        ? 0
                        : (uint64_t)((b - a + s - (s > 0 ? 1 : -1)) / s);
    }
    out[0] = view(l, &n);
}

static void op_pad(struct lowering *l, struct form **out)
{
    struct nest n = whole(in(l, 0));
    uint32_t rank = n.a.x->rank;
    struct ints p = ints_in(l, 1);

    need(l,
         p.n == 2 * rank && !has(l, 3) &&
             (!has(l, 2) || (!in(l, 2)->at && in(l, 2)->c[0].m == 0)),
         "wants two pads an axis, zeros and no axes");
    for (uint32_t d = 0; d < rank; d++) {
        int64_t size = (int64_t)n.size[d] + p.v[d] + p.v[d + rank];

        n.a.first[d] = -p.v[d];
        n.size[d] = (uint64_t)clamp(size, 0, size);
    }
    out[0] = view(l, &n);
}

static void op_gather(struct lowering *l, struct form **out)
{
    const struct form *x = in(l, 0);
    uint32_t a = axis(l, attr_int(l, "axis", 0), x->rank);
    struct ints idx = ints_in(l, 1);
    struct nest n = {.a.x = x, .k = one, .a.table_at = a, .a.table = idx.v};
    int64_t stride = 1;

    need(l, idx.t && x->rank - 1 + idx.t->rank <= RANK_MAX, "wrong indices");
    for (uint64_t i = 0; i < idx.n; i++) {
        idx.v[i] += idx.v[i] < 0 ? (int64_t)x->dims[a] : 0;
        need(l, idx.v[i] >= 0 && idx.v[i] < (int64_t)x->dims[a],
             "an index is out of range");
    }
    for (uint32_t d = 0; d < x->rank; d++) {
        for (uint32_t i = 0; d == a && i < idx.t->rank; i++)
            n.size[n.loops++] = idx.t->dims[i];
        if (d != a) {
            n.a.by[d][n.loops] = 1;
            n.size[n.loops++] = x->dims[d];
        }
    }
    for (uint32_t i = a + idx.t->rank; i-- > a; stride *= (int64_t)n.size[i])
        n.a.by[a][i] = stride;
    out[0] = view(l, &n);
}

static void op_split(struct lowering *l, struct form **out)
{
    struct nest n = whole(in(l, 0));
    uint32_t a = axis(l, attr_int(l, "axis", 0), n.a.x->rank);
    uint64_t all = n.size[a], parts = l->node->n_out;
    struct ints sizes = ints_in(l, 1);

    need(l, sizes.t ? sizes.n == parts : all % parts == 0, "wrong sizes");
    for (uint64_t i = 0; i < parts; i++) {
        n.size[a] = sizes.t ? (uint64_t)sizes.v[i] : all / parts;
        need(l, n.size[a] <= all - (uint64_t)n.a.first[a], "wrong sizes");
        out[i] = view(l, &n);
        n.a.first[a] += (int64_t)n.size[a];
    }
    need(l, (uint64_t)n.a.first[a] == all, "wrong sizes");
}

static void op_concat(struct lowering *l, struct form **out)
{
    const struct form *x = in(l, 0);
    uint32_t a = axis(l, attr_int(l, "axis", RANK_MAX), x->rank);
    uint64_t dims[RANK_MAX], before = 1, o = 0;

    memcpy(dims, x->dims, sizeof dims);
    for (uint32_t i = 1; i < l->node->n_in; i++) {
        need(l, in(l, i)->rank == x->rank, "shapes do not agree");
        for (uint32_t d = 0; d < x->rank; d++)
            need(l, d == a || in(l, i)->dims[d] == dims[d],
                 "shapes do not agree");
        dims[a] += in(l, i)->dims[a]; /* at most 2^26 each */
    }
    out[0] = form_new(l, dims, x->rank);
    for (uint32_t d = 0; d < a; d++)
        before *= dims[d];
    for (uint64_t k = 0; k < before; k++)
        for (uint32_t i = 0; i < l->node->n_in; i++)
            for (uint64_t n = in(l, i)->n / before, j = 0; j < n; j++) {
                sum_add(l, in(l, i), k * n + j, one);
                sum_end(l, out[0], o++);
            }
}

/* Let dimensions of o be the loops from from on, aligned at the last, and
 * repeat those of size 1; sizes that are 1 so far become those of o. */
static void broadcast(struct lowering *l, struct operand *o, uint64_t *size,
                      uint32_t rank, uint32_t loops)
{
    need(l, rank <= loops, "shapes do not broadcast");
    for (uint32_t d = 0; d < rank; d++) {
        uint32_t n = loops - rank + d;

        if (size[n] == 1)
            size[n] = o->x->dims[d];
        need(l, o->x->dims[d] == 1 || o->x->dims[d] == size[n],
             "shapes do not broadcast");
        o->by[d][n] = o->x->dims[d] != 1;
    }
}

static void op_elementwise(struct lowering *l, struct form **out)
{
    const struct form *a = in(l, 0), *b = in(l, 1);
    char op = (char)*l->node->op.p;
    bool sum = op == 'A' || op == 'S';
    struct nest n = {.k = one}, m;

    n.loops = a->rank > b->rank ? a->rank : b->rank;
    for (uint32_t d = 0; d < n.loops; d++)
        n.size[d] = 1;
    m = n;
    n.a.x = a;
    (sum ? &m.a : &n.b)->x = b;
    m.k = op == 'S' ? minus_one : one;
    if (op == 'D') { /* a / b = a times 1 / b */
        struct form *by = form_new(l, b->dims, b->rank);

        for (uint64_t i = 0; i < b->n; i++) {
            need(l, !b->at && (b->c[i].m == 1 || b->c[i].m == -1),
                 "a divisor is not a constant power of two");
            by->c[i] = num_make(l, b->c[i].m, -b->c[i].e);
        }
        by->at = NULL;
        n.b.x = by;
    }
    broadcast(l, &n.a, n.size, a->rank, n.loops);
    broadcast(l, sum ? &m.a : &n.b, n.size, b->rank, n.loops);
    broadcast(l, &n.a, n.size, a->rank, n.loops);
    memcpy(m.size, n.size, sizeof m.size);
    out[0] = form_new(l, n.size, n.loops);
    run_nests(l, out[0], n.loops, &n, sum ? &m : NULL);
}

static void op_gemm(struct lowering *l, struct form **out)
{
    const struct form *a = in(l, 0), *b = in(l, 1);
    bool ta = attr_int(l, "transA", 0) != 0,
         tb = attr_int(l, "transB", 0) != 0;
    struct nest n = {
        .a.x = a, .b.x = b, .k = attr_num(l, "alpha"), .loops = 3};
    struct nest c = {.k = attr_num(l, "beta"), .loops = 2};

    need(l, a->rank == 2 && b->rank == 2 && a->dims[!ta] == b->dims[tb],
         "shapes do not agree");
    n.a.by[ta][0] = n.a.by[!ta][2] = n.b.by[tb][2] = n.b.by[!tb][1] = 1;
    n.size[0] = c.size[0] = a->dims[ta];
    n.size[1] = c.size[1] = b->dims[!tb];
    n.size[2] = a->dims[!ta];
    if (has(l, 2)) {
        c.a.x = in(l, 2);
        broadcast(l, &c.a, c.size, c.a.x->rank, 2);
    }
    out[0] = form_new(l, n.size, 2);
    need(l, c.size[0] == n.size[0] && c.size[1] == n.size[1], "C too large");
    run_nests(l, out[0], 2, &n, has(l, 2) ? &c : NULL);
}

static void op_matmul(struct lowering *l, struct form **out)
{
    const struct form *a = in(l, 0), *b = in(l, 1);
    uint32_t ra = a->rank, rb = b->rank, rows = ra > 1, cols = rb > 1, batch;
    struct nest n = {.a.x = a, .b.x = b, .k = one};

    need(l, ra > 0 && rb > 0 && a->dims[ra - 1] == b->dims[rb - 1 - cols],
         "shapes do not agree");
    batch = ra > rb ? ra : rb;
    batch = batch > 2 ? batch - 2 : 0;
    for (uint32_t d = 0; d < batch; d++)
        n.size[d] = 1;
    for (int twice = 0; twice < 2; twice++) {
        broadcast(l, &n.a, n.size, rows ? ra - 2 : 0, batch);
        broadcast(l, &n.b, n.size, cols ? rb - 2 : 0, batch);
    }
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
    out[0] = form_new(l, n.size, n.loops - 1);
    run_nests(l, out[0], n.loops - 1, &n, NULL);
}

/* 1 / n, where that is exact. */
static struct num part(struct lowering *l, uint64_t n)
{
    need(l, n > 0 && (n & (n - 1)) == 0,
         "the mean of a number of elements that is no power of two");
    return num_make(l, 1, -(int64_t)__builtin_ctzll(n));
}

/* Conv and AveragePool. Loops: batch, group, channel in the group, spatial;
 * then input channel in the group, spatial in the kernel. */
static void op_conv(struct lowering *l, struct form **out)
{
    bool pool = bytes_are(l->node->op, "AveragePool");
    const struct form *x = in(l, 0), *w = pool ? x : in(l, 1);
    uint32_t s = x->rank - 2, inner = x->rank + 1;
    uint64_t dims[RANK_MAX], taps = 1, groups;
    struct nest n = {.a.x = x, .k = one, .loops = inner + 1 + s};
    struct nest bias = {.a.x = has(l, 2) ? in(l, 2) : NULL, .k = one};
    bool padded = false;

    need(l, x->rank > 2 && x->rank < RANK_MAX && w->rank == x->rank,
         "shapes do not agree");
    groups = pool ? x->dims[1] : (uint64_t)attr_int(l, "group", 1);
    n.b.x = pool ? NULL : w;
    need(l,
         groups > 0 && x->dims[1] % groups == 0 &&
             (pool || (w->dims[0] % groups == 0 &&
                       w->dims[1] == x->dims[1] / groups)),
         "group, channels and kernel do not agree");
    n.size[0] = dims[0] = x->dims[0];
    n.size[1] = groups;
    n.size[2] = pool ? 1 : w->dims[0] / groups;
    dims[1] = groups * n.size[2];
    n.size[inner] = x->dims[1] / groups;
    n.a.by[0][0] = n.a.by[1][inner] = n.b.by[0][2] = n.b.by[1][inner] = 1;
    n.a.by[1][1] = (int64_t)n.size[inner];
    n.b.by[0][1] = (int64_t)n.size[2];
    for (uint32_t d = 0; d < s; d++) {
        int64_t size = pool ? 0 : (int64_t)w->dims[d + 2];
        int64_t kernel = item(l, "kernel_shape", d, s, size);
        int64_t stride = item(l, "strides", d, s, 1);
        int64_t dilation = item(l, "dilations", d, s, 1);
        int64_t pad = item(l, "pads", d, 2 * s, 0);
        int64_t room = (int64_t)x->dims[d + 2] + pad +
                       item(l, "pads", d + s, 2 * s, 0);

        padded |= room > (int64_t)x->dims[d + 2];
        need(l,
             kernel > 0 && (pool || kernel == size) && stride > 0 &&
                 dilation > 0,
             "wrong kernel_shape, strides or dilations");
        room -= (kernel - 1) * dilation + 1; /* below 2^63 in magnitude */
        n.size[d + 3] = dims[d + 2] = room < 0
                                          ? 0
                                          : (uint64_t)(room / stride + 1);
        n.size[inner + 1 + d] = (uint64_t)kernel;
        n.a.first[d + 2] = -pad;
        n.a.by[d + 2][d + 3] = stride;
        n.a.by[d + 2][inner + 1 + d] = dilation;
        n.b.by[d + 2][inner + 1 + d] = 1;
        need(l, kernel <= 65536 && taps <= 1 << 26,
             "the kernel is too large");
        taps *= (uint64_t)kernel;
    }
    need(l, !padded || !pool || attr_int(l, "count_include_pad", 0) == 1,
         "padding that does not count is not understood");
    n.k = pool ? part(l, taps) : one;
    if (bias.a.x) {
        need(l, bias.a.x->rank == 1 && bias.a.x->n == dims[1], "wrong bias");
        bias.loops = inner;
        bias.a.by[0][1] = n.b.by[0][1];
        bias.a.by[0][2] = 1;
    }
    out[0] = form_new(l, dims, x->rank);
    run_nests(l, out[0], inner, &n, bias.a.x ? &bias : NULL);
}

static void op_reduce(struct lowering *l, struct form **out)
{
    const struct form *x = in(l, 0);
    const struct attr *a = attr(l, "axes", 4);
    struct ints list = ints_in(l, 1);
    bool keep = attr_int(l, "keepdims", 1) != 0;
    uint64_t dims[RANK_MAX], n_gone = 1;
    struct nest n = {.a.x = x, .k = one};
    uint32_t set, rank = 0, outer;

    if (a)
        list = (struct ints){a->n_ints, a->ints, NULL};
    set = axes(l, list.v, list.n, x->rank);
    if (list.n == 0 && attr_int(l, "noop_with_empty_axes", 0) == 0)
        set = UINT32_MAX;
    for (int gone = 0; gone < 2; gone++) { /* what stays, then what goes */
        for (uint32_t d = 0; d < x->rank; d++)
            if ((set >> d & 1) == (uint32_t)gone) {
                n.a.by[d][n.loops] = 1;
                n.size[n.loops++] = x->dims[d];
                n_gone *= gone ? x->dims[d] : 1;
            }
        outer = gone ? outer : n.loops;
    }
    for (uint32_t d = 0; d < x->rank; d++)
        if (keep || !(set >> d & 1))
            dims[rank++] = set >> d & 1 ? 1 : x->dims[d];
    if (bytes_are(l->node->op, "ReduceMean"))
        n.k = part(l, n_gone);
    out[0] = form_new(l, dims, rank);
    run_nests(l, out[0], outer, &n, NULL);
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
    char name[40];

    while (op < end && !bytes_are(n->op, op->name))
        op++;
    need(l, op < end, "the operator is not understood");
    need(l,
         n->n_in > 0 && n->n_in <= op->in && n->n_out > 0 &&
             n->n_out <= op->out,
         "wrong number of inputs or outputs");
    for (uint32_t i = 0; i < n->n_attrs; i++) {
        struct bytes a = n->attrs[i].name;

        need(l,
             a.n > 0 && a.n < 32 && !memchr(a.p, ' ', a.n) &&
                 !memchr(a.p, 0, a.n),
             "unknown attribute");
        name[0] = name[a.n + 1] = ' ';
        memcpy(name + 1, a.p, a.n);
        name[a.n + 2] = 0;
        need(l, strstr(op->attrs, name) != NULL, "unknown attribute");
    }
    op->apply(l, out);
}
