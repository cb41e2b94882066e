/* Node by node: the rows of its unstable neurons, each with slopes of its
 * own, from the bounds that those before have got. */
#include "inner.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define STEPS     20
#define SLOPE_ONE 128
#define PACK      (POINTS / 2) /* neurons whose two rows go together */
#define GAIN      1e-3f        /* of the width, to be worth a table */

struct inner {
    const struct inner_job *job;
    uint8_t *status; /* [neurons] so far */
    uint8_t **tables;
    uint32_t node;            /* a relu node */
    uint32_t n, *rows;        /* its unstable neurons */
    uint32_t n_loose, *loose; /* those before */
    float *low, *up;          /* [n] */
    int steps;
    atomic_bool late, no_memory;
};

/* ---- one pack ---- */

struct pack {
    const struct inner *in;
    uint32_t first, n; /* of in->rows; lanes 2 i and 2 i + 1 are one's */
};

static void add_rows(const void *self, struct dual *d)
{
    const struct pack *k = self;
    const struct bnode *node = &k->in->job->net->nodes[k->in->node];

    for (uint32_t i = 0; i < k->n; i++) {
        uint32_t j = k->in->rows[k->first + i];
        struct lanes *e = d->e[node->arg_node[j]];

        e[node->arg[j]].x[2 * i] += 1;
        e[node->arg[j]].x[2 * i + 1] -= 1;
    }
}

/* Where the climb begins: at what the bounds have without a table. */
static void begin(const struct inner *in, struct dual *d)
{
    for (size_t j = 0; j < in->job->net->first[in->node]; j++)
        memset(d->status[j], in->status[j], POINTS);
    for (uint32_t i = 0; i < in->n_loose; i++) {
        uint32_t j = in->loose[i];

        for (int p = 0; p < POINTS; p++) {
            d->alpha[j].x[p] = d->u[j] > -d->l[j] ? 1.0f : 0.0f;
            d->beta[j].x[p] = 0;
        }
    }
}

static void keep_table(struct inner *in, const struct ascent *a, int p,
                       size_t target)
{
    size_t n = in->job->net->first[in->node];
    uint8_t *table = malloc(n + 1);

    if (!table) {
        in->no_memory = true;
        return;
    }
    memset(table, 255, n);
    for (uint32_t i = 0; i < in->n_loose; i++)
        table[in->loose[i]] = (uint8_t)lrintf(SLOPE_ONE *
                                              ascent_alpha(a, i, p));
    in->tables[target] = table;
}

static void improve_pack(void *self, int worker, size_t part)
{
    struct inner *in = self;
    const struct bnode *node = &in->job->net->nodes[in->node];
    struct ascent *a = in->job->ascents[worker];
    struct dual *d = a->dual;
    struct pack k = {.in = in, .first = (uint32_t)part * PACK};
    struct climb c = {.n = in->n_loose,
                      .loose = in->loose,
                      .rows = add_rows,
                      .self = &k,
                      .steps = in->steps};
    float best[POINTS];

    k.n = in->n - k.first < PACK ? in->n - k.first : PACK;
    for (uint32_t i = 0; i < k.n; i++) {
        uint32_t at = node->arg_node[in->rows[k.first + i]];

        c.node = at > c.node ? at : c.node;
    }
    begin(in, d);
    /* Lanes that are not used have a bound of 0; they are never above. */
    for (int p = 2 * (int)k.n; p < POINTS; p++)
        c.d[p] = -1;
    if (in->late || !ascend(a, &c, best)) {
        in->late = true;
        return;
    }
    for (uint32_t i = 0; i < k.n; i++) {
        size_t j = in->job->net->first[in->node] + in->rows[k.first + i];
        float gain = GAIN * (d->u[j] - d->l[j]);

        in->low[k.first + i] = best[2 * i];
        in->up[k.first + i] = -best[2 * i + 1];
        if (best[2 * i] > d->l[j] + gain)
            keep_table(in, a, (int)(2 * i), 2 * j);
        if (-best[2 * i + 1] < d->u[j] - gain)
            keep_table(in, a, (int)(2 * i + 1), 2 * j + 1);
    }
}

/* ---- node by node ---- */

/* The unstable neurons of node k, and those before it. */
static void find(struct inner *in, uint32_t k)
{
    const struct bnet *net = in->job->net;
    size_t first = net->first[k];

    in->node = k;
    in->n = in->n_loose = 0;
    for (size_t j = 0; j < first; j++)
        if (in->status[j] == UNSTABLE)
            in->loose[in->n_loose++] = (uint32_t)j;
    for (uint32_t i = 0; i < net->nodes[k].n; i++)
        if (in->status[first + i] == UNSTABLE)
            in->rows[in->n++] = i;
}

/* The new bounds where they are better; what they make stable is so from here
 * on. */
static void settle(struct inner *in)
{
    size_t first = in->job->net->first[in->node];

    for (uint32_t i = 0; i < in->n; i++) {
        size_t j = first + in->rows[i];

        for (int t = 0; t < in->job->n_ascents; t++) {
            struct dual *d = in->job->ascents[t]->dual;

            d->l[j] = fmaxf(d->l[j], in->low[i]);
            d->u[j] = fminf(d->u[j], in->up[i]);
        }
        if (in->low[i] >= 0)
            in->status[j] = ACTIVE;
        else if (in->up[i] <= 0)
            in->status[j] = INACTIVE;
    }
}

/* Multiply-adds of a row that goes down from node k and up again. */
static double row_work(const struct lane_net *net, uint32_t k)
{
    double sum = 0;

    for (uint32_t s = 1; s < k; s++)
        for (uint32_t i = 0; i < net->nodes[s].n_layers; i++) {
            const struct lane_layer *l = &net->nodes[s].layers[i];

            sum += l->form == AX_BLOCK_DENSE    ? (double)l->rows * l->cols
                   : l->form == AX_BLOCK_SPARSE ? (double)l->ptr[l->rows]
                                                : (double)l->rows;
        }
    return 2 * sum;
}

/* How many steps fit into the work and the memory that the job allows. */
static int choose_steps(struct inner *in)
{
    const struct bnet *net = in->job->net;
    double work = 0, bytes = 0;
    int steps;

    for (uint32_t k = 1; k < net->n_nodes; k++) {
        if (net->nodes[k].kind != AX_NET_RELU)
            continue;
        find(in, k);
        if (!in->n_loose)
            continue;
        work += 2.0 * in->n * row_work(in->job->lane, k);
        bytes += 2.0 * in->n * (double)net->first[k];
    }
    steps = work > 0 ? (int)fmin(in->job->work / work, STEPS) : 0;
    return bytes > (double)in->job->bytes || steps < 2 ? 0 : steps;
}

static ax_status improve(struct inner *in, struct ax_err *err)
{
    const struct bnet *net = in->job->net;

    in->steps = choose_steps(in);
    for (uint32_t k = 1; in->steps && k < net->n_nodes; k++) {
        if (net->nodes[k].kind != AX_NET_RELU)
            continue;
        find(in, k);
        if (!in->n_loose || !in->n)
            continue;
        crew_run(in->job->crew, improve_pack, in, (in->n + PACK - 1) / PACK,
                 2);
        if (in->no_memory)
            return ax_fail(err, AX_ENOMEM, "no memory for slopes");
        if (in->late)
            return AX_NO;
        settle(in);
    }
    return AX_OK;
}

ax_status inner_improve(const struct inner_job *job, uint8_t **tables,
                        struct ax_err *err)
{
    size_t n = job->net->neurons;
    struct inner in = {.job = job, .tables = tables};
    ax_status st;

    in.status = malloc(n + 1);
    in.rows = calloc(2 * n + 1, sizeof *in.rows);
    in.low = calloc(2 * n + 1, sizeof *in.low);
    if (!in.status || !in.rows || !in.low) {
        st = ax_fail(err, AX_ENOMEM, "no memory for slopes");
    } else {
        memcpy(in.status, job->status, n);
        in.loose = in.rows + n;
        in.up = in.low + n;
        st = improve(&in, err);
    }
    free(in.status);
    free(in.rows);
    free(in.low);
    return st;
}
