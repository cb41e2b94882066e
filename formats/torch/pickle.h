/* formats/torch/pickle.h - the machine that reads pickles: pickle.c has its
 * parts, opcode.c its instructions. */
#ifndef FORMATS_TORCH_PICKLE_H
#define FORMATS_TORCH_PICKLE_H

#include "formats/torch/torch.h"

struct torch_machine {
    struct torch_pickle *p;
    const unsigned char *data;
    size_t n, at;
    struct torch_node **stack;
    size_t depth, cap_stack;
    size_t *marks; /* depths of the stack */
    size_t n_marks, cap_marks;
    struct torch_node **memo; /* NULL where nothing was put */
    size_t n_memo, cap_memo;
    bool stop;
};

/* One instruction; its opcode was read. NUMBER is that of the table. */
typedef ax_status torch_opcode(struct torch_machine *m, int number,
                               struct ax_err *err);

struct torch_opcode_row {
    torch_opcode *run; /* NULL: no such opcode */
    int number;
};
extern const struct torch_opcode_row torch_opcodes[256];

/* Bytes of the instruction. */
ax_status torch_take(struct torch_machine *m, const unsigned char **out,
                     size_t n, struct ax_err *err) AX_MUST_CHECK;
ax_status torch_number(struct torch_machine *m, uint64_t *out, unsigned n,
                       struct ax_err *err) AX_MUST_CHECK;
/* Up to a line feed, which is left out. */
ax_status torch_line(struct torch_machine *m, struct torch_text *out,
                     struct ax_err *err) AX_MUST_CHECK;

/* A new node, not on the stack. */
ax_status torch_new(struct torch_machine *m, struct torch_node **out,
                    enum torch_kind kind, struct ax_err *err) AX_MUST_CHECK;
ax_status torch_push(struct torch_machine *m, struct torch_node *n,
                     struct ax_err *err) AX_MUST_CHECK;
ax_status torch_pop(struct torch_machine *m, struct torch_node **out,
                    struct ax_err *err) AX_MUST_CHECK;
ax_status torch_top(struct torch_machine *m, struct torch_node **out,
                    struct ax_err *err) AX_MUST_CHECK;
ax_status torch_set_mark(struct torch_machine *m, struct ax_err *err)
    AX_MUST_CHECK;
/* Everything above the last mark, which goes away: borrowed from the stack
 * until the next push. */
ax_status torch_pop_mark(struct torch_machine *m, struct torch_node ***out,
                         size_t *n, struct ax_err *err) AX_MUST_CHECK;
/* Put N nodes at the end of a node with elements. */
ax_status torch_extend(struct torch_machine *m, struct torch_node *to,
                       struct torch_node *const *v, size_t n,
                       struct ax_err *err) AX_MUST_CHECK;
ax_status torch_memo_put(struct torch_machine *m, uint64_t index,
                         struct ax_err *err) AX_MUST_CHECK;
ax_status torch_memo_get(struct torch_machine *m, uint64_t index,
                         struct ax_err *err) AX_MUST_CHECK;
/* Push a global, and remember that it was named. */
ax_status torch_push_global(struct torch_machine *m, struct torch_text module,
                            struct torch_text name, bool computed,
                            struct ax_err *err) AX_MUST_CHECK;
ax_status torch_note_persistent(struct torch_machine *m, struct torch_node *n,
                                struct ax_err *err) AX_MUST_CHECK;
/* Push what calling CALLABLE with ARGS would give. */
ax_status torch_push_call(struct torch_machine *m,
                          struct torch_node *callable,
                          struct torch_node *args, struct ax_err *err)
    AX_MUST_CHECK;

#endif
