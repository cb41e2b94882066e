/* A machine for pickles that makes inert trees: globals stay names, calls
 * stay what would be called with what. Nodes live in an arena, so that a tree
 * with cycles needs no care, and all of it goes away at once. */
#include "formats/torch/pickle.h"

#include <stdlib.h>
#include <string.h>

/* A node takes at least a byte of input, and this many at most are made. */
enum { NODES_MAX = 1 << 24 };

ax_status torch_pickle_init(struct torch_pickle *p, struct ax_err *err)
{
    *p = (struct torch_pickle){.arena = ax_arena_new()};
    return p->arena ? AX_OK
                    : ax_fail(err, AX_ENOMEM, "no memory for a pickle");
}

void torch_pickle_free(struct torch_pickle *p)
{
    ax_arena_free(p->arena);
    free(p->globals);
    free(p->persistent);
    *p = (struct torch_pickle){0};
}

/* ---- bytes ---- */

ax_status torch_take(struct torch_machine *m, const unsigned char **out,
                     size_t n, struct ax_err *err)
{
    if (n > m->n - m->at)
        return ax_fail(err, AX_EFORMAT, "cut short");
    *out = m->data + m->at;
    m->at += n;
    return AX_OK;
}

ax_status torch_number(struct torch_machine *m, uint64_t *out, unsigned n,
                       struct ax_err *err)
{
    const unsigned char *p = NULL;

    AX_TRY(torch_take(m, &p, n, err));
    *out = torch_le(p, n);
    return AX_OK;
}

ax_status torch_line(struct torch_machine *m, struct torch_text *out,
                     struct ax_err *err)
{
    const unsigned char *p = m->data + m->at,
                        *end = memchr(p, '\n', m->n - m->at);

    if (!end)
        return ax_fail(err, AX_EFORMAT, "a line that does not end");
    *out = (struct torch_text){(const char *)p, (size_t)(end - p)};
    m->at += out->n + 1;
    return AX_OK;
}

/* ---- arrays ---- */

/* Room for one more element of an array that is the machine's own. */
static ax_status room(void *array, size_t n, size_t *cap, size_t size,
                      struct ax_err *err)
{
    size_t more = *cap < 64 ? 64 : 2 * *cap;
    void *old = NULL, *p;

    if (n < *cap)
        return AX_OK;
    memcpy(&old, array, sizeof old);
    p = reallocarray(old, more, size);
    if (!p)
        return ax_fail(err, AX_ENOMEM, "no memory for a pickle");
    memcpy(array, &p, sizeof p);
    *cap = more;
    return AX_OK;
}

ax_status torch_new(struct torch_machine *m, struct torch_node **out,
                    enum torch_kind kind, struct ax_err *err)
{
    if (m->p->nodes == NODES_MAX)
        return ax_fail(err, AX_EFORMAT, "more than %d objects", NODES_MAX);
    *out = ax_arena_zalloc(m->p->arena, 1, sizeof **out);
    if (!*out)
        return ax_fail(err, AX_ENOMEM, "no memory for a pickle");
    (*out)->kind = (uint8_t)kind;
    m->p->nodes++;
    return AX_OK;
}

ax_status torch_push(struct torch_machine *m, struct torch_node *n,
                     struct ax_err *err)
{
    AX_TRY(room(&m->stack, m->depth, &m->cap_stack, sizeof *m->stack, err));
    m->stack[m->depth++] = n;
    return AX_OK;
}

/* The stack does not reach below the last mark. */
static size_t bottom(const struct torch_machine *m)
{
    return m->n_marks ? m->marks[m->n_marks - 1] : 0;
}

ax_status torch_top(struct torch_machine *m, struct torch_node **out,
                    struct ax_err *err)
{
    if (m->depth == bottom(m))
        return ax_fail(err, AX_EFORMAT, "nothing is on the stack");
    *out = m->stack[m->depth - 1];
    return AX_OK;
}

ax_status torch_pop(struct torch_machine *m, struct torch_node **out,
                    struct ax_err *err)
{
    AX_TRY(torch_top(m, out, err));
    m->depth--;
    return AX_OK;
}

ax_status torch_set_mark(struct torch_machine *m, struct ax_err *err)
{
    AX_TRY(room(&m->marks, m->n_marks, &m->cap_marks, sizeof *m->marks, err));
    m->marks[m->n_marks++] = m->depth;
    return AX_OK;
}

ax_status torch_pop_mark(struct torch_machine *m, struct torch_node ***out,
                         size_t *n, struct ax_err *err)
{
    size_t from;

    if (!m->n_marks)
        return ax_fail(err, AX_EFORMAT, "no mark is on the stack");
    from = m->marks[--m->n_marks];
    *out = m->stack ? m->stack + from : NULL; /* no element: no stack */
    *n = m->depth - from;
    m->depth = from;
    return AX_OK;
}

ax_status torch_extend(struct torch_machine *m, struct torch_node *to,
                       struct torch_node *const *v, size_t n,
                       struct ax_err *err)
{
    if (n > to->cap - to->n) {
        size_t cap = to->cap ? 2 * (size_t)to->cap : n;
        struct torch_node **more;

        if (cap < to->n + n)
            cap = to->n + n;
        if (cap > UINT32_MAX)
            return ax_fail(err, AX_EFORMAT, "too many elements");
        more = ax_arena_alloc(m->p->arena, cap, sizeof *more);
        if (!more)
            return ax_fail(err, AX_ENOMEM, "no memory for a pickle");
        if (to->n)
            memcpy(more, to->v, to->n * sizeof *more);
        to->v = more;
        to->cap = (uint32_t)cap;
    }
    if (n)
        memcpy(to->v + to->n, v, n * sizeof *v);
    to->n += (uint32_t)n;
    return AX_OK;
}

/* ---- the memo ---- */

ax_status torch_memo_put(struct torch_machine *m, uint64_t index,
                         struct ax_err *err)
{
    struct torch_node *top = NULL;

    AX_TRY(torch_top(m, &top, err));
    /* A pickler numbers what it makes, which takes a byte each. */
    if (index >= m->at)
        return ax_fail(err, AX_EFORMAT, "memo %llu after %zu bytes",
                       (unsigned long long)index, m->at);
    if (index >= m->cap_memo) {
        size_t cap = 2 * (size_t)index + 64;
        struct torch_node **more = reallocarray(m->memo, cap,
                                                sizeof *m->memo);

        if (!more)
            return ax_fail(err, AX_ENOMEM, "no memory for a pickle");
        memset(more + m->cap_memo, 0, (cap - m->cap_memo) * sizeof *more);
        m->memo = more;
        m->cap_memo = cap;
    }
    if (!m->memo[index])
        m->n_memo++;
    m->memo[index] = top;
    return AX_OK;
}

ax_status torch_memo_get(struct torch_machine *m, uint64_t index,
                         struct ax_err *err)
{
    if (index >= m->cap_memo || !m->memo[index])
        return ax_fail(err, AX_EFORMAT, "nothing was put into memo %llu",
                       (unsigned long long)index);
    return torch_push(m, m->memo[index], err);
}

/* ---- names and calls ---- */

ax_status torch_push_global(struct torch_machine *m, struct torch_text module,
                            struct torch_text name, bool computed,
                            struct ax_err *err)
{
    struct torch_pickle *p = m->p;
    struct torch_node *node;
    struct torch_global *g;

    AX_TRY(torch_new(m, &node, TORCH_GLOBAL, err));
    g = ax_arena_alloc(p->arena, 1, sizeof *g);
    if (!g)
        return ax_fail(err, AX_ENOMEM, "no memory for a pickle");
    *g = (struct torch_global){
        .module = module, .name = name, .at = m->at, .computed = computed};
    node->global = g;
    AX_TRY(room(&p->globals, p->n_globals, &p->cap_globals,
                sizeof *p->globals, err));
    p->globals[p->n_globals++] = g;
    return torch_push(m, node, err);
}

ax_status torch_note_persistent(struct torch_machine *m, struct torch_node *n,
                                struct ax_err *err)
{
    struct torch_pickle *p = m->p;

    AX_TRY(room(&p->persistent, p->n_persistent, &p->cap_persistent,
                sizeof *p->persistent, err));
    p->persistent[p->n_persistent++] = n;
    return AX_OK;
}

ax_status torch_push_call(struct torch_machine *m,
                          struct torch_node *callable,
                          struct torch_node *args, struct ax_err *err)
{
    struct torch_node *node;

    AX_TRY(torch_new(m, &node, TORCH_CALL, err));
    node->call = ax_arena_zalloc(m->p->arena, 1, sizeof *node->call);
    if (!node->call)
        return ax_fail(err, AX_ENOMEM, "no memory for a pickle");
    node->call->callable = callable;
    node->call->args = args;
    return torch_push(m, node, err);
}

bool torch_is_global(const struct torch_node *n, const char *module,
                     const char *name)
{
    return n->kind == TORCH_GLOBAL && torch_is(n->global->module, module) &&
           torch_is(n->global->name, name);
}

/* ---- running ---- */

static ax_status run(struct torch_machine *m, struct torch_node **root,
                     struct ax_err *err)
{
    while (!m->stop) {
        size_t at = m->at;
        const unsigned char *op = NULL;
        const struct torch_opcode_row *row;

        if (torch_take(m, &op, 1, err) != AX_OK)
            return ax_fail_in(err, "pickle: byte %zu", at);
        row = &torch_opcodes[*op];
        if (!row->run)
            return ax_fail(err, AX_EFORMAT,
                           "pickle: byte %zu: no opcode is 0x%02x", at, *op);
        if (row->run(m, row->number, err) != AX_OK)
            return ax_fail_in(err, "pickle: byte %zu: opcode 0x%02x", at,
                              *op);
    }
    if (torch_pop(m, root, err) != AX_OK)
        return ax_fail_in(err, "pickle: byte %zu", m->at);
    return AX_OK;
}

ax_status torch_unpickle(struct torch_node **root, size_t *used,
                         struct torch_pickle *p, const unsigned char *data,
                         size_t n, struct ax_err *err)
{
    struct torch_machine m = {.p = p, .data = data, .n = n};
    ax_status st = run(&m, root, err);

    *used = m.at;
    free(m.stack);
    free(m.marks);
    free(m.memo);
    return st;
}
