/* cmd/ax-show/diff.h - how two models differ. diff.c walks both graphs from
 * their outputs at once; report.c says what it found. */
#ifndef AX_SHOW_DIFF_H
#define AX_SHOW_DIFF_H

#include "ax/element.h"
#include "ax/model.h"

/* Two tensors that stand in the same place. */
enum twin_state {
    TWIN_SAME,    /* type, shape and bytes */
    TWIN_ROUNDED, /* one has the numbers of the other, rounded to its type */
    TWIN_VALUES,  /* other numbers */
    TWIN_TYPE,    /* other numbers of another type */
    TWIN_SHAPE,
    TWIN_STATES
};

struct twin {
    const char *name[2];
    const struct ax_tensor *t[2];
    enum twin_state state;
    struct ax_difference by; /* as the narrower type; infinite for shapes */
};

struct diff {
    char **change;          /* of the graphs, one line each; owned */
    size_t n_changes, more; /* more: that were not kept */
    struct twin *twin;      /* in the order in which they were met */
    size_t n_twins, cap_twins;
    size_t of[TWIN_STATES]; /* twins of each state */
    size_t nodes[2];
    size_t casts[2]; /* among them: to a wider type, which is seen through */
    size_t renamed;  /* values and tensors that have another name */
};

/* Compare what two models compute. Names do not count, nor does the order in
 * which independent nodes stand; a cast from float16 or bfloat16 to float32
 * stands for the tensor that it widens. *out is overwritten; free it with
 * diff_free, also after failure. AX_ENOMEM. */
ax_status diff_models(struct diff *out, const struct ax_model *a,
                      const struct ax_model *b, struct ax_err *err)
    AX_MUST_CHECK;
void diff_free(struct diff *d);

/* Print it. AX_NO if the models compute different functions, as far as their
 * graphs and tensors say. */
ax_status diff_report(const struct diff *d, const struct ax_model *a,
                      const struct ax_model *b, bool json, struct ax_err *err)
    AX_MUST_CHECK;

#endif
