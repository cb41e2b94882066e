/* Einsum: dimensions are named by letters; those that the output does not
 * name are summed over. Sums are double, or 64-bit integers that wrap. */
#include "ref.h"

#include <ctype.h>
#include <string.h>

/* 52 letters, then the dimensions of "...", the last one last. */
enum { LABELS = 52 + AX_RANK_MAX, OPERANDS = 64 };

struct einsum {
    int64_t size[LABELS];
    bool there[LABELS];
    int64_t (*stride)[LABELS]; /* of each operand, in elements */
    uint32_t n;
    int order[LABELS]; /* those of the output first */
    int n_out, n_all;
};

static int label_of(char c)
{
    return c >= 'a' && c <= 'z' ? c - 'a' : c - 'A' + 26;
}

/* The labels of one term of the equation, a tensor of RANK dimensions (or -1:
 * the output, whose dots stand for all there are). *p moves on. */
static ax_status term(int *out, int *n, const char **p, int rank,
                      const struct einsum *s, struct ax_err *err)
{
    int letters = 0, dots = 0, hidden = 0;

    for (const char *q = *p; *q && *q != ',' && *q != '-'; q++)
        letters += isalpha((unsigned char)*q) != 0;
    for (int i = 0; rank < 0 && i < AX_RANK_MAX; i++)
        hidden += s->there[52 + i];
    hidden = rank < 0 ? hidden : rank - letters;
    for (*n = 0; **p && **p != ',' && **p != '-'; ++*p) {
        if (**p == ' ')
            continue;
        if (strncmp(*p, "...", 3) == 0 && dots++ == 0) {
            *p += 2;
            for (int i = 0; i < hidden && *n < AX_RANK_MAX; i++)
                out[(*n)++] = LABELS - hidden + i;
            continue;
        }
        if (!isalpha((unsigned char)**p) || *n == AX_RANK_MAX)
            return ax_fail(err, AX_EFORMAT, "equation: what is '%.20s'", *p);
        out[(*n)++] = label_of(**p);
    }
    if (rank >= 0 && (*n != rank || hidden < 0))
        return ax_fail(err, AX_ESHAPE,
                       "equation: %d letters for %d dimensions", letters,
                       rank);
    return AX_OK;
}

static ax_status operand(struct einsum *s, const struct ax_tensor *x,
                         uint32_t k, const char **p, struct ax_err *err)
{
    int labels[AX_RANK_MAX], n;
    int64_t strides[AX_RANK_MAX];

    AX_TRY(term(labels, &n, p, x->rank, s, err));
    ref_strides(strides, x->rank, x->dims);
    for (int d = 0; d < n; d++) {
        int l = labels[d];

        if (s->there[l] && s->size[l] != x->dims[d] && s->size[l] != 1 &&
            x->dims[d] != 1)
            return ax_fail(err, AX_ESHAPE,
                           "a dimension of input %u is %lld, and was %lld", k,
                           (long long)x->dims[d], (long long)s->size[l]);
        if (!s->there[l] || s->size[l] == 1)
            s->size[l] = x->dims[d];
        s->there[l] = true;
        s->stride[k][l] += x->dims[d] == 1 ? 0 : strides[d];
    }
    return AX_OK;
}

/* Without an output: the dots, then letters that are named once, sorted. */
static void implied(int *out, int *n, const char *equation)
{
    for (int l = 52; l < LABELS; l++)
        out[(*n)++] = l;
    for (int pass = 1; pass >= 0; pass--) /* capitals first, as in ASCII */
        for (int l = 0; l < 26; l++) {
            int times = 0;

            for (const char *q = equation; *q; q++)
                times += isalpha((unsigned char)*q) &&
                         label_of(*q) == l + 26 * pass;
            if (times == 1)
                out[(*n)++] = l + 26 * pass;
        }
}

static ax_status output(struct einsum *s, const char *equation, const char *p,
                        struct ax_err *err)
{
    int labels[LABELS], n = 0;
    bool in_output[LABELS] = {false};

    if (strncmp(p, "->", 2) == 0) {
        p += 2;
        AX_TRY(term(labels, &n, &p, -1, s, err));
    } else if (!*p) {
        implied(labels, &n, equation);
    }
    if (*p)
        return ax_fail(err, AX_EFORMAT, "equation: what is '%.20s'", p);
    for (int i = 0; i < n; i++) {
        if (labels[i] >= 52 && !s->there[labels[i]])
            continue;
        if (!s->there[labels[i]] || in_output[labels[i]])
            return ax_fail(err, AX_EFORMAT,
                           "equation: the output names a dimension twice, or "
                           "one that no input has");
        in_output[labels[i]] = true;
        s->order[s->n_all++] = labels[i];
    }
    s->n_out = s->n_all;
    for (int l = 0; l < LABELS; l++)
        if (s->there[l] && !in_output[l])
            s->order[s->n_all++] = l;
    if (s->n_out > AX_RANK_MAX)
        return ax_fail(err, AX_EUNSUPPORTED,
                       "%d dimensions, at most %d are supported", s->n_out,
                       AX_RANK_MAX);
    return AX_OK;
}

static ax_status parse(struct einsum *s, struct ax_call *c,
                       struct ax_err *err)
{
    const char *equation = ax_node_string(c->node, "equation", "");
    const char *p = equation;
    size_t room = sizeof *s->stride * c->node->n_in;
    void *strides;

    s->n = c->node->n_in;
    if (s->n > OPERANDS)
        return ax_fail(err, AX_EUNSUPPORTED, "%u inputs, at most %d", s->n,
                       OPERANDS);
    AX_TRY(ax_call_scratch(c, &strides, room, err));
    memset(strides, 0, room);
    s->stride = strides;
    for (uint32_t k = 0; k < s->n; k++) {
        AX_TRY(ref_want(c, k, ALL_DTYPES & ~BIT(AX_BOOL), err));
        AX_TRY(ref_same_dtype(c, 0, k, err));
        AX_TRY(operand(s, c->in[k], k, &p, err));
        if ((*p == ',') != (k + 1 < s->n))
            return ax_fail(err, AX_EFORMAT,
                           "equation: its terms are not as many as the %u "
                           "inputs",
                           s->n);
        p += *p == ',';
    }
    return output(s, equation, p, err);
}

/* The sum of products for one element of the output; AT is its place, and
 * zeros for what is summed over. */
static void add_up(struct ax_tensor *y, size_t to, const struct einsum *s,
                   const struct ax_tensor *const *in, int64_t *at)
{
    bool is_real = ax_dtype_class(y->dtype) == AX_CLASS_REAL;
    double real = 0;
    uint64_t whole = 0;
    int i;

    for (i = s->n_out; i < s->n_all; i++)
        if (s->size[s->order[i]] == 0)
            break;
    if (i == s->n_all)
        do {
            double f = 1;
            uint64_t w = 1;

            for (uint32_t k = 0; k < s->n; k++) {
                int64_t from = 0;

                for (int j = 0; j < s->n_all; j++)
                    from += at[j] * s->stride[k][s->order[j]];
                if (is_real)
                    f *= ref_number(in[k], (size_t)from);
                else
                    w *= (uint64_t)ref_integer(in[k], (size_t)from);
            }
            real += f;
            whole += w;
            for (i = s->n_all - 1;
                 i >= s->n_out && ++at[i] == s->size[s->order[i]]; i--)
                at[i] = 0;
        } while (i >= s->n_out);
    if (is_real)
        ref_put(y, to, real);
    else
        ax_put_i64(y->dtype, y->data, to, &(int64_t){(int64_t)whole}, 1);
}

static ax_status einsum(struct ax_call *c, struct ax_err *err)
{
    int64_t dims[AX_RANK_MAX], at[LABELS] = {0};
    struct einsum s = {.n = 0};

    AX_TRY(parse(&s, c, err));
    for (int i = 0; i < s.n_out; i++)
        dims[i] = s.size[s.order[i]];
    AX_TRY(ax_call_out(c, 0, c->in[0]->dtype, s.n_out, dims, err));
    for (size_t k = 0; k < ax_tensor_count(c->out[0]); k++) {
        add_up(c->out[0], k, &s, c->in, at);
        for (int i = s.n_out - 1; i >= 0 && ++at[i] == dims[i]; i--)
            at[i] = 0;
    }
    return AX_OK;
}

const struct ax_kernel ref_einsum[] = {
    {"Einsum", einsum, NULL, NULL},
    {0},
};
