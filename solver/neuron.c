/* Branch and bound over the signs of neurons.
 *
 * All bounds of neurons are those of the root box. A subproblem is a list of
 * signs; its bound is one linear function, made best by gradient steps on
 * slopes and multipliers in float32, POINTS subproblems side by side
 * (dual.c). What looks refuted there is rounded to the codes of the
 * certificate and bounded in integers, and only that closes it. Each
 * conjunction has a tree of its own below the root. */
#include "neuron.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ascend.h"
#include "clock.h"
#include "crew.h"
#include "inner.h"
#include "root.h"

#define ROUND       128 /* subproblems in a round, at most */
#define FIRST_STEPS 60
#define STEPS       8
#define CANDIDATES \
    8 /* neurons whose halves are bounded before one is split */
#define TABLE_ONE 128
#define INNER     4e11 /* multiply-adds for better bounds at a root */

enum sub_outcome {
    SUB_CLOSED,
    SUB_SPLIT,
    SUB_STUCK,
    SUB_LATE,
    SUB_NO_MEMORY
};

/* A subproblem: a conjunction's row, and neurons whose sign is assumed. */
struct sub {
    uint64_t id, child;
    uint32_t conj, row; /* the row of the conjunction that is to refute it */
    uint32_t n_signs;
    uint32_t *signs; /* [n_signs] 2 neuron + active */
    float *alpha;    /* [n_loose] where its parent ended */
    float *beta;     /* [n_signs] */
    /* What came of it: */
    enum sub_outcome outcome;
    double bound;
    uint32_t neuron; /* SUB_SPLIT */
    float start[2];  /* multipliers of its halves to begin with: off, on */
    unsigned char *codes; /* [2 n_signs] SUB_CLOSED */
    unsigned char *table; /* its own slopes, or NULL: the inherited */
    uint32_t n_table;
    float *x; /* [n_x] the minimiser of its bound, if it is not closed */
};

struct worker {
    struct bwork *work;
    struct dual *dual;
    struct ascent ascent;
    struct bstate state;
    struct bmult *mults;
    int64_t *e;   /* [n_x] */
    uint8_t *own; /* [neurons] a table */
};

struct bnb {
    struct search *se;
    const struct lane_net *lane;
    struct root root;
    struct worker *workers;
    int n_workers;
    struct crew *crew;
    struct sub **batch;
    size_t n_batch, pack; /* subproblems in a pack */
    struct sub **open;
    size_t n_open, cap;
    uint64_t next_id;
};

static const struct ax_row *row_of(const struct bnb *b, const struct sub *s)
{
    const struct ax_group *g = &b->se->prop->groups[b->root.group];

    return g->conj[s->conj].rows[s->row];
}

static uint32_t number_of(const struct bnb *b, const struct sub *s)
{
    return b->root.first_row[s->conj] + s->row;
}

/* ---- one pack of subproblems ---- */

/* Lane p gets the statuses, slopes and multipliers of s. */
static void load(const struct bnb *b, struct dual *d, const struct sub *s,
                 int p)
{
    for (uint32_t i = 0; i < b->root.n_loose; i++) {
        uint32_t j = b->root.loose[i];

        d->status[j][p] = DUAL_LOOSE;
        d->alpha[j].x[p] = s->alpha[i];
        d->beta[j].x[p] = 0;
    }
    for (uint32_t i = 0; i < s->n_signs; i++) {
        uint32_t j = s->signs[i] / 2;

        d->status[j][p] = s->signs[i] & 1 ? DUAL_SPLIT_ON : DUAL_SPLIT_OFF;
        d->beta[j].x[p] = s->beta[i];
    }
}

/* Subproblems side by side; lanes may repeat. */
struct side {
    const struct bnb *b;
    struct sub *const *lane; /* [POINTS] */
};

static void add_rows(const void *self, struct dual *d)
{
    const struct side *side = self;
    struct lanes *y = d->e[d->net->n_nodes - 1], *x = d->e[0];

    for (int p = 0; p < POINTS; p++) {
        const struct ax_row *row = row_of(side->b, side->lane[p]);

        for (uint32_t i = 0; i < row->n_y; i++)
            y[row->y_index[i]].x[p] += (float)row->y_coef[i];
        for (uint32_t i = 0; i < row->n_x; i++)
            x[row->x_index[i]].x[p] += (float)row->x_coef[i];
    }
}

/* What makes the subproblems' bounds better. */
static struct climb climb_of(const struct side *side, int steps)
{
    const struct bnb *b = side->b;
    struct climb c = {.node = b->se->net->n_nodes - 1,
                      .n = b->root.n_loose,
                      .loose = b->root.loose,
                      .rows = add_rows,
                      .self = side,
                      .steps = steps};

    for (int p = 0; p < POINTS; p++)
        c.d[p] = (float)row_of(b, side->lane[p])->d;
    return c;
}

/* ---- closing ---- */

/* The code of the multiplier beta of a row whose integers have n bits. */
static uint16_t encode(float beta, int n)
{
    int e;
    float m = frexpf(beta, &e); /* beta = 4096 m 2^(e - 12) */
    int code = (int)lrintf(4096 * m), exp = e - 12 + 32 - n;

    if (code == 4096) {
        code = 2048;
        exp++;
    }
    if (!(beta > 0) || exp < 0)
        return 0;
    return exp > 31 ? UINT16_MAX : (uint16_t)(exp * 2048 + code - 2048);
}

static int width_of(const struct ax_row *row)
{
    uint32_t most = 0;

    for (uint32_t i = 0; i < row->n_x; i++)
        most |= (uint32_t)abs(row->x_coef[i]);
    for (uint32_t i = 0; i < row->n_y; i++)
        most |= (uint32_t)abs(row->y_coef[i]);
    return most ? 32 - __builtin_clz(most) : 0;
}

/* The state of the root with the neurons of s split. */
static void split_state(const struct bnb *b, struct bstate *st,
                        const struct sub *s)
{
    bstate_copy(st, &b->root.state, b->se->net);
    for (uint32_t i = 0; i < s->n_signs; i++)
        st->status[s->signs[i] / 2] = s->signs[i] & 1 ? ACTIVE : INACTIVE;
}

/* Does the row refute s in integers, with the codes in w->mults? */
static bool refutes(const struct bnb *b, struct worker *w,
                    const struct sub *s, const uint8_t *slopes)
{
    struct brow row = {.row = row_of(b, s),
                       .slopes = slopes,
                       .mults = w->mults,
                       .n_mults = s->n_signs,
                       .e = w->e};

    return bound_rows(w->work, &b->root.box, &row, 1) &&
           row.c > row.row->d64_up;
}

static bool copy_bytes(unsigned char **out, const unsigned char *p, size_t n)
{
    *out = malloc(n + 1);
    if (*out)
        memcpy(*out, p, n);
    return *out != NULL;
}

/* Close s with the slopes and multipliers of lane p, if the integers agree:
 * with the table that it inherits, or with one of its own. */
static bool close_sub(const struct bnb *b, struct worker *w, struct sub *s,
                      int p)
{
    const struct root *root = &b->root;
    int bits = width_of(row_of(b, s));
    uint32_t n = 0;
    bool closed;

    split_state(b, &w->state, s);
    bound_use(w->work, root->bounds, &w->state);
    s->codes = malloc(2 * (size_t)s->n_signs + 1);
    if (!s->codes) {
        s->outcome = SUB_NO_MEMORY;
        return false;
    }

    for (uint32_t i = 0; i < s->n_signs; i++) {
        uint32_t j = s->signs[i] / 2;

        w->mults[i] = (struct bmult){.neuron = j,
                                     .active = s->signs[i] & 1,
                                     .code = encode(s->beta[i], bits)};
        s->codes[2 * i] = (unsigned char)w->mults[i].code;
        s->codes[2 * i + 1] = (unsigned char)(w->mults[i].code >> 8);
    }
    if (refutes(b, w, s, root->slopes[number_of(b, s)]))
        return true;
    memset(w->own, 255, b->se->net->neurons);
    for (uint32_t i = 0; i < root->n_loose; i++)
        w->own[root->loose[i]] = (uint8_t)lrintf(
            TABLE_ONE * ascent_alpha(&w->ascent, i, p));
    closed = refutes(b, w, s, w->own);
    for (size_t j = 0; j < b->se->net->neurons; j++)
        if (w->state.status[j] == UNSTABLE)
            w->own[n++] = w->own[j];
    s->n_table = n;
    if (closed && !copy_bytes(&s->table, w->own, n))
        s->outcome = SUB_NO_MEMORY;
    return closed && s->table;
}

/* ---- branching ---- */

/* The subproblem keeps where lane p ended, for itself and its halves. */
static void take_best(const struct bnb *b, const struct worker *w,
                      struct sub *s, int p)
{
    size_t n = b->root.n_loose;

    for (uint32_t i = 0; i < n; i++)
        s->alpha[i] = ascent_alpha(&w->ascent, i, p);
    for (uint32_t i = 0; i < s->n_signs; i++)
        s->beta[i] = ascent_beta(&w->ascent, n,
                                 b->root.place[s->signs[i] / 2], p);
}

/* What a bound loses by relaxing neuron j in lane p. */
static float loss(const struct dual *d, uint32_t j, int p)
{
    float mu = d->mu[j].x[p], v = d->v[j].x[p], l = d->l[j], u = d->u[j];

    if (mu < 0)
        return mu * l * u / (u - l);
    return mu * ((v > 0 ? v : 0) - d->alpha[j].x[p] * v);
}

/* A neuron to split, and the multipliers with which the halves' bounds are
 * no worse than the whole's: off, on. */
struct candidate {
    float cost;
    uint32_t neuron;
    float start[2];
};

/* The neurons that cost lane p most, the most costly first; returns how
 * many. */
static int candidates(const struct bnb *b, const struct dual *d, int p,
                      struct candidate *out)
{
    int n = 0;

    for (uint32_t i = 0; i < b->root.n_loose; i++) {
        uint32_t j = b->root.loose[i];
        float c = d->status[j][p] == DUAL_LOOSE ? loss(d, j, p) : -1;
        float mu = fmaxf(d->mu[j].x[p], 0), alpha = d->alpha[j].x[p];
        int at = n;

        if (c < 0 || (n == CANDIDATES && c <= out[n - 1].cost))
            continue;
        n += n < CANDIDATES;
        at = at < CANDIDATES ? at : CANDIDATES - 1;
        for (; at > 0 && out[at - 1].cost < c; at--)
            out[at] = out[at - 1];
        out[at] = (struct candidate){c, j, {mu * alpha, mu * (1 - alpha)}};
    }
    return n;
}

/* Of the halves' margins: how much both gain, and by how much. */
static float gain(float parent, float on, float off)
{
    float small = fabsf(parent) * 1e-3f + 1e-9f;
    float a = fminf(on, 0) - parent, c = fminf(off, 0) - parent;

    return fmaxf(a, small) * fmaxf(c, small);
}

/* Choose the neurons of two subproblems whose halves have the best bounds;
 * s[1] may be NULL. w->dual is used up. */
static void branch(const struct bnb *b, struct worker *w,
                   struct sub *const s[2],
                   struct candidate (*cand)[CANDIDATES], const int n[2])
{
    struct sub *lane[POINTS];
    const struct side side = {b, lane};
    struct climb c;
    float margin[POINTS];

    for (int p = 0; p < POINTS; p++) {
        int k = s[1] && p >= POINTS / 2, q = p % (POINTS / 2) / 2;

        lane[p] = s[k];
        load(b, w->dual, s[k], p);
        if (q < n[k]) {
            uint32_t j = cand[k][q].neuron;

            w->dual->status[j][p] = p % 2 ? DUAL_SPLIT_OFF : DUAL_SPLIT_ON;
            w->dual->beta[j].x[p] = cand[k][q].start[p % 2 == 0];
        }
    }
    c = climb_of(&side, 0);
    ascent_evaluate(w->dual, &c, margin);
    for (int k = 0; k < 2 && s[k]; k++) {
        float top = -1;

        for (int q = 0; q < n[k]; q++) {
            int p = k * POINTS / 2 + 2 * q;
            float g = gain((float)s[k]->bound, margin[p], margin[p + 1]);

            if (g > top) {
                top = g;
                s[k]->neuron = cand[k][q].neuron;
                memcpy(s[k]->start, cand[k][q].start, sizeof s[k]->start);
            }
        }
    }
}

/* ---- the work of one thread ---- */

/* Find out what to split in n subproblems, whose bounds w->dual has just
 * computed, in the lanes where[n]. */
static void branch_all(const struct bnb *b, struct worker *w,
                       struct sub *const *subs, const int *where, int n)
{
    struct candidate cand[POINTS + 1][CANDIDATES];
    uint32_t n_x = b->se->net->nodes[0].n;
    int n_cand[POINTS + 1] = {0};

    for (int i = 0; i < n; i++) {
        n_cand[i] = candidates(b, w->dual, where[i], cand[i]);
        subs[i]->outcome = n_cand[i] ? SUB_SPLIT : SUB_STUCK;
        subs[i]->x = malloc((n_x + 1u) * sizeof *subs[i]->x);
        if (!subs[i]->x)
            subs[i]->outcome = SUB_NO_MEMORY;
        for (uint32_t j = 0; subs[i]->x && j < n_x; j++)
            subs[i]->x[j] = w->dual->y[0][j].x[where[i]];
    }
    for (int i = 0; i < n; i += 2) {
        struct sub *const two[2] = {subs[i], i + 1 < n ? subs[i + 1] : NULL};

        branch(b, w, two, cand + i, n_cand + i);
    }
}

/* Set all lanes to n subproblems, lanes beyond them to the first, and make
 * their bounds better; best [POINTS]. False: the time is up. */
static bool climb(const struct bnb *b, struct worker *w,
                  struct sub *const *subs, size_t n, struct sub **lane,
                  float *best)
{
    const struct side side = {b, lane};
    struct climb c;
    int steps = STEPS;

    for (size_t j = 0; j < b->se->net->neurons; j++)
        memset(w->dual->status[j], b->root.state.status[j], POINTS);
    for (int p = 0; p < POINTS; p++) {
        lane[p] = subs[(size_t)p < n ? (size_t)p : 0];
        load(b, w->dual, lane[p], p);
        if (lane[p]->n_signs == 0)
            steps = FIRST_STEPS;
    }
    c = climb_of(&side, steps);
    return ascend(&w->ascent, &c, best);
}

/* The subproblems of one pack. */
static size_t pack_of(const struct bnb *b, size_t part, struct sub ***subs)
{
    size_t n = b->n_batch - part * b->pack;

    *subs = b->batch + part * b->pack;
    return n < b->pack ? n : b->pack;
}

static void work(void *self, int worker, size_t part)
{
    struct bnb *b = self;
    struct worker *w = &b->workers[worker];
    struct sub *lane[POINTS], *open[POINTS], **subs;
    size_t n = pack_of(b, part, &subs);
    int where[POINTS], n_open = 0;
    float best[POINTS];

    if (!climb(b, w, subs, n, lane, best)) {
        for (size_t i = 0; i < n; i++)
            subs[i]->outcome = SUB_LATE;
        return;
    }
    for (int p = 0; p < (int)n; p++) {
        take_best(b, w, subs[p], p);
        subs[p]->bound = (double)best[p];
        subs[p]->outcome = SUB_SPLIT;
        if (best[p] > 0 && close_sub(b, w, subs[p], p)) {
            subs[p]->outcome = SUB_CLOSED;
        } else if (subs[p]->outcome != SUB_NO_MEMORY) {
            where[n_open] = p;
            open[n_open++] = subs[p];
        }
    }
    branch_all(b, w, open, where, n_open);
}

static void worker_end(struct worker *w)
{
    bwork_free(w->work);
    ascent_free(&w->ascent);
    dual_free(w->dual);
    free(w->state.m);
    free(w->mults);
    free(w->e);
    free(w->own);
}

static ax_status worker_start(const struct bnb *b, struct worker *w,
                              struct ax_err *err)
{
    const struct bnet *net = b->se->net;
    size_t n = net->neurons;
    void *state = malloc(bstate_bytes(net) + 8);

    if (state)
        bstate_place(&w->state, net, state);
    w->mults = calloc(n + 1, sizeof *w->mults);
    w->e = calloc(net->nodes[0].n + 1u, sizeof *w->e);
    w->own = calloc(n + 1, 1);
    if (!state || !w->mults || !w->e || !w->own)
        return ax_fail(err, AX_ENOMEM, "no memory for a thread");
    AX_TRY(dual_new(&w->dual, net, b->lane, err));
    AX_TRY(ascent_new(&w->ascent, w->dual, n, b->se->deadline, err));
    return bwork_new(&w->work, net, b->se->bytes / 2 / (size_t)b->se->threads,
                     b->se->deadline, err);
}

/* ---- the open subproblems ---- */

static void sub_free(struct sub *s)
{
    if (!s)
        return;
    free(s->codes);
    free(s->table);
    free(s->x);
    free(s);
}

static struct sub *sub_new(const struct bnb *b, uint32_t n_signs)
{
    size_t n = b->root.n_loose + (size_t)n_signs;
    struct sub *s = calloc(1, sizeof *s + n * sizeof(float) +
                                  n_signs * sizeof(uint32_t));

    if (!s)
        return NULL;
    s->alpha = (float *)(s + 1);
    s->beta = s->alpha + b->root.n_loose;
    s->signs = (uint32_t *)(s->beta + n_signs);
    s->n_signs = n_signs;
    return s;
}

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

static ax_status push_halves(struct bnb *b, const struct sub *s,
                             struct ax_err *err)
{
    for (int on = 0; on < 2; on++) {
        struct sub *h = sub_new(b, s->n_signs + 1);

        if (h) {
            h->id = s->child + (on ? 0 : 1);
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
             net->nodes[k].kind == AX_NET_RELU && i < 2 * net->nodes[k].n;
             i++)
            if (b->root.inner[t + i])
                (*out)[n++] = (struct ax_slopes){
                    .target = (uint32_t)(t + i),
                    .n = (uint32_t)net->first[k],
                    .slope = b->root.inner[t + i]};
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
    free(root->slopes[number_of(b, s)]);
    root->slopes[number_of(b, s)] = table;
    return AX_OK;
}

static ax_status emit_sub(struct bnb *b, struct sub *s, struct ax_err *err)
{
    const uint32_t refuted[2] = {0, s->row};
    const struct ax_slopes slopes = {
        .target = 2 * (uint32_t)b->se->net->neurons + number_of(b, s),
        .n = s->n_table,
        .slope = s->table};
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

static ax_status settle(struct bnb *b, struct sub *s, struct ax_err *err)
{
    struct search *se = b->se;
    struct ax_prove_stats *st = &se->stats;

    if (s->outcome == SUB_LATE) {
        se->stop = SEARCH_TIME;
        return push(b, s, err);
    }
    if (s->outcome == SUB_NO_MEMORY)
        return ax_fail(err, AX_ENOMEM, "no memory for a subproblem");
    st->boxes++;
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
    if (s->outcome == SUB_STUCK) {
        se->stuck++;
        return AX_OK;
    }
    if (s->n_signs == 0)
        AX_TRY(keep_table(b, s, err));
    s->child = b->next_id;
    b->next_id += 2;
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
    crew_run(b->crew, work, b, (n + b->pack - 1) / b->pack, 2);
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
    uint64_t id = 0;

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
        } else {
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
    return AX_OK;
}

static void try_part(void *self, int worker, size_t part)
{
    struct bnb *b = self;
    struct sub *lane[POINTS], **subs;
    size_t n = pack_of(b, part, &subs);
    float best[POINTS];

    if (!climb(b, &b->workers[worker], subs, n, lane, best)) {
        for (size_t i = 0; i < n; i++)
            subs[i]->outcome = SUB_LATE;
        return;
    }
    for (int p = 0; p < (int)n; p++) {
        take_best(b, &b->workers[worker], subs[p], p);
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
                            .bytes = b->se->bytes / 8};
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
    else if (se->max_boxes && se->stats.boxes >= se->max_boxes)
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
        st = root_start(&b.root, se, g, err);
        if (st == AX_OK)
            st = run_group(&b, err);
        se->next_group = g + 1;
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
