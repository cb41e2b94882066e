/* What a thread does with a pack of subproblems: their bounds, in float32,
 * are made better side by side (ascend.c); what looks refuted is rounded to
 * the codes of the certificate and bounded in integers, and only that closes
 * it; of the rest it is found out which neuron to split. */
#include "sub.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_STEPS 60
#define STEPS       8
#define CANDIDATES \
    8 /* neurons whose halves are bounded before one is split */

static const struct ax_row *row_of(const struct bnb *b, const struct sub *s)
{
    const struct ax_group *g = &b->se->prop->groups[b->root.group];

    return g->conj[s->conj].rows[s->row];
}

uint32_t sub_number(const struct bnb *b, const struct sub *s)
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
    if (refutes(b, w, s, root->slopes[sub_number(b, s)]))
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

void sub_take(const struct bnb *b, const struct worker *w, struct sub *s,
              int p)
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

bool sub_climb(const struct bnb *b, struct worker *w, struct sub *const *subs,
               size_t n, struct sub **lane, float *best)
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

size_t sub_pack(const struct bnb *b, size_t part, struct sub ***subs)
{
    size_t n = b->n_batch - part * b->pack;

    *subs = b->batch + part * b->pack;
    return n < b->pack ? n : b->pack;
}

void sub_work(void *self, int worker, size_t part)
{
    struct bnb *b = self;
    struct worker *w = &b->workers[worker];
    struct sub *lane[POINTS], *open[POINTS], **subs;
    size_t n = sub_pack(b, part, &subs);
    int where[POINTS], n_open = 0;
    float best[POINTS];

    if (!sub_climb(b, w, subs, n, lane, best)) {
        for (size_t i = 0; i < n; i++)
            subs[i]->outcome = SUB_LATE;
        return;
    }
    for (int p = 0; p < (int)n; p++) {
        sub_take(b, w, subs[p], p);
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

void worker_end(struct worker *w)
{
    bwork_free(w->work);
    ascent_free(&w->ascent);
    dual_free(w->dual);
    free(w->state.m);
    free(w->mults);
    free(w->e);
    free(w->own);
}

ax_status worker_start(const struct bnb *b, struct worker *w,
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

void sub_free(struct sub *s)
{
    if (!s)
        return;
    free(s->codes);
    free(s->table);
    free(s->x);
    free(s);
}

struct sub *sub_new(const struct bnb *b, uint32_t n_signs)
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
