/* tree.c - walks the trees of a certificate: ax-cert(5), CERTIFICATE. A
 * trunk is walked by one thread, which puts the boxes of jobs on a list;
 * when that is long, and at the end, threads take the jobs from it. The
 * failure that is reported is the first in the order of the certificate,
 * whatever the threads do. */
#include "island.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 4096, JOBS_MAX = 256 };

struct step { /* of the way from the root */
    uint32_t input;
    bool high; /* the child with lo = v */
    int64_t v;
};

struct level { /* a box on the way to where the walk is */
    struct box box;
    uint32_t *left, n_left, room; /* conjunctions not refuted above */
};

struct walker {
    struct run run;
    struct claim *c;
    const struct group *group;
    struct bytes tree;
    struct jobs *jobs;
    bool is_trunk;
    struct work *work;
    struct level **levels; /* [DEPTH_MAX + 1], made when first needed */
    struct step *steps;    /* [2 DEPTH_MAX] the trunk's, then the job's */
    uint32_t n_trunk_steps, depth, job;
    uint64_t leaves;
};

struct jobs {
    struct bytes rest; /* those of this group that were not met yet */
    uint64_t n_rest;
    struct job {
        struct level root;
        struct bytes tree;
        struct step *steps; /* [2 DEPTH_MAX] */
        uint32_t n_steps;
        struct walker *by; /* who refused it */
    } job[JOBS_MAX];
    uint32_t n, next, failed; /* failed: the first, or UINT32_MAX */
    const struct group *group;
    struct walker *walkers; /* [threads + 1], the last is the trunk's */
};

static void copy_level(struct run *r, const struct claim *c, struct level *to,
                       const struct level *from)
{
    uint64_t n_x = c->net->layers[0].n, n = c->net->n_vars;

    if (!to->box.lo) {
        to->box.lo = get(r, n_x, sizeof *to->box.lo);
        to->box.hi = get(r, n_x, sizeof *to->box.hi);
        to->box.status = get(r, n, sizeof *to->box.status);
        to->box.m = get(r, n, sizeof *to->box.m);
    }
    if (to->room < from->n_left) {
        give(r, to->left);
        to->room = from->n_left;
        to->left = get(r, to->room, sizeof *to->left);
    }
    to->box.scale = from->box.scale;
    to->n_left = from->n_left;
    memcpy(to->box.lo, from->box.lo, n_x * sizeof *to->box.lo);
    memcpy(to->box.hi, from->box.hi, n_x * sizeof *to->box.hi);
    memcpy(to->box.status, from->box.status, n * sizeof *to->box.status);
    memcpy(to->box.m, from->box.m, n * sizeof *to->box.m);
    memcpy(to->left, from->left, from->n_left * sizeof *to->left);
}

static struct level *level(struct walker *w, uint32_t depth,
                           const struct level *from)
{
    if (!w->levels[depth])
        w->levels[depth] = get(&w->run, 1, sizeof(struct level));
    copy_level(&w->run, w->c, w->levels[depth], from);
    return w->levels[depth];
}

static const struct row *row_of(const struct walker *w, uint32_t c,
                                uint32_t i)
{
    return &w->c->pr->rows[w->group->conj[c].rows[i]];
}

/* Make b what clipping by conjunction c leaves of the box; false if that is
 * nothing. */
static bool clip(struct walker *w, const struct box *whole, uint32_t c,
                 struct box *b)
{
    uint32_t n = w->group->conj[c].n_rows, n_x = w->c->net->layers[0].n, m;
    const struct row *rows[ROWS_MAX];
    i128 bound[ROWS_MAX];

    memcpy(b->lo, whole->lo, n_x * sizeof *b->lo);
    memcpy(b->hi, whole->hi, n_x * sizeof *b->hi);
    for (uint32_t i = 0; i < n; i += m) {
        for (m = 0; m < ROWS_MAX && i + m < n; m++) {
            rows[m] = row_of(w, c, i + m);
            if ((rows[m]->var[0] < n_x) != (rows[0]->var[0] < n_x))
                break;
        }
        row_bounds(&w->run, w->work, whole, rows, m, bound);
        for (uint32_t j = 0; j < m; j++)
            if (!row_clip(&w->run, w->work, j, rows[j], whole, b))
                return false;
    }
    return true;
}

/* Conjunction c is refuted in the box as the certificate says. */
static void refute(struct walker *w, const struct level *l, uint32_t c)
{
    uint32_t n = w->group->conj[c].n_rows, n_x = w->c->net->layers[0].n;
    uint64_t row = n == 1 ? 0 : varint(&w->run, &w->tree);
    i128 bound;

    if (row < n) {
        const struct row *named = row_of(w, c, (uint32_t)row);

        row_bounds(&w->run, w->work, &l->box, &named, 1, &bound);
        if (bound > named->d64)
            return;
    } else if (row == n) {
        struct box b = {.lo = get(&w->run, n_x, sizeof *b.lo),
                        .hi = get(&w->run, n_x, sizeof *b.hi)};
        bool left = clip(w, &l->box, c, &b);

        give(&w->run, b.lo);
        give(&w->run, b.hi);
        if (!left)
            return;
    }
    refuse(&w->run, REJECTED, "conjunction %u is not refuted", c);
}

/* Take out of the list what is refuted at a split. */
static void refute_some(struct walker *w, struct level *l)
{
    uint64_t n = w->group->n_conj > 1 ? varint(&w->run, &w->tree) : 0;
    uint64_t at = 0, to = 0;

    if (n > 0 && n >= l->n_left)
        refuse(&w->run, REJECTED, "no conjunction would be left");
    for (; n > 0; n--) {
        uint64_t pos = varint(&w->run, &w->tree);

        if (pos < at || pos >= l->n_left)
            refuse(&w->run, REJECTED, "a position is out of order or range");
        while (at < pos)
            l->left[to++] = l->left[at++];
        refute(w, l, l->left[at++]);
    }
    while (at < l->n_left)
        l->left[to++] = l->left[at++];
    l->n_left = (uint32_t)to;
}

/* The box becomes the smallest that holds what clipping by each conjunction
 * leaves, if anything is left at all. */
static void clip_box(struct walker *w, struct level *l)
{
    uint32_t n_x = w->c->net->layers[0].n;
    struct box b[2]; /* one result, and all */
    bool any = false;

    for (int i = 0; i < 2; i++) {
        b[i].lo = get(&w->run, n_x, sizeof(int64_t));
        b[i].hi = get(&w->run, n_x, sizeof(int64_t));
    }
    for (uint32_t i = 0; i < l->n_left; i++) {
        if (!clip(w, &l->box, l->left[i], &b[0]))
            continue;
        for (uint32_t j = 0; j < n_x; j++) {
            if (!any || b[0].lo[j] < b[1].lo[j])
                b[1].lo[j] = b[0].lo[j];
            if (!any || b[0].hi[j] > b[1].hi[j])
                b[1].hi[j] = b[0].hi[j];
        }
        any = true;
    }
    if (any) {
        memcpy(l->box.lo, b[1].lo, n_x * sizeof(int64_t));
        memcpy(l->box.hi, b[1].hi, n_x * sizeof(int64_t));
    }
    for (int i = 0; i < 2; i++) {
        give(&w->run, b[i].lo);
        give(&w->run, b[i].hi);
    }
}

/* The child of the box above that its step names. */
static void enter(struct walker *w)
{
    const struct step *s = &w->steps[w->n_trunk_steps + w->depth - 1];
    struct level *l = level(w, w->depth, w->levels[w->depth - 1]);

    *(s->high ? &l->box.lo[s->input] : &l->box.hi[s->input]) = s->v;
}

static void split(struct walker *w, struct level *l, uint64_t t)
{
    uint64_t z = t % 4 == 2 ? varint(&w->run, &w->tree) : 0, input = t / 4;
    struct step *s = &w->steps[w->n_trunk_steps + w->depth];
    int64_t lo, hi;

    if (input >= w->c->net->layers[0].n)
        refuse(&w->run, REJECTED, "a split of an input that is not there");
    if (w->depth == DEPTH_MAX)
        refuse(&w->run, REJECTED, "a tree is too deep");
    refute_some(w, l);
    clip_box(w, l);
    lo = l->box.lo[input];
    hi = l->box.hi[input];
    /* z is below 2^63, lo and hi at most 2^44 in magnitude. */
    *s = (struct step){.input = (uint32_t)input, .v = (lo + hi) >> 1};
    s->v += z & 1 ? -(int64_t)(z / 2) - 1 : (int64_t)(z / 2);
    if (s->v < lo || s->v > hi)
        refuse(&w->run, REJECTED, "a split outside of the box");
    w->depth++;
    enter(w);
}

static bool do_jobs(struct jobs *jobs);

/* Put the box where the trunk is on the list of jobs. */
static void new_job(struct walker *w, const struct level *l)
{
    struct jobs *jobs = w->jobs;
    struct job *job;

    if (!w->is_trunk || jobs->n_rest == 0)
        refuse(&w->run, REJECTED, "a node for which there is no job");
    if (jobs->n == JOBS_MAX && !do_jobs(jobs))
        refuse(&w->run, REJECTED, "a job is rejected");
    job = &jobs->job[jobs->n];
    jobs->n_rest--;
    job->tree = take(&w->run, &jobs->rest, varint(&w->run, &jobs->rest));
    copy_level(&w->run, w->c, &job->root, l);
    if (!job->steps)
        job->steps = get(&w->run, 2 * DEPTH_MAX, sizeof *job->steps);
    job->n_steps = w->depth;
    memcpy(job->steps, w->steps, w->depth * sizeof *w->steps);
    jobs->n++;
}

static void walk(struct walker *w, const struct level *root)
{
    w->depth = 0;
    level(w, 0, root);
    for (;;) {
        struct level *l = w->levels[w->depth];
        uint64_t t = varint(&w->run, &w->tree);

        if (t % 4 % 3 == 0 && t / 4 != 0)
            refuse(&w->run, REJECTED, "a node of unknown kind");
        if (t == 3) {
            new_job(w, l);
        } else {
            box_bounds(&w->run, w->work, &l->box);
            if (t != 0) {
                split(w, l, t);
                continue;
            }
            for (uint32_t i = 0; i < l->n_left; i++)
                refute(w, l, l->left[i]);
            w->leaves++;
        }
        while (w->depth > 0 && w->steps[w->n_trunk_steps + w->depth - 1].high)
            w->depth--;
        if (w->depth == 0)
            break;
        w->steps[w->n_trunk_steps + w->depth - 1].high = true;
        enter(w);
    }
    if (w->tree.n > 0)
        refuse(&w->run, REJECTED, "something follows the end of a tree");
}

static void *work(void *arg)
{
    struct walker *w = arg;
    struct jobs *jobs = w->jobs;

    for (;;) {
        w->job = __atomic_fetch_add(&jobs->next, 1, __ATOMIC_RELAXED);
        if (w->job >= jobs->n ||
            w->job > __atomic_load_n(&jobs->failed, __ATOMIC_RELAXED))
            return NULL;
        w->tree = jobs->job[w->job].tree;
        w->steps = jobs->job[w->job].steps;
        w->n_trunk_steps = jobs->job[w->job].n_steps;
        if (setjmp(w->run.out) == 0) {
            walk(w, &jobs->job[w->job].root);
            continue;
        }
        jobs->job[w->job].by = w;
        for (uint32_t f = jobs->failed; w->job < f;) /* the least of them */
            if (__atomic_compare_exchange_n(&jobs->failed, &f, w->job, false,
                                            __ATOMIC_RELAXED,
                                            __ATOMIC_RELAXED))
                break;
        return NULL;
    }
}

/* Do all jobs on the list; false if one is rejected. */
static bool do_jobs(struct jobs *jobs)
{
    const struct claim *c = jobs->walkers->c;
    pthread_t thread[THREADS_MAX];
    bool started[THREADS_MAX] = {false};

    for (unsigned i = 0; i < c->threads; i++) {
        jobs->walkers[i].group = jobs->group;
        started[i] = pthread_create(&thread[i], NULL, work,
                                    &jobs->walkers[i]) == 0;
    }
    if (!started[0])
        work(&jobs->walkers[0]);
    for (unsigned i = 0; i < c->threads; i++)
        if (started[i])
            pthread_join(thread[i], NULL);
    jobs->next = 0;
    if (jobs->failed == UINT32_MAX)
        jobs->n = 0;
    return jobs->failed == UINT32_MAX;
}

/* Refuse as the walker did, with the way to where it was. */
static _Noreturn void pass_on(struct run *r, struct claim *c,
                              const struct walker *w)
{
    uint32_t n = w->n_trunk_steps + w->depth;
    char *text = get(r, 64 + (uint64_t)n * 64, 1);
    int at = sprintf(text, "group %u:", (unsigned)(w->group - c->pr->groups));

    for (uint32_t i = 0; i < n; i++)
        at += sprintf(text + at, " X_%u%s%lld/2^%d", w->steps[i].input,
                      w->steps[i].high ? ">=" : "<=",
                      (long long)w->steps[i].v, w->group->scale);
    c->where = text;
    refuse(r, w->run.code, "%s", w->run.msg);
}

static void check_group(struct run *r, struct claim *c, struct walker *trunk,
                        struct bytes *body)
{
    const struct group *g = trunk->group;
    struct jobs *jobs = trunk->jobs;
    struct level root = {
        .box = {.scale = g->scale, .lo = g->lo, .hi = g->hi}};
    uint64_t n = c->net->n_vars;

    root.n_left = g->n_conj;
    root.left = get(r, g->n_conj, sizeof *root.left);
    for (uint32_t i = 0; i < g->n_conj; i++) {
        root.left[i] = i;
        if (g->conj[i].n_rows == 0)
            refuse(r, REJECTED, "conjunction %u has no rows", i);
    }
    root.box.status = get(r, n, sizeof *root.box.status);
    root.box.m = get(r, n, sizeof *root.box.m);
    for (uint64_t i = 0; i < n; i++)
        root.box.m[i] = INT64_MAX; /* infinite; computed before it is used */
    trunk->tree = take(r, body, varint(r, body));
    jobs->n_rest = varint(r, body);
    jobs->rest = *body;
    jobs->group = g;
    if (setjmp(trunk->run.out) == 0)
        walk(trunk, &root);
    /* What is on the list comes before where the trunk is now. */
    if (jobs->failed != UINT32_MAX || !do_jobs(jobs))
        pass_on(r, c, jobs->job[jobs->failed].by);
    if (trunk->run.code != 0)
        pass_on(r, c, trunk);
    *body = jobs->rest;
    if (jobs->n_rest > 0)
        refuse(r, REJECTED, "jobs are not used");
    give(r, root.left);
    give(r, root.box.status);
    give(r, root.box.m);
}

void certificate_check(struct run *r, struct claim *c)
{
    struct bytes body = claim_body(r, c, "AXCT\1\1\0");
    struct jobs *jobs = get(r, 1, sizeof *jobs);
    uint64_t n = varint(r, &body);

    if (n != c->pr->n_groups)
        refuse(r, REJECTED, "the number of groups is wrong");
    jobs->failed = UINT32_MAX;
    jobs->walkers = get(r, c->threads + 1, sizeof *jobs->walkers);
    for (unsigned i = 0; i <= c->threads; i++) {
        struct walker *w = &jobs->walkers[i]; /* the last is the trunk's */

        w->c = c;
        w->jobs = jobs;
        w->is_trunk = i == c->threads;
        w->work = work_new(r, c->net);
        w->levels = get(r, DEPTH_MAX + 1, sizeof(struct level *));
        w->steps = get(r, w->is_trunk ? DEPTH_MAX : 0, sizeof *w->steps);
    }
    c->walkers = jobs->walkers; /* their memory outlives a refusal */
    for (uint64_t g = 0; g < n; g++) {
        jobs->walkers[c->threads].group = &c->pr->groups[g];
        check_group(r, c, &jobs->walkers[c->threads], &body);
    }
    if (body.n > 0)
        refuse(r, REJECTED, "something follows the last group");
}

void certificate_done(struct claim *c)
{
    for (unsigned i = 0; c->walkers && i <= c->threads; i++) {
        c->leaves += c->walkers[i].leaves;
        give_all(&c->walkers[i].run);
    }
    c->walkers = NULL;
}
