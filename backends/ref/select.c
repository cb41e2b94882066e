/* Operators that look for elements: NonMaxSuppression, Unique,
 * TfIdfVectorizer. */
#include "ref.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* -- NonMaxSuppression ----------------------------------------------------
 */

struct box {
    double y0, x0, y1, x1, score;
    int64_t index;
};

static struct box box_at(const struct ax_tensor *t, size_t k, bool centre)
{
    double v[4];

    ax_get_f64(v, t->dtype, t->data, 4 * k, 4);
    if (centre) /* x, y, width, height */
        return (struct box){v[1] - v[3] / 2,
                            v[0] - v[2] / 2,
                            v[1] + v[3] / 2,
                            v[0] + v[2] / 2,
                            0,
                            0};
    return (struct box){fmin(v[0], v[2]),
                        fmin(v[1], v[3]),
                        fmax(v[0], v[2]),
                        fmax(v[1], v[3]),
                        0,
                        0};
}

static int by_score(const void *a, const void *b)
{
    const struct box *p = a, *q = b;

    if (p->score != q->score)
        return p->score > q->score ? -1 : 1;
    return p->index < q->index ? -1 : p->index > q->index;
}

/* Area of both over area of either. */
static double overlap(const struct box *p, const struct box *q)
{
    double h = fmin(p->y1, q->y1) - fmax(p->y0, q->y0);
    double w = fmin(p->x1, q->x1) - fmax(p->x0, q->x0);
    double a = (p->y1 - p->y0) * (p->x1 - p->x0);
    double b = (q->y1 - q->y0) * (q->x1 - q->x0);

    if (!(h > 0 && w > 0 && a > 0 && b > 0))
        return 0;
    return h * w / (a + b - h * w);
}

struct suppression {
    int64_t batches, classes, boxes, most;
    double overlap, score;
    bool centre, has_score;
};

static ax_status suppression_init(struct suppression *s,
                                  const struct ax_call *c, struct ax_err *err)
{
    int64_t most[1] = {0};
    int n;

    for (uint32_t i = 0; i < 2; i++) {
        AX_TRY(ref_want(c, i, REALS, err));
        AX_TRY(ref_want_rank(c, i, 3, 3, err));
    }
    AX_TRY(ref_ints(most, &n, 1, c, 2, err));
    AX_TRY(ref_scalar(&s->overlap, c, 3, 0, err));
    AX_TRY(ref_scalar(&s->score, c, 4, 0, err));
    s->has_score = ax_call_has(c, 4);
    s->centre = ax_node_int(c->node, "center_point_box", 0) != 0;
    s->batches = c->in[1]->dims[0];
    s->classes = c->in[1]->dims[1];
    s->boxes = c->in[1]->dims[2];
    s->most = most[0] < 0 ? 0 : most[0] < s->boxes ? most[0] : s->boxes;
    if (c->in[0]->dims[0] != s->batches || c->in[0]->dims[1] != s->boxes ||
        c->in[0]->dims[2] != 4)
        return ax_fail(err, AX_ESHAPE, "the boxes do not fit the scores");
    return AX_OK;
}

/* The boxes of one class that stay, first in ALL. */
static int64_t suppress(struct box *all, const struct suppression *s,
                        const struct ax_call *c, int64_t batch, int64_t class)
{
    int64_t n = 0, kept = 0;

    for (int64_t k = 0; k < s->boxes; k++) {
        double score = ref_number(
            c->in[1], (size_t)((batch * s->classes + class) * s->boxes + k));

        if (isnan(score) || (s->has_score && !(score > s->score)))
            continue;
        all[n] = box_at(c->in[0], (size_t)(batch * s->boxes + k), s->centre);
        all[n].score = score;
        all[n++].index = k;
    }
    qsort(all, (size_t)n, sizeof *all, by_score);
    for (int64_t k = 0; k < n && kept < s->most; k++) {
        int64_t i = 0;

        while (i < kept && !(overlap(&all[i], &all[k]) > s->overlap))
            i++;
        if (i == kept)
            all[kept++] = all[k];
    }
    return kept;
}

static ax_status non_max_suppression(struct ax_call *c, struct ax_err *err)
{
    struct suppression s = {.most = 0};
    int64_t dims[2] = {0, 3}, *found;
    void *boxes, *p;
    size_t room;

    AX_TRY(suppression_init(&s, c, err));
    room = (size_t)s.batches * (size_t)s.classes * (size_t)s.most;
    AX_TRY(ax_call_scratch(c, &boxes, (size_t)s.boxes * sizeof(struct box),
                           err));
    AX_TRY(ax_call_scratch(c, &p, 3 * room * sizeof *found, err));
    found = p;
    for (int64_t i = 0; s.most > 0 && i < s.batches * s.classes; i++) {
        const struct box *all = boxes;
        int64_t kept = suppress(boxes, &s, c, i / s.classes, i % s.classes);

        for (int64_t k = 0; k < kept; k++) {
            int64_t *row = found + 3 * dims[0]++;

            row[0] = i / s.classes;
            row[1] = i % s.classes;
            row[2] = all[k].index;
        }
    }
    AX_TRY(ax_call_out(c, 0, AX_I64, 2, dims, err));
    if (dims[0])
        memcpy(c->out[0]->data, found, c->out[0]->nbytes);
    return AX_OK;
}

/* -- Unique ---------------------------------------------------------------
 */

/* Items [n], each of outer * inner elements. */
struct unique {
    const struct ax_tensor *x;
    size_t outer, n, inner;
};

struct item {
    const struct unique *u;
    size_t i;     /* of the input */
    size_t group; /* what it is equal to, in the order of the output */
    size_t first; /* the first item of the group */
};

/* NaN comes last, and is equal to itself. */
static int compare_elements(const struct ax_tensor *x, size_t i, size_t j)
{
    double a, b;

    if (ax_dtype_class(x->dtype) != AX_CLASS_REAL) {
        int64_t p = ref_integer(x, i), q = ref_integer(x, j);

        if (ax_dtype_class(x->dtype) == AX_CLASS_UNSIGNED)
            return ((uint64_t)p > (uint64_t)q) - ((uint64_t)p < (uint64_t)q);
        return (p > q) - (p < q);
    }
    a = ref_number(x, i);
    b = ref_number(x, j);
    if (isnan(a) || isnan(b))
        return (isnan(a) != 0) - (isnan(b) != 0);
    return (a > b) - (a < b);
}

static size_t item_element(const struct unique *u, size_t i, size_t k)
{
    return (k / u->inner * u->n + i) * u->inner + k % u->inner;
}

static int compare_items(const struct item *p, const struct item *q)
{
    for (size_t k = 0; k < p->u->outer * p->u->inner; k++) {
        int d = compare_elements(p->u->x, item_element(p->u, p->i, k),
                                 item_element(p->u, q->i, k));

        if (d)
            return d;
    }
    return 0;
}

static int by_value(const void *a, const void *b)
{
    const struct item *p = a, *q = b;
    int d = compare_items(p, q);

    return d ? d : (p->i > q->i) - (p->i < q->i);
}

static int by_first(const void *a, const void *b)
{
    const struct item *p = a, *q = b;

    if (p->first != q->first)
        return p->first > q->first ? 1 : -1;
    return (p->i > q->i) - (p->i < q->i);
}

/* Bring equal items together; returns how many differ. */
static size_t group(struct item *items, const struct unique *u, bool sorted)
{
    size_t groups = 0;

    for (size_t i = 0; i < u->n; i++)
        items[i] = (struct item){.u = u, .i = i};
    qsort(items, u->n, sizeof *items, by_value);
    for (size_t i = 0; i < u->n; i++)
        items[i].first = i && compare_items(&items[i - 1], &items[i]) == 0
                             ? items[i - 1].first
                             : items[i].i;
    if (!sorted)
        qsort(items, u->n, sizeof *items, by_first);
    for (size_t i = 0; i < u->n; i++) {
        groups += i == 0 || items[i].first != items[i - 1].first;
        items[i].group = groups - 1;
    }
    return groups;
}

static ax_status unique_numbers(struct ax_call *c, const struct item *items,
                                size_t n, size_t groups, struct ax_err *err)
{
    const int64_t some[] = {(int64_t)groups}, all[] = {(int64_t)n};

    for (uint32_t o = 1; o < 4; o++) {
        int64_t *y;

        if (!ax_call_wants(c, o))
            continue;
        AX_TRY(ax_call_out(c, o, AX_I64, 1, o == 2 ? all : some, err));
        y = c->out[o]->data;
        if (o == 3)
            memset(y, 0, c->out[o]->nbytes);
        for (size_t i = 0; i < n; i++)
            if (o == 1)
                y[items[i].group] = (int64_t)items[i].first;
            else if (o == 2)
                y[items[i].i] = (int64_t)items[i].group;
            else
                y[items[i].group]++;
    }
    return AX_OK;
}

static ax_status unique(struct ax_call *c, struct ax_err *err)
{
    const struct ax_attr *along = ax_node_attr(c->node, "axis");
    struct unique u = {.outer = 1, .inner = 1};
    int64_t dims[AX_RANK_MAX];
    size_t groups, size;
    struct item *items;
    int axis = 0;
    void *p;

    AX_TRY(ref_want(c, 0, ALL_DTYPES, err));
    u.x = c->in[0];
    u.n = ax_tensor_count(u.x);
    if (along) {
        AX_TRY(ref_axis(&axis, along->i, u.x->rank, err));
        u.outer = (size_t)ref_product(u.x->dims, 0, axis);
        u.n = (size_t)u.x->dims[axis];
        u.inner = (size_t)ref_product(u.x->dims, axis + 1, u.x->rank);
    }
    AX_TRY(ax_call_scratch(c, &p, u.n * sizeof *items, err));
    items = p;
    groups = group(items, &u, ax_node_int(c->node, "sorted", 1) != 0);
    memcpy(dims, u.x->dims, sizeof dims);
    dims[axis] = (int64_t)groups;
    AX_TRY(ax_call_out(c, 0, u.x->dtype, along ? u.x->rank : 1, dims, err));
    size = ax_dtype_size(u.x->dtype);
    for (size_t i = 0; i < u.n; i++)
        for (size_t k = 0; k < u.outer * u.inner; k++)
            if (items[i].i == items[i].first)
                memcpy(
                    (char *)c->out[0]->data +
                        ((k / u.inner * groups + items[i].group) * u.inner +
                         k % u.inner) *
                            size,
                    (const char *)u.x->data +
                        item_element(&u, items[i].i, k) * size,
                    size);
    return unique_numbers(c, items, u.n, groups, err);
}

/* -- TfIdfVectorizer ------------------------------------------------------
 */

struct grams {
    const struct ax_attr *counts, *indexes, *pool, *weights;
    int64_t min, max, skip, columns;
};

static ax_status grams_init(struct grams *g, const struct ax_node *n,
                            struct ax_err *err)
{
    g->counts = ref_attr(n, "ngram_counts", AX_ATTR_INTS);
    g->indexes = ref_attr(n, "ngram_indexes", AX_ATTR_INTS);
    g->pool = ref_attr(n, "pool_int64s", AX_ATTR_INTS);
    g->weights = ref_attr(n, "weights", AX_ATTR_FLOATS);
    g->min = ax_node_int(n, "min_gram_length", 0);
    g->max = ax_node_int(n, "max_gram_length", 0);
    g->skip = ax_node_int(n, "max_skip_count", 0);
    if (!g->counts || !g->indexes || !g->pool)
        return ax_fail(err, AX_EFORMAT,
                       "wants ngram_counts, ngram_indexes and pool_int64s");
    if (g->min < 1 || g->max < g->min || (size_t)g->max > g->counts->n ||
        g->skip < 0 || g->skip > 1 << 20 ||
        (g->weights && g->weights->n != g->indexes->n))
        return ax_fail(err, AX_EFORMAT, "lengths %lld to %lld, %zu counts",
                       (long long)g->min, (long long)g->max, g->counts->n);
    for (size_t k = 0; k < g->counts->n; k++)
        if (g->counts->ints[k] < (k ? g->counts->ints[k - 1] : 0) ||
            g->counts->ints[k] > (int64_t)g->pool->n)
            return ax_fail(err, AX_EFORMAT, "ngram_counts has %lld",
                           (long long)g->counts->ints[k]);
    for (size_t k = 0; k < g->indexes->n; k++) {
        if (g->indexes->ints[k] < 0 || g->indexes->ints[k] > 1 << 30)
            return ax_fail(err, AX_EFORMAT, "ngram_indexes has %lld",
                           (long long)g->indexes->ints[k]);
        if (g->indexes->ints[k] >= g->columns)
            g->columns = g->indexes->ints[k] + 1;
    }
    return AX_OK;
}

/* Count the n-grams of N words in a row of LEN that are in the pool. */
static void count_grams(double *out, const struct grams *g,
                        const struct ax_tensor *x, size_t row, int64_t len,
                        int64_t n, int64_t step)
{
    int64_t first = g->counts->ints[n - 1], before = 0;
    int64_t end = (size_t)n < g->counts->n ? g->counts->ints[n]
                                           : (int64_t)g->pool->n;

    for (int64_t k = 1; k < n; k++)
        before += (g->counts->ints[k] - g->counts->ints[k - 1]) / k;
    for (int64_t i = 0; i + (n - 1) * step < len; i++)
        for (int64_t p = first; p + n <= end; p += n) {
            size_t which = (size_t)(before + (p - first) / n);
            int64_t k = 0;

            while (k < n && ref_integer(x, row + (size_t)(i + k * step)) ==
                                g->pool->ints[p + k])
                k++;
            if (k == n && which < g->indexes->n)
                out[g->indexes->ints[which]]++;
        }
}

/* Weights are given in the order of the pool, results are by index. */
static void weigh(double *out, const struct grams *g, const char *mode)
{
    bool idf = strcmp(mode, "IDF") == 0;

    if (strcmp(mode, "TF") == 0)
        return;
    for (size_t k = 0; k < g->indexes->n; k++) {
        double *y = &out[g->indexes->ints[k]];
        double w = g->weights ? (double)g->weights->floats[k] : 1;

        *y = idf ? (*y > 0 ? w : 0) : *y * w;
    }
}

static ax_status tf_idf(struct ax_call *c, struct ax_err *err)
{
    const char *mode = ax_node_string(c->node, "mode", "");
    struct grams g = {.columns = 0};
    int64_t dims[2], len;
    double *row;
    void *p;

    AX_TRY(ref_want(c, 0, BIT(AX_I32) | BIT(AX_I64), err));
    AX_TRY(ref_want_rank(c, 0, 1, 2, err));
    AX_TRY(grams_init(&g, c->node, err));
    if (strcmp(mode, "TF") != 0 && strcmp(mode, "IDF") != 0 &&
        strcmp(mode, "TFIDF") != 0)
        return ax_fail(err, AX_EUNSUPPORTED, "mode '%.80s'", mode);
    len = c->in[0]->dims[c->in[0]->rank - 1];
    dims[0] = c->in[0]->rank == 2 ? c->in[0]->dims[0] : g.columns;
    dims[1] = g.columns;
    AX_TRY(ax_call_out(c, 0, AX_F32, c->in[0]->rank, dims, err));
    AX_TRY(ax_call_scratch(c, &p, (size_t)g.columns * sizeof *row, err));
    row = p;
    for (int64_t r = 0; r < (c->in[0]->rank == 2 ? dims[0] : 1); r++) {
        memset(row, 0, (size_t)g.columns * sizeof *row);
        for (int64_t n = g.min; n <= g.max; n++)
            for (int64_t s = 0; s <= (n == 1 ? 0 : g.skip); s++)
                count_grams(row, &g, c->in[0], (size_t)(r * len), len, n,
                            s + 1);
        weigh(row, &g, mode);
        ax_put_f64(AX_F32, c->out[0]->data, (size_t)(r * g.columns), row,
                   (size_t)g.columns);
    }
    return AX_OK;
}

const struct ax_kernel ref_select[] = {
    {"NonMaxSuppression", non_max_suppression, NULL, NULL},
    {"TfIdfVectorizer", tf_idf, NULL, NULL},
    {"Unique", unique, NULL, NULL},
    {0},
};
