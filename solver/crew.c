/* Threads that take the parts of a list, each the next that is left. */
#include "crew.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

struct member {
    struct crew *crew;
    pthread_t thread;
    int number;
};

struct crew {
    struct member *members; /* [n]; 0 is the caller */
    int n;
    crew_work *work; /* in this round */
    void *self;
    pthread_mutex_t lock;
    pthread_cond_t go, done;
    uint64_t round;
    int working;
    bool quit;
    size_t n_parts;
    atomic_size_t next;
};

static void take_parts(struct crew *c, int worker)
{
    for (;;) {
        size_t i = atomic_fetch_add(&c->next, 1);

        if (i >= c->n_parts)
            return;
        c->work(c->self, worker, i);
    }
}

static void *helper(void *arg)
{
    struct member *m = arg;
    struct crew *c = m->crew;
    uint64_t seen = 0;

    pthread_mutex_lock(&c->lock);
    for (;;) {
        while (c->round == seen && !c->quit)
            pthread_cond_wait(&c->go, &c->lock);
        if (c->quit)
            break;
        seen = c->round;
        pthread_mutex_unlock(&c->lock);
        take_parts(c, m->number);
        pthread_mutex_lock(&c->lock);
        if (--c->working == 0)
            pthread_cond_signal(&c->done);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

ax_status crew_new(struct crew **out, int n, struct ax_err *err)
{
    struct crew *c = calloc(1, sizeof *c);

    n = n > 1 ? n : 1;
    if (c)
        c->members = calloc((size_t)n, sizeof *c->members);
    if (!c || !c->members) {
        free(c);
        return ax_fail(err, AX_ENOMEM, "no memory for %d threads", n);
    }
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->go, NULL);
    pthread_cond_init(&c->done, NULL);
    for (c->n = 1; c->n < n; c->n++) {
        c->members[c->n] = (struct member){.crew = c, .number = c->n};
        if (pthread_create(&c->members[c->n].thread, NULL, helper,
                           &c->members[c->n]) != 0)
            break; /* with fewer the answer is the same */
    }
    *out = c;
    return AX_OK;
}

void crew_free(struct crew *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    c->quit = true;
    pthread_cond_broadcast(&c->go);
    pthread_mutex_unlock(&c->lock);
    for (int i = 1; i < c->n; i++)
        pthread_join(c->members[i].thread, NULL);
    pthread_cond_destroy(&c->go);
    pthread_cond_destroy(&c->done);
    pthread_mutex_destroy(&c->lock);
    free(c->members);
    free(c);
}

void crew_run(struct crew *c, crew_work *work, void *self, size_t n,
              size_t alone)
{
    bool shared = c->n > 1 && n >= alone;

    c->work = work;
    c->self = self;
    c->n_parts = n;
    atomic_store(&c->next, 0);
    if (shared) {
        pthread_mutex_lock(&c->lock);
        c->round++;
        c->working = c->n - 1;
        pthread_cond_broadcast(&c->go);
        pthread_mutex_unlock(&c->lock);
    }
    take_parts(c, 0);
    if (shared) {
        pthread_mutex_lock(&c->lock);
        while (c->working)
            pthread_cond_wait(&c->done, &c->lock);
        pthread_mutex_unlock(&c->lock);
    }
}
