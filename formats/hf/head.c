/* What is on top of a network, and what goes out. */
#include <stdlib.h>
#include <string.h>

#include "formats/hf/hf.h"

ax_status hf_rows(struct hf *h, uint32_t *x, int64_t n, struct ax_err *err)
{
    const int64_t dims[] = {-1, n};

    return hf_reshape(h, x, "rows", *x, dims, 2, err);
}

ax_status hf_labels(struct hf *h, int64_t *n, struct ax_err *err)
{
    const json_t *labels = hf_get(&h->config, "id2label");
    int64_t known = (int64_t)json_object_size(labels);

    if (labels && !known)
        return ax_fail(err, AX_EFORMAT, "'id2label' has no labels");
    AX_TRY(hf_count(&h->config, n, "num_labels", known ? known : 2, err));
    if (known && *n != known)
        return ax_fail(err, AX_EFORMAT,
                       "'num_labels' is %lld, 'id2label' has %lld",
                       (long long)*n, (long long)known);
    return AX_OK;
}

/* Two tensors that are said to be one. */
static ax_status check_tied(const struct ax_weight *a,
                            const struct ax_weight *b, struct ax_err *err)
{
    const unsigned char *x, *y;
    void *own_x = NULL, *own_y = NULL;
    size_t n, m;
    ax_status st = ax_weight_bytes(&x, &own_x, &n, a, err);

    if (st == AX_OK)
        st = ax_weight_bytes(&y, &own_y, &m, b, err);
    if (st == AX_OK &&
        (a->type != b->type || n != m || (n && memcmp(x, y, n) != 0)))
        st = ax_fail(err, AX_EFORMAT,
                     "tensors '%s' and '%s' differ, but config.json ties "
                     "them",
                     a->name, b->name);
    free(own_x);
    free(own_y);
    return st;
}

ax_status hf_tie(struct hf *h, const char *shared, const char *own,
                 struct ax_err *err)
{
    struct arch_entry *a = arch_find(&h->a, shared),
                      *b = arch_find(&h->a, own);

    if (!a || !b || a == b)
        return AX_OK;
    AX_TRY(check_tied(b->w, a->w, err));
    b->used = true;
    return AX_OK;
}

ax_status hf_language_head(struct hf *h, uint32_t x, bool tied,
                           const char *head, const char *embed,
                           const char *bias, int64_t vocabulary,
                           int64_t hidden, struct ax_err *err)
{
    const int64_t dims[] = {vocabulary, hidden};
    uint32_t in[3] = {x, AX_NONE, AX_NONE};

    AX_TRY(hf_at(h, tied ? h->base : "", err, "%s", tied ? embed : head));
    AX_TRY(hf_weight(h, &in[1], "weight", 2, dims, err));
    if (tied)
        AX_TRY(hf_tie(h, hf_part(h->path, "weight").s,
                      hf_part(head, "weight").s, err));
    if (bias) {
        AX_TRY(hf_at(h, "", err, "%s", ""));
        AX_TRY(hf_vector(h, &in[2], bias, vocabulary, err));
    }
    AX_TRY(hf_at(h, "", err, "%s", head));
    AX_TRY(arch_node(&h->a, &x, AX_OP_Gemm, "", in, 3, err));
    AX_TRY(arch_attr_int(&h->a, "transB", 1, err));
    AX_TRY(hf_unfold(h, &x, "tokens", x, 0, vocabulary, err));
    return hf_output(h, "logits", x, err);
}

ax_status hf_first(struct hf *h, uint32_t *out, uint32_t x,
                   struct ax_err *err)
{
    uint32_t index;

    AX_TRY(hf_integer(h, &index, "index", 0, err));
    AX_TRY(arch_node2(&h->a, out, AX_OP_Gather, "token", x, index, err));
    return arch_attr_int(&h->a, "axis", 1, err);
}

ax_status hf_hidden(struct hf *h, uint32_t x, int64_t n, struct ax_err *err)
{
    AX_TRY(hf_at(h, "", err, "hidden"));
    AX_TRY(hf_unfold(h, &x, "tokens", x, 0, n, err));
    return hf_output(h, "last_hidden_state", x, err);
}
