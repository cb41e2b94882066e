/* formats/aten/script.h - what the readers of TorchScript archives share:
 * parse.c turns its code into trees, script.c finds the parts of the archive,
 * objects.c attributes of its modules, run.c follows the code, builtin.c
 * knows what of it is no operator on tensors. */
#ifndef FORMATS_ATEN_SCRIPT_H
#define FORMATS_ATEN_SCRIPT_H

#include "formats/aten/aten.h"

#define SCRIPT_STEPS (1 << 20) /* expressions that may be looked at */

/* ---- code ---- */

enum script_kind {
    SCRIPT_NAME,      /* text */
    SCRIPT_TEXT,      /* text */
    SCRIPT_INT,       /* i */
    SCRIPT_FLOAT,     /* f */
    SCRIPT_ATTRIBUTE, /* v[0] . text */
    SCRIPT_CALL,      /* v[0] ( the others ), those of names[i] by name */
    SCRIPT_INDEX,     /* v[0] [ the others ] */
    SCRIPT_TUPLE,
    SCRIPT_LIST,
    SCRIPT_DICT,
    SCRIPT_NEGATIVE, /* - v[0] */
};

struct script_expr {
    enum script_kind kind;
    uint32_t n;
    int line;
    const char *text;
    union {
        int64_t i;
        double f;
    };
    struct script_expr **v;
    const char **names; /* of the arguments of a call, or NULL */
};

enum script_does {
    SCRIPT_ASSIGN, /* target = value */
    SCRIPT_DO,     /* value */
    SCRIPT_RETURN, /* value, or NULL */
    SCRIPT_IF,     /* value: body, else: other */
    SCRIPT_FOR,    /* target in value: body */
    SCRIPT_WHILE,
    SCRIPT_WITH,
    SCRIPT_PASS,
};

struct script_statement {
    enum script_does does;
    int line;
    struct script_expr *target, *value;
    struct script_statement *body, *other; /* of IF, FOR, WHILE */
    struct script_statement *next;
};

struct script_param {
    const char *name, *type;
    struct script_expr *otherwise; /* NULL: there is no default */
};

struct script_function {
    const char *name, *of; /* the class that it is of, "" if none */
    const struct script_file *file;
    uint32_t n_params;
    struct script_param *params;
    struct script_statement *body;
    struct script_function *next;
};

struct script_file {
    const char *path; /* "code/__torch__/a.py" */
    struct script_function *functions;
    struct script_file *next;
};

/* The functions of a file of N bytes, which are hostile; all in the arena.
 * AX_EFORMAT, AX_ENOMEM. */
ax_status script_parse(struct script_file *out, struct ax_arena *arena,
                       const char *text, size_t n, struct ax_err *err)
    AX_MUST_CHECK;

/* ---- the archive ---- */

/* A module, or another object that the pickle has. */
struct aten_object {
    const struct torch_node *node;
    const char *path; /* to it: "features.0", "" for the root */
};

/* A pickle, and the tensors in it. */
struct script_pickle {
    struct torch_pickle pickle;
    struct torch_node *root;
    struct ax_checkpoint tensors;
    uint32_t *values; /* of the graph, AX_NONE if there is none yet */
};

struct script_frame;

struct script {
    struct aten a;
    const struct torch_zip *zip;
    struct torch_text root; /* folder of the archive, with its slash */
    size_t budget;          /* bytes that may still be decompressed */
    struct script_pickle data, constants;
    struct script_file *files;
    struct script_frame *frame; /* of the function that runs */
    size_t steps;               /* that may still be taken */
    bool told;                  /* an error has its place already */
    int depth;
};

/* The function FUNCTION of class or file NAME ("__torch__.a.B", or
 * "__torch__.a" for one that is of no class); *out is NULL if there is none.
 */
ax_status script_find(const struct script_function **out, struct script *s,
                      const char *name, const char *function,
                      struct ax_err *err) AX_MUST_CHECK;

/* The class of an object, as "__torch__.a.B"; AX_EFORMAT if it has none. */
ax_status script_class(const char **out, struct script *s,
                       const struct aten_object *o, struct ax_err *err)
    AX_MUST_CHECK;
ax_status script_attribute(struct aten_value *out, struct script *s,
                           const struct aten_object *o, const char *name,
                           struct ax_err *err) AX_MUST_CHECK;
/* Read data.pkl and constants.pkl. */
ax_status script_open(struct script *s, struct ax_err *err) AX_MUST_CHECK;
void script_close(struct script *s);
/* The member ROOT + NAME, or NULL. */
const struct torch_member *script_member(const struct script *s,
                                         const char *folder,
                                         struct torch_text name,
                                         const char *end);
ax_status script_root(struct aten_value *out, struct script *s,
                      struct ax_err *err) AX_MUST_CHECK;
/* CONSTANTS.c<i> */
ax_status script_constant(struct aten_value *out, struct script *s,
                          const char *name, struct ax_err *err) AX_MUST_CHECK;

/* ---- running it ---- */

ax_status script_call(struct aten_value *out, struct script *s,
                      const struct script_function *f,
                      const struct aten_arg *arg, uint32_t n,
                      struct ax_err *err) AX_MUST_CHECK;
/* What a parameter has where nothing is given; AX_EFORMAT if it must be. */
ax_status script_default(struct aten_value *out, struct script *s,
                         const struct script_param *p, struct ax_err *err)
    AX_MUST_CHECK;
/* NAME of the code, as "torch.add" or "ops.prim.dtype", or "int": *done is
 * false if it is no builtin, and so an operator. */
ax_status script_builtin(struct aten_value *out, bool *done, struct script *s,
                         const char *name, const struct aten_arg *arg,
                         uint32_t n, struct ax_err *err) AX_MUST_CHECK;
/* The list that is OLD in all variables is NEW from here on. */
void script_replace(struct script *s, struct aten_value old,
                    struct aten_value new);

#endif
