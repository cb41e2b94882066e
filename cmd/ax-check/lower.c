/* lower.c - the graph of a model as affine maps between rectified nodes, in
 * exact dyadic numbers; then their integer weights. ax-cert(5), NETWORK. */
#include "island.h"

#include <stdlib.h>

enum { E_MIN = -1000, E_MAX = 900, LAYERS_MAX = 4096 };
#define ELEMENTS_MAX (1ull << 26) /* of a tensor */
#define TERMS_MAX    (1ull << 28) /* of a form: 4 GiB */

void need(struct lowering *l, bool ok, const char *what)
{
    const struct node *n = l->node;
    if (!ok)
        refuse(l->r, MALFORMED, "not certifiable: %.*s node '%.*s': %s",
               n ? (int)(n->op.n % 64) : 6,
               n ? (const char *)n->op.p : "output",
               n ? (int)(n->name.n < 99 ? n->name.n : 99) : 0,
               n ? (const char *)n->name.p : "", what);
}

/* The number of bits of |m|. */
static int bits(i128 m)
{
    unsigned __int128 u = (unsigned __int128)(m < 0 ? -m : m);
    uint64_t high = (uint64_t)(u >> 64), low = (uint64_t)u;
    return high  ? 128 - __builtin_clzll(high)
           : low ? 64 - __builtin_clzll(low)
                 : 0;
}

struct num num_make(struct lowering *l, i128 m, int64_t e)
{
    for (; m != 0 && !(m & 1); e++)
        m >>= 1;
    need(l, bits(m) <= 100 && (m == 0 || (e >= E_MIN && e <= E_MAX)),
         "a value does not fit in 100 bits or the range of exponents");
    return (struct num){m, m ? e : 0};
}

static struct num num_add(struct lowering *l, struct num a, struct num b)
{
    if (a.m == 0 || b.m == 0)
        return a.m == 0 ? b : a;
    if (a.e < b.e)
        return num_add(l, b, a);
    /* A result of up to 100 bits needs no more than this. */
    need(l, bits(a.m) + a.e - b.e <= 126, "a sum does not fit in 100 bits");
    return num_make(l, a.m * ((i128)1 << (a.e - b.e)) + b.m, b.e);
}

struct num num_mul(struct lowering *l, struct num a, struct num b)
{
    need(l, bits(a.m) + bits(b.m) <= 126, "a product does not fit");
    return num_make(l, a.m * b.m, a.e + b.e);
}

struct num num_float(struct lowering *l, uint64_t v, int mant, int exp)
{
    int64_t e = (int64_t)(v >> mant & ((1ull << exp) - 1));
    i128 m = (i128)(v & ((1ull << mant) - 1));
    need(l, e + 1 < 1ll << exp, "a constant is not finite");
    m += e ? (i128)1 << mant : 0;
    e = (e ? e : 1) - ((1ll << (exp - 1)) - 1 + mant);
    return num_make(l, v >> (mant + exp) & 1 ? -m : m, e);
}

struct form *form_new(struct lowering *l, const uint64_t *dims, uint32_t rank)
{
    struct form *x = get(l->r, 1, sizeof *x);
    x->rank = rank;
    x->n = 1;
    for (uint32_t i = 0; i < rank; i++) {
        need(l, dims[i] > 0 && dims[i] <= ELEMENTS_MAX / x->n,
             "a tensor is empty or too large");
        x->n *= x->dims[i] = dims[i];
    }
    x->at = get(l->r, x->n + 1, sizeof *x->at);
    x->c = get(l->r, x->n, sizeof *x->c);
    return x;
}

static bool floats(uint32_t dtype)
{
    return dtype == 1 || dtype == 10 || dtype == 11;
}

static struct form *constant(struct lowering *l, const struct tensor *t)
{
    struct form *x = form_new(l, t->dims, t->rank);
    int size = t->dtype == 1 ? 4 : t->dtype == 10 ? 2 : 8;
    int mant = size == 4 ? 23 : size == 2 ? 10 : 52;
    for (uint64_t i = 0; i < t->n; i++)
        x->c[i] = num_float(l, little(t->data.p + (size_t)size * i, size),
                            mant, 8 * size - 1 - mant);
    give(l->r, x->at);
    x->at = NULL;
    return x;
}

void sum_add(struct lowering *l, const struct form *x, uint64_t i,
             struct num k)
{
    if (k.m == 0)
        return;
    l->c = num_add(l, l->c, num_mul(l, k, x->c[i]));
    for (uint64_t j = x->at ? x->at[i] : 0; x->at && j < x->at[i + 1]; j++) {
        const struct term *t = &x->t[j];
        struct slot *s = &l->sum[t->var];
        if (!s->on)
            l->touched[l->n_touched++] = t->var;
        s->on = true;
        s->v = num_add(l, s->v, num_mul(l, k, (struct num){t->m, t->e}));
        need(l, bits(s->v.m) <= 53, "a coefficient does not fit in 53 bits");
    }
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

void sum_end(struct lowering *l, struct form *out, uint64_t i)
{
    uint64_t n = out->at[i];
    for (uint32_t j = 1; j < l->n_touched; j++)
        if (l->touched[j] < l->touched[j - 1]) {
            qsort(l->touched, l->n_touched, sizeof(uint32_t), by_number);
            break;
        }
    for (uint32_t j = 0; j < l->n_touched; j++) {
        struct slot *s = &l->sum[l->touched[j]];
        if (s->v.m != 0) {
            need(l, n < TERMS_MAX, "too many coefficients");
            out->t = grow(l->r, out->t, n, &out->room, sizeof *out->t);
            out->t[n++] = (struct term){(int64_t)s->v.m, (int32_t)s->v.e,
                                        l->touched[j]};
        }
        *s = (struct slot){0};
    }
    l->n_touched = 0;
    out->at[i + 1] = n;
    out->c[i] = l->c;
    l->c = (struct num){0};
    if (i + 1 == out->n && n == 0) { /* it is constant */
        give(l->r, out->at);
        out->at = NULL;
    }
}

/* More activations of a node, of the shape dims, as a form. */
static struct form *activations(struct lowering *l, struct layer *layer,
                                const uint64_t *dims, uint32_t rank)
{
    struct form *x = form_new(l, dims, rank);
    need(l, l->n_vars + x->n < 1u << 31, "too many neurons");
    layer->base = layer->n ? layer->base : l->n_vars;
    layer->n += (uint32_t)x->n;
    x->t = get(l->r, x->n, sizeof *x->t);
    for (uint64_t i = 0; i < x->n; i++) {
        x->t[i] = (struct term){1, 0, (uint32_t)l->n_vars++};
        x->at[i + 1] = i + 1;
    }
    l->sum = grow(l->r, l->sum, l->n_vars, &l->sum_room, sizeof *l->sum);
    l->touched = grow(l->r, l->touched, l->n_vars, &l->touched_room, 4);
    return x;
}

/* A form was used once more; after the last time only its shell stays. */
static void used(struct run *r, struct form *x)
{
    if (x && --x->uses == 0) {
        give(r, x->at);
        give(r, x->t);
        give(r, x->c);
    }
}

static void define(struct lowering *l, uint32_t value, struct form *x)
{
    need(l, !l->forms[value], "a value is made twice");
    l->forms[value] = x;
    x->uses = l->uses[value];
}

static void lower_node(struct lowering *l, struct net *net)
{
    const struct node *n = l->node;
    struct form **out = get(l->r, n->n_out, sizeof *out);
    l->in = get(l->r, n->n_in, sizeof *l->in);
    for (uint32_t i = 0; i < n->n_in; i++) {
        uint32_t v = n->in[i] - 1, t = 0;
        if (n->in[i] == 0)
            continue;
        t = l->m->values[v].tensor_plus_1;
        if (t && !l->forms[v] && floats(l->m->tensors[t - 1].dtype))
            define(l, v, constant(l, &l->m->tensors[t - 1]));
        need(l, t || l->forms[v], "an input is used before it is made");
        l->in[i] = l->forms[v];
    }
    if (bytes_are(n->op, "Relu")) {
        struct layer *layer = &net->layers[net->n_layers++];
        need(l,
             net->n_layers <= LAYERS_MAX && n->n_in == 1 && l->in[0] &&
                 n->n_out == 1 && n->n_attrs == 0,
             "malformed");
        layer->z = l->in[0];
        layer->z->uses++;
        out[0] = activations(l, layer, layer->z->dims, layer->z->rank);
    } else {
        op_apply(l, out);
    }
    for (uint32_t i = 0; i < n->n_out; i++)
        if (n->out[i] && out[i]) {
            need(l, !l->m->values[n->out[i] - 1].tensor_plus_1,
                 "an output is a constant of the model");
            define(l, n->out[i] - 1, out[i]);
        }
    for (uint32_t i = 0; i < n->n_in; i++)
        used(l->r, l->in[i]);
}

static void graph_input(struct lowering *l, struct layer *node0, uint32_t at)
{
    const struct value *v = &l->m->values[at];
    uint64_t dims[RANK_MAX + 1];
    need(l, v->rank_plus_1 > 0 && !v->tensor_plus_1 && floats(v->dtype),
         "a graph input has no rank, is constant or of another type");
    for (uint32_t i = 0; i + 1 < v->rank_plus_1; i++)
        dims[i] = v->dims[i] == -1 ? 1 : (uint64_t)v->dims[i];
    define(l, at, activations(l, node0, dims, v->rank_plus_1 - 1));
}

void net_lower(struct run *r, struct net *net, const struct model *m)
{
    struct lowering l = {.r = r, .m = m};
    struct layer *last;
    uint64_t n = 0;
    l.forms = get(r, m->n_values, sizeof *l.forms);
    l.uses = get(r, m->n_values, sizeof *l.uses);
    net->layers = get(r, (uint64_t)m->n_nodes + 2, sizeof *net->layers);
    for (uint32_t i = 0; i < m->n_nodes; i++)
        for (uint32_t j = 0; j < m->nodes[i].n_in; j++)
            if (m->nodes[i].in[j])
                l.uses[m->nodes[i].in[j] - 1]++;
    for (uint32_t i = 0; i < m->n_outputs; i++)
        l.uses[m->outputs[i]]++;
    for (uint32_t i = 0; i < m->n_inputs; i++)
        graph_input(&l, net->layers, m->inputs[i]);
    net->n_layers = 1;
    for (uint32_t i = 0; i < m->n_nodes; i++) {
        l.node = &m->nodes[i];
        lower_node(&l, net);
    }
    l.node = NULL;
    for (uint32_t i = 0; i < m->n_outputs; i++) {
        need(&l, l.forms[m->outputs[i]] != NULL, "no node makes it");
        n += l.forms[m->outputs[i]]->n; /* at most 2^26 each */
    }
    last = &net->layers[net->n_layers++];
    last->z = form_new(&l, &n, 1);
    last->z->uses = 1;
    last->n = (uint32_t)n;
    last->base = net->n_vars = l.n_vars;
    n = 0;
    for (uint32_t i = 0; i < m->n_outputs; i++)
        for (uint64_t j = 0; j < l.forms[m->outputs[i]]->n; j++) {
            sum_add(&l, l.forms[m->outputs[i]], j, (struct num){1, 0});
            sum_end(&l, last->z, n++);
        }
    net->owner = get(r, net->n_vars, sizeof *net->owner);
    for (uint32_t k = 0; k + 1 < net->n_layers; k++)
        for (uint32_t i = 0; i < net->layers[k].n; i++)
            net->owner[net->layers[k].base + i] = k;
    give(r, l.sum);
}

static int clog2(uint64_t n)
{
    return n < 2 ? 0 : 64 - __builtin_clzll(n - 1);
}

/* floor(m 2^s + 1/2), at most 2^30 in magnitude by the choice of s. */
static int64_t scaled(i128 m, int64_t s)
{
    if (s >= 0 && m != 0) /* then s <= 30 */
        return (int64_t)(m * ((i128)1 << s));
    if (m == 0 || s < -110) /* |m| < 2^100: the sum is between 0 and 1 */
        return 0;
    return (int64_t)((m + ((i128)1 << (-s - 1))) >> -s);
}

/* What the rows of a node say of its sources: coefficients and E of each,
 * and c_k. */
struct tally {
    uint64_t n;
    int64_t e;
};

static uint64_t count(struct net *net, const struct form *z, struct tally *t,
                      uint64_t *column)
{
    uint64_t most = 0, n = z->at ? z->at[z->n] : 0;
    for (uint32_t s = 0; s < net->n_layers; s++)
        t[s] = (struct tally){0, INT64_MIN};
    for (uint64_t j = 0; j < n; j++)
        column[z->t[j].var] = 0;
    for (uint64_t j = 0; j < n; j++) {
        struct tally *s = &t[net->owner[z->t[j].var]];
        int64_t e = bits(z->t[j].m) + z->t[j].e;
        uint64_t c = ++column[z->t[j].var];
        s->n++;
        s->e = e > s->e ? e : s->e;
        most = c > most ? c : most;
    }
    return most;
}

/* W' of a node over b->source, sparse if less than a quarter is there. */
static void fill_block(struct run *r, struct block *b, const struct net *net,
                       const struct form *z, uint64_t coefs)
{
    const struct layer *src = &net->layers[b->source];
    uint64_t n = 0;
    b->stride = (src->n + 7ull) / 8 * 8;
    if (4 * coefs >= z->n * src->n) {
        b->w = get(r, z->n * b->stride, sizeof *b->w);
    } else {
        b->at = get(r, z->n + 1, sizeof *b->at);
        b->col = get(r, coefs, sizeof *b->col);
        b->cw = get(r, coefs, sizeof *b->cw);
    }
    for (uint64_t i = 0; i < z->n; i++) {
        for (uint64_t j = z->at[i]; j < z->at[i + 1]; j++) {
            uint64_t col = z->t[j].var - src->base;
            int64_t w;
            if (net->owner[z->t[j].var] != b->source)
                continue;
            w = scaled(z->t[j].m, z->t[j].e + b->scale);
            if (b->w) {
                b->w[i * b->stride + col] = w;
            } else {
                b->col[n] = (uint32_t)col;
                b->cw[n++] = (int32_t)w;
            }
        }
        if (b->at)
            b->at[i + 1] = n;
    }
}

static void quantise(struct run *r, struct net *net, uint32_t k,
                     const struct tally *t, uint64_t column)
{
    struct layer *layer = &net->layers[k];
    const struct form *z = layer->z;
    int64_t bits_k, e = INT64_MIN;
    uint64_t readers = 0;
    for (uint32_t s = 0; s < k; s++) {
        layer->n_blocks += t[s].n > 0;
        if (t[s].n > 0 && net->layers[s].n_readers > readers)
            readers = net->layers[s].n_readers;
    }
    bits_k = 36 - clog2(column) - clog2(readers);
    bits_k = bits_k < 30 ? bits_k : 30;
    must(r, bits_k >= 16, "not certifiable: a neuron is read too often");
    layer->blocks = get(r, layer->n_blocks, sizeof *layer->blocks);
    layer->n_blocks = 0;
    for (uint32_t s = 0; s < k; s++)
        if (t[s].n > 0) {
            struct block *b = &layer->blocks[layer->n_blocks++];
            *b = (struct block){.node = k,
                                .source = s,
                                .id = net->n_blocks++,
                                .scale = bits_k - t[s].e};
            fill_block(r, b, net, z, t[s].n);
        }
    for (uint64_t i = 0; i < z->n; i++)
        if (z->c[i].m != 0 && bits(z->c[i].m) + z->c[i].e > e)
            e = bits(z->c[i].m) + z->c[i].e;
    if (e == INT64_MIN)
        return;
    layer->b_scale = bits_k - e;
    layer->b = get(r, z->n + 7, sizeof *layer->b); /* whole vectors */
    for (uint64_t i = 0; i < z->n; i++)
        layer->b[i] = scaled(z->c[i].m, z->c[i].e + layer->b_scale);
}

void net_quantise(struct run *r, struct net *net, bool keep)
{
    uint64_t *column = get(r, net->n_vars, sizeof *column);
    struct tally *t = get(r, net->n_layers, sizeof *t);
    for (uint32_t k = 1; k < net->n_layers; k++) {
        count(net, net->layers[k].z, t, column);
        for (uint32_t s = 0; s < k; s++)
            net->layers[s].n_readers += t[s].n > 0;
    }
    for (uint32_t k = 1; k < net->n_layers; k++) {
        uint64_t most = count(net, net->layers[k].z, t, column);
        quantise(r, net, k, t, most);
        if (!keep)
            used(r, net->layers[k].z);
    }
    for (uint32_t s = 0; s < net->n_layers; s++) {
        net->layers[s].readers = get(r, net->layers[s].n_readers,
                                     sizeof(struct block *));
        net->layers[s].n_readers = 0;
    }
    for (uint32_t k = net->n_layers; k-- > 1;)
        for (uint32_t i = 0; i < net->layers[k].n_blocks; i++) {
            struct block *b = &net->layers[k].blocks[i];
            struct layer *src = &net->layers[b->source];
            src->readers[src->n_readers++] = b;
        }
    give(r, column);
    give(r, t);
}
