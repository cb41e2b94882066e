/* tree.c - walks the trees of a certificate: ax-cert(5), CERTIFICATE. One
 * thread walks a trunk and puts the boxes of jobs on a list; when that is
 * long, and at the end, threads take the jobs from it. The failure that is
 * reported is the first in the order of the certificate, always. */
#include "island.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { DEPTH_MAX = 4096, JOBS_MAX = 256 };

struct step { /* of the way from the root */
    uint32_t input;
    bool high; /* the child with lo = v */
    int64_t v;
};

struct level { /* a box; its arrays and left are one piece of memory */
    struct box box;
    uint32_t *left, n_left, room; /* conjunctions not refuted above */
};

struct job {
    struct level root;
    struct bytes tree;
    struct step *steps; /* [2 DEPTH_MAX] of the trunk, then its own */
    uint32_t n_steps;
    struct walker *refused_by;
};

struct jobs {
    struct bytes rest; /* those of this group that were not met yet */
    uint64_t n_rest;
    struct job job[JOBS_MAX];
    uint32_t n;
    uint64_t n_done;
    atomic_uint next;
    atomic_bool stop; /* one is refused */
};

struct walker {
    struct run run;
    struct claim *c;
    const struct group *group;
    struct bytes tree;
    struct jobs *jobs;
    bool is_trunk;
    struct work *work;
    struct level level[DEPTH_MAX + 1], clipped[2];
    struct step *steps;
    uint32_t n_steps, depth; /* steps of the trunk, and below */
    uint64_t leaves;
};

/* Give l room for n_left conjunctions; what was in it is lost. */
static void shape(struct run *r, const struct net *net, struct level *l)
{
    uint64_t n_x = net->layers[0].n, n = net->n_vars, words = (n + 7) / 8;
    if (l->box.lo && l->room >= l->n_left)
        return;
    give(r, l->box.lo);
    l->room = l->n_left;
    l->box.lo = get(r, 2 * n_x + n + words + (l->room + 1ull) / 2, 8);
    l->box.hi = l->box.lo + n_x;
    l->box.m = l->box.hi + n_x;
    l->box.status = (uint8_t *)(l->box.m + n);
    l->left = (uint32_t *)(l->box.m + n + words);
}

static void copy(struct run *r, const struct net *net, struct level *to,
                 const struct level *from)
{
    uint64_t n_x = net->layers[0].n, n = net->n_vars;
    to->box.scale = from->box.scale;
    to->n_left = from->n_left;
    shape(r, net, to);
    memcpy(to->box.lo, from->box.lo, 16 * n_x + 9 * n);
    memcpy(to->left, from->left, 4ull * from->n_left);
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
        const struct row *row = &w->c->pr->rows[w->group->conj[c].rows[i]];
        struct bound f = row_bound(&w->run, w->work, &l->box, row);
        some = row_clip(&w->run, &f, row, n_x, &b->box);
    }
    return some;
}

/* Conjunction c is refuted in the box as the certificate says. */
static void refute(struct walker *w, const struct level *l, uint32_t c)
{
    const struct conj *conj = &w->group->conj[c];
    uint64_t i = conj->n_rows == 1 ? 0 : varint(&w->run, &w->tree);
    if (i < conj->n_rows) {
        const struct row *row = &w->c->pr->rows[conj->rows[i]];
        if (row_bound(&w->run, w->work, &l->box, row).c > row->d64)
            return;
    } else if (i == conj->n_rows && !clip(w, l, c, &w->clipped[0])) {
        return;
    }
    refuse(&w->run, REJECTED, "conjunction %u is not refuted", c);
}

/* Take out of the list what is refuted at a split. */
static void refute_some(struct walker *w, struct level *l)
{
    uint64_t n = w->group->n_conj > 1 ? varint(&w->run, &w->tree) : 0;
    uint64_t at = 0, to = 0;
    for (uint64_t left = l->n_left; n > 0; n--) {
        uint64_t pos = varint(&w->run, &w->tree);
        if (pos < at || pos >= l->n_left || --left == 0)
            refuse(&w->run, REJECTED, "a list of conjunctions is malformed");
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
    struct box *one = &w->clipped[0].box, *all = &w->clipped[1].box;
    uint32_t n_x = w->c->pr->n_x;
    bool any = false;
    for (uint32_t i = 0; i < l->n_left; i++) {
        if (!clip(w, l, l->left[i], &w->clipped[0]))
            continue;
        for (uint32_t j = 0; j < n_x; j++) {
            if (!any || one->lo[j] < all->lo[j])
                all->lo[j] = one->lo[j];
            if (!any || one->hi[j] > all->hi[j])
                all->hi[j] = one->hi[j];
        }
        any = true;
    }
    if (any)
        memcpy(l->box.lo, all->lo, 2 * n_x * sizeof(int64_t));
}

/* The child of the box above that its step names. */
static void enter(struct walker *w)
{
    const struct step *s = &w->steps[w->n_steps + w->depth - 1];
    struct level *l = &w->level[w->depth];
    copy(&w->run, w->c->net, l, l - 1);
    *(s->high ? &l->box.lo[s->input] : &l->box.hi[s->input]) = s->v;
}

static void split(struct walker *w, struct level *l, uint64_t t)
{
    uint64_t z = t % 4 == 2 ? varint(&w->run, &w->tree) : 0, input = t / 4;
    struct step *s = &w->steps[w->n_steps + w->depth];
    int64_t lo, hi;
    if (input >= w->c->pr->n_x || w->depth == DEPTH_MAX)
        refuse(&w->run, REJECTED, "no such input, or too deep");
    refute_some(w, l);
    clip_box(w, l);
    lo = l->box.lo[input];
    hi = l->box.hi[input];
    *s = (struct step){.input = (uint32_t)input, .v = (lo + hi) >> 1};
    s->v += z & 1 ? -(int64_t)(z / 2) - 1 : (int64_t)(z / 2); /* |.| < 2^63 */
    if (z >> 62 || s->v < lo || s->v > hi)
        refuse(&w->run, REJECTED, "a split outside of the box");
    w->depth++;
    enter(w);
}

static bool do_jobs(struct walker *trunk);

/* Put the box where the trunk is on the list of jobs. */
static void new_job(struct walker *w, const struct level *l)
{
    struct jobs *jobs = w->jobs;
    struct job *job;
    if (!w->is_trunk || jobs->n_rest-- == 0 ||
        (jobs->n == JOBS_MAX && !do_jobs(w)))
        refuse(&w->run, REJECTED, "there is no job for a box");
    job = &jobs->job[jobs->n];
    job->tree = take(&w->run, &jobs->rest, varint(&w->run, &jobs->rest));
    copy(&w->run, w->c->net, &job->root, l);
    if (!job->steps)
        job->steps = get(&w->run, 2 * DEPTH_MAX, sizeof *job->steps);
    memcpy(job->steps, w->steps, w->depth * sizeof *w->steps);
    job->n_steps = w->depth;
    jobs->n++;
}

static void walk(struct walker *w, const struct level *root)
{
    w->depth = 0;
    copy(&w->run, w->c->net, &w->level[0], root);
    copy(&w->run, w->c->net, &w->clipped[0], root);
    copy(&w->run, w->c->net, &w->clipped[1], root);
    for (;;) {
        struct level *l = &w->level[w->depth];
        uint64_t t = varint(&w->run, &w->tree);
        if (t == 3) {
            new_job(w, l);
        } else {
            box_bounds(&w->run, w->work, &l->box);
            if (t % 4 == 1 || t % 4 == 2) {
                split(w, l, t);
                continue;
            }
            if (t != 0)
                refuse(&w->run, REJECTED, "a node of unknown kind");
            for (uint32_t i = 0; i < l->n_left; i++)
                refute(w, l, l->left[i]);
            w->leaves++;
        }
        while (w->depth > 0 && w->steps[w->n_steps + w->depth - 1].high)
            w->depth--;
        if (w->depth == 0)
            break;
        w->steps[w->n_steps + w->depth - 1].high = true;
        enter(w);
    }
    if (w->tree.n > 0)
        refuse(&w->run, REJECTED, "something follows the end of a tree");
}

/* Take jobs from the list. A job that is taken is done, so all before the
 * first that is refused are done, too. */
static void *work(void *arg)
{
    struct walker *w = arg;
    struct jobs *jobs = w->jobs;
    while (!atomic_load(&jobs->stop)) {
        uint32_t i = atomic_fetch_add(&jobs->next, 1);
        if (i >= jobs->n)
            return NULL;
        w->tree = jobs->job[i].tree;
        w->steps = jobs->job[i].steps;
        w->n_steps = jobs->job[i].n_steps;
        if (setjmp(w->run.out) != 0) {
            jobs->job[i].refused_by = w;
            atomic_store(&jobs->stop, true);
            return NULL;
        }
        walk(w, &jobs->job[i].root);
    }
    return NULL;
}

/* Do all jobs on the list. False if some are refused; then it stays. */
static bool do_jobs(struct walker *trunk)
{
    struct jobs *jobs = trunk->jobs;
    unsigned n = trunk->c->threads, started = 0;
    pthread_t thread[THREADS_MAX];
    for (unsigned i = 0; i < n; i++)
        trunk->c->walkers[i].group = trunk->group;
    atomic_store(&jobs->next, 0);
    while (started < n && !jobs->stop &&
           pthread_create(&thread[started], NULL, work,
                          &trunk->c->walkers[started]) == 0)
        started++;
    if (started == 0)
        work(&trunk->c->walkers[0]);
    jobs->n_done += jobs->n;
    while (started > 0)
        pthread_join(thread[--started], NULL);
    if (trunk->c->progress)
        fprintf(stderr, "\r%llu jobs done", (unsigned long long)jobs->n_done);
    jobs->n = jobs->stop ? jobs->n : 0;
    return !jobs->stop;
}

/* Refuse as the walker did, with the way to where it was. */
static _Noreturn void pass_on(struct run *r, struct claim *c,
                              const struct walker *w)
{
    uint32_t n = w->n_steps + w->depth;
    size_t room = 64 + (size_t)n * 64;
    char *text = get(r, room, 1), *at = text;
    at += snprintf(at, room,
                   "group %u:", (unsigned)(w->group - c->pr->groups));
    for (uint32_t i = 0; i < n; i++)
        at += snprintf(at, 64, " X_%u%s%lld/2^%d", w->steps[i].input,
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
    struct level root = {.n_left = g->n_conj, .box.scale = g->scale};
    uint64_t n_x = c->pr->n_x, n = c->net->n_vars;
    /* At the root every neuron is unstable, and M is infinite until it is
     * computed. */
    shape(r, c->net, &root);
    memcpy(root.box.lo, g->lo, n_x * sizeof(int64_t));
    memcpy(root.box.hi, g->hi, n_x * sizeof(int64_t));
    for (uint64_t i = 0; i < n; i++)
        root.box.m[i] = INT64_MAX;
    for (uint32_t i = 0; i < g->n_conj; i++)
        root.left[i] = i;
    for (uint32_t i = 0; i < g->n_conj; i++)
        if (g->conj[i].n_rows == 0)
            refuse(r, REJECTED, "conjunction %u has no rows", i);
    trunk->tree = take(r, body, varint(r, body));
    jobs->n_rest = varint(r, body);
    jobs->rest = *body;
    if (setjmp(trunk->run.out) == 0)
        walk(trunk, &root);
    give(r, root.box.lo);
    if (!do_jobs(
            trunk)) /* what is on the list comes before the trunk's end */
        for (uint32_t i = 0; i < jobs->n; i++)
            if (jobs->job[i].refused_by)
                pass_on(r, c, jobs->job[i].refused_by);
    if (trunk->run.code != 0)
        pass_on(r, c, trunk);
    *body = jobs->rest;
    if (jobs->n_rest > 0)
        refuse(r, REJECTED, "a job is not used");
}

void certificate_check(struct run *r, struct claim *c)
{
    struct bytes body = claim_body(r, c, "AXCT\1\1\0");
    struct jobs *jobs = get(r, 1, sizeof *jobs);
    uint64_t n = varint(r, &body);
    if (n != c->pr->n_groups)
        refuse(r, REJECTED, "the number of groups is wrong");
    c->walkers = get(r, c->threads + 1, sizeof *c->walkers);
    for (unsigned i = 0; i <= c->threads; i++) {
        struct walker *w = &c->walkers[i];
        w->c = c;
        w->jobs = jobs;
        w->is_trunk = i == c->threads; /* the last */
        w->work = work_new(r, c->net);
    }
    c->walkers[c->threads].steps = get(r, DEPTH_MAX, sizeof(struct step));
    for (uint64_t g = 0; g < n; g++) {
        c->walkers[c->threads].group = &c->pr->groups[g];
        check_group(r, c, &c->walkers[c->threads], &body);
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
