/* Ready-made properties: their VNN-LIB text, with exact decimals. */
#include <stdlib.h>
#include <string.h>

#include "set.h"
#include "text.h"

/* The output that is greater than all others at x. */
ax_status ax_net_winner(uint32_t *out, const struct ax_net *net,
                        const float *x, struct ax_err *err)
{
    uint32_t n = net->nodes[net->n_nodes - 1].n, best = 0, ties = 0;
    double *y;
    ax_status st;

    if (n < 2)
        return ax_fail(err, AX_EUSAGE,
                       "a class wants a network of two outputs or more");
    y = calloc(n, sizeof *y);
    if (!y)
        return ax_fail(err, AX_ENOMEM, "no memory for %u outputs", n);
    st = ax_net_exact(net, x, y, err);
    for (uint32_t j = 1; j < n; j++)
        best = y[j] > y[best] ? j : best;
    for (uint32_t j = 0; j < n; j++)
        ties += y[j] == y[best];
    free(y);
    if (st == AX_OK && ties > 1)
        st = ax_fail(err, AX_EUSAGE,
                     "%u outputs are the greatest at the input: name one "
                     "with label=",
                     ties);
    *out = best;
    return st;
}

/* ---- the unsafe set, kind by kind ---- */

struct page {
    struct text text;
    const struct ax_set *set;
    const struct ax_ready *r;
    struct ax_arena *arena;
    const char *tol;  /* exact, above 0 */
    const char *room; /* of the shift */
};

static ax_status want_output(const struct ax_ready *r, const char *key,
                             struct ax_err *err)
{
    if (r->index < 0 || r->index >= r->n_y)
        return ax_fail(err, AX_EUSAGE,
                       "%s= wants a number below %u, the "
                       "number of outputs",
                       key, r->n_y);
    return AX_OK;
}

static ax_status print_class(struct page *p, struct ax_err *err)
{
    const struct ax_ready *r = p->r;
    long long k = r->index;

    if (r->n_y < 2)
        return ax_fail(err, AX_EUSAGE,
                       "a class wants a network of two outputs or more");
    AX_TRY(want_output(r, "label", err));
    text_add(&p->text, "(assert (or");
    for (uint32_t j = 0; j < r->n_y; j++)
        if (j != k)
            text_add(&p->text, " (<= Y_%lld Y_%u)", k, j);
    text_add(&p->text, "))\n");
    return AX_OK;
}

/* All outputs within their ends, or the opposite. The ends themselves are
 * inside for both. */
static ax_status print_ends(struct page *p, struct ax_err *err)
{
    const struct ax_set *ends = p->r->outputs;
    bool inside = p->r->kind == AX_READY_INSIDE;
    uint32_t n = 0;

    for (uint32_t j = 0; j < ends->n; j++)
        n += (ends->end[0][j] != NULL) + (ends->end[1][j] != NULL);
    if (!n)
        return ax_fail(err, AX_EUSAGE, "no output has an end");
    if (ends->n != p->r->n_y)
        return ax_fail(err, AX_ESHAPE,
                       "ends of %u outputs, the network has %u", ends->n,
                       p->r->n_y);
    text_add(&p->text, "(assert (%s", inside ? "or" : "and");
    for (uint32_t j = 0; j < ends->n; j++)
        for (int side = 0; side < 2; side++)
            if (ends->end[side][j])
                text_add(&p->text, " (%s Y_%u %s)",
                         inside ? side ? ">" : "<"
                         : side ? "<="
                                : ">=",
                         j, ends->end[side][j]);
    text_add(&p->text, "))\n");
    return AX_OK;
}

static ax_status print_monotone(struct page *p, struct ax_err *err)
{
    AX_TRY(want_output(p->r, "output", err));
    text_add(&p->text, "(assert (%s Y_%lld %s%s))\n",
             p->r->falls ? ">=" : "<=", (long long)p->r->index,
             p->r->falls ? "" : "-", p->tol);
    return AX_OK;
}

static ax_status print_lipschitz(struct page *p, struct ax_err *err)
{
    struct fixed l;
    char *text;

    if (!p->r->l || !fixed_read(&l, p->r->l) || fixed_sign(&l) < 0)
        return ax_fail(err, AX_EUSAGE, "l= wants a number from 0 on");
    text = fixed_text(&l, p->arena);
    if (!text)
        return ax_fail(err, AX_ENOMEM, "no memory for the property");
    if (p->r->index >= 0)
        AX_TRY(want_output(p->r, "output", err));
    text_add(&p->text, "(assert (or");
    for (uint32_t j = 0; j < p->r->n_y; j++)
        if (p->r->index < 0 || j == p->r->index)
            text_add(&p->text,
                     " (>= (- Y_%u (* %s X_%u)) %s)"
                     " (<= (+ Y_%u (* %s X_%u)) -%s)",
                     j, text, p->set->n, p->tol, j, text, p->set->n, p->tol);
    text_add(&p->text, "))\n");
    return AX_OK;
}

static const struct {
    ax_status (*print)(struct page *p, struct ax_err *err);
    bool shifts; /* the network is that of ax_model_shifted */
    const char *says;
} kinds[] = {
    [AX_READY_CLASS] = {print_class, false,
                        "One output is greater than all others."},
    [AX_READY_INSIDE] = {print_ends, false,
                         "Every output stays within its ends."},
    [AX_READY_OUTSIDE] = {print_ends, false,
                          "Never are all outputs within their ends."},
    [AX_READY_MONOTONE] =
        {print_monotone, true,
         "The outputs are the change when one input grows by the last "
         "input.\n; One of them is on one side of 0, up to a tolerance."},
    [AX_READY_LIPSCHITZ] =
        {print_lipschitz, true,
         "The outputs are the change when one input grows by the last "
         "input.\n; They are at most so many times that, up to a "
         "tolerance."},
};

/* ---- the whole text ---- */

/* The shift goes from 0 to the width of its input's interval, and does not
 * leave it. */
static ax_status measure_shift(struct page *p, struct ax_err *err)
{
    const struct ax_set *set = p->set;
    uint32_t i = p->r->input;
    struct fixed lo, hi, tol;

    if (i >= set->n)
        return ax_fail(err, AX_EUSAGE,
                       "input= wants a number below %u, the number of inputs",
                       set->n);
    if (!set->end[0][i] || !set->end[1][i] ||
        !fixed_read(&lo, set->end[0][i]) || !fixed_read(&hi, set->end[1][i]))
        return ax_fail(err, AX_EUSAGE, "input %u needs two ends", i);
    if (!p->r->tol || !fixed_read(&tol, p->r->tol) || fixed_sign(&tol) <= 0)
        return ax_fail(err, AX_EUSAGE,
                       "tol= wants a number above 0: without a shift nothing "
                       "changes, and what is not strict has no proof");
    fixed_sum(&hi, &hi, &lo, true);
    p->room = fixed_text(&hi, p->arena);
    p->tol = fixed_text(&tol, p->arena);
    return p->room && p->tol
               ? AX_OK
               : ax_fail(err, AX_ENOMEM, "no memory for the property");
}

static ax_status print_set(struct page *p, bool shifts, struct ax_err *err)
{
    const struct ax_set *set = p->set;

    for (uint32_t i = 0; i < set->n + shifts; i++)
        text_add(&p->text, "(declare-const X_%u Real)\n", i);
    for (uint32_t j = 0; j < p->r->n_y; j++)
        text_add(&p->text, "(declare-const Y_%u Real)\n", j);
    for (uint32_t i = 0; i < set->n; i++) {
        if (!set->end[0][i] || !set->end[1][i])
            return ax_fail(err, AX_EUSAGE, "input %u has no %s end", i,
                           set->end[0][i] ? "upper" : "lower");
        text_add(&p->text, "(assert (>= X_%u %s))\n(assert (<= X_%u %s))\n",
                 i, set->end[0][i], i, set->end[1][i]);
    }
    if (shifts)
        text_add(&p->text,
                 "(assert (>= X_%u 0))\n(assert (<= X_%u %s))\n"
                 "(assert (<= (+ X_%u X_%u) %s))\n",
                 set->n, set->n, p->room, p->r->input, set->n,
                 set->end[1][p->r->input]);
    return AX_OK;
}

ax_status ax_ready_text(char **text, size_t *n, const struct ax_set *set,
                        const struct ax_ready *ready, struct ax_err *err)
{
    struct page p = {.set = set, .r = ready};
    bool shifts = kinds[ready->kind].shifts;
    ax_status st = AX_OK;

    *text = NULL;
    p.arena = ax_arena_new();
    if (!p.arena)
        return ax_fail(err, AX_ENOMEM, "no memory for the property");
    if (shifts)
        st = measure_shift(&p, err);
    if (st == AX_OK) {
        text_add(&p.text, "; %s\n", kinds[ready->kind].says);
        st = print_set(&p, shifts, err);
    }
    if (st == AX_OK)
        st = kinds[ready->kind].print(&p, err);
    ax_arena_free(p.arena);
    if (st == AX_OK && p.text.lost)
        st = ax_fail(err, AX_ENOMEM, "no memory for the property");
    if (st != AX_OK) {
        free(p.text.data);
        return st;
    }
    *text = p.text.data;
    *n = p.text.n;
    return AX_OK;
}
