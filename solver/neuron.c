/* Branch and bound over the signs of neurons.
 *
 * All bounds of neurons are those of the root box. A subproblem is a list of
 * signs; its bound is one linear function (sub.c). Each conjunction has a
 * tree of its own below the root. */
#include "neuron.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "crew.h"
#include "inner.h"
#include "sub.h"

#define ROUND 128  /* subproblems in a round, at most */
#define INNER 4e11 /* multiply-adds for better bounds at a root */

/* ---- the open subproblems ---- */

static ax_status push(struct bnb *b, struct sub *s, struct ax_err *err)
{
    if (s && b->n_open == b->cap) {
        size_t cap = b->cap ? 2 * b->cap : 256;
        struct sub **p = realloc(b->open, cap * sizeof *p);

        if (!p) {
            sub_free(s);
            s = NULL;
        } else {
            b->open = p;
            b->cap = cap;
        }
    }
    if (!s)
        return ax_fail(err, AX_ENOMEM, "no memory for open subproblems");
    b->open[b->n_open++] = s;
    return AX_OK;
}

/* What an earlier search made of a subproblem. */
static enum ax_saved before(const struct bnb *b, uint64_t id, uint64_t *child,
                            uint32_t *neuron)
{
    return ax_certifier_saved(b->se->resume, b->root.group, id, child,
                              neuron);
}

static ax_status push_halves(struct bnb *b, const struct sub *s,
                             struct ax_err *err)
{
    for (int on = 0; on < 2; on++) {
        uint64_t id = s->child + (on ? 0 : 1);
        struct sub *h;

        if (before(b, id, NULL, NULL) == AX_SAVED_CLOSED)
            continue;
        h = sub_new(b, s->n_signs + 1);
        if (h) {
            h->id = id;
            h->conj = s->conj;
            h->row = s->row;
            memcpy(h->alpha, s->alpha, b->root.n_loose * sizeof *h->alpha);
            memcpy(h->beta, s->beta, s->n_signs * sizeof *h->beta);
            memcpy(h->signs, s->signs, s->n_signs * sizeof *h->signs);
            h->beta[s->n_signs] = s->start[on];
            h->signs[s->n_signs] = 2 * s->neuron + (uint32_t)on;
        }
        AX_TRY(push(b, h, err));
    }
    return AX_OK;
}

/* ---- what came of a round ---- */

/* All slopes of the root's neurons, then more: an array that the caller
 * frees. */
static ax_status root_slopes(const struct bnb *b,
                             const struct ax_slopes *more, uint32_t n_more,
                             struct ax_slopes **out, uint32_t *n_out,
                             struct ax_err *err)
{
    const struct bnet *net = b->se->net;
    size_t most = 2 * net->neurons + n_more;
    uint32_t n = 0;

    *out = calloc(most + 1, sizeof **out);
    if (!*out)
        return ax_fail(err, AX_ENOMEM, "no memory for slopes");
    for (uint32_t k = 1; k < net->n_nodes; k++)
        for (size_t t = 2 * net->first[k], i = 0;
             ax_net_neurons(net->nodes[k].kind) && i < 2 * net->nodes[k].n;
             i++)
            if (b->root.inner[t + i])
                (*out)[n++] = (struct ax_slopes){
                    .target = (uint32_t)(t + i),
                    .n = (uint32_t)net->first[k],
                    .slope = b->root.inner[t + i],
                    .all = b->root.inner[t + i]};
    if (n_more)
        memcpy(*out + n, more, n_more * sizeof *more);
    *n_out = n + n_more;
    return AX_OK;
}

static ax_status emit(struct bnb *b, struct ax_step *s, struct ax_err *err)
{
    struct ax_slopes *all = NULL;
    ax_status st = AX_OK;

    s->group = b->root.group;
    s->p = b->root.box.p;
    s->lo = b->root.box.lo;
    s->hi = b->root.box.hi;
    if (s->id == 0 && b->root.improved) {
        AX_TRY(
            root_slopes(b, s->slopes, s->n_slopes, &all, &s->n_slopes, err));
        s->slopes = all;
    }
    for (const struct ax_sink *k = b->se->sinks; k && k->step && st == AX_OK;
         k++)
        st = k->step(k->self, s, err);
    free(all);
    return st;
}

/* The slopes of a conjunction's tree are those where its root ended. */
static ax_status keep_table(struct bnb *b, struct sub *s, struct ax_err *err)
{
    struct root *root = &b->root;
    uint8_t *table = malloc(b->se->net->neurons + 1);

    s->table = malloc(b->se->net->neurons + 1);
    if (!table || !s->table) {
        free(table);
        return ax_fail(err, AX_ENOMEM, "no memory for slopes");
    }
    s->n_table = 0; /* closing it may have been tried */
    memset(table, 255, b->se->net->neurons);
    for (uint32_t i = 0; i < root->n_loose; i++)
        table[root->loose[i]] = (uint8_t)lrintf(TABLE_ONE * s->alpha[i]);
    for (size_t j = 0; j < b->se->net->neurons; j++)
        if (root->state.status[j] == UNSTABLE)
            s->table[s->n_table++] = table[j];
    free(root->slopes[sub_number(b, s)]);
    root->slopes[sub_number(b, s)] = table;
    return AX_OK;
}

static ax_status emit_sub(struct bnb *b, struct sub *s, struct ax_err *err)
{
    const uint32_t refuted[2] = {0, s->row};
    const struct ax_slopes slopes = {
        .target = 2 * (uint32_t)b->se->net->neurons + sub_number(b, s),
        .n = s->n_table,
        .slope = s->table,
        .all = b->root.slopes[sub_number(b, s)]};
    bool closed = s->outcome == SUB_CLOSED;
    struct ax_step e = {
        .kind = closed ? AX_STEP_LEAF : AX_STEP_NEURON,
        .id = s->id,
        .child = s->child,
        .depth = s->n_signs,
        .dim = s->neuron,
        .bound = s->bound,
        .n_left = 1,
        .left = &s->conj,
        .n_refuted = closed,
        .refuted = refuted,
        .n_slopes = s->table != NULL,
        .slopes = &slopes,
        .n_mults = closed ? s->n_signs : 0,
        .mults = s->codes,
    };

    return emit(b, &e, err);
}

/* Where an earlier search has split s, it is split now: how a bound climbed
 * may differ with the subproblems beside it. */
static ax_status split_as_before(struct bnb *b, struct sub *s,
                                 uint32_t neuron, struct ax_err *err)
{
    const struct root *r = &b->root;
    bool fits = neuron < b->se->net->neurons &&
                r->place[neuron] < r->n_loose &&
                r->loose[r->place[neuron]] == neuron;

    for (uint32_t i = 0; i < s->n_signs; i++)
        fits &= s->signs[i] / 2 != neuron;
    if (!fits)
        return ax_fail(err, AX_EFORMAT,
                       "the search to go on with was another one: neuron %u "
                       "cannot be split",
                       neuron);
    if (s->outcome != SUB_SPLIT || s->neuron != neuron)
        s->start[0] = s->start[1] = 0;
    s->outcome = SUB_SPLIT;
    s->neuron = neuron;
    return AX_OK;
}

static ax_status settle(struct bnb *b, struct sub *s, struct ax_err *err)
{
    uint32_t neuron = 0;
    bool again;

    struct search *se = b->se;
    struct ax_prove_stats *st = &se->stats;

    if (s->outcome == SUB_LATE) {
        se->stop = SEARCH_TIME;
        return push(b, s, err);
    }
    if (s->outcome == SUB_NO_MEMORY)
        return ax_fail(err, AX_ENOMEM, "no memory for a subproblem");
    again = before(b, s->id, &s->child, &neuron) == AX_SAVED_SPLIT;
    st->boxes += !again;
    st->depth = s->n_signs > st->depth ? s->n_signs : st->depth;
    st->bound = s->bound < st->bound ? s->bound : st->bound;
    if (s->outcome == SUB_CLOSED) {
        st->leaves++;
        st->done += ldexp(1.0 / se->prop->n_groups /
                              se->prop->groups[b->root.group].n_conj,
                          -(int)s->n_signs);
        return emit_sub(b, s, err);
    }
    if (se->suspect && s->x)
        se->suspect(se, b->root.group, s->conj, s->x);
    if (again)
        AX_TRY(split_as_before(b, s, neuron, err));
    if (s->outcome == SUB_STUCK) {
        se->stuck++;
        return AX_OK;
    }
    if (s->n_signs == 0)
        AX_TRY(keep_table(b, s, err));
    if (!again) {
        s->child = b->next_id;
        b->next_id += 2;
    }
    AX_TRY(emit_sub(b, s, err));
    return push_halves(b, s, err);
}

/* Take subproblems from the stack, work on them, put back what comes. */
static ax_status run_round(struct bnb *b, struct ax_err *err)
{
    struct sub *batch[ROUND];
    size_t n = 0;
    ax_status st = AX_OK;

    while (n < ROUND && b->n_open)
        batch[n++] = b->open[--b->n_open];
    b->batch = batch;
    b->n_batch = n;
    /* Lanes that repeat are lost, threads that wait are, too. */
    b->pack = (n + 3) / 4 < 8 ? 8 : (n + 3) / 4;
    crew_run(b->crew, sub_work, b, (n + b->pack - 1) / b->pack, 2);
    while (n-- > 0 && st == AX_OK) {
        struct sub *s = batch[n];

        st = settle(b, s, err);
        if (s->outcome != SUB_LATE)
            sub_free(s);
    }
    for (; st != AX_OK && n != SIZE_MAX; n--)
        sub_free(batch[n]);
    return st;
}

/* ---- the root ---- */

static ax_status emit_refuted(struct bnb *b, uint64_t id, uint32_t depth,
                              const uint32_t *left, const uint32_t *refuted,
                              uint32_t n, struct ax_err *err)
{
    struct ax_step s = {.kind = AX_STEP_LEAF,
                        .id = id,
                        .depth = depth,
                        .n_left = n,
                        .left = left,
                        .n_refuted = n,
                        .refuted = refuted};

    b->se->stats.leaves++;
    return emit(b, &s, err);
}

/* Give each conjunction that is not refuted a tree of its own; runs of those
 * that are become leaves. v [n]. */
static ax_status fork_root(struct bnb *b, const struct verdict *v, uint32_t n,
                           const uint32_t *left, uint32_t *refuted,
                           const float *alpha, struct ax_err *err)
{
    uint64_t id = 0, first;

    b->next_id = 1;
    for (uint32_t k = 0, m; k < n; k += m) {
        uint64_t part = id;

        for (m = 1; v[k].refuted && k + m < n && v[k + m].refuted; m++)
            continue;
        if (k + m < n) {
            struct ax_step s = {.kind = AX_STEP_FORK,
                                .id = id,
                                .child = b->next_id,
                                .depth = 0,
                                .dim = m,
                                .n_left = n - k,
                                .left = left + k};

            AX_TRY(emit(b, &s, err));
            part = s.child;
            id = s.child + 1;
            b->next_id += 2;
        }
        for (uint32_t i = 0; i < m; i++) {
            refuted[2 * i] = i;
            refuted[2 * i + 1] = v[k + i].row;
        }
        if (v[k].refuted) {
            AX_TRY(emit_refuted(b, part, 0, left + k, refuted, m, err));
        } else if (before(b, part, NULL, NULL) != AX_SAVED_CLOSED) {
            struct sub *s = sub_new(b, 0);

            if (s) {
                s->id = part;
                s->conj = k;
                s->row = v[k].row;
                if (alpha)
                    memcpy(s->alpha, alpha + (size_t)k * b->root.n_loose,
                           b->root.n_loose * sizeof *s->alpha);
                for (uint32_t i = 0; !alpha && i < b->root.n_loose; i++)
                    s->alpha[i] = 0.5f;
            }
            AX_TRY(push(b, s, err));
        }
    }
    first = ax_certifier_boxes(b->se->resume, b->root.group);
    b->next_id = first > b->next_id ? first : b->next_id;
    return AX_OK;
}

static void try_part(void *self, int worker, size_t part)
{
    struct bnb *b = self;
    struct sub *lane[POINTS], **subs;
    size_t n = sub_pack(b, part, &subs);
    float best[POINTS];

    if (!sub_climb(b, &b->workers[worker], subs, n, lane, best)) {
        for (size_t i = 0; i < n; i++)
            subs[i]->outcome = SUB_LATE;
        return;
    }
    for (int p = 0; p < (int)n; p++) {
        sub_take(b, &b->workers[worker], subs[p], p);
        subs[p]->bound = (double)best[p];
    }
}

/* Do the root's bounds do for all its conjunctions that are not refuted? If
 * so *alpha [n, n_loose] are the slopes that show it, unless it is NULL.
 * v [n]. */
static ax_status try_root(struct bnb *b, const struct verdict *v, uint32_t n,
                          bool *enough, float *alpha, struct ax_err *err)
{
    struct sub **subs = calloc(n + 1u, sizeof *subs);
    size_t m = 0;
    bool ok = subs != NULL;

    *enough = true;
    for (uint32_t k = 0; ok && k < n; k++) {
        if (v[k].refuted)
            continue;
        ok = (subs[m] = sub_new(b, 0)) != NULL;
        if (!ok)
            break;
        subs[m]->conj = k;
        subs[m]->row = v[k].row;
        for (uint32_t i = 0; i < b->root.n_loose; i++)
            subs[m]->alpha[i] = 0.5f;
        m++;
    }
    b->batch = subs;
    b->n_batch = m;
    b->pack = (m + 1) / 2 < POINTS ? (m + 1) / 2 : POINTS;
    if (ok && m)
        crew_run(b->crew, try_part, b, (m + b->pack - 1) / b->pack, 2);
    for (size_t i = 0; i < m; i++) {
        if (subs[i]->outcome == SUB_LATE)
            b->se->stop = SEARCH_TIME;
        *enough &= subs[i]->bound > 0;
        if (alpha)
            memcpy(alpha + (size_t)subs[i]->conj * b->root.n_loose,
                   subs[i]->alpha, b->root.n_loose * sizeof *alpha);
        sub_free(subs[i]);
    }
    free(subs);
    return ok ? AX_OK : ax_fail(err, AX_ENOMEM, "no memory for a root");
}

/* Bound the root, its neurons with the slopes that it has. */
static bool bound_root(struct bnb *b, struct verdict *v)
{
    struct worker *w = &b->workers[0];

    b->se->stats.boxes++;
    if (!root_bound(&b->root, b->se, w->work, w->e, v)) {
        if (bwork_late(w->work))
            b->se->stop = SEARCH_TIME;
        else
            b->se->out_of_range++;
        return false;
    }
    for (int i = 0; i < b->n_workers; i++)
        dual_box(b->workers[i].dual, b->root.bounds,
                 &b->se->prop->groups[b->root.group]);
    return true;
}

/* Make the bounds of the root's neurons better. */
static ax_status improve_root(struct bnb *b, struct ax_err *err)
{
    struct root *r = &b->root;
    struct ascent **ascents = calloc((size_t)b->n_workers + 1,
                                     sizeof *ascents);
    struct inner_job job = {.net = b->se->net,
                            .lane = b->lane,
                            .status = r->state.status,
                            .crew = b->crew,
                            .ascents = ascents,
                            .n_ascents = b->n_workers,
                            .work = INNER,
                            .bytes = b->se->root_bytes / 8};
    ax_status st;

    if (!ascents)
        return ax_fail(err, AX_ENOMEM, "no memory for a root");
    for (int i = 0; i < b->n_workers; i++)
        ascents[i] = &b->workers[i].ascent;
    st = inner_improve(&job, r->inner, err);
    free(ascents);
    for (size_t t = 0; t < 2 * b->se->net->neurons; t++)
        r->improved |= r->inner[t] != NULL;
    if (st == AX_NO)
        b->se->stop = SEARCH_TIME;
    return st == AX_NO ? AX_OK : st;
}

/* Bound the root box of the group at hand, and open what it leaves open. */
static ax_status open_root(struct bnb *b, struct ax_err *err)
{
    struct search *se = b->se;
    uint32_t n = se->prop->groups[b->root.group].n_conj;
    struct verdict *v = calloc(n + 1u, sizeof *v);
    uint32_t *left = calloc(3 * (size_t)n + 1, sizeof *left);
    bool known, enough = true, all = true;
    float *alpha = NULL;
    ax_status st = AX_OK;

    if (!v || !left)
        st = ax_fail(err, AX_ENOMEM, "no memory for a root");
    for (uint32_t k = 0; st == AX_OK && k < n; k++)
        left[k] = k;
    known = st == AX_OK && bound_root(b, v);
    for (uint32_t k = 0; known && k < n; k++)
        all &= v[k].refuted;
    if (known && !all) {
        alpha = calloc((size_t)n * b->root.n_loose + 1, sizeof *alpha);
        st = try_root(b, v, n, &enough, alpha, err);
    }
    if (known && st == AX_OK && !enough && se->stop == SEARCH_ON) {
        st = improve_root(b, err);
        if (st == AX_OK && b->root.improved && se->stop == SEARCH_ON) {
            free(alpha); /* which are not of these neurons */
            alpha = NULL;
            known = bound_root(b, v);
        }
    }
    if (known && st == AX_OK && se->stop == SEARCH_ON)
        st = fork_root(b, v, n, left, left + n, alpha, err);
    free(alpha);
    free(left);
    free(v);
    return st;
}

/* ---- the search ---- */

static size_t used_bytes(const struct bnb *b)
{
    size_t sub = sizeof(struct sub) + b->root.n_loose * sizeof(float) +
                 b->se->stats.depth * 8u;

    return b->n_open * sub + b->se->stats.boxes * 64;
}

static void check_limits(struct bnb *b)
{
    struct search *se = b->se;

    bool done = b->n_open == 0 && b->root.group + 1 == se->prop->n_groups;

    if (se->stop != SEARCH_ON || done)
        return;
    if (se->deadline > 0 && clock_now() > se->deadline)
        se->stop = SEARCH_TIME;
    else if (used_bytes(b) > se->bytes / 2)
        se->stop = SEARCH_MEMORY;
    else if (se->max_boxes &&
             se->stats.boxes - se->boxes_before >= se->max_boxes)
        se->stop = SEARCH_BOXES;
}

static ax_status run_group(struct bnb *b, struct ax_err *err)
{
    struct search *se = b->se;
    ax_status st = open_root(b, err);

    while (st == AX_OK && b->n_open && se->stop == SEARCH_ON) {
        st = run_round(b, err);
        if (st == AX_OK && se->stop == SEARCH_ON && b->n_open && se->pause &&
            se->pause(se))
            se->stop = SEARCH_FOUND;
        check_limits(b);
        search_report(se, b->n_open);
    }
    se->stats.open += b->n_open;
    while (b->n_open)
        sub_free(b->open[--b->n_open]);
    return st;
}

ax_status neuron_run(struct search *se, const struct lane_net *lane,
                     struct ax_err *err)
{
    struct bnb b = {.se = se, .lane = lane, .n_workers = se->threads};
    ax_status st = AX_OK;

    b.workers = calloc((size_t)b.n_workers, sizeof *b.workers);
    if (!b.workers) {
        b.n_workers = 0;
        st = ax_fail(err, AX_ENOMEM, "no memory for threads");
    }
    for (int i = 0; i < b.n_workers && st == AX_OK; i++)
        st = worker_start(&b, &b.workers[i], err);
    if (st == AX_OK)
        st = crew_new(&b.crew, b.n_workers, err);
    se->stop = SEARCH_ON;
    se->stats.bound = INFINITY;
    for (uint32_t g = 0;
         g < se->prop->n_groups && st == AX_OK && se->stop == SEARCH_ON;
         g++) {
        se->next_group = g + 1;
        if (ax_certifier_saved(se->resume, g, 0, NULL, NULL) ==
            AX_SAVED_CLOSED)
            continue;
        st = root_start(&b.root, se, g, err);
        if (st == AX_OK)
            st = run_group(&b, err);
        root_end(&b.root, se->net);
    }
    search_end(se, se->stats.open);
    crew_free(b.crew);
    for (int i = 0; i < b.n_workers; i++)
        worker_end(&b.workers[i]);
    free(b.workers);
    free(b.open);
    return st;
}
