/* Affine forms: sums, rearrangements, and linear maps of them. Every
 * coefficient and bias that is made here is exact, or the network is
 * refused. */
#include "form.h"

#include <stdlib.h>
#include <string.h>

static ax_status inexact(struct lowering *l)
{
    return net_refuse(l, "a coefficient is not exact, or out of range");
}

ax_status form_shape(struct lowering *l, struct form *out, int rank,
                     const int64_t *dims)
{
    uint64_t n = 1;

    *out = (struct form){.rank = rank};
    if (rank > AX_RANK_MAX)
        return net_refuse(l, "more than %d dimensions", AX_RANK_MAX);
    for (int i = 0; i < rank; i++) {
        if (dims[i] < 0 || (uint64_t)dims[i] > MAX_ELEMENT)
            return net_refuse(l, "a dimension of %lld", (long long)dims[i]);
        n *= (uint64_t)dims[i];
        if (n > MAX_ELEMENT)
            return net_refuse(l, "a value of more than %llu elements",
                              (unsigned long long)MAX_ELEMENT);
        out->dims[i] = dims[i];
    }
    out->n = (size_t)n;
    return AX_OK;
}

static ax_status need_bias(struct lowering *l, struct form *f)
{
    if (f->b)
        return AX_OK;
    f->b = net_alloc(l, f->n, sizeof *f->b);
    if (!f->b)
        return net_no_memory(l);
    memset(f->b, 0, f->n * sizeof *f->b);
    return AX_OK;
}

/* Rows in the making: l->key and l->w. */
static ax_status push_term(struct lowering *l, uint32_t key, double w)
{
    if (l->n_terms == l->room) {
        size_t room = l->room ? 2 * l->room : 4096;
        uint32_t *k;
        double *v;

        if (l->n_terms >= MAX_COEF)
            return net_refuse(l, "more than %llu coefficients",
                              (unsigned long long)MAX_COEF);
        k = realloc(l->key, room * sizeof *k);
        if (!k)
            return net_no_memory(l);
        l->key = k;
        v = realloc(l->w, room * sizeof *v);
        if (!v)
            return net_no_memory(l);
        l->w = v;
        l->room = room;
    }
    l->key[l->n_terms] = key;
    l->w[l->n_terms++] = w;
    return AX_OK;
}

static ax_status begin_rows(struct lowering *l, struct form *out)
{
    out->kind = FORM_ROWS;
    out->row_ptr = net_alloc(l, out->n + 1, sizeof *out->row_ptr);
    if (!out->row_ptr)
        return net_no_memory(l);
    out->row_ptr[0] = 0;
    l->n_terms = 0;
    return AX_OK;
}

static ax_status end_rows(struct lowering *l, struct form *out)
{
    out->key = net_alloc(l, l->n_terms, sizeof *out->key);
    out->w = net_alloc(l, l->n_terms, sizeof *out->w);
    if (!out->key || !out->w)
        return net_no_memory(l);
    if (l->n_terms) {
        memcpy(out->key, l->key, l->n_terms * sizeof *out->key);
        memcpy(out->w, l->w, l->n_terms * sizeof *out->w);
    }
    return AX_OK;
}

/* Append row i of f, which is not constant, times SIGN. */
static ax_status push_row(struct lowering *l, const struct form *f, size_t i,
                          int sign)
{
    if (f->kind == FORM_PICK && f->pick[i] != NO_ELEMENT)
        AX_TRY(push_term(l, f->pick[i], sign));
    if (f->kind == FORM_ROWS)
        for (uint64_t t = f->row_ptr[i]; t < f->row_ptr[i + 1]; t++)
            AX_TRY(push_term(l, f->key[t], sign * f->w[t]));
    if (f->kind == FORM_DENSE) {
        uint32_t n = l->net->nodes[f->source].n;
        const double *w = f->w + i * n;

        for (uint32_t j = 0; j < n; j++)
            if (w[j] != 0)
                AX_TRY(push_term(l, l->first[f->source] + j, sign * w[j]));
    }
    return AX_OK;
}

static ax_status gather_constants(struct lowering *l, struct form *out,
                                  const struct form *in,
                                  const uint64_t *origin, double fill)
{
    out->kind = FORM_CONST;
    out->value = net_alloc(l, out->n, sizeof *out->value);
    if (!out->value)
        return net_no_memory(l);
    for (size_t i = 0; i < out->n; i++)
        out->value[i] = origin[i] == ORIGIN_FILL
                            ? fill
                            : form_at(&in[origin[i] >> 40],
                                      origin[i] & 0xffffffffff);
    return AX_OK;
}

static ax_status gather_bias(struct lowering *l, struct form *out,
                             const struct form *in, const uint64_t *origin,
                             double fill)
{
    for (size_t i = 0; i < out->n; i++) {
        const struct form *f = in + (origin[i] >> 40);
        size_t at = origin[i] & 0xffffffffff;
        struct dyadic d = {0, 0};

        if (origin[i] == ORIGIN_FILL) {
            if (!dyadic_from(&d, fill))
                return inexact(l);
        } else if (f->kind == FORM_CONST) {
            if (!dyadic_from(&d, form_at(f, at)))
                return inexact(l);
        } else if (f->b) {
            d = f->b[at];
        }
        if (d.m)
            AX_TRY(need_bias(l, out));
        if (out->b)
            out->b[i] = d;
    }
    return AX_OK;
}

ax_status form_gather(struct lowering *l, struct form *out,
                      const struct form *in, const uint64_t *origin,
                      double fill)
{
    bool all_const = true, all_pick = true;

    for (size_t i = 0; i < out->n; i++) {
        enum form_kind kind = FORM_CONST;

        if (origin[i] != ORIGIN_FILL)
            kind = in[origin[i] >> 40].kind;
        all_const &= kind == FORM_CONST;
        all_pick &= kind == FORM_CONST || kind == FORM_PICK;
    }
    if (all_const)
        return gather_constants(l, out, in, origin, fill);
    AX_TRY(gather_bias(l, out, in, origin, fill));
    if (all_pick) {
        out->kind = FORM_PICK;
        out->pick = net_alloc(l, out->n, sizeof *out->pick);
        if (!out->pick)
            return net_no_memory(l);
    } else {
        AX_TRY(begin_rows(l, out));
    }
    for (size_t i = 0; i < out->n; i++) {
        const struct form *f = in + (origin[i] >> 40);
        size_t at = origin[i] & 0xffffffffff;
        bool none = origin[i] == ORIGIN_FILL || f->kind == FORM_CONST;

        if (all_pick) {
            out->pick[i] = none ? NO_ELEMENT : f->pick[at];
            continue;
        }
        if (!none)
            AX_TRY(push_row(l, f, at, 1));
        out->row_ptr[i + 1] = l->n_terms;
    }
    return all_pick ? AX_OK : end_rows(l, out);
}

/* b of both, as far as they have one. */
static ax_status add_bias(struct lowering *l, struct form *out,
                          const struct form *a, const struct form *b,
                          int sign)
{
    if (!a->b && !b->b && b->kind != FORM_CONST)
        return AX_OK;
    out->b = NULL;
    AX_TRY(need_bias(l, out));
    for (size_t i = 0; i < out->n; i++) {
        struct dyadic d = {0, 0};

        if (b->kind == FORM_CONST) {
            if (!dyadic_from(&d, form_at(b, i)))
                return inexact(l);
        } else if (b->b) {
            d = b->b[i];
        }
        d.m *= sign;
        if (!dyadic_add(&out->b[i], a->b ? a->b[i] : (struct dyadic){0, 0},
                        d))
            return inexact(l);
    }
    return AX_OK;
}

static ax_status add_constants(struct lowering *l, struct form *out,
                               const struct form *a, const struct form *b,
                               int sign)
{
    out->value = net_alloc(l, out->n, sizeof *out->value);
    if (!out->value)
        return net_no_memory(l);
    for (size_t i = 0; i < out->n; i++)
        if (!exact_add(&out->value[i], form_at(a, i), sign * form_at(b, i)))
            return inexact(l);
    return AX_OK;
}

/* The terms from START on, two increasing runs that meet at MIDDLE, as one.
 * scratch_key and scratch_w have room for both. */
static ax_status merge_runs(struct lowering *l, size_t start, size_t middle,
                            uint32_t *scratch_key, double *scratch_w)
{
    size_t i = start, j = middle, n = 0, end = l->n_terms;

    while (i < middle || j < end) {
        double w;

        if (j == end || (i < middle && l->key[i] < l->key[j])) {
            scratch_key[n] = l->key[i];
            scratch_w[n++] = l->w[i++];
        } else if (i == middle || l->key[j] < l->key[i]) {
            scratch_key[n] = l->key[j];
            scratch_w[n++] = l->w[j++];
        } else {
            if (!exact_add(&w, l->w[i++], l->w[j]))
                return inexact(l);
            scratch_key[n] = l->key[j++];
            scratch_w[n] = w;
            n += w != 0;
        }
    }
    l->n_terms = start + n;
    if (!n)
        return AX_OK;
    memcpy(l->key + start, scratch_key, n * sizeof *scratch_key);
    memcpy(l->w + start, scratch_w, n * sizeof *scratch_w);
    return AX_OK;
}

static uint32_t all_elements(const struct lowering *l)
{
    return l->first[l->n_made];
}

ax_status form_of_constant(struct lowering *l, struct form *out,
                           const struct form *f)
{
    *out = *f;
    out->kind = FORM_PICK;
    out->pick = net_alloc(l, f->n, sizeof *out->pick);
    if (!out->pick)
        return net_no_memory(l);
    memset(out->pick, 0xff, f->n * sizeof *out->pick);
    return add_bias(l, out, out, f, 1);
}

ax_status form_add(struct lowering *l, struct form *out, const struct form *a,
                   const struct form *b, int sign)
{
    struct form left = *a;
    uint32_t *key;
    double *w;

    if (a->kind == FORM_CONST && b->kind != FORM_CONST)
        AX_TRY(form_of_constant(l, &left, a));
    if (b->kind == FORM_CONST) {
        *out = left;
        return a->kind == FORM_CONST ? add_constants(l, out, a, b, sign)
                                     : add_bias(l, out, a, b, sign);
    }
    AX_TRY(form_shape(l, out, a->rank, a->dims));
    AX_TRY(begin_rows(l, out));
    key = net_alloc(l, 2 * (size_t)all_elements(l), sizeof *key);
    w = net_alloc(l, 2 * (size_t)all_elements(l), sizeof *w);
    if (!key || !w)
        return net_no_memory(l);
    for (size_t i = 0; i < out->n; i++) {
        size_t start = l->n_terms, middle;

        AX_TRY(push_row(l, &left, i, 1));
        middle = l->n_terms;
        AX_TRY(push_row(l, b, i, sign));
        AX_TRY(merge_runs(l, start, middle, key, w));
        out->row_ptr[i + 1] = l->n_terms;
    }
    AX_TRY(end_rows(l, out));
    return add_bias(l, out, &left, b, sign);
}

static bool scaled(double *out, double v, double factor, bool divide)
{
    return divide ? exact_div(out, v, factor) : exact_mul(out, v, factor);
}

/* b / c for a double c: c's odd part must divide b's. */
static bool dyadic_div(struct dyadic *out, struct dyadic b, double c)
{
    struct dyadic d;

    if (!dyadic_from(&d, c) || !d.m || b.m % d.m)
        return false;
    *out = (struct dyadic){b.m / d.m, b.m ? b.e - d.e : 0};
    return !b.m || (out->e >= -1000 && out->e <= 900);
}

static ax_status scale_bias(struct lowering *l, struct form *out,
                            const struct form *a, const struct form *factor,
                            bool divide)
{
    out->b = NULL;
    if (!a->b)
        return AX_OK;
    AX_TRY(need_bias(l, out));
    for (size_t i = 0; i < out->n; i++)
        if (!(divide ? dyadic_div : dyadic_mul)(&out->b[i], a->b[i],
                                                form_at(factor, i)))
            return inexact(l);
    return AX_OK;
}

ax_status form_scale(struct lowering *l, struct form *out,
                     const struct form *a, const struct form *factor,
                     bool divide)
{
    *out = *a;
    if (a->kind == FORM_CONST) {
        out->value = net_alloc(l, out->n, sizeof *out->value);
        if (!out->value)
            return net_no_memory(l);
        for (size_t i = 0; i < out->n; i++)
            if (!scaled(&out->value[i], form_at(a, i), form_at(factor, i),
                        divide))
                return inexact(l);
        return AX_OK;
    }
    AX_TRY(begin_rows(l, out));
    for (size_t i = 0; i < out->n; i++) {
        size_t start = l->n_terms, n = start;

        AX_TRY(push_row(l, a, i, 1));
        for (size_t t = start; t < l->n_terms; t++) {
            if (!scaled(&l->w[n], l->w[t], form_at(factor, i), divide))
                return inexact(l);
            l->key[n] = l->key[t];
            n += l->w[n] != 0;
        }
        l->n_terms = n;
        out->row_ptr[i + 1] = n;
    }
    AX_TRY(end_rows(l, out));
    return scale_bias(l, out, a, factor, divide);
}

/* The bias of out = map(in) where in has one. */
static ax_status map_bias(struct lowering *l, struct form *out,
                          const struct form *in, const struct linear_map *map,
                          uint32_t *index, double *coef)
{
    if (!in->b)
        return AX_OK;
    AX_TRY(need_bias(l, out));
    for (size_t o = 0; o < out->n; o++) {
        size_t n = map->row(map, o, index, coef);

        for (size_t t = 0; t < n; t++) {
            struct dyadic d;

            if (!in->b[index[t]].m || coef[t] == 0)
                continue;
            if (!dyadic_mul(&d, in->b[index[t]], coef[t]) ||
                !dyadic_add(&out->b[o], out->b[o], d))
                return inexact(l);
        }
    }
    return AX_OK;
}

/* The one node that all of a PICK's elements belong to, if its map is worth
 * a dense block; or UINT32_MAX. */
static uint32_t dense_source(const struct lowering *l, const struct form *in,
                             const struct form *out,
                             const struct linear_map *map)
{
    uint32_t k = UINT32_MAX;

    for (size_t i = 0; i < in->n; i++) {
        uint32_t e = in->pick[i];

        if (e == NO_ELEMENT)
            continue;
        if (k == UINT32_MAX)
            for (k = 0; e >= l->first[k + 1]; k++)
                ;
        if (e < l->first[k] || e >= l->first[k + 1])
            return UINT32_MAX;
    }
    if (k != UINT32_MAX && (map->max_terms < 0.3 * l->net->nodes[k].n ||
                            (uint64_t)out->n * l->net->nodes[k].n > MAX_COEF))
        return UINT32_MAX;
    return k;
}

static ax_status map_dense(struct lowering *l, struct form *out,
                           const struct form *in,
                           const struct linear_map *map, uint32_t source,
                           uint32_t *index, double *coef)
{
    size_t n_in = l->net->nodes[source].n;
    uint32_t first = l->first[source];

    out->kind = FORM_DENSE;
    out->source = source;
    /* It may become the block itself. */
    out->w = net_keep(l, out->n * n_in, sizeof *out->w);
    if (!out->w)
        return net_no_memory(l);
    for (size_t o = 0; o < out->n; o++) {
        size_t n = map->row(map, o, index, coef);
        double *w = out->w + o * n_in;

        for (size_t t = 0; t < n; t++) {
            uint32_t e = in->pick[index[t]];

            if (e != NO_ELEMENT &&
                !exact_add(&w[e - first], w[e - first], coef[t]))
                return inexact(l);
        }
    }
    return AX_OK;
}

struct term {
    uint32_t key;
    double w;
};

static int by_term(const void *a, const void *b)
{
    uint32_t x = ((const struct term *)a)->key;
    uint32_t y = ((const struct term *)b)->key;

    return (x > y) - (x < y);
}

/* Terms from START on: sorted by element, equal elements added, zeros
 * dropped. Nearly always they are sorted already. scratch has room. */
static ax_status sort_terms(struct lowering *l, size_t start,
                            struct term *scratch)
{
    size_t n = l->n_terms - start, at = start;
    bool sorted = true;

    for (size_t t = start + 1; t < l->n_terms; t++)
        sorted &= l->key[t - 1] < l->key[t];
    if (sorted)
        return AX_OK;
    for (size_t t = 0; t < n; t++)
        scratch[t] = (struct term){l->key[start + t], l->w[start + t]};
    qsort(scratch, n, sizeof *scratch, by_term);
    for (size_t t = 0; t < n; t++) {
        double w = scratch[t].w;

        for (; t + 1 < n && scratch[t + 1].key == scratch[t].key; t++)
            if (!exact_add(&w, w, scratch[t + 1].w))
                return inexact(l);
        l->key[at] = scratch[t].key;
        l->w[at] = w;
        at += w != 0;
    }
    l->n_terms = at;
    return AX_OK;
}

static ax_status map_picks(struct lowering *l, struct form *out,
                           const struct form *in,
                           const struct linear_map *map, uint32_t *index,
                           double *coef)
{
    struct term *scratch = net_alloc(l, map->max_terms, sizeof *scratch);

    if (!scratch)
        return net_no_memory(l);
    AX_TRY(begin_rows(l, out));
    for (size_t o = 0; o < out->n; o++) {
        size_t n = map->row(map, o, index, coef), start = l->n_terms;

        for (size_t t = 0; t < n; t++)
            if (in->pick[index[t]] != NO_ELEMENT && coef[t] != 0)
                AX_TRY(push_term(l, in->pick[index[t]], coef[t]));
        AX_TRY(sort_terms(l, start, scratch));
        out->row_ptr[o + 1] = l->n_terms;
    }
    return end_rows(l, out);
}

static int by_key(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* What map_rows adds up in: one number an element, and which were used. */
struct sums {
    double *sum;
    bool *used;
    uint32_t *touched;
    size_t n;
};

static ax_status add_term(struct lowering *l, struct sums *s, uint32_t key,
                          double w, double coef)
{
    double p;

    if (!exact_mul(&p, w, coef) || !exact_add(&s->sum[key], s->sum[key], p))
        return inexact(l);
    if (!s->used[key]) {
        s->used[key] = true;
        s->touched[s->n++] = key;
    }
    return AX_OK;
}

static ax_status flush_sums(struct lowering *l, struct sums *s)
{
    qsort(s->touched, s->n, sizeof *s->touched, by_key);
    for (size_t i = 0; i < s->n; i++) {
        uint32_t key = s->touched[i];

        if (s->sum[key] != 0)
            AX_TRY(push_term(l, key, s->sum[key]));
        s->sum[key] = 0;
        s->used[key] = false;
    }
    s->n = 0;
    return AX_OK;
}

/* A linear map of what is already a linear map. */
static ax_status map_rows(struct lowering *l, struct form *out,
                          const struct form *in, const struct linear_map *map,
                          uint32_t *index, double *coef)
{
    size_t all = all_elements(l);
    struct sums s = {net_alloc(l, all, sizeof *s.sum),
                     net_alloc(l, all, sizeof *s.used),
                     net_alloc(l, all, sizeof *s.touched), 0};

    if (!s.sum || !s.used || !s.touched)
        return net_no_memory(l);
    memset(s.sum, 0, all * sizeof *s.sum);
    memset(s.used, 0, all * sizeof *s.used);
    AX_TRY(begin_rows(l, out));
    for (size_t o = 0; o < out->n; o++) {
        size_t n = map->row(map, o, index, coef);

        for (size_t t = 0; t < n; t++) {
            size_t i = index[t], start = l->n_terms, end;

            if (coef[t] == 0)
                continue;
            AX_TRY(push_row(l, in, i, 1));
            end = l->n_terms;
            l->n_terms = start;
            for (size_t u = start; u < end; u++)
                AX_TRY(add_term(l, &s, l->key[u], l->w[u], coef[t]));
        }
        AX_TRY(flush_sums(l, &s));
        out->row_ptr[o + 1] = l->n_terms;
    }
    return end_rows(l, out);
}

ax_status form_map(struct lowering *l, struct form *out,
                   const struct form *in, const struct linear_map *map)
{
    uint32_t *index = net_alloc(l, map->max_terms, sizeof *index);
    double *coef = net_alloc(l, map->max_terms, sizeof *coef);
    uint32_t source;

    if (!index || !coef)
        return net_no_memory(l);
    AX_TRY(map_bias(l, out, in, map, index, coef));
    if (in->kind != FORM_PICK)
        return map_rows(l, out, in, map, index, coef);
    source = dense_source(l, in, out, map);
    if (source != UINT32_MAX)
        return map_dense(l, out, in, map, source, index, coef);
    return map_picks(l, out, in, map, index, coef);
}
