/* Shape rules of operators with graphs inside: If, Loop, Scan. A body is
 * inferred once, from what is known of its inputs in every run. Source:
 * Operators.md of ONNX at opset 17. */
#include <inttypes.h>
#include <string.h>

#include "graph/infer.h"

/* What holds of both. */
static ax_status merge(struct infer_fact *out, const struct infer_fact *b,
                       struct ax_err *err)
{
    if (out->dtype && b->dtype && out->dtype != b->dtype)
        return ax_fail(err, AX_ESHAPE, "an output may be %s or %s",
                       ax_dtype_name(out->dtype), ax_dtype_name(b->dtype));
    if (!b->dtype)
        out->dtype = AX_DTYPE_NONE;
    if (out->rank != b->rank)
        out->rank = -1;
    for (int i = 0; i < out->rank; i++)
        if (!infer_same(out->d[i], b->d[i]))
            out->d[i] = infer_unknown();
    return AX_OK;
}

static struct infer_fact without_values(const struct infer_fact *f)
{
    struct infer_fact out = *f;

    out.v = NULL;
    out.n_v = 0;
    return out;
}

ax_status infer_if(struct infer *s, struct ax_err *err)
{
    uint32_t n = s->node->n_out;
    struct infer_fact *yes, *no;

    AX_TRY(infer_body(s, "then_branch", NULL, 0, &yes, n, err));
    AX_TRY(infer_body(s, "else_branch", NULL, 0, &no, n, err));
    for (uint32_t k = 0; k < n; k++) {
        struct infer_fact f = without_values(&yes[k]);

        if (merge(&f, &no[k], err) != AX_OK)
            return ax_fail_in(err, "output %" PRIu32, k);
        *infer_out(s, k) = f;
    }
    return AX_OK;
}

/* An output with one more dimension, LENGTH, at AXIS. */
static ax_status stacked(struct infer_fact *out, const struct infer_fact *f,
                         int64_t axis, struct infer_dim length,
                         struct ax_err *err)
{
    out->dtype = f->dtype;
    if (f->rank < 0)
        return AX_OK;
    if (f->rank == AX_RANK_MAX)
        return infer_too_many(f->rank + 1, err);
    AX_TRY(infer_axis(&axis, axis, f->rank + 1, err));
    out->rank = f->rank + 1;
    for (int i = 0; i < out->rank; i++)
        out->d[i] = i < axis ? f->d[i] : i == axis ? length : f->d[i - 1];
    return AX_OK;
}

static struct infer_fact *new_facts(struct infer *s, uint32_t n,
                                    struct ax_err *err)
{
    struct infer_fact *f = ax_arena_zalloc(s->arena, n + 1u, sizeof *f);
    ax_status st = AX_OK;

    if (!f)
        st = ax_fail(err, AX_ENOMEM, "no memory for shape inference");
    for (uint32_t i = 0; st == AX_OK && i < n; i++)
        f[i].rank = -1;
    return f;
}

/* The state may change its shape from run to run; its type may not. */
ax_status infer_loop(struct infer *s, struct ax_err *err)
{
    uint32_t n_in = s->node->n_in < 2 ? 2 : s->node->n_in, n_state = n_in - 2;
    struct infer_fact *in = new_facts(s, n_in, err), *out;

    if (!in)
        return err->code;
    if (s->node->n_out < n_state)
        return ax_fail(err, AX_EFORMAT,
                       "has %" PRIu32 " outputs for %" PRIu32 " states",
                       s->node->n_out, n_state);
    in[0].dtype = AX_I64;
    in[1].dtype = AX_BOOL;
    for (uint32_t k = 2; k < n_in; k++)
        if (infer_in(s, k))
            in[k].dtype = infer_in(s, k)->dtype;
    AX_TRY(infer_body(s, "body", in, n_in, &out, 1 + s->node->n_out, err));
    for (uint32_t k = 0; k < n_state; k++) {
        struct infer_fact f = without_values(&out[1 + k]);

        if (infer_in(s, 2 + k) && merge(&f, infer_in(s, 2 + k), err) != AX_OK)
            return ax_fail_in(err, "state %" PRIu32, k);
        *infer_out(s, k) = f;
    }
    for (uint32_t k = n_state; k < s->node->n_out; k++)
        AX_TRY(
            stacked(infer_out(s, k), &out[1 + k], 0, infer_unknown(), err));
    return AX_OK;
}

static int64_t nth(const struct infer *s, const char *name, uint32_t i)
{
    const struct ax_attr *a = ax_node_attr(s->node, name);

    return a && a->kind == AX_ATTR_INTS && i < a->n ? a->ints[i] : 0;
}

/* One element of scanned input K along its axis. */
static ax_status slice(struct infer_fact *out, const struct infer *s,
                       uint32_t k, uint32_t i, struct infer_dim *length,
                       struct ax_err *err)
{
    const struct infer_fact *x = infer_in(s, k);
    int64_t axis = nth(s, "scan_input_axes", i);
    int n = 0;

    if (!x)
        return ax_fail(err, AX_ESHAPE, "input %" PRIu32 " is absent", k);
    out->dtype = x->dtype;
    if (x->rank < 0)
        return AX_OK;
    AX_TRY(infer_axis(&axis, axis, x->rank, err));
    if (x->d[axis].p >= 0)
        *length = x->d[axis];
    for (int d = 0; d < x->rank; d++)
        if (d != axis)
            out->d[n++] = x->d[d];
    out->rank = n;
    return AX_OK;
}

/* The states keep their shapes. */
ax_status infer_scan(struct infer *s, struct ax_err *err)
{
    int64_t n = ax_node_int(s->node, "num_scan_inputs", 0);
    uint32_t n_in = s->node->n_in, n_state;
    struct infer_fact *in = new_facts(s, n_in, err), *out;
    struct infer_dim length = infer_unknown();

    if (!in)
        return err->code;
    if (n < 1 || n > n_in || s->node->n_out < n_in - (uint32_t)n)
        return ax_fail(err, AX_EFORMAT,
                       "num_scan_inputs is %" PRId64 " of %" PRIu32
                       " inputs, with %" PRIu32 " outputs",
                       n, n_in, s->node->n_out);
    n_state = n_in - (uint32_t)n;
    for (uint32_t k = 0; k < n_state; k++)
        if (infer_in(s, k))
            in[k] = without_values(infer_in(s, k));
    for (uint32_t k = n_state; k < n_in; k++)
        AX_TRY(slice(&in[k], s, k, k - n_state, &length, err));
    AX_TRY(infer_body(s, "body", in, n_in, &out, s->node->n_out, err));
    for (uint32_t k = 0; k < n_state; k++) {
        struct infer_fact f = without_values(&out[k]);

        if (merge(&f, &in[k], err) != AX_OK)
            return ax_fail_in(err, "state %" PRIu32, k);
        *infer_out(s, k) = f;
    }
    for (uint32_t k = n_state; k < s->node->n_out; k++)
        AX_TRY(stacked(infer_out(s, k), &out[k],
                       nth(s, "scan_output_axes", k - n_state), length, err));
    return AX_OK;
}
