/* Weights of fewer bits, and what it did to the outputs: see ax/opt.h. The
 * network computes in float32 as before: a weight w becomes a constant of the
 * other type and a Cast, or a DequantizeLinear, which makes w. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ax/element.h"
#include "opt/opt.h"

#define LEAST 32 /* a constant of fewer numbers is not worth a node */
#define BLOCK 32 /* numbers that share a scale */

void ax_narrow_done_free(struct ax_narrow_done *d)
{
    for (uint32_t i = 0; i < d->n_left; i++)
        free(d->left[i].node);
    free(d->left);
    *d = (struct ax_narrow_done){0};
}

static ax_status left_out(struct ax_narrow_done *d, const char *name,
                          const char *why, struct ax_err *err)
{
    struct ax_narrow_left *left = realloc(d->left,
                                          (d->n_left + 1u) * sizeof *left);
    char *copy = strdup(name);

    if (left)
        d->left = left;
    if (!left || !copy) {
        free(copy);
        return ax_fail(err, AX_ENOMEM, "no memory for a report");
    }
    left[d->n_left++] = (struct ax_narrow_left){copy, why};
    return AX_OK;
}

ax_status opt_left(struct ax_narrow_done *d, const struct opt *o,
                   const struct ax_node *n, const char *why,
                   struct ax_err *err)
{
    const char *name = n->name && n->name[0] ? n->name
                                             : o->g->values[n->out[0]].name;

    return left_out(d, name, why, err);
}

/* -- constants ------------------------------------------------------------
 */

static ax_status bytes_in_use(uint64_t *out, const struct opt *o,
                              struct ax_err *err)
{
    bool *used = calloc(o->m->n_tensors + 1u, sizeof *used);

    if (!used)
        return ax_fail(err, AX_ENOMEM, "no memory for %u tensors",
                       o->m->n_tensors);
    *out = 0;
    for (uint32_t v = 0; v < o->g->n_values; v++) {
        uint32_t t = o->g->values[v].tensor;

        if (t == AX_NONE || used[t] || o->facts[v].uses == 0)
            continue;
        used[t] = true;
        *out += o->m->tensors[t].nbytes;
    }
    free(used);
    return AX_OK;
}

/* A node in front of all others makes value v, which was a constant, from
 * what OP is given. */
static ax_status make_by(struct ax_node **out, struct opt *o, uint32_t v,
                         ax_op op, uint32_t n_in, struct ax_err *err)
{
    AX_TRY(opt_insert(out, o, 0, op, o->g->values[v].name, n_in, err));
    o->g->values[v].tensor = AX_NONE;
    (*out)->out[0] = v;
    o->facts[v].maker = o->g->n_nodes - 1;
    return AX_OK;
}

/* The worst rounding of a number, of its own magnitude; infinite if one that
 * was finite is not any more. */
static double worst_rounding(const struct ax_tensor *was,
                             const struct ax_tensor *is)
{
    double worst = 0;

    for (size_t i = 0; i < ax_tensor_count(was); i++) {
        double a, b;

        ax_get_f64(&a, was->dtype, was->data, i, 1);
        ax_get_f64(&b, is->dtype, is->data, i, 1);
        if (isfinite(a) && !isfinite(b))
            return HUGE_VAL;
        if (isfinite(a) && a != 0)
            worst = fmax(worst, fabs(b - a) / fabs(a));
    }
    return worst;
}

static ax_status halve(struct opt *o, uint32_t v, struct ax_narrow_done *d,
                       ax_dtype to, struct ax_err *err)
{
    const struct ax_tensor *was = &o->m->tensors[o->g->values[v].tensor];
    struct ax_tensor is;
    struct ax_node *node;
    double rounding;
    uint32_t half;

    AX_TRY(ax_tensor_cast(&is, was, to, err));
    rounding = worst_rounding(was, &is);
    if (!isfinite(rounding)) {
        ax_tensor_free(&is);
        return left_out(d, o->g->values[v].name,
                        "a weight is too large for the type", err);
    }
    AX_TRY(opt_add_constant(&half, o, v,
                            to == AX_F16 ? "float16" : "bfloat16", &is, err));
    AX_TRY(make_by(&node, o, v, AX_OP_Cast, 1, err));
    AX_TRY(opt_set_in(o, node, 0, half, err));
    AX_TRY(opt_set_int(node, "to", AX_F32, err));
    d->rounding = fmax(d->rounding, rounding);
    d->weights++;
    return AX_OK;
}

static ax_status halves(struct opt *o, struct ax_narrow_done *d, ax_dtype to,
                        struct ax_err *err)
{
    for (uint32_t v = 0, n = o->g->n_values; v < n; v++) {
        const struct ax_tensor *t =
            o->g->values[v].tensor == AX_NONE
                ? NULL
                : &o->m->tensors[o->g->values[v].tensor];

        if (t && t->dtype == AX_F32 && ax_tensor_count(t) >= LEAST &&
            (o->facts[v].uses > 0 || o->facts[v].pinned))
            AX_TRY(halve(o, v, d, to, err));
    }
    return AX_OK;
}

/* -- int4 -----------------------------------------------------------------
 */

/* The matrix of a product [k, n] or, if it is transposed, [n, k]. */
struct matrix {
    uint32_t value;
    int along; /* dimension of the sum */
};

static bool matrix_of(struct matrix *out, const struct opt *o,
                      const struct ax_node *n)
{
    const struct ax_tensor *w = opt_constant(o, n, 1);

    if ((n->op != AX_OP_MatMul && n->op != AX_OP_Gemm) || !w ||
        w->dtype != AX_F32 || w->rank != 2 || ax_tensor_count(w) < LEAST)
        return false;
    *out = (struct matrix){n->in[1], 0};
    if (n->op == AX_OP_Gemm && ax_node_int(n, "transB", 0))
        out->along = 1;
    return true;
}

/* One block: COUNT numbers, STEP apart. */
static double quantise_block(int8_t *q, float *scale, const float *w,
                             int64_t count, int64_t step)
{
    double largest = 0, worst = 0;

    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)w[i * step]));
    *scale = (float)(largest / 7);
    if (!(*scale > 0))
        *scale = 1;
    for (int64_t i = 0; i < count; i++) {
        double x = nearbyint((double)w[i * step] / (double)*scale);

        x = x < -7 ? -7 : x > 7 ? 7 : x;
        q[i * step] = (int8_t)x;
        if (largest > 0)
            worst = fmax(worst,
                         fabs(x * (double)*scale - (double)w[i * step]) /
                             largest);
    }
    return worst;
}

static bool all_finite(const struct ax_tensor *t)
{
    const float *w = t->data;

    for (size_t i = 0; i < ax_tensor_count(t); i++)
        if (!isfinite(w[i]))
            return false;
    return true;
}

/* All blocks of a matrix; q and scale are new. */
static ax_status quantise_matrix(struct ax_tensor *q, struct ax_tensor *scale,
                                 double *worst, const struct ax_tensor *w,
                                 int along, struct ax_err *err)
{
    int64_t dims[2] = {w->dims[0], w->dims[1]}, k = w->dims[along];
    int64_t blocks = (k + BLOCK - 1) / BLOCK;
    int64_t step = along == 0 ? w->dims[1] : 1;
    int64_t next = along == 0 ? 1 : k, sstep, snext;

    AX_TRY(ax_tensor_new(q, AX_I4, 2, dims, err));
    dims[along] = blocks;
    AX_TRY(ax_tensor_new(scale, AX_F32, 2, dims, err));
    sstep = along == 0 ? dims[1] : 1;
    snext = along == 0 ? 1 : blocks;
    for (int64_t j = 0; j < w->dims[!along]; j++)
        for (int64_t b = 0; b < blocks; b++) {
            int64_t at = j * next + b * BLOCK * step;
            int64_t n = k - b * BLOCK < BLOCK ? k - b * BLOCK : BLOCK;

            *worst = fmax(
                *worst,
                quantise_block((int8_t *)q->data + at,
                               (float *)scale->data + j * snext + b * sstep,
                               (const float *)w->data + at, n, step));
        }
    return AX_OK;
}

static ax_status four_bits(struct opt *o, struct ax_narrow_done *d,
                           const struct matrix *m, struct ax_err *err)
{
    const struct ax_tensor *w = &o->m->tensors[o->g->values[m->value].tensor];
    struct ax_tensor q = {0}, scale = {0};
    struct ax_node *node;
    uint32_t vq = AX_NONE, vs = AX_NONE;
    ax_status st;

    if (!all_finite(w))
        return left_out(d, o->g->values[m->value].name,
                        "a weight is not finite", err);
    st = quantise_matrix(&q, &scale, &d->rounding, w, m->along, err);
    if (st == AX_OK)
        st = opt_add_constant(&vq, o, m->value, "int4", &q, err);
    if (st == AX_OK)
        st = opt_add_constant(&vs, o, m->value, "scale", &scale, err);
    ax_tensor_free(&q);
    ax_tensor_free(&scale);
    AX_TRY(st);
    AX_TRY(make_by(&node, o, m->value, AX_OP_DequantizeLinear, 2, err));
    AX_TRY(opt_set_in(o, node, 0, vq, err));
    AX_TRY(opt_set_in(o, node, 1, vs, err));
    if (m->along == 0)
        AX_TRY(opt_set_int(node, "axis", 0, err));
    AX_TRY(opt_set_int(node, "block_size", BLOCK, err));
    d->weights++;
    return AX_OK;
}

static ax_status int4(struct opt *o, struct ax_narrow_done *d,
                      struct ax_err *err)
{
    for (uint32_t i = 0, n = o->g->n_nodes; i < n; i++) {
        struct matrix m;

        if (matrix_of(&m, o, &o->g->nodes[i]))
            AX_TRY(four_bits(o, d, &m, err));
    }
    return AX_OK;
}

/* -- measuring ------------------------------------------------------------
 */

struct seen {
    struct ax_narrow_done *d;
    uint32_t n_outputs;
    struct ax_tensor *before; /* [runs][n_outputs] */
    double sum, largest;
    uint64_t n;
};

static ax_status keep(void *x, int64_t run, const struct ax_tensor *out,
                      struct ax_err *err)
{
    struct seen *s = x;
    struct ax_tensor *to = s->before + (size_t)run * s->n_outputs;

    for (uint32_t k = 0; k < s->n_outputs; k++)
        AX_TRY(ax_tensor_cast(&to[k], &out[k], out[k].dtype, err));
    return AX_OK;
}

static size_t place_of_largest(const struct ax_tensor *t, size_t first,
                               size_t n)
{
    double largest = -HUGE_VAL;
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        double x;

        ax_get_f64(&x, t->dtype, t->data, first + i, 1);
        if (x > largest) {
            largest = x;
            at = i;
        }
    }
    return at;
}

static void compare_rows(struct ax_narrow_done *d, const struct ax_tensor *a,
                         const struct ax_tensor *b)
{
    size_t n = a->rank > 0 ? (size_t)a->dims[a->rank - 1] : 0;

    for (size_t at = 0; n > 1 && at < ax_tensor_count(a); at += n) {
        d->rows++;
        d->rows_same += place_of_largest(a, at, n) ==
                        place_of_largest(b, at, n);
    }
}

static ax_status compare(void *x, int64_t run, const struct ax_tensor *out,
                         struct ax_err *err)
{
    struct seen *s = x;
    const struct ax_tensor *was = s->before + (size_t)run * s->n_outputs;

    for (uint32_t k = 0; k < s->n_outputs; k++) {
        struct ax_difference all = ax_tensor_compare(&out[k], &was[k]);

        if (ax_tensor_count(&out[k]) != ax_tensor_count(&was[k]))
            return ax_fail(err, AX_EBUG, "an output has another size");
        s->d->absolute = fmax(s->d->absolute, all.absolute);
        for (size_t i = 0; i < ax_tensor_count(&was[k]); i++) {
            double a, b;

            ax_get_f64(&a, out[k].dtype, out[k].data, i, 1);
            ax_get_f64(&b, was[k].dtype, was[k].data, i, 1);
            s->sum += fabs(a - b);
            s->largest = isfinite(b) ? fmax(s->largest, fabs(b)) : s->largest;
            s->n++;
        }
    }
    if (s->n_outputs > 0)
        compare_rows(s->d, &out[0], &was[0]);
    return AX_OK;
}

/* -- all of it ------------------------------------------------------------
 */

static ax_status rounded(struct opt *o, struct ax_narrow_done *d,
                         const struct ax_narrow_options *opt,
                         struct ax_err *err)
{
    switch (opt->to) {
    case AX_NARROW_F16:
        return halves(o, d, AX_F16, err);
    case AX_NARROW_BF16:
        return halves(o, d, AX_BF16, err);
    case AX_NARROW_INT4:
        return int4(o, d, err);
    case AX_NARROW_INT8:
        return opt_quantise(o, d, opt, err);
    }
    return ax_fail(err, AX_EUSAGE, "there is no type of number %d",
                   (int)opt->to);
}

/* Change the model, and count what it takes. */
static ax_status change(struct ax_model *m, struct ax_narrow_done *d,
                        const struct ax_narrow_options *opt,
                        struct ax_err *err)
{
    struct opt o = {.m = m, .g = m->graph};
    bool had_identity = m->has_identity;
    ax_status st = opt_learn(&o, err);

    if (st == AX_OK)
        st = opt_count(&o, err);
    if (st == AX_OK)
        st = bytes_in_use(&d->bytes_before, &o, err);
    if (st == AX_OK)
        st = rounded(&o, d, opt, err);
    if (st == AX_OK)
        st = opt_settle(&o, err);
    if (st == AX_OK)
        st = opt_count(&o, err);
    if (st == AX_OK)
        st = bytes_in_use(&d->bytes_after, &o, err);
    m->has_identity = had_identity && st == AX_OK && d->weights == 0;
    opt_free(&o);
    return st;
}

static ax_status measured(struct ax_model *m, struct seen *s,
                          const struct ax_narrow_options *opt,
                          struct ax_err *err)
{
    struct ax_narrow_done *d = s->d;

    AX_TRY(opt_data_each(m, NULL, 0, opt, compare, s, err));
    d->mean = s->n > 0 ? s->sum / (double)s->n : 0;
    d->relative = s->largest > 0     ? d->absolute / s->largest
                  : d->absolute == 0 ? 0
                                     : HUGE_VAL;
    d->measured = true;
    return AX_OK;
}

ax_status ax_model_narrow(struct ax_model *m, struct ax_narrow_done *done,
                          const struct ax_narrow_options *opt,
                          struct ax_err *err)
{
    struct seen s = {.d = done, .n_outputs = m->graph->n_outputs};
    ax_status st = AX_OK;
    int64_t runs = 0;

    *done = (struct ax_narrow_done){0};
    if (opt->data)
        AX_TRY(opt_data_runs(&runs, m, opt, err));
    else if (opt->to == AX_NARROW_INT8)
        return ax_fail(err, AX_EUSAGE, "int8 wants data to calibrate with");
    done->runs = (uint64_t)runs;
    s.before = calloc((size_t)runs * s.n_outputs + 1, sizeof *s.before);
    if (!s.before)
        return ax_fail(err, AX_ENOMEM, "no memory for %lld outputs",
                       (long long)runs);
    if (opt->data)
        st = opt_data_each(m, NULL, 0, opt, keep, &s, err);
    if (st == AX_OK)
        st = change(m, done, opt, err);
    if (st == AX_OK && opt->data && done->weights > 0)
        st = measured(m, &s, opt, err);
    for (size_t i = 0; i < (size_t)runs * s.n_outputs; i++)
        ax_tensor_free(&s.before[i]);
    free(s.before);
    if (st != AX_OK)
        ax_narrow_done_free(done);
    return st;
}
