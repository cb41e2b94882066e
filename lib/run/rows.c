/* Rows of data as runs of a model: what a file has is turned into the types
 * and shapes that the model wants, and a model whose batch is fixed runs as
 * often as there are rows. */
#include "ax/element.h"
#include "plan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* One input, fitted. */
struct fitted {
    struct ax_tensor t; /* of the model's type */
    bool cast;          /* t is ours */
    int64_t runs;       /* how many; 0: the whole of it in every run */
    int rank;
    int64_t dims[AX_RANK_MAX]; /* of one run */
};

/* The product of dims[from..rank), or -1 if one is free or it is too large.
 */
static int64_t fixed_product(const struct ax_value *v, int from)
{
    int64_t n = 1;

    for (int i = from; i < v->rank; i++) {
        if (v->dims[i] < 0 || (v->dims[i] && n > INT64_MAX / v->dims[i]))
            return -1;
        n *= v->dims[i];
    }
    return n;
}

static bool same_dims(const struct ax_value *v, const struct ax_tensor *t)
{
    if (v->rank != t->rank)
        return v->rank < 0;
    for (int i = 0; i < t->rank; i++)
        if (v->dims[i] >= 0 && v->dims[i] != t->dims[i])
            return false;
    return true;
}

static void take_dims(struct fitted *f, int rank, const int64_t *dims,
                      int64_t first)
{
    f->rank = rank;
    memcpy(f->dims, dims, sizeof f->dims);
    if (first >= 0)
        f->dims[0] = first;
}

/* How many runs, and of what shape. False if the data do not fit. */
static bool fit_shape(struct fitted *f, const struct ax_value *v,
                      const struct ax_tensor *t)
{
    int64_t count = (int64_t)ax_tensor_count(t);
    int64_t all = fixed_product(v, 0), row = fixed_product(v, 1);

    f->runs = 0;
    if (same_dims(v, t)) {
        take_dims(f, t->rank, t->dims, -1);
        return true;
    }
    if (all >= 0 && all == count) {
        take_dims(f, v->rank, v->dims, -1);
        return true;
    }
    if (v->rank >= 1 && v->dims[0] < 0 && row > 0 && t->rank >= 1) {
        /* Free batch: rows of as many elements, or one row alone. */
        bool rows = t->dims[0] > 0 && count % t->dims[0] == 0 &&
                    count / t->dims[0] == row;

        take_dims(f, v->rank, v->dims, rows ? t->dims[0] : 1);
        return rows || count == row;
    }
    if (all > 0 && count > 0 && count % all == 0 && t->rank >= 1 &&
        t->dims[0] % (count / all) == 0) {
        take_dims(f, v->rank, v->dims, -1);
        f->runs = count / all;
        return true;
    }
    return false;
}

static ax_status fit(struct fitted *f, const struct ax_value *v,
                     const struct ax_tensor *t, struct ax_err *err)
{
    char want[160], has[160];

    f->t = *t;
    f->t.owned = false;
    if (!fit_shape(f, v, t))
        return ax_fail(
            err, AX_ESHAPE, "input '%s' wants %s, or rows of it, has %s",
            v->name,
            ax_shape_text(want, sizeof want, v->dtype, v->rank, v->dims),
            ax_shape_text(has, sizeof has, t->dtype, t->rank, t->dims));
    if (v->dtype == AX_DTYPE_NONE || v->dtype == t->dtype)
        return AX_OK;
    if (ax_dtype_class(t->dtype) == AX_CLASS_REAL &&
        ax_dtype_class(v->dtype) != AX_CLASS_REAL)
        return ax_fail(err, AX_ESHAPE,
                       "input '%s' wants %s, has %s: rounding it would guess",
                       v->name, ax_dtype_name(v->dtype),
                       ax_dtype_name(t->dtype));
    AX_TRY(ax_tensor_cast(&f->t, t, v->dtype, err));
    f->cast = true;
    return AX_OK;
}

/* -- the runs ------------------------------------------------------------ */

/* All runs, and what was put together of their outputs. */
struct rows {
    struct ax_plan *p;
    const struct ax_graph *g;
    struct fitted *in;
    int64_t total, at_once; /* runs, or rows of a free batch */
    bool free_batch;
    int64_t batch; /* of a fixed one: the first dimension, or -1 */
    struct ax_tensor *view, *part, *out;
};

/* The part of an input that runs [from, from + n) take. */
static void slice_input(struct ax_tensor *view, const struct rows *r,
                        const struct fitted *f, int64_t from, int64_t n)
{
    *view = f->t;
    view->owned = false;
    view->rank = f->rank;
    memcpy(view->dims, f->dims, sizeof view->dims);
    if (r->free_batch ? f->rank < 1 || f->dims[0] != r->total : !f->runs)
        return;
    view->nbytes = f->t.nbytes / (size_t)r->total * (size_t)n;
    view->data = (char *)f->t.data +
                 f->t.nbytes / (size_t)r->total * (size_t)from;
    if (r->free_batch)
        view->dims[0] = n;
}

/* Does the output of a run have rows of its own? */
static bool joins(const struct rows *r, const struct ax_tensor *part,
                  int64_t n)
{
    return part->rank >= 1 && part->dims[0] == (r->free_batch ? n : r->batch);
}

/* Put the outputs of one run at their place. */
static ax_status place(struct rows *r, uint32_t o, int64_t from, int64_t n,
                       struct ax_err *err)
{
    struct ax_tensor *part = &r->part[o], *out = &r->out[o];
    int64_t dims[AX_RANK_MAX + 1];
    bool join = joins(r, part, n);
    size_t each;
    int rank = 0;

    if (r->free_batch && !join)
        return ax_fail(err, AX_ESHAPE,
                       "output '%s' has no row for each of input: it cannot "
                       "run in batches",
                       r->g->values[r->g->outputs[o]].name);
    each = part->nbytes / (size_t)(r->free_batch ? n : 1);
    if (!out->data) {
        int64_t rows = r->free_batch ? 1 : join ? part->dims[0] : 1;

        dims[rank++] = r->total * rows;
        for (int i = join; i < part->rank; i++)
            dims[rank++] = part->dims[i];
        AX_TRY(ax_tensor_new(out, part->dtype, rank, dims, err));
    }
    if (part->dtype != out->dtype || each * (size_t)r->total != out->nbytes)
        return ax_fail(err, AX_ESHAPE,
                       "output '%s' has another shape in run %" PRId64,
                       r->g->values[r->g->outputs[o]].name, from);
    if (part->nbytes)
        memcpy((char *)out->data + each * (size_t)from, part->data,
               part->nbytes);
    return AX_OK;
}

static ax_status run_parts(struct rows *r,
                           void (*progress)(void *, int64_t, int64_t),
                           void *data, struct ax_err *err)
{
    ax_status st = AX_OK;

    for (int64_t at = 0; at < r->total && st == AX_OK; at += r->at_once) {
        int64_t n = r->total - at < r->at_once ? r->total - at : r->at_once;

        for (uint32_t i = 0; i < r->g->n_inputs; i++)
            slice_input(&r->view[i], r, &r->in[i], at, n);
        st = ax_plan_run(r->p, r->part, r->view, err);
        if (st != AX_OK) {
            if (r->total > n)
                ax_fail_in(err, "row %" PRId64, at);
            return st;
        }
        for (uint32_t o = 0; o < r->g->n_outputs && st == AX_OK; o++)
            st = place(r, o, at, n, err);
        for (uint32_t o = 0; o < r->g->n_outputs; o++)
            ax_tensor_free(&r->part[o]);
        if (progress)
            progress(data, at + n, r->total);
    }
    return st;
}

/* Which runs there are: those of inputs with more rows than the model's
 * batch, or AT_ONCE rows of a free batch each. */
static ax_status count_runs(struct rows *r, int64_t at_once,
                            struct ax_err *err)
{
    r->total = 0;
    r->at_once = 1;
    for (uint32_t i = 0; i < r->g->n_inputs; i++) {
        const struct ax_value *v = &r->g->values[r->g->inputs[i]];
        struct fitted *f = &r->in[i];

        if (!f->runs)
            continue;
        if (r->total && r->total != f->runs)
            return ax_fail(err, AX_ESHAPE,
                           "input '%s' has rows for %" PRId64
                           " runs, another for %" PRId64,
                           v->name, f->runs, r->total);
        if (!r->total)
            r->batch = v->rank > 1 ? v->dims[0] : -1;
        r->total = f->runs;
    }
    if (r->total || at_once <= 0)
        return AX_OK;
    for (uint32_t i = 0; i < r->g->n_inputs && !r->total; i++) {
        const struct ax_value *v = &r->g->values[r->g->inputs[i]];

        if (v->rank > 0 && v->dims[0] < 0 && r->in[i].dims[0] > at_once)
            r->total = r->in[i].dims[0];
    }
    r->free_batch = r->total > 0;
    r->at_once = at_once;
    return AX_OK;
}

static ax_status run_once(struct rows *r, struct ax_err *err)
{
    for (uint32_t i = 0; i < r->g->n_inputs; i++)
        slice_input(&r->view[i], r, &r->in[i], 0, 0);
    return ax_plan_run(r->p, r->out, r->view, err);
}

ax_status ax_plan_run_rows(struct ax_plan *p, struct ax_tensor *out,
                           const struct ax_tensor *in, int64_t at_once,
                           void (*progress)(void *, int64_t, int64_t),
                           void *data, struct ax_err *err)
{
    const struct ax_graph *g = p->top->g;
    struct rows r = {.p = p, .g = g, .out = out};
    ax_status st = AX_OK;

    memset(out, 0, g->n_outputs * sizeof *out);
    r.in = calloc(g->n_inputs + 1u, sizeof *r.in);
    r.view = calloc(g->n_inputs + 1u, sizeof *r.view);
    r.part = calloc(g->n_outputs + 1u, sizeof *r.part);
    if (!r.in || !r.view || !r.part)
        st = ax_fail(err, AX_ENOMEM, "no memory for %u inputs", g->n_inputs);
    for (uint32_t i = 0; i < g->n_inputs && st == AX_OK; i++)
        st = fit(&r.in[i], &g->values[g->inputs[i]], &in[i], err);
    if (st == AX_OK)
        st = count_runs(&r, at_once, err);
    if (st == AX_OK)
        st = r.total ? run_parts(&r, progress, data, err) : run_once(&r, err);
    for (uint32_t i = 0; r.in && i < g->n_inputs; i++)
        if (r.in[i].cast)
            ax_tensor_free(&r.in[i].t);
    for (uint32_t o = 0; st != AX_OK && o < g->n_outputs; o++)
        ax_tensor_free(&out[o]);
    free(r.in);
    free(r.view);
    free(r.part);
    return st;
}
