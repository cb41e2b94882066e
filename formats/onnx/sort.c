/* Nodes come in any order; those of ax/graph.h are sorted. */
#include <stdlib.h>

#include "formats/onnx/onnx.h"

enum { NEW, OPEN, DONE };

/* A node that is being left for one that makes one of its inputs. */
struct frame {
    size_t node, input; /* the first input that was not looked at */
};

struct sort {
    Onnx__NodeProto **from, **to;
    size_t *maker; /* [n_names] the node that makes a value, or SIZE_MAX */
    unsigned char *state;
    struct frame *stack;
    size_t depth, n_to;
};

static void makers(struct sort *s, const struct onnx_reader *r, size_t n)
{
    for (size_t v = 0; v < r->n_names; v++)
        s->maker[v] = SIZE_MAX;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < s->from[i]->n_output; k++) {
            uint32_t v = onnx_value(r, &s->from[i]->output[k]);

            if (v != AX_NONE && s->maker[v] == SIZE_MAX)
                s->maker[v] = i;
        }
}

static void push(struct sort *s, size_t node)
{
    s->state[node] = OPEN;
    s->stack[s->depth++] = (struct frame){node, 0};
}

/* Go on with the node on top: to a maker of an input that is new, or out. */
static ax_status step(struct sort *s, const struct onnx_reader *r,
                      struct ax_err *err)
{
    struct frame *f = &s->stack[s->depth - 1];
    Onnx__NodeProto *p = s->from[f->node];

    while (f->input < p->n_input) {
        uint32_t v = onnx_value(r, &p->input[f->input++]);
        size_t maker = v == AX_NONE ? SIZE_MAX : s->maker[v];

        if (maker == SIZE_MAX || s->state[maker] == DONE)
            continue;
        if (s->state[maker] == OPEN)
            return ax_fail(err, AX_EFORMAT,
                           "node %zu (%s '%s') needs '%s', which depends on "
                           "that node's own output",
                           f->node, onnx_show(&p->op_type).s,
                           onnx_show(&p->name).s, r->g->values[v].name);
        push(s, maker);
        return AX_OK;
    }
    s->state[f->node] = DONE;
    s->to[s->n_to++] = p;
    s->depth--;
    return AX_OK;
}

static ax_status sort(struct sort *s, const struct onnx_reader *r, size_t n,
                      struct ax_err *err)
{
    makers(s, r, n);
    for (size_t i = 0; i < n; i++) {
        if (s->state[i] == NEW)
            push(s, i);
        while (s->depth)
            AX_TRY(step(s, r, err));
    }
    for (size_t i = 0; i < n; i++)
        s->from[i] = s->to[i];
    return AX_OK;
}

ax_status onnx_sort(const struct onnx_reader *r, Onnx__NodeProto **node,
                    size_t n, struct ax_err *err)
{
    struct sort s = {
        .from = node,
        .to = calloc(n + 1, sizeof *s.to),
        .maker = calloc((size_t)r->n_names + 1, sizeof *s.maker),
        .state = calloc(n + 1, 1),
        .stack = calloc(n + 1, sizeof *s.stack),
    };
    ax_status st;

    if (!s.to || !s.maker || !s.state || !s.stack)
        st = ax_fail(err, AX_ENOMEM, "no memory to sort %zu nodes", n);
    else
        st = sort(&s, r, n, err);
    free(s.to);
    free(s.maker);
    free(s.state);
    free(s.stack);
    return st;
}
