/* Threads that take the parts of a short loop. A step of training has dozens
 * of them, each too short to wake a thread for: helpers look for the next
 * one for some time before they go to sleep. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "train/train.h"

#define LOOKS 4000 /* before a sleep: some ten microseconds */

struct train_pool {
    pthread_t *threads;
    int n; /* helpers that run */
    train_work *work;
    void *arg;
    size_t n_parts;
    atomic_size_t next;
    atomic_uint round;  /* counts loops; changes under the lock */
    atomic_int working; /* helpers that are not done with this one */
    atomic_bool quit;
    pthread_mutex_t lock;
    pthread_cond_t go;
};

static void pause_briefly(void)
{
#if defined(__x86_64__) && defined(__GNUC__)
    __builtin_ia32_pause();
#endif
}

static void take_parts(struct train_pool *p)
{
    for (;;) {
        size_t i = atomic_fetch_add_explicit(&p->next, 1,
                                             memory_order_relaxed);

        if (i >= p->n_parts)
            return;
        p->work(p->arg, i);
    }
}

/* Wait for a round other than SEEN. */
static unsigned next_round(struct train_pool *p, unsigned seen)
{
    unsigned round;

    for (int i = 0; i < LOOKS; i++) {
        round = atomic_load(&p->round);
        if (round != seen)
            return round;
        pause_briefly();
    }
    pthread_mutex_lock(&p->lock);
    while ((round = atomic_load(&p->round)) == seen)
        pthread_cond_wait(&p->go, &p->lock);
    pthread_mutex_unlock(&p->lock);
    return round;
}

static void *helper(void *arg)
{
    struct train_pool *p = arg;
    unsigned seen = 0;

    for (;;) {
        seen = next_round(p, seen);
        if (atomic_load(&p->quit))
            return NULL;
        take_parts(p);
        atomic_fetch_sub(&p->working, 1);
    }
}

static void start_round(struct train_pool *p)
{
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->round, 1);
    pthread_cond_broadcast(&p->go);
    pthread_mutex_unlock(&p->lock);
}

ax_status train_pool_new(struct train_pool **out, int n, struct ax_err *err)
{
    struct train_pool *p = calloc(1, sizeof *p);

    *out = NULL;
    if (p)
        p->threads = calloc((size_t)n, sizeof *p->threads);
    if (!p || !p->threads) {
        free(p);
        return ax_fail(err, AX_ENOMEM, "no memory for %d threads", n);
    }
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->go, NULL);
    for (; p->n < n - 1; p->n++)
        if (pthread_create(&p->threads[p->n], NULL, helper, p) != 0) {
            train_pool_free(p);
            return ax_fail(err, AX_ENOMEM, "cannot start %d threads", n);
        }
    *out = p;
    return AX_OK;
}

void train_pool_free(struct train_pool *p)
{
    if (!p)
        return;
    atomic_store(&p->quit, true);
    start_round(p);
    for (int i = 0; i < p->n; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->go);
    pthread_mutex_destroy(&p->lock);
    free(p->threads);
    free(p);
}

void train_parallel(struct train_pool *p, size_t n, train_work *work,
                    void *arg)
{
    if (!p || p->n == 0 || n < 2) {
        for (size_t i = 0; i < n; i++)
            work(arg, i);
        return;
    }
    p->work = work;
    p->arg = arg;
    p->n_parts = n;
    atomic_store(&p->next, 0);
    atomic_store(&p->working, p->n);
    start_round(p);
    take_parts(p);
    /* A helper may sleep through a short loop; it then finds no part. */
    for (int i = 0; atomic_load(&p->working) > 0; i++)
        if (i < LOOKS)
            pause_briefly();
        else
            sched_yield();
}
