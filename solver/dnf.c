/* The disjunctive normal form of a property: the product of its assertions,
 * walked once in the order of ax-cert(5), with the box and the rows of the
 * conjunction at hand kept up to date and undone on the way back. Nothing is
 * multiplied out before formula_count has said that it is small enough. */
#include <stdlib.h>
#include <string.h>

#include "decimal.h"
#include "formula.h"

/* Of a bound's magnitude at scale 64. */
#define BOUND_MAX ((ax_i128)1 << 108)
#define NO_GROUP  UINT32_MAX

bool formula_count(struct formula *f)
{
    uint64_t conjs = f->kind == FORMULA_AND, rows = 0;

    for (const struct formula *k = f->kids; k; k = k->next) {
        if (f->kind == FORMULA_AND) {
            /* All four numbers are at most 2^26. */
            rows = rows * k->n_conjs + conjs * k->n_rows;
            conjs *= k->n_conjs;
        } else {
            rows += k->n_rows;
            conjs += k->n_conjs;
        }
        if (conjs > PROP_MAX_CONJS || rows > PROP_MAX_ROWS)
            return false;
    }
    f->n_conjs = (uint32_t)conjs;
    f->n_rows = (uint32_t)rows;
    return true;
}

struct undo {
    uint32_t slot;
    struct ax_row *row;
};

struct vector {
    void *data;
    size_t n, room;
};

struct walk {
    struct ax_prop *prop;
    struct ax_arena *arena;
    struct ax_err *err;
    /* The conjunction at hand. */
    struct ax_row **box; /* [2 n_x] tightest from below, then from above */
    struct vector undo, rows;
    uint32_t n_empty, n_never; /* comparisons of these kinds in it */
    uint32_t n_close;          /* bounds that another is all but equal to */
    /* Its box: what follows is known if box_known. */
    bool box_known, box_empty;
    ax_i128 *bounds; /* [2 n_x] lo64, hi64 */
    double *inside;  /* [2 n_x] lo_in, hi_in; in the arena */
    bool *fixed;     /* [n_x] or NULL; in the arena */
    uint32_t group;  /* the last one, if it has this box, or NO_GROUP */
    /* What was made. */
    struct vector groups, conjs;
};

static ax_status no_memory(struct walk *w)
{
    return ax_fail(w->err, AX_ENOMEM, "%s", ax_status_text(AX_ENOMEM));
}

/* Room for one more element of SIZE bytes; NULL when memory is out. */
static void *push(struct vector *v, size_t size)
{
    if (v->n == v->room) {
        size_t room = v->room ? 2 * v->room : 16;
        void *data = realloc(v->data, room * size);

        if (!data)
            return NULL;
        v->data = data;
        v->room = room;
    }
    return (char *)v->data + v->n++ * size;
}

/* Does the row a bound its input more tightly than b? Both have the same
 * single term. If they differ by less than 2^-64, the doubles that they
 * allow decide, which is all that they are asked for later. */
static bool tighter(const struct ax_row *a, const struct ax_row *b)
{
    if (a->d64_up != b->d64_up)
        return a->d64_up < b->d64_up;
    return decimal_inside(a) < decimal_inside(b);
}

static ax_status take_row(struct walk *w, struct ax_row *r)
{
    struct ax_row **rows;
    struct undo *u;
    uint32_t slot;

    if (r->n_x != 1 || r->n_y || (r->x_coef[0] != 1 && r->x_coef[0] != -1)) {
        rows = push(&w->rows, sizeof *rows);
        if (!rows)
            return no_memory(w);
        *rows = r;
        return AX_OK;
    }
    slot = r->x_index[0] + (r->x_coef[0] > 0 ? w->prop->n_x : 0);
    if (w->box[slot] && w->box[slot]->d64_up == r->d64_up &&
        (w->box[slot]->strict != r->strict ||
         strcmp(w->box[slot]->d_text, r->d_text) != 0)) {
        w->n_close++;
        w->box_known = false;
    }
    if (w->box[slot] && !tighter(r, w->box[slot]))
        return AX_OK;
    u = push(&w->undo, sizeof *u);
    if (!u)
        return no_memory(w);
    *u = (struct undo){slot, w->box[slot]};
    w->box[slot] = r;
    w->box_known = false;
    return AX_OK;
}

/* Which inputs are fixed to what is no float32? Bounds that differ by less
 * than 2^-64 are not told apart, so then none is. */
static ax_status know_fixed(struct walk *w)
{
    size_t n = w->prop->n_x;

    w->fixed = NULL;
    for (size_t i = 0; i < n && !w->n_close; i++) {
        const struct ax_row *lo = w->box[i], *hi = w->box[n + i];
        double v = w->inside[i];

        if ((v <= w->inside[n + i] && v == (double)(float)v) || lo->strict ||
            hi->strict || !decimal_opposite(lo, hi))
            continue;
        if (!w->fixed)
            w->fixed = ax_arena_zalloc(w->arena, n, sizeof *w->fixed);
        if (!w->fixed)
            return no_memory(w);
        w->fixed[i] = true;
    }
    return AX_OK;
}

/* Of the box at hand: its integers, whether it is empty, and if not the
 * doubles inside. */
static ax_status know_box(struct walk *w)
{
    size_t n = w->prop->n_x;

    w->box_empty = false;
    w->group = NO_GROUP;
    for (size_t i = 0; i < 2 * n; i++) {
        ax_i128 v;

        if (!w->box[i])
            return ax_fail(w->err, AX_EFORMAT,
                           "X_%zu has no %s bound in conjunction %zu", i % n,
                           i < n ? "lower" : "upper",
                           w->conjs.n + w->prop->n_empty);
        v = w->box[i]->d64_up;
        w->bounds[i] = i < n ? -v : v;
        if (v >= BOUND_MAX || v <= -BOUND_MAX)
            return ax_fail(w->err, AX_EUNSUPPORTED,
                           "a bound of X_%zu is 2^44 or more in conjunction "
                           "%zu",
                           i % n, w->conjs.n + w->prop->n_empty);
    }
    for (size_t i = 0; i < n; i++)
        w->box_empty |= w->bounds[i] > w->bounds[n + i];
    w->box_known = true;
    if (w->box_empty)
        return AX_OK;
    w->inside = ax_arena_alloc(w->arena, 2 * n, sizeof *w->inside);
    if (!w->inside)
        return no_memory(w);
    for (size_t i = 0; i < n; i++) {
        w->inside[i] = -decimal_inside(w->box[i]);
        w->inside[n + i] = decimal_inside(w->box[n + i]);
    }
    return know_fixed(w);
}

/* The integer box of a group at its scale. */
static ax_status scale_box(struct walk *w, struct ax_group *g)
{
    size_t n = w->prop->n_x;
    unsigned __int128 top = 0;
    int b = 0;

    g->lo = ax_arena_alloc(w->arena, 2 * n, sizeof *g->lo);
    if (!g->lo)
        return no_memory(w);
    g->hi = g->lo + n;
    for (size_t i = 0; i < 2 * n; i++) {
        ax_i128 v = w->bounds[i];
        unsigned __int128 m = v < 0 ? -(unsigned __int128)v
                                    : (unsigned __int128)v;

        top = m > top ? m : top;
    }
    while (top >> 64 >> b)
        b++;
    g->p = 44 - b;
    for (size_t i = 0; i < n; i++) {
        g->lo[i] = (int64_t)(g->lo64[i] >> (64 - g->p));
        g->hi[i] = (int64_t) - (-g->hi64[i] >> (64 - g->p));
    }
    return AX_OK;
}

/* The doubles that a search works with: those inside, as a rule. */
static ax_status search_box(struct walk *w, struct ax_group *g)
{
    size_t n = w->prop->n_x;
    double *lo, *hi;
    bool all = true;

    g->lo_in = w->inside;
    g->hi_in = w->inside + n;
    for (size_t i = 0; i < n; i++)
        all &= g->lo_in[i] <= g->hi_in[i];
    if (all)
        return AX_OK;
    lo = ax_arena_alloc(w->arena, 2 * n, sizeof *lo);
    if (!lo)
        return no_memory(w);
    hi = lo + n;
    memcpy(lo, w->inside, 2 * n * sizeof *lo);
    for (size_t i = 0; i < n; i++) {
        if (lo[i] <= hi[i])
            continue;
        lo[i] = -w->box[i]->d;
        hi[i] = w->box[n + i]->d;
        if (lo[i] > hi[i])
            lo[i] = hi[i];
    }
    g->lo_in = lo;
    g->hi_in = hi;
    return AX_OK;
}

/* The last group if it has this box, or a new one. */
static ax_status know_group(struct walk *w)
{
    size_t n = w->prop->n_x;
    struct ax_group *g = w->groups.data;

    if (w->groups.n) {
        w->group = (uint32_t)w->groups.n - 1;
        if (!memcmp(g[w->group].lo64, w->bounds, 2 * n * sizeof *w->bounds))
            return AX_OK;
    }
    g = push(&w->groups, sizeof *g);
    if (!g)
        return no_memory(w);
    w->group = (uint32_t)w->groups.n - 1;
    memset(g, 0, sizeof *g);
    g->lo64 = ax_arena_alloc(w->arena, 2 * n, sizeof *g->lo64);
    if (!g->lo64)
        return no_memory(w);
    g->hi64 = g->lo64 + n;
    memcpy(g->lo64, w->bounds, 2 * n * sizeof *g->lo64);
    AX_TRY(scale_box(w, g));
    return search_box(w, g);
}

/* The conjunction is complete. */
static ax_status take_conj(struct walk *w)
{
    size_t n = w->rows.n;
    struct ax_conj *c;

    if (!w->box_known && !w->n_empty)
        AX_TRY(know_box(w));
    if (w->n_empty || w->box_empty) {
        w->prop->n_empty++;
        return AX_OK;
    }
    if (w->group == NO_GROUP)
        AX_TRY(know_group(w));
    c = push(&w->conjs, sizeof *c);
    if (!c)
        return no_memory(w);
    *c = (struct ax_conj){.n_rows = (uint32_t)n,
                          .lo_in = w->inside,
                          .hi_in = w->inside + w->prop->n_x,
                          .fixed = w->fixed,
                          .never = w->n_never > 0};
    c->rows = ax_arena_alloc(w->arena, n, sizeof *c->rows);
    if (!c->rows)
        return no_memory(w);
    if (n)
        memcpy(c->rows, w->rows.data, n * sizeof *c->rows);
    ((struct ax_group *)w->groups.data)[w->group].n_conj++;
    return AX_OK;
}

static void undo_to(struct walk *w, size_t mark)
{
    struct undo *u = w->undo.data;

    if (w->undo.n > mark)
        w->box_known = false;
    while (w->undo.n > mark) {
        w->undo.n--;
        w->box[u[w->undo.n].slot] = u[w->undo.n].row;
    }
}

/* Take f and what comes after it, in all ways. Recursion is as deep as there
 * are choices among two or more in one conjunction: with at most 2^20
 * conjunctions and a nesting of 64 these are a few hundred. */
static ax_status walk(struct walk *w, const struct formula *f)
{
    while (f && (f->kind != FORMULA_OR || !f->kids->next)) {
        if (f->kind != FORMULA_CMP) {
            f = f->kids ? f->kids : f->then;
            continue;
        }
        for (int i = 0; i < 2 && f->row[i]; i++)
            AX_TRY(take_row(w, f->row[i]));
        w->n_empty += f->empty;
        w->n_never += f->never;
        f = f->then;
    }
    if (!f)
        return take_conj(w);
    for (const struct formula *k = f->kids; k; k = k->next) {
        size_t undo = w->undo.n, rows = w->rows.n;
        uint32_t n_empty = w->n_empty, n_never = w->n_never;
        uint32_t n_close = w->n_close;

        AX_TRY(walk(w, k));
        undo_to(w, undo);
        w->rows.n = rows;
        w->n_empty = n_empty;
        w->n_never = n_never;
        w->n_close = n_close;
    }
    return AX_OK;
}

/* Set f->then all through the tree, which is at most 64 deep. */
static void link_up(struct formula *f, const struct formula *then)
{
    f->then = then;
    if (f->kind == FORMULA_CMP)
        return;
    for (struct formula *k = f->kids; k; k = k->next)
        link_up(k, f->kind == FORMULA_AND && k->next ? k->next : then);
}

/* Move what was made into the property's arena. */
static ax_status keep(struct walk *w)
{
    struct ax_prop *p = w->prop;
    struct ax_conj *conj;

    p->groups = ax_arena_alloc(w->arena, w->groups.n, sizeof *p->groups);
    conj = ax_arena_alloc(w->arena, w->conjs.n, sizeof *conj);
    if (!p->groups || !conj)
        return no_memory(w);
    p->n_groups = (uint32_t)w->groups.n;
    if (w->groups.n) {
        memcpy(p->groups, w->groups.data, w->groups.n * sizeof *p->groups);
        memcpy(conj, w->conjs.data, w->conjs.n * sizeof *conj);
    }
    for (uint32_t i = 0; i < p->n_groups; i++) {
        p->groups[i].conj = conj;
        conj += p->groups[i].n_conj;
    }
    return AX_OK;
}

ax_status prop_multiply_out(struct ax_prop *p, struct formula *f,
                            struct ax_err *err)
{
    size_t n = 2 * (size_t)p->n_x;
    struct walk w = {.prop = p, .arena = p->arena, .err = err};
    ax_status st;

    link_up(f, NULL);
    w.box = calloc(n + 1, sizeof *w.box);
    w.bounds = calloc(n + 1, sizeof *w.bounds);
    if (!w.box || !w.bounds)
        st = no_memory(&w);
    else
        st = walk(&w, f);
    if (st == AX_OK)
        st = keep(&w);
    free(w.box);
    free(w.bounds);
    free(w.undo.data);
    free(w.rows.data);
    free(w.groups.data);
    free(w.conjs.data);
    return st;
}
