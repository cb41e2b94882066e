/* Values, constants and nodes of a graph that grows. */
#include "formats/arch/arch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ax/element.h"

static ax_status no_memory(struct ax_err *err)
{
    return ax_fail(err, AX_ENOMEM, "no memory for a graph");
}

/* Room for one more, zeroed. */
static ax_status room(void *array, uint32_t n, uint32_t *cap, size_t size,
                      struct ax_err *err)
{
    uint32_t more = *cap < 32 ? 32 : 2 * *cap;
    void *old = NULL, *p;

    if (n < *cap)
        return AX_OK;
    if (n >= AX_GRAPH_MAX)
        return ax_fail(err, AX_EFORMAT, "too many values");
    memcpy(&old, array, sizeof old);
    p = reallocarray(old, more, size);
    if (!p)
        return no_memory(err);
    memset((char *)p + *cap * size, 0, (more - *cap) * size);
    memcpy(array, &p, sizeof p);
    *cap = more;
    return AX_OK;
}

ax_status arch_value(struct arch *a, uint32_t *v, const char *base,
                     const char *what, struct ax_err *err)
{
    struct ax_value *value;
    size_t n = strlen(base) + strlen(what) + 2;

    AX_TRY(room(&a->g->values, a->g->n_values, &a->cap_values,
                sizeof *a->g->values, err));
    value = &a->g->values[a->g->n_values];
    value->rank = -1;
    value->tensor = AX_NONE;
    value->name = malloc(n);
    if (!value->name)
        return no_memory(err);
    snprintf(value->name, n, "%s%s%s", base, *base && *what ? "." : "", what);
    *v = a->g->n_values++;
    return AX_OK;
}

void arch_take_name(struct arch *a, uint32_t v, const char *name)
{
    struct ax_value *values = a->g->values;

    for (uint32_t i = 0; i < a->g->n_values; i++)
        if (strcmp(values[i].name, name) == 0) {
            char *other = values[i].name;

            values[i].name = values[v].name;
            values[v].name = other;
            return;
        }
}

ax_status arch_constant(struct arch *a, uint32_t *v, const char *base,
                        const char *what, struct ax_tensor *t,
                        struct ax_err *err)
{
    struct ax_value *value;
    ax_status st = room(&a->m->tensors, a->m->n_tensors, &a->cap_tensors,
                        sizeof *a->m->tensors, err);

    if (st == AX_OK)
        st = arch_value(a, v, base, what, err);
    if (st != AX_OK) {
        ax_tensor_free(t);
        return st;
    }
    value = &a->g->values[*v];
    value->tensor = a->m->n_tensors;
    value->dtype = t->dtype;
    value->rank = t->rank;
    memcpy(value->dims, t->dims, sizeof value->dims);
    a->m->tensors[a->m->n_tensors++] = *t;
    return AX_OK;
}

ax_status arch_ints(struct arch *a, uint32_t *v, const char *what,
                    const int64_t *ints, size_t n, struct ax_err *err)
{
    const int64_t dims[] = {(int64_t)n};
    struct ax_tensor t;

    AX_TRY(ax_tensor_new(&t, AX_I64, 1, dims, err));
    ax_put_i64(AX_I64, t.data, 0, ints, n);
    return arch_constant(a, v, a->name, what, &t, err);
}

ax_status arch_number(struct arch *a, uint32_t *v, const char *what, int rank,
                      const int64_t *dims, double x, struct ax_err *err)
{
    struct ax_tensor t;

    AX_TRY(ax_tensor_new(&t, a->dtype, rank, dims, err));
    for (size_t i = 0; i < ax_tensor_count(&t); i++)
        ax_put_f64(a->dtype, t.data, i, &x, 1);
    return arch_constant(a, v, a->name, what, &t, err);
}

ax_status arch_node(struct arch *a, uint32_t *out, ax_op op, const char *what,
                    const uint32_t *in, uint32_t n, struct ax_err *err)
{
    struct ax_node *node;
    size_t size = strlen(a->name) + strlen(what) + 2;
    uint32_t v;

    while (n && in[n - 1] == AX_NONE)
        n--;
    AX_TRY(room(&a->g->nodes, a->g->n_nodes, &a->cap_nodes,
                sizeof *a->g->nodes, err));
    AX_TRY(arch_value(a, &v, a->name, what, err));
    node = &a->g->nodes[a->g->n_nodes++];
    node->op = op;
    node->name = malloc(size);
    node->in = malloc((n ? n : 1) * sizeof *in);
    node->out = malloc(sizeof *out);
    if (!node->name || !node->in || !node->out)
        return no_memory(err);
    snprintf(node->name, size, "%s%s%s", a->name,
             *a->name && *what ? "." : "", what);
    memcpy(node->in, in, n * sizeof *in);
    node->n_in = n;
    node->out[0] = v;
    node->n_out = 1;
    *out = v;
    return AX_OK;
}

ax_status arch_node1(struct arch *a, uint32_t *out, ax_op op,
                     const char *what, uint32_t x, struct ax_err *err)
{
    return arch_node(a, out, op, what, &x, 1, err);
}

ax_status arch_node2(struct arch *a, uint32_t *out, ax_op op,
                     const char *what, uint32_t x, uint32_t y,
                     struct ax_err *err)
{
    const uint32_t in[] = {x, y};

    return arch_node(a, out, op, what, in, 2, err);
}

static ax_status new_attr(struct arch *a, struct ax_attr **out,
                          const char *name, ax_attr_kind kind,
                          struct ax_err *err)
{
    struct ax_node *node = &a->g->nodes[a->g->n_nodes - 1];
    struct ax_attr *more = reallocarray(node->attrs, node->n_attrs + 1u,
                                        sizeof *more);
    uint32_t k = node->n_attrs;

    if (!more)
        return no_memory(err);
    node->attrs = more;
    /* They stand in the order of their names. */
    while (k && strcmp(more[k - 1].name, name) > 0) {
        more[k] = more[k - 1];
        k--;
    }
    *out = &more[k];
    **out = (struct ax_attr){.name = strdup(name), .kind = kind};
    node->n_attrs++;
    if (!(*out)->name)
        return no_memory(err);
    return AX_OK;
}

ax_status arch_attr_int(struct arch *a, const char *name, int64_t i,
                        struct ax_err *err)
{
    struct ax_attr *attr;

    AX_TRY(new_attr(a, &attr, name, AX_ATTR_INT, err));
    attr->i = i;
    return AX_OK;
}

ax_status arch_attr_float(struct arch *a, const char *name, double f,
                          struct ax_err *err)
{
    struct ax_attr *attr;

    AX_TRY(new_attr(a, &attr, name, AX_ATTR_FLOAT, err));
    attr->f = (float)f;
    return AX_OK;
}

ax_status arch_attr_text(struct arch *a, const char *name, const char *s,
                         struct ax_err *err)
{
    struct ax_attr *attr;

    AX_TRY(new_attr(a, &attr, name, AX_ATTR_STRING, err));
    attr->s = strdup(s);
    return attr->s ? AX_OK : no_memory(err);
}

ax_status arch_attr_ints(struct arch *a, const char *name, const int64_t *v,
                         size_t n, struct ax_err *err)
{
    struct ax_attr *attr;

    AX_TRY(new_attr(a, &attr, name, AX_ATTR_INTS, err));
    attr->ints = malloc((n ? n : 1) * sizeof *v);
    if (!attr->ints)
        return no_memory(err);
    memcpy(attr->ints, v, n * sizeof *v);
    attr->n = n;
    return AX_OK;
}
