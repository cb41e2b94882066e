/* formats/arch/arch.h - what the files that build graphs from descriptions
 * share: arch.c reads a description, state.c finds tensors, layer.c makes the
 * nodes of each kind of layer, build.c nodes and values, infer.c drafts a
 * description. The page is ax-layers(5). */
#ifndef FORMATS_ARCH_H
#define FORMATS_ARCH_H

#include <jansson.h>

#include "ax/checkpoint.h"
#include "ax/model.h"

/* A tensor of the state dictionary. */
struct arch_entry {
    const char *name; /* in the dictionary */
    const struct ax_weight *w;
    uint32_t value; /* of the graph, or AX_NONE */
    uint32_t cast;  /* the same as float32, or AX_NONE */
    bool used;
};

/* A name of a layer or an input, and what it gives. */
struct arch_name {
    const char *name;
    uint32_t value;
};

#define ARCH_HELD 8 /* more than a layer has */

struct arch {
    struct ax_model *m;
    struct ax_graph *g;
    uint32_t cap_values, cap_nodes, cap_tensors;
    struct arch_entry *entry; /* sorted by name */
    size_t n_entries;
    struct arch_name *names; /* a hash table, never full */
    size_t n_names;          /* places in it */
    uint32_t last;           /* what the layer before gave */
    ax_dtype dtype;          /* of inputs: that of the first weight */
    /* The layer at hand. */
    const json_t *layer;
    const char *name;   /* of its values */
    const char *prefix; /* of its tensors */
    char name_buf[80], prefix_buf[32];
    uint32_t *in;
    uint32_t n_in;
    /* Copies of its parameters, since the model's tensors move. */
    struct ax_tensor held[ARCH_HELD];
    uint32_t n_held;
};

/* ---- build.c ---- */

/* A new value called BASE or BASE.WHAT. */
ax_status arch_value(struct arch *a, uint32_t *v, const char *base,
                     const char *what, struct ax_err *err) AX_MUST_CHECK;
/* V takes over this name, and what was called so gets V's; nothing if there
 * is no such value. */
void arch_take_name(struct arch *a, uint32_t v, const char *name);
/* A new constant; takes T, also on failure. */
ax_status arch_constant(struct arch *a, uint32_t *v, const char *base,
                        const char *what, struct ax_tensor *t,
                        struct ax_err *err) AX_MUST_CHECK;
/* Constants of N integers, and one number of the type of the inputs. */
ax_status arch_ints(struct arch *a, uint32_t *v, const char *what,
                    const int64_t *ints, size_t n, struct ax_err *err)
    AX_MUST_CHECK;
ax_status arch_number(struct arch *a, uint32_t *v, const char *what, int rank,
                      const int64_t *dims, double x, struct ax_err *err)
    AX_MUST_CHECK;
/* A node of the layer at hand, its output called after it and WHAT. OUT may
 * be one of IN, of which AX_NONE at the end is left out. */
ax_status arch_node(struct arch *a, uint32_t *out, ax_op op, const char *what,
                    const uint32_t *in, uint32_t n, struct ax_err *err)
    AX_MUST_CHECK;
/* The same with one or two inputs. */
ax_status arch_node1(struct arch *a, uint32_t *out, ax_op op,
                     const char *what, uint32_t x, struct ax_err *err)
    AX_MUST_CHECK;
ax_status arch_node2(struct arch *a, uint32_t *out, ax_op op,
                     const char *what, uint32_t x, uint32_t y,
                     struct ax_err *err) AX_MUST_CHECK;
/* Attributes of the last node. */
ax_status arch_attr_int(struct arch *a, const char *name, int64_t i,
                        struct ax_err *err) AX_MUST_CHECK;
ax_status arch_attr_float(struct arch *a, const char *name, double f,
                          struct ax_err *err) AX_MUST_CHECK;
ax_status arch_attr_text(struct arch *a, const char *name, const char *s,
                         struct ax_err *err) AX_MUST_CHECK;
ax_status arch_attr_ints(struct arch *a, const char *name, const int64_t *v,
                         size_t n, struct ax_err *err) AX_MUST_CHECK;

/* ---- state.c ---- */

/* An empty graph of this name; and, when it is whole, what is checked and
 * inferred of it. */
ax_status arch_begin(struct arch *a, const char *name, struct ax_err *err)
    AX_MUST_CHECK;
ax_status arch_finish(struct arch *a, struct ax_err *err) AX_MUST_CHECK;
/* One more value at the end of a list. */
ax_status arch_push(uint32_t **v, uint32_t *n, uint32_t value,
                    struct ax_err *err) AX_MUST_CHECK;
/* Sort the entries, so that arch_find finds them; NULL if there is none. */
void arch_sort(struct arch *a);
struct arch_entry *arch_find(const struct arch *a, const char *name);
/* The constant that an entry is, which is made when it is first wanted. */
ax_status arch_take(struct arch *a, uint32_t *v, struct arch_entry *e,
                    struct ax_err *err) AX_MUST_CHECK;

/* ---- arch.c ---- */

/* Parameter WHAT of the layer: *v is its value, *t the tensor. Where there is
 * none: AX_EFORMAT if it is needed, AX_NONE and NULL if not. */
ax_status arch_param(struct arch *a, uint32_t *v, const struct ax_tensor **t,
                     const char *what, bool needed, struct ax_err *err)
    AX_MUST_CHECK;

/* ---- layer.c ---- */

/* The nodes of the layer at hand; *out is what it gives. */
ax_status arch_layer(struct arch *a, uint32_t *out, struct ax_err *err)
    AX_MUST_CHECK;

#endif
