/* proto.c - the header of a model, axm(5), in its one canonical spelling.
 *
 * A message type is a string with one letter a field number: v a varint, f
 * four bytes, b a byte string or message, p packed varints, M a repeated b.
 * Names of values and metadata are not looked into: they cannot change what
 * the model computes. */
#include "island.h"

#include <string.h>

static const char Model[] = "vbMM", Graph[] = "bMMpp", Value[] = "bvvpMv",
                  Node[] = "bbppM", Attr[] = "bvvfbpbMb", Tensor[] = "vpvv";

/* What a message has in each field; zeros where it has nothing. */
struct field {
    uint64_t v;     /* of v and f */
    struct bytes b; /* of b */
    uint32_t n;     /* of p and M: how many */
    uint64_t *numbers, room;
    struct bytes *list;
    bool there;
};

enum { FIELDS = 10 }; /* numbered from 1 */

/* Split a message. Nothing is there twice, out of order, or with the value
 * that it has when it is left out; only messages may be empty. */
static void split(struct run *r, const char *type, struct bytes msg,
                  struct field x[FIELDS])
{
    uint64_t last = 0;
    memset(x, 0, FIELDS * sizeof *x);
    while (msg.n > 0) {
        uint64_t key = varint(r, &msg), at = key >> 3, wire = key & 7;
        char kind = at - 1 < strlen(type) ? type[at - 1] : '?';
        bool graph = kind == 'b' && at == (type == Model ? 2 : 9);
        struct field *f = &x[kind == '?' ? 0 : at];
        must(r,
             kind != '?' && wire == (kind == 'v'   ? 0u
                                     : kind == 'f' ? 5u
                                                   : 2u),
             "header: an unknown field");
        must(r, at > last || (at == last && kind == 'M'),
             "header: fields out of order");
        last = at;
        f->there = true;
        if (kind == 'v')
            f->v = varint(r, &msg);
        else if (kind == 'f')
            f->v = little(take(r, &msg, 4).p, 4);
        else
            f->b = take(r, &msg, varint(r, &msg));
        must(r, f->v != 0 || f->b.n > 0 || kind == 'M' || graph,
             "header: a default value is not left out");
        if (kind == 'M') {
            f->list = grow(r, f->list, f->n, &f->room, sizeof *f->list);
            f->list[f->n++] = f->b;
        }
        for (struct bytes p = f->b; kind == 'p' && p.n > 0; f->n++) {
            f->numbers = grow(r, f->numbers, f->n, &f->room, 8);
            f->numbers[f->n] = varint(r, &p);
        }
    }
}

static uint32_t small(struct run *r, uint64_t v, uint64_t most)
{
    must(r, v <= most, "header: a number is out of range");
    return (uint32_t)v;
}

static uint32_t *indexes(struct run *r, const struct field *f, uint64_t most)
{
    uint32_t *out = get(r, f->n, sizeof *out);
    for (uint32_t i = 0; i < f->n; i++)
        out[i] = small(r, f->numbers[i], most);
    give(r, f->numbers);
    return out;
}

static int64_t zigzag(uint64_t v)
{
    return (int64_t)(v >> 1 ^ (0 - (v & 1)));
}

static bool after(struct bytes a, struct bytes b) /* a < b? */
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = memcmp(a.p, b.p, n);
    return c < 0 || (c == 0 && a.n < b.n);
}

static void read_node(struct run *r, const struct model *m,
                      struct operator* n, struct bytes msg)
{
    struct field x[FIELDS], y[FIELDS];
    split(r, Node, msg, x);
    *n = (struct operator){.op = x[1].b,
                           .name = x[2].b,
                           .n_in = x[3].n,
                           .n_out = x[4].n,
                           .n_attrs = x[5].n};
    n->in = indexes(r, &x[3], m->n_values);
    n->out = indexes(r, &x[4], m->n_values);
    n->attrs = get(r, x[5].n, sizeof *n->attrs);
    for (uint32_t i = 0; i < x[5].n; i++) {
        struct attr *a = &n->attrs[i];
        split(r, Attr, x[5].list[i], y);
        *a = (struct attr){.name = y[1].b,
                           .kind = small(r, y[2].v, 7),
                           .i = zigzag(y[3].v),
                           .bits = (uint32_t)y[4].v,
                           .text = y[5].b,
                           .n_ints = y[6].n};
        must(r, i == 0 || after(a[-1].name, a->name),
             "header: attributes are out of order");
        a->ints = get(r, y[6].n, sizeof *a->ints);
        for (uint32_t k = 0; k < y[6].n; k++)
            a->ints[k] = zigzag(y[6].numbers[k]);
    }
    give(r, x[5].list);
}

static void read_graph(struct run *r, struct model *m, struct bytes msg)
{
    struct field x[FIELDS], y[FIELDS];
    split(r, Graph, msg, x);
    m->n_values = x[2].n;
    m->values = get(r, m->n_values, sizeof *m->values);
    for (uint32_t i = 0; i < m->n_values; i++) {
        struct value *v = &m->values[i];
        split(r, Value, x[2].list[i], y);
        v->dtype = small(r, y[2].v, UINT32_MAX);
        v->rank_plus_1 = small(r, y[3].v, RANK_MAX + 1);
        v->tensor_plus_1 = small(r, y[6].v, m->n_tensors);
        must(r, y[4].n + 1 == v->rank_plus_1 || y[4].n + y[3].v == 0,
             "header: dims and rank of a value do not agree");
        for (uint32_t d = 0; d < y[4].n; d++)
            v->dims[d] = zigzag(y[4].numbers[d]);
        give(r, y[4].numbers);
        give(r, y[5].list);
    }
    m->n_nodes = x[3].n;
    m->nodes = get(r, m->n_nodes, sizeof *m->nodes);
    for (uint32_t i = 0; i < m->n_nodes; i++)
        read_node(r, m, &m->nodes[i], x[3].list[i]);
    m->n_inputs = x[4].n;
    m->n_outputs = x[5].n;
    must(r, m->n_values > 0, "header: a graph without values");
    m->inputs = indexes(r, &x[4], m->n_values - 1);
    m->outputs = indexes(r, &x[5], m->n_values - 1);
    give(r, x[2].list);
    give(r, x[3].list);
}

/* *end is where the tensor before ends, from the start of the region. */
static void read_tensor(struct run *r, struct tensor *t, struct bytes msg,
                        struct bytes region, uint64_t *end)
{
    static const unsigned char size[17] = {0, 4, 1, 1, 2, 2, 4, 8, 0,
                                           1, 2, 8, 4, 8, 0, 0, 2};
    uint64_t at = (*end + 63) / 64 * 64, n = 1; /* end < 2^63 */
    struct field x[FIELDS];
    bool over = false;
    split(r, Tensor, msg, x);
    t->dtype = small(r, x[1].v, 16);
    t->rank = small(r, x[2].n, RANK_MAX);
    for (uint32_t i = 0; i < t->rank; i++) {
        t->dims[i] = x[2].numbers[i];
        over |= __builtin_mul_overflow(n, t->dims[i], &n);
    }
    t->n = n;
    over |= __builtin_mul_overflow(n, size[t->dtype], &n);
    must(r, !over && size[t->dtype] > 0 && n == x[4].v,
         "header: type, shape and length of a tensor do not agree");
    must(r, x[3].v == at, "header: a tensor is not at its place");
    for (take(r, &region, *end); *end < at; ++*end)
        must(r, *take(r, &region, 1).p == 0, "padding is not zero");
    t->data = take(r, &region, n);
    *end = at + n;
    give(r, x[2].numbers);
}

void model_read(struct run *r, struct model *m, struct bytes b)
{
    struct bytes region = b, msg;
    struct field x[FIELDS];
    uint64_t size, end = 0;
    must(r, memcmp(take(r, &region, 8).p, "AXM\1\0\0\0", 8) == 0,
         "not an axm container of version 1");
    size = little(take(r, &region, 8).p, 8);
    must(r, size <= 67108864, "the header is too large");
    msg = take(r, &region, size);
    while ((b.n - region.n) % 64 != 0)
        must(r, *take(r, &region, 1).p == 0, "padding is not zero");
    split(r, Model, msg, x);
    must(r, x[1].v == 1 && x[2].there, "header: not version 1, or no graph");
    m->n_tensors = x[3].n;
    m->tensors = get(r, m->n_tensors, sizeof *m->tensors);
    for (uint32_t i = 0; i < m->n_tensors; i++)
        read_tensor(r, &m->tensors[i], x[3].list[i], region, &end);
    m->length = b.n - region.n + end;
    read_graph(r, m, x[2].b);
    give(r, x[3].list);
    give(r, x[4].list);
}
