/* What the machine can do at best: loops that do nothing but multiply and
 * add in registers, and nothing but read memory. The rates of problems are
 * given as shares of these, so both are measured in the same run. */
#include <pthread.h>
#include <string.h>

#include "bench.h"

#define READ_BYTES ((size_t)128 << 20) /* far more than the caches have */
#define ROUNDS     20000

/* Every loop returns the operations of one call, and a number that depends
 * on all of them, so that none is left out. */
struct loop {
    double work;
    double sink;
};

/* Independent sums, enough to keep every unit busy, and written out, so that
 * each is a register whatever the compiler unrolls. This file is compiled
 * with contraction: a multiplication and an addition are one instruction
 * where the processor has it. */
#define CHAINS 12
#define EACH_CHAIN(X) \
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define START(i) vec s##i = scale * (float)i;
#define STEP(i)  s##i = s##i * scale + add;
#define JOIN(i)  add += s##i;

#define MULTIPLY_LOOP(name, bytes)                                     \
    static struct loop name(void)                                      \
    {                                                                  \
        typedef float vec __attribute__((vector_size(bytes)));         \
        const vec scale = (vec){0} + 0.999f;                           \
        vec add = (vec){0} + 1e-3f;                                    \
        struct loop r = {.work = 2.0 * (bytes / 4) * CHAINS * ROUNDS}; \
                                                                       \
        EACH_CHAIN(START)                                              \
        for (int k = 0; k < ROUNDS; k++) {                             \
            EACH_CHAIN(STEP)                                           \
        }                                                              \
        EACH_CHAIN(JOIN)                                               \
        for (int i = 0; i < bytes / 4; i++)                            \
            r.sink += (double)add[i];                                  \
        return r;                                                      \
    }

MULTIPLY_LOOP(multiply_plain, 16)
#ifdef __x86_64__
__attribute__((target("avx2,fma"))) MULTIPLY_LOOP(multiply_avx2, 32)
    __attribute__((target("avx512f"))) MULTIPLY_LOOP(multiply_avx512, 64)
#endif

        static struct loop multiply(void)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f"))
        return multiply_avx512();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return multiply_avx2();
#endif
    return multiply_plain();
}

static struct loop read_memory(const void *from, size_t bytes)
{
    typedef uint64_t vec __attribute__((vector_size(32)));
    const vec *v = from;
    size_t n = bytes / sizeof *v / 8 * 8;
    vec s[8] = {{0}};

    for (size_t i = 0; i < n; i += 8)
        for (int k = 0; k < 8; k++)
            s[k] += v[i + (size_t)k];
    for (int k = 1; k < 8; k++)
        s[0] += s[k];
    return (struct loop){(double)(n * sizeof *v),
                         (double)(s[0][0] ^ s[0][1] ^ s[0][2] ^ s[0][3])};
}

/* What the threads share, and each one's part. They wait at the gate until
 * all of them are there, or until it is known that not all will be. */
struct gate {
    pthread_mutex_t shut;
    bool given_up;
};

struct part {
    pthread_t id;
    struct gate *gate;
    enum peak what;
    const char *from;
    size_t bytes;
    double begun, ended, work; /* of all calls together */
    double best;               /* rate of the best call */
    double sink;
};

static void *work(void *self)
{
    struct part *p = self;

    pthread_mutex_lock(&p->gate->shut);
    pthread_mutex_unlock(&p->gate->shut);
    if (p->gate->given_up)
        return NULL;
    p->begun = p->ended = now();
    do {
        double start = p->ended, rate;
        struct loop l = p->what == PEAK_READ ? read_memory(p->from, p->bytes)
                                             : multiply();

        p->ended = now();
        p->work += l.work;
        p->sink += l.sink;
        rate = l.work / (p->ended - start);
        p->best = rate > p->best ? rate : p->best;
    } while (p->ended - p->begun < 0.02);
    return NULL;
}

static ax_status touch(struct peaks *p, struct ax_err *err)
{
    if (p->buffer)
        return AX_OK;
    p->buffer = aligned_alloc(4096, READ_BYTES);
    if (!p->buffer)
        return ax_fail(err, AX_ENOMEM, "no memory for %zu bytes to read",
                       READ_BYTES);
    p->bytes = READ_BYTES;
    memset(p->buffer, 1, p->bytes);
    return AX_OK;
}

/* Threads share the memory, so that only what they read together counts.
 * Each has its own arithmetic, and its best call is one that nobody
 * interrupted. */
static double together(enum peak what, const struct part *part, int n)
{
    double begun = part[0].begun, ended = part[0].ended, sum = 0, best = 0;

    for (int i = 0; i < n; i++) {
        begun = part[i].begun < begun ? part[i].begun : begun;
        ended = part[i].ended > ended ? part[i].ended : ended;
        sum += part[i].work;
        best += part[i].best;
    }
    return what == PEAK_READ && n > 1 ? sum / (ended - begun) : best;
}

ax_status peak_measure(struct peaks *p, enum peak what, int threads,
                       struct ax_err *err)
{
    struct part part[PEAK_THREADS] = {0};
    struct gate gate = {.shut = PTHREAD_MUTEX_INITIALIZER};
    size_t share;
    double rate;
    int n = 0;

    if (what == PEAK_NONE)
        return AX_OK;
    if (what == PEAK_READ)
        AX_TRY(touch(p, err));
    share = p->bytes / (size_t)threads / 4096 * 4096;
    pthread_mutex_lock(&gate.shut);
    for (; n < threads; n++) {
        part[n] = (struct part){.gate = &gate, .what = what, .bytes = share};
        if (p->buffer)
            part[n].from = (char *)p->buffer + (size_t)n * share;
        if (pthread_create(&part[n].id, NULL, work, &part[n]))
            break;
    }
    gate.given_up = n < threads;
    pthread_mutex_unlock(&gate.shut);
    for (int i = 0; i < n; i++)
        pthread_join(part[i].id, NULL);
    if (gate.given_up)
        return ax_fail(err, AX_ENOMEM, "no memory for %d threads", threads);
    rate = together(what, part, threads);
    if (rate > p->best[what][threads])
        p->best[what][threads] = rate;
    return AX_OK;
}

void peaks_free(struct peaks *p)
{
    free(p->buffer);
    *p = (struct peaks){0};
}
