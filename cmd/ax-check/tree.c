/* tree.c - walks the trees of a certificate: ax-cert(5), CERTIFICATE. */
#include "island.h"

#include <stdio.h>
#include <string.h>

enum { DEPTH_MAX = 4096, TABLES_MAX = 1 << 20 };
enum { LEAF, MIDDLE, VALUE, NEURON, NEURON_ANEW, LEAF_MULTS, SLOPES, FORK };

struct level { /* a box, and the conjunctions that are left in it */
    struct box box;
    uint32_t *left, n_left;
};

struct walker {
    struct run *r;
    struct claim *c;
    const struct group *group;
    struct bytes tree;
    struct work *work;
    struct level level[DEPTH_MAX + 1]; /* those that were reached */
    struct box clipped, all;
    uint32_t n_tables, n_mults;         /* on the way to here */
    struct multiplier mults[DEPTH_MAX]; /* of the neurons that were split */
};

static struct level *level(struct walker *w, uint32_t depth)
{
    struct level *l = &w->level[depth];
    if (!l->box.lo) {
        l->box = box_new(w->r, w->c->net);
        l->left = get(w->r, w->c->pr->most_conj, sizeof *l->left);
    }
    return l;
}

static void check(const struct walker *w, bool ok, const char *what)
{
    if (!ok)
        refuse(w->r, REJECTED, "%s", what);
}

/* ---- conjunctions ---- */

static struct goal goal_of(const struct walker *w, uint32_t c, uint64_t i)
{
    const struct conj *conj = &w->group->conj[c];
    return (struct goal){.row = &w->c->pr->rows[conj->rows[i]],
                         .target = 2ull * w->c->net->n_neurons + conj->first +
                                   i};
}

/* Make w->clipped what clipping by conjunction c leaves of the box; false if
 * that is nothing. */
static bool clip(struct walker *w, const struct level *l, uint32_t c)
{
    uint32_t n_x = w->c->pr->n_x;
    bool some = true;
    memcpy(w->clipped.lo, l->box.lo, 2 * n_x * sizeof(int64_t));
    w->clipped.scale = l->box.scale;
    for (uint32_t i = 0; some && i < w->group->conj[c].n_rows; i++) {
        struct goal goal = goal_of(w, c, i);
        struct bound f = row_bound(w->work, &goal);
        some = row_clip(w->r, &f, goal.row, n_x, &w->clipped);
    }
    return some;
}

/* Conjunction c is refuted in the box as the certificate says. */
static void refute(struct walker *w, const struct level *l, uint32_t c,
                   bool mults)
{
    const struct conj *conj = &w->group->conj[c];
    uint64_t i = conj->n_rows == 1 ? 0 : varint(w->r, &w->tree);
    if (i < conj->n_rows) {
        struct goal goal = goal_of(w, c, i);
        goal.mults = w->mults;
        goal.n_mults = mults ? w->n_mults : 0;
        for (uint32_t k = 0; k < goal.n_mults; k++)
            w->mults[k].code = (uint32_t)little(take(w->r, &w->tree, 2).p, 2);
        if (row_bound(w->work, &goal).c > goal.row->d64)
            return;
    } else if (i == conj->n_rows && !clip(w, l, c)) {
        return;
    }
    refuse(w->r, REJECTED, "conjunction %u is not refuted", c);
}

/* Take out of the list what is refuted at a split. */
static void refute_some(struct walker *w, struct level *l)
{
    uint64_t n = l->n_left > 1 ? varint(w->r, &w->tree) : 0;
    uint64_t at = 0, to = 0;
    for (uint64_t left = l->n_left; n > 0; n--) {
        uint64_t pos = varint(w->r, &w->tree);
        check(w, pos >= at && pos < l->n_left && --left > 0,
              "a list of conjunctions is malformed");
        while (at < pos)
            l->left[to++] = l->left[at++];
        refute(w, l, l->left[at++], false);
    }
    while (at < l->n_left)
        l->left[to++] = l->left[at++];
    l->n_left = (uint32_t)to;
}

/* The box becomes the smallest that holds what clipping by each conjunction
 * leaves, if anything is left at all. */
static void clip_box(struct walker *w, struct level *l)
{
    const struct box *part = &w->clipped, *all = &w->all;
    uint32_t n_x = w->c->pr->n_x;
    bool any = false;
    for (uint32_t i = 0; i < l->n_left; i++) {
        if (!clip(w, l, l->left[i]))
            continue;
        for (uint32_t j = 0; j < n_x; j++) {
            if (!any || part->lo[j] < all->lo[j])
                all->lo[j] = part->lo[j];
            if (!any || part->hi[j] > all->hi[j])
                all->hi[j] = part->hi[j];
        }
        any = true;
    }
    if (any)
        memcpy(l->box.lo, all->lo, 2 * n_x * sizeof(int64_t));
}

/* ---- nodes of the tree ---- */

/* Slopes for a neuron's row, or for one of the property. */
static void read_table(struct walker *w, struct box *b, uint64_t target)
{
    const struct net *net = w->c->net;
    uint64_t rows = 2ull * net->n_neurons;
    uint32_t end = target < rows
                       ? net->nodes[net->owner[net->neuron[target / 2]]].base
                       : net->n_vars;
    struct table *t = get(w->r, sizeof *t + end, 1);
    *t = (struct table){.next = b->tables, .target = target};
    b->tables = t;
    check(w,
          target < rows + w->group->n_targets && w->n_tables++ < TABLES_MAX,
          "slopes of no target, or too many");
    memset(t->slope, 255, end);
    for (uint32_t i = 0; i < net->n_neurons && net->neuron[i] < end; i++) {
        uint8_t *slope = &t->slope[net->neuron[i]];
        if (b->status[net->neuron[i]] != UNSTABLE)
            continue;
        *slope = *take(w->r, &w->tree, 1).p;
        check(w, *slope <= 128 || *slope == 255, "a slope is more than 1");
    }
}

static void visit(struct walker *w, uint32_t depth);

/* Where input x is split: in the middle, or as far from it as a number says.
 */
static int64_t split_at(struct walker *w, struct level *l, uint32_t kind,
                        uint64_t x)
{
    uint64_t z = kind == VALUE ? varint(w->r, &w->tree) : 0;
    int64_t v = z & 1 ? -(int64_t)(z / 2) - 1 : (int64_t)(z / 2);
    check(w, z >> 63 == 0, "a number of 2^63 or more");
    refute_some(w, l);
    clip_box(w, l);
    v += (l->box.lo[x] + l->box.hi[x]) >> 1; /* 2^62 and 2^45 */
    check(w, v >= l->box.lo[x] && v <= l->box.hi[x],
          "a split outside of the box");
    return v;
}

/* The box is split as kind says; both children are visited. */
static void split(struct walker *w, struct level *l, uint32_t depth,
                  uint32_t kind, uint64_t which)
{
    const struct net *net = w->c->net;
    bool is_input = kind == MIDDLE || kind == VALUE, fork = kind == FORK;
    uint64_t end = is_input ? w->c->pr->n_x
                   : fork   ? l->n_left
                            : net->n_neurons;
    uint32_t var = 0, n = l->n_left;
    struct level *child;
    int64_t v = 0;
    check(w, depth < DEPTH_MAX && which < end,
          "too deep, or a split at what is not there");
    check(w, !fork || which > 0, "an empty fork");
    child = level(w, depth + 1);
    if (is_input) {
        v = split_at(w, l, kind, which);
        n = l->n_left;
    } else if (!fork) {
        var = net->neuron[which];
        check(w,
              l->box.status[var] == UNSTABLE &&
                  net->nodes[net->owner[var]].kind == RELU,
              "a neuron is not unstable, or smooth");
        w->mults[w->n_mults++].neuron = var;
    }
    for (int second = 0; second < 2; second++) {
        uint32_t from = fork && second ? (uint32_t)which : 0;
        box_copy(net, &child->box, &l->box);
        child->n_left = fork && !second ? (uint32_t)which : n - from;
        memcpy(child->left, l->left + from, child->n_left * sizeof *l->left);
        if (is_input) {
            (second ? child->box.lo : child->box.hi)[which] = v;
            child->box.fresh = false;
        } else if (!fork) {
            child->box.status[var] = second ? INACTIVE : ACTIVE;
            child->box.fresh = kind == NEURON;
            w->mults[w->n_mults - 1].active = !second;
        }
        visit(w, depth + 1);
    }
    w->n_mults -= kind == NEURON || kind == NEURON_ANEW;
}

static void visit(struct walker *w, uint32_t depth)
{
    struct level *l = level(w, depth);
    struct table *above = l->box.tables, *t;
    uint64_t code = varint(w->r, &w->tree);
    uint32_t kind;
    for (; code % 8 == SLOPES; code = varint(w->r, &w->tree)) {
        if (code / 8 >= 2ull * w->c->net->n_neurons && !l->box.fresh)
            box_bounds(w->work, &l->box);
        read_table(w, &l->box, code / 8);
    }
    kind = code % 8;
    box_bounds(w->work, &l->box);
    if (kind == LEAF || kind == LEAF_MULTS) {
        check(w, code / 8 == 0, "a leaf has an argument");
        for (uint32_t i = 0; i < l->n_left; i++)
            refute(w, l, l->left[i], kind == LEAF_MULTS);
        if (++w->c->leaves % 4096 == 0 && w->c->progress)
            fprintf(stderr, "\r%llu leaves",
                    (unsigned long long)w->c->leaves);
    } else {
        split(w, l, depth, kind, code / 8);
    }
    for (; l->box.tables != above; l->box.tables = t) {
        t = l->box.tables->next;
        give(w->r, l->box.tables);
        w->n_tables--;
    }
}

/* At the root every neuron is unstable, and M is infinite. */
static void check_group(struct walker *w, const struct group *g)
{
    uint64_t n_x = w->c->pr->n_x;
    struct level *root = level(w, 0);
    w->group = g;
    memcpy(root->box.lo, g->lo, n_x * sizeof(int64_t));
    memcpy(root->box.hi, g->hi, n_x * sizeof(int64_t));
    memset(root->box.status, UNSTABLE, w->c->net->n_vars);
    for (uint64_t i = 0; i < w->c->net->n_vars; i++)
        root->box.m[i] = INT64_MAX;
    root->box.scale = g->scale;
    root->box.fresh = false;
    root->n_left = g->n_conj;
    for (uint32_t i = 0; i < g->n_conj; i++) {
        root->left[i] = i;
        if (g->conj[i].n_rows == 0)
            refuse(w->r, REJECTED, "conjunction %u has no rows", i);
    }
    visit(w, 0);
}

void certificate_check(struct run *r, struct claim *c)
{
    struct bytes body = claim_body(r, c, "AXCT\2");
    struct walker *w = get(r, 1, sizeof *w);
    uint64_t n = varint(r, &body);
    w->r = r;
    w->c = c;
    w->tree = body;
    if (c->semantics == IEEE32 && c->net->only_real)
        refuse(r, MALFORMED, "not certifiable under ieee32: %s",
               c->net->only_real);
    check(w, n == c->pr->n_groups, "the number of groups is wrong");
    c->in_tree = true;
    w->work = work_new(r, c->net, c->semantics);
    w->clipped = box_new(r, c->net);
    w->all = box_new(r, c->net);
    for (; c->at < n; c->at++)
        check_group(w, &c->pr->groups[c->at]);
    c->in_tree = false;
    check(w, w->tree.n == 0, "something follows the last group");
}
