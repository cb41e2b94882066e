/* tree.c - walks the trees of a certificate: ax-cert(5), CERTIFICATE. */
#include "island.h"

#include <stdio.h>
#include <string.h>

enum { DEPTH_MAX = 4096, TABLES_MAX = 1 << 20 };
enum { LEAF, MIDDLE, VALUE, NEURON, NEURON_ANEW, LEAF_MULTS, SLOPES, FORK };

struct step { /* of the way from the root: a node that was split */
    uint32_t kind, which; /* input, neuron, or conjunctions */
    bool second;          /* the second child */
    int64_t v;
};

struct level { /* a box; its arrays and left are one piece of memory */
    struct box box;
    uint32_t *left, n_left, room; /* conjunctions not refuted above */
    struct table *tables;         /* its own, then those above */
    uint32_t n_tables;
    int32_t fresh; /* whose bounds it has: that level's; -1: none */
    bool kept;     /* its own are in bounds */
    struct bounds bounds;
};

struct walker {
    struct run *r;
    struct claim *c;
    const struct group *group;
    struct bytes tree;
    struct work *work;
    struct level level[DEPTH_MAX + 1], clipped[2];
    struct step step[DEPTH_MAX];
    struct multiplier mults[DEPTH_MAX];
    uint32_t depth;
};

/* Give l room for n_left conjunctions; what was in it is lost. */
static void shape(struct walker *w, struct level *l)
{
    uint64_t n_x = w->c->pr->n_x, n = w->c->net->n_vars, words = (n + 7) / 8;
    if (l->box.lo && l->room >= l->n_left)
        return;
    give(w->r, l->box.lo);
    l->room = l->n_left;
    l->box.lo = get(w->r, 2 * n_x + n + words + (l->room + 1ull) / 2, 8);
    l->box.hi = l->box.lo + n_x;
    l->box.m = l->box.hi + n_x;
    l->box.status = (uint8_t *)(l->box.m + n);
    l->left = (uint32_t *)(l->box.m + n + words);
}

static void copy(struct walker *w, struct level *to, const struct level *from)
{
    uint64_t n_x = w->c->pr->n_x, n = w->c->net->n_vars;
    to->box.scale = from->box.scale;
    to->n_left = from->n_left;
    to->tables = from->tables;
    to->n_tables = from->n_tables;
    to->fresh = from->fresh;
    to->kept = false;
    shape(w, to);
    memcpy(to->box.lo, from->box.lo, 16 * n_x + 9 * n);
    memcpy(to->left, from->left, 4ull * from->n_left);
}

/* ---- conjunctions ---- */

static struct goal goal_of(const struct walker *w, const struct level *l,
                           uint32_t c, uint64_t i)
{
    const struct conj *conj = &w->group->conj[c];
    return (struct goal){.row = &w->c->pr->rows[conj->rows[i]],
                         .target = 2ull * w->c->net->n_neurons + conj->first +
                                   i,
                         .tables = l->tables};
}

/* Make b what clipping by conjunction c leaves of the box; false if that is
 * nothing. */
static bool clip(struct walker *w, const struct level *l, uint32_t c,
                 struct level *b)
{
    uint32_t n_x = w->c->pr->n_x;
    bool some = true;
    memcpy(b->box.lo, l->box.lo, 2 * n_x * sizeof(int64_t));
    for (uint32_t i = 0; some && i < w->group->conj[c].n_rows; i++) {
        struct goal goal = goal_of(w, l, c, i);
        struct bound f = row_bound(w->r, w->work, &l->box, &goal);
        some = row_clip(w->r, &f, goal.row, n_x, &b->box);
    }
    return some;
}

/* The multipliers of a row, for all neurons on the way. */
static uint32_t read_mults(struct walker *w)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < w->depth; i++) {
        const struct step *s = &w->step[i];
        if (s->kind != NEURON && s->kind != NEURON_ANEW)
            continue;
        w->mults[n].neuron = w->c->net->neuron[s->which];
        w->mults[n].active = !s->second;
        w->mults[n++].code = (uint32_t)little(take(w->r, &w->tree, 2).p, 2);
    }
    return n;
}

/* Conjunction c is refuted in the box as the certificate says. */
static void refute(struct walker *w, const struct level *l, uint32_t c,
                   bool mults)
{
    const struct conj *conj = &w->group->conj[c];
    uint64_t i = conj->n_rows == 1 ? 0 : varint(w->r, &w->tree);
    if (i < conj->n_rows) {
        struct goal goal = goal_of(w, l, c, i);
        goal.mults = w->mults;
        goal.n_mults = mults ? read_mults(w) : 0;
        if (row_bound(w->r, w->work, &l->box, &goal).c > goal.row->d64)
            return;
    } else if (i == conj->n_rows && !clip(w, l, c, &w->clipped[0])) {
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
        if (pos < at || pos >= l->n_left || --left == 0)
            refuse(w->r, REJECTED, "a list of conjunctions is malformed");
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
    struct box *part = &w->clipped[0].box, *all = &w->clipped[1].box;
    uint32_t n_x = w->c->pr->n_x;
    bool any = false;
    for (uint32_t i = 0; i < l->n_left; i++) {
        if (!clip(w, l, l->left[i], &w->clipped[0]))
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

/* Forget the tables of the level at depth that are its own. */
static void drop_tables(struct walker *w, struct level *l)
{
    const struct table *above = l > w->level ? l[-1].tables : NULL;
    while (l->tables != above) {
        struct table *t = l->tables;
        l->tables = t->next;
        give(w->r, t);
    }
}

/* Slopes for a neuron's row, or for one of the property. */
static void read_table(struct walker *w, struct level *l, uint64_t target)
{
    const struct net *net = w->c->net;
    uint64_t rows = 2ull * net->n_neurons;
    uint32_t end = target < rows
                       ? net->nodes[net->owner[net->neuron[target / 2]]].base
                       : net->n_vars;
    struct table *t = get(w->r, sizeof *t + end, 1);
    *t = (struct table){.next = l->tables, .target = target};
    l->tables = t;
    if (target >= rows + w->group->n_targets || ++l->n_tables > TABLES_MAX)
        refuse(w->r, REJECTED, "slopes of no target, or too many");
    memset(t->slope, 255, end);
    for (uint32_t i = 0; i < net->n_neurons && net->neuron[i] < end; i++) {
        uint32_t v = net->neuron[i];
        if (l->box.status[v] != UNSTABLE)
            continue;
        t->slope[v] = *take(w->r, &w->tree, 1).p;
        if (t->slope[v] > 128 && t->slope[v] != 255)
            refuse(w->r, REJECTED, "a slope is more than 1");
    }
}

/* The child of the box above that its step names. */
static void enter(struct walker *w)
{
    const struct step *s = &w->step[w->depth - 1];
    struct level *l = &w->level[w->depth], *up = l - 1;
    copy(w, l, up);
    switch (s->kind) {
    case FORK:
        l->n_left = s->second ? up->n_left - s->which : s->which;
        memcpy(l->left, up->left + (s->second ? s->which : 0),
               4ull * l->n_left);
        break;
    case NEURON_ANEW:
        l->fresh = -1; /* fall through */
    case NEURON:
        l->box.status[w->c->net->neuron[s->which]] = s->second ? INACTIVE
                                                               : ACTIVE;
        break;
    default:
        l->fresh = -1;
        *(s->second ? &l->box.lo[s->which] : &l->box.hi[s->which]) = s->v;
    }
}

static void split(struct walker *w, struct level *l, uint32_t kind,
                  uint64_t which)
{
    struct step *s = &w->step[w->depth];
    const struct net *net = w->c->net;
    uint64_t z = kind == VALUE ? varint(w->r, &w->tree) : 0;
    bool is_input = kind == MIDDLE || kind == VALUE;
    int64_t lo, hi;
    if (w->depth == DEPTH_MAX || which >= (is_input       ? w->c->pr->n_x
                                           : kind == FORK ? l->n_left
                                                          : net->n_neurons))
        refuse(w->r, REJECTED, "too deep, or a split at what is not there");
    *s = (struct step){.kind = kind, .which = (uint32_t)which};
    if (is_input) {
        refute_some(w, l);
        clip_box(w, l);
        lo = l->box.lo[which];
        hi = l->box.hi[which];
        s->v = ((lo + hi) >> 1) +
               (z & 1 ? -(int64_t)(z / 2) - 1 : (int64_t)(z / 2));
        if (z >> 62 || s->v < lo || s->v > hi) /* |.| < 2^63 */
            refuse(w->r, REJECTED, "a split outside of the box");
    } else if (kind == FORK
                   ? which == 0
                   : l->box.status[net->neuron[which]] != UNSTABLE ||
                         net->nodes[net->owner[net->neuron[which]]].kind !=
                             RELU) {
        refuse(w->r, REJECTED, "a neuron is not unstable, or an empty fork");
    } else if (l->fresh == (int32_t)w->depth && !l->kept) {
        bounds_keep(w->r, w->work, &l->bounds); /* children may inherit */
        l->kept = true;
    }
    w->depth++;
    enter(w);
}

static void leaf(struct walker *w, const struct level *l, bool mults)
{
    for (uint32_t i = 0; i < l->n_left; i++)
        refute(w, l, l->left[i], mults);
    if (++w->c->leaves % 4096 == 0 && w->c->progress)
        fprintf(stderr, "\r%llu leaves", (unsigned long long)w->c->leaves);
}

static void be_fresh(struct walker *w, struct level *l)
{
    if (l->fresh >= 0)
        return;
    box_bounds(w->r, w->work, &l->box, l->tables);
    l->fresh = (int32_t)w->depth;
}

/* One node of the tree; true if it was a leaf. */
static bool visit(struct walker *w)
{
    struct level *l = &w->level[w->depth];
    uint64_t t = varint(w->r, &w->tree);
    bool anew = l->fresh < 0;
    uint32_t kind;
    for (; t % 8 == SLOPES; t = varint(w->r, &w->tree)) {
        if (t / 8 >= 2ull * w->c->net->n_neurons)
            be_fresh(w, l);
        read_table(w, l, t / 8);
    }
    kind = t % 8;
    be_fresh(w, l);
    if (!anew && kind != NEURON && kind != NEURON_ANEW && kind != FORK)
        bounds_use(w->work, &l->box, &w->level[l->fresh].bounds);
    if (kind == LEAF || kind == LEAF_MULTS) {
        if (t / 8 != 0)
            refuse(w->r, REJECTED, "a leaf has an argument");
        leaf(w, l, kind == LEAF_MULTS);
        return true;
    }
    split(w, l, kind, t / 8);
    return false;
}

static void walk(struct walker *w, const struct level *root)
{
    w->depth = 0;
    copy(w, &w->level[0], root);
    copy(w, &w->clipped[0], root);
    copy(w, &w->clipped[1], root);
    for (;;) {
        if (!visit(w))
            continue;
        drop_tables(w, &w->level[w->depth]);
        while (w->depth > 0 && w->step[w->depth - 1].second)
            drop_tables(w, &w->level[--w->depth]);
        if (w->depth == 0)
            break;
        w->step[w->depth - 1].second = true;
        enter(w);
    }
}

/* The way to where the walker is. */
static void say_where(struct run *r, struct claim *c, const struct walker *w)
{
    size_t room = 64 + (size_t)w->depth * 64;
    char *text = get(r, room, 1), *at = text;
    at += snprintf(at, room,
                   "group %u:", (unsigned)(w->group - c->pr->groups));
    for (uint32_t i = 0; i < w->depth; i++) {
        const struct step *s = &w->step[i];
        const char *sign = s->second ? ">=" : "<=";
        if (s->kind == NEURON || s->kind == NEURON_ANEW)
            at += snprintf(at, 64, " neuron %u%s0", s->which,
                           s->second ? "<=" : ">=");
        else if (s->kind == FORK)
            at += snprintf(at, 64, " fork %u %s", s->which,
                           s->second ? "second" : "first");
        else
            at += snprintf(at, 64, " X_%u%s%lld/2^%d", s->which, sign,
                           (long long)s->v, w->group->scale);
    }
    c->where = text;
}

static void check_group(struct walker *w)
{
    const struct group *g = w->group;
    struct level root = {
        .n_left = g->n_conj, .box.scale = g->scale, .fresh = -1};
    uint64_t n_x = w->c->pr->n_x;
    /* At the root every neuron is unstable, and M is infinite. */
    shape(w, &root);
    memcpy(root.box.lo, g->lo, n_x * sizeof(int64_t));
    memcpy(root.box.hi, g->hi, n_x * sizeof(int64_t));
    for (uint64_t i = 0; i < w->c->net->n_vars; i++)
        root.box.m[i] = INT64_MAX;
    for (uint32_t i = 0; i < g->n_conj; i++) {
        root.left[i] = i;
        if (g->conj[i].n_rows == 0)
            refuse(w->r, REJECTED, "conjunction %u has no rows", i);
    }
    walk(w, &root);
    give(w->r, root.box.lo);
}

void certificate_check(struct run *r, struct claim *c)
{
    struct bytes body = claim_body(r, c, "AXCT\2\1\0");
    struct walker *w = get(r, 1, sizeof *w);
    uint64_t n = varint(r, &body);
    jmp_buf out;
    if (n != c->pr->n_groups)
        refuse(r, REJECTED, "the number of groups is wrong");
    *w = (struct walker){.r = r, .c = c, .tree = body};
    w->work = work_new(r, c->net);
    memcpy(out, r->out, sizeof out);
    if (setjmp(r->out) != 0) { /* say where, and pass it on */
        memcpy(r->out, out, sizeof out);
        say_where(r, c, w);
        longjmp(r->out, 1);
    }
    for (uint64_t g = 0; g < n; g++) {
        w->group = &c->pr->groups[g];
        check_group(w);
    }
    memcpy(r->out, out, sizeof out);
    if (w->tree.n > 0)
        refuse(r, REJECTED, "something follows the last group");
}
