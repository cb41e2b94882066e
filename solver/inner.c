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
    uint32_t node;            /* a relu or hold node */
    uint32_t n, *rows;        /* its unstable neurons */
    uint32_t n_loose, *loose; /* those before */
    uint32_t *spare;          /* room for as many */
    float *low, *up;          /* [n] */
    int steps;
    atomic_bool late, no_memory;
};

/* ---- one pack ---- */

struct pack {
    const struct inner *in;
    uint32_t first, n; /* of in->rows; lanes 2 i and 2 i + 1 are one's */
    uint32_t node;     /* the last one that they are rows over */
    uint32_t n_loose, *loose; /* those of in->loose that they depend on */
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

/* What the pack depends on is live. */
static void select_live(struct pack *k, struct dual *d)
{
    const struct inner *in = k->in;
    const struct bnet *net = in->job->net;
    const struct bnode *node = &net->nodes[in->node];
    uint32_t s = 0;

    for (uint32_t i = 0; i < k->n; i++) {
        uint32_t at = node->arg_node[in->rows[k->first + i]];

        k->node = at > k->node ? at : k->node;
    }
    live_none(d->live, d->lane, net->n_nodes - 1);
    for (uint32_t i = 0; i < k->n; i++) {
        uint32_t j = in->rows[k->first + i];

        d->live[node->arg_node[j]].mark[node->arg[j]] = 1;
    }
    live_below(d->live, d->lane, net->n_nodes - 1);
    for (uint32_t i = 0; i < in->n_loose; i++) {
        uint32_t j = in->loose[i];

        for (; j >= net->first[s] + net->nodes[s].n ||
               net->nodes[s].kind != AX_NET_RELU;
             s++)
            continue;
        if (d->live[s].mark[j - net->first[s]])
            k->loose[k->n_loose++] = j;
    }
}

/* Where the climb begins: at what the bounds have without a table. */
static void begin(const struct pack *k, struct dual *d)
{
    const struct inner *in = k->in;

    for (size_t j = 0; j < in->job->net->first[in->node]; j++)
        memset(d->status[j], in->status[j], POINTS);
    for (uint32_t i = 0; i < k->n_loose; i++) {
        uint32_t j = k->loose[i];

        for (int p = 0; p < POINTS; p++) {
            d->alpha[j].x[p] = d->u[j] > -d->l[j] ? 1.0f : 0.0f;
            d->beta[j].x[p] = 0;
        }
    }
}

static void keep_table(struct inner *in, const struct pack *k,
                       const struct ascent *a, int p, size_t target)
{
    size_t n = in->job->net->first[in->node];
    uint8_t *table = malloc(n + 1);

    if (!table) {
        in->no_memory = true;
        return;
    }
    memset(table, 255, n);
    for (uint32_t i = 0; i < k->n_loose; i++)
        table[k->loose[i]] = (uint8_t)lrintf(SLOPE_ONE *
                                             ascent_alpha(a, i, p));
    in->tables[target] = table;
}

static bool climb(struct inner *in, struct pack *k, struct ascent *a,
                  float *best)
{
    struct climb c = {.rows = add_rows, .self = k, .steps = in->steps};

    select_live(k, a->dual);
    begin(k, a->dual);
    c.node = k->node;
    c.n = k->n_loose;
    c.loose = k->loose;
    c.thorough = in->job->net->nodes[in->node].kind == AX_NET_HOLD;
    /* Lanes that are not used have a bound of 0, which is enough. */
    for (int p = 2 * (int)k->n; p < POINTS; p++)
        c.d[p] = -1;
    return ascend(a, &c, best);
}

static void improve_pack(void *self, int worker, size_t part)
{
    struct inner *in = self;
    struct ascent *a = in->job->ascents[worker];
    struct dual *d = a->dual;
    struct pack k = {.in = in, .first = (uint32_t)part * PACK};
    float best[POINTS];

    k.n = in->n - k.first < PACK ? in->n - k.first : PACK;
    k.loose = malloc((in->n_loose + 1u) * sizeof *k.loose);
    if (!k.loose) {
        in->no_memory = true;
        return;
    }
    if (in->late || !climb(in, &k, a, best)) {
        in->late = true;
        free(k.loose);
        return;
    }
    for (uint32_t i = 0; i < k.n; i++) {
        size_t j = in->job->net->first[in->node] + in->rows[k.first + i];
        float gain = GAIN * (d->u[j] - d->l[j]);

        in->low[k.first + i] = best[2 * i];
        in->up[k.first + i] = -best[2 * i + 1];
        if (best[2 * i] > d->l[j] + gain)
            keep_table(in, &k, a, (int)(2 * i), 2 * j);
        if (-best[2 * i + 1] < d->u[j] - gain)
            keep_table(in, &k, a, (int)(2 * i + 1), 2 * j + 1);
    }
    free(k.loose);
}

/* ---- node by node ---- */

/* Are there bounds in node k that slopes make better? */
static bool has_rows(const struct bnet *net, uint32_t k)
{
    return net->nodes[k].kind == AX_NET_RELU ||
           net->nodes[k].kind == AX_NET_HOLD;
}

/* The unstable neurons of node k, and those before it. */
static void find(struct inner *in, uint32_t k)
{
    const struct bnet *net = in->job->net;
    size_t first = net->first[k];

    in->node = k;
    in->n = in->n_loose = 0;
    for (uint32_t s = 1; s < k; s++)
        for (size_t i = 0, j = net->first[s];
             net->nodes[s].kind == AX_NET_RELU && i < net->nodes[s].n;
             i++, j++)
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
    bool hold = in->job->net->nodes[in->node].kind == AX_NET_HOLD;

    for (uint32_t i = 0; i < in->n; i++) {
        size_t j = first + in->rows[i];

        for (int t = 0; t < in->job->n_ascents; t++) {
            struct dual *d = in->job->ascents[t]->dual;

            d->l[j] = fmaxf(d->l[j], in->low[i]);
            d->u[j] = fminf(d->u[j], in->up[i]);
        }
        if (hold)
            continue;
        if (in->low[i] >= 0)
            in->status[j] = ACTIVE;
        else if (in->up[i] <= 0)
            in->status[j] = INACTIVE;
    }
    for (int t = 0; hold && t < in->job->n_ascents; t++)
        dual_bend(in->job->ascents[t]->dual, in->node);
}

/* Multiply-adds for what is live. */
static double live_work(const struct lane_net *net, const struct live *live)
{
    double sum = 0;

    for (uint32_t s = 1; s < net->n_nodes; s++)
        for (uint32_t i = 0; i < net->nodes[s].n_layers; i++) {
            const struct lane_layer *l = &net->nodes[s].layers[i];
            double row = l->form == AX_BLOCK_DENSE ? l->cols
                         : l->form == AX_BLOCK_SPARSE
                             ? (double)l->ptr[l->rows] / l->rows
                             : 1;

            sum += row * live[s].n;
        }
    return sum * POINTS;
}

/* How many steps, each down and up again, fit into the work and the memory
 * that the job allows; a node's packs are taken to be like its middle one. */
static int choose_steps(struct inner *in)
{
    const struct bnet *net = in->job->net;
    struct dual *d = in->job->ascents[0]->dual;
    double work = 0, bytes = 0;
    int steps;

    for (uint32_t k = 1; k < net->n_nodes; k++) {
        struct pack pack = {.in = in, .loose = in->spare};
        uint32_t n_packs;

        if (!has_rows(net, k))
            continue;
        find(in, k);
        if (!in->n_loose || !in->n)
            continue;
        n_packs = (in->n + PACK - 1) / PACK;
        pack.first = n_packs / 2 * PACK;
        pack.n = in->n - pack.first < PACK ? in->n - pack.first : PACK;
        select_live(&pack, d);
        work += 2.0 * n_packs * live_work(in->job->lane, d->live);
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
        if (!has_rows(net, k))
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
    in.rows = calloc(3 * n + 1, sizeof *in.rows);
    in.low = calloc(2 * n + 1, sizeof *in.low);
    if (!in.status || !in.rows || !in.low) {
        st = ax_fail(err, AX_ENOMEM, "no memory for slopes");
    } else {
        memcpy(in.status, job->status, n);
        in.loose = in.rows + n;
        in.spare = in.loose + n;
        in.up = in.low + n;
        st = improve(&in, err);
    }
    for (int i = 0; i < job->n_ascents; i++)
        live_all(job->ascents[i]->dual->live, job->lane);
    free(in.status);
    free(in.rows);
    free(in.low);
    return st;
}
