/* Branch and bound over input boxes.
 *
 * The search goes in rounds: the newest open boxes are bounded side by side,
 * then what came of them is taken in order. So neither verdict nor tree
 * depends on the number of threads, and depth-first order keeps the list of
 * open boxes short. */
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "crew.h"
#include "search.h"

#define DEPTH_MAX 4096

struct frame *frame_new(const struct bnet *net, uint32_t n_conj)
{
    size_t state = bstate_bytes(net);
    struct frame *f = malloc(sizeof *f + state + n_conj * sizeof(uint32_t));

    if (!f)
        return NULL;
    atomic_init(&f->refs, 1);
    bstate_place(&f->state, net, f + 1);
    f->left = (uint32_t *)(void *)((char *)(f + 1) + state);
    f->n_left = 0;
    return f;
}

size_t frame_bytes(const struct bnet *net, uint32_t n_conj)
{
    return sizeof(struct frame) + bstate_bytes(net) +
           n_conj * sizeof(uint32_t);
}

static void frame_drop(struct frame *f)
{
    if (f && atomic_fetch_sub(&f->refs, 1) == 1)
        free(f);
}

/* ---- one box ---- */

/* Split where the linear bounds say that it pays: smart branching,
 * |slope| x width, with a part of the largest slope added so that an input
 * whose slope is zero just now is not starved. */
static bool choose(struct item *it, uint32_t n_x, const struct brow *rows,
                   size_t n)
{
    const double smooth = 0.1;
    double most = 0, top = -1;
    uint32_t best = 0;

    for (int pass = 0; pass < 2; pass++)
        for (uint32_t j = 0; j < n_x; j++) {
            int64_t width = it->box[n_x + j] - it->box[j];
            double a = 0, score;

            if (width < 2) /* a half would be the box itself */
                continue;
            for (size_t r = 0; r < n; r++)
                a += ldexp(fabs((double)rows[r].e[j]), -rows[r].q);
            if (pass == 0) {
                most = a > most ? a : most;
                continue;
            }
            score = (a + smooth * most) * (double)width;
            if (score > top) {
                top = score;
                best = j;
            }
        }
    it->dim = best;
    it->value = (it->box[best] + it->box[n_x + best]) >> 1;
    return top >= 0;
}

/* The smallest box that holds what clipping by each conjunction that is left
 * leaves takes the place of the box. */
static void clip(struct searcher *s, struct item *it, uint32_t n_x,
                 const struct ax_group *g, const struct frame *f)
{
    int64_t *box = s->clip, *hull = s->clip + 2 * n_x;
    const struct brow *rows = s->rows;
    bool any = false;

    for (uint32_t i = 0, k = 0; i < it->from->n_left; i++) {
        uint32_t c = it->from->left[i], n = g->conj[c].n_rows;

        if (k < f->n_left && f->left[k] == c) {
            k++;
            memcpy(box, it->box, 2 * n_x * sizeof *box);
            if (bound_clip(rows, n, n_x, box, box + n_x)) {
                for (uint32_t j = 0; j < n_x; j++) {
                    bool lo = !any || box[j] < hull[j];
                    bool hi = !any || box[n_x + j] > hull[n_x + j];

                    hull[j] = lo ? box[j] : hull[j];
                    hull[n_x + j] = hi ? box[n_x + j] : hull[n_x + j];
                }
                any = true;
            }
        }
        rows += n;
    }
    if (any)
        memcpy(it->box, hull, 2 * n_x * sizeof *hull);
}

/* Which row refutes a conjunction; n_rows: clipping leaves nothing;
 * UINT32_MAX: it is left. */
static uint32_t refuting_row(struct searcher *s, const struct item *it,
                             const struct brow *rows, uint32_t n,
                             uint32_t n_x)
{
    for (uint32_t r = 0; r < n; r++)
        if (rows[r].c > rows[r].row->d64_up)
            return r;
    if (n < 2 || s->search->no_clip)
        return UINT32_MAX;
    memcpy(s->clip, it->box, 2 * n_x * sizeof *s->clip);
    return bound_clip(rows, n, n_x, s->clip, s->clip + n_x) ? UINT32_MAX : n;
}

/* Which conjunctions are refuted; what stays goes to f->left. */
static void refute(struct searcher *s, struct item *it,
                   const struct ax_group *g, struct frame *f, uint32_t n_x)
{
    const struct brow *rows = s->rows;

    f->n_left = 0;
    it->n_refuted = 0;
    it->bound = INFINITY;
    for (uint32_t i = 0; i < it->from->n_left; i++) {
        uint32_t k = it->from->left[i], n = g->conj[k].n_rows;
        uint32_t row = refuting_row(s, it, rows, n, n_x);
        double best = -INFINITY;

        for (uint32_t r = 0; r < n; r++, rows++) {
            double m = ldexp((double)(rows->c - rows->row->d64_up), -64);

            best = m > best ? m : best;
        }
        it->bound = best < it->bound ? best : it->bound;
        if (row == UINT32_MAX) {
            f->left[f->n_left++] = k;
        } else {
            it->refuted[2 * it->n_refuted] = i;
            it->refuted[2 * it->n_refuted++ + 1] = row;
        }
    }
}

/* Are all sides of the box smaller than half of what lies between two
 * floats? It may be left like that for ever, with no float in it. */
static bool between_floats(const struct item *it, uint32_t n_x)
{
    for (uint32_t j = 0; j < n_x; j++) {
        int64_t lo = it->box[j], hi = it->box[n_x + j];
        int64_t top = -lo > hi ? -lo : hi;

        if (hi - lo > top >> 25)
            return false;
    }
    return true;
}

static enum outcome bound_item(struct searcher *s, struct item *it)
{
    const struct search *se = s->search;
    const struct ax_group *g = &se->prop->groups[it->group];
    uint32_t n_x = se->net->nodes[0].n;
    struct bbox box = {g->p, it->box, it->box + n_x, NULL};
    struct frame *f = frame_new(se->net, g->n_conj);
    size_t n = 0;

    if (!f)
        return OUT_OF_MEMORY;
    it->to = f;
    bstate_copy(&f->state, &it->from->state, se->net);
    for (uint32_t i = 0; i < it->from->n_left; i++) {
        const struct ax_conj *c = &g->conj[it->from->left[i]];

        for (uint32_t r = 0; r < c->n_rows; r++)
            s->rows[n++].row = c->rows[r];
    }
    if (!bound_box(s->work, &box, &f->state) ||
        !bound_rows(s->work, &box, s->rows, n))
        return bwork_late(s->work) ? LATE : OUT_OF_RANGE;
    refute(s, it, g, f, n_x);
    if (f->n_left == 0)
        return CLOSED;
    if (!s->search->no_clip)
        clip(s, it, n_x, g, f);
    if (it->depth >= DEPTH_MAX ||
        (se->net->ieee32 && between_floats(it, n_x)) ||
        !choose(it, n_x, s->rows, n))
        return STUCK;
    return SPLIT;
}

/* ---- threads ---- */

/* The tools of every thread, and the boxes of a round. */
struct shop {
    struct searcher *searchers; /* [n] */
    int n;
    struct crew *crew;
    struct item **items;
};

static void work(void *self, int worker, size_t part)
{
    struct shop *shop = self;

    shop->items[part]->outcome = bound_item(&shop->searchers[worker],
                                            shop->items[part]);
}

static void shop_end(struct shop *shop)
{
    crew_free(shop->crew);
    for (int i = 0; i < shop->n; i++) {
        bwork_free(shop->searchers[i].work);
        free(shop->searchers[i].rows);
        free(shop->searchers[i].e);
        free(shop->searchers[i].clip);
    }
    free(shop->searchers);
}

/* The most rows that one group has. */
static size_t most_rows(const struct ax_prop *prop)
{
    size_t most = 1;

    for (uint32_t g = 0; g < prop->n_groups; g++) {
        size_t rows = 0;

        for (uint32_t k = 0; k < prop->groups[g].n_conj; k++)
            rows += prop->groups[g].conj[k].n_rows;
        most = rows > most ? rows : most;
    }
    return most;
}

static ax_status searcher_start(struct searcher *s, struct search *se,
                                size_t most, struct ax_err *err)
{
    size_t n_x = se->net->nodes[0].n, n = (size_t)se->threads;

    s->search = se;
    AX_TRY(
        bwork_new(&s->work, se->net, se->bytes / 2 / n, se->deadline, err));
    s->rows = calloc(most, sizeof *s->rows);
    s->e = calloc(most * n_x + 1, sizeof *s->e);
    s->clip = calloc(4 * n_x + 1, sizeof *s->clip);
    if (!s->rows || !s->e || !s->clip)
        return ax_fail(err, AX_ENOMEM, "no memory for %zu rows", most);
    for (size_t r = 0; r < most; r++)
        s->rows[r].e = s->e + r * n_x;
    return AX_OK;
}

static ax_status shop_start(struct shop *shop, struct search *se,
                            struct ax_err *err)
{
    size_t most = most_rows(se->prop);
    ax_status st = AX_OK;

    *shop = (struct shop){.n = se->threads};
    shop->searchers = calloc((size_t)shop->n, sizeof *shop->searchers);
    if (!shop->searchers) {
        shop->n = 0;
        st = ax_fail(err, AX_ENOMEM, "no memory for threads");
    }
    for (int i = 0; i < shop->n && st == AX_OK; i++)
        st = searcher_start(&shop->searchers[i], se, most, err);
    if (st == AX_OK)
        st = crew_new(&shop->crew, shop->n, err);
    if (st != AX_OK)
        shop_end(shop);
    return st;
}

/* ---- the open boxes ---- */

struct open {
    struct item **p;
    size_t n, cap;
};

static void item_free(struct item *it)
{
    if (!it)
        return;
    frame_drop(it->from);
    frame_drop(it->to);
    free(it);
}

static struct item *item_new(const struct search *se, uint32_t group)
{
    uint32_t n_x = se->net->nodes[0].n;
    uint32_t n_conj = se->prop->groups[group].n_conj;
    struct item *it = calloc(1, sizeof *it + 2 * n_x * sizeof(int64_t) +
                                    2 * n_conj * sizeof(uint32_t));

    if (!it)
        return NULL;
    it->group = group;
    it->box = (int64_t *)(it + 1);
    it->refuted = (uint32_t *)(void *)(it->box + 2 * n_x);
    return it;
}

static ax_status push(struct open *o, struct item *it, struct ax_err *err)
{
    if (o->n == o->cap) {
        size_t cap = o->cap ? 2 * o->cap : 1024;
        struct item **p = realloc(o->p, cap * sizeof *p);

        if (!p) {
            item_free(it);
            return ax_fail(err, AX_ENOMEM, "no memory for open boxes");
        }
        o->p = p;
        o->cap = cap;
    }
    o->p[o->n++] = it;
    return AX_OK;
}

/* An earlier search has left nothing to do there. */
static bool closed_before(const struct search *se, uint32_t group,
                          uint64_t id)
{
    return ax_certifier_saved(se->resume, group, id, NULL, NULL) ==
           AX_SAVED_CLOSED;
}

static ax_status push_root(struct open *o, struct search *se, uint32_t group,
                           struct ax_err *err)
{
    const struct ax_group *g = &se->prop->groups[group];
    uint32_t n_x = se->net->nodes[0].n;
    struct item *it;
    struct frame *f;

    if (closed_before(se, group, 0))
        return AX_OK;
    it = item_new(se, group);
    f = frame_new(se->net, g->n_conj);
    if (!it || !f) {
        free(it);
        free(f);
        return ax_fail(err, AX_ENOMEM, "no memory for open boxes");
    }
    it->from = f;
    bstate_root(&f->state, se->net);
    f->n_left = g->n_conj;
    for (uint32_t i = 0; i < g->n_conj; i++)
        f->left[i] = i;
    memcpy(it->box, g->lo, n_x * sizeof *it->box);
    memcpy(it->box + n_x, g->hi, n_x * sizeof *it->box);
    se->next_id[group] = ax_certifier_boxes(se->resume, group);
    return push(o, it, err);
}

/* The two halves, the upper first: the lower is then taken first. */
static ax_status push_halves(struct open *o, struct search *se,
                             const struct item *it, struct ax_err *err)
{
    uint32_t n_x = se->net->nodes[0].n;

    for (int upper = 1; upper >= 0; upper--) {
        struct item *h;

        if (closed_before(se, it->group, it->child + (uint64_t)upper))
            continue;
        h = item_new(se, it->group);
        if (!h)
            return ax_fail(err, AX_ENOMEM, "no memory for open boxes");
        h->id = it->child + (uint64_t)upper;
        h->depth = it->depth + 1;
        h->from = it->to;
        atomic_fetch_add(&it->to->refs, 1);
        memcpy(h->box, it->box, 2 * n_x * sizeof *h->box);
        h->box[upper ? it->dim : n_x + it->dim] = it->value;
        AX_TRY(push(o, h, err));
    }
    return AX_OK;
}

/* ---- what came of a round ---- */

static ax_status emit(struct search *se, struct item *it, struct ax_err *err)
{
    const struct ax_step s = {
        .kind = it->outcome == CLOSED ? AX_STEP_LEAF : AX_STEP_SPLIT,
        .group = it->group,
        .id = it->id,
        .child = it->child,
        .depth = it->depth,
        .dim = it->dim,
        .value = it->value,
        .p = se->prop->groups[it->group].p,
        .lo = it->box,
        .hi = it->box + se->net->nodes[0].n,
        .bound = it->bound,
        .n_left = it->from->n_left,
        .left = it->from->left,
        .n_refuted = it->n_refuted,
        .refuted = it->refuted,
    };

    for (const struct ax_sink *k = se->sinks; k && k->step; k++)
        AX_TRY(k->step(k->self, &s, err));
    return AX_OK;
}

/* Where there is a counterexample, there may be one in the middle. */
static void suspect_middle(struct search *se, const struct item *it)
{
    uint32_t n_x = se->net->nodes[0].n;
    int p = se->prop->groups[it->group].p;

    for (uint32_t j = 0; j < n_x; j++)
        se->middle[j] = (float)ldexp(
            (double)it->box[j] + (double)it->box[n_x + j], -p - 1);
    se->suspect(se, it->group, it->to->left[0], se->middle);
}

/* Takes it. */
static ax_status settle(struct search *se, struct open *o, struct item *it,
                        struct ax_err *err)
{
    ax_status status = AX_OK;
    struct ax_prove_stats *st = &se->stats;
    uint32_t dim;
    bool again = ax_certifier_saved(se->resume, it->group, it->id, &it->child,
                                    &dim) == AX_SAVED_SPLIT;

    if (it->outcome == LATE) { /* not bounded: it stays open */
        frame_drop(it->to);
        it->to = NULL;
        se->stop = SEARCH_TIME;
        return push(o, it, err);
    }
    st->boxes += !again;
    st->depth = it->depth > st->depth ? it->depth : st->depth;
    st->bound = it->bound < st->bound ? it->bound : st->bound;
    switch (it->outcome) {
    case CLOSED:
        st->leaves++;
        st->done += ldexp(1.0 / se->prop->n_groups, -(int)it->depth);
        status = emit(se, it, err);
        break;
    case SPLIT:
        if (!again) {
            it->child = se->next_id[it->group];
            se->next_id[it->group] += 2;
        }
        status = emit(se, it, err);
        if (status == AX_OK)
            status = push_halves(o, se, it, err);
        if (status == AX_OK && se->suspect)
            suspect_middle(se, it);
        break;
    case STUCK:
        se->stuck++;
        break;
    case OUT_OF_RANGE:
        se->out_of_range++;
        break;
    default:
        status = ax_fail(err, AX_ENOMEM, "no memory for a box");
    }
    item_free(it);
    return status;
}

static size_t used_bytes(const struct search *se, const struct open *o)
{
    size_t box = sizeof(struct item) + se->net->nodes[0].n * 16;

    /* A proof tree's box takes about 32 bytes in the certificate writer. */
    return o->n * (box + se->frame_bytes / 2) + se->stats.boxes * 32;
}

static void check_limits(struct search *se, const struct open *o)
{
    bool done = o->n == 0 && se->next_group == se->prop->n_groups;

    if (se->stop != SEARCH_ON || done)
        return;
    if (se->deadline > 0 && clock_now() > se->deadline)
        se->stop = SEARCH_TIME;
    else if (used_bytes(se, o) > se->bytes / 2)
        se->stop = SEARCH_MEMORY;
    else if (se->max_boxes &&
             se->stats.boxes - se->boxes_before >= se->max_boxes)
        se->stop = SEARCH_BOXES;
}

void search_report(struct search *se, size_t open)
{
    double t = clock_now();

    if (!se->progress || t < se->next_report)
        return;
    se->next_report = t + 0.1;
    se->stats.open = open;
    se->stats.seconds = t - se->began;
    se->progress(se->progress_self, &se->stats);
    se->stats.bound = INFINITY;
}

void search_end(struct search *se, size_t open)
{
    se->stats.open = open + se->stuck + se->out_of_range;
    se->stats.open += se->prop->n_groups - se->next_group;
    /* What was closed in parts may have been closed again as a whole. */
    se->stats.done = fmin(se->stats.done, 1);
    if (se->stop == SEARCH_ON && se->stats.open)
        se->stop = se->stuck ? SEARCH_STUCK : SEARCH_RANGE;
    if (se->resume && se->stop != SEARCH_ON)
        se->stats.open = ax_certifier_open(se->resume); /* met again or not */
}

ax_status search_run(struct search *se, struct ax_err *err)
{
    struct shop shop;
    struct open o = {0};
    struct item *batch[SEARCH_BATCH];
    ax_status st = shop_start(&shop, se, err);

    if (st != AX_OK)
        return st;
    se->middle = calloc(se->net->nodes[0].n + 1u, sizeof *se->middle);
    if (!se->middle)
        st = ax_fail(err, AX_ENOMEM, "no memory for a point");
    se->stop = SEARCH_ON;
    se->stats.bound = INFINITY;
    while (st == AX_OK && se->stop == SEARCH_ON) {
        size_t n = 0;

        while (st == AX_OK && o.n < SEARCH_BATCH &&
               se->next_group < se->prop->n_groups)
            st = push_root(&o, se, se->next_group++, err);
        if (st != AX_OK || o.n == 0)
            break;
        while (n < SEARCH_BATCH && o.n)
            batch[n++] = o.p[--o.n];
        shop.items = batch;
        crew_run(shop.crew, work, &shop, n, 4);
        /* The last taken lies deepest in the stack. */
        while (n-- > 0 && st == AX_OK)
            st = settle(se, &o, batch[n], err);
        for (; st != AX_OK && n != SIZE_MAX; n--)
            item_free(batch[n]);
        if (se->stop == SEARCH_ON && o.n && se->pause && se->pause(se))
            se->stop = SEARCH_FOUND;
        check_limits(se, &o);
        search_report(se, o.n);
    }
    if (st == AX_OK)
        search_end(se, o.n);
    for (size_t i = 0; i < o.n; i++)
        item_free(o.p[i]);
    free(o.p);
    free(se->middle);
    shop_end(&shop);
    return st;
}
