/* ONNX models: from bytes to a struct ax_model. The messages are unpacked by
 * protobuf-c with an allocator that has a budget, because a short message
 * can ask for much memory; their nesting is bounded by the schema. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ax/infer.h"
#include "formats/onnx/onnx.h"

/* ---- text ---- */

ax_status onnx_text(char **out, const ProtobufCBinaryData *b,
                    struct ax_err *err)
{
    if (b->len && memchr(b->data, 0, b->len))
        return ax_fail(err, AX_EFORMAT, "'%s' contains a zero byte",
                       onnx_show(b).s);
    if (!ax_is_utf8((const char *)b->data, b->len))
        return ax_fail(err, AX_EFORMAT, "a name or text is not UTF-8");
    *out = malloc(b->len + 1);
    if (!*out)
        return ax_fail(err, AX_ENOMEM, "no memory for %zu bytes", b->len);
    if (b->len)
        memcpy(*out, b->data, b->len);
    (*out)[b->len] = '\0';
    return AX_OK;
}

struct onnx_shown onnx_show(const ProtobufCBinaryData *b)
{
    struct onnx_shown out;
    size_t n = b->len < sizeof out.s ? b->len : sizeof out.s - 1;

    if (n)
        memcpy(out.s, b->data, n);
    out.s[n] = '\0';
    return out;
}

bool onnx_is(const ProtobufCBinaryData *b, const char *text)
{
    return b->len == strlen(text) &&
           (b->len == 0 || memcmp(b->data, text, b->len) == 0);
}

/* ---- names ---- */

static int compare_names(const void *a, const void *b)
{
    const ProtobufCBinaryData *x = a, *y = b;
    size_t n = x->len < y->len ? x->len : y->len;
    int c = n ? memcmp(x->data, y->data, n) : 0;

    return c ? c : (x->len > y->len) - (x->len < y->len);
}

struct names {
    ProtobufCBinaryData *v;
    size_t n;
};

static void add_name(struct names *names, const ProtobufCBinaryData *name)
{
    if (name->len)
        names->v[names->n++] = *name;
}

/* All names of values in the file, sorted, each once. */
static ax_status collect_names(struct names *names, const Onnx__GraphProto *p,
                               struct ax_err *err)
{
    size_t room = 1 + p->n_input + p->n_output + p->n_initializer, k = 0;

    for (size_t i = 0; i < p->n_node; i++)
        room += p->node[i]->n_input + p->node[i]->n_output;
    names->v = calloc(room, sizeof *names->v);
    if (!names->v)
        return ax_fail(err, AX_ENOMEM, "no memory for %zu names", room);
    for (size_t i = 0; i < p->n_input; i++)
        add_name(names, &p->input[i]->name);
    for (size_t i = 0; i < p->n_output; i++)
        add_name(names, &p->output[i]->name);
    for (size_t i = 0; i < p->n_initializer; i++)
        add_name(names, &p->initializer[i]->name);
    for (size_t i = 0; i < p->n_node; i++) {
        for (size_t j = 0; j < p->node[i]->n_input; j++)
            add_name(names, &p->node[i]->input[j]);
        for (size_t j = 0; j < p->node[i]->n_output; j++)
            add_name(names, &p->node[i]->output[j]);
    }
    qsort(names->v, names->n, sizeof *names->v, compare_names);
    for (size_t i = 0; i < names->n; i++)
        if (k == 0 || compare_names(&names->v[k - 1], &names->v[i]) != 0)
            names->v[k++] = names->v[i];
    names->n = k;
    return AX_OK;
}

/* Where a name is among the sorted ones, AX_NONE if it is not. */
static uint32_t find(const struct onnx_reader *r, const void *text, size_t n)
{
    uint32_t lo = 0, hi = r->n_names;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        char *name = r->g->values[mid].name;
        ProtobufCBinaryData key, at = {strlen(name), (uint8_t *)name};
        int c;

        key.len = n;
        memcpy(&key.data, &text, sizeof key.data);
        c = compare_names(&key, &at);
        if (c == 0)
            return mid;
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return AX_NONE;
}

uint32_t onnx_value(const struct onnx_reader *r,
                    const ProtobufCBinaryData *name)
{
    return name->len ? find(r, name->data, name->len) : AX_NONE;
}

/* ---- values and tensors ---- */

/* Room for one more element of an array, whose new part is zeroed. */
static ax_status room(void *array, uint32_t n, uint32_t *cap, size_t size,
                      struct ax_err *err)
{
    uint32_t more = *cap < 16 ? 16 : 2 * *cap;
    void *old, *p;

    if (n < *cap)
        return AX_OK;
    if (n >= AX_GRAPH_MAX)
        return ax_fail(err, AX_EFORMAT, "more than %u values", AX_GRAPH_MAX);
    memcpy(&old, array, sizeof old);
    p = realloc(old, more * size);
    if (!p)
        return ax_fail(err, AX_ENOMEM, "no memory for %" PRIu32 " values",
                       more);
    memset((char *)p + *cap * size, 0, (more - *cap) * size);
    memcpy(array, &p, sizeof p);
    *cap = more;
    return AX_OK;
}

ax_status onnx_set_tensor(struct onnx_reader *r, uint32_t v,
                          struct ax_tensor *t, struct ax_err *err)
{
    struct ax_value *value = &r->g->values[v];
    ax_status st = AX_OK;

    if (value->tensor != AX_NONE)
        st = ax_fail(err, AX_EFORMAT, "value '%s' is made twice",
                     value->name);
    if (st == AX_OK)
        st = room(&r->m->tensors, r->m->n_tensors, r->cap_tensors,
                  sizeof *r->m->tensors, err);
    if (st != AX_OK) {
        ax_tensor_free(t);
        return st;
    }
    value->tensor = r->m->n_tensors;
    value->dtype = t->dtype;
    value->rank = t->rank;
    memcpy(value->dims, t->dims, sizeof value->dims);
    r->m->tensors[r->m->n_tensors++] = *t;
    return AX_OK;
}

static bool is_taken(const struct onnx_reader *r, const char *s, size_t n)
{
    while (r && find(r, s, n) == AX_NONE)
        r = r->outer;
    return r != NULL;
}

/* Different BASE or WHAT give different names: no WHAT has a dot, and what
 * is put behind it to get out of the way is no part of any. */
static ax_status free_name(const struct onnx_reader *r, char **out,
                           const char *base, const char *what,
                           struct ax_err *err)
{
    size_t n = strlen(base) + strlen(what) + 1, cap = n + 1;
    char *s = malloc(cap);

    if (s)
        snprintf(s, cap, "%s.%s", base, what);
    while (s && is_taken(r, s, n)) {
        char *longer = realloc(s, ++cap);

        if (!longer)
            free(s);
        s = longer;
        if (s) {
            s[n++] = '_';
            s[n] = '\0';
        }
    }
    *out = s;
    return s ? AX_OK : ax_fail(err, AX_ENOMEM, "no memory for a name");
}

ax_status onnx_new_value(struct onnx_reader *r, uint32_t *v, uint32_t base,
                         const char *what, struct ax_err *err)
{
    struct ax_value *value;

    AX_TRY(room(&r->g->values, r->g->n_values, &r->cap_values,
                sizeof *r->g->values, err));
    value = &r->g->values[r->g->n_values];
    value->rank = -1;
    value->tensor = AX_NONE;
    AX_TRY(free_name(r, &value->name, r->g->values[base].name, what, err));
    *v = r->g->n_values++;
    return AX_OK;
}

ax_status onnx_new_constant(struct onnx_reader *r, uint32_t *v, uint32_t base,
                            const char *what, struct ax_tensor *t,
                            struct ax_err *err)
{
    if (onnx_new_value(r, v, base, what, err) != AX_OK) {
        ax_tensor_free(t);
        return err->code;
    }
    return onnx_set_tensor(r, *v, t, err);
}

static ax_status make_values(struct onnx_reader *r, const struct names *names,
                             struct ax_err *err)
{
    if (names->n > AX_GRAPH_MAX)
        return ax_fail(err, AX_EFORMAT, "more than %u values", AX_GRAPH_MAX);
    r->g->values = calloc(names->n + 1, sizeof *r->g->values);
    r->used = calloc(names->n + 1, sizeof *r->used);
    if (!r->g->values || !r->used)
        return ax_fail(err, AX_ENOMEM, "no memory for %zu values", names->n);
    r->cap_values = (uint32_t)names->n + 1;
    for (size_t i = 0; i < names->n; i++) {
        struct ax_value *v = &r->g->values[r->g->n_values];

        AX_TRY(onnx_text(&v->name, &names->v[i], err));
        v->rank = -1;
        v->tensor = AX_NONE;
        r->g->n_values++;
    }
    r->n_names = r->g->n_values;
    return AX_OK;
}

static ax_status all_values(struct onnx_reader *r, const Onnx__GraphProto *p,
                            struct ax_err *err)
{
    struct names names = {0};
    ax_status st = collect_names(&names, p, err);

    if (st == AX_OK)
        st = make_values(r, &names, err);
    free(names.v);
    return st;
}

/* ---- types ---- */

static ax_status read_dim(struct ax_value *v, int i,
                          const Onnx__TensorShapeProto__Dimension *d,
                          struct ax_err *err)
{
    v->dims[i] = -1;
    if (d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE)
        v->dims[i] = d->dim_value;
    if (v->dims[i] < -1)
        return ax_fail(err, AX_EFORMAT, "dimension %d is %" PRId64, i,
                       v->dims[i]);
    if (d->value_case ==
            ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM &&
        d->dim_param.len)
        return onnx_text(&v->dim_names[i], &d->dim_param, err);
    return AX_OK;
}

/* What the file says of a value. A constant keeps the type of its tensor,
 * and of two statements the first counts. */
static ax_status read_type(struct onnx_reader *r,
                           const Onnx__ValueInfoProto *p, struct ax_err *err)
{
    uint32_t i = onnx_value(r, &p->name);
    const Onnx__TypeProto__Tensor *t = p->type ? p->type->tensor_type : NULL;
    struct ax_value *v = i == AX_NONE ? NULL : &r->g->values[i];

    if (!v || !t || v->tensor != AX_NONE || v->dtype != AX_DTYPE_NONE ||
        (r->depth > 1 && !t->elem_type))
        return AX_OK;
    if (!ax_dtype_size((ax_dtype)t->elem_type))
        return ax_fail(err, AX_EUNSUPPORTED,
                       "element type %" PRId32 " is not supported",
                       t->elem_type);
    v->dtype = (ax_dtype)t->elem_type;
    if (!t->shape)
        return AX_OK;
    if (t->shape->n_dim > AX_RANK_MAX)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "has %zu dimensions, at most %d are supported",
                       t->shape->n_dim, AX_RANK_MAX);
    v->rank = (int)t->shape->n_dim;
    for (int k = 0; k < v->rank; k++)
        AX_TRY(read_dim(v, k, t->shape->dim[k], err));
    return AX_OK;
}

static ax_status read_types(struct onnx_reader *r,
                            Onnx__ValueInfoProto *const *p, size_t n,
                            struct ax_err *err)
{
    for (size_t i = 0; i < n; i++)
        if (read_type(r, p[i], err) != AX_OK)
            return ax_fail_in(err, "value '%s'", onnx_show(&p[i]->name).s);
    return AX_OK;
}

/* ---- the graph ---- */

static ax_status initializers(struct onnx_reader *r, Onnx__GraphProto *p,
                              struct ax_err *err)
{
    if (p->n_sparse_initializer)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "sparse initializers are not supported");
    for (size_t i = 0; i < p->n_initializer; i++) {
        Onnx__TensorProto *init = p->initializer[i];
        uint32_t v = onnx_value(r, &init->name);
        struct ax_tensor t;

        if (v == AX_NONE)
            return ax_fail(err, AX_EFORMAT, "initializer %zu has no name", i);
        if (onnx_tensor(&t, init, r->opt->folder, err) != AX_OK)
            return ax_fail_in(err, "initializer '%s'",
                              onnx_show(&init->name).s);
        AX_TRY(onnx_set_tensor(r, v, &t, err));
    }
    return AX_OK;
}

/* The inputs or outputs; an input that has an initializer is none. */
static ax_status ends(struct onnx_reader *r, uint32_t **out, uint32_t *n,
                      Onnx__ValueInfoProto *const *p, size_t n_p, bool inputs,
                      struct ax_err *err)
{
    const char *what = inputs ? "input" : "output";

    *out = malloc((n_p ? n_p : 1) * sizeof **out);
    if (!*out)
        return ax_fail(err, AX_ENOMEM, "no memory for %zu %ss", n_p, what);
    for (size_t i = 0; i < n_p; i++) {
        uint32_t v = onnx_value(r, &p[i]->name);

        if (v == AX_NONE)
            return ax_fail(err, AX_EFORMAT, "%s %zu has no name", what, i);
        if (inputs && r->g->values[v].tensor != AX_NONE)
            continue;
        /* An input of a sub-graph has the type that the node gives it. */
        if (inputs && (p[i]->type ? !p[i]->type->tensor_type : r->depth == 1))
            return ax_fail(err, AX_EUNSUPPORTED, "input '%s' is no tensor",
                           onnx_show(&p[i]->name).s);
        (*out)[(*n)++] = v;
    }
    return AX_OK;
}

static void mark_used(struct onnx_reader *r, const ProtobufCBinaryData *name)
{
    uint32_t v = onnx_value(r, name);

    if (v != AX_NONE)
        r->used[v] = true;
}

static bool has_subgraph(const Onnx__NodeProto *p)
{
    for (size_t i = 0; i < p->n_attribute; i++)
        if (p->attribute[i]->has_g)
            return true;
    return false;
}

static ax_status nodes(struct onnx_reader *r, Onnx__GraphProto *p,
                       struct ax_err *err)
{
    for (size_t i = 0; i < p->n_output; i++)
        mark_used(r, &p->output[i]->name);
    for (size_t i = 0; i < p->n_node; i++) {
        for (size_t k = 0; k < p->node[i]->n_input; k++)
            mark_used(r, &p->node[i]->input[k]);
        if (has_subgraph(p->node[i])) /* it may read any */
            memset(r->used, true, r->n_names * sizeof *r->used);
    }
    /* Before opset 7 each may need one more: see onnx_align. */
    r->g->nodes = calloc((r->opset < 7 ? 2 : 1) * p->n_node + 1,
                         sizeof *r->g->nodes);
    if (!r->g->nodes)
        return ax_fail(err, AX_ENOMEM, "no memory for %zu nodes", p->n_node);
    AX_TRY(onnx_sort(r, p->node, p->n_node, err));
    for (size_t i = 0; i < p->n_node; i++)
        if (onnx_node(r, p->node[i], err) != AX_OK)
            return r->depth > ONNX_DEPTH_NAMED
                       ? err->code
                       : ax_fail_in(err, "node %zu (%s '%s')", i,
                                    onnx_show(&p->node[i]->op_type).s,
                                    onnx_show(&p->node[i]->name).s);
    return AX_OK;
}

static ax_status read_graph(struct onnx_reader *r, Onnx__GraphProto *p,
                            struct ax_err *err)
{
    AX_TRY(onnx_text(&r->g->name, &p->name, err));
    AX_TRY(all_values(r, p, err));
    AX_TRY(initializers(r, p, err));
    AX_TRY(ends(r, &r->g->inputs, &r->g->n_inputs, p->input, p->n_input, true,
                err));
    AX_TRY(ends(r, &r->g->outputs, &r->g->n_outputs, p->output, p->n_output,
                false, err));
    if (r->opset < 7) { /* where operands lie depends on their ranks */
        AX_TRY(read_types(r, p->input, p->n_input, err));
        AX_TRY(read_types(r, p->value_info, p->n_value_info, err));
    }
    AX_TRY(nodes(r, p, err));
    AX_TRY(read_types(r, p->input, p->n_input, err));
    AX_TRY(read_types(r, p->output, p->n_output, err));
    return read_types(r, p->value_info, p->n_value_info, err);
}

/* ---- the model ---- */

const struct onnx_domain_info onnx_domains[ONNX_DOMAINS] = {
    [ONNX_STANDARD] = {"", ONNX_OPSET_MIN, ONNX_OPSET_MAX, 0},
    [ONNX_ML] = {"ai.onnx.ml", 1, 4, 3},
    [ONNX_PREVIEW] = {"ai.onnx.preview", 1, 1, 1},
    [ONNX_TRAINING] = {"ai.onnx.preview.training", 1, 1, 1},
};

enum onnx_domain onnx_domain_of(const ProtobufCBinaryData *name)
{
    int d = 0;

    if (onnx_is(name, "ai.onnx"))
        return ONNX_STANDARD;
    while (d < ONNX_DOMAINS && !onnx_is(name, onnx_domains[d].name))
        d++;
    return (enum onnx_domain)d;
}

static ax_status one_set(int *opset, int64_t version,
                         const struct onnx_domain_info *d, struct ax_err *err)
{
    const char *of = d->name[0] ? " of " : "";

    if (version < d->min || version > d->max)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "operator set %" PRId64
                       "%s%s is not supported, wants %d to %d",
                       version, of, d->name, d->min, d->max);
    if (*opset && *opset != version)
        return ax_fail(err, AX_EFORMAT,
                       "two operator sets%s%s are named, %d and %" PRId64, of,
                       d->name, *opset, version);
    *opset = (int)version;
    return AX_OK;
}

static ax_status operator_set(struct onnx_reader *r,
                              const Onnx__ModelProto *p, struct ax_err *err)
{
    bool any = false;

    for (size_t i = 0; i < p->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *set = p->opset_import[i];
        enum onnx_domain d = onnx_domain_of(&set->domain);

        if (d == ONNX_DOMAINS)
            continue;
        AX_TRY(one_set(&r->opsets[d], set->version, &onnx_domains[d], err));
        any = true;
    }
    if (!any)
        return ax_fail(err, AX_EFORMAT, "no operator set is named");
    r->opset = r->opsets[ONNX_STANDARD];
    return AX_OK;
}

/* A function of the model may give any operator a new meaning. */
static ax_status no_functions(const Onnx__ModelProto *p, struct ax_err *err)
{
    if (p->n_functions)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "the model defines functions ('%s'), which are not "
                       "supported",
                       onnx_show(&p->functions[0]->name).s);
    return AX_OK;
}

static ax_status metadata(struct ax_model *m, const Onnx__ModelProto *p,
                          struct ax_err *err)
{
    m->meta = calloc(p->n_metadata_props + 1, sizeof *m->meta);
    if (!m->meta)
        return ax_fail(err, AX_ENOMEM, "no memory for metadata");
    for (size_t i = 0; i < p->n_metadata_props; i++) {
        struct ax_meta *meta = &m->meta[m->n_meta++];

        AX_TRY(onnx_text(&meta->key, &p->metadata_props[i]->key, err));
        AX_TRY(onnx_text(&meta->value, &p->metadata_props[i]->value, err));
    }
    return AX_OK;
}

ax_status onnx_add_meta(struct ax_model *m, const char *key, char *value,
                        struct ax_err *err)
{
    struct ax_meta *more = realloc(m->meta, (m->n_meta + 1u) * sizeof *more);

    if (more)
        m->meta = more;
    if (!more || !value) {
        free(value);
        return ax_fail(err, AX_ENOMEM, "no memory for metadata");
    }
    more[m->n_meta] = (struct ax_meta){strdup(key), value};
    if (!more[m->n_meta].key) {
        free(value);
        return ax_fail(err, AX_ENOMEM, "no memory for metadata");
    }
    m->n_meta++;
    return AX_OK;
}

static ax_status read_model(struct onnx_reader *r, Onnx__ModelProto *p,
                            struct ax_err *err)
{
    if (!p->graph)
        return ax_fail(err, AX_EFORMAT, "the model has no graph");
    AX_TRY(operator_set(r, p, err));
    AX_TRY(no_functions(p, err));
    r->m = calloc(1, sizeof *r->m);
    if (!r->m)
        return ax_fail(err, AX_ENOMEM, "no memory for a model");
    AX_TRY(metadata(r->m, p, err));
    r->g = r->m->graph = calloc(1, sizeof *r->g);
    if (!r->g)
        return ax_fail(err, AX_ENOMEM, "no memory for a graph");
    AX_TRY(read_graph(r, p->graph, err));
    AX_TRY(ax_graph_check(r->g, r->m->n_tensors, err));
    AX_TRY(ax_model_infer(r->m, err));
    AX_TRY(onnx_settle(r->g, err));
    AX_TRY(ax_model_fold(r->m, err));
    return ax_model_normalise(r->m, err);
}

/* ---- unpacking ---- */

/* A message of two bytes may take 200 in memory; so much a byte is enough. */
enum { BUDGET_FACTOR = 64, BUDGET_FIXED = 1 << 20 };

struct budget {
    size_t left;
    bool spent, no_memory;
};

static void *budget_alloc(void *self, size_t n)
{
    struct budget *b = self;
    void *p;

    if (n > b->left) {
        b->spent = true;
        return NULL;
    }
    b->left -= n;
    p = malloc(n);
    b->no_memory = b->no_memory || !p;
    return p;
}

static void budget_free(void *self, void *p)
{
    (void)self;
    free(p);
}

static ax_status malformed(const struct budget *b, const char *what, size_t n,
                           struct ax_err *err)
{
    if (b->no_memory)
        return ax_fail(err, AX_ENOMEM, "no memory for %zu bytes of messages",
                       n);
    if (b->spent)
        return ax_fail(err, AX_EFORMAT,
                       "its messages would take more than %d times their "
                       "size in memory",
                       BUDGET_FACTOR);
    return ax_fail(err, AX_EFORMAT, "is no ONNX %s: malformed or cut short",
                   what);
}

static ax_status unpack(Onnx__ModelProto **out, ProtobufCAllocator *allocator,
                        const unsigned char *data, size_t n,
                        struct ax_err *err)
{
    struct budget *b = allocator->allocator_data;

    if (n > (SIZE_MAX - BUDGET_FIXED) / BUDGET_FACTOR)
        return ax_fail(err, AX_EFORMAT, "%zu bytes are too many", n);
    b->left = BUDGET_FIXED + n * BUDGET_FACTOR;
    *out = onnx__model_proto__unpack(allocator, n, data);
    return *out ? AX_OK : malformed(b, "model", n, err);
}

ax_status onnx_subgraph(struct ax_graph **out, const struct onnx_reader *r,
                        Onnx__AttributeProto *p, struct ax_err *err)
{
    struct onnx_reader inner = {.opt = r->opt,
                                .allocator = r->allocator,
                                .opset = r->opset,
                                .depth = r->depth + 1,
                                .outer = r,
                                .m = r->m,
                                .cap_tensors = r->cap_tensors};
    Onnx__GraphProto *g;
    ax_status st;

    memcpy(inner.opsets, r->opsets, sizeof inner.opsets);
    if (inner.depth > AX_DEPTH_MAX)
        return ax_fail(err, AX_EFORMAT, "graphs are nested more than %d deep",
                       AX_DEPTH_MAX);
    g = onnx__graph_proto__unpack(r->allocator, p->g.len, p->g.data);
    if (!g)
        return malformed(r->allocator->allocator_data, "graph", p->g.len,
                         err);
    r->allocator->free(r->allocator->allocator_data, p->g.data);
    p->g = (ProtobufCBinaryData){0};
    inner.g = *out = calloc(1, sizeof **out);
    st = *out ? read_graph(&inner, g, err)
              : ax_fail(err, AX_ENOMEM, "no memory for a graph");
    free(inner.used);
    onnx__graph_proto__free_unpacked(g, r->allocator);
    return st;
}

static ax_status read_onnx(struct ax_model **out, const unsigned char *data,
                           size_t n, const struct ax_format_options *opt,
                           struct ax_err *err)
{
    struct budget budget = {0};
    ProtobufCAllocator allocator = {budget_alloc, budget_free, &budget};
    uint32_t cap_tensors = 0;
    struct onnx_reader r = {.opt = opt,
                            .allocator = &allocator,
                            .depth = 1,
                            .cap_tensors = &cap_tensors};
    Onnx__ModelProto *p = NULL;
    ax_status st;

    *out = NULL;
    AX_TRY(unpack(&p, &allocator, data, n, err));
    st = read_model(&r, p, err);
    if (st == AX_OK)
        *out = r.m;
    else
        ax_model_free(r.m);
    free(r.used);
    onnx__model_proto__free_unpacked(p, &allocator);
    return st;
}

/* A model starts with its version, a small number, and then has another
 * field of ModelProto. */
static bool sniff(const unsigned char *head, size_t n)
{
    static const unsigned char next[] = {0x12, 0x1a, 0x22, 0x28,
                                         0x32, 0x3a, 0x42, 0x72};

    return n > 2 && head[0] == 0x08 && head[1] >= 1 && head[1] < 64 &&
           memchr(next, head[2], sizeof next);
}

const struct ax_format ax_format_onnx = {
    .name = "onnx",
    .summary = "ONNX models, operator sets 6 to 28",
    .sniff = sniff,
    .read = read_onnx,
    .write = onnx_write,
};
