/* A thread's work space: all arrays in one piece of memory. */
#include <stdlib.h>

#include "work.h"

/* A zeroed, 64-byte aligned array that lives as long as w, or, while there
 * is no room, NULL: then it is only counted. */
static void *take(struct bwork *w, size_t n, size_t size)
{
    size_t at = w->taken;

    w->taken += (n * size + 127) / 64 * 64;
    return w->room ? w->room + at : NULL;
}

#define ROWS_BYTES ((size_t)64 << 20)

static size_t rows_at_once(const struct bnet *net)
{
    size_t row = 0, n;

    for (uint32_t k = 0; k < net->n_nodes; k++)
        row += net->nodes[k].n8 * sizeof(int64_t);
    n = ROWS_BYTES / (row + 1);
    return n > ROWS_MAX ? ROWS_MAX : n < 8 ? 8 : n;
}

size_t bwork_bytes(const struct bnet *net)
{
    size_t rows = rows_at_once(net), sum = 0;

    for (uint32_t k = 0; k < net->n_nodes; k++)
        sum += net->nodes[k].n8 * (rows * 8 + 8 * 8 + 64);
    return sum + 2 * rows * net->widest8 * 8 + 3 * LANES * 8 * net->widest8;
}

static void take_relax(struct bwork *w, struct relax *rx, size_t n8)
{
    rx->mask = take(w, n8, sizeof *rx->mask);
    rx->chord = take(w, n8, sizeof *rx->chord);
    rx->l = take(w, n8, sizeof *rx->l);
    rx->u = take(w, n8, sizeof *rx->u);
    rx->idx = take(w, n8, sizeof *rx->idx);
    rx->loose = take(w, n8, sizeof *rx->loose);
}

static void take_curve(struct bwork *w, struct curve *c, struct relax *rx,
                       size_t n8)
{
    c->w[0] = take(w, 2 * n8, sizeof *c->w[0]);
    c->w[1] = take(w, n8, sizeof *c->w[1]);
    c->low = take(w, n8, sizeof *c->low);
    c->up = take(w, n8, sizeof *c->up);
    rx->l = take(w, n8, sizeof *rx->l);
    rx->u = take(w, n8, sizeof *rx->u);
}

/* The arrays of node k; at, rx and cv: of all nodes, or one for all while
 * they are counted. */
static void take_node(struct bwork *w, uint32_t k, struct contribution *at,
                      struct relax *rx, struct curve *cv, int64_t **m,
                      int64_t **d)
{
    size_t n8 = w->net->nodes[k].n8, rows = w->max_rows;

    at->own = take(w, rows * n8, sizeof *at->own);
    at->q = take(w, rows, sizeof *at->q);
    at->joined = take(w, rows, sizeof *at->joined);
    at->abs = take(w, rows, sizeof *at->abs);
    if (ax_net_curved(w->net->nodes[k].kind))
        take_curve(w, cv, rx, n8);
    if (ax_net_neurons(w->net->nodes[k].kind))
        take_relax(w, rx, n8);
    else
        *m = take(w, n8, sizeof **m);
    if (w->net->nodes[k].errs)
        *d = take(w, n8, sizeof **d);
}

static void take_all(struct bwork *w)
{
    const struct bnet *net = w->net;
    size_t rows = w->max_rows, nn = net->n_nodes, widest8 = net->widest8;
    bool counts = !w->room;
    struct contribution at;
    struct relax rx;
    struct curve cv;
    int64_t *m, *d;

    w->taken = 0;
    w->relax = take(w, nn, sizeof *w->relax);
    w->curve = take(w, nn, sizeof *w->curve);
    w->at = take(w, nn, sizeof *w->at);
    w->add = take(w, rows * widest8, sizeof *w->add);
    w->nu = take(w, rows * widest8, sizeof *w->nu);
    w->tmp = take(w, 2 * LANES * widest8, sizeof *w->tmp);
    w->all = take(w, widest8, sizeof *w->all);
    w->c = take(w, rows, sizeof *w->c);
    w->rows = take(w, widest8, sizeof *w->rows);
    w->starts = take(w, widest8, sizeof *w->starts);
    w->lower = take(w, widest8, sizeof *w->lower);
    w->upper = take(w, widest8, sizeof *w->upper);
    w->sum_m = take(w, nn, sizeof *w->sum_m);
    w->m = take(w, nn, sizeof *w->m);
    w->own_d = take(w, nn, sizeof *w->own_d);
    w->d = take(w, nn, sizeof *w->d);
    w->d_scale = take(w, nn, sizeof *w->d_scale);
    w->few = take(w, nn, sizeof *w->few);
    for (uint32_t k = 0; k < nn; k++)
        take_node(w, k, counts ? &at : &w->at[k], counts ? &rx : &w->relax[k],
                  counts ? &cv : &w->curve[k], counts ? &m : &w->m[k],
                  counts ? &d : &w->own_d[k]);
    for (size_t j = 0; !counts && j < widest8; j++)
        w->all[j] = (uint32_t)j;
}

/* D of the last node, which never changes; bound_box uses it. */
static void last_errors(struct bwork *w)
{
    uint32_t last = w->net->n_nodes - 1;

    for (uint32_t j = 0; j < w->net->nodes[last].n; j++)
        w->own_d[last][j] = 1;
}

ax_status bwork_new(struct bwork **out, const struct bnet *net,
                    size_t max_bytes, double deadline, struct ax_err *err)
{
    struct bwork *w = calloc(1, sizeof *w);

    if (bwork_bytes(net) > max_bytes) {
        free(w);
        return ax_fail(err, AX_UNDECIDED,
                       "the bounds need %zu MiB a thread, more than --memory "
                       "allows",
                       bwork_bytes(net) >> 20);
    }
    if (w) {
        w->net = net;
        w->deadline = deadline;
        w->max_rows = rows_at_once(net);
        take_all(w);
        w->memory = calloc(1, w->taken + 64);
    }
    if (!w || !w->memory) {
        bwork_free(w);
        return ax_fail(err, AX_ENOMEM, "no memory for the bounds");
    }
    w->room = (char *)(((uintptr_t)w->memory + 63) / 64 * 64);
    take_all(w);
    if (net->ieee32)
        last_errors(w);
    *out = w;
    return AX_OK;
}

void bwork_free(struct bwork *w)
{
    if (w)
        free(w->memory);
    free(w);
}

bool bwork_late(const struct bwork *w)
{
    return w->late;
}
