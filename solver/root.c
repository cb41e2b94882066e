/* The root box of a group. */
#include "root.h"

#include <math.h>
#include <stdlib.h>

static void free_tables(uint8_t **tables, size_t n)
{
    for (size_t i = 0; tables && i < n; i++)
        free(tables[i]);
    free(tables);
}

void root_end(struct root *r, const struct bnet *net)
{
    free_tables(r->slopes, r->n_rows);
    free_tables(r->inner, 2 * net->neurons);
    free(r->loose);
    free(r->first_row);
    free(r->bounds);
    free(r->state.m);
    *r = (struct root){0};
}

ax_status root_start(struct root *r, const struct search *se, uint32_t group,
                     struct ax_err *err)
{
    const struct bnet *net = se->net;
    const struct ax_group *g = &se->prop->groups[group];
    void *state = malloc(bstate_bytes(net) + 8);

    *r = (struct root){.group = group, .box = {g->p, g->lo, g->hi, NULL}};
    r->loose = calloc(2 * net->neurons + 1, sizeof *r->loose);
    r->first_row = calloc(g->n_conj + 1u, sizeof *r->first_row);
    r->inner = calloc(2 * net->neurons + 1, sizeof *r->inner);
    if (!state || !r->loose || !r->first_row || !r->inner) {
        free(state);
        return ax_fail(err, AX_ENOMEM, "no memory for a root");
    }
    bstate_place(&r->state, net, state);
    r->place = r->loose + net->neurons;
    for (uint32_t k = 0; k < g->n_conj; k++) {
        r->first_row[k] = r->n_rows;
        r->n_rows += g->conj[k].n_rows;
    }
    r->slopes = calloc(r->n_rows + 1u, sizeof *r->slopes);
    if (!r->slopes)
        return ax_fail(err, AX_ENOMEM, "no memory for a root");
    return bbounds_new(&r->bounds, net, err);
}

static void find_loose(struct root *r, const struct bnet *net)
{
    r->n_loose = 0;
    for (uint32_t k = 0; k < net->n_nodes; k++)
        for (size_t i = 0, j = net->first[k];
             net->nodes[k].kind == AX_NET_RELU && i < net->nodes[k].n;
             i++, j++)
            if (r->state.status[j] == UNSTABLE) {
                r->place[j] = r->n_loose;
                r->loose[r->n_loose++] = (uint32_t)j;
            }
}

/* Bound the rows of one conjunction. */
static bool judge(const struct root *r, const struct ax_conj *c,
                  struct bwork *w, int64_t *e, struct verdict *v,
                  double *best)
{
    *best = -INFINITY;
    *v = (struct verdict){0};
    for (uint32_t i = 0; i < c->n_rows && !v->refuted; i++) {
        struct brow row = {.row = c->rows[i], .e = e};
        double m;

        if (!bound_rows(w, &r->box, &row, 1))
            return false;
        m = ldexp((double)(row.c - row.row->d64_up), -64);
        if (m > *best || row.c > row.row->d64_up) {
            *best = m;
            *v = (struct verdict){i, row.c > row.row->d64_up};
        }
    }
    return true;
}

bool root_bound(struct root *r, struct search *se, struct bwork *w,
                int64_t *e, struct verdict *v)
{
    const struct ax_group *g = &se->prop->groups[r->group];

    r->box.slopes = r->improved ? (const uint8_t *const *)r->inner : NULL;
    bstate_root(&r->state, se->net);
    if (!bound_box(w, &r->box, &r->state))
        return false;
    bound_keep(w, r->bounds);
    find_loose(r, se->net);
    for (uint32_t k = 0; k < g->n_conj; k++) {
        double best;

        if (!judge(r, &g->conj[k], w, e, &v[k], &best))
            return false;
        if (best < se->stats.bound)
            se->stats.bound = best;
    }
    return true;
}
