/* Ensembles of decision trees: TreeEnsembleClassifier,
 * TreeEnsembleRegressor. The attributes are compiled once into an array of
 * nodes, checked to be trees. */
#include "ref.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum mode { LEAF, LEQ, LT, GTE, GT, EQ, NEQ, N_MODES };

static const char *const mode_names[N_MODES] = {
    "LEAF",      "BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE",
    "BRANCH_GT", "BRANCH_EQ",  "BRANCH_NEQ"};

struct tree_node {
    int64_t tree, id; /* sorted by these */
    int64_t yes_id, no_id, feature;
    enum mode mode;
    bool missing_yes, has_parent;
    float value;
    uint32_t yes, no;          /* indexes of nodes */
    uint32_t first, n_weights; /* of a leaf: in weights */
};

struct tree_weight {
    int64_t tree, id, target;
    float w;
};

struct ensemble {
    size_t n_nodes, n_weights, n_targets, n_roots;
    struct tree_node *nodes;
    struct tree_weight *weights;
    uint32_t *roots;
    int64_t n_features; /* one more than the largest index */
    bool one_target, all_positive;
};

static void drop(void *state)
{
    struct ensemble *e = state;

    free(e->nodes);
    free(e->weights);
    free(e->roots);
    free(e);
}

/* -- compiling -------------------------------------------------------------
 */

static int order(int64_t ta, int64_t ia, int64_t tb, int64_t ib)
{
    if (ta != tb)
        return ta < tb ? -1 : 1;
    return ia < ib ? -1 : ia > ib;
}

static int by_node(const void *a, const void *b)
{
    const struct tree_node *p = a, *q = b;

    return order(p->tree, p->id, q->tree, q->id);
}

static int by_weight(const void *a, const void *b)
{
    const struct tree_weight *p = a, *q = b;
    int o = order(p->tree, p->id, q->tree, q->id);

    return o ? o : p->target < q->target ? -1 : p->target > q->target;
}

/* An attribute of N elements of a kind; optional ones may be absent. */
static ax_status list(const struct ax_attr **out, const struct ax_node *node,
                      const char *name, ax_attr_kind kind, size_t n,
                      bool optional, struct ax_err *err)
{
    *out = ax_node_attr(node, name);
    if (!*out && optional)
        return AX_OK;
    if (!*out || (*out)->kind != kind || (n && (*out)->n != n))
        return ax_fail(err, AX_EFORMAT, "attribute %s wants %zu elements",
                       name, n);
    return AX_OK;
}

static ax_status mode_of(enum mode *out, const char *name, struct ax_err *err)
{
    for (int m = 0; m < N_MODES; m++)
        if (strcmp(mode_names[m], name) == 0) {
            *out = (enum mode)m;
            return AX_OK;
        }
    return ax_fail(err, AX_EUNSUPPORTED, "node mode '%.40s'", name);
}

static ax_status read_nodes(struct ensemble *e, const struct ax_node *node,
                            struct ax_err *err)
{
    const struct ax_attr *tree, *id, *feature, *mode, *value, *yes, *no,
        *missing;
    size_t n;

    AX_TRY(list(&tree, node, "nodes_treeids", AX_ATTR_INTS, 0, false, err));
    n = tree->n;
    AX_TRY(list(&id, node, "nodes_nodeids", AX_ATTR_INTS, n, false, err));
    AX_TRY(list(&feature, node, "nodes_featureids", AX_ATTR_INTS, n, false,
                err));
    AX_TRY(list(&mode, node, "nodes_modes", AX_ATTR_STRINGS, n, false, err));
    AX_TRY(list(&value, node, "nodes_values", AX_ATTR_FLOATS, n, false, err));
    AX_TRY(
        list(&yes, node, "nodes_truenodeids", AX_ATTR_INTS, n, false, err));
    AX_TRY(
        list(&no, node, "nodes_falsenodeids", AX_ATTR_INTS, n, false, err));
    AX_TRY(list(&missing, node, "nodes_missing_value_tracks_true",
                AX_ATTR_INTS, 0, true, err));
    e->n_nodes = n;
    e->nodes = calloc(n + 1, sizeof *e->nodes);
    if (!e->nodes || n > UINT32_MAX)
        return ax_fail(err, AX_ENOMEM, "no memory for %zu nodes", n);
    for (size_t i = 0; i < n; i++) {
        struct tree_node *t = &e->nodes[i];

        t->tree = tree->ints[i];
        t->id = id->ints[i];
        t->feature = feature->ints[i];
        t->value = value->floats[i];
        t->yes_id = yes->ints[i];
        t->no_id = no->ints[i];
        t->missing_yes = missing && i < missing->n && missing->ints[i] != 0;
        AX_TRY(mode_of(&t->mode, mode->strings[i], err));
        if (t->mode != LEAF && t->feature >= e->n_features)
            e->n_features = t->feature + 1;
        if (t->feature < 0 || t->feature == INT64_MAX)
            return ax_fail(err, AX_EFORMAT, "node %zu tests feature %lld", i,
                           (long long)t->feature);
    }
    qsort(e->nodes, n, sizeof *e->nodes, by_node);
    return AX_OK;
}

static ax_status child(uint32_t *out, struct ensemble *e, size_t i,
                       int64_t id, struct ax_err *err)
{
    struct tree_node key = {.tree = e->nodes[i].tree, .id = id}, *to;

    to = bsearch(&key, e->nodes, e->n_nodes, sizeof key, by_node);
    if (!to || to->has_parent || to == &e->nodes[i])
        return ax_fail(err, AX_EFORMAT,
                       "tree %lld: node %lld has a child %lld that does not "
                       "exist or has two parents",
                       (long long)key.tree, (long long)e->nodes[i].id,
                       (long long)id);
    to->has_parent = true;
    *out = (uint32_t)(to - e->nodes);
    return AX_OK;
}

/* Children found, each with one parent; nodes without one are roots, one a
 * tree. A cycle has no root, so a walk from a root ends. */
static ax_status link_nodes(struct ensemble *e, struct ax_err *err)
{
    for (size_t i = 0; i + 1 < e->n_nodes; i++)
        if (by_node(&e->nodes[i], &e->nodes[i + 1]) == 0)
            return ax_fail(err, AX_EFORMAT, "tree %lld has two nodes %lld",
                           (long long)e->nodes[i].tree,
                           (long long)e->nodes[i].id);
    for (size_t i = 0; i < e->n_nodes; i++) {
        struct tree_node *t = &e->nodes[i];

        if (t->mode == LEAF)
            continue;
        AX_TRY(child(&t->yes, e, i, t->yes_id, err));
        AX_TRY(child(&t->no, e, i, t->no_id, err));
    }
    e->roots = calloc(e->n_nodes + 1, sizeof *e->roots);
    if (!e->roots)
        return ax_fail(err, AX_ENOMEM, "no memory for %zu nodes", e->n_nodes);
    for (size_t i = 0; i < e->n_nodes; i++) {
        if (e->nodes[i].has_parent)
            continue;
        if (e->n_roots > 0 &&
            e->nodes[e->roots[e->n_roots - 1]].tree == e->nodes[i].tree)
            return ax_fail(err, AX_EFORMAT, "tree %lld has two roots",
                           (long long)e->nodes[i].tree);
        e->roots[e->n_roots++] = (uint32_t)i;
    }
    return AX_OK;
}

static ax_status read_weights(struct ensemble *e, const struct ax_node *node,
                              const char *prefix, struct ax_err *err)
{
    const struct ax_attr *tree, *id, *target, *w;
    char name[4][32];

    for (int i = 0; i < 4; i++)
        snprintf(
            name[i], sizeof name[i], "%s_%s", prefix,
            (const char *const[]){"treeids", "nodeids", "ids", "weights"}[i]);
    AX_TRY(list(&tree, node, name[0], AX_ATTR_INTS, 0, false, err));
    AX_TRY(list(&id, node, name[1], AX_ATTR_INTS, tree->n, false, err));
    AX_TRY(list(&target, node, name[2], AX_ATTR_INTS, tree->n, false, err));
    AX_TRY(list(&w, node, name[3], AX_ATTR_FLOATS, tree->n, false, err));
    e->n_weights = tree->n;
    e->weights = calloc(tree->n + 1, sizeof *e->weights);
    if (!e->weights)
        return ax_fail(err, AX_ENOMEM, "no memory for %zu weights", tree->n);
    e->one_target = e->all_positive = true;
    for (size_t i = 0; i < tree->n; i++) {
        if (target->ints[i] < 0 || target->ints[i] >= (int64_t)e->n_targets)
            return ax_fail(err, AX_EFORMAT,
                           "weight %zu is for target %lld "
                           "of %zu",
                           i, (long long)target->ints[i], e->n_targets);
        e->weights[i] = (struct tree_weight){tree->ints[i], id->ints[i],
                                             target->ints[i], w->floats[i]};
        e->one_target &= target->ints[i] == target->ints[0];
        e->all_positive &= w->floats[i] >= 0;
    }
    qsort(e->weights, e->n_weights, sizeof *e->weights, by_weight);
    return AX_OK;
}

/* Give each leaf its weights. */
static ax_status link_weights(struct ensemble *e, struct ax_err *err)
{
    for (size_t i = 0; i < e->n_weights; i++) {
        struct tree_node key = {.tree = e->weights[i].tree,
                                .id = e->weights[i].id},
                         *t;

        t = bsearch(&key, e->nodes, e->n_nodes, sizeof key, by_node);
        if (!t)
            return ax_fail(err, AX_EFORMAT,
                           "tree %lld has no node %lld for a weight",
                           (long long)key.tree, (long long)key.id);
        if (t->n_weights++ == 0)
            t->first = (uint32_t)i;
    }
    return AX_OK;
}

static ax_status compile(struct ensemble **out, const struct ax_node *node,
                         const char *prefix, size_t n_targets,
                         struct ax_err *err)
{
    struct ensemble *e = calloc(1, sizeof *e);
    ax_status st;

    if (!e)
        return ax_fail(err, AX_ENOMEM, "no memory for trees");
    e->n_targets = n_targets;
    st = read_nodes(e, node, err);
    if (st == AX_OK)
        st = link_nodes(e, err);
    if (st == AX_OK)
        st = read_weights(e, node, prefix, err);
    if (st == AX_OK)
        st = link_weights(e, err);
    if (st != AX_OK) {
        drop(e);
        return st;
    }
    *out = e;
    return AX_OK;
}

/* -- running ---------------------------------------------------------------
 */

static bool test(const struct tree_node *t, float x)
{
    if (isnan(x))
        return t->missing_yes || t->mode == NEQ;
    switch (t->mode) {
    case LEQ:
        return x <= t->value;
    case LT:
        return x < t->value;
    case GTE:
        return x >= t->value;
    case GT:
        return x > t->value;
    case EQ:
        return x == t->value;
    default:
        return x != t->value;
    }
}

/* How a target's values are put together. */
struct sums {
    float *z;
    bool *seen;
    char how; /* 'S' sum, 'A' average, 'M' minimum, 'X' maximum */
};

static void add_leaf(struct sums *s, const struct ensemble *e,
                     const struct tree_node *leaf)
{
    for (uint32_t i = 0; i < leaf->n_weights; i++) {
        const struct tree_weight *w = &e->weights[leaf->first + i];
        float *z = &s->z[w->target];

        if (s->how == 'S' || s->how == 'A' || !s->seen[w->target])
            *z += w->w;
        else if (s->how == 'M')
            *z = w->w < *z ? w->w : *z;
        else
            *z = w->w > *z ? w->w : *z;
        s->seen[w->target] = true;
    }
}

static void run_row(struct sums *s, const struct ensemble *e,
                    const struct ax_tensor *x, size_t at)
{
    memset(s->z, 0, e->n_targets * sizeof *s->z);
    memset(s->seen, 0, e->n_targets);
    for (size_t r = 0; r < e->n_roots; r++) {
        const struct tree_node *t = &e->nodes[e->roots[r]];

        while (t->mode != LEAF) {
            double v;

            ax_get_f64(&v, x->dtype, x->data, at + (size_t)t->feature, 1);
            t = &e->nodes[test(t, (float)v) ? t->yes : t->no];
        }
        add_leaf(s, e, t);
    }
    for (size_t k = 0; s->how == 'A' && k < e->n_targets && e->n_roots; k++)
        s->z[k] /= (float)e->n_roots;
}

static ax_status prepare(struct ensemble **e, struct ax_call *c,
                         const char *prefix, size_t n_targets,
                         struct ax_err *err)
{
    AX_TRY(ref_want(
        c, 0, BIT(AX_F32) | BIT(AX_F64) | BIT(AX_I32) | BIT(AX_I64), err));
    AX_TRY(ref_want_rank(c, 0, 2, 2, err));
    if (!*c->state) {
        AX_TRY(compile(e, c->node, prefix, n_targets, err));
        *c->state = *e;
    }
    *e = *c->state;
    if (c->in[0]->dims[1] < (*e)->n_features)
        return ax_fail(err, AX_ESHAPE,
                       "the trees test %lld features, the "
                       "input has %lld",
                       (long long)(*e)->n_features,
                       (long long)c->in[0]->dims[1]);
    return AX_OK;
}

static ax_status start(struct sums *s, struct ax_call *c,
                       const struct ensemble *e, const struct ax_attr **base,
                       struct ax_err *err)
{
    void *p;

    *base = ax_node_attr(c->node, "base_values");
    if (*base && ((*base)->kind != AX_ATTR_FLOATS ||
                  ((*base)->n != e->n_targets && (*base)->n != 1)))
        return ax_fail(err, AX_EFORMAT, "%zu base values for %zu targets",
                       (*base)->n, e->n_targets);
    AX_TRY(ax_call_scratch(c, &p, e->n_targets, err));
    s->seen = p;
    AX_TRY(ax_call_scratch(c, &p, e->n_targets * sizeof(float), err));
    s->z = p;
    return AX_OK;
}

/* Two classes whose leaves speak of one alone: its score decides. */
static int64_t two_classes(float *z, const struct ensemble *e,
                           const struct ax_node *node, struct ax_err *err,
                           ax_status *st)
{
    int64_t target = e->n_weights ? e->weights[0].target : 0;
    float s = z[target];

    *st = target == 0 ? ref_second_class(z, e->all_positive, node, err)
                      : ref_post_transform(z, 2, node, err);
    return e->all_positive ? s > 0.5f : s > 0;
}

static ax_status classifier(struct ax_call *c, struct ax_err *err)
{
    const struct ax_attr *labels, *base;
    struct sums s = {.how = 'S'};
    struct ensemble *e;
    int64_t rows, *y;
    ax_status st = AX_OK;

    AX_TRY(ref_labels(&labels, c->node, "classlabels_int64s", err));
    AX_TRY(prepare(&e, c, "class", labels->n, err));
    rows = c->in[0]->dims[0];
    AX_TRY(ax_call_out(c, 0, AX_I64, 1, &rows, err));
    AX_TRY(ax_call_out(c, 1, AX_F32, 2, (int64_t[]){rows, (int64_t)labels->n},
                       err));
    AX_TRY(start(&s, c, e, &base, err));
    y = c->out[0]->data;
    for (int64_t r = 0; r < rows && st == AX_OK; r++) {
        int64_t best = 0;

        run_row(&s, e, c->in[0], (size_t)(r * c->in[0]->dims[1]));
        for (size_t k = 0; base && k < e->n_targets; k++)
            s.z[k] += base->floats[base->n == 1 ? 0 : k];
        if (e->one_target && labels->n == 2) {
            best = two_classes(s.z, e, c->node, err, &st);
        } else {
            for (size_t k = 1; k < e->n_targets; k++)
                best = s.z[k] > s.z[best] ? (int64_t)k : best;
            st = ref_post_transform(s.z, (int64_t)labels->n, c->node, err);
        }
        y[r] = labels->ints[best];
        memcpy((float *)c->out[1]->data + r * (int64_t)labels->n, s.z,
               labels->n * sizeof(float));
    }
    return st;
}

static ax_status regressor(struct ax_call *c, struct ax_err *err)
{
    const char *how = ax_node_string(c->node, "aggregate_function", "SUM");
    int64_t targets = ax_node_int(c->node, "n_targets", 1);
    struct sums s = {.how = how[0]};
    const struct ax_attr *base;
    struct ensemble *e;
    int64_t rows;

    if (strcmp(how, "MAX") == 0)
        s.how = 'X';
    else if (strcmp(how, "SUM") && strcmp(how, "AVERAGE") &&
             strcmp(how, "MIN"))
        return ax_fail(err, AX_EUNSUPPORTED, "aggregate_function '%.40s'",
                       how);
    if (targets < 1 || targets > 1 << 20)
        return ax_fail(err, AX_EFORMAT, "attribute n_targets has %lld",
                       (long long)targets);
    AX_TRY(prepare(&e, c, "target", (size_t)targets, err));
    rows = c->in[0]->dims[0];
    AX_TRY(ax_call_out(c, 0, AX_F32, 2, (int64_t[]){rows, targets}, err));
    AX_TRY(start(&s, c, e, &base, err));
    for (int64_t r = 0; r < rows; r++) {
        run_row(&s, e, c->in[0], (size_t)(r * c->in[0]->dims[1]));
        for (size_t k = 0; base && k < e->n_targets; k++)
            s.z[k] += base->floats[base->n == 1 ? 0 : k];
        AX_TRY(ref_post_transform(s.z, targets, c->node, err));
        memcpy((float *)c->out[0]->data + r * targets, s.z,
               (size_t)targets * sizeof(float));
    }
    return AX_OK;
}

const struct ax_kernel ref_tree[] = {
    {"ai.onnx.ml.TreeEnsembleClassifier", classifier, drop, NULL},
    {"ai.onnx.ml.TreeEnsembleRegressor", regressor, drop, NULL},
    {0},
};
